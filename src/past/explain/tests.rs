//! Rows: what there is to know of a job, and the sentence that it comes to. All on 24 November
//! 2026, in UTC, with a job that is due on the hour and at half past.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::{MissReason, Outcome, RunId, SkipReason};
use crate::job::{Grace, Options, Overlap};
use crate::store::Process;
use crate::zone::Database;

/// `HH:MM` or `HH:MM:SS` of the day.
fn at(time: &str) -> Instant {
    let parts: Vec<i64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    let seconds = parts[0] * 3600 + parts[1] * 60 + parts.get(2).copied().unwrap_or(0);
    Instant::from_secs(1_795_478_400 + seconds)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// All there is to know, to be changed by a row.
struct Store {
    job: Option<Arc<Job>>,
    known: Option<JobRecord>,
    all_paused: Option<Pause>,
    records: Vec<RunRecord>,
    attempts: Vec<AttemptRecord>,
    sessions: Vec<Session>,
    changes: Vec<Change>,
    is_running: bool,
    now: Instant,
}

impl Store {
    /// At noon, with schedrs running since midnight.
    fn new() -> Store {
        let text = "[jobs.backup]\ncommand = 'true'\ncron = '0,30 * * * *'\ntimezone = 'UTC'";
        let loaded = crate::jobfile::load_text("t", text, &Database::bundled(), at("12:00"));
        Store {
            job: Some(Arc::clone(&loaded.set.unwrap().jobs[0])),
            known: Some(JobRecord {
                id: "backup".into(),
                anchor: at("00:00"),
                decided: at("11:30"),
                trigger: "".into(),
                since: at("00:00"),
                pause: None,
                resumed: false,
                added: None,
                overrides: None,
            }),
            all_paused: None,
            records: Vec::new(),
            attempts: Vec::new(),
            sessions: vec![session(312, "00:00", "11:59:58", None)],
            changes: Vec::new(),
            is_running: true,
            now: at("11:59:59"),
        }
    }

    fn options(mut self, change: impl FnOnce(&mut Options)) -> Store {
        let job = self.job.take().unwrap();
        let mut options = (*job.options).clone();
        change(&mut options);
        self.job = Some(Arc::new(Job { options: Arc::new(options), ..(*job).clone() }));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Store)) -> Store {
        change(&mut self);
        self
    }

    fn record(mut self, record: RunRecord) -> Store {
        let seq = self.records.len() as u64 + 1;
        self.records.push(RunRecord { seq, ..record });
        self
    }

    fn changed(mut self, time: &str, what: &str, by: &str, detail: Option<&str>) -> Store {
        self.changes.push(Change {
            at: at(time),
            job: Some("backup".into()),
            what: what.into(),
            by: by.into(),
            detail: detail.map(Into::into),
        });
        self
    }

    fn ask(&self, asked: Asked) -> Verdict {
        explain(&Case {
            id: "backup",
            job: self.job.as_deref(),
            executor: None,
            known: self.known.as_ref(),
            all_paused: self.all_paused.as_ref(),
            asked,
            now: self.now,
            zone: &Zone::utc(),
            records: &self.records,
            oldest: self.records.iter().map(|record| record.due).min(),
            attempts: &self.attempts,
            sessions: &self.sessions,
            is_running: self.is_running,
            changes: &self.changes,
        })
    }

    /// Asks about a minute.
    fn minute(&self, time: &str) -> Verdict {
        self.ask(Asked::Within(at(time), at(time).plus(Duration::from_micros(59_999_999))))
    }

    #[track_caller]
    fn says(&self, time: &str, word: &str, text: &str) -> Verdict {
        let verdict = self.minute(time);
        assert_eq!((verdict.word, &*verdict.text), (word, text));
        verdict
    }
}

fn session(pid: u32, began: &str, seen: &str, stopped: Option<&str>) -> Session {
    Session {
        process: Process { pid, start: 1 },
        boot: "b".into(),
        began: at(began),
        seen: at(seen),
        stopped: stopped.map(at),
        jobfile: "jobs.toml".into(),
        mark: 0,
    }
}

fn pause(time: &str, until: Option<&str>, reason: Option<&str>) -> Pause {
    Pause { at: at(time), until: until.map(at), by: "root".into(), reason: reason.map(Into::into) }
}

/// What became of a due time that did not run.
fn fate(due: &str, decided: &str, outcome: Outcome) -> RunRecord {
    RunRecord {
        seq: 0,
        run: None,
        job: "backup".into(),
        due: at(due),
        last_due: at(due),
        count: 1,
        outcome: Some(outcome),
        at: at(decided),
        started: None,
        duration: None,
        attempts: 0,
        process: None,
        by: None,
    }
}

/// A run: its number, due time, start, length and outcome.
fn run(number: u64, due: &str, started: &str, took: u64, outcome: Option<Outcome>) -> RunRecord {
    RunRecord {
        run: Some(RunId(number)),
        started: Some(at(started)),
        duration: outcome.as_ref().map(|_| secs(took)),
        attempts: 1,
        process: Some(Process { pid: 4711, start: 1 }),
        outcome,
        ..fate(due, started, Outcome::Coalesced)
    }
}

fn evidence(verdict: &Verdict, label: &str) -> String {
    let of_it = verdict.evidence.iter().filter(|(own, _)| *own == label);
    of_it.map(|(_, text)| &**text).collect::<Vec<_>>().join(" | ")
}

#[test]
fn it_ran() {
    for (outcome, text) in [
        (Outcome::Succeeded, "run 14 succeeded after 3s"),
        (Outcome::Failed(3), "run 14 failed with exit code 3 after 3s"),
        (Outcome::Killed(9), "run 14 was ended by SIGKILL after 3s"),
        (Outcome::TimedOut, "run 14 was ended by its timeout of 3s"),
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
            "03:00:00 to 03:00:03, begun <1ms after it was due, pid 4711"
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
    assert!(evidence(&verdict, "waited").starts_with("2m 5s before it began, for a slot"));
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
        "run 14 was ended by SIGTERM after 10m: stopped by alice at 03:09:59",
    );
    Store::new()
        .options(|options| options.overlap = Overlap::Replace)
        .record(run(14, "03:00", "03:00", 1801, Some(Outcome::Killed(15))))
        .record(run(15, "03:30", "03:30", 2, Some(Outcome::Succeeded)))
        .says(
            "03:00",
            "killed",
            "run 14 was ended by SIGTERM after 30m 1s: replaced by run 15, due 03:30:00 (overlap = \
             \"replace\")",
        );
    Store::new()
        .with(|store| store.sessions = vec![session(1, "00:00", "03:10:01", Some("03:10:01"))])
        .record(killed())
        .says("03:00", "killed", "run 14 was ended by SIGTERM after 10m: schedrs was stopping");
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
        "skipped: as many runs as max_instances allows were active",
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
        .says("03:00", "skipped", "skipped: alice stopped it before it began");
    Store::new().record(skipped(SkipReason::Stopping)).says(
        "03:00",
        "skipped",
        "skipped: schedrs was stopping before it could begin",
    );
    Store::new().record(skipped(SkipReason::Removed)).says(
        "03:00",
        "skipped",
        "skipped: the job was removed before it could begin",
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
            "coalesced: the due time 03:00:00 stands for it, run 9, which succeeded",
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
        "run 14 was running when schedrs was last seen, at 11:59:58, and it does not run now",
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

#[test]
fn it_was_not_due() {
    let store = Store::new().record(run(14, "03:00", "03:00", 3, Some(Outcome::Failed(1))));
    let verdict = store.says(
        "03:10",
        "not_due",
        "not due: the due times around it are 03:00:00 and 03:30:00",
    );
    assert_eq!(evidence(&verdict, "before"), "that of 03:00:00 failed with exit code 1");
    assert_eq!(evidence(&verdict, "schedule"), "every 30 minutes");
    assert_eq!(verdict.due, None);
    store.says("12:30", "pending", "not due yet: in 30m 1s");
    store.says("12:31", "not_due", "not due: the due times around it are 12:30:00 and 13:00:00");
    // Before it had this schedule.
    let store = store.with(|store| store.known.as_mut().unwrap().since = at("02:00"));
    store.says(
        "01:30",
        "unknown",
        "no record of that time is kept; it has had its present schedule since 02:00:00",
    );
}

#[test]
fn it_has_no_record() {
    let store = Store::new().record(run(14, "03:00", "03:00", 3, Some(Outcome::Succeeded)));
    let verdict =
        store.says("01:30", "forgotten", "no record of it is kept: the oldest is that of 03:00:00");
    assert!(evidence(&verdict, "rule").contains("keep"));
    let verdict = store.minute("03:30");
    assert_eq!(verdict.word, "unaccounted");
    // The latest due time is 11:30, and that is the one.
    assert_eq!(store.ask(Asked::Latest).due, Some(at("11:30")));
    Store::new().with(|store| store.known = None).says(
        "03:00",
        "unknown",
        "no record: schedrs has never run this job with this store",
    );
}

#[test]
fn nobody_was_there_to_decide_it() {
    let down = |grace| {
        Store::new()
            .options(|options| options.misfire_grace_time = grace)
            .with(|store| {
                store.known.as_mut().unwrap().decided = at("10:30");
                store.sessions = vec![session(1, "00:00", "10:42", Some("10:42"))];
                store.is_running = false;
            })
            .ask(Asked::Latest)
    };
    let verdict = down(Grace::Limited(secs(60)));
    assert_eq!((verdict.word, verdict.due), ("not_running", Some(at("11:30"))));
    assert_eq!(verdict.text, "not decided: schedrs does not run; it was stopped at 10:42:00");
    assert_eq!(
        evidence(&verdict, "then"),
        "when schedrs runs again, it will be `missed`: late by 29m 59s, more than \
         misfire_grace_time = \"1m\""
    );
    let verdict = down(Grace::Limited(secs(7200)));
    assert!(evidence(&verdict, "then").contains("run late, if that is by 13:30:00"));
    assert!(evidence(&down(Grace::Forever), "then").contains("forever"));
}

#[test]
fn it_is_paused() {
    let store = Store::new().with(|store| {
        let pause = pause("10:45", Some("14:45"), Some("migration"));
        store.known.as_mut().unwrap().pause = Some(pause);
    });
    let verdict = store.says(
        "11:30",
        "paused",
        "not run: paused by root since 10:45:00 until 14:45:00: migration",
    );
    assert_eq!(evidence(&verdict, "to change"), "`schedrs resume backup`");
    assert_eq!(verdict.next, Some(at("15:00")));
    store.says(
        "13:00",
        "paused",
        "will not run: paused by root since 10:45:00 until 14:45:00: migration",
    );
    store.says("15:00", "pending", "not due yet: in 3h");
    let store = Store::new().with(|store| store.all_paused = Some(pause("10:45", None, None)));
    let verdict =
        store.says("11:30", "paused", "not run: all jobs are paused by root since 10:45:00");
    assert_eq!(verdict.next, None);
    let verdict = Store::new().options(|options| options.paused = true).ask(Asked::Latest);
    assert_eq!(verdict.text, "not due: its definition says `paused = true`");
}

#[test]
fn it_has_not_been_due_yet() {
    let store = Store::new().with(|store| {
        let known = store.known.as_mut().unwrap();
        (known.since, known.decided) = (at("11:40"), at("11:40"));
    });
    let verdict = store.ask(Asked::Latest);
    assert_eq!((verdict.word, verdict.due), ("pending", Some(at("12:00"))));
    assert_eq!(verdict.text, "not due yet: its first due time is in 1s");
    let never = "[jobs.backup]\ncommand = 'true'\ncron = '0 0 30 2 *'";
    let loaded = crate::jobfile::load_text("t", never, &Database::bundled(), at("12:00"));
    let job = loaded.set.unwrap().jobs[0].clone();
    let verdict = Store::new().with(|store| store.job = Some(job)).ask(Asked::Latest);
    assert_eq!((verdict.word, verdict.next), ("never_due", None));
}

#[test]
fn a_job_that_is_gone_still_has_a_past() {
    let store = Store::new()
        .record(run(14, "03:00", "03:00", 3, Some(Outcome::Succeeded)))
        .with(|store| (store.job, store.known) = (None, None));
    let verdict = store.says("03:00", "succeeded", "run 14 succeeded after 3s");
    assert_eq!(evidence(&verdict, "job"), "it is in the jobfile no more");
    store.says("04:00", "unknown", "no record of that time is kept");
}

#[test]
fn of_several_the_one_that_went_wrong() {
    let store = Store::new()
        .record(run(1, "03:00", "03:00", 3, Some(Outcome::Succeeded)))
        .record(run(2, "03:30", "03:30", 3, Some(Outcome::Failed(9))))
        .record(run(3, "04:00", "04:00", 3, Some(Outcome::Succeeded)));
    let verdict = store.ask(Asked::Within(at("03:00"), at("04:00")));
    assert_eq!(verdict.due, Some(at("03:30")));
    assert_eq!(evidence(&verdict, "beside"), "there are 2 other records in that time");
}

#[test]
fn a_jobfile_that_was_edited_since() {
    let verdict = Store::new()
        .with(|store| store.known.as_mut().unwrap().trigger = "another".into())
        .ask(Asked::Latest);
    assert!(evidence(&verdict, "but").contains("not taken over"), "{verdict:?}");
}

/// Records as no scheduler would leave them: there is always an answer, and a known word.
#[test]
fn there_is_always_an_answer() {
    use proptest::prelude::*;
    const WORDS: [&str; 19] = [
        "succeeded",
        "failed",
        "killed",
        "timed_out",
        "not_started",
        "skipped",
        "missed",
        "coalesced",
        "lost",
        "running",
        "waiting",
        "pending",
        "paused",
        "not_due",
        "never_due",
        "not_running",
        "forgotten",
        "unknown",
        "unaccounted",
    ];
    let moment =
        || (0i64..86_400).prop_map(|secs| at("00:00").plus(Duration::from_secs(secs as u64)));
    let outcome = prop_oneof![
        Just(None),
        Just(Some(Outcome::Succeeded)),
        Just(Some(Outcome::Killed(99))),
        Just(Some(Outcome::Skipped(SkipReason::Overlap))),
        Just(Some(Outcome::Skipped(SkipReason::Paused))),
        Just(Some(Outcome::Missed(MissReason::Late(secs(9))))),
        Just(Some(Outcome::Coalesced)),
        Just(Some(Outcome::Lost("\u{1b}[2J".into()))),
    ];
    let record = (moment(), moment(), moment(), proptest::option::of(moment()), outcome, 0u64..3)
        .prop_map(|(due, last, decided, started, outcome, number)| RunRecord {
            due: due.min(last),
            last_due: due.max(last),
            count: number,
            at: decided,
            started,
            duration: started.map(|_| secs(number * 4000)),
            run: (number > 0).then_some(RunId(number)),
            attempts: number as u32,
            outcome,
            ..fate("00:00", "00:00", Outcome::Coalesced)
        });
    let records = proptest::collection::vec(record, 0..8);
    proptest!(|(records in records, from in moment(), until in moment(), now in moment(),
        known in any::<bool>(), running in any::<bool>(), latest in any::<bool>())| {
        let mut store = Store::new();
        store.records = records;
        (store.now, store.is_running) = (now, running);
        if !known {
            store.known = None;
        }
        let asked = if latest { Asked::Latest } else { Asked::Within(from, until) };
        let verdict = store.ask(asked);
        prop_assert!(WORDS.contains(&verdict.word), "{}", verdict.word);
        let is_harmless = !verdict.text.contains(char::is_control);
        prop_assert!(!verdict.text.is_empty() && is_harmless);
    });
}
