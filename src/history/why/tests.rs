//! Rows: what there is to know of a job, and the sentence that it comes to. All on 24 November
//! 2026, in UTC, with a job that is due on the hour and at half past.

mod recorded;
mod unrecorded;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::core::event::Process;
use crate::core::event::RunId;
use crate::core::fleet::{Gone, SessionId};
use crate::core::job::{Grace, Options, Overlap, RunOn};
use crate::core::outcome::{MissReason, Outcome, SkipReason};
use crate::core::zone::Database;

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
    awaits: Option<Awaits>,
    sessions: Vec<Session>,
    changes: Vec<Change>,
    is_running: bool,
    members: Vec<Member>,
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
            awaits: None,
            sessions: vec![session(312, "00:00", "11:59:58", None)],
            changes: Vec::new(),
            is_running: true,
            members: Vec::new(),
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
        answer(&Case {
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
            latest: Latest::of_records("backup", self.records.iter().rev()).as_ref(),
            attempts: &self.attempts,
            awaits: self.awaits.as_ref(),
            sessions: &self.sessions,
            is_running: self.is_running,
            members: &self.members,
            has_hosts: self.records.iter().any(|record| record.host.is_some()),
            changes: &self.changes,
            typed: "",
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
        host: None,
        usage: None,
        printed: None,
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
fn of_several_the_one_that_went_wrong() {
    let store = Store::new()
        .record(run(1, "03:00", "03:00", 3, Some(Outcome::Succeeded)))
        .record(run(2, "03:30", "03:30", 3, Some(Outcome::Failed(9))))
        .record(run(3, "04:00", "04:00", 3, Some(Outcome::Succeeded)));
    let verdict = store.ask(Asked::Within(at("03:00"), at("04:00")));
    assert_eq!(verdict.due, Some(at("03:30")));
    assert_eq!(evidence(&verdict, "beside"), "there are 2 other records at that time");
}

#[test]
fn a_jobfile_that_was_edited_since() {
    let verdict = Store::new()
        .with(|store| store.known.as_mut().unwrap().trigger = "another".into())
        .ask(Asked::Latest);
    assert!(evidence(&verdict, "but").contains("not reloaded yet"), "{verdict:?}");
}

/// Records as no scheduler would leave them: there is always an answer, and a known word.
#[test]
fn there_is_always_an_answer() {
    use proptest::prelude::*;
    const WORDS: [&str; 21] = [
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
        "no_host",
        "not_loaded",
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

fn member(id: u64, host: &str, joined: &str, seen: &str, gone: Option<(&str, u64)>) -> Member {
    let gone = gone.map(|(time, by)| Gone { at: at(time), by: SessionId(by) });
    let (joined, seen) = (at(joined), at(seen));
    Member { joined, seen, gone, ..Member::new(SessionId(id), host) }
}

fn on(host: &str, record: RunRecord) -> RunRecord {
    RunRecord { host: Some(host.into()), ..record }
}

/// Where it was, and why somewhere else than before.
/// Nothing is known of it, and no other jobfile would change that.
#[test]
fn no_host_may_run_it() {
    let gone = member(1, "web1", "00:00", "03:24:43", Some(("03:25:00", 2)));
    let gone = Member { labels: ["eu".into()].into(), ..gone };
    let there = member(2, "web2", "00:00", "11:59", None);
    let with = |members: Vec<Member>, is_known: bool| {
        let store = Store::new()
            .options(|options| options.run_on = RunOn::Labels(["eu".into()].into()))
            .with(|store| store.members = members);
        if is_known { store } else { store.with(|store| store.known = None) }
    };
    let text = "no host has all of its labels: eu";
    let store = with(vec![gone.clone(), there.clone()], false);
    assert_eq!(store.ask(Asked::Latest).text, text);
    let verdict = store.says("12:30", "no_host", text);
    assert_eq!(verdict.next, None);
    // It was there once.
    let store = with(vec![gone.clone(), there.clone()], true);
    let store = store.record(on("web1", run(1, "03:00", "03:00", 3, Some(Outcome::Succeeded))));
    let verdict = store.says("03:00", "succeeded", "run 1 succeeded after 3s");
    assert_eq!(evidence(&verdict, "now"), text);
    // What was due since is not being decided.
    let store = store.with(|store| store.known.as_mut().unwrap().decided = at("09:00"));
    store.says("10:00", "no_host", text);
    // A host has them.
    let fits = Member { labels: ["eu".into(), "disk".into()].into(), ..there };
    let verdict = with(vec![gone, fits], true).minute("12:30");
    assert_eq!((verdict.word, &*evidence(&verdict, "now")), ("pending", ""));
}

#[test]
fn a_handover_is_told_of() {
    let done = || Some(Outcome::Succeeded);
    let lost = || Some(Outcome::Lost("host web2 was silent for 17 s".into()));
    let new = member(1, "web1", "00:00", "11:59", None);
    let before = [(2, None), (2, Some(("03:25:00", 1))), (2, Some(("03:20:00", 2)))];
    let [alive, dead, stopped] =
        before.map(|(id, gone)| member(id, "web2", "00:00", "03:24:43", gone));
    let leaving = Member { leaving: true, ..alive.clone() };
    let reloaded = Member { loaded: at("03:20:00"), ..new.clone() };
    let stranger = member(4, "web3", "03:25:00", "11:59", None);
    let late = member(3, "web1", "03:15:00", "11:59", None);
    let silent = "web2 was silent for 17s; web1 took the job over at 03:25:00";
    for (members, first, expected) in [
        (vec![new.clone(), dead.clone()], done(), silent),
        (vec![new.clone(), dead], lost(), silent),
        (
            vec![new.clone(), stopped],
            done(),
            "web2 was stopped, at 03:20:00; web1 took the job over",
        ),
        (vec![new.clone(), leaving], done(), "web2 is stopping; web1 took the job over"),
        (
            vec![late, alive.clone()],
            done(),
            "web2 had the job before; homes were reassigned when web1 joined, at 03:15:00",
        ),
        (
            vec![reloaded, stranger.clone(), alive.clone()],
            done(),
            "web2 had the job before; homes were reassigned when web1 loaded another jobfile, at 03:20:00",
        ),
        // Who joins takes jobs for itself only.
        (
            vec![new.clone(), stranger, alive],
            done(),
            "web2 had the job before; the job or the fleet has changed",
        ),
        (vec![new], done(), "web2 had the job until 03:00:00; web1 has it since then"),
    ] {
        let is_lost = matches!(first, Some(Outcome::Lost(_)));
        let store = Store::new()
            .record(on("web2", run(1, "03:00", "03:00", 3, first)))
            .record(on("web1", run(2, "03:30", "03:30", 3, done())))
            .with(|store| store.members = members);
        let verdict = store.minute("03:30");
        assert_eq!(evidence(&verdict, "on"), "web1, as assigned by the fleet");
        assert_eq!(evidence(&verdict, "handover"), expected);
        let verdict = store.minute("03:00");
        assert_eq!(evidence(&verdict, "on"), "web2, as assigned by the fleet");
        assert_eq!(evidence(&verdict, "handover"), if is_lost { expected } else { "" });
        let to_come = store.minute("12:30");
        assert_eq!(evidence(&to_come, "on"), "web1, which decided its last due time");
    }
    // Of interest for an hour.
    for (now, expected) in
        [("04:15:00", "web2 had the job until 03:00:00; web1 has it since then"), ("06:00:00", "")]
    {
        let store = Store::new()
            .record(on("web2", run(1, "03:00", "03:00", 3, done())))
            .record(on("web1", run(2, "03:30", "03:30", 3, done())))
            .record(on("web1", run(3, "04:00", "04:00", 3, done())))
            .with(|store| store.now = at(now));
        assert_eq!(evidence(&store.minute("04:00"), "handover"), expected);
    }
    let everywhere = Store::new()
        .record(on("web2", run(1, "03:00", "03:00", 3, done())))
        .record(on("web1", run(2, "03:30", "03:30", 3, done())))
        .options(|options| options.run_on = RunOn::All);
    let verdict = everywhere.minute("03:30");
    assert_eq!(evidence(&verdict, "on"), "web1, as on every host");
    assert_eq!(evidence(&verdict, "handover"), "");
}
