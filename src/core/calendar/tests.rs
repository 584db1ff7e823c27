use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::core::zone::Database;

const TEXTS: [&str; 12] = [
    "22:00..07:00",
    "sat",
    "sat..sun",
    "fri 18:00..mon 08:00",
    "mon..fri 19:00..07:00",
    "12-24..01-02",
    "02-29",
    "2027-03-28",
    "01:30..02:30",
    "2027-10-30 12:00..2027-11-01 02:15",
    "holidays",
    "nights",
];

/// A calendar of days and one of events, and windows of both.
fn windows(texts: &[&str], zones: &Database) -> Windows {
    let mut windows = Windows::read(texts).unwrap();
    let ics = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;TZID=Europe/Berlin:20270101T230000\nDURATION:PT8H\n\
               RRULE:FREQ=WEEKLY;BYDAY=FR,SU\nSUMMARY:Night\nEND:VEVENT\nEND:VCALENDAR\n";
    windows.resolve(|name| {
        let mut calendar = Calendar::named(name);
        match name {
            "holidays" => {
                calendar.windows = Windows::read(&["12-25", "2027-03-26..2027-03-29"]).unwrap()
            }
            _ => calendar.events = Events::new(ics::read(ics, zones).unwrap()),
        }
        Some(Arc::new(calendar))
    });
    windows
}

fn zone(name: &str) -> (Database, Zone) {
    let zones = Database::bundled();
    let zone = zones.get(name).unwrap();
    (zones, zone)
}

proptest! {
    /// Until then the answer is the same.
    #[test]
    fn an_answer_holds_as_long_as_it_says(
        which in proptest::sample::subsequence(TEXTS.to_vec(), 0..12),
        only in any::<bool>(),
        name in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]),
        micros in 1_790_000_000_000_000i64..1_830_000_000_000_000,
        part in 0.0f64..1.0,
    ) {
        let (zones, zone) = zone(name);
        let windows = windows(&which, &zones);
        let excluded = match only {
            true => Exclusion { only: windows, ..Exclusion::default() },
            false => Exclusion { except: windows, ..Exclusion::default() },
        };
        let at = Instant::from_micros(micros);
        let look = excluded.look(at, &zone);
        prop_assert!(look.until > at);
        let between = at.plus(look.until.since(at).min(Duration::from_secs(90_000_000)).mul_f64(part));
        if between < look.until {
            prop_assert_eq!(excluded.look(between, &zone).within, look.within);
        }
    }

    /// A due time that is not excluded is the first of them, as asking one after the other finds it.
    #[test]
    fn the_next_one_kept_is_the_first(
        which in proptest::sample::subsequence(TEXTS.to_vec(), 0..6),
        only in any::<bool>(),
        every in 600u64..200_000,
        from in 1_790_000_000i64..1_830_000_000,
    ) {
        let (zones, zone) = zone("Europe/Berlin");
        let windows = windows(&which, &zones);
        let excluded = match only {
            true => Exclusion { only: windows, ..Exclusion::default() },
            false => Exclusion { except: windows, ..Exclusion::default() },
        };
        let first = Some(Instant::from_secs(1_780_000_000));
        let trigger = crate::core::trigger::Trigger::Interval(
            crate::core::trigger::IntervalTrigger::new(Duration::from_secs(every), first, None));
        let after = Instant::from_secs(from);
        let found = excluded.next_after(&trigger, &zone, after, 2000);
        let one_by_one = std::iter::successors(trigger.next_after(after), |due| trigger.next_after(*due));
        let expected = one_by_one.take(2000).find(|due| excluded.of(*due, &zone).is_none());
        if let Some(expected) = expected {
            prop_assert_eq!(found, Some(expected));
        }
    }
}

/// What excludes a time, as people read it.
#[test]
fn what_it_is_called() {
    let (zones, zone) = zone("Europe/Berlin");
    let at = |text: &str| {
        let wall = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
        zone.instant_of(wall.and_utc().timestamp())
    };
    let except = ["2026-12-31", "holidays", "nights", "sat..sun"];
    // (`only`, when, what excludes it)
    let rows: [(&[&str], &str, Option<&str>); 9] = [
        (&[], "2026-12-31 12:00", Some("2026-12-31")),
        (&[], "2026-12-25 12:00", Some("holidays")),
        (&[], "2027-01-02 02:00", Some("nights: Night")),
        (&[], "2027-01-02 12:00", Some("sat..sun")),
        (&[], "2027-01-05 12:00", None),
        (&["mon..fri 08:00..18:00"], "2027-01-05 12:00", None),
        (&["mon..fri 08:00..18:00"], "2027-01-05 20:00", Some("not in mon..fri 08:00..18:00")),
        (&["mon..fri 08:00..18:00", "12-31"], "2026-12-31 20:00", Some("2026-12-31")),
        (&["12-31", "holidays"], "2027-01-05 12:00", Some("not in 12-31, holidays")),
    ];
    for (only, when, expected) in rows {
        let excluded = Exclusion { except: windows(&except, &zones), only: windows(only, &zones) };
        assert_eq!(excluded.of(at(when), &zone).as_deref(), expected, "{only:?} {when}");
    }
    let long = "mon..fri 08:00..18:00";
    let excluded = Exclusion { only: windows(&[long; 9], &zones), ..Exclusion::default() };
    assert_eq!(excluded.of(at("2027-01-03 20:00"), &zone).unwrap().chars().count(), 81);
}

/// A whole day is a day of the zone's clocks, also that of 23 hours and that of 25.
#[test]
fn a_day_is_as_long_as_it_is() {
    let (zones, zone) = zone("Europe/Berlin");
    for (day, hours) in [("2027-03-28", 23), ("2027-10-31", 25), ("2027-06-01", 24)] {
        let windows = windows(&[day], &zones);
        let mut begin = Instant::from_secs(1_798_761_600);
        while windows.look(begin, &zone).within.is_none() {
            begin = windows.look(begin, &zone).until;
        }
        let mut end = begin;
        while windows.look(end, &zone).within.is_some() {
            end = windows.look(end, &zone).until;
        }
        assert_eq!(end.since(begin), Duration::from_secs(hours * 3600), "{day}");
    }
}
