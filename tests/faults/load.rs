//! Much at once: jobs, reloads, orphans.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;

use crate::harness::{Bench, Running, Stream, has_root, own_peak_of};

#[test]
fn ten_thousand_jobs_due_at_once_all_run_in_eight_slots() {
    const JOBS: usize = 10_000;
    let head = "executors.default = { max_workers = 8 }\ndefaults.output = 'discard'";
    let bench = Bench::of_many(JOBS, "['/bin/true']", head);
    let mut running = bench.run();
    let (mut active, mut most) = (HashSet::new(), 0);
    let mut jobs = HashSet::new();
    while jobs.len() < JOBS {
        let line = running.line(Stream::Err, &["\"event\":"]);
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        match event["event"].as_str().unwrap() {
            "started" => {
                active.insert(event["run"].as_u64());
                most = most.max(active.len());
            }
            "succeeded" => {
                assert!(active.remove(&event["run"].as_u64()), "{event}");
                assert!(jobs.insert(event["job"].as_str().unwrap().to_owned()), "{event}");
            }
            "starting" => {}
            other => panic!("{other}: {event}"),
        }
    }
    assert!(most <= 8, "{most}");
    let peak = own_peak_of(running.pid());
    assert!(peak < 90 * 1024, "{peak} kB");
    let done = running.stop();
    assert_eq!((done.code, done.count("succeeded")), (Some(0), JOBS));
}

#[test]
fn a_thousand_reloads_disturb_nothing() {
    let jobs = |number: usize| {
        format!(
            "jobs.long = {{ command = 'cat gate; echo survived', date = 'now' }}\n\
             jobs.tick = {{ command = 'echo $SCHEDRS_DUE', interval = '1s' }}\n\
             jobs.n{number} = {{ command = 'true', interval = '1h' }}\n"
        )
    };
    let bench = Bench::new(&jobs(0));
    bench.fifo("gate");
    let mut running = bench.run();
    running.event("started", "long");
    for number in 1..=1000 {
        let new = bench.path("jobs.new");
        match number % 5 {
            // Half written; an editor's rename; a link that is swapped; a plain overwrite; wrong.
            0 => bench.write("jobs.toml", &jobs(number)[..60]),
            1 => {
                bench.write("jobs.new", &jobs(number));
                fs::rename(new, bench.path("jobs.toml")).unwrap();
            }
            2 => {
                let target = format!("jobs.{}", number % 2);
                bench.write(&target, &jobs(number));
                symlink(&target, &new).unwrap();
                fs::rename(new, bench.path("jobs.toml")).unwrap();
            }
            3 => bench.write("jobs.toml", &jobs(number)),
            _ => bench.write("jobs.toml", &jobs(number).replace("1h", "1 bad hour")),
        }
        running.signal("HUP");
        let event = if matches!(number % 5, 0 | 4) { "reload_failed" } else { "reloaded" };
        running.event(event, "");
    }
    running.event("succeeded", "tick");
    bench.write_fifo("gate");
    running.event("succeeded", "long");
    let done = running.stop();
    assert_eq!((done.count("reloaded"), done.count("reload_failed")), (600, 400));
    let of_long: Vec<&String> = done.out.iter().filter(|line| line.starts_with("long")).collect();
    assert_eq!(of_long, ["long | go", "long | survived"]);
    let ticks: HashSet<&String> = done.out.iter().collect();
    assert_eq!(ticks.len(), done.out.len());
    assert_eq!(done.count("missed"), 0);
}

/// Ten million lines of one job, with secrets to be looked for, beside a job each second.
#[test]
fn ten_million_lines_arrive_whole_and_in_order() {
    const LINES: u64 = 10_000_000;
    let bench = Bench::new(&format!(
        "[jobs.flood]\ncommand = ['seq', '{LINES}']\ndate = 'now'\n\
         env = {{ TOKEN = {{ file = 'token' }} }}\n\
         [jobs.tick]\ncommand = 'true'\ninterval = '1s'\n"
    ));
    bench.write("token", "12345678901\n");
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    let mut running = Running::start(&mut command);
    drop(command);
    let reading = std::thread::spawn(move || {
        let (mut expected, mut line) = (1, Vec::new());
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        while expected <= LINES && matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            assert_eq!(line, format!("flood | {expected}\n").as_bytes());
            expected += 1;
            line.clear();
        }
        (expected - 1, reader)
    });
    running.event("succeeded", "flood");
    let (lines, reader) = reading.join().unwrap();
    assert_eq!(lines, LINES);
    running.event("succeeded", "tick");
    let peak = own_peak_of(running.pid());
    assert!(peak < 12 * 1024, "{peak} kB");
    assert_eq!(running.stop().code, Some(0));
    drop(reader);
}

#[test]
fn pid_1_reaps_orphans() {
    if !has_root() {
        return;
    }
    // 1,000 processes, each left alone by its parent; then a job waits until no zombie is there.
    let bench = Bench::new(
        r#"
        [jobs.a]
        command = "./orphans"
        date = "now"
        [jobs.b]
        command = "read x < next; while grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; echo none"
        date = "now"
        "#,
    );
    bench.fifo("next");
    bench.program(
        "orphans",
        "#!/bin/sh\ni=0\nwhile [ $i -lt 1000 ]; do (: &); i=$((i+1)); done\nexit 5\n",
    );
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let script = "exec unshare -fp --kill-child --mount-proc \"$@\"";
    let mut running = Running::start(&mut bench.shell(script, &args));
    assert_eq!(running.event("failed", "a")["exit"], 5);
    bench.write_fifo("next");
    running.line(Stream::Out, &["b | none"]);
    running.event("succeeded", "b");
    // The signal has to reach the scheduler, not `unshare`.
    let children = format!("/proc/{0}/task/{0}/children", running.pid());
    let pid = fs::read_to_string(children).unwrap();
    std::process::Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap();
    running.wait();
}
