//! stub: the string form
use super::Schedule;
use crate::trigger::flaw::Flaw;

/// What a string-form expression says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Crontab {
    /// A schedule.
    Schedule(Schedule),
    /// `@reboot`: when the scheduler starts.
    Reboot,
}

/// Reads a string-form expression. `id` is the job's id, which `H` is hashed from. Everything
/// that is wrong or odd is added to `flaws`; the answer is `None` when there was an error.
pub fn parse(_expr: &str, _id: &str, _flaws: &mut Vec<Flaw>) -> Option<Crontab> {
    None
}
