//! `schedrs history`, `logs` and `why` as a person runs them: the real binary on a real store,
//! which is written here as a scheduler would.
#![cfg(feature = "sqlite")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop"
)]

use std::time::Duration;

use crate::harness::{Bench, Done, Running};
use schedrs::event::{Change, JobRecord, RunId};
use schedrs::instant::Instant;
use schedrs::jobfile;
use schedrs::outcome::{MissReason, Outcome, SkipReason};
use schedrs::store::location::{self, Location};
use schedrs::store::{Fact, Process, Session};
use schedrs::zone::Database;

const JOBS: &str = r#"
[scheduler]
timezone = "UTC"

[store]
url = "sqlite:state/past.db"

[jobs.backup]
command = "true"
cron = "0 * * * *"

[jobs.poll]
command = "true"
interval = "10m"
"#;

/// A minute of 24 November 2026, which is long past or still to come when the tests run: what is
/// said of it must not depend on that.
fn at(time: &str) -> Instant {
    let (hour, minute) = time.split_once(':').unwrap();
    let minutes = hour.parse::<i64>().unwrap() * 60 + minute.parse::<i64>().unwrap();
    Instant::from_secs(1_795_478_400 + minutes * 60)
}

fn began(pid: u32, time: &str) -> Fact {
    Fact::Began(Session {
        process: Process { pid, start: 1 },
        boot: "another".into(),
        began: at(time),
        seen: at(time),
        stopped: None,
        jobfile: "jobs.toml".into(),
        mark: 0,
    })
}

/// A run from its admission to its end, in seconds.
fn run(number: u64, job: &str, due: &str, took: u64, outcome: Outcome) -> Vec<Fact> {
    let run = RunId(number);
    let (due, duration) = (at(due), Duration::from_secs(took));
    vec![
        Fact::Admitted { run, job: job.into(), due, at: due, by: None, host: None, slot: None },
        Fact::Starting { run, attempt: 1 },
        Fact::Started { run, attempt: 1, process: Process { pid: 4711, start: 7 }, at: due },
        Fact::Ended {
            run,
            job: job.into(),
            outcome,
            duration,
            attempts: 1,
            at: due.plus(duration),
            usage: None,
        },
    ]
}

fn fate(job: &str, due: &str, last: &str, count: u64, outcome: Outcome, decided: &str) -> Fact {
    Fact::Fate {
        job: job.into(),
        due: at(due),
        last_due: at(last),
        count,
        outcome,
        at: at(decided),
        host: None,
    }
}

/// From midnight to 06:00, with an outage from 02:05 to 03:15.
fn facts() -> Vec<Vec<Fact>> {
    let set = jobfile::load_text("t", JOBS, &Database::bundled(), at("00:00")).set.unwrap();
    let jobs = set.jobs.iter().map(|job| {
        Fact::Job(Box::new(JobRecord {
            id: job.id.clone(),
            anchor: at("00:00"),
            decided: at("00:00"),
            trigger: job.trigger.fingerprint().into(),
            since: at("00:01"),
            pause: None,
            resumed: false,
            added: None,
            overrides: None,
        }))
    });
    let late = |secs| Outcome::Missed(MissReason::Late(Duration::from_secs(secs)));
    let change = |time: &str, what: &str, detail: &str| {
        Fact::Change(Change {
            at: at(time),
            job: Some("backup".into()),
            what: what.into(),
            by: "alice".into(),
            detail: Some(detail.into()),
        })
    };
    let mut steps = vec![vec![began(312, "00:00")], jobs.collect()];
    steps.push(run(1, "backup", "01:00", 3, Outcome::Succeeded));
    // It goes on past the next due time, until somebody stops it.
    steps.push(run(2, "backup", "02:00", 300, Outcome::Killed(15)));
    steps.push(vec![change("02:05", "stopped", "run 2"), Fact::Stopped { at: at("02:05") }]);
    steps.push(vec![began(977, "03:15"), fate("backup", "03:00", "03:00", 1, late(900), "03:15")]);
    steps.push(run(3, "backup", "04:00", 4500, Outcome::Failed(3)));
    let overlap = Outcome::Skipped(SkipReason::Overlap);
    steps.push(vec![fate("backup", "05:00", "05:00", 1, overlap, "05:00")]);
    steps.push(vec![Fact::Output {
        run: RunId(3),
        tail: b"disk \x1b[2J full\n".as_slice().into(),
        total: 1_258_291,
    }]);
    steps.push(vec![fate("poll", "00:10", "02:00", 12, Outcome::Coalesced, "02:00")]);
    steps.push(vec![fate("poll", "02:10", "03:10", 7, late(3900), "03:15")]);
    steps.push(vec![Fact::Stopped { at: at("06:00") }]);
    steps
}

/// A jobfile with its store.
fn bench(leave_out: Option<usize>) -> Bench {
    let bench = Bench::new(JOBS);
    std::fs::create_dir(bench.path("state")).unwrap();
    let location = Location::Sqlite(bench.path("state/past.db"));
    let mut store = location::open(&location).unwrap().store;
    store.restore().unwrap();
    for (number, step) in facts().iter().enumerate() {
        if Some(number) != leave_out {
            assert_eq!(store.commit(step).unwrap(), [], "{step:?}");
        }
    }
    bench
}

fn schedrs(bench: &Bench, args: &[&str]) -> Done {
    Running::start(&mut bench.command(args)).wait()
}

/// What it prints, given that it goes well.
#[track_caller]
fn shown(bench: &Bench, args: &[&str]) -> Vec<String> {
    let done = schedrs(bench, args);
    assert_eq!(done.code, Some(0), "{args:?}: {done:#?}");
    done.out
}

#[track_caller]
fn error(bench: &Bench, args: &[&str], code: i32) -> String {
    let done = schedrs(bench, args);
    assert_eq!((done.code, done.out.len()), (Some(code), 0), "{args:?}: {done:#?}");
    done.err.join("\n")
}

#[test]
fn what_became_of_it() {
    let bench = bench(None);
    let rows = [
        "DUE                             OUTCOME              LAG    TOOK  RUN  REMARKS",
        "Tue 2026-11-24 01:00:00 +00:00  ✓ succeeded         <1ms      3s    1",
        "Tue 2026-11-24 02:00:00 +00:00  ✗ killed TERM       <1ms      5m    2",
        "Tue 2026-11-24 03:00:00 +00:00  ! missed                               15m late",
        "Tue 2026-11-24 04:00:00 +00:00  ✗ failed 3          <1ms  1h 15m    3",
        "Tue 2026-11-24 05:00:00 +00:00  - skipped: overlap",
    ];
    assert_eq!(shown(&bench, &["history", "backup"]), rows);
    let json = shown(&bench, &["history", "--failed", "-n", "1", "--output", "json"]);
    let object: serde_json::Value = serde_json::from_str(&json[0]).unwrap();
    assert_eq!((json.len(), object["count"].as_u64()), (1, Some(7)));
    assert_eq!(object["last_due"], "2026-11-24T03:10:00+00:00");
    let glance = shown(&bench, &["history", "--jobs"]);
    assert!(glance[1].starts_with("backup  ✓✗!✗-  33% of 3   - skipped: overlap, "), "{glance:#?}");
}

#[test]
fn it_adds_up_or_it_does_not() {
    let done = schedrs(&bench(None), &["history", "--audit"]);
    assert_eq!(done.code, Some(0), "{done:#?}");
    assert_eq!(done.err, ["schedrs: 24 due times of 2 jobs: each has exactly one outcome"]);
    // Without a jobfile there is nothing to compare with, which is not the same as nothing wrong.
    let bare = bench(None);
    std::fs::remove_file(bare.path("jobs.toml")).unwrap();
    let said = error(&bare, &["history", "--audit", "--store", "sqlite:state/past.db"], 1);
    assert!(said.contains("compares the history with a jobfile"), "{said}");
    // The run of 04:00 has never been written down.
    let done = schedrs(&bench(Some(6)), &["history", "--audit"]);
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert_eq!(done.out.last().unwrap(), "backup: due Tue 2026-11-24 04:00:00 +00:00: no outcome");
}

#[test]
fn what_it_has_printed() {
    let bench = bench(None);
    let done = schedrs(&bench, &["logs", "--run", "3"]);
    assert_eq!(done.out, ["disk \x1b[2J full"]);
    assert_eq!(
        done.err,
        [
            "backup, run 3, due Tue 2026-11-24 04:00:00 +00:00: failed with exit code 3 after 1h 15m; \
          the last 15 bytes of 1.2 MiB"
        ]
    );
    assert_eq!(shown(&bench, &["logs", "backup", "-n", "0"]).len(), 6);
}

#[test]
fn why_it_is_so() {
    let bench = bench(None);
    for (time, expected) in [
        ("01:00", "✓ backup, due {}: run 1 succeeded after 3s"),
        (
            "02:00",
            "✗ backup, due {}: run 2 was killed by SIGTERM after 5m: stopped by alice at 02:05:00",
        ),
        ("03:00", "! backup, due {}: missed: schedrs was down from 02:05:00 to 03:15:00"),
        ("05:00", "- backup, due {}: skipped: run 3 was still going"),
        ("05:10", "backup, {}: not due: the nearest due times are 05:00:00 and 06:00:00"),
    ] {
        let due = format!("Tue 2026-11-24 {time}:00 +00:00");
        let out = shown(&bench, &["why", "backup", "--at", &due]);
        assert_eq!(out[0], expected.replace("{}", &due));
    }
}

/// Reading is no writing: nor does it need anything but the store.
#[test]
fn where_the_store_is_found() {
    let bench = bench(None);
    let count = |args: &[&str]| shown(&bench, args).len();
    assert_eq!(count(&["history"]), 8);
    assert_eq!(count(&["history", "-f", "jobs.toml"]), 8);
    assert_eq!(count(&["history", "--store", "sqlite:state/past.db"]), 8);
    assert_eq!(count(&["history", "--store", "sqlite:state/past.db", "-f", "nowhere.toml"]), 8);
    // A jobfile with errors is no hindrance.
    bench.write("jobs.toml", "[store]\nurl = 'sqlite:state/past.db'\n[jobs.x]\n");
    let done = schedrs(&bench, &["history", "--store", "sqlite:state/past.db"]);
    assert_eq!((done.code, done.out.len()), (Some(0), 8), "{done:#?}");
    assert!(done.err[0].contains("jobs.toml has errors"), "{done:#?}");
}

#[test]
fn what_is_wrong_is_said() {
    let bench = Bench::new("[jobs.x]\ncommand = 'true'\ncron = '@daily'");
    let text = error(&bench, &["history"], 1);
    assert!(
        text.starts_with("schedrs: no store of jobs.toml: either no schedrs has run"),
        "{text}"
    );
    assert!(text.contains("/state/jobs-") && text.contains("/var/lib/schedrs/jobs-"), "{text}");
    let text = error(&bench, &["why", "x", "--store", "sqlite:nowhere.db"], 1);
    assert!(text.ends_with("looked for:\n  nowhere.db"), "{text}");
    let text = error(&bench, &["logs", "--jobfile", "nowhere.toml"], 1);
    assert!(text.starts_with("schedrs: cannot read nowhere.toml: No such file"), "{text}");
    error(&bench, &["history", "--audit", "--jobs"], 2);
    error(&bench, &["why"], 2);
    bench.write("jobs.toml", "[store]\nurl = 'memory'");
    let text = error(&bench, &["history"], 1);
    assert!(text.starts_with("schedrs: the store is `memory`, which keeps nothing"), "{text}");
}

#[test]
fn an_unknown_job_is_told_from_a_known_one() {
    let bench = bench(None);
    for command in ["history", "logs", "why"] {
        let text = error(&bench, &[command, "bakcup"], 1);
        assert_eq!(text, "schedrs: no job `bakcup`; did you mean `backup`?", "{command}");
    }
}
