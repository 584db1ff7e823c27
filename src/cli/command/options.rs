//! The options of a job as flags of the command line, for `add`, `modify` and `reschedule`: each has
//! the name it has in the jobfile, with `-` for `_`.
//!
//! Texts become JSON of the type that the option has, as far as that can be told here. What is wrong
//! with a value the jobfile's own reader says, in the schedrs that is asked.

use anyhow::{Context as _, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use serde_json::{Map, Value, json};

use super::{argument, time};
use crate::cli::Context;
use crate::core::words;
use crate::jobfile::keys::Key;
use crate::jobfile::when;
use crate::problem::clean;
use crate::sys::clock;

/// All options but the command and the trigger.
pub(super) const ADD: u8 = 0;
/// Those that have nothing to do with the trigger.
pub(super) const MODIFY: u8 = 1;
/// Those that belong to a trigger.
pub(super) const RESCHEDULE: u8 = 2;

/// The options that were given, and their texts.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags<const SET: u8> {
    given: Vec<(Key, Vec<String>)>,
}

/// When a job is due.
#[derive(Args, Clone, Debug, Default)]
#[group(required = false, multiple = false)]
pub(super) struct When {
    /// Once, after this long: 30m, 1h30m
    #[arg(long = "in", value_name = "DURATION", help_heading = "When")]
    ahead: Option<String>,

    /// Once, at this time: 17:30, tomorrow 09:00 or fri on this machine's clock; 2026-12-01T09:00
    /// in the job's time zone
    #[arg(long, visible_alias = "date", value_name = "TIME", help_heading = "When")]
    at: Option<String>,

    /// Repeatedly, at this interval: 5m
    #[arg(long, visible_alias = "interval", value_name = "DURATION", help_heading = "When")]
    every: Option<String>,

    /// By a cron expression, in quotes: '0 3 * * *'; repeat for more
    #[arg(long, value_name = "EXPR", help_heading = "When")]
    cron: Vec<String>,
}

impl When {
    pub(super) fn is_given(&self) -> bool {
        self.ahead.is_some() || self.at.is_some() || self.every.is_some() || !self.cron.is_empty()
    }

    /// Puts it into a request.
    pub(super) fn put(&self, request: &mut Value, context: &Context) -> anyhow::Result<()> {
        for (key, text) in [("in", &self.ahead), ("every", &self.every)] {
            if let Some(text) = text {
                request[key] = text.as_str().into();
            }
        }
        if let Some(text) = &self.at {
            let at = at(text, context).with_context(|| format!("--at {}", clean(text)))?;
            request["at"] = at.into();
        }
        match &self.cron[..] {
            [] => {}
            [one] => request["cron"] = one.as_str().into(),
            several => request["cron"] = several.into(),
        }
        Ok(())
    }
}

/// When a job is to be due once, as a request has it. A date goes as it is, as it is on the clocks of the
/// job's zone, which the scheduler knows; `17:30` is on those of this machine.
pub(super) fn at(text: &str, context: &Context) -> anyhow::Result<String> {
    if text == "now" || when::parse_moment(text).is_ok() {
        return Ok(text.to_owned());
    }
    let (zone, now) = (argument::local_zone(context), clock::wall());
    Ok(words::rfc3339(time::ahead(text, &zone, now, now)?, &zone))
}

impl<const SET: u8> Flags<SET> {
    fn keys() -> impl Iterator<Item = Key> {
        // A job that is told to one scheduler is for its host.
        let chosen = |key: &Key| {
            *key != Key::OnlyOn
                && match SET {
                    ADD => *key != Key::Command && !key.is_trigger(),
                    MODIFY => !key.is_trigger() && !of_trigger(*key),
                    _ => of_trigger(*key) || matches!(key, Key::Jitter | Key::Spread),
                }
        };
        Key::ALL.iter().copied().filter(chosen)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    pub(super) fn has(&self, key: Key) -> bool {
        self.given.iter().any(|(given, _)| *given == key)
    }

    /// Puts them into a request.
    pub(super) fn put(&self, request: &mut Value) -> anyhow::Result<()> {
        for (key, texts) in &self.given {
            request[key.name()] = value(*key, texts)?;
        }
        Ok(())
    }
}

/// Whether an option is about the trigger, without being one.
fn of_trigger(key: Key) -> bool {
    matches!(key, Key::Timezone | Key::StartDate | Key::EndDate)
}

impl<const SET: u8> Args for Flags<SET> {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(Self::keys().map(arg))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<const SET: u8> FromArgMatches for Flags<SET> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let texts = |key: Key| {
            let texts = matches.get_many::<String>(name(key))?;
            Some((key, texts.cloned().collect()))
        };
        Ok(Flags { given: Self::keys().filter_map(texts).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What clap calls it: another `output` is there already.
fn name(key: Key) -> &'static str {
    match key {
        Key::Output => "job-output",
        _ => key.name(),
    }
}

fn arg(key: Key) -> Arg {
    let (shape, value_name, help) = about(key);
    let arg = Arg::new(name(key))
        .long(name(key).replace('_', "-"))
        .value_name(value_name)
        .help(help)
        .help_heading("Options of the job");
    match shape {
        Shape::Boolean => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true)
            .value_parser(["true", "false"]),
        Shape::Codes | Shape::List => arg.action(ArgAction::Append).value_delimiter(','),
        Shape::Variables => arg.action(ArgAction::Append),
        Shape::Integer => arg.allow_negative_numbers(true),
        Shape::Float | Shape::Text | Shape::Words => arg,
    }
}

/// What the texts of an option are made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    Integer,
    Float,
    Boolean,
    /// Numbers, in several flags or with commas.
    Codes,
    /// Words, the same way.
    List,
    /// `NAME=VALUE`, in several flags.
    Variables,
    /// A program, and arguments if there are spaces.
    Words,
}

fn about(key: Key) -> (Shape, &'static str, &'static str) {
    use Shape::{Boolean, Codes, Float, Integer, List, Text, Variables, Words};
    match key {
        Key::Name => (Text, "TEXT", "A display name"),
        Key::OnlyOn => (List, "HOST", "Only on hosts with a matching name, comma-separated"),
        Key::Tags => (List, "TAG", "Tags to select it by, comma-separated"),
        Key::Notify => (List, "ROUTE", "Routes by which people hear of it, comma-separated"),
        Key::Ping => (Text, "URL", "The service outside that is told of each run, or `false`"),
        Key::Command => (Text, "COMMAND", "The command to run, passed to the shell"),
        Key::Cron => (Text, "EXPR", "A cron expression"),
        Key::Interval => (Text, "DURATION", "The interval between due times"),
        Key::Date => (Text, "TIME", "Once, at this time"),
        // They have no flags: several triggers are for a file.
        Key::Any | Key::All => (Text, "TRIGGERS", "Several triggers"),
        Key::After => (Text, "JOB", "After this job has succeeded, at its due time"),
        Key::Timezone => (Text, "ZONE", "The time zone of the schedule"),
        Key::StartDate => (Text, "TIME", "Not due before this time"),
        Key::EndDate => (Text, "TIME", "Not due after this time"),
        Key::Except => (List, "WHEN", "Not due then: days, windows and calendars, comma-separated"),
        Key::Only => (List, "WHEN", "Due only then: days, windows and calendars, comma-separated"),
        Key::OnlyIf => (
            Variables,
            "NAME=VALUE",
            "What has to hold at a due time, such as path=/mnt/x or load_below=4",
        ),
        Key::WaitFor => (Text, "DURATION", "How long a due time may wait for that"),
        Key::Jitter => (Text, "DURATION", "Delay each run by a random time up to this"),
        Key::Spread => (
            Text,
            "DURATION",
            "Delay each run by a fixed time up to this, different for each job and host",
        ),
        Key::RunOnStart => (Boolean, "BOOL", "Also run once when the scheduler starts"),
        Key::Paused => (Boolean, "BOOL", "Start out paused"),
        Key::MisfireGraceTime => (Text, "DURATION", "How late a run may start, or `forever`"),
        Key::Coalesce => {
            (Text, "WHICH", "Which of several missed due times to run: latest, earliest, all")
        }
        Key::MaxInstances => (Integer, "N", "How many runs may be active at once"),
        Key::Overlap => (
            Text,
            "WHAT",
            "What to do at a due time when that many are active: skip, queue, replace",
        ),
        Key::RunOn => (Text, "WHERE", "Which hosts of the fleet run it: one, all"),
        Key::OnLost => (Text, "WHAT", "What to do about a run whose host died: leave, run_again"),
        Key::Executor => (Text, "NAME", "The executor to run in"),
        Key::MaxWait => (Text, "DURATION", "How long a run may wait for a slot"),
        Key::PauseAfter => (Integer, "N", "Pause the job after so many failures in a row"),
        Key::Expect => (Text, "DURATION", "How often a success is expected"),
        Key::WarnAfter => (Text, "DURATION", "A run that takes longer is slow"),
        Key::Timeout => (Text, "DURATION", "How long an attempt may take"),
        Key::KillAfter => (Text, "DURATION", "Time between SIGTERM and SIGKILL"),
        Key::Retries => (Integer, "N", "How often to retry a failed run"),
        Key::RetryDelay => (Text, "DURATION", "The delay before the first retry"),
        Key::RetryBackoff => (Float, "FACTOR", "Multiply the delay by this after each retry"),
        Key::RetryMaxDelay => (Text, "DURATION", "The longest delay between retries"),
        Key::SuccessCodes => (Codes, "CODE", "Exit codes that count as success"),
        Key::Shell => (Words, "SHELL", "The shell for a command given as one string"),
        Key::Cwd => (Text, "DIR", "The working directory"),
        Key::Env => (Variables, "NAME=VALUE", "Set an environment variable"),
        Key::EnvFile => (Text, "FILE", "Read environment variables from a file"),
        Key::ClearEnv => (Boolean, "BOOL", "Do not inherit the scheduler's environment"),
        Key::User => (Text, "USER", "Run as this user"),
        Key::Group => (Text, "GROUP", "Run as this group"),
        Key::Umask => (Text, "MASK", "The umask, in octal"),
        Key::Nice => (Integer, "N", "The niceness"),
        Key::Limits => {
            (Variables, "NAME=VALUE", "What its processes may use at most, such as memory=2GB")
        }
        Key::Stdin => (Text, "TEXT", "Text for standard input"),
        Key::Output => (Text, "WHERE", "Where output goes: pass, file, discard"),
        Key::KeepOutput => (Text, "SIZE", "How much of each attempt's output to keep"),
        Key::OnStart => (Text, "COMMAND", "Run this when a run's first process exists"),
        Key::OnRetry => (Text, "COMMAND", "Run this after an attempt that will be retried"),
        Key::OnSuccess => (Text, "COMMAND", "Run this after each run that succeeded"),
        Key::OnFailure => (Text, "COMMAND", "Run this after each run that failed for good"),
        Key::OnRecovered => (Text, "COMMAND", "Run this after the first success after failures"),
        Key::OnMissed => (Text, "COMMAND", "Run this when due times were missed"),
        Key::OnSkipped => (Text, "COMMAND", "Run this when due times were skipped"),
        Key::HookTimeout => (Text, "DURATION", "How long each of these commands may take"),
    }
}

/// A number or a boolean, if it is one, and else a text.
fn plain(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => text.into(),
    }
}

/// The same of a condition. Room on a disk is `disk_free=PATH:SIZE`.
fn condition(name: &str, text: &str) -> Value {
    match (name, text.rsplit_once(':')) {
        ("disk_free", Some((path, above))) => json!({ "path": path, "above": above }),
        ("load_below" | "ac_power", _) => plain(text),
        _ => text.into(),
    }
}

/// A path that has to be there, beside those that were given before.
fn path_beside(before: Option<Value>, path: &str) -> Value {
    match before {
        None => path.into(),
        Some(Value::Array(mut paths)) => {
            paths.push(path.into());
            paths.into()
        }
        Some(one) => json!([one, path]),
    }
}

fn value(key: Key, texts: &[String]) -> anyhow::Result<Value> {
    let last = texts.last().map(String::as_str).unwrap_or_default();
    let flag = || key.name().replace('_', "-");
    let whole = |text: &str| {
        let number = text.trim().parse::<i64>();
        number.map(Value::from).map_err(|_| anyhow!("--{} {text}: expected a whole number", flag()))
    };
    Ok(match about(key).0 {
        Shape::Text if key == Key::Ping && last == "false" => false.into(),
        Shape::Text => last.into(),
        Shape::Integer => whole(last)?,
        Shape::Float => match last.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => number.into(),
            _ => bail!("--{} {last}: expected a number", flag()),
        },
        Shape::Boolean => (last == "true").into(),
        Shape::Codes => {
            Value::Array(texts.iter().map(|text| whole(text)).collect::<anyhow::Result<_>>()?)
        }
        Shape::List => texts.into(),
        Shape::Variables => {
            let mut variables = Map::new();
            for text in texts {
                match text.split_once('=') {
                    Some((name, value)) if !name.is_empty() => {
                        let value = match key {
                            Key::Limits => plain(value),
                            Key::OnlyIf if name == "path" => {
                                path_beside(variables.remove(name), value)
                            }
                            Key::OnlyIf => condition(name, value),
                            _ => value.into(),
                        };
                        variables.insert(name.to_owned(), value);
                    }
                    _ => bail!("--{} {text}: expected NAME=VALUE", flag()),
                }
            }
            Value::Object(variables)
        }
        Shape::Words => {
            let words: Vec<&str> = last.split_whitespace().collect();
            match words[..] {
                [_, _, ..] => words.into(),
                _ => last.into(),
            }
        }
    })
}
