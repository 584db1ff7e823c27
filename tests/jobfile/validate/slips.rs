//! What people write who know cron, a shell or another scheduler well: what is said of it, and that
//! what looks like it and is right is left alone.

use super::rows::check;
use super::{Test, job, trigger};

/// A job with a command.
fn command(command: &str) -> String {
    format!("[jobs.x]\ncron = \"0 3 * * *\"\ncommand = {command}\n")
}

#[test]
fn what_only_a_shell_reads() {
    check(
        vec![
            (
                command("['ls', '/tmp', '&&', 'echo', 'hi']"),
                "3:26: warning: `&&` is passed to `ls` as an argument: no shell is involved",
                "`command = \"ls /tmp && echo hi\"`",
            ),
            (
                command("['ps', '|', 'grep', 'x']"),
                "3:18: warning: `|` is passed to `ps` as an argument",
                "",
            ),
            (command("['echo', 'x', '>>', '/tmp/a']"), "3:25: warning: `>>` is passed to", ""),
            (command("['x', '2>&1']"), "3:17: warning: `2>&1` is passed to `x` as an argument", ""),
            (command("['rm', '/tmp/*.log']"), "3:18: warning: `/tmp/*.log` is not expanded", ""),
            (command("['ls', '*']"), "3:18: warning: `*` is not expanded", "\"ls *\""),
            (command("['~/bin/x', 'y']"), "3:13: warning: `~` is not expanded here", "full path"),
            (command("['x', '${HOME}/y']"), "3:18: warning: `${HOME}` is not expanded here", ""),
            (command("['x', '$SCHEDRS_DUE']"), "3:18: warning: `$SCHEDRS_DUE` is not", ""),
            (
                command("['ls -la /tmp']"),
                "3:12: warning: this is one word",
                "`[\"ls\", \"-la\", \"/tmp\"]`",
            ),
            (command("['a && b']"), "3:12: warning: this is one word", "without the brackets"),
            (job("cwd = '/x/$HOME'"), "4:11: warning: `$HOME` is not expanded here", "full path"),
            (
                job("env = { PATH = '/x:$PATH' }"),
                "4:20: warning: `$PATH` is not expanded here",
                "write `PATH = { prepend = \"/x\" }`",
            ),
            (job("env = { OWN = 'a${OWN}' }"), "4:17: warning: `${OWN}` is not expanded", ""),
            (job("shell = '~/sh'"), "4:10: warning: `~` is not expanded here", "full path"),
            (job("shell = ['$HOME/sh', '-e']"), "4:11: warning: `$HOME` is not", "full path"),
            (job("stdin = '~/in'"), "4:10: warning: `~` is not expanded", "COMMAND < ~/in\""),
            (job("stdin = '${HOME}/in'"), "4:10: warning: `${HOME}` is not", "not the name of a"),
            (
                job("[store]\nurl = 'sqlite:~/x.db'"),
                "5:15: warning: `~` is not expanded here",
                "full path",
            ),
            (
                "include = '~/jobs.d/*.toml'".to_owned(),
                "1:12: warning: `~` is not expanded here",
                "full path",
            ),
        ],
        0,
    );
}

/// What has the form of a path is meant as one.
#[test]
fn the_path_of_a_log_is_no_output() {
    let said = "4:10: error: \"~/x.log\" is not \"pass\", \"file\" or \"discard\"";
    check(vec![(job("output = '~/x.log'"), said, "COMMAND >>~/x.log 2>&1")], 1);
}

#[test]
fn what_a_program_reads_itself() {
    let commands = [
        "['find', '/tmp', '-name', '*.log', '-exec', 'rm', '{}', ';']",
        "['sudo', 'find', '/a/*', '-delete']",
        "['expr', '1', '|', '2']",
        "['grep', '|', '/a/b']",
        "['bash', '-c', 'a && b | c > d']",
        "['ssh', 'host', 'rm /tmp/*']",
        "['cut', '-d', '|', '-f1']",
        "['psql', '-c', 'select * from a']",
        "['aws', 's3', 'ls', 's3://bucket/*']",
        "['rsync', '--exclude=/a/*', 'a', 'b']",
        "['pip', 'install', 'x', '>=1.0']",
        "['awk', '{print $NF}']",
        "['x', 'pa$$word', '$1', 'a~b']",
        "['/opt/Some Tool/bin/run']",
        "['ls']",
        "'a && b | c > $HOME/*'",
    ];
    for text in commands {
        Test::with(&command(text)).run(&["--strict"]).code(0).has("no problems");
    }
    let env = job("env = { SECRET = 'a$B$HOMER', HOME = '/x', REF = '$OTHER' }");
    Test::with(&env).run(&["--strict"]).code(0);
}

/// Jobs with the same options share them in memory, not what is said of them.
#[test]
fn of_each_job_it_is_said() {
    let text = "[jobs.a]\ncommand = 'x'\ncron = '@daily'\ncwd = '/w/$HOME'\n";
    let both = format!("{text}{}", text.replace("jobs.a", "jobs.b"));
    assert_eq!(Test::with(&both).run(&[]).code(0).problems().len(), 2);
}

#[test]
fn months_are_no_durations() {
    check(
        vec![
            (
                job("timeout = '5M'"),
                "4:12: error: `5M` is in months, which have no fixed length",
                "`5m` is 5 minutes; months are written as days",
            ),
            (
                trigger("interval = '1 month'"),
                "3:13: error: `1 month` is in months",
                "`interval = { months = 1 }`",
            ),
            (trigger("interval = 'PT1H30M'"), "3:13: error: expected a duration", "\"1h30m\""),
            (
                trigger("interval = { months = 1, day = 'last fri' }"),
                "3:32: error: expected a day of the month",
                "`cron = { day = \"last fri\", hour = 9 }`",
            ),
            (
                trigger("interval = { months = 1, day = '31st' }"),
                "3:32: error: expected a day of the month",
                "write `31`",
            ),
            (
                trigger("interval = '2y'"),
                "3:13: error: `2y` is in years",
                "`interval = { years = 2 }`",
            ),
            (job("misfire_grace_time = '1d 2y'"), "4:26: error: `2y` is in years", "`365d`"),
        ],
        1,
    );
}

#[test]
fn sixty_times_for_once() {
    check(
        vec![
            (
                trigger("cron = '* 5 * * *'"),
                "3:8: warning: fires 60 times: every minute of hour 5",
                "to fire once, write `0 5 * * *`",
            ),
            (
                trigger("cron = '* 30 5 * * *'"),
                "3:8: warning: fires 60 times: every second of minute 30",
                "to fire once, write `0 30 5 * * *`",
            ),
            (trigger("cron = ['0 3 * * *', '* 5 * * *']"), "3:22: warning: fires 60 times", ""),
        ],
        0,
    );
    for cron in ["* * * * *", "* 9-17 * * *", "*/5 5 * * *", "0 5 * * *", "* */2 * * *"] {
        let text = trigger(&format!("cron = '{cron}'"));
        Test::with(&text).run(&["--strict"]).code(0);
    }
}

#[test]
fn times_that_a_change_of_the_clocks_takes_or_doubles() {
    let berlin = |line: &str| trigger(&format!("{line}\ntimezone = 'Europe/Berlin'"));
    check(
        vec![
            (
                berlin("date = 2037-03-29T02:30:00"),
                "3:8: warning: 02:30 does not exist on 29 Mar 2037 in Europe/Berlin: it is read as 03:00",
                "",
            ),
            (
                berlin("date = '2037-10-25 02:30'"),
                "3:8: warning: 02:30 happens twice on 25 Oct 2037 in Europe/Berlin: it is read as the first",
                "+02:00 for the first time, +01:00 for the second",
            ),
            (
                berlin("interval = '1h'\nstart_date = 2037-03-29T02:00:00"),
                "4:14: warning: 02:00 does not exist",
                "",
            ),
            (
                berlin("interval = '1h'\nend_date = 2037-10-25T02:00:00"),
                "4:12: warning: 02:00 happens twice",
                "",
            ),
        ],
        0,
    );
    let with_offset = berlin("date = 2037-10-25T02:30:00+01:00");
    Test::with(&with_offset).run(&["--strict"]).code(0);
}

#[test]
fn advice_that_can_be_followed() {
    let zone = |name: &str| job(&format!("timezone = '{name}'"));
    check(
        vec![
            (command("“echo hi”"), "3:11: error: a string must be quoted", "`\"echo hi\"`"),
            (zone("PST"), "4:12: error: unknown time zone `PST`", "\"America/Los_Angeles\""),
            (zone("ist"), "4:12: error: unknown time zone `ist`", "\"Europe/Dublin\" or \"Asia/J"),
            (zone("UTC+2"), "4:12: error: unknown time zone `UTC+2`", "\"Etc/GMT-2\": 2 hours ah"),
            (zone("-05:00"), "4:12: error: unknown time zone", "\"Etc/GMT+5\": 5 hours behind"),
            (
                trigger("cron = { days = 'mon' }"),
                "3:10: error: unknown cron field `days`",
                "did you mean `day_of_week`?",
            ),
            (
                trigger("cron = { days = 3 }"),
                "3:10: error: unknown cron field `days`",
                "did you mean `day`?",
            ),
            (
                command("\"echo \"hi\"\""),
                "3:18: error: expected the end of the line",
                "single quotes: `'echo \"hi\"'`",
            ),
            (job("cwd = \"C:\\Users\""), "4:12: error: unknown escape sequence", "`\\\\`"),
            (
                "[jobs.nightly backup]\ncommand = 'x'\ncron = '@daily'\n".into(),
                "1:14: error: a name with spaces must be quoted",
                "`[jobs.\"nightly backup\"]`",
            ),
            (
                trigger("cron = 'Mon..Fri *-*-* 08:00'"),
                "3:9: error: ",
                "`schedrs import systemd` converts timers",
            ),
        ],
        1,
    );
}

#[test]
fn the_files_of_others() {
    check(
        vec![
            (
                "MAILTO=root\n\n0 3 * * * /bin/backup\n5 4 * * * /bin/x\n".into(),
                "3:1: error: this is a crontab line, not TOML",
                "schedrs import crontab",
            ),
            (
                "[Unit]\nDescription=x\n[Timer]\nOnCalendar=daily\n".into(),
                "1:1: error: this is a systemd unit",
                "schedrs import systemd",
            ),
            (
                "apiVersion: batch/v1\nkind: CronJob\n".into(),
                "1:1: error: this is a Kubernetes manifest",
                "schedrs import kubernetes",
            ),
            ("jobs:\n  a:\n    cron: x\n".into(), "1:1: error: this is YAML", "schedrs init"),
            ("{\n  \"jobs\": []\n}\n".into(), "1:1: error: this is JSON", "import apscheduler"),
        ],
        1,
    );
}
