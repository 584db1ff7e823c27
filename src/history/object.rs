//! A record as JSON: the same object with the same keys in `history`, `why` and on the socket.
//!
//! A key that does not apply is left out. Times are RFC 3339, durations milliseconds, and the names
//! are those that the log has for the same things.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::event::{Active, ActiveElsewhere, Fast, Quiet, Record, Unusual};
use crate::core::instant::Instant;
use crate::core::outcome::{self, Doing, Outcome, Reached};
use crate::core::record::RunRecord;
use crate::core::usage::Usage;
use crate::core::words;
use crate::core::zone::Zone;

use super::end_of;

/// What became of a due time or of several, or how a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunObject {
    /// Its number in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    pub job: String,
    /// The run, if it became one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// The due time, or the first of several.
    pub due: String,
    /// The last of them.
    pub last_due: String,
    /// How many.
    pub count: u64,
    /// The word of its outcome, or `running` or `waiting`.
    pub outcome: String,
    /// What it does while it is active: `running`, `ending`, `queued`, `pending`, `retrying` or
    /// `checking`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doing: Option<String>,
    /// The exit code, if it failed with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why: a word where it was skipped or missed, a text where it could not be started or is
    /// lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How late it was, or how long it waited, where it was missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<u64>,
    /// When it was decided or admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// When its first attempt was started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// When its last one ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// From the due time to the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<u64>,
    /// From the start to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How many attempts there were.
    pub attempts: u32,
    /// The number of the attempt that an active run is at: `attempts` by an older name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Its current or last process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Who has asked for it, if its trigger did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The host where it ran, or where its fate was decided, if several may share the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The processor time of its attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// The most memory that one of its processes had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rss_bytes: Option<u64>,
    /// What was read from disks and written to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
    /// How much it has printed, where its output is captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub printed_bytes: Option<u64>,
    /// In what ways it is out of the ordinary, where that was looked at: `quiet`, `fast`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unusual: Vec<String>,
    /// How much a run of its job usually prints, if it is quiet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_printed_bytes: Option<u64>,
    /// How long one usually takes, if it was fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usual_ms: Option<u64>,
}

impl RunObject {
    /// A record of the store, with its times in a zone.
    pub fn of_record(record: &RunRecord, zone: &Zone) -> RunObject {
        let time = |at: Instant| words::rfc3339(at, zone);
        RunObject {
            seq: Some(record.seq),
            job: record.job.to_string(),
            run: record.run.map(|run| run.0),
            last_due: time(record.last_due),
            count: record.count,
            at: Some(time(record.at)),
            ended: end_of(record).map(time),
            duration_ms: record.duration.filter(|_| record.started.is_some()).map(millis),
            attempts: record.attempts,
            pid: record.process.map(|process| process.pid),
            by: record.by.as_deref().map(str::to_owned),
            host: record.host.as_deref().map(str::to_owned),
            printed_bytes: record.printed,
            ..RunObject::begun(record.outcome.as_ref(), record.due, record.started, zone)
        }
        .with_usage(record.usage)
    }

    /// What the scheduler says of a due time when that is decided.
    pub fn of_decided(record: &Record) -> RunObject {
        let zone = &record.job.zone;
        let time = |at: Instant| words::rfc3339(at, zone);
        RunObject {
            job: record.job.id.to_string(),
            run: record.run.map(|run| run.0),
            last_due: time(record.last_due),
            count: record.count,
            ended: record.started.map(|started| time(started.plus(record.duration))),
            duration_ms: record.started.map(|_| millis(record.duration)),
            attempts: record.attempts,
            ..RunObject::begun(Some(&record.outcome), record.due, record.started, zone)
        }
        .with_usage(record.usage)
    }

    /// A run that is not over.
    pub fn of_active(active: &Active) -> RunObject {
        let started = active.started.map(|(at, _)| at);
        RunObject {
            job: active.job.id.to_string(),
            run: Some(active.run.0),
            doing: Some(active.doing.word().to_owned()),
            attempts: active.attempt,
            attempt: Some(active.attempt),
            reason: active.awaits.as_ref().map(|awaits| awaits.reading.to_string()),
            at: active.awaits.as_ref().map(|it| words::rfc3339(it.since, &active.job.zone)),
            ..RunObject::begun(None, active.due, started, &active.job.zone)
        }
    }

    /// One that another host has.
    pub fn of_active_elsewhere(active: &ActiveElsewhere, zone: &Zone) -> RunObject {
        RunObject {
            job: active.job.to_string(),
            run: Some(active.run.0),
            doing: active.doing.map(|doing| doing.word().to_owned()),
            attempts: active.attempt,
            attempt: Some(active.attempt),
            host: Some(active.host.to_string()),
            ..RunObject::begun(None, active.due, active.started, zone)
        }
    }

    /// What all of them say alike.
    fn begun(
        outcome: Option<&Outcome>,
        due: Instant,
        started: Option<Instant>,
        zone: &Zone,
    ) -> RunObject {
        RunObject {
            due: words::rfc3339(due, zone),
            last_due: words::rfc3339(due, zone),
            count: 1,
            outcome: outcome::word(outcome, started.is_some()).to_owned(),
            exit: outcome.and_then(Outcome::exit),
            signal: outcome.and_then(Outcome::signal),
            reason: outcome.and_then(Outcome::reason).map(str::to_owned),
            late_ms: outcome.and_then(Outcome::late).map(millis),
            started: started.map(|started| words::rfc3339(started, zone)),
            lag_ms: started.map(|started| millis(started.since(due))),
            ..RunObject::default()
        }
    }

    fn with_usage(self, usage: Option<Usage>) -> RunObject {
        let Some(Usage { cpu, max_rss, read, written }) = usage else { return self };
        RunObject {
            cpu_ms: Some(millis(cpu)),
            max_rss_bytes: max_rss,
            read_bytes: Some(read),
            written_bytes: Some(written),
            ..self
        }
    }

    /// It is out of the ordinary, in this way.
    pub fn with_unusual(self, unusual: Unusual) -> RunObject {
        RunObject {
            unusual: unusual.remarks().iter().map(|(word, ..)| (*word).to_owned()).collect(),
            usual_printed_bytes: unusual.quiet.map(|quiet| quiet.usual),
            usual_ms: unusual.fast.map(|fast| millis(fast.usual)),
            ..self
        }
    }

    /// In what way it is.
    pub fn unusual(&self) -> Unusual {
        let quiet = self.usual_printed_bytes.zip(self.printed_bytes);
        let fast = self.usual_ms.zip(self.duration_ms);
        let span = Duration::from_millis;
        Unusual {
            quiet: quiet.map(|(usual, printed)| Quiet { printed, usual }),
            fast: fast.map(|(usual, took)| Fast { took: span(took), usual: span(usual) }),
        }
    }

    /// What it has used, to the millisecond.
    pub fn usage(&self) -> Option<Usage> {
        Some(Usage {
            cpu: Duration::from_millis(self.cpu_ms?),
            max_rss: self.max_rss_bytes,
            read: self.read_bytes.unwrap_or(0),
            written: self.written_bytes.unwrap_or(0),
        })
    }

    /// Its outcome; `None`: it is not over, or has one that only a newer schedrs knows.
    pub fn outcome(&self) -> Option<Outcome> {
        let late = self.late_ms.map(Duration::from_millis);
        Outcome::read(&self.outcome, self.exit.or(self.signal), late, self.reason.as_deref())
    }

    /// The mark of its outcome.
    pub fn mark(&self) -> char {
        outcome::mark_of(&self.outcome).unwrap_or('?')
    }

    /// What it does while it is active, as a person reads it after "is". To be cleaned.
    pub fn doing(&self) -> Cow<'_, str> {
        let word = self.doing.as_deref().unwrap_or(&self.outcome);
        match Doing::ALL.into_iter().find(|doing| doing.word() == word) {
            // It may wait for the store to record that.
            Some(Doing::Running) if self.started.is_none() => Cow::Borrowed("starting"),
            Some(doing @ Doing::Checking) if let Some(reading) = &self.reason => {
                Cow::Owned(format!("{} ({reading})", doing.phrase()))
            }
            Some(doing) => Cow::Borrowed(doing.phrase()),
            None => Cow::Borrowed(word),
        }
    }

    /// What became of it, as a person reads it after a name. To be cleaned.
    pub fn phrase(&self) -> String {
        let reached = match (self.run, &self.started) {
            (_, Some(_)) => Reached::Process(self.duration_ms.map(Duration::from_millis)),
            (Some(_), None) => Reached::Run,
            (None, None) => Reached::Due,
        };
        match (self.outcome(), &self.reason) {
            (Some(outcome), _) => outcome.phrase(reached),
            (None, Some(reason)) => format!("{}: {reason}", self.outcome),
            (None, None) => self.outcome.clone(),
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
