//! Moving in: what other schedulers were told, as a jobfile.
//!
//! Pure, text to text. A reader (`crontab`, `anacrontab`, `systemd`, `apscheduler`, `kubernetes`) turns each
//! thing it understands into a job of a [`Draft`] and says of everything else, with its place, why
//! it was not converted; `write` makes the draft a jobfile as a person would write it. Nothing is
//! believed because it was written: `proof` reads the result with our own loader and compares its
//! due times with those that `second`, an engine of other people, finds in the original.
//!
//! A problem that is an error is something that was lost; a warning is something that is not the
//! same here, or that has no counterpart and need not have one. `crate::cli::command::import` does the
//! reading, the printing and the exit code.

pub mod anacrontab;
pub mod apscheduler;
pub mod calendar;
pub mod crontab;
mod id;
#[cfg(any(feature = "kubernetes", test))]
pub mod kubernetes;
mod oracle;
mod pickle;
pub mod proof;
pub mod systemd;
mod to_jobfile;
mod unit;

use std::collections::BTreeMap;

use crate::core::notify::address::flaw;
use crate::core::zone::Database;
use crate::problem::{Place, Problem, Problems, Severity, Source, Sources, Span};

pub use oracle::Oracle;

/// A jobfile that is being put together.
#[derive(Debug)]
pub struct Draft<'a> {
    /// Comments above everything, each with its `#`; an empty one is an empty line.
    head: Vec<String>,
    /// The jobs, in the order of their sources.
    jobs: Vec<DraftJob>,
    /// Comments below everything.
    foot: Vec<String>,
    /// Pools that jobs name, beside `default`.
    executors: BTreeMap<String, u32>,
    /// The addresses that are told of failures: from the name of the route.
    mail: BTreeMap<String, Vec<String>>,
    /// What was not converted, and what is not the same.
    pub problems: Problems,
    /// What was read.
    pub sources: Sources,
    zones: &'a Database,
}

/// A job that is being put together.
#[derive(Debug, Default)]
struct DraftJob {
    /// Comments above it.
    comments: Vec<String>,
    /// Its id, once [`Draft::write`] has made it unique; before, what it should be.
    id: String,
    /// What may be added to the id where two would be the same, in this order.
    more_id: Vec<String>,
    /// Its keys in the order in which they are to stand.
    keys: Vec<(&'static str, Value)>,
    env: BTreeMap<String, String>,
    /// Variables whose values stand in files: from name to path.
    secrets: BTreeMap<String, String>,
    place: Option<Place>,
    oracle: Oracle,
}

/// A value of a jobfile.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Texts(Vec<String>),
    Integer(i64),
    Boolean(bool),
    /// TOML as it stands: a date, an octal number.
    Raw(String),
    Table(Vec<(&'static str, Value)>),
    List(Vec<Value>),
}

impl DraftJob {
    fn set(&mut self, key: &'static str, value: Value) {
        match self.keys.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key, value)),
        }
    }

    fn text(&mut self, key: &'static str, text: impl Into<String>) {
        self.set(key, Value::Text(text.into()));
    }

    /// What variables of cron and anacron say of it: `RANDOM_DELAY` in minutes, `SHELL` and `HOME`.
    fn surround(&mut self, delay: u32, shell: Option<&str>, home: Option<&str>) {
        if delay > 0 {
            self.text("jitter", duration(u64::from(delay) * 60));
        }
        for (key, value) in [("shell", shell), ("cwd", home)] {
            if let Some(value) = value {
                self.text(key, value);
            }
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }
}

/// A jobfile that has been put together.
#[derive(Debug)]
pub struct Written {
    pub text: String,
    /// For each of its jobs, what the proof needs.
    pub jobs: Vec<Origin>,
}

/// Where a job comes from.
#[derive(Debug)]
pub struct Origin {
    /// The id it was given.
    pub id: String,
    /// Its place in the sources.
    pub place: Option<Place>,
    /// What says independently of us when it is due.
    pub oracle: Oracle,
    /// The byte of the text at which it begins.
    pub start: usize,
}

/// The addresses of a `MAILTO`; the error is what is wrong with one of them.
fn addresses(value: &str) -> Result<Vec<String>, String> {
    let all = value.split([',', ' ', '\t']).filter(|address| !address.is_empty());
    all.map(|address| match flaw(address) {
        None => Ok(address.to_owned()),
        Some(why) => Err(format!("`{address}` {why}")),
    })
    .collect()
}

impl<'a> Draft<'a> {
    /// The name of a route to these addresses.
    fn route(&mut self, to: Vec<String>) -> String {
        if let Some((name, _)) = self.mail.iter().find(|(_, known)| **known == to) {
            return name.clone();
        }
        let name = match self.mail.len() {
            0 => "mail".to_owned(),
            known => format!("mail-{}", known + 1),
        };
        self.mail.insert(name.clone(), to);
        name
    }

    /// Nothing yet.
    pub fn new(zones: &'a Database) -> Draft<'a> {
        Draft {
            head: Vec::new(),
            jobs: Vec::new(),
            foot: Vec::new(),
            executors: BTreeMap::new(),
            mail: BTreeMap::new(),
            problems: Problems::default(),
            sources: Sources::default(),
            zones,
        }
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there is no job.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Adds a source, for places in it.
    fn source(&mut self, name: &str, text: &str) -> u32 {
        self.sources.push(Source::new(name, text))
    }

    /// Something was lost.
    fn lost(&mut self, file: u32, span: Span, message: impl Into<String>, help: Option<String>) {
        let place = Place { file, span: Some(span) };
        self.problems.push(Problem { help, ..Problem::error(place, message) });
    }

    /// Something is not the same, or not needed.
    fn noted(&mut self, file: u32, span: Span, message: impl Into<String>, help: Option<String>) {
        let place = Place { file, span: Some(span) };
        self.problems.push(Problem { help, ..Problem::warning(place, message) });
    }

    /// A source that cannot be read, among others that can.
    pub fn unread(&mut self, name: &str, why: impl std::fmt::Display) {
        let place = Place { file: self.source(name, ""), span: None };
        self.problems.push(Problem::error(place, format!("not converted: {why}")));
    }

    /// The jobfile, and all that was said.
    pub fn write(mut self) -> (Written, Problems, Sources) {
        let written = self.put_together();
        let (problems, sources) = self.said();
        (written, problems, sources)
    }

    /// What was not converted and what is not the same, with its sources.
    pub fn said(mut self) -> (Problems, Sources) {
        self.problems.sort();
        (self.problems, self.sources)
    }

    /// The jobfile. Ids are made unique here, because only now are all known.
    pub fn put_together(&mut self) -> Written {
        let mut taken = id::Taken::new();
        for job in &mut self.jobs {
            job.id = id::unique(&job.id, &job.more_id, &mut taken);
        }
        let (text, starts) =
            to_jobfile::jobfile(&self.head, &self.executors, &self.mail, &self.jobs, &self.foot);
        let origin = |(job, start): (&DraftJob, usize)| Origin {
            id: job.id.clone(),
            place: job.place,
            oracle: job.oracle.clone(),
            start,
        };
        let jobs = self.jobs.iter().zip(starts).map(origin).collect();
        Written { text, jobs }
    }

    /// Takes out the jobs that our own loader does not accept, and says why: one of them is not to keep
    /// back the others. Answers whether there were any.
    pub fn without_refused(&mut self, written: &Written, problems: &Problems) -> bool {
        let mut refused: BTreeMap<usize, &Problem> = BTreeMap::new();
        for problem in problems.iter().filter(|problem| problem.severity == Severity::Error) {
            let Some(at) = problem.place.span.map(|span| span.range().start) else { continue };
            let after = written.jobs.partition_point(|job| job.start <= at);
            if let Some(job) = after.checked_sub(1) {
                refused.entry(job).or_insert(problem);
            }
        }
        for (&index, problem) in refused.iter().rev() {
            let job = self.jobs.remove(index);
            let place = job.place.unwrap_or(Place { file: 0, span: None });
            let message = format!("not converted: {}", problem.message);
            self.problems
                .push(Problem { help: problem.help.clone(), ..Problem::error(place, message) });
        }
        !refused.is_empty()
    }
}

/// A duration of whole seconds as a jobfile has it: `90s`, `12h`, `2h 30m`.
fn duration(secs: u64) -> String {
    if secs == 0 {
        return "0s".to_owned();
    }
    let parts =
        [(secs / 86_400, "d"), (secs / 3600 % 24, "h"), (secs / 60 % 60, "m"), (secs % 60, "s")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    parts.join(" ")
}

/// A word as the shell has to be given it.
pub(crate) fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%^".contains(c);
    if word.chars().all(plain) && !word.is_empty() {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_our_loader_refuses_keeps_back_no_other() {
        let zones = Database::bundled();
        let mut draft = Draft::new(&zones);
        let file = draft.source("t", "a\nb\nc\n");
        for (index, (id, cron)) in
            [("a", "0 3 * * *"), ("b", "0 3  * *"), ("c", "@daily")].into_iter().enumerate()
        {
            let mut job = DraftJob { id: id.to_owned(), ..DraftJob::default() };
            job.place = Some(Place { file, span: Some(Span::new(2 * index, 2 * index + 1)) });
            job.text("command", "x");
            job.text("cron", cron);
            draft.jobs.push(job);
        }
        let load = |written: &Written| {
            crate::jobfile::load_text("t", &written.text, &zones, Default::default())
        };
        let written = draft.put_together();
        let loaded = load(&written);
        assert!(loaded.set.is_none());
        assert!(draft.without_refused(&written, &loaded.problems));
        let (written, problems, _) = draft.write();
        assert_eq!(load(&written).set.map(|set| set.jobs.len()), Some(2));
        let said: Vec<_> =
            problems.iter().map(|problem| (problem.place, &*problem.message)).collect();
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].0.span, Some(Span::new(2, 3)));
        assert!(said[0].1.starts_with("not converted: 4 fields"), "{said:?}");
    }

    #[test]
    fn durations_and_words() {
        for (secs, text) in [(0, "0s"), (90, "1m 30s"), (43_200, "12h"), (90_000, "1d 1h")] {
            assert_eq!(duration(secs), text);
        }
        for (word, quoted) in
            [("a-b", "a-b"), ("", "''"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("$x", "'$x'")]
        {
            assert_eq!(shell_quoted(word), quoted);
        }
    }
}
