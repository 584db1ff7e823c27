//! What Kubernetes does with a CronJob's words: when its `schedule` is due, and what `$(NAME)` is.
//!
//! Both ways (`export::to_kubernetes`, `import::kubernetes`) need it, and neither our own parser nor
//! our own rule for daylight saving has a part in it. Kubernetes reads schedules with robfig/cron 3,
//! which walks from a time to the next field by field; where clocks change, that walk *is* the rule,
//! so it is walked here as well, step for step. `tests/data/kubernetes-due.jsonl` holds what the
//! original answers.
//!
//! What follows from the walk: a time that a change of clocks skips is not due, one that it repeats
//! is due twice. And where the clocks skip midnight, the day is not looked at: coming from a day that
//! matches, the first time of the next one is due whatever day that is, and in a zone east of
//! Greenwich, coming from a day that does not match, the whole day is passed over.

use crate::core::civil;
use crate::core::names::{SHORT_MONTHS, SHORT_WEEKDAYS_FROM_SUNDAY};
use crate::core::trigger::cron::Schedule;
use crate::core::zone::Zone;

/// The annotation that has the id of a job, where the name of its CronJob has to be another.
pub(crate) const ID: &str = "schedrs/id";

/// The annotation that has the name of a job.
pub(crate) const DESCRIPTION: &str = "kubernetes.io/description";

/// A schedule as Kubernetes reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Five fields, or a macro that stands for them.
    Fields(Fields),
    /// `@every`: so many seconds apart, from when the CronJob was made.
    Every(u64),
}

/// Five fields as sets of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) minutes: u64,
    pub(crate) hours: u64,
    pub(crate) days: u64,
    pub(crate) months: u64,
    /// Bit 0 is Sunday.
    pub(crate) weekdays: u64,
    /// One of the day fields is all of a star, so that both have to match.
    pub(crate) both: bool,
}

/// The names that may stand for numbers, and the lowest and the highest number.
struct Kind {
    names: &'static [&'static str],
    min: u32,
    max: u32,
}

const MINUTE: Kind = Kind { names: &[], min: 0, max: 59 };
const HOUR: Kind = Kind { names: &[], min: 0, max: 23 };
const DAY: Kind = Kind { names: &[], min: 1, max: 31 };
const MONTH: Kind = Kind { names: &SHORT_MONTHS, min: 1, max: 12 };
const WEEKDAY: Kind = Kind { names: &SHORT_WEEKDAYS_FROM_SUNDAY, min: 0, max: 6 };

/// The macros that Kubernetes knows, as fields. They are written in small letters only.
const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The fields that a macro stands for.
pub(crate) fn macro_fields(text: &str) -> Option<&'static str> {
    MACROS.iter().find(|(name, _)| *name == text).map(|(_, fields)| *fields)
}

/// Reads a schedule. The error says why Kubernetes does not take it.
pub(crate) fn read(text: &str) -> Result<Read, String> {
    let text = text.trim();
    if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
        return Err("a zone in the schedule is rejected: it belongs in `timeZone`".to_owned());
    }
    if let Some(every) = text.strip_prefix("@every ") {
        return Ok(Read::Every(go_seconds(every.trim())?.max(1)));
    }
    let text = match text.strip_prefix('@') {
        Some(_) => macro_fields(text).ok_or_else(|| format!("unknown macro `{text}`"))?,
        None => text,
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let &[minute, hour, day, month, weekday] = &fields[..] else {
        return Err(format!("it has {} fields instead of five", fields.len()));
    };
    let (days, any_day) = field(day, &DAY)?;
    let (weekdays, any_weekday) = field(weekday, &WEEKDAY)?;
    Ok(Read::Fields(Fields {
        minutes: field(minute, &MINUTE)?.0,
        hours: field(hour, &HOUR)?.0,
        days,
        months: field(month, &MONTH)?.0,
        weekdays,
        both: any_day || any_weekday,
    }))
}

/// A field: its set, and whether a star in it makes both day fields count.
fn field(text: &str, kind: &Kind) -> Result<(u64, bool), String> {
    let (mut set, mut starred) = (0, false);
    // An empty item is no item there.
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let (range, step) = match item.split_once('/') {
            Some((_, step)) if step.contains('/') => {
                return Err(format!("too many `/` in `{item}`"));
            }
            Some((range, step)) => (range, Some(number(step, &[])?)),
            None => (item, None),
        };
        let ends: Vec<&str> = range.split('-').collect();
        let star = matches!(ends[0], "*" | "?");
        let (first, last) = match ends[..] {
            // What follows a star is not looked at.
            _ if star => (kind.min, kind.max),
            [only] => {
                let only = number(only, kind.names)?;
                (only, if step.is_some() { kind.max } else { only })
            }
            [first, last] => (number(first, kind.names)?, number(last, kind.names)?),
            _ => return Err(format!("too many `-` in `{item}`")),
        };
        if first < kind.min || last > kind.max || first > last {
            return Err(format!("`{item}` is not within {}-{}", kind.min, kind.max));
        }
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(format!("the step of `{item}` is 0"));
        }
        starred |= star && step == 1;
        set |= (first..=last).step_by(step as usize).fold(0, |set, value| set | 1 << value);
    }
    Ok((set, starred))
}

fn number(text: &str, names: &[&str]) -> Result<u32, String> {
    let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
    if let Some(at) = named {
        // Months count from 1, weekdays from 0.
        return Ok(at as u32 + u32::from(names.len() == 12));
    }
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

/// A duration of Go (`1h30m`, `1.5h`) in seconds, rounded down as `@every` does.
fn go_seconds(text: &str) -> Result<u64, String> {
    let unknown = || format!("`{text}` is not a duration");
    let mut total = 0.0;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(unknown());
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(unknown)?;
        let count: f64 = rest[..end].parse().map_err(|_| unknown())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += count
            * match &rest[..end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(unknown()),
            };
        rest = &rest[end..];
    }
    // A duration of Go ends after 292 years.
    if total < 9_223_372_036.0 { Ok(total as u64) } else { Err(unknown()) }
}

/// No walk takes more steps: five years of days, and the hours and minutes of some of them.
const MOST_STEPS: u32 = 1_000_000;

/// A walk to the next due time.
struct Walk<'a> {
    zone: &'a Zone,
    /// Where it has come to, in seconds.
    at: i64,
    /// A field was set forward, and the smaller ones are at their lowest.
    moved: bool,
    steps: u32,
}

/// A time on the clocks of a zone.
struct Wall {
    year: i32,
    month: u32,
    day: u32,
    weekday: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

impl Walk<'_> {
    fn wall(&self) -> Wall {
        let wall = self.at + i64::from(self.zone.segment_at(self.at).offset);
        let days = wall.div_euclid(86_400);
        let (year, month, day) = civil::from_days(days);
        let time = wall.rem_euclid(86_400) as u32;
        Wall {
            year,
            month,
            day,
            // Ours counts from Monday.
            weekday: (civil::weekday(days) + 1) % 7,
            hour: time / 3600,
            minute: time / 60 % 60,
            second: time % 60,
        }
    }

    /// The instant of a wall time as Go has it: the offset that would be right if the wall time were
    /// UTC, or else the one before or after it.
    fn instant(&self, days: i64, time: u32) -> i64 {
        let wall = days * 86_400 + i64::from(time);
        let guess = self.zone.segment_at(wall);
        let at = wall - i64::from(guess.offset);
        if (guess.start..guess.end).contains(&at) {
            return at;
        }
        wall - i64::from(self.zone.segment_at(at).offset)
    }

    /// To the lowest of the smaller fields, at the first move. Answers whether the walk may go on.
    fn start_of(&mut self, start: impl FnOnce(&Self) -> i64) -> bool {
        if !self.moved {
            self.moved = true;
            self.at = start(self);
        }
        self.steps += 1;
        self.steps < MOST_STEPS
    }
}

impl Fields {
    /// The first due time after an instant (in seconds); `None` where there is none in five years.
    pub(crate) fn next_after(&self, after: i64, zone: &Zone) -> Option<i64> {
        let mut walk = Walk { zone, at: after + 1, moved: false, steps: 0 };
        let last_year = walk.wall().year + 5;
        // Each of them goes to the next value that matches, and is false where that is in the next
        // of the larger field, which has to be looked at again then.
        while walk.wall().year <= last_year && walk.steps < MOST_STEPS {
            walk.steps += 1;
            if self.find_month(&mut walk)
                && self.find_day(&mut walk)
                && self.find_hour(&mut walk)
                && self.find_minute(&mut walk)
            {
                return Some(walk.at);
            }
        }
        None
    }

    /// Whether a day of the calendar matches; a weekday is counted from Sunday.
    pub(crate) fn has_day(&self, day: u32, weekday: u32) -> bool {
        let (by_day, by_weekday) = (self.days >> day & 1 != 0, self.weekdays >> weekday & 1 != 0);
        if self.both { by_day && by_weekday } else { by_day || by_weekday }
    }

    fn find_month(&self, walk: &mut Walk<'_>) -> bool {
        loop {
            let wall = walk.wall();
            if self.months >> wall.month & 1 != 0 {
                return true;
            }
            let first = civil::to_days(wall.year, wall.month, 1);
            if !walk.start_of(|walk| walk.instant(first, 0)) {
                return false;
            }
            // As far into the next month as the walk is into this one.
            let Wall { year, month, day, hour, minute, second, .. } = walk.wall();
            let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let days = civil::to_days(year, month, 1) + i64::from(day) - 1;
            walk.at = walk.instant(days, hour * 3600 + minute * 60 + second);
            if walk.wall().month == 1 {
                return false;
            }
        }
    }

    fn find_day(&self, walk: &mut Walk<'_>) -> bool {
        loop {
            let wall = walk.wall();
            if self.has_day(wall.day, wall.weekday) {
                return true;
            }
            let today = civil::to_days(wall.year, wall.month, wall.day);
            if !walk.start_of(|walk| walk.instant(today, 0)) {
                return false;
            }
            let Wall { year, month, day, hour, minute, second, .. } = walk.wall();
            let tomorrow = civil::to_days(year, month, day) + 1;
            walk.at = walk.instant(tomorrow, hour * 3600 + minute * 60 + second);
            // A day without a midnight.
            walk.at += match i64::from(walk.wall().hour) {
                hour if hour > 12 => (24 - hour) * 3600,
                hour => -hour * 3600,
            };
            if walk.wall().day == 1 {
                return false;
            }
        }
    }

    fn find_hour(&self, walk: &mut Walk<'_>) -> bool {
        loop {
            let wall = walk.wall();
            if self.hours >> wall.hour & 1 != 0 {
                return true;
            }
            let today = civil::to_days(wall.year, wall.month, wall.day);
            if !walk.start_of(|walk| walk.instant(today, wall.hour * 3600)) {
                return false;
            }
            walk.at += 3600;
            if walk.wall().hour == 0 {
                return false;
            }
        }
    }

    fn find_minute(&self, walk: &mut Walk<'_>) -> bool {
        loop {
            let wall = walk.wall();
            if self.minutes >> wall.minute & 1 != 0 {
                break;
            }
            if !walk.start_of(|walk| walk.at.div_euclid(60) * 60) {
                return false;
            }
            walk.at += 60;
            if walk.wall().minute == 0 {
                return false;
            }
        }
        match i64::from(walk.wall().second) {
            0 => true,
            second => {
                walk.moved = true;
                walk.at += 60 - second;
                false
            }
        }
    }
}

/// Whether schedules of ours and of Kubernetes are due at the same times on the clock.
pub(crate) fn is_same(ours: &[Schedule], theirs: &[Fields]) -> bool {
    let plain = |schedule: &Schedule| schedule.more().is_none() && schedule.seconds() == 1;
    let mut cells = (1..=12).flat_map(|month| {
        (1..=31).flat_map(move |day| (0..7).map(move |weekday| (month, day, weekday)))
    });
    ours.iter().all(plain)
        && cells.all(|(month, day, weekday)| {
            let (mut here, mut there) = ([0; 24], [0; 24]);
            for schedule in ours {
                if schedule.months() >> month & 1 != 0 && has_day(schedule, day, weekday) {
                    add(&mut here, schedule.hours().into(), schedule.minutes());
                }
            }
            for fields in theirs {
                if fields.months >> month & 1 != 0 && fields.has_day(day, weekday) {
                    add(&mut there, fields.hours, fields.minutes);
                }
            }
            here == there
        })
}

/// The same as [`Fields::has_day`], for a schedule of ours.
fn has_day(schedule: &Schedule, day: u32, weekday: u32) -> bool {
    let by_day = schedule.days() >> day & 1 != 0;
    // Ours counts from Monday.
    let by_weekday = schedule.weekdays() >> ((weekday + 6) % 7) & 1 != 0;
    if schedule.is_either() { by_day || by_weekday } else { by_day && by_weekday }
}

/// Adds the minutes to each of the hours.
fn add(times: &mut [u64; 24], hours: u64, minutes: u64) {
    for (_, times) in times.iter_mut().enumerate().filter(|(hour, _)| hours >> hour & 1 != 0) {
        *times |= minutes;
    }
}

/// A text in which Kubernetes is to find no `$(NAME)` and no `$$`.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '$' && matches!(chars.peek(), Some('$' | '(')) {
            out.push('$');
        }
    }
    out
}

/// What Kubernetes makes of a text: `$(NAME)` is what `value` answers, or itself where that is
/// nothing, and `$$` is `$`.
#[cfg(any(feature = "kubernetes", test))]
pub(crate) fn expanded(text: &str, mut value: impl FnMut(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('(')
            && let Some((name, after)) = after.split_once(')')
        {
            match value(name) {
                Some(value) => out.push_str(&value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::core::zone::Database;

    /// What robfig/cron 3.0.1, built with Go 1.19, answers.
    const DUE: &str = include_str!("../../tests/data/kubernetes-due.jsonl");

    #[test]
    fn due_when_the_original_is() {
        let zones = Database::bundled();
        let mut count = 0;
        for line in DUE.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let (schedule, zone) = (row["schedule"].as_str().unwrap(), &row["zone"]);
            let zone = zones.get(zone.as_str().unwrap()).unwrap();
            let read = read(schedule);
            if row["error"].is_string() {
                assert!(read.is_err(), "{line}: {read:?}");
                continue;
            }
            let Ok(Read::Fields(fields)) = read else { panic!("{line}: {read:?}") };
            let mut at = row["after"].as_i64().unwrap();
            for due in row["due"].as_array().unwrap() {
                let next = fields.next_after(at, &zone);
                assert_eq!(next, due.as_i64(), "{line} after {at}");
                at = next.unwrap_or(at);
                count += 1;
            }
        }
        assert!(count > 10_000, "{count}");
    }

    #[test]
    fn schedules_are_read_or_refused() {
        let fields = |text| match read(text) {
            Ok(Read::Fields(fields)) => fields,
            other => panic!("{text}: {other:?}"),
        };
        for (text, same) in [
            ("@daily", "0 0 * * *"),
            (" 0  3 ? * MON-fri ", "0 3 * * 1-5"),
            ("0,,5, 3 * * *", "0,5 3 * * *"),
            ("5/20 * * * *", "5,25,45 * * * *"),
            ("*-3 * * * *", "* * * * *"),
        ] {
            assert_eq!(fields(text), fields(same), "{text}");
        }
        assert!(!fields("0 0 */2 * fri").both, "a step takes the star away");
        assert!(fields("0 0 */1 * fri").both && fields("0 0 1,* * fri").both);
        for (text, secs) in [("@every 1h30m", 5400), ("@every 1.5m", 90), ("@every 10ms", 1)] {
            assert_eq!(read(text), Ok(Read::Every(secs)), "{text}");
        }
        for text in [
            "",
            "@reboot",
            "@Daily",
            "@every",
            "@every 5",
            "@every d",
            "* * * *",
            "0 * * * * *",
            "0 3 * * 7",
            "0 3 * * fri-mon",
            "0 3 L * *",
            "H 3 * * *",
            "60 * * * *",
            "*/0 * * * *",
            "1-2-3 * * * *",
            "1/2/3 * * * *",
            "-1 * * * *",
            "TZ=UTC 0 3 * * *",
            "CRON_TZ=Asia/Tokyo 0 3 * * *",
            "0 3 0 * *",
            "0 3 * mon *",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_expanded() {
        let value = |name: &str| (name == "A").then(|| "x$$".to_owned());
        for (text, expected) in [
            ("$(A)", "x$$"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$x$$"),
            ("$(B) $(", "$(B) $("),
            ("$X $", "$X $"),
        ] {
            assert_eq!(expanded(text, value), expected, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn escaped_is_what_was_meant(text in "[$()A ]{0,12}") {
            prop_assert_eq!(expanded(&escaped(&text), |_| Some("?".to_owned())), text);
        }
    }
}
