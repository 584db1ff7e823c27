use super::*;
use crate::cli::command::history_source::{args, of, scene};
use crate::core::fleet::{Member, SessionId};
use crate::core::outcome::Outcome;
use crate::history::fake::Fake;

fn of_store(store: Fake, line: &[&str]) -> (ExitCode, String) {
    let mut out = Vec::new();
    let code = show(&args(line), &mut scene::history(store), &mut out).unwrap();
    (code, anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string())
}

fn shown(line: &[&str]) -> String {
    let (code, text) = of_store(scene::store(), line);
    assert_eq!(code, ExitCode::SUCCESS, "{text}");
    text
}

#[test]
fn of_a_job() {
    let expected = "\
DUE                             OUTCOME             LAG    TOOK  RUN  REMARKS
Tue 2026-11-24 00:00:00 +01:00  ? lost              1ms      4h    1  schedrs was killed
Tue 2026-11-24 03:00:00 +01:00  ✓ succeeded         1ms   3h 4m   19
Tue 2026-11-24 06:00:00 +01:00  - skipped: overlap
Tue 2026-11-24 09:00:00 +01:00  ✗ killed TERM       1ms  1m 15s   23  2 attempts
Tue 2026-11-24 12:00:00 +01:00  - skipped: paused
Tue 2026-11-24 12:34:56 +01:00  ✓ succeeded                  2s   24  started by alice
";
    assert_eq!(shown(&["backup"]), expected);
}

#[test]
fn what_went_wrong() {
    let expected = "\
DUE                             JOB     OUTCOME           LAG    TOOK  RUN  REMARKS
Tue 2026-11-24 00:00:00 +01:00  backup  ? lost            1ms      4h    1  schedrs was killed
Tue 2026-11-24 02:11:00 +01:00  poll    ! missed ×43                        \
43 due times 02:11:00 to 02:53:00; the first 44m late
Tue 2026-11-24 03:00:00 +01:00  poll    ✗ failed 3        1ms      1s   18
Tue 2026-11-24 06:30:00 +01:00  report  ✗ timed out    3m 20s  1h 30m   20  waited 3m 20s
Tue 2026-11-24 07:30:00 +01:00  report  ✗ not started                   21  \
program report not found
Tue 2026-11-24 09:00:00 +01:00  backup  ✗ killed TERM     1ms  1m 15s   23  2 attempts
";
    assert_eq!(shown(&["--failed"]), expected);
}

#[test]
fn which_limit_a_run_was_over() {
    let mut store = scene::store();
    let why = "over its memory limit of 20MB (peak 19.1 MiB)";
    store.add(scene::run("report", "09:30", 0, 1, Outcome::OverLimit(9, why.into())));
    let (_, text) = of_store(store, &["report", "-n", "1"]);
    let row = text.lines().last().unwrap_or_default();
    assert!(row.contains("✗ killed KILL") && row.ends_with(why), "{text}");
}

/// How many rows a question has, and the first and the last.
#[test]
fn which_records() {
    for (line, count, first, last) in [
        (&[][..], 25, "02:02:00", "12:34:56"),
        (&["-n", "3"], 3, "09:00:00", "12:34:56"),
        (&["-n", "0"], 28, "00:00:00", "12:34:56"),
        (&["-n", "100"], 28, "00:00:00", "12:34:56"),
        (&["--since", "06:30"], 6, "06:30:00", "12:34:56"),
        (&["--since", "-1h"], 2, "12:00:00", "12:34:56"),
        (&["--until", "02:00"], 2, "00:00:00", "02:00:00"),
        // A range counts with any part of it.
        (&["--since", "02:30", "--until", "02:31"], 1, "02:11:00", "02:11:00"),
        (&["report", "--failed"], 2, "06:30:00", "07:30:00"),
    ] {
        let text = shown(line);
        let times: Vec<&str> = text.lines().skip(1).map(|row| &row[15..23]).collect();
        assert_eq!(times.len(), count, "{line:?}");
        assert_eq!((times[0], times[count - 1]), (first, last), "{line:?}");
        let json = shown(&[line, &["--output", "json"]].concat());
        assert_eq!(json.lines().count(), count, "{line:?}");
    }
    // Nothing is no heading either.
    assert_eq!(shown(&["new"]), "");
}

#[test]
fn as_json() {
    let text = shown(&["poll", "--failed", "-n", "2", "--output", "json"]);
    let objects: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (missed, failed) = (&objects[0], &objects[1]);
    assert_eq!(missed["outcome"], "missed");
    assert_eq!((missed["count"].as_u64(), missed["late_ms"].as_u64()), (Some(43), Some(2_640_000)));
    assert_eq!(missed["last_due"], "2026-11-24T02:53:00+01:00");
    assert!(missed["run"].is_null() && missed["started"].is_null() && missed["lag_ms"].is_null());
    assert_eq!((failed["outcome"].as_str(), failed["exit"].as_i64()), (Some("failed"), Some(3)));
    assert_eq!((failed["lag_ms"].as_u64(), failed["duration_ms"].as_u64()), (Some(1), Some(1000)));
    assert_eq!(failed["ended"], "2026-11-24T03:00:01.001+01:00");
}

#[test]
fn at_a_glance() {
    let expected = "\
JOB                   MARKS  SUCCEEDED  LATEST
backup               ?✓-✗-✓  50% of 4   ✓ succeeded, 25m 4s ago
poll    ✓✓✓✓✓✓✓✓✓✓✓!·✓✓✓✓✓✗  94% of 17  ✗ failed 3, 10h ago
report                  ✗✗…  0% of 2    … running, 4h 30m ago
new
";
    assert_eq!(shown(&["--jobs"]), expected);
    let json = shown(&["--jobs", "--output", "json"]);
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!((first["marks"].as_str(), first["runs"].as_u64()), (Some("?✓-✗-✓"), Some(4)));
    assert_eq!(first["last"]["run"], 24);
}

#[test]
fn it_adds_up() {
    let expected = "\
JOB     FROM                            TO                              DUE TIMES  RAN  NOT STARTED  SKIPPED  MISSED  COALESCED  LOST  OPEN
backup  Tue 2026-11-24 00:00:00 +01:00  Tue 2026-11-24 12:00:00 +01:00          5    2                     2                        1
poll    Tue 2026-11-24 02:00:00 +01:00  Tue 2026-11-24 03:00:00 +01:00         61   17                            43          1
report  Tue 2026-11-24 06:30:00 +01:00  Tue 2026-11-24 08:30:00 +01:00          3    1            1                                       1
";
    assert_eq!(shown(&["--audit"]), expected);
    let (code, _) = of_store(scene::store(), &["poll", "--audit", "--since", "02:30"]);
    assert_eq!(code, ExitCode::SUCCESS);
}

#[test]
fn it_does_not_add_up() {
    let mut store = scene::store();
    store.records.retain(|record| record.due != scene::at("02:57"));
    let twice = store.records.iter().find(|record| record.due == scene::at("06:30")).cloned();
    store.add(twice.unwrap());
    let (code, text) = of_store(store.clone(), &["--audit"]);
    assert_eq!(code, ExitCode::FAILURE);
    let wrong: Vec<&str> = text.lines().skip(4).collect();
    assert_eq!(
        wrong,
        [
            "poll: due Tue 2026-11-24 02:57:00 +01:00: no outcome",
            "report: due Tue 2026-11-24 06:30:00 +01:00: two outcomes",
        ]
    );
    let (code, text) = of_store(store.clone(), &["poll", "--audit", "--output", "json"]);
    assert_eq!(code, ExitCode::FAILURE);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((object["unaccounted"].as_u64(), object["twice"].as_u64()), (Some(1), Some(0)));
    assert_eq!(object["examples"][0]["first"], "2026-11-24T02:57:00+01:00");
    // Not in this window.
    let (code, _) = of_store(store, &["poll", "--audit", "--until", "02:30"]);
    assert_eq!(code, ExitCode::SUCCESS);
}

#[test]
fn a_schedule_that_was_edited_is_not_audited() {
    let mut store = scene::store();
    store.jobs[0].trigger = "another".into();
    store.records.clear();
    let (code, text) = of_store(store, &["backup", "--audit"]);
    assert_eq!((code, &*text), (ExitCode::SUCCESS, ""));
}

/// A job that was loaded with `paused = true` has due times from when somebody has resumed it.
#[test]
fn before_it_was_resumed_nothing_is_expected() {
    let jobs = "[jobs.j]\ncommand = 'true'\ncron = '0 * * * *'\npaused = true";
    let mut store = scene::store();
    let known =
        crate::core::event::JobRecord { id: "j".into(), resumed: true, ..store.jobs[0].clone() };
    let loaded = crate::jobfile::load_text(
        "t",
        jobs,
        &crate::core::zone::Database::bundled(),
        scene::at("13:00"),
    );
    let trigger = loaded.set.unwrap().jobs[0].trigger.fingerprint().into();
    store.jobs =
        vec![crate::core::event::JobRecord { trigger, decided: scene::at("12:00"), ..known }];
    let change = |at: &str, what: &str| crate::core::event::Change {
        at: scene::at(at),
        job: Some("j".into()),
        what: what.into(),
        by: "root".into(),
        detail: None,
    };
    store.records.clear();
    let audited = |store: &Fake| {
        let mut out = Vec::new();
        let mut history = of(jobs, scene::at("13:00"), store.clone());
        show(&args(&["--audit", "--output", "json"]), &mut history, &mut out).unwrap();
        serde_json::from_slice::<serde_json::Value>(&out).unwrap()["due_times"].as_u64()
    };
    store.changes = vec![change("10:30", "resumed")];
    assert_eq!(audited(&store), Some(2));
    // What somebody has paused is recorded when it is resumed.
    store.changes = vec![change("09:30", "resumed"), change("10:15", "paused")];
    store.changes.push(change("11:15", "resumed"));
    assert_eq!(audited(&store), Some(3));
}

/// Records of several hosts say of which.
#[test]
fn where_there_are_hosts() {
    let of = |hosts: &[&str]| {
        let mut store = scene::store();
        for (record, host) in store.records.iter_mut().zip(hosts.iter().cycle()) {
            record.host = Some((*host).into());
        }
        let members = hosts.iter().enumerate();
        let member = |(id, host): (usize, &&str)| Member::new(SessionId(id as u64 + 1), host);
        store.members = members.map(member).collect();
        store
    };
    let several = of(&["web1", "web2"]);
    let (_, text) = of_store(several.clone(), &["backup", "-n", "1"]);
    let expected = "\
DUE                             OUTCOME      TOOK  RUN  HOST  REMARKS
Tue 2026-11-24 12:34:56 +01:00  ✓ succeeded    2s   24  web2  started by alice
";
    assert_eq!(text, expected);
    let (_, text) = of_store(several.clone(), &["backup", "-n", "1", "--output", "json"]);
    assert!(text.contains("\"host\":\"web2\""), "{text}");
    let (_, text) = of_store(several, &["poll", "--audit"]);
    assert!(text.contains("poll  web1, web2  "), "{text}");
    // One is not worth a column, but a key.
    let one = of(&["web1"]);
    let (_, text) = of_store(one.clone(), &["backup", "-n", "1"]);
    assert!(!text.contains("web1"), "{text}");
    let (_, text) = of_store(one, &["backup", "-n", "1", "--output", "json"]);
    assert!(text.contains("\"host\":\"web1\""), "{text}");
}

/// A job that runs on every host has each due time once on each.
#[test]
fn a_job_of_every_host_is_audited_on_each() {
    let jobs = "[scheduler]\ntimezone = 'UTC'\n[jobs.clean]\ncommand = 'true'\ncron = '* * * * *'\n\
                run_on = 'all'";
    let mut store = Fake::default();
    store.jobs = scene::store().jobs[..1].to_vec();
    store.jobs[0].id = "clean".into();
    store.jobs[0].trigger = "".into();
    let sample = scene::store().records.remove(1);
    for minute in 0..4 {
        for host in ["web1", "web2"].into_iter().filter(|host| (*host, minute) != ("web2", 1)) {
            let due = scene::at("10:00").plus(std::time::Duration::from_secs(60 * minute));
            let host = Some(host.into());
            store.add(crate::store::RunRecord {
                job: "clean".into(),
                due,
                last_due: due,
                at: due,
                host,
                by: None,
                ..sample.clone()
            });
        }
    }
    store.jobs[0].decided = scene::at("10:03");
    let now = scene::at("11:00");
    let audited = |store: &Fake| {
        let mut out = Vec::new();
        let mut history = of(jobs, now, store.clone());
        let trigger = history.job("clean").unwrap().trigger.fingerprint().to_string();
        let mut store = store.clone();
        store.jobs[0].trigger = trigger.into();
        history = of(jobs, now, store);
        let code = show(&args(&["--audit", "--output", "json"]), &mut history, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let told = rows.map(|row: serde_json::Value| {
            (
                row["host"].as_str().map(str::to_owned),
                row["due_times"].as_u64(),
                row["twice"].as_u64(),
            )
        });
        (code, told.collect::<Vec<_>>())
    };
    let host = |name: &str| Some(name.to_owned());
    let rows = vec![(host("web1"), Some(4), Some(0)), (host("web2"), Some(3), Some(0))];
    assert_eq!(audited(&store), (ExitCode::SUCCESS, rows));
    let again = store.records[0].clone();
    store.add(again);
    let (code, rows) = audited(&store);
    assert_eq!((code, rows[0].2), (ExitCode::FAILURE, Some(1)));
}

#[test]
fn wrong_times_are_errors() {
    let mut history = scene::history(scene::store());
    let mut error = |line: &[&str]| {
        format!("{:#}", show(&args(line), &mut history, &mut Vec::new()).unwrap_err())
    };
    assert_eq!(error(&["--since", "03:00", "--until", "02:00"]), "--until is before --since");
    assert!(error(&["--since", "x"]).starts_with("--since x: expected"));
    assert_eq!(error(&["pol"]), "no job `pol`; did you mean `poll`?");
}
