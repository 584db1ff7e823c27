//! What goes wrong around a scheduler, one test each, with real processes: programs that cannot be
//! executed, limits, streams, users. `faults_*.rs` have the clock, process trees and load.
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

#[test]
fn few_descriptors_delay_runs_and_lose_none() {
    let bench = Bench::of_many(100, "'echo done'", "executors.default = { max_workers = 50 }");
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
    let bench = Bench::of_many(20, "['sleep', '0.1']", "executors.default = { max_workers = 20 }");
    // Half of them are made in the other way.
    let jobs = fs::read_to_string(bench.path("jobs.toml")).unwrap();
    bench.write("jobs.toml", &jobs.replacen("'0.1'], ", "'0.1'], umask = 0o22, ", 10));
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
fn an_idle_scheduler_has_six_threads_and_sleeps() {
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
    // The loop, two spawners, the output, the store and the control socket.
    assert_eq!(status_of(pid, "Threads"), "6");
    running.stop();
}

#[test]
fn a_full_disk_behind_stdout_stops_nothing() {
    let bench = Bench::new("jobs.a = { command = 'echo lost', interval = '1s' }");
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    command.stdout(fs::File::options().write(true).open("/dev/full").unwrap());
    let mut running = Running::start(&mut command);
    running.event("succeeded", "a");
    running.event("succeeded", "a");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn no_stream_at_all_stops_nothing() {
    let bench = Bench::new("jobs.a = { command = 'echo lost; echo ok > ran', date = 'now' }");
    bench.fifo("ran");
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let running = Running::start(&mut bench.shell("exec \"$@\" <&- >&- 2>&-", &args));
    assert_eq!(bench.read_fifo("ran"), "ok\n");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn a_job_of_ten_minutes_that_ignores_sigterm_is_ended() {
    let bench = Bench::new(
        r#"
        scheduler.stop_grace = "200ms"
        [jobs.long]
        command = "trap '' TERM; echo $$ > pid; echo up; while :; do sleep 600; done"
        date = "now"
        kill_after = "200ms"
        "#,
    );
    let mut running = bench.run();
    running.line(Stream::Out, &["long | up"]);
    running.signal("TERM");
    assert_eq!(running.event("stopping", "")["running"], 1);
    assert_eq!(running.event("killed", "long")["signal"], 9);
    assert_eq!(running.wait().code, Some(0));
    assert!(!is_alive(&fs::read_to_string(bench.path("pid")).unwrap()));
}

#[test]
fn nobody_has_nothing_of_root() {
    if !is_root() {
        return;
    }
    // The scheduler has groups and capabilities that would be passed on if nobody took care.
    let bench = Bench::new(
        r#"
        [jobs.a]
        command = "id -G; grep ^Cap[IPEA] /proc/self/status; setpriv --reuid 0 true || echo kept"
        user = "nobody"
        cwd = "/"
        date = "now"
        "#,
    );
    let open = "exec setpriv --groups 4,20,24 --inh-caps +chown,+setuid --ambient-caps +chown,+setuid \"$@\"";
    let done = Running::start(&mut bench.shell(open, &["run", "--once", "a"])).wait();
    let groups = std::process::Command::new("id").args(["-G", "nobody"]).output().unwrap().stdout;
    assert_eq!(done.out.first(), Some(&String::from_utf8(groups).unwrap().trim().to_owned()));
    let none = "0000000000000000";
    let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"].map(|set| format!("{set}:\t{none}"));
    for set in sets {
        assert!(done.out.contains(&set), "{set} in {:#?}", done.out);
    }
    assert_eq!(done.out.last().map(String::as_str), Some("kept"), "{:#?}", done.err);
}
