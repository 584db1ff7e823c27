//! From a TOML value to a Rust one, or to a problem that says what would be right.

use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use super::tree::{Node, Table, Value};
use crate::core::nearest::{self, nearest};
use crate::core::size;
use crate::core::span::{self, NoSpan};
use crate::core::trigger::flaw::Flaw;
use crate::core::zone::{Database, Zone};
use crate::problem::{Place, Problem, Problems, Severity, Span};

/// Where we are while values are read, and where problems go.
pub(super) struct Scope<'a> {
    /// The number of the file, its text and its directory.
    pub(super) file: u32,
    pub(super) text: &'a str,
    pub(super) dir: &'a Path,
    /// The job that is being read.
    pub(super) job: Option<&'a str>,
    pub(super) problems: &'a mut Problems,
}

impl<'a> Scope<'a> {
    /// A place in this file.
    pub(super) fn place(&self, span: Span) -> Place {
        Place { file: self.file, span: Some(span) }
    }

    /// The text of a place.
    pub(super) fn typed(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Reports a problem.
    pub(super) fn push(&mut self, problem: Problem) {
        self.problems.push(match self.job {
            Some(id) => problem.job(id),
            None => problem,
        });
    }

    /// Reports an error.
    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.push(Problem::error(self.place(span), message));
    }

    /// Reports an error and says what would be right.
    pub(super) fn error_help(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(Problem::error(self.place(span), message).help(help));
    }

    /// Reports what a schedule's parser has found in the text of a value.
    pub(super) fn flaws(&mut self, value: &Value<'_>, decoded: &str, flaws: Vec<Flaw>) {
        for flaw in flaws {
            let span = inside(value.span, self.typed(value.span), decoded, flaw.span);
            let problem = match flaw.severity {
                Severity::Error => Problem::error(self.place(span), flaw.message),
                Severity::Warning => Problem::warning(self.place(span), flaw.message),
            };
            self.push(Problem { help: flaw.help, ..problem });
        }
    }

    /// Reports a value of the wrong type. `wanted` continues "expected ...".
    pub(super) fn wrong_type(&mut self, value: &Value<'_>, wanted: &str) {
        if matches!(value.node, Node::Invalid) {
            return;
        }
        let found = value.node.kind();
        self.error(value.span, format!("expected {wanted}, found {found}"));
    }

    /// A string. `wanted` continues "expected ...".
    pub(super) fn string<'v>(&mut self, value: &'v Value<'_>, wanted: &str) -> Option<&'v str> {
        match &value.node {
            Node::String(text) => Some(text),
            Node::Integer(_) | Node::Float(_) | Node::Boolean(_) | Node::Datetime => {
                let (found, typed) = (value.node.kind(), self.typed(value.span));
                let message = format!("expected {wanted}, found {found}");
                self.error_help(value.span, message, format!("write `\"{typed}\"`"));
                None
            }
            _ => {
                self.wrong_type(value, wanted);
                None
            }
        }
    }

    /// A string that a system call will get: not empty, and without NUL bytes.
    pub(super) fn system_string<'v>(
        &mut self,
        value: &'v Value<'_>,
        wanted: &str,
    ) -> Option<&'v str> {
        let text = self.string(value, wanted)?;
        if text.is_empty() {
            self.error(value.span, format!("empty value, expected {wanted}"));
            return None;
        }
        self.without_nul(value, text)
    }

    /// The same text, unless contains a NUL byte in it.
    pub(super) fn without_nul<'v>(&mut self, value: &Value<'_>, text: &'v str) -> Option<&'v str> {
        let Some(at) = text.find('\0') else { return Some(text) };
        let span = inside(value.span, self.typed(value.span), text, at..at + 1);
        self.error(span, "a NUL byte cannot be passed to a program");
        None
    }

    pub(super) fn boolean(&mut self, value: &Value<'_>) -> Option<bool> {
        match &value.node {
            Node::Boolean(yes) => Some(*yes),
            Node::String(text) if matches!(&**text, "true" | "false") => {
                let help = format!("write `{text}` without quotes");
                self.error_help(value.span, "expected true or false, found a string", help);
                None
            }
            _ => {
                self.wrong_type(value, "true or false");
                None
            }
        }
    }

    /// A number of bytes: `"64KiB"`, or an integer.
    pub(super) fn size(&mut self, value: &Value<'_>, most: u32) -> Option<u32> {
        let high = size::written(most.into());
        let wanted = format!("a number of bytes up to {high}, such as \"64KiB\"");
        let bytes = self.bytes_within(value, 0..=most.into(), &wanted)?;
        u32::try_from(bytes).ok()
    }

    /// The same where it may be large. `such`: one that would do.
    pub(super) fn bytes(
        &mut self,
        value: &Value<'_>,
        range: RangeInclusive<u64>,
        such: &str,
    ) -> Option<u64> {
        let least = match range.start() {
            0 => String::new(),
            least => format!(" from {}", size::written(*least)),
        };
        let wanted = format!("a number of bytes{least} such as \"{such}\"");
        self.bytes_within(value, range, &wanted)
    }

    fn bytes_within(
        &mut self,
        value: &Value<'_>,
        range: RangeInclusive<u64>,
        wanted: &str,
    ) -> Option<u64> {
        let bytes = match &value.node {
            Node::Integer(number) => u64::try_from(*number).ok(),
            Node::String(text) => size::parse(text),
            _ => {
                self.wrong_type(value, wanted);
                return None;
            }
        };
        let fits = bytes.filter(|bytes| range.contains(bytes));
        if fits.is_none() {
            self.error(value.span, format!("expected {wanted}"));
        }
        fits
    }

    /// An integer within a range.
    pub(super) fn integer(&mut self, value: &Value<'_>, range: RangeInclusive<i64>) -> Option<i64> {
        let (low, high) = (*range.start(), *range.end());
        let wanted = match high {
            _ if high >= i64::from(u32::MAX) => format!("an integer from {low}"),
            _ => format!("an integer from {low} to {high}"),
        };
        match &value.node {
            Node::Integer(number) if range.contains(number) => Some(*number),
            Node::Integer(number) => {
                self.error(value.span, format!("{number} is out of range, expected {wanted}"));
                None
            }
            Node::String(text) if text.parse::<i64>().is_ok() => {
                let help = format!("write `{text}` without quotes");
                self.error_help(value.span, format!("expected {wanted}, found a string"), help);
                None
            }
            _ => {
                self.wrong_type(value, &wanted);
                None
            }
        }
    }

    /// One of some names.
    pub(super) fn one_of<T: Clone>(&mut self, value: &Value<'_>, names: &[(&str, T)]) -> Option<T> {
        let list: Vec<String> = names.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let wanted = super::parse::or_list(&list);
        let text = self.string(value, &wanted)?;
        if let Some((_, known)) = names.iter().find(|(name, _)| *name == text) {
            return Some(known.clone());
        }
        let problem = Problem::error(self.place(value.span), format!("\"{text}\" is not {wanted}"));
        self.push(match nearest(text, names.iter().map(|(name, _)| *name)) {
            Some(near) => problem.help(format!("did you mean \"{near}\"?")),
            None => problem,
        });
        None
    }

    /// A zone by its name.
    pub(super) fn timezone(&mut self, value: &Value<'_>, zones: &Database) -> Option<Zone> {
        let name = self.string(value, "a time zone such as \"Europe/Berlin\"")?;
        let unknown = match zones.find(name) {
            Ok(zone) => return Some(zone),
            Err(unknown) => unknown,
        };
        let problem = Problem::error(self.place(value.span), unknown.say(name));
        let help = nearest::zone_help(name, zones).unwrap_or_else(|| {
            "write an IANA name such as \"Europe/Berlin\" or \"UTC\"".to_owned()
        });
        self.push(problem.help(help));
        None
    }

    /// A duration such as `"1h 30m"`.
    pub(super) fn duration(&mut self, value: &Value<'_>) -> Option<Duration> {
        self.duration_or(value, NoSpan::help)
    }

    /// The same, with what is said where months and years stand.
    pub(super) fn duration_or(
        &mut self,
        value: &Value<'_>,
        help: impl Fn(&NoSpan) -> Option<String>,
    ) -> Option<Duration> {
        let text = match &value.node {
            Node::String(text) => text,
            Node::Integer(number) => {
                let help = match number {
                    0.. => format!("did you mean `\"{number}s\"`?"),
                    _ => "a duration cannot be negative".to_owned(),
                };
                self.error_help(value.span, format!("expected {DURATION}, found an integer"), help);
                return None;
            }
            _ => {
                self.wrong_type(value, DURATION);
                return None;
            }
        };
        match span::parse(text) {
            Ok(duration) => return Some(duration),
            Err(NoSpan::Form(error)) => self.bad_duration(value, text, &error),
            Err(calendar) => {
                let NoSpan::Calendar { at, .. } = &calendar else { return None };
                let span = inside(value.span, self.typed(value.span), text, at.clone());
                let problem = Problem::error(self.place(span), calendar.to_string());
                self.push(Problem { help: help(&calendar), ..problem });
            }
        }
        None
    }

    fn bad_duration(&mut self, value: &Value<'_>, text: &str, error: &humantime::DurationError) {
        use humantime::DurationError as Error;
        let next = |at: usize| at + text[at..].chars().next().map_or(0, char::len_utf8);
        let (range, message, help) = match error {
            Error::Empty => (0..text.len(), format!("empty value, expected {DURATION}"), None),
            Error::NumberExpected(_) if text.trim_start().starts_with('-') => {
                (0..text.len(), "a duration cannot be negative".to_owned(), None)
            }
            Error::NumberExpected(at) | Error::InvalidCharacter(at) => {
                let help = match span::of_iso(text) {
                    Some(span) => format!("write `\"{span}\"`"),
                    None => UNITS.to_owned(),
                };
                (*at..next(*at), format!("expected {DURATION}"), Some(help))
            }
            Error::UnknownUnit { unit, value, .. } if unit.is_empty() => {
                let help = format!("write `\"{value}s\"` for seconds, `\"{value}m\"` for minutes");
                (0..text.len(), "missing unit".to_owned(), Some(help))
            }
            Error::UnknownUnit { start, end, unit, .. } => {
                let help = match nearest(unit, UNIT_NAMES.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => UNITS.to_owned(),
                };
                (*start..*end, format!("unknown unit of time `{unit}`"), Some(help))
            }
            Error::NumberOverflow => {
                (0..text.len(), "this number is too large, or too close to zero".to_owned(), None)
            }
        };
        let span = inside(value.span, self.typed(value.span), text, range);
        let problem = Problem::error(self.place(span), message);
        self.push(Problem { help, ..problem });
    }

    /// A table. `wanted` continues "expected ...".
    pub(super) fn table<'v, 's>(
        &mut self,
        value: &'v Value<'s>,
        wanted: &str,
    ) -> Option<&'v Table<'s>> {
        match &value.node {
            Node::Table(table) => Some(table),
            _ => {
                self.wrong_type(value, wanted);
                None
            }
        }
    }

    /// The same, where others write it as one of these, or in another place: the names, and what to say.
    pub(super) fn unknown_key_but(
        &mut self,
        span: Span,
        name: &str,
        known: &[&str],
        elsewhere: &[(&[&str], &str)],
    ) {
        let lower = super::keys::snake(name);
        match elsewhere.iter().find(|(names, _)| names.contains(&&*lower)) {
            Some((_, help)) => self.error_help(span, format!("unknown key `{name}`"), *help),
            None => self.unknown_key(span, name, known),
        }
    }

    /// Reports a key that does not exist in a table with these keys.
    pub(super) fn unknown_key(&mut self, span: Span, name: &str, known: &[&str]) {
        let problem = Problem::error(self.place(span), format!("unknown key `{name}`"));
        self.push(problem.help(match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
                format!("expected {}", super::parse::or_list(&known))
            }
        }));
    }
}

/// What a duration looks like, after "expected".
pub(super) const DURATION: &str = "a duration such as \"30s\" or \"1h 30m\"";

const UNITS: &str = "write numbers with units: `ms`, `s`, `m`, `h`, `d` or `w`, as in \"1h 30m\"";

/// Units to suggest: those that are not mistaken for another.
const UNIT_NAMES: [&str; 14] = [
    "ms", "s", "sec", "second", "seconds", "min", "minute", "minutes", "h", "hour", "hours", "day",
    "days", "weeks",
];

/// The bytes of the file that are the bytes `within` of a string's content. `typed` is the string
/// as it stands in the file, with quotes and escapes, `decoded` its content.
pub(super) fn inside(span: Span, typed: &str, decoded: &str, within: Range<usize>) -> Span {
    let Some(offsets) = offsets(typed, decoded) else { return span };
    let at = |offset: usize| span.start as usize + offsets.of(offset.min(decoded.len()));
    let (start, end) = (at(within.start), at(within.end.max(within.start)));
    Span::new(start, end.max(start))
}

/// Where each byte of a string's content stands.
enum Offsets {
    /// All by the same distance.
    Shifted(usize),
    /// Byte by byte, and the end.
    Each(Vec<usize>),
}

impl Offsets {
    fn of(&self, offset: usize) -> usize {
        match self {
            Offsets::Shifted(by) => offset + by,
            Offsets::Each(each) => each.get(offset).or(each.last()).copied().unwrap_or(0),
        }
    }
}

/// `None` for what is not a string and not the same text either.
fn offsets(typed: &str, decoded: &str) -> Option<Offsets> {
    if typed == decoded {
        // A number in the place of a string.
        return Some(Offsets::Shifted(0));
    }
    let without = |quotes: usize| typed.get(quotes..typed.len().checked_sub(quotes)?);
    // The usual string, without escapes.
    if let Some(quotes) = [3, 1].into_iter().find(|quotes| without(*quotes) == Some(decoded)) {
        return Some(Offsets::Shifted(quotes));
    }
    let quotes = if typed.starts_with("\"\"\"") || typed.starts_with("'''") { 3 } else { 1 };
    let content = without(quotes)?;
    let escapes = typed.starts_with('"');
    let mut each = Vec::with_capacity(decoded.len() + 1);
    let mut chars = content.char_indices().peekable();
    if quotes == 3 {
        // The newline after the opening quotes is not part of the string.
        let skip = if content.starts_with("\r\n") { 2 } else { content.starts_with('\n').into() };
        chars.by_ref().take(skip).for_each(drop);
    }
    while let Some((at, c)) = chars.next() {
        let mut len = c.len_utf8();
        if c == '\\' && escapes {
            let (_, escape) = chars.next()?;
            let digits = match escape {
                'x' => 2,
                'u' => 4,
                'U' => 8,
                // A backslash at the end of a line joins it with the next text.
                c if c.is_whitespace() => {
                    while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {}
                    continue;
                }
                _ => 0,
            };
            let digits: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
            let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
            len = code.map_or(1, char::len_utf8);
        }
        each.extend(std::iter::repeat_n(quotes + at, len));
    }
    // If we read it differently from the parser, its place is that of the whole string.
    let same = each.len() == decoded.len();
    each.push(quotes + content.len());
    same.then_some(Offsets::Each(each))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_place_in_a_string() {
        // (as typed, content, the part of it, the same part as typed)
        let rows = [
            (r#""0 3 * * *""#, "0 3 * * *", "3", "3"),
            (r"'0 3 * * *'", "0 3 * * *", "3", "3"),
            ("\"\"\"0 3 x\"\"\"", "0 3 x", "x", "x"),
            ("'''\n0 3 x'''", "0 3 x", "x", "x"),
            ("'5x'", "5x", "x", "x"),
            ("''", "", "", ""),
            (r#""a\tb c""#, "a\tb c", "b", "b"),
            (r#""\u00fcx ü y""#, "üx ü y", "y", "y"),
            (r#""\U0001F600\x41 y""#, "😀A y", "y", "y"),
            ("\"\"\"\\\n   a b\"\"\"", "a b", "b", "b"),
            (r#""a \"b\" c""#, "a \"b\" c", "c", "c"),
            ("15", "15", "5", "5"),
        ];
        for (typed, decoded, part, same) in rows {
            let at = decoded.rfind(part).unwrap();
            let span = Span::new(100, 100 + typed.len());
            let found = inside(span, typed, decoded, at..at + part.len());
            let found = &typed[found.start as usize - 100..found.end as usize - 100];
            assert_eq!(found, same, "{typed}");
        }
        let span = Span::new(10, 15);
        assert_eq!(inside(span, "\"abc\"", "something else", 3..4), span);
    }
}
