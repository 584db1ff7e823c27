//! The digest of a route: instead of each notification one message at a time of day, with what has become of
//! its jobs since the last one.
//!
//! Pure, and bounded: a [`Tally`] counts, and knows a few jobs by name.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::event::Record;
use crate::core::instant::{Instant, duration_micros};
use crate::core::outcome::Outcome;
use crate::core::streak::Streak;

/// So many jobs are named; others are only counted.
const NAMED: usize = 50;
/// So many of the slowest runs are.
const SLOWEST: usize = 5;

/// What has become of the jobs of a route since some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Since when, in microseconds since 1970, as all times here.
    pub since: i64,
    /// How many runs have succeeded.
    pub succeeded: u64,
    /// How many have failed, after their retries.
    pub failed: u64,
    /// How many due times were missed.
    pub missed: u64,
    /// How many were skipped.
    pub skipped: u64,
    /// The jobs whose last run has failed: how many in a row, and since when.
    pub failing: BTreeMap<String, (u32, i64)>,
    /// Jobs with due times that were missed: how many.
    pub missed_by: BTreeMap<String, u64>,
    /// The runs that took longest, the longest first: the job, the run, and how long.
    pub slowest: Vec<(String, u64, i64)>,
}

impl Tally {
    /// One that begins then.
    pub(super) fn new(since: Instant) -> Tally {
        Tally { since: since.micros(), ..Tally::default() }
    }

    /// Something has become of a job.
    pub(super) fn count(&mut self, record: &Record, streak: Streak) {
        let job = &*record.job.id;
        match &record.outcome {
            Outcome::Succeeded => {
                self.succeeded += 1;
                self.failing.remove(job);
            }
            Outcome::Missed(_) => {
                self.missed = self.missed.saturating_add(record.count);
                let has_room = self.missed_by.len() < NAMED || self.missed_by.contains_key(job);
                if has_room {
                    *self.missed_by.entry(job.to_owned()).or_default() += record.count;
                }
            }
            Outcome::Skipped(_) => self.skipped = self.skipped.saturating_add(record.count),
            // Another due time stands for it.
            Outcome::Coalesced => {}
            Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::TimedOut
            | Outcome::NotStarted(_)
            | Outcome::Lost(_) => {
                self.failed += 1;
                if self.failing.len() < NAMED || self.failing.contains_key(job) {
                    let since = streak.since().map_or(self.since, Instant::micros);
                    self.failing.insert(job.to_owned(), (streak.runs, since));
                }
            }
        }
        if let Some(run) = record.run.filter(|_| record.started.is_some()) {
            let took = duration_micros(record.duration);
            let place = self.slowest.partition_point(|(_, _, other)| *other >= took);
            if place < SLOWEST {
                self.slowest.insert(place, (job.to_owned(), run.0, took));
                self.slowest.truncate(SLOWEST);
            }
        }
    }

    /// A job is gone, or paused. Answers whether that makes a difference.
    pub(super) fn forget(&mut self, job: &str) -> bool {
        self.failing.remove(job).is_some()
    }

    /// What is told, and what is counted from then on.
    pub(super) fn end(&mut self, now: Instant) -> Tally {
        let next = Tally { failing: self.failing.clone(), ..Tally::new(now) };
        std::mem::replace(self, next)
    }

    /// How many runs there were.
    pub fn runs(&self) -> u64 {
        self.succeeded.saturating_add(self.failed)
    }

    /// The runs that took longest.
    pub fn slowest(&self) -> impl Iterator<Item = (&str, u64, Duration)> {
        let each = self.slowest.iter();
        each.map(|(job, run, took)| (&**job, *run, Duration::from_micros(took.unsigned_abs())))
    }
}
