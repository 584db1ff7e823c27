//! Rows of crontabs and what becomes of them.

use super::*;
use crate::convert::import::Oracle;
use crate::core::instant::Instant;
use crate::core::zone::Database;
use crate::jobfile;

/// What a crontab becomes: the jobfile, without its first comment, and what was said.
fn imported(text: &str, options: Options<'_>) -> (String, Vec<String>) {
    let zones = Database::bundled();
    let mut draft = Draft::new(&zones);
    read(&mut draft, "t", text, options);
    let (written, problems, sources) = draft.write();
    let loaded =
        jobfile::load_text("written", &written.text, &zones, Instant::from_secs(1_795_564_800));
    assert_eq!(loaded.problems.errors(), 0, "{}\n{:?}", written.text, loaded.problems);
    let said = problems.iter().map(|problem| {
        let at = sources.name(problem.place);
        format!("{at}: {}", problem.message)
    });
    let text = written.text.strip_prefix("# from t\n\n").unwrap_or(&written.text).to_owned();
    (text, said.collect())
}

#[track_caller]
fn assert_user(text: &str, expected: &str) {
    let (written, said) = imported(text, Options::default());
    assert_eq!(written, expected);
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn a_crontab_as_a_person_would_write_it() {
    assert_user(
        "SHELL=/bin/bash\nPATH=/usr/bin:/bin\n\n\
         # Back up what matters.\n# Every night.\n30  2 * * *\t/usr/local/bin/backup --home\n\n\
         #0 5 * * 1 /usr/local/bin/weekly\n\n\
         GREETING = \"good morning\"\n\
         @daily /usr/local/bin/backup --etc\n# the end\n",
        "[defaults]\nshell = \"/bin/bash\"\nenv = { PATH = \"/usr/bin:/bin\" }\n\n\
         # Back up what matters.\n# Every night.\n[jobs.backup-home]\n\
         command = \"/usr/local/bin/backup --home\"\ncron = \"30 2 * * *\"\n\n\
         #0 5 * * 1 /usr/local/bin/weekly\n\n\
         [jobs.backup-etc]\ncommand = \"/usr/local/bin/backup --etc\"\ncron = \"@daily\"\n\
         env = { GREETING = \"good morning\" }\n\n# the end\n",
    );
}

#[test]
fn one_job() {
    let rows = [
        ("0 3 * * * x", "cron = \"0 3 * * *\"\n"),
        (" 0\t3  *  * *   x", "cron = \"0 3 * * *\"\n"),
        ("@Reboot x", "cron = \"@reboot\"\n"),
        ("0 3 * * * date +\\%F", "command = \"date +%F\""),
        ("0 3 * * * mail bob%Hello%%bye", "stdin = \"\"\"\nHello\n\nbye\n\"\"\""),
        ("0 3 * * * cat%", "command = \"cat\"\ncron = \"0 3 * * *\"\n"),
        ("0 3 * * * cat%%", "stdin = \"\"\"\n\n\"\"\""),
        (r"0 3 * * * a\d%b\%\\c", r"command = 'a\d'"),
        (r"0 3 * * * a%b\%\\c", r"b%\\c"),
        ("CRON_TZ=Asia/Tokyo\n0 3 * * * x", "timezone = \"Asia/Tokyo\""),
        ("RANDOM_DELAY=45\n0 3 * * * x", "jitter = \"45m\""),
        ("HOME=/srv\n0 3 * * * x", "cwd = \"/srv\"\nenv = { HOME = \"/srv\" }"),
        ("0 3 * * * A=1 x", "command = \"A=1 x\""),
        ("*/10 * * * * * * x", "cron = \"*/10 * * * * *\""),
        ("0 0 3 * * * 2027-2029 x", "cron = \"0 0 3 * * * 2027-2029\""),
        ("0 30 6 * 1-3 0 2027 x", "cron = \"0 30 6 * 1-3 0 2027\""),
        ("0 0 3 13 * 5 2027 x", "cron = \"0 0 3 13 * 5 2027\""),
        ("0 0 0 * Feb-Nov/2 thu#3 2000-2050 x", "cron = \"0 0 0 * Feb-Nov/2 thu#3 2000-2050\""),
        ("0 3 * * friday x", "cron = \"0 3 * * friday\""),
        ("@every 1h30m x", "interval = \"1h30m\""),
        ("0 3 * * * a && b >&2 2>&1 &>/dev/null", "a && b"),
        ("0 3 * * * curl 'x?a&b' \"c&d\" e\\&f |& g", "curl"),
        ("0 3 * feb-nov sun-fri x", "feb-nov sun-fri"),
        ("0 3 * * 5-7 x", "5-7"),
        ("USER=zed\n0 3 * * * x", "env = { USER = \"zed\" }"),
        ("\u{feff}0 3 * * * x", "cron = \"0 3 * * *\""),
        ("\u{feff}# x\n0 3 * * * x", "# x\n[jobs.x]"),
        ("# gr\u{fffd}n\n0 3 * * * x", "[jobs.x]"),
        ("0 3 * * * a & b & wait", "a & b & wait"),
        ("@every_minute x", "cron = \"* * * * *\""),
    ];
    for (line, expected) in rows {
        let (written, said) = imported(line, Options::default());
        assert!(written.contains(expected), "{line}:\n{written}");
        let said: Vec<String> = said
            .into_iter()
            .filter(|said| !said.contains("`@reboot` runs at each start"))
            .collect();
        assert!(said.is_empty(), "{line}: {said:?}");
    }
}

#[test]
fn the_system_has_users() {
    let options = Options { system: true, user: None };
    let (written, said) = imported("0 3 * * * www-data x y\n5 3 * * * news:uucp z\n", options);
    assert!(said.is_empty(), "{said:?}");
    assert!(written.contains("command = \"x y\"\ncron = \"0 3 * * *\"\nuser = \"www-data\"\n"));
    assert!(written.contains("user = \"news\"\ngroup = \"uucp\"\n"), "{written}");
    let (written, _) = imported("0 3 * * * x", Options { system: false, user: Some("backup") });
    assert!(written.contains("user = \"backup\"\n"));
}

#[test]
fn ids_say_where_they_come_from() {
    let zones = Database::bundled();
    let mut draft = Draft::new(&zones);
    let options = Options { system: true, user: None };
    read(
        &mut draft,
        "/etc/cron.d/awstats",
        "*/10 * * * * www-data /usr/share/x/update.sh\n",
        options,
    );
    read(&mut draft, "/etc/cron.d/logcheck", "@reboot logcheck /usr/sbin/logcheck -R\n", options);
    let ids: Vec<String> = draft.write().0.jobs.into_iter().map(|job| job.id).collect();
    assert_eq!(ids, ["awstats-update", "logcheck-reboot"]);
}

#[test]
fn what_is_lost_or_not_the_same_is_said() {
    let user = Options::default();
    let system = Options { system: true, user: None };
    let rows = [
        (user, "61 3 * * * x", "t:1:1: not converted: minute 61 is out of range 0-59"),
        (user, "0 3 * * fri-mox x", "t:1:9: not converted: "),
        (user, "\n0 3 * * *", "t:2:1: not converted: not a crontab line"),
        (user, "0 3 * * * %x", "t:1:1: not converted: there is no command"),
        (user, "@dialy x", "t:1:1: not converted: unknown macro"),
        (user, "@every x", "t:1:1: not converted: no duration"),
        (user, "CRON_TZ=Mars/Base\n0 3 * * * x", "t:1:1: not converted: unknown time zone `Mars/"),
        (user, "MAILTO=bob\n0 3 * * * x", "t:1:1: `MAILTO` becomes a route: it hears of failures"),
        (user, "MAILFROM=bob\n0 3 * * * x", "t:1:1: `MAILFROM` is kept as a comment"),
        (user, "MAILTO=-oQ/tmp\n0 3 * * * x", "t:1:1: not converted: `-oQ/tmp` is no address"),
        (
            user,
            "0 3 * * * /usr/bin/flock -n /run/x.lock backup --all",
            "t:1:1: `flock` keeps a second run from starting",
        ),
        (user, "@reboot x", "t:1:1: `@reboot` runs at each start of schedrs"),
        (user, "TZ=Asia/Tokyo\n0 3 * * * x", "t:1:1: `TZ` is what the command sees"),
        (user, "-0 3 * * * x", "t:1:1: `-` is left out"),
        (user, "0 3 * * * -nq x", "t:1:1: `-nq` is left out"),
        (user, "0 3 * * * root x", "t:1:11: `root` is taken as the first word of the command"),
        (user, "0 3 * * * x >/dev/null 2>&1 &", "t:1:1: `&` leaves a process behind"),
        (user, "0 3 * * * (x & y) && z", "t:1:1: `&` leaves a process behind"),
        (user, "0 3 * * * cd /a && /usr/bin/nohup x", "t:1:1: `/usr/bin/nohup` leaves"),
        (system, "0 0 * * * root setsid atop", "t:1:1: `setsid` leaves a process behind"),
        (user, "HOME=\n0 3 * * * x", "t:1:1: not converted: `HOME` is empty"),
        (user, "SHELL=''\n0 3 * * * x", "t:1:1: not converted: `SHELL` is empty"),
        (
            user,
            "SHELL=/bin/bash -e\n0 3 * * * x",
            "t:1:1: not converted: cron takes `/bin/bash -e`",
        ),
        (user, "LOGNAME=x\n0 3 * * * x", "t:1:1: `LOGNAME` is the crontab's owner in cron"),
        (
            system,
            "LOGNAME=x\n0 3 * * * root x",
            "t:1:1: `LOGNAME` is left out: it is the name of the job's `user`",
        ),
        (user, "0 3 * * * a\u{fffd}", "t:1:1: not converted: this line is not UTF-8"),
        (user, "\0\n\0\n0 3 * * * x", "t:1:1: not converted: contains a NUL byte"),
        (user, "5/15 * * * * x", "t:1:1: `5/15` is read as from 5 on"),
        (user, "0 22-2 * * * x", "t:1:3: `22-2` goes round"),
        (user, "0 3 * * tue-sun x", "t:1:9: `tue-sun` ends on a sunday: cronie reads it"),
        (user, "0 3 * * 1,Fri-Mon x", "t:1:9: `Fri-Mon` goes round"),
        (user, "0 3 * nov-feb * x", "t:1:7: `nov-feb` goes round"),
        (user, "0 0~6 * * * x", "t:1:1: cronie picks a random value"),
        (user, "0 3 * * * 2027 x", "t:1:1: the sixth field is read as a year"),
        (user, "/5 * * * * x", "t:1:1: not converted: unexpected `/`"),
        (user, "0 3 * * L5 x", "t:1:9: not converted: `L` is not a day of week"),
        (system, "0 3 * * * /bin/x y", "t:1:11: not converted: `/bin/x` is where the user's"),
        (system, "0 3 * * * root", "t:1:1: not converted: there is no command"),
    ];
    for (options, text, expected) in rows {
        let (_, said) = imported(text, options);
        assert!(said.iter().any(|said| said.starts_with(expected)), "{text}: {said:?}");
    }
}

/// As Debian's cron was seen to do it.
#[test]
fn backslashes_before_the_shell_sees_them() {
    let rows = [
        (r"a\\b", r"a\b", None),
        (r"a\\%b", r"a\", Some("b\n")),
        (r"a\\\%b", r"a\%b", None),
        (r"a\b\", r"a\b\", None),
        (r"a%b\\%c\d", "a", Some("b\\%c\\d\n")),
        ("a%", "a", None),
        ("a%%", "a", Some("\n")),
    ];
    for (typed, command, stdin) in rows {
        assert_eq!(split_percent(typed), (command.to_owned(), stdin.map(str::to_owned)), "{typed}");
    }
    let (_, said) = imported(r"0 3 * * * a\\b", Options::default());
    assert!(said[0].starts_with("t:1:1: two backslashes are read as one"), "{said:?}");
}

/// They must not get the zone that is set further up.
#[test]
fn jobs_below_a_zone_that_is_none_are_not_carried() {
    let text = "CRON_TZ=Asia/Tokyo\n0 1 * * * a\nCRON_TZ=Mars/Base\n0 2 * * * b\n@reboot c\n\
                CRON_TZ=UTC\n0 3 * * * d\n";
    let (written, said) = imported(text, Options::default());
    assert!(said[1].starts_with("t:4:1: not converted: the `CRON_TZ` above it"), "{said:?}");
    assert!(!written.contains("[jobs.b]") && written.contains("[jobs.c-reboot]"), "{written}");
    assert!(written.contains("cron = \"0 3 * * *\"\ntimezone = \"UTC\""), "{written}");
}

/// The oracle must not take the year of six fields for a day of week.
#[test]
fn what_the_second_reader_is_asked() {
    let rows = [
        ("*/5 * * * * * x", "0 */5 * * * * *"),
        ("*/5 * * * * ? x", "0 */5 * * * * *"),
        ("0 3 * * * */2 x", "0 0 3 * * * */2"),
        ("0 3 * * * 2027 x", "0 0 3 * * * 2027"),
        ("0 0 3 * * * 2027 x", "0 0 3 * * * 2027"),
        ("0 3 * * * x", "0 3 * * *"),
    ];
    for (line, fields) in rows {
        let zones = Database::bundled();
        let mut draft = Draft::new(&zones);
        read(&mut draft, "t", line, Options::default());
        assert_eq!(draft.jobs[0].oracle, Oracle::Crontab(fields.to_owned()), "{line}");
    }
}

#[test]
fn random_values_become_hashed_ones() {
    let (written, _) = imported("~ 0~6 * * * x", Options::default());
    assert!(written.contains("cron = \"H(0-59) H(0-6) * * *\""), "{written}");
    let (written, _) = imported("0,10~20 3 30~ * * x", Options::default());
    assert!(written.contains("cron = \"0,H(10-20) 3 H(30-31) * *\""), "{written}");
    let (_, said) = imported("0~59/10 * * * * x", Options::default());
    assert_eq!(said, ["t:1:1: not converted: a random value with a step"]);
}

#[test]
fn nothing_is_lost_where_nothing_is_asked_for() {
    for lines in [
        "MAILTO=\"\"\n0 3 * * * x\n",
        "MAILTO=\n0 3 * * * x\n",
        "CRON_TZ=\n0 3 * * * x\n",
        "0 3 * * * flock /run/x.lock x\n",
        "0 3 * * * flock -n /run/x.lock -c 'x; y'\n",
        "0 3 * * * flock -w 5 /run/x.lock x\n",
    ] {
        let (written, said) = imported(lines, Options::default());
        assert!(said.is_empty(), "{lines}: {said:?}");
        assert!(written.contains("[jobs.") && !written.contains("MAILTO"), "{written}");
    }
    // An empty zone is the machine's again.
    let lines = "CRON_TZ=Asia/Tokyo\n0 1 * * * a\nCRON_TZ=\n0 2 * * * b\nCRON_TZ=x\nCRON_TZ=\n0 3 * * * c\n";
    let (written, said) = imported(lines, Options::default());
    assert_eq!((said.len(), written.matches("timezone").count()), (1, 1), "{said:?} {written}");
    assert!(written.contains("[jobs.b]") && written.contains("[jobs.c]"), "{written}");
}

#[test]
fn who_gets_mail_is_a_route() {
    let (written, _) = imported("MAILFROM=root\n0 3 * * * x\n", Options::default());
    assert!(written.contains("# MAILFROM=root\n[jobs.x]"), "{written}");
    // From its line on; once in `[defaults]` if every job has it.
    let lines = "MAILTO=root\n0 1 * * * a\nMAILTO=root\n0 2 * * * b\n";
    let (written, _) = imported(lines, Options::default());
    assert!(written.contains("[notify.mail]\nmail = \"root\"\n"), "{written}");
    assert!(written.contains("[defaults]\nnotify = [\"mail\"]\n"), "{written}");
    let lines = "MAILTO=a@example.org,b@example.org\n0 1 * * * a\nMAILTO=root\n0 2 * * * b\n\
                 MAILTO=\"\"\n0 3 * * * c\n";
    let (written, _) = imported(lines, Options::default());
    assert!(written.contains("mail = [\"a@example.org\", \"b@example.org\"]"), "{written}");
    assert!(written.contains("[notify.mail-2]\nmail = \"root\"\n"), "{written}");
    assert_eq!(written.matches("notify = [").count(), 2, "{written}");
}

#[test]
fn disabled_jobs_stay_comments() {
    let (written, said) = imported("#0 3 * * * x\n", Options::default());
    assert!(said.is_empty());
    assert!(written.contains("#0 3 * * * x\n") && !written.contains("[jobs"), "{written}");
}

mod anything {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

        /// No text makes the reader fail, or write what cannot be loaded.
        #[test]
        fn can_be_read(text in "([0-9*/,@=%~\\-a-z \\t\"']{0,40}\n){0,6}", system in any::<bool>()) {
            super::imported(&text, super::Options { system, user: None });
        }

        #[test]
        fn can_be_read_if_it_looks_right(
            rows in proptest::collection::vec(("[0-9*]{1,2}(/[1-9])?", "[*1-9](-[1-9])?", ".{0,20}"), 0..5),
        ) {
            let lines: Vec<String> =
                rows.iter().map(|(a, b, c)| format!("{a} {b} * * {b} {c}\n")).collect();
            super::imported(&lines.concat(), super::Options::default());
        }
    }
}
