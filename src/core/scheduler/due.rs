//! Due times that have passed: which are due, late, missed or coalesced (doc/runs.md, "Due, late,
//! missed" and "Several at once").
//!
//! A due time fires at `due + spread + jitter`; what is said of jitter below is said of both.
//! Noticed later than that by more than `misfire_grace_time` it is missed; of several that fire at
//! once, `coalesce` picks the ones to run. The rest are never enumerated, only counted (`tally`).

use std::collections::VecDeque;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;
use std::time::Duration;

use crate::core::event::{Action, Record};
use crate::core::instant::Instant;
use crate::core::job::{Coalesce, Grace, Job, Overlap};
use crate::core::outcome::{MissReason, Outcome, SkipReason};

use super::jobs::{Away, Delayed, NEVER, TICK, Wait};
use super::tally::Tally;
use super::timetable::{Timetable, fire_time};
use super::{Scheduler, Step};

/// How many due times of one job `coalesce = "all"` runs at once. Older ones are coalesced into
/// them: no outage may make the scheduler outgrow its machine.
const ALL: usize = 10_000;

/// The due times of a job that have been reached, by what becomes of them.
struct Sorted {
    missed: Tally,
    passed: Passed,
    /// Those that wait until their jitter has passed.
    aside: Delayed,
}

impl Sorted {
    /// Those put aside earlier whose jitter has passed.
    fn sort_aside(&mut self, late: Instant, now: Instant) {
        while let Some(waiting) = self.aside.pop_until(now) {
            if waiting.fire < late {
                self.missed.add(waiting.due);
            } else {
                self.passed.before.push(waiting.due);
            }
        }
        self.passed.before.sort_unstable();
    }

    /// Those reached since, from `next` on. Far enough back they are late whatever their jitter, and
    /// recently enough they may still have to wait for it; only in between has it to be looked at.
    /// Answers the first that is not reached.
    fn sort_reached(
        &mut self,
        next: Instant,
        job: &Job,
        timetable: Timetable<'_>,
        late: Instant,
        now: Instant,
    ) -> Instant {
        let mut due = next;
        let longest = job.options.longest_delay();
        let surely_late = late.minus(longest);
        if due <= now && due < surely_late {
            let last = timetable.last_until(due, surely_late.minus(TICK));
            self.missed.add_range(due, last);
            due = timetable.after(last);
        }
        while due <= now && due < late {
            let fire = fire_time(job, due);
            if fire < late {
                self.missed.add(due);
            } else if fire <= now {
                self.passed.before.push(due);
            } else {
                self.aside.push(Wait { fire, due });
            }
            due = timetable.after(due);
        }
        let surely_fires = now.minus(longest);
        if due <= surely_fires {
            let last = timetable.last_until(due, surely_fires);
            self.passed.range = Some((due, last));
            due = timetable.after(last);
        }
        while due <= now {
            let fire = fire_time(job, due);
            if fire <= now {
                self.passed.after.push(due);
            } else {
                self.aside.push(Wait { fire, due });
            }
            due = timetable.after(due);
        }
        due
    }
}

/// The due times of one job that fire now, in order. A long stretch of them is a range.
#[derive(Default)]
struct Passed {
    before: Vec<Instant>,
    range: Option<(Instant, Instant)>,
    after: Vec<Instant>,
}

impl Scheduler {
    /// Decides every due time that has passed.
    pub(super) fn decide(&mut self, step: &mut Step<'_>) {
        if !self.life.is_accepting() {
            return;
        }
        if !self.end_pause_of_all_in_time(step) {
            return;
        }
        while let Some(&wake) = self.calendar.peek()
            && wake.at <= step.now.wall
        {
            let state = &self.jobs[wake.slot as usize];
            if state.paused && state.away == Away::No {
                self.end_pause_in_time(wake.slot, step);
            } else {
                self.decide_job(wake.slot, step);
            }
            let at = self.wake_of(wake.slot);
            if let Some(mut top) = self.calendar.peek_mut() {
                if at == NEVER {
                    PeekMut::pop(top);
                } else {
                    top.at = at;
                }
            }
            if at == NEVER {
                self.retire(wake.slot);
            }
        }
    }

    /// Decides the due times of one job that have passed.
    fn decide_job(&mut self, slot: u32, step: &mut Step<'_>) {
        let waits = !self.delayed.is_empty() && self.delayed.contains_key(&slot);
        let state = &mut self.jobs[slot as usize];
        let options = &state.job.options;
        if options.longest_delay().is_zero() && !waits {
            // The usual case: one due time, and in time.
            let next = state.timetable().after(state.next);
            let in_time = options.misfire_grace_time.allows(step.now.wall.since(state.next));
            if in_time && next > step.now.wall {
                let due = state.next;
                state.decided = due;
                state.next = next;
                if !self.admit(slot, due, step) {
                    self.record_skip(slot, due, step);
                }
                return;
            }
        }
        self.decide_many(slot, step);
    }

    /// The same for any number of due times, however late, with any jitter.
    #[cold]
    fn decide_many(&mut self, slot: u32, step: &mut Step<'_>) {
        let now = step.now.wall;
        let state = &self.jobs[slot as usize];
        let (job, anchor) = (Arc::clone(&state.job), state.anchor);
        let timetable = Timetable { trigger: &job.trigger, anchor };
        let options = &*job.options;
        let late = match options.misfire_grace_time {
            Grace::Limited(grace) => now.minus(grace),
            Grace::Forever => Instant::MIN,
        };
        let mut sorted = Sorted {
            missed: Tally::default(),
            passed: Passed {
                before: std::mem::take(&mut self.scratch.before),
                range: None,
                after: std::mem::take(&mut self.scratch.after),
            },
            aside: self.delayed.remove(&slot).unwrap_or_default(),
        };
        let next = state.next;
        sorted.sort_aside(late, now);
        let next = sorted.sort_reached(next, &job, timetable, late, now);
        let Sorted { missed, mut passed, aside } = sorted;

        if !aside.is_empty() {
            self.delayed.insert(slot, aside);
        }
        let state = &mut self.jobs[slot as usize];
        if state.away == Away::No {
            state.decided = state.decided.max(now);
        }
        state.next = next;

        let late = |first| Outcome::Missed(MissReason::Late(now.since(fire_time(&job, first))));
        self.record_tally(&job, anchor, missed, late, step);
        self.fire_passed(slot, &job, timetable, &mut passed, step);

        passed.before.clear();
        passed.after.clear();
        self.scratch.before = passed.before;
        self.scratch.after = passed.after;
    }

    /// Runs those of the due times that `coalesce` picks.
    fn fire_passed(
        &mut self,
        slot: u32,
        job: &Arc<Job>,
        timetable: Timetable<'_>,
        passed: &mut Passed,
        step: &mut Step<'_>,
    ) {
        let mut chosen = std::mem::take(&mut self.scratch.chosen);
        match job.options.coalesce {
            Coalesce::Latest => chosen.extend(passed.take_last(timetable)),
            Coalesce::Earliest => chosen.extend(passed.take_first(timetable)),
            Coalesce::All => passed.take_newest(timetable, ALL, &mut chosen),
        }
        let coalesced = passed.tally();
        self.record_tally(job, timetable.anchor, coalesced, |_| Outcome::Coalesced, step);

        let mut skipped = Tally::default();
        if job.options.overlap == Overlap::Replace {
            // Each would replace the one before it: no need to start it first.
            let most = job.options.max_instances.max(1) as usize;
            for due in chosen.drain(..chosen.len().saturating_sub(most)) {
                skipped.add(due);
            }
        }
        for due in chosen.drain(..) {
            if !self.admit(slot, due, step) {
                skipped.add(due);
            }
        }
        let outcome = |_| Outcome::Skipped(SkipReason::Overlap);
        self.record_tally(job, timetable.anchor, skipped, outcome, step);
        self.scratch.chosen = chosen;
    }

    /// Records a due time that found `max_instances` runs active.
    fn record_skip(&mut self, slot: u32, due: Instant, step: &mut Step<'_>) {
        step.out.push(Action::Record(Record {
            job: Arc::clone(&self.jobs[slot as usize].job),
            due,
            last_due: due,
            count: 1,
            run: None,
            outcome: Outcome::Skipped(SkipReason::Overlap),
            started: None,
            duration: Duration::ZERO,
            attempts: 0,
            usage: None,
        }));
    }
}

impl Passed {
    fn take_last(&mut self, timetable: Timetable<'_>) -> Option<Instant> {
        if let Some(due) = self.after.pop() {
            return Some(due);
        }
        if let Some((first, last)) = self.range {
            self.range =
                (first < last).then(|| (first, timetable.last_until(first, last.minus(TICK))));
            return Some(last);
        }
        self.before.pop()
    }

    fn take_first(&mut self, timetable: Timetable<'_>) -> Option<Instant> {
        if !self.before.is_empty() {
            return Some(self.before.remove(0));
        }
        if let Some((first, last)) = self.range {
            self.range = (first < last).then(|| (timetable.after(first), last));
            return Some(first);
        }
        (!self.after.is_empty()).then(|| self.after.remove(0))
    }

    fn take_newest(&mut self, timetable: Timetable<'_>, most: usize, to: &mut VecDeque<Instant>) {
        let after = self.after.len().min(most);
        if let Some((first, last)) = self.range.take() {
            let left_out = match most - after {
                0 => Some(last),
                room => timetable.newest(first, last, room, to),
            };
            self.range = left_out.map(|last| (first, last));
        }
        if self.range.is_none() {
            let before = self.before.len().min(most - after - to.len());
            for due in self.before.drain(self.before.len() - before..).rev() {
                to.push_front(due);
            }
        }
        to.extend(self.after.drain(self.after.len() - after..));
    }

    /// What is left.
    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        self.before.iter().chain(&self.after).for_each(|&due| tally.add(due));
        if let Some((first, last)) = self.range {
            tally.add_range(first, last);
        }
        tally
    }
}
