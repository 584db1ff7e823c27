//! What is wrong at a place of a statement that surprises the `toml` crate, as a person would say it.
//!
//! It is found from what stands there. The crate's own words are passed on where nothing better is
//! known, and never compared: they may change with each version of it.

use std::ops::Range;

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::statement::{Kind, Statement, is_key, is_string};
use crate::problem::Span;

/// What is wrong with a place.
#[derive(Debug)]
pub(super) struct Fault {
    /// The place; all places are counted from the beginning of the text.
    pub(super) at: Span,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Where what is there twice stands first.
    pub(super) first: Option<Span>,
    /// The path of the table that a line is missing of now.
    pub(super) broken: Vec<String>,
}

impl Fault {
    pub(super) fn new(at: Span, message: impl Into<String>) -> Fault {
        let (help, first, broken) = (None, None, Vec::new());
        Fault { at, message: message.into(), help, first, broken }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Fault {
        Fault { help: Some(help.into()), ..self }
    }
}

/// A bracket that is never closed.
pub(super) fn unclosed(at: Span, rest: &str) -> Fault {
    if rest.starts_with('{') {
        Fault::new(at, "unclosed inline table").help("close it with `}`")
    } else {
        Fault::new(at, "unclosed array").help("close it with `]`")
    }
}

/// Whether a key may stand without quotes.
fn is_bare_key(typed: &str) -> bool {
    typed.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A key that may not.
fn unquoted(at: Span, typed: &str) -> Fault {
    let quote = if typed.contains(['"', '\\']) { '\'' } else { '"' };
    Fault::new(at, format!("the key `{typed}` must be quoted")).help(format!(
        "write `{quote}{typed}{quote}`: without quotes a key has letters from a to z, digits, `-` and `_`"
    ))
}

/// A statement and its tokens, but for space.
pub(super) struct Tokens<'s> {
    text: &'s str,
    kind: Kind,
    tokens: Vec<(TokenKind, Range<usize>)>,
    /// Which of them is the first `=`.
    equals: Option<usize>,
}

impl<'s> Tokens<'s> {
    pub(super) fn of(text: &'s str, statement: &Statement) -> Tokens<'s> {
        let start = statement.range.start;
        let tokens = Source::new(&text[statement.range.clone()]).lex();
        let tokens = tokens
            .map(|token| (token.kind(), token.span()))
            .filter(|(kind, _)| !matches!(kind, TokenKind::Whitespace | TokenKind::Eof))
            .map(|(kind, span)| (kind, start + span.start()..start + span.end()));
        let tokens: Vec<_> = tokens.collect();
        let equals = tokens.iter().position(|(kind, _)| *kind == TokenKind::Equals);
        Tokens { text, kind: statement.kind, tokens, equals }
    }

    /// What is wrong at `span`, of which the crate says `words`. `shown` is what the caret is put
    /// under.
    pub(super) fn fault(&self, span: &Range<usize>, shown: Span, words: &str) -> Fault {
        let found = &self.text[shown.range()];
        let holds = |(_, range): &&(TokenKind, Range<usize>)| {
            range.start <= span.start && (span.start < range.end || span.end == range.end)
        };
        let (kind, at) = match self.tokens.iter().find(holds) {
            Some((kind, range)) => (Some(*kind), range.start..range.end.max(span.end)),
            None => (None, shown.range()),
        };
        let typed = &self.text[at.clone()];
        let is_header = self.kind == Kind::Header;
        let before = self.before(span.start);
        if kind == Some(TokenKind::Atom) && self.is_key_at(&at) && !is_bare_key(typed) {
            unquoted(Span::new(at.start, at.end), typed)
        } else if self.is_key_at(span) {
            // Every other key is right alone: it stands in braces, for the second time.
            let message = format!("duplicate key `{found}`");
            Fault { first: self.first_like(shown), ..Fault::new(shown, message) }
        } else if kind.is_some_and(is_string) && span.start == at.end && !is_closed(typed) {
            Fault::new(shown, "unclosed string")
        } else if typed.starts_with('"') && ends_in_escape(&self.text[at.start..span.start]) {
            Fault::new(shown, "unknown escape sequence").help(match found {
                "%" => "`%` is not special here as it is in a crontab: write `%`",
                _ => "for a backslash write `\\\\`, or put the string in single quotes",
            })
        } else if kind == Some(TokenKind::Comment) {
            Fault::new(shown, "a comment cannot contain control characters")
        } else if found == ":" && self.kind == Kind::Pair {
            let message = "expected `=` after a key, found `:`";
            Fault::new(shown, message).help("write `key = value`")
        } else if self.kind == Kind::Pair && self.equals.is_none() && before.is_some() {
            Fault::new(shown, "key with no value").help("write `key = value`")
        } else if before == Some(TokenKind::Equals)
            && span.is_empty()
            && !kind.is_some_and(is_string)
        {
            Fault::new(shown, "missing value")
        } else if is_bare_text(typed) && self.is_value_at(at.start) {
            bare_text(shown, typed)
        } else if is_header && self.is_second_word(span.start) {
            let fault = Fault::new(shown, "a name with spaces must be quoted");
            Fault { help: self.quoted().map(|header| format!("write `{header}`")), ..fault }
        } else if is_header && self.depth(self.tokens.len()) > 0 {
            Fault::new(shown, "unclosed header").help("close it with `]`")
        } else if self.is_past_the_end(span.start) {
            let fault = Fault::new(shown, "expected the end of the line");
            Fault { help: self.quotes_in_quotes(span.start), ..fault }
        } else {
            Fault::new(shown, words.trim_end_matches(", expected nothing"))
        }
    }

    /// The kind of the last token that ends at or before a place.
    fn before(&self, place: usize) -> Option<TokenKind> {
        let before = self.tokens.iter().take_while(|(_, range)| range.end <= place);
        before.last().map(|(kind, _)| *kind)
    }

    /// Whether a place is the whole of a key.
    fn is_key_at(&self, span: &Range<usize>) -> bool {
        use TokenKind::{Dot, Equals, RightSquareBracket};
        let at = self.tokens.iter().position(|(_, range)| range == span);
        at.is_some_and(|at| {
            let next = self.tokens.get(at + 1).map(|(kind, _)| *kind);
            is_key(self.tokens[at].0) && matches!(next, Some(Dot | Equals | RightSquareBracket))
        })
    }

    /// The first key like one that stands further on.
    fn first_like(&self, key: Span) -> Option<Span> {
        let typed = &self.text[key.range()];
        let mut before = self.tokens.iter().take_while(|(_, range)| range.end <= key.range().start);
        let (_, range) = before
            .find(|(_, range)| self.text[range.clone()] == *typed && self.is_key_at(range))?;
        Some(Span::new(range.start, range.end))
    }

    /// Whether a value may stand at a place.
    fn is_value_at(&self, place: usize) -> bool {
        use TokenKind::{Comma, Equals, LeftSquareBracket, Newline};
        let before = self.before(place);
        self.equals.is_some()
            && matches!(before, Some(Equals | Comma | LeftSquareBracket | Newline))
    }

    /// Whether a place is between two words of a name.
    fn is_second_word(&self, place: usize) -> bool {
        let next = self.tokens.iter().position(|(_, range)| range.start >= place);
        next.is_some_and(|next| {
            next > 0 && is_key(self.tokens[next].0) && is_key(self.tokens[next - 1].0)
        })
    }

    /// A header whose last name has several words, with that name in quotes.
    fn quoted(&self) -> Option<String> {
        let last = self.tokens.iter().rposition(|(kind, _)| is_key(*kind))?;
        let words = self.tokens[..=last].iter().rev();
        let (_, first) = words.take_while(|(kind, _)| *kind == TokenKind::Atom).last()?;
        let (name, end) = (first.start..self.tokens[last].1.end, self.tokens.last()?.1.end);
        let (before, after) = (&self.text[..first.start], &self.text[name.end..end]);
        let before = &before[self.tokens.first()?.1.start..];
        let name = &self.text[name];
        after.starts_with(']').then(|| format!("{before}\"{name}\"{}", after.trim_end()))
    }

    /// How many brackets are open before a token.
    fn depth(&self, at: usize) -> i32 {
        let step = |(kind, _): &(TokenKind, Range<usize>)| match kind {
            TokenKind::LeftCurlyBracket | TokenKind::LeftSquareBracket => 1,
            TokenKind::RightCurlyBracket | TokenKind::RightSquareBracket => -1,
            _ => 0,
        };
        self.tokens[..at].iter().map(step).sum()
    }

    /// Whether something begins at a place where the value, or the header, is complete.
    fn is_past_the_end(&self, place: usize) -> bool {
        let begins = |(kind, range): &(TokenKind, Range<usize>)| {
            range.start == place && *kind != TokenKind::Newline
        };
        let Some(at) = self.tokens.iter().position(begins) else { return false };
        let begun = match self.kind {
            Kind::Pair => self.equals.is_some_and(|equals| at > equals + 1),
            _ => at > 1,
        };
        begun && self.depth(at) <= 0
    }

    /// What to write instead of a string that has its own quotes in it: `"echo "hi""`.
    fn quotes_in_quotes(&self, place: usize) -> Option<String> {
        let (kind, string) = self.tokens.get(self.equals? + 1)?;
        if string.end != place || !is_string(*kind) {
            return None;
        }
        let line = self.text[string.start..].lines().next()?.trim_end();
        let inner = line.strip_prefix('"')?.strip_suffix('"')?;
        let help = "write `\\\"` for a `\"` inside a string";
        if inner.contains('\'') {
            return Some(help.to_owned());
        }
        Some(format!("{help}, or put the string in single quotes: `'{inner}'`"))
    }

    /// What its value is.
    pub(super) fn value(&self) -> Option<&'static str> {
        Some(match self.tokens.get(self.equals? + 1)?.0 {
            TokenKind::LeftCurlyBracket => "an inline table",
            TokenKind::LeftSquareBracket => "an array",
            kind if is_string(kind) => "a string",
            _ => "a value",
        })
    }
}

/// A text without quotes, or with those of a word processor.
fn bare_text(shown: Span, typed: &str) -> Fault {
    let is_curly =
        |c: char| "\u{201c}\u{201d}\u{201e}\u{201f}\u{2018}\u{2019}\u{ab}\u{bb}".contains(c);
    let fault = Fault::new(shown, "a string must be quoted");
    let plain = typed.trim_matches(is_curly);
    if typed.len() >= 80 || plain.contains('"') {
        fault
    } else if plain == typed {
        fault.help(format!("write `\"{typed}\"`"))
    } else {
        fault.help(format!("these quotes are typographic: write `\"{plain}\"`"))
    }
}

/// Whether a text ends in the beginning of an escape.
fn ends_in_escape(text: &str) -> bool {
    ["\\", "\\u", "\\U", "\\x"].iter().any(|escape| text.ends_with(escape))
}

/// Whether a string has its closing quote.
fn is_closed(typed: &str) -> bool {
    let quotes = ["\"\"\"", "'''", "\"", "'"];
    quotes
        .iter()
        .find(|quote| typed.starts_with(**quote))
        .is_some_and(|quote| typed.len() >= 2 * quote.len() && typed.ends_with(quote))
}

/// What is not a number, date or boolean, and so can only be meant as a string.
fn is_bare_text(typed: &str) -> bool {
    let of_number = |c: char| c.is_ascii_hexdigit() || "+-._:TtZzxoXO".contains(c);
    match typed.chars().next() {
        None | Some('"' | '\'' | '[' | ']' | '{' | '}' | ',' | '=' | '#') => false,
        Some(first) if first.is_ascii_digit() || "+-.".contains(first) => {
            !typed.chars().all(of_number)
        }
        Some(_) => !["true", "false", "inf", "nan"].contains(&&*typed.to_ascii_lowercase()),
    }
}
