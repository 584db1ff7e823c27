//! Cuts a TOML text at its table headers, so that it can be read a table at a time.
//!
//! A chunk is a header and the lines below it, up to the next header; the first chunk has no
//! header. A table of very many lines comes in several chunks, so that a chunk is never large.
//! Only tokens are looked at here; `parse` understands them.

use std::borrow::Cow;

use toml_parser::lexer::{Lexer, Token, TokenKind};
use toml_parser::{Raw, Source};

use super::tree::Key;
use crate::problem::Span;

/// The header of a chunk.
#[derive(Debug, Default)]
pub(super) struct Header<'s> {
    /// Written with two brackets.
    pub(super) array: bool,
    /// The dotted key between the brackets.
    pub(super) path: Vec<Key<'s>>,
}

impl Header<'_> {
    /// The name of the top-level table it belongs to.
    pub(super) fn top(&self) -> &str {
        self.path.first().map_or("", |key| &key.text)
    }
}

/// The tables of a jobfile. A line that begins with `[` and one of these names is a header even
/// where a bracket is still open, since no value can begin like that: so one bracket that was
/// forgotten costs one table and not the rest of the file.
const TOP_LEVEL: [&str; 5] = ["jobs", "executors", "defaults", "scheduler", "store"];

/// A chunk of this many tokens ends with the next line. (In tests nearly every line is one.)
const FULL: usize = if cfg!(test) { 8 } else { 16_384 };

/// A value of more tokens than this is not read on: it is no jobfile, or it is one in one pair of
/// braces with half a million jobs.
const MAX_TOKENS: usize = 16 << 20;

/// Cuts a text into chunks.
pub(super) struct Cutter<'s> {
    pub(super) source: Source<'s>,
    lexer: Lexer<'s>,
    /// The tokens of the chunk, then those already read of the next one.
    tokens: Vec<Token>,
    /// How many of them are the chunk's.
    len: usize,
    /// The header of the chunk; `None` for the first one, and when it goes on with the table of
    /// the chunk before.
    pub(super) header: Option<Header<'s>>,
    /// The chunk belongs to `jobs`.
    pub(super) in_jobs: bool,
    /// The text was not read to its end, because a value is too large.
    pub(super) too_large: bool,
}

impl<'s> Cutter<'s> {
    pub(super) fn new(text: &'s str) -> Cutter<'s> {
        let source = Source::new(text);
        Cutter {
            source,
            lexer: source.lex(),
            tokens: Vec::new(),
            len: 0,
            header: None,
            in_jobs: false,
            too_large: false,
        }
    }

    /// The tokens of the chunk.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens[..self.len]
    }

    /// Whether nothing stands below the header.
    pub(super) fn has_empty_body(&self) -> bool {
        let line = self.tokens().iter().position(|token| token.kind() == TokenKind::Newline);
        let body = match self.header {
            Some(_) => &self.tokens()[line.unwrap_or(self.len)..],
            None => self.tokens(),
        };
        body.iter().all(|token| {
            use TokenKind::{Comment, Eof, Newline, Whitespace};
            matches!(token.kind(), Comment | Eof | Newline | Whitespace)
        })
    }

    /// Goes to the next chunk; `false` at the end.
    pub(super) fn advance(&mut self) -> bool {
        self.tokens.drain(..self.len);
        self.len = 0;
        if self.too_large || !self.cut() {
            return false;
        }
        self.header = None;
        if self.tokens[0].kind() == TokenKind::LeftSquareBracket {
            let header = self.read_header();
            self.in_jobs = header.top() == "jobs";
            self.header = Some(header);
        }
        true
    }

    /// Reads tokens up to the next header; `false` if there are none.
    fn cut(&mut self) -> bool {
        let mut depth = 0_u32;
        let mut line_start = true;
        // Of the header whose line is being read, and of what may be one in an open bracket.
        let mut in_header = false;
        let mut candidate = None;
        let mut known = 0;
        loop {
            let token = if known < self.tokens.len() {
                self.tokens[known]
            } else {
                match self.lexer.next() {
                    Some(_) if known >= MAX_TOKENS => {
                        self.too_large = true;
                        self.len = known;
                        return true;
                    }
                    Some(token) => {
                        self.tokens.push(token);
                        token
                    }
                    None => {
                        self.len = self.tokens.len();
                        return self.len > 0;
                    }
                }
            };
            let index = known;
            known += 1;
            match token.kind() {
                TokenKind::Newline => {
                    line_start = true;
                    candidate = None;
                    if in_header {
                        (in_header, depth) = (false, 0);
                    }
                    if known >= FULL && depth == 0 {
                        self.len = known;
                        return true;
                    }
                    continue;
                }
                TokenKind::Whitespace => continue,
                TokenKind::LeftSquareBracket => {
                    if line_start && depth == 0 {
                        if index > 0 {
                            self.len = index;
                            return true;
                        }
                        in_header = true;
                    } else if line_start {
                        candidate = Some(index);
                    }
                    depth += 1;
                }
                TokenKind::LeftCurlyBracket => depth += 1,
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                    depth = depth.saturating_sub(1);
                }
                TokenKind::Atom => {
                    if let Some(start) = candidate.take()
                        && TOP_LEVEL.contains(&self.text(&token))
                    {
                        self.len = start;
                        return true;
                    }
                }
                TokenKind::Dot | TokenKind::Equals | TokenKind::Comma => candidate = None,
                _ => {}
            }
            line_start = false;
        }
    }

    fn text(&self, token: &Token) -> &'s str {
        self.source.get(token).map_or("", |raw| raw.as_str())
    }

    /// The header's key. What is wrong with it is reported when the chunk is parsed.
    fn read_header(&self) -> Header<'s> {
        let mut header = Header::default();
        let mut tokens = &self.tokens()[1..];
        if let [first, rest @ ..] = tokens
            && first.kind() == TokenKind::LeftSquareBracket
        {
            header.array = true;
            tokens = rest;
        }
        for token in tokens {
            match token.kind() {
                TokenKind::Whitespace | TokenKind::Dot => {}
                TokenKind::Atom
                | TokenKind::BasicString
                | TokenKind::LiteralString
                | TokenKind::MlBasicString
                | TokenKind::MlLiteralString => {
                    if let Some(raw) = self.source.get(token) {
                        let span = Span::new(token.span().start(), token.span().end());
                        header.path.push(Key { text: decode_key(raw), span });
                    }
                }
                _ => break,
            }
        }
        header
    }
}

fn decode_key(raw: Raw<'_>) -> Cow<'_, str> {
    let mut text = Cow::Borrowed("");
    raw.decode_key(&mut text, &mut ());
    text
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
