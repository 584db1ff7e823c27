//! What becomes of runs that are open in the store: above all of those of sessions that are gone.
//!
//! Whoever has a job at home decides about what is left of it, and only about that. So a run ends in
//! one way, though several see that its host is dead.

use std::time::Duration;

use super::{Fleet, MEMORY};
use crate::core::fleet::home::HomeJob;
use crate::core::fleet::{Gone, RunOn, SessionId};
use crate::core::instant::{Instant, Now};

/// A run that is open in the store.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a> {
    /// The session that has it.
    pub session: SessionId,
    /// The host of that.
    pub host: &'a str,
    /// The due time it is for.
    pub due: Instant,
    /// The number of its last attempt; 0: none was about to be started.
    pub attempt: u32,
    /// This scheduler has it.
    pub is_here: bool,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remains {
    /// Nothing: it is here, or a matter of another host alone.
    Nothing,
    /// It is another scheduler's, and counts as an instance of its job until it is over.
    Elsewhere,
    /// Nothing of it has begun, and nothing will: its due time is to be decided again.
    Undecided,
    /// It is lost, for this reason.
    Lost(String),
    /// The same, but it gets one more attempt.
    Again(String),
}

impl Fleet {
    /// What becomes of a run that is open. `job`: its job, if it is at home here.
    pub fn remains(&self, left: &Left<'_>, job: Option<&HomeJob>, now: Now) -> Remains {
        if left.session == self.me.id {
            // A claim of this session that nobody here knows of came late, after it was given up.
            let is_stray = !left.is_here && self.told && !self.back;
            return if is_stray { Remains::Undecided } else { Remains::Nothing };
        }
        if left.is_here {
            return Remains::Nothing;
        }
        let each = job.is_some_and(|job| job.run_on == RunOn::All);
        if each && *left.host != *self.me.host {
            return Remains::Nothing;
        }
        let (Some(gone), Some(job)) = (self.gone(left, now), job) else {
            return Remains::Elsewhere;
        };
        if left.attempt == 0 {
            return Remains::Undecided;
        }
        // One that has ended by itself was started again on its host, perhaps, and takes up what is
        // left there.
        let since = self.store_now(now).since(gone.at);
        if gone.by == left.session && since < self.timing.lease {
            return Remains::Elsewhere;
        }
        let reason = self.reason(left, gone);
        match job.again {
            Some(most) if left.attempt < most => Remains::Again(reason),
            _ => Remains::Lost(reason),
        }
    }

    /// Whether the session of a run is gone. One that nobody knows any more is.
    fn gone(&self, left: &Left<'_>, now: Now) -> Option<Gone> {
        match self.member(left.session) {
            Some(member) => self.dead.get(&member.id).unwrap_or(member).gone,
            None => {
                let is_old = self.store_now(now).since(left.due) > MEMORY;
                is_old.then_some(Gone { at: Instant::MIN, by: SessionId(0) })
            }
        }
    }

    fn reason(&self, left: &Left<'_>, gone: Gone) -> String {
        let host = left.host;
        match self.member(left.session) {
            Some(member) if gone.by != left.session => {
                let silent = Duration::from_secs(gone.at.since(member.seen).as_secs());
                format!("host {host} was silent for {} s", silent.as_secs())
            }
            _ => format!("the scheduler on host {host} died during the run"),
        }
    }

    /// The store's clock, as far as it can be told from here.
    pub fn store_now(&self, now: Now) -> Instant {
        match (&self.view, self.heard) {
            (Some(view), Some(heard)) => view.now.plus(now.mono.since(heard)),
            (Some(view), None) => view.now,
            (None, _) => now.wall,
        }
    }
}
