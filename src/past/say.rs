//! The words for outcomes, times and runs that history, why and their like share.

use std::time::Duration;

use crate::event::{MissReason, Outcome, SkipReason};
use crate::instant::Instant;
use crate::problem::clean;
use crate::store::RunRecord;
use crate::words;
use crate::zone::Zone;

use super::end_of;

/// The mark of an outcome: one column wide, and first in what [`outcome`] says.
pub fn mark(outcome: Option<&Outcome>) -> char {
    match outcome {
        None => '…',
        Some(outcome) => match outcome {
            Outcome::Succeeded => '✓',
            Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::TimedOut
            | Outcome::NotStarted(_) => '✗',
            Outcome::Missed(_) => '!',
            Outcome::Skipped(_) => '-',
            Outcome::Coalesced => '·',
            Outcome::Lost(_) => '?',
        },
    }
}

/// The colour of a mark, as the number of an ANSI sequence; nothing for what is no mark.
pub fn colour(mark: char) -> &'static str {
    match mark {
        '✓' => "32",
        '✗' => "31",
        '!' => "33",
        '?' => "35",
        '…' => "36",
        '-' | '·' => "2",
        _ => "",
    }
}

/// What became of a record, in few words: `✗ failed 3`, `- skipped: overlap`, `! missed ×43`.
pub fn outcome(record: &RunRecord) -> String {
    let mark = mark(record.outcome.as_ref());
    let words = match &record.outcome {
        None if record.started.is_some() => "running".to_owned(),
        None => "waiting".to_owned(),
        Some(outcome) => match outcome {
            Outcome::Succeeded => "succeeded".to_owned(),
            Outcome::Failed(code) => format!("failed {code}"),
            Outcome::Killed(signal) => format!("killed {}", short_signal(*signal)),
            Outcome::TimedOut => "timed out".to_owned(),
            Outcome::NotStarted(_) => "not started".to_owned(),
            Outcome::Skipped(reason) => format!("skipped: {}", reason.word()),
            Outcome::Missed(_) => "missed".to_owned(),
            Outcome::Coalesced => "coalesced".to_owned(),
            Outcome::Lost(_) => "lost".to_owned(),
        },
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
        Some(Outcome::NotStarted(reason) | Outcome::Lost(reason)) => {
            remarks.push(clean(reason).into_owned());
        }
        Some(Outcome::Missed(MissReason::Late(by))) => {
            let first = if record.count > 1 { "the first " } else { "" };
            remarks.push(format!("{first}{} late", words::span(*by)));
        }
        Some(Outcome::Missed(MissReason::Waited(by))) => {
            remarks.push(format!("waited {} for a slot", words::span(*by)));
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

/// A time of day, with its day if that is not the day of `near`, to the second:
/// `03:00:00`, `24 Nov 03:00:00`, `24 Nov 2025 03:00:00`.
pub fn clock(at: Instant, near: Instant, zone: &Zone) -> String {
    let (wall, near) = (zone.wall_of(at), zone.wall_of(near));
    let (days, near_days) = (wall.div_euclid(86_400), near.div_euclid(86_400));
    let second = wall.rem_euclid(86_400);
    let time = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    let (year, near_year) = (crate::civil::from_days(days).0, crate::civil::from_days(near_days).0);
    match (days == near_days, year == near_year) {
        (true, _) => time,
        (false, true) => format!("{} {time}", words::wall_day(wall)),
        (false, false) => format!("{} {year} {time}", words::wall_day(wall)),
    }
}

/// When a run ran: `ran 02:58:10 to 03:04:20`, `running since 02:58:10`, `waiting since 02:58:10`.
pub fn ran(record: &RunRecord, near: Instant, zone: &Zone) -> String {
    let Some(started) = record.started else {
        let at = clock(record.at, near, zone);
        return match record.outcome {
            None => format!("waiting since {at}"),
            Some(_) => format!("never began; {} at {at}", outcome_words(record.outcome.as_ref())),
        };
    };
    let from = clock(started, near, zone);
    match end_of(record) {
        Some(end) => format!("ran {from} to {}", clock(end, near, zone)),
        None if record.outcome.is_some() => format!("began at {from}"),
        None => format!("running since {from}"),
    }
}

/// An outcome in a sentence: `failed with exit code 3`, `was ended by SIGTERM`.
pub fn outcome_words(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => "is not over".to_owned(),
        Some(Outcome::Succeeded) => "succeeded".to_owned(),
        Some(Outcome::Failed(code)) => format!("failed with exit code {code}"),
        Some(Outcome::Killed(signal)) => format!("was ended by {}", signal_name(*signal)),
        Some(Outcome::TimedOut) => "timed out".to_owned(),
        Some(Outcome::NotStarted(reason)) => format!("could not be started: {}", clean(reason)),
        Some(Outcome::Skipped(_)) => "was skipped".to_owned(),
        Some(Outcome::Missed(_)) => "was missed".to_owned(),
        Some(Outcome::Coalesced) => "was coalesced".to_owned(),
        Some(Outcome::Lost(reason)) => format!("was lost: {}", clean(reason)),
    }
}

/// Why a due time was skipped, as a word for JSON; `None` for outcomes that explain themselves.
pub fn reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::NotStarted(reason) | Outcome::Lost(reason) => Some(reason.clone()),
        Outcome::Skipped(reason) => Some(SkipReason::word(*reason).to_owned()),
        Outcome::Missed(MissReason::Late(_)) => Some("late".to_owned()),
        Outcome::Missed(MissReason::Waited(_)) => Some("waited".to_owned()),
        _ => None,
    }
}

/// `SIGTERM`, or `signal 35` where there is no name.
pub fn signal_name(signal: i32) -> String {
    match signal_hook::low_level::signal_name(signal) {
        Some(name) => name.to_owned(),
        None => format!("signal {signal}"),
    }
}

fn short_signal(signal: i32) -> String {
    match signal_hook::low_level::signal_name(signal) {
        Some(name) => name.trim_start_matches("SIG").to_owned(),
        None => signal.to_string(),
    }
}
