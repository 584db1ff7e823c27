use super::*;
use crate::core::calendar::ics::{day_of, rule_of};

/// Rows of another engine: a rule, when it begins, and the days on which it happens.
#[test]
fn days_are_those_of_another_engine() {
    let rows = include_str!("../../../../tests/data/calendars/rrule.jsonl");
    let mut count = 0;
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        let rule = rule_of(&text("start"), &text("rule"))
            .unwrap_or_else(|flaws| panic!("{row}: {flaws:?}"));
        let expected =
            row["on"].as_array().unwrap().iter().map(|day| day_of(day.as_str().unwrap()));
        let expected: Vec<i64> = expected.collect();
        let mut found = Vec::new();
        let mut day = i64::from(i32::MIN);
        while found.len() < expected.len() {
            match rule.next(day) {
                Next::On(next) => found.push(next),
                Next::NotBefore(_) => {}
                Next::Never => break,
            }
            day = match rule.next(day) {
                Next::On(next) => next,
                Next::NotBefore(next) => next - 1,
                Next::Never => break,
            };
        }
        assert_eq!(found, expected, "{row}");
        if row["ends"] == true {
            assert_eq!(rule.next(day), Next::Never, "{row}");
        }
        count += 1;
    }
    assert_eq!(count, 400);
}

/// The answer is later than what was asked about, and the same wherever one asks before it.
#[test]
fn the_laws_of_triggers_hold() {
    let rules = [
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH",
        "FREQ=MONTHLY;BYDAY=-1FR",
        "FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYDAY=20MO",
    ];
    for text in rules {
        let frequency = |start: &str| rule_of(start, text).ok();
        let starts = (1..=31).map(|day| format!("202401{day:02}T090000"));
        let starts = starts.chain(["20240229T090000".to_owned(), "20240513T090000".to_owned()]);
        let rule =
            starts.filter_map(|start| frequency(&start)).next().unwrap_or_else(|| panic!("{text}"));
        let from = rule.first.div_euclid(DAY) - 40;
        let mut last = None;
        for day in (from..from + 1200).rev() {
            let next = rule.next(day);
            let Next::On(next) = next else { panic!("{text}: {next:?}") };
            assert!(next > day, "{text}");
            assert!(last.is_none_or(|last| next <= last), "{text}");
            if let Some(last) = last
                && next != last
            {
                assert_eq!(
                    next,
                    day + 1,
                    "{text}: it is the day after, or the same as the day after says"
                );
            }
            last = Some(next);
        }
    }
}

/// What cannot be found soon says how far was looked, and what never happens ends.
#[test]
fn the_search_is_bounded() {
    let rule = Rule {
        frequency: Frequency::Daily,
        interval: 1,
        first: 0,
        until: i64::MAX,
        months: 1 << 2,
        month_days: Box::new([30]),
        days: Box::new([]),
        week_start: 0,
    };
    assert_eq!(rule.next(0), Next::NotBefore(PERIODS));
    let mut day = 0;
    let mut steps = 0;
    while let Next::NotBefore(next) = rule.next(day) {
        day = next - 1;
        steps += 1;
    }
    assert_eq!(rule.next(day), Next::Never);
    assert!(steps < 1000, "{steps}");
}
