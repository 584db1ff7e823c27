//! Values as SQL has them. All of a commit is one text, so that it is one round trip; what is in it
//! is written here and nowhere else.

use std::fmt::Write as _;

/// A text or `NULL`.
pub(super) fn text_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), self::text)
}

/// A text, as the bytes that it is.
pub(super) fn text(text: &str) -> String {
    // In a statement that stands before the name of a table (`super::schema::named`).
    if text.contains('~') {
        return digits(text.as_bytes());
    }
    let mut quoted = String::with_capacity(text.len() + 10);
    quoted.push_str("_binary'");
    for char in text.chars() {
        match char {
            '\0' => quoted.push_str("\\0"),
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            char => quoted.push(char),
        }
    }
    quoted.push('\'');
    quoted
}

pub(super) fn bytes(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return self::text(text);
    }
    digits(bytes)
}

/// Bytes, each as two digits.
fn digits(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2 + 3);
    digits.push_str("x'");
    for byte in bytes {
        let _ = write!(digits, "{byte:02x}");
    }
    digits.push('\'');
    digits
}

/// A number or `NULL`.
pub(super) fn number_or_null(number: Option<i64>) -> String {
    number.map_or_else(|| "NULL".to_owned(), |number| number.to_string())
}

/// What stands between the brackets of `IN`: never nothing.
pub(super) fn list(values: impl IntoIterator<Item = String>) -> String {
    let values: Vec<String> = values.into_iter().collect();
    if values.is_empty() { "NULL".to_owned() } else { values.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_quotes() {
        assert_eq!(text("a"), "_binary'a'");
        assert_eq!(text("\\'; DROP\0 ✓"), "_binary'\\\\\\'; DROP\\0 ✓'");
        assert_eq!(bytes(b"'"), "_binary'\\''");
        assert_eq!(text("~x"), "x'7e78'");
        assert_eq!(bytes(&[0xff, 0x27]), "x'ff27'");
        assert_eq!((list([]), number_or_null(Some(-7))), ("NULL".to_owned(), "-7".to_owned()));
    }
}
