//! Runs that take longer than they should (`crate::core::habit::slow`): one line in the log, a mark in lists, and
//! people are told where they want to hear of it.

use super::Loop;
use super::effects::Message;
use crate::core::event::{JobView, Slow};
use crate::core::habit::slow::{Found, SlowRun};
use crate::core::instant::Now;
use crate::core::words;

impl Loop<'_> {
    /// Sees to what is slow by now.
    pub(super) fn tend_slow(&mut self, now: Now) {
        for found in self.slow.wake(now.mono) {
            match found {
                Found::Unknown(job) => match self.server {
                    Some(server) => {
                        let (mailbox, id) = (self.effects.mailbox(), job.clone());
                        server.successes(job, None, move |before| {
                            mailbox.send(Message::Successes(id, before));
                        });
                    }
                    // Nobody reads a store here.
                    None => self.slow.learn(&job, &[]),
                },
                Found::Slow(slow) => {
                    say(&slow, now);
                    self.effects.tell_slow(&slow, now);
                }
            }
        }
    }

    /// Marks a job that has a run which is slow.
    pub(super) fn mark_slow(&self, view: &mut JobView) {
        if view.running > 0
            && let Some(slow) = self.slow.slow(&view.job.id)
        {
            view.slow = Some(Slow { since: slow.started.plus(slow.limit), usual: slow.usual });
        }
    }
}

fn say(slow: &SlowRun, now: Now) {
    let took = words::span(now.wall.since(slow.started));
    let than = match slow.usual {
        Some(usual) => format!("usually it takes {}", words::elapsed(usual)),
        None => "longer than `warn_after`".to_owned(),
    };
    log::warn!(
        event = "slow",
        job = &*slow.job.id,
        run = slow.run.0;
        "still runs after {took}: {than}"
    );
}
