//! A text without what is wrong with it as TOML.
//!
//! The `toml` crate reads each statement alone, and where it is surprised, `blame` says what a person
//! would call that. Then it reads what is right together, which shows what may not stand beside each
//! other. What is wrong is overwritten with spaces, so that one mistake neither hides the next one
//! nor makes others up.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use toml::de::{DeTable, Error};

use super::blame::{Fault, Tokens, unclosed};
use super::chunk::MAX_TOKENS;
use super::statement::{Kind, MAX_DEPTH, Statement, Statements};
use crate::core::sort;
use crate::problem::Span;

/// Taking a statement out may show others to be wrong, but not often.
const ROUNDS: usize = 16;

/// Of a longer statement only the first error is asked for: a hostile one could have more than there
/// is memory for.
const MAX_LISTED: usize = 4 << 20;

/// So many lines of one statement are explained at most.
const MAX_LINES: usize = 100;

/// Says what is wrong with a text, and gives back what can be read of it: the same bytes in the same
/// places, but for spaces instead of what is wrong.
pub(super) fn mend(text: &str, faults: &mut Vec<Fault>) -> String {
    let mut mender = Mender::new(text);
    if mender.statements.iter().map(|statement| statement.tokens).sum::<usize>() > MAX_TOKENS {
        let message = "this file has too many parts";
        faults.push(Fault::new(mender.character(0), message));
        return String::new();
    }
    for index in 0..mender.statements.len() {
        mender.check(index, faults);
    }
    for _ in 0..ROUNDS {
        let clashes = mender.clashes();
        if clashes.is_empty() {
            return mender.rest;
        }
        for (index, at) in clashes {
            // What stands below a header that is wrong is not looked at.
            if !mender.is_gone(index) {
                faults.push(mender.clash(index, at));
                mender.remove(index);
            }
        }
    }
    // Only a text that was made for it comes here: all that can be said of it has been.
    faults.push(Fault::new(mender.character(0), "too many errors here to continue"));
    String::new()
}

/// What the crate says of places.
type Wrong = Vec<(Range<usize>, String)>;

/// What the crate finds wrong with a text.
fn errors(text: &str) -> Wrong {
    let errors = if text.len() <= MAX_LISTED {
        DeTable::parse_recoverable(text).1
    } else {
        DeTable::parse(text).err().into_iter().collect()
    };
    let place = |error: &Error| (error.span().unwrap_or_default(), error.message().to_owned());
    errors.iter().map(place).collect()
}

struct Mender<'s> {
    text: &'s str,
    statements: Vec<Statement>,
    /// For each statement, the header that it stands below.
    headers: Vec<Option<usize>>,
    rest: String,
    firsts: OnceCell<HashMap<Vec<String>, First>>,
}

/// Where a path stands first: in which statement, where, and what it is there, if that is a value.
#[derive(Clone, Copy)]
struct First {
    statement: usize,
    at: Span,
    what: Option<&'static str>,
}

impl<'s> Mender<'s> {
    fn new(text: &'s str) -> Mender<'s> {
        let mut statements: Vec<Statement> = Statements::of(text).collect();
        if statements.is_empty() {
            statements.push(Statement::blank(0));
        }
        let mut header = None;
        let below = |(index, statement): (usize, &Statement)| {
            let above = header;
            if statement.kind == Kind::Header {
                header = Some(index);
                return None;
            }
            above
        };
        let headers = statements.iter().enumerate().map(below).collect();
        Mender { text, statements, headers, rest: text.to_owned(), firsts: OnceCell::new() }
    }

    /// Finds out what is wrong with a statement alone, and takes it out.
    fn check(&mut self, index: usize, faults: &mut Vec<Fault>) {
        let Statement { open, deep, range, .. } = self.statements[index].clone();
        let text = &self.text[range.clone()];
        // Brackets that stay open, and depth, are not for the crate.
        let fault = if let Some(at) = deep {
            let message = format!("nested too deeply: at most {MAX_DEPTH} levels");
            Fault::new(self.character(at), message)
        } else if let Some(at) = open {
            unclosed(self.character(at), &self.text[at..])
        } else if text.ends_with('\r') {
            let message = "a carriage return must be followed by a newline";
            Fault::new(Span::new(range.end - 1, range.end), message)
        } else if range.start > 0 && text.starts_with('\u{feff}') {
            let message = "a byte order mark is only allowed at the beginning of a file";
            Fault::new(self.character(range.start), message)
        } else {
            let errors = errors(text).into_iter();
            let place = |span: Range<usize>| {
                self.boundaries(range.start + span.start..range.start + span.end)
            };
            let mut wrong: Wrong = errors.map(|(span, words)| (place(span), words)).collect();
            if wrong.is_empty() {
                return;
            }
            sort::by_key(&mut wrong, |(span, _)| span.start);
            let repaired = self.repaired(index, &wrong);
            if repaired.is_none() || self.statements[index].kind == Kind::Header {
                self.explain(index, &wrong, faults);
            }
            match repaired {
                Some(repaired) => self.rest.replace_range(range, &repaired),
                None => self.remove(index),
            }
            return;
        };
        faults.push(Fault { broken: self.table_of(index), ..fault });
        self.remove(index);
    }

    /// A statement that the crate can read, where what is wrong with it is only a date that is not
    /// in the calendar, about which `when` has more to say, or a letter in the name of a table, below
    /// which there may be more to find.
    fn repaired(&self, index: usize, wrong: &Wrong) -> Option<String> {
        let Statement { kind, range, .. } = &self.statements[index];
        let mut text = self.text[range.clone()].to_owned();
        for (span, _) in wrong {
            let found = &self.text[span.clone()];
            let fixed = match kind {
                Kind::Pair => a_date_like(found)?,
                Kind::Header => letters_like(found)?,
                Kind::Blank => return None,
            };
            text.replace_range(span.start - range.start..span.end - range.start, &fixed);
        }
        errors(&text).is_empty().then_some(text)
    }

    /// The statements that may not stand where they do, and the keys that say so.
    fn clashes(&self) -> Vec<(usize, Span)> {
        let (_, errors) = DeTable::parse_recoverable(&self.rest);
        let mut spans: Vec<_> =
            errors.iter().map(|error| error.span().unwrap_or_default()).collect();
        sort::by_key(&mut spans, |span| span.start);
        let clash = |span: Range<usize>| {
            let after = self.statements.partition_point(|one| one.range.start <= span.start);
            let span = self.boundaries(span);
            (after.saturating_sub(1), Span::new(span.start, span.end))
        };
        let mut clashes: Vec<_> = spans.into_iter().map(clash).collect();
        clashes.dedup_by_key(|(index, _)| *index);
        clashes
    }

    /// Overwrites a statement; with a header all that stands below it.
    fn remove(&mut self, index: usize) {
        let mut range = self.statements[index].range.clone();
        if self.statements[index].kind == Kind::Header {
            let next = self.statements[index + 1..].iter().find(|one| one.kind == Kind::Header);
            range.end = next.map_or(self.text.len(), |next| next.range.start);
        }
        self.rest.replace_range(range.clone(), &" ".repeat(range.len()));
    }

    /// Whether the header that a statement stands below was overwritten.
    fn is_gone(&self, index: usize) -> bool {
        self.headers[index].is_some_and(|header| {
            let range = self.statements[header].range.clone();
            self.rest.as_bytes()[range].iter().all(|byte| *byte == b' ')
        })
    }

    /// The path of the table that a statement adds to.
    fn table_of(&self, index: usize) -> Vec<String> {
        let mut path = self.path_of(index);
        path.pop();
        path
    }

    /// The whole path of the key of a statement.
    fn path_of(&self, index: usize) -> Vec<String> {
        let statements = self.headers[index].into_iter().chain([index]);
        let statements = statements.map(|index| &self.statements[index]);
        let keys = statements.filter(|one| one.deep.is_none()).flat_map(|one| one.keys(self.text));
        keys.map(|key| key.text.into_owned()).collect()
    }

    /// The character that stands somewhere; nothing at the end of a line.
    fn character(&self, at: usize) -> Span {
        let next = self.text[at..].chars().next().filter(|c| !matches!(c, '\n' | '\r'));
        Span::new(at, at + next.map_or(0, char::len_utf8))
    }

    /// What is wrong with a statement: at most one problem a line, since what follows the first is
    /// mostly its echo.
    fn explain(&self, index: usize, wrong: &Wrong, faults: &mut Vec<Fault>) {
        let tokens = Tokens::of(self.text, &self.statements[index]);
        let broken = self.table_of(index);
        let mut last: Option<usize> = None;
        let mut lines = 0;
        for (span, words) in wrong {
            let at = span.start;
            if last.is_some_and(|last| !self.text[last.min(at)..at].contains('\n')) {
                continue;
            }
            (last, lines) = (Some(at), lines + 1);
            if lines > MAX_LINES {
                break;
            }
            let shown = if span.is_empty() { self.character(at) } else { Span::new(at, span.end) };
            let fault = tokens.fault(span, shown, words);
            faults.push(Fault { broken: broken.clone(), ..fault });
        }
    }

    fn boundaries(&self, span: Range<usize>) -> Range<usize> {
        let (mut start, mut end) = (span.start.min(self.text.len()), span.end.min(self.text.len()));
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        start..end.max(start)
    }

    /// A key that may not stand where it does because of what stands before it.
    fn clash(&self, index: usize, at: Span) -> Fault {
        let statement = &self.statements[index];
        let keys = statement.keys(self.text);
        let last = keys.len().saturating_sub(1);
        let part = keys.iter().position(|key| key.span == at).unwrap_or(last);
        let path = self.path_of(index);
        let path = &path[..(path.len() + part + 1).saturating_sub(keys.len())];
        let firsts = self.firsts.get_or_init(|| self.firsts());
        let first = firsts.get(path).filter(|first| first.statement < index);
        let name = keys.get(part).map_or("", |key| &key.text);
        let message = match first {
            Some(First { what: Some(what), .. }) if part + 1 < keys.len() => {
                format!("`{name}` is {what}, so nothing can be added to it")
            }
            _ if statement.kind == Kind::Header => {
                let path: Vec<&str> = keys.iter().map(|key| &*key.text).collect();
                format!("duplicate table `[{}]`", path.join("."))
            }
            _ => format!("duplicate key `{name}`"),
        };
        Fault { first: first.map(|first| first.at), ..Fault::new(at, message) }
    }

    /// Where each path stands first.
    fn firsts(&self) -> HashMap<Vec<String>, First> {
        let mut firsts = HashMap::new();
        for (index, statement) in self.statements.iter().enumerate() {
            if statement.kind == Kind::Blank || statement.deep.is_some() {
                continue;
            }
            let (path, keys) = (self.path_of(index), statement.keys(self.text));
            for (part, key) in keys.iter().enumerate() {
                let len = path.len() + part + 1 - keys.len();
                let is_value = statement.kind == Kind::Pair && len == path.len();
                let what = is_value.then(|| Tokens::of(self.text, statement).value()).flatten();
                let first = First { statement: index, at: key.span, what };
                firsts.entry(path[..len].to_vec()).or_insert(first);
            }
        }
        firsts
    }
}

/// As many letters that may stand in a key without quotes.
fn letters_like(found: &str) -> Option<String> {
    let foreign = |c: char| c.is_alphanumeric() && !c.is_ascii();
    (!found.is_empty() && found.chars().all(foreign)).then(|| "_".repeat(found.len()))
}

/// A date and time that exists, written like one that may not.
fn a_date_like(found: &str) -> Option<String> {
    let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let shape: String = found.chars().map(shape).collect();
    let rest = shape.strip_prefix("0000-00-00")?;
    Some(format!("2000-01-01{rest}"))
}
