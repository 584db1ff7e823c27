//! Forgetting, a little at a time: what `super::super::sqlite` forgets, by the same rules.
//!
//! Of each job with new records the oldest go until it is within its limits; others are found by
//! their age. What is not over stays, and so do the last record of a job that is there, its last run
//! that has ended and the last that succeeded.

use std::collections::BTreeSet;

use tokio_postgres::Row;

use super::link::{Link, Statement};
use super::read::{all, text};
use crate::core::fleet::SPARE_RUNS;
use crate::core::instant::Instant;
use crate::store::encode::EXCLUDED;
use crate::store::shared::{ASKS_KEPT, CLAIMS_KEPT};
use crate::store::sql::{LAST, escaped};
use crate::store::{Limits, MOST_CHANGES, MOST_SESSIONS, StoreError};

/// So many records are looked at in one go.
const SLICE: i64 = 500;
/// So many jobs are looked at in one go.
const JOBS: usize = 200;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Tidying {
    /// Jobs with new records since they were last tidied.
    pub(super) touched: BTreeSet<Box<str>>,
    /// Records up to this one are not looked at for their age any more.
    aged: i64,
    /// Jobs up to this name have been looked at, whether they have new records or not.
    surveyed: Option<Box<str>>,
    all_surveyed: bool,
    keep: Option<Limits>,
}

impl Tidying {
    /// One slice. Answers whether there is more to do.
    pub(super) fn slice(
        &mut self,
        link: &mut Link,
        keep: Limits,
        now: Instant,
        shared: bool,
    ) -> Result<bool, StoreError> {
        let day = 86_400_i64 * 1_000_000;
        let oldest = now.micros().saturating_sub(i64::from(keep.days).saturating_mul(day));
        if self.keep.replace(keep) != Some(keep) {
            (self.aged, self.surveyed, self.all_surveyed) = (0, None, false);
        }
        if self.touched.is_empty() && !self.all_surveyed {
            self.survey(link)?;
        }
        let until = if shared { now.micros().saturating_sub(CLAIMS_KEPT) } else { i64::MAX };
        let beyond = self.by_count(link, keep, until)?;
        let older = self.by_age(link, oldest, now.micros())?;
        let aside = aside(link, oldest, now)?;
        Ok(beyond || older || aside || !self.touched.is_empty() || !self.all_surveyed)
    }

    /// Some more jobs that may be beyond their limits.
    fn survey(&mut self, link: &mut Link) -> Result<(), StoreError> {
        let sql = "WITH RECURSIVE name AS ((SELECT job, 1 AS n FROM ~record WHERE $1 IS NULL \
                   OR job > $1 ORDER BY job LIMIT 1) UNION ALL SELECT (SELECT job FROM ~record \
                   WHERE job > name.job ORDER BY job LIMIT 1), n + 1 FROM name WHERE job IS NOT NULL \
                   AND n < $2) SELECT job FROM name WHERE job IS NOT NULL";
        let from = self.surveyed.as_deref().map(|name| escaped(name).into_owned());
        let statement = Statement::new(&link.settings, sql).text(from).number(JOBS as i64);
        let rows = link.ask(&statement)?;
        let found = all(&link.settings, &rows, |row| text(row, 0))?;
        self.all_surveyed = found.len() < JOBS;
        if let Some(last) = found.last() {
            self.surveyed = Some(last.clone());
        }
        self.touched.extend(found);
        Ok(())
    }

    /// What some jobs have too much of. Answers whether there may be more.
    fn by_count(&mut self, link: &mut Link, keep: Limits, until: i64) -> Result<bool, StoreError> {
        let names: Vec<Box<str>> = self.touched.iter().take(JOBS).cloned().collect();
        if names.is_empty() {
            return Ok(false);
        }
        let kind = |is: &str| {
            format!(
                "SELECT r.seq FROM (SELECT seq, job, outcome, at FROM ~record WHERE job = n.name AND \
                 {EXCLUDED} {is} ORDER BY seq DESC OFFSET $2) r \
                 WHERE r.outcome IS NOT NULL AND r.at <= $4 AND NOT {LAST}"
            )
        };
        let sql = format!(
            "SELECT o.seq FROM unnest($1::text[]) n(name) CROSS JOIN LATERAL (({} LIMIT $3) \
             UNION ALL ({} LIMIT $3)) o LIMIT $3",
            kind("IS NOT TRUE"),
            kind("IS TRUE"),
        );
        let statement = Statement::new(&link.settings, &sql)
            .texts(names.iter().map(|name| escaped(name)).collect())
            .number(i64::from(keep.runs))
            .number(SLICE)
            .number(until);
        let rows = link.ask(&statement)?;
        let beyond = all(&link.settings, &rows, |row| row.try_get::<_, i64>(0))?;
        let more = beyond.len() as i64 >= SLICE;
        forget(link, beyond)?;
        if !more {
            self.touched.retain(|name| !names.contains(name));
        }
        Ok(more)
    }

    /// The oldest of all. Answers whether there may be more.
    fn by_age(&mut self, link: &mut Link, oldest: i64, now: i64) -> Result<bool, StoreError> {
        let sql = format!(
            "SELECT r.seq, r.at, r.outcome IS NOT NULL AND NOT {LAST} FROM ~record r \
             WHERE r.seq > $1 ORDER BY r.seq LIMIT $2"
        );
        let statement = Statement::new(&link.settings, &sql).number(self.aged).number(SLICE);
        let rows = link.ask(&statement)?;
        let old = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let found: Vec<(i64, i64, bool)> = all(&link.settings, &rows, old)?;
        let whole = found.len() as i64 >= SLICE;
        let mut beyond = false;
        let mut gone = Vec::new();
        for (seq, at, may_go) in found {
            if at > now {
                // A clock was ahead when it was written. It stays until its time, and what is
                // behind it does not.
                beyond = true;
                continue;
            }
            if at >= oldest {
                forget(link, gone)?;
                return Ok(false);
            }
            if may_go {
                gone.push(seq);
            }
            if !beyond {
                self.aged = seq;
            }
        }
        // What is looked at again each time is no headway.
        let headway = !gone.is_empty() || !beyond;
        forget(link, gone)?;
        Ok(whole && headway)
    }
}

fn forget(link: &mut Link, records: Vec<i64>) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    // No number is to be given twice, even if nothing is left that has it.
    let sql = format!(
        "WITH d AS (DELETE FROM ~record WHERE seq = ANY($1) AND outcome IS NOT NULL \
         RETURNING run), o AS (DELETE FROM ~output WHERE run IN (SELECT run FROM d)), \
         a AS (DELETE FROM ~attempt WHERE run IN (SELECT run FROM d)) \
         UPDATE ~store SET next_run = m.run + 1 FROM (SELECT max(run) AS run FROM d \
         WHERE run < {SPARE_RUNS}) m WHERE next_run <= m.run"
    );
    let statement = Statement::new(&link.settings, &sql).numbers(records);
    link.ask(&statement).map(drop)
}

/// Changes, lives, sessions and requests. Answers whether there may be more.
fn aside(link: &mut Link, oldest: i64, now: Instant) -> Result<bool, StoreError> {
    let asks = now.micros().saturating_sub(ASKS_KEPT);
    let statements = [
        (
            "DELETE FROM ~change WHERE id IN (SELECT id FROM ~change WHERE at < $1 LIMIT 500) \
             RETURNING id",
            oldest,
        ),
        (
            "DELETE FROM ~change WHERE id IN (SELECT id FROM ~change WHERE id <= (SELECT max(id) \
             FROM ~change) - $1 LIMIT 500) RETURNING id",
            i64::from(MOST_CHANGES),
        ),
        (
            "DELETE FROM ~life WHERE coalesce(stopped, seen) < $1 AND id < (SELECT max(id) \
             FROM ~life) RETURNING id",
            oldest,
        ),
        (
            "DELETE FROM ~life WHERE id <= (SELECT max(id) FROM ~life) - $1 RETURNING id",
            MOST_SESSIONS.into(),
        ),
        ("DELETE FROM ~member WHERE gone_at < $1 AND seen < $1 RETURNING id", oldest),
        ("DELETE FROM ~ask WHERE at < $1 RETURNING id", asks),
    ];
    let statements: Vec<Statement<'_>> = statements
        .into_iter()
        .map(|(sql, value)| Statement::new(&link.settings, sql).number(value))
        .collect();
    let gone = link.transaction(&statements)?;
    Ok(gone.iter().any(|rows| rows.len() >= 500))
}
