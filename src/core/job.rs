//! A job as it is meant: every value resolved, defaults filled in, no raw text left.
//!
//! `crate::jobfile` turns what was typed into these; `crate::core::scheduler` decides with them and
//! `crate::run::executor` acts on them. Where APScheduler 3 has a word for
//! the same thing, it is used here.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

pub use crate::core::calendar::{Calendar, Exclusion};
pub use crate::core::command::Command;
use crate::core::condition::Conditions;
use crate::core::instant::Instant;
use crate::core::limits::Limits;
use crate::core::monitor::Monitor;
use crate::core::route::Route;
use crate::core::trigger::Trigger;
use crate::core::trigger::jitter::jitter;
use crate::core::trigger::spread::Spread;
use crate::core::web::WebSettings;
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

impl JobSet {
    /// Whether a job of this id has `run_on = "all"`.
    pub(crate) fn runs_on_all(&self) -> impl Fn(&str) -> bool {
        let each = self.jobs.iter().filter(|job| job.options.run_on == RunOn::All);
        let each: HashSet<Box<str>> = each.map(|job| job.id.clone()).collect();
        move |id| each.contains(id)
    }

    /// Why hosts cannot share these jobs, where nobody knew that they would when they were read.
    pub(crate) fn cannot_be_shared(&self) -> Option<String> {
        let on_each = self.runs_on_all();
        self.jobs.iter().find_map(|job| {
            let Trigger::After(after) = &job.trigger else { return None };
            let mut parents = after.parents().iter().map(|parent| &**parent);
            let parent = parents.find(|parent| on_each(parent) != on_each(&job.id))?;
            let (each, once) = match on_each(&job.id) {
                true => (&*job.id, parent),
                false => (parent, &*job.id),
            };
            Some(format!(
                "`{each}` runs on all hosts, `{once}` on one: neither can be due after the other"
            ))
        })
    }
}

/// The `[scheduler]` and `[store]` tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The zone of every job that names none.
    pub zone: Zone,
    /// How long running jobs may take to end after the first SIGTERM.
    pub stop_grace: Duration,
    /// `[scheduler] reload = "auto"`: the jobfile is read again when it was edited.
    pub reload_auto: bool,
    /// `[store] url`, as written; `None` means the default.
    pub store_url: Option<String>,
    /// `[store] keep`: how much history the store holds on to.
    pub keep: Keep,
    /// `[fleet]`: this host among those that share the store.
    pub fleet: FleetSettings,
    /// The jobs that this host has nothing to do with, because `only_on` names others.
    pub elsewhere: Arc<[Elsewhere]>,
    /// The ways to tell people, `[notify.NAME]`, by name.
    pub routes: Arc<[Route]>,
    /// The calendars that jobs and routes may name, `[calendars.NAME]`, by name.
    pub calendars: Arc<[Arc<Calendar>]>,
    /// `[scheduler] ping`: who outside watches over the scheduler, and how often it is told that all is
    /// well.
    pub heartbeat: Option<(Arc<Monitor>, Duration)>,
    /// `[web]`: the page of `schedrs web`.
    pub web: Arc<WebSettings>,
}

impl Settings {
    /// How long that is when nobody says otherwise.
    pub(crate) const STOP_GRACE: Duration = Duration::from_secs(30);
}

/// A job of the jobfile that is for other hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its id.
    pub id: Box<str>,
    /// Its `only_on`.
    pub only_on: Box<[Box<str>]>,
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
    /// This many bytes of what each attempt has printed.
    pub output: Option<u32>,
}

impl Keep {
    /// How many bytes of what an attempt has printed are kept by default.
    pub const OUTPUT: u32 = 4096;

    /// And at most.
    pub const MOST_OUTPUT: u32 = 256 * 1024;
}

/// A named, bounded pool of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executor {
    /// Its name in `[executors]`.
    pub name: Arc<str>,
    /// How many runs it holds at once.
    pub max_workers: u32,
    /// No more attempts than this start in any second, at even distances; `None`: as they come.
    pub max_starts_per_second: Option<NonZero<u32>>,
}

impl Executor {
    /// At most so many starts a second can be told apart: the loop wakes for each.
    pub const MOST_STARTS: u32 = 10_000;

    /// How many runs one holds that does not say.
    pub(crate) const DEFAULT_WORKERS: u32 = 20;

    /// A pool without a limit of its starts.
    pub fn new(name: impl Into<Arc<str>>, max_workers: u32) -> Executor {
        Executor { name: name.into(), max_workers, max_starts_per_second: None }
    }

    /// From one start to the next, at least.
    pub(crate) fn distance(&self) -> Duration {
        match self.max_starts_per_second {
            Some(most) => Duration::from_micros(1_000_000_u64.div_ceil(most.get().into())),
            None => Duration::ZERO,
        }
    }
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
    /// What excludes a due time of it, if anything does: the name of a calendar or a window, as it is
    /// written in `except` or `only`.
    pub fn excluded(&self, due: Instant) -> Option<String> {
        self.options.excluded.of(due, &self.zone)
    }

    /// The first due time after `after` that is not excluded, of its trigger, which was anchored. Where
    /// hardly any is not, it may not be found.
    pub(crate) fn next_kept(&self, trigger: &Trigger, after: Instant) -> Option<Instant> {
        self.options.excluded.next_after(trigger, &self.zone, after, MOST_LOOKED_AT)
    }

    /// How much later than `due` it fires: its spread and its jitter.
    pub fn delay(&self, due: Instant) -> Duration {
        let options = &*self.options;
        options.spread.of(&self.id).saturating_add(jitter(&self.id, due, options.jitter))
    }
}

/// So many due times and windows are looked at to find a due time that is not excluded: a millisecond, as
/// the scheduler may be asked for this of thousands of jobs.
const MOST_LOOKED_AT: usize = 2000;

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
    /// What goes before and behind the value that a variable has otherwise, with a colon between, as in
    /// `PATH`.
    pub joined: BTreeMap<Box<str>, Joined>,
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
    /// What its processes may use at most.
    pub limits: Option<Arc<Limits>>,
    /// Text given on standard input; `None`: `/dev/null`.
    pub stdin: Option<Box<str>>,
    /// When it is not due, whatever its trigger says: `except` and `only`.
    pub excluded: Exclusion,
    /// What has to hold before a due time starts anything.
    pub only_if: Option<Arc<Conditions>>,
    /// How long a due time may wait for that; zero: it is skipped where it does not hold.
    pub wait_for: Duration,
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
    /// So many runs that have failed in a row pause the job.
    pub pause_after: Option<NonZero<u32>>,
    /// A success is expected at least so often; `None`: nobody waits for one.
    pub expect: Option<Duration>,
    /// It is told of a run that takes longer; `None`: than it usually takes.
    pub warn_after: Option<Duration>,
    /// Exit codes that count as success.
    pub success_codes: Box<[u8]>,
    /// Where the job's output goes.
    pub output: Output,
    /// How many bytes of what each attempt prints are kept, if it says.
    pub keep_output: Option<u32>,
    /// The job is loaded but not due until it is resumed.
    pub paused: bool,
    /// One extra run when the scheduler starts.
    pub run_on_start: bool,
    /// On which of the hosts that share the store.
    pub run_on: RunOn,
    /// Only on hosts whose name is like one of these; on all, if there are none.
    pub only_on: Box<[Box<str>]>,
    /// What happens to a run whose host is dead.
    pub on_lost: OnLost,
    /// Words by which people choose it among others.
    pub tags: Box<[Box<str>]>,
    /// Commands that are run when something becomes of it.
    pub hooks: BTreeMap<HookKind, JobHook>,
    /// How long each of these may take.
    pub hook_timeout: Duration,
    /// The routes by which people hear of it: names of [`Settings::routes`].
    pub notify: Box<[Box<str>]>,
    /// Who outside watches over it, and is told of each run.
    pub ping: Option<Arc<Monitor>>,
}

impl Options {
    /// With `on_lost = "run_again"`, how many attempts a run may have had at most that gets another
    /// because its host is dead: a job that takes its host down must not take all of them down.
    pub fn most_attempts(&self) -> Option<u32> {
        let again = self.on_lost == OnLost::RunAgain;
        again.then(|| self.retries.saturating_add(3))
    }

    /// More than this no due time is delayed by spread and jitter.
    pub fn longest_delay(&self) -> Duration {
        self.spread.most.saturating_add(self.jitter)
    }
}

impl Options {
    /// How long a run waits for its next attempt after this one, the first being 1.
    pub fn retry_delay_after(&self, attempt: u32) -> Duration {
        if self.retry_delay.is_zero() {
            return Duration::ZERO;
        }
        let failed = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let secs = self.retry_delay.as_secs_f64() * self.retry_backoff.powi(failed);
        // What grows beyond all durations is not a duration any more.
        Duration::try_from_secs_f64(secs).unwrap_or(self.retry_max_delay).min(self.retry_max_delay)
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            shell: Box::new(["/bin/sh".into()]),
            cwd: None,
            env: BTreeMap::new(),
            secrets: BTreeMap::new(),
            joined: BTreeMap::new(),
            env_file: None,
            clear_env: false,
            user: None,
            group: None,
            umask: None,
            nice: None,
            limits: None,
            stdin: None,
            excluded: Exclusion::default(),
            only_if: None,
            wait_for: Duration::ZERO,
            jitter: Duration::ZERO,
            spread: Spread::default(),
            misfire_grace_time: Grace::Limited(Duration::from_secs(60)),
            max_wait: None,
            pause_after: None,
            expect: None,
            warn_after: None,
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
            keep_output: None,
            paused: false,
            run_on_start: false,
            run_on: RunOn::One,
            only_on: Box::new([]),
            on_lost: OnLost::Leave,
            tags: Box::new([]),
            hooks: BTreeMap::new(),
            hook_timeout: Duration::from_secs(30),
            notify: Box::new([]),
            ping: None,
        }
    }
}

/// What of a path is below the home directory of whoever runs the job: of `~/x` and `$HOME/x` it is `/x`.
/// Such a path is whole only when the job starts.
pub fn below_home(path: &str) -> Option<&str> {
    let rest = ["~", "$HOME", "${HOME}"].iter().find_map(|home| path.strip_prefix(home))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// `misfire_grace_time`: how late a due time may be acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// Up to this late; later it is `missed`.
    Limited(Duration),
    /// However late (`"forever"`; APScheduler's `None`).
    Forever,
}

impl Grace {
    /// Whether something may still begin that is so late.
    pub fn allows(self, late: Duration) -> bool {
        match self {
            Grace::Limited(grace) => late <= grace,
            Grace::Forever => true,
        }
    }
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

impl Coalesce {
    /// Each, and its word in a jobfile.
    pub const WORDS: [(&str, Coalesce); 3] =
        [("latest", Coalesce::Latest), ("earliest", Coalesce::Earliest), ("all", Coalesce::All)];

    /// Its word in a jobfile.
    pub fn word(self) -> &'static str {
        word(&Coalesce::WORDS, self)
    }
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

impl Overlap {
    /// Each, and its word in a jobfile.
    pub const WORDS: [(&str, Overlap); 3] =
        [("skip", Overlap::Skip), ("queue", Overlap::Queue), ("replace", Overlap::Replace)];

    /// Its word in a jobfile.
    pub fn word(self) -> &'static str {
        word(&Overlap::WORDS, self)
    }
}

/// `on_lost`: what happens to a run whose host is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnLost {
    /// It is recorded as lost: it runs at most once.
    #[default]
    Leave,
    /// Another host gives it one more attempt.
    RunAgain,
}

impl OnLost {
    /// Each, and its word in a jobfile.
    pub const WORDS: [(&str, OnLost); 2] =
        [("leave", OnLost::Leave), ("run_again", OnLost::RunAgain)];

    /// Its word in a jobfile.
    pub fn word(self) -> &'static str {
        word(&OnLost::WORDS, self)
    }
}

/// A hook of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobHook {
    /// What is run.
    pub command: Command,
    /// Of [`HookKind::Failure`]: only for the first run of several in a row that have failed.
    pub once: bool,
    /// How often it is run again, at once, when it has failed.
    pub retries: u8,
}

impl JobHook {
    /// The most [`JobHook::retries`].
    pub const MOST_RETRIES: u8 = 10;

    /// One that says nothing but its command.
    pub fn of(command: Command) -> JobHook {
        JobHook { command, once: false, retries: 0 }
    }
}

/// What a hook of a job is called for. `crate::core::hooks` says when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// The process of its first attempt exists.
    Start,
    /// An attempt has failed, and another will follow.
    Retry,
    /// A run has succeeded.
    Success,
    /// A run has failed, after its last attempt.
    Failure,
    /// A run has succeeded, and the one before it has failed.
    Recovered,
    /// Due times were missed.
    Missed,
    /// Due times were deliberately not run.
    Skipped,
}

impl HookKind {
    /// Every kind, in order.
    pub const ALL: [HookKind; 7] = [
        HookKind::Start,
        HookKind::Retry,
        HookKind::Success,
        HookKind::Failure,
        HookKind::Recovered,
        HookKind::Missed,
        HookKind::Skipped,
    ];

    /// The option that names the command.
    pub fn option(self) -> &'static str {
        match self {
            HookKind::Start => "on_start",
            HookKind::Retry => "on_retry",
            HookKind::Success => "on_success",
            HookKind::Failure => "on_failure",
            HookKind::Recovered => "on_recovered",
            HookKind::Missed => "on_missed",
            HookKind::Skipped => "on_skipped",
        }
    }
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

/// `env` with `{ prepend = "...", append = "..." }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// What goes before it.
    pub before: Option<Box<str>>,
    /// What goes behind it.
    pub after: Option<Box<str>>,
}

impl Joined {
    /// The whole, around what is there.
    pub fn around(&self, value: &[u8]) -> Vec<u8> {
        let bytes = |part: &Option<Box<str>>| part.as_deref().unwrap_or("").as_bytes().to_vec();
        let parts = [bytes(&self.before), value.to_vec(), bytes(&self.after)];
        let parts: Vec<Vec<u8>> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(&b':')
    }
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

impl Output {
    /// Each, and its word in a jobfile.
    pub const WORDS: [(&str, Output); 3] =
        [("pass", Output::Pass), ("file", Output::File), ("discard", Output::Discard)];

    /// Its word in a jobfile.
    pub fn word(self) -> &'static str {
        word(&Output::WORDS, self)
    }
}

/// The word of a value that has one.
fn word<T: PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_around_what_is_there() {
        let joined = |before: Option<&str>, after: Option<&str>| Joined {
            before: before.map(Into::into),
            after: after.map(Into::into),
        };
        let rows = [
            (joined(None, Some("/b")), "/a", "/a:/b"),
            (joined(Some("/b"), None), "/a", "/b:/a"),
            (joined(Some("/b"), Some("/c:/d")), "/a", "/b:/a:/c:/d"),
            (joined(Some("/b"), Some("/c")), "", "/b:/c"),
            (joined(None, Some("/b")), "", "/b"),
        ];
        for (joined, value, expected) in rows {
            assert_eq!(joined.around(value.as_bytes()), expected.as_bytes());
        }
    }

    /// A million of these must be cheap.
    #[test]
    fn a_job_is_small() {
        assert!(size_of::<Job>() <= 120);
    }
}
