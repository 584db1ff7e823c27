//! Facts in few words, and all that a store knows in one value.

use std::collections::BTreeSet;
use std::time::Duration;

use schedrs::event::{Change, JobRecord, Pause, RunId};
use schedrs::instant::Instant;
use schedrs::outcome::Outcome;
use schedrs::store::{
    AttemptRecord, Entries, Fact, Latest, Process, Query, Reader, Restored, RunRecord, Session,
    Store,
};
use schedrs::usage::Usage;

/// So many seconds after the beginning of 2026.
pub(crate) fn at(secs: i64) -> Instant {
    Instant::from_secs(1_767_225_600 + secs)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn process(pid: u32) -> Process {
    Process { pid, start: u64::from(pid) + (1 << 40) }
}

pub(crate) fn session(pid: u32, began: i64) -> Session {
    Session {
        process: process(pid),
        boot: "b007".into(),
        began: at(began),
        seen: at(began),
        stopped: None,
        jobfile: "jobs.toml".into(),
        mark: u32::MAX - pid,
    }
}

pub(crate) fn pause(since: i64) -> Pause {
    Pause { at: at(since), until: Some(at(since + 60)), by: "ann".into(), reason: None }
}

pub(crate) fn job(id: &str, decided: i64) -> JobRecord {
    JobRecord {
        id: id.into(),
        anchor: at(-1000),
        decided: at(decided),
        trigger: "interval 10s".into(),
        since: at(-900),
        pause: None,
        resumed: false,
        added: None,
        overrides: None,
    }
}

pub(crate) fn change(job: Option<&str>, since: i64) -> Change {
    let job = job.map(Box::from);
    Change { at: at(since), job, what: "paused".into(), by: "ann".into(), detail: None }
}

pub(crate) fn admitted(run: u64, job: &str, due: i64) -> Fact {
    Fact::Admitted {
        run: RunId(run),
        job: job.into(),
        due: at(due),
        at: at(due),
        by: None,
        host: None,
        slot: None,
    }
}

pub(crate) fn asked(run: u64, job: &str, due: i64, by: &str) -> Fact {
    let by = Some(by.into());
    Fact::Admitted {
        run: RunId(run),
        job: job.into(),
        due: at(due),
        at: at(due),
        by,
        host: None,
        slot: None,
    }
}

pub(crate) fn starting(run: u64, attempt: u32) -> Fact {
    Fact::Starting { run: RunId(run), attempt }
}

pub(crate) fn started(run: u64, attempt: u32, since: i64) -> Fact {
    let process = process(run as u32 * 10 + attempt);
    Fact::Started { run: RunId(run), attempt, process, at: at(since) }
}

pub(crate) fn attempt_ended(run: u64, attempt: u32, outcome: Outcome, since: i64) -> Fact {
    Fact::AttemptEnded { run: RunId(run), attempt, outcome, at: at(since) }
}

pub(crate) fn ended(run: u64, job: &str, outcome: Outcome, since: i64) -> Fact {
    Fact::Ended {
        run: RunId(run),
        job: job.into(),
        outcome,
        duration: secs(2),
        attempts: 1,
        at: at(since),
        usage: Some(used(run)),
    }
}

/// What a run has used: each another.
pub(crate) fn used(run: u64) -> Usage {
    let cpu = std::time::Duration::from_micros(run * 1234);
    Usage { cpu, max_rss: (run > 1).then_some(run << 22), read: run * 512, written: 0 }
}

/// A run from beginning to end.
pub(crate) fn whole(run: u64, job: &str, due: i64, outcome: Outcome) -> Vec<Fact> {
    vec![
        admitted(run, job, due),
        starting(run, 1),
        started(run, 1, due + 1),
        ended(run, job, outcome, due + 3),
        Fact::Output { run: RunId(run), tail: (*b"said\n").into(), total: 5000 },
    ]
}

pub(crate) fn fate(job: &str, due: i64, last_due: i64, count: u64, outcome: Outcome) -> Fact {
    let (due, last_due, at) = (at(due), at(last_due), at(last_due + 1));
    Fact::Fate { job: job.into(), due, last_due, count, outcome, at, host: None }
}

/// An entry of a list, or that there is none any more.
pub(crate) fn entry(list: &str, key: &str, value: Option<&str>) -> Fact {
    Fact::Entry { list: list.into(), key: key.into(), value: value.map(Box::from) }
}

/// All that a reader can find, comparable between stores: the numbers of records are those of
/// their order.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) records: Vec<RunRecord>,
    latest: Vec<Latest>,
    attempts: Vec<Vec<AttemptRecord>>,
    outputs: Vec<Option<(Vec<u8>, u64)>>,
    jobs: Vec<JobRecord>,
    paused: Option<Pause>,
    pub(crate) changes: Vec<Change>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) lists: Vec<(Box<str>, Entries)>,
}

/// How each job has fared, from all its records.
fn latest_of(records: &[RunRecord]) -> Vec<Latest> {
    let jobs: BTreeSet<&str> = records.iter().map(|record| &*record.job).collect();
    let of = |id| records.iter().filter(move |record| &*record.job == id);
    jobs.into_iter().filter_map(|id| Latest::of_records(id, of(id))).collect()
}

pub(crate) fn seen(reader: &mut dyn Reader) -> Seen {
    let mut records = reader.records(&Query::default()).unwrap();
    let mut latest = reader.latest(None).unwrap();
    assert_eq!(latest, latest_of(&records));
    let numbers: Vec<u64> = records.iter().rev().map(|record| record.seq).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "newest first: {numbers:?}");
    let runs = latest.iter_mut().filter_map(|latest| latest.run.as_mut());
    for record in records.iter_mut().chain(runs) {
        let place = numbers.iter().position(|seq| *seq == record.seq);
        record.seq = place.expect("among all") as u64;
    }
    let runs: Vec<RunId> = records.iter().filter_map(|record| record.run).collect();
    let attempts: Vec<_> = runs.iter().map(|run| reader.attempts(*run).unwrap()).collect();
    let outputs: Vec<_> = runs.iter().map(|run| reader.output(*run).unwrap()).collect();
    let mut details = reader.details(&runs).unwrap();
    for (run, (attempts, output)) in runs.iter().zip(attempts.iter().zip(&outputs)) {
        let details = details.remove(run).unwrap_or_default();
        assert_eq!((&details.attempts, &details.output), (attempts, output), "{run:?}");
    }
    assert_eq!(reader.details(&[]).unwrap(), Default::default());
    Seen {
        latest,
        attempts,
        outputs,
        records,
        jobs: reader.jobs().unwrap(),
        paused: reader.all_paused().unwrap(),
        changes: reader.changes(None, Instant::MIN, Instant::MAX).unwrap(),
        sessions: reader.sessions().unwrap(),
        lists: lists(reader),
    }
}

/// All lists that are not empty.
fn lists(reader: &mut dyn Reader) -> Vec<(Box<str>, Entries)> {
    let names = reader.lists().unwrap().into_iter();
    let lists: Vec<_> = names.map(|list| (list.clone(), reader.entries(&list).unwrap())).collect();
    assert!(lists.iter().all(|(_, entries)| !entries.is_empty()), "{lists:?}");
    lists
}

pub(crate) fn seen_of(store: &dyn Store) -> Seen {
    seen(&mut *store.reader().unwrap())
}

/// What a store knows, its jobs in order.
pub(crate) fn restored(store: &mut dyn Store) -> Restored {
    let mut restored = store.restore().unwrap();
    restored.jobs.sort_by(|a, b| a.id.cmp(&b.id));
    restored
}

/// The columns that the second version of tables has not got.
pub(crate) const NEW_COLUMNS: [&str; 5] =
    ["cpu", "max_rss", "disk_read", "disk_written", "printed"];

/// What the runs have used, the newest first.
pub(crate) fn usages(reader: &mut dyn Reader) -> Vec<Option<Usage>> {
    let records = reader.records(&Query::default()).unwrap();
    records.iter().map(|record| record.usage).collect()
}
