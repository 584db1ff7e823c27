//! Parses one chunk of TOML into a tree.
//!
//! `toml_parser` reads the tokens and says what it sees; [`Receiver`] puts it together as it
//! comes, without a list of events between the two. What is wrong is collected, at most one
//! problem a line, because what follows the first is mostly its echo.

use std::borrow::Cow;
use std::num::IntErrorKind;

use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::parser::{EventReceiver, parse_document};
use toml_parser::{ErrorSink, Expected, ParseError, Raw, Source};

use super::chunk::Cutter;
use super::tree::{self, Clash, Key, Node, Table, Tree, Value};
use crate::problem::{Place, Problem, Problems, Span};

/// How deep arrays, inline tables and the parts of a key may nest. A jobfile needs four.
const MAX_DEPTH: usize = 64;

/// Reads the chunk `cutter` is at into `tree`. Problems are about file number `file`; without
/// `problems` they have been reported before.
pub(super) fn chunk<'s>(
    cutter: &mut Cutter<'s>,
    tree: &mut Tree<'s>,
    file: u32,
    problems: Option<&mut Problems>,
) {
    let mut clashes = Vec::new();
    let mut errors = Vec::new();
    if let Some(mut header) = cutter.header.take() {
        if header.path.len() > MAX_DEPTH {
            errors.push(ParseError::new(TOO_DEEP).with_unexpected(first_token(cutter)));
            header.path.clear();
        }
        clashes.extend(tree.start(header).err());
    }
    let mut receiver = Receiver {
        source: cutter.source,
        tree,
        errors: Vec::new(),
        clashes,
        in_header: false,
        keys: Vec::new(),
        after_dot: false,
        too_deep: false,
        frames: Vec::new(),
    };
    if cutter.too_large {
        receiver.errors.push(ParseError::new(TOO_LARGE).with_unexpected(first_token(cutter)));
    } else {
        parse_document(cutter.tokens(), &mut receiver, &mut errors);
    }
    receiver.lost_key();
    let Receiver { errors: more, clashes, .. } = receiver;
    errors.extend(more);
    if errors.is_empty() && clashes.is_empty() {
        return;
    }
    tree.current.broken |= !errors.is_empty();
    let Some(problems) = problems else { return };
    for clash in clashes {
        let problem = Problem::error(Place { file, span: Some(clash.at) }, clash.message);
        problems.push(match clash.first {
            Some(first) => problem.related("it first stands", Place { file, span: Some(first) }),
            None => problem,
        });
    }
    report(errors, cutter.source.input(), file, problems);
}

fn first_token(cutter: &Cutter<'_>) -> toml_parser::Span {
    cutter.tokens().first().map(|token| token.span()).unwrap_or_default()
}

/// Reports what is wrong with the syntax.
fn report(errors: Vec<ParseError>, text: &str, file: u32, problems: &mut Problems) {
    let mut found: Vec<(Span, ParseError)> =
        errors.into_iter().map(|error| (place_of(&error, text), error)).collect();
    found.sort_by_key(|(span, _)| span.start);
    if let Some(deep) = found.iter().position(|(_, error)| error.description() == TOO_DEEP) {
        // What is in there is not looked at.
        found = vec![found.swap_remove(deep)];
    } else if let Some(open) = found.iter().position(|(_, error)| is_unclosed(error)) {
        // An open bracket swallows the lines below it, which are then wrong one by one.
        found.truncate(open + 1);
    }
    let mut last: Option<usize> = None;
    for (span, error) in found {
        let at = span.start as usize;
        if last.is_some_and(|last| !text[last.min(at)..at].contains('\n')) {
            continue;
        }
        last = Some(at);
        let place = Place { file, span: Some(span) };
        let problem = Problem::error(place, message(&error));
        problems.push(match help(&error, span, text) {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}

fn is_unclosed(error: &ParseError) -> bool {
    matches!(error.description(), "unclosed array" | "unclosed inline table")
}

/// Where an error is shown.
fn place_of(error: &ParseError, text: &str) -> Span {
    let span = match (error.unexpected(), error.context()) {
        // The bracket that is not closed, not the end of the file.
        (_, Some(context)) if is_unclosed(error) => context,
        (Some(span), _) | (None, Some(span)) => span,
        (None, None) => toml_parser::Span::default(),
    };
    let (mut start, mut end) = (span.start().min(text.len()), span.end().min(text.len()));
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    if start == end {
        // Before a token: the whole of its first character is easier to see.
        end += text[start..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
    }
    Span::new(start, end.max(start))
}

fn message(error: &ParseError) -> String {
    let expected = error.expected().unwrap_or_default();
    match error.description() {
        TOO_DEEP => return format!("nested too deeply: at most {MAX_DEPTH} levels"),
        "invalid basic string" | "invalid literal string"
            if matches!(expected, [Expected::Literal("\"" | "'")]) =>
        {
            return "this string is not closed".to_owned();
        }
        "missing escaped value" => return "unknown escape in a string".to_owned(),
        "unexpected key or value" => return "expected the end of the line".to_owned(),
        "string values must be quoted" => return "a string must stand in quotes".to_owned(),
        _ => {}
    }
    let description = error.description();
    // What is missing or open has been named; a list of what may be next is no help.
    let named = ["missing", "no value", "unclosed", "extra"];
    if expected.is_empty() || named.iter().any(|word| description.contains(word)) {
        return description.to_owned();
    }
    let names = expected.iter().map(|expected| match expected {
        Expected::Literal("\n") => "the end of the line".to_owned(),
        Expected::Literal(literal) => format!("`{literal}`"),
        Expected::Description(description) => (*description).to_owned(),
        _ => "something else".to_owned(),
    });
    let names: Vec<String> = names.collect();
    format!("{description}, expected {}", or_list(&names))
}

fn help(error: &ParseError, span: Span, text: &str) -> Option<String> {
    let found = text.get(span.range()).unwrap_or_default();
    match error.description() {
        "missing escaped value" => Some(match text.as_bytes().get(span.start as usize) {
            Some(b'%') => "here `%` has no special meaning as in a crontab: write `%`".to_owned(),
            _ => "for a backslash write `\\\\`, or put the string in single quotes".to_owned(),
        }),
        "unclosed array" => Some("close it with `]`".to_owned()),
        "unclosed inline table" => Some("close it with `}`".to_owned()),
        "key with no value" => Some("write `key = value`".to_owned()),
        "string values must be quoted" if found.len() < 80 && !found.contains('"') => {
            Some(format!("write `\"{found}\"`"))
        }
        _ => None,
    }
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

const TOO_DEEP: &str = "nested too deeply";
const TOO_LARGE: &str = "the value here has more parts than a jobfile can have";

/// Puts values together as the parser comes by them.
struct Receiver<'a, 's> {
    source: Source<'s>,
    tree: &'a mut Tree<'s>,
    /// What is wrong with single keys and values. (The parser has a list of its own.)
    errors: Vec<ParseError>,
    clashes: Vec<Clash>,
    in_header: bool,
    /// The parts of the key whose value is next, below them those of the tables around it.
    keys: Vec<Key<'s>>,
    after_dot: bool,
    /// A key with too many parts has been reported.
    too_deep: bool,
    /// The arrays and inline tables that are open.
    frames: Vec<Frame<'s>>,
}

enum Frame<'s> {
    Array { values: Vec<Value<'s>>, open: u32 },
    Table { table: Table<'s>, open: u32, keys: usize },
}

impl<'s> Receiver<'_, 's> {
    /// Where in `keys` the key of the innermost table begins.
    fn key_base(&self) -> usize {
        match self.frames.last() {
            Some(Frame::Table { keys, .. }) => *keys,
            Some(Frame::Array { .. }) => self.keys.len(),
            None => 0,
        }
    }

    /// A value is complete.
    fn deliver(&mut self, value: Value<'s>) {
        let base = self.key_base();
        let inserted = match self.frames.last_mut() {
            Some(Frame::Array { values, .. }) => {
                values.push(value);
                return;
            }
            // Only after a syntax error.
            _ if self.keys.len() == base => return,
            Some(Frame::Table { table, .. }) => tree::insert(table, self.keys.drain(base..), value),
            None => self.tree.insert(self.keys.drain(base..), value),
        };
        self.clashes.extend(inserted.err());
    }

    /// If a key has got no value, which has been reported, it is still there: nobody need say
    /// that it is missing.
    fn lost_key(&mut self) {
        let base = self.key_base();
        if let Some(key) = self.keys.get(base) {
            let span = key.span;
            let known = self.clashes.len();
            self.deliver(Value { node: Node::Invalid, span });
            self.clashes.truncate(known);
            self.keys.truncate(base);
        }
    }

    fn raw(&self, span: toml_parser::Span, encoding: Option<Encoding>) -> Raw<'s> {
        let text = self.source.input().get(span.start()..span.end()).unwrap_or_default();
        Raw::new_unchecked(text, encoding, span)
    }

    fn check_depth(&mut self, span: toml_parser::Span) -> bool {
        let fits = self.frames.len() <= MAX_DEPTH;
        if !fits {
            self.errors.push(ParseError::new(TOO_DEEP).with_unexpected(span));
        }
        fits
    }

    /// The end of an array or inline table. Where the parser has made up one of its brackets, the
    /// content is anyone's guess.
    fn close(&mut self, close: toml_parser::Span) {
        if matches!(self.frames.last(), Some(Frame::Table { .. })) {
            self.lost_key();
        }
        let (open, node) = match self.frames.pop() {
            Some(Frame::Array { values, open }) => (open, Node::Array(values)),
            Some(Frame::Table { table, open, keys }) => {
                self.keys.truncate(keys);
                (open, Node::Table(table))
            }
            None => return,
        };
        let made_up = close.is_empty() || open as usize == close.start();
        let node = if made_up { Node::Invalid } else { node };
        self.deliver(Value { node, span: Span::new(open as usize, close.end()) });
    }
}

impl<'s> EventReceiver for Receiver<'_, 's> {
    fn std_table_open(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.in_header = true;
    }

    fn array_table_open(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.in_header = true;
    }

    fn std_table_close(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.in_header = false;
    }

    fn array_table_close(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.in_header = false;
    }

    fn inline_table_open(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) -> bool {
        let keys = self.keys.len();
        let open = span.start() as u32;
        self.frames.push(Frame::Table { table: Table::inline(), open, keys });
        self.check_depth(span)
    }

    fn inline_table_close(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.close(span);
    }

    fn array_open(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) -> bool {
        self.frames.push(Frame::Array { values: Vec::new(), open: span.start() as u32 });
        self.check_depth(span)
    }

    fn array_close(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.close(span);
    }

    fn simple_key(
        &mut self,
        span: toml_parser::Span,
        encoding: Option<Encoding>,
        _: &mut dyn ErrorSink,
    ) {
        let raw = self.raw(span, encoding);
        let mut text = Cow::Borrowed("");
        raw.decode_key(&mut text, &mut self.errors);
        if self.in_header {
            // `chunk` has read it already, without complaint.
            return;
        }
        let base = self.key_base();
        if !self.after_dot && self.keys.len() > base {
            self.lost_key();
        }
        self.after_dot = false;
        if self.keys.len() - base >= MAX_DEPTH {
            if !std::mem::replace(&mut self.too_deep, true) {
                self.errors.push(ParseError::new(TOO_DEEP).with_unexpected(span));
            }
            return;
        }
        self.keys.push(Key { text, span: Span::new(span.start(), span.end()) });
    }

    fn key_sep(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.after_dot = true;
    }

    fn key_val_sep(&mut self, _: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.after_dot = false;
    }

    fn scalar(
        &mut self,
        span: toml_parser::Span,
        encoding: Option<Encoding>,
        _: &mut dyn ErrorSink,
    ) {
        let raw = self.raw(span, encoding);
        let known = self.errors.len();
        let mut text = Cow::Borrowed("");
        let kind = if span.is_empty() {
            self.errors.push(ParseError::new("missing value").with_unexpected(span));
            ScalarKind::Boolean(false)
        } else {
            raw.decode_scalar(&mut text, &mut self.errors)
        };
        let node = match kind {
            _ if self.errors.len() > known => Node::Invalid,
            ScalarKind::String => Node::String(text),
            ScalarKind::Boolean(value) => Node::Boolean(value),
            ScalarKind::DateTime => Node::Datetime,
            ScalarKind::Float => match text.parse() {
                Ok(value) => Node::Float(value),
                Err(_) => self.invalid("invalid float", span),
            },
            ScalarKind::Integer(radix) => match i64::from_str_radix(&text, radix.value()) {
                Ok(value) => Node::Integer(value),
                Err(error) => self.invalid(
                    match error.kind() {
                        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
                            "this integer does not fit into 64 bits"
                        }
                        _ => "an integer without digits",
                    },
                    span,
                ),
            },
        };
        self.deliver(Value { node, span: Span::new(span.start(), span.end()) });
    }

    fn comment(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.in_header = false;
        let raw = self.raw(span, None);
        let is_control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
        if let Some(at) = raw.as_bytes().iter().position(is_control) {
            let at = span.start() + at;
            let span = toml_parser::Span::new_unchecked(at, at + 1);
            let error = ParseError::new("a comment may not hold control characters");
            self.errors.push(error.with_unexpected(span));
        }
    }

    fn newline(&mut self, span: toml_parser::Span, _: &mut dyn ErrorSink) {
        self.in_header = false;
        if self.raw(span, None).as_str() == "\r" {
            let error = ParseError::new("a carriage return must be followed by a newline");
            self.errors.push(error.with_unexpected(span));
        }
    }
}

impl<'s> Receiver<'_, 's> {
    fn invalid(&mut self, message: &'static str, span: toml_parser::Span) -> Node<'s> {
        self.errors.push(ParseError::new(message).with_unexpected(span));
        Node::Invalid
    }
}
