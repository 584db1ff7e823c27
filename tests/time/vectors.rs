//! What the peers answered: `data/apscheduler.jsonl` holds due times that APScheduler 3.11.3
//! computed, `data/crontab.jsonl` those of Vixie cron and cronie by brute force over every minute.
//! `data/forms.jsonl` holds forms that other libraries take, with what their own tests expect.
//! `data/calendar-interval.jsonl` holds those that APScheduler 4's `CalendarIntervalTrigger` computed.
//! In the lines marked `dst` the peers disagree with each other, and `due` follows `doc/time.md`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test may stop")]

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use schedrs::instant::Instant;
use schedrs::trigger::calendar_interval::CalendarStep;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::cron::fields::{Builder, Field};
use schedrs::trigger::{
    CalendarIntervalTrigger, CronTrigger, DateTrigger, IntervalTrigger, Trigger,
};
use schedrs::zone::{Database, Zone};
use serde_json::Value;

fn instant(text: &str) -> Instant {
    Instant::from_micros(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
}

/// A text as APScheduler takes it: with an offset, or on the zone's clocks.
fn date(value: &Value, zone: &Zone) -> Option<Instant> {
    let text = value.as_str()?.replacen(' ', "T", 1);
    if let Ok(at) = DateTime::parse_from_rfc3339(&text) {
        return Some(Instant::from_micros(at.timestamp_micros()));
    }
    let wall = text
        .parse::<NaiveDateTime>()
        .unwrap_or_else(|_| text.parse::<NaiveDate>().unwrap().and_hms_opt(0, 0, 0).unwrap());
    Some(zone.instant_of(wall.and_utc().timestamp()))
}

fn field(case: &Value, name: &str) -> u64 {
    case["fields"][name].as_str().map_or(0, |n| n.parse().unwrap())
}

/// The trigger of a case; `None` where schedrs refuses on purpose what APScheduler takes.
fn trigger(case: &Value, zone: &Zone) -> Option<Trigger> {
    let [start, end] = ["start_date", "end_date"].map(|key| date(&case[key], zone));
    let cron = |schedule| CronTrigger::new([schedule], zone.clone(), start, end);
    if let Some(expr) = case["expr"].as_str() {
        let mut flaws = Vec::new();
        match crontab::parse(expr, "job", &mut flaws) {
            Some(Crontab::Schedule(schedule)) => {
                return Some(Trigger::Cron(cron(schedule).into()));
            }
            _ => panic!("{expr}: {flaws:?}"),
        }
    }
    match case["kind"].as_str().unwrap() {
        "date" => {
            let at = date(&case["fields"]["run_date"], zone).unwrap();
            Some(Trigger::Date(DateTrigger::At(at)))
        }
        "interval" => {
            let days = field(case, "weeks") * 7 + field(case, "days");
            let minutes = (days * 24 + field(case, "hours")) * 60 + field(case, "minutes");
            let seconds = minutes * 60 + field(case, "seconds");
            // APScheduler makes an interval of 0 one of 1 s; in a jobfile it is an error.
            (seconds > 0).then(|| {
                let every = Duration::from_secs(seconds);
                let from = instant(case["from"].as_str().unwrap());
                Trigger::Interval(IntervalTrigger::new(every, start, end)).anchored(from)
            })
        }
        "cron" => {
            let mut builder = Builder::default();
            let mut flaws = Vec::new();
            for (name, text) in case["fields"].as_object().unwrap() {
                let field = Field::ALL.into_iter().find(|field| field.key() == name).unwrap();
                let text = text.as_str().unwrap();
                assert!(builder.set(field, text, &mut flaws), "{name} = {text}: {flaws:?}");
            }
            Some(Trigger::Cron(cron(builder.build()).into()))
        }
        kind => panic!("unknown kind {kind}"),
    }
}

fn check(data: &str) -> (usize, usize) {
    let zones = Database::open(None);
    let (mut checked, mut refused, mut wrong) = (0, 0, Vec::new());
    for line in data.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let zone = zones.get(case["timezone"].as_str().unwrap()).unwrap();
        let Some(trigger) = trigger(&case, &zone) else {
            refused += 1;
            continue;
        };
        let expected: Vec<Instant> = case["due"]
            .as_array()
            .unwrap()
            .iter()
            .map(|due| instant(due.as_str().unwrap()))
            .collect();
        // APScheduler's answers include `from` itself; crontab's are strictly after it.
        let from = instant(case["from"].as_str().unwrap());
        let strict = case["expr"].is_string();
        let mut at = if strict { from } else { from.minus(Duration::from_micros(1)) };
        let due: Vec<Instant> = std::iter::from_fn(|| {
            at = trigger.next_after(at)?;
            Some(at)
        })
        .take(8)
        .collect();
        // The answers were collected over two decades or more: a list that is shorter than eight
        // says that there is none before that.
        let decades = from.plus(Duration::from_secs(20 * 365 * 86_400));
        let (listed, later) = due.split_at(expected.len().min(due.len()));
        checked += 1;
        if listed != expected || later.iter().any(|due| *due < decades) {
            wrong.push(format!("{line}\n  got {due:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{} of {checked} differ:\n{}", wrong.len(), wrong.concat());
    (checked, refused)
}

#[test]
fn apscheduler_answers_the_same() {
    assert_eq!(check(include_str!("../data/apscheduler.jsonl")), (339, 1));
}

#[test]
fn vixie_cron_answers_the_same() {
    assert_eq!(check(include_str!("../data/crontab.jsonl")), (170, 0));
}

/// The forms of other libraries that are read here; every other one is refused with advice.
const READ: [&str; 7] = [
    "L-3W",
    "fri#L (last)",
    "full or long names (monday, sept)",
    "range before # (mon-fri#1)",
    "range before L (mon-friL)",
    "year as the last of six fields",
    "year field (7th)",
];

/// How many due times may be asked for before the one that a row is about.
const NTH: u64 = 100;

#[test]
fn forms_of_other_libraries() {
    let (mut read, mut refused) = (0, 0);
    for line in include_str!("../data/forms.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (expr, why) = (case["expr"].as_str().unwrap(), case["why"].as_str().unwrap());
        let mut flaws = Vec::new();
        let parsed = crontab::parse(expr, "job", &mut flaws);
        if !READ.contains(&why) {
            assert_eq!(parsed, None, "{line}");
            assert!(flaws.iter().all(|flaw| flaw.help.is_some()), "{line}: {flaws:?}");
            refused += 1;
            continue;
        }
        let Some(Crontab::Schedule(schedule)) = parsed else { panic!("{line}: {flaws:?}") };
        let zone = Database::bundled().get(case["zone"].as_str().unwrap_or("UTC")).unwrap();
        let cron = CronTrigger::new([schedule], zone, None, None);
        read += 1;
        // Where that library has another rule for days or clock changes, only the form is looked at.
        if case["other"].is_null() {
            form(&cron, &case, line);
        }
    }
    assert_eq!((read, refused), (56, 66));
}

/// What the tests of a library expect of a form.
fn form(cron: &CronTrigger, case: &Value, line: &str) {
    let at = |key: &str| case[key].as_str().map(instant);
    if let Some(due) = at("at") {
        let is_due = cron.next_after(due.just_before()) == Some(due);
        assert_eq!(Some(is_due), case["due"].as_bool(), "{line}");
    }
    if let (Some(previous), Some(of)) = (at("prev"), at("of")) {
        assert_eq!(cron.next_after(previous.just_before()), Some(previous), "{line}");
        let next = cron.next_after(previous);
        assert!(next.is_none_or(|next| next >= of), "{line}: {next:?}");
    }
    let Some(mut from) = at("from") else { return };
    if case["incl"] == true {
        from = from.just_before();
    }
    for _ in 1..case["nth"].as_u64().unwrap_or(1).min(NTH) {
        from = cron.next_after(from).unwrap();
    }
    if case["never"] == true {
        assert_eq!(cron.next_after(from), None, "{line}");
    }
    for due in case["expect"].as_array().into_iter().flatten() {
        let next = cron.next_after(from);
        assert_eq!(next, Some(instant(due.as_str().unwrap())), "{line}");
        from = next.unwrap();
    }
}

#[test]
fn apscheduler_4_agrees_on_calendar_intervals() {
    let (mut rows, mut dues) = (0, 0);
    for line in include_str!("../data/calendar-interval.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let zone = Database::bundled().get(case["timezone"].as_str().unwrap()).unwrap();
        let number = |key: &str| case["fields"][key].as_u64().unwrap() as u32;
        let step = CalendarStep {
            months: number("years") * 12 + number("months"),
            days: number("weeks") * 7 + number("days"),
            day: None,
            time: Some(number("hour") * 3600 + number("minute") * 60 + number("second")),
        };
        // There an end is a whole day.
        let end = date(&case["end_date"], &zone)
            .map(|end| zone.instant_of(zone.wall_of(end) + 86_400).just_before());
        let start = date(&case["start_date"], &zone);
        let trigger = CalendarIntervalTrigger::new(step, zone, start, end);
        let mut at = instant(case["from"].as_str().unwrap()).just_before();
        let expected = case["due"].as_array().unwrap();
        for due in expected {
            let next = trigger.next_after(at);
            assert_eq!(next, Some(instant(due.as_str().unwrap())), "{line}");
            at = next.unwrap();
            dues += 1;
        }
        if expected.len() < 8 && case["dst"] == false {
            assert_eq!(trigger.next_after(at), None, "{line}");
        }
        rows += 1;
    }
    assert_eq!((rows, dues), (400, 3095));
}
