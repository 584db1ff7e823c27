//! Whether every due time of a job has exactly one outcome.
//!
//! The trigger is asked again which due times there were, and the records of the store are laid
//! over them: a record of one due time covers that one, and a record of several covers as many as
//! it says, somewhere between its first and its last. What is left uncovered is *unaccounted*, and
//! what is covered more than once is there *twice*; neither should ever be.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use crate::core::event::JobRecord;
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::outcome::Outcome;
use crate::core::record::RunRecord;
use crate::core::sort;
use crate::core::trigger::{DateTrigger, Trigger};

use super::due_from;

/// So many examples of what is wrong are kept.
const EXAMPLES: usize = 5;

/// What is to be audited.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The job, with the trigger it has had since `known.since`.
    pub job: &'a Job,
    /// What the store remembers of it.
    pub known: &'a JobRecord,
    /// From this due time on, that one included.
    pub from: Instant,
    /// Up to this one, that one included.
    pub until: Instant,
    /// There are records from before `from`, so that none after it can have been forgotten. If
    /// not, it begins with the oldest record.
    pub has_older: bool,
    /// Due times from before this moment may have been forgotten, even if no record is left.
    pub kept_from: Instant,
    /// Since when the job, or all of them, are paused: what is due then is recorded when the pause
    /// ends.
    pub paused_since: Option<Instant>,
    /// The last moment at which a scheduler is known to have looked: a due time with jitter that
    /// fires later waits for it.
    pub seen: Instant,
    /// It asks the trigger for this many due times at most.
    pub limit: u64,
}

/// What an audit has found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Audit {
    /// The first due time that was looked at and the last; `None`: there was none.
    pub span: Option<(Instant, Instant)>,
    /// How many due times there were.
    pub due_times: u64,
    /// What became of them.
    pub fates: Fates,
    /// How many wait for their jitter to pass, or for the end of a pause.
    pub waiting: u64,
    /// How many have no outcome, and are not being worked on either.
    pub unaccounted: u64,
    /// How many outcomes there are too many.
    pub twice: u64,
    /// How many due times were none of the trigger: those at the start of the scheduler.
    pub beside: u64,
    /// The first few things that are wrong.
    pub examples: Vec<Example>,
    /// There were more due times than it may look at: those after `span` are left out.
    pub is_cut: bool,
}

/// How many due times had which kind of outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// A process ran: succeeded, failed, killed, timed out.
    pub ran: u64,
    /// Its process could not be started.
    pub not_started: u64,
    pub skipped: u64,
    pub missed: u64,
    pub coalesced: u64,
    pub lost: u64,
    /// It has become a run that is not over.
    pub open: u64,
}

/// Something that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    /// What.
    pub wrong: Wrong,
    /// The due time, or the first of several in a row.
    pub first: Instant,
    /// The last of them.
    pub last: Instant,
    /// How many.
    pub count: u64,
}

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// There is no outcome.
    Unaccounted,
    /// There is more than one.
    Twice,
}

impl Fates {
    fn add(&mut self, outcome: Option<&Outcome>, count: u64) {
        let field = match outcome {
            None => &mut self.open,
            Some(outcome) => match outcome {
                Outcome::Succeeded
                | Outcome::Failed(_)
                | Outcome::Killed(_)
                | Outcome::OverLimit(..)
                | Outcome::TimedOut => &mut self.ran,
                Outcome::NotStarted(_) => &mut self.not_started,
                Outcome::Skipped(_) => &mut self.skipped,
                Outcome::Missed(_) => &mut self.missed,
                Outcome::Coalesced => &mut self.coalesced,
                Outcome::Lost(_) => &mut self.lost,
            },
        };
        *field = field.saturating_add(count);
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        let Fates { ran, not_started, skipped, missed, coalesced, lost, open } = *self;
        [ran, not_started, skipped, missed, coalesced, lost, open]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

impl Audit {
    /// Whether every due time has exactly one outcome, as far as it has looked.
    pub fn adds_up(&self) -> bool {
        self.unaccounted == 0 && self.twice == 0
    }

    fn wrong(&mut self, example: Example) {
        match example.wrong {
            Wrong::Unaccounted => self.unaccounted += example.count,
            Wrong::Twice => self.twice += example.count,
        }
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }
}

/// A record of several due times, while they are walked through. The one that ends first is used
/// up first, which finds a place for all of them if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    last: Instant,
    first: Instant,
    /// Which record it is.
    index: usize,
    left: u64,
}

/// Audits one job. `records` are those of the job that touch the window; more of them do no harm.
pub fn audit(question: &Question<'_>, records: &[RunRecord]) -> Audit {
    let known = question.known;
    if let Trigger::Date(DateTrigger::Now | DateTrigger::Reboot) = question.job.trigger {
        // Each start is a due time of it, which the trigger cannot name.
        let own = records.iter().filter(|record| record.by.is_none());
        let beside = own.map(|record| record.count).sum();
        return Audit { beside, ..Audit::default() };
    }
    let own = |record: &&RunRecord| record.by.is_none() && record.last_due >= known.since;
    if let Trigger::FromEnd(_) | Trigger::After(_) = question.job.trigger {
        return of_ends(question, records.iter().filter(own).collect());
    }
    let mut records: Vec<&RunRecord> = records.iter().filter(own).collect();
    sort::by_key(&mut records, |record| record.due);

    let mut from = question.from.max(known.since);
    if !question.has_older {
        from = from.max(match records.first() {
            Some(oldest) => oldest.due,
            None => question.kept_from,
        });
    }
    let mut until = question.until.min(known.decided);
    widen(&records, &mut from, &mut until, known.since);

    let trigger = question.job.trigger.anchored(known.anchor);
    let first = due_from(&trigger, from).filter(|due| *due <= until);
    let ranges = BinaryHeap::new();
    let mut found = Audit::default();
    Walk { question, records: &records, from, until, ranges }.run(&trigger, first, &mut found);
    found
}

/// The same where due times come of the ends of runs, its own or others': the trigger knows the last one
/// only, or none, and of those before it the records tell.
fn of_ends(question: &Question<'_>, mut records: Vec<&RunRecord>) -> Audit {
    let known = question.known;
    sort::by_key(&mut records, |record| record.due);
    let (from, until) = (question.from.max(known.since), question.until.min(known.decided));
    let last = question.job.trigger.anchored(known.anchor).next_after(from.just_before());
    let last = last.filter(|due| *due <= until);
    let mut found = Audit::default();
    for record in records.iter().filter(|record| (from..=until).contains(&record.due)) {
        let at = record.due;
        if found.span.is_some_and(|span| span.1 == at) {
            found.wrong(Example { wrong: Wrong::Twice, first: at, last: at, count: 1 });
            continue;
        }
        found.span = Some((found.span.map_or(at, |span| span.0), at));
        found.due_times += record.count;
        found.fates.add(record.outcome.as_ref(), record.count);
    }
    if let Some(at) = last
        && !records.iter().any(|record| record.due == at)
    {
        found.span = Some((found.span.map_or(at, |span| span.0), at));
        found.due_times += 1;
        match is_waiting(question, at) {
            true => found.waiting += 1,
            false => {
                let wrong = Wrong::Unaccounted;
                found.wrong(Example { wrong, first: at, last: at, count: 1 });
            }
        }
    }
    found
}

/// The walk from due time to due time.
struct Walk<'a> {
    question: &'a Question<'a>,
    /// Sorted by their first due time.
    records: &'a [&'a RunRecord],
    from: Instant,
    until: Instant,
    /// Those that have begun and are not used up.
    ranges: BinaryHeap<Reverse<Range>>,
}

impl Walk<'_> {
    fn run(&mut self, trigger: &Trigger, first: Option<Instant>, found: &mut Audit) {
        let mut next = 0;
        let mut due = first;
        // Due times in a row that are unaccounted make one example.
        let mut row: Option<Example> = None;
        loop {
            if due.is_some() && found.due_times == self.question.limit {
                found.is_cut = true;
                self.ranges.clear();
                due = None;
            }
            let singles = if found.is_cut { 0 } else { self.take_until(&mut next, due, found) };
            let over = self.over_before(due, found);
            let ends_row = singles > 0 || !self.ranges.is_empty() || !over.is_empty();
            if due.is_none() || ends_row {
                row.take().into_iter().for_each(|row| found.wrong(row));
            }
            over.into_iter().for_each(|example| found.wrong(example));
            let Some(this) = due else { return };

            found.due_times += 1;
            found.span = Some((found.span.map_or(this, |span| span.0), this));
            if singles > 1 {
                let wrong = Wrong::Twice;
                found.wrong(Example { wrong, first: this, last: this, count: singles - 1 });
            } else if singles == 0 {
                if let Some(mut range) = self.ranges.peek_mut() {
                    found.fates.add(self.records[range.0.index].outcome.as_ref(), 1);
                    range.0.left -= 1;
                    if range.0.left == 0 {
                        PeekMut::pop(range);
                    }
                } else if is_waiting(self.question, this) {
                    found.waiting += 1;
                } else {
                    let new =
                        Example { wrong: Wrong::Unaccounted, first: this, last: this, count: 0 };
                    let row = row.get_or_insert(new);
                    row.last = this;
                    row.count += 1;
                }
            }
            due = trigger.next_after(this).filter(|next| *next <= self.until);
        }
    }

    /// Takes the records up to a due time, or all that are left. Answers how many are of this due
    /// time alone.
    fn take_until(&mut self, next: &mut usize, due: Option<Instant>, found: &mut Audit) -> u64 {
        let mut singles = 0;
        let at = due.unwrap_or(self.until);
        while let Some(record) = self.records.get(*next).filter(|record| record.due <= at) {
            let index = *next;
            *next += 1;
            if record.last_due < self.from {
                continue;
            }
            if record.count > 1 || record.due < record.last_due {
                // `run_on_start` is a due time beside those of the trigger, and if it is one of
                // several it is the first.
                let extra = record.due >= self.from && Some(record.due) != due;
                found.beside += u64::from(extra);
                let left = record.count.saturating_sub(u64::from(extra));
                if left > 0 {
                    let (first, last) = (record.due, record.last_due);
                    self.ranges.push(Reverse(Range { last, first, index, left }));
                }
            } else if Some(record.due) == due {
                found.fates.add(record.outcome.as_ref(), 1);
                singles += 1;
            } else {
                found.beside += 1;
            }
        }
        singles
    }

    /// Puts the ranges aside that have ended before a due time: what they have left is too much.
    fn over_before(&mut self, due: Option<Instant>, found: &mut Audit) -> Vec<Example> {
        let mut over = Vec::new();
        while let Some(&Reverse(range)) = self.ranges.peek()
            && due.is_none_or(|due| range.last < due)
        {
            self.ranges.pop();
            // One that began with another trigger counts due times of that one too.
            if range.first >= self.question.known.since {
                found.fates.add(self.records[range.index].outcome.as_ref(), range.left);
                over.push(Example {
                    wrong: Wrong::Twice,
                    first: range.first,
                    last: range.last,
                    count: range.left,
                });
            }
        }
        over
    }
}

/// A record of several due times says how many, but not which: so it is looked at as a whole or,
/// where it is partly of another trigger, from where this one began.
fn widen(records: &[&RunRecord], from: &mut Instant, until: &mut Instant, since: Instant) {
    loop {
        let mut changed = false;
        for record in records {
            if record.due < *from && record.last_due >= *from && *from > since {
                *from = record.due.max(since);
                changed = true;
            }
            if record.due <= *until && record.last_due > *until {
                *until = record.last_due;
                changed = true;
            }
        }
        if !changed {
            return;
        }
    }
}

/// Whether a due time still waits for its jitter to pass, or for the end of a pause.
fn is_waiting(question: &Question<'_>, due: Instant) -> bool {
    if question.paused_since.is_some_and(|since| due > since) {
        return true;
    }
    let job = question.job;
    due.plus(job.delay(due)) > question.seen
}

#[cfg(test)]
mod tests;
