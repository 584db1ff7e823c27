//! Uptime Kuma, a monitor of the type "Push": up or down, with a message and how long it took.

use super::{get, phrase, with};
use crate::core::notify::ping::Ping;
use crate::core::notify::url::Url;
use crate::notify::wire::Request;

pub(super) fn form(ping: &Ping, url: &Url) -> Request {
    let failed = ping.outcome.as_ref().is_some_and(|outcome| !outcome.is_success());
    let (status, message) = if failed { ("down", phrase(ping)) } else { ("up", "OK".to_owned()) };
    let took = ping.duration.map_or_else(String::new, |it| it.as_millis().to_string());
    // The URL that it shows to be copied has them already, with nothing behind `ping`.
    get(&with(url, &[("status", status.to_owned()), ("msg", message), ("ping", took)]))
}
