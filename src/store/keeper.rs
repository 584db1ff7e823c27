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
//!
//! With a store that several schedulers share it is the other way round: no claim, no start. That is
//! another queue (`hold`) and another thread (`fleet`), which also keeps this scheduler alive in the
//! eyes of the others.

mod age;
mod fleet;
mod here;
mod hold;
mod queue;
mod worker;

use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use self::fleet::Driver;
pub use self::here::{StartHere, Starters};
use self::hold::Hold;
pub use self::hold::{Ask, FleetOrder, GoneHosts, ReadFor, Standing};
use self::queue::{Queue, Waiters};
use self::worker::Worker;
use super::shared::Asked;
use super::{Entries, Fact, Latest, Limits, Sharing, Store, StoreError};
use crate::core::event::{Fault, HomeChange, JobRecord, Pause, Refusal, RunId, Silence, Start};
use crate::core::fleet::protocol::Fleet;
use crate::core::fleet::whereabouts::Whereabouts;
use crate::core::instant::Mono;
use crate::core::record::RunRecord;
use crate::sys::clock;

/// What has happened to the store.
#[derive(Clone, Debug, PartialEq)]
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
    /// A shared store does not answer, for this reason: nothing starts until it does.
    Silent(String),
    /// So many starts wait for a shared store that has not answered for so long.
    Holding {
        /// How many.
        starts: usize,
        /// How long.
        silent: Duration,
    },
    /// A shared store has answered what had waited for some time: see [`Keeper::silence`].
    Answered,
    /// A shared store has refused a claim, though the due time has no fate.
    ClaimRefused(RunId, Refusal),
    /// This attempt of a run was not started: it has waited for a shared store for too long, or the
    /// others have taken this scheduler for dead.
    NotBegun(RunId, u32),
    /// Of the others that share the store.
    Others(OthersEvent),
}

/// What has to do with the others that share a store.
#[derive(Clone, Debug, PartialEq)]
pub enum OthersEvent {
    /// Jobs come from other schedulers, or go there.
    Homes(Box<HomeChange>),
    /// Something that people want to know of the schedulers that share the store.
    Said(String),
    /// Another host asks for something, which is to be answered by [`FleetOrder::Answer`].
    Asked(Box<Asked>),
    /// Another host has answered what it was asked under that number, or will not.
    Answered(u64, Result<Box<str>, Fault>),
    /// A run of another host is over: by the number of the [`FleetOrder::Watch`].
    Over(u64, Box<RunRecord>),
    /// [`FleetOrder::LookUp`] is done, as far as it could be.
    LookedUp(u64),
    /// Others have changed jobs.
    Learned(Box<Learned>),
    /// These other hosts are gone, and what they have left is for this one.
    Gone(GoneHosts),
    /// What a [`FleetOrder::Read`] was to find.
    Read(Box<ReadLists>),
}

/// What was read for something.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadLists {
    /// What for.
    pub what: ReadFor,
    /// The lists, each with its entries.
    pub lists: Vec<(&'static str, Entries)>,
    /// For jobs: how they have fared of late.
    pub latest: Vec<Latest>,
}

/// What the store has of jobs that others have changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learned {
    /// The store had this scheduler's own batches up to this one when it was read: what was changed here
    /// later is newer, and will be written over it.
    pub written: u64,
    /// The jobs.
    pub asked: Vec<Box<str>>,
    /// What the store has of them; of one that is not there, nothing.
    pub jobs: Vec<JobRecord>,
    /// Whether all jobs are paused, if that was read.
    pub all_paused: Option<Option<Pause>>,
}

/// Tells somebody that what they have asked for is in the store. It must not block.
pub type Answer = Box<dyn FnOnce() + Send>;

/// Makes the store anew after it was lost.
pub type Reopen = Box<dyn Fn() -> Result<Box<dyn Store>, StoreError> + Send>;

/// The thread, as the loop sees it.
pub struct Keeper {
    policy: Policy,
    /// It is waited for at the end; `None`: another has stood in for it, and it may hang for good.
    thread: Option<JoinHandle<()>>,
}

/// What is done about a store that does not answer.
#[derive(Clone)]
enum Policy {
    /// It serves this scheduler alone: all goes on without it.
    GoOn(Arc<Shared>),
    /// Others use it, too: nothing begins without it.
    Hold(Arc<Hold>, Sharing),
}

/// What the loop and the thread share.
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write, or the end has come.
    wake: Condvar,
    /// The thread has ended.
    ended: Condvar,
    submit: Mutex<Box<dyn Fn(Start) + Send>>,
    starters: Option<Starters>,
    /// The worker, while its thread makes a process.
    aside: Mutex<Option<Box<Worker>>>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes facts, and has the thread look at them. Returns those who need not wait for them.
    fn push(&self, facts: Vec<Fact>, waiters: Waiters) -> Waiters {
        let (mut queue, now) = (self.queue(), clock::now().mono);
        let freed = queue.push(facts, waiters, now);
        let wakes = freed.is_none() && queue.is_to_look(now);
        drop(queue);
        if wakes {
            self.wake.notify_one();
        }
        freed.unwrap_or_default()
    }

    fn submit(&self, start: Start) {
        (self.submit.lock().unwrap_or_else(PoisonError::into_inner))(start);
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
    policy: Policy,
}

impl Notes {
    /// Writes a fact with what is written next.
    pub fn note(&self, fact: Fact) {
        match &self.policy {
            Policy::GoOn(shared) => {
                let waiters = shared.push(vec![fact], Waiters::default());
                shared.release(waiters);
            }
            Policy::Hold(hold, _) => {
                hold.push(vec![fact], Waiters::default());
            }
        }
    }

    /// Has the thread of a shared store do something.
    pub fn order(&self, order: FleetOrder) {
        if let Policy::Hold(hold, _) = &self.policy {
            hold.order(order);
        }
    }

    /// How this host stands among those that share the store.
    pub fn standing(&self) -> Option<Standing> {
        match &self.policy {
            Policy::GoOn(_) => None,
            Policy::Hold(hold, _) => Some(hold.standing()),
        }
    }

    /// Whether a shared store has been asked something and has not answered for as long as anybody waits
    /// for it.
    pub fn is_silent(&self) -> bool {
        match &self.policy {
            Policy::GoOn(_) => false,
            Policy::Hold(hold, _) => hold.gives_up_at().is_some_and(|at| at <= clock::mono()),
        }
    }

    /// Who shares the store and where jobs are at home, as far as it is known.
    pub fn whereabouts(&self) -> Option<Arc<Whereabouts>> {
        match &self.policy {
            Policy::GoOn(_) => None,
            Policy::Hold(hold, _) => hold.whereabouts(),
        }
    }
}

impl Keeper {
    /// Starts the thread. The store is to have been asked what it knows; `submit` takes starts, on
    /// this thread or on that of whoever calls [`Keeper::commit`] and [`Keeper::hurry`]; `starters` makes
    /// what takes the first of few on this thread; `on_event` is called on this thread.
    pub fn start(
        store: Box<dyn Store>,
        reopen: Reopen,
        limits: Limits,
        submit: impl Fn(Start) + Send + 'static,
        starters: Option<Starters>,
        on_event: impl Fn(StoreEvent) + Send + 'static,
    ) -> io::Result<Keeper> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            submit: Mutex::new(Box::new(submit)),
            starters,
            aside: Mutex::default(),
        });
        let worker = Worker::new(Arc::clone(&shared), store, reopen, limits, Box::new(on_event));
        let thread =
            thread::Builder::new().name("store".to_owned()).spawn(|| Box::new(worker).run())?;
        let (policy, thread) = (Policy::GoOn(shared), Some(thread));
        Ok(Keeper { policy, thread })
    }

    /// The same with a store that several schedulers share; `fleet` is this one among them.
    pub(crate) fn start_shared(
        sharing: Sharing,
        store: Box<dyn Store>,
        reopen: Reopen,
        limits: Limits,
        fleet: Fleet,
        submit: impl Fn(Start) + Send + 'static,
        on_event: impl Fn(StoreEvent) + Send + 'static,
    ) -> io::Result<Keeper> {
        let hold = Arc::new(Hold::new(Box::new(submit)));
        let on_event = Box::new(on_event);
        let driver = Driver::new(Arc::clone(&hold), store, reopen, limits, fleet, on_event);
        let thread = thread::Builder::new().name("store".to_owned()).spawn(|| driver.run())?;
        let (policy, thread) = (Policy::Hold(hold, sharing), Some(thread));
        Ok(Keeper { policy, thread })
    }

    /// Until when the others that share the store cannot have taken this scheduler for dead, by the
    /// clock that goes on while the machine sleeps.
    pub fn alive_until(&self) -> Option<Mono> {
        match &self.policy {
            Policy::Hold(hold, _) => Some(hold.alive_until()),
            Policy::GoOn(_) => None,
        }
    }

    /// How many facts are not in the store yet, and since when the first of them waits.
    pub fn pending(&self) -> (u64, Option<Mono>) {
        match &self.policy {
            Policy::GoOn(shared) => shared.queue().pending(),
            Policy::Hold(hold, _) => hold.held().pending(),
        }
    }

    /// How many runs are active, for the others that share the store.
    pub fn set_running(&self, running: u32) {
        if let Policy::Hold(hold, _) = &self.policy {
            hold.running.store(running, Ordering::Relaxed);
        }
    }

    /// Something else that the thread of a shared store is to do.
    pub fn order(&self, order: FleetOrder) {
        if let Policy::Hold(hold, _) = &self.policy {
            hold.order(order);
        }
    }

    /// The facts of one step, which are written together, and what may start and be answered once
    /// they are.
    ///
    /// Answers the number of this batch, if others share the store: [`Learned::written`].
    pub fn commit(
        &self,
        facts: Vec<Fact>,
        starts: Vec<Start>,
        answers: Vec<Answer>,
    ) -> Option<u64> {
        if facts.is_empty() && starts.is_empty() && answers.is_empty() {
            return None;
        }
        let waiters = Waiters { starts, answers };
        match &self.policy {
            Policy::GoOn(shared) => {
                let waiters = shared.push(facts, waiters);
                shared.release(waiters);
                None
            }
            Policy::Hold(hold, _) => Some(hold.push(facts, waiters)),
        }
    }

    /// A handle for facts that no start waits for.
    pub fn notes(&self) -> Notes {
        Notes { policy: self.policy.clone() }
    }

    /// See [`Notes::note`].
    pub fn note(&self, fact: Fact) {
        self.notes().note(fact);
    }

    /// How far a shared store has answered. Where it had not answered everything, it is told by
    /// [`StoreEvent::Answered`] that it has.
    pub fn silence(&self, now: Mono) -> Silence {
        match &self.policy {
            Policy::GoOn(_) => Silence::None,
            Policy::Hold(hold, _) => {
                let is_cut = clock::boot().mono >= hold.alive_until();
                hold.held().silence(now, is_cut)
            }
        }
    }

    /// Since when the start or answer that has waited longest has done so, if one waits that could go
    /// on.
    pub fn waiting(&self) -> Option<Mono> {
        match &self.policy {
            Policy::GoOn(shared) => shared.queue().waiting(),
            Policy::Hold(hold, _) => hold.waiting(),
        }
    }

    /// Has another thread go on with the store if its own makes a process just now: that may hang.
    pub fn stand_in(&mut self) {
        let Policy::GoOn(shared) = &self.policy else { return };
        match shared.stand_in() {
            Ok(true) => self.thread = None,
            Ok(false) => {}
            Err(error) => log::debug!("no other thread for the store can be had: {error}"),
        }
    }

    /// Lets all go on that waits, on this thread, whether or not its facts are ever written.
    pub fn hurry(&self) {
        match &self.policy {
            Policy::GoOn(shared) => {
                let waiters = shared.queue().hurry();
                shared.release(waiters);
            }
            Policy::Hold(hold, _) => {
                let answers = hold.held().take_answers();
                answers.into_iter().for_each(|answer| answer());
            }
        }
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
        self.end();
        self.stand_in();
        let (left, unwritten) = match &self.policy {
            Policy::GoOn(shared) => {
                let (queue, ended) = (shared.queue(), &shared.ended);
                let waited =
                    ended.wait_timeout_while(queue, patience, |queue| queue.left.is_none());
                let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
                (queue.left, queue.unwritten())
            }
            Policy::Hold(hold, _) => {
                let (held, ended) = (hold.held(), &hold.ended);
                let waited = ended.wait_timeout_while(held, patience, |held| held.left.is_none());
                let (held, _) = waited.unwrap_or_else(PoisonError::into_inner);
                (held.left, held.unwritten())
            }
        };
        let Some(left) = left else { return unwritten };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        left
    }

    /// Tells the thread that no more will come.
    fn end(&self) {
        match &self.policy {
            Policy::GoOn(shared) => {
                shared.queue().finish = true;
                shared.wake.notify_one();
            }
            Policy::Hold(hold, _) => {
                hold.held().finish = true;
                hold.wake.notify_one();
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::GoOn(shared) => shared.queue().fmt(f),
            Policy::Hold(hold, _) => hold.held().fmt(f),
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("queue", &self.policy).finish_non_exhaustive()
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").finish_non_exhaustive()
    }
}
