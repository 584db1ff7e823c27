//! What stands behind the `?` of an address, and the parts of a path.

use std::fmt::Write as _;

/// More pairs than this are nobody's.
const MOST: usize = 32;

/// The pairs of a query or of a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Query {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(MOST);
        let plain = |part: &str| decoded(&part.replace('+', " "));
        Query(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (plain(name), plain(value))
                })
                .collect(),
        )
    }

    /// The names that are there.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// What a name stands for; nothing, if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// A text whose bytes may be written `%2F`.
pub(super) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, more)) = rest.split_first() {
        let hex = more.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(code) if *byte == b'%' => {
                bytes.push(code);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*byte);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text as a part of a path or of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            // Writing to a string cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    // A part of only dots is a direction.
    match &*out {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn queries() {
        let query = Query::parse("q=a+b%2Bc&state=failing&&x&q=second");
        assert_eq!((query.get("q"), query.get("state")), ("a b+c", "failing"));
        assert_eq!((query.get("x"), query.get("y")), ("", ""));
        assert_eq!(Query::parse("a=%zz%4").get("a"), "%zz%4");
    }

    proptest! {
        #[test]
        fn what_is_encoded_can_be_read(text: String) {
            let encoded = encoded(&text);
            prop_assert!(!encoded.contains(['/', '?', '#', '"', '<', ' ']));
            prop_assert_eq!(decoded(&encoded), text);
        }
    }
}
