//! Fifty runs a second for as long as somebody has: memory, descriptors, threads and the store stay
//! as large as they were, every due time has one fate, and nothing that a job printed is lost.
//!
//! `SCHEDRS_SOAK=60 cargo test --test soak -- --nocapture` takes an hour and prints what it has
//! measured. Without the variable each job runs a few times, so that the test itself stays sound;
//! what only shows in the long run is not judged then.
//!
//! It ends after a number of runs, not at a time: nothing here sleeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for product code"
)]

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use harness::{Bench, Running, WATCHDOG, is_root, kilobytes_of, status_of};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// One run of each job a second.
const JOBS: usize = 50;

/// How many runs lie between two samples: five seconds.
const STRIDE: usize = 5 * JOBS;

/// By how much something may be larger at the end than after it had warmed up. What each run left
/// behind, 135,000 runs later, would be more than that at eight bytes.
const SLACK_KB: u64 = 1024;

/// Jobs of every kind: by interval and by cron, with and without a shell, that fail, that leave
/// processes behind, that are not taken down, and, for root, that change their user.
fn jobs() -> String {
    let mut text = "executors.default = { max_workers = 100 }\n\
        [defaults]\n\
        misfire_grace_time = 'forever'\ncoalesce = 'all'\nmax_instances = 100\nkill_after = '1s'\n"
        .to_owned();
    for number in 0..JOBS {
        let when = if number % 2 == 0 { "interval = '1s'" } else { "cron = '* * * * * *'" };
        let what = match number % 10 {
            0 => "command = 'echo $SCHEDRS_DUE; exit 3'\nsuccess_codes = [0]",
            1 => "command = 'echo $SCHEDRS_DUE; sleep 600 &'",
            2 => "command = 'setsid sleep 600 & echo $SCHEDRS_DUE'",
            3 => "command = 'echo $SCHEDRS_DUE >&2; echo $SCHEDRS_DUE'\numask = 0o22",
            4 if is_root() => "command = 'echo $SCHEDRS_DUE'\nuser = 'nobody'\ncwd = '/'",
            5 => "command = ['/bin/true']\noutput = 'discard'",
            _ => "command = ['printenv', 'SCHEDRS_DUE']",
        };
        text += &format!("[jobs.j{number}]\n{what}\n{when}\n");
    }
    text
}

/// How large a scheduler is.
#[derive(Clone, Copy, Debug)]
struct Sample {
    memory_kb: u64,
    descriptors: u64,
    threads: u64,
    store_kb: u64,
}

impl Sample {
    fn of(pid: u32, bench: &Bench) -> Sample {
        let files = fs::read_dir(bench.path("state")).unwrap();
        let sizes = files.map(|entry| entry.unwrap().metadata().map_or(0, |meta| meta.len()));
        Sample {
            memory_kb: kilobytes_of(pid, "RssAnon"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64,
            threads: status_of(pid, "Threads").parse().unwrap(),
            store_kb: sizes.sum::<u64>() / 1024,
        }
    }
}

/// What became of all due times.
#[derive(Default)]
struct Fates {
    /// Of each job, the due times that have a fate, in seconds.
    due: BTreeMap<String, Vec<i64>>,
    outcomes: BTreeMap<String, usize>,
    most_late_ms: u64,
    /// What must not happen.
    wrong: Vec<String>,
    /// How often anything else was said.
    also: BTreeMap<String, usize>,
}

impl Fates {
    /// Whether the line tells how a run ended.
    fn take(&mut self, line: &str) -> bool {
        if !line.starts_with('{') {
            // What the jobfile is warned about at the start: that jobs run each second.
            return false;
        }
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let name = event["event"].as_str().unwrap_or_default();
        match name {
            "succeeded" | "failed" => {}
            "missed" | "skipped" | "coalesced" | "not_started" | "killed" | "timed_out"
            | "lost" | "store_degraded" | "store_lost" | "not_ending" => {
                self.wrong.push(line.to_owned());
                return false;
            }
            // Such as what some of the jobs leave behind on purpose.
            _ => {
                *self.also.entry(name.to_owned()).or_default() += 1;
                return false;
            }
        }
        let due: jiff::Timestamp = event["due"].as_str().unwrap().parse().unwrap();
        let job = event["job"].as_str().unwrap().to_owned();
        if (name == "failed") != job.ends_with('0') {
            self.wrong.push(line.to_owned());
        }
        self.due.entry(job).or_default().push(due.as_second());
        *self.outcomes.entry(name.to_owned()).or_default() += 1;
        self.most_late_ms = self.most_late_ms.max(event["lag_ms"].as_u64().unwrap_or(0));
        true
    }

    fn total(&self) -> usize {
        self.outcomes.values().sum()
    }

    /// Each second from a job's first due time to its last has one fate, no more and no less.
    fn assert_complete(&mut self) {
        assert_eq!(self.due.len(), JOBS);
        for (job, due) in &mut self.due {
            due.sort_unstable();
            for pair in due.windows(2) {
                assert_eq!(pair[0] + 1, pair[1], "{job} between {} and {}", pair[0], pair[1]);
            }
        }
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
    }
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if send.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    lines
}

/// How many lines each job has printed, once all of it has been read.
fn count_lines(stream: impl Read + Send + 'static) -> Receiver<BTreeMap<String, usize>> {
    let (send, counted) = channel();
    std::thread::spawn(move || {
        let mut counts = BTreeMap::new();
        for line in BufReader::new(stream).lines() {
            let line = line.unwrap();
            let (job, _) = line.split_once(" | ").unwrap_or((&line, ""));
            *counts.entry(job.to_owned()).or_default() += 1;
        }
        let _ = send.send(counts);
    });
    counted
}

/// The scheduler, which is not to outlive a test that has failed.
struct Watched(Child);

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What it does all day besides: it is asked, and reads its file again.
fn disturb(child: &Child, bench: &Bench) {
    kill_process(Pid::from_child(child), Signal::HUP).unwrap();
    let done = Running::start(&mut bench.command(&["status"])).wait();
    assert_eq!(done.code, Some(0), "{done:#?}");
}

/// Flat: the last quarter is no larger than the second one.
fn assert_flat(samples: &[Sample]) {
    let quarter = samples.len() / 4;
    let (early, late) = (&samples[quarter..2 * quarter], &samples[3 * quarter..]);
    let most = |part: &[Sample], of: fn(&Sample) -> u64| part.iter().map(of).max().unwrap();
    // What runs at the moment has pipes and a handle: what is there without any is compared.
    let least = |part: &[Sample], of: fn(&Sample) -> u64| part.iter().map(of).min().unwrap();
    let memory = (most(early, |s| s.memory_kb), most(late, |s| s.memory_kb));
    let store = (most(early, |s| s.store_kb), most(late, |s| s.store_kb));
    let descriptors = (least(early, |s| s.descriptors), least(late, |s| s.descriptors));
    let threads = (least(early, |s| s.threads), least(late, |s| s.threads));
    eprintln!("second quarter, last quarter: memory {memory:?} kB, store {store:?} kB,");
    eprintln!("descriptors {descriptors:?}, threads {threads:?}");
    assert!(memory.1 <= memory.0 + SLACK_KB, "memory grows: {samples:#?}");
    assert!(store.1 <= store.0 + SLACK_KB, "the store grows: {samples:#?}");
    assert!(descriptors.1 <= descriptors.0, "descriptors are lost: {samples:#?}");
    assert!(threads.1 <= threads.0, "threads are left: {samples:#?}");
}

#[test]
fn fifty_runs_a_second_leave_nothing_behind() {
    let minutes: Option<usize> = std::env::var("SCHEDRS_SOAK")
        .ok()
        .map(|text| text.parse().expect("SCHEDRS_SOAK is a number of minutes"));
    let runs = minutes.map_or(4 * JOBS, |minutes| minutes * 60 * JOBS);
    if minutes.is_none() {
        eprintln!("a short soak of {runs} runs: SCHEDRS_SOAK=MINUTES says how long it should be");
    }
    let bench = Bench::new(&jobs());
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    let mut watched = Watched(command.stderr(Stdio::piped()).spawn().unwrap());
    let child = &mut watched.0;
    let log = lines_of(child.stderr.take().unwrap());
    let printed = count_lines(child.stdout.take().unwrap());

    let (mut fates, mut samples) = (Fates::default(), Vec::new());
    while fates.total() < runs {
        let line = log.recv_timeout(WATCHDOG).expect("the log goes on");
        if !fates.take(&line) || fates.total() % STRIDE != 0 {
            continue;
        }
        samples.push(Sample::of(child.id(), &bench));
        if samples.len() % 12 == 0 {
            disturb(child, &bench);
            eprintln!(
                "{} runs, {} ms late at most, {:?}",
                fates.total(),
                fates.most_late_ms,
                samples.last()
            );
        }
    }
    kill_process(Pid::from_child(child), Signal::TERM).unwrap();
    while let Ok(line) = log.recv_timeout(WATCHDOG) {
        fates.take(&line);
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));

    fates.assert_complete();
    let printed = printed.recv_timeout(WATCHDOG).unwrap();
    for (job, due) in &fates.due {
        let expected = if job.ends_with('5') { 0 } else { due.len() };
        assert_eq!(printed.get(job).copied().unwrap_or(0), expected, "lines of {job}");
    }
    let audit = Running::start(&mut bench.command(&["history", "--audit"])).wait();
    assert_eq!(audit.code, Some(0), "{audit:#?}");
    let (total, late) = (fates.total(), fates.most_late_ms);
    eprintln!("{total} runs {:?}, {late} ms late at most, {:?}", fates.outcomes, fates.also);
    if minutes.is_some() {
        assert_flat(&samples);
    }
}
