//! One request, from the line that makes it to the last line of its response.
//!
//! Here a request is put to the loop, in several steps where it takes them, and the loop's response
//! becomes JSON. What lies in the past is read from the store. There are
//! no sockets here.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::history::{History, Snapshot};
use super::metrics::Metrics;
use super::overall::Overall;
use crate::control::wire::view::{
    AttemptView, ChangeView, JobDetails, JobLine, SessionView, StatusView,
};
use crate::control::{Format, Notify, Request, definition, wire};
use crate::core::event::{Code, Fault, Health, JobPage, Response, RunId};
use crate::core::health::verdict;
use crate::core::job::Executor;
use crate::core::printed::Printed;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::object::RunObject;
use crate::sys::clock;

/// So many jobs are asked of the loop at a time, which is a fraction of a millisecond for it.
pub(super) const PAGE: u64 = 1000;

/// A list, an export or a history is cut once it is longer than this: the rest is to be asked for.
pub(super) const LARGE: usize = 4 << 20;

/// What is to happen next.
#[derive(Debug)]
pub(super) enum Next {
    /// Put this to the loop.
    Request(Request),
    /// Answer with this object; more will follow.
    Partial(String),
    /// Tell what runs of this job print, or of all jobs, until the client has enough; first what they
    /// have printed so far, if that is asked for.
    Follow(Option<Box<str>>, bool),
    /// Tell what happens to this job, or to all, after this number or from now on.
    Watch(Option<Box<str>>, Option<u64>),
    /// Tell no more of either.
    Unfollow,
    /// Answer this object, which is the end.
    End(Result<String, Fault>),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Exchange {
    /// What the client calls it.
    pub(super) id: Option<Value>,
    /// For whom the client asks.
    on_behalf: Option<Box<str>>,
    /// It has been answered, and waits for the end of a run.
    pub(super) waits_for_run: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// One response is to come.
    Plain,
    /// A job is to be shown.
    Show,
    /// A run is to be started and waited for.
    Start,
    /// How the scheduler is, and then all jobs, for what is wrong with them.
    Status(Box<Overall>),
    /// Jobs, a page at a time.
    Jobs(Jobs),
    /// A verdict is to be given.
    Health,
    /// Numbers, of jobs a page at a time.
    Metrics(Box<Metrics>),
    /// What runs of a job print is to be told, once it is known that there is such a job.
    Follow(Box<str>, bool),
    /// The same of what happens to it.
    Watch(Box<str>, Option<u64>),
}

/// What has been gathered of a list or an export.
#[derive(Debug)]
struct Jobs {
    export: Option<Format>,
    from: u32,
    left: u64,
    text: String,
    /// For an export.
    executors: Option<Arc<[Executor]>>,
    /// What stands in front of the jobs in an export as JSON.
    head: Map<String, Value>,
    /// What a list is made of.
    snapshot: Option<Arc<Snapshot>>,
}

impl Exchange {
    /// Begins with a request. `kept`: what the client's last list was made of ([`Exchange::kept`]).
    pub(super) fn new(
        id: Option<Value>,
        request: Request,
        history: &mut History,
        kept: Option<Arc<Snapshot>>,
    ) -> (Exchange, Next) {
        let (stage, next) = begin(request, history, kept);
        (Exchange { id, on_behalf: None, waits_for_run: false, stage }, next)
    }

    /// The same for somebody.
    pub(super) fn on_behalf_of(self, on_behalf: Option<Box<str>>) -> Exchange {
        Exchange { on_behalf, ..self }
    }

    /// Who has asked, for the record: this user, or somebody through them.
    pub(super) fn by(&self, user: &str) -> Box<str> {
        match &self.on_behalf {
            Some(name) => format!("{name} (through {user})").into(),
            None => user.into(),
        }
    }

    /// What a response was made of that is only a part: the client will ask for the rest, which is to
    /// agree with it.
    pub(super) fn kept(&self) -> Option<Arc<Snapshot>> {
        match &self.stage {
            Stage::Jobs(jobs) => jobs.snapshot.clone(),
            Stage::Metrics(metrics) => metrics.snapshot(),
            _ => None,
        }
    }

    /// Whether its response may be so large that no other should be made beside it.
    pub(super) fn is_large(&self) -> bool {
        matches!(self.stage, Stage::Jobs(_) | Stage::Metrics(_))
    }

    /// Goes on with what the loop has answered.
    pub(super) fn go_on(&mut self, response: Response, history: &mut History) -> Next {
        match (&mut self.stage, response) {
            (_, Response::Refused(fault)) => Next::End(Err(fault)),
            (Stage::Jobs(jobs), Response::Status { health, .. }) => jobs.begin(&health),
            (Stage::Jobs(jobs), Response::Jobs(page)) => jobs.add(page, history),
            (Stage::Health, Response::Vitals(vitals)) => {
                let now = clock::wall();
                Next::End(Ok(wire::health::body(&vitals, &verdict(&vitals, now), now)))
            }
            (Stage::Metrics(metrics), Response::Vitals(vitals)) => metrics.take(&vitals, history),
            (Stage::Metrics(metrics), Response::Jobs(page)) => metrics.add(page, history),
            (Stage::Watch(job, since), Response::Job { .. }) => {
                Next::Watch(Some(job.clone()), *since)
            }
            (Stage::Follow(job, past), Response::Job { .. }) => {
                Next::Follow(Some(job.clone()), *past)
            }
            (Stage::Status(overall), Response::Status { health, status }) => {
                overall.view = StatusView::new(&health, &status);
                overall.ask(0)
            }
            (Stage::Status(overall), Response::Jobs(page)) => overall.add(page, history),
            (Stage::Show, Response::Job { job: detail, .. }) => {
                let job = &detail.view.job;
                let latest = history.latest_of(&job.id);
                let options = definition::options(job);
                let (mut detail, now) = (detail, clock::wall());
                let (host, others) = history.complete_one(&mut detail, now);
                let overdue = history.overdue(&detail.view, latest.as_ref(), now);
                let line = JobLine::new(&detail.view, latest.as_ref(), overdue);
                let line = line.with_unusual(history.unusual_of(&detail.view.job.id));
                let details = JobDetails::new(&detail, JobLine { host, ..line }, options);
                let zone = &detail.view.job.zone;
                let since = history.changed_since().map(|since| words::rfc3339(since, zone));
                let others = others.iter().map(|run| RunObject::of_active_elsewhere(run, zone));
                let active = details.active.into_iter().chain(others).collect();
                end(&JobDetails { changed_since: since, active, ..details })
            }
            (Stage::Start, Response::Started { run, waits }) => {
                Next::Partial(wire::json(&json!({ "run": run.0, "waits": waits, "done": false })))
            }
            (Stage::Start, Response::Ended(record)) => {
                let mut view = wire::json(&RunObject::of_decided(&record));
                view.replace_range(..1, "{\"done\":true,");
                Next::End(Ok(view))
            }
            (Stage::Start | Stage::Plain, Response::Elsewhere { body, goes_on: true }) => {
                Next::Partial(body.into())
            }
            (Stage::Start, Response::Elsewhere { body, .. }) => Next::End(Ok(body.into())),
            (Stage::Plain, response) if let Some(body) = wire::reply::body(&response) => {
                Next::End(Ok(body))
            }
            (_, response) => {
                log::error!("a client cannot be answered: the loop says {response:?}");
                Next::End(Err(Fault::new(Code::Internal, "schedrs lost track of this request")
                    .help("this is a bug in schedrs")))
            }
        }
    }

    /// The loop will not answer any more.
    pub(super) fn lost() -> Fault {
        Fault::new(Code::Stopping, "the scheduler has stopped")
    }
}

pub(super) fn end(body: &impl serde::Serialize) -> Next {
    Next::End(Ok(wire::json(body)))
}

fn begin(request: Request, history: &mut History, kept: Option<Arc<Snapshot>>) -> (Stage, Next) {
    let now = clock::mono();
    match request {
        Request::Status => {
            let overall = Overall::new(history.snapshot(now));
            (Stage::Status(Box::new(overall)), Next::Request(request))
        }
        Request::Stop(_)
        | Request::Pause { .. }
        | Request::Resume { .. }
        | Request::Remove { .. }
        | Request::Add { .. }
        | Request::Modify { .. }
        | Request::Reschedule { .. }
        | Request::Reset { .. }
        | Request::Reload
        | Request::Notify(Notify::Drop(_))
        | Request::Shutdown { .. }
        | Request::Start { wait: false, .. } => (Stage::Plain, Next::Request(request)),
        Request::Notify(Notify::Again { id, .. }) => {
            let next = match history.notification(&id) {
                Ok(entry) => {
                    let entry = Some(entry);
                    Next::Request(Request::Notify(Notify::Again { id, entry }))
                }
                Err(fault) => Next::End(Err(fault)),
            };
            (Stage::Plain, next)
        }
        Request::Start { wait: true, .. } => (Stage::Start, Next::Request(request)),
        Request::Show { .. } => (Stage::Show, Next::Request(request)),
        Request::Health => (Stage::Health, Next::Request(request)),
        Request::Metrics { jobs, from } => {
            let metrics = Metrics::new(from, jobs, history.if_fresh(kept, now));
            let next = metrics.begin();
            (Stage::Metrics(Box::new(metrics)), next)
        }
        Request::Ping => {
            let body = json!({
                "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(),
                "protocol": wire::VERSION,
            });
            (Stage::Plain, end(&body))
        }
        Request::List { from, limit } => {
            let snapshot = Some(history.snapshot_for(from, kept, now));
            let jobs = Jobs { snapshot, ..Jobs::new(None, from, limit.max(1)) };
            let next = jobs.ask();
            (Stage::Jobs(jobs), next)
        }
        // What stands in front of the jobs is part of how the scheduler is.
        Request::Export { format, from } => {
            let jobs = Jobs::new(Some(format), from, u64::MAX);
            (Stage::Jobs(jobs), Next::Request(Request::Status))
        }
        Request::Unfollow => (Stage::Plain, Next::Unfollow),
        Request::Follow { job: None, past } => (Stage::Plain, Next::Follow(None, past)),
        Request::Follow { job: Some(job), past } => {
            let show = Request::Show { job: job.clone() };
            (Stage::Follow(job, past), Next::Request(show))
        }
        Request::Events { job: None, since } => (Stage::Plain, Next::Watch(None, since)),
        Request::Events { job: Some(job), since } => {
            let show = Request::Show { job: job.clone() };
            (Stage::Watch(job, since), Next::Request(show))
        }
        Request::History(query) => read(records(history, query)),
        Request::Output { run } => read(output(history, run)),
        Request::Attempts { run } => read(attempts(history, run)),
        Request::Changes { job, since, until } => {
            let changes = history.read(|reader| reader.changes(job.as_deref(), since, until));
            read(changes.map(|changes| {
                let changes: Vec<ChangeView> = changes.iter().map(ChangeView::new).collect();
                wire::json(&json!({ "changes": changes }))
            }))
        }
        Request::Sessions => read(history.read(|reader| reader.sessions()).map(|sessions| {
            let sessions: Vec<SessionView> = sessions.iter().map(SessionView::new).collect();
            wire::json(&json!({ "sessions": sessions }))
        })),
    }
}

/// What the store says is the whole answer.
fn read(answer: Result<String, Fault>) -> (Stage, Next) {
    (Stage::Plain, Next::End(answer))
}

fn output(history: &mut History, run: RunId) -> Result<String, Fault> {
    let (kept, total) = history.read(|reader| reader.output(run))?.unwrap_or_default();
    let printed = Printed::decode(&kept, total);
    let (text, whole) = (printed.text(), printed.is_whole());
    let text = String::from_utf8_lossy(&text);
    Ok(wire::json(&json!({ "run": run.0, "text": text, "total_bytes": total, "whole": whole })))
}

fn attempts(history: &mut History, run: RunId) -> Result<String, Fault> {
    let attempts = history.read(|reader| reader.attempts(run))?;
    let attempts: Vec<AttemptView> = attempts.iter().map(AttemptView::new).collect();
    Ok(wire::json(&json!({ "run": run.0, "attempts": attempts })))
}

fn records(history: &mut History, query: crate::store::Query) -> Result<String, Fault> {
    let limit = query.limit;
    let records = history.read(|reader| reader.records(&query))?;
    let zone = Zone::utc();
    let mut text = String::from("{\"records\":[");
    let mut more = None;
    for (index, record) in records.iter().enumerate() {
        text.push_str(if index > 0 { "," } else { "" });
        text.push_str(&wire::json(&RunObject::of_record(record, &zone)));
        if text.len() > LARGE || index + 1 >= limit {
            more = Some(record.seq);
            break;
        }
    }
    text.push(']');
    if let Some(seq) = more {
        text.push_str(&format!(",\"before\":{seq}"));
    }
    text.push('}');
    Ok(text)
}

impl Jobs {
    fn new(export: Option<Format>, from: u32, left: u64) -> Jobs {
        let (text, executors, head) = (String::new(), None, Map::new());
        Jobs { export, from, left, text, executors, head, snapshot: None }
    }

    fn ask(&self) -> Next {
        Next::Request(Request::List { from: self.from, limit: self.left.min(PAGE) })
    }

    /// An export begins with what the jobfile says of the scheduler.
    fn begin(&mut self, health: &Health) -> Next {
        if self.from == 0 {
            match self.export {
                Some(Format::Toml) => {
                    let (settings, executors) = (&health.settings, &health.executors);
                    definition::head(&mut self.text, settings, executors);
                }
                _ => self.head = definition::json_head(&health.settings, &health.executors),
            }
        }
        self.executors = Some(Arc::clone(&health.executors));
        self.ask()
    }

    fn add(&mut self, mut page: JobPage, history: &mut History) -> Next {
        self.left = self.left.saturating_sub(page.jobs.len() as u64);
        let executors = self.executors.clone().unwrap_or_default();
        let snapshot = self.snapshot.clone().unwrap_or_default();
        let now = clock::wall();
        for view in &mut page.jobs {
            let job = Arc::clone(&view.job);
            match self.export {
                Some(Format::Toml) => {
                    definition::toml(&mut self.text, &job, &executors);
                }
                Some(Format::Json) => {
                    let job_json = definition::json(&job, &executors);
                    self.comma();
                    self.text += &format!("{}:{job_json}", wire::json(&*job.id));
                }
                None => {
                    let host = snapshot.complete(view, now);
                    let latest = snapshot.latest(&job.id);
                    let overdue = history.overdue(view, latest, now);
                    let line = JobLine::new(view, latest, overdue);
                    let line = line.with_unusual(snapshot.unusual(&job.id));
                    let line = JobLine { host, ..line };
                    self.comma();
                    self.text += &wire::json(&line);
                }
            }
        }
        if let Some(more) = page.more {
            self.from = more;
            if self.left > 0 && self.text.len() < LARGE {
                return self.ask();
            }
        }
        let more = page.more.map(|more| format!(",\"more\":{more}")).unwrap_or_default();
        let text = std::mem::take(&mut self.text);
        Next::End(Ok(match self.export {
            Some(Format::Toml) => format!("{{\"toml\":{}{more}}}", wire::json(&text)),
            Some(Format::Json) => {
                let mut head: String = String::from("{");
                for (key, value) in &self.head {
                    head += &format!("{}:{value},", wire::json(key));
                }
                format!("{head}\"jobs\":{{{text}}}{more}}}")
            }
            None => {
                let hosts = snapshot.hosts().map(|hosts| format!(",\"hosts\":{hosts}"));
                let hosts = hosts.unwrap_or_default();
                let mut since = String::new();
                if page.more.is_none() {
                    self.snapshot = None;
                    since = history.changed_since().map_or(since, |since| {
                        let since = words::rfc3339(since, &Zone::utc());
                        format!(",\"changed_since\":{}", wire::json(&since))
                    });
                }
                let unknown = match snapshot.is_past_unknown() && history.has_store() {
                    true => ",\"past_unknown\":true",
                    false => "",
                };
                let total = page.total;
                format!("{{\"jobs\":[{text}],\"total\":{total}{hosts}{unknown}{since}{more}}}")
            }
        }))
    }

    fn comma(&mut self) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
    }
}
