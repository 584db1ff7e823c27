//! A job's past at a glance: a mark for each of its last records, and how many runs went well.

use crate::core::outcome::{self, Outcome};
use crate::core::record::RunRecord;

/// The past of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// One mark a record, the newest last.
    pub marks: String,
    /// How many runs are over, of those that have or should have had a process: what was skipped,
    /// missed or coalesced is none.
    pub runs: u64,
    /// How many of them succeeded.
    pub succeeded: u64,
}

/// The marks of records, given newest first as a store does, `width` of them at most; the share
/// of success is that of all of them.
pub fn glance(records: &[RunRecord], width: usize) -> Glance {
    let mut found = Glance::default();
    for record in records {
        match &record.outcome {
            Some(Outcome::Succeeded) => {
                found.succeeded += 1;
                found.runs += 1;
            }
            Some(Outcome::Skipped(_) | Outcome::Missed(_) | Outcome::Coalesced) | None => {}
            Some(_) => found.runs += 1,
        }
    }
    let shown = records.iter().take(width).rev();
    found.marks = shown.map(|record| outcome::mark(record.outcome.as_ref())).collect();
    found
}

impl Glance {
    /// `96% of 100`; nothing where no run is over. Never 100% unless all went well, nor 0% unless
    /// none did.
    pub fn share(&self) -> String {
        match (self.succeeded, self.runs) {
            (_, 0) => String::new(),
            (all, runs) if all == runs => format!("100% of {runs}"),
            (0, runs) => format!("0% of {runs}"),
            (some, runs) => format!("{}% of {runs}", (some * 100 / runs).clamp(1, 99)),
        }
    }
}
