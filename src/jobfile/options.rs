//! The options of a job: the type, the range and the reading of each.
//!
//! What they mean is said at [`Options`]; the same options may stand in `[defaults]`. Trigger,
//! name, zone and executor are not here: they need more than their own value (`build`). What a command
//! may be says `command`.

use std::num::NonZero;
use std::time::Duration;

use super::calendars;
use super::command::{self, strings};
use super::conditions;
use super::keys::Key;
use super::limits;
use super::no_shell;
use super::ping;
use super::secret::path;
use super::tree::{Node, Table, Value};
use super::value::Scope;
use crate::core::calendar::Windows;
use crate::core::fleet::RunOn;
use crate::core::job::{Coalesce, Grace, Joined, Keep, OnLost, Options, Output, Overlap};

/// Sets one option. What is wrong with it is reported; then the option stays as it was and the
/// answer is `false`.
pub(super) fn set(
    options: &mut Options,
    key: Key,
    value: &Value<'_>,
    scope: &mut Scope<'_>,
) -> bool {
    try_set(options, key, value, scope).is_some()
}

fn try_set(
    options: &mut Options,
    key: Key,
    value: &Value<'_>,
    scope: &mut Scope<'_>,
) -> Option<()> {
    match key {
        Key::Shell => options.shell = shell(value, scope)?,
        Key::Cwd => options.cwd = Some(path(value, scope, "the path of a directory")?),
        Key::Env => env(options, value, scope)?,
        Key::EnvFile => options.env_file = Some(path(value, scope, "the path of a file")?),
        Key::ClearEnv => options.clear_env = scope.boolean(value)?,
        Key::User => options.user = Some(account(value, scope, "the name of a user")?),
        Key::Group => options.group = Some(account(value, scope, "the name of a group")?),
        Key::Umask => options.umask = Some(umask(value, scope)?),
        Key::Nice => options.nice = Some(scope.integer(value, -20..=19)? as i32),
        Key::Limits => options.limits = limits::limits(value, scope)?,
        Key::Stdin => options.stdin = Some(stdin(value, scope)?),
        Key::Jitter => options.jitter = scope.duration(value)?,
        // Which machine it is was known before.
        Key::Spread => options.spread.most = scope.duration(value)?,
        Key::MisfireGraceTime => options.misfire_grace_time = grace(value, scope)?,
        Key::Expect => {
            let help = "leave it out where no success is expected";
            options.expect = Some(not_zero(value, scope, "it", help)?);
        }
        Key::WarnAfter => {
            let help = "leave it out where a run may take as long as it usually does";
            options.warn_after = Some(not_zero(value, scope, "it", help)?);
        }
        Key::MaxWait => options.max_wait = Some(scope.duration(value)?),
        Key::Coalesce => options.coalesce = coalesce(value, scope)?,
        Key::MaxInstances => {
            options.max_instances = scope.integer(value, 1..=i64::from(u32::MAX))? as u32;
        }
        Key::Overlap => options.overlap = scope.one_of(value, &Overlap::WORDS)?,
        Key::Timeout => {
            options.timeout = Some(limit(value, scope, "for no timeout, leave it out")?);
        }
        Key::KillAfter => options.kill_after = scope.duration(value)?,
        Key::Retries => options.retries = scope.integer(value, 0..=i64::from(u32::MAX))? as u32,
        Key::RetryDelay => options.retry_delay = scope.duration(value)?,
        Key::PauseAfter => options.pause_after = Some(pause_after(value, scope)?),
        Key::RetryBackoff => options.retry_backoff = backoff(value, scope)?,
        Key::RetryMaxDelay => options.retry_max_delay = scope.duration(value)?,
        Key::SuccessCodes => options.success_codes = codes(value, scope)?,
        Key::Output => options.output = output(value, scope)?,
        Key::KeepOutput => options.keep_output = Some(scope.size(value, Keep::MOST_OUTPUT)?),
        Key::Paused => options.paused = scope.boolean(value)?,
        Key::RunOnStart => options.run_on_start = scope.boolean(value)?,
        Key::RunOn => options.run_on = run_on(value, scope)?,
        Key::OnLost => options.on_lost = scope.one_of(value, &OnLost::WORDS)?,
        Key::OnlyOn => options.only_on = hosts(value, scope)?,
        // The calendars that they name, whoever knows them all puts in.
        Key::Except => options.excluded.except = except(value, scope)?,
        Key::Only => options.excluded.only = calendars::windows(value, scope)?,
        Key::OnlyIf => options.only_if = conditions::conditions(value, scope)?,
        Key::WaitFor => options.wait_for = scope.duration(value)?,
        Key::Tags => options.tags = tags(value, scope)?,
        // Whether there are such routes, whoever knows them all sees to.
        Key::Notify => options.notify = routes(value, scope)?,
        Key::Ping => options.ping = ping::ping(value, scope)?,
        Key::OnStart
        | Key::OnRetry
        | Key::OnSuccess
        | Key::OnFailure
        | Key::OnRecovered
        | Key::OnMissed
        | Key::OnSkipped => {
            let kind = key.hook()?;
            options.hooks.insert(kind, command::hook(kind, value, scope)?);
        }
        Key::HookTimeout => options.hook_timeout = limit(value, scope, "the default is `\"30s\"`")?,
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
        | Key::Executor => {}
    }
    Some(())
}

fn stdin(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<str>> {
    let text = scope.string(value, "a string")?;
    no_shell::stdin(value, text, scope);
    Some(text.into())
}

fn grace(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Grace> {
    match &value.node {
        Node::String(text) if text == "forever" => Some(Grace::Forever),
        _ => Some(Grace::Limited(scope.duration(value)?)),
    }
}

fn coalesce(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Coalesce> {
    if let Node::Boolean(yes) = value.node {
        // APScheduler's `coalesce` is a boolean.
        let same = if yes { "latest" } else { "all" };
        let message = "expected \"latest\", \"earliest\" or \"all\", found a boolean";
        scope.error_help(value.span, message, format!("write `\"{same}\"`"));
        return None;
    }
    scope.one_of(value, &Coalesce::WORDS)
}

fn except(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Windows> {
    let except = calendars::windows(value, scope)?;
    if calendars::is_always(&except) {
        let help = "leave it out, or write `paused = true`";
        scope.error_help(value.span, "it would never end, and the job never be due", help);
        return None;
    }
    Some(except)
}

/// A duration after which something is ended.
fn limit(value: &Value<'_>, scope: &mut Scope<'_>, help: &str) -> Option<Duration> {
    not_zero(value, scope, "a timeout", help)
}

fn not_zero(value: &Value<'_>, scope: &mut Scope<'_>, what: &str, help: &str) -> Option<Duration> {
    let duration = scope.duration(value)?;
    if duration.is_zero() {
        scope.error_help(value.span, format!("{what} must be longer than zero"), help);
        return None;
    }
    Some(duration)
}

/// One host, all, or one that has all of some labels.
fn run_on(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<RunOn> {
    match &value.node {
        Node::Array(_) => Some(RunOn::Labels(labels(value, scope)?)),
        _ => scope.one_of(value, &[("one", RunOn::One), ("all", RunOn::All)]),
    }
}

/// An array of labels, at least one.
pub(super) fn labels(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<[Box<str>]>> {
    let labels = texts(value, scope, "an array of labels such as [\"disk\"]", "a label")?;
    if labels.is_empty() {
        let help = "name at least one, such as [\"disk\"], or leave the key out";
        scope.error_help(value.span, "this array has no labels", help);
        return None;
    }
    Some(labels)
}

/// Patterns of the names of hosts.
fn hosts(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<[Box<str>]>> {
    let wanted = "an array of host names such as [\"web*\", \"db1\"]";
    let hosts = texts(value, scope, wanted, "a host name")?;
    let Node::Array(values) = &value.node else { return Some(hosts) };
    let mut good = true;
    for (host, value) in hosts.iter().zip(values) {
        if let Err(error) = glob::Pattern::new(host) {
            scope.error(value.span, format!("not a valid pattern: {}", error.msg));
            good = false;
        }
    }
    good.then_some(hosts)
}

/// An array of tags, which may take away those of `[defaults]`.
fn tags(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<[Box<str>]>> {
    texts(value, scope, "an array of tags such as [\"backup\", \"eu\"]", "a tag")
}

/// Names of routes, which may take away those of `[defaults]`.
fn routes(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<[Box<str>]>> {
    texts(value, scope, "an array of routes such as [\"ops\"]", "the name of a route")
}

/// An array of strings, none of them empty. `wanted` and `each` continue "expected ...".
pub(super) fn texts(
    value: &Value<'_>,
    scope: &mut Scope<'_>,
    wanted: &str,
    each: &str,
) -> Option<Box<[Box<str>]>> {
    let Node::Array(values) = &value.node else {
        if let Node::String(text) = &value.node {
            let message = format!("expected {wanted}, found a string");
            let help = format!("write `[{}]`", super::write::string(text));
            scope.error_help(value.span, message, help);
        } else {
            scope.wrong_type(value, wanted);
        }
        return None;
    };
    let texts: Vec<Box<str>> =
        values.iter().filter_map(|value| Some(scope.system_string(value, each)?.into())).collect();
    (texts.len() == values.len()).then(|| texts.into())
}

/// A program, or a program and its leading arguments.
fn output(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Output> {
    match &value.node {
        Node::String(text) if text.contains('/') => {
            let help = format!(
                "\"file\" keeps a log file for each job; for one of your own, write \
                 `command = \"COMMAND >>{text} 2>&1\"`"
            );
            let message = format!("\"{text}\" is not \"pass\", \"file\" or \"discard\"");
            scope.error_help(value.span, message, help);
            None
        }
        _ => scope.one_of(value, &Output::WORDS),
    }
}

fn shell(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<[Box<str>]>> {
    let wanted = "a shell such as \"/bin/bash\" or [\"bash\", \"-eu\"]";
    match &value.node {
        Node::Array(values) => {
            if let Some(first) = values.first() {
                no_shell::path(first, scope);
            }
            strings(value, scope, "shell")
        }
        Node::String(text) if text.trim().contains(char::is_whitespace) => {
            let parts: Vec<String> =
                text.split_whitespace().map(|part| format!("\"{part}\"")).collect();
            scope.error_help(
                value.span,
                "this string is taken as the path of one program, but it contains spaces",
                format!("for a program with arguments write `[{}]`", parts.join(", ")),
            );
            None
        }
        _ => {
            let program = scope.system_string(value, wanted)?;
            no_shell::path(value, scope);
            Some(Box::new([program.into()]))
        }
    }
}

/// A user or group: a name, or a number in a string or not.
fn account(value: &Value<'_>, scope: &mut Scope<'_>, wanted: &str) -> Option<Box<str>> {
    match value.node {
        Node::Integer(id) if u32::try_from(id).is_ok() => Some(id.to_string().into()),
        _ => Some(scope.system_string(value, wanted)?.into()),
    }
}

/// Adds to the variables: those of a job stand over those of `[defaults]`. A value is a text, or
/// `{ file = "..." }` for one that is read from there, or what goes around the value that there is.
fn env(options: &mut Options, value: &Value<'_>, scope: &mut Scope<'_>) -> Option<()> {
    let table = scope.table(value, "a table such as { NAME = \"value\" }")?;
    let mut good = true;
    for (key, value) in &table.entries {
        let name = &key.text;
        if name.is_empty() || name.contains(['=', '\0']) {
            let help = "a name cannot be empty or contain `=` or a NUL byte";
            scope.error_help(key.span, "not a valid name for a variable", help);
            good = false;
            continue;
        }
        if let Node::Table(table) = &value.node {
            match special(table, value, scope) {
                Some(Special::File(path)) => {
                    options.env.remove(&**name);
                    options.joined.remove(&**name);
                    options.secrets.insert(name.as_ref().into(), path);
                }
                // Around that of `[defaults]`, if there is one.
                Some(Special::Joined(joined)) => {
                    options.joined.insert(name.as_ref().into(), joined);
                }
                None => good = false,
            }
            continue;
        }
        let text = scope.string(value, "a string, { file = \"...\" } or { append = \"...\" }");
        match text.and_then(|text| scope.without_nul(value, text)) {
            Some(text) => {
                no_shell::variable(name, value, scope);
                options.secrets.remove(&**name);
                options.joined.remove(&**name);
                options.env.insert(name.as_ref().into(), text.into());
            }
            None => good = false,
        }
    }
    good.then_some(())
}

/// What a variable is that is no text.
enum Special {
    File(Box<str>),
    Joined(Joined),
}

/// `{ file = "..." }`, or `{ prepend = "...", append = "..." }`.
fn special(table: &Table<'_>, value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Special> {
    let (mut file, mut joined) = (None, Joined::default());
    let mut good = !table.broken;
    for (key, value) in &table.entries {
        let part = match &*key.text {
            "file" => {
                file = path(value, scope, "the path of a file");
                good &= file.is_some();
                continue;
            }
            "append" => &mut joined.after,
            "prepend" => &mut joined.before,
            name => {
                scope.unknown_key(key.span, name, &["file", "append", "prepend"]);
                good = false;
                continue;
            }
        };
        let text = scope.string(value, "a string");
        *part = text.and_then(|text| scope.without_nul(value, text)).map(Into::into);
        good &= part.is_some();
    }
    let has_joined = joined != Joined::default();
    if good && file.is_some() == has_joined {
        let help = "write `{ file = \"...\" }` to read the value from a file, `{ append = \"...\" }` or \
                    `{ prepend = \"...\" }` to add to the value there is";
        let message = match file {
            None => "this table has neither `file` nor `append` nor `prepend`",
            Some(_) => "`file` is the whole value: it does not go with `append` and `prepend`",
        };
        scope.error_help(value.span, message, help);
        return None;
    }
    match file {
        _ if !good => None,
        Some(file) => Some(Special::File(file)),
        None => Some(Special::Joined(joined)),
    }
}

fn umask(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<u32> {
    const WANTED: &str = "an octal string such as \"022\"";
    let mask = match &value.node {
        Node::String(text) => {
            let octal = (1..=4).contains(&text.len())
                && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            octal.then(|| u32::from_str_radix(text, 8).ok()).flatten()
        }
        // A decimal number would be read as octal by whoever thinks of chmod.
        Node::Integer(number) if *number == 0 || scope.typed(value.span).starts_with("0o") => {
            u32::try_from(*number).ok()
        }
        Node::Integer(number) => {
            let help = format!("write `\"{number:0>3}\"` or `0o{number:0>3}`");
            scope.error_help(value.span, format!("expected {WANTED}, found an integer"), help);
            return None;
        }
        _ => {
            scope.wrong_type(value, WANTED);
            return None;
        }
    };
    let mask = mask.filter(|mask| *mask <= 0o777);
    if mask.is_none() {
        scope.error(value.span, "a umask is octal, from \"000\" to \"777\"");
    }
    mask
}

fn pause_after(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<NonZero<u32>> {
    if matches!(value.node, Node::Integer(0)) {
        let help = "leave it out, and no failure pauses the job";
        scope.error_help(value.span, "it must be at least 1", help);
        return None;
    }
    NonZero::new(scope.integer(value, 1..=i64::from(u32::MAX))? as u32)
}

fn backoff(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<f64> {
    let factor = match value.node {
        Node::Float(factor) => factor,
        Node::Integer(factor) => factor as f64,
        _ => {
            scope.wrong_type(value, "a number from 1.0");
            return None;
        }
    };
    if factor.is_finite() && factor >= 1.0 {
        return Some(factor);
    }
    scope.error(value.span, format!("{factor} is out of range, expected a number from 1.0"));
    None
}

fn codes(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<[u8]>> {
    let values = match &value.node {
        Node::Array(values) => values,
        Node::Integer(code) => {
            let message = "expected an array such as [0, 3], found an integer";
            scope.error_help(value.span, message, format!("write `[{code}]`"));
            return None;
        }
        _ => {
            scope.wrong_type(value, "an array of exit codes such as [0, 3]");
            return None;
        }
    };
    if values.is_empty() {
        let help = "the default is `[0]`";
        scope.error_help(value.span, "with no codes, no run could ever succeed", help);
        return None;
    }
    let codes: Vec<u8> = values
        .iter()
        .filter_map(|value| scope.integer(value, 0..=255).map(|code| code as u8))
        .collect();
    (codes.len() == values.len()).then(|| codes.into())
}
