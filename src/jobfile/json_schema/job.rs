//! The options of a job, which `[defaults]` has as well.

use serde_json::{Map, Value, json};

use super::forms::{
    account, boolean, command, count, described, duration, moment, size, strings, text, times,
    with_default, words,
};
use super::tell::ping;
use super::when::{after, calendar, cron, elapsed, triggers};
use crate::core::condition;
use crate::core::job::{Coalesce, JobHook, OnLost, Output, Overlap};
use crate::core::limits;
use crate::core::sort;
use crate::jobfile::keys::Key;

/// A table of some of a job's keys.
pub(super) fn properties(wanted: impl Fn(Key) -> bool) -> Value {
    let keys = Key::ALL.iter().filter(|key| wanted(**key));
    let keys: Map<String, Value> = sort::collect(keys.map(|key| (key.name().to_owned(), of(*key))));
    json!({ "type": "object", "additionalProperties": false, "properties": keys })
}

/// A trigger within another.
pub(super) fn trigger() -> Value {
    let window = [Key::Timezone, Key::StartDate, Key::EndDate];
    let is_inner = |key: Key| key.is_trigger() && key != Key::After;
    let mut trigger = properties(|key| is_inner(key) || window.contains(&key));
    let one = Key::ALL.iter().filter(|key| is_inner(**key));
    let one: Vec<Value> = one.map(|key| json!({ "required": [key.name()] })).collect();
    trigger["oneOf"] = one.into();
    trigger
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::instant::Instant;
    use crate::core::job::Options;
    use crate::core::zone::Database;
    use crate::jobfile::load_text;

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
