//! A new jobfile.

use super::scenario::*;

#[test]
fn a_reload_is_a_difference() {
    let before = vec![
        job("same", every(60), |_| {}),
        job("options", every(60), |_| {}),
        job("trigger", every(60), |_| {}),
        job("gone", every(60), |_| {}),
    ];
    // In another order, half a minute later: the grids of the first two stay where they are.
    let after = vec![
        job("new", every(60), |_| {}),
        job("trigger", every(40), |_| {}),
        job("options", every(60), |options| options.retries = 1),
        job("same", every(60), |_| {}),
        job("now", Trigger::Date(DateTrigger::Now), |_| {}),
        job("reboot", Trigger::Date(DateTrigger::Reboot), |_| {}),
    ];
    Test::new(set(before)).until("12:01:30").reload(set(after)).until("12:02:45").expect(
        "12:01:00 start same#1
         12:01:00 start options#2
         12:01:00 start trigger#3
         12:01:00 start gone#4
         12:01:01 same#1 succeeded, due 12:01:00
         12:01:01 options#2 succeeded, due 12:01:00
         12:01:01 trigger#3 succeeded, due 12:01:00
         12:01:01 gone#4 succeeded, due 12:01:00
         12:01:30 reloaded +3 ~2 -1 =1
         12:01:30 start now#5
         12:01:31 now#5 succeeded, due 12:01:30
         12:02:00 start options#6
         12:02:00 start same#7
         12:02:01 options#6 succeeded, due 12:02:00
         12:02:01 same#7 succeeded, due 12:02:00
         12:02:10 start trigger#8
         12:02:11 trigger#8 succeeded, due 12:02:10
         12:02:30 start new#9
         12:02:31 new#9 succeeded, due 12:02:30",
    );
}

#[test]
fn a_reload_never_touches_running_runs() {
    let before = vec![
        job("runs", once("12:01"), |options| options.retries = 1),
        job("rests", once("12:01"), |options| {
            options.retries = 1;
            options.retry_delay = secs(600);
        }),
        job("queued", once("12:01:30"), |_| {}),
        job("kept", once("12:01:30"), |_| {}),
    ];
    let after = vec![job("kept", once("12:01:30"), |_| {})];
    let attempt = |start: &Start| match &*start.job.id {
        "rests" => Attempt::Lasts(secs(1), Exit::Code(1)),
        _ => Attempt::Lasts(secs(100), Exit::Code(1)),
    };
    let pool = [("default", 2)];
    let reload =
        |set| Test::trying(set_with(&pool, before.clone()), attempt).until("12:01:10").reload(set);
    reload(set_with(&[("default", 1)], after)).until("12:04:30").expect(
        "12:01:00 start runs#1
         12:01:00 start rests#2
         12:01:01 rests#2 failed(1), attempt 2 in 600s
         12:01:10 rests#2 failed(1), due 12:01:00
         12:01:10 reloaded +0 ~0 -3 =1
         12:02:40 runs#1 failed(1), due 12:01:00
         12:02:40 start kept#3
         12:04:20 kept#3 failed(1), due 12:01:30",
    );
}

#[test]
fn a_reload_drops_what_waits_for_a_job_that_is_gone() {
    let jobs =
        |ids: &[&str]| ids.iter().map(|id| job(id, once("12:01"), |_| {})).collect::<Vec<_>>();
    let one = [("default", 1)];
    Test::with_durations(set_with(&one, jobs(&["a", "b", "c", "d"])), &[("a", 100)])
        .until("12:01:10")
        .reload(set_with(&[("default", 2)], jobs(&["d", "a", "c"])))
        .until("12:01:13")
        .expect(
            "12:01:00 start a#1
             12:01:10 b#2 skipped(removed), due 12:01:00
             12:01:10 start c#3
             12:01:10 reloaded +0 ~0 -1 =3
             12:01:11 c#3 succeeded, due 12:01:00
             12:01:11 start d#4
             12:01:12 d#4 succeeded, due 12:01:00",
        );
}

#[test]
fn executors_are_matched_by_name() {
    let jobs = |executor| vec![on_executor(executor, job("a", every(60), |_| {}))];
    let before = set_with(&[("default", 1), ("x", 1), ("y", 1)], jobs(2));
    let after = set_with(&[("default", 1), ("y", 1), ("x", 1)], jobs(1));
    let moved = set_with(&[("default", 1), ("y", 1), ("x", 1)], jobs(2));
    Test::new(before).until("12:00:10").reload(after).reload(moved).until("12:00:20").expect(
        "12:00:10 reloaded +0 ~0 -0 =1
         12:00:10 reloaded +0 ~1 -0 =0",
    );
}

#[test]
fn pausing_and_resuming_by_reload_keeps_the_grid_and_fires_nothing_late() {
    let jobs = |paused| set(vec![job("a", every(60), |options| options.paused = paused)]);
    Test::new(jobs(false))
        .until("12:01:30")
        .reload(jobs(true))
        .until("12:03:30")
        .reload(jobs(false))
        .until("12:04:30")
        .expect(
            "12:01:00 start a#1
             12:01:01 a#1 succeeded, due 12:01:00
             12:01:30 reloaded +0 ~1 -0 =0
             12:03:30 reloaded +0 ~1 -0 =0
             12:04:00 start a#2
             12:04:01 a#2 succeeded, due 12:04:00",
        );
}

#[test]
fn what_passed_before_a_reload_is_decided_by_the_old_jobs() {
    let before = set(vec![job("gone", once("12:01"), |_| {}), job("a", every(60), |_| {})]);
    let after = set(vec![job("a", every(300), |_| {})]);
    let now = |secs: u64| Now {
        wall: NOON.plus(Duration::from_secs(secs)),
        mono: Mono::from_micros(secs * 1_000_000),
    };
    let mut scheduler = Scheduler::new(now(0), before);
    let mut transcript = Transcript::default();
    let mut actions = Vec::new();
    scheduler.step(now(65), Event::Reload(Box::new(after)), &mut actions);
    for action in &actions {
        transcript.see(now(65), action);
    }
    assert_eq!(
        transcript.text,
        "12:01:05 start gone#1\n12:01:05 start a#2\n12:01:05 reloaded +0 ~1 -1 =0\n"
    );
}
