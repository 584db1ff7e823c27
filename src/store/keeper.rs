//! The one thread that writes to a store, so that the loop never waits for one.
//!
//! The loop hands over the facts of a step and what waits for them: starts, and answers to those who
//! have asked for a change. Once the store has the facts, starts go on to the spawners and answers to
//! whoever has asked. A store that fails stops nothing: both go on at once, facts are kept (`queue`,
//! within bounds) and written when the store takes them again. A disk that hangs fails nobody, so
//! the loop asks how long they have waited ([`Keeper::waiting`]) and lets them go on itself
//! ([`Keeper::hurry`]).
//!
//! What happens to the store is told by [`StoreEvent`]. With nothing to write the thread sleeps.

mod age;
mod queue;
mod worker;

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use self::queue::{Queue, Waiters};
use self::worker::Worker;
use super::{Fact, Limits, Store, StoreError};
use crate::core::event::{RunId, Start};
use crate::core::instant::Mono;
use crate::sys::clock;

/// What has happened to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreEvent {
    /// Another scheduler has claimed the due time of this run: it was not started by this keeper.
    ClaimLost(RunId),
    /// The store takes nothing, for this reason: a fragment that finishes "the store ...". Jobs go
    /// on, and what they do is kept for later.
    Degraded(String),
    /// It takes facts again.
    Recovered {
        /// So many facts were dropped because there were too many. If there are any, the store may
        /// be wrong about jobs until it is told all of them again, as after `Fresh`.
        dropped: u64,
        /// How long it took.
        after: Duration,
    },
    /// The store was lost, as this fragment tells, and another is in its place: it knows nothing
    /// but what it is told from here on. All there is to remember should be sent again.
    Fresh(String),
}

/// Tells somebody that what they have asked for is in the store. It must not block.
pub type Answer = Box<dyn FnOnce() + Send>;

/// Makes the store anew after it was lost.
pub type Reopen = Box<dyn Fn() -> Result<Box<dyn Store>, StoreError> + Send>;

/// The thread, as the loop sees it.
pub struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the loop and the thread share.
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write, or the end has come.
    wake: Condvar,
    /// The thread has ended.
    ended: Condvar,
    submit: Mutex<Box<dyn Fn(Start) + Send>>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go on what has waited. Never to be called with the queue in hand.
    fn release(&self, waiters: Waiters) {
        let submit = self.submit.lock().unwrap_or_else(PoisonError::into_inner);
        waiters.starts.into_iter().for_each(&**submit);
        drop(submit);
        waiters.answers.into_iter().for_each(|answer| answer());
    }
}

/// A way to tell the store something that no start waits for, from any thread.
#[derive(Clone)]
pub struct Notes {
    shared: Arc<Shared>,
}

impl Notes {
    /// Writes a fact with what is written next.
    pub fn note(&self, fact: Fact) {
        let now = clock::now().mono;
        let waits = self.shared.queue().push(vec![fact], Waiters::default(), now).is_none();
        if waits {
            self.shared.wake.notify_one();
        }
    }
}

impl Keeper {
    /// Starts the thread. The store is to have been asked what it knows; `submit` takes starts, on
    /// this thread or on that of whoever calls [`Keeper::commit`] and [`Keeper::hurry`]; `on_event` is
    /// called on this thread.
    pub fn start(
        store: Box<dyn Store>,
        reopen: Reopen,
        limits: Limits,
        submit: impl Fn(Start) + Send + 'static,
        on_event: impl Fn(StoreEvent) + Send + 'static,
    ) -> io::Result<Keeper> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            submit: Mutex::new(Box::new(submit)),
        });
        let worker = Worker::new(Arc::clone(&shared), store, reopen, limits, Box::new(on_event));
        let thread = thread::Builder::new().name("store".to_owned()).spawn(|| worker.run())?;
        Ok(Keeper { shared, thread: Some(thread) })
    }

    /// The facts of one step, which are written together, and what may start and be answered once
    /// they are.
    pub fn commit(&self, facts: Vec<Fact>, starts: Vec<Start>, answers: Vec<Answer>) {
        if facts.is_empty() && starts.is_empty() && answers.is_empty() {
            return;
        }
        let waiters = Waiters { starts, answers };
        let waits_for_nothing = self.shared.queue().push(facts, waiters, clock::now().mono);
        match waits_for_nothing {
            Some(waiters) => self.shared.release(waiters),
            None => self.shared.wake.notify_one(),
        }
    }

    /// A handle for facts that no start waits for.
    pub fn notes(&self) -> Notes {
        Notes { shared: Arc::clone(&self.shared) }
    }

    /// See [`Notes::note`].
    pub fn note(&self, fact: Fact) {
        self.notes().note(fact);
    }

    /// Since when the start or answer that has waited longest has done so, if one waits.
    pub fn waiting(&self) -> Option<Mono> {
        self.shared.queue().waiting()
    }

    /// Lets all go on that waits, on this thread, whether or not its facts are ever written.
    pub fn hurry(&self) {
        let waiters = self.shared.queue().hurry();
        self.shared.release(waiters);
    }

    /// Waits for all that waits so far to go on, and lets it go on after `patience`.
    pub fn settle(&self, patience: Duration) {
        let (tell, told) = mpsc::channel();
        let answer = Box::new(move || tell.send(()).unwrap_or_default());
        self.commit(Vec::new(), Vec::new(), vec![answer]);
        if told.recv_timeout(patience).is_err() {
            self.hurry();
        }
    }

    /// Writes what there is to write and ends, if that is possible within `patience`. Answers how
    /// many facts are not in the store.
    pub fn finish(mut self, patience: Duration) -> u64 {
        let mut queue = self.shared.queue();
        queue.finish = true;
        self.shared.wake.notify_one();
        let waited =
            self.shared.ended.wait_timeout_while(queue, patience, |queue| queue.left.is_none());
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (left, unwritten) = (queue.left, queue.unwritten());
        drop(queue);
        if let Some(left) = left {
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
            return left;
        }
        unwritten
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.queue().finish = true;
        self.shared.wake.notify_one();
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("queue", &*self.shared.queue()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").finish_non_exhaustive()
    }
}
