use proptest::prelude::*;

use super::*;
use crate::core::calendar::events::Events;
use crate::core::instant::Instant;

/// A day as it is written, in days since 1970.
pub(in crate::core::calendar) fn day_of(text: &str) -> i64 {
    value::date(text).unwrap()
}

/// The rule of an event that begins so.
pub(in crate::core::calendar) fn rule_of(start: &str, rule: &str) -> Result<Rule, Vec<Flaw>> {
    let text = file(&format!("DTSTART:{start}\nDURATION:PT1H\nRRULE:{rule}"));
    let mut events = read(&text, &Database::bundled())?;
    Ok(events.pop().unwrap().rule.unwrap())
}

fn file(event: &str) -> String {
    format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n{event}\nEND:VEVENT\nEND:VCALENDAR\n")
}

/// The stretches of a year in which there is an event.
fn stretches(events: &Events, zone: &Zone, from: i64, until: i64) -> Vec<(i64, i64)> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    let mut at = Instant::from_secs(from);
    while at.secs() < until {
        let look = events.look(at, zone);
        assert!(look.until > at);
        let end = look.until.secs().min(until);
        if look.within.is_some() {
            match found.last_mut() {
                Some(last) if last.1 == at.secs() => last.1 = end,
                _ => found.push((at.secs(), end)),
            }
        }
        at = Instant::from_secs(end);
    }
    found
}

/// Rows of another engine: a file, and when something of it is in the year 2026.
#[test]
fn events_are_those_of_another_engine() {
    let rows = include_str!("../../../../tests/data/calendars/ics.jsonl");
    let zones = Database::bundled();
    let mut count = 0;
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let text = row["ics"].as_str().unwrap();
        let zone = zones.get(row["zone"].as_str().unwrap()).unwrap();
        let events = read(text, &zones).unwrap_or_else(|flaws| panic!("{text}\n{flaws:?}"));
        let found = stretches(&Events::new(events), &zone, 1_767_225_600, 1_798_761_600);
        let pair =
            |pair: &serde_json::Value| (pair[0].as_i64().unwrap(), pair[1].as_i64().unwrap());
        let expected: Vec<(i64, i64)> = row["in"].as_array().unwrap().iter().map(pair).collect();
        assert_eq!(found, expected, "{text}\n{}", row["zone"]);
        count += 1;
    }
    assert_eq!(count, 120);
}

/// What is wrong, and the text at which it is said.
#[test]
fn what_is_not_read_is_an_error_with_its_place() {
    let date = "DTSTART;VALUE=DATE:20261224";
    let again = |rule: &str| format!("{date}\nRRULE:{rule}");
    let rows = [
        ("SUMMARY:x".to_owned(), "BEGIN:VEVENT", "this event has no DTSTART"),
        ("DTSTART:20261224".to_owned(), "20261224", "this is no time such as 20261224T180000"),
        ("DTSTART;VALUE=DATE:20261324".to_owned(), "20261324", "this is no date such as 20261224"),
        ("DTSTART:20261224T250000".to_owned(), "20261224T250000", "this is no time"),
        ("DTSTART;VALUE=PERIOD:x".to_owned(), "DTSTART;VALUE=PERIOD:x", "VALUE=PERIOD is not read"),
        (
            "DTSTART;TZID=Mars/Base:20261224T180000".to_owned(),
            "DTSTART;TZID=Mars/Base:20261224T180000",
            "unknown time zone `Mars/Base`",
        ),
        (format!("{date}\n{date}"), date, "a second `DTSTART`"),
        (
            format!("{date}\nDTEND;VALUE=DATE:20261224"),
            "DTEND;VALUE=DATE:20261224",
            "DTEND is not after",
        ),
        (
            format!("{date}\nDTEND:20261225T000000"),
            "DTEND:20261225T000000",
            "DTEND is not of the kind",
        ),
        (
            format!("{date}\nDURATION:PT1H"),
            "DURATION:PT1H",
            "what begins on a date takes whole days",
        ),
        (format!("{date}\nDURATION:1H"), "1H", "this is no duration such as P1D"),
        (
            format!("{date}\nDURATION:P1D\nDTEND;VALUE=DATE:20261226"),
            "DTEND;VALUE=DATE:20261226",
            "DTEND and",
        ),
        (again("FREQ=HOURLY"), "FREQ=HOURLY", "`FREQ=HOURLY` is not read in a rule"),
        (again("FREQ=DAILY;BYSETPOS=1"), "BYSETPOS=1", "`BYSETPOS=1` is not read in a rule"),
        (again("FREQ=DAILY;INTERVAL=0"), "INTERVAL=0", "`INTERVAL=0` is not read in a rule"),
        (again("FREQ=DAILY;COUNT=2;COUNT=3"), "COUNT=3", "`COUNT` is said twice"),
        (again("INTERVAL=2"), "INTERVAL=2", "a rule begins with FREQ"),
        (
            again("FREQ=DAILY;COUNT=2;UNTIL=20270101"),
            "FREQ=DAILY;COUNT=2;UNTIL=20270101",
            "COUNT and UNTIL",
        ),
        (
            again("FREQ=DAILY;UNTIL=20270101T000000Z"),
            "UNTIL=20270101T000000Z",
            "UNTIL is a date if DTSTART",
        ),
        (
            again("FREQ=WEEKLY;BYDAY=1TH"),
            "FREQ=WEEKLY;BYDAY=1TH",
            "a number before a weekday goes with",
        ),
        (again("FREQ=MONTHLY;BYDAY=6TH"), "FREQ=MONTHLY;BYDAY=6TH", "no month has so many"),
        (again("FREQ=WEEKLY;BYMONTHDAY=1"), "FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY does not go"),
        (
            again("FREQ=WEEKLY;BYDAY=FR"),
            "RRULE:FREQ=WEEKLY;BYDAY=FR",
            "DTSTART is not one of the days",
        ),
        (format!("{date}\nEXRULE:FREQ=DAILY"), "EXRULE:FREQ=DAILY", "EXRULE is not read"),
        (
            format!("{date}\nEXDATE:20261224T000000"),
            "20261224T000000",
            "it is not of the kind of DTSTART",
        ),
        (
            format!("{date}\nRECURRENCE-ID;RANGE=THISANDFUTURE;VALUE=DATE:20261224"),
            "RECURRENCE-ID;RANGE=THISANDFUTURE;VALUE=DATE:20261224",
            "RANGE is not read",
        ),
        (format!("{date}\nnonsense"), "nonsense", "this is no property"),
        (format!("{date}\nEND:VTODO"), "END:VTODO", "`VEVENT` ends before this"),
    ];
    for (event, at, message) in rows {
        let text = file(&event);
        let flaws = read(&text, &Database::bundled()).expect_err(&event);
        let flaw = &flaws[0];
        assert_eq!(&text[flaw.span.clone()], at, "{event}");
        assert!(flaw.message.starts_with(message), "{event}: {}", flaw.message);
    }
    for text in ["", "hello\n", "BEGIN:VEVENT\nEND:VEVENT\n", "[jobs.x]\n"] {
        let flaws = read(text, &Database::bundled()).unwrap_err();
        assert!(flaws[0].message.starts_with("this is no"), "{text}: {flaws:?}");
    }
    let cut =
        read("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261224\n", &Database::bundled());
    assert_eq!(cut.unwrap_err()[0].message, "`VEVENT` has no end: the file is cut off");
}

/// Every event that is wrong is told, in one pass.
#[test]
fn all_that_is_wrong_is_told() {
    let events = "BEGIN:VEVENT\nDTSTART:1\nEND:VEVENT\n".repeat(3);
    let flaws = read(&format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n"), &Database::bundled());
    assert_eq!(flaws.unwrap_err().len(), 3);
}

/// Lines are folded anywhere, also within a character's neighbours, and the place is still that of the text.
#[test]
fn folded_lines() {
    let text = "\u{feff}BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE\r\n =DATE:2026\r\n 1224\r\nSUMM\r\n\tARY:Weih\r\n \
                nachten\\, 1.\r\nBEGIN:VALARM\r\nDURATION:nonsense\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let events = read(text, &Database::bundled()).unwrap();
    let [event] = &*events else { panic!("{events:?}") };
    assert_eq!(
        (event.from, event.long, &*event.summary),
        (day_of("20261224") * DAY, DAY, "Weihnachten, 1.")
    );
    let wrong = text.replace("2026\r\n 1224", "2026\r\n 1324");
    let flaws = read(&wrong, &Database::bundled()).unwrap_err();
    assert_eq!(&wrong[flaws[0].span.clone()], "2026\r\n 1324");
}

proptest! {
    /// Whatever is read, it ends, and a place is one of the text.
    #[test]
    fn nothing_is_too_odd(lines in prop::collection::vec(prop_oneof![
        Just("BEGIN:VCALENDAR".to_owned()), Just("BEGIN:VEVENT".to_owned()), Just("END:VEVENT".to_owned()),
        Just("END:VCALENDAR".to_owned()), Just("DTSTART;VALUE=DATE:20261224".to_owned()),
        Just("DTSTART;TZID=\"Europe/Berlin\":20261224T180000".to_owned()), Just("DURATION:P1D".to_owned()),
        Just("RRULE:FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=9".to_owned()), "[A-Z;:=,\" é0-9-]{0,20}",
    ], 0..20)) {
        let text = format!("BEGIN:VCALENDAR\n{}", lines.join("\r\n"));
        match read(&text, &Database::bundled()) {
            Ok(events) => {
                let look = Events::new(events).look(Instant::from_secs(1_800_000_000), &Zone::utc()).until;
                prop_assert!(look > Instant::from_secs(1_800_000_000));
            }
            Err(flaws) => {
                prop_assert!(!flaws.is_empty());
                for flaw in flaws {
                    prop_assert!(text.get(flaw.span.clone()).is_some(), "{:?}", flaw);
                }
            }
        }
    }
}
