//! The routes of `[notify]`, as they are written.

use serde_json::{Map, Value};

use super::{Secrets, duration, strings};
use crate::core::job::Command;
use crate::core::notify::{Kind, Route, Secret, Service};
use crate::core::size;
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
    if route.gather != habit.gather {
        add("gather", duration(route.gather));
    }
    if route.pause != habit.pause {
        add("pause", duration(route.pause));
    }
    if route.output != habit.output {
        add("output", size::written(route.output as u64).into());
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
    table
}

/// Where it leads: the key of the service first.
fn service(service: &Service, secrets: Secrets) -> Vec<(&'static str, Value)> {
    let hide = |secret: &Secret| match secret {
        Secret::Text(_) if secrets == Secrets::Masked => super::MASKED.into(),
        Secret::Text(text) => Value::from(&**text),
        Secret::File(path) => Value::Object(Map::from_iter([("file".into(), (**path).into())])),
        Secret::Env(name) => Value::Object(Map::from_iter([("env".into(), (**name).into())])),
        Secret::Credential(name) => {
            Value::Object(Map::from_iter([("credential".into(), (**name).into())]))
        }
    };
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
