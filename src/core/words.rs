//! Schedules, times and durations in plain English.
//!
//! Everything is said from what the schedule *means* (`crate::core::trigger`), not from what was
//! typed, so that a person can see whether the two are the same. `cron` has the sentences for cron
//! schedules.

mod cron;
mod fit;
mod normal;

use std::fmt::Write;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, Offset};

use crate::core::civil;
use crate::core::instant::Instant;
use crate::core::names::{SHORT_MONTHS, capital};
use crate::core::trigger::after::On;
use crate::core::trigger::combined::How;
use crate::core::trigger::cron::DstEffect;
use crate::core::trigger::{AfterTrigger, CombinedTrigger, DateTrigger, FromEndTrigger, Trigger};
use crate::core::zone::Zone;

pub(crate) use cron::{runs, why_never};
pub(crate) use fit::{fit, fit_ends, wrap};
pub use normal::normalised;
pub(crate) use normal::{Normal, expression, normal};

/// A trigger in words, such as `every 5 minutes from 09:00 to 17:55, monday to friday`. Times are
/// said on the clocks of `zone`.
pub fn trigger(trigger: &Trigger, zone: &Zone) -> String {
    match trigger {
        Trigger::Cron(cron) => {
            let schedules: Vec<String> =
                cron.schedules().iter().map(self::cron::schedule).collect();
            schedules.join("; and ") + &window(cron.start(), cron.end(), zone)
        }
        Trigger::Interval(interval) => {
            let every = long_span(interval.every());
            // "every hour", but "every 1 hour 30 minutes".
            let every =
                every.strip_prefix("1 ").filter(|unit| !unit.contains(' ')).unwrap_or(&every);
            format!("every {every}") + &window(interval.start_date(), interval.end(), zone)
        }
        Trigger::FromEnd(from_end) => {
            format!("{} after each run has ended", long_span(from_end.wait()))
                + &window(from_end.start_date(), from_end.end(), zone)
        }
        Trigger::Calendar(calendar) => {
            self::cron::calendar(calendar.step())
                + &window(calendar.start_date(), calendar.end(), zone)
        }
        Trigger::Combined(combined) => several(combined, zone),
        Trigger::After(after) => after_others(after),
        Trigger::Date(DateTrigger::At(at)) => format!("once, {}", dated(*at, zone)),
        Trigger::Date(DateTrigger::Now) => "once, when the scheduler starts".to_owned(),
        Trigger::Date(DateTrigger::Reboot) => "when the scheduler starts".to_owned(),
    }
}

/// `after load has succeeded`, `after a and b have ended, within 6h`.
fn after_others(after: &AfterTrigger) -> String {
    let verb = if after.parents().len() > 1 { "have" } else { "has" };
    let ended = match after.on() {
        On::Succeeded => "succeeded",
        On::Failed => "failed",
        On::Finished => "ended",
    };
    let within = after.within().map(|within| format!(", within {}", span(within)));
    format!("after {} {verb} {ended}{}", after.names(), within.unwrap_or_default())
}

/// When a job is due that counts from the end of its last run, while one goes on: `10m after the run
/// that is going on`. `None`: no more.
pub fn after_run(trigger: &FromEndTrigger, now: Instant) -> Option<Box<str>> {
    let ends = trigger.end().is_some_and(|end| end < now.plus(trigger.wait()));
    let words = format!("{} after the run that is going on", span(trigger.wait()));
    (!ends).then(|| words.into())
}

fn window(start: Option<Instant>, end: Option<Instant>, zone: &Zone) -> String {
    let mut words = String::new();
    for (at, word) in [(start, "from"), (end, "until")] {
        if let Some(at) = at {
            let _ = write!(words, ", {word} {}", day_and_time(at, zone));
        }
    }
    words
}

/// A day, with the time unless it is midnight: `30 May 2027`, `1 Dec 2026 09:00`.
pub fn day_and_time(at: Instant, zone: &Zone) -> String {
    let local = local(at, zone);
    let format = match zone.wall_of(at).rem_euclid(86_400) {
        0 => "%-d %b %Y",
        time if time % 60 == 0 => "%-d %b %Y %H:%M",
        _ => "%-d %b %Y %H:%M:%S",
    };
    local.format(format).to_string()
}

/// A day: `30 May 2027`.
pub fn day(at: Instant, zone: &Zone) -> String {
    local(at, zone).format("%-d %b %Y").to_string()
}

/// RFC 3339 with the zone's offset; a fraction of a second only where there is one.
///
/// By hand, and not through chrono's formatter, which stood at the top of the loop's profile: a
/// run needs six of these, for its environment and for the log.
pub fn rfc3339(at: Instant, zone: &Zone) -> String {
    let offset = zone.offset_at(at);
    let wall = at.secs() + i64::from(offset);
    let (year, month, day) = civil::from_days(wall.div_euclid(86_400));
    let second = wall.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = String::with_capacity("2026-03-29T03:00:00.000000+02:00".len());
    // Writing to a string never fails.
    let _ = write!(text, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    let _ = match at.subsec_micros() {
        0 => Ok(()),
        micros if micros % 1000 == 0 => write!(text, ".{:03}", micros / 1000),
        micros => write!(text, ".{micros:06}"),
    };
    let sign = if offset < 0 { '-' } else { '+' };
    // Local mean times have seconds in their offsets, for which there is no room.
    let minutes = (offset.unsigned_abs() + 30) / 60;
    let _ = write!(text, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
    text
}

/// A time for a table: `Sun 2026-03-29 03:00:00 +02:00`.
pub fn table_time(at: Instant, zone: &Zone) -> String {
    local(at, zone).format(&with_fraction("%a %Y-%m-%d %H:%M:%S", at, " %:z")).to_string()
}

fn with_fraction(format: &str, at: Instant, rest: &str) -> String {
    let fraction = match at.subsec_micros() {
        0 => "",
        micros if micros % 1000 == 0 => "%.3f",
        _ => "%.6f",
    };
    [format, fraction, rest].concat()
}

fn local(at: Instant, zone: &Zone) -> DateTime<FixedOffset> {
    // Offsets are below a day and instants between the years 1 and 9999, so neither default is
    // ever taken.
    let offset = FixedOffset::east_opt(zone.offset_at(at)).unwrap_or(chrono::Utc.fix());
    DateTime::from_timestamp_micros(at.micros()).unwrap_or_default().with_timezone(&offset)
}

/// Several triggers: `every 5 minutes; or at 03:00, sunday`.
fn several(combined: &CombinedTrigger, zone: &Zone) -> String {
    let parts = combined.parts().iter().map(|part| {
        let words = trigger(part, zone);
        let own = match part {
            Trigger::Cron(cron) => Some(cron.zone()),
            Trigger::Calendar(calendar) => Some(calendar.zone()),
            Trigger::Combined(_) => return format!("({words})"),
            Trigger::Interval(_) | Trigger::FromEnd(_) | Trigger::Date(_) | Trigger::After(_) => {
                None
            }
        };
        match own.filter(|own| *own != zone) {
            Some(own) => format!("{words} in {own}"),
            None => words,
        }
    });
    let parts: Vec<String> = parts.collect();
    match combined.how() {
        How::Any => parts.join("; or "),
        How::All => format!("when all are due at once: {}", parts.join("; and ")),
    }
}

/// A wall time as `02:30`, or `02:30:15` where there are seconds.
pub fn wall_clock(wall: i64) -> String {
    let time = wall.rem_euclid(86_400);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    match second {
        0 => format!("{hour:02}:{minute:02}"),
        _ => format!("{hour:02}:{minute:02}:{second:02}"),
    }
}

/// The day of a wall time: `29 Mar`.
pub fn wall_day(wall: i64) -> String {
    let (_, month, day) = crate::core::civil::from_days(wall.div_euclid(86_400));
    format!("{day} {}", capital(SHORT_MONTHS[month as usize - 1]))
}

/// What daylight saving does to a due time: `02:30 does not exist on 29 Mar: runs at 03:00`.
pub fn dst_effect(effect: &DstEffect, zone: &Zone) -> String {
    match *effect {
        DstEffect::Gap { wall, runs } => {
            let at = zone.wall_of(runs);
            let day = if at.div_euclid(86_400) == wall.div_euclid(86_400) {
                String::new()
            } else {
                format!("{} ", wall_day(at))
            };
            format!(
                "{} does not exist on {}: runs at {day}{}",
                wall_clock(wall),
                wall_day(wall),
                wall_clock(at)
            )
        }
        DstEffect::Fold { wall, first: true, .. } => {
            format!("{} happens twice: first pass", wall_clock(wall))
        }
        DstEffect::Fold { wall, first: false, .. } => {
            format!("{} happens twice: second pass", wall_clock(wall))
        }
    }
}

/// A duration for a table, in its two largest units: `12s`, `4m 10s`, `3h 12m`, `2d 4h`, `412d`.
pub fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    let two = |a: u64, unit_a, b: u64, unit_b| match b {
        0 => format!("{a}{unit_a}"),
        _ => format!("{a}{unit_a} {b}{unit_b}"),
    };
    match secs {
        0 if span.subsec_millis() > 0 => format!("{}ms", span.subsec_millis()),
        0 if span.subsec_micros() > 0 => "<1ms".to_owned(),
        0..60 => format!("{secs}s"),
        60..3600 => two(minutes, "m", secs % 60, "s"),
        3600..86_400 => two(hours, "h", minutes, "m"),
        86_400..8_640_000 => two(days, "d", hours, "h"),
        _ => format!("{days}d"),
    }
}

/// How long something took, for people: `<1ms`, `12ms`, `3.4s`, then as [`span`].
pub fn elapsed(duration: Duration) -> String {
    match duration.as_millis() {
        0 => "<1ms".to_owned(),
        millis @ 1..1000 => format!("{millis}ms"),
        millis @ 1000..60_000 if millis / 100 % 10 > 0 => {
            format!("{}.{}s", millis / 1000, millis / 100 % 10)
        }
        _ => span(Duration::from_secs(duration.as_secs())),
    }
}

/// Bytes for people: `1 byte`, `812 bytes`, `4.0 KiB`, `1.2 MiB`.
pub fn bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64 / 1024.0, "KiB");
    if bytes == 1 {
        return "1 byte".to_owned();
    }
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    for next in ["MiB", "GiB", "TiB"] {
        if value < 1023.95 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    format!("{value:.1} {unit}")
}

/// The same for a narrow column: `812B`, `4.0K`, `1.2M`; nothing is `0`.
pub fn bytes_in_short(number: u64) -> String {
    match number {
        0 => "0".to_owned(),
        _ => bytes(number)
            .replace(" bytes", "B")
            .replace(" byte", "B")
            .replace(' ', "")
            .replace("iB", ""),
    }
}

/// What a zone's clocks are ahead of UTC then: `+01:00`.
pub fn offset(at: Instant, zone: &Zone) -> String {
    local(at, zone).format("%:z").to_string()
}

/// A time in a sentence: as [`soon`], with its offset.
pub fn moment(at: Instant, now: Instant, zone: &Zone) -> String {
    match near(at, now, zone) {
        Some(near) => format!("{near} {}", offset(at, zone)),
        None => dated(at, zone),
    }
}

/// The same with its day, also where that is near or it is midnight: `1 Dec 2026 00:00 +01:00`.
fn dated(at: Instant, zone: &Zone) -> String {
    let wall = zone.wall_of(at);
    format!("{} {} {}", day(at, zone), wall_clock(wall), offset(at, zone))
}

/// A time that is seldom far from `now`, for where something else says on whose clocks: `03:00:00` today, `Tue 03:00:00` within six days, else
/// with its day.
pub fn soon(at: Instant, now: Instant, zone: &Zone) -> String {
    near(at, now, zone).unwrap_or_else(|| day_and_time(at, zone))
}

/// The same of a time within six days.
fn near(at: Instant, now: Instant, zone: &Zone) -> Option<String> {
    let (at_wall, now_wall) = (zone.wall_of(at), zone.wall_of(now));
    let days = at_wall.div_euclid(86_400) - now_wall.div_euclid(86_400);
    let format = match days {
        0 => "%H:%M:%S",
        1..7 => "%a %H:%M:%S",
        _ => return None,
    };
    Some(local(at, zone).format(format).to_string())
}

/// A duration in words and in full: `2 hours 30 minutes`. Weeks are for whole ones: nobody thinks of
/// 365 days as of 52 weeks and one day.
pub fn long_span(span: Duration) -> String {
    let secs = span.as_secs();
    let weeks = if secs.is_multiple_of(604_800) { secs / 604_800 } else { 0 };
    let millis = u64::from(span.subsec_millis());
    let micros = u64::from(span.subsec_micros() % 1000);
    let parts = [
        (weeks, "week"),
        ((secs - weeks * 604_800) / 86_400, "day"),
        (secs / 3600 % 24, "hour"),
        (secs / 60 % 60, "minute"),
        (secs % 60, "second"),
        (millis, "millisecond"),
        (micros, "microsecond"),
    ];
    let words: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() { "0 seconds".to_owned() } else { words.join(" ") }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests;
