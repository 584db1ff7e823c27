//! What a client that follows is told, and by whom: `crate::run::output` has what runs print.

use std::fmt;
use std::sync::Arc;

use crate::core::event::RunId;
use crate::core::printed::Printed;

/// Whoever has what runs print, and passes it on.
pub trait Follow: Send + Sync + fmt::Debug {
    /// Has all that runs of a job print from here on given to `sink` as well; of all jobs without
    /// one. With `past` it gets first what is kept of what active runs have printed so far.
    fn follow(&self, job: Option<Box<str>>, past: bool, sink: FollowSink) -> FollowId;

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
        job: Box<str>,
        run: RunId,
        /// On its standard error.
        is_stderr: bool,
        /// What; not necessarily whole lines.
        bytes: Vec<u8>,
    },
    /// A run that had printed something has ended.
    Ended { job: Box<str>, run: RunId },
    /// What is kept of what an active run has printed in whole lines so far.
    Past { job: Box<str>, run: RunId, printed: Printed },
    /// That was what there was before.
    Present,
}
