//! Spread: one shift for all due times of a job, which depends on the job and the machine alone.
//!
//! A hundred machines with one jobfile do not all call the same server at 03:00, and yet each job
//! keeps its distance from one due time to the next, which `jitter` does not. It is added when
//! firing, as jitter is, so the grid stays where it is.

use std::time::Duration;

use super::cron::hash;
use crate::core::instant::duration_micros;

/// Below this a shift is not rounded to whole seconds.
const ROUNDED: Duration = Duration::from_secs(60);

/// How far the jobs of a machine are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// The largest shift there may be.
    pub most: Duration,
    /// What tells this machine from others.
    pub machine: u64,
}

impl Spread {
    /// How much later than its due times a job fires on this machine: within `0..=most`, and the
    /// same for ever.
    pub fn of(self, job_id: &str) -> Duration {
        let most = duration_micros(self.most) as u64;
        if most == 0 {
            return Duration::ZERO;
        }
        let hash = hash::mix(hash::text(job_id) ^ hash::mix(self.machine));
        let shift = (u128::from(hash) * (u128::from(most) + 1)) >> 64;
        let shift = Duration::from_micros(shift as u64);
        if self.most < ROUNDED { shift } else { Duration::from_secs(shift.as_secs()) }
    }
}
