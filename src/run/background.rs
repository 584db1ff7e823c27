//! The scheduler inside another program: what APScheduler's `BackgroundScheduler` is to Python.
//!
//! [`BackgroundScheduler::start`] runs the same loop as `schedrs run`, on a thread of its own, and
//! hands back a handle with the same verbs that clients of the control socket have. Jobs are still
//! commands; what they do is heard of by [`BackgroundScheduler::subscribe`].
//!
//! The program it is embedded in keeps its signal handlers (but for SIGCHLD, which is passed on to
//! whoever handled it before) and its children: it must not wait for *any* child (`wait(-1)`), or
//! it takes the exit codes of jobs away. The process becomes a subreaper (prctl(2)), so that what
//! jobs leave behind can be found and ended; what its own children leave behind becomes its child,
//! too.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Deserialize;

use crate::control::{Call, Line, Request, Target};
use crate::core::event::{
    Action, Code, Fault, Health, JobDetail, JobView, Record, Response, RunId,
};
pub use crate::core::event::{Fast, Happening, Quiet, Unusual, UnusualRun};
use crate::core::job::{Job, Keep};
use crate::core::zone::Database;
use crate::history::object::RunObject;
use crate::jobfile::{self, OnDisk, when};
use crate::run::daemon::{self, Jobfile, Plan, Storage};
use crate::run::output::{Output, Settings};
use crate::store::location::{Location, Refuse};
use crate::sys::clock;
use crate::sys::paths;

/// How many jobs are asked for at once.
const PAGE: u64 = 1000;

/// What a [`BackgroundScheduler`] is to be.
#[derive(Clone, Debug)]
pub struct Config {
    /// What a jobfile would say, as TOML: jobs, `[defaults]`, `[executors]`. May be empty.
    pub jobfile: String,
    /// Where jobs and their past are kept: memory unless told.
    pub store: Location,
    /// Who is said to have asked for what is asked here. The directory of the files of jobs with
    /// `output = "file"` has its name from it and from the current directory.
    pub name: String,
    /// A control socket, for the command line and other programs; none unless told.
    pub socket: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            jobfile: String::new(),
            store: Location::Memory,
            name: "embedded".to_owned(),
            socket: None,
        }
    }
}

/// A scheduler on a thread of its own. Dropping it stops it as [`BackgroundScheduler::shutdown`]
/// does, without waiting for what runs.
pub struct BackgroundScheduler {
    line: Line,
    by: Box<str>,
    subscribers: Subscribers,
    thread: Option<JoinHandle<()>>,
}

type Subscribers = Arc<Mutex<Vec<Sender<Happening>>>>;

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The scheduler could not be started.
    Start(String),
    /// What was given as TOML has these problems.
    Problems(Vec<String>),
    /// It is not possible: no such job, for example.
    Refused(Fault),
    /// The scheduler has ended.
    Ended,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Start(why) => write!(f, "the scheduler could not be started: {why}"),
            Error::Problems(problems) => f.write_str(&problems.join("; ")),
            Error::Refused(fault) => f.write_str(&fault.message),
            Error::Ended => f.write_str("the scheduler has ended"),
        }
    }
}

impl std::error::Error for Error {}

impl fmt::Debug for BackgroundScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundScheduler").field("by", &self.by).finish_non_exhaustive()
    }
}

impl BackgroundScheduler {
    /// Starts one. When it answers, what is due fires.
    pub fn start(config: Config) -> Result<BackgroundScheduler, Error> {
        let start = |error: &dyn fmt::Display| Error::Start(error.to_string());
        let zones = Database::open(None);
        let loaded = jobfile::load_text(&config.name, &config.jobfile, &zones, clock::wall());
        let (Some(set), Some(builder)) = (loaded.set, loaded.builder) else {
            let problems = loaded.problems.iter().map(|problem| problem.message.clone());
            return Err(Error::Problems(problems.collect()));
        };
        let storage = Storage::open(config.store, set.settings.keep, Refuse::of(&set))
            .map_err(|error| Error::Start(format!("the store {error}")))?;
        let notes = Arc::new(OnceLock::new());
        let settings = Settings {
            raw: false,
            at_once: false,
            colour: false,
            json_log: false,
            directory: paths::logs_of(Path::new(&config.name)),
            tails: Some(daemon::tails(&notes)),
            keep: set.settings.keep.output.unwrap_or(Keep::OUTPUT),
        };
        let output = Output::start(settings).map_err(|error| start(&error))?;
        let subscribers: Subscribers = Arc::default();
        let observer = {
            let subscribers = Arc::clone(&subscribers);
            Box::new(move |action: &Action| tell(&subscribers, action))
        };
        let (send, ready) = mpsc::channel();
        let failed = send.clone();
        let mut plan = Plan::new(
            Jobfile { set, builder, on_disk: OnDisk::default() },
            config.name.clone(),
            output.handle(),
        );
        plan.storage = Some(storage);
        plan.notes = notes;
        plan.socket = config.socket;
        plan.embedded = true;
        plan.observer = Some(observer);
        plan.ready = Some(Box::new(move |line| drop(send.send(Ok(line)))));
        let work = move || {
            if let Err(error) = daemon::run(plan) {
                log::error!("the scheduler has ended: {error:#}");
                // Nobody listens any more once it has been ready.
                let _ = failed.send(Err(format!("{error:#}")));
            }
            output.finish();
        };
        let thread = std::thread::Builder::new()
            .name("scheduler".to_owned())
            .spawn(work)
            .map_err(|error| start(&error))?;
        match ready.recv() {
            Ok(Ok(line)) => Ok(BackgroundScheduler {
                line,
                by: config.name.into(),
                subscribers,
                thread: Some(thread),
            }),
            Ok(Err(error)) => Err(start(&error)),
            Err(_) => Err(Error::Ended),
        }
    }

    /// Adds a job: `text` is what stands below `[jobs.ID]` in a jobfile. With `replace_existing`,
    /// one that was added before under the same id is replaced.
    pub fn add_job(
        &self,
        id: &str,
        text: &str,
        replace_existing: bool,
    ) -> Result<JobDetail, Error> {
        let (id, text) = (id.into(), text.into());
        self.job(Request::Add { job: id, text, replace: replace_existing })
    }

    /// Removes a job that was added.
    pub fn remove_job(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Remove { job: id.into() })
    }

    /// Pauses a job until it is resumed: what is due meanwhile is skipped.
    pub fn pause_job(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Pause { job: Some(id.into()), until: None, reason: None })
    }

    /// Resumes a job.
    pub fn resume_job(&self, id: &str) -> Result<(), Error> {
        self.done(Request::Resume { job: Some(id.into()) })
    }

    /// Pauses all jobs.
    pub fn pause(&self) -> Result<(), Error> {
        self.done(Request::Pause { job: None, until: None, reason: None })
    }

    /// Resumes all jobs but those that were paused on their own.
    pub fn resume(&self) -> Result<(), Error> {
        self.done(Request::Resume { job: None })
    }

    /// Changes options of a job, given as TOML: `max_instances = 6`.
    pub fn modify_job(&self, id: &str, text: &str) -> Result<JobDetail, Error> {
        self.job(Request::Modify { job: id.into(), text: text.into() })
    }

    /// Gives a job another trigger, as TOML: `cron = "0 3 * * *"`.
    pub fn reschedule_job(&self, id: &str, text: &str) -> Result<JobDetail, Error> {
        self.job(Request::Reschedule { job: id.into(), text: text.into() })
    }

    /// One job.
    pub fn get_job(&self, id: &str) -> Result<JobDetail, Error> {
        self.job(Request::Show { job: id.into() })
    }

    /// All jobs.
    pub fn get_jobs(&self) -> Result<Vec<JobView>, Error> {
        let (mut jobs, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            match self.ask(Request::List { from: at, limit: PAGE })? {
                Response::Jobs(page) => {
                    jobs.extend(page.jobs);
                    from = page.more;
                }
                _ => return Err(Error::Ended),
            }
        }
        Ok(jobs)
    }

    /// Starts a run of a job now, if `max_instances` allows it.
    pub fn start_job(&self, id: &str) -> Result<RunId, Error> {
        match self.ask(Request::Start { job: id.into(), force: false, wait: false, on: None })? {
            Response::Started { run, .. } => Ok(run),
            Response::Elsewhere { body, .. } => {
                elsewhere(&body)?.run.map(RunId).ok_or(Error::Ended)
            }
            _ => Err(Error::Ended),
        }
    }

    /// The same, and waits for its end.
    pub fn run_job(&self, id: &str) -> Result<Record, Error> {
        let replies =
            self.call(Request::Start { job: id.into(), force: false, wait: true, on: None });
        loop {
            match taken(replies.recv().map_err(|_| Error::Ended)?)? {
                Response::Ended(record) => return Ok(*record),
                Response::Started { .. } | Response::Elsewhere { goes_on: true, .. } => {}
                Response::Elsewhere { body, .. } => {
                    let job = self.get_job(id)?.view.job;
                    return elsewhere(&body)?.record(job).ok_or(Error::Ended);
                }
                _ => return Err(Error::Ended),
            }
        }
    }

    /// Ends all active runs of a job; answers which.
    pub fn stop_job(&self, id: &str) -> Result<Vec<RunId>, Error> {
        match self.ask(Request::Stop(Target::Job(id.into())))? {
            Response::Stopped(runs) => Ok(runs),
            Response::Elsewhere { body, .. } => {
                Ok(elsewhere(&body)?.stopped.into_iter().map(RunId).collect())
            }
            _ => Err(Error::Ended),
        }
    }

    /// How the scheduler is.
    pub fn health(&self) -> Result<Health, Error> {
        match self.ask(Request::Status)? {
            Response::Status { health, .. } => Ok(*health),
            _ => Err(Error::Ended),
        }
    }

    /// What happens from here on: an iterator, if you like. What nobody takes out waits in memory.
    pub fn subscribe(&self) -> Receiver<Happening> {
        let (send, receive) = mpsc::channel();
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner).push(send);
        receive
    }

    /// Stops. With `wait`, what runs may end by itself within `stop_grace`; without, it is killed.
    /// Returns when everything has ended and the store has it.
    pub fn shutdown(mut self, wait: bool) {
        self.stop(!wait);
    }

    fn stop(&mut self, now: bool) {
        if let Some(thread) = self.thread.take() {
            self.call(Request::Shutdown { now });
            // What it may have panicked with has been said.
            let _ = thread.join();
        }
    }

    fn done(&self, request: Request) -> Result<(), Error> {
        self.ask(request).map(drop)
    }

    fn job(&self, request: Request) -> Result<JobDetail, Error> {
        let id = request.job().map(str::to_owned);
        match self.ask(request)? {
            // Another host has changed it, and what that says is not all there is to a job.
            Response::Elsewhere { .. } => self.get_job(&id.unwrap_or_default()),
            Response::Job { job, warnings } => {
                warnings.iter().for_each(|warning| log::warn!("{}: {warning}", job.view.job.id));
                Ok(*job)
            }
            _ => Err(Error::Ended),
        }
    }

    fn ask(&self, request: Request) -> Result<Response, Error> {
        taken(self.call(request).recv().map_err(|_| Error::Ended)?)
    }

    fn call(&self, request: Request) -> Receiver<Response> {
        let (send, receive) = mpsc::channel();
        // Whoever has asked may have stopped waiting.
        let reply = Arc::new(move |response| drop(send.send(response)));
        (self.line)(Call { by: self.by.clone(), request, reply });
        receive
    }
}

impl Drop for BackgroundScheduler {
    fn drop(&mut self) {
        self.stop(true);
    }
}

/// What another host has answered.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Elsewhere {
    stopped: Vec<u64>,
    run: Option<u64>,
    #[serde(flatten)]
    object: RunObject,
}

impl Elsewhere {
    /// The record of a run that is over.
    fn record(self, job: Arc<Job>) -> Option<Record> {
        let Elsewhere { run, object, .. } = self;
        let time = |text: &str| match when::parse_moment(text) {
            Ok(when::Moment::At(at)) => Some(at),
            _ => None,
        };
        Some(Record {
            job,
            due: time(&object.due)?,
            last_due: time(&object.last_due)?,
            count: object.count,
            run: run.map(RunId),
            outcome: object.outcome()?,
            started: object.started.as_deref().and_then(time),
            duration: Duration::from_millis(object.duration_ms.unwrap_or_default()),
            attempts: object.attempts,
            usage: object.usage(),
        })
    }
}

fn elsewhere(body: &str) -> Result<Elsewhere, Error> {
    serde_json::from_str(body).map_err(|_| Error::Ended)
}

fn taken(response: Response) -> Result<Response, Error> {
    match response {
        Response::Refused(fault) if fault.code == Code::Invalid => {
            Err(Error::Problems(fault.problems))
        }
        Response::Refused(fault) => Err(Error::Refused(fault)),
        other => Ok(other),
    }
}

/// Tells subscribers what an action means; those that are gone are forgotten.
fn tell(subscribers: &Subscribers, action: &Action) {
    let mut subscribers = subscribers.lock().unwrap_or_else(PoisonError::into_inner);
    if subscribers.is_empty() {
        return;
    }
    let Some(happening) = Happening::of(action) else { return };
    subscribers.retain(|subscriber| subscriber.send(happening.clone()).is_ok());
}
