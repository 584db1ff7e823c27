//! What a client that follows is told, and by whom: `crate::run::output` has what runs print.

use std::fmt;
use std::sync::Arc;

use crate::core::event::RunId;

/// Whoever has what runs print, and passes it on.
pub trait Follow: Send + Sync + fmt::Debug {
    /// Has all that runs of a job print from here on given to `sink` as well; of all jobs without
    /// one.
    fn follow(&self, job: Option<Box<str>>, sink: FollowSink) -> FollowId;

    /// Ends that.
    fn unfollow(&self, id: FollowId);
}

/// Takes what a run of a followed job prints. It must not block.
pub type FollowSink = Arc<dyn Fn(Followed) + Send + Sync>;

/// Names one who follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowId(pub u64);

/// What one who follows a job is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// A run has printed something.
    Output {
        /// The job.
        job: Box<str>,
        /// The run.
        run: RunId,
        /// On its standard error.
        is_stderr: bool,
        /// What; not necessarily whole lines.
        bytes: Vec<u8>,
    },
    /// A run that had printed something has ended.
    Ended {
        /// The job.
        job: Box<str>,
        /// The run.
        run: RunId,
    },
}
