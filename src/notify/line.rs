//! A value of a header or of a variable: one line, whatever it was made of.
//!
//! Names of jobs, reasons and addresses end up in the headers of mail and of requests. A line end in
//! one of them would begin a header of somebody else's choice. [`Line`] has no other way to be made
//! than one that takes them out, so that nobody has to remember to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A line of mail may be as long as this (RFC 5322, 2.1.1).
const LONGEST: usize = 998;

/// A text without line ends and other control characters, of at most 998 bytes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Line(Box<str>);

impl Line {
    /// Takes a text and leaves out what must not be in a line.
    pub fn new(text: &str) -> Line {
        let line: String = text.chars().filter(|c| !is_control(*c)).collect();
        Line(within(&line, LONGEST).trim().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The beginning of a text, of at most so many bytes.
pub(super) fn within(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

impl From<String> for Line {
    fn from(text: String) -> Line {
        Line::new(&text)
    }
}

impl From<Line> for String {
    fn from(line: Line) -> String {
        line.0.into()
    }
}

impl fmt::Debug for Line {
    /// Without what it says: it may be a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one() {
        let rows = [
            ("plain", "plain"),
            ("a\r\nBcc: eve@example.org", "aBcc: eve@example.org"),
            ("a\0b\u{7f}\u{85}c\u{2028}d\te", "abcde"),
            ("  ä  ", "ä"),
        ];
        for (text, line) in rows {
            assert_eq!(Line::new(text).as_str(), line);
            // Nor does it come in over the wire.
            let sent = serde_json::to_string(text).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&sent).unwrap().as_str(), line);
        }
        assert_eq!(Line::new(&"ä".repeat(600)).as_str().len(), 998);
    }
}
