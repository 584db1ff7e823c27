//! Due times that have a record.

use super::*;
use crate::core::condition::Conditions;

#[test]
fn it_ran() {
    for (outcome, text) in [
        (Outcome::Succeeded, "run 14 succeeded after 3s"),
        (Outcome::Failed(3), "run 14 failed with exit code 3 after 3s"),
        (Outcome::Killed(9), "run 14 was killed by SIGKILL after 3s"),
        (Outcome::TimedOut, "run 14 was stopped by its timeout of 3s"),
        (Outcome::NotStarted("no such file".into()), "run 14 could not be started: no such file"),
    ] {
        let store = Store::new().options(|options| options.timeout = Some(secs(3)));
        let word = outcome.word();
        let store = store.record(run(14, "03:00", "03:00", 3, Some(outcome)));
        let verdict = store.says("03:00", word, text);
        assert_eq!(verdict.due, Some(at("03:00")));
        assert_eq!(verdict.next, Some(at("12:00")));
        assert_eq!(
            evidence(&verdict, "ran"),
            "03:00:00 to 03:00:03, started <1ms after it was due, pid 4711"
        );
    }
}

#[test]
fn it_waited_and_was_tried_again() {
    let tried = |attempt, from: &str, to: &str, outcome| AttemptRecord {
        attempt,
        process: None,
        started: Some(at(from)),
        ended: Some(at(to)),
        outcome: Some(outcome),
    };
    let record = RunRecord {
        at: at("03:00"),
        attempts: 2,
        ..run(14, "03:00", "03:02:05", 25, Some(Outcome::Succeeded))
    };
    let verdict = Store::new()
        .record(record)
        .with(|store| {
            store.attempts = vec![
                tried(1, "03:02:05", "03:02:10", Outcome::Failed(1)),
                tried(2, "03:02:20", "03:02:30", Outcome::Succeeded),
            ];
        })
        .says("03:00", "succeeded", "run 14 succeeded after 25s");
    assert!(evidence(&verdict, "waited").starts_with("2m 5s before it started, for a slot"));
    assert_eq!(
        evidence(&verdict, "attempt"),
        "1 03:02:05 to 03:02:10: failed with exit code 1 | 2 03:02:20 to 03:02:30: succeeded"
    );
}

#[test]
fn it_was_killed_by_somebody() {
    let killed = || run(14, "03:00", "03:00", 600, Some(Outcome::Killed(15)));
    Store::new().record(killed()).changed("03:09:59", "stopped", "alice", Some("run 14")).says(
        "03:00",
        "killed",
        "run 14 was killed by SIGTERM after 10m: stopped by alice at 03:09:59",
    );
    Store::new()
        .options(|options| options.overlap = Overlap::Replace)
        .record(run(14, "03:00", "03:00", 1801, Some(Outcome::Killed(15))))
        .record(run(15, "03:30", "03:30", 2, Some(Outcome::Succeeded)))
        .says(
            "03:00",
            "killed",
            "run 14 was killed by SIGTERM after 30m 1s: replaced by run 15, due 03:30:00 (overlap = \
             \"replace\")",
        );
    // Of several runs beside each other only one replaced it: the last that began until then.
    Store::new()
        .options(|options| {
            options.overlap = Overlap::Replace;
            options.kill_after = std::time::Duration::from_secs(10);
        })
        .record(run(14, "03:00", "03:00", 1801, Some(Outcome::Killed(15))))
        .record(run(15, "03:10", "03:10", 0, None))
        .record(run(16, "03:30", "03:30", 0, None))
        .says(
            "03:00",
            "killed",
            "run 14 was killed by SIGTERM after 30m 1s: replaced by run 16, due 03:30:00 (overlap = \
             \"replace\")",
        );
    let stopping = |at: &str| {
        Store::new()
            .with(|store| store.sessions = vec![session(1, "00:00", "03:10:01", Some("03:10:01"))])
            .changed(at, "stopping", "schedrs", None)
            .with(|store| store.changes[0].job = None)
            .record(killed())
    };
    stopping("03:09:58").says(
        "03:00",
        "killed",
        "run 14 was killed by SIGTERM after 10m: schedrs had been stopping since 03:09:58",
    );
    // What ended before that was ended by something else.
    let verdict = stopping("03:10:01").minute("03:00");
    assert!(evidence(&verdict, "by whom").contains("out of memory"), "{verdict:?}");
    // It went well when it was told to end, and is no whole run all the same.
    let verdict = Store::new()
        .record(run(14, "03:00", "03:00", 600, Some(Outcome::Succeeded)))
        .changed("03:09:59", "stopped", "alice", Some("run 14"))
        .says("03:00", "succeeded", "run 14 succeeded after 10m");
    assert_eq!(evidence(&verdict, "told to end"), "by alice at 03:09:59");
    let verdict = Store::new().record(killed()).minute("03:00");
    assert!(evidence(&verdict, "by whom").contains("out of memory"), "{verdict:?}");
}

#[test]
fn it_overlapped() {
    let skipped = || fate("03:00", "03:00", Outcome::Skipped(SkipReason::Overlap));
    let verdict = Store::new()
        .record(run(1430, "02:00", "02:00", 60, Some(Outcome::Succeeded)))
        .record(run(1431, "02:30", "02:58:10", 370, Some(Outcome::Failed(2))))
        .record(skipped())
        .says("03:00", "skipped", "skipped: run 1431 was still going");
    assert_eq!(
        evidence(&verdict, "blocked by"),
        "run 1431, due 02:30:00: ran 02:58:10 to 03:04:20, failed with exit code 2"
    );
    assert_eq!(evidence(&verdict, "rule"), "max_instances = 1, overlap = \"skip\"");
    // One that waited itself, until there was a newer one to wait.
    let verdict = Store::new()
        .options(|options| options.overlap = Overlap::Queue)
        .record(run(7, "02:30", "02:30", 0, None))
        .record(RunRecord {
            duration: Some(std::time::Duration::from_secs(900)),
            started: None,
            ..run(8, "03:00", "03:00", 0, Some(Outcome::Skipped(SkipReason::Overlap)))
        })
        .record(RunRecord { started: None, ..run(9, "03:15", "03:15", 0, None) })
        .says(
            "03:00",
            "skipped",
            "skipped: run 8 was still waiting when replaced by a newer due time",
        );
    assert_eq!(evidence(&verdict, "newer"), "run 9, due 03:15:00");
    // One that still goes on, beside one that was started by hand.
    let verdict = Store::new()
        .record(run(7, "02:30", "02:30", 0, None))
        .record(RunRecord { by: Some("alice".into()), ..run(8, "02:45", "02:45", 0, None) })
        .record(skipped())
        .says("03:00", "skipped", "skipped: runs 7 and 8 were still going");
    assert!(evidence(&verdict, "blocked by").contains("due 02:30:00: running since 02:30:00"));
    Store::new().record(skipped()).says(
        "03:00",
        "skipped",
        "skipped: already running (max_instances reached)",
    );
}

#[test]
fn it_was_paused() {
    let skipped = || RunRecord {
        last_due: at("04:30"),
        count: 4,
        ..fate("03:00", "04:45", Outcome::Skipped(SkipReason::Paused))
    };
    let verdict = Store::new()
        .changed("02:50", "paused", "root", Some("disk swap"))
        .changed("04:45", "resumed", "alice", None)
        .record(skipped())
        .says("03:30", "skipped", "skipped: paused by root from 02:50:00 to 04:45:00: disk swap");
    assert_eq!(evidence(&verdict, "resumed"), "by alice at 04:45:00");
    assert_eq!(
        evidence(&verdict, "with it"),
        "4 due times 03:00:00 to 04:30:00 share this outcome"
    );
    assert_eq!(verdict.due, Some(at("03:30")));
    // All of them, until a time.
    let verdict = Store::new()
        .changed("02:50", "paused", "root", None)
        .with(|store| store.changes[0].job = None)
        .record(skipped())
        .says(
            "03:00",
            "skipped",
            "skipped: all jobs were paused by root from 02:50:00 to 04:45:00",
        );
    assert_eq!(evidence(&verdict, "resumed"), "by itself at 04:45:00");
}

#[test]
fn it_was_stopped_before_it_began() {
    let skipped = |reason| fate("03:00", "03:00:05", Outcome::Skipped(reason));
    Store::new()
        .record(skipped(SkipReason::Stopped))
        .changed("03:00:05", "stopped", "alice", Some("run 3"))
        .says("03:00", "skipped", "skipped: alice stopped it before it started");
    Store::new().record(skipped(SkipReason::Stopping)).says(
        "03:00",
        "skipped",
        "skipped: schedrs was stopping before it started",
    );
    Store::new().record(skipped(SkipReason::Removed)).says(
        "03:00",
        "skipped",
        "skipped: the job was removed before it started",
    );
}

#[test]
fn it_was_missed() {
    let late = |count| RunRecord {
        last_due: if count == 1 { at("02:30") } else { at("03:30") },
        count,
        ..fate("02:30", "03:45", Outcome::Missed(MissReason::Late(secs(4500))))
    };
    let lives = |stopped: Option<&str>| {
        vec![session(312, "00:00", "02:10:03", stopped), session(977, "03:45", "11:59:58", None)]
    };
    let verdict = Store::new()
        .with(|store| store.sessions = lives(Some("02:10:03")))
        .record(late(1))
        .says("02:30", "missed", "missed: schedrs was down from 02:10:03 to 03:45:00");
    assert_eq!(evidence(&verdict, "down"), "it was stopped at 02:10:03 (pid 312)");
    assert_eq!(evidence(&verdict, "late by"), "1h 15m, more than misfire_grace_time = \"1m\"");
    // Killed; and one in the middle of several is less late than the first of them.
    let verdict = Store::new().with(|store| store.sessions = lives(None)).record(late(3)).says(
        "03:30",
        "missed",
        "missed: schedrs was down from 02:10:03 to 03:45:00",
    );
    assert!(evidence(&verdict, "down").contains("last seen at 02:10:03 (pid 312) and not stopped"));
    assert!(evidence(&verdict, "late by").starts_with("15m, more"), "{verdict:?}");
    // Nobody was down.
    Store::new().record(late(1)).says(
        "02:30",
        "missed",
        "missed: schedrs was up, but got to it only at 03:45:00: the machine slept, was too busy, \
         or had its clock set",
    );
    let waited = Outcome::Missed(MissReason::Waited(secs(300)));
    let verdict = Store::new()
        .options(|options| options.max_wait = Some(secs(300)))
        .record(fate("03:00", "03:05", waited))
        .says("03:00", "missed", "missed: it waited 5m for a slot, longer than max_wait allows");
    assert_eq!(evidence(&verdict, "rule"), "max_wait = \"5m\"");
}

#[test]
fn it_was_coalesced() {
    let coalesced =
        RunRecord { last_due: at("02:30"), count: 2, ..fate("02:00", "03:10", Outcome::Coalesced) };
    let stands =
        RunRecord { at: at("03:10"), ..run(9, "03:00", "03:10", 5, Some(Outcome::Succeeded)) };
    let verdict = Store::new()
        .with(|store| {
            store.sessions = vec![
                session(312, "00:00", "01:55", Some("01:55")),
                session(977, "03:10", "11:59:58", None),
            ];
        })
        .record(run(8, "01:30", "01:30", 5, Some(Outcome::Succeeded)))
        .record(coalesced)
        .record(stands)
        .says(
            "02:00",
            "coalesced",
            "coalesced: covered by the due time 03:00:00, run 9, which succeeded",
        );
    assert_eq!(evidence(&verdict, "down"), "schedrs was down from 01:55:00 to 03:10:00");
}

#[test]
fn it_goes_on() {
    let store = Store::new().record(run(14, "11:30", "11:30", 0, None));
    store.says("11:30", "running", "run 14 has been running since 11:30:00, for 29m 59s");
    let store = store.with(|store| store.is_running = false);
    store.says(
        "11:30",
        "not_running",
        "run 14 was running when schedrs was last seen, at 11:59:58, and schedrs is not running now",
    );
    // Between two attempts nothing of it runs.
    Store::new()
        .record(run(14, "11:30", "11:30", 0, None))
        .with(|store| {
            store.attempts = vec![AttemptRecord {
                attempt: 1,
                process: None,
                started: Some(at("11:30")),
                ended: Some(at("11:30:04")),
                outcome: Some(Outcome::Failed(1)),
            }];
        })
        .says(
            "11:30",
            "waiting",
            "run 14 is waiting for a retry: attempt 1 failed with exit code 1 at 11:30:04",
        );
    let waiting = RunRecord { started: None, attempts: 0, ..run(14, "11:30", "11:30", 0, None) };
    let verdict = Store::new().record(waiting).minute("11:30");
    assert_eq!(verdict.word, "waiting");
    assert!(
        verdict.text.starts_with("run 14 has been waiting since 11:30:00, for a slot"),
        "{}",
        verdict.text
    );
}

#[test]
fn a_condition_does_not_hold() {
    let conditions = |options: &mut Options| {
        options.only_if =
            Some(Arc::new(Conditions { load_below: Some(4.0), ..Conditions::default() }));
        options.wait_for = secs(1800);
    };
    let waiting = RunRecord { started: None, attempts: 0, ..run(14, "11:30", "11:30", 0, None) };
    let awaits =
        Awaits { reading: "load 7.2 ≥ 4.0".into(), since: at("11:30"), until: at("12:00") };
    Store::new()
        .options(conditions)
        .record(waiting.clone())
        .with(|store| store.awaits = Some(awaits))
        .says(
            "11:30",
            "waiting",
            "run 14 has been waiting for its conditions since 11:30:00, until 12:00:00 at most: load 7.2 ≥ 4.0",
        );
    // It has just been asked whether they hold.
    let verdict = Store::new().options(conditions).record(waiting.clone()).minute("11:30");
    assert!(
        verdict.text.contains("since 11:30:00, for its conditions, or for a slot"),
        "{verdict:?}"
    );

    let outcome = Some(Outcome::Skipped(SkipReason::condition("load 7.2 ≥ 4.0")));
    let verdict = Store::new().options(conditions).record(RunRecord { outcome, ..waiting }).says(
        "11:30",
        "skipped",
        "skipped: only_if did not hold (load 7.2 ≥ 4.0)",
    );
    assert_eq!(evidence(&verdict, "only_if"), "load below 4.0");
    assert_eq!(evidence(&verdict, "rule"), "wait_for = \"30m\"");
}

#[test]
fn it_was_started_by_hand() {
    let by_hand = RunRecord {
        by: Some("alice".into()),
        ..run(14, "11:47:12", "11:47:12", 3, Some(Outcome::Succeeded))
    };
    let store =
        Store::new().record(run(13, "11:30", "11:30", 3, Some(Outcome::Succeeded))).record(by_hand);
    store.says("11:47", "succeeded", "run 14, started by alice, succeeded after 3s");
    // It is also the latest.
    let verdict = store.ask(Asked::Latest);
    assert_eq!((verdict.word, verdict.due), ("succeeded", Some(at("11:47:12"))));
}

#[test]
fn it_was_lost() {
    let verdict = Store::new()
        .with(|store| {
            store.sessions =
                vec![session(312, "00:00", "03:10", None), session(977, "03:45", "11:59", None)];
        })
        .record(run(14, "03:00", "03:00", 0, Some(Outcome::Lost("schedrs was killed".into()))))
        .says("03:00", "lost", "run 14 was lost: schedrs was killed");
    assert!(evidence(&verdict, "schedrs").starts_with("pid 312 was last seen at 03:10:00"));
}

/// A retry is in nobody's way, and the run then has the outcome of its last attempt.
#[test]
fn a_retry_that_was_superseded() {
    let with = |options: fn(&mut Options)| {
        Store::new()
            .options(options)
            .record(run(14, "03:00", "03:00", 3, Some(Outcome::Failed(1))))
            .record(run(15, "03:30", "03:30", 3, Some(Outcome::Succeeded)))
    };
    let retries = |options: &mut Options| (options.retries, options.retry_delay) = (3, secs(3600));
    let verdict = with(retries).says("03:00", "failed", "run 14 failed with exit code 1 after 3s");
    assert_eq!(
        evidence(&verdict, "retry"),
        "attempt 2 was to follow; the due time 03:30:00 (run 15) came first and superseded it"
    );
    // Where no attempt was to follow, or would have been made before, or somebody has stopped it.
    let stopped = with(retries).changed("03:10", "stopped", "ann", None);
    for other in [
        with(|options| options.retries = 0),
        with(|options| (options.retries, options.retry_delay) = (3, secs(60))),
        stopped,
    ] {
        assert_eq!(evidence(&other.minute("03:00"), "retry"), "");
    }
}
