//! Performs actions, and follows each run until nothing of it is left.
//!
//! A run is `Starting` until a spawner thread has made its process, `Alive` until that ends, and
//! `Sweeping` while processes that it left behind are being ended. Only then the scheduler hears
//! that it has ended. Nearly always nothing is left behind, which one system call tells:
//! `crate::run::child::tree` says how. While a run is swept its main process is kept as a zombie, so
//! that its number, which is also that of its group, cannot come to stand for another. How it is swept
//! is in `sweep`; what becomes of one that cannot be ended, in `trouble`. `starts` watches over those
//! that hang, `exit` hears of ends, `facts` has things remembered, `fleet` is about other hosts, `told`
//! is what is said, and `room` how many files may be open.

mod exit;
mod facts;
mod fleet;
mod notify;
mod room;
mod starts;
mod sweep;
mod told;
mod trouble;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::{Resource, WaitIdOptions, getrlimit};

use self::room::{raise_file_limit, slots};
use self::starts::Starts;
use self::sweep::Sweep;
use self::told::would_start;
use self::trouble::Trouble;
use super::catching_up::CatchingUp;
use super::hooks::FailedHook;
use super::messages::Messages;
use super::offload::{Done, Lane};
use super::records::Records;
use super::unusual::{Habits, Ran};
use super::{Plan, report};
use crate::control::Call;
use crate::core::condition::Answer;
use crate::core::event::{
    Action, Active, Check, Event, Notice, Record, Remember, Response, RunId, Start, UnusualRun,
};
use crate::core::habit::Success;
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{Job, JobSet};
use crate::core::streak::Streak;
use crate::run::child::cgroup::{Group, Groups};
use crate::run::child::limit::{self, Confined, Limiter};
use crate::run::child::mark::Marks;
use crate::run::child::tree::Adopted;
use crate::run::child::{Failure, Pipes, World};
use crate::run::condition::Checks;
use crate::run::executor::{Executor, Hear, Report, Submitter};
use crate::run::hook::Hooks;
use crate::run::output;
use crate::store::Process;
use crate::store::keeper::StoreEvent;
use crate::sys::clock;
use crate::sys::epoll::Epoll;
use crate::sys::mailbox::Mailbox;

/// What other threads send the loop.
#[derive(Debug)]
pub(crate) enum Message {
    /// What was handed to another thread is done.
    Done {
        /// Which of them.
        lane: Lane,
        /// The number of that piece of work.
        number: u64,
        /// What has come of it.
        done: Box<Done>,
    },
    /// A start succeeded or failed.
    Report(Report),
    /// The store's thread has something to say.
    Store(StoreEvent),
    /// Somebody asks for something.
    Call(Call),
    /// What was asked of all hosts, by that number, is done here.
    OwnPart(u64, Box<Response>),
    /// The conditions of a run were looked at: what has come of that look, if it is over.
    Looked(RunId, u32, Option<Answer>),
    /// The end of what a run has printed, for who is told of it.
    Printed(RunId, String),
    /// The last runs of a job that have succeeded.
    Successes(Box<str>, Vec<Success>),
    /// A run has succeeded, and may be out of the ordinary.
    Ran(Box<Ran>),
    /// One is.
    Unusual(Box<UnusualRun>),
}

impl Message {
    /// Whether it may wait while starts go first: it is about what has been, and nobody waits for it.
    fn may_be_deferred(&self) -> bool {
        match self {
            Message::Report(_) | Message::Printed(..) | Message::Successes(..) => true,
            Message::Ran(_) | Message::Unusual(_) => true,
            Message::Done { .. } | Message::Store(_) | Message::Call(_) => false,
            Message::OwnPart(..) | Message::Looked(..) => false,
        }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Effects {
    epoll: Epoll,
    mailbox: Mailbox<Message>,
    /// What was taken from it when it was not time for it.
    deferred: Vec<Message>,
    executor: Executor,
    hooks: Hooks,
    /// Who looks at conditions.
    checks: Checks,
    /// Those of jobs that have failed. It is read once more when the loop has ended.
    failed_hooks: Mailbox<FailedHook>,
    /// The jobs of which the store knows some.
    with_failed_hooks: HashSet<Box<str>>,
    habits: Habits,
    output: output::Handle,
    adopted: Adopted,
    marks: Option<Marks>,
    groups: Option<Groups>,
    limiter: Limiter,
    /// What has decisions remembered, if anybody does.
    records: Option<Records>,
    runs: HashMap<RunId, Run>,
    /// Runs by the id of their main process.
    by_pid: HashMap<u32, RunId>,
    starts: Starts,
    /// How many runs are being swept.
    sweeping: usize,
    /// The most memory that the scheduler is known to have had, in bytes.
    own_peak: u64,
    /// That was looked up in this pass of the loop.
    own_peak_is_fresh: bool,
    /// How many runs have a process without a handle.
    without_handle: usize,
    trouble: Trouble,
    /// Who tells people, if anybody is to be told.
    messages: Option<Messages>,
    /// What was due while nobody was there, until all of it is decided.
    catching_up: Option<CatchingUp>,
    dry_run: bool,
    once: bool,
    /// How the last attempt ended, as an exit code.
    last_attempt: u8,
    code: Option<u8>,
    /// The last run that has ended, and the process of the last one.
    last_run: Option<Record>,
    last_process: Option<Process>,
}

#[derive(Debug)]
struct Run {
    job: Arc<Job>,
    due: Instant,
    /// The number of its attempt.
    attempt: u32,
    state: State,
    /// What the scheduler has asked to do to its tree.
    order: Order,
    /// Where its output can be read, until the log has said that it has started.
    pipes: Option<Pipes>,
    /// Its main process, once that exists.
    process: Option<Process>,
    /// It was started by an earlier scheduler: its main process is not our child, and neither is
    /// what that leaves behind.
    is_foreign: bool,
    /// Who of its tree has been asked to end, but for its main process.
    asked: Vec<Process>,
    /// The control group that it is in.
    group: Option<Group>,
    /// What holds it to its limits.
    confined: Confined,
}

impl Run {
    /// One of which nothing is known yet but what it is for.
    fn new(job: Arc<Job>, due: Instant, attempt: u32, state: State) -> Run {
        Run {
            job,
            due,
            attempt,
            state,
            order: Order::None,
            pipes: None,
            process: None,
            is_foreign: false,
            asked: Vec::new(),
            group: None,
            confined: Confined::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    None,
    Terminate,
    Kill,
}

#[derive(Debug)]
enum State {
    /// A spawner thread has it.
    Starting,
    /// Its main process exists.
    Alive { pid: u32, handle: Option<OwnedFd> },
    /// Its main process has ended, others of its tree have not.
    Sweeping(Sweep),
}

impl Effects {
    pub(super) fn new(
        plan: &Plan,
        epoll: Epoll,
        mailbox: Mailbox<Message>,
        marks: Option<Marks>,
    ) -> io::Result<Effects> {
        let adopted = match marks {
            Some(marks) if plan.embedded => Adopted::in_shared_process(marks)?,
            _ => Adopted::new(marks)?,
        };
        let file_limit = getrlimit(Resource::Nofile);
        // What is made ahead for its jobs is open before they take effect.
        raise_file_limit(&plan.jobfile.set);
        let report = mailbox.clone();
        let slots = slots(&plan.jobfile.set);
        let groups = match Groups::new(usize::try_from(slots).unwrap_or(usize::MAX)) {
            Ok(groups) => Some(groups),
            Err(why) => {
                log::debug!("runs have no control groups of their own: {why}");
                None
            }
        };
        limit::remove_left_over();
        let limiter = Limiter::default();
        let world = Arc::new(World::new(file_limit, marks, groups.clone(), limiter.clone()));
        let executor = Executor::new(Arc::clone(&world), move |outcome, hear| {
            report.leave(Message::Report(outcome));
            if hear == Hear::Now {
                report.tell();
            }
        });
        let starts = executor.submitter();
        let hooks = Hooks::new(Arc::clone(&world), move || starts.is_behind())?;
        let told = mailbox.clone();
        let checks = Checks::new(world, move |run, number, answer| {
            told.send(Message::Looked(run, number, answer));
        });
        Ok(Effects {
            epoll,
            with_failed_hooks: HashSet::new(),
            habits: Habits::default(),
            failed_hooks: Mailbox::new(Arc::clone(mailbox.waker())),
            mailbox,
            deferred: Vec::new(),
            executor,
            hooks,
            checks,
            output: plan.output.clone(),
            adopted,
            marks,
            groups,
            limiter,
            records: None,
            messages: None,
            runs: HashMap::new(),
            by_pid: HashMap::new(),
            starts: Starts::default(),
            sweeping: 0,
            own_peak: 0,
            own_peak_is_fresh: false,
            without_handle: 0,
            trouble: Trouble::default(),
            catching_up: None,
            dry_run: plan.dry_run,
            once: plan.once,
            last_attempt: 0,
            code: None,
            last_run: None,
            last_process: None,
        })
    }

    pub(super) fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    pub(super) fn output(&self) -> output::Handle {
        self.output.clone()
    }

    /// The way to short commands that run beside the jobs.
    pub(super) fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Where it is told which of them have failed.
    pub(super) fn failed_hooks(&self) -> &Mailbox<FailedHook> {
        &self.failed_hooks
    }

    /// The jobs of which the store knows some that have failed.
    pub(super) fn with_failed_hooks(&mut self) -> &mut HashSet<Box<str>> {
        &mut self.with_failed_hooks
    }

    /// What is known of the habits of jobs.
    pub(super) fn habits(&self) -> &Habits {
        &self.habits
    }

    pub(super) fn habits_mut(&mut self) -> &mut Habits {
        &mut self.habits
    }

    /// Conditions of a run were looked at.
    pub(super) fn checked(
        &mut self,
        run: RunId,
        number: u32,
        answer: Option<Answer>,
        events: &mut VecDeque<Event>,
    ) {
        self.checks.go_on(clock::mono());
        events.extend(answer.map(|answer| Event::Checked { run, number, answer }));
    }

    /// Ends what is under way of them.
    pub(super) fn settle_checks(&self) {
        self.checks.settle();
    }

    pub(super) fn mailbox(&self) -> Mailbox<Message> {
        self.mailbox.clone()
    }

    pub(super) fn messages(&mut self) -> Vec<Message> {
        let mut messages = mem::take(&mut self.deferred);
        messages.append(&mut self.mailbox.take());
        messages
    }

    /// Makes ready for other jobs than before.
    pub(super) fn prepare(&mut self, set: &JobSet) {
        raise_file_limit(set);
    }

    /// The exit code of the last run that has ended.
    pub(super) fn code_of_last_run(&self) -> Option<u8> {
        self.code
    }

    /// The same run itself, with its process.
    pub(super) fn take_last_run(&mut self) -> Option<(Record, Option<Process>)> {
        Some((self.last_run.take()?, self.last_process))
    }

    /// The way to the spawners.
    pub(super) fn submitter(&self) -> Submitter {
        self.executor.submitter()
    }

    /// A run that an earlier scheduler has started goes on under watch.
    pub(super) fn take_back(
        &mut self,
        Active { run: id, job, due, attempt, .. }: Active,
        process: Process,
        handle: OwnedFd,
    ) {
        if let Err(errno) = self.watch(&handle, id) {
            log::error!(job = &*job.id, run = id.0; "cannot watch its process: {errno}");
        }
        let state = State::Alive { pid: process.pid, handle: Some(handle) };
        self.by_pid.insert(process.pid, id);
        let group = Group::of(process.pid);
        // Whatever it prints goes elsewhere.
        let (process, is_foreign) = (Some(process), true);
        let run = Run { process, is_foreign, group, ..Run::new(job, due, attempt, state) };
        self.runs.insert(id, run);
    }

    /// Does what was decided. `streak`: how many runs of its job have failed in a row, with or before it.
    pub(super) fn perform(
        &mut self,
        action: Action,
        streak: Streak,
        now: Now,
        events: &mut VecDeque<Event>,
    ) {
        if let Some(records) = &mut self.records {
            records.note(&action, now.wall);
        }
        self.tell(&action, streak, now);
        match action {
            Action::Start(start) if self.dry_run => would_start(&start, events),
            Action::Start(start) => self.start(start),
            Action::Check(Check { run, number, .. }) if self.dry_run => {
                events.push_back(Event::Checked { run, number, answer: Answer::Hold });
            }
            Action::Check(check) => self.checks.begin(check, now.mono),
            Action::Terminate(run) => self.order(run, Order::Terminate, events),
            Action::Kill(run) => self.order(run, Order::Kill, events),
            Action::Record(record) => self.record(&record),
            Action::Notice(Notice::Started { .. }) if self.dry_run => {}
            Action::Notice(notice) => {
                report::notice(&notice);
                match notice {
                    Notice::Started { run, .. } => self.attach(run),
                    // There will be no record of it.
                    Notice::Disowned { run, .. } => self.output.over(run, None),
                    Notice::ClockJumped { by_micros: by @ 1.. } => {
                        self.catch_up(CatchingUp::after_jump(by, now.wall));
                    }
                    _ => {}
                }
            }
            Action::Remember(Remember::Job(record)) => {
                if let Some(records) = &mut self.records {
                    records.remember(record);
                }
            }
            Action::Remember(_) | Action::Answer { .. } | Action::Exit => {}
        }
    }

    /// Lets what a run prints be read.
    fn attach(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if let Some(pipes) = run.pipes.take() {
            self.output.attach(id, run.attempt, Arc::clone(&run.job), pipes);
        }
    }

    fn start(&mut self, start: Start) {
        let job = Arc::clone(&start.job);
        let run = Run::new(job, start.due, start.attempt, State::Starting);
        self.runs.insert(start.run, run);
        self.starts.add(clock::mono());
        match &mut self.records {
            Some(records) => records.start(start),
            None => self.executor.submit(start),
        }
    }

    fn order(&mut self, id: RunId, order: Order, events: &mut VecDeque<Event>) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        run.order = run.order.max(order);
        match &mut run.state {
            State::Starting => {
                let mut taken = self.executor.take_back(id);
                if let Some(records) = &mut self.records {
                    taken = taken || records.take_back(id);
                }
                if taken {
                    self.starts.remove(id);
                    self.runs.remove(&id);
                    let reason = "stopped before its process existed".to_owned();
                    events.push_back(Event::NotStarted { run: id, reason, transient: false });
                } else {
                    self.give_up_start(id, events);
                }
            }
            State::Alive { .. } => self.signal_tree(id, order, events),
            State::Sweeping(sweep) => {
                if order == Order::Kill {
                    sweep.kill_at = sweep.kill_at.min(clock::mono());
                    sweep.look_at = sweep.kill_at;
                }
            }
        }
    }

    /// A start has succeeded or failed.
    pub(super) fn reported(&mut self, report: Report, events: &mut VecDeque<Event>) {
        match report {
            Report::NotStarted { run, failure: Failure { reason, transient, code } } => {
                self.starts.remove(run);
                self.runs.remove(&run);
                self.last_attempt = code;
                events.push_back(Event::NotStarted { run, reason, transient });
            }
            Report::CameBack { run, job, after, late, killed } => {
                starts::came_back(run, &job, after, late, killed);
            }
            Report::Started { run: id, pid, start, taken, at, handle, group, confined, pipes } => {
                self.starts.remove(id);
                let process = Process { pid, start };
                events.push_back(Event::Started { run: id, process, at, taken });
                if !self.runs.contains_key(&id) {
                    return;
                }
                self.by_pid.insert(pid, id);
                // It may have ended by now: then nobody needs to be told when it does.
                let is_over = exit::wait(pid, WaitIdOptions::NOWAIT).is_some();
                let watched = handle.filter(|handle| !is_over && self.watch(handle, id).is_ok());
                let Some(run) = self.runs.get_mut(&id) else { return };
                let has_handle = watched.is_some();
                (run.pipes, run.group, run.confined) = (pipes, group, confined);
                run.process = Some(process);
                self.last_process = run.process;
                run.state = State::Alive { pid, handle: watched };
                let order = run.order;
                if !has_handle {
                    self.without_handle += 1;
                    // It has ended, or may have before anybody was looking.
                    self.child_ready(id, clock::mono(), events);
                }
                if order != Order::None {
                    self.signal_tree(id, order, events);
                }
            }
        }
    }

    /// When [`Effects::look_after`] has something to do.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let records = self.records.as_ref().and_then(Records::deadline);
        let begins = [records, self.starts.deadline()].into_iter().flatten();
        begins.chain(self.deadline_of_begun()).min()
    }

    /// The same, but for what has to do with starts.
    pub(super) fn deadline_of_begun(&self) -> Option<Mono> {
        let others = [self.trouble.deadline(), self.checks.deadline()].into_iter().flatten();
        if self.sweeping == 0 {
            return others.min();
        }
        let sweeps = self.runs.values().filter_map(|run| run.sweep().map(|sweep| sweep.look_at));
        sweeps.chain(others).min()
    }

    /// Does what is to be done at a time.
    pub(super) fn look_after(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        self.own_peak_is_fresh = false;
        if let Some(records) = &mut self.records {
            records.hurry_in_time(now);
        }
        self.look_at_starts(now, events);
        self.checks.give_up_in_time(now);
        if self.sweeping > 0 {
            self.sweep_those(now, |sweep| sweep.look_at <= now, events);
        }
        self.doubt_in_time(now);
    }
}
