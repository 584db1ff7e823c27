use super::*;
use crate::core::zone::Database;

fn berlin() -> Zone {
    Database::bundled().get("Europe/Berlin").unwrap()
}

fn at(text: &str, zone: &Zone) -> Instant {
    let wall = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
    zone.instant_of(wall.and_utc().timestamp())
}

#[test]
fn times_of_day() {
    let zone = berlin();
    // (a time of day, after that, the next; 2026-12-21 is a Monday)
    let rows = [
        ("08:00", "2026-12-21 07:59", "2026-12-21 08:00"),
        ("08:00", "2026-12-21 08:00", "2026-12-22 08:00"),
        ("mon..fri 08:00", "2026-12-25 09:00", "2026-12-28 08:00"),
        ("sun 00:00", "2026-12-21 00:00", "2026-12-27 00:00"),
        ("02:30", "2027-03-28 00:00", "2027-03-28 03:00"),
    ];
    for (text, after, next) in rows {
        let time = TimeOfDay::read(text).unwrap();
        assert_eq!(time.next_after(at(after, &zone), &zone), at(next, &zone), "{text} {after}");
    }
    for text in ["", "8:00", "24:00", "daily 08:00", "08:00 mon", "mon"] {
        assert_eq!(TimeOfDay::read(text), None, "{text}");
    }
}

#[test]
fn what_is_meant_by_what_is_no_window() {
    for (text, window) in [
        ("mon-fri", Some("mon..fri")),
        ("weekend", Some("sat..sun")),
        ("9:00-17:00", Some("09:00..17:00")),
        ("2026-12-24/2027-01-01", Some("2026-12-24..2027-01-01")),
        ("Dec 25", Some("12-25")),
        ("25. December", Some("12-25")),
        ("12/25", Some("12-25")),
        ("25.12.", Some("12-25")),
        ("december", Some("12-01..12-31")),
        ("feb", Some("02-01..02-29")),
        ("2027-02", Some("2027-02-01..2027-02-28")),
        // It may be the first of May.
        ("01/05", None),
        ("2026-W52", None),
        ("02-30", None),
        ("feb 30", None),
        ("christmas", None),
    ] {
        let found = meant(text);
        assert_eq!(found.as_deref(), window, "{text}");
        assert!(found.is_none_or(|found| read(&found).is_ok()), "{text}");
    }
}
