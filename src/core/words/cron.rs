//! A cron schedule in a sentence: when in the day, then on which days.

use super::list;
use crate::core::civil;
use crate::core::names::{MONTHS, WEEKDAYS, capital};
use crate::core::trigger::calendar_interval::{CalendarStep, DayOfMonth};
use crate::core::trigger::cron::Schedule;
use crate::core::trigger::cron::schedule::{
    ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_SIXTY, ALL_WEEKDAYS, ALL_WEEKS, MAX_YEAR, More, NTH_LAST,
    bits,
};

/// The most times of day that are named one by one.
const MOST_TIMES: u32 = 6;

/// Why a schedule has no due time, if none of its months has its days: `February has no day 31`.
pub(crate) fn why_never(schedule: &Schedule) -> Option<String> {
    let more = schedule.more()?;
    let asked = u32::from(more.impossible_months);
    let longest = bits(asked).map(|month| civil::month_len(2000, month)).max()?;
    if more.has_days() || schedule.days().trailing_zeros() <= longest {
        return None;
    }
    let months: Vec<String> =
        bits(asked).map(|month| capital(MONTHS[month as usize - 1])).collect();
    let days: Vec<String> = bits(schedule.days()).map(|day| day.to_string()).collect();
    let has = if months.len() == 1 { "has" } else { "have" };
    Some(format!("{} {has} no day {}", list(&months), days.join(" or ")))
}

/// The sentence.
pub(crate) fn schedule(schedule: &Schedule) -> String {
    if schedule.months() == 0 {
        let why = why_never(schedule).map(|why| format!(": {why}"));
        return format!("never{}", why.unwrap_or_default());
    }
    let mut parts = vec![time(schedule)];
    let days = days(schedule);
    if !days.is_empty() {
        parts.push(days);
    } else if is_times_of_day(schedule) {
        // "at 03:00 every day", but just "every 5 minutes".
        parts[0].push_str(" every day");
    }
    if schedule.months() != ALL_MONTHS {
        let months = names(u32::from(schedule.months()) >> 1, &MONTHS, false);
        parts.push(format!("in {months}"));
    }
    if let Some(more) = schedule.more() {
        if more.weeks != ALL_WEEKS {
            let weeks: Vec<String> = (1..=53)
                .filter(|week| more.weeks >> week & 1 != 0)
                .map(|w: u32| w.to_string())
                .collect();
            let word = if weeks.len() == 1 { "week" } else { "weeks" };
            parts.push(format!("in ISO {word} {}", list(&weeks)));
        }
        if !more.years.is_empty() {
            let years: Vec<String> = more
                .years
                .iter()
                .map(|years| match (years.first == years.last, years.step, years.last) {
                    (true, ..) => years.first.to_string(),
                    (false, 1, MAX_YEAR) => format!("{} and later", years.first),
                    (false, 1, last) => format!("{} to {last}", years.first),
                    (false, step, last) => {
                        let last =
                            if last == MAX_YEAR { "on".into() } else { format!("to {last}") };
                        format!("every {} year from {} {last}", ordinal(step as u32), years.first)
                    }
                })
                .collect();
            parts.push(format!("in {}", list(&years)));
        }
    }
    parts.join(", ")
}

/// A calendar interval: `every 3 months at 09:00, on the last day of the month`.
pub(crate) fn calendar(step: CalendarStep) -> String {
    let counted = |count: u32, unit: &str| match count {
        0 => None,
        1 => Some(unit.to_owned()),
        count => Some(format!("{count} {unit}s")),
    };
    let (years, months) = (step.months / 12, step.months % 12);
    let (weeks, days) =
        if step.days.is_multiple_of(7) { (step.days / 7, 0) } else { (0, step.days) };
    let units = [(years, "year"), (months, "month"), (weeks, "week"), (days, "day")];
    let units: Vec<String> =
        units.into_iter().filter_map(|(count, unit)| counted(count, unit)).collect();
    let time = step.time.map(|secs| format!(" at {}", super::wall_clock(secs.into())));
    let day = match step.day {
        None => String::new(),
        Some(DayOfMonth::Day(day)) => format!(", on day {day} of the month"),
        Some(DayOfMonth::Last) => ", on the last day of the month".to_owned(),
    };
    format!("every {}{}{day}", list(&units), time.unwrap_or_default())
}

/// The shape of a set of numbers `0..size`.
enum Shape {
    All,
    One(u32),
    /// `first`, `first + step`, …, as far as it goes below `size`.
    Every {
        first: u32,
        step: u32,
    },
    Range(u32, u32),
    Other,
}

fn shape(set: u64, size: u32) -> Shape {
    let values: Vec<u32> = (0..size).filter(|value| set >> value & 1 != 0).collect();
    let &[first, second, ..] = &values[..] else {
        return Shape::One(values.first().copied().unwrap_or(0));
    };
    if values.len() == size as usize {
        return Shape::All;
    }
    let last = values[values.len() - 1];
    let step = second - first;
    let even = values.windows(2).all(|pair| pair[1] - pair[0] == step);
    match (even, step) {
        (true, 1) => Shape::Range(first, last),
        // Only what goes on over the field's end without a break is "every".
        (true, _) if first < step && last + step >= size && values.len() > 2 => {
            Shape::Every { first, step }
        }
        (true, _) if first == 0 && last + step == size => Shape::Every { first, step },
        _ => Shape::Other,
    }
}

/// Whether the times of day are few enough to be named one by one.
fn is_times_of_day(schedule: &Schedule) -> bool {
    let (seconds, minutes, hours) = (schedule.seconds(), schedule.minutes(), schedule.hours());
    seconds.count_ones() * minutes.count_ones() * hours.count_ones() <= MOST_TIMES
}

/// When in the day.
fn time(schedule: &Schedule) -> String {
    let (seconds, minutes, hours) = (schedule.seconds(), schedule.minutes(), schedule.hours());
    if is_times_of_day(schedule) {
        return format!("at {}", list(&times(schedule)));
    }
    if seconds != 1 {
        return seconds_of(schedule);
    }
    match shape(minutes, 60) {
        Shape::All => format!("every minute{}", within(hours, 0, 59)),
        Shape::Every { first, step } if 60 % step == 0 => {
            let last = 60 - step + first;
            let offset = if first == 0 { String::new() } else { format!(" from :{first:02}") };
            format!("every {step} minutes{offset}{}", within(hours, first, last))
        }
        Shape::One(minute) => match shape(hours.into(), 24) {
            Shape::All if minute == 0 => "every hour".to_owned(),
            Shape::All => format!("every hour at :{minute:02}"),
            Shape::Every { first, step } if 24 % step == 0 => {
                let offset = match (first, minute) {
                    (0, 0) => String::new(),
                    _ => format!(" from {first:02}:{minute:02}"),
                };
                format!("every {step} hours{offset}")
            }
            Shape::Range(first, last) => {
                format!("every hour from {first:02}:{minute:02} to {last:02}:{minute:02}")
            }
            _ => format!("at :{minute:02}{}", within(hours, minute, minute)),
        },
        _ if hours == ALL_HOURS => format!("every hour at {}", minutes_past(minutes)),
        _ => format!("at {}{}", minutes_past(minutes), within(hours, 0, 59)),
    }
}

fn times(schedule: &Schedule) -> Vec<String> {
    let mut times = Vec::new();
    for hour in bits(schedule.hours()) {
        for minute in (0..60).filter(|minute| schedule.minutes() >> minute & 1 != 0) {
            for second in (0..60).filter(|second| schedule.seconds() >> second & 1 != 0) {
                times.push(match schedule.seconds() {
                    1 => format!("{hour:02}:{minute:02}"),
                    _ => format!("{hour:02}:{minute:02}:{second:02}"),
                });
            }
        }
    }
    times
}

/// Schedules that are not at second 0.
fn seconds_of(schedule: &Schedule) -> String {
    let every_minute = schedule.minutes() == ALL_SIXTY;
    let within = within(schedule.hours(), 0, 59);
    let rest = if !every_minute {
        format!(", at {}{within}", minutes_past(schedule.minutes()))
    } else if schedule.hours() == ALL_HOURS {
        String::new()
    } else {
        within
    };
    match shape(schedule.seconds(), 60) {
        Shape::All => format!("every second{rest}"),
        Shape::Every { first: 0, step } if 60 % step == 0 => format!("every {step} seconds{rest}"),
        Shape::One(second) if every_minute => format!("every minute at second {second}{rest}"),
        _ => format!("at seconds {}{rest}", numbers(schedule.seconds(), 60)),
    }
}

/// `:15 and :45`, of the hour.
fn minutes_past(minutes: u64) -> String {
    let minutes: Vec<String> = (0..60)
        .filter(|minute| minutes >> minute & 1 != 0)
        .map(|minute: u32| format!(":{minute:02}"))
        .collect();
    list(&minutes)
}

/// The hours, after a phrase that says what happens in each: ` from 09:00 to 17:55`. `first` and
/// `last` are the first and the last minute within an hour.
fn within(hours: u32, first: u32, last: u32) -> String {
    match shape(hours.into(), 24) {
        Shape::All if first == last => " of every hour".to_owned(),
        Shape::All => String::new(),
        Shape::One(hour) => format!(" from {hour:02}:{first:02} to {hour:02}:{last:02}"),
        Shape::Range(from, to) => format!(" from {from:02}:{first:02} to {to:02}:{last:02}"),
        Shape::Every { first: 0, step } => format!(" of every {} hour", ordinal(step)),
        _ => format!(" in the hours {}", numbers(hours.into(), 24)),
    }
}

/// Numbers with their runs drawn together: `0 to 6, 18 and 20`.
fn numbers(set: u64, size: u32) -> String {
    let texts: Vec<String> = runs(set, size)
        .into_iter()
        .flat_map(|(first, last)| match last - first {
            0 => vec![first.to_string()],
            1 => vec![first.to_string(), last.to_string()],
            _ => vec![format!("{first} to {last}")],
        })
        .collect();
    list(&texts)
}

/// The runs of neighbouring numbers in a set.
pub(crate) fn runs(set: u64, size: u32) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in (0..size).filter(|value| set >> value & 1 != 0) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == value => *last = value,
            _ => runs.push((value, value)),
        }
    }
    runs
}

/// Names with their runs drawn together: `june to august, november and december`. Where `wraps`,
/// a run goes over the end of the week: `friday to monday`.
fn names(set: u32, names: &[&str], wraps: bool) -> String {
    let size = names.len() as u32;
    let mut runs = runs(set.into(), size);
    if wraps
        && let [(0, end), .., (_, last)] = runs[..]
        && last + 1 == size
    {
        runs.remove(0);
        if let Some(run) = runs.last_mut() {
            run.1 = end;
        }
    }
    let name = |index: u32| names[index as usize].to_owned();
    let texts: Vec<String> = runs
        .into_iter()
        .flat_map(|(first, last)| {
            if first == last {
                vec![name(first)]
            } else if (last + size - first) % size == 1 {
                vec![name(first), name(last)]
            } else {
                vec![format!("{} to {}", name(first), name(last))]
            }
        })
        .collect();
    list(&texts)
}

/// On which days, or nothing where it is every day.
fn days(schedule: &Schedule) -> String {
    let default = More::default();
    let more = schedule.more().unwrap_or(&default);
    let any_day = schedule.days() == ALL_DAYS;
    let any_weekday = schedule.weekdays() == ALL_WEEKDAYS;
    let by_day = days_of_month(schedule.days(), more);
    let by_weekday = weekdays(schedule.weekdays(), more);
    match (any_day, any_weekday, schedule.is_either()) {
        (true, true, _) | (true, _, true) | (_, true, true) => String::new(),
        (true, false, false) => by_weekday,
        (false, true, false) => by_day,
        (false, false, true) => format!("{by_day} or {by_weekday}"),
        (false, false, false) => format!("{by_day} where that is {by_weekday}"),
    }
}

/// `on day 1 of the month`, `on the 3rd friday and the last day of the month`.
fn days_of_month(days: u32, more: &More) -> String {
    let mut texts = Vec::new();
    match (days, shape(u64::from(days) >> 1, 31)) {
        (0, _) => {}
        (_, Shape::Every { first: 0, step }) => {
            texts.push(format!("every {} day from day 1", ordinal(step)));
        }
        _ if days.count_ones() == 1 => texts.push(format!("day {}", days.trailing_zeros())),
        _ => texts.push(format!("days {}", numbers(days.into(), 32))),
    }
    for day in bits(more.nearest) {
        texts.push(match day {
            0 => "the last weekday".to_owned(),
            day => format!("the weekday nearest to day {day}"),
        });
    }
    for before in bits(more.nearest_from_end) {
        texts.push(format!("the weekday nearest to {}", from_end(before)));
    }
    texts.extend(positions(&more.nth));
    for before in bits(more.from_end) {
        texts.push(from_end(before));
    }
    format!("on {} of the month", list(&texts))
}

/// The day so many days before the last.
fn from_end(before: u32) -> String {
    match before {
        0 => "the last day".to_owned(),
        1 => "the second-to-last day".to_owned(),
        before => format!("the day {before} days before the last"),
    }
}

/// `the 3rd friday`, `the last monday`.
fn positions(nth: &[u8; 7]) -> Vec<String> {
    let mut texts = Vec::new();
    for which in 0..6 {
        for (weekday, name) in WEEKDAYS.iter().enumerate() {
            if nth[weekday] >> which & 1 != 0 {
                texts.push(match 1 << which {
                    NTH_LAST => format!("the last {name}"),
                    _ => format!("the {} {name}", ordinal(which + 1)),
                });
            }
        }
    }
    texts
}

/// `monday to friday`, `the 3rd friday of the month`.
fn weekdays(weekdays: u8, more: &More) -> String {
    let mut texts = Vec::new();
    if weekdays != 0 {
        texts.push(names(weekdays.into(), &WEEKDAYS, true));
    }
    let positions = positions(&more.weekday_nth);
    if !positions.is_empty() {
        texts.push(format!("{} of the month", list(&positions)));
    }
    list(&texts)
}

fn ordinal(n: u32) -> String {
    let ending = match (n % 10, n % 100) {
        (1, tens) if tens != 11 => "st",
        (2, tens) if tens != 12 => "nd",
        (3, tens) if tens != 13 => "rd",
        _ => "th",
    };
    format!("{n}{ending}")
}
