//! Due times that share a fate and are not worth a record each: first, last, and how many.
//!
//! Intervals are counted by arithmetic. Cron schedules are counted by asking them again and again,
//! a slice of a limited size each step, so that the schedule of every second of a machine that
//! slept for a year delays nothing; their record comes when the number is known, and is exact.

use std::sync::Arc;
use std::time::Duration;

use crate::event::{Action, Outcome, Record};
use crate::instant::Instant;
use crate::job::Job;

use super::timetable::Timetable;
use super::{Cx, Scheduler};

/// How many due times one step counts: a few milliseconds.
pub(super) const SLICE: u64 = 50_000;

/// Due times with one fate: some of them one by one, at most one range of them uncounted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    ends: Option<(Instant, Instant)>,
    number: u64,
    range: Option<(Instant, Instant)>,
}

impl Tally {
    /// One more due time.
    pub(super) fn add(&mut self, due: Instant) {
        self.widen(due, due);
        self.number += 1;
    }

    /// All due times in `first..=last`, both of which are due times.
    pub(super) fn add_range(&mut self, first: Instant, last: Instant) {
        self.widen(first, last);
        self.number += 1;
        self.range = (first < last).then_some((first, last));
    }

    /// The first of them.
    pub(super) fn first(&self) -> Option<Instant> {
        self.ends.map(|ends| ends.0)
    }

    fn widen(&mut self, first: Instant, last: Instant) {
        self.ends = Some(match self.ends {
            Some((start, end)) => (start.min(first), end.max(last)),
            None => (first, last),
        });
    }
}

/// A record that waits for its number.
#[derive(Debug)]
pub(super) struct Count {
    record: Record,
    anchor: Instant,
    /// What is left to count: after the first, up to and including the second.
    after: Instant,
    last: Instant,
}

impl Scheduler {
    /// Records what became of the due times of a tally, at once if their number is soon known.
    pub(super) fn record_tally(
        &mut self,
        job: &Arc<Job>,
        anchor: Instant,
        tally: Tally,
        outcome: Outcome,
        cx: &mut Cx<'_>,
    ) {
        let Some((due, last_due)) = tally.ends else { return };
        let record = Record {
            job: Arc::clone(job),
            due,
            last_due,
            count: tally.number,
            run: None,
            outcome,
            started: None,
            duration: Duration::ZERO,
            attempts: 0,
        };
        match tally.range {
            None => cx.out.push(Action::Record(record)),
            Some((first, last)) => {
                let count = Count { record, anchor, after: first, last };
                self.counts.push_back(count);
                // Most ranges are short: their records come at once.
                self.go_on_counting(cx);
            }
        }
    }

    /// Counts until all is counted or this step's slice is used up.
    pub(super) fn go_on_counting(&mut self, cx: &mut Cx<'_>) {
        while let Some(count) = self.counts.front_mut() {
            let timetable = Timetable { trigger: &count.record.job.trigger, anchor: count.anchor };
            let counted = timetable.count(count.after, count.last, &mut self.count_budget);
            count.record.count += counted.number;
            if let Some(until) = counted.until {
                count.after = until;
                return;
            }
            if let Some(count) = self.counts.pop_front() {
                cx.out.push(Action::Record(count.record));
            }
        }
    }
}
