//! What a notification is made of: what it is about, the job, the route, and an id that is always the same for
//! the same news.

use std::time::Duration;

use super::super::digest::Tally;
use super::super::saved;
use super::super::{Kind, Notification};
use crate::core::event::{Record, RunId};
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::outcome::Outcome;
use crate::core::streak::Streak;

/// What a notification is about, beside the job.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) run: Option<RunId>,
    pub(super) due: Instant,
    pub(super) last_due: Instant,
    pub(super) count: u64,
    pub(super) started: Option<Instant>,
    pub(super) duration: Option<Duration>,
    pub(super) usual: Option<Duration>,
    pub(super) printed: Option<(u64, u64)>,
    pub(super) attempts: u32,
    pub(super) outcome: Option<Outcome>,
    pub(super) streak: Streak,
}

impl About {
    /// Something of that time, and nothing else is known.
    pub(super) fn at(at: Instant) -> About {
        About {
            run: None,
            due: at,
            last_due: at,
            count: 1,
            started: None,
            duration: None,
            usual: None,
            printed: None,
            attempts: 0,
            outcome: None,
            streak: Streak::default(),
        }
    }

    /// What has become of due times of a job, so many runs of which have failed in a row.
    pub(super) fn record(record: &Record, streak: Streak) -> About {
        About {
            run: record.run,
            due: record.due,
            last_due: record.last_due,
            count: record.count,
            started: record.started,
            duration: record.started.map(|_| record.duration),
            usual: None,
            printed: None,
            attempts: record.attempts,
            outcome: Some(record.outcome.clone()),
            streak,
        }
    }

    /// The notification that says so, for a route of this name. `seed` tells ids of this scheduler from those
    /// of others.
    pub(super) fn notification(
        &self,
        at: Instant,
        job: &Job,
        route: &str,
        kind: Kind,
        seed: &str,
    ) -> Notification {
        let (run, due) = (self.run.map_or(0, |run| run.0), self.due.micros());
        let id = saved::id(&[
            seed.as_bytes(),
            route.as_bytes(),
            job.id.as_bytes(),
            kind.word().as_bytes(),
            &run.to_le_bytes(),
            &due.to_le_bytes(),
            &self.attempts.to_le_bytes(),
        ]);
        Notification {
            job: job.id.clone(),
            name: job.name.clone(),
            run: self.run,
            last_due: self.last_due,
            count: self.count,
            started: self.started,
            duration: self.duration,
            usual: self.usual,
            printed: self.printed,
            attempts: self.attempts,
            outcome: self.outcome.clone(),
            streak: self.streak.runs,
            // What is overdue has been so since its deadline.
            since: if kind == Kind::Overdue { Some(self.due) } else { self.streak.since() },
            ..Notification::new(id, kind, self.due, at)
        }
    }
}

/// The digest of a route.
pub(super) fn digest(tally: Tally, at: Instant, route: &str, seed: &str) -> Notification {
    let since = Instant::from_micros(tally.since);
    let begun = tally.since.to_le_bytes();
    let mut parts = vec![seed.as_bytes(), route.as_bytes(), b"digest", &begun[..]];
    // One with what others had counted is another one.
    parts.extend(tally.hosts.iter().map(|host| host.as_bytes()));
    let blank = Notification::new(saved::id(&parts), Kind::Digest, since, at);
    let count = tally.runs();
    Notification { last_due: at, count, digest: Some(Box::new(tally)), ..blank }
}
