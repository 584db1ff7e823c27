//! A record as JSON, with the names that the log has for the same things.

use serde::Serialize;

use crate::event::{MissReason, Outcome};
use crate::instant::Instant;
use crate::store::RunRecord;
use crate::words;
use crate::zone::Zone;

use super::{end_of, say};

/// A record as an object: times are RFC 3339 in the job's zone, durations milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordObject {
    /// Its number in the store.
    pub seq: u64,
    /// The job.
    pub job: String,
    /// The run, if it became one.
    pub run: Option<u64>,
    /// The due time, or the first of several.
    pub due: String,
    /// The last of them.
    pub last_due: String,
    /// How many.
    pub count: u64,
    /// The word of its outcome, or `running` or `waiting`.
    pub outcome: &'static str,
    /// The exit code, if it failed with one.
    pub exit: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why: a word where it was skipped or missed, a text where it could not be started or is
    /// lost.
    pub reason: Option<String>,
    /// How late it was noticed, where it was missed.
    pub late_ms: Option<u64>,
    /// When it was decided or admitted.
    pub at: String,
    /// When its first attempt was started.
    pub started: Option<String>,
    /// When its last one ended.
    pub ended: Option<String>,
    /// From the due time to the start.
    pub lag_ms: Option<u64>,
    /// From the start to the end.
    pub duration_ms: Option<u64>,
    /// How many attempts there were.
    pub attempts: u32,
    /// Its current or last process.
    pub pid: Option<u32>,
    /// Who has asked for it, if its trigger did not.
    pub by: Option<String>,
}

impl RecordObject {
    /// A record, with its times in a zone.
    pub fn new(record: &RunRecord, zone: &Zone) -> RecordObject {
        let time = |at: Instant| words::rfc3339(at, zone);
        let millis =
            |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let outcome = record.outcome.as_ref();
        RecordObject {
            seq: record.seq,
            job: record.job.to_string(),
            run: record.run.map(|run| run.0),
            due: time(record.due),
            last_due: time(record.last_due),
            count: record.count,
            outcome: match outcome {
                Some(outcome) => outcome.word(),
                None if record.started.is_some() => "running",
                None => "waiting",
            },
            exit: match outcome {
                Some(Outcome::Failed(code)) => Some(*code),
                _ => None,
            },
            signal: match outcome {
                Some(Outcome::Killed(signal)) => Some(*signal),
                _ => None,
            },
            reason: outcome.and_then(say::reason),
            late_ms: match outcome {
                Some(Outcome::Missed(MissReason::Late(by) | MissReason::Waited(by))) => {
                    Some(millis(*by))
                }
                _ => None,
            },
            at: time(record.at),
            started: record.started.map(time),
            ended: end_of(record).map(time),
            lag_ms: record.started.map(|started| millis(started.since(record.due))),
            duration_ms: record.duration.filter(|_| record.started.is_some()).map(millis),
            attempts: record.attempts,
            pid: record.process.map(|process| process.pid),
            by: record.by.as_ref().map(ToString::to_string),
        }
    }
}
