//! A store that ends with its process: for `store.url = "memory"`, for embedding, and where nothing
//! can be written.
//!
//! It answers as the embedded one does, for as long as the process lives, and passes the same
//! tests. What it keeps is bounded whether it is tidied up or not. Several handles of one are a store
//! that several schedulers share (`shared`): what the engines on servers are measured by.

mod shared;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::shared::Fleet;
use super::shared::{ASKS_KEPT, CLAIMS_KEPT, OpenElsewhere};
use super::{
    AttemptRecord, Entries, Fact, Latest, Limits, OpenRun, Query, Reader, Restored, RunRecord,
    Session, Store, StoreError,
};
use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::fleet::{Member, SPARE_RUNS, SessionId};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::sort;

/// So many records are kept in all.
const RECORDS: usize = 10_000;
/// So many bytes of output.
const OUTPUT: usize = 8 << 20;
/// So many changes.
const CHANGES: usize = 1000;

/// The store. Clones are handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    shared: Arc<Mutex<Kept>>,
}

/// What it keeps.
#[derive(Clone, Debug, Default)]
struct Kept {
    jobs: BTreeMap<Box<str>, Known>,
    all_paused: Option<Pause>,
    rows: BTreeMap<u64, Row>,
    histories: HashMap<Box<str>, History>,
    runs: HashMap<RunId, u64>,
    changes: Vec<Change>,
    /// By the name of the list. None of them is empty.
    lists: BTreeMap<Box<str>, BTreeMap<Box<str>, Box<str>>>,
    sessions: Vec<Session>,
    next_seq: u64,
    next_run: u64,
    /// By the number of the record.
    outputs: BTreeMap<u64, (Box<[u8]>, u64)>,
    /// How many bytes that is.
    output: usize,
    fleet: Fleet,
}

/// What is known of a job. There are as many as there are jobs, so that it is small where there is
/// little to know.
#[derive(Clone, Debug)]
struct Known {
    anchor: Instant,
    decided: Instant,
    since: Instant,
    trigger: Box<str>,
    /// What was changed at run time.
    changed: Option<Box<Changed>>,
}

#[derive(Clone, Debug, PartialEq, Default)]
struct Changed {
    pause: Option<Pause>,
    resumed: bool,
    added: Option<Box<str>>,
    overrides: Option<Box<str>>,
}

impl Known {
    fn new(record: &JobRecord) -> Known {
        let changed = Changed {
            pause: record.pause.clone(),
            resumed: record.resumed,
            added: record.added.clone(),
            overrides: record.overrides.clone(),
        };
        Known {
            anchor: record.anchor,
            decided: record.decided,
            since: record.since,
            trigger: record.trigger.clone(),
            changed: (changed != Changed::default()).then(|| Box::new(changed)),
        }
    }

    fn record(&self, id: &str) -> JobRecord {
        let changed = self.changed.as_deref();
        JobRecord {
            id: id.into(),
            anchor: self.anchor,
            decided: self.decided,
            trigger: self.trigger.clone(),
            since: self.since,
            pause: changed.and_then(|changed| changed.pause.clone()),
            resumed: changed.is_some_and(|changed| changed.resumed),
            added: changed.and_then(|changed| changed.added.clone()),
            overrides: changed.and_then(|changed| changed.overrides.clone()),
        }
    }
}

/// The records of one job.
#[derive(Clone, Debug, Default)]
struct History {
    /// By due time, and host where each has its own: who has claimed it.
    claims: HashMap<(Instant, Option<Box<str>>), u64>,
    /// In their order.
    rows: BTreeSet<u64>,
}

/// A record and what hangs on it.
#[derive(Clone, Debug)]
struct Row {
    record: RunRecord,
    /// The host that is a part of the claim.
    only_on: Option<Box<str>>,
    /// Which session has written it; 0: none that shares the store.
    session: u64,
    /// The slot of its job that it holds until it is over.
    slot: Option<u16>,
    begun: Option<Instant>,
    attempts: BTreeMap<u32, AttemptRecord>,
}

impl Memory {
    /// An empty one.
    pub fn new() -> Memory {
        Memory::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    /// The run, if it is one and not over.
    fn open(&self) -> Option<OpenRun> {
        let run = self.record.run.filter(|_| self.record.outcome.is_none())?;
        let last = self.attempts.get(&self.record.attempts);
        Some(OpenRun {
            run,
            job: self.record.job.clone(),
            due: self.record.due,
            by: self.record.by.clone(),
            attempt: self.record.attempts,
            process: self.record.process,
            started: self.record.started,
            last: last.and_then(|last| last.outcome.clone()),
            last_ended: last.and_then(|last| last.ended),
        })
    }

    /// The same, and where it is.
    fn open_elsewhere(&self) -> Option<OpenElsewhere> {
        let run = self.open()?;
        let host = self.record.host.clone().unwrap_or_default();
        Some(OpenElsewhere { session: SessionId(self.session), host, slot: self.slot, run })
    }
}

impl Kept {
    /// The row of a run that has not lost its claim.
    fn of(&mut self, run: RunId) -> Option<&mut Row> {
        self.rows.get_mut(self.runs.get(&run)?)
    }

    /// A record in its place, unless the due time has one. Answers whether it has it now.
    fn insert(&mut self, mut record: RunRecord, only_on: Option<Box<str>>) -> bool {
        let history = match self.histories.get_mut(&record.job) {
            Some(history) => history,
            None => self.histories.entry(record.job.clone()).or_default(),
        };
        let claim = (record.due, only_on);
        if history.claims.contains_key(&claim) {
            return false;
        }
        self.next_seq += 1;
        record.seq = self.next_seq;
        history.claims.insert(claim.clone(), record.seq);
        history.rows.insert(record.seq);
        if let Some(run) = record.run {
            self.runs.insert(run, record.seq);
            if run.0 < SPARE_RUNS {
                self.next_run = self.next_run.max(run.0 + 1);
            }
        }
        let (session, host) = self.fleet.writer();
        record.host = host;
        let (slot, only_on, attempts) = (None, claim.1, BTreeMap::new());
        let row = Row { record, only_on, session, slot, begun: None, attempts };
        self.rows.insert(self.next_seq, row);
        true
    }

    fn remove(&mut self, seq: u64) {
        let Some(row) = self.rows.remove(&seq) else { return };
        if let Some(run) = row.record.run {
            self.runs.remove(&run);
        }
        self.forget_output(seq);
        if let Some(history) = self.histories.get_mut(&row.record.job) {
            history.rows.remove(&seq);
            history.claims.remove(&(row.record.due, row.only_on));
            if history.rows.is_empty() {
                self.histories.remove(&row.record.job);
            }
        }
    }

    fn forget_output(&mut self, seq: u64) {
        self.output -= self.outputs.remove(&seq).map_or(0, |(tail, _)| tail.len());
    }

    fn job_records(&self) -> Vec<JobRecord> {
        self.jobs.iter().map(|(id, known)| known.record(id)).collect()
    }

    /// Of several schedulers one may write in vain, which decides nothing.
    fn decided(&mut self, job: &str, due: Instant) {
        if self.fleet.is_written_by_one()
            && let Some(job) = self.jobs.get_mut(job)
        {
            job.decided = job.decided.max(due);
        }
    }

    /// Takes a fact. Answers the run that has lost its claim by it.
    fn take(&mut self, fact: &Fact) -> Option<RunId> {
        match fact {
            Fact::Began(session) => {
                let same = |other: &Session| {
                    (other.process, &other.boot, other.began)
                        == (session.process, &session.boot, session.began)
                };
                if !self.sessions.iter().any(same) {
                    self.sessions.push(session.clone());
                }
            }
            Fact::Stopped { at } => {
                if let Some(session) = self.sessions.last_mut() {
                    (session.stopped, session.seen) = (Some(*at), *at);
                }
            }
            Fact::Job(record) => {
                self.jobs.insert(record.id.clone(), Known::new(record));
            }
            Fact::Gone { job } => {
                self.jobs.remove(job);
            }
            Fact::AllPaused(pause) => self.all_paused.clone_from(pause),
            Fact::Admitted { run, job, due, at, by, host, .. } => {
                let mut record = record(job, *due, *at);
                (record.run, record.by) = (Some(*run), by.clone());
                return self.admitted(*run, record, host.as_deref());
            }
            Fact::Starting { run, attempt } => {
                let row = self.of(*run)?;
                row.record.attempts = *attempt;
                row.record.process = None;
                row.begun = None;
            }
            Fact::Postponed { run, attempt } => {
                let row = self.of(*run)?;
                row.record.attempts = attempt.saturating_sub(1);
            }
            Fact::Started { run, attempt, process, at } => {
                let row = self.of(*run)?;
                row.record.attempts = *attempt;
                row.record.process = Some(*process);
                row.record.started.get_or_insert(*at);
                row.begun = Some(*at);
            }
            Fact::AttemptEnded { run, attempt, outcome, at } => {
                let row = self.of(*run)?;
                let current = row.record.attempts == *attempt;
                let ended = AttemptRecord {
                    attempt: *attempt,
                    process: row.record.process.filter(|_| current),
                    started: row.begun.filter(|_| current),
                    ended: Some(*at),
                    outcome: Some(outcome.clone()),
                };
                row.attempts.insert(*attempt, ended);
            }
            Fact::Ended { run, outcome, duration, attempts, usage, .. } => {
                let row = self.of(*run)?;
                row.record.outcome = Some(outcome.clone());
                row.record.duration = Some(*duration);
                row.record.attempts = *attempts;
                row.record.usage = *usage;
                row.slot = None;
            }
            Fact::Fate { job, due, last_due, count, outcome, at, host } => {
                self.decided(job, *last_due);
                let mut record = record(job, *due, *at);
                record.last_due = *last_due;
                record.count = *count;
                record.outcome = Some(outcome.clone());
                self.insert(record, host.clone());
            }
            Fact::Withdrawn { run } => self.withdrawn(*run),
            Fact::Output { run, tail, total } => {
                let seq = *self.runs.get(run)?;
                self.of(*run)?.record.printed = Some(*total);
                if !tail.is_empty() {
                    self.forget_output(seq);
                    self.output += tail.len();
                    self.outputs.insert(seq, (tail.clone(), *total));
                }
            }
            Fact::Change(change) => {
                if !self.changes.contains(change) {
                    self.changes.push(change.clone());
                }
                let beyond = self.changes.len().saturating_sub(CHANGES);
                self.changes.drain(..beyond);
            }
            Fact::Entry { list, key, value } => self.entry(list, key, value.as_deref()),
        }
        None
    }

    fn entry(&mut self, list: &str, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.lists.entry(list.into()).or_default().insert(key.into(), value.into());
        } else if let Some(entries) = self.lists.get_mut(list) {
            entries.remove(key);
            if entries.is_empty() {
                self.lists.remove(list);
            }
        }
    }

    fn admitted(&mut self, run: RunId, record: RunRecord, only_on: Option<&str>) -> Option<RunId> {
        if record.by.is_none() {
            self.decided(&record.job, record.due);
        }
        if let Some(owner) = self.claimed(&record.job, record.due, only_on) {
            return (owner.record.run != Some(run)).then_some(run);
        }
        // Its number may be that of a run from before the numbers began anew.
        if let Some(row) = self.of(run) {
            row.record.run = None;
            let lost = || Outcome::Lost("its number was used again".to_owned());
            row.record.outcome.get_or_insert_with(lost);
            row.attempts.clear();
            let seq = row.record.seq;
            self.forget_output(seq);
        }
        self.insert(record, only_on.map(Box::from));
        None
    }

    /// The row that has a due time.
    fn claimed(&self, job: &str, due: Instant, only_on: Option<&str>) -> Option<&Row> {
        let owner = self.histories.get(job)?.claims.get(&(due, only_on.map(Box::from)))?;
        self.rows.get(owner)
    }

    fn withdrawn(&mut self, run: RunId) {
        let Some(Row { record, .. }) = self.of(run) else { return };
        if record.outcome.is_some() || record.attempts > 0 {
            return;
        }
        let (seq, due, named) = (record.seq, record.due, record.by.is_none());
        let job = record.job.clone();
        self.remove(seq);
        if let Some(job) = self.jobs.get_mut(&job).filter(|_| named) {
            job.decided = job.decided.min(Instant::from_micros(due.micros() - 1));
        }
    }

    /// Whether it is the last record of a job that is there, its last run that has ended or the last
    /// that succeeded.
    fn is_last(&self, row: &Row) -> bool {
        let Some(history) = self.histories.get(&row.record.job) else { return false };
        let later = || {
            let later = history.rows.range(row.record.seq + 1..);
            later.filter_map(|seq| self.rows.get(seq)?.record.outcome.as_ref())
        };
        let is_last = |is: fn(&Outcome) -> bool| {
            row.record.outcome.as_ref().is_some_and(is) && !later().any(is)
        };
        self.jobs.contains_key(&row.record.job)
            && (is_last(|_| true) || is_last(Outcome::is_of_run) || is_last(Outcome::is_success))
    }

    /// Removes the oldest that are over until no more than so many records are left, and their
    /// output fits.
    fn bound(&mut self) {
        if self.rows.len() > RECORDS {
            let beyond = self.rows.len() - RECORDS;
            let over = self.rows.values().filter(|row| row.record.outcome.is_some());
            let oldest: Vec<u64> = over.take(beyond).map(|row| row.record.seq).collect();
            oldest.into_iter().for_each(|seq| self.remove(seq));
        }
        while self.output > OUTPUT
            && let Some((seq, _)) = self.outputs.first_key_value()
        {
            self.forget_output(*seq);
        }
    }
}

/// A record with nothing in it yet.
fn record(job: &str, due: Instant, at: Instant) -> RunRecord {
    RunRecord {
        seq: 0,
        run: None,
        job: job.into(),
        due,
        last_due: due,
        count: 1,
        outcome: None,
        at,
        started: None,
        duration: None,
        attempts: 0,
        process: None,
        by: None,
        host: None,
        usage: None,
        printed: None,
    }
}

impl Store for Memory {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        let kept = self.kept();
        Ok(Restored {
            jobs: kept.job_records(),
            all_paused: kept.all_paused.clone(),
            open: kept.rows.values().filter_map(Row::open).collect(),
            next_run: kept.next_run.max(1),
            last_session: kept.sessions.last().cloned(),
        })
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        let mut kept = self.kept();
        let lost = facts.iter().filter_map(|fact| kept.take(fact)).collect();
        if let Some(at) = facts.iter().rev().find_map(Fact::at)
            && let Some(session) = kept.sessions.last_mut()
        {
            session.seen = at;
        }
        kept.bound();
        Ok(lost)
    }

    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError> {
        let mut kept = self.kept();
        let days = std::time::Duration::from_secs(u64::from(keep.days) * 86_400);
        let oldest = now.minus(days);
        kept.fleet.forget_asks(Instant::from_micros(now.micros().saturating_sub(ASKS_KEPT)));
        let young = if kept.fleet.is_shared() {
            Instant::from_micros(now.micros().saturating_sub(CLAIMS_KEPT))
        } else {
            Instant::MAX
        };
        // Excluded due times are counted by themselves.
        let kind = |row: &Row| row.record.outcome.as_ref().is_some_and(Outcome::is_excluded);
        let mut beyond: HashMap<(&str, bool), usize> = HashMap::new();
        for row in kept.rows.values() {
            *beyond.entry((&*row.record.job, kind(row))).or_default() += 1;
        }
        for count in beyond.values_mut() {
            *count = count.saturating_sub(keep.runs as usize);
        }
        let mut gone = Vec::new();
        for (seq, row) in &kept.rows {
            let beyond = beyond.entry((&*row.record.job, kind(row))).or_default();
            let old = row.record.at < oldest || (*beyond > 0 && row.record.at <= young);
            *beyond = beyond.saturating_sub(1);
            if old && row.record.outcome.is_some() && !kept.is_last(row) {
                gone.push(*seq);
            }
        }
        gone.into_iter().for_each(|seq| kept.remove(seq));
        kept.changes.retain(|change| change.at >= oldest);
        let current = kept.sessions.len().saturating_sub(1);
        let sessions = std::mem::take(&mut kept.sessions).into_iter().enumerate();
        let young = |session: &Session| session.stopped.unwrap_or(session.seen) >= oldest;
        kept.sessions = sessions
            .filter(|(place, session)| *place == current || young(session))
            .map(|(_, session)| session)
            .collect();
        Ok(false)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.clone()))
    }

    fn shared(&mut self) -> Option<&mut dyn super::shared::Shared> {
        Some(self)
    }
}

impl Query {
    /// Whether a record is wanted.
    pub(super) fn wants(&self, record: &RunRecord) -> bool {
        self.job.as_ref().is_none_or(|job| *job == record.job)
            && self.run.is_none_or(|run| record.run == Some(run))
            && (self.host.is_none() || self.host == record.host)
            && (!self.failed || record.outcome.as_ref().is_some_and(Outcome::went_wrong))
            && self.since.is_none_or(|since| record.last_due >= since)
            && self.until.is_none_or(|until| record.due <= until)
            && self.before.is_none_or(|before| record.seq < before)
    }
}

impl Reader for Memory {
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError> {
        let kept = self.kept();
        let rows = kept.rows.values().rev().map(|row| &row.record);
        let wanted = rows.filter(|record| query.wants(record)).cloned();
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        Ok(wanted.take(limit).collect())
    }

    fn latest(&mut self, job: Option<&str>) -> Result<Vec<Latest>, StoreError> {
        let kept = self.kept();
        let wanted: Vec<(&Box<str>, &History)> = match job {
            Some(job) => kept.histories.get_key_value(job).into_iter().collect(),
            None => kept.histories.iter().collect(),
        };
        let latest = |id: &str, history: &History| {
            let rows = history.rows.iter().rev().filter_map(|seq| kept.rows.get(seq));
            Latest::of_records(id, rows.map(|row| &row.record))
        };
        let mut found: Vec<Latest> =
            wanted.into_iter().filter_map(|(id, history)| latest(id, history)).collect();
        sort::by(&mut found, |a, b| a.job.cmp(&b.job));
        Ok(found)
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let mut kept = self.kept();
        let Some(row) = kept.of(run) else { return Ok(Vec::new()) };
        let mut found: Vec<AttemptRecord> = row.attempts.values().cloned().collect();
        found.extend(row.record.last_attempt(row.begun, found.last()));
        Ok(found)
    }

    fn output(&mut self, run: RunId) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        let kept = self.kept();
        let output = kept.runs.get(&run).and_then(|seq| kept.outputs.get(seq));
        Ok(output.map(|(tail, total)| (tail.to_vec(), *total)))
    }

    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        Ok(self.kept().jobs.get(id).map(|known| known.record(id)))
    }

    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError> {
        Ok(self.kept().job_records())
    }

    fn all_paused(&mut self) -> Result<Option<Pause>, StoreError> {
        Ok(self.kept().all_paused.clone())
    }

    fn changes(
        &mut self,
        job: Option<&str>,
        from: Instant,
        until: Instant,
    ) -> Result<Vec<Change>, StoreError> {
        let kept = self.kept();
        let about = |change: &Change| match (job, &change.job) {
            (Some(job), Some(changed)) => *job == **changed,
            _ => true,
        };
        let within = |change: &&Change| (from..=until).contains(&change.at) && about(change);
        let mut found: Vec<Change> = kept.changes.iter().filter(within).cloned().collect();
        sort::by_key(&mut found, |change| change.at);
        Ok(found)
    }

    fn entries(&mut self, list: &str) -> Result<Entries, StoreError> {
        let kept = self.kept();
        let entries = kept.lists.get(list).into_iter().flatten();
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn lists(&mut self) -> Result<Vec<Box<str>>, StoreError> {
        Ok(self.kept().lists.keys().cloned().collect())
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        Ok(self.kept().sessions.clone())
    }

    fn members(&mut self) -> Result<Vec<Member>, StoreError> {
        Ok(self.kept().members())
    }

    fn open_runs(&mut self, job: Option<&str>) -> Result<Vec<OpenElsewhere>, StoreError> {
        let kept = self.kept();
        let wanted = |row: &&Row| job.is_none_or(|job| *row.record.job == *job);
        Ok(kept.rows.values().filter(wanted).filter_map(Row::open_elsewhere).collect())
    }
}
