//! What a scheduler of a fleet is told of the jobs that it decides, and of the runs of others.

use std::ops::Range;
use std::time::Duration;

use super::{JobRecord, Pause, RunId};
use crate::core::instant::Instant;

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
    /// Whether all jobs are paused, if that has changed.
    pub all_paused: Option<Option<Pause>>,
}

/// A job whose due times are decided here from now on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TakenJob {
    /// Its id.
    pub id: Box<str>,
    /// What is known of it; `None`: nobody has decided anything of it.
    pub record: Option<JobRecord>,
    /// Due times before its [`JobRecord::decided`] that have no fate: they waited for a slot or for
    /// their jitter when their scheduler died.
    pub undecided: Vec<Instant>,
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
