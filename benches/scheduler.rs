//! What a decision costs: simulated schedules, and a million idle jobs.
//!
//! `cargo bench --bench scheduler`. Each figure is a total of decisions with virtual processes:
//! a fire is a due time, a start, a process that begins, one that ends, and a record.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::sync::Arc;
use std::time::{Duration, Instant as Stopwatch};

use schedrs::event::Start;
use schedrs::instant::{Instant, Mono, Now};
use schedrs::job::{Command, Executor, Job, JobSet, Keep, Options, Settings};
use schedrs::scheduler::Scheduler;
use schedrs::sim::trace::Trace;
use schedrs::sim::{Attempt, simulate};
use schedrs::trigger::{IntervalTrigger, Trigger};
use schedrs::zone::Zone;

const FROM: Instant = Instant::from_secs(1_767_225_600);
const DAY: u64 = 86_400;

fn jobs(count: usize, trigger: impl Fn(usize) -> Trigger) -> JobSet {
    let zone = Zone::utc();
    let options = Arc::new(Options::default());
    let job = |index: usize| {
        Arc::new(Job {
            id: format!("job-{index}").into(),
            name: None,
            command: Command::Shell("true".into()),
            trigger: trigger(index),
            zone: zone.clone(),
            executor: 0,
            options: Arc::clone(&options),
        })
    };
    JobSet {
        settings: Settings {
            zone: zone.clone(),
            stop_grace: Duration::ZERO,
            reload_auto: false,
            store_url: None,
            keep: Keep::default(),
            fleet: Default::default(),
            elsewhere: [].into(),
            routes: [].into(),
            calendars: [].into(),
            heartbeat: None,
            web: Default::default(),
        },
        executors: vec![Executor::new("default", 2000)],
        jobs: (0..count).map(job).collect(),
    }
}

fn every(secs: u64) -> Trigger {
    Trigger::Interval(IntervalTrigger::new(Duration::from_secs(secs), Some(FROM), None))
}

fn bench(name: &str, set: &JobSet, days: u64, duration: Duration) {
    let until = FROM.plus(Duration::from_secs(days * DAY));
    let mut traces = Vec::new();
    for _ in 0..2 {
        let mut trace = Trace::default();
        let clock = Stopwatch::now();
        let attempt = |_: &Start| Attempt::succeeds_after(duration);
        let report = simulate(set.clone(), FROM, until, attempt, &mut trace);
        let took = clock.elapsed();
        println!(
            "{name:42} {:>9} fires {took:>8.2?} {:>6.0} ns a fire",
            report.starts,
            took.as_nanos() as f64 / report.starts as f64
        );
        traces.push(trace);
    }
    assert_eq!(traces[0], traces[1], "two simulations of the same differ");
}

fn main() {
    bench("a year of a job every 10 s, no duration", &jobs(1, |_| every(10)), 365, Duration::ZERO);
    bench(
        "a year of a job every 10 s, 1 s each",
        &jobs(1, |_| every(10)),
        365,
        Duration::from_secs(1),
    );
    bench(
        "a month of 1,000 jobs a minute, 1 s each",
        &jobs(1000, |_| every(60)),
        30,
        Duration::from_secs(1),
    );

    let set = jobs(1_000_000, |index| every(3600 + index as u64 % 1000));
    let before = resident();
    let clock = Stopwatch::now();
    let now = Now { wall: FROM.plus(Duration::from_secs(1)), mono: Mono::from_micros(1) };
    let mut scheduler = Scheduler::new(now, set.clone());
    println!(
        "a million jobs: new {:.2?}, {} bytes a job",
        clock.elapsed(),
        (resident() - before) / 1_000_000
    );
    let mut actions = Vec::new();
    // The first one looks for jobs that are due after others.
    for what in ["the first step", "a step with nothing due"] {
        let clock = Stopwatch::now();
        scheduler.step(now, schedrs::event::Event::Woke, &mut actions);
        println!("{what}: {:.2?}", clock.elapsed());
    }
    let clock = Stopwatch::now();
    let reload = schedrs::event::Event::Reload(Box::new(set));
    scheduler.step(now, reload, &mut actions);
    println!("a reload of the same: {:.2?}", clock.elapsed());

    let mut scheduler = Scheduler::new(now, jobs(10_000, |_| every(60)));
    let due = Now { wall: FROM.plus(Duration::from_secs(60)), ..now };
    let clock = Stopwatch::now();
    scheduler.step(due, schedrs::event::Event::Woke, &mut actions);
    println!("10,000 jobs due in one step: {:.2?}", clock.elapsed());
}

/// Resident bytes of this process.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
