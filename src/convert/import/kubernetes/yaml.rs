//! YAML as a tree with places, from the events of `saphyr-parser`.
//!
//! Each document is read for itself, so that one that is wrong hides no other. An alias is the very
//! node that its anchor stands at: a manifest cannot grow by them.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::json::Error;
use super::tree::{DEEPEST, Key, Node, Value};
use crate::problem::Span;

/// The documents of a text, and what is wrong with the others.
pub(super) fn documents(text: &str) -> (Vec<Rc<Node>>, Vec<Error>) {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for (start, part) in parts(text) {
        if part.lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '%'])) {
            continue;
        }
        match Reader::new(part, start).read() {
            Ok(found) => documents.extend(found),
            Err(error) => errors.push(error),
        }
    }
    (documents, errors)
}

/// The parts of a text between lines that begin with `---`, and where each begins.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            parts.push((start, &text[start..at]));
            start = at;
        }
        at += line.len();
    }
    parts.push((start, &text[start..]));
    parts
}

/// A list or a map that has begun.
struct Open {
    anchor: usize,
    span: Span,
    value: Value,
    /// The key that waits for its value.
    key: Option<Key>,
}

struct Reader<'a> {
    text: &'a str,
    start: usize,
    /// Where each character begins, in a text in which that is not its number.
    chars: Option<Vec<usize>>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Rc<Node>>,
    done: Vec<Rc<Node>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, start: usize) -> Reader<'a> {
        let chars = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Reader { text, start, chars, open: Vec::new(), anchors: BTreeMap::new(), done: Vec::new() }
    }

    /// The byte of a character.
    fn byte(&self, index: usize) -> usize {
        let at = match &self.chars {
            Some(chars) => chars.get(index).copied().unwrap_or(self.text.len()),
            None => index.min(self.text.len()),
        };
        self.start + at
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        // Of what goes over many lines, the first is shown.
        let line = self.text[start - self.start..].find('\n').map_or(end, |line| start + line);
        Span::new(start, end.min(line).max(start))
    }

    fn read(mut self) -> Result<Vec<Rc<Node>>, Error> {
        for event in Parser::new_from_str(self.text) {
            let (event, span) = event.map_err(|error| {
                let at = self.byte(error.marker().index());
                (Span::new(at, at), error.info().to_owned())
            })?;
            let span = self.span(span);
            self.event(event, span).map_err(|message| (span, message))?;
        }
        Ok(self.done)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.suffix == "str");
                let plain = style == ScalarStyle::Plain && !is_text;
                self.add(span, Value::Scalar { text: text.into_owned(), plain }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(anchor, span, Value::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(anchor, span, Value::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.add(open.span, open.value, open.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                self.put(span, node.ok_or("this alias refers to a node that contains it")?)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, anchor: usize, span: Span, value: Value) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err("it is nested too deeply".to_owned());
        }
        self.open.push(Open { anchor, span, value, key: None });
        Ok(())
    }

    fn add(&mut self, span: Span, value: Value, anchor: usize) -> Result<(), String> {
        let node = Rc::new(Node { span, value });
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put(span, node)
    }

    fn put(&mut self, span: Span, node: Rc<Node>) -> Result<(), String> {
        let Some(open) = self.open.last_mut() else {
            self.done.push(node);
            return Ok(());
        };
        match (&mut open.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(key)) => entries.push((key, node)),
            (_, _) => {
                let Value::Scalar { text, .. } = &node.value else {
                    return Err("a key must be a string".to_owned());
                };
                open.key = Some(Key { span, text: text.clone() });
            }
        }
        Ok(())
    }
}
