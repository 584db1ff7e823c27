//! Runs that have succeeded and are out of the ordinary (`crate::core::habit::unusual`): one line in the log, an
//! entry of the store for lists, an event for who watches, and people are told where they want to hear of it.
//!
//! The loop does nothing for an ordinary run but hand on how long it took. The output thread, which knows how
//! much it has printed, holds it against what is known of its job ([`Habits`]). Only what may be out of the
//! ordinary comes back, and is compared on the server's thread with what the store has.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Loop;
use super::effects::{Effects, Message};
use crate::core::event::{Happening, Record, RunId, UnusualRun};
use crate::core::habit::Success;
use crate::core::habit::hints::Hints;
use crate::core::habit::unusual::{self, UNUSUAL};
use crate::core::instant::{Instant, Now};
use crate::core::job::Job;
use crate::core::trigger::Trigger;
use crate::run::output::WithTotal;
use crate::store::Reader;
use crate::sys::clock;

/// What is known of habits.
#[derive(Debug, Default)]
pub(super) struct Habits {
    hints: Arc<Mutex<Hints>>,
    /// The jobs of which the store has an entry.
    noted: HashSet<Box<str>>,
}

/// A run that has succeeded.
#[derive(Debug)]
pub(crate) struct Ran {
    run: RunId,
    job: Arc<Job>,
    due: Instant,
    started: Option<Instant>,
    took: Duration,
    printed: Option<u64>,
}

impl Ran {
    fn success(&self) -> Success {
        Success { took: self.took, printed: self.printed }
    }
}

impl Habits {
    /// What an earlier scheduler has found.
    pub(super) fn restore(&mut self, reader: &mut dyn Reader) {
        // Without it they stay in the store when their job goes.
        let entries = reader.entries(UNUSUAL).unwrap_or_default();
        self.noted.extend(entries.into_iter().map(|(job, _)| job));
    }
}

impl Effects {
    /// What is to be done once it is known how much a run has printed, if it has succeeded.
    pub(super) fn when_printed(&self, record: &Record) -> Option<WithTotal> {
        // A job that is due once has no habits.
        let may_be = record.outcome.is_success()
            && record.started.is_some()
            && !matches!(record.job.trigger, Trigger::Date(_));
        let run = record.run.filter(|_| may_be)?;
        let (hints, mailbox) = (Arc::clone(&self.habits().hints), self.mailbox());
        let (job, due, started) = (Arc::clone(&record.job), record.due, record.started);
        let took = record.duration;
        Some(Box::new(move |printed| {
            let ran = Ran { run, job, due, started, took, printed };
            if lock(&hints).wants(&ran.job.id, ran.success(), clock::mono()) {
                mailbox.send(Message::Ran(Box::new(ran)));
            }
        }))
    }

    /// What was found of a job that is gone is forgotten.
    pub(super) fn forget_unusual(&mut self, job: &str) {
        if self.habits_mut().noted.remove(job) {
            self.remember_entry(UNUSUAL, job.into(), None);
        }
    }
}

impl Loop<'_> {
    /// Has a run compared with those before it.
    pub(super) fn compare(&mut self, ran: Ran) {
        // Otherwise nobody reads a store here.
        let Some(server) = self.server else { return };
        let (hints, mailbox) = (Arc::clone(&self.effects.habits().hints), self.effects.mailbox());
        server.successes(ran.job.id.clone(), Some(ran.run), move |before| {
            lock(&hints).learn(&ran.job.id, &before);
            let unusual = unusual::of(ran.success(), ran.job.options.warn_after, &before);
            if !unusual.is_none() {
                let Ran { run, job, due, started, took, .. } = ran;
                let found = UnusualRun { run, job, due, started, took, unusual };
                mailbox.send(Message::Unusual(Box::new(found)));
            }
        });
    }

    /// A run is out of the ordinary.
    pub(super) fn unusual(&mut self, found: &UnusualRun, now: Now) {
        for (word, text) in found.unusual.sentences() {
            log::warn!(event = word, job = &*found.job.id, run = found.run.0; "{text}");
        }
        let job = &found.job.id;
        // Meanwhile it may have gone.
        if self.scheduler.job(job).is_some() {
            self.effects.habits_mut().noted.insert(job.clone());
            let text = unusual::to_json(found.run, found.unusual);
            self.effects.remember_entry(UNUSUAL, job.clone(), Some(text));
        }
        self.effects.tell_unusual(found, now);
        if let Some(journal) = &self.journal {
            journal.note(now.wall, Happening::Unusual(found.clone()));
        }
    }
}

fn lock(hints: &Mutex<Hints>) -> MutexGuard<'_, Hints> {
    hints.lock().unwrap_or_else(PoisonError::into_inner)
}
