//! What is to be executed: the `command` of a job, its hooks, and the `command` of a route.

use super::no_shell;
use super::percent;
use super::tree::{Node, Value};
use super::value::Scope;
use crate::core::hooks::variable_of;
use crate::core::job::Command;

/// A string for the shell, or an array of a program and its arguments.
pub(super) fn command(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Command> {
    let command = read(value, scope)?;
    if let (Node::String(text), Command::Shell(_)) = (&value.node, &command) {
        percent::warn(value, text, scope);
    }
    Some(command)
}

/// The same for a hook, which is told in its environment what others have placeholders for.
pub(super) fn hook(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Command> {
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
