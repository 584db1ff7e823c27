//! Cron schedules: two ways to write them, one engine.
//!
//! `crontab` reads the string form of crontab(5), `fields` the table form of APScheduler 3; both
//! end as a [`Schedule`], bit sets over the fields of civil time. [`CronTrigger`] puts one or more
//! schedules into a zone, and is the only place where DESIGN §4's rule for daylight saving stands.

pub mod crontab;
pub mod fields;
pub mod hash;
mod schedule;

use crate::instant::Instant;
use crate::zone::Zone;

pub use schedule::Schedule;

/// One or more cron schedules (their union) in a zone, within a window.
#[derive(Clone, Debug, PartialEq)]
pub struct CronTrigger {
    schedules: Box<[Schedule]>,
    zone: Zone,
    start: Instant,
    end: Instant,
}

impl CronTrigger {
    /// The union of `schedules` on the wall clocks of `zone`, from `start_date` to `end_date`,
    /// both included.
    pub fn new(
        schedules: impl Into<Box<[Schedule]>>,
        zone: Zone,
        start_date: Option<Instant>,
        end_date: Option<Instant>,
    ) -> CronTrigger {
        CronTrigger {
            schedules: schedules.into(),
            zone,
            start: start_date.unwrap_or(Instant::MIN),
            end: end_date.unwrap_or(Instant::MAX),
        }
    }

    /// The first due time strictly after `after`.
    pub fn next_after(&self, _after: Instant) -> Option<Instant> {
        None
    }

    /// Whether there is no due time at all.
    pub fn never(&self) -> bool {
        self.next_after(Instant::MIN).is_none()
    }

    /// What daylight saving does to this trigger between two instants, in order. Schedules that
    /// admit every hour are not affected and yield nothing.
    pub fn dst_effects(&self, _from: Instant, _until: Instant) -> Vec<DstEffect> {
        Vec::new()
    }

    /// What daylight saving did to make this due time what it is, if anything.
    pub fn dst_effect_at(&self, _due: Instant) -> Option<DstEffect> {
        None
    }

    /// Whether it is due in each second.
    pub fn every_second(&self) -> bool {
        false
    }
}

/// What a daylight-saving change does to a due time. Wall times are seconds since
/// 1970-01-01T00:00:00 on the zone's own clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DstEffect {
    /// The wall time (the first of possibly several that were lost) does not happen.
    Gap {
        /// The wall time that does not happen.
        wall: i64,
        /// When it runs instead: the first instant after the gap.
        runs: Instant,
    },
    /// The wall time happens twice.
    Fold {
        /// The wall time.
        wall: i64,
        /// The instant of this pass.
        at: Instant,
        /// Whether this is the first pass.
        first: bool,
        /// Whether the schedule runs on both passes.
        both: bool,
    },
}
