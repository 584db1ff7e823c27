//! `[calendars.NAME]`, and `except` and `only`, which name them: what they mean is said at
//! [`Calendar`] and [`Windows`].
//!
//! What may stand before the calendar that it names keeps a place for it until all files were read
//! ([`Calendars::complete`]); a job, which comes after that, is given it at once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::on_disk::OnDisk;
use super::read::{self, Text, Unreadable};
use super::secret::path;
use super::tree::{Node, Value};
use super::value::Scope;
use crate::core::calendar::events::Events;
use crate::core::calendar::{Calendar, Exclusion, Windows, ics, is_name};
use crate::core::instant::Instant;
use crate::core::job::below_home;
use crate::core::names::{SHORT_WEEKDAYS, WEEKDAYS};
use crate::core::nearest::nearest;
use crate::core::sort;
use crate::core::trigger::flaw::Severity;
use crate::core::window::{self, FORMS};
use crate::core::zone::{Database, Zone};
use crate::problem::{Place, Problem, Problems, Source, Span};
use crate::sys::trust::Doubt;
use crate::sys::trust::way::Ways;

/// The keys of a calendar.
const KEYS: [&str; 3] = ["days", "windows", "file"];

/// No calendar file is larger.
const MAX_BYTES: u64 = 8 << 20;

/// So many windows may stand in one list.
const MOST_WINDOWS: usize = 1000;

/// The calendars of all files.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendars {
    /// Those that are good, by name.
    good: HashMap<Box<str>, Arc<Calendar>>,
    /// Where each stands, good or not.
    places: HashMap<Box<str>, Place>,
    /// Where files are named that are to be read.
    files: Vec<(Box<str>, Place)>,
    /// Where a calendar was named before all were known.
    named: Vec<(Box<str>, Place)>,
}

/// What is read beside the jobfile.
pub(super) struct Beside<'a> {
    pub(super) ways: &'a mut Ways,
    pub(super) on_disk: &'a mut OnDisk,
    /// Who else can change a file.
    pub(super) doubtful: &'a mut Vec<(u32, Doubt)>,
    /// The number of the first of them among all files.
    pub(super) first: u32,
    pub(super) sources: Vec<Source>,
}

impl Calendars {
    /// Reads `[calendars]` of a file.
    pub(super) fn read(&mut self, value: &Value<'_>, scope: &mut Scope<'_>) {
        let Some(table) = scope.table(value, "a table: [calendars.NAME]") else { return };
        for (key, value) in &table.entries {
            let place = scope.place(key.span);
            if let Some(first) = self.places.get(&*key.text) {
                let problem = Problem::error(place, format!("duplicate calendar `{}`", key.text));
                scope.push(problem.related("first defined", *first));
                continue;
            }
            // Jobs may name it, whatever is wrong with it: one error is enough.
            self.places.insert((&*key.text).into(), place);
            if KEYS.contains(&&*key.text) && !matches!(value.node, Node::Table(_)) {
                let message = format!("`{}` belongs to a calendar with a name", key.text);
                scope.error_help(key.span, message, "write `[calendars.NAME]` above it");
                continue;
            }
            if !is_name(&key.text) {
                let help = "it begins with a letter, has letters, digits, `-` and `_`, at most 64, and is no \
                            weekday";
                scope.error_help(key.span, "not a valid name for a calendar", help);
                continue;
            }
            if let Some((calendar, file)) = calendar(&key.text, value, scope) {
                self.files.extend(file.map(|place| (calendar.name.clone(), place)));
                self.good.insert(calendar.name.clone(), Arc::new(calendar));
            }
        }
    }

    /// Reads the files of calendars, once all of these are known.
    pub(super) fn read_files(
        &mut self,
        zones: &Database,
        beside: &mut Beside<'_>,
        problems: &mut Problems,
    ) {
        for (name, place) in std::mem::take(&mut self.files) {
            let Some(calendar) = self.good.get_mut(&name) else { continue };
            let calendar = Arc::make_mut(calendar);
            let Some(file) = &calendar.file else { continue };
            if let Some(events) = beside.events(file, place, zones, problems) {
                calendar.events = events;
            }
        }
    }

    /// Takes note of the calendars that a list names which stands before all are known.
    pub(super) fn defer(&mut self, value: &Value<'_>, scope: &Scope<'_>) {
        let names = names(value).map(|(name, span)| (name.into(), scope.place(span)));
        self.named.extend(names);
    }

    /// Reports what was named and is not there, once all are known.
    pub(super) fn complete(&mut self, problems: &mut Problems) {
        for (name, place) in std::mem::take(&mut self.named) {
            if !self.places.contains_key(&name) {
                problems.push(self.unknown(&name, place));
            }
        }
    }

    /// Gives a list the calendars that it names.
    pub(super) fn resolve(&self, windows: &mut Windows) {
        windows.resolve(|name| self.good.get(name).cloned());
    }

    /// The same for a job, and reports those that are not there.
    pub(super) fn check(
        &self,
        excluded: &mut Exclusion,
        value: &Value<'_>,
        scope: &mut Scope<'_>,
    ) -> bool {
        self.resolve(&mut excluded.except);
        self.resolve(&mut excluded.only);
        let mut good = true;
        for (name, span) in names(value) {
            if !self.places.contains_key(name) {
                good = false;
                scope.push(self.unknown(name, scope.place(span)));
            }
        }
        good
    }

    /// All of them, in order of their names.
    pub(super) fn all(&self) -> Vec<Arc<Calendar>> {
        let mut all: Vec<Arc<Calendar>> = self.good.values().cloned().collect();
        sort::by(&mut all, |a, b| a.name.cmp(&b.name));
        all
    }

    fn unknown(&self, name: &str, place: Place) -> Problem {
        let problem = Problem::error(place, format!("unknown calendar `{name}`"));
        let days = SHORT_WEEKDAYS.into_iter().chain(WEEKDAYS);
        if let Some(meant) = window::meant(name) {
            return problem.help(format!("did you mean the window \"{meant}\"?"));
        }
        problem.help(match nearest(name, self.places.keys().map(|name| &**name).chain(days)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "add it: `[calendars.{name}]`, `days = [\"12-25\"]`; or write a window such as {FORMS}"
            ),
        })
    }
}

impl Beside<'_> {
    /// The events of a file that is named at a place.
    fn events(
        &mut self,
        file: &str,
        place: Place,
        zones: &Database,
        problems: &mut Problems,
    ) -> Option<Events> {
        let path = Path::new(file);
        let text = read::path(path, MAX_BYTES, self.ways);
        let read = text.as_ref().ok().and_then(|text| Some((text.stamp?, &*text.text)));
        self.on_disk.saw_calendar(path, read);
        match text {
            Ok(Text { text, doubt, .. }) => {
                let number = self.add(Source::new(file, text));
                self.doubtful.extend(doubt.map(|doubt| (number, doubt)));
                let text = self.sources.last().map_or("", |source| &*source.text);
                match ics::read(text, zones) {
                    Ok(events) => return Some(Events::new(events)),
                    Err(flaws) => flaws.into_iter().for_each(|flaw| {
                        let span = Span::new(flaw.span.start, flaw.span.end);
                        let place = Place { file: number, span: Some(span) };
                        let problem = match flaw.severity {
                            Severity::Error => Problem::error(place, flaw.message),
                            Severity::Warning => Problem::warning(place, flaw.message),
                        };
                        problems.push(Problem { help: flaw.help, ..problem });
                    }),
                }
            }
            Err(Unreadable::File { message, .. }) => {
                let message = format!("cannot read the calendar {file}: {message}");
                problems.push(Problem::error(place, message));
            }
            Err(Unreadable::Byte { text, at, len, message, .. }) => {
                let number = self.add(Source::new(file, text));
                let place = Place { file: number, span: Some(Span::new(at, at + len)) };
                problems.push(Problem::error(place, message));
            }
        }
        None
    }

    fn add(&mut self, source: Source) -> u32 {
        self.sources.push(source);
        self.first + self.sources.len() as u32 - 1
    }
}

/// A calendar, and where its file is named.
fn calendar(
    name: &str,
    value: &Value<'_>,
    scope: &mut Scope<'_>,
) -> Option<(Calendar, Option<Place>)> {
    let wanted = "a table such as { days = [\"12-25\", \"12-26\"] } or { file = \"holidays.ics\" }";
    let table = scope.table(value, wanted)?;
    let (mut good, mut place) = (!table.broken, None);
    let (mut days, mut windows): (Vec<&Value<'_>>, Vec<&Value<'_>>) = (Vec::new(), Vec::new());
    let mut calendar = Calendar::named(name);
    for (key, value) in &table.entries {
        let list = match &*key.text {
            "days" => &mut days,
            "windows" => &mut windows,
            "file" => {
                calendar.file = file(value, scope);
                good &= calendar.file.is_some();
                place = Some(scope.place(value.span));
                continue;
            }
            name => {
                scope.unknown_key(key.span, name, &KEYS);
                good = false;
                continue;
            }
        };
        let read = self::windows(value, scope);
        for (name, span) in names(value) {
            scope.error(span, format!("`{name}` is no day and no window"));
            good = false;
        }
        good &= read.is_some();
        if let Node::Array(values) = &value.node {
            list.extend(values);
        }
    }
    if table.entries.is_empty() && !table.broken {
        let help = "it needs `days`, `windows` or `file`";
        scope.error_help(value.span, "this calendar has nothing in it", help);
        return None;
    }
    if good {
        let is_part = |value: &&Value<'_>| text(value, scope).is_some_and(|it| it.contains(':'));
        let parts: Vec<Span> = days.iter().copied().filter(is_part).map(|it| it.span).collect();
        good = parts.is_empty();
        for span in parts {
            let help = "a part of a day belongs to `windows`";
            scope.error_help(span, "`days` are whole days", help);
        }
    }
    good.then_some(())?;
    calendar.days = days.len();
    let texts: Vec<&str> =
        days.into_iter().chain(windows).filter_map(|value| text(value, scope)).collect();
    calendar.windows = Windows::read(&texts).ok()?;
    Some((calendar, place))
}

fn file(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Box<str>> {
    let path = path(value, scope, "the path of a calendar file such as \"holidays.ics\"")?;
    if below_home(&path).is_some() {
        let help = "it is read by the scheduler, which has no home: write the path from the root";
        scope.error_help(value.span, "this path begins in a home directory", help);
        return None;
    }
    Some(path)
}

/// What a window is written as: a text or a date.
fn text<'v>(value: &'v Value<'_>, scope: &Scope<'v>) -> Option<&'v str> {
    match &value.node {
        Node::String(text) => Some(text),
        Node::Datetime => Some(scope.typed(value.span)),
        _ => None,
    }
}

/// A list of windows and names of calendars.
pub(super) fn windows(value: &Value<'_>, scope: &mut Scope<'_>) -> Option<Windows> {
    let wanted = format!("an array of windows such as {FORMS}, and of names of calendars");
    let Node::Array(values) = &value.node else {
        if let Node::String(text) = &value.node {
            let help = format!("write `[{}]`", super::write::string(text));
            scope.error_help(value.span, format!("expected {wanted}, found a string"), help);
        } else {
            scope.wrong_type(value, &wanted);
        }
        return None;
    };
    if values.len() > MOST_WINDOWS {
        let help = "a calendar file may have more: `[calendars.NAME]`, `file = \"NAME.ics\"`";
        scope.error_help(value.span, format!("more than {MOST_WINDOWS} windows"), help);
        return None;
    }
    let mut texts: Vec<&str> = Vec::with_capacity(values.len());
    for value in values {
        match &value.node {
            Node::Datetime => texts.push(scope.typed(value.span)),
            _ => texts.push(scope.string(value, &format!("a window such as {FORMS}"))?),
        }
    }
    match Windows::read(&texts) {
        Ok(windows) => Some(windows),
        Err(wrong) => {
            wrong.into_iter().for_each(|(place, why)| scope.error(values[place].span, why));
            None
        }
    }
}

/// Whether days follow each other in them without end, whatever the zone, so that all time is excluded.
pub(super) fn is_always(windows: &Windows) -> bool {
    windows.end(Instant::from_secs(0), &Zone::utc()) == Some(Instant::MAX)
}

/// The names of calendars in a list, and where they stand.
fn names<'v>(value: &'v Value<'_>) -> impl Iterator<Item = (&'v str, Span)> {
    let values = match &value.node {
        Node::Array(values) => values.as_slice(),
        _ => &[],
    };
    values.iter().filter_map(|value| match &value.node {
        Node::String(text) if is_name(text) => Some((&**text, value.span)),
        _ => None,
    })
}
