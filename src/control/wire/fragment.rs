//! JSON written as TOML: what a job's options look like in either.

use std::fmt::Write;

use serde_json::Value;

use crate::core::event::Fault;

/// Appends `key = value` and a line's end.
pub(super) fn line(out: &mut String, key: &str, value: &Value) -> Result<(), Fault> {
    write_key(out, key);
    out.push_str(" = ");
    write_value(out, key, value)?;
    out.push('\n');
    Ok(())
}

fn write_value(out: &mut String, key: &str, value: &Value) -> Result<(), Fault> {
    match value {
        Value::Null => {
            return Err(Fault::bad(format!("`{key}`: null is no value of an option")));
        }
        Value::Bool(yes) => {
            let _ = write!(out, "{yes}");
        }
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => {
                let _ = write!(out, "{whole}");
            }
            // `Debug` always writes a point or an exponent, without which TOML takes it for an
            // integer.
            (None, Some(float)) => {
                let _ = write!(out, "{float:?}");
            }
            (None, None) => return Err(Fault::bad(format!("`{key}`: {number} is out of range"))),
        },
        Value::String(text) => write_text(out, text),
        Value::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                write_value(out, key, value)?;
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (index, (name, value)) in map.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { " " });
                write_key(out, name);
                out.push_str(" = ");
                write_value(out, key, value)?;
            }
            out.push_str(" }");
        }
    }
    Ok(())
}

fn write_key(out: &mut String, key: &str) {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !key.is_empty() && key.chars().all(is_bare) {
        out.push_str(key)
    } else {
        write_text(out, key)
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
