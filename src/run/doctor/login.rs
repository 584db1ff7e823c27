//! A job's environment beside that of its user's login shell, in which the command was probably
//! tried before it was made a job.

use std::collections::BTreeMap;

use super::Finding;

/// What is set in a terminal and missed by no command, or differs by its nature.
const OF_TERMINALS: &[&str] = &[
    "_",
    "COLORTERM",
    "COLUMNS",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "HISTCONTROL",
    "HISTFILE",
    "HISTSIZE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LESSCLOSE",
    "LESSOPEN",
    "LINES",
    "LOGNAME",
    "LS_COLORS",
    "MAIL",
    "MAILCHECK",
    "MANAGERPID",
    "MOTD_SHOWN",
    "OLDPWD",
    "PAGER",
    "PS1",
    "PWD",
    "SHELL",
    "SHLVL",
    "SYSTEMD_EXEC_PID",
    "TERM",
    "TMUX",
    "TMUX_PANE",
    "USER",
    "WINDOWID",
];

/// And what begins so.
const PREFIXES: &[&str] =
    &["SCHEDRS_", "SSH_", "XDG_", "BASH_FUNC_", "TERM_", "LC_TERMINAL", "STATE_DIR", "LOGS_DIR"];

type Variables = BTreeMap<Vec<u8>, Vec<u8>>;

/// The variables of a text as `env -0` writes it and `/proc/PID/environ` holds it.
pub(crate) fn variables(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let entries = text.split(|byte| *byte == 0);
    let pair = |entry: &[u8]| {
        let equals = entry.iter().position(|byte| *byte == b'=')?;
        Some((entry[..equals].to_vec(), entry[equals + 1..].to_vec()))
    };
    entries.filter_map(pair).collect()
}

/// What a job would miss that a login shell of `user` has. Values are not told: they may be secret.
pub(crate) fn compare(job: &Variables, login: &Variables, user: &str) -> Vec<Finding> {
    const ABOUT: &str = "environment";
    let mut found = Vec::new();
    let dirs = |variables: &Variables| -> Vec<String> {
        let path =
            variables.get(&b"PATH"[..]).map(|path| String::from_utf8_lossy(path).into_owned());
        path.unwrap_or_default().split(':').map(str::to_owned).collect()
    };
    let of_job = dirs(job);
    let mut missing = dirs(login);
    missing.retain(|dir| !dir.is_empty() && !of_job.contains(dir));
    missing.dedup();
    if !missing.is_empty() {
        found.push(Finding::warning(
            ABOUT,
            format!("PATH lacks {}, which {user}'s login shell has", missing.join(", ")),
            "use full paths, or set `env = { PATH = \"...\" }`",
        ));
    }
    let telling = |name: &[u8]| {
        let name = String::from_utf8_lossy(name).into_owned();
        let usual = OF_TERMINALS.contains(&&*name)
            || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        (!usual && name != "PATH").then_some(name)
    };
    let absent: Vec<String> = login
        .keys()
        .filter(|name| !job.contains_key(*name))
        .filter_map(|name| telling(name))
        .collect();
    let other: Vec<String> = login
        .iter()
        .filter(|(name, value)| job.get(*name).is_some_and(|here| here != *value))
        .filter_map(|(name, _)| telling(name))
        .collect();
    let help = "set what the command needs with `env` or `env_file`";
    if !absent.is_empty() {
        let text = format!("{user}'s login shell also has {}", absent.join(", "));
        found.push(Finding::warning(ABOUT, text, help));
    }
    if !other.is_empty() {
        let text = format!("{user}'s login shell has different values for {}", other.join(", "));
        found.push(Finding::warning(ABOUT, text, help));
    }
    if found.is_empty() {
        found.push(Finding::ok(ABOUT, format!("has everything {user}'s login shell has")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Variables {
        variables(text.replace(' ', "\0").as_bytes()).into_iter().collect()
    }

    #[test]
    fn says_what_a_login_shell_has_more() {
        // (the job's, the login shell's, what is said)
        let rows: [(&str, &str, &[&str]); 5] = [
            ("A=1 PATH=/bin", "A=1 PATH=/bin", &["has everything ann's login shell has"]),
            (
                "PATH=/bin",
                "PATH=/home/ann/bin:/bin:/opt/x",
                &["PATH lacks /home/ann/bin, /opt/x, which ann's login shell has"],
            ),
            (
                "A=1 B=2",
                "A=1 B=3 C=4 D=5",
                &[
                    "ann's login shell also has C, D",
                    "ann's login shell has different values for B",
                ],
            ),
            ("", "SSH_TTY=x PS1=x SHLVL=1 LS_COLORS=x", &["has everything ann's login shell has"]),
            ("A=1", "", &["has everything ann's login shell has"]),
        ];
        for (job, login, said) in rows {
            let found = compare(&set(job), &set(login), "ann");
            let texts: Vec<&str> = found.iter().map(|finding| &*finding.text).collect();
            assert_eq!(texts, said, "{job} | {login}");
        }
    }
}
