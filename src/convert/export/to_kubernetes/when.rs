//! When a job is due, as the `schedule` and the `timeZone` of CronJobs, and where the two differ.
//!
//! Nothing is written that does not come back: each schedule is read again as Kubernetes reads it
//! (`crate::convert::kubernetes`), and has to be the same set of times. What is left are the changes
//! of clocks, which Kubernetes has another rule for; those of a year are compared.

use std::collections::BTreeSet;

use super::super::Exported;
use super::super::to_crontab::{weekdays_for_cron, without_table};
use crate::convert::kubernetes::{self, Fields, Read};
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::sort;
use crate::core::trigger::cron::Schedule;
use crate::core::trigger::{CronTrigger, DateTrigger, IntervalTrigger, Trigger};
use crate::core::words::table_time;
use crate::core::zone::Zone;

/// When a CronJob is due.
pub(super) struct When {
    /// Five fields.
    pub(super) schedule: String,
    /// `timeZone`.
    pub(super) zone: String,
    fields: Fields,
}

/// Elapsed time is the same as time on these clocks.
const UTC: &str = "Etc/UTC";

const DAY: i64 = 86_400;

/// The CronJobs that are due when a job is; `None` where Kubernetes cannot say it.
pub(super) fn when(job: &Job, now: Instant, exported: &mut Exported) -> Option<Vec<When>> {
    let found = match &job.trigger {
        Trigger::Date(DateTrigger::At(_)) => Err("a CronJob has no single date".to_owned()),
        Trigger::Date(DateTrigger::Now | DateTrigger::Reboot) => {
            Err("a CronJob cannot be due when a scheduler starts".to_owned())
        }
        Trigger::Interval(interval) => of_interval(job, interval, now, exported),
        Trigger::FromEnd(_) => {
            Err("a CronJob cannot count from the end of the last run".to_owned())
        }
        Trigger::After(_) => Err("a CronJob cannot be due after another".to_owned()),
        Trigger::Combined(_) => Err("a CronJob cannot combine several triggers".to_owned()),
        Trigger::Calendar(_) => {
            Err("a CronJob cannot count months and days from a certain one".to_owned())
        }
        Trigger::Cron(cron) => of_cron(job, cron, now),
    };
    let found = match found {
        Ok(found) => found,
        Err(why) => {
            exported.left_out(job, why);
            return None;
        }
    };
    if found.len() > 1 {
        let mut message =
            "its schedules become several CronJobs, each aware only of its own runs".to_owned();
        if pairs(&found).any(|(a, b)| meet(&a.fields, &b.fields)) {
            message += ", and start it twice when they coincide";
        }
        exported.note(job, message);
    }
    if let Trigger::Cron(cron) = &job.trigger
        && let Some(said) = differences(cron, &found, now)
    {
        exported.note(job, said);
    }
    Some(found)
}

fn of_interval(
    job: &Job,
    interval: &IntervalTrigger,
    now: Instant,
    exported: &mut Exported,
) -> Result<Vec<When>, String> {
    if interval.end().is_some() {
        return Err("a CronJob has no `end_date`".to_owned());
    }
    let secs = i64::try_from(interval.every().as_secs()).unwrap_or(i64::MAX);
    let whole = interval.every().subsec_nanos() == 0 && secs > 0 && secs % 60 == 0;
    // 1970 began on a thursday; a week is to begin on a sunday.
    let start = interval.start_date().unwrap_or(Instant::from_secs(3 * DAY));
    if start.subsec_micros() != 0 || start.secs() % 60 != 0 {
        return Err("a CronJob has no seconds, and its `start_date` has".to_owned());
    }
    let minute = start.secs().div_euclid(60).rem_euclid(60);
    let hour = start.secs().div_euclid(3600).rem_euclid(24);
    let weekday = (start.secs().div_euclid(DAY) + 4).rem_euclid(7);
    let schedule = match secs {
        60..3600 if whole && 3600 % secs == 0 => {
            format!("{} * * * *", every(minute, secs / 60, 59))
        }
        3600.. if whole && secs % 3600 == 0 && DAY % secs == 0 => {
            format!("{minute} {} * * *", every(hour, secs / 3600, 23))
        }
        _ if secs == 7 * DAY && whole => format!("{minute} {hour} * * {weekday}"),
        _ => {
            return Err("a CronJob has no such interval: it knows minutes that divide an hour, \
                        hours that divide a day, and a week"
                .to_owned());
        }
    };
    match interval.start_date() {
        None => exported.note(job, "the interval counts from the full hour, day or week, of UTC"),
        Some(start) if start > now => {
            exported.note(job, "a CronJob has no `start_date`: it is also due before that");
        }
        Some(_) => {}
    }
    Ok(vec![checked(schedule, UTC)?])
}

/// A field that is due each so many, on a grid through `start`.
fn every(start: i64, step: i64, last: i64) -> String {
    match (step, start % step) {
        (1, _) => "*".to_owned(),
        (step, start) if start + step > last => start.to_string(),
        (step, 0) => format!("*/{step}"),
        (step, start) => format!("{start}-{last}/{step}"),
    }
}

fn of_cron(job: &Job, cron: &CronTrigger, now: Instant) -> Result<Vec<When>, String> {
    if cron.start().is_some_and(|start| start > now) || cron.end().is_some() {
        return Err("a CronJob has no `start_date` and no `end_date`".to_owned());
    }
    let zone = &job.zone;
    let name = if zone.has_name() {
        zone.name()
    } else if zone.is_fixed() && zone.offset_at(now) == 0 {
        UTC
    } else {
        return Err("its time zone has no name: set `timezone`".to_owned());
    };
    let mut texts: Vec<[String; 5]> = Vec::new();
    for schedule in cron.schedules() {
        texts.push(fields_of(schedule)?);
    }
    let texts = drawn_together(texts);
    let found: Vec<When> =
        texts.into_iter().map(|text| checked(text.join(" "), name)).collect::<Result<_, _>>()?;
    let read: Vec<Fields> = found.iter().map(|when| when.fields).collect();
    if !kubernetes::is_same(cron.schedules(), &read) {
        return Err("Kubernetes would read its schedule differently".to_owned());
    }
    Ok(found)
}

/// A schedule with what Kubernetes reads in it.
fn checked(schedule: String, zone: &str) -> Result<When, String> {
    match kubernetes::read(&schedule) {
        Ok(Read::Fields(fields)) => Ok(When { schedule, zone: zone.to_owned(), fields }),
        Ok(Read::Every(secs)) => Err(format!("Kubernetes reads `{schedule}` as each {secs} s")),
        Err(why) => Err(format!("Kubernetes does not accept `{schedule}`: {why}")),
    }
}

/// The five fields of a schedule.
fn fields_of(schedule: &Schedule) -> Result<[String; 5], String> {
    if schedule.months() == 0 {
        return Err("its schedule is never due".to_owned());
    }
    let text = without_table(schedule).ok_or(
        "a CronJob cannot say this schedule: it knows no years and weeks, and of two day fields \
         either may match",
    )?;
    if text.contains(['L', 'W', '#']) {
        let message = "a CronJob has no last days, nearest weekdays and nth weekdays of a month";
        return Err(message.to_owned());
    }
    let fields: Vec<&str> = text.split(' ').collect();
    let &[minute, hour, day, month, weekday] = &fields[..] else {
        return Err("a CronJob has no seconds".to_owned());
    };
    // A star with a step counts as restricted there, and only looks as if it did not.
    let both_restricted = day != "*" && weekday != "*";
    if both_restricted && !schedule.is_either() {
        return Err("in a CronJob, either of two day fields may match".to_owned());
    }
    let weekday = weekdays_for_cron(weekday);
    Ok([minute, hour, day, month, &weekday].map(ToOwned::to_owned))
}

/// Schedules that differ in one field are one with both of its values.
fn drawn_together(mut texts: Vec<[String; 5]>) -> Vec<[String; 5]> {
    let mut at = 0;
    while at < texts.len() {
        let joined = (at + 1..texts.len())
            .find_map(|other| Some((other, joined(&texts[at], &texts[other])?)));
        match joined {
            Some((other, joined)) => {
                texts.remove(other);
                texts[at] = joined;
            }
            None => at += 1,
        }
    }
    texts
}

fn joined(a: &[String; 5], b: &[String; 5]) -> Option<[String; 5]> {
    let differ: Vec<usize> = (0..5).filter(|&field| a[field] != b[field]).collect();
    let mut joined = a.clone();
    match differ[..] {
        [] => return Some(joined),
        // Where both day fields are restricted, either may match, and the sum would be another.
        [2] if a[4] != "*" => return None,
        [4] if a[2] != "*" => return None,
        [field] if a[field] == "*" || b[field] == "*" => joined[field] = "*".to_owned(),
        [field] => joined[field] = format!("{},{}", a[field], b[field]),
        _ => return None,
    }
    Some(joined)
}

fn pairs(all: &[When]) -> impl Iterator<Item = (&When, &When)> {
    all.iter().enumerate().flat_map(|(at, a)| all[at + 1..].iter().map(move |b| (a, b)))
}

/// Whether some time on the clock is in both.
fn meet(a: &Fields, b: &Fields) -> bool {
    let day = (1..=31)
        .flat_map(|day| (0..7).map(move |weekday| (day, weekday)))
        .any(|(day, weekday)| a.has_day(day, weekday) && b.has_day(day, weekday));
    a.minutes & b.minutes != 0 && a.hours & b.hours != 0 && a.months & b.months != 0 && day
}

/// How far ahead changes of clocks are compared.
const YEAR: i64 = 366 * DAY;

/// No change of clocks has an effect further away, not even where it skips midnight.
const AROUND: i64 = 26 * 3600;

/// How many differences are told of.
const TOLD: usize = 3;

/// What the changes of clocks in the next year do to it here and there, in words.
fn differences(cron: &CronTrigger, whens: &[When], now: Instant) -> Option<String> {
    let zone = cron.zone();
    let until = Instant::from_secs(now.secs().saturating_add(YEAR));
    let mut said = Vec::new();
    for change in zone.changes(now, until) {
        let from = (change.start - AROUND).max(now.secs());
        let window = from + 1..change.start + AROUND;
        let mut ours = BTreeSet::new();
        let mut at = Instant::from_secs(from);
        while let Some(next) = cron.next_after(at).filter(|next| window.contains(&next.secs())) {
            ours.insert(next.secs());
            at = next;
        }
        let mut theirs = BTreeSet::new();
        for when in whens {
            // It comes from an earlier due time, as Kubernetes does.
            let mut at = from - 2 * DAY;
            while let Some(next) =
                when.fields.next_after(at, zone).filter(|next| *next < window.end)
            {
                if window.contains(&next) {
                    theirs.insert(next);
                }
                at = next;
            }
        }
        said.extend(in_words(&ours, &theirs, zone));
    }
    let more = said.len().saturating_sub(TOLD);
    said.truncate(TOLD);
    if more > 0 {
        said.push(format!("{more} more such times within a year"));
    }
    (!said.is_empty()).then(|| format!("clocks change: {}", said.join("; ")))
}

fn in_words(ours: &BTreeSet<i64>, theirs: &BTreeSet<i64>, zone: &Zone) -> Vec<String> {
    let name = |secs: &i64| table_time(Instant::from_secs(*secs), zone);
    let here = ours.difference(theirs).map(|at| (at, "is a due time here, but not in Kubernetes"));
    let in_kubernetes =
        theirs.difference(ours).map(|at| (at, "is a due time in Kubernetes, but not here"));
    let mut all: Vec<(&i64, &str)> = here.chain(in_kubernetes).collect();
    sort::all(&mut all);
    all.into_iter().map(|(at, what)| format!("{} {what}", name(at))).collect()
}
