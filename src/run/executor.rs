//! The spawner threads: they take starts from a queue and make processes of them.
//!
//! How many runs there may be is decided by `crate::core::scheduler`; here is only the work of
//! starting them, which takes longer than anything else the scheduler does. More than one thread
//! does it, because the kernel's part of it runs in parallel. Children are not waited for here: the
//! loop in `crate::run::daemon` does that, for all of them at once.
//!
//! A start may hang: a thread waits until its child has executed its program, and the program, its
//! directory or the user database may be on a machine that does not answer. So the loop looks
//! ([`Executor::look`]) while a start is in progress. One that takes longer than [`SLOW`] counts no
//! longer as a thread: another takes its place, so that no other job notices. The loop may give up a
//! start ([`Executor::give_up`]). Its child is then killed, which ends most hangs; where it does not,
//! the thread stays where it is, and should there be a process one day, it is killed at once.
//!
//! There are threads as long as there is something to start: the first start brings one, and who has
//! had nothing to do for [`IDLE`] leaves. Where few begin at once nobody is woken for them: the thread
//! that has just written that they begin makes their processes as a [`Guest`] of this pool.

mod guest;
#[cfg(test)]
mod tests;
mod thread;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::core::event::{RunId, Start};
use crate::core::instant::{Mono, Now};
use crate::core::job::Job;
use crate::core::sort;
use crate::run::child::cgroup::Group;
use crate::run::child::limit::Confined;
use crate::run::child::progress::Progress;
use crate::run::child::{Failure, Pipes, World};
use crate::sys::clock;
pub use guest::Guest;
use thread::Spawner;

/// How many threads start processes. Two keep two processors busy; more gain nothing, as most of
/// a start is spent under locks of the kernel.
const THREADS: usize = 2;

/// How many there are at most, those that hang included. They cost next to nothing; but who has so
/// many that hang is not helped by more.
const MOST: usize = 64;

/// So many starts of one job may hang after they were given up; further ones are refused, so that
/// one job cannot have all the threads.
const MOST_OF_ONE_JOB: usize = 4;

/// A start that takes longer than this needs another thread in its place. Usually it is a
/// millisecond.
pub const SLOW: Duration = Duration::from_millis(50);

/// Who has had nothing to start for so long is not needed for a while. Long enough that a job each
/// minute finds its thread; a new one costs its start a tenth of a millisecond.
const IDLE: Duration = Duration::from_secs(300);

/// How long a start may wait for a thread when all of [`MOST`] hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the end may take while starts that hang are being killed.
const FAREWELL: Duration = Duration::from_millis(500);

/// There are threads that hang, for good as far as anybody can tell.
static LEFT_BEHIND: AtomicBool = AtomicBool::new(false);

/// Whether this process has threads that hang and may hold what the end of a program needs: it is
/// to end without ado.
pub fn has_left_threads() -> bool {
    LEFT_BEHIND.load(Relaxed)
}

/// What came of a start.
#[derive(Debug)]
pub enum Report {
    /// There is a process.
    Started {
        run: RunId,
        /// Its id.
        pid: u32,
        /// When it was started, in the kernel's ticks: with the id it is told from any other.
        start: u64,
        /// When a thread began with it.
        taken: Mono,
        /// When it was made.
        at: Now,
        /// A handle that becomes readable when it ends; there is none when the limit of open
        /// files was reached just then.
        handle: Option<OwnedFd>,
        /// Its control group, if it has one of its own.
        group: Option<Group>,
        /// What holds it to its limits.
        confined: Confined,
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
    /// A start that was given up hangs no longer. If there was a process, it was killed.
    CameBack {
        /// The run it was for.
        run: RunId,
        job: Arc<Job>,
        /// How long it has hung.
        after: Duration,
        /// How much of that after it was given up.
        late: Duration,
        /// The process that was killed.
        killed: Option<u32>,
    },
}

/// When whoever waits for a report is to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hear {
    /// Now.
    Now,
    /// When there is something else to hear, or when a guest says that it is time.
    Soon,
}

/// A start that takes too long.
#[derive(Clone, Debug)]
pub struct Slow {
    pub run: RunId,
    pub job: Arc<Job>,
    /// Which attempt.
    pub attempt: u32,
    /// When a thread began with it.
    pub taken: Mono,
    /// What it waits for, as a fragment.
    pub waits_for: String,
    /// The child that hangs, if it is one.
    pub child: Option<u32>,
    /// Nobody waits for it any more.
    pub given_up: bool,
}

/// The threads and their queue.
#[derive(Debug)]
pub struct Executor {
    shared: Arc<Shared>,
}

/// What the threads share with everybody.
struct Shared {
    world: Arc<World>,
    report: Box<dyn Fn(Report, Hear) + Send + Sync>,
    /// After how long without a start a thread leaves.
    idle: Duration,
    state: Mutex<State>,
    /// There is a start, a child has ended, or the end has come.
    more: Condvar,
    /// A thread has ended.
    ended: Condvar,
    /// No start waits for a thread any more.
    caught_up: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// With the time since when they wait.
    starts: VecDeque<(Mono, Start)>,
    seats: Vec<Seat>,
    /// Those that have not been joined.
    threads: Vec<JoinHandle<()>>,
    /// How many threads there have been.
    number: usize,
    closed: bool,
}

/// One thread, as others see it.
#[derive(Debug)]
struct Seat {
    progress: Arc<Progress>,
    /// The start that it is busy with.
    held: Option<Held>,
    /// It has nothing to do, and stays only until its last child has ended.
    leaves: bool,
    /// It has other work, and takes no start from the queue.
    is_guest: bool,
}

#[derive(Debug)]
struct Held {
    run: RunId,
    job: Arc<Job>,
    attempt: u32,
    taken: Mono,
    given_up: Option<Mono>,
}

impl Held {
    fn is_slow(&self, now: Mono) -> bool {
        now.since(self.taken) >= SLOW
    }
}

impl State {
    /// Whether more starts wait than there are threads free for them, and there may be another.
    fn wants_thread(&self, now: Mono) -> bool {
        let free = self.own().filter(|seat| seat.held.is_none()).count();
        self.starts.len() > free && self.own().count() < (THREADS + self.slow(now)).min(MOST)
    }

    /// The threads that take starts from the queue.
    fn own(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter().filter(|seat| !seat.is_guest)
    }

    /// How many of them hang, or may do so.
    fn slow(&self, now: Mono) -> usize {
        let held = self.own().filter_map(|seat| seat.held.as_ref());
        held.filter(|held| held.is_slow(now)).count()
    }
}

impl Executor {
    /// What comes of each start is given to `report`, on one of the threads.
    pub fn new(
        world: Arc<World>,
        report: impl Fn(Report, Hear) + Send + Sync + 'static,
    ) -> Executor {
        Executor::with_idle(world, report, IDLE)
    }

    fn with_idle(
        world: Arc<World>,
        report: impl Fn(Report, Hear) + Send + Sync + 'static,
        idle: Duration,
    ) -> Executor {
        let shared = Arc::new(Shared {
            world,
            report: Box::new(report),
            idle,
            state: Mutex::default(),
            more: Condvar::new(),
            ended: Condvar::new(),
            caught_up: Condvar::new(),
        });
        Executor { shared }
    }

    /// A way to ask for processes from another thread.
    pub fn submitter(&self) -> Submitter {
        Submitter(Arc::clone(&self.shared))
    }

    /// Asks for a process.
    pub fn submit(&self, start: Start) {
        self.shared.submit(start);
    }

    /// Takes back what was asked for, if no thread has begun with it yet.
    pub fn take_back(&self, run: RunId) -> bool {
        let mut state = self.shared.lock();
        let before = state.starts.len();
        state.starts.retain(|(_, start)| start.run != run);
        state.starts.len() < before
    }

    /// Waits until no start waits for a thread, but no longer than `most`, nor while one hangs. Answers
    /// whether some still wait, and none hangs.
    pub fn let_starts_go_first(&self, most: Duration) -> bool {
        let (mut state, begun) = (self.shared.lock(), clock::mono());
        loop {
            let now = clock::mono();
            if state.starts.is_empty() || state.slow(now) > 0 {
                return false;
            }
            let left = most.saturating_sub(now.since(begun)).min(SLOW);
            if left.is_zero() {
                return true;
            }
            let waited = self.shared.caught_up.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sees to it that starts that hang are in nobody's way. Answers starts that have waited too
    /// long for a thread, because all of them hang: nothing will come of these.
    pub fn look(&self, now: Mono) -> Vec<RunId> {
        let mut state = self.shared.lock();
        self.shared.add_threads(&mut state, now);
        let slow = state.slow(now);
        let mut refused = Vec::new();
        if slow >= state.own().count() {
            let waits = state.starts.iter();
            let too_long = waits.take_while(|(since, _)| now.since(*since) >= PATIENCE).count();
            refused.extend(state.starts.drain(..too_long).map(|(_, start)| start.run));
        }
        refused
    }

    /// A child has ended and was waited for. A thread that is one too many may have stayed for it.
    pub fn child_ended(&self) {
        let state = self.shared.lock();
        let leaves = state.seats.iter().any(|seat| seat.leaves);
        let waits = leaves || state.own().count() > THREADS;
        drop(state);
        if waits {
            self.shared.more.notify_all();
        }
    }

    /// The starts that take too long, the oldest first.
    pub fn slow(&self, now: Mono) -> Vec<Slow> {
        let state = self.shared.lock();
        let slow = |seat: &Seat| {
            let held = seat.held.as_ref().filter(|held| held.is_slow(now))?;
            Some(Slow {
                run: held.run,
                job: Arc::clone(&held.job),
                attempt: held.attempt,
                taken: held.taken,
                waits_for: seat.progress.waits_for(&held.job.command, &held.job.options),
                child: seat.progress.child(),
                given_up: held.given_up.is_some(),
            })
        };
        let mut slow: Vec<Slow> = state.seats.iter().filter_map(slow).collect();
        sort::by_key(&mut slow, |slow| slow.taken);
        slow
    }

    /// Waits no longer for the start of a run. False when none is in progress: what has come of it
    /// has been reported.
    pub fn give_up(&self, run: RunId, now: Mono) -> bool {
        let mut state = self.shared.lock();
        let mut seats = state.seats.iter_mut();
        seats.any(|seat| match &mut seat.held {
            Some(held) if held.run == run && seat.progress.give_up() => {
                held.given_up = Some(now);
                true
            }
            _ => false,
        })
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        for seat in &state.seats {
            // What hangs is not to become a process when nobody is there any more.
            seat.progress.give_up();
        }
        self.shared.more.notify_all();
        let all_gone = |state: &mut State| !state.seats.is_empty();
        let waited = self.shared.ended.wait_timeout_while(state, FAREWELL, all_gone);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !state.seats.is_empty() {
            LEFT_BEHIND.store(true, Relaxed);
            return;
        }
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        for thread in threads {
            // A panic in it has been reported as the outcome of its run.
            let _ = thread.join();
        }
    }
}

/// Asks for processes.
#[derive(Clone, Debug)]
pub struct Submitter(Arc<Shared>);

impl Submitter {
    /// Whether starts wait for a thread.
    pub fn is_behind(&self) -> bool {
        !self.0.lock().starts.is_empty()
    }

    /// The same as [`Executor::submit`]. Once the executor is gone nothing comes of it.
    pub fn submit(&self, start: Start) {
        self.0.submit(start);
    }

    /// A way to make processes on another thread. The error is that of memory that cannot be had.
    pub fn guest(&self) -> io::Result<Guest> {
        Guest::new(Arc::clone(&self.0))
    }
}

impl Shared {
    fn submit(self: &Arc<Self>, start: Start) {
        let now = clock::mono();
        let mut state = self.lock();
        state.starts.push_back((now, start));
        self.add_threads(&mut state, now);
        drop(state);
        self.more.notify_one();
    }

    /// As many threads as the starts that wait have use for. What cannot be had now is looked for
    /// again while they wait ([`Executor::look`]).
    fn add_threads(self: &Arc<Self>, state: &mut State, now: Mono) {
        while state.wants_thread(now) {
            if let Err(error) = self.add_thread(state) {
                log::debug!("one more thread to start processes cannot be had: {error}");
                break;
            }
        }
    }

    fn add_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let progress = Arc::new(Progress::new()?);
        let spawner = Spawner::new(Arc::clone(self), Arc::clone(&progress));
        let thread = std::thread::Builder::new()
            .name(format!("spawner {}", state.number + 1))
            // Looking up a user may run the code of whatever serves the user database.
            .stack_size(1024 * 1024)
            .spawn(move || spawner.run())?;
        state.number += 1;
        state.seats.push(Seat { progress, held: None, leaves: false, is_guest: false });
        state.threads.retain(|thread| !thread.is_finished());
        state.threads.push(thread);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}
