//! What is to be executed: the `command` of a job, its hooks, and the `command` of a route.

use super::no_shell;
use super::percent;
use super::tree::{Node, Value};
use super::value::Scope;
use crate::core::hooks::variable_of;
use crate::core::job::{Command, HookKind, JobHook};

/// A string for the shell, or an array of a program and its arguments.
pub(super) fn command(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Command> {
    let command = read(value, scope)?;
    if let (Node::String(text), Command::Shell(_)) = (&value.node, &command) {
        percent::warn(value, text, scope);
    }
    Some(command)
}

/// The keys of a hook that is written as a table.
pub(super) const HOOK: [&str; 3] = ["command", "once", "retries"];

/// A hook: its command, or a table with that and how it is run.
pub(super) fn hook(kind: HookKind, value: &Value<'_>, scope: &mut Scope<'_>) -> Option<JobHook> {
    let Node::Table(table) = &value.node else { return Some(JobHook::of(told(value, scope)?)) };
    let (mut command, mut once, mut retries, mut good) = (None, false, 0, !table.broken);
    for (key, inner) in &table.entries {
        match &*key.text {
            "command" => command = Some(told(inner, scope)),
            "once" if kind == HookKind::Failure => match scope.boolean(inner) {
                Some(value) => once = value,
                None => good = false,
            },
            "once" => {
                let help = "only failures come in a row; the others are one by one anyway";
                scope.error_help(key.span, "`once` belongs to `on_failure`", help);
                good = false;
            }
            "retries" => match scope.integer(inner, 0..=i64::from(JobHook::MOST_RETRIES)) {
                Some(number) => retries = number as u8,
                None => good = false,
            },
            name => {
                scope.unknown_key(key.span, name, &HOOK);
                good = false;
            }
        }
    }
    let Some(command) = command else {
        if good {
            scope.error(value.span, "this hook has no `command`");
        }
        return None;
    };
    good.then_some(JobHook { command: command?, once, retries })
}

/// The command of a hook, which is told in its environment what others have placeholders for.
fn told(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Command> {
    let command = read(value, scope)?;
    let Node::Array(words) = &value.node else { return Some(command) };
    let mut good = true;
    for word in words {
        let Node::String(text) = &word.node else { continue };
        let Some(variable) = variable_of(text) else { continue };
        let help = format!(
            "its value is in the environment of the hook: read ${variable} there, or write a string for \
             the shell: `\"COMMAND \\\"${variable}\\\"\"`"
        );
        scope.error_help(word.span, format!("`{text}` is not filled in"), help);
        good = false;
    }
    good.then_some(command)
}

fn read(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Command> {
    match &value.node {
        Node::String(text) => {
            if text.trim().is_empty() {
                scope.error(value.span, "the command is empty");
                return None;
            }
            scope.without_nul(value, text)?;
            Some(Command::Shell(text.as_ref().into()))
        }
        Node::Array(values) => {
            let words = strings(value, scope, "command")?;
            no_shell::words(values, scope);
            Some(Command::Argv(words))
        }
        _ => {
            scope.wrong_type(
                value,
                "a string for the shell, or an array such as [\"program\", \"argument\"]",
            );
            None
        }
    }
}

/// An array of strings with a first one that is not empty.
pub(super) fn strings(
    value: &Value<'_>,
    scope: &mut Scope<'_>,
    what: &str,
) -> Option<Box<[Box<str>]>> {
    let Node::Array(values) = &value.node else { return None };
    let Some(first) = values.first() else {
        scope.error(value.span, format!("the {what} is empty"));
        return None;
    };
    if matches!(&first.node, Node::String(text) if text.is_empty()) {
        scope.error(
            first.span,
            format!("the {what} has an empty string where the program should be"),
        );
        return None;
    }
    let mut strings = Vec::with_capacity(values.len());
    for value in values {
        if let Some(text) = scope.string(value, "a string")
            && let Some(text) = scope.without_nul(value, text)
        {
            strings.push(text.into());
        }
    }
    (strings.len() == values.len()).then(|| strings.into())
}
