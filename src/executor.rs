//! The spawner threads: they take starts from a queue and make processes of them.
//!
//! How many runs there may be is decided by `crate::scheduler`; here is only the work of starting
//! them, which takes longer than anything else the scheduler does. More than one thread does it,
//! because the kernel's part of it runs in parallel. Children are not waited for here: the loop in
//! `crate::daemon` does that, for all of them at once.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::child::{Failure, Pipes, World, tree};
use crate::clock;
use crate::event::{RunId, Start};
use crate::instant::Now;
use crate::words;

/// How many threads start processes. Two keep two processors busy; more gain nothing, as most of
/// a start is spent under locks of the kernel.
const THREADS: usize = 2;

/// What came of a start.
#[derive(Debug)]
pub enum Report {
    /// There is a process.
    Started {
        /// The run it is for.
        run: RunId,
        /// Its id.
        pid: u32,
        /// When it was started, in the kernel's ticks: with the id it is told from any other.
        start: u64,
        /// When it was made.
        at: Now,
        /// A handle that becomes readable when it ends; there is none when the limit of open
        /// files was reached just then.
        handle: Option<OwnedFd>,
        /// Where its output can be read, unless nobody wants it.
        pipes: Option<Pipes>,
    },
    /// There is none.
    NotStarted {
        /// The run it was for.
        run: RunId,
        /// Why not.
        failure: Failure,
    },
}

/// The threads and their queue.
#[derive(Debug)]
pub struct Executor {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    starts: VecDeque<Start>,
    closed: bool,
}

impl Executor {
    /// Starts the threads. What comes of each start is given to `report`, on one of them.
    pub fn start(
        world: World,
        report: impl Fn(Report) + Send + Sync + 'static,
    ) -> io::Result<Executor> {
        let queue = Arc::new(Queue::default());
        let shared = Arc::new((world, report));
        let mut threads = Vec::with_capacity(THREADS);
        for number in 1..=THREADS {
            let (queue, shared) = (Arc::clone(&queue), Arc::clone(&shared));
            let thread = std::thread::Builder::new()
                .name(format!("spawner {number}"))
                // Looking up a user may run the code of whatever serves the user database.
                .stack_size(1024 * 1024)
                .spawn(move || {
                    let (world, report) = &*shared;
                    while let Some(start) = queue.next() {
                        report(attempt(world, start));
                    }
                })?;
            threads.push(thread);
        }
        Ok(Executor { queue, threads })
    }

    /// A way to ask for processes from another thread.
    pub fn submitter(&self) -> Submitter {
        Submitter(Arc::clone(&self.queue))
    }

    /// Asks for a process.
    pub fn submit(&self, start: Start) {
        self.queue.submit(start);
    }

    /// Takes back what was asked for, if no thread has begun with it yet.
    pub fn take_back(&self, run: RunId) -> bool {
        let mut state = self.queue.lock();
        let before = state.starts.len();
        state.starts.retain(|start| start.run != run);
        state.starts.len() < before
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.more.notify_all();
        for thread in self.threads.drain(..) {
            // A panic in it has been reported as the outcome of its run.
            let _ = thread.join();
        }
    }
}

/// Asks for processes.
#[derive(Clone, Debug)]
pub struct Submitter(Arc<Queue>);

impl Submitter {
    /// The same as [`Executor::submit`]. Once the executor is gone nothing comes of it.
    pub fn submit(&self, start: Start) {
        self.0.submit(start);
    }
}

impl Queue {
    fn submit(&self, start: Start) {
        self.lock().starts.push_back(start);
        self.more.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a start; `None` when there will be no more.
    fn next(&self) -> Option<Start> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(start) = state.starts.pop_front() {
                return Some(start);
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn attempt(world: &World, start: Start) -> Report {
    let run = start.run;
    // A job that makes us panic is one job's misfortune.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let due = words::rfc3339(start.due, &start.job.zone);
        world.start(&start, &due)
    }));
    let child = match outcome {
        Ok(Ok(child)) => child,
        Ok(Err(failure)) => return Report::NotStarted { run, failure },
        Err(_) => {
            let reason = "an internal error of the scheduler".to_owned();
            let failure = Failure { reason, transient: false, code: 126 };
            return Report::NotStarted { run, failure };
        }
    };
    let at = clock::now();
    // Nobody reaps it before it has been reported, so its number is still its own.
    let handle =
        Pid::from_raw(child.pid as i32).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let start = tree::start_of(child.pid).unwrap_or(0);
    Report::Started { run, pid: child.pid, start, at, handle, pipes: child.pipes }
}
