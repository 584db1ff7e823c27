//! Asking a running scheduler: what clients of the control socket, and programs that embed the
//! scheduler, may want of its loop.
//!
//! A [`Call`] goes to the loop in `crate::daemon`, which reads what is text in it, puts the rest to
//! `crate::scheduler` and answers by calling [`Call::reply`]. The loop never waits for whoever has
//! asked.
//!
//! `server` is the socket and its thread, `wire` what is said over it (`doc/control.md`), and
//! `client` the other end, which the subcommands use. `claim` keeps a second scheduler from the same
//! jobfile, and finds the one that has it.

pub(crate) mod claim;
pub mod client;
mod definition;
pub mod server;
mod socket;
pub mod wire;

use std::fmt;
use std::sync::Arc;

use crate::event::{Answer, JobDetail, Want};
use crate::instant::Instant;
use crate::job::{Executor, Settings};

/// The way to the loop.
pub type Line = Arc<dyn Fn(Call) + Send + Sync>;

/// Something that is asked of the loop.
pub struct Call {
    /// Who asks: the name of a user, for the record.
    pub by: Box<str>,
    /// What is wanted.
    pub wish: Wish,
    /// Takes the answer, on the loop's thread: it must not block. It is called once, or twice for
    /// a [`Want::Start`] with `wait`.
    pub reply: Arc<dyn Fn(Reply) + Send + Sync>,
}

/// What may be wanted of the loop.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// What the scheduler itself can answer. (Not [`Want::Add`] and [`Want::Change`]: for those
    /// there is a text to be read first, below.)
    Want(Want),
    /// A job that is in no file. Answer: [`Answer::Job`] or [`Reply::Warned`].
    Add {
        /// Its id.
        id: Box<str>,
        /// Its keys as TOML: what stands below `[jobs.ID]` in a jobfile.
        text: Box<str>,
        /// If there is an added job of this id, put this one in its place.
        replace: bool,
    },
    /// Other values for options of a job, but not for its trigger. They are kept, and stand over
    /// those of its definition. Answer: [`Answer::Job`] or [`Reply::Warned`].
    Modify {
        /// The job.
        job: Box<str>,
        /// Keys of a job as TOML.
        text: Box<str>,
    },
    /// Another trigger: one of `cron`, `interval` and `date`, with `timezone`, `start_date`,
    /// `end_date` and `jitter`. Answer: [`Answer::Job`] or [`Reply::Warned`].
    Reschedule {
        /// The job.
        job: Box<str>,
        /// Keys of a job as TOML.
        text: Box<str>,
    },
    /// The job as its definition says, without what was modified and rescheduled. Answer:
    /// [`Answer::Job`].
    Reset {
        /// The job.
        job: Box<str>,
    },
    /// How it is. Answer: [`Reply::Health`].
    Health,
    /// Read the jobfile again. Answer: [`Reply::Reloaded`].
    Reload,
    /// Stop. Answer: [`Answer::Done`], at once.
    Shutdown {
        /// Without `stop_grace`.
        now: bool,
    },
}

/// What the loop answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// What the scheduler has answered.
    Answer(Answer),
    /// What the scheduler has answered to a text that is taken, but is odd.
    Warned {
        /// The job, as in [`Answer::Job`].
        job: Box<JobDetail>,
        /// What is probably not meant, each a sentence without a full stop.
        warnings: Vec<String>,
    },
    /// To [`Wish::Health`].
    Health(Box<Health>),
    /// To [`Wish::Reload`]: how many jobs are what.
    Reloaded {
        /// New.
        added: usize,
        /// Different.
        changed: usize,
        /// Gone.
        removed: usize,
        /// As they were.
        unchanged: usize,
    },
}

/// How a scheduler is.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is not as it should be, each a sentence without a full stop; empty: all is well.
    pub reasons: Vec<String>,
    /// The version of schedrs.
    pub version: &'static str,
    /// Its process id.
    pub pid: u32,
    /// When it was started.
    pub started: Instant,
    /// The jobfile, as it was named.
    pub jobfile: Box<str>,
    /// When the jobfile was last read and found good.
    pub loaded: Instant,
    /// The store: `memory` or `sqlite:PATH`.
    pub store: Box<str>,
    /// The name of the scheduler's zone.
    pub timezone: Box<str>,
    /// It is stopping.
    pub stopping: bool,
    /// What the jobfile says of the scheduler, for an export.
    pub settings: Settings,
    /// The executors, in the order in which jobs count them.
    pub executors: Arc<[Executor]>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("by", &self.by).field("wish", &self.wish).finish()
    }
}
