//! What happens, for whoever watches: a part of the [`Action`]s, without what is only told to the hands
//! that perform them.

use std::sync::Arc;
use std::time::Duration;

use super::{Action, Change, Notice, Record, Remember, RunId, UnusualRun};
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::outcome::Outcome;

/// Something that has happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// The process of an attempt was started (`EVENT_JOB_SUBMITTED`).
    Started {
        /// The job.
        job: Arc<Job>,
        /// The run.
        run: RunId,
        /// Which attempt, from 1.
        attempt: u32,
        /// The due time it is for.
        due: Instant,
        /// The process.
        pid: u32,
    },
    /// An attempt failed, and there will be another.
    Retrying {
        /// The job.
        job: Arc<Job>,
        /// The run.
        run: RunId,
        /// How the attempt ended.
        outcome: Outcome,
        /// The number of the next attempt.
        attempt: u32,
        /// How long until then.
        delay: Duration,
    },
    /// The conditions of a run do not hold, and it waits for them.
    Waiting {
        /// The job.
        job: Arc<Job>,
        /// The run.
        run: RunId,
        /// The due time it is for.
        due: Instant,
        /// What does not hold.
        reading: Box<str>,
    },
    /// The fate of one or of several due times is known (`EVENT_JOB_EXECUTED`, `EVENT_JOB_ERROR`,
    /// `EVENT_JOB_MISSED`, `EVENT_JOB_MAX_INSTANCES`).
    Outcome(Record),
    /// A run that has succeeded has printed far less than usual, or was over far sooner.
    Unusual(UnusualRun),
    /// A job is new, or something of it has changed (`EVENT_JOB_ADDED`, `EVENT_JOB_MODIFIED`).
    Job(Box<str>),
    /// A job is gone (`EVENT_JOB_REMOVED`).
    Gone(Box<str>),
    /// Somebody has done something (`EVENT_SCHEDULER_PAUSED`, `EVENT_SCHEDULER_RESUMED`, and the
    /// same of a job).
    Changed(Change),
    /// The jobfile was read again and has taken effect.
    Reloaded {
        /// Jobs that are new.
        added: usize,
        /// Jobs that differ.
        changed: usize,
        /// Jobs that are gone.
        removed: usize,
    },
    /// The scheduler stops, once so many runs have ended.
    Stopping {
        /// Active runs.
        running: usize,
    },
    /// It has stopped (`EVENT_SCHEDULER_SHUTDOWN`).
    Stopped,
}

impl Happening {
    /// What an action means to whoever watches; `None`: nothing.
    pub fn of(action: &Action) -> Option<Happening> {
        Some(match action {
            Action::Notice(Notice::Started { run, attempt, process, job, due, .. }) => {
                let (job, run, attempt, due) = (Arc::clone(job), *run, *attempt, *due);
                let pid = process.pid;
                Happening::Started { job, run, attempt, due, pid }
            }
            Action::Notice(Notice::Retrying { run, job, outcome, attempt, delay, .. }) => {
                let (job, run, outcome) = (Arc::clone(job), *run, outcome.clone());
                Happening::Retrying { job, run, outcome, attempt: *attempt, delay: *delay }
            }
            Action::Notice(Notice::AwaitsConditions { run, job, due, reading, .. }) => {
                let (job, run, reading) = (Arc::clone(job), *run, reading.clone());
                Happening::Waiting { job, run, due: *due, reading }
            }
            Action::Notice(Notice::Reloaded { added, changed, removed, .. }) => {
                Happening::Reloaded { added: *added, changed: *changed, removed: *removed }
            }
            Action::Notice(Notice::Stopping { running, .. }) => {
                Happening::Stopping { running: *running }
            }
            Action::Exit => Happening::Stopped,
            Action::Record(record) => Happening::Outcome(record.clone()),
            Action::Remember(Remember::Job(record) | Remember::Learned(record)) => {
                Happening::Job(record.id.clone())
            }
            Action::Remember(Remember::Gone(id)) => Happening::Gone(id.clone()),
            Action::Remember(Remember::Change(change)) => Happening::Changed(change.clone()),
            _ => return None,
        })
    }

    /// The job that it is about; `None`: the scheduler, or all of them.
    pub fn job(&self) -> Option<&str> {
        match self {
            Happening::Started { job, .. }
            | Happening::Retrying { job, .. }
            | Happening::Waiting { job, .. } => Some(&job.id),
            Happening::Outcome(record) => Some(&record.job.id),
            Happening::Unusual(found) => Some(&found.job.id),
            Happening::Job(id) | Happening::Gone(id) => Some(id),
            Happening::Changed(change) => change.job.as_deref(),
            Happening::Reloaded { .. } | Happening::Stopping { .. } | Happening::Stopped => None,
        }
    }
}
