//! What is read of a store to say why something is as it is.

use std::time::Duration;

use crate::cli::command::history_source::{self, History};
use crate::core::event::{Awaits, Change, JobRecord, Pause};
use crate::core::fleet::Member;
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::sort;
use crate::core::zone::Zone;
use crate::history::end_of;
use crate::history::why::{Asked, Case};
use crate::store::{AttemptRecord, Latest, Query, Reader, RunRecord, Session};

/// So many records around the time that is asked about are looked at.
const AROUND: usize = 1000;

/// So many from before it: enough to find those that were in its way. And so many of the newest, to
/// tell how the job is now.
const BEFORE: usize = 64;

/// A host that has not beaten for so long does not run, though nobody was there to say so.
const SILENT: Duration = Duration::from_secs(120);

/// What was read to answer.
pub(super) struct Read {
    pub(super) known: Option<JobRecord>,
    pub(super) all_paused: Option<Pause>,
    pub(super) records: Vec<RunRecord>,
    pub(super) oldest: Option<Instant>,
    pub(super) latest: Option<Latest>,
    pub(super) attempts: Vec<AttemptRecord>,
    pub(super) awaits: Option<Awaits>,
    pub(super) sessions: Vec<Session>,
    pub(super) members: Vec<Member>,
    pub(super) has_hosts: bool,
    pub(super) changes: Vec<Change>,
}

impl Read {
    /// What there is about the time that is asked about.
    pub(super) fn first(reader: &mut dyn Reader, id: &str, asked: Asked) -> anyhow::Result<Read> {
        let of_job = Query { job: Some(id.into()), ..Query::default() };
        let mut records = reader.records(&Query { limit: BEFORE, ..of_job.clone() })?;
        if let Asked::Within(from, until) = asked {
            let at = Query { since: Some(from), until: Some(until), ..of_job.clone() };
            add(&mut records, reader.records(&Query { limit: AROUND, ..at })?);
            let before = Query { until: Some(from), limit: BEFORE, ..of_job.clone() };
            add(&mut records, reader.records(&before)?);
        }
        let oldest = oldest(reader, &of_job, asked)?;
        Ok(Read {
            known: reader.job(id)?,
            all_paused: reader.all_paused()?,
            oldest: oldest.or_else(|| records.iter().map(|record| record.due).min()),
            records,
            latest: reader.latest(Some(id))?.pop(),
            attempts: Vec::new(),
            awaits: None,
            sessions: reader.sessions()?,
            members: reader.members()?,
            has_hosts: false,
            changes: Vec::new(),
        })
    }

    /// What may have to do with a record: what was going on, and what was done meanwhile.
    pub(super) fn around(
        &mut self,
        reader: &mut dyn Reader,
        id: &str,
        record: &RunRecord,
        (now, retry_delay): (Instant, Duration),
    ) -> anyhow::Result<()> {
        let end = match &record.outcome {
            // Who has the job since is of interest.
            Some(Outcome::Lost(_)) => now,
            // A due time may have come before the next attempt.
            Some(outcome) if outcome.is_of_run() && !outcome.is_success() => {
                end_of(record).unwrap_or(record.at).plus(retry_delay)
            }
            _ => end_of(record).unwrap_or(now).max(record.at),
        };
        let of_job = Query { job: Some(id.into()), ..Query::default() };
        let during =
            Query { since: Some(record.due), until: Some(end), limit: AROUND, ..of_job.clone() };
        let before = Query { until: Some(record.due), limit: BEFORE, ..of_job };
        add(&mut self.records, reader.records(&during)?);
        add(&mut self.records, reader.records(&before)?);
        let several = record.attempts > 1 || record.outcome.is_none();
        if let Some(run) = record.run.filter(|_| several) {
            self.attempts = reader.attempts(run)?;
        }
        // A pause may have begun long before.
        self.changes = reader.changes(Some(id), Instant::MIN, now.max(end))?;
        Ok(())
    }

    pub(super) fn case<'a>(
        &'a self,
        history: &'a History,
        id: &'a str,
        asked: Asked,
        (zone, typed): (&'a Zone, &'a str),
    ) -> Case<'a> {
        let job = history.job(id).map(|job| &**job);
        let executors = history.set.as_ref().map(|set| &set.executors);
        Case {
            id,
            job,
            executor: job.and_then(|job| executors?.get(usize::from(job.executor))),
            known: self.known.as_ref(),
            all_paused: self.all_paused.as_ref(),
            asked,
            now: history.now,
            zone,
            records: &self.records,
            oldest: self.oldest,
            latest: self.latest.as_ref(),
            attempts: &self.attempts,
            awaits: self.awaits.as_ref(),
            sessions: &self.sessions,
            is_running: self.sessions.last().is_some_and(history_source::goes_on)
                || self.members.iter().any(|member| is_there(member, history.now)),
            members: &self.members,
            has_hosts: self.has_hosts,
            changes: &self.changes,
            typed,
        }
    }
}

/// Whether a host of a fleet is there, as far as the store can tell.
fn is_there(member: &Member, now: Instant) -> bool {
    member.gone.is_none() && now.since(member.seen) <= SILENT
}

/// Adds records that are not there yet.
fn add(records: &mut Vec<RunRecord>, more: Vec<RunRecord>) {
    records.extend(more);
    sort::by_key(records, |record| record.seq);
    records.dedup_by_key(|record| record.seq);
}

/// Some due time from before the one that is asked about of which there is a record, if there is
/// one: then that one is not too old to have one.
fn oldest(
    reader: &mut dyn Reader,
    of_job: &Query,
    asked: Asked,
) -> anyhow::Result<Option<Instant>> {
    let until = match asked {
        Asked::Latest => None,
        Asked::Within(from, _) => Some(from),
    };
    let before = reader.records(&Query { until, limit: 1, ..of_job.clone() })?;
    if let Some(record) = before.first() {
        return Ok(Some(record.due));
    }
    // All are younger: the oldest of them, without reading a million.
    let younger = reader.records(&Query { limit: AROUND, ..of_job.clone() })?;
    Ok(younger.iter().map(|record| record.due).min())
}
