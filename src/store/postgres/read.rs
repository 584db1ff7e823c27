//! Rows become records: what people and programs ask, on a connection of its own.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::types::Type;
use tokio_postgres::{Error, Row};

use super::link::{Link, Statement};
use super::schema;
use super::settings::Settings;
use super::write::{NOW, number};
use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::fleet::{Member, SPARE_RUNS, SessionId};
use crate::core::instant::Instant;
use crate::core::sort;
use crate::store::encode::{ENDED_RUN, NOT_RUN};
use crate::store::shared::{OpenElsewhere, REMEMBERED};
use crate::store::sql::rows::{
    self, Cells, attempt, change, entry, job, member, open_run, pause, record, session,
};
use crate::store::sql::{escaped, unescaped};
use crate::store::{
    AttemptRecord, Details, Entries, Latest, Query, Reader, Restored, RunRecord, Session,
    StoreError, Trouble,
};

pub(super) const RECORD: &str = "SELECT r.seq, r.job, r.due, r.last_due, r.count, r.at, r.run, \
     r.outcome, r.number, r.reason, r.started, r.duration, r.attempts, r.pid, r.pid_start, r.\"by\", \
     r.begun, r.host, r.cpu, r.max_rss, r.disk_read, r.disk_written, r.printed FROM ~record r";
/// The last columns of that, which older tables have not got, and what stands for them.
const NEW: [&str; 2] = [
    "r.cpu, r.max_rss, r.disk_read, r.disk_written, r.printed",
    "NULL::int8, NULL::int8, NULL::int8, NULL::int8, NULL::int8",
];
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

pub(super) fn text(row: &Row, column: usize) -> Read<Box<str>> {
    Ok(unescaped(row.try_get(column)?).into())
}

pub(super) fn text_or_none(row: &Row, column: usize) -> Read<Option<Box<str>>> {
    Ok(row.try_get::<_, Option<&str>>(column)?.map(|text| unescaped(text).into()))
}

impl Cells for Row {
    type Error = Error;

    fn text(&self, column: usize) -> Read<Box<str>> {
        text(self, column)
    }

    fn text_or_none(&self, column: usize) -> Read<Option<Box<str>>> {
        text_or_none(self, column)
    }

    fn number(&self, column: usize) -> Read<i64> {
        self.try_get(column)
    }

    fn number_or_none(&self, column: usize) -> Read<Option<i64>> {
        self.try_get(column)
    }

    fn flag(&self, column: usize) -> Read<bool> {
        self.try_get(column)
    }

    fn texts(&self, column: usize) -> Read<Box<[Box<str>]>> {
        let texts: Vec<&str> = self.try_get(column)?;
        Ok(texts.into_iter().map(|text| unescaped(text).into()).collect())
    }
}

/// What rows are of; a table that somebody has changed is no reason to panic.
pub(super) fn all<T>(
    settings: &Settings,
    rows: &[Row],
    of: impl Fn(&Row) -> Read<T>,
) -> Result<Vec<T>, StoreError> {
    let found: Read<Vec<T>> = rows.iter().map(of).collect();
    found.map_err(|error| {
        let message = format!("its tables hold data that is not from schedrs: {error}");
        settings.url.error(Trouble::Corrupt, &message)
    })
}

/// `OPEN`: a run that is not over, and where it is.
pub(super) fn open_elsewhere(row: &Row) -> Read<OpenElsewhere> {
    let slot = row.try_get::<_, Option<i32>>(19)?;
    Ok(OpenElsewhere {
        session: SessionId(row.try_get::<_, Option<i64>>(18)?.unwrap_or(0) as u64),
        host: text_or_none(row, 17)?.unwrap_or_default(),
        slot: slot.and_then(|slot| u16::try_from(slot).ok()),
        run: open_run(row)?,
    })
}

/// What a store knew when it was opened.
pub(super) fn restored(link: &mut Link) -> Result<Restored, StoreError> {
    let settings = Arc::clone(&link.settings);
    let sql = |sql: &str| Statement::new(&settings, sql);
    let next = format!(
        "SELECT greatest(next_run, coalesce((SELECT max(run) FROM ~record WHERE run < {SPARE_RUNS}), \
         0) + 1) FROM ~store"
    );
    let statements = [
        sql(&format!("{JOB} ORDER BY name")),
        sql(PAUSED),
        sql(&format!("{OPEN} ORDER BY r.seq")),
        sql(&next),
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
    /// The version of the tables, as far as they were looked at.
    version: Option<i32>,
}

impl PostgresReader {
    /// Connects with the first question.
    pub(super) fn new(
        settings: Arc<Settings>,
        checked: bool,
    ) -> Result<PostgresReader, StoreError> {
        // Whoever writes has brought them up to date.
        let version = checked.then_some(schema::MIGRATIONS.len() as i32);
        Ok(PostgresReader { link: Link::new(settings)?, version })
    }

    /// Makes sure that there is something to read. Answers which version of it.
    pub(super) fn check(&mut self) -> Result<i32, StoreError> {
        match self.version {
            Some(version) => Ok(version),
            None => Ok(*self.version.insert(schema::ensure(&mut self.link, false)?)),
        }
    }

    /// Whether the tables are of this version, or a newer one: all hosts may be older.
    fn has(&mut self, version: i32) -> Result<bool, StoreError> {
        // Another host may have brought them up to date meanwhile.
        self.version = self.version.filter(|found| *found >= version);
        Ok(self.check()? >= version)
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

    /// Asks for records.
    fn ask_records<T>(
        &mut self,
        statement: Statement<'_>,
        of: impl Fn(&Row) -> Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        let statement = match self.has(schema::HAS_USAGE)? {
            true => statement,
            false => statement.with_other(NEW[0], NEW[1]),
        };
        self.ask(&statement, of)
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
        self.ask_records(statement, record)
    }

    fn latest(&mut self, job: Option<&str>) -> Result<Vec<Latest>, StoreError> {
        // From one job to the next in the order of the index, and in each to its newest that count.
        let names = match job {
            Some(_) => "WITH name AS (SELECT $1::text AS job)",
            None => {
                "WITH RECURSIVE name AS ((SELECT job FROM ~record ORDER BY job LIMIT 1) UNION ALL \
                 SELECT (SELECT job FROM ~record WHERE job > name.job ORDER BY job LIMIT 1) FROM name \
                 WHERE name.job IS NOT NULL)"
            }
        };
        let newest = |what: &str| {
            format!(
                "SELECT n.seq FROM ~record n WHERE n.job = name.job AND n.{what} \
                 ORDER BY n.seq DESC LIMIT 1"
            )
        };
        let (run, success) = (newest(ENDED_RUN), newest("outcome = 'succeeded'"));
        let runs = format!(
            "{names} {RECORD} WHERE r.seq IN (SELECT ({run}) FROM name WHERE job IS NOT NULL \
             UNION SELECT ({success}) FROM name WHERE job IS NOT NULL)"
        );
        let since = format!(
            "{names} SELECT l.* FROM name CROSS JOIN LATERAL (SELECT s.job, s.outcome, \
             SUM(s.count)::bigint FROM ~record s WHERE s.job = name.job AND s.outcome IN {NOT_RUN} \
             AND s.seq > COALESCE(({run}), 0) GROUP BY s.job, s.outcome) l WHERE name.job IS NOT NULL"
        );
        let asked = |reader: &PostgresReader, sql: &str| {
            let statement = reader.sql(sql);
            match job {
                Some(job) => statement.text(escaped(job)),
                None => statement,
            }
        };
        let count = |row: &Row| Ok((row.text(0)?, row.text(1)?, row.number(2)? as u64));
        let statement = asked(self, &runs);
        let runs = self.ask_records(statement, record)?;
        let statement = asked(self, &since);
        Ok(Latest::gather(runs, self.ask(&statement, count)?))
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let kept = "SELECT attempt, pid, pid_start, begun, ended, outcome, number, reason \
                    FROM ~attempt WHERE run = $1 ORDER BY attempt";
        let statement = self.sql(kept).number(number(run));
        let mut found = self.ask(&statement, attempt)?;
        // The last one is in the record of the run, unless another was to follow it.
        let statement = self.sql(&format!("{RECORD} WHERE r.run = $1")).number(number(run));
        let of_run = |row: &Row| Ok((record(row)?, row.instant_or_none(16)?));
        for (record, begun) in self.ask_records(statement, of_run)? {
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

    fn details(&mut self, runs: &[RunId]) -> Result<HashMap<RunId, Details>, StoreError> {
        let numbers = || runs.iter().map(|run| number(*run)).collect::<Vec<i64>>();
        let kept = "SELECT attempt, pid, pid_start, begun, ended, outcome, number, reason, run \
                    FROM ~attempt WHERE run = ANY($1) ORDER BY run, attempt";
        let of = |row: &Row, column| Ok(RunId(row.number(column)? as u64));
        let statement = self.sql(kept).numbers(numbers());
        let kept = self.ask(&statement, |row| Ok((of(row, 8)?, attempt(row)?)))?;
        let statement = self.sql(&format!("{RECORD} WHERE r.run = ANY($1)")).numbers(numbers());
        let of_run = |row: &Row| Ok((record(row)?, row.instant_or_none(16)?));
        let last = self.ask_records(statement, of_run)?;
        let sql = "SELECT tail, total, run FROM ~output WHERE run = ANY($1)";
        let statement = self.sql(sql).numbers(numbers());
        let outputs = self.ask(&statement, |row| {
            Ok((of(row, 2)?, (row.try_get(0)?, row.try_get::<_, i64>(1)? as u64)))
        })?;
        Ok(rows::details(kept, last, outputs))
    }

    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        let statement = self.sql(&format!("{JOB} WHERE j.name = $1")).text(escaped(id));
        Ok(self.ask(&statement, job)?.pop())
    }

    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError> {
        let statement = self.sql(JOB);
        let mut found = self.ask(&statement, job)?;
        sort::by(&mut found, |a, b| a.id.cmp(&b.id));
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

    fn entries(&mut self, list: &str) -> Result<Entries, StoreError> {
        if !self.has(schema::HAS_ENTRIES)? {
            return Ok(Vec::new());
        }
        let statement = self.sql("SELECT name, value FROM ~entry WHERE list = $1");
        let mut found = self.ask(&statement.text(escaped(list)), entry)?;
        // What is escaped is in another order.
        sort::by(&mut found, |a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn lists(&mut self) -> Result<Vec<Box<str>>, StoreError> {
        if !self.has(schema::HAS_ENTRIES)? {
            return Ok(Vec::new());
        }
        let statement = self.sql("SELECT DISTINCT list FROM ~entry");
        let mut found = self.ask(&statement, |row| row.text(0))?;
        sort::all(&mut found);
        Ok(found)
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        let statement = self.sql(LIFE);
        self.ask(&statement, session)
    }

    fn open_runs(&mut self, job: Option<&str>) -> Result<Vec<OpenElsewhere>, StoreError> {
        let statement = match job {
            Some(job) => {
                self.sql(&format!("{OPEN} AND r.job = $1 ORDER BY r.seq")).text(escaped(job))
            }
            None => self.sql(&format!("{OPEN} ORDER BY r.seq")),
        };
        self.ask(&statement, open_elsewhere)
    }

    fn members(&mut self) -> Result<Vec<Member>, StoreError> {
        let statement = self.sql(&format!(
            "{MEMBER} WHERE gone_at IS NULL OR gone_at >= {NOW} - {REMEMBERED} ORDER BY joined, id"
        ));
        self.ask(&statement, member)
    }
}
