use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::core::zone::Database;

fn berlin() -> Zone {
    Database::bundled().get("Europe/Berlin").unwrap()
}

fn at(text: &str, zone: &Zone) -> Instant {
    let wall = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    zone.instant_of(wall.and_utc().timestamp())
}

fn windows(texts: &[&str]) -> Windows {
    Windows::read(texts).unwrap()
}

#[test]
fn when_it_is_over() {
    let zone = berlin();
    // (windows, a time, when it is over; 2026-12-21 is a Monday)
    let rows: [(&[&str], &str, Option<&str>); 33] = [
        (&["22:00..07:00"], "2026-12-21 21:59", None),
        (&["22:00..07:00"], "2026-12-21 22:00", Some("2026-12-22 07:00")),
        (&["22:00..07:00"], "2026-12-22 06:59", Some("2026-12-22 07:00")),
        (&["22:00..07:00"], "2026-12-22 07:00", None),
        (&["12:00..13:00"], "2026-12-22 12:30", Some("2026-12-22 13:00")),
        (&["00:00..24:00"], "2026-12-22 12:30", Some("9999-12-31 00:00")),
        (&["sat"], "2026-12-25 23:59", None),
        (&["sat"], "2026-12-26 00:00", Some("2026-12-27 00:00")),
        (&["sat..sun"], "2026-12-26 10:00", Some("2026-12-28 00:00")),
        (&["Saturday", "SUN"], "2026-12-26 10:00", Some("2026-12-28 00:00")),
        (&["sun..mon"], "2026-12-21 10:00", Some("2026-12-22 00:00")),
        (&["fri 18:00..mon 08:00"], "2026-12-25 17:59", None),
        (&["fri 18:00..mon 08:00"], "2026-12-27 12:00", Some("2026-12-28 08:00")),
        (&["fri 18:00..mon 08:00"], "2026-12-28 07:00", Some("2026-12-28 08:00")),
        (&["mon..fri 19:00..07:00"], "2026-12-25 20:00", Some("2026-12-26 07:00")),
        (&["mon..fri 19:00..07:00"], "2026-12-26 20:00", None),
        (&["thu 10:00..12:00"], "2026-12-24 11:00", Some("2026-12-24 12:00")),
        (&["thu 10:00..thu 12:00"], "2026-12-24 11:00", Some("2026-12-24 12:00")),
        (&["thu 12:00..thu 10:00"], "2026-12-24 11:00", None),
        (&["thu 12:00..thu 10:00"], "2026-12-24 13:00", Some("2026-12-31 10:00")),
        (&["12-24..12-26"], "2026-12-24 00:00", Some("2026-12-27 00:00")),
        (&["12-25"], "2027-12-25 12:00", Some("2027-12-26 00:00")),
        (&["12-24..01-02"], "2026-12-31 12:00", Some("2027-01-03 00:00")),
        (&["12-24..01-02"], "2027-01-02 12:00", Some("2027-01-03 00:00")),
        (&["12-24..01-02"], "2027-01-03 00:00", None),
        (&["12-24 18:00..12-26 06:00"], "2026-12-24 17:00", None),
        (&["12-24 18:00..12-26 06:00"], "2026-12-26 05:00", Some("2026-12-26 06:00")),
        (&["2026-12-24"], "2026-12-24 12:00", Some("2026-12-25 00:00")),
        (&["2026-12-24..2026-12-26"], "2026-12-26 23:00", Some("2026-12-27 00:00")),
        (&["2026-12-24T18:00..2026-12-26T06:00"], "2026-12-25 00:00", Some("2026-12-26 06:00")),
        (&["2026-12-24"], "2027-12-24 12:00", None),
        // One after the other.
        (&["22:00..07:00", "sat..sun", "2026-12-28"], "2026-12-25 23:00", Some("2026-12-29 07:00")),
        (&[], "2027-12-24 12:00", None),
    ];
    for (texts, time, over) in rows {
        let found = windows(texts).end(at(time, &zone), &zone);
        let expected = over.map(|over| match over {
            "9999-12-31 00:00" => Instant::MAX,
            over => at(over, &zone),
        });
        assert_eq!(found, expected, "{texts:?} at {time}");
    }
}

/// An end that does not exist is the moment after it; one that is there twice is the next.
#[test]
fn when_clocks_change() {
    let zone = berlin();
    let spring = at("2027-03-28 01:00", &zone);
    let over = windows(&["00:30..02:30"]).end(spring, &zone);
    assert_eq!(over, Some(at("2027-03-28 03:00", &zone)));
    let first = at("2027-10-31 02:10", &zone);
    let second = first.plus(Duration::from_secs(3600));
    let windows = windows(&["01:00..02:30"]);
    let minutes = |many: u64| Duration::from_secs(60 * many);
    assert_eq!(windows.end(first, &zone), Some(first.plus(minutes(20))));
    assert_eq!(windows.end(second, &zone), Some(second.plus(minutes(20))));
}

#[test]
fn what_is_no_window() {
    let begins = "it has a beginning and no end";
    let rows = [
        ("", "not a window such as"),
        ("22:00", begins),
        ("sat 22:00", begins),
        ("22:00..22:00", "it has no beginning and no end"),
        ("22:00..", "not a window"),
        ("9:00..17:00", "not a window"),
        ("25:00..26:00", "not a window"),
        ("22:60..23:00", "not a window"),
        ("sat..22:00", "not a window"),
        ("sat..2026-12-24", "not a window"),
        ("some day", "not a window"),
        ("2026-02-29", "not a window"),
        ("02-30", "not a window"),
        ("2026-12-26..2026-12-24", "it ends before it begins"),
        ("heute 22:00..ä", "not a window"),
    ];
    for (text, expected) in rows {
        let wrong = Windows::read(&["sat", text]).unwrap_err();
        let [(1, why)] = &*wrong else { panic!("{text}: {wrong:?}") };
        assert!(why.starts_with(expected), "{text}: {why}");
    }
}

proptest! {
    /// An end is later, and nothing is in a window there; and before it everything is.
    #[test]
    fn an_end_is_an_end(
        which in proptest::sample::subsequence(vec![
            "22:00..07:00", "sat", "fri 18:00..mon 08:00", "mon..fri 19:00..07:00", "12-24..01-02",
            "2027-03-28", "01:30..02:30", "2027-10-30 12:00..2027-11-01 02:15",
        ], 0..8),
        secs in 1_790_000_000i64..1_830_000_000,
        part in 0.0f64..1.0,
    ) {
        let (zone, windows, at) = (berlin(), windows(&which), Instant::from_secs(secs));
        let Some(end) = windows.end(at, &zone) else { return Ok(()) };
        prop_assert!(end > at);
        prop_assert_eq!(windows.end(end, &zone), None);
        let between = at.plus(end.since(at).mul_f64(part));
        if between < end {
            prop_assert_eq!(windows.end(between, &zone), Some(end));
        }
    }
}
