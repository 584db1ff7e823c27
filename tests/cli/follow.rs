//! `schedrs logs --follow`: what runs print, as they print it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop"
)]

use std::io::{BufRead, BufReader};

use crate::harness::{Bench, Running, Stream};

/// Starts a job by hand: whoever is told so finds the run in the store.
fn start(bench: &Bench, job: &str) {
    let done = Running::start(&mut bench.command(&["start", job])).wait();
    assert_eq!(done.code, Some(0), "{done:#?}");
}

#[test]
fn what_is_printed_is_shown_at_once() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'echo before; read go < go; echo after; echo oh >&2'\n\
         interval = '1h'\n[jobs.b]\ncommand = 'echo other'\ninterval = '1h'\n",
    );
    bench.fifo("go");
    let mut running = bench.run();
    running.event("starting", "");
    start(&bench, "a");
    running.line(Stream::Out, &["a | before"]);
    let mut one = Running::start(&mut bench.command(&["logs", "a", "--follow"]));
    // It follows when it has shown what is kept.
    one.line(Stream::Out, &["a, run 1"]);
    let mut all = Running::start(&mut bench.command(&["logs", "--follow"]));
    all.line(Stream::Out, &["a, run 1"]);
    bench.write_fifo("go");
    one.line(Stream::Out, &["after"]);
    one.line(Stream::Out, &["oh"]);
    all.line(Stream::Out, &["a | after"]);
    let started = Running::start(&mut bench.command(&["start", "b", "--wait"])).wait();
    assert_eq!(started.code, Some(0), "{started:#?}");
    all.line(Stream::Out, &["b | other"]);
    running.stop();
    // Nobody is there any more.
    for follower in [one, all] {
        let done = follower.wait();
        assert_eq!(done.code, Some(1), "{done:#?}");
        assert!(done.err.join("\n").contains("lost the connection"), "{done:#?}");
    }
}

/// Each is there once: what is kept of the last run, and what the next ones print.
#[test]
fn what_was_printed_and_what_will_be() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'echo kept; echo $SCHEDRS_RUN; printf end'\ninterval = '1h'\n\
         [jobs.b]\ncommand = 'echo alien'\ninterval = '1h'\n",
    );
    let start = |job: &str| {
        let done = Running::start(&mut bench.command(&["start", job, "--wait"])).wait();
        assert_eq!(done.code, Some(0), "{done:#?}");
    };
    let mut running = bench.run();
    running.event("starting", "");
    start("a");
    // The store has everything when a scheduler has stopped.
    running.stop();
    let mut running = bench.run();
    running.event("starting", "");
    let mut follower = Running::start(&mut bench.command(&["logs", "a", "-f"]));
    follower.line(Stream::Out, &["a, run 1"]);
    follower.line(Stream::Out, &["end"]);
    start("b");
    start("a");
    start("a");
    follower.line(Stream::Out, &["end"]);
    follower.line(Stream::Out, &["end"]);
    running.kill();
    let done = follower.wait();
    assert_eq!(done.out[1..], ["kept", "1", "end", "kept", "3", "end", "kept", "4", "end"]);
    assert_eq!(done.err, ["schedrs: lost the connection to schedrs: the connection was closed"]);
    assert_eq!(done.code, Some(1));
}

/// A store in memory can be read by nobody else, and the runs can be followed all the same.
#[test]
fn the_past_is_not_needed() {
    let bench = Bench::new(
        "[store]\nurl = 'memory'\n[jobs.a]\ncommand = 'echo new; read go < go'\ninterval = '1h'\n",
    );
    bench.fifo("go");
    let mut running = bench.run();
    running.event("starting", "");
    let mut follower = Running::start(&mut bench.command(&["logs", "a", "-f"]));
    follower.line(Stream::Err, &["cannot show earlier output", "memory"]);
    start(&bench, "a");
    follower.line(Stream::Out, &["new"]);
    bench.write_fifo("go");
    running.stop();
}

/// `schedrs logs -f | head -1` ends when `head` has what it wants, and not when something else is
/// printed.
#[test]
fn nobody_follows_for_nobody() {
    let bench = Bench::new("[jobs.a]\ncommand = 'echo one'\ninterval = '1h'\n");
    let mut running = bench.run();
    running.event("starting", "");
    let mut follower = bench.command(&["logs", "a", "-f"]).spawn().unwrap();
    let mut err = BufReader::new(follower.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert_eq!(line, "schedrs: no runs of a so far\n");
    drop(follower.stdout.take());
    assert!(follower.wait().unwrap().code().is_some());
    running.stop();
}

#[test]
fn without_a_scheduler_there_is_nothing_to_follow() {
    let bench = Bench::new("[jobs.a]\ncommand = ['true']\ninterval = '1h'\n");
    let done = Running::start(&mut bench.command(&["logs", "a", "-f"])).wait();
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert!(done.err.join("\n").contains("no scheduler is running"), "{done:#?}");
    let mut running = bench.run();
    running.event("starting", "");
    let done = Running::start(&mut bench.command(&["logs", "aa", "-f"])).wait();
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert!(done.err.join("\n").contains("did you mean `a`?"), "{done:#?}");
    running.stop();
}

/// What an active run has printed so far is there, and what its earlier attempts have printed stays.
#[test]
fn a_run_that_goes_on_and_one_that_was_tried_twice() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = \"printf 'before\\nhalf'; read go < go; echo ' a line'; echo oh >&2\"\n\
         interval = '1h'\n\
         [jobs.b]\ncommand = 'echo try $SCHEDRS_ATTEMPT; echo 1%2%3 | tr % \"\\\\r\"; exit 3'\n\
         interval = '1h'\nretries = 1\nretry_delay = '1ms'\nkeep_output = '20'\n",
    );
    bench.fifo("go");
    let mut running = bench.run();
    running.event("starting", "");
    start(&bench, "a");
    running.line(Stream::Out, &["a | before"]);
    let done = |args: &[&str]| Running::start(&mut bench.command(args)).wait();
    let shown = done(&["logs", "a"]);
    assert_eq!(shown.out[1..], ["before", "half"], "{shown:#?}");
    let mut follower = Running::start(&mut bench.command(&["logs", "a", "-f", "--timestamps"]));
    follower.line(Stream::Out, &[" | before"]);
    bench.write_fifo("go");
    follower.line(Stream::Out, &[" | half a line"]);
    follower.line(Stream::Out, &[" ! oh"]);
    running.event("succeeded", "a");

    let started = done(&["start", "b", "--wait"]);
    assert_eq!(started.code, Some(3), "{started:#?}");
    // The store has everything when a scheduler has stopped.
    running.stop();
    follower.wait();
    let shown = done(&["logs", "b"]);
    let text = ["attempt 1:", "try 1", "3", "attempt 2:", "try 2", "3"];
    let text: Vec<String> = text.iter().map(|line| (*line).to_owned()).collect();
    assert_eq!(shown.out[1..], text, "{shown:#?}");
    let shown = done(&["logs", "--failed", "--since", "1h ago", "--output", "json"]);
    let lines: Vec<serde_json::Value> =
        shown.out.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: Vec<(&str, u64, &str)> = lines
        .iter()
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap();
            assert!(text("time").starts_with("20") && text("job") == "b", "{line}");
            (text("stream"), line["attempt"].as_u64().unwrap(), text("line"))
        })
        .collect();
    assert_eq!(
        said,
        [("stdout", 1, "try 1"), ("stdout", 1, "3"), ("stdout", 2, "try 2"), ("stdout", 2, "3")]
    );
}
