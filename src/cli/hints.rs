//! What to type instead of a verb that is none here, but is one elsewhere: in cron, at, systemctl,
//! APScheduler, Docker, or in what anybody would guess.

/// The verbs, and what does what they mean. A backquoted command is to be typed as it is.
const HINTS: &[(&[&str], &str)] = &[
    (&["check", "lint", "verify"], "`schedrs validate` checks jobfiles"),
    (
        &["test", "dry-run", "preview"],
        "`schedrs validate` checks a jobfile, `schedrs simulate` shows what it would do",
    ),
    (
        &["restart", "rerun", "retry"],
        "`schedrs start JOB` runs a job again, `schedrs reload` reads the jobfile again",
    ),
    (
        &["ps", "jobs", "ls", "get"],
        "`schedrs list` shows the jobs, `schedrs list --state running` those that run",
    ),
    (&["trigger", "fire", "run-now", "exec"], "`schedrs start JOB` runs a job now"),
    (&["enable", "unpause", "unsuspend"], "`schedrs resume JOB` ends the pause of a job"),
    (&["disable", "suspend", "hold"], "`schedrs pause JOB` pauses a job"),
    (&["kill", "abort", "terminate"], "`schedrs stop JOB` ends the runs of a job"),
    (
        &["cancel"],
        "`schedrs stop JOB` ends the runs of a job, `schedrs remove JOB` removes one that was added",
    ),
    (&["delete", "rm", "del"], "`schedrs remove JOB` removes a job that was added"),
    (&["version"], "`schedrs --version` prints it"),
    (
        &["log", "tail", "output"],
        "`schedrs logs JOB` shows what runs have printed, `schedrs logs -F` follows",
    ),
    (&["info", "describe", "inspect", "cat"], "`schedrs show JOB` shows everything about a job"),
    (&["ping"], "`schedrs status` shows how schedrs is"),
    (&["set", "update", "change"], "`schedrs modify JOB --timeout 5m` changes options of a job"),
    (&["crontab", "convert"], "`schedrs import crontab` makes a jobfile of a crontab"),
    (&["daemon", "serve", "up"], "`schedrs run` runs the jobs of a jobfile"),
    (&["ui", "gui", "page", "dashboard", "http"], "`schedrs web` serves a page for browsers"),
    (&["quit", "exit", "down"], "`schedrs shutdown` stops schedrs"),
    (&["in", "once", "schedule", "submit"], "`schedrs at +30m -- COMMAND` runs a command once"),
    (&["batch", "repeat"], "`schedrs every 10m -- COMMAND` runs a command again and again"),
];

/// What does what a verb means that is none here.
pub(super) fn of(verb: &str) -> Option<&'static str> {
    let verb = verb.to_lowercase().replace('_', "-");
    HINTS.iter().find(|(verbs, _)| verbs.contains(&&*verb)).map(|(_, hint)| *hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hint_hides_a_command() {
        let root = crate::cli::definition();
        for (verbs, _) in HINTS {
            for verb in *verbs {
                assert!(root.find_subcommand(verb).is_none(), "{verb} is a command");
                assert!(of(verb).is_some());
            }
        }
        assert_eq!(of("KILL"), Some("`schedrs stop JOB` ends the runs of a job"));
        assert_eq!(of("frobnicate"), None);
    }
}
