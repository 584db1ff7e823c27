//! Jobs that are not due for a while because somebody has said so.
//!
//! What would have been due while a job was paused is `skipped(paused)`, recorded when the pause
//! ends: one record, with how many due times there were. A job whose definition says
//! `paused = true` is another matter: it has no due times, and nothing is recorded.

use std::collections::HashMap;

use crate::core::event::Pause;
use crate::core::instant::Instant;
use crate::core::outcome::{Outcome, SkipReason};

use super::jobs::{Away, Delayed, Extra, NEVER, TICK};
use super::tally::Tally;
use super::{Scheduler, Step};

/// Notes that a job has had no due times until now.
pub(super) fn extra_since(extras: &mut HashMap<u32, Extra>, slot: u32, since: Instant) {
    extras.entry(slot).or_default().since = Some(since);
}

impl Scheduler {
    /// Pauses a job. What has passed has been decided.
    pub(super) fn pause_job(&mut self, slot: u32, pause: Pause, step: &mut Step<'_>) {
        self.skip_waiting(slot, step);
        self.skip_checking(slot, step);
        let extra = self.extras.entry(slot).or_default();
        let before = extra.pause.take();
        let since = before.as_ref().map_or(pause.at, |before| before.at);
        extra.pause = Some(Pause { at: since, ..pause });
        let state = &mut self.jobs[slot as usize];
        state.paused = true;
        // What has been due since an earlier pause is still to be recorded.
        if before.is_none() && self.all_paused.is_none() {
            state.decided = state.decided.max(step.now.wall);
        }
        state.seek();
        self.reschedule(slot);
        self.remember(slot, step);
    }

    /// Ends the pause of a job, as of `at`.
    pub(super) fn resume_job(&mut self, slot: u32, at: Instant, step: &mut Step<'_>) {
        let by_definition = self.jobs[slot as usize].job.options.paused;
        let extra = self.extras.entry(slot).or_default();
        let was_paused_by_somebody = extra.pause.take().is_some();
        extra.resumed = by_definition;
        self.jobs[slot as usize].paused = false;
        if was_paused_by_somebody {
            self.skip_until(slot, at, step);
        } else {
            let state = &mut self.jobs[slot as usize];
            state.decided = state.decided.max(at.minus(TICK));
            extra_since(&mut self.extras, slot, at);
        }
        self.jobs[slot as usize].seek();
        self.remember(slot, step);
        self.count_if_idle(slot, step);
        self.retire(slot);
    }

    /// When the pause of a job ends by itself.
    pub(super) fn end_of_pause(&self, slot: u32) -> Instant {
        let pause = self.extras.get(&slot).and_then(|extra| extra.pause.as_ref());
        pause.and_then(|pause| pause.until).unwrap_or(NEVER)
    }

    /// Ends the pause of a job if it is time. The calendar has to be told by the caller.
    pub(super) fn end_pause_in_time(&mut self, slot: u32, step: &mut Step<'_>) {
        let until = self.end_of_pause(slot);
        if until <= step.now.wall {
            self.as_others(|scheduler| scheduler.resume_job(slot, until, step));
        }
    }

    /// Pauses all jobs.
    pub(super) fn pause_all(&mut self, pause: Pause, step: &mut Step<'_>) {
        for slot in 0..self.jobs.len() as u32 {
            self.skip_waiting(slot, step);
        }
        self.skip_all_checking(false, step);
        let since = self.all_paused.as_ref().map_or(pause.at, |before| before.at);
        if self.all_paused.is_none() {
            for state in &mut self.jobs {
                if !state.paused && state.away == Away::No {
                    state.decided = state.decided.max(step.now.wall);
                }
            }
        }
        self.all_paused = Some(Pause { at: since, ..pause });
        self.remember_all_paused(step);
    }

    /// Ends the pause of all jobs, as of `at`. Jobs that were paused on their own stay so.
    pub(super) fn resume_all(&mut self, at: Instant, step: &mut Step<'_>) {
        if self.all_paused.take().is_none() {
            return;
        }
        for slot in 0..self.jobs.len() as u32 {
            let state = &self.jobs[slot as usize];
            if !state.gone && !state.paused && state.away == Away::No {
                self.skip_until(slot, at, step);
                self.jobs[slot as usize].seek();
                self.count_if_idle(slot, step);
                self.retire(slot);
            }
        }
        self.fill_calendar();
        self.remember_all_paused(step);
    }

    /// Answers whether jobs may be due: they are not all paused, or that has just ended.
    pub(super) fn end_pause_of_all_in_time(&mut self, step: &mut Step<'_>) -> bool {
        let Some(pause) = &self.all_paused else { return true };
        match pause.until {
            Some(until) if until <= step.now.wall => {
                self.as_others(|scheduler| scheduler.resume_all(until, step));
                true
            }
            _ => false,
        }
    }

    fn remember_all_paused(&self, step: &mut Step<'_>) {
        use crate::core::event::{Action, Remember};
        if self.remembers && !self.learns {
            step.out.push(Action::Remember(Remember::AllPaused(self.all_paused.clone())));
        }
    }

    /// Records what was due in a pause that ends at `at`; what is due at `at` itself is not in it.
    fn skip_until(&mut self, slot: u32, at: Instant, step: &mut Step<'_>) {
        let state = &self.jobs[slot as usize];
        let last = at.minus(TICK);
        let first = state.timetable().after(state.decided);
        let range = (first <= last).then(|| (first, state.timetable().last_until(first, last)));
        self.skip_paused(slot, Delayed::default(), range, step);
        let state = &mut self.jobs[slot as usize];
        state.decided = state.decided.max(last);
    }

    /// Records the due times that had been reached when a pause began and were waiting for their
    /// jitter to pass.
    fn skip_waiting(&mut self, slot: u32, step: &mut Step<'_>) {
        // In a pause that goes on already there is none such; what is due in that is recorded at its
        // end.
        if self.all_paused.is_some() || self.jobs[slot as usize].paused {
            return;
        }
        let waiting = self.delayed.remove(&slot).unwrap_or_default();
        let state = &self.jobs[slot as usize];
        let range = (state.next <= step.now.wall)
            .then(|| (state.next, state.timetable().last_until(state.next, step.now.wall)));
        if !waiting.is_empty() || range.is_some() {
            self.skip_paused(slot, waiting, range, step);
        }
    }

    /// Records due times that are skipped because of a pause.
    fn skip_paused(
        &mut self,
        slot: u32,
        waiting: Delayed,
        range: Option<(Instant, Instant)>,
        step: &mut Step<'_>,
    ) {
        let mut tally = Tally::default();
        waiting.0.iter().for_each(|waiting| tally.add(waiting.0.due));
        if let Some((first, last)) = range {
            tally.add_range(first, last);
        }
        let state = &self.jobs[slot as usize];
        let (job, anchor) = (std::sync::Arc::clone(&state.job), state.anchor);
        let outcome = |_| Outcome::Skipped(SkipReason::Paused);
        self.record_tally(&job, anchor, tally, outcome, step);
    }
}
