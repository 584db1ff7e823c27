//! What only a shell understands, where no shell reads it: in the words of a `command` that is an
//! array, in paths, and in the values of `env`. All of it is legal, and none of it is meant.

use std::ops::Range;

use super::tree::{Node, Value};
use super::value::{Scope, inside};
use crate::core::job::below_home;
use crate::problem::Problem;

const FULL_PATH: &str = "write the full path";

/// Programs that take as a pattern, an expression or a script what a shell would take for itself. What
/// such a program is given, also below `sudo` or `timeout`, is not looked at.
const TAKE_PATTERNS: [&str; 30] = [
    "[", "ag", "awk", "bash", "column", "cut", "dash", "egrep", "expr", "fd", "fgrep", "find",
    "fish", "gawk", "git", "grep", "jq", "ksh", "mawk", "parallel", "perl", "rg", "rsync", "sed",
    "sh", "sort", "ssh", "test", "tr", "zsh",
];

/// Variables that people expect to be filled in. Others are mostly meant for the program.
const EXPECTED: [&str; 8] =
    ["HOME", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "USER", "HOSTNAME"];

/// Warns of the words of a command that is an array.
pub(super) fn words(values: &[Value<'_>], scope: &mut Scope<'_>) {
    let words: Vec<&str> = values.iter().filter_map(text_of).collect();
    if words.len() != values.len() {
        return;
    }
    if let [line] = words[..] {
        one_word(&values[0], line, scope);
        return;
    }
    let (mut operator, mut glob, mut expansion) = (false, false, false);
    for (index, word) in words.iter().enumerate().skip(1) {
        if TAKE_PATTERNS.contains(&program(words[index - 1])) {
            (operator, glob) = (true, true);
        }
        let value = &values[index];
        let is_of_option = words[index - 1].starts_with('-');
        if !operator && !is_of_option && is_operator(word) {
            operator = true;
            let message = format!(
                "`{word}` is passed to `{}` as an argument: no shell is involved",
                words[0]
            );
            let problem = Problem::warning(scope.place(value.span), message);
            scope.push(problem.help(as_one_string(&words)));
        }
        if !glob && !is_of_option && is_glob(word) {
            glob = true;
            let message = format!("`{word}` is not expanded: no shell is involved");
            let problem = Problem::warning(scope.place(value.span), message);
            scope.push(problem.help(as_one_string(&words)));
        }
        expansion = expansion || self::expansion(value, word, None, &as_one_string(&words), scope);
    }
    if !expansion {
        self::expansion(&values[0], words[0], None, FULL_PATH, scope);
    }
}

/// Warns of a path that begins as only a shell's may.
pub(super) fn path(value: &Value<'_>, scope: &mut Scope<'_>) {
    if let Some(path) = text_of(value) {
        expansion(value, path, None, FULL_PATH, scope);
    }
}

/// Warns of a store in a file whose path begins so.
pub(super) fn store(value: &Value<'_>, file: &str, scope: &mut Scope<'_>) {
    if let Some(url) = text_of(value)
        && let Some(at) = expanded(file, None)
    {
        let before = url.len() - file.len();
        warn(value, url, before + at.start..before + at.end, FULL_PATH, scope);
    }
}

/// Warns of a text for standard input that is the path of a file.
pub(super) fn stdin(value: &Value<'_>, text: &str, scope: &mut Scope<'_>) {
    let is_path = below_home(text).is_some_and(|rest| rest.len() > 1);
    if is_path && !text.contains(char::is_whitespace) {
        let help = format!(
            "`stdin` is text and not the name of a file: to read one, write \
             `command = \"COMMAND < {text}\"`"
        );
        expansion(value, text, None, &help, scope);
    }
}

/// Warns of the value of a variable that names others.
pub(super) fn variable(name: &str, value: &Value<'_>, scope: &mut Scope<'_>) {
    if let Some(text) = text_of(value) {
        // `$PATH:/opt/bin`
        let (braced, plain) = (format!("${{{name}}}"), format!("${name}"));
        let around = |form: &str| {
            let more = |key, more: &str| {
                format!("write `{name} = {{ {key} = {} }}`", super::write::string(more))
            };
            let after = text.strip_prefix(form).and_then(|rest| rest.strip_prefix(':'));
            let before = text.strip_suffix(form).and_then(|rest| rest.strip_suffix(':'));
            after.map(|it| more("append", it)).or_else(|| before.map(|it| more("prepend", it)))
        };
        let help = around(&braced).or_else(|| around(&plain));
        let help = help.as_deref().unwrap_or("write the value itself");
        expansion(value, text, Some(name), help, scope);
    }
}

/// The name of a program, without its directory.
fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or_default()
}

fn text_of<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match &value.node {
        Node::String(text) => Some(text),
        _ => None,
    }
}

/// A whole command line in the place of a program.
fn one_word(value: &Value<'_>, line: &str, scope: &mut Scope<'_>) {
    let mut parts = line.split_whitespace();
    let (Some(first), Some(second)) = (parts.next(), parts.next()) else {
        expansion(value, line, None, FULL_PATH, scope);
        return;
    };
    // `/opt/Some Tool/run` may be a program.
    let may_be_path =
        first.contains('/') && second.contains('/') && !second.starts_with(['/', '-']);
    if may_be_path {
        return;
    }
    let words: Vec<String> = line
        .split_whitespace()
        .map(|word| format!("\"{}\"", word.replace(['"', '\\'], "")))
        .collect();
    let problem = Problem::warning(
        scope.place(value.span),
        "this is one word, so the spaces are taken as part of the program's name",
    );
    let help = if line.contains(['"', '\'', '\\', '$', '|', '&', ';', '<', '>']) {
        "without the brackets, a shell runs it".to_owned()
    } else {
        format!("write `[{}]`, or without the brackets to run it in a shell", words.join(", "))
    };
    scope.push(problem.help(help));
}

/// `&&`, `|`, `>>`, `2>&1`, `>/dev/null`. Not `;`, which `find -exec` wants, and others.
fn is_operator(word: &str) -> bool {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
    let target = rest.strip_prefix(">>").or_else(|| rest.strip_prefix('>'));
    matches!(word, "&&" | "||" | "|" | "&" | "|&" | "<" | "<<<")
        || target.is_some_and(|target| target.is_empty() || target.starts_with(['/', '&']))
}

/// `*`, `*.log`, `/tmp/*`: as paths have it, and not a pattern of the program's own.
fn is_glob(word: &str) -> bool {
    let star = word.contains('*') && !word.contains(char::is_whitespace);
    let is_pathlike = word == "*" || word.starts_with("*.") || word.contains('/');
    star && is_pathlike && !word.contains("://") && !word.starts_with(['-', '+'])
}

/// Warns of `~` and of variables; answers whether there are any.
fn expansion(
    value: &Value<'_>,
    text: &str,
    own: Option<&str>,
    help: &str,
    scope: &mut Scope<'_>,
) -> bool {
    match expanded(text, own) {
        Some(at) => warn(value, text, at, help, scope),
        None => return false,
    }
    true
}

/// What a shell would put something else for.
fn expanded(text: &str, own: Option<&str>) -> Option<Range<usize>> {
    tilde(text).or_else(|| variable_in(text, own))
}

fn warn(value: &Value<'_>, text: &str, at: Range<usize>, help: &str, scope: &mut Scope<'_>) {
    let message = format!("`{}` is not expanded here: no shell is involved", &text[at.clone()]);
    let span = inside(value.span, scope.typed(value.span), text, at);
    scope.push(Problem::warning(scope.place(span), message).help(help));
}

fn tilde(text: &str) -> Option<Range<usize>> {
    (text == "~" || text.starts_with("~/")).then_some(0..1)
}

/// The first `$NAME` or `${NAME}` of those that are expected, or of its own name.
fn variable_in(text: &str, own: Option<&str>) -> Option<Range<usize>> {
    for (at, _) in text.match_indices('$') {
        let rest = &text[at + 1..];
        let name = rest.strip_prefix('{').unwrap_or(rest);
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        let name = &name[..end];
        let is_ours = name.starts_with("SCHEDRS_");
        if EXPECTED.contains(&name) || own == Some(name) || is_ours {
            let braces = if rest.starts_with('{') { 2 } else { 0 };
            return Some(at..(at + 1 + name.len() + braces).min(text.len()));
        }
    }
    None
}

/// The command as a shell would read it.
fn as_one_string(words: &[&str]) -> String {
    let line = words.join(" ");
    let is_plain = words.iter().all(|word| !word.contains([' ', '"', '\'', '\\', '\n']));
    if is_plain && line.len() <= 60 {
        format!("to use a shell, write `command = \"{line}\"`")
    } else {
        "to use a shell, write the command as one string".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_operators_and_globs_from_arguments() {
        let operators = ["&&", "||", "|", ">", ">>", "2>&1", ">/dev/null", "2>>/tmp/x", "&>", "<"];
        for word in operators {
            assert!(is_operator(word), "{word}");
        }
        for word in ["", ";", ">=1.0", "a&b", "a|b", "--", "-", "1", "=>", "2"] {
            assert!(!is_operator(word), "{word}");
        }
        for word in ["*", "*.log", "/tmp/*", "./*.c", "a/*/b"] {
            assert!(is_glob(word), "{word}");
        }
        for word in ["a", "2*3", "s3://bucket/*", "--exclude=/a/*", "select * from /x", "**bold**"]
        {
            assert!(!is_glob(word), "{word}");
        }
    }

    #[test]
    fn finds_what_a_shell_would_expand() {
        let rows = [
            ("$HOME/bin", None, Some("$HOME")),
            ("a${HOME}b", None, Some("${HOME}")),
            ("$FOO:/bin", Some("FOO"), Some("$FOO")),
            ("$SCHEDRS_DUE", None, Some("$SCHEDRS_DUE")),
            ("$HOMER", None, None),
            ("$FOO", None, None),
            ("pa$$word", None, None),
            ("$", None, None),
            ("100$", None, None),
        ];
        for (text, own, found) in rows {
            assert_eq!(variable_in(text, own).map(|at| &text[at]), found, "{text}");
        }
        assert!(tilde("~").is_some() && tilde("~/x").is_some());
        assert!(tilde("~root/x").is_none() && tilde("a~").is_none());
    }
}
