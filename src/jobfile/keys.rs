//! The keys of a job, and what people write in their place.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::core::job::HookKind;
use crate::core::names::{SHORT_WEEKDAYS, WEEKDAYS};
use crate::core::nearest::nearest;

/// Makes [`Key`], the list of its names and both ways between them.
macro_rules! keys {
    ($($variant:ident $name:literal,)*) => {
        /// A key that may stand in `[jobs.NAME]`.
        #[allow(missing_docs, reason = "each is the key of that name")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Key { $($variant,)* }

        impl Key {
            /// Every key, in the order in which options are explained.
            pub(crate) const ALL: &[Key] = &[$(Key::$variant,)*];

            pub(crate) fn of(name: &str) -> Option<Key> {
                match name {
                    $($name => Some(Key::$variant),)*
                    _ => None,
                }
            }

            /// As it is written.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Key::$variant => $name,)*
                }
            }
        }
    };
}

keys! {
    Name "name",
    Tags "tags",
    Command "command",
    Cron "cron",
    Interval "interval",
    Date "date",
    Any "any",
    All "all",
    After "after",
    Timezone "timezone",
    StartDate "start_date",
    EndDate "end_date",
    Except "except",
    Only "only",
    OnlyIf "only_if",
    WaitFor "wait_for",
    Jitter "jitter",
    Spread "spread",
    RunOnStart "run_on_start",
    Paused "paused",
    MisfireGraceTime "misfire_grace_time",
    Coalesce "coalesce",
    MaxInstances "max_instances",
    Overlap "overlap",
    Executor "executor",
    RunOn "run_on",
    OnlyOn "only_on",
    OnLost "on_lost",
    MaxWait "max_wait",
    Timeout "timeout",
    KillAfter "kill_after",
    Retries "retries",
    RetryDelay "retry_delay",
    RetryBackoff "retry_backoff",
    RetryMaxDelay "retry_max_delay",
    SuccessCodes "success_codes",
    PauseAfter "pause_after",
    Expect "expect",
    WarnAfter "warn_after",
    Notify "notify",
    Ping "ping",
    Shell "shell",
    Cwd "cwd",
    Env "env",
    EnvFile "env_file",
    ClearEnv "clear_env",
    User "user",
    Group "group",
    Umask "umask",
    Nice "nice",
    Limits "limits",
    Stdin "stdin",
    Output "output",
    KeepOutput "keep_output",
    OnStart "on_start",
    OnRetry "on_retry",
    OnSuccess "on_success",
    OnFailure "on_failure",
    OnRecovered "on_recovered",
    OnMissed "on_missed",
    OnSkipped "on_skipped",
    HookTimeout "hook_timeout",
}

impl Key {
    /// Whether its value may name files that the environment is read from.
    pub(super) fn names_files(self) -> bool {
        matches!(self, Key::Env | Key::EnvFile)
    }

    /// What the command at it is called for, if it is a hook.
    pub(crate) fn hook(self) -> Option<HookKind> {
        HookKind::ALL.into_iter().find(|kind| kind.option() == self.name())
    }

    /// Whether it says when the job is due.
    pub(crate) fn is_trigger(self) -> bool {
        matches!(self, Key::Cron | Key::Interval | Key::Date | Key::Any | Key::All | Key::After)
    }
}

/// What is known about a key that does not exist.
pub(super) struct Hint {
    /// What to say.
    pub(super) help: String,
    /// The key that was meant: it is not missing as well.
    pub(super) meant: Option<Key>,
}

/// Words of other schedulers for our keys.
const SYNONYMS: &[(&[&str], Key)] = &[
    (
        &["cmd", "run", "exec", "execstart", "script", "program", "task", "commands", "entrypoint"],
        Key::Command,
    ),
    (&["schedule", "spec", "crontab", "when", "expression", "calendar", "oncalendar"], Key::Cron),
    (&["every", "period", "frequency", "onunitactivesec"], Key::Interval),
    (&["or", "or_trigger", "any_of", "triggers"], Key::Any),
    (&["and", "and_trigger", "all_of"], Key::All),
    (&["run_date", "run_at", "at", "once", "on", "datetime"], Key::Date),
    (
        &["depends_on", "dependencies", "depends", "parent", "parents", "needs", "after_job"],
        Key::After,
    ),
    (&["tz", "zone", "location", "time_zone"], Key::Timezone),
    (&["start", "not_before", "from"], Key::StartDate),
    (&["end", "until", "not_after"], Key::EndDate),
    (
        &[
            "holidays",
            "exclude",
            "excluded",
            "blackout",
            "not_on",
            "unless",
            "skip_on",
            "skip_dates",
        ],
        Key::Except,
    ),
    (&["only_during", "within", "business_hours", "active_hours"], Key::Only),
    (
        &[
            "condition",
            "conditions",
            "precondition",
            "preconditions",
            "onlyif",
            "when_true",
            "run_if",
            "exec_condition",
        ],
        Key::OnlyIf,
    ),
    (&["max_postpone", "postpone", "wait_until"], Key::WaitFor),
    (&["working_dir", "workdir", "working_directory", "directory", "dir", "chdir"], Key::Cwd),
    (&["environment", "envs", "environ", "vars"], Key::Env),
    (&["environment_file", "dotenv", "envfile"], Key::EnvFile),
    (&["description", "title", "label"], Key::Name),
    (&["host", "hosts", "only_hosts", "hostname"], Key::OnlyOn),
    (&["tag", "labels", "groups", "category"], Key::Tags),
    (&["concurrency", "concurrency_policy", "overlap_policy"], Key::Overlap),
    (&["max_concurrent", "max_concurrency", "instances"], Key::MaxInstances),
    (&["splay", "random_delay", "randomizeddelaysec"], Key::Jitter),
    (&["fixed_random_delay", "randomizedoffsetsec", "stagger"], Key::Spread),
    (&["time_limit", "max_runtime", "runtimemaxsec", "deadline"], Key::Timeout),
    (&["grace", "misfire", "starting_deadline"], Key::MisfireGraceTime),
    (&["at_start", "run_at_start", "run_at_load"], Key::RunOnStart),
    (&["attempts", "retry", "max_retries", "restart"], Key::Retries),
    (&["backoff"], Key::RetryBackoff),
    (&["priority", "niceness"], Key::Nice),
    (&["pool", "queue", "worker"], Key::Executor),
    (&["input"], Key::Stdin),
    (&["stdout", "log", "logs", "log_file"], Key::Output),
    (&["disabled", "suspend"], Key::Paused),
    (&["pause_on_failure", "max_failures", "disable_after"], Key::PauseAfter),
    (&["exit_codes", "success"], Key::SuccessCodes),
    (
        &["on_error", "on_fail", "on_failed", "on_permanent_failure", "on_retries_exhausted"],
        Key::OnFailure,
    ),
    (&["on_ok", "on_succeeded", "on_complete", "on_finish", "on_done"], Key::OnSuccess),
    (&["on_recovery", "on_recover", "on_resolved", "on_fixed"], Key::OnRecovered),
    (&["expected", "expect_every"], Key::Expect),
    (
        &[
            "healthcheck",
            "healthchecks",
            "heartbeat",
            "ping_url",
            "monitor",
            "snitch",
            "sentry",
            "cronitor",
        ],
        Key::Ping,
    ),
    (&["warn", "slow_after", "slow", "duration_warning"], Key::WarnAfter),
    (&["tell", "alert", "alerts", "notifications", "mailto", "email"], Key::Notify),
];

/// How long or short `[fleet] lease` may be.
pub(super) const LEASE: RangeInclusive<Duration> =
    Duration::from_secs(3)..=Duration::from_secs(600);

pub(super) const CRON_FIELDS: &[&str] =
    &["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"];
/// Keys of which the value may be weekdays.
const DAYS: &[&str] = &["day", "days", "weekday", "weekdays"];
pub(super) const INTERVAL_FIELDS: &[&str] = &[
    "years", "months", "weeks", "days", "hours", "minutes", "seconds", "day", "hour", "minute",
    "second", "from",
];

/// Those that are counted, which nothing else is called.
const UNITS: &[&str] = &["years", "months", "weeks", "days", "hours", "minutes", "seconds"];

/// Keys that stand in a table of the job and are written beside it.
const IN_TABLES: &[(Key, &[&str])] = &[
    (
        Key::Limits,
        &[
            "memory",
            "swap",
            "cpu",
            "tasks",
            "open_files",
            "core",
            "file_size",
            "processes",
            "cpu_time",
        ],
    ),
    (Key::OnlyIf, &["load_below", "disk_free", "ac_power"]),
];

/// What to say about an unknown key of a job; `value` is its value as typed.
pub(super) fn hint(name: &str, value: &str) -> Option<Hint> {
    let hint = |help: &str, meant| Some(Hint { help: help.to_owned(), meant });
    let is_short = !value.is_empty() && value.len() <= 40 && !value.contains('\n');
    let value = if is_short { value } else { "..." };
    if DAYS.contains(&name)
        && let Some(days) = weekdays_in(value)
    {
        let help = format!("write `cron = {{ day_of_week = \"{days}\", hour = 9 }}`");
        return Some(Hint { help, meant: Some(Key::Cron) });
    }
    if UNITS.contains(&name) {
        let help = format!("write `interval = {{ {name} = {value} }}`");
        return Some(Hint { help, meant: Some(Key::Interval) });
    }
    if CRON_FIELDS.contains(&name) {
        let help = format!("write `cron = {{ {name} = {value} }}`");
        return Some(Hint { help, meant: Some(Key::Cron) });
    }
    if let Some(key) = IN_TABLES.iter().find(|(_, keys)| keys.contains(&name)).map(|(key, _)| *key)
    {
        let help = format!("write `{} = {{ {name} = {value} }}`", key.name());
        return Some(Hint { help, meant: Some(key) });
    }
    match name {
        "memory_limit" | "mem_limit" | "memory_max" | "mem" => {
            let help = format!("write `limits = {{ memory = {value} }}`");
            return Some(Hint { help, meant: Some(Key::Limits) });
        }
        "delay" | "fixed_delay" | "with_fixed_delay" => {
            let help = "write `interval = { minutes = 10, from = \"end\" }`";
            return hint(help, Some(Key::Interval));
        }
        "from" if value.contains("end") => {
            return hint(
                "write it in the table: `interval = { minutes = 10, from = \"end\" }`",
                None,
            );
        }
        "trigger" => {
            return hint(
                "the key names the trigger: write `cron = \"...\"`, `interval = \"...\"` or \
                 `date = ...`",
                Some(Key::Cron),
            );
        }
        "id" | "job_id" => {
            return hint("the name of the table is the job's id: `[jobs.ID]`", None);
        }
        "func" | "function" | "callable" => {
            return hint("a job runs a command: `command = \"...\"`", Some(Key::Command));
        }
        "args" | "kwargs" | "arguments" => {
            return hint(
                "arguments are part of the command: `command = [\"program\", \"argument\"]`",
                None,
            );
        }
        "max_workers" | "max_running" => {
            return hint(
                "this is set on an executor: `[executors]`, `reports = { max_workers = 2 }`, \
                 and in the job `executor = \"reports\"`",
                None,
            );
        }
        "max_starts_per_second" | "starts_per_second" | "rate" | "rate_limit" => {
            return hint(
                "this is set on an executor: `[executors]`, \
                 `mail = { max_workers = 20, max_starts_per_second = 5 }`, and in the job \
                 `executor = \"mail\"`",
                None,
            );
        }
        "jobstore" | "replace_existing" | "next_run_time" => {
            return hint("jobs in a jobfile do not have this setting: remove it", None);
        }
        "enabled" | "active" => {
            return hint("every job is enabled unless it has `paused = true`", None);
        }
        "jobs" | "executors" | "defaults" | "scheduler" | "store" | "include" => {
            return hint("this is not an option of a job: put it at the top of the file", None);
        }
        "stderr" => {
            return hint("standard output and error go together: `output`", Some(Key::Output));
        }
        _ => {}
    }
    let lower = snake(name);
    let synonym = SYNONYMS.iter().find(|(names, _)| names.contains(&lower.as_str()));
    let meant = match synonym.map(|(_, key)| *key).or_else(|| Key::of(&lower)) {
        Some(key) => key,
        None => Key::of(nearest(name, Key::ALL.iter().map(|key| key.name()))?)?,
    };
    Some(Hint { help: format!("did you mean `{}`?", meant.name()), meant: Some(meant) })
}

/// `workingDir`, `working-dir` and `WORKING_DIR` as `working_dir`.
pub(super) fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    let mut after_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && after_lower {
            snake.push('_');
        }
        after_lower = c.is_ascii_lowercase();
        snake.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
    }
    snake
}

/// The weekdays in a value as typed, `"mon-fri"` or `["Monday", "fri"]`, as a cron field has them.
fn weekdays_in(value: &str) -> Option<String> {
    let short = |name: &str| {
        let name = name.to_ascii_lowercase();
        let of = |(long, short): &(&&str, &&str)| name == **long || name == **short;
        WEEKDAYS.iter().zip(&SHORT_WEEKDAYS).find(of).map(|(_, short)| *short)
    };
    let range = |range: &str| {
        let ends = range.split('-').map(short).collect::<Option<Vec<&str>>>()?;
        Some(ends.join("-"))
    };
    let is_mark = |c: char| matches!(c, '[' | ']' | '"' | '\'' | ' ');
    let plain = value.replace(is_mark, "");
    let days = plain.split(',').filter(|day| !day.is_empty()).map(range);
    days.collect::<Option<Vec<String>>>().filter(|days| !days.is_empty()).map(|days| days.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_agree() {
        for key in Key::ALL {
            assert_eq!(Key::of(key.name()), Some(*key));
        }
        assert_eq!(Key::of("nme"), None);
    }

    #[test]
    fn says_what_was_meant() {
        let rows = [
            ("comand", "\"x\"", "did you mean `command`?"),
            ("or", "[]", "did you mean `any`?"),
            ("and", "[]", "did you mean `all`?"),
            ("memory", "\"2GB\"", "write `limits = { memory = \"2GB\" }`"),
            ("memory_limit", "\"2GB\"", "write `limits = { memory = \"2GB\" }`"),
            ("load_below", "4", "write `only_if = { load_below = 4 }`"),
            ("months", "1", "write `interval = { months = 1 }`"),
            ("fixed_delay", "\"10m\"", "write `interval = { minutes = 10, from = \"end\" }`"),
            (
                "from",
                "\"end\"",
                "write it in the table: `interval = { minutes = 10, from = \"end\" }`",
            ),
            ("schedule", "\"x\"", "did you mean `cron`?"),
            ("workingDirectory", "\"x\"", "did you mean `cwd`?"),
            ("working-dir", "\"x\"", "did you mean `cwd`?"),
            ("onFailure", "\"x\"", "did you mean `on_failure`?"),
            ("on_error", "\"x\"", "did you mean `on_failure`?"),
            ("seconds", "30", "write `interval = { seconds = 30 }`"),
            ("day_of_week", "1", "write `cron = { day_of_week = 1 }`"),
            ("days", "2", "write `interval = { days = 2 }`"),
            ("days", "\"mon\"", "write `cron = { day_of_week = \"mon\", hour = 9 }`"),
            ("day", "\"Mon-Fri\"", "write `cron = { day_of_week = \"mon-fri\", hour = 9 }`"),
            ("day_of_week", "'sun'", "write `cron = { day_of_week = 'sun' }`"),
            (
                "days",
                "[\"mon\", \"fri\"]",
                "write `cron = { day_of_week = \"mon,fri\", hour = 9 }`",
            ),
            ("days", "\"Tuesday\"", "write `cron = { day_of_week = \"tue\", hour = 9 }`"),
            ("days", "\"monthly\"", "write `interval = { days = \"monthly\" }`"),
        ];
        for (name, value, help) in rows {
            assert_eq!(hint(name, value).map(|hint| hint.help).as_deref(), Some(help), "{name}");
        }
        assert!(hint("frobnicate", "1").is_none());
    }
}
