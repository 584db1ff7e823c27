//! The past that `doc/history.md` looks at, written to a store as a scheduler would have: a night of
//! three jobs in which it is killed at 02:10:03, and goes on at 02:55.

use std::path::Path;
use std::time::Duration;

use schedrs::event::{Change, JobRecord, RunId};
use schedrs::instant::Instant;
use schedrs::jobfile;
use schedrs::outcome::{MissReason, Outcome, SkipReason};
use schedrs::store::location::{self, Location};
use schedrs::store::{Fact, Process, Session};
use schedrs::usage::Usage;
use schedrs::zone::Database;

/// Whose past it is.
pub(crate) const JOBS: &str = r#"
[scheduler]
timezone = "Europe/Berlin"

[store]
url = "sqlite:past.db"

[jobs.backup]
command = "./backup.sh"
cron = "0 */3 * * *"
retries = 1

[jobs.poll]
command = "./poll.sh"
interval = "1m"
start_date = 2026-11-24T02:00:00
end_date = 2026-11-24T03:00:00

[jobs.report]
command = ["./report"]
cron = "30 6-8 * * *"
max_instances = 2
"#;

/// Seconds after midnight of 24 November 2026 in Berlin.
fn at(seconds: i64) -> Instant {
    Instant::from_secs(1_795_474_800 + seconds)
}

/// A time of that day.
const fn time(hour: i64, minute: i64, second: i64) -> i64 {
    (hour * 60 + minute) * 60 + second
}

fn began(pid: u32, from: i64) -> Fact {
    Fact::Began(Session {
        process: Process { pid, start: 1 },
        boot: "another".into(),
        began: at(from),
        seen: at(from),
        stopped: None,
        jobfile: "jobs.toml".into(),
        mark: 0,
    })
}

fn millisecond_after(due: i64) -> Instant {
    at(due).plus(Duration::from_millis(1))
}

/// A run that has begun a millisecond after it was due.
fn start(number: u64, job: &str, due: i64) -> Vec<Fact> {
    let (run, process) = (RunId(number), Process { pid: 4711, start: 7 });
    vec![
        Fact::Admitted {
            run,
            job: job.into(),
            due: at(due),
            at: at(due),
            by: None,
            host: None,
            slot: None,
        },
        Fact::Starting { run, attempt: 1 },
        Fact::Started { run, attempt: 1, process, at: millisecond_after(due) },
    ]
}

fn end(number: u64, job: &str, due: i64, took: u64, outcome: Outcome) -> Fact {
    let duration = Duration::from_secs(took);
    let at = millisecond_after(due).plus(duration);
    Fact::Ended {
        run: RunId(number),
        job: job.into(),
        outcome,
        duration,
        attempts: 1,
        at,
        usage: used(number),
    }
}

/// What some of the runs have used.
fn used(run: u64) -> Option<Usage> {
    let (cpu, max_rss, read, written) = match run {
        19 => (5_400_000, 2 << 30, 76_557_654_016, 0),
        23 => (58_200, 2_147_000_000, 482_344_960, 0),
        24 => (480, 35_756_032, 1_258_496, 4096),
        _ => return None,
    };
    let (cpu, max_rss) = (Duration::from_millis(cpu), Some(max_rss));
    Some(Usage { cpu, max_rss, read, written })
}

fn run(number: u64, job: &str, due: i64, took: u64, outcome: Outcome) -> Vec<Fact> {
    let mut facts = start(number, job, due);
    facts.push(end(number, job, due, took, outcome));
    facts
}

fn fate(job: &str, due: i64, last: i64, count: u64, outcome: Outcome, decided: i64) -> Fact {
    let (due, last_due, at) = (at(due), at(last), at(decided));
    Fact::Fate { job: job.into(), due, last_due, count, outcome, at, host: None }
}

fn change(when: i64, what: &str, detail: &str) -> Fact {
    Fact::Change(Change {
        at: at(when),
        job: Some("backup".into()),
        what: what.into(),
        by: "alice".into(),
        detail: Some(detail.into()),
    })
}

fn printed(run: u64, text: &str, total: u64) -> Fact {
    Fact::Output { run: RunId(run), tail: text.as_bytes().into(), total }
}

/// Each step of the scheduler, in its order.
fn steps() -> Vec<Vec<Fact>> {
    let set = jobfile::load_text("t", JOBS, &Database::bundled(), at(0)).set.unwrap();
    let jobs = set.jobs.iter().map(|job| {
        Fact::Job(Box::new(JobRecord {
            id: job.id.clone(),
            anchor: at(0),
            decided: at(0).minus(Duration::from_secs(1)),
            trigger: job.trigger.fingerprint().into(),
            since: at(0).minus(Duration::from_secs(1)),
            pause: None,
            resumed: false,
            added: None,
            overrides: None,
        }))
    });
    let mut steps = vec![vec![began(312, -60)], jobs.collect(), start(1, "backup", 0)];
    for minute in 0..=10 {
        let number = 2 + minute as u64;
        steps.push(run(number, "poll", time(2, minute, 0), 3, Outcome::Succeeded));
    }
    let again = time(2, 55, 0);
    let late = Outcome::Missed(MissReason::Late(Duration::from_secs(44 * 60)));
    let lost = Outcome::Lost("schedrs was killed".into());
    steps.push(vec![began(977, again), end(1, "backup", 0, time(2, 55, 0) as u64, lost)]);
    steps.push(vec![
        fate("poll", time(2, 11, 0), time(2, 53, 0), 43, late, again),
        fate("poll", time(2, 54, 0), time(2, 54, 0), 1, Outcome::Coalesced, again),
    ]);
    for minute in 55..=59 {
        let number = minute as u64 - 42;
        steps.push(run(number, "poll", time(2, minute, 0), 3, Outcome::Succeeded));
    }
    steps.push(run(18, "poll", time(3, 0, 0), 3, Outcome::Failed(3)));
    steps.push(start(19, "backup", time(3, 0, 0)));
    let overlap = Outcome::Skipped(SkipReason::Overlap);
    let six = time(6, 0, 0);
    steps.push(vec![fate("backup", six, six, 1, overlap, six)]);
    steps.push(vec![
        printed(19, "all well\n", 9),
        end(19, "backup", time(3, 0, 0), time(3, 4, 20) as u64, Outcome::Succeeded),
    ]);
    steps.push(run(20, "report", time(6, 30, 0), 60, Outcome::Failed(1)));
    let no_program = Outcome::NotStarted("program ./report does not exist".into());
    steps.push(vec![
        Fact::Admitted {
            run: RunId(21),
            job: "report".into(),
            due: at(time(7, 30, 0)),
            at: at(time(7, 30, 0)),
            by: None,
            host: None,
            slot: None,
        },
        Fact::Starting { run: RunId(21), attempt: 1 },
        end(21, "report", time(7, 30, 0), 0, no_program),
    ]);
    steps.push(start(22, "report", time(8, 30, 0)));
    steps.extend(stopped());
    let paused = Outcome::Skipped(SkipReason::Paused);
    let noon = time(12, 0, 0);
    steps.push(vec![change(time(11, 0, 0), "paused", "until resumed")]);
    steps.push(vec![
        change(time(12, 30, 0), "resumed", ""),
        fate("backup", noon, noon, 1, paused, time(12, 30, 0)),
    ]);
    steps.push(by_hand());
    steps
}

/// Run 23: its first attempt fails, and alice ends the second.
fn stopped() -> Vec<Vec<Fact>> {
    let (run, due) = (RunId(23), time(9, 0, 0));
    let mut first = start(23, "backup", due);
    let (outcome, ended) = (Outcome::Failed(1), at(due + 10));
    first.push(Fact::AttemptEnded { run, attempt: 1, outcome, at: ended });
    let process = Process { pid: 4712, start: 7 };
    let second = vec![
        Fact::Starting { run, attempt: 2 },
        Fact::Started { run, attempt: 2, process, at: at(due + 20) },
    ];
    let last = vec![
        change(due + 75, "stopped", "run 23"),
        printed(23, "copying 3 files\ndisk full\n", 1_258_291),
        Fact::Ended {
            run,
            job: "backup".into(),
            outcome: Outcome::Killed(15),
            duration: Duration::from_secs(75),
            attempts: 2,
            at: at(due + 75),
            usage: used(23),
        },
    ];
    vec![first, second, last]
}

fn by_hand() -> Vec<Fact> {
    let due = time(12, 34, 56);
    let mut facts = run(24, "backup", due, 2, Outcome::Succeeded);
    if let Fact::Admitted { by, .. } = &mut facts[0] {
        *by = Some("alice".into());
    }
    facts.push(printed(24, "", 0));
    facts.push(change(due, "started", "run 24"));
    facts
}

/// Writes all of it.
pub(crate) fn write(path: &Path) {
    let mut store = location::open(&Location::Sqlite(path.to_owned())).unwrap().store;
    store.restore().unwrap();
    for step in steps() {
        assert_eq!(store.commit(&step).unwrap(), [], "{step:?}");
    }
}
