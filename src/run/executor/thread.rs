//! One spawner thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, kill_process_group, pidfd_open, waitpid,
};

use super::{Hear, Held, MOST_OF_ONE_JOB, Report, Shared, State, THREADS};
use crate::core::event::Start;
use crate::core::instant::Mono;
use crate::core::words;
use crate::run::child::cgroup::Group;
use crate::run::child::progress::Progress;
use crate::run::child::{Child, Failure, tree};
use crate::sys::clock;

/// See the [module](self).
pub(super) struct Spawner {
    shared: Arc<Shared>,
    progress: Arc<Progress>,
}

/// What a thread does next.
enum Next {
    Take(Taken),
    /// Nothing any more.
    Leave,
}

/// A start that a thread has taken.
pub(super) enum Taken {
    /// When that was.
    Start(Start, Mono),
    /// Too many starts of the job hang already.
    Refuse(Start, String),
}

impl Spawner {
    pub(super) fn new(shared: Arc<Shared>, progress: Arc<Progress>) -> Spawner {
        Spawner { shared, progress }
    }

    /// Takes starts until there will be no more, there are threads enough without this one, or there has
    /// been nothing to start for long.
    pub(super) fn run(self) {
        loop {
            match self.next() {
                Next::Take(taken) => (self.shared.report)(self.make(taken), Hear::Now),
                Next::Leave => return,
            }
        }
    }

    /// Makes a process of what was taken.
    pub(super) fn make(&self, taken: Taken) -> Report {
        match taken {
            Taken::Start(start, at) => self.attempt(start, at),
            Taken::Refuse(start, reason) => {
                let failure = Failure { reason, transient: false, code: 126 };
                Report::NotStarted { run: start.run, failure }
            }
        }
    }

    /// Waits for something to do. What this thread was busy with is over.
    fn next(&self) -> Next {
        let mut state = self.shared.lock();
        if let Some(seat) = self.seat(&state) {
            state.seats[seat].held = None;
        }
        let mut leaves = false;
        loop {
            let superfluous = state.starts.is_empty() && (leaves || is_superfluous(&state));
            // What a thread has started is given to the loop's thread when it ends, which takes it
            // for something that a job has left behind, and nobody would know how it ended.
            if state.closed || superfluous && !tree::has_children() {
                if let Some(seat) = self.seat(&state) {
                    state.seats.swap_remove(seat);
                }
                self.shared.ended.notify_all();
                return Next::Leave;
            }
            if let Some((_, start)) = state.starts.pop_front() {
                if state.starts.is_empty() {
                    self.shared.caught_up.notify_one();
                }
                return Next::Take(self.take(&mut state, start));
            }
            if leaves {
                state = self.shared.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = self.shared.more.wait_timeout(state, self.shared.idle);
            let (back, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            (state, leaves) = (back, waited.timed_out());
            if let Some(seat) = self.seat(&state) {
                state.seats[seat].leaves = leaves;
            }
        }
    }

    /// Begins with a start.
    pub(super) fn take(&self, state: &mut State, start: Start) -> Taken {
        if let Some(reason) = refusal(state, &start) {
            return Taken::Refuse(start, reason);
        }
        let taken = clock::mono();
        self.progress.begin();
        if let Some(seat) = self.seat(state) {
            let (run, job, attempt) = (start.run, Arc::clone(&start.job), start.attempt);
            let held = Held { run, job, attempt, taken, given_up: None };
            state.seats[seat].held = Some(held);
            state.seats[seat].leaves = false;
        }
        Taken::Start(start, taken)
    }

    pub(super) fn seat(&self, state: &State) -> Option<usize> {
        state.seats.iter().position(|seat| Arc::ptr_eq(&seat.progress, &self.progress))
    }

    /// When what this thread is busy with was given up.
    fn given_up(&self) -> Option<Mono> {
        let state = self.shared.lock();
        state.seats.get(self.seat(&state)?)?.held.as_ref()?.given_up
    }

    fn attempt(&self, start: Start, taken: Mono) -> Report {
        let run = start.run;
        let before = clock::boot_ticks();
        // A job that makes us panic is one job's misfortune.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let due = words::rfc3339(start.due, &start.job.zone);
            self.shared.world.start(&start, &due, &self.progress)
        }));
        if !self.progress.end() {
            let killed = outcome.ok().and_then(Result::ok).map(|child| end_at_once(&child));
            let now = clock::mono();
            let (after, late) = (now.since(taken), now.since(self.given_up().unwrap_or(now)));
            return Report::CameBack { run, job: start.job, after, late, killed };
        }
        let child = match outcome {
            Ok(Ok(child)) => child,
            Ok(Err(failure)) => return Report::NotStarted { run, failure },
            Err(_) => {
                let reason = "an internal error of the scheduler".to_owned();
                let failure = Failure { reason, transient: false, code: 126 };
                return Report::NotStarted { run, failure };
            }
        };
        let at = clock::now();
        // Nobody reaps it before it has been reported, so its number is still its own.
        let opened = || pidfd_open(Pid::from_raw(child.pid as i32)?, PidfdFlags::empty()).ok();
        let handle = child.handle.or_else(opened);
        let start = tree::start_of_child(child.pid, before).unwrap_or(0);
        let Child { pid, group, confined, pipes, .. } = child;
        Report::Started { run, pid, start, taken, at, handle, group, confined, pipes }
    }
}

/// Whether there are threads enough without one that has nothing to do.
fn is_superfluous(state: &State) -> bool {
    let threads = state.own().count();
    threads > THREADS && threads > THREADS + state.slow(clock::mono())
}

/// Why a start is refused: because of others of its job that hang.
fn refusal(state: &State, start: &Start) -> Option<String> {
    let hangs = |held: &&Held| held.given_up.is_some() && held.job.id == start.job.id;
    let seats = state.seats.iter();
    let mut hanging = seats.filter(|seat| seat.held.as_ref().is_some_and(|held| hangs(&held)));
    let last = hanging.nth(MOST_OF_ONE_JOB - 1)?;
    Some(format!(
        "{MOST_OF_ONE_JOB} earlier starts of this job still hang; the last is waiting for {}",
        last.progress.waits_for(&start.job.command, &start.job.options)
    ))
}

/// Ends a process that has come too late for its run.
fn end_at_once(child: &Child) -> u32 {
    if let Some(pid) = Pid::from_raw(child.pid as i32) {
        // It is our child and has not been waited for, so its number is still its own.
        let _ = kill_process(pid, Signal::KILL);
        let _ = kill_process_group(pid, Signal::KILL);
        let _ = child.group.as_ref().map(Group::kill);
        while let Err(rustix::io::Errno::INTR) = waitpid(Some(pid), WaitOptions::empty()) {}
    }
    child.pid
}
