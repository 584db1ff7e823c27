//! Rows become records: what people and programs ask, on a connection of its own.

use std::collections::HashMap;
use std::sync::Arc;

use super::cells::{Odd, Row, all, bytes_or_none, number, number_or_none, text_or_none};
use super::fleet::session_of;
use super::link::Link;
use super::literal;
use super::schema::{self, named};
use super::settings::Settings;
use super::write::NOW;
use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::fleet::{Member, SPARE_RUNS};
use crate::core::instant::Instant;
use crate::store::encode::{ENDED_RUN, NOT_RUN};
use crate::store::shared::{OpenElsewhere, REMEMBERED};
use crate::store::sql::rows::{
    self, Cells, attempt, change, entry, job, member, open_run, pause, record, session,
};
use crate::store::{
    AttemptRecord, Details, Entries, Latest, Query, Reader, Restored, RunRecord, Session,
    StoreError,
};

const RECORD: &str = "SELECT r.seq, r.job, r.due, r.last_due, r.count, r.at, r.run, r.outcome, \
     r.number, r.reason, r.started, r.duration, r.attempts, r.pid, r.pid_start, r.`by`, r.begun, \
     r.host, r.cpu, r.max_rss, r.disk_read, r.disk_written, r.printed FROM ~record r";
/// The last columns of that, which older tables have not got, and what stands for them.
const NEW: [&str; 2] =
    ["r.cpu, r.max_rss, r.disk_read, r.disk_written, r.printed", "NULL, NULL, NULL, NULL, NULL"];
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

/// `OPEN`: a run that is not over, and where it is.
pub(super) fn open_elsewhere(row: &Row) -> Read<OpenElsewhere> {
    Ok(OpenElsewhere {
        session: session_of(row, 18)?,
        host: text_or_none(row, 17)?.unwrap_or_default(),
        slot: number_or_none(row, 19)?.and_then(|slot| u16::try_from(slot).ok()),
        run: open_run(row)?,
    })
}

/// What a store knew when it was opened.
pub(super) fn restored(link: &mut Link) -> Result<Restored, StoreError> {
    let next = format!(
        "SELECT GREATEST(next_run, COALESCE((SELECT MAX(run) FROM ~record WHERE run < {SPARE_RUNS}), \
         0) + 1) FROM ~store"
    );
    let statements = [
        named(&format!("{JOB} ORDER BY j.name")),
        named(PAUSED),
        named(&format!("{OPEN} ORDER BY r.seq")),
        named(&next),
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

    /// Asks for records.
    fn ask_records<T>(
        &mut self,
        sql: &str,
        of: impl Fn(&Row) -> Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        match self.link.has(schema::HAS_USAGE)? {
            true => self.ask(sql, of),
            false => self.ask(&sql.replace(NEW[0], NEW[1]), of),
        }
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

/// What finds the last runs of a job, or of all, and what finds the due times since then.
fn latest(job: Option<&str>) -> [String; 2] {
    // From one job to the next in the order of the index, and in each to its newest that count. Without
    // being told the planner reads all records.
    let names = match job {
        Some(job) => format!("(SELECT {} AS job) name", literal::text(job)),
        None => "(SELECT DISTINCT job FROM ~record) name".to_owned(),
    };
    let newest = |what: &str| {
        format!(
            "(SELECT n.seq FROM ~record n FORCE INDEX (of_job) WHERE n.job = name.job AND n.{what} \
             ORDER BY n.seq DESC LIMIT 1)"
        )
    };
    let (run, success) = (newest(ENDED_RUN), newest("outcome = 'succeeded'"));
    let runs = format!(
        "{RECORD} JOIN (SELECT {run} AS seq FROM {names} UNION SELECT {success} FROM {names}) l \
         ON l.seq = r.seq"
    );
    // Only of jobs that have had such due times more than one record is read.
    let since = format!(
        "SELECT r.job, r.outcome, CAST(SUM(r.count) AS SIGNED) FROM (SELECT name.job, \
         COALESCE({run}, 0) AS last, {} AS newest FROM {names}) l STRAIGHT_JOIN ~record r \
         FORCE INDEX (of_job) ON r.job = l.job AND r.seq > l.last WHERE l.newest > l.last \
         AND r.outcome IN {NOT_RUN} GROUP BY r.job, r.outcome",
        newest("outcome IS NOT NULL"),
    );
    [runs, since]
}

impl Reader for MysqlReader {
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError> {
        self.ask_records(&wanted(query), record)
    }

    fn latest(&mut self, job: Option<&str>) -> Result<Vec<Latest>, StoreError> {
        let [runs, since] = latest(job);
        let count = |row: &Row| Ok((row.text(0)?, row.text(1)?, row.number(2)? as u64));
        let runs = self.ask_records(&runs, record)?;
        Ok(Latest::gather(runs, self.ask(&since, count)?))
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let number = run.0 as i64;
        let kept = format!(
            "SELECT attempt, pid, pid_start, begun, ended, outcome, number, reason FROM ~attempt \
             WHERE run = {number} ORDER BY attempt"
        );
        let mut found = self.ask(&kept, attempt)?;
        // The last one is in the record of the run, unless another was to follow it.
        let of_run = |row: &Row| Ok((record(row)?, row.instant_or_none(16)?));
        for (record, begun) in
            self.ask_records(&format!("{RECORD} WHERE r.run = {number}"), of_run)?
        {
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

    fn details(&mut self, runs: &[RunId]) -> Result<HashMap<RunId, Details>, StoreError> {
        if runs.is_empty() {
            return Ok(HashMap::new());
        }
        let numbers = literal::list(runs.iter().map(|run| (run.0 as i64).to_string()));
        let of = |row: &Row, column| Ok(RunId(number(row, column)? as u64));
        let kept = format!(
            "SELECT attempt, pid, pid_start, begun, ended, outcome, number, reason, run \
             FROM ~attempt WHERE run IN ({numbers}) ORDER BY run, attempt"
        );
        let kept = self.ask(&kept, |row| Ok((of(row, 8)?, attempt(row)?)))?;
        let of_run = |row: &Row| Ok((record(row)?, row.instant_or_none(16)?));
        let last = self.ask_records(&format!("{RECORD} WHERE r.run IN ({numbers})"), of_run)?;
        let sql = format!("SELECT tail, total, run FROM ~output WHERE run IN ({numbers})");
        let outputs = self.ask(&sql, |row| {
            let tail = bytes_or_none(row, 0)?.ok_or(Odd)?;
            Ok((of(row, 2)?, (tail.to_vec(), number(row, 1)? as u64)))
        })?;
        Ok(rows::details(kept, last, outputs))
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

    fn entries(&mut self, list: &str) -> Result<Entries, StoreError> {
        // Where all hosts are older there are none yet.
        if !self.link.has(schema::HAS_ENTRIES)? {
            return Ok(Vec::new());
        }
        let list = literal::text(list);
        let sql = format!("SELECT name, value FROM ~entry WHERE list = {list} ORDER BY name");
        self.ask(&sql, entry)
    }

    fn lists(&mut self) -> Result<Vec<Box<str>>, StoreError> {
        if !self.link.has(schema::HAS_ENTRIES)? {
            return Ok(Vec::new());
        }
        self.ask("SELECT DISTINCT list FROM ~entry ORDER BY list", |row| row.text(0))
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        self.ask(LIFE, session)
    }

    fn open_runs(&mut self, job: Option<&str>) -> Result<Vec<OpenElsewhere>, StoreError> {
        let of_job = job.map(|job| format!(" AND r.job = {}", literal::text(job)));
        let of_job = of_job.unwrap_or_default();
        self.ask(&format!("{OPEN}{of_job} ORDER BY r.seq"), open_elsewhere)
    }

    fn members(&mut self) -> Result<Vec<Member>, StoreError> {
        self.ask(&format!("{MEMBER} WHERE {} ORDER BY joined, id", recent()), member)
    }
}
