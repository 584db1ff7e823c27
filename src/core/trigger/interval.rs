//! The interval trigger: exact elapsed time on a grid, as APScheduler's `IntervalTrigger`.

use std::time::Duration;

use crate::core::instant::{Instant, duration_micros};

/// Due every so often, by elapsed time: 24 h are 24 h across a daylight-saving change.
///
/// The grid goes through its anchor in both directions, but nothing is due before `start_date`,
/// or, without one, before one interval has passed since the job was first scheduled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalTrigger {
    every: i64,
    first: Option<Instant>,
    end: Instant,
    /// `first` was given, and is not what `anchored` made it.
    has_start: bool,
}

impl IntervalTrigger {
    /// Due at `start_date` and every `every` after it, up to and including `end_date`; without
    /// `start_date`, from one interval after the moment given to [`IntervalTrigger::anchored`].
    ///
    /// An interval below one microsecond counts as one.
    pub fn new(
        every: Duration,
        start_date: Option<Instant>,
        end_date: Option<Instant>,
    ) -> IntervalTrigger {
        IntervalTrigger {
            every: duration_micros(every).max(1),
            first: start_date,
            end: end_date.unwrap_or(Instant::LAST).min(Instant::LAST),
            has_start: start_date.is_some(),
        }
    }

    /// The interval.
    pub fn every(&self) -> Duration {
        Duration::from_micros(self.every as u64)
    }

    /// The `start_date` it was given.
    pub fn start_date(&self) -> Option<Instant> {
        self.first.filter(|_| self.has_start)
    }

    /// The first due time, once it is known.
    pub fn first(&self) -> Option<Instant> {
        self.first
    }

    /// The last instant it may be due at, where there is an `end_date`.
    pub fn end(&self) -> Option<Instant> {
        (self.end < Instant::LAST).then_some(self.end)
    }

    /// With the moment the job was first scheduled; no change where `start_date` was given.
    #[must_use]
    pub fn anchored(&self, first_scheduled: Instant) -> IntervalTrigger {
        match self.first {
            Some(_) => *self,
            None => IntervalTrigger { first: Some(first_scheduled.plus(self.every())), ..*self },
        }
    }

    /// The first due time strictly after `after`; `None` past `end_date`, and before the trigger
    /// is anchored.
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        let first = self.first?;
        let due = if after < first {
            first
        } else {
            let steps = (after.micros() - first.micros()) / self.every + 1;
            // i128: an interval of many years times one step may leave i64 before it is compared.
            let micros = i128::from(first.micros()) + i128::from(steps) * i128::from(self.every);
            Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
        };
        (due > after && due <= self.end).then_some(due)
    }
}
