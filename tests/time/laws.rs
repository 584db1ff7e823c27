//! The laws of doc/time.md as property tests: for random schedules of both forms, alone and in
//! unions, with and without a window, in every zone of the database, from anywhere in time.
//! What the laws are stands in `common/laws.rs`, which the fuzz targets use too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

use std::time::Duration;

use crate::common::laws;
use crate::common::rng::Rng;
use crate::common::spec::{self, Focus, Spec};
use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};
use schedrs::civil;
use schedrs::instant::Instant;
use schedrs::trigger::cron::Schedule;
use schedrs::trigger::jitter::jitter;
use schedrs::trigger::spread::Spread;
use schedrs::trigger::{CronTrigger, DateTrigger, FromEndTrigger, IntervalTrigger, Trigger};
use schedrs::zone::{Database, Zone};

/// A fixed seed, so that a run says the same twice. `PROPTEST_RNG_SEED` chooses another one, and
/// `PROPTEST_CASES` how many cases there are.
fn runner(cases: u32, seed: u64) -> TestRunner {
    let seed = match std::env::var_os("PROPTEST_RNG_SEED") {
        Some(_) => ProptestConfig::default().rng_seed,
        None => RngSeed::Fixed(seed),
    };
    let cases = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default().cases,
        None => cases,
    };
    TestRunner::new(ProptestConfig {
        cases,
        rng_seed: seed,
        failure_persistence: None,
        // A smaller seed is not a simpler schedule.
        max_shrink_iters: 16,
        ..ProptestConfig::default()
    })
}

fn broken(law: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(law.into())
}

/// Any instant the engine works with; more of our time, and the two ends.
fn instants() -> impl Strategy<Value = Instant> {
    let (min, max) = (Instant::MIN.micros(), Instant::MAX.micros());
    prop_oneof![
        // 1900 to 2100.
        6 => (-2_208_988_800_000_000..4_102_444_800_000_000i64).prop_map(Instant::from_micros),
        2 => (min..=max).prop_map(Instant::from_micros),
        1 => (0..100_000_000_000i64).prop_map(|ahead| Instant::from_micros(i64::MIN + ahead)),
        1 => (min..min + 100_000_000_000).prop_map(Instant::from_micros),
        1 => (max - 100_000_000_000..=max).prop_map(Instant::from_micros),
    ]
}

/// An instant near one of a zone's changes, if it has any, else `from`.
fn near_change(zone: &Zone, from: Instant, rng: &mut Rng) -> Instant {
    let from = from.max(Instant::from_secs(-3_000_000_000)).min(Instant::from_secs(30_000_000_000));
    match zone.changes(from, Instant::from_secs(40_000_000_000)).next() {
        Some(change) => {
            let near = change.start + rng.within(-10_000..=10_000);
            Instant::from_micros(near * 1_000_000 + rng.within(0..=999_999))
        }
        None => from,
    }
}

fn random(rng: &mut Rng, zone: &Zone, near: Instant) -> Spec {
    let wall = DateTime::from_timestamp(zone.wall_of(near), 0).unwrap().naive_utc();
    let focus = rng.chance(70).then(|| Focus {
        date: wall.date(),
        hour: wall.hour(),
        minute: wall.minute(),
    });
    if rng.chance(50) { spec::crontab(rng, focus, true) } else { spec::fields(rng, focus, true) }
}

/// Whether a schedule matches a wall time, by its own tables and not the engine's.
fn says(spec: &Spec, wall: i64) -> bool {
    let at = DateTime::from_timestamp(wall, 0).unwrap().naive_utc();
    spec.seconds[at.second() as usize]
        && spec.minutes[at.minute() as usize]
        && spec.hours[at.hour() as usize]
        && spec.matches_day(at.date())
}

fn zones() -> Vec<Zone> {
    let database = Database::bundled();
    database.names().iter().map(|name| database.get(name).unwrap()).collect()
}

#[test]
fn the_laws_hold_in_every_zone() {
    let mut checked = 0;
    for (number, zone) in zones().iter().enumerate() {
        let cases = (any::<u64>(), instants(), any::<[u8; 2]>());
        let law = runner(15, number as u64).run(&cases, |(seed, from, choice)| {
            let mut rng = Rng::new(seed);
            let from = if choice[0] < 150 { near_change(zone, from, &mut rng) } else { from };
            let specs: Vec<Spec> = match choice[1] {
                0..200 => vec![random(&mut rng, zone, from)],
                _ => (0..3).map(|_| random(&mut rng, zone, from)).collect(),
            };
            let schedules: Vec<Schedule> =
                specs.iter().map(|spec| spec::schedule(&spec.text)).collect();
            let [start, end] = [3, 400].map(|days: i64| {
                let ahead = rng.within(-2 * 86_400_000_000..=days * 86_400_000_000);
                rng.chance(20).then(|| Instant::from_micros(from.micros().saturating_add(ahead)))
            });
            let cron = CronTrigger::new(schedules.clone(), zone.clone(), start, end);
            let trigger = Trigger::Cron(cron.clone().into());
            let context = |law: String| {
                let texts: Vec<_> = specs.iter().map(|spec| &spec.text).collect();
                broken(format!("{texts:?} in {zone} {start:?}..{end:?} from {from:?}: {law}"))
            };
            let dues = laws::hold(&trigger, from, 6, seed).map_err(context)?;
            for due in &dues {
                let gap = zone.offset_at(due.minus(Duration::from_secs(1))) < zone.offset_at(*due);
                if !gap && !specs.iter().any(|spec| says(spec, zone.wall_of(*due))) {
                    return Err(context(format!("nothing says {due:?}")));
                }
            }
            // A list that is begun later is the end of one that was begun earlier.
            if let Some(middle) = dues.get(2) {
                let tail = laws::hold(&trigger, *middle, dues.len() - 3, seed).map_err(context)?;
                prop_assert_eq!(&dues[3..], &tail[..]);
            }
            // An end is included.
            if let [.., last] = dues[..] {
                let ending = CronTrigger::new(schedules.clone(), zone.clone(), start, Some(last));
                let ending = laws::hold(&Trigger::Cron(ending.into()), from, 7, seed);
                prop_assert_eq!(&ending.map_err(context)?, &dues);
            }
            // A union is due when any of its parts is, and a window only cuts.
            let mut at = from;
            for due in &dues {
                let parts = schedules.iter().filter_map(|schedule| {
                    let alone = CronTrigger::new([schedule.clone()], zone.clone(), None, None);
                    let before = start.unwrap_or(Instant::MIN).minus(Duration::from_micros(1));
                    alone.next_after(at.max(before))
                });
                prop_assert_eq!(parts.min(), Some(*due));
                at = *due;
            }
            Ok(())
        });
        if let Err(error) = law {
            panic!("{zone}: {error}");
        }
        checked += 1;
    }
    assert!(checked > 590, "{checked} zones");
}

/// The corners of time, with schedules that are due all the time, seldom, and never.
#[test]
fn any_instant_has_an_answer() {
    let exprs = ["* * * * * *", "0 0 29 2 mon", "0 0 30 2 *", "59 59 23 31 12 *", "0 0 0 1 1 *"];
    let corners: Vec<Instant> = [Instant::MIN, Instant::MAX]
        .into_iter()
        .flat_map(|end| {
            (-3..=3)
                .map(move |off| Instant::from_micros(end.micros().saturating_add(off * 500_000)))
        })
        .collect();
    for zone in zones() {
        for expr in exprs {
            let schedule = spec::schedule(&spec::Text::Crontab(expr.to_owned()));
            let trigger =
                Trigger::Cron(CronTrigger::new([schedule], zone.clone(), None, None).into());
            for from in &corners {
                if let Err(law) = laws::hold(&trigger, *from, 2, 7) {
                    panic!("{expr} in {zone} from {from:?}: {law}");
                }
            }
        }
    }
}

/// What counts from the end of the last run knows one due time, and is a trigger like any other.
#[test]
fn a_due_time_after_the_last_run_is_one() {
    let wait = prop_oneof![1..1000u64, 1..100_000_000_000u64, 1..1_000_000_000_000_000_000u64];
    let bounds = (any::<Option<u32>>(), any::<Option<u32>>());
    let law = runner(20_000, 1).run(&(wait, instants(), instants(), bounds), |case| {
        let (wait, anchor, from, (start, end)) = case;
        let wait = Duration::from_micros(wait);
        let at = |secs: u32| anchor.plus(Duration::from_secs(secs.into()));
        let (start, end) = (start.map(at), end.map(at));
        let trigger = FromEndTrigger::new(wait, start, end).anchored(anchor);
        prop_assert_eq!(trigger.anchored(from), trigger);
        let dues = laws::hold(&Trigger::FromEnd(trigger), from, 4, 9).map_err(broken)?;
        let due = start.unwrap_or(anchor.plus(wait));
        let is_due = due > from && due <= end.unwrap_or(Instant::LAST).min(Instant::LAST);
        prop_assert_eq!(dues, Vec::from_iter(is_due.then_some(due)));
        Ok(())
    });
    law.unwrap();
}

#[test]
fn an_interval_is_a_grid() {
    // Up to 30,000 years, which no grid has two points of.
    let every = prop_oneof![1..1000u64, 1..100_000_000_000u64, 1..1_000_000_000_000_000_000u64];
    let cases = (every, instants(), instants(), any::<Option<u64>>(), any::<bool>());
    let law = runner(20_000, 1).run(&cases, |(every, anchor, from, span, started)| {
        let every = Duration::from_micros(every);
        let end = span.map(|span| anchor.plus(Duration::from_micros(span % 10_000_000_000_000)));
        let (trigger, first) = if started {
            (IntervalTrigger::new(every, Some(anchor), end), anchor)
        } else {
            (IntervalTrigger::new(every, None, end).anchored(anchor), anchor.plus(every))
        };
        // To be told again when it was first scheduled moves nothing.
        let later = anchor.plus(Duration::from_secs(1));
        prop_assert_eq!(trigger.anchored(later), trigger);
        let dues = laws::hold(&Trigger::Interval(trigger), from, 4, 9).map_err(broken)?;
        if let [.., last] = dues[..] {
            let ending = IntervalTrigger::new(every, Some(first), Some(last));
            let ending = laws::hold(&Trigger::Interval(ending), from, 5, 9).map_err(broken)?;
            prop_assert_eq!(&ending, &dues);
        }
        for due in dues {
            let since = due.micros() - first.micros();
            prop_assert!(since >= 0 && since % every.as_micros() as i64 == 0);
            prop_assert!(end.is_none_or(|end| due <= end));
        }
        match trigger.next_after(from) {
            Some(due) if from < first => prop_assert_eq!(due, first),
            Some(due) => prop_assert!(due.since(from) <= every),
            None => {
                let after_end = end.is_some_and(|end| from.plus(every) > end || first > end);
                prop_assert!(after_end || from.plus(every).max(first) == Instant::MAX);
            }
        }
        Ok(())
    });
    law.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn an_interval_without_an_anchor_waits_for_one() {
    let trigger = IntervalTrigger::new(Duration::from_secs(60), None, None);
    assert_eq!(trigger.next_after(Instant::MIN), None);
    let trigger = trigger.anchored(Instant::from_secs(1000));
    assert_eq!(trigger.next_after(Instant::MIN), Some(Instant::from_secs(1060)));
    assert_eq!(trigger.next_after(Instant::from_secs(1060)), Some(Instant::from_secs(1120)));
}

#[test]
fn a_date_is_due_once() {
    let law = runner(5_000, 2).run(&(instants(), instants()), |(at, from)| {
        let trigger = Trigger::Date(DateTrigger::At(at));
        let dues = laws::hold(&trigger, from, 3, 11).map_err(broken)?;
        prop_assert_eq!(dues, if from < at { vec![at] } else { vec![] });
        for kind in [DateTrigger::Now, DateTrigger::Reboot] {
            prop_assert_eq!(kind.next_after(Instant::MIN), None);
            prop_assert_eq!(kind.anchored(at), DateTrigger::At(at));
        }
        prop_assert_eq!(DateTrigger::At(at).anchored(from), DateTrigger::At(at));
        Ok(())
    });
    law.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_spread_stays_within_its_range_and_never_changes() {
    let spread = |machine, most| Spread { most, machine };
    let cases = ("[a-z-]{1,20}", any::<u64>(), 0..100_000_000_000u64);
    let law = runner(20_000, 4).run(&cases, |(id, machine, most)| {
        let most = Duration::from_micros(most);
        let shift = spread(machine, most).of(&id);
        prop_assert!(shift <= most);
        prop_assert!(most < Duration::from_secs(60) || shift.subsec_nanos() == 0);
        Ok(())
    });
    law.unwrap_or_else(|error| panic!("{error}"));
    // Pinned: these values may never change, or a new version moves all jobs.
    let day = Duration::from_secs(86_400);
    let pinned = [("backup", 0), ("backup", 1), ("rotate-logs", 0)]
        .map(|(id, machine)| spread(machine, day).of(id).as_secs());
    assert_eq!(pinned, [2594, 85_295, 52_729]);
    // Machines are spread over all of the range.
    let mut hours = [0; 24];
    for machine in 0..24_000 {
        hours[(spread(machine, day).of("job").as_secs() / 3600).min(23) as usize] += 1;
    }
    assert!(hours.iter().all(|count| (850..1150).contains(count)), "{hours:?}");
}

#[test]
fn jitter_stays_within_its_range_and_never_changes() {
    let cases = ("[a-z-]{1,20}", instants(), 0..10_000_000_000u64);
    let law = runner(20_000, 3).run(&cases, |(id, due, max)| {
        let max = Duration::from_micros(max);
        let shift = jitter(&id, due, max);
        prop_assert!(shift <= max);
        prop_assert_eq!(shift, jitter(&id, due, max));
        Ok(())
    });
    law.unwrap_or_else(|error| panic!("{error}"));
    // Pinned: these values may never change, or a restart into a new version moves jobs.
    let minute = Duration::from_secs(60);
    let pinned = [("backup", 0), ("backup", 86_400), ("rotate-logs", 0)]
        .map(|(id, due)| jitter(id, Instant::from_secs(due), minute).as_micros());
    assert_eq!(pinned, [1_801_565, 53_921_736, 36_617_571]);
    // Spread over all of the range, both ends included.
    let mut seen = [0; 4];
    for due in 0..4000 {
        seen[jitter("job", Instant::from_secs(due), Duration::from_micros(3)).as_micros()
            as usize] += 1;
    }
    assert!(seen.iter().all(|count| (850..1150).contains(count)), "{seen:?}");
}

/// The calendar against chrono's, over every day of 800 years, and the ends of time.
#[test]
fn the_calendar_is_chronos() {
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap();
    let epoch = day(1970, 1, 1);
    let check = |date: NaiveDate| {
        let days = (date - epoch).num_days();
        let (year, month, of_month) = (date.year(), date.month(), date.day());
        assert_eq!(civil::to_days(year, month, of_month), days, "{date}");
        assert_eq!(civil::from_days(days), (year, month, of_month), "{date}");
        assert_eq!(civil::weekday(days), date.weekday().num_days_from_monday(), "{date}");
        assert_eq!(civil::iso_week(days), date.iso_week().week(), "{date}");
        assert_eq!(civil::is_leap(year), date.leap_year(), "{date}");
        let next = date.succ_opt().unwrap();
        let is_last = next.month() != month;
        assert_eq!(civil::month_len(year, month) == of_month, is_last, "{date}");
    };
    let mut dates = 0;
    for date in day(1600, 1, 1).iter_days().take_while(|date| *date < day(2400, 1, 1)) {
        check(date);
        dates += 1;
    }
    assert_eq!(dates, 2 * 146_097);
    day(-2, 1, 1).iter_days().take(3 * 366).for_each(check);
    day(9997, 1, 1).iter_days().take(3 * 366).for_each(check);
}
