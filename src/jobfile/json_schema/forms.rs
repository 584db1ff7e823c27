//! What the parts of the schema are made of: texts, numbers, lists and tables.

use serde_json::{Map, Value, json};

use crate::core::sort;

pub(super) fn described(about: &str, mut what: Value) -> Value {
    what["description"] = about.into();
    what
}

pub(super) fn with_default(mut what: Value, default: Value) -> Value {
    what["default"] = default;
    what
}

/// A table with these keys and no others.
pub(super) fn table(about: &str, properties: Value) -> Value {
    json!({
        "description": about,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// A table of fields that are all of one kind, of which there is at least one.
pub(super) fn fields(names: &[&str], what: &Value) -> Value {
    let fields: Map<String, Value> =
        sort::collect(names.iter().map(|name| ((*name).to_owned(), what.clone())));
    json!({
        "type": "object",
        "minProperties": 1,
        "additionalProperties": false,
        "properties": fields,
    })
}

/// One of these.
pub(super) fn words<T>(words: &[(&str, T)]) -> Value {
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    json!({ "enum": words })
}

pub(super) fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

pub(super) fn strings(at_least: usize) -> Value {
    json!({ "type": "array", "minItems": at_least, "items": { "type": "string" } })
}

pub(super) fn duration() -> Value {
    // In draft 7 what stands beside `$ref` is not looked at, so it stands in an `allOf`.
    json!({ "allOf": [{ "$ref": "#/definitions/duration" }] })
}

pub(super) fn moment() -> Value {
    json!({ "allOf": [{ "$ref": "#/definitions/moment" }] })
}

pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn count(at_least: u32) -> Value {
    json!({ "type": "integer", "minimum": at_least })
}

pub(super) fn size() -> Value {
    let text = json!({ "type": "string", "pattern": "^[0-9]+ *([kKmMgGtT]?i?[bB]?)$" });
    json!({ "anyOf": [text, count(0)] })
}

pub(super) fn account() -> Value {
    json!({ "anyOf": [text(), count(0)] })
}

/// A text that is not to be shown, or where it is read.
pub(super) fn secret() -> Value {
    json!({ "anyOf": [text(), read_from("file"), read_from("env"), read_from("credential")] })
}

fn read_from(key: &str) -> Value {
    let properties: Map<String, Value> = sort::collect([(key.to_owned(), text())]);
    json!({ "type": "object", "additionalProperties": false, "required": [key],
            "properties": properties })
}

/// Windows, and names of calendars.
pub(super) fn times() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

pub(super) fn command() -> Value {
    json!({ "anyOf": [text(), strings(1)] })
}
