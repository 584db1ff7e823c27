//! Jobs with conditions: `only_if` and `wait_for`. A line `look a#3/2` is the second look for run 3 of job a.

use std::sync::Arc;

use schedrs::condition::{Answer, Conditions};
use schedrs::event::{Check, JobRecord, Operation, Remember};
use schedrs::outcome::Doing;
use schedrs::scheduler::SavedState;
use schedrs::scheduler::conditions::{AWAITS, read_awaits};
use schedrs::trigger::AfterTrigger;
use schedrs::trigger::after::On;

use super::operations::{Operator, pause, start};
use super::scenario::*;

/// A job with a condition. Which does not matter: the test answers.
fn conditioned(id: &str, trigger: Trigger, wait: u64, more: impl FnOnce(&mut Options)) -> Job {
    job(id, trigger, |options| {
        options.only_if =
            Some(Arc::new(Conditions { load_below: Some(4.0), ..Conditions::default() }));
        options.wait_for = secs(wait);
        more(options);
    })
}

fn no(reading: &str) -> Option<Answer> {
    Some(Answer::DoNotHold(reading.into()))
}

/// The conditions of every job do not hold before that time.
fn holds_from(set: JobSet, when: &'static str) -> Test {
    answered(set, move |now, _| match now >= at(when) {
        true => Some(Answer::Hold),
        false => no("load 7.2 ≥ 4.0"),
    })
}

fn answered(
    set: JobSet,
    answer: impl Fn(Instant, &str) -> Option<Answer> + Send + 'static,
) -> Test {
    let mut test = Test::new(set);
    test.sim = test.sim.with_conditions(move |now, check| answer(now.wall, &check.job.id));
    test
}

#[test]
fn what_does_not_hold_is_skipped_with_its_reading() {
    let jobs = set(vec![conditioned("a", every(600), 0, |_| {}), job("b", every(600), |_| {})]);
    holds_from(jobs, "12:15").until("12:21").expect(
        "12:10:00 look a#1/1
         12:10:00 start b#2
         12:10:00 a#1 skipped(condition: load 7.2 ≥ 4.0), due 12:10:00
         12:10:01 b#2 succeeded, due 12:10:00
         12:20:00 look a#3/1
         12:20:00 start b#4
         12:20:00 start a#3
         12:20:01 b#4 succeeded, due 12:20:00
         12:20:01 a#3 succeeded, due 12:20:00",
    );
}

#[test]
fn with_wait_for_it_is_looked_again_until_it_holds() {
    let jobs = set(vec![conditioned("a", every(600), 120, |_| {})]);
    holds_from(jobs, "12:10:40").until("12:11").expect(
        "12:10:00 look a#1/1
         12:10:00 a#1 waits 120s, load 7.2 ≥ 4.0
         12:10:15 look a#1/2
         12:10:30 look a#1/3
         12:10:45 look a#1/4
         12:10:45 start a#1
         12:10:46 a#1 succeeded, due 12:10:00",
    );
}

/// There is a last look when the time is over.
#[test]
fn what_waits_too_long_is_skipped() {
    let jobs = set(vec![conditioned("a", every(600), 20, |_| {})]);
    holds_from(jobs, "12:15").until("12:12").expect(
        "12:10:00 look a#1/1
         12:10:00 a#1 waits 20s, load 7.2 ≥ 4.0
         12:10:15 look a#1/2
         12:10:20 look a#1/3
         12:10:20 a#1 skipped(condition: load 7.2 ≥ 4.0), due 12:10:00",
    );
}

#[test]
fn a_check_that_is_at_fault_is_told_at_once() {
    let jobs = set(vec![conditioned("a", every(600), 120, |options| options.retries = 3)]);
    answered(jobs, |_, _| Some(Answer::Fault("no such program".into()))).until("12:12").expect(
        "12:10:00 look a#1/1
         12:10:00 a#1 not_started(no such program), due 12:10:00",
    );
}

/// Whoever looks has forgotten it, or hangs: nothing else waits for that.
#[test]
fn a_look_that_is_never_answered_ends_too() {
    let jobs = set(vec![conditioned("a", once("12:10"), 0, |_| {}), job("b", every(600), |_| {})]);
    answered(jobs, |_, _| None).until("12:12").expect(
        "12:10:00 look a#1/1
         12:10:00 start b#2
         12:10:01 b#2 succeeded, due 12:10:00
         12:11:00 a#1 skipped(condition: the check was not answered within 1m), due 12:10:00",
    );
}

/// A further attempt is a part of the run.
#[test]
fn only_the_first_attempt_asks() {
    let jobs = set(vec![conditioned("a", once("12:10"), 0, |options| options.retries = 1)]);
    let mut test =
        Test::trying(jobs, |start| Attempt::Lasts(secs(1), Exit::Code(2 - start.attempt as i32)));
    test.sim = test.sim.with_conditions(|_, _| Some(Answer::Hold));
    test.until("12:12").expect(
        "12:10:00 look a#1/1
         12:10:00 start a#1
         12:10:01 a#1 failed(1), attempt 2 in 10s
         12:10:11 start a#1/2
         12:10:12 a#1 succeeded after 2 attempts, due 12:10:00",
    );
}

/// One waits, and the next due time finds the job busy.
#[test]
fn a_second_due_time_meanwhile_is_skipped_by_default() {
    let jobs = set(vec![conditioned("a", every(60), 100, |_| {})]);
    holds_from(jobs, "12:02:20").until("12:03").expect(
        "12:01:00 look a#1/1
         12:01:00 a#1 waits 100s, load 7.2 ≥ 4.0
         12:01:15 look a#1/2
         12:01:30 look a#1/3
         12:01:45 look a#1/4
         12:02:00 look a#1/5
         12:02:00 a skipped(overlap), due 12:02:00
         12:02:15 look a#1/6
         12:02:30 look a#1/7
         12:02:30 start a#1
         12:02:31 a#1 succeeded, due 12:01:00",
    );
}

/// It is looked at when its turn has come.
#[test]
fn with_queue_it_waits_for_the_first() {
    let queue = |options: &mut Options| options.overlap = Overlap::Queue;
    let jobs = set(vec![conditioned("a", every(60), 70, queue)]);
    holds_from(jobs, "12:02:50").until("12:02:56").expect(
        "12:01:00 look a#1/1
         12:01:00 a#1 waits 70s, load 7.2 ≥ 4.0
         12:01:15 look a#1/2
         12:01:30 look a#1/3
         12:01:45 look a#1/4
         12:02:00 look a#1/5
         12:02:10 look a#1/6
         12:02:10 a#1 skipped(condition: load 7.2 ≥ 4.0), due 12:01:00
         12:02:10 look a#2/1
         12:02:10 a#2 waits 70s, load 7.2 ≥ 4.0
         12:02:25 look a#2/2
         12:02:40 look a#2/3
         12:02:55 look a#2/4
         12:02:55 start a#2",
    );
}

/// The newest is wanted: it takes the place of the one that waits, and is looked at by itself.
#[test]
fn with_replace_it_takes_the_place_of_the_one_that_waits() {
    let replace = |options: &mut Options| options.overlap = Overlap::Replace;
    let jobs = set(vec![conditioned("a", every(60), 600, replace)]);
    holds_from(jobs, "12:02:10").until("12:02:20").expect(
        "12:01:00 look a#1/1
         12:01:00 a#1 waits 600s, load 7.2 ≥ 4.0
         12:01:15 look a#1/2
         12:01:30 look a#1/3
         12:01:45 look a#1/4
         12:02:00 look a#1/5
         12:02:00 a#1 skipped(overlap), due 12:01:00
         12:02:00 look a#2/1
         12:02:00 a#2 waits 600s, load 7.2 ≥ 4.0
         12:02:15 look a#2/2
         12:02:15 start a#2
         12:02:16 a#2 succeeded, due 12:02:00",
    );
}

/// No run is ended for a due time that is then skipped.
#[test]
fn with_replace_a_run_goes_on_until_the_conditions_hold() {
    let replace = |options: &mut Options| options.overlap = Overlap::Replace;
    let jobs = set(vec![conditioned("a", every(60), 0, replace)]);
    let mut test = Test::with_durations(jobs, &[("a", 1000)]);
    test.sim = test.sim.with_conditions(|now, _| match now.wall == at("12:02") {
        true => no("load 7.2 ≥ 4.0"),
        false => Some(Answer::Hold),
    });
    test.until("12:03:30").expect(
        "12:01:00 look a#1/1
         12:01:00 start a#1
         12:02:00 look a#2/1
         12:02:00 a#2 skipped(condition: load 7.2 ≥ 4.0), due 12:02:00
         12:03:00 look a#3/1
         12:03:00 term a#1
         12:03:00 a#1 killed(15), due 12:01:00
         12:03:00 start a#3",
    );
}

/// As many as `max_instances` allows, each for itself.
#[test]
fn several_may_wait_where_several_may_run() {
    let several = |options: &mut Options| options.max_instances = 2;
    let jobs = set(vec![conditioned("a", every(60), 600, several)]);
    holds_from(jobs, "12:03:10").until("12:03:30").expect(
        "12:01:00 look a#1/1
         12:01:00 a#1 waits 600s, load 7.2 ≥ 4.0
         12:01:15 look a#1/2
         12:01:30 look a#1/3
         12:01:45 look a#1/4
         12:02:00 look a#1/5
         12:02:00 look a#2/1
         12:02:00 a#2 waits 600s, load 7.2 ≥ 4.0
         12:02:15 look a#1/6
         12:02:15 look a#2/2
         12:02:30 look a#1/7
         12:02:30 look a#2/3
         12:02:45 look a#1/8
         12:02:45 look a#2/4
         12:03:00 look a#1/9
         12:03:00 look a#2/5
         12:03:00 a skipped(overlap), due 12:03:00
         12:03:15 look a#1/10
         12:03:15 look a#2/6
         12:03:15 start a#1
         12:03:15 start a#2
         12:03:16 a#1 succeeded, due 12:01:00
         12:03:16 a#2 succeeded, due 12:02:00",
    );
}

/// The wait is no lateness, and no waiting for a slot.
#[test]
fn max_wait_counts_from_when_they_hold() {
    let jobs = vec![
        conditioned("a", once("12:01"), 600, |options| options.max_wait = Some(secs(30))),
        job("long", once("12:01:50"), |_| {}),
    ];
    let jobs = set_with(&[("default", 1)], jobs);
    let mut test = Test::with_durations(jobs, &[("long", 40)]);
    test.sim = test.sim.with_conditions(|now, _| match now.wall >= at("12:02:10") {
        true => Some(Answer::Hold),
        false => no("x"),
    });
    test.until("12:03").expect(
        "12:01:00 look a#1/1
         12:01:00 a#1 waits 600s, x
         12:01:15 look a#1/2
         12:01:30 look a#1/3
         12:01:45 look a#1/4
         12:01:50 start long#2
         12:02:00 look a#1/5
         12:02:15 look a#1/6
         12:02:30 long#2 succeeded, due 12:01:50
         12:02:30 start a#1
         12:02:31 a#1 succeeded, due 12:01:00",
    );
}

#[test]
fn a_child_of_one_that_is_skipped_is_skipped() {
    let parents: [Box<str>; 1] = ["load".into()];
    let after = Trigger::After(Arc::new(AfterTrigger::new(parents, On::Succeeded, None)));
    let jobs = set(vec![
        conditioned("load", every(600), 0, |_| {}),
        conditioned("report", after, 0, |_| {}),
    ]);
    answered(jobs, |now, id| match now < at("12:15") || now > at("12:25") && id == "report" {
        true => no("on battery power"),
        false => Some(Answer::Hold),
    })
    .until("12:31")
    .expect(
        "12:10:00 look load#1/1
         12:10:00 load#1 skipped(condition: on battery power), due 12:10:00
         12:10:00 report skipped(parent: load was skipped), due 12:10:00
         12:20:00 look load#2/1
         12:20:00 start load#2
         12:20:01 load#2 succeeded, due 12:20:00
         12:20:01 look report#3/1
         12:20:01 start report#3
         12:20:02 report#3 succeeded, due 12:20:00
         12:30:00 look load#4/1
         12:30:00 start load#4
         12:30:01 load#4 succeeded, due 12:30:00
         12:30:01 look report#5/1
         12:30:01 report#5 skipped(condition: on battery power), due 12:30:00",
    );
}

/// As after any due time that comes to nothing.
#[test]
fn what_counts_from_the_end_counts_from_the_skip() {
    let jobs = set(vec![conditioned("a", from_end(600), 30, |_| {})]);
    holds_from(jobs, "12:12").until("12:21").expect(
        "12:10:00 look a#1/1
         12:10:00 a#1 waits 30s, load 7.2 ≥ 4.0
         12:10:15 look a#1/2
         12:10:30 look a#1/3
         12:10:30 a#1 skipped(condition: load 7.2 ≥ 4.0), due 12:10:00
         12:20:30 look a#2/1
         12:20:30 start a#2
         12:20:31 a#2 succeeded, due 12:20:30",
    );
}

#[test]
fn the_end_of_the_scheduler_is_the_end_of_the_wait() {
    let jobs = set(vec![conditioned("a", every(60), 600, |_| {})]);
    holds_from(jobs, "12:30").until("12:01:05").send(Event::Stop).expect(
        "12:01:00 look a#1/1
         12:01:00 a#1 waits 600s, load 7.2 ≥ 4.0
         12:01:05 a#1 skipped(stopping), due 12:01:00
         12:01:05 stopping, 0 active
         12:01:05 exit",
    );
}

/// What waits keeps the definition that it was admitted with, and is gone with its job.
#[test]
fn a_reload_ends_the_wait_of_a_job_that_is_gone_or_paused() {
    let of = |wait, paused| {
        vec![
            conditioned("gone", once("12:01"), 600, |_| {}),
            conditioned("paused", once("12:01"), 600, move |options| options.paused = paused),
            conditioned("stays", once("12:01"), wait, |_| {}),
        ]
    };
    let after = of(0, true).into_iter().skip(1).collect();
    holds_from(set(of(600, false)), "12:01:20")
        .until("12:01:05")
        .reload(set(after))
        .until("12:02")
        .expect(
            "12:01:00 look gone#1/1
             12:01:00 look paused#2/1
             12:01:00 look stays#3/1
             12:01:00 gone#1 waits 600s, load 7.2 ≥ 4.0
             12:01:00 paused#2 waits 600s, load 7.2 ≥ 4.0
             12:01:00 stays#3 waits 600s, load 7.2 ≥ 4.0
             12:01:05 gone#1 skipped(removed), due 12:01:00
             12:01:05 paused#2 skipped(paused), due 12:01:00
             12:01:05 reloaded +0 ~2 -1 =0
             12:01:15 look stays#3/2
             12:01:30 look stays#3/3
             12:01:30 start stays#3
             12:01:31 stays#3 succeeded, due 12:01:00",
        );
}

/// The wait goes on after a restart, and is no lateness there.
#[test]
fn a_restart_in_between_goes_on_to_wait() {
    for (wait, expected) in [(1800, "look a#7/1"), (600, "a missed(late by 1200s), due 13:00:00")] {
        let jobs = set(vec![conditioned("a", every(3600), wait, |_| {})]);
        let record = JobRecord {
            id: "a".into(),
            anchor: NOON,
            decided: at("13:00"),
            trigger: every(3600).fingerprint().into(),
            since: NOON,
            pause: None,
            resumed: false,
            added: None,
            overrides: None,
        };
        let saved = SavedState {
            jobs: vec![record],
            undecided: vec![("a".into(), at("13:00"))],
            next_run: 7,
            ..SavedState::default()
        };
        let now = Now { wall: at("13:20"), mono: Mono::from_micros(5_000_000) };
        let mut actions = Vec::new();
        Scheduler::restored(now, jobs, saved).step(now, Event::Woke, &mut actions);
        let said = actions.iter().filter_map(|action| match action {
            Action::Check(Check { run, number, job, .. }) => {
                Some(format!("look {}#{run}/{number}", job.id))
            }
            Action::Record(record) => Some(line_of(record)),
            _ => None,
        });
        assert_eq!(said.collect::<Vec<String>>(), [expected]);
        // It is remembered as a run from the first look on, so that it has one fate whatever comes.
        let is_run = |action: &Action| matches!(action, Action::Remember(Remember::Admitted(_)));
        assert_eq!(actions.iter().any(is_run), wait == 1800);
    }
}

/// Somebody asks for it, whatever the conditions say.
#[test]
fn a_start_by_hand_asks_nothing() {
    let mut operator = Operator::new(vec![conditioned("a", every(3600), 600, |_| {})]);
    let said = operator.ask(start("a"));
    assert!(said.contains(&"start a#1".to_owned()), "{said:?}");
    let looks = |action: &Action| matches!(action, Action::Check(_));
    assert!(!operator.actions.iter().any(looks), "{:?}", operator.actions);
}

/// Who looks sees what it waits for; a pause ends the wait, and so does somebody who stops it.
#[test]
fn a_run_that_waits_is_seen_and_can_be_ended() {
    for (ends, expected) in [
        (pause(Some("a"), None), "a#1 skipped(paused), due 13:00:00"),
        (pause(None, None), "a#1 skipped(paused), due 13:00:00"),
        (Operation::StopJob { job: "a".into() }, "a#1 skipped(stopped), due 13:00:00"),
    ] {
        let mut operator = Operator::new(vec![conditioned("a", every(3600), 600, |_| {})]);
        operator.at("13:00");
        let looked = |number, answer| Event::Checked { run: RunId(1), number, answer };
        operator.step(looked(1, Answer::DoNotHold("/mnt is not there".into())));
        let status = operator.scheduler.status();
        let active = &status.active[0];
        assert_eq!((active.doing, status.waiting, status.running), (Doing::Checking, 1, 0));
        let awaits = active.awaits.as_ref().unwrap();
        assert_eq!(&*awaits.reading, "/mnt is not there");
        assert_eq!((awaits.since, awaits.until), (at("13:00"), at("13:10")));
        // Another answer to the same look is none, nor is one to a look that was never asked for.
        assert!(operator.step(looked(1, Answer::Hold)).is_empty());
        assert!(operator.step(looked(7, Answer::Hold)).is_empty());

        assert_eq!(
            operator.ask(start("a")),
            [
                "refused max_instances: `a` is waiting for its conditions: run 1; use --force to start \
              another now"
            ]
        );
        let said = operator.ask(ends);
        assert!(said.contains(&expected.to_owned()), "{said:?}");
        // What comes of a look now is too late.
        assert!(operator.step(looked(1, Answer::Hold)).is_empty());
        assert_eq!(operator.scheduler.status().waiting, 0);
    }
}

/// Another scheduler has the due time: whatever the look finds is of no matter here.
#[test]
fn a_claim_that_is_lost_meanwhile_leaves_nothing_behind() {
    let mut operator = Operator::new(vec![conditioned("a", every(3600), 600, |_| {})]);
    operator.at("13:00");
    assert_eq!(operator.scheduler.status().waiting, 1);
    assert!(operator.step(Event::ClaimLost(RunId(1))).is_empty());
    assert_eq!(operator.scheduler.status().waiting, 0);
    let answer = Answer::Hold;
    assert!(operator.step(Event::Checked { run: RunId(1), number: 1, answer }).is_empty());
    // The next due time is looked at by itself.
    operator.at("14:00");
    assert_eq!(operator.scheduler.status().waiting, 1);
    let answer = Answer::Hold;
    let said = operator.step(Event::Checked { run: RunId(2), number: 1, answer });
    assert_eq!(said, ["start a#2"]);
}

/// What a run waits for is kept for whoever asks, and only for as long as it waits.
#[test]
fn what_is_waited_for_is_remembered() {
    let mut operator = Operator::new(vec![conditioned("a", every(3600), 600, |_| {})]);
    let kept = |operator: &Operator| {
        let entry = |action: &Action| match action {
            Action::Remember(Remember::Entry { list: AWAITS, key, value }) => {
                Some((key.to_string(), value.as_deref().and_then(read_awaits)))
            }
            _ => None,
        };
        operator.actions.iter().filter_map(entry).collect::<Vec<_>>()
    };
    operator.at("13:00");
    assert_eq!(kept(&operator), []);
    let looked = |number, answer| Event::Checked { run: RunId(1), number, answer };
    operator.step(looked(1, Answer::DoNotHold("load 5.0 ≥ 4.0".into())));
    let awaits = operator.scheduler.status().active[0].awaits.clone();
    assert_eq!(kept(&operator), [("1".to_owned(), awaits)]);
    operator.at("13:00:15");
    operator.step(looked(2, Answer::DoNotHold("load 4.5 ≥ 4.0".into())));
    assert_eq!(kept(&operator), [], "it is not written with each look");
    operator.at("13:00:30");
    operator.step(looked(3, Answer::Hold));
    assert_eq!(kept(&operator), [("1".to_owned(), None)]);
}
