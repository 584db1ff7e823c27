//! The life of the scheduler itself: it starts, runs, drains at a shutdown, ends what is left, is
//! over. doc/runs.md, "Stop".

use std::time::Duration;

use crate::core::event::{Action, Notice};
use crate::core::instant::Mono;
use crate::core::sort;

use super::attempt::STOP_KILL_AFTER;
use super::run::Input;
use super::{Scheduler, Step};

/// How long the end waits for what was killed. A process that hangs in the kernel, one that may not
/// be signalled and a start that hangs do not keep the scheduler.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// So many jobs are named of those that are waited for.
const NAMED: usize = 5;

/// Where in its life a scheduler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Before its first step.
    Starting,
    /// It fires.
    Running,
    /// No new fires; running runs may end by themselves until then.
    Draining {
        /// When `stop_grace` is over.
        until: Mono,
    },
    /// Running runs have been told to end, or killed.
    Ending {
        /// When those that have not ended are abandoned.
        until: Mono,
    },
    /// [`Action::Exit`] was given. Nothing happens any more.
    Over,
}

impl Life {
    /// Whether new runs start.
    pub(super) fn is_accepting(self) -> bool {
        matches!(self, Life::Starting | Life::Running)
    }
}

impl Scheduler {
    /// The first stop drains, the second kills. Due times that were not decided before the first
    /// are left to whoever runs next.
    pub(super) fn stop(&mut self, step: &mut Step<'_>) {
        match self.life {
            Life::Starting | Life::Running => {
                self.life = Life::Draining { until: step.now.mono.plus(self.stop_grace) };
                self.tell_all(&Input::Drain, step);
                let notice = self.stopping();
                step.out.push(Action::Notice(notice));
            }
            Life::Draining { .. } | Life::Ending { .. } => {
                let mut until = step.now.mono.plus(LAST_WAIT);
                if let Life::Ending { until: before } = self.life {
                    until = until.min(before);
                }
                self.life = Life::Ending { until };
                self.tell_all(&Input::Kill, step);
            }
            Life::Over => {}
        }
    }

    /// What a person is told who waits for the end.
    fn stopping(&self) -> Notice {
        let mut jobs: Vec<Box<str>> = Vec::new();
        let active = self.status().active;
        for job in active.iter().map(|active| &active.job.id) {
            if jobs.len() < NAMED && !jobs.contains(job) {
                jobs.push(job.clone());
            }
        }
        Notice::Stopping { running: active.len(), jobs, grace: self.stop_grace }
    }

    /// Ends what has not ended within `stop_grace`, and abandons what that does not end.
    pub(super) fn end_of_grace(&mut self, step: &mut Step<'_>) {
        match self.life {
            Life::Draining { until } if until <= step.now.mono => {
                let until = step.now.mono.plus(STOP_KILL_AFTER).plus(LAST_WAIT);
                self.life = Life::Ending { until };
                self.tell_all(&Input::Terminate, step);
            }
            Life::Ending { until } if until <= step.now.mono => {
                let reason = "it was still running when schedrs stopped";
                self.tell_all(&Input::Abandoned(reason.to_owned()), step);
            }
            _ => {}
        }
    }

    /// The end of a step.
    pub(super) fn settle(&mut self, step: &mut Step<'_>) {
        self.forget_unset_timers();
        let ending = matches!(self.life, Life::Draining { .. } | Life::Ending { .. });
        if ending && self.runs.is_empty() && self.counts.is_empty() {
            self.life = Life::Over;
            step.out.push(Action::Exit);
        }
    }

    /// Something happens to all runs, in the order in which they were admitted.
    fn tell_all(&mut self, input: &Input, step: &mut Step<'_>) {
        let mut all: Vec<_> = self.runs.iter().map(|(slot, run)| (run.id, slot)).collect();
        sort::all(&mut all);
        for (id, slot) in all {
            // What happens to one may be the end of another.
            if self.runs.find(id) == Some(slot) {
                self.react(slot, input.clone(), step);
            }
        }
    }
}
