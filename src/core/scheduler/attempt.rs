//! Attempts: starting, timeout, failure, retry; what the table of `run` says is done here. The
//! rules: doc/runs.md, "Attempts".

use std::sync::Arc;
use std::time::Duration;

use crate::core::event::{Action, Code, Fault, Notice, Record, Response, RunId};
use crate::core::instant::{Mono, Now};
use crate::core::outcome::{MissReason, Outcome, SkipReason};

use super::run::{Input, NO_DEADLINE, OnceStarted, Phase, Reaction, Timer, reaction};
use super::{Scheduler, Step};

/// The first pause after the machine was too short of something to start an attempt; each further
/// one is twice as long.
const SHORTAGE_FIRST: Duration = Duration::from_millis(100);
/// The longest of these pauses.
const SHORTAGE_MAX: Duration = Duration::from_secs(10);
/// How many there are before the attempt counts as failed: 53 seconds in all.
const SHORTAGES: u32 = 11;

/// How long a run that is ended because the scheduler stops has between TERM and KILL, whatever
/// its `kill_after`.
pub(super) const STOP_KILL_AFTER: Duration = Duration::from_secs(10);

impl Scheduler {
    /// Something is told of a run.
    pub(super) fn heard(&mut self, run: RunId, input: Input, step: &mut Step<'_>) {
        match self.runs.find(run) {
            Some(slot) => {
                if matches!(input, Input::Ended(..) | Input::Abandoned(_)) {
                    self.try_postponed(step);
                }
                self.react(slot, input, step);
            }
            None => Scheduler::ignore(run, word(&input), step),
        }
    }

    /// Something happens to a run.
    pub(super) fn react(&mut self, slot: u32, input: Input, step: &mut Step<'_>) {
        match reaction(self.runs[slot].phase, &input) {
            Reaction::Ignore => Scheduler::ignore(self.runs[slot].id, word(&input), step),
            Reaction::GiveUp => {
                let waited = step.now.mono.since(self.runs[slot].admitted);
                self.finish(slot, Outcome::Missed(MissReason::Waited(waited)), step);
            }
            Reaction::Drop | Reaction::Conclude => {
                // A run that waits for a slot may have had attempts already.
                let never_tried = || Outcome::Skipped(skip_reason(&input));
                let outcome = self.runs[slot].last.take().unwrap_or_else(never_tried);
                self.finish(slot, outcome, step);
            }
            Reaction::Enqueue => self.enqueue(slot, step),
            Reaction::StartAgain => self.tell_to_start(slot, step),
            Reaction::Look => self.look_again(slot, step),
            Reaction::Run => self.has_started(slot, &input, step),
            Reaction::Postpone => self.postpone(slot, input, step),
            Reaction::AttemptOver => {
                let run = &mut self.runs[slot];
                run.add_usage(&input);
                let ended = input.ended(step.now.mono);
                let outcome = run.outcome_of(input);
                self.attempt_over(slot, outcome, ended, step);
            }
            Reaction::Abandon => self.abandon(slot, input, step),
            Reaction::TimeOut => {
                self.times_out(slot, step);
                self.terminate(slot, step);
            }
            Reaction::GiveUpStart => {
                self.times_out(slot, step);
                self.give_up_start(slot, step);
            }
            Reaction::Hang => self.hangs(slot, &input, step),
            Reaction::Last => self.runs[slot].is_last = true,
            Reaction::Terminate => {
                self.ends(slot, &input, step);
                self.terminate(slot, step);
            }
            Reaction::TerminateLater | Reaction::KillLater => {
                let once_started = match input {
                    Input::Kill | Input::OutOfTouch { kill: true } => OnceStarted::Kill,
                    _ => OnceStarted::Terminate,
                };
                self.ends(slot, &input, step);
                let run = &mut self.runs[slot];
                run.once_started = run.once_started.max(once_started);
                if run.hangs {
                    self.give_up_start(slot, step);
                }
            }
            Reaction::Kill => {
                if input != Input::Deadline {
                    self.ends(slot, &input, step);
                }
                self.kill(slot, step);
            }
        }
    }

    /// The attempt is to end: no other follows, unless it is only that others could begin it.
    fn ends(&mut self, slot: u32, input: &Input, step: &Step<'_>) {
        let run = &mut self.runs[slot];
        match input {
            Input::OutOfTouch { .. } => {
                run.out_of_touch.get_or_insert(step.now.mono);
            }
            _ => run.is_last = true,
        }
    }

    /// It is given up, whatever its process does.
    fn abandon(&mut self, slot: u32, input: Input, step: &mut Step<'_>) {
        let Input::Abandoned(reason) = input else { return };
        let run = &mut self.runs[slot];
        // Its process may still be at work: it is not begun a second time.
        run.is_last = true;
        run.ended = step.now.mono;
        self.finish(slot, Outcome::Lost(format!("abandoned: {reason}")), step);
    }

    /// Its `timeout` is over.
    fn times_out(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        run.timed_out = true;
        let (run, job) = (run.id, Arc::clone(&run.job));
        step.out.push(Action::Notice(Notice::TimingOut { run, job }));
    }

    /// Its start hangs. Its `timeout` counts all the same, and if it is to end it need not wait for
    /// a process.
    fn hangs(&mut self, slot: u32, input: &Input, step: &mut Step<'_>) {
        let Input::Hangs(taken) = *input else { return };
        let run = &mut self.runs[slot];
        run.hangs = true;
        match (run.once_started, run.job.options.timeout) {
            (OnceStarted::Terminate | OnceStarted::Kill, _) => self.give_up_start(slot, step),
            (OnceStarted::Run, Some(timeout)) => self.arm(slot, taken.plus(timeout)),
            (OnceStarted::Run, None) => {}
        }
    }

    /// Its start hangs and is not waited for any more. There is nobody who could be asked to end.
    fn give_up_start(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        run.phase = Phase::GivenUp;
        run.deadline = NO_DEADLINE;
        step.out.push(Action::Kill(run.id));
    }

    /// Its process exists.
    fn has_started(&mut self, slot: u32, input: &Input, step: &mut Step<'_>) {
        let Input::Started(process, at, taken) = *input else { return };
        // Nothing begins later than it is heard of.
        let now = Now { wall: at.wall, mono: at.mono.min(step.now.mono) };
        let run = &mut self.runs[slot];
        run.phase = Phase::Running;
        run.deadline = NO_DEADLINE;
        run.started.get_or_insert((now.wall, now.mono));
        if run.out_of_touch.is_some_and(|since| taken > since) && !run.is_last {
            // Its claim was acknowledged later.
            (run.out_of_touch, run.once_started) = (None, OnceStarted::Run);
        }
        step.out.push(Action::Notice(Notice::Started {
            run: run.id,
            attempt: run.attempt,
            process,
            job: Arc::clone(&run.job),
            due: run.due,
            lag: now.wall.since(run.due),
            held: run.held,
        }));
        let timeout = run.job.options.timeout;
        match run.once_started {
            OnceStarted::Run => {
                if let Some(timeout) = timeout {
                    self.arm(slot, taken.min(now.mono).plus(timeout));
                }
            }
            OnceStarted::Terminate => self.terminate(slot, step),
            OnceStarted::Kill => self.kill(slot, step),
        }
    }

    /// The machine was too short of something to start it. The slot is kept: others would fare no
    /// better, and the order stays what it was.
    fn postpone(&mut self, slot: u32, input: Input, step: &mut Step<'_>) {
        let reason = match input {
            Input::Short(reason) | Input::NotStarted(reason) => reason,
            _ => String::new(),
        };
        let run = &mut self.runs[slot];
        if run.is_last || run.shortages >= SHORTAGES {
            self.attempt_over(slot, Outcome::NotStarted(reason), step.now.mono, step);
            return;
        }
        let delay = SHORTAGE_FIRST.saturating_mul(1 << run.shortages.min(16)).min(SHORTAGE_MAX);
        run.shortages += 1;
        run.phase = Phase::Postponed;
        run.last = Some(Outcome::NotStarted(reason.clone()));
        let (id, attempt, job) = (run.id, run.attempt, Arc::clone(&run.job));
        if !self.postponed.contains(&id) {
            self.postponed.push_back(id);
        }
        step.out.push(Action::Notice(Notice::Postponed { run: id, attempt, job, reason, delay }));
        self.arm(slot, step.now.mono.plus(delay));
    }

    /// A process has ended. What it gives back may be what the run that has waited longest was
    /// short of: it is retried without its pause. That counts as no further try, as the pauses
    /// are for a machine on which nothing moves.
    fn try_postponed(&mut self, step: &mut Step<'_>) {
        while let Some(id) = self.postponed.pop_front() {
            let Some(slot) = self.runs.find(id) else { continue };
            let run = &mut self.runs[slot];
            if run.phase == Phase::Postponed {
                run.shortages = run.shortages.saturating_sub(1);
                run.deadline = NO_DEADLINE;
                self.react(slot, Input::Deadline, step);
                return;
            }
        }
    }

    /// An attempt has ended, and its slot is free.
    fn attempt_over(&mut self, slot: u32, outcome: Outcome, ended: Mono, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        run.ended = ended;
        if run.out_of_touch.take().is_some() && !outcome.is_success() && !run.is_last {
            self.ended_out_of_touch(slot, step);
            return;
        }
        // A due time that already waits for this run is a newer one: it supersedes a retry.
        let job = run.job_slot.filter(|&job| self.jobs[job as usize].pending.is_none());
        let has_attempts = !run.is_last && run.attempt <= run.job.options.retries;
        let Some(job) = job.filter(|_| has_attempts && !outcome.is_success()) else {
            self.finish(slot, outcome, step);
            return;
        };
        let delay = run.retry_delay();
        self.rest(slot, job, (outcome, delay), step);
    }

    /// A run waits, without a slot, for its next attempt.
    fn rest(
        &mut self,
        slot: u32,
        job: u32,
        (outcome, delay): (Outcome, Duration),
        step: &mut Step<'_>,
    ) {
        let run = &mut self.runs[slot];
        step.out.push(Action::Notice(Notice::Retrying {
            run: run.id,
            job: Arc::clone(&run.job),
            due: run.due,
            started: run.started.map(|started| started.0),
            outcome: outcome.clone(),
            attempt: run.attempt.saturating_add(1),
            delay,
        }));
        run.last = Some(outcome);
        run.phase = Phase::Resting;
        self.jobs[job as usize].retrying += 1;
        let pool = run.pool;
        self.arm(slot, step.now.mono.plus(delay));
        self.pools.get(pool).busy -= 1;
        self.dispatch(pool, step);
    }

    /// An attempt was ended so that nobody else begins the run beside it: it gets another one, here,
    /// once the store answers; or elsewhere, if this scheduler is taken for dead.
    fn ended_out_of_touch(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        run.once_started = OnceStarted::Run;
        let outcome = Outcome::Lost("stopped because the store did not answer".to_owned());
        let most = run.job.options.most_attempts().unwrap_or(0);
        match run.job_slot {
            Some(job) if run.attempt < most => {
                self.rest(slot, job, (outcome, Duration::ZERO), step)
            }
            _ => self.finish(slot, outcome, step),
        }
    }

    /// A run is over: its outcome is recorded and everything it held is given back.
    pub(super) fn finish(&mut self, slot: u32, outcome: Outcome, step: &mut Step<'_>) {
        self.close(slot, Some(outcome), step);
    }

    /// Another scheduler has the due time of a run, or it has a fate already. What has begun goes
    /// on; it can only be that the store was out of reach when it did.
    pub(super) fn claim_lost(&mut self, run: RunId, step: &mut Step<'_>) {
        let Some(slot) = self.runs.find(run) else { return };
        let begun = match self.runs[slot].phase {
            Phase::Pending | Phase::Queued | Phase::Starting | Phase::Checking => {
                self.runs[slot].started.is_some()
            }
            Phase::Postponed | Phase::Running | Phase::Terminating => true,
            Phase::GivenUp | Phase::Killing | Phase::Resting => true,
        };
        if !begun {
            self.leave_to_others(slot, step);
        }
    }

    /// A run is another scheduler's: there is nothing to record here.
    pub(super) fn leave_to_others(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = self.runs[slot].id;
        self.close(slot, None, step);
        if let Some(tickets) = self.waiters.remove(&run) {
            let message = "another scheduler claimed this due time";
            for ticket in tickets {
                let answer = Response::Refused(Fault::new(Code::Claimed, message));
                step.out.push(Action::Answer { ticket, answer });
            }
        }
    }

    /// Records how a run has ended, and tells those who wait for it.
    pub(super) fn over(&mut self, run: RunId, record: Record, step: &mut Step<'_>) {
        if !self.waiters.is_empty()
            && let Some(tickets) = self.waiters.remove(&run)
        {
            for ticket in tickets {
                let answer = Response::Ended(Box::new(record.clone()));
                step.out.push(Action::Answer { ticket, answer });
            }
        }
        step.out.push(Action::Record(record));
    }

    /// Gives back everything a run held; without an outcome there is nothing to record.
    fn close(&mut self, slot: u32, outcome: Option<Outcome>, step: &mut Step<'_>) {
        let run = &self.runs[slot];
        let (pool, job_slot, phase) = (run.pool, run.job_slot, run.phase);
        let (id, due, attempts) = (run.id, run.due, run.attempt);
        let (started, duration) = (run.started.map(|started| started.0), run.duration());
        let usage = run.usage;
        self.forget_awaits(slot, step);
        let had_slot = match phase {
            Phase::Starting | Phase::Postponed | Phase::Running => true,
            Phase::GivenUp | Phase::Terminating | Phase::Killing => true,
            Phase::Pending | Phase::Queued | Phase::Resting | Phase::Checking => false,
        };
        if phase == Phase::Queued {
            self.pools.get(pool).forget();
        }
        if let Some(job) = job_slot {
            let state = &mut self.jobs[job as usize];
            state.retrying -= u32::from(run.waits_to_retry());
            if state.pending == Some(slot) {
                state.pending = None;
            } else {
                self.unlink(job, slot);
            }
        }
        let job = self.runs.remove(slot);
        if let Some(outcome) = outcome {
            let record = Record {
                job,
                due,
                last_due: due,
                count: 1,
                run: Some(id),
                outcome,
                started,
                duration,
                attempts,
                usage,
            };
            self.over(id, record, step);
        }
        if had_slot {
            self.pools.get(pool).busy -= 1;
        }
        if let Some(job) = job_slot {
            self.promote(job, step);
        }
        if had_slot {
            self.dispatch(pool, step);
        }
        if let Some(job) = job_slot {
            self.count_from_end(job, step);
            self.retire(job);
        }
    }

    /// TERM now, KILL after `kill_after`.
    fn terminate(&mut self, slot: u32, step: &mut Step<'_>) {
        let stopping = !self.life.is_accepting();
        let run = &mut self.runs[slot];
        let mut kill_after = run.job.options.kill_after;
        if stopping {
            kill_after = kill_after.min(STOP_KILL_AFTER);
        }
        let mut at = step.now.mono.plus(kill_after);
        if run.phase == Phase::Terminating {
            at = at.min(run.deadline);
        } else {
            run.phase = Phase::Terminating;
            step.out.push(Action::Terminate(run.id));
        }
        self.arm(slot, at);
    }

    /// KILL now.
    fn kill(&mut self, slot: u32, step: &mut Step<'_>) {
        let run = &mut self.runs[slot];
        run.phase = Phase::Killing;
        run.deadline = NO_DEADLINE;
        step.out.push(Action::Kill(run.id));
    }

    /// Sets the deadline of a run. What was set before is forgotten.
    pub(super) fn arm(&mut self, slot: u32, at: Mono) {
        self.runs[slot].deadline = at;
        if at == NO_DEADLINE {
            return;
        }
        // A long `timeout` of short runs leaves entries behind that mean nothing any more.
        if self.timers.len() > 4 * self.runs.len() + 64 {
            let runs = &self.runs;
            self.timers.retain(|timer| {
                runs.is_live(timer.run) && runs[timer.run.slot].deadline == timer.at
            });
        }
        self.timers.push(Timer { at, run: self.runs.handle(slot) });
    }

    /// Whether a timer is still meant.
    fn is_set(&self, timer: Timer) -> bool {
        self.runs.is_live(timer.run) && self.runs[timer.run.slot].deadline == timer.at
    }

    /// Everything whose deadline has passed.
    pub(super) fn ring_timers(&mut self, step: &mut Step<'_>) {
        self.end_of_grace(step);
        while let Some(&timer) = self.timers.peek()
            && timer.at <= step.now.mono
        {
            self.timers.pop();
            if self.is_set(timer) {
                self.runs[timer.run.slot].deadline = NO_DEADLINE;
                self.react(timer.run.slot, Input::Deadline, step);
            }
        }
    }

    /// Removes what would wake the scheduler for nothing.
    pub(super) fn forget_unset_timers(&mut self) {
        while let Some(&timer) = self.timers.peek()
            && !self.is_set(timer)
        {
            self.timers.pop();
        }
    }
}

/// Why a run that never began will not.
fn skip_reason(input: &Input) -> SkipReason {
    match input {
        Input::Displace => SkipReason::Overlap,
        Input::Remove => SkipReason::Removed,
        Input::Stop => SkipReason::Stopped,
        Input::Drain | Input::Terminate | Input::Kill => SkipReason::Stopping,
        Input::OutOfTouch { .. } => SkipReason::Stopping,
        Input::Started(..) | Input::NotStarted(_) | Input::Short(_) => SkipReason::Stopping,
        Input::Hangs(_) | Input::Ended(..) | Input::Abandoned(_) => SkipReason::Stopping,
        Input::Deadline => SkipReason::Stopping,
    }
}

/// What was told of it, for the debug log.
fn word(input: &Input) -> &'static str {
    match input {
        Input::Started(..) => "started",
        Input::Hangs(_) => "hangs",
        Input::NotStarted(_) | Input::Short(_) => "not started",
        Input::Ended(..) => "ended",
        Input::Abandoned(_) => "abandoned",
        Input::Deadline => "deadline",
        Input::Displace => "displaced",
        Input::Drain | Input::Stop | Input::Terminate | Input::Kill => "stop",
        Input::Remove => "removed",
        Input::OutOfTouch { .. } => "out of touch",
    }
}
