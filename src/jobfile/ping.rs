//! `ping` of a job and of the scheduler. What it means is said at [`Monitor`].

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::secret::{secret, secret_at};
use super::transport;
use super::tree::{Node, Table, Value};
use super::value::{Scope, inside};
use crate::core::monitor::{Monitor, MonitorKind, PLACEHOLDERS, PingOn, in_braces};
use crate::core::nearest::nearest;
use crate::core::notify::url::Url;
use crate::core::notify::{Secret, Transport};
use crate::core::sort;
use crate::problem::Problem;

/// Where the text of a secret may be.
pub(super) const PLACES: [&str; 3] = ["file", "env", "credential"];

/// How often the scheduler may give a sign of life.
pub(super) const EVERY: RangeInclusive<Duration> =
    Duration::from_secs(10)..=Duration::from_secs(24 * 3600);

/// How often it does if it does not say.
pub(super) const DEFAULT_EVERY: Duration = Duration::from_secs(300);

const WANTED: &str = "a URL such as \"https://hc-ping.com/UUID\", { file = \"...\" }, \
                      { healthchecks = \"...\" }, or false";

/// Who is told of each run; `false`: nobody, whatever `[defaults]` says.
pub(super) fn ping(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Option<Arc<Monitor>>> {
    match &value.node {
        Node::Boolean(false) => return Some(None),
        Node::String(_) => {}
        Node::Table(table) => return Some(Some(Arc::new(monitor(table, value, scope)?))),
        _ => {
            scope.wrong_type(value, WANTED);
            return None;
        }
    }
    let url = url(value, scope)?;
    transport::warn_of_clear(&url, value.span, &Transport::default(), scope);
    Some(Some(Arc::new(Monitor::of(None, url))))
}

/// How often the scheduler gives a sign of life.
pub(super) fn every(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Duration> {
    let every = scope.duration(value)?;
    if !EVERY.contains(&every) {
        scope.error(value.span, "it must be from \"10s\" to \"1 day\"");
        return None;
    }
    Some(every)
}

fn monitor(table: &Table<'_>, value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Monitor> {
    let mut good = !table.broken;
    let (mut target, mut on, mut transport) = (None, None, Transport::default());
    for (key, inner) in &table.entries {
        let kind = MonitorKind::ALL.into_iter().find(|kind| kind.word() == key.text);
        match &*key.text {
            "on" => on = Some((key.span, inner)),
            key if Transport::KEYS.contains(&key) => {
                good &= transport::read(key, inner, &mut transport, scope)
            }
            name if kind.is_some() || PLACES.contains(&name) => {
                if let Some((first, place, _)) = &target {
                    let message = format!("a ping goes to one place, and has `{first}` already");
                    let problem = Problem::error(scope.place(key.span), message);
                    scope.push(problem.related("the first one is", scope.place(*place)));
                    good = false;
                    continue;
                }
                let secret = match kind {
                    Some(_) => url(inner, scope),
                    None => secret_at(name, inner, scope),
                };
                good &= secret.is_some();
                target = Some((name.to_owned(), key.span, (kind, secret)));
            }
            name => {
                scope.unknown_key(key.span, name, &KNOWN);
                good = false;
            }
        }
    }
    let Some((_, _, (kind, secret))) = target else {
        if good {
            let help = "it needs one of `healthchecks`, `sentry`, `cronitor`, `kuma`, `url`, `file`, \
                        `env` and `credential`";
            scope.error_help(value.span, "this ping goes nowhere", help);
        }
        return None;
    };
    let on = match on {
        None => Some(sort::collect(Monitor::ON)),
        Some((span, _)) if kind != Some(MonitorKind::Url) => {
            let help = "services are told of each start and end; only a plain `url` needs it";
            scope.error_help(span, "`on` belongs to `url`", help);
            None
        }
        Some((_, inner)) => moments(inner, scope),
    };
    let (url, on) = (secret?, on?);
    transport::warn_of_clear(&url, value.span, &transport, scope);
    good.then_some(Monitor { kind, url, on, transport })
}

/// The keys of its table.
pub(super) const KNOWN: [&str; 12] = [
    "healthchecks",
    "sentry",
    "cronitor",
    "kuma",
    "url",
    "file",
    "env",
    "credential",
    "on",
    "ca_file",
    "http_ok",
    "proxy",
];

fn moments(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<BTreeSet<PingOn>> {
    let names: Vec<(&str, PingOn)> = PingOn::ALL.iter().map(|on| (on.word(), *on)).collect();
    let Node::Array(values) = &value.node else {
        scope.wrong_type(value, "an array such as [\"success\"]");
        return None;
    };
    if values.is_empty() {
        scope.error(value.span, "a ping that is never sent is of no use: write `ping = false`");
        return None;
    }
    let moments: Vec<PingOn> =
        values.iter().filter_map(|value| scope.one_of(value, &names)).collect();
    (moments.len() == values.len()).then(|| sort::collect(moments))
}

/// A URL, which may hold secrets and placeholders.
fn url(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Secret> {
    let secret = secret(value, scope)?;
    let (Secret::Text(text), Node::String(decoded)) = (&secret, &value.node) else {
        return Some(secret);
    };
    let mut good = true;
    for (range, name) in in_braces(text) {
        if PLACEHOLDERS.contains(&name) {
            continue;
        }
        let span = inside(value.span, scope.typed(value.span), decoded, range);
        let problem = Problem::error(scope.place(span), format!("unknown placeholder `{name}`"));
        scope.push(problem.help(match nearest(name, PLACEHOLDERS) {
            Some(near) => format!("did you mean `{{{near}}}`?"),
            None => "there are `{job}`, `{slug}` (the same in small letters, digits, `-` and `_`) and \
                     `{host}`"
                .to_owned(),
        }));
        good = false;
    }
    if let Err(why) = Url::http(text) {
        scope.error(value.span, format!("this {why}"));
        good = false;
    }
    good.then_some(secret)
}
