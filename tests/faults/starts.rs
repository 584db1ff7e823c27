//! Starts that hang, in all the ways in which they may: they are told of, they end, and no other job
//! notices.

use std::collections::HashMap;
use std::fs;

use crate::harness::{Bench, Hang, Running, Stream, has_root, is_alive, skipped, status_of, until};
use serde_json::Value;

/// Starts a scheduler that says everything.
fn run(bench: &Bench) -> Running {
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    Running::start(command.env("SCHEDRS_LOG", "debug"))
}

/// Reads on until there is such a line of each of these jobs.
fn each(running: &mut Running, event: &str, jobs: &[&str]) -> HashMap<String, Value> {
    let mut found = HashMap::new();
    while jobs.iter().any(|job| !found.contains_key(*job)) {
        let line = running.event(event, "");
        found.insert(line["job"].as_str().unwrap().to_owned(), line);
    }
    found
}

/// `schedrs start JOB`.
fn start(bench: &Bench, job: &str) {
    let args = ["start", "-f", "jobs.toml", job];
    assert!(bench.command(&args).output().unwrap().status.success());
}

/// What is not as it should be, as clients are told.
fn reasons(bench: &Bench) -> String {
    let output = bench.command(&["status", "-f", "jobs.toml", "--output", "json"]).output();
    let status: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    status["reasons"].to_string()
}

/// Threads that start processes, while there are any to start.
const SPAWNERS: usize = 2;

/// Waits until it has no more threads than before its first start, and these.
fn gives_threads_back(running: &mut Running, before: &str) {
    let most = before.parse::<usize>().unwrap() + SPAWNERS;
    for _ in 0..10_000 {
        if status_of(running.pid(), "Threads").parse::<usize>().unwrap() <= most {
            return;
        }
        running.signal("USR1");
        running.event("status", "");
    }
    panic!("{} threads", status_of(running.pid(), "Threads"));
}

#[test]
fn programs_that_hang_time_out_and_delay_nobody() {
    let bench = Bench::new(
        r#"
        jobs.plain = { command = ["./hung"], date = "now", timeout = "1s", kill_after = "1h" }
        jobs.shell = { command = "./hung", date = "now", timeout = "1s" }
        jobs.forked = { command = ["./hung"], umask = 0, date = "now", timeout = "1s" }
        jobs.again = { command = ["./hung"], date = "now", timeout = "1s", retries = 1, retry_delay = "10ms" }
        jobs.tick = { command = ["/bin/true"], interval = "1s" }
        "#,
    );
    bench.program("hung", "#!/bin/sh\necho > ran\n");
    let Some(hang) = Hang::of(&[bench.path("hung")], true) else { return };
    let mut running = run(&bench);
    running.event("starting", "");
    let threads = status_of(running.pid(), "Threads");
    let hung = ["plain", "shell", "forked", "again"];
    let told = each(&mut running, "start_hangs", &hung);
    assert_eq!(told["plain"]["reason"], "exec of ./hung");
    assert_eq!(told["shell"]["reason"], "exec of its program");
    assert_eq!(told["plain"]["level"], "warn");
    running.read_again();
    let over = each(&mut running, "timed_out", &hung);
    assert_eq!(over["again"]["attempt"], 2);
    for _ in 0..3 {
        running.event("started", "tick");
    }
    // What hangs in exec can be killed, so nothing of it is left.
    for line in told.values() {
        assert!(!is_alive(&line["pid"].to_string()), "{line}");
    }
    gives_threads_back(&mut running, &threads);
    assert_eq!(reasons(&bench), "[]");
    drop(hang);
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert!(!bench.path("ran").exists());
    assert_eq!(done.count("timed_out"), 4);
}

#[test]
fn who_started_a_run_stays_until_it_has_ended() {
    // Two threads hang, others take their place; when they go on, there are too many.
    let bench = Bench::new(
        r#"
        jobs.a = { command = ["./hung"], date = "now" }
        jobs.b = { command = ["./hung"], date = "now" }
        jobs.c = { command = ["./hung"], date = "now" }
        jobs.tick = { command = ["/bin/true"], interval = "1s" }
        "#,
    );
    bench.program("hung", "#!/bin/sh\nread x < $SCHEDRS_JOB\nexit 7\n");
    for gate in ["a", "b", "c"] {
        bench.fifo(gate);
    }
    let Some(hang) = Hang::of(&[bench.path("hung")], true) else { return };
    let mut running = run(&bench);
    running.event("starting", "");
    let threads = status_of(running.pid(), "Threads");
    each(&mut running, "start_hangs", &["a", "b", "c"]);
    drop(hang);
    running.read_again();
    each(&mut running, "started", &["a", "b", "c"]);
    running.event("succeeded", "tick");
    for gate in ["a", "b", "c"] {
        bench.write_fifo(gate);
    }
    running.read_again();
    for (job, line) in each(&mut running, "failed", &["a", "b", "c"]) {
        assert_eq!(line["exit"], 7, "{job}: {line}");
    }
    gives_threads_back(&mut running, &threads);
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_second_signal_ends_it_whatever_hangs() {
    let bench = Bench::new(
        r#"
        jobs.program = { command = ["./hung"], date = "now" }
        jobs.forked = { command = ["./hung"], umask = 0, date = "now" }
        jobs.file = { command = ["true"], env_file = "hung.env", date = 2199-01-01 }
        "#,
    );
    bench.program("hung", "#!/bin/sh\necho > ran\n");
    bench.write("hung.env", "A=1\n");
    let Some(_program) = Hang::of(&[bench.path("hung")], true) else { return };
    let mut running = run(&bench);
    running.event("starting", "");
    // Only now: it is looked at when the jobfile is read, too.
    let Some(_file) = Hang::of(&[bench.path("hung.env")], false) else { return };
    start(&bench, "file");
    let told = each(&mut running, "start_hangs", &["program", "forked", "file"]);
    let file = told["file"]["reason"].as_str().unwrap();
    assert!(file.starts_with("env_file ") && file.ends_with("hung.env"), "{file}");
    let reasons = reasons(&bench);
    assert!(reasons.contains("the start of program (run 1) hangs"), "{reasons}");
    assert!(reasons.contains("hung.env"), "{reasons}");
    running.signal("TERM");
    running.event("stopping", "");
    running.signal("TERM");
    let pids = ["program", "forked"].map(|job| told[job]["pid"].to_string());
    let done = running.wait();
    assert_eq!(done.code, Some(143));
    assert_eq!(done.count("not_started"), 3);
    assert!(pids.iter().all(|pid| !is_alive(pid)), "{pids:?}");
    assert!(!bench.path("ran").exists());
}

/// What cannot be ended, as a thread that waits for a file, is given up all the same. When it goes
/// on one day nothing comes of it.
#[test]
fn a_start_that_comes_too_late_is_none() {
    let bench = Bench::new(
        r#"
        executors.one = { max_workers = 1 }
        defaults.executor = "one"
        jobs.file = { command = ["touch", "ran"], env_file = "hung.env", date = 2199-01-01, timeout = "3s" }
        jobs.next = { command = ["true"], date = 2199-01-01 }
        "#,
    );
    bench.write("hung.env", "A=1\n");
    let mut running = run(&bench);
    running.event("starting", "");
    let threads = status_of(running.pid(), "Threads");
    let Some(hang) = Hang::of(&[bench.path("hung.env")], false) else { return };
    start(&bench, "file");
    start(&bench, "next");
    running.event("start_hangs", "file");
    running.event("timed_out", "file");
    // Its slot is free.
    running.event("succeeded", "next");
    let reasons = reasons(&bench);
    assert!(reasons.contains("was given up and still hangs"), "{reasons}");
    drop(hang);
    running.event("start_came_back", "file");
    gives_threads_back(&mut running, &threads);
    assert_eq!(self::reasons(&bench), "[]");
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert_eq!((done.count("timed_out"), done.count("started")), (1, 1));
    assert!(!bench.path("ran").exists());
}

#[test]
fn a_user_database_that_hangs_is_one_jobs_misfortune() {
    if !has_root() {
        return;
    }
    // Its every start asks who nobody is, once there is a FIFO for an answer.
    let bench = Bench::new(
        r#"
        jobs.breaks = { command = "mount --bind silent /etc/passwd", date = "now" }
        jobs.asks = { command = ["true"], user = "nobody", cwd = "/", timeout = "1s", interval = "1s", max_instances = 9 }
        jobs.tick = { command = ["/bin/true"], interval = "1s" }
        "#,
    );
    bench.fifo("silent");
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let script = "exec unshare -m --propagation private \"$@\"";
    let mut running = Running::start(&mut bench.shell(script, &args));
    let outcome = running.line(Stream::Err, &["\"job\":\"breaks\"", "duration_ms"]);
    if !outcome.contains("succeeded") {
        skipped("the right to mount");
        return;
    }
    let told = running.event("start_hangs", "asks");
    assert_eq!(told["reason"], "the user database (user nobody)");
    running.event("timed_out", "asks");
    // The job does not get hold of every thread.
    let refused = running.event("not_started", "asks");
    let reason = refused["reason"].as_str().unwrap();
    assert!(reason.starts_with("4 earlier starts of this job still hang"), "{reason}");
    running.event("succeeded", "tick");
    // An answer of nothing: no such user.
    bench.write_fifo_often("silent", 4);
    running.event("start_came_back", "asks");
    running.event("succeeded", "tick");
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    let dues: Vec<_> = done.fates("asks").into_iter().map(|fate| fate.1).collect();
    let once: std::collections::HashSet<_> = dues.iter().collect();
    assert_eq!(once.len(), dues.len());
}

#[test]
fn a_beginning_that_hangs_is_told_of() {
    let bench = Bench::new("");
    let mut command = bench.command(&["run", "-"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdin(reader);
    let mut running = Running::start(&mut command);
    drop(command);
    running.line(Stream::Err, &["still reading the jobfile from standard input after 5s"]);
    running.signal("TERM");
    assert_eq!(running.wait().code, None);
    drop(writer);
    let files: Vec<_> = fs::read_dir(bench.dir.path()).unwrap().collect();
    assert_eq!(files.len(), 1);
}

/// Where handlers are in place and nobody looks yet at what they have noted.
#[test]
fn a_beginning_that_hangs_can_be_ended() {
    if !has_root() {
        return;
    }
    let bench = Bench::new("jobs.a = { command = 'true', date = 2199-01-01 }");
    bench.fifo("silent");
    let script = "exec unshare -m --propagation private sh -c \
                  'mount --bind silent /etc/passwd || echo nothing may be mounted >&2; exec \"$@\"' \
                  sh \"$@\"";
    let mut running = Running::start(&mut bench.shell(script, &["run", "jobs.toml"]));
    let line = running.line(Stream::Err, &[""]);
    if line.contains("mount") || line.contains("unshare") {
        skipped(&format!("the right to mount: {line}"));
        return;
    }
    assert!(line.contains("still checking the store and the user database"), "{line}");
    running.signal("TERM");
    // Two that wait at the same time would be one.
    let waits =
        |set: String| u64::from_str_radix(&set, 16).unwrap() & 1 << (libc::SIGTERM - 1) != 0;
    until("it is taken", || !waits(status_of(running.pid(), "ShdPnd")));
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(143));
}
