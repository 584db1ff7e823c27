//! What a run leaves behind: processes of its tree that outlive the main one are found and ended.
//!
//! Who belongs to a run is told by `crate::child::tree`. When to look again is told by SIGCHLD, and
//! by a time for what gives no sign.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use super::{Hands, Order, Run, State};
use crate::child::tree::{self, Origin};
use crate::event::{Event, Exit, RunId};
use crate::instant::Mono;
use crate::words;

/// How soon the first look after a KILL is; each further one waits twice as long.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(500);

/// A tree that forks faster than it is killed is killed this often in a row.
const ROUNDS: u32 = 64;

/// What is left after so many looks is worth a line in the log.
const LOOKS_TO_WARN: u32 = 16;

#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) pid: u32,
    pub(super) exit: Exit,
    /// When those that were asked to end are killed.
    pub(super) kill_at: Mono,
    /// When to look again, unless one of them ends before.
    pub(super) look_at: Mono,
    pub(super) looks: u32,
    /// Who has been asked to end.
    pub(super) asked: Vec<u32>,
}

impl Hands {
    /// Ends the tree of a run whose main process is alive. With a KILL, what that leaves behind is
    /// swept once the main process has ended.
    pub(super) fn signal_tree(&mut self, id: RunId, pid: u32, order: Order) {
        let others = self.adopted_of(id).unwrap_or_default();
        match order {
            Order::None => {}
            Order::Terminate => tree::terminate(pid, &others),
            Order::Kill => {
                tree::kill(pid, &others);
            }
        }
    }

    /// Looks for what is left of a run whose main process has ended, and ends it.
    pub(super) fn sweep(&mut self, id: RunId, now: Mono, events: &mut VecDeque<Event>) {
        for _ in 0..ROUNDS {
            let left = self.adopted_of(id);
            let Some(Run { state: State::Sweeping(sweep), job, .. }) = self.runs.get_mut(&id)
            else {
                return;
            };
            let left = match left {
                Ok(left) => left,
                Err(error) => {
                    // No descriptor is free, most likely; others are about to end.
                    log::debug!("the tree of run {id} cannot be looked at: {error}");
                    sweep.look_at = now.plus(LAST_LOOK);
                    return;
                }
            };
            if left.is_empty() {
                let (pid, exit) = (sweep.pid, sweep.exit);
                self.sweeping -= 1;
                self.ended(id, pid, exit, events);
                return;
            }
            let killing = now >= sweep.kill_at;
            sweep.looks += 1;
            if sweep.looks == 1 {
                log::warn!(
                    event = "left_behind",
                    job = &*job.id,
                    run = id.0,
                    processes = left.len();
                    "its process ended and left {} behind, being ended", left.len()
                );
            }
            if sweep.looks == LOOKS_TO_WARN && killing {
                log::warn!(
                    event = "not_ending",
                    job = &*job.id,
                    run = id.0;
                    "processes {left:?} do not end although they were killed; its slot stays taken"
                );
            }
            if !killing {
                let new: Vec<u32> =
                    left.iter().copied().filter(|pid| !sweep.asked.contains(pid)).collect();
                if !new.is_empty() {
                    tree::terminate(sweep.pid, &new);
                    sweep.asked = left;
                }
                sweep.look_at = sweep.kill_at;
                return;
            }
            let forbidden = tree::kill(sweep.pid, &left);
            if forbidden == left.len() {
                log::error!(
                    event = "not_ending",
                    job = &*job.id,
                    run = id.0;
                    "processes {left:?} belong to another user and may not be killed"
                );
                let (pid, exit) = (sweep.pid, sweep.exit);
                self.sweeping -= 1;
                self.ended(id, pid, exit, events);
                return;
            }
            let pause = FIRST_LOOK * 2u32.pow(sweep.looks.min(10));
            sweep.look_at = now.plus(pause.min(LAST_LOOK));
            if sweep.looks.is_multiple_of(2) {
                // They need a moment to die; SIGCHLD says when.
                return;
            }
        }
    }

    fn adopted_of(&mut self, id: RunId) -> io::Result<Vec<u32>> {
        if let Some(run) = self.runs.get(&id).filter(|run| run.is_foreign) {
            let main = run.process.map(|process| process.pid);
            let marked = self.marks.map(|marks| tree::marked_as(marks, id)).unwrap_or_default();
            return Ok(marked.into_iter().filter(|pid| Some(*pid) != main).collect());
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
    marked.or_else(|| by_number(origin.session)).or_else(|| by_number(origin.group)).or_else(|| {
        // A scheduler that is a job of this one numbers its runs as well, so more than the number
        // has to agree.
        let id = origin.run?;
        let run = runs.get(&id)?;
        let agrees =
            *run.job.id == *origin.job && words::rfc3339(run.due, &run.job.zone) == origin.due;
        agrees.then_some(id)
    })
}
