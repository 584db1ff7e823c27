//! How attempts end, retries, timeouts, and what cannot be started.

use schedrs::event::{HomeChange, RunAgain};
use schedrs::fleet::SessionId;
use schedrs::scheduler::SavedState;
use schedrs::usage::Usage;

use super::scenario::*;

#[test]
fn codes_and_signals_become_outcomes() {
    let jobs = vec![
        job("grep", once("12:01"), |options| options.success_codes = Box::new([0, 1])),
        job("one", once("12:01"), |_| {}),
        job("signal", once("12:01"), |_| {}),
        job("large", once("12:01"), |options| options.success_codes = Box::new([0])),
    ];
    let attempt = |start: &Start| {
        let exit = match &*start.job.id {
            "grep" | "one" => Exit::Code(1),
            "signal" => Exit::Signal(11),
            // 0 in its low byte: no success all the same.
            _ => Exit::Code(256),
        };
        Attempt::Lasts(secs(1), exit)
    };
    Test::trying(set(jobs), attempt).until("12:02").expect(
        "12:01:00 start grep#1
         12:01:00 start one#2
         12:01:00 start signal#3
         12:01:00 start large#4
         12:01:01 grep#1 succeeded, due 12:01:00
         12:01:01 one#2 failed(1), due 12:01:00
         12:01:01 signal#3 killed(11), due 12:01:00
         12:01:01 large#4 failed(256), due 12:01:00",
    );
}

#[test]
fn retries_back_off_up_to_a_cap() {
    let jobs = vec![job("a", once("12:01"), |options| {
        options.retries = 4;
        options.retry_delay = secs(10);
        options.retry_backoff = 3.0;
        options.retry_max_delay = secs(60);
    })];
    Test::trying(set(jobs), |_| Attempt::Lasts(secs(1), Exit::Code(2))).until("12:30").expect(
        "12:01:00 start a#1
         12:01:01 a#1 failed(2), attempt 2 in 10s
         12:01:11 start a#1/2
         12:01:12 a#1 failed(2), attempt 3 in 30s
         12:01:42 start a#1/3
         12:01:43 a#1 failed(2), attempt 4 in 60s
         12:02:43 start a#1/4
         12:02:44 a#1 failed(2), attempt 5 in 60s
         12:03:44 start a#1/5
         12:03:45 a#1 failed(2) after 5 attempts, due 12:01:00",
    );
}

#[test]
fn a_job_that_keeps_failing_is_paused() {
    let jobs = vec![
        job("a", every(60), |options| {
            options.pause_after = std::num::NonZero::new(2);
            options.retries = 1;
            options.retry_delay = secs(5);
        }),
        job("b", every(120), |options| options.pause_after = std::num::NonZero::new(2)),
    ];
    // One fails once, succeeds once, and then fails for good; the other fails every second time.
    let attempt = |start: &Start| {
        let fails = match &*start.job.id {
            "a" => start.due != at("12:02"),
            _ => start.due == at("12:02") || start.due == at("12:06"),
        };
        Attempt::Lasts(secs(1), Exit::Code(fails.into()))
    };
    Test::trying(set(jobs), attempt).until("12:09").expect(
        "12:01:00 start a#1
         12:01:01 a#1 failed(1), attempt 2 in 5s
         12:01:06 start a#1/2
         12:01:07 a#1 failed(1) after 2 attempts, due 12:01:00
         12:02:00 start a#2
         12:02:00 start b#3
         12:02:01 a#2 succeeded, due 12:02:00
         12:02:01 b#3 failed(1), due 12:02:00
         12:03:00 start a#4
         12:03:01 a#4 failed(1), attempt 2 in 5s
         12:03:06 start a#4/2
         12:03:07 a#4 failed(1) after 2 attempts, due 12:03:00
         12:04:00 start a#5
         12:04:00 start b#6
         12:04:01 a#5 failed(1), attempt 2 in 5s
         12:04:01 b#6 succeeded, due 12:04:00
         12:04:06 start a#5/2
         12:04:07 a#5 failed(1) after 2 attempts, due 12:04:00
         12:04:07 a paused, 2 failures in a row
         12:06:00 start b#7
         12:06:01 b#7 failed(1), due 12:06:00
         12:08:00 start b#8
         12:08:01 b#8 succeeded, due 12:08:00",
    );
}

#[test]
fn a_retry_may_succeed_and_holds_no_slot_while_it_waits() {
    let jobs = vec![
        job("a", once("12:01"), |options| options.retries = 1),
        job("b", once("12:01"), |_| {}),
    ];
    let attempt = |start: &Start| match (&*start.job.id, start.attempt) {
        ("a", 1) => Attempt::Lasts(secs(1), Exit::Code(1)),
        ("a", _) => Attempt::succeeds_after(secs(1)),
        _ => Attempt::succeeds_after(secs(20)),
    };
    Test::trying(set_with(&[("default", 1)], jobs), attempt).until("12:02").expect(
        "12:01:00 start a#1
         12:01:01 a#1 failed(1), attempt 2 in 10s
         12:01:01 start b#2
         12:01:21 b#2 succeeded, due 12:01:00
         12:01:21 start a#1/2
         12:01:22 a#1 succeeded after 2 attempts, due 12:01:00",
    );
}

#[test]
fn a_retry_that_waits_is_an_instance_and_a_newer_due_time_supersedes_it() {
    let jobs = vec![job("a", every(60), |options| {
        options.retries = 3;
        options.retry_delay = secs(40);
        options.retry_backoff = 1.0;
    })];
    Test::trying(set(jobs), |_| Attempt::Lasts(secs(1), Exit::Code(1))).until("12:02:30").expect(
        "12:01:00 start a#1
         12:01:01 a#1 failed(1), attempt 2 in 40s
         12:01:41 start a#1/2
         12:01:42 a#1 failed(1), attempt 3 in 40s
         12:02:00 a#1 failed(1) after 2 attempts, due 12:01:00
         12:02:00 start a#2
         12:02:01 a#2 failed(1), attempt 2 in 40s",
    );
}

#[test]
fn a_due_time_that_waits_for_a_run_supersedes_its_retry() {
    let jobs = vec![job("a", every(60), |options| {
        options.retries = 3;
        options.overlap = Overlap::Queue;
    })];
    Test::trying(set(jobs), |_| Attempt::Lasts(secs(70), Exit::Code(1))).until("12:03:05").expect(
        "12:01:00 start a#1
         12:02:10 a#1 failed(1), due 12:01:00
         12:02:10 start a#2",
    );
}

#[test]
fn a_timeout_is_term_then_kill() {
    let jobs = vec![
        job("meek", once("12:01"), |options| options.timeout = Some(secs(60))),
        job("stubborn", once("12:01"), |options| {
            options.timeout = Some(secs(60));
            options.kill_after = secs(5);
        }),
        job("quick", once("12:01"), |options| options.timeout = Some(secs(60))),
    ];
    let attempt = |start: &Start| match &*start.job.id {
        "meek" => Attempt::succeeds_after(secs(100)),
        "stubborn" => Attempt::Stubborn(secs(100), Exit::Code(0)),
        // In the very moment of its timeout: it has ended by itself.
        _ => Attempt::succeeds_after(secs(60)),
    };
    Test::trying(set(jobs), attempt).until("12:05").expect(
        "12:01:00 start meek#1
         12:01:00 start stubborn#2
         12:01:00 start quick#3
         12:02:00 quick#3 succeeded, due 12:01:00
         12:02:00 meek#1 takes too long
         12:02:00 term meek#1
         12:02:00 stubborn#2 takes too long
         12:02:00 term stubborn#2
         12:02:00 meek#1 timed_out, due 12:01:00
         12:02:05 kill stubborn#2
         12:02:05 stubborn#2 timed_out, due 12:01:00",
    );
}

#[test]
fn a_timeout_is_for_each_attempt() {
    let jobs = vec![job("a", once("12:01"), |options| {
        options.timeout = Some(secs(60));
        options.retries = 1;
    })];
    Test::trying(set(jobs), |_| Attempt::succeeds_after(secs(61))).until("12:30").expect(
        "12:01:00 start a#1
         12:02:00 a#1 takes too long
         12:02:00 term a#1
         12:02:00 a#1 timed_out, attempt 2 in 10s
         12:02:10 start a#1/2
         12:03:10 a#1 takes too long
         12:03:10 term a#1
         12:03:10 a#1 timed_out after 2 attempts, due 12:01:00",
    );
}

fn cannot_start(reason: &str, transient: bool) -> Attempt {
    Attempt::CannotStart { reason: reason.to_owned(), transient }
}

#[test]
fn what_cannot_be_started_has_failed() {
    let jobs = vec![
        job("a", once("12:01"), |_| {}),
        job("b", once("12:01"), |options| options.retries = 1),
    ];
    Test::trying(set(jobs), |_| cannot_start("no such file", false)).until("12:02").expect(
        "12:01:00 start a#1
         12:01:00 start b#2
         12:01:00 a#1 not_started(no such file), due 12:01:00
         12:01:00 b#2 not_started(no such file), attempt 2 in 10s
         12:01:10 start b#2/2
         12:01:10 b#2 not_started(no such file) after 2 attempts, due 12:01:00",
    );
}

#[test]
fn a_shortage_is_waited_for_with_the_slot_kept() {
    let jobs = vec![job("a", once("12:01"), |_| {}), job("b", once("12:01"), |_| {})];
    let mut tries = 0;
    let attempt = move |_: &Start| {
        tries += 1;
        if tries <= 3 { cannot_start("EAGAIN", true) } else { Attempt::succeeds_after(secs(1)) }
    };
    Test::trying(set_with(&[("default", 1)], jobs), attempt).until("12:02").expect(
        "12:01:00 start a#1
         12:01:00 a#1 not started (EAGAIN), again in 100ms
         12:01:00.100 start a#1
         12:01:00.100 a#1 not started (EAGAIN), again in 200ms
         12:01:00.300 start a#1
         12:01:00.300 a#1 not started (EAGAIN), again in 400ms
         12:01:00.700 start a#1
         12:01:01.700 a#1 succeeded, due 12:01:00
         12:01:01.700 start b#2
         12:01:02.700 b#2 succeeded, due 12:01:00",
    );
}

#[test]
fn what_another_run_gives_back_ends_a_shortage() {
    let jobs = ["a", "b", "c"].map(|id| job(id, once("12:01"), |_| {}));
    let mut tries = 0;
    let attempt = move |_: &Start| {
        tries += 1;
        match tries {
            // The first has all there is, for a while.
            2..=8 => cannot_start("EAGAIN", true),
            _ => Attempt::succeeds_after(std::time::Duration::from_millis(650)),
        }
    };
    Test::trying(set(jobs.into()), attempt).until("12:02").expect(
        "12:01:00 start a#1
         12:01:00 start b#2
         12:01:00 start c#3
         12:01:00 b#2 not started (EAGAIN), again in 100ms
         12:01:00 c#3 not started (EAGAIN), again in 100ms
         12:01:00.100 start b#2
         12:01:00.100 start c#3
         12:01:00.100 b#2 not started (EAGAIN), again in 200ms
         12:01:00.100 c#3 not started (EAGAIN), again in 200ms
         12:01:00.300 start b#2
         12:01:00.300 start c#3
         12:01:00.300 b#2 not started (EAGAIN), again in 400ms
         12:01:00.300 c#3 not started (EAGAIN), again in 400ms
         12:01:00.650 start b#2
         12:01:00.650 a#1 succeeded, due 12:01:00
         12:01:00.650 b#2 not started (EAGAIN), again in 400ms
         12:01:00.700 start c#3
         12:01:01.050 start b#2
         12:01:01.350 c#3 succeeded, due 12:01:00
         12:01:01.700 b#2 succeeded, due 12:01:00",
    );
}

#[test]
fn a_shortage_does_not_last_for_ever() {
    let jobs = vec![job("a", once("12:01"), |_| {})];
    let mut test = Test::trying(set(jobs), |_| cannot_start("EAGAIN", true)).until("12:30");
    assert_eq!(test.sim.report().starts, 12);
    let last = test.transcript.text.lines().last().unwrap_or_default().to_owned();
    assert_eq!(last, "12:01:52.700 a#1 not_started(EAGAIN), due 12:01:00");
    test.sim.run_until(at("13:00"), &mut test.transcript);
    assert!(test.sim.scheduler().is_idle_forever());
}

/// While many begin, whoever tells the scheduler of it may put that off, but not where something waits for it.
#[test]
fn what_does_not_let_ends_be_told_later() {
    let now = |secs: u64| Now {
        wall: NOON.plus(Duration::from_secs(secs)),
        mono: Mono::from_micros(secs * 1_000_000),
    };
    let within = |id, seconds| {
        job(id, once("12:00:01"), move |options| options.timeout = Some(secs(seconds)))
    };
    let jobs = vec![within("a", 50), within("b", 70), job("c", once("12:00:02"), |_| {})];
    let mut scheduler = Scheduler::new(now(0), set_with(&[("default", 2)], jobs));
    let started = |run, at| {
        let (at, run) = (now(at), RunId(run));
        Event::Started { run, process: PROCESS, at, taken: at.mono }
    };
    let ended = |run| Event::Ended { run: RunId(run), exit: Exit::Code(0), usage: None, at: None };
    // The first two wait for their processes; then one of them does, and the third for a worker.
    for (at, event, shortest, waits) in [
        (0, Event::Woke, None, false),
        (1, Event::Woke, Some(50), false),
        (1, started(1, 1), Some(70), false),
        (2, Event::Woke, Some(70), true),
        (3, ended(1), Some(70), false),
        (3, started(2, 3), None, false),
    ] {
        scheduler.step(now(at), event, &mut Vec::new());
        let found = (scheduler.shortest_timeout(), scheduler.waits_for_ends());
        assert_eq!(found, (shortest.map(secs), waits), "{at}");
    }
}

/// The loop may hear of a start late, and of a short run's end at the same moment.
#[test]
fn a_run_begins_when_its_process_is_made_and_ends_when_that_is_seen_to_end() {
    let now = |millis: u64| Now {
        wall: NOON.plus(Duration::from_millis(millis)),
        mono: Mono::from_micros(millis * 1000),
    };
    // What was seen of the end, and how long the run has taken then; none ends later than it is heard of.
    let seen = |millis: u64| Some(now(millis).mono);
    for (at, took) in [(None, 498), (seen(1010), 8), (seen(1600), 498), (seen(900), 0)] {
        let jobs = vec![job("a", once("12:00:01"), |options| options.timeout = Some(secs(60)))];
        let mut scheduler = Scheduler::new(now(0), set(jobs));
        let (run, mut actions) = (RunId(1), Vec::new());
        scheduler.step(now(1000), Event::Woke, &mut actions);
        let taken = now(1001).mono;
        let started = Event::Started { run, process: PROCESS, at: now(1002), taken };
        scheduler.take(now(1500), started, &mut actions);
        // Its timeout counts from when somebody began to make it.
        assert_eq!(scheduler.next_wakeup().mono, Some(Mono::from_micros(61_001_000)));
        let ended = Event::Ended { run, exit: Exit::Code(0), usage: None, at };
        scheduler.step(now(1500), ended, &mut actions);
        let lag = actions.iter().find_map(|action| match action {
            Action::Notice(Notice::Started { lag, .. }) => Some(*lag),
            _ => None,
        });
        assert_eq!(lag, Some(Duration::from_millis(2)));
        let record = actions.iter().find_map(|action| match action {
            Action::Record(record) => Some((record.started, record.duration)),
            _ => None,
        });
        assert_eq!(record, Some((Some(now(1002).wall), Duration::from_millis(took))));
    }
}

/// What the attempts of a run have used is added up; one of which nothing is known adds nothing.
#[test]
fn what_attempts_use_adds_up() {
    let now = |secs: u64| Now {
        wall: NOON.plus(Duration::from_secs(secs)),
        mono: Mono::from_micros(secs * 1_000_000),
    };
    let retrying = |options: &mut Options| {
        (options.retries, options.retry_delay) = (3, secs(1));
    };
    let mut scheduler = Scheduler::new(now(0), set(vec![job("a", once("12:00:01"), retrying)]));
    let (run, mut actions) = (RunId(1), Vec::new());
    let used = |secs: u64, max_rss| {
        let cpu = Duration::from_secs(secs);
        Some(Usage { cpu, max_rss, read: secs * 10, written: secs })
    };
    scheduler.step(now(1), Event::Woke, &mut actions);
    for (at, exit, usage) in [
        (2, Exit::Code(1), used(3, Some(7000))),
        (4, Exit::Code(1), None),
        (7, Exit::Signal(9), used(4, Some(9000))),
        (12, Exit::Code(0), used(5, None)),
    ] {
        scheduler.step(now(at), Event::Woke, &mut actions);
        // Said twice, it is counted once.
        for _ in 0..2 {
            scheduler.step(now(at), Event::Ended { run, exit, usage, at: None }, &mut actions);
        }
    }
    let usages: Vec<Option<Usage>> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Record(record) => Some(record.usage),
            _ => None,
        })
        .collect();
    assert_eq!(usages, [used(12, Some(9000))]);
}

/// Steps of a scheduler, each at so many seconds after noon, and what came of them.
fn transcript(jobs: Vec<Job>, steps: Vec<(u64, Event)>) -> String {
    let now = |secs: u64| Now {
        wall: NOON.plus(Duration::from_secs(secs)),
        mono: Mono::from_micros(secs * 1_000_000),
    };
    let mut scheduler = Scheduler::new(now(0), set(jobs));
    let mut transcript = Transcript::default();
    for (secs, event) in steps {
        let mut actions = Vec::new();
        scheduler.step(now(secs), event, &mut actions);
        actions.iter().for_each(|action| transcript.see(now(secs), action));
    }
    transcript.text
}

fn hangs(run: u64, since: u64) -> Event {
    Event::StartHangs { run: RunId(run), taken: Mono::from_micros(since * 1_000_000) }
}

fn given_up(run: u64) -> Event {
    let reason = "it hangs".to_owned();
    Event::NotStarted { run: RunId(run), reason, transient: false }
}

/// Its `timeout` counts from when somebody began to start it, and needs no process.
#[test]
fn a_start_that_hangs_times_out() {
    let with_timeout = |id| {
        job(id, once("12:01"), |options| {
            options.timeout = Some(secs(10));
            options.kill_after = secs(5);
            options.retries = 1;
        })
    };
    let jobs = vec![with_timeout("a"), job("b", once("12:01"), |_| {}), with_timeout("c")];
    let started = |run, taken: u64, secs: u64| {
        let (taken, mono) = (Mono::from_micros(taken * 1_000_000), secs * 1_000_000);
        let at = Now { wall: NOON.plus(Duration::from_secs(secs)), mono: Mono::from_micros(mono) };
        Event::Started { run: RunId(run), process: PROCESS, at, taken }
    };
    let exit = Exit::Signal(9);
    let steps = vec![
        (60, Event::Woke),
        (61, hangs(1, 60)),
        (61, hangs(2, 60)),
        (61, hangs(3, 60)),
        (65, started(3, 60, 65)),
        (69, Event::Woke),
        (70, Event::Woke),
        // A start may have succeeded just as it was given up: then its process was killed.
        (70, Event::Ended { run: RunId(3), exit, usage: None, at: None }),
        (70, given_up(1)),
        (80, Event::Woke),
        (81, hangs(1, 80)),
        (90, Event::Woke),
        (91, Event::Ended { run: RunId(1), exit, usage: None, at: None }),
        (999, Event::Woke),
    ];
    assert_eq!(
        transcript(jobs, steps),
        "12:01:00 start a#1\n\
         12:01:00 start b#2\n\
         12:01:00 start c#3\n\
         12:01:10 a#1 takes too long\n\
         12:01:10 kill a#1\n\
         12:01:10 c#3 takes too long\n\
         12:01:10 term c#3\n\
         12:01:10 c#3 timed_out, attempt 2 in 10s\n\
         12:01:10 a#1 timed_out, attempt 2 in 10s\n\
         12:01:20 start a#1/2\n\
         12:01:20 start c#3/2\n\
         12:01:30 a#1 takes too long\n\
         12:01:30 kill a#1\n\
         12:01:31 a#1 timed_out after 2 attempts, due 12:01:00\n"
    );
}

/// What is to end is not waited for until it has a process.
#[test]
fn a_start_that_hangs_can_be_stopped() {
    let jobs = ["a", "b", "c"].map(|id| job(id, once("12:01"), |options| options.retries = 3));
    let steps = vec![
        (60, Event::Woke),
        (61, hangs(1, 60)),
        (62, Event::Stop),
        (63, Event::Stop),
        (63, given_up(1)),
        // Nobody knew before that it hangs.
        (64, hangs(2, 60)),
        (
            64,
            Event::Started {
                run: RunId(2),
                process: PROCESS,
                at: Now { wall: NOON, mono: Mono::from_micros(0) },
                taken: Mono::from_micros(0),
            },
        ),
        (64, Event::Ended { run: RunId(2), exit: Exit::Signal(9), usage: None, at: None }),
        (64, hangs(3, 60)),
        (64, Event::NotStarted { run: RunId(3), reason: "EAGAIN".to_owned(), transient: true }),
    ];
    assert_eq!(
        transcript(jobs.into(), steps),
        "12:01:00 start a#1\n\
         12:01:00 start b#2\n\
         12:01:00 start c#3\n\
         12:01:02 stopping, 3 active\n\
         12:01:03 kill a#1\n\
         12:01:03 a#1 not_started(it hangs), due 12:01:00\n\
         12:01:04 kill b#2\n\
         12:01:04 ignored #2 started\n\
         12:01:04 b#2 killed(9), due 12:01:00\n\
         12:01:04 kill c#3\n\
         12:01:04 c#3 not_started(EAGAIN), due 12:01:00\n\
         12:01:04 exit\n"
    );
}

#[test]
fn the_status_says_what_active_runs_do() {
    let jobs = vec![
        job("runs", once("12:01"), |_| {}),
        job("fails", once("12:01"), |options| options.retries = 1),
        job("waits", once("12:01"), |_| {}),
        job("waits-too", once("12:01"), |_| {}),
    ];
    let attempt = |start: &Start| match &*start.job.id {
        "fails" => Attempt::Lasts(secs(1), Exit::Code(1)),
        _ => Attempt::succeeds_after(secs(100)),
    };
    let mut sim = Sim::new(set_with(&[("default", 2)], jobs), NOON, attempt);
    sim.run_until(at("12:01:05"), &mut |_, _: &Action| {});
    let status = sim.scheduler().status();
    let active: Vec<_> =
        status.active.iter().map(|run| (&*run.job.id, run.doing, run.attempt)).collect();
    use schedrs::outcome::Doing;
    let expected = [
        ("runs", Doing::Running, 1),
        ("fails", Doing::Retrying, 1),
        ("waits", Doing::Running, 1),
        ("waits-too", Doing::Queued, 0),
    ];
    assert_eq!(active[..3], expected[..3]);
    assert_eq!(active[3].1, expected[3].1);
    assert_eq!((status.running, status.waiting), (2, 2));
}

/// Its process belongs to somebody else and goes on; the run does not.
#[test]
fn a_run_that_is_abandoned_gives_back_its_slot_and_is_not_tried_again() {
    let now = |secs: u64| Now {
        wall: NOON.plus(Duration::from_secs(secs)),
        mono: Mono::from_micros(secs * 1_000_000),
    };
    let jobs = vec![
        job("sudo", once("12:01"), |options| {
            options.retries = 3;
            options.timeout = Some(secs(5));
        }),
        job("next", once("12:01"), |_| {}),
    ];
    let mut scheduler = Scheduler::new(now(0), set_with(&[("default", 1)], jobs));
    let mut transcript = Transcript::default();
    let mut step = |at: u64, event: Event| {
        let mut actions = Vec::new();
        scheduler.step(now(at), event, &mut actions);
        actions.iter().for_each(|action| transcript.see(now(at), action));
    };
    let run = RunId(1);
    let abandoned = || Event::Abandoned { run, reason: "process 7 runs as root".into() };
    step(60, Event::Woke);
    step(60, Event::Started { run, process: PROCESS, at: now(60), taken: now(60).mono });
    step(65, Event::Woke);
    step(75, Event::Woke);
    step(75, abandoned());
    step(76, abandoned());
    step(77, Event::Ended { run, exit: Exit::Code(0), usage: None, at: None });
    assert_eq!(
        transcript.text,
        "12:01:00 start sudo#1\n12:01:05 sudo#1 takes too long\n12:01:05 term sudo#1\n\
         12:01:15 kill sudo#1\n\
         12:01:15 sudo#1 lost(abandoned: process 7 runs as root), due 12:01:00\n\
         12:01:15 start next#2\n12:01:16 ignored #1 abandoned\n12:01:17 ignored #1 ended\n"
    );
}

/// Whether it may have a process or waits for a slot: whoever keeps something of it hears that it is
/// over here, and there is no record.
#[test]
fn a_run_that_another_host_may_begin_again() {
    let now = Now { wall: NOON, mono: Mono::default() };
    let jobs = ["a", "b"].map(|id| job(id, once("13:00"), |_| {}));
    let set = set_with(&[("default", 1)], jobs.into());
    let mut scheduler = Scheduler::in_fleet(now, set, SavedState::default(), SessionId(1));
    let mut tell = |change: HomeChange| {
        let mut actions = Vec::new();
        scheduler.step(now, Event::Homes(Box::new(change)), &mut actions);
        actions
    };
    let again = |run, job: &str| RunAgain {
        run: RunId(run),
        job: job.into(),
        due: NOON,
        attempt: 1,
        started: Some(NOON),
        place: None,
        reason: "its host is dead".to_owned(),
    };
    // There is one slot.
    tell(HomeChange { again: vec![again(7, "a"), again(8, "b")], ..HomeChange::default() });
    for (run, expected) in [(8, false), (7, true)] {
        let actions = tell(HomeChange { disowned: vec![RunId(run)], ..HomeChange::default() });
        let told: Vec<bool> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Notice(Notice::Disowned { has_process, .. }) => Some(*has_process),
                _ => None,
            })
            .collect();
        assert_eq!(told, [expected], "{actions:?}");
        let kills = actions.iter().filter(|action| matches!(action, Action::Kill(_))).count();
        assert_eq!(kills, usize::from(expected), "{actions:?}");
        assert!(!actions.iter().any(|action| matches!(action, Action::Record(_))), "{actions:?}");
    }
}
