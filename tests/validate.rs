//! `schedrs validate`, as a person runs it: the real binary, what it prints and how it ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "this is a test")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory with files, and the binary run in it.
struct Test {
    dir: TempDir,
}

impl Test {
    fn new() -> Test {
        Test { dir: TempDir::new().unwrap() }
    }

    fn with(jobs: &str) -> Test {
        Test::new().file("jobs.toml", jobs)
    }

    fn file(self, name: &str, text: impl AsRef<[u8]>) -> Test {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_schedrs"));
        command.arg("validate").args(args).current_dir(self.path());
        command.env("TZ", "UTC").env_remove("SCHEDRS_JOBFILE").env_remove("XDG_CONFIG_HOME");
        command.env("HOME", self.path()).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command
    }

    fn run(&self, args: &[&str]) -> Answer {
        Answer(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    fn run_with_stdin(&self, args: &[&str], stdin: &[u8]) -> Answer {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        Answer(child.wait_with_output().unwrap())
    }
}

struct Answer(Output);

impl Answer {
    fn out(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).unwrap()
    }

    fn err(&self) -> &str {
        std::str::from_utf8(&self.0.stderr).unwrap()
    }

    #[track_caller]
    fn code(self, code: i32) -> Answer {
        assert_eq!(self.0.status.code(), Some(code), "{}{}", self.out(), self.err());
        self
    }

    #[track_caller]
    fn has(self, text: &str) -> Answer {
        assert!(self.out().contains(text), "no {text:?} in:\n{}", self.out());
        self
    }

    /// The header lines of the problems, without the file's name.
    fn problems(&self) -> Vec<&str> {
        let lines = self.out().lines();
        lines
            .filter_map(|line| line.strip_prefix("jobs.toml:"))
            .filter(|l| l.contains(": "))
            .collect()
    }
}

/// A job around one line. The line stands at line 4.
fn job(line: &str) -> String {
    format!("[jobs.x]\ncommand = \"true\"\ncron = \"0 3 * * *\"\n{line}\n")
}

/// The same with another trigger: it stands at line 3.
fn trigger(line: &str) -> String {
    format!("[jobs.x]\ncommand = \"true\"\n{line}\n")
}

/// A row: jobfile, place and message of the one problem in it, what the help says (or a part).
type Row = (String, &'static str, &'static str);

#[track_caller]
fn check(rows: Vec<Row>, code: i32) {
    for (text, problem, help) in rows {
        let answer = Test::with(&text).run(&["jobs.toml"]);
        let problems = answer.problems();
        let n = problems.len();
        assert!(n == 1 && problems[0].starts_with(problem), "{text}\n{problem}\n{problems:#?}");
        assert_eq!(answer.0.status.code(), Some(code), "{text}");
        assert!(answer.out().contains(help), "no {help:?} in:\n{}", answer.out());
    }
}

#[test]
fn a_clean_file() {
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jobfiles/every-key.toml"));
    Test::with(&text.unwrap()).run(&[]).code(0).has("jobs.toml: 7 jobs, no problems");
}

#[test]
fn unknown_keys() {
    let j = |line: &str| job(line);
    check(
        vec![
            (
                trigger("cron = '0 3 * * *'\ncomand = 'x'"),
                "4:1: error: unknown key `comand`",
                "did you mean `command`?",
            ),
            (
                j("misfire_gracetime = '1m'"),
                "4:1: error: unknown key `misfire_gracetime`",
                "`misfire_grace_time`",
            ),
            (
                j("working_dir = '/'"),
                "4:1: error: unknown key `working_dir`",
                "did you mean `cwd`?",
            ),
            (j("environment = {}"), "4:1: error: unknown key `environment`", "did you mean `env`?"),
            (j("tz = 'UTC'"), "4:1: error: unknown key `tz`", "did you mean `timezone`?"),
            (j("max_workers = 3"), "4:1: error: unknown key `max_workers`", "`[executors]`"),
            (j("id = 'x'"), "4:1: error: unknown key `id`", "`[jobs.ID]`"),
            (j("frobnicate = 1"), "4:1: error: unknown key `frobnicate`", ""),
            (j("func = 'x:y'"), "4:1: error: unknown key `func`", "`command = "),
            (
                trigger("seconds = 30"),
                "3:1: error: unknown key `seconds`",
                "`interval = { seconds = 30 }`",
            ),
            (trigger("hour = 5"), "3:1: error: unknown key `hour`", "`cron = { hour = 5 }`"),
            (
                trigger("day_of_week = 'mon'"),
                "3:1: error: unknown key `day_of_week`",
                "`cron = { day_of_week = 'mon' }`",
            ),
            (
                trigger("schedule = '@daily'"),
                "3:1: error: unknown key `schedule`",
                "did you mean `cron`?",
            ),
            (
                trigger("every = '5m'"),
                "3:1: error: unknown key `every`",
                "did you mean `interval`?",
            ),
            (
                trigger("run_date = 2030-01-01"),
                "3:1: error: unknown key `run_date`",
                "did you mean `date`?",
            ),
            (trigger("trigger = 'cron'"), "3:1: error: unknown key `trigger`", "`interval = "),
            ("[job.x]\n".into(), "1:2: error: unknown key `job`", "did you mean `jobs`?"),
            ("command = 'x'\n".into(), "1:1: error: unknown key `command`", "`[jobs.NAME]`"),
            (
                "[scheduler]\ntime_zone = 'UTC'\n".into(),
                "2:1: error: unknown key `time_zone`",
                "`timezone`",
            ),
            ("[store]\nurls = 'memory'\n".into(), "2:1: error: unknown key `urls`", "`url`"),
            (
                "[executors]\na = { workers = 1 }\n".into(),
                "2:7: error: unknown key `workers`",
                "`max_workers`",
            ),
            ("[defaults]\ntimout = '1h'\n".into(), "2:1: error: unknown key `timout`", "`timeout`"),
        ],
        1,
    );
}

#[test]
fn triggers_that_are_wrong() {
    check(
        vec![
            (
                job("interval = '5m'"),
                "4:1: error: a second trigger: this job has `cron` already",
                "jobs.toml:3:1",
            ),
            (trigger(""), "1:7: error: no trigger", "`interval = \"5m\"`"),
            ("[jobs.x]\ncron = '0 3 * * *'\n".into(), "1:7: error: no command", "`command = "),
            (trigger("cron = '0 25 * * *'"), "3:11: error: hour 25 is out of range 0-23", ""),
            (trigger("cron = \"0 3 * * mno\""), "3:17: error: ", "`mon`"),
            (trigger("cron = '0 3 * jna *'"), "3:15: error: ", "`jan`"),
            (trigger("cron = ['0 3 * * *', '0 3 * * 9']"), "3:31: error: ", ""),
            (
                trigger("cron = ['@daily', '@reboot']"),
                "3:19: error: `@reboot`",
                "`run_on_start = true`",
            ),
            (trigger("cron = []"), "3:8: error: this is empty", ""),
            (trigger("cron = 5"), "3:8: error: expected a cron expression", ""),
            (
                trigger("cron = { huor = 3 }"),
                "3:10: error: unknown cron field `huor`",
                "did you mean `hour`?",
            ),
            (
                trigger("cron = { hours = 3 }"),
                "3:10: error: unknown cron field `hours`",
                "did you mean `hour`?",
            ),
            (trigger("cron = { hour = '3-25' }"), "3:18: error: ", ""),
            (trigger("cron = { hour = 24 }"), "3:17: error: ", ""),
            (trigger("cron = { day_of_week = 'mon-fri/2' }"), "3:", ""),
            (trigger("cron = { hour = 2.5 }"), "3:17: error: expected an integer or a string", ""),
            (trigger("cron = {}"), "3:8: error: there are no fields", ""),
            (trigger("cron = \"0 3 \\u002a * 9\""), "3:22: error: ", ""),
            (trigger("interval = '0s'"), "3:12: error: an interval must be longer than zero", ""),
            (trigger("interval = '-5s'"), "3:13: error: a duration cannot be negative", ""),
            (
                trigger("interval = { minutes = -1 }"),
                "3:24: error: an interval cannot be negative",
                "",
            ),
            (
                trigger("interval = { minutes = 0 }"),
                "3:12: error: an interval must be longer than zero",
                "",
            ),
            (
                trigger("interval = { minuts = 1 }"),
                "3:14: error: unknown key `minuts`",
                "`minutes`",
            ),
            (trigger("interval = { hours = 'x' }"), "3:22: error: \"x\" is not a whole number", ""),
            (
                trigger("interval = { weeks = 9223372036854775807 }"),
                "3:12: error: this interval is too long",
                "",
            ),
            (
                trigger("interval = 30"),
                "3:12: error: expected a duration",
                "did you mean `\"30s\"`?",
            ),
            (trigger("interval = '30'"), "3:13: error: a unit is missing", "`\"30s\"`"),
            (
                trigger("interval = '5 mins 3 foo'"),
                "3:22: error: unknown unit of time `foo`",
                "`ms`",
            ),
            (
                trigger("interval = '5 minuts'"),
                "3:15: error: unknown unit of time `minuts`",
                "did you mean `minute`?",
            ),
            (trigger("interval = ''"), "3:13: error: this is empty, expected a duration", ""),
            (
                trigger("date = 2026-02-30"),
                "3:8: error: there is no 2026-02-30 in the calendar",
                "",
            ),
            (trigger("date = 'tomorrow'"), "3:9: error: expected a date such as", ""),
            (trigger("date = 09:00:00"), "3:8: error: this is a time of day without a date", ""),
            (trigger("date = '2030-01-01 25:00'"), "3:20: error: expected a time", ""),
            (
                trigger("date = 2030-01-01\nend_date = 2031-01-01"),
                "4:1: error: `end_date` has no meaning",
                "",
            ),
            (
                job("start_date = 2031-01-01\nend_date = 2030-01-01"),
                "5:12: error: `end_date` is before `start_date`",
                "jobs.toml:4:14",
            ),
            (
                job("timezone = 'Europe/Berln'"),
                "4:12: error: unknown time zone `Europe/Berln`",
                "\"Europe/Berlin\"",
            ),
            (
                job("timezone = 'berlin'"),
                "4:12: error: unknown time zone `berlin`",
                "\"Europe/Berlin\"",
            ),
            (job("timezone = ''"), "4:12: error: unknown time zone ``", ""),
            ("[scheduler]\ntimezone = 'Nowhere'\n".into(), "2:12: error: unknown time zone", ""),
        ],
        1,
    );
}

#[test]
fn options_that_are_wrong() {
    let rows: &[(&str, &str, &str)] = &[
        ("timeout = 30", "11: error: expected a duration", "`\"30s\"`"),
        ("timeout = '0s'", "11: error: a timeout must be longer than zero", ""),
        ("misfire_grace_time = 'for ever'", "23: error: expected a duration", ""),
        (
            "executor = 'repotrs'",
            "12: error: unknown executor `repotrs`",
            "did you mean `reports`?",
        ),
        (
            "coalesce = 'lastest'",
            "12: error: \"lastest\" is not \"latest\", \"earliest\" or \"all\"",
            "did you mean \"latest\"?",
        ),
        ("coalesce = true", "12: error: expected \"latest\"", "write `\"latest\"`"),
        ("overlap = 'kill'", "11: error: \"kill\" is not \"skip\", \"queue\" or \"replace\"", ""),
        (
            "output = 1",
            "10: error: expected \"pass\", \"file\" or \"discard\", found an integer",
            "",
        ),
        ("max_instances = 0", "17: error: 0 is out of range, expected an integer from 1", ""),
        (
            "max_instances = '2'",
            "17: error: expected an integer from 1, found a string",
            "write `2`",
        ),
        ("retries = -1", "11: error: -1 is out of range", ""),
        ("retry_backoff = 0.5", "17: error: 0.5 is out of range, expected a number from 1.0", ""),
        ("retry_backoff = nan", "17: error: NaN is out of range", ""),
        (
            "success_codes = [0, 256]",
            "21: error: 256 is out of range, expected an integer from 0 to 255",
            "",
        ),
        ("success_codes = 0", "17: error: expected an array", "write `[0]`"),
        ("success_codes = []", "17: error: without a code", "`[0]`"),
        ("umask = '999'", "9: error: a umask is octal", ""),
        (
            "umask = 22",
            "9: error: expected an octal string such as \"022\", found an integer",
            "`\"022\"`",
        ),
        ("nice = 20", "8: error: 20 is out of range, expected an integer from -20 to 19", ""),
        (
            "env = { PORT = 8080 }",
            "16: error: expected a string, found an integer",
            "write `\"8080\"`",
        ),
        ("env = { 'A=B' = 'x' }", "9: error: this cannot be the name of a variable", "`=`"),
        (
            "env = 'A=B'",
            "7: error: expected a table such as { NAME = \"value\" }, found a string",
            "",
        ),
        ("shell = []", "9: error: the shell is empty", ""),
        (
            "shell = 'bash -eu'",
            "9: error: this string is the path of one program",
            "`[\"bash\", \"-eu\"]`",
        ),
        ("cwd = ''", "7: error: this is empty", ""),
        (
            "user = true",
            "8: error: expected the name of a user, found a boolean",
            "write `\"true\"`",
        ),
        ("paused = 'true'", "10: error: expected true or false, found a string", "without quotes"),
        ("clear_env = 1", "13: error: expected true or false, found an integer", ""),
        ("stdin = [1]", "9: error: expected a string, found an array", ""),
        ("name = \"a\\u0000b\"", "10: error: a NUL byte", ""),
    ];
    let rows = rows.iter().map(|(line, problem, help)| {
        let text = format!("{}[executors]\nreports = {{}}\n", job(line));
        let problem: &'static str = Box::leak(format!("4:{problem}").into());
        (text, problem, *help)
    });
    check(rows.collect(), 1);
}

#[test]
fn commands_ids_and_sections_that_are_wrong() {
    let x = |line: &str| format!("[jobs.x]\ncron = '0 3 * * *'\n{line}\n");
    let id = |id: &str| format!("[jobs.{id}]\ncommand = 'x'\ncron = '0 3 * * *'\n");
    let job = "[jobs.x]\ncommand = 'x'\ncron = '0 3 * * *'\n";
    let long = "x".repeat(256);
    check(
        vec![
            (x("command = ''"), "3:11: error: the command is empty", ""),
            (x("command = '  '"), "3:11: error: the command is empty", ""),
            (x("command = []"), "3:11: error: the command is empty", ""),
            (x("command = ['', 'x']"), "3:12: error: the command has an empty string", ""),
            (
                x("command = ['x', 5]"),
                "3:17: error: expected a string, found an integer",
                "write `\"5\"`",
            ),
            (x("command = 5"), "3:11: error: expected a string for the shell", ""),
            (x("command = \"a\\u0000\""), "3:13: error: a NUL byte", ""),
            (id("\"\""), "1:7: error: the id of a job cannot be empty", ""),
            (id("\"a\\nb\""), "1:7: error: the id of a job cannot hold control characters", ""),
            (id(&long), "1:7: error: the id of a job has at most 255 bytes, this one has 256", ""),
            (
                format!("{job}{job}"),
                "4:7: error: duplicate table `[jobs.x]`",
                "it first stands at jobs.toml:1:7",
            ),
            (
                format!("{job}command = 'y'\n"),
                "4:1: error: duplicate key `command`",
                "jobs.toml:2:1",
            ),
            (
                format!("[jobs]\ncommand = 'x'\n"),
                "2:1: error: `command` is an option of a job",
                "`[jobs.NAME]`",
            ),
            ("jobs = 5\n".into(), "1:8: error: expected tables of jobs", ""),
            (
                job.replace("[jobs.x]", "[[jobs.x]]"),
                "1:8: error: expected a table, found an array",
                "`[jobs.x]`",
            ),
            ("[defaults]\ncommand = 'x'\n".into(), "2:1: error: `command` cannot be a default", ""),
            ("[defaults]\ncron = '@daily'\n".into(), "2:1: error: `cron` cannot be a default", ""),
            ("[defaults]\nexecutor = 'x'\n".into(), "2:12: error: unknown executor `x`", ""),
            (
                "[executors]\na = 5\n".into(),
                "2:5: error: expected a table such as { max_workers = 2 }",
                "{ max_workers = 5 }",
            ),
            (
                "[executors]\na = { max_workers = 0 }\n".into(),
                "2:21: error: 0 is out of range",
                "from 1 to 65535",
            ),
            ("[store]\nurl = 'mysql'\n".into(), "2:7: error: \"mysql\" is no store", "\"memory\""),
            ("[store]\nkeep = { runs = 0 }\n".into(), "2:17: error: 0 is out of range", ""),
            ("[scheduler]\nstop_grace = 30\n".into(), "2:14: error: expected a duration", ""),
            ("scheduler = 'UTC'\n".into(), "1:13: error: expected a table: [scheduler]", ""),
        ],
        1,
    );
}

#[test]
fn syntax_errors() {
    check(
        vec![
            (
                trigger("cron = 0 3 * * *"),
                "3:8: error: a string must stand in quotes",
                "write `\"0 3 * * *\"`",
            ),
            (trigger("cron = \"0 3 * * *"), "3:18: error: this string is not closed", ""),
            (trigger("cron '0 3 * * *'"), "3:6: error: key with no value", "`key = value`"),
            (trigger("cron ="), "3:7: error: missing value", ""),
            (
                trigger(
                    "cron = ['0 3 * * *'\ntimeout = '1h'\n[jobs.y]\ncommand = 'x'\ndate = 'now'",
                ),
                "3:8: error: unclosed array",
                "`]`",
            ),
            (trigger("cron = { hour = 3"), "3:8: error: unclosed inline table", "`}`"),
            ("[jobs.x\ncommand = 'x'\ndate = 'now'\n".into(), "1:", ""),
            (trigger("date = 'now' retries = 3"), "3:14: error: expected the end of the line", ""),
            (job("name = \"\\q\""), "4:10: error: unknown escape in a string", "single quotes"),
            (job("name = \"\\%\""), "4:10: error: unknown escape in a string", "crontab"),
        ],
        1,
    );
}

#[test]
fn warnings() {
    let zone = "\ntimezone = 'Europe/Berlin'";
    check(
        vec![
            (trigger("cron = '0 0 30 2 *'"), "3:8: warning: never fires", ""),
            (
                trigger("cron = { day = '1st mon', day_of_week = 'tue' }"),
                "3:8: warning: never fires",
                "",
            ),
            (
                trigger("cron = '0 0 1 1 *'\nstart_date = 2030-01-02\nend_date = 2030-02-02"),
                "3:8: warning: never fires: nothing matches between",
                "",
            ),
            (trigger("cron = '* * * * * *'"), "3:8: warning: fires every second", ""),
            (trigger("cron = { second = '*' }"), "3:8: warning: fires every second", ""),
            (trigger("interval = '100ms'"), "3:12: warning: fires 10 times a second", ""),
            (
                trigger("cron = { day_of_week = 1, hour = 3 }"),
                "3:24: warning: day_of_week `1` counts from monday = 0",
                "tue",
            ),
            (trigger("cron = '*/7 * * * *'"), "3:9: warning: ", "7"),
            (trigger("cron = { minute = '*/7' }"), "3:20: warning: ", ""),
            (trigger("date = 2020-01-01"), "3:8: warning: this date is in the past", ""),
            (job("end_date = 2020-01-01"), "4:12: warning: this `end_date` is in the past", ""),
            (
                trigger(&format!("cron = '30 2 * * *'{zone}")),
                "3:8: warning: 02:30 ",
                "02:30 does not exist on ",
            ),
            (
                trigger(&format!("cron = '30 2 * * *'{zone}")),
                "3:8: warning: 02:30 ",
                " in Europe/Berlin: runs at 03:00",
            ),
            (
                trigger(&format!("cron = '30 2 * * *'{zone}")),
                "3:8: warning: 02:30 ",
                "Europe/Berlin: runs once, on the first pass",
            ),
            (
                trigger(&format!("cron = {{ hour = 2, minute = '*/15' }}{zone}")),
                "3:8: warning: 02:00 ",
                "runs on both passes",
            ),
            (
                "[jobs.x]\ncommand = 'tar czf /b/$(date +\\%F).tgz /srv'\ncron = '0 3 * * *'\n"
                    .into(),
                "2:31: warning: `\\%` looks copied from a crontab",
                "without the backslash",
            ),
            (
                "[jobs.x]\ncommand = 'mail root%Hello'\ncron = '0 3 * * *'\n".into(),
                "2:21: warning: this `%` looks copied",
                "`stdin`",
            ),
        ],
        0,
    );
}

#[test]
fn no_warning_where_there_is_nothing_to_warn_of() {
    let zone = "\ntimezone = 'Europe/Berlin'";
    let rows = [
        trigger(&format!("cron = '30 4 * * *'{zone}")),
        trigger(&format!("cron = '*/15 * * * *'{zone}")),
        trigger("cron = '30 2 * * *'"),
        trigger("cron = '@reboot'"),
        trigger("date = 'now'"),
        trigger("interval = '1s'"),
        trigger("cron = '0 0 29 2 *'"),
        "[jobs.x]\ncommand = 'date +%F'\ncron = '0 3 * * *'\n".to_owned(),
        "[defaults]\nend_date = 2020-01-01\n[jobs.x]\ncommand = 'x'\ndate = 'now'\n".to_owned(),
    ];
    for text in rows {
        Test::with(&text).run(&[]).code(0).has("jobs.toml: 1 job, no problems");
    }
}

#[test]
fn every_problem_of_a_file_in_one_pass() {
    let text = "\
[jobs.a]
comand = \"x\"
cron = \"0 25 * * *\"
timeout = 30
[jobs.b]
command = [\"a\", \"b\"
interval = \"5m\"
[jobs.c]
command = \"foo
interval = \"0s\"
cron = \"@reboot\"
[jobs.a.env]
X = 3
[jobs.d]
command = \"\"
executor = \"none\"
end_date = 2020-01-01
start_date = 2021-01-01
interval = { minutes = -1 }
[defualts]
timeout = 5
";
    let answer = Test::with(text).run(&[]).code(1);
    let places: Vec<&str> =
        answer.problems().iter().map(|problem| problem.split(": ").next().unwrap()).collect();
    let expected = [
        "2:1", "3:11", "4:11", "6:11", "9:15", "10:12", "11:1", "13:5", "15:11", "16:12", "17:12",
        "19:24", "20:2",
    ];
    assert_eq!(places, expected, "{}", answer.out());
    assert!(answer.out().ends_with("jobs.toml: 13 errors\n"));
}

#[test]
fn the_caret_stands_under_the_word() {
    let answer = Test::with("[jobs.ü]\ncommand = \"日本\"; x\tcron = \"0 3 * * *\"\ncomand = 1\n");
    answer
        .run(&[])
        .code(1)
        .has("jobs.toml:3:1: error: unknown key `comand`\n  |\n3 | comand = 1\n  | ^^^^^^\n");
    let text = "[jobs.x]\n# \u{e9}\ncommand = 'x'\ncron = '0 3 \u{e9} * *' # c\n";
    Test::with(text).run(&[]).code(1).has("jobs.toml:4:13: error: ");
    // A line of a megabyte is shown in part, and one in a strange language harmlessly.
    let text = format!("[jobs.x]\ncommand = '{}'\ndate = 'now'; comand = 1\n", "y".repeat(1 << 20));
    let answer = Test::with(&text.replace("';", "'\n")).run(&[]).code(1);
    assert!(answer.out().lines().all(|line| line.len() < 400), "{}", answer.out());
    let text = "[jobs.x]\ncommand = 'a'\ncron = '0 3 \u{202e}\u{85}\u{9b}31m * *'\n";
    let answer = Test::with(text).run(&[]).code(1);
    assert!(!answer.out().contains(|c: char| c == '\u{202e}' || (c.is_control() && c != '\n')));
}

#[test]
fn colour_only_when_asked_for() {
    let test = Test::with("[jobs.x]\ncomand = 1\n");
    assert!(!test.run(&[]).out().contains('\x1b'));
    assert!(test.run(&["--color=always"]).out().contains('\x1b'));
}

#[test]
fn json_is_one_object_a_line() {
    let text = "[jobs.x]\ncomand = 'x'\ncron = '30 2 * * *'\ntimezone = 'Europe/Berlin'\n";
    let answer = Test::with(text).run(&["--output", "json"]).code(1);
    let found: Vec<serde_json::Value> =
        answer.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), 1 + 1, "{}", answer.out());
    let first = &found[0];
    assert_eq!(first["file"], "jobs.toml");
    assert_eq!(
        (&first["line"], &first["column"], &first["end_column"]),
        (&2.into(), &1.into(), &7.into())
    );
    assert_eq!(first["severity"], "error");
    assert_eq!(first["message"], "unknown key `comand`");
    assert_eq!(first["help"], "did you mean `command`?");
    assert_eq!(first["job"], "x");
    assert_eq!(found[1]["severity"], "warning");
    assert_eq!(answer.err(), "jobs.toml: 1 error, 1 warning\n");
    let clean = Test::with(&job("")).run(&["--output=json"]).code(0);
    assert_eq!((clean.out(), clean.err()), ("", "jobs.toml: 1 job, no problems\n"));
}

#[test]
fn strict_takes_warnings_for_errors() {
    let test = Test::with(&trigger("cron = '0 0 30 2 *'"));
    test.run(&[]).code(0).has("jobs.toml: 1 job, 1 warning");
    test.run(&["--strict"]).code(1).has("error: never fires").has("1 error");
    Test::with(&job("")).run(&["--strict"]).code(0);
}

#[test]
fn wrong_usage_ends_with_2() {
    let test = Test::with(&job(""));
    test.run(&["--frobnicate"]).code(2);
    test.run(&["--output", "xml"]).code(2);
    test.run(&["--explain", "--output", "json"]).code(2);
}

#[test]
fn several_files_and_standard_input() {
    let test = Test::with(&job("")).file("b.toml", "[jobs.x]\n");
    test.run(&["jobs.toml", "b.toml"]).code(1).has("jobs.toml: 1 job, no").has("b.toml: 2 errors");
    test.run_with_stdin(&["-"], job("").as_bytes()).code(0).has("<stdin>: 1 job, no problems");
    test.run_with_stdin(&["-"], b"[jobs.x]\nx = 1").code(1).has("<stdin>:2:1: error: unknown key");
    test.run_with_stdin(&["-"], b"").code(0).has("<stdin>: 0 jobs, no problems");
    test.run_with_stdin(&["-"], b"\xef\xbb\xbf[jobs.x]\nx\xff")
        .code(1)
        .has(":2:2: error: this is not UTF-8");
    test.run(&["none.toml"]).code(1).has("none.toml: error: there is no such file");
}

#[test]
fn finds_the_file_that_is_meant() {
    let job = job("");
    let none = Test::new().run(&[]).code(1);
    for place in
        ["$SCHEDRS_JOBFILE", "./jobs.toml", ".config/schedrs/jobs.toml", "/etc/schedrs/jobs.toml"]
    {
        assert!(none.err().contains(place), "{}", none.err());
    }
    let test = Test::new().file(".config/schedrs/jobs.toml", &job).file("other.toml", &job);
    test.run(&[]).code(0).has(".config/schedrs/jobs.toml: 1 job");
    let run = |name, value: &str| {
        let mut command = test.command(&[]);
        Answer(command.env(name, test.path().join(value)).output().unwrap())
    };
    run("SCHEDRS_JOBFILE", "other.toml").code(0).has("other.toml: 1 job");
    run("SCHEDRS_JOBFILE", "missing.toml")
        .code(1)
        .has("missing.toml: error: there is no such file");
    run("XDG_CONFIG_HOME", ".config").code(0).has(".config/schedrs/jobs.toml: 1 job");
    test.file("jobs.toml", &job).run(&[]).code(0).has("jobs.toml: 1 job");
}

#[test]
fn what_is_no_jobfile_is_refused() {
    let deep = format!("a = {}", "[".repeat(100_000));
    let deep_key = format!("a{} = 1", ".a".repeat(100_000));
    let deep_header = format!("[jobs{}]", ".a".repeat(100_000));
    let test = Test::new()
        .file("nul.toml", b"[jobs.x]\na = \"\0\"\n")
        .file("deep.toml", &deep)
        .file("deep_key.toml", &deep_key)
        .file("deep_header.toml", &deep_header);
    let large = fs::File::create(test.path().join("large.toml")).unwrap();
    large.set_len((256 << 20) + 1).unwrap();
    let zeros = fs::File::create(test.path().join("zeros.toml")).unwrap();
    zeros.set_len(256 << 20).unwrap();
    let fifo = test.path().join("fifo.toml");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let rows = [
        ("fifo.toml", "fifo.toml: error: this is a FIFO, not a regular file"),
        ("/dev/zero", "/dev/zero: error: this is a device, not a regular file"),
        (".", ".: error: this is a directory, not a regular file"),
        ("large.toml", "large.toml: error: it is larger than 256 MiB"),
        ("zeros.toml", "zeros.toml:1:1: error: there is a NUL byte"),
        ("nul.toml", "nul.toml:2:6: error: there is a NUL byte"),
        ("deep.toml", "deep.toml:1:69: error: nested too deeply: at most 64 levels"),
        ("deep_key.toml", "deep_key.toml:1:129: error: nested too deeply"),
        ("deep_header.toml", "deep_header.toml:1:1: error: nested too deeply"),
    ];
    for (file, message) in rows {
        let answer = test.run(&[file]).code(1).has(message);
        assert!(answer.out().len() < 2000, "{}", answer.out());
    }
    // The end of the input is not waited for.
    let mut command = test.command(&["-"]);
    let endless = command.stdin(fs::File::open("/dev/zero").unwrap()).output().unwrap();
    Answer(endless).code(1).has("<stdin>:1:1: error: there is a NUL byte");
}

#[test]
fn includes() {
    let x = |id: &str| format!("[jobs.{id}]\ncommand = 'x'\ndate = 'now'\n");
    let pool = "[executors]\npool = { max_workers = 1 }\n";
    let main = format!("include = ['jobs.d/*.toml', 'one.toml']\n{}executor = 'pool'\n", x("main"));
    let test = Test::with(&main)
        .file("jobs.d/b.toml", x("b"))
        .file("jobs.d/a.toml", x("a") + pool)
        .file("jobs.d/.hidden.toml", "rubbish")
        .file("jobs.d/c.txt", "rubbish")
        .file("one.toml", "include = 'sub/deep.toml'\n".to_owned() + &x("one"))
        .file("sub/deep.toml", x("deep"));
    test.run(&[]).code(0).has("jobs.toml: 5 jobs, no problems");
    // From another directory the same.
    let path = test.path().join("jobs.toml");
    let mut elsewhere = test.command(&[path.to_str().unwrap()]);
    Answer(elsewhere.current_dir("/").output().unwrap()).code(0).has("5 jobs, no problems");

    let fails = |main: &str, message: &str| {
        let test =
            Test::with(main).file("a.toml", x("a")).file("b.toml", x("a") + "\ncomand = 1\n");
        let test =
            test.file("s.toml", "[scheduler]\n").file("cycle.toml", "include = 'jobs.toml'\n");
        test.run(&[]).code(1).has(message);
    };
    fails(
        "include = 'none.toml'\n",
        "jobs.toml:1:11: error: cannot include none.toml: there is no such file",
    );
    fails(
        "include = '/dev/zero'\n",
        "jobs.toml:1:11: error: cannot include /dev/zero: this is a device",
    );
    fails("include = ['a.toml', 5]\n", "jobs.toml:1:22: error: expected the path of a file");
    fails("include = {}\n", "jobs.toml:1:11: error: expected an array of files");
    fails("include = 'a[.toml'\n", "jobs.toml:1:11: error: this pattern cannot be read");
    fails("include = ['a.toml', 'b.toml']\n", "b.toml:1:7: error: duplicate job `a`");
    fails("include = ['a.toml', 'b.toml']\n", "it first stands at a.toml:1:7");
    fails("include = 'b.toml'\n", "b.toml:5:1: error: unknown key `comand`");
    fails(
        "include = 's.toml'\n",
        "s.toml:1:2: error: `scheduler` may only stand in the file that includes",
    );
    fails("include = 'cycle.toml'\n", "cycle.toml:1:11: error: this file includes itself");
    fails("include = 'jobs.toml'\n", "jobs.toml:1:11: error: this file includes itself");
    // Wildcards that match nothing, or the file itself, are fine.
    let fine = |main: &str| Test::with(main).file("a.toml", x("a")).run(&[]).code(0);
    fine("include = 'none.d/*.toml'\n").has("0 jobs, no problems");
    fine("include = '*.toml'\n").has("1 job, no problems");
    fine("include = ['a.toml', '*.toml']\n").has("1 job, no problems");
    fine("include = ['a.toml', 'a.toml']\n").has("warning: this file is included already");
}

#[test]
fn included_this_deep() {
    let mut test = Test::with("include = '0.toml'\n");
    for n in 0..20 {
        test = test.file(&format!("{n}.toml"), format!("include = '{}.toml'\n", n + 1));
    }
    test.run(&[]).code(1).has("error: includes are nested more than 16 deep");
}

#[test]
fn jobs_may_be_written_in_any_way() {
    let rows = [
        "[jobs.x]\ncommand = 'x'\ndate = 'now'\n[jobs.y]\ncommand = 'y'\ndate = 'now'\n",
        "[jobs.x]\ncommand = 'x'\n[jobs.y]\ncommand = 'y'\ndate = 'now'\n[jobs.x.env]\nA = 'b'\n\
         [jobs.x.interval]\nhours = 1\n",
        "jobs.x.command = 'x'\njobs.x.date = 'now'\njobs.y = { command = 'y', date = 'now' }\n",
        "jobs = { x = { command = 'x', date = 'now' }, y = { command = 'y', date = 'now' } }\n",
        "[jobs]\nx = { command = 'x', date = 'now' }\ny.command = 'y'\ny.date = 'now'\n",
        "[jobs]\n# all of them\n[jobs.x]\ncommand = 'x'\ndate = 'now'\n[jobs.y]\ncommand = 'y'\ndate = 'now'\n",
        "[jobs.x]\ncommand = 'x'\ndate = 'now'\nexecutor = 'p'\n[jobs.y]\ncommand = 'y'\ndate = 'now'\n\
         timezone = 'UTC'\n[executors]\np = {}\n[defaults]\nretries = 1\n[scheduler]\nstop_grace = '1m'\n",
        "[jobs.\"x\"]\ncommand = 'x'\ndate = 'now'\n[ jobs . 'y' ]\ncommand = 'y'\ndate = 'now'\n",
        "\u{feff}[jobs.x]\r\ncommand = 'x'\r\ndate = 'now'\r\n[jobs.y]\r\ncommand = 'y'\r\ndate = 'now'\r\n",
    ];
    for text in rows {
        Test::with(text).run(&[]).code(0).has("jobs.toml: 2 jobs, no problems");
    }
}

#[test]
fn explains_where_values_come_from() {
    let text = "[scheduler]\ntimezone = 'Europe/Paris'\n[defaults]\ntimeout = '5m'\n\
                [jobs.x]\ncommand = 'true'\ncron = '30 4 * * *'\nretries = 3\n";
    let answer = Test::with(text).run(&["--explain"]).code(0);
    let line = |key: &str| {
        let line = answer.out().lines().find(|line| line.trim().starts_with(key));
        line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("command"), "command \"true\" # line 6");
    assert_eq!(line("timezone"), "timezone Europe/Paris # [scheduler] line 2");
    assert_eq!(line("timeout"), "timeout 5m # [defaults] line 4");
    assert_eq!(line("retries"), "retries 3 # line 8");
    assert_eq!(line("kill_after"), "kill_after 10s # built in");
    assert!(line("next due").contains("04:30:00 +0"), "{}", line("next due"));
    assert!(line("schedule").contains("4:30"), "{}", line("schedule"));
    // A job without a zone anywhere has the system's.
    let answer = Test::with(&job("")).run(&["--explain"]).code(0);
    assert!(answer.out().contains("# the system"), "{}", answer.out());
}
