//! Rows become records: what people and programs ask, on a connection of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::link::{Link, Statement};
use super::schema;
use super::settings::Settings;
use super::write::{NOW, number};
use crate::core::event::{Change, ChangeKind, JobRecord, Pause, Process, RunId};
use crate::core::fleet::{Gone, Member, SessionId};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::store::shared::REMEMBERED;
use crate::store::sql::{escaped, unescaped};
use crate::store::{
    AttemptRecord, OpenRun, Query, Reader, Restored, RunRecord, Session, StoreError, Trouble,
    encode,
};

pub(super) const RECORD: &str = "SELECT r.seq, r.job, r.due, r.last_due, r.count, r.at, r.run, \
     r.outcome, r.number, r.reason, r.started, r.duration, r.attempts, r.pid, r.pid_start, r.\"by\", \
     r.begun, r.host FROM ~record r";
pub(super) const JOB: &str = "SELECT j.name, j.decided, j.anchor, j.\"trigger\", j.since, \
     j.resumed, j.added, j.overrides, j.paused_at, j.paused_until, j.paused_by, j.paused_reason \
     FROM ~job j";
pub(super) const PAUSED: &str =
    "SELECT paused_at, paused_until, paused_by, paused_reason FROM ~store";
/// What is open, with the end of its last attempt and where it is.
pub(super) const OPEN: &str = "SELECT r.seq, r.job, r.due, r.last_due, r.count, r.at, r.run, \
     a.outcome, a.number, a.reason, r.started, r.duration, r.attempts, r.pid, r.pid_start, r.\"by\", \
     a.ended, r.host, r.session, r.slot FROM ~record r LEFT JOIN ~attempt a ON a.run = r.run \
     AND a.attempt = r.attempts WHERE r.outcome IS NULL AND r.run IS NOT NULL";
const LIFE: &str =
    "SELECT pid, pid_start, boot, began, seen, stopped, jobfile, mark FROM ~life ORDER BY id";
pub(super) const MEMBER: &str = "SELECT id, host, labels, machine, boot, mark, pid, pid_start, \
     version, tzdata, jobfile, jobfile_hash, loaded, joined, seen, ahead, beat, generation, leaving, \
     gone_at, gone_by, jobs_at_home, running FROM ~member";

type Read<T> = Result<T, Error>;

pub(super) fn instant(row: &Row, column: usize) -> Read<Instant> {
    Ok(Instant::from_micros(row.try_get(column)?))
}

fn instant_or_none(row: &Row, column: usize) -> Read<Option<Instant>> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(Instant::from_micros))
}

pub(super) fn text(row: &Row, column: usize) -> Read<Box<str>> {
    Ok(unescaped(row.try_get(column)?).into())
}

pub(super) fn text_or_none(row: &Row, column: usize) -> Read<Option<Box<str>>> {
    Ok(row.try_get::<_, Option<&str>>(column)?.map(|text| unescaped(text).into()))
}

/// The three columns of an outcome, from the first of them on.
fn outcome(row: &Row, first: usize) -> Read<Option<Outcome>> {
    let Some(word) = row.try_get::<_, Option<&str>>(first)? else { return Ok(None) };
    let text = text_or_none(row, first + 2)?;
    Ok(Some(encode::outcome(word, row.try_get(first + 1)?, text.as_deref())))
}

/// The two columns of a process.
fn process(row: &Row, first: usize) -> Read<Option<Process>> {
    let Some(pid) = row.try_get::<_, Option<i64>>(first)? else { return Ok(None) };
    let start = row.try_get::<_, Option<i64>>(first + 1)?.unwrap_or(0) as u64;
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
    Ok(RunRecord {
        seq: row.try_get::<_, i64>(0)? as u64,
        job: text(row, 1)?,
        due: instant(row, 2)?,
        last_due: instant(row, 3)?,
        count: row.try_get::<_, i64>(4)? as u64,
        at: instant(row, 5)?,
        run: row.try_get::<_, Option<i64>>(6)?.map(run_id),
        outcome: outcome(row, 7)?,
        started: instant_or_none(row, 10)?,
        duration: row
            .try_get::<_, Option<i64>>(11)?
            .map(|micros| Duration::from_micros(micros.max(0) as u64)),
        attempts: row.try_get::<_, i64>(12)? as u32,
        process: process(row, 13)?,
        by: text_or_none(row, 15)?,
        host: text_or_none(row, 17)?,
    })
}

pub(super) fn open_run(row: &Row) -> Read<OpenRun> {
    Ok(OpenRun {
        run: run_id(row.try_get(6)?),
        job: text(row, 1)?,
        due: instant(row, 2)?,
        by: text_or_none(row, 15)?,
        attempt: row.try_get::<_, i64>(12)? as u32,
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
        resumed: row.try_get(5)?,
        added: text_or_none(row, 6)?,
        overrides: text_or_none(row, 7)?,
        pause: pause(row, 8)?,
    })
}

fn session(row: &Row) -> Read<Session> {
    Ok(Session {
        process: process(row, 0)?.unwrap_or(Process { pid: 0, start: 0 }),
        boot: text(row, 2)?,
        began: instant(row, 3)?,
        seen: instant(row, 4)?,
        stopped: instant_or_none(row, 5)?,
        jobfile: text(row, 6)?,
        mark: row.try_get::<_, i64>(7)? as u32,
    })
}

pub(super) fn member(row: &Row) -> Read<Member> {
    let gone_by = row.try_get::<_, Option<i64>>(20)?.unwrap_or(0);
    let labels: Vec<&str> = row.try_get(2)?;
    Ok(Member {
        id: SessionId(row.try_get::<_, i64>(0)? as u64),
        host: text(row, 1)?,
        labels: labels.into_iter().map(|label| unescaped(label).into()).collect(),
        machine: text(row, 3)?,
        boot: text(row, 4)?,
        mark: row.try_get::<_, i64>(5)? as u32,
        process: process(row, 6)?.unwrap_or(Process { pid: 0, start: 0 }),
        version: text(row, 8)?,
        tzdata: text(row, 9)?,
        jobfile: text(row, 10)?,
        jobfile_hash: row.try_get::<_, i64>(11)? as u64,
        loaded: instant(row, 12)?,
        joined: instant(row, 13)?,
        seen: instant(row, 14)?,
        offset: row.try_get(15)?,
        beat: row.try_get::<_, i64>(16)? as u64,
        generation: row.try_get::<_, i64>(17)? as u64,
        leaving: row.try_get(18)?,
        gone: instant_or_none(row, 19)?.map(|at| Gone { at, by: SessionId(gone_by as u64) }),
        jobs_at_home: row.try_get::<_, i64>(21)? as u32,
        running: row.try_get::<_, i64>(22)? as u32,
    })
}

fn attempt(row: &Row) -> Read<AttemptRecord> {
    Ok(AttemptRecord {
        attempt: row.try_get::<_, i64>(0)? as u32,
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

/// What rows are of; a table that somebody has changed is no reason to panic.
pub(super) fn all<T>(
    settings: &Settings,
    rows: &[Row],
    of: impl Fn(&Row) -> Read<T>,
) -> Result<Vec<T>, StoreError> {
    let found: Read<Vec<T>> = rows.iter().map(of).collect();
    found.map_err(|error| {
        let message = format!("its tables hold what schedrs has not written: {error}");
        settings.url.error(Trouble::Corrupt, &message)
    })
}

/// What a store knew when it was opened.
pub(super) fn restored(link: &mut Link) -> Result<Restored, StoreError> {
    let settings = Arc::clone(&link.settings);
    let sql = |sql: &str| Statement::new(&settings, sql);
    let next = "SELECT greatest(next_run, coalesce((SELECT max(run) FROM ~record), 0) + 1) \
                FROM ~store";
    let statements = [
        sql(&format!("{JOB} ORDER BY name")),
        sql(PAUSED),
        sql(&format!("{OPEN} ORDER BY r.seq")),
        sql(next),
        sql(&format!("{LIFE} DESC LIMIT 1")),
    ];
    let rows = link.transaction(&statements)?;
    let [jobs, paused, open, next, last] = &rows[..] else {
        return Err(settings.url.error(Trouble::Other, "it answers too little"));
    };
    let next = all(&settings, next, |row| row.try_get::<_, i64>(0))?;
    Ok(Restored {
        jobs: all(&settings, jobs, job)?,
        all_paused: all(&settings, paused, |row| pause(row, 0))?.into_iter().next().flatten(),
        open: all(&settings, open, open_run)?,
        next_run: next.first().map_or(1, |next| *next as u64),
        last_session: all(&settings, last, session)?.pop(),
    })
}

/// Reads a store.
#[derive(Debug)]
pub struct PostgresReader {
    link: Link,
    /// Whether the tables were looked at.
    checked: bool,
}

impl PostgresReader {
    /// Connects with the first question.
    pub(super) fn new(
        settings: Arc<Settings>,
        checked: bool,
    ) -> Result<PostgresReader, StoreError> {
        Ok(PostgresReader { link: Link::new(settings)?, checked })
    }

    /// Makes sure that there is something to read.
    pub(super) fn check(&mut self) -> Result<(), StoreError> {
        if !self.checked {
            schema::ensure(&mut self.link, false)?;
            self.checked = true;
        }
        Ok(())
    }

    fn sql<'a>(&self, sql: &str) -> Statement<'a> {
        Statement::new(&self.link.settings, sql)
    }

    fn ask<T>(
        &mut self,
        statement: &Statement<'_>,
        of: impl Fn(&Row) -> Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.check()?;
        let rows = self.link.ask(statement)?;
        all(&self.link.settings, &rows, of)
    }
}

/// The records that a query wants.
fn wanted<'a>(settings: &Settings, query: &'a Query) -> Statement<'a> {
    let mut sql = RECORD.to_owned();
    let mut count = 0;
    let mut and = |condition: &str| {
        count += 1;
        sql += if count == 1 { " WHERE " } else { " AND " };
        sql += &condition.replace('?', &format!("${count}"));
    };
    // Each has its value, so that there are as many as conditions.
    let micros = |at: Option<Instant>| at.map(Instant::micros);
    let before = query.before.map(|before| i64::try_from(before).unwrap_or(i64::MAX));
    let mut values: Vec<i64> = Vec::new();
    for (condition, value) in [
        ("r.run = ?", query.run.map(number)),
        ("r.last_due >= ?", micros(query.since)),
        ("r.due <= ?", micros(query.until)),
        ("r.seq < ?", before),
    ] {
        if let Some(value) = value {
            and(condition);
            values.push(value);
        }
    }
    let mut texts = Vec::new();
    for (condition, value) in [("r.job = ?", &query.job), ("r.host = ?", &query.host)] {
        if let Some(value) = value {
            and(condition);
            texts.push(escaped(value));
        }
    }
    if query.failed {
        sql += if count == 0 { " WHERE r.failed" } else { " AND r.failed" };
    }
    sql += " ORDER BY r.seq DESC";
    if query.limit > 0 {
        sql += &format!(" LIMIT {}", query.limit);
    }
    let mut statement = Statement::new(settings, &sql);
    for value in values {
        statement = statement.number(value);
    }
    for text in texts {
        statement = statement.text(text);
    }
    statement
}

impl Reader for PostgresReader {
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError> {
        let statement = wanted(&self.link.settings, query);
        self.ask(&statement, record)
    }

    fn last_of_each(&mut self) -> Result<Vec<RunRecord>, StoreError> {
        // From one job to the next in the order of the index, and in each to its newest that is over.
        let sql = format!(
            "WITH RECURSIVE name AS ((SELECT job FROM ~record ORDER BY job LIMIT 1) UNION ALL \
             SELECT (SELECT job FROM ~record WHERE job > name.job ORDER BY job LIMIT 1) FROM name \
             WHERE name.job IS NOT NULL) SELECT l.* FROM name CROSS JOIN LATERAL ({RECORD} \
             WHERE r.job = name.job AND r.outcome IS NOT NULL ORDER BY r.seq DESC LIMIT 1) l \
             WHERE name.job IS NOT NULL ORDER BY l.job"
        );
        let statement = self.sql(&sql);
        let mut found = self.ask(&statement, record)?;
        found.sort_unstable_by(|a, b| a.job.cmp(&b.job));
        Ok(found)
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let kept = "SELECT attempt, pid, pid_start, begun, ended, outcome, number, reason \
                    FROM ~attempt WHERE run = $1 ORDER BY attempt";
        let statement = self.sql(kept).number(number(run));
        let mut found = self.ask(&statement, attempt)?;
        // The last one is in the record of the run, unless another was to follow it.
        let statement = self.sql(&format!("{RECORD} WHERE r.run = $1")).number(number(run));
        let of_run = |row: &Row| Ok((record(row)?, instant_or_none(row, 16)?));
        for (record, begun) in self.ask(&statement, of_run)? {
            found.extend(record.last_attempt(begun, found.last()));
        }
        Ok(found)
    }

    fn output(&mut self, run: RunId) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        let sql = "SELECT tail, total FROM ~output WHERE run = $1";
        let statement = self.sql(sql).number(number(run));
        let output = |row: &Row| Ok((row.try_get(0)?, row.try_get::<_, i64>(1)? as u64));
        Ok(self.ask(&statement, output)?.pop())
    }

    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        let statement = self.sql(&format!("{JOB} WHERE j.name = $1")).text(escaped(id));
        Ok(self.ask(&statement, job)?.pop())
    }

    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError> {
        let statement = self.sql(JOB);
        let mut found = self.ask(&statement, job)?;
        found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    fn all_paused(&mut self) -> Result<Option<Pause>, StoreError> {
        let statement = self.sql(PAUSED);
        Ok(self.ask(&statement, |row| pause(row, 0))?.pop().flatten())
    }

    fn changes(
        &mut self,
        job: Option<&str>,
        from: Instant,
        until: Instant,
    ) -> Result<Vec<Change>, StoreError> {
        let sql = "SELECT at, job, what, \"by\", detail FROM ~change WHERE at >= $1 AND at <= $2 \
                   AND ($3 IS NULL OR job IS NULL OR job = $3) ORDER BY at, id";
        let statement = self
            .sql(sql)
            .number(from.micros())
            .number(until.micros())
            .with(job.map(escaped), Type::TEXT);
        self.ask(&statement, change)
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        let statement = self.sql(LIFE);
        self.ask(&statement, session)
    }

    fn members(&mut self) -> Result<Vec<Member>, StoreError> {
        let statement = self.sql(&format!(
            "{MEMBER} WHERE gone_at IS NULL OR gone_at >= {NOW} - {REMEMBERED} ORDER BY joined, id"
        ));
        self.ask(&statement, member)
    }
}
