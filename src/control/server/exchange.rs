//! One request, from the line that makes it to the last line of its answer.
//!
//! Here a verb becomes what is asked of the loop, one thing after the other where it takes several,
//! and what the loop answers becomes JSON. What lies in the past is read from the store. There are
//! no sockets here.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::past::Past;
use crate::control::wire::view::{
    AttemptView, ChangeView, JobDetails, JobLine, SessionView, StatusView,
};
use crate::control::wire::{self, Format, Target, Verb};
use crate::control::{Health, Reply, Wish, definition};
use crate::event::{Answer, Code, Fault, JobPage, Want};
use crate::job::Executor;
use crate::past::object::RunObject;
use crate::zone::Zone;

/// So many jobs are asked of the loop at a time, which is a fraction of a millisecond for it.
const PAGE: u32 = 1000;

/// A list, an export or a history is cut once it is longer than this: the rest is to be asked for.
const LARGE: usize = 4 << 20;

/// What is to happen next.
#[derive(Debug)]
pub(super) enum Step {
    /// Ask the loop.
    Ask(Wish),
    /// Answer this object, and more will follow.
    Say(String),
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
    /// One answer is to come.
    Plain,
    /// A job is to be shown.
    Show,
    /// A run is to be started, and perhaps waited for.
    Start { wait: bool },
    /// How it is, and then how its jobs are.
    Status(Option<Box<Health>>),
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
    pub(super) fn new(id: Option<Value>, verb: Verb, past: &mut Past) -> (Exchange, Step) {
        let (stage, step) = begin(verb, past);
        (Exchange { id, stage }, step)
    }

    /// Whether its answer may be so large that no other should be made beside it.
    pub(super) fn is_large(&self) -> bool {
        matches!(self.stage, Stage::Jobs(_))
    }

    /// Goes on with what the loop has answered.
    pub(super) fn reply(&mut self, reply: Reply, past: &mut Past) -> Step {
        let reply = match reply {
            Reply::Answer(Answer::Refused(fault)) => return Step::End(Err(fault)),
            reply => reply,
        };
        match (&mut self.stage, reply) {
            (Stage::Plain, Reply::Answer(Answer::Done)) => end(&json!({})),
            (Stage::Plain, Reply::Answer(Answer::Stopped(runs))) => {
                let runs: Vec<u64> = runs.iter().map(|run| run.0).collect();
                end(&json!({ "stopped": runs }))
            }
            (Stage::Plain, Reply::Reloaded { added, changed, removed, unchanged }) => end(&json!({
                "added": added, "changed": changed, "removed": removed, "unchanged": unchanged,
            })),
            // Whether it has run is of no interest for a job that was just added.
            (Stage::Plain, Reply::Answer(Answer::Job(detail))) => {
                end(&json!({ "job": JobLine::new(&detail.view, None) }))
            }
            (Stage::Plain, Reply::Warned { job, warnings }) => {
                end(&json!({ "job": JobLine::new(&job.view, None), "warnings": warnings }))
            }
            (Stage::Follow(job), Reply::Answer(Answer::Job(_))) => Step::Follow(Some(job.clone())),
            (Stage::Show, Reply::Answer(Answer::Job(detail))) => {
                let job = &detail.view.job;
                let last = past.last_of(&job.id, &job.zone);
                let options = definition::options(job);
                end(&JobDetails::new(&detail, last, options))
            }
            (Stage::Start { wait: false }, Reply::Answer(Answer::Started { run, waits })) => {
                end(&json!({ "run": run.0, "waits": waits }))
            }
            (Stage::Start { wait: true }, Reply::Answer(Answer::Started { run, waits })) => {
                Step::Say(wire::json(&json!({ "run": run.0, "waits": waits, "done": false })))
            }
            (Stage::Start { .. }, Reply::Answer(Answer::Ended(record))) => {
                let mut view = wire::json(&RunObject::of_decided(&record));
                view.replace_range(..1, "{\"done\":true,");
                Step::End(Ok(view))
            }
            (Stage::Status(first @ None), Reply::Health(health)) => {
                *first = Some(health);
                Step::Ask(Wish::Want(Want::Status))
            }
            (Stage::Status(Some(health)), Reply::Answer(Answer::Status(status))) => {
                end(&StatusView::new(health, &status))
            }
            (Stage::Jobs(jobs), Reply::Health(health)) => jobs.begin(&health),
            (Stage::Jobs(jobs), Reply::Answer(Answer::Jobs(page))) => jobs.add(page, past),
            (_, reply) => {
                log::error!("a client cannot be answered: the loop says {reply:?}");
                Step::End(Err(Fault::new(Code::Internal, "schedrs has lost its thread")
                    .help("this is a bug of schedrs")))
            }
        }
    }

    /// The loop will not answer any more.
    pub(super) fn lost() -> Fault {
        Fault::new(Code::Stopping, "the scheduler has stopped")
    }
}

fn end(body: &impl serde::Serialize) -> Step {
    Step::End(Ok(wire::json(body)))
}

fn begin(verb: Verb, past: &mut Past) -> (Stage, Step) {
    let want = |want| (Stage::Plain, Step::Ask(Wish::Want(want)));
    let ask = |wish| (Stage::Plain, Step::Ask(wish));
    let read = |read: Result<String, Fault>| (Stage::Plain, Step::End(read));
    match verb {
        Verb::Ping => {
            let body = json!({
                "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(),
                "protocol": wire::VERSION,
            });
            (Stage::Plain, end(&body))
        }
        Verb::List { from, limit } => {
            if from == 0 {
                past.read_lasts();
            }
            let jobs = Jobs::new(None, from, limit.max(1));
            let step = jobs.ask();
            (Stage::Jobs(jobs), step)
        }
        Verb::Export { format, from } => {
            let jobs = Jobs::new(Some(format), from, u64::MAX);
            (Stage::Jobs(jobs), Step::Ask(Wish::Health))
        }
        Verb::Show { job } => (Stage::Show, Step::Ask(Wish::Want(Want::Show { job }))),
        Verb::Status => (Stage::Status(None), Step::Ask(Wish::Health)),
        Verb::Start { job, force, wait } => {
            let step = Step::Ask(Wish::Want(Want::Start { job, force, wait }));
            (Stage::Start { wait }, step)
        }
        Verb::Stop(Target::Job(job)) => want(Want::StopJob { job }),
        Verb::Stop(Target::Run(run)) => want(Want::StopRun { run }),
        Verb::Pause { job, until, reason } => want(Want::Pause { job, until, reason }),
        Verb::Resume { job } => want(Want::Resume { job }),
        Verb::Remove { job } => want(Want::Remove { job }),
        Verb::Add { job, text, replace } => ask(Wish::Add { id: job, text, replace }),
        Verb::Modify { job, text } => ask(Wish::Modify { job, text }),
        Verb::Reschedule { job, text } => ask(Wish::Reschedule { job, text }),
        Verb::Reset { job } => ask(Wish::Reset { job }),
        Verb::Reload => ask(Wish::Reload),
        Verb::Shutdown { now } => ask(Wish::Shutdown { now }),
        Verb::History(query) => read(history(past, query)),
        Verb::Unfollow => (Stage::Plain, Step::Unfollow),
        Verb::Follow { job: None } => (Stage::Plain, Step::Follow(None)),
        Verb::Follow { job: Some(job) } => {
            let want = Want::Show { job: job.clone() };
            (Stage::Follow(job), Step::Ask(Wish::Want(want)))
        }
        Verb::Output { run } => read(past.read(|reader| reader.output(run)).map(|output| {
            let (tail, total) = output.unwrap_or_default();
            let text = String::from_utf8_lossy(&tail);
            let whole = total <= tail.len() as u64;
            wire::json(&json!({ "run": run.0, "text": text, "total_bytes": total, "whole": whole }))
        })),
        Verb::Attempts { run } => read(past.read(|reader| reader.attempts(run)).map(|attempts| {
            let attempts: Vec<AttemptView> = attempts.iter().map(AttemptView::new).collect();
            wire::json(&json!({ "run": run.0, "attempts": attempts }))
        })),
        Verb::Changes { job, since, until } => {
            let changes = past.read(|reader| reader.changes(job.as_deref(), since, until));
            read(changes.map(|changes| {
                let changes: Vec<ChangeView> = changes.iter().map(ChangeView::new).collect();
                wire::json(&json!({ "changes": changes }))
            }))
        }
        Verb::Sessions => read(past.read(|reader| reader.sessions()).map(|sessions| {
            let sessions: Vec<SessionView> = sessions.iter().map(SessionView::new).collect();
            wire::json(&json!({ "sessions": sessions }))
        })),
    }
}

fn history(past: &mut Past, query: crate::store::Query) -> Result<String, Fault> {
    let limit = query.limit;
    let records = past.read(|reader| reader.records(&query))?;
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

    fn ask(&self) -> Step {
        let limit = u32::try_from(self.left).unwrap_or(PAGE).min(PAGE);
        Step::Ask(Wish::Want(Want::List { from: self.from, limit }))
    }

    /// An export begins with what the jobfile says of the scheduler.
    fn begin(&mut self, health: &Health) -> Step {
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

    fn add(&mut self, page: JobPage, past: &mut Past) -> Step {
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
                    let line = JobLine::new(view, past.last(&job.id, &job.zone));
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
        Step::End(Ok(match self.export {
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
                    past.forget_lasts();
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
