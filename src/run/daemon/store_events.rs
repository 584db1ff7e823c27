//! What the store's thread has to say: claims that are lost, starts that are given back, and whether the
//! store works.

use std::time::Duration;

use super::vitals::Alarm;
use super::{Loop, overview};
use crate::core::event::{Event, Refusal, RunId};
use crate::core::streak::{FAILING, Streak};
use crate::core::words;
use crate::store::HAS_SHARED;
use crate::store::keeper::StoreEvent;
use crate::sys::clock;

impl Loop<'_> {
    /// The store's thread has something to say.
    pub(super) fn store_event(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::ClaimLost(run) => {
                self.effects.claim_lost(run);
                self.events.push_back(Event::ClaimLost(run));
            }
            StoreEvent::ClaimRefused(run, why) => {
                self.effects.claim_lost(run);
                self.events.push_back(Event::ClaimRefused { run, why });
            }
            // The next turn asks up to when.
            StoreEvent::Answered => {}
            StoreEvent::NotBegun(run, attempt) => self.not_begun(run, attempt),
            StoreEvent::Others(event) if HAS_SHARED => self.others_event(event),
            StoreEvent::Others(_) => {}
            StoreEvent::Silent(reason) => {
                log::error!(event = "store_silent"; "the store does not answer; nothing starts until it does: {reason}");
                let reason = format!("the store does not answer: {reason}");
                self.requests.unkept = Some(format!("this would not survive a restart: {reason}"));
                self.alarms.insert(Alarm::Store, reason);
            }
            StoreEvent::Holding { starts, silent } => {
                let silent = words::span(Duration::from_secs(silent.as_secs()));
                let text = format!(
                    "{} on hold: the store has not answered for {silent}",
                    overview::counted(starts, "start")
                );
                log::warn!(event = "store_holding"; "{text}");
                self.alarms.insert(Alarm::Store, text);
            }
            StoreEvent::Degraded(reason) => {
                log::error!(
                    event = "store_degraded";
                    "cannot write to the store; jobs keep running without it: {reason}"
                );
                let reason = format!("cannot write to the store: {reason}");
                self.requests.unkept = Some(format!("this would not survive a restart: {reason}"));
                self.alarms.insert(Alarm::Store, reason);
            }
            StoreEvent::Recovered { dropped, after } => {
                let lost = match dropped {
                    0 => String::new(),
                    _ => format!("; {dropped} records were lost because too many were waiting"),
                };
                let after = words::span(after);
                log::warn!(event = "store_recovered"; "the store works again after {after}{lost}");
                self.alarms.remove(&Alarm::Store);
                self.requests.unkept = None;
                if dropped > 0 {
                    self.remember_all();
                }
            }
            StoreEvent::Fresh(why) => {
                log::error!(
                    event = "store_lost";
                    "the store was lost and a new one was created; the history is gone: {why}"
                );
                self.remember_all();
                self.effects.remember_runs(clock::wall());
            }
        }
    }

    /// A start was given back by the store's thread.
    fn not_begun(&mut self, run: RunId, attempt: u32) {
        self.effects.claim_lost(run);
        self.events.push_back(match attempt {
            0 | 1 => Event::ClaimRefused { run, why: Refusal::NoStore },
            _ => Event::NotStarted {
                run,
                reason: "the shared store did not answer".to_owned(),
                transient: false,
            },
        });
    }

    /// Has the store told once more what there is to remember: of jobs, of their failures, and of what people
    /// are told.
    fn remember_all(&mut self) {
        let mut actions = Vec::new();
        let now = clock::now();
        self.scheduler.remember_all(now, &mut actions);
        for action in actions {
            // None of them is about a run.
            self.effects.perform(action, Streak::default(), now, &mut self.events);
        }
        let scheduler = &*self.scheduler;
        // What others decide they remember.
        let is_home = |job: &str| scheduler.is_home(job);
        for (key, streak) in self.streaks.remember(&is_home) {
            self.effects.remember_entry(FAILING, key, streak);
        }
        self.effects.remember_messages(&is_home, now);
    }
}
