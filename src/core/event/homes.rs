//! What a scheduler of a fleet is told of the jobs that it decides, and of the runs of others.

use std::ops::Range;
use std::time::Duration;

use super::{Ended, JobRecord, Pause, RunId};
use crate::core::instant::{Instant, Mono};
use crate::core::outcome::Outcome;

/// Jobs that come and go between schedulers that share a store, and what comes with them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HomeChange {
    /// Jobs whose due times are decided here from now on.
    pub taken: Vec<TakenJob>,
    /// Jobs whose due times are not decided here any more. What has become a run stays here.
    pub given: Vec<Box<str>>,
    /// This scheduler was taken for dead: what it has decided and not had acknowledged does not count,
    /// and others decide it.
    pub fenced: bool,
    /// Runs of [`TakenJob::elsewhere`] that are over.
    pub ended: Vec<RunId>,
    /// Numbers for runs that nobody else has: used after those that were given before.
    pub numbers: Option<Range<u64>>,
    /// What others have of jobs, for whoever starts one of them here.
    pub seen: Vec<TakenJob>,
    /// Whether all jobs are paused, if that has changed.
    pub all_paused: Option<Option<Pause>>,
    /// Due times that are to be decided again, of jobs that are not among `taken`: a claim of this
    /// scheduler came late, or nothing had begun of a run whose host is dead.
    pub undecided: Vec<(Box<str>, Instant)>,
    /// Runs that are to be withdrawn when their due time is decided again. For whoever records that.
    pub withdrawn: Vec<(Box<str>, Instant, RunId)>,
    /// Runs of hosts that are dead, which are this scheduler's now and get another attempt.
    pub again: Vec<RunAgain>,
    /// Runs of this scheduler that others have begun again.
    pub disowned: Vec<RunId>,
    /// Runs of hosts that are dead, and so are they: for the jobs that are due after theirs on every host.
    pub over: Vec<Ended>,
    /// Due times that were decided here together, and what the store has of them.
    pub ranges: Vec<DecidedRange>,
    /// What the store has of jobs that are due after others.
    pub chains: Option<ChainLists>,
}

/// What a store has of jobs that are due after others (`crate::core::scheduler::after`): entries with
/// their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChainLists {
    /// Ends of parents that are to be followed.
    pub ends: Vec<(Box<str>, Box<str>)>,
    /// Due times for which some parents have ended.
    pub joins: Vec<(Box<str>, Box<str>)>,
    /// What is known of the parents: where their due times count from.
    pub records: Vec<JobRecord>,
    /// Jobs of which a dead host may have begun what the store has forgotten, if their parents had ended by
    /// then; and why that is lost.
    pub lost: Vec<(Box<str>, Instant, Box<str>)>,
}

/// Due times that were given one fate together. A store takes that record by the first of them, so that
/// it refuses all of it where another scheduler has decided the first.
#[derive(Clone, Debug, PartialEq)]
pub struct DecidedRange {
    /// Their job.
    pub job: Box<str>,
    /// The first of them.
    pub due: Instant,
    /// The last of them.
    pub last_due: Instant,
    /// Their fate.
    pub outcome: Outcome,
    /// What has a record in the store from the first on, each from a first to a last due time: the
    /// rest has none.
    pub fates: Vec<(Instant, Instant)>,
}

/// A run of a host that is dead, to be begun once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAgain {
    /// The run.
    pub run: RunId,
    /// Its job.
    pub job: Box<str>,
    /// The due time it is for.
    pub due: Instant,
    /// The number of the attempt that is lost.
    pub attempt: u32,
    /// When its first attempt was started, if that is known.
    pub started: Option<Instant>,
    /// Which of the places of its job it has.
    pub place: Option<u16>,
    /// Why the attempt is lost.
    pub reason: String,
}

/// A job whose due times are decided here from now on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakenJob {
    /// Its id.
    pub id: Box<str>,
    /// What is known of it; `None`: nobody has decided anything of it.
    pub record: Option<JobRecord>,
    /// Due times before its [`JobRecord::decided`] that have no fate: they waited for a slot when
    /// their scheduler died.
    pub undecided: Vec<Instant>,
    /// The due times, each from a first to a last one, that have a fate or a run.
    pub fates: Vec<(Instant, Instant)>,
    /// From when on those are all there are. A due time between then and [`JobRecord::decided`] that
    /// is not among them is undecided too: it waited for its jitter, or for a clock that was ahead.
    pub fates_since: Option<Instant>,
    /// Its runs that other schedulers have, in the order in which they came. They are looked after
    /// until they have ended, also when the job goes away again.
    pub elsewhere: Vec<Elsewhere>,
    /// Due times up to here that have no fate are lost, and why: a scheduler that is dead may have
    /// begun them.
    pub lost_until: Option<(Instant, Box<str>)>,
}

/// A run that another scheduler has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The run.
    pub run: RunId,
    /// The due time it is for.
    pub due: Instant,
    /// It waits there, and has not begun.
    pub waits: bool,
    /// Which of the places of its job it has.
    pub place: Option<u16>,
}

/// How far a store that several schedulers share has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// It has answered everything.
    #[default]
    None,
    /// It has answered what it was asked up to this time and nothing since: runs of which it was asked
    /// later are only held.
    Since(Mono),
    /// The same for so long that the others may have taken this scheduler for dead: what it decided
    /// now might not count.
    Cut(Mono),
}

impl Silence {
    /// Up to when it has answered, if not everything.
    pub(crate) fn answered(self) -> Option<Mono> {
        match self {
            Silence::None => None,
            Silence::Since(answered) | Silence::Cut(answered) => Some(answered),
        }
    }
}

/// Why a run may not begin, though its due time has no fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many runs of the job as may be are active elsewhere.
    Busy,
    /// By the clock of the store it is too early, by so much.
    Early(Duration),
    /// The store has not answered for longer than the due time may be late, or the others have taken
    /// this scheduler for dead before it began.
    NoStore,
}
