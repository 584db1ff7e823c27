//! `[notify.NAME]`: the ways to tell people. What they mean is said at [`Route`].

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::calendars::{self, Calendars};
use super::command;
use super::secret::secret;
use super::transport;
use super::tree::{Key, Node, Table, Value};
use super::value::Scope;
use crate::core::calendar::Windows;
use crate::core::nearest::nearest;
use crate::core::notify::address::flaw;
use crate::core::notify::url::Url;
use crate::core::notify::{Kind, Route, Secret, Service, Smtp, Transport};
use crate::core::sort;
use crate::core::window::{TIMES, TimeOfDay};
use crate::core::zone::{Database, Zone};
use crate::problem::{Place, Problem, Problems, Span};

/// The keys that say where a route leads; a route has one of them.
pub(super) const SERVICES: [&str; 9] =
    ["webhook", "slack", "discord", "ntfy", "gotify", "telegram", "pagerduty", "mail", "command"];
/// Those that may stand beside every service.
const COMMON: [&str; 11] = [
    "on",
    "after",
    "again",
    "on_change",
    "gather",
    "pause",
    "output",
    "digest",
    "except",
    "timezone",
    "fallback",
];
/// The most of what a run has printed that goes along.
const MOST_OUTPUT: u32 = 16 * 1024;
/// No longer name is needed anywhere.
const MAX_NAME: usize = 64;
/// The longest that notifications are gathered or kept apart.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The routes of all files.
#[derive(Clone, Debug, Default)]
pub(super) struct Routes {
    pub(super) routes: Vec<Route>,
    places: HashMap<Box<str>, Place>,
    /// Where fallbacks are named.
    fallbacks: Vec<(Box<str>, Box<str>, Place)>,
    /// Those that name no zone.
    without_zone: HashSet<Box<str>>,
}

impl Routes {
    /// Reads `[notify]` of a file.
    pub(super) fn read(
        &mut self,
        value: &Value<'_>,
        scope: &mut Scope<'_>,
        zones: &Database,
        calendars: &mut Calendars,
    ) {
        let Some(table) = scope.table(value, "a table: [notify.NAME]") else { return };
        for (key, value) in &table.entries {
            let place = scope.place(key.span);
            if let Some(first) = self.places.get(&*key.text) {
                let problem = Problem::error(place, format!("duplicate route `{}`", key.text));
                scope.push(problem.related("first defined", *first));
                continue;
            }
            // Jobs may name it, whatever is wrong with it: one error is enough.
            self.places.insert((&*key.text).into(), place);
            if !is_name(&key.text) {
                let help = "it may have letters, digits, `-` and `_`, and at most 64 of them";
                scope.error_help(key.span, "not a valid name for a route", help);
                continue;
            }
            let Some(table) = route_table(key, value, scope) else { continue };
            if let Some((route, fallback)) = route(key, table, scope, zones) {
                let except = table.entries.iter().find(|(key, _)| key.text == "except");
                if let Some((_, value)) = except {
                    calendars.defer(value, scope);
                }
                self.fallbacks.extend(fallback);
                if !table.entries.iter().any(|(key, _)| key.text == "timezone") {
                    self.without_zone.insert(route.name.clone());
                }
                self.routes.push(route);
            }
        }
    }

    /// What is wrong with the names of routes in a `notify`.
    pub(super) fn check(&self, value: &Value<'_>, scope: &mut Scope<'_>) -> bool {
        let Node::Array(values) = &value.node else { return true };
        let mut good = true;
        for value in values {
            let Node::String(name) = &value.node else { continue };
            if !self.has(name) {
                scope.push(self.unknown(name, scope.place(value.span)));
                good = false;
            }
        }
        good
    }

    /// All of them, where `zone` is that of those that name none.
    pub(super) fn in_zone(&self, zone: &Zone) -> Vec<Route> {
        let with_zone = |route: &Route| match self.without_zone.contains(&route.name) {
            true => Route { zone: zone.clone(), ..route.clone() },
            false => route.clone(),
        };
        self.routes.iter().map(with_zone).collect()
    }

    /// Whether there is a route of this name, good or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// What can only be seen when all files were read.
    pub(super) fn complete(&mut self, calendars: &Calendars, problems: &mut Problems) {
        self.routes.iter_mut().for_each(|route| calendars.resolve(&mut route.except));
        for (name, fallback, place) in &self.fallbacks {
            if !self.has(fallback) {
                problems.push(self.unknown(fallback, *place));
            } else if self.leads_back(name) {
                let message = format!("the fallbacks of `{name}` lead back to it");
                problems.push(Problem::error(*place, message));
            }
        }
        sort::by(&mut self.routes, |a, b| a.name.cmp(&b.name));
    }

    fn leads_back(&self, name: &str) -> bool {
        let next = |at: &str| self.fallbacks.iter().find(|(from, ..)| &**from == at);
        let mut at = name;
        // One step for each at most: then it goes round elsewhere.
        for _ in 0..self.fallbacks.len() {
            let Some((_, to, _)) = next(at) else { return false };
            if &**to == name {
                return true;
            }
            at = to;
        }
        false
    }

    pub(super) fn unknown(&self, name: &str, place: Place) -> Problem {
        let problem = Problem::error(place, format!("unknown route `{name}`"));
        problem.help(match nearest(name, self.places.keys().map(|name| &**name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add it: `[notify.{name}]`, `mail = \"you@example.org\"`"),
        })
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain)
}

/// Who writes `[notify]` and a service under it has forgotten the name.
fn route_table<'v, 's>(
    key: &Key<'_>,
    value: &'v Value<'s>,
    scope: &mut Scope<'_>,
) -> Option<&'v Table<'s>> {
    let known = SERVICES.contains(&&*key.text) || COMMON.contains(&&*key.text);
    if known && !matches!(value.node, Node::Table(_)) {
        let message = format!("`{}` belongs to a route with a name", key.text);
        scope.error_help(key.span, message, "write `[notify.NAME]` above it");
        return None;
    }
    scope.table(value, "a table such as { mail = \"you@example.org\" }")
}

/// What a route is made of, as it is read.
#[derive(Default)]
struct Parts<'v, 's> {
    service: Option<(&'static str, Span, &'v Value<'s>)>,
    beside: HashMap<&'static str, (Span, &'v Value<'s>)>,
    good: bool,
}

/// The keys that may stand beside a service.
fn beside(service: &str) -> &'static [&'static str] {
    match service {
        "webhook" => &["secret"],
        "ntfy" | "gotify" => &["token"],
        "telegram" => &["chat", "url"],
        "pagerduty" => &["url"],
        "mail" => &["from", "smtp", "password", "ca_file"],
        _ => &[],
    }
}

/// Those that say how its requests get there.
fn of_transport(service: &str) -> &'static [&'static str] {
    if matches!(service, "mail" | "command") { &[] } else { &Transport::KEYS }
}

type Fallback = Option<(Box<str>, Box<str>, Place)>;

fn route(
    key: &Key<'_>,
    table: &Table<'_>,
    scope: &mut Scope<'_>,
    zones: &Database,
) -> Option<(Route, Fallback)> {
    let mut parts = Parts { good: !table.broken, ..Parts::default() };
    for (key, value) in &table.entries {
        if let Some(service) = SERVICES.into_iter().find(|name| *name == key.text) {
            match parts.service {
                None => parts.service = Some((service, key.span, value)),
                Some((first, span, _)) => {
                    let message =
                        format!("a route leads to one service, and has `{first}` already");
                    let problem = Problem::error(scope.place(key.span), message);
                    scope.push(problem.related("the first one is", scope.place(span)));
                    parts.good = false;
                }
            }
        }
    }
    let Some((service, ..)) = parts.service else {
        if !table.broken {
            let help = "it needs one of `mail`, `slack`, `webhook`, `command`, `ntfy`, `discord`, \
                        `telegram`, `gotify` and `pagerduty`";
            scope.error_help(key.span, "this route leads nowhere", help);
        }
        return None;
    };
    let known: Vec<&'static str> =
        beside(service).iter().chain(of_transport(service)).chain(&COMMON).copied().collect();
    for (key, value) in &table.entries {
        match known.iter().find(|name| **name == key.text) {
            Some(name) => drop(parts.beside.insert(name, (key.span, value))),
            None if key.text == service || SERVICES.contains(&&*key.text) => {}
            None => {
                scope.unknown_key(key.span, &key.text, &known);
                parts.good = false;
            }
        }
    }
    finish(key, &mut parts, scope, zones)
}

fn finish(
    key: &Key<'_>,
    parts: &mut Parts<'_, '_>,
    scope: &mut Scope<'_>,
    zones: &Database,
) -> Option<(Route, Fallback)> {
    let to = service(parts, scope);
    // What is beside it is read, whatever is wrong with where it leads.
    let plain = Route::of(&key.text, to.clone().unwrap_or_else(nowhere));
    let on = read(parts, "on", plain.on, scope, kinds);
    let after = read(parts, "after", plain.after, scope, |value, scope| {
        Some(scope.integer(value, 1..=1000)? as u32)
    });
    let again = read(parts, "again", plain.again, scope, again);
    let on_change =
        read(parts, "on_change", plain.on_change, scope, |value, scope| scope.boolean(value));
    let gather = read(parts, "gather", plain.gather, scope, span);
    let pause = read(parts, "pause", plain.pause, scope, span);
    let output = read(parts, "output", plain.output, scope, |value, scope| {
        Some(scope.size(value, MOST_OUTPUT)? as usize)
    });
    let zone =
        read(parts, "timezone", plain.zone, scope, |value, scope| scope.timezone(value, zones));
    let digest = read(parts, "digest", None, scope, |value, scope| {
        let wanted = format!("a time of day such as {TIMES}");
        let text = scope.string(value, &wanted)?;
        let digest = TimeOfDay::read(text);
        if digest.is_none() {
            scope.error(value.span, format!("\"{text}\" is not {wanted}"));
        }
        Some(Some(digest?))
    });
    if digest.is_some() {
        for key in ["on", "after", "again", "on_change", "output"] {
            if let Some((span, _)) = parts.beside.get(key) {
                let help = "for both write two routes, and name both in `notify`";
                let message =
                    format!("a route with a digest hears of nothing else: `{key}` has no meaning");
                scope.error_help(*span, message, help);
                parts.good = false;
            }
        }
    }
    let except = read(parts, "except", plain.except, scope, windows);
    let place = parts.beside.get("fallback").map(|(_, value)| scope.place(value.span));
    let fallback = read(parts, "fallback", None, scope, |value, scope| {
        Some(Some(scope.string(value, "the name of another route")?.into()))
    });
    let mut transport = Transport::default();
    for key in Transport::KEYS {
        if let Some((_, value)) = parts.beside.get(key) {
            parts.good &= transport::read(key, value, &mut transport, scope);
        }
    }
    let to = to?;
    if let (Some(url), Some((_, _, value))) = (to.url(), parts.service) {
        let span = parts.beside.get("url").map_or(value.span, |(_, value)| value.span);
        transport::warn_of_clear(url, span, &transport, scope);
    }
    parts.good.then_some(())?;
    let (name, most) = (plain.name, plain.most);
    let named = fallback.clone().zip(place).map(|(to, place)| (name.clone(), to, place));
    let route = Route {
        name,
        to,
        on,
        after,
        again,
        on_change,
        gather,
        pause,
        most,
        output,
        digest,
        except,
        zone,
        fallback,
        transport,
    };
    Some((route, named))
}

fn nowhere() -> Service {
    Service::Mail { to: Box::new([]), from: None, smtp: None }
}

/// The value of a key, or what holds where it is not said.
fn read<T>(
    parts: &mut Parts<'_, '_>,
    key: &str,
    default: T,
    scope: &mut Scope<'_>,
    read: impl FnOnce(&Value<'_>, &mut Scope<'_>) -> Option<T>,
) -> T {
    let Some((_, value)) = parts.beside.get(key) else { return default };
    read(value, scope).unwrap_or_else(|| {
        parts.good = false;
        default
    })
}

fn kinds(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<BTreeSet<Kind>> {
    let names: Vec<(&str, Kind)> = Kind::NAMED.iter().map(|kind| (kind.word(), *kind)).collect();
    let Node::Array(values) = &value.node else {
        scope.wrong_type(value, "an array such as [\"failed\", \"recovered\"]");
        return None;
    };
    if values.is_empty() {
        scope.error(value.span, "a route that hears of nothing is of no use");
        return None;
    }
    let kinds: Vec<Kind> = values.iter().filter_map(|value| scope.one_of(value, &names)).collect();
    (kinds.len() == values.len()).then(|| kinds.into_iter().collect())
}

/// When a route rests.
fn windows(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Windows> {
    let windows = calendars::windows(value, scope)?;
    if calendars::is_always(&windows) {
        scope.error(value.span, "it would never end, and nothing would be sent");
        return None;
    }
    Some(windows)
}

/// How long until it is told again that a job goes on failing.
fn again(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Option<Duration>> {
    if matches!(&value.node, Node::String(text) if text == "never") {
        return Some(None);
    }
    let again = scope.duration(value)?;
    if again < Duration::from_secs(60) {
        let help = "for no reminder write \"never\"";
        scope.error_help(value.span, "it must be at least \"1m\"", help);
        return None;
    }
    Some(Some(again))
}

fn span(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Duration> {
    let span = scope.duration(value)?;
    if span > LONGEST {
        scope.error(value.span, "it can be at most \"1 day\"");
        return None;
    }
    Some(span)
}

/// Where the route leads.
fn service(parts: &mut Parts<'_, '_>, scope: &mut Scope<'_>) -> Option<Service> {
    let (name, _, value) = parts.service?;
    Some(match name {
        "webhook" => Service::Webhook {
            url: url(value, scope)?,
            secret: optional(parts, "secret", scope, secret)?,
        },
        "slack" => Service::Slack { url: url(value, scope)? },
        "discord" => Service::Discord { url: url(value, scope)? },
        "ntfy" => Service::Ntfy {
            url: url(value, scope)?,
            token: optional(parts, "token", scope, secret)?,
        },
        "gotify" => Service::Gotify {
            url: url(value, scope)?,
            token: required(parts, "token", "the token of the application", scope, secret)?,
        },
        "telegram" => Service::Telegram {
            token: secret(value, scope)?,
            chat: required(parts, "chat", "the id of the chat", scope, chat)?,
            url: optional(parts, "url", scope, url)?,
        },
        "pagerduty" => Service::PagerDuty {
            key: secret(value, scope)?,
            url: optional(parts, "url", scope, url)?,
        },
        "mail" => mail(parts, value, scope)?,
        _ => Service::Command(command::command(value, scope)?),
    })
}

fn mail(parts: &mut Parts<'_, '_>, value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Service> {
    let to = match &value.node {
        Node::Array(values) if !values.is_empty() => {
            let to: Vec<Box<str>> =
                values.iter().filter_map(|value| address(value, scope)).collect();
            (to.len() == values.len()).then(|| to.into())?
        }
        _ => Box::new([address(value, scope)?]) as Box<[Box<str>]>,
    };
    let from = optional(parts, "from", scope, address)?;
    let url = optional(parts, "smtp", scope, smtp)?;
    let password = optional(parts, "password", scope, secret)?;
    if let (None, Some((span, _))) = (&url, parts.beside.get("password")) {
        let help = "`smtp = \"smtps://user@mail.example.org\"` names the server";
        scope.error_help(*span, "a password without a server", help);
        return None;
    }
    Some(Service::Mail { to, from, smtp: url.map(|url| Smtp { url, password }) })
}

/// A key that may be left out; `None`: it is there, and wrong.
fn optional<T>(
    parts: &Parts<'_, '_>,
    key: &str,
    scope: &mut Scope<'_>,
    read: impl FnOnce(&Value<'_>, &mut Scope<'_>) -> Option<T>,
) -> Option<Option<T>> {
    match parts.beside.get(key) {
        None => Some(None),
        Some((_, value)) => read(value, scope).map(Some),
    }
}

/// A key that may not. `what` continues "it needs ...".
fn required<T>(
    parts: &Parts<'_, '_>,
    key: &str,
    what: &str,
    scope: &mut Scope<'_>,
    read: impl FnOnce(&Value<'_>, &mut Scope<'_>) -> Option<T>,
) -> Option<T> {
    let (service, span, _) = parts.service?;
    let found = optional(parts, key, scope, read)?;
    if found.is_none() {
        scope.error(span, format!("`{service}` needs {what}: `{key} = \"...\"`"));
    }
    found
}

/// A URL, which may hold secrets.
fn url(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Secret> {
    let secret = secret(value, scope)?;
    if let Secret::Text(text) = &secret
        && let Err(why) = Url::http(text)
    {
        scope.error(value.span, format!("this {why}"));
        return None;
    }
    Some(secret)
}

fn smtp(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<str>> {
    let wanted = "a mail server such as \"smtps://user@mail.example.org\"";
    let text = scope.system_string(value, wanted)?;
    if let Err(why) = Url::smtp(text) {
        scope.error(value.span, format!("this {why}"));
        return None;
    }
    Some(text.into())
}

fn chat(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<str>> {
    match value.node {
        Node::Integer(id) => Some(id.to_string().into()),
        _ => Some(scope.system_string(value, "the id of a chat")?.into()),
    }
}

/// An address of a mail: what no program can take for an option, nor for several addresses.
fn address(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<str>> {
    let address = scope.system_string(value, "an address such as \"ops@example.org\"")?;
    if let Some(flaw) = flaw(address) {
        let help = "write the bare address; several are an array";
        scope.error_help(value.span, format!("this {flaw}"), help);
        return None;
    }
    Some(address.into())
}
