//! What is kept of the past: of due times, of attempts, and of the scheduler sessions. A store
//! (`crate::store`) keeps it, `crate::history` reads it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::{Process, RunId};
use super::instant::Instant;
use super::outcome::Outcome;
use super::usage::Usage;

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
    /// What its attempts have used, as far as that is known.
    pub usage: Option<Usage>,
    /// How many bytes it has printed; `None`: its output is not captured, or that is not known yet.
    pub printed: Option<u64>,
}

/// How a job has fared of late, as far as its records are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latest {
    /// The job.
    pub job: Box<str>,
    /// Its last run that has ended: the one with the highest `seq`.
    pub run: Option<RunRecord>,
    /// When its last run that succeeded ended.
    pub succeeded: Option<Instant>,
    /// How many due times have been skipped since that last run was due.
    pub skipped: u64,
    /// How many have been missed since then.
    pub missed: u64,
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

impl Latest {
    /// Puts together what stores find: for each job its last run that has ended and its last that
    /// succeeded, in any order; and of what came after the former, how many due times had which
    /// outcome (its word). Sorted by job.
    pub fn gather(
        runs: impl IntoIterator<Item = RunRecord>,
        since: impl IntoIterator<Item = (Box<str>, Box<str>, u64)>,
    ) -> Vec<Latest> {
        let mut found: BTreeMap<Box<str>, Latest> = BTreeMap::new();
        for run in runs {
            let latest = of(&mut found, &run.job);
            if run.outcome.as_ref().is_some_and(Outcome::is_success) {
                latest.succeeded = latest.succeeded.max(Some(run.ended().unwrap_or(run.at)));
            }
            if latest.run.as_ref().is_none_or(|known| known.seq < run.seq) {
                latest.run = Some(run);
            }
        }
        for (job, word, count) in since {
            let latest = of(&mut found, &job);
            match &*word {
                "skipped" => latest.skipped = latest.skipped.saturating_add(count),
                "missed" => latest.missed = latest.missed.saturating_add(count),
                _ => {}
            }
        }
        found.into_values().collect()
    }

    /// The same of all records of one job, the newest first.
    pub fn of_records<'a>(
        job: &str,
        records: impl Iterator<Item = &'a RunRecord>,
    ) -> Option<Latest> {
        let (mut runs, mut since) = (Vec::new(), Vec::new());
        for record in records {
            let Some(outcome) = &record.outcome else { continue };
            match outcome.is_of_run() {
                true if runs.is_empty() => runs.push(record.clone()),
                true if outcome.is_success() => runs.push(record.clone()),
                false if runs.is_empty() => {
                    since.push((job.into(), outcome.word().into(), record.count))
                }
                _ => continue,
            }
            if runs.last().and_then(|run| run.outcome.as_ref()).is_some_and(Outcome::is_success) {
                break;
            }
        }
        Latest::gather(runs, since).pop()
    }
}

/// What there is of a job, to be added to.
fn of<'a>(found: &'a mut BTreeMap<Box<str>, Latest>, job: &str) -> &'a mut Latest {
    let none = || Latest { job: job.into(), ..Latest::default() };
    found.entry(job.into()).or_insert_with(none)
}

impl RunRecord {
    /// When its last attempt ended, if one was started and it is over.
    pub fn ended(&self) -> Option<Instant> {
        self.outcome.as_ref()?;
        Some(self.started?.plus(self.duration?))
    }

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
