//! Forgetting, a little at a time: what `super::super::sqlite` forgets, by the same rules.
//!
//! Of each job with new records the oldest go until it is within its limits; others are found by
//! their age. What is not over stays, and so do the last record of a job that is there, its last run
//! that has ended and the last that succeeded.

use std::collections::BTreeSet;

use super::cells::{Row, all, number, text};
use super::link::Link;
use super::literal::{self, list};
use super::schema::named;
use crate::core::fleet::SPARE_RUNS;
use crate::core::instant::Instant;
use crate::store::encode::EXCLUDED;
use crate::store::shared::{ASKS_KEPT, CLAIMS_KEPT};
use crate::store::sql::{Batch, LAST};
use crate::store::{Limits, MOST_CHANGES, MOST_SESSIONS, StoreError};

/// So many records are looked at in one go.
const SLICE: usize = 500;
/// So many jobs are looked at in one go.
const JOBS: usize = 50;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Tidying {
    /// Several schedulers use the store.
    pub(super) shared: bool,
    /// Jobs with new records since they were last tidied.
    touched: BTreeSet<Box<str>>,
    /// Records up to this one are not looked at for their age any more.
    aged: i64,
    /// Jobs up to this name have been looked at, whether they have new records or not.
    surveyed: Option<Box<str>>,
    all_surveyed: bool,
    keep: Option<Limits>,
}

impl Tidying {
    /// Remembers which jobs have new records.
    pub(super) fn touch(&mut self, batch: &Batch<'_>) {
        for row in batch.stages.iter().flat_map(|stage| &stage.rows) {
            if !self.touched.contains(row.job) {
                self.touched.insert(row.job.into());
            }
        }
    }

    /// One slice. Answers whether there is more to do.
    pub(super) fn slice(
        &mut self,
        link: &mut Link,
        keep: Limits,
        now: Instant,
    ) -> Result<bool, StoreError> {
        let day = 86_400_i64 * 1_000_000;
        let oldest = now.micros().saturating_sub(i64::from(keep.days).saturating_mul(day));
        if self.keep.replace(keep) != Some(keep) {
            (self.aged, self.surveyed, self.all_surveyed) = (0, None, false);
        }
        if self.touched.is_empty() && !self.all_surveyed {
            self.survey(link)?;
        }
        let until = if self.shared { now.micros().saturating_sub(CLAIMS_KEPT) } else { i64::MAX };
        let beyond = self.by_count(link, keep, until)?;
        let older = self.by_age(link, oldest, now.micros())?;
        if !beyond && !older {
            aside(link, oldest, now)?;
        }
        Ok(beyond || older || !self.touched.is_empty() || !self.all_surveyed)
    }

    /// Some more jobs that may be beyond their limits.
    fn survey(&mut self, link: &mut Link) -> Result<(), StoreError> {
        let from = self
            .surveyed
            .as_deref()
            .map_or("TRUE".to_owned(), |name| format!("job > {}", literal::text(name)));
        let sql =
            format!("SELECT DISTINCT job FROM ~record WHERE {from} ORDER BY job LIMIT {JOBS}");
        let answers = link.ask(&[named(&sql)])?;
        let found = all(&link.settings.url, answers.first(), |row| text(row, 0))?;
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
        let keep = keep.runs;
        let kind = |name: &str, is: &str| {
            format!(
                "SELECT r.seq FROM (SELECT seq, job, outcome, at FROM ~record WHERE job = {name} \
                 AND {EXCLUDED} {is} ORDER BY seq DESC LIMIT {SLICE} OFFSET {keep}) r \
                 WHERE r.outcome IS NOT NULL AND r.at <= {until} AND NOT {LAST}"
            )
        };
        let of = |name: &str| {
            let name = literal::text(name);
            let [others, excluded] = ["IS NOT TRUE", "IS TRUE"].map(|is| kind(&name, is));
            named(&format!("{others} UNION ALL {excluded}"))
        };
        let statements: Vec<String> = names.iter().map(|name| of(name)).collect();
        let answers = link.ask(&statements)?;
        let mut beyond = Vec::new();
        for (name, rows) in names.iter().zip(&answers) {
            let found = all(&link.settings.url, Some(rows), |row| number(row, 0))?;
            // Some of them may stay, so that only what goes is headway.
            if found.is_empty() || rows.len() < SLICE / 2 {
                self.touched.remove(name);
            }
            beyond.extend(found);
        }
        let more = !beyond.is_empty();
        forget(link, &beyond)?;
        Ok(more)
    }

    /// The oldest of all. Answers whether there may be more.
    fn by_age(&mut self, link: &mut Link, oldest: i64, now: i64) -> Result<bool, StoreError> {
        let sql = format!(
            "SELECT r.seq, r.at, r.outcome IS NOT NULL AND NOT {LAST} FROM ~record r \
             WHERE r.seq > {} ORDER BY r.seq LIMIT {SLICE}",
            self.aged
        );
        let answers = link.ask(&[named(&sql)])?;
        let old = |row: &Row| Ok((number(row, 0)?, number(row, 1)?, number(row, 2)? != 0));
        let found = all(&link.settings.url, answers.first(), old)?;
        let whole = found.len() >= SLICE;
        let (mut beyond, mut gone) = (false, Vec::new());
        for (seq, at, may_go) in found {
            if at > now {
                // A clock was ahead when it was written. It stays until its time, and what is
                // behind it does not.
                beyond = true;
                continue;
            }
            if at >= oldest {
                forget(link, &gone)?;
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
        forget(link, &gone)?;
        Ok(whole && headway)
    }
}

fn forget(link: &mut Link, records: &[i64]) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let these = format!("seq IN ({})", list(records.iter().map(i64::to_string)));
    let hanging = |table: &str| {
        format!("DELETE t FROM ~{table} t JOIN ~record r ON r.run = t.run WHERE r.{these}")
    };
    let statements = [
        // No number is to be given twice, even if nothing is left that has it.
        format!(
            "UPDATE ~store SET next_run = GREATEST(next_run, COALESCE((SELECT MAX(run) FROM ~record \
             WHERE {these} AND run < {SPARE_RUNS}), 0) + 1)"
        ),
        hanging("output"),
        hanging("attempt"),
        format!("DELETE FROM ~record WHERE {these} AND outcome IS NOT NULL"),
    ];
    let statements: Vec<String> = statements.iter().map(|sql| named(sql)).collect();
    link.transaction(&statements).map(drop)
}

/// Changes, lives, sessions and requests.
fn aside(link: &mut Link, oldest: i64, now: Instant) -> Result<(), StoreError> {
    let asks = now.micros().saturating_sub(ASKS_KEPT);
    let statements = [
        format!("DELETE FROM ~change WHERE at < {oldest} LIMIT 1000"),
        "SET @last = (SELECT MAX(id) FROM ~change)".to_owned(),
        format!("DELETE FROM ~change WHERE id <= @last - {MOST_CHANGES} LIMIT 1000"),
        "SET @last = (SELECT MAX(id) FROM ~life)".to_owned(),
        format!("DELETE FROM ~life WHERE COALESCE(stopped, seen) < {oldest} AND id < @last"),
        format!("DELETE FROM ~life WHERE id <= @last - {MOST_SESSIONS}"),
        format!("DELETE FROM ~member WHERE gone_at < {oldest} AND seen < {oldest}"),
        "DELETE f FROM ~file f LEFT JOIN ~member m ON m.jobfile_hash = f.hash WHERE m.id IS NULL"
            .to_owned(),
        format!("DELETE FROM ~ask WHERE at < {asks}"),
    ];
    let statements: Vec<String> = statements.iter().map(|sql| named(sql)).collect();
    link.transaction(&statements).map(drop)
}
