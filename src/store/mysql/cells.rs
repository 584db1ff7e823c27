//! What is in a row: texts of numbers and of texts.

use mysql::Value;

use crate::core::instant::Instant;
use crate::core::url::SharedUrl;
use crate::store::sql::rows::Cells;
use crate::store::{StoreError, Trouble};

pub(super) type Row = Vec<Value>;

/// A row that no schedrs has written.
#[derive(Debug)]
pub(in crate::store) struct Odd;

type Read<T> = Result<T, Odd>;

pub(super) fn bytes_or_none(row: &Row, column: usize) -> Read<Option<&[u8]>> {
    match row.get(column) {
        Some(Value::NULL) => Ok(None),
        Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
        _ => Err(Odd),
    }
}

pub(super) fn text_or_none(row: &Row, column: usize) -> Read<Option<Box<str>>> {
    let Some(bytes) = bytes_or_none(row, column)? else { return Ok(None) };
    std::str::from_utf8(bytes).map(|text| Some(text.into())).map_err(|_| Odd)
}

pub(super) fn text(row: &Row, column: usize) -> Read<Box<str>> {
    text_or_none(row, column)?.ok_or(Odd)
}

pub(super) fn number_or_none(row: &Row, column: usize) -> Read<Option<i64>> {
    if let Some(Value::Int(number)) = row.get(column) {
        return Ok(Some(*number));
    }
    let Some(text) = text_or_none(row, column)? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Odd)
}

pub(super) fn number(row: &Row, column: usize) -> Read<i64> {
    number_or_none(row, column)?.ok_or(Odd)
}

pub(super) fn instant(row: &Row, column: usize) -> Read<Instant> {
    number(row, column).map(Instant::from_micros)
}

impl Cells for Row {
    type Error = Odd;

    fn text(&self, column: usize) -> Read<Box<str>> {
        text(self, column)
    }

    fn text_or_none(&self, column: usize) -> Read<Option<Box<str>>> {
        text_or_none(self, column)
    }

    fn number(&self, column: usize) -> Read<i64> {
        number(self, column)
    }

    fn number_or_none(&self, column: usize) -> Read<Option<i64>> {
        number_or_none(self, column)
    }

    fn flag(&self, column: usize) -> Read<bool> {
        Ok(number(self, column)? != 0)
    }

    fn texts(&self, column: usize) -> Read<Box<[Box<str>]>> {
        let json = bytes_or_none(self, column)?.ok_or(Odd)?;
        serde_json::from_slice(json).map_err(|_| Odd)
    }
}

/// What rows are of; a table that somebody has changed is no reason to panic.
pub(super) fn all<T>(
    url: &SharedUrl,
    rows: Option<&Vec<Row>>,
    of: impl Fn(&Row) -> Read<T>,
) -> Result<Vec<T>, StoreError> {
    let rows = rows.map_or(&[][..], Vec::as_slice);
    rows.iter()
        .map(of)
        .collect::<Read<Vec<T>>>()
        .map_err(|Odd| url.error(Trouble::Corrupt, "its tables hold data that is not from schedrs"))
}
