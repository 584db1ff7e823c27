//! The names that systemd has for exit codes: see systemd.exec(5), or `systemd-analyze
//! exit-status`.

/// Runs of names, each with the code of its first.
const NAMES: &[(u8, &[&str])] = &[
    (
        0,
        &[
            "SUCCESS",
            "FAILURE",
            "INVALIDARGUMENT",
            "NOTIMPLEMENTED",
            "NOPERMISSION",
            "NOTINSTALLED",
            "NOTCONFIGURED",
            "NOTRUNNING",
        ],
    ),
    (
        64,
        &[
            "USAGE",
            "DATAERR",
            "NOINPUT",
            "NOUSER",
            "NOHOST",
            "UNAVAILABLE",
            "SOFTWARE",
            "OSERR",
            "OSFILE",
            "CANTCREAT",
            "IOERR",
            "TEMPFAIL",
            "PROTOCOL",
            "NOPERM",
            "CONFIG",
        ],
    ),
    (
        200,
        &[
            "CHDIR",
            "NICE",
            "FDS",
            "EXEC",
            "MEMORY",
            "LIMITS",
            "OOM_ADJUST",
            "SIGNAL_MASK",
            "STDIN",
            "STDOUT",
            "CHROOT",
            "IOPRIO",
            "TIMERSLACK",
            "SECUREBITS",
            "SETSCHEDULER",
            "CPUAFFINITY",
            "GROUP",
            "USER",
            "CAPABILITIES",
            "CGROUP",
            "SETSID",
            "CONFIRM",
            "STDERR",
        ],
    ),
    (
        224,
        &[
            "PAM",
            "NETWORK",
            "NAMESPACE",
            "NO_NEW_PRIVILEGES",
            "SECCOMP",
            "SELINUX_CONTEXT",
            "PERSONALITY",
            "APPARMOR",
            "ADDRESS_FAMILIES",
            "RUNTIME_DIRECTORY",
        ],
    ),
    (
        235,
        &[
            "CHOWN",
            "SMACK_PROCESS_LABEL",
            "KEYRING",
            "STATE_DIRECTORY",
            "CACHE_DIRECTORY",
            "LOGS_DIRECTORY",
            "CONFIGURATION_DIRECTORY",
            "NUMA_POLICY",
            "CREDENTIALS",
            "BPF",
        ],
    ),
    (255, &["EXCEPTION"]),
];

/// An exit code by its number or its name; none for a signal.
pub(super) fn code(word: &str) -> Option<u8> {
    let named = || {
        NAMES.iter().find_map(|(first, names)| {
            let at = names.iter().position(|name| *name == word)?;
            first.checked_add(u8::try_from(at).ok()?)
        })
    };
    word.parse().ok().or_else(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_systemd() {
        let rows = [
            ("75", Some(75)),
            ("SUCCESS", Some(0)),
            ("NOTRUNNING", Some(7)),
            ("DATAERR", Some(65)),
            ("CONFIG", Some(78)),
            ("STDERR", Some(222)),
            ("PAM", Some(224)),
            ("RUNTIME_DIRECTORY", Some(233)),
            ("BPF", Some(244)),
            ("EXCEPTION", Some(255)),
            ("SIGKILL", None),
            ("256", None),
        ];
        for (word, expected) in rows {
            assert_eq!(code(word), expected, "{word}");
        }
    }
}
