//! Reads `after`: the jobs after which a job is due. Whether there are such is seen when all jobs of all
//! files have been read (`super::chains`).

use super::tree::{Node, Table, Value};
use super::value::Scope;
use crate::core::nearest::nearest;
use crate::core::trigger::AfterTrigger;
use crate::core::trigger::after::On;
use crate::problem::{Place, Span};

/// A job is due after no more jobs than this.
const MOST: usize = 100;

/// What a table of it may hold.
pub(super) const FIELDS: &[&str] = &["all", "on", "within"];

const WANTED: &str =
    "the id of a job, or a table such as { all = [\"a\", \"b\"], on = \"finished\" }";

/// A job that is named as a parent, and where.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) parent: Box<str>,
    pub(super) place: Place,
}

/// The jobs that a job is due after.
#[derive(Clone, Debug)]
pub(super) struct Follows {
    pub(super) child: Box<str>,
    pub(super) file: u32,
    pub(super) parents: Vec<Named>,
}

/// An `after`, and which jobs it names where.
pub(super) fn after(
    scope: &mut Scope<'_>,
    value: &Value<'_>,
    child: &str,
) -> Option<(AfterTrigger, Follows)> {
    let (parents, on, within) = match &value.node {
        Node::String(_) | Node::Array(_) => (names(scope, value)?, On::default(), None),
        Node::Table(table) => table_of(scope, value, table)?,
        _ => {
            scope.wrong_type(value, WANTED);
            return None;
        }
    };
    let named = parents
        .iter()
        .map(|(parent, span)| Named { parent: parent.clone(), place: scope.place(*span) });
    let follows = Follows { child: child.into(), file: scope.file, parents: named.collect() };
    let parents: Box<[Box<str>]> = parents.into_iter().map(|(parent, _)| parent).collect();
    Some((AfterTrigger::new(parents, on, within), follows))
}

type Parts = (Vec<(Box<str>, Span)>, On, Option<std::time::Duration>);

fn table_of(scope: &mut Scope<'_>, value: &Value<'_>, table: &Table<'_>) -> Option<Parts> {
    let mut good = !table.broken;
    let (mut parents, mut on, mut within) = (None, On::default(), None);
    for (key, value) in &table.entries {
        match &*key.text {
            "all" => {
                parents = names(scope, value);
                good &= parents.is_some();
            }
            "on" => match on_of(scope, value) {
                Some(found) => on = found,
                None => good = false,
            },
            "within" => {
                within = scope.duration(value);
                good &= within.is_some();
            }
            _ => {
                scope.unknown_key_but(key.span, &key.text, FIELDS, ELSEWHERE);
                good = false;
            }
        }
    }
    if good && parents.is_none() {
        let help = "such as `{ all = [\"load\"], on = \"finished\" }`";
        scope.error_help(value.span, "no jobs: `all` names those that are waited for", help);
    }
    good.then_some(())?;
    Some((parents?, on, within))
}

/// How others call the ends of a run.
const ENDS: [(On, &[&str]); 3] = [
    (On::Succeeded, &["success", "successful", "ok", "passed", "exit 0"]),
    (On::Failed, &["failure", "error", "errored", "not_ok"]),
    (On::Finished, &["done", "always", "any", "end", "ended", "complete", "completed", "exited"]),
];

/// What others call the keys of the table, and what it does not have.
const ELSEWHERE: &[(&[&str], &str)] = &[
    (&["job", "jobs", "parent", "parents", "of", "name", "names"], "did you mean `all`?"),
    (&["when", "if", "status", "outcome", "result", "state"], "did you mean `on`?"),
    (&["timeout", "deadline", "max", "max_wait"], "did you mean `within`?"),
    (
        &["any", "any_of", "one_of"],
        "such a job is due when all of them have ended: for one that is due after each of several, \
         write as many jobs",
    ),
];

fn on_of(scope: &mut Scope<'_>, value: &Value<'_>) -> Option<On> {
    let words = On::ALL.map(On::word);
    let wanted = "\"succeeded\", \"failed\" or \"finished\"";
    let text = scope.string(value, wanted)?;
    let found = On::ALL.into_iter().find(|on| on.word() == text);
    if found.is_none() {
        let message = format!("expected {wanted}, found \"{text}\"");
        let lower = text.to_ascii_lowercase();
        let meant = ENDS.iter().find(|(_, others)| others.contains(&&*lower));
        match meant.map(|(on, _)| on.word()).or_else(|| nearest(text, words)) {
            Some(near) => scope.error_help(value.span, message, format!("did you mean `{near}`?")),
            None => scope.error(value.span, message),
        }
    }
    found
}

/// The ids of jobs: one, or an array of them.
fn names(scope: &mut Scope<'_>, value: &Value<'_>) -> Option<Vec<(Box<str>, Span)>> {
    let values = match &value.node {
        Node::Array(values) => values.as_slice(),
        _ => std::slice::from_ref(value),
    };
    if values.is_empty() {
        scope.error(value.span, "empty value, expected at least one id of a job");
        return None;
    }
    if values.len() > MOST {
        let message = format!("too many jobs: {}, at most {MOST} are allowed", values.len());
        scope.error(value.span, message);
        return None;
    }
    let mut names: Option<Vec<(Box<str>, Span)>> = Some(Vec::with_capacity(values.len()));
    for value in values {
        let name = scope.string(value, "the id of a job");
        let is_twice =
            |names: &Vec<(Box<str>, Span)>| names.iter().any(|(known, _)| Some(&**known) == name);
        if name.is_some() && names.as_ref().is_some_and(is_twice) {
            scope.error(value.span, "this job is named twice");
            names = None;
        }
        names = names.zip(name).map(|(mut names, name)| {
            names.push((name.into(), value.span));
            names
        });
    }
    names
}
