//! `schedrs run` beside bare loops of system calls: how late, how many, how large, how idle.
//!
//! `cargo bench --bench run` does everything, in about three minutes; `cargo bench --bench run --
//! burst idle` only what is named, and `--seconds N` sets for how long 4,096 jobs a second are
//! sustained. It prints figures and ratios; nothing is asserted but what may never be: a job that
//! is early, and a due time that did not run.
//!
//! The scheduler is the real binary. What it is compared with does the same in the same seconds,
//! between its due times, so that whatever else the machine does slows both. Both start the same
//! child: this program, which writes down the time as the first thing it does; or, to see nothing but
//! the way from the timer to the process (`shortest`), one of 79 bytes of code that does the same.
#![no_main]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock, and waits")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench may stop")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

#[path = "harness/mod.rs"]
mod harness;

use harness::bare::*;
use harness::*;

/// A child has no time for what Rust does before `main`.
// SAFETY: this is the one `main` of the program, with the signature that C gives it.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, args: *const *const c_char) -> c_int {
    // SAFETY: the C library gives as many strings as it says.
    let arg = |index: usize| unsafe { CStr::from_ptr(*args.add(index)) };
    match (count, (count > 1).then(|| arg(1).to_bytes())) {
        (3, Some(b"stamp")) => stamp(arg(2)),
        (2, Some(b"print")) => print(),
        _ => bench(),
    }
    0
}

/// The child whose output is captured: prints a line and stays for a while.
fn print() {
    println!("here I am");
    sleep(Duration::from_secs(4));
}

fn bench() {
    let mut names: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let mut seconds = 30;
    if let Some(at) = names.iter().position(|name| name == "--seconds") {
        seconds = names.get(at + 1).expect("a number").parse().expect("a number");
        names.drain(at..at + 2);
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    println!("load before: {}", fs::read_to_string("/proc/loadavg").unwrap().trim_end());
    if wanted("late") {
        late(dir, &Late { what: "this program", child: this(), store: "memory" });
    }
    if wanted("shortest") {
        let child = smallest_stamp(dir);
        late(dir, &Late { what: "the smallest child", child, store: "default" });
    }
    if wanted("burst") {
        burst(dir, "discard");
        burst(dir, "pass");
    }
    if wanted("sustained") {
        sustained(dir, seconds);
    }
    if wanted("told") {
        told(dir, seconds);
    }
    if wanted("idle") {
        idle(dir);
    }
    if wanted("many") {
        many(dir);
    }
    if wanted("children") {
        children(dir);
    }
    if wanted("masking") {
        masking();
    }
    println!("load after: {}", fs::read_to_string("/proc/loadavg").unwrap().trim_end());
}

/// What is started each second, and where it is remembered.
struct Late {
    what: &'static str,
    child: PathBuf,
    store: &'static str,
}

/// Five jobs each second, a fifth of a second apart, and a bare loop of timerfd and posix_spawn
/// half way between them.
fn late(dir: &Path, Late { what, child, store }: &Late) {
    const ROUNDS: u64 = 125;
    const APART: u64 = SECOND / 5;
    let stamps = |name: &str| Stamps::by(child.clone(), dir, name);
    let bare = stamps("bare");
    let first = in_at_least(Duration::from_secs(1));
    let mut jobs = String::new();
    let ours: Vec<(u64, Stamps)> = (0..5)
        .map(|job| {
            let (at, stamps) = (job * APART, stamps(&format!("ours-{job}")));
            jobs += &each_second(&format!("job-{job}"), &stamps, first + at);
            (at, stamps)
        })
        .collect();
    let scheduler = Scheduler::with_store(dir, "late", &jobs, store);
    let before = scheduler.cpu();
    let timer = Timer::new();
    let mut theirs = Vec::new();
    for round in 0..ROUNDS {
        let due = first + round * APART + APART / 2;
        timer.wait_until(due);
        let pid = Spawn::of(&bare).start();
        reap(pid);
        theirs.push((bare.read().last().unwrap() - due) as f64 / 1e3);
    }
    let cpu = scheduler.cpu() - before;
    scheduler.stop();
    let late = |(offset, stamps): &(u64, Stamps)| late_by(stamps, *offset);
    let ours: Vec<f64> = ours.iter().flat_map(late).collect();
    assert!(ours.iter().all(|late| *late < 500_000.0), "a job was early: {ours:?}");
    let worst = |late: &[f64]| late.iter().copied().fold(0.0, f64::max);
    println!(
        "jobs each second, {what}, store {store}, {} starts: p50 {:.0} us late, bare {:.0} us, \
         ratio {:.2}; worst {:.0} us, bare {:.0} us; {:.0} us of processor a run in the scheduler",
        ours.len(),
        median(ours.clone()),
        median(theirs.clone()),
        median(ours.clone()) / median(theirs.clone()),
        worst(&ours),
        worst(&theirs),
        cpu * 1e6 / ours.len() as f64,
    );
}

/// What taking secrets out of output costs, beside copying the same bytes and finding their line
/// ends, which has to be done in any case.
fn masking() {
    const ROUNDS: usize = 9;
    let line = |n: usize| format!("{n:08} 2026-11-28T06:00:00Z INFO copied /srv/data/{n:x}.tar\n");
    let text = (0..200_000).map(line).collect::<String>().into_bytes();
    let mut seed = 1u64;
    let mut random = |modulus: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % modulus
    };
    let mut hex = |count: usize| -> String {
        (0..count).map(|_| char::from_digit(random(16) as u32, 16).unwrap()).collect()
    };
    let token = hex(40);
    let bundle = (0..1200).map(|_| hex(64) + "\n").collect::<String>();
    let list = (0..21_000).map(|n| format!("{:05}\n", n * 4)).collect::<String>();
    let rate = |bytes: usize, work: &mut dyn FnMut() -> usize| {
        let begin = processor_time();
        std::hint::black_box(work());
        bytes as f64 / (processor_time() - begin) as f64 * 1e3
    };
    let printed = bundle.repeat(150).into_bytes();
    for (what, value, text) in [
        ("a token", &token, &text),
        ("1,200 lines", &bundle, &text),
        ("21,000 short lines", &list, &text),
        ("1,200 lines in nothing but these", &bundle, &printed),
    ] {
        let mut secrets = schedrs::child::secrets::Secrets::default();
        secrets.add(value.as_bytes());
        let mut masks = schedrs::output::Masks::default();
        let mut out = Vec::with_capacity(text.len());
        let begin = processor_time();
        masks.of(&secrets).unwrap().feed(b"x", &mut out);
        let built = (processor_time() - begin) as f64 / 1e6;
        let mut rates: [Vec<f64>; 3] = Default::default();
        for _ in 0..ROUNDS {
            out.clear();
            rates[0].push(rate(text.len(), &mut || {
                let mut mask = masks.of(&secrets).unwrap();
                text.chunks(64 * 1024).for_each(|chunk| mask.feed(chunk, &mut out));
                mask.finish(&mut out);
                out.len()
            }));
            out.clear();
            rates[1].push(rate(text.len(), &mut || {
                text.chunks(64 * 1024).for_each(|chunk| out.extend_from_slice(chunk));
                out.len()
            }));
            rates[2].push(rate(text.len(), &mut || memchr::memchr_iter(b'\n', text).count()));
        }
        let [masked, copied, lines] = rates.map(median);
        println!(
            "masking {what}: {masked:.0} MB/s, copying {copied:.0} (ratio {:.1}), line ends \
             {lines:.0} (ratio {:.1}); built in {built:.1} ms",
            copied / masked,
            lines / masked
        );
    }
}

/// Nanoseconds of processor that this thread has had: what else the machine does takes none of it.
fn processor_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes to a value that lives long enough.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * SECOND + time.tv_nsec as u64
}

/// A job that is due each second from `at` on.
fn each_second(id: &str, stamps: &Stamps, at: u64) -> String {
    let (argv, at) = (stamps.argv(), rfc3339(at));
    format!("[jobs.{id}]\ncommand = {argv}\ninterval = \"1s\"\nstart_date = {at}\n")
}

/// By how many microseconds the starts of a job that is due each second were late.
fn late_by(stamps: &Stamps, offset: u64) -> Vec<f64> {
    let late = stamps.read().into_iter().map(|at| (at + SECOND - offset) % SECOND);
    late.map(|late| late as f64 / 1e3).collect()
}

/// 1,000 jobs due at once, five times; between the rounds two bare threads start as many.
fn burst(dir: &Path, output: &str) {
    const JOBS: usize = 1000;
    const ROUNDS: u64 = 5;
    const PERIOD: u64 = 6 * SECOND;
    let (ours, theirs) = (Stamps::new(dir, "ours"), Stamps::new(dir, "bare"));
    let first = in_at_least(Duration::from_secs(1));
    let mut jobs = format!(
        "[executors]\ndefault = {{ max_workers = {JOBS} }}\n[defaults]\noutput = \"{output}\"\n"
    );
    let (start, end) = (rfc3339(first), rfc3339(first + (ROUNDS - 1) * PERIOD));
    for job in 0..JOBS {
        let _ = writeln!(
            jobs,
            "[jobs.job-{job}]\ncommand = {}\ninterval = \"6s\"\nstart_date = {start}\n\
             end_date = {end}\n",
            ours.argv()
        );
    }
    let scheduler = Scheduler::start(dir, output, &jobs);
    let timer = Timer::new();
    for round in 0..ROUNDS {
        timer.wait_until(first + round * PERIOD + PERIOD / 2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let spawn = Spawn::of(&theirs);
                    let pids: Vec<c_int> = (0..JOBS / 2).map(|_| spawn.start()).collect();
                    pids.into_iter().for_each(reap);
                });
            }
        });
    }
    scheduler.stop();
    let last = |stamps: &Stamps, first: u64| -> Vec<f64> {
        let mut last = vec![0; ROUNDS as usize];
        for at in stamps.read() {
            let since = at.checked_sub(first).expect("a job was early");
            let round = &mut last[(since / PERIOD) as usize];
            *round = (*round).max(since % PERIOD);
        }
        last.into_iter().map(|last| last as f64 / 1e6).collect()
    };
    let all = ours.read().len();
    let (ours, theirs) = (last(&ours, first), last(&theirs, first + PERIOD / 2));
    let ratio = |(ours, theirs): (&f64, &f64)| ours / theirs;
    println!(
        "{JOBS} jobs due at once, output = \"{output}\": last start after {:.0} ms, bare {:.0} ms, \
         ratio {:.2}; {all} of {} ran",
        median(ours.clone()),
        median(theirs.clone()),
        median(ours.iter().zip(&theirs).map(ratio).collect()),
        JOBS as u64 * ROUNDS
    );
    assert_eq!(all as u64, JOBS as u64 * ROUNDS);
}

/// 4,096 jobs due each second, each of 32,768 once in eight seconds, logged to a file.
fn sustained(dir: &Path, seconds: u64) {
    const A_SECOND: usize = 4096;
    const PERIOD: usize = 8;
    let seconds = seconds.max(PERIOD as u64);
    let program = smallest(dir);
    let path = CString::new(program.to_str().unwrap()).unwrap();
    // What the machine has to give just now: two threads that start and reap.
    let begin = now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let spawn = Spawn::new(&[&path]);
                (0..A_SECOND / 2).for_each(|_| reap(spawn.start()));
            });
        }
    });
    let bare = A_SECOND as f64 * 1e9 / (now() - begin) as f64;

    let first = in_at_least(Duration::from_secs(2));
    let end = first + (seconds - 1) * SECOND;
    let mut jobs = format!(
        "[executors]\ndefault = {{ max_workers = 64 }}\n[defaults]\noutput = \"discard\"\n\
         end_date = {}\n",
        rfc3339(end)
    );
    for job in 0..A_SECOND * PERIOD {
        let start = rfc3339(first + (job % PERIOD) as u64 * SECOND);
        let _ = writeln!(
            jobs,
            "[jobs.job-{job}]\ncommand = [{program:?}]\ninterval = \"{PERIOD}s\"\n\
             start_date = {start}"
        );
    }
    let scheduler = Scheduler::start(dir, "sustained", &jobs);
    sleep_until(end + SECOND / 2);
    // What waits when it is asked to end would be skipped.
    let behind = scheduler.wait_until_quiet();
    let cpu = scheduler.cpu();
    let log = scheduler.stop();
    let count = |event: &str| log.matches(&format!("\"event\":\"{event}\"")).count();
    let lag = log.split("\"lag_ms\":").skip(1);
    let lag = lag.map(|rest| rest.split([',', '}']).next().unwrap_or("0").parse().unwrap());
    let mut lag: Vec<f64> = lag.collect();
    lag.sort_by(f64::total_cmp);
    let (ran, due) = (count("succeeded"), A_SECOND * seconds as usize);
    let (missed, skipped) = (count("missed"), count("skipped"));
    println!(
        "{A_SECOND} jobs a second for {seconds} s: {ran} of {due} ran, {missed} missed, {skipped} \
         skipped; p50 {:.0} ms late, p99 {:.0} ms, {:.0} ms behind at the end; {:.0} us of processor \
         a run in the scheduler; bare loops start and reap {bare:.0} a second",
        median(lag.clone()),
        lag.get(lag.len() * 99 / 100).copied().unwrap_or(0.0),
        behind.saturating_sub(end) as f64 / 1e6,
        cpu / ran as f64 * 1e6,
    );
}

/// Five jobs each second beside 200 failing ones, with four receivers that hang and without any, in turn.
fn told(dir: &Path, seconds: u64) {
    const FAILING: usize = 1000;
    const APART: u64 = SECOND / 5;
    let seconds = seconds.clamp(10, 120);
    // They take a connection and never say anything; and one has its queue full.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let full = TcpListener::bind("127.0.0.1:0").unwrap();
    let (silent_at, full_at) = (silent.local_addr().unwrap(), full.local_addr().unwrap());
    let connect = |_| TcpStream::connect_timeout(&full_at, Duration::from_millis(50)).ok();
    let waiting: Vec<TcpStream> = (0..4096).map_while(connect).collect();
    // Each failing run is told twice over: that it is tried again, and that it has failed.
    let on = "on = [\"failed\", \"retrying\"]\n";
    let routes = format!(
        "[notify.silent]\nwebhook = \"http://{silent_at}/\"\n{on}\
         [notify.full]\nwebhook = \"http://{full_at}/\"\n{on}\
         [notify.sleeps]\ncommand = \"sleep 1000\"\n{on}\
         [notify.stubborn]\ncommand = \"trap '' TERM; while :; do sleep 1; done\"\n{on}"
    );
    let names = "notify = [\"silent\", \"full\", \"sleeps\", \"stubborn\"]\n";
    let mut late = [Vec::new(), Vec::new()];
    for (place, has_routes) in [false, true, true, false].into_iter().enumerate() {
        let first = in_at_least(Duration::from_secs(3));
        let mut jobs = format!(
            "{}[executors]\ndefault = {{ max_workers = 64 }}\n[defaults]\noutput = \"discard\"\n",
            if has_routes { &*routes } else { "" },
        );
        let probes: Vec<(u64, Stamps)> = (0..5)
            .map(|probe| {
                let stamps = Stamps::new(dir, &format!("told-{place}-{probe}"));
                let at = probe * APART;
                jobs += &each_second(&format!("probe-{probe}"), &stamps, first + at);
                (at, stamps)
            })
            .collect();
        for job in 0..FAILING {
            let start = rfc3339(first + job as u64 * 5 * MILLI + 3 * MILLI);
            let _ = writeln!(
                jobs,
                "[jobs.failing-{job}]\ncommand = [\"/bin/false\"]\ninterval = \"5s\"\n\
                 start_date = {start}\nretries = 1\nretry_delay = \"100ms\"\n{}",
                if has_routes { names } else { "" },
            );
        }
        let scheduler = Scheduler::start(dir, &format!("told-{place}"), &jobs);
        sleep_until(first + seconds * SECOND);
        scheduler.stop();
        let found = probes.iter().flat_map(|(offset, stamps)| late_by(stamps, *offset));
        late[usize::from(has_routes)].extend(found);
    }
    let [without, with] = late.map(|mut late| {
        late.sort_by(f64::total_cmp);
        let at = |part: usize| late.get(late.len() * part / 100).copied().unwrap_or(f64::NAN);
        (late.len(), at(50), at(99))
    });
    println!(
        "five jobs each second beside 200 that fail, four receivers hang: {} starts, p50 {:.0} us late, \
         p99 {:.0} us; no receivers: {} starts, p50 {:.0} us, p99 {:.0} us; ratio of p99 {:.2}",
        with.0,
        with.1,
        with.2,
        without.0,
        without.1,
        without.2,
        with.2 / without.2,
    );
    drop((silent, full, waiting));
}

/// 1,000 jobs of which none is due.
fn idle(dir: &Path) {
    const INTERVAL: u64 = 20;
    let mut jobs = String::new();
    for job in 0..1000 {
        let _ = writeln!(
            jobs,
            "[jobs.job-{job}]\ncommand = \"/usr/local/bin/task {job}\"\ncron = \"{} {} 1 1 *\"\n",
            job % 60,
            job / 60
        );
    }
    let scheduler = Scheduler::with_store(dir, "idle", &jobs, "default");
    sleep(Duration::from_secs(1));
    let (wakeups, cpu) = (scheduler.wakeups(), scheduler.cpu());
    sleep(Duration::from_secs(INTERVAL));
    println!(
        "idle with 1,000 jobs for {INTERVAL} s: {} wake-ups, {:.2} s of processor, {} threads, RSS \
         {:.1} MiB",
        scheduler.wakeups() - wakeups,
        scheduler.cpu() - cpu,
        scheduler.status("Threads"),
        scheduler.status("VmRSS") as f64 / 1024.0
    );
    scheduler.stop();
}

/// A million jobs in one file, and one more each second, beside a scheduler with only that one.
fn many(dir: &Path) {
    const JOBS: usize = 1_000_000;
    const ROUNDS: u64 = 15;
    let (large, small) = (Stamps::new(dir, "large"), Stamps::new(dir, "small"));
    // What usually differs does, and nothing is due while this runs.
    let mut jobs = each_second("job", &large, in_at_least(Duration::ZERO));
    for job in 0..JOBS {
        let (minute, hour) = (job * 7 % 60, job / 60 % 24);
        let command = format!("command = \"/usr/local/bin/task --number {job}\"");
        let _ = writeln!(jobs, "[jobs.job-{job:07}]\n{command}");
        let _ = match job % 4 {
            0 => writeln!(jobs, "cron = \"{minute} {hour} 1 1 *\""),
            1 => writeln!(jobs, "cron = \"{minute} {hour} 31 12 *\"\ntimeout = \"10m\""),
            2 => writeln!(jobs, "interval = \"{}m\"", minute + 60),
            _ => writeln!(
                jobs,
                "cron = {{ month = 2, day = \"3rd fri\", hour = {hour} }}\nretries = 3"
            ),
        };
    }
    let with_many = Scheduler::with_store(dir, "many", &jobs, "default");
    // They are told to the store after the start.
    with_many.wait_until_still();
    let loaded = (with_many.started - with_many.begun) as f64 / 1e9;
    let cpu = with_many.cpu();
    drop(jobs);
    let one = each_second("job", &small, in_at_least(Duration::ZERO) + SECOND / 2);
    let with_one = Scheduler::with_store(dir, "one", &one, "default");
    sleep(Duration::from_secs(1));
    large.clear();
    small.clear();
    sleep(Duration::from_secs(ROUNDS));
    let resident = with_many.status("VmRSS") as f64 * 1024.0;
    let peak = with_many.status("VmHWM") as f64 / 1024.0;
    let alone = with_one.status("VmRSS") as f64 * 1024.0;
    with_many.stop();
    with_one.stop();
    let (large, small) = (median(late_by(&large, 0)), median(late_by(&small, SECOND / 2)));
    println!(
        "{JOBS} jobs in one file: loaded in {loaded:.2} s ({cpu:.2} s of processor), {:.0} bytes a job once loaded, peak \
         {peak:.0} MiB; one more job p50 {large:.0} us late, alone {small:.0} us, ratio {:.2}",
        (resident - alone) / JOBS as f64,
        large / small
    );
}

/// 1,000 children at once that print.
fn children(dir: &Path) {
    const JOBS: usize = 1000;
    let first = in_at_least(Duration::from_secs(1));
    let mut jobs = format!("[executors]\ndefault = {{ max_workers = {JOBS} }}\n");
    for job in 0..JOBS {
        let _ = writeln!(
            jobs,
            "[jobs.job-{job}]\ncommand = [{:?}, \"print\"]\ndate = {}\n",
            this(),
            rfc3339(first)
        );
    }
    let scheduler = Scheduler::start(dir, "children", &jobs);
    sleep_until(first + 3 * SECOND);
    let threads = scheduler.status("Threads");
    let children = scheduler.process().children();
    sleep_until(first + 8 * SECOND);
    println!(
        "{children} children at once with captured output: {threads} threads, peak RSS {:.1} MiB",
        scheduler.status("VmHWM") as f64 / 1024.0
    );
    scheduler.stop();
}
