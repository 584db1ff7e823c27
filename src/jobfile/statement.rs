//! The statements of a TOML text: its headers, and its lines of `key = value`.
//!
//! They are what a jobfile is cut by (`chunk`), and what is taken out of it when something is wrong
//! with it (`mend`). Only tokens are looked at here; the `toml` crate understands them.

use std::borrow::Cow;
use std::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::{Lexer, Token, TokenKind};

use super::tree::Key;
use crate::problem::Span;

/// How deep arrays, inline tables and the parts of a key may nest. A jobfile needs four.
pub(super) const MAX_DEPTH: usize = 64;

/// The tables of a jobfile. A line that begins with `[` and one of these names is a header even
/// where a bracket is still open, since no value can begin like that: so one bracket that was
/// forgotten costs one table and not the rest of the file.
const TOP_LEVEL: [&str; 5] = ["jobs", "executors", "defaults", "scheduler", "store"];

/// A header, a key with its value, or lines that say nothing, with the end of its last line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its bytes.
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
    /// A bracket of it that is never closed.
    pub(super) open: Option<usize>,
    /// Where it nests deeper than [`MAX_DEPTH`].
    pub(super) deep: Option<usize>,
    /// How many tokens it has.
    pub(super) tokens: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing but space and comments.
    Blank,
    /// `[table]`, or `[[table]]`.
    Header,
    /// `key = value`, or what should be that.
    Pair,
}

impl Statement {
    /// One that says nothing, before it is read.
    pub(super) fn blank(start: usize) -> Statement {
        Statement { range: start..start, kind: Kind::Blank, open: None, deep: None, tokens: 0 }
    }

    /// The parts of its key, with their places in `text`.
    pub(super) fn keys<'s>(&self, text: &'s str) -> Vec<Key<'s>> {
        let source = Source::new(&text[self.range.clone()]);
        let mut keys = Vec::new();
        let mut expected = true;
        for token in source.lex() {
            match token.kind() {
                TokenKind::LeftSquareBracket if keys.is_empty() => {}
                TokenKind::Whitespace => {}
                TokenKind::Dot => expected = true,
                kind if is_key(kind) && std::mem::take(&mut expected) => {
                    let Some(raw) = source.get(token) else { break };
                    let mut text = Cow::Borrowed("");
                    raw.decode_key(&mut text, &mut ());
                    let (start, end) = (token.span().start(), token.span().end());
                    let span = Span::new(self.range.start + start, self.range.start + end);
                    keys.push(Key { text, span });
                }
                _ => break,
            }
        }
        keys
    }

    /// Whether it is written with two brackets.
    pub(super) fn is_array(&self, text: &str) -> bool {
        text[self.range.clone()].trim_start().starts_with("[[")
    }
}

pub(super) fn is_key(kind: TokenKind) -> bool {
    kind == TokenKind::Atom || is_string(kind)
}

pub(super) fn is_string(kind: TokenKind) -> bool {
    use TokenKind::{BasicString, LiteralString, MlBasicString, MlLiteralString};
    matches!(kind, BasicString | LiteralString | MlBasicString | MlLiteralString)
}

/// The statements of a text, one after the other, with nothing between them.
pub(super) struct Statements<'s> {
    source: Source<'s>,
    lexer: Lexer<'s>,
    /// Tokens that belong to the next statement.
    ahead: Vec<Token>,
    /// Where the next statement begins.
    start: usize,
}

impl<'s> Statements<'s> {
    pub(super) fn of(text: &'s str) -> Statements<'s> {
        let source = Source::new(text);
        Statements { source, lexer: source.lex(), ahead: Vec::new(), start: 0 }
    }

    fn text(&self, token: &Token) -> &'s str {
        self.source.get(token).map_or("", |raw| raw.as_str())
    }
}

/// What is known of a statement that is being read.
struct Reading {
    statement: Statement,
    /// Where each open bracket stands, as far as they are allowed to nest.
    brackets: Vec<usize>,
    depth: usize,
    /// The parts of the key that is being read.
    parts: usize,
    line_start: bool,
    /// At the start of a line in an open bracket: brackets, which may be those of a header.
    candidate: Vec<Token>,
}

impl Reading {
    fn new(start: usize) -> Reading {
        Reading {
            statement: Statement::blank(start),
            brackets: Vec::new(),
            depth: 0,
            parts: 0,
            line_start: true,
            candidate: Vec::new(),
        }
    }

    fn open(&mut self, at: usize) {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            self.brackets.push(at);
        } else {
            self.statement.deep.get_or_insert(at);
        }
    }

    fn close(&mut self) {
        if self.depth <= MAX_DEPTH {
            self.brackets.pop();
        }
        self.depth = self.depth.saturating_sub(1);
    }

    /// One more token, which is no newline.
    fn take(&mut self, token: &Token) {
        let at = token.span().start();
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Comment | TokenKind::Eof => return,
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => self.open(at),
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => self.close(),
            TokenKind::Dot => {
                self.parts += 1;
                if self.parts >= MAX_DEPTH {
                    self.statement.deep.get_or_insert(token.span().end());
                }
            }
            TokenKind::Equals | TokenKind::Comma => self.parts = 0,
            _ => {}
        }
        if self.statement.kind == Kind::Blank {
            self.statement.kind = match token.kind() {
                TokenKind::LeftSquareBracket => Kind::Header,
                _ => Kind::Pair,
            };
        }
        self.line_start = false;
    }

    fn finish(mut self, end: usize) -> Statement {
        self.statement.range.end = end;
        if self.statement.kind == Kind::Header {
            self.statement.deep = self.statement.deep.map(|_| self.statement.range.start);
        } else {
            self.statement.open = self.brackets.first().copied();
        }
        self.statement
    }
}

impl Iterator for Statements<'_> {
    type Item = Statement;

    fn next(&mut self) -> Option<Statement> {
        let mut reading = Reading::new(self.start);
        let mut ahead = std::mem::take(&mut self.ahead).into_iter();
        let mut end = self.start;
        while let Some(token) = ahead.next().or_else(|| self.lexer.next()) {
            end = token.span().end();
            reading.statement.tokens += 1;
            match token.kind() {
                TokenKind::Newline => {
                    reading.candidate.clear();
                    if reading.depth == 0 || reading.statement.kind == Kind::Header {
                        self.start = end;
                        return Some(reading.finish(end));
                    }
                    reading.line_start = true;
                    continue;
                }
                TokenKind::LeftSquareBracket
                    if reading.depth > 0
                        && (reading.line_start || reading.candidate.len() == 1) =>
                {
                    reading.candidate.push(token);
                }
                TokenKind::Whitespace => {}
                TokenKind::Atom if !reading.candidate.is_empty() => {
                    if TOP_LEVEL.contains(&self.text(&token)) {
                        return Some(self.cut(reading, token));
                    }
                    reading.candidate.clear();
                }
                _ => reading.candidate.clear(),
            }
            reading.take(&token);
        }
        (end > self.start).then(|| {
            self.start = end;
            reading.finish(end)
        })
    }
}

impl Statements<'_> {
    /// Ends a statement with an open bracket before the header that stands in it.
    fn cut(&mut self, mut reading: Reading, name: Token) -> Statement {
        let mut header = std::mem::take(&mut reading.candidate);
        for _ in &header {
            reading.close();
        }
        let end = header.first().map_or(name.span().start(), |token| token.span().start());
        header.push(name);
        (self.ahead, self.start) = (header, end);
        reading.finish(end)
    }
}
