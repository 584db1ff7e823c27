//! Executors: slots and queues.

use super::scenario::*;

#[test]
fn slots_are_given_first_come_first_served_and_waiting_is_no_misfire() {
    let jobs = ["a", "b", "c", "d"].map(|id| job(id, once("12:00:30"), |_| {}));
    Test::with_durations(
        set_with(&[("default", 2)], jobs.into()),
        &[("a", 7200), ("b", 3600), ("c", 1800)],
    )
    .until("14:00:31")
    .expect(
        "12:00:30 start a#1
         12:00:30 start b#2
         13:00:30 b#2 succeeded, due 12:00:30
         13:00:30 start c#3
         13:30:30 c#3 succeeded, due 12:00:30
         13:30:30 start d#4
         13:30:31 d#4 succeeded, due 12:00:30
         14:00:30 a#1 succeeded, due 12:00:30",
    );
}

#[test]
fn executors_do_not_share_slots() {
    let jobs = vec![
        job("a", once("12:00:30"), |_| {}),
        on_executor(1, job("b", once("12:00:40"), |_| {})),
        job("c", once("12:00:50"), |_| {}),
    ];
    Test::with_durations(set_with(&[("default", 1), ("reports", 1)], jobs), &[("a", 60)])
        .until("12:01:40")
        .expect(
            "12:00:30 start a#1
             12:00:40 start b#2
             12:00:41 b#2 succeeded, due 12:00:40
             12:01:30 a#1 succeeded, due 12:00:30
             12:01:30 start c#3
             12:01:31 c#3 succeeded, due 12:00:50",
        );
}

#[test]
fn max_wait_bounds_the_wait_for_a_slot_and_for_a_run() {
    let jobs = vec![
        job("long", once("12:00:30"), |_| {}),
        job("slot", once("12:01:00"), |options| options.max_wait = Some(secs(60))),
        job("patient", once("12:01:00"), |options| options.max_wait = Some(secs(600))),
        on_executor(
            1,
            job("self", every(60), |options| {
                options.overlap = Overlap::Queue;
                options.max_wait = Some(secs(30));
            }),
        ),
    ];
    Test::with_durations(
        set_with(&[("default", 1), ("other", 1)], jobs),
        &[("long", 300), ("self", 100)],
    )
    .until("12:05:32")
    .expect(
        "12:00:30 start long#1
         12:01:00 start self#4
         12:02:00 slot#2 missed(waited 60s), due 12:01:00
         12:02:30 self#5 missed(waited 30s), due 12:02:00
         12:02:40 self#4 succeeded, due 12:01:00
         12:03:00 start self#6
         12:04:30 self#7 missed(waited 30s), due 12:04:00
         12:04:40 self#6 succeeded, due 12:03:00
         12:05:00 start self#8
         12:05:30 long#1 succeeded, due 12:00:30
         12:05:30 start patient#3
         12:05:31 patient#3 succeeded, due 12:01:00",
    );
}

/// The slot comes free in the very moment in which `max_wait` is over: that is not longer than
/// it, but nor is it shorter, and the promise was to start before.
#[test]
fn max_wait_ends_in_the_moment_it_names() {
    let jobs = vec![
        job("long", once("12:00:30"), |_| {}),
        job("a", once("12:01:00"), |options| options.max_wait = Some(secs(60))),
    ];
    Test::with_durations(set_with(&[("default", 1)], jobs), &[("long", 90)])
        .until("12:03:00")
        .expect(
            "12:00:30 start long#1
             12:02:00 long#1 succeeded, due 12:00:30
             12:02:00 a#2 missed(waited 60s), due 12:01:00",
        );
}
