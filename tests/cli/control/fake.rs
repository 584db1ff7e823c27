//! A loop that has a scheduler and starts nothing: runs end when a test says so.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use schedrs::clock;
use schedrs::control::follow::Follow;
use schedrs::control::server::{Past, Present, Server};
use schedrs::control::{Call, Reply, Request, Target};
use schedrs::event::{
    Action, ChangeKind, Event, Exit, Fault, Health, Operation, Process, Response, RunId,
};
use schedrs::job::{Executor, Job, JobSet, Settings};
use schedrs::jobfile;
use schedrs::output;
use schedrs::scheduler::Scheduler;
use schedrs::store::Reader;
use schedrs::zone::Database;

/// Longer than anything here takes.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

pub(crate) const JOBS: &str = r#"
    [scheduler]
    timezone = "Europe/Berlin"
    [executors]
    reports = { max_workers = 2 }
    [jobs.backup]
    command = "pg_dump --password=secret"
    cron = "30 2 * * *"
    [jobs.beat]
    name = "Heartbeat"
    command = ["curl", "http://127.0.0.1/"]
    interval = "1h"
    executor = "reports"
    [jobs.tidy]
    command = "true"
    interval = "1d"
    paused = true
"#;

pub(crate) struct Loop {
    scheduler: Mutex<Scheduler>,
    sinks: Mutex<HashMap<u64, Reply>>,
    tickets: AtomicUsize,
    settings: Settings,
    executors: Arc<[Executor]>,
    pub(crate) reasons: Mutex<Vec<String>>,
    /// Who has asked what, as `Debug` writes it.
    pub(crate) calls: Mutex<Vec<String>>,
    called: Condvar,
    /// Calls are kept in here and not answered, if there is a list.
    pub(crate) held: Mutex<Option<Vec<Call>>>,
}

pub(crate) fn set(text: &str) -> JobSet {
    let loaded = jobfile::load_text("jobs.toml", text, &Database::bundled(), clock::wall());
    loaded.set.unwrap_or_else(|| panic!("{text} {:?}", loaded.problems))
}

impl Loop {
    fn new(set: JobSet) -> Arc<Loop> {
        let (settings, executors) = (set.settings.clone(), set.executors.clone().into());
        Arc::new(Loop {
            scheduler: Mutex::new(Scheduler::new(clock::now(), set)),
            sinks: Mutex::default(),
            tickets: AtomicUsize::new(1),
            settings,
            executors,
            reasons: Mutex::default(),
            calls: Mutex::default(),
            called: Condvar::new(),
            held: Mutex::default(),
        })
    }

    fn call(&self, call: Call) {
        self.calls.lock().unwrap().push(format!("{call:?}"));
        self.called.notify_all();
        if let Some(held) = &mut *self.held.lock().unwrap() {
            held.push(call);
            return;
        }
        self.perform(call);
    }

    /// Waits until it was asked such things.
    #[track_caller]
    pub(crate) fn until(&self, asked: impl Fn(&[String]) -> bool) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let (calls, timeout) =
            self.called.wait_timeout_while(calls, WATCHDOG, |calls| !asked(calls)).unwrap();
        assert!(!timeout.timed_out(), "{calls:?}");
        calls.clone()
    }

    /// Answers what was kept, and keeps no more.
    pub(crate) fn release(&self) {
        let held = self.held.lock().unwrap().take().unwrap();
        held.into_iter().for_each(|call| self.perform(call));
    }

    fn perform(&self, call: Call) {
        let Call { by, request, reply } = call;
        let operation = match request {
            Request::List { from, limit } => Operation::List { from, limit: limit as u32 },
            Request::Show { job } => Operation::Show { job },
            Request::Start { job, force, wait, on: _ } => Operation::Start { job, force, wait },
            Request::Stop(Target::Job(job)) => Operation::StopJob { job },
            Request::Stop(Target::Run(run)) => Operation::StopRun { run },
            Request::Pause { job, until, reason } => Operation::Pause { job, until, reason },
            Request::Resume { job } => Operation::Resume { job },
            Request::Remove { job } => Operation::Remove { job, detail: None },
            Request::Add { job: id, text, replace } => match jobfile_job(&id, &text) {
                Ok(job) => Operation::Add { job, text, replace },
                Err(problems) => {
                    let fault = Fault::invalid(problems);
                    return reply(Response::Refused(fault));
                }
            },
            Request::Modify { job, text } | Request::Reschedule { job, text } => {
                let scheduler = self.scheduler.lock().unwrap();
                let Some(old) = scheduler.job(&job) else {
                    return reply(Response::Refused(scheduler.no_such_job(&job)));
                };
                Operation::Change {
                    job: Arc::clone(old),
                    overrides: Some(text),
                    what: ChangeKind::Modified,
                    detail: None,
                }
            }
            Request::Reset { job } => {
                let old = Arc::clone(self.scheduler.lock().unwrap().job(&job).unwrap());
                Operation::Change {
                    job: old,
                    overrides: None,
                    what: ChangeKind::Reset,
                    detail: None,
                }
            }
            Request::Status => {
                let status = self.scheduler.lock().unwrap().status();
                let health = Box::new(self.health());
                return reply(Response::Status { health, status });
            }
            Request::Reload => {
                return reply(Response::Reloaded {
                    added: 1,
                    changed: 0,
                    removed: 2,
                    unchanged: 3,
                });
            }
            Request::Shutdown { .. } => return reply(Response::Done),
            other => panic!("{other:?}"),
        };
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed) as u64;
        self.sinks.lock().unwrap().insert(ticket, reply);
        self.step(Event::Operation { ticket, by, operation: Box::new(operation) });
    }

    /// Lets a run end.
    pub(crate) fn end(&self, run: u64, exit: Exit) {
        self.step(Event::Ended { run: RunId(run), exit, usage: None, at: None });
    }

    fn step(&self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let mut actions = Vec::new();
            self.scheduler.lock().unwrap().step(clock::now(), event, &mut actions);
            for action in actions {
                match action {
                    Action::Answer { ticket, answer } => {
                        let mut sinks = self.sinks.lock().unwrap();
                        let sink = match answer {
                            Response::Started { .. } => Arc::clone(&sinks[&ticket]),
                            _ => sinks.remove(&ticket).unwrap(),
                        };
                        drop(sinks);
                        sink(answer);
                    }
                    Action::Start(start) => {
                        let at = clock::now();
                        let (run, taken) = (start.run, at.mono);
                        let process = Process { pid: 4711, start: 0 };
                        events.push(Event::Started { run, process, at, taken });
                    }
                    _ => {}
                }
            }
        }
    }

    fn health(&self) -> Health {
        Health {
            reasons: self.reasons.lock().unwrap().clone(),
            version: "0.0.0",
            pid: 4711,
            started: clock::wall(),
            jobfile: "jobs.toml".into(),
            loaded: clock::wall(),
            store: "memory".into(),
            timezone: "Europe/Berlin".into(),
            stopping: false,
            settings: self.settings.clone(),
            executors: Arc::clone(&self.executors),
            fleet: None,
        }
    }
}

fn jobfile_job(id: &str, text: &str) -> Result<Arc<Job>, Vec<String>> {
    let text = format!("[jobs.{}]\n{text}", json!(id));
    let loaded = jobfile::load_text("jobs.toml", &text, &Database::bundled(), clock::wall());
    match loaded.set {
        Some(set) => Ok(Arc::clone(&set.jobs[0])),
        None => Err(loaded.problems.iter().map(|problem| problem.message.clone()).collect()),
    }
}

/// A server and its socket.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) center: Arc<Loop>,
    pub(crate) server: Option<Server>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::of(JOBS, None)
    }

    pub(crate) fn of(jobs: &str, reader: Option<Box<dyn Reader>>) -> Bench {
        Bench::with(jobs, reader, None)
    }

    /// One where what runs print can be followed.
    pub(crate) fn of_output(jobs: &str, output: output::Handle) -> Bench {
        Bench::with(jobs, None, Some(output))
    }

    fn with(jobs: &str, reader: Option<Box<dyn Reader>>, output: Option<output::Handle>) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let center = Loop::new(set(jobs));
        let to = Arc::clone(&center);
        let path = dir.path().join("s.sock");
        let call = move |call| to.call(call);
        let output = output.map(|output| Arc::new(output) as Arc<dyn Follow>);
        let present = Present { output, events: None };
        let past = Past { reader, ..Past::default() };
        let server = Server::start_with_present(&path, call, past, present).unwrap();
        Bench { dir, center, server: Some(server) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("s.sock")
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(&self.path())
    }

    /// Asks on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&self, request: Value) -> Value {
        let mut wire = self.connect();
        wire.say(&request.to_string());
        wire.hear()
    }

    /// What the loop was asked last.
    pub(crate) fn last_call(&self) -> String {
        self.center.calls.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

/// A client that sends what no client should.
pub(crate) struct Wire(pub(crate) BufReader<UnixStream>);

impl Wire {
    pub(crate) fn connect(path: &std::path::Path) -> Wire {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(WATCHDOG)).unwrap();
        stream.set_write_timeout(Some(WATCHDOG)).unwrap();
        Wire(BufReader::new(stream))
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.send(format!("{line}\n").as_bytes());
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    /// The next line, as JSON.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// The next line; empty at the end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(_) => line,
            // The server has closed a connection in which it had not read everything.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => line,
            Err(error) => panic!("{error}"),
        }
    }

    #[track_caller]
    pub(crate) fn is_closed(&mut self) -> bool {
        self.line().is_empty()
    }
}

/// The code of a fault.
#[track_caller]
pub(crate) fn code(reply: &Value) -> &str {
    assert_eq!(reply["ok"], json!(false), "{reply}");
    reply["error"]["code"].as_str().unwrap()
}
