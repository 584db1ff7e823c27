//! Another engine for schedules, to prove ours: the `cron` crate, which shares nothing with it.
//!
//! Its dialect is Quartz's: seconds first, Sunday is 1, and both day fields have to match. So a
//! crontab line is translated here without the help of our own parser, and crontab(5)'s *either*
//! becomes two of its schedules. It is only asked about wall time, for it is not right about zones;
//! what a wall time is in a zone is the business of `proof`.

use std::str::FromStr;

use crate::core::names::SHORT_WEEKDAYS_FROM_SUNDAY;
use chrono::{DateTime, Utc};

/// What says independently of us when a job is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// The fields of a crontab as they were typed: five, six with the second first or the year
    /// last, seven with both; or a macro.
    Crontab(String),
    /// Schedules in the dialect of the `cron` crate; due when any of them is.
    Quartz(Vec<String>),
    /// The next due time, as the other scheduler had worked it out (microseconds since 1970).
    Next(i64),
    /// Nothing does, and why.
    None(&'static str),
}

impl Default for Oracle {
    fn default() -> Oracle {
        Oracle::None("there is nothing to compare it with")
    }
}

/// The wall times (seconds since 1970-01-01T00:00:00) of the union of schedules, from `after` on.
/// The error says why there is no second opinion.
pub(super) fn walls(
    quartz: &[String],
    after: i64,
) -> Result<impl Iterator<Item = i64> + use<>, String> {
    let start = DateTime::<Utc>::from_timestamp(after, 0)
        .ok_or_else(|| "the time is beyond the other engine's years".to_owned())?;
    let mut streams = Vec::new();
    for text in quartz {
        let schedule = cron::Schedule::from_str(text)
            .map_err(|_| "the independent engine does not support this syntax".to_owned())?;
        streams.push(schedule.after_owned(start).peekable());
    }
    Ok(std::iter::from_fn(move || {
        let next = streams.iter_mut().filter_map(|stream| stream.peek().copied()).min()?;
        for stream in &mut streams {
            if stream.peek() == Some(&next) {
                stream.next();
            }
        }
        Some(next.timestamp())
    }))
}

/// A crontab's fields in the other dialect.
pub(super) fn translated(text: &str) -> Result<Vec<String>, String> {
    let text = match text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * sun",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        _ => text,
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let year_last = |fields: &[&str]| {
        fields.len() == 7 || fields.last().is_some_and(|last| looks_like_year(last))
    };
    let (second, fields, year) = match fields.len() {
        5 => ("0", &fields[..], "*"),
        6 if year_last(&fields) => ("0", &fields[..5], fields[5]),
        6 => (fields[0], &fields[1..], "*"),
        7 => (fields[0], &fields[1..6], fields[6]),
        count => return Err(format!("the independent engine does not support {count} fields")),
    };
    let &[minute, hour, day, month, weekday] = fields else {
        return Err("the independent engine does not support these fields".to_owned());
    };
    let weekdays = weekdays(weekday)?;
    let plain: Vec<String> = [second, minute, hour, day, month]
        .into_iter()
        .zip([60, 60, 24, 0, 12])
        .map(|(field, size)| around(field, size))
        .collect();
    let [second, minute, hour, day, month] = &plain[..] else {
        return Err("the independent engine does not support these fields".to_owned());
    };
    let line = |day: &str, weekday: &str| {
        format!("{second} {minute} {hour} {day} {month} {weekday} {year}")
    };
    let starred = |field: &str| field.starts_with(['*', '?']);
    Ok(if starred(fields[2]) || starred(weekday) {
        vec![line(day, &weekdays)]
    } else {
        vec![line(day, "*"), line("*", &weekdays)]
    })
}

fn looks_like_year(field: &str) -> bool {
    let digits = field.bytes().take_while(u8::is_ascii_digit).count();
    digits == 4
}

/// A range that goes round, as two that do not; everything else as it is.
fn around(field: &str, size: u32) -> String {
    let items: Vec<String> = field
        .split(',')
        .map(|item| {
            if let Some((first, last)) = item.split_once('-')
                && let (Ok(first), Ok(last)) = (first.parse::<u32>(), last.parse::<u32>())
                && first > last
                && size > 0
            {
                let (low, high) = if size == 12 { (1, 12) } else { (0, size - 1) };
                return format!("{first}-{high},{low}-{last}");
            }
            item.to_owned()
        })
        .collect();
    items.join(",")
}

/// A day-of-week field as the numbers of the other dialect, 1 for Sunday.
fn weekdays(field: &str) -> Result<String, String> {
    let unknown = || "the independent engine does not support this day of week".to_owned();
    let number = |text: &str| {
        let lower = text.to_ascii_lowercase();
        let named = SHORT_WEEKDAYS_FROM_SUNDAY.iter().position(|name| *name == lower);
        named.or_else(|| lower.parse().ok()).filter(|day| *day <= 7).ok_or_else(unknown)
    };
    let mut days = [false; 7];
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().map_err(|_| unknown())?),
            None => (item, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None if matches!(range, "*" | "?") => (0, 7),
            // The week ends with Saturday.
            None if item.contains('/') => (number(range)?, number(range)?.max(6)),
            None => (number(range)?, number(range)?),
        };
        let last = if last < first { last + 7 } else { last };
        if step == 0 {
            return Err(unknown());
        }
        for day in (first..=last).step_by(step) {
            days[day % 7] = true;
        }
    }
    let days: Vec<String> =
        (0..7).filter(|day| days[*day]).map(|day| (day + 1).to_string()).collect();
    Ok(days.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_the_other_dialect() {
        let rows: &[(&str, &[&str])] = &[
            ("*/5 9-17 * * mon-fri", &["0 */5 9-17 * * 2,3,4,5,6 *"]),
            ("0 0 13 * 5", &["0 0 0 13 * * *", "0 0 0 * * 6 *"]),
            ("0 0 */2 * fri", &["0 0 0 */2 * 6 *"]),
            ("0 3 * * 5-7", &["0 0 3 * * 1,6,7 *"]),
            ("0 22-2 * * fri-mon", &["0 0 22-23,0-2 * * 1,2,6,7 *"]),
            ("@weekly", &["0 0 0 * * 1 *"]),
            ("*/10 * * * * *", &["*/10 * * * * 1,2,3,4,5,6,7 *"]),
            ("0 3 * * * 2027", &["0 0 3 * * 1,2,3,4,5,6,7 2027"]),
            ("5 0 3 * * * 2027-2029", &["5 0 3 * * 1,2,3,4,5,6,7 2027-2029"]),
        ];
        for (typed, expected) in rows {
            assert_eq!(translated(typed).unwrap(), *expected, "{typed}");
        }
        assert!(translated("0 0 * * fri#3").is_err());
    }

    #[test]
    fn merges_and_does_not_repeat() {
        let quartz = translated("0 0 13 * 5").unwrap();
        // Friday 13 November 2026 is both.
        let walls: Vec<i64> = walls(&quartz, 1_794_268_800).unwrap().take(3).collect();
        assert_eq!(walls, [1_794_528_000, 1_795_132_800, 1_795_737_600]);
    }
}
