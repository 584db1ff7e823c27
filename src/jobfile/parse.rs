//! Parses a part of a jobfile by the `toml` crate.
//!
//! Where the crate finds nothing wrong, what it has read is the answer. Otherwise `mend` says what is
//! wrong, and reads what remains without it.

use std::borrow::Cow;

use toml::de::DeTable;

use super::blame::Fault;
use super::chunk::Part;
use super::mend;
use super::tree::{Reader, Table};
use crate::problem::{Place, Problem, Problems, Span};

/// Reads a part of file number `file`. What is wrong with it goes to `problems`, if `is_new` says of
/// its place that it has not been said before.
pub(super) fn table<'s>(
    part: Part<'s>,
    file: u32,
    problems: &mut Problems,
    is_new: impl Fn(Span) -> bool,
) -> Table<'s> {
    let mut faults = Vec::new();
    let (mut table, numbers) = read(part, &mut faults);
    let place = |span: Span| {
        let at = part.start as u32;
        Place { file, span: Some(Span { start: span.start + at, end: span.end + at }) }
    };
    for (span, message) in numbers {
        if is_new(span) {
            problems.push(Problem::error(Place { file, span: Some(span) }, message));
        }
    }
    for Fault { at, message, help, first, broken } in faults {
        table.mark_broken(&broken);
        if !is_new(place(at).span.unwrap_or_default()) {
            continue;
        }
        let problem = Problem { help, ..Problem::error(place(at), message) };
        problems.push(match first {
            Some(first) => problem.related("first defined", place(first)),
            None => problem,
        });
    }
    table
}

type Numbers = Vec<(Span, &'static str)>;

fn read<'s>(part: Part<'s>, faults: &mut Vec<Fault>) -> (Table<'s>, Numbers) {
    if !part.spoiled
        && let Ok(table) = DeTable::parse(part.text)
    {
        return convert(table.into_inner(), part.start, None, |text| text);
    }
    let text = mend::mend(part.text, faults);
    let table = DeTable::parse_recoverable(&text).0.into_inner();
    convert(table, part.start, Some(part.text), |text| Cow::Owned(text.into_owned()))
}

fn convert<'a, 's>(
    table: DeTable<'a>,
    start: usize,
    original: Option<&'s str>,
    keep: impl Fn(Cow<'a, str>) -> Cow<'s, str>,
) -> (Table<'s>, Numbers) {
    let mut reader = Reader { start, original, keep, faults: Vec::new() };
    let table = reader.table(table);
    (table, reader.faults)
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn or_list(names: &[impl AsRef<str>]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [rest @ .., last] => {
            let rest: Vec<&str> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", rest.join(", "), last.as_ref())
        }
    }
}
