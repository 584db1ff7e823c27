//! What reaches the scheduler and what it wants done: plain data, printable and comparable.
//!
//! `crate::core::scheduler` takes [`Event`]s and answers with [`Action`]s; `crate::run::daemon` performs
//! them with processes and `crate::sim` with virtual ones. What may be asked is in `operation`, the
//! answers in `response`, in `fault` why something cannot be done, and in `change` what is kept of
//! what somebody has done; `happening` is what is told to whoever watches. `unusual` is a run that
//! is out of the ordinary, `counters` counts actions, and `vitals` is how a scheduler is, in numbers.

mod change;
mod counters;
mod fault;
mod happening;
mod homes;
mod named;
mod operation;
mod response;
mod unusual;
mod vitals;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::core::condition::Answer;
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{Job, JobSet};
use crate::core::outcome::Outcome;
use crate::core::usage::Usage;
pub use change::{Change, ChangeKind};
pub use counters::{Counters, FATES, JobCounts, LAG_ENDS, Lags, Totals};
pub use fault::{Code, Fault};
pub use happening::Happening;
pub use homes::{
    ChainLists, DecidedRange, Elsewhere, HomeChange, Refusal, RunAgain, Silence, TakenJob,
};
pub use operation::Operation;
pub use response::{
    Active, ActiveElsewhere, Awaits, FleetHealth, Health, JobDetail, JobPage, JobView, Pause,
    Paused, Response, Slow, Status,
};
pub use unusual::{Fast, Quiet, Unusual, UnusualRun};
pub use vitals::{Part, PingVitals, PoolVitals, RouteVitals, Vitals};

/// Names one run: one execution for one due time. Unique within a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A process, so that no other can be taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// When it was started, in the kernel's ticks since the machine was.
    pub start: u64,
}

/// Something that happened. Everything that reaches the scheduler does so as one of these.
#[derive(Clone, Debug)]
pub enum Event {
    /// A wake-up time was reached (or may have been: waking too often does no harm).
    Woke,
    /// The process of an attempt exists.
    Started {
        /// Which run.
        run: RunId,
        /// Its process.
        process: Process,
        /// When it was made, which may be a little before anybody hears of it.
        at: Now,
        /// When somebody began to make it: what its `timeout` counts from.
        taken: Mono,
    },
    /// The start of an attempt hangs: somebody began with it at this time, and nobody can say when
    /// there will be a process, if ever. Followed by `Started` or `NotStarted` all the same; by
    /// the latter also when [`Action::Kill`] has had it given up.
    StartHangs {
        /// Which run.
        run: RunId,
        /// Since when.
        taken: Mono,
    },
    /// An attempt could not be started.
    NotStarted {
        /// Which run.
        run: RunId,
        /// Why, as a fragment that finishes "not started: ...".
        reason: String,
        /// The machine was short of something (processes, memory, descriptors), so that trying
        /// again later may well succeed.
        transient: bool,
    },
    /// The process of an attempt ended and its whole tree is gone: the slot is free.
    Ended {
        /// Which run.
        run: RunId,
        /// How the process ended.
        exit: Exit,
        /// What it has used, if that is known.
        usage: Option<Usage>,
        /// When that was seen, which may be a little before anybody hears of it; `None`: just now.
        at: Option<Mono>,
    },
    /// The process of an attempt goes on and nothing can end it: the run does not wait for it.
    Abandoned {
        /// Which run.
        run: RunId,
        /// Why, as a fragment that finishes "abandoned: ...".
        reason: String,
    },
    /// The wall clock was set, or the machine slept.
    ClockSet,
    /// A new jobfile was read and found good.
    Reload(Box<JobSet>),
    /// Say what is running, queued and next (SIGUSR1), by a [`Notice::Status`].
    ReportStatus,
    /// Somebody asks for something and gets an [`Action::Answer`].
    Operation {
        /// What the answer is to be marked with; 0: nobody waits for one.
        ticket: u64,
        /// Who asks: the name of a user, for the record.
        by: Box<str>,
        /// What is asked for.
        operation: Box<Operation>,
    },
    /// So many runs of a job have failed in a row, the last just now (`crate::core::streak`): it may have
    /// to be paused.
    FailedInARow {
        /// The job.
        job: Box<str>,
        /// How many.
        runs: u32,
    },
    /// Another scheduler that shares the store has claimed the due time of this run, or it has a
    /// fate already from before the clock was set back: the run is none of ours.
    ClaimLost(RunId),
    /// The claim of this run was refused, or it may not begin any more.
    ClaimRefused {
        /// Which run.
        run: RunId,
        /// Why.
        why: Refusal,
    },
    /// Jobs come from other schedulers that share the store, or go there.
    Homes(Box<HomeChange>),
    /// How far a shared store has answered is another than before.
    Silence(Silence),
    /// The others may soon take this scheduler for dead, because the store does not answer. What they
    /// may run again (`on_lost`) is ended here before: asked to, or with `kill` at once.
    OutOfTouch {
        /// Not asked.
        kill: bool,
    },
    /// The conditions of a run were looked at, as [`Action::Check`] has asked.
    Checked {
        /// Which run.
        run: RunId,
        /// The number of the look.
        number: u32,
        /// What has come of it.
        answer: Answer,
    },
    /// Stop: the first lets running jobs end within `stop_grace`, the second ends them at once.
    Stop,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// The kernel ended it with SIGKILL because its run went over its limit of memory; the most that it
    /// had, in bytes, if that is known.
    OverMemory(Option<u64>),
    /// Nobody can tell: it was started by an earlier scheduler, and is not our child.
    Unknown,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start an attempt. Answered by `Started` then `Ended`, or by `NotStarted`.
    Start(Start),
    /// Look whether the conditions of a run hold (`only_if`). Answered by [`Event::Checked`].
    Check(Check),
    /// Send SIGTERM to the whole tree of a run.
    Terminate(RunId),
    /// Send SIGKILL to the whole tree of a run, or give up its start if that hangs.
    Kill(RunId),
    /// The fate of a due time (or of several of one job) is known.
    Record(Record),
    /// Something worth a log line that is not an outcome.
    Notice(Notice),
    /// Something is to be remembered, before anything is started that is decided in the same step.
    Remember(Remember),
    /// To whoever has asked.
    Answer {
        /// Of the [`Event::Operation`].
        ticket: u64,
        /// What there is to say.
        answer: Response,
    },
    /// Nothing is running and nothing will: the loop may end.
    Exit,
}

/// Something to be remembered beside the [`Record`]s.
#[derive(Clone, Debug, PartialEq)]
pub enum Remember {
    /// A due time has become a run.
    Admitted(Admitted),
    /// What there is to remember of a job has changed.
    Job(Box<JobRecord>),
    /// The same of a job that has its home on each host, where the others say the same or have said it: a
    /// store has it from them, and writing it again could undo what one of them has said since.
    Learned(Box<JobRecord>),
    /// A job is gone, and nothing of it is to be remembered but its past.
    Gone(Box<str>),
    /// All jobs are paused, or no longer.
    AllPaused(Option<Pause>),
    /// Somebody has changed something: for the record.
    Change(Change),
    /// An entry of a list that the scheduler keeps for itself, in the place of what it was; without a
    /// value it is gone.
    Entry {
        /// The list.
        list: &'static str,
        /// What tells it from the others of the list.
        key: Box<str>,
        /// What it says.
        value: Option<Box<str>>,
    },
}

/// A due time that has become a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: Arc<Job>,
    /// The due time.
    pub due: Instant,
    /// When it was admitted.
    pub at: Instant,
    /// Who has asked for it, if the trigger did not name the due time.
    pub by: Option<Box<str>>,
    /// Which of the `max_instances` places of its job it has, if several schedulers share the store
    /// and it needs one.
    pub place: Option<u16>,
}

/// What there is to remember of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobRecord {
    /// Its id.
    pub id: Box<str>,
    /// When it was first scheduled: where the grid of an interval begins.
    pub anchor: Instant,
    /// Every due time up to this one has been decided.
    pub decided: Instant,
    /// Its trigger, in words that mean the same in every version:
    /// [`crate::core::trigger::Trigger::fingerprint`].
    pub trigger: Box<str>,
    /// Since when it has this trigger.
    pub since: Instant,
    /// Whether and why it is paused.
    pub pause: Option<Pause>,
    /// `paused = true` in the file does not hold: somebody has resumed it.
    pub resumed: bool,
    /// Its definition, if it was added at run time: the keys of a job as TOML.
    pub added: Option<Box<str>>,
    /// What was changed at run time, as TOML: keys that stand over those of its definition.
    pub overrides: Option<Box<str>>,
}

/// One attempt to start.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The run it belongs to.
    pub run: RunId,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The due time the run is for.
    pub due: Instant,
    /// How long it has waited for a slot, or for another run of its job: not for its conditions, nor for
    /// the jobs before it.
    pub waited: Duration,
    /// The job.
    pub job: Arc<Job>,
}

/// One look at the conditions of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The run that waits for them.
    pub run: RunId,
    /// Which look it is, from 1.
    pub number: u32,
    /// The due time the run is for.
    pub due: Instant,
    /// The job.
    pub job: Arc<Job>,
}

/// One fact for the history: what became of a due time.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The job.
    pub job: Arc<Job>,
    /// The due time; for counted ones (`missed`, `coalesced`, `skipped` while paused) the first.
    pub due: Instant,
    /// The last due time the record is for; equal to `due` unless `count` is above 1.
    pub last_due: Instant,
    /// How many due times share this fate.
    pub count: u64,
    /// The run, when there was one.
    pub run: Option<RunId>,
    /// What became of it.
    pub outcome: Outcome,
    /// When its first attempt started, if one did.
    pub started: Option<Instant>,
    /// How long the run took, from the first attempt to the end of the last.
    pub duration: Duration,
    /// How many attempts there were.
    pub attempts: u32,
    /// What they have used, as far as that is known.
    pub usage: Option<Usage>,
}

/// What became of a due time of a job that others are due after, or of several in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The job.
    pub job: Box<str>,
    /// The due time, or the first of several.
    pub due: Instant,
    /// The last of them.
    pub last_due: Instant,
    /// How many.
    pub count: u64,
    /// What became of them.
    pub outcome: Outcome,
    /// When that was known.
    pub at: Instant,
    /// The run that has ended; `None`: they did not become one.
    pub run: Option<RunId>,
}

impl Record {
    /// What became of one due time that did not become a run.
    pub(crate) fn without_run(job: Arc<Job>, due: Instant, outcome: Outcome) -> Record {
        Record {
            job,
            due,
            last_due: due,
            count: 1,
            run: None,
            outcome,
            started: None,
            duration: Duration::ZERO,
            attempts: 0,
            usage: None,
        }
    }
}

/// Something worth a log line that is not an outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// The scheduler starts with this many jobs.
    Starting {
        /// How many jobs are loaded.
        jobs: usize,
    },
    /// An attempt's process exists.
    Started {
        /// The run.
        run: RunId,
        /// Which attempt, from 1.
        attempt: u32,
        /// Its process, which may have ended by now.
        process: Process,
        /// The job.
        job: Arc<Job>,
        /// The due time.
        due: Instant,
        /// How long after the due time it started.
        lag: Duration,
        /// How much of that nobody could have started it in: its conditions did not hold, or the jobs
        /// before it were not over.
        held: Duration,
    },
    /// A failed attempt will be followed by another.
    Retrying {
        /// The run.
        run: RunId,
        /// The job.
        job: Arc<Job>,
        /// The due time.
        due: Instant,
        /// When its first attempt started, if one did.
        started: Option<Instant>,
        /// How the attempt ended.
        outcome: Outcome,
        /// The number of the next attempt.
        attempt: u32,
        /// How long until then.
        delay: Duration,
    },
    /// The machine was too short of something to start an attempt; the same attempt is tried
    /// again, its slot kept.
    Postponed {
        /// The run.
        run: RunId,
        /// Which attempt, from 1: nothing of it has begun.
        attempt: u32,
        /// The job.
        job: Arc<Job>,
        /// What was missing, as a fragment that finishes "not started: ...".
        reason: String,
        /// How long until it is retried.
        delay: Duration,
    },
    /// The conditions of a run do not hold, and it waits for them (`wait_for`).
    AwaitsConditions {
        /// The run.
        run: RunId,
        /// The job.
        job: Arc<Job>,
        /// The due time.
        due: Instant,
        /// What does not hold: `load 7.2 ≥ 4.0`.
        reading: Box<str>,
        /// How long it will wait.
        wait: Duration,
    },
    /// A job is paused from here on, because its runs fail (`pause_after`).
    PausedByFailures {
        /// The job.
        job: Arc<Job>,
        /// How many of its runs have failed in a row.
        runs: u32,
    },
    /// A run exceeded its `timeout`; its tree is being ended.
    TimingOut {
        /// The run.
        run: RunId,
        /// The job.
        job: Arc<Job>,
    },
    /// A run of this scheduler is another's: that may run it again, so it is ended here, and nothing
    /// is recorded of it.
    Disowned {
        /// The run.
        run: RunId,
        /// The job.
        job: Arc<Job>,
        /// There may be a process of it.
        has_process: bool,
    },
    /// The wall clock was set: by how many microseconds, forward positive.
    ClockJumped {
        /// How far, in microseconds.
        by_micros: i64,
    },
    /// A reload took effect.
    Reloaded {
        /// Jobs that are new.
        added: usize,
        /// Jobs that differ.
        changed: usize,
        /// Jobs that are gone.
        removed: usize,
        /// Jobs that stay as they were.
        unchanged: usize,
    },
    /// The scheduler is stopping, and waits for the runs that are still active.
    Stopping {
        /// Active runs.
        running: usize,
        /// Their jobs, each once, the oldest runs first; not all of many.
        jobs: Vec<Box<str>>,
        /// How long it waits for them.
        grace: Duration,
    },
    /// The answer to [`Event::ReportStatus`].
    Status(Status),
    /// Something was told of a run that cannot be: it is unknown, or not in a state in
    /// which that happens. Nothing was changed. For the debug log.
    Ignored {
        /// The run it was said of.
        run: RunId,
        /// What was said: `started`, `not started`, `ended`.
        event: &'static str,
    },
}
