//! When there are threads: as many as starts have use for, and none once nothing has been started for
//! long.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Resource, WaitOptions, getrlimit, waitpid};

use super::{Executor, PoisonError, Report, Start};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::job::{Command, Job, Options};
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::zone::Zone;
use crate::run::child::World;
use crate::run::child::limit::Limiter;

/// A test that waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

fn executor(idle: Duration) -> (Executor, Receiver<Report>) {
    let (report, reports) = channel();
    let world = World::new(getrlimit(Resource::Nofile), None, None, Limiter::default());
    (Executor::with_idle(world.into(), move |done, _| report.send(done).unwrap(), idle), reports)
}

fn start(run: u64, argv: &[&str]) -> Start {
    let job = Job {
        id: "job".into(),
        name: None,
        command: Command::Argv(argv.iter().map(|word| (*word).into()).collect()),
        trigger: Trigger::Date(DateTrigger::At(Instant::from_micros(0))),
        zone: Zone::utc(),
        executor: 0,
        options: Options::default().into(),
    };
    Start {
        run: RunId(run),
        attempt: 1,
        due: Instant::from_micros(0),
        waited: Duration::ZERO,
        job: job.into(),
    }
}

/// The process of the next report.
fn started(reports: &Receiver<Report>) -> Pid {
    match reports.recv_timeout(LONG) {
        Ok(Report::Started { pid, .. }) => Pid::from_raw(pid as i32).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Waits until there are so many threads.
fn wait_for_threads(executor: &Executor, number: usize) {
    let shared = &executor.shared;
    let state = shared.lock();
    let waited = shared.ended.wait_timeout_while(state, LONG, |state| state.seats.len() != number);
    let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    assert_eq!(state.seats.len(), number);
}

#[test]
fn the_first_start_brings_a_thread_and_an_idle_one_leaves() {
    let (executor, reports) = executor(Duration::ZERO);
    assert_eq!(executor.shared.lock().seats.len(), 0);
    for run in 1..=3 {
        executor.submit(start(run, &["/bin/true"]));
        let pid = started(&reports);
        // It has a child until this is waited for.
        waitpid(Some(pid), WaitOptions::empty()).unwrap();
        executor.child_ended();
        wait_for_threads(&executor, 0);
    }
}

#[test]
fn a_thread_stays_as_long_as_its_child_lives() {
    let (executor, reports) = executor(Duration::ZERO);
    executor.submit(start(1, &["/bin/sleep", "1000"]));
    let pid = started(&reports);
    let shared = &executor.shared;
    let mut state = shared.lock();
    while !state.seats.iter().any(|seat| seat.leaves) {
        drop(state);
        std::thread::yield_now();
        state = shared.lock();
    }
    assert_eq!(state.seats.len(), 1);
    drop(state);
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    waitpid(Some(pid), WaitOptions::empty()).unwrap();
    executor.child_ended();
    wait_for_threads(&executor, 0);
}

#[test]
fn who_lets_starts_go_first_finds_none_that_waits() {
    let (executor, reports) = executor(LONG);
    // Nothing waits: neither does this.
    executor.let_starts_go_first(Duration::MAX);
    for run in 1..=50 {
        executor.submit(start(run, &["/bin/true"]));
    }
    executor.let_starts_go_first(LONG);
    assert!(executor.shared.lock().starts.is_empty());
    for _ in 1..=50 {
        waitpid(Some(started(&reports)), WaitOptions::empty()).unwrap();
    }
}

#[test]
fn two_threads_are_enough_for_many_starts() {
    let (executor, reports) = executor(LONG);
    for run in 1..=50 {
        executor.submit(start(run, &["/bin/true"]));
    }
    for _ in 1..=50 {
        waitpid(Some(started(&reports)), WaitOptions::empty()).unwrap();
    }
    let threads = executor.shared.lock().seats.len();
    assert!((1..=2).contains(&threads), "{threads}");
}
