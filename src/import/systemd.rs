//! x
use super::Draft;
/// x
pub fn read(_: &mut Draft<'_>, _: &str, _: &str, _: &dyn Fn(&str) -> Option<(String, String)>) {}
