//! What is kept of the past: of due times, of attempts, and of the lives of schedulers. A store
//! (`crate::store`) keeps it, `crate::history` reads it.

use std::time::Duration;

use super::event::{Process, RunId};
use super::instant::Instant;
use super::outcome::Outcome;

/// One life of a scheduler with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its process.
    pub process: Process,
    /// Which boot of the machine that was (`/proc/sys/kernel/random/boot_id`).
    pub boot: Box<str>,
    /// When it began.
    pub began: Instant,
    /// The last moment at which it is known to have been alive.
    pub seen: Instant,
    /// When it ended as it should. `None`: it did not, or has not yet.
    pub stopped: Option<Instant>,
    /// The jobfile.
    pub jobfile: Box<str>,
    /// What tells its processes from those of other schedulers (`crate::run::child::mark`).
    pub mark: u32,
}

/// What became of a due time, or of several of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Its number among the records of the store, in the order in which they came.
    pub seq: u64,
    /// The run, if it became one.
    pub run: Option<RunId>,
    /// The job.
    pub job: Box<str>,
    /// The due time, or the first of several.
    pub due: Instant,
    /// The last of them.
    pub last_due: Instant,
    /// How many.
    pub count: u64,
    /// What became of it; `None`: it is not over.
    pub outcome: Option<Outcome>,
    /// When it was decided or admitted.
    pub at: Instant,
    /// When its first attempt was started.
    pub started: Option<Instant>,
    /// From there to the end of its last attempt.
    pub duration: Option<Duration>,
    /// How many attempts there were.
    pub attempts: u32,
    /// Its current or last process.
    pub process: Option<Process>,
    /// Who has asked for it, if its trigger did not.
    pub by: Option<Box<str>>,
    /// The host where it ran, or where its fate was decided; `None` where the store serves one.
    pub host: Option<Box<str>>,
}

/// One attempt of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    /// Its number, from 1.
    pub attempt: u32,
    /// Its process.
    pub process: Option<Process>,
    /// When that was made.
    pub started: Option<Instant>,
    /// When it ended.
    pub ended: Option<Instant>,
    /// How.
    pub outcome: Option<Outcome>,
}

impl RunRecord {
    /// What it says of its last attempt, unless that is known already: that one is not kept on its
    /// own. `begun`: when its process was made.
    pub(crate) fn last_attempt(
        &self,
        begun: Option<Instant>,
        known: Option<&AttemptRecord>,
    ) -> Option<AttemptRecord> {
        if self.attempts == 0 || known.is_some_and(|known| known.attempt >= self.attempts) {
            return None;
        }
        let ended = match (&self.outcome, self.started, self.duration) {
            (Some(_), Some(started), Some(duration)) => Some(started.plus(duration)),
            _ => None,
        };
        Some(AttemptRecord {
            attempt: self.attempts,
            process: self.process,
            started: begun,
            ended,
            outcome: self.outcome.clone(),
        })
    }
}
