//! Due times that have passed: which are due, late, missed or coalesced (doc/runs.md, "Due, late,
//! missed" and "Several at once").
//!
//! A due time fires at `due + spread + jitter`; what is said of jitter below is said of both.
//! Noticed later than that by more than `misfire_grace_time` it is missed; of several that fire at
//! once, `coalesce` picks the ones to run. The rest are never enumerated, only counted (`tally`).

use std::collections::VecDeque;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use crate::core::event::{Action, Record};
use crate::core::instant::Instant;
use crate::core::job::{Coalesce, Grace, Job, Overlap};
use crate::core::outcome::{MissReason, Outcome, SkipReason};
use crate::core::trigger::Trigger;

use super::jobs::{Away, Delayed, NEVER, TICK, Wait};
use super::tally::Tally;
use super::timetable::{Timetable, fire_time};
use super::{Scheduler, Step};

/// How many due times of one job `coalesce = "all"` runs at once. Older ones are coalesced into
/// them: no outage may make the scheduler outgrow its machine.
const ALL: usize = 10_000;

/// So many stretches of a job's time, excluded ones and those between them, are gone through in one step:
/// the windows of nine years of nights. What is left comes in the next.
const STRETCHES: usize = 10_000;

/// A job at the moment at which its due times are looked at.
struct Reached<'a> {
    job: &'a Job,
    timetable: Timetable<'a>,
    /// What fires before that is too late.
    late: Instant,
    now: Instant,
}

/// The due times of a job that have been reached, by what becomes of them.
struct Sorted {
    missed: Tally,
    /// When the first of those that were put aside fired that are missed.
    fired: Option<Instant>,
    passed: Passed,
    /// Those that wait until their jitter has passed.
    aside: Delayed,
    /// Those that are excluded: by what, the first and the last.
    excluded: Vec<(String, Instant, Instant)>,
}

impl Sorted {
    /// Those put aside earlier whose jitter has passed.
    fn sort_aside(&mut self, at: &Reached<'_>) {
        while let Some(waiting) = self.aside.pop_until(at.now) {
            // A calendar may be another by now.
            if let Some(by) = at.job.excluded(waiting.due) {
                self.excluded.push((by, waiting.due, waiting.due));
            } else if waiting.fire < at.late {
                self.fired.get_or_insert(waiting.fire);
                self.missed.add(waiting.due);
            } else {
                self.passed.add(waiting.due);
            }
        }
        self.passed.0.make_contiguous().sort_unstable();
    }

    /// The one that is reached, of a job that has no other before a run of it has ended.
    fn sort_alone(&mut self, due: Instant, at: &Reached<'_>) {
        let fire = fire_time(at.job, due);
        if let Some(by) = at.job.excluded(due) {
            self.excluded.push((by, due, due));
        } else if fire < at.late {
            self.missed.add(due);
        } else if fire <= at.now {
            self.passed.add(due);
        } else {
            self.aside.push(Wait { fire, due });
        }
    }

    /// Those reached since, from `next` on. Answers the first that is not, or that is left for the next
    /// step.
    fn sort_reached(&mut self, next: Instant, at: &Reached<'_>) -> Instant {
        let excluded = &at.job.options.excluded;
        if excluded.is_empty() {
            return self.sort_kept(next, at.now, at);
        }
        let mut due = next;
        // What goes on in the same way is one stretch.
        let mut stretch: Option<(Option<String>, Instant, Instant)> = None;
        for _ in 0..STRETCHES {
            if due > at.now {
                break;
            }
            let look = excluded.look(due, &at.job.zone);
            let last = at.timetable.last_until(due, look.until.minus(TICK).min(at.now));
            match &mut stretch {
                Some((by, _, until)) if by.as_deref() == look.within.as_deref() => *until = last,
                _ => {
                    let new = (look.within.map(|by| by.into_owned()), due, last);
                    let over = stretch.replace(new);
                    self.sort_stretch(over, at);
                }
            }
            due = at.timetable.after(last);
        }
        self.sort_stretch(stretch, at);
        due
    }

    /// Due times that are all excluded by the same, or all not.
    fn sort_stretch(
        &mut self,
        stretch: Option<(Option<String>, Instant, Instant)>,
        at: &Reached<'_>,
    ) {
        match stretch {
            Some((Some(by), first, last)) => self.excluded.push((by, first, last)),
            Some((None, first, last)) => {
                self.sort_kept(first, last, at);
            }
            None => {}
        }
    }

    /// Those from `next` to `end` that are not excluded. Far enough back they are late whatever their
    /// jitter, and recently enough they may still have to wait for it; only in between has it to be looked
    /// at. Answers the first beyond.
    fn sort_kept(&mut self, next: Instant, end: Instant, at: &Reached<'_>) -> Instant {
        let Reached { job, timetable, late, now } = *at;
        let mut due = next;
        let longest = job.options.longest_delay();
        let surely_late = late.minus(longest);
        if due <= end && due < surely_late {
            let last = timetable.last_until(due, surely_late.minus(TICK).min(end));
            self.missed.add_range(due, last);
            due = timetable.after(last);
        }
        while due <= end && due < late {
            let fire = fire_time(job, due);
            if fire < late {
                self.missed.add(due);
            } else if fire <= now {
                self.passed.add(due);
            } else {
                self.aside.push(Wait { fire, due });
            }
            due = timetable.after(due);
        }
        let surely_fires = now.minus(longest).min(end);
        if due <= surely_fires {
            let last = timetable.last_until(due, surely_fires);
            self.passed.0.push_back((due, last));
            due = timetable.after(last);
        }
        while due <= end {
            let fire = fire_time(job, due);
            if fire <= now {
                self.passed.add(due);
            } else {
                self.aside.push(Wait { fire, due });
            }
            due = timetable.after(due);
        }
        due
    }
}

/// The due times of one job that fire now, in order: stretches of them, each by its first and its last.
#[derive(Default)]
struct Passed(VecDeque<(Instant, Instant)>);

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
            let mut is_left = false;
            let state = &self.jobs[wake.slot as usize];
            if state.paused && state.away == Away::No {
                self.end_pause_in_time(wake.slot, step);
            } else if self.is_held_up(wake.slot) {
                self.leave_undecided(wake.slot, step.now.wall);
            } else {
                self.decide_job(wake.slot, step);
                is_left = self.jobs[wake.slot as usize].next <= step.now.wall;
                self.count_if_idle(wake.slot, step);
            }
            let mut at = self.wake_of(wake.slot);
            if is_left {
                // Others are not to wait for that.
                at = at.max(step.now.wall.plus(TICK));
            }
            // What became of it may have changed when it, or another job, is to be looked at.
            if let Some(mut top) = self.calendar.peek_mut().filter(|top| **top == wake) {
                if at == NEVER {
                    PeekMut::pop(top);
                } else {
                    top.at = at;
                }
            } else {
                self.reschedule(wake.slot);
            }
            if at == NEVER {
                self.retire(wake.slot);
            }
        }
        self.forget_held_up();
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
                let excluded = match options.excluded.is_empty() {
                    true => None,
                    false => state.job.excluded(due),
                };
                if let Some(by) = excluded {
                    self.record_skip(slot, due, SkipReason::excluded(&by), step);
                } else if !self.admit(slot, due, step) {
                    self.record_skip(slot, due, SkipReason::Overlap, step);
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
        let at = Reached { job: &job, timetable, late, now };
        let mut sorted = Sorted {
            missed: Tally::default(),
            fired: None,
            passed: Passed(std::mem::take(&mut self.scratch.passed)),
            aside: self.delayed.remove(&slot).unwrap_or_default(),
            excluded: Vec::new(),
        };
        let (next, is_alone) = (state.next, state.counts_from_end());
        sorted.sort_aside(&at);
        let next = match is_alone {
            true if next <= now => {
                sorted.sort_alone(next, &at);
                NEVER
            }
            true => next,
            false => sorted.sort_reached(next, &at),
        };
        let Sorted { missed, fired, mut passed, aside, excluded } = sorted;

        if !aside.is_empty() {
            self.delayed.insert(slot, aside);
        }
        let state = &mut self.jobs[slot as usize];
        if state.away == Away::No {
            state.decided = state.decided.max(now.min(next.minus(TICK)));
        }
        state.next = next;

        for (by, first, last) in excluded {
            let mut tally = Tally::default();
            tally.add_range(first, last);
            let outcome = |_| Outcome::Skipped(SkipReason::excluded(&by));
            self.record_tally(&job, anchor, tally, outcome, step);
        }
        // One that is due after other jobs fires when they have ended.
        let fired = fired.filter(|_| matches!(job.trigger, Trigger::After(_)));
        let fired = |first| fired.unwrap_or_else(|| fire_time(&job, first));
        // What had waited for the store without being late before that.
        let held_up = self.held_up_since(slot);
        let in_time = |since: Instant, fired| options.misfire_grace_time.allows(since.since(fired));
        let late = |first| {
            let (fired, late) = (fired(first), now.since(fired(first)));
            Outcome::Missed(match held_up.is_some_and(|since| in_time(since, fired)) {
                true => MissReason::NoStore(late),
                false => MissReason::Late(late),
            })
        };
        self.record_tally(&job, anchor, missed, late, step);
        self.fire_passed(slot, &job, timetable, &mut passed, step);

        passed.0.clear();
        self.scratch.passed = passed.0;
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

    /// Records a due time that is not run.
    fn record_skip(&mut self, slot: u32, due: Instant, reason: SkipReason, step: &mut Step<'_>) {
        let job = Arc::clone(&self.jobs[slot as usize].job);
        let record = Record::without_run(job, due, Outcome::Skipped(reason));
        step.out.push(Action::Record(record));
    }
}

impl Passed {
    fn add(&mut self, due: Instant) {
        self.0.push_back((due, due));
    }

    fn take_last(&mut self, timetable: Timetable<'_>) -> Option<Instant> {
        let (first, last) = self.0.pop_back()?;
        if first < last {
            self.0.push_back((first, timetable.last_until(first, last.minus(TICK))));
        }
        Some(last)
    }

    fn take_first(&mut self, timetable: Timetable<'_>) -> Option<Instant> {
        let (first, last) = self.0.pop_front()?;
        if first < last {
            self.0.push_front((timetable.after(first), last));
        }
        Some(first)
    }

    fn take_newest(&mut self, timetable: Timetable<'_>, most: usize, to: &mut VecDeque<Instant>) {
        let mut newest = VecDeque::new();
        while to.len() < most
            && let Some((first, last)) = self.0.pop_back()
        {
            newest.clear();
            if let Some(left_out) = timetable.newest(first, last, most - to.len(), &mut newest) {
                self.0.push_back((first, left_out));
            }
            newest.drain(..).rev().for_each(|due| to.push_front(due));
        }
    }

    /// What is left.
    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for &(first, last) in &self.0 {
            match first == last {
                true => tally.add(first),
                false => tally.add_range(first, last),
            }
        }
        tally
    }
}
