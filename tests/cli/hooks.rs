//! Hooks of jobs: each is called for what it is called for, is told what there is to tell, and is in
//! nobody's way.

use std::collections::HashMap;
use std::fs;

use serde_json::Value;

use crate::harness::{Bench, Done, Hang, Running, is_alive, is_root, until};

/// Says what it was told: a line `HOOK VARIABLE...` for each call, and what it could read.
const TELL: &str = "#!/bin/sh\n\
    echo \"$SCHEDRS_HOOK job=$SCHEDRS_JOB run=$SCHEDRS_RUN outcome=$SCHEDRS_OUTCOME \
    reason=$SCHEDRS_REASON exit=$SCHEDRS_EXIT signal=$SCHEDRS_SIGNAL \
    attempt=$SCHEDRS_ATTEMPT/$SCHEDRS_ATTEMPTS streak=$SCHEDRS_STREAK count=$SCHEDRS_COUNT \
    tail=$(tr '\\n' '|')\" >> told\n";

/// `on_X = ["./tell"]` for each of them.
fn tell(hooks: &str) -> String {
    let line = |hook: &str| format!("{hook} = ['./tell']\n");
    hooks.split_whitespace().map(line).collect()
}

fn bench(jobs: &str) -> Bench {
    let bench = Bench::new(jobs);
    bench.program("tell", TELL);
    bench
}

/// A scheduler that says everything.
fn run(bench: &Bench) -> Running {
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    Running::start(command.env("SCHEDRS_LOG", "debug"))
}

/// Waits until these hooks of a job have succeeded, in whatever order.
fn called(running: &mut Running, job: &str, hooks: &[&str]) {
    let mut missing: Vec<&str> = hooks.to_vec();
    while !missing.is_empty() {
        let line = running.event("hook_succeeded", job);
        let hook = line["hook"].as_str().unwrap();
        let at = missing.iter().position(|missing| *missing == hook);
        missing.remove(at.unwrap_or_else(|| panic!("{line}")));
    }
}

/// What a hook of a job was told last, by the names of `TELL`.
fn told(bench: &Bench, hook: &str, job: &str) -> HashMap<String, String> {
    let all = fs::read_to_string(bench.path("told")).unwrap();
    let line = all.lines().rfind(|line| line.starts_with(&format!("{hook} job={job} ")));
    let (line, tail) =
        line.unwrap_or_else(|| panic!("{hook} {job}: {all}")).split_once(" tail=").unwrap();
    let words = line.split(' ').filter_map(|word| word.split_once('='));
    let tail = ("tail".to_owned(), tail.to_owned());
    words.map(|(name, value)| (name.to_owned(), value.to_owned())).chain([tail]).collect()
}

#[track_caller]
fn assert_told(bench: &Bench, hook: &str, job: &str, expected: &[(&str, &str)]) {
    let told = told(bench, hook, job);
    for (name, value) in expected {
        assert_eq!(told[*name], *value, "{name} of {hook}: {told:?}");
    }
}

fn start(bench: &Bench, job: &str) -> Done {
    Running::start(&mut bench.command(&["start", job, "--wait"])).wait()
}

#[test]
fn after_a_success() {
    let hooks = tell("on_start on_success on_failure on_recovered on_retry");
    let bench =
        bench(&format!("[jobs.a]\ncommand = 'echo fine; echo oh >&2'\ndate = 'now'\n{hooks}"));
    let mut running = run(&bench);
    called(&mut running, "a", &["on_start", "on_success"]);
    assert_told(
        &bench,
        "on_start",
        "a",
        &[("run", "1"), ("outcome", ""), ("attempt", "1/1"), ("tail", "")],
    );
    assert_told(&bench, "on_success", "a", &[("run", "1"), ("outcome", "succeeded"), ("exit", "")]);
    let tail = told(&bench, "on_success", "a")["tail"].clone();
    assert!(tail == "fine|oh|" || tail == "oh|fine|", "{tail}");
    running.stop();
    assert_eq!(fs::read_to_string(bench.path("told")).unwrap().lines().count(), 2);
}

/// After an attempt that is tried again, once after the last, and once when it is well again; also if
/// the scheduler was started anew in between.
#[test]
fn after_failures_and_when_they_are_over() {
    let hooks = tell("on_start on_success on_failure on_recovered on_retry");
    let bench = bench(&format!(
        "[jobs.a]\ncommand = '[ -e well ] || {{ echo attempt $SCHEDRS_ATTEMPT >&2; exit 3; }}'\n\
         interval = '1h'\nretries = 1\nretry_delay = '1ms'\n{hooks}"
    ));
    let mut running = run(&bench);
    running.event("starting", "");
    assert_eq!(start(&bench, "a").code, Some(3));
    called(&mut running, "a", &["on_start", "on_retry", "on_failure"]);
    assert_told(
        &bench,
        "on_retry",
        "a",
        &[("outcome", "failed"), ("exit", "3"), ("attempt", "1/2"), ("tail", "attempt 1|")],
    );
    let failed = [("exit", "3"), ("attempt", "2/2"), ("streak", "1"), ("tail", "attempt 2|")];
    assert_told(&bench, "on_failure", "a", &failed);
    start(&bench, "a");
    called(&mut running, "a", &["on_start", "on_retry", "on_failure"]);
    assert_told(&bench, "on_failure", "a", &[("run", "2"), ("streak", "2")]);
    running.stop();

    let mut running = run(&bench);
    running.event("starting", "");
    bench.write("well", "");
    start(&bench, "a");
    called(&mut running, "a", &["on_start", "on_success", "on_recovered"]);
    let recovered = [("run", "3"), ("outcome", "succeeded"), ("streak", "2"), ("attempt", "1/2")];
    assert_told(&bench, "on_recovered", "a", &recovered);
    start(&bench, "a");
    called(&mut running, "a", &["on_start", "on_success"]);
    running.stop();
    let told = fs::read_to_string(bench.path("told")).unwrap();
    assert_eq!(told.matches("on_recovered").count(), 1, "{told}");
}

#[test]
fn in_whatever_way_a_run_fails() {
    let bench = bench(
        "jobs.killed = { command = 'echo last words; kill -9 $$', date = 'now' }\n\
         jobs.slow = { command = 'read x < never', date = 'now', timeout = '50ms' }\n\
         jobs.absent = { command = ['/nonexistent/program'], date = 'now' }\n\
         [defaults]\non_failure = './tell'\non_success = './tell'\n",
    );
    bench.fifo("never");
    let mut running = run(&bench);
    for job in ["killed", "slow", "absent"] {
        running.read_again();
        called(&mut running, job, &["on_failure"]);
    }
    let killed = [("outcome", "killed"), ("signal", "9"), ("tail", "last words|")];
    assert_told(&bench, "on_failure", "killed", &killed);
    assert_told(&bench, "on_failure", "slow", &[("outcome", "timed_out"), ("tail", "")]);
    let absent = fs::read_to_string(bench.path("told")).unwrap();
    let reason = "reason=program /nonexistent/program does not exist exit= ";
    assert!(absent.contains(reason), "{absent}");
    running.stop();
}

/// The scheduler was killed during the run: nobody knows what has become of it.
#[test]
fn after_a_run_that_was_lost() {
    let hooks = tell("on_failure on_success");
    let bench = bench(&format!(
        "[jobs.a]\ncommand = 'echo $$ > pid; echo ok > ready; read x < never'\ndate = 'now'\n{hooks}"
    ));
    bench.fifo("ready");
    bench.fifo("never");
    let mut running = run(&bench);
    bench.read_fifo("ready");
    running.event("started", "a");
    running.kill();
    running.wait();
    let pid = fs::read_to_string(bench.path("pid")).unwrap();
    let killed = std::process::Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    assert!(killed.success());
    until("it is gone", || !is_alive(&pid));
    bench.write("jobs.toml", &format!("[jobs.a]\ncommand = 'true'\ndate = 2020-01-01\n{hooks}"));
    let mut running = run(&bench);
    called(&mut running, "a", &["on_failure"]);
    assert_told(&bench, "on_failure", "a", &[("run", "1"), ("outcome", "lost"), ("streak", "1")]);
    let told = fs::read_to_string(bench.path("told")).unwrap();
    assert!(told.contains("reason=the scheduler died "), "{told}");
    running.stop();
}

/// A record of many due times is one call.
#[test]
fn for_due_times_that_did_not_run() {
    let hooks = tell("on_missed on_skipped on_failure");
    let bench = bench(&format!(
        "[scheduler]\nstop_grace = '0s'\n\
         [jobs.missed]\ncommand = 'true'\ninterval = '1m'\nmisfire_grace_time = '1s'\n{hooks}\
         [jobs.skipped]\ncommand = 'echo ok > ready; read x < never'\ninterval = '1m'\n\
         run_on_start = true\nmisfire_grace_time = 'forever'\ncoalesce = 'latest'\n{hooks}"
    ));
    bench.fifo("ready");
    bench.fifo("never");
    bench.write("clock", "0");
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    command.env("SCHEDRS_LOG", "debug").env("SCHEDRS_TEST_CLOCK", bench.path("clock"));
    let mut running = Running::start(&mut command);
    bench.read_fifo("ready");
    bench.write("clock", "630");
    called(&mut running, "missed", &["on_missed"]);
    running.read_again();
    called(&mut running, "skipped", &["on_skipped"]);
    running.stop();
    let missed = [("outcome", "missed"), ("reason", "late"), ("count", "10"), ("run", "")];
    assert_told(&bench, "on_missed", "missed", &missed);
    assert_told(&bench, "on_skipped", "skipped", &[("reason", "overlap"), ("count", "1")]);
}

/// It is one line, and the job is none the worse for it.
#[test]
fn one_that_fails_is_said_and_nothing_else() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'true'\ndate = 'now'\n\
         on_success = 'echo out; echo one >&2; echo no such address >&2; exit 3'\n\
         on_start = ['./absent']\n",
    );
    let mut running = run(&bench);
    let (mut failed, mut absent) =
        (running.event("hook_failed", "a"), running.event("hook_failed", "a"));
    if failed["hook"] == "on_start" {
        std::mem::swap(&mut failed, &mut absent);
    }
    assert_eq!(failed["message"], "hook on_success exited with 3: no such address");
    assert_eq!((&failed["level"], &failed["exit"]), (&"warn".into(), &3.into()));
    assert_eq!(failed["run"], 1);
    assert_eq!(
        absent["message"],
        "hook on_start could not be started: program ./absent does not exist"
    );
    until("both are in the store", || bench.out(&["why", "a"]).matches("hook ").count() == 2);
    let why = bench.out(&["why", "a", "--output", "json"]);
    let why: Value = serde_json::from_str(&why).unwrap();
    let said = |text: &str| {
        let mut evidence = why["evidence"].as_array().unwrap().iter();
        evidence.any(|it| it["about"] == "hook" && it["text"] == text)
    };
    assert!(said("on_success exited with 3: no such address"), "{why}");
    assert!(said("on_start could not be started: program ./absent does not exist"), "{why}");
    let done = running.stop();
    assert_eq!((done.count("succeeded"), done.count("hook_failed")), (1, 2), "{done:#?}");
    let shown = bench.out(&["history", "a", "--output", "json"]);
    let record: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(record["outcome"], "succeeded");
}

/// With `retries` it is run again, and only the last time it fails is a failure. With `once` it is not run
/// for the next failure in a row.
#[test]
fn one_that_fails_is_run_again_and_only_once_in_a_row() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'test -e good'\ndate = 'now'\n\
         on_failure = { command = 'echo x >> tried; test $(wc -l < tried) = 3', once = true, retries = 3 }\n\
         [jobs.b]\ncommand = 'true'\ndate = 'now'\n\
         on_success = { command = 'echo x >> tried-b; exit 9', retries = 2 }\n",
    );
    let running = run(&bench);
    let tries =
        |name: &str| fs::read_to_string(bench.path(name)).map_or(0, |tried| tried.lines().count());
    until("all is tried", || tries("tried") == 3 && tries("tried-b") == 3);
    for _ in 0..2 {
        assert_ne!(start(&bench, "a").code, Some(0));
    }
    fs::write(bench.path("good"), "").unwrap();
    assert_eq!(start(&bench, "a").code, Some(0));
    fs::remove_file(bench.path("good")).unwrap();
    fs::write(bench.path("tried"), "x\nx\n").unwrap();
    assert_ne!(start(&bench, "a").code, Some(0));
    until("it is tried again", || tries("tried") == 3);
    let done = running.stop();
    assert_eq!((tries("tried"), tries("tried-b")), (3, 3), "{done:#?}");
    let count = |event: &str| done.count(event);
    assert_eq!((count("hook_retrying"), count("hook_failed")), (4, 1), "{done:#?}");
}

/// Four that hang, one of which ignores TERM, and many that wait behind them.
#[test]
fn those_that_hang_or_flood_are_in_nobodys_way() {
    let hang = |number: usize| {
        let command = match number % 4 {
            0 => "echo $$ >> pids; trap \"\" TERM; while :; do sleep 1000; done",
            1 => "echo $$ >> pids; exec yes",
            2 => "echo $$ >> pids; setsid sleep 1000 & exec yes >&2",
            _ => "echo $$ >> pids; exec sleep 1000",
        };
        format!("jobs.h{number} = {{ command = 'true', date = 'now', on_success = '{command}' }}\n")
    };
    let jobs: String = (0..12).map(hang).collect();
    let bench = Bench::new(&(jobs + "jobs.other = { command = 'true', interval = '1h' }\n"));
    let mut running = run(&bench);
    running.event("starting", "");
    bench.read_until(&touched(&bench, "pids"), |pids| pids.lines().count() == 4);
    for _ in 0..20 {
        assert_eq!(start(&bench, "other").code, Some(0));
    }
    let pids = fs::read_to_string(bench.path("pids")).unwrap();
    assert_eq!(pids.lines().count(), 4);
    assert!(pids.lines().all(is_alive), "{pids}");
    let done = running.stop();
    assert_eq!(done.code, Some(0), "{done:#?}");
    // Those that ran, and of those that waited one line.
    let begun = |line: &&String| line.contains("hook_failed") && line.contains("\"warn\"");
    assert_eq!(done.err.iter().filter(begun).count(), 4, "{done:#?}");
    let dropped = done.err.iter().find(|line| line.contains("hooks_dropped"));
    assert!(dropped.is_some_and(|line| line.contains("\"count\":8")), "{done:#?}");
    assert!(!pids.lines().any(is_alive), "{pids}");
}

fn touched(bench: &Bench, name: &str) -> std::path::PathBuf {
    let path = bench.path(name);
    fs::File::options().create(true).append(true).open(&path).unwrap();
    path
}

/// What takes too long is ended with all that it has begun, and so is what it leaves behind.
#[test]
fn those_that_take_too_long_are_ended() {
    let bench = Bench::new(
        "[jobs.slow]\ncommand = 'true'\ndate = 'now'\nhook_timeout = '200ms'\n\
         on_success = 'echo $$ > pid; setsid sleep 1000 & echo $! >> pid; echo so far >&2; sleep 1000'\n\
         [jobs.leaves]\ncommand = 'true'\ndate = 'now'\n\
         on_success = 'env -i setsid sleep 1000 & echo $! > left'\n",
    );
    let mut running = run(&bench);
    let line = running.event("hook_failed", "slow");
    assert_eq!(line["message"], "hook on_success timed out after 200ms: so far");
    running.read_again();
    assert_eq!(running.event("hook_left_behind", "leaves")["processes"], 1);
    let pids = fs::read_to_string(bench.path("pid")).unwrap()
        + &fs::read_to_string(bench.path("left")).unwrap();
    assert_eq!(pids.lines().count(), 3);
    assert!(!pids.lines().any(is_alive), "{pids}");
    running.stop();
}

/// A program on a file system that does not answer.
#[test]
fn one_that_hangs_in_its_start_is_given_up() {
    let hung = "command = 'true', date = 'now', hook_timeout = '1s', on_success = ['./hung']";
    let jobs: String = (0..5).map(|number| format!("jobs.h{number} = {{ {hung} }}\n")).collect();
    let bench = bench(
        &(jobs + "jobs.other = { command = 'true', interval = '1h', on_success = './tell' }\n"),
    );
    bench.program("hung", "#!/bin/sh\necho > ran\n");
    let Some(hang) = Hang::of(&[bench.path("hung")], true) else { return };
    let mut running = run(&bench);
    for _ in 0..5 {
        let line = running.event("hook_failed", "");
        let why =
            "hook on_success could not be started: the start hung, waiting for exec of ./hung";
        assert_eq!(line["message"], why);
    }
    start(&bench, "other");
    called(&mut running, "other", &["on_success"]);
    drop(hang);
    running.stop();
    assert!(!bench.path("ran").exists());
}

#[test]
fn a_reload_brings_others() {
    let jobs = |hooks: &str| {
        format!("[jobs.a]\ncommand = 'echo ok > ready; read x < go'\ndate = 'now'\n{}", tell(hooks))
    };
    let bench = bench(&jobs("on_failure"));
    bench.fifo("ready");
    bench.fifo("go");
    let mut running = run(&bench);
    bench.read_fifo("ready");
    bench.write("jobs.toml", &jobs("on_success"));
    running.signal("HUP");
    running.event("reloaded", "");
    bench.write_fifo("go");
    called(&mut running, "a", &["on_success"]);
    running.stop();
}

/// A hook that is new hears of the failures before it, also of those before a crash.
#[test]
fn a_new_hook_knows_of_old_failures() {
    let jobs =
        |hooks: &str| format!("[jobs.a]\ncommand = 'test -e ok'\ninterval = '1h'\n{}", tell(hooks));
    let bench = bench(&jobs(""));
    let running = bench.listening();
    start(&bench, "a");
    running.kill();
    running.wait();
    let running = bench.listening();
    start(&bench, "a");
    bench.write("jobs.toml", &jobs("on_failure on_recovered"));
    bench.out(&["reload"]);
    start(&bench, "a");
    until("it is called", || bench.path("told").exists());
    assert_told(&bench, "on_failure", "a", &[("streak", "3")]);
    bench.write("ok", "");
    start(&bench, "a");
    until("it is called", || {
        fs::read_to_string(bench.path("told")).unwrap().contains("on_recovered")
    });
    assert_told(&bench, "on_recovered", "a", &[("streak", "3")]);
    running.stop();
}

#[test]
fn a_dry_run_has_none_and_a_single_run_waits_for_them() {
    let hooks = tell("on_start on_success on_failure");
    let bench = bench(&format!("[jobs.a]\ncommand = 'echo no; exit 4'\ndate = 'now'\n{hooks}"));
    let mut command = bench.command(&["run", "--dry-run", "--log-format", "json", "jobs.toml"]);
    let mut dry = Running::start(&mut command);
    dry.event("would_start", "a");
    assert_eq!(dry.stop().code, Some(0));
    assert!(!bench.path("told").exists());
    assert_eq!(bench.once("a").code, Some(4));
    assert_told(&bench, "on_failure", "a", &[("exit", "4"), ("tail", "no|")]);
    assert_told(&bench, "on_start", "a", &[("attempt", "1/1")]);
}

/// Neither reads a hook a secret of what its job has printed, nor does the log what a hook prints.
#[test]
fn secrets_are_kept() {
    let hooks = "on_failure = 'cat > tail; echo no $TOKEN >&2; exit 1'\n";
    let bench = Bench::new(&format!(
        "[jobs.a]\ncommand = 'echo it is $TOKEN; exit 1'\ndate = 'now'\n\
         env = {{ TOKEN = {{ file = 'secret' }} }}\n{hooks}"
    ));
    bench.write("secret", "hunter2hunter2\n");
    bench.set_mode("secret", 0o600);
    let mut running = run(&bench);
    let line = running.event("hook_failed", "a");
    assert_eq!(line["message"], "hook on_failure exited with 1: no ***");
    assert_eq!(fs::read_to_string(bench.path("tail")).unwrap(), "it is ***\n");
    let done = running.stop();
    assert!(!format!("{done:?}").contains("hunter2"), "{done:#?}");
}

#[test]
fn with_or_without_a_store_there_is_what_is_kept() {
    let hooks = tell("on_success");
    let bench = bench(&format!(
        "[jobs.a]\ncommand = 'echo kept'\ndate = 'now'\n{hooks}\
         [jobs.none]\ncommand = 'echo nothing'\ndate = 'now'\nkeep_output = '0'\n{hooks}\
         [jobs.gone]\ncommand = 'echo nothing'\ndate = 'now'\noutput = 'discard'\n{hooks}"
    ));
    let args = ["run", "--store", "memory", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(bench.command(&args).env("SCHEDRS_LOG", "debug"));
    for (job, tail) in [("a", "kept|"), ("none", ""), ("gone", "")] {
        running.read_again();
        called(&mut running, job, &["on_success"]);
        assert_told(&bench, "on_success", job, &[("tail", tail)]);
    }
    running.stop();
}

#[test]
fn as_the_user_of_its_job() {
    if !is_root() {
        return;
    }
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'true'\ndate = 'now'\nuser = 65534\ngroup = 65534\ncwd = '/'\n\
         on_success = 'echo $(id -u) $SCHEDRS_JOB >&2; exit 1'\n",
    );
    let mut running = run(&bench);
    let line = running.event("hook_failed", "a");
    assert_eq!(line["message"], "hook on_success exited with 1: 65534 a");
    running.stop();
}

/// At the end it is waited for them, but not for long.
#[test]
fn the_end_of_the_scheduler_is_the_end_of_a_run_as_well() {
    let hooks = tell("on_failure");
    let bench = bench(&format!(
        "[scheduler]\nstop_grace = '0s'\n\
         [jobs.a]\ncommand = 'echo ok > ready; read x < never'\ndate = 'now'\n{hooks}"
    ));
    bench.fifo("ready");
    bench.fifo("never");
    let running = run(&bench);
    bench.read_fifo("ready");
    let done = running.stop();
    assert_eq!(done.count("hook_succeeded"), 1, "{done:#?}");
    assert_told(&bench, "on_failure", "a", &[("outcome", "killed"), ("signal", "15")]);
}

#[test]
fn of_a_job_that_is_added_and_changed() {
    let bench = bench("[jobs]\n");
    let mut running = run(&bench);
    running.event("starting", "");
    let add = [
        "add",
        "--id",
        "a",
        "--every",
        "1h",
        "--on-success",
        "./tell",
        "--hook-timeout",
        "1m",
        "--",
        "true",
    ];
    let done = Running::start(&mut bench.command(&add)).wait();
    assert_eq!(done.code, Some(0), "{done:#?}");
    start(&bench, "a");
    called(&mut running, "a", &["on_success"]);
    let shown = bench.out(&["show", "a"]);
    assert!(shown.contains("on_success") && shown.contains("./tell"), "{shown}");
    let modify = ["modify", "a", "--on-success", "exit 7"];
    assert_eq!(Running::start(&mut bench.command(&modify)).wait().code, Some(0));
    start(&bench, "a");
    assert_eq!(running.event("hook_failed", "a")["exit"], 7);
    running.stop();
}

/// Idle, there is not one thread more.
#[test]
fn threads_are_there_only_while_there_is_a_hook() {
    let bench = bench("jobs.a = { command = 'true', interval = '1h', on_success = './tell' }\n");
    let mut running = run(&bench);
    running.event("starting", "");
    start(&bench, "a");
    called(&mut running, "a", &["on_success"]);
    let pid = running.pid();
    let names = || -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let name = |task: std::io::Result<fs::DirEntry>| {
            fs::read_to_string(task.ok()?.path().join("comm")).ok()
        };
        tasks.filter_map(name).filter(|name| name.starts_with("hook")).collect()
    };
    until("no thread is left", || names().is_empty());
    running.stop();
}
