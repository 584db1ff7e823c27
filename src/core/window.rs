//! Times at which something is not to be: quiet hours of a route, and when a job is not due. On the
//! clocks of a zone.
//!
//! A window is written as one text: `22:00..07:00` each day, `sat` or `sat..sun` each week, `fri 18:00..mon
//! 08:00` from one day of the week to another, `mon..fri 19:00..07:00` on some days of it, `12-24..12-26`
//! each year, `2026-12-24`, `2026-12-24..2026-12-26` and `2026-12-24 18:00..2026-12-26 06:00` once. A day
//! without a time is all of it, the last one of a range too. Lists of them, in which calendars may stand, are in
//! `super::calendar`.

use super::civil;
use super::instant::Instant;
use super::names::{self, SHORT_WEEKDAYS, WEEKDAYS};
use super::zone::Zone;

const DAY: i64 = 86_400;
const WEEK: i64 = 7 * DAY;

/// How one may be written, after "such as".
pub(crate) const FORMS: &str = "\"22:00..07:00\", \"sat..sun\", \"fri 18:00..mon 08:00\" or \
                                \"2026-12-24..2026-12-26\"";

/// A time of some days of the week: `08:00`, `mon..fri 08:00`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    text: Box<str>,
    /// A bit for each day, Monday is the first.
    days: u8,
    /// In seconds.
    time: i64,
}

/// How one may be written, after "such as".
pub(crate) const TIMES: &str = "\"08:00\" or \"mon..fri 08:00\"";

impl TimeOfDay {
    /// Reads it.
    pub(crate) fn read(text: &str) -> Option<TimeOfDay> {
        let (days, at) = match text.trim().split_once(' ') {
            Some((days, at)) => (days_of_week(days)?, at),
            None => (0x7f, text),
        };
        let time = time(at.trim()).filter(|time| *time < DAY)?;
        Some(TimeOfDay { text: text.into(), days, time })
    }

    /// How it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The first such time after that one.
    pub(crate) fn next_after(&self, at: Instant, zone: &Zone) -> Instant {
        let today = zone.wall_of(at).div_euclid(DAY);
        let is_one = |day: &i64| self.days >> civil::weekday(*day) & 1 == 1;
        // The clocks may have been set back over midnight.
        let days = (today - 1..today + 9).filter(is_one);
        let mut times = days.map(|day| zone.instant_of(day * DAY + self.time));
        times.find(|time| *time > at).unwrap_or(Instant::MAX)
    }
}

/// One of them. All times are in seconds on the clocks of the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// Each day that is in the set (a bit each, Monday is the first), from a time to one that may be on the next.
    Daily { days: u8, from: i64, until: i64 },
    /// Each week, from a time to one that may be in the next: since Monday.
    Weekly { from: i64, until: i64 },
    /// Each year, from a day to one that may be in the next: month, day, seconds.
    Yearly { from: (u32, u32, i64), until: (u32, u32, i64) },
    /// Once: since 1970.
    Once { from: i64, until: i64 },
}

impl Window {
    /// When it begins next, after a time that is not within it; `i64::MAX`: never again.
    pub(crate) fn begin(&self, wall: i64) -> i64 {
        let day = wall.div_euclid(DAY);
        match *self {
            Window::Daily { days, from, .. } => {
                let is_one = |day: &i64| days >> civil::weekday(*day) & 1 == 1;
                let mut begins = (day..day + 8).filter(is_one).map(|day| day * DAY + from);
                begins.find(|begin| *begin > wall).unwrap_or(i64::MAX)
            }
            Window::Weekly { from, .. } => {
                let monday = (day - i64::from(civil::weekday(day))) * DAY;
                let begin = monday + from;
                if begin > wall { begin } else { begin + WEEK }
            }
            Window::Yearly { from: (month, of_month, time), .. } => {
                let (year, ..) = civil::from_days(day);
                let begins =
                    [year, year + 1].map(|year| civil::to_days(year, month, of_month) * DAY + time);
                begins.into_iter().find(|begin| *begin > wall).unwrap_or(i64::MAX)
            }
            Window::Once { from, .. } if from > wall => from,
            Window::Once { .. } => i64::MAX,
        }
    }

    /// When it ends, if that time is within it.
    pub(crate) fn end(&self, wall: i64) -> Option<i64> {
        let (day, time) = (wall.div_euclid(DAY), wall.rem_euclid(DAY));
        match *self {
            Window::Daily { days, from, until } => {
                // It began today, or yesterday.
                [day, day - 1].into_iter().find_map(|day| {
                    let is_in = days >> civil::weekday(day) & 1 == 1;
                    let long = (until - from).rem_euclid(DAY);
                    let long = if long == 0 { DAY } else { long };
                    let (from, until) = (day * DAY + from, day * DAY + from + long);
                    (is_in && (from..until).contains(&wall)).then_some(until)
                })
            }
            Window::Weekly { from, until } => {
                let monday = (day - i64::from(civil::weekday(day))) * DAY;
                let long = (until - from).rem_euclid(WEEK);
                let long = if long == 0 { WEEK } else { long };
                [monday, monday - WEEK].into_iter().find_map(|monday| {
                    let until = monday + from + long;
                    (monday + from..until).contains(&wall).then_some(until)
                })
            }
            Window::Yearly { from, until } => {
                let (year, month, day) = civil::from_days(day);
                let (here, last) = ((month, day, time), (until.0, until.1, until.2 - 1));
                let is_in = if from <= last {
                    (from..=last).contains(&here)
                } else {
                    here >= from || here <= last
                };
                let year = if from > last && here >= from { year + 1 } else { year };
                is_in.then(|| civil::to_days(year, until.0, until.1) * DAY + until.2)
            }
            Window::Once { from, until } => (from..until).contains(&wall).then_some(until),
        }
    }
}

/// A day that a window begins or ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    Each,
    OfWeek(u32),
    OfYear(u32, u32),
    Date(i64),
}

/// Reads one. Answers why it is none.
pub(crate) fn read(text: &str) -> Result<Window, String> {
    read_or(text, &|| match meant(text) {
        Some(meant) => format!("not a window: did you mean \"{meant}\"?"),
        None => format!("not a window such as {FORMS}"),
    })
}

/// The window that is meant by a text that is none: `mon-fri`, `9:00..17:00`, `weekend`.
pub(crate) fn meant(text: &str) -> Option<String> {
    let lower = text.trim().to_ascii_lowercase();
    match &*lower {
        "weekend" | "weekends" => return Some("sat..sun".to_owned()),
        "weekday" | "weekdays" | "workday" | "workdays" => return Some("mon..fri".to_owned()),
        _ => {}
    }
    if !lower.is_ascii() || lower.len() > 64 {
        return None;
    }
    if let Some(days) = days_of_year(&lower) {
        return Some(days);
    }
    let padded = with_two_digits(&lower);
    let is_one = |text: &String| read_or(text, &String::new).is_ok();
    // What stands between the beginning and the end may be any of these.
    let apart = [" - ", "-", "/", " to ", ".."].into_iter().flat_map(|mark| {
        let halves = padded.match_indices(mark).map(move |(at, _)| (at, at + mark.len()));
        halves.map(|(end, start)| format!("{}..{}", &padded[..end], &padded[start..]))
    });
    std::iter::once(padded.clone()).chain(apart).find(is_one)
}

/// `dec 25`, `25. december`, `12/25` and `december`, as days of each year; `2026-12` as those of one. Where
/// month and day could be the other way round, none.
fn days_of_year(lower: &str) -> Option<String> {
    if lower.contains("..") {
        return None;
    }
    let words = lower.split([' ', '/', '.']).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let month = |word: &str| names::month(word).map(|month| month as u32 + 1);
    let number = |word: &str| word.parse::<u32>().ok();
    let (month, day) = match words[..] {
        [one] => {
            let (year, month) = match (one.split_once('-'), month(one)) {
                (_, Some(month)) => (None, month),
                (Some((year, of_year)), None) if year.len() == 4 => {
                    (Some(year.parse().ok()?), number(of_year)?)
                }
                _ => return None,
            };
            let before = year.map(|year: i32| format!("{year:04}-")).unwrap_or_default();
            let last =
                (1..=12).contains(&month).then(|| civil::month_len(year.unwrap_or(2028), month))?;
            return Some(format!("{before}{month:02}-01..{before}{month:02}-{last}"));
        }
        [first, second] => match (month(first), month(second)) {
            (Some(month), None) => (month, number(second)?),
            (None, Some(month)) => (month, number(first)?),
            _ if lower.contains(['/', '.']) => match (number(first)?, number(second)?) {
                (month @ ..=12, day @ 13..) | (day @ 13.., month @ ..=12) => (month, day),
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    Some(format!("{month:02}-{day:02}")).filter(|text| self::day(text).is_some())
}

/// `9:00..17:00` as `09:00..17:00`.
fn with_two_digits(text: &str) -> String {
    let mut padded = String::with_capacity(text.len() + 4);
    for (at, c) in text.char_indices() {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let is_alone = c.is_ascii_digit() && !before.is_ascii_digit() && before != ':';
        if is_alone && text[at + 1..].starts_with(':') {
            padded.push('0');
        }
        padded.push(c);
    }
    padded
}

fn read_or(text: &str, unknown: &impl Fn() -> String) -> Result<Window, String> {
    if !text.is_ascii() || text.len() > 64 {
        return Err(unknown());
    }
    // `mon..fri 19:00..07:00`
    if let Some((days, times)) = text.trim().split_once(' ')
        && !days.contains(':')
        && let Some((from, until)) = times.trim().split_once("..")
        && let (Some(from), Some(until)) = (time(from.trim()), time(until.trim()))
        && let Some(days) = days_of_week(days)
    {
        return daily(days, from, until);
    }
    let Some((from, until)) = text.split_once("..") else {
        let (day, None) = moment(text).ok_or_else(unknown)? else {
            return Err("it has a beginning and no end: write 22:00..07:00".to_owned());
        };
        return whole(day, day).ok_or_else(unknown)?;
    };
    let (from, until) = (moment(from).ok_or_else(unknown)?, moment(until).ok_or_else(unknown)?);
    match (from, until) {
        ((Day::Each, Some(from)), (Day::Each, Some(until))) => daily(0x7f, from, until),
        ((from, None), (until, None)) => whole(from, until).ok_or_else(unknown)?,
        (from, until) => range(from, until).ok_or_else(unknown)?,
    }
}

fn daily(days: u8, from: i64, until: i64) -> Result<Window, String> {
    match from == until {
        true => Err("it has no beginning and no end: for whole days write \"mon..sun\"".to_owned()),
        false => Ok(Window::Daily { days, from, until }),
    }
}

/// From the beginning of a day to the end of another.
fn whole(from: Day, until: Day) -> Option<Result<Window, String>> {
    range((from, None), (until, None))
}

/// From a time of a day to a time of another; `None`: they do not belong together.
fn range(
    (from, begins): (Day, Option<i64>),
    (until, ends): (Day, Option<i64>),
) -> Option<Result<Window, String>> {
    let (begins, ends) = (begins.unwrap_or(0), ends.unwrap_or(DAY));
    Some(match (from, until) {
        (Day::OfWeek(first), Day::OfWeek(last)) => {
            let (from, until) = (i64::from(first) * DAY + begins, i64::from(last) * DAY + ends);
            Ok(Window::Weekly { from, until })
        }
        (Day::OfYear(..), Day::OfYear(..)) => {
            let of = |day, time| match day {
                Day::OfYear(month, day) => (month, day, time),
                _ => (1, 1, time),
            };
            Ok(Window::Yearly { from: of(from, begins), until: of(until, ends) })
        }
        (Day::Date(first), Day::Date(last)) => {
            let (from, until) = (first * DAY + begins, last * DAY + ends);
            match from < until {
                true => Ok(Window::Once { from, until }),
                false => Err("it ends before it begins".to_owned()),
            }
        }
        _ => return None,
    })
}

/// `sat 22:00`, `2026-12-24T18:00`, `07:00`, `12-24`: a day, a time or both.
fn moment(text: &str) -> Option<(Day, Option<i64>)> {
    let text = text.trim();
    if let Some(time) = time(text) {
        return Some((Day::Each, Some(time)));
    }
    match text.split_once([' ', 'T']).filter(|(day, _)| !day.is_empty()) {
        // `Tue` and `Thu` begin with what stands before a time.
        Some((first, second)) if text.contains(':') => {
            Some((day(first)?, Some(time(second.trim())?)))
        }
        _ => Some((day(text)?, None)),
    }
}

fn day(text: &str) -> Option<Day> {
    if let Some(weekday) = weekday(text) {
        return Some(Day::OfWeek(weekday));
    }
    let numbers: Vec<&str> = text.split('-').collect();
    let all_digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let widths: Vec<usize> =
        numbers.iter().filter(|it| all_digits(it)).map(|it| it.len()).collect();
    let number = |place: usize| numbers.get(place)?.parse::<u32>().ok();
    let fits = |year, month, day| {
        (1..=12).contains(&month) && (1..=civil::month_len(year, month)).contains(&day)
    };
    match *widths {
        [2, 2] if numbers.len() == 2 => {
            let (month, day) = (number(0)?, number(1)?);
            // A leap year has all days.
            fits(2028, month, day).then_some(Day::OfYear(month, day))
        }
        [4, 2, 2] => {
            let (year, month, day) = (i32::try_from(number(0)?).ok()?, number(1)?, number(2)?);
            fits(year, month, day).then(|| Day::Date(civil::to_days(year, month, day)))
        }
        _ => None,
    }
}

pub(crate) fn weekday(text: &str) -> Option<u32> {
    let text = text.to_ascii_lowercase();
    let place = SHORT_WEEKDAYS.iter().zip(WEEKDAYS).position(|(short, long)| {
        text == short.to_ascii_lowercase() || text == long.to_ascii_lowercase()
    });
    place.and_then(|place| u32::try_from(place).ok())
}

/// `sat`, `mon..fri`: a bit for each day.
fn days_of_week(text: &str) -> Option<u8> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (weekday(first)?, weekday(last)?);
    let count = (last + 7 - first) % 7;
    Some((0..=count).map(|day| 1 << ((first + day) % 7)).sum())
}

/// `07:00`, `24:00`: in seconds.
fn time(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let fits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| text.parse::<i64>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    let time = hour * 3600 + minute * 60;
    (minute < 60 && time <= DAY).then_some(time)
}

#[cfg(test)]
mod tests;
