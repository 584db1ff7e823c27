//! Runs whose processes do not want to end. When a run has ended, none of its tree is left.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for product code"
)]

mod harness;

use std::fs;

use harness::{Bench, Stream, is_alive};

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
