//! What is wrong with a file, where, and what would be right.
//!
//! `crate::jobfile` collects [`Problem`]s; here they are counted, sorted and written: as text with
//! the source line and a caret (`render` draws that), or as JSON, one object a line. `nearest`
//! finds the name that was probably meant.

mod render;

use std::io::{self, Write};
use std::ops::Range;
use std::sync::OnceLock;

use serde::Serialize;

use crate::core::sort;
pub use crate::core::trigger::flaw::Severity;
use crate::core::zone::{Database, Doubt};
pub(crate) use render::{Lines, clean, clean_error, clean_json, clean_lines, is_hidden, json};

/// A range of bytes of a file. Files are at most 256 MiB, so 32 bits are enough, and a problem or
/// a key is not twice as large as it need be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// From offsets as `usize`; those beyond 4 GiB are held there.
    pub fn new(start: usize, end: usize) -> Span {
        let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { start: narrow(start), end: narrow(end) }
    }

    /// As a range that can index text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A place in one of the files of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Index into [`Sources`].
    pub file: u32,
    /// The bytes; `None` when it is about the file as a whole.
    pub span: Option<Span>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What: a lower-case sentence without a full stop.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
    /// The job it is about.
    pub job: Option<Box<str>>,
    /// The other place it is about, and what stands there.
    pub related: Option<(String, Place)>,
}

impl Problem {
    /// An error at a place.
    pub fn error(place: Place, message: impl Into<String>) -> Problem {
        Problem {
            severity: Severity::Error,
            place,
            message: message.into(),
            help: None,
            job: None,
            related: None,
        }
    }

    /// A warning at a place.
    pub fn warning(place: Place, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(place, message) }
    }

    /// What is odd about the zone of the machine.
    pub(crate) fn of_machine_zone(doubt: Doubt, zones: &Database) -> Problem {
        let unknown = doubt.unknown.as_deref();
        let help = unknown.and_then(|name| crate::core::nearest::zone_help(name, zones));
        let place = Place { file: 0, span: None };
        Problem::warning(place, doubt.message).help(help.unwrap_or(doubt.help))
    }

    /// The same with a word on what would be right.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }

    /// The same with a second place.
    #[must_use]
    pub fn related(self, what: impl Into<String>, place: Place) -> Problem {
        Problem { related: Some((what.into(), place)), ..self }
    }

    /// The same, said of a job.
    #[must_use]
    pub fn job(self, id: &str) -> Problem {
        Problem { job: Some(id.into()), ..self }
    }
}

/// A file that was read.
#[derive(Debug)]
pub struct Source {
    /// Its name as problems give it.
    pub name: String,
    /// Its text; empty when it could not be read.
    pub text: Box<str>,
    /// Where each line begins, computed when the first problem asks for it.
    lines: OnceLock<Vec<u32>>,
}

impl Source {
    /// A file of this name and text.
    pub fn new(name: impl Into<String>, text: impl Into<Box<str>>) -> Source {
        Source { name: name.into(), text: text.into(), lines: OnceLock::new() }
    }

    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            // A byte order mark is not part of the first line.
            let first = if self.text.starts_with('\u{feff}') { 3 } else { 0 };
            let newlines = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(first).chain(newlines.map(|(at, _)| at as u32 + 1)).collect()
        })
    }

    /// The number (from 1) of the line that holds a byte.
    pub fn line_of(&self, at: u32) -> u32 {
        (self.lines().partition_point(|start| *start <= at) as u32).max(1)
    }

    /// The bytes of a line, without its end.
    fn line(&self, number: u32) -> Range<usize> {
        let lines = self.lines();
        let index = number as usize - 1;
        let start = lines[index] as usize;
        let end = lines.get(index + 1).map_or(self.text.len(), |next| *next as usize - 1);
        let end = end.max(start);
        let text = &self.text[start..end];
        start..start + text.strip_suffix('\r').unwrap_or(text).len()
    }
}

/// The files of a load, in the order in which they were read; a [`Place`] is an index into them.
#[derive(Debug, Default)]
pub struct Sources(Vec<Source>);

impl Sources {
    /// Adds a file.
    pub fn push(&mut self, source: Source) -> u32 {
        self.0.push(source);
        self.0.len() as u32 - 1
    }

    /// The file of an index.
    pub fn get(&self, file: u32) -> Option<&Source> {
        self.0.get(file as usize)
    }

    /// Every file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Source> {
        self.0.iter()
    }

    /// `FILE:LINE:COLUMN`, or `FILE` alone when the place has no span.
    pub fn name(&self, place: Place) -> String {
        Locator::new(self).name(place)
    }
}

/// Where a place is, counted as editors count: from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Location {
    line: u32,
    column: usize,
    /// The column after the last one, on the same line.
    end_column: usize,
    /// The bytes of the line and, within it, of the place.
    text: Range<usize>,
    caret: Range<usize>,
}

/// Finds lines and columns. It remembers the last place, because problems come sorted: counting
/// each column from the start of its line would take hours for a hostile file of one long line.
struct Locator<'a> {
    sources: &'a Sources,
    last: Option<(u32, usize, usize)>,
}

impl<'a> Locator<'a> {
    fn new(sources: &'a Sources) -> Locator<'a> {
        Locator { sources, last: None }
    }

    fn locate(&mut self, place: Place) -> Option<(&'a Source, Location)> {
        let source = self.sources.get(place.file)?;
        let span = place.span?.range();
        let text = &source.text;
        let start = floor_boundary(text, span.start);
        let line = source.line_of(start as u32);
        let range = source.line(line);
        // A place at the end of a line stands behind its last character.
        let start = start.clamp(range.start, range.end);
        let end = floor_boundary(text, span.end).clamp(start, range.end);
        let (from, column) = match self.last {
            Some((file, at, column))
                if file == place.file && (range.start..=start).contains(&at) =>
            {
                (at, column)
            }
            _ => (range.start, 1),
        };
        let column = column + text[from..start].chars().count();
        self.last = Some((place.file, start, column));
        let end_column = column + text[start..end].chars().count();
        Some((source, Location { line, column, end_column, text: range, caret: start..end }))
    }

    fn name(&mut self, place: Place) -> String {
        match self.locate(place) {
            Some((source, at)) => format!("{}:{}:{}", clean(&source.name), at.line, at.column),
            None => {
                let source = self.sources.get(place.file);
                source.map_or_else(String::new, |source| clean(&source.name).into_owned())
            }
        }
    }
}

/// The character boundary at or before an offset.
fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// More problems than this are counted but not kept: a hostile file must not fill the memory.
const MAX_KEPT: usize = 100_000;

/// The problems of a load.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    errors: usize,
    warnings: usize,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        match problem.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.list.len() < MAX_KEPT {
            self.list.push(problem);
        }
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.errors + self.warnings == 0
    }

    /// Those that were kept, which is all of them in any file that a person wrote.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Problem> {
        self.list.iter()
    }

    /// How many were counted but not kept.
    pub fn dropped(&self) -> usize {
        self.errors + self.warnings - self.list.len()
    }

    /// Every warning becomes an error (`--strict`).
    pub fn make_strict(&mut self) {
        for problem in &mut self.list {
            problem.severity = Severity::Error;
        }
        self.errors += std::mem::take(&mut self.warnings);
    }

    /// Puts them in the order of the files and of the places in them.
    pub fn sort(&mut self) {
        sort::by(&mut self.list, |a, b| (a.place, b.severity).cmp(&(b.place, a.severity)));
    }

    /// A point to which [`Problems::roll_back`] can return.
    pub(crate) fn mark(&self) -> (usize, usize, usize) {
        (self.list.len(), self.errors, self.warnings)
    }

    /// Forgets what was added since a mark.
    pub(crate) fn roll_back(&mut self, (kept, errors, warnings): (usize, usize, usize)) {
        self.list.truncate(kept);
        (self.errors, self.warnings) = (errors, warnings);
    }
}

/// Writes problems as text: for each a line `FILE:LINE:COLUMN: SEVERITY: MESSAGE`, then the source
/// line with a caret under the place, then what would be right. With ANSI colours; write to an
/// `anstream` stream, which removes them where they are not wanted. `width`: the columns of the
/// terminal that it goes to, where long messages are broken between words.
pub fn print(
    out: &mut dyn Write,
    problems: &Problems,
    sources: &Sources,
    width: Option<usize>,
) -> io::Result<()> {
    let mut locator = Locator::new(sources);
    for problem in problems.iter() {
        render::problem(out, problem, &mut locator, width)?;
    }
    match problems.dropped() {
        0 => Ok(()),
        more => writeln!(out, "... and {more} more problems"),
    }
}

/// Writes problems as JSON, one object a line: `file`, `line`, `column`, `end_column` (the column
/// after the last one, on the same line), `severity`, `message`, `help`, `job`. Lines and columns
/// count from 1 and are left out when the problem is about the file as a whole.
pub fn print_json(out: &mut dyn Write, problems: &Problems, sources: &Sources) -> io::Result<()> {
    let mut locator = Locator::new(sources);
    for problem in problems.iter() {
        let at = locator.locate(problem.place).map(|(_, at)| at);
        let related = problem
            .related
            .as_ref()
            .map(|(what, place)| format!("{what} at {}", sources.name(*place)));
        let object = Object {
            file: sources.get(problem.place.file).map(|source| source.name.as_str()),
            line: at.as_ref().map(|at| at.line),
            column: at.as_ref().map(|at| at.column),
            end_column: at.as_ref().map(|at| at.end_column),
            severity: severity(problem.severity),
            message: &problem.message,
            help: problem.help.as_deref(),
            job: problem.job.as_deref(),
            related,
        };
        writeln!(out, "{}", json(&object)?)?;
    }
    Ok(())
}

/// A problem as a line of JSON.
#[derive(Serialize)]
struct Object<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<usize>,
    severity: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<String>,
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
