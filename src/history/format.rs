//! The words for records and times that history, why and their like share; those for outcomes are
//! in `crate::core::outcome`.

use std::time::Duration;

use crate::core::instant::Instant;
use crate::core::outcome::{self, MissReason, Outcome, Reached};
use crate::core::record::{AttemptRecord, RunRecord};
use crate::core::words;
use crate::core::zone::Zone;
use crate::problem::clean;

use super::end_of;

/// Of what goes on.
const NOT_OVER: &str = "is still active";

/// What became of a record, in few words: `✗ failed 3`, `- skipped: overlap`, `! missed ×43`.
pub fn cell(record: &RunRecord) -> String {
    let mark = outcome::mark(record.outcome.as_ref());
    let words = match &record.outcome {
        Some(outcome) => clean(&outcome.short()).into_owned(),
        None => outcome::word(None, record.started.is_some()).to_owned(),
    };
    match record.count {
        0 | 1 => format!("{mark} {words}"),
        count => format!("{mark} {words} ×{count}"),
    }
}

/// What is to be said of a record beside its outcome: how late, why, by whom.
pub fn remark(record: &RunRecord, zone: &Zone) -> String {
    let mut remarks = Vec::new();
    if record.count > 1 {
        remarks.push(range(record, zone));
    }
    match &record.outcome {
        Some(
            Outcome::NotStarted(reason) | Outcome::Lost(reason) | Outcome::OverLimit(_, reason),
        ) => {
            remarks.push(clean(reason).into_owned());
        }
        Some(Outcome::Missed(reason)) => {
            let first = match reason {
                MissReason::Late(_) if record.count > 1 => "the first ",
                MissReason::Late(_) | MissReason::Waited(_) | MissReason::NoStore(_) => "",
            };
            remarks.push(format!("{first}{}", reason.short()));
        }
        _ => {}
    }
    if record.attempts > 1 {
        remarks.push(format!("{} attempts", record.attempts));
    }
    if let Some(by) = &record.by {
        remarks.push(format!("started by {}", clean(by)));
    }
    let waited = record.started.map_or(Duration::ZERO, |started| started.since(record.at));
    if waited >= Duration::from_secs(1) {
        remarks.push(format!("waited {}", words::span(waited)));
    }
    remarks.join("; ")
}

/// A due time for a table, to the second: the grid of an interval may begin at any microsecond,
/// which is nothing for people.
pub fn due(at: Instant, zone: &Zone) -> String {
    words::table_time(at.truncated(), zone)
}

/// `43 due times 02:10:00 to 02:52:00`.
pub fn range(record: &RunRecord, zone: &Zone) -> String {
    let last = clock(record.last_due, record.due, zone);
    format!("{} due times {} to {last}", record.count, clock(record.due, record.due, zone))
}

/// A time of day, with its day if that is not the day of `beside`, to the second:
/// `03:00:00`, `24 Nov 03:00:00`, `24 Nov 2025 03:00:00`. It stands beside that, which has an offset:
/// its own is shown where it is another one.
pub fn clock(at: Instant, beside: Instant, zone: &Zone) -> String {
    let (wall, near) = (zone.wall_of(at), zone.wall_of(beside));
    let (days, near_days) = (wall.div_euclid(86_400), near.div_euclid(86_400));
    let second = wall.rem_euclid(86_400);
    let time = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    let (year, near_year) =
        (crate::core::civil::from_days(days).0, crate::core::civil::from_days(near_days).0);
    let clock = match (days == near_days, year == near_year) {
        (true, _) => time,
        (false, true) => format!("{} {time}", words::wall_day(wall)),
        (false, false) => format!("{} {year} {time}", words::wall_day(wall)),
    };
    match zone.offset_at(at) == zone.offset_at(beside) {
        true => clock,
        false => format!("{clock} {}", words::offset(at, zone)),
    }
}

/// When a run ran: `ran 02:58:10 to 03:04:20`, `running since 02:58:10`, `waiting since 02:58:10`.
pub fn ran(record: &RunRecord, near: Instant, zone: &Zone) -> String {
    let Some(started) = record.started else {
        let at = clock(record.at, near, zone);
        return match record.outcome {
            None => format!("waiting since {at}"),
            Some(_) => format!("never started; {} at {at}", sentence(record)),
        };
    };
    let from = clock(started, near, zone);
    match end_of(record) {
        Some(end) => format!("ran {from} to {}", clock(end, near, zone)),
        None if record.outcome.is_some() => format!("started at {from}"),
        None => format!("running since {from}"),
    }
}

/// How far a record's due time got.
pub fn reached(record: &RunRecord) -> Reached {
    match (record.run, record.started) {
        (_, Some(_)) => Reached::Process(record.duration),
        (Some(_), None) => Reached::Run,
        (None, None) => Reached::Due,
    }
}

/// What became of a record, with its run as the subject and without how long it took: `failed with
/// exit code 3`, `was killed by SIGTERM`.
pub fn sentence(record: &RunRecord) -> String {
    let reached = match reached(record) {
        Reached::Process(_) => Reached::Process(None),
        other => other,
    };
    match &record.outcome {
        Some(outcome) => clean(&outcome.sentence(reached)).into_owned(),
        None => NOT_OVER.to_owned(),
    }
}

/// The same of an attempt.
pub fn attempt(attempt: &AttemptRecord) -> String {
    match &attempt.outcome {
        Some(outcome) => clean(&outcome.sentence(Reached::Process(None))).into_owned(),
        None => NOT_OVER.to_owned(),
    }
}
