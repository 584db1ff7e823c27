//! stub
/// A cron schedule: bit sets over the fields of civil time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule;
