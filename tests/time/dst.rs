//! The rule of doc/time.md for daylight saving, as rows of data under a drawing of each day (an
//! idea of Cronos'). In a drawing, time goes to the right; `ST` and `DT` are the zone's standard
//! and daylight time.
//!
//! A schedule is a crontab text, or, with an `=`, fields of the table form. Due times are written
//! as the wall clocks show them, with the offset in use. What random schedules do on such days is
//! in `tests/time/oracle.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

use std::time::Duration;

use crate::common::spec::{self, Text};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};
use schedrs::instant::Instant;
use schedrs::trigger::cron::DstEffect;
use schedrs::trigger::{CronTrigger, IntervalTrigger};
use schedrs::zone::{Database, Local, Zone};

const MICRO: Duration = Duration::from_micros(1);

fn zone(name: &str) -> Zone {
    Database::bundled().get(name).unwrap()
}

fn instant(text: &str) -> Instant {
    Instant::from_micros(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
}

/// A wall time such as `2026-03-08 02:30`, as seconds.
fn wall(text: &str) -> i64 {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap().and_utc().timestamp()
}

/// `03-08 03:00 -04`, with what is zero at the end of time and offset left out.
fn shown(at: Instant, zone: &Zone) -> String {
    let offset = zone.offset_at(at);
    let wall = DateTime::from_timestamp(zone.wall_of(at), 0).unwrap();
    let seconds = if at.secs() % 60 == 0 { "" } else { ":%S" };
    let wall = wall.format(&format!("%m-%d %H:%M{seconds}")).to_string();
    let (sign, offset) = (if offset < 0 { '-' } else { '+' }, offset.abs());
    match offset / 60 % 60 {
        0 => format!("{wall} {sign}{:02}", offset / 3600),
        minutes => format!("{wall} {sign}{:02}:{minutes:02}", offset / 3600),
    }
}

fn trigger(text: &str, zone: &Zone) -> CronTrigger {
    let text = if text.contains('=') {
        Text::Fields(
            text.split(' ')
                .map(|field| {
                    let (key, text) = field.split_once('=').unwrap();
                    let known = schedrs::trigger::cron::fields::Field::ALL;
                    let key = known.into_iter().find(|field| field.key() == key).unwrap().key();
                    // `3rd_fri`, for there is a space between two fields.
                    (key, text.replace('_', " "))
                })
                .collect(),
        )
    } else {
        Text::Crontab(text.to_owned())
    };
    CronTrigger::new([spec::schedule(&text)], zone.clone(), None, None)
}

/// Every due time from `from` up to, but not at, `until`.
fn list(trigger: &CronTrigger, from: &str, until: &str) -> Vec<Instant> {
    let (mut at, until) = (instant(from).minus(MICRO), instant(until));
    std::iter::from_fn(|| {
        let due = trigger.next_after(at).filter(|due| *due < until)?;
        assert!(due > at, "{due:?} again");
        at = due;
        Some(at)
    })
    .collect()
}

/// Rows of a schedule and its due times, with commas between them.
fn check(name: &str, from: &str, until: &str, rows: &[(&str, &str)]) {
    let zone = zone(name);
    let mut wrong = Vec::new();
    for (text, wanted) in rows {
        let dues = list(&trigger(text, &zone), from, until);
        let got: Vec<String> = dues.iter().map(|due| shown(*due, &zone)).collect();
        if got.join(", ") != *wanted {
            wrong.push(format!("{text}\n    got  {}\n    want {wanted}\n", got.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{name} from {from}:\n{}", wrong.concat());
}

#[test]
fn new_york_springs_forward() {
    // ___________1:59 ST///invalid///3:00 DT___________
    let rows = [
        // Plain values: what is lost runs once, at the first instant after the gap.
        ("30 2 * * *", "03-08 03:00 -04"),
        ("0 2 * * *", "03-08 03:00 -04"),
        ("59 2 * * *", "03-08 03:00 -04"),
        ("15,45 2 * * *", "03-08 03:00 -04"),
        ("30 2,4 * * *", "03-08 03:00 -04, 03-08 04:30 -04"),
        ("30 2,3 * * *", "03-08 03:00 -04, 03-08 03:30 -04"),
        ("0 2,3 * * *", "03-08 03:00 -04"),
        ("30 2 8 3 *", "03-08 03:00 -04"),
        ("30 2 * * sun", "03-08 03:00 -04"),
        ("30 2 * * sun#2", "03-08 03:00 -04"),
        ("30 30 2 * * *", "03-08 03:00 -04"),
        // Not on that day, not in that hour.
        ("30 2 * * sat", ""),
        ("30 2 9 * *", ""),
        ("59 1 * * *", "03-08 01:59 -05"),
        ("0 3 * * *", "03-08 03:00 -04"),
        ("1 3 * * *", "03-08 03:01 -04"),
        // Ranges and steps that leave out some hour: the same.
        ("*/30 2 * * *", "03-08 03:00 -04"),
        ("* 2 * * *", "03-08 03:00 -04"),
        ("*/30 1-2 * * *", "03-08 01:00 -05, 03-08 01:30 -05, 03-08 03:00 -04"),
        ("*/30 2-3 * * *", "03-08 03:00 -04, 03-08 03:30 -04"),
        ("0 */2 * * *", "03-08 00:00 -05, 03-08 03:00 -04, 03-08 04:00 -04"),
        // Every hour, however it is written: the next real match follows by itself.
        (
            "30 * * * *",
            "03-08 00:30 -05, 03-08 01:30 -05, 03-08 03:30 -04, 03-08 04:30 -04, 03-08 05:30 -04",
        ),
        (
            "30 0-23 * * *",
            "03-08 00:30 -05, 03-08 01:30 -05, 03-08 03:30 -04, 03-08 04:30 -04, 03-08 05:30 -04",
        ),
        (
            "30 12-11 * * *",
            "03-08 00:30 -05, 03-08 01:30 -05, 03-08 03:30 -04, 03-08 04:30 -04, 03-08 05:30 -04",
        ),
        (
            "30 */1 * * *",
            "03-08 00:30 -05, 03-08 01:30 -05, 03-08 03:30 -04, 03-08 04:30 -04, 03-08 05:30 -04",
        ),
        // The table form.
        ("hour=2 minute=30", "03-08 03:00 -04"),
        ("hour=2", "03-08 03:00 -04"),
        ("hour=2,3 minute=30", "03-08 03:00 -04, 03-08 03:30 -04"),
        ("hour=2-3 minute=30", "03-08 03:00 -04, 03-08 03:30 -04"),
        ("hour=2 second=30", "03-08 03:00 -04"),
        ("day=2nd_sun hour=2", "03-08 03:00 -04"),
        ("day=last hour=2", ""),
        (
            "minute=30",
            "03-08 00:30 -05, 03-08 01:30 -05, 03-08 03:30 -04, 03-08 04:30 -04, 03-08 05:30 -04",
        ),
        ("hour=*/2", "03-08 00:00 -05, 03-08 03:00 -04, 03-08 04:00 -04"),
    ];
    check("America/New_York", "2026-03-08T00:00:00-05:00", "2026-03-08T06:00:00-04:00", &rows);
}

#[test]
fn new_york_falls_back() {
    // ___________1:00 DT___1:59 DT↓1:00 ST___1:59 ST___________
    let rows = [
        // Plain values: once, on the first pass.
        ("30 1 * * *", "11-01 01:30 -04"),
        ("0 1 * * *", "11-01 01:00 -04"),
        ("59 1 * * *", "11-01 01:59 -04"),
        ("0,30 1 * * *", "11-01 01:00 -04, 11-01 01:30 -04"),
        ("30 1,2 * * *", "11-01 01:30 -04, 11-01 02:30 -05"),
        ("30 30 1 * * *", "11-01 01:30:30 -04"),
        ("30 1 1 11 *", "11-01 01:30 -04"),
        ("0 2 * * *", "11-01 02:00 -05"),
        ("59 0 * * *", "11-01 00:59 -04"),
        // A `*`, a range or a step in second, minute or hour: both passes.
        ("*/30 1 * * *", "11-01 01:00 -04, 11-01 01:30 -04, 11-01 01:00 -05, 11-01 01:30 -05"),
        ("30 1-2 * * *", "11-01 01:30 -04, 11-01 01:30 -05, 11-01 02:30 -05"),
        ("30 1-1 * * *", "11-01 01:30 -04, 11-01 01:30 -05"),
        ("30 1/12 * * *", "11-01 01:30 -04, 11-01 01:30 -05"),
        ("30-59/30 1 * * *", "11-01 01:30 -04, 11-01 01:30 -05"),
        (
            "*/30 59 1 * * *",
            "11-01 01:59 -04, 11-01 01:59:30 -04, 11-01 01:59 -05, 11-01 01:59:30 -05",
        ),
        (
            "30 * * * *",
            "11-01 00:30 -04, 11-01 01:30 -04, 11-01 01:30 -05, 11-01 02:30 -05, 11-01 03:30 -05",
        ),
        // In the other fields they do not count.
        ("30 1 */1 1-12 */7", "11-01 01:30 -04"),
        // Every hour, one by one, is plain values.
        (
            "30 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23 * * *",
            "11-01 00:30 -04, 11-01 01:30 -04, 11-01 02:30 -05, 11-01 03:30 -05",
        ),
        // The table form: left out and below the last given one is the minimum, which is plain.
        ("hour=1", "11-01 01:00 -04"),
        ("hour=1 minute=30", "11-01 01:30 -04"),
        ("hour=1-1 minute=30", "11-01 01:30 -04, 11-01 01:30 -05"),
        (
            "hour=1 minute=*/30",
            "11-01 01:00 -04, 11-01 01:30 -04, 11-01 01:00 -05, 11-01 01:30 -05",
        ),
        ("day=1st_sun hour=1", "11-01 01:00 -04"),
        ("day=1 hour=1 minute=0", "11-01 01:00 -04"),
        ("year=2026 month=11 day=1 hour=1 minute=59-59", "11-01 01:59 -04, 11-01 01:59 -05"),
        // Left out above it is `*`.
        (
            "minute=30",
            "11-01 00:30 -04, 11-01 01:30 -04, 11-01 01:30 -05, 11-01 02:30 -05, 11-01 03:30 -05",
        ),
    ];
    check("America/New_York", "2026-11-01T00:00:00-04:00", "2026-11-01T04:00:00-05:00", &rows);
    // From within the second pass nothing of the first comes back.
    let second = "2026-11-01T01:15:00-05:00";
    let rows = [
        ("30 1 * * *", ""),
        ("*/30 1 * * *", "11-01 01:30 -05"),
        ("30 1,2 * * *", "11-01 02:30 -05"),
    ];
    check("America/New_York", second, "2026-11-01T04:00:00-05:00", &rows);
}

#[test]
fn stockholm() {
    // ___________1:59 ST///invalid///3:00 DT___________
    let rows = [
        ("30 2 * * *", "03-29 03:00 +02"),
        ("15 2,3 * * *", "03-29 03:00 +02, 03-29 03:15 +02"),
        ("*/20 2 * * *", "03-29 03:00 +02"),
        ("0 * * * *", "03-29 01:00 +01, 03-29 03:00 +02, 03-29 04:00 +02"),
    ];
    check("Europe/Stockholm", "2026-03-29T01:00:00+01:00", "2026-03-29T05:00:00+02:00", &rows);
    // ___________2:00 DT___2:59 DT↓2:00 ST___2:59 ST___________
    let rows = [
        ("30 2 * * *", "10-25 02:30 +02"),
        ("30 2-3 * * *", "10-25 02:30 +02, 10-25 02:30 +01, 10-25 03:30 +01"),
        ("0 3 * * *", "10-25 03:00 +01"),
        (
            "0 * * * *",
            "10-25 01:00 +02, 10-25 02:00 +02, 10-25 02:00 +01, 10-25 03:00 +01, 10-25 04:00 +01",
        ),
    ];
    check("Europe/Stockholm", "2026-10-25T01:00:00+02:00", "2026-10-25T05:00:00+01:00", &rows);
}

#[test]
fn lord_howe_changes_by_half_an_hour() {
    // ___________1:59 ST///invalid///2:30 DT___________
    let rows = [
        ("15 2 * * *", "10-04 02:30 +11"),
        ("0 2 * * *", "10-04 02:30 +11"),
        ("30 2 * * *", "10-04 02:30 +11"),
        ("45 2 * * *", "10-04 02:45 +11"),
        ("15,45 2 * * *", "10-04 02:30 +11, 10-04 02:45 +11"),
        ("*/15 2 * * *", "10-04 02:30 +11, 10-04 02:45 +11"),
        (
            "*/15 * * * *",
            "10-04 01:30 +10:30, 10-04 01:45 +10:30, 10-04 02:30 +11, 10-04 02:45 +11",
        ),
        ("hour=2", "10-04 02:30 +11"),
        ("minute=15", ""),
    ];
    check("Australia/Lord_Howe", "2026-10-04T01:30:00+10:30", "2026-10-04T03:00:00+11:00", &rows);
    // ___________1:30 DT___1:59 DT↓1:30 ST___1:59 ST___________
    let rows = [
        ("15 1 * * *", "04-05 01:15 +11"),
        ("45 1 * * *", "04-05 01:45 +11"),
        ("*/30 1 * * *", "04-05 01:00 +11, 04-05 01:30 +11, 04-05 01:30 +10:30"),
        ("0 2 * * *", "04-05 02:00 +10:30"),
        ("45 * * * *", "04-05 01:45 +11, 04-05 01:45 +10:30"),
    ];
    check("Australia/Lord_Howe", "2026-04-05T01:00:00+11:00", "2026-04-05T02:30:00+10:30", &rows);
}

#[test]
fn st_johns_changed_at_one_past_midnight() {
    // ___________0:00 ST///0:01 to 1:00 invalid///1:01 DT___________
    let rows = [
        ("0 0 * * *", "04-02 00:00 -03:30"),
        ("1 0 * * *", "04-02 01:01 -02:30"),
        ("30 0 * * *", "04-02 01:01 -02:30"),
        ("0 1 * * *", "04-02 01:01 -02:30"),
        ("30 1 * * *", "04-02 01:30 -02:30"),
        ("*/20 0 * * *", "04-02 00:00 -03:30, 04-02 01:01 -02:30"),
        ("*/30 * * * *", "04-02 00:00 -03:30, 04-02 01:30 -02:30"),
    ];
    check("America/St_Johns", "2006-04-02T00:00:00-03:30", "2006-04-02T02:00:00-02:30", &rows);
    // ___28th 23:01 DT___29th 0:00 DT↓28th 23:01 ST___29th 0:00 ST___
    let rows = [
        ("30 23 * * *", "10-28 23:30 -02:30"),
        ("0 0 * * *", "10-29 00:00 -02:30"),
        ("0 23 * * *", "10-28 23:00 -02:30"),
        ("30 0 * * *", "10-29 00:30 -03:30"),
        ("30 23-0 * * *", "10-28 23:30 -02:30, 10-28 23:30 -03:30, 10-29 00:30 -03:30"),
        (
            "*/30 * 28 * *",
            "10-28 22:30 -02:30, 10-28 23:00 -02:30, 10-28 23:30 -02:30, 10-28 23:30 -03:30",
        ),
        ("0 * 29 * *", "10-29 00:00 -02:30, 10-29 00:00 -03:30"),
        // The last matches there are, in either pass.
        (
            "year=2006 month=10 day=28 minute=30",
            "10-28 22:30 -02:30, 10-28 23:30 -02:30, 10-28 23:30 -03:30",
        ),
    ];
    check("America/St_Johns", "2006-10-28T22:30:00-02:30", "2006-10-29T01:00:00-03:30", &rows);
}

#[test]
fn amman_and_sao_paulo_had_days_without_a_midnight() {
    // ___________23:59 ST///0:00 to 0:59 invalid///1:00 DT___________
    let rows = [
        ("0 0 * * *", "03-26 01:00 +03"),
        ("@daily", "03-26 01:00 +03"),
        ("30 0 26 * *", "03-26 01:00 +03"),
        ("0 0 * * fri", "03-26 01:00 +03"),
        ("0 0 25 * *", ""),
        ("*/30 0 * * *", "03-26 01:00 +03"),
        ("0 23-1 * * *", "03-25 23:00 +02, 03-26 01:00 +03"),
        ("day_of_week=fri", "03-26 01:00 +03"),
        ("day=26", "03-26 01:00 +03"),
        ("day=last_fri", "03-26 01:00 +03"),
        ("@hourly", "03-25 23:00 +02, 03-26 01:00 +03"),
    ];
    check("Asia/Amman", "2021-03-25T23:00:00+02:00", "2021-03-26T02:00:00+03:00", &rows);
    // ___________0:00 DT___0:59 DT↓0:00 ST___0:59 ST___________
    let rows = [
        ("0 0 * * *", "10-29 00:00 +03"),
        ("30 0 * * *", "10-29 00:30 +03"),
        ("0 0-1 * * *", "10-29 00:00 +03, 10-29 00:00 +02, 10-29 01:00 +02"),
        ("day=29", "10-29 00:00 +03"),
    ];
    check("Asia/Amman", "2021-10-28T23:30:00+03:00", "2021-10-29T02:00:00+02:00", &rows);
    let rows = [
        ("@daily", "11-04 01:00 -02"),
        ("0 0 4 11 *", "11-04 01:00 -02"),
        ("@weekly", "11-04 01:00 -02"),
        ("month=11 day=1st_sun", "11-04 01:00 -02"),
        ("30 * * * *", "11-03 23:30 -03, 11-04 01:30 -02"),
    ];
    check("America/Sao_Paulo", "2018-11-03T23:00:00-03:00", "2018-11-04T02:00:00-02:00", &rows);
    // ___16th 23:00 DT___16th 23:59 DT↓16th 23:00 ST___16th 23:59 ST___17th 0:00 ST___
    let rows = [
        ("30 23 * * *", "02-16 23:30 -02"),
        ("@daily", "02-17 00:00 -03"),
        ("30 23 16 2 *", "02-16 23:30 -02"),
        ("*/30 23 * * *", "02-16 23:00 -02, 02-16 23:30 -02, 02-16 23:00 -03, 02-16 23:30 -03"),
        ("@hourly", "02-16 22:00 -02, 02-16 23:00 -02, 02-16 23:00 -03, 02-17 00:00 -03"),
        // The last day there is: nothing later matches, and the second pass is still to come.
        ("year=2019 month=2 day=16 minute=15", "02-16 22:15 -02, 02-16 23:15 -02, 02-16 23:15 -03"),
    ];
    check("America/Sao_Paulo", "2019-02-16T22:00:00-02:00", "2019-02-17T01:00:00-03:00", &rows);
}

#[test]
fn apia_skipped_a_friday() {
    // ___Thursday 29th 23:59 -10///Friday 30th invalid///Saturday 31st 0:00 +14___
    let rows = [
        ("0 12 * * *", "12-29 12:00 -10, 12-31 00:00 +14, 12-31 12:00 +14"),
        ("@daily", "12-29 00:00 -10, 12-31 00:00 +14"),
        ("0 0 30 * *", "12-31 00:00 +14"),
        ("0 12 * * fri", "12-31 00:00 +14"),
        ("0 12 * * fri#5", "12-31 00:00 +14"),
        ("0 */6 30 12 *", "12-31 00:00 +14"),
        ("* * 30 12 *", ""),
        ("30 9 29,31 * *", "12-29 09:30 -10, 12-31 09:30 +14"),
        ("day=30 hour=8-10", "12-31 00:00 +14"),
        ("day=last_fri", "12-31 00:00 +14"),
        ("day=last", "12-31 00:00 +14"),
    ];
    check("Pacific/Apia", "2011-12-29T00:00:00-10:00", "2011-12-31T23:00:00+14:00", &rows);
}

#[test]
fn troll_changes_by_two_hours() {
    // ___________0:59 ST///1:00 to 2:59 invalid///3:00 DT___________
    let rows = [
        ("30 1 * * *", "03-29 03:00 +02"),
        ("30 2 * * *", "03-29 03:00 +02"),
        ("30 1,2 * * *", "03-29 03:00 +02"),
        ("30 1,2,3 * * *", "03-29 03:00 +02, 03-29 03:30 +02"),
        ("*/10 1-2 * * *", "03-29 03:00 +02"),
        ("30 * * * *", "03-29 00:30 +00, 03-29 03:30 +02"),
    ];
    check("Antarctica/Troll", "2026-03-29T00:00:00Z", "2026-03-29T04:00:00+02:00", &rows);
    // ___________1:00 DT___2:59 DT↓1:00 ST___2:59 ST___________
    let rows = [
        ("30 1 * * *", "10-25 01:30 +02"),
        ("30 2 * * *", "10-25 02:30 +02"),
        ("30 1,2,3 * * *", "10-25 01:30 +02, 10-25 02:30 +02, 10-25 03:30 +00"),
        ("30 1-2 * * *", "10-25 01:30 +02, 10-25 02:30 +02, 10-25 01:30 +00, 10-25 02:30 +00"),
    ];
    check("Antarctica/Troll", "2026-10-25T00:00:00+02:00", "2026-10-25T04:00:00Z", &rows);
}

#[test]
fn dublin_has_its_standard_time_in_summer() {
    // Its winter time is a negative daylight time. The clocks do not care.
    let rows = [("30 1 * * *", "03-29 02:00 +01"), ("@hourly", "03-29 00:00 +00, 03-29 02:00 +01")];
    check("Europe/Dublin", "2026-03-29T00:00:00Z", "2026-03-29T03:00:00+01:00", &rows);
    let rows = [
        ("30 1 * * *", "10-25 01:30 +01"),
        ("30 1-1 * * *", "10-25 01:30 +01, 10-25 01:30 +00"),
        ("0 2 * * *", "10-25 02:00 +00"),
    ];
    check("Europe/Dublin", "2026-10-25T00:00:00+01:00", "2026-10-25T03:00:00Z", &rows);
}

#[test]
fn casablanca_paused_its_summer_time_for_ramadan() {
    let rows = [
        ("30 2 * * *", "02-23 02:30 +01"),
        ("30 2-3 * * *", "02-23 02:30 +01, 02-23 02:30 +00, 02-23 03:30 +00"),
    ];
    check("Africa/Casablanca", "2025-02-23T01:00:00+01:00", "2025-02-23T04:00:00Z", &rows);
    let rows = [("30 2 * * *", "04-06 03:00 +01"), ("@hourly", "04-06 01:00 +00, 04-06 03:00 +01")];
    check("Africa/Casablanca", "2025-04-06T01:00:00Z", "2025-04-06T04:00:00+01:00", &rows);
}

/// `date`, `start_date` and `end_date`: the first instant after a gap, the first pass of a fold.
#[test]
fn a_text_without_an_offset_is_resolved() {
    let rows = [
        ("America/New_York", "2026-03-08 01:59", "03-08 01:59 -05"),
        ("America/New_York", "2026-03-08 02:00", "03-08 03:00 -04"),
        ("America/New_York", "2026-03-08 02:30", "03-08 03:00 -04"),
        ("America/New_York", "2026-03-08 02:59", "03-08 03:00 -04"),
        ("America/New_York", "2026-03-08 03:00", "03-08 03:00 -04"),
        ("America/New_York", "2026-11-01 00:59", "11-01 00:59 -04"),
        ("America/New_York", "2026-11-01 01:00", "11-01 01:00 -04"),
        ("America/New_York", "2026-11-01 01:30", "11-01 01:30 -04"),
        ("America/New_York", "2026-11-01 01:59", "11-01 01:59 -04"),
        ("America/New_York", "2026-11-01 02:00", "11-01 02:00 -05"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "10-04 02:30 +11"),
        ("Australia/Lord_Howe", "2026-04-05 01:45", "04-05 01:45 +11"),
        ("America/St_Johns", "2006-10-28 23:30", "10-28 23:30 -02:30"),
        ("Asia/Amman", "2021-03-26 00:00", "03-26 01:00 +03"),
        ("America/Sao_Paulo", "2018-11-04 00:00", "11-04 01:00 -02"),
        ("America/Sao_Paulo", "2019-02-16 23:30", "02-16 23:30 -02"),
        ("Pacific/Apia", "2011-12-30 00:00", "12-31 00:00 +14"),
        ("Pacific/Apia", "2011-12-30 23:59", "12-31 00:00 +14"),
        ("Antarctica/Troll", "2026-03-29 01:00", "03-29 03:00 +02"),
        ("Antarctica/Troll", "2026-10-25 02:59", "10-25 02:59 +02"),
        ("Europe/Dublin", "2026-10-25 01:30", "10-25 01:30 +01"),
        ("UTC", "2026-03-08 02:30", "03-08 02:30 +00"),
        // Beyond the table of changes that a zone is loaded with.
        ("America/New_York", "2400-03-12 02:30", "03-12 03:00 -04"),
        ("America/New_York", "2400-11-05 01:30", "11-05 01:30 -04"),
    ];
    for (name, text, wanted) in rows {
        let zone = zone(name);
        assert_eq!(shown(zone.instant_of(wall(text)), &zone), wanted, "{name} {text}");
    }
    let zone = zone("Pacific/Apia");
    let at = instant("2011-12-31T00:00:00+14:00").secs();
    assert_eq!(zone.resolve(wall("2011-12-30 12:00")), Local::Gap { at });
}

#[test]
fn a_window_includes_both_its_ends() {
    let zone = zone("Europe/Stockholm");
    let schedule = spec::schedule(&Text::Crontab("0 * * * *".into()));
    let window = |start: &str, end: &str| {
        let [start, end] = [start, end].map(|text| zone.instant_of(wall(text)));
        let trigger = CronTrigger::new([schedule.clone()], zone.clone(), Some(start), Some(end));
        let dues = list(&trigger, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");
        dues.iter().map(|due| shown(*due, &zone)).collect::<Vec<_>>().join(", ")
    };
    let ordinary = window("2026-05-01 10:00", "2026-05-01 12:00");
    assert_eq!(ordinary, "05-01 10:00 +02, 05-01 11:00 +02, 05-01 12:00 +02");
    assert_eq!(window("2026-05-01 10:01", "2026-05-01 11:59"), "05-01 11:00 +02");
    // A start in the gap is its end, and an end in the fold is its first pass.
    let gap = window("2026-03-29 02:30", "2026-03-29 04:00");
    assert_eq!(gap, "03-29 03:00 +02, 03-29 04:00 +02");
    let fold = window("2026-10-25 01:00", "2026-10-25 02:00");
    assert_eq!(fold, "10-25 01:00 +02, 10-25 02:00 +02");
    assert_eq!(window("2026-05-01 12:00", "2026-05-01 10:00"), "");
    // What the gap lost runs at its end, also where the window begins there.
    let lost = spec::schedule(&Text::Crontab("30 2 * * *".into()));
    let start = zone.instant_of(wall("2026-03-29 02:45"));
    let trigger = CronTrigger::new([lost.clone()], zone.clone(), Some(start), Some(start));
    assert_eq!(trigger.next_after(Instant::MIN), Some(start));
    assert_eq!(trigger.next_after(start), None);
    // A window of a fraction of a second lies between two due times.
    let start = start.plus(MICRO);
    let trigger = CronTrigger::new([lost], zone.clone(), Some(start), None);
    assert_eq!(shown(trigger.next_after(Instant::MIN).unwrap(), &zone), "03-30 02:30 +02");
}

#[test]
fn an_interval_is_elapsed_time() {
    let zone = zone("America/New_York");
    let list = |hours: u64, start: &str, count: usize| {
        let every = Duration::from_secs(hours * 3600);
        let trigger = IntervalTrigger::new(every, Some(zone.instant_of(wall(start))), None);
        let mut at = Instant::MIN;
        let dues = std::iter::from_fn(|| {
            at = trigger.next_after(at)?;
            Some(shown(at, &zone))
        });
        dues.take(count).collect::<Vec<_>>().join(", ")
    };
    let spring = list(24, "2026-03-07 12:00", 3);
    assert_eq!(spring, "03-07 12:00 -05, 03-08 13:00 -04, 03-09 13:00 -04");
    let autumn = list(24, "2026-10-31 12:00", 3);
    assert_eq!(autumn, "10-31 12:00 -04, 11-01 11:00 -05, 11-02 11:00 -05");
    let fold = list(1, "2026-11-01 00:30", 4);
    assert_eq!(fold, "11-01 00:30 -04, 11-01 01:30 -04, 11-01 01:30 -05, 11-01 02:30 -05");
    let gap = list(1, "2026-03-08 01:30", 2);
    assert_eq!(gap, "03-08 01:30 -05, 03-08 03:30 -04");
}

#[test]
fn effects_are_named() {
    let zone = zone("Europe/Stockholm");
    let gap = |text: &str| DstEffect::Gap {
        wall: wall(text),
        runs: instant("2026-03-29T03:00:00+02:00"),
    };
    let fold = |text: &str, first: bool, both: bool| DstEffect::Fold {
        wall: wall(text),
        at: Instant::from_secs(wall(text) - if first { 7200 } else { 3600 }),
        first,
        both,
    };
    // Schedule, due time, effect.
    let rows = [
        ("30 2 * * *", "2026-03-29T03:00:00+02:00", Some(gap("2026-03-29 02:30"))),
        ("15,45 2 * * *", "2026-03-29T03:00:00+02:00", Some(gap("2026-03-29 02:15"))),
        ("*/20 2-3 * * *", "2026-03-29T03:00:00+02:00", Some(gap("2026-03-29 02:00"))),
        ("0 3 * * *", "2026-03-29T03:00:00+02:00", None),
        ("0 * * * *", "2026-03-29T03:00:00+02:00", None),
        ("30 2 * * *", "2026-03-30T02:30:00+02:00", None),
        ("30 2 * * *", "2026-10-25T02:30:00+02:00", Some(fold("2026-10-25 02:30", true, false))),
        (
            "0-30/30 2 * * *",
            "2026-10-25T02:30:00+02:00",
            Some(fold("2026-10-25 02:30", true, true)),
        ),
        (
            "0-30/30 2 * * *",
            "2026-10-25T02:30:00+01:00",
            Some(fold("2026-10-25 02:30", false, true)),
        ),
        ("0 3 * * *", "2026-10-25T03:00:00+01:00", None),
        ("0 2 * * *", "2026-10-25T02:00:00+02:00", Some(fold("2026-10-25 02:00", true, false))),
        ("0 1 * * *", "2026-10-25T01:00:00+02:00", None),
    ];
    for (text, due, effect) in rows {
        let trigger = trigger(text, &zone);
        let due = instant(due);
        assert_eq!(trigger.next_after(due.minus(MICRO)), Some(due), "{text}");
        assert_eq!(trigger.dst_effect_at(due), effect, "{text} at {due:?}");
    }
    // Both changes of a year, and nothing where every hour is admitted or no match is touched.
    let (from, until) = (instant("2026-01-01T00:00:00Z"), instant("2027-01-01T00:00:00Z"));
    let effects = |text: &str| trigger(text, &zone).dst_effects(from, until);
    let both = [gap("2026-03-29 02:30"), fold("2026-10-25 02:30", true, false)];
    assert_eq!(effects("30 2 * * *"), both);
    assert_eq!(
        effects("0 */2 * * *"),
        [gap("2026-03-29 02:00"), fold("2026-10-25 02:00", true, true)]
    );
    for text in ["0 3 * * *", "30 * * * *", "30 2 * * mon", "30 2 1 1 *"] {
        assert_eq!(effects(text), [], "{text}");
    }
    assert_eq!(trigger("30 2 * * *", &Zone::utc()).dst_effects(from, until), []);
    // Only within the window.
    let schedule = spec::schedule(&Text::Crontab("30 2 * * *".into()));
    let june = Some(instant("2026-06-01T00:00:00Z"));
    let late = CronTrigger::new([schedule], zone.clone(), june, None);
    assert_eq!(late.dst_effects(from, until), [fold("2026-10-25 02:30", true, false)]);
}

/// The first due days in UTC from 2026-01-01, as `yymmdd`.
fn days(text: &str, count: usize) -> String {
    let trigger = trigger(text, &Zone::utc());
    let mut at = instant("2026-01-01T00:00:00Z").minus(MICRO);
    let dues = std::iter::from_fn(|| {
        at = trigger.next_after(at)?;
        assert_eq!(at.secs() % 86_400, 0);
        Some(at.to_string()[..10].to_owned())
    });
    dues.take(count).collect::<Vec<_>>().join(" ")
}

#[test]
fn leap_years_weeks_and_fifths() {
    let rows = [
        ("0 0 29 2 *", "2028-02-29 2032-02-29 2036-02-29"),
        ("month=2 day=last", "2026-02-28 2027-02-28 2028-02-29"),
        ("0 0 L 2 *", "2026-02-28 2027-02-28 2028-02-29"),
        ("month=2 day=29 day_of_week=mon", "2044-02-29 2072-02-29 2112-02-29"),
        ("0 0 29 2 */7", "2032-02-29 2060-02-29 2088-02-29"),
        ("year=2096-2108 month=2 day=29", "2096-02-29 2104-02-29 2108-02-29"),
        ("week=53 day_of_week=mon", "2026-12-28 2032-12-27 2037-12-28"),
        ("week=53 day_of_week=sun", "2027-01-03 2033-01-02 2038-01-03"),
        ("week=1 day_of_week=mon", "2027-01-04 2028-01-03 2029-01-01"),
        ("week=1 month=12", "2029-12-31 2030-12-30 2030-12-31"),
        ("week=52 month=1", "2028-01-01 2028-01-02 2034-01-01"),
        ("year=2026 week=1", "2026-01-01 2026-01-02 2026-01-03"),
        ("day=5th_mon", "2026-03-30 2026-06-29 2026-08-31"),
        ("0 0 * * fri#5", "2026-01-30 2026-05-29 2026-07-31"),
        ("month=2 day=5th_sun", "2032-02-29 2060-02-29 2088-02-29"),
        ("day=last_fri", "2026-01-30 2026-02-27 2026-03-27"),
        ("0 0 * * 5L", "2026-01-30 2026-02-27 2026-03-27"),
        ("0 0 L-3 * *", "2026-01-28 2026-02-25 2026-03-28"),
        ("0 0 LW * *", "2026-01-30 2026-02-27 2026-03-31"),
        // 2026-02-01 and 2026-03-01 are Sundays, 2026-08-01 a Saturday.
        ("0 0 1W 2-8/2 *", "2026-02-02 2026-04-01 2026-06-01"),
        ("0 0 1W 8 *", "2026-08-03 2027-08-02 2028-08-01"),
        ("0 0 31W * *", "2026-01-30 2026-03-31 2026-05-29"),
        ("0 0 13 * fri", "2026-01-02 2026-01-09 2026-01-13"),
        ("day=13 day_of_week=fri", "2026-02-13 2026-03-13 2026-11-13"),
        ("0 0 31 * *", "2026-01-31 2026-03-31 2026-05-31"),
        ("year=2026,2030", "2026-01-01 2030-01-01"),
        ("year=2020-2040/7", "2027-01-01 2034-01-01"),
    ];
    for (text, wanted) in rows {
        assert_eq!(days(text, 3), wanted, "{text}");
    }
}

/// None: a round of the calendar is 400 years, and there is nothing to be found in any of them.
/// (How quickly that is known is measured by `cargo bench --bench triggers`.)
#[test]
fn impossible_schedules_end() {
    let never = [
        "0 0 30 2 *",
        "0 0 31 2,4,6,9,11 *",
        "0 0 31W 2,4 *",
        "0 0 L-30 2 *",
        "month=2 day=30",
        "month=4 day=31 hour=1",
        "day=1st_mon day_of_week=tue",
        "day=5th_mon,1st_wed day_of_week=tue",
        "week=53 month=6",
        "week=1-5 month=3-12 day=1-20",
        "week=28 day=1-2",
        "week=53 day=4-20",
        "year=2023 month=2 day=29",
        "year=1971-9999/2 month=2 day=29",
        "year=2100,2200,2300 month=2 day=29",
        "year=2025 week=53",
        "0 0 15W * */6",
    ];
    let zones = ["UTC", "America/New_York", "Africa/Casablanca"].map(zone);
    for text in never {
        for zone in &zones {
            let trigger = trigger(text, zone);
            assert!(trigger.never(), "{text}");
            for year in 0..20 {
                let from = Instant::from_secs(year * 31_556_952 * 40);
                assert_eq!(trigger.next_after(from), None, "{text}");
            }
        }
    }
    // And what happens once in a lifetime is found.
    let leap_monday = trigger("month=2 day=29 day_of_week=mon", &Zone::utc());
    let mut at = Instant::MIN;
    for _ in 0..30 {
        at = leap_monday.next_after(at).unwrap();
        let date: NaiveDate = DateTime::from_timestamp(at.secs(), 0).unwrap().date_naive();
        assert_eq!((date.month(), date.day(), date.weekday()), (2, 29, chrono::Weekday::Mon));
    }
}
