//! `max_instances` and `overlap`.

use super::scenario::*;

/// A job of each minute that takes 150 seconds.
fn overlapping(overlap: Overlap, max_instances: u32) -> Test {
    let job = job("a", every(60), |options| {
        options.overlap = overlap;
        options.max_instances = max_instances;
    });
    Test::with_durations(set(vec![job]), &[("a", 150)])
}

#[test]
fn overlap_skip() {
    overlapping(Overlap::Skip, 1).until("12:04:30").expect(
        "12:01:00 start a#1
         12:02:00 a skipped(overlap), due 12:02:00
         12:03:00 a skipped(overlap), due 12:03:00
         12:03:30 a#1 succeeded, due 12:01:00
         12:04:00 start a#2",
    );
}

#[test]
fn overlap_queue_keeps_one_and_skips_the_rest() {
    overlapping(Overlap::Queue, 1).until("12:05:30").expect(
        "12:01:00 start a#1
         12:03:00 a skipped(overlap), due 12:03:00
         12:03:30 a#1 succeeded, due 12:01:00
         12:03:30 start a#2
         12:05:00 a skipped(overlap), due 12:05:00",
    );
}

#[test]
fn overlap_replace_ends_the_old_run_first() {
    overlapping(Overlap::Replace, 1).until("12:03:30").expect(
        "12:01:00 start a#1
         12:02:00 term a#1
         12:02:00 a#1 killed(15), due 12:01:00
         12:02:00 start a#2
         12:03:00 term a#2
         12:03:00 a#2 killed(15), due 12:02:00
         12:03:00 start a#3",
    );
}

#[test]
fn overlap_replace_waits_for_the_old_one_and_the_newest_wins() {
    let stubborn = job("a", every(60), |options| {
        options.overlap = Overlap::Replace;
        options.kill_after = secs(150);
        options.retries = 5;
    });
    Test::trying(set(vec![stubborn]), |_| Attempt::Stubborn(secs(100_000), Exit::Code(0)))
        .until("12:05:10")
        .expect(
            "12:01:00 start a#1
             12:02:00 term a#1
             12:03:00 a#2 skipped(overlap), due 12:02:00
             12:04:00 a#3 skipped(overlap), due 12:03:00
             12:04:30 kill a#1
             12:04:30 a#1 killed(9), due 12:01:00
             12:04:30 start a#4
             12:05:00 term a#4",
        );
}

#[test]
fn overlap_replace_of_several_ends_the_oldest() {
    overlapping(Overlap::Replace, 2).until("12:04:10").expect(
        "12:01:00 start a#1
         12:02:00 start a#2
         12:03:00 term a#1
         12:03:00 a#1 killed(15), due 12:01:00
         12:03:00 start a#3
         12:04:00 term a#2
         12:04:00 a#2 killed(15), due 12:02:00
         12:04:00 start a#4",
    );
}

/// The run that is replaced waits for a slot: the newer one takes its place in the queue.
#[test]
fn overlap_replace_of_a_run_that_waits_for_a_slot() {
    let jobs = vec![
        job("long", once("12:00:30"), |_| {}),
        job("a", every(60), |options| options.overlap = Overlap::Replace),
        job("b", once("12:01:30"), |_| {}),
    ];
    Test::with_durations(set_with(&[("default", 1)], jobs), &[("long", 170)])
        .until("12:03:25")
        .expect(
            "12:00:30 start long#1
             12:02:00 a#2 skipped(overlap), due 12:01:00
             12:03:00 a#4 skipped(overlap), due 12:02:00
             12:03:20 long#1 succeeded, due 12:00:30
             12:03:20 start a#5
             12:03:21 a#5 succeeded, due 12:03:00
             12:03:21 start b#3
             12:03:22 b#3 succeeded, due 12:01:30",
        );
}

#[test]
fn coalesce_all_with_replace_does_not_start_what_it_would_end() {
    Test::new(set(vec![job("a", every(60), |options| {
        options.coalesce = Coalesce::All;
        options.overlap = Overlap::Replace;
        options.misfire_grace_time = Grace::Forever;
    })]))
    .asleep("12:00:10", "12:04:20")
    .until("12:04:30")
    .expect(
        "12:04:20 clock jumped by 250s
         12:04:20 start a#1
         12:04:20 a skipped(overlap), due 12:01:00..12:03:00 (3 of them)
         12:04:21 a#1 succeeded, due 12:04:00",
    );
}
