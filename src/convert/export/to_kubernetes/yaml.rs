//! YAML, as far as a manifest needs it: every text in quotes, so that none of it is a number, a
//! truth or a date to anybody.

use std::fmt::Write;

/// A text of YAML that is being written.
#[derive(Default)]
pub(super) struct Yaml {
    pub(super) text: String,
}

/// Comments are not longer than this, where they can be broken.
const WIDE: usize = 100;

impl Yaml {
    /// A line as it is, indented by two spaces a level.
    pub(super) fn line(&mut self, level: usize, text: &str) {
        // Writing to a string never fails.
        let _ = writeln!(self.text, "{:1$}{text}", "", 2 * level);
    }

    /// A key with a text.
    pub(super) fn string(&mut self, level: usize, key: &str, value: &str) {
        self.line(level, &format!("{key}: {}", quoted(value)));
    }

    /// An item of a list: in quotes, or as lines where there are several.
    pub(super) fn item(&mut self, level: usize, value: &str) {
        let Some(lines) = block(value) else {
            return self.line(level, &format!("- {}", quoted(value)));
        };
        let ends = if value.ends_with('\n') { "|" } else { "|-" };
        self.line(level, &format!("- {ends}"));
        for line in lines {
            // No spaces in an empty line.
            self.line(if line.is_empty() { 0 } else { level + 1 }, line);
        }
    }

    /// A comment, on as many lines as it needs.
    pub(super) fn comment(&mut self, text: &str) {
        let mut width = 0;
        for word in text.split(' ') {
            let word: String = word.chars().map(|c| if is_plain(c) { c } else { '?' }).collect();
            let length = word.chars().count();
            let start = if width == 0 {
                "# "
            } else if width + length >= WIDE {
                width = 0;
                "\n# "
            } else {
                " "
            };
            self.text.extend([start, &word]);
            width += length + 1;
        }
        self.text.push('\n');
    }
}

/// The lines of a text that can stand as it is: YAML would take a space at the beginning for the
/// indentation, and keeps one line feed at the end or none.
fn block(text: &str) -> Option<Vec<&str>> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let plain = body.contains('\n')
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body.chars().all(|c| c == '\n' || is_plain(c));
    plain.then(|| body.split('\n').collect())
}

/// A character that every reader of YAML takes as it is.
fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A text in double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_plain(c) => out.push(c),
            // What is not plain is below U+10000, and has four digits.
            c => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}
