//! Rows become records: what people and programs ask.
//!
//! A reader has a connection of its own that can write nothing, and needs no scheduler: it reads
//! while one writes, when none runs, and from a disk that may not be written. Each question is one
//! short transaction, so that a reader that sits at a pager keeps nobody from tidying up.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::ToSql;
use rusqlite::{Connection, Error, OpenFlags, OptionalExtension, Result, Row};

use super::schema::{self, MIGRATIONS};
use super::{files, query, starting, trouble};
use crate::core::event::{Change, ChangeKind, JobRecord, Pause, RunId};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::sort;
use crate::store::encode::{ENDED_RUN, NOT_RUN};
use crate::store::{
    AttemptRecord, Entries, Latest, OpenRun, Process, Query, Reader, Restored, RunRecord, Session,
    StoreError, Trouble, encode,
};
use crate::sys::file_id::FileId;

/// How long to wait for a scheduler that is just putting its log in order.
const PATIENCE: Duration = Duration::from_secs(1);
pub(super) const RECORD: &str = "SELECT seq, (SELECT name FROM job WHERE id = r.job), due, last_due, count, \
                      at, run, outcome, number, reason, started, duration, attempts, pid, \
                      pid_start, \"by\", begun, cpu, max_rss, disk_read, disk_written, printed \
                      FROM record r";
/// The last columns of that, which an older database has not got, and what stands for them.
const NEW: [&str; 2] =
    ["cpu, max_rss, disk_read, disk_written, printed", "NULL, NULL, NULL, NULL, NULL"];
pub(super) const JOB: &str = "SELECT name, decided, anchor, \"trigger\", since, resumed, added, overrides, \
                   paused_at, paused_until, paused_by, paused_reason FROM job WHERE present = 1";
const SESSION: &str = "SELECT pid, pid_start, boot, began, seen, stopped, jobfile, mark \
                       FROM session ORDER BY id";
/// How an attempt ended, and when.
pub(super) const ATTEMPT: &str = "SELECT outcome, number, reason, ended FROM attempt \
                                  WHERE run = ?1 AND attempt = ?2";
pub(super) const ATTEMPTS: &str = "SELECT attempt, pid, pid_start, begun, ended, outcome, number, reason \
                                   FROM attempt WHERE run = ?1 ORDER BY attempt";
pub(super) const NEXT_RUN: &str = "SELECT max(next_run, coalesce((SELECT max(run) FROM record \
                                   WHERE run IS NOT NULL), 0) + 1) FROM state";
pub(super) const OUTPUT: &str = "SELECT tail, total FROM output WHERE run = ?1";
pub(super) const CHANGES: &str = "SELECT at, job, what, \"by\", detail FROM change \
                                  WHERE at >= ?1 AND at <= ?2 \
                                  AND (?3 IS NULL OR job IS NULL OR job = ?3) ORDER BY at, id";
pub(super) const ENTRIES: &str = "SELECT name, value FROM entry WHERE list = ?1 ORDER BY name";
const LISTS: &str = "SELECT DISTINCT list FROM entry ORDER BY list";

pub(super) fn instant(row: &Row<'_>, column: usize) -> Result<Instant> {
    Ok(Instant::from_micros(row.get(column)?))
}

fn instant_or_none(row: &Row<'_>, column: usize) -> Result<Option<Instant>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Instant::from_micros))
}

/// The three columns of an outcome, from the first of them on.
fn outcome(row: &Row<'_>, first: usize) -> Result<Option<Outcome>> {
    let Some(word) = row.get_ref(first)?.as_str_or_null()? else { return Ok(None) };
    let text = row.get_ref(first + 2)?.as_str_or_null()?;
    Ok(Some(encode::outcome(word, row.get(first + 1)?, text)))
}

/// The two columns of a process.
fn process(row: &Row<'_>, first: usize) -> Result<Option<Process>> {
    let Some(pid) = row.get(first)? else { return Ok(None) };
    let start = row.get::<_, Option<i64>>(first + 1)?.unwrap_or(0) as u64;
    Ok(Some(Process { pid, start }))
}

/// The four columns of a pause.
fn pause(row: &Row<'_>, first: usize) -> Result<Option<Pause>> {
    let Some(at) = instant_or_none(row, first)? else { return Ok(None) };
    let by = row.get::<_, Option<Box<str>>>(first + 2)?.unwrap_or_default();
    let until = instant_or_none(row, first + 1)?;
    Ok(Some(Pause { at, until, by, reason: row.get(first + 3)? }))
}

fn run_id(number: i64) -> RunId {
    RunId(number as u64)
}

pub(super) fn record(row: &Row<'_>) -> Result<RunRecord> {
    Ok(RunRecord {
        seq: row.get::<_, i64>(0)? as u64,
        job: row.get(1)?,
        due: instant(row, 2)?,
        last_due: instant(row, 3)?,
        count: row.get::<_, i64>(4)? as u64,
        at: instant(row, 5)?,
        run: row.get::<_, Option<i64>>(6)?.map(run_id),
        outcome: outcome(row, 7)?,
        started: instant_or_none(row, 10)?,
        duration: row
            .get::<_, Option<i64>>(11)?
            .map(|micros| Duration::from_micros(micros.max(0) as u64)),
        attempts: row.get(12)?,
        process: process(row, 13)?,
        by: row.get(15)?,
        host: None,
        usage: encode::usage([row.get(17)?, row.get(18)?, row.get(19)?, row.get(20)?]),
        printed: row.get::<_, Option<i64>>(21)?.map(|bytes| bytes as u64),
    })
}

fn job(row: &Row<'_>) -> Result<JobRecord> {
    Ok(JobRecord {
        id: row.get(0)?,
        decided: instant(row, 1)?,
        anchor: instant(row, 2)?,
        trigger: row.get(3)?,
        since: instant(row, 4)?,
        resumed: row.get(5)?,
        added: row.get(6)?,
        overrides: row.get(7)?,
        pause: pause(row, 8)?,
    })
}

fn session(row: &Row<'_>) -> Result<Session> {
    Ok(Session {
        process: Process { pid: row.get(0)?, start: row.get::<_, i64>(1)? as u64 },
        boot: row.get(2)?,
        began: instant(row, 3)?,
        seen: instant(row, 4)?,
        stopped: instant_or_none(row, 5)?,
        jobfile: row.get(6)?,
        mark: row.get(7)?,
    })
}

/// All that a statement finds.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
    row: fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(values, row)?.collect()
}

fn all_paused(conn: &Connection) -> Result<Option<Pause>> {
    let sql = "SELECT paused_at, paused_until, paused_by, paused_reason FROM state WHERE id = 1";
    conn.query_row(sql, [], |row| pause(row, 0))
}

/// What finds the runs that are not over.
pub(super) fn open_statement() -> String {
    format!("{RECORD} INDEXED BY record_open WHERE outcome IS NULL ORDER BY seq")
}

/// What a store knew when it was opened.
pub(super) fn restored(conn: &Connection) -> Result<Restored> {
    let begun = starting::records(conn)?;
    let mut runs = Vec::new();
    for found in all(conn, &fitting(conn, open_statement())?, &[], record)? {
        // Nothing that is no run is open.
        let Some(run) = found.run else { continue };
        let last = conn
            .prepare_cached(ATTEMPT)?
            .query_row([run.0 as i64, i64::from(found.attempts)], |row| {
                Ok((outcome(row, 0)?, instant(row, 3)?))
            })
            .optional()?;
        let last_ended = last.as_ref().map(|(_, ended)| *ended);
        runs.push(OpenRun {
            run,
            job: found.job,
            due: found.due,
            by: found.by,
            attempt: found.attempts,
            process: found.process,
            started: found.started,
            last: last.and_then(|(outcome, _)| outcome),
            last_ended,
        });
    }
    starting::with_open(&begun, &mut runs);
    let mut jobs = all(conn, JOB, &[], job)?;
    starting::decide(&begun, &mut jobs);
    let mut last_session = all(conn, &format!("{SESSION} DESC LIMIT 1"), &[], session)?.pop();
    starting::see(&begun, last_session.as_mut());
    let next_run = conn.query_row(NEXT_RUN, [], |row| row.get::<_, i64>(0))? as u64;
    Ok(Restored {
        jobs,
        all_paused: all_paused(conn)?,
        open: runs,
        next_run: starting::next_run(&begun, next_run),
        last_session,
    })
}

/// What finds the last runs of a job, or of all, and what finds the due times since then.
pub(super) fn latest_statements(of_one: bool) -> [String; 2] {
    // The last run of a job is nearly always among its newest records: a few steps in an index for
    // each job, in the order of that index.
    let newest = |what: &str| {
        format!(
            "(SELECT seq FROM record INDEXED BY record_job WHERE job = job.id AND {what} \
             ORDER BY seq DESC LIMIT 1)"
        )
    };
    let (run, success) = (newest(ENDED_RUN), newest("outcome = 'succeeded'"));
    let jobs = if of_one { "job WHERE name = ?1" } else { "job NOT INDEXED WHERE ?1 IS NULL" };
    let runs = format!(
        "{RECORD} WHERE seq IN (SELECT {run} FROM {jobs} UNION SELECT {success} FROM {jobs})"
    );
    // CROSS: the planner keeps to this order of the tables. In the other all records are read.
    let since = format!(
        "SELECT job.name, r.outcome, sum(r.count) FROM (SELECT id, name, coalesce({run}, 0) AS last \
         FROM {jobs}) job CROSS JOIN record r INDEXED BY record_job ON r.job = job.id \
         AND r.seq > job.last WHERE r.outcome IN {NOT_RUN} GROUP BY r.job, r.outcome"
    );
    [runs, since]
}

fn latest(conn: &Connection, job: Option<&str>) -> Result<Vec<Latest>> {
    let [runs, since] = latest_statements(job.is_some());
    let count = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)? as u64));
    let runs = all(conn, &fitting(conn, runs)?, &[&job], record)?;
    Ok(Latest::gather(runs, all(conn, &since, &[&job], count)?))
}

fn attempts(conn: &Connection, run: RunId) -> Result<Vec<AttemptRecord>> {
    let number = run.0 as i64;
    let begun = starting::records(conn)?.into_iter().find(|begun| begun.run == Some(run));
    let mut found = all(conn, ATTEMPTS, &[&number], |row| {
        Ok(AttemptRecord {
            attempt: row.get(0)?,
            process: process(row, 1)?,
            started: instant_or_none(row, 3)?,
            ended: instant_or_none(row, 4)?,
            outcome: outcome(row, 5)?,
        })
    })?;
    // The last one is in the record of the run, unless another was to follow it.
    let of_run = fitting(conn, format!("{RECORD} WHERE run = ?1"))?;
    let last = conn
        .prepare_cached(&of_run)?
        .query_row([number], |row| Ok((record(row)?, instant_or_none(row, 16)?)))
        .optional()?
        .or(begun.map(|begun| (begun, None)));
    if let Some((record, begun)) = last {
        found.extend(record.last_attempt(begun, found.last()));
    }
    Ok(found)
}

/// Whether a database is of this version, or a newer one: a scheduler that an update has not restarted
/// may have an older one, and is to be looked at all the same.
pub(super) fn has(conn: &Connection, version: u32) -> Result<bool> {
    let mut version_of = conn.prepare_cached("PRAGMA user_version")?;
    let found: u32 = version_of.query_row([], |row| row.get(0))?;
    Ok(found >= version)
}

/// What asks for records, for the version of this database.
pub(super) fn fitting(conn: &Connection, sql: String) -> Result<String> {
    Ok(if has(conn, schema::HAS_USAGE)? { sql } else { sql.replace(NEW[0], NEW[1]) })
}

/// Reads a database.
#[derive(Debug)]
pub struct SqliteReader {
    path: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    conn: Connection,
    identity: Option<FileId>,
    /// It was opened as a file that nobody changes: what is read of it is kept, so that it has to
    /// be opened anew for the next question.
    immutable: bool,
}

impl SqliteReader {
    /// Opens a database for reading. It has to be there.
    pub fn open(path: &Path) -> Result<SqliteReader, StoreError> {
        let path = files::resolve(path);
        let open = Some(open(&path)?);
        Ok(SqliteReader { path, open })
    }

    /// Opens it when the first question comes.
    pub(in crate::store) fn later(path: &Path) -> SqliteReader {
        SqliteReader { path: files::resolve(path), open: None }
    }

    /// What the store knows, without opening it for writing.
    pub(in crate::store) fn restored(&mut self) -> Result<Restored, StoreError> {
        self.ask(restored)
    }

    /// Asks. A database that was moved aside since the last time is opened anew.
    fn ask<T>(&mut self, question: impl FnOnce(&Connection) -> Result<T>) -> Result<T, StoreError> {
        let identity = FileId::at(&self.path);
        let usable = |open: &Open| !open.immutable && open.identity == identity;
        let opened = match self.open.take().filter(usable) {
            Some(opened) => opened,
            None => open(&self.path)?,
        };
        let Open { conn, .. } = self.open.insert(opened);
        question(conn).map_err(|error| trouble::from_sqlite(&self.path, &error))
    }
}

fn open(path: &Path) -> Result<Open, StoreError> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let message = format!("{} is not a regular file; use another", path.display());
        return Err(StoreError::new(Trouble::Other, message));
    }
    let identity = FileId::at(path);
    // Of an empty file SQLite would throw the log away, even if somebody has only emptied it.
    if identity.is_none() || files::length(path) == 0 {
        let message = format!("{} is missing or empty: no scheduler has used it", path.display());
        return Err(StoreError::new(Trouble::Missing, message));
    }
    match connect(path, false) {
        Ok(conn) => Ok(Open { conn, identity, immutable: false }),
        // Reading a log needs an index of it, which cannot be made where nothing may be written.
        Err(error) if matches!(error.kind, Trouble::Other | Trouble::ReadOnly | Trouble::Full) => {
            let conn = connect(path, true).map_err(|second| match second.kind {
                // That there is nothing in it says more than that it cannot be read.
                Trouble::Missing => second,
                _ => error,
            })?;
            Ok(Open { conn, identity, immutable: true })
        }
        Err(error) => Err(error),
    }
}

fn connect(path: &Path, immutable: bool) -> Result<Connection, StoreError> {
    let failed = |error: Error| trouble::from_sqlite(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = if immutable {
        Connection::open_with_flags(uri(path), flags | OpenFlags::SQLITE_OPEN_URI)
    } else {
        Connection::open_with_flags(path, flags)
    };
    let conn = opened.map_err(failed)?;
    conn.busy_timeout(PATIENCE).map_err(failed)?;
    // What is newer than the first version is only in addition to it.
    if schema::version(&conn, path, MIGRATIONS.len() as u32)? == 0 {
        let message = format!("{} has no tables; `schedrs run` creates them", path.display());
        return Err(StoreError::new(Trouble::Missing, message));
    }
    Ok(conn)
}

/// The address of a file that nobody changes.
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' => uri.push(*byte as char),
            byte if byte.is_ascii_alphanumeric() => uri.push(*byte as char),
            byte => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri + "?immutable=1"
}

impl Reader for SqliteReader {
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError> {
        self.ask(|conn| {
            let begun = starting::records(conn)?;
            Ok(starting::with_records(begun, query::records(conn, query)?, query))
        })
    }

    fn latest(&mut self, job: Option<&str>) -> Result<Vec<Latest>, StoreError> {
        self.ask(|conn| latest(conn, job))
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        self.ask(|conn| attempts(conn, run))
    }

    fn output(&mut self, run: RunId) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64));
        self.ask(|conn| conn.prepare_cached(OUTPUT)?.query_row([run.0 as i64], row).optional())
    }

    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        let sql = format!("{JOB} AND name = ?1");
        self.ask(|conn| {
            let begun = starting::records(conn)?;
            let mut found = conn.prepare_cached(&sql)?.query_row([id], job).optional()?;
            starting::decide(&begun, found.as_mut_slice());
            Ok(found)
        })
    }

    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError> {
        let mut found = self.ask(|conn| {
            let begun = starting::records(conn)?;
            let mut found = all(conn, JOB, &[], job)?;
            starting::decide(&begun, &mut found);
            Ok(found)
        })?;
        sort::by(&mut found, |a, b| a.id.cmp(&b.id));
        Ok(found)
    }

    fn all_paused(&mut self) -> Result<Option<Pause>, StoreError> {
        self.ask(all_paused)
    }

    fn changes(
        &mut self,
        job: Option<&str>,
        from: Instant,
        until: Instant,
    ) -> Result<Vec<Change>, StoreError> {
        let values: [&dyn ToSql; 3] = [&from.micros(), &until.micros(), &job];
        self.ask(|conn| {
            all(conn, CHANGES, &values, |row| {
                Ok(Change {
                    at: instant(row, 0)?,
                    job: row.get(1)?,
                    what: ChangeKind::from(row.get_ref(2)?.as_str()?),
                    by: row.get(3)?,
                    detail: row.get(4)?,
                })
            })
        })
    }

    fn entries(&mut self, list: &str) -> Result<Entries, StoreError> {
        let known = |conn: &Connection| match has(conn, schema::HAS_ENTRIES)? {
            true => all(conn, ENTRIES, &[&list], |row| Ok((row.get(0)?, row.get(1)?))),
            false => Ok(Vec::new()),
        };
        self.ask(known)
    }

    fn lists(&mut self) -> Result<Vec<Box<str>>, StoreError> {
        let known = |conn: &Connection| match has(conn, schema::HAS_ENTRIES)? {
            true => all(conn, LISTS, &[], |row| row.get(0)),
            false => Ok(Vec::new()),
        };
        self.ask(known)
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        self.ask(|conn| {
            let begun = starting::records(conn)?;
            let mut found = all(conn, SESSION, &[], session)?;
            starting::see(&begun, found.last_mut());
            Ok(found)
        })
    }
}
