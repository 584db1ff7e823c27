//! `expect`: a job is to succeed at least so often, and is overdue when it has not.
//!
//! Who asks knows when it last did (`super::record::Latest`); nothing here looks at a clock.

use std::time::Duration;

use super::event::{Change, ChangeKind};
use super::instant::Instant;
use super::outcome::{Outcome, SkipReason};
use super::record::RunRecord;

/// Since when a success is overdue; `None`: it is not, `now`.
///
/// What counts is the time since the last of these: when the job was first known, when it last
/// succeeded, and when it was last paused, since nobody expects anything of a job that is.
pub(crate) fn overdue_since(
    expect: Duration,
    known: Instant,
    succeeded: Option<Instant>,
    resumed: Option<Instant>,
    now: Instant,
) -> Option<Instant> {
    let from = [Some(known), succeeded, resumed].into_iter().flatten().max()?;
    Some(from.plus(expect)).filter(|since| *since <= now)
}

/// When a pause of a job last ended, by what is known of it and of all: by somebody, which is
/// remembered, or by itself, which shows in what was skipped for it.
pub(crate) fn last_resumed(changes: &[Change], records: &[RunRecord]) -> Option<Instant> {
    let resumed = changes.iter().filter(|change| change.what == ChangeKind::Resumed);
    // Nor does anybody expect anything while all is excluded.
    let is_so = |record: &&RunRecord| {
        let paused = matches!(record.outcome, Some(Outcome::Skipped(SkipReason::Paused)));
        paused || matches!(record.outcome, Some(Outcome::Skipped(SkipReason::Excluded(_))))
    };
    let skipped = records.iter().filter(is_so);
    resumed.map(|change| change.at).chain(skipped.map(|record| record.at)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_from_the_last_of_three() {
        let at = Instant::from_secs;
        // When it was first known, has succeeded, was resumed; and since when it is overdue at 100.
        let rows = [
            (10, None, None, Some(60)),
            (60, None, None, None),
            (10, Some(40), None, Some(90)),
            (10, Some(51), None, None),
            (10, Some(50), None, Some(100)),
            (10, Some(20), Some(45), Some(95)),
            (10, Some(20), Some(55), None),
            // Its job was taken out of the file and came back.
            (70, Some(20), None, None),
        ];
        for (known, succeeded, resumed, since) in rows {
            let row = (known, succeeded, resumed);
            let expect = Duration::from_secs(50);
            let (succeeded, resumed) = (succeeded.map(at), resumed.map(at));
            let found = overdue_since(expect, at(known), succeeded, resumed, at(100));
            assert_eq!(found, since.map(at), "{row:?}");
        }
    }
}
