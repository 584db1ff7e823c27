//! Jobs that are not due on some days: what is shown of them, and calendar files that change.

use std::fs;

use serde_json::Value;

use crate::harness::{Bench, Running};

fn calendar(days: &[&str]) -> String {
    let events: String = days
        .iter()
        .map(|day| {
            format!("BEGIN:VEVENT\r\nUID:{day}\r\nDTSTART;VALUE=DATE:{day}\r\nSUMMARY:Day off\r\nEND:VEVENT\r\n")
        })
        .collect();
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}END:VCALENDAR\r\n")
}

const JOBS: &str = r#"
    [scheduler]
    timezone = "Europe/Berlin"
    [calendars.holidays]
    file = "holidays.ics"
    [jobs.nightly]
    command = "true"
    cron = "0 3 * * *"
    except = ["holidays", "sat..sun"]
    [jobs.office]
    command = "true"
    cron = "0 * * * *"
    only = ["mon..fri 09:00..11:00"]
    [jobs.plain]
    command = "true"
    cron = "0 3 * * *"
"#;

fn bench() -> Bench {
    let bench = Bench::new(JOBS);
    bench.write("holidays.ics", &calendar(&["20301224", "20301225"]));
    bench
}

fn rename_over(bench: &Bench, name: &str, text: &str) {
    let new = format!("{name}.new");
    bench.write(&new, text);
    fs::rename(bench.path(&new), bench.path(name)).unwrap();
}

#[test]
fn what_is_excluded_is_struck_through() {
    let bench = bench();
    let next = |args: &[&str]| {
        let mut all = vec!["next", "--from", "2030-12-23"];
        all.extend(args);
        bench.out(&all)
    };
    let text = next(&["-n", "4", "--job", "nightly"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("JOB"), "{text}");
    assert!(!lines[1].contains("excluded"), "{text}");
    for line in &lines[2..=3] {
        assert!(line.contains("  -  ") && line.ends_with("excluded (holidays: Day off)"), "{text}");
    }
    assert!(lines[4].contains("2030-12-26"), "{text}");
    let rows: Vec<Value> = next(&["-n", "24", "--job", "office", "--output", "json"])
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kept = |row: &&Value| row.get("excluded").is_none();
    let kept: Vec<&str> =
        rows.iter().filter(kept).map(|row| row["due"].as_str().unwrap()).collect();
    assert_eq!(kept, ["2030-12-23T09:00:00+01:00", "2030-12-23T10:00:00+01:00"]);
    assert_eq!(rows[0]["excluded"], "not in mon..fri 09:00..11:00");
    // One of each job is the next that runs.
    let one = bench.out(&["next", "--from", "2030-12-24", "--job", "nightly"]);
    assert!(one.contains("2030-12-26 03:00"), "{one}");
    assert!(one.contains("not 24 Dec 2030 03:00: holidays: Day off"), "{one}");
    let year = ["simulate", "--from", "2030-12-20", "--until", "2030-12-27", "--output", "json"];
    let simulated: Value = serde_json::from_str(&bench.out(&year)).unwrap();
    let of = |job: usize, key: &str| simulated["jobs"][job][key].as_u64().unwrap();
    assert_eq!((of(0, "due"), of(0, "succeeded"), of(0, "excluded")), (7, 3, 4));
}

#[test]
fn what_is_wrong_with_a_calendar_has_its_place() {
    let bench = bench();
    let validate = |jobs: &str| {
        bench.write("jobs.toml", jobs);
        let (out, err, code) = bench.ask(&["validate", "jobs.toml"]);
        (out + &err, code)
    };
    rename_over(&bench, "holidays.ics", &calendar(&["20301224", "20301324"]));
    let (err, code) = validate(JOBS);
    assert_eq!(code, Some(1));
    assert!(err.contains("holidays.ics:10:20: error: this is no date such as 20261224"), "{err}");
    rename_over(&bench, "holidays.ics", &calendar(&["20301224"]));
    let (err, _) = validate(&JOBS.replace("[\"holidays\", ", "[\"holiday\", "));
    assert!(
        err.contains("unknown calendar `holiday`") && err.contains("did you mean `holidays`?"),
        "{err}"
    );
    // All that is wrong with a list, in one pass.
    let (err, _) =
        validate(&JOBS.replace("\"sat..sun\"", "\"holiday\", \"25:00..26:00\", \"sat 10:00\""));
    for wrong in
        ["unknown calendar `holiday`", "not a window such as", "it has a beginning and no end"]
    {
        assert!(err.contains(wrong), "{wrong}: {err}");
    }
    let (err, code) = validate(&JOBS.replace("\"sat..sun\"", "\"sat..sun\", \"mon..fri\""));
    assert_eq!(code, Some(1));
    assert!(err.contains("it would never end, and the job never be due"), "{err}");
    let (err, code) = validate(&JOBS.replace("mon..fri 09:00..11:00", "2020-01-01"));
    assert_eq!(code, Some(0));
    assert!(
        err.contains("never runs: `only` excludes every due time of the next 28 years"),
        "{err}"
    );
    fs::remove_file(bench.path("holidays.ics")).unwrap();
    let (err, code) = validate(JOBS);
    assert_eq!(code, Some(1));
    assert!(err.contains("holidays.ics: no such file"), "{err}");
}

/// What is due next, as a running scheduler has it.
fn upcoming(bench: &Bench) -> String {
    let shown: Value =
        serde_json::from_str(&bench.out(&["show", "nightly", "--output", "json"])).unwrap();
    shown["upcoming"][0].as_str().unwrap_or("none").to_owned()
}

/// It takes effect by itself, though the jobfile is not read again by itself; one that is broken changes
/// nothing and is told.
#[test]
fn a_calendar_that_changes_is_read_again() {
    // Every day but those of the file is left out, so that the next one tells what it says.
    let jobs = JOBS.replace("except = [\"holidays\", \"sat..sun\"]", "only = [\"holidays\"]");
    let bench = Bench::new(&jobs);
    bench.write("holidays.ics", &calendar(&["20301224"]));
    let mut running: Running = bench.listening();
    assert_eq!(upcoming(&bench), "2030-12-24T03:00:00+01:00");
    rename_over(&bench, "holidays.ics", &calendar(&["20301231"]));
    assert_eq!(running.event("reloaded", "")["changed"], 1);
    assert_eq!(upcoming(&bench), "2030-12-31T03:00:00+01:00");
    // Broken: as it was, and told.
    rename_over(&bench, "holidays.ics", "BEGIN:VCALENDAR\n");
    running.event("reload_failed", "");
    assert_eq!(upcoming(&bench), "2030-12-31T03:00:00+01:00");
    let (status, _, _) = bench.ask(&["status"]);
    assert!(status.contains("`VCALENDAR` has no end: the file is cut off"), "{status}");
    // Gone: the same.
    fs::remove_file(bench.path("holidays.ics")).unwrap();
    running.event("reload_failed", "");
    assert_eq!(upcoming(&bench), "2030-12-31T03:00:00+01:00");
    rename_over(&bench, "holidays.ics", &calendar(&["20310101"]));
    running.event("reloaded", "");
    assert_eq!(upcoming(&bench), "2031-01-01T03:00:00+01:00");
    assert!(bench.ask(&["status"]).0.starts_with("ok"));
    // An edit of the jobfile is not read for the sake of a calendar.
    bench.write("jobs.toml", &format!("{jobs}[jobs.new]\ncommand = 'true'\ninterval = '1d'\n"));
    rename_over(&bench, "holidays.ics", &calendar(&["20310106"]));
    running.event("not_reloaded", "");
    assert_eq!(upcoming(&bench), "2031-01-01T03:00:00+01:00");
    assert!(bench.ask(&["status"]).0.contains("both take effect with `schedrs reload`"));
    bench.out(&["reload"]);
    assert_eq!(upcoming(&bench), "2031-01-06T03:00:00+01:00");
    // A job that is in no file can name it, too.
    bench.out(&["add", "--id", "later", "--cron", "0 4 * * *", "--only", "holidays", "--", "true"]);
    let later: Value =
        serde_json::from_str(&bench.out(&["show", "later", "--output", "json"])).unwrap();
    assert_eq!(later["upcoming"][0], "2031-01-06T04:00:00+01:00");
    bench.out(&["modify", "later", "--only", "sat", "--except", "holidays"]);
    running.stop();
}
