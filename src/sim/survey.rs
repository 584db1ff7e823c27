//! What a simulation came to: for each job what ran, waited, was skipped or missed, and how many
//! attempts started in each hour.
//!
//! A [`Survey`] looks on (`super::Observer`) and only adds; `super::heatmap` arranges its hours,
//! and `crate::cli::command::simulate` shows both.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::Observer;
use crate::core::event::{Action, Notice, Record, Start};
use crate::core::instant::{Instant, Now};
use crate::core::job::Job;
use crate::core::outcome::{MissReason, Outcome, SkipReason};
use crate::core::zone::{Segment, Zone};

/// What became of the due times of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobFacts {
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed with an exit code.
    pub failed: u64,
    /// Runs that a signal ended: `overlap = "replace"` ends them so.
    pub killed: u64,
    /// Runs that their `timeout` ended.
    pub timed_out: u64,
    /// Runs that never had a process.
    pub not_started: u64,
    /// Due times that were skipped, but for those that are excluded.
    pub skipped: u64,
    /// Due times that `except` and `only` exclude.
    pub excluded: u64,
    /// Due times that were noticed too late.
    pub missed: u64,
    /// Due times that waited longer than `max_wait`.
    pub gave_up: u64,
    /// Due times that another one stood for.
    pub coalesced: u64,
    /// Runs that have begun and not ended.
    pub open: u64,
    /// Attempts that started.
    pub attempts: u64,
    /// Runs that waited before their first attempt, for a slot or for a run of the same job.
    pub waited: u64,
    /// The longest of these waits, or of those that were given up.
    pub longest_wait: Option<Wait>,
    /// When `pause_after` paused it, and after how many failures: from then on it is not due.
    pub paused: Option<(Instant, u32)>,
}

/// How long a run waited to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How long.
    pub span: Duration,
    /// The due time of the run.
    pub due: Instant,
}

impl JobFacts {
    /// Runs that have ended.
    pub fn ran(&self) -> u64 {
        self.succeeded + self.failed + self.killed + self.timed_out + self.not_started
    }

    /// Due times with a known fate, and those whose runs are under way.
    pub fn due(&self) -> u64 {
        self.ran()
            + self.skipped
            + self.excluded
            + self.missed
            + self.gave_up
            + self.coalesced
            + self.open
    }

    /// Adds what became of the due times of another job.
    pub fn add(&mut self, other: &JobFacts) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.killed += other.killed;
        self.timed_out += other.timed_out;
        self.not_started += other.not_started;
        self.skipped += other.skipped;
        self.excluded += other.excluded;
        self.missed += other.missed;
        self.gave_up += other.gave_up;
        self.coalesced += other.coalesced;
        self.open += other.open;
        self.attempts += other.attempts;
        self.waited += other.waited;
        if let Some(wait) = other.longest_wait {
            self.waits(wait);
        }
    }

    fn waits(&mut self, wait: Wait) {
        if self.longest_wait.is_none_or(|longest| longest.span < wait.span) {
            self.longest_wait = Some(wait);
        }
    }
}

/// The attempts that started within one hour of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// The hour on the clocks of the zone, counted from 1970-01-01T00. One that happens twice
    /// comes twice.
    pub wall: i64,
    /// When the first of them started.
    pub first: Instant,
    /// How many there were.
    pub starts: u64,
}

/// Which job of a jobfile one is. Jobs come by reference, so this is faster than by name.
#[derive(Clone, Debug)]
pub struct Places {
    /// Held, so that no other job may come to lie where one of these was.
    _jobs: Vec<Arc<Job>>,
    by_address: HashMap<usize, usize, BuildHasherDefault<AddressHasher>>,
}

impl Places {
    /// The places of these jobs.
    pub fn new(jobs: &[Arc<Job>]) -> Places {
        let place = |(place, job)| (Arc::as_ptr(job) as usize, place);
        let by_address = jobs.iter().enumerate().map(place).collect();
        Places { _jobs: jobs.to_vec(), by_address }
    }

    /// Where a job is among them.
    pub fn of(&self, job: &Arc<Job>) -> Option<usize> {
        self.by_address.get(&(Arc::as_ptr(job) as usize)).copied()
    }
}

/// Addresses differ in their middle bits: one multiplication spreads them.
#[derive(Clone, Copy, Debug, Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only addresses come, and those through `write_usize`; this is as right, and slower.
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, address: usize) {
        let product = (address as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}

/// Looks on at a simulation and adds up.
#[derive(Clone, Debug)]
pub struct Survey {
    places: Places,
    zone: Zone,
    /// The stretch of one offset that the simulation is in.
    segment: Segment,
    jobs: Vec<JobFacts>,
    hours: Vec<Hour>,
    /// An attempt that starts before this belongs to the last hour.
    hour_end: Instant,
}

impl Survey {
    /// A survey of these jobs, with hours of `zone`.
    pub fn new(jobs: &[Arc<Job>], zone: &Zone) -> Survey {
        Survey {
            places: Places::new(jobs),
            zone: zone.clone(),
            segment: zone.segment_at(0),
            jobs: vec![JobFacts::default(); jobs.len()],
            hours: Vec::new(),
            hour_end: Instant::MIN,
        }
    }

    /// For each job, in the order in which they were given.
    pub fn jobs(&self) -> &[JobFacts] {
        &self.jobs
    }

    /// The hours in which anything started, in order.
    pub fn hours(&self) -> &[Hour] {
        &self.hours
    }

    fn start(&mut self, now: Instant, start: &Start) {
        self.count_hour(now);
        let Some(place) = self.places.of(&start.job) else { return };
        let facts = &mut self.jobs[place];
        facts.attempts += 1;
        if start.attempt != 1 {
            return;
        }
        facts.open += 1;
        if !start.waited.is_zero() {
            facts.waited += 1;
            facts.waits(Wait { span: start.waited, due: start.due });
        }
    }

    fn count_hour(&mut self, now: Instant) {
        if now < self.hour_end
            && let Some(hour) = self.hours.last_mut()
        {
            hour.starts += 1;
            return;
        }
        let secs = now.secs();
        if !(self.segment.start..self.segment.end).contains(&secs) {
            self.segment = self.zone.segment_at(secs);
        }
        let offset = i64::from(self.segment.offset);
        let wall = (secs + offset).div_euclid(3600);
        let end = ((wall + 1) * 3600 - offset).min(self.segment.end);
        self.hour_end = Instant::from_secs(end);
        self.hours.push(Hour { wall, first: now, starts: 1 });
    }

    fn record(&mut self, record: &Record) {
        let Some(place) = self.places.of(&record.job) else { return };
        let facts = &mut self.jobs[place];
        if record.attempts > 0 {
            facts.open = facts.open.saturating_sub(1);
        }
        match &record.outcome {
            Outcome::Succeeded => facts.succeeded += 1,
            Outcome::Failed(_) => facts.failed += 1,
            Outcome::Killed(_) | Outcome::OverLimit(..) => facts.killed += 1,
            Outcome::TimedOut => facts.timed_out += 1,
            Outcome::NotStarted(_) | Outcome::Lost(_) => facts.not_started += 1,
            Outcome::Skipped(SkipReason::Excluded(_)) => facts.excluded += record.count,
            Outcome::Skipped(_) => facts.skipped += record.count,
            Outcome::Missed(MissReason::Late(_) | MissReason::NoStore(_)) => {
                facts.missed += record.count
            }
            Outcome::Missed(MissReason::Waited(span)) => {
                facts.gave_up += record.count;
                facts.waits(Wait { span: *span, due: record.due });
            }
            Outcome::Coalesced => facts.coalesced += record.count,
        }
    }
}

impl Observer for Survey {
    fn see(&mut self, now: Now, action: &Action) {
        match action {
            Action::Start(start) => self.start(now.wall, start),
            Action::Record(record) => self.record(record),
            Action::Notice(Notice::PausedByFailures { job, runs }) => {
                if let Some(place) = self.places.of(job) {
                    self.jobs[place].paused = Some((now.wall, *runs));
                }
            }
            Action::Terminate(_) | Action::Kill(_) | Action::Notice(_) | Action::Exit => {}
            Action::Check(_) | Action::Remember(_) | Action::Answer { .. } => {}
        }
    }
}
