//! JSON as a tree with places. The text of each value is a part of the whole, and so says itself
//! where it stands; a key is where its value is.

use std::fmt;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::tree::{DEEPEST, Key, Node, Value};
use crate::problem::Span;

/// What is wrong, and where.
pub(super) type Error = (Span, String);

/// The documents of a text, one after the other, up to the first that is no JSON.
pub(super) fn documents(text: &str) -> (Vec<Rc<Node>>, Option<Error>) {
    let mut documents = Vec::new();
    for raw in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let node = match raw {
            Ok(raw) => node(raw, text, 0),
            Err(error) => Err(error),
        };
        match node {
            Ok(node) => documents.push(node),
            Err(error) => return (documents, Some((place(text, &error), error.to_string()))),
        }
    }
    (documents, None)
}

/// The byte of an error.
fn place(text: &str, error: &serde_json::Error) -> Span {
    let before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let line: usize = before.map(str::len).sum();
    let mut at = (line + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    Span::new(at, at)
}

fn node(raw: &RawValue, whole: &str, depth: usize) -> serde_json::Result<Rc<Node>> {
    let text = raw.get();
    let start = text.as_ptr() as usize - whole.as_ptr() as usize;
    if depth > DEEPEST {
        return Err(serde::de::Error::custom("it is nested too deeply"));
    }
    let (length, value) = match text.as_bytes().first() {
        Some(b'{') => {
            let Pairs(pairs) = serde_json::from_str(text)?;
            let mut entries = Vec::with_capacity(pairs.len());
            for (text, raw) in pairs {
                let node = node(raw, whole, depth + 1)?;
                entries.push((Key { span: node.span, text }, node));
            }
            (1, Value::Map(entries))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items = items.into_iter().map(|raw| node(raw, whole, depth + 1));
            (1, Value::List(items.collect::<Result<_, _>>()?))
        }
        Some(b'"') => {
            (text.len(), Value::Scalar { text: serde_json::from_str(text)?, plain: false })
        }
        _ => (text.len(), Value::Scalar { text: text.to_owned(), plain: true }),
    };
    Ok(Rc::new(Node { span: Span::new(start, start + length), value }))
}

/// The entries of an object, in their order.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    pairs.push(entry);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}
