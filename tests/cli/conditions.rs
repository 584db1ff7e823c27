//! Conditions of jobs, with the real program: what they are answered by, and that nothing waits for what
//! hangs.

use std::fs;

use crate::harness::{Bench, Running, found, is_alive, until};

/// A scheduler whose log is read.
fn run(bench: &Bench) -> Running {
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    Running::start(command.env("SCHEDRS_LOG", "debug"))
}

/// What became of a job, and why.
fn fate(running: &mut Running, event: &str, job: &str) -> String {
    running.event(event, job)["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn each_condition_has_its_reading() {
    let job = |id: &str, conditions: &str| {
        format!("[jobs.{id}]\ncommand = 'true'\ndate = 'now'\nonly_if = {conditions}\n")
    };
    let all = "path = '.', load_below = 100000, disk_free = { path = '.', above = 0 }, \
               command = 'test \"$SCHEDRS_JOB$SCHEDRS_HOOK\" = allonly_if'";
    let jobs = [
        job("all", &format!("{{ {all} }}")),
        job("path", "{ path = ['.', 'nowhere/at/all'] }"),
        job("load", "{ load_below = 0.000001 }"),
        job("disk", "{ disk_free = { path = '.', above = '1000000TB' } }"),
        job("no", "{ command = 'echo first; echo not today' }").replace("today'", "today; exit 1'"),
        job("silent", "{ command = ['false'] }"),
        job("broken", "{ command = 'echo oops >&2; exit 255' }"),
        job("killed", "{ command = 'kill -9 $$' }"),
        job("missing", "{ command = ['./no-such-program'] }"),
        job("first", "{ path = 'nowhere', command = 'touch was-run' }"),
    ];
    let bench = Bench::new(&jobs.concat());
    let mut running = run(&bench);
    running.event("succeeded", "all");
    for (event, id, begins, holds) in [
        ("skipped", "path", "condition: ", "nowhere/at/all is not there"),
        ("skipped", "disk", "condition: ", "GB free on . ≤ 1000000000GB"),
        ("skipped", "no", "condition: the command exited with 1: not today", ""),
        ("skipped", "silent", "condition: the command exited with 1", ""),
        ("not_started", "broken", "the command of only_if exited with 255: oops", ""),
        ("not_started", "killed", "the command of only_if was killed by SIGKILL", ""),
        (
            "not_started",
            "missing",
            "the command of only_if could not be started: ",
            "no-such-program",
        ),
        ("skipped", "first", "condition: ", "nowhere is not there"),
    ] {
        running.read_again();
        let reason = fate(&mut running, event, id);
        assert!(reason.starts_with(begins) && reason.contains(holds), "{id}: {reason}");
    }
    running.read_again();
    // The load may well be nothing on a machine that has just begun.
    if let Ok(load) = fs::read_to_string("/proc/loadavg")
        && !load.starts_with("0.00")
    {
        let reason = fate(&mut running, "skipped", "load");
        assert!(reason.starts_with("condition: load ") && reason.ends_with(" ≥ 0.0"), "{reason}");
    }
    running.stop();
    assert!(!bench.path("was-run").exists(), "what holds is looked at first");
    let why = bench.out(&["why", "no"]);
    assert!(why.contains("only_if did not hold (the command exited with 1: not today)"), "{why}");
}

/// A path that comes later, and one that does not.
#[test]
fn a_due_time_waits_until_the_path_is_there() {
    let bench = Bench::new(
        "[jobs.late]\ncommand = 'true'\ndate = 'now'\nonly_if = { path = 'mounted' }\nwait_for = '4s'\n\
         [jobs.never]\ncommand = 'true'\ndate = 'now'\nonly_if = { path = 'elsewhere' }\n\
         wait_for = '2s'\n\
         [jobs.beside]\ncommand = 'true'\ndate = 'now'\n",
    );
    let mut running = run(&bench);
    let waiting = running.event("waiting", "late");
    let reason = waiting["reason"].as_str().unwrap();
    assert!(reason.ends_with("mounted is not there"), "{waiting}");
    // The log is there a moment before whoever asks is told.
    found(|| {
        let why = bench.out(&["why", "late"]);
        let waits = why.contains("has been waiting for its conditions since ");
        if waits && why.contains("mounted is not there") { Ok(()) } else { Err(why) }
    });
    let shown = bench.out(&["show", "late"]);
    assert!(shown.contains("waiting for its conditions ("), "{shown}");
    fs::write(bench.path("mounted"), "").unwrap();
    running.read_again();
    running.event("succeeded", "beside");
    running.read_again();
    running.event("succeeded", "late");
    running.read_again();
    let reason = fate(&mut running, "skipped", "never");
    assert!(reason.ends_with("elsewhere is not there"), "{reason}");
    running.stop();
    let why = bench.out(&["why", "late"]);
    assert!(why.contains("succeeded"), "{why}");
}

/// It is killed with everything it has begun, and nobody waits for it.
#[test]
fn a_command_that_hangs_delays_nobody() {
    let hangs = |id: usize| {
        format!(
            "[jobs.hangs-{id}]\ncommand = 'true'\ndate = 'now'\n\
             only_if = {{ command = 'trap \"\" TERM; sleep 1000 & echo $! >pid-{id}; wait' }}\n"
        )
    };
    let jobs: String = (0..20).map(hangs).collect();
    let bench = Bench::new(&format!(
        "{jobs}[jobs.beside]\ncommand = 'true'\ndate = 'now'\n\
         [jobs.checked]\ncommand = 'true'\ndate = 'now'\nonly_if = {{ path = '.' }}\n"
    ));
    let mut running = run(&bench);
    running.event("succeeded", "beside");
    running.read_again();
    running.event("succeeded", "checked");
    let reason = fate(&mut running, "skipped", "hangs-0");
    assert_eq!(reason, "condition: the command did not answer within 10s");
    let pid = fs::read_to_string(bench.path("pid-0")).unwrap();
    until("what it has begun is ended", || !is_alive(pid.trim()));
    // Others are still being asked: the end does not wait for them.
    running.stop();
    for id in 0..20 {
        if let Ok(pid) = fs::read_to_string(bench.path(&format!("pid-{id}"))) {
            assert!(!is_alive(pid.trim()), "pid-{id}");
        }
    }
}

/// What waited when the scheduler was killed has one fate all the same.
#[test]
fn a_crash_while_it_waits() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'true'\ninterval = { hours = 1, from = 'end' }\nrun_on_start = true\n\
         only_if = { path = 'mounted' }\nwait_for = '1h'\n",
    );
    let mut running = run(&bench);
    running.event("waiting", "a");
    until("the store has it", || {
        bench.out(&["why", "a"]).contains("waiting for its conditions since")
    });
    running.kill();
    running.wait();
    fs::write(bench.path("mounted"), "").unwrap();
    let mut running = run(&bench);
    running.event("succeeded", "a");
    running.stop();
    let history = bench.out(&["history", "a", "--output", "json"]);
    assert!(!history.contains("\"waiting\""), "{history}");
}

#[test]
fn conditions_come_over_the_socket() {
    let bench = Bench::new("[jobs.a]\ncommand = 'true'\ninterval = '1h'\n");
    let running = bench.listening();
    let conditions = ["path=/mnt/x", "load_below=4", "disk_free=/srv:5GB", "ac_power=true"];
    let flags = conditions.into_iter().flat_map(|condition| ["--only-if", condition]);
    let head = ["add", "--id", "b", "--every", "1h", "--wait-for", "5m"];
    let args: Vec<&str> = head.into_iter().chain(flags).chain(["--", "true"]).collect();
    bench.out(&args);
    bench.out(&["modify", "a", "--only-if", "command=test -e /x"]);
    let paths = ["/a", "/b", "/c"].map(|path| format!("path={path}"));
    let paths = paths.iter().flat_map(|path| ["--only-if", path]);
    let head = ["add", "--id", "c", "--every", "1h"].into_iter();
    bench.out(&head.chain(paths).chain(["--", "true"]).collect::<Vec<_>>());
    for (job, wanted) in [
        ("b", &[r#"path = "/mnt/x""#, "load_below = 4.0", r#"above = "5GB""#][..]),
        ("b", &["ac_power = true"]),
        ("b", &["wait_for = \"5m\""]),
        ("a", &[r#"only_if = { command = "test -e /x" }"#]),
        ("c", &[r#"only_if = { path = ["/a", "/b", "/c"] }"#]),
    ] {
        let shown = bench.out(&["show", job]);
        assert!(wanted.iter().all(|wanted| shown.contains(wanted)), "{job}: {shown}");
    }
    running.stop();
    let next = bench.out(&["simulate", "--until", "+1d"]);
    assert!(!next.contains("taken as met"), "{next}");
}

#[test]
fn doctor_says_whether_they_hold_and_looks_up_their_command() {
    let job =
        |id: &str, key: &str| format!("[jobs.{id}]\ncommand = 'true'\ninterval = '1h'\n{key}\n");
    let bench = Bench::new(
        &[
            job("holds", "only_if = { path = '.', command = 'test -e nowhere' }"),
            job("not", "only_if = { path = 'nowhere' }"),
            job("gone", "only_if = { command = ['no-such-program'] }"),
            job("hook", "on_failure = ['no-such-hook']"),
        ]
        .concat(),
    );
    let said = |job: &str| bench.command(&["doctor", job]).output().unwrap();
    for (job, code, wanted) in [
        ("holds", 0, "ok       holds: only_if: holds now (its command was not run)"),
        ("not", 0, "ok       not: only_if: does not hold now: "),
        ("gone", 1, "problem  gone: program: only_if: program `no-such-program` not found on PATH"),
        ("hook", 1, "problem  hook: program: on_failure: program `no-such-hook` not found on PATH"),
    ] {
        let done = said(job);
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(text.contains(wanted), "{job}: {text}");
        assert_eq!(done.status.code(), Some(code), "{job}: {text}");
    }
}

#[test]
fn what_is_to_come_takes_conditions_as_met_and_says_so() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'true'\ncron = '0 3 * * *'\ntimezone = 'UTC'\n\
         only_if = { load_below = 0.1 }\n",
    );
    let next = bench.out(&["next", "-n", "3"]);
    assert_eq!(next.matches("only if: load below 0.1").count(), 1, "{next}");
    let simulated = bench.out(&["simulate", "--until", "+2d"]);
    assert!(simulated.contains("conditions (only_if) are taken as met"), "{simulated}");
}
