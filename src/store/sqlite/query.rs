//! Which records are wanted, and the shortest way to them.
//!
//! A store may hold millions, and a person waits. The planner of SQLite does not know that due times
//! grow as the numbers of records do, nor how many a span of time holds; so the way is chosen here.

use std::fmt::Write as _;

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Result};

use super::read::{RECORD, all, fitting, record};
use crate::core::instant::Instant;
use crate::store::{Query, RunRecord};

/// Up to so many records of a span of time are sorted.
const SORTED: i64 = 5000;

/// A statement in the making: where it looks, its conditions, and their values.
pub(super) struct Asked {
    pub(super) text: String,
    conditions: u32,
    values: Vec<Box<dyn ToSql>>,
}

impl Asked {
    fn new(text: impl Into<String>) -> Asked {
        Asked { text: text.into(), conditions: 0, values: Vec::new() }
    }

    /// A condition without a value.
    fn plain(&mut self, condition: &str) {
        self.text.push_str(if self.conditions > 0 { " AND " } else { " WHERE " });
        self.text.push_str(condition);
        self.conditions += 1;
    }

    /// A condition with a value where it has a `?`.
    fn and(&mut self, condition: &str, value: impl ToSql + 'static) {
        self.plain(condition);
        self.values.push(Box::new(value));
    }

    fn values(&self) -> Vec<&dyn ToSql> {
        self.values.iter().map(|value| &**value).collect()
    }
}

/// What finds the records of a span of time: those that are due within it, and those that begin before
/// it and reach into it.
pub(super) fn span(job: Option<i64>, query: &Query) -> [Asked; 2] {
    let since = query.since.unwrap_or(Instant::MIN).micros();
    let until = query.until.unwrap_or(Instant::MAX).micros();
    let index = if job.is_some() { "record_claim" } else { "record_due" };
    let mut inside = Asked::new(format!("SELECT seq FROM record INDEXED BY {index}"));
    let mut across = Asked::new("SELECT seq FROM record INDEXED BY record_several");
    across.plain("count > 1");
    inside.and("due >= ?", since);
    inside.and("due <= ?", until);
    across.and("last_due >= ?", since);
    across.and("due < ?", since);
    let mut both = [inside, across];
    for asked in &mut both {
        if let Some(job) = job {
            asked.and("job = ?", job);
        }
        if let Some(before) = query.before {
            asked.and("seq < ?", i64::try_from(before).unwrap_or(i64::MAX));
        }
    }
    both
}

/// The records of a span of time, or the newest of them if no more are wanted: their `seq`. `None`:
/// they are many, and it is better to go through all records from the newest on.
fn of_span(conn: &Connection, job: Option<i64>, query: &Query) -> Result<Option<Vec<i64>>> {
    let both = span(job, query);
    let find = |order: &str, limit: i64| -> Result<Vec<i64>> {
        let mut found = Vec::new();
        for asked in &both {
            let sql = format!("{}{order} LIMIT {limit}", asked.text);
            found.extend(all::<i64>(conn, &sql, &asked.values(), |row| row.get(0))?);
        }
        Ok(found)
    };
    let few = find("", SORTED + 1)?;
    if few.len() as i64 <= SORTED {
        return Ok(Some(few));
    }
    // From the newest on is well if the span reaches to it. If not, all that is younger would be
    // read in vain, and the index, which has all that is asked for here, is the better way.
    let limit = i64::try_from(query.limit).unwrap_or(0);
    let until = query.until.unwrap_or(Instant::MAX).micros();
    let top = limit > 0 && limit <= SORTED && !query.failed && !reaches(conn, job, until)?;
    top.then(|| find(" ORDER BY seq DESC", limit)).transpose()
}

/// What finds the due time of the newest record, of one job or of all.
pub(super) fn newest_due(of_one: bool) -> &'static str {
    if of_one {
        "SELECT due FROM record INDEXED BY record_job WHERE job = ?1 ORDER BY seq DESC LIMIT 1"
    } else {
        "SELECT due FROM record NOT INDEXED WHERE ?1 IS NULL ORDER BY seq DESC LIMIT 1"
    }
}

/// Whether the newest record (of a job) is not due after that.
fn reaches(conn: &Connection, job: Option<i64>, until: i64) -> Result<bool> {
    let mut newest = conn.prepare_cached(newest_due(job.is_some()))?;
    let due = newest.query_row([job], |row| row.get::<_, i64>(0)).optional()?;
    Ok(due.is_none_or(|due| due <= until))
}

/// The records that a query wants.
pub(super) fn records(conn: &Connection, query: &Query) -> Result<Vec<RunRecord>> {
    let id = match &query.job {
        None => None,
        Some(name) => {
            let find = "SELECT id FROM job WHERE name = ?1";
            let mut find = conn.prepare_cached(find)?;
            match find.query_row([name], |row| row.get::<_, i64>(0)).optional()? {
                None => return Ok(Vec::new()),
                id => id,
            }
        }
    };
    // All of it is of the one host that the store serves.
    if query.host.is_some() {
        return Ok(Vec::new());
    }
    let mut few = None;
    if query.run.is_none() && (query.since.is_some() || query.until.is_some()) {
        few = of_span(conn, id, query)?;
    }
    let mut asked = wanted(id, query, few.as_deref());
    asked.text = fitting(conn, asked.text)?;
    let mut statement = conn.prepare_cached(&asked.text)?;
    statement.query_map(&*asked.values(), record)?.collect()
}

/// What finds the records that a query wants: among these few, or among all.
pub(super) fn wanted(id: Option<i64>, query: &Query, few: Option<&[i64]>) -> Asked {
    let mut asked = Asked::new(RECORD);
    // The planner does not know how the values are spread; which index is right is known here.
    asked.text.push_str(match (few, query.run, id, query.failed) {
        (Some(_), ..) => "",
        (None, Some(_), ..) => " INDEXED BY record_run",
        (None, None, Some(_), true) => " INDEXED BY record_job_failed",
        (None, None, Some(_), false) => " INDEXED BY record_job",
        (None, None, None, true) => " INDEXED BY record_failed",
        (None, None, None, false) => " NOT INDEXED",
    });
    if let Some(few) = few {
        let few: Vec<String> = few.iter().map(i64::to_string).collect();
        asked.plain(&format!("seq IN ({})", few.join(",")));
    }
    if query.failed {
        asked.plain("failed = 1");
    }
    if let Some(run) = query.run {
        asked.and("run = ?", run.0 as i64);
    }
    if let Some(id) = id {
        asked.and("job = ?", id);
    }
    if let Some(since) = query.since {
        asked.and("last_due >= ?", since.micros());
    }
    if let Some(until) = query.until {
        asked.and("due <= ?", until.micros());
    }
    if let Some(before) = query.before {
        asked.and("seq < ?", i64::try_from(before).unwrap_or(i64::MAX));
    }
    asked.text.push_str(" ORDER BY seq DESC");
    if query.limit > 0 {
        let _ = write!(asked.text, " LIMIT {}", query.limit);
    }
    asked
}
