//! The scheduler inside another program: this one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

// There is none without an engine that can be shared.
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgres", feature = "redis"))]
mod fleet;
mod reloads;

use std::sync::mpsc::Receiver;
use std::time::Duration;

use schedrs::background::{BackgroundScheduler, Config, Error, Happening};
use schedrs::event::{Code, Record};
use schedrs::outcome::Outcome;
use schedrs::store::location::Location;

/// Longer than anything here takes.
const WATCHDOG: Duration = Duration::from_secs(60);

fn start(jobfile: &str) -> BackgroundScheduler {
    let config = Config { jobfile: jobfile.to_owned(), ..Config::default() };
    BackgroundScheduler::start(config).unwrap()
}

/// The next outcome of a job.
fn outcome(happenings: &Receiver<Happening>, id: &str) -> Record {
    loop {
        match happenings.recv_timeout(WATCHDOG).expect("nothing happens") {
            Happening::Outcome(record) if &*record.job.id == id => return record,
            _ => {}
        }
    }
}

#[test]
fn jobs_come_and_go() {
    let scheduler = start("[jobs.a]\ncommand = ['true']\ninterval = '1h'");
    let happenings = scheduler.subscribe();
    let detail = scheduler.add_job("b", "command = ['sh', '-c', 'exit 3']\ndate = 'now'", false);
    assert!(detail.unwrap().view.added);
    assert_eq!(outcome(&happenings, "b").outcome, Outcome::Failed(3));
    // It is gone once it is done.
    loop {
        if let Happening::Gone(id) = happenings.recv_timeout(WATCHDOG).unwrap() {
            assert_eq!(&*id, "b");
            break;
        }
    }
    let jobs = scheduler.get_jobs().unwrap();
    assert_eq!(jobs.iter().map(|view| &*view.job.id).collect::<Vec<_>>(), ["a"]);

    assert_eq!(scheduler.run_job("a").unwrap().outcome, Outcome::Succeeded);
    scheduler.modify_job("a", "max_instances = 6").unwrap();
    assert_eq!(scheduler.get_job("a").unwrap().view.job.options.max_instances, 6);
    scheduler.reschedule_job("a", "cron = '0 3 * * *'").unwrap();
    let detail = scheduler.get_job("a").unwrap();
    assert!(detail.view.overridden);
    assert_eq!(detail.view.job.options.max_instances, 6);
    scheduler.pause_job("a").unwrap();
    assert_eq!(scheduler.get_job("a").unwrap().view.next, None);
    scheduler.resume_job("a").unwrap();
    assert!(scheduler.get_job("a").unwrap().view.next.is_some());
    scheduler.shutdown(true);
}

#[test]
fn what_cannot_be_done_is_an_error() {
    let scheduler = start("[jobs.alpha]\ncommand = ['true']\ninterval = '1h'");
    match scheduler.remove_job("alpha") {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.code, Code::InFile),
        other => panic!("{other:?}"),
    }
    let error = scheduler.start_job("alhpa").unwrap_err().to_string();
    assert_eq!(error, "no job `alhpa`; did you mean `alpha`?");
    match scheduler.add_job("b", "comand = ['true']\ninterval = '5 parsecs'", false) {
        Err(Error::Problems(problems)) => assert!(problems.len() >= 2, "{problems:?}"),
        other => panic!("{other:?}"),
    }
    let config = Config { jobfile: "[jobs.x]".to_owned(), ..Config::default() };
    assert!(matches!(BackgroundScheduler::start(config), Err(Error::Problems(_))));
}

#[test]
fn what_a_job_leaves_behind_is_ended_and_other_children_are_left_alone() {
    let mut own = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let scheduler = start("");
    let happenings = scheduler.subscribe();
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let script = format!("setsid sleep 1000 & echo $! > {}", pid.display());
    let text = format!("command = '''{script}'''\ndate = 'now'\nkill_after = '1s'");
    scheduler.add_job("leaver", &text, false).unwrap();
    assert_eq!(outcome(&happenings, "leaver").outcome, Outcome::Succeeded);
    let pid = std::fs::read_to_string(pid).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(stat.is_err(), "{stat:?}");
    assert!(own.try_wait().unwrap().is_none());
    own.kill().unwrap();
    assert!(!own.wait().unwrap().success());
    scheduler.shutdown(false);
}

#[test]
fn added_jobs_outlive_it_in_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        || Config { store: Location::Sqlite(dir.path().join("jobs.db")), ..Config::default() };
    let scheduler = BackgroundScheduler::start(config()).unwrap();
    scheduler.add_job("a", "command = ['true']\ninterval = '1h'", false).unwrap();
    let next = scheduler.get_job("a").unwrap().view.next;
    let again = BackgroundScheduler::start(config()).unwrap_err().to_string();
    assert!(again.contains(&std::process::id().to_string()), "{again}");
    scheduler.shutdown(true);
    let scheduler = BackgroundScheduler::start(config()).unwrap();
    assert_eq!(scheduler.get_job("a").unwrap().view.next, next);
    scheduler.shutdown(true);
}
