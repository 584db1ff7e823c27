//! Answers of Redis, taken apart.

use std::str::FromStr;

use redis::Value;

/// An answer that no script of ours gives.
#[derive(Debug)]
pub(super) struct Odd;

pub(super) fn list(value: Value) -> Result<Vec<Value>, Odd> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(Odd),
    }
}

/// A list of so many.
pub(super) fn list_of<const N: usize>(value: Value) -> Result<[Value; N], Odd> {
    list(value)?.try_into().map_err(|_| Odd)
}

pub(super) fn bytes(value: &Value) -> Result<&[u8], Odd> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.as_bytes()),
        _ => Err(Odd),
    }
}

pub(super) fn text(value: &Value) -> Result<&str, Odd> {
    std::str::from_utf8(bytes(value)?).map_err(|_| Odd)
}

/// A number, also one that is written as a text.
pub(super) fn number<T: FromStr + TryFrom<i64>>(value: &Value) -> Result<T, Odd> {
    match value {
        Value::Int(number) => T::try_from(*number).map_err(|_| Odd),
        value => text(value)?.parse().map_err(|_| Odd),
    }
}

/// The names and values of a hash.
pub(super) fn pairs(value: Value) -> Result<Vec<(String, Vec<u8>)>, Odd> {
    let values = list(value)?;
    let pair = |pair: &[Value]| match pair {
        [name, value] => Ok((text(name)?.to_owned(), bytes(value)?.to_vec())),
        _ => Err(Odd),
    };
    values.chunks(2).map(pair).collect()
}
