//! Cron schedules as calendar expressions of systemd (systemd.time(7)).

use crate::convert::export::Exported;
use crate::core::job::Job;
use crate::core::names::{SHORT_WEEKDAYS, capital};
use crate::core::trigger::CronTrigger;
use crate::core::trigger::cron::Schedule;
use crate::core::trigger::cron::schedule::{
    ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_SIXTY, ALL_WEEKDAYS, ALL_WEEKS, FIRST_YEAR, More,
    NTH_LAST, bits,
};

/// No year of systemd is later.
const LAST_YEAR: i32 = 2199;

/// The lines of a timer; `None`: there are none, and why is said.
pub(super) fn calendars(
    job: &Job,
    cron: &CronTrigger,
    exported: &mut Exported,
) -> Option<Vec<String>> {
    if cron.start().is_some() || cron.end().is_some() {
        exported.left_out(job, "a timer has no `start_date` and no `end_date`");
        return None;
    }
    // The machine's own zone may have no name, and is what systemd goes by without one.
    let zone = if job.zone.has_name() { format!(" {}", job.zone) } else { String::new() };
    let mut lines = Vec::new();
    for schedule in cron.schedules() {
        match calendar(schedule) {
            Ok(expressions) => lines.extend(
                expressions.into_iter().map(|expression| format!("OnCalendar={expression}{zone}")),
            ),
            Err(why) => {
                exported.left_out(job, why);
                return None;
            }
        }
    }
    Some(lines)
}

/// A schedule as calendar expressions, any of which may match.
pub(super) fn calendar(schedule: &Schedule) -> Result<Vec<String>, &'static str> {
    if schedule.months() == 0 {
        return Err("its schedule is never due");
    }
    let default = More::default();
    let more = schedule.more().unwrap_or(&default);
    if more.weeks != ALL_WEEKS {
        return Err("a timer has no weeks of the year");
    }
    if more.nearest | more.nearest_from_end != 0 {
        return Err("a timer has no nearest weekdays");
    }
    let years: Vec<String> = more
        .years
        .iter()
        .filter_map(|years| {
            let first = years.at_or_after(FIRST_YEAR).filter(|first| *first <= LAST_YEAR)?;
            let last = years.last.min(LAST_YEAR);
            Some(match (first == last, years.step) {
                (true, _) => first.to_string(),
                (false, 1) => format!("{first}..{last}"),
                (false, step) => format!("{first}..{last}/{step}"),
            })
        })
        .collect();
    if years.is_empty() && !more.years.is_empty() {
        return Err("a timer has no year before 1970 or after 2199");
    }
    let years = if years.is_empty() { "*".to_owned() } else { years.join(",") };
    let months = set(schedule.months().into(), ALL_MONTHS.into(), 1, 12);
    let time = format!(
        "{}:{}:{}",
        set(schedule.hours().into(), ALL_HOURS.into(), 0, 23),
        set(schedule.minutes(), ALL_SIXTY, 0, 59),
        set(schedule.seconds(), ALL_SIXTY, 0, 59)
    );
    let days = days(schedule, more)?;
    let lines = days.into_iter().map(|(weekdays, day)| {
        let weekdays = if weekdays.is_empty() { weekdays } else { weekdays + " " };
        format!("{weekdays}{years}-{months}{day} {time}")
    });
    Ok(lines.collect())
}

/// The weekdays and the day of the month (with its `-` or `~`) of each expression.
fn days(schedule: &Schedule, more: &More) -> Result<Vec<(String, String)>, &'static str> {
    let day = |text: String| (String::new(), format!("-{text}"));
    let mut by_day = Vec::new();
    let all_days = schedule.days() == ALL_DAYS;
    if schedule.days() != 0 {
        by_day.push(day(set(schedule.days().into(), ALL_DAYS.into(), 1, 31)));
    }
    by_day.extend(bits(more.from_end).map(|n| (String::new(), format!("~{:02}", n + 1))));
    let nth_of = |nth: &[u8; 7]| {
        let mut found = Vec::new();
        for (weekday, &which) in nth.iter().enumerate() {
            for n in bits(u32::from(which & !NTH_LAST)) {
                let days = format!("-{:02}..{:02}", 7 * n + 1, (7 * n + 7).min(31));
                found.push((capital(SHORT_WEEKDAYS[weekday]), days));
            }
            if which & NTH_LAST != 0 {
                found.push((capital(SHORT_WEEKDAYS[weekday]), "~07/1".to_owned()));
            }
        }
        found
    };
    let nth = nth_of(&more.nth);
    let all_weekdays = schedule.weekdays() == ALL_WEEKDAYS;
    let weekdays = weekdays(schedule.weekdays());
    let mut by_weekday = nth_of(&more.weekday_nth);
    if schedule.weekdays() != 0 {
        by_weekday.push((weekdays.clone(), "-*".to_owned()));
    }
    if schedule.is_either() {
        return Ok([by_day, nth, by_weekday].concat());
    }
    match (all_days, all_weekdays) {
        (_, true) => Ok([by_day, nth].concat()),
        (true, false) => Ok(by_weekday),
        // Both have to match, which systemd can say of a day and plain weekdays. An nth weekday is
        // one of the weekdays, or it would not have been kept.
        (false, false) if more.weekday_nth == [0; 7] => {
            let both = by_day.into_iter().map(|(_, day)| (weekdays.clone(), day));
            Ok(both.chain(nth).collect())
        }
        (false, false) => Err("a timer cannot express an nth weekday that is also a certain day"),
    }
}

/// A set of numbers as a component.
fn set(set: u64, all: u64, min: u32, max: u32) -> String {
    if set == all {
        return "*".to_owned();
    }
    let values: Vec<u32> = (min..=max).filter(|value| set >> value & 1 != 0).collect();
    if let [first, second, _, .., last] = values[..]
        && second - first > 1
        && values.windows(2).all(|pair| pair[1] - pair[0] == second - first)
    {
        return format!("{first:02}..{last:02}/{}", second - first);
    }
    let runs = crate::core::words::runs(set, max + 1);
    let texts: Vec<String> =
        runs.into_iter()
            .map(|(first, last)| {
                if first == last { format!("{first:02}") } else { format!("{first:02}..{last:02}") }
            })
            .collect();
    texts.join(",")
}

fn weekdays(set: u8) -> String {
    let name = |day: u32| capital(SHORT_WEEKDAYS[day as usize]);
    let texts: Vec<String> =
        crate::core::words::runs(set.into(), 7)
            .into_iter()
            .map(|(first, last)| {
                if first == last { name(first) } else { format!("{}..{}", name(first), name(last)) }
            })
            .collect();
    texts.join(",")
}
