//! Requests to a running schedrs, by clients of its socket and by a program that it is
//! embedded in.

use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::store::Query;

/// A request. What its keys mean is described in `doc/control.md`; what it is answered with, if it
/// can be done, stands with each that reaches the loop.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the keys are described in doc/control.md")]
pub enum Request {
    /// [`Response::Jobs`](crate::core::event::Response::Jobs).
    List {
        from: u32,
        limit: u64,
    },
    /// [`Response::Job`](crate::core::event::Response::Job).
    Show {
        job: Box<str>,
    },
    /// [`Response::Status`](crate::core::event::Response::Status), at once whatever hangs.
    Status,
    /// [`Response::Vitals`](crate::core::event::Response::Vitals), in the same way.
    Health,
    /// [`Response::Started`](crate::core::event::Response::Started), and with `wait`
    /// [`Response::Ended`](crate::core::event::Response::Ended) as well.
    Start {
        job: Box<str>,
        force: bool,
        wait: bool,
        on: Option<Box<str>>,
    },
    /// [`Response::Stopped`](crate::core::event::Response::Stopped).
    Stop(Target),
    /// [`Response::Done`](crate::core::event::Response::Done), as for the next two.
    Pause {
        job: Option<Box<str>>,
        until: Option<Instant>,
        reason: Option<Box<str>>,
    },
    Resume {
        job: Option<Box<str>>,
    },
    Remove {
        job: Box<str>,
    },
    /// A job that is in no file: `text` is what stands below `[jobs.ID]` in a jobfile.
    /// [`Response::Job`](crate::core::event::Response::Job), as for the next three.
    Add {
        job: Box<str>,
        text: Box<str>,
        replace: bool,
    },
    /// Other values for options of a job, as TOML, but not for its trigger. They are kept, and
    /// stand over those of its definition.
    Modify {
        job: Box<str>,
        text: Box<str>,
    },
    /// Another trigger, as TOML: one of `cron`, `interval` and `date`, with the keys that belong to
    /// them.
    Reschedule {
        job: Box<str>,
        text: Box<str>,
    },
    /// The job as its definition says, without what was modified and rescheduled.
    Reset {
        job: Box<str>,
    },
    /// Read the jobfile again. [`Response::Reloaded`](crate::core::event::Response::Reloaded).
    Reload,
    /// Do something about notifications. [`Response::Notified`](crate::core::event::Response::Notified).
    Notify(Notify),
    /// Stop, without `stop_grace` if `now`. [`Response::Done`](crate::core::event::Response::Done), at
    /// once.
    Shutdown {
        now: bool,
    },
    /// This and what follows is answered by the socket's own thread, some of it from the store.
    Ping,
    Export {
        format: Format,
        from: u32,
    },
    History(Query),
    Output {
        run: RunId,
    },
    Follow {
        job: Option<Box<str>>,
        past: bool,
    },
    Unfollow,
    /// What happens, after what has this number or from now on.
    Events {
        job: Option<Box<str>>,
        since: Option<u64>,
    },
    Attempts {
        run: RunId,
    },
    Changes {
        job: Option<Box<str>>,
        since: Instant,
        until: Instant,
    },
    Sessions,
    /// What watches many schedulers wants to know: of this one, and of its jobs from there on if
    /// they are wanted.
    Metrics {
        jobs: bool,
        from: u32,
    },
}

impl Request {
    /// The job that it is about.
    pub fn job(&self) -> Option<&str> {
        match self {
            Request::Show { job }
            | Request::Start { job, .. }
            | Request::Stop(Target::Job(job))
            | Request::Pause { job: Some(job), .. }
            | Request::Resume { job: Some(job) }
            | Request::Remove { job }
            | Request::Add { job, .. }
            | Request::Modify { job, .. }
            | Request::Reschedule { job, .. }
            | Request::Reset { job } => Some(job),
            _ => None,
        }
    }
}

/// What is to be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All active runs of a job.
    Job(Box<str>),
    Run(RunId),
}

/// What is to be done about notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notify {
    /// One that has ended is to be sent once more.
    Again {
        /// The beginning of its id.
        id: Box<str>,
        /// What the store has of it, once that was read.
        entry: Option<Box<str>>,
    },
    /// What waits is not to be sent: on the route of this name, or the one whose id begins so.
    Drop(Box<str>),
}

/// How jobs are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A jobfile.
    Toml,
    /// Objects with the same keys.
    Json,
}
