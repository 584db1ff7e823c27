//! Due times that were given one fate together, which is one record: the store has it under the first
//! of them. While two hosts think that a job is theirs, the other may have decided that one, and the
//! store refuses the whole record. So it is asked what it has, and the scheduler records the rest
//! (`crate::core::scheduler::tally`).

use std::collections::HashMap;

use super::Driver;
use super::past::{Past, Wanted};
use crate::core::event::{DecidedRange, HomeChange};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::store::Fact;
use crate::store::keeper::OthersEvent;

/// A record of several due times that was written, unless the store has refused it.
#[derive(Debug)]
pub(super) struct Range {
    job: Box<str>,
    due: Instant,
    last_due: Instant,
    outcome: Outcome,
    /// Each host has due times of its own of this job.
    each: bool,
}

impl Range {
    /// What is to be looked at after a fact was written.
    pub(super) fn of(fact: &Fact) -> Option<Range> {
        let Fact::Fate { job, due, last_due, outcome, host, .. } = fact else { return None };
        (due < last_due).then(|| Range {
            job: job.clone(),
            due: *due,
            last_due: *last_due,
            outcome: outcome.clone(),
            each: host.is_some(),
        })
    }

    /// Whether the store has it as it was written.
    fn is_in(&self, found: &HashMap<Box<str>, Past>) -> bool {
        let fates = found.get(&self.job).map_or(&[][..], |(_, fates)| fates);
        fates.contains(&(self.due, self.last_due))
    }

    /// What it has instead.
    fn within(&self, found: &HashMap<Box<str>, Past>) -> Vec<(Instant, Instant)> {
        let fates = found.get(&self.job).map_or(&[][..], |(_, fates)| fates);
        let within = |fate: &&(Instant, Instant)| fate.0 <= self.last_due && self.due <= fate.1;
        fates.iter().filter(within).copied().collect()
    }
}

impl Driver {
    /// Asks what the store has of the due times that were written together.
    pub(super) fn look_at_ranges(&mut self) {
        if self.ranges.is_empty() || self.silent.is_some() {
            return;
        }
        // Whether it has them, which is nearly always so, shows in its newest records.
        let found = self.look_for(wanted(&self.ranges, |range| range.last_due));
        let Some(found) = self.unless_failed(found) else { return };
        self.ranges.retain(|range| !range.is_in(&found.past));
        if self.ranges.is_empty() {
            return;
        }
        let found = self.fates(wanted(&self.ranges, |range| range.due));
        let Some(found) = self.unless_failed(found) else { return };
        let ranges = std::mem::take(&mut self.ranges).into_iter();
        let ranges = ranges.filter(|range| !range.is_in(&found)).map(|range| {
            let fates = range.within(&found);
            let Range { job, due, last_due, outcome, .. } = range;
            DecidedRange { job, due, last_due, outcome, fates }
        });
        let change = HomeChange { ranges: ranges.collect(), ..HomeChange::default() };
        if !change.ranges.is_empty() {
            self.tell_of(OthersEvent::Homes(Box::new(change)));
        }
    }
}

/// The jobs of these, each since the first of a moment of theirs.
fn wanted(ranges: &[Range], moment: impl Fn(&Range) -> Instant) -> Vec<Wanted> {
    let mut wanted: HashMap<&str, (Instant, bool)> = HashMap::new();
    for range in ranges {
        let first = wanted.entry(&range.job).or_insert((moment(range), range.each));
        first.0 = first.0.min(moment(range));
    }
    wanted.into_iter().map(|(job, (since, each))| (job.into(), since, each)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Instant {
        Instant::from_secs(secs)
    }

    fn range(job: &str, due: i64, last_due: i64) -> Range {
        let (due, last_due) = (at(due), at(last_due));
        Range { job: job.into(), due, last_due, outcome: Outcome::Coalesced, each: false }
    }

    /// Whether the store has them is asked of its newest records, also where years are behind.
    #[test]
    fn a_look_is_at_the_newest_records() {
        let ranges = [range("a", 10, 5000), range("a", 5001, 5002), range("b", 1, 4000)];
        let since = |moment: fn(&Range) -> Instant| {
            let mut wanted = wanted(&ranges, moment);
            wanted.sort();
            wanted
        };
        let of = |job: &str, since| (Box::from(job), at(since), false);
        assert_eq!(since(|range| range.last_due), [of("a", 5000), of("b", 4000)]);
        assert_eq!(since(|range| range.due), [of("a", 10), of("b", 1)]);
    }

    #[test]
    fn what_the_store_has_instead() {
        let fates = vec![(at(1), at(3)), (at(4), at(6)), (at(8), at(8)), (at(9), at(20))];
        let found = HashMap::from([(Box::from("a"), (at(0), fates))]);
        let rows = [
            // First, last; whether it is there; else what is within.
            (("a", 4, 6), true, &[(4, 6)][..]),
            (("a", 4, 8), false, &[(4, 6), (8, 8)]),
            (("a", 3, 9), false, &[(1, 3), (4, 6), (8, 8), (9, 20)]),
            (("a", 7, 7), false, &[]),
            (("b", 4, 6), false, &[]),
        ];
        for ((job, due, last_due), is_in, within) in rows {
            let range = range(job, due, last_due);
            let expected: Vec<_> = within.iter().map(|(from, to)| (at(*from), at(*to))).collect();
            assert_eq!((range.is_in(&found), range.within(&found)), (is_in, expected), "{range:?}");
        }
    }
}
