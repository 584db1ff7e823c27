//! Cuts a jobfile at its table headers, so that it can be read a table at a time.
//!
//! A chunk is a header and the lines below it, up to the next header; the first chunk has no header.

use std::iter::Peekable;

use super::statement::{Kind, Statement, Statements};
use super::tree::Key;

/// A text of more tokens than this is not read: it is no jobfile, or one with half a million jobs
/// in one pair of braces.
pub(super) const MAX_TOKENS: usize = 16 << 20;

/// A part of a text.
#[derive(Debug)]
pub(super) struct Chunk<'s> {
    /// Where it begins, and its text.
    pub(super) start: usize,
    pub(super) text: &'s str,
    /// The parts of its header, if it has one.
    pub(super) path: Option<Vec<Key<'s>>>,
    /// The header is written with two brackets.
    pub(super) array: bool,
    /// Nothing stands below the header.
    pub(super) is_empty: bool,
    /// Something is wrong with it that the parser must not see: a bracket that is never closed, or
    /// more levels or more tokens than it should have to bear.
    pub(super) spoiled: bool,
    /// How many tokens it has.
    pub(super) tokens: usize,
}

/// A text that begins somewhere in a file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Part<'s> {
    pub(super) text: &'s str,
    /// Where it begins.
    pub(super) start: usize,
    /// It has something that the crate must not see: see [`Chunk::spoiled`].
    pub(super) spoiled: bool,
    /// How many tokens it has.
    pub(super) tokens: usize,
}

impl<'s> Chunk<'s> {
    /// It alone.
    pub(super) fn part(&self) -> Part<'s> {
        Part { text: self.text, start: self.start, spoiled: self.spoiled, tokens: self.tokens }
    }

    /// Whether it belongs to `jobs`.
    pub(super) fn in_jobs(&self) -> bool {
        self.path.as_ref().and_then(|path| path.first()).is_some_and(|key| key.text == "jobs")
    }

    /// The job that its header names.
    pub(super) fn id(&self) -> Option<&str> {
        let id = self.path.as_ref()?.get(1)?;
        self.in_jobs().then_some(&*id.text)
    }

    fn add(&mut self, statement: &Statement) {
        self.is_empty &= statement.kind == Kind::Blank;
        self.tokens += statement.tokens;
        self.spoiled |=
            statement.open.is_some() || statement.deep.is_some() || self.tokens > MAX_TOKENS;
    }
}

impl<'s> Part<'s> {
    pub(super) fn whole(text: &'s str) -> Part<'s> {
        Chunks::of(text).fold(Part::default(), |part, chunk| part.with(&chunk, text))
    }

    /// The same with the chunk that follows it in `file`.
    pub(super) fn with(self, next: &Chunk<'s>, file: &'s str) -> Part<'s> {
        let end = next.start + next.text.len();
        let tokens = self.tokens + next.tokens;
        let spoiled = self.spoiled || next.spoiled || tokens > MAX_TOKENS;
        Part { text: &file[self.start..end], spoiled, tokens, ..self }
    }
}

/// The chunks of a text.
pub(super) struct Chunks<'s> {
    text: &'s str,
    statements: Peekable<Statements<'s>>,
}

impl<'s> Chunks<'s> {
    pub(super) fn of(text: &'s str) -> Chunks<'s> {
        Chunks { text, statements: Statements::of(text).peekable() }
    }
}

impl<'s> Iterator for Chunks<'s> {
    type Item = Chunk<'s>;

    fn next(&mut self) -> Option<Chunk<'s>> {
        let first = self.statements.next()?;
        let is_header = first.kind == Kind::Header;
        let start = first.range.start;
        let mut chunk = Chunk {
            start,
            text: "",
            path: is_header.then(|| first.keys(self.text)),
            array: is_header && first.is_array(self.text),
            is_empty: true,
            spoiled: false,
            tokens: 0,
        };
        chunk.add(&first);
        chunk.is_empty |= is_header;
        let mut end = first.range.end;
        while let Some(next) = self.statements.next_if(|next| next.kind != Kind::Header) {
            chunk.add(&next);
            end = next.range.end;
        }
        chunk.text = &self.text[start..end];
        Some(chunk)
    }
}

/// Whether a table other than a job may begin below the first job. A guess that never misses one,
/// made by looking at the beginnings of lines: only where it says yes is a file gone through twice.
pub(super) fn sections_below_jobs(text: &str) -> bool {
    let mut jobs_seen = false;
    for line in text.split('\n') {
        let Some(header) = line.trim_start().strip_prefix('[') else { continue };
        let name = header.trim_start_matches(['[', ' ', '\t', '"', '\'']);
        // A key may be written with escapes, which are not worth decoding for a guess.
        let is_job = name
            .strip_prefix("jobs")
            .is_some_and(|rest| rest.starts_with(['.', ']', ' ', '\t', '"', '\'']));
        if !is_job && jobs_seen {
            return true;
        }
        jobs_seen |= is_job;
    }
    false
}
