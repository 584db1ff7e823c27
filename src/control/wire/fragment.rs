//! JSON written as TOML: what a job's options look like in either.

use std::fmt::Write;

use serde_json::Value;

use crate::core::event::Fault;
use crate::jobfile::write;

/// Appends `key = value` and a line's end.
pub(super) fn line(out: &mut String, key: &str, value: &Value) -> Result<(), Fault> {
    out.push_str(&write::key(key));
    out.push_str(" = ");
    write_value(out, key, value)?;
    out.push('\n');
    Ok(())
}

fn write_value(out: &mut String, key: &str, value: &Value) -> Result<(), Fault> {
    match value {
        Value::Null => {
            return Err(Fault::bad(format!("`{key}`: null is not a valid value")));
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
        Value::String(text) => out.push_str(&write::string(text)),
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
                out.push_str(&write::key(name));
                out.push_str(" = ");
                write_value(out, key, value)?;
            }
            out.push_str(" }");
        }
    }
    Ok(())
}
