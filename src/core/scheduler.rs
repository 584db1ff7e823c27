//! The decisions: what is due, what runs, waits, is retried, ended, skipped or missed.
//!
//! A pure state machine: [`Scheduler::step`] takes the time and one [`Event`] and appends the
//! [`Action`]s to be performed; [`Scheduler::next_wakeup`] says when to call it next if nothing
//! happens before. No clock, no I/O, no threads, no randomness: `crate::run::daemon` drives it with
//! processes, `crate::sim` with virtual ones, and both get the same answers.
//!
//! The rules are those of doc/runs.md, one file each:
//!
//! * `due`: which due times have passed, which of them are too late, and which of several
//!   stand for the others; `timetable` and `tally` find and count them without enumerating them;
//! * `admission`: `max_instances`, `overlap`, and the `pool`s with their slots and
//!   queues;
//! * `run`: the life of a run as one table of state × event; `attempt` performs
//!   what the table says;
//! * `conditions`: runs that begin only if something holds;
//! * `after`: jobs that are due when runs of others have ended;
//! * `from_end`: jobs that are due so long after their last run;
//! * `reload` and `stop`;
//! * `vitals` is what tells whether all is well;
//! * `operation` answers what people and programs ask, `pause` is about jobs that are not due for a
//!   while, `saved` about what outlives the scheduler.
//!
//! * `fleet`: jobs that are at home with another scheduler that shares the store.
//!
//! Nothing here looks at all jobs to find what is due: one heap holds the next wake-up of each
//! job, another the deadlines of active runs. An idle job costs some 70 bytes.

mod admission;
pub mod after;
mod attempt;
pub mod conditions;
mod due;
mod fleet;
mod from_end;
mod jobs;
mod operation;
mod pause;
mod pool;
mod reload;
mod run;
mod saved;
mod stop;
mod tally;
mod timetable;
mod vitals;

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::core::event::{Action, Active, Event, Notice, Pause, RunId, Status};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{Job, JobSet};
use crate::core::sort;

use jobs::{Away, Delayed, Extra, JobState, NEVER, Wake};
pub use operation::UPCOMING;
use pool::Pools;
use run::{Input, Phase, Runs, Timer};
pub use saved::{SavedState, Survivor};
use stop::Life;
use tally::{Count, SLICE};

/// How far wall and monotonic time may drift apart before a step calls it a jump of the clock,
/// when nobody said that the clock was set.
const JUMP: u64 = 1_000_000;

/// The same when the system said so: below this it is the distance between two clock readings.
const SMALL_JUMP: u64 = 10_000;

/// The state of a scheduler. See the [module](self).
#[derive(Debug)]
pub struct Scheduler {
    /// In the order of the jobfile, which is also the order in which jobs due together start.
    jobs: Vec<JobState>,
    /// One entry for each job that will be due: when it wants to be looked at.
    calendar: BinaryHeap<Wake>,
    /// Due times that have been reached and wait for their jitter to pass. Only jobs whose jitter
    /// is longer than the time between two due times have any.
    delayed: HashMap<u32, Delayed>,
    /// What few jobs have beside: that they are paused, were added or changed at run time.
    extras: HashMap<u32, Extra>,
    /// Slots of `jobs` that are free.
    vacant: Vec<u32>,
    /// The slot of each id; made when somebody first asks for a job by its name.
    ids: OnceLock<HashMap<Box<str>, u32>>,
    /// All jobs are paused.
    all_paused: Option<Pause>,
    /// Somebody remembers what is decided: [`Action::Remember`].
    remembers: bool,
    /// What changes of a job is what others have said, or say as well: [`Scheduler::as_others`].
    learns: bool,
    /// Jobs of which there is something new to be remembered at the end of the step, and ids of jobs
    /// that are gone.
    unremembered: (Vec<u32>, Vec<Box<str>>),
    /// Added jobs of which nothing may be left to be done.
    done: Vec<u32>,
    /// Who wants to hear of the end of which run.
    waiters: HashMap<RunId, Vec<u64>>,
    runs: Runs,
    /// Deadlines of runs: `max_wait`, `timeout`, `kill_after`, retries.
    timers: BinaryHeap<Timer>,
    /// Runs that the machine was too short of something to start, longest first; and some that
    /// have been started or have ended since.
    postponed: VecDeque<RunId>,
    pools: Pools,
    /// Ranges of due times whose fate is known and whose number is still being counted.
    counts: VecDeque<Count>,
    /// How many more may be counted in this step.
    count_budget: u64,
    life: Life,
    /// The number of the next run.
    next_run: u64,
    /// Jobs that are due after others.
    chains: after::Chains,
    /// What there is beside if several schedulers share the store.
    fleet: Option<Box<fleet::Shared>>,
    /// When the scheduler started: the due time of `@reboot`.
    started: Instant,
    stop_grace: Duration,
    /// The time of the last step.
    last: Now,
    /// Wall minus monotonic time when they were last looked at.
    offset: i64,
    /// Buffers that keep their capacity.
    scratch: Scratch,
}

/// Buffers that keep their capacity from one step to the next.
#[derive(Debug, Default)]
struct Scratch {
    passed: VecDeque<(Instant, Instant)>,
    chosen: VecDeque<Instant>,
    slots: Vec<u32>,
}

/// So many jobs that are due next but excluded are passed over to find one that is not.
const MOST_EXCLUDED: usize = 100;

/// Ids of jobs, each with a text, sorted.
pub type Texts = Vec<(Box<str>, Box<str>)>;

/// When to call [`Scheduler::step`] next, on each of the two time lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wakeup {
    /// When a job is due next, its jitter included.
    pub wall: Option<Instant>,
    /// The next deadline: a timeout, a retry, the end of a grace.
    pub mono: Option<Mono>,
}

/// The time of a step and where its actions go.
struct Step<'a> {
    now: Now,
    out: &'a mut Vec<Action>,
}

impl Scheduler {
    /// A scheduler that starts now. Due times before `now` are none of its business; what is due
    /// at `now` itself fires at the first step.
    pub fn new(now: Now, set: JobSet) -> Scheduler {
        let pools = Pools::new(&set.executors);
        let mut jobs = Vec::with_capacity(set.jobs.len());
        for job in set.jobs {
            let pool = pools.of_executor(job.executor);
            jobs.push(JobState::at_start(job, pool, now.wall));
        }
        let mut scheduler = Scheduler {
            jobs,
            calendar: BinaryHeap::new(),
            delayed: HashMap::new(),
            extras: HashMap::new(),
            vacant: Vec::new(),
            ids: OnceLock::new(),
            all_paused: None,
            remembers: false,
            learns: false,
            unremembered: Default::default(),
            done: Vec::new(),
            waiters: HashMap::new(),
            runs: Runs::new(),
            timers: BinaryHeap::new(),
            postponed: VecDeque::new(),
            pools,
            counts: VecDeque::new(),
            count_budget: SLICE,
            life: Life::Starting,
            next_run: 1,
            chains: after::Chains::new(),
            fleet: None,
            started: now.wall,
            stop_grace: set.settings.stop_grace,
            last: now,
            offset: offset(now),
            scratch: Scratch::default(),
        };
        scheduler.fill_calendar();
        scheduler
    }

    /// One event has happened, and it is `now`: appends everything that is to be done about both.
    ///
    /// Any event may come at any time, in any order, more than once, early or late: what makes no
    /// sense is ignored. The same as [`Scheduler::take`] and [`Scheduler::advance`].
    pub fn step(&mut self, now: Now, event: Event, actions: &mut Vec<Action>) {
        self.take(now, event, actions);
        self.advance(now, actions);
    }

    /// The first half of a step: one event has happened. Several that happened together may be
    /// taken before one [`Scheduler::advance`], so that a run that has ended makes room for what
    /// is due at the same moment.
    pub fn take(&mut self, now: Now, event: Event, actions: &mut Vec<Action>) {
        if matches!(self.life, Life::Over) {
            return;
        }
        let from = actions.len();
        let step = &mut self.look_at_clocks(now, matches!(event, Event::ClockSet), actions);
        match event {
            Event::Woke | Event::ClockSet => {}
            Event::Started { run, process, at, taken } => {
                self.heard(run, Input::Started(process, at, taken), step);
            }
            Event::StartHangs { run, taken } => self.heard(run, Input::Hangs(taken), step),
            Event::NotStarted { run, reason, transient: true } => {
                self.heard(run, Input::Short(reason), step);
            }
            Event::NotStarted { run, reason, transient: false } => {
                self.heard(run, Input::NotStarted(reason), step);
            }
            Event::Ended { run, exit, usage, at } => {
                self.heard(run, Input::Ended(exit, usage, at), step);
            }
            Event::Abandoned { run, reason } => self.heard(run, Input::Abandoned(reason), step),
            Event::Reload(set) => {
                // What has passed is decided by the jobs as they were; then the new ones count.
                self.decide(step);
                self.follow(from, step);
                let from = step.out.len();
                self.reload(*set, step);
                return self.follow(from, step);
            }
            Event::ReportStatus => {
                let status = self.status();
                step.out.push(Action::Notice(Notice::Status(status)));
            }
            Event::Operation { ticket, by, operation } => {
                self.operate(ticket, &by, *operation, step);
            }
            Event::Checked { run, number, answer } => self.checked(run, number, answer, step),
            Event::FailedInARow { job, runs } => self.failed_in_a_row(&job, runs, step),
            Event::ClaimLost(run) => self.claim_lost(run, step),
            Event::ClaimRefused { run, why } => self.claim_refused(run, why, step),
            Event::Homes(change) => self.change_homes(*change, step),
            Event::Silence(silence) => self.hear_silence(silence),
            Event::OutOfTouch { kill } => self.out_of_touch(kill, step),
            Event::Stop => self.stop(step),
        }
        self.follow(from, step);
    }

    /// The second half of a step: time has passed.
    pub fn advance(&mut self, now: Now, actions: &mut Vec<Action>) {
        if matches!(self.life, Life::Over) {
            return;
        }
        let mut from = actions.len();
        let step = &mut self.look_at_clocks(now, false, actions);
        if matches!(self.life, Life::Starting) {
            self.life = Life::Running;
            step.out.push(Action::Notice(Notice::Starting { jobs: self.len() }));
            self.remember_the_new(step);
        }
        self.count_budget = SLICE;
        self.ring_timers(step);
        self.start_spaced(step);
        self.decide(step);
        self.go_on_counting(step);
        loop {
            // A `max_wait` of nothing is over at once.
            self.ring_timers(step);
            if step.out.len() == from {
                break;
            }
            let before = std::mem::replace(&mut from, step.out.len());
            self.follow(before, step);
        }
        self.remember_the_new(step);
        self.remove_done(step);
        self.settle(step);
    }

    /// When to call next if nothing happens before.
    pub fn next_wakeup(&self) -> Wakeup {
        let wall = match (self.life.is_accepting(), &self.all_paused) {
            (true, None) => self.calendar.peek().map(|wake| wake.at),
            (true, Some(pause)) => pause.until,
            (false, _) => None,
        };
        let mut mono = self.timers.peek().map(|timer| timer.at);
        let mut sooner = |at: Mono| mono = Some(mono.map_or(at, |mono| mono.min(at)));
        if let Life::Draining { until } | Life::Ending { until } = self.life {
            sooner(until);
        }
        if self.life.is_accepting()
            && let Some(at) = self.pools.next_start()
        {
            sooner(at);
        }
        if !self.counts.is_empty() {
            sooner(self.last.mono);
        }
        Wakeup { wall, mono }
    }

    /// The definition of a job, by its id.
    pub fn job(&self, id: &str) -> Option<&Arc<Job>> {
        let slot = self.find_job(id)?;
        Some(&self.jobs[slot as usize].job)
    }

    /// The same of a job that is at home here and not paused.
    pub fn active_job(&self, id: &str) -> Option<&Arc<Job>> {
        let state = &self.jobs[self.find_job(id)? as usize];
        (!state.paused && state.away == Away::No).then_some(&state.job)
    }

    /// When a job was first scheduled, by its id.
    pub fn anchor(&self, id: &str) -> Option<Instant> {
        Some(self.jobs[self.find_job(id)? as usize].anchor)
    }

    /// The overrides of a job, by its id: TOML that stands over its definition.
    pub fn overrides(&self, id: &str) -> Option<&str> {
        self.extras.get(&self.find_job(id)?)?.overrides.as_deref()
    }

    /// The definition of a job that was added at run time, by its id.
    pub fn added_text(&self, id: &str) -> Option<&str> {
        self.extras.get(&self.find_job(id)?)?.text.as_deref()
    }

    /// Every job that was added at run time, with its definition as TOML; and every job with
    /// overrides, with those.
    pub fn texts(&self) -> (Texts, Texts) {
        let (mut added, mut overrides) = (Vec::new(), Vec::new());
        for (&slot, extra) in &self.extras {
            let id = &self.jobs[slot as usize].job.id;
            added.extend(extra.text.clone().map(|text| (id.clone(), text)));
            overrides.extend(extra.overrides.clone().map(|text| (id.clone(), text)));
        }
        sort::all(&mut added);
        sort::all(&mut overrides);
        (added, overrides)
    }

    /// Whether a run is active here.
    pub fn has_run(&self, run: RunId) -> bool {
        self.runs.find(run).is_some()
    }

    /// Whether a run waits for another to end: for its worker, or for another run of its job.
    pub fn waits_for_ends(&self) -> bool {
        self.runs.iter().any(|(_, run)| matches!(run.phase, Phase::Queued | Phase::Pending))
    }

    /// The shortest `timeout` of the runs whose process does not exist yet, as far as is known.
    pub fn shortest_timeout(&self) -> Option<Duration> {
        let starting = self.runs.iter().filter(|(_, run)| run.phase == Phase::Starting);
        starting.filter_map(|(_, run)| run.job.options.timeout).min()
    }

    /// The ids of all jobs.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.jobs.iter().filter(|state| !state.gone).map(|state| &*state.job.id)
    }

    /// Whether it has been told to stop.
    pub fn is_stopping(&self) -> bool {
        !self.life.is_accepting()
    }

    /// Whether nothing will ever happen again by itself: no job has a due time left and no run is
    /// active. It goes on all the same (a reload may bring new jobs); that is for the daemon to
    /// decide.
    pub fn is_idle_forever(&self) -> bool {
        self.calendar.is_empty()
            && self.runs.is_empty()
            && self.counts.is_empty()
            && !self.has_undecided()
    }

    /// A summary of the state.
    pub fn status(&self) -> Status {
        let mut active: Vec<Active> = self.runs.iter().map(|(_, run)| run.summary()).collect();
        sort::by_key(&mut active, |active| active.run);
        let running = active.iter().filter(|active| active.doing.is_running()).count();
        let waiting = active.len() - running;
        let is_due = self.life.is_accepting() && self.all_paused.is_none();
        let next = self.calendar.peek().filter(|_| is_due).and_then(|&wake| {
            let is_due = |wake: &&Wake| !self.jobs[wake.slot as usize].paused;
            let wake = if is_due(&&wake) {
                wake
            } else {
                // The end of a pause: the job that is due first is further down.
                *self.calendar.iter().filter(is_due).max()?
            };
            let state = &self.jobs[wake.slot as usize];
            let delayed = self.delayed.get(&wake.slot).and_then(Delayed::first);
            let due = match delayed {
                Some(first) if first.fire <= wake.at => first.due,
                _ => state.next,
            };
            match state.job.excluded(due) {
                None => Some((due, state.job.id.clone())),
                Some(_) => self.next_kept(),
            }
        });
        let all_paused = self.all_paused.clone();
        Status { jobs: self.len(), running, waiting, next, all_paused, active }
    }

    /// The job that is due next without being excluded, where the first is: looked for among those whose
    /// turn is next.
    fn next_kept(&self) -> Option<(Instant, Box<str>)> {
        let mut calendar = self.calendar.clone();
        let mut best: Option<(Instant, u32)> = None;
        for _ in 0..MOST_EXCLUDED {
            let Some(wake) = calendar.pop() else { break };
            if best.is_some_and(|(due, _)| due <= wake.at) {
                break;
            }
            let state = &self.jobs[wake.slot as usize];
            if state.paused {
                continue;
            }
            let due = match state.job.excluded(state.next) {
                None => state.next,
                Some(_) => state.timetable().kept_after(&state.job, state.next),
            };
            if due != NEVER && best.is_none_or(|(least, _)| due < least) {
                best = Some((due, wake.slot));
            }
        }
        best.map(|(due, slot)| (due, self.jobs[slot as usize].job.id.clone()))
    }

    /// How many jobs there are.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len() - self.vacant.len()
    }

    /// Remembers the time, and says so once when the wall clock has jumped.
    fn look_at_clocks<'a>(
        &mut self,
        now: Now,
        was_set: bool,
        out: &'a mut Vec<Action>,
    ) -> Step<'a> {
        // Monotonic time that runs backwards would be a bug of the caller; time then stands still.
        let now = Now { wall: now.wall, mono: now.mono.max(self.last.mono) };
        let by_micros = offset(now).saturating_sub(self.offset);
        let limit = if was_set { SMALL_JUMP } else { JUMP };
        if by_micros.unsigned_abs() >= limit {
            out.push(Action::Notice(Notice::ClockJumped { by_micros }));
            self.offset = offset(now);
        } else if was_set {
            self.offset = offset(now);
        }
        self.last = now;
        Step { now, out }
    }

    /// Puts a job into the calendar anew: when it wants to be looked at has changed.
    fn reschedule(&mut self, slot: u32) {
        self.calendar.retain(|wake| wake.slot != slot);
        let at = self.wake_of(slot);
        if at != NEVER {
            self.calendar.push(Wake { at, slot });
        }
    }

    /// Puts each job into the calendar, from nothing.
    fn fill_calendar(&mut self) {
        let mut wakes = std::mem::take(&mut self.calendar).into_vec();
        wakes.clear();
        wakes.extend((0..self.jobs.len() as u32).filter_map(|slot| {
            let at = self.wake_of(slot);
            (at != NEVER).then_some(Wake { at, slot })
        }));
        self.calendar = BinaryHeap::from(wakes);
    }
}

/// Wall minus monotonic time, in microseconds.
fn offset(now: Now) -> i64 {
    now.wall.micros().saturating_sub(i64::try_from(now.mono.micros()).unwrap_or(i64::MAX))
}
