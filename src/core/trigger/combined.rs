//! Several triggers as one: `any`, due when one of them is, and `all`, due when all of them are at
//! once.
//!
//! Each inner trigger keeps its own grid, anchor, zone, start and end; nothing of it is counted anew
//! because another one was due, as APScheduler's `OrTrigger` does. A common due time of all is
//! searched for in bounded steps, where its `AndTrigger` goes on for ever. Cron schedules in one
//! zone are made one schedule before that (`super::cron::schedule::Schedule::and`), with nothing to
//! search for.

use std::sync::Arc;

use super::{CronTrigger, Trigger};
use crate::core::instant::Instant;
use crate::core::trigger::cron::Schedule;

/// What makes several triggers one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is due when one of them is.
    Any,
    /// It is due when all of them are, at the same instant.
    All,
}

/// Several triggers as one.
#[derive(Clone, Debug, PartialEq)]
pub struct CombinedTrigger {
    how: How,
    /// As they were written.
    parts: Box<[Trigger]>,
    /// The same with fewer of them, where some could be made one.
    search: Option<Box<[Trigger]>>,
}

/// A search for a common due time takes no more steps than this: then there is none.
pub const MOST_STEPS: u32 = 100_000;

/// Cron schedules are not made one if that would be more than these.
const MOST_SCHEDULES: usize = 64;

impl CombinedTrigger {
    /// Due when any or all of `parts` are.
    pub fn new(how: How, parts: impl Into<Box<[Trigger]>>) -> CombinedTrigger {
        let parts = parts.into();
        let search = if how == How::All { with_crons_made_one(&parts) } else { None };
        CombinedTrigger { how, parts, search }
    }

    /// Whether any or all of them have to be due.
    pub fn how(&self) -> How {
        self.how
    }

    /// The triggers, as they were written.
    pub fn parts(&self) -> &[Trigger] {
        &self.parts
    }

    /// With the moment the job was first scheduled.
    #[must_use]
    pub fn anchored(&self, first_scheduled: Instant) -> CombinedTrigger {
        let anchored = |parts: &[Trigger]| -> Box<[Trigger]> {
            parts.iter().map(|part| part.anchored(first_scheduled)).collect()
        };
        let search = self.search.as_deref().map(anchored);
        CombinedTrigger { how: self.how, parts: anchored(&self.parts), search }
    }

    /// The first due time strictly after `after`, where `next` asks a trigger. `steps` counts how
    /// often it was asked in the search for a common due time.
    pub(super) fn next_by(
        &self,
        after: Instant,
        next: &impl Fn(&Trigger, Instant) -> Option<Instant>,
    ) -> Option<Instant> {
        match self.how {
            How::Any => self.parts.iter().filter_map(|part| next(part, after)).min(),
            How::All => common(self.search.as_deref().unwrap_or(&self.parts), after, next),
        }
    }
}

/// The first common due time of several triggers. Each in turn is asked for what is at or after the
/// latest answer, until all have given the same.
fn common(
    parts: &[Trigger],
    after: Instant,
    next: &impl Fn(&Trigger, Instant) -> Option<Instant>,
) -> Option<Instant> {
    let mut found = next(parts.first()?, after)?;
    let (mut agreed, mut part) = (1, 1);
    for _ in 0..MOST_STEPS {
        if agreed == parts.len() {
            return Some(found);
        }
        let due = next(&parts[part % parts.len()], found.just_before())?;
        agreed = if due == found { agreed + 1 } else { 1 };
        found = due;
        part += 1;
    }
    None
}

/// Triggers in which the cron triggers of one zone are one, if there are several.
fn with_crons_made_one(parts: &[Trigger]) -> Option<Box<[Trigger]>> {
    let mut made: Vec<Trigger> = Vec::with_capacity(parts.len());
    for part in parts {
        let together = match part {
            Trigger::Cron(cron) => made.iter().enumerate().find_map(|(at, known)| match known {
                Trigger::Cron(first) => Some((at, both(first, cron)?)),
                _ => None,
            }),
            _ => None,
        };
        match together {
            Some((at, both)) => made[at] = Trigger::Cron(Arc::new(both)),
            None => made.push(part.clone()),
        }
    }
    (made.len() < parts.len()).then(|| made.into())
}

/// Two cron triggers as one that is due when both are, if they are in one zone.
fn both(first: &CronTrigger, second: &CronTrigger) -> Option<CronTrigger> {
    let count = first.schedules().len() * second.schedules().len();
    if first.zone() != second.zone() || count > MOST_SCHEDULES {
        return None;
    }
    let pairs = first.schedules().iter().flat_map(|a| second.schedules().iter().map(|b| a.and(b)));
    let schedules: Vec<Schedule> = pairs.collect();
    let start = first.start().max(second.start());
    let end = [first.end(), second.end()].into_iter().flatten().min();
    Some(CronTrigger::new(schedules, first.zone().clone(), start, end))
}
