//! Calendar intervals beside the calendar, walked day by day, and the laws of doc/time.md.

use chrono::{Datelike, Days, NaiveDate};
use proptest::prelude::*;
use schedrs::instant::Instant;
use schedrs::trigger::calendar_interval::{CalendarStep, DayOfMonth};
use schedrs::trigger::{CalendarIntervalTrigger, Trigger};
use schedrs::zone::{Database, Local, Zone};

use crate::common::laws::hold;

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Antarctica/Troll",
];

fn steps() -> impl Strategy<Value = CalendarStep> {
    let counts = prop_oneof![
        4 => (1u32..30, Just(0u32)),
        3 => (Just(0u32), 1u32..40),
        1 => (1u32..14, 1u32..10),
    ];
    let day = prop_oneof![
        3 => Just(None),
        2 => (1u32..=31).prop_map(|day| Some(DayOfMonth::Day(day))),
        1 => Just(Some(DayOfMonth::Last)),
    ];
    // Mostly in the hours in which clocks are changed.
    let time = prop_oneof![
        1 => Just(None),
        3 => (0u32..4 * 3600).prop_map(Some),
        1 => (0u32..86_400).prop_map(Some),
    ];
    (counts, day, time).prop_map(|((months, days), day, time)| {
        let day = day.filter(|_| months > 0 && days == 0);
        CalendarStep { months, days, day, time }
    })
}

/// The days of the grid up to `last`, one after the other.
fn grid(step: CalendarStep, first: NaiveDate, last: NaiveDate) -> Vec<NaiveDate> {
    let mut days = Vec::new();
    let in_month = |year: i32, month: u32| match step.day {
        Some(DayOfMonth::Last) => {
            (28..=31).rev().find_map(|d| NaiveDate::from_ymd_opt(year, month, d))
        }
        Some(DayOfMonth::Day(day)) => NaiveDate::from_ymd_opt(year, month, day),
        None => NaiveDate::from_ymd_opt(year, month, first.day()),
    };
    let (mut year, mut month) = (first.year(), first.month());
    let mut at = first;
    while at <= last && year <= last.year() {
        if step.months > 0 && step.days == 0 {
            days.extend(in_month(year, month));
        } else {
            days.push(at);
            (year, month) = (at.year(), at.month());
        }
        if step.months > 0 {
            let day = at.day();
            loop {
                month += step.months;
                year += (month as i32 - 1) / 12;
                month = (month - 1) % 12 + 1;
                if step.days == 0 || NaiveDate::from_ymd_opt(year, month, day).is_some() {
                    break;
                }
            }
            if step.days > 0 {
                at = NaiveDate::from_ymd_opt(year, month, day).unwrap();
            }
        }
        at = at + Days::new(step.days.into());
    }
    days
}

fn days_from_epoch(date: NaiveDate) -> i64 {
    date.signed_duration_since(NaiveDate::default()).num_days()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn it_is_the_calendar_and_holds_the_laws(
        step in steps(),
        zone in prop::sample::select(&ZONES[..]),
        start in 820_000_000i64..1_900_000_000,
        ahead in -86_400i64 * 40..86_400 * 3000,
        seed in any::<u64>(),
    ) {
        let zone: Zone = Database::bundled().get(zone).unwrap();
        let start = Instant::from_secs(start);
        let from = Instant::from_secs(start.secs() + ahead);
        let trigger = CalendarIntervalTrigger::new(step, zone.clone(), Some(start), None);
        let dues = hold(&Trigger::Calendar(trigger.into()), from, 6, seed)
            .map_err(TestCaseError::fail)?;
        let wall = zone.wall_of(start);
        let first = NaiveDate::default() + Days::new((wall / 86_400) as u64);
        let until = from.secs().max(start.secs()) / 86_400 + 366 * 30;
        let last = NaiveDate::default() + Days::new(until as u64);
        let time = step.time.map_or(wall % 86_400, i64::from);
        let all = grid(step, first, last).into_iter().map(|day| {
            match zone.resolve(days_from_epoch(day) * 86_400 + time) {
                Local::Unambiguous(at) | Local::Gap { at } | Local::Fold { first: at, .. } => at,
            }
        });
        let mut expected: Vec<i64> =
            all.filter(|at| *at >= start.secs() && *at > from.secs()).collect();
        expected.dedup();
        let end = days_from_epoch(last) * 86_400;
        let found: Vec<i64> = dues.iter().map(|due| due.secs()).filter(|due| *due < end).collect();
        expected.truncate(found.len());
        prop_assert_eq!(found, expected);
    }
}

fn due(step: CalendarStep, start: Option<&str>, from: &str, count: usize) -> Vec<String> {
    let zone = Database::bundled().get("Europe/Berlin").unwrap();
    let at = |text: &str| {
        let wall = text.parse::<chrono::NaiveDateTime>().unwrap().and_utc().timestamp();
        zone.instant_of(wall)
    };
    let trigger = CalendarIntervalTrigger::new(step, zone.clone(), start.map(at), None);
    let trigger = trigger.anchored(at(from));
    let mut after = at(from);
    let next = std::iter::from_fn(|| {
        after = trigger.next_after(after)?;
        Some(schedrs::words::rfc3339(after, &zone))
    });
    next.take(count).map(|text| text[..16].to_owned()).collect()
}

#[test]
fn what_is_counted_and_from_where() {
    let months = |months, day, time| CalendarStep { months, days: 0, day, time };
    let nine = Some(9 * 3600);
    let day = |day| Some(DayOfMonth::Day(day));
    // A month without the day is skipped, and the day does not stick at a shorter one.
    let found = due(months(1, day(31), nine), None, "2026-01-15T00:00:00", 4);
    assert_eq!(
        found,
        ["2026-01-31T09:00", "2026-03-31T09:00", "2026-05-31T09:00", "2026-07-31T09:00"]
    );
    let found = due(months(1, Some(DayOfMonth::Last), nine), None, "2026-01-31T09:00:00", 3);
    assert_eq!(found, ["2026-02-28T09:00", "2026-03-31T09:00", "2026-04-30T09:00"]);
    let found = due(months(12, None, None), Some("2024-02-29T12:00:00"), "2024-03-01T00:00:00", 2);
    assert_eq!(found, ["2028-02-29T12:00", "2032-02-29T12:00"]);
    // Without a start, from the day and the time at which it was first scheduled.
    let found = due(months(1, None, None), None, "2026-11-29T17:30:00", 2);
    assert_eq!(found, ["2026-12-29T17:30", "2027-01-29T17:30"]);
    // A day is a day, however long it is.
    let days = CalendarStep { days: 1, time: nine, ..CalendarStep::default() };
    let found = due(days, None, "2026-03-28T10:00:00", 2);
    assert_eq!(found, ["2026-03-29T09:00", "2026-03-30T09:00"]);
    // A time that is left out, and one that is there twice.
    let half_past_two = CalendarStep { time: Some(9000), ..days };
    let found = due(half_past_two, None, "2026-03-28T10:00:00", 2);
    assert_eq!(found, ["2026-03-29T03:00", "2026-03-30T02:30"]);
    let found = due(half_past_two, None, "2026-10-24T10:00:00", 2);
    assert_eq!(found, ["2026-10-25T02:30", "2026-10-26T02:30"]);
}
