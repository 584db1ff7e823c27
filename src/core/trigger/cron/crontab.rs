//! The string form: crontab(5) as Vixie cron and cronie read it, with the extensions of Quartz
//! and Jenkins that people ask for.
//!
//! ```text
//! *  *  *  *  *       five fields: minute hour day-of-month month day-of-week
//! *  *  *  *  *  *    six: second first
//! ```
//!
//! crontab(5): `*`, `a`, `a-b`, each with `/n`, lists, names, 0 and 7 for Sunday, macros; a field
//! that begins with `*` counts as unrestricted, and of two restricted day fields either may match.
//! Beyond it: `a/n` (to the end of the field), ranges that wrap (`fri-mon`, `22-2`), `?`,
//! `L L-3 LW 15W` as day of month, `5L fri#3` as day of week, and `H` for a value that is hashed
//! from the job's id. The result is a [`Schedule`]; the other form is `super::fields`.

use std::ops::Range;

use super::hash;
use super::schedule::{More, NTH_LAST, Parts, Schedule};
use crate::core::names::{SHORT_MONTHS, SHORT_WEEKDAYS_FROM_SUNDAY};
use crate::core::trigger::flaw::Flaw;

/// What a string-form expression says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crontab {
    /// A schedule.
    Schedule(Schedule),
    /// `@reboot`: when the scheduler starts.
    Reboot,
}

/// The macros of crontab(5), as fields.
const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// One kind of field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

use Kind::{Day, Hour, Minute, Month, Second, Weekday};

impl Kind {
    fn name(self) -> &'static str {
        ["second", "minute", "hour", "day of month", "month", "day of week"][self as usize]
    }

    /// The lowest and highest number. Day of week goes to 7, as in Vixie cron, so that `5-7` and
    /// `1-7/2` mean what they do there; 7 is made 0 when the field is done.
    fn range(self) -> (u32, u32) {
        [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7)][self as usize]
    }

    /// How many values there are before they repeat, which is what a step should divide.
    fn size(self) -> u32 {
        [60, 60, 24, 31, 12, 7][self as usize]
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Month => &SHORT_MONTHS,
            Weekday => &SHORT_WEEKDAYS_FROM_SUNDAY,
            _ => &[],
        }
    }

    fn allowed(self) -> &'static str {
        match self {
            Second | Minute => "0-59",
            Hour => "0-23",
            Day => "1-31",
            Month => "1-12 or jan-dec",
            Weekday => "0-7 (0 and 7 are Sunday) or sun-sat",
        }
    }
}

/// Reads a string-form expression. `id` is the job's id, which `H` is hashed from. Everything
/// that is wrong or odd is added to `flaws`; the answer is `None` when there was an error.
///
/// The span of a flaw is the field it is in.
pub fn parse(expr: &str, id: &str, flaws: &mut Vec<Flaw>) -> Option<Crontab> {
    if let Some(at) = expr.find('@')
        && expr[..at].trim_ascii().is_empty()
    {
        return parse_macro(expr, at, id, flaws);
    }
    let (fields, count) = split(expr.as_bytes());
    let kinds: &[Kind] = match count {
        5 => &[Minute, Hour, Day, Month, Weekday],
        // `TZ=UTC 0 0 * * *` has six words and five fields.
        6 if zone_prefix(expr).is_none() => &[Second, Minute, Hour, Day, Month, Weekday],
        _ => {
            flaws.push(wrong_count(expr, count));
            return None;
        }
    };
    let mut parts = Parts {
        seconds: 1,
        minutes: 0,
        hours: 0,
        days: 0,
        months: 0,
        weekdays: 0,
        either: true,
        recurring: false,
        more: More::default(),
    };
    let mut sound = true;
    for (kind, span) in kinds.iter().copied().zip(fields) {
        let text = &expr[span.0..span.1];
        let mut field = Field { kind, text, id, set: 0, open: false, more: &mut parts.more };
        match field.parse() {
            Ok(warning) => {
                let (set, open) = (field.set, field.open);
                let starred = text.starts_with(['*', '?']);
                match kind {
                    Second => parts.seconds = set,
                    Minute => parts.minutes = set,
                    Hour => parts.hours = set as u32,
                    Day => parts.days = set as u32,
                    Month => parts.months = set as u16,
                    Weekday => parts.weekdays = from_sunday_first(set),
                }
                match kind {
                    Second | Minute | Hour => parts.recurring |= open,
                    Day | Weekday => parts.either &= !starred,
                    Month => {}
                }
                if let Some(warning) = warning {
                    flaws.push(warning.at(span.0..span.1));
                }
            }
            Err(error) => {
                sound = false;
                flaws.push(error.at(span.0..span.1));
            }
        }
    }
    sound.then(|| Crontab::Schedule(Schedule::new(parts)))
}

/// The fields of an expression, as byte ranges: the first eight, and how many there are.
fn split(expr: &[u8]) -> ([(usize, usize); 8], usize) {
    let mut fields = [(0, 0); 8];
    let mut count = 0;
    let mut at = 0;
    while at < expr.len() {
        if expr[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let begin = at;
        while at < expr.len() && !expr[at].is_ascii_whitespace() {
            at += 1;
        }
        if let Some(field) = fields.get_mut(count) {
            *field = (begin, at);
        }
        count += 1;
    }
    (fields, count)
}

/// Bits 0..=7 with Sunday at 0 and 7, as bits 0..=6 with Monday at 0.
fn from_sunday_first(set: u64) -> u8 {
    let sunday = (set | set >> 7) & 1;
    (set >> 1 & 0x3f | sunday << 6) as u8
}

fn parse_macro(expr: &str, at: usize, id: &str, flaws: &mut Vec<Flaw>) -> Option<Crontab> {
    let word = expr[at..].trim_ascii_end();
    let span = at..at + word.len();
    if word.eq_ignore_ascii_case("@reboot") {
        return Some(Crontab::Reboot);
    }
    if let Some((_, fields)) = MACROS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)) {
        return parse(fields, id, flaws);
    }
    let flaw = Flaw::error(span, format!("unknown macro `{word}`"));
    let lower = word.to_ascii_lowercase();
    let nearest = super::nearest(&lower, MACROS.iter().map(|(name, _)| *name).chain(["@reboot"]));
    flaws.push(match nearest {
        _ if lower.starts_with("@every") => {
            flaw.help("to run at a fixed interval, use `interval = \"5m\"` instead of `cron`")
        }
        Some(name) => flaw.help(format!("did you mean `{name}`?")),
        None => flaw.help(
            "macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and \
             @reboot",
        ),
    });
    None
}

/// The word that sets a zone, as some crons take it before the fields.
fn zone_prefix(expr: &str) -> Option<&str> {
    let word = expr.split_ascii_whitespace().next()?;
    (word.starts_with("TZ=") || word.starts_with("CRON_TZ=")).then_some(word)
}

fn wrong_count(expr: &str, count: usize) -> Flaw {
    let begin = expr.len() - expr.trim_ascii_start().len();
    let end = expr.trim_ascii_end().len().max(begin);
    if count == 0 {
        return Flaw::error(0..expr.len(), "the cron expression is empty")
            .help("five fields: minute hour day-of-month month day-of-week, such as `0 3 * * *`");
    }
    if let Some(word) = zone_prefix(expr) {
        return Flaw::error(begin..begin + word.len(), "a time zone is not part of the expression")
            .help("set the job's `timezone`");
    }
    let fields = if count == 1 { "field" } else { "fields" };
    let flaw = Flaw::error(
        begin..end,
        format!("{count} {fields} where a cron expression has 5, or 6 with seconds first"),
    );
    match count {
        7 => flaw.help("to set a year, use the table form: `cron = { year = 2027, month = 1 }`"),
        0..5 => flaw.help("the order is: minute hour day-of-month month day-of-week"),
        _ => flaw.help("the order is: [second] minute hour day-of-month month day-of-week"),
    }
}

/// What is wrong with a field, before it has a place.
struct Wrong {
    warning: bool,
    message: String,
    help: Option<String>,
}

impl Wrong {
    fn error(message: String) -> Wrong {
        Wrong { warning: false, message, help: None }
    }

    fn warning(message: String) -> Wrong {
        Wrong { warning: true, message, help: None }
    }

    fn help(self, help: impl Into<String>) -> Wrong {
        Wrong { help: Some(help.into()), ..self }
    }

    fn at(self, span: Range<usize>) -> Flaw {
        let flaw = if self.warning {
            Flaw::warning(span, self.message)
        } else {
            Flaw::error(span, self.message)
        };
        Flaw { help: self.help, ..flaw }
    }
}

/// A field being read.
struct Field<'a> {
    kind: Kind,
    text: &'a str,
    id: &'a str,
    /// The numbers so far, as bits.
    set: u64,
    /// It holds a `*`, a range or a step.
    open: bool,
    more: &'a mut More,
}

impl Field<'_> {
    fn parse(&mut self) -> Result<Option<Wrong>, Wrong> {
        let mut warning = None;
        let mut rest = self.text.as_bytes();
        loop {
            self.item(&mut rest, &mut warning)?;
            match rest.split_first() {
                None => return Ok(warning),
                Some((b',', after)) => rest = after,
                Some(_) => return Err(self.unexpected(rest)),
            }
        }
    }

    /// One item of the list: up to a comma or the end.
    fn item(&mut self, rest: &mut &[u8], warning: &mut Option<Wrong>) -> Result<(), Wrong> {
        let (min, max) = self.kind.range();
        match rest.first() {
            Some(b'*' | b'?') => {
                *rest = &rest[1..];
                self.open = true;
                let step = self.step(rest, warning, true)?;
                self.add(min, max, step);
                return Ok(());
            }
            Some(b'H' | b'h') => {
                *rest = &rest[1..];
                return self.hashed(rest);
            }
            Some(b'L' | b'l') if self.kind == Day => {
                *rest = &rest[1..];
                return self.last_day(rest);
            }
            _ => {}
        }
        let first = self.value(rest)?;
        if self.one_of_the_month(first, rest)? {
            return Ok(());
        }
        let mut last = first;
        let is_range = rest.first() == Some(&b'-');
        if is_range {
            *rest = &rest[1..];
            self.open = true;
            last = self.value(rest)?;
        }
        if rest.first() != Some(&b'/') {
            self.add(first, last, 1);
            return Ok(());
        }
        self.open = true;
        if !is_range {
            // `a/n` is `a-MAX/n`.
            last = max;
        }
        let full = first == min && last + 1 >= min + self.kind.size();
        let step = self.step(rest, warning, full)?;
        self.add(first, last, step);
        Ok(())
    }

    /// `15W`, `friL`, `fri#3`: a day that each month has elsewhere. Answers whether it is one.
    fn one_of_the_month(&mut self, first: u32, rest: &mut &[u8]) -> Result<bool, Wrong> {
        match (rest.first(), self.kind) {
            (Some(b'W' | b'w'), Day) => {
                *rest = &rest[1..];
                self.more.nearest |= 1 << first;
            }
            (Some(b'L' | b'l'), Weekday) => {
                *rest = &rest[1..];
                self.more.weekday_nth[(first as usize + 6) % 7] |= NTH_LAST;
            }
            (Some(b'#'), Weekday) => {
                *rest = &rest[1..];
                let nth = number(rest).filter(|nth| (1..=5).contains(nth)).ok_or_else(|| {
                    Wrong::error(format!("`{}`: `#` takes a number from 1 to 5", self.text))
                        .help("`fri#3` is the third Friday of the month, `friL` the last")
                })?;
                self.more.weekday_nth[(first as usize + 6) % 7] |= 1 << (nth - 1);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Adds `first..=last` in steps; a range whose end is before its start goes round.
    fn add(&mut self, first: u32, last: u32, step: u32) {
        if step == 1 && first <= last {
            self.set |= u64::MAX >> (63 - (last - first)) << first;
            return;
        }
        let (min, _) = self.kind.range();
        let size = self.kind.size();
        let last = if first <= last { last } else { last + size };
        let wraps = last > self.kind.range().1;
        let mut value = first;
        while value <= last {
            let bit = if wraps { (value - min) % size + min } else { value };
            self.set |= 1 << bit;
            value = value.saturating_add(step);
        }
    }

    /// A number or a name.
    fn value(&self, rest: &mut &[u8]) -> Result<u32, Wrong> {
        let (min, max) = self.kind.range();
        if let Some(value) = number(rest) {
            if value < min || value > max {
                return Err(self.out_of_range(value));
            }
            return Ok(value);
        }
        let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        if letters == 0 || self.kind.names().is_empty() {
            return Err(self.unexpected(rest));
        }
        // `friL`: the last friday.
        let is_last = letters == 4 && self.kind == Weekday && matches!(rest[3], b'L' | b'l');
        let word = &rest[..if is_last { 3 } else { letters }];
        let found = self.kind.names().iter().position(|n| word.eq_ignore_ascii_case(n.as_bytes()));
        match found {
            Some(index) => {
                *rest = &rest[word.len()..];
                Ok(index as u32 + min)
            }
            None => Err(self.unknown_name(&String::from_utf8_lossy(word))),
        }
    }

    /// `/n`, if it stands there. `full` says that the range is all of the field, whose end the
    /// step should meet.
    fn step(
        &self,
        rest: &mut &[u8],
        warning: &mut Option<Wrong>,
        full: bool,
    ) -> Result<u32, Wrong> {
        if rest.first() != Some(&b'/') {
            return Ok(1);
        }
        *rest = &rest[1..];
        let (kind, size) = (self.kind.name(), self.kind.size());
        let step = match number(rest) {
            None => return Err(self.unexpected(rest)),
            Some(0) => {
                return Err(Wrong::error(format!("a step of 0 in the {kind} field"))
                    .help(format!("a step must be at least 1, as in `*/{}`", 5.min(size))));
            }
            Some(step) => step,
        };
        if full && step >= size {
            let (min, _) = self.kind.range();
            *warning = Some(
                Wrong::warning(format!("a step of {step} is longer than the {kind} field"))
                    .help(format!("it matches only {min}; write that, or use a smaller step")),
            );
        } else if full && size % step != 0 {
            *warning = Some(uneven_step(step, self.kind));
        }
        Ok(step)
    }

    /// `H`, `H/n`, `H(a-b)`, `H(a-b)/n`.
    fn hashed(&mut self, rest: &mut &[u8]) -> Result<(), Wrong> {
        let (mut first, mut last) = match self.kind {
            // A day that every month has, so that the job runs each month; and 7 is 0 again.
            Day => (1, 28),
            Weekday => (0, 6),
            kind => kind.range(),
        };
        if rest.first() == Some(&b'(') {
            *rest = &rest[1..];
            first = self.value(rest)?;
            if rest.first() != Some(&b'-') {
                return Err(self.unexpected(rest));
            }
            *rest = &rest[1..];
            last = self.value(rest)?;
            if rest.first() != Some(&b')') {
                return Err(self.unexpected(rest));
            }
            *rest = &rest[1..];
            if first > last {
                return Err(Wrong::error(format!("`{}`: this range runs backwards", self.text)));
            }
        }
        let stepped = rest.first() == Some(&b'/');
        let step = self.step(rest, &mut None, false)?;
        let salt = (self.kind as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = hash::mix(hash::text(self.id) ^ salt);
        if stepped {
            self.open = true;
            let step = step.min(last - first + 1);
            self.add(first + (hash % u64::from(step)) as u32, last, step);
        } else {
            let value = first + (hash % u64::from(last - first + 1)) as u32;
            self.add(value, value, 1);
        }
        Ok(())
    }

    /// After `L` in the day-of-month field: `L`, `L-3`, `LW`.
    fn last_day(&mut self, rest: &mut &[u8]) -> Result<(), Wrong> {
        match rest.first() {
            Some(b'W' | b'w') => {
                *rest = &rest[1..];
                self.more.nearest |= 1;
            }
            Some(b'-') => {
                *rest = &rest[1..];
                let before = number(rest).filter(|before| *before <= 30).ok_or_else(|| {
                    Wrong::error(format!("`{}`: `L-` takes a number from 0 to 30", self.text))
                        .help("`L-3` is three days before the last day of the month")
                })?;
                self.more.from_end |= 1 << before;
            }
            _ => self.more.from_end |= 1,
        }
        Ok(())
    }

    #[cold]
    fn out_of_range(&self, value: u32) -> Wrong {
        let (name, allowed) = (self.kind.name(), self.kind.allowed());
        let wrong = match value {
            // It did not fit, so this is not what was typed.
            u32::MAX => Wrong::error(format!("`{}`: out of range {allowed}", self.text)),
            _ => Wrong::error(format!("{name} {value} is out of range {allowed}")),
        };
        match (self.kind, value) {
            (Hour, 24) => wrong.help("midnight is hour 0"),
            (Second | Minute, 60) => wrong.help(format!("{name}s go from 0 to 59")),
            _ => wrong,
        }
    }

    #[cold]
    fn unknown_name(&self, word: &str) -> Wrong {
        let kind = self.kind.name();
        let wrong = Wrong::error(format!("`{word}` is not a {kind}"));
        if self.kind == Weekday && word.eq_ignore_ascii_case("L") {
            return wrong.help("`5L` or `friL` is the last Friday of the month; Saturday is `sat`");
        }
        let lower = word.to_ascii_lowercase();
        match super::nearest_name(&lower, self.kind.names()) {
            Some(name) => wrong.help(format!("did you mean `{name}`?")),
            None => wrong.help(format!("allowed: {}", self.kind.allowed())),
        }
    }

    #[cold]
    fn unexpected(&self, rest: &[u8]) -> Wrong {
        let (text, kind, allowed) = (self.text, self.kind.name(), self.kind.allowed());
        let rest = String::from_utf8_lossy(rest);
        let wrong = match rest.chars().next() {
            None => Wrong::error(format!("the {kind} field `{text}` ends too early")),
            Some(char) => Wrong::error(format!("unexpected `{char}` in the {kind} field `{text}`")),
        };
        match rest.chars().next() {
            Some('~') => {
                wrong.help("for a value that differs from job to job, use `H` or `H(0-29)`")
            }
            _ if text.contains('#') => match self.kind {
                Weekday => wrong.help("`fri#3` is the third Friday of the month"),
                _ => wrong.help("`fri#3` belongs in the day-of-week field"),
            },
            Some('L' | 'l') => {
                wrong.help("`L` belongs in the day-of-month field, `5L` in day-of-week")
            }
            Some('W' | 'w') => wrong.help("`15W` belongs in the day-of-month field"),
            _ => wrong.help(format!("allowed: {allowed}, `a-b`, `*/n` and lists of them")),
        }
    }
}

/// The digits at the start of `rest`, as a number; saturates, so that it stays out of range.
fn number(rest: &mut &[u8]) -> Option<u32> {
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let (number, after) = rest.split_at(digits);
    *rest = after;
    Some(
        number
            .iter()
            .fold(0, |n: u32, digit| n.saturating_mul(10).saturating_add(u32::from(digit - b'0'))),
    )
}

/// The warning for a step that does not divide its field.
#[cold]
fn uneven_step(step: u32, kind: Kind) -> Wrong {
    let (name, size) = (kind.name(), kind.size());
    let (min, _) = kind.range();
    let last = min + (size - 1) / step * step;
    let wrong = match kind {
        Day => Wrong::warning(format!("a step of {step} starts again at day 1 of each month")),
        Weekday => {
            Wrong::warning(format!("a step of {step} does not divide the 7 days of the week"))
        }
        _ => Wrong::warning(format!("a step of {step} does not divide the {size} {name}s evenly")),
    };
    let unit = match kind {
        Second => Some((60, "s")),
        Minute => Some((60, "m")),
        Hour => Some((24, "h")),
        Day | Month | Weekday => None,
    };
    match (unit, kind) {
        (Some((_, unit)), _) => wrong.help(format!(
            "from {last} to {min} is only {}{unit}; for a fixed interval use `interval = \
             \"{step}{unit}\"`",
            size - last + min
        )),
        (None, Day) => wrong.help("to run every few days, use `interval` or list the days"),
        (None, Weekday) => wrong.help("list the days by name: `mon,wed,fri`"),
        (None, _) => wrong.help(format!("after {name} {last} comes {name} {min}")),
    }
}

#[cfg(test)]
mod tests;
