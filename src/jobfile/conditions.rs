//! `only_if = { path = "/mnt/backup/.mounted", load_below = 4.0 }`.

use std::sync::Arc;

use super::command::command;
use super::secret::path;
use super::tree::{Node, Value};
use super::value::Scope;
use crate::core::condition::{Conditions, DiskFree, KEYS};
use crate::core::job::below_home;

/// What may stand in its `disk_free`.
const DISK_KEYS: [&str; 2] = ["path", "above"];

/// More than any disk has.
const MOST_BYTES: u64 = 1 << 60;

/// What others call them.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["ac", "power", "on_ac", "on_mains", "battery", "mains"], "did you mean `ac_power`?"),
    (&["exec", "cmd", "run", "script", "exec_condition"], "did you mean `command`?"),
    (&["exists", "file", "dir", "directory", "mounted", "path_exists"], "did you mean `path`?"),
    (&["disk", "free", "free_disk", "free_space", "disk_space"], "did you mean `disk_free`?"),
    (&["cpu", "cpu_below", "max_load", "load_average", "loadavg"], "did you mean `load_below`?"),
];

/// The table; an empty one takes away that of `[defaults]`.
pub(super) fn conditions(
    value: &Value<'_>,
    scope: &mut Scope<'_>,
) -> Option<Option<Arc<Conditions>>> {
    let wanted = "a table such as { path = \"/mnt/backup/.mounted\" } or { load_below = 4.0 }";
    let table = scope.table(value, wanted)?;
    let (mut found, mut good) = (Conditions::default(), !table.broken);
    for (key, value) in &table.entries {
        good &= one(&mut found, &key.text, value, scope).unwrap_or_else(|| {
            if !KEYS.contains(&&*key.text) {
                scope.unknown_key_but(key.span, &key.text, &KEYS, ELSEWHERE);
            }
            false
        });
    }
    good.then(|| (!found.is_empty()).then(|| Arc::new(found)))
}

/// Sets one; `None`: it is not what it should be, which is said, or there is no such key.
fn one(
    found: &mut Conditions,
    key: &str,
    value: &Value<'_>,
    scope: &mut Scope<'_>,
) -> Option<bool> {
    match key {
        "path" => found.path = paths(value, scope)?,
        "load_below" => found.load_below = Some(load(value, scope)?),
        "disk_free" => found.disk_free = Some(disk(value, scope)?),
        "ac_power" => found.ac_power = Some(scope.boolean(value)?),
        "command" => found.command = Some(command(value, scope)?),
        _ => return None,
    }
    Some(true)
}

/// What stands for a path, in words.
const PATH: &str = "a path such as \"/mnt/backup/.mounted\"";

/// One path, or several.
fn paths(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<[Box<str>]>> {
    let Node::Array(values) = &value.node else { return Some([whole_path(value, scope)?].into()) };
    if values.is_empty() {
        scope.error(value.span, format!("expected {PATH}, or several of them"));
    }
    let paths: Vec<_> = values.iter().filter_map(|value| whole_path(value, scope)).collect();
    (!paths.is_empty() && paths.len() == values.len()).then(|| paths.into())
}

/// A path that does not depend on who runs the job.
fn whole_path(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<str>> {
    let path = path(value, scope, PATH)?;
    if below_home(&path).is_some() {
        let help = "the scheduler looks at it, and not the job: write the path from the root";
        scope.error_help(value.span, "a path below a home directory has no meaning here", help);
        return None;
    }
    Some(path)
}

fn load(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<f64> {
    let number = match value.node {
        Node::Float(number) => number,
        Node::Integer(number) => number as f64,
        _ => {
            scope.wrong_type(value, "a number such as 4.0");
            return None;
        }
    };
    if number.is_finite() && number > 0.0 {
        return Some(number);
    }
    scope.error(value.span, format!("{number} is out of range, expected a number above 0"));
    None
}

fn disk(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<DiskFree> {
    let wanted = "a table such as { path = \"/\", above = \"5GB\" }";
    let table = scope.table(value, wanted)?;
    let (mut at, mut above, mut good) = (None, None, !table.broken);
    for (key, value) in &table.entries {
        match &*key.text {
            "path" => {
                at = whole_path(value, scope);
                good &= at.is_some();
            }
            "above" => {
                above = scope.bytes(value, 0..=MOST_BYTES, "5GB");
                good &= above.is_some();
            }
            name => {
                scope.unknown_key(key.span, name, &DISK_KEYS);
                good = false;
            }
        }
    }
    match (at, above) {
        (Some(path), Some(above)) if good => Some(DiskFree { path, above }),
        _ if !good => None,
        (at, _) => {
            let missing = if at.is_none() { "path" } else { "above" };
            let help = format!("write {}", wanted.trim_start_matches("a table such as "));
            scope.error_help(value.span, format!("`disk_free` needs `{missing}`"), help);
            None
        }
    }
}
