//! Runs that have succeeded and yet are out of the ordinary: one that is *quiet* has printed far less than the
//! runs of its job usually do, one that is *fast* is over far too soon. A backup of nothing succeeds, too.
//!
//! Pure: [`of`] compares a run with those before it. What was found is an entry of the store
//! ([`UNUSUAL`]), so that lists need no such comparison, and show it after a restart and on other hosts.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LEAST, RUNS, Success, median};
use crate::core::event::{Fast, Quiet, RunId, Unusual};
use crate::core::instant::duration_micros;
use crate::core::sort;

/// Less than one part in so many of what is usual is out of the ordinary.
pub(super) const PART: u32 = 10;
/// A job that usually prints less, in bytes, has no quiet runs but those that print nothing.
pub(super) const LEAST_PRINTED: u64 = 200;
/// And one that usually takes less has no fast ones.
pub(super) const LEAST_TOOK: Duration = Duration::from_secs(60);
/// What happens more often than once in so many runs is not out of the ordinary, however little it is.
const RARE: usize = 10;

/// In what way a run that has succeeded is out of the ordinary, if it is. `warn_after`: no run of the job should
/// take longer than that. `before`: the runs before it that have succeeded, the newest first.
pub(crate) fn of(run: Success, warn_after: Option<Duration>, before: &[Success]) -> Unusual {
    // What takes too long is not too fast.
    let may_be_fast = warn_after.is_none_or(|limit| run.took <= limit);
    Unusual {
        quiet: run.printed.and_then(|printed| quiet(printed, before)),
        fast: Some(run.took).filter(|_| may_be_fast).and_then(|took| fast(took, before)),
    }
}

fn quiet(printed: u64, before: &[Success]) -> Option<Quiet> {
    let mut all: Vec<u64> = before.iter().take(RUNS).filter_map(|run| run.printed).collect();
    sort::all(&mut all);
    let usual = median(&all)?;
    let is_little =
        |bytes: u64| usual >= LEAST_PRINTED && bytes.saturating_mul(u64::from(PART)) < usual;
    let is_quiet = match printed {
        0 => is_rare(&all, |bytes| *bytes == 0),
        _ => is_little(printed) && is_rare(&all, |bytes| is_little(*bytes)),
    };
    is_quiet.then_some(Quiet { printed, usual })
}

fn fast(took: Duration, before: &[Success]) -> Option<Fast> {
    let mut all: Vec<Duration> = before.iter().take(RUNS).map(|run| run.took).collect();
    sort::all(&mut all);
    let usual = median(&all).filter(|usual| *usual >= LEAST_TOOK)?;
    let is_short = |took: Duration| took.saturating_mul(PART) < usual;
    let is_fast = is_short(took) && is_rare(&all, |took| is_short(*took));
    is_fast.then_some(Fast { took, usual })
}

/// Whether so few of them are like that that it is out of the ordinary.
fn is_rare<T>(all: &[T], is_like: impl Fn(&T) -> bool) -> bool {
    let count = all.iter().filter(|one| is_like(one)).count();
    all.len() >= LEAST && count * RARE <= all.len()
}

/// The list of a store with the last run of each job that was out of the ordinary: by job.
pub(crate) const UNUSUAL: &str = "unusual";

/// An entry of [`UNUSUAL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Entry {
    run: u64,
    /// How many bytes it has printed, and what is usual, if it is quiet.
    #[serde(skip_serializing_if = "Option::is_none")]
    printed: Option<(u64, u64)>,
    /// How long it took, and what is usual, in microseconds, if it is fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<(u64, u64)>,
}

/// As it is written down.
pub(crate) fn to_json(run: RunId, unusual: Unusual) -> Box<str> {
    let micros = |span: Duration| u64::try_from(duration_micros(span)).unwrap_or(0);
    let entry = Entry {
        run: run.0,
        printed: unusual.quiet.map(|it| (it.printed, it.usual)),
        took: unusual.fast.map(|it| (micros(it.took), micros(it.usual))),
    };
    // Numbers can always be written.
    serde_json::to_string(&entry).unwrap_or_default().into()
}

/// The same, back again; `None`: it is of another version.
fn of_json(text: &str) -> Option<(RunId, Unusual)> {
    let entry: Entry = serde_json::from_str(text).ok()?;
    let quiet = entry.printed.map(|(printed, usual)| Quiet { printed, usual });
    let span = Duration::from_micros;
    let fast = entry.took.map(|(took, usual)| Fast { took: span(took), usual: span(usual) });
    Some((RunId(entry.run), Unusual { quiet, fast }))
}

/// What was found last of each job, of all entries of [`UNUSUAL`].
pub(crate) fn of_entries(
    entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
) -> HashMap<Box<str>, (RunId, Unusual)> {
    entries.into_iter().filter_map(|(job, text)| Some((job, of_json(&text)?))).collect()
}

#[cfg(test)]
mod tests;
