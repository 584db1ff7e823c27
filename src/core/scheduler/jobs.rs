//! What the scheduler remembers of each job, and when it wants to look at it next.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;

use thin_vec::ThinVec;

use crate::core::event::Pause;
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::trigger::{DateTrigger, Trigger};

use super::Scheduler;
use super::timetable::{Timetable, fire_time};

/// "No due time": no trigger names this instant.
pub(super) const NEVER: Instant = Instant::MAX;

/// The smallest step of time, to make "after" of "from ... on".
pub(super) const TICK: std::time::Duration = std::time::Duration::from_micros(1);

/// One job. A million of these must be cheap: see the test of its size.
#[derive(Clone, Debug)]
pub(super) struct JobState {
    pub(super) job: Arc<Job>,
    /// When it was first scheduled: where an interval without `start_date` begins. Where its due times
    /// count from the end of its last run, that.
    pub(super) anchor: Instant,
    /// Every due time up to this one has been decided or waits in `delayed`. It never goes back,
    /// so neither does the job when the clock does.
    pub(super) decided: Instant,
    /// The first due time after `decided`.
    pub(super) next: Instant,
    /// The slots of its active runs, oldest first.
    pub(super) instances: ThinVec<u32>,
    /// How many of them wait to be retried.
    pub(super) retrying: u32,
    /// The run that waits for one of them to end.
    pub(super) pending: Option<u32>,
    /// The pool of its executor.
    pub(super) pool: u16,
    /// It is not due: its definition says so and nobody has resumed it, or somebody has paused it.
    pub(super) paused: bool,
    /// It was added at run time, and is removed when nothing of it is left to be done.
    pub(super) added: bool,
    /// There is no job in this slot any more.
    pub(super) gone: bool,
    /// Another scheduler of the fleet decides its due times, or none does.
    pub(super) away: Away,
    /// Another has runs of it.
    pub(super) busy_elsewhere: bool,
}

/// Whether a job is at home with this scheduler: see `super::fleet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Away {
    /// It is.
    No,
    /// It has never been.
    Ever,
    /// It was: what is decided up to `decided` was known here.
    Now,
}

/// What few jobs have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Extra {
    /// Somebody has paused it.
    pub(super) pause: Option<Pause>,
    /// Somebody has resumed it although its definition says `paused = true`.
    pub(super) resumed: bool,
    /// Since when it has had due times, where that is not since it has its trigger: it was
    /// `paused = true` before.
    pub(super) since: Option<Instant>,
    /// Its definition as TOML, if it was added at run time.
    pub(super) text: Option<Box<str>>,
    /// What was changed at run time, as TOML.
    pub(super) overrides: Option<Box<str>>,
}

impl Extra {
    /// Whether a job of that definition is paused.
    pub(super) fn pauses(&self, job: &Job) -> bool {
        self.pause.is_some() || (job.options.paused && !self.resumed)
    }
}

impl JobState {
    /// A job that is there when the scheduler starts.
    pub(super) fn at_start(job: Arc<Job>, pool: u16, start: Instant) -> JobState {
        let mut state = JobState::added(job, pool, start, start);
        if state.job.options.run_on_start && !state.paused {
            // One more due time in front of the trigger's own; if that has the same, it is one.
            state.next = start;
        }
        state
    }

    /// A job that is new at `now`, in a scheduler that started at `start`.
    pub(super) fn added(job: Arc<Job>, pool: u16, now: Instant, start: Instant) -> JobState {
        let job_is_paused = job.options.paused;
        let mut state = JobState {
            anchor: anchor(&job.trigger, now, start),
            decided: now.minus(TICK),
            next: NEVER,
            job,
            instances: ThinVec::new(),
            retrying: 0,
            pending: None,
            pool,
            paused: job_is_paused,
            added: false,
            gone: false,
            away: Away::No,
            busy_elsewhere: false,
        };
        state.seek();
        state
    }

    /// Finds the first due time after `decided`.
    pub(super) fn seek(&mut self) {
        let is_due = !self.paused && !self.gone && self.away == Away::No && !self.waits_for_end();
        self.next = if is_due { self.timetable().after(self.decided) } else { NEVER };
    }

    /// How many runs of it are active.
    pub(super) fn active(&self) -> u32 {
        self.instances.len() as u32
    }

    pub(super) fn timetable(&self) -> Timetable<'_> {
        Timetable { trigger: &self.job.trigger, anchor: self.anchor }
    }
}

/// The moment a job's trigger is relative to. `@reboot` is the start of the scheduler even for a
/// job that came later; for everything else it is the moment the job came.
pub(super) fn anchor(trigger: &Trigger, now: Instant, start: Instant) -> Instant {
    match trigger {
        Trigger::Date(DateTrigger::Reboot) => start,
        _ => now,
    }
}

/// An entry of the calendar: look at this job at this time. In a max-heap the earliest comes
/// first, and of those of the same time the first in the jobfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wake {
    pub(super) at: Instant,
    pub(super) slot: u32,
}

impl Wake {
    /// Time and slot in one number: one comparison without a branch between the two.
    fn key(self) -> i128 {
        i128::from(self.at.micros()) << 32 | i128::from(self.slot)
    }
}

impl Ord for Wake {
    fn cmp(&self, other: &Wake) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl PartialOrd for Wake {
    fn partial_cmp(&self, other: &Wake) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The due times of one job that wait for their jitter to pass.
#[derive(Debug, Default)]
pub(super) struct Delayed(pub(super) BinaryHeap<Reverse<Wait>>);

/// A due time and when it fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wait {
    pub(super) fire: Instant,
    pub(super) due: Instant,
}

impl Delayed {
    pub(super) fn push(&mut self, waiting: Wait) {
        self.0.push(Reverse(waiting));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one that fires first.
    pub(super) fn first(&self) -> Option<Wait> {
        self.0.peek().map(|first| first.0)
    }

    /// Takes the one that fires first if that is by `now`.
    pub(super) fn pop_until(&mut self, now: Instant) -> Option<Wait> {
        match self.first() {
            Some(first) if first.fire <= now => self.0.pop().map(|first| first.0),
            _ => None,
        }
    }
}

impl Scheduler {
    /// When to look at a job next; [`NEVER`] if no more.
    pub(super) fn wake_of(&self, slot: u32) -> Instant {
        let state = &self.jobs[slot as usize];
        if state.paused && state.away == Away::No {
            return self.end_of_pause(slot);
        }
        if self.is_undecided(slot) {
            return NEVER;
        }
        let longest = state.job.options.longest_delay();
        let own = if longest.is_zero() || state.next == NEVER {
            state.next
        } else {
            // If another due time is reached before this one fires, it may be the earlier to
            // fire: then each is put aside when it is reached. Else one look is enough.
            let fire = fire_time(&state.job, state.next);
            if state.timetable().after(state.next) < fire { state.next } else { fire }
        };
        if self.delayed.is_empty() {
            return own;
        }
        match self.delayed.get(&slot).and_then(Delayed::first) {
            Some(first) => own.min(first.fire),
            None => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a million idle jobs cost beside their definitions.
    #[test]
    fn an_idle_job_is_small() {
        assert!(size_of::<JobState>() + size_of::<Wake>() <= 80);
    }
}
