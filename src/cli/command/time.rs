//! Times as people type them: one grammar for every flag that takes one.
//!
//! `now`; `17:30`, `noon`, `midnight`; `today`, `tomorrow 09:00`, `yesterday`, `mon`, `friday 17:30`;
//! `+10m`, `in 10m`, `-2h`, `2h ago`, `2h`, `+1month`; a date with or without a time and an offset, as RFC 3339
//! and our own tables have it. What has no date is ahead where a time to come is asked for, and has
//! passed where one looks back.

use std::time::Duration;

use anyhow::anyhow;

use crate::core::civil;
use crate::core::instant::Instant;
use crate::core::names::WEEKDAYS;
use crate::core::span::{self, NoSpan, Stretch};
use crate::core::zone::Zone;
use crate::jobfile::when;

const DAY: i64 = 86_400;

/// A time as it was typed: from its first moment to its last. `03:00` is a whole minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) from: Instant,
    pub(super) until: Instant,
}

/// A time to come, on the clocks of `zone`; `+10m` is after `base`.
pub(super) fn ahead(
    text: &str,
    zone: &Zone,
    now: Instant,
    base: Instant,
) -> anyhow::Result<Instant> {
    Ok(Reader { zone, now, base, looks_back: false }.read(text)?.from)
}

/// A time that has passed, as one looks back.
pub(super) fn back(text: &str, zone: &Zone, now: Instant) -> anyhow::Result<Moment> {
    Reader { zone, now, base: now, looks_back: true }.read(text)
}

/// A duration.
pub(super) fn duration(text: &str) -> anyhow::Result<Duration> {
    span::parse(text).map_err(|error| anyhow!("{error:#}"))
}

/// The same of an interval, which may be one of the calendar in another form.
pub(super) fn interval(text: &str) -> anyhow::Result<Duration> {
    span::parse(text).map_err(|error| match error.help_with_interval() {
        Some(help) => anyhow!("{error}; {help}"),
        None => anyhow!("{error}"),
    })
}

struct Reader<'a> {
    zone: &'a Zone,
    now: Instant,
    base: Instant,
    looks_back: bool,
}

impl Reader<'_> {
    fn read(&self, text: &str) -> anyhow::Result<Moment> {
        let text = text.trim();
        if text == "now" {
            return Ok(exactly(self.now));
        }
        if let Some(at) = self.relative(text)? {
            return Ok(exactly(at));
        }
        let mut words = text.split_whitespace().filter(|word| *word != "at");
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        let has_more = words.next().is_some();
        if let Some(clock) = time_of_day(first)
            && second.is_none()
        {
            return Ok(self.on_any_day(clock));
        }
        let Some(day) = Day::named(first) else { return self.date(text) };
        match (second, second.and_then(time_of_day)) {
            (None, _) => Ok(self.span(self.whole(day) * DAY, DAY)),
            (Some(_), Some(clock)) if !has_more => Ok(self.at(day, clock)),
            // As our tables show it: the weekday of a date is not looked at.
            _ if matches!(day, Day::Weekday(_)) => self.date(text[first.len()..].trim_start()),
            _ => Err(forms()),
        }
    }

    /// `+10m`, `in 10m`, `-2h`, `2h ago`, `2h`; months and years are those of the calendar.
    fn relative(&self, text: &str) -> anyhow::Result<Option<Instant>> {
        let ahead = text.strip_prefix('+').or_else(|| text.strip_prefix("in "));
        let ago = text.strip_prefix('-').or_else(|| text.strip_suffix(" ago"));
        let (span, is_ago) = match (ahead, ago) {
            (Some(span), _) => (span, false),
            (None, Some(span)) => (span, true),
            (None, None) if text.starts_with(|c: char| c.is_ascii_digit()) => {
                (text, self.looks_back)
            }
            (None, None) => return Ok(None),
        };
        match Stretch::parse(span.trim()) {
            Ok(span) if is_ago => Ok(Some(span.before(self.base, self.zone))),
            Ok(span) => Ok(Some(span.after(self.base, self.zone))),
            // It may be a date.
            Err(NoSpan::Form(_)) if ahead.is_none() && ago.is_none() => Ok(None),
            Err(error @ NoSpan::Form(_)) => Err(anyhow!("{error}")),
            Err(NoSpan::Calendar { typed, .. }) => Err(match typed.strip_suffix('M') {
                Some(number) => {
                    let number = number.trim_end();
                    anyhow!(
                        "`{typed}` is not clear: write `{number}m` for minutes, `{number}months` for months"
                    )
                }
                None => anyhow!("`{typed}` is no whole number of months: write days, as in `45d`"),
            }),
        }
    }

    /// A date, with a time or without.
    fn date(&self, text: &str) -> anyhow::Result<Moment> {
        let at = match when::parse_moment(text) {
            Ok(moment) => moment.instant(self.zone),
            // It begins like a date.
            Err((_, message)) if text.get(4..5) == Some("-") => return Err(anyhow!(message)),
            Err(_) => return Err(forms()),
        };
        Ok(match text.get(10..).map(precision) {
            Some(0) if text.len() == 10 => self.span(self.zone.wall_of(at), DAY),
            Some(length) if length > 0 => {
                let length = Duration::from_micros(length as u64 * 1_000_000 - 1);
                Moment { from: at, until: at.plus(length) }
            }
            _ => exactly(at),
        })
    }

    fn today(&self) -> i64 {
        self.zone.wall_of(self.now).div_euclid(DAY)
    }

    /// A day without a time of day.
    fn whole(&self, day: Day) -> i64 {
        let today = self.today();
        match day {
            Day::From(days) => today + days,
            Day::Weekday(weekday) => {
                let ahead = i64::from((weekday + 7 - civil::weekday(today)) % 7);
                match ahead {
                    0 if self.looks_back => today,
                    0 => today + 7,
                    _ if self.looks_back => today + ahead - 7,
                    _ => today + ahead,
                }
            }
        }
    }

    /// A time of day on a day.
    fn at(&self, day: Day, (secs, length): (i64, i64)) -> Moment {
        let today = self.today();
        let on = |day: i64| self.span(day * DAY + secs, length);
        match day {
            Day::From(days) => on(today + days),
            // Today, if that is still ahead, or has passed.
            Day::Weekday(weekday) if civil::weekday(today) == weekday => {
                let moment = on(today);
                match (self.looks_back, moment.from > self.now) {
                    (true, true) => on(today - 7),
                    (false, false) => on(today + 7),
                    _ => moment,
                }
            }
            Day::Weekday(_) => on(self.whole(day)),
        }
    }

    /// The last time of day that has passed, or the next one.
    fn on_any_day(&self, (secs, length): (i64, i64)) -> Moment {
        let today = self.today();
        let moment = self.span(today * DAY + secs, length);
        match (self.looks_back, moment.from > self.now) {
            (true, true) => self.span((today - 1) * DAY + secs, length),
            (false, false) => self.span((today + 1) * DAY + secs, length),
            _ => moment,
        }
    }

    /// So many seconds of wall time from a wall time on.
    fn span(&self, wall: i64, length: i64) -> Moment {
        let until = self.zone.instant_of(wall + length);
        let from = self.zone.instant_of(wall);
        Moment { from, until: until.minus(Duration::from_micros(1)).max(from) }
    }
}

fn exactly(at: Instant) -> Moment {
    Moment { from: at, until: at }
}

/// A day that has a name.
#[derive(Clone, Copy, Debug)]
enum Day {
    /// So many days from today.
    From(i64),
    /// Monday is 0.
    Weekday(u32),
}

impl Day {
    fn named(word: &str) -> Option<Day> {
        let word = word.to_ascii_lowercase();
        match &*word {
            "today" => return Some(Day::From(0)),
            "tomorrow" => return Some(Day::From(1)),
            "yesterday" => return Some(Day::From(-1)),
            _ => {}
        }
        let is_it = |name: &str| word == name || word == name[..3];
        let weekday = WEEKDAYS.iter().position(|name| is_it(name))?;
        Some(Day::Weekday(weekday as u32))
    }
}

/// What can be typed, for whoever has typed something else.
fn forms() -> anyhow::Error {
    anyhow!(
        "expected a time: `17:30`, `noon`, `tomorrow 09:00`, `yesterday`, `fri`, `+10m`, `2h ago`, \
         `2026-12-01`, `2026-12-01 09:00` or `2026-12-01T09:00:00+01:00`"
    )
}

/// How many seconds a time after a date stands for; 0: it is exact.
fn precision(rest: &str) -> i64 {
    let clock = rest.get(1..).unwrap_or_default();
    let clock = &clock[..clock.find(['Z', 'z', '+', '-', ' ']).unwrap_or(clock.len())];
    match clock.len() {
        5 => 60,
        8 => 1,
        _ => 0,
    }
}

/// `HH:MM` or `HH:MM:SS`, `noon` or `midnight`, as seconds of a day and how many of them it stands
/// for.
fn time_of_day(text: &str) -> Option<(i64, i64)> {
    match text {
        "noon" => return Some((12 * 3600, 60)),
        "midnight" => return Some((0, 60)),
        _ => {}
    }
    let number = |part: &str, most: usize, below: i64| {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = digits && (1..=2).contains(&part.len()) && part.len() >= most;
        part.parse::<i64>().ok().filter(|number| fits && *number < below)
    };
    let mut parts = text.split(':');
    let (hour, minute) = (number(parts.next()?, 1, 24)?, number(parts.next()?, 2, 60)?);
    match (parts.next(), parts.next()) {
        (None, _) => Some((hour * 3600 + minute * 60, 60)),
        (Some(second), None) => Some((hour * 3600 + minute * 60 + number(second, 2, 60)?, 1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::words;
    use crate::core::zone::Database;

    fn berlin() -> Zone {
        Database::bundled().get("Europe/Berlin").unwrap()
    }

    /// Tue 2026-11-24 13:00:00 +01:00.
    const NOW: Instant = Instant::from_secs(1_795_478_400 + 12 * 3600);

    #[test]
    fn times_as_one_looks_back() {
        let zone = berlin();
        let shown = |text: &str| {
            let found = back(text, &zone, NOW).unwrap_or_else(|error| panic!("{text}: {error}"));
            let length = found.until.since(found.from).as_micros();
            let from = words::rfc3339(found.from, &zone);
            format!("{} {}", from.trim_end_matches("+01:00"), length.div_ceil(1_000_000))
        };
        for (text, expected) in [
            ("03:00", "2026-11-24T03:00:00 60"),
            ("13:00", "2026-11-24T13:00:00 60"),
            ("13:01", "2026-11-23T13:01:00 60"),
            ("3:00", "2026-11-24T03:00:00 60"),
            ("03:00:07", "2026-11-24T03:00:07 1"),
            ("noon", "2026-11-24T12:00:00 60"),
            ("midnight", "2026-11-24T00:00:00 60"),
            ("today", "2026-11-24T00:00:00 86400"),
            ("yesterday", "2026-11-23T00:00:00 86400"),
            ("yesterday 17:30", "2026-11-23T17:30:00 60"),
            ("today at 09:00", "2026-11-24T09:00:00 60"),
            ("tue", "2026-11-24T00:00:00 86400"),
            ("monday", "2026-11-23T00:00:00 86400"),
            ("wed", "2026-11-18T00:00:00 86400"),
            ("Tue 14:00", "2026-11-17T14:00:00 60"),
            ("tue 09:00", "2026-11-24T09:00:00 60"),
            ("-2h", "2026-11-24T11:00:00 0"),
            ("2h ago", "2026-11-24T11:00:00 0"),
            ("2h", "2026-11-24T11:00:00 0"),
            ("1h 30m", "2026-11-24T11:30:00 0"),
            ("1 month ago", "2026-10-24T13:00:00+02:00 0"),
            ("-1y", "2025-11-24T13:00:00 0"),
            ("now", "2026-11-24T13:00:00 0"),
            ("2026-11-20", "2026-11-20T00:00:00 86400"),
            ("2026-11-20 03:00", "2026-11-20T03:00:00 60"),
            ("2026-11-20T03:00:05", "2026-11-20T03:00:05 1"),
            ("2026-11-20T02:00Z", "2026-11-20T03:00:00 60"),
            ("2026-11-20T02:00:05Z", "2026-11-20T03:00:05 1"),
            ("2026-11-20T02:00:05.5Z", "2026-11-20T03:00:05.500 0"),
            ("Fri 2026-11-20 03:00:00 +01:00", "2026-11-20T03:00:00 1"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn times_to_come() {
        let zone = berlin();
        let at = |text: &str| when::parse_moment(text).unwrap().instant(&zone);
        let now = "2026-11-24 13:00";
        for (now, text, expected) in [
            (now, "17:30", "2026-11-24 17:30"),
            (now, "13:00", "2026-11-25 13:00"),
            (now, "noon", "2026-11-25 12:00"),
            (now, "midnight", "2026-11-25"),
            (now, "tomorrow", "2026-11-25"),
            (now, "tomorrow 09:00", "2026-11-25 09:00"),
            (now, "tue", "2026-12-01"),
            (now, "tue 13:01", "2026-11-24 13:01"),
            (now, "tue noon", "2026-12-01 12:00"),
            (now, "Friday", "2026-11-27"),
            (now, "+10m", "2026-11-24 13:10"),
            (now, "in 10m", "2026-11-24 13:10"),
            (now, "1h", "2026-11-24 14:00"),
            (now, "-2h", "2026-11-24 11:00"),
            (now, "+1y", "2027-11-24 13:00"),
            (now, "+1month", "2026-12-24 13:00"),
            (now, "in 3 months 2 days", "2027-02-26 13:00"),
            ("2027-01-31 09:00", "+1month", "2027-02-28 09:00"),
            (now, "2026-12-01", "2026-12-01"),
            // Clocks go forward in the night, and this day has 23 hours.
            ("2026-03-28 23:30", "23:00", "2026-03-29 23:00"),
            ("2026-10-24 23:30", "23:00", "2026-10-25 23:00"),
        ] {
            let found = ahead(text, &zone, at(now), at(now)).unwrap();
            assert_eq!(found, at(expected), "{now}: {text}");
        }
    }

    #[test]
    fn what_is_no_time_lists_what_is() {
        let zone = berlin();
        for text in [
            "",
            "25:00",
            "3:0",
            "03:00:00:00",
            "Xyz 03:00",
            "2026-13-01",
            "-",
            "-2x",
            "soon",
            "tomorrow soon",
            "today 09:00 sharp",
            "mon tue",
            "5M",
            "+5M",
            "1.5y ago",
        ] {
            assert!(back(text, &zone, NOW).is_err(), "{text}");
        }
        let said = ahead("soon", &zone, NOW, NOW).unwrap_err().to_string();
        assert!(said.contains("`tomorrow 09:00`") && said.contains("`2h ago`"), "{said}");
    }

    /// A day on which the clocks change has another length.
    #[test]
    fn a_day_is_as_long_as_it_is() {
        let day = back("2026-10-25", &berlin(), NOW).unwrap();
        assert_eq!(day.until.since(day.from).as_secs(), 25 * 3600 - 1);
    }
}
