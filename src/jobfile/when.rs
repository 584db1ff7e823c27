//! Reads what says when: dates and cron schedules; intervals are read in `super::interval`.
//!
//! Schedules themselves are read by `crate::core::trigger::cron`; here the TOML around them is, and
//! the places of what is wrong are found again in the file.

use std::ops::Range;

use chrono::{NaiveDate, NaiveTime, Timelike};

use super::tree::{Node, Value};
use super::value::{Scope, inside};
use crate::core::instant::{Instant, MICROS};
use crate::core::nearest::nearest;
use crate::core::trigger::cron::Schedule;
use crate::core::trigger::cron::crontab::{self, Crontab};
use crate::core::trigger::cron::fields::{Builder, Field};
use crate::core::zone::{Local, Zone};
use crate::problem::{Problem, Span};

/// A point in time as it can be typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// On the clocks of the job's zone.
    Wall { secs: i64, micros: i64 },
    /// Typed with an offset.
    At(Instant),
}

impl Moment {
    /// The instant, given the zone: in a gap the first one after it, in a fold the first pass.
    pub(crate) fn instant(self, zone: &Zone) -> Instant {
        match self {
            Moment::At(at) => at,
            Moment::Wall { secs, micros } => match zone.resolve(secs) {
                Local::Gap { at } => Instant::from_secs(at),
                Local::Unambiguous(at) | Local::Fold { first: at, .. } => {
                    Instant::from_micros(at.saturating_mul(MICROS).saturating_add(micros))
                }
            },
        }
    }
}

/// What a moment looks like, after "expected".
pub(super) const DATE: &str = "a date such as 2026-12-01 or 2026-12-01T09:00:00";

/// A `date`, `start_date` or `end_date`: a TOML date or a string that looks like one.
pub(super) fn moment(scope: &mut Scope<'_>, value: &Value<'_>) -> Option<Moment> {
    let text = match &value.node {
        Node::Datetime => scope.typed(value.span),
        Node::String(text) => text,
        _ => {
            scope.wrong_type(value, DATE);
            return None;
        }
    };
    match parse_moment(text) {
        // In a string an offset may be written in any way of ISO 8601, in TOML in one.
        Ok(Moment::At(_)) if matches!(value.node, Node::Datetime) && !ends_in_offset(text) => {
            scope.error(
                value.span,
                "write the offset as `Z` or with hours and minutes, as in +02:00",
            );
            None
        }
        Ok(moment) => Some(moment),
        Err((range, message)) => {
            let span = inside(value.span, scope.typed(value.span), text, range);
            scope.error(span, message);
            None
        }
    }
}

/// Whether a text ends in an offset as RFC 3339 has it.
fn ends_in_offset(text: &str) -> bool {
    let offset = text.len().checked_sub(6).and_then(|at| text.as_bytes().get(at..));
    text.ends_with(['Z', 'z']) || matches!(offset, Some([b'+' | b'-', _, _, b':', _, _]))
}

/// Reads an ISO 8601 date, with a time or without, with an offset or without. An error names the
/// bytes of the text that are wrong.
pub(crate) fn parse_moment(text: &str) -> Result<Moment, (Range<usize>, String)> {
    let all = 0..text.len();
    let not_a_date = || (all.clone(), format!("expected {DATE}"));
    let digits = |range: Range<usize>| -> Option<u32> {
        let part = text.get(range)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let at = |offset: usize| text.as_bytes().get(offset).copied();
    let date = match (digits(0..4), at(4), digits(5..7), at(7), digits(8..10)) {
        (Some(year), Some(b'-'), Some(month), Some(b'-'), Some(day)) => {
            let date = NaiveDate::from_ymd_opt(year as i32, month, day).filter(|_| year > 0);
            date.ok_or_else(|| (0..10, format!("there is no {} in the calendar", &text[..10])))?
        }
        _ if at(2) == Some(b':') => {
            return Err((all, format!("time of day without a date, expected {DATE}")));
        }
        _ => return Err(not_a_date()),
    };
    let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp();
    let rest = &text[10..];
    if rest.is_empty() {
        return Ok(Moment::Wall { secs: midnight, micros: 0 });
    }
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else { return Err(not_a_date()) };
    let clock_len = rest.find(['Z', 'z', '+', '-', ' ']).unwrap_or(rest.len());
    let (clock, offset) = rest.split_at(clock_len);
    let time = ["%H:%M:%S%.f", "%H:%M"]
        .iter()
        .find_map(|format| NaiveTime::parse_from_str(clock, format).ok())
        // A leap second has no place in POSIX time.
        .filter(|time| is_clock(clock) && time.nanosecond() < 1_000_000_000)
        .ok_or_else(|| (11..11 + clock_len, "expected a time such as 09:00:00".to_owned()))?;
    let secs = midnight + i64::from(time.num_seconds_from_midnight());
    let micros = i64::from(time.nanosecond() / 1000);
    if offset.is_empty() {
        return Ok(Moment::Wall { secs, micros });
    }
    let east = parse_offset(offset.trim_start()).ok_or_else(|| {
        let message =
            "expected an offset such as Z or +02:00; put the name of a zone in `timezone`";
        (11 + clock_len..text.len(), message.to_owned())
    })?;
    Ok(Moment::At(Instant::from_micros((secs - east) * MICROS + micros)))
}

/// Whether a time is written with two digits each, as RFC 3339 has it: `chrono` also reads `9:0:0`.
fn is_clock(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (clock, fraction) = match text.split_once('.') {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    clock.split(':').all(|part| part.len() == 2 && digits(part))
        && fraction.is_none_or(|fraction| clock.len() == 8 && digits(fraction))
}

/// Seconds east of UTC of `Z`, `+02:00`, `+0200` or `+02`.
fn parse_offset(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let rest = &text[1..];
    let (hours, minutes) = match rest.len() {
        2 => (rest, "00"),
        4 => rest.split_at_checked(2)?,
        5 => rest.split_once(':')?,
        _ => return None,
    };
    let number = |text: &str, below: i64| {
        let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| plain && *number < below)
    };
    Some(sign * (number(hours, 24)? * 3600 + number(minutes, 60)? * 60))
}

/// What `cron` says.
#[derive(Debug)]
pub(super) enum Cron {
    Schedules(Vec<Schedule>),
    Reboot,
}

/// A job has no more cron expressions than this: each is looked at whenever the job is due.
const MOST_EXPRESSIONS: usize = 1000;

/// A `cron`: an expression, several, or a table of APScheduler's fields.
pub(super) fn cron(scope: &mut Scope<'_>, value: &Value<'_>, id: &str) -> Option<Cron> {
    match &value.node {
        Node::String(text) => match expression(scope, value, text, id)? {
            Crontab::Schedule(schedule) => Some(Cron::Schedules(vec![schedule])),
            Crontab::Reboot => Some(Cron::Reboot),
        },
        Node::Array(values) => {
            if values.is_empty() {
                scope.error(value.span, "empty value, expected at least one cron expression");
                return None;
            }
            if values.len() > MOST_EXPRESSIONS {
                let count = values.len();
                scope.error_help(
                    value.span,
                    format!(
                        "too many cron expressions: {count}, at most {MOST_EXPRESSIONS} are allowed"
                    ),
                    "use lists and ranges in one expression, or split this into several jobs",
                );
                return None;
            }
            let mut schedules = Some(Vec::with_capacity(values.len()));
            for value in values {
                let wanted = "a cron expression such as \"0 3 * * *\"";
                let Some(text) = scope.string(value, wanted) else {
                    schedules = None;
                    continue;
                };
                match expression(scope, value, text, id) {
                    Some(Crontab::Schedule(schedule)) => {
                        schedules = schedules.map(|mut list| {
                            list.push(schedule);
                            list
                        });
                    }
                    Some(Crontab::Reboot) => {
                        scope.error_help(
                            value.span,
                            "`@reboot` cannot be one of several schedules",
                            "use `run_on_start = true` and keep the others",
                        );
                        schedules = None;
                    }
                    None => schedules = None,
                }
            }
            schedules.map(Cron::Schedules)
        }
        Node::Table(_) => fields(scope, value),
        _ => {
            scope.wrong_type(
                value,
                "a cron expression such as \"0 3 * * *\", an array of them, or a table such as \
                 { hour = 3, minute = 0 }",
            );
            None
        }
    }
}

fn expression(scope: &mut Scope<'_>, value: &Value<'_>, text: &str, id: &str) -> Option<Crontab> {
    let mut flaws = Vec::new();
    let crontab = crontab::parse(text, id, &mut flaws);
    if crontab.is_none() && is_calendar(text) {
        let help = "this is a calendar of systemd: in a cron expression the time comes first, as in \
                    `0 3 * * 1-5`; `schedrs import systemd` converts timers";
        flaws.iter_mut().for_each(|flaw| flaw.help = Some(help.to_owned()));
    }
    scope.flaws(value, text, flaws);
    crontab
}

/// Whether an expression is one of systemd's `OnCalendar=`.
fn is_calendar(text: &str) -> bool {
    let is_clock = |word: &str| {
        let digits = |part: &str| part.len() <= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        word.contains(':') && word.split(':').all(|part| part == "*" || digits(part))
    };
    let is_date = |word: &str| word.contains("*-*") || word.matches('-').count() == 2;
    text.contains("..") || text.split_whitespace().any(|word| is_clock(word) || is_date(word))
}

fn fields(scope: &mut Scope<'_>, value: &Value<'_>) -> Option<Cron> {
    let Node::Table(table) = &value.node else { return None };
    let mut builder = Builder::default();
    let mut usable = !table.broken;
    for (key, value) in &table.entries {
        let Some(field) = Field::ALL.into_iter().find(|field| field.key() == key.text) else {
            unknown_field(scope, key.span, &key.text, value);
            usable = false;
            continue;
        };
        let number;
        let text = match &value.node {
            Node::String(text) => &**text,
            Node::Integer(value) => {
                number = value.to_string();
                &number
            }
            _ => {
                scope.wrong_type(value, "an integer or a string such as \"*/15\" or \"mon-fri\"");
                usable = false;
                continue;
            }
        };
        let mut flaws = Vec::new();
        usable &= builder.set(field, text, &mut flaws);
        scope.flaws(value, text, flaws);
    }
    if table.entries.is_empty() && !table.broken {
        let help = "an empty table would be due every second: set at least one field";
        scope.error_help(value.span, "no fields", help);
        return None;
    }
    usable.then(|| Cron::Schedules(vec![builder.build()]))
}

fn unknown_field(scope: &mut Scope<'_>, span: Span, name: &str, value: &Value<'_>) {
    let names = Field::ALL.map(Field::key);
    let is_weekday = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic());
    let meant = match name {
        "days" if matches!(&value.node, Node::String(text) if is_weekday(text)) => {
            Some("day_of_week")
        }
        "dow" | "weekday" | "weekdays" => Some("day_of_week"),
        "dom" | "day_of_month" | "days" => Some("day"),
        "hours" | "minutes" | "seconds" | "weeks" | "months" | "years" => {
            names.iter().find(|field| name.strip_suffix('s') == Some(field)).copied()
        }
        _ => None,
    };
    let problem = Problem::error(scope.place(span), format!("unknown cron field `{name}`"));
    scope.push(match meant.or_else(|| nearest(name, names)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("expected {}", super::parse::or_list(&names))),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_moments() {
        let wall = |secs, micros| Ok(Moment::Wall { secs, micros });
        let at = |micros| Ok(Moment::At(Instant::from_micros(micros)));
        let rows = [
            ("1970-01-02", wall(86_400, 0)),
            ("1970-01-01T00:01:00", wall(60, 0)),
            ("1970-01-01 00:01", wall(60, 0)),
            ("1970-01-01t00:00:01.5", wall(1, 500_000)),
            ("1970-01-01T00:00:00Z", at(0)),
            ("1970-01-01T02:00:00+02:00", at(0)),
            ("1970-01-01 02:00:00.25 +0200", at(250_000)),
            ("1969-12-31T19:00-05", at(0)),
            ("0001-01-01", wall(-62_135_596_800, 0)),
        ];
        for (text, moment) in rows {
            assert_eq!(parse_moment(text), moment, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_moment() {
        let rows = [
            ("2026-02-30", "2026-02-30"),
            ("2026-13-01T00:00:00", "2026-13-01"),
            ("0000-01-01", "0000-01-01"),
            ("2026-01-01T24:00:00", "24:00:00"),
            ("2026-01-01T9:00", "9:00"),
            ("2026-01-01T23:59:60", "23:59:60"),
            ("2026-01-01T09:00:00+25:00", "+25:00"),
            ("2026-01-01 09:00 Europe/Berlin", " Europe/Berlin"),
            ("2026-01-01T+2:00", ""),
            ("09:00:00", "09:00:00"),
            ("tomorrow", "tomorrow"),
            ("20260101", "20260101"),
            ("2026-01-0é", "2026-01-0é"),
            ("+026-01-01", "+026-01-01"),
            ("", ""),
        ];
        for (text, part) in rows {
            match parse_moment(text) {
                Err((range, _)) => assert_eq!(&text[range], part, "{text}"),
                Ok(moment) => panic!("{text}: {moment:?}"),
            }
        }
    }
}
