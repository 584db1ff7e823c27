//! The keys of a job, and what people write in their place.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::core::job::HookKind;
use crate::core::limits;
use crate::core::names::{SHORT_WEEKDAYS, WEEKDAYS};
use crate::core::nearest::nearest;

/// Makes [`Key`], the list of its names and both ways between them, and what each is about.
macro_rules! keys {
    ($($variant:ident $name:literal $about:literal,)*) => {
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

            /// What it says of a job, for the schema and the flags of the same name.
            pub(crate) fn about(self) -> &'static str {
                match self {
                    $(Key::$variant => $about,)*
                }
            }
        }
    };
}

keys! {
    Name "name" "A display name; by default, the id",
    Tags "tags" "Words by which commands choose it among others: tag:WORD",
    Command "command" "What to run: a string for the shell, or an array of program and arguments",
    Cron "cron" "Due by the clock: a crontab(5) expression, an array of them, or a table of fields",
    Interval "interval"
        "Due at fixed intervals of elapsed time, so long after the end of the last run, or every \
         so many months and days of the calendar",
    Date "date" "Due once; \"now\" means when the scheduler starts",
    Any "any" "Due when one of these triggers is",
    All "all" "Due when all of these triggers are, at the same instant",
    After "after" "Due when runs of other jobs have ended, at their due time",
    Timezone "timezone" "The IANA time zone in which the job's times are read and shown",
    StartDate "start_date" "Not due before this time",
    EndDate "end_date" "Not due after this time",
    Except "except"
        "When the job is not due: days, windows such as sat 22:00..sun 04:00, names of calendars",
    Only "only" "When alone the job is due: days, windows, names of calendars",
    OnlyIf "only_if" "What has to hold at a due time, or it is skipped",
    WaitFor "wait_for" "How long a due time may wait for that",
    Jitter "jitter" "Delay each run by up to this, by a hash of job and due time",
    Spread "spread" "Delay each run by a fixed time up to this, by a hash of job and host",
    RunOnStart "run_on_start" "Also run once when the scheduler starts",
    Paused "paused" "Start out paused",
    MisfireGraceTime "misfire_grace_time" "How late a run may start",
    Coalesce "coalesce" "Which of several missed due times to run",
    MaxInstances "max_instances" "How many runs may be active at once",
    Overlap "overlap" "What to do at a due time when that many runs are active",
    Executor "executor" "The executor to run in",
    RunOn "run_on" "Run on one host of the fleet, on all, or on one with these labels",
    OnlyOn "only_on" "Only on hosts whose name matches one of these: web*",
    OnLost "on_lost" "What to do about a run whose host died",
    MaxWait "max_wait" "How long a run may wait for a slot; by default, without limit",
    Timeout "timeout" "How long an attempt may take before all its processes get SIGTERM",
    KillAfter "kill_after" "Time between SIGTERM and SIGKILL",
    Retries "retries" "How often to retry a failed run",
    RetryDelay "retry_delay" "The delay before the first retry",
    RetryBackoff "retry_backoff" "Multiply the delay by this after each retry",
    RetryMaxDelay "retry_max_delay" "The longest delay between retries",
    SuccessCodes "success_codes" "Exit codes that count as success",
    PauseAfter "pause_after" "Pause the job when so many runs have failed in a row",
    Expect "expect" "How often a success is expected; a job without one for longer is overdue",
    WarnAfter "warn_after"
        "A run that takes longer is slow; by default, one that takes longer than usual",
    Notify "notify" "The routes by which people hear of it: names of [notify]",
    Ping "ping"
        "The service outside that is told of each run: healthchecks.io, Sentry Crons, Cronitor, \
         Uptime Kuma, or a plain URL",
    Shell "shell" "The program that runs a string command, with -c",
    Cwd "cwd" "The working directory, relative to the jobfile, or to the home of the job with ~",
    Env "env"
        "Environment variables; { file = \"...\" } reads a secret from a file, { append = \"...\" \
         } and { prepend = \"...\" } add to the value there is, with a colon between",
    EnvFile "env_file" "A file of NAME=value lines, read at the start of each run",
    ClearEnv "clear_env" "Start from a minimal environment, not the scheduler's",
    User "user" "The user to run as: name or number",
    Group "group" "The group to run as: name or number",
    Umask "umask" "The umask, in octal: \"022\" or 0o022",
    Nice "nice" "The niceness",
    Limits "limits" "What its processes may use at most",
    Stdin "stdin" "Text for standard input, and not a file; by default, empty",
    Output "output" "Where output goes",
    KeepOutput "keep_output" "How much of each attempt's output to keep for `logs`",
    OnStart "on_start" "A command to run when a run's first process exists",
    OnRetry "on_retry" "A command to run after an attempt that will be retried",
    OnSuccess "on_success" "A command to run after each run that succeeded",
    OnFailure "on_failure" "A command to run after each run that failed for good",
    OnRecovered "on_recovered" "A command to run after the first success after failures",
    OnMissed "on_missed" "A command to run when due times were missed",
    OnSkipped "on_skipped" "A command to run when due times were skipped",
    HookTimeout "hook_timeout" "How long each of these commands may take",
}

impl Key {
    /// Whether its value may name files that the environment is read from.
    pub(super) fn names_files(self) -> bool {
        matches!(self, Key::Env | Key::EnvFile)
    }

    /// Those that say when a job is due, all of which a new trigger takes the place of.
    pub(crate) const TIMES: [Key; 9] = [
        Key::Cron,
        Key::Interval,
        Key::Date,
        Key::Any,
        Key::All,
        Key::After,
        Key::Timezone,
        Key::StartDate,
        Key::EndDate,
    ];

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
const IN_TABLES: [(Key, &[&str]); 2] =
    [(Key::Limits, &limits::KEYS), (Key::OnlyIf, &["load_below", "disk_free", "ac_power"])];

/// What others write in a job that here stands elsewhere, or nowhere; what to say, and what was meant.
const ELSEWHERE: &[(&[&str], &str, Option<Key>)] = &[
    (
        &["delay", "fixed_delay", "with_fixed_delay"],
        "write `interval = { minutes = 10, from = \"end\" }`",
        Some(Key::Interval),
    ),
    (
        &["trigger"],
        "the key names the trigger: write `cron = \"...\"`, `interval = \"...\"` or `date = ...`",
        Some(Key::Cron),
    ),
    (&["id", "job_id"], "the name of the table is the job's id: `[jobs.ID]`", None),
    (
        &["func", "function", "callable"],
        "a job runs a command: `command = \"...\"`",
        Some(Key::Command),
    ),
    (
        &["args", "kwargs", "arguments"],
        "arguments are part of the command: `command = [\"program\", \"argument\"]`",
        None,
    ),
    (
        &["max_workers", "max_running"],
        "this is set on an executor: `[executors]`, `reports = { max_workers = 2 }`, and in the job \
         `executor = \"reports\"`",
        None,
    ),
    (
        &["max_starts_per_second", "starts_per_second", "rate", "rate_limit"],
        "this is set on an executor: `[executors]`, `mail = { max_workers = 20, \
         max_starts_per_second = 5 }`, and in the job `executor = \"mail\"`",
        None,
    ),
    (
        &["jobstore", "replace_existing", "next_run_time"],
        "jobs in a jobfile do not have this setting: remove it",
        None,
    ),
    (&["enabled", "active"], "every job is enabled unless it has `paused = true`", None),
    (
        &["jobs", "executors", "defaults", "scheduler", "store", "include"],
        "this is not an option of a job: put it at the top of the file",
        None,
    ),
    (&["stderr"], "standard output and error go together: `output`", Some(Key::Output)),
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
    if ["memory_limit", "mem_limit", "memory_max", "mem"].contains(&name) {
        let help = format!("write `limits = {{ memory = {value} }}`");
        return Some(Hint { help, meant: Some(Key::Limits) });
    }
    if name == "from" && value.contains("end") {
        return hint("write it in the table: `interval = { minutes = 10, from = \"end\" }`", None);
    }
    if let Some((_, help, meant)) = ELSEWHERE.iter().find(|(names, ..)| names.contains(&name)) {
        return hint(help, *meant);
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
