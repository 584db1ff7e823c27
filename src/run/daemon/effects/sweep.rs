//! What a run leaves behind: processes of its tree that outlive the main one are found and ended.
//!
//! Who belongs to a run is told by `crate::run::child::tree`. When to look again is told by
//! SIGCHLD, and by a time for what gives no sign.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::{Effects, Order, Run, State, trouble};
use crate::core::event::{Event, Exit, RunId};
use crate::core::instant::Mono;
use crate::core::sort;
use crate::core::words;
use crate::run::child::signal::{self, Main};
use crate::run::child::tree::{self, Origin};
use crate::store::Process;

/// How soon the first look after a KILL is; each further one waits twice as long.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(500);

/// A tree that forks faster than it is killed is killed this often in a row.
const ROUNDS: u32 = 64;

/// For so long it is retried to look for what is left, where that fails.
const BLIND_FOR: Duration = Duration::from_secs(3);
const BLIND_PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) pid: u32,
    /// The handle of the main process, where its number is not kept for it.
    handle: Option<OwnedFd>,
    pub(super) exit: Exit,
    /// When those that were asked to end are killed.
    pub(super) kill_at: Mono,
    /// When to look again, unless one of them ends before.
    pub(super) look_at: Mono,
    looks: u32,
    /// Since when looking fails.
    blind: Option<Mono>,
}

impl Sweep {
    pub(super) fn new(
        pid: u32,
        handle: Option<OwnedFd>,
        exit: Exit,
        kill_at: Mono,
        now: Mono,
    ) -> Sweep {
        Sweep { pid, handle, exit, kill_at, look_at: now, looks: 0, blind: None }
    }

    /// The main process, for its group: it has ended.
    fn main(&self, is_foreign: bool) -> Main<'_> {
        Main { pid: self.pid, handle: self.handle.as_ref(), is_child: !is_foreign }
    }
}

impl Effects {
    /// Ends the tree of a run whose main process is alive. With a KILL, what that leaves behind is
    /// swept once the main process has ended.
    pub(super) fn signal_tree(&mut self, id: RunId, order: Order, events: &mut VecDeque<Event>) {
        // Who cannot be seen now is found when the main process has ended.
        let others = self.adopted_of(id).unwrap_or_default();
        let Some(run) = self.runs.get_mut(&id) else { return };
        let State::Alive { pid, handle } = &run.state else { return };
        let main = Main { pid: *pid, handle: handle.as_ref(), is_child: !run.is_foreign };
        let done = match order {
            Order::None => return,
            Order::Terminate => signal::terminate(Some(main), &others),
            Order::Kill => signal::kill(Some(main), &others),
        };
        let pid = main.pid;
        run.asked.extend(done.reached);
        // The kernel asks nobody's leave.
        let by_group = run.group.as_ref().is_some_and(|group| match order {
            Order::Kill => group.kill().is_ok(),
            _ => true,
        });
        if !by_group {
            self.may_not_signal(id, &done.forbidden);
        }
        match order {
            Order::Kill if !by_group && done.forbidden.contains(&pid) => self.abandon(id, events),
            Order::Kill => self.killed(id),
            _ => {}
        }
    }

    /// Whether the control group of a run is known to be empty, or it has none: nearly always, when
    /// its main process has ended.
    pub(super) fn is_group_empty(&mut self, id: RunId) -> bool {
        let group = self.runs.get_mut(&id).and_then(|run| run.group.as_mut());
        group.is_none_or(|group| group.is_empty().unwrap_or(true))
    }

    /// Looks for what is left of a run whose main process has ended, and ends it.
    pub(super) fn sweep(&mut self, id: RunId, now: Mono, events: &mut VecDeque<Event>) {
        for _ in 0..ROUNDS {
            let left = match self.adopted_of(id) {
                Ok(left) => left,
                Err(error) => return self.sweep_blindly(id, &error, now, events),
            };
            self.trouble.can_look();
            if left.is_empty() {
                return self.swept(id, events);
            }
            let Some(run) = self.runs.get_mut(&id) else { return };
            let State::Sweeping(sweep) = &mut run.state else { return };
            sweep.blind = None;
            sweep.looks += 1;
            if sweep.looks == 1 {
                log::warn!(
                    event = "left_behind",
                    job = &*run.job.id,
                    run = id.0,
                    processes = left.len();
                    "main process exited; ending {}", leftover(left.len())
                );
            }
            if now < sweep.kill_at {
                return self.ask_to_end(id, &left);
            }
            let pause = FIRST_LOOK * 2u32.pow(sweep.looks.min(10));
            sweep.look_at = now.plus(pause.min(LAST_LOOK));
            let (looks, killed_for) = (sweep.looks, now.since(sweep.kill_at));
            let forbidden = self.kill_left(id, &left);
            if left.iter().all(|process| forbidden.contains(&process.pid)) {
                return self.swept(id, events);
            }
            if killed_for >= trouble::PATIENCE {
                self.does_not_end(id, &left);
            }
            if looks.is_multiple_of(2) {
                // They need a moment to die; SIGCHLD says when.
                return;
            }
        }
    }

    /// TERM for those of what is left of a run that have not had it.
    fn ask_to_end(&mut self, id: RunId, left: &[Process]) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let State::Sweeping(sweep) = &mut run.state else { return };
        // Its group has been asked with the main process, or is now.
        let is_first = sweep.looks == 1 && run.order == Order::None;
        let main = is_first.then(|| sweep.main(run.is_foreign));
        let new = |process: &&Process| !run.asked.contains(process);
        let new: Vec<Process> = left.iter().filter(new).copied().collect();
        let done = signal::terminate(main, &new);
        sweep.look_at = sweep.kill_at;
        run.asked.extend(new);
        run.asked.extend(done.reached);
        if run.group.is_none() {
            self.may_not_signal(id, &done.forbidden);
        }
    }

    /// KILL for what is left of a run. Answers who may not be signalled.
    fn kill_left(&mut self, id: RunId, left: &[Process]) -> Vec<u32> {
        let Some(run) = self.runs.get_mut(&id) else { return Vec::new() };
        let State::Sweeping(sweep) = &mut run.state else { return Vec::new() };
        let mut done = signal::kill(Some(sweep.main(run.is_foreign)), left);
        if let Some(group) = &run.group
            && group.kill().is_ok()
        {
            let killed = group.processes().unwrap_or_default();
            done.forbidden.retain(|pid| killed.iter().all(|process| process.pid != *pid));
        }
        if run.group.is_some() {
            let new = |process: &&Process| !run.asked.contains(process);
            let new: Vec<Process> = left.iter().filter(new).copied().collect();
            run.asked.extend(new);
        }
        self.may_not_signal(id, &done.forbidden);
        done.forbidden
    }

    /// What is left of a run cannot be looked for. That is no answer, so it is retried; but
    /// not for ever, because whoever cannot look now may never be able to.
    fn sweep_blindly(
        &mut self,
        id: RunId,
        error: &io::Error,
        now: Mono,
        events: &mut VecDeque<Event>,
    ) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        let State::Sweeping(sweep) = &mut run.state else { return };
        let is_first = sweep.blind.is_none();
        let since = *sweep.blind.get_or_insert(now);
        let gives_up = self.trouble.is_blind() || now.since(since) >= BLIND_FOR;
        // Its group can be reached without a look.
        let main = Some(sweep.main(run.is_foreign));
        if gives_up || now >= sweep.kill_at {
            signal::kill(main, &[]);
        } else if is_first && run.order == Order::None {
            signal::terminate(main, &[]);
        }
        if !gives_up {
            log::debug!("the tree of run {id} cannot be looked at: {error}");
            sweep.look_at = now.plus(BLIND_PAUSE);
            return;
        }
        log::warn!(
            event = "cannot_look",
            job = &*run.job.id,
            run = id.0,
            reason = &*error.to_string();
            "main process exited; cannot check whether it left processes running: {error}"
        );
        self.trouble.cannot_look(error);
        self.swept(id, events);
    }

    /// Nothing is left of a run that could be ended.
    fn swept(&mut self, id: RunId, events: &mut VecDeque<Event>) {
        // It is looked whether its control group is fit for another run.
        self.is_group_empty(id);
        let Some(run) = self.runs.get(&id) else { return };
        run.asked.iter().for_each(|process| tree::reap_stray(*process));
        let Some(sweep) = run.sweep() else { return };
        let (pid, exit) = (sweep.pid, sweep.exit);
        self.sweeping -= 1;
        self.ended(id, pid, exit, None, events);
    }

    /// The processes of a run that are left, or are known to belong to it beside those below its
    /// main process.
    fn adopted_of(&mut self, id: RunId) -> io::Result<Vec<Process>> {
        let Some(run) = self.runs.get(&id) else { return Ok(Vec::new()) };
        let main = run.process.map(|process| process.pid);
        let mut found = match &run.group {
            None => self.adopted_by_sight(id)?,
            Some(group) => {
                let mut found = group.processes()?;
                // Who was moved elsewhere is found by the other ways.
                found.extend(self.adopted_by_sight(id)?);
                sort::by_key(&mut found, |process| process.pid);
                found.dedup();
                found
            }
        };
        found.retain(|process| Some(process.pid) != main);
        Ok(found)
    }

    fn adopted_by_sight(&mut self, id: RunId) -> io::Result<Vec<Process>> {
        if self.runs.get(&id).is_some_and(|run| run.is_foreign) {
            return self.marks.map_or(Ok(Vec::new()), |marks| tree::marked_as(marks, id));
        }
        let only = if self.runs.len() == 1 { Some(id) } else { None };
        let (runs, by_pid) = (&self.runs, &self.by_pid);
        self.adopted.of(id, |origin| whose(runs, by_pid, origin), only)
    }

    pub(super) fn sweep_those(
        &mut self,
        now: Mono,
        wanted: impl Fn(&Sweep) -> bool,
        events: &mut VecDeque<Event>,
    ) {
        let wanted = |(id, run): (&RunId, &Run)| run.sweep().is_some_and(&wanted).then_some(*id);
        let ids: Vec<RunId> = self.runs.iter().filter_map(wanted).collect();
        for id in ids {
            self.sweep(id, now, events);
        }
    }
}

impl Run {
    pub(super) fn sweep(&self) -> Option<&Sweep> {
        match &self.state {
            State::Sweeping(sweep) => Some(sweep),
            State::Starting | State::Alive { .. } => None,
        }
    }
}

/// The run that a process of this origin belongs to.
fn whose(
    runs: &HashMap<RunId, Run>,
    by_pid: &HashMap<u32, RunId>,
    origin: &Origin,
) -> Option<RunId> {
    let by_number = |pid| by_pid.get(&pid).copied();
    let marked = origin.marked.filter(|id| runs.contains_key(id));
    if marked.is_none() && origin.is_of_hook {
        return None;
    }
    let in_group = || {
        let path = origin.cgroup.as_deref()?;
        let is_in = |run: &Run| run.group.as_ref().is_some_and(|group| group.holds(path));
        runs.iter().find(|(_, run)| is_in(run)).map(|(id, _)| *id)
    };
    marked
        .or_else(in_group)
        .or_else(|| by_number(origin.session))
        .or_else(|| by_number(origin.group))
        .or_else(|| {
            // A scheduler that is a job of this one numbers its runs as well, so more than the number
            // has to agree.
            let id = origin.run?;
            let run = runs.get(&id)?;
            let agrees =
                *run.job.id == *origin.job && words::rfc3339(run.due, &run.job.zone) == origin.due;
            agrees.then_some(id)
        })
}

/// `1 leftover child`.
fn leftover(number: usize) -> String {
    match number {
        1 => "1 leftover child".to_owned(),
        _ => format!("{number} leftover children"),
    }
}
