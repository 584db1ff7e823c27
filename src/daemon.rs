//! The loop: waits for a reason to wake, tells the scheduler, performs what it answers.
//!
//! One thread owns the [`Scheduler`]; everything reaches it as an [`Event`]. It sleeps in one
//! `epoll_wait` on: a timer that the kernel fires at the next due time and as soon as the wall
//! clock is set; a handle for each child, readable when that has ended; and a counter that signal
//! handlers and other threads raise. The next monotonic deadline (a timeout, a retry) is the
//! wait's own timeout. Nothing polls: with nothing due it is not woken at all.
//!
//! `hands` performs actions and follows runs until nothing of them is left; `logger` and `report`
//! are the log; `overview` says how things stand, to a terminal and to a service manager, which
//! `notify` tells; `timer` is the wall clock as something to wait for. Processes are made by
//! `crate::executor`, what they print goes to `crate::output`.

mod hands;
mod logger;
mod notify;
mod overview;
mod report;
mod timer;
mod waker;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::clock;
use crate::event::{Action, Event, Request};
use crate::instant::Instant;
use crate::job::JobSet;
use crate::memory;
use crate::output;
use crate::scheduler::Scheduler;
use crate::signals::Signals;
use crate::zone::Zone;
use hands::{Hands, Message};
pub use logger::{Log, LogFormat, start as start_log};
use notify::Watchdog;
use overview::Overview;
use timer::Timer;
pub use waker::Waker;

/// Reads the jobfile again: the jobs, or every problem of it as a line of text.
pub type Load = dyn Fn() -> Result<JobSet, Vec<String>> + Send + Sync;

/// What the loop is to do.
pub struct Plan {
    /// The jobs.
    pub set: JobSet,
    /// Where they come from, for people.
    pub source: String,
    /// How they are read again on SIGHUP; `None` where that is not possible.
    pub load: Option<Arc<Load>>,
    /// The thread that writes.
    pub output: output::Handle,
    /// Say what would be started and start nothing.
    pub dry_run: bool,
    /// Stop at this time.
    pub until: Option<Instant>,
    /// Keep a line at the bottom of the terminal that says what runs and what is next.
    pub live: bool,
    /// Stop when the first run has ended: `run --once`.
    pub once: bool,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The signal that asked for the end, if one did, and how many came.
    pub signal: Option<(i32, u32)>,
    /// With [`Plan::once`]: the exit code of the run, as a shell would give it.
    pub code: Option<u8>,
}

const TOKEN_WAKE: u64 = 0;
const TOKEN_CLOCK: u64 = 1;
/// Tokens from here on are those of [`Hands`].
const TOKEN_RUN: u64 = 2;

/// Runs until asked to stop. To be called on the first thread of the process, which adopts what
/// the jobs leave behind.
pub fn run(plan: Plan) -> anyhow::Result<Ending> {
    let waker = Arc::new(Waker::new().context("failed to prepare the loop")?);
    let signals = Signals::install(&waker).context("failed to install signal handlers")?;
    let (source, load) = (plan.source.clone(), plan.load.clone());
    let (until, once) = (plan.until, plan.once);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("failed to prepare the loop")?;
    let waits = || -> io::Result<Timer> {
        let wake = epoll::EventData::new_u64(TOKEN_WAKE);
        epoll::add(&epoll, &*waker, wake, epoll::EventFlags::IN)?;
        Timer::new(&epoll, TOKEN_CLOCK)
    };
    let mut timer = waits().context("failed to prepare the loop")?;
    let mut hands = Hands::new(&plan, epoll, Arc::clone(&waker))
        .context("failed to prepare for running jobs")?;

    logger::set_jobs(&plan.set, &plan.output);
    let overview = Overview::new(&plan);
    let zones = report::zones(&plan.set);
    let mut scheduler = Scheduler::new(clock::now(), plan.set);
    overview.start_line(&scheduler);
    notify::notify("READY=1");

    let mut looper = Loop {
        scheduler: &mut scheduler,
        hands: &mut hands,
        signals: &signals,
        waker: &waker,
        source,
        load,
        loading: Loading::No,
        zones,
        until,
        once,
        stops: 0,
        last_stop: 0,
        events: VecDeque::new(),
        overview,
        watchdog: Watchdog::from_environment(clock::mono()),
    };
    looper.run(&mut timer)?;
    let (stops, last_stop) = (looper.stops, looper.last_stop);
    log::info!(event = "stopped"; "stopped");
    let signal = (stops > 0).then_some((last_stop, stops));
    Ok(Ending { signal, code: hands.code_of_last_run() })
}

/// Whether the jobfile is being read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loading {
    No,
    Yes,
    /// It is, and has been asked for again since.
    Again,
}

/// The loop's own state.
struct Loop<'a> {
    scheduler: &'a mut Scheduler,
    hands: &'a mut Hands,
    signals: &'a Signals,
    waker: &'a Waker,
    source: String,
    load: Option<Arc<Load>>,
    loading: Loading,
    /// The zones of the jobs, with their rules as they were when last read.
    zones: Vec<Zone>,
    until: Option<Instant>,
    once: bool,
    stops: u32,
    last_stop: i32,
    events: VecDeque<Event>,
    overview: Overview,
    watchdog: Option<Watchdog>,
}

impl Loop<'_> {
    fn run(&mut self, timer: &mut Timer) -> anyhow::Result<()> {
        let mut actions = Vec::new();
        let mut ready = Vec::with_capacity(256);
        loop {
            // All that has happened together is taken together, so that a run that has ended makes
            // room for what is due at the same moment.
            let mut reloaded = false;
            while let Some(event) = self.events.pop_front() {
                reloaded |= matches!(event, Event::Reload(_));
                self.scheduler.take(clock::now(), event, &mut actions);
            }
            if reloaded {
                // The old jobs are gone.
                memory::give_back();
            }
            let now = clock::now();
            self.scheduler.advance(now, &mut actions);
            if !actions.is_empty() {
                self.overview.touch(now.mono);
            }
            for action in actions.drain(..) {
                if matches!(action, Action::Exit) {
                    return Ok(());
                }
                self.hands.perform(action, &mut self.events);
            }
            if self.once && self.hands.code_of_last_run().is_some() && self.stops == 0 {
                self.once = false;
                self.events.push_back(Event::Stop);
            }
            if self.until.is_some_and(|until| now.wall >= until) {
                self.until = None;
                log::info!(event = "until"; "the time given with --until is reached");
                self.events.push_back(Event::Stop);
            }
            self.overview.show_in_time(now, self.scheduler);
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.tend(now.mono);
            }
            let timeout = match self.events.is_empty() {
                true => self.arm(timer)?,
                false => Some(Duration::ZERO),
            };
            ready.clear();
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            match epoll::wait(self.hands.epoll(), spare_capacity(&mut ready), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("failed to wait for events"),
            }
            for event in &ready {
                match event.data.u64() {
                    TOKEN_WAKE => self.woken(),
                    TOKEN_CLOCK => {
                        if timer.fired() {
                            self.events.push_back(Event::ClockSet);
                        }
                    }
                    token => self.hands.child_ready(token - TOKEN_RUN, &mut self.events),
                }
            }
            self.hands.look_after(clock::mono(), &mut self.events);
        }
    }

    /// Sets the timer to the next due time. Answers how long to wait at most.
    fn arm(&self, timer: &mut Timer) -> anyhow::Result<Option<Duration>> {
        let wakeup = self.scheduler.next_wakeup();
        let wall = [wakeup.wall, self.until].into_iter().flatten().min();
        let now = clock::now();
        let watchdog = self.watchdog.as_ref().map(Watchdog::deadline);
        let mono = [wakeup.mono, self.hands.deadline(), self.overview.deadline(), watchdog];
        let mono = mono.into_iter().flatten().min();
        let until_mono = mono.map(|at| at.since(now.mono));
        let until_wall = timer.arm(wall, now).context("failed to set the timer")?;
        Ok([until_mono, until_wall].into_iter().flatten().min())
    }

    /// Something other than a child or the clock wants attention.
    fn woken(&mut self) {
        self.waker.clear();
        let signals = self.signals.take();
        if signals.stops > 0 {
            if self.stops == 0 {
                notify::notify("STOPPING=1");
            }
            self.stops += signals.stops;
            self.last_stop = signals.last_stop;
            self.events.extend((0..signals.stops).map(|_| Event::Stop));
        }
        if signals.reload {
            self.reload();
        }
        if signals.status {
            self.events.push_back(Event::Request(Request::Status));
        }
        if signals.child {
            self.hands.children_ended(&mut self.events);
        }
        for message in self.hands.messages() {
            match message {
                Message::Loaded(loaded) => self.loaded(loaded),
                Message::Report(report) => self.hands.reported(report, &mut self.events),
            }
        }
    }

    /// Reads the jobfile on a thread of its own: it may be long, and due jobs do not wait for it.
    fn reload(&mut self) {
        let Some(load) = &self.load else {
            log::warn!(event = "reload_failed"; "{} cannot be read a second time", self.source);
            return;
        };
        if self.loading != Loading::No {
            self.loading = Loading::Again;
            return;
        }
        let (load, mailbox) = (Arc::clone(load), self.hands.mailbox());
        let work = move || {
            let load = std::panic::AssertUnwindSafe(|| load());
            let loaded = std::panic::catch_unwind(load)
                .unwrap_or_else(|_| Err(vec!["an internal error of the scheduler".to_owned()]));
            mailbox.send(Message::Loaded(loaded));
        };
        match std::thread::Builder::new().name("reload".to_owned()).spawn(work) {
            Ok(_) => {
                self.loading = Loading::Yes;
                notify::notify(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::mono().micros()));
            }
            Err(error) => {
                log::error!(event = "reload_failed"; "not reloaded, the old jobs go on: {error}");
            }
        }
    }

    fn loaded(&mut self, loaded: Result<JobSet, Vec<String>>) {
        notify::notify("READY=1");
        match loaded {
            Ok(set) => {
                logger::set_jobs(&set, &self.hands.output());
                self.hands.prepare(&set);
                let zones = report::zones(&set);
                report::zone_changes(&self.zones, &zones);
                self.zones = zones;
                self.events.push_back(Event::Reload(Box::new(set)));
            }
            Err(problems) => {
                for problem in problems {
                    log::error!(event = "reload_problem"; "{problem}");
                }
                let source = &self.source;
                log::error!(
                    event = "reload_failed";
                    "{source} was not reloaded, the old jobs go on"
                );
            }
        }
        let again = self.loading == Loading::Again;
        self.loading = Loading::No;
        if again {
            self.reload();
        }
    }
}

/// Where other threads leave what the loop should know.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(Arc<(Mutex<Vec<Message>>, Arc<Waker>)>);

impl Mailbox {
    fn new(waker: Arc<Waker>) -> Mailbox {
        Mailbox(Arc::new((Mutex::default(), waker)))
    }

    fn send(&self, message: Message) {
        let (messages, waker) = &*self.0;
        let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
        let first = messages.is_empty();
        messages.push(message);
        drop(messages);
        if first {
            waker.wake();
        }
    }

    fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
