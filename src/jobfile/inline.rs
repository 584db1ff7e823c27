//! A value as it stands in a jobfile, typed by itself: what whoever has copied it from there gives to a
//! command.

use serde_json::{Map, Number, Value as Json};

use super::chunk::Part;
use super::parse;
use super::tree::{Node, Value};
use crate::core::sort;
use crate::problem::Problems;

/// An array or a table of TOML as JSON, with dates as texts; `None` if that is not what it is.
pub(crate) fn value(text: &str) -> Option<Json> {
    if !begins(text) {
        return None;
    }
    let text = format!("value = {text}");
    let mut problems = Problems::default();
    let table = parse::table(Part::whole(&text), 0, &mut problems, |_| true);
    match &table.entries[..] {
        [(_, value)] if problems.is_empty() => json(value, &text),
        _ => None,
    }
}

/// Whether a text can only be meant as an array or a table, where a word would do.
pub(crate) fn begins(text: &str) -> bool {
    text.trim_start().starts_with(['[', '{'])
}

fn json(value: &Value<'_>, text: &str) -> Option<Json> {
    Some(match &value.node {
        Node::String(text) => (**text).into(),
        Node::Integer(number) => (*number).into(),
        Node::Float(number) => Number::from_f64(*number)?.into(),
        Node::Boolean(yes) => (*yes).into(),
        Node::Datetime => text.get(value.span.range())?.into(),
        Node::Array(values) | Node::Tables(values) => {
            values.iter().map(|value| json(value, text)).collect::<Option<Vec<Json>>>()?.into()
        }
        Node::Table(table) => {
            let entries = table.entries.iter();
            let entries =
                entries.map(|(key, value)| Some((key.text.to_string(), json(value, text)?)));
            let entries: Vec<(String, Json)> = entries.collect::<Option<_>>()?;
            Json::Object(sort::collect::<_, Map<String, Json>>(entries))
        }
        Node::Invalid => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_jobfile_is_read_as_it_is_there() {
        for (text, expected) in [
            (r#"["sun", 'mon']"#, r#"["sun","mon"]"#),
            (" [2026-12-24, \"12-25\"]", r#"["2026-12-24","12-25"]"#),
            ("[0, 3,]", "[0,3]"),
            ("[]", "[]"),
            ("{ months = 1, day = \"last\" }", r#"{"day":"last","months":1}"#),
            ("{ A = { file = \"/x\" }, b = 1.5 }", r#"{"A":{"file":"/x"},"b":1.5}"#),
        ] {
            let found = value(text).unwrap();
            assert_eq!(found, serde_json::from_str::<Json>(expected).unwrap(), "{text}");
        }
        for text in
            ["sun", "\"sun\"", "[sun]", "[\"sun\"", "[1]\nb = 2", "[ -f x ] && y", "{}x", ""]
        {
            assert_eq!(value(text), None, "{text}");
        }
    }
}
