//! The one thread that writes to the store, and what happens when it cannot.
//!
//! The loop (`crate::daemon`) gives it the facts of each of its passes, with the starts that are to
//! wait for them. Facts that have come while it was writing are written together, as one
//! transaction. Once the store has them the starts go on, but for those whose claim is lost.
//!
//! A store that fails stops nobody: starts go on at once, facts wait in a bounded backlog, and the
//! store is tried again, soon at first and then every half minute. One that is damaged or gone is
//! opened anew. The loop hears of each such time once when it begins and once when it ends.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Fact, Limits, Store, StoreError, Trouble};
use crate::clock;
use crate::event::{RunId, Start};
use crate::instant::Mono;

/// The pause before a store that has failed is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// More facts than this are not kept while the store fails.
const MOST_FACTS: usize = 100_000;
/// Nor more than this many bytes of what runs have printed.
const MOST_OUTPUT: usize = 16 << 20;

/// What there is to say to the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The claim of a run is lost, and its start was dropped.
    ClaimLost(RunId),
    /// The store cannot be written: why.
    Degraded(String),
    /// It can again.
    Recovered {
        /// So many facts were too many to be kept until then.
        dropped: u64,
        /// So long it could not.
        after: Duration,
    },
    /// The store was lost and is a new one, that knows nothing: it is to be told everything.
    Fresh,
}

/// Opens the store anew.
pub type Reopen = Box<dyn Fn() -> Result<Box<dyn Store>, StoreError> + Send>;

/// See the [module](self).
pub struct Keeper {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

/// A way to have facts kept that no start waits for. Cheap to clone.
#[derive(Clone)]
pub struct Notes(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    more: Condvar,
    done: Condvar,
    submit: Box<dyn Fn(Start) + Send + Sync>,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Batch>,
    /// Starts of batches that are being written.
    in_flight: Vec<Start>,
    /// Those of them that did not wait any longer.
    hurried: HashSet<RunId>,
    closing: bool,
    done: bool,
}

#[derive(Default)]
struct Batch {
    facts: Vec<Fact>,
    starts: Vec<Start>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notes").finish_non_exhaustive()
    }
}

impl Keeper {
    /// Starts the thread. `store` has been asked what it knows already; `submit` gets the starts,
    /// `say` what the loop should hear, both on whichever thread it comes to that.
    pub fn start(
        store: Box<dyn Store>,
        reopen: Reopen,
        limits: Limits,
        submit: impl Fn(Start) + Send + Sync + 'static,
        say: impl Fn(Said) + Send + 'static,
    ) -> io::Result<Keeper> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            done: Condvar::new(),
            submit: Box::new(submit),
        });
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            store: Some(store),
            reopen,
            limits,
            say: Box::new(say),
            backlog: Vec::new(),
            session: None,
            failing: None,
            tidy: true,
        };
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            writer.run();
            let mut state = writer.shared.lock();
            state.done = true;
            drop(state);
            writer.shared.done.notify_all();
        })?;
        Ok(Keeper { shared, thread })
    }

    /// Has facts kept, in one transaction, and then lets starts go on.
    pub fn commit(&self, facts: Vec<Fact>, starts: Vec<Start>) {
        self.shared.push(Batch { facts, starts });
    }

    /// A way to have facts kept from other threads.
    pub fn notes(&self) -> Notes {
        Notes(Arc::clone(&self.shared))
    }

    /// Lets every start go on that still waits.
    pub fn hurry(&self) {
        let mut state = self.shared.lock();
        let mut starts = std::mem::take(&mut state.in_flight);
        state.hurried.extend(starts.iter().map(|start| start.run));
        for batch in &mut state.batches {
            starts.append(&mut batch.starts);
        }
        let hurried: Vec<RunId> = starts.iter().map(|start| start.run).collect();
        state.hurried.extend(hurried);
        drop(state);
        starts.into_iter().for_each(&self.shared.submit);
    }

    /// Writes what there is, for at most so long, and ends the thread. One that hangs in the store
    /// is left to the end of the process.
    pub fn finish(self, patience: Duration) {
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.more.notify_all();
        let until = clock::mono().plus(patience);
        while !state.done {
            let left = until.since(clock::mono());
            if left.is_zero() {
                return;
            }
            let wait = self.shared.done.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        // What it may have panicked with has been said.
        let _ = self.thread.join();
    }
}

impl Notes {
    /// Has a fact kept, with the next transaction.
    pub fn note(&self, fact: Fact) {
        self.0.push(Batch { facts: vec![fact], starts: Vec::new() });
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, batch: Batch) {
        self.lock().batches.push_back(batch);
        self.more.notify_one();
    }
}

/// A time in which the store cannot be written.
struct Failing {
    since: Mono,
    pause: Duration,
    retry_at: Mono,
    dropped: u64,
}

/// What the thread owns.
struct Writer {
    shared: Arc<Shared>,
    /// None while it has to be opened anew.
    store: Option<Box<dyn Store>>,
    reopen: Reopen,
    limits: Limits,
    say: Box<dyn Fn(Said) + Send>,
    /// Facts that the store does not have yet.
    backlog: Vec<Fact>,
    /// The last [`Fact::Began`], for a store that is begun anew.
    session: Option<Fact>,
    failing: Option<Failing>,
    /// The store may have something to tidy.
    tidy: bool,
}

impl Writer {
    fn run(&mut self) {
        while let Some(closing) = self.take() {
            if closing && self.backlog.is_empty() {
                return;
            }
            let now = clock::mono();
            let may_write = self.failing.as_ref().is_none_or(|f| closing || now >= f.retry_at);
            if may_write && !self.backlog.is_empty() {
                self.write();
                if closing && self.failing.is_some() {
                    // It was given its last chance.
                    return;
                }
            } else if self.tidy && self.failing.is_none() {
                self.tidy_a_little();
            }
        }
    }

    /// Waits for something to do, and takes it. Answers whether it is time to end; `None` when all
    /// that there was to do at the end is done.
    fn take(&mut self) -> Option<bool> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        loop {
            if !state.batches.is_empty() {
                break;
            }
            let retry_at = self.failing.as_ref().map(|failing| failing.retry_at);
            if state.closing {
                return Some(true);
            }
            match retry_at {
                None if self.tidy || !self.backlog.is_empty() => return Some(false),
                None => {
                    state = shared.more.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Some(at) => {
                    let left = at.since(clock::mono());
                    if left.is_zero() {
                        return Some(false);
                    }
                    let waited = shared.more.wait_timeout(state, left);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        let mut starts = Vec::new();
        for batch in state.batches.drain(..) {
            self.backlog.extend(batch.facts);
            starts.extend(batch.starts);
        }
        let closing = state.closing;
        if self.failing.is_some() {
            // They wait for nothing.
            drop(state);
            starts.into_iter().for_each(&shared.submit);
            self.bound();
        } else {
            state.in_flight = starts;
            state.hurried.clear();
        }
        Some(closing)
    }

    /// Gives the store what it does not have yet.
    fn write(&mut self) {
        if let Some(began) = self.backlog.iter().rfind(|fact| matches!(fact, Fact::Began(_))) {
            self.session = Some(began.clone());
        }
        match self.try_commit() {
            Ok(lost) => {
                self.backlog.clear();
                self.tidy = true;
                self.go_on(&lost);
                if let Some(Failing { since, dropped, .. }) = self.failing.take() {
                    (self.say)(Said::Recovered { dropped, after: clock::mono().since(since) });
                }
            }
            Err(error) => self.failed(&error),
        }
    }

    fn try_commit(&mut self) -> Result<Vec<RunId>, StoreError> {
        if self.store.is_none() {
            self.open_again()?;
        }
        let Some(store) = &mut self.store else { return Ok(Vec::new()) };
        let facts = &self.backlog;
        guarded(|| store.commit(facts))
    }

    /// Lets starts go on, but for those whose claim is lost.
    fn go_on(&self, lost: &[RunId]) {
        let mut state = self.shared.lock();
        let mut starts = std::mem::take(&mut state.in_flight);
        let hurried = std::mem::take(&mut state.hurried);
        drop(state);
        if !lost.is_empty() {
            starts.retain(|start| !lost.contains(&start.run));
            // What has begun cannot be taken back.
            for run in lost.iter().filter(|run| !hurried.contains(run)) {
                (self.say)(Said::ClaimLost(*run));
            }
        }
        starts.into_iter().for_each(&self.shared.submit);
    }

    fn failed(&mut self, error: &StoreError) {
        let now = clock::mono();
        let pause = match &mut self.failing {
            Some(failing) => {
                failing.pause = (failing.pause * 2).min(LAST_PAUSE);
                failing.retry_at = now.plus(failing.pause);
                failing.pause
            }
            None => {
                let (pause, retry_at) = (FIRST_PAUSE, now.plus(FIRST_PAUSE));
                self.failing = Some(Failing { since: now, pause, retry_at, dropped: 0 });
                (self.say)(Said::Degraded(error.message.clone()));
                pause
            }
        };
        log::debug!("the store fails, tried again in {pause:?}: {error}");
        self.go_on(&[]);
        self.bound();
        if matches!(error.kind, Trouble::Corrupt | Trouble::Missing) {
            // What is damaged does not heal by itself.
            self.store = None;
            if let Some(failing) = &mut self.failing
                && failing.pause == FIRST_PAUSE
            {
                failing.retry_at = now;
            }
        }
    }

    /// Opens a store in the place of one that was lost. One that knows nothing is told who uses it,
    /// and the loop is asked for the rest.
    fn open_again(&mut self) -> Result<(), StoreError> {
        let mut store = guarded(|| (self.reopen)())?;
        let known = guarded(|| store.restore())?;
        if known.last_session.is_none() && known.jobs.is_empty() {
            let session = self.session.clone();
            if !self.backlog.iter().any(|fact| matches!(fact, Fact::Began(_))) {
                self.backlog.splice(0..0, session);
            }
            (self.say)(Said::Fresh);
        }
        self.store = Some(store);
        Ok(())
    }

    fn tidy_a_little(&mut self) {
        let limits = self.limits;
        let Some(store) = &mut self.store else { return };
        match guarded(|| store.tidy(limits, clock::wall())) {
            Ok(more) => self.tidy = more,
            Err(error) if matches!(error.kind, Trouble::Corrupt | Trouble::Missing) => {
                self.tidy = false;
                self.failed(&error);
                // There may be nothing to be written, but the store has to be there.
                if self.backlog.is_empty() {
                    self.backlog.extend(self.session.clone());
                }
            }
            Err(error) => {
                // It has time; the next commit asks again.
                log::debug!("the store cannot be tidied: {error}");
                self.tidy = false;
            }
        }
    }

    /// Keeps the backlog within bounds: first what runs have printed goes, then what is oldest, but
    /// never what there is to remember of a job.
    fn bound(&mut self) {
        let size = |fact: &Fact| match fact {
            Fact::Output { tail, .. } => tail.len(),
            _ => 0,
        };
        let before = self.backlog.len();
        let output: usize = self.backlog.iter().map(size).sum();
        if output > MOST_OUTPUT || before > MOST_FACTS {
            self.backlog.retain(|fact| !matches!(fact, Fact::Output { .. }));
        }
        let mut over = self.backlog.len().saturating_sub(MOST_FACTS);
        if over > 0 {
            self.backlog.retain(|fact| {
                let stays = over == 0
                    || matches!(fact, Fact::Job(_) | Fact::Gone { .. } | Fact::AllPaused(_))
                    || matches!(fact, Fact::Began(_));
                over -= usize::from(!stays);
                stays
            });
        }
        if let Some(failing) = &mut self.failing {
            failing.dropped += (before - self.backlog.len()) as u64;
        }
    }
}

/// A panic of a store is trouble with it, and no more.
fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let message = "an internal error of the store".to_owned();
        Err(StoreError { kind: Trouble::Other, message })
    })
}
