//! One request, from the line that makes it to the last line of its response.
//!
//! Here a request is put to the loop, in several steps where it takes them, and the loop's response
//! becomes JSON. What lies in the past is read from the store. There are
//! no sockets here.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::history::History;
use crate::control::wire::view::{
    AttemptView, ChangeView, JobDetails, JobLine, SessionView, StatusView,
};
use crate::control::{Format, Request, definition, wire};
use crate::core::event::{Code, Fault, Health, JobPage, Response, RunId};
use crate::core::job::Executor;
use crate::core::zone::Zone;
use crate::history::object::RunObject;

/// So many jobs are asked of the loop at a time, which is a fraction of a millisecond for it.
const PAGE: u64 = 1000;

/// A list, an export or a history is cut once it is longer than this: the rest is to be asked for.
const LARGE: usize = 4 << 20;

/// What is to happen next.
#[derive(Debug)]
pub(super) enum Next {
    /// Put this to the loop.
    Request(Request),
    /// Answer with this object; more will follow.
    Partial(String),
    /// Tell what runs of this job print, or of all jobs, until the client has enough.
    Follow(Option<Box<str>>),
    /// Tell no more of that.
    Unfollow,
    /// Answer this object, which is the end.
    End(Result<String, Fault>),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Exchange {
    /// What the client calls it.
    pub(super) id: Option<Value>,
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
    /// Jobs, a page at a time.
    Jobs(Jobs),
    /// What runs of a job print is to be told, once it is known that there is such a job.
    Follow(Box<str>),
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
}

impl Exchange {
    /// Begins with a request.
    pub(super) fn new(
        id: Option<Value>,
        request: Request,
        history: &mut History,
    ) -> (Exchange, Next) {
        let (stage, next) = begin(request, history);
        (Exchange { id, stage }, next)
    }

    /// Whether its response may be so large that no other should be made beside it.
    pub(super) fn is_large(&self) -> bool {
        matches!(self.stage, Stage::Jobs(_))
    }

    /// Goes on with what the loop has answered.
    pub(super) fn go_on(&mut self, response: Response, history: &mut History) -> Next {
        match (&mut self.stage, response) {
            (_, Response::Refused(fault)) => Next::End(Err(fault)),
            (Stage::Jobs(jobs), Response::Status { health, .. }) => jobs.begin(&health),
            (Stage::Jobs(jobs), Response::Jobs(page)) => jobs.add(page, history),
            (Stage::Follow(job), Response::Job { .. }) => Next::Follow(Some(job.clone())),
            (Stage::Show, Response::Job { job: detail, .. }) => {
                let job = &detail.view.job;
                let last = history.last_of(&job.id, &job.zone);
                let options = definition::options(job);
                end(&JobDetails::new(&detail, last, options))
            }
            (Stage::Start, Response::Started { run, waits }) => {
                Next::Partial(wire::json(&json!({ "run": run.0, "waits": waits, "done": false })))
            }
            (Stage::Start, Response::Ended(record)) => {
                let mut view = wire::json(&RunObject::of_decided(&record));
                view.replace_range(..1, "{\"done\":true,");
                Next::End(Ok(view))
            }
            (Stage::Plain, Response::Done) => end(&json!({})),
            (Stage::Plain, Response::Started { run, waits }) => {
                end(&json!({ "run": run.0, "waits": waits }))
            }
            (Stage::Plain, Response::Stopped(runs)) => {
                let runs: Vec<u64> = runs.iter().map(|run| run.0).collect();
                end(&json!({ "stopped": runs }))
            }
            (Stage::Plain, Response::Reloaded { added, changed, removed, unchanged }) => {
                end(&json!({
                    "added": added, "changed": changed, "removed": removed, "unchanged": unchanged,
                }))
            }
            // Whether it has run is of no interest for a job that was just added.
            (Stage::Plain, Response::Job { job, warnings }) => {
                let mut body = json!({ "job": JobLine::new(&job.view, None) });
                if !warnings.is_empty() {
                    body["warnings"] = warnings.into();
                }
                end(&body)
            }
            (Stage::Plain, Response::Status { health, status }) => {
                end(&StatusView::new(&health, &status))
            }
            (_, response) => {
                log::error!("a client cannot be answered: the loop says {response:?}");
                Next::End(Err(Fault::new(Code::Internal, "schedrs has lost its thread")
                    .help("this is a bug of schedrs")))
            }
        }
    }

    /// The loop will not answer any more.
    pub(super) fn lost() -> Fault {
        Fault::new(Code::Stopping, "the scheduler has stopped")
    }
}

fn end(body: &impl serde::Serialize) -> Next {
    Next::End(Ok(wire::json(body)))
}

fn begin(request: Request, history: &mut History) -> (Stage, Next) {
    match request {
        Request::Status
        | Request::Stop(_)
        | Request::Pause { .. }
        | Request::Resume { .. }
        | Request::Remove { .. }
        | Request::Add { .. }
        | Request::Modify { .. }
        | Request::Reschedule { .. }
        | Request::Reset { .. }
        | Request::Reload
        | Request::Shutdown { .. }
        | Request::Start { wait: false, .. } => (Stage::Plain, Next::Request(request)),
        Request::Start { wait: true, .. } => (Stage::Start, Next::Request(request)),
        Request::Show { .. } => (Stage::Show, Next::Request(request)),
        Request::Ping => {
            let body = json!({
                "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(),
                "protocol": wire::VERSION,
            });
            (Stage::Plain, end(&body))
        }
        Request::List { from, limit } => {
            if from == 0 {
                history.read_lasts();
            }
            let jobs = Jobs::new(None, from, limit.max(1));
            let next = jobs.ask();
            (Stage::Jobs(jobs), next)
        }
        // What stands in front of the jobs is part of how the scheduler is.
        Request::Export { format, from } => {
            let jobs = Jobs::new(Some(format), from, u64::MAX);
            (Stage::Jobs(jobs), Next::Request(Request::Status))
        }
        Request::Unfollow => (Stage::Plain, Next::Unfollow),
        Request::Follow { job: None } => (Stage::Plain, Next::Follow(None)),
        Request::Follow { job: Some(job) } => {
            let show = Request::Show { job: job.clone() };
            (Stage::Follow(job), Next::Request(show))
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
    let (tail, total) = history.read(|reader| reader.output(run))?.unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    let whole = total <= tail.len() as u64;
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
        Jobs { export, from, left, text, executors, head }
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

    fn add(&mut self, page: JobPage, history: &mut History) -> Next {
        self.left = self.left.saturating_sub(page.jobs.len() as u64);
        let executors = self.executors.clone().unwrap_or_default();
        for view in &page.jobs {
            let job = &view.job;
            match self.export {
                Some(Format::Toml) => {
                    definition::toml(&mut self.text, job, &executors);
                }
                Some(Format::Json) => {
                    let job_json = definition::json(job, &executors);
                    self.comma();
                    self.text += &format!("{}:{job_json}", wire::json(&*job.id));
                }
                None => {
                    let line = JobLine::new(view, history.last(&job.id, &job.zone));
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
                if page.more.is_none() {
                    history.forget_lasts();
                }
                format!("{{\"jobs\":[{text}],\"total\":{}{more}}}", page.total)
            }
        }))
    }

    fn comma(&mut self) {
        if !self.text.is_empty() {
            self.text.push(',');
        }
    }
}
