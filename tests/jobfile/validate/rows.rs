//! Every kind of error and warning: a jobfile that has it alone, and where and how it is said.

use super::{Test, job, trigger};

/// A row: jobfile, place and message of the one problem in it, what the help says (or a part).
pub(super) type Row = (String, &'static str, &'static str);

#[track_caller]
pub(super) fn check(rows: Vec<Row>, code: i32) {
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
            (trigger("or = [{ cron = '@daily' }]"), "3:1: error: unknown key `or`", "`any`"),
            (
                trigger("any = [{ and = [{ cron = '@daily' }] }]"),
                "3:10: error: unknown key `and`",
                "`all`",
            ),
            (
                trigger("any = [{ days = 1 }]"),
                "3:10: error: unknown key `days`",
                "`interval = { days = 1 }`",
            ),
            (
                trigger("delay = '10m'"),
                "3:1: error: unknown key `delay`",
                "`interval = { minutes = 10, from = \"end\" }`",
            ),
            (
                trigger("interval = { minutes = 5, from_end = true }"),
                "3:27: error: unknown key `from_end`",
                "`from = \"end\"`",
            ),
            (
                trigger("interval = { weeks = 2, day = 'mon', hour = 9 }"),
                "3:31: error: expected a day of the month",
                "`0 9 * * mon`",
            ),
            (
                trigger("interval = { months = 1, day = -1 }"),
                "3:32: error: there is no day -1 in a month",
                "\"last\"",
            ),
            (
                trigger("after = 'b'\ncron = '@daily'\n[jobs.b]\ncommand = 'x'\ncron = '@daily'"),
                "4:1: error: a second trigger: this job already has `after`",
                "write two jobs",
            ),
            (
                trigger("after = { all = ['b'], on = 'success' }"),
                "3:29: error: expected \"succeeded\"",
                "`succeeded`",
            ),
            (
                trigger("after = { all = ['b'], on = 'done' }"),
                "3:29: error: expected \"succeeded\"",
                "`finished`",
            ),
            (trigger("after = { jobs = ['b'] }"), "3:11: error: unknown key `jobs`", "`all`"),
            (trigger("after = { any = ['b'] }"), "3:11: error: unknown key `any`", "as many jobs"),
            (
                trigger("cron = '@daily'\nexcept = ['mon-fri']"),
                "4:11: error: unknown calendar `mon-fri`",
                "\"mon..fri\"",
            ),
            (
                trigger("cron = '@daily'\nexcept = ['9:00-17:00']"),
                "4:11: error: not a window: did you mean \"09:00..17:00\"?",
                "",
            ),
            (
                trigger("cron = '@daily'\nexcept = ['weekend']"),
                "4:11: error: unknown calendar `weekend`",
                "\"sat..sun\"",
            ),
            (
                trigger("day_of_week = 'mon'"),
                "3:1: error: unknown key `day_of_week`",
                "`cron = { day_of_week = 'mon' }`",
            ),
            (
                trigger("days = 'mon'"),
                "3:1: error: unknown key `days`",
                "`cron = { day_of_week = \"mon\", hour = 9 }`",
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
                "[executors]\na = { max_running = 1 }\n".into(),
                "2:7: error: unknown key `max_running`",
                "`max_workers`",
            ),
            (
                "[executors]\na = { rate = 1 }\n".into(),
                "2:7: error: unknown key `rate`",
                "`max_starts_per_second`",
            ),
            (
                "[executors]\na = { max_instances = 1 }\n".into(),
                "2:7: error: `max_instances` is an option of jobs",
                "`[defaults]`",
            ),
            (
                "[scheduler]\nmax_starts_per_second = 5\n".into(),
                "2:1: error: unknown key `max_starts_per_second`",
                "`[executors]`",
            ),
            ("[scheduler]\ntz = 'UTC'\n".into(), "2:1: error: unknown key `tz`", "`timezone`"),
            (
                "[scheduler]\ncoalesce = 'all'\n".into(),
                "2:1: error: `coalesce` is an option of jobs",
                "`[defaults]`",
            ),
            (
                "[fleet]\nlabels = []\n".into(),
                "2:10: error: this array has no labels",
                "leave the key out",
            ),
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
                "4:1: error: a second trigger: this job already has `cron`",
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
            (trigger("cron = []"), "3:8: error: empty value", ""),
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
            (trigger("cron = {}"), "3:8: error: no fields", ""),
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
            (trigger("any = []"), "3:7: error: empty value, expected an array of triggers", ""),
            (trigger("any = '@daily'"), "3:7: error: expected an array of triggers", ""),
            (
                trigger("any = ['@daily', { cron = '@hourly' }]"),
                "3:8: error: expected a table, found a string",
                "`{ cron = \"…\" }`",
            ),
            (trigger("all = [{ timezone = 'UTC' }]"), "3:8: error: no trigger: each needs", ""),
            (
                trigger("any = [{ cron = '@daily', command = 'x' }]"),
                "3:27: error: `command` is an option of the job",
                "beside `any` or `all`",
            ),
            (trigger("any = [{ crom = '@daily' }]"), "3:10: error: unknown key `crom`", "`cron`"),
            (trigger("any = [{ cron = '0 25 * * *' }]"), "3:20: error: hour 25 is out", ""),
            (
                trigger("any = [{ cron = '@reboot' }]"),
                "3:17: error: the start of the scheduler cannot be one of several",
                "run_on_start",
            ),
            (
                trigger("any = [{ cron = '@daily', date = 2030-01-01 }]"),
                "3:27: error: a second trigger",
                "",
            ),
            (
                trigger(
                    "any = [{ any = [{ any = [{ any = [{ any = [{ date = 2030-01-01 }] }] }] }] }]",
                ),
                "3:43: error: triggers can stand in triggers 4 levels deep",
                "",
            ),
            (
                trigger("interval = { hour = 2 }"),
                "3:12: error: an interval must be longer than zero",
                "{ weeks = 2, hour = 9 }",
            ),
            (
                trigger("interval = { months = 1, hours = 9 }"),
                "3:26: error: `hours` is elapsed time",
                "`hour`, `minute` and `second` are the time of day",
            ),
            (
                trigger("interval = { weeks = 1, day = 3, hour = 9 }"),
                "3:25: error: `day` is a day of the month",
                "",
            ),
            (trigger("interval = { months = 1, day = 32 }"), "3:32: error: there is no day 32", ""),
            (trigger("interval = { months = 1, day = 'lst' }"), "3:32: error: expected a day", ""),
            (trigger("interval = { days = 1, hour = 24 }"), "3:31: error: 24 is out of range", ""),
            (trigger("interval = { month = 1, hour = 9 }"), "3:14: error: unknown key", "`months`"),
            (
                trigger("interval = { months = 1000000 }"),
                "3:12: error: this interval is too long",
                "",
            ),
            (
                trigger("interval = { minutes = 5, from = 'finish' }"),
                "3:34: error: \"finish\" is nothing that an interval counts from",
                "`from = \"end\"`",
            ),
            (
                trigger("interval = { minutes = 5, form = 'end' }"),
                "3:27: error: unknown key `form`",
                "did you mean `from`?",
            ),
            (
                trigger("interval = { from = 'end' }"),
                "3:12: error: an interval must be longer than zero",
                "",
            ),
            (
                trigger("interval = { months = 1, hour = 9, from = 'end' }"),
                "3:43: error: months, years and a time of day cannot be counted from the end",
                "elapsed time",
            ),
            (
                trigger("any = [{ interval = { hours = 1, from = 'end' } }, { cron = '@daily' }]"),
                "3:21: error: an interval from the end of the last run cannot be one of several",
                "a job of its own",
            ),
            (
                trigger("interval = { hours = 1, from = 'end' }\nrun_on = 'all'"),
                "3:12: error: `run_on = \"all\"` cannot be with an interval from the end of the last run",
                "one host runs the job",
            ),
            (trigger("after = 5"), "3:9: error: expected the id of a job, or a table", ""),
            (trigger("after = []"), "3:9: error: empty value, expected at least one id", ""),
            (trigger("after = ['x', 'x']"), "3:15: error: this job is named twice", ""),
            (trigger("after = 'y'"), "3:9: error: no job `y`", ""),
            (trigger("after = 'x'"), "3:9: error: `x` is due after itself", "never begin"),
            (
                trigger("after = 'y'\n[jobs.y]\ncommand = 'x'\nafter = ['x']"),
                "6:10: error: a circle: `x` is due after `y`, `y` after `x`",
                "and the other way round",
            ),
            (
                trigger("after = 'lod'\n[jobs.load]\ncommand = 'x'\ninterval = '1h'"),
                "3:9: error: no job `lod`",
                "did you mean `load`?",
            ),
            (
                format!(
                    "[store]\nurl = 'postgres://db'\n{}",
                    trigger(
                        "after = 'y'\nrun_on = 'all'\n[jobs.y]\ncommand = 'x'\n\
                         interval = '1h'",
                    )
                ),
                "5:9: error: `x` runs on all hosts, `y` on one",
                "due times of its own",
            ),
            (
                format!(
                    "[store]\nurl = 'postgres://db'\n{}",
                    trigger(
                        "after = ['y', 'z']\nrun_on = 'all'\n\
                         [jobs.y]\ncommand = 'x'\ninterval = '1h'\nrun_on = 'all'\n\
                         [jobs.z]\ncommand = 'x'\ninterval = '1h'\nrun_on = 'all'",
                    )
                ),
                "5:15: error: with `run_on = \"all\"` a job cannot wait for several",
                "make it a chain",
            ),
            (
                trigger("after = { all = ['x'], on = 'failure' }"),
                "3:29: error: expected \"succeeded\", \"failed\" or \"finished\"",
                "did you mean `failed`?",
            ),
            (
                trigger("after = { al = ['x'] }"),
                "3:11: error: unknown key `al`",
                "did you mean `all`?",
            ),
            (trigger("after = { on = 'failed' }"), "3:9: error: no jobs: `all` names", ""),
            (
                trigger(
                    "after = 'y'\nstart_date = 2027-01-01\n[jobs.y]\ncommand = 'x'\ninterval = '1h'",
                ),
                "4:1: error: `start_date` has no meaning beside `after`",
                "those that it names",
            ),
            (
                trigger("any = [{ after = 'y' }, { cron = '@daily' }]"),
                "3:18: error: `after` cannot be one of several triggers",
                "a job of its own",
            ),
            (trigger("depends_on = 'y'"), "3:1: error: unknown key `depends_on`", "`after`"),
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
            (trigger("interval = '30'"), "3:13: error: missing unit", "`\"30s\"`"),
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
            (trigger("interval = ''"), "3:13: error: empty value, expected a duration", ""),
            (
                trigger("date = 2026-02-30"),
                "3:8: error: there is no 2026-02-30 in the calendar",
                "",
            ),
            (trigger("date = 'tomorrow'"), "3:8: error: expected a date such as", ""),
            (trigger("date = 09:00:00"), "3:8: error: time of day without a date", ""),
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
        ("hook_timeout = '0s'", "16: error: a timeout must be longer than zero", "`\"30s\"`"),
        ("on_failure = ''", "14: error: the command is empty", ""),
        ("on_success = 3", "14: error: expected a string for the shell", ""),
        ("on_missed = []", "13: error: the command is empty", ""),
        (
            "on_failure = ['page', '{job}']",
            "23: error: `{job}` is not filled in",
            "read $SCHEDRS_JOB there, or write a string for the shell: `\"COMMAND \\\"$SCHEDRS_JOB\\\"\"`",
        ),
        (
            "on_failure = { command = ['page', '{job}'] }",
            "35: error: `{job}` is not filled in",
            "read $SCHEDRS_JOB there",
        ),
        ("on_failure = { once = true }", "14: error: this hook has no `command`", ""),
        (
            "on_failure = { command = 'x', onse = true }",
            "31: error: unknown key `onse`",
            "did you mean `once`?",
        ),
        (
            "on_success = { command = 'x', once = true }",
            "31: error: `once` belongs to `on_failure`",
            "only failures come in a row",
        ),
        (
            "on_success = { command = 'x', retries = 11 }",
            "41: error: 11 is out of range, expected an integer from 0 to 10",
            "",
        ),
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
        (
            "pause_after = 0",
            "15: error: it must be at least 1",
            "leave it out, and no failure pauses the job",
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
        ("success_codes = []", "17: error: with no codes", "`[0]`"),
        ("umask = '999'", "9: error: a umask is octal", ""),
        (
            "umask = 22",
            "9: error: expected an octal string such as \"022\", found an integer",
            "`\"022\"`",
        ),
        ("nice = 20", "8: error: 20 is out of range, expected an integer from -20 to 19", ""),
        ("limits = 5", "10: error: expected a table such as { memory = ", ""),
        ("limits = { ram = '2GB' }", "12: error: unknown key `ram`", "did you mean `memory`?"),
        (
            "limits = { memorry = '2GB' }",
            "12: error: unknown key `memorry`",
            "did you mean `memory`?",
        ),
        (
            "limits = { memory = '2XB' }",
            "21: error: expected a number of bytes from 1MiB such as \"2GB\"",
            "",
        ),
        ("limits = { memory = '1KiB' }", "21: error: expected a number of bytes from 1MiB", ""),
        (
            "limits = { core = true }",
            "19: error: expected a number of bytes such as \"10MB\", found a boolean",
            "",
        ),
        (
            "limits = { open_files = 0 }",
            "25: error: 0 is out of range, expected an integer from 1",
            "",
        ),
        (
            "limits = { cpu = '150%' }",
            "18: error: expected a number of processors such as 1.5, found a string",
            "write `1.5`",
        ),
        ("limits = { cpu = 0 }", "18: error: 0 is out of range, expected a number from 0.01", ""),
        (
            "limits = { cpu_time = '1500ms' }",
            "23: error: processor time is limited in whole seconds",
            "`timeout`",
        ),
        ("limits = { swap = 0 }", "10: error: `swap` needs `memory`", "write both"),
        ("only_if = '/mnt'", "11: error: expected a table such as { path = ", ""),
        ("only_if = true", "11: error: expected a table such as { path = ", ""),
        ("only_if = { pth = '/mnt' }", "13: error: unknown key `pth`", "did you mean `path`?"),
        (
            "only_if = { user = 'x' }",
            "13: error: unknown key `user`",
            "expected `path`, `load_below`",
        ),
        ("only_if = { path = 5 }", "20: error: expected a path such as", "write `\"5\"`"),
        ("only_if = { path = '' }", "20: error: empty value", ""),
        ("only_if = { path = [] }", "20: error: expected a path such as", ""),
        ("only_if = { path = ['/a', 5] }", "27: error: expected a path such as", "write `\"5\"`"),
        (
            "only_if = { path = '~/x' }",
            "20: error: a path below a home directory has no meaning here",
            "write the path from the root",
        ),
        ("only_if = { load_below = '4' }", "26: error: expected a number such as 4.0", ""),
        (
            "only_if = { load_below = 0 }",
            "26: error: 0 is out of range, expected a number above 0",
            "",
        ),
        ("only_if = { load_below = nan }", "26: error: NaN is out of range", ""),
        ("only_if = { ac_power = 'yes' }", "24: error: expected true or false, found a string", ""),
        ("only_if = { command = [] }", "23: error: the command is empty", ""),
        ("only_if = { command = 5 }", "23: error: expected a string for the shell", ""),
        ("only_if = { disk_free = '5GB' }", "25: error: expected a table such as { path = ", ""),
        (
            "only_if = { disk_free = { path = '/' } }",
            "25: error: `disk_free` needs `above`",
            "write { path = \"/\", above = \"5GB\" }",
        ),
        ("only_if = { disk_free = {} }", "25: error: `disk_free` needs `path`", ""),
        (
            "only_if = { disk_free = { path = '/', abov = '5GB' } }",
            "39: error: unknown key `abov`",
            "did you mean `above`?",
        ),
        (
            "only_if = { disk_free = { path = '/', above = '5%' } }",
            "47: error: expected a number of bytes such as \"5GB\"",
            "",
        ),
        ("precondition = {}", "1: error: unknown key `precondition`", "did you mean `only_if`?"),
        ("max_postpone = '1h'", "1: error: unknown key `max_postpone`", "did you mean `wait_for`?"),
        ("wait_for = 30", "12: error: expected a duration", ""),
        (
            "env = { PORT = 8080 }",
            "16: error: expected a string, { file = \"...\" } or { append = \"...\" }, found an integer",
            "write `\"8080\"`",
        ),
        ("env = { 'A=B' = 'x' }", "9: error: not a valid name for a variable", "`=`"),
        (
            "env = 'A=B'",
            "7: error: expected a table such as { NAME = \"value\" }, found a string",
            "",
        ),
        ("shell = []", "9: error: the shell is empty", ""),
        (
            "shell = 'bash -eu'",
            "9: error: this string is taken as the path of one program",
            "`[\"bash\", \"-eu\"]`",
        ),
        ("cwd = ''", "7: error: empty value", ""),
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
            (id("\"a\\nb\""), "1:7: error: the id of a job cannot contain control characters", ""),
            (
                id(&long),
                "1:7: error: the id of a job can have at most 255 bytes, this one has 256",
                "",
            ),
            (
                format!("{job}{job}"),
                "4:7: error: duplicate table `[jobs.x]`",
                "first defined at jobs.toml:1:7",
            ),
            (
                format!("{job}command = 'y'\n"),
                "4:1: error: duplicate key `command`",
                "jobs.toml:2:1",
            ),
            (
                "[jobs]\ncommand = 'x'\n".into(),
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
            (
                "[executors]\na = { max_starts_per_second = 0.5 }\n".into(),
                "2:31: error: expected an integer from 1 to 10000, found a float",
                "",
            ),
            (
                "[store]\nurl = 'mysql'\n".into(),
                "2:7: error: \"mysql\" is not a store",
                "\"memory\"",
            ),
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
                "3:8: error: a string must be quoted",
                "write `\"0 3 * * *\"`",
            ),
            (trigger("cron = \"0 3 * * *"), "3:18: error: unclosed string", ""),
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
            (job("name = \"\\q\""), "4:10: error: unknown escape sequence", "single quotes"),
            (job("name = \"\\%\""), "4:10: error: unknown escape sequence", "crontab"),
        ],
        1,
    );
}

#[test]
fn warnings() {
    let zone = "\ntimezone = 'Europe/Berlin'";
    check(
        vec![
            (
                job("on_lost = 'run_again'\nkill_after = '30s'"),
                "5:14: warning: on a host that is cut off from the store, what may run again is \
                 killed 2s after TERM, not 30s",
                "`[fleet] lease = \"180s\"` leaves that time",
            ),
            (
                job("on_lost = 'run_again'\nkill_after = '3m'"),
                "5:14: warning: on a host that is cut off",
                "no lease is long enough for that",
            ),
            (
                job("wait_for = '5m'"),
                "4:12: warning: this job has no `only_if`, so it waits for nothing",
                "`max_wait`",
            ),
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
                trigger("interval = { hours = 1, from = 'end' }\noverlap = 'queue'"),
                "4:11: warning: `overlap` has no effect with `from = \"end\"`",
                "before its run has ended",
            ),
            (
                trigger("interval = { years = 1, day = 31 }\nstart_date = 2027-04-01"),
                "3:12: warning: never fires: no month has that day",
                "",
            ),
            (
                trigger("interval = { months = 1, hour = 9 }\nstart_date = 2027-01-31"),
                "3:12: warning: months without a day 31, that of `start_date`, are skipped",
                "`day = \"last\"`",
            ),
            (
                trigger(
                    "interval = { days = 1, hour = 2, minute = 30 }\ntimezone = 'Europe/Berlin'",
                ),
                "3:12: warning: 02:30 ",
                "choose a time that is not affected",
            ),
            (
                trigger("all = [{ cron = '0 3 * * *' }, { date = 2020-01-01T03:00:00 }]"),
                "3:41: warning: this date is in the past",
                "",
            ),
            (
                trigger(
                    "all = [{ cron = '0 0 3 * * * 2020,2030' }, { cron = '0 0 3 * * * 2020,2031' }]",
                ),
                "3:7: warning: never fires any more: the last time at which all of these",
                "",
            ),
            (
                trigger("cron = '@daily'\nlimits = { required = false }"),
                "4:23: warning: `required` is about the limits beside it",
                "",
            ),
            (
                trigger("all = [{ cron = '0 3 * * *' }, { cron = '0 4 * * *' }]"),
                "3:7: warning: never fires: no time was found at which all of these are due",
                "`any` is due when one of them is",
            ),
            (trigger("cron = '0 0 3 1 1 * 2020'"), "3:8: warning: never fires any more", ""),
            (
                trigger("cron = '0 3 1 1 * 2090'"),
                "3:9: warning: read as five fields and the year",
                "`0 0 3 1 1 * 2090`",
            ),
            (trigger("cron = '0 3 * * mon/3'"), "3:17: warning: `mon/3` counts to Saturday", ""),
            (
                trigger("cron = { day_of_week = 1, hour = 3 }"),
                "3:24: warning: day_of_week `1` counts from Monday = 0",
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
                "Europe/Berlin: runs once, the first time",
            ),
            // Only half of it concerns a job that does not run in the other.
            (
                trigger(&format!("cron = '30 2 * * *'{zone}\nexcept = ['10-01..12-31']")),
                "3:8: warning: 02:30 does not exist on ",
                "Europe/Berlin: runs at 03:00\n",
            ),
            (
                trigger(&format!("cron = '30 2 * * *'{zone}\nonly = ['07-01..12-31']")),
                "3:8: warning: 02:30 happens twice on ",
                "",
            ),
            (
                trigger(&format!("cron = {{ hour = 2, minute = '*/15' }}{zone}")),
                "3:8: warning: 02:00 ",
                "runs both times",
            ),
            (
                "[jobs.x]\ncommand = 'tar czf /b/$(date +\\%F).tgz /srv'\ncron = '0 3 * * *'\n"
                    .into(),
                "2:31: warning: this `\\%` looks copied from a crontab",
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
        job("on_lost = 'run_again'"),
        job("on_lost = 'run_again'\nkill_after = '2s'"),
        job("kill_after = '1h'"),
        trigger("cron = '0 0 29 2 *'"),
        "[jobs.x]\ncommand = 'date +%F'\ncron = '0 3 * * *'\n".to_owned(),
        "[defaults]\nend_date = 2020-01-01\n[jobs.x]\ncommand = 'x'\ndate = 'now'\n".to_owned(),
    ];
    for text in rows {
        Test::with(&text).run(&[]).code(0).has("jobs.toml: 1 job, no problems");
    }
}

#[test]
fn routes() {
    let r = |lines: &str| format!("[notify.ops]\n{lines}\n");
    let both =
        |first: &str, second: &str| format!("[notify.ops]\n{first}\n[notify.more]\n{second}\n");
    check(
        vec![
            (r(""), "1:9: error: this route leads nowhere", "it needs one of `mail`, `slack`"),
            (
                r("mail = 'root'\ncommand = 'x'"),
                "3:1: error: a route leads to one service, and has `mail` already",
                "the first one is",
            ),
            (r("mail = 'root'\nchanel = 'x'"), "3:1: error: unknown key `chanel`", ""),
            (r("mail = 'root'\nchat = 'x'"), "3:1: error: unknown key `chat`", ""),
            (r("mail = 'Ops <ops@example.org>'"), "2:8: error: this is no address", "bare address"),
            (r("mail = '-oQ/tmp'"), "2:8: error: this is no address", ""),
            (r("mail = 'root'\npassword = 'x'"), "3:1: error: a password without a server", "smtp"),
            (
                r("mail = 'root'\nsmtp = 'smtps://me:secret@mail.example.org'"),
                "3:8: error: this holds a password",
                "",
            ),
            (r("slack = 'hooks.slack.com/x'"), "2:9: error: this is no URL such as", ""),
            (r("slack = { path = '/x' }"), "2:11: error: unknown key `path`", "`file`"),
            (r("slack = 7"), "2:9: error: expected a string, or { file", ""),
            (r("slack = { credential = '../x' }"), "2:24: error: a credential has a name", ""),
            (r("telegram = 'x'"), "2:1: error: `telegram` needs the id of the chat", ""),
            (r("gotify = 'https://x.example.org'"), "2:1: error: `gotify` needs the token", ""),
            (r("mail = 'root'\non = []"), "3:6: error: a route that hears of nothing", ""),
            (r("mail = 'root'\non = ['failing']"), "3:7: error: ", "did you mean \"failed\"?"),
            (r("mail = 'root'\non = 'failed'"), "3:6: error: expected an array such as", ""),
            (r("mail = 'root'\nafter = 0"), "3:9: error: ", ""),
            (
                r("mail = 'root'\non_change = 'yes'"),
                "3:13: error: expected true or false, found a string",
                "",
            ),
            (r("mail = 'root'\nagain = '10s'"), "3:9: error: it must be at least \"1m\"", "never"),
            (r("mail = 'root'\ngather = '2 days'"), "3:10: error: it can be at most", ""),
            (
                r("mail = 'root'\nexcept = 'sat'"),
                "3:10: error: expected an array of windows such as \"22:00..07:00\"",
                "",
            ),
            (
                r("mail = 'root'\ndigest = 'daily 08:00'"),
                "3:10: error: \"daily 08:00\" is not a time of day such as",
                "",
            ),
            (
                r("mail = 'root'\ndigest = '08:00'\nagain = '1h'"),
                "4:1: error: a route with a digest hears of nothing else: `again` has no meaning",
                "two routes",
            ),
            (r("mail = 'root'\nexcept = ['sat', 7]"), "3:18: error: expected a window such as", ""),
            (
                r("mail = 'root'\nexcept = ['sat', '22..7']"),
                "3:18: error: not a window such as",
                "\"fri 18:00..mon 08:00\"",
            ),
            (
                r("mail = 'root'\nexcept = ['22:00..07:00', '07:00..22:00']"),
                "3:10: error: it would never end",
                "",
            ),
            (
                r("mail = 'root'\ntimezone = 'Europe/Berln'"),
                "3:12: error: unknown time zone",
                "Europe/Berlin",
            ),
            (
                r("slack = 'https://a.b/c'\nproxy = 'proxy:3128'"),
                "3:9: error: it must be the URL of a proxy such as \"http://proxy:3128\", or \"\" for none",
                "",
            ),
            (
                r("slack = 'https://a.b/c'\nproxy = 'http://ann:pw@proxy:3128'"),
                "3:9: error: it must be the URL of a proxy",
                "",
            ),
            (r("mail = 'root'\nhttp_ok = true"), "3:1: error: unknown key `http_ok`", ""),
            (r("slack = 'https://a.b/c'\nhttp_ok = 'yes'"), "3:11: error: expected", ""),
            (
                r("mail = 'root'\nfallback = 'mial'"),
                "3:12: error: unknown route `mial`",
                "add it: `[notify.mial]`",
            ),
            (
                r("mail = 'root'\nfallback = 'ops'"),
                "3:12: error: the fallbacks of `ops` lead back to it",
                "",
            ),
            (
                both("mail = 'root'", "mail = 'root'\nfallback = 'opss'"),
                "5:12: error: unknown route `opss`",
                "did you mean `ops`?",
            ),
            (
                "[notify.'on call']\nmail = 'root'\n".to_owned(),
                "1:9: error: not a valid name for a route",
                "letters, digits",
            ),
            (
                "[notify]\nmail = 'root'\n".to_owned(),
                "2:1: error: `mail` belongs to a route with a name",
                "[notify.NAME]",
            ),
            (
                both("mail = 'root'", "mail = 'root'") + "[defaults]\nnotify = ['opps']\n",
                "6:11: error: unknown route `opps`",
                "did you mean `ops`?",
            ),
            (job("notify = ['ops']"), "4:11: error: unknown route `ops`", "[notify.ops]"),
            (job("notify = 'ops'"), "4:10: error: expected an array of routes", "`[\"ops\"]`"),
            (job("mailto = 'root'"), "4:1: error: unknown key `mailto`", "`notify`"),
        ],
        1,
    );
}

#[test]
fn what_would_be_sent_in_clear() {
    let r = |lines: &str| format!("[notify.ops]\n{lines}\n");
    let ping = |value: &str| format!("[scheduler]\nping = {value}\n");
    let (clear, help) =
        ("nothing is sent there: http:// is only for this machine", "or add `http_ok = true`");
    let rows = [
        (r("slack = 'http://192.0.2.7/x'"), "2:9"),
        (r("pagerduty = 'k'\nurl = 'http://192.0.2.7/x'"), "3:7"),
        (r("webhook = 'http://192.0.2.7/x'\nhttp_ok = false"), "2:11"),
        (ping("'http://192.0.2.7/x'"), "2:8"),
        (ping("{ healthchecks = 'http://192.0.2.7/x' }"), "2:8"),
    ];
    for (text, at) in rows {
        let answer = Test::with(&text).run(&["jobs.toml"]);
        let (problems, expected) = (answer.problems(), format!("{at}: warning: {clear}"));
        assert!(problems.len() == 1 && problems[0].starts_with(&expected), "{problems:#?}");
        assert_eq!(answer.0.status.code(), Some(0), "{text}");
        assert!(answer.out().contains(help), "{}", answer.out());
    }
    for text in [
        r("slack = 'http://192.0.2.7/x'\nhttp_ok = true"),
        r("slack = 'http://10.0.0.7/x'"),
        r("slack = 'http://chat.example.org/x'"),
        ping("{ url = 'http://192.0.2.7/x', http_ok = true }"),
    ] {
        assert_eq!(Test::with(&text).run(&["jobs.toml"]).problems().len(), 0, "{text}");
    }
}

#[test]
fn pings_that_are_wrong() {
    let job = |text: &str| format!("[jobs.a]\ncommand = 'x'\ninterval = '1h'\n{text}\n");
    check(
        vec![
            (job("ping = 'hc-ping.com/x'"), "4:8: error: this is no URL such as", ""),
            (
                job("ping = \"https://hc-ping.com/\\u0041/{jop}\""),
                "4:36: error: unknown placeholder `jop`",
                "did you mean `{job}`?",
            ),
            (
                job("ping = 'https://hc-ping.com/{uuid}'"),
                "4:29: error: unknown placeholder `uuid`",
                "there are `{job}`, `{slug}`",
            ),
            (job("ping = 'https://{job}.example.org/'"), "4:8: error: this has no host", ""),
            (job("ping = true"), "4:8: error: expected a URL such as", ""),
            (job("ping = {}"), "4:8: error: this ping goes nowhere", "`healthchecks`"),
            (
                job("ping = { healthcheck = 'https://x.org/' }"),
                "4:10: error: unknown key `healthcheck`",
                "did you mean `healthchecks`?",
            ),
            (
                job("ping = { kuma = 'https://x.org/', file = '/x' }"),
                "4:35: error: a ping goes to one place, and has `kuma` already",
                "",
            ),
            (
                job("ping = { kuma = 'https://x.org/', on = ['success'] }"),
                "4:35: error: `on` belongs to `url`",
                "services are told of each start and end",
            ),
            (
                job("ping = { url = 'https://x.org/', on = ['succes'] }"),
                "4:40: error: \"succes\" is not",
                "did you mean \"success\"?",
            ),
            (
                job("ping = { url = 'https://x.org/', on = [] }"),
                "4:39: error: a ping that is never sent is of no use",
                "",
            ),
            (
                job("healthcheck = 'https://x.org/'"),
                "4:1: error: unknown key `healthcheck`",
                "did you mean `ping`?",
            ),
            (
                "[scheduler]\nping_every = '1m'\n".into(),
                "2:1: error: `ping_every` without `ping`",
                "`ping` beside it says where",
            ),
            (
                "[scheduler]\nping = 'https://x.org/'\nping_every = '1s'\n".into(),
                "3:14: error: it must be from \"10s\" to \"1 day\"",
                "",
            ),
        ],
        1,
    );
}
