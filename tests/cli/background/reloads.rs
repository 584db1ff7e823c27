//! Reloads of a jobfile that takes its time, or never comes: in the loop itself, where a test says
//! when it has been read.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use schedrs::clock;
use schedrs::control::{Call, Line, Request};
use schedrs::daemon::{Jobfile, Plan, Storage, Wrong, run};
use schedrs::event::{Code, Response};
use schedrs::job::Keep;
use schedrs::jobfile::load_text;
use schedrs::output::{Output, Settings};
use schedrs::store::location::{Location, Refuse};
use schedrs::zone::Database;
use tempfile::TempDir;

/// What a reading finds, as soon as somebody says so.
type Readings = Receiver<Result<Jobfile, Wrong>>;

/// A loop whose jobfile is what a test says, when it says so.
struct Bench {
    line: Line,
    /// Each of them lets one reading end.
    files: Sender<Result<Jobfile, Wrong>>,
    /// Hears of each reading that begins.
    begun: Receiver<()>,
    thread: JoinHandle<()>,
    _directory: TempDir,
}

fn jobfile(text: &str) -> Jobfile {
    let loaded = load_text("jobs.toml", text, &Database::open(None), clock::wall());
    Jobfile { set: loaded.set.unwrap(), builder: loaded.builder.unwrap(), on_disk: loaded.on_disk }
}

fn one(id: &str) -> Jobfile {
    jobfile(&format!("jobs.{id} = {{ command = 'true', interval = '9d' }}"))
}

impl Bench {
    fn new(limit: Duration) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            raw: true,
            at_once: false,
            colour: false,
            json_log: false,
            directory: directory.path().to_path_buf(),
            tails: None,
            keep: 4096,
        };
        let output = Output::start(settings).unwrap();
        let mut plan = Plan::new(one("first"), "jobs.toml".to_owned(), output.handle());
        let keep = Keep::default();
        plan.storage = Some(Storage::open(Location::Memory, keep, Refuse::AsRoot).unwrap());
        plan.embedded = true;
        plan.load_limit = limit;
        let (send, ready) = channel();
        plan.ready = Some(Box::new(move |line| send.send(line).unwrap()));
        let (files, readings) = channel();
        let (begins, begun) = channel();
        let readings: Mutex<Readings> = Mutex::new(readings);
        plan.load = Some(Arc::new(move || {
            let _ = begins.send(());
            let readings = readings.lock().unwrap();
            readings.recv().unwrap_or_else(|_| Err(Wrong::default()))
        }));
        let thread = std::thread::spawn(move || {
            run(plan).unwrap();
            output.finish();
        });
        let line = ready.recv().unwrap();
        Bench { line, files, begun, thread, _directory: directory }
    }

    /// Asks something; the answer comes through what is returned.
    fn ask(&self, request: Request) -> Receiver<Response> {
        let (send, receive) = channel();
        let reply = Arc::new(move |reply| drop(send.send(reply)));
        (self.line)(Call { by: "test".into(), request, reply });
        receive
    }

    fn reasons(&self) -> Vec<String> {
        match self.ask(Request::Status).recv().unwrap() {
            Response::Status { health, .. } => health.reasons,
            other => panic!("{other:?}"),
        }
    }

    fn has(&self, job: &str) -> bool {
        let show = Request::Show { job: job.into() };
        matches!(self.ask(show).recv().unwrap(), Response::Job { .. })
    }

    fn stop(self) {
        self.ask(Request::Shutdown { now: true }).recv().unwrap();
        drop(self.files);
        self.thread.join().unwrap();
    }
}

/// How many jobs are new and gone.
fn difference(reply: Response) -> (usize, usize) {
    match reply {
        Response::Reloaded { added, removed, .. } => (added, removed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_asked_for_meanwhile_is_the_next_reading() {
    let bench = Bench::new(Duration::from_secs(3600));
    let first = bench.ask(Request::Reload);
    bench.begun.recv().unwrap();
    let later = [bench.ask(Request::Reload), bench.ask(Request::Reload)];
    assert!(bench.has("first"), "the loop goes on");
    bench.files.send(Ok(one("second"))).unwrap();
    assert_eq!(difference(first.recv().unwrap()), (1, 1));
    // One for both.
    bench.begun.recv().unwrap();
    assert!(later.iter().all(|later| later.try_recv().is_err()));
    bench.files.send(Ok(jobfile(""))).unwrap();
    for later in later {
        assert_eq!(difference(later.recv().unwrap()), (0, 1));
    }
    assert!(bench.begun.try_recv().is_err());
    bench.stop();
}

#[test]
fn a_reading_that_hangs_is_given_up_and_the_next_one_works() {
    let bench = Bench::new(Duration::from_secs(2));
    match bench.ask(Request::Reload).recv().unwrap() {
        Response::Refused(refusal) => {
            assert_eq!(refusal.code, Code::TooSlow);
            assert!(refusal.message.contains("jobs.toml within 2s"), "{refusal:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(bench.has("first"));
    let reasons = bench.reasons();
    assert!(reasons[0].contains("jobs.toml within 2s"), "{reasons:?}");
    // It comes back too late, and what it has read is not what is in the file now.
    bench.files.send(Ok(one("late"))).unwrap();
    bench.files.send(Ok(one("second"))).unwrap();
    assert_eq!(difference(bench.ask(Request::Reload).recv().unwrap()), (1, 1));
    assert!(bench.has("second") && !bench.has("late"));
    assert_eq!(bench.reasons(), [""; 0]);
    bench.stop();
}

#[test]
fn a_scheduler_that_stops_says_so_to_whoever_waits_for_a_reload() {
    let bench = Bench::new(Duration::from_secs(3600));
    let waiting = [bench.ask(Request::Reload), bench.ask(Request::Reload)];
    bench.ask(Request::Shutdown { now: false }).recv().unwrap();
    for reply in waiting {
        match reply.recv().unwrap() {
            Response::Refused(refusal) => assert_eq!(refusal.code, Code::Stopping),
            other => panic!("{other:?}"),
        }
    }
    drop(bench.files);
    bench.thread.join().unwrap();
}
