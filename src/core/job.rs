//! A job as it is meant: every value resolved, defaults filled in, no raw text left.
//!
//! `crate::jobfile` turns what was typed into these; `crate::core::scheduler` decides with them and
//! `crate::run::executor` acts on them. Where APScheduler 3 has a word for
//! the same thing, it is used here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::core::instant::Instant;
use crate::core::trigger::Trigger;
use crate::core::trigger::jitter::jitter;
use crate::core::trigger::spread::Spread;
use crate::core::zone::Zone;

/// Everything one load of a jobfile (and the files it includes) says.
#[derive(Clone, Debug)]
pub struct JobSet {
    /// The `[scheduler]` table.
    pub settings: Settings,
    /// The named pools; index 0 is always `default`.
    pub executors: Vec<Executor>,
    /// The jobs, in the order in which they stand in the files.
    pub jobs: Vec<Arc<Job>>,
}

/// The `[scheduler]` and `[store]` tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The zone of every job that names none.
    pub zone: Zone,
    /// How long running jobs may take to end after the first SIGTERM.
    pub stop_grace: Duration,
    /// `[store] url`, as written; `None` means the default.
    pub store_url: Option<String>,
    /// `[store] keep`: how much history the store holds on to.
    pub keep: Keep,
    /// `[fleet]`: this host among those that share the store.
    pub fleet: FleetSettings,
}

/// `[fleet]`: this host among those that share the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetSettings {
    /// What people call it; the name of the machine unless told.
    pub name: Option<String>,
    /// What `run_on` of its jobs is compared with.
    pub labels: Vec<Box<str>>,
    /// A host that has not been heard of for so long is taken for dead.
    pub lease: Duration,
}

impl Default for FleetSettings {
    fn default() -> FleetSettings {
        FleetSettings { name: None, labels: Vec::new(), lease: Duration::from_secs(15) }
    }
}

/// `[store] keep`: runs older than either limit may be forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// This many of the last runs of each job.
    pub runs: Option<u32>,
    /// Runs of this many last days.
    pub days: Option<u32>,
}

/// A named, bounded pool of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executor {
    /// Its name in `[executors]`.
    pub name: Arc<str>,
    /// How many runs it holds at once.
    pub max_workers: u32,
}

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// The name of its table; unique over all files.
    pub id: Box<str>,
    /// A text for people; the id serves where there is none. It is not among the options, because
    /// it would be the one that keeps jobs from sharing them.
    pub name: Option<Box<str>>,
    /// What to run.
    pub command: Command,
    /// When it is due. An interval without `start_date`, `date = "now"` and `@reboot` are
    /// relative to the moment the job is first scheduled: see [`Trigger::anchored`].
    pub trigger: Trigger,
    /// The zone its times are read and shown in.
    pub zone: Zone,
    /// Index into [`JobSet::executors`].
    pub executor: u16,
    /// Everything else. Shared by jobs that say the same, which in a large file are nearly all.
    pub options: Arc<Options>,
}

impl Job {
    /// How much later than `due` it fires: its spread and its jitter.
    pub fn delay(&self, due: Instant) -> Duration {
        let options = &*self.options;
        options.spread.of(&self.id).saturating_add(jitter(&self.id, due, options.jitter))
    }
}

/// What a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A string: given to the job's shell as `SHELL -c STRING`.
    Shell(Box<str>),
    /// An array: executed as it stands, the first element searched on PATH.
    Argv(Box<[Box<str>]>),
}

/// The options of a job beside its name, command, trigger, zone and executor. The defaults are those
/// of doc/jobfile.md.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The shell of a string command: program and leading arguments, `["/bin/sh"]` unless told.
    pub shell: Box<[Box<str>]>,
    /// Working directory; a relative one was relative to the jobfile that names it and has that
    /// file's directory in front by now. `None`: the scheduler's.
    pub cwd: Option<Box<str>>,
    /// Variables set for the job, over everything else.
    pub env: BTreeMap<Box<str>, Box<str>>,
    /// Variables whose values stand in files, read at each start: from name to path. (`env` with
    /// `{ file = "..." }`; a name stands in one of the two maps.)
    pub secrets: BTreeMap<Box<str>, Box<str>>,
    /// A file of `NAME=value` lines, read at each start; the path as with `cwd`.
    pub env_file: Option<Box<str>>,
    /// Start from the small documented environment instead of the scheduler's.
    pub clear_env: bool,
    /// Run as this user (name or number).
    pub user: Option<Box<str>>,
    /// Run as this group (name or number).
    pub group: Option<Box<str>>,
    /// File mode creation mask, 0..=0o777.
    pub umask: Option<u32>,
    /// Niceness, -20..=19.
    pub nice: Option<i32>,
    /// Text given on standard input; `None`: `/dev/null`.
    pub stdin: Option<Box<str>>,
    /// Up to this much is added to each due time, by a hash of job and due time.
    pub jitter: Duration,
    /// Up to this much is added to all due times alike, by a hash of job and machine.
    pub spread: Spread,
    /// How late a due time may be acted upon.
    pub misfire_grace_time: Grace,
    /// How long a run may wait for a slot; `None`: for ever.
    pub max_wait: Option<Duration>,
    /// Which of several missed due times runs.
    pub coalesce: Coalesce,
    /// How many runs of this job may be active at once.
    pub max_instances: u32,
    /// What happens to a due time when `max_instances` runs are active.
    pub overlap: Overlap,
    /// How long an attempt may take.
    pub timeout: Option<Duration>,
    /// From TERM to KILL when an attempt is ended.
    pub kill_after: Duration,
    /// How many further attempts a failed run gets.
    pub retries: u32,
    /// The delay before the first further attempt.
    pub retry_delay: Duration,
    /// The factor from each delay to the next, at least 1.
    pub retry_backoff: f64,
    /// The longest delay between attempts.
    pub retry_max_delay: Duration,
    /// Exit codes that count as success.
    pub success_codes: Box<[u8]>,
    /// Where the job's output goes.
    pub output: Output,
    /// The job is loaded but not due until it is resumed.
    pub paused: bool,
    /// One extra run when the scheduler starts.
    pub run_on_start: bool,
    /// On which of the hosts that share the store.
    pub run_on: RunOn,
}

impl Options {
    /// More than this no due time is delayed by spread and jitter.
    pub fn longest_delay(&self) -> Duration {
        self.spread.most.saturating_add(self.jitter)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            shell: Box::new(["/bin/sh".into()]),
            cwd: None,
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            env_file: None,
            clear_env: false,
            user: None,
            group: None,
            umask: None,
            nice: None,
            stdin: None,
            jitter: Duration::ZERO,
            spread: Spread::default(),
            misfire_grace_time: Grace::Limited(Duration::from_secs(60)),
            max_wait: None,
            coalesce: Coalesce::Latest,
            max_instances: 1,
            overlap: Overlap::Skip,
            timeout: None,
            kill_after: Duration::from_secs(10),
            retries: 0,
            retry_delay: Duration::from_secs(10),
            retry_backoff: 2.0,
            retry_max_delay: Duration::from_secs(3600),
            success_codes: Box::new([0]),
            output: Output::Pass,
            paused: false,
            run_on_start: false,
            run_on: RunOn::One,
        }
    }
}

/// `misfire_grace_time`: how late a due time may be acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// Up to this late; later it is `missed`.
    Limited(Duration),
    /// However late (`"forever"`; APScheduler's `None`).
    Forever,
}

/// `coalesce`: which of several due times that have passed together runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coalesce {
    /// The last one.
    Latest,
    /// The first one.
    Earliest,
    /// Every one.
    All,
}

/// `overlap`: what happens to a due time when `max_instances` runs are active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is recorded as skipped.
    Skip,
    /// It waits for a run of its job to end; at most one does.
    Queue,
    /// The oldest run's tree is ended, then it starts.
    Replace,
}

/// `run_on`: where a job may run.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum RunOn {
    /// On one host, whichever.
    #[default]
    One,
    /// On every host, each due time once on each.
    All,
    /// On one host that has all of these labels.
    Labels(Box<[Box<str>]>),
}

/// `output`: where what a job prints goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Through the scheduler's stdout and stderr, with the job's id in front of each line.
    Pass,
    /// To a file per job.
    File,
    /// Nowhere.
    Discard,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million of these must be cheap.
    #[test]
    fn a_job_is_small() {
        assert!(size_of::<Job>() <= 120);
    }
}
