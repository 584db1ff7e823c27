//! What jobs and schedulers look like in JSON; a run is a `crate::history::object`.
//!
//! Times are RFC 3339, in the job's zone where a job is known and in UTC elsewhere; durations are
//! milliseconds. A key that does not apply is left out. No command is in a list, because many
//! people put secrets there.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::core::event::{Change, Health, JobDetail, JobView, Paused, Status};
use crate::core::instant::Instant;
use crate::core::job::Command;
use crate::core::outcome::Outcome;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::object::RunObject;
use crate::jobfile::masked;
use crate::store::{AttemptRecord, Session};

/// Makes structs that are written without what they do not have, and read with or without it.
macro_rules! views {
    ($($(#[doc = $about:literal])+ $name:ident {
        $($(#[doc = $what:literal])+ $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
            #[serde(default)]
            pub struct $name {
                $(
                    $(#[doc = $what])+
                    #[serde(skip_serializing_if = "Skip::skip")]
                    pub $field: $type,
                )*
            }
        )*
    };
}

views! {
    /// A job in a list.
    JobLine {
        /// Its id.
        id: String,
        /// What people call it.
        name: Option<String>,
        /// `running`, `waiting`, `paused`, `scheduled` or `finished`, the first that is so.
        state: String,
        /// Its trigger in words.
        schedule: String,
        /// The name of its zone.
        timezone: String,
        /// The next due time.
        next: Option<String>,
        /// Runs with a process.
        running: u32,
        /// Runs that wait.
        waiting: u32,
        /// It was added at run time.
        added: bool,
        /// Something of it was changed at run time.
        overridden: bool,
        /// Why it is paused.
        paused: Option<PausedView>,
        /// Its last outcome.
        last: Option<RunObject>,
    }

    /// Why a job is paused.
    PausedView {
        /// By what: `file`, `job` or `all`.
        what: String,
        /// Since when.
        since: Option<String>,
        /// Until when.
        until: Option<String>,
        /// Who did it.
        by: Option<String>,
        /// Why.
        reason: Option<String>,
    }

    /// Everything about a job.
    JobDetails {
        /// How it stands.
        job: JobLine,
        /// Its executor.
        executor: String,
        /// What it runs: a string for the shell, or an array.
        command: Option<Value>,
        /// When it was first scheduled.
        anchor: String,
        /// The options that differ from the defaults, by their keys; values of `env` are hidden.
        options: Option<Value>,
        /// What was changed at run time, as TOML.
        overrides: Option<String>,
        /// Its definition as TOML, if it was added at run time.
        toml: Option<String>,
        /// Its active runs.
        active: Vec<RunObject>,
        /// Its next few due times.
        upcoming: Vec<String>,
    }

    /// How a scheduler is.
    StatusView {
        /// `ok` or `degraded`.
        health: String,
        /// What is not as it should be.
        reasons: Vec<String>,
        /// The version of schedrs.
        version: String,
        /// Its process.
        pid: u32,
        /// When it was started.
        started: String,
        /// Its jobfile.
        jobfile: String,
        /// When that was last read and found good.
        loaded: String,
        /// Its store.
        store: String,
        /// The name of its zone.
        timezone: String,
        /// It is stopping.
        stopping: bool,
        /// How many jobs it has.
        jobs: usize,
        /// Runs with a process.
        running: usize,
        /// Runs that wait.
        waiting: usize,
        /// The next due time.
        next: Option<String>,
        /// Whose that is.
        next_job: Option<String>,
        /// All jobs are paused.
        paused: Option<PausedView>,
        /// Its active runs.
        active: Vec<RunObject>,
    }

    /// An attempt of a run.
    AttemptView {
        /// Its number, from 1.
        attempt: u32,
        /// Its process.
        pid: Option<u32>,
        /// When that was made.
        started: Option<String>,
        /// When it ended.
        ended: Option<String>,
        /// How.
        outcome: Option<String>,
        /// The exit code.
        exit: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// Why, in words.
        reason: Option<String>,
    }

    /// Something that somebody has done.
    ChangeView {
        /// When.
        at: String,
        /// To which job; left out: to all, or to the scheduler.
        job: Option<String>,
        /// What.
        what: String,
        /// Who.
        by: String,
        /// Why, or in what way.
        detail: Option<String>,
    }

    /// One life of a scheduler with its store.
    SessionView {
        /// Its process.
        pid: u32,
        /// When it began.
        began: String,
        /// When it is last known to have been alive.
        seen: String,
        /// When it ended as it should.
        stopped: Option<String>,
        /// Its jobfile.
        jobfile: String,
    }
}

/// Whether a value is one that a key is left out for.
trait Skip {
    fn skip(&self) -> bool {
        false
    }
}

impl<T> Skip for Option<T> {
    fn skip(&self) -> bool {
        self.is_none()
    }
}

impl Skip for String {}
impl Skip for bool {}
impl Skip for u32 {}
impl Skip for u64 {}
impl Skip for usize {}
impl Skip for JobLine {}
impl<T> Skip for Vec<T> {}

impl JobLine {
    /// How a job stands, with what became of its last due time.
    pub fn new(view: &JobView, last: Option<RunObject>) -> JobLine {
        let (job, zone) = (&view.job, &view.job.zone);
        let state = match (view.running, view.waiting, &view.paused, view.next) {
            (1.., _, _, _) => "running",
            (0, 1.., _, _) => "waiting",
            (0, 0, Paused::No, Some(_)) => "scheduled",
            (0, 0, Paused::No, None) => "finished",
            (0, 0, _, _) => "paused",
        };
        JobLine {
            id: job.id.to_string(),
            name: job.name.as_deref().map(str::to_owned),
            state: state.to_owned(),
            schedule: words::trigger(&job.trigger, zone),
            timezone: zone.name().to_owned(),
            next: view.next.map(|next| words::rfc3339(next, zone)),
            running: view.running,
            waiting: view.waiting,
            added: view.added,
            overridden: view.overridden,
            paused: PausedView::new(&view.paused, zone),
            last,
        }
    }
}

impl PausedView {
    fn new(paused: &Paused, zone: &Zone) -> Option<PausedView> {
        let (what, pause) = match paused {
            Paused::No => return None,
            Paused::ByFile => ("file", None),
            Paused::Job(pause) => ("job", Some(pause)),
            Paused::All(pause) => ("all", Some(pause)),
        };
        Some(PausedView {
            what: what.to_owned(),
            since: pause.map(|pause| words::rfc3339(pause.at, zone)),
            until: pause.and_then(|pause| Some(words::rfc3339(pause.until?, zone))),
            by: pause.map(|pause| pause.by.to_string()),
            reason: pause.and_then(|pause| Some(pause.reason.as_ref()?.to_string())),
        })
    }
}

impl JobDetails {
    /// All about a job.
    pub fn new(detail: &JobDetail, last: Option<RunObject>, options: Option<Value>) -> JobDetails {
        let (job, zone) = (&detail.view.job, &detail.view.job.zone);
        let command = match &job.command {
            Command::Shell(line) => Value::from(&**line),
            Command::Argv(words) => words.iter().map(|word| Value::from(&**word)).collect(),
        };
        JobDetails {
            job: JobLine::new(&detail.view, last),
            executor: detail.executor.to_string(),
            command: Some(command),
            anchor: words::rfc3339(detail.view.anchor, zone),
            options,
            overrides: detail.overrides.as_deref().map(masked),
            toml: detail.text.as_deref().map(masked),
            active: detail.active.iter().map(RunObject::of_active).collect(),
            upcoming: detail.upcoming.iter().map(|due| words::rfc3339(*due, zone)).collect(),
        }
    }
}

impl StatusView {
    /// A scheduler's own view of itself.
    pub fn new(health: &Health, status: &Status) -> StatusView {
        let zone = &health.settings.zone;
        StatusView {
            health: if health.reasons.is_empty() { "ok" } else { "degraded" }.to_owned(),
            reasons: health.reasons.clone(),
            version: health.version.to_owned(),
            pid: health.pid,
            started: words::rfc3339(health.started, zone),
            jobfile: health.jobfile.to_string(),
            loaded: words::rfc3339(health.loaded, zone),
            store: health.store.to_string(),
            timezone: health.timezone.to_string(),
            stopping: health.stopping,
            jobs: status.jobs,
            running: status.running,
            waiting: status.waiting,
            next: status.next.as_ref().map(|(next, _)| words::rfc3339(*next, zone)),
            next_job: status.next.as_ref().map(|(_, job)| job.to_string()),
            paused: status
                .all_paused
                .as_ref()
                .and_then(|pause| PausedView::new(&Paused::All(pause.clone()), zone)),
            active: status.active.iter().map(RunObject::of_active).collect(),
        }
    }
}

impl AttemptView {
    /// An attempt as the store has it.
    pub fn new(record: &AttemptRecord) -> AttemptView {
        let time = |at: Instant| words::rfc3339(at, &Zone::utc());
        let outcome = record.outcome.as_ref();
        AttemptView {
            attempt: record.attempt,
            pid: record.process.map(|process| process.pid),
            started: record.started.map(time),
            ended: record.ended.map(time),
            outcome: outcome.map(|outcome| outcome.word().to_owned()),
            exit: outcome.and_then(Outcome::exit),
            signal: outcome.and_then(Outcome::signal),
            reason: outcome.and_then(Outcome::reason).map(str::to_owned),
        }
    }
}

impl ChangeView {
    /// A change as the store has it.
    pub fn new(change: &Change) -> ChangeView {
        ChangeView {
            at: words::rfc3339(change.at, &Zone::utc()),
            job: change.job.as_deref().map(str::to_owned),
            what: change.what.to_string(),
            by: change.by.to_string(),
            detail: change.detail.as_deref().map(str::to_owned),
        }
    }
}

impl SessionView {
    /// A life as the store has it.
    pub fn new(session: &Session) -> SessionView {
        let time = |at: Instant| words::rfc3339(at, &Zone::utc());
        SessionView {
            pid: session.process.pid,
            began: time(session.began),
            seen: time(session.seen),
            stopped: session.stopped.map(time),
            jobfile: session.jobfile.to_string(),
        }
    }
}
