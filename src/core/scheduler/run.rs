//! The life of a run: its states, what can happen to it, and one table of both.
//!
//! ```text
//!                        GivenUp ──────> (the attempt is over)
//!                           ^
//!                           |
//!  Pending ──> Queued ──> Starting ──> Running ──> Terminating ──> Killing
//!                ^          |   ^         |             |             |
//!                |          v   |         v             v             v
//!                |        Postponed     (the attempt is over) ──> (the run is over)
//!                |                        |
//!                +───────── Resting <─────+
//!                |
//!  Checking ─────+   (or Pending, where it stands behind another run of its job)
//! ```
//!
//! [`reaction`] is the table; `super::attempt` performs what it says.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use slab::Slab;

use crate::core::event::{Active, Exit, Process, RunId};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{Command, Job, OnLost, Options};
use crate::core::limits::Limits;
use crate::core::outcome::{Doing, Outcome};
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::usage::Usage;
use crate::core::zone::Zone;

use super::conditions::Looking;
use super::jobs::NEVER;

pub(super) const NO_DEADLINE: Mono = Mono::from_micros(u64::MAX);

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It waits for another run of its job to end, and is no instance of it yet.
    Pending,
    /// It waits for a slot of its executor, for its first attempt or a further one.
    Queued,
    /// The effects were told to start an attempt and have not answered.
    Starting,
    /// The machine was too short of something to start it; it keeps its slot and retries.
    Postponed,
    /// Its start hangs, and the effects were told to give it up.
    GivenUp,
    /// Its process exists.
    Running,
    /// Its process was told to end.
    Terminating,
    /// Its process was killed, and is not yet gone.
    Killing,
    /// Its last attempt has failed; it waits, without a slot, to retry.
    Resting,
    /// It waits, without a slot, for its conditions to hold or for an answer whether they do.
    Checking,
}

/// What can happen to a run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Input {
    /// The process of the attempt exists; since when, and when somebody began to make it.
    Started(Process, Now, Mono),
    /// Somebody has been trying to start it since then, and hangs.
    Hangs(Mono),
    /// It could not be started, and would not if one retried soon.
    NotStarted(String),
    /// It could not be started, for now.
    Short(String),
    /// The process has ended and its tree is gone; what it has used, and when that was, if not now.
    Ended(Exit, Option<Usage>, Option<Mono>),
    /// The process goes on, and nobody waits for it any more: why.
    Abandoned(String),
    /// The run's deadline has passed.
    Deadline,
    /// A newer due time takes its place.
    Displace,
    /// The scheduler stops; what runs may go on.
    Drain,
    /// The job is gone from the jobfile.
    Remove,
    /// Others may soon run it again: it is to end before, or at once.
    OutOfTouch { kill: bool },
    /// Somebody wants it to end.
    Stop,
    /// The scheduler wants it to end.
    Terminate,
    /// The scheduler wants it to end at once.
    Kill,
}

impl Input {
    /// When what is heard of now has happened. No end is later than it is heard of.
    pub(super) fn ended(&self, now: Mono) -> Mono {
        match self {
            Input::Ended(.., Some(at)) => now.min(*at),
            _ => now,
        }
    }
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// This cannot happen: somebody is mistaken, and nothing changes.
    Ignore,
    /// It has waited longer than `max_wait`.
    GiveUp,
    /// It never began, and will not.
    Drop,
    /// It will not be retried: its last attempt decides.
    Conclude,
    /// Wait for a slot.
    Enqueue,
    /// Have the effects start the same attempt again.
    StartAgain,
    /// The attempt runs.
    Run,
    /// Keep the slot and retry soon.
    Postpone,
    /// The attempt is over: record the run, or rest before the next attempt.
    AttemptOver,
    /// The run is over, whatever its process does.
    Abandon,
    /// TERM for its tree, because of its `timeout`.
    TimeOut,
    /// TERM for its tree.
    Terminate,
    /// No further attempt after this one.
    Last,
    /// End it as soon as its process exists.
    TerminateLater,
    /// The same with KILL.
    KillLater,
    /// Remember that the start hangs, so that the two above do not wait for a process.
    Hang,
    /// Give up a start that hangs, because of its `timeout`.
    GiveUpStart,
    /// KILL for its tree.
    Kill,
    /// Look at its conditions again, or give up to wait for an answer.
    Look,
}

/// The table: what each happening means in each state. No wildcard: a new state or happening
/// does not compile until somebody has thought about each pair.
pub(super) fn reaction(phase: Phase, input: &Input) -> Reaction {
    use {Phase as P, Reaction as R};
    match input {
        Input::Started(..) => match phase {
            P::Starting => R::Run,
            P::Pending | P::Queued | P::Postponed | P::Resting | P::Checking => R::Ignore,
            // One that comes too late for its run is killed by the effects.
            P::GivenUp | P::Running | P::Terminating | P::Killing => R::Ignore,
        },
        Input::Hangs(_) => match phase {
            P::Starting => R::Hang,
            P::Pending | P::Queued | P::Postponed | P::Resting | P::Checking => R::Ignore,
            P::GivenUp | P::Running | P::Terminating | P::Killing => R::Ignore,
        },
        Input::NotStarted(_) => match phase {
            P::Starting | P::GivenUp => R::AttemptOver,
            P::Pending | P::Queued | P::Postponed | P::Resting | P::Checking => R::Ignore,
            P::Running | P::Terminating | P::Killing => R::Ignore,
        },
        Input::Short(_) => match phase {
            P::Starting => R::Postpone,
            P::GivenUp => R::AttemptOver,
            P::Pending | P::Queued | P::Postponed | P::Resting | P::Checking => R::Ignore,
            P::Running | P::Terminating | P::Killing => R::Ignore,
        },
        Input::Ended(..) => match phase {
            // A process may be gone before anyone has said that it exists.
            P::Starting | P::GivenUp => R::AttemptOver,
            P::Running | P::Terminating | P::Killing => R::AttemptOver,
            P::Pending | P::Queued | P::Postponed | P::Resting | P::Checking => R::Ignore,
        },
        Input::Abandoned(_) => match phase {
            P::Starting | P::GivenUp => R::Abandon,
            P::Running | P::Terminating | P::Killing => R::Abandon,
            P::Pending | P::Queued | P::Checking => R::Drop,
            P::Postponed | P::Resting => R::Conclude,
        },
        Input::Deadline => match phase {
            P::Pending | P::Queued => R::GiveUp,
            P::Checking => R::Look,
            P::Postponed => R::StartAgain,
            P::Running => R::TimeOut,
            P::Terminating => R::Kill,
            P::Resting => R::Enqueue,
            P::Starting => R::GiveUpStart,
            P::GivenUp | P::Killing => R::Ignore,
        },
        Input::Displace => match phase {
            P::Pending | P::Queued | P::Checking => R::Drop,
            P::Postponed | P::Resting => R::Conclude,
            P::Starting => R::TerminateLater,
            P::Running => R::Terminate,
            P::GivenUp | P::Terminating | P::Killing => R::Last,
        },
        Input::Drain => match phase {
            P::Pending | P::Queued | P::Checking => R::Drop,
            P::Postponed | P::Resting => R::Conclude,
            P::Starting | P::GivenUp => R::Last,
            P::Running | P::Terminating | P::Killing => R::Last,
        },
        Input::Remove => match phase {
            P::Pending | P::Queued | P::Checking => R::Drop,
            P::Postponed | P::Resting => R::Conclude,
            P::Starting | P::GivenUp => R::Last,
            P::Running | P::Terminating | P::Killing => R::Last,
        },
        Input::OutOfTouch { kill: false } => match phase {
            P::Starting => R::TerminateLater,
            P::Running => R::Terminate,
            P::Pending | P::Queued | P::Postponed | P::Resting | P::Checking => R::Ignore,
            P::GivenUp | P::Terminating | P::Killing => R::Ignore,
        },
        Input::OutOfTouch { kill: true } => match phase {
            P::Starting => R::KillLater,
            P::Running | P::Terminating => R::Kill,
            P::Pending | P::Queued | P::Postponed | P::Resting | P::Checking => R::Ignore,
            P::GivenUp | P::Killing => R::Ignore,
        },
        Input::Stop => match phase {
            P::Pending | P::Queued | P::Checking => R::Drop,
            P::Postponed | P::Resting => R::Conclude,
            P::Starting => R::TerminateLater,
            P::Running | P::Terminating => R::Terminate,
            P::GivenUp | P::Killing => R::Last,
        },
        Input::Terminate => match phase {
            P::Pending | P::Queued | P::Checking => R::Drop,
            P::Postponed | P::Resting => R::Conclude,
            P::Starting => R::TerminateLater,
            P::Running | P::Terminating => R::Terminate,
            P::GivenUp | P::Killing => R::Last,
        },
        Input::Kill => match phase {
            P::Pending | P::Queued | P::Checking => R::Drop,
            P::Postponed | P::Resting => R::Conclude,
            P::Starting => R::KillLater,
            P::GivenUp => R::Last,
            P::Running | P::Terminating | P::Killing => R::Kill,
        },
    }
}

/// What is to be done to a run whose process does not exist yet, once it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum OnceStarted {
    /// Nothing.
    Run,
    /// TERM.
    Terminate,
    /// KILL.
    Kill,
}

/// One active run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) id: RunId,
    /// The id that it began with.
    pub(super) entered: RunId,
    /// The job as it was when the run was admitted: a reload changes nothing for it.
    pub(super) job: Arc<Job>,
    pub(super) due: Instant,
    /// When it was admitted: what `max_wait` counts from.
    pub(super) admitted: Mono,
    /// When a store that others share was last asked whether it may begin: by its claim, or its start.
    pub(super) asked: Mono,
    /// How long after its due time nobody could have started it: the jobs before it were not over, or its
    /// conditions did not hold.
    pub(super) held: Duration,
    /// When its first process existed, on both time lines.
    pub(super) started: Option<(Instant, Mono)>,
    /// When its last attempt ended.
    pub(super) ended: Mono,
    /// Its one deadline, or [`NO_DEADLINE`].
    pub(super) deadline: Mono,
    /// What became of the last attempt.
    pub(super) last: Option<Outcome>,
    /// The number of the current or last attempt; 0 before the first.
    pub(super) attempt: u32,
    /// How many times in a row the machine was too short of something to start it.
    pub(super) shortages: u32,
    /// The slot of its job, if that is still in the jobfile.
    pub(super) job_slot: Option<u32>,
    pub(super) pool: u16,
    /// The slot of its job that it holds in the store, if several schedulers share that.
    pub(super) place: Option<u16>,
    pub(super) phase: Phase,
    pub(super) once_started: OnceStarted,
    /// The start of the current attempt is known to hang.
    pub(super) hangs: bool,
    /// Its `timeout` ended the current attempt.
    pub(super) timed_out: bool,
    /// Since when the current attempt is to end because others may run it again.
    pub(super) out_of_touch: Option<Mono>,
    /// There will be no further attempt.
    pub(super) is_last: bool,
    /// What its attempts have used, as far as that is known.
    pub(super) usage: Option<Usage>,
    /// Its conditions have been found to hold, or nobody asks for them: somebody has started it.
    pub(super) is_checked: bool,
    /// How far it is with them while it is `Checking`.
    pub(super) looking: Option<Box<Looking>>,
}

impl Run {
    /// Whether it waits to retry: without a process, without a slot, after a failure.
    pub(super) fn waits_to_retry(&self) -> bool {
        match self.phase {
            Phase::Resting => true,
            Phase::Queued => self.attempt > 0,
            Phase::Pending | Phase::Starting | Phase::Postponed | Phase::GivenUp => false,
            Phase::Running | Phase::Terminating | Phase::Killing | Phase::Checking => false,
        }
    }

    /// Whether it has not begun for want of an answer of the store that others share, which has answered
    /// nothing that it was asked after `answered`.
    pub(super) fn is_held(&self, answered: Mono) -> bool {
        match self.phase {
            Phase::Queued | Phase::Starting | Phase::Checking => self.asked > answered,
            Phase::Pending | Phase::Postponed | Phase::GivenUp | Phase::Resting => false,
            Phase::Running | Phase::Terminating | Phase::Killing => false,
        }
    }

    /// Whether it has a process, or may have one soon.
    pub(super) fn may_have_process(&self) -> bool {
        match self.phase {
            Phase::Starting | Phase::GivenUp => true,
            Phase::Running | Phase::Terminating | Phase::Killing => true,
            Phase::Pending | Phase::Queued | Phase::Postponed => false,
            Phase::Resting | Phase::Checking => false,
        }
    }

    /// Whether another host runs it again if this one is dead.
    pub(super) fn runs_again(&self) -> bool {
        self.job.options.on_lost == OnLost::RunAgain
    }

    /// What becomes of the attempt if there is no process.
    pub(super) fn not_started(&self, reason: String) -> Outcome {
        if self.timed_out { Outcome::TimedOut } else { Outcome::NotStarted(reason) }
    }

    /// What becomes of the attempt by what has ended it.
    pub(super) fn outcome_of(&self, input: Input) -> Outcome {
        match input {
            Input::Ended(exit, ..) => self.judge(exit),
            Input::NotStarted(reason) | Input::Short(reason) => self.not_started(reason),
            // The table has no other way here.
            _ => Outcome::Lost("an internal error of the scheduler".to_owned()),
        }
    }

    /// What the end of its process makes of the attempt.
    pub(super) fn judge(&self, exit: Exit) -> Outcome {
        if self.timed_out {
            return Outcome::TimedOut;
        }
        let success = &self.job.options.success_codes;
        let limits = self.job.options.limits.as_deref();
        let over = |signal: i32| {
            let reason = limits.and_then(|limits| limits.broken_by(signal));
            reason.map(|reason| Outcome::OverLimit(signal, reason))
        };
        match exit {
            Exit::Code(code) => match u8::try_from(code) {
                Ok(byte) if success.contains(&byte) => Outcome::Succeeded,
                // A shell exits with that if what it ran was ended by a signal.
                Ok(byte) => over(i32::from(byte) - 128).unwrap_or(Outcome::Failed(code)),
                Err(_) => Outcome::Failed(code),
            },
            Exit::Signal(signal) => over(signal).unwrap_or(Outcome::Killed(signal)),
            Exit::OverMemory(peak) => {
                let limits = self.job.options.limits.as_deref();
                let reason = limits.map_or_else(
                    || Limits::default().over_memory(peak),
                    |limits| limits.over_memory(peak),
                );
                Outcome::OverLimit(9, reason)
            }
            Exit::Unknown => Outcome::Lost(
                "it outlived the scheduler that started it; how it ended is unknown".to_owned(),
            ),
        }
    }

    /// The delay between the attempt that has failed and the next one.
    pub(super) fn retry_delay(&self) -> Duration {
        self.job.options.retry_delay_after(self.attempt)
    }

    /// What there is to say of it.
    pub(super) fn summary(&self) -> Active {
        let doing = match self.phase {
            Phase::Starting | Phase::Running => Doing::Running,
            Phase::GivenUp | Phase::Terminating | Phase::Killing => Doing::Ending,
            Phase::Queued | Phase::Postponed => Doing::Queued,
            Phase::Pending => Doing::Pending,
            Phase::Resting => Doing::Retrying,
            Phase::Checking => Doing::Checking,
        };
        Active {
            run: self.id,
            job: Arc::clone(&self.job),
            due: self.due,
            attempt: self.attempt,
            doing,
            started: self.started,
            awaits: self.looking.as_deref().and_then(Looking::awaits),
        }
    }

    /// What has ended may say what it has used.
    pub(super) fn add_usage(&mut self, input: &Input) {
        if let Input::Ended(_, Some(usage), _) = input {
            self.usage = Some(self.usage.unwrap_or_default().with(*usage));
        }
    }

    /// From the first attempt to the end of the last.
    pub(super) fn duration(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |(_, began)| self.ended.since(began))
    }
}

/// The active runs, each in a slot that is used again when it is over.
#[derive(Debug)]
pub(super) struct Runs {
    runs: Slab<Run>,
    by_id: FxHashMap<RunId, u32>,
    /// Stands for a job where there is none any more.
    nobody: Arc<Job>,
}

impl Runs {
    pub(super) fn new() -> Runs {
        let nobody = Job {
            id: "".into(),
            name: None,
            command: Command::Argv(Box::new([])),
            trigger: Trigger::Date(DateTrigger::At(NEVER)),
            zone: Zone::utc(),
            executor: 0,
            options: Arc::new(Options::default()),
        };
        Runs { runs: Slab::new(), by_id: FxHashMap::default(), nobody: Arc::new(nobody) }
    }

    /// The job that stands where there is none.
    pub(super) fn nobody(&self) -> Arc<Job> {
        Arc::clone(&self.nobody)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many are active.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn find(&self, id: RunId) -> Option<u32> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn insert(&mut self, run: Run) -> u32 {
        let id = run.id;
        let slot = self.runs.insert(run) as u32;
        self.by_id.insert(id, slot);
        slot
    }

    /// Gives up a slot and returns the job of the run that was in it.
    pub(super) fn remove(&mut self, slot: u32) -> Arc<Job> {
        let run = self.runs.remove(slot as usize);
        self.by_id.remove(&run.id);
        run.job
    }

    /// Gives the run in a slot another id: it now stands for another due time.
    pub(super) fn rename(&mut self, slot: u32, id: RunId) {
        let run = &mut self[slot];
        let old = std::mem::replace(&mut run.id, id);
        self.by_id.remove(&old);
        self.by_id.insert(id, slot);
    }

    /// A reference to a run that outlives it.
    pub(super) fn handle(&self, slot: u32) -> Handle {
        Handle { slot, entered: self[slot].entered }
    }

    /// Whether the run of a handle is still there.
    pub(super) fn is_live(&self, handle: Handle) -> bool {
        let run = self.runs.get(handle.slot as usize);
        run.is_some_and(|run| run.entered == handle.entered)
    }

    /// All active runs, in no particular but always the same order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Run)> {
        self.runs.iter().map(|(slot, run)| (slot as u32, run))
    }
}

impl std::ops::Index<u32> for Runs {
    type Output = Run;

    fn index(&self, slot: u32) -> &Run {
        &self.runs[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Runs {
    fn index_mut(&mut self, slot: u32) -> &mut Run {
        &mut self.runs[slot as usize]
    }
}

/// A run, if it is still there. The id that it began with tells it from others in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Handle {
    pub(super) slot: u32,
    entered: RunId,
}

/// A deadline of a run. In a max-heap the earliest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timer {
    pub(super) at: Mono,
    pub(super) run: Handle,
}

impl Ord for Timer {
    fn cmp(&self, other: &Timer) -> std::cmp::Ordering {
        (other.at, other.run).cmp(&(self.at, self.run))
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Timer) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests;
