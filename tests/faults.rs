//! What goes wrong around a scheduler, one test each, with real processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for product code"
)]

mod harness;

use std::collections::HashSet;
use std::fs;
use std::process::Stdio;

use harness::{Bench, Running, Stream, is_alive, is_root, kilobytes_of, status_of};

#[test]
fn a_tree_is_gone_when_its_run_has_ended() {
    // A daemon in a session of its own, which ignores TERM and goes on forking.
    let bench = Bench::new(
        r#"
        [jobs.tree]
        command = "setsid ./daemon & read x < ready; echo parent done"
        date = "now"
        kill_after = "50ms"
        "#,
    );
    bench.fifo("ready");
    bench.program(
        "daemon",
        "#!/bin/sh\ntrap '' TERM\necho $$ > pids\nsh -c 'echo $$ >> pids; trap \"\" TERM; exec sleep 1000' &\n\
         sh -c 'echo $$ >> pids; exec setsid sleep 1000' &\necho ok > ready\nexec sleep 1000\n",
    );
    let mut running = bench.run();
    running.event("left_behind", "tree");
    running.event("succeeded", "tree");
    let pids = fs::read_to_string(bench.path("pids")).unwrap();
    assert!(pids.lines().count() >= 1, "{pids}");
    for pid in pids.lines() {
        assert!(!is_alive(pid), "{pid} of {pids}");
    }
    running.stop();
}

#[test]
fn a_tree_without_an_environment_is_found_too() {
    let bench = Bench::new(
        r#"
        [jobs.tree]
        command = "env -i /usr/bin/setsid /bin/sh -c 'echo $$ > pid; echo ok > ready; exec sleep 1000' & read x < ready"
        date = "now"
        kill_after = "10s"
        "#,
    );
    bench.fifo("ready");
    let mut running = bench.run();
    running.event("succeeded", "tree");
    assert!(!is_alive(&fs::read_to_string(bench.path("pid")).unwrap()));
    running.stop();
}

#[test]
fn a_chain_of_forks_is_caught() {
    // Each link starts the next in a new session and ends: no process of it lives for long.
    let bench = Bench::new(
        r#"
        [jobs.chain]
        command = "./link & read x < ready"
        date = "now"
        kill_after = "50ms"
        "#,
    );
    bench.fifo("ready");
    bench.program(
        "link",
        "#!/bin/sh\ntrap '' TERM\n[ -e begun ] || { touch begun; echo ok > ready; }\nsetsid ./link &\nexit 0\n",
    );
    let mut running = bench.run();
    running.event("succeeded", "chain");
    running.stop();
}

#[test]
fn a_timeout_reaches_the_whole_tree() {
    let bench = Bench::new(
        r#"
        [jobs.slow]
        command = "setsid sh -c 'echo $$ > pid; trap \"\" TERM; while :; do sleep 1000; done' & trap '' TERM; while :; do sleep 1000; done"
        date = "now"
        timeout = "300ms"
        kill_after = "50ms"
        "#,
    );
    let mut running = bench.run();
    running.event("timed_out", "slow");
    assert!(!is_alive(&fs::read_to_string(bench.path("pid")).unwrap()));
    running.stop();
}

#[test]
fn a_stopped_process_is_ended_like_any_other() {
    let bench = Bench::new(
        r#"
        jobs.stopped = { command = "kill -STOP $$", date = "now", timeout = "200ms", kill_after = "60s" }
        "#,
    );
    let mut running = bench.run();
    running.event("timed_out", "stopped");
    running.stop();
}

#[test]
fn another_run_is_not_swept_along() {
    let bench = Bench::new(
        r#"
        [executors]
        default = { max_workers = 4 }
        [jobs.keeps]
        command = "(setsid sh -c 'cat gate; echo still here' &) ; cat gate2; echo done"
        date = "now"
        [jobs.other]
        command = "(setsid sleep 1000 &); echo other"
        interval = "1s"
        kill_after = "10s"
        "#,
    );
    bench.fifo("gate");
    bench.fifo("gate2");
    let mut running = bench.run();
    running.event("succeeded", "other");
    bench.write_fifo("gate");
    running.line(Stream::Out, &["keeps | still here"]);
    bench.write_fifo("gate2");
    running.event("succeeded", "keeps");
    running.stop();
}

#[test]
fn whoever_holds_the_pipe_does_not_hold_the_slot() {
    // A process that nobody can tell from a stranger's: no environment, a session of its own, and
    // another run is active. It may stay, but the slot is free.
    let bench = Bench::new(
        r#"
        executors.default = { max_workers = 2 }
        jobs.a = { command = "cat gate", date = "now" }
        [jobs.holder]
        command = "env -i /usr/bin/setsid /bin/sh -c 'echo $$ > pid; echo ok > ready; exec sleep 1000' & read x < ready; echo done"
        date = "now"
        "#,
    );
    bench.fifo("gate");
    bench.fifo("ready");
    let mut running = bench.run();
    running.event("succeeded", "holder");
    bench.write_fifo("gate");
    running.event("succeeded", "a");
    let done = running.stop();
    assert!(done.out.contains(&"holder | done".to_owned()), "{:#?}", done.out);
    let pid = fs::read_to_string(bench.path("pid")).unwrap();
    if is_alive(&pid) {
        std::process::Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    }
}

#[test]
fn what_cannot_be_executed_is_explained() {
    let bench = Bench::new(
        r#"
        jobs.missing = { command = ["no-such-program"], date = "now" }
        jobs.gone = { command = ["./gone"], date = "now" }
        jobs.locked = { command = ["./locked"], date = "now" }
        jobs.format = { command = ["./format"], date = "now" }
        jobs.bang = { command = ["./bang"], date = "now" }
        jobs.nowhere = { command = ["true"], cwd = "/no/such/place", date = "now" }
        jobs.env = { command = ["true"], env_file = "nothing.env", date = "now" }
        jobs.shell = { command = "x", shell = "/no/such/shell", date = "now" }
        jobs.forked = { command = ["./format"], umask = 0, date = "now" }
        "#,
    );
    bench.write("locked", "#!/bin/sh\n");
    bench.program("format", "\u{7f}not a program\n");
    bench.program("bang", "#!/no/such/interpreter -x\n");
    let mut running = bench.run();
    let mut reasons: Vec<(String, String)> = (0..9)
        .map(|_| {
            let event = running.event("not_started", "");
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            (text("job"), text("reason"))
        })
        .collect();
    reasons.sort();
    let expected = [
        ("bang", "the #! line of ./bang names \"/no/such/interpreter\", which does not exist"),
        ("env", "env_file nothing.env cannot be read: no such file or directory"),
        ("forked", "exec format error: has ./format a #! line? is it for this CPU?"),
        ("format", "exec format error: has ./format a #! line? is it for this CPU?"),
        ("gone", "program ./gone does not exist"),
        ("locked", "permission denied: ./locked is not executable"),
        ("missing", "program `no-such-program` not found on PATH"),
        ("nowhere", "cwd /no/such/place cannot be entered: no such file or directory"),
        ("shell", "program /no/such/shell does not exist"),
    ];
    for (found, (job, reason)) in reasons.iter().zip(expected) {
        assert_eq!((&*found.0, &*found.1), (job, reason));
    }
    assert_eq!(running.stop().code, Some(0));
}

fn many(count: usize, command: &str, head: &str) -> Bench {
    let mut jobs = head.to_owned();
    for number in 0..count {
        jobs += &format!("\njobs.j{number} = {{ command = {command}, date = 'now' }}");
    }
    Bench::new(&jobs)
}

#[test]
fn few_descriptors_delay_runs_and_lose_none() {
    let bench = many(100, "'echo done'", "executors.default = { max_workers = 50 }");
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell("ulimit -n 32; exec \"$@\"", &args));
    for _ in 0..100 {
        running.event("succeeded", "");
    }
    let done = running.stop();
    let lines: HashSet<&String> = done.out.iter().collect();
    assert_eq!((done.code, lines.len()), (Some(0), 100));
}

#[test]
fn few_processes_delay_runs_and_lose_none() {
    if !is_root() {
        return;
    }
    // A user of its own, so that the limit counts nobody else's processes.
    let bench = many(20, "['sleep', '0.1']", "executors.default = { max_workers = 20 }");
    let copied = bench.path("schedrs");
    fs::copy(env!("CARGO_BIN_EXE_schedrs"), &copied).unwrap();
    let open = "chmod 755 . schedrs; shift; exec setpriv --reuid 54321 --clear-groups prlimit --nproc=10 ./schedrs \"$@\"";
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell(open, &args));
    for _ in 0..20 {
        running.event("succeeded", "");
    }
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert!(done.count("postponed") > 0);
}

#[test]
fn a_gigabyte_without_a_line_end_costs_no_memory() {
    let bench = Bench::new(
        r#"
        jobs.flood = { command = ["head", "-c", "1G", "/dev/zero"], date = "now" }
        "#,
    );
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut command = bench.command(&args);
    command.stdout(Stdio::null());
    let mut running = Running::start(&mut command);
    running.event("succeeded", "flood");
    let peak = kilobytes_of(running.pid(), "VmHWM");
    assert!(peak < 16 * 1024, "{peak} kB");
    running.stop();
}

#[test]
fn a_closed_stdout_stops_nothing() {
    let bench =
        Bench::new("jobs.a = { command = 'echo lost; date +%N > ran; cat ran', interval = '1s' }");
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    let mut running = Running::start(&mut command);
    running.event("succeeded", "a");
    running.event("succeeded", "a");
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert_eq!(done.err.iter().filter(|line| line.contains("stdout is closed")).count(), 1);
}

#[test]
fn a_stdout_that_nobody_reads_stops_nothing() {
    let bench = Bench::new(
        r#"
        jobs.flood = { command = ["head", "-c", "10M", "/dev/zero"], date = "now" }
        jobs.other = { command = "true", interval = "1s" }
        "#,
    );
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    let mut running = Running::start(&mut command);
    drop(command);
    running.event("succeeded", "other");
    // It has been dropped by then, not kept.
    running.event("succeeded", "flood");
    assert!(kilobytes_of(running.pid(), "VmHWM") < 16 * 1024);
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    drop(reader);
}

#[test]
fn a_thousand_jobs_due_at_once_all_run_in_eight_slots() {
    let bench = many(1000, "['/bin/echo', 'ran']", "executors.default = { max_workers = 8 }");
    let mut running = bench.run();
    let (mut active, mut most, mut ended) = (HashSet::new(), 0, 0);
    while ended < 1000 {
        let line = running.line(Stream::Err, &["\"event\":"]);
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        match event["event"].as_str().unwrap() {
            "started" => {
                active.insert(event["run"].as_u64());
                most = most.max(active.len());
            }
            "succeeded" => {
                assert!(active.remove(&event["run"].as_u64()), "{event}");
                ended += 1;
            }
            "starting" => {}
            other => panic!("{other}: {event}"),
        }
    }
    assert!(most <= 8, "{most}");
    let done = running.stop();
    let jobs: HashSet<&String> = done.out.iter().collect();
    assert_eq!((done.out.len(), jobs.len()), (1000, 1000));
}

#[test]
fn an_idle_scheduler_has_four_threads_and_sleeps() {
    let mut jobs = String::new();
    for number in 0..1000 {
        jobs += &format!("jobs.j{number} = {{ command = ['/bin/true'], date = 2199-01-01 }}\n");
    }
    let bench = Bench::new(&jobs);
    let mut running = bench.run();
    running.event("starting", "");
    running.signal("USR1");
    running.event("status", "");
    let pid = running.pid();
    assert_eq!(status_of(pid, "Threads"), "4");
    running.stop();
}

#[test]
fn a_scheduler_that_was_stopped_goes_on() {
    let bench = Bench::new("jobs.a = { command = 'echo tick', interval = '1s' }");
    let mut running = bench.run();
    running.event("succeeded", "a");
    running.signal("STOP");
    running.signal("CONT");
    running.event("succeeded", "a");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn pid_1_reaps_orphans() {
    if !is_root() {
        return;
    }
    // 200 processes, each left alone by its parent; then a job waits until no zombie is there.
    let bench = Bench::new(
        r#"
        [jobs.a]
        command = "./orphans"
        date = "now"
        [jobs.b]
        command = "read x < next; while grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; echo none"
        date = "now"
        "#,
    );
    bench.fifo("next");
    bench.program(
        "orphans",
        "#!/bin/sh\ni=0\nwhile [ $i -lt 200 ]; do (sh -c 'exit 0' &); i=$((i+1)); done\nexit 5\n",
    );
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let script = "exec unshare -fp --kill-child --mount-proc \"$@\"";
    let mut running = Running::start(&mut bench.shell(script, &args));
    assert_eq!(running.event("failed", "a")["exit"], 5);
    bench.write_fifo("next");
    running.line(Stream::Out, &["b | none"]);
    running.event("succeeded", "b");
    // The signal has to reach the scheduler, not `unshare`.
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    let pid = fs::read_to_string(children).unwrap();
    std::process::Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap();
    running.wait();
}

#[test]
fn a_hundred_reloads_disturb_nothing() {
    let jobs = |number: usize| {
        format!(
            "jobs.long = {{ command = 'cat gate; echo survived', date = 'now' }}\n\
             jobs.n{number} = {{ command = 'true', interval = '1h' }}\n"
        )
    };
    let bench = Bench::new(&jobs(0));
    bench.fifo("gate");
    let mut running = bench.run();
    running.event("started", "long");
    for number in 1..=100 {
        match number % 4 {
            // An editor's rename, a file half written, a plain overwrite.
            0 => {
                bench.write("jobs.new", &jobs(number));
                fs::rename(bench.path("jobs.new"), bench.path("jobs.toml")).unwrap();
            }
            1 => bench.write("jobs.toml", &jobs(number)[..60]),
            _ => bench.write("jobs.toml", &jobs(number)),
        }
        running.signal("HUP");
        let event = if number % 4 == 1 { "reload_failed" } else { "reloaded" };
        running.event(event, "");
    }
    bench.write_fifo("gate");
    running.event("succeeded", "long");
    let done = running.stop();
    assert_eq!(done.out, ["long | go", "long | survived"]);
}
