//! Which variables of the scheduler's environment are about the scheduler and not about its jobs.
//!
//! There are two kinds. What a service manager says to the process that it starts is true of that
//! process only: a job that found `NOTIFY_SOCKET` could say that the service is ready, one that
//! found `STATE_DIRECTORY` would write among the scheduler's own files. And what belongs to the
//! login of one person (their agents, their buses, their directories) is of no use to another: a
//! job with `user` that found root's `XDG_RUNTIME_DIR` would at best fail.
//!
//! Everything else is passed on: whoever runs a service or a container sets variables for its jobs
//! in the environment of the scheduler. `environment` lays a job's own variables over the rest.

/// What systemd.exec(5) says a service finds in its environment, but for what a job has as well
/// (`PATH`, `LANG`, `HOME`, `TERM` ...); and what a scheduler above this one said of the job or the
/// hook that this scheduler is. Sorted.
const OF_THE_SERVICE: [&[u8]; 63] = [
    b"CACHE_DIRECTORY",
    b"CONFIGURATION_DIRECTORY",
    b"CREDENTIALS_DIRECTORY",
    b"DEBUG_INVOCATION",
    b"EXIT_CODE",
    b"EXIT_STATUS",
    b"FDSTORE",
    b"INVOCATION_ID",
    b"JOURNAL_STREAM",
    b"LISTEN_FDNAMES",
    b"LISTEN_FDS",
    b"LISTEN_PID",
    b"LISTEN_PIDFDID",
    b"LOGS_DIRECTORY",
    b"LOG_NAMESPACE",
    b"MAINPID",
    b"MAINPIDFDID",
    b"MANAGERPID",
    b"MANAGERPIDFDID",
    b"MONITOR_EXIT_CODE",
    b"MONITOR_EXIT_STATUS",
    b"MONITOR_INVOCATION_ID",
    b"MONITOR_SERVICE_RESULT",
    b"MONITOR_UNIT",
    b"NOTIFY_SOCKET",
    b"PIDFILE",
    b"REMOTE_ADDR",
    b"REMOTE_PORT",
    b"RUNTIME_DIRECTORY",
    b"SCHEDRS_ATTEMPT",
    b"SCHEDRS_ATTEMPTS",
    b"SCHEDRS_COUNT",
    b"SCHEDRS_DUE",
    b"SCHEDRS_DURATION",
    b"SCHEDRS_ENDED",
    b"SCHEDRS_EXIT",
    b"SCHEDRS_FROM",
    b"SCHEDRS_HOOK",
    b"SCHEDRS_HOST",
    b"SCHEDRS_JOB",
    b"SCHEDRS_KIND",
    b"SCHEDRS_MESSAGE",
    b"SCHEDRS_NAME",
    b"SCHEDRS_NOTIFICATIONS",
    b"SCHEDRS_OUTCOME",
    b"SCHEDRS_REASON",
    b"SCHEDRS_ROUTE",
    b"SCHEDRS_RUN",
    b"SCHEDRS_SIGNAL",
    b"SCHEDRS_SINCE",
    b"SCHEDRS_STARTED",
    b"SCHEDRS_STREAK",
    b"SCHEDRS_TEXT",
    b"SCHEDRS_TO",
    b"SERVICE_RESULT",
    b"STATE_DIRECTORY",
    b"SYSTEMD_EXEC_PID",
    b"TRIGGER_PATH",
    b"TRIGGER_TIMER_MONOTONIC_USEC",
    b"TRIGGER_TIMER_REALTIME_USEC",
    b"TRIGGER_UNIT",
    b"WATCHDOG_PID",
    b"WATCHDOG_USEC",
];

/// `MEMORY_PRESSURE_WATCH`, and the same of other resources.
const PRESSURE: [&[u8]; 2] = [b"_PRESSURE_WATCH", b"_PRESSURE_WRITE"];

/// Where somebody's agents, screens, tickets and temporary files are, and who they were before
/// sudo. Sorted.
const OF_A_PERSON: [&[u8]; 41] = [
    b"DESKTOP_SESSION",
    b"DISPLAY",
    b"DOAS_USER",
    b"GNUPGHOME",
    b"GPG_AGENT_INFO",
    b"GPG_TTY",
    b"HISTFILE",
    b"ICEAUTHORITY",
    b"KRB5CCNAME",
    b"KRB5_CLIENT_KTNAME",
    b"KRB5_KTNAME",
    b"MAIL",
    b"MAILPATH",
    b"OLDPWD",
    b"PKEXEC_UID",
    b"PULSE_COOKIE",
    b"PULSE_RUNTIME_PATH",
    b"PULSE_SERVER",
    b"SESSION_MANAGER",
    b"SSH_AGENT_PID",
    b"SSH_ASKPASS",
    b"SSH_AUTH_SOCK",
    b"SSH_CLIENT",
    b"SSH_CONNECTION",
    b"SSH_ORIGINAL_COMMAND",
    b"SSH_TTY",
    b"SSH_USER_AUTH",
    b"STY",
    b"TEMP",
    b"TEMPDIR",
    b"TMP",
    b"TMPDIR",
    b"TMUX",
    b"TMUX_PANE",
    b"TMUX_TMPDIR",
    b"USERNAME",
    b"WAYLAND_DISPLAY",
    b"WAYLAND_SOCKET",
    b"WINDOW",
    b"WINDOWID",
    b"XAUTHORITY",
];

/// The same, by how they begin. Not more of them by less: `SSH_KEY` or `GPG_RECIPIENT` may well be
/// set for the jobs.
const OF_A_PERSON_BEGIN: [&[u8]; 4] = [b"DBUS_", b"GNOME_KEYRING_", b"SUDO_", b"XDG_"];

/// Whether it was said to the scheduler alone, so that no job is to have it.
pub(super) fn is_of_the_service(name: &[u8]) -> bool {
    OF_THE_SERVICE.binary_search(&name).is_ok() || PRESSURE.iter().any(|end| name.ends_with(end))
}

/// Whether it belongs to the scheduler's user as a person, so that no job of another user is to
/// have it.
pub(super) fn is_of_a_person(name: &[u8]) -> bool {
    OF_A_PERSON.binary_search(&name).is_ok()
        || OF_A_PERSON_BEGIN.iter().any(|begin| name.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(OF_THE_SERVICE.is_sorted() && OF_A_PERSON.is_sorted());
    }

    #[test]
    fn each_kind_is_told_from_the_rest() {
        for name in ["STATE_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "IO_PRESSURE_WRITE"] {
            assert!(is_of_the_service(name.as_bytes()), "{name}");
        }
        for name in ["XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK", "TMPDIR"] {
            assert!(
                is_of_a_person(name.as_bytes()) && !is_of_the_service(name.as_bytes()),
                "{name}"
            );
        }
        for name in ["PATH", "LANG", "LC_ALL", "TZ", "HOME", "TERM", "SSH_KEY", "http_proxy"] {
            assert!(
                !is_of_a_person(name.as_bytes()) && !is_of_the_service(name.as_bytes()),
                "{name}"
            );
        }
    }
}
