//! A day in the life of a scheduler, for the tests of what looks back on it: 24 November 2026 in
//! Berlin, seen at 13:00. It was down from 02:10:03 to 02:55:00, having been killed.

use std::time::Duration;

use super::{History, of};
use crate::core::event::{Change, JobRecord, RunId};
use crate::core::instant::Instant;
use crate::core::outcome::{MissReason, Outcome, SkipReason};
use crate::core::sort;
use crate::core::zone::Database;
use crate::history::fake::Fake;
use crate::store::{AttemptRecord, Process, RunRecord, Session};

pub(in crate::cli::command) const JOBS: &str = r#"
[scheduler]
timezone = "Europe/Berlin"

[executors]
reports = { max_workers = 1 }

[jobs.backup]
command = "restic backup /home"
cron = "0 */3 * * *"

[jobs.poll]
command = "poll"
cron = "* * * * *"
start_date = 2026-11-24T02:00:00
end_date = 2026-11-24T03:00:00

[jobs.report]
command = "report"
cron = "30 6,7,8 * * *"
executor = "reports"

[jobs.new]
command = "true"
interval = "1d"
"#;

/// `HH:MM` or `HH:MM:SS` in Berlin.
pub(in crate::cli::command) fn at(time: &str) -> Instant {
    let parts: Vec<i64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    let seconds = parts[0] * 3600 + parts[1] * 60 + parts.get(2).copied().unwrap_or(0);
    Instant::from_secs(1_795_478_400 - 3600 + seconds)
}

/// What the store knows.
pub(in crate::cli::command) fn store() -> Fake {
    let mut store = Fake {
        sessions: vec![
            session(312, "00:00", "02:10:03", None),
            session(977, "02:55", "12:59:58", Some("12:59:58")),
        ],
        ..Fake::default()
    };
    let zones = Database::bundled();
    let set = crate::jobfile::load_text("t", JOBS, &zones, at("13:00")).set.unwrap();
    for (job, decided) in set.jobs.iter().zip(["12:00", "03:00", "08:30"]) {
        store.jobs.push(JobRecord {
            id: job.id.clone(),
            anchor: at("00:00"),
            decided: at(decided),
            trigger: job.trigger.fingerprint().into(),
            since: at("00:00"),
            pause: None,
            resumed: false,
            added: None,
            overrides: None,
        });
    }
    let seconds = Duration::from_secs;
    // Minutes 00:00 to 02:10, then what was missed, and what runs again.
    for minute in 0..=10 {
        store.add(run("poll", &format!("02:{minute:02}"), 0, 1, Outcome::Succeeded));
    }
    let late = Outcome::Missed(MissReason::Late(seconds(44 * 60)));
    store.add(RunRecord {
        last_due: at("02:53"),
        count: 43,
        ..fate("poll", "02:11", "02:55", late)
    });
    store.add(fate("poll", "02:54", "02:55", Outcome::Coalesced));
    for minute in 55..60 {
        store.add(run("poll", &format!("02:{minute}"), 0, 1, Outcome::Succeeded));
    }
    store.add(run("poll", "03:00", 0, 1, Outcome::Failed(3)));

    store.add(run("backup", "00:00", 0, 4 * 3600, Outcome::Lost("schedrs was killed".into())));
    store.add(run("backup", "03:00", 0, 3 * 3600 + 260, Outcome::Succeeded));
    store.add(fate("backup", "06:00", "06:00", Outcome::Skipped(SkipReason::Overlap)));
    store.add(RunRecord { attempts: 2, ..run("backup", "09:00", 0, 75, Outcome::Killed(15)) });
    store.add(fate("backup", "12:00", "12:10", Outcome::Skipped(SkipReason::Paused)));
    let by_hand = run("backup", "12:34:56", 0, 2, Outcome::Succeeded);
    store.add(RunRecord { by: Some("alice".into()), ..by_hand });

    store.add(run("report", "06:30", 200, 5400, Outcome::TimedOut));
    store.add(run("report", "07:30", 0, 0, Outcome::NotStarted("program report not found".into())));
    let open = run("report", "08:30", 0, 0, Outcome::Succeeded);
    store.add(RunRecord { outcome: None, duration: None, ..open });

    // As they came.
    sort::by_key(&mut store.records, |record| record.at);
    let mut runs = 0;
    for (number, record) in store.records.iter_mut().enumerate() {
        record.seq = number as u64 + 1;
        if let Some(run) = &mut record.run {
            runs += 1;
            *run = RunId(runs);
        }
    }
    let killed = store.run_of("backup", "09:00");
    store.attempts = [(1, "09:00", "09:00:10", 1), (2, "09:00:20", "09:01:15", 0)]
        .map(|(attempt, from, to, code)| {
            let outcome = if code == 1 { Outcome::Failed(1) } else { Outcome::Killed(15) };
            let (started, ended) = (Some(at(from)), Some(at(to)));
            (
                killed,
                AttemptRecord { attempt, process: None, started, ended, outcome: Some(outcome) },
            )
        })
        .to_vec();
    let tail = b"copying 3 files\n\x1b[2J\x1b[31mdisk full\x1b[0m".to_vec();
    store.outputs = vec![
        (killed, tail, 1_258_291),
        (store.run_of("backup", "03:00"), b"all well\n".to_vec(), 9),
    ];
    store.changes = vec![
        change("09:01:15", "backup", "stopped", "alice", Some("run 21")),
        change("11:55", "backup", "paused", "root", Some("disk swap")),
        change("12:10", "backup", "resumed", "root", None),
        change("12:34:56", "backup", "started", "alice", Some("run 22")),
    ];
    store
}

/// The past of that day.
pub(in crate::cli::command) fn history(store: Fake) -> History {
    of(JOBS, at("13:00"), store)
}

fn session(pid: u32, began: &str, seen: &str, stopped: Option<&str>) -> Session {
    Session {
        process: Process { pid, start: 1 },
        boot: "another".into(),
        began: at(began),
        seen: at(seen),
        stopped: stopped.map(at),
        jobfile: "jobs.toml".into(),
        mark: 0,
    }
}

fn change(time: &str, job: &str, what: &str, by: &str, detail: Option<&str>) -> Change {
    Change {
        at: at(time),
        job: Some(job.into()),
        what: what.into(),
        by: by.into(),
        detail: detail.map(Into::into),
    }
}

fn fate(job: &str, due: &str, decided: &str, outcome: Outcome) -> RunRecord {
    RunRecord {
        seq: 0,
        run: None,
        job: job.into(),
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

pub(in crate::cli::command) fn run(
    job: &str,
    due: &str,
    lag: u64,
    took: u64,
    outcome: Outcome,
) -> RunRecord {
    let started = at(due).plus(Duration::from_millis(1) + Duration::from_secs(lag));
    let began = !matches!(outcome, Outcome::NotStarted(_));
    RunRecord {
        run: Some(RunId(0)),
        at: at(due),
        started: began.then_some(started),
        duration: began.then_some(Duration::from_secs(took)),
        attempts: 1,
        process: began.then_some(Process { pid: 4711, start: 1 }),
        ..fate(job, due, due, outcome)
    }
}

impl Fake {
    /// Adds a record.
    pub(in crate::cli::command) fn add(&mut self, record: RunRecord) {
        let seq = self.records.len() as u64 + 1;
        self.records.push(RunRecord { seq, ..record });
    }

    /// The run of a due time.
    pub(in crate::cli::command) fn run_of(&self, job: &str, due: &str) -> RunId {
        let own = |record: &&RunRecord| *record.job == *job && record.due == at(due);
        self.records.iter().find(own).and_then(|record| record.run).unwrap()
    }
}
