//! A `%` in a command that means something in a crontab, and nothing here.

use std::ops::Range;

use super::tree::Value;
use super::value::{Scope, inside};
use crate::problem::Problem;

/// Warns of it in a string for the shell.
pub(super) fn warn(value: &Value<'_>, text: &str, scope: &mut Scope<'_>) {
    let Some((range, escaped)) = crontab_percent(text) else { return };
    let span = inside(value.span, scope.typed(value.span), text, range);
    let place = scope.place(span);
    scope.push(if escaped {
        Problem::warning(place, "this `\\%` looks copied from a crontab")
            .help("`%` is not special here: write `%` without the backslash")
    } else {
        Problem::warning(place, "this `%` looks copied from a crontab")
            .help("`%` does not end the command here: put what follows it in `stdin`")
    });
}

/// The first `%` that was probably written for cron: `\%`, or one that ends the command there
/// (`mail root%Hello`). Those of `date +%F`, `printf %s`, `${x%.gz}` and URLs are none. The answer
/// says whether it is the former.
fn crontab_percent(text: &str) -> Option<(Range<usize>, bool)> {
    if !text.contains('%') {
        return None;
    }
    if let Some(at) = text.find("\\%") {
        return Some((at..at + 2, true));
    }
    let mut quote = None;
    let mut word = 0;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match (byte, quote) {
            (b'\'' | b'"', None) => quote = Some(*byte),
            (byte, Some(open)) if *byte == open => quote = None,
            (_, Some(_)) => {}
            (b' ' | b'\t' | b';' | b'|' | b'&', None) => word = at + 1,
            (b'%', None) => {
                let before = &bytes[word..at];
                let after: Vec<u8> = bytes[at + 1..].iter().copied().take(2).collect();
                let ends_word = before.last().is_some_and(u8::is_ascii_alphanumeric)
                    && !before.iter().any(|byte| b"+%${}=:/".contains(byte));
                let text_follows = match after[..] {
                    // `50%` is a number.
                    [] | [b' ', ..] => before.iter().any(u8::is_ascii_alphabetic),
                    [a, b] => a.is_ascii_alphabetic() && b.is_ascii_alphabetic(),
                    _ => false,
                };
                let url = after.len() == 2 && after.iter().all(u8::is_ascii_hexdigit);
                if ends_word && text_follows && !url {
                    return Some((at..at + 1, false));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::crontab_percent;

    #[test]
    fn knows_a_crontabs_percent_sign() {
        let rows = [
            (r"tar czf /b/$(date +\%F).tgz /srv", Some((r"\%", true))),
            ("mail -s report root%Hello there%%bye", Some(("%", false))),
            ("mail -s report root%", Some(("%", false))),
            ("date +%F", None),
            ("date +%Y%m%d > x", None),
            ("date '+%F %T'", None),
            ("printf %s x", None),
            ("printf \"100%Done\"", None),
            ("gunzip -c $x > ${x%.gz}", None),
            ("curl -w %{http_code} http://x/a%20b", None),
            ("test $(df / | tail -1 | cut -f5) = 50%", None),
            ("git log --format=%H%nfoo", None),
            ("ffmpeg -i frame%04d.png", None),
            ("kill %1", None),
            ("true", None),
        ];
        for (command, found) in rows {
            let answer = crontab_percent(command).map(|(at, escaped)| (&command[at], escaped));
            assert_eq!(answer, found, "{command}");
        }
    }
}
