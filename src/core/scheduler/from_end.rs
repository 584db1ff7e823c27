//! Jobs that are due so long after the end of their last run (`interval = { minutes = 10, from = "end" }`):
//! doc/runs.md, "From the end of the last run".
//!
//! Their trigger knows one due time, that after the moment it is anchored at. What is here moves that
//! moment: when a run has ended, however it did, and when a due time has come to nothing. It is a part of
//! what is remembered of the job, and is remembered in the step in which the run ends. While a run of the
//! job is active it is not due, so that there is always that much time between two runs.

use std::sync::Arc;

use crate::core::event::{Action, Paused, Record};
use crate::core::instant::Instant;
use crate::core::outcome::{Outcome, SkipReason};
use crate::core::trigger::Trigger;

use super::jobs::{Away, JobState, NEVER, TICK};
use super::{Scheduler, Step};

impl JobState {
    /// Whether its next due time is counted from the end of its last run.
    #[inline]
    pub(super) fn counts_from_end(&self) -> bool {
        matches!(self.job.trigger, Trigger::FromEnd(_))
    }

    /// Whether it is not due before a run of it has ended.
    #[inline]
    pub(super) fn waits_for_end(&self) -> bool {
        self.counts_from_end() && self.is_busy()
    }

    /// Whether a run of it is active, here or elsewhere.
    fn is_busy(&self) -> bool {
        !self.instances.is_empty() || self.pending.is_some() || self.busy_elsewhere
    }
}

impl Scheduler {
    /// A run of a job has ended: its next due time is counted from now.
    pub(super) fn count_from_end(&mut self, slot: u32, step: &mut Step<'_>) {
        if self.count_from(slot, step.now.wall) {
            self.reschedule(slot);
            self.remember(slot, step);
        }
    }

    /// If nothing of a job is active, nor to come, because its last due time was missed or skipped, its
    /// next is counted from now.
    pub(super) fn count_if_idle(&mut self, slot: u32, step: &mut Step<'_>) {
        if !self.jobs[slot as usize].counts_from_end() {
            return;
        }
        let waits = !self.delayed.is_empty() && self.delayed.contains_key(&slot);
        let state = &mut self.jobs[slot as usize];
        if state.is_busy() || waits {
            // One at a time, also beside the extra run at the start.
            self.hold(slot);
        } else if state.timetable().after(state.decided) == NEVER {
            self.count_from_end(slot, step);
        } else if state.next == NEVER {
            state.seek();
            self.reschedule(slot);
        }
    }

    /// The same at the start, where nothing is remembered yet. Answers whether there is something new.
    pub(super) fn count_if_idle_at_start(&mut self, slot: u32, now: Instant) -> bool {
        let state = &self.jobs[slot as usize];
        let is_idle = state.next == NEVER && !state.paused;
        is_idle && state.counts_from_end() && self.count_from(slot, now)
    }

    fn count_from(&mut self, slot: u32, at: Instant) -> bool {
        let waits = !self.delayed.is_empty() && self.delayed.contains_key(&slot);
        let state = &mut self.jobs[slot as usize];
        let Trigger::FromEnd(trigger) = state.job.trigger else { return false };
        if state.gone || state.away != Away::No || state.is_busy() || waits {
            return false;
        }
        let since = state.anchor;
        // Where the clock was set back, it is due again once that has passed the last due time.
        let no_earlier = state.decided.minus(trigger.wait()).plus(TICK);
        state.anchor = at.max(no_earlier);
        state.seek();
        // The moment that it counts from moves; since when it has its trigger does not.
        self.extras.entry(slot).or_default().since.get_or_insert(since);
        true
    }

    /// Somebody starts a run of a job by hand. What has been due and waits for its jitter, or for the end of
    /// a pause, has its fate now: until the run has ended it is not due.
    pub(super) fn skip_for_run_by_hand(&mut self, slot: u32, step: &mut Step<'_>) {
        let state = &mut self.jobs[slot as usize];
        if !state.counts_from_end() || state.is_busy() {
            return;
        }
        let due = state.timetable().after(state.decided);
        if due > step.now.wall {
            return;
        }
        state.decided = due;
        let job = Arc::clone(&state.job);
        let reason = match self.paused(slot) {
            Paused::No => Some(SkipReason::Overlap),
            Paused::Job(_) | Paused::All(_) => Some(SkipReason::Paused),
            // It has no due times.
            Paused::ByFile => None,
        };
        let record = |reason| Record::without_run(job, due, Outcome::Skipped(reason));
        step.out.extend(reason.map(record).map(Action::Record));
    }

    /// While a run of a job is active, or a due time waits for its jitter, nobody knows when it is due next.
    pub(super) fn hold(&mut self, slot: u32) {
        let state = &mut self.jobs[slot as usize];
        let waiting = match self.delayed.is_empty() {
            true => None,
            false => self.delayed.get(&slot),
        };
        if !state.waits_for_end() && (waiting.is_none() || !state.counts_from_end()) {
            return;
        }
        state.next = NEVER;
        // What the trigger names is the due time of the run, or none that holds.
        let named = state.timetable().after(Instant::MIN);
        let is_run = |run: &u32| self.runs[*run].due == named;
        let waits = waiting.is_some_and(|waiting| waiting.0.iter().any(|wait| wait.0.due == named));
        if named != NEVER && !waits && !state.instances.iter().any(is_run) {
            let since = std::mem::replace(&mut state.anchor, Instant::LAST);
            self.extras.entry(slot).or_default().since.get_or_insert(since);
            self.unremembered.0.push(slot);
        }
    }

    /// Whether runs of a job are active on other hosts.
    pub(super) fn note_elsewhere(&mut self, slot: u32, step: &mut Step<'_>) {
        let is_busy = !self.others(slot).is_empty();
        let state = &mut self.jobs[slot as usize];
        let was_busy = std::mem::replace(&mut state.busy_elsewhere, is_busy);
        if !state.counts_from_end() || was_busy == is_busy {
            return;
        }
        if is_busy {
            self.hold(slot);
            self.reschedule(slot);
        } else {
            self.count_from_end(slot, step);
        }
    }
}
