//! Facts become rows.
//!
//! Every statement may be done twice: a commit that failed may have happened, and is done again
//! with the same facts. A run whose claim is lost has no row, so that whatever else is said of it
//! finds nothing to change.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::starting::Claimed;
use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::instant::{Instant, duration_micros};
use crate::core::outcome::Outcome;
use crate::store::{Fact, Process, Session, encode};

/// So many names are known by heart; the others are looked up.
const NAMES: usize = 8192;

/// What is known of the tables without looking.
#[derive(Debug, Default)]
pub(super) struct Known {
    names: HashMap<Box<str>, i64>,
    /// Runs that are about to start; `None`: they are to be looked up.
    pub(super) starting: Option<Vec<Claimed>>,
    /// Jobs with new records since they were last tidied.
    pub(super) touched: HashSet<i64>,
}

impl Known {
    /// Forgets all but what is to be tidied: a transaction that was to bring some of it did not.
    pub(super) fn forget(&mut self) {
        self.names.clear();
        self.starting = None;
    }

    /// The number of a job's name, if it is known by heart.
    pub(super) fn id_of(&self, name: &str) -> Option<i64> {
        self.names.get(name).copied()
    }
}

/// A run has ended.
static ENDED: LazyLock<String> = LazyLock::new(|| ended_with(""));

/// The same, and it has begun.
static BEGUN_AND_ENDED: LazyLock<String> = LazyLock::new(|| {
    ended_with(", pid = ?12, pid_start = ?13, begun = ?14, started = coalesce(started, ?14)")
});

fn ended_with(more: &str) -> String {
    format!(
        "UPDATE record SET outcome = ?2, failed = ?3, number = ?4, reason = ?5, duration = ?6, \
         attempts = ?7, cpu = ?8, max_rss = ?9, disk_read = ?10, disk_written = ?11{more} \
         WHERE run = ?1"
    )
}

/// A pause as four columns.
type PauseColumns<'a> = (Option<i64>, Option<i64>, Option<&'a str>, Option<&'a str>);

fn pause_columns(pause: Option<&Pause>) -> PauseColumns<'_> {
    let Some(pause) = pause else { return (None, None, None, None) };
    let until = pause.until.map(Instant::micros);
    (Some(pause.at.micros()), until, Some(&pause.by), pause.reason.as_deref())
}

/// The run as a column.
pub(super) fn number(run: RunId) -> i64 {
    run.0 as i64
}

/// Writes facts within a transaction.
pub(super) struct Writer<'a> {
    pub(super) conn: &'a Connection,
    pub(super) known: &'a mut Known,
    pub(super) lost: Vec<RunId>,
}

impl Writer<'_> {
    /// All of them, in their order.
    pub(super) fn all(&mut self, facts: &[Fact]) -> Result<()> {
        if self.begin(facts)? {
            return Ok(());
        }
        self.settle()?;
        let mut left = facts;
        while let [fact, rest @ ..] = left {
            left = rest;
            match (fact, rest) {
                // Where many are due at once, most have ended when it is heard that they began.
                (
                    Fact::Started { run, process, at, .. },
                    [end @ Fact::Ended { run: ended, .. }, rest @ ..],
                ) if run == ended => {
                    self.ended(end, Some((*process, *at)))?;
                    left = rest;
                }
                _ => self.one(fact)?,
            }
        }
        // The last moment that any of them tells of is one at which the scheduler was alive.
        facts.iter().rev().find_map(Fact::at).map_or(Ok(()), |at| self.saw(at))
    }

    /// The scheduler was alive then.
    pub(super) fn saw(&self, at: Instant) -> Result<()> {
        let sql = "UPDATE session SET seen = ?1 WHERE id = (SELECT max(id) FROM session)";
        self.run(sql, [at.micros()]).map(drop)
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize> {
        self.conn.prepare_cached(sql)?.execute(values)
    }

    fn one(&mut self, fact: &Fact) -> Result<()> {
        match fact {
            Fact::Began(session) => self.began(session),
            Fact::Stopped { at } => {
                let sql = "UPDATE session SET stopped = ?1, seen = ?1 \
                           WHERE id = (SELECT max(id) FROM session)";
                self.run(sql, [at.micros()]).map(drop)
            }
            Fact::Job(record) => self.job(record),
            Fact::Gone { job } => self.gone(job),
            Fact::AllPaused(pause) => {
                let (at, until, by, reason) = pause_columns(pause.as_ref());
                let sql = "UPDATE state SET paused_at = ?1, paused_until = ?2, paused_by = ?3, \
                           paused_reason = ?4 WHERE id = 1";
                self.run(sql, params![at, until, by, reason]).map(drop)
            }
            Fact::Admitted { run, job, due, at, by, .. } => {
                let job = self.id(job)?;
                self.admit(*run, job, *due, *at, (0, by.as_deref()))
            }
            Fact::Starting { run, attempt } => {
                let sql = "UPDATE record SET attempts = ?2, pid = NULL, pid_start = NULL, \
                           begun = NULL WHERE run = ?1";
                self.run(sql, params![number(*run), attempt]).map(drop)
            }
            Fact::Postponed { run, attempt } => {
                let sql = "UPDATE record SET attempts = ?2 WHERE run = ?1";
                self.run(sql, params![number(*run), attempt.saturating_sub(1)]).map(drop)
            }
            Fact::Started { run, attempt, process, at } => {
                let sql = "UPDATE record SET attempts = ?2, pid = ?3, pid_start = ?4, begun = ?5, \
                           started = coalesce(started, ?5) WHERE run = ?1";
                let Process { pid, start } = process;
                self.run(sql, params![number(*run), attempt, pid, *start as i64, at.micros()])
                    .map(drop)
            }
            Fact::AttemptEnded { run, attempt, outcome, at } => {
                self.attempt_ended(*run, *attempt, outcome, *at)
            }
            Fact::Ended { .. } => self.ended(fact, None),
            Fact::Fate { job, due, last_due, count, outcome, at, .. } => {
                self.fate(job, (*due, *last_due, *count), outcome, *at)
            }
            Fact::Withdrawn { run } => self.withdrawn(*run),
            Fact::Output { run, tail, total } => {
                let total = i64::try_from(*total).unwrap_or(i64::MAX);
                let sql = "UPDATE record SET printed = ?2 WHERE run = ?1";
                if self.run(sql, [number(*run), total])? == 0 || tail.is_empty() {
                    return Ok(());
                }
                let sql = "INSERT OR REPLACE INTO output (run, tail, total) VALUES (?1, ?2, ?3)";
                self.run(sql, params![number(*run), &**tail, total]).map(drop)
            }
            Fact::Change(change) => self.change(change),
            Fact::Entry { list, key, value } => self.entry(list, key, value.as_deref()),
        }
    }

    /// A run has ended; `begun`: and its last attempt has begun just before that.
    fn ended(&self, end: &Fact, begun: Option<(Process, Instant)>) -> Result<()> {
        let Fact::Ended { run, outcome, duration, attempts, usage, .. } = end else {
            return Ok(());
        };
        let (word, code, reason) = encode::columns(outcome);
        let (run, failed) = (number(*run), outcome.went_wrong());
        let duration = duration_micros(*duration);
        let [cpu, rss, read, written] = encode::usage_columns(*usage);
        let Some((Process { pid, start }, at)) = begun else {
            let values = params![
                run, word, failed, code, reason, duration, attempts, cpu, rss, read, written,
            ];
            return self.run(&ENDED, values).map(drop);
        };
        let (start, at) = (start as i64, at.micros());
        let values = params![
            run, word, failed, code, reason, duration, attempts, cpu, rss, read, written, pid,
            start, at,
        ];
        self.run(&BEGUN_AND_ENDED, values).map(drop)
    }

    /// The number of a job's name.
    fn id(&mut self, name: &str) -> Result<i64> {
        if let Some(id) = self.known.id_of(name) {
            return Ok(id);
        }
        let find = "SELECT id FROM job WHERE name = ?1";
        let found = self.conn.prepare_cached(find)?.query_row([name], |row| row.get(0)).optional();
        let id = match found? {
            Some(id) => id,
            None => {
                self.run("INSERT INTO job (name) VALUES (?1)", [name])?;
                self.conn.last_insert_rowid()
            }
        };
        if self.known.names.len() >= NAMES {
            self.known.names.clear();
        }
        self.known.names.insert(name.into(), id);
        Ok(id)
    }

    fn began(&self, session: &Session) -> Result<()> {
        let Session { process, boot, began, seen, stopped, jobfile, mark } = session;
        let sql = "INSERT INTO session (pid, pid_start, boot, began, seen, stopped, jobfile, mark) \
                   SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE NOT EXISTS (SELECT 1 FROM session \
                   WHERE pid = ?1 AND pid_start = ?2 AND boot = ?3 AND began = ?4)";
        let stopped = stopped.map(Instant::micros);
        let (began, seen, start) = (began.micros(), seen.micros(), process.start as i64);
        self.run(sql, params![process.pid, start, boot, began, seen, stopped, jobfile, mark])
            .map(drop)
    }

    fn job(&mut self, record: &JobRecord) -> Result<()> {
        let id = self.id(&record.id)?;
        let (at, until, by, reason) = pause_columns(record.pause.as_ref());
        let sql = "UPDATE job SET present = 1, decided = ?2, anchor = ?3, \"trigger\" = ?4, \
                   since = ?5, resumed = ?6, paused_at = ?7, paused_until = ?8, paused_by = ?9, \
                   paused_reason = ?10, added = ?11, overrides = ?12 WHERE id = ?1";
        let values = params![
            id,
            record.decided.micros(),
            record.anchor.micros(),
            record.trigger,
            record.since.micros(),
            record.resumed,
            at,
            until,
            by,
            reason,
            record.added,
            record.overrides,
        ];
        self.run(sql, values).map(drop)
    }

    fn gone(&mut self, job: &str) -> Result<()> {
        // Jobs that are added and removed before they were ever due leave nothing behind.
        if self.run("DELETE FROM job WHERE name = ?1 AND records = 0", [job])? > 0 {
            self.known.names.remove(job);
            return Ok(());
        }
        let sql = "UPDATE job SET present = 0, decided = NULL, anchor = NULL, \"trigger\" = NULL, \
                   since = NULL, resumed = NULL, paused_at = NULL, paused_until = NULL, \
                   paused_by = NULL, paused_reason = NULL, added = NULL, overrides = NULL \
                   WHERE name = ?1";
        self.run(sql, [job]).map(drop)
    }

    /// One more record of a job, or none, and the due time up to which all are decided.
    fn count(&mut self, job: i64, more: usize, decided: Option<Instant>) -> Result<()> {
        let decided = decided.map_or(i64::MIN, Instant::micros);
        if more > 0 {
            self.known.touched.insert(job);
        }
        // What is remembered of a job that is not present stays unknown: max(NULL, x) is NULL.
        let sql = "UPDATE job SET records = records + ?2, decided = max(decided, ?3) WHERE id = ?1";
        self.run(sql, params![job, i64::from(more > 0), decided]).map(drop)
    }

    /// A record of a run that begins, of which so many attempts have.
    pub(super) fn admit(
        &mut self,
        run: RunId,
        id: i64,
        due: Instant,
        at: Instant,
        (attempts, by): (u32, Option<&str>),
    ) -> Result<()> {
        let admit = |writer: &Self| {
            let sql = "INSERT OR IGNORE INTO record \
                       (job, due, last_due, count, at, run, \"by\", attempts) \
                       VALUES (?1, ?2, ?2, 1, ?3, ?4, ?5, ?6)";
            let (due, at) = (due.micros(), at.micros());
            writer.run(sql, params![id, due, at, number(run), by, attempts])
        };
        let mut more = admit(self)?;
        if more == 0 {
            let sql = "SELECT run FROM record WHERE job = ?1 AND due = ?2";
            let owner = self
                .conn
                .prepare_cached(sql)?
                .query_row([id, due.micros()], |row| row.get::<_, Option<i64>>(0))
                .optional()?;
            match owner {
                // It was done before, and is done again.
                Some(Some(owner)) if owner == number(run) => {}
                Some(_) => self.lost.push(run),
                None => {
                    self.disown(run)?;
                    more = admit(self)?;
                }
            }
        }
        self.count(id, more, by.is_none().then_some(due))
    }

    /// The number of this run was given to another, by a scheduler that knew nothing of this store:
    /// the store was away, and is here again. That run keeps its record and loses its number.
    fn disown(&self, run: RunId) -> Result<()> {
        let sql = "UPDATE record SET run = NULL, failed = max(failed, outcome IS NULL), \
                   reason = iif(outcome IS NULL, 'its number was used again', reason), \
                   outcome = coalesce(outcome, 'lost') WHERE run = ?1";
        self.run(sql, [number(run)])?;
        self.run("DELETE FROM attempt WHERE run = ?1", [number(run)])?;
        self.run("DELETE FROM output WHERE run = ?1", [number(run)]).map(drop)
    }

    fn fate(
        &mut self,
        job: &str,
        (due, last_due, count): (Instant, Instant, u64),
        outcome: &Outcome,
        at: Instant,
    ) -> Result<()> {
        let id = self.id(job)?;
        let (word, code, reason) = encode::columns(outcome);
        let sql = "INSERT OR IGNORE INTO record \
                   (job, due, last_due, count, at, outcome, failed, number, reason) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let values = params![
            id,
            due.micros(),
            last_due.micros(),
            i64::try_from(count).unwrap_or(i64::MAX),
            at.micros(),
            word,
            outcome.went_wrong(),
            code,
            reason,
        ];
        let more = self.run(sql, values)?;
        self.count(id, more, Some(last_due))
    }

    fn attempt_ended(
        &self,
        run: RunId,
        attempt: u32,
        outcome: &Outcome,
        at: Instant,
    ) -> Result<()> {
        let (word, code, reason) = encode::columns(outcome);
        let sql = "INSERT OR REPLACE INTO attempt \
                   (run, attempt, outcome, number, reason, begun, ended, pid, pid_start) \
                   SELECT run, ?2, ?3, ?4, ?5, iif(attempts = ?2, begun, NULL), ?6, \
                   iif(attempts = ?2, pid, NULL), iif(attempts = ?2, pid_start, NULL) \
                   FROM record WHERE run = ?1";
        self.run(sql, params![number(run), attempt, word, code, reason, at.micros()]).map(drop)
    }

    fn withdrawn(&self, run: RunId) -> Result<()> {
        let find = "SELECT job, due, \"by\" IS NULL FROM record \
                    WHERE run = ?1 AND outcome IS NULL AND attempts = 0";
        let found = self
            .conn
            .prepare_cached(find)?
            .query_row([number(run)], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, bool>(2)?))
            })
            .optional()?;
        let Some((job, due, named)) = found else { return Ok(()) };
        // Its number has been seen, so nobody is to have it again.
        self.run("UPDATE state SET next_run = max(next_run, ?1 + 1) WHERE id = 1", [number(run)])?;
        for table in ["record", "attempt", "output"] {
            self.run(&format!("DELETE FROM {table} WHERE run = ?1"), [number(run)])?;
        }
        let decided = if named { due - 1 } else { i64::MAX };
        let sql = "UPDATE job SET records = records - 1, decided = min(decided, ?2) WHERE id = ?1";
        self.run(sql, [job, decided]).map(drop)
    }

    fn change(&self, change: &Change) -> Result<()> {
        let Change { at, job, what, by, detail } = change;
        let what = what.word();
        let sql = "INSERT INTO change (at, job, what, \"by\", detail) SELECT ?1, ?2, ?3, ?4, ?5 \
                   WHERE NOT EXISTS (SELECT 1 FROM change WHERE at = ?1 AND job IS ?2 \
                   AND what = ?3 AND \"by\" = ?4 AND detail IS ?5)";
        self.run(sql, params![at.micros(), job, what, by, detail]).map(drop)
    }

    fn entry(&self, list: &str, key: &str, value: Option<&str>) -> Result<()> {
        let put = "INSERT INTO entry (list, name, value) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (list, name) DO UPDATE SET value = excluded.value";
        let done = match value {
            Some(value) => self.run(put, [list, key, value]),
            None => self.run("DELETE FROM entry WHERE list = ?1 AND name = ?2", [list, key]),
        };
        done.map(drop)
    }
}
