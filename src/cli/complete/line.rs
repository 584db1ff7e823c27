//! A line as a shell would take it apart, up to where it is being typed.

/// The words of a line, quotes and backslashes taken off; the last is the one being typed, and may
/// be empty.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    // Between words.
    let mut fresh = true;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let escapes = c == '\\' && quote != Some('\'');
        let in_word = match (c, quote) {
            (_, Some(open)) if c == open => {
                quote = None;
                None
            }
            ('\'' | '"', None) => {
                quote = Some(c);
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
    words
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
    fn what_is_quoted_is_one_word_again() {
        for word in ["backup", "a b", "it's", "$HOME", "ä;rm -rf", "a\\b", "#1"] {
            assert_eq!(words(&quoted(word)), [word]);
        }
    }
}
