//! Reads an `interval`: elapsed time, or months and days of the calendar.
//!
//! Which of the two it is, the keys of its table say: `months`, `years` and a time of day are of the
//! calendar, hours, minutes and seconds are elapsed time, and weeks and days may be either. Elapsed time
//! may count from the end of the last run (`from = "end"`).

use std::time::Duration;

use super::keys::INTERVAL_FIELDS;
use super::tree::{Node, Table, Value};
use super::value::{DURATION, Scope};
use crate::core::names;
use crate::core::span::NoSpan;
use crate::core::trigger::calendar_interval::{CalendarStep, DayOfMonth};
use crate::problem::Span;

/// What an `interval` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Every {
    /// Elapsed time.
    Elapsed(Duration),
    /// The same, from the end of the last run.
    FromEnd(Duration),
    /// Months and days of the calendar.
    Calendar(CalendarStep),
}

/// The units of elapsed time, and the seconds in each.
const UNITS: [(&str, u64); 5] =
    [("weeks", 604_800), ("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1)];

/// What makes it one of the calendar.
const OF_THE_CALENDAR: [&str; 6] = ["years", "months", "day", "hour", "minute", "second"];

/// There are no more months and days to count.
const MOST_MONTHS: u64 = 12 * 9999;
const MOST_DAYS: u64 = 366 * 9999;

const ZERO: &str = "an interval must be longer than zero";

/// An `interval`: a duration, or a table of units.
pub(super) fn interval(scope: &mut Scope<'_>, value: &Value<'_>) -> Option<Every> {
    let mut from_end = None;
    let every = match &value.node {
        Node::Table(table) => {
            from_end = from(scope, table)?;
            if table.entries.iter().any(|(key, _)| OF_THE_CALENDAR.contains(&&*key.text)) {
                let step = calendar(scope, value, table);
                if let Some(span) = from_end {
                    let message =
                        "months, years and a time of day cannot be counted from the end of a run";
                    let help = "with `from = \"end\"` an interval is elapsed time: weeks, days, hours, \
                                minutes and seconds";
                    scope.error_help(span, message, help);
                    return None;
                }
                return step.map(Every::Calendar);
            }
            elapsed(scope, value, table)?
        }
        Node::String(_) | Node::Integer(_) | Node::Invalid => {
            scope.duration_or(value, NoSpan::help_with_interval)?
        }
        _ => {
            let wanted = format!("{DURATION}, or a table such as {{ minutes = 5 }}");
            scope.wrong_type(value, &wanted);
            return None;
        }
    };
    if every < Duration::from_micros(1) {
        let help = "the shortest interval is 1us";
        scope.error_help(value.span, ZERO, help);
        return None;
    }
    Some(if from_end.is_some() { Every::FromEnd(every) } else { Every::Elapsed(every) })
}

/// Where `from = "end"` stands, if it does.
fn from(scope: &mut Scope<'_>, table: &Table<'_>) -> Option<Option<Span>> {
    let Some((_, value)) = table.entries.iter().find(|(key, _)| key.text == FROM) else {
        return Some(None);
    };
    let text = scope.string(value, "\"end\" or \"start\"")?;
    match text {
        "end" => Some(Some(value.span)),
        "start" => Some(None),
        _ => {
            let message = format!("\"{text}\" is nothing that an interval counts from");
            let help = "write `from = \"end\"` to count from the end of the last run; without it an \
                        interval counts from start to start";
            scope.error_help(value.span, message, help);
            None
        }
    }
}

/// The key that says where an interval counts from.
const FROM: &str = "from";

/// What others write in an interval.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["from_end", "after_end", "after", "since"], "did you mean `from = \"end\"`?"),
    (&["time", "at", "at_time", "time_of_day"], "write the time of day as `hour = 9, minute = 30`"),
    (&["quarters", "quarter"], "write `months = 3`"),
    (&["fortnights", "fortnight"], "write `weeks = 2`"),
    (&["weekday", "weekdays", "day_of_week", "on", "dow"], ON_WEEKDAYS),
];

/// What is said of days of the week in an interval.
const ON_WEEKDAYS: &str = "days of the week are those of a `cron` schedule, such as `0 9 * * mon`; for every other \
                           Monday write `weeks = 2` and a `start_date` that is one";

/// A table of units of elapsed time.
fn elapsed(scope: &mut Scope<'_>, value: &Value<'_>, table: &Table<'_>) -> Option<Duration> {
    let mut total = Some(Duration::ZERO);
    let mut fits = !table.broken;
    for (key, value) in table.entries.iter().filter(|(key, _)| key.text != FROM) {
        let Some((_, unit)) = UNITS.iter().find(|(name, _)| *name == key.text) else {
            scope.unknown_key_but(key.span, &key.text, INTERVAL_FIELDS, ELSEWHERE);
            fits = false;
            continue;
        };
        match count(scope, value) {
            Some(count) => {
                let part = count.checked_mul(*unit).map(Duration::from_secs);
                total = total.zip(part).and_then(|(total, part)| total.checked_add(part));
            }
            None => fits = false,
        }
    }
    fits.then_some(())?;
    if total.is_none() {
        scope.error(value.span, TOO_LONG);
    }
    total
}

const TOO_LONG: &str = "this interval is too long";

/// A table of months and days, and a time of day.
fn calendar(scope: &mut Scope<'_>, value: &Value<'_>, table: &Table<'_>) -> Option<CalendarStep> {
    let mut fits = !table.broken;
    let (mut months, mut days) = (Some(0u64), Some(0u64));
    let mut day = None;
    let mut time: [Option<u32>; 3] = [None; 3];
    for (key, value) in &table.entries {
        let sum = |total: &mut Option<u64>, count: Option<u64>, unit: u64| match count {
            Some(count) => {
                let part = count.checked_mul(unit);
                *total = total.zip(part).and_then(|(total, part)| total.checked_add(part));
                true
            }
            None => false,
        };
        fits &= match &*key.text {
            "years" => sum(&mut months, count(scope, value), 12),
            "months" => sum(&mut months, count(scope, value), 1),
            "weeks" => sum(&mut days, count(scope, value), 7),
            "days" => sum(&mut days, count(scope, value), 1),
            FROM => true,
            "day" => {
                day = day_of_month(scope, value).map(|day| (key.span, day));
                day.is_some()
            }
            "hour" => set(&mut time[0], below(scope, value, 24)),
            "minute" => set(&mut time[1], below(scope, value, 60)),
            "second" => set(&mut time[2], below(scope, value, 60)),
            "hours" | "minutes" | "seconds" => {
                let message = format!(
                    "`{}` is elapsed time, which cannot stand beside months, years or a time of day",
                    key.text
                );
                let help = "`hour`, `minute` and `second` are the time of day at which it is due";
                scope.error_help(key.span, message, help);
                false
            }
            _ => {
                scope.unknown_key_but(key.span, &key.text, INTERVAL_FIELDS, ELSEWHERE);
                false
            }
        };
    }
    fits.then_some(())?;
    let months = months.filter(|months| *months <= MOST_MONTHS);
    let days = days.filter(|days| *days <= MOST_DAYS);
    let (Some(months), Some(days)) = (months, days) else {
        scope.error(value.span, TOO_LONG);
        return None;
    };
    if months == 0 && days == 0 {
        let help = "such as `{ months = 1, day = 1, hour = 9 }` or `{ weeks = 2, hour = 9 }`";
        scope.error_help(value.span, ZERO, help);
        return None;
    }
    if let Some((span, _)) = day
        && (months == 0 || days > 0)
    {
        let message = "`day` is a day of the month: it stands beside `months` or `years` alone";
        let help = "weeks and days are counted from the day of `start_date`";
        scope.error_help(span, message, help);
        return None;
    }
    let [hour, minute, second] = time.map(Option::unwrap_or_default);
    let time = time.iter().any(Option::is_some).then_some(hour * 3600 + minute * 60 + second);
    let day = day.map(|(_, day)| day);
    Some(CalendarStep { months: months as u32, days: days as u32, day, time })
}

fn set(place: &mut Option<u32>, found: Option<u32>) -> bool {
    *place = found;
    found.is_some()
}

/// A number of a time of day.
fn below(scope: &mut Scope<'_>, value: &Value<'_>, limit: u32) -> Option<u32> {
    let number = count(scope, value)?;
    let found = u32::try_from(number).ok().filter(|number| *number < limit);
    if found.is_none() {
        scope.error(value.span, format!("{number} is out of range 0-{}", limit - 1));
    }
    found
}

/// A day of the month.
fn day_of_month(scope: &mut Scope<'_>, value: &Value<'_>) -> Option<DayOfMonth> {
    if let Node::String(text) = &value.node
        && !text.trim().bytes().all(|byte| byte.is_ascii_digit())
    {
        if text.eq_ignore_ascii_case("last") {
            return Some(DayOfMonth::Last);
        }
        let message = "expected a day of the month: 1 to 31, or \"last\"";
        match text.trim().to_ascii_lowercase() {
            text if names::weekday(&text).is_some() => {
                scope.error_help(value.span, message, ON_WEEKDAYS);
            }
            text if text == "first" => scope.error_help(value.span, message, "write `1`"),
            // `last fri`, `1st monday`
            text if text.split_once(' ').is_some_and(|(_, day)| names::weekday(day).is_some()) => {
                let help =
                    format!("that is one of `cron`: `cron = {{ day = \"{text}\", hour = 9 }}`");
                scope.error_help(value.span, message, help);
            }
            text if matches!(text.trim_end_matches(char::is_alphabetic).parse(), Ok(1..=31u32)) => {
                let number = text.trim_end_matches(char::is_alphabetic);
                scope.error_help(value.span, message, format!("write `{number}`"));
            }
            text if matches!(&*text, "l" | "end" | "-1" | "ultimo") => {
                scope.error_help(value.span, message, "write `\"last\"`");
            }
            _ => scope.error(value.span, message),
        }
        return None;
    }
    if let Node::Integer(-1) = value.node {
        scope.error_help(value.span, "there is no day -1 in a month", "the last one is `\"last\"`");
        return None;
    }
    match count(scope, value)? {
        day @ 1..=31 => Some(DayOfMonth::Day(day as u32)),
        day => {
            let message = format!("there is no day {day} in a month");
            scope.error_help(value.span, message, "a day is 1 to 31, or \"last\"");
            None
        }
    }
}

/// A number of units: an integer, or a string of digits as APScheduler takes it too.
fn count(scope: &mut Scope<'_>, value: &Value<'_>) -> Option<u64> {
    let wanted = "a whole number that is not negative";
    match &value.node {
        Node::Integer(number) => match u64::try_from(*number) {
            Ok(number) => Some(number),
            Err(_) => {
                scope.error(value.span, "an interval cannot be negative");
                None
            }
        },
        Node::String(text) => match text.trim().parse() {
            Ok(number) => Some(number),
            Err(_) => {
                scope.error(value.span, format!("\"{text}\" is not {wanted}"));
                None
            }
        },
        _ => {
            scope.wrong_type(value, wanted);
            None
        }
    }
}
