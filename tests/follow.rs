//! `schedrs logs --follow`: what runs print, as they print it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

mod harness;

use harness::{Bench, Running, Stream};

#[test]
fn what_is_printed_is_shown_at_once() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = 'echo before; read go < go; echo after; echo oh >&2'\n\
         date = 'now'\n[jobs.b]\ncommand = 'echo other'\ninterval = '1h'\n",
    );
    bench.fifo("go");
    let mut running = bench.run();
    running.event("started", "a");
    let mut one = Running::start(&mut bench.command(&["logs", "a", "--follow"]));
    // It follows when it has shown what is kept.
    one.line(Stream::Out, &["a, run 1", "is running"]);
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
        assert!(done.err.join("\n").contains("schedrs is gone"), "{done:#?}");
    }
}

#[test]
fn without_a_scheduler_there_is_nothing_to_follow() {
    let bench = Bench::new("[jobs.a]\ncommand = ['true']\ninterval = '1h'\n");
    let done = Running::start(&mut bench.command(&["logs", "a", "-f"])).wait();
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert!(done.err.join("\n").contains("no schedrs runs"), "{done:#?}");
    let mut running = bench.run();
    running.event("starting", "");
    let done = Running::start(&mut bench.command(&["logs", "aa", "-f"])).wait();
    assert_eq!(done.code, Some(1), "{done:#?}");
    assert!(done.err.join("\n").contains("did you mean `a`?"), "{done:#?}");
    running.stop();
}
