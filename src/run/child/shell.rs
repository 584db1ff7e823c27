//! String commands: given to a shell, or executed directly where nobody can tell the difference.
//!
//! Starting a shell only to have it execute one program costs four fifths of a start. `make` has
//! skipped it for decades, and so do we, when all of this holds:
//!
//! * the job's shell is `/bin/sh` with no arguments, and that is dash or bash: shells whose
//!   treatment of a plain command line is known;
//! * every character is one that neither shell gives a meaning to: no quotes, expansions, globs,
//!   redirections, comments, separators;
//! * the first word is not an assignment, a keyword, nor a builtin of either shell (`echo` is a
//!   program as well, but not the same one);
//! * the environment holds nothing that changes what a shell does: functions that bash exports, or
//!   options for it;
//! * PATH leads to an executable file. Where it does not, or where executing it fails, the shell
//!   is started after all, so that message and exit code are the shell's own.
//!
//! What is left is a shell that would have executed the program in its own place (`sh -c` does so
//! for the last command): the same process id, the same signals, the same exit code.

/// The words of a command that can be executed without a shell.
pub(super) fn plain_words(command: &str) -> Option<Vec<&str>> {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b' ' | b'\t')
            || b"_./:@%+,-=".contains(&byte)
    };
    if !command.bytes().all(plain) {
        return None;
    }
    let words: Vec<&str> = command.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    let first = words.first()?;
    // `%1` and `-` mean something to some shells in the first place.
    if first.contains('=') || first.starts_with(['%', '-', '+']) || is_special(first) {
        return None;
    }
    Some(words)
}

/// Whether the variable makes a shell read more than its command line says.
pub(super) fn changes_shells(name: &[u8]) -> bool {
    name.starts_with(b"BASH_FUNC_")
        || matches!(name, b"BASHOPTS" | b"SHELLOPTS" | b"POSIXLY_CORRECT" | b"BASH_ENV")
}

/// Whether `/bin/sh` is a shell of which the above is known.
pub(super) fn sh_is_known() -> bool {
    std::fs::canonicalize("/bin/sh")
        .ok()
        .and_then(|path| Some(matches!(path.file_name()?.to_str()?, "dash" | "bash")))
        .unwrap_or(false)
}

/// Whether a word is a keyword or a builtin of a shell that `/bin/sh` may be.
fn is_special(word: &str) -> bool {
    SPECIAL.binary_search(&word).is_ok()
}

/// Keywords and builtins of dash and bash, and those of other shells that are no programs; sorted.
const SPECIAL: [&str; 135] = [
    ".",
    ":",
    "[",
    "alias",
    "array",
    "autoload",
    "bg",
    "bind",
    "bindkey",
    "break",
    "builtin",
    "bye",
    "caller",
    "case",
    "cd",
    "chdir",
    "command",
    "compadd",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disable",
    "disown",
    "do",
    "done",
    "echo",
    "echotc",
    "echoti",
    "elif",
    "else",
    "emulate",
    "enable",
    "enum",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "float",
    "for",
    "foreach",
    "function",
    "functions",
    "getln",
    "getopts",
    "global",
    "hash",
    "help",
    "hist",
    "history",
    "if",
    "in",
    "integer",
    "jobs",
    "kill",
    "let",
    "limit",
    "local",
    "logout",
    "mapfile",
    "nameref",
    "namespace",
    "newgrp",
    "nocorrect",
    "noglob",
    "popd",
    "print",
    "printf",
    "private",
    "pushd",
    "pushln",
    "pwd",
    "r",
    "read",
    "readarray",
    "readonly",
    "redirect",
    "rehash",
    "repeat",
    "return",
    "sched",
    "select",
    "set",
    "setopt",
    "shift",
    "shopt",
    "source",
    "stop",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "ttyctl",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unfunction",
    "unhash",
    "unlimit",
    "unset",
    "unsetopt",
    "until",
    "vared",
    "vpath",
    "wait",
    "whence",
    "where",
    "which",
    "while",
    "zcompile",
    "zformat",
    "zftp",
    "zle",
    "zmodload",
    "zparseopts",
    "zprof",
    "zpty",
    "zregexparse",
    "zsocket",
    "zstat",
    "zstyle",
    "ztcp",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_words_are_sorted() {
        assert!(SPECIAL.is_sorted());
    }

    #[test]
    fn only_what_no_shell_reads_otherwise_is_plain() {
        for (command, words) in [
            ("/usr/bin/backup  --all\t-v ", Some(vec!["/usr/bin/backup", "--all", "-v"])),
            (
                "curl -fsS http://127.0.0.1:80/a%20b",
                Some(vec!["curl", "-fsS", "http://127.0.0.1:80/a%20b"]),
            ),
            ("dd if=/dev/zero of=x", Some(vec!["dd", "if=/dev/zero", "of=x"])),
            ("", None),
            ("  ", None),
            ("A=1 env", None),
            ("echo hi", None),
            ("exec foo", None),
            ("foo 'a b'", None),
            ("foo $HOME", None),
            ("foo ~", None),
            ("foo *.txt", None),
            ("foo [ab]", None),
            ("foo {a,b}", None),
            ("foo > x", None),
            ("foo; bar", None),
            ("foo\nbar", None),
            ("foo #x", None),
            ("foo \\x", None),
            ("! foo", None),
            ("%1", None),
            ("foo \u{e9}", None),
        ] {
            assert_eq!(plain_words(command), words, "{command}");
        }
    }
}
