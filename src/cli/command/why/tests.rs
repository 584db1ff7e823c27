use super::*;
use crate::cli::command::history_source::{args, scene};
use crate::core::event::JobRecord;

fn shown(line: &[&str]) -> String {
    let mut out = Vec::new();
    show(&args(line), &mut scene::history(scene::store()), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What a person sees, without its colours.
fn text(line: &[&str]) -> String {
    anstream::adapter::strip_str(&shown(line)).to_string()
}

#[test]
fn one_answer_and_what_it_rests_on() {
    for (line, expected) in [
        (
            &["backup", "--at", "06:00"][..],
            "\
- backup, due Tue 2026-11-24 06:00:00 +01:00: skipped: run 19 was still going
  blocked by  run 19, due 03:00:00: ran 03:00:00 to 06:04:20, succeeded
  rule        max_instances = 1, overlap = \"skip\"
  schedule    every 3 hours
  next        Tue 2026-11-24 15:00:00 +01:00, in 2h
",
        ),
        (
            &["backup", "--at", "09:00"],
            "\
✗ backup, due Tue 2026-11-24 09:00:00 +01:00: run 23 was killed by SIGTERM after 1m 15s: stopped by \
             alice at 09:01:15
  ran       09:00:00 to 09:01:15, started 1ms after it was due, pid 4711
  attempt   1 09:00:00 to 09:00:10: failed with exit code 1
  attempt   2 09:00:20 to 09:01:15: was killed by SIGTERM
  schedule  every 3 hours
  next      Tue 2026-11-24 15:00:00 +01:00, in 2h
",
        ),
        (
            &["poll", "--at", "02:30"],
            "\
! poll, due Tue 2026-11-24 02:30:00 +01:00: missed: schedrs was down from 02:10:03 to 02:55:00
  down      it was last seen at 02:10:03 (pid 312) and not stopped: it was killed, or the machine \
             went down
  late by   25m, more than misfire_grace_time = \"1m\"
  with it   43 due times 02:11:00 to 02:53:00 share this outcome
  schedule  every minute, from 24 Nov 2026 02:00, until 24 Nov 2026 03:00
  next      none
",
        ),
        (
            &["backup", "--at", "05:00"],
            "\
backup, Tue 2026-11-24 05:00:00 +01:00: not due: the nearest due times are 03:00:00 and 06:00:00
  before    the one at 03:00:00 succeeded
  schedule  every 3 hours
  next      Tue 2026-11-24 15:00:00 +01:00, in 2h
",
        ),
        (
            &["new"],
            "\
new, due Wed 2026-11-25 13:00:00 +01:00: not due yet: its first due time is in 1d
  but       schedrs is not running; it was stopped at 12:59:58
  schedule  every day
  next      Wed 2026-11-25 13:00:00 +01:00, in 1d
",
        ),
    ] {
        assert_eq!(text(line), expected, "{line:?}");
    }
}

#[test]
fn the_first_lines_of_others() {
    for (line, expected) in [
        (
            &["backup"][..],
            "✓ backup, due Tue 2026-11-24 12:34:56 +01:00: run 24, started by alice, succeeded \
             after 2s",
        ),
        (
            &["backup", "--at", "00:00"],
            "? backup, due Tue 2026-11-24 00:00:00 +01:00: run 1 was lost: schedrs was killed",
        ),
        (
            &["backup", "--at", "12:00"],
            "- backup, due Tue 2026-11-24 12:00:00 +01:00: skipped: paused by root from 11:55:00 \
             to 12:10:00: disk swap",
        ),
        (
            &["backup", "--at", "2026-11-24T18:00"],
            "backup, due Tue 2026-11-24 18:00:00 +01:00: not due yet: in 5h",
        ),
        (
            &["poll", "--at", "02:54"],
            "· poll, due Tue 2026-11-24 02:54:00 +01:00: coalesced: covered by the due time 02:55:00, run 13, which succeeded",
        ),
        (
            &["poll", "--at", "yesterday"],
            "poll, Mon 2026-11-23 00:00:00 +01:00: no record of that time is kept; it has had its current schedule since 24 Nov 00:00:00",
        ),
        (
            &["report", "--at", "06:30"],
            "✗ report, due Tue 2026-11-24 06:30:00 +01:00: run 20 was stopped by its timeout",
        ),
        (
            &["report", "--at", "07:30"],
            "✗ report, due Tue 2026-11-24 07:30:00 +01:00: run 21 could not be started: program \
             report not found",
        ),
        (
            &["report"],
            "… report, due Tue 2026-11-24 08:30:00 +01:00: run 22 was running when schedrs was last seen, at 12:59:58, and schedrs is not running now",
        ),
    ] {
        assert_eq!(text(line).lines().next(), Some(expected), "{line:?}");
    }
}

/// The definition that counts is the one in effect.
#[test]
fn a_job_that_was_added_and_one_that_was_rescheduled() {
    let mut store = scene::store();
    let added = JobRecord {
        id: "cancel-42".into(),
        added: Some("command = 'true'\ndate = 2026-11-24T14:00:00".into()),
        trigger: "".into(),
        ..store.jobs[0].clone()
    };
    store.jobs.push(added);
    store.jobs[0].overrides = Some("cron = '15 */3 * * *'".into());
    store.jobs[0].trigger = "".into();
    let mut history = scene::history(store);
    let mut said = |line: &[&str]| {
        let mut out = Vec::new();
        show(&args(line), &mut history, &mut out).unwrap();
        anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
    };
    let text = said(&["cancel-42"]);
    let due = "cancel-42, due Tue 2026-11-24 14:00:00 +01:00: not due yet: its first due time";
    assert!(text.starts_with(due), "{text}");
    assert!(text.contains("schedule  once, 24 Nov 2026 14:00"), "{text}");
    let text = said(&["backup", "--at", "2026-11-24T15:00"]);
    assert!(text.contains("nearest due times are 12:15:00 and 15:15:00"), "{text}");
    assert!(text.contains("schedule  every 3 hours from 00:15"), "{text}");
}

#[test]
fn as_json() {
    let text = shown(&["backup", "--at", "09:00", "--output", "json"]);
    assert_eq!(text.lines().count(), 1);
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, expected) in [
        ("/job", "backup"),
        ("/verdict", "killed"),
        ("/asked", "2026-11-24T09:00:00+01:00"),
        ("/due", "2026-11-24T09:00:00+01:00"),
        ("/next", "2026-11-24T15:00:00+01:00"),
        ("/evidence/0/about", "ran"),
        ("/record/outcome", "killed"),
    ] {
        assert_eq!(object.pointer(key).unwrap(), expected, "{key}");
    }
}

#[test]
fn an_unknown_job_is_an_error() {
    let mut history = scene::history(scene::store());
    let error = show(&args(&["bakcup"]), &mut history, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "no job `bakcup`; did you mean `backup`?");
    let error = show(&args(&["poll", "--at", "x"]), &mut history, &mut Vec::new()).unwrap_err();
    assert!(format!("{error:#}").starts_with("--at x: expected"), "{error:#}");
}
