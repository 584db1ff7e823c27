//! What people would have been told: a notifier that looks on, and whose messages all arrive at once.

use std::collections::HashMap;
use std::sync::Arc;

use super::Observer;
use crate::core::event::{Action, Notice};
use crate::core::habit::slow::{Found, Watch};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::{Job, JobSet};
use crate::core::notify::Message;
use crate::core::notify::notifier::{Effect, Notifier};
use crate::core::notify::outbox::{Tried, TryResult};
use crate::core::streak::Streaks;

/// So many messages are remembered; what is beyond is counted.
const MOST: usize = 10_000;

/// See the [module](self).
#[derive(Debug)]
pub struct Told {
    notifier: Notifier,
    streaks: Streaks,
    slow: Watch,
    /// Those that are not paused.
    jobs: HashMap<Box<str>, Arc<Job>>,
    /// Each with when it was sent.
    pub messages: Vec<(Instant, Message)>,
    /// How many more there were.
    pub more: u64,
}

impl Told {
    /// Of these jobs, by a scheduler that starts at that time. Successes that are expected count from
    /// there.
    pub fn new(set: &JobSet, from: Instant) -> Told {
        let mut notifier = Notifier::new("", "", set.settings.routes.to_vec());
        notifier.begin(Now { wall: from, mono: Mono::default() });
        let active = set.jobs.iter().filter(|job| !job.options.paused);
        active.clone().for_each(|job| notifier.expect(job, from));
        Told {
            notifier,
            streaks: Streaks::default(),
            slow: Watch::default(),
            jobs: active.map(|job| (job.id.clone(), Arc::clone(job))).collect(),
            messages: Vec::new(),
            more: 0,
        }
    }

    /// Sends what is due up to that time.
    pub fn until(&mut self, now: Now) {
        loop {
            let wakeup = self.notifier.next_wakeup();
            let mono = [wakeup.mono, self.slow.next_wakeup()].into_iter().flatten().min();
            let (mono, wall) = (mono.filter(|at| *at <= now.mono), wakeup.wall);
            let by_mono = mono.map(|at| Now { wall: now.wall.minus(now.mono.since(at)), mono: at });
            let by_wall = wall.filter(|at| *at <= now.wall);
            let by_wall = by_wall.map(|wall| Now { wall, mono: now.mono });
            let earlier = [by_mono, by_wall].into_iter().flatten().min_by_key(|at| at.wall);
            let Some(at) = earlier else { return };
            let mut effects = Vec::new();
            for found in self.slow.wake(at.mono) {
                match found {
                    Found::Slow(slow) => effects.extend(self.notifier.slow(at, &slow)),
                    // All runs take as long as is pretended.
                    Found::Unknown(job) => self.slow.learn(&job, &[]),
                }
            }
            let jobs = &self.jobs;
            let failing = |route: &str| self.streaks.of_route(route, |id| jobs.get(id));
            effects.extend(self.notifier.wake(at, &failing));
            self.send(effects, at);
        }
    }

    fn send(&mut self, effects: Vec<Effect>, at: Now) {
        for effect in effects {
            let Effect::Send(message) = effect else { continue };
            let (id, answer) = (message.id.clone(), "".into());
            let tried = Tried { id, result: TryResult::Sent, answer };
            // What follows from that is written down, and nothing else.
            self.notifier.tried(&message, &[tried], at);
            if self.messages.len() < MOST {
                self.messages.push((at.wall, message));
            } else {
                self.more += 1;
            }
        }
    }
}

impl Observer for Told {
    fn see(&mut self, now: Now, action: &Action) {
        self.until(now);
        let (streak, _) = self.streaks.hear(now.wall, action);
        self.slow.hear(now, action);
        if let Action::Notice(Notice::PausedByFailures { job, .. }) = action {
            self.jobs.remove(&job.id);
        }
        self.notifier.hear(now, action, streak, false);
    }
}
