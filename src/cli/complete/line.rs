//! A line as a shell would take it apart, up to where it is being typed.

/// A line that was taken apart.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its words, quotes and backslashes taken off; the last is the one being typed, and may be empty.
    pub(crate) words: Vec<String>,
    /// The quote in which that is being typed, if it is, and how much of the word stands before it.
    pub(crate) quote: Option<(char, usize)>,
}

/// The words of a line.
pub(crate) fn words(line: &str) -> Vec<String> {
    apart(line).words
}

/// Takes a line apart.
pub(crate) fn apart(line: &str) -> Line {
    let mut words = vec![String::new()];
    let mut quote: Option<(char, usize)> = None;
    // Between words.
    let mut fresh = true;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let escapes = c == '\\' && !matches!(quote, Some(('\'', _)));
        let in_word = match (c, quote) {
            (_, Some((open, _))) if c == open => {
                quote = None;
                None
            }
            ('\'' | '"', None) => {
                quote = Some((c, words.last().map_or(0, String::len)));
                fresh = false;
                None
            }
            (' ' | '\t' | '\n', None) => {
                if !fresh {
                    words.push(String::new());
                    fresh = true;
                }
                None
            }
            _ if escapes => chars.next(),
            (c, _) => Some(c),
        };
        if let (Some(c), Some(word)) = (in_word, words.last_mut()) {
            word.push(c);
            fresh = false;
        }
    }
    Line { words, quote }
}

/// The rest of a word that goes on within a quote, which the shell closes itself.
pub(crate) fn within(quote: char, rest: &str) -> String {
    if quote == '\'' {
        return rest.replace('\'', r"'\''");
    }
    let mut escaped = String::with_capacity(rest.len());
    for c in rest.chars() {
        if "\\\"$`".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A word so that a shell takes it as it is.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    let mut quoted = String::with_capacity(word.len());
    for c in word.chars() {
        if !plain(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart_as_shells_do() {
        let rows: [(&str, &[&str]); 9] = [
            ("", &[""]),
            ("schedrs", &["schedrs"]),
            ("schedrs ", &["schedrs", ""]),
            ("  schedrs   run  x", &["schedrs", "run", "x"]),
            ("schedrs stop 'a b' c", &["schedrs", "stop", "a b", "c"]),
            ("schedrs stop \"a b", &["schedrs", "stop", "a b"]),
            (r"schedrs stop a\ b", &["schedrs", "stop", "a b"]),
            ("schedrs stop ''", &["schedrs", "stop", ""]),
            ("schedrs --color=a", &["schedrs", "--color=a"]),
        ];
        for (line, apart) in rows {
            assert_eq!(words(line), apart, "{line:?}");
        }
    }

    #[test]
    fn a_quote_that_is_open() {
        for (line, open) in [
            ("schedrs stop 'a b", Some(('\'', 0))),
            ("schedrs stop \"a b", Some(('"', 0))),
            ("schedrs --job='ba", Some(('\'', 6))),
            ("schedrs stop 'a b'", None),
            ("schedrs stop 'it'\"'", Some(('"', 2))),
        ] {
            assert_eq!(apart(line).quote, open, "{line}");
        }
        for word in ["a b", "it's", "$HOME", "a\\b", "say \"hi\"", "`x`"] {
            for quote in ['\'', '"'] {
                let line = format!("{quote}{}{quote}", within(quote, word));
                assert_eq!(words(&line), [word], "{line}");
            }
        }
    }

    #[test]
    fn what_is_quoted_is_one_word_again() {
        for word in ["backup", "a b", "it's", "$HOME", "ä;rm -rf", "a\\b", "#1"] {
            assert_eq!(words(&quoted(word)), [word]);
        }
    }
}
