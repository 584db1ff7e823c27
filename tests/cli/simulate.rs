//! `schedrs simulate` as a person runs it: the real binary on real files. And a year of the example
//! jobfile, twice.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test may stop")]

use std::process::Output;
use std::time::Duration;

use schedrs::event::{Exit, Start};
use schedrs::instant::Instant;
use schedrs::sim::trace::Trace;
use schedrs::sim::{Attempt, Report, simulate};
use schedrs::zone::Database;
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
    assert_eq!(stderr, "", "nothing is said to who is no terminal");
    String::from_utf8(output.stdout).unwrap()
}

fn jobfile(text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

/// A simulation from 2 March 2026 on.
fn from_march<'a>(file: &'a str, args: &'a str) -> Vec<&'a str> {
    ["simulate", file, "--from", "2026-03-02"].into_iter().chain(args.split(' ')).collect()
}

/// One simulated day, 2 March 2026 in UTC unless `args` say otherwise.
fn day(file: &str, args: &[&str]) -> Value {
    let mut all = vec!["simulate", file, "--output", "json"];
    if !args.contains(&"--from") {
        all.extend(["--from", "2026-03-02", "--until", "2026-03-03"]);
    }
    all.extend(args);
    let text = stdout(&all);
    assert_eq!(text.lines().count(), 1);
    serde_json::from_str(&text).unwrap()
}

/// What is not zero of a job's numbers: `due 24, succeeded 24`.
fn facts(answer: &Value, job: &str) -> String {
    let job = answer["jobs"].as_array().unwrap().iter().find(|row| row["job"] == job).unwrap();
    let keys = [
        "due",
        "succeeded",
        "failed",
        "killed",
        "timed_out",
        "skipped",
        "missed_late",
        "missed_waited",
        "coalesced",
        "running",
        "attempts",
        "waited",
    ];
    let number = |key: &str| job[key].as_u64().unwrap();
    let some = keys.iter().filter(|key| number(key) > 0);
    some.map(|key| format!("{key} {}", number(key))).collect::<Vec<_>>().join(", ")
}

const TWO_REPORTS: &str = r#"
[scheduler]
timezone = "Europe/Berlin"

[executors]
reports = { max_workers = 1 }

[jobs.heartbeat]
command = "true"
cron = "*/20 8-9 * * *"

[jobs.first]
command = "true"
cron = "0 8 * * *"
executor = "reports"

[jobs.second]
command = "true"
cron = "0 8 * * *"
executor = "reports"
"#;

const TEXT: &str = "\
JOBFILE: 3 jobs, from Mon 2026-03-02 00:00:00 +01:00 until Wed 2026-03-04 00:00:00 +01:00
each attempt takes 2s and exits with 0, unless set by --duration and --exit
first lasts 1h 30m; second lasts 30m and exits with 7

JOB        DUE  RAN  FAILED  WAITED  LONGEST
heartbeat   12   12
first        2    2
second       2    2       2       2   1h 30m
all         16   16       2       2   1h 30m

EXECUTOR  SLOTS  PEAK  STARTS  WAITED  LONGEST  PEAK AT
default      20     1      12                   Mon 2026-03-02 08:00:00 +01:00
reports       1     1       4       2   1h 30m  Mon 2026-03-02 08:00:00 +01:00
reports: second waited 1h 30m, due Mon 2026-03-02 08:00:00 +01:00

Starts per hour, Europe/Berlin
                00    03    06    09    12    15    18    21      TOTAL
Mon 2026-03-02                  @@@@                                  8
Tue 2026-03-03                  @@@@                                  8
.:-=+*#%@ up to 4 in an hour: Mon 2026-03-02 08:00
";

#[test]
fn a_pool_of_one_and_two_long_jobs() {
    let (_dir, file) = jobfile(TWO_REPORTS);
    let args = from_march(
        &file,
        "--until +2d --duration 2s --duration first=90m --duration second=30m --exit second=7",
    );
    assert_eq!(stdout(&args).replace(&file, "JOBFILE"), TEXT);

    let answer = day(&file, &args[2..]);
    assert_eq!(answer["from"], "2026-03-02T00:00:00+01:00");
    assert_eq!(answer["timezone"], "Europe/Berlin");
    assert_eq!(answer["default"]["duration_ms"], 2000);
    assert_eq!(facts(&answer, "second"), "due 2, failed 2, attempts 2, waited 2");
    let pool = &answer["executors"][1];
    assert_eq!((&pool["executor"], &pool["peak"]), (&"reports".into(), &1.into()));
    assert_eq!(pool["longest_wait"]["job"], "second");
    assert_eq!(pool["longest_wait"]["ms"], 5_400_000);
    assert_eq!(answer["hours"][1]["hour"], "2026-03-02T09:00:00+01:00");
    assert_eq!(answer["hours"][1]["starts"], 4);
    assert_eq!((&answer["running"], &answer["waiting"]), (&0.into(), &0.into()));
}

/// What one job comes to on one day, and with which arguments.
#[test]
fn fates() {
    #[rustfmt::skip]
    let rows: &[(&str, &[&str], &str)] = &[
        ("cron = '0 * * * *'", &[], "due 24, succeeded 24, attempts 24"),
        ("cron = '0 * * * *'\npaused = true", &[], ""),
        // What is due at --from runs, what is due at --until does not.
        ("date = 2026-03-02", &[], "due 1, succeeded 1, attempts 1"),
        ("date = 2026-03-03", &[], ""),
        ("date = 'now'", &[], "due 1, succeeded 1, attempts 1"),
        // Its own last run is in the way.
        ("cron = '0 * * * *'", &["--duration", "job=90m"],
            "due 24, succeeded 12, skipped 12, attempts 12"),
        ("cron = '0 * * * *'\nmax_instances = 2", &["--duration", "job=90m"],
            "due 24, succeeded 23, running 1, attempts 24"),
        ("cron = '0 * * * *'\noverlap = 'replace'", &["--duration", "90m"],
            "due 24, killed 23, running 1, attempts 24"),
        ("cron = '0 * * * *'\noverlap = 'queue'", &["--duration", "61m", "--until", "+3h"],
            "due 3, succeeded 2, running 1, attempts 3, waited 2"),
        ("cron = '0 0-1 * * *'\ntimeout = '5m'", &["--duration", "job=90m"],
            "due 2, timed_out 2, attempts 2"),
        ("cron = '0 0-1 * * *'\nretries = 2", &["--exit", "3"], "due 2, failed 2, attempts 6"),
        ("cron = '0 0-1 * * *'\nretries = 2\nsuccess_codes = [0, 3]", &["--exit", "job=3"],
            "due 2, succeeded 2, attempts 2"),
        // Off from 2:30 to 7:30: 3 to 7 o'clock are too late.
        ("cron = '0 * * * *'", &["--outage", "2026-03-02 02:30..+5h"],
            "due 24, succeeded 19, missed_late 5, attempts 19"),
        // The last of them is within its grace.
        ("cron = '0 * * * *'\nmisfire_grace_time = '45m'",
            &["--outage", "2026-03-02 02:30..2026-03-02 07:30"],
            "due 24, succeeded 20, missed_late 4, attempts 20"),
        ("cron = '0 * * * *'\nmisfire_grace_time = 'forever'",
            &["--outage", "2026-03-02T02:30Z..+5h"],
            "due 24, succeeded 20, coalesced 4, attempts 20"),
        ("cron = '0 * * * *'\nmisfire_grace_time = 'forever'\ncoalesce = 'all'\nmax_instances = 9",
            &["--outage", "2026-03-02T02:30Z..+5h"], "due 24, succeeded 24, attempts 24"),
        // Two outages that overlap are one.
        ("cron = '0 * * * *'", &["--outage", "2026-03-02 04:30..+3h", "--outage",
            "2026-03-02 02:30..+3h"], "due 24, succeeded 19, missed_late 5, attempts 19"),
    ];
    for (schedule, args, expected) in rows {
        let (_dir, file) = jobfile(&format!(
            "[scheduler]\ntimezone = 'UTC'\n[jobs.job]\ncommand = 'true'\n{schedule}\n"
        ));
        let mut all = vec!["--from", "2026-03-02", "--until", "2026-03-03"];
        if let Some(own) = args.iter().position(|arg| *arg == "--until") {
            all[3] = args[own + 1];
            all.extend(args[..own].iter());
        } else {
            all.extend(args.iter());
        }
        assert_eq!(facts(&day(&file, &all), "job"), *expected, "{schedule} {args:?}");
    }
}

#[test]
fn who_sleeps_does_not_wait() {
    let text = "[scheduler]\ntimezone = 'UTC'\n[executors]\ndefault = { max_workers = 1 }\n\
                [defaults]\nmisfire_grace_time = '2h'\n\
                [jobs.one]\ncommand = 'true'\ncron = '0 12 * * *'\n\
                [jobs.two]\ncommand = 'true'\ncron = '0 12 * * *'\n";
    let (_dir, file) = jobfile(text);
    // Both are noticed at 13:00; the second waits for ten minutes of the first, of which the
    // machine sleeps through another hour.
    let answer = day(
        &file,
        &[
            "--duration",
            "10m",
            "--outage",
            "2026-03-02 11:00..+2h",
            "--outage",
            "2026-03-02 13:05..+1h",
        ],
    );
    assert_eq!(facts(&answer, "one"), "due 1, succeeded 1, attempts 1");
    assert_eq!(facts(&answer, "two"), "due 1, succeeded 1, attempts 1, waited 1");
    assert_eq!(answer["executors"][0]["longest_wait"]["ms"], 600_000);
    assert_eq!(answer["outages"][1]["until"], "2026-03-02T14:05:00+00:00");
}

#[test]
fn what_is_not_over_at_the_end() {
    let (_dir, file) = jobfile(TWO_REPORTS);
    let args = ["simulate", &file, "--from", "2026-03-02", "--until", "2026-03-02T08:10"];
    let text = stdout(&[&args[..], &["--duration", "first=1h"]].concat());
    assert!(text.contains("at the end: 1 run still running and 1 run still waiting\n"), "{text}");
}

/// A long span is shown as a week, an empty one in words, and both within the terminal's width.
#[test]
fn maps() {
    let (_dir, file) = jobfile(TWO_REPORTS);
    let args = ["simulate", &file, "--from", "2026-01-01", "--until", "2027-01-01"];
    let text = stdout(&args);
    let map: Vec<&str> = text.lines().rev().take(9).collect();
    assert_eq!(map[0], ".:-=+*#%@ up to 5 in an hour, on average: Monday 08:00");
    assert_eq!(map[1], "Sunday                     @@**                                416");
    assert_eq!(map[8], "           00    03    06    09    12    15    18    21      TOTAL");
    let colours = stdout(&[&args[..], &["--color", "always"]].concat());
    assert!(colours.contains("\x1b[48;5;196m  \x1b[0m"), "{colours}");

    let text = stdout(&["simulate", &file, "--from", "2026-01-01", "--until", "+1h"]);
    assert!(text.contains("not due"), "{text}");
    assert!(text.ends_with("nothing starts\n"), "{text}");
}

/// Tags that open and close, and nothing in between that XML reads as something else.
fn well_formed(text: &str) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let mut elements = 0;
    for piece in text.split('<').skip(1) {
        let (tag, content) = piece.split_once('>').unwrap_or_else(|| panic!("open: <{piece}"));
        for (at, _) in content.match_indices('&') {
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;"];
            assert!(entities.iter().any(|entity| content[at..].starts_with(entity)), "{content}");
        }
        let name = tag.split([' ', '\n', '/']).find(|part| !part.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        elements += 1;
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert_eq!(open, [""; 0]);
    elements
}

#[test]
fn a_picture() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("<jobs> & \"more\".toml");
    std::fs::write(&file, TWO_REPORTS).unwrap();
    let svg = dir.path().join("map.svg");
    let (file, svg_name) = (file.to_str().unwrap(), svg.to_str().unwrap());
    for until in ["2026-03-16", "2027-03-02"] {
        let args = ["simulate", file, "--from", "2026-03-02", "--until", until];
        stdout(&[&args[..], &["--svg", svg_name]].concat());
        let text = std::fs::read_to_string(&svg).unwrap();
        assert!(well_formed(&text) > 7 * 24 * 2, "{text}");
        assert!(text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
        assert!(text.contains("&lt;jobs&gt; &amp; &quot;more&quot;.toml</title>"), "{text}");
        assert!(text.contains("hour of the day, Europe/Berlin"));
        assert!(text.contains(">02</text>"), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let (_dir, file) = jobfile(TWO_REPORTS);
    let rows: &[(&[&str], &str)] = &[
        (
            &["--duration", "frist=5m"],
            "--duration frist=5m: no job `frist` in the jobfile; did you mean `first`?",
        ),
        (&["--exit", "nobody=1"], "--exit nobody=1: no job `nobody` in the jobfile"),
        (&["--exit", "first=256"], "--exit first=256: expected an exit code, 0 to 255"),
        (&["--duration", "first=5"], "--duration first=5: time unit needed"),
        (&["--until", "2026-03-01"], "--until must be after --from"),
        (&["--until", "soon"], "--until soon: expected a time: `17:30`"),
        (&["--timezone", "Europe/Berln"], "did you mean \"Europe/Berlin\"?"),
        (&["--outage", "2026-03-02 12:00"], "expected two times such as"),
        (&["--outage", "2026-03-02 12:00..2026-03-02 11:00"], "it ends before it starts"),
        (&["--outage", "2026-03-01 12:00..2026-03-02 11:00"], "must lie between --from and"),
        (&["--outage", "2026-03-02 12:00..+1000d"], "must lie between --from and --until"),
        (&["--svg", "/nonexistent/map.svg"], "cannot write /nonexistent/map.svg: "),
    ];
    for (args, message) in rows {
        let output = schedrs(&[&["simulate", &file, "--from", "2026-03-02"], *args].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.starts_with("schedrs: ") && stderr.contains(message), "{args:?}: {stderr}");
        assert!(output.stdout.is_empty());
    }
    let (_dir, bad) = jobfile("[jobs.job]\ncommand = 'true'\ncron = '0 25 * * *'\n");
    let output = schedrs(&["simulate", &bad]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("hour 25 is out of range"));
}

/// The example with jobs that last, fail and are in each other's way, over two months with both changes of
/// the clocks in spring.
fn example_spring() -> (Report, Trace) {
    let from = Instant::from_secs(1_769_904_000); // 2026-02-01
    let text = include_str!("../../jobs.example.toml");
    let loaded = schedrs::jobfile::load_text("example", text, &Database::open(None), from);
    let set = loaded.set.unwrap();
    let mut starts = 0_u64;
    let plan = |start: &Start| {
        starts += 1;
        let secs = match &*start.job.id {
            "heartbeat" => 3 + starts % 9,
            "refresh-cache" => starts % 50,
            "load-average" => 420,
            _ => 7200,
        };
        let code = i32::from(starts.is_multiple_of(11));
        Attempt::Lasts(Duration::from_secs(secs), Exit::Code(code))
    };
    let until = from.plus(Duration::from_secs(60 * 86_400));
    let mut trace = Trace::default();
    (simulate(set, from, until, plan, &mut trace), trace)
}

#[test]
fn a_spring_of_the_example_twice_is_the_same_spring() {
    let (spring, trace) = example_spring();
    assert_eq!((spring.clone(), trace), example_spring());
    // The heartbeat of every ten seconds, and all others.
    assert!(spring.starts > 60 * 24 * 360 / 2, "{spring:?}");
    assert!(
        spring.succeeded < spring.ran && spring.skipped > 0 && spring.peaks[0] > 2,
        "{spring:?}"
    );
    assert_ne!(trace, Trace::default());
}

#[test]
fn crowded_minutes_and_what_spreads_them() {
    let mut text = "[executors]\ndefault = { max_workers = 4 }\n".to_owned();
    for n in 0..12 {
        text += &format!("[jobs.j{n}]\ncommand = 'true'\ncron = '0 3 * * *'\n");
    }
    // One that cannot wait, and one that has its own.
    text += "[jobs.often]\ncommand = 'true'\ncron = '* * * * *'\n";
    text += "[jobs.own]\ncommand = 'true'\ncron = '0 3 * * *'\njitter = '10s'\n";
    let (_dir, file) = jobfile(&text);
    let args = ["simulate", &file, "--suggest", "--from", "2026-03-01", "--until", "+3d", "--utc"];
    let shown = stdout(&args);
    let row = "03:00      3      14      4  default   j0, j1, j2, j3 and 10 more";
    assert!(shown.contains(row), "{shown}");
    let answer: Value =
        serde_json::from_str(&stdout(&[&args[..], &["--output", "json"]].concat())).unwrap();
    let (crowded, found) = (&answer["crowded"][0], &answer["suggestions"][0]);
    assert_eq!(crowded["jobs"].as_array().unwrap().len(), 14);
    assert_eq!(crowded["worst"], "2026-03-01T03:00:00+00:00");
    assert_eq!((&found["peak"], &found["peak_with"]), (&14.into(), &7.into()));
    assert_eq!((&found["jitter"], found["jobs"].as_array().unwrap().len()), (&"5m".into(), 12));
    // Somebody does what is suggested.
    let better = text.replace("cron = '0 3 * * *'\n[", "cron = '0 3 * * *'\njitter = '5m'\n[");
    let (_dir, file) = jobfile(&better);
    let again = ["simulate", &file, "--suggest", "--from", "2026-03-01", "--until", "+3d", "--utc"];
    let answer: Value =
        serde_json::from_str(&stdout(&[&again[..], &["--output", "json"]].concat())).unwrap();
    // Seven a minute are still more than four slots, but none of them has to wait.
    assert_eq!(answer["crowded"].as_array().unwrap().len(), 0);
    // And where there is room enough nothing is said.
    let (_dir, file) = jobfile("jobs.a = { command = 'true', cron = '0 3 * * *' }");
    let nothing = stdout(&["simulate", &file, "--suggest"]);
    assert_eq!(nothing, "In no minute a start waits because more are due than there are slots.\n");
}

/// A job that is due after others does not wait while they run, and one that failures pause says so.
#[test]
fn what_is_no_wait_and_why_a_job_is_not_due() {
    let (_dir, file) = jobfile(
        "[jobs.load]\ncommand = 'x'\ncron = '0 3 * * *'\n\
         [jobs.report]\ncommand = 'x'\nafter = 'load'\n\
         [jobs.bad]\ncommand = 'x'\ncron = '0 * * * *'\npause_after = 3\n",
    );
    let args = from_march(&file, "--until +1d --utc --duration load=40m --exit bad=1");
    let shown = stdout(&args);
    assert!(!shown.contains("WAITED"), "{shown}");
    let paused = "paused at Mon 2026-03-02 02:00:01 +00:00: 3 runs in a row had failed";
    assert!(shown.contains(paused), "{shown}");
    let answer: Value =
        serde_json::from_str(&stdout(&[&args[..], &["--output", "json"]].concat())).unwrap();
    assert_eq!(answer["jobs"][2]["paused_at"], "2026-03-02T02:00:01+00:00");
    assert_eq!(
        (&answer["jobs"][1]["waited"], &answer["jobs"][1]["succeeded"]),
        (&0.into(), &1.into())
    );
}

/// Months and years from a time are those of the calendar; how long a run lasts has no months.
#[test]
fn months_and_years_from_a_time() {
    let (_dir, file) = jobfile("[jobs.a]\ncommand = 'x'\ncron = '0 9 1 * *'\n");
    let from = ["simulate", &file, "--utc", "--output", "json", "--from", "2026-01-31", "--until"];
    for (until, ends) in
        [("+1y", "2027-01-31"), ("+1month", "2026-02-28"), ("+1y 1d", "2027-02-01")]
    {
        let answer: Value = serde_json::from_str(&stdout(&[&from[..], &[until]].concat())).unwrap();
        assert_eq!(answer["until"], format!("{ends}T00:00:00+00:00"), "{until}");
    }
    let refused = |flags: &[&str], said: &str| {
        let output = schedrs(&[&from[..], &["+1d"], flags].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_ne!(output.status.code(), Some(0), "{flags:?}");
        assert!(stderr.contains(said) && !stderr.contains("interval"), "{flags:?}: {stderr}");
    };
    refused(
        &["--duration", "a=1y"],
        "`1y` is in years, which have no fixed length: write it in days",
    );
    refused(&["--outage", "now..+5M"], "write `5m` for minutes, `5months` for months");
    let ahead =
        stdout(&["next", &file, "--utc", "-n", "99", "--from", "2026-01-31", "--until", "+1y"]);
    assert!(ahead.lines().last().unwrap().contains("2027"), "{ahead}");
}
