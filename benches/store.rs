//! What the embedded store costs: writing, looking back over a million records, and a restart.
//!
//! `cargo bench --bench store` does everything, in about a minute; `cargo bench --bench store --
//! commit restore` only what is named. `--dir DIR` says where the files are made; a disk is what is
//! meant. It prints medians and the worst; nothing is asserted.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench may stop")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Clock};

use schedrs::event::{JobRecord, RunId};
use schedrs::instant::Instant;
use schedrs::outcome::Outcome;
use schedrs::store::memory::Memory;
use schedrs::store::sqlite::Sqlite;
use schedrs::store::{Fact, Limits, Process, Query, Reader, Store};

const HISTORY: u64 = 1_000_000;
const JOBS: u64 = 10_000;
const RESTORED: u64 = 100_000;

fn main() {
    let mut names: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let mut base = std::env::temp_dir();
    if let Some(at) = names.iter().position(|name| name == "--dir") {
        base = PathBuf::from(&names[at + 1]);
        names.drain(at..at + 2);
    }
    let dir = tempfile::tempdir_in(base).unwrap();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    println!("load before: {}", fs::read_to_string("/proc/loadavg").unwrap().trim_end());
    if wanted("commit") {
        commit(dir.path());
    }
    if wanted("history") {
        history(dir.path());
    }
    if wanted("restore") {
        restore(dir.path());
    }
    println!("load after: {}", fs::read_to_string("/proc/loadavg").unwrap().trim_end());
}

fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, true).unwrap().0
}

fn at(secs: u64) -> Instant {
    Instant::from_secs(1_767_225_600 + secs as i64)
}

/// Prints median, 99th percentile and the worst of some times.
fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let micros = |place: usize| times[place].as_secs_f64() * 1e6;
    let (half, most, last) = (times.len() / 2, times.len() * 99 / 100, times.len() - 1);
    println!(
        "{what:<64} median {:>9.1} µs   p99 {:>9.1} µs   worst {:>9.1} µs",
        micros(half),
        micros(most),
        micros(last),
    );
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let before = Clock::now();
    let done = work();
    (before.elapsed(), done)
}

/// What is written before a run starts.
fn begins(run: u64, job: u64, due: u64) -> [Fact; 2] {
    let name = format!("job-{job}").into();
    let run = RunId(run);
    [
        Fact::Admitted {
            run,
            job: name,
            due: at(due),
            at: at(due),
            by: None,
            host: None,
            slot: None,
        },
        Fact::Starting { run, attempt: 1 },
    ]
}

/// And afterwards.
fn ends(run: u64, job: u64, due: u64) -> [Fact; 3] {
    let name = format!("job-{job}").into();
    let process = Process { pid: run as u32, start: run };
    let outcome = if run.is_multiple_of(97) { Outcome::Failed(1) } else { Outcome::Succeeded };
    let run = RunId(run);
    let duration = Duration::from_millis(20);
    [
        Fact::Started { run, attempt: 1, process, at: at(due) },
        Fact::Ended {
            run,
            job: name,
            outcome,
            duration,
            attempts: 1,
            at: at(due + 1),
            usage: None,
        },
        Fact::Output { run, tail: vec![b'x'; 80].into(), total: 80 },
    ]
}

fn commit(dir: &Path) {
    let keep = Limits { runs: 100, days: 30 };
    for kind in ["sqlite", "memory"] {
        let mut store: Box<dyn Store> = match kind {
            "memory" => Box::new(Memory::new()),
            _ => Box::new(open(&dir.join("commit.db"))),
        };
        let mut run = 0;
        for together in [1, 100, 1000] {
            let (mut before, mut after, mut tidied) = (Vec::new(), Vec::new(), Vec::new());
            for round in 0..20_000 / together {
                let due = run + round;
                let first: Vec<Fact> =
                    (0..together).flat_map(|n| begins(run + n, n, due)).collect();
                let last: Vec<Fact> = (0..together).flat_map(|n| ends(run + n, n, due)).collect();
                before.push(timed(|| store.commit(&first).unwrap()).0);
                after.push(timed(|| store.commit(&last).unwrap()).0);
                if round % 20 == 0 {
                    tidied.push(timed(|| store.tidy(keep, at(due)).unwrap()).0);
                }
                run += together;
            }
            print(&format!("{kind}: {together} runs begin, one commit"), before);
            print(&format!("{kind}: {together} runs end, one commit"), after);
            print(&format!("{kind}: tidying up, a slice"), tidied);
        }
    }
    let size = |name: &str| fs::metadata(dir.join(name)).map_or(0, |found| found.len()) / 1024;
    println!("files: {} KiB, log {} KiB", size("commit.db"), size("commit.db-wal"));
}

fn ask(what: &str, reader: &mut dyn Reader, question: impl Fn(&mut dyn Reader) -> usize) {
    let mut found = 0;
    let mut times = Vec::new();
    for _ in 0..9 {
        let (time, rows) = timed(|| question(reader));
        found = rows;
        times.push(time);
    }
    print(&format!("{what} ({found} rows)"), times);
}

fn history(dir: &Path) {
    let path = dir.join("history.db");
    let mut store = open(&path);
    let (time, ()) = timed(|| {
        for first in (0..HISTORY).step_by(5000) {
            let facts = (first..first + 5000).flat_map(|run| {
                let job = if run % 4 == 0 { JOBS } else { run * 7919 % JOBS };
                let due = run;
                begins(run, job, due).into_iter().chain(ends(run, job, due)).take(4)
            });
            store.commit(&facts.collect::<Vec<_>>()).unwrap();
        }
    });
    let size = fs::metadata(&path).unwrap().len() >> 20;
    println!(
        "{HISTORY} records of {} jobs: written in {:.1} s, {size} MiB",
        JOBS + 1,
        time.as_secs_f64()
    );
    let job = |name: &str| Query { job: Some(name.into()), ..Query::default() };
    // A quarter of all records are of one job; the others have 75 each.
    let one = format!("job-{JOBS}");
    let q = Query::default;
    let (early, late) = (at(HISTORY / 4), at(HISTORY - 3600));
    let questions = [
        ("the newest 20", Query { limit: 20, ..q() }),
        ("the newest 1000", Query { limit: 1000, ..q() }),
        ("20 of a job with 75", Query { limit: 20, ..job("job-7919") }),
        ("20 of a job with 250,000", Query { limit: 20, ..job(&one) }),
        ("20 that went wrong", Query { limit: 20, failed: true, ..q() }),
        (
            "20 that went wrong, of a job with 75",
            Query { limit: 20, failed: true, ..job("job-7919") },
        ),
        ("one run", Query { run: Some(RunId(HISTORY / 2)), ..q() }),
        ("since an hour ago", Query { since: Some(late), ..q() }),
        ("20 since an hour ago, of a job", Query { since: Some(late), limit: 20, ..job(&one) }),
        ("20 up to long ago", Query { until: Some(early), limit: 20, ..q() }),
        ("20 up to long ago, of a job", Query { until: Some(early), limit: 20, ..job(&one) }),
        (
            "an hour long ago",
            Query {
                since: Some(early.minus(Duration::from_secs(3600))),
                until: Some(early),
                ..q()
            },
        ),
        ("20 before the middle", Query { before: Some(HISTORY / 2), limit: 20, ..q() }),
    ];
    let (time, mut reader) = timed(|| store.reader().unwrap());
    print("opening it for reading", vec![time]);
    for (what, query) in questions {
        ask(what, &mut *reader, |reader| reader.records(&query).unwrap().len());
    }
    ask("the last run of each job", &mut *reader, |reader| reader.latest(None).unwrap().len());
    drop((reader, store));
    let (time, store) = timed(|| open(&path));
    print("opening it for writing", vec![time]);
    drop(store);
}

fn restore(dir: &Path) {
    let path = dir.join("restore.db");
    let mut store = open(&path);
    let record = |number: u64| {
        Fact::Job(Box::new(JobRecord {
            id: format!("job-{number}").into(),
            anchor: at(number),
            decided: at(number),
            trigger: "cron */5 * * * * Europe/Berlin".into(),
            since: at(0),
            pause: None,
            resumed: false,
            added: None,
            overrides: None,
        }))
    };
    let jobs: Vec<Fact> = (0..RESTORED).map(record).collect();
    let (time, _) = timed(|| store.commit(&jobs).unwrap());
    print(&format!("{RESTORED} jobs, one commit"), vec![time]);
    let open_runs: Vec<Fact> = (0..100).flat_map(|run| begins(run, run, 500)).collect();
    store.commit(&open_runs).unwrap();
    drop(store);
    let times = (0..9).map(|_| {
        let (time, restored) = timed(|| open(&path).restore().unwrap());
        assert_eq!(restored.jobs.len() as u64, RESTORED);
        time
    });
    print(&format!("{RESTORED} jobs and 100 open runs: opened and restored"), times.collect());
}
