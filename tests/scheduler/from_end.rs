//! Jobs that are due so long after the end of their last run: `interval = { …, from = "end" }`.

use schedrs::event::{JobRecord, Operation, Remember};
use schedrs::scheduler::{SavedState, Survivor};

use super::operations::{Operator, pause, resume, start};
use super::scenario::*;

#[test]
fn the_next_due_time_is_counted_from_the_end_of_the_run() {
    Test::with_durations(set(vec![job("a", from_end(600), |_| {})]), &[("a", 130)])
        .until("12:38")
        .expect(
            "12:10:00 start a#1
             12:12:10 a#1 succeeded, due 12:10:00
             12:22:10 start a#2
             12:24:20 a#2 succeeded, due 12:22:10
             12:34:20 start a#3
             12:36:30 a#3 succeeded, due 12:34:20",
        );
}

#[test]
fn the_first_due_time_may_be_given_and_so_may_the_last() {
    let of = |start, end| Trigger::FromEnd(FromEndTrigger::new(secs(60), start, end));
    let jobs = vec![
        job("begins", of(Some(at("12:05")), None), |_| {}),
        job("now", of(Some(NOON), None), |_| {}),
        job("begun", of(Some(at("11:00")), None), |_| {}),
        job("ends", of(None, Some(at("12:02:01"))), |_| {}),
    ];
    Test::new(set(jobs)).until("12:03:00").expect(
        "12:00:00 start now#1
         12:00:01 now#1 succeeded, due 12:00:00
         12:01:00 start begun#2
         12:01:00 start ends#3
         12:01:01 begun#2 succeeded, due 12:01:00
         12:01:01 ends#3 succeeded, due 12:01:00
         12:01:01 start now#4
         12:01:02 now#4 succeeded, due 12:01:01
         12:02:01 start begun#5
         12:02:01 start ends#6
         12:02:02 begun#5 succeeded, due 12:02:01
         12:02:02 ends#6 succeeded, due 12:02:01
         12:02:02 start now#7
         12:02:03 now#7 succeeded, due 12:02:02",
    );
}

/// With retries it is the end of the last attempt, whatever the outcome, and a timeout is an end as well.
#[test]
fn retries_belong_to_the_run() {
    let jobs = set(vec![job("a", from_end(600), |options| {
        options.retries = 1;
        options.retry_delay = secs(30);
        options.timeout = Some(secs(20));
    })]);
    Test::with_durations(jobs, &[("a", 90)]).until("12:22").expect(
        "12:10:00 start a#1
         12:10:20 a#1 takes too long
         12:10:20 term a#1
         12:10:20 a#1 timed_out, attempt 2 in 30s
         12:10:50 start a#1/2
         12:11:10 a#1 takes too long
         12:11:10 term a#1
         12:11:10 a#1 timed_out after 2 attempts, due 12:10:00
         12:21:10 start a#2
         12:21:30 a#2 takes too long
         12:21:30 term a#2
         12:21:30 a#2 timed_out, attempt 2 in 30s",
    );
}

/// What is missed has come to nothing, and the next is counted from when that was seen.
#[test]
fn what_is_missed_is_one_due_time_and_the_next_follows() {
    Test::new(set(vec![job("a", from_end(600), |_| {})]))
        .asleep("12:05", "15:00")
        .until("15:12")
        .expect(
            "15:00:00 clock jumped by 10500s
             15:00:00 a missed(late by 10200s), due 12:10:00
             15:10:00 start a#1
             15:10:01 a#1 succeeded, due 15:10:00",
        );
    // With patience it runs at once, and once.
    let patient = |options: &mut Options| options.misfire_grace_time = Grace::Forever;
    Test::new(set(vec![job("a", from_end(600), patient)]))
        .asleep("12:05", "15:00")
        .until("15:10:02")
        .expect(
            "15:00:00 clock jumped by 10500s
             15:00:00 start a#1
             15:00:01 a#1 succeeded, due 12:10:00
             15:10:01 start a#2",
        );
}

/// Jitter delays the start, and the end with it.
#[test]
fn jitter_is_added_to_each() {
    let jobs = set(vec![job("a", from_end(600), |options| options.jitter = secs(3600))]);
    let mut starts: Vec<(Instant, Instant)> = Vec::new();
    let mut ended: Option<Instant> = None;
    let mut test = Test::new(jobs);
    test.sim.run_until(at("1d 12:00"), &mut |now: Now, action: &Action| match action {
        Action::Start(start) => {
            if let Some(ended) = ended {
                assert_eq!(start.due, ended.plus(secs(600)));
            }
            assert_eq!(now.wall, start.due.plus(start.job.delay(start.due)));
            starts.push((start.due, now.wall));
        }
        Action::Record(record) => {
            assert_eq!(record.outcome, Outcome::Succeeded);
            ended = Some(now.wall);
        }
        _ => {}
    });
    assert!(starts.len() > 10 && starts.iter().any(|(due, at)| due != at), "{starts:?}");
}

/// The clock is set back while it waits: it continues where it was, as other jobs do.
#[test]
fn a_clock_that_goes_back_brings_no_due_time_twice() {
    Test::with_durations(set(vec![job("a", from_end(600), |_| {})]), &[("a", 60)])
        .until("12:10:30")
        .clock_set("11:00")
        .until("12:10:02")
        .expect(
            "12:10:00 start a#1
             11:00:00 clock jumped by -4230s
             11:00:30 a#1 succeeded, due 12:10:00
             12:10:00 start a#2",
        );
}

#[test]
fn a_run_by_hand_counts_as_the_last_run() {
    let mut operator = Operator::new(vec![job("a", from_end(600), |_| {})]);
    assert_eq!(operator.view("a").next, Some(at("12:10")));
    operator.at("12:08");
    assert_eq!(operator.ask(start("a")), ["start a#1", "started #1"]);
    operator.started(1);
    // While a run goes on it is not due, and says what it waits for.
    let view = operator.view("a");
    assert_eq!(
        (view.next, view.awaits.as_deref()),
        (None, Some("10m after the run that is going on"))
    );
    assert_eq!(operator.at("12:30"), [""; 0]);
    assert_eq!(operator.ended(1), ["a#1 succeeded, due 12:08:00"]);
    let view = operator.view("a");
    assert_eq!((view.next, view.awaits), (Some(at("12:40")), None));
    // Of two that run together the last to end counts.
    operator.ask(start("a"));
    operator.started(2);
    operator.ask(Operation::Start { job: "a".into(), force: true, wait: false });
    operator.started(3);
    operator.at("12:35");
    operator.ended(3);
    assert_eq!(operator.view("a").next, None);
    operator.at("12:36");
    operator.ended(2);
    assert_eq!(operator.view("a").next, Some(at("12:46")));
    assert_eq!(operator.at("12:46"), ["start a#4"]);
}

/// What waits for its jitter when somebody starts it by hand has been due, and is skipped.
#[test]
fn a_run_by_hand_takes_the_place_of_what_waits_for_its_jitter() {
    let jitter = |options: &mut Options| options.jitter = secs(3600);
    let mut operator = Operator::new(vec![job("a", from_end(600), jitter)]);
    operator.at("12:10:01");
    assert_eq!(operator.view("a").next, Some(at("12:10")));
    let started = operator.ask(start("a"));
    assert_eq!(started, ["a skipped(overlap), due 12:10:00", "start a#1", "started #1"]);
    operator.started(1);
    operator.at("14:00");
    operator.ended(1);
    assert_eq!(operator.view("a").next, Some(at("14:10")));
}

#[test]
fn a_pause_skips_one_due_time_and_the_next_counts_from_its_end() {
    let mut operator = Operator::new(vec![job("a", from_end(600), |_| {})]);
    operator.ask(pause(Some("a"), None));
    operator.at("13:00");
    let resumed = operator.ask(resume(Some("a")));
    assert_eq!(resumed, ["a skipped(paused), due 12:10:00", "done"]);
    assert_eq!(operator.view("a").next, Some(at("13:10")));
    // One that has not been reached stays as it is, and so does a pause of all jobs.
    operator.ask(pause(None, Some("13:05")));
    operator.at("13:05");
    assert_eq!(operator.view("a").next, Some(at("13:10")));
    // A run that ends in a pause: the next may be due within it.
    assert_eq!(operator.at("13:10"), ["start a#1"]);
    operator.started(1);
    operator.ask(pause(Some("a"), None));
    operator.at("13:20");
    operator.ended(1);
    operator.at("13:25");
    assert_eq!(operator.ask(resume(Some("a"))), ["done"]);
    assert_eq!(operator.view("a").next, Some(at("13:30")));
}

#[test]
fn a_reload_that_changes_the_interval_starts_over() {
    let mut operator = Operator::new(vec![job("a", from_end(600), |_| {})]);
    operator.at("12:05");
    let reload = |jobs| Event::Reload(Box::new(set(jobs)));
    // Other options: it stays where it is.
    operator.step(reload(vec![job("a", from_end(600), |options| options.retries = 3)]));
    assert_eq!(operator.view("a").next, Some(at("12:10")));
    operator.step(reload(vec![job("a", from_end(1200), |_| {})]));
    assert_eq!(operator.view("a").next, Some(at("12:25")));
    assert_eq!(operator.at("12:25"), ["start a#1"]);
    operator.started(1);
    // During a run: it counts from its end, by what the file says then.
    operator.step(reload(vec![job("a", from_end(60), |_| {})]));
    assert_eq!(operator.view("a").next, None);
    operator.at("12:40");
    operator.ended(1);
    assert_eq!(operator.view("a").next, Some(at("12:41")));
    // From an interval of the other kind, and back.
    operator.at("12:41");
    operator.started(2);
    operator.step(reload(vec![job("a", every(60), |_| {})]));
    assert_eq!(operator.view("a").next, Some(at("12:42")));
    operator.step(reload(vec![job("a", from_end(60), |_| {})]));
    assert_eq!(operator.view("a").next, None);
}

fn known(operator: &Operator) -> JobRecord {
    let found = operator.actions.iter().rev().find_map(|action| match action {
        Action::Remember(Remember::Job(record)) => Some((**record).clone()),
        _ => None,
    });
    found.expect("it was remembered")
}

/// What the next scheduler knows is written in the step in which a run ends.
#[test]
fn the_next_scheduler_goes_on_from_the_end_of_the_last_run() {
    let jobs = || vec![job("a", from_end(600), |_| {})];
    let mut operator = Operator::new(jobs());
    let first = known(&operator);
    assert_eq!(operator.at("12:10"), ["start a#1"]);
    operator.started(1);
    operator.at("12:55");
    operator.ended(1);
    let ended = known(&operator);
    assert_eq!((ended.anchor, ended.decided, ended.since), (at("12:55"), at("12:10"), first.since));

    let later = |time: &str, saved: SavedState| {
        let now = Now { wall: at(time), mono: Mono::from_micros(3_600_000_000) };
        let mut scheduler = Scheduler::restored(now, set(jobs()), saved);
        let mut actions = Vec::new();
        scheduler.step(now, Event::Woke, &mut actions);
        (scheduler.next_wakeup().wall, actions)
    };
    let saved =
        |record: &JobRecord| SavedState { jobs: vec![record.clone()], ..SavedState::default() };
    // It was stopped while the job waited.
    assert_eq!(later("13:00", saved(&ended)).0, Some(at("13:05")));
    // For so long that the due time is missed.
    let (next, actions) = later("14:00", saved(&ended));
    assert_eq!(next, Some(at("14:10")));
    let missed = actions.iter().find_map(|action| match action {
        Action::Record(record) => Some(line_of(record)),
        _ => None,
    });
    assert_eq!(missed.as_deref(), Some("a missed(late by 3300s), due 13:05:00"));

    // It died while the job ran, and the run with it: from the start of the next scheduler.
    let running = JobRecord { decided: at("12:10"), ..first };
    let (next, actions) = later("12:30", saved(&running));
    assert_eq!(next, Some(at("12:40")));
    let remembered = actions.iter().find_map(|action| match action {
        Action::Remember(Remember::Job(record)) => Some((record.anchor, record.since)),
        _ => None,
    });
    assert_eq!(remembered, Some((at("12:30"), running.since)));

    // Its process has outlived the scheduler: when that has ended.
    let survivor = Survivor {
        run: RunId(1),
        job: "a".into(),
        due: at("12:10"),
        attempt: 1,
        started: at("12:10"),
    };
    let with_survivor = SavedState { survivors: vec![survivor], ..saved(&running) };
    assert_eq!(later("12:30", with_survivor).0, None);

    // It never began: it is decided again.
    let undecided = vec![("a".into(), at("12:10"))];
    let unbegun = SavedState { undecided, ..saved(&running) };
    let (next, actions) = later("12:10:30", unbegun);
    assert_eq!(next, None);
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Start(start) if start.due == at("12:10")))
    );

    // The run ended by a clock that was far ahead.
    let ahead = JobRecord { anchor: at("9d 12:00"), decided: at("9d 11:00"), ..running };
    assert_eq!(later("12:30", saved(&ahead)).0, Some(at("12:40")));
}
