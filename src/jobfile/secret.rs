//! Where something is that stands in no jobfile: the path of a file, and texts that are not to be shown.

use super::no_shell;
use super::tree::{Node, Value};
use super::value::Scope;
use crate::core::job::below_home;
use crate::core::notify::Secret;

/// A path; a relative one is relative to the directory of the file that names it.
pub(super) fn path(value: &Value<'_>, scope: &mut Scope<'_>, wanted: &str) -> Option<Box<str>> {
    let path = scope.system_string(value, wanted)?;
    if below_home(path).is_some() {
        return Some(path.into());
    }
    no_shell::path(value, scope);
    if path.starts_with('/') || scope.dir.as_os_str().is_empty() {
        return Some(path.into());
    }
    match scope.dir.join(path).into_os_string().into_string() {
        Ok(path) => Some(path.into()),
        Err(_) => {
            let help = "write the path from the root";
            scope.error_help(value.span, "the path of this file is not UTF-8", help);
            None
        }
    }
}

/// A text that is not to be shown: as it is, or where it is read.
pub(super) fn secret(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Secret> {
    const WANTED: &str = "a string, or { file = \"...\" }, { env = \"...\" } or \
                          { credential = \"...\" }";
    let table = match &value.node {
        Node::String(_) => return Some(Secret::Text(scope.system_string(value, WANTED)?.into())),
        _ => scope.table(value, WANTED)?,
    };
    let [(key, value)] = &*table.entries else {
        scope.error(value.span, format!("expected {WANTED}"));
        return None;
    };
    match &*key.text {
        name @ ("file" | "env" | "credential") => secret_at(name, value, scope),
        name => {
            scope.unknown_key(key.span, name, &["file", "env", "credential"]);
            None
        }
    }
}

/// Where such a text is read, by the key that says so.
pub(super) fn secret_at(key: &str, value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Secret> {
    match key {
        "file" => Some(Secret::File(path(value, scope, "the path of a file")?)),
        "env" => Some(Secret::Env(scope.system_string(value, "the name of a variable")?.into())),
        _ => {
            let name = scope.system_string(value, "the name of a credential")?;
            if name.contains('/') || name.starts_with('.') {
                scope.error(value.span, "a credential has a name, not a path");
                return None;
            }
            Some(Secret::Credential(name.into()))
        }
    }
}
