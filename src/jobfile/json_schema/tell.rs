//! Routes of notifications, and pings.

use serde_json::{Map, Value, json};

use super::forms::{
    account, boolean, described, duration, secret, size, strings, table, text, with_default,
};
use crate::core::monitor::{MonitorKind, PingOn};
use crate::core::notify::Kind;
use crate::core::sort;
use crate::jobfile::notify::SERVICES;
use crate::jobfile::ping::PLACES;

pub(super) fn notify() -> Value {
    let kinds: Vec<&str> = Kind::NAMED.iter().map(|kind| kind.word()).collect();
    let one: Vec<Value> = SERVICES.iter().map(|name| json!({ "required": [name] })).collect();
    let mut route = table(
        "A route",
        json!({
            "webhook": described("The URL of an endpoint for Standard Webhooks", secret()),
            "secret": described("What requests are signed with: whsec_ and base64", secret()),
            "slack": described("The URL of an incoming webhook", secret()),
            "discord": described("The URL of a webhook", secret()),
            "ntfy": described("The URL of a topic", secret()),
            "gotify": described("The URL of the server", secret()),
            "token": described("The token for ntfy or Gotify", secret()),
            "telegram": described("The token of a bot", secret()),
            "chat": described("The id of the Telegram chat", account()),
            "pagerduty": described("The integration key (Events API v2)", secret()),
            "url": described("The server, if it is not the service's own", secret()),
            "mail": described("Addresses", json!({ "anyOf": [text(), strings(1)] })),
            "from": described("The sender's address; by default schedrs@HOST", text()),
            "smtp": described("The mail server; by default the machine's sendmail", text()),
            "password": described("The password for the mail server", secret()),
            "command": described(
                "A command, which gets the message as JSON on standard input",
                json!({ "anyOf": [text(), strings(1)] }),
            ),
            "on": with_default(
                described(
                    "What it hears of",
                    json!({ "type": "array", "minItems": 1, "items": { "enum": kinds } }),
                ),
                json!(["failed", "recovered", "missed", "overdue"]),
            ),
            "after": with_default(
                described(
                    "How many runs have to fail in a row before it hears of it",
                    json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
                ),
                json!(1),
            ),
            "again": with_default(
                described(
                    "How long until it hears again that a job still fails, or \"never\"",
                    text(),
                ),
                json!("24h"),
            ),
            "on_change": with_default(
                described("Whether it hears again when the job fails in another way", boolean()),
                json!(false),
            ),
            "gather": described("How long to wait for more before a message", duration()),
            "pause": described("The least time between two messages", duration()),
            "output": described("How much of a run's output goes along", size()),
            "digest": described(
                "One message a day at this time, as 08:00 or mon..fri 08:00, and nothing else",
                text(),
            ),
            "except": described(
                "When it rests, as 22:00..07:00, sat..sun or a calendar: what there is to tell waits until then",
                strings(0),
            ),
            "timezone": described("The zone of `except` and `digest`; by default, the scheduler's", text()),
            "fallback": described("The route for what cannot be delivered here", text()),
        }),
    );
    for (key, value) in transport() {
        route["properties"][key] = value;
    }
    route["oneOf"] = one.into();
    json!({
        "description": "The ways to tell people; each table's name is the route's name",
        "type": "object",
        "additionalProperties": route,
    })
}

/// Whom to tell of a run, or of the scheduler.
pub(super) fn ping() -> Value {
    let places = PLACES.iter().map(|key| (*key, text()));
    let kinds = MonitorKind::ALL.iter().map(|kind| (kind.word(), secret()));
    let one: Vec<Value> =
        places.clone().chain(kinds.clone()).map(|(key, _)| json!({ "required": [key] })).collect();
    let moments: Vec<&str> = PingOn::ALL.iter().map(|on| on.word()).collect();
    let on = json!({ "type": "array", "minItems": 1, "items": { "enum": moments } });
    let on = with_default(described("When a plain URL is asked for", on), json!(["success"]));
    let beside = [("on", on)].into_iter().chain(transport());
    let properties: Map<String, Value> =
        sort::collect(places.chain(kinds).chain(beside).map(|(key, it)| (key.to_owned(), it)));
    let table = json!({ "type": "object", "additionalProperties": false, "properties": properties,
                        "oneOf": one });
    json!({ "anyOf": [text(), table, { "const": false }],
            "examples": ["https://hc-ping.com/UUID", { "file": "/etc/schedrs/ping-url" }] })
}

/// How a request gets there.
fn transport() -> [(&'static str, Value); 3] {
    [
        ("ca_file", described("Certificates of authorities to trust beside the machine's", text())),
        (
            "http_ok",
            with_default(
                described("Whether http:// may leave this machine and private networks", boolean()),
                json!(false),
            ),
        ),
        (
            "proxy",
            described(
                "The proxy for https://, or \"\" for none; by default, HTTPS_PROXY's",
                text(),
            ),
        ),
    ]
}
