//! What a running scheduler answers, and how jobs, runs and the scheduler are shown in it.

use std::sync::Arc;
use std::time::Duration;

use super::{Fault, JobCounts, JobRecord, Record, RunId, Vitals};
use crate::core::instant::{Instant, Mono};
use crate::core::job::{Executor, Job, RunOn, Settings};
use crate::core::outcome::Doing;
use crate::core::trigger::Trigger;
use crate::core::words;
use crate::core::zone::Zone;

/// What is answered to whoever has asked for something, of the scheduler or of the loop that runs
/// it.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// Some of the jobs.
    Jobs(JobPage),
    /// One job: as it was asked for, or as it is now that it was added or changed.
    Job {
        /// The job.
        job: Box<JobDetail>,
        /// What is odd about what was sent, though it is taken: each a sentence without a full
        /// stop.
        warnings: Vec<String>,
    },
    /// How things stand.
    Status {
        /// How the scheduler is.
        health: Box<Health>,
        /// How its jobs are.
        status: Status,
    },
    /// How the scheduler is, in numbers.
    Vitals(Box<Vitals>),
    /// A run was started by hand.
    Started {
        /// The run.
        run: RunId,
        /// It waits: for a slot, or for another run to end.
        waits: bool,
    },
    /// Such a run is over, which somebody has waited for.
    Ended(Box<Record>),
    /// These runs were told to end.
    Stopped(Vec<RunId>),
    /// A job is resumed.
    Resumed {
        /// It was paused, by itself or with all jobs.
        was: bool,
        /// It still is: with all jobs.
        still: Paused,
        /// The zone of the job.
        zone: Zone,
    },
    /// The jobfile was read again: how many jobs are what.
    Reloaded {
        /// New.
        added: usize,
        /// Different.
        changed: usize,
        /// Gone.
        removed: usize,
        /// As they were.
        unchanged: usize,
    },
    /// Notifications are sent again, or not at all.
    Notified {
        /// The route that they are for.
        route: Box<str>,
        /// How many.
        count: usize,
    },
    /// Another host of the fleet has answered.
    Elsewhere {
        /// What it says: an object in JSON, as the control socket has it.
        body: Box<str>,
        /// Another answer follows, at the end of a run.
        goes_on: bool,
    },
    /// It is so now, or was already.
    Done,
    /// It cannot be done.
    Refused(Fault),
}

/// How a scheduler is.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is not as it should be, each a sentence without a full stop; empty: all is well.
    pub reasons: Vec<String>,
    /// The version of schedrs.
    pub version: &'static str,
    /// Its process id.
    pub pid: u32,
    /// When it was started.
    pub started: Instant,
    /// The jobfile, as it was named.
    pub jobfile: Box<str>,
    /// When the jobfile was last read and found good.
    pub loaded: Instant,
    /// The store: `memory` or `sqlite:PATH`.
    pub store: Box<str>,
    /// The name of the scheduler's zone.
    pub timezone: Box<str>,
    /// It is stopping.
    pub stopping: bool,
    /// What the jobfile says of the scheduler, for an export.
    pub settings: Settings,
    /// The executors, in the order in which jobs count them.
    pub executors: Arc<[Executor]>,
    /// How it stands among the hosts that share its store, if several may.
    pub fleet: Option<FleetHealth>,
}

/// How a scheduler stands among the hosts that share its store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FleetHealth {
    /// What people call this host.
    pub host: Box<str>,
    /// All that are there, this one included.
    pub hosts: Vec<Box<str>>,
    /// Those of them that stop.
    pub leaving: Vec<Box<str>>,
    /// How many jobs are at home here.
    pub jobs_at_home: u32,
    /// The generation of the store: how often it has forgotten what it had acknowledged.
    pub generation: u64,
    /// For how long it may start jobs without another word of the store; `None`: not at all.
    pub trusted: Option<Duration>,
    /// Not all have told a store that has forgotten what they know.
    pub waits_for_others: bool,
    /// How many starts wait for the store.
    pub held: usize,
}

/// Some of the jobs, in the order of the jobfile, then those that were added.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// Where to go on, if there are more.
    pub more: Option<u32>,
    /// How many there are in all.
    pub total: usize,
}

/// How a job stands.
#[derive(Clone, Debug, PartialEq)]
pub struct JobView {
    /// Its definition, overrides included.
    pub job: Arc<Job>,
    /// The name of its executor.
    pub executor: Arc<str>,
    /// It was added at run time.
    pub added: bool,
    /// Something of it was changed at run time.
    pub overridden: bool,
    /// It is paused: by somebody, or all of them are, or `paused = true` says so.
    pub paused: Paused,
    /// The next due time; `None`: it is paused, will never be due, or [`JobView::awaits`] something.
    pub next: Option<Instant>,
    /// What its next due time waits for, in words, where that is not known before: `10m after the run that
    /// is going on`.
    pub awaits: Option<Box<str>>,
    /// Runs with a process, of this scheduler; where that was asked for, of all that share its store.
    pub running: u32,
    /// Runs that wait, the same: for a slot, for another run, or to be retried.
    pub waiting: u32,
    /// When it was first scheduled: where the grid of an interval begins; or when its last run ended,
    /// where it counts from that.
    pub anchor: Instant,
    /// When it was first scheduled.
    pub known_since: Instant,
    /// What its due times have come to since the scheduler was started: nothing, unless it is
    /// somebody's task to count.
    pub counts: JobCounts,
    /// How many of its runs have failed since one succeeded, those before the scheduler was started included;
    /// the same.
    pub failures: u32,
    /// It has a run that takes longer than it should, if somebody looks for that.
    pub slow: Option<Slow>,
}

/// A run that takes longer than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// Since when.
    pub since: Instant,
    /// What it usually takes; `None`: the job says how long it may take.
    pub usual: Option<Duration>,
}

impl JobView {
    /// It is at home with another scheduler, which remembers this of it; `None`: nothing yet.
    pub(crate) fn take_from(&mut self, record: Option<&JobRecord>, now: Instant) {
        let Some(record) = record else {
            let trigger = self.job.trigger.anchored(self.anchor);
            let next = self.job.next_kept(&trigger, now);
            self.next = next.filter(|_| self.paused == Paused::No);
            return;
        };
        self.anchor = record.anchor;
        self.paused = match (&record.pause, &self.paused) {
            (Some(pause), _) if pause.lasts(now) => Paused::Job(pause.clone()),
            (_, all @ Paused::All(_)) => all.clone(),
            _ if self.job.options.paused && !record.resumed => Paused::ByFile,
            _ => Paused::No,
        };
        let is_due =
            self.paused == Paused::No && *self.job.trigger.fingerprint() == *record.trigger;
        let trigger = self.job.trigger.anchored(record.anchor);
        let next = self.job.next_kept(&trigger, record.decided.max(now));
        self.next = next.filter(|_| is_due);
        self.awaits = match &self.job.trigger {
            Trigger::FromEnd(trigger) if is_due && self.next.is_none() => {
                words::after_run(trigger, now)
            }
            // That a parent runs here, or is paused, is known here.
            Trigger::After(after) if is_due => {
                self.awaits.take().or_else(|| Some(format!("after {}", after.names()).into()))
            }
            _ => None,
        };
        self.known_since = match self.job.trigger {
            Trigger::FromEnd(_) => record.since,
            _ => record.anchor,
        };
    }
}

impl JobView {
    /// It is at home nowhere, so that it is not due: it waits for something, in words.
    pub(crate) fn await_home(&mut self, what: Option<String>) {
        if self.paused == Paused::No {
            (self.next, self.awaits) = (None, what.map(Into::into));
        }
    }

    /// Of the one job that it is due after another host has a run, if `runs` says so of its id.
    pub(crate) fn hear_of_parent(&mut self, runs: impl FnOnce(&str) -> bool) {
        // On each host it follows the run there.
        if let Trigger::After(after) = &self.job.trigger
            && let [parent] = after.parents()
            && self.awaits.is_some()
            && self.job.options.run_on != RunOn::All
            && runs(parent)
        {
            self.awaits = Some(format!("after {}, which is running", after.names()).into());
        }
    }

    /// Other hosts have these runs of it.
    pub(crate) fn count(&mut self, others: &[ActiveElsewhere]) {
        for run in others {
            let count = if run.is_running() { &mut self.running } else { &mut self.waiting };
            *count = count.saturating_add(1);
        }
    }
}

/// Whether a job is paused, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paused {
    /// It is not.
    No,
    /// `paused = true` in its definition.
    ByFile,
    /// Somebody has paused it.
    Job(Pause),
    /// Somebody has paused all jobs.
    All(Pause),
}

/// That something is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub at: Instant,
    /// Until when; `None`: until it is resumed.
    pub until: Option<Instant>,
    /// Who did it.
    pub by: Box<str>,
    /// Why.
    pub reason: Option<Box<str>>,
}

impl Pause {
    /// Whether it has not ended by itself yet.
    pub fn lasts(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// Everything about one job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobDetail {
    /// How it stands.
    pub view: JobView,
    /// Its overrides, as TOML.
    pub overrides: Option<Box<str>>,
    /// Its definition as TOML, if it was added at run time.
    pub text: Option<Box<str>>,
    /// Its active runs, in the order in which they were admitted.
    pub active: Vec<Active>,
    /// Its next few due times.
    pub upcoming: Vec<Instant>,
}

/// A summary of the scheduler's state.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Loaded jobs.
    pub jobs: usize,
    /// Runs with a process.
    pub running: usize,
    /// Runs waiting for a slot, for their overlap or for a retry.
    pub waiting: usize,
    /// The next due time and its job.
    pub next: Option<(Instant, Box<str>)>,
    /// All jobs are paused.
    pub all_paused: Option<Pause>,
    /// All active runs, in the order in which they were admitted.
    pub active: Vec<Active>,
}

/// An active run.
#[derive(Clone, Debug, PartialEq)]
pub struct Active {
    /// The run.
    pub run: RunId,
    /// Its job.
    pub job: Arc<Job>,
    /// The due time it is for.
    pub due: Instant,
    /// The number of its current or last attempt; 0 before the first.
    pub attempt: u32,
    /// What it does.
    pub doing: Doing,
    /// When its first process was made, if one was.
    pub started: Option<(Instant, Mono)>,
    /// That it waits for its conditions, where they were found not to hold.
    pub awaits: Option<Awaits>,
}

/// An active run of another host, as far as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveElsewhere {
    /// The run.
    pub run: RunId,
    /// Its job.
    pub job: Box<str>,
    /// The due time it is for.
    pub due: Instant,
    /// The number of its current or last attempt; 0 before the first.
    pub attempt: u32,
    /// What it does; `None`: it waits, and its host alone knows for what.
    pub doing: Option<Doing>,
    /// When its first process was made, if one was.
    pub started: Option<Instant>,
    /// What people call the host.
    pub host: Box<str>,
}

impl ActiveElsewhere {
    /// Whether it has a process, or has one made.
    pub fn is_running(&self) -> bool {
        self.doing.is_some_and(Doing::is_running)
    }
}

/// A run waits for its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaits {
    /// What did not hold when it was last looked: `load 7.2 ≥ 4.0`.
    pub reading: Box<str>,
    /// Since when it waits.
    pub since: Instant,
    /// Until when, at most.
    pub until: Instant,
}
