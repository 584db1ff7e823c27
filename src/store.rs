//! What survives a restart: facts about jobs and runs, and who has claimed which due time.
//!
//! The scheduler (`crate::core::scheduler`) decides and never waits for a store. What it decides
//! becomes [`Fact`]s, those of one step together one transaction; a thread of its own (`keeper`)
//! gives them to a [`Store`] and lets processes start once it has them. Reading for people is done
//! by a [`Reader`], beside the writing.
//!
//! A store may be shared: facts are named by job and due time, which mean the same on every host,
//! and [`Fact::Admitted`] is a *claim*: of all schedulers that admit the same due time of the same
//! job exactly one wins. The embedded store (`sqlite`) and `memory` serve one scheduler; both, and
//! whatever follows, pass the same tests (`tests/store`).

pub mod copy;
#[cfg(any(
    feature = "mongodb",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite"
))]
mod encode;
mod fact;
pub mod keeper;
pub mod known;
pub mod location;
#[cfg(feature = "sqlite")]
mod lock;
pub mod memory;
#[cfg(feature = "mongodb")]
pub mod mongodb;
#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;
mod refuse;
pub mod shared;
mod sharing;
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgres"))]
mod sql;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sqlite")]
mod trust;
pub mod url;
#[cfg(feature = "sqlite")]
mod waiting;

use std::collections::HashMap;
use std::fmt;

pub use crate::core::event::Process;
use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::fleet::Member;
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
pub use crate::core::record::{AttemptRecord, Latest, RunRecord, Session};
pub use fact::Fact;
pub(crate) use sharing::{HAS_SHARED, SHARING, Sharing};

/// What a store knew when it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Restored {
    /// The jobs.
    pub jobs: Vec<JobRecord>,
    /// Whether all jobs are paused.
    pub all_paused: Option<Pause>,
    /// Runs that have begun and not ended.
    pub open: Vec<OpenRun>,
    /// The first number that no run has had. A shared store gives each scheduler numbers of its
    /// own.
    pub next_run: u64,
    /// The last life of a scheduler with this store.
    pub last_session: Option<Session>,
}

/// A run that has begun and not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRun {
    /// The run.
    pub run: RunId,
    /// Its job.
    pub job: Box<str>,
    /// The due time.
    pub due: Instant,
    /// Who has asked for it, if its trigger did not.
    pub by: Option<Box<str>>,
    /// The number of its last attempt; 0: none was about to be started.
    pub attempt: u32,
    /// The process of that attempt, if it was made. Together with an `attempt` above 0, `None`
    /// means that nobody can tell.
    pub process: Option<Process>,
    /// When its first attempt was started.
    pub started: Option<Instant>,
    /// How its last attempt ended, if it did and another was to follow.
    pub last: Option<Outcome>,
    /// When that was.
    pub last_ended: Option<Instant>,
}

/// A store, as the one thread that writes sees it.
pub trait Store: Send + fmt::Debug {
    /// What it knows. To be asked once, before anything is written.
    fn restore(&mut self) -> Result<Restored, StoreError>;

    /// Takes these facts, in this order, all or none. Answers which of the runs in it have lost
    /// their claim; what else there is about those is ignored. The facts of one call give a number
    /// to one run only, from its claim on. After an error it may be called again with the same facts
    /// and more.
    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError>;

    /// Does a little of what is to be done from time to time (forgetting what is beyond `keep`,
    /// giving space back). Answers whether there is more to do.
    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError>;

    /// A way to read while others write.
    fn reader(&self) -> Result<Box<dyn Reader>, StoreError>;

    /// The same store as several schedulers use it, if it is of a kind that can be shared.
    fn shared(&mut self) -> Option<&mut dyn shared::Shared> {
        None
    }
}

/// How much of the past is kept, for each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many records.
    pub runs: u32,
    /// So many days.
    pub days: u32,
}

/// So many changes are kept at most, however young they are.
#[cfg(any(
    feature = "mongodb",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite"
))]
const MOST_CHANGES: u32 = 10_000;

/// And so many [`Session`]s.
#[cfg(any(
    feature = "mongodb",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "sqlite"
))]
const MOST_SESSIONS: u32 = 1000;

impl Default for Limits {
    fn default() -> Limits {
        Limits { runs: 100, days: 30 }
    }
}

/// Entries of a list: the key of each, and its value.
pub type Entries = Vec<(Box<str>, Box<str>)>;

/// The past of so many jobs is asked for one by one; of more, in one question.
pub(crate) const ONE_BY_ONE: usize = 50;

/// A store, as people and programs look into it.
pub trait Reader: Send + fmt::Debug {
    /// Records, newest (highest `seq`) first.
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError>;

    /// The records of these jobs with (last) due times from then on. There may be others among them.
    fn past(&mut self, jobs: &[(Box<str>, Instant)]) -> Result<Vec<RunRecord>, StoreError> {
        if jobs.len() > ONE_BY_ONE {
            let since = jobs.iter().map(|(_, since)| *since).min();
            return self.records(&Query { since, ..Query::default() });
        }
        let mut found = Vec::new();
        for (job, since) in jobs {
            let (job, since) = (Some(job.clone()), Some(*since));
            found.append(&mut self.records(&Query { job, since, ..Query::default() })?);
        }
        Ok(found)
    }

    /// How each job that has records has fared of late, or only one job; sorted by job.
    fn latest(&mut self, job: Option<&str>) -> Result<Vec<Latest>, StoreError>;

    /// The attempts of a run, in order. A run of a single attempt need have none kept.
    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError>;

    /// The end of what a run has printed, and how much that was in all.
    fn output(&mut self, run: RunId) -> Result<Option<(Vec<u8>, u64)>, StoreError>;

    /// Both of these of several runs: in as many round trips as of one. A run that has neither is
    /// left out, or has an empty one.
    fn details(&mut self, runs: &[RunId]) -> Result<HashMap<RunId, Details>, StoreError> {
        let mut found = HashMap::with_capacity(runs.len());
        for run in runs {
            let (attempts, output) = (self.attempts(*run)?, self.output(*run)?);
            found.insert(*run, Details { attempts, output });
        }
        Ok(found)
    }

    /// What is remembered of a job.
    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError>;

    /// What is remembered of all jobs, sorted by id.
    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError>;

    /// Whether all jobs are paused.
    fn all_paused(&mut self) -> Result<Option<Pause>, StoreError>;

    /// Changes of a job and of all jobs (`None`: of every job), oldest first, within a span of
    /// time, both ends included.
    fn changes(
        &mut self,
        job: Option<&str>,
        from: Instant,
        until: Instant,
    ) -> Result<Vec<Change>, StoreError>;

    /// All entries of a list, in the order of the bytes of their keys.
    fn entries(&mut self, list: &str) -> Result<Entries, StoreError>;

    /// The lists that have entries, sorted: for whoever copies all of them.
    fn lists(&mut self) -> Result<Vec<Box<str>>, StoreError>;

    /// Lives of schedulers with the store, oldest first.
    fn sessions(&mut self) -> Result<Vec<Session>, StoreError>;

    /// The runs that are not over, of all jobs or of one, and where each of them is: in a store that
    /// serves one scheduler none, since that knows them. The oldest first.
    fn open_runs(&mut self, _job: Option<&str>) -> Result<Vec<shared::OpenElsewhere>, StoreError> {
        Ok(Vec::new())
    }

    /// The schedulers that share the store, those that were gone in the last hour included.
    fn members(&mut self) -> Result<Vec<Member>, StoreError> {
        Ok(Vec::new())
    }
}

/// What there is of a run beside its record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details {
    /// See [`Reader::attempts`].
    pub attempts: Vec<AttemptRecord>,
    /// See [`Reader::output`].
    pub output: Option<(Vec<u8>, u64)>,
}

/// Which records are wanted. All conditions hold together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Of this job.
    pub job: Option<Box<str>>,
    /// Of this run.
    pub run: Option<RunId>,
    /// Of this host.
    pub host: Option<Box<str>>,
    /// Only what went wrong: failed, killed, timed_out, not_started, missed, lost.
    pub failed: bool,
    /// With (last) due times from here on.
    pub since: Option<Instant>,
    /// With (first) due times up to here.
    pub until: Option<Instant>,
    /// Older than this `seq`: to go on where an earlier answer ended.
    pub before: Option<u64>,
    /// The limit: so many at most; 0: all.
    pub limit: usize,
}

/// Why a store could not do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What kind of trouble it is.
    pub kind: Trouble,
    /// A fragment that finishes "the store ...": which file, and what is the matter with it.
    pub message: String,
}

/// Kinds of trouble with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Another scheduler uses it: this process.
    InUse(u32),
    /// Somebody else holds a lock on it for too long.
    Locked,
    /// There is no space left.
    Full,
    /// It may not be written.
    ReadOnly,
    /// It is damaged.
    Corrupt,
    /// It was written by a newer schedrs: with this version of the schema.
    Newer(u32),
    /// There is none.
    Missing,
    /// Others can write to it.
    Untrusted,
    /// Its server does not answer, or not in time.
    Unreachable,
    /// The session that wants to write is over.
    Fenced,
    /// It has had fewer beats of the session that wants to write than it has acknowledged: it has
    /// forgotten something.
    WentBack,
    /// Its server rejects this name and password, or allows too little.
    Denied,
    /// Others write the same at the same time, again and again.
    Conflict,
    /// Anything else.
    Other,
}

impl Trouble {
    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Trouble::InUse(_) => "in_use",
            Trouble::Locked => "locked",
            Trouble::Full => "full",
            Trouble::ReadOnly => "read_only",
            Trouble::Corrupt => "corrupt",
            Trouble::Newer(_) => "newer",
            Trouble::Missing => "missing",
            Trouble::Untrusted => "untrusted",
            Trouble::Unreachable => "unreachable",
            Trouble::Fenced => "fenced",
            Trouble::WentBack => "went_back",
            Trouble::Denied => "denied",
            Trouble::Conflict => "conflict",
            Trouble::Other => "other",
        }
    }
}

impl StoreError {
    /// Trouble of some kind, and the fragment that says so.
    pub fn new(kind: Trouble, message: impl Into<String>) -> StoreError {
        StoreError { kind, message: message.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}
