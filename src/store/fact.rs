//! What a store is told: see `super`.

use std::time::Duration;

use crate::core::event::{Change, JobRecord, Pause, Process, RunId};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::record::Session;
use crate::core::usage::Usage;

/// Something that is so, to be remembered.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A scheduler has begun to use the store.
    Began(Session),
    /// It has ended as it should.
    Stopped {
        /// When.
        at: Instant,
    },
    /// What there is to remember of a job, in the place of what was known of it.
    Job(Box<JobRecord>),
    /// A job is gone. What became of its due times stays, for as long as the store keeps such.
    Gone {
        /// Its id.
        job: Box<str>,
    },
    /// All jobs are paused, or no longer.
    AllPaused(Option<Pause>),
    /// A due time has become a run: the claim. If the due time of this job is claimed already, or
    /// has a fate, the claim is lost and changes nothing.
    Admitted {
        /// The run.
        run: RunId,
        /// The job.
        job: Box<str>,
        /// The due time.
        due: Instant,
        /// When it was admitted.
        at: Instant,
        /// Who has asked for it, if its trigger did not name the due time.
        by: Option<Box<str>>,
        /// With `run_on = "all"` the host, which is then a part of the claim: each host has one of
        /// its own. A store that serves one scheduler has no need of it.
        host: Option<Box<str>>,
        /// The slot of its job that the run holds until it is over, from 0: no other run of the job
        /// can have it. `None`: it holds none. A store that serves one scheduler ignores it.
        slot: Option<u16>,
    },
    /// An attempt is about to be started: from here on there may be a process.
    Starting {
        /// The run.
        run: RunId,
        /// The number of the attempt, from 1.
        attempt: u32,
    },
    /// Nothing has come of that: there is no process, and the same attempt is to be started again
    /// later. Until then it is as if it had never been about to.
    Postponed {
        /// The run.
        run: RunId,
        /// The number of the attempt.
        attempt: u32,
    },
    /// The process of an attempt exists.
    Started {
        /// The run.
        run: RunId,
        /// The number of the attempt.
        attempt: u32,
        /// Its process.
        process: Process,
        /// When it was made.
        at: Instant,
    },
    /// An attempt has ended, and another will follow.
    AttemptEnded {
        /// The run.
        run: RunId,
        /// The number of the attempt.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// When.
        at: Instant,
    },
    /// A run is over.
    Ended {
        /// The run.
        run: RunId,
        /// Its job.
        job: Box<str>,
        /// What became of it.
        outcome: Outcome,
        /// From the start of the first attempt to the end of the last.
        duration: Duration,
        /// How many attempts there were.
        attempts: u32,
        /// When.
        at: Instant,
        /// What they have used, as far as that is known.
        usage: Option<Usage>,
    },
    /// What became of due times that did not become a run. Where one has a fate already, that
    /// stays. In a store that several schedulers share a record of several due times speaks for each of
    /// them: none is taken of due times of which another record speaks, nor is a claim of one of them,
    /// unless somebody has asked for that run.
    Fate {
        /// The job.
        job: Box<str>,
        /// The due time, or the first of several.
        due: Instant,
        /// The last of them.
        last_due: Instant,
        /// How many.
        count: u64,
        /// What became of them.
        outcome: Outcome,
        /// When that was decided.
        at: Instant,
        /// With `run_on = "all"` the host: as with a claim.
        host: Option<Box<str>>,
    },
    /// A run has been taken back before an attempt was about to be started: it is as if it had
    /// never been admitted, and its due time is undecided again.
    Withdrawn {
        /// The run.
        run: RunId,
    },
    /// How much a run whose output is captured has printed, and the end of that.
    Output {
        /// The run.
        run: RunId,
        /// Its last bytes, stdout and stderr as they came; if there are none, none are kept.
        tail: Box<[u8]>,
        /// How many bytes it has printed in all.
        total: u64,
    },
    /// Somebody has changed something: for `why` and the curious.
    Change(Change),
    /// An entry of a named list, in the place of what it was. What the scheduler keeps there is its own
    /// business: the store knows nothing of it. It is about no run, so that no lost claim touches it,
    /// and a session that is gone writes none.
    Entry {
        /// The list: at most 64 bytes of ASCII.
        list: Box<str>,
        /// What tells it from the others of the list: at most 512 bytes.
        key: Box<str>,
        /// At most 64 KiB; `None`: it is gone.
        value: Option<Box<str>>,
    },
}

impl Fact {
    /// The run it is about, if it is about one.
    pub(crate) fn run(&self) -> Option<RunId> {
        match self {
            Fact::Admitted { run, .. }
            | Fact::Starting { run, .. }
            | Fact::Postponed { run, .. }
            | Fact::Started { run, .. }
            | Fact::AttemptEnded { run, .. }
            | Fact::Ended { run, .. }
            | Fact::Withdrawn { run }
            | Fact::Output { run, .. } => Some(*run),
            Fact::Began(_)
            | Fact::Stopped { .. }
            | Fact::Job(_)
            | Fact::Gone { .. }
            | Fact::AllPaused(_)
            | Fact::Fate { .. }
            | Fact::Change(_)
            | Fact::Entry { .. } => None,
        }
    }

    /// When it became so, if it says.
    pub(super) fn at(&self) -> Option<Instant> {
        match self {
            Fact::Began(session) => Some(session.began),
            Fact::Change(change) => Some(change.at),
            Fact::Stopped { at }
            | Fact::Admitted { at, .. }
            | Fact::Started { at, .. }
            | Fact::AttemptEnded { at, .. }
            | Fact::Ended { at, .. }
            | Fact::Fate { at, .. } => Some(*at),
            Fact::Job(_)
            | Fact::Gone { .. }
            | Fact::AllPaused(_)
            | Fact::Starting { .. }
            | Fact::Postponed { .. }
            | Fact::Withdrawn { .. }
            | Fact::Output { .. }
            | Fact::Entry { .. } => None,
        }
    }
}
