//! Jobs that are due when runs of others have ended: `after = "load"`.

use std::sync::Arc;

use schedrs::event::{Operation, Remember, Response};
use schedrs::fleet::SessionId;
use schedrs::job::RunOn;
use schedrs::scheduler::SavedState;
use schedrs::scheduler::after::{ENDED, JOINS, SavedChains};
use schedrs::trigger::AfterTrigger;
use schedrs::trigger::after::On;

use super::operations::{Operator, pause, resume, start};
use super::scenario::*;
use super::simulation::cron;

/// When these have succeeded.
pub(crate) fn after(parents: &[&str]) -> Trigger {
    after_on(parents, On::Succeeded, None)
}

fn after_on(parents: &[&str], on: On, within: Option<Duration>) -> Trigger {
    let parents: Vec<Box<str>> = parents.iter().map(|&parent| parent.into()).collect();
    Trigger::After(Arc::new(AfterTrigger::new(parents, on, within)))
}

fn exits(codes: &'static [(&'static str, u64, i32)]) -> impl FnMut(&Start) -> Attempt {
    move |start| {
        let known = codes.iter().find(|(id, ..)| *id == &*start.job.id);
        let (_, lasts, code) = known.copied().unwrap_or(("", 1, 0));
        Attempt::Lasts(secs(lasts), Exit::Code(code))
    }
}

/// The due time goes through the whole chain.
#[test]
fn a_chain_has_one_due_time() {
    let jobs = set(vec![
        job("report", after(&["transform"]), |_| {}),
        job("transform", after(&["load"]), |_| {}),
        job("load", every(3600), |_| {}),
    ]);
    Test::with_durations(jobs, &[("load", 120), ("transform", 60)]).until("14:00").expect(
        "13:00:00 start load#1
         13:02:00 load#1 succeeded, due 13:00:00
         13:02:00 start transform#2
         13:03:00 transform#2 succeeded, due 13:00:00
         13:03:00 start report#3
         13:03:01 report#3 succeeded, due 13:00:00",
    );
}

/// The final outcome counts, after retries; and what it has to be is said.
#[test]
fn the_final_outcome_counts() {
    let jobs = || {
        set(vec![
            job("load", once("12:10"), |options| {
                options.retries = 1;
                options.retry_delay = secs(30);
            }),
            job("report", after(&["load"]), |_| {}),
            job("clean", after_on(&["load"], On::Finished, None), |_| {}),
            job("alarm", after_on(&["load"], On::Failed, None), |_| {}),
            job("late", after_on(&["alarm"], On::Finished, Some(secs(60))), |_| {}),
        ])
    };
    Test::trying(jobs(), exits(&[("load", 60, 3), ("alarm", 1, 0)])).until("13:00").expect(
        "12:10:00 start load#1
         12:11:00 load#1 failed(3), attempt 2 in 30s
         12:11:30 start load#1/2
         12:12:30 load#1 failed(3) after 2 attempts, due 12:10:00
         12:12:30 report skipped(parent: load failed), due 12:10:00
         12:12:30 start clean#2
         12:12:30 start alarm#3
         12:12:31 clean#2 succeeded, due 12:10:00
         12:12:31 alarm#3 succeeded, due 12:10:00
         12:12:31 late skipped(parent: alarm took longer than 1m), due 12:10:00",
    );
    Test::trying(jobs(), exits(&[("load", 60, 0)])).until("13:00").expect(
        "12:10:00 start load#1
         12:11:00 load#1 succeeded, due 12:10:00
         12:11:00 start report#2
         12:11:00 start clean#3
         12:11:00 alarm skipped(parent: load succeeded), due 12:10:00
         12:11:00 late skipped(parent: alarm was skipped), due 12:10:00
         12:11:01 report#2 succeeded, due 12:10:00
         12:11:01 clean#3 succeeded, due 12:10:00",
    );
}

/// What does not come to run starts nothing, and says so: with as many due times, in one record.
#[test]
fn a_parent_that_does_not_run_starts_nothing() {
    let jobs = set(vec![job("load", every(60), |_| {}), job("report", after(&["load"]), |_| {})]);
    Test::with_durations(jobs, &[("load", 90)])
        .asleep("12:03:30", "12:30:30")
        .until("12:32:00")
        .expect(
            "12:01:00 start load#1
         12:02:00 load skipped(overlap), due 12:02:00
         12:02:00 report skipped(parent: load was skipped), due 12:02:00
         12:02:30 load#1 succeeded, due 12:01:00
         12:02:30 start report#2
         12:02:31 report#2 succeeded, due 12:01:00
         12:03:00 start load#3
         12:30:30 clock jumped by 1620s
         12:30:30 load missed(late by 1590s), due 12:04:00..12:29:00 (26 of them)
         12:30:30 load skipped(overlap), due 12:30:00
         12:30:30 report skipped(parent: load was missed), due 12:04:00..12:29:00 (26 of them)
         12:30:30 report skipped(parent: load was skipped), due 12:30:00
         12:31:00 load skipped(overlap), due 12:31:00
         12:31:00 report skipped(parent: load was skipped), due 12:31:00
         12:31:30 load#3 succeeded, due 12:03:00
         12:31:30 start report#4
         12:31:31 report#4 succeeded, due 12:03:00",
        );
}

/// Several parents are joined by their due time: where not all have it, it is none of the job's.
#[test]
fn several_parents_are_joined_by_due_time() {
    let jobs = set(vec![
        job("a", cron("*/10 * * * *"), |_| {}),
        job("b", cron("*/15 * * * *"), |_| {}),
        job("both", after(&["a", "b"]), |_| {}),
    ]);
    Test::trying(jobs, exits(&[("a", 60, 0), ("b", 150, 0)])).until("12:35").expect(
        "12:00:00 start a#1
         12:00:00 start b#2
         12:01:00 a#1 succeeded, due 12:00:00
         12:02:30 b#2 succeeded, due 12:00:00
         12:02:30 start both#3
         12:02:31 both#3 succeeded, due 12:00:00
         12:10:00 start a#4
         12:11:00 a#4 succeeded, due 12:10:00
         12:15:00 start b#5
         12:17:30 b#5 succeeded, due 12:15:00
         12:20:00 start a#6
         12:21:00 a#6 succeeded, due 12:20:00
         12:30:00 start a#7
         12:30:00 start b#8
         12:31:00 a#7 succeeded, due 12:30:00
         12:32:30 b#8 succeeded, due 12:30:00
         12:32:30 start both#9
         12:32:31 both#9 succeeded, due 12:30:00",
    );
}

/// The first that has not ended as it has to decides; what the others do then starts nothing.
#[test]
fn one_parent_that_fails_is_enough() {
    let jobs = set(vec![
        job("a", cron("*/30 * * * *"), |_| {}),
        job("b", cron("*/30 * * * *"), |_| {}),
        job("both", after(&["a", "b"]), |_| {}),
    ]);
    Test::trying(jobs, exits(&[("a", 60, 1), ("b", 150, 0)]))
        .asleep("12:10", "14:10:00")
        .until("14:20")
        .expect(
            "12:00:00 start a#1
             12:00:00 start b#2
             12:01:00 a#1 failed(1), due 12:00:00
             12:01:00 both skipped(parent: a failed), due 12:00:00
             12:02:30 b#2 succeeded, due 12:00:00
             14:10:00 clock jumped by 7200s
             14:10:00 a missed(late by 6000s), due 12:30:00..14:00:00 (4 of them)
             14:10:00 b missed(late by 6000s), due 12:30:00..14:00:00 (4 of them)
             14:10:00 both skipped(parent: a was missed), due 12:30:00..14:00:00 (4 of them)",
        );
}

/// Jitter counts from when the parent has ended, and the usual limits hold.
#[test]
fn jitter_and_room_are_those_of_any_job() {
    let jobs = set(vec![
        job("load", every(600), |_| {}),
        job("report", after(&["load"]), |options| options.jitter = secs(300)),
        job("long", after(&["load"]), |_| {}),
    ]);
    let mut test = Test::with_durations(jobs, &[("load", 60), ("long", 900)]);
    let mut starts: Vec<(Instant, Duration)> = Vec::new();
    let mut skipped = 0;
    test.sim.run_until(at("14:00"), &mut |now: Now, action: &Action| match action {
        Action::Start(start) if &*start.job.id == "report" => {
            let ended = start.due.plus(secs(60));
            assert_eq!(now.wall, ended.plus(start.job.delay(start.due)));
            starts.push((start.due, now.wall.since(ended)));
        }
        Action::Record(record) if &*record.job.id == "long" => {
            skipped += u32::from(record.outcome.to_string() == "skipped(overlap)");
        }
        _ => {}
    });
    assert!(starts.len() == 11 && starts.iter().any(|(_, jitter)| !jitter.is_zero()), "{starts:?}");
    assert_eq!(skipped, 5);
}

#[test]
fn a_run_by_hand_of_the_parent_counts_and_so_does_a_pause() {
    let jobs = vec![job("load", every(3600), |_| {}), job("report", after(&["load"]), |_| {})];
    let mut operator = Operator::new(jobs);
    let awaits =
        |operator: &mut Operator| operator.view("report").awaits.unwrap_or_default().to_string();
    assert_eq!(awaits(&mut operator), "after load, which is due 1 Jan 2026 13:00");
    assert_eq!(operator.view("report").next, None);
    operator.at("12:20");
    operator.ask(start("load"));
    operator.started(1);
    assert_eq!(awaits(&mut operator), "after load, which is running");
    assert_eq!(operator.ended(1), ["load#1 succeeded, due 12:20:00", "start report#2"]);
    operator.started(2);
    operator.ended(2);
    // By hand it runs at any time.
    assert_eq!(operator.ask(start("report")), ["start report#3", "started #3"]);
    operator.started(3);
    operator.ended(3);
    operator.ask(pause(Some("report"), None));
    assert_eq!(operator.view("report").awaits, None);
    assert_eq!(operator.at("13:00"), ["start load#4"]);
    operator.started(4);
    assert_eq!(
        operator.ended(4),
        ["load#4 succeeded, due 13:00:00", "report skipped(paused), due 13:00:00"]
    );
    operator.ask(resume(Some("report")));
    // A parent that is paused: its due times are skipped when the pause ends, and so are the child's.
    operator.ask(pause(Some("load"), None));
    assert_eq!(awaits(&mut operator), "after load, which is paused");
    operator.at("15:30");
    let resumed = operator.ask(resume(Some("load")));
    assert_eq!(
        resumed,
        [
            "load skipped(paused), due 14:00:00..15:00:00 (2 of them)",
            "done",
            "report skipped(parent: load was skipped), due 14:00:00..15:00:00 (2 of them)",
        ]
    );
}

#[test]
fn a_reload_makes_and_breaks_chains() {
    let load = || job("load", every(600), |_| {});
    let report = || job("report", after(&["load"]), |_| {});
    let mut operator = Operator::new(vec![load()]);
    operator.at("12:10");
    operator.started(1);
    let reload = |jobs| Event::Reload(Box::new(set(jobs)));
    operator.step(reload(vec![load(), report()]));
    assert_eq!(operator.ended(1).last().unwrap(), "start report#2");
    operator.started(2);
    operator.ended(2);
    operator.at("12:20");
    operator.started(3);
    // The parent goes while it runs, and its run with it: nobody is left to follow it.
    operator.step(reload(vec![job("other", every(600), |_| {}), report()]));
    assert_eq!(
        operator.view("report").awaits.as_deref(),
        Some("after load, which is no job any more")
    );
    assert_eq!(operator.ended(3).last().unwrap(), "start report#4");
    operator.started(4);
    operator.ended(4);
    // What is no chain, and what would be a circle, is refused.
    let add = |job: Job| Operation::Add { job: job.into(), text: "".into(), replace: false };
    let refused = operator.ask(add(job("x", after(&["nobody"]), |_| {})));
    assert_eq!(refused, ["refused no_such_job: no job `nobody`"]);
    let refused = operator.ask(add(job("x", after(&["x"]), |_| {})));
    assert_eq!(refused, ["refused never: `x` would never run: it would be due after itself"]);
    operator.ask(add(job("y", after(&["report"]), |_| {})));
    assert!(operator.view("y").awaits.is_some());
    let circle = Operation::Change {
        job: job("report", after(&["y"]), |_| {}).into(),
        overrides: None,
        what: schedrs::event::ChangeKind::Rescheduled,
        detail: None,
    };
    let refused = operator.ask(circle);
    assert_eq!(refused, ["refused never: `report` would never run: it would be due after itself"]);
}

/// The entries that a store would have.
#[derive(Default)]
struct Entries(Vec<(&'static str, Box<str>, Box<str>)>);

impl Entries {
    fn note(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Remember(Remember::Entry { list, key, value }) = action {
                self.0.retain(|(known, of, _)| known != list || of != key);
                self.0.extend(value.clone().map(|value| (*list, key.clone(), value)));
            }
        }
    }

    fn saved(&self) -> SavedState {
        let of = |list| {
            let entries = self.0.iter().filter(move |entry| entry.0 == list);
            entries.map(|(_, key, value)| (key.clone(), value.clone()))
        };
        SavedState { chains: SavedChains::read(of(ENDED), of(JOINS)), ..SavedState::default() }
    }
}

fn restart(when: &str, jobs: Vec<Job>, saved: SavedState, entries: &mut Entries) -> Vec<String> {
    let now = Now { wall: at(when), mono: Mono::from_micros(3_600_000_000) };
    let mut scheduler = Scheduler::restored(now, set(jobs), SavedState { next_run: 100, ..saved });
    let mut actions = Vec::new();
    scheduler.step(now, Event::Woke, &mut actions);
    entries.note(&actions);
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Start(start) => {
                Some(format!("start {}, due {}", start.job.id, clock(start.due)))
            }
            Action::Record(record) => Some(line_of(record)),
            _ => None,
        })
        .collect()
}

/// A parent that ends while the scheduler stops is followed by the next one; so is one that waits for
/// others, or for its jitter.
#[test]
fn nothing_of_a_chain_is_lost_by_a_restart() {
    let jobs = || {
        vec![
            job("a", cron("*/30 * * * *"), |_| {}),
            job("b", cron("*/30 * * * *"), |_| {}),
            job("both", after(&["a", "b"]), |_| {}),
            job("later", after(&["a"]), |options| options.jitter = secs(3000)),
            job("next", after(&["b"]), |options| options.misfire_grace_time = Grace::Forever),
        ]
    };
    let mut entries = Entries::default();
    let mut operator = Operator::new(jobs());
    entries.note(&operator.actions);
    operator.started(1);
    operator.started(2);
    operator.at("12:01");
    operator.ended(1);
    entries.note(&operator.actions);
    let later = job("later", after(&["a"]), |options| options.jitter = secs(3000));
    let fires = at("12:01").plus(later.delay(NOON));
    assert_eq!(operator.scheduler.next_wakeup().wall, Some(fires.min(at("12:30"))));
    assert_eq!(entries.0.iter().map(|entry| entry.0).collect::<Vec<_>>(), [JOINS, JOINS]);

    // Killed: what waited still does.
    let mut after_crash = Entries(entries.0.clone());
    let mut saved = entries.saved();
    saved.chains.ended.clear();
    let told = restart("12:05", jobs(), saved.clone(), &mut after_crash);
    assert_eq!(told, [""; 0]);
    assert_eq!(after_crash.0.len(), 2);

    // Stopped: b ends while it stops.
    operator.step(Event::Stop);
    let ended = operator.ended(2);
    assert_eq!(ended, ["b#2 succeeded, due 12:00:00"]);
    entries.note(&operator.actions);
    assert_eq!(entries.0.len(), 3);
    let told = restart("12:01:30", jobs(), entries.saved(), &mut entries);
    assert_eq!(told, ["start both, due 12:00:00", "start next, due 12:00:00"]);
    // Only what waits for its jitter is left.
    assert_eq!(entries.0.len(), 1);

    // A day later what waited has been too late for, but for who has the patience.
    let mut entries = Entries::default();
    let mut operator = Operator::new(jobs());
    operator.started(1);
    operator.started(2);
    operator.ended(1);
    entries.note(&operator.actions);
    operator.step(Event::Stop);
    operator.ended(2);
    entries.note(&operator.actions);
    let told = restart("1d 12:05", jobs(), entries.saved(), &mut entries);
    let late = |line: &&String| line.contains("missed(late by 86700s), due 12:00:00");
    assert_eq!(told.iter().filter(late).count(), 1, "{told:?}");
    assert!(told.contains(&"start next, due 12:00:00".to_owned()), "{told:?}");
    assert!(entries.0.is_empty(), "{:?}", entries.0);
}

/// What had not begun when the scheduler died begins with the next.
#[test]
fn a_run_that_had_not_begun_begins_with_the_next_scheduler() {
    let jobs = vec![job("load", every(3600), |_| {}), job("report", after(&["load"]), |_| {})];
    let undecided = vec![("report".into(), at("11:00"))];
    let saved = SavedState { undecided, ..SavedState::default() };
    let told = restart("14:00", jobs, saved, &mut Entries::default());
    assert_eq!(told, ["start report, due 11:00:00"]);
}

/// Where hosts share the store, a job of every host and one of one host cannot be due after each other,
/// whichever of them is added or changed.
#[test]
fn a_chain_is_of_one_host_or_of_every_host() {
    let now = Now { wall: NOON, mono: Mono::default() };
    let each = |options: &mut Options| options.run_on = RunOn::All;
    let jobs = vec![job("each", every(60), each), job("one", every(60), |_| {})];
    let mut scheduler = Scheduler::in_fleet(now, set(jobs), SavedState::default(), SessionId(1));
    let mut add = |id: &str, parent: &str, set: fn(&mut Options)| {
        let job = Arc::new(job(id, after(&[parent]), set));
        let operation = Box::new(Operation::Add { job, text: "".into(), replace: false });
        let mut actions = Vec::new();
        scheduler.step(
            now,
            Event::Operation { ticket: 1, by: "me".into(), operation },
            &mut actions,
        );
        let answer = actions.into_iter().find_map(|action| match action {
            Action::Answer { answer: Response::Refused(fault), .. } => Some(Err(fault.message)),
            Action::Answer { .. } => Some(Ok(())),
            _ => None,
        });
        answer.unwrap()
    };
    let refused = |each: &str, once: &str| {
        Err(format!(
            "`{each}` runs on all hosts, `{once}` on one: neither can be due after the other"
        ))
    };
    assert_eq!(add("a", "one", |options| options.run_on = RunOn::All), refused("a", "one"));
    assert_eq!(add("b", "each", |_| {}), refused("each", "b"));
    assert_eq!(add("c", "each", |options| options.run_on = RunOn::All), Ok(()));
    assert_eq!(add("d", "one", |_| {}), Ok(()));
}
