//! `limits` of jobs, with real processes and, where this machine has them, real control groups.

use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Bench, Running, Stream, has_root, skipped};

/// Takes 150 MiB.
const HOG: &str = "dd if=/dev/zero of=/dev/null bs=150M count=1";

/// What remains below the control groups that this machine has.
fn left_over(pid: u32) -> Vec<PathBuf> {
    let name = format!("schedrs-{pid}-");
    let roots = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let mut found = Vec::new();
    let mut look = |path: &Path| {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(&name) {
                found.push(entry.path());
            }
        }
    };
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let paths: Vec<&str> = own.lines().filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    for root in roots {
        for path in &paths {
            look(&root.path().join(path.trim_start_matches('/')));
        }
    }
    found
}

/// Runs a job with limits of a control group; `None` where there can be none.
fn confined(limits: &str, command: &str) -> Option<(Bench, Running, serde_json::Value)> {
    let bench = Bench::new(&format!(
        "jobs.a = {{ command = '{command}', date = 'now', limits = {limits} }}"
    ));
    let mut running = bench.run();
    let event = loop {
        let line = running.line(Stream::Err, &["\"job\":\"a\""]);
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if matches!(
            event["event"].as_str(),
            Some("killed" | "failed" | "succeeded" | "not_started")
        ) {
            break event;
        }
    };
    if event["event"] == "not_started" {
        let reason = event["reason"].as_str().unwrap();
        assert!(reason.starts_with("limits."), "{event}");
        skipped(&format!("a control group with limits: {reason}"));
        return None;
    }
    Some((bench, running, event))
}

#[test]
fn what_goes_over_its_memory_is_ended_and_says_so() {
    let limits = "{ memory = \"32MiB\", swap = 0 }";
    // As the main process, and as the child of a shell.
    for command in [format!("exec {HOG}"), format!("{HOG}; exit $?")] {
        let Some((bench, running, event)) = confined(limits, &command) else { return };
        assert_eq!((event["event"].as_str(), event["signal"].as_u64()), (Some("killed"), Some(9)));
        let reason = event["reason"].as_str().unwrap();
        assert!(reason.starts_with("over its memory limit of 32MiB (peak 3"), "{reason}");
        let message = event["message"].as_str().unwrap();
        assert!(message.starts_with("killed by SIGKILL after "), "{message}");
        assert!(message.contains(": over its memory limit of 32MiB"), "{message}");
        let pid = running.pid();
        assert_eq!(running.stop().code, Some(0));
        assert_eq!(left_over(pid), Vec::<PathBuf>::new());
        let said = bench.ask(&["why", "a"]).0;
        assert!(said.contains("over its memory limit of 32MiB"), "{said}");
        let json = bench.out(&["history", "--output", "json"]);
        assert!(json.contains("\"reason\":\"over its memory limit of 32MiB"), "{json}");
    }
}

/// The others are not in it: a job without limits grows as it likes at the same time.
#[test]
fn a_fork_bomb_stays_within_its_tasks() {
    let bomb = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; wait";
    let Some((_, running, event)) = confined("{ tasks = 8, cpu = 0.5 }", bomb) else { return };
    assert!(matches!(event["event"].as_str(), Some("failed")), "{event}");
    assert!(event["duration_ms"].as_u64().unwrap() < 4000, "{event}");
    assert_eq!(running.stop().code, Some(0));
}

/// What a scheduler leaves that is killed, the next one removes.
#[test]
fn what_a_killed_scheduler_leaves_is_removed() {
    let Some((bench, mut running, _)) = confined("{ memory = \"64MiB\" }", "true") else { return };
    let pid = running.pid();
    assert!(!left_over(pid).is_empty());
    running.kill();
    running.wait();
    assert!(!left_over(pid).is_empty());
    bench.write("jobs.toml", "jobs.b = { command = 'true', interval = '1h' }");
    running = bench.run();
    running.event("starting", "");
    assert_eq!(left_over(pid), Vec::<PathBuf>::new());
    assert_eq!(running.stop().code, Some(0));
}

/// Those of each process, in both ways to one.
#[test]
fn limits_of_a_process_are_set_before_it_runs() {
    let limits =
        "{ open_files = 64, core = 0, file_size = \"1MiB\", processes = 500, cpu_time = \"1m\" }";
    let command = "ulimit -n; ulimit -c; ulimit -f; ulimit -t; ulimit -Ht";
    for more in ["", ", umask = 0o27"] {
        let bench = Bench::new(&format!(
            "jobs.a = {{ command = '{command}', date = 'now', limits = {limits}{more} }}"
        ));
        let mut running = bench.run();
        running.event("succeeded", "a");
        let done = running.stop();
        let shown: Vec<&str> =
            done.out.iter().map(|line| line.trim_start_matches("a | ")).collect();
        // A block has 512 bytes.
        assert_eq!(shown, ["64", "0", "2048", "60", "65"], "{more}");
    }
}

#[test]
fn a_signal_of_a_limit_is_explained() {
    let bench = Bench::new(
        r#"
        jobs.burns = { command = "while :; do :; done", date = "now", limits = { cpu_time = "1s" } }
        jobs.writes = { command = "exec head -c 2000000 /dev/zero >out", date = "now", limits = { file_size = "1MB" } }
        "#,
    );
    let mut running = bench.run();
    let writes = running.event("killed", "writes");
    assert_eq!(writes["reason"], "over its limit of 1MB for a file", "{writes}");
    let burns = running.event("killed", "burns");
    assert_eq!(burns["reason"], "over its limit of 1s of processor time", "{burns}");
    assert_eq!(burns["signal"], 24);
    assert_eq!(running.stop().code, Some(0));
}

/// Never without a word.
#[test]
fn what_cannot_be_applied_is_a_reason() {
    if !has_root() {
        return;
    }
    let bench = Bench::new(
        r#"
        jobs.needs = { command = "true", date = "now", limits = { open_files = 500 } }
        jobs.group = { command = "true", date = "now", limits = { tasks = 50 } }
        jobs.again = { command = "true", date = "now", limits = { tasks = 50, required = false } }
        jobs.wants = { command = "ulimit -n", date = "now", limits = { open_files = 500, required = false } }
        "#,
    );
    let copied = bench.path("schedrs");
    fs::copy(env!("CARGO_BIN_EXE_schedrs"), &copied).unwrap();
    let open = "chmod 755 . schedrs; shift; exec setpriv --reuid 54321 --clear-groups prlimit --nofile=300 ./schedrs \"$@\"";
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell(open, &args));
    for _ in 0..2 {
        running.event("not_started", "");
    }
    for _ in 0..2 {
        running.event("succeeded", "");
    }
    let done = running.stop();
    let reason = |job: &str| {
        let wanted = format!("\"job\":\"{job}\"");
        let line =
            done.err.iter().find(|line| line.contains("not_started") && line.contains(&wanted));
        let event: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
        event["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        reason("needs"),
        "limits.open_files cannot be applied: it is above the limit that schedrs itself has, 300"
    );
    assert!(reason("group").starts_with("limits.tasks cannot be applied: "), "{}", reason("group"));
    assert_eq!(done.count("no_limits"), 1);
}
