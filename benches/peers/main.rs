//! schedrs beside robfig/cron, APScheduler, tokio-cron-scheduler and a bare loop, with the same jobs.
//!
//! `cargo bench --bench peers` does everything, in about twenty minutes; `cargo bench --bench peers --
//! late idle` only what is named. What is not on the machine is skipped with a word that says how to
//! get it. It prints figures; nothing is asserted.
//!
//! All are given a plan, a file with a cron expression of six fields (the first is the second) for
//! each job, and start the same child: 79 bytes of code that append the time to a file. They say
//! `ready` once all jobs are scheduled. schedrs runs twice: with its store and captured output, as it
//! does by default, and with neither, as the peers do.
#![no_main]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock, and waits")]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench may stop")]

use std::ffi::{CStr, c_char, c_int};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

#[path = "../harness/mod.rs"]
mod harness;

use harness::bare::*;
use harness::*;

/// So many seconds a peer may take to schedule its jobs.
const PATIENCE: u64 = 30;

/// In which second of which period of seconds a job is due.
type Times = (usize, usize);

// SAFETY: this is the one `main` of the program, with the signature that C gives it.
#[unsafe(no_mangle)]
extern "C" fn main(count: c_int, args: *const *const c_char) -> c_int {
    // SAFETY: the C library gives as many strings as it says.
    let arg = |index: usize| unsafe { CStr::from_ptr(*args.add(index)) };
    match (count, (count > 1).then(|| arg(1).to_bytes())) {
        (3, Some(b"stamp")) => stamp(arg(2)),
        (5, Some(b"bare")) => bare(std::env::args().skip(2).map(PathBuf::from).collect()),
        _ => bench(),
    }
    0
}

fn bench() {
    let names: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench { dir: dir.path().to_owned(), child: smallest_stamp(dir.path()) };
    println!("load before: {}", fs::read_to_string("/proc/loadavg").unwrap().trim_end());
    let peers = bench.peers();
    if wanted("late") {
        bench.late(&peers);
    }
    if wanted("herd") {
        bench.herd(&peers, 1000);
        bench.herd(&peers, 5000);
    }
    if wanted("sustained") {
        bench.sustained(&peers, 4096);
        bench.sustained(&peers, 8192);
    }
    if wanted("idle") {
        bench.idle(&peers);
    }
    if wanted("scale") {
        bench.scale(&peers);
    }
    println!("load after: {}", fs::read_to_string("/proc/loadavg").unwrap().trim_end());
}

/// What the jobs of a plan are run with.
enum Peer {
    /// `schedrs run`; with its store and captured output, or with neither.
    Schedrs { keeps: bool },
    /// This program: a timer and `posix_spawn`, in two threads where several are due at once.
    Bare,
    /// A program that is given the plan, the child, the file for the times, and how many may run.
    Program { name: &'static str, argv: Vec<PathBuf> },
}

impl Peer {
    fn name(&self) -> &'static str {
        match self {
            Peer::Schedrs { keeps: true } => "schedrs",
            Peer::Schedrs { keeps: false } => "schedrs, memory",
            Peer::Bare => "bare loop",
            Peer::Program { name, .. } => name,
        }
    }
}

/// A peer that runs a plan.
struct Running {
    child: Child,
    stamps: Stamps,
    /// Seconds until it was ready.
    ready: f64,
}

impl Running {
    fn process(&self) -> Process {
        Process(self.child.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: a plain system call; the child has not been waited for.
        unsafe { libc::kill(self.child.id() as c_int, libc::SIGTERM) };
        for _ in 0..500 {
            if self.child.try_wait().unwrap().is_some() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

struct Bench {
    dir: PathBuf,
    child: PathBuf,
}

impl Bench {
    /// Those that can be had here.
    fn peers(&self) -> Vec<Peer> {
        let mut peers =
            vec![Peer::Bare, Peer::Schedrs { keeps: true }, Peer::Schedrs { keeps: false }];
        for peer in [self.robfig(), apscheduler(), tokio()] {
            match peer {
                Ok(peer) => peers.push(peer),
                Err(why) => println!("skipped: {why}"),
            }
        }
        peers
    }

    /// Built from Debian's packages.
    fn robfig(&self) -> Result<Peer, String> {
        let program = self.dir.join("robfig");
        let mut build = Command::new("go");
        build.args(["build", "-o"]).arg(&program).arg(here().join("robfig.go"));
        build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode");
        build.env("GOCACHE", self.dir.join("go"));
        match build.stderr(Stdio::null()).status() {
            Ok(status) if status.success() => {
                Ok(Peer::Program { name: "robfig/cron", argv: vec![program] })
            }
            Ok(_) | Err(_) => Err("robfig/cron (apt-get install golang-go \
                                   golang-github-robfig-cron-dev)"
                .to_owned()),
        }
    }

    /// Starts a peer with a plan, and waits until it is ready; `None`: that takes it too long, which is
    /// said.
    fn start(&self, peer: &Peer, cron: &[String], workers: usize) -> Option<Running> {
        let stamps = Stamps::by(self.child.clone(), &self.dir, "stamps");
        let plan = self.dir.join("plan");
        let (mut command, ready) = match peer {
            Peer::Schedrs { keeps } => {
                fs::write(&plan, self.jobfile(cron, workers, &stamps, *keeps)).unwrap();
                let mut command = Command::new(env!("CARGO_BIN_EXE_schedrs"));
                // As the log of the others: what goes wrong.
                command.args(["run", "--log-format", "json"]).arg(&plan);
                command.env("SCHEDRS_LOG", "warn,schedrs=info").env_remove("XDG_RUNTIME_DIR");
                command.args((!keeps).then_some(["--store", "memory"]).iter().flatten());
                let state = self.dir.join("state");
                let _ = fs::remove_dir_all(&state);
                command.env("STATE_DIRECTORY", state).stdout(Stdio::null());
                (command, "\"event\":\"starting\"")
            }
            Peer::Bare => {
                fs::write(&plan, cron.join("\n")).unwrap();
                let mut command = Command::new(this());
                command.arg("bare").args([&plan, &self.child, &stamps.0]);
                (command, "ready")
            }
            Peer::Program { argv, .. } => {
                fs::write(&plan, cron.join("\n") + "\n").unwrap();
                let mut command = Command::new(&argv[0]);
                command.args(&argv[1..]).args([&plan, &self.child, &stamps.0]);
                command.arg(workers.to_string());
                (command, "ready")
            }
        };
        let log = self.dir.join("log");
        let out = File::create(&log).unwrap();
        if !matches!(peer, Peer::Schedrs { .. }) {
            command.stdout(out.try_clone().unwrap());
        }
        let begun = now();
        let child = command.stdin(Stdio::null()).stderr(out).spawn().unwrap();
        let mut running = Running { child, stamps, ready: 0.0 };
        loop {
            let said = BufReader::new(File::open(&log).unwrap()).lines();
            if said.map_while(Result::ok).any(|line| line.contains(ready)) {
                running.ready = (now() - begun) as f64 / 1e9;
                return Some(running);
            }
            if now() > begun + PATIENCE * SECOND {
                println!("  {:<22} has not scheduled them within {PATIENCE} s", peer.name());
                return None;
            }
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}: {}", peer.name(), fs::read_to_string(&log).unwrap());
            sleep(Duration::from_millis(2));
        }
    }

    fn jobfile(&self, cron: &[String], workers: usize, stamps: &Stamps, keeps: bool) -> String {
        let output = if keeps { "pass" } else { "discard" };
        let mut text = format!(
            "[executors]\ndefault = {{ max_workers = {workers} }}\n[defaults]\noutput = \
             {output:?}\ntimezone = \"UTC\"\n"
        );
        let argv = stamps.argv();
        for (job, cron) in cron.iter().enumerate() {
            let _ = writeln!(text, "[jobs.job-{job}]\ncommand = {argv}\ncron = {cron:?}");
        }
        text
    }

    /// One job each second.
    fn late(&self, peers: &[Peer]) {
        const SECONDS: u64 = 30;
        println!("\none job each second, {SECONDS} s: how late; processor a run");
        let mut bare = f64::NAN;
        for peer in peers {
            let Some(running) = self.start(peer, &[cron((0, 1))], 4) else { continue };
            sleep_until(in_at_least(Duration::from_secs(2)) + SECOND / 2);
            running.stamps.clear();
            let before = running.process().cpu_of_threads();
            sleep(Duration::from_secs(SECONDS));
            let cpu = running.process().cpu_of_threads() - before;
            let late = running.stamps.read().into_iter().map(|at| (at % SECOND) as f64 / 1e3);
            let mut late: Vec<f64> = late.collect();
            late.sort_by(f64::total_cmp);
            let (p50, worst) = (median(late.clone()), late.last().copied().unwrap_or(f64::NAN));
            if matches!(peer, Peer::Bare) {
                bare = p50;
            }
            println!(
                "  {:<22} p50 {p50:>7.0} us, {:>5.2} x bare; worst {worst:>7.0} us; {:>6.0} us; \
                 {} of {SECONDS} ran",
                peer.name(),
                p50 / bare,
                cpu * 1e6 / late.len() as f64,
                late.len(),
            );
        }
    }

    /// Many jobs due in the same second, several times.
    fn herd(&self, peers: &[Peer], jobs: usize) {
        const PERIOD: usize = 6;
        const ROUNDS: u64 = 3;
        println!("\n{jobs} jobs due at once, {ROUNDS} times: the last start; processor a run");
        let cron = vec![cron((0, PERIOD)); jobs];
        let mut bare = f64::NAN;
        for peer in peers {
            let Some(running) = self.start(peer, &cron, jobs) else { continue };
            let period = PERIOD as u64 * SECOND;
            // Between two of their due times.
            let first = (now() + 2 * SECOND).div_ceil(period) * period;
            sleep_until(first - SECOND / 2);
            running.stamps.clear();
            let before = running.process().cpu();
            sleep_until(first + (ROUNDS - 1) * period + period - SECOND / 2);
            let cpu = running.process().cpu() - before;
            let mut last = [0.0; ROUNDS as usize];
            let stamps = running.stamps.read();
            for at in &stamps {
                if let Some(round) = last.get_mut((at.saturating_sub(first) / period) as usize) {
                    *round = f64::max(*round, (at % period) as f64 / 1e6);
                }
            }
            let last = median(last.to_vec());
            if matches!(peer, Peer::Bare) {
                bare = last;
            }
            println!(
                "  {:<22} {last:>7.0} ms, {:>5.2} x bare; {:>6.0} us; {} of {} ran",
                peer.name(),
                last / bare,
                cpu * 1e6 / stamps.len() as f64,
                stamps.len(),
                jobs as u64 * ROUNDS,
            );
        }
    }

    /// So many jobs due in each second.
    fn sustained(&self, peers: &[Peer], a_second: usize) {
        const PERIOD: usize = 6;
        const SECONDS: u64 = 30;
        println!("\n{a_second} jobs due each second, {SECONDS} s: how many ran; processor a run");
        let cron: Vec<String> =
            (0..a_second * PERIOD).map(|job| cron((job % PERIOD, PERIOD))).collect();
        for peer in peers {
            let Some(running) = self.start(peer, &cron, 64) else { continue };
            let first = in_at_least(Duration::from_secs(2));
            sleep_until(first - SECOND / 10);
            running.stamps.clear();
            let before = running.process().cpu();
            sleep_until(first + SECONDS * SECOND - SECOND / 10);
            let cpu = running.process().cpu() - before;
            let ran = running.stamps.read().len();
            println!(
                "  {:<22} {ran:>7} of {}; {:>6.0} us",
                peer.name(),
                a_second as u64 * SECONDS,
                cpu * 1e6 / ran as f64,
            );
        }
    }

    /// Many jobs of which none is due.
    fn idle(&self, peers: &[Peer]) {
        const SECONDS: u64 = 20;
        println!("\nidle with 1,000 jobs, {SECONDS} s: wake-ups; processor; threads; RSS");
        for peer in peers.iter().filter(|peer| !matches!(peer, Peer::Bare)) {
            let Some(running) = self.start(peer, &yearly(1000), 4) else { continue };
            sleep(Duration::from_secs(3));
            let process = running.process();
            let (wakeups, cpu) = (process.wakeups(), process.cpu());
            sleep(Duration::from_secs(SECONDS));
            println!(
                "  {:<22} {:>5}; {:.2} s; {:>3}; {:>6.1} MiB",
                peer.name(),
                process.wakeups() - wakeups,
                process.cpu() - cpu,
                process.status("Threads"),
                process.status("VmRSS") as f64 / 1024.0,
            );
        }
    }

    /// How long it takes until many jobs are scheduled, and what they take.
    fn scale(&self, peers: &[Peer]) {
        for jobs in [10_000, 100_000] {
            println!("\n{jobs} jobs: until they are scheduled; RSS; at the peak");
            for peer in peers.iter().filter(|peer| !matches!(peer, Peer::Bare)) {
                let Some(running) = self.start(peer, &yearly(jobs), 4) else { continue };
                sleep(Duration::from_secs(3));
                let mib = |key| running.process().status(key) as f64 / 1024.0;
                println!(
                    "  {:<22} {:>7.2} s; {:>6.1} MiB; {:>6.1} MiB",
                    peer.name(),
                    running.ready,
                    mib("VmRSS"),
                    mib("VmHWM"),
                );
            }
        }
    }
}

/// From a Python that has it: `PYTHON`, else `python3`.
fn apscheduler() -> Result<Peer, String> {
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let has = Command::new(&python)
        .args(["-c", "from apscheduler.schedulers.background import BackgroundScheduler"])
        .stderr(Stdio::null())
        .status();
    match has {
        Ok(status) if status.success() => Ok(Peer::Program {
            name: "APScheduler",
            argv: vec![python.into(), here().join("apscheduler.py")],
        }),
        Ok(_) | Err(_) => Err("APScheduler (pip install 'apscheduler<4'; PYTHON names another \
                               python3)"
            .to_owned()),
    }
}

/// Built beside, with its own lock file.
fn tokio() -> Result<Peer, String> {
    let crate_of = here().join("tokio");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let built = Command::new("cargo")
        .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
        .arg(crate_of.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    match built {
        Ok(status) if status.success() => Ok(Peer::Program {
            name: "tokio-cron-scheduler",
            argv: vec![target.join("release/tokio-peer")],
        }),
        Ok(_) | Err(_) => Err("tokio-cron-scheduler (it is built by cargo)".to_owned()),
    }
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

fn cron((second, period): Times) -> String {
    match period {
        1 => "* * * * * *".to_owned(),
        period => format!("{second}-59/{period} * * * * *"),
    }
}

/// Jobs that are due on a day of a month that is not near.
fn yearly(jobs: usize) -> Vec<String> {
    let month = (now() / SECOND / 86_400 / 30 + 4) % 12 + 1;
    (0..jobs).map(|job| format!("0 {} {} 1 {month} *", job % 60, job / 60 % 24)).collect()
}

/// The bare loop: starts what is due in each second, and reaps it.
fn bare(args: Vec<PathBuf>) {
    let [plan, child, stamps] = &args[..] else { unreachable!("main has counted them") };
    let jobs: Vec<Times> = fs::read_to_string(plan).unwrap().lines().map(times).collect();
    let stamps = Stamps(stamps.clone(), child.clone());
    let timer = Timer::new();
    println!("ready");
    let mut at = in_at_least(Duration::ZERO);
    loop {
        let is_due = |(second, period): &&Times| (at / SECOND) as usize % period == *second;
        let due = jobs.iter().filter(is_due).count();
        timer.wait_until(at);
        let start = |count: usize| {
            let spawn = Spawn::of(&stamps);
            let pids: Vec<c_int> = (0..count).map(|_| spawn.start()).collect();
            pids.into_iter().for_each(reap);
        };
        match due {
            0 => {}
            1 => start(1),
            due => std::thread::scope(|scope| {
                scope.spawn(|| start(due / 2));
                start(due - due / 2);
            }),
        }
        // Whoever is behind catches up.
        at += SECOND;
    }
}

/// What [`cron`] has written.
fn times(line: &str) -> Times {
    let field = line.split(' ').next().unwrap_or_default();
    match field.split_once("-59/") {
        Some((second, period)) => (second.parse().unwrap(), period.parse().unwrap()),
        None => (0, 1),
    }
}
