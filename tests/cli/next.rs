//! `schedrs next` and `schedrs explain` as a person runs them: the real binary on real files.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test may stop")]

use std::process::{Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness;

fn schedrs(args: &[&str]) -> Output {
    harness::schedrs(args).env_remove("HOME").output().unwrap()
}

/// What it printed, given that it went well.
fn stdout(args: &[&str]) -> String {
    let output = schedrs(args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Vec<Value> {
    let output = stdout(&[args, &["--output", "json"]].concat());
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `job due remark` of each row.
fn rows(args: &[&str]) -> Vec<String> {
    json(args)
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
            [text("job"), text("due"), text("remark")].join(" ")
        })
        .collect()
}

fn jobfile(text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

const JOBS: &str = r#"
[scheduler]
timezone = "Europe/Berlin"

[jobs.nightly]
command = "true"
cron = "30 2 * * *"

[jobs.poll]
command = "true"
interval = "20h"
jitter = "30s"

[jobs.once]
command = "true"
date = 2026-03-28T12:00:00

[jobs.at-start]
command = "true"
date = "now"

[jobs.boot]
command = "true"
cron = "@reboot"

[jobs.impossible]
command = "true"
cron = "0 0 30 2 *"

[jobs.asleep]
command = "true"
cron = "* * * * *"
paused = true

[jobs.over]
command = "true"
cron = "0 0 * * *"
end_date = "2025-05-30"

[jobs.abroad]
command = "true"
cron = "0 9 * * *"
timezone = "America/New_York"
run_on_start = true
"#;

#[test]
fn one_row_a_job_soonest_first() {
    let (_dir, file) = jobfile(JOBS);
    // --from is inclusive, on the clocks of the scheduler's zone.
    assert_eq!(
        rows(&["next", &file, "--from", "2026-03-28 12:00"]),
        [
            "once 2026-03-28T12:00:00+01:00 -",
            "at-start 2026-03-28T12:00:00+01:00 -",
            "boot 2026-03-28T12:00:00+01:00 -",
            "abroad 2026-03-28T09:00:00-04:00 also runs at start",
            "nightly 2026-03-29T03:00:00+02:00 02:30 does not exist on 29 Mar: runs at 03:00",
            "poll 2026-03-29T09:00:00+02:00 jitter up to 30s",
            "impossible - never",
            "asleep - paused",
            "over - ended 30 May 2025",
        ]
    );
    // One second later `once` has passed, and the grid of `poll` moves with the start.
    let later = rows(&["next", &file, "--from", "2026-03-28 12:00:01"]);
    assert!(later.contains(&"once - ended 28 Mar 2026".to_owned()), "{later:?}");
    assert!(later.contains(&"poll 2026-03-29T09:00:01+02:00 jitter up to 30s".to_owned()));
}

#[test]
fn a_merged_timeline() {
    let (_dir, file) = jobfile(JOBS);
    let args = ["next", &file, "--from", "2026-10-24T12:00:00+02:00", "-n", "3"];
    let jobs = ["--job", "nightly", "--job", "poll"];
    assert_eq!(
        rows(&[&args[..], &jobs].concat()),
        [
            "nightly 2026-10-25T02:30:00+02:00 02:30 happens twice: first pass",
            "poll 2026-10-25T07:00:00+01:00 jitter up to 30s",
            "nightly 2026-10-26T02:30:00+01:00 -",
            "poll 2026-10-26T03:00:00+01:00 jitter up to 30s",
            "poll 2026-10-26T23:00:00+01:00 jitter up to 30s",
            "nightly 2026-10-27T02:30:00+01:00 -",
        ]
    );
    let until = ["--until", "2026-10-25T06:00:00Z"];
    assert_eq!(
        rows(&[&args[..], &jobs, &until].concat()),
        [
            "nightly 2026-10-25T02:30:00+02:00 02:30 happens twice: first pass",
            "poll 2026-10-25T07:00:00+01:00 jitter up to 30s",
        ]
    );
    let until = ["--until", "2026-10-25 02:00"];
    assert_eq!(
        rows(&[&args[..], &jobs, &until].concat()),
        ["nightly - not until 25 Oct 2026 02:00", "poll - not until 25 Oct 2026 02:00"]
    );
}

#[test]
fn times_in_another_zone() {
    let (_dir, file) = jobfile(JOBS);
    let args = ["next", &file, "--job", "abroad", "--from", "2026-06-01T00:00:00Z"];
    let utc = json(&[&args[..], &["--utc"]].concat());
    assert_eq!(utc[0]["due"], "2026-06-01T13:00:00+00:00");
    assert_eq!(utc[0]["timezone"], "UTC");
    let tokyo = json(&[&args[..], &["--timezone", "Asia/Tokyo"]].concat());
    assert_eq!(tokyo[0]["due"], "2026-06-01T22:00:00+09:00");
    assert_eq!(tokyo[0]["schedule"], "at 09:00 every day");
}

#[test]
fn an_expression_without_a_file() {
    assert_eq!(
        rows(&[
            "next",
            "--cron",
            "30 2 * * *",
            "--timezone",
            "Europe/Stockholm",
            "-n",
            "3",
            "--from",
            "2027-03-27",
        ]),
        [
            "- 2027-03-27T02:30:00+01:00 -",
            "- 2027-03-28T03:00:00+02:00 02:30 does not exist on 28 Mar: runs at 03:00",
            "- 2027-03-29T02:30:00+02:00 -",
        ]
    );
    // Recurring: both passes, and said so.
    assert_eq!(
        rows(&[
            "next",
            "--cron",
            "30 0-2 * * *",
            "--timezone",
            "America/New_York",
            "-n",
            "4",
            "--from",
            "2026-11-01",
        ]),
        [
            "- 2026-11-01T00:30:00-04:00 -",
            "- 2026-11-01T01:30:00-04:00 01:30 happens twice: first pass",
            "- 2026-11-01T01:30:00-05:00 01:30 happens twice: second pass",
            "- 2026-11-01T02:30:00-05:00 -",
        ]
    );
}

#[test]
fn the_table_for_people() {
    let (_dir, file) = jobfile(JOBS);
    let table = stdout(&["next", &file, "--from", "2026-03-28T12:00:00+01:00", "--job", "nightly"]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("JOB      DUE"), "{table}");
    let row = "nightly  Sun 2026-03-29 03:00:00 +02:00  Europe/Berlin";
    assert!(lines[1].starts_with(row), "{table}");
    assert!(lines[1].contains("at 02:30 every day"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colour in a pipe: {table:?}");
}

/// What a job's machine makes of its spread is said, and is the same for each due time.
#[test]
fn a_spread_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("jobs.toml");
    let text = "[jobs.a]\ncommand = 'true'\ncron = '0 3 * * *'\nspread = '10h'\n";
    std::fs::write(&file, text).unwrap();
    let out = |args: &[&str]| {
        let output = harness::schedrs(args).arg(&file).output().unwrap();
        assert!(output.status.success(), "{args:?} {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let rows = out(&["next", "-n", "3"]);
    let remarks: Vec<&str> = rows
        .lines()
        .skip(1)
        .filter_map(|row| row.split_once("starts "))
        .map(|(_, end)| end)
        .collect();
    assert!(remarks.len() == 3 && remarks.iter().all(|remark| *remark == remarks[0]), "{rows}");
    assert!(remarks[0].ends_with(" later: spread"), "{rows}");
    let explained = out(&["validate", "--explain"]);
    assert!(explained.contains("10h, here "), "{explained}");
}

#[test]
fn csv_is_quoted() {
    let (_dir, file) = jobfile("[jobs.\"a,b\"]\ncommand = \"true\"\ncron = \"0 3 * * fri\"\n");
    let csv =
        stdout(&["next", &file, "--from", "2026-01-01T00:00:00Z", "--utc", "--output", "csv"]);
    assert_eq!(
        csv,
        "job,due,timezone,schedule,remark\n\
         \"a,b\",2026-01-02T03:00:00+00:00,UTC,\"at 03:00, friday\",\n"
    );
}

#[test]
fn what_is_wrong_is_said_and_told_by_the_exit_code() {
    let (_dir, file) = jobfile(JOBS);
    let rows: [(&[&str], i32, &str); 9] = [
        (
            &["next", &file, "--job", "nightli"],
            1,
            "no job `nightli` in the jobfile; did you mean `nightly`?",
        ),
        (&["next", &file, "--from", "soon"], 1, "--from soon: expected a time: `17:30`"),
        (&["next", &file, "--from", "2026-02-30"], 1, "there is no 2026-02-30 in the calendar"),
        (
            &["next", &file, "--from", "2026-02-02", "--until", "2026-02-01"],
            1,
            "--until is before --from",
        ),
        (&["next", &file, "--timezone", "Europe/Berlim"], 1, "did you mean \"Europe/Berlin\"?"),
        (&["next", &file, "-n", "0"], 2, "invalid value '0'"),
        (&["next", &file, "--cron", "* * * * *"], 2, "cannot be used with"),
        (&["next", "--cron", "0 25 * * *"], 1, "--cron:1:3: error: hour 25 is out of range 0-23"),
        (&["next", "/nonexistent/jobs.toml"], 1, "/nonexistent/jobs.toml"),
    ];
    for (args, code, message) in rows {
        let output = schedrs(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(message), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn no_jobfile_names_every_place_that_was_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let output = harness::schedrs(&["next"])
        .current_dir(dir.path())
        .env("XDG_CONFIG_HOME", dir.path().join("config"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    for place in
        ["$SCHEDRS_JOBFILE", "./jobs.toml", "config/schedrs/jobs.toml", "/etc/schedrs/jobs.toml"]
    {
        assert!(stderr.contains(place), "{place}: {stderr}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (_dir, file) = jobfile("[jobs.a]\ncommand = \"true\"\ncron = \"* * * * *\"\n");
    let mut child = harness::schedrs(&["next", &file, "-n", "200000", "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Closes the pipe after the first bytes.
    let mut first = [0; 16];
    std::io::Read::read_exact(&mut child.stdout.take().unwrap(), &mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn explain_says_it_in_english() {
    let output = stdout(&["explain", "*/5 9-17 * * 1-5", "--timezone", "Europe/Berlin"]);
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines[0], "every 5 minutes from 09:00 to 17:55, monday to friday");
    assert_eq!(lines[1], "normalised: */5 9-17 * * mon-fri");
    assert_eq!(lines.len(), 8, "{output}");
    // The fields may be separate words, as they are when one forgets the quotes.
    let words = ["explain", "0", "3", "1", "jan", "sun", "--timezone", "UTC"];
    assert!(stdout(&words).starts_with("at 03:00, on day 1 of the month or sunday, in january\n"));
    assert!(stdout(&["explain", "@reboot"]).starts_with("when the scheduler starts\n"));
    let table = stdout(&["explain", "{ day = \"3rd fri\", hour = 9 }", "--timezone", "UTC"]);
    assert!(table.starts_with("at 09:00, on the 3rd friday of the month\n"), "{table}");
    assert!(stdout(&["explain", "2h 30m"]).starts_with("every 2 hours 30 minutes\n"));
    // Whole entries, as they stand in a jobfile.
    let rows = [
        (
            "any = [{ cron = '0 3 * * *' }, { interval = '5h' }]",
            "at 03:00 every day; or every 5 hours\n",
        ),
        (
            "all = [{ cron = '0 9 13 * *' }, { cron = '* * * * fri' }]",
            "when all are due at once: at 09:00, on day 13 of the month; and every minute, friday\n",
        ),
        ("interval = { minutes = 10, from = 'end' }", "10 minutes after each run has ended\n"),
        ("cron = '0 3 * * *'", "at 03:00 every day\n"),
        ("{ cron = '0 3 * * *', timezone = 'Asia/Tokyo' }", "at 03:00 every day in Asia/Tokyo\n"),
    ];
    for (entry, words) in rows {
        let found = stdout(&["explain", entry, "--timezone", "UTC"]);
        assert!(found.starts_with(words), "{entry}: {found}");
    }
    let both = "cron = '0 3 * * *'\nexcept = ['mon..sat', '00:00..02:00']";
    assert!(stdout(&["explain", both]).contains("excluded (mon..sat)"));
    let never = stdout(&["explain", "0 0 31 2 *", "--timezone", "UTC"]);
    let why = "never: February has no day 31\n";
    assert!(never.starts_with(why) && never.contains("-  never"), "{never}");
    // What `H` is depends on the job.
    let hashed = schedrs(&["explain", "H 3 * * *", "--timezone", "UTC"]);
    assert!(String::from_utf8_lossy(&hashed.stderr).contains("--id JOB"), "{hashed:?}");
    let of = |id: &str| stdout(&["explain", "H 3 * * *", "--timezone", "UTC", "--id", id]);
    assert!(of("backup").starts_with("at 03:06 every day\n"), "{}", of("backup"));
    assert_ne!(of("backup"), of("report"));
    assert_eq!(schedrs(&["explain", "0 3 * * thu", "--timezone", "UTC"]).stderr, b"");
    let wrong = schedrs(&["explain", "0 3 * * funday"]);
    assert_eq!(wrong.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&wrong.stderr);
    assert!(stderr.contains("`funday` is not a day of week"), "{stderr}");
    assert!(stderr.contains("did you mean `sun`?"), "{stderr}");
}

/// `--from` is included, also where nothing is before it.
#[test]
fn the_first_instant_there_is() {
    let first = "0001-01-01T00:00:00+00:00";
    let args = ["next", "--cron", "0 0 1 1 *", "--timezone", "UTC", "--from", first];
    assert_eq!(rows(&args), [format!("- {first} -")]);
}

/// The answers of the peers, asked through the command line, each in its zone.
#[test]
fn the_peers_answers_through_the_command_line() {
    let data = include_str!("../data/crontab.jsonl");
    // Every line would start a process of its own; a fifth of them is enough here, because
    // `vectors` asks the library about all.
    let mut asked = 0;
    for line in data.lines().step_by(5) {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| case[key].as_str().unwrap().to_owned();
        let (expr, zone, from) = (text("expr"), text("timezone"), text("from"));
        let args = ["next", "--cron", &expr, "--timezone", &zone, "--from", &from, "-n", "9"];
        let rows = json(&args);
        let mut due: Vec<String> = rows
            .iter()
            .filter_map(|row| chrono::DateTime::parse_from_rfc3339(row["due"].as_str()?).ok())
            // `next` lists `from` itself; the answers are strictly after it.
            .filter(|due| *due > chrono::DateTime::parse_from_rfc3339(&from).unwrap())
            .map(|due| due.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
            .collect();
        let expected: Vec<&str> =
            case["due"].as_array().unwrap().iter().map(|due| due.as_str().unwrap()).collect();
        due.truncate(expected.len());
        assert_eq!(due, expected, "{line}");
        asked += 1;
    }
    assert_eq!(asked, 34);
}

/// Once schedrs has run, it is known when an interval began, also when it runs no more; and times are on
/// the clocks of whoever looks, if they ask for that.
#[test]
fn the_grid_of_an_interval_is_the_real_one() {
    use crate::harness::{Bench, Running};
    let bench = Bench::new(
        "[jobs.poll]\ncommand = 'true'\ninterval = '7h'\ntimezone = 'Asia/Tokyo'\n\
         [jobs.daily]\ncommand = 'true'\ncron = '0 3 * * *'\n",
    );
    let said = |args: &[&str]| {
        let done = Running::start(&mut bench.command(args)).wait();
        assert_eq!(done.code, Some(0), "{args:?}: {done:#?}");
        (done.out, done.err)
    };
    let note = "schedrs: intervals count from now: when they began is not known yet";
    assert!(said(&["next", "poll"]).1.iter().any(|line| line == note));
    assert!(!said(&["next", "daily"]).1.iter().any(|line| line == note));
    let mut running = bench.run();
    running.event("starting", "");
    let due = |line: &str, key: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        row[key].as_str().unwrap().to_owned()
    };
    let next = due(&said(&["list", "poll", "--output", "json"]).0[0], "next");
    assert!(next.ends_with("+09:00"), "{next}");
    assert_eq!(due(&said(&["next", "poll", "--output", "json"]).0[0], "due"), next);
    running.stop();
    assert_eq!(due(&said(&["next", "poll", "--output", "json"]).0[0], "due"), next);
    assert!(!said(&["next", "poll"]).1.iter().any(|line| line == note));
    for args in [&["next", "poll", "--local"][..], &["--local", "next", "poll"]] {
        let (out, _) = said(&[args, &["--output", "json"]].concat());
        assert!(due(&out[0], "due").ends_with("+00:00"), "{out:?}");
    }
}

/// What is paused at run time is in no jobfile: whoever runs it says so, and its store when nobody does.
#[test]
fn a_job_that_is_paused_says_so() {
    let job =
        |id: &str, more: &str| format!("[jobs.{id}]\ncommand = 'true'\ncron = '0 0 1 1 *'\n{more}");
    let jobs = job("free", "")
        + &job("held", "")
        + &job("until", "")
        + &job("filed", "paused = true\n")
        + &job("resumed", "paused = true\n");
    for store in ["", "[store]\nurl = 'memory'\n"] {
        let bench = harness::Bench::new(&format!("[scheduler]\ntimezone = 'UTC'\n{store}{jobs}"));
        let say = |args: &[&str]| {
            let done = bench.command(args).output().unwrap();
            assert!(done.status.success(), "{args:?} {done:?}");
            String::from_utf8(done.stdout).unwrap()
        };
        let next = || {
            let text = say(&["next", "--from", "2099-06-01", "-n", "2", "--output", "json"]);
            let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
            let row = |row: Value| {
                let due = text(&row, "due");
                format!(
                    "{} {} {}",
                    text(&row, "job"),
                    &due[..due.len().min(4)],
                    text(&row, "remark")
                )
            };
            rows.map(row).collect::<Vec<_>>()
        };
        let mut running = bench.run();
        running.event("starting", "");
        say(&["pause", "held", "--reason", "moving"]);
        say(&["pause", "until", "--until", "2100-06-01T00:00Z"]);
        say(&["resume", "resumed"]);
        let by = say(&["show", "held"]);
        let by = by.split_once("paused by ").unwrap().1.split_once(':').unwrap().0.to_owned();
        let expected = [
            "free 2100 -".to_owned(),
            format!("until 2100 paused by {by} until 1 Jun 2100 00:00 +00:00"),
            "resumed 2100 -".to_owned(),
            "free 2101 -".to_owned(),
            "until 2101 -".to_owned(),
            "resumed 2101 -".to_owned(),
            format!("held - paused by {by}: moving"),
            "filed - paused by its definition".to_owned(),
        ];
        assert_eq!(next(), expected, "{store}");
        running.stop();
        match store {
            "" => assert_eq!(next(), expected),
            // Nothing knows it any more.
            _ => assert!(!next().iter().any(|row| row.contains("moving"))),
        }
    }
}

/// A chain is shown by the job that begins it, also where only the end of it is asked for.
#[test]
fn a_chain_is_shown_by_the_job_that_begins_it() {
    let (_dir, path) = jobfile(
        "scheduler.timezone = 'UTC'\n\
         [jobs.load]\ncommand = 'x'\ncron = '0 3 * * *'\n\
         [jobs.check]\ncommand = 'x'\ncron = '0 3,9 * * *'\n\
         [jobs.report]\ncommand = 'x'\nafter = 'load'\n\
         [jobs.mail]\ncommand = 'x'\nafter = { all = 'report', on = 'finished' }\n\
         [jobs.both]\ncommand = 'x'\nafter = ['load', 'check']\n\
         [jobs.poll]\ncommand = 'x'\ninterval = { minutes = 10, from = 'end' }\n",
    );
    let from = ["--from", "2026-12-01 00:00"];
    let shown = rows(&[&["next", &path], &from[..]].concat());
    let expected = [
        "poll 2026-12-01T00:10:00+00:00 -",
        "load 2026-12-01T03:00:00+00:00 -",
        "check 2026-12-01T03:00:00+00:00 -",
        "report - after load, which is due 1 Dec 2026 03:00",
        "mail - after report, which is due after load, which is due 1 Dec 2026 03:00",
        "both - after load and check, which are due 1 Dec 2026 03:00",
    ];
    assert_eq!(shown, expected);
    let mail = rows(&[&["next", &path, "--job", "mail"], &from[..]].concat());
    assert_eq!(mail, expected[4..5]);
}
