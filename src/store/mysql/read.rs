//! Rows become records: what people and programs ask, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use super::cells::{
    Odd, Row, all, bytes_or_none, instant, instant_or_none, number, number_or_none, text,
    text_or_none,
};
use super::link::Link;
use super::literal;
use super::schema::named;
use super::settings::Settings;
use super::write::NOW;
use crate::core::event::{Change, ChangeKind, JobRecord, Pause, Process, RunId};
use crate::core::fleet::{Gone, Member, SessionId};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::store::shared::REMEMBERED;
use crate::store::{
    AttemptRecord, OpenRun, Query, Reader, Restored, RunRecord, Session, StoreError, encode,
};

const RECORD: &str = "SELECT r.seq, r.job, r.due, r.last_due, r.count, r.at, r.run, r.outcome, \
     r.number, r.reason, r.started, r.duration, r.attempts, r.pid, r.pid_start, r.`by`, r.begun, \
     r.host FROM ~record r";
pub(super) const JOB: &str = "SELECT j.name, j.decided, j.anchor, j.`trigger`, j.since, j.resumed, \
     j.added, j.overrides, j.paused_at, j.paused_until, j.paused_by, j.paused_reason FROM ~job j";
pub(super) const PAUSED: &str =
    "SELECT paused_at, paused_until, paused_by, paused_reason FROM ~store";
/// What is open, with the end of its last attempt and where it is.
pub(super) const OPEN: &str = "SELECT r.seq, r.job, r.due, r.last_due, r.count, r.at, r.run, \
     a.outcome, a.number, a.reason, r.started, r.duration, r.attempts, r.pid, r.pid_start, r.`by`, \
     a.ended, r.host, r.session, r.slot FROM ~record r LEFT JOIN ~attempt a ON a.run = r.run \
     AND a.attempt = r.attempts WHERE r.open = 1";
const LIFE: &str =
    "SELECT pid, pid_start, boot, began, seen, stopped, jobfile, mark FROM ~life ORDER BY id";
pub(super) const MEMBER: &str = "SELECT id, host, labels, machine, boot, mark, pid, pid_start, \
     version, tzdata, jobfile, jobfile_hash, loaded, joined, seen, ahead, beat, generation, leaving, \
     gone_at, gone_by, jobs_at_home, running FROM ~member";

type Read<T> = Result<T, Odd>;

/// Which of the sessions are told of.
pub(super) fn recent() -> String {
    format!("gone_at IS NULL OR gone_at >= {NOW} - {REMEMBERED}")
}

/// The three columns of an outcome, from the first of them on.
fn outcome(row: &Row, first: usize) -> Read<Option<Outcome>> {
    let Some(word) = text_or_none(row, first)? else { return Ok(None) };
    let reason = text_or_none(row, first + 2)?;
    Ok(Some(encode::outcome(&word, number_or_none(row, first + 1)?, reason.as_deref())))
}

/// The two columns of a process.
fn process(row: &Row, first: usize) -> Read<Option<Process>> {
    let Some(pid) = number_or_none(row, first)? else { return Ok(None) };
    let start = number_or_none(row, first + 1)?.unwrap_or(0) as u64;
    Ok(Some(Process { pid: pid as u32, start }))
}

/// The four columns of a pause.
pub(super) fn pause(row: &Row, first: usize) -> Read<Option<Pause>> {
    let Some(at) = instant_or_none(row, first)? else { return Ok(None) };
    let by = text_or_none(row, first + 2)?.unwrap_or_default();
    let until = instant_or_none(row, first + 1)?;
    Ok(Some(Pause { at, until, by, reason: text_or_none(row, first + 3)? }))
}

pub(super) fn run_id(number: i64) -> RunId {
    RunId(number as u64)
}

fn record(row: &Row) -> Read<RunRecord> {
    let micros = |micros: i64| Duration::from_micros(micros.max(0) as u64);
    Ok(RunRecord {
        seq: number(row, 0)? as u64,
        job: text(row, 1)?,
        due: instant(row, 2)?,
        last_due: instant(row, 3)?,
        count: number(row, 4)? as u64,
        at: instant(row, 5)?,
        run: number_or_none(row, 6)?.map(run_id),
        outcome: outcome(row, 7)?,
        started: instant_or_none(row, 10)?,
        duration: number_or_none(row, 11)?.map(micros),
        attempts: number(row, 12)? as u32,
        process: process(row, 13)?,
        by: text_or_none(row, 15)?,
        host: text_or_none(row, 17)?,
    })
}

pub(super) fn open_run(row: &Row) -> Read<OpenRun> {
    Ok(OpenRun {
        run: run_id(number(row, 6)?),
        job: text(row, 1)?,
        due: instant(row, 2)?,
        by: text_or_none(row, 15)?,
        attempt: number(row, 12)? as u32,
        process: process(row, 13)?,
        started: instant_or_none(row, 10)?,
        last: outcome(row, 7)?,
        last_ended: instant_or_none(row, 16)?,
    })
}

pub(super) fn job(row: &Row) -> Read<JobRecord> {
    Ok(JobRecord {
        id: text(row, 0)?,
        decided: instant(row, 1)?,
        anchor: instant(row, 2)?,
        trigger: text(row, 3)?,
        since: instant(row, 4)?,
        resumed: number(row, 5)? != 0,
        added: text_or_none(row, 6)?,
        overrides: text_or_none(row, 7)?,
        pause: pause(row, 8)?,
    })
}

fn session(row: &Row) -> Read<Session> {
    Ok(Session {
        process: process(row, 0)?.ok_or(Odd)?,
        boot: text(row, 2)?,
        began: instant(row, 3)?,
        seen: instant(row, 4)?,
        stopped: instant_or_none(row, 5)?,
        jobfile: text(row, 6)?,
        mark: number(row, 7)? as u32,
    })
}

pub(super) fn member(row: &Row) -> Read<Member> {
    let gone_by = SessionId(number_or_none(row, 20)?.unwrap_or(0) as u64);
    let labels: Vec<Box<str>> =
        serde_json::from_slice(bytes_or_none(row, 2)?.ok_or(Odd)?).map_err(|_| Odd)?;
    Ok(Member {
        id: SessionId(number(row, 0)? as u64),
        host: text(row, 1)?,
        labels: labels.into(),
        machine: text(row, 3)?,
        boot: text(row, 4)?,
        mark: number(row, 5)? as u32,
        process: process(row, 6)?.ok_or(Odd)?,
        version: text(row, 8)?,
        tzdata: text(row, 9)?,
        jobfile: text(row, 10)?,
        jobfile_hash: number(row, 11)? as u64,
        loaded: instant(row, 12)?,
        joined: instant(row, 13)?,
        seen: instant(row, 14)?,
        offset: number(row, 15)?,
        beat: number(row, 16)? as u64,
        generation: number(row, 17)? as u64,
        leaving: number(row, 18)? != 0,
        gone: instant_or_none(row, 19)?.map(|at| Gone { at, by: gone_by }),
        jobs_at_home: number(row, 21)? as u32,
        running: number(row, 22)? as u32,
    })
}

fn attempt(row: &Row) -> Read<AttemptRecord> {
    Ok(AttemptRecord {
        attempt: number(row, 0)? as u32,
        process: process(row, 1)?,
        started: instant_or_none(row, 3)?,
        ended: instant_or_none(row, 4)?,
        outcome: outcome(row, 5)?,
    })
}

fn change(row: &Row) -> Read<Change> {
    Ok(Change {
        at: instant(row, 0)?,
        job: text_or_none(row, 1)?,
        what: ChangeKind::from(&*text(row, 2)?),
        by: text(row, 3)?,
        detail: text_or_none(row, 4)?,
    })
}

/// What a store knew when it was opened.
pub(super) fn restored(link: &mut Link) -> Result<Restored, StoreError> {
    let next = "SELECT GREATEST(next_run, COALESCE((SELECT MAX(run) FROM ~record), 0) + 1) \
                FROM ~store";
    let statements = [
        named(&format!("{JOB} ORDER BY j.name")),
        named(PAUSED),
        named(&format!("{OPEN} ORDER BY r.seq")),
        named(next),
        named(&format!("{LIFE} DESC LIMIT 1")),
    ];
    let answers = link.transaction(&statements)?;
    let url = &link.settings.url;
    let next = all(url, answers.get(3), |row| number(row, 0))?;
    Ok(Restored {
        jobs: all(url, answers.first(), job)?,
        all_paused: all(url, answers.get(1), |row| pause(row, 0))?.pop().flatten(),
        open: all(url, answers.get(2), open_run)?,
        next_run: next.first().map_or(1, |next| *next as u64),
        last_session: all(url, answers.get(4), session)?.pop(),
    })
}

/// Reads a store.
#[derive(Debug)]
pub(super) struct MysqlReader {
    link: Link,
}

impl MysqlReader {
    /// Connects with the first question.
    pub(super) fn new(settings: Arc<Settings>) -> MysqlReader {
        MysqlReader { link: Link::new(settings, false) }
    }

    fn ask<T>(&mut self, sql: &str, of: impl Fn(&Row) -> Read<T>) -> Result<Vec<T>, StoreError> {
        let answers = self.link.ask(&[named(sql)])?;
        all(&self.link.settings.url, answers.first(), of)
    }
}

/// The statement that finds the records that a query wants.
fn wanted(query: &Query) -> String {
    let micros = |at: Option<Instant>| at.map(Instant::micros);
    let before = query.before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
    let mut conditions = Vec::new();
    for (condition, value) in [
        ("r.run =", query.run.map(|run| run.0 as i64)),
        ("r.last_due >=", micros(query.since)),
        ("r.due <=", micros(query.until)),
        ("r.seq <", before),
    ] {
        conditions.extend(value.map(|value| format!("{condition} {value}")));
    }
    for (column, value) in [("r.job", &query.job), ("r.host", &query.host)] {
        let value = value.as_deref();
        conditions.extend(value.map(|value| format!("{column} = {}", literal::text(value))));
    }
    if query.failed {
        conditions.push("r.failed = 1".to_owned());
    }
    let mut sql = RECORD.to_owned();
    if !conditions.is_empty() {
        sql = format!("{sql} WHERE {}", conditions.join(" AND "));
    }
    sql.push_str(" ORDER BY r.seq DESC");
    if query.limit > 0 {
        sql = format!("{sql} LIMIT {}", query.limit);
    }
    sql
}

impl Reader for MysqlReader {
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError> {
        self.ask(&wanted(query), record)
    }

    fn last_of_each(&mut self) -> Result<Vec<RunRecord>, StoreError> {
        let last = "SELECT MAX(seq) AS seq FROM ~record WHERE outcome IS NOT NULL GROUP BY job";
        let sql = format!("{RECORD} JOIN ({last}) l ON l.seq = r.seq");
        let mut found = self.ask(&sql, record)?;
        found.sort_unstable_by(|a, b| a.job.cmp(&b.job));
        Ok(found)
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let number = run.0 as i64;
        let kept = format!(
            "SELECT attempt, pid, pid_start, begun, ended, outcome, number, reason FROM ~attempt \
             WHERE run = {number} ORDER BY attempt"
        );
        let mut found = self.ask(&kept, attempt)?;
        // The last one is in the record of the run, unless another was to follow it.
        let of_run = |row: &Row| Ok((record(row)?, instant_or_none(row, 16)?));
        for (record, begun) in self.ask(&format!("{RECORD} WHERE r.run = {number}"), of_run)? {
            found.extend(record.last_attempt(begun, found.last()));
        }
        Ok(found)
    }

    fn output(&mut self, run: RunId) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        let sql = format!("SELECT tail, total FROM ~output WHERE run = {}", run.0 as i64);
        let output = |row: &Row| {
            let tail = bytes_or_none(row, 0)?.ok_or(Odd)?;
            Ok((tail.to_vec(), number(row, 1)? as u64))
        };
        Ok(self.ask(&sql, output)?.pop())
    }

    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        Ok(self.ask(&format!("{JOB} WHERE j.name = {}", literal::text(id)), job)?.pop())
    }

    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError> {
        self.ask(&format!("{JOB} ORDER BY j.name"), job)
    }

    fn all_paused(&mut self) -> Result<Option<Pause>, StoreError> {
        Ok(self.ask(PAUSED, |row| pause(row, 0))?.pop().flatten())
    }

    fn changes(
        &mut self,
        job: Option<&str>,
        from: Instant,
        until: Instant,
    ) -> Result<Vec<Change>, StoreError> {
        let about = job.map_or(String::new(), |job| {
            format!("AND (job IS NULL OR job = {})", literal::text(job))
        });
        let sql = format!(
            "SELECT at, job, what, `by`, detail FROM ~change WHERE at >= {} AND at <= {} {about} \
             ORDER BY at, id",
            from.micros(),
            until.micros(),
        );
        self.ask(&sql, change)
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        self.ask(LIFE, session)
    }

    fn members(&mut self) -> Result<Vec<Member>, StoreError> {
        self.ask(&format!("{MEMBER} WHERE {} ORDER BY joined, id", recent()), member)
    }
}
