//! What is kept of an answer, and of an error: a short line without secrets.

use crate::notify::line::within;
use crate::problem::clean;

/// So many bytes are kept.
const LONGEST: usize = 200;

/// The beginning of a secret is one from so many characters on.
const SHORTEST: usize = 4;

/// A text of anybody's, harmless: secrets masked, control characters made visible, cut.
pub(super) fn shown(text: &str, secrets: &[Box<str>]) -> String {
    // No secret is cut in half before it was looked for, and nothing is looked for in a novel.
    let mut text = within(text, 16 * 1024).to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(&**secret, "***");
        // An answer may end in the middle of one.
        let ends = secret.char_indices().skip(SHORTEST).map(|(at, _)| at);
        if let Some(end) = ends.filter(|end| text.ends_with(&secret[..*end])).last() {
            text.truncate(text.len() - end);
            text.push_str("***");
        }
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = clean(&words.join(" ")).into_owned();
    if line.len() <= LONGEST {
        return line;
    }
    format!("{}…", within(&line, LONGEST - '…'.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_harmless() {
        let rows = [
            ("ok", "ok"),
            (" <html>\r\n  no\n</html> ", "<html> no </html>"),
            ("\u{1b}[31mred\0", "␛[31mred␀"),
            ("no service at /services/s3cret/s3cretpart!", "no service at ***/***part!"),
            ("no s3cret at /services/s3cre", "no *** at ***"),
            ("no s3cre", "no ***"),
            ("no s3c", "no s3c"),
        ];
        let secrets = ["/services/s3cret".into(), "s3cret".into()];
        for (text, expected) in rows {
            assert_eq!(shown(text, &secrets), expected);
        }
        for text in ["x".repeat(5000), "ä".repeat(5000), "\u{202e}".repeat(5000)] {
            let shown = shown(&text, &[]);
            assert!(shown.len() <= LONGEST && shown.ends_with('…'), "{shown}");
        }
        // Not even a part of a secret that would be cut.
        let text = format!("{}s3cret", "x".repeat(LONGEST - 5));
        assert!(!shown(&text, &secrets).contains("s3"), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_answered(text in "[\\s\\S]{0,300}|\\PC{0,300}", secret in "[a-z]{4,9}") {
            let shown = shown(&format!("{text}{secret}{text}"), &[secret.as_str().into()]);
            proptest::prop_assert!(shown.len() <= LONGEST && !shown.contains(&secret), "{shown}");
            proptest::prop_assert!(!shown.contains(crate::problem::is_hidden), "{shown:?}");
        }
    }
}
