//! Text in a given number of columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A text of which the middle is cut out to fit a width: of ids that begin alike, the end says which it
/// is.
pub(crate) fn fit_ends(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let end_width = width.saturating_sub(1) / 2;
    let (mut end, mut left) = (text.len(), end_width);
    for (at, char) in text.char_indices().rev() {
        let Some(rest) = left.checked_sub(char.width().unwrap_or(0)) else { break };
        (end, left) = (at, rest);
    }
    fit(text, width - end_width.min(width)) + &text[end..]
}

/// A text cut to a width, with an ellipsis where it was cut.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut cut = String::new();
    for char in text.chars() {
        let Some(rest) = left.checked_sub(char.width().unwrap_or(0)) else { break };
        left = rest;
        cut.push(char);
    }
    cut.push('…');
    cut
}

/// A text in lines, broken between words: `first` columns are in the first line, `rest` in the others.
/// A word that is longer has a line that is longer, and so has a command in backquotes: where the
/// terminal breaks it, it can be copied and works, where we do, it does not.
pub(crate) fn wrap(text: &str, first: usize, rest: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut room = first;
    for word in words(text) {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.width() + 1 + word.width() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => {
                lines.push(word.to_owned());
                room = rest;
            }
        }
    }
    lines
}

/// What is between the spaces of a text, where what is in backquotes is one word.
fn words(text: &str) -> Vec<&str> {
    let last_quote = text.rfind('`').unwrap_or(0);
    let (mut words, mut start, mut is_quoted) = (Vec::new(), 0, false);
    for (at, char) in text.char_indices() {
        match char {
            '`' => is_quoted = !is_quoted && at < last_quote,
            ' ' if !is_quoted => {
                words.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&text[start..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_cut() {
        for (text, width, expected) in [
            ("backup", 6, "backup"),
            ("backup-of-the-database-eu-west-1", 24, "backup-of-th…e-eu-west-1"),
            ("backup-of-the-database-eu-west-2", 24, "backup-of-th…e-eu-west-2"),
            ("abcdef", 5, "ab…ef"),
            ("abcdef", 4, "ab…f"),
            ("abcdef", 1, "…"),
            ("日本語日本語", 7, "日…語"),
            ("äöüßé", 3, "ä…é"),
        ] {
            let cut = fit_ends(text, width);
            assert!(cut.width() <= width, "{cut}");
            assert_eq!(cut, expected, "{text} in {width}");
        }
    }

    #[test]
    fn lines_are_broken_between_words() {
        for (text, first, rest, expected) in [
            ("", 5, 5, &[""][..]),
            ("one two three", 13, 13, &["one two three"]),
            ("one two three", 12, 12, &["one two", "three"]),
            ("one two three", 12, 2, &["one two", "three"]),
            ("one two three", 4, 9, &["one", "two three"]),
            ("one two three", 0, 0, &["one", "two", "three"]),
            ("ab 日本語", 5, 5, &["ab", "日本語"]),
            ("type `make all` now", 10, 10, &["type", "`make all`", "now"]),
            ("type `make all now", 10, 10, &["type `make", "all now"]),
            ("`a b` c `d", 5, 5, &["`a b`", "c `d"]),
        ] {
            assert_eq!(wrap(text, first, rest), expected, "{text:?} {first} {rest}");
        }
    }
}
