//! Performs actions, and follows each run until nothing of it is left.
//!
//! A run is `Starting` until a spawner thread has made its process, `Alive` until that ends, and
//! `Sweeping` while processes that it left behind are being ended. Only then the scheduler hears
//! that it has ended. Nearly always nothing is left behind, which one system call tells:
//! `crate::run::child::tree` says how. While a run is swept its main process is kept as a zombie, so
//! that its number, which is also that of its group, cannot come to stand for another. How it is swept
//! is in `sweep`; what becomes of one that cannot be ended, in `trouble`.

mod starts;
mod sweep;
mod trouble;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Resource, Rlimit, WaitId, WaitIdOptions, WaitIdStatus, getrlimit, setrlimit, waitid,
};

use self::starts::Starts;
use self::sweep::Sweep;
use self::trouble::Trouble;
use super::offload::{Done, Lane};
use super::records::Records;
use super::{Plan, TOKEN_RUN, report};
use crate::control::Call;
use crate::core::event::{Action, Change, Event, Exit, Notice, Record, Remember, RunId, Start};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{Job, JobSet};
use crate::core::outcome::Outcome;
use crate::core::words;
use crate::run::child::cgroup::{Group, Groups};
use crate::run::child::mark::Marks;
use crate::run::child::tree::Adopted;
use crate::run::child::{Failure, Pipes, World};
use crate::run::executor::{Executor, Report, Submitter};
use crate::run::output;
use crate::store::keeper::{Answer, FleetOrder, StoreEvent};
use crate::store::{Fact, Process};
use crate::sys::clock;
use crate::sys::epoll::{Epoll, EventFlags};
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
        done: Done,
    },
    /// A start succeeded or failed.
    Report(Report),
    /// The store's thread has something to say.
    Store(StoreEvent),
    /// Somebody asks for something.
    Call(Call),
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Effects {
    epoll: Epoll,
    mailbox: Mailbox<Message>,
    executor: Executor,
    output: output::Handle,
    adopted: Adopted,
    marks: Option<Marks>,
    groups: Option<Groups>,
    /// What has decisions remembered, if anybody does.
    records: Option<Records>,
    runs: HashMap<RunId, Run>,
    /// Runs by the id of their main process.
    by_pid: HashMap<u32, RunId>,
    starts: Starts,
    /// How many runs are being swept.
    sweeping: usize,
    /// How many runs have a process without a handle.
    without_handle: usize,
    trouble: Trouble,
    dry_run: bool,
    once: bool,
    /// How the last attempt ended, as an exit code.
    last_attempt: u8,
    code: Option<u8>,
}

#[derive(Debug)]
struct Run {
    job: Arc<Job>,
    due: Instant,
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
        let limit = getrlimit(Resource::Nofile);
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
        let executor = Executor::start(World::new(limit, marks, groups.clone()), move |outcome| {
            report.send(Message::Report(outcome));
        })?;
        Ok(Effects {
            epoll,
            mailbox,
            executor,
            output: plan.output.clone(),
            adopted,
            marks,
            groups,
            records: None,
            runs: HashMap::new(),
            by_pid: HashMap::new(),
            starts: Starts::default(),
            sweeping: 0,
            without_handle: 0,
            trouble: Trouble::default(),
            dry_run: plan.dry_run,
            once: plan.once,
            last_attempt: 0,
            code: None,
        })
    }

    pub(super) fn epoll(&self) -> &Epoll {
        &self.epoll
    }

    pub(super) fn output(&self) -> output::Handle {
        self.output.clone()
    }

    pub(super) fn mailbox(&self) -> Mailbox<Message> {
        self.mailbox.clone()
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.mailbox.take()
    }

    /// Makes ready for other jobs than before.
    pub(super) fn prepare(&mut self, set: &JobSet) {
        raise_file_limit(set);
    }

    /// The exit code of the last run that has ended.
    pub(super) fn code_of_last_run(&self) -> Option<u8> {
        self.code
    }

    /// The way to the spawners.
    pub(super) fn submitter(&self) -> Submitter {
        self.executor.submitter()
    }

    /// From here on it is remembered what is decided.
    pub(super) fn keep_records(&mut self, records: Records) {
        self.records = Some(records);
    }

    /// At the end of the loop: nobody waits for an answer any more.
    pub(super) fn settle_records(&mut self) {
        if let Some(records) = &mut self.records {
            records.settle();
        }
    }

    /// An answer, once the store has what there is to remember of this pass of the loop.
    pub(super) fn answer(&mut self, answer: Answer) {
        match &mut self.records {
            Some(records) => records.answer(answer),
            None => answer(),
        }
    }

    /// Gives away what was noted in this pass of the loop.
    pub(super) fn flush_records(&mut self) {
        if let Some(records) = &mut self.records {
            records.flush();
        }
    }

    /// Something that the thread of a shared store is to do beside.
    pub(super) fn fleet_order(&self, order: FleetOrder) {
        if let Some(records) = &self.records {
            records.order(order);
        }
    }

    /// Says how many runs are active.
    pub(super) fn set_running(&self) {
        if let Some(records) = &self.records {
            records.set_running(u32::try_from(self.runs.len()).unwrap_or(u32::MAX));
        }
    }

    /// Nothing more will be noted.
    pub(super) fn finish_records(&mut self, now: Instant) {
        if let Some(records) = self.records.take() {
            records.finish(now);
        }
    }

    /// A store that knows nothing is told of the active runs.
    pub(super) fn remember_runs(&mut self, now: Instant) {
        let Some(records) = &mut self.records else { return };
        for (&id, run) in &self.runs {
            let (job, due) = (run.job.id.clone(), run.due);
            let (by, host, slot) = (None, None, None);
            records.add(Fact::Admitted { run: id, job, due, at: now, by, host, slot });
            records.add(Fact::Starting { run: id, attempt: 1 });
            if let Some(process) = run.process {
                records.add(Fact::Started { run: id, attempt: 1, process, at: now });
            }
        }
    }

    /// A run that an earlier scheduler has started goes on under watch.
    pub(super) fn take_back(
        &mut self,
        id: RunId,
        job: Arc<Job>,
        due: Instant,
        process: Process,
        handle: OwnedFd,
    ) {
        if let Err(errno) = self.epoll.add(&handle, id.0 + TOKEN_RUN, EventFlags::IN) {
            log::error!(job = &*job.id, run = id.0; "its process cannot be watched: {errno}");
        }
        let state = State::Alive { pid: process.pid, handle: Some(handle) };
        let (order, process) = (Order::None, Some(process));
        self.by_pid.insert(process.map_or(0, |process| process.pid), id);
        let (pipes, is_foreign, asked) = (None, true, Vec::new());
        let group = process.and_then(|process| Group::of(process.pid));
        let run = Run { job, due, state, order, pipes, process, is_foreign, asked, group };
        self.runs.insert(id, run);
    }

    /// Has something remembered that no action says.
    pub(super) fn remember_change(&mut self, change: Change) {
        if let Some(records) = &mut self.records {
            records.add(Fact::Change(change));
        }
    }

    /// A run is none of ours: its start has been dropped.
    pub(super) fn claim_lost(&mut self, id: RunId) {
        if self.runs.get(&id).is_some_and(|run| matches!(run.state, State::Starting)) {
            self.starts.remove(id);
            self.runs.remove(&id);
        }
    }

    pub(super) fn perform(&mut self, action: Action, now: Now, events: &mut VecDeque<Event>) {
        if let Some(records) = &mut self.records {
            let process = match &action {
                Action::Notice(Notice::Started { run, .. }) => {
                    self.runs.get(run).and_then(|run| run.process)
                }
                _ => None,
            };
            records.note(&action, now.wall, process);
        }
        match action {
            Action::Start(start) if self.dry_run => would_start(&start, events),
            Action::Start(start) => self.start(start),
            Action::Terminate(run) => self.order(run, Order::Terminate, events),
            Action::Kill(run) => self.order(run, Order::Kill, events),
            Action::Record(record) => self.record(&record),
            Action::Notice(Notice::Started { .. }) if self.dry_run => {}
            Action::Notice(notice) => {
                report::notice(&notice);
                if let Notice::Started { run, .. } = notice {
                    self.attach(run);
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

    fn record(&mut self, record: &Record) {
        // That a run which was only pretended has succeeded is no news; that one is missed is.
        let pretended = self.dry_run && matches!(record.outcome, Outcome::Succeeded);
        if !pretended {
            report::record(record);
        }
        if self.once {
            self.code = Some(match record.outcome {
                Outcome::TimedOut => 124,
                _ => self.last_attempt,
            });
        }
    }

    /// Lets what a run prints be read.
    fn attach(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if let Some(pipes) = run.pipes.take() {
            self.output.attach(id, Arc::clone(&run.job), pipes);
        }
    }

    fn start(&mut self, start: Start) {
        let job = Arc::clone(&start.job);
        let (state, order) = (State::Starting, Order::None);
        let (pipes, process, is_foreign) = (None, None, false);
        let (due, asked, group) = (start.due, Vec::new(), None);
        let run = Run { job, due, state, order, pipes, process, is_foreign, asked, group };
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
                    let reason = "it was ended before its process existed".to_owned();
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
            Report::Started { run: id, pid, start, taken, at, handle, group, pipes } => {
                self.starts.remove(id);
                events.push_back(Event::Started { run: id, pid, at, taken });
                let Some(run) = self.runs.get_mut(&id) else { return };
                self.by_pid.insert(pid, id);
                let watch = |handle: &OwnedFd| {
                    self.epoll.add(handle, id.0 + TOKEN_RUN, EventFlags::IN).is_ok()
                };
                let watched = handle.filter(watch);
                let has_handle = watched.is_some();
                (run.pipes, run.group) = (pipes, group);
                run.process = Some(Process { pid, start });
                run.state = State::Alive { pid, handle: watched };
                let order = run.order;
                if !has_handle {
                    self.without_handle += 1;
                    // It may have ended before anybody was looking.
                    self.child_ready(id.0, events);
                }
                if order != Order::None {
                    self.signal_tree(id, order, events);
                }
            }
        }
    }

    /// The main process of a run has ended, or may have.
    pub(super) fn child_ready(&mut self, number: u64, events: &mut VecDeque<Event>) {
        let id = RunId(number);
        let Some(Run { state: State::Alive { pid, handle }, is_foreign, .. }) = self.runs.get(&id)
        else {
            return self.abandoned_ready(id);
        };
        let (pid, is_foreign) = (*pid, *is_foreign);
        let exit = if is_foreign {
            handle.as_ref().filter(|handle| has_ended(handle)).map(|_| Exit::Unknown)
        } else {
            wait(pid, WaitIdOptions::NOWAIT)
        };
        let Some(exit) = exit else { return };
        let handle = self.unwatch(id);
        if is_foreign {
            // Its number is free for others now.
            self.by_pid.remove(&pid);
        }
        let is_empty = self.is_group_empty(id);
        if !is_foreign && is_empty && !self.adopted.reap() {
            self.ended(id, pid, exit, events);
            return;
        }
        let Some(run) = self.runs.get_mut(&id) else { return };
        let now = clock::mono();
        let kill_at = match run.order {
            Order::Kill => now,
            _ => now.plus(run.job.options.kill_after),
        };
        // The number of a child is kept; another's group can only be reached by its handle.
        let handle = handle.filter(|_| is_foreign);
        run.state = State::Sweeping(Sweep::new(pid, handle, exit, kill_at, now));
        self.sweeping += 1;
        self.sweep(id, now, events);
    }

    /// The handle of a main process that need not be watched any more.
    fn unwatch(&mut self, id: RunId) -> Option<OwnedFd> {
        let State::Alive { handle, .. } = &mut self.runs.get_mut(&id)?.state else { return None };
        match handle.take() {
            Some(handle) => {
                self.epoll.remove(&handle);
                Some(handle)
            }
            None => {
                self.without_handle -= 1;
                None
            }
        }
    }

    /// Nothing is left of a run.
    fn ended(&mut self, id: RunId, pid: u32, exit: Exit, events: &mut VecDeque<Event>) {
        if exit != Exit::Unknown {
            // Only now its number may be given to another.
            let _ = wait(pid, WaitIdOptions::empty());
            self.executor.child_ended();
            self.by_pid.remove(&pid);
        }
        // It may have been swift enough to end before the scheduler has heard that it started.
        self.attach(id);
        self.runs.remove(&id);
        self.trouble.over(id);
        self.output.ended(id);
        self.last_attempt = match exit {
            Exit::Code(code) => u8::try_from(code).unwrap_or(1),
            Exit::Signal(signal) => 128 | u8::try_from(signal).unwrap_or(0),
            Exit::Unknown => 1,
        };
        events.push_back(Event::Ended { run: id, exit });
    }

    /// SIGCHLD: an adopted process may have ended, or a main process that has no handle.
    pub(super) fn children_ended(&mut self, events: &mut VecDeque<Event>) {
        self.adopted.reap();
        self.abandoned_ended();
        if self.without_handle > 0 {
            let unwatched = |(id, run): (&RunId, &Run)| {
                matches!(run.state, State::Alive { handle: None, .. }).then_some(*id)
            };
            let unwatched: Vec<RunId> = self.runs.iter().filter_map(unwatched).collect();
            for id in unwatched {
                self.child_ready(id.0, events);
            }
        }
        if self.sweeping > 0 {
            let now = clock::mono();
            self.sweep_those(now, |_| true, events);
        }
    }

    /// When [`Effects::look_after`] has something to do.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let records = self.records.as_ref().and_then(Records::deadline);
        let others = [records, self.trouble.deadline(), self.starts.deadline()];
        let others = others.into_iter().flatten();
        if self.sweeping == 0 {
            return others.min();
        }
        let sweeps = self.runs.values().filter_map(|run| run.sweep().map(|sweep| sweep.look_at));
        sweeps.chain(others).min()
    }

    /// Does what is to be done at a time.
    pub(super) fn look_after(&mut self, now: Mono, events: &mut VecDeque<Event>) {
        if let Some(records) = &mut self.records {
            records.hurry_in_time(now);
        }
        self.look_at_starts(now, events);
        if self.sweeping > 0 {
            self.sweep_those(now, |sweep| sweep.look_at <= now, events);
        }
        self.doubt_in_time(now);
    }
}

/// How the process with this id has ended, if it has.
fn wait(pid: u32, options: WaitIdOptions) -> Option<Exit> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | options;
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Ok(status) => return status.map(|status| exit(&status)),
            Err(rustix::io::Errno::INTR) => {}
            // Somebody else has waited for it, which nobody does; but a slot must not be lost.
            Err(_) => return Some(Exit::Code(255)),
        }
    }
}

/// Whether the process of a handle has ended; for one that is not our child.
fn has_ended(handle: &OwnedFd) -> bool {
    let mut handles = [PollFd::new(handle, PollFlags::IN)];
    let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut handles, Some(&no_wait)), Ok(1..))
}

fn exit(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(255),
    }
}

/// `--dry-run`: says what would be started, and that it has succeeded.
fn would_start(start: &Start, events: &mut VecDeque<Event>) {
    log::info!(
        event = "would_start",
        job = &*start.job.id,
        run = start.run.0,
        due = &*words::rfc3339(start.due, &start.job.zone);
        "would start now"
    );
    let at = clock::now();
    events.push_back(Event::Started { run: start.run, pid: 0, at, taken: at.mono });
    events.push_back(Event::Ended { run: start.run, exit: Exit::Code(0) });
}

/// How many attempts there can be at once.
fn slots(set: &JobSet) -> u64 {
    set.executors.iter().map(|executor| u64::from(executor.max_workers)).sum()
}

/// Allows this process as many open files as its jobs can need at once: three each, and three more
/// while one is being started. The limit of the jobs themselves stays as it was.
fn raise_file_limit(set: &JobSet) {
    let slots = slots(set);
    // More than this many at once are not worth a table of that size in the kernel.
    let wanted = 64 + 4 * slots.min(250_000);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    if let Err(errno) =
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum })
    {
        log::debug!("the limit of open files cannot be raised to {raised}: {errno}");
    }
}
