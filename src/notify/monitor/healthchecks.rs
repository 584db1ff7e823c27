//! healthchecks.io, and what runs of it elsewhere: `/start`, nothing behind the path for a success,
//! the exit code or `/fail`, and the output as the body.

use super::{About, code, end_of, phrase, post, with};
use crate::core::notify::ping::{Phase, Ping};
use crate::core::notify::pings::MOST_OUTPUT;
use crate::core::notify::url::Url;
use crate::notify::wire::Request;

/// `/log` changes nothing: it is written down, and that is all.
pub(super) fn test(url: &Url, host: &str) -> Request {
    let (path, query) = url.rest().split_once('?').unwrap_or((url.rest(), ""));
    let url = url.with_rest(&format!("{}/log?{query}", path.trim_end_matches('/')));
    let body = format!("schedrs on {host} tries whether this works; nothing has happened.");
    post(&with(&url, &[]), "text/plain; charset=utf-8", body)
}

pub(super) fn form(ping: &Ping, url: &Url, about: &About<'_>) -> Request {
    let (path, query) = url.rest().split_once('?').unwrap_or((url.rest(), ""));
    let path = path.trim_end_matches('/');
    let failed = ping.outcome.as_ref().is_some_and(|outcome| !outcome.is_success());
    let end = match (ping.phase, code(ping)) {
        (Phase::Start, _) => "/start".to_owned(),
        (Phase::End, Some(code @ 1..=255)) => format!("/{code}"),
        (Phase::End, _) if failed => "/fail".to_owned(),
        (Phase::End | Phase::Beat, _) => String::new(),
    };
    let url = url.with_rest(&format!("{path}{end}?{query}"));
    let url = with(&url, &[("rid", ping.rid.to_string())]);
    // A code says it itself; whatever else has ended a run is not to be seen by the path.
    let why = (end == "/fail").then(|| format!("schedrs: {}", phrase(ping)));
    let output = ping.output.as_deref().unwrap_or_default();
    let body = match why {
        Some(why) if output.is_empty() => why,
        Some(why) => format!("{}\n{why}", output.trim_end_matches('\n')),
        None => output.to_owned(),
    };
    // What is beyond is cut off there: the end is what says how it went.
    let most = about.limit.map_or(MOST_OUTPUT, |limit| limit.min(MOST_OUTPUT));
    post(&url, "text/plain; charset=utf-8", end_of(&body, most).to_owned())
}
