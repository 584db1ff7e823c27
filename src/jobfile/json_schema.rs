//! The jobfile as a JSON Schema, for editors that complete and check TOML by one.
//!
//! It is made from the same list of keys that the reader goes by, so that neither can have a key
//! that the other does not know. It says less than the reader does: what a cron expression or a
//! duration may be is not repeated here, and `schedrs validate` has the last word.

use serde_json::{Map, Value, json};

use super::keys::{CRON_FIELDS, INTERVAL_FIELDS, Key};
use super::notify::SERVICES;
use super::ping::PLACES;
use super::sections;
use crate::core::condition;
use crate::core::job::{Coalesce, Executor, JobHook, OnLost, Output, Overlap};
use crate::core::limits;
use crate::core::monitor::{MonitorKind, PingOn};
use crate::core::notify::Kind;
use crate::core::sort;
use crate::core::trigger::after::On;

/// The whole schema.
pub(crate) fn schema() -> Value {
    let mut job = properties(|_| true);
    job["required"] = json!(["command"]);
    let triggers = Key::ALL.iter().filter(|key| key.is_trigger());
    let one: Vec<Value> = triggers.map(|key| json!({ "required": [key.name()] })).collect();
    job["oneOf"] = one.into();
    let defaults = properties(|key| !key.is_trigger() && !matches!(key, Key::Command | Key::Name));
    let top = sections::TOP.iter().map(|name| ((*name).to_owned(), section(name, &defaults)));
    let top: Map<String, Value> = sort::collect(top);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "schedrs jobfile",
        "description": "A schedrs jobfile; see schedrs-jobs(5)",
        "type": "object",
        "additionalProperties": false,
        "properties": top,
        "definitions": {
            "duration": {
                "type": "string",
                "examples": ["30s", "5m", "1h 30m", "2 days"],
            },
            "moment": {
                "description": "A TOML date, or a string that looks like one",
                "type": "string",
                "examples": ["2026-12-01", "2026-12-01T09:00:00", "2026-12-01T09:00:00+01:00"],
            },
            "trigger": trigger(),
            "job": job,
        },
    })
}

fn section(name: &str, defaults: &Value) -> Value {
    match name {
        "include" => json!({
            "description": "More jobfiles: paths and patterns, relative to this one",
            "anyOf": [text(), strings(0)],
            "examples": [["jobs.d/*.toml"]],
        }),
        "scheduler" => scheduler(),
        "store" => store(),
        "fleet" => fleet(),
        "notify" => notify(),
        "web" => web(),
        "calendars" => calendars(),
        "executors" => json!({
            "description": "Named pools of slots; `default` always exists",
            "type": "object",
            "additionalProperties": table(
                "A pool",
                json!({
                    "max_workers": with_default(
                        described(
                            "How many runs it holds at once",
                            json!({ "type": "integer", "minimum": 1, "maximum": 65_535 }),
                        ),
                        json!(20),
                    ),
                    "max_starts_per_second": described(
                        "How many attempts it starts a second, at even distances; by default, as they come",
                        json!({ "type": "integer", "minimum": 1, "maximum": Executor::MOST_STARTS }),
                    ),
                }),
            ),
        }),
        "defaults" => {
            described("Any option of a job, for jobs that do not say otherwise", defaults.clone())
        }
        "jobs" => json!({
            "description": "The jobs; each table's name is the job's id",
            "type": "object",
            "additionalProperties": { "$ref": "#/definitions/job" },
        }),
        // `every_section_is_described` sees to it that there is none.
        _ => json!({}),
    }
}

fn scheduler() -> Value {
    table(
        "What concerns all jobs",
        json!({
            "timezone": described(
                "The IANA time zone of jobs that set none; by default, the system's",
                text(),
            ),
            "stop_grace": with_default(
                described("How long running jobs may take to end after SIGTERM", duration()),
                json!("30s"),
            ),
            "reload": with_default(
                described(
                    "Whether the jobfile is read again by itself when it was edited",
                    json!({ "enum": ["auto", "manual"] }),
                ),
                json!("manual"),
            ),
            "ping": described(
                "The service outside that is told every now and then that the scheduler is well",
                ping(),
            ),
            "ping_every": with_default(described("How often", duration()), json!("5m")),
        }),
    )
}

fn store() -> Value {
    let url = "\"memory\", a file: \"sqlite:schedrs.db\", or a server: \
               \"postgres://localhost/schedrs\"";
    table(
        "Where state is kept",
        json!({
            "url": described(url, text()),
            "keep": table(
                "Runs beyond either limit may be deleted",
                json!({
                    "runs": described("The number of runs to keep for each job", count(1)),
                    "days": described("The number of days to keep runs for", count(1)),
                    "output": described("How much of each attempt's output to keep", size()),
                }),
            ),
        }),
    )
}

fn fleet() -> Value {
    table(
        "This host in the fleet that shares the store",
        json!({
            "name": described("The host's name; by default, the machine's", text()),
            "labels": described("Labels that a job's `run_on` can ask for", strings(1)),
            "lease": with_default(
                described("A host that is silent for this long is considered dead", duration()),
                json!("15s"),
            ),
        }),
    )
}

fn notify() -> Value {
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

fn calendars() -> Value {
    let calendar = table(
        "Times with a name",
        json!({
            "days": described("Whole days: 2026-12-24, 12-25 each year, 2026-12-24..2027-01-01", times()),
            "windows": described("Parts of days and weeks: sat 22:00..sun 04:00", times()),
            "file": described("A calendar file (RFC 5545, .ics), relative to this one", text()),
        }),
    );
    json!({
        "description": "Calendars that `except` and `only` can name; each table's name is the calendar's name",
        "type": "object",
        "additionalProperties": calendar,
        "examples": [{ "holidays": { "days": ["12-25", "12-26"] } }],
    })
}

/// Windows, and names of calendars.
fn times() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

/// A text that is not to be shown, or where it is read.
fn secret() -> Value {
    json!({ "anyOf": [text(), read_from("file"), read_from("env"), read_from("credential")] })
}

fn read_from(key: &str) -> Value {
    let properties: Map<String, Value> = sort::collect([(key.to_owned(), text())]);
    json!({ "type": "object", "additionalProperties": false, "required": [key],
            "properties": properties })
}

/// Whom to tell of a run, or of the scheduler.
fn ping() -> Value {
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

fn web() -> Value {
    table(
        "The page of `schedrs web`: where it is, and who may look at it",
        json!({
            "listen": with_default(
                described("Where it listens: an address and a port, or unix:/path", text()),
                json!("127.0.0.1:8080"),
            ),
            "token": described(
                "What whoever looks has to know; without it each start makes one up",
                secret(),
            ),
            "user_header": described(
                "The header in which a proxy says who has logged in there",
                text(),
            ),
            "trust": described("The addresses of the proxies that are believed", strings(0)),
            "hosts": described("The names by which browsers may call it", strings(0)),
            "actions": with_default(
                described("Whether jobs can be started, stopped, paused and resumed", boolean()),
                json!(false),
            ),
            "metrics": with_default(
                described(
                    "Whether /metrics, /health and /ready take the token",
                    json!({ "enum": ["open", "token"] }),
                ),
                json!("token"),
            ),
        }),
    )
}

/// A table of some of a job's keys.
fn properties(wanted: impl Fn(Key) -> bool) -> Value {
    let keys = Key::ALL.iter().filter(|key| wanted(**key));
    let keys: Map<String, Value> = sort::collect(keys.map(|key| (key.name().to_owned(), of(*key))));
    json!({ "type": "object", "additionalProperties": false, "properties": keys })
}

/// One of these.
fn words<T>(words: &[(&str, T)]) -> Value {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    json!({ "enum": words })
}

/// What may stand at a key.
fn of(key: Key) -> Value {
    let value = described(key.about(), value(key));
    match default(key) {
        Some(default) => with_default(value, default),
        None => value,
    }
}

fn value(key: Key) -> Value {
    match key {
        Key::Name | Key::Timezone | Key::Executor | Key::Cwd | Key::EnvFile => text(),
        Key::Command => command(),
        Key::OnStart
        | Key::OnRetry
        | Key::OnSuccess
        | Key::OnFailure
        | Key::OnRecovered
        | Key::OnMissed
        | Key::OnSkipped => hook(key == Key::OnFailure),
        Key::Cron => cron(),
        Key::Interval => json!({ "anyOf": [duration(), elapsed(), calendar()] }),
        Key::Date => json!({ "anyOf": [moment(), { "const": "now" }] }),
        Key::After => after(),
        Key::Any | Key::All => triggers(),
        Key::StartDate | Key::EndDate => moment(),
        Key::Except | Key::Only => times(),
        Key::OnlyIf => conditions(),
        Key::WaitFor
        | Key::Jitter
        | Key::Spread
        | Key::MaxWait
        | Key::Expect
        | Key::WarnAfter
        | Key::Timeout
        | Key::KillAfter
        | Key::RetryDelay
        | Key::RetryMaxDelay
        | Key::HookTimeout => duration(),
        Key::RunOnStart | Key::Paused | Key::ClearEnv => boolean(),
        Key::MisfireGraceTime => json!({ "anyOf": [{ "const": "forever" }, duration()] }),
        Key::Coalesce => words(&Coalesce::WORDS),
        Key::Overlap => words(&Overlap::WORDS),
        Key::OnLost => words(&OnLost::WORDS),
        Key::Output => words(&Output::WORDS),
        Key::MaxInstances | Key::PauseAfter => count(1),
        Key::Retries => count(0),
        Key::RunOn => json!({ "anyOf": [{ "enum": ["one", "all"] }, strings(1)] }),
        Key::OnlyOn | Key::Tags | Key::Notify => strings(0),
        Key::Ping => ping(),
        Key::RetryBackoff => json!({ "type": "number", "minimum": 1 }),
        Key::SuccessCodes => {
            let code = json!({ "type": "integer", "minimum": 0, "maximum": 255 });
            json!({ "type": "array", "minItems": 1, "items": code })
        }
        Key::Shell => json!({ "anyOf": [text(), strings(1)] }),
        Key::Env => env(),
        Key::User | Key::Group => account(),
        Key::Umask => json!({
            "anyOf": [
                { "type": "string", "minLength": 1, "maxLength": 4 },
                { "type": "integer", "minimum": 0, "maximum": 0o777 },
            ],
        }),
        Key::Nice => json!({ "type": "integer", "minimum": -20, "maximum": 19 }),
        Key::Limits => limits(),
        Key::Stdin => json!({ "type": "string" }),
        Key::KeepOutput => size(),
    }
}

fn cron() -> Value {
    let fields = fields(CRON_FIELDS, &json!({ "type": ["string", "integer"] }));
    json!({
        "anyOf": [text(), strings(1), fields],
        "examples": ["0 3 * * *", "*/15 9-17 * * mon-fri"],
    })
}

fn env() -> Value {
    let file = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["file"],
        "properties": { "file": text() },
    });
    let joined = json!({
        "type": "object",
        "additionalProperties": false,
        "minProperties": 1,
        "properties": { "prepend": { "type": "string" }, "append": { "type": "string" } },
    });
    json!({
        "type": "object",
        "additionalProperties": { "anyOf": [{ "type": "string" }, file, joined] },
    })
}

/// The value a key has where nothing says otherwise; `defaults_are_true` holds them to the reader.
fn default(key: Key) -> Option<Value> {
    Some(match key {
        Key::Jitter | Key::Spread | Key::WaitFor => json!("0s"),
        Key::RunOnStart | Key::Paused | Key::ClearEnv => json!(false),
        Key::MisfireGraceTime => json!("1m"),
        Key::Coalesce => json!("latest"),
        Key::MaxInstances => json!(1),
        Key::Overlap => json!("skip"),
        Key::Executor => json!("default"),
        Key::RunOn => json!("one"),
        Key::OnLost => json!("leave"),
        Key::KillAfter | Key::RetryDelay => json!("10s"),
        Key::Retries => json!(0),
        Key::RetryBackoff => json!(2.0),
        Key::RetryMaxDelay => json!("1h"),
        Key::SuccessCodes => json!([0]),
        Key::Shell => json!("/bin/sh"),
        Key::Env => json!({}),
        Key::OnlyOn | Key::Tags | Key::Notify | Key::Except | Key::Only => json!([]),
        Key::Ping => json!(false),
        Key::Output => json!("pass"),
        Key::HookTimeout => json!("30s"),
        _ => return None,
    })
}

fn described(about: &str, mut what: Value) -> Value {
    what["description"] = about.into();
    what
}

fn with_default(mut what: Value, default: Value) -> Value {
    what["default"] = default;
    what
}

/// A table with these keys and no others.
fn table(about: &str, properties: Value) -> Value {
    json!({
        "description": about,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// A table of fields that are all of one kind, of which there is at least one.
fn fields(names: &[&str], what: &Value) -> Value {
    let fields: Map<String, Value> =
        sort::collect(names.iter().map(|name| ((*name).to_owned(), what.clone())));
    json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": fields,
    })
}

/// Triggers within a trigger.
fn triggers() -> Value {
    json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/definitions/trigger" } })
}

/// One of them.
fn trigger() -> Value {
    let window = [Key::Timezone, Key::StartDate, Key::EndDate];
    let is_inner = |key: Key| key.is_trigger() && key != Key::After;
    let mut trigger = properties(|key| is_inner(key) || window.contains(&key));
    let one = Key::ALL.iter().filter(|key| is_inner(**key));
    let one: Vec<Value> = one.map(|key| json!({ "required": [key.name()] })).collect();
    trigger["oneOf"] = one.into();
    trigger
}

/// Jobs after which one is due.
fn after() -> Value {
    let on = On::ALL.map(On::word);
    json!({
        "anyOf": [
            text(),
            strings(1),
            {
                "type": "object",
                "required": ["all"],
                "additionalProperties": false,
                "properties": {
                    "all": { "anyOf": [text(), strings(1)] },
                    "on": { "enum": on },
                    "within": duration(),
                },
            },
        ],
        "examples": ["load"],
    })
}

/// An interval of elapsed time in units.
fn elapsed() -> Value {
    let mut table = fields(&INTERVAL_FIELDS[2..7], &count(0));
    table["properties"]["from"] = json!({ "enum": ["start", "end"] });
    table
}

/// An interval of the calendar.
fn calendar() -> Value {
    let number = |most: u32| json!({ "type": "integer", "minimum": 0, "maximum": most });
    let mut table = fields(&["years", "months", "weeks", "days"], &count(0));
    let day = json!({
        "anyOf": [{ "type": "integer", "minimum": 1, "maximum": 31 }, { "const": "last" }],
    });
    for (name, what) in
        [("day", day), ("hour", number(23)), ("minute", number(59)), ("second", number(59))]
    {
        table["properties"][name] = what;
    }
    let one = ["years", "months", "weeks", "days"].map(|name| json!({ "required": [name] }));
    table["anyOf"] = Vec::from(one).into();
    table
}

/// A command, or a table with one.
fn hook(of_failure: bool) -> Value {
    let retries = json!({ "type": "integer", "minimum": 0, "maximum": JobHook::MOST_RETRIES });
    let retries = described("How often it is run again when it fails", retries);
    let mut properties =
        json!({ "command": command(), "retries": with_default(retries, json!(0)) });
    if of_failure {
        let once = described("Only for the first run in a row that fails", boolean());
        properties["once"] = with_default(once, json!(false));
    }
    let table = json!({ "type": "object", "additionalProperties": false, "required": ["command"],
                        "properties": properties });
    json!({ "anyOf": [text(), strings(1), table] })
}

fn command() -> Value {
    json!({ "anyOf": [text(), strings(1)] })
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn strings(at_least: usize) -> Value {
    json!({ "type": "array", "minItems": at_least, "items": { "type": "string" } })
}

fn duration() -> Value {
    // In draft 7 what stands beside `$ref` is not looked at, so it stands in an `allOf`.
    json!({ "allOf": [{ "$ref": "#/definitions/duration" }] })
}

fn moment() -> Value {
    json!({ "allOf": [{ "$ref": "#/definitions/moment" }] })
}

fn boolean() -> Value {
    json!({ "type": "boolean" })
}

fn count(at_least: u32) -> Value {
    json!({ "type": "integer", "minimum": at_least })
}

/// `only_if`.
fn conditions() -> Value {
    let disk = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["path", "above"],
        "properties": {
            "path": described("A path on the file system", text()),
            "above": described("So much has to be free, and more", size()),
        },
    });
    let value = |key: &str| match key {
        "path" => described(
            "There is something at this path, or at each of these",
            json!({ "anyOf": [text(), strings(1)] }),
        ),
        "load_below" => described(
            "The load of the machine over the last minute is below this",
            json!({ "type": "number", "exclusiveMinimum": 0 }),
        ),
        "disk_free" => described("A file system has room", disk.clone()),
        "ac_power" => described("The machine has mains power, or with false has not", boolean()),
        _ => described(
            "This exits with 0; with 1 to 254 the due time is skipped",
            json!({ "anyOf": [text(), strings(1)] }),
        ),
    };
    let properties = condition::KEYS.map(|key| (key.to_owned(), value(key)));
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": Value::Object(sort::collect(properties)),
    })
}

/// `limits`.
fn limits() -> Value {
    let value = |key: &str| match key {
        "open_files" => described("Open files of each process", count(1)),
        "core" => described("The size of a core file", size()),
        "file_size" => described("The size of a file that a process writes", size()),
        "processes" => described("Processes and threads of the job's user", count(1)),
        "cpu_time" => described("Processor time of each process", duration()),
        "memory" => described("Memory of all of its processes together", size()),
        "swap" => described("Swap beside that", size()),
        "cpu" => described(
            "How many processors it may keep busy",
            json!({ "type": "number", "minimum": 0.01 }),
        ),
        "tasks" => described("Processes and threads of the run", count(1)),
        _ => with_default(
            described("Do not start the run where one of them cannot be applied", boolean()),
            json!(true),
        ),
    };
    let properties = limits::KEYS.map(|key| (key.to_owned(), value(key)));
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": Value::Object(sort::collect(properties)),
    })
}

fn size() -> Value {
    let text = json!({ "type": "string", "pattern": "^[0-9]+ *([kKmMgGtT]?i?[bB]?)$" });
    json!({ "anyOf": [text, count(0)] })
}

fn account() -> Value {
    json!({ "anyOf": [text(), count(0)] })
}

#[cfg(test)]
mod tests {
    use super::super::load_text;
    use super::*;
    use crate::core::instant::Instant;
    use crate::core::job::Options;
    use crate::core::zone::Database;

    #[test]
    fn every_section_is_described() {
        for name in sections::TOP {
            assert_ne!(section(name, &json!({})), json!({}), "{name}");
        }
        // A line that was broken in the source is none where it is read.
        let text = schema().to_string();
        let gap = text.find("  ").map(|at| &text[at.saturating_sub(60)..]);
        assert_eq!(gap, None);
    }

    #[test]
    fn defaults_are_true() {
        for key in Key::ALL {
            let Some(default) = default(*key) else { continue };
            let default = toml::Value::try_from(&default).unwrap();
            let text = format!(
                "jobs.a = {{ command = 'x', interval = '1h', {} = {default} }}",
                key.name()
            );
            let loaded = load_text("f", &text, &Database::bundled(), Instant::from_secs(0));
            let set = loaded.set.unwrap_or_else(|| panic!("{text}: {:?}", loaded.problems));
            assert_eq!(*set.jobs[0].options, Options::default(), "{text}");
            assert_eq!(set.jobs[0].executor, 0);
        }
    }

    #[test]
    fn what_has_no_default_here_has_none() {
        let optional = |key: Key| {
            matches!(
                key,
                Key::Name
                    | Key::Command
                    | Key::Cron
                    | Key::Interval
                    | Key::Date
                    | Key::Any
                    | Key::All
                    | Key::After
                    | Key::Timezone
                    | Key::StartDate
                    | Key::EndDate
                    | Key::MaxWait
                    | Key::PauseAfter
                    | Key::Expect
                    | Key::WarnAfter
                    | Key::Timeout
                    | Key::Cwd
                    | Key::EnvFile
                    | Key::User
                    | Key::Group
                    | Key::Umask
                    | Key::Nice
                    | Key::Limits
                    | Key::OnlyIf
                    | Key::Stdin
                    | Key::KeepOutput
            ) || key.hook().is_some()
        };
        for key in Key::ALL {
            assert_eq!(default(*key).is_none(), optional(*key), "{}", key.name());
        }
    }
}
