//! What outlives a scheduler: taken over from an earlier one at the start, and given away whenever
//! it changes.
//!
//! Jobs are matched by id, as in `reload`: one that says the same as before keeps its grid and goes
//! on where the earlier scheduler had got to, so that due times nobody has decided are found by
//! `due` like any others that are late. Everything here that speaks of a store means whoever acts
//! on [`Action::Remember`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use thin_vec::ThinVec;

use crate::core::event::{Action, JobRecord, Pause, Remember, RunId};
use crate::core::fleet::RunOn;
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{Command, Job, JobSet, Options};
use crate::core::sort;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::zone::Zone;

use super::after::{SavedChains, fires_again};
use super::jobs::{Away, Extra, JobState, NEVER, TICK, Wait};
use super::run::{Input, NO_DEADLINE, OnceStarted, Phase, Run};
use super::timetable::fire_time;
use super::{Scheduler, Step};

/// What an earlier scheduler has left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedState {
    /// What it knew of its jobs.
    pub jobs: Vec<JobRecord>,
    /// All jobs were paused.
    pub all_paused: Option<Pause>,
    /// Runs whose processes are alive.
    pub survivors: Vec<Survivor>,
    /// Due times that were reached and of which nothing has begun: they waited for a slot, or for
    /// their jitter to pass.
    pub undecided: Vec<(Box<str>, Instant)>,
    /// What follows from runs of other jobs, and was not decided.
    pub chains: SavedChains,
    /// The first number that no run has had; 0 counts as 1.
    pub next_run: u64,
}

/// A run whose process has outlived the scheduler that started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    pub run: RunId,
    pub job: Box<str>,
    /// The due time it is for.
    pub due: Instant,
    /// The number of its attempt.
    pub attempt: u32,
    /// When its first attempt was started.
    pub started: Instant,
}

impl Scheduler {
    /// A scheduler that starts now and goes on where an earlier one has ended, or that at least
    /// tells, by [`Action::Remember`], what the next one has to know.
    ///
    /// Due times that the earlier one has not decided are late, and `misfire_grace_time` and
    /// `coalesce` say what becomes of them. `date = "now"`, `@reboot` and `run_on_start` are about
    /// this start. A job that is new, or has another trigger than it had, begins with this start.
    pub fn restored(now: Now, set: JobSet, saved: SavedState) -> Scheduler {
        let mut scheduler = Scheduler::new(now, set);
        scheduler.remembers = true;
        scheduler.next_run = saved.next_run.max(1);
        scheduler.all_paused = saved.all_paused;
        let mut known: HashMap<Box<str>, JobRecord> =
            saved.jobs.into_iter().map(|record| (record.id.clone(), record)).collect();
        for slot in 0..scheduler.jobs.len() as u32 {
            let id = &scheduler.jobs[slot as usize].job.id;
            match known.remove(id) {
                Some(record) => scheduler.take_up(slot, record, now.wall),
                None => scheduler.unremembered.0.push(slot),
            }
        }
        // A job that was added and cannot be made sense of just now is not forgotten.
        let gone = known.into_values().filter(|record| record.added.is_none());
        scheduler.unremembered.1 = gone.map(|record| record.id).collect();
        sort::all(&mut scheduler.unremembered.1);

        if !saved.undecided.is_empty() || !saved.survivors.is_empty() {
            for (id, due) in saved.undecided {
                if let Some(slot) = scheduler.find_job(&id) {
                    let fire = fires_again(&scheduler.jobs[slot as usize].job, due, now.wall);
                    scheduler.delayed.entry(slot).or_default().push(Wait { fire, due });
                }
            }
            for survivor in saved.survivors {
                let slot = scheduler.find_job(&survivor.job);
                scheduler.adopt(survivor, slot, now);
            }
        }
        scheduler.take_over_chains(saved.chains);
        for slot in 0..scheduler.jobs.len() as u32 {
            if scheduler.count_if_idle_at_start(slot, now.wall) {
                scheduler.unremembered.0.push(slot);
            }
        }
        scheduler.fill_calendar();
        scheduler
    }

    /// Takes over what is known of a job at the start.
    fn take_up(&mut self, slot: u32, record: JobRecord, now: Instant) {
        let changed = self.recall(slot, record, now);
        self.run_on_start(slot);
        if changed {
            self.unremembered.0.push(slot);
        }
        if self.jobs[slot as usize].added {
            self.retire(slot);
        }
    }

    /// Takes over what is known of a job, and answers whether something of it does not hold any
    /// more.
    pub(super) fn recall(&mut self, slot: u32, record: JobRecord, now: Instant) -> bool {
        let state = &mut self.jobs[slot as usize];
        let same_trigger = *state.job.trigger.fingerprint() == *record.trigger;
        let begins_anew =
            matches!(state.job.trigger, Trigger::Date(DateTrigger::Now | DateTrigger::Reboot));
        let mut changed = !same_trigger;
        if same_trigger && !begins_anew {
            // Where a run has ended by a clock that was ahead, that is now.
            let is_past = !state.counts_from_end() || record.anchor <= now;
            state.anchor = if is_past { record.anchor } else { now };
            // A clock that was far ahead and has been set right must not keep a job silent. Due
            // times that have a fate already keep it: their claim is lost.
            state.decided = record.decided.min(now.minus(TICK));
            changed |= state.decided != record.decided;
        }
        let extra = Extra {
            pause: record.pause,
            resumed: record.resumed,
            since: (same_trigger && record.since != record.anchor).then_some(record.since),
            text: record.added,
            overrides: record.overrides,
        };
        state.added = extra.text.is_some();
        state.paused = extra.pauses(&state.job);
        if let (false, Some(pause)) = (state.paused, &self.all_paused) {
            // All that was due before they were paused has been decided.
            state.decided = state.decided.max(pause.at.min(now.minus(TICK)));
        }
        state.seek();
        if extra == Extra::default() {
            self.extras.remove(&slot);
        } else {
            self.extras.insert(slot, extra);
        }
        changed
    }

    /// The one extra run at the start, if the job has it.
    pub(super) fn run_on_start(&mut self, slot: u32) {
        let state = &mut self.jobs[slot as usize];
        if !state.job.options.run_on_start || state.paused || self.all_paused.is_some() {
            return;
        }
        let start = self.started;
        if state.next < start {
            // What was missed comes first, and this one is decided beside it.
            let fire = fire_time(&state.job, start);
            self.delayed.entry(slot).or_default().push(Wait { fire, due: start });
        } else {
            state.next = start;
        }
    }

    /// A run that goes on from before.
    pub(super) fn adopt(&mut self, survivor: Survivor, job_slot: Option<u32>, now: Now) {
        let started = survivor.started;
        let slot = self.take_over(survivor, job_slot, Phase::Running, now);
        let run = &mut self.runs[slot];
        // How it ends will not be known, so nobody can tell whether to retry.
        run.is_last = true;
        let (pool, timeout) = (run.pool, run.job.options.timeout);
        self.pools.get(pool).busy += 1;
        if let Some(timeout) = timeout {
            // Against the span that has passed, and not its beginning, which may have been before
            // the machine's clock began to count.
            let ago = now.wall.since(started);
            self.arm(slot, now.mono.plus(timeout.saturating_sub(ago)));
        }
    }

    /// A run that another scheduler has begun.
    pub(super) fn take_over(
        &mut self,
        survivor: Survivor,
        job_slot: Option<u32>,
        phase: Phase,
        now: Now,
    ) -> u32 {
        let (job, pool) = match job_slot {
            Some(slot) => {
                let state = &self.jobs[slot as usize];
                (Arc::clone(&state.job), state.pool)
            }
            None => (Arc::new(stranger(survivor.job)), 0),
        };
        let ago = now.wall.since(survivor.started);
        let began = Mono::from_micros(
            now.mono.micros().saturating_sub(u64::try_from(ago.as_micros()).unwrap_or(u64::MAX)),
        );
        let slot = self.runs.insert(Run {
            id: survivor.run,
            entered: survivor.run,
            job,
            due: survivor.due,
            admitted: now.mono,
            asked: now.mono,
            held: Duration::ZERO,
            started: Some((survivor.started, began)),
            ended: now.mono,
            deadline: NO_DEADLINE,
            last: None,
            attempt: survivor.attempt.max(1),
            shortages: 0,
            job_slot,
            pool,
            place: None,
            phase,
            once_started: OnceStarted::Run,
            hangs: false,
            timed_out: false,
            out_of_touch: None,
            is_last: false,
            usage: None,
            is_checked: true,
            looking: None,
        });
        if let Some(job) = job_slot {
            self.link(job, slot);
        }
        slot
    }

    /// At the end of a step: what has changed in it without being remembered yet, and with the first what
    /// has changed by the start itself.
    pub(super) fn remember_the_new(&mut self, step: &mut Step<'_>) {
        if self.unremembered.0.is_empty() && self.unremembered.1.is_empty() {
            return;
        }
        let (slots, gone) = std::mem::take(&mut self.unremembered);
        for slot in slots {
            self.remember(slot, step);
        }
        step.out.extend(gone.into_iter().map(|id| Action::Remember(Remember::Gone(id))));
    }

    /// Has everything remembered once more, by somebody who knows nothing: a store that was lost
    /// and begun anew.
    pub fn remember_all(&self, now: Now, actions: &mut Vec<Action>) {
        let step = &mut Step { now, out: actions };
        for slot in 0..self.jobs.len() as u32 {
            if !self.jobs[slot as usize].gone {
                self.remember(slot, step);
            }
        }
        step.out.push(Action::Remember(Remember::AllPaused(self.all_paused.clone())));
    }

    /// Has what is known of a job remembered.
    pub(super) fn remember(&self, slot: u32, step: &mut Step<'_>) {
        let state = &self.jobs[slot as usize];
        // What is at home elsewhere is remembered by others.
        if !self.remembers || state.away != Away::No {
            return;
        }
        let extra = self.extras.get(&slot).cloned().unwrap_or_default();
        let record = Box::new(JobRecord {
            id: state.job.id.clone(),
            anchor: state.anchor,
            decided: state.decided,
            trigger: state.job.trigger.fingerprint().into(),
            since: extra.since.unwrap_or(state.anchor),
            pause: extra.pause,
            resumed: extra.resumed,
            added: extra.text,
            overrides: extra.overrides,
        });
        let is_learned = self.learns && state.job.options.run_on == RunOn::All;
        step.out.push(Action::Remember(match is_learned {
            true => Remember::Learned(record),
            false => Remember::Job(record),
        }));
    }

    /// Notes that nothing may be left to be done of a job; an added one is then removed at the end
    /// of the step. (Not at once: somebody may be about to do something with it.)
    pub(super) fn retire(&mut self, slot: u32) {
        if self.jobs[slot as usize].added {
            self.done.push(slot);
        }
    }

    /// Removes the added jobs of which nothing is left to be done: as in APScheduler, a job whose
    /// trigger names no more due times is gone.
    pub(super) fn remove_done(&mut self, step: &mut Step<'_>) {
        while let Some(slot) = self.done.pop() {
            let state = &self.jobs[slot as usize];
            let is_done = state.added
                && !state.gone
                && !state.paused
                && state.away == Away::No
                && state.next == NEVER
                && !state.busy_elsewhere
                && !matches!(state.job.trigger, Trigger::After(_))
                && state.instances.is_empty()
                && state.pending.is_none()
                && !self.delayed.contains_key(&slot);
            if is_done {
                self.vacate(slot, step);
            }
        }
    }

    /// Takes a job out of its slot. Runs of it that have begun go on without it.
    pub(super) fn vacate(&mut self, slot: u32, step: &mut Step<'_>) {
        let id = self.clear_out(slot, step);
        if self.remembers {
            step.out.push(Action::Remember(Remember::Gone(id)));
        }
    }

    /// The same, where others know. Answers its id.
    pub(super) fn clear_out(&mut self, slot: u32, step: &mut Step<'_>) -> Box<str> {
        let orphans: Vec<u32> = self
            .runs
            .iter()
            .filter(|(_, run)| run.job_slot == Some(slot))
            .map(|(run_slot, _)| run_slot)
            .collect();
        for &run in &orphans {
            self.runs[run].job_slot = None;
        }
        for run in orphans {
            self.react(run, Input::Remove, step);
        }
        self.chains.stale = true;
        self.calendar.retain(|wake| wake.slot != slot);
        self.delayed.remove(&slot);
        self.extras.remove(&slot);
        self.is_decided(slot);
        let state = &mut self.jobs[slot as usize];
        let job = std::mem::replace(&mut state.job, self.runs.nobody());
        *state = JobState {
            next: NEVER,
            instances: ThinVec::new(),
            retrying: 0,
            pending: None,
            paused: false,
            added: false,
            gone: true,
            busy_elsewhere: false,
            ..state.clone()
        };
        self.vacant.push(slot);
        if let Some(ids) = self.ids.get_mut() {
            ids.remove(&job.id);
        }
        job.id.clone()
    }

    /// The slot of a job, by its id.
    pub(super) fn find_job(&self, id: &str) -> Option<u32> {
        let ids = self.ids.get_or_init(|| {
            let live = self.jobs.iter().enumerate().filter(|(_, state)| !state.gone);
            live.map(|(slot, state)| (state.job.id.clone(), slot as u32)).collect()
        });
        ids.get(id).copied()
    }
}

/// Stands for a job that is no longer in the jobfile while a run of it goes on.
fn stranger(id: Box<str>) -> Job {
    Job {
        id,
        name: None,
        command: Command::Argv(Box::new([])),
        trigger: Trigger::Date(DateTrigger::At(Instant::MIN)),
        zone: Zone::utc(),
        executor: 0,
        options: Arc::new(Options { timeout: None::<Duration>, ..Options::default() }),
    }
}
