//! TOML values with their places, and TOML's rules for putting tables together.
//!
//! A tree holds as much of a file as its user needs at a time: usually the tables of one job. The
//! rules (what a header, a dotted key and an inline table may add to what is there) are those of
//! TOML 1.1 as the `toml` crate applies them, which `tests/` compares it with.

use std::borrow::Cow;
use std::collections::HashMap;

use super::chunk::Header;
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
    /// Where each key is, once there are too many for looking at each.
    #[allow(clippy::box_collection, reason = "few tables have one, and every table has the space")]
    index: Option<Box<HashMap<Cow<'s, str>, u32>>>,
    /// Not written down itself, only as part of a key.
    implicit: bool,
    /// Made by a dotted key.
    dotted: bool,
    /// Written in braces.
    pub(super) inline: bool,
    /// A line of it could not be understood, so what seems to be missing may be there.
    pub(super) broken: bool,
}

/// Tables of up to this many entries are searched from end to end.
const SMALL: usize = 16;

impl<'s> Table<'s> {
    pub(super) fn inline() -> Table<'s> {
        Table { inline: true, ..Table::default() }
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).map(|at| *at as usize),
            None => self.entries.iter().position(|(k, _)| k.text == key),
        }
    }

    fn add(&mut self, key: Key<'s>, value: Value<'s>) -> usize {
        let at = self.entries.len();
        if let Some(index) = &mut self.index {
            index.insert(key.text.clone(), at as u32);
        } else if at == SMALL {
            let keys = self.entries.iter().map(|(key, _)| &key.text).chain([&key.text]);
            self.index = Some(Box::new(keys.cloned().zip(0..).collect()));
        }
        self.entries.push((key, value));
        at
    }

    /// Removes every entry.
    pub(super) fn take_entries(&mut self) -> Vec<(Key<'s>, Value<'s>)> {
        self.index = None;
        std::mem::take(&mut self.entries)
    }

    /// Removes the last entry, if that is all there is: the cheap way to take a job out.
    pub(super) fn pop(&mut self) -> Option<(Key<'s>, Value<'s>)> {
        self.index = None;
        self.entries.pop()
    }
}

/// A key or table that may not stand where it does.
#[derive(Debug)]
pub(super) struct Clash {
    /// Where it stands.
    pub(super) at: Span,
    /// What was there before, if that has a place.
    pub(super) first: Option<Span>,
    /// What is wrong.
    pub(super) message: String,
}

impl Clash {
    fn duplicate(key: &Key<'_>, first: Span) -> Clash {
        Clash { at: key.span, first: Some(first), message: format!("duplicate key `{}`", key.text) }
    }

    fn extends(key: &Key<'_>, first: Span, what: &str) -> Clash {
        let message = format!("`{}` is {what}, and nothing can be added to it", key.text);
        Clash { at: key.span, first: Some(first), message }
    }
}

/// A document, or the part of it that matters at the moment.
#[derive(Debug, Default)]
pub(super) struct Tree<'s> {
    pub(super) root: Table<'s>,
    /// The table under the last header, taken out of the tree while lines are added to it.
    pub(super) current: Table<'s>,
    header: Option<Header<'s>>,
    /// The header was not allowed: what stands below it is checked and forgotten.
    discard: bool,
}

impl<'s> Tree<'s> {
    /// Begins the table of a header.
    pub(super) fn start(&mut self, header: Header<'s>) -> Result<(), Clash> {
        self.finish();
        let started = self.open(&header);
        self.discard = started.is_err() || header.path.is_empty();
        if !self.discard {
            self.current.implicit = false;
            self.current.dotted = false;
        }
        self.header = Some(header);
        started
    }

    fn open(&mut self, header: &Header<'s>) -> Result<(), Clash> {
        let Some((key, parents)) = header.path.split_last() else { return Ok(()) };
        let parent = descend(&mut self.root, parents, false)?;
        let Some(at) = parent.position(&key.text) else { return Ok(()) };
        let (old_key, old) = &mut parent.entries[at];
        match &mut old.node {
            Node::Tables(_) if header.array => Ok(()),
            // Begun by a header below it: `[a.b]`, and now `[a]`.
            Node::Table(table) if table.implicit && !table.dotted && !header.array => {
                self.current = std::mem::take(table);
                table.implicit = true;
                Ok(())
            }
            _ => {
                let path: Vec<&str> = header.path.iter().map(|key| &*key.text).collect();
                let message = format!("duplicate table `[{}]`", path.join("."));
                Err(Clash { message, ..Clash::duplicate(key, old_key.span) })
            }
        }
    }

    /// Puts the table under the last header where it belongs.
    pub(super) fn finish(&mut self) {
        let table = std::mem::take(&mut self.current);
        let Some(mut header) = self.header.take() else {
            if !table.entries.is_empty() || table.broken {
                self.root = table;
            }
            return;
        };
        let Some(key) = header.path.pop() else { return };
        if self.discard {
            return;
        }
        // `start` has gone the same way, so it is there.
        let Ok(parent) = descend(&mut self.root, &header.path, false) else { return };
        let span = key.span;
        let value = Value { node: Node::Table(table), span };
        match parent.position(&key.text) {
            None if header.array => {
                parent.add(key, Value { node: Node::Tables(vec![value]), span });
            }
            None => {
                parent.add(key, value);
            }
            Some(at) => match &mut parent.entries[at] {
                (_, Value { node: Node::Tables(tables), .. }) if header.array => tables.push(value),
                // The table that `open` has taken.
                entry => *entry = (key, value),
            },
        }
    }

    /// Adds a line of the current table: `path` is its key.
    pub(super) fn insert(
        &mut self,
        path: impl ExactSizeIterator<Item = Key<'s>>,
        value: Value<'s>,
    ) -> Result<(), Clash> {
        insert(&mut self.current, path, value)
    }
}

/// Adds a value to a table under a key that may be dotted.
pub(super) fn insert<'s>(
    mut table: &mut Table<'s>,
    mut path: impl ExactSizeIterator<Item = Key<'s>>,
    value: Value<'s>,
) -> Result<(), Clash> {
    let dotted = path.len() > 1;
    while path.len() > 1 {
        let Some(key) = path.next() else { return Ok(()) };
        table = step(table, &key, true)?;
    }
    let Some(key) = path.next() else { return Ok(()) };
    if dotted && !table.implicit {
        // A dotted key may not add to a table that stands under a header of its own.
        return Err(Clash {
            at: key.span,
            first: None,
            message: format!("duplicate key `{}`", key.text),
        });
    }
    if let Some(at) = table.position(&key.text) {
        return Err(Clash::duplicate(&key, table.entries[at].0.span));
    }
    table.add(key, value);
    Ok(())
}

/// The table at the end of a path of keys, made on the way where it is missing.
fn descend<'t, 's>(
    mut table: &'t mut Table<'s>,
    path: &[Key<'s>],
    dotted: bool,
) -> Result<&'t mut Table<'s>, Clash> {
    for key in path {
        table = step(table, key, dotted)?;
    }
    Ok(table)
}

/// One step of the way.
fn step<'t, 's>(
    table: &'t mut Table<'s>,
    key: &Key<'s>,
    dotted: bool,
) -> Result<&'t mut Table<'s>, Clash> {
    let in_braces = table.inline;
    let at = match table.position(&key.text) {
        Some(at) => at,
        None => {
            let new = Table { implicit: true, dotted, inline: in_braces, ..Table::default() };
            table.add(key.clone(), Value { node: Node::Table(new), span: key.span })
        }
    };
    let (old_key, old) = &mut table.entries[at];
    let kind = old.node.kind();
    match &mut old.node {
        Node::Table(table) => {
            if table.inline && !in_braces {
                return Err(Clash::extends(key, old_key.span, "an inline table"));
            }
            if dotted && !table.implicit {
                return Err(Clash::duplicate(key, old_key.span));
            }
            // From now on no header may claim it.
            table.dotted |= dotted;
            Ok(table)
        }
        // A header below `[[x]]` belongs to the last of them.
        Node::Tables(tables) if !in_braces => match tables.last_mut() {
            Some(Value { node: Node::Table(table), .. }) => Ok(table),
            _ => Err(Clash::extends(key, old_key.span, kind)),
        },
        _ => Err(Clash::extends(key, old_key.span, kind)),
    }
}
