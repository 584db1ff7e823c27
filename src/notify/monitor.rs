//! What a monitor is told, in the form that it expects: pure, with one file for each service.
//!
//! [`work`] is what the scheduler calls. What is the same at each try, so that a monitor knows a second
//! copy, is what names the run: the `rid` of healthchecks, Sentry's `check_in_id`, Cronitor's `series`.

mod cronitor;
mod healthchecks;
mod kuma;
mod sentry;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::form;
use super::line::Line;
use super::secret::Resolved;
use super::wire::{Method, Request, Task, Work};
use crate::core::job::Job;
use crate::core::monitor::{self as core_monitor, Monitor, MonitorKind};
use crate::core::notify::ping::{Ping, kind};
use crate::core::notify::url::Url;
use crate::core::outcome::{Outcome, Reached};
use crate::core::sort;

/// What a form needs to know beside the ping.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Who is told.
    pub monitor: &'a Monitor,
    /// Its URL, read.
    pub url: &'a Resolved,
    /// The job; `None`: it is the scheduler itself.
    pub job: Option<&'a Job>,
    /// How often the scheduler gives a sign of life, in seconds, if it is that.
    pub every: Option<u64>,
    /// What people call this host.
    pub host: &'a str,
    /// How many bytes of output the monitor takes, if it has said.
    pub limit: Option<usize>,
}

/// What is to be done so that a monitor is told; `None`: it has no ear for that. The error says what is
/// wrong with its URL.
pub fn work(id: &str, ping: &Ping, about: &About<'_>) -> Result<Option<Work>, String> {
    let url = url(about)?;
    let kind = kind(about.monitor, &url);
    if !kind.hears(ping.moment()) {
        return Ok(None);
    }
    let request = match kind {
        MonitorKind::Healthchecks => healthchecks::form(ping, &url, about),
        MonitorKind::Sentry => sentry::form(ping, &url, about)?,
        MonitorKind::Cronitor => cronitor::form(ping, &url, about),
        MonitorKind::Kuma => kuma::form(ping, &url),
        MonitorKind::Url if about.monitor.on.contains(&ping.moment()) => get(&url),
        MonitorKind::Url => return Ok(None),
    };
    let secrets = masks(about.url, &url);
    let task = Task::Http(request);
    let transport = about.monitor.transport.clone();
    Ok(Some(Work { id: id.into(), service: kind.word().into(), task, secrets, transport }))
}

/// A ping that says nothing, if the monitor has an ear for one, and what kind it is.
pub fn test(about: &About<'_>) -> Result<(MonitorKind, Option<Work>), String> {
    let url = url(about)?;
    let kind = kind(about.monitor, &url);
    let request = (kind == MonitorKind::Healthchecks).then(|| healthchecks::test(&url, about.host));
    let work = request.map(|request| Work {
        id: "test".into(),
        service: kind.word().into(),
        task: Task::Http(request),
        secrets: masks(about.url, &url),
        transport: about.monitor.transport.clone(),
    });
    Ok((kind, work))
}

/// Its URL, with what is in braces filled in: in its path, because where it leads is nothing that a job
/// may choose.
fn url(about: &About<'_>) -> Result<Url, String> {
    let url = Url::http(about.url.secret_text()).map_err(|why| format!("ping: it {why}"))?;
    let job = about.job.map_or("schedrs", |job| &*job.id);
    let value = |name: &str| match name {
        "job" => Some(encoded(job)),
        "slug" => Some(core_monitor::slug(job)),
        "host" => Some(encoded(about.host)),
        _ => None,
    };
    let rest = core_monitor::filled(url.rest(), value);
    let rest = rest.map_err(|name| format!("ping: unknown placeholder `{name}` in its URL"))?;
    Ok(url.with_rest(&rest))
}

/// What is not to be seen in an answer.
fn masks(written: &Resolved, url: &Url) -> Vec<Box<str>> {
    const SHORTEST: usize = 4;
    let whole = [written.secret_text().to_owned(), url.secret_text()];
    let all: BTreeSet<Box<str>> = whole.into_iter().chain(url.secrets()).map(Into::into).collect();
    let mut masks: Vec<Box<str>> = all.into_iter().filter(|it| it.len() >= SHORTEST).collect();
    // What contains another comes first, or it would not be found any more.
    sort::by_key(&mut masks, |mask| std::cmp::Reverse(mask.len()));
    masks
}

fn get(url: &Url) -> Request {
    let headers = vec![("User-Agent".into(), Line::new(form::AGENT))];
    let headers = headers.into_iter().chain(form::basic(url)).collect();
    Request { method: Method::Get, url: url.secret_text().into(), headers, body: String::new() }
}

fn post(url: &Url, content_type: &str, body: String) -> Request {
    let content = ("Content-Type".into(), Line::new(content_type));
    let Request { url, mut headers, .. } = get(url);
    headers.insert(0, content);
    Request { method: Method::Post, url, headers, body }
}

/// The same URL with these parameters instead of its own of the same names.
fn with(url: &Url, parameters: &[(&str, String)]) -> Url {
    let (path, query) = url.rest().split_once('?').unwrap_or((url.rest(), ""));
    let is_ours = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        pair.is_empty() || parameters.iter().any(|(ours, _)| *ours == name)
    };
    let kept = query.split('&').filter(|pair| !is_ours(pair)).map(str::to_owned);
    let ours = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    let query: Vec<String> = kept.chain(ours).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    url.with_rest(&format!("{path}{mark}{}", query.join("&")))
}

/// A text as a part of a path or of a query (RFC 3986, 2.3).
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            // Writing to a string never fails.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

/// How a run has ended, in words: `failed with exit code 3 after 12s`.
fn phrase(ping: &Ping) -> String {
    let Some(outcome) = &ping.outcome else { return String::new() };
    let reached = match ping.duration {
        Some(took) => Reached::Process(Some(took)),
        None => Reached::Run,
    };
    crate::problem::clean(&outcome.phrase(reached)).into_owned()
}

/// The exit code of a run that has failed with one.
fn code(ping: &Ping) -> Option<i32> {
    ping.outcome.as_ref().and_then(Outcome::exit)
}

/// The end of a text, of at most so many bytes.
fn end_of(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

#[cfg(test)]
mod tests;
