//! How fast the triggers are, beside the `cron` crate in the same run.
//!
//! `cargo bench --bench triggers` prints nanoseconds and ratios; nothing is asserted, because a
//! time is a property of a machine. The figures of the day stand in `doc/performance.md`.
//!
//! Both engines walk the same chain: each due time is the argument of the next question. Rounds
//! of the two alternate, and the median round of each is shown, so that a machine whose speed
//! drifts moves both.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a bench may stop")]

use std::hint::black_box;
use std::str::FromStr;
use std::time::Instant as Clock;

use chrono::{DateTime, TimeZone, Utc};
use schedrs::instant::Instant;
use schedrs::trigger::combined::How;
use schedrs::trigger::cron::Schedule;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::{CombinedTrigger, CronTrigger, Trigger};
use schedrs::zone::{Database, Zone};

const ROUNDS: usize = 15;

fn schedule(expr: &str) -> Schedule {
    match crontab::parse(expr, "bench", &mut Vec::new()) {
        Some(Crontab::Schedule(schedule)) => schedule,
        other => panic!("{expr}: {other:?}"),
    }
}

fn trigger(expr: &str, zone: &Zone) -> CronTrigger {
    CronTrigger::new([schedule(expr)], zone.clone(), None, None)
}

/// Nanoseconds per call of `ours` and `theirs`, medians over alternating rounds.
fn pair(calls: u32, mut ours: impl FnMut(), mut theirs: impl FnMut()) -> (f64, f64) {
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let begin = Clock::now();
        ours();
        let middle = Clock::now();
        theirs();
        rounds[0].push((middle - begin).as_nanos() as f64 / f64::from(calls));
        rounds[1].push(middle.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    rounds.iter_mut().for_each(|round| round.sort_by(f64::total_cmp));
    (rounds[0][ROUNDS / 2], rounds[1][ROUNDS / 2])
}

/// Walks `calls` due times from 2026-01-01, starting again from there at the end.
fn walk(trigger: &CronTrigger, calls: u32, restart_every: u32) {
    let from = Instant::from_secs(1_767_225_600);
    let mut at = from;
    for call in 0..calls {
        if call % restart_every == 0 {
            at = from;
        }
        at = black_box(trigger.next_after(black_box(at))).unwrap_or(from);
    }
}

fn walk_peer<Z: TimeZone>(schedule: &cron::Schedule, zone: &Z, calls: u32, restart_every: u32) {
    let from = Utc.timestamp_opt(1_767_225_600, 0).unwrap().with_timezone(zone);
    let mut at: DateTime<Z> = from.clone();
    for call in 0..calls {
        if call % restart_every == 0 {
            at = from.clone();
        }
        at = black_box(schedule.after(black_box(&at)).next()).unwrap_or_else(|| from.clone());
    }
}

/// Two cron schedules as one, beside the slower of the two alone.
fn combined(zones: &Database) {
    println!("\ntwo schedules as one, ns, beside the slower of the two\n");
    println!("{:<48}{:>9}{:>9}{:>8}{:>9}{:>8}", "", "slower", "any", "ratio", "all", "ratio");
    let new_york = zones.get("America/New_York").unwrap();
    for (first, second) in [
        ("*/5 9-17 * * 1-5", "0 * * * *"),
        ("30 4 * * *", "* * * * fri"),
        ("0 0 13 * *", "* * * * fri"),
        ("0 0 LW * *", "0 0 * * 1-5"),
        ("0 0 1 1 *", "0 0 1 * *"),
    ] {
        let parts = [first, second].map(|expr| Trigger::Cron(trigger(expr, &new_york).into()));
        let both = |how| Trigger::Combined(CombinedTrigger::new(how, parts.clone()).into());
        let time = |trigger: &Trigger| {
            let from = Instant::from_secs(1_767_225_600);
            let (ours, _) = pair(
                2_000,
                || {
                    let mut at = from;
                    for call in 0..2_000 {
                        if call % 100 == 0 {
                            at = from;
                        }
                        at = black_box(trigger.next_after(black_box(at))).unwrap_or(from);
                    }
                },
                || {},
            );
            ours
        };
        let slower = parts.each_ref().map(time).into_iter().fold(0.0, f64::max);
        let [any, all] = [How::Any, How::All].map(|how| time(&both(how)));
        println!(
            "{:<48}{slower:>9.1}{any:>9.1}{:>8.2}{all:>9.1}{:>8.2}",
            format!("{first} / {second}"),
            any / slower,
            all / slower
        );
    }
}

fn next_due_time(zones: &Database) {
    println!("next due time, ns, beside the cron crate (chain of due times from 2026)\n");
    println!(
        "{:<22}{:<18}{:>9}{:>10}{:>8}    {:>9}{:>10}{:>8}",
        "", "expression", "UTC", "cron", "ratio", "New York", "cron", "ratio"
    );
    let new_york = zones.get("America/New_York").unwrap();
    // The same schedules in the peer's dialect: seconds first, Sunday = 1.
    let rows = [
        ("dense", "* * * * *", "0 * * * * *", 10_000, 10_000),
        ("quarter of an hour", "*/15 * * * *", "0 */15 * * * *", 10_000, 10_000),
        ("daily", "30 4 * * *", "0 30 4 * * *", 10_000, 3_000),
        ("weekday hours", "*/5 9-17 * * 1-5", "0 */5 9-17 * * 2-6", 10_000, 10_000),
        ("weekday", "0 9 * * 1-5", "0 0 9 * * 2-6", 10_000, 2_000),
        ("monthly", "0 0 1 * *", "0 0 0 1 * *", 5_000, 600),
        ("yearly", "0 0 1 1 *", "0 0 0 1 1 *", 2_000, 60),
        ("Feb 29", "0 0 29 2 *", "0 0 0 29 2 *", 1_000, 15),
        ("Feb 29 on a Monday", "0 0 29 2 */8", "0 0 0 29 2 1", 500, 2),
    ];
    for (name, expr, peer, calls, restart) in rows {
        let peer = cron::Schedule::from_str(peer).unwrap();
        // The peer gives up after the year 2100.
        let utc = trigger(expr, &Zone::utc());
        let (a, b) =
            pair(calls, || walk(&utc, calls, restart), || walk_peer(&peer, &Utc, calls, restart));
        let ny = trigger(expr, &new_york);
        let (c, d) = pair(
            calls,
            || walk(&ny, calls, restart),
            || walk_peer(&peer, &chrono_tz::America::New_York, calls, restart),
        );
        println!(
            "{name:<22}{expr:<18}{a:>9.1}{b:>10.1}{:>8.3}    {c:>9.1}{d:>10.1}{:>8.3}",
            a / b,
            c / d
        );
    }
}

fn parse() {
    println!("\nparse, ns\n");
    let rows = [
        ("* * * * *", "0 * * * * *"),
        ("*/5 9-17 * * 1-5", "0 */5 9-17 * * 2-6"),
        ("0,15,30,45 0-6,18-23 1,15 jan-jun mon-fri", "0 0,15,30,45 0-6,18-23 1,15 1-6 2-6"),
    ];
    for (expr, peer) in rows {
        let (a, b) = pair(
            2_000,
            || (0..2_000).for_each(|_| drop(black_box(schedule(black_box(expr))))),
            || {
                (0..2_000).for_each(|_| {
                    drop(black_box(cron::Schedule::from_str(black_box(peer)).unwrap()));
                })
            },
        );
        println!("{expr:<44}{a:>9.1}{b:>10.1}{:>8.3}", a / b);
    }
}

fn impossible() {
    println!("\nimpossible schedules, ns to know it\n");
    use schedrs::trigger::cron::fields::{Builder, Field};
    let table = |fields: &[(Field, &str)]| {
        let mut builder = Builder::default();
        for (field, text) in fields {
            assert!(builder.set(*field, text, &mut Vec::new()));
        }
        builder.build()
    };
    let rows = [
        ("0 0 30 2 *", schedule("0 0 30 2 *")),
        ("0 0 31 4,6,9,11 *", schedule("0 0 31 4,6,9,11 *")),
        (
            "day=1st mon, day_of_week=tue",
            table(&[(Field::Day, "1st mon"), (Field::DayOfWeek, "tue")]),
        ),
        ("month=jul, week=1", table(&[(Field::Month, "jul"), (Field::Week, "1")])),
        (
            "year=*/2, month=jul, week=1",
            table(&[(Field::Year, "*/2"), (Field::Month, "jul"), (Field::Week, "1")]),
        ),
    ];
    for (name, schedule) in rows {
        let trigger = CronTrigger::new([schedule], Zone::utc(), None, None);
        let from = Instant::from_secs(1_767_225_600);
        let begin = Clock::now();
        for _ in 0..200 {
            assert!(black_box(trigger.next_after(black_box(from))).is_none());
        }
        println!("{name:<44}{:>9.1}", begin.elapsed().as_nanos() as f64 / 200.0);
    }
}

/// A thousand schedules as a busy server has them: a few each minute, more each quarter of an
/// hour, most daily or rarer.
fn mixed() -> Vec<Schedule> {
    (0..1000u32)
        .map(|i| {
            let (minute, hour) = (i * 7 % 60, i * 5 % 24);
            schedule(&match i {
                0..4 => "* * * * *".to_owned(),
                4..8 => "*/2 * * * *".to_owned(),
                8..16 => "*/5 9-17 * * 1-5".to_owned(),
                16..40 => "*/15 * * * *".to_owned(),
                40..60 => format!("{} 0-6,18-23 * * *", minute),
                60..70 => "*/10 * 1-15 * *".to_owned(),
                70..80 => "*/30 8-20 * jan-jun mon,wed,fri".to_owned(),
                80..85 => "*/30 * 1,15 * mon".to_owned(),
                _ if i % 3 == 0 => format!("{minute} {hour} * * *"),
                _ if i % 3 == 1 => format!("{minute} {hour} * * {}", i % 7),
                _ => format!("{minute} {hour} {} * *", i % 28 + 1),
            })
        })
        .collect()
}

fn a_year(zones: &Database) {
    println!("\nall due times of 1,000 mixed schedules over 2026\n");
    let schedules = mixed();
    for zone in [Zone::utc(), zones.get("America/New_York").unwrap()] {
        let triggers: Vec<CronTrigger> = schedules
            .iter()
            .map(|schedule| CronTrigger::new([schedule.clone()], zone.clone(), None, None))
            .collect();
        let (from, until) = (Instant::from_secs(1_767_225_600), Instant::from_secs(1_798_761_600));
        let mut times = Vec::new();
        let mut fires = 0u64;
        for _ in 0..5 {
            fires = 0;
            let begin = Clock::now();
            for trigger in &triggers {
                let mut at = from;
                while let Some(due) = trigger.next_after(at)
                    && due < until
                {
                    at = due;
                    fires += 1;
                }
                black_box(at);
            }
            times.push(begin.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        println!("{:<18}{fires:>9} due times{:>8.3} s", zone.name(), times[2]);
    }
}

fn main() {
    let zones = Database::open(None);
    next_due_time(&zones);
    combined(&zones);
    parse();
    impossible();
    a_year(&zones);
}
