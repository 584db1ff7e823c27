use super::*;
use crate::convert::import::{Draft, crontab as importer};
use crate::core::instant::Instant;
use crate::core::zone::Database;
use crate::jobfile;

fn set(text: &str) -> JobSet {
    let zones = Database::bundled();
    let loaded = jobfile::load_text("x", text, &zones, Instant::from_secs(1_795_564_800));
    loaded.set.unwrap_or_else(|| panic!("{text}: {:?}", loaded.problems))
}

#[test]
fn jobs_become_lines() {
    let rows = [
        ("command = 'x'\ncron = '*/5 9-17 * * mon-fri'", "*/5 9-17 * * mon-fri x\n"),
        ("command = 'date +%F'\ncron = '@daily'", "0 0 * * * date +\\%F\n"),
        (r"command = 'a\d\\e\%f'CRON", r"0 3 * * * a\d\\\\e\\\%fEND"),
        (r"command = 'a\'CRONstdin = 'x\%'", r"0 3 * * * a\\%x\\%END"),
        ("command = ['a', 'b c']\ncron = '0 3 * * *'", "0 3 * * * a 'b c'\n"),
        ("command = 'x'\ncron = '@reboot'", "@reboot x\n"),
        ("command = 'x'\ncron = '0 3 * * 6,7'", "0 3 * * 0,6 x\n"),
        ("command = 'x'\ncron = '0 3 * * 2-7'", "0 3 * * 0,2-6 x\n"),
        ("command = 'x'\ncron = '0 3 * * fri-mon'", "0 3 * * 0,1,5,6 x\n"),
        ("command = 'x'\ncron = '0 3 * * mon,wed,fri,sun'", "0 3 * * mon,wed,fri,sun x\n"),
        ("command = 'x'\ncron = '0 3 * * 7'", "0 3 * * sun x\n"),
        ("command = 'x'\ninterval = '15m'", "*/15 * * * * x\n"),
        ("command = 'x'\ninterval = '6h'", "0 */6 * * * x\n"),
        ("command = 'x'\ncron = '0 3 * * *'\nuser = 'bob'", "0 3 * * * bob x\n"),
        (
            "command = 'a; b'\ncron = '0 3 * * *'\nnice = 5",
            "0 3 * * * nice -n 5 /bin/sh -c 'a; b'\n",
        ),
        (
            "command = ['a']\ncron = '0 3 * * *'\ntimeout = '1m 30s'\ncwd = '/s v'",
            "0 3 * * * cd '/s v' || exit; timeout -k 10 90 a\n",
        ),
        (
            "command = 'a; b'\ncron = '0 3 * * *'\ncwd = '/s'\nenv = { A = 'b' }",
            "A=b\n0 3 * * * cd /s || exit; a; b\n",
        ),
        ("command = 'x'\ncron = '0 3 * * *'\nenv = { A = 'b c' }", "A=b c\n0 3 * * * x\n"),
        (
            "command = 'x'\ncron = '0 3 * * *'\nenv = { A = '\"b', HOME = '/h' }",
            "0 3 * * * export A='\"b'; export HOME=/h; x\n",
        ),
        ("command = 'x'CRONcwd = '~'", "0 3 * * * xEND"),
        (
            "command = 'x'CRONcwd = '~/a'\nenv = { HOME = '/h' }",
            "0 3 * * * cd /h/a || exit; export HOME=/h; xEND",
        ),
        (
            "command = 'x'CRONcwd = '~'\nenv = { HOME = '/h', S = { file = '~/s' } }",
            "0 3 * * * cd /h || exit; export HOME=/h; export S=\"$(cat /h/s)\"; xEND",
        ),
        (
            "command = 'x'CRONenv = { S = { file = '~/s' } }",
            "0 3 * * * export S=\"$(cat \"$HOME\"/s)\"; xEND",
        ),
        // Where there is no such variable there is no colon.
        (
            "command = 'x'CRONenv = { PATH = { append = '/a b' } }",
            "0 3 * * * export PATH=\"${PATH:+$PATH:}\"'/a b'; xEND",
        ),
        (
            "command = 'x'CRONenv = { P = { prepend = '/a' } }",
            "0 3 * * * export P=/a\"${P:+:$P}\"; xEND",
        ),
        (
            "command = 'x'CRONenv = { P = { prepend = '/a', append = '/b' } }",
            "0 3 * * * export P=/a\"${P:+:$P}\":/b; xEND",
        ),
        (
            "command = 'x'CRONenv = { S = { append = 'y' } }\n[defaults]\n\
                 env = { S = { file = '/s' } }",
            "0 3 * * * export S=\"$(cat /s)\"; export S=\"${S:+$S:}\"y; xEND",
        ),
        (
            "command = 'x'\ncron = '0 3 * * *'\ncwd = '~/a b'",
            "0 3 * * * cd \"$HOME\"'/a b' || exit; x\n",
        ),
        ("command = 'x'\ncron = '0 3 * * *'\nstdin = \"a\\nb%\\n\"", "0 3 * * * x%a%b\\%\n"),
        (
            "command = 'x'\ncron = '0 3 * * *'\noutput = 'discard'",
            "0 3 * * * { x; } >/dev/null 2>&1\n",
        ),
        ("command = 'x'\ncron = '0 3 * * *'\npaused = true", "# paused: 0 3 * * * x\n"),
        (
            "command = 'x'\ncron = '0 3 * * *'\ntimezone = 'Asia/Tokyo'",
            "CRON_TZ=Asia/Tokyo\n0 3 * * * x\n",
        ),
        (
            "command = 'x'\ncron = '0 3 * * *'\nshell = '/bin/bash'",
            "SHELL=/bin/bash\n0 3 * * * x\n",
        ),
        ("command = 'x'\ncron = '0 3 * * *'\nshell = 'bash'", "a\n0 3 * * * bash -c x\n"),
    ];
    for (job, expected) in rows {
        let (job, expected) =
            (job.replace("CRON", "\ncron = '0 3 * * *'\n"), expected.replace("END", "\n"));
        let exported = crontab(&set(&format!("[jobs.a]\n{job}\n")));
        assert!(exported.text.ends_with(&expected), "{job}:\n{}", exported.text);
        assert!(exported.is_whole(), "{job}");
    }
}

#[test]
fn what_is_not_the_same_is_said() {
    let rows = [
        ("command = 'x'\ncron = '@daily'\noutput = 'file'", "a crontab has no output"),
        ("command = 'x'\ncron = '@daily'\non_failure = 'y'", "a crontab has no on_failure"),
        ("command = 'x $SCHEDRS_JOB'\ncron = '@daily'", "its command reads a schedrs variable"),
        (
            "command = 'x'\ninterval = '1h'\nstart_date = 2027-01-01T01:00:00",
            "a crontab has no `start_date`",
        ),
        (r"command = 'a\\b'CRON", "two backslashes stand for one"),
    ];
    for (job, said) in rows {
        let job = job.replace("CRON", "\ncron = '@daily'");
        let exported = crontab(&set(&format!("[jobs.a]\n{job}\n")));
        assert!(exported.is_whole(), "{job}");
        let found = exported.problems.iter().any(|unsaid| unsaid.message.starts_with(said));
        assert!(found, "{job}: {:?}", exported.problems);
    }
}

#[test]
fn what_cannot_be_said_is_left_out_in_words() {
    let rows = [
        "command = 'x'\ncron = '*/10 * * * * *'",
        "command = 'x'\ncron = '0 3 L * *'",
        "command = 'x'\ncron = { day = '3rd fri' }",
        "command = 'x'\ncron = { day = 13, day_of_week = 'fri' }",
        "command = 'x'\ninterval = '7m'",
        "command = 'x'\ninterval = '90s'",
        "command = 'x'\ninterval = '1h'\nstart_date = 2027-01-01T00:30:00",
        "command = 'x'\ninterval = '450s'",
        "command = 'x'\ninterval = '2d'",
        "command = 'x'\ndate = 2027-01-01",
        "command = 'x'\ncron = '@daily'\nend_date = 2030-01-01",
        "command = \"x\\ny\"\ncron = '@daily'",
    ];
    for job in rows {
        let exported = crontab(&set(&format!("[jobs.a]\n{job}\n")));
        assert!(!exported.is_whole(), "{job}:\n{}", exported.text);
        assert!(exported.text.contains("# left out: a c"), "{job}:\n{}", exported.text);
    }
}

/// The way out and back in again leads to the same due times and the same command.
#[test]
fn the_way_back_is_the_same() {
    let jobs = "[jobs.a]\ncommand = 'date +%F > \"a\\\\\\\\ b\"'\ncron = '1-59/7 */3 1,15 2-11 fri'\n\
                    [jobs.b]\ncommand = 'cat'\ncron = '@weekly'\nstdin = \"x%y\\n\\nz\\n\"\n\
                    timezone = 'Asia/Tokyo'\n[jobs.c]\ncommand = 'x'\ncron = 'H H * * *'\n\
                    [jobs.d]\ncommand = 'x'\ncron = '0 0 */2 * fri'\n\
                    [jobs.e]\ncommand = 'x'\ncron = '0 0 13,31 * */2,fri-sun'\n";
    let before = set(jobs);
    let zones = Database::bundled();
    let mut draft = Draft::new(&zones);
    importer::read(&mut draft, "x", &crontab(&before).text, importer::Options::default());
    let after = set(&draft.write().0.text);
    assert_eq!(before.jobs.len(), after.jobs.len());
    for (before, after) in before.jobs.iter().zip(&after.jobs) {
        assert_eq!(before.command, after.command);
        assert_eq!(before.options.stdin, after.options.stdin);
        let mut at = Instant::from_secs(1_795_564_800);
        for _ in 0..500 {
            let next = before.trigger.next_after(at);
            assert_eq!(next, after.trigger.next_after(at), "{}", before.id);
            at = next.unwrap();
        }
    }
}
