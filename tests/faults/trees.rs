//! Runs whose processes do not want to end. When a run has ended, none of its tree is left.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for product code"
)]

use std::fs;

use crate::harness::{Bench, Done, Running, Stream, is_alive, is_root};

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
fn what_hides_is_found_while_others_run() {
    // Daemons that leave nothing of themselves to see: no environment, a session of their own, no
    // parent. Each is ended with its own run, and holding the pipe does not hold the slot.
    let mut jobs = "executors.default = { max_workers = 4 }\n".to_owned();
    for job in ["a", "b", "c", "d"] {
        let hidden = format!("echo $$ > {job}.pid; echo ok > {job}.ready; exec /bin/sleep 1000");
        jobs += &format!(
            "[jobs.{job}]\ndate = 'now'\nkill_after = '10s'\n\
             command = \"(env -i /usr/bin/setsid /bin/sh -c '{hidden}' &); read x < {job}.end\"\n"
        );
    }
    let bench = Bench::new(&jobs);
    let names = ["a", "b", "c", "d"];
    for job in names {
        for fifo in ["ready", "end"] {
            bench.fifo(&format!("{job}.{fifo}"));
        }
    }
    let mut running = bench.run();
    let pids = names.map(|job| {
        bench.read_fifo(&format!("{job}.ready"));
        fs::read_to_string(bench.path(&format!("{job}.pid"))).unwrap()
    });
    for (ended, job) in names.iter().enumerate() {
        bench.write_fifo(&format!("{job}.end"));
        running.event("succeeded", job);
        for (number, pid) in pids.iter().enumerate() {
            assert_eq!(is_alive(pid), number > ended, "{number}, {pid}, after {job}");
        }
    }
    running.stop();
}

/// A program is there, or that it is not is said.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    if !found {
        eprintln!("not tested: there is no `{program}` here");
    }
    found
}

/// The group of the scheduler itself, which cannot be signalled without ending it.
const JOINS_ITS_GROUP: &str = "#!/usr/bin/env perl\nuse POSIX;\n$SIG{TERM} = $ARGV[0];\n\
    setpgid(0, getpgrp(getppid())) or die $!;\nopen(F, '>', 'pid'); print F $$; close F;\n\
    sleep 1000 while 1;\n";

#[test]
fn a_process_that_has_left_its_group_is_ended() {
    if !has("perl") {
        return;
    }
    for (signal, kill_after) in [("DEFAULT", "60s"), ("IGNORE", "50ms")] {
        let bench = Bench::new(&format!(
            "jobs.escape = {{ command = ['./escape', '{signal}'], date = 'now', timeout = '500ms', \
             kill_after = '{kill_after}' }}"
        ));
        bench.program("escape", JOINS_ITS_GROUP);
        let mut running = bench.run();
        running.event("timed_out", "escape");
        assert!(!is_alive(&fs::read_to_string(bench.path("pid")).unwrap()));
        assert_eq!(running.stop().code, Some(0));
    }
}

/// TERM is "end" once and "end at once" twice.
#[test]
fn nobody_is_asked_twice() {
    let counts = "trap 'echo term >> terms' TERM; echo go > ready; \
                  while [ ! -s done ]; do read x < end; done";
    let bench = Bench::new(
        "[jobs.asked]\ncommand = \"setsid ./counts & ./counts\"\ndate = 'now'\ntimeout = '500ms'\n\
         kill_after = '60s'\n",
    );
    bench.program(
        "counts",
        &format!("#!/bin/sh\nterms=terms-$$\n{counts}\n").replace(">> terms", ">> $terms"),
    );
    bench.fifo("ready");
    bench.fifo("end");
    let mut running = bench.run();
    bench.read_fifo("ready");
    running.event("timing_out", "asked");
    bench.write("done", "yes");
    bench.write_fifo("end");
    running.event("timed_out", "asked");
    running.stop();
    for entry in fs::read_dir(bench.dir.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("terms-") {
            assert_eq!(fs::read_to_string(entry.path()).unwrap(), "term\n", "{entry:?}");
        }
    }
}

/// A scheduler that is not root, with a job that becomes root.
fn with_a_setuid_job(command: &str) -> Option<(Bench, Running)> {
    if !is_root() {
        eprintln!("not tested: it needs root, to make a program that becomes root");
        return None;
    }
    if !has("setpriv") {
        return None;
    }
    let bench = Bench::new(&format!(
        "[jobs.sudo]\ncommand = {command}\ninterval = '1h'\nrun_on_start = true\n\
         kill_after = '50ms'\nretries = 2\n{}",
        if command.contains("timeout") { "" } else { "timeout = '300ms'\n" }
    ));
    bench.fifo("ready");
    bench.program(
        "waits",
        "#!/bin/sh\nexec ./su --reuid 0 --clear-groups sh -c \
         'echo $$ > pid; echo go > ready; exec sleep 1000'\n",
    );
    bench.program(
        "leaves",
        "#!/bin/sh\n./su --reuid 0 --clear-groups sh -c 'echo $$ > pid; exec sleep 1000' &\n\
         while [ ! -s pid ]; do sleep 0.01; done\n",
    );
    let prepare = "cp $(command -v setpriv) su && chmod 4755 su && cp \"$1\" schedrs && shift && \
                   chmod 755 . schedrs && mkdir state && chown 54321 state && touch log && \
                   chown 54321 . && exec setpriv --reuid 54321 --regid 54321 --clear-groups \
                   ./schedrs \"$@\"";
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let running = Running::start(&mut bench.shell(prepare, &args));
    Some((bench, running))
}

/// Ends what the scheduler may not.
fn end(pid: &str) {
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_process_of_another_user_is_told_of_and_abandoned() {
    let command = "['./su', '--reuid', '0', '--clear-groups', 'sleep', '1000']";
    let Some((bench, mut running)) = with_a_setuid_job(command) else { return };
    let told = running.event("may_not_be_signalled", "sudo");
    let pid = told["pid"].to_string();
    assert_eq!(told["user"], "root");
    let lost = running.event("lost", "sudo");
    let reason = lost["reason"].as_str().unwrap();
    assert!(reason.starts_with("abandoned: ") && reason.contains(&pid), "{reason}");
    assert!(is_alive(&pid));
    let status = || {
        let done = Running::start(&mut bench.command(&["status", "-f", "jobs.toml"])).wait();
        [done.out, done.err].concat().join("\n")
    };
    let text = status();
    assert!(text.contains(&pid) && text.contains("runs as root"), "{text}");
    // Its place is free.
    let started = Running::start(&mut bench.command(&["start", "-f", "jobs.toml", "sudo"])).wait();
    assert_eq!(started.code, Some(0), "{started:#?}");
    let second = running.event("may_not_be_signalled", "sudo")["pid"].to_string();
    running.event("lost", "sudo");
    end(&pid);
    running.event("abandoned_ended", "");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it is a zombie");
    assert!(!status().contains(&pid));
    let done = running.stop();
    end(&second);
    assert_eq!(done.code, Some(0));
    assert_eq!(done.count("may_not_be_signalled"), 2, "{done:#?}");
    let left: Vec<&String> = done.err.iter().filter(|line| line.contains("left_running")).collect();
    assert!(left.len() == 1 && left[0].contains(&second), "{done:#?}");
}

#[test]
fn a_run_that_leaves_a_process_of_another_user_behind_ends() {
    let command = "['./leaves']";
    let Some((bench, mut running)) = with_a_setuid_job(command) else { return };
    running.event("may_not_be_signalled", "sudo");
    running.event("succeeded", "sudo");
    let pid = fs::read_to_string(bench.path("pid")).unwrap();
    assert!(is_alive(&pid));
    let done = running.stop();
    end(&pid);
    assert_eq!((done.code, done.count("left_running")), (Some(0), 1), "{done:#?}");
}

#[test]
fn the_second_signal_ends_a_scheduler_whose_job_cannot_be_ended() {
    let command = "['./waits']\ntimeout = '1h'";
    let Some((bench, mut running)) = with_a_setuid_job(command) else { return };
    bench.read_fifo("ready");
    running.signal("TERM");
    running.event("stopping", "");
    running.signal("TERM");
    let done: Done = running.wait();
    end(&fs::read_to_string(bench.path("pid")).unwrap());
    assert_eq!((done.count("lost"), done.count("left_running")), (1, 1), "{done:#?}");
}

/// `schedrs run` where `/proc` cannot be read.
#[test]
fn without_proc_a_run_with_leftovers_ends_and_says_why() {
    if !is_root() || !has("unshare") {
        eprintln!("not tested: it needs root, to take /proc away");
        return;
    }
    let bench = Bench::new(
        "executors.default = { max_workers = 1 }\n\
         [jobs.left]\ncommand = './leaves'\ndate = 'now'\nkill_after = '60s'\n\
         [jobs.later]\ncommand = ['true']\ndate = 'now'\n",
    );
    bench.program(
        "leaves",
        "#!/bin/sh\nsetsid sh -c 'echo $$ > pid; exec sleep 1000' &\n\
         while [ ! -s pid ]; do sleep 0.01; done\n",
    );
    let script = "exec unshare -m sh -c 'umount -l /proc && exec \"$@\"' sh \"$@\"";
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell(script, &args));
    let said = running.event("cannot_look", "left");
    assert!(said["reason"].as_str().unwrap().contains("/proc"), "{said}");
    running.event("succeeded", "left");
    running.event("succeeded", "later");
    let done = running.stop();
    end(&fs::read_to_string(bench.path("pid")).unwrap());
    assert_eq!((done.code, done.count("left_running")), (Some(0), 1), "{done:#?}");
}
