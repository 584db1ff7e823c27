//! Due when runs of other jobs have ended: `after = "load"`.
//!
//! It names no due time: those of its parents are its own, and which of them come to be is decided where
//! the runs of the parents end (`crate::core::scheduler`, `after` there).

use std::fmt;
use std::time::Duration;

/// Due when runs of other jobs have ended, at their due time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfterTrigger {
    parents: Box<[Box<str>]>,
    on: On,
    within: Option<Duration>,
}

/// How a run of a parent has to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum On {
    /// It has succeeded.
    #[default]
    Succeeded,
    /// It has failed, after its last attempt.
    Failed,
    /// It has ended, however it did.
    Finished,
}

impl On {
    /// All of them.
    pub const ALL: [On; 3] = [On::Succeeded, On::Failed, On::Finished];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            On::Succeeded => "succeeded",
            On::Failed => "failed",
            On::Finished => "finished",
        }
    }
}

impl AfterTrigger {
    /// Due when the runs of all of these jobs for the same due time have ended so, and `within` that time
    /// after it. Each is named once; there is at least one.
    pub fn new(
        parents: impl Into<Box<[Box<str>]>>,
        on: On,
        within: Option<Duration>,
    ) -> AfterTrigger {
        AfterTrigger { parents: parents.into(), on, within }
    }

    /// The ids of the jobs.
    pub fn parents(&self) -> &[Box<str>] {
        &self.parents
    }

    /// How they have to have ended.
    pub fn on(&self) -> On {
        self.on
    }

    /// How long after the due time they may end.
    pub fn within(&self) -> Option<Duration> {
        self.within
    }

    /// Their ids in words: `a, b and c`.
    pub fn names(&self) -> impl fmt::Display {
        match &*self.parents {
            [] => String::new(),
            [one] => one.to_string(),
            [first @ .., last] => format!("{} and {last}", first.join(", ")),
        }
    }
}
