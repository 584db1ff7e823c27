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
        if let Some(job) = job.filter(|job| job.run_on == RunOn::All)
            && *left.host != *self.me.host
        {
            return self.remains_of_each(left, job, now);
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

    /// The same of a run of a job of every host that another host has. That decides itself what becomes of
    /// it when it comes back; until then it is lost, so that it does not stay open if it never does. What
    /// it could begin again is left to it for as long as its session is remembered.
    fn remains_of_each(&self, left: &Left<'_>, job: &HomeJob, now: Now) -> Remains {
        let Some(gone) = self.gone(left, now) else { return Remains::Nothing };
        let is_back = self.members().any(|member| *member.host == *left.host);
        let may_begin = left.attempt == 0 || job.again.is_some_and(|most| left.attempt < most);
        let patience = match (may_begin, gone.by == left.session) {
            (true, _) => MEMORY,
            (false, true) => self.timing.lease,
            (false, false) => Duration::ZERO,
        };
        match is_back || self.store_now(now).since(gone.at) < patience {
            true => Remains::Nothing,
            false => Remains::Lost(self.reason(left, gone)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fleet::protocol::{Input, Timing};
    use crate::core::fleet::{Member, Standing, View};
    use crate::core::instant::Mono;

    fn at(secs: i64) -> Instant {
        Instant::from_secs(secs)
    }

    /// A job of every host whose host is gone since 1000, for so long: what web1 makes of a run of web2.
    #[test]
    fn a_run_of_each_host_does_not_stay_open() {
        let remains = |by, again, attempt, since: i64, others: &[Member]| {
            let gone = Gone { at: at(1000), by: SessionId(by) };
            let dead =
                Member { gone: Some(gone), seen: at(983), ..Member::new(SessionId(2), "web2") };
            let me = Member::new(SessionId(1), "web1");
            let view = View {
                now: at(1000 + since),
                generation: 0,
                identity: "".into(),
                recorded: "".into(),
                changes: 0,
                me: Standing::Alive { beat: 1 },
                members: [&[me.clone(), dead], others].concat(),
            };
            let now = Now { wall: at(0), mono: Mono::from_micros(1) };
            let mut fleet = Fleet::new(Timing { lease: Duration::from_secs(15) }, me);
            fleet.step(now, Input::Tick, &mut Vec::new());
            fleet.step(now, Input::Beaten { view: &view, sent: now.mono }, &mut Vec::new());
            let job = HomeJob {
                id: "each".into(),
                fingerprint: 1,
                run_on: RunOn::All,
                added: false,
                delay: Duration::ZERO,
                again,
                parents: [].into(),
            };
            let due = at(900);
            let left = Left { session: SessionId(2), host: "web2", due, attempt, is_here: false };
            fleet.remains(&left, Some(&job), now)
        };
        let silent = || Remains::Lost("host web2 was silent for 17 s".to_owned());
        assert_eq!(remains(1, None, 1, 0, &[]), silent());
        // It is back: it knows better.
        assert_eq!(remains(1, None, 1, 0, &[Member::new(SessionId(3), "web2")]), Remains::Nothing);
        assert_eq!(remains(1, None, 1, 0, &[Member::new(SessionId(3), "web3")]), silent());
        // One that has ended by itself has a lease to come back.
        assert_eq!(remains(2, None, 1, 14, &[]), Remains::Nothing);
        let died = "the scheduler on host web2 died during the run".to_owned();
        assert_eq!(remains(2, None, 1, 15, &[]), Remains::Lost(died));
        // What it would begin again, or has not begun, is left to it for an hour.
        for (again, attempt) in [(Some(3), 1), (None, 0)] {
            assert_eq!(remains(1, again, attempt, 3599, &[]), Remains::Nothing);
            assert_eq!(remains(1, again, attempt, 3600, &[]), silent());
        }
        assert_eq!(remains(1, Some(3), 3, 0, &[]), silent());
    }
}
