//! The jobfile as a JSON Schema, for editors that complete and check TOML by one.
//!
//! It is made from the same list of keys that the reader goes by, so that neither can have a key
//! that the other does not know. It says less than the reader does: what a cron expression or a
//! duration may be is not repeated here, and `schedrs validate` has the last word.

use serde_json::{Map, Value, json};

use super::keys::{CRON_FIELDS, INTERVAL_FIELDS, Key};
use super::sections;

/// The whole schema.
pub(crate) fn schema() -> Value {
    let mut job = properties(|_| true);
    job["required"] = json!(["command"]);
    let triggers = Key::ALL.iter().filter(|key| key.is_trigger());
    let one: Vec<Value> = triggers.map(|key| json!({ "required": [key.name()] })).collect();
    job["oneOf"] = one.into();
    let defaults = properties(|key| !key.is_trigger() && !matches!(key, Key::Command | Key::Name));
    let top: Map<String, Value> =
        sections::TOP.iter().map(|name| ((*name).to_owned(), section(name, &defaults))).collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "schedrs jobfile",
        "description": "Jobs for schedrs; see schedrs-jobs(5)",
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
            "job": job,
        },
    })
}

fn section(name: &str, defaults: &Value) -> Value {
    match name {
        "include" => json!({
            "description": "More files, relative to this one: paths and patterns",
            "anyOf": [text(), strings(0)],
            "examples": [["jobs.d/*.toml"]],
        }),
        "scheduler" => table(
            "What concerns all jobs",
            json!({
                "timezone": described(
                    "The IANA zone of jobs that name none; the system's unless told",
                    text(),
                ),
                "stop_grace": with_default(
                    described("How long running jobs may take to end after SIGTERM", duration()),
                    json!("30s"),
                ),
            }),
        ),
        "store" => table(
            "What survives a restart",
            json!({
                "url": described("\"memory\", a file: \"sqlite:schedrs.db\", or a server: \"postgres://localhost/schedrs\"", text()),
                "keep": table(
                    "Runs beyond either limit may be forgotten",
                    json!({
                        "runs": described("This many of the last runs of each job", count(1)),
                        "days": described("Runs of this many last days", count(1)),
                    }),
                ),
            }),
        ),
        "fleet" => table(
            "This host among those that share the store",
            json!({
                "name": described("What people call it; the name of the machine unless told", text()),
                "labels": described("What `run_on` of the jobs is compared with", strings(1)),
                "lease": with_default(
                    described("A host that is silent for so long is taken for dead", duration()),
                    json!("15s"),
                ),
            }),
        ),
        "executors" => json!({
            "description": "Named pools of slots; `default` is always there",
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
                }),
            ),
        }),
        "defaults" => {
            described("Any option of a job, for jobs that do not say otherwise", defaults.clone())
        }
        "jobs" => json!({
            "description": "The jobs; the name of a table is the job's id",
            "type": "object",
            "additionalProperties": { "$ref": "#/definitions/job" },
        }),
        // `every_section_is_described` sees to it that there is none.
        _ => json!({}),
    }
}

/// A table of some of a job's keys.
fn properties(wanted: impl Fn(Key) -> bool) -> Value {
    let keys = Key::ALL.iter().filter(|key| wanted(**key));
    let keys: Map<String, Value> = keys.map(|key| (key.name().to_owned(), of(*key))).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": keys })
}

/// What may stand at a key.
fn of(key: Key) -> Value {
    let (about, what) = match key {
        Key::Name => ("A text for people; the id unless told", text()),
        Key::Command => (
            "What to run: a string for the shell, or program and arguments",
            json!({ "anyOf": [text(), strings(1)] }),
        ),
        Key::Cron => (
            "Due on the clock: crontab(5), several expressions, or a table of fields",
            json!({
                "anyOf": [
                    text(),
                    strings(1),
                    fields(CRON_FIELDS, &json!({ "type": ["string", "integer"] })),
                ],
                "examples": ["0 3 * * *", "*/15 9-17 * * mon-fri"],
            }),
        ),
        Key::Interval => (
            "Due every so often, in exact elapsed time",
            json!({ "anyOf": [duration(), fields(INTERVAL_FIELDS, &count(0))] }),
        ),
        Key::Date => (
            "Due once; \"now\" is when the scheduler starts",
            json!({ "anyOf": [moment(), { "const": "now" }] }),
        ),
        Key::Timezone => ("The IANA zone its times are read and shown in", text()),
        Key::StartDate => ("Not due before", moment()),
        Key::EndDate => ("Not due after", moment()),
        Key::Jitter => ("Up to this much later, by a hash of job and due time", duration()),
        Key::Spread => {
            ("Up to this much later, always as much, by a hash of job and machine", duration())
        }
        Key::RunOnStart => ("One extra run when the scheduler starts", boolean()),
        Key::Paused => ("Loaded, but not due until it is resumed", boolean()),
        Key::MisfireGraceTime => (
            "How late a due time may be acted upon",
            json!({ "anyOf": [{ "const": "forever" }, duration()] }),
        ),
        Key::Coalesce => (
            "Which of several missed due times run",
            json!({ "enum": ["latest", "earliest", "all"] }),
        ),
        Key::MaxInstances => ("How many runs of it may be active at once", count(1)),
        Key::Overlap => (
            "What becomes of a due time when so many runs are active",
            json!({ "enum": ["skip", "queue", "replace"] }),
        ),
        Key::Executor => ("The pool it runs in", text()),
        Key::RunOn => (
            "On one of the hosts that share the store, on all, or on one with these labels",
            json!({ "anyOf": [{ "enum": ["one", "all"] }, strings(1)] }),
        ),
        Key::MaxWait => ("How long it may wait for a slot there; for ever unless told", duration()),
        Key::Timeout => {
            ("How long an attempt may take; then TERM to all its processes", duration())
        }
        Key::KillAfter => ("From TERM to KILL", duration()),
        Key::Retries => ("Further attempts after a failure", count(0)),
        Key::RetryDelay => ("The delay before the first further attempt", duration()),
        Key::RetryBackoff => {
            ("The factor from each delay to the next", json!({ "type": "number", "minimum": 1 }))
        }
        Key::RetryMaxDelay => ("The longest delay between attempts", duration()),
        Key::SuccessCodes => (
            "Exit codes that are no failure",
            json!({
                "type": "array",
                "minItems": 1,
                "items": { "type": "integer", "minimum": 0, "maximum": 255 },
            }),
        ),
        Key::Shell => (
            "The program that gets a string command after -c",
            json!({ "anyOf": [text(), strings(1)] }),
        ),
        Key::Cwd => ("The directory it runs in, relative to the jobfile", text()),
        Key::Env => (
            "Variables, over all others; { file = \"...\" } for a secret in a file",
            json!({
                "type": "object",
                "additionalProperties": {
                    "anyOf": [
                        { "type": "string" },
                        {
                            "type": "object",
                            "additionalProperties": false,
                            "required": ["file"],
                            "properties": { "file": text() },
                        },
                    ],
                },
            }),
        ),
        Key::EnvFile => ("A file of NAME=value lines, read at each start", text()),
        Key::ClearEnv => ("Start from a small environment, not the scheduler's", boolean()),
        Key::User => ("The user it runs as: name or number", account()),
        Key::Group => ("The group it runs as: name or number", account()),
        Key::Umask => (
            "Octal: \"022\" or 0o022",
            json!({
                "anyOf": [
                    { "type": "string", "minLength": 1, "maxLength": 4 },
                    { "type": "integer", "minimum": 0, "maximum": 0o777 },
                ],
            }),
        ),
        Key::Nice => ("Niceness", json!({ "type": "integer", "minimum": -20, "maximum": 19 })),
        Key::Stdin => {
            ("A text to read on standard input; nothing unless told", json!({ "type": "string" }))
        }
        Key::Output => {
            ("Where what it prints goes", json!({ "enum": ["pass", "file", "discard"] }))
        }
    };
    let value = described(about, what);
    match default(key) {
        Some(default) => with_default(value, default),
        None => value,
    }
}

/// The value a key has where nothing says otherwise; `defaults_are_true` holds them to the reader.
fn default(key: Key) -> Option<Value> {
    Some(match key {
        Key::Jitter | Key::Spread => json!("0s"),
        Key::RunOnStart | Key::Paused | Key::ClearEnv => json!(false),
        Key::MisfireGraceTime => json!("1m"),
        Key::Coalesce => json!("latest"),
        Key::MaxInstances => json!(1),
        Key::Overlap => json!("skip"),
        Key::Executor => json!("default"),
        Key::RunOn => json!("one"),
        Key::KillAfter | Key::RetryDelay => json!("10s"),
        Key::Retries => json!(0),
        Key::RetryBackoff => json!(2.0),
        Key::RetryMaxDelay => json!("1h"),
        Key::SuccessCodes => json!([0]),
        Key::Shell => json!("/bin/sh"),
        Key::Env => json!({}),
        Key::Output => json!("pass"),
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
        names.iter().map(|name| ((*name).to_owned(), what.clone())).collect();
    json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": fields,
    })
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
                    | Key::Timezone
                    | Key::StartDate
                    | Key::EndDate
                    | Key::MaxWait
                    | Key::Timeout
                    | Key::Cwd
                    | Key::EnvFile
                    | Key::User
                    | Key::Group
                    | Key::Umask
                    | Key::Nice
                    | Key::Stdin
            )
        };
        for key in Key::ALL {
            assert_eq!(default(*key).is_none(), optional(*key), "{}", key.name());
        }
    }
}
