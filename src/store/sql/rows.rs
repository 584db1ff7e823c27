//! Rows as records. PostgreSQL and MySQL are asked for the same columns in the same order (`RECORD`,
//! `JOB`, `OPEN`, `LIFE`, `MEMBER` in their `read`), so what a row means is written once; how a cell
//! is read is the engine's.

use std::collections::HashMap;
use std::time::Duration;

use crate::core::event::{Change, ChangeKind, JobRecord, Pause, Process, RunId};
use crate::core::fleet::{Gone, Member, SessionId};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::record::{AttemptRecord, RunRecord, Session};
use crate::core::usage::Usage;
use crate::store::{Details, OpenRun, encode};

/// The cells of a row, by the number of their column from 0. A cell that is not what it should be is
/// an error: somebody else has written it.
pub(in crate::store) trait Cells {
    /// What is wrong with a cell.
    type Error;

    fn text(&self, column: usize) -> Result<Box<str>, Self::Error>;
    fn text_or_none(&self, column: usize) -> Result<Option<Box<str>>, Self::Error>;
    fn number(&self, column: usize) -> Result<i64, Self::Error>;
    fn number_or_none(&self, column: usize) -> Result<Option<i64>, Self::Error>;
    fn flag(&self, column: usize) -> Result<bool, Self::Error>;
    /// Several texts in one cell.
    fn texts(&self, column: usize) -> Result<Box<[Box<str>]>, Self::Error>;

    fn instant(&self, column: usize) -> Result<Instant, Self::Error> {
        self.number(column).map(Instant::from_micros)
    }

    fn instant_or_none(&self, column: usize) -> Result<Option<Instant>, Self::Error> {
        Ok(self.number_or_none(column)?.map(Instant::from_micros))
    }
}

/// What there is of runs: the attempts that are kept, those that are in the record of the run, with when
/// their process was made, and what was printed.
pub(in crate::store) fn details(
    kept: Vec<(RunId, AttemptRecord)>,
    last: Vec<(RunRecord, Option<Instant>)>,
    outputs: Vec<(RunId, (Vec<u8>, u64))>,
) -> HashMap<RunId, Details> {
    let mut found: HashMap<RunId, Details> = HashMap::new();
    for (run, attempt) in kept {
        found.entry(run).or_default().attempts.push(attempt);
    }
    for (record, begun) in last {
        let Some(run) = record.run else { continue };
        let attempts = &mut found.entry(run).or_default().attempts;
        // Unless another was to follow it.
        attempts.extend(record.last_attempt(begun, attempts.last()));
    }
    for (run, output) in outputs {
        found.entry(run).or_default().output = Some(output);
    }
    found
}

/// The three columns of an outcome, from the first of them on.
fn outcome<R: Cells>(row: &R, first: usize) -> Result<Option<Outcome>, R::Error> {
    let Some(word) = row.text_or_none(first)? else { return Ok(None) };
    let reason = row.text_or_none(first + 2)?;
    Ok(Some(encode::outcome(&word, row.number_or_none(first + 1)?, reason.as_deref())))
}

/// The four columns of what a run has used.
fn usage<R: Cells>(row: &R, first: usize) -> Result<Option<Usage>, R::Error> {
    let mut columns = [None; 4];
    for (column, place) in columns.iter_mut().zip(first..) {
        *column = row.number_or_none(place)?;
    }
    Ok(encode::usage(columns))
}

/// The two columns of a process.
fn process<R: Cells>(row: &R, first: usize) -> Result<Option<Process>, R::Error> {
    let Some(pid) = row.number_or_none(first)? else { return Ok(None) };
    let start = row.number_or_none(first + 1)?.unwrap_or(0) as u64;
    Ok(Some(Process { pid: pid as u32, start }))
}

/// The same where there always is one.
fn some_process<R: Cells>(row: &R, first: usize) -> Result<Process, R::Error> {
    Ok(Process { pid: row.number(first)? as u32, start: row.number(first + 1)? as u64 })
}

/// The four columns of a pause.
pub(in crate::store) fn pause<R: Cells>(row: &R, first: usize) -> Result<Option<Pause>, R::Error> {
    let Some(at) = row.instant_or_none(first)? else { return Ok(None) };
    let until = row.instant_or_none(first + 1)?;
    let by = row.text_or_none(first + 2)?.unwrap_or_default();
    Ok(Some(Pause { at, until, by, reason: row.text_or_none(first + 3)? }))
}

/// The number of a run as a column has it.
pub(in crate::store) fn run_id(number: i64) -> RunId {
    RunId(number as u64)
}

/// `RECORD`.
pub(in crate::store) fn record<R: Cells>(row: &R) -> Result<RunRecord, R::Error> {
    let micros = |micros: i64| Duration::from_micros(micros.max(0) as u64);
    Ok(RunRecord {
        seq: row.number(0)? as u64,
        job: row.text(1)?,
        due: row.instant(2)?,
        last_due: row.instant(3)?,
        count: row.number(4)? as u64,
        at: row.instant(5)?,
        run: row.number_or_none(6)?.map(run_id),
        outcome: outcome(row, 7)?,
        started: row.instant_or_none(10)?,
        duration: row.number_or_none(11)?.map(micros),
        attempts: row.number(12)? as u32,
        process: process(row, 13)?,
        by: row.text_or_none(15)?,
        host: row.text_or_none(17)?,
        usage: usage(row, 18)?,
        printed: row.number_or_none(22)?.map(|bytes| bytes as u64),
    })
}

/// `OPEN`: a record with the end of its last attempt.
pub(in crate::store) fn open_run<R: Cells>(row: &R) -> Result<OpenRun, R::Error> {
    Ok(OpenRun {
        run: run_id(row.number(6)?),
        job: row.text(1)?,
        due: row.instant(2)?,
        by: row.text_or_none(15)?,
        attempt: row.number(12)? as u32,
        process: process(row, 13)?,
        started: row.instant_or_none(10)?,
        last: outcome(row, 7)?,
        last_ended: row.instant_or_none(16)?,
    })
}

/// `JOB`.
pub(in crate::store) fn job<R: Cells>(row: &R) -> Result<JobRecord, R::Error> {
    Ok(JobRecord {
        id: row.text(0)?,
        decided: row.instant(1)?,
        anchor: row.instant(2)?,
        trigger: row.text(3)?,
        since: row.instant(4)?,
        resumed: row.flag(5)?,
        added: row.text_or_none(6)?,
        overrides: row.text_or_none(7)?,
        pause: pause(row, 8)?,
    })
}

/// `LIFE`.
pub(in crate::store) fn session<R: Cells>(row: &R) -> Result<Session, R::Error> {
    Ok(Session {
        process: some_process(row, 0)?,
        boot: row.text(2)?,
        began: row.instant(3)?,
        seen: row.instant(4)?,
        stopped: row.instant_or_none(5)?,
        jobfile: row.text(6)?,
        mark: row.number(7)? as u32,
    })
}

/// `MEMBER`.
pub(in crate::store) fn member<R: Cells>(row: &R) -> Result<Member, R::Error> {
    let gone_by = SessionId(row.number_or_none(20)?.unwrap_or(0) as u64);
    Ok(Member {
        id: SessionId(row.number(0)? as u64),
        host: row.text(1)?,
        labels: row.texts(2)?,
        machine: row.text(3)?,
        boot: row.text(4)?,
        mark: row.number(5)? as u32,
        process: some_process(row, 6)?,
        version: row.text(8)?,
        tzdata: row.text(9)?,
        jobfile: row.text(10)?,
        jobfile_hash: row.number(11)? as u64,
        loaded: row.instant(12)?,
        joined: row.instant(13)?,
        seen: row.instant(14)?,
        offset: row.number(15)?,
        beat: row.number(16)? as u64,
        generation: row.number(17)? as u64,
        leaving: row.flag(18)?,
        gone: row.instant_or_none(19)?.map(|at| Gone { at, by: gone_by }),
        jobs_at_home: row.number(21)? as u32,
        running: row.number(22)? as u32,
    })
}

/// An attempt: its number, process, beginning, end and outcome.
pub(in crate::store) fn attempt<R: Cells>(row: &R) -> Result<AttemptRecord, R::Error> {
    Ok(AttemptRecord {
        attempt: row.number(0)? as u32,
        process: process(row, 1)?,
        started: row.instant_or_none(3)?,
        ended: row.instant_or_none(4)?,
        outcome: outcome(row, 5)?,
    })
}

/// A change that somebody has made.
pub(in crate::store) fn change<R: Cells>(row: &R) -> Result<Change, R::Error> {
    Ok(Change {
        at: row.instant(0)?,
        job: row.text_or_none(1)?,
        what: ChangeKind::from(&*row.text(2)?),
        by: row.text(3)?,
        detail: row.text_or_none(4)?,
    })
}

/// An entry of a list: its key and its value.
pub(in crate::store) fn entry<R: Cells>(row: &R) -> Result<(Box<str>, Box<str>), R::Error> {
    Ok((row.text(0)?, row.text(1)?))
}
