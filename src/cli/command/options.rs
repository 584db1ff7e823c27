//! The options of a job as flags of the command line, for `add`, `modify` and `reschedule`: each has
//! the name it has in the jobfile, with `-` for `_`.
//!
//! Texts become JSON of the type that the option has, as far as that can be told here: words with commas
//! between them, or the array or table that would stand in a jobfile. What is wrong with a value the
//! jobfile's own reader says, in the schedrs that is asked.

use anyhow::{Context as _, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};
use serde_json::{Map, Value, json};

use super::{argument, time};
use crate::cli::Context;
use crate::core::job::{Coalesce, OnLost, Output, Overlap};
use crate::core::words;
use crate::jobfile::keys::Key;
use crate::jobfile::{inline, when};
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

    /// Repeatedly, at this interval: 5m; or as in a jobfile: '{ months = 1, day = "last" }'
    #[arg(long, visible_alias = "interval", value_name = "DURATION", help_heading = "When")]
    every: Option<String>,

    /// By a cron expression, in quotes: '0 3 * * *'; repeat for more
    #[arg(long, value_name = "EXPR", help_heading = "When", allow_hyphen_values = true)]
    cron: Vec<String>,

    /// After another job has succeeded, at its due time; repeat for more; or as in a jobfile: '{ all =
    /// ["load"], on = "finished" }'
    #[arg(long, value_name = "JOB", help_heading = "When")]
    after: Vec<String>,

    /// When any of several triggers is due, as in a jobfile: '[{ cron = "0 9 * * *" }, { interval =
    /// "5h" }]'
    #[arg(long, value_name = "TRIGGERS", help_heading = "When")]
    any: Option<String>,

    /// When all of several triggers are due at the same time, in the same form
    #[arg(long = "all", id = "all-of", value_name = "TRIGGERS", help_heading = "When")]
    all: Option<String>,
}

/// What is said to who gives none of them.
pub(super) const NO_WHEN: &str =
    "missing: when the job is due. Add --in, --at, --every, --cron, --after, --any or --all";

impl When {
    pub(super) fn is_given(&self) -> bool {
        let When { ahead, at, every, cron, after, any, all } = self;
        [ahead, at, every, any, all].iter().any(|one| one.is_some())
            || !cron.is_empty()
            || !after.is_empty()
    }

    /// Puts it into a request.
    pub(super) fn put(&self, request: &mut Value, context: &Context) -> anyhow::Result<()> {
        if let Some(text) = &self.ahead {
            request["in"] = text.as_str().into();
        }
        if let Some(text) = &self.every {
            request["every"] = typed(text);
        }
        if let Some(text) = &self.at {
            let at = at(text, context).with_context(|| format!("--at {}", clean(text)))?;
            request["at"] = at.into();
        }
        for (key, texts) in [("cron", &self.cron), ("after", &self.after)] {
            match &texts[..] {
                [] => {}
                [one] => request[key] = typed(one),
                several => request[key] = several.into(),
            }
        }
        for (key, text) in [("any", &self.any), ("all", &self.all)] {
            let Some(text) = text else { continue };
            let Some(triggers @ Value::Array(_)) = inline::value(text) else {
                bail!(
                    "--{key} {}: expected an array of triggers as in a jobfile, such as '[{{ cron = \"0 9 * * \
                     *\" }}, {{ interval = \"5h\" }}]'",
                    clean(text)
                );
            };
            request[key] = triggers;
        }
        Ok(())
    }
}

/// An array or a table as a jobfile has it, or the text that it is.
pub(super) fn typed(text: &str) -> Value {
    inline::value(text).unwrap_or_else(|| text.into())
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

/// Which of `modify` and `reschedule` has an option that the other has not.
pub(in crate::cli) fn hint(verb: &str, option: &str) -> Option<String> {
    let key = Key::of(&option.strip_prefix("--")?.replace('-', "_"))?;
    let of_trigger = key.is_trigger() || of_trigger(key);
    let (other, what) = match (verb, of_trigger) {
        ("modify", true) => ("reschedule", "changes when a job is due"),
        ("reschedule", false) if Flags::<MODIFY>::keys().any(|known| known == key) => {
            ("modify", "changes the options of a job")
        }
        _ => return None,
    };
    Some(format!("`schedrs {other} JOB {option} …` {what}"))
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
    let (shape, value_name) = form(key);
    let arg = Arg::new(name(key))
        .long(name(key).replace('_', "-"))
        .value_name(value_name)
        .help(help(key))
        .help_heading("Options of the job");
    match shape {
        Shape::Boolean => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true)
            .value_parser(["true", "false"]),
        Shape::Codes | Shape::List | Shape::Variables => arg.action(ArgAction::Append),
        Shape::Integer => arg.allow_negative_numbers(true),
        Shape::Float | Shape::Text | Shape::Typed | Shape::Words => arg,
    }
}

/// What the texts of an option are made into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text,
    /// A text, or an array or table as a jobfile has it.
    Typed,
    Integer,
    Float,
    Boolean,
    /// Numbers, in several flags or with commas.
    Codes,
    /// Words, the same way.
    List,
    /// `NAME=VALUE`, in several flags.
    Variables,
    /// A program, and arguments if there are spaces; or an array.
    Words,
}

/// How the value of an option is typed, and what stands for it in the help.
fn form(key: Key) -> (Shape, &'static str) {
    use Shape::{Boolean, Codes, Float, Integer, List, Text, Typed, Variables, Words};
    match key {
        Key::Name | Key::Stdin => (Text, "TEXT"),
        Key::OnlyOn => (List, "HOST"),
        Key::Tags => (List, "TAG"),
        Key::Notify => (List, "ROUTE"),
        Key::Except | Key::Only => (List, "WHEN"),
        Key::Ping => (Typed, "URL"),
        Key::Command => (Typed, "COMMAND"),
        // Their flags are those of [`When`].
        Key::Cron | Key::Interval | Key::Date | Key::Any | Key::All | Key::After => {
            (Typed, "TRIGGER")
        }
        Key::Timezone => (Text, "ZONE"),
        Key::StartDate | Key::EndDate => (Text, "TIME"),
        Key::OnlyIf | Key::Env | Key::Limits => (Variables, "NAME=VALUE"),
        Key::RunOnStart | Key::Paused | Key::ClearEnv => (Boolean, "BOOL"),
        Key::Coalesce => (Text, "WHICH"),
        Key::Overlap | Key::OnLost => (Text, "WHAT"),
        Key::RunOn => (Typed, "WHERE"),
        Key::Output => (Text, "WHERE"),
        Key::MaxInstances | Key::PauseAfter | Key::Retries | Key::Nice => (Integer, "N"),
        Key::RetryBackoff => (Float, "FACTOR"),
        Key::SuccessCodes => (Codes, "CODE"),
        Key::Executor => (Text, "NAME"),
        Key::Shell => (Words, "SHELL"),
        Key::Cwd => (Text, "DIR"),
        Key::EnvFile => (Text, "FILE"),
        Key::User => (Text, "USER"),
        Key::Group => (Text, "GROUP"),
        Key::Umask => (Text, "MASK"),
        Key::KeepOutput => (Text, "SIZE"),
        Key::OnStart
        | Key::OnRetry
        | Key::OnSuccess
        | Key::OnFailure
        | Key::OnRecovered
        | Key::OnMissed
        | Key::OnSkipped => (Typed, "COMMAND"),
        Key::WaitFor
        | Key::Jitter
        | Key::Spread
        | Key::MisfireGraceTime
        | Key::MaxWait
        | Key::Expect
        | Key::WarnAfter
        | Key::Timeout
        | Key::KillAfter
        | Key::RetryDelay
        | Key::RetryMaxDelay
        | Key::HookTimeout => (Text, "DURATION"),
    }
}

/// What the flag of an option is for.
fn help(key: Key) -> String {
    let about = key.about();
    let words = |words: Vec<&str>| format!("{about}: {}", words.join(", "));
    match key {
        Key::Coalesce => words(Coalesce::WORDS.map(|(word, _)| word).into()),
        Key::Overlap => words(Overlap::WORDS.map(|(word, _)| word).into()),
        Key::OnLost => words(OnLost::WORDS.map(|(word, _)| word).into()),
        Key::Output => words(Output::WORDS.map(|(word, _)| word).into()),
        Key::MisfireGraceTime => format!("{about}, or `forever`"),
        Key::Ping => format!("{about}; or `false`"),
        Key::OnlyIf => format!("{about}: path=/mnt/x, load_below=4; repeat for more"),
        Key::Limits => format!("{about}: memory=2GB, cpu=1.5; repeat for more"),
        _ if matches!(form(key).0, Shape::List | Shape::Codes) => {
            format!("{about}; comma-separated")
        }
        _ => about.to_owned(),
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
    Ok(match form(key).0 {
        Shape::Typed if key == Key::Ping && last == "false" => false.into(),
        Shape::Typed => typed(last),
        Shape::Text => last.into(),
        Shape::Integer => whole(last)?,
        Shape::Float => match last.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => number.into(),
            _ => bail!("--{} {last}: expected a number", flag()),
        },
        Shape::Boolean => (last == "true").into(),
        Shape::Codes => list(key, texts, whole)?,
        Shape::List => list(key, texts, |text| Ok(text.into()))?,
        Shape::Variables => variables(key, texts)?,
        Shape::Words => {
            let words: Vec<&str> = last.split_whitespace().collect();
            match (inline::value(last), &words[..]) {
                (Some(array), _) => array,
                (None, [_, _, ..]) => words.into(),
                (None, _) => last.into(),
            }
        }
    })
}

/// Words with commas between them, or arrays, in several flags.
fn list(
    key: Key,
    texts: &[String],
    each: impl Fn(&str) -> anyhow::Result<Value>,
) -> anyhow::Result<Value> {
    let mut all = Vec::new();
    for text in texts {
        match inline::value(text) {
            Some(Value::Array(values)) => all.extend(values),
            _ if inline::begins(text) => {
                let flag = key.name().replace('_', "-");
                bail!(
                    "--{flag} {text}: expected words with commas between them, or an array as in a jobfile"
                );
            }
            _ => {
                for part in text.split(',').map(str::trim) {
                    all.push(each(part)?);
                }
            }
        }
    }
    Ok(all.into())
}

/// `NAME=VALUE`, or tables, in several flags.
fn variables(key: Key, texts: &[String]) -> anyhow::Result<Value> {
    let mut variables = Map::new();
    let mut pairs: Vec<&str> = Vec::new();
    for text in texts {
        match inline::value(text) {
            Some(Value::Object(table)) => variables.extend(table),
            // No limit has a comma in it, which a path and a variable may have.
            _ if key == Key::Limits => pairs.extend(text.split(',').map(str::trim)),
            _ => pairs.push(text),
        }
    }
    for text in pairs {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !inline::begins(text) => (name, value),
            _ => {
                let flag = key.name().replace('_', "-");
                bail!("--{flag} {text}: expected NAME=VALUE, or a table as in a jobfile");
            }
        };
        let value = match key {
            Key::Limits => plain(value),
            Key::OnlyIf if name == "path" => path_beside(variables.remove(name), value),
            Key::OnlyIf => condition(name, value),
            _ => value.into(),
        };
        variables.insert(name.to_owned(), value);
    }
    Ok(Value::Object(variables))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an array or a table may be in a jobfile, a flag takes in that form.
    #[test]
    fn no_flag_takes_less_than_the_jobfile() {
        let schema = crate::jobfile::json_schema::schema();
        for key in Flags::<ADD>::keys() {
            let may_be = schema["definitions"]["job"]["properties"][key.name()].to_string();
            let is_more = ["\"array\"", "\"object\""].iter().any(|kind| may_be.contains(kind));
            let plain =
                matches!(form(key).0, Shape::Text | Shape::Integer | Shape::Float | Shape::Boolean);
            assert!(!(is_more && plain), "{}: {may_be}", key.name());
        }
    }

    /// Who copies what stands in a jobfile is understood, whatever the key; who types words, too.
    #[test]
    fn a_value_may_be_typed_as_in_a_jobfile() {
        let of = |name: &str, texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            value(Key::of(name).unwrap(), &texts)
        };
        for (name, texts, expected) in [
            ("except", &[r#"["sun"]"#][..], json!(["sun"])),
            ("except", &["sun,12-25"], json!(["sun", "12-25"])),
            ("only", &["['mon', 2026-12-24]", "tue"], json!(["mon", "2026-12-24", "tue"])),
            ("tags", &["[]"], json!([])),
            ("notify", &["[\"ops\", \"night\"]"], json!(["ops", "night"])),
            ("success_codes", &["[0, 3]"], json!([0, 3])),
            ("success_codes", &["0,3", "4"], json!([0, 3, 4])),
            (
                "env",
                &[r#"{ A = "1", B = { file = "/b" } }"#],
                json!({"A": "1", "B": {"file": "/b"}}),
            ),
            ("env", &["A={ b = 1 }", "C=x=y"], json!({"A": "{ b = 1 }", "C": "x=y"})),
            ("limits", &[r#"{ memory = "2GB", cpu = 1.5 }"#], json!({"memory": "2GB", "cpu": 1.5})),
            (
                "limits",
                &["memory=2GB,cpu=1.5", "tasks=9"],
                json!({"memory": "2GB", "cpu": 1.5, "tasks": 9}),
            ),
            ("only_if", &["{ path = ['/a', '/b'] }"], json!({"path": ["/a", "/b"]})),
            ("only_if", &["path=/a", "path=/b"], json!({"path": ["/a", "/b"]})),
            ("run_on", &["['gpu']"], json!(["gpu"])),
            ("run_on", &["all"], json!("all")),
            ("ping", &["{ file = '/p' }"], json!({"file": "/p"})),
            ("ping", &["false"], json!(false)),
            ("on_failure", &["['page', '{job}']"], json!(["page", "{job}"])),
            ("on_failure", &["[ -f x ] && page"], json!("[ -f x ] && page")),
            ("shell", &["['bash', '-eu']"], json!(["bash", "-eu"])),
            ("shell", &["bash -eu"], json!(["bash", "-eu"])),
            ("stdin", &["[1]"], json!("[1]")),
        ] {
            assert_eq!(of(name, texts).unwrap(), expected, "{name} {texts:?}");
        }
        for (name, text, said) in [
            ("except", "[sun]", "an array as in a jobfile"),
            ("success_codes", "x", "expected a whole number"),
            ("env", "{ A = 1", "a table as in a jobfile"),
            ("limits", "2GB", "expected NAME=VALUE"),
        ] {
            let error = of(name, &[text]).unwrap_err().to_string();
            assert!(error.contains(said), "{name} {text}: {error}");
        }
    }
}
