//! A line of a crontab as cron takes it apart, whatever its words mean.

use std::ops::Range;

/// What is said of a line that is in another encoding.
pub(in crate::convert::import) const NOT_UTF8: &str = "not converted: this line is not UTF-8";
pub(in crate::convert::import) const NOT_UTF8_HELP: &str =
    "use UTF-8: a file in another encoding can be converted with iconv";

/// Whether a line that does something lost bytes when its file was read. What stands in a comment
/// of an old file does not matter.
pub(in crate::convert::import) fn not_utf8(line: &str) -> bool {
    line.contains(char::REPLACEMENT_CHARACTER) && !line.trim_start().starts_with('#')
}

/// The words of a line, as ranges of bytes.
pub(super) fn words(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + text[at..].find(|c| c != ' ' && c != '\t')?;
        let end = text[start..].find([' ', '\t']).map_or(text.len(), |len| start + len);
        at = end;
        Some(start..end)
    })
}

/// `NAME=value`, with the quotes that cron takes off.
pub(in crate::convert::import) fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = unquoted(name.trim());
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(valid) || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    Some((name, unquoted(value.trim())))
}

/// Why a `SHELL` or `HOME` cannot stand in a jobfile, which takes neither from a search.
pub(in crate::convert::import) fn unusable(name: &str, value: &str) -> Option<String> {
    match name {
        "SHELL" | "HOME" if value.trim().is_empty() => Some(format!("`{name}` is empty")),
        "SHELL" if value.contains(char::is_whitespace) => {
            Some(format!("cron takes `{value}` as the path of one program"))
        }
        _ => None,
    }
}

fn unquoted(text: &str) -> &str {
    let inner = ['"', '\'']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote).and_then(|text| text.strip_suffix(*quote)));
    inner.unwrap_or(text)
}

/// What in a command leaves a process behind: an `&` that is no part of `&&`, `>&` or `&>`, outside
/// of quotes, or a program that is made for it.
pub(super) fn left_behind(command: &str) -> Option<&str> {
    let is_between = |c| matches!(c, ' ' | '\t' | ';' | '|' | '&' | '(' | ')');
    let waits = command.split(is_between).any(|word| word == "wait");
    let (mut quote, mut before) = (None, ' ');
    let mut chars = command.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                chars.next();
            }
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('&', None) => {
                let twice = chars.next_if(|(_, next)| matches!(next, '&' | '>')).is_some();
                if !twice && !waits && !matches!(before, '>' | '<' | '|') {
                    return command.get(at..=at);
                }
            }
            _ => {}
        }
        before = c;
    }
    let is_made_for_it = |word: &&str| {
        let name = word.rsplit('/').next().unwrap_or(word);
        matches!(name, "nohup" | "setsid" | "disown" | "start-stop-daemon" | "daemonize")
    };
    command.split(is_between).find(is_made_for_it)
}

/// The lock, and the command that runs under it, of a `flock -n LOCK COMMAND` that does nothing else.
pub(super) fn under_lock(command: &str) -> Option<(&str, &str)> {
    let mut words = words(command);
    let mut word = || words.next().map(|range| (&command[range.clone()], range.end));
    let (program, _) = word()?;
    if program.rsplit('/').next() != Some("flock") {
        return None;
    }
    let mut gives_up = false;
    let (lock, after) = loop {
        match word()? {
            ("--nonblock" | "--nb", _) => gives_up = true,
            ("--exclusive" | "--no-fork" | "--close" | "--", _) => {}
            (flags, _) if flags.starts_with('-') => {
                let flags = flags.get(1..)?;
                if flags.is_empty() || !flags.chars().all(|c| "nxeoF".contains(c)) {
                    return None;
                }
                gives_up |= flags.contains('n');
            }
            found => break found,
        }
    };
    let rest = command.get(after..)?.trim();
    // What a shell would read differently without it stays as it is.
    let is_plain = !rest.starts_with('-') && !rest.contains(['\'', '"', '\\', '|', '&', ';', '`']);
    (gives_up && is_plain && !rest.is_empty()).then_some((lock, rest))
}

/// The command, and what it gets on standard input: cron ends the command at the first `%`, makes
/// lines of the others, and ends the last one.
///
/// In a command, Vixie cron and Debian's make one backslash of two, so that the `%` of `\\%` is
/// none that was escaped. In standard input only `\%` means anything.
pub(super) fn split_percent(text: &str) -> (String, Option<String>) {
    let mut command = String::new();
    let mut chars = text.chars().peekable();
    loop {
        match chars.next() {
            None => return (command, None),
            Some('%') => break,
            Some('\\') => command.push(chars.next_if(|c| matches!(c, '%' | '\\')).unwrap_or('\\')),
            Some(c) => command.push(c),
        }
    }
    let mut stdin = String::new();
    while let Some(c) = chars.next() {
        stdin.push(match c {
            '\\' => chars.next_if_eq(&'%').unwrap_or('\\'),
            '%' => '\n',
            c => c,
        });
    }
    if !stdin.is_empty() && !stdin.ends_with('\n') {
        stdin.push('\n');
    }
    // A command that has no standard input reads the same nothing.
    (command, Some(stdin).filter(|stdin| !stdin.is_empty()))
}
