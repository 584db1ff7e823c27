//! The routes of `[notify]`, and what is pinged, as they are written.

use serde_json::{Map, Value};

use super::{Secrets, duration, strings};
use crate::core::job::Command;
use crate::core::monitor::Monitor;
use crate::core::notify::{Kind, Route, Secret, Service, Transport};
use crate::core::size;
use crate::core::sort;
use crate::core::zone::Zone;

/// A route with what differs from what it is without being said, in a file whose zone is this.
pub(super) fn route(route: &Route, zone: &Zone, secrets: Secrets) -> Map<String, Value> {
    let mut table = Map::new();
    let mut add = |name: &str, value: Value| drop(table.insert(name.to_owned(), value));
    for (name, value) in service(&route.to, secrets) {
        add(name, value);
    }
    let habit = route.to.habit();
    if !route.on.iter().eq(std::collections::BTreeSet::from(Kind::DEFAULT).iter()) {
        let words: Vec<Value> = route.on.iter().map(|kind| kind.word().into()).collect();
        add("on", words.into());
    }
    if route.after != 1 {
        add("after", route.after.into());
    }
    match route.again {
        None => add("again", "never".into()),
        Some(again) if again.as_secs() == 24 * 3600 => {}
        Some(again) => add("again", duration(again)),
    }
    if route.on_change {
        add("on_change", true.into());
    }
    if route.gather != habit.gather {
        add("gather", duration(route.gather));
    }
    if route.pause != habit.pause {
        add("pause", duration(route.pause));
    }
    if route.output != habit.output {
        add("output", size::written(route.output as u64).into());
    }
    if let Some(digest) = &route.digest {
        add("digest", digest.text().into());
    }
    if !route.except.is_empty() {
        let texts: Vec<Value> = route.except.texts().map(Value::from).collect();
        add("except", texts.into());
    }
    if route.zone != *zone {
        add("timezone", route.zone.name().into());
    }
    if let Some(fallback) = &route.fallback {
        add("fallback", (**fallback).into());
    }
    transport(&route.transport).into_iter().for_each(|(key, value)| add(key, value));
    table
}

/// A `ping`: the shortest way to write it.
pub(super) fn monitor(monitor: &Monitor, secrets: Secrets) -> Value {
    let url = hidden(&monitor.url, secrets);
    let mut table = match (monitor.kind, url) {
        (None, Value::Object(place)) => place,
        (None, text) if monitor.transport.is_plain() => return text,
        // Only a table has room for what is beside it, and there a text has a kind.
        (None, text) => sort::collect([("url".to_owned(), text)]),
        (Some(kind), url) => sort::collect([(kind.word().to_owned(), url)]),
    };
    if !monitor.on.iter().eq(&Monitor::ON) {
        let words: Vec<Value> = monitor.on.iter().map(|on| on.word().into()).collect();
        table.insert("on".to_owned(), words.into());
    }
    table.extend(
        transport(&monitor.transport).into_iter().map(|(key, value)| (key.to_owned(), value)),
    );
    Value::Object(table)
}

/// What is said of how a request gets there.
fn transport(how: &Transport) -> Vec<(&'static str, Value)> {
    let text = |key, text: &Option<Box<str>>| Some((key, Value::from(&**text.as_ref()?)));
    let http_ok = how.http_ok.then(|| ("http_ok", true.into()));
    let all = [text("ca_file", &how.ca_file), http_ok, text("proxy", &how.proxy)];
    all.into_iter().flatten().collect()
}

/// A text that is not to be shown, or where it is read.
pub(super) fn hidden(secret: &Secret, secrets: Secrets) -> Value {
    let place = |key: &str, what: &str| Value::Object(sort::collect([(key.into(), what.into())]));
    match secret {
        Secret::Text(_) if secrets == Secrets::Masked => super::MASKED.into(),
        Secret::Text(text) => Value::from(&**text),
        Secret::File(path) => place("file", path),
        Secret::Env(name) => place("env", name),
        Secret::Credential(name) => place("credential", name),
    }
}

/// Where it leads: the key of the service first.
fn service(service: &Service, secrets: Secrets) -> Vec<(&'static str, Value)> {
    let hide = |secret: &Secret| hidden(secret, secrets);
    let maybe = |name: &'static str, secret: &Option<Secret>| Some((name, hide(secret.as_ref()?)));
    let first = |value: Value| (service.word(), value);
    let keys: Vec<Option<(&'static str, Value)>> = match service {
        Service::Webhook { url, secret } => vec![Some(first(hide(url))), maybe("secret", secret)],
        Service::Slack { url } | Service::Discord { url } => vec![Some(first(hide(url)))],
        Service::Ntfy { url, token } => vec![Some(first(hide(url))), maybe("token", token)],
        Service::Gotify { url, token } => {
            vec![Some(first(hide(url))), Some(("token", hide(token)))]
        }
        Service::Telegram { token, chat, url } => {
            vec![Some(first(hide(token))), Some(("chat", (**chat).into())), maybe("url", url)]
        }
        Service::PagerDuty { key, url } => vec![Some(first(hide(key))), maybe("url", url)],
        Service::Mail { to, from, smtp } => vec![
            Some(first(match &**to {
                [one] => (**one).into(),
                several => strings(several),
            })),
            from.as_deref().map(|from| ("from", from.into())),
            smtp.as_ref().map(|smtp| ("smtp", (*smtp.url).into())),
            smtp.as_ref().and_then(|smtp| maybe("password", &smtp.password)),
        ],
        Service::Command(Command::Shell(line)) => vec![Some(first((**line).into()))],
        Service::Command(Command::Argv(words)) => vec![Some(first(strings(words)))],
    };
    keys.into_iter().flatten().collect()
}
