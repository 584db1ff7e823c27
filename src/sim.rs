//! Simulated effects: the decisions of `crate::core::scheduler` in virtual time.
//!
//! A [`Sim`] does what `crate::run::daemon` does, without processes and without waiting: it jumps from
//! one wake-up to the next, so that a year of a jobfile takes a second, and twice the same year
//! gives the same trace. How long each attempt lasts and how it ends is up to the caller's
//! [`Attempt`]. Tests use it, and `schedrs simulate`, for which `survey` says what came of each job,
//! `heatmap` and `svg` when they start, `crowd` when too many do, and `told` what people would have been
//! told. `trace` tells whether two were the same.

pub mod crowd;
pub mod heatmap;
pub mod survey;
pub mod svg;
pub mod told;
pub mod trace;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use crate::core::condition::Answer;
use crate::core::event::{self, Action, Check, Event, Exit, Record, RunId, Start};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::JobSet;
use crate::core::outcome::{MissReason, Outcome};
use crate::core::scheduler::Scheduler;
use crate::core::sort;
use crate::core::streak::Streaks;

/// What becomes of an attempt when nobody interferes.
#[derive(Clone, Debug, PartialEq)]
pub enum Attempt {
    /// Its process lasts that long and ends like this; told to end before, it does at once.
    Lasts(Duration, Exit),
    /// The same, but it has no ears for TERM.
    Stubborn(Duration, Exit),
    /// It cannot be started.
    CannotStart {
        /// Why.
        reason: String,
        /// Whether the machine is only short of something.
        transient: bool,
    },
}

impl Attempt {
    /// It succeeds after that time.
    pub fn succeeds_after(duration: Duration) -> Attempt {
        Attempt::Lasts(duration, Exit::Code(0))
    }
}

/// Looks on: every action, and when it was decided.
pub trait Observer {
    /// The scheduler wants this done.
    fn see(&mut self, now: Now, action: &Action);
}

impl<F: FnMut(Now, &Action)> Observer for F {
    fn see(&mut self, now: Now, action: &Action) {
        self(now, action);
    }
}

/// What a simulation added up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Due times that became a run and whose run ended, however it did.
    pub ran: u64,
    /// Of these, the ones that succeeded.
    pub succeeded: u64,
    /// Due times skipped, for whatever reason.
    pub skipped: u64,
    /// Due times noticed too late.
    pub missed: u64,
    /// Due times that waited too long for a slot.
    pub gave_up: u64,
    /// Due times that another one stood for.
    pub coalesced: u64,
    /// Attempts started.
    pub starts: u64,
    /// First attempts that started later than they fired, because no slot was free.
    pub waited: u64,
    /// The longest of these waits.
    pub longest_wait: Duration,
    /// The most processes at once, for each executor of the first jobfile.
    pub peaks: Vec<u32>,
    /// When there were so many for the first time.
    pub peaked: Vec<Option<Instant>>,
}

/// A scheduler with virtual processes, in virtual time.
#[derive(Debug)]
pub struct Sim<P> {
    scheduler: Scheduler,
    attempt: P,
    now: Now,
    processes: Processes,
    started: u64,
    /// How many processes each executor has.
    running: Vec<u32>,
    outages: Vec<(Instant, Instant)>,
    report: Report,
    over: bool,
    streaks: Streaks,
    readings: Readings,
    actions: Vec<Action>,
    answers: Vec<Action>,
}

/// What is answered where the conditions of a run are looked at: `None` is no answer.
type Look = dyn FnMut(Now, &Check) -> Option<Answer> + Send;

/// Who answers that, if somebody does; else they hold.
#[derive(Default)]
struct Readings(Option<Box<Look>>);

impl std::fmt::Debug for Readings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Readings").field(&self.0.is_some()).finish()
    }
}

/// A virtual process, ordered by when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    ends: Mono,
    /// Those that end together end in the order in which they started.
    number: u64,
    run: RunId,
    signal: bool,
    code: i32,
    executor: u16,
    stubborn: bool,
}

impl<P: FnMut(&Start) -> Attempt> Sim<P> {
    /// A scheduler that starts at `from`. `attempt` is asked about each attempt.
    pub fn new(set: JobSet, from: Instant, attempt: P) -> Sim<P> {
        // Away from zero, so that a test may set the wall clock back without the other noticing.
        let now = Now { wall: from, mono: Mono::from_micros(1_000_000) };
        let peaks = vec![0; set.executors.len()];
        Sim {
            running: peaks.clone(),
            report: Report { peaked: vec![None; peaks.len()], peaks, ..Report::default() },
            scheduler: Scheduler::new(now, set),
            attempt,
            now,
            processes: Processes::default(),
            started: 0,
            outages: Vec::new(),
            over: false,
            streaks: Streaks::default(),
            readings: Readings::default(),
            actions: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// The machine sleeps from `from` until `until`: no time passes for the processes, and when it
    /// wakes up the wall clock has jumped.
    #[must_use]
    pub fn with_outage(mut self, from: Instant, until: Instant) -> Sim<P> {
        if from < until {
            self.outages.push((from, until));
            // The last is the next.
            sort::by_key(&mut self.outages, |outage| Reverse(outage.0));
        }
        self
    }

    /// Conditions of jobs (`only_if`) are answered by `look`, or not at all; without it they hold.
    #[must_use]
    pub fn with_conditions(
        mut self,
        look: impl FnMut(Now, &Check) -> Option<Answer> + Send + 'static,
    ) -> Sim<P> {
        self.readings = Readings(Some(Box::new(look)));
        self
    }

    /// What time it is.
    pub fn now(&self) -> Now {
        self.now
    }

    /// The scheduler, to be asked things.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// Whether the scheduler has ended.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// What happened so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Something happens now.
    pub fn send(&mut self, event: Event, observer: &mut impl Observer) {
        self.scheduler.take(self.now, event, &mut self.actions);
        self.scheduler.advance(self.now, &mut self.actions);
        self.perform(observer);
    }

    /// Sets the wall clock, and tells the scheduler.
    pub fn set_clock(&mut self, wall: Instant, observer: &mut impl Observer) {
        self.now.wall = wall;
        self.send(Event::ClockSet, observer);
    }

    /// Lets time pass, up to but without `until`, or until the scheduler ends.
    pub fn run_until(&mut self, until: Instant, observer: &mut impl Observer) {
        while !self.over {
            let next = self.next_moment();
            let outage = self.outages.last().copied().filter(|outage| outage.0 < until);
            if let Some((from, to)) = outage
                && next.is_none_or(|next| next >= from)
            {
                self.outages.pop();
                self.pass_to(from);
                self.set_clock(to.max(from), observer);
                continue;
            }
            match next {
                Some(next) if next < until => self.pass_to(next),
                _ => break,
            }
            // What ends makes room before what is due at the same moment wants it.
            while let Some(process) = self.processes.pop_until(self.now.mono) {
                self.end(process);
            }
            self.scheduler.advance(self.now, &mut self.actions);
            self.perform(observer);
        }
        if !self.over {
            self.pass_to(until);
        }
    }

    /// When something happens next.
    fn next_moment(&self) -> Option<Instant> {
        let wakeup = self.scheduler.next_wakeup();
        let process = self.processes.first().map(|process| process.ends);
        let mono = match (wakeup.mono, process) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        // A division for each moment of a year would be felt: no `Duration`.
        let ahead = |mono: Mono| mono.micros().saturating_sub(self.now.mono.micros());
        let mono = mono.map(|mono| self.now.wall.plus_micros(ahead(mono)));
        match (wakeup.wall, mono) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Time passes, for clock and processes alike.
    fn pass_to(&mut self, wall: Instant) {
        let Now { wall: from, mono } = self.now;
        if let Ok(passed) = u64::try_from(wall.micros().saturating_sub(from.micros())) {
            let mono = Mono::from_micros(mono.micros().saturating_add(passed));
            self.now = Now { wall, mono };
        }
    }

    fn end(&mut self, process: Process) {
        if let Some(running) = self.running.get_mut(usize::from(process.executor)) {
            *running = running.saturating_sub(1);
        }
        let exit =
            if process.signal { Exit::Signal(process.code) } else { Exit::Code(process.code) };
        let event = Event::Ended { run: process.run, exit, usage: None, at: None };
        self.scheduler.take(self.now, event, &mut self.actions);
    }

    /// Does everything that is to be done, and everything that follows from it at once.
    fn perform(&mut self, observer: &mut impl Observer) {
        while !self.actions.is_empty() {
            let mut actions =
                std::mem::replace(&mut self.actions, std::mem::take(&mut self.answers));
            // That a process exists makes nothing due at this moment.
            let mut follows = false;
            for action in &actions {
                observer.see(self.now, action);
                self.report.add(action);
                if matches!(action, Action::Record(_) | Action::Remember(_)) {
                    let (streak, _) = self.streaks.hear(self.now.wall, action);
                    if let Some(event) = streak.event(action) {
                        follows = true;
                        self.scheduler.take(self.now, event, &mut self.actions);
                    }
                }
                match action {
                    Action::Start(start) => follows |= !self.start(start),
                    Action::Check(check) => {
                        follows = true;
                        self.answer(check);
                    }
                    Action::Terminate(run) => self.signal(*run, 15),
                    Action::Kill(run) => self.signal(*run, 9),
                    Action::Exit => self.over = true,
                    Action::Record(_) | Action::Notice(_) => {}
                    Action::Remember(_) | Action::Answer { .. } => {}
                }
            }
            actions.clear();
            self.answers = actions;
            if follows && !self.actions.is_empty() {
                self.scheduler.advance(self.now, &mut self.actions);
            }
        }
    }

    /// An attempt starts, if it can. Answers whether there is a process.
    fn start(&mut self, start: &Start) -> bool {
        let attempt = (self.attempt)(start);
        let (duration, exit, stubborn) = match attempt {
            Attempt::Lasts(duration, exit) => (duration, exit, false),
            Attempt::Stubborn(duration, exit) => (duration, exit, true),
            Attempt::CannotStart { reason, transient } => {
                let event = Event::NotStarted { run: start.run, reason, transient };
                self.scheduler.take(self.now, event, &mut self.actions);
                return false;
            }
        };
        self.started += 1;
        let executor = start.job.executor;
        if let Some(running) = self.running.get_mut(usize::from(executor)) {
            *running += 1;
            let peaks = self.report.peaks.iter_mut().zip(&mut self.report.peaked);
            if let Some((peak, at)) = { peaks }.nth(usize::from(executor))
                && *peak < *running
            {
                *peak = *running;
                *at = Some(self.now.wall);
            }
        }
        let (signal, code) = match exit {
            Exit::Code(code) => (false, code),
            Exit::Signal(signal) => (true, signal),
            Exit::OverMemory(_) => (true, 9),
            Exit::Unknown => (false, 255),
        };
        self.processes.push(Process {
            ends: self.now.mono.plus(duration),
            number: self.started,
            run: start.run,
            signal,
            code,
            executor,
            stubborn,
        });
        // Process ids as the kernel of a small machine would give them.
        let pid = (self.started % 32_768) as u32;
        let process = event::Process { pid, start: self.started };
        let (run, at, taken) = (start.run, self.now, self.now.mono);
        let event = Event::Started { run, process, at, taken };
        self.scheduler.take(self.now, event, &mut self.actions);
        true
    }

    /// The conditions of a run are looked at: unless told otherwise, they hold.
    fn answer(&mut self, check: &Check) {
        let answer = match &mut self.readings.0 {
            Some(look) => look(self.now, check),
            None => Some(Answer::Hold),
        };
        let Some(answer) = answer else { return };
        let event = Event::Checked { run: check.run, number: check.number, answer };
        self.scheduler.take(self.now, event, &mut self.actions);
    }

    /// A process is told to end.
    fn signal(&mut self, run: RunId, signal: i32) {
        let deaf = |process: &Process| signal == 15 && process.stubborn;
        if let Some(process) = self.processes.take(run, deaf) {
            let ends = self.now.mono;
            self.processes.push(Process { ends, signal: true, code: signal, ..process });
        }
    }
}

/// The virtual processes. Those that last equally long end in the order in which they started,
/// which needs no heap.
#[derive(Debug, Default)]
struct Processes {
    in_order: VecDeque<Process>,
    others: BinaryHeap<Reverse<Process>>,
}

impl Processes {
    fn push(&mut self, process: Process) {
        match self.in_order.back() {
            Some(last) if *last > process => self.others.push(Reverse(process)),
            _ => self.in_order.push_back(process),
        }
    }

    /// The one that ends first.
    fn first(&self) -> Option<&Process> {
        match (self.in_order.front(), self.others.peek()) {
            (Some(a), Some(Reverse(b))) => Some(a.min(b)),
            (Some(a), None) => Some(a),
            (None, b) => b.map(|b| &b.0),
        }
    }

    /// Takes the one that ends first if it has ended by then.
    fn pop_until(&mut self, now: Mono) -> Option<Process> {
        let first = *self.first().filter(|process| process.ends <= now)?;
        match self.in_order.front() {
            Some(front) if *front == first => self.in_order.pop_front(),
            _ => self.others.pop().map(|process| process.0),
        }
    }

    /// Takes the process of a run, unless it is deaf. There are seldom many to look through, and
    /// seldom is one wanted.
    fn take(&mut self, run: RunId, deaf: impl Fn(&Process) -> bool) -> Option<Process> {
        let mut all = self.in_order.iter().chain(self.others.iter().map(|process| &process.0));
        let found = *all.find(|process| process.run == run && !deaf(process))?;
        self.in_order.retain(|process| process.run != run);
        self.others.retain(|process| process.0.run != run);
        Some(found)
    }
}

impl Report {
    fn add(&mut self, action: &Action) {
        match action {
            Action::Start(start) => {
                self.starts += 1;
                if start.attempt == 1 {
                    self.waited += u64::from(!start.waited.is_zero());
                    self.longest_wait = self.longest_wait.max(start.waited);
                }
            }
            Action::Record(record) => self.count(record),
            Action::Terminate(_) | Action::Kill(_) | Action::Exit | Action::Check(_) => {}
            Action::Notice(_) | Action::Remember(_) | Action::Answer { .. } => {}
        }
    }

    fn count(&mut self, record: &Record) {
        match &record.outcome {
            Outcome::Succeeded => {
                self.ran += 1;
                self.succeeded += 1;
            }
            Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::OverLimit(..)
            | Outcome::TimedOut => self.ran += 1,
            Outcome::NotStarted(_) | Outcome::Lost(_) => self.ran += 1,
            Outcome::Skipped(_) => self.skipped += record.count,
            Outcome::Missed(MissReason::Late(_) | MissReason::NoStore(_)) => {
                self.missed += record.count
            }
            Outcome::Missed(MissReason::Waited(_)) => self.gave_up += record.count,
            Outcome::Coalesced => self.coalesced += record.count,
        }
    }
}

/// Runs a jobfile from `from` until before `until` and says what came of it.
pub fn simulate(
    set: JobSet,
    from: Instant,
    until: Instant,
    attempt: impl FnMut(&Start) -> Attempt,
    observer: &mut impl Observer,
) -> Report {
    let mut sim = Sim::new(set, from, attempt);
    sim.run_until(until, observer);
    sim.report
}
