//! What people wait for, and what the store costs: `schedrs list`, `history`, a restart, and a load
//! of runs with the store on beside the same load without.
//!
//! `cargo bench --bench daily` does everything in about two minutes; `-- load --seconds 300` only
//! what is named, for so long. It prints figures and ratios and asserts nothing but that no due
//! time was missed.
#![no_main]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock, and waits")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench may stop")]

use std::ffi::{CStr, c_char, c_int};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use schedrs::store::location::{self, Location};

#[path = "harness/mod.rs"]
mod harness;

use harness::*;

/// A child has no time for what Rust does before `main`.
// SAFETY: this is the one `main` of the program, with the signature that C gives it.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, args: *const *const c_char) -> c_int {
    // SAFETY: the C library gives as many strings as it says.
    let arg = |index: usize| unsafe { CStr::from_ptr(*args.add(index)) };
    match (count, (count > 1).then(|| arg(1).to_bytes())) {
        (3, Some(b"stamp")) => stamp(arg(2)),
        _ => bench(),
    }
    0
}

fn bench() {
    let mut names: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let mut seconds = 30;
    if let Some(at) = names.iter().position(|name| name == "--seconds") {
        seconds = names.get(at + 1).expect("a number").parse().expect("a number");
        names.drain(at..at + 2);
    }
    let dir = tempfile::tempdir().unwrap();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    println!("load before: {}", fs::read_to_string("/proc/loadavg").unwrap().trim_end());
    if wanted("list") {
        list(dir.path());
    }
    if wanted("restart") {
        restart(dir.path());
    }
    if wanted("load") {
        load(dir.path(), seconds);
    }
    println!("load after: {}", fs::read_to_string("/proc/loadavg").unwrap().trim_end());
}

/// Jobs of which none is due.
fn idle_jobs(count: usize) -> String {
    let mut jobs = String::new();
    for job in 0..count {
        let (minute, hour) = (job % 60, job / 60 % 24);
        let command = format!("command = \"/usr/local/bin/task {job}\"");
        let _ = writeln!(jobs, "[jobs.job-{job:06}]\n{command}");
        let _ = match job % 2 {
            0 => writeln!(jobs, "cron = \"{minute} {hour} 1 1 *\""),
            _ => writeln!(jobs, "interval = \"{}h\"", 1000 + minute),
        };
    }
    jobs
}

/// How long a command takes as a whole, in milliseconds: the median of several times.
fn time(dir: &Path, name: &str, args: &[&str]) -> f64 {
    let once = || {
        let begun = now();
        let done = Command::new(env!("CARGO_BIN_EXE_schedrs"))
            .args(args)
            .env("STATE_DIRECTORY", dir.join(format!("{name}.state")))
            .env_remove("XDG_RUNTIME_DIR")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(done.success(), "{args:?}");
        (now() - begun) as f64 / 1e6
    };
    once();
    median((0..11).map(|_| once()).collect())
}

fn list(dir: &Path) {
    const JOBS: usize = 10_000;
    let scheduler = Scheduler::with_store(dir, "list", &idle_jobs(JOBS), "default");
    let file = dir.join("list.toml");
    let file = file.to_str().unwrap();
    let version = time(dir, "list", &["--version"]);
    println!(
        "{JOBS} jobs: list {:.0} ms, list --output json {:.0} ms, show {:.1} ms, status {:.1} ms; \
         --version {version:.1} ms",
        time(dir, "list", &["list", "-f", file]),
        time(dir, "list", &["list", "-f", file, "--output", "json"]),
        time(dir, "list", &["show", "-f", file, "job-005000"]),
        time(dir, "list", &["status", "-f", file]),
    );
    scheduler.stop();
}

/// The same jobfile twice: the second time there is something to be remembered.
fn restart(dir: &Path) {
    const JOBS: usize = 100_000;
    let jobs = idle_jobs(JOBS);
    for (what, store) in
        [("with nothing kept", "memory"), ("first", "default"), ("again", "default")]
    {
        let scheduler = Scheduler::with_store(dir, "restart", &jobs, store);
        let took = (scheduler.started - scheduler.begun) as f64 / 1e6;
        // What is new is written after the start.
        scheduler.wait_until_quiet();
        println!("start with {JOBS} jobs, {what}: {took:.0} ms until it is ready");
        scheduler.stop();
        assert!(store == "memory" || known(dir, "restart") == JOBS, "the store lacks jobs");
    }
}

/// How many jobs the store of a scheduler knows.
fn known(dir: &Path, name: &str) -> usize {
    let instance = schedrs::paths::instance(&dir.join(format!("{name}.toml")));
    let url = format!("sqlite:{name}.state/{instance}.db");
    let location = Location::parse(&url, dir).unwrap();
    location::reader(&location).unwrap().jobs().unwrap().len()
}

/// 200 runs a second with the store on and, in the same seconds, as many without.
fn load(dir: &Path, seconds: u64) {
    const JOBS: u64 = 200;
    const APART: u64 = SECOND / JOBS;
    let first = in_at_least(Duration::from_secs(3));
    let end = rfc3339(first + (seconds - 1) * SECOND + SECOND - 1);
    let jobs = |name: &str, shift: u64| {
        let mut jobs =
            format!("[store]\nkeep = {{ runs = 100, days = 30 }}\n[defaults]\nend_date = {end}\n");
        let stamps: Vec<(u64, Stamps)> = (0..JOBS)
            .map(|job| {
                let at = job * APART + shift;
                let stamps = Stamps::new(dir, &format!("{name}-{job}"));
                let (argv, start) = (stamps.argv(), rfc3339(first + at));
                let _ = writeln!(
                    jobs,
                    "[jobs.job-{job}]\ncommand = {argv}\ninterval = \"1s\"\nstart_date = {start}"
                );
                (at, stamps)
            })
            .collect();
        (jobs, stamps)
    };
    let (with, with_stamps) = jobs("with", 0);
    let (without, without_stamps) = jobs("without", APART / 2);
    let stored = Scheduler::with_store(dir, "stored", &with, "default");
    let memory = Scheduler::with_store(dir, "memory", &without, "memory");
    let rss = |scheduler: &Scheduler| scheduler.status("VmRSS") as f64 / 1024.0;
    sleep_until(first + seconds * SECOND / 4);
    let early = (rss(&stored), rss(&memory));
    sleep_until(first + seconds * SECOND + SECOND / 2);
    let late = (rss(&stored), rss(&memory));
    let cpu = (stored.cpu(), memory.cpu());
    let logs = (stored.stop(), memory.stop());
    let due = JOBS * seconds;
    let lags = |stamps: &[(u64, Stamps)]| {
        let lag = |(at, stamps): &(u64, Stamps)| -> Vec<f64> {
            let lag = |(round, stamp): (usize, u64)| {
                stamp.saturating_sub(first + at + round as u64 * SECOND) as f64 / 1e3
            };
            stamps.read().into_iter().enumerate().map(lag).collect()
        };
        let mut lags: Vec<f64> = stamps.iter().flat_map(lag).collect();
        lags.sort_by(f64::total_cmp);
        lags
    };
    let (with, without) = (lags(&with_stamps), lags(&without_stamps));
    let at = |lags: &[f64], part: usize| lags.get(lags.len() * part / 100).copied().unwrap_or(0.0);
    println!(
        "200 runs a second for {seconds} s: {} of {due} ran with the store, {} without; \
         p50 {:.0} and {:.0} us late, p99 {:.0} and {:.0} us, ratio of p99 {:.2}; \
         {:.0} and {:.0} us of processor a run",
        with.len(),
        without.len(),
        at(&with, 50),
        at(&without, 50),
        at(&with, 99),
        at(&without, 99),
        at(&with, 99) / at(&without, 99),
        cpu.0 / with.len() as f64 * 1e6,
        cpu.1 / without.len() as f64 * 1e6,
    );
    let state = fs::read_dir(dir.join("stored.state")).unwrap();
    let bytes: u64 = state.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    println!(
        "RSS {:.1} MiB after a quarter and {:.1} MiB at the end with the store, {:.1} and {:.1} MiB \
         without; the store's files are {:.1} MiB",
        early.0,
        late.0,
        early.1,
        late.1,
        bytes as f64 / 1048576.0
    );
    for log in [&logs.0, &logs.1] {
        assert!(!log.contains("\"event\":\"missed\""), "a due time was missed");
    }
}
