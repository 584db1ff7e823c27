//! The date trigger: once, as APScheduler's `DateTrigger`; also `@reboot`.

use crate::core::instant::Instant;

/// Due once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateTrigger {
    /// At this instant.
    At(Instant),
    /// When the scheduler starts: `date = "now"`.
    Now,
    /// When the scheduler starts: `cron = "@reboot"`.
    Reboot,
}

impl DateTrigger {
    /// With the moment the scheduler started; no change where an instant was given.
    #[must_use]
    pub fn anchored(&self, first_scheduled: Instant) -> DateTrigger {
        match self {
            DateTrigger::At(_) => *self,
            DateTrigger::Now | DateTrigger::Reboot => DateTrigger::At(first_scheduled),
        }
    }

    /// Its instant if that is after `after`.
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        match self {
            DateTrigger::At(at) => (*at > after).then_some(*at),
            DateTrigger::Now | DateTrigger::Reboot => None,
        }
    }
}
