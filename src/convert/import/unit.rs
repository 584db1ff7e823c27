//! The syntax of systemd's unit files: sections, `Key=value`, continued lines, quoted words.

use std::ops::Range;

use crate::problem::Span;

/// A setting, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) span: Span,
}

/// The settings of a unit, in their order, and its comments that stand above `[Unit]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Unit {
    pub(super) settings: Vec<Setting>,
}

impl Unit {
    /// The values of a key; an empty one takes back those before it, as systemd has it.
    pub(super) fn all(&self, section: &str, key: &str) -> Vec<&Setting> {
        let mut found: Vec<&Setting> = Vec::new();
        for setting in self.settings.iter().filter(|s| s.section == section && s.key == key) {
            if setting.value.is_empty() { found.clear() } else { found.push(setting) }
        }
        found
    }

    /// For keys that are one list to systemd: an empty value of one takes back all of them.
    pub(super) fn taken_back_together(&mut self, section: &str, keys: &[&str]) {
        let ours = |s: &Setting| s.section == section && keys.contains(&s.key.as_str());
        let Some(last) = self.settings.iter().rposition(|s| ours(s) && s.value.is_empty()) else {
            return;
        };
        let mut at = 0..;
        self.settings.retain(|setting| at.next().is_some_and(|at| at > last) || !ours(setting));
    }

    /// The value of a key that may have one; the last one counts.
    pub(super) fn one(&self, section: &str, key: &str) -> Option<&Setting> {
        self.all(section, key).pop()
    }
}

/// Reads a unit file. Lines that are none of it are given back with the reason.
pub(super) fn parse(text: &str) -> (Unit, Vec<(Span, String)>) {
    let mut unit = Unit::default();
    let mut wrong = Vec::new();
    let mut section = String::new();
    let mut open: Option<(String, Range<usize>)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.trim_end().len();
        at += line.len();
        let trimmed = line.trim();
        // A comment within a continued line is left out of it.
        if trimmed.starts_with(['#', ';']) || trimmed.is_empty() && open.is_none() {
            continue;
        }
        let (content, goes_on) = match trimmed.strip_suffix('\\') {
            Some(content) => (content, true),
            None => (trimmed, false),
        };
        let (mut logical, whole) = match open.take() {
            Some((before, start)) => (format!("{before} {content}"), start.start..range.end),
            None => (content.to_owned(), range),
        };
        if goes_on {
            open = Some((std::mem::take(&mut logical), whole));
            continue;
        }
        complete(&logical, whole, &mut section, &mut unit, &mut wrong);
    }
    if let Some((logical, whole)) = open {
        complete(&logical, whole, &mut section, &mut unit, &mut wrong);
    }
    (unit, wrong)
}

fn complete(
    line: &str,
    range: Range<usize>,
    section: &mut String,
    unit: &mut Unit,
    wrong: &mut Vec<(Span, String)>,
) {
    let span = Span::new(range.start, range.end);
    if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
        *section = name.to_owned();
    } else if let Some((key, value)) = line.split_once('=') {
        unit.settings.push(Setting {
            section: section.clone(),
            key: key.trim().to_owned(),
            value: value.trim().to_owned(),
            span,
        });
    } else if !line.trim().is_empty() {
        wrong.push((span, "not converted: this is no setting of a unit".to_owned()));
    }
}

/// A word of a command line; `literal` words stood in quotes, and no variable is split in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

/// Splits a value into words, with systemd's quotes and escapes.
pub(super) fn words(value: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote = None;
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        let current = || Word { text: String::new(), quoted: false };
        match (c, quote) {
            // `\;` alone is a semicolon that ends no command.
            ('\\', None) if word.is_none() && semicolon(chars.as_str()) => {
                chars.next();
                words.push(Word { text: ";".to_owned(), quoted: true });
            }
            ('\\', Some('\'') | Some('"') | None) => {
                let word = word.get_or_insert_with(current);
                word.text.push(escape(&mut chars)?);
            }
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_with(current).text.push(c),
            ('"' | '\'', None) => {
                word.get_or_insert_with(current).quoted = true;
                quote = Some(c);
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_with(current).text.push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

/// Whether a text begins with a semicolon that is a word.
fn semicolon(text: &str) -> bool {
    text.strip_prefix(';').is_some_and(|after| after.is_empty() || after.starts_with([' ', '\t']))
}

/// What follows a backslash.
fn escape(chars: &mut std::str::Chars<'_>) -> Result<char, String> {
    let unknown = || "unknown escape sequence".to_owned();
    let code = |chars: &mut std::str::Chars<'_>, digits: usize, radix: u32| {
        let text: String = chars.by_ref().take(digits).collect();
        let number = u32::from_str_radix(&text, radix).map_err(|_| unknown())?;
        char::from_u32(number).filter(|c| *c != '\0').ok_or_else(unknown)
    };
    Ok(match chars.next().ok_or_else(unknown)? {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        's' => ' ',
        c @ ('\\' | '"' | '\'') => c,
        'x' => code(chars, 2, 16)?,
        'u' => code(chars, 4, 16)?,
        'U' => code(chars, 8, 16)?,
        c @ '0'..='7' => {
            let rest: String = chars.by_ref().take(2).collect();
            let number = u32::from_str_radix(&format!("{c}{rest}"), 8).map_err(|_| unknown())?;
            char::from_u32(number).filter(|c| *c != '\0').ok_or_else(unknown)?
        }
        _ => return Err(unknown()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_settings_and_their_places() {
        let text = "# a comment\n[Timer]\nOnCalendar=daily\n; another\nOnCalendar = \\\n  weekly\n\
                    OnBootSec=\nnonsense\n[Install]\nWantedBy=timers.target\n";
        let (unit, wrong) = parse(text);
        let values: Vec<&str> =
            unit.all("Timer", "OnCalendar").iter().map(|s| s.value.as_str()).collect();
        assert_eq!(values, ["daily", "weekly"]);
        assert!(unit.one("Timer", "OnBootSec").is_none());
        assert_eq!(wrong.len(), 1);
        let span = unit.all("Timer", "OnCalendar")[0].span.range();
        assert_eq!(&text[span], "OnCalendar=daily");
    }

    #[test]
    fn an_empty_value_takes_back() {
        let (unit, _) = parse("[Service]\nExecStart=a\nExecStart=\nExecStart=b\n");
        let values: Vec<&str> =
            unit.all("Service", "ExecStart").iter().map(|s| s.value.as_str()).collect();
        assert_eq!(values, ["b"]);
    }

    #[test]
    fn splits_words() {
        let rows: &[(&str, &[&str])] = &[
            ("/bin/a b  c", &["/bin/a", "b", "c"]),
            (r#"a "b c" 'd "e' f\x20g"#, &["a", "b c", "d \"e", "f g"]),
            (r#""A=b c" D=e"#, &["A=b c", "D=e"]),
            (r"find -exec a {} \; b", &["find", "-exec", "a", "{}", ";", "b"]),
            (r#"a "" b\tc \101"#, &["a", "", "b\tc", "A"]),
        ];
        for (value, expected) in rows {
            let found: Vec<String> = words(value).unwrap().into_iter().map(|w| w.text).collect();
            assert_eq!(found, *expected, "{value}");
        }
        assert!(words("a \"b").is_err());
        assert!(words(r"a \q").is_err());
        assert!(words(r"a \;b").is_err());
    }
}
