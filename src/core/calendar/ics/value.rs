//! Values in a calendar file: dates and times, durations, and rules by which something repeats.

use std::ops::Range;

use super::line::Property;
use crate::core::calendar::events::DAY;
use crate::core::calendar::recur::{Frequency, Rule};
use crate::core::civil;
use crate::core::instant::Instant;
use crate::core::trigger::flaw::Flaw;
use crate::core::zone::Zone;

/// On whose clocks a time is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Clocks {
    /// It is a date.
    Date,
    /// Those of whoever asks.
    Floating,
    Zone(Zone),
}

/// A date or a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct When {
    pub(super) clocks: Clocks,
    /// In seconds on these clocks.
    pub(super) wall: i64,
}

impl When {
    /// The same on the clocks of another; `None`: one is a date, a floating time or a time in a zone, and
    /// the other is not.
    pub(super) fn on(&self, clocks: &Clocks) -> Option<i64> {
        match (&self.clocks, clocks) {
            (Clocks::Zone(own), Clocks::Zone(other)) if own != other => {
                Some(other.wall_of(own.instant_of(self.wall)))
            }
            (Clocks::Zone(_), Clocks::Zone(_))
            | (Clocks::Date, Clocks::Date)
            | (Clocks::Floating, Clocks::Floating) => Some(self.wall),
            _ => None,
        }
    }
}

/// `20261224`: in days since 1970.
pub(super) fn date(text: &str) -> Option<i64> {
    let number = |range: Range<usize>| digits(text.get(range)?);
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let fits = text.len() == 8
        && year >= 1
        && (1..=12).contains(&month)
        && (1..=civil::month_len(year as i32, month)).contains(&day);
    fits.then(|| civil::to_days(year as i32, month, day))
}

/// `083000`: in seconds. A leap second counts as the one before it.
pub(super) fn time(text: &str) -> Option<i64> {
    let number = |range: Range<usize>| digits(text.get(range)?).map(i64::from);
    let (hour, minute, second) = (number(0..2)?, number(2..4)?, number(4..6)?);
    let fits = text.len() == 6 && hour < 24 && minute < 60 && second <= 60;
    fits.then(|| hour * 3600 + minute * 60 + second.min(59))
}

fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `P1D`, `PT8H30M`, `P2W`: in seconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let rest = text.strip_prefix('+').unwrap_or(text).strip_prefix('P')?;
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (rest, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let days = units(days, &[('W', 7 * DAY), ('D', DAY)])?;
    days.checked_add(units(time, &[('H', 3600), ('M', 60), ('S', 1)])?)
}

/// Numbers, each with its unit, in that order.
fn units(mut text: &str, mut units: &[(char, i64)]) -> Option<i64> {
    let mut sum = 0i64;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let unit = text[end..].chars().next()?;
        let place = units.iter().position(|(name, _)| *name == unit)?;
        let number: i64 = text[..end].parse().ok().filter(|number| *number <= 1_000_000)?;
        sum = sum.checked_add(number.checked_mul(units[place].1)?)?;
        units = &units[place + 1..];
        text = &text[end + 1..];
    }
    Some(sum)
}

/// A rule as it was read, before it is known when it ends.
pub(super) struct Read {
    pub(super) rule: Rule,
    pub(super) count: Option<u32>,
    pub(super) until: Option<(Until, Range<usize>)>,
}

/// `UNTIL`.
pub(super) enum Until {
    /// In days since 1970.
    Date(i64),
    Floating(i64),
    Utc(Instant),
}

impl Until {
    fn read(text: &str) -> Option<Until> {
        let Some((day, clock)) = text.split_once('T') else { return date(text).map(Until::Date) };
        let utc = clock.ends_with('Z');
        let wall = date(day)? * DAY + time(clock.trim_end_matches('Z'))?;
        Some(if utc { Until::Utc(Instant::from_secs(wall)) } else { Until::Floating(wall) })
    }
}

const WEEKDAYS: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

/// What is read of an `RRULE`.
const READ: &str = "read are FREQ=YEARLY, MONTHLY, WEEKLY and DAILY with INTERVAL, COUNT, UNTIL, BYMONTH, \
                    BYMONTHDAY, BYDAY and WKST";

/// Reads the rule of an event that begins at `first`.
pub(super) fn rule(property: &Property, first: i64) -> Result<Read, Flaw> {
    let mut parts: Vec<(&str, &str, Range<usize>)> = Vec::new();
    let mut at = 0;
    for part in property.value.split(';') {
        let span = at..at + part.len();
        at += part.len() + 1;
        let Some((name, value)) = part.split_once('=') else {
            return Err(property.wrong(span, "this part of the rule is not NAME=VALUE"));
        };
        if parts.iter().any(|(known, ..)| known.eq_ignore_ascii_case(name)) {
            return Err(property.wrong(span, format!("`{name}` is said twice")));
        }
        parts.push((name, value, span));
    }
    let mut read = Read {
        rule: Rule {
            frequency: Frequency::Daily,
            interval: 1,
            first,
            until: i64::MAX,
            months: 0,
            month_days: Box::new([]),
            days: Box::new([]),
            week_start: 0,
        },
        count: None,
        until: None,
    };
    let mut has_frequency = false;
    for (name, value, span) in &parts {
        let good = match &*name.to_ascii_uppercase() {
            "FREQ" => {
                has_frequency = true;
                frequency(value).map(|it| read.rule.frequency = it)
            }
            "INTERVAL" => number(value, 1..=10_000).map(|it| read.rule.interval = it),
            "COUNT" => number(value, 1..=100_000).map(|it| read.count = Some(it)),
            "UNTIL" => Until::read(value).map(|it| read.until = Some((it, span.clone()))),
            "BYMONTH" => months(value).map(|it| read.rule.months = it),
            "BYMONTHDAY" => month_days(value).map(|it| read.rule.month_days = it),
            "BYDAY" => weekdays(value).map(|it| read.rule.days = it),
            "WKST" => weekday(value).map(|it| read.rule.week_start = it),
            _ => None,
        };
        if good.is_none() {
            let part = &property.value[span.clone()];
            let message = format!("`{part}` is not read in a rule");
            return Err(property.wrong(span.clone(), message).help(READ));
        }
    }
    let whole = || 0..property.value.len();
    if !has_frequency {
        return Err(property.wrong(whole(), "a rule begins with FREQ").help(READ));
    }
    if read.count.is_some() && read.until.is_some() {
        return Err(property.wrong(whole(), "COUNT and UNTIL do not go together"));
    }
    check(&read.rule).map_err(|message| property.wrong(whole(), message))?;
    Ok(read)
}

/// What RFC 5545 does not allow together.
fn check(rule: &Rule) -> Result<(), &'static str> {
    let has_number = rule.days.iter().any(|(number, _)| *number != 0);
    let most = match rule.frequency {
        Frequency::Yearly if rule.months == 0 => 53,
        _ => 5,
    };
    match rule.frequency {
        Frequency::Weekly if !rule.month_days.is_empty() => {
            Err("BYMONTHDAY does not go with FREQ=WEEKLY")
        }
        Frequency::Weekly | Frequency::Daily if has_number => {
            Err("a number before a weekday goes with FREQ=MONTHLY and FREQ=YEARLY alone")
        }
        _ if has_number && !rule.month_days.is_empty() => {
            Err("a number before a weekday does not go with BYMONTHDAY")
        }
        _ if rule.days.iter().any(|(number, _)| number.unsigned_abs() > most) => {
            Err("no month has so many of a weekday")
        }
        _ => Ok(()),
    }
}

fn frequency(text: &str) -> Option<Frequency> {
    Some(match &*text.to_ascii_uppercase() {
        "DAILY" => Frequency::Daily,
        "WEEKLY" => Frequency::Weekly,
        "MONTHLY" => Frequency::Monthly,
        "YEARLY" => Frequency::Yearly,
        _ => return None,
    })
}

fn number(text: &str, range: std::ops::RangeInclusive<u32>) -> Option<u32> {
    digits(text).filter(|number| range.contains(number))
}

fn months(text: &str) -> Option<u16> {
    text.split(',').try_fold(0, |months, text| Some(months | 1 << number(text, 1..=12)?))
}

fn month_days(text: &str) -> Option<Box<[i8]>> {
    let day = |text: &str| {
        let (sign, text) = signed(text);
        Some(sign * i8::try_from(number(text, 1..=31)?).ok()?)
    };
    text.split(',').map(day).collect()
}

fn weekdays(text: &str) -> Option<Box<[(i8, u8)]>> {
    let day = |text: &str| {
        let at = text.len().checked_sub(2).filter(|at| text.is_char_boundary(*at))?;
        let (text, name) = text.split_at(at);
        let day = weekday(name)?;
        let nth = match signed(text) {
            (_, "") if text.is_empty() => 0,
            (sign, text) => sign * i8::try_from(number(text, 1..=53)?).ok()?,
        };
        Some((nth, day))
    };
    text.split(',').map(day).collect()
}

fn signed(text: &str) -> (i8, &str) {
    match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn weekday(text: &str) -> Option<u8> {
    let place = WEEKDAYS.iter().position(|name| name.eq_ignore_ascii_case(text))?;
    u8::try_from(place).ok()
}
