//! Makes jobs after the jobfile has been read: of definitions that come at run time, and of what is
//! changed at run time of jobs that are there.
//!
//! Such a *text* is TOML: what stands below `[jobs.ID]` in a jobfile. It is read by the same
//! builder, with the same `[defaults]` and executors. Nothing here does I/O, but that a zone may
//! have to be loaded.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use super::build::Jobs;
use super::chunk::Part;
use super::keys::Key;
use super::options;
use super::parse;
use super::sections::Sections;
use super::tree::{self, Node, Table, Value};
use super::value::Scope;
use super::write;
use crate::core::instant::Instant;
use crate::core::job::{Executor, Job, Options};
use crate::core::zone::{Database, Zone};
use crate::problem::{Problem, Problems, Severity, Source, Span};

/// See the [module](self). Cheap to clone.
#[derive(Clone, Debug)]
pub struct Builder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sections: Sections,
    zones: Database,
    /// The zone of jobs that name none.
    zone: Zone,
    /// What relative paths are relative to.
    dir: PathBuf,
}

/// Problems, a line each.
type Lines = Vec<String>;

/// A job, and what is odd about it, a line each.
type Made = (Job, Lines);

impl Builder {
    pub(super) fn new(sections: Sections, zones: Database, zone: Zone, dir: PathBuf) -> Builder {
        Builder(Arc::new(Inner { sections, zones, zone, dir }))
    }

    /// The version of the time zone data that the jobs go by, where it names one.
    pub fn tzdata(&self) -> Option<&str> {
        self.0.zones.version()
    }

    /// The executors, in the order in which jobs count them.
    pub fn executors(&self) -> &[Executor] {
        &self.0.sections.executors
    }

    /// Makes a job of its definition, and says what is legal but odd, a line each. `now` is for
    /// what is odd about a date.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text, a line each.
    pub fn build(&self, id: &str, text: &str, now: Instant) -> Result<Made, Lines> {
        let mut built = self.build_many([(id, text)].into_iter(), now);
        built.pop().unwrap_or_else(|| Err(vec!["no job".to_owned()]))
    }

    /// The same for many, which share what they say alike.
    pub fn build_many<'s>(
        &self,
        texts: impl Iterator<Item = (&'s str, &'s str)>,
        now: Instant,
    ) -> Vec<Result<Made, Lines>> {
        let mut jobs = self.jobs(now, &self.0.zone);
        texts.map(|(id, text)| self.build_one(&mut jobs, id, text)).collect()
    }

    fn jobs<'s>(&self, now: Instant, zone: &Zone) -> Jobs<'_, 's> {
        let inner = &*self.0;
        Jobs::new(&inner.zones, now, &inner.sections, zone.clone(), false)
    }

    fn build_one<'s>(
        &self,
        jobs: &mut Jobs<'_, 's>,
        id: &'s str,
        text: &'s str,
    ) -> Result<Made, Lines> {
        let mut problems = Problems::default();
        let table = read(text, &mut problems);
        let before = jobs.jobs.len();
        let span = Span::new(0, 0);
        let value = Value { node: Node::Table(table), span };
        let mut scope = self.scope(text, id, &mut problems);
        jobs.add(tree::Key { text: Cow::Borrowed(id), span }, &value, &mut scope);
        let made = jobs.jobs.drain(before..).next_back();
        match made {
            Some(job) => {
                finished(Arc::try_unwrap(job).unwrap_or_else(|job| (*job).clone()), &problems, text)
            }
            None => Err(errors(&problems, text)),
        }
    }

    fn scope<'a>(&'a self, text: &'a str, id: &'a str, problems: &'a mut Problems) -> Scope<'a> {
        Scope { file: 0, text, dir: &self.0.dir, job: Some(id), problems }
    }

    /// A job with other options than its own, and what is odd about them, a line each. Its trigger
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text, a line each.
    pub fn modify(&self, job: &Job, text: &str) -> Result<Made, Lines> {
        let mut problems = Problems::default();
        let table = read(text, &mut problems);
        for (key, _) in &table.entries {
            if Key::of(&key.text).is_some_and(|key| Key::TIMES.contains(&key)) {
                let message = format!("`{}` sets when the job is due", key.text);
                let mut scope = self.scope(text, &job.id, &mut problems);
                scope.error_help(key.span, message, "reschedule the job to change that");
            }
        }
        let changed = self.with_options(job, &table, text, &mut problems);
        nothing_is_an_error(&table, text, &mut problems);
        finished(changed, &problems, text)
    }

    /// A job with another trigger, and what is odd about it, a line each: one of `cron`, `interval`
    /// and `date`, with `timezone`, `start_date`, `end_date`, `jitter` and `spread`. Without a
    /// `timezone` it keeps its own. `now` is for what is odd about a date.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text, a line each.
    pub fn reschedule(&self, job: &Job, text: &str, now: Instant) -> Result<Made, Lines> {
        let mut problems = Problems::default();
        let table = read(text, &mut problems);
        for (key, _) in &table.entries {
            let known = Key::of(&key.text);
            if known.is_some_and(|key| !Key::TIMES.contains(&key) && key != Key::Jitter) {
                let message = format!("`{}` does not set when the job is due", key.text);
                let mut scope = self.scope(text, &job.id, &mut problems);
                scope.error_help(key.span, message, "modify the job to change that");
            }
        }
        let changed = self.with_trigger(job, table, text, now, &mut problems);
        finished(changed, &problems, text)
    }

    /// A job with what was changed of it at run time, which may be both: options and the trigger.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the text, a line each.
    pub fn overlay(&self, base: &Job, overrides: &str) -> Result<Job, Lines> {
        let mut problems = Problems::default();
        let table = read(overrides, &mut problems);
        let mut times = Table::default();
        let mut rest = Table { broken: table.broken, ..Table::default() };
        for (key, value) in table.entries {
            match Key::of(&key.text) {
                Some(known) if Key::TIMES.contains(&known) => times.entries.push((key, value)),
                _ => rest.entries.push((key, value)),
            }
        }
        let changed = self.with_options(base, &rest, overrides, &mut problems);
        let changed = if times.entries.is_empty() {
            changed
        } else {
            // What was odd about it was said when it was changed.
            self.with_trigger(&changed, times, overrides, Instant::MIN, &mut problems)
        };
        finished(changed, &problems, overrides).map(|(job, _)| job)
    }

    /// What stands over a job's definition once `new` is added to what stood there before, so that
    /// [`Builder::overlay`] makes of both at once what they make one after the other: variables
    /// are added, and a new trigger takes the place of an earlier one, with all that belongs to it
    /// but the time zone, which a job keeps.
    pub fn merge(&self, old: Option<&str>, new: &str) -> String {
        let mut unused = Problems::default();
        let old_text = old.unwrap_or_default();
        let (mut old, new_table) = (read(old_text, &mut unused), read(new, &mut unused));
        let is_trigger = |key: &tree::Key<'_>| Key::of(&key.text).is_some_and(Key::is_trigger);
        if new_table.entries.iter().any(|(key, _)| is_trigger(key)) {
            old.entries.retain(|(key, _)| {
                let known = Key::of(&key.text);
                known.is_none_or(|key| key == Key::Timezone || !Key::TIMES.contains(&key))
            });
        }
        let mut merged = Entries::default();
        let mut variables = Entries::default();
        let old = old.entries.iter().map(|entry| (entry, old_text));
        for ((key, value), text) in old.chain(new_table.entries.iter().map(|entry| (entry, new))) {
            match &value.node {
                Node::Table(table) if key.text == Key::Env.name() => {
                    for (name, value) in &table.entries {
                        variables.put(&name.text, value, text);
                    }
                }
                _ => merged.put(&key.text, value, text),
            }
        }
        if !variables.0.is_empty() {
            merged.0.push((Key::Env.name().to_owned(), variables.inline()));
        }
        merged.text()
    }

    /// Sets what is no trigger. What is wrong is reported.
    fn with_options(
        &self,
        job: &Job,
        table: &Table<'_>,
        text: &str,
        problems: &mut Problems,
    ) -> Job {
        let mut options = Options::clone(&job.options);
        let mut changed = job.clone();
        let mut scope = self.scope(text, &job.id, problems);
        for (key, value) in &table.entries {
            match Key::of(&key.text) {
                None => unknown(key, &mut scope),
                Some(Key::Name) => {
                    changed.name = scope.system_string(value, "a name").map(Into::into);
                }
                Some(Key::Command) => {
                    if let Some(command) = super::command::command(value, &mut scope) {
                        changed.command = command;
                    }
                }
                Some(Key::Executor) => {
                    if let Some(executor) = self.0.sections.executor(value, &mut scope) {
                        changed.executor = executor;
                    }
                }
                Some(known) if Key::TIMES.contains(&known) => {}
                Some(known) => {
                    options::set(&mut options, known, value, &mut scope);
                    if matches!(known, Key::Except | Key::Only) {
                        let calendars = &self.0.sections.calendars;
                        calendars.check(&mut options.excluded, value, &mut scope);
                    }
                }
            }
        }
        if options != *job.options {
            changed.options = Arc::new(options);
        }
        changed
    }

    /// Sets the trigger. What is wrong is reported.
    fn with_trigger<'s>(
        &self,
        job: &Job,
        mut table: Table<'s>,
        text: &'s str,
        now: Instant,
        problems: &mut Problems,
    ) -> Job {
        let mut changed = job.clone();
        let mut options = Options::clone(&job.options);
        // The builder makes jobs, and a job has a command.
        let span = Span::new(0, 0);
        table.entries.retain(|(key, value)| {
            if let Some(shift @ (Key::Jitter | Key::Spread)) = Key::of(&key.text) {
                let mut scope = self.scope(text, &job.id, problems);
                options::set(&mut options, shift, value, &mut scope);
            }
            Key::of(&key.text).is_none_or(|key| Key::TIMES.contains(&key))
        });
        let command = Value { node: Node::String(Cow::Borrowed("true")), span };
        table.entries.push((tree::Key { text: Cow::Borrowed("command"), span }, command));
        let mut jobs = self.jobs(now, &job.zone);
        jobs.options_there = Some(Arc::clone(&job.options));
        let id = job.id.to_string();
        let key = tree::Key { text: Cow::Owned(id), span };
        let value = Value { node: Node::Table(table), span };
        jobs.add(key, &value, &mut self.scope(text, &job.id, problems));
        if let Some(made) = jobs.jobs.pop() {
            changed.trigger = made.trigger.clone();
            changed.zone = made.zone.clone();
        }
        if options != *job.options {
            changed.options = Arc::new(options);
        }
        changed
    }
}

/// Keys and values as they are written, of which the last of each key holds.
#[derive(Default)]
struct Entries(Vec<(String, String)>);

impl Entries {
    fn put(&mut self, name: &str, value: &Value<'_>, text: &str) {
        let name = write::key(name);
        let mut written = String::new();
        write_value(&mut written, value, text);
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = written,
            None => self.0.push((name, written)),
        }
    }

    /// As the values of an `env`.
    fn inline(&self) -> String {
        let entries = self.0.iter().map(|(name, value)| format!("{name} = {value}"));
        format!("{{ {} }}", entries.collect::<Vec<String>>().join(", "))
    }

    /// A line for each key.
    fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (name, value)| {
            // Writing to a string never fails.
            let _ = writeln!(text, "{name} = {value}");
            text
        })
    }
}

/// A text without the values of its variables and without what it pings, for everybody to see; a line
/// for each key. Where a
/// secret's file is stays.
pub fn masked(text: &str) -> String {
    let mut entries = Entries::default();
    for (key, value) in &read(text, &mut Problems::default()).entries {
        match &value.node {
            Node::Table(table) if key.text == Key::Env.name() => {
                let mut variables = Entries::default();
                for (name, value) in &table.entries {
                    match value.node {
                        Node::Table(_) => variables.put(&name.text, value, text),
                        _ => variables.0.push((write::key(&name.text), write::string("***"))),
                    }
                }
                entries.0.push((Key::Env.name().to_owned(), variables.inline()));
            }
            // Who knows it can say that all is well.
            Node::String(_) | Node::Table(_) if key.text == Key::Ping.name() => {
                entries.0.push((Key::Ping.name().to_owned(), write::string("***")));
            }
            _ => entries.put(&key.text, value, text),
        }
    }
    entries.text()
}

/// The table that a text is.
fn read<'s>(text: &'s str, problems: &mut Problems) -> Table<'s> {
    parse::table(Part::whole(text), 0, problems, |_| true)
}

fn unknown(key: &tree::Key<'_>, scope: &mut Scope<'_>) {
    let problem = Problem::error(scope.place(key.span), format!("unknown key `{}`", key.text));
    scope.push(match super::keys::hint(&key.text, "") {
        Some(hint) => problem.help(hint.help),
        None => problem,
    });
}

fn nothing_is_an_error(table: &Table<'_>, text: &str, problems: &mut Problems) {
    if table.entries.is_empty() && problems.errors() == 0 {
        let dir = std::path::Path::new("");
        let mut scope = Scope { file: 0, text, dir, job: None, problems };
        scope.error(Span::new(0, 0), "nothing to change");
    }
}

fn finished(job: Job, problems: &Problems, text: &str) -> Result<Made, Lines> {
    match problems.errors() {
        0 => Ok((job, lines(problems, Severity::Warning, text))),
        _ => Err(errors(problems, text)),
    }
}

fn errors(problems: &Problems, text: &str) -> Lines {
    let lines = lines(problems, Severity::Error, text);
    if lines.is_empty() { vec!["cannot make sense of the job".to_owned()] } else { lines }
}

/// Each problem of this severity as a line of text.
fn lines(problems: &Problems, severity: Severity, text: &str) -> Lines {
    let source = Source::new("", text);
    let several = text.trim_end().contains('\n');
    let these = problems.iter().filter(|problem| problem.severity == severity);
    let line = |problem: &Problem| {
        let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        // Where a warning is, its words say.
        let at = match problem.place.span {
            Some(span) if several && span.end > 0 && severity == Severity::Error => {
                format!("line {}: ", source.line_of(span.start))
            }
            _ => String::new(),
        };
        format!("{at}{}{help}", problem.message)
    };
    these.map(line).collect()
}

/// Writes a value that was read from `text`, on one line.
fn write_value(out: &mut String, value: &Value<'_>, text: &str) {
    match &value.node {
        Node::String(string) => out.push_str(&write::string(string)),
        Node::Array(values) | Node::Tables(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                write_value(out, value, text);
            }
            out.push(']');
        }
        Node::Table(table) => {
            out.push_str("{ ");
            for (at, (key, value)) in table.entries.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                out.push_str(&write::key(&key.text));
                out.push_str(" = ");
                write_value(out, value, text);
            }
            out.push_str(" }");
        }
        // As it was typed.
        Node::Integer(_) | Node::Float(_) | Node::Boolean(_) | Node::Datetime => {
            out.push_str(text.get(value.span.range()).unwrap_or_default());
        }
        Node::Invalid => out.push_str("\"\""),
    }
}

#[cfg(test)]
mod tests;
