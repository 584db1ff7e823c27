//! What a scheduler has done since it was started, in numbers: for whoever watches many of them.
//!
//! Pure: the loop shows each [`Action`] to [`Counters::note`]. What was before is not here, as a store has
//! it (`crate::control::server`): a restart begins the numbers anew, and forgets no failure.

use std::collections::HashMap;
use std::time::Duration;

use super::{Action, Notice, Record};
use crate::core::instant::Instant;
use crate::core::outcome::{MissReason, Outcome, SkipReason};

/// Upper ends of the classes of [`Lags`], in seconds.
pub const LAG_ENDS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 120.0];

/// What may become of a due time, as the word of the outcome and that of its reason, if there is one
/// of few.
pub const FATES: [(&str, &str); 18] = [
    ("succeeded", ""),
    ("failed", ""),
    ("killed", ""),
    ("timed_out", ""),
    ("not_started", ""),
    ("lost", ""),
    ("coalesced", ""),
    ("skipped", "overlap"),
    ("skipped", "paused"),
    ("skipped", "stopping"),
    ("skipped", "removed"),
    ("skipped", "stopped"),
    ("skipped", "excluded"),
    ("skipped", "parent"),
    ("skipped", "condition"),
    ("missed", "late"),
    ("missed", "waited"),
    ("missed", "no_store"),
];

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct Counters {
    totals: Totals,
    /// Of jobs that have had a due time. Their names may be chosen by whoever may add jobs, so that the
    /// map is one in which nobody can make all fall into one place.
    jobs: HashMap<Box<str>, JobCounts>,
}

/// What there is to say of all jobs together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// How many due times have come to what, in the order of [`FATES`].
    pub fates: [u64; FATES.len()],
    /// How late first attempts were started.
    pub lags: Lags,
    /// How often jobs that are gone were forgotten: should one of them come back, it has no numbers.
    pub forgotten: u64,
}

/// How many due times of a job have come to what, and how its last runs ended. One that another stands for is
/// in none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Runs that did what they should.
    pub succeeded: u32,
    /// Runs that did not, or that could not be started.
    pub failed: u32,
    /// Due times that were noticed too late.
    pub missed: u32,
    /// Due times that were deliberately not run.
    pub skipped: u32,
    /// When a run last ended that did what it should.
    pub last_success: Option<Instant>,
    /// When a run last ended, and how long it took.
    pub last_run: Option<(Instant, Duration)>,
}

/// Times between a due time and the start of its first attempt, in classes, without those in which nobody
/// could have started it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lags {
    /// How many there are of each class of [`LAG_ENDS`], and beyond them.
    pub classes: [u64; LAG_ENDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

impl Counters {
    /// Takes note of what was decided, at this time.
    pub fn note(&mut self, action: &Action, now: Instant) {
        match action {
            Action::Record(record) => self.record(record, now),
            Action::Notice(Notice::Started { attempt: 1, lag, held, .. }) => {
                self.totals.lags.add(lag.saturating_sub(*held));
            }
            _ => {}
        }
    }

    fn record(&mut self, record: &Record, now: Instant) {
        let total = &mut self.totals.fates[fate(&record.outcome)];
        *total = total.saturating_add(record.count);
        let Some(select) = of_job(&record.outcome) else { return };
        let id = &record.job.id;
        let counts = match self.jobs.get_mut(id) {
            Some(counts) => counts,
            None => self.jobs.entry(id.clone()).or_default(),
        };
        let count = select(counts);
        *count = count.saturating_add(u32::try_from(record.count).unwrap_or(u32::MAX));
        if record.outcome.is_of_run() {
            let ended = record.started.map_or(now, |started| started.plus(record.duration));
            counts.last_run = Some((ended, record.duration));
            if record.outcome.is_success() {
                counts.last_success = Some(ended);
            }
        }
    }

    /// Of all jobs together.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Of a job.
    pub fn of(&self, job: &str) -> JobCounts {
        self.jobs.get(job).copied().unwrap_or_default()
    }

    /// Forgets jobs that are gone, if they may be many: there are so many jobs in all.
    pub fn forget(&mut self, jobs: usize, is_there: impl Fn(&str) -> bool) {
        if self.jobs.len() > jobs.saturating_mul(2).saturating_add(1000) {
            self.jobs.retain(|job, _| is_there(job));
            self.totals.forgotten += 1;
        }
    }
}

impl JobCounts {
    /// All of them.
    pub fn sum(&self) -> u64 {
        [self.succeeded, self.failed, self.missed, self.skipped].iter().map(|n| u64::from(*n)).sum()
    }
}

impl Lags {
    fn add(&mut self, lag: Duration) {
        let secs = lag.as_secs_f64();
        let class = LAG_ENDS.iter().position(|end| secs <= *end).unwrap_or(LAG_ENDS.len());
        self.classes[class] += 1;
        self.sum = self.sum.saturating_add(lag);
    }
}

/// The place of an outcome in [`FATES`].
fn fate(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Succeeded => 0,
        Outcome::Failed(_) => 1,
        Outcome::Killed(_) | Outcome::OverLimit(..) => 2,
        Outcome::TimedOut => 3,
        Outcome::NotStarted(_) => 4,
        Outcome::Lost(_) => 5,
        Outcome::Coalesced => 6,
        Outcome::Skipped(SkipReason::Overlap) => 7,
        Outcome::Skipped(SkipReason::Paused) => 8,
        Outcome::Skipped(SkipReason::Stopping) => 9,
        Outcome::Skipped(SkipReason::Removed) => 10,
        Outcome::Skipped(SkipReason::Stopped) => 11,
        Outcome::Skipped(SkipReason::Excluded(_)) => 12,
        Outcome::Skipped(SkipReason::Parent(_)) => 13,
        Outcome::Skipped(SkipReason::Condition(_)) => 14,
        Outcome::Missed(MissReason::Late(_)) => 15,
        Outcome::Missed(MissReason::Waited(_)) => 16,
        Outcome::Missed(MissReason::NoStore(_)) => 17,
    }
}

/// Which number of its job counts an outcome.
fn of_job(outcome: &Outcome) -> Option<fn(&mut JobCounts) -> &mut u32> {
    match outcome {
        Outcome::Succeeded => Some(|counts| &mut counts.succeeded),
        Outcome::Missed(_) => Some(|counts| &mut counts.missed),
        Outcome::Skipped(_) => Some(|counts| &mut counts.skipped),
        Outcome::Coalesced => None,
        outcome if outcome.is_failed_run() => Some(|counts| &mut counts.failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::core::event::{Process, RunId};
    use crate::core::outcome::each;

    #[test]
    fn every_outcome_has_its_place() {
        let mut seen = [false; FATES.len()];
        for outcome in each() {
            let place = fate(&outcome);
            let reason = match &outcome {
                Outcome::Skipped(reason) => reason.word(),
                Outcome::Missed(reason) => reason.word(),
                _ => "",
            };
            assert_eq!(FATES[place], (outcome.word(), reason));
            assert_eq!(of_job(&outcome).is_none(), outcome == Outcome::Coalesced, "{outcome}");
            seen[place] = true;
        }
        assert_eq!(seen, [true; FATES.len()]);
    }

    #[test]
    fn a_lag_is_in_the_class_that_ends_with_it() {
        let mut lags = Lags::default();
        for (micros, class) in [(0, 0), (1000, 0), (1001, 1), (120_000_000, 12), (120_000_001, 13)]
        {
            let before = lags.classes[class];
            lags.add(Duration::from_micros(micros));
            assert_eq!(lags.classes[class], before + 1, "{micros}");
        }
        assert_eq!(lags.sum, Duration::from_micros(240_002_002));
    }

    /// What a run has waited for its conditions is not what the scheduler was late by.
    #[test]
    fn a_lag_is_without_what_held_it() {
        let mut counters = Counters::default();
        let job = Arc::new(crate::core::job::Job {
            id: "a".into(),
            name: None,
            command: crate::core::job::Command::Shell("true".into()),
            trigger: crate::core::trigger::Trigger::Date(crate::core::trigger::DateTrigger::Now),
            zone: crate::core::zone::Zone::utc(),
            executor: 0,
            options: Arc::default(),
        });
        for (attempt, held) in [(1, 0), (1, 900), (2, 0)] {
            let started = Notice::Started {
                run: RunId(1),
                attempt,
                process: Process { pid: 1, start: 1 },
                job: Arc::clone(&job),
                due: Instant::from_secs(0),
                lag: Duration::from_secs(1000),
                held: Duration::from_secs(held),
            };
            counters.note(&Action::Notice(started), Instant::from_secs(1000));
        }
        assert_eq!(counters.totals().lags.sum, Duration::from_secs(1100));
    }

    /// Jobs that come and go leave nothing for good.
    #[test]
    fn jobs_that_are_gone_are_forgotten() {
        let mut counters = Counters::default();
        for number in 0..1003 {
            counters.jobs.insert(format!("job-{number}").into(), JobCounts::default());
        }
        counters.forget(2, |job| job == "job-7");
        assert_eq!(counters.jobs.len(), 1003, "they are not many");
        assert_eq!(counters.totals().forgotten, 0);
        counters.forget(1, |job| job == "job-7");
        assert_eq!((counters.jobs.len(), counters.totals().forgotten), (1, 1));
    }
}
