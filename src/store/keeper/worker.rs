//! The thread's work: write, and when that does not succeed, wait, open anew, retry.

use std::any::Any;
use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::age::Age;
use super::here::{self, StartHere};
use super::queue::{LINGER, Queue};
use super::{Reopen, Shared, StoreEvent};
use crate::core::event::{RunId, Start};
use crate::core::instant::{Instant, Mono};
use crate::store::{Fact, Limits, Store, StoreError, Trouble};
use crate::sys::clock;
use crate::sys::heap;

/// How long until the first try after a failure, and at most.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const LAST_DELAY: Duration = Duration::from_secs(30);
/// The store is tidied up when so many facts were written since, or so much time has passed.
const UNTIDY: usize = 1000;
const TIDY_EVERY: Duration = Duration::from_secs(10);
/// It waits until so long nothing was written: while many are due at once there are moments in which nothing
/// is, and the processors are wanted for their starts.
const QUIET: Duration = Duration::from_millis(250);
/// Where something is written all the time it does not wait longer than this.
const QUIET_WITHIN: Duration = Duration::from_secs(2);
/// After so many it is done even if there is always something to write.
const OVERDUE: usize = 10_000;
/// How long whoever is to hear of a process that was made here may not be told: a program that does little
/// takes less.
const SOON: Duration = Duration::from_millis(1);
/// So many runs that have lost their claim are remembered, for starts that come later.
const LOST: usize = 1000;

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    /// `None`: it was lost, and is to be opened again.
    store: Option<Box<dyn Store>>,
    reopen: Reopen,
    limits: Limits,
    on_event: Box<dyn Fn(StoreEvent) + Send>,
    /// Facts that are to be written next.
    facts: Vec<Fact>,
    failing: Option<Failing>,
    /// The end has come, so that it is now or never.
    last_try: bool,
    /// What there is to say of a store that was lost, once there is another.
    lost_store: Option<String>,
    /// The store is a new one that has taken nothing yet.
    untried: bool,
    lost_claims: VecDeque<RunId>,
    /// Makes processes on this thread; none was made yet, or another thread has it.
    pub(super) starter: Option<Box<dyn StartHere>>,
    /// A start for it.
    here: Option<Start>,
    /// Starts have just gone on: they will be heard of.
    expects: Option<Expects>,
    /// What was expected may be there: it is not waited for more.
    heard: bool,
    untidy: usize,
    /// Nothing was written for [`QUIET`].
    quiet: bool,
    /// Since when it is to be tidied up.
    untidy_since: Option<Mono>,
    tidied: Mono,
    /// What time it is for the age of what is kept. `None`: the store has not been asked.
    age: Option<Age>,
    more_to_tidy: bool,
}

/// What becomes of starts that have just gone on.
#[derive(Clone, Copy)]
enum Expects {
    /// A process was made here, and nobody was told: many a program is over at once, and then it is heard
    /// of all of it together.
    News,
    /// Whoever was to be told was.
    Facts,
}

#[derive(Clone, Copy)]
struct Failing {
    since: Mono,
    again: Mono,
    delay: Duration,
}

/// What to do next.
enum Next {
    Write,
    Tidy,
    End,
}

/// A panic in the store is trouble of the store.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            let gone = matches!(error.kind, Trouble::Corrupt | Trouble::Missing);
            let store = if gone { After::Lost } else { After::Kept };
            Err(Failure { message: error.message, store })
        }
        Err(panic) => {
            let message = format!("panicked: {}", text(&*panic));
            Err(Failure { message, store: After::Suspect })
        }
    }
}

struct Failure {
    message: String,
    store: After,
}

/// What there is of a store after a failure.
#[derive(PartialEq)]
enum After {
    /// It may be retried.
    Kept,
    /// Nobody knows in which state it is: it is to be opened again.
    Suspect,
    /// It is not there any more.
    Lost,
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("without a word")
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Box<dyn Store>,
        reopen: Reopen,
        limits: Limits,
        on_event: Box<dyn Fn(StoreEvent) + Send>,
    ) -> Worker {
        Worker {
            shared,
            store: Some(store),
            reopen,
            limits,
            on_event,
            facts: Vec::new(),
            failing: None,
            last_try: false,
            lost_store: None,
            untried: false,
            lost_claims: VecDeque::new(),
            starter: None,
            here: None,
            expects: None,
            heard: false,
            untidy: 0,
            quiet: false,
            untidy_since: None,
            tidied: clock::now().mono,
            age: None,
            more_to_tidy: false,
        }
    }

    pub(super) fn run(mut self: Box<Self>) {
        loop {
            match self.next() {
                Next::Write => self.write(),
                Next::Tidy => self.tidy(),
                Next::End => break,
            }
            if let Some(start) = self.here.take() {
                let Some(back) = self.make(start) else { return };
                self = back;
            }
        }
        // Closing it puts its log in order.
        self.let_go();
        let mut queue = self.shared.queue();
        queue.left = Some(queue.unwritten());
        drop(queue);
        self.shared.ended.notify_all();
    }

    /// Waits for something to do.
    fn next(&mut self) -> Next {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue();
        loop {
            let idle = queue.is_empty() && self.facts.is_empty();
            if let Some(failing) = self.failing {
                let left = failing.again.since(clock::now().mono);
                if left.is_zero() || queue.finish {
                    self.last_try = queue.finish;
                    queue.take(&mut self.facts);
                    return Next::Write;
                }
                let waited = shared.wake.wait_timeout(queue, left);
                queue = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else if !idle {
                if let Some(Expects::News) = self.expects {
                    self.tell();
                }
                if self.untidy >= OVERDUE {
                    return Next::Tidy;
                }
                let now = clock::now().mono;
                let may_linger = self.facts.is_empty() && !mem::take(&mut self.heard);
                if let Some(left) = queue.may_linger(now).filter(|_| may_linger) {
                    queue = self.linger(&shared, queue, left);
                    continue;
                }
                queue.take(&mut self.facts);
                return Next::Write;
            } else if queue.finish {
                return Next::End;
            } else if let Some(expects) = self.expects.take() {
                queue = self.expect(&shared, queue, expects);
            } else if self.is_untidy() {
                if self.quiet || self.has_waited_for_quiet() {
                    return Next::Tidy;
                }
                let waited = shared.wake.wait_timeout(queue, QUIET);
                let (back, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                (queue, self.quiet) = (back, waited.timed_out());
            } else {
                queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Waits for what becomes of starts.
    fn expect<'a>(
        &mut self,
        shared: &'a Shared,
        queue: MutexGuard<'a, Queue>,
        expects: Expects,
    ) -> MutexGuard<'a, Queue> {
        self.heard = true;
        match expects {
            Expects::Facts => self.linger(shared, queue, LINGER),
            Expects::News => {
                let queue = self.linger(shared, queue, SOON);
                self.tell();
                queue
            }
        }
    }

    /// Whoever is to hear of a process that was made here hears of it now, if it has not heard.
    fn tell(&mut self) {
        if let Some(starter) = &self.starter {
            starter.tell();
        }
        self.expects = Some(Expects::Facts);
    }

    /// Waits for so long, unless there is something that somebody waits for.
    fn linger<'a>(
        &self,
        shared: &'a Shared,
        mut queue: MutexGuard<'a, Queue>,
        left: Duration,
    ) -> MutexGuard<'a, Queue> {
        queue.lingers = true;
        let waited = shared.wake.wait_timeout(queue, left);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.lingers = false;
        queue
    }

    fn is_untidy(&self) -> bool {
        let long = || clock::now().mono.since(self.tidied) >= TIDY_EVERY;
        self.more_to_tidy || self.untidy >= UNTIDY || (self.untidy > 0 && long())
    }

    fn has_waited_for_quiet(&mut self) -> bool {
        let now = clock::now().mono;
        let since = *self.untidy_since.get_or_insert(now);
        now.since(since) >= QUIET_WITHIN
    }

    fn write(&mut self) {
        let done = self.reopened().and_then(|()| match &mut self.store {
            Some(store) if !self.facts.is_empty() => guarded(|| store.commit(&self.facts)),
            _ => Ok(Vec::new()),
        });
        match done {
            Ok(lost) => self.written(lost),
            Err(failure) => self.failed(failure),
        }
    }

    fn written(&mut self, lost: Vec<RunId>) {
        self.untried = false;
        self.quiet = false;
        self.untidy += self.facts.len();
        let written = self.facts.len();
        self.facts.clear();
        self.facts.shrink_to(4096);
        heap::give_back_those(written);
        self.lost_claims.extend(&lost);
        let beyond = self.lost_claims.len().saturating_sub(LOST);
        self.lost_claims.drain(..beyond);
        let mut queue = self.shared.queue();
        let (mut waiters, lost) = queue.written(lost);
        // A store that hung has failed nothing, but facts may have been too many.
        let since = self.failing.map(|failing| failing.since).or(queue.dropped_since);
        let recovered = since.filter(|_| queue.is_empty()).map(|since| {
            queue.failing = false;
            queue.dropped_since = None;
            (since, std::mem::take(&mut queue.dropped))
        });
        drop(queue);
        if !self.lost_claims.is_empty() {
            waiters.starts.retain(|start| !self.lost_claims.contains(&start.run));
        }
        self.expects = (!waiters.starts.is_empty()).then_some(Expects::Facts);
        if self.shared.starters.is_some() && matches!(waiters.starts.len(), 1..=here::FEW) {
            self.here = Some(waiters.starts.remove(0));
            self.expects = Some(Expects::News);
        }
        self.shared.release(waiters);
        lost.into_iter().for_each(|run| (self.on_event)(StoreEvent::ClaimLost(run)));
        if let Some((since, dropped)) = recovered {
            self.failing = None;
            (self.on_event)(StoreEvent::Recovered {
                dropped,
                after: clock::now().mono.since(since),
            });
        } else if let Some(failing) = &mut self.failing {
            // It works again: the rest at once.
            *failing = Failing { again: Mono::default(), delay: FIRST_DELAY, ..*failing };
        }
    }

    /// A lost store is replaced at once if that is possible; else there is waiting to be done.
    fn failed(&mut self, failure: Failure) {
        if failure.store != After::Kept {
            self.let_go();
        }
        if failure.store == After::Lost {
            self.lost_store = Some(failure.message.clone());
            // One that fails as soon as it is made would be made for ever.
            if !self.untried && self.reopened().is_ok() {
                return;
            }
        }
        let now = clock::now().mono;
        let waiters = self.shared.queue().fail();
        self.shared.release(waiters);
        let (since, delay) = match self.failing {
            Some(Failing { since, delay, .. }) => (since, (delay * 2).min(LAST_DELAY)),
            None => {
                (self.on_event)(StoreEvent::Degraded(failure.message));
                (now, FIRST_DELAY)
            }
        };
        self.failing = Some(Failing { since, again: now.plus(delay), delay });
        if self.last_try {
            self.failing = None;
            let shared = Arc::clone(&self.shared);
            self.abandon(&mut shared.queue());
        }
    }

    /// What could not be written at the very end will not be.
    fn abandon(&mut self, queue: &mut Queue) {
        loop {
            queue.dropped += self.facts.len() as u64;
            self.facts.clear();
            queue.take(&mut self.facts);
            if self.facts.is_empty() {
                break;
            }
        }
    }

    /// Sees to it that there is a store.
    fn reopened(&mut self) -> Result<(), Failure> {
        if self.store.is_some() {
            return Ok(());
        }
        let opened = guarded(|| {
            let mut store = (self.reopen)()?;
            store.restore()?;
            Ok(store)
        });
        // What cannot be opened is neither kept nor lost once more.
        let failure = |failure: Failure| Failure { store: After::Kept, ..failure };
        self.store = Some(opened.map_err(failure)?);
        self.untried = true;
        self.age = None;
        if let Some(message) = self.lost_store.take() {
            (self.on_event)(StoreEvent::Fresh(message));
        }
        Ok(())
    }

    fn let_go(&mut self) {
        let store = self.store.take();
        let _ = guarded(|| {
            drop(store);
            Ok(())
        });
    }

    fn tidy(&mut self) {
        self.untidy = 0;
        let now = clock::now();
        let passed = now.mono.since(self.tidied);
        self.tidied = now.mono;
        let (limits, age) = (self.limits, &mut self.age);
        let Some(store) = &mut self.store else { return };
        let tidied = guarded(|| {
            if age.is_none() {
                let sessions = store.reader().and_then(|mut reader| reader.sessions());
                *age = sessions.ok().map(|sessions| Age::of(&sessions));
            }
            // Where nobody can tell, nothing is too old.
            let age = age.as_mut().map_or(Instant::MIN, |age| age.see(now.wall, passed));
            store.tidy(limits, age)
        });
        match tidied {
            // Once it has begun it goes on in every moment without writing.
            Ok(true) => self.more_to_tidy = true,
            Ok(false) => (self.more_to_tidy, self.untidy_since) = (false, None),
            Err(failure) => {
                (self.more_to_tidy, self.untidy_since) = (false, None);
                // What keeps it from being tidied up may not keep it from being written.
                if failure.store != After::Kept {
                    self.failed(failure);
                }
            }
        }
    }
}
