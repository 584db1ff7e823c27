//! `schedrs health` and `schedrs metrics`, and whether what goes with them is true: the page, the
//! rules and the dashboard name series that exist, and Prometheus' own tool reads all of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Bench, missing, status_of, until};

const JOBS: &str = r#"
    [jobs.good]
    command = "true"
    interval = "1d"
    [jobs.bad]
    command = "exit 3"
    interval = "1d"
    [jobs."odd \"name\" \\ of it"]
    command = "true"
    interval = "1d"
    paused = true
    [jobs.over]
    command = "true"
    date = 2020-01-01
"#;

fn metrics(bench: &Bench, more: &[&str]) -> String {
    let (text, _, code) = bench.ask(&[&["metrics"], more].concat());
    assert_eq!(code, Some(0), "{text}");
    text
}

/// The value of a sample.
#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(&format!("{sample} ")));
    found.unwrap_or_else(|| panic!("no {sample} in {text}")).parse().unwrap()
}

#[test]
fn health_is_a_line_and_an_exit_code() {
    let bench = Bench::new(JOBS);
    let (line, _, code) = bench.ask(&["health"]);
    assert!(line.starts_with("fail: no scheduler is running "), "{line}");
    assert_eq!((code, line.lines().count()), (Some(2), 1));

    let running = bench.listening();
    let (line, _, code) = bench.ask(&["health"]);
    assert!(line.starts_with("pass: 4 jobs, 0 running, 0 waiting; next "), "{line}");
    assert_eq!((code, line.lines().count()), (Some(0), 1));
    let (json, ..) = bench.ask(&["health", "--output", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["status"], &json["output"]), (&"pass".into(), &Value::Null));
    assert_eq!(json["checks"]["executor:wait"][0]["componentId"], "default");

    // A job that fails is none of its business.
    bench.ask(&["start", "bad", "--wait"]);
    assert_eq!(bench.ask(&["health"]).2, Some(0));

    bench.write("jobs.toml", "[jobs.");
    bench.ask(&["reload"]);
    let (line, _, code) = bench.ask(&["health"]);
    assert!(line.starts_with("warn: ") && line.contains("was not reloaded"), "{line}");
    assert_eq!((code, line.lines().count()), (Some(1), 1));
    assert_eq!(value(&metrics(&bench, &[]), "schedrs_reload_failed"), 1.0);

    // One that has stopped does not answer, and that is an answer.
    running.signal("STOP");
    until("it stops", || status_of(running.pid(), "State").starts_with('T'));
    let (line, _, code) = bench.ask(&["health", "--timeout", "50ms"]);
    assert!(line.starts_with("fail: schedrs (pid "), "{line}");
    assert!(line.contains("does not answer"), "{line}");
    assert_eq!(code, Some(2));
    let (json, _, code) = bench.ask(&["health", "--timeout", "50ms", "--output", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["status"].as_str(), code), (Some("fail"), Some(2)));
    running.signal("CONT");
    assert_eq!(bench.ask(&["health", "--timeout", "soon"]).2, Some(2));
    running.stop();
}

/// Counters are those of the process, and what is past is the store's: a restart neither fakes nor
/// forgets a failure.
#[test]
#[cfg(feature = "sqlite")]
fn numbers_over_a_restart() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    let before = metrics(&bench, &[]);
    let good = r#"schedrs_job_last_success_timestamp_seconds{job_name="good"}"#;
    let failures = r#"schedrs_job_consecutive_failures{job_name="bad"}"#;
    assert_eq!((value(&before, good), value(&before, failures)), (0.0, 0.0));
    for job in ["good", "bad", "bad"] {
        bench.ask(&["start", job, "--wait"]);
    }
    let text = metrics(&bench, &[]);
    let last = value(&text, good);
    assert!(last >= value(&text, "process_start_time_seconds").floor(), "{text}");
    for (sample, expected) in [
        (r#"schedrs_jobs{state="active"}"#, 2.0),
        (r#"schedrs_jobs{state="paused"}"#, 1.0),
        (r#"schedrs_jobs{state="finished"}"#, 1.0),
        (r#"schedrs_runs_total{outcome="succeeded",reason=""}"#, 1.0),
        (r#"schedrs_runs_total{outcome="failed",reason=""}"#, 2.0),
        (r#"schedrs_runs_total{outcome="missed",reason="late"}"#, 0.0),
        (r#"schedrs_job_runs_total{job_name="good",outcome="succeeded"}"#, 1.0),
        (r#"schedrs_job_runs_total{job_name="bad",outcome="failed"}"#, 2.0),
        (r#"schedrs_job_runs_total{job_name="odd \"name\" \\ of it",outcome="skipped"}"#, 0.0),
        (r#"schedrs_job_next_due_timestamp_seconds{job_name="over"}"#, 0.0),
        (failures, 2.0),
        ("schedrs_start_lag_seconds_count", 3.0),
        (r#"schedrs_start_lag_seconds_bucket{le="+Inf"}"#, 3.0),
        ("schedrs_store_up", 1.0),
        ("schedrs_reload_failed", 0.0),
    ] {
        assert_eq!(value(&text, sample), expected, "{sample}");
    }
    running.stop();

    let running = bench.listening();
    let text = metrics(&bench, &[]);
    assert_eq!((value(&text, good), value(&text, failures)), (last, 2.0));
    assert_eq!(value(&text, r#"schedrs_runs_total{outcome="failed",reason=""}"#), 0.0);
    bench.ask(&["start", "bad", "--wait"]);
    assert_eq!(value(&metrics(&bench, &[]), failures), 3.0);

    let few = metrics(&bench, &["--no-jobs", "--textfile"]);
    assert!(!few.contains("process_"), "{few}");
    assert!(!few.contains("job_name"), "{few}");
    assert_eq!(value(&few, r#"schedrs_jobs{state="active"}"#), 2.0);
    running.stop();
}

fn package(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The names in a text that look like series of ours.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let words = words.filter(|word| !word.ends_with('_'));
    let ours = words.filter(|word| word.starts_with("schedrs_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

/// The texts below a key, anywhere in a value.
fn below(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if name == key => found.push(text.clone()),
                    value => below(value, key, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|value| below(value, key, found)),
        _ => {}
    }
}

#[test]
fn what_goes_with_them_names_what_exists() {
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    let text = metrics(&bench, &[]);
    running.stop();
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let families: BTreeSet<String> =
        families.map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let samples: BTreeSet<String> = names(&text);

    let page = package("doc/metrics.md");
    for family in &families {
        assert!(page.contains(&format!("`{family}")), "doc/metrics.md has no {family}");
    }
    let dashboard: Value =
        serde_json::from_str(&package("examples/grafana-dashboard.json")).unwrap();
    let mut asked = Vec::new();
    below(&dashboard, "expr", &mut asked);
    below(&dashboard, "query", &mut asked);
    assert!(asked.len() > 8, "{asked:?}");
    let rules = package("examples/prometheus-rules.yml");
    for (what, text) in [("page", page), ("dashboard", asked.join("\n")), ("rules", rules)] {
        for name in names(&text) {
            let is_there = families.contains(&name) || samples.contains(&name);
            assert!(is_there, "{what}: there is no series {name}");
        }
    }
}

/// `prometheus` or `promtool` on the machine, or where `.ci/run` has put it.
pub(crate) fn from_prometheus(program: &str) -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([target.join("prometheus/usr/bin")]);
    let found = dirs.map(|dir| dir.join(program)).find(|path| path.exists());
    if found.is_none() {
        missing(&format!("{program} (Debian: prometheus)"));
    }
    found
}

#[test]
fn promtool_finds_nothing_to_say() {
    let Some(promtool) = from_prometheus("promtool") else { return };
    let bench = Bench::new(JOBS);
    let running = bench.listening();
    for more in [&[][..], &["--no-jobs"]] {
        let text = metrics(&bench, more);
        let mut command = Command::new(&promtool);
        command.args(["check", "metrics"]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(done.status.success() && said.is_empty(), "{said}");
    }
    running.stop();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prometheus-rules.yml");
    let done = Command::new(&promtool).args(["check", "rules"]).arg(rules).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
}
