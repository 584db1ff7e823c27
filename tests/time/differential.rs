//! Other people's engines, on plain UTC, where there is no daylight saving to differ about: the
//! `cron` crate, `croner` and `cron-parser` have to agree on every due time of tens of thousands
//! of random schedules.
//!
//! Each is given the same schedule in its own dialect. `cron` is Quartz-like (seconds first,
//! years, sunday = 1, both day fields have to match), `cron-parser` reads five fields and also
//! wants both day fields to match: for these two the fields are written out as plain lists, and
//! crontab(5)'s *either* is the union of two of their schedules. `croner` reads the crontab text
//! as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop")]

use std::str::FromStr;

use crate::common::rng::Rng;
use crate::common::spec::{self, Focus, Spec, Text};
use chrono::{DateTime, Timelike, Utc};
use schedrs::instant::Instant;
use schedrs::trigger::CronTrigger;
use schedrs::zone::Zone;

/// No list goes beyond 2090-01-01: `cron` knows no year after 2100.
const LIMIT: i64 = 3_786_912_000;
/// How many due times are compared for one schedule.
const FIRES: usize = 150;

/// The due times after `from`, by our engine.
fn ours(spec: &Spec, from: i64) -> Vec<i64> {
    let trigger = CronTrigger::new([spec::schedule(&spec.text)], Zone::utc(), None, None);
    let mut at = Instant::from_secs(from);
    std::iter::from_fn(|| {
        at = trigger.next_after(at).filter(|due| due.secs() < LIMIT)?;
        Some(at.secs())
    })
    .take(FIRES)
    .collect()
}

/// The first due times of the union of several lists, each sorted and without an end of its own.
fn union(parts: Vec<Box<dyn Iterator<Item = i64> + '_>>) -> Vec<i64> {
    let mut all: Vec<i64> = parts.into_iter().flat_map(|part| part.take(FIRES)).collect();
    all.sort_unstable();
    all.dedup();
    all.truncate(FIRES);
    all
}

/// The numbers of a set, counted on by `shift`, as a list.
fn list(set: &[bool], shift: usize) -> String {
    let numbers = (0..set.len()).filter(|number| set[*number]);
    numbers.map(|number| (number + shift).to_string()).collect::<Vec<_>>().join(",")
}

/// The weekdays as a list with sunday = `sunday`.
fn weekdays(spec: &Spec, sunday: usize) -> String {
    let from_sunday: [bool; 7] = std::array::from_fn(|day| spec.weekdays[(day + 6) % 7]);
    list(&from_sunday, sunday)
}

/// Day of month and day of week as one or, for crontab(5)'s *either*, two pairs that both have
/// to match.
fn days(spec: &Spec, sunday: usize) -> Vec<(String, String)> {
    let (days, weekdays) = (list(&spec.days[1..], 1), weekdays(spec, sunday));
    if spec.either {
        vec![(days, "*".into()), ("*".into(), weekdays)]
    } else {
        vec![(days, weekdays)]
    }
}

fn has_rules(spec: &Spec) -> bool {
    !spec.day_rules.is_empty() || !spec.weekday_rules.is_empty() || spec.weeks.is_some()
}

/// A random schedule and an instant near which it has something to do.
fn random(rng: &mut Rng, wanted: impl Fn(&Spec) -> bool) -> (Spec, i64) {
    loop {
        // 1990 to 2060.
        let from = rng.within(631_152_000..=2_840_140_800);
        let at = DateTime::from_timestamp(from, 0).unwrap().naive_utc();
        let focus =
            rng.chance(50).then(|| Focus { date: at.date(), hour: at.hour(), minute: at.minute() });
        let spec = if rng.chance(60) {
            spec::crontab(rng, focus, true)
        } else {
            spec::fields(rng, focus, true)
        };
        if wanted(&spec) {
            return (spec, from);
        }
    }
}

fn agree(spec: &Spec, from: i64, theirs: &[i64], peer: &str) -> usize {
    let ours = ours(spec, from);
    if ours != theirs {
        let differ = ours.iter().zip(theirs).position(|(our, their)| our != their);
        let at = differ.unwrap_or(ours.len().min(theirs.len()));
        let show = |list: &[i64]| list.get(at).copied().map(Instant::from_secs);
        panic!(
            "{:?} from {:?}: due time {at} is {:?}, and {:?} for {peer}",
            spec.text,
            Instant::from_secs(from),
            show(&ours),
            show(theirs)
        );
    }
    ours.len()
}

#[test]
fn the_cron_crate_agrees() {
    let mut rng = Rng::new(11);
    let (mut schedules, mut dues) = (0, 0);
    while schedules < 20_000 {
        let (spec, from) = random(&mut rng, |spec| {
            // It has no L, W and #, no ISO weeks, and no year after 2100.
            !has_rules(spec)
                && spec
                    .years
                    .as_ref()
                    .is_none_or(|years| years.iter().all(|year| (1970..=2100).contains(year)))
        });
        let years = spec.years.as_ref().map_or("*".to_owned(), |years| {
            years.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
        });
        let theirs: Vec<cron::Schedule> = days(&spec, 1)
            .into_iter()
            .map(|(day, weekday)| {
                let [seconds, minutes] = [&spec.seconds, &spec.minutes].map(|set| list(set, 0));
                let (hours, months) = (list(&spec.hours, 0), list(&spec.months[1..], 1));
                let text = format!("{seconds} {minutes} {hours} {day} {months} {weekday} {years}");
                cron::Schedule::from_str(&text).unwrap()
            })
            .collect();
        let after = DateTime::<Utc>::from_timestamp(from, 0).unwrap();
        let parts = theirs.iter().map(|schedule| {
            let dues = schedule.after(&after).map(|due| due.timestamp());
            Box::new(dues.take_while(|due| *due < LIMIT)) as Box<dyn Iterator<Item = i64>>
        });
        dues += agree(&spec, from, &union(parts.collect()), "cron");
        schedules += 1;
    }
    assert!(dues > 1_000_000, "{schedules} schedules, {dues} due times");
}

#[test]
fn croner_agrees() {
    use croner::parser::{CronParser, Seconds};

    let parser = CronParser::builder().seconds(Seconds::Optional).sloppy_ranges(true).build();
    let mut rng = Rng::new(12);
    let (mut schedules, mut dues, mut refused) = (0, 0, 0);
    while schedules < 15_000 {
        let (spec, from) =
            random(&mut rng, |spec| matches!(spec.text, Text::Crontab(_)) && spec.years.is_none());
        let Text::Crontab(text) = &spec.text else { continue };
        // For croner a day field is free only if it is `*` alone; for crontab(5), if it begins
        // with one. Its `+` says that both have to match.
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let last = words.len() - 1;
        let free = |word: &String| word == "*" || word == "?";
        if !spec.either && !free(&words[last]) && !free(&words[last - 2]) {
            words[last].insert(0, '+');
        }
        // It reads a `sun` that ends a range as 7, whatever it begins with: `sun-sun` is every day.
        let lower = words[last].to_ascii_lowercase();
        if lower.contains("sun-sun") || lower.contains("0-sun") {
            continue;
        }
        // Its week goes on to a Sunday that is 7: for it `mon/3` has that too.
        if words[last].split(',').any(|item| item.contains('/') && !item.contains(['-', '*'])) {
            continue;
        }
        // It forgets the `L` of a list that also has a `W`.
        let day = &words[last - 2];
        if day.split(',').any(|item| item == "L") && day.contains('W') {
            continue;
        }
        let Ok(theirs) = parser.parse(&words.join(" ")) else {
            // It has no `L-3` and no ranges that wrap, and our random ranges wrap half the time.
            refused += 1;
            continue;
        };
        let mut at = DateTime::<Utc>::from_timestamp(from, 0).unwrap();
        let list: Vec<i64> = std::iter::from_fn(|| {
            at = theirs.find_next_occurrence(&at, false).ok()?;
            Some(at.timestamp()).filter(|due| *due < LIMIT)
        })
        .take(FIRES)
        .collect();
        dues += agree(&spec, from, &list, "croner");
        schedules += 1;
    }
    assert!(dues > 1_000_000, "{schedules} schedules, {dues} due times");
    assert!(refused < 2 * schedules, "{refused} refused");
}

#[test]
fn cron_parser_agrees() {
    let mut rng = Rng::new(13);
    let (mut schedules, mut dues) = (0, 0);
    while schedules < 10_000 {
        let (spec, from) = random(&mut rng, |spec| {
            let at_zero = (0..60).all(|second| spec.seconds[second] == (second == 0));
            !has_rules(spec) && spec.years.is_none() && at_zero
        });
        let theirs: Vec<cron_parser::Schedule> = days(&spec, 0)
            .into_iter()
            .filter_map(|(day, weekday)| {
                let (minutes, hours) = (list(&spec.minutes, 0), list(&spec.hours, 0));
                let months = list(&spec.months[1..], 1);
                let text = format!("{minutes} {hours} {day} {months} {weekday}");
                match cron_parser::Schedule::parse(&text) {
                    Ok(schedule) => Some(schedule),
                    // It refuses what we say never fires.
                    Err(error)
                        if error.kind() == &cron_parser::ParseErrorKind::ImpossibleSchedule =>
                    {
                        None
                    }
                    Err(error) => panic!("{text}: {error}"),
                }
            })
            .collect();
        let after = DateTime::<Utc>::from_timestamp(from, 0).unwrap();
        let parts = theirs.iter().map(|schedule| {
            let dues = schedule.after(&after).map(|due| due.timestamp());
            Box::new(dues.take_while(|due| *due < LIMIT)) as Box<dyn Iterator<Item = i64>>
        });
        dues += agree(&spec, from, &union(parts.collect()), "cron-parser");
        schedules += 1;
    }
    assert!(dues > 500_000, "{schedules} schedules, {dues} due times");
}

/// The translation itself, on a case that can be worked out by hand.
#[test]
fn a_friday_the_13th_is_either() {
    let mut rng = Rng::new(14);
    let (mut spec, _) = random(&mut rng, |spec| spec.either && !has_rules(spec));
    spec.days = std::array::from_fn(|day| day == 13);
    spec.weekdays = std::array::from_fn(|day| day == 4);
    assert_eq!(days(&spec, 1), [("13".to_owned(), "*".to_owned()), ("*".into(), "6".into())]);
    assert_eq!(weekdays(&spec, 0), "5");
}
