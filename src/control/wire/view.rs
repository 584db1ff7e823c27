//! What jobs and schedulers look like in JSON; a run is a `crate::history::object`.
//!
//! Times are RFC 3339, in the job's zone where a job is known and in UTC elsewhere; durations are
//! milliseconds. A key that does not apply is left out. No command is in a list, because many
//! people put secrets there.

use std::time::Duration;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::core::event::{
    Change, FleetHealth, Health, JobDetail, JobView, Paused, RunId, Status, Unusual,
};
use crate::core::instant::Instant;
use crate::core::job::Command;
use crate::core::outcome::Outcome;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::object::RunObject;
use crate::jobfile::masked;
use crate::store::{AttemptRecord, Latest, Session};

/// Makes structs that are written without what they do not have, and read with or without it. A field is
/// taken out of a map: what serde derives for so many is ten times as large.
macro_rules! views {
    ($($(#[doc = $about:literal])+ $name:ident {
        $($(#[doc = $what:literal])+ $field:ident: $type:ty,)*
    })*) => {
        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, Default, PartialEq, Serialize)]
            pub struct $name {
                $(
                    $(#[doc = $what])+
                    #[serde(skip_serializing_if = "Skip::skip")]
                    pub $field: $type,
                )*
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    let mut map = Map::deserialize(from)?;
                    Ok($name {
                        $($field: taken(&mut map, stringify!($field)).map_err(D::Error::custom)?,)*
                    })
                }
            }
        )*
    };
}

/// What a key holds, or what is meant without it.
fn taken<T: DeserializeOwned + Default>(
    map: &mut Map<String, Value>,
    key: &str,
) -> serde_json::Result<T> {
    map.remove(key).map_or(Ok(T::default()), serde_json::from_value)
}

views! {
    /// A job in a list.
    JobLine {
        /// Its id.
        id: String,
        /// What people call it.
        name: Option<String>,
        /// `running`, `waiting`, `paused`, `finished`, `overdue` or `scheduled`, the first that is so.
        state: String,
        /// Its trigger in words.
        schedule: String,
        /// The name of its zone.
        timezone: String,
        /// The next due time.
        next: Option<String>,
        /// What the next due time waits for, in words, where it is not known before.
        next_after: Option<String>,
        /// Its executor.
        executor: String,
        /// Runs with a process.
        running: u32,
        /// Runs that wait.
        waiting: u32,
        /// The host that it is at home with, if several may share the store; `all`: with each.
        host: Option<String>,
        /// It was added at run time.
        added: bool,
        /// Something of it was changed at run time.
        overridden: bool,
        /// Why it is paused.
        paused: Option<PausedView>,
        /// Its tags.
        tags: Vec<String>,
        /// Its last run that has ended.
        last: Option<RunObject>,
        /// How many due times have been skipped since that was due.
        skipped_since: Option<u64>,
        /// How many have been missed since then.
        missed_since: Option<u64>,
        /// When its last run that succeeded ended.
        last_success: Option<String>,
        /// Since when a success is overdue, as `expect` has it; also of one that runs.
        overdue_since: Option<String>,
        /// Since when a run of it takes longer than it should.
        slow_since: Option<String>,
        /// What one usually takes, if that is why.
        usual_ms: Option<u64>,
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
        /// When the jobfile was loaded, if it has changed on disk since.
        changed_since: Option<String>,
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
        /// The same, if the file has changed on disk since.
        changed_since: Option<String>,
        /// Its store.
        store: String,
        /// The name of its zone.
        timezone: String,
        /// It is stopping.
        stopping: bool,
        /// How many jobs it has.
        jobs: usize,
        /// Jobs of the jobfile that `only_on` leaves to other hosts.
        elsewhere: Vec<String>,
        /// Runs with a process.
        running: usize,
        /// Runs that wait.
        waiting: usize,
        /// How many jobs have failed the last time that they ran.
        failed: Option<usize>,
        /// The first few of them: those that failed last.
        failed_jobs: Option<Vec<String>>,
        /// How many jobs are overdue.
        overdue: Option<usize>,
        /// The first few of them: those that have been for longest.
        overdue_jobs: Option<Vec<String>>,
        /// How many jobs no host may run, if several may share the store: none has all of their labels.
        no_host: Option<usize>,
        /// The first of them.
        no_host_jobs: Option<Vec<String>>,
        /// The next due time.
        next: Option<String>,
        /// Whose that is.
        next_job: Option<String>,
        /// All jobs are paused.
        paused: Option<PausedView>,
        /// How it stands among the hosts that share its store, if several may.
        fleet: Option<FleetView>,
        /// Its active runs.
        active: Vec<RunObject>,
        /// Those of the other hosts that share its store, if several may.
        active_elsewhere: Option<Vec<RunObject>>,
    }

    /// How a scheduler stands among the hosts that share its store.
    FleetView {
        /// What this host is called.
        host: String,
        /// All that are there.
        hosts: Vec<String>,
        /// Those of them that stop.
        leaving: Vec<String>,
        /// How many jobs are at home here.
        jobs: u32,
        /// How often the store has forgotten what it had acknowledged.
        generation: u64,
        /// For how long it may start jobs without another word of the store.
        trusted_ms: Option<u64>,
        /// Not all have told a store that has forgotten what they know.
        waits_for_others: bool,
        /// How many starts wait for the store.
        held: usize,
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
    /// Whether its last run went wrong.
    pub fn has_failed(&self) -> bool {
        self.last.as_ref().is_some_and(|last| matches!(last.mark(), '✗' | '?'))
    }

    /// Its last run that was out of the ordinary was this one, in this way.
    pub fn with_unusual(mut self, found: Option<(RunId, Unusual)>) -> JobLine {
        if let Some((run, unusual)) = found
            && let Some(last) = self.last.take_if(|last| last.run == Some(run.0))
        {
            self.last = Some(last.with_unusual(unusual));
        }
        self
    }

    /// In what way its last run was out of the ordinary.
    pub fn unusual(&self) -> Unusual {
        self.last.as_ref().map(RunObject::unusual).unwrap_or_default()
    }

    /// How a job stands, and how it has fared of late.
    pub fn new(view: &JobView, latest: Option<&Latest>, overdue: Option<Instant>) -> JobLine {
        let (job, zone) = (&view.job, &view.job.zone);
        let state = match (view.running, view.waiting, &view.paused, view.next) {
            (1.., _, _, _) => "running",
            (0, 1.., _, _) => "waiting",
            (0, 0, Paused::No, None) if view.awaits.is_none() => "finished",
            (0, 0, Paused::No, _) if overdue.is_some() => "overdue",
            (0, 0, Paused::No, _) => "scheduled",
            (0, 0, _, _) => "paused",
        };
        JobLine {
            id: job.id.to_string(),
            name: job.name.as_deref().map(str::to_owned),
            state: state.to_owned(),
            schedule: words::trigger(&job.trigger, zone),
            timezone: zone.name().to_owned(),
            next: view.next.map(|next| words::rfc3339(next, zone)),
            next_after: view.awaits.as_deref().map(str::to_owned),
            executor: view.executor.to_string(),
            running: view.running,
            waiting: view.waiting,
            host: None,
            added: view.added,
            overridden: view.overridden,
            paused: PausedView::new(&view.paused, zone),
            tags: job.options.tags.iter().map(ToString::to_string).collect(),
            last: latest.and_then(|latest| Some(RunObject::of_record(latest.run.as_ref()?, zone))),
            skipped_since: latest.map(|latest| latest.skipped),
            missed_since: latest.map(|latest| latest.missed),
            last_success: latest.and_then(|latest| Some(words::rfc3339(latest.succeeded?, zone))),
            overdue_since: overdue.map(|since| words::rfc3339(since, zone)),
            slow_since: view.slow.map(|slow| words::rfc3339(slow.since, zone)),
            usual_ms: view.slow.and_then(|slow| u64::try_from(slow.usual?.as_millis()).ok()),
        }
    }
}

impl PausedView {
    /// Why a job is paused, if it is.
    pub fn new(paused: &Paused, zone: &Zone) -> Option<PausedView> {
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
    pub fn new(detail: &JobDetail, line: JobLine, options: Option<Value>) -> JobDetails {
        let (job, zone) = (&detail.view.job, &detail.view.job.zone);
        let command = match &job.command {
            Command::Shell(line) => Value::from(&**line),
            Command::Argv(words) => words.iter().map(|word| Value::from(&**word)).collect(),
        };
        JobDetails {
            job: line,
            executor: detail.view.executor.to_string(),
            command: Some(command),
            anchor: words::rfc3339(detail.view.anchor, zone),
            options,
            overrides: detail.overrides.as_deref().map(masked),
            toml: detail.text.as_deref().map(masked),
            active: detail.active.iter().map(RunObject::of_active).collect(),
            upcoming: detail.upcoming.iter().map(|due| words::rfc3339(*due, zone)).collect(),
            changed_since: None,
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
            changed_since: None,
            store: health.store.to_string(),
            timezone: health.timezone.to_string(),
            stopping: health.stopping,
            jobs: status.jobs,
            elsewhere: health.settings.elsewhere.iter().map(|job| job.id.to_string()).collect(),
            running: status.running,
            waiting: status.waiting,
            failed: None,
            failed_jobs: None,
            overdue: None,
            overdue_jobs: None,
            no_host: None,
            no_host_jobs: None,
            next: status.next.as_ref().map(|(next, _)| words::rfc3339(*next, zone)),
            next_job: status.next.as_ref().map(|(_, job)| job.to_string()),
            paused: status
                .all_paused
                .as_ref()
                .and_then(|pause| PausedView::new(&Paused::All(pause.clone()), zone)),
            fleet: health.fleet.as_ref().map(FleetView::new),
            active: status.active.iter().map(RunObject::of_active).collect(),
            active_elsewhere: None,
        }
    }
}

impl FleetView {
    fn new(fleet: &FleetHealth) -> FleetView {
        let names = |names: &[Box<str>]| names.iter().map(|name| name.to_string()).collect();
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        FleetView {
            host: fleet.host.to_string(),
            hosts: names(&fleet.hosts),
            leaving: names(&fleet.leaving),
            jobs: fleet.jobs_at_home,
            generation: fleet.generation,
            trusted_ms: fleet.trusted.map(millis),
            waits_for_others: fleet.waits_for_others,
            held: fleet.held,
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
