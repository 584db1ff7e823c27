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

/// Jobs on a default executor with ten slots that starts so many a second.
fn spaced(most: u32, jobs: Vec<Job>) -> JobSet {
    let mut set = set_with(&[("default", 10)], jobs);
    set.executors[0].max_starts_per_second = std::num::NonZero::new(most);
    set
}

#[test]
fn starts_are_spaced_and_in_order() {
    let mut jobs = ["a", "b", "c"].map(|id| job(id, once("12:00:30"), |_| {})).to_vec();
    jobs.push(job("hasty", once("12:00:30"), |options| options.max_wait = Some(secs(1))));
    jobs.push(job("later", once("12:00:31"), |_| {}));
    jobs.push(job("alone", once("12:01"), |_| {}));
    let durations = ["a", "b", "c", "later", "alone"].map(|id| (id, 10));
    Test::with_durations(spaced(2, jobs), &durations).until("12:02").expect(
        "12:00:30 start a#1
         12:00:30.500 start b#2
         12:00:31 hasty#4 missed(waited 1s), due 12:00:30
         12:00:31 start c#3
         12:00:31.500 start later#5
         12:00:40 a#1 succeeded, due 12:00:30
         12:00:40.500 b#2 succeeded, due 12:00:30
         12:00:41 c#3 succeeded, due 12:00:30
         12:00:41.500 later#5 succeeded, due 12:00:31
         12:01:00 start alone#6
         12:01:10 alone#6 succeeded, due 12:01:00",
    );
}

#[test]
fn a_retry_takes_its_turn() {
    let mut jobs = vec![job("a", once("12:00:30"), |options| {
        options.retries = 1;
        options.retry_delay = secs(1);
    })];
    jobs.push(job("b", once("12:00:31"), |_| {}));
    let attempt = |start: &Start| match start.attempt {
        1 if *start.job.id == *"a" => Attempt::Lasts(Duration::from_millis(500), Exit::Code(1)),
        _ => Attempt::succeeds_after(secs(1)),
    };
    // A slot alone does not start it: the last start was less than a second ago.
    Test::trying(spaced(1, jobs), attempt).until("12:01").expect(
        "12:00:30 start a#1
         12:00:30.500 a#1 failed(1), attempt 2 in 1s
         12:00:31 start b#2
         12:00:32 b#2 succeeded, due 12:00:31
         12:00:32 start a#1/2
         12:00:33 a#1 succeeded after 2 attempts, due 12:00:30",
    );
}

/// Whenever it wakes, no more start in a second than may.
#[test]
fn a_late_loop_starts_no_more_a_second() {
    let jobs = (0..40).map(|n| job(&format!("j{n}"), once("12:00:30"), |_| {})).collect();
    let now = |micros: u64| Now {
        wall: at("12:00:00").plus(Duration::from_micros(micros)),
        mono: Mono::from_micros(3_600_000_000 + micros),
    };
    let mut set = spaced(10, jobs);
    set.executors[0].max_workers = 100;
    let mut scheduler = Scheduler::new(now(0), set);
    let (mut starts, mut actions, mut micros) = (Vec::new(), Vec::new(), 0);
    for late in [0, 900, 30_000, 49_000, 100, 70_000, 200].into_iter().cycle().take(60) {
        scheduler.step(now(micros), Event::Woke, &mut actions);
        let started = actions.drain(..).filter(|action| matches!(action, Action::Start(_)));
        starts.extend(started.map(|_| micros));
        let wakeup = scheduler.next_wakeup();
        let wall = wakeup.wall.map(|at| at.since(now(0).wall).as_micros() as u64);
        let mono = wakeup.mono.map(|at| at.since(now(0).mono).as_micros() as u64);
        let Some(next) = [wall, mono].into_iter().flatten().min() else { break };
        micros = next + late;
    }
    assert_eq!(starts.len(), 40);
    for more in starts.windows(11) {
        assert!(more[10] - more[0] >= 1_000_000, "{more:?}");
    }
    // What it was late by, and no more, is lost.
    let whole = starts[39] - starts[0];
    assert!((3_900_000..3_900_000 + 40 * 22_000).contains(&whole), "{whole}");
}

#[test]
fn without_its_limit_an_executor_starts_all_that_wait() {
    let jobs = || ["a", "b", "c"].map(|id| job(id, once("12:00:30"), |_| {})).to_vec();
    let test = Test::with_durations(spaced(1, jobs()), &[("a", 5), ("b", 5), ("c", 5)]);
    let test = test.until("12:00:31").reload(set_with(&[("default", 10)], jobs()));
    test.until("12:00:31").expect(
        "12:00:30 start a#1
         12:00:31 start b#2
         12:00:31 start c#3
         12:00:31 reloaded +0 ~0 -0 =3",
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
