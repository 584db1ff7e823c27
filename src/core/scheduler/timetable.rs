//! The due times of one job: the next, the last of a range, the newest of a range, how many.
//!
//! Everything here is a few calls of the trigger, not one for each due time: a job of every second
//! that slept for a year has 31 million of them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::trigger::{IntervalTrigger, Trigger};

use super::jobs::{NEVER, TICK};

/// When a due time fires: its spread and its jitter are added here and nowhere else.
pub(super) fn fire_time(job: &Job, due: Instant) -> Instant {
    due.plus(job.delay(due))
}

/// A trigger and the moment it is relative to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timetable<'a> {
    pub(super) trigger: &'a Trigger,
    pub(super) anchor: Instant,
}

impl Timetable<'_> {
    /// The first due time after `after`, or [`NEVER`].
    pub(super) fn after(self, after: Instant) -> Instant {
        self.trigger.next_anchored(self.anchor, after).unwrap_or(NEVER)
    }

    /// The first due time of a job after `after` that is not excluded, or [`NEVER`].
    pub(super) fn kept_after(self, job: &Job, after: Instant) -> Instant {
        match job.options.excluded.is_empty() {
            true => self.after(after),
            false => job.next_kept(&self.trigger.anchored(self.anchor), after).unwrap_or(NEVER),
        }
    }

    /// The last due time in `first..=until`, where `first` is one.
    pub(super) fn last_until(self, first: Instant, until: Instant) -> Instant {
        if let Some(grid) = self.grid() {
            let last = grid.last_until(until);
            return if last > first { last } else { first };
        }
        // A trigger only looks forward, but monotonically: halve the distance until nothing lies
        // between the last one found and `until`.
        let (mut found, mut none_after) = (first, until);
        loop {
            let next = self.after(found);
            if next > until {
                return found;
            }
            found = next;
            let half = Duration::from_micros(none_after.since(found).as_micros() as u64 / 2);
            let middle = found.plus(half);
            match self.after(middle) {
                next if next <= until => found = next,
                _ => none_after = middle,
            }
        }
    }

    /// The newest due times in `first..=last`, both of which are due times, at most `limit` of
    /// them, appended in order. Returns the last one that was left out, if any was.
    pub(super) fn newest(
        self,
        first: Instant,
        last: Instant,
        limit: usize,
        into: &mut VecDeque<Instant>,
    ) -> Option<Instant> {
        // Twice as far back each time, until there are too many or nothing is left.
        let already = into.len();
        let mut span = Duration::from_secs(1);
        loop {
            into.truncate(already);
            let from = last.minus(span);
            let all = from <= first;
            let mut due = if all { first } else { self.after(from.minus(TICK)) };
            let mut left_out = None;
            while due <= last {
                if into.len() - already == limit {
                    left_out = into.remove(already);
                }
                into.push_back(due);
                due = self.after(due);
            }
            if left_out.is_some() {
                return left_out;
            }
            if all {
                return None;
            }
            span = span.saturating_mul(2);
        }
    }

    /// Counts the due times in `after..=last` (without `after`), for which it asks the trigger at
    /// most `budget` times.
    pub(super) fn count(self, after: Instant, last: Instant, budget: &mut u64) -> Counted {
        if let Some(grid) = self.grid() {
            return Counted { number: grid.count(after, last), until: None };
        }
        // A search for a common due time asks many times for one answer.
        let cost = if matches!(self.trigger, Trigger::Combined(_)) { 100 } else { 1 };
        let (mut number, mut due) = (0, after);
        loop {
            if *budget == 0 {
                return Counted { number, until: Some(due) };
            }
            *budget = budget.saturating_sub(cost);
            due = self.after(due);
            if due > last || due == NEVER {
                return Counted { number, until: None };
            }
            number += 1;
        }
    }

    /// Intervals need no counting.
    fn grid(self) -> Option<Grid> {
        match self.trigger {
            Trigger::Interval(interval) => Grid::of(&interval.anchored(self.anchor)),
            _ => None,
        }
    }
}

/// What [`Timetable::count`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) number: u64,
    /// Where to go on if the budget was too small.
    pub(super) until: Option<Instant>,
}

/// The due times of an interval as arithmetic.
#[derive(Clone, Copy, Debug)]
struct Grid {
    first: i64,
    every: i64,
    end: Instant,
}

impl Grid {
    fn of(interval: &IntervalTrigger) -> Option<Grid> {
        Some(Grid {
            first: interval.first()?.micros(),
            every: (interval.every().as_micros() as i64).max(1),
            end: interval.end().unwrap_or(Instant::LAST),
        })
    }

    /// How many due times there are up to and including `until`.
    fn number_until(self, until: Instant) -> i64 {
        let until = until.min(self.end).micros();
        if until < self.first { 0 } else { (until - self.first) / self.every + 1 }
    }

    fn count(self, after: Instant, last: Instant) -> u64 {
        (self.number_until(last) - self.number_until(after)).max(0) as u64
    }

    /// The last due time up to and including `until`; [`Instant::MIN`] if there is none.
    fn last_until(self, until: Instant) -> Instant {
        match self.number_until(until) {
            0 => Instant::MIN,
            number => Instant::from_micros(self.first + (number - 1) * self.every),
        }
    }
}
