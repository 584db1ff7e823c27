//! A store that keeps nothing beyond the process: for `[store] url = "memory"`, for tests, and where
//! nothing can be written.
//!
//! The past is kept as it would be in a file, within the same limits, so that `history` and `why`
//! can be asked over the socket.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{
    AttemptRecord, Fact, Limits, OpenRun, Query, Reader, Restored, RunRecord, Session, Store,
    StoreError, went_wrong,
};
use crate::event::{Change, JobRecord, Pause, RunId};
use crate::instant::Instant;

/// See the [module](self). Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    jobs: BTreeMap<Box<str>, JobRecord>,
    all_paused: Option<Pause>,
    records: BTreeMap<u64, RunRecord>,
    next_seq: u64,
    /// The record of each run.
    of_run: HashMap<RunId, u64>,
    /// The record of each single due time.
    of_due: HashMap<(Box<str>, Instant), u64>,
    /// The records of each job, oldest first.
    of_job: HashMap<Box<str>, VecDeque<u64>>,
    attempts: HashMap<RunId, Vec<AttemptRecord>>,
    outputs: HashMap<RunId, (Box<[u8]>, u64)>,
    changes: VecDeque<Change>,
    sessions: VecDeque<Session>,
}

/// Changes and sessions beyond this many are forgotten, oldest first.
const MOST_CHANGES: usize = 10_000;

impl MemoryStore {
    /// An empty one.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        let known = self.lock();
        let open = known.records.values().filter(|record| record.outcome.is_none());
        let open = open.filter_map(|record| {
            let run = record.run?;
            let last = known.attempts.get(&run).and_then(|attempts| attempts.last());
            Some(OpenRun {
                run,
                job: record.job.clone(),
                due: record.due,
                by: record.by.clone(),
                attempt: record.attempts,
                process: record.process,
                started: record.started,
                last: last.and_then(|attempt| attempt.outcome.clone()),
                last_ended: last.and_then(|attempt| attempt.ended),
            })
        });
        let last_run = known.of_run.keys().max().map_or(0, |run| run.0);
        Ok(Restored {
            jobs: known.jobs.values().cloned().collect(),
            all_paused: known.all_paused.clone(),
            open: open.collect(),
            next_run: last_run + 1,
            last_session: known.sessions.back().cloned(),
        })
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        let mut known = self.lock();
        let mut lost = Vec::new();
        for fact in facts {
            known.take(fact, &mut lost);
        }
        Ok(lost)
    }

    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError> {
        let oldest = now.minus(Duration::from_secs(u64::from(keep.days) * 86_400));
        let mut known = self.lock();
        let mut gone = Vec::new();
        let Known { of_job, records, .. } = &mut *known;
        for seqs in of_job.values_mut() {
            while let Some(seq) = seqs.front() {
                let record = records.get(seq);
                let is_open = record.is_some_and(|record| record.outcome.is_none());
                let is_old = record.is_none_or(|record| record.at < oldest);
                if is_open || (seqs.len() <= keep.runs as usize && !is_old) {
                    break;
                }
                gone.extend(seqs.pop_front());
            }
        }
        of_job.retain(|_, seqs| !seqs.is_empty());
        for seq in gone {
            known.forget(seq);
        }
        Ok(false)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(self.clone()))
    }
}

impl Known {
    fn take(&mut self, fact: &Fact, lost: &mut Vec<RunId>) {
        let at = fact.at();
        if let (Some(at), Some(session)) = (at, self.sessions.back_mut()) {
            session.seen = session.seen.max(at);
        }
        match fact {
            Fact::Began(session) => {
                self.sessions.push_back(session.clone());
                if self.sessions.len() > MOST_CHANGES {
                    self.sessions.pop_front();
                }
            }
            Fact::Stopped { at } => {
                if let Some(session) = self.sessions.back_mut() {
                    session.stopped = Some(*at);
                }
            }
            Fact::Job(record) => {
                self.jobs.insert(record.id.clone(), record.clone());
            }
            Fact::Gone { job } => {
                self.jobs.remove(job);
            }
            Fact::AllPaused(pause) => self.all_paused = pause.clone(),
            Fact::Admitted { run, job, due, at, by } => {
                if self.of_run.contains_key(run) {
                    // The same fact once more, after an error.
                    return;
                }
                if self.of_due.contains_key(&(job.clone(), *due)) {
                    lost.push(*run);
                    return;
                }
                if by.is_none() {
                    self.decided(job, *due);
                }
                let seq = self.add(RunRecord {
                    seq: 0,
                    run: Some(*run),
                    job: job.clone(),
                    due: *due,
                    last_due: *due,
                    count: 1,
                    outcome: None,
                    at: *at,
                    started: None,
                    duration: None,
                    attempts: 0,
                    process: None,
                    by: by.clone(),
                });
                self.of_run.insert(*run, seq);
            }
            Fact::Withdrawn { run } => {
                if let Some(seq) = self.of_run.get(run).copied() {
                    self.forget(seq);
                    for seqs in self.of_job.values_mut() {
                        seqs.retain(|other| *other != seq);
                    }
                }
            }
            Fact::Starting { run, attempt } => {
                if let Some(record) = self.record(*run) {
                    record.attempts = *attempt;
                    record.process = None;
                }
                self.attempt(*run, *attempt);
            }
            Fact::Started { run, attempt, process, at } => {
                if let Some(record) = self.record(*run) {
                    record.process = Some(*process);
                    record.started.get_or_insert(*at);
                }
                if let Some(known) = self.attempt(*run, *attempt) {
                    (known.process, known.started) = (Some(*process), Some(*at));
                }
            }
            Fact::AttemptEnded { run, attempt, outcome, at } => {
                if let Some(known) = self.attempt(*run, *attempt) {
                    (known.outcome, known.ended) = (Some(outcome.clone()), Some(*at));
                }
            }
            Fact::Ended { run, outcome, duration, attempts, at, .. } => {
                if let Some(record) = self.record(*run) {
                    record.outcome = Some(outcome.clone());
                    record.duration = record.started.map(|_| *duration);
                    record.attempts = *attempts;
                }
                if *attempts > 0
                    && let Some(known) = self.attempt(*run, *attempts)
                {
                    (known.outcome, known.ended) = (Some(outcome.clone()), Some(*at));
                }
            }
            Fact::Fate { job, due, last_due, count, outcome, at } => {
                self.decided(job, *last_due);
                if *count == 1 && self.of_due.contains_key(&(job.clone(), *due)) {
                    return;
                }
                self.add(RunRecord {
                    seq: 0,
                    run: None,
                    job: job.clone(),
                    due: *due,
                    last_due: *last_due,
                    count: *count,
                    outcome: Some(outcome.clone()),
                    at: *at,
                    started: None,
                    duration: None,
                    attempts: 0,
                    process: None,
                    by: None,
                });
            }
            Fact::Output { run, tail, total } => {
                if self.of_run.contains_key(run) {
                    self.outputs.insert(*run, (tail.clone(), *total));
                }
            }
            Fact::Change(change) => {
                self.changes.push_back(change.clone());
                if self.changes.len() > MOST_CHANGES {
                    self.changes.pop_front();
                }
            }
        }
    }

    fn add(&mut self, record: RunRecord) -> u64 {
        self.next_seq += 1;
        let seq = self.next_seq;
        if record.count == 1 {
            self.of_due.insert((record.job.clone(), record.due), seq);
        }
        self.of_job.entry(record.job.clone()).or_default().push_back(seq);
        self.records.insert(seq, RunRecord { seq, ..record });
        seq
    }

    fn decided(&mut self, job: &str, due: Instant) {
        if let Some(record) = self.jobs.get_mut(job) {
            record.decided = record.decided.max(due);
        }
    }

    fn record(&mut self, run: RunId) -> Option<&mut RunRecord> {
        self.records.get_mut(self.of_run.get(&run)?)
    }

    fn attempt(&mut self, run: RunId, number: u32) -> Option<&mut AttemptRecord> {
        if !self.of_run.contains_key(&run) {
            return None;
        }
        let attempts = self.attempts.entry(run).or_default();
        if attempts.last().is_none_or(|last| last.attempt < number) {
            attempts.push(AttemptRecord {
                attempt: number,
                process: None,
                started: None,
                ended: None,
                outcome: None,
            });
        }
        attempts.iter_mut().find(|attempt| attempt.attempt == number)
    }

    /// Removes a record, which its job's list has lost or is about to lose.
    fn forget(&mut self, seq: u64) {
        let Some(record) = self.records.remove(&seq) else { return };
        let due = (record.job, record.due);
        if self.of_due.get(&due) == Some(&seq) {
            self.of_due.remove(&due);
        }
        if let Some(run) = record.run {
            self.of_run.remove(&run);
            self.attempts.remove(&run);
            self.outputs.remove(&run);
        }
    }
}

impl Reader for MemoryStore {
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError> {
        let known = self.lock();
        let wanted = |record: &&RunRecord| {
            query.job.as_ref().is_none_or(|job| *job == record.job)
                && query.run.is_none_or(|run| record.run == Some(run))
                && (!query.failed || record.outcome.as_ref().is_some_and(went_wrong))
                && query.since.is_none_or(|since| record.last_due >= since)
                && query.until.is_none_or(|until| record.due <= until)
        };
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        let before = query.before.unwrap_or(u64::MAX);
        let newest_first = known.records.range(..before).rev().map(|(_, record)| record);
        Ok(newest_first.filter(wanted).take(limit).cloned().collect())
    }

    fn last_of_each(&mut self) -> Result<Vec<RunRecord>, StoreError> {
        let known = self.lock();
        let last = known.of_job.values().filter_map(|seqs| {
            let records = seqs.iter().rev().filter_map(|seq| known.records.get(seq));
            records.into_iter().find(|record| record.outcome.is_some()).cloned()
        });
        Ok(last.collect())
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        Ok(self.lock().attempts.get(&run).cloned().unwrap_or_default())
    }

    fn output(&mut self, run: RunId) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        Ok(self.lock().outputs.get(&run).map(|(tail, total)| (tail.to_vec(), *total)))
    }

    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        Ok(self.lock().jobs.get(id).cloned())
    }

    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError> {
        Ok(self.lock().jobs.values().cloned().collect())
    }

    fn all_paused(&mut self) -> Result<Option<Pause>, StoreError> {
        Ok(self.lock().all_paused.clone())
    }

    fn changes(
        &mut self,
        job: Option<&str>,
        from: Instant,
        until: Instant,
    ) -> Result<Vec<Change>, StoreError> {
        let known = self.lock();
        let wanted = |change: &&Change| {
            (from..=until).contains(&change.at)
                && (job.is_none() || change.job.is_none() || change.job.as_deref() == job)
        };
        Ok(known.changes.iter().filter(wanted).cloned().collect())
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        Ok(self.lock().sessions.iter().cloned().collect())
    }
}
