//! Due times that share a fate and are not worth a record each: first, last, and how many.
//!
//! Intervals are counted by arithmetic. Cron schedules are counted by asking them again and again,
//! a slice of a limited size each step, so that the schedule of every second of a machine that
//! slept for a year delays nothing; their record comes when the number is known, and is exact.

use std::sync::Arc;
use std::time::Duration;

use crate::core::event::{Action, DecidedRange, Record};
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::outcome::Outcome;
use crate::core::sort;

use super::jobs::TICK;
use super::timetable::Timetable;
use super::{Scheduler, Step};

/// How many due times one step counts: a few milliseconds.
pub(super) const SLICE: u64 = 50_000;

/// Due times with one fate: some of them one by one, others as ranges that are uncounted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    singles: Vec<Instant>,
    ranges: Vec<(Instant, Instant)>,
}

impl Tally {
    /// One more due time.
    pub(super) fn add(&mut self, due: Instant) {
        self.singles.push(due);
    }

    /// All due times in `first..=last`, both of which are due times.
    pub(super) fn add_range(&mut self, first: Instant, last: Instant) {
        self.ranges.push((first, last));
    }

    /// The stretches of it in which no due time is left out, in order.
    fn stretches(mut self, timetable: Timetable<'_>) -> Vec<Stretch> {
        sort::all(&mut self.singles);
        sort::all(&mut self.ranges);
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut add = |first: Instant, last: Instant| {
            let uncounted = (first < last).then_some((first, last));
            match stretches.last_mut() {
                Some(before) if timetable.after(before.last) == first => {
                    before.last = last;
                    match (&mut before.uncounted, uncounted) {
                        (Some((_, until)), _) => *until = last,
                        // The first of it is counted here, the rest later.
                        (none, uncounted) => {
                            before.number += 1;
                            *none = uncounted;
                        }
                    }
                }
                _ => stretches.push(Stretch { first, last, number: 1, uncounted }),
            }
        };
        let mut ranges = self.ranges.into_iter().peekable();
        for due in self.singles {
            while let Some((first, last)) = ranges.next_if(|range| range.0 < due) {
                add(first, last);
            }
            add(due, due);
        }
        ranges.for_each(|(first, last)| add(first, last));
        stretches
    }
}

/// Due times that follow each other.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: Instant,
    last: Instant,
    /// How many are known.
    number: u64,
    /// Those after the first of these, up to the last, are not counted yet.
    uncounted: Option<(Instant, Instant)>,
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
    /// Records what became of the due times of a tally, at once if their number is soon known. A
    /// record is for due times that follow each other: it speaks for every one between its first
    /// and its last. `outcome` is told the first.
    pub(super) fn record_tally(
        &mut self,
        job: &Arc<Job>,
        anchor: Instant,
        tally: Tally,
        outcome: impl Fn(Instant) -> Outcome,
        step: &mut Step<'_>,
    ) {
        let timetable = Timetable { trigger: &job.trigger, anchor };
        for stretch in tally.stretches(timetable) {
            let record = Record {
                job: Arc::clone(job),
                due: stretch.first,
                last_due: stretch.last,
                count: stretch.number,
                run: None,
                outcome: outcome(stretch.first),
                started: None,
                duration: Duration::ZERO,
                attempts: 0,
                usage: None,
            };
            match stretch.uncounted {
                None => step.out.push(Action::Record(record)),
                Some((after, last)) => {
                    self.counts.push_back(Count { record, anchor, after, last });
                    // Most ranges are short: their records come at once.
                    self.go_on_counting(step);
                }
            }
        }
    }

    /// Records those due times of a range that have no record in the store, because another scheduler
    /// had decided the first when the record of the range came.
    pub(super) fn record_rest(&mut self, range: DecidedRange, step: &mut Step<'_>) {
        let DecidedRange { job, due: mut next, last_due, outcome, mut fates } = range;
        let Some(slot) = self.find_job(&job) else { return };
        let state = &self.jobs[slot as usize];
        let (job, anchor) = (Arc::clone(&state.job), state.anchor);
        let timetable = Timetable { trigger: &job.trigger, anchor };
        if timetable.after(next.minus(TICK)) != next {
            // The job is due at other times since.
            return;
        }
        sort::all(&mut fates);
        let beyond = last_due.plus(TICK);
        for (first, last) in fates.into_iter().chain([(beyond, beyond)]) {
            if next < first && next <= last_due {
                let mut rest = Tally::default();
                let until = first.minus(TICK).min(last_due);
                rest.add_range(next, timetable.last_until(next, until));
                self.record_tally(&job, anchor, rest, |_| outcome.clone(), step);
            }
            if next <= last {
                next = timetable.after(last);
            }
        }
    }

    /// Counts until all is counted or this step's slice is used up.
    pub(super) fn go_on_counting(&mut self, step: &mut Step<'_>) {
        while let Some(count) = self.counts.front_mut() {
            let timetable = Timetable { trigger: &count.record.job.trigger, anchor: count.anchor };
            let counted = timetable.count(count.after, count.last, &mut self.count_budget);
            count.record.count += counted.number;
            if let Some(until) = counted.until {
                count.after = until;
                return;
            }
            if let Some(count) = self.counts.pop_front() {
                step.out.push(Action::Record(count.record));
            }
        }
    }
}
