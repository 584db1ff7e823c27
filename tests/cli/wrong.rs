//! What is broken, at a glance: `list --failed`, `--sort`, what `status` counts, `expect`.

use serde_json::Value;

use crate::harness::{Bench, Running, Stream};

const JOBS: &str = r#"
[scheduler]
timezone = "UTC"
[jobs.well]
interval = "1d"
command = "true"
[jobs.bad]
interval = "1d"
command = "exit 3"
[jobs.late]
command = "true"
interval = "2h"
expect = "1ms"
[jobs.worse]
interval = "1d"
command = "read x < end; exit 4"
[jobs.new]
interval = "1d"
command = "true"
[jobs.also]
interval = "1d"
command = "exit 1"
[jobs.busy]
interval = "1d"
command = "cat go"
expect = "1ms"
"#;

fn out(bench: &Bench, args: &[&str]) -> String {
    let done = bench.command(args).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(said.is_empty() || said.starts_with("zone: "), "{args:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

fn ids(bench: &Bench, args: &[&str]) -> String {
    let text = out(bench, &[&["list", "--output", "json"], args].concat());
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].to_string();
    text.lines().map(id).collect::<Vec<_>>().join(" ").replace('"', "")
}

fn job(bench: &Bench, id: &str) -> Value {
    serde_json::from_str(&out(bench, &["list", id, "--output", "json"])).unwrap()
}

#[test]
fn what_has_failed_and_what_is_overdue() {
    let bench = Bench::new(JOBS);
    bench.fifo("go");
    bench.fifo("end");
    let running = bench.listening();
    // It begins before all others and ends after them, so that none takes longer.
    let mut worse = Running::start(&mut bench.command(&["start", "worse", "--wait"]));
    worse.line(Stream::Err, &["of worse has started"]);
    for id in ["well", "bad", "also"] {
        let done = bench.command(&["start", id, "--wait"]).output().unwrap();
        assert!(done.status.code().is_some(), "{done:?}");
    }
    bench.write_fifo("end");
    assert_eq!(worse.wait().code, Some(4));
    out(&bench, &["start", "busy"]);
    assert_eq!(ids(&bench, &["--failed"]), "bad late worse also busy");
    assert_eq!(ids(&bench, &["--failed", "--sort", "failed"]), "worse also bad late busy");
    assert_eq!(ids(&bench, &["--failed", "--sort", "failed", "-n", "2"]), "worse also");
    assert_eq!(ids(&bench, &["--sort", "name"]), "also bad busy late new well worse");
    assert_eq!(ids(&bench, &["--sort", "duration", "-n", "1"]), "worse");
    assert_eq!(ids(&bench, &["--sort", "next", "-n", "1"]), "late");
    assert_eq!(ids(&bench, &["--state", "overdue"]), "late");
    // What it does is more important than that it is overdue, which is there all the same.
    let states = |id| job(&bench, id)["state"].as_str().unwrap().to_owned();
    assert_eq!(
        (states("late"), states("busy"), states("new")),
        ("overdue".to_owned(), "running".to_owned(), "scheduled".to_owned())
    );
    assert!(job(&bench, "busy")["overdue_since"].is_string());
    let status = out(&bench, &["status"]);
    assert!(status.contains("  failed   3 jobs: worse, also, bad\n"), "{status}");
    assert!(status.contains("  overdue  2 jobs: late, busy\n"), "{status}");
    let status: Value =
        serde_json::from_str(&out(&bench, &["status", "--output", "json"])).unwrap();
    assert_eq!((&status["failed"], &status["failed_jobs"][0]), (&3.into(), &"worse".into()));
    assert!(out(&bench, &["show", "late"]).contains("  overdue "));
    assert!(out(&bench, &["list", "late"]).contains("overdue since "));
    // Of a job that is paused nothing is expected; a success ends it.
    out(&bench, &["pause", "late"]);
    assert_eq!(states("late"), "paused");
    assert_eq!(ids(&bench, &["--failed"]), "bad worse also busy");
    bench.write_fifo("go");
    running.stop();
}
