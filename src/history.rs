//! Reading the past: what the records of a store say about a job.
//!
//! Pure, like the decisions it looks back on: the subcommands (`crate::cli::command`) read the store
//! and give what they found to these. [`audit`] shows that every due time has exactly one outcome,
//! [`why`] says why a due time ended as it did, [`glance`] is a job's past at a glance, and
//! [`object`] a record as JSON. [`mod@format`] has the words that they share, [`down`] when schedrs
//! was down.

pub mod audit;
pub mod down;
#[cfg(test)]
pub(crate) mod fake;
pub mod format;
pub mod glance;
pub mod object;
pub mod why;

use std::time::Duration;

use crate::core::instant::Instant;
use crate::core::record::RunRecord;
use crate::core::trigger::Trigger;

/// The smallest step of time, to make "after" of "from ... on".
const TICK: Duration = Duration::from_micros(1);

/// The last due time in `floor..=until`, of a trigger that has been anchored.
///
/// A trigger only looks forward: so twice as far back each time, until one is found, and then half
/// as far each time, until none is left between.
pub fn last_due(trigger: &Trigger, floor: Instant, until: Instant) -> Option<Instant> {
    let mut span = Duration::from_secs(1);
    let first = loop {
        let from = until.minus(span).max(floor);
        match trigger.next_after(from.minus(TICK)) {
            Some(due) if due <= until => break due,
            _ if from <= floor => return None,
            _ => span = span.saturating_mul(2),
        }
    };
    let (mut found, mut none_after) = (first, until);
    while let Some(next) = trigger.next_after(found).filter(|next| *next <= until) {
        found = next;
        let half = Duration::from_micros(none_after.since(found).as_micros() as u64 / 2);
        let middle = found.plus(half);
        match trigger.next_after(middle) {
            Some(next) if next <= until => found = next,
            _ => none_after = middle,
        }
    }
    Some(found)
}

/// The first due time from `from` on, that instant included.
pub fn due_from(trigger: &Trigger, from: Instant) -> Option<Instant> {
    trigger.next_after(from.minus(TICK))
}

/// When a run was over.
pub fn end_of(record: &RunRecord) -> Option<Instant> {
    record.ended()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::trigger::IntervalTrigger;
    use crate::core::zone::Database;

    fn interval(every: u64, first: i64, end: Option<i64>) -> Trigger {
        Trigger::Interval(IntervalTrigger::new(
            Duration::from_secs(every),
            Some(Instant::from_secs(first)),
            end.map(Instant::from_secs),
        ))
    }

    proptest! {
        /// The last one is that after which none follows in time.
        #[test]
        fn the_last_due_time_is_the_last(every in 1u64..5000, first in 0i64..10_000,
            end in proptest::option::of(0i64..60_000), floor in 0i64..30_000, ahead in 0i64..30_000) {
            let trigger = interval(every, first, end);
            let (floor, until) = (Instant::from_secs(floor), Instant::from_secs(floor + ahead));
            let mut slow = None;
            let mut due = due_from(&trigger, floor);
            while let Some(at) = due.filter(|at| *at <= until) {
                slow = Some(at);
                due = trigger.next_after(at);
            }
            prop_assert_eq!(last_due(&trigger, floor, until), slow);
        }
    }

    #[test]
    fn a_rare_due_time_is_found_far_back() {
        let text = "[jobs.j]\ncommand = 'true'\ncron = '0 0 29 2 *'";
        let now = Instant::from_secs(1_790_000_000);
        let loaded = crate::jobfile::load_text("t", text, &Database::bundled(), now);
        let job = &loaded.set.unwrap().jobs[0];
        let found = last_due(&job.trigger, Instant::MIN, now).unwrap();
        assert_eq!(found.to_string(), "2024-02-29T00:00:00Z");
        assert_eq!(last_due(&job.trigger, found.plus(TICK), now), None);
    }
}
