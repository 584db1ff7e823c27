//! What the protocol is told and what it wants done: plain data.

use crate::core::fleet::home::HomeJob;
use crate::core::fleet::{JobList, Member, SessionId, View};
use crate::core::instant::{Instant, Mono};

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Time has passed, or may have.
    Tick,
    /// The store has answered [`Output::Join`] or [`Output::Beat`].
    Beaten {
        /// What it answered.
        view: &'a View,
        /// When the call began.
        sent: Mono,
    },
    /// The store has answered [`Output::NewGeneration`].
    Renewed {
        /// What it answered.
        view: &'a View,
    },
    /// A commit of facts, or an adoption, was acknowledged, which counts as a beat.
    Committed {
        /// How many beats the store has had now.
        beat: u64,
        /// When the call began.
        sent: Mono,
        /// The counter of changes, as [`View::changes`] has it; of a commit only.
        changes: Option<u64>,
    },
    /// The store has refused a commit or an adoption, because it has had fewer beats of this session
    /// than it has acknowledged.
    Refused,
    /// The store did not answer a call, whichever.
    Failed,
    /// The store has refused a commit because this session is gone.
    Fenced,
    /// The answer to [`Output::Reap`].
    Reaped {
        whom: SessionId,
        /// It is gone now. If not, it was alive after all, or somebody was faster.
        done: bool,
    },
    /// [`Output::TellAgain`] was done and acknowledged.
    Told {
        /// The generation it was asked for.
        generation: u64,
    },
    /// The answer to [`Output::Files`].
    Files(&'a [(u64, JobList)]),
    /// This scheduler has a jobfile: at the start, or another one by a reload, or jobs were added
    /// or removed at run time.
    Loaded {
        /// The jobfile, as it was named.
        jobfile: Box<str>,
        /// A hash of its jobs (those that were added are not in it).
        hash: u64,
        jobs: Vec<HomeJob>,
    },
    /// This scheduler is to stop: it decides nothing more.
    Leave,
    /// It has another id now, as [`Output::Rejoin`] wants.
    Renamed(SessionId),
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// `Shared::join` with [`Fleet::me`](super::Fleet::me) and [`Fleet::list`](super::Fleet::list): at the start, with another jobfile, and
    /// when the store has forgotten this session.
    Join,
    /// `Shared::beat` with [`Fleet::me`](super::Fleet::me).
    Beat,
    /// `Shared::leave`.
    Leave,
    /// `Shared::reap`.
    Reap {
        /// The session that is dead.
        whom: SessionId,
        /// Its last beat: if it has another now, nothing happens.
        beat: u64,
    },
    /// This session is gone. Take back what is claimed and has not begun, take another id, and say so
    /// by [`Input::Renamed`].
    Rejoin,
    /// `Shared::files` of these hashes.
    Files(Vec<u64>),
    /// `Shared::new_generation`: the store has forgotten what it had acknowledged.
    NewGeneration {
        /// The number it has: another one means that somebody was faster.
        seen: u64,
        /// The new one has to be above this as well.
        above: u64,
    },
    /// The store may have forgotten. Commit again what was acknowledged in the last minute and what
    /// is known of the jobs at home here; then `Shared::put_back` of these; then say so by
    /// [`Input::Told`].
    TellAgain {
        generation: u64,
        /// Sessions that the store does not know any more, as it had them.
        members: Vec<Member>,
        /// Their files.
        files: Vec<(u64, JobList)>,
    },
    /// These jobs are at home here from now on, or no longer.
    Homes {
        /// The former: read what there is to know of them (`Shared::take_up`) and decide their due
        /// times.
        taken: Vec<Taken>,
        /// The latter: decide nothing of them any more.
        given: Vec<Box<str>>,
    },
    /// Something worth a log line.
    Notice(Notice),
}

/// A job that is at home here from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub job: Box<str>,
    /// Due times up to here that have no fate are lost: a session that is gone may have begun them,
    /// and the store has forgotten whether it did.
    pub lost_until: Option<Instant>,
}

/// Something worth a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another session is there.
    Joined(SessionId),
    /// Another session leaves.
    Leaves(SessionId),
    /// Another session has ended as it should, or its host has found it dead when it came back.
    Left(SessionId),
    /// Another session is gone.
    Gone(SessionId),
    /// This session is gone, as others see it.
    Fenced,
    /// The store has forgotten what it had acknowledged.
    WentBack {
        /// How that was noticed.
        how: &'static str,
    },
    /// It has a new generation, and nothing begins until all have told again what they know.
    NewGeneration(u64),
    /// They have.
    AllTold(u64),
}
