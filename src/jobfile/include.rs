//! `include`: which files a file brings with it.

use std::path::{Path, PathBuf};

use super::chunk::Chunks;
use super::no_shell;
use super::on_disk::{OnDisk, PATTERNS};
use super::parse;
use super::tree::{Node, Value};
use super::value::Scope;
use crate::core::sort;
use crate::problem::{Problems, Span};

/// A file to be read.
#[derive(Debug)]
pub(super) struct Included {
    pub(super) path: PathBuf,
    /// The pattern that named it.
    pub(super) span: Span,
    /// The pattern has wildcards, so nobody named this very file.
    pub(super) by_wildcard: bool,
}

/// The files that a file includes: pattern by pattern as they stand, each pattern's in sorted
/// order. Only the top of the file is read.
pub(super) fn of(scope: &mut Scope<'_>, on_disk: &mut OnDisk) -> Vec<Included> {
    let mut included = Vec::new();
    // Most files include nothing, and then nothing need be done.
    if !scope.text.contains("include") {
        return included;
    }
    let top = Chunks::of(scope.text).next().filter(|chunk| chunk.path.is_none());
    let Some(top) = top else { return included };
    // What is wrong with it is reported when the file is read.
    let mut unused = Problems::default();
    let mut table = parse::table(top.part(), scope.file, &mut unused, |_| false);
    let Some(value) = table.remove("include") else { return included };
    match &value.node {
        Node::String(_) => pattern(&value, scope, &mut included, on_disk),
        Node::Array(patterns) => {
            for value in patterns {
                pattern(value, scope, &mut included, on_disk);
            }
        }
        _ => scope.wrong_type(&value, "an array of files such as [\"jobs.d/*.toml\"]"),
    }
    included
}

fn pattern(
    value: &Value<'_>,
    scope: &mut Scope<'_>,
    included: &mut Vec<Included>,
    on_disk: &mut OnDisk,
) {
    let wanted = "the path of a file, or a pattern such as \"jobs.d/*.toml\"";
    let Some(text) = scope.system_string(value, wanted) else { return };
    no_shell::path(value, scope);
    let span = value.span;
    if !text.contains(['*', '?', '[']) {
        included.push(Included { path: scope.dir.join(text), span, by_wildcard: false });
        return;
    }
    // The directory's own name is no pattern.
    let pattern = if Path::new(text).is_absolute() || scope.dir.as_os_str().is_empty() {
        text.to_owned()
    } else {
        match scope.dir.to_str() {
            Some(dir) => format!("{}/{text}", glob::Pattern::escape(dir)),
            None => {
                scope.error(
                    span,
                    "patterns cannot be used here, because the path of this file is not UTF-8",
                );
                return;
            }
        }
    };
    let paths = match glob::glob_with(&pattern, PATTERNS) {
        Ok(paths) => paths,
        Err(error) => {
            scope.error(span, format!("invalid pattern: {}", error.msg));
            return;
        }
    };
    let mut found = Vec::new();
    for path in paths {
        match path {
            Ok(path) => found.push(path),
            Err(error) => {
                let (path, error) = (error.path().display().to_string(), error.error());
                scope.error(span, format!("cannot read {path}: {error}"));
            }
        }
    }
    sort::all(&mut found);
    on_disk.matched(pattern, found.clone());
    let files = found.into_iter().map(|path| Included { path, span, by_wildcard: true });
    included.extend(files);
}
