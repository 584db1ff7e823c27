//! The only reader of clocks.
#![allow(clippy::disallowed_methods, reason = "this is the file the rule points to")]

use std::time::{Duration, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::instant::{Instant, Mono, Now, duration_micros};

/// Both clocks.
pub fn now() -> Now {
    Now { wall: wall(), mono: mono() }
}

/// The wall clock.
pub fn wall() -> Instant {
    // Through std and so through libc, which tests of clock jumps put another clock behind.
    match std::time::SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Instant::from_micros(duration_micros(since)),
        Err(before) => Instant::from_micros(-duration_micros(before.duration())),
    }
}

/// The monotonic clock.
pub fn mono() -> Mono {
    let time = clock_gettime(ClockId::Monotonic);
    let span = Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32);
    Mono::from_micros(duration_micros(span) as u64)
}
