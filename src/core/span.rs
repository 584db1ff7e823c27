//! Durations as people write them: `30s`, `1h 30m`.
//!
//! They are those of `humantime`, without its months and years: `5M` is mostly meant as five minutes,
//! and nobody means 30.44 days by a month. Where a point in time is meant, as `+1month`, months and years
//! are those of the calendar ([`Stretch`]).

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::civil;
use super::instant::Instant;
use super::zone::Zone;

const DAY: i64 = 86_400;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NoSpan {
    /// Nothing that `humantime` can read.
    Form(humantime::DurationError),
    /// It counts in a unit that has no fixed length.
    Calendar {
        /// The number and the unit, in the text.
        at: Range<usize>,
        /// `5M`.
        typed: String,
    },
}

/// Reads a duration.
pub(crate) fn parse(text: &str) -> Result<Duration, NoSpan> {
    let span = humantime::parse_duration(text).map_err(NoSpan::Form)?;
    match parts(text).find(|part| part.months.is_some()) {
        Some(part) => Err(part.has_no_length(text)),
        None => Ok(span),
    }
}

/// A number and its unit in a text that is a duration.
struct Part {
    at: Range<usize>,
    unit: usize,
    /// How many months are in the unit, if it is one of the calendar.
    months: Option<u64>,
}

impl Part {
    fn has_no_length(&self, text: &str) -> NoSpan {
        NoSpan::Calendar { typed: text[self.at.clone()].to_owned(), at: self.at.clone() }
    }
}

fn parts(text: &str) -> impl Iterator<Item = Part> + '_ {
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(|c: char| c.is_ascii_digit())?;
        let unit = start + text[start..].find(char::is_alphabetic)?;
        let end =
            text[unit..].find(|c: char| !c.is_alphabetic()).map_or(text.len(), |at| unit + at);
        rest = end;
        let months = match &text[unit..end] {
            MINUTES | "month" | "months" => Some(1),
            "y" | "yr" | "yrs" | "year" | "years" => Some(12),
            _ => None,
        };
        Some(Part { at: start..end, unit, months })
    })
}

/// What ISO 8601 has as `PT1H30M` or `P1D`, as it is written here: `1h30m`, `1d`.
pub(crate) fn of_iso(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let after = lower.strip_prefix('p')?;
    let (days, time) = after.split_once('t').unwrap_or((after, ""));
    // Months have no fixed length, and minutes are never in front of the `T`.
    let span = format!("{days}{time}");
    (!days.contains('m') && parse(&span).is_ok()).then_some(span)
}

/// What `humantime` takes for months, and people mean as minutes.
const MINUTES: &str = "M";

/// How far a point in time is from another: months of the calendar, then elapsed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    months: u64,
    rest: Duration,
}

impl Stretch {
    /// Reads a duration that may have months and years.
    pub(crate) fn parse(text: &str) -> Result<Stretch, NoSpan> {
        humantime::parse_duration(text).map_err(NoSpan::Form)?;
        let (mut months, mut rest) = (0u64, String::new());
        for part in parts(text) {
            let unit = &text[part.unit..part.at.end];
            let Some(in_unit) = part.months.filter(|_| unit != MINUTES) else {
                if part.months.is_some() {
                    return Err(part.has_no_length(text));
                }
                rest.push_str(&text[part.at]);
                continue;
            };
            let number = text[part.at.start..part.unit].trim_end().parse::<u64>();
            let number = number.map_err(|_| part.has_no_length(text))?;
            months = months.saturating_add(number.saturating_mul(in_unit));
        }
        let rest = match &*rest {
            "" => Duration::ZERO,
            rest => humantime::parse_duration(rest).map_err(NoSpan::Form)?,
        };
        Ok(Stretch { months, rest })
    }

    /// So long after an instant.
    pub(crate) fn after(self, at: Instant, zone: &Zone) -> Instant {
        months_from(at, i64::try_from(self.months).unwrap_or(i64::MAX), zone).plus(self.rest)
    }

    /// So long before it.
    pub(crate) fn before(self, at: Instant, zone: &Zone) -> Instant {
        let months = i64::try_from(self.months).unwrap_or(i64::MAX);
        months_from(at, -months, zone).minus(self.rest)
    }
}

/// So many months later or earlier on the clocks of a zone, on the last day of a month that does not have
/// the day; at the end of the calendar where that is further.
fn months_from(at: Instant, months: i64, zone: &Zone) -> Instant {
    if months == 0 {
        return at;
    }
    let wall = zone.wall_of(at);
    let days = wall.div_euclid(DAY);
    if !(civil::to_days(1, 1, 1)..=civil::to_days(9999, 12, 31)).contains(&days) {
        return at;
    }
    let (year, month, day) = civil::from_days(days);
    let month = (i64::from(year) * 12 + i64::from(month) - 1).saturating_add(months);
    let (year, month) = (month.div_euclid(12), month.rem_euclid(12) as u32 + 1);
    let Some(year) = i32::try_from(year).ok().filter(|year| (1..=9999).contains(year)) else {
        return if months < 0 { Instant::MIN } else { Instant::MAX };
    };
    let day = civil::to_days(year, month, day.min(civil::month_len(year, month)));
    let there = zone.instant_of(day * DAY + wall.rem_euclid(DAY));
    there.plus(Duration::from_micros(at.subsec_micros().into()))
}

impl NoSpan {
    /// What would be right, where that is not obvious.
    pub(crate) fn help(&self) -> Option<String> {
        let NoSpan::Calendar { typed, .. } = self else { return None };
        let number = typed.trim_end_matches(char::is_alphabetic).trim_end();
        Some(if typed.ends_with(MINUTES) {
            format!("`{number}m` is {number} minutes; months are written as days: `30d`")
        } else {
            "write it in days, as in `30d` or `365d`".to_owned()
        })
    }

    /// The same of an `interval`, which may be one of the calendar.
    pub(crate) fn help_with_interval(&self) -> Option<String> {
        let NoSpan::Calendar { typed, .. } = self else { return None };
        let number = typed.trim_end_matches(char::is_alphabetic).trim_end();
        let number = number.parse().unwrap_or(1u64);
        let (unit, minutes) = match typed {
            _ if typed.ends_with(MINUTES) => {
                ("months", format!("`{number}m` is {number} minutes; "))
            }
            _ if typed.contains('y') => ("years", String::new()),
            _ => ("months", String::new()),
        };
        Some(format!(
            "{minutes}for {unit} of the calendar write `interval = {{ {unit} = {number} }}`"
        ))
    }
}

impl fmt::Display for NoSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSpan::Form(error) => error.fmt(f),
            NoSpan::Calendar { typed, .. } => {
                let unit = typed.trim_start_matches(|c: char| !c.is_alphabetic());
                let what = if unit.starts_with('y') { "years" } else { "months" };
                write!(f, "`{typed}` is in {what}, which have no fixed length")?;
                // On a command line there is no place for help.
                match self.help() {
                    Some(help) if f.alternate() => write!(f, ": {help}"),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for NoSpan {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_and_years_have_no_length() {
        let rows = [
            ("5M", Some("5M")),
            ("1 month", Some("1 month")),
            ("1d 2months 3s", Some("2months")),
            ("1y", Some("1y")),
            ("3s 1year", Some("1year")),
            ("5m", None),
            ("5min", None),
            ("1h 30m", None),
            ("2weeks 1day 500ms", None),
        ];
        for (text, wrong) in rows {
            match (parse(text), wrong) {
                (Ok(_), None) => {}
                (Err(NoSpan::Calendar { at, .. }), Some(wrong)) => assert_eq!(&text[at], wrong),
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        }
        let help = parse("5M").unwrap_err().help().unwrap();
        assert!(help.starts_with("`5m` is 5 minutes"), "{help}");
        assert_eq!(parse("").unwrap_err().help(), None);
        for (text, key) in
            [("5M", "months = 5"), ("1 month", "months = 1"), ("2years", "years = 2")]
        {
            let help = parse(text).unwrap_err().help_with_interval().unwrap();
            assert!(help.ends_with(&format!("`interval = {{ {key} }}`")), "{help}");
        }
    }

    #[test]
    fn iso_8601_is_known() {
        let rows = [
            ("PT15M", "15m"),
            ("P1D", "1d"),
            ("p1dt12h", "1d12h"),
            ("P2W", "2w"),
            ("PT0.5S", "0.5s"),
        ];
        for (text, span) in rows {
            assert_eq!(of_iso(text).as_deref(), Some(span), "{text}");
        }
        for text in ["P1M", "P1Y", "P", "PT", "15M", "P15", "poll"] {
            assert_eq!(of_iso(text), None, "{text}");
        }
    }

    #[test]
    fn months_from_a_point_in_time_are_those_of_the_calendar() {
        let zone = crate::core::zone::Database::bundled().get("Europe/Berlin").unwrap();
        let at = |text: &str| {
            let (date, clock) = text.split_once(' ').unwrap();
            let mut date = date.split('-').map(|part| part.parse::<i32>().unwrap());
            let mut next = || date.next().unwrap();
            let day = civil::to_days(next(), next() as u32, next() as u32);
            let (hour, minute) = clock.split_once(':').unwrap();
            let secs = hour.parse::<i64>().unwrap() * 3600 + minute.parse::<i64>().unwrap() * 60;
            zone.instant_of(day * DAY + secs)
        };
        for (from, text, after, before) in [
            ("2026-01-31 09:00", "1month", "2026-02-28 09:00", "2025-12-31 09:00"),
            ("2028-02-29 09:00", "1y", "2029-02-28 09:00", "2027-02-28 09:00"),
            ("2026-03-31 09:00", "1 month", "2026-04-30 09:00", "2026-02-28 09:00"),
            ("2026-01-15 09:00", "1y 2months 1day", "2027-03-16 09:00", "2024-11-14 09:00"),
            // Neither is 30.44 days, nor any number of hours: clocks change in between.
            ("2026-03-01 12:00", "1month", "2026-04-01 12:00", "2026-02-01 12:00"),
            // What clocks skip there is the first instant after it.
            ("2026-02-28 02:30", "1month 1day", "2026-03-29 03:30", "2026-01-27 02:30"),
            ("2026-04-29 02:30", "1month", "2026-05-29 02:30", "2026-03-29 03:00"),
            ("2026-01-15 09:00", "1h", "2026-01-15 10:00", "2026-01-15 08:00"),
        ] {
            let stretch = Stretch::parse(text).unwrap();
            assert_eq!(stretch.after(at(from), &zone), at(after), "{from} + {text}");
            assert_eq!(stretch.before(at(from), &zone), at(before), "{from} - {text}");
        }
        for text in ["5M", "1.5y", "1y 5M", "1x", ""] {
            assert!(Stretch::parse(text).is_err(), "{text}");
        }
        let far = Stretch::parse("9000y").unwrap();
        assert_eq!(far.after(at("2026-01-01 00:00"), &zone), Instant::MAX);
        assert_eq!(far.before(at("2026-01-01 00:00"), &zone), Instant::MIN);
    }
}
