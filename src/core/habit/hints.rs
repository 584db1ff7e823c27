//! Which runs are to be compared with those before them, so that the store is not asked about each run of a job
//! that runs all the time.
//!
//! Pure, and of a bounded size. A hint is what was usual when a job was last looked at, in a few bytes: it
//! decides nothing, but sees which runs may be out of the ordinary. Those are compared by what the store has
//! ([`Hints::learn`] is shown that, too), and one of each job now and then, since what is usual changes.

use std::collections::HashMap;
use std::time::Duration;

use super::unusual::{LEAST_PRINTED, LEAST_TOOK, PART};
use super::{LEAST, RUNS, Success, median};
use crate::core::instant::Mono;
use crate::core::sort;

/// A job is looked at once in so many runs, however usual they are.
const OFTEN: usize = 25;
/// So many jobs are known at least, and twice as many at most: those that have run of late.
const JOBS: usize = 8192;
/// The store is asked so often in so long at most. What is beyond is not looked at.
const ASKED: (u32, Duration) = (1000, Duration::from_secs(10));

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Hints {
    young: HashMap<Box<str>, Hint>,
    old: HashMap<Box<str>, Hint>,
    /// Since when the store was asked so often.
    asked: (Mono, u32),
}

/// What was usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hint {
    /// How long a run takes that is not remarkably short.
    took: Duration,
    /// How much one prints that is not remarkably quiet.
    printed: u64,
    /// So many runs need no look, if they are like that.
    rest: usize,
}

impl Hint {
    /// With room for what has changed since: what is on the verge is looked at.
    fn of(before: &[Success]) -> Hint {
        let recent = || before.iter().take(RUNS);
        let (mut took, mut printed): (Vec<_>, Vec<_>) = (
            recent().map(|run| run.took).collect(),
            recent().filter_map(|it| it.printed).collect(),
        );
        sort::all(&mut took);
        sort::all(&mut printed);
        let took = median(&took).filter(|usual| *usual >= LEAST_TOOK / 2).unwrap_or_default();
        let silent = printed.iter().filter(|bytes| **bytes == 0).count();
        let prints = printed.len() >= LEAST && silent * 4 <= printed.len();
        let printed = median(&printed).filter(|_| prints).unwrap_or(0);
        Hint {
            took: took / (PART / 2),
            printed: match printed {
                0 => 0,
                // Only nothing is less than that.
                little if little < LEAST_PRINTED / 2 => 1,
                much => (much / u64::from(PART / 2)).max(1),
            },
            rest: match LEAST.checked_sub(before.len() + 1) {
                Some(missing) => missing,
                None => OFTEN,
            },
        }
    }

    fn may_be_unusual(&self, run: Success) -> bool {
        run.took < self.took || run.printed.is_some_and(|printed| printed < self.printed)
    }
}

impl Hints {
    /// A run of a job has succeeded: whether it is to be looked at.
    pub(crate) fn wants(&mut self, job: &str, run: Success, now: Mono) -> bool {
        let known = self.hint(job);
        let is_wanted = known.as_ref().is_none_or(|it| it.rest == 0 || it.may_be_unusual(run));
        if is_wanted && self.may_ask(now) {
            // Until the answer is here, others are not looked at for nothing.
            let rest = OFTEN;
            let hint =
                self.hint(job).map_or(Hint { rest, ..Hint::default() }, |it| Hint { rest, ..*it });
            self.keep(job, hint);
            return true;
        }
        if let Some(hint) = self.hint(job) {
            hint.rest = hint.rest.saturating_sub(1);
        }
        false
    }

    /// These are the runs of a job that have succeeded before the one that was looked at, the newest first.
    pub(crate) fn learn(&mut self, job: &str, before: &[Success]) {
        self.keep(job, Hint::of(before));
    }

    fn hint(&mut self, job: &str) -> Option<&mut Hint> {
        if let Some((job, hint)) = self.old.remove_entry(job) {
            self.add(job, hint);
        }
        self.young.get_mut(job)
    }

    fn keep(&mut self, job: &str, hint: Hint) {
        if let Some(known) = self.hint(job) {
            *known = hint;
            return;
        }
        self.add(job.into(), hint);
    }

    fn add(&mut self, job: Box<str>, hint: Hint) {
        if self.young.len() >= JOBS {
            // Those that have not run since the last time are forgotten.
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(job, hint);
    }

    fn may_ask(&mut self, now: Mono) -> bool {
        let (most, span) = ASKED;
        if now.since(self.asked.0) >= span {
            self.asked = (now, 0);
        }
        self.asked.1 = self.asked.1.saturating_add(1);
        self.asked.1 <= most
    }
}

#[cfg(test)]
mod tests;
