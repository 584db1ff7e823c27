//! What `schedrs run` logs: the keys that programs may rely on, and what people read.

use crate::harness::{Bench, Running, Stream};
use serde_json::Value;

/// The keys of a line, in its order.
fn keys(line: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(line).unwrap();
    let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    keys.sort_by_key(|key| line.find(&format!("\"{key}\":")));
    keys
}

/// What is documented in doc/run.md. A key may be added; none may go or change its meaning.
#[test]
fn each_event_has_its_keys() {
    let bench = Bench::new(
        r#"
        executors.one = { max_workers = 1 }
        [jobs.fails]
        command = "exit 3"
        date = "now"
        retries = 1
        retry_delay = "10ms"
        [jobs.good]
        command = "true"
        date = "now"
        [jobs.killed]
        command = "kill -9 $$"
        date = "now"
        [jobs.slow]
        command = ["sleep", "1000"]
        timeout = "10ms"
        date = "now"
        [jobs.nowhere]
        command = ["/no/such"]
        date = "now"
        [jobs.first]
        command = "cat gate"
        executor = "one"
        date = "now"
        [jobs.queued]
        command = "true"
        executor = "one"
        date = "now"
        [jobs.impatient]
        command = "true"
        executor = "one"
        max_wait = "10ms"
        date = "now"
        "#,
    );
    bench.fifo("gate");
    let rows = [
        ("starting", "", "jobs zone next"),
        ("started", "good", "job run due lag_ms attempt pid"),
        ("succeeded", "good", "job run due started lag_ms attempt duration_ms"),
        ("retrying", "fails", "job run attempt delay_ms reason"),
        ("failed", "fails", "job run due started lag_ms attempt exit duration_ms"),
        ("killed", "killed", "job run due started lag_ms attempt signal duration_ms"),
        ("timing_out", "slow", "job run"),
        ("timed_out", "slow", "job run due started lag_ms attempt duration_ms"),
        ("not_started", "nowhere", "job run due attempt reason"),
        ("missed", "impatient", "job run due reason"),
        ("stopping", "", "running"),
        ("skipped", "queued", "job run due reason"),
        ("succeeded", "first", "job run due started lag_ms attempt duration_ms"),
        ("stopped", "", ""),
    ];
    let mut running = bench.run();
    for (event, job) in [
        ("succeeded", "good"),
        ("failed", "fails"),
        ("killed", "killed"),
        ("timed_out", "slow"),
        ("not_started", "nowhere"),
        ("missed", "impatient"),
    ] {
        let is_there = |line: &String| {
            line.contains(&format!("\"event\":\"{event}\""))
                && line.contains(&format!("\"job\":\"{job}\""))
        };
        if !running.done.err.iter().any(is_there) {
            running.event(event, job);
        }
    }
    running.signal("TERM");
    running.event("stopping", "");
    bench.write_fifo("gate");
    let done = running.wait();
    for (event, job, expected) in rows {
        let line = done.err.iter().find(|line| {
            let value: Value = serde_json::from_str(line).unwrap();
            value["event"] == event && (job.is_empty() || value["job"] == job)
        });
        let line = line.unwrap_or_else(|| panic!("no {event} of {job} in {:#?}", done.err));
        let mut wanted = vec!["time", "level", "event"];
        wanted.extend(expected.split_ascii_whitespace());
        wanted.push("message");
        assert_eq!(keys(line), wanted, "{line}");
    }
}

#[test]
fn usr1_says_what_is_going_on() {
    let bench = Bench::new(
        r#"
        executors.one = { max_workers = 1 }
        jobs.long = { command = "cat gate", date = "now", executor = "one" }
        jobs.second = { command = "true", date = "now", executor = "one" }
        jobs.later = { command = "true", date = "2999-01-01" }
        "#,
    );
    bench.fifo("gate");
    let mut running = bench.run();
    running.event("started", "long");
    running.signal("USR1");
    let status = running.event("status", "");
    let counts = ["jobs", "running", "waiting"].map(|key| status[key].clone());
    assert_eq!(counts, [3, 1, 1]);
    assert_eq!(status["next_job"], "later");
    assert_eq!(status["next"], "2999-01-01T00:00:00+00:00");
    let long = running.event("active", "long");
    for key in ["run", "due", "started", "attempt", "duration_ms"] {
        assert!(long.get(key).is_some(), "{key} in {long}");
    }
    assert_eq!(long["reason"], "running");
    assert_eq!(running.event("active", "second")["reason"], "waiting for a slot");
    bench.write_fifo("gate");
    running.event("succeeded", "second");
    running.stop();
}

#[test]
fn people_read_sentences() {
    let bench = Bench::new(
        r#"
        jobs.a = { command = "exit 7", date = "now" }
        jobs.b = { command = "true", date = "2999-01-01" }
        "#,
    );
    let mut running = Running::start(&mut bench.command(&["run", "jobs.toml"]));
    let wanted = ": jobs.toml, 2 jobs, UTC (from $TZ), executors: default 20; next: a now";
    running.line(Stream::Err, &["INFO  schedrs ", wanted]);
    running.line(Stream::Err, &["INFO  a #1: started, pid "]);
    let line = running.line(Stream::Err, &["WARN  a #1: failed with exit code 7 after "]);
    assert!(!line.contains('\x1b'));
    running.signal("HUP");
    running.line(Stream::Err, &["reloaded: 2 jobs, no changes"]);
    bench.write("jobs.toml", "jobs.b = { command = 'false', date = '2999-01-01' }");
    running.signal("HUP");
    running.line(Stream::Err, &["reloaded: 1 job: 1 changed, 1 removed"]);
    running.signal("USR1");
    let wanted = "1 job: 0 running, 0 waiting, next b at 1 Jan 2999";
    running.line(Stream::Err, &[wanted]);
    running.stop();
}

/// The names of files may hold anything, and none of it may look like a line
/// of the log or of a message. (Ids and names of executors may hold no control characters.)
#[test]
fn a_name_forges_no_line() {
    const FORGED: &str = "x\n2026-01-01 00:00:00+00:00 ERROR forged\u{1b}[2J";
    let bench = Bench::new("");
    let name = format!("{FORGED}.toml");
    let jobs = r#"
        jobs.none = { command = ["./x\nforged program"], date = "now" }
        jobs.nowhere = { command = "true", cwd = "/x\nforged directory", date = "now" }
        jobs.file = { command = "true", env_file = "/x\nforged file", date = "now" }
    "#;
    bench.write(&name, jobs);
    let mut running = Running::start(&mut bench.command(&["run", &name]));
    for _ in 0..3 {
        running.line(Stream::Err, &["not started", "\\nforged "]);
    }
    bench.write(&name, "jobs.a = 1");
    running.signal("HUP");
    running.line(Stream::Err, &["not reloaded"]);
    let done = running.stop();
    let begins = |line: &&String| line.starts_with("2026-01-01") || line.starts_with("forged");
    assert_eq!(done.err.iter().find(begins), None);
    assert!(done.err.iter().all(|line| !line.contains('\u{1b}')), "{:#?}", done.err);

    let of = |args: &[&str]| {
        let output = bench.command(args).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let missing = format!("missing-{FORGED}");
    for args in [
        &["validate", &name][..],
        &["run", &missing],
        &["validate", &missing],
        &["next", &missing],
        &["list", "-f", &missing],
        &["status", "-f", &missing],
        &["history", "-f", &missing],
        &["history", "--store", &format!("sqlite:{missing}")],
        &["run", &name, "--store", &format!("sqlite:/{FORGED}/x")],
        &["list", "--socket", &missing],
        &["import", "crontab", &missing],
        &["init", &format!("/{FORGED}/x")],
        &["shell", "-f", &missing, "a"],
        &["doctor", &missing],
        &["simulate", &missing],
        &["run", "--once", FORGED, &name],
        &["run", "--until", FORGED, &name],
    ] {
        let text = of(args);
        assert!(!text.lines().any(|line| line.starts_with("2026-01-01")), "{args:?} {text}");
    }
}
