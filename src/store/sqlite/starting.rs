//! Runs that are about to start, in a table of their own.
//!
//! A start waits until the store has its run. A row of `record` is also in six indexes, and each is a page
//! of the log, of 4 KiB; so what begins alone first goes into `starting`, which is one page and has no
//! index, and becomes a record with whatever is written next, usually a few milliseconds later. Where many
//! begin at once they share the pages, and are records at once.
//!
//! Nobody is to notice: a reader finds these runs where their records will be. Who finds one twice, because
//! it became a record between two questions, takes the record.

use rusqlite::{Connection, Result, Row, params};

use super::read::{self, has, instant};
use super::schema;
use super::write::{Writer, number};
use crate::core::event::{JobRecord, RunId};
use crate::core::record::RunRecord;
use crate::store::{Fact, OpenRun, Query, Session};

/// Where more begin in one transaction, they become records at once.
const FEW: usize = 4;
/// So many rows wait for the next transaction; another would be another page.
const MOST: usize = 32;

/// What the writer knows of a row without looking.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claimed {
    run: i64,
    job: i64,
    due: i64,
}

const ROWS: &str = "SELECT run, (SELECT name FROM job WHERE id = s.job), due, at, attempts, \"by\" \
                    FROM starting s ORDER BY place";

impl Writer<'_> {
    /// Takes facts that say of few runs that they begin, and nothing else. Answers whether it has: their
    /// claims may be in doubt, or these be other facts.
    pub(super) fn begin(&mut self, facts: &[Fact]) -> Result<bool> {
        let Some(begins) = self.beginning(facts) else { return Ok(false) };
        self.look_at_claimed()?;
        let known = self.known.starting.get_or_insert_default();
        if known.len() + begins.len() > MOST {
            return Ok(false);
        }
        for Begin { claimed, .. } in &begins {
            let is_in_doubt = |other: &Claimed| {
                other.run == claimed.run || (other.job, other.due) == (claimed.job, claimed.due)
            };
            let sql = "SELECT EXISTS (SELECT 1 FROM record WHERE job = ?1 AND due = ?2) \
                       OR EXISTS (SELECT 1 FROM record WHERE run = ?3)";
            let values = [claimed.job, claimed.due, claimed.run];
            let mut look = self.conn.prepare_cached(sql)?;
            // It is one of them itself.
            let all = known.iter().chain(begins.iter().map(|begin| &begin.claimed));
            if all.filter(|other| is_in_doubt(other)).count() > 1
                || look.query_row(values, |row| row.get(0))?
            {
                return Ok(false);
            }
        }
        let sql = "INSERT INTO starting (run, job, due, at, attempts, \"by\") \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        for Begin { claimed, at, attempts, by } in begins {
            let values = params![claimed.run, claimed.job, claimed.due, at, attempts, by];
            self.conn.prepare_cached(sql)?.execute(values)?;
            self.known.starting.get_or_insert_default().push(claimed);
        }
        Ok(true)
    }

    /// What these facts say, if that is all they say, and all names in it are known.
    fn beginning<'f>(&self, facts: &'f [Fact]) -> Option<Vec<Begin<'f>>> {
        let mut begins: Vec<Begin<'f>> = Vec::new();
        for fact in facts {
            match fact {
                Fact::Admitted { run, job, due, at, by, .. } if begins.len() < FEW => {
                    let (run, job) = (number(*run), self.known.id_of(job)?);
                    let claimed = Claimed { run, job, due: due.micros() };
                    let (at, by) = (at.micros(), by.as_deref());
                    begins.push(Begin { claimed, at, attempts: 0, by });
                }
                Fact::Starting { run, attempt } => {
                    let run = number(*run);
                    let begin = begins.iter_mut().find(|begin| begin.claimed.run == run)?;
                    begin.attempts = *attempt;
                }
                _ => return None,
            }
        }
        Some(begins).filter(|begins| !begins.is_empty())
    }

    fn look_at_claimed(&mut self) -> Result<()> {
        if self.known.starting.is_some() {
            return Ok(());
        }
        let mut find = self.conn.prepare_cached("SELECT run, job, due FROM starting")?;
        let claimed =
            |row: &Row<'_>| Ok(Claimed { run: row.get(0)?, job: row.get(1)?, due: row.get(2)? });
        self.known.starting = Some(find.query_map([], claimed)?.collect::<Result<_>>()?);
        Ok(())
    }

    /// Makes records of all rows.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.look_at_claimed()?;
        if self.known.starting.as_ref().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let sql = "SELECT run, job, due, at, attempts, \"by\" FROM starting ORDER BY place";
        let mut find = self.conn.prepare_cached(sql)?;
        let mut rows = find.query([])?;
        let mut seen = None;
        while let Some(row) = rows.next()? {
            let run = RunId(row.get::<_, i64>(0)? as u64);
            let (due, at) = (instant(row, 2)?, instant(row, 3)?);
            let by = row.get_ref(5)?.as_str_or_null()?;
            self.admit(run, row.get(1)?, due, at, (row.get(4)?, by))?;
            seen = Some(at);
        }
        drop(rows);
        self.conn.prepare_cached("DELETE FROM starting")?.execute([])?;
        self.known.starting = Some(Vec::new());
        seen.map_or(Ok(()), |at| self.saw(at))
    }
}

/// A run that begins.
struct Begin<'a> {
    claimed: Claimed,
    at: i64,
    attempts: u32,
    by: Option<&'a str>,
}

/// The runs that have no record yet, as the records that they will have, the oldest first. To be asked
/// before records are.
pub(super) fn records(conn: &Connection) -> Result<Vec<RunRecord>> {
    if !has(conn, schema::HAS_STARTING)? {
        return Ok(Vec::new());
    }
    let mut found = read::all(conn, ROWS, &[], record)?;
    if !found.is_empty() {
        let newest = "SELECT coalesce(max(seq), 0) FROM record";
        let newest = conn.prepare_cached(newest)?.query_row([], |row| row.get::<_, i64>(0))? as u64;
        (newest + 1..).zip(&mut found).for_each(|(seq, record)| record.seq = seq);
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> Result<RunRecord> {
    let due = instant(row, 2)?;
    Ok(RunRecord {
        seq: 0,
        job: row.get(1)?,
        due,
        last_due: due,
        count: 1,
        at: instant(row, 3)?,
        run: Some(RunId(row.get::<_, i64>(0)? as u64)),
        outcome: None,
        started: None,
        duration: None,
        attempts: row.get(4)?,
        process: None,
        by: row.get(5)?,
        host: None,
        usage: None,
        printed: None,
    })
}

/// Puts those that a query wants before what it has found of records, the newest first.
pub(super) fn with_records(
    starting: Vec<RunRecord>,
    found: Vec<RunRecord>,
    query: &Query,
) -> Vec<RunRecord> {
    let is_known = |run: &RunRecord| found.iter().any(|record| record.run == run.run);
    let wanted = starting.into_iter().rev().filter(|run| query.wants(run) && !is_known(run));
    let mut all: Vec<RunRecord> = wanted.collect();
    all.extend(found);
    if query.limit > 0 {
        all.truncate(query.limit);
    }
    all
}

/// The same of runs that are not over, the oldest first.
pub(super) fn with_open(starting: &[RunRecord], open: &mut Vec<OpenRun>) {
    for run in starting {
        let Some(number) = run.run.filter(|number| open.iter().all(|open| open.run != *number))
        else {
            continue;
        };
        open.push(OpenRun {
            run: number,
            job: run.job.clone(),
            due: run.due,
            by: run.by.clone(),
            attempt: run.attempts,
            process: None,
            started: None,
            last: None,
            last_ended: None,
        });
    }
}

/// Up to when the due times of jobs are decided.
pub(super) fn decide(starting: &[RunRecord], jobs: &mut [JobRecord]) {
    for run in starting.iter().filter(|run| run.by.is_none()) {
        if let Some(job) = jobs.iter_mut().find(|job| job.id == run.job) {
            job.decided = job.decided.max(run.due);
        }
    }
}

/// When the last session was seen alive.
pub(super) fn see(starting: &[RunRecord], session: Option<&mut Session>) {
    if let (Some(session), Some(last)) = (session, starting.last()) {
        session.seen = last.at;
    }
}

/// The number of the next run.
pub(super) fn next_run(starting: &[RunRecord], next: u64) -> u64 {
    let numbers = starting.iter().filter_map(|run| run.run);
    numbers.map(|run| run.0 + 1).fold(next, u64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::instant::Instant;

    #[test]
    fn who_became_a_record_meanwhile_is_one() {
        let run = |seq: u64, run: u64| RunRecord {
            seq,
            job: "a".into(),
            due: Instant::from_micros(run as i64),
            last_due: Instant::from_micros(run as i64),
            count: 1,
            at: Instant::from_micros(0),
            run: Some(RunId(run)),
            outcome: None,
            started: None,
            duration: None,
            attempts: 1,
            process: None,
            by: None,
            host: None,
            usage: None,
            printed: None,
        };
        let both = |limit: usize| {
            let (starting, found) = (vec![run(3, 3), run(4, 4)], vec![run(3, 3), run(2, 2)]);
            let found = with_records(starting, found, &Query { limit, ..Query::default() });
            found.into_iter().filter_map(|record| record.run).map(|run| run.0).collect::<Vec<_>>()
        };
        assert_eq!([both(0), both(2)], [vec![4, 3, 2], vec![4, 3]]);
    }
}
