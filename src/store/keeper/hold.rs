//! What waits for a store that several schedulers share. Plain data behind a lock.
//!
//! Here nothing begins without the store: a start waits for its claim however long that takes, and
//! is given back when its due time is too late. So nobody can ask for starts to go on at once, as
//! with a store that serves one scheduler (`queue`).

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::AtomicU32;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Answer;
use super::queue::{Waiters, weight};
use crate::core::event::{RunId, Start};
use crate::core::fleet::home::HomeJob;
use crate::core::instant::{Instant, Mono};
use crate::core::job::Grace;
use crate::store::Fact;
use crate::sys::clock;

/// So many facts are kept, and so many bytes of them.
const FACTS: usize = 100_000;
const BYTES: usize = 16 << 20;
/// About so many facts are written in one go.
const TOGETHER: usize = 2000;
/// So long somebody who has asked for a change waits for the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// Something that the loop wants of the thread beside writing.
#[derive(Debug)]
pub enum FleetOrder {
    /// These are the jobs, at the start or by a reload.
    Jobs {
        /// The jobfile.
        jobfile: Box<str>,
        /// A hash of its jobs.
        hash: u64,
        /// The jobs.
        jobs: Vec<HomeJob>,
    },
    /// More numbers for runs.
    Numbers,
    /// This scheduler stops: others decide for it from now on.
    Leave,
}

/// What the loop and the thread share.
pub(super) struct Hold {
    held: Mutex<Held>,
    /// There is something to do.
    pub(super) wake: Condvar,
    /// The thread has ended.
    pub(super) ended: Condvar,
    submit: Mutex<Box<dyn Fn(Start) + Send>>,
    /// How many runs are active here, for people.
    pub(super) running: AtomicU32,
}

/// The queue.
#[derive(Default)]
pub(super) struct Held {
    batches: VecDeque<Batch>,
    facts: usize,
    bytes: usize,
    pub(super) orders: Vec<FleetOrder>,
    /// Starts and answers whose facts had to go.
    pub(super) bereft: Vec<Start>,
    answers: Vec<Answer>,
    /// Facts that had to go.
    pub(super) dropped: u64,
    /// No more will come.
    pub(super) finish: bool,
    /// The thread has ended, and so many facts are not in the store.
    pub(super) left: Option<u64>,
}

struct Batch {
    facts: Vec<Fact>,
    bytes: usize,
    waiters: Waiters,
    since: Mono,
}

impl Hold {
    pub(super) fn new(submit: Box<dyn Fn(Start) + Send>) -> Hold {
        Hold {
            held: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            submit: Mutex::new(submit),
            running: AtomicU32::new(0),
        }
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes facts, and what waits for them.
    pub(super) fn push(&self, facts: Vec<Fact>, waiters: Waiters) {
        self.held().push(facts, waiters, clock::mono());
        self.wake.notify_one();
    }

    /// Lets processes start.
    pub(super) fn submit(&self, starts: Vec<Start>) {
        let submit = self.submit.lock().unwrap_or_else(PoisonError::into_inner);
        starts.into_iter().for_each(&**submit);
    }
}

impl Held {
    fn push(&mut self, facts: Vec<Fact>, waiters: Waiters, since: Mono) {
        let bytes = facts.iter().map(weight).sum();
        self.facts += facts.len();
        self.bytes += bytes;
        self.batches.push_back(Batch { facts, bytes, waiters, since });
        // A single batch is what the jobs of a jobfile are at once.
        while (self.facts > FACTS || self.bytes > BYTES)
            && self.batches.len() > 1
            && let Some(mut oldest) = self.batches.pop_front()
        {
            self.dropped += oldest.facts.len() as u64;
            self.facts -= oldest.facts.len();
            self.bytes -= oldest.bytes;
            self.bereft.append(&mut oldest.waiters.starts);
            self.answers.append(&mut oldest.waiters.answers);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Moves what is to be written next.
    pub(super) fn take(&mut self, facts: &mut Vec<Fact>, waiters: &mut Waiters) {
        while facts.len() < TOGETHER
            && let Some(mut batch) = self.batches.pop_front()
        {
            self.facts -= batch.facts.len();
            self.bytes -= batch.bytes;
            facts.append(&mut batch.facts);
            waiters.append(batch.waiters);
        }
        waiters.answers.append(&mut self.answers);
    }

    /// Moves all there is.
    pub(super) fn take_all(&mut self, facts: &mut Vec<Fact>, waiters: &mut Waiters) {
        for mut batch in std::mem::take(&mut self.batches) {
            facts.append(&mut batch.facts);
            waiters.append(batch.waiters);
        }
        (self.facts, self.bytes) = (0, 0);
        waiters.starts.append(&mut self.bereft);
        waiters.answers.append(&mut self.answers);
    }

    /// Puts back what goes on.
    pub(super) fn put_first(&mut self, facts: Vec<Fact>, since: Mono) {
        let bytes = facts.iter().map(weight).sum();
        self.facts += facts.len();
        self.bytes += bytes;
        self.batches.push_front(Batch { facts, bytes, waiters: Waiters::default(), since });
    }

    /// Takes out the starts that are too late, and those whose facts had to go.
    pub(super) fn take_late(&mut self, now: Instant) -> Vec<Start> {
        let mut late = std::mem::take(&mut self.bereft);
        for batch in &mut self.batches {
            late.extend(batch.waiters.starts.extract_if(.., |start| is_late(start, now)));
        }
        late
    }

    /// How many starts wait.
    pub(super) fn starts(&self) -> usize {
        self.batches.iter().map(|batch| batch.waiters.starts.len()).sum()
    }

    /// When the oldest answer will have waited for long enough.
    pub(super) fn waiting(&self) -> Option<Mono> {
        let waits = self.batches.iter().find(|batch| !batch.waiters.answers.is_empty());
        waits.map(|batch| batch.since.plus(PATIENCE))
    }

    /// Takes out all answers, to be given without the store.
    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        let mut answers = std::mem::take(&mut self.answers);
        for batch in &mut self.batches {
            answers.append(&mut batch.waiters.answers);
        }
        answers
    }

    /// How many facts wait.
    pub(super) fn unwritten(&self) -> u64 {
        self.facts as u64 + self.dropped
    }
}

/// Whether a due time may not begin any more.
pub(super) fn is_late(start: &Start, now: Instant) -> bool {
    let fire = start.due.plus(start.job.delay(start.due));
    match start.job.options.misfire_grace_time {
        Grace::Limited(grace) => start.attempt == 1 && now > fire.plus(grace),
        Grace::Forever => false,
    }
}

/// Of the facts of a session that is over those that still count: what has become of runs that began.
/// A claim that was not acknowledged has begun nothing.
pub(super) fn without_claims(facts: Vec<Fact>) -> (Vec<Fact>, HashSet<RunId>) {
    let claims: HashSet<RunId> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Admitted { run, .. } => Some(*run),
            _ => None,
        })
        .collect();
    let counts = |fact: &Fact| match fact {
        // Whoever has the job at home decides these.
        Fact::Job(_) | Fact::Gone { .. } | Fact::Fate { .. } => false,
        Fact::Admitted { run, .. }
        | Fact::Starting { run, .. }
        | Fact::Postponed { run, .. }
        | Fact::Started { run, .. }
        | Fact::AttemptEnded { run, .. }
        | Fact::Ended { run, .. }
        | Fact::Withdrawn { run }
        | Fact::Output { run, .. } => !claims.contains(run),
        Fact::Began(_) | Fact::Stopped { .. } | Fact::AllPaused(_) | Fact::Change(_) => true,
    };
    (facts.into_iter().filter(counts).collect(), claims)
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (facts, starts) = (self.facts, self.starts());
        f.debug_struct("Held")
            .field("facts", &facts)
            .field("starts", &starts)
            .finish_non_exhaustive()
    }
}
