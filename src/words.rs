//! Schedules, times and durations in plain English.

use crate::trigger::Trigger;

/// A trigger in words, such as `every 5 minutes, 9:00 to 17:59, on monday to friday`.
pub fn trigger(trigger: &Trigger) -> String {
    format!("{trigger:?}")
}
