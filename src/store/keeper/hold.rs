//! What waits for a store that several schedulers share. Plain data behind a lock.
//!
//! Here nothing begins without the store: a start waits for its claim however long that takes, and
//! is given back when its due time is too late. So nobody can ask for starts to go on at once, as
//! with a store that serves one scheduler (`queue`).

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Answer;
use super::queue::{BYTES, Batch, FACTS, TOGETHER, Waiters};
use crate::core::event::{RunId, Silence, Start};
use crate::core::fleet::SessionId;
use crate::core::fleet::home::HomeJob;
use crate::core::fleet::whereabouts::Whereabouts;
use crate::core::instant::{Instant, Mono};
use crate::core::scheduler::after::JOINS;
use crate::core::scheduler::after::homes::{ENDS, run_of_end};
use crate::core::trigger::Trigger;
use crate::store::Fact;
use crate::sys::clock;

/// So long somebody who has asked for a change waits for the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// A store that takes longer to answer is slow.
const QUICK: Duration = Duration::from_millis(100);

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
    /// A job that was added at run time, or is another now, and that the store has.
    Job(HomeJob),
    /// A job that was added at run time is gone.
    NoJob(Box<str>),
    /// Another host is to be asked. What comes of it is a [`OthersEvent::Answered`](super::OthersEvent::Answered).
    Ask(Ask),
    /// What another host has asked is answered.
    Answer {
        /// Its number.
        id: u64,
        /// The answer.
        answer: Box<str>,
    },
    /// The end of a run of another host is waited for: [`OthersEvent::Over`](super::OthersEvent::Over).
    Watch {
        /// A number to know it by.
        id: u64,
        /// The run.
        run: RunId,
    },
    /// What the others have of a job is to be known here:
    /// [`OthersEvent::LookedUp`](super::OthersEvent::LookedUp) follows it.
    LookUp {
        /// A number to know it by.
        number: u64,
        /// The job.
        job: Box<str>,
    },
    /// These lists are to be read: [`OthersEvent::Read`](super::OthersEvent::Read) follows it.
    Read(ReadFor, &'static [&'static str]),
    /// This scheduler stops: others decide for it from now on.
    Leave,
    /// Runs of earlier sessions of this host, each with its job and its session, go on here.
    Adopt(Vec<(RunId, Box<str>, SessionId)>),
}

/// What lists are read for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadFor {
    /// Jobs that have come here.
    Jobs(Vec<Box<str>>),
    /// Hosts that are gone.
    Left(GoneHosts),
}

/// Hosts that are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoneHosts {
    /// This one was found dead.
    Dead(Box<str>),
    /// All but these.
    AllBut(Vec<Box<str>>),
}

impl GoneHosts {
    /// Whether a host of this name is one of them.
    pub fn has(&self, host: &str) -> bool {
        match self {
            GoneHosts::Dead(dead) => **dead == *host,
            GoneHosts::AllBut(there) => !there.iter().any(|it| **it == *host),
        }
    }
}

/// A question to another host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Its number: random.
    pub id: u64,
    /// Whom it is for.
    pub to: SessionId,
    /// What people call that host.
    pub host: Box<str>,
    /// Who asks, for the record.
    pub by: Box<str>,
    /// When.
    pub at: Instant,
    /// What is asked, as the control socket has it.
    pub request: Box<str>,
}

/// How this host stands among the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The generation of the store.
    pub generation: u64,
    /// Until when it may start something, without another word of the store.
    pub trusted_until: Option<Mono>,
    /// Nothing starts until all have told a store that has forgotten what they know.
    pub waits_for_others: bool,
    /// How many jobs are at home here.
    pub jobs_at_home: u32,
    /// How many starts wait for the store.
    pub held: usize,
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
    /// Who is there, as far as it is known.
    whereabouts: Mutex<Option<Arc<Whereabouts>>>,
    standing: Mutex<Standing>,
    /// Until when the others cannot have taken this scheduler for dead, in microseconds.
    alive_until: AtomicU64,
    /// Since when the store has been asked and has answered nothing, in microseconds; 0: it answers.
    unanswered: AtomicU64,
}

/// The queue.
#[derive(Default)]
pub(super) struct Held {
    batches: VecDeque<Batch>,
    facts: usize,
    bytes: usize,
    /// The number of the last batch, of the last of what is being written, and of the last that the store has.
    pushed: u64,
    taken: u64,
    pub(super) written: u64,
    /// What is being written, or is to be written again: how many facts, and since when the first of
    /// them waits.
    pub(super) writing: usize,
    oldest: Option<Mono>,
    /// When the last of it came, and when the last of what is written.
    newest: Mono,
    answered: Mono,
    /// The loop knows that the store has not answered.
    told: bool,
    pub(super) orders: Vec<FleetOrder>,
    /// Starts whose facts had to go.
    pub(super) bereft: Vec<Start>,
    /// Answers whose facts had to go or are being written, and since when the first of them waits.
    answers: Vec<Answer>,
    asked: Option<Mono>,
    /// Facts that had to go.
    pub(super) dropped: u64,
    /// No more will come.
    pub(super) finish: bool,
    /// The thread has ended, and so many facts are not in the store.
    pub(super) left: Option<u64>,
}

impl Hold {
    pub(super) fn new(submit: Box<dyn Fn(Start) + Send>) -> Hold {
        Hold {
            held: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            submit: Mutex::new(submit),
            running: AtomicU32::new(0),
            alive_until: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            whereabouts: Mutex::default(),
            standing: Mutex::default(),
        }
    }

    pub(super) fn whereabouts(&self) -> Option<Arc<Whereabouts>> {
        self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_whereabouts(&self, whereabouts: Whereabouts) {
        let mut known = self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::new(whereabouts));
    }

    pub(super) fn standing(&self) -> Standing {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_standing(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// Has the thread do something.
    pub(super) fn order(&self, order: FleetOrder) {
        self.held().orders.push(order);
        self.wake.notify_one();
    }

    pub(super) fn set_alive_until(&self, until: Mono) {
        self.alive_until.store(until.micros(), Ordering::Relaxed);
    }

    pub(super) fn alive_until(&self) -> Mono {
        Mono::from_micros(self.alive_until.load(Ordering::Relaxed))
    }

    /// The store is asked something.
    pub(super) fn asks(&self, now: Mono) {
        let (new, order) = (now.micros().max(1), Ordering::Relaxed);
        // It may not have answered what it was asked before either.
        let _ = self.unanswered.compare_exchange(0, new, order, order);
    }

    /// It has answered.
    pub(super) fn hears(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// From when on it is of no use to wait for it, unless it answers.
    pub(super) fn gives_up_at(&self) -> Option<Mono> {
        match self.unanswered.load(Ordering::Relaxed) {
            0 => None,
            since => Some(Mono::from_micros(since).plus(PATIENCE)),
        }
    }

    /// When whoever has asked for a change has waited for long enough.
    pub(super) fn waiting(&self) -> Option<Mono> {
        let own = self.held().waiting()?;
        Some(self.gives_up_at().map_or(own, |at| at.min(own)))
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes facts, and what waits for them. Answers the number of this batch.
    pub(super) fn push(&self, facts: Vec<Fact>, waiters: Waiters) -> u64 {
        let number = self.held().push(facts, waiters, clock::mono());
        self.wake.notify_one();
        number
    }

    /// Lets processes start.
    pub(super) fn submit(&self, starts: Vec<Start>) {
        let submit = self.submit.lock().unwrap_or_else(PoisonError::into_inner);
        starts.into_iter().for_each(&**submit);
    }
}

impl Held {
    fn push(&mut self, facts: Vec<Fact>, waiters: Waiters, since: Mono) -> u64 {
        self.pushed += 1;
        let batch = Batch { number: self.pushed, ..Batch::new(facts, waiters, since) };
        self.facts += batch.facts.len();
        self.bytes += batch.bytes;
        self.batches.push_back(batch);
        // A single batch is what the jobs of a jobfile are at once.
        while (self.facts > FACTS || self.bytes > BYTES)
            && self.batches.len() > 1
            && let Some(mut oldest) = self.batches.pop_front()
        {
            self.dropped += oldest.facts.len() as u64;
            self.facts -= oldest.facts.len();
            self.bytes -= oldest.bytes;
            self.bereft.append(&mut oldest.waiters.starts);
            self.keep_answers(oldest.waiters.answers, oldest.since);
        }
        self.pushed
    }

    fn keep_answers(&mut self, mut answers: Vec<Answer>, since: Mono) {
        if !answers.is_empty() {
            self.asked.get_or_insert(since);
            self.answers.append(&mut answers);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Moves what is to be written next. Answers stay here: whoever has asked may lose patience.
    pub(super) fn take(&mut self, facts: &mut Vec<Fact>, starts: &mut Vec<Start>) {
        while facts.len() < TOGETHER
            && let Some(mut batch) = self.batches.pop_front()
        {
            self.facts -= batch.facts.len();
            self.bytes -= batch.bytes;
            self.oldest.get_or_insert(batch.since);
            self.newest = self.newest.max(batch.since);
            self.taken = batch.number;
            facts.append(&mut batch.facts);
            starts.append(&mut batch.waiters.starts);
            self.keep_answers(batch.waiters.answers, batch.since);
        }
        self.writing = facts.len();
    }

    /// How far the store has answered. `is_cut`: the others may have taken this scheduler for dead.
    pub(super) fn silence(&mut self, now: Mono, is_cut: bool) -> Silence {
        let is_slow = |since: Mono| now.since(since) >= QUICK;
        self.told = is_cut || self.pending().1.is_some_and(is_slow);
        match (is_cut, self.told) {
            (true, _) => Silence::Cut(self.answered),
            (false, true) => Silence::Since(self.answered),
            (false, false) => Silence::None,
        }
    }

    /// Whether the loop is to be told that the store has answered.
    pub(super) fn is_awaited(&self) -> bool {
        self.told
    }

    /// That is written. Returns the answers to give.
    pub(super) fn written(&mut self) -> Vec<Answer> {
        self.answered = self.answered.max(self.newest);
        (self.writing, self.oldest, self.asked) = (0, None, None);
        self.written = self.taken;
        std::mem::take(&mut self.answers)
    }

    /// Moves all there is, to what is being written. Answers since when the first fact of it waits.
    pub(super) fn take_all(
        &mut self,
        facts: &mut Vec<Fact>,
        starts: &mut Vec<Start>,
    ) -> Option<Mono> {
        let since = self.pending().1;
        for mut batch in std::mem::take(&mut self.batches) {
            facts.append(&mut batch.facts);
            starts.append(&mut batch.waiters.starts);
            self.keep_answers(batch.waiters.answers, batch.since);
        }
        (self.facts, self.bytes) = (0, 0);
        starts.append(&mut self.bereft);
        since
    }

    /// Puts back what goes on.
    pub(super) fn put_first(&mut self, facts: Vec<Fact>, since: Mono) {
        if facts.is_empty() {
            return;
        }
        // It was all there is.
        let number = self.pushed;
        let batch = Batch { number, ..Batch::new(facts, Waiters::default(), since) };
        self.facts += batch.facts.len();
        self.bytes += batch.bytes;
        self.batches.push_front(batch);
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
        let queued = || self.batches.iter().find(|batch| !batch.waiters.answers.is_empty());
        let since = self.asked.or_else(|| queued().map(|batch| batch.since));
        since.map(|since| since.plus(PATIENCE))
    }

    /// Takes out all answers, to be given without the store.
    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        self.asked = None;
        let mut answers = std::mem::take(&mut self.answers);
        for batch in &mut self.batches {
            answers.append(&mut batch.waiters.answers);
        }
        answers
    }

    /// How many facts are not in the store yet, and since when the first of them waits.
    pub(super) fn pending(&self) -> (u64, Option<Mono>) {
        let queued = self.batches.front().map(|batch| batch.since);
        ((self.facts + self.writing) as u64, self.oldest.or(queued))
    }

    /// How many facts are not in the store.
    pub(super) fn unwritten(&self) -> u64 {
        (self.facts + self.writing) as u64 + self.dropped
    }
}

/// Whether a due time may not begin any more.
pub(super) fn is_late(start: &Start, now: Instant) -> bool {
    if matches!(start.job.trigger, Trigger::After(_)) {
        // It has waited for others, however long they took.
        return false;
    }
    let late = now.since(start.due.plus(start.job.delay(start.due)));
    start.attempt == 1 && !start.job.options.misfire_grace_time.allows(late)
}

/// Of the facts of a session that is over those that still count: what has become of runs that began.
/// A claim that was not acknowledged has begun nothing. What was decided of jobs that are due after others
/// does not count either; the ends of the runs before them do, for the homes of these jobs.
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
        Fact::Entry { list, value, .. } if **list == *ENDS => {
            let run = value.as_deref().and_then(run_of_end);
            run.is_some_and(|run| !claims.contains(&run))
        }
        Fact::Entry { list, .. } => **list != *JOINS,
        fact => fact.run().is_none_or(|run| !claims.contains(&run)),
    };
    (facts.into_iter().filter(counts).collect(), claims)
}

/// What is said of runs whose places are taken, without these: that they have begun is to be known all
/// the same.
pub(super) fn without_places(facts: Vec<Fact>, busy: &HashSet<RunId>) -> Vec<Fact> {
    let of_them = |fact: Fact| match fact {
        Fact::Admitted { run, job, due, at, by, host, .. } if busy.contains(&run) => {
            Some(Fact::Admitted { run, job, due, at, by, host, slot: None })
        }
        Fact::Starting { run, .. }
        | Fact::Postponed { run, .. }
        | Fact::Started { run, .. }
        | Fact::AttemptEnded { run, .. }
        | Fact::Ended { run, .. }
        | Fact::Output { run, .. }
            if busy.contains(&run) =>
        {
            Some(fact)
        }
        _ => None,
    };
    facts.into_iter().filter_map(of_them).collect()
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn at(secs: u64) -> Mono {
        Mono::default().plus(Duration::from_secs(secs))
    }

    fn stopped(count: usize) -> Vec<Fact> {
        vec![Fact::Stopped { at: Instant::MIN }; count]
    }

    /// The store has a batch when it has been written, and what is put back has the number of all that it
    /// was made of.
    #[test]
    fn the_store_has_batches_up_to_the_last_that_was_written() {
        let mut held = Held::default();
        let push = |held: &mut Held, many| held.push(stopped(many), Waiters::default(), at(10));
        let (mut facts, mut starts) = (Vec::new(), Vec::new());
        assert_eq!((push(&mut held, TOGETHER), push(&mut held, 1), held.written), (1, 2, 0));
        held.take(&mut facts, &mut starts);
        assert_eq!(held.written, 0);
        held.written();
        assert_eq!(held.written, 1);
        assert_eq!(push(&mut held, 1), 3);
        facts.clear();
        held.take_all(&mut facts, &mut starts);
        held.put_first(facts, at(10));
        held.written();
        assert_eq!(held.written, 1);
        held.take(&mut Vec::new(), &mut starts);
        held.written();
        assert_eq!(held.written, 3);
    }

    /// What is being written waits, and so does who has asked for it, until it is written.
    #[test]
    fn what_is_being_written_is_not_in_the_store_yet() {
        let (tell, told) = mpsc::channel();
        let asked = |number: u32| {
            let tell = tell.clone();
            let answer: Answer = Box::new(move || tell.send(number).unwrap());
            Waiters { starts: Vec::new(), answers: vec![answer] }
        };
        let mut held = Held::default();
        assert_eq!((held.pending(), held.waiting()), ((0, None), None));
        held.push(stopped(3), asked(1), at(10));
        held.push(stopped(TOGETHER), asked(2), at(11));
        held.push(stopped(2), asked(3), at(12));
        let all = 3 + TOGETHER as u64 + 2;
        assert_eq!(held.pending(), (all, Some(at(10))));
        let (mut facts, mut starts) = (Vec::new(), Vec::new());
        // It is tried twice.
        for _ in 0..2 {
            held.take(&mut facts, &mut starts);
            assert_eq!((held.pending(), held.unwritten()), ((all, Some(at(10))), all));
            assert_eq!(held.waiting(), Some(at(10).plus(PATIENCE)));
        }
        facts.clear();
        held.written().into_iter().for_each(|answer| answer());
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            (held.pending(), held.waiting()),
            ((2, Some(at(12))), Some(at(12).plus(PATIENCE)))
        );
        // Whoever loses patience gets the answer, and what is written then has none to give.
        held.take(&mut facts, &mut starts);
        held.take_answers().into_iter().for_each(|answer| answer());
        assert_eq!((told.try_iter().collect::<Vec<_>>(), held.waiting()), (vec![3], None));
        assert!(held.written().is_empty());
        assert_eq!(held.pending(), (0, None));
    }

    /// A session that goes on as another has waited no less.
    #[test]
    fn what_is_put_back_has_waited_all_the_time() {
        let mut held = Held::default();
        let (mut facts, mut starts) = (Vec::new(), Vec::new());
        held.push(stopped(TOGETHER), Waiters::default(), at(10));
        held.take(&mut facts, &mut starts);
        held.push(stopped(1), Waiters::default(), at(11));
        let since = held.take_all(&mut facts, &mut starts);
        assert_eq!(since, Some(at(10)));
        held.put_first(facts, at(10));
        assert!(held.written().is_empty());
        assert_eq!(held.pending(), (TOGETHER as u64 + 1, Some(at(10))));
        let mut none = Held::default();
        none.put_first(Vec::new(), at(10));
        assert_eq!(none.pending(), (0, None));
    }
}
