//! A new jobfile as a difference from the old one: doc/runs.md, "Reload".
//!
//! Jobs are matched by id. A job keeps its anchor (and with it the grid of an interval) and its
//! next due time as long as its trigger stays the same, whatever else changes. Runs keep the
//! definition they were admitted with.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::event::{Action, Notice, Remember};
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet};
use crate::core::outcome::{Outcome, SkipReason};
use crate::core::sort;
use crate::core::trigger::Trigger;

use super::jobs::{Away, Delayed, Extra, JobState, TICK, anchor};
use super::run::{Input, Phase, Run};
use super::tally::Tally;
use super::{Scheduler, Step};

/// How many jobs are what, and where the old ones went.
#[derive(Default)]
struct Difference {
    added: usize,
    changed: usize,
    unchanged: usize,
    removed: usize,
    /// Jobs that are new, or due at other times than before.
    to_remember: Vec<u32>,
    /// The new slot of each old one, but for removed jobs.
    moved: Vec<Option<u32>>,
}

impl Scheduler {
    /// Takes over a new jobfile. While the scheduler stops it is of no use, and ignored.
    pub(super) fn reload(&mut self, set: JobSet, step: &mut Step<'_>) {
        if !self.life.is_accepting() {
            return;
        }
        self.remember_the_new(step);
        self.stop_grace = set.settings.stop_grace;
        self.pools.set(&set.executors);

        let old = std::mem::take(&mut self.jobs);
        self.vacant.clear();
        self.ids.take();
        self.chains.stale = true;
        self.done.clear();
        let difference = self.match_jobs(&old, set.jobs, step.now.wall);
        let orphans = self.move_runs(&difference.moved);
        self.move_delayed(&old, &difference.moved, step);
        self.move_undecided(&difference.moved);
        self.forget_the_gone(&old, &difference.moved, step);
        drop(old);
        for slot in orphans {
            self.react(slot, Input::Remove, step);
        }
        for slot in 0..self.jobs.len() as u32 {
            self.count_if_idle(slot, step);
        }
        self.fill_calendar();
        self.skip_all_checking(true, step);

        // There may be more slots and more room for instances than before.
        let waits = |run: &Run| matches!(run.phase, Phase::Pending | Phase::Checking);
        let pending = self.runs.iter().filter(|(_, run)| waits(run));
        let pending: Vec<u32> = pending.filter_map(|(_, run)| run.job_slot).collect();
        for slot in pending {
            self.promote(slot, step);
        }
        for pool in 0..self.pools.len() {
            self.dispatch(pool, step);
        }
        step.out.push(Action::Notice(Notice::Reloaded {
            added: difference.added,
            changed: difference.changed,
            removed: difference.removed,
            unchanged: difference.unchanged,
        }));
        for slot in difference.to_remember {
            self.remember(slot, step);
        }
        let added = (0..self.jobs.len() as u32).filter(|&slot| self.jobs[slot as usize].added);
        self.done.extend(added);
    }

    /// Fills `self.jobs` with the new jobs and what is known of them.
    fn match_jobs(&mut self, old: &[JobState], jobs: Vec<Arc<Job>>, now: Instant) -> Difference {
        let mut difference = Difference { moved: vec![None; old.len()], ..Difference::default() };
        let mut extras = std::mem::take(&mut self.extras);
        let mut finder = Finder { old, expected: 0, by_id: None };
        self.jobs.reserve_exact(jobs.len());
        for job in jobs {
            let pool = self.pools.of_executor(job.executor);
            let found = finder.find(&job.id);
            let found = found.filter(|&slot| difference.moved[slot as usize].is_none());
            let state = match found {
                None => {
                    difference.added += 1;
                    difference.to_remember.push(self.jobs.len() as u32);
                    let mut state = JobState::added(job, pool, now, self.started);
                    if self.fleet.is_some() {
                        state.away = Away::Ever;
                        state.seek();
                    }
                    if self.all_paused.is_some() {
                        state.decided = now;
                    }
                    state
                }
                Some(slot) => {
                    let new = self.jobs.len() as u32;
                    difference.moved[slot as usize] = Some(new);
                    let before = &old[slot as usize];
                    let mut extra = extras.remove(&slot).unwrap_or_default();
                    let unpaused = before.paused && !extra.pauses(&job);
                    if before.job.trigger != job.trigger {
                        extra.since = None;
                        difference.to_remember.push(new);
                    } else if unpaused {
                        extra.since = Some(now);
                        difference.to_remember.push(new);
                    }
                    if before.pool == pool && is_same(&before.job, &job) {
                        difference.unchanged += 1;
                    } else {
                        difference.changed += 1;
                    }
                    let state = changed(before, job, pool, &extra, now, self.started);
                    if extra != Extra::default() {
                        self.extras.insert(new, extra);
                    }
                    state
                }
            };
            self.jobs.push(state);
        }
        let moved = difference.moved.iter().zip(old);
        difference.removed = moved.filter(|(slot, job)| slot.is_none() && !job.gone).count();
        difference
    }

    /// Tells the runs where their jobs are now, and returns those whose job is gone.
    fn move_runs(&mut self, moved: &[Option<u32>]) -> Vec<u32> {
        let slots = &mut self.scratch.slots;
        slots.clear();
        slots.extend(self.runs.iter().map(|(slot, _)| slot));
        let mut orphans = Vec::new();
        for &slot in &*slots {
            let run = &mut self.runs[slot];
            if let Some(old) = run.job_slot {
                run.job_slot = moved[old as usize];
                if run.job_slot.is_none() {
                    orphans.push(slot);
                }
            }
        }
        orphans
    }

    /// Has those forgotten that are in no file any more.
    fn forget_the_gone(&self, old: &[JobState], moved: &[Option<u32>], step: &mut Step<'_>) {
        // In a fleet other hosts may go on with it.
        if self.remembers && self.fleet.is_none() {
            let gone = old.iter().zip(moved).filter(|(job, slot)| slot.is_none() && !job.gone);
            let gone = gone.map(|(state, _)| Remember::Gone(state.job.id.clone()));
            step.out.extend(gone.map(Action::Remember));
        }
    }

    /// Moves the due times that wait for their jitter, and records those that nobody waits for.
    fn move_delayed(&mut self, old: &[JobState], moved: &[Option<u32>], step: &mut Step<'_>) {
        let mut delayed: Vec<(u32, Delayed)> = self.delayed.drain().collect();
        sort::by_key(&mut delayed, |delayed| delayed.0);
        for (slot, waiting) in delayed {
            let reason = match moved[slot as usize] {
                None => SkipReason::Removed,
                Some(new) if self.jobs[new as usize].paused => SkipReason::Paused,
                Some(new) => {
                    self.delayed.insert(new, waiting);
                    continue;
                }
            };
            let mut tally = Tally::default();
            waiting.0.iter().for_each(|waiting| tally.add(waiting.0.due));
            let state = &old[slot as usize];
            self.record_tally(
                &state.job,
                state.anchor,
                tally,
                |_| Outcome::Skipped(reason.clone()),
                step,
            );
        }
    }
}

/// What is known of a job, with its new definition.
pub(super) fn changed(
    before: &JobState,
    job: Arc<Job>,
    pool: u16,
    extra: &Extra,
    now: Instant,
    start: Instant,
) -> JobState {
    let same_trigger = before.job.trigger == job.trigger;
    let was_paused = before.paused;
    let paused = extra.pauses(&job);
    let mut state = JobState { job, pool, paused, ..before.clone() };
    if !same_trigger {
        state.anchor = anchor(&state.job.trigger, now, start);
        state.decided = match state.job.trigger {
            // Another date is another due time, wherever the clock has been.
            Trigger::Date(_) => now.minus(TICK),
            _ => state.decided.max(now.minus(TICK)),
        };
        state.seek();
    } else if was_paused != paused {
        // What was due while it was paused stays so.
        state.decided = state.decided.max(now.minus(TICK));
        state.seek();
    }
    state
}

/// Whether two definitions of a job say the same. Which number its executor has is of no matter.
fn is_same(before: &Arc<Job>, job: &Arc<Job>) -> bool {
    Arc::ptr_eq(before, job)
        || (before.command == job.command
            && before.trigger == job.trigger
            && before.zone == job.zone
            && before.options == job.options)
}

/// Finds old jobs by id. Most files are read again in the order they had, so the next one is
/// tried first and an index of all is made only when that fails.
struct Finder<'a> {
    old: &'a [JobState],
    expected: usize,
    by_id: Option<HashMap<&'a str, u32>>,
}

impl<'a> Finder<'a> {
    fn find(&mut self, id: &str) -> Option<u32> {
        let old: &'a [JobState] = self.old;
        if old.get(self.expected).is_some_and(|state| *state.job.id == *id) {
            self.expected += 1;
            return Some(self.expected as u32 - 1);
        }
        let by_id = self.by_id.get_or_insert_with(|| {
            let ids = old.iter().enumerate();
            ids.map(|(slot, state)| (&*state.job.id, slot as u32)).collect()
        });
        let slot = by_id.get(id).copied()?;
        self.expected = slot as usize + 1;
        Some(slot)
    }
}
