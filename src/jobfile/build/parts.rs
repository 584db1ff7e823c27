//! The keys of the table of a job, or of one of its triggers, sorted by what reads them.

use super::super::combined;
use super::super::keys::{self, Key};
use super::super::tree::{self, Table, Value};
use super::super::value::Scope;
use crate::core::sort;
use crate::problem::{Problem, Span};

/// The keys of a job, sorted by what reads them.
#[derive(Default)]
pub(super) struct Parts<'v, 's> {
    pub(super) name: Option<&'v Value<'s>>,
    pub(super) command: Option<&'v Value<'s>>,
    pub(super) trigger: Option<(Key, Span, &'v Value<'s>)>,
    pub(super) timezone: Option<&'v Value<'s>>,
    pub(super) executor: Option<&'v Value<'s>>,
    pub(super) start_date: Option<(Span, &'v Value<'s>)>,
    pub(super) end_date: Option<(Span, &'v Value<'s>)>,
    pub(super) options: Vec<(Key, &'v Value<'s>)>,
    /// A key that does not exist probably meant one of these.
    pub(super) meant_command: bool,
    pub(super) meant_trigger: bool,
    pub(super) good: bool,
}

/// Sorts the keys of a job, and reports those that do not exist or may not stand together.
pub(super) fn parts<'v, 's>(table: &'v Table<'s>, scope: &mut Scope<'_>) -> Parts<'v, 's> {
    let mut parts = Parts { good: true, ..Parts::default() };
    for (key, value) in &table.entries {
        let Some(known) = Key::of(&key.text) else {
            unknown(key, value, &mut parts, scope);
            continue;
        };
        match known {
            Key::Name => parts.name = Some(value),
            Key::Command => parts.command = Some(value),
            _ if known.is_trigger() => parts.add(known, key.span, value, scope),
            Key::Timezone => parts.timezone = Some(value),
            Key::Executor => parts.executor = Some(value),
            Key::StartDate => parts.start_date = Some((key.span, value)),
            Key::EndDate => parts.end_date = Some((key.span, value)),
            _ => parts.options.push((known, value)),
        }
    }
    // So that options in another order are still the same options.
    sort::by_key(&mut parts.options, |(key, _)| *key);
    parts.check_date(scope);
    parts
}

/// The same of a trigger within another one.
pub(super) fn inner_parts<'v, 's>(table: &'v Table<'s>, scope: &mut Scope<'_>) -> Parts<'v, 's> {
    let mut parts = Parts { good: true, ..Parts::default() };
    for (key, value) in &table.entries {
        match Key::of(&key.text) {
            Some(known) if known.is_trigger() => parts.add(known, key.span, value, scope),
            Some(Key::Timezone) => parts.timezone = Some(value),
            Some(Key::StartDate) => parts.start_date = Some((key.span, value)),
            Some(Key::EndDate) => parts.end_date = Some((key.span, value)),
            Some(_) => {
                let message =
                    format!("`{}` is an option of the job, not of one of its triggers", key.text);
                scope.error_help(key.span, message, "write it beside `any` or `all`");
                parts.good = false;
            }
            None => {
                let typed = scope.typed(value.span);
                let hint = keys::hint(&key.text, typed);
                let is_one = |meant: Key| combined::KEYS.contains(&meant);
                match hint.filter(|hint| hint.meant.is_some_and(is_one)) {
                    Some(hint) => {
                        let message = format!("unknown key `{}`", key.text);
                        scope.error_help(key.span, message, hint.help);
                    }
                    None => {
                        let known = combined::KEYS.map(Key::name);
                        scope.unknown_key(key.span, &key.text, &known);
                    }
                }
                parts.good = false;
            }
        }
    }
    parts.check_date(scope);
    parts
}

impl<'v, 's> Parts<'v, 's> {
    /// Whether it has a zone or a window of its own.
    pub(super) fn has_own_times(&self) -> bool {
        self.timezone.is_some() || self.start_date.is_some() || self.end_date.is_some()
    }

    /// A trigger, of which there may be one.
    fn add(&mut self, key: Key, span: Span, value: &'v Value<'s>, scope: &mut Scope<'_>) {
        let Some((first, first_span, _)) = self.trigger else {
            self.trigger = Some((key, span, value));
            return;
        };
        let message = format!(
            "a second trigger: this job already has `{}`, and only one is allowed",
            first.name()
        );
        let problem = Problem::error(scope.place(span), message);
        let problem = problem.help(match (first, key) {
            (Key::After, _) | (_, Key::After) => {
                "a job is due by its own trigger or after others: write two jobs"
            }
            _ => "`any = [ { … }, { … } ]` is due when one of several is",
        });
        scope.push(problem.related("the first one is", scope.place(first_span)));
        self.good = false;
    }

    /// A date has no window.
    fn check_date(&mut self, scope: &mut Scope<'_>) {
        let parts = self;
        if let Some((key @ (Key::Date | Key::After), ..)) = parts.trigger {
            for (name, typed) in [("start_date", parts.start_date), ("end_date", parts.end_date)] {
                if let Some((span, _)) = typed {
                    let message = format!("`{name}` has no meaning beside `{}`", key.name());
                    let help = match key {
                        Key::Date => "a `date` is due only once",
                        _ => "the job is due when those that it names are",
                    };
                    scope.error_help(span, message, help);
                    parts.good = false;
                }
            }
        }
    }
}

fn unknown<'s>(
    key: &tree::Key<'s>,
    value: &Value<'s>,
    parts: &mut Parts<'_, 's>,
    scope: &mut Scope<'_>,
) {
    parts.good = false;
    let problem = Problem::error(scope.place(key.span), format!("unknown key `{}`", key.text));
    let hint = keys::hint(&key.text, scope.typed(value.span));
    let meant = hint.as_ref().and_then(|hint| hint.meant);
    parts.meant_command |= meant == Some(Key::Command);
    parts.meant_trigger |= meant.is_some_and(Key::is_trigger);
    scope.push(match hint {
        Some(hint) => problem.help(hint.help),
        None => problem.help("`schedrs validate --explain` lists the options of a job"),
    });
}
