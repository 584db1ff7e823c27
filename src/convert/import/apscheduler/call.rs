//! The call of a job's function, as Python.

use serde_json::Value as Json;

/// The key that [`strict`] writes for a number that JSON has no word for.
const NUMBER: &str = "__apscheduler_number__";

/// Words of Python that cannot name an argument.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Python's JSON as anybody's: `NaN`, `Infinity` and integers of any length become objects that
/// [`python`] knows, because one of them in one argument must not cost the whole export.
pub(super) fn strict(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| "\"-NI".contains(c) || c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let len = if from.starts_with('"') {
            string_len(from)
        } else {
            from.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c))
                .unwrap_or(from.len())
        };
        let (word, after) = from.split_at(len);
        let digits = word.strip_prefix('-').unwrap_or(word);
        let long = digits.len() > 18 && digits.bytes().all(|byte| byte.is_ascii_digit());
        match word {
            "NaN" | "Infinity" | "-Infinity" => {
                out.push_str(&format!("{{\"{NUMBER}\": \"float(\\\"{word}\\\")\"}}"));
            }
            word if long => out.push_str(&format!("{{\"{NUMBER}\": \"{word}\"}}")),
            word => out.push_str(word),
        }
        rest = after;
    }
    out + rest
}

/// How long the string is that a text begins with, quotes included.
fn string_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The call of the job's function, as Python; `None` where its arguments are pickles.
pub(super) fn call(json: &Json) -> Option<String> {
    let function = json.get("func").and_then(Json::as_str)?;
    let (module, name) = function.split_once(':')?;
    let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || "._".contains(c));
    if !plain(module) || !plain(name) || name.is_empty() || module.is_empty() {
        return None;
    }
    let mut arguments = Vec::new();
    for value in json.get("args").and_then(Json::as_array).into_iter().flatten() {
        arguments.push(python(value)?);
    }
    let mut odd = Vec::new();
    for (key, value) in json.get("kwargs").and_then(Json::as_object).into_iter().flatten() {
        if is_name(key) {
            arguments.push(format!("{key}={}", python(value)?))
        } else {
            odd.push(format!("{}: {}", Json::String(key.clone()), python(value)?))
        }
    }
    if !odd.is_empty() {
        arguments.push(format!("**{{{}}}", odd.join(", ")));
    }
    let outer = name.split('.').next().unwrap_or(name);
    Some(format!("from {module} import {outer}; {name}({})", arguments.join(", ")))
}

/// Whether Python takes it as the name of an argument.
fn is_name(key: &str) -> bool {
    let word = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    word && key.starts_with(|c: char| !c.is_ascii_digit()) && !KEYWORDS.contains(&key)
}

/// A JSON value as Python writes it.
fn python(json: &Json) -> Option<String> {
    Some(match json {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => number.to_string(),
        // JSON's strings are Python's.
        Json::String(_) => json.to_string(),
        Json::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(python).collect();
            format!("[{}]", items?.join(", "))
        }
        Json::Object(entries) => {
            if let Some(Json::String(number)) = entries.get(NUMBER) {
                return Some(number.clone());
            }
            if entries.keys().any(|key| key.starts_with("__apscheduler_")) {
                return None;
            }
            let entries: Option<Vec<String>> = entries
                .iter()
                .map(|(key, value)| {
                    Some(format!("{}: {}", Json::String(key.clone()), python(value)?))
                })
                .collect();
            format!("{{{}}}", entries?.join(", "))
        }
    })
}
