//! Schedules in words and in their normal form: rows of data, and the law that the normal form
//! reads back as the same schedule.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test may stop")]

use proptest::prelude::*;
use schedrs::trigger::cron::Schedule;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::cron::fields::{Builder, Field};
use schedrs::trigger::{CronTrigger, Trigger};
use schedrs::words;
use schedrs::zone::Zone;

fn crontab(expr: &str) -> Schedule {
    let mut flaws = Vec::new();
    match crontab::parse(expr, "job", &mut flaws) {
        Some(Crontab::Schedule(schedule)) => schedule,
        other => panic!("{expr}: {other:?} {flaws:?}"),
    }
}

/// Reads `{ hour = "3", … }` as the normal form writes it.
fn table(text: &str) -> Schedule {
    let mut builder = Builder::default();
    let mut flaws = Vec::new();
    for pair in text.trim_matches(['{', '}', ' ']).split("\", ") {
        let (key, value) = pair.split_once(" = \"").unwrap();
        let field = Field::ALL.into_iter().find(|field| field.key() == key).unwrap();
        let value = value.trim_end_matches('"');
        assert!(builder.set(field, value, &mut flaws), "{text}: {flaws:?}");
    }
    builder.build()
}

fn read(normal: &str) -> Schedule {
    if normal.starts_with('{') { table(normal) } else { crontab(normal) }
}

fn say(schedule: Schedule) -> String {
    let trigger = CronTrigger::new([schedule], Zone::utc(), None, None);
    words::trigger(&Trigger::Cron(trigger.into()), &Zone::utc())
}

#[test]
fn schedules_are_said_in_english() {
    let rows = [
        ("* * * * *", "every minute", "* * * * *"),
        ("* * * * * *", "every second", "* * * * * *"),
        ("*/15 * * * * *", "every 15 seconds", "*/15 * * * * *"),
        ("30 * * * * *", "every minute at second 30", "30 * * * * *"),
        ("*/5 * * * *", "every 5 minutes", "*/5 * * * *"),
        ("2-59/5 * * * *", "every 5 minutes from :02", "2-57/5 * * * *"),
        (
            "*/5 9-17 * * 1-5",
            "every 5 minutes from 09:00 to 17:55, monday to friday",
            "*/5 9-17 * * mon-fri",
        ),
        ("* 9-17 * * *", "every minute from 09:00 to 17:59", "* 9-17 * * *"),
        ("* 3 * * *", "every minute from 03:00 to 03:59", "* 3 * * *"),
        ("0 * * * *", "every hour", "0 * * * *"),
        ("17 * * * *", "every hour at :17", "17 * * * *"),
        ("15,45 * * * *", "every hour at :15 and :45", "15,45 * * * *"),
        ("15,45 8-18 * * *", "at :15 and :45 from 08:00 to 18:59", "15,45 8-18 * * *"),
        ("0 */2 * * *", "every 2 hours", "0 */2 * * *"),
        ("30 1/2 * * *", "every 2 hours from 01:30", "30 1-23/2 * * *"),
        ("0 8-18 * * *", "every hour from 08:00 to 18:00", "0 8-18 * * *"),
        ("0 3 * * *", "at 03:00 every day", "0 3 * * *"),
        ("0 3,15 * * *", "at 03:00 and 15:00 every day", "0 3,15 * * *"),
        ("5 0 3 * * *", "at 03:00:05 every day", "5 0 3 * * *"),
        ("0 3 * * sun", "at 03:00, sunday", "0 3 * * sun"),
        ("0 3 * * fri-mon", "at 03:00, friday to monday", "0 3 * * mon,fri-sun"),
        ("0 3 * * 6,7", "at 03:00, saturday and sunday", "0 3 * * sat-sun"),
        ("0 0 1 * *", "at 00:00, on day 1 of the month", "0 0 1 * *"),
        ("0 0 1,15 * *", "at 00:00, on days 1 and 15 of the month", "0 0 1,15 * *"),
        ("0 0 13 * fri", "at 00:00, on day 13 of the month or friday", "0 0 13 * fri"),
        (
            "0 0 */2 * fri",
            "at 00:00, on every 2nd day from day 1 of the month where that is friday",
            "{ month = \"*\", day = \"*/2\", day_of_week = \"fri\", hour = \"0\", minute = \"0\" }",
        ),
        ("0 0 1 1 *", "at 00:00, on day 1 of the month, in january", "0 0 1 jan *"),
        (
            "0 0 */2 * fri#3",
            "at 00:00, on every 2nd day from day 1 of the month where that is the 3rd friday of the month",
            "0 0 */2 * fri#3",
        ),
        ("0 0 L * *", "at 00:00, on the last day of the month", "0 0 L * *"),
        ("0 0 L-3 * *", "at 00:00, on the day 3 days before the last of the month", "0 0 L-3 * *"),
        ("0 0 15W * *", "at 00:00, on the weekday nearest to day 15 of the month", "0 0 15W * *"),
        (
            "0 0 L-3W * *",
            "at 00:00, on the weekday nearest to the day 3 days before the last of the month",
            "0 0 L-3W * *",
        ),
        (
            "0 0 0 13 * fri 2027-2030",
            "at 00:00, on day 13 of the month or friday, in 2027 to 2030",
            "0 0 0 13 * fri 2027-2030",
        ),
        (
            "0 0 0 1 1 ? 2027/2",
            "at 00:00, on day 1 of the month, in january, in every 2nd year from 2027 on",
            "{ year = \"2027-9999/2\", month = \"jan\", day = \"1\", hour = \"0\", minute = \"0\" }",
        ),
        ("0 0 LW * *", "at 00:00, on the last weekday of the month", "0 0 LW * *"),
        ("0 0 * * 5L", "at 00:00, the last friday of the month", "0 0 * * friL"),
        ("0 0 * * fri#3", "at 00:00, the 3rd friday of the month", "0 0 * * fri#3"),
        (
            "0 0 30 6-8,11 *",
            "at 00:00, on day 30 of the month, in june to august and november",
            "0 0 30 jun-aug,nov *",
        ),
    ];
    for (expr, english, normal) in rows {
        let schedule = crontab(expr);
        assert_eq!(words::normalised(&schedule).as_deref(), Some(normal), "{expr}");
        assert_eq!(read(normal), schedule, "{expr} read again from {normal}");
        assert_eq!(say(schedule), english, "{expr}");
    }
    assert_eq!(say(crontab("0 0 30 2 *")), "never: February has no day 30");
    assert_eq!(say(crontab("0 0 30,31 2 *")), "never: February has no day 30 or 31");
    assert_eq!(say(crontab("0 0 31 4,6,feb *")), "never: February, April and June have no day 31");
}

#[test]
fn tables_are_said_in_english() {
    let rows = [
        (
            r#"{ month = "6-8,11-12", day = "3rd fri", hour = "0-3" }"#,
            "at 00:00, 01:00, 02:00 and 03:00, on the 3rd friday of the month, in june to august, \
             november and december",
        ),
        (r#"{ day_of_week = "mon-fri", hour = "5", minute = "30" }"#, "at 05:30, monday to friday"),
        (r#"{ year = "2027" }"#, "at 00:00, on day 1 of the month, in january, in 2027"),
        (r#"{ week = "1-9/4", day_of_week = "mon" }"#, "at 00:00, monday, in ISO weeks 1, 5 and 9"),
        (
            r#"{ day = "1st mon,last", hour = "6" }"#,
            "at 06:00, on the 1st monday and the last day of the month",
        ),
    ];
    for (text, english) in rows {
        let schedule = table(text);
        let normal = words::normalised(&schedule).unwrap();
        assert_eq!(read(&normal), schedule, "{text} read again from {normal}");
        assert_eq!(say(schedule), english, "{text}");
    }
}

fn field(min: u32, max: u32, extra: &'static [&'static str]) -> impl Strategy<Value = String> {
    let value = min..=max;
    let range = (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
    let item = prop_oneof![
        value.clone().prop_map(|v| v.to_string()),
        range.clone(),
        (range, 1..8u32).prop_map(|(range, step)| format!("{range}/{step}")),
        (value, 1..9u32).prop_map(|(v, step)| format!("{v}/{step}")),
        (1..30u32).prop_map(|step| format!("*/{step}")),
        Just("*".to_owned()),
        proptest::sample::select(if extra.is_empty() { &["*"] } else { extra })
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(item, 1..4).prop_map(|items| items.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_normal_form_reads_back_as_the_same_schedule(
        second in prop_oneof![Just("0".to_owned()), field(0, 59, &[])],
        minute in field(0, 59, &[]),
        hour in field(0, 23, &[]),
        day in field(1, 31, &["L", "LW", "L-3", "L-2W", "15W", "1W"]),
        month in field(1, 12, &["jan-mar", "dec"]),
        weekday in field(0, 7, &["fri#3", "5L", "mon-wed", "friL", "sat", "mon-fri#1"]),
        year in prop_oneof![
            5 => Just(""),
            1 => prop::sample::select(&[" *", " 2027", " */2", " 1066,2030-2040/3", " 2027/5"][..]),
        ],
    ) {
        let expr = format!("{second} {minute} {hour} {day} {month} {weekday}{year}");
        let schedule = crontab(&expr);
        match words::normalised(&schedule) {
            Some(normal) => {
                prop_assert_eq!(read(&normal), schedule, "{} read again from {}", expr, normal);
            }
            // Only what is impossible cannot be written.
            None => prop_assert_eq!(schedule.next_at_or_after(0), None, "{}", expr),
        }
        // Saying it is not to fail either.
        prop_assert!(!say(crontab(&expr)).is_empty());
    }
}

#[test]
fn how_long_something_took_is_said_for_people() {
    let micros = |micros| words::elapsed(std::time::Duration::from_micros(micros));
    let rows = [
        (56, "<1ms"),
        (12_345, "12ms"),
        (999_999, "999ms"),
        (1_000_000, "1s"),
        (1_460_000, "1.4s"),
        (59_990_000, "59.9s"),
        (192_900_000, "3m 12s"),
        (90_000_000_000, "1d 1h"),
    ];
    for (given, expected) in rows {
        assert_eq!(micros(given), expected);
    }
}

#[test]
fn a_time_that_is_near_is_said_in_short() {
    let now = schedrs::instant::Instant::from_secs(1_767_268_800);
    let soon =
        |secs| words::soon(now.plus(std::time::Duration::from_secs(secs)), now, &Zone::utc());
    assert_eq!(soon(10), "12:00:10");
    assert_eq!(soon(86_400), "Fri 12:00:00");
    assert_eq!(soon(7 * 86_400), "8 Jan 2026 12:00");
}
