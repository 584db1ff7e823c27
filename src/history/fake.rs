//! A store for tests of what reads one: what it knows is written into it.

use std::collections::BTreeSet;

use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::fleet::Member;
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::record::{AttemptRecord, Latest, RunRecord, Session};
use crate::store::{Entries, Query, Reader, StoreError};

/// What there is to read. Records are in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake {
    pub(crate) records: Vec<RunRecord>,
    pub(crate) attempts: Vec<(RunId, AttemptRecord)>,
    pub(crate) outputs: Vec<(RunId, Vec<u8>, u64)>,
    pub(crate) jobs: Vec<JobRecord>,
    pub(crate) all_paused: Option<Pause>,
    pub(crate) changes: Vec<Change>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) members: Vec<Member>,
}

fn is_wanted(query: &Query, record: &RunRecord) -> bool {
    let went_wrong = |outcome: &Outcome| {
        !matches!(outcome, Outcome::Succeeded | Outcome::Skipped(_) | Outcome::Coalesced)
    };
    query.job.as_ref().is_none_or(|job| *job == record.job)
        && query.run.is_none_or(|run| record.run == Some(run))
        && (!query.failed || record.outcome.as_ref().is_some_and(went_wrong))
        && query.since.is_none_or(|since| record.last_due >= since)
        && query.until.is_none_or(|until| record.due <= until)
        && query.before.is_none_or(|before| record.seq < before)
}

impl Reader for Fake {
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError> {
        let wanted = self.records.iter().rev().filter(|record| is_wanted(query, record));
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        Ok(wanted.take(limit).cloned().collect())
    }

    fn latest(&mut self, job: Option<&str>) -> Result<Vec<Latest>, StoreError> {
        let jobs: BTreeSet<&str> = self.records.iter().map(|record| &*record.job).collect();
        let wanted = jobs.into_iter().filter(|id| job.is_none_or(|job| job == *id));
        let latest = |id: &str| {
            let of_it = self.records.iter().rev().filter(|record| &*record.job == id);
            Latest::of_records(id, of_it)
        };
        Ok(wanted.filter_map(latest).collect())
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let own = self.attempts.iter().filter(|(of, _)| *of == run);
        Ok(own.map(|(_, attempt)| attempt.clone()).collect())
    }

    fn output(&mut self, run: RunId) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        let own = self.outputs.iter().find(|(of, ..)| *of == run);
        Ok(own.map(|(_, tail, total)| (tail.clone(), *total)))
    }

    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        Ok(self.jobs.iter().find(|job| *job.id == *id).cloned())
    }

    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError> {
        Ok(self.jobs.clone())
    }

    fn all_paused(&mut self) -> Result<Option<Pause>, StoreError> {
        Ok(self.all_paused.clone())
    }

    fn changes(
        &mut self,
        job: Option<&str>,
        from: Instant,
        until: Instant,
    ) -> Result<Vec<Change>, StoreError> {
        let about = |change: &&Change| change.job.is_none() || change.job.as_deref() == job;
        let within = |change: &&Change| (from..=until).contains(&change.at);
        Ok(self.changes.iter().filter(about).filter(within).cloned().collect())
    }

    fn entries(&mut self, _: &str) -> Result<Entries, StoreError> {
        Ok(Vec::new())
    }

    fn lists(&mut self) -> Result<Vec<Box<str>>, StoreError> {
        Ok(Vec::new())
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        Ok(self.sessions.clone())
    }

    fn members(&mut self) -> Result<Vec<Member>, StoreError> {
        Ok(self.members.clone())
    }
}
