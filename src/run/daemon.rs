//! The loop: waits for a reason to wake, tells the scheduler, performs what it answers.
//!
//! One thread owns the [`Scheduler`]; everything reaches it as an [`Event`]. It sleeps in one
//! `epoll_wait` on: a timer that the kernel fires at the next due time and as soon as the wall
//! clock is set; a handle for each child, readable when that has ended; and a counter that signal
//! handlers and other threads raise. The next monotonic deadline (a timeout, a retry) is the
//! wait's own timeout. Nothing polls: with nothing due it is not woken at all.
//!
//! `effects` performs actions and follows runs until nothing of them is left; `records` has what is
//! decided remembered by a store, `store_events` is what its thread has to say, and `recovery` looks
//! after what an earlier scheduler has left; `requests` takes what clients ask (`crate::control`)
//! and knows the jobs that are not, or not only, what the jobfile says; `reload` reads that again,
//! `apply` has it take effect, and `offload` has done elsewhere what may take long or hang; `watch`
//! tells when the jobfile was edited; `logger` and `report` are the log, in which `catching_up`
//! makes one line of many; `overview` says how things stand, to a terminal and to a service manager,
//! which `notify` tells; `herd` lets starts go first where many are due at once; `hooks` has the hooks of jobs run; `moving` is what is told of jobs that move between hosts; `slow` sees which runs take too long, `unusual` which print too little or are over too soon; `vitals` says how the scheduler is to whoever asks; `timer` is the wall
//! clock as something to wait for. Processes are made by `crate::run::executor`, what they print
//! goes to `crate::run::output`.

mod apply;
mod asking;
mod catching_up;
mod effects;
mod fleet;
mod herd;
mod hooks;
mod logger;
mod messages;
mod moving;
mod notify;
mod offload;
mod overview;
mod plan;
mod records;
mod recovery;
mod reload;
mod report;
mod requests;
mod slow;
mod start;
mod store_events;
mod timer;
mod unusual;
mod vitals;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rustix::termios::isatty;

use crate::control::jobfile_lock::JobfileLock;
use crate::control::journal::Journal;
use crate::control::server::Server;
use crate::core::event::{
    Action, Change, ChangeKind, Counters, Event, Happening, Health, Notice, Record, Remember,
    Response, RunId,
};
use crate::core::habit::slow::Watch;
use crate::core::instant::{Instant, Mono, Now};
use crate::core::scheduler::Scheduler;
use crate::core::streak::Streaks;
use crate::core::zone::Zone;
use crate::store::Process;
use crate::store::keeper::FleetOrder;
use crate::sys::clock;
use crate::sys::epoll::{Epoll, EventFlags, Ready};
use crate::sys::heap;
use crate::sys::program::{self, Idle};
use crate::sys::signals::{self, Signals};
pub use crate::sys::waker::Waker;
use effects::{Effects, Message};
pub(crate) use fleet::jobs_of_file;
use hooks::JobHooks;
pub use logger::{Log, LogFormat, start as start_log};
use notify::Watchdog;
use offload::{Done, Lane, Offload};
use overview::Overview;
pub use plan::{Jobfile, Load, Observer, Plan, Reopen, Storage, Wrong, tails};
use reload::Reloads;
use requests::{Next, Requests};
use start::Parts;
use timer::Timer;
use vitals::{Alarm, Alarms};
use watch::{Edited, Watch as FileWatch};

/// How the loop ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// The signal that asked for the end, if one did, and how many came.
    pub signal: Option<(i32, u32)>,
    /// With [`Plan::once`]: the exit code of the run, as a shell would give it.
    pub code: Option<u8>,
    /// The same: the run, and its process if it had one.
    pub run: Option<(Record, Option<Process>)>,
}

/// So many requests are taken before it is seen to what is due.
const CALLS: usize = 64;

/// Who only looks at jobs waits for a store that has not taken a fact for so long no more: `list` and
/// `show` are to answer then of all times.
const SILENT: Duration = Duration::from_secs(1);

/// How long hooks may take at the end.
const HOOKS: Duration = Duration::from_secs(5);
/// The same of a single run, which has nothing else to do. Each has its own limit.
const HOOKS_OF_ONE: Duration = Duration::from_secs(24 * 3600);

/// There is always room for so many actions.
const ACTIONS: usize = 4096;

const TOKEN_WAKE: u64 = 0;
const TOKEN_CLOCK: u64 = 1;
const TOKEN_FILES: u64 = 2;
/// Tokens from here on are those of [`Effects`].
const TOKEN_RUN: u64 = 3;

/// Runs until asked to stop. To be called on the first thread of the process, which adopts what
/// the jobs leave behind, unless the plan says that the scheduler is embedded.
pub fn run(mut plan: Plan) -> anyhow::Result<Ending> {
    let waker = Arc::new(Waker::new().context("cannot set up the event loop")?);
    let install = if plan.embedded { Signals::install_embedded } else { Signals::install };
    let signals = install(&waker).context("cannot install signal handlers")?;
    let (epoll, mut timer) = waits(&waker).context("cannot set up the event loop")?;
    // What is said before they take effect has its times in their zone, too.
    logger::set_jobs(&plan.jobfile.set, &plan.output);
    let overview = Overview::new(&plan);
    let mut zones = Vec::new();
    let mut health = vitals::health_of(&plan, clock::wall());
    let warnings = plan.storage.as_mut().map(|storage| std::mem::take(&mut storage.warnings));
    let Parts {
        mut scheduler,
        mut effects,
        jobs,
        server,
        mut alarms,
        fleet,
        hooks,
        streaks,
        slow,
        lost,
    } = start::start(&mut plan, epoll, Arc::clone(&waker), &mut health, &mut zones)?;
    signals.loop_begins();
    if let Some(begun) = plan.begun.take() {
        begun();
    }
    overview.start_line(&scheduler);
    for warning in warnings.into_iter().flatten() {
        log::warn!(event = "store"; "{warning}");
        alarms.insert(Alarm::Opened, warning);
    }
    notify::notify("READY=1");

    let mailbox = effects.mailbox();
    let mut looper = Loop {
        scheduler: &mut scheduler,
        effects: &mut effects,
        signals: &signals,
        waker: &waker,
        source: plan.source,
        load: plan.load,
        load_limit: plan.load_limit,
        reading: Offload::new(Lane::Reading, mailbox.clone()),
        reloads: Reloads::default(),
        edited: plan.edited,
        watch: None,
        zones,
        until: plan.until,
        once: plan.once,
        stops: 0,
        last_stop: 0,
        events: VecDeque::new(),
        overview,
        watchdog: Watchdog::from_environment(clock::mono()),
        requests: Requests::new(jobs, Offload::new(Lane::Checking, mailbox)),
        health,
        alarms,
        counters: Counters::default(),
        wakes_at: None,
        observer: plan.observer,
        journal: server.as_ref().map(|_| plan.journal),
        has_begun: false,
        server: server.as_ref(),
        fleet,
        hooks,
        streaks,
        slow,
        idle: Idle::new(clock::mono(), plan.embedded),
    };
    looper.tell_of_lost(lost, clock::now());
    looper.watch_jobfile();
    let ran = looper.run(&mut timer);
    looper.effects.output().let_go();
    looper.effects.say_who_is_left();
    let (stops, last_stop) = (looper.stops, looper.last_stop);
    drop(looper);
    let patience = match stops {
        0 if plan.once => HOOKS_OF_ONE,
        0 | 1 => HOOKS,
        _ => Duration::ZERO,
    };
    let_go(&mut effects, server, plan.lock, patience);
    ran?;
    log::info!(event = "stopped"; "stopped");
    let signal = (stops > 0 && last_stop != 0).then_some((last_stop, stops));
    Ok(Ending { signal, code: effects.code_of_last_run(), run: effects.take_last_run() })
}

/// What the loop waits by.
fn waits(waker: &Waker) -> io::Result<(Epoll, Timer)> {
    let epoll = Epoll::new()?;
    epoll.add(waker, TOKEN_WAKE, EventFlags::IN)?;
    let timer = Timer::new(&epoll, TOKEN_CLOCK)?;
    Ok((epoll, timer))
}

/// Lets go of the socket, the jobfile and the store, in an order in which another scheduler may begin.
/// Hooks may take so long to end.
fn let_go(
    effects: &mut Effects,
    server: Option<Server>,
    lock: Option<JobfileLock>,
    patience: Duration,
) {
    effects.flush_messages(clock::now());
    effects.settle_records();
    effects.mailbox().close();
    // Another may begin once the store is free: by then its socket is, too.
    if let Some(server) = &server {
        server.close();
    }
    // The store's lock is the last to go.
    if let Some(lock) = lock {
        lock.release();
    }
    // What the store does not have yet, it is to have; also when the loop has failed.
    effects.output().settle();
    match effects.hooks().settle(patience) {
        0 => {}
        number => log::warn!(
            event = "hooks_dropped",
            count = number;
            "{number} hooks were not run, because schedrs stops"
        ),
    }
    effects.settle_checks();
    effects.note_failed_hooks();
    effects.end_messages(clock::now());
    effects.finish_records(clock::wall());
    if let Some(server) = server {
        server.stop();
    }
}

/// The loop's own state.
struct Loop<'a> {
    scheduler: &'a mut Scheduler,
    effects: &'a mut Effects,
    signals: &'a Signals,
    waker: &'a Waker,
    source: String,
    load: Option<Arc<Load>>,
    load_limit: Duration,
    /// Where the jobfile is read.
    reading: Offload,
    reloads: Reloads,
    /// The files of the jobfile, as they were.
    edited: Arc<Edited>,
    /// With `reload = "auto"`, what tells when they may have changed.
    watch: Option<FileWatch>,
    /// The zones of the jobs, with their rules as they were when last read.
    zones: Vec<Zone>,
    until: Option<Instant>,
    once: bool,
    stops: u32,
    last_stop: i32,
    events: VecDeque<Event>,
    overview: Overview,
    watchdog: Option<Watchdog>,
    requests: Requests,
    /// How the scheduler is, but for the alarms.
    health: Health,
    alarms: Alarms,
    /// What has come of due times since the start.
    counters: Counters,
    /// When it is to wake at the latest.
    wakes_at: Option<Mono>,
    observer: Option<Box<Observer>>,
    /// Where what happens is noted for clients of the socket.
    journal: Option<Arc<Journal>>,
    /// The first turn is over.
    has_begun: bool,
    /// The control socket.
    server: Option<&'a Server>,
    /// What there is beside if others share the store.
    fleet: Option<fleet::Here>,
    /// The hooks of jobs; none in a dry run.
    hooks: Option<JobHooks>,
    /// How many runs of each job have failed in a row.
    streaks: Streaks,
    /// Runs that may take longer than they should.
    slow: Watch,
    /// When pages of the program are given back.
    idle: Idle,
}

impl Loop<'_> {
    fn run(&mut self, timer: &mut Timer) -> anyhow::Result<()> {
        let mut actions = Vec::new();
        let mut ready = Ready::with_capacity(256);
        loop {
            let turned = self.turn(&mut actions);
            self.effects.caught_up();
            self.has_begun = true;
            let Some(now) = turned else { return Ok(()) };
            self.tend_fleet();
            self.beat(now);
            self.tend_slow(now);
            self.tend_messages(now);
            self.effects.note_failed_hooks();
            // At the start they are as many as there are jobs.
            actions.shrink_to(ACTIONS);
            self.effects.flush_records();
            if self.once && self.effects.code_of_last_run().is_some() && self.stops == 0 {
                self.once = false;
                self.events.push_back(Event::Stop);
            }
            if self.until.is_some_and(|until| now.wall >= until) {
                self.until = None;
                log::info!(event = "until"; "reached the time given with --until");
                self.events.push_back(Event::Stop);
            }
            self.overview.show_in_time(now, self.scheduler);
            if let Some(watchdog) = &mut self.watchdog {
                watchdog.tend(now.mono);
            }
            let is_still = || self.effects.pending_facts().0 == 0;
            let gives_back = self.idle.is_time(now.mono, is_still);
            let timeout = if self.events.is_empty() && !self.requests.has_next() {
                self.arm(timer)?
            } else {
                self.wakes_at = Some(now.mono);
                Some(Duration::ZERO)
            };
            self.effects.output().let_go();
            let timeout = self.let_starts_go_first(&mut ready, timeout);
            if gives_back {
                program::give_back();
            }
            // What has happened comes before what is due, also after SIGSTOP and SIGCONT: a run that
            // is long over does not stand in the way of the next.
            self.signals.let_children_through(true);
            let waited = self.effects.epoll().wait(&mut ready, timeout);
            self.signals.let_children_through(false);
            self.effects.output().hold();
            waited.context("cannot wait for events")?;
            let seen = clock::mono();
            for (token, _) in ready.iter() {
                match token {
                    TOKEN_WAKE => self.woken(),
                    TOKEN_CLOCK => {
                        if timer.fired() {
                            self.events.push_back(Event::ClockSet);
                        }
                    }
                    TOKEN_FILES => {
                        if let Some(watch) = &mut self.watch {
                            watch.ready(clock::mono());
                        }
                    }
                    token => {
                        self.effects.child_ready(RunId(token - TOKEN_RUN), seen, &mut self.events);
                    }
                }
            }
            if self.signals.take_child() {
                self.effects.children_ended(&mut self.events);
            }
            if timer.take_was_set() {
                self.events.push_back(Event::ClockSet);
            }
            let now = clock::mono();
            self.effects.look_after(now, &mut self.events);
            self.give_up_in_time(now);
            if self.watch.as_mut().is_some_and(|watch| watch.take(now)) {
                self.reload_if_edited(now);
            }
        }
    }

    /// Tells the scheduler what has happened, what was asked and what time it is, and performs what
    /// it decides. Answers that time, unless this was the end.
    fn turn(&mut self, actions: &mut Vec<Action>) -> Option<Now> {
        if let Some(fleet) = &mut self.fleet
            && let Some(event) = fleet.silence(self.effects.silence(clock::mono()))
        {
            self.events.push_front(event);
        }
        // All that has happened together is taken together, so that a run that has ended makes
        // room for what is due at the same moment.
        self.take_events(actions);
        if self.requests.has_next() && self.take_calls(actions) {
            return None;
        }
        let now = clock::now();
        self.scheduler.advance(now, actions);
        (!self.perform_all(actions, now)).then_some(now)
    }

    /// Takes what was asked, one by one, so that each finds what the one before it has made.
    /// Answers whether that was the end.
    fn take_calls(&mut self, actions: &mut Vec<Action>) -> bool {
        let mut now = clock::now();
        for _ in 0..CALLS {
            if self.perform_all(actions, now) {
                return true;
            }
            now = clock::now();
            let fleet = self.fleet.as_ref();
            let effects = &self.effects;
            let has_newer = |job: &str, written| effects.has_newer(Some(job), written);
            match self.requests.begin(self.scheduler, now, &mut self.events, fleet, has_newer) {
                Next::Nothing => return false,
                Next::Taken => {}
                Next::Reload(reply) => self.reload(Some(reply)),
                Next::Apply(jobfile) => self.take_over(*jobfile),
                Next::Notify(order, by, reply) => self.notify_as_asked(&order, &by, reply, now),
                Next::Stop { times } => self.stop(times),
                Next::PassOn(incoming, route) => self.pass_on(*incoming, route),
            }
            self.take_events(actions);
        }
        self.perform_all(actions, now)
    }

    /// Has the scheduler take what has happened.
    fn take_events(&mut self, actions: &mut Vec<Action>) {
        let mut reloaded = false;
        while let Some(event) = self.events.pop_front() {
            reloaded |= matches!(event, Event::Reload(_));
            self.scheduler.take(clock::now(), event, actions);
        }
        if reloaded {
            // The old jobs are gone.
            heap::give_back();
        }
    }

    /// Performs what was decided. Answers whether that was the end.
    fn perform_all(&mut self, actions: &mut Vec<Action>, now: Now) -> bool {
        if !actions.is_empty() {
            self.overview.touch(now.mono);
            if self.has_begun {
                self.idle.is_busy(now.mono);
            }
        }
        for action in actions.drain(..) {
            if let Some(observer) = &self.observer {
                observer(&action);
            }
            self.note(&action, now);
            self.counters.note(&action, now.wall);
            if matches!(action, Action::Exit) {
                return true;
            }
            self.perform(action, now);
        }
        false
    }

    /// Notes what happens for clients of the socket. That there is each job is no news at the start.
    fn note(&self, action: &Action, now: Now) {
        if let Some(journal) = &self.journal
            && let Some(happening) = Happening::of(action)
            && (self.has_begun || !matches!(happening, Happening::Job(_)))
        {
            journal.note(now.wall, happening);
        }
    }

    /// What is done elsewhere and takes too long is given up.
    fn give_up_in_time(&mut self, now: Mono) {
        if let Some(limit) = self.reading.give_up_in_time(now) {
            self.give_up_reading(&limit);
        }
        if let Some(composition) = self.requests.give_up_in_time(now) {
            self.composed(composition);
        }
    }

    /// Something was done elsewhere.
    fn done(&mut self, lane: Lane, number: u64, done: Done) {
        if lane == Lane::Reading {
            if self.reading.finish(number) {
                self.loaded(done);
            }
            return;
        }
        let composition = self.requests.done(number, done, self.scheduler, &mut self.events);
        if let Some(composition) = composition {
            self.composed(composition);
        }
    }

    fn perform(&mut self, action: Action, now: Now) {
        let streak = self.count_failures(&action, now.wall);
        self.slow.hear(now, &action);
        self.call_hooks(&action, streak, now.wall);
        match &action {
            Action::Answer { ticket, answer } => {
                if let Some(id) = self.requests.take_learned(*ticket)
                    && let Some(order) = self.home_job(&id)
                {
                    self.effects.fleet_order(order);
                }
                let mut answer = answer.clone();
                if let Response::Jobs(page) = &mut answer {
                    let is_any = self.slow.has_slow();
                    for view in &mut page.jobs {
                        view.counts = self.counters.of(&view.job.id);
                        view.failures = self.streaks.of(&view.job.id);
                        if is_any {
                            self.mark_slow(view);
                        }
                    }
                }
                if let Response::Job { job, .. } = &mut answer {
                    self.mark_slow(&mut job.view);
                }
                // What others have changed may be in it, and is waited for; but not for long.
                let (_, since) = self.effects.pending_facts();
                let is_silent = since.is_some_and(|since| now.mono.since(since) >= SILENT);
                let at_once = is_silent && self.requests.only_looks(*ticket);
                match self.requests.answer(*ticket, answer) {
                    Some(answer) if at_once => answer(),
                    Some(answer) => self.effects.answer(answer),
                    None => {}
                }
            }
            Action::Notice(notice @ Notice::Reloaded { .. }) => {
                self.forget_counts();
                self.forget_failures();
                self.reloaded(notice);
            }
            Action::Notice(Notice::Stopping { .. }) => {
                self.health.stopping = true;
                self.end_reloads();
                self.effects.fleet_order(FleetOrder::Leave);
                self.effects.remember_change(Change {
                    at: now.wall,
                    job: None,
                    what: ChangeKind::Stopping,
                    by: "schedrs".into(),
                    detail: None,
                });
            }
            Action::Remember(remember) => {
                if let Some(jobs) = &mut self.requests.jobs {
                    jobs.note(remember);
                }
                match remember {
                    Remember::Change(Change { job: Some(job), what, .. }) => {
                        self.tell_of_job(job, what);
                    }
                    Remember::Gone(job) => {
                        self.tell_of_job(job, &ChangeKind::Removed);
                        self.forget_counts();
                    }
                    _ => {}
                }
            }
            Action::Terminate(run) if !self.scheduler.has_run(*run) => self.end_elsewhere(*run),
            _ => {}
        }
        self.effects.perform(action, streak, now, &mut self.events);
    }

    /// Sets the timer to the next due time. Answers how long to wait at most.
    fn arm(&mut self, timer: &mut Timer) -> anyhow::Result<Option<Duration>> {
        let wakeup = self.scheduler.next_wakeup();
        let messages = self.effects.messages_wakeup();
        let wall = [wakeup.wall, self.until, messages.wall].into_iter().flatten().min();
        let now = clock::now();
        let watchdog = self.watchdog.as_ref().map(Watchdog::deadline);
        let (reading, checking) = (self.reading.deadline(), self.requests.deadline());
        let out_of_touch = self.out_of_touch();
        let own = [self.effects.deadline(), self.overview.deadline(), watchdog, reading, checking];
        let files = self.watch.as_ref().and_then(FileWatch::deadline);
        let slow = self.slow.next_wakeup();
        let idle = self.idle.deadline();
        let own = own.into_iter().chain([out_of_touch, files, messages.mono, slow, idle]);
        let mono = own.chain([wakeup.mono]);
        let mono = mono.flatten().min();
        let until_mono = mono.map(|at| at.since(now.mono));
        let by_wall = wall.map(|at| now.mono.plus(at.since(now.wall)));
        self.wakes_at = [mono, by_wall].into_iter().flatten().min();
        let until_wall = timer.arm(wall, now).context("cannot set the timer")?;
        Ok([until_mono, until_wall].into_iter().flatten().min())
    }

    /// When processes are to end that others may begin again.
    fn out_of_touch(&self) -> Option<Mono> {
        let fleet = self.fleet.as_ref()?;
        let until = self.effects.alive_until()?;
        self.scheduler.has_processes_to_end().then(|| fleet.deadline(until)).flatten()
    }

    /// Something other than a child or the clock wants attention.
    fn woken(&mut self) {
        self.waker.clear();
        let signals = self.signals.take();
        if signals.stops > 0 {
            self.last_stop = signals.last_stop;
            self.stop(signals.stops);
        }
        if signals.reload {
            // The kernel sends SIGHUP as well when the terminal goes that somebody has run this in.
            let has_gone = logger::is_for_terminal() && !isatty(io::stderr());
            if has_gone && !signals::hangup_is_ignored() { self.stop(1) } else { self.reload(None) }
        }
        if signals.status {
            self.events.push_back(Event::ReportStatus);
        }
        if signals.child {
            self.effects.children_ended(&mut self.events);
        }
        for message in self.effects.messages() {
            match message {
                Message::Done { lane, number, done } => self.done(lane, number, *done),
                Message::Report(report) => self.effects.reported(report, &mut self.events),
                Message::Store(event) => self.store_event(event),
                Message::Call(call) => self.called(call),
                Message::OwnPart(number, response) => self.own_part(number, *response),
                Message::Successes(job, before) => self.slow.learn(&job, &before),
                Message::Ran(ran) => self.compare(*ran),
                Message::Unusual(found) => self.unusual(&found, clock::now()),
                Message::Looked(run, number, answer) => {
                    self.effects.checked(run, number, answer, &mut self.events);
                }
                Message::Printed(run, text) => self.effects.printed(run, &text, clock::now()),
            }
        }
    }

    /// Somebody wants it to stop.
    fn stop(&mut self, times: u32) {
        if self.stops == 0 {
            notify::notify("STOPPING=1");
        }
        self.stops += times;
        self.events.extend((0..times).map(|_| Event::Stop));
    }

    /// Sees to what people are told.
    fn tend_messages(&mut self, now: Now) {
        let (scheduler, streaks) = (&*self.scheduler, &self.streaks);
        let failing = |route: &str| streaks.of_route(route, |id| scheduler.active_job(id));
        self.effects.wake_messages(now, &failing);
        self.effects.flush_messages(now);
    }

    /// Sees to what a scheduler has that shares its store.
    fn tend_fleet(&mut self) {
        let Some(fleet) = &mut self.fleet else { return };
        self.effects.set_running();
        if let Some(order) = fleet.wants(self.scheduler) {
            self.effects.fleet_order(order);
        }
        if let Some(until) = self.effects.alive_until()
            && self.scheduler.has_processes_to_end()
        {
            self.events.extend(fleet.out_of_touch(until));
        }
    }
}
