//! Jitter: a shift of each fire that depends on job and due time alone.
//!
//! It is added when firing and never fed back into the trigger, so the grid stays where it is,
//! `next` can show it, and two schedulers over one store agree. (APScheduler draws a random one
//! and computes the next due time from the shifted one.)

use std::time::Duration;

use crate::core::instant::{Instant, duration_micros};

/// How much later than `due` the job fires: within `0..=max`, the same for ever for one job id
/// and due time.
pub fn jitter(job_id: &str, due: Instant, max: Duration) -> Duration {
    let max = duration_micros(max) as u64;
    if max == 0 {
        return Duration::ZERO;
    }
    let hash = super::cron::hash::mix(super::cron::hash::text(job_id) ^ due.micros() as u64);
    // The high half of the product spreads the hash evenly over 0..=max without a division.
    Duration::from_micros(((u128::from(hash) * (u128::from(max) + 1)) >> 64) as u64)
}
