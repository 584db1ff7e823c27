//! What somebody has done, for the record.

use super::named::named;
use crate::core::instant::Instant;

named! {
    /// What was done.
    ChangeKind {
        /// A job, or all of them, were paused.
        Paused "paused",
        /// The contrary.
        Resumed "resumed",
        /// A job was added.
        Added "added",
        /// An added job was put in the place of another.
        Replaced "replaced",
        /// An added job was removed.
        Removed "removed",
        /// A job has other options.
        Modified "modified",
        /// A job has another trigger.
        Rescheduled "rescheduled",
        /// A job is again as its definition says.
        Reset "reset",
        /// A run was started by hand.
        Started "started",
        /// A run was stopped.
        Stopped "stopped",
        /// A notification was sent again.
        Resent "resent",
        /// Notifications that waited were dropped.
        Dropped "dropped",
        /// The scheduler was told to stop.
        Stopping "stopping",
    }
}

impl ChangeKind {
    /// Whether it is about what a job is, and not about what it does.
    pub fn is_of_job(&self) -> bool {
        match self {
            ChangeKind::Paused
            | ChangeKind::Resumed
            | ChangeKind::Added
            | ChangeKind::Replaced
            | ChangeKind::Removed
            | ChangeKind::Modified
            | ChangeKind::Rescheduled
            | ChangeKind::Reset => true,
            ChangeKind::Started
            | ChangeKind::Stopped
            | ChangeKind::Stopping
            | ChangeKind::Resent
            | ChangeKind::Dropped
            | ChangeKind::Other(_) => false,
        }
    }
}

/// Something that somebody has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Instant,
    /// To which job; `None`: to all of them, or to the scheduler.
    pub job: Option<Box<str>>,
    /// What.
    pub what: ChangeKind,
    /// Who: a user's name, or `schedrs`.
    pub by: Box<str>,
    /// Why, or in what way.
    pub detail: Option<Box<str>>,
}
