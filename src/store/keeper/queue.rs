//! The queue of the keeper: what waits to be written, and what waits for it. Plain data behind the
//! lock of the keeper.
//!
//! A start, or an answer to whoever has asked for a change, is in exactly one place: with its facts
//! in the queue, or with those that are being written. Whoever takes it from there, under the lock,
//! lets it go on.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::Answer;
use crate::core::event::{RunId, Start};
use crate::core::instant::Mono;
use crate::store::Fact;

/// A store that has not taken anything for so long hangs, whatever it does.
const HANGS: Duration = Duration::from_secs(10);
/// So many facts are kept for a store that takes none.
pub(super) const FACTS: usize = 100_000;
/// And so many bytes of them.
pub(super) const BYTES: usize = 16 << 20;
/// How long facts that nobody waits for are kept for others to be written with them: that a process
/// exists, and that it has ended, which for many jobs is not long after. A crash takes with it what has
/// happened in that time; what is due was written before it began.
pub(super) const LINGER: Duration = Duration::from_millis(5);
/// About so many facts are written in one go.
pub(super) const TOGETHER: usize = 2000;

#[derive(Debug, Default)]
pub(super) struct Queue {
    batches: VecDeque<Batch>,
    facts: usize,
    bytes: usize,
    /// What is being written: how many facts, what waits for them, and since when.
    writing: usize,
    waiters: Waiters,
    since: Option<Mono>,
    /// Since when the oldest of what is being written waits.
    oldest: Option<Mono>,
    /// Runs that went on before their facts were written.
    hurried: Vec<RunId>,
    /// The thread waits for more before it writes.
    pub(super) lingers: bool,
    /// The store takes nothing: nobody waits for it.
    pub(super) failing: bool,
    /// Facts that had to go.
    pub(super) dropped: u64,
    /// Since when the first of them had waited.
    pub(super) dropped_since: Option<Mono>,
    /// No more will come.
    pub(super) finish: bool,
    /// The thread has ended, and so many facts are not in the store.
    pub(super) left: Option<u64>,
}

/// The facts of one step, and what waits for them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) facts: Vec<Fact>,
    /// About how much memory they take.
    pub(super) bytes: usize,
    pub(super) waiters: Waiters,
    pub(super) since: Mono,
    /// Which it is of those that the loop has sent.
    pub(super) number: u64,
}

impl Batch {
    pub(super) fn new(facts: Vec<Fact>, waiters: Waiters, since: Mono) -> Batch {
        let bytes = facts.iter().map(weight).sum();
        Batch { facts, bytes, waiters, since, number: 0 }
    }
}

/// What goes on once its facts are in the store.
#[derive(Default)]
pub(super) struct Waiters {
    pub(super) starts: Vec<Start>,
    pub(super) answers: Vec<Answer>,
}

impl Waiters {
    fn is_empty(&self) -> bool {
        self.starts.is_empty() && self.answers.is_empty()
    }

    pub(super) fn append(&mut self, mut others: Waiters) {
        self.starts.append(&mut others.starts);
        self.answers.append(&mut others.answers);
    }
}

impl fmt::Debug for Waiters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = self.answers.len();
        f.debug_struct("Waiters").field("starts", &self.starts).field("answers", &answers).finish()
    }
}

impl Queue {
    /// Takes facts. Returns those who were to wait for them, if there is nothing to wait for.
    pub(super) fn push(
        &mut self,
        facts: Vec<Fact>,
        waiters: Waiters,
        now: Mono,
    ) -> Option<Waiters> {
        // Answers are given in their order, so one that is about nothing waits for those before it.
        let about_nothing = facts.is_empty() && waiters.starts.is_empty();
        let free = self.failing || self.left.is_some() || about_nothing && self.waiting().is_none();
        let (kept, freed) =
            if free { (Waiters::default(), Some(waiters)) } else { (waiters, None) };
        if !facts.is_empty() || !kept.is_empty() {
            let batch = Batch::new(facts, kept, now);
            self.facts += batch.facts.len();
            self.bytes += batch.bytes;
            self.batches.push_back(batch);
        }
        self.bound(now);
        freed
    }

    /// Drops the oldest facts while there are too many. What waits for them waits on. What a store that works
    /// is about to take is not too many, however many they are: the jobs of a jobfile come at once.
    fn bound(&mut self, now: Mono) {
        let waits = |batch: &Batch| now.since(batch.since) >= HANGS;
        if !(self.failing || self.left.is_some() || self.batches.front().is_some_and(waits)) {
            return;
        }
        let mut place = 0;
        while self.facts > FACTS || self.bytes > BYTES {
            let Some(batch) = self.batches.get_mut(place) else { break };
            self.dropped += batch.facts.len() as u64;
            self.dropped_since.get_or_insert(batch.since);
            self.facts -= batch.facts.len();
            self.bytes -= batch.bytes;
            batch.facts = Vec::new();
            batch.bytes = 0;
            if batch.waiters.is_empty() && place == 0 {
                drop(self.batches.pop_front())
            } else {
                place += 1
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// For how long what is there may be kept for more to be written with it.
    pub(super) fn may_linger(&self, now: Mono) -> Option<Duration> {
        let oldest = self.batches.front()?.since;
        let is_wanted = self.batches.iter().any(|batch| !batch.waiters.is_empty());
        let left = LINGER.saturating_sub(now.since(oldest));
        let may = !(self.finish || self.failing || is_wanted || self.facts >= TOGETHER);
        Some(left).filter(|left| may && !left.is_zero())
    }

    /// Whether the thread is to look at what has come, or sees it in time without being woken.
    pub(super) fn is_to_look(&self, now: Mono) -> bool {
        !self.lingers || self.may_linger(now).is_none()
    }

    /// Moves what is to be written next to the facts that are to be written anyway.
    pub(super) fn take(&mut self, facts: &mut Vec<Fact>) {
        while facts.len() < TOGETHER
            && let Some(batch) = self.batches.pop_front()
        {
            self.facts -= batch.facts.len();
            self.bytes -= batch.bytes;
            self.oldest.get_or_insert(batch.since);
            if facts.is_empty() {
                *facts = batch.facts
            } else {
                facts.extend(batch.facts)
            }
            if !batch.waiters.is_empty() {
                self.since.get_or_insert(batch.since);
                self.waiters.append(batch.waiters);
            }
        }
        self.writing = facts.len();
    }

    /// They are written, and these claims lost. Returns what may go on now, and whose claim is
    /// lost to a run that did not.
    pub(super) fn written(&mut self, lost: Vec<RunId>) -> (Waiters, Vec<RunId>) {
        self.writing = 0;
        (self.since, self.oldest) = (None, None);
        let mut lost = lost;
        // What runs already is not to be taken back.
        lost.retain(|run| !self.failing && !self.hurried.contains(run));
        if self.is_empty() {
            self.hurried.clear();
        }
        (std::mem::take(&mut self.waiters), lost)
    }

    /// The store takes nothing. Returns all that waits for it.
    pub(super) fn fail(&mut self) -> Waiters {
        self.failing = true;
        self.release()
    }

    /// Returns all that waits, to go on at once.
    pub(super) fn hurry(&mut self) -> Waiters {
        let waiters = self.release();
        self.hurried.extend(waiters.starts.iter().map(|start| start.run));
        waiters
    }

    fn release(&mut self) -> Waiters {
        self.since = None;
        let mut waiters = std::mem::take(&mut self.waiters);
        for batch in &mut self.batches {
            waiters.append(std::mem::take(&mut batch.waiters));
        }
        self.batches.retain(|batch| !batch.facts.is_empty());
        waiters
    }

    /// Since when the oldest start or answer waits.
    pub(super) fn waiting(&self) -> Option<Mono> {
        let queued = || self.batches.iter().find(|batch| !batch.waiters.is_empty());
        self.since.or_else(|| queued().map(|batch| batch.since))
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

/// About how much memory a fact takes.
fn weight(fact: &Fact) -> usize {
    let text = match fact {
        Fact::Job(record) => {
            record.added.as_deref().map_or(0, str::len)
                + record.overrides.as_deref().map_or(0, str::len)
                + record.trigger.len()
                + record.id.len()
        }
        Fact::Output { tail, .. } => tail.len(),
        Fact::Gone { job }
        | Fact::Admitted { job, .. }
        | Fact::Ended { job, .. }
        | Fact::Fate { job, .. } => job.len(),
        Fact::Change(change) => change.detail.as_deref().map_or(0, str::len),
        Fact::Entry { list, key, value } => {
            list.len() + key.len() + value.as_deref().map_or(0, str::len)
        }
        Fact::Began(_)
        | Fact::Stopped { .. }
        | Fact::AllPaused(_)
        | Fact::Starting { .. }
        | Fact::Postponed { .. }
        | Fact::Started { .. }
        | Fact::AttemptEnded { .. }
        | Fact::Withdrawn { .. } => 0,
    };
    size_of::<Fact>() + text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::instant::Instant;

    fn stopped(count: usize) -> Vec<Fact> {
        vec![Fact::Stopped { at: Instant::MIN }; count]
    }

    /// What nobody waits for is kept for a moment, from when the first of it came, unless there is much of it
    /// or no time for that.
    #[test]
    fn what_nobody_waits_for_lingers() {
        let at = |millis: u64| Mono::default().plus(Duration::from_millis(1000 + millis));
        let left = |queue: &Queue, now| queue.may_linger(at(now)).map(|left| left.as_millis());
        let mut queue = Queue { lingers: true, ..Queue::default() };
        assert_eq!(left(&queue, 0), None);
        queue.push(stopped(1), Waiters::default(), at(0));
        queue.push(stopped(1), Waiters::default(), at(3));
        assert_eq!([0, 3, 5].map(|now| left(&queue, now)), [Some(5), Some(2), None]);
        assert_eq!([3, 5].map(|now| queue.is_to_look(at(now))), [false, true]);
        let many = Queue { facts: TOGETHER, batches: queue.batches.drain(..).collect(), ..queue };
        assert_eq!((left(&many, 3), many.is_to_look(at(3))), (None, true));

        let answer: Answer = Box::new(|| ());
        let waiters = Waiters { starts: Vec::new(), answers: vec![answer] };
        let mut queue = Queue { lingers: true, ..Queue::default() };
        queue.push(stopped(1), Waiters::default(), at(0));
        queue.push(stopped(1), waiters, at(0));
        assert_eq!((left(&queue, 0), queue.is_to_look(at(0))), (None, true));
    }

    /// One that has failed nothing but takes nothing either does not make a scheduler grow.
    #[test]
    fn what_waits_for_a_store_that_hangs_is_bounded() {
        let mut queue = Queue::default();
        let at = |secs| Mono::default().plus(Duration::from_secs(secs));
        for second in 0..10 {
            queue.push(stopped(FACTS / 5), Waiters::default(), at(100 + second));
        }
        assert_eq!((queue.facts, queue.dropped), (2 * FACTS, 0));
        queue.push(stopped(1), Waiters::default(), at(110));
        assert_eq!(
            (queue.facts, queue.dropped),
            (FACTS - FACTS / 5 + 1, (FACTS + FACTS / 5) as u64)
        );
        assert_eq!(queue.dropped_since, Some(at(100)));
    }
}
