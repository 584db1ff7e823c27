//! stub: the table form
use super::Schedule;
use crate::trigger::flaw::Flaw;

/// A field of the table form, APScheduler's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `year`, 1970..=9999.
    Year,
    /// `month`, 1..=12 or `jan`..`dec`.
    Month,
    /// `day`, 1..=31, `3rd fri`, `last fri`, `last`.
    Day,
    /// `week`, ISO week 1..=53.
    Week,
    /// `day_of_week`, 0..=6 with 0 = monday, or `mon`..`sun`.
    DayOfWeek,
    /// `hour`, 0..=23.
    Hour,
    /// `minute`, 0..=59.
    Minute,
    /// `second`, 0..=59.
    Second,
}

impl Field {
    /// Every field, most significant first.
    pub const ALL: [Field; 8] = [
        Field::Year,
        Field::Month,
        Field::Day,
        Field::Week,
        Field::DayOfWeek,
        Field::Hour,
        Field::Minute,
        Field::Second,
    ];

    /// Its key in a jobfile.
    pub fn key(self) -> &'static str {
        ["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"][self as usize]
    }
}

/// Collects the fields of a table-form schedule.
#[derive(Clone, Debug, Default)]
pub struct Builder {}

impl Builder {
    /// Sets a field from its text. What is wrong with it is added to `flaws` (spans are bytes of
    /// `text`); the answer says whether the field can be used.
    pub fn set(&mut self, _field: Field, _text: &str, _flaws: &mut Vec<Flaw>) -> bool {
        true
    }

    /// The schedule, with the fields that were not set filled in by APScheduler's rule.
    pub fn build(self) -> Schedule {
        Schedule
    }
}
