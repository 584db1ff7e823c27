//! Whether a due time becomes a run within the limits of its job (`max_instances`, `overlap`), and
//! how long that waits in the queue for a slot: doc/runs.md, "Room for the job" and "Slots".

use std::sync::Arc;
use std::time::Duration;

use crate::core::event::{Action, Admitted, Notice, Record, Remember, RunId, Start};
use crate::core::instant::Instant;
use crate::core::job::{Job, Overlap};
use crate::core::outcome::{Outcome, SkipReason};
use crate::core::trigger::Trigger;

use super::run::{Input, NO_DEADLINE, OnceStarted, Phase, Run};
use super::{Scheduler, Step};

impl Scheduler {
    /// Admits a due time: a run of it starts or waits. `false` if `max_instances` runs are active
    /// and `overlap` says to skip it.
    pub(super) fn admit(&mut self, slot: u32, due: Instant, step: &mut Step<'_>) -> bool {
        if self.jobs[slot as usize].retrying > 0 {
            self.supersede_retries(slot, step);
        }
        let state = &self.jobs[slot as usize];
        let options = &state.job.options;
        if state.active() < self.room(slot) {
            self.open_and_enqueue(slot, due, None, step);
            return true;
        }
        match (options.overlap, state.pending) {
            (Overlap::Skip, _) => false,
            (Overlap::Queue, None) => {
                self.wait_for_instance(slot, due, step);
                true
            }
            // One is enough: it will run soon, and the first to wait is the first to run.
            (Overlap::Queue, Some(_)) => false,
            (Overlap::Replace, None) => {
                self.replace(slot, due, step);
                true
            }
            // The newest is the one that is wanted.
            (Overlap::Replace, Some(pending)) => {
                self.displace(slot, pending, due, step);
                true
            }
        }
    }

    /// A run that has room: it starts as soon as there is a slot.
    pub(super) fn open_and_enqueue(
        &mut self,
        slot: u32,
        due: Instant,
        by: Option<&str>,
        step: &mut Step<'_>,
    ) -> u32 {
        let run = self.open(slot, due, Phase::Queued, by, step);
        self.link(slot, run);
        match self.runs[run].is_unchecked() {
            true => self.look_first(run, step),
            false => self.enqueue(run, step),
        }
        run
    }

    /// Ends the waiting of each run of a job for its next attempt: a newer due time is there.
    pub(super) fn supersede_retries(&mut self, slot: u32, step: &mut Step<'_>) {
        let instances = self.jobs[slot as usize].instances.iter().copied();
        let retrying: Vec<u32> = instances.filter(|&run| self.runs[run].waits_to_retry()).collect();
        for run in retrying {
            self.react(run, Input::Displace, step);
        }
    }

    /// Makes room for a due time by ending the oldest run of its job.
    fn replace(&mut self, slot: u32, due: Instant, step: &mut Step<'_>) {
        let instances = &self.jobs[slot as usize].instances;
        let is_looked_at = |run: &u32| self.runs[*run].phase == Phase::Checking;
        if self.jobs[slot as usize].job.options.only_if.is_some()
            && !instances.first().is_some_and(is_looked_at)
        {
            // None is ended for one that may be skipped.
            self.wait_for_instance(slot, due, step);
            if let Some(run) = self.jobs[slot as usize].pending {
                self.look_first(run, step);
            }
            return;
        }
        let Some(&oldest) = self.jobs[slot as usize].instances.first() else {
            // All that run are on other hosts.
            self.wait_for_instance(slot, due, step);
            self.end_elsewhere(slot, step);
            return;
        };
        match self.runs[oldest].phase {
            // It has no process: nothing has to end first.
            Phase::Queued | Phase::Checking => self.displace(slot, oldest, due, step),
            Phase::Postponed => {
                self.react(oldest, Input::Displace, step);
                self.admit(slot, due, step);
            }
            Phase::Starting
            | Phase::GivenUp
            | Phase::Running
            | Phase::Terminating
            | Phase::Killing => {
                self.wait_for_instance(slot, due, step);
                self.end_oldest(slot, step);
            }
            // Pending runs are no instances, and retries have just been superseded.
            Phase::Pending | Phase::Resting => {}
        }
    }

    /// Ends the oldest run of a job, unless one is ending already.
    fn end_oldest(&mut self, slot: u32, step: &mut Step<'_>) {
        let instances = &self.jobs[slot as usize].instances;
        let is_ending = |&run: &u32| {
            let run = &self.runs[run];
            matches!(run.phase, Phase::GivenUp | Phase::Terminating | Phase::Killing)
                || run.once_started != OnceStarted::Run
        };
        if let Some(&oldest) = instances.first()
            && !instances.iter().any(is_ending)
        {
            self.react(oldest, Input::Displace, step);
        }
    }

    /// A run without a process that now stands for a newer due time, in the place it has.
    fn displace(&mut self, job_slot: u32, slot: u32, due: Instant, step: &mut Step<'_>) {
        let run = &self.runs[slot];
        let state = &self.jobs[job_slot as usize];
        if state.pool != run.pool {
            // A reload has moved the job to another executor, where it has no place yet.
            self.react(slot, Input::Displace, step);
            self.admit(job_slot, due, step);
            return;
        }
        let id = self.next_id();
        let job = Arc::clone(&self.jobs[job_slot as usize].job);
        let run = &mut self.runs[slot];
        let record = Record {
            job: std::mem::replace(&mut run.job, job),
            due: run.due,
            last_due: run.due,
            count: 1,
            run: Some(run.id),
            outcome: Outcome::Skipped(SkipReason::Overlap),
            started: None,
            duration: run.duration(),
            attempts: 0,
            usage: None,
        };
        let old = run.id;
        self.forget_awaits(slot, step);
        self.over(old, record, step);
        let place = self.runs[slot].place;
        self.admitted(id, job_slot, due, None, place, step);
        let run = &mut self.runs[slot];
        run.due = due;
        run.admitted = step.now.mono;
        run.asked = step.now.mono;
        run.held = held(&run.job, due, step.now.wall);
        self.runs.rename(slot, id);
        if self.jobs[job_slot as usize].pending != Some(slot) {
            // It is the newest of its job now.
            self.unlink(job_slot, slot);
            self.link(job_slot, slot);
        }
        self.look_anew(slot, step);
    }

    /// A run that waits for another of its job to end.
    fn wait_for_instance(&mut self, slot: u32, due: Instant, step: &mut Step<'_>) {
        let run = self.open(slot, due, Phase::Pending, None, step);
        self.jobs[slot as usize].pending = Some(run);
        self.arm_max_wait(run);
    }

    /// If a run waits for another of its job to end and there is room now, it takes it.
    pub(super) fn promote(&mut self, slot: u32, step: &mut Step<'_>) {
        let Some(run) = self.jobs[slot as usize].pending else { return };
        if !self.life.is_accepting() {
            return;
        }
        let room = self.room_for(slot, run);
        let state = &mut self.jobs[slot as usize];
        let options = &state.job.options;
        if state.active() < room {
            state.pending = None;
            self.link(slot, run);
            match self.runs[run].phase {
                // Its turn comes when its conditions hold.
                Phase::Checking => {}
                _ if self.runs[run].is_unchecked() => self.look_first(run, step),
                _ => self.enqueue(run, step),
            }
        } else if options.overlap == Overlap::Replace && self.runs[run].phase != Phase::Checking {
            // A reload has made `max_instances` smaller: more than one has to go.
            self.end_oldest(slot, step);
        }
    }

    /// A new run.
    fn open(
        &mut self,
        slot: u32,
        due: Instant,
        phase: Phase,
        by: Option<&str>,
        step: &mut Step<'_>,
    ) -> u32 {
        let id = self.next_id();
        // A run by hand, and one that waits for another, is no instance that has to have room.
        let has_place = phase == Phase::Queued && by.is_none();
        let place = if has_place { self.free_place(slot) } else { None };
        self.admitted(id, slot, due, by, place, step);
        let state = &self.jobs[slot as usize];
        self.runs.insert(Run {
            id,
            entered: id,
            job: Arc::clone(&state.job),
            due,
            admitted: step.now.mono,
            asked: step.now.mono,
            held: held(&state.job, due, step.now.wall),
            started: None,
            ended: step.now.mono,
            deadline: NO_DEADLINE,
            last: None,
            attempt: 0,
            shortages: 0,
            job_slot: Some(slot),
            pool: state.pool,
            place,
            phase,
            once_started: OnceStarted::Run,
            hangs: false,
            timed_out: false,
            out_of_touch: None,
            is_last: false,
            usage: None,
            is_checked: by.is_some(),
            looking: None,
        })
    }

    /// Has it remembered that a due time has become a run.
    fn admitted(
        &self,
        run: RunId,
        slot: u32,
        due: Instant,
        by: Option<&str>,
        place: Option<u16>,
        step: &mut Step<'_>,
    ) {
        if self.remembers {
            let job = Arc::clone(&self.jobs[slot as usize].job);
            let by = by.map(Into::into);
            let admitted = Admitted { run, job, due, at: step.now.wall, by, place };
            step.out.push(Action::Remember(Remember::Admitted(admitted)));
        }
    }

    fn next_id(&mut self) -> RunId {
        if let Some(fleet) = &mut self.fleet {
            return fleet.next_id();
        }
        let id = RunId(self.next_run);
        self.next_run += 1;
        id
    }

    /// Makes a run the newest of its job's.
    pub(super) fn link(&mut self, job_slot: u32, run: u32) {
        self.jobs[job_slot as usize].instances.push(run);
        self.hold(job_slot);
    }

    /// Takes a run out of its job's.
    pub(super) fn unlink(&mut self, job_slot: u32, run: u32) {
        let instances = &mut self.jobs[job_slot as usize].instances;
        // The oldest ends first, mostly.
        if let Some(index) = instances.iter().position(|&other| other == run) {
            instances.remove(index);
        }
    }

    /// A run wants a slot: at once, or in the order of arrival.
    pub(super) fn enqueue(&mut self, slot: u32, step: &mut Step<'_>) {
        let pool = self.runs[slot].pool;
        let now = step.now.mono;
        if self.pools.get(pool).is_open(now) && self.life.is_accepting() {
            self.pools.get(pool).begin(now);
            self.start(slot, step);
            return;
        }
        let run = &mut self.runs[slot];
        let first = run.attempt == 0;
        run.phase = Phase::Queued;
        let handle = self.runs.handle(slot);
        self.pools.get(pool).push(handle, step.now.mono, &self.runs);
        if first {
            self.arm_max_wait(slot);
        }
    }

    /// `max_wait` is for the first attempt: a retry waits as long as it must.
    pub(super) fn arm_max_wait(&mut self, slot: u32) {
        let run = &self.runs[slot];
        match run.job.options.max_wait {
            Some(most) => self.arm(slot, run.admitted.plus(most)),
            None => self.runs[slot].deadline = NO_DEADLINE,
        }
    }

    /// Gives free slots of a pool to those who wait, first come, first served.
    pub(super) fn dispatch(&mut self, pool: u16, step: &mut Step<'_>) {
        let now = step.now.mono;
        while self.life.is_accepting() && self.pools.get(pool).may_start(now) {
            let Some(slot) = self.pools.get(pool).pop(&self.runs) else { return };
            let run = &self.runs[slot];
            if run.deadline <= now {
                // The slot came free in the very step in which its patience ran out.
                self.react(slot, Input::Deadline, step);
                continue;
            }
            let pool = self.pools.get(pool);
            pool.forget();
            pool.begin(now);
            self.start(slot, step);
        }
    }

    /// Starts those whose executor had started others a moment ago (`max_starts_per_second`).
    pub(super) fn start_spaced(&mut self, step: &mut Step<'_>) {
        if self.pools.next_start().is_none_or(|at| at > step.now.mono) {
            return;
        }
        for pool in 0..self.pools.len() {
            if self.pools.get(pool).next_start().is_some_and(|at| at <= step.now.mono) {
                self.dispatch(pool, step);
            }
        }
    }

    /// Has the effects start the next attempt of a run that has a slot.
    fn start(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        if let Some(job) = run.job_slot.filter(|_| run.attempt > 0) {
            self.jobs[job as usize].retrying -= 1;
        }
        run.attempt = run.attempt.saturating_add(1);
        run.shortages = 0;
        run.timed_out = false;
        run.last = None;
        self.tell_to_start(slot, step);
    }

    /// Has the effects start the current attempt of a run.
    pub(super) fn tell_to_start(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        run.phase = Phase::Starting;
        run.asked = step.now.mono;
        run.hangs = false;
        run.deadline = NO_DEADLINE;
        step.out.push(Action::Start(Start {
            run: run.id,
            attempt: run.attempt,
            due: run.due,
            waited: step.now.mono.since(run.admitted),
            job: Arc::clone(&run.job),
        }));
    }

    /// Says that it was told something of a run that cannot be.
    pub(super) fn ignore(run: RunId, event: &'static str, step: &mut Step<'_>) {
        step.out.push(Action::Notice(Notice::Ignored { run, event }));
    }
}

/// How long after its due time a run could not have been admitted: that of a job that is due after others is
/// that of these, however long they take.
fn held(job: &Job, due: Instant, now: Instant) -> Duration {
    match job.trigger {
        Trigger::After(_) => now.since(due),
        _ => Duration::ZERO,
    }
}
