//! A manifest as a tree whose every part knows where it stands. `json` and `yaml` make it.

use std::rc::Rc;

use crate::problem::Span;

/// Nothing is nested deeper.
pub(super) const DEEPEST: usize = 64;

/// A value with its place.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// A text; `plain` where it has no quotes, and may be a number, a truth or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Rc<Node>>),
    Map(Vec<(Key, Rc<Node>)>),
}

/// A key with its place.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) span: Span,
    pub(super) text: String,
}

/// The key of YAML's merges: what it holds is there unless something else is.
const MERGE: &str = "<<";

impl Node {
    /// The entries of a map, with those that are merged into it.
    pub(super) fn entries(&self) -> Vec<(&Key, &Rc<Node>)> {
        let mut found = Vec::new();
        self.collect(&mut found, DEEPEST);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<(&'a Key, &'a Rc<Node>)>, depth: usize) {
        let Value::Map(entries) = &self.value else { return };
        let has = |found: &[(&Key, _)], key: &str| found.iter().any(|(has, _)| has.text == key);
        for (key, node) in entries {
            if key.text != MERGE && !has(found, &key.text) {
                found.push((key, node));
            }
        }
        for (_, merged) in entries.iter().filter(|(key, _)| key.text == MERGE && depth > 0) {
            match &merged.value {
                Value::List(list) => list.iter().for_each(|node| node.collect(found, depth - 1)),
                _ => merged.collect(found, depth - 1),
            }
        }
    }

    /// The value of a key, unless it is nothing.
    pub(super) fn get(&self, key: &str) -> Option<&Rc<Node>> {
        let found = self.entries().into_iter().find(|(has, _)| has.text == key)?;
        Some(found.1).filter(|node| !node.is_null())
    }

    /// The value at the end of a path of keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Rc<Node>> {
        let (first, rest) = path.split_first()?;
        let node = self.get(first)?;
        if rest.is_empty() { Some(node) } else { node.at(rest) }
    }

    /// The text at the end of a path of keys.
    pub(super) fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.text()
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// A truth, as the YAML of Kubernetes has them.
    pub(super) fn truth(&self) -> Option<bool> {
        match self.text()?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<u64> {
        self.text()?.parse().ok()
    }

    /// The items of a list.
    pub(super) fn items(&self) -> &[Rc<Node>] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }
}
