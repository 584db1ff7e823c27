//! `schedrs events`: what happens, as it happens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop"
)]

use serde_json::Value;

use crate::harness::{Bench, Running, Stream};

/// Runs a command to its end.
fn done(bench: &Bench, args: &[&str]) {
    let done = Running::start(&mut bench.command(args)).wait();
    assert_eq!(done.code, Some(0), "{args:?}: {done:#?}");
}

/// The next event that is of this kind.
fn event(watcher: &mut Running, kind: &str) -> Value {
    let line = watcher.line(Stream::Out, &[&format!("\"event\":\"{kind}\"")]);
    serde_json::from_str(&line).unwrap()
}

#[test]
fn each_thing_is_told_once_and_again_to_who_asks_since_then() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'exit 3'\ninterval = '1h'\nretries = 1\nretry_delay = '10ms'\n\
         [jobs.b]\ncommand = 'true'\ninterval = '1h'\n",
    );
    let mut running = bench.run();
    running.event("starting", "");
    let mut watcher =
        Running::start(&mut bench.command(&["events", "--output", "json", "--since", "1h"]));
    // It was not there an hour ago.
    assert_eq!(event(&mut watcher, "gap")["seq"], Value::Null);
    done(&bench, &["start", "a"]);
    let asked = event(&mut watcher, "changed");
    assert_eq!((&asked["job"], &asked["what"]), (&"a".into(), &"started".into()));
    let started = event(&mut watcher, "started");
    assert_eq!((&started["run"], &started["attempt"]), (&1.into(), &1.into()));
    let retrying = event(&mut watcher, "retrying");
    assert_eq!((&retrying["attempt"], &retrying["delay_ms"]), (&2.into(), &10.into()));
    assert_eq!(retrying["detail"], "failed with exit code 3");
    assert_eq!(event(&mut watcher, "started")["attempt"], 2);
    let outcome = event(&mut watcher, "outcome");
    assert_eq!(outcome["record"]["outcome"], "failed");
    assert_eq!(outcome["record"]["attempts"], 2);
    done(&bench, &["start", "b", "--wait"]);
    done(&bench, &["pause", "b"]);
    assert_eq!(event(&mut watcher, "started")["job"], "b");
    event(&mut watcher, "outcome");
    assert_eq!(event(&mut watcher, "changed")["what"], "paused");

    // From where another has stopped: nothing twice, nothing left out.
    let seq = started["seq"].to_string();
    let args = ["events", "--output", "json", "--since", &seq];
    let mut again = Running::start(&mut bench.command(&args));
    assert_eq!(event(&mut again, "retrying"), retrying);
    assert_eq!(event(&mut again, "started")["attempt"], 2);
    assert_eq!(event(&mut again, "outcome"), outcome);
    assert_eq!(event(&mut again, "outcome")["job"], "b");
    let args = ["events", "b", "--since", &seq];
    let mut words = Running::start(&mut bench.command(&args));
    let args = ["events", "a", "--since", "1h"];
    let mut gap = Running::start(&mut bench.command(&args));
    gap.line(Stream::Err, &["earlier events are not kept"]);
    // That there are jobs is no event.
    assert!(gap.line(Stream::Out, &[""]).contains("a: started by "));
    words.line(Stream::Out, &["b #2: started, pid "]);
    words.line(Stream::Out, &["✓ b #2: succeeded after "]);
    words.line(Stream::Out, &["b: paused by "]);
    // What is about the scheduler is told to all.
    done(&bench, &["add", "--id", "c", "--at", "2100-01-01", "--", "true"]);
    assert_eq!(event(&mut watcher, "job")["job"], "c");
    running.stop();
    words.line(Stream::Out, &["stopped"]);
    for watcher in [watcher, again, words, gap] {
        let done = watcher.wait();
        assert_eq!(done.code, Some(1), "{done:#?}");
        assert!(done.err.join("\n").contains("lost the connection"), "{done:#?}");
    }
}

#[test]
fn who_is_asked_for_is_there() {
    let bench = Bench::new("[jobs.backup]\ncommand = 'true'\ninterval = '1h'\n");
    let mut running = bench.run();
    running.event("starting", "");
    let rows = [
        (&["events", "backpu"][..], "did you mean `backup`"),
        (&["events", "--since", "soon"], "--since soon"),
        (&["events", "other-*"], "other-*"),
    ];
    for (args, expected) in rows {
        let done = Running::start(&mut bench.command(args)).wait();
        assert_eq!(done.code, Some(1), "{done:#?}");
        assert!(done.err.join("\n").contains(expected), "{args:?}: {done:#?}");
    }
    running.stop();
}
