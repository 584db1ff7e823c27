//! The table form: APScheduler 3's `CronTrigger` arguments.
//!
//! `cron = { month = "6-8,11-12", day = "3rd fri", hour = "0-3" }`: every field has to match.
//! The expressions are APScheduler's, with its limits (a range does not wrap, a step is no wider
//! than what it steps over, 0 is monday), except that trailing rubbish, which its regular
//! expressions let pass, is an error. The result is a [`Schedule`]; the other form is
//! `super::crontab`.

use std::ops::Range;

use super::schedule::{
    ALL_DAYS, ALL_MONTHS, ALL_SIXTY, ALL_WEEKDAYS, ALL_WEEKS, FIRST_YEAR, MAX_YEAR, More, NTH_LAST,
    Parts, Schedule, Years,
};
use crate::core::names::{self, SHORT_MONTHS, SHORT_WEEKDAYS};
use crate::core::trigger::flaw::Flaw;

/// A field of the table form, APScheduler's names, most significant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `year`, 1970..=9999.
    Year,
    /// `month`, 1..=12 or `jan`..`dec`.
    Month,
    /// `day`, 1..=31, `3rd fri`, `last fri`, `last`.
    Day,
    /// `week`, ISO week 1..=53.
    Week,
    /// `day_of_week`, 0..=6 with 0 = monday, or `mon`..`sun`.
    DayOfWeek,
    /// `hour`, 0..=23.
    Hour,
    /// `minute`, 0..=59.
    Minute,
    /// `second`, 0..=59.
    Second,
}

const POSITIONS: [&str; 6] = ["1st", "2nd", "3rd", "4th", "5th", "last"];

impl Field {
    /// Every field, most significant first.
    pub const ALL: [Field; 8] = [
        Field::Year,
        Field::Month,
        Field::Day,
        Field::Week,
        Field::DayOfWeek,
        Field::Hour,
        Field::Minute,
        Field::Second,
    ];

    /// Its key in a jobfile.
    pub fn key(self) -> &'static str {
        ["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"][self as usize]
    }

    fn range(self) -> (u32, u32) {
        let years = (FIRST_YEAR as u32, MAX_YEAR as u32);
        [years, (1, 12), (1, 31), (1, 53), (0, 6), (0, 23), (0, 59), (0, 59)][self as usize]
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &SHORT_MONTHS,
            Field::DayOfWeek => &SHORT_WEEKDAYS,
            _ => &[],
        }
    }

    fn allowed(self) -> &'static str {
        match self {
            Field::Year => "1970-9999",
            Field::Month => "1-12 or jan-dec",
            Field::Day => "1-31, `last`, `3rd fri` or `last fri`",
            Field::Week => "1-53",
            Field::DayOfWeek => "mon-sun, or 0-6 (0 is Monday)",
            Field::Hour => "0-23",
            Field::Minute | Field::Second => "0-59",
        }
    }
}

/// Collects the fields of a table-form schedule.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// The sets of the fields that were given, indexed by [`Field`].
    sets: [Option<u64>; 8],
    more: More,
    /// Second, minute or hour hold a `*`, a range or a step.
    recurring: bool,
}

impl Builder {
    /// Sets a field from its text. What is wrong with it is added to `flaws` (spans are bytes of
    /// `text`); the answer says whether the field can be used.
    pub fn set(&mut self, field: Field, text: &str, flaws: &mut Vec<Flaw>) -> bool {
        let mut reader = Reader { field, set: 0, more: &mut self.more, open: false, flaws };
        let mut sound = true;
        let mut at = 0;
        for item in text.split(',') {
            let begin = at + (item.len() - item.trim_start().len());
            let trimmed = item.trim();
            sound &= reader.item(trimmed, begin..begin + trimmed.len());
            at += item.len() + 1;
        }
        let (set, open) = (reader.set, reader.open);
        if field == Field::Week {
            self.more.weeks = set;
        }
        if field >= Field::Hour {
            self.recurring |= open;
        }
        self.sets[field as usize] = Some(set);
        sound
    }

    /// The schedule, with the fields that were not set filled in by APScheduler's rule: its
    /// minimum if it is less significant than every field that was set, else `*`; `week` and
    /// `day_of_week` always `*`.
    pub fn build(mut self) -> Schedule {
        let last_given = self.sets.iter().rposition(Option::is_some);
        let mut field = |field: Field, all: u64| match self.sets[field as usize] {
            Some(set) => set,
            None if last_given.is_some_and(|last| field as usize > last) => 1 << field.range().0,
            None => {
                self.recurring |= field >= Field::Hour;
                all
            }
        };
        let seconds = field(Field::Second, ALL_SIXTY);
        let minutes = field(Field::Minute, ALL_SIXTY);
        let hours = field(Field::Hour, super::schedule::ALL_HOURS.into()) as u32;
        let days = field(Field::Day, ALL_DAYS.into()) as u32;
        let months = field(Field::Month, ALL_MONTHS.into()) as u16;
        let weekdays = self.sets[Field::DayOfWeek as usize].unwrap_or(ALL_WEEKDAYS.into()) as u8;
        if self.more.weeks == 0 {
            self.more.weeks = ALL_WEEKS;
        }
        let (first, last) = Field::Year.range();
        let every = Years { first: first as i32, last: last as i32, step: 1 };
        if self.more.years.contains(&every) {
            // No list says the same, and is what the engine is quick at.
            self.more.years.clear();
        }
        Schedule::new(Parts {
            seconds,
            minutes,
            hours,
            days,
            months,
            weekdays,
            either: false,
            recurring: self.recurring,
            more: self.more,
        })
    }
}

/// Reads the expressions of one field.
struct Reader<'a> {
    field: Field,
    set: u64,
    more: &'a mut More,
    open: bool,
    flaws: &'a mut Vec<Flaw>,
}

/// `first`, `last` and `step` of an expression; `None` where it does not say.
struct Numbers {
    first: u32,
    last: Option<u32>,
    step: Option<u32>,
}

impl Reader<'_> {
    fn error(&mut self, span: Range<usize>, message: String, help: String) -> bool {
        self.flaws.push(Flaw::error(span, message).help(help));
        false
    }

    /// One expression of the list, without the spaces around it.
    fn item(&mut self, text: &str, span: Range<usize>) -> bool {
        let field = self.field;
        if text.is_empty() {
            return self.error(
                span,
                format!("an empty expression in the {} field", field.key()),
                format!("allowed: {}", field.allowed()),
            );
        }
        if let Some(rest) = text.strip_prefix('*') {
            return self.star(text, rest, span);
        }
        if text.starts_with(|c: char| c.is_ascii_digit())
            && let Some(numbers) = numbers(text)
        {
            return self.numbers(text, &numbers, span);
        }
        if !field.names().is_empty() {
            return self.named(text, span);
        }
        if field == Field::Day {
            return self.position(text, span);
        }
        self.not_an_expression(text, span)
    }

    /// `*` or `*/n`.
    fn star(&mut self, text: &str, rest: &str, span: Range<usize>) -> bool {
        let (min, max) = self.field.range();
        let step = match (rest.is_empty(), rest.strip_prefix('/').map(str::parse::<u32>)) {
            (true, _) => None,
            (false, Some(Ok(step))) => Some(step),
            _ => return self.not_an_expression(text, span),
        };
        self.numbers(text, &Numbers { first: min, last: Some(max), step }, span)
    }

    /// A range of numbers, by APScheduler's rules.
    fn numbers(&mut self, text: &str, numbers: &Numbers, span: Range<usize>) -> bool {
        let (field, (min, max)) = (self.field, self.field.range());
        let &Numbers { first, last, step } = numbers;
        let star = text.starts_with('*');
        let key = field.key();
        if let Some(out) = [Some(first), last].into_iter().flatten().find(|n| *n < min || *n > max)
        {
            let help = match (field, out) {
                (Field::DayOfWeek, 7) => {
                    "0 is Monday here, so Sunday is 6: better write `sun`".into()
                }
                (Field::Hour, 24) => "midnight is hour 0".into(),
                _ => format!("allowed: {}", field.allowed()),
            };
            let message = match out {
                // It did not fit, so this is not what was typed.
                u32::MAX => format!("`{text}`: out of range {min}-{max}"),
                _ => format!("{key} {out} is out of range {min}-{max}"),
            };
            return self.error(span, message, help);
        }
        if last.is_some_and(|last| last < first) {
            let (from, to) = (first, last.unwrap_or(first));
            let help = match field {
                Field::Year => "the earlier year comes first".into(),
                _ => does_not_wrap(&[from, max], &[min, to]),
            };
            return self.error(span, format!("the range `{text}` runs backwards"), help);
        }
        if step == Some(0) {
            let help = "a step must be at least 1".into();
            return self.error(span, format!("a step of 0 in the {key} field"), help);
        }
        let end = last.unwrap_or(if step.is_some() { max } else { first });
        let step_width = step.unwrap_or(1);
        if step.is_some() && step_width > end - first {
            return self.error(
                span,
                format!("a step of {step_width} is wider than the range of `{text}`"),
                match end - first {
                    0 => "leave out the step".to_owned(),
                    most => format!("from {first} to {end} a step is at most {most}"),
                },
            );
        }
        if field == Field::DayOfWeek && !star {
            self.warn_numeric_weekday(text, first, last, step, span);
        } else if let Some(step) = step {
            self.warn_uneven_step(first, end, step, span);
        }
        self.open |= star || last.is_some() || step.is_some();
        if field == Field::Year {
            let years = Years { first: first as i32, last: end as i32, step: step_width as i32 };
            self.more.years.push(years);
            self.set = 1;
            return true;
        }
        for value in (first..=end).step_by(step_width as usize) {
            self.set |= 1 << value;
        }
        true
    }

    /// `jan`, `jan-mar`, `mon`, `mon-fri`.
    fn named(&mut self, text: &str, span: Range<usize>) -> bool {
        let (field, all, min) = (self.field, self.field.names(), self.field.range().0);
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (first, Some(last)),
            None => (text, None),
        };
        let index = |name: &str| match field {
            Field::Month => names::month(name),
            _ => names::weekday(name),
        };
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic());
        for name in [Some(first), last].into_iter().flatten() {
            if !is_name(name) {
                return self.not_an_expression(text, span);
            }
            if index(name).is_none() {
                let key = field.key();
                let help = self.nearest_name(name, all);
                return self.error(span, format!("`{name}` is not a {key}"), help);
            }
        }
        let (Some(first), Some(last)) = (index(first), index(last.unwrap_or(first))) else {
            return self.not_an_expression(text, span);
        };
        if last < first {
            let (from, to) = (all[first], all[last]);
            let help = does_not_wrap(&[from, all[all.len() - 1]], &[all[0], to]);
            return self.error(span, format!("the range `{text}` runs backwards"), help);
        }
        self.open |= text.contains('-');
        for value in first..=last {
            self.set |= 1 << (value as u32 + min);
        }
        true
    }

    /// `last`, `3rd fri`, `last fri`.
    fn position(&mut self, text: &str, span: Range<usize>) -> bool {
        let mut words = text.split_ascii_whitespace();
        let (which, weekday) = (words.next().unwrap_or(""), words.next());
        if words.next().is_some() {
            return self.not_an_expression(text, span);
        }
        let Some(nth) = POSITIONS.iter().position(|name| name.eq_ignore_ascii_case(which)) else {
            return self.not_an_expression(text, span);
        };
        let Some(weekday) = weekday else {
            if nth != 5 {
                return self.not_an_expression(text, span);
            }
            self.more.from_end |= 1;
            return true;
        };
        let Some(weekday_index) = names::weekday(weekday) else {
            let help = self.nearest_name(weekday, &SHORT_WEEKDAYS);
            return self.error(span, format!("`{weekday}` is not a weekday"), help);
        };
        self.more.nth[weekday_index] |= if nth == 5 { NTH_LAST } else { 1 << nth };
        true
    }

    #[cold]
    fn nearest_name(&self, word: &str, names: &'static [&'static str]) -> String {
        let lower = word.to_ascii_lowercase();
        match super::nearest_name(&lower, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("allowed: {}", names.join(" ")),
        }
    }

    #[cold]
    fn not_an_expression(&mut self, text: &str, span: Range<usize>) -> bool {
        let (field, key) = (self.field, self.field.key());
        let article = if key.starts_with('h') { "an" } else { "a" };
        let help = match field {
            Field::DayOfWeek if text.contains('/') => {
                "names cannot have a step: list them, as in `mon,wed,fri`".to_owned()
            }
            Field::DayOfWeek if text.contains('#') || text.contains(' ') => {
                "`3rd fri` belongs in `day`: `day = \"3rd fri\"`".to_owned()
            }
            _ => {
                format!("allowed: {}, `a-b`, `*/n`, `a-b/n` and lists of them", field.allowed())
            }
        };
        self.error(span, format!("`{text}` is not {article} {key} expression"), help)
    }

    /// APScheduler counts weekdays from monday, crontab(5) from sunday.
    fn warn_numeric_weekday(
        &mut self,
        text: &str,
        first: u32,
        last: Option<u32>,
        step: Option<u32>,
        span: Range<usize>,
    ) {
        let name = |day: u32| SHORT_WEEKDAYS[day as usize % 7];
        let means = match (last, step) {
            (Some(last), None) if last != first => format!("{}-{}", name(first), name(last)),
            (None, None) | (Some(_), None) => name(first).to_owned(),
            (last, Some(step)) => {
                let days = (first..=last.unwrap_or(6)).step_by(step as usize);
                days.map(name).collect::<Vec<_>>().join(",")
            }
        };
        self.flaws.push(
            Flaw::warning(
                span,
                format!("day_of_week `{text}` counts from Monday = 0, so it means {means}"),
            )
            .help(format!("write `day_of_week = \"{means}\"`; in a crontab, 0 is Sunday")),
        );
    }

    fn warn_uneven_step(&mut self, first: u32, end: u32, step: u32, span: Range<usize>) {
        let (field, (min, max)) = (self.field, self.field.range());
        let size = max - min + 1;
        if field == Field::Year || first != min || end != max || size % step == 0 {
            return;
        }
        let unit = field.key();
        let flaw = match field {
            Field::Day => {
                Flaw::warning(span, format!("a step of {step} starts again at day 1 of each month"))
                    .help("to run every few days, use `interval` or list the days")
            }
            Field::Week => {
                Flaw::warning(span, format!("a step of {step} starts again at week 1 of each year"))
                    .help("to run every few weeks, use `interval = { weeks = … }`")
            }
            _ => {
                let last = min + (size - 1) / step * step;
                let gap = size - last + min;
                let flaw = Flaw::warning(
                    span,
                    format!("a step of {step} does not divide the {size} values of {unit} evenly"),
                );
                match field {
                    Field::Hour | Field::Minute | Field::Second => flaw.help(format!(
                        "from {last} to {min} is only {gap}; for a fixed interval use \
                         `interval = {{ {unit}s = {step} }}`"
                    )),
                    _ => flaw.help(format!("after {last} comes {min}")),
                }
            }
        };
        self.flaws.push(flaw);
    }
}

/// The help for a range that would have to go round: its two parts.
#[cold]
fn does_not_wrap<T: std::fmt::Display + PartialEq>(first: &[T; 2], second: &[T; 2]) -> String {
    let range =
        |[from, to]: &[T; 2]| if from == to { from.to_string() } else { format!("{from}-{to}") };
    let (first, second) = (range(first), range(second));
    format!("a range in the table form does not wrap: write `{first},{second}`")
}

/// `a`, `a-b`, `a/n`, `a-b/n`, and nothing else.
fn numbers(text: &str) -> Option<Numbers> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // What does not fit is out of range all the same.
        digits.then(|| text.parse().unwrap_or(u32::MAX))
    };
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, Some(number(step)?)),
        None => (text, None),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, Some(number(last)?)),
        None => (number(range)?, None),
    };
    Some(Numbers { first, last, step })
}

#[cfg(test)]
mod tests;
