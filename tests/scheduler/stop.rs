//! The end.

use super::scenario::*;

#[test]
fn a_stop_lets_running_runs_end_and_starts_no_others() {
    let jobs = vec![
        job("short", once("12:01"), |_| {}),
        job("fails", once("12:01"), |options| options.retries = 3),
        job("queued", once("12:01"), |_| {}),
        job("never", every(1), |options| options.paused = true),
        job("later", once("12:01:10"), |_| {}),
    ];
    let attempt = |start: &Start| match &*start.job.id {
        "fails" => Attempt::Lasts(secs(20), Exit::Code(3)),
        _ => Attempt::succeeds_after(secs(10)),
    };
    Test::trying(set_with(&[("default", 2)], jobs), attempt)
        .until("12:01:05")
        .send(Event::Stop)
        .until("12:05")
        .expect(
            "12:01:00 start short#1
             12:01:00 start fails#2
             12:01:05 queued#3 skipped(stopping), due 12:01:00
             12:01:05 stopping, 2 active
             12:01:10 short#1 succeeded, due 12:01:00
             12:01:20 fails#2 failed(3), due 12:01:00
             12:01:20 exit",
        );
}

#[test]
fn a_stop_ends_what_has_not_ended_within_the_grace() {
    let jobs = vec![
        job("meek", once("12:01"), |_| {}),
        job("stubborn", once("12:01"), |options| options.kill_after = secs(3600)),
        job("rests", once("12:01"), |options| options.retries = 1),
    ];
    let attempt = |start: &Start| match &*start.job.id {
        "meek" => Attempt::succeeds_after(secs(600)),
        "stubborn" => Attempt::Stubborn(secs(600), Exit::Code(0)),
        _ => Attempt::Lasts(secs(1), Exit::Code(1)),
    };
    Test::trying(set(jobs), attempt).until("12:01:05").send(Event::Stop).until("12:05").expect(
        "12:01:00 start meek#1
         12:01:00 start stubborn#2
         12:01:00 start rests#3
         12:01:01 rests#3 failed(1), attempt 2 in 10s
         12:01:05 rests#3 failed(1), due 12:01:00
         12:01:05 stopping, 2 active
         12:01:35 term meek#1
         12:01:35 term stubborn#2
         12:01:35 meek#1 killed(15), due 12:01:00
         12:01:45 kill stubborn#2
         12:01:45 stubborn#2 killed(9), due 12:01:00
         12:01:45 exit",
    );
}

#[test]
fn a_second_stop_ends_everything_at_once() {
    let jobs = vec![job("a", once("12:01"), |_| {}), job("b", once("12:01"), |_| {})];
    Test::trying(set(jobs), |_| Attempt::Stubborn(secs(600), Exit::Code(0)))
        .until("12:01:05")
        .send(Event::Stop)
        .until("12:01:07")
        .send(Event::Stop)
        .until("12:05")
        .expect(
            "12:01:00 start a#1
             12:01:00 start b#2
             12:01:05 stopping, 2 active
             12:01:07 kill a#1
             12:01:07 kill b#2
             12:01:07 a#1 killed(9), due 12:01:00
             12:01:07 b#2 killed(9), due 12:01:00
             12:01:07 exit",
        );
}

#[test]
fn a_stop_with_nothing_running_is_the_end() {
    let mut test = Test::new(set(vec![job("a", every(60), |_| {})])).send(Event::Stop);
    assert!(test.sim.is_over());
    assert_eq!(test.sim.scheduler().next_wakeup(), Wakeup::default());
    test = test.send(Event::Stop).send(Event::ReportStatus).until("13:00");
    test.expect("12:00:00 stopping, 0 active\n12:00:00 exit");
}

/// A run whose process does not exist yet when it is told to end: it is, as soon as it does.
#[test]
fn a_stop_reaches_runs_that_are_being_started() {
    let now = |secs: u64| Now {
        wall: NOON.plus(Duration::from_secs(secs)),
        mono: Mono::from_micros(secs * 1_000_000),
    };
    let jobs = ["a", "b", "c", "d"].map(|id| job(id, once("12:01"), |_| {}));
    let mut scheduler = Scheduler::new(now(0), set(jobs.into()));
    let mut transcript = Transcript::default();
    let mut step = |secs: u64, event: Event| {
        let mut actions = Vec::new();
        scheduler.step(now(secs), event, &mut actions);
        actions.iter().for_each(|action| transcript.see(now(secs), action));
    };
    let (a, b, c, d) = (RunId(1), RunId(2), RunId(3), RunId(4));
    step(60, Event::Woke);
    step(61, Event::Stop);
    step(62, Event::Ended { run: b, exit: Exit::Code(0), usage: None, at: None });
    step(63, Event::NotStarted { run: d, reason: "EAGAIN".into(), transient: true });
    step(91, Event::Woke);
    step(92, Event::Started { run: a, process: PROCESS, at: now(92), taken: now(92).mono });
    step(92, Event::Stop);
    step(93, Event::Started { run: c, process: PROCESS, at: now(93), taken: now(93).mono });
    step(93, Event::NotStarted { run: c, reason: "what?".into(), transient: true });
    step(93, Event::Ended { run: a, exit: Exit::Signal(9), usage: None, at: None });
    step(93, Event::Ended { run: a, exit: Exit::Signal(9), usage: None, at: None });
    step(93, Event::Ended { run: c, exit: Exit::Signal(9), usage: None, at: None });
    assert_eq!(
        transcript.text,
        "12:01:00 start a#1\n\
         12:01:00 start b#2\n\
         12:01:00 start c#3\n\
         12:01:00 start d#4\n\
         12:01:01 stopping, 4 active\n\
         12:01:02 b#2 succeeded, due 12:01:00\n\
         12:01:03 d#4 not_started(EAGAIN), due 12:01:00\n\
         12:01:32 term a#1\n\
         12:01:32 kill a#1\n\
         12:01:33 kill c#3\n\
         12:01:33 ignored #3 not started\n\
         12:01:33 a#1 killed(9), due 12:01:00\n\
         12:01:33 ignored #1 ended\n\
         12:01:33 c#3 killed(9), due 12:01:00\n\
         12:01:33 exit\n"
    );
}

/// What cannot be ended, or never comes to a start, does not keep the scheduler.
fn ends_without(stops: &[u64], until: u64) -> String {
    let now = |secs: u64| Now {
        wall: NOON.plus(Duration::from_secs(secs)),
        mono: Mono::from_micros(secs * 1_000_000),
    };
    let jobs = ["hangs", "starts"].map(|id| job(id, once("12:01"), |_| {}));
    let mut scheduler = Scheduler::new(now(0), set(jobs.into()));
    let mut transcript = Transcript::default();
    let mut step = |secs: u64, event: Event| {
        let mut actions = Vec::new();
        scheduler.step(now(secs), event, &mut actions);
        actions.iter().for_each(|action| transcript.see(now(secs), action));
        scheduler.next_wakeup().mono
    };
    step(60, Event::Woke);
    step(60, Event::Started { run: RunId(1), process: PROCESS, at: now(60), taken: now(60).mono });
    for second in 61..=until {
        let event = if stops.contains(&second) { Event::Stop } else { Event::Woke };
        let next = step(second, event);
        assert!(next.is_none_or(|next| next > now(second).mono), "it would not sleep");
    }
    transcript.text
}

#[test]
fn a_stop_does_not_wait_for_ever() {
    assert_eq!(
        ends_without(&[70], 200),
        "12:01:00 start hangs#1\n12:01:00 start starts#2\n\
         12:01:10 stopping, 2 active\n12:01:40 term hangs#1\n12:01:50 kill hangs#1\n\
         12:01:52 hangs#1 lost(abandoned: it was still running when schedrs stopped), due 12:01:00\n\
         12:01:52 starts#2 lost(abandoned: it was still running when schedrs stopped), due 12:01:00\n\
         12:01:52 exit\n"
    );
}

#[test]
fn a_second_stop_waits_for_two_seconds() {
    for stops in [&[70, 75][..], &[70, 75, 76]] {
        let text = ends_without(stops, 200);
        assert!(text.ends_with("12:01:17 exit\n"), "{text}");
    }
    // The second comes when the first is nearly over.
    let text = ends_without(&[70, 111], 200);
    assert!(text.ends_with("12:01:52 exit\n"), "{text}");
}
