//! The string form: crontab(5) as Vixie cron and cronie read it, with the extensions of Quartz
//! and Jenkins that people ask for.
//!
//! ```text
//! *  *  *  *  *       five fields: minute hour day-of-month month day-of-week
//! *  *  *  *  *  *    six: second first
//! *  *  *  *  *  *  * seven: the year last
//! ```
//!
//! crontab(5): `*`, `a`, `a-b`, each with `/n`, lists, names, 0 and 7 for Sunday, macros; a field
//! that begins with `*` counts as unrestricted, and of two restricted day fields either may match.
//! Beyond it: `a/n` (to the end of the field), ranges that wrap (`fri-mon`, `22-2`), `?`,
//! `L L-3 LW L-3W 15W` as day of month, `5L fri#3 fri#L` as day of week, and `H` for a value that is
//! hashed from the job's id. The result is a [`Schedule`]; the other form is `super::fields`. What
//! is said of everything else is in `wrong`.

mod wrong;

use super::hash;
use super::schedule::{FIRST_YEAR, MAX_YEAR, More, NTH_LAST, Parts, Schedule, Years};
use crate::core::names::{self, SHORT_MONTHS, SHORT_WEEKDAYS_FROM_SUNDAY};
use crate::core::trigger::flaw::Flaw;
use wrong::Wrong;

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
    Year,
}

use Kind::{Day, Hour, Minute, Month, Second, Weekday, Year};

/// The fields of an expression of five, of six and of seven.
const FIELDS: [Kind; 7] = [Second, Minute, Hour, Day, Month, Weekday, Year];

impl Kind {
    fn name(self) -> &'static str {
        ["second", "minute", "hour", "day of month", "month", "day of week", "year"][self as usize]
    }

    /// The lowest and highest number. Day of week goes to 7, as in Vixie cron, so that `5-7` and
    /// `1-7/2` mean what they do there; 7 is made 0 when the field is done.
    fn range(self) -> (u32, u32) {
        let years = (1, MAX_YEAR as u32);
        [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 7), years][self as usize]
    }

    /// How many values there are before they repeat, which is what a step should divide.
    fn size(self) -> u32 {
        [60, 60, 24, 31, 12, 7, MAX_YEAR as u32][self as usize]
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
            Year => "1-9999",
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
    // `TZ=UTC 0 0 * * *` has six words and five fields.
    let kinds: &[Kind] = match count {
        5 => &FIELDS[1..6],
        6 | 7 if wrong::zone_prefix(expr).is_none() => &FIELDS[..count],
        _ => {
            let mut flaw = wrong::count(expr, count);
            if let Some(help) = wrong::rearranged(expr, &fields[..count.min(fields.len())]) {
                flaw = flaw.help(help);
            }
            flaws.push(flaw);
            return None;
        }
    };
    let known = flaws.len();
    let read = schedule(expr, kinds, &fields, id, flaws);
    let words = &fields[..count];
    if read.is_none()
        && let Some(flaw) = wrong::amazon(expr)
    {
        flaws.truncate(known);
        flaws.push(flaw);
        return None;
    }
    if read.is_some() {
        flaws.extend(wrong::month_of_any(expr, words));
    }
    if read.is_none() && count > 5 {
        if let Some(flaw) = wrong::zone_suffix(expr, words, id) {
            flaws.truncate(known);
            flaws.push(flaw);
        } else if let Some((schedule, flaw)) = year_last(expr, words, id) {
            flaws.truncate(known);
            flaws.push(flaw);
            return Some(Crontab::Schedule(schedule));
        }
    }
    if read.is_none()
        && let Some(help) = wrong::rearranged(expr, words)
        && let Some(flaw) = flaws.get_mut(known)
    {
        flaw.help = Some(help);
    }
    read.map(Crontab::Schedule)
}

/// The schedule of some fields, each of its kind.
fn schedule(
    expr: &str,
    kinds: &[Kind],
    fields: &[(usize, usize)],
    id: &str,
    flaws: &mut Vec<Flaw>,
) -> Option<Schedule> {
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
                    // One item that is every year is enough.
                    Year if open => parts.more.years.clear(),
                    Year => {}
                }
                match kind {
                    Second | Minute | Hour => parts.recurring |= open,
                    Day | Weekday => parts.either &= !starred,
                    Month | Year => {}
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
    sound.then(|| Schedule::new(parts))
}

/// Six fields that make sense only if the last is a year and none is a second, as some crons have
/// them. They are read so, with a warning.
fn year_last(expr: &str, words: &[(usize, usize)], id: &str) -> Option<(Schedule, Flaw)> {
    let (year, _) = words.get(5..6)?.first().copied()?;
    let year = &expr[year..words[5].1];
    // Who writes hour 24 means midnight.
    let is_midnight = matches!(year, "*" | "?") && &expr[words[2].0..words[2].1] == "24";
    if !is_year(year) || is_midnight {
        return None;
    }
    let schedule = schedule(expr, &FIELDS[1..], words, id, &mut Vec::new())?;
    let span = words[0].0..words[5].1;
    let message = "read as five fields and the year: it makes no sense with the second first";
    let help = format!("with a year, write all seven: `0 {}`", &expr[span.clone()]);
    Some((schedule, Flaw::warning(span, message).help(help)))
}

/// Whether a field looks like one of years and like nothing else: `2027`, `2027-2030/2`, `*`.
pub(crate) fn is_year(text: &str) -> bool {
    let year = |text: &str| text.len() == 4 && text.parse::<i32>().is_ok_and(|y| y >= FIRST_YEAR);
    text.split(',').all(|item| {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let range_is_good = match range.split_once('-') {
            Some((first, last)) => year(first) && year(last),
            None => matches!(range, "*" | "?") || year(range),
        };
        range_is_good && step.parse::<u32>().is_ok_and(|step| step > 0)
    })
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
    flaws.push(wrong::unknown_macro(word, span));
    None
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
        if self.kind == Year {
            return self.years(rest);
        }
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
            Some(b'L' | b'l') if self.kind == Day && !starts_with_last(rest) => {
                *rest = &rest[1..];
                return self.last_day(rest);
            }
            _ => {}
        }
        let first = self.value(rest)?;
        if self.one_of_the_month(first, first, rest)? {
            return Ok(());
        }
        let mut last = first;
        let is_range = rest.first() == Some(&b'-');
        if is_range {
            *rest = &rest[1..];
            self.open = true;
            last = self.value(rest)?;
            if self.kind == Weekday && self.one_of_the_month(first, last, rest)? {
                return Ok(());
            }
        }
        if rest.first() != Some(&b'/') {
            self.add(first, last, 1);
            return Ok(());
        }
        self.open = true;
        if !is_range {
            // `a/n` is `a-MAX/n`, and the week ends with its seventh day: `mon/3` is Monday and
            // Thursday, as it is elsewhere, and not Sunday as well.
            last = max;
            if self.kind == Weekday && first < last {
                last = 6;
            }
        }
        let full = first == min && last + 1 >= min + self.kind.size();
        let step = self.step(rest, warning, full)?;
        let reaches_sunday = (1..7).contains(&first) && (7 - first).is_multiple_of(step);
        if self.kind == Weekday && !is_range && reaches_sunday {
            warning.get_or_insert(self.no_sunday(first, step));
        }
        self.add(first, last, step);
        Ok(())
    }

    /// An item of the year field. `open` says that it is all of them.
    fn years(&mut self, rest: &mut &[u8]) -> Result<(), Wrong> {
        let star = matches!(rest.first(), Some(b'*' | b'?'));
        let (mut first, mut last) = (FIRST_YEAR as u32, MAX_YEAR as u32);
        if star {
            *rest = &rest[1..];
        } else {
            first = self.value(rest)?;
            let is_range = rest.first() == Some(&b'-');
            if is_range {
                *rest = &rest[1..];
                last = self.value(rest)?;
                if last < first {
                    let message = format!("the range of years `{}` runs backwards", self.text);
                    return Err(Wrong::error(message).help("the earlier year comes first"));
                }
            } else if rest.first() != Some(&b'/') {
                last = first;
            }
        }
        let step = self.step(rest, &mut None, false)?;
        self.open |= star && step == 1;
        // What is never reached is not there: of `2027-2030/10` only 2027 is.
        let (last, step) = if step > last - first { (first, 1) } else { (last, step) };
        let years = Years { first: first as i32, last: last as i32, step: step as i32 };
        if !self.more.years.contains(&years) {
            self.more.years.push(years);
        }
        Ok(())
    }

    /// `15W`, `friL`, `fri#3`, `mon-fri#1`: days that each month has elsewhere. Answers whether it is
    /// one of them.
    fn one_of_the_month(&mut self, first: u32, last: u32, rest: &mut &[u8]) -> Result<bool, Wrong> {
        let nth = match (rest.first(), self.kind) {
            (Some(b'W' | b'w'), Day) => {
                *rest = &rest[1..];
                self.more.nearest |= 1 << first;
                return Ok(true);
            }
            (Some(b'L' | b'l'), Weekday) => {
                *rest = &rest[1..];
                NTH_LAST
            }
            (Some(b'#'), Weekday) => {
                *rest = &rest[1..];
                self.nth(rest)?
            }
            _ => return Ok(false),
        };
        // A range may go round.
        for day in first..=if first <= last { last } else { last + 7 } {
            self.more.weekday_nth[(day as usize + 6) % 7] |= nth;
        }
        Ok(true)
    }

    /// After `#`: which of the month.
    fn nth(&self, rest: &mut &[u8]) -> Result<u8, Wrong> {
        if let Some(b'L' | b'l') = rest.first() {
            *rest = &rest[1..];
            return Ok(NTH_LAST);
        }
        let minus = rest.first() == Some(&b'-');
        if minus {
            *rest = &rest[1..];
        }
        match (minus, number(rest)) {
            (true, Some(1)) => Ok(NTH_LAST),
            (false, Some(nth @ 1..=5)) => Ok(1 << (nth - 1)),
            _ => {
                Err(Wrong::error(format!("`{}`: `#` takes a number from 1 to 5, or L", self.text))
                    .help("`fri#3` is the third Friday of the month, `fri#L` the last"))
            }
        }
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
        // Letters of ASCII are always text.
        let word = str::from_utf8(&rest[..letters]).unwrap_or_default();
        // `friL`, `fridayL`: the last friday. No name of a day ends so.
        let word = match word.strip_suffix(['L', 'l']) {
            Some(name) if self.kind == Weekday && self.named(name).is_some() => name,
            _ => word,
        };
        match self.named(word) {
            Some(value) => {
                *rest = &rest[word.len()..];
                Ok(value)
            }
            None => Err(self.unknown_name(word)),
        }
    }

    /// The number of a name.
    fn named(&self, word: &str) -> Option<u32> {
        match self.kind {
            Month => names::month(word).map(|month| month as u32 + 1),
            Weekday => names::weekday(word).map(|day| (day as u32 + 1) % 7),
            _ => None,
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
            *warning = Some(wrong::uneven_step(step, self.kind));
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

    /// After `L` in the day-of-month field: `L`, `L-3`, `L-3W`, `LW`.
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
                if let Some(b'W' | b'w') = rest.first() {
                    *rest = &rest[1..];
                    self.more.nearest_from_end |= 1 << before;
                } else {
                    self.more.from_end |= 1 << before;
                }
            }
            _ => self.more.from_end |= 1,
        }
        Ok(())
    }
}

/// Whether the word stands there that other crons have for `L`.
fn starts_with_last(rest: &[u8]) -> bool {
    rest.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"last"))
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

#[cfg(test)]
mod tests;
