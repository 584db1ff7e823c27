//! The life of the scheduler itself: it starts, runs, drains, ends what is left, is over.
//! DESIGN §5 rule 9.

use crate::event::{Action, Notice};
use crate::instant::Mono;

use super::run::Input;
use super::{Cx, Scheduler};

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
    Ending,
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
    pub(super) fn stop(&mut self, cx: &mut Cx<'_>) {
        match self.life {
            Life::Starting | Life::Running => {
                self.life = Life::Draining { until: cx.now.mono.plus(self.stop_grace) };
                self.tell_all(&Input::Drain, cx);
                let running = self.runs.len();
                cx.out.push(Action::Notice(Notice::Stopping { running }));
            }
            Life::Draining { .. } | Life::Ending => {
                self.life = Life::Ending;
                self.tell_all(&Input::Kill, cx);
            }
            Life::Over => {}
        }
    }

    /// Ends what has not ended within `stop_grace`.
    pub(super) fn end_of_grace(&mut self, cx: &mut Cx<'_>) {
        if let Life::Draining { until } = self.life
            && until <= cx.now.mono
        {
            self.life = Life::Ending;
            self.tell_all(&Input::Terminate, cx);
        }
    }

    /// The end of a step.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>) {
        self.forget_unset_timers();
        let ending = matches!(self.life, Life::Draining { .. } | Life::Ending);
        if ending && self.runs.is_empty() && self.counts.is_empty() {
            self.life = Life::Over;
            cx.out.push(Action::Exit);
        }
    }

    /// Something happens to all runs, in the order in which they were admitted.
    fn tell_all(&mut self, input: &Input, cx: &mut Cx<'_>) {
        let mut all: Vec<_> = self.runs.iter().map(|(slot, run)| (run.id, slot)).collect();
        all.sort_unstable();
        for (id, slot) in all {
            // What happens to one may be the end of another.
            if self.runs.find(id) == Some(slot) {
                self.react(slot, input.clone(), cx);
            }
        }
    }
}
