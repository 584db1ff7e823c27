//! What the runs of a job usually take and print, and which of them are out of the ordinary.
//!
//! Pure. `slow` watches over those that go on for longer than they should; `unusual` compares one that has
//! succeeded with those before it, of which it may have printed far less or taken far less time; `hints`
//! remembers in little room which runs need no such comparison. All of it are words for people: nothing
//! here makes a failure of a run.

pub(crate) mod hints;
pub(crate) mod slow;
pub(crate) mod unusual;

use std::time::Duration;

use super::outcome::Outcome;
use super::record::RunRecord;

/// So many of the last runs of a job that have succeeded say what is usual.
pub(crate) const RUNS: usize = 50;
/// With fewer of them nothing is.
const LEAST: usize = 10;

/// A run that has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Success {
    /// How long it took.
    pub(crate) took: Duration,
    /// How many bytes it has printed, where that is known.
    pub(crate) printed: Option<u64>,
}

/// Those of these records that are of runs that have succeeded, in the same order, [`RUNS`] at most.
pub(crate) fn successes<'a>(records: impl IntoIterator<Item = &'a RunRecord>) -> Vec<Success> {
    let is_success = |record: &&RunRecord| record.outcome.as_ref().is_some_and(Outcome::is_success);
    let records = records.into_iter().filter(is_success);
    let success =
        |record: &RunRecord| Some(Success { took: record.duration?, printed: record.printed });
    records.filter_map(success).take(RUNS).collect()
}

/// What half of these sorted values do not exceed, if they are enough to tell what is usual.
fn median<T: Copy>(sorted: &[T]) -> Option<T> {
    if sorted.len() < LEAST {
        return None;
    }
    sorted.get((sorted.len() - 1) / 2).copied()
}
