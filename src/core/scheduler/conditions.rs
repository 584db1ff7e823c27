//! Runs that begin only if the conditions of their job hold (`only_if`): doc/runs.md, "Conditions".
//!
//! A due time that has room becomes a run, is remembered as one, and then its conditions are looked at:
//! [`Action::Check`], answered by [`Event::Checked`](crate::core::event::Event::Checked). Until they hold
//! it is `Checking`, without a slot. So a crash in between leaves what any run leaves that has not begun,
//! and in a fleet the due time is claimed like any other. Where `overlap = "replace"` would end another run
//! for it, that goes on until they hold. A run that somebody starts by hand is not looked at, nor is a
//! further attempt.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::core::condition::{Answer, EVERY, PATIENCE, not};
use crate::core::event::{Action, Awaits, Check, Notice, Remember, RunId};
use crate::core::instant::{Instant, Mono};
use crate::core::outcome::{Outcome, SkipReason};
use crate::core::sort;
use crate::core::words;

use super::run::{Phase, Run};
use super::{Scheduler, Step};

/// The list of entries for runs that wait for their conditions, by their number: for whoever asks why they
/// do (`crate::history::why`). A scheduler that goes on looks anew.
pub const AWAITS: &str = "awaits";

/// The key of the entry of a run.
pub fn awaits_key(run: RunId) -> Box<str> {
    run.to_string().into()
}

/// What such an entry says.
pub fn read_awaits(text: &str) -> Option<Awaits> {
    let value: Value = serde_json::from_str(text).ok()?;
    let time = |name: &str| Some(Instant::from_micros(value.get(name)?.as_i64()?));
    let reading = value.get("reading")?.as_str()?.into();
    Some(Awaits { reading, since: time("since")?, until: time("until")? })
}

fn written(awaits: &Awaits) -> Box<str> {
    let Awaits { reading, since, until } = awaits;
    let value = json!({ "reading": reading, "since": since.micros(), "until": until.micros() });
    value.to_string().into()
}

/// What there is of a run whose conditions are looked at.
#[derive(Clone, Debug)]
pub(super) struct Looking {
    /// Since when, on both time lines.
    since: (Instant, Mono),
    /// How long it may wait from then.
    wait: Duration,
    /// The number of the last look.
    number: u32,
    /// That look is not answered yet.
    is_asked: bool,
    /// What did not hold when it was last looked.
    reading: Option<Box<str>>,
}

impl Looking {
    /// What there is to say of it.
    pub(super) fn awaits(&self) -> Option<Awaits> {
        let (since, _) = self.since;
        let reading = self.reading.clone()?;
        Some(Awaits { reading, since, until: since.plus(self.wait) })
    }

    fn until(&self) -> Mono {
        self.since.1.plus(self.wait)
    }
}

impl Run {
    /// Whether it has conditions that nobody has looked at.
    pub(super) fn is_unchecked(&self) -> bool {
        !self.is_checked && self.job.options.only_if.is_some()
    }

    /// Whether it waits for them, or will when the run has ended that it waits for.
    fn waits_for_conditions(&self) -> bool {
        match self.phase {
            Phase::Checking => true,
            Phase::Pending => self.is_unchecked(),
            _ => false,
        }
    }
}

impl Scheduler {
    /// A run is to wait for its conditions.
    pub(super) fn look_first(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        run.phase = Phase::Checking;
        run.is_checked = false;
        run.looking = Some(Box::new(Looking {
            since: (step.now.wall, step.now.mono),
            wait: run.job.options.wait_for,
            number: 0,
            is_asked: false,
            reading: None,
        }));
        self.look(slot, step);
    }

    /// Has the conditions of a run looked at.
    fn look(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        let Some(looking) = &mut run.looking else { return };
        looking.number = looking.number.wrapping_add(1);
        looking.is_asked = true;
        let (id, number, due, job) = (run.id, looking.number, run.due, Arc::clone(&run.job));
        step.out.push(Action::Check(Check { run: id, number, due, job }));
        self.arm(slot, step.now.mono.plus(PATIENCE));
    }

    /// It is time for the next look, or for the answer of the last.
    pub(super) fn look_again(&mut self, slot: u32, step: &mut Step<'_>) {
        let asked = self.runs[slot].looking.as_deref().is_some_and(|looking| looking.is_asked);
        match asked {
            true => {
                let patience = words::span(PATIENCE);
                let answer = not(format!("the check was not answered within {patience}"));
                self.take_answer(slot, answer, step);
            }
            false => self.look(slot, step),
        }
    }

    /// The conditions of a run were looked at. What nobody waits for any more is no mistake: the run was
    /// given up meanwhile.
    pub(super) fn checked(&mut self, run: RunId, number: u32, answer: Answer, step: &mut Step<'_>) {
        let Some(slot) = self.runs.find(run) else { return };
        let run = &self.runs[slot];
        let is_awaited = |looking: &Looking| looking.is_asked && looking.number == number;
        if run.phase == Phase::Checking && run.looking.as_deref().is_some_and(is_awaited) {
            self.take_answer(slot, answer, step);
        }
    }

    fn take_answer(&mut self, slot: u32, answer: Answer, step: &mut Step<'_>) {
        match answer {
            Answer::Hold => self.conditions_hold(slot, step),
            Answer::DoNotHold(reading) => self.conditions_do_not_hold(slot, reading, step),
            // To wait would only hide it.
            Answer::Fault(fault) => self.finish(slot, Outcome::NotStarted(fault.into()), step),
        }
    }

    fn conditions_do_not_hold(&mut self, slot: u32, reading: Box<str>, step: &mut Step<'_>) {
        let now = step.now.mono;
        let run = &mut self.runs[slot];
        let Some(looking) = &mut run.looking else { return };
        let until = looking.until();
        if until <= now {
            self.finish(slot, Outcome::Skipped(SkipReason::condition(&reading)), step);
            return;
        }
        looking.is_asked = false;
        if looking.reading.replace(reading.clone()).is_none() {
            let (id, due, job) = (run.id, run.due, Arc::clone(&run.job));
            let wait = until.since(now);
            let notice = Notice::AwaitsConditions { run: id, job, due, reading, wait };
            let entry = looking.awaits().as_ref().map(written);
            step.out.push(Action::Notice(notice));
            self.keep_awaits(id, entry, step);
        }
        self.arm(slot, now.plus(EVERY).min(until));
    }

    fn keep_awaits(&self, run: RunId, value: Option<Box<str>>, step: &mut Step<'_>) {
        if self.remembers {
            let key = awaits_key(run);
            step.out.push(Action::Remember(Remember::Entry { list: AWAITS, key, value }));
        }
    }

    /// Whoever asks need not know any more what a run waits for.
    pub(super) fn forget_awaits(&self, slot: u32, step: &mut Step<'_>) {
        let run = &self.runs[slot];
        if run.looking.as_deref().is_some_and(|looking| looking.reading.is_some()) {
            self.keep_awaits(run.id, None, step);
        }
    }

    fn conditions_hold(&mut self, slot: u32, step: &mut Step<'_>) {
        self.forget_awaits(slot, step);
        let run = &mut self.runs[slot];
        run.is_checked = true;
        if let Some(looking) = run.looking.take() {
            // `max_wait` is about slots.
            let waited = step.now.mono.since(looking.since.1);
            run.admitted = run.admitted.plus(waited);
            run.held = run.held.saturating_add(waited);
        }
        self.go_on(slot, step);
    }

    /// A run whose conditions hold, or that has none any more, waits for what all others wait for.
    pub(super) fn go_on(&mut self, slot: u32, step: &mut Step<'_>) {
        let job_slot = self.runs[slot].job_slot;
        let stands_behind = |job: &u32| self.jobs[*job as usize].pending == Some(slot);
        let Some(job_slot) = job_slot.filter(stands_behind) else {
            self.enqueue(slot, step);
            return;
        };
        self.runs[slot].phase = Phase::Pending;
        self.arm_max_wait(slot);
        self.promote(job_slot, step);
        let state = &self.jobs[job_slot as usize];
        if state.pending == Some(slot) && state.instances.is_empty() {
            // All that run are on other hosts.
            self.end_elsewhere(job_slot, step);
        }
    }

    /// A run that now stands for another due time: that is looked at by itself.
    pub(super) fn look_anew(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        let was_checking = run.phase == Phase::Checking;
        run.looking = None;
        if run.job.options.only_if.is_some() {
            self.look_first(slot, step);
        } else if was_checking {
            self.go_on(slot, step);
        } else {
            self.arm_max_wait(slot);
        }
    }

    /// The same of all jobs, or of those that are paused by now.
    pub(super) fn skip_all_checking(&mut self, if_paused: bool, step: &mut Step<'_>) {
        let waiting = self.runs.iter().filter(|(_, run)| run.waits_for_conditions());
        let mut jobs: Vec<u32> = waiting.filter_map(|(_, run)| run.job_slot).collect();
        sort::all(&mut jobs);
        jobs.dedup();
        for slot in jobs {
            if !if_paused || self.jobs[slot as usize].paused {
                self.skip_checking(slot, step);
            }
        }
    }

    /// A job is paused: what waits for its conditions is not to begin all of a sudden.
    pub(super) fn skip_checking(&mut self, slot: u32, step: &mut Step<'_>) {
        let is_meant = |run: &Run| run.job_slot == Some(slot) && run.waits_for_conditions();
        let runs = self.runs.iter().filter(|(_, run)| is_meant(run));
        // What waits for another first, so that nothing takes the place of what goes.
        let mut found: Vec<(bool, RunId)> =
            runs.map(|(at, run)| (self.jobs[slot as usize].pending != Some(at), run.id)).collect();
        sort::all(&mut found);
        for (_, id) in found {
            if let Some(run) = self.runs.find(id) {
                self.finish(run, Outcome::Skipped(SkipReason::Paused), step);
            }
        }
    }
}
