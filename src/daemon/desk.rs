//! Who has asked what: takes calls (`crate::control`), puts them to the scheduler as events, and
//! gives each answer to whoever waits for it.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::catalog::{self, Catalog, Fit, Unfit};
use crate::control::{Call, Health, Reply, Wish};
use crate::event::{Answer, Event, Notice, Refusal, Want};
use crate::instant::Now;
use crate::problem::nearest::nearest;
use crate::scheduler::Scheduler;

type Sink = Arc<dyn Fn(Reply) + Send + Sync>;

/// What only the loop itself can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Read the jobfile again.
    Reload,
    /// Stop, at once or not.
    Stop {
        /// How many signals that is like.
        times: u32,
    },
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Desk {
    next: u64,
    waiting: HashMap<u64, Waiting>,
    /// Who waits for the jobfile to have been read again.
    reloads: Vec<Sink>,
    /// Why what is added and changed is not in the store when it is answered, if that is so.
    pub(super) unkept: Option<String>,
}

struct Waiting {
    sink: Sink,
    /// An answer of [`Answer::Started`] is not the last.
    twice: bool,
    /// What is odd about what was sent.
    warnings: Vec<String>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl Desk {
    /// Takes a call. What it asks of the scheduler becomes an event.
    pub(super) fn take(
        &mut self,
        call: Call,
        catalog: Option<&mut Catalog>,
        scheduler: &mut Scheduler,
        health: impl FnOnce() -> Health,
        now: Now,
        events: &mut VecDeque<Event>,
    ) -> Option<Errand> {
        let Call { by, wish, reply } = call;
        let fit = match (wish, catalog) {
            // Those carry definitions that somebody has to have checked.
            (Wish::Want(Want::Add { .. } | Want::Change { .. }), _) => Err(unavailable()),
            (Wish::Want(want), _) => Ok(want.into()),
            (Wish::Health, _) => {
                reply(Reply::Health(Box::new(health())));
                return None;
            }
            (Wish::Reload, _) => {
                self.reloads.push(reply);
                return Some(Errand::Reload);
            }
            (Wish::Shutdown { now }, _) => {
                reply(Reply::Answer(Answer::Done));
                return Some(Errand::Stop { times: if now { 2 } else { 1 } });
            }
            (Wish::Add { id, text, replace }, Some(catalog)) => {
                catalog.add(&id, &text, replace, now.wall)
            }
            (Wish::Modify { job, text }, Some(catalog)) => {
                catalog.change(scheduler, &job, &text, "modified", now.wall)
            }
            (Wish::Reschedule { job, text }, Some(catalog)) => {
                catalog.change(scheduler, &job, &text, "rescheduled", now.wall)
            }
            (Wish::Reset { job }, Some(catalog)) => catalog.reset(scheduler, &job),
            (_, None) => Err(unavailable()),
        };
        let Fit { want, mut warnings } = match fit {
            Ok(fit) => fit,
            Err(Unfit::Problems(problems)) => {
                reply(Reply::Problems(problems));
                return None;
            }
            Err(Unfit::Refused(refusal)) => {
                reply(Reply::Answer(Answer::Refused(with_hint(refusal, scheduler))));
                return None;
            }
        };
        if matches!(want, Want::Add { .. } | Want::Change { .. }) {
            warnings.extend(self.unkept.clone());
        }
        self.next += 1;
        let twice = matches!(want, Want::Start { wait: true, .. });
        self.waiting.insert(self.next, Waiting { sink: reply, twice, warnings });
        events.push_back(Event::Ask(catalog::ask(self.next, &by, want)));
        None
    }

    /// Gives an answer to whoever waits for it.
    pub(super) fn answer(&mut self, ticket: u64, answer: Answer, scheduler: &Scheduler) {
        let goes_on = matches!(answer, Answer::Started { .. });
        let (sink, warnings) = match self.waiting.get(&ticket) {
            Some(waiting) if waiting.twice && goes_on => (Arc::clone(&waiting.sink), Vec::new()),
            _ => match self.waiting.remove(&ticket) {
                Some(waiting) => (waiting.sink, waiting.warnings),
                None => return,
            },
        };
        sink(match answer {
            Answer::Refused(refusal) => {
                Reply::Answer(Answer::Refused(with_hint(refusal, scheduler)))
            }
            Answer::Job(job) if !warnings.is_empty() => Reply::Warned { job, warnings },
            other => Reply::Answer(other),
        });
    }

    /// A jobfile has taken effect, or has problems.
    pub(super) fn reloaded(&mut self, outcome: &Result<Notice, Vec<String>>) {
        for sink in self.reloads.drain(..) {
            match outcome {
                Ok(Notice::Reloaded { added, changed, removed, unchanged }) => {
                    let (added, changed) = (*added, *changed);
                    let (removed, unchanged) = (*removed, *unchanged);
                    sink(Reply::Reloaded { added, changed, removed, unchanged });
                }
                Ok(_) => {}
                Err(problems) => sink(Reply::Problems(problems.clone())),
            }
        }
    }
}

fn unavailable() -> Unfit {
    let message = "jobs of this scheduler cannot be changed at run time".to_owned();
    Unfit::Refused(Refusal { code: "unavailable", message })
}

/// Says which job may have been meant.
fn with_hint(mut refusal: Refusal, scheduler: &Scheduler) -> Refusal {
    if refusal.code == "no_such_job"
        && let Some(id) = refusal.message.split('`').nth(1)
        && let Some(near) = nearest(id, scheduler.ids())
    {
        refusal.message += &format!("; did you mean `{near}`?");
    }
    refusal
}
