//! The options of a job as flags of the command line, for `add`, `modify` and `reschedule`: each has
//! the name it has in the jobfile, with `-` for `_`.
//!
//! Texts become JSON of the type that the option has, as far as that can be told here. What is wrong
//! with a value the jobfile's own reader says, in the schedrs that is asked.

use anyhow::{anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use serde_json::{Map, Value};

use crate::jobfile::keys::Key;

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
    /// Once, so long from now: 30m, 1h30m
    #[arg(long = "in", value_name = "DURATION", help_heading = "When")]
    ahead: Option<String>,

    /// Once, at this time, on the clocks of the job's zone: 2026-12-01T09:00
    #[arg(long, visible_alias = "date", value_name = "TIME", help_heading = "When")]
    at: Option<String>,

    /// Again and again, so long after each other: 5m
    #[arg(long, visible_alias = "interval", value_name = "DURATION", help_heading = "When")]
    every: Option<String>,

    /// By a cron expression, in quotes: '0 3 * * *'; several stand for all their times
    #[arg(long, value_name = "EXPR", help_heading = "When")]
    cron: Vec<String>,
}

impl When {
    pub(super) fn is_given(&self) -> bool {
        self.ahead.is_some() || self.at.is_some() || self.every.is_some() || !self.cron.is_empty()
    }

    /// Puts it into a request.
    pub(super) fn put(&self, request: &mut Value) {
        for (key, text) in [("in", &self.ahead), ("at", &self.at), ("every", &self.every)] {
            if let Some(text) = text {
                request[key] = text.as_str().into();
            }
        }
        match &self.cron[..] {
            [] => {}
            [one] => request["cron"] = one.as_str().into(),
            several => request["cron"] = several.into(),
        }
    }
}

impl<const SET: u8> Flags<SET> {
    fn keys() -> impl Iterator<Item = Key> {
        let chosen = |key: &Key| match SET {
            ADD => *key != Key::Command && !key.is_trigger(),
            MODIFY => !key.is_trigger() && !of_trigger(*key),
            _ => of_trigger(*key) || matches!(key, Key::Jitter | Key::Spread),
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
        Shape::Codes => arg.action(ArgAction::Append).value_delimiter(','),
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
    /// `NAME=VALUE`, in several flags.
    Variables,
    /// A program, and arguments if there are spaces.
    Words,
}

fn about(key: Key) -> (Shape, &'static str, &'static str) {
    use Shape::{Boolean, Codes, Float, Integer, Text, Variables, Words};
    match key {
        Key::Name => (Text, "TEXT", "What people call it"),
        Key::Command => (Text, "COMMAND", "What to run, a line for the shell"),
        Key::Cron => (Text, "EXPR", "A cron expression"),
        Key::Interval => (Text, "DURATION", "So long after each other"),
        Key::Date => (Text, "TIME", "Once, at this time"),
        Key::Timezone => (Text, "ZONE", "Whose clocks are meant"),
        Key::StartDate => (Text, "TIME", "Not due before"),
        Key::EndDate => (Text, "TIME", "Not due after"),
        Key::Jitter => (Text, "DURATION", "Up to so much is added to each due time"),
        Key::Spread => {
            (Text, "DURATION", "Up to so much is added, always the same for a job and a machine")
        }
        Key::RunOnStart => (Boolean, "BOOL", "One extra run when the scheduler starts"),
        Key::Paused => (Boolean, "BOOL", "Not due until it is resumed"),
        Key::MisfireGraceTime => (Text, "DURATION", "How late it may be started, or `forever`"),
        Key::Coalesce => {
            (Text, "WHICH", "Which of several missed due times runs: latest, earliest, all")
        }
        Key::MaxInstances => (Integer, "N", "How many runs may be active at once"),
        Key::Overlap => {
            (Text, "WHAT", "What becomes of a due time beyond that: skip, queue, replace")
        }
        Key::RunOn => (Text, "WHERE", "On which of the hosts that share the store: one, all"),
        Key::Executor => (Text, "NAME", "The executor it runs in"),
        Key::MaxWait => (Text, "DURATION", "How long it may wait for a slot"),
        Key::Timeout => (Text, "DURATION", "How long an attempt may take"),
        Key::KillAfter => (Text, "DURATION", "From SIGTERM to SIGKILL"),
        Key::Retries => (Integer, "N", "How many further attempts a failed run gets"),
        Key::RetryDelay => (Text, "DURATION", "The delay before the first of them"),
        Key::RetryBackoff => (Float, "FACTOR", "The factor from each delay to the next"),
        Key::RetryMaxDelay => (Text, "DURATION", "The longest delay"),
        Key::SuccessCodes => (Codes, "CODE", "Exit codes that are a success"),
        Key::Shell => (Words, "SHELL", "The shell of a command that is one line"),
        Key::Cwd => (Text, "DIR", "The directory it runs in"),
        Key::Env => (Variables, "NAME=VALUE", "A variable of its environment"),
        Key::EnvFile => (Text, "FILE", "A file of variables"),
        Key::ClearEnv => (Boolean, "BOOL", "Without the scheduler's own environment"),
        Key::User => (Text, "USER", "Run as this user"),
        Key::Group => (Text, "GROUP", "Run as this group"),
        Key::Umask => (Text, "MASK", "Its umask, in octal"),
        Key::Nice => (Integer, "N", "Its niceness"),
        Key::Stdin => (Text, "TEXT", "What it gets on standard input"),
        Key::Output => (Text, "WHERE", "Where its output goes: pass, file, discard"),
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
        Shape::Variables => {
            let mut variables = Map::new();
            for text in texts {
                match text.split_once('=') {
                    Some((name, value)) if !name.is_empty() => {
                        variables.insert(name.to_owned(), value.into());
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
