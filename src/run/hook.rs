//! Hooks: short commands that run beside the jobs and tell somebody of them.
//!
//! What is to be run is decided elsewhere: here it is run, with a limit to its time, to what is kept
//! of its output, and to how many there are at once. Whoever submits one never waits; what has come of
//! it is told to a function, on a thread of a hook. Whether it is run again is not decided here.
//!
//! There are threads only while there is something to do: one for each hook that runs (`process` is
//! what it does), because a child belongs to the thread that made it, and one that watches over those
//! whose start hangs (in the user database, or a program on a file system that does not answer). Such
//! a start is given up when the time of its hook is over; another thread takes its place.

mod process;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::event::RunId;
use crate::core::instant::Mono;
use crate::core::job::{Command, Options};
use crate::core::outcome::{Outcome, Reached};
use crate::run::child::progress::Progress;
use crate::run::child::{World, mark, tree};
use crate::sys::clock;
use crate::sys::waker::Waker;

/// So many hooks run at once.
pub const AT_ONCE: usize = 4;

/// No more than this of the last line of a hook is said.
const LONGEST_LINE: usize = 300;

/// So many wait for one of these to end; there is no room for more.
const MOST_WAITING: usize = 1000;

/// So many threads may hang in the start of a hook that was given up. Who has so many is not helped by
/// more.
const MOST_LOST: usize = 16;

/// From TERM to KILL, unless it says.
pub const KILL_AFTER: Duration = Duration::from_secs(5);

/// The same once the scheduler does not wait for it any more.
const KILL_AFTER_STOP: Duration = Duration::from_secs(1);

/// A command to be run.
#[derive(Clone, Debug)]
pub struct Hook {
    /// What it is for: the `SCHEDRS_HOOK` of its environment.
    pub name: Box<str>,
    /// The same for the log: `hook on_failure of backup`.
    pub label: Box<str>,
    /// What is executed.
    pub command: Command,
    /// How: those options of a job that have to do with its process, but for `stdin` and `output`.
    pub options: Arc<Options>,
    /// What is set in its environment, over all else.
    pub env: Vec<(OsString, OsString)>,
    /// What it can read.
    pub stdin: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
    /// From TERM to KILL when that is over, and for what it leaves behind.
    pub kill_after: Duration,
    /// How many bytes of what it prints are kept, of each stream: its end.
    pub keep: usize,
}

/// What has come of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookDone {
    /// How it ended.
    pub result: HookResult,
    /// The end of what it has printed on standard output, without the secrets of its job.
    pub stdout: Vec<u8>,
    /// The same of standard error.
    pub stderr: Vec<u8>,
    /// How long it took.
    pub took: Duration,
    /// How many processes it had left behind, which were ended.
    pub left_behind: usize,
}

/// How a hook ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookResult {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
    /// It was ended because its time was over.
    TimedOut,
    /// It was ended, or not begun, because the scheduler stops.
    Stopped,
    /// It could not be started: why.
    NotStarted(String),
}

impl HookResult {
    /// Whether it did what it should.
    pub fn is_success(&self) -> bool {
        *self == HookResult::Exited(0)
    }
}

impl fmt::Display for HookResult {
    /// What a person reads after its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HookResult::Exited(code) => write!(f, "exited with {code}"),
            HookResult::Killed(signal) => {
                let killed = Outcome::Killed(*signal).phrase(Reached::Process(None));
                write!(f, "was {killed}")
            }
            HookResult::TimedOut => f.write_str("timed out"),
            HookResult::Stopped => f.write_str("was ended because schedrs stops"),
            HookResult::NotStarted(reason) => write!(f, "could not be started: {reason}"),
        }
    }
}

/// Takes what has come of a hook. It must not block.
pub type Done = Box<dyn FnOnce(HookDone) + Send>;

/// The way to the hooks; cheap to clone.
#[derive(Clone, Debug)]
pub struct Hooks(Arc<Shared>);

struct Shared {
    world: Arc<World>,
    /// Whether there is something that goes before a hook.
    is_behind: Box<dyn Fn() -> bool + Send + Sync>,
    /// So many run at once.
    at_once: usize,
    /// Awake once those that run are to end.
    stop: Waker,
    state: Mutex<State>,
    /// A thread has begun with a hook, or is done with it.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Hook, Done)>,
    seats: Vec<Seat>,
    /// How many threads there have been.
    threads: u64,
    /// How many hooks have been begun with.
    begun: u64,
    /// There is a thread that watches over those that start.
    is_watched: bool,
    /// There will be no others, and until then those that start are waited for.
    closed: Option<Mono>,
}

/// One thread, as others see it.
struct Seat {
    number: u64,
    progress: Arc<Progress>,
    held: Option<Held>,
    /// It hangs, and nobody waits for it any more.
    is_lost: bool,
}

/// The hook that a thread is busy with.
struct Held {
    hook: Arc<Hook>,
    done: Option<Done>,
    since: Mono,
    /// There is no process yet.
    is_starting: bool,
}

impl Held {
    /// When it is given up, should there be no process until then.
    fn until(&self, closed: Option<Mono>) -> Mono {
        let until = self.since.plus(self.hook.timeout);
        closed.map_or(until, |closed| closed.min(until))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting.len();
        f.debug_struct("State").field("waiting", &waiting).field("seats", &self.seats).finish()
    }
}

impl State {
    /// How many threads may come to take a hook.
    fn at_work(&self) -> usize {
        self.seats.iter().filter(|seat| !seat.is_lost).count()
    }

    fn lost(&self) -> usize {
        self.seats.len() - self.at_work()
    }

    fn seat(&mut self, number: u64) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.number == number)
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.at_work() == 0
    }
}

impl Hooks {
    /// With nothing to do yet. While the scheduler `is_behind` with the starts of jobs, hooks wait a
    /// moment: these are not to lose the processor to them.
    pub fn new(
        world: Arc<World>,
        is_behind: impl Fn() -> bool + Send + Sync + 'static,
    ) -> io::Result<Hooks> {
        Hooks::pool(world, AT_ONCE, 0, Box::new(is_behind))
    }

    /// A pool of its own for other short commands, so many at once, which wait for nothing. `first` keeps
    /// the numbers in the marks of its processes apart from those of other pools.
    pub fn beside(world: Arc<World>, at_once: usize, first: u64) -> io::Result<Hooks> {
        Hooks::pool(world, at_once, first, Box::new(|| false))
    }

    fn pool(
        world: Arc<World>,
        at_once: usize,
        begun: u64,
        is_behind: Box<dyn Fn() -> bool + Send + Sync>,
    ) -> io::Result<Hooks> {
        let (stop, changed) = (Waker::new()?, Condvar::new());
        let state = Mutex::new(State { begun, ..State::default() });
        Ok(Hooks(Arc::new(Shared { world, is_behind, at_once, stop, state, changed })))
    }

    /// Has a hook run as soon as there is room, and `done` told what has come of it. The hook comes
    /// back where too many wait already, or the scheduler stops.
    pub fn submit(&self, hook: Hook, done: Done) -> Result<(), Box<Hook>> {
        let mut state = self.0.lock();
        let is_full = state.waiting.len() >= MOST_WAITING || state.lost() >= MOST_LOST;
        if state.closed.is_some() || is_full {
            return Err(Box::new(hook));
        }
        state.waiting.push_back((hook, done));
        Shared::add_threads(&self.0, &mut state);
        if state.at_work() == 0
            && let Some((hook, _)) = state.waiting.pop_back()
        {
            return Err(Box::new(hook));
        }
        Ok(())
    }

    /// Waits for all of them, but no longer than that, and ends those that are left. From here on there
    /// are no others. Answers how many had not begun.
    pub fn settle(&self, patience: Duration) -> usize {
        let shared = &self.0;
        let state = shared.lock();
        let waits = |state: &mut State| !state.is_idle();
        let waited = shared.changed.wait_timeout_while(state, patience, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.closed = Some(clock::mono().plus(KILL_AFTER_STOP));
        let waiting = std::mem::take(&mut state.waiting);
        shared.stop.wake();
        shared.changed.notify_all();
        drop(state);
        let not_begun = waiting.len();
        for (_, done) in waiting {
            tell(done, HookDone::without(HookResult::Stopped, Duration::ZERO));
        }
        // To end, to be killed, and to be found gone; what is left then cannot be ended.
        let patience = 3 * KILL_AFTER_STOP;
        drop(shared.changed.wait_timeout_while(shared.lock(), patience, waits));
        not_begun
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that there are threads enough for what waits, and one that watches over them.
    fn add_threads(shared: &Arc<Shared>, state: &mut State) {
        let busy = state.seats.iter().filter(|seat| !seat.is_lost && seat.held.is_some()).count();
        let wanted = shared.at_once.min(state.waiting.len() + busy);
        while state.at_work() < wanted {
            if let Err(error) = Shared::add_thread(shared, state) {
                log::debug!("one more thread for hooks cannot be had: {error}");
                break;
            }
        }
        if !state.is_watched && state.at_work() > 0 {
            let watcher = Arc::clone(shared);
            // Without one, a start that hangs is waited for.
            state.is_watched = spawn("hooks", move || Shared::watch(&watcher)).is_ok();
        }
    }

    fn add_thread(shared: &Arc<Shared>, state: &mut State) -> io::Result<()> {
        let (number, progress) = (state.threads + 1, Arc::new(Progress::new()?));
        let worker = Worker { shared: Arc::clone(shared), number, progress: Arc::clone(&progress) };
        spawn(&format!("hook {number}"), move || worker.run())?;
        state.threads = number;
        state.seats.push(Seat { number, progress, held: None, is_lost: false });
        Ok(())
    }

    /// Gives up starts that take longer than their hook may. Ends with the last of them.
    fn watch(shared: &Arc<Shared>) {
        let mut state = shared.lock();
        loop {
            if state.is_idle() {
                state.is_watched = false;
                return;
            }
            let now = clock::mono();
            let given_up = state.give_up(now);
            if given_up.is_empty() {
                let next = state.next_to_give_up().map(|at| at.since(now));
                let changed = &shared.changed;
                state = match next {
                    None => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                    Some(wait) => {
                        let waited = changed.wait_timeout(state, wait);
                        waited.unwrap_or_else(PoisonError::into_inner).0
                    }
                };
                continue;
            }
            Shared::add_threads(shared, &mut state);
            drop(state);
            for (done, told) in given_up {
                tell(done, told);
            }
            shared.changed.notify_all();
            state = shared.lock();
        }
    }
}

impl State {
    /// When the time of a hook is over that has no process yet.
    fn next_to_give_up(&self) -> Option<Mono> {
        let held = self.seats.iter().filter_map(|seat| seat.held.as_ref());
        held.filter(|held| held.is_starting).map(|held| held.until(self.closed)).min()
    }

    /// Gives those up whose time is over. Answers what is to be told.
    fn give_up(&mut self, now: Mono) -> Vec<(Done, HookDone)> {
        let closed = self.closed;
        let mut given_up = Vec::new();
        for seat in &mut self.seats {
            let Some(held) = seat.held.as_mut().filter(|held| held.is_starting) else { continue };
            if held.until(closed) > now {
                continue;
            }
            held.is_starting = false;
            let waits_for = seat.progress.waits_for(&held.hook.command, &held.hook.options);
            if !seat.progress.give_up() {
                // It has come to an end just now.
                continue;
            }
            seat.is_lost = true;
            let result = match closed {
                Some(_) => HookResult::Stopped,
                None => HookResult::NotStarted(format!("the start hung, waiting for {waits_for}")),
            };
            let told = HookDone::without(result, now.since(held.since));
            given_up.extend(held.done.take().map(|done| (done, told)));
        }
        given_up
    }
}

/// A thread that runs hooks.
struct Worker {
    shared: Arc<Shared>,
    number: u64,
    progress: Arc<Progress>,
}

impl Worker {
    /// Takes what waits, until there is nothing.
    fn run(self) {
        while let Some((hook, id)) = self.take() {
            let done = catch_unwind(AssertUnwindSafe(|| self.one(&hook, id)));
            let done = done.unwrap_or_else(|_| {
                let reason = "an internal error of the scheduler".to_owned();
                HookDone::without(HookResult::NotStarted(reason), Duration::ZERO)
            });
            let told = self.with_seat(|seat| seat.held.as_mut()?.done.take());
            if let Some(told) = told {
                tell(told, done);
            }
        }
    }

    /// The next hook, and what marks its processes. `None`: this thread is not needed any more, and
    /// nobody counts on it.
    fn take(&self) -> Option<(Arc<Hook>, RunId)> {
        let mut state = self.shared.lock();
        let seat = state.seat(self.number)?;
        seat.held = None;
        // Children that do not end are given to the first thread when this one ends, and that waits
        // for them.
        let is_fit = !seat.is_lost && !tree::has_children();
        let next = if is_fit { state.waiting.pop_front() } else { None };
        let Some((hook, done)) = next else {
            self.leave(state);
            return None;
        };
        state.begun += 1;
        let id = mark::of_hook(state.begun);
        let hook = Arc::new(hook);
        self.progress.begin();
        let (since, done) = (clock::mono(), Some(done));
        let held = Held { hook: Arc::clone(&hook), done, since, is_starting: true };
        state.seat(self.number)?.held = Some(held);
        self.shared.changed.notify_all();
        Some((hook, id))
    }

    /// Runs a hook.
    fn one(&self, hook: &Hook, id: RunId) -> HookDone {
        let since = clock::mono();
        let Shared { world, stop, is_behind, .. } = &*self.shared;
        process::give_way(is_behind, stop);
        let started = process::start(hook, id, world, &self.progress, stop);
        let is_awaited = self.progress.end();
        self.with_seat(|seat| {
            seat.held.as_mut()?.is_starting = false;
            Some(())
        });
        match started {
            Ok(started) if is_awaited => started.follow(hook, since, stop),
            Ok(started) => {
                started.end_at_once();
                HookDone::without(HookResult::TimedOut, clock::mono().since(since))
            }
            Err(reason) => {
                HookDone::without(HookResult::NotStarted(reason), clock::mono().since(since))
            }
        }
    }

    fn with_seat<T>(&self, change: impl FnOnce(&mut Seat) -> Option<T>) -> Option<T> {
        let mut state = self.shared.lock();
        state.seat(self.number).and_then(change)
    }

    fn leave(&self, mut state: MutexGuard<'_, State>) {
        state.seats.retain(|seat| seat.number != self.number);
        Shared::add_threads(&self.shared, &mut state);
        let nobody = state.at_work() == 0;
        let waiting = if nobody { std::mem::take(&mut state.waiting) } else { VecDeque::new() };
        self.shared.changed.notify_all();
        drop(state);
        for (_, done) in waiting {
            let reason = "no thread can be had for it".to_owned();
            tell(done, HookDone::without(HookResult::NotStarted(reason), Duration::ZERO));
        }
    }
}

impl HookDone {
    /// One that has said nothing.
    fn without(result: HookResult, took: Duration) -> HookDone {
        HookDone { result, stdout: Vec::new(), stderr: Vec::new(), took, left_behind: 0 }
    }
}

/// The last line of what was printed that says something, and of a long one its beginning.
pub(crate) fn last_line(printed: &[u8]) -> Option<String> {
    let printed = String::from_utf8_lossy(printed);
    let line = printed.lines().map(str::trim).rfind(|line| !line.is_empty())?;
    Some(line.chars().take(LONGEST_LINE).collect())
}

/// A panic of whoever is told is no reason to run no more hooks.
fn tell(done: Done, told: HookDone) {
    if catch_unwind(AssertUnwindSafe(|| done(told))).is_err() {
        log::error!("an internal error of the scheduler, after a hook");
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(name.to_owned());
    // Looking up a user may run the code of whatever serves the user database.
    thread.stack_size(1024 * 1024).spawn(work).map(drop)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.held.as_ref().map(|held| &*held.hook.label);
        f.debug_struct("Seat").field("number", &self.number).field("held", &label).finish()
    }
}
