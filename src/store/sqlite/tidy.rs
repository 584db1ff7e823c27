//! Forgetting, a little at a time.
//!
//! Of each job that has new records the oldest go until it is within its limits, of which excluded due
//! times have one of their own; records of jobs that have no new ones are found by their age. What is not over stays, and so do the last record
//! of a job that is there, its last run that has ended and the last that succeeded: one that runs
//! once a year is not to look as if it never had.

use std::collections::HashSet;
use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::write::Known;
use crate::core::instant::Instant;
use crate::store::encode::{ENDED_RUN, EXCLUDED};
use crate::store::{Limits, MOST_CHANGES, MOST_SESSIONS};

/// So many records are looked at in one go.
const SLICE: i64 = 200;
/// Space is given back when more than a quarter of the pages is free, and so many.
const FREE_PAGES: i64 = 512;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Tidying {
    /// Records up to this one are not looked at for their age any more.
    aged: i64,
    /// Jobs up to this one have been looked at for their number of records, whether they have new
    /// ones or not: the limits may be others than they were.
    surveyed: i64,
    all_surveyed: bool,
    keep: Option<Limits>,
    /// It has given pages back, so that the file may be shorter than it was.
    pub(super) shrunk: bool,
}

/// A row that may go.
struct Old {
    seq: i64,
    job: i64,
    at: i64,
    run: Option<i64>,
    open: bool,
}

impl Tidying {
    /// One slice, within a transaction. Answers whether there is more to do.
    pub(super) fn slice(
        &mut self,
        conn: &Connection,
        known: &mut Known,
        keep: Limits,
        now: Instant,
    ) -> Result<bool> {
        let day = 86_400_i64 * 1_000_000;
        let oldest = now.micros().saturating_sub(i64::from(keep.days).saturating_mul(day));
        let mut left = SLICE;
        if self.keep.replace(keep) != Some(keep) {
            (self.aged, self.surveyed, self.all_surveyed) = (0, 0, false);
        }
        self.survey(conn, &mut known.touched, keep)?;
        let mut names_gone = false;
        while left > 0 {
            let Some(job) = known.touched.iter().next().copied() else { break };
            let more = of_job(conn, job, keep, (oldest, now.micros()), &mut left, &mut names_gone)?;
            if !more {
                known.touched.remove(&job);
            }
        }
        if left > 0 {
            self.by_age(conn, (oldest, now.micros()), &mut left, &mut names_gone)?;
        }
        if names_gone {
            known.forget();
        }
        let aside = left > 0 && !aside(conn, oldest)?;
        let space = aside && !self.give_back(conn)?;
        Ok(!(space && known.touched.is_empty() && self.all_surveyed))
    }

    /// Some more jobs that may be beyond their limits.
    fn survey(
        &mut self,
        conn: &Connection,
        touched: &mut HashSet<i64>,
        keep: Limits,
    ) -> Result<()> {
        if self.all_surveyed {
            return Ok(());
        }
        let sql = "SELECT id, records FROM job WHERE id > ?1 ORDER BY id LIMIT 1000";
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([self.surveyed])?;
        let mut found = 0;
        while let Some(row) = rows.next()? {
            found += 1;
            self.surveyed = row.get(0)?;
            if row.get::<_, i64>(1)? > i64::from(keep.runs) {
                touched.insert(self.surveyed);
            }
        }
        self.all_surveyed = found < 1000;
        Ok(())
    }

    /// The oldest of all.
    fn by_age(
        &mut self,
        conn: &Connection,
        (oldest, now): (i64, i64),
        left: &mut i64,
        names_gone: &mut bool,
    ) -> Result<()> {
        let sql = "SELECT seq, job, at, run, outcome IS NULL FROM record WHERE seq > ?1 \
                   ORDER BY seq LIMIT ?2";
        let mut beyond = false;
        for old in olds(conn, sql, self.aged, *left)? {
            if old.at > now {
                // A clock was ahead when it was written. It stays until its time, and what stands
                // behind it does not.
                beyond = true;
                continue;
            }
            if old.at >= oldest {
                break;
            }
            let goes = !old.open && !is_last(conn, &old)?;
            if goes {
                forget(conn, &old, names_gone)?;
            }
            if !beyond {
                self.aged = old.seq;
            }
            // What is looked at again each time is no headway.
            if goes || !beyond {
                *left -= 1;
            }
        }
        Ok(())
    }

    /// Pages that are free, to the system. Answers whether there may be more.
    fn give_back(&mut self, conn: &Connection) -> Result<bool> {
        let ask = |sql: &str| conn.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
        let free = ask("PRAGMA freelist_count")?;
        if free < FREE_PAGES || free < ask("PRAGMA page_count")? / 4 {
            return Ok(false);
        }
        self.shrunk = true;
        let mut statement = conn.prepare_cached("PRAGMA incremental_vacuum(256)")?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(true)
    }
}

fn olds(conn: &Connection, sql: &str, from: i64, limit: i64) -> Result<Vec<Old>> {
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map(params![from, limit], |row| {
        Ok(Old {
            seq: row.get(0)?,
            job: row.get(1)?,
            at: row.get(2)?,
            run: row.get(3)?,
            open: row.get(4)?,
        })
    })?;
    found.collect()
}

/// All records of a job, those of excluded due times, and the others.
pub(super) static KINDS: LazyLock<[String; 3]> = LazyLock::new(|| {
    let of = |index: &str, filter: &str| {
        format!(
            "SELECT seq, job, at, run, outcome IS NULL FROM record INDEXED BY {index} \
             WHERE job = ?1{filter} ORDER BY seq LIMIT ?2"
        )
    };
    [
        of("record_job", ""),
        of("record_excluded", &format!(" AND {EXCLUDED}")),
        of("record_job", &format!(" AND {EXCLUDED} IS NOT TRUE")),
    ]
});

/// How many due times of a job were excluded.
pub(super) static COUNT_EXCLUDED: LazyLock<String> = LazyLock::new(|| {
    format!("SELECT count(*) FROM record INDEXED BY record_excluded WHERE job = ?1 AND {EXCLUDED}")
});

/// What one job has too much of. Answers whether there may be more.
fn of_job(
    conn: &Connection,
    job: i64,
    keep: Limits,
    times: (i64, i64),
    left: &mut i64,
    names_gone: &mut bool,
) -> Result<bool> {
    let number = |sql: &str| conn.prepare_cached(sql)?.query_row([job], |row| row.get::<_, i64>(0));
    let Some(count) = number("SELECT records FROM job WHERE id = ?1").optional()? else {
        return Ok(false);
    };
    let most = i64::from(keep.runs);
    let excluded = if count > most { number(&COUNT_EXCLUDED)? } else { 0 };
    let [all, of_excluded, of_others] = &*KINDS;
    if excluded == 0 {
        return of_kind(conn, (all, job), count - most, times, left, names_gone);
    }
    let mut more = false;
    for (sql, beyond) in [(of_others, count - excluded - most), (of_excluded, excluded - most)] {
        more |= *left <= 0 || of_kind(conn, (sql, job), beyond, times, left, names_gone)?;
    }
    Ok(more)
}

/// The same, of some of its records.
fn of_kind(
    conn: &Connection,
    (sql, job): (&str, i64),
    mut beyond: i64,
    (oldest, now): (i64, i64),
    left: &mut i64,
    names_gone: &mut bool,
) -> Result<bool> {
    if beyond <= 0 {
        // Nearly always the oldest is young enough, and then so are the others.
        let first = olds(conn, sql, job, 1)?;
        if first.first().is_none_or(|old| (oldest..=now).contains(&old.at)) {
            *left -= 1;
            return Ok(false);
        }
    }
    let wanted = (*left).min(beyond.max(0) + 8);
    let found = olds(conn, sql, job, wanted)?;
    let all = (found.len() as i64) < wanted;
    let mut forgotten = 0;
    for old in &found {
        *left -= 1;
        if beyond <= 0 && old.at > now {
            continue;
        }
        if beyond <= 0 && old.at >= oldest {
            return Ok(false);
        }
        // What is open counts, but stays: it will be the oldest of all only while it runs.
        beyond -= 1;
        if !old.open && !is_last(conn, old)? {
            forget(conn, old, names_gone)?;
            forgotten += 1;
        }
    }
    // Those that stay are met again each time: without headway there is no more to do.
    Ok(!all && forgotten > 0)
}

/// Whether it is the last record of a job that is there, its last run that has ended or the last that
/// succeeded.
fn is_last(conn: &Connection, old: &Old) -> Result<bool> {
    conn.prepare_cached(&IS_LAST)?.query_row([old.job, old.seq], |row| row.get(0))
}

pub(super) static IS_LAST: LazyLock<String> = LazyLock::new(|| {
    let is_newest = |what: &str| {
        format!(
            "((SELECT {what} FROM record WHERE seq = ?2) AND NOT EXISTS (SELECT 1 FROM record \
             INDEXED BY record_job WHERE job = ?1 AND seq > ?2 AND {what}))"
        )
    };
    let [any, run, success] =
        ["outcome IS NOT NULL", ENDED_RUN, "outcome = 'succeeded'"].map(is_newest);
    format!("SELECT present AND ({any} OR {run} OR {success}) FROM job WHERE id = ?1")
});

fn forget(conn: &Connection, old: &Old, names_gone: &mut bool) -> Result<()> {
    let run = |sql: &str, value: i64| conn.prepare_cached(sql)?.execute([value]);
    run("DELETE FROM record WHERE seq = ?1", old.seq)?;
    if let Some(number) = old.run {
        run("DELETE FROM output WHERE run = ?1", number)?;
        run("DELETE FROM attempt WHERE run = ?1", number)?;
        // No number is to be given twice, even if nothing is left that has it.
        run("UPDATE state SET next_run = ?1 + 1 WHERE id = 1 AND next_run <= ?1", number)?;
    }
    run("UPDATE job SET records = records - 1 WHERE id = ?1", old.job)?;
    let gone = "DELETE FROM job WHERE id = ?1 AND present = 0 AND records <= 0";
    *names_gone |= run(gone, old.job)? > 0;
    Ok(())
}

/// Changes and sessions. Answers whether there may be more.
fn aside(conn: &Connection, oldest: i64) -> Result<bool> {
    let statements = [
        "DELETE FROM change WHERE id IN (SELECT id FROM change WHERE at < ?1 LIMIT 100)",
        "DELETE FROM change WHERE id IN \
         (SELECT id FROM change WHERE id <= (SELECT max(id) FROM change) - ?1 LIMIT 100)",
        "DELETE FROM session WHERE coalesce(stopped, seen) < ?1 \
         AND id < (SELECT max(id) FROM session)",
        "DELETE FROM session WHERE id <= (SELECT max(id) FROM session) - ?1",
    ];
    let mut gone = 0;
    for (sql, value) in
        statements.into_iter().zip([oldest, MOST_CHANGES.into(), oldest, MOST_SESSIONS.into()])
    {
        gone += conn.prepare_cached(sql)?.execute([value])?;
    }
    Ok(gone >= 100)
}
