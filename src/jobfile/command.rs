//! What is to be executed: the `command` of a job, and of a route.

use super::tree::{Node, Value};
use super::value::Scope;
use super::{no_shell, options, warn};
use crate::core::job::Command;

/// A string for the shell, or a program and its arguments.
pub(super) fn command(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Command> {
    match &value.node {
        Node::String(text) => {
            if text.trim().is_empty() {
                scope.error(value.span, "the command is empty");
                return None;
            }
            scope.without_nul(value, text)?;
            warn::percent(value, text, scope);
            Some(Command::Shell(text.as_ref().into()))
        }
        Node::Array(values) => {
            let words = options::strings(value, scope, "command")?;
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
