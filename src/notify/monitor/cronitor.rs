//! Cronitor: all of it in the query.

use super::{About, code, encoded, end_of, get, phrase, with};
use crate::core::notify::ping::{Phase, Ping};
use crate::core::notify::url::Url;
use crate::notify::wire::Request;

/// So long a message may be, encoded.
const LONGEST: usize = 2000;

pub(super) fn form(ping: &Ping, url: &Url, about: &About<'_>) -> Request {
    let failed = ping.outcome.as_ref().is_some_and(|outcome| !outcome.is_success());
    let state = match ping.phase {
        Phase::Start => Some("run"),
        Phase::End if failed => Some("fail"),
        Phase::End => Some("complete"),
        // A monitor of the kind "heartbeat" has no states.
        Phase::Beat => None,
    };
    let mut all: Vec<(&str, String)> = Vec::new();
    all.extend(state.map(|state| ("state", state.to_owned())));
    all.push(("series", ping.rid.to_string()));
    all.push(("host", about.host.to_owned()));
    if let Some(duration) = ping.duration {
        all.push(("metric", format!("duration:{:.3}", duration.as_secs_f64())));
    }
    if ping.phase == Phase::End {
        let status = code(ping).or((!failed).then_some(0));
        all.extend(status.map(|code| ("status_code", code.to_string())));
        let message = message(ping, failed);
        if !message.is_empty() {
            all.push(("message", message));
        }
    }
    get(&with(url, &all))
}

/// How it has ended if it has failed, after the end of what it has printed.
fn message(ping: &Ping, failed: bool) -> String {
    let output = ping.output.as_deref().unwrap_or_default().trim_end();
    let text = match (failed, output.is_empty()) {
        (true, true) => phrase(ping),
        (true, false) => format!("{output}\n{}", phrase(ping)),
        (false, _) => output.to_owned(),
    };
    let mut most = LONGEST;
    loop {
        let end = end_of(&text, most);
        let over = encoded(end).len().saturating_sub(LONGEST);
        if over == 0 {
            return end.to_owned();
        }
        // A byte takes three at most.
        most = end.len().saturating_sub(over.div_ceil(3));
    }
}
