//! A store that several schedulers use at once: the rest of the contract.
//!
//! Whoever writes is a *session* (`crate::core::fleet`), and what it writes counts only while it is
//! not gone: each commit is fenced by it. Each also names the last beat of the session that was
//! acknowledged (`acked`); a store whose counter is below that has forgotten something, and takes
//! nothing more of the session until that knows. The rules that make one run of each due time out of
//! these operations are pure, and not here; the keeper calls them in between. Each operation is one
//! transaction, and each may be repeated after an error: what it did is not done twice.
//!
//! An engine never reads this host's clock, retries nothing on its own but deadlocks, and after any
//! error or time-out throws its connection away; the next call makes another.

use std::fmt;
use std::ops::Range;

use super::{Fact, OpenRun, StoreError, Trouble};
use crate::core::event::{ActiveElsewhere, Elsewhere, JobRecord, Pause, RunId};
use crate::core::fleet::{Lost, Member, SessionId, View};
use crate::core::instant::Instant;
use crate::core::outcome::Doing;
use crate::sys::machine;

/// So many run numbers are in a block.
pub const RUN_NUMBERS: u64 = 256;

/// So far ahead of the store's clock a due time may be claimed, in microseconds: what is due later is
/// [`Lost::Early`].
pub const EARLY: i64 = 2_000_000;

/// A record is kept for so long at least, in microseconds, however few are to be kept: it is the claim
/// that a host finds which has not heard of it.
pub const CLAIMS_KEPT: i64 = 900_000_000;

/// Requests are kept for so long at most, in microseconds: nobody waits for an answer any more.
pub const ASKS_KEPT: i64 = 3_600_000_000;

/// Gone sessions are in a [`View`] for so long, in microseconds.
pub const REMEMBERED: i64 = 3_600_000_000;

/// Ids of jobs with a fingerprint of what each of them is.
pub type Fingerprints = Vec<(Box<str>, u64)>;

/// The jobs of files, by the hash of the file.
pub type Files = Vec<(u64, Fingerprints)>;

/// What a server is set to that says what it keeps of what it has acknowledged: names and values.
pub type ServerSettings = Vec<(Box<str>, Box<str>)>;

/// See the [module](self).
pub trait Shared {
    /// A session begins, with these jobs in its file. Beats are counted from 1; `changes` moves.
    /// The jobs are written once for each hash of a file. With an id that is there already it is a beat
    /// with another file: what is known of the session is replaced as [`Shared::beat`] does. `joined` and `seen` are the
    /// store's time, and so is `loaded`, unless a live session or one of the last hour with the same
    /// machine and file hash has a `loaded` already: then that.
    fn join(&mut self, me: &Member, jobs: &[(Box<str>, u64)]) -> Result<View, StoreError>;

    /// A beat: one more where the session is not gone, and what else is said of it in `me` (file,
    /// `generation`, offset, jobs at home, running); a session that is gone or unknown changes nothing,
    /// and neither does one whose counter is below `me.beat`: as the view shows, that beat is forgotten.
    fn beat(&mut self, me: &Member) -> Result<View, StoreError>;

    /// Takes these facts, in this order, all or none, if the session is not gone; counts as a beat.
    /// A claim that is lost changes nothing, and neither does what follows of its run; a claim that
    /// this run has won before counts as won.
    ///
    /// # Errors
    ///
    /// [`super::Trouble::Fenced`]: the session is gone or unknown, and nothing was changed.
    /// [`super::Trouble::WentBack`]: its counter is below `acked`, or it is unknown and that is not 0;
    /// nothing was changed either.
    fn commit(
        &mut self,
        me: SessionId,
        acked: u64,
        facts: &[Fact],
    ) -> Result<Committed, StoreError>;

    /// Marks `whom` as gone if its counter is still `beat`; `changes` moves. Its open runs stay as they
    /// are: whoever has their jobs decides about them. Answers false, and changes nothing, if it was
    /// alive after all, or is gone already.
    fn reap(&mut self, by: SessionId, whom: SessionId, beat: u64) -> Result<bool, StoreError>;

    /// Runs of other sessions, which are over, go on with this one: it becomes their session and its
    /// host their host. One that was called `lost` is open again, without a slot; one that is open
    /// keeps its slot. Each is named with the session that has had it: a run that is no longer of
    /// that session, or has ended in another way, is left as it is. Counts as a beat.
    ///
    /// # Errors
    ///
    /// As with [`Shared::commit`].
    fn adopt(
        &mut self,
        me: SessionId,
        acked: u64,
        runs: &[(RunId, SessionId)],
    ) -> Result<Adopted, StoreError>;

    /// The session is about to end; with `ended` it has. `changes` moves. Its runs stay as they are.
    fn leave(&mut self, me: SessionId, ended: bool) -> Result<(), StoreError>;

    /// What there is to know of jobs (of all: none named) for whoever makes them its own. In the
    /// records `decided` is the latest of what was said of the job and what its records are for that
    /// its trigger has named.
    fn take_up(&mut self, jobs: &[Box<str>]) -> Result<TakenUp, StoreError>;

    /// The jobs of files, by the hash of the file; a hash that nobody knows is left out.
    fn files(&mut self, hashes: &[u64]) -> Result<Files, StoreError>;

    /// [`RUN_NUMBERS`] numbers of runs that nobody else gets, above all that were ever used.
    fn run_numbers(&mut self) -> Result<Range<u64>, StoreError>;

    /// Leaves a request for another session; `changes` moves. One with the same id is left as it is.
    fn ask(&mut self, asked: &Asked) -> Result<(), StoreError>;

    /// Requests to a session that have no answer yet, and those by it that have one; the oldest
    /// first.
    fn asks(&mut self, session: SessionId) -> Result<Vec<Asked>, StoreError>;

    /// Answers a request. An answer that is there already stays.
    fn answer(&mut self, id: u64, answer: &str) -> Result<(), StoreError>;

    /// The store has forgotten what it knew: a new number for what it knows from now on, one more
    /// than the higher of `seen` and `above`. Joins `me` if the store does not know it. If the
    /// generation is not `seen`, that is all: somebody else was faster.
    fn new_generation(&mut self, me: &Member, seen: u64, above: u64) -> Result<View, StoreError>;

    /// What the server is set to: for `doctor`. Nothing, where there is nothing to say.
    fn settings(&mut self) -> Result<ServerSettings, StoreError> {
        Ok(ServerSettings::new())
    }

    /// Sessions and files that the store has forgotten, as somebody has known them. What it knows
    /// stays as it is.
    fn put_back(&mut self, members: &[Member], files: &Files) -> Result<(), StoreError>;
}

/// What has come of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The claims that were lost, and why.
    pub lost: Vec<(RunId, Lost)>,
    /// The session's counter.
    pub beat: u64,
    /// The time by the store's clock.
    pub now: Instant,
    /// The counter of changes, as [`View::changes`] has it.
    pub changes: u64,
}

/// What has come of an adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The runs that are this session's now, and open.
    pub runs: Vec<RunId>,
    /// The session's counter.
    pub beat: u64,
}

/// What there is to know of jobs for whoever makes them its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakenUp {
    /// What is remembered of each, where something is.
    pub jobs: Vec<JobRecord>,
    /// Their runs that are not over, wherever they are.
    pub open: Vec<OpenElsewhere>,
    /// Whether all jobs are paused.
    pub all_paused: Option<Pause>,
}

/// A run that is not over, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenElsewhere {
    /// The session that has claimed it.
    pub session: SessionId,
    /// What people call the host.
    pub host: Box<str>,
    /// The slot of its job that it holds.
    pub slot: Option<u16>,
    /// The run.
    pub run: OpenRun,
}

impl Elsewhere {
    /// The same, as the scheduler has it.
    pub(crate) fn of(open: &OpenElsewhere) -> Elsewhere {
        let (run, due, place) = (open.run.run, open.run.due, open.slot);
        Elsewhere { run, due, waits: open.run.attempt == 0, place }
    }
}

impl ActiveElsewhere {
    /// The same, as people are told of it.
    pub(crate) fn of(open: &OpenElsewhere) -> ActiveElsewhere {
        let run = &open.run;
        let doing = match (run.attempt, &run.last) {
            (0, _) => None,
            (_, Some(_)) => Some(Doing::Retrying),
            (_, None) => Some(Doing::Running),
        };
        ActiveElsewhere {
            run: run.run,
            job: run.job.clone(),
            due: run.due,
            attempt: run.attempt,
            doing,
            started: run.started,
            host: open.host.clone(),
        }
    }
}

/// A request from one session to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its number: random.
    pub id: u64,
    /// Whom it is for.
    pub to: SessionId,
    /// By what whoever asks finds the answer: a session, or a number that is none.
    pub from: SessionId,
    /// Who asks, for the record.
    pub by: Box<str>,
    /// When.
    pub at: Instant,
    /// What is asked, as the control socket has it: a line of JSON.
    pub request: Box<str>,
    /// The answer, in the same form, once there is one.
    pub answer: Option<Box<str>>,
}

/// What a session is told of which nothing is taken. `gone`: what the store has of it, if it knows it.
pub(super) fn refusal(me: SessionId, acked: u64, gone: Option<bool>) -> StoreError {
    // One that is unknown and has had no answer has never joined.
    if gone.unwrap_or(acked == 0) {
        return StoreError::new(Trouble::Fenced, format!("has closed session {me}"));
    }
    StoreError::new(Trouble::WentBack, format!("has forgotten a heartbeat of session {me}"))
}

/// What somebody sees who is none of the sessions, and changes nothing by that.
///
/// # Errors
///
/// As with [`Shared::beat`].
pub fn look(store: &mut dyn Shared) -> Result<View, StoreError> {
    store.beat(&Member::new(SessionId(machine::random()), ""))
}

impl fmt::Debug for dyn Shared + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}
