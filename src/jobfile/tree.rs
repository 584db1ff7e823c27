//! TOML values with their places in the file, as the rest of the reader takes them.
//!
//! The `toml` crate reads a text, or a part of a file, and counts from its beginning; here its values
//! get the places that they have in the file, and its numbers are read.

use std::borrow::Cow;

use toml::de::{DeTable, DeValue};

use crate::core::sort;
use crate::problem::Span;

/// A key where it stands.
#[derive(Clone, Debug)]
pub(super) struct Key<'s> {
    pub(super) text: Cow<'s, str>,
    pub(super) span: Span,
}

/// A value where it stands.
#[derive(Debug)]
pub(super) struct Value<'s> {
    pub(super) node: Node<'s>,
    pub(super) span: Span,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Node<'s> {
    String(Cow<'s, str>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// Its text is what its span covers.
    Datetime,
    Array(Vec<Value<'s>>),
    /// `[[x]]`
    Tables(Vec<Value<'s>>),
    Table(Table<'s>),
    /// Something was wrong with it, which has been said; nobody need say more.
    Invalid,
}

impl Node<'_> {
    /// Its type in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Node::String(_) => "a string",
            Node::Integer(_) => "an integer",
            Node::Float(_) => "a float",
            Node::Boolean(_) => "a boolean",
            Node::Datetime => "a date",
            Node::Array(_) => "an array",
            Node::Tables(_) => "an array of tables",
            Node::Table(_) => "a table",
            Node::Invalid => "nothing",
        }
    }
}

/// A table: its entries in the order in which they stand.
#[derive(Debug, Default)]
pub(super) struct Table<'s> {
    pub(super) entries: Vec<(Key<'s>, Value<'s>)>,
    /// A line of it could not be understood, so what seems to be missing may be there.
    pub(super) broken: bool,
}

impl<'s> Table<'s> {
    /// Takes the value of a key out.
    pub(super) fn remove(&mut self, key: &str) -> Option<Value<'s>> {
        let at = self.entries.iter().position(|(found, _)| found.text == key)?;
        Some(self.entries.swap_remove(at).1)
    }

    /// Notes that a line of the table at the end of a path could not be understood.
    pub(super) fn mark_broken(&mut self, path: &[impl AsRef<str>]) {
        let mut table = self;
        for key in path {
            let found = table.entries.iter_mut().find(|(found, _)| found.text == key.as_ref());
            let mut node = found.map(|(_, value)| &mut value.node);
            if let Some(Node::Tables(tables)) = node {
                node = tables.last_mut().map(|value| &mut value.node);
            }
            let Some(Node::Table(inner)) = node else { return };
            table = inner;
        }
        table.broken = true;
    }
}

/// From the crate's values to ours.
pub(super) struct Reader<'s, K> {
    /// Where the text begins in the file.
    pub(super) start: usize,
    /// The text itself, if what is read is another that was made of it: keys are as they stand here.
    pub(super) original: Option<&'s str>,
    /// How a string is kept: as it is, or as a copy, if the text will not live long enough.
    pub(super) keep: K,
    /// What is wrong with numbers.
    pub(super) faults: Vec<(Span, &'static str)>,
}

impl<'a, 's, K: Fn(Cow<'a, str>) -> Cow<'s, str>> Reader<'s, K> {
    fn span(&self, range: std::ops::Range<usize>) -> Span {
        Span::new(self.start + range.start, self.start + range.end)
    }

    /// A table of the crate's as one of ours.
    pub(super) fn table(&mut self, table: DeTable<'a>) -> Table<'s> {
        let mut entries = Vec::with_capacity(table.len());
        let known = self.faults.len();
        for (key, value) in table {
            let span = self.span(key.span());
            let at = self.span(value.span());
            // A table under a header, or made by a dotted key, has its name for its place.
            let in_place = at.start >= span.end;
            let node = self.node(value.into_inner(), at, in_place);
            let typed = self.original.and_then(|text| text.get(key.span()));
            let text = match typed {
                Some(typed) if !typed.is_ascii() && !typed.starts_with(['"', '\'']) => typed.into(),
                _ => (self.keep)(key.into_inner()),
            };
            let key = Key { text, span };
            entries.push((key, Value { node, span: if in_place { at } else { span } }));
        }
        sort::by_key(&mut entries, |(key, _)| key.span.start);
        Table { entries, broken: self.faults.len() > known }
    }

    fn node(&mut self, value: DeValue<'a>, at: Span, in_place: bool) -> Node<'s> {
        match value {
            DeValue::String(text) => Node::String((self.keep)(text)),
            DeValue::Boolean(value) => Node::Boolean(value),
            DeValue::Datetime(_) => Node::Datetime,
            DeValue::Integer(value) => match i64::from_str_radix(value.as_str(), value.radix()) {
                Ok(value) => Node::Integer(value),
                Err(error) => self.invalid(at, integer_fault(error.kind())),
            },
            DeValue::Float(value) => match value.as_str().parse() {
                Ok(value) => Node::Float(value),
                Err(_) => self.invalid(at, "invalid float"),
            },
            DeValue::Table(table) => Node::Table(self.table(table)),
            DeValue::Array(values) => {
                let values = values.into_iter().map(|value| {
                    let at = self.span(value.span());
                    Value { node: self.node(value.into_inner(), at, true), span: at }
                });
                let values = values.collect();
                if in_place { Node::Array(values) } else { Node::Tables(values) }
            }
        }
    }

    fn invalid(&mut self, at: Span, message: &'static str) -> Node<'s> {
        self.faults.push((at, message));
        Node::Invalid
    }
}

fn integer_fault(kind: &std::num::IntErrorKind) -> &'static str {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    match kind {
        PosOverflow | NegOverflow => "this integer does not fit into 64 bits",
        _ => "an integer without digits",
    }
}
