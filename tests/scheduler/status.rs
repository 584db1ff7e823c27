//! What can be asked.

use super::scenario::*;

#[test]
fn the_status_says_what_runs_waits_and_is_next() {
    let jobs = vec![
        job("a", every(60), |_| {}),
        job("b", once("12:01"), |_| {}),
        job("c", once("12:01"), |_| {}),
    ];
    Test::with_durations(set_with(&[("default", 2)], jobs), &[("a", 100), ("b", 100)])
        .until("12:01:10")
        .send(Event::ReportStatus)
        .expect(
            "12:01:00 start a#1
             12:01:00 start b#2
             12:01:10 status 3 jobs, 2 running, 1 waiting, next Some(\"12:02:00 a\")",
        );
}

/// How long the first of an executor's queue has waited for a slot: nothing else that it waited for
/// before counts.
#[test]
fn a_wait_for_a_slot_begins_with_the_queue() {
    let longest = |test: Test| {
        let (scheduler, now) = (test.sim.scheduler(), test.sim.now().mono);
        let pools = scheduler.pools(now);
        (pools[0].waiting, pools[0].longest.as_secs())
    };
    let first_fails = |start: &Start| match (&*start.job.id, start.attempt) {
        ("a", 1) => Attempt::Lasts(secs(1), Exit::Code(1)),
        _ => Attempt::succeeds_after(secs(60)),
    };
    let retries = || {
        let a = job("a", once("12:01"), |options| options.retries = 1);
        set_with(&[("default", 1)], vec![a, job("b", once("12:01"), |_| {})])
    };
    let rows = [
        // A first attempt.
        ("12:01:01", (1, 1)),
        // It rests until 12:01:11, and then waits for `b` to end.
        ("12:01:10", (0, 0)),
        ("12:01:31", (1, 20)),
        ("12:02:02", (0, 0)),
    ];
    for (when, expected) in rows {
        let test = Test::trying(retries(), first_fails).until(when);
        assert_eq!(longest(test), expected, "{when}");
    }
    // At first it waits for another run of its job, which ends at 12:02:30.
    let queues = || {
        let a = job("a", every(60), |options| options.overlap = Overlap::Queue);
        set_with(&[("default", 1)], vec![a, job("b", once("12:02:10"), |_| {})])
    };
    for (when, expected) in [("12:02:20", (1, 10)), ("12:02:40", (1, 10))] {
        let test = Test::with_durations(queues(), &[("a", 90), ("b", 600)]).until(when);
        assert_eq!(longest(test), expected, "{when}");
    }
}
