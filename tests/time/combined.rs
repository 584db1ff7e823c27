//! Several triggers as one beside the due times of each, listed and put together, and the laws of
//! doc/time.md.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use schedrs::instant::Instant;
use schedrs::trigger::combined::How;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::{CombinedTrigger, CronTrigger, DateTrigger, IntervalTrigger, Trigger};
use schedrs::zone::{Database, Zone};

use crate::common::laws::hold;
use crate::common::rng::Rng;
use crate::common::spec;

/// 2026-03-20T00:00:00Z: clocks are changed soon.
const FROM: i64 = 1_773_964_800;
const DAYS: i64 = 40;

fn zone(name: &str) -> Zone {
    Database::bundled().get(name).unwrap()
}

fn cron(expr: &str, name: &str) -> Trigger {
    let parsed = crontab::parse(expr, "job", &mut Vec::new());
    let Some(Crontab::Schedule(schedule)) = parsed else { panic!("{expr}") };
    Trigger::Cron(CronTrigger::new([schedule], zone(name), None, None).into())
}

fn every(minutes: u64, first: i64) -> Trigger {
    let every = Duration::from_secs(minutes * 60);
    Trigger::Interval(IntervalTrigger::new(every, Some(Instant::from_secs(first)), None))
}

fn combined(how: How, parts: Vec<Trigger>) -> Trigger {
    Trigger::Combined(CombinedTrigger::new(how, parts).into())
}

/// The due times within the days that are looked at.
fn listed(trigger: &Trigger) -> BTreeSet<Instant> {
    let until = Instant::from_secs(FROM + DAYS * 86_400);
    let mut at = Instant::from_secs(FROM);
    let next = std::iter::from_fn(|| {
        at = trigger.next_after(at).filter(|due| *due <= until)?;
        Some(at)
    });
    next.collect()
}

/// A trigger that is not due too often to be listed.
fn part() -> impl Strategy<Value = Trigger> {
    const ZONES: [&str; 2] = ["UTC", "Asia/Tokyo"];
    let crons = (any::<u64>(), prop::sample::select(&ZONES[..])).prop_map(|(seed, name)| {
        let mut rng = Rng::new(seed);
        let schedule = loop {
            let made = spec::crontab(&mut rng, None, false);
            if made.minutes.iter().filter(|set| **set).count() < 20 {
                break spec::schedule(&made.text);
            }
        };
        Trigger::Cron(CronTrigger::new([schedule], zone(name), None, None).into())
    });
    let plain = prop::sample::select(
        &["0 * * * *", "*/15 9-17 * * mon-fri", "0 0 13 * fri", "30 2 * * *", "0 3 1-7 * *"][..],
    );
    prop_oneof![
        3 => crons,
        3 => (plain, prop::sample::select(&["UTC", "Asia/Tokyo", "America/New_York"][..]))
            .prop_map(|(expr, name)| cron(expr, name)),
        2 => (1u64..400, -500_000i64..500_000)
            .prop_map(|(minutes, ahead)| every(minutes * 5, FROM + ahead / 300 * 300)),
        1 => (0i64..DAYS * 24).prop_map(|hour| {
            Trigger::Date(DateTrigger::At(Instant::from_secs(FROM + hour * 3600)))
        }),
    ]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Any), Just(How::All)]
}

fn put_together(how: How, parts: &[BTreeSet<Instant>]) -> BTreeSet<Instant> {
    let all = parts.iter().flatten().copied();
    match how {
        How::Any => all.collect(),
        How::All => all.filter(|at| parts.iter().all(|part| part.contains(at))).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn they_are_what_their_parts_are(
        how in how(), inner in how(),
        parts in prop::collection::vec(part(), 1..4),
        nested in prop::collection::vec(part(), 1..3),
        seed in any::<u64>(),
    ) {
        let mut lists: Vec<BTreeSet<Instant>> = parts.iter().map(listed).collect();
        let within: Vec<BTreeSet<Instant>> = nested.iter().map(listed).collect();
        lists.push(put_together(inner, &within));
        let parts = [parts, vec![combined(inner, nested)]].concat();
        let trigger = combined(how, parts);
        // Of cron schedules in one zone the wall times are compared, so that where clocks are set
        // forward there is less than the due times have in common.
        let jump = Instant::from_secs(1_774_767_600 - 7200);
        let changed = |at: &Instant| at.secs() % 3600 == 0 && (jump.secs()..jump.secs() + 86_400).contains(&at.secs());
        let expected = put_together(how, &lists);
        let found = listed(&trigger);
        let differ: Vec<&Instant> = found.symmetric_difference(&expected).filter(|at| !changed(at)).collect();
        prop_assert!(differ.is_empty(), "{:?}: {:?}", trigger.fingerprint(), differ);
        let dues = hold(&trigger, Instant::from_secs(FROM), 6, seed).map_err(TestCaseError::fail)?;
        prop_assert!(dues.iter().zip(&found).all(|(due, found)| due == found));
    }
}

fn due(trigger: &Trigger, from: i64, count: usize) -> Vec<String> {
    let mut at = Instant::from_secs(from);
    let next = std::iter::from_fn(|| {
        at = trigger.next_after(at)?;
        Some(at.to_string())
    });
    next.take(count).collect()
}

#[test]
fn a_friday_the_13th() {
    let both = |first: &str, second: &str| {
        combined(How::All, vec![cron(first, "UTC"), cron(second, "UTC")])
    };
    let friday = both("0 9 13 * *", "* * * * fri");
    assert_eq!(due(&friday, FROM, 2), ["2026-11-13T09:00:00Z", "2027-08-13T09:00:00Z"]);
    // Days that no single schedule can name.
    let found = due(&both("0 9 LW * *", "0 9 1-28 * fri"), FROM, 2);
    assert_eq!(found, ["2026-05-29T09:00:00Z", "2026-07-31T09:00:00Z"]);
    let years = both("0 0 0 29 2 ? 2028/8", "0 0 0 * * ? 2030-2050");
    assert_eq!(due(&years, FROM, 3), ["2036-02-29T00:00:00Z", "2044-02-29T00:00:00Z"]);
    for (first, second) in [
        ("0 3 * * *", "0 4 * * *"),
        ("0 3 30 * *", "0 3 * 2 *"),
        ("0 0 3 * * * 2027", "0 0 3 * * * 2028"),
        ("0 3 * * mon#1", "0 3 8-31 * *"),
    ] {
        assert_eq!(due(&both(first, second), FROM, 1), [""; 0], "{first} and {second}");
    }
}

/// Each keeps its own grid, and what two have in common is there once.
#[test]
fn grids_stay_where_they_are() {
    let parts = vec![every(90, FROM), every(120, FROM), cron("0 6 * * *", "UTC")];
    let found = due(&combined(How::Any, parts.clone()), FROM, 6);
    let times: Vec<&str> = found.iter().map(|at| &at[11..16]).collect();
    assert_eq!(times, ["01:30", "02:00", "03:00", "04:00", "04:30", "06:00"]);
    let found = due(&combined(How::All, parts), FROM, 2);
    assert_eq!(found, ["2026-03-20T06:00:00Z", "2026-03-21T06:00:00Z"]);
}

/// An interval within another trigger begins where the job was first scheduled.
#[test]
fn an_open_interval_within() {
    let open = Trigger::Interval(IntervalTrigger::new(Duration::from_secs(3600), None, None));
    let trigger = combined(How::Any, vec![open, cron("0 6 * * *", "UTC")]);
    assert!(trigger.is_open());
    let anchored = trigger.anchored(Instant::from_secs(FROM + 600));
    assert!(!anchored.is_open());
    let found = due(&anchored, FROM, 2);
    assert_eq!(found, ["2026-03-20T01:10:00Z", "2026-03-20T02:10:00Z"]);
}

/// A search that finds nothing ends.
#[test]
fn what_is_never_due_together() {
    let parts = vec![every(10, FROM), every(10, FROM + 60)];
    assert_eq!(due(&combined(How::All, parts), FROM, 1), [""; 0]);
    let parts = vec![cron("0 3 * * *", "UTC"), cron("0 3 * * *", "Asia/Tokyo")];
    assert_eq!(due(&combined(How::All, parts), FROM, 1), [""; 0]);
}

/// A search for a common due time may end before it comes to one: zones had odd clocks once, so that from the
/// year 1 on nothing is found that is due each day now.
#[test]
fn never_is_what_is_found_from_nowhere() {
    let now = Instant::from_secs(FROM);
    let two = |there: &str| {
        let parts = vec![cron("0 9 * * *", "Europe/Berlin"), cron(there, "America/New_York")];
        combined(How::All, parts)
    };
    let rows = [("0 3 * * *", false), ("0 4 * * *", false), ("0 5 * * *", true)];
    for (there, never) in rows {
        assert_eq!(two(there).never(now), never, "{there}");
    }
    assert!(two("0 3 * * *").next_after(Instant::MIN).is_none());
    assert!(!every(10, FROM).never(now) && cron("0 0 30 2 *", "UTC").never(now));
    // What has gone by was due once.
    let past = vec![cron("0 9 * * *", "UTC"), cron("0 0 9 1 1 * 2020", "Europe/London")];
    assert!(!combined(How::All, past).never(now));
}
