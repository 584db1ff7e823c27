//! The text of a mail: headers and a body that any server and any reader takes (RFC 5322, 2045,
//! 2047). All of it is ASCII, in lines that no server breaks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::line::{Line, within};

/// So many bytes become an encoded word that fits its line, behind the name of a header too.
const WORD: usize = 36;

/// A line that is longer than this might be broken on its way.
const LONGEST: usize = 900;

/// The longest line of quoted-printable (RFC 2045, 6.7).
const QUOTED: usize = 76;

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A header, with its line end. A value that is not plain, or looks as if it were encoded, is
/// encoded.
pub(super) fn header(name: &str, value: &Line) -> String {
    let value = value.as_str();
    let is_plain = value.is_ascii() && !value.contains("=?") && value.len() < LONGEST;
    if is_plain {
        return format!("{name}: {value}\n");
    }
    let mut words = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let word = within(rest, WORD);
        words.push(format!("=?UTF-8?B?{}?=", base64(word.as_bytes())));
        rest = &rest[word.len()..];
    }
    format!("{name}: {}\n", words.join("\n "))
}

/// A header of addresses, which have been checked.
pub(super) fn addresses(name: &str, all: &[Box<str>]) -> String {
    format!("{name}: {}\n", all.join(",\n "))
}

/// The body, and what it is encoded with.
pub(super) fn body(text: &str) -> (&'static str, String) {
    let plain = |byte: u8| byte == b'\n' || (b' '..=b'~').contains(&byte);
    if text.bytes().all(plain) && text.lines().all(|line| line.len() < LONGEST) {
        return ("7bit", text.to_owned());
    }
    let lines: Vec<String> = text.split('\n').map(quoted).collect();
    ("quoted-printable", lines.join("\n"))
}

/// A line as quoted-printable.
fn quoted(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    let (mut column, last) = (0, line.len().saturating_sub(1));
    for (at, byte) in line.bytes().enumerate() {
        let plain = match byte {
            b'=' => false,
            // At the end it might be lost.
            b' ' => at != last,
            byte => byte.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        // A line that goes on ends in a `=`.
        if column + width >= QUOTED {
            out.push_str("=\n");
            column = 0;
        }
        if plain {
            out.push(byte.into());
        } else {
            out.push_str(&format!("={byte:02X}"));
        }
        column += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let rows = [
            ("backup failed: exit 3", "Subject: backup failed: exit 3\n"),
            ("a\r\nBcc: eve@example.org", "Subject: aBcc: eve@example.org\n"),
            ("Müll", "Subject: =?UTF-8?B?TcO8bGw=?=\n"),
            ("=?UTF-8?B?TcO8bGw=?=", "Subject: =?UTF-8?B?PT9VVEYtOD9CP1RjTzhiR3c9Pz0=?=\n"),
        ];
        for (value, expected) in rows {
            assert_eq!(header("Subject", &Line::new(value)), expected);
        }
        let long = header("Subject", &Line::new(&"ä".repeat(400)));
        assert!(long.lines().all(|line| line.len() <= 76), "{long}");
        assert!(long.lines().skip(1).all(|line| line.starts_with(" =?UTF-8?B?")), "{long}");
        let long = header("X-Schedrs-Job", &Line::new(&"a ".repeat(480)));
        assert!(long.lines().all(|line| line.len() <= 76), "{long}");
    }

    #[test]
    fn bodies() {
        let a_line = "a".repeat(80);
        let folded = format!("{}=\n{}ü", "a".repeat(75), "a".repeat(5)).replace('ü', "=C3=BC");
        let rows = [
            ("plain\ntext\n", "7bit", "plain\ntext\n".to_owned()),
            ("1 = 1 é \nx", "quoted-printable", "1 =3D 1 =C3=A9=20\nx".to_owned()),
            (&format!("{a_line}ü"), "quoted-printable", folded),
        ];
        for (text, encoding, expected) in rows {
            assert_eq!(body(text), (encoding, expected), "{text}");
        }
        let (encoding, long) = body(&"b".repeat(3000));
        assert_eq!(encoding, "quoted-printable");
        assert!(long.lines().all(|line| line.len() <= QUOTED));
    }
}
