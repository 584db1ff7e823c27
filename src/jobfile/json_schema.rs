//! The jobfile as a JSON Schema, for editors that complete and check TOML by one.
//!
//! It is made from the same list of keys that the reader goes by, so that neither can have a key
//! that the other does not know. It says less than the reader does: what a cron expression or a
//! duration may be is not repeated here, and `schedrs validate` has the last word.
//!
//! Here are the sections; `job` has the options of a job, `when` its triggers, `tell` routes and pings, and
//! `forms` what all of them are made of.

mod forms;
mod job;
mod tell;
mod when;

use serde_json::{Map, Value, json};

use self::forms::{
    boolean, count, described, duration, secret, size, strings, table, text, times, with_default,
};
use self::job::{properties, trigger};
use self::tell::{notify, ping};
use super::keys::Key;
use super::sections;
use crate::core::job::Executor;
use crate::core::sort;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
