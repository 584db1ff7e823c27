//! Reads what stands around triggers within a trigger: `any = [ { … }, { … } ]` and `all`.
//!
//! What each of them says is read by `super::build`, as if it were that of a job.

use super::keys::Key;
use super::tree::{Node, Table, Value};
use super::value::Scope;
use crate::problem::Span;

/// A trigger has no more triggers within it than this: each is looked at whenever the job is due.
const MOST: usize = 100;

/// There are no more levels of them.
const DEEPEST: usize = 4;

/// The keys of a trigger within another one.
pub(super) const KEYS: [Key; 8] = [
    Key::Cron,
    Key::Interval,
    Key::Date,
    Key::Any,
    Key::All,
    Key::Timezone,
    Key::StartDate,
    Key::EndDate,
];

/// The tables of the triggers, of which there is at least one.
pub(super) fn tables<'v, 's>(
    value: &'v Value<'s>,
    depth: usize,
    scope: &mut Scope<'_>,
) -> Option<impl Iterator<Item = (Span, &'v Table<'s>)> + use<'v, 's>> {
    let wanted = "an array of triggers such as [{ cron = \"0 3 * * *\" }, { interval = \"5h\" }]";
    let (Node::Array(values) | Node::Tables(values)) = &value.node else {
        scope.wrong_type(value, wanted);
        return None;
    };
    if values.is_empty() {
        scope.error(value.span, format!("empty value, expected {wanted}"));
        return None;
    }
    if values.len() > MOST {
        let message = format!("too many triggers: {}, at most {MOST} are allowed", values.len());
        scope.error_help(value.span, message, "a `cron` may be an array of expressions");
        return None;
    }
    if depth == DEEPEST {
        let message = format!("triggers can stand in triggers {DEEPEST} levels deep");
        scope.error(value.span, message);
        return None;
    }
    let mut good = true;
    for value in values {
        match &value.node {
            Node::Table(_) => {}
            Node::String(_) => {
                let help = "write `{ cron = \"…\" }` or `{ interval = \"…\" }`";
                scope.error_help(value.span, "expected a table, found a string", help);
                good = false;
            }
            _ => {
                scope.wrong_type(value, "a table such as { cron = \"0 3 * * *\" }");
                good = false;
            }
        }
    }
    good.then_some(())?;
    Some(values.iter().filter_map(|value| match &value.node {
        Node::Table(table) => Some((value.span, table)),
        _ => None,
    }))
}
