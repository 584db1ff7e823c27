//! Rows of data for the table form: what each expression means, what is made of the fields that
//! are left out, and every message. When the schedules are due is tested in `tests/`.

use super::super::schedule::bits;
use super::*;
use crate::core::trigger::flaw::Severity;
use Field::{Day, DayOfWeek, Hour, Minute, Month, Second, Week, Year};

fn build(fields: &[(Field, &str)]) -> Schedule {
    let mut builder = Builder::default();
    let mut flaws = Vec::new();
    for (field, text) in fields {
        assert!(builder.set(*field, text, &mut flaws), "{field:?} = {text}: {flaws:?}");
    }
    builder.build()
}

/// The numbers of a set, three and more in a row as a range.
fn numbers(set: u64) -> Vec<String> {
    let numbers: Vec<u32> = (0..64).filter(|bit| set >> bit & 1 != 0).collect();
    let mut words = Vec::new();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        match run {
            [first, _, .., last] => words.push(format!("{first}-{last}")),
            few => words.extend(few.iter().map(u32::to_string)),
        }
    }
    words
}

/// What a field of a schedule says, in one way of writing it.
fn says(field: Field, schedule: &Schedule) -> String {
    let more = schedule.more().cloned().unwrap_or_default();
    let words = match field {
        Year => more
            .years
            .iter()
            .map(|years| format!("{}-{}/{}", years.first, years.last, years.step))
            .collect(),
        Month => numbers(schedule.months().into()),
        Day => {
            let mut words = numbers(schedule.days().into());
            for (weekday, name) in SHORT_WEEKDAYS.iter().enumerate() {
                words.extend(bits(more.nth[weekday].into()).map(|nth| match nth {
                    5 => format!("last {name}"),
                    nth => format!("{} {name}", POSITIONS[nth as usize]),
                }));
            }
            words.extend(bits(more.from_end).map(|before| format!("L-{before}")));
            words
        }
        Week => numbers(more.weeks),
        DayOfWeek => bits(schedule.weekdays().into())
            .map(|day| SHORT_WEEKDAYS[day as usize].to_owned())
            .collect(),
        Hour => numbers(schedule.hours().into()),
        Minute => numbers(schedule.minutes()),
        Second => numbers(schedule.seconds()),
    };
    words.join(" ")
}

#[test]
fn every_expression_means_what_it_should() {
    let rows = [
        (Year, "2026", "2026-2026/1"),
        (Year, "2026,2028", "2026-2026/1 2028-2028/1"),
        (Year, "2026-2030", "2026-2030/1"),
        (Year, "2020-2040/4", "2020-2040/4"),
        (Year, "2020/4", "2020-9999/4"),
        (Year, "1970", "1970-1970/1"),
        (Year, "9999", "9999-9999/1"),
        // Every year is no restriction.
        (Year, "*", ""),
        (Year, "*/1", ""),
        (Year, "1970-9999", ""),
        (Year, "2026,*", ""),
        (Month, "*", "1-12"),
        (Month, "1", "1"),
        (Month, "12", "12"),
        (Month, "6-8,11-12", "6-8 11 12"),
        (Month, "jan", "1"),
        (Month, "DEC", "12"),
        (Month, "Jan-mar", "1-3"),
        (Month, "jun-jun", "6"),
        (Month, "jan,mar , 12", "1 3 12"),
        (Month, "*/3", "1 4 7 10"),
        (Month, "2/5", "2 7 12"),
        (Month, "2-12/5", "2 7 12"),
        (Month, "*/11", "1 12"),
        (Day, "*", "1-31"),
        (Day, "1", "1"),
        (Day, "31", "31"),
        (Day, "1-7", "1-7"),
        (Day, "*/10", "1 11 21 31"),
        (Day, "*/30", "1 31"),
        (Day, "5/9", "5 14 23"),
        (Day, "1-31/5", "1 6 11 16 21 26 31"),
        (Day, "last", "L-0"),
        (Day, "LAST", "L-0"),
        (Day, "1st mon", "1st mon"),
        (Day, "2nd tue", "2nd tue"),
        (Day, "3rd FRI", "3rd fri"),
        (Day, "4th  sat", "4th sat"),
        (Day, "5th sun", "5th sun"),
        (Day, "Last Fri", "last fri"),
        (Day, "1,last,1st mon,last mon", "1 1st mon last mon L-0"),
        (Week, "1", "1"),
        (Week, "53", "53"),
        (Week, "*", "1-53"),
        (Week, "10-20/5", "10 15 20"),
        (Week, "*/26", "1 27 53"),
        // 0 is monday.
        (DayOfWeek, "0", "mon"),
        (DayOfWeek, "6", "sun"),
        (DayOfWeek, "0-4", "mon tue wed thu fri"),
        (DayOfWeek, "*", "mon tue wed thu fri sat sun"),
        (DayOfWeek, "*/2", "mon wed fri sun"),
        (DayOfWeek, "*/6", "mon sun"),
        (DayOfWeek, "1/2", "tue thu sat"),
        (DayOfWeek, "mon", "mon"),
        (DayOfWeek, "SUN", "sun"),
        (DayOfWeek, "Mon-Fri", "mon tue wed thu fri"),
        (DayOfWeek, "mon,wed,sat-sun", "mon wed sat sun"),
        (Hour, "0", "0"),
        (Hour, "23", "23"),
        (Hour, "0-3", "0-3"),
        (Hour, "*", "0-23"),
        (Hour, "*/6", "0 6 12 18"),
        (Hour, "*/23", "0 23"),
        (Hour, "9-17/4", "9 13 17"),
        (Hour, "20/2", "20 22"),
        (Minute, "59", "59"),
        (Minute, "007", "7"),
        (Minute, "*/15", "0 15 30 45"),
        (Minute, "*/59", "0 59"),
        (Minute, "58/1", "58 59"),
        (Minute, " 1 , 2 ", "1 2"),
        (Second, "*/20", "0 20 40"),
        (Second, "0-59/30", "0 30"),
    ];
    for (field, text, wanted) in rows {
        let schedule = build(&[(field, text), (Second, if field == Second { text } else { "0" })]);
        assert_eq!(says(field, &schedule), wanted, "{field:?} {text}");
    }
}

#[test]
fn fields_that_are_left_out() {
    // What is given, and then month, day, day_of_week, hour, minute, second; recurring.
    let all = ("1-12", "1-31", "0-23", "0-59");
    type Row = (&'static [(Field, &'static str)], [&'static str; 5], bool);
    let rows: [Row; 10] = [
        (&[(Year, "2026")], ["1", "1", "0", "0", "0"], false),
        (&[(Month, "6")], ["6", "1", "0", "0", "0"], false),
        (&[(Day, "15")], [all.0, "15", "0", "0", "0"], false),
        (&[(Week, "10")], [all.0, all.1, "0", "0", "0"], false),
        (&[(DayOfWeek, "fri")], [all.0, all.1, "0", "0", "0"], false),
        (&[(Hour, "5")], [all.0, all.1, "5", "0", "0"], false),
        (&[(Minute, "30")], [all.0, all.1, all.2, "30", "0"], true),
        (&[(Second, "15")], [all.0, all.1, all.2, all.3, "15"], true),
        (&[(Year, "2026"), (Minute, "30")], [all.0, all.1, all.2, "30", "0"], true),
        (&[(Month, "6"), (Hour, "5"), (Second, "1")], ["6", all.1, "5", all.3, "1"], true),
    ];
    for (given, wanted, recurring) in rows {
        let schedule = build(given);
        let got = [Month, Day, Hour, Minute, Second].map(|field| says(field, &schedule));
        assert_eq!(got, wanted, "{given:?}");
        assert_eq!(schedule.is_recurring(), recurring, "{given:?}");
        assert!(!schedule.is_either());
        if !given.iter().any(|(field, _)| *field == DayOfWeek) {
            assert_eq!(schedule.weekdays(), ALL_WEEKDAYS, "{given:?}");
        }
        if !given.iter().any(|(field, _)| *field == Week) {
            assert_eq!(says(Week, &schedule), "1-53", "{given:?}");
        }
    }
    // The order in which they are given does not matter.
    let there = build(&[(Month, "6"), (Hour, "5")]);
    assert_eq!(there, build(&[(Hour, "5"), (Month, "6")]));
}

#[test]
fn recurring() {
    // Of hour, minute and second.
    let rows = [
        ("1", "30", "0", false),
        ("1,2", "0,30", "0,1", false),
        ("*", "30", "0", true),
        ("1-2", "30", "0", true),
        ("1-1", "30", "0", true),
        ("*/2", "30", "0", true),
        ("1/2", "30", "0", true),
        ("1", "*", "0", true),
        ("1", "0,10-20", "0", true),
        ("1", "30", "*/30", true),
    ];
    for (hour, minute, second, recurring) in rows {
        let schedule = build(&[(Hour, hour), (Minute, minute), (Second, second)]);
        assert_eq!(schedule.is_recurring(), recurring, "{hour} {minute} {second}");
    }
    // A range of days does not make it one.
    let days = [(Month, "1-6"), (Day, "*/2"), (DayOfWeek, "mon-fri"), (Hour, "5")];
    assert!(!build(&days).is_recurring());
}

/// A row of what is wrong with a field: the text its span is, the message and the help.
type Row = (Field, &'static str, &'static str, &'static str, Option<&'static str>);

fn check(severity: Severity, rows: &[Row]) {
    let mut wrong = String::new();
    for (field, text, at, message, help) in rows {
        let mut flaws = Vec::new();
        let sound = Builder::default().set(*field, text, &mut flaws);
        assert_eq!(sound, severity == Severity::Warning, "{field:?} {text}: {flaws:?}");
        let got: Vec<_> = flaws
            .iter()
            .map(|flaw| (&text[flaw.span.clone()], &*flaw.message, flaw.help.as_deref()))
            .collect();
        assert!(flaws.iter().all(|flaw| flaw.severity == severity), "{text}: {flaws:?}");
        if got != [(*at, *message, *help)] {
            for (at, message, help) in got {
                wrong += &format!("({field:?}, {text:?}, {at:?}, {message:?}, {help:?}),\n");
            }
        }
    }
    assert!(wrong.is_empty(), "got\n{wrong}");
}

#[test]
fn errors() {
    check(
        Severity::Error,
        &[
            (
                Year,
                "1969",
                "1969",
                "year 1969 is out of range 1970-9999",
                Some("allowed: 1970-9999"),
            ),
            (
                Year,
                "10000",
                "10000",
                "year 10000 is out of range 1970-9999",
                Some("allowed: 1970-9999"),
            ),
            (
                Year,
                "99999999999",
                "99999999999",
                "`99999999999`: out of range 1970-9999",
                Some("allowed: 1970-9999"),
            ),
            (
                Year,
                "jan",
                "jan",
                "`jan` is not a year expression",
                Some("allowed: 1970-9999, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Year,
                "2026-2020",
                "2026-2020",
                "the range `2026-2020` runs backwards",
                Some("the earlier year comes first"),
            ),
            (Month, "0", "0", "month 0 is out of range 1-12", Some("allowed: 1-12 or jan-dec")),
            (Month, "13", "13", "month 13 is out of range 1-12", Some("allowed: 1-12 or jan-dec")),
            (Month, "janury", "janury", "`janury` is not a month", Some("did you mean `jan`?")),
            (Month, "jna", "jna", "`jna` is not a month", Some("did you mean `jan`?")),
            (
                Month,
                "xyz",
                "xyz",
                "`xyz` is not a month",
                Some("allowed: jan feb mar apr may jun jul aug sep oct nov dec"),
            ),
            (
                Month,
                "jan-xyz",
                "jan-xyz",
                "`xyz` is not a month",
                Some("allowed: jan feb mar apr may jun jul aug sep oct nov dec"),
            ),
            (
                Month,
                "dec-feb",
                "dec-feb",
                "the range `dec-feb` runs backwards",
                Some("a range in the table form does not wrap: write `dec,jan-feb`"),
            ),
            (
                Month,
                "11-2",
                "11-2",
                "the range `11-2` runs backwards",
                Some("a range in the table form does not wrap: write `11-12,1-2`"),
            ),
            (
                Month,
                "jan/2",
                "jan/2",
                "`jan/2` is not a month expression",
                Some("allowed: 1-12 or jan-dec, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Month,
                "*/12",
                "*/12",
                "a step of 12 is wider than the range of `*/12`",
                Some("from 1 to 12 a step is at most 11"),
            ),
            (
                Day,
                "0",
                "0",
                "day 0 is out of range 1-31",
                Some("allowed: 1-31, `last`, `3rd fri` or `last fri`"),
            ),
            (
                Day,
                "32",
                "32",
                "day 32 is out of range 1-31",
                Some("allowed: 1-31, `last`, `3rd fri` or `last fri`"),
            ),
            (
                Day,
                "30-2",
                "30-2",
                "the range `30-2` runs backwards",
                Some("a range in the table form does not wrap: write `30-31,1-2`"),
            ),
            (
                Day,
                "lastday",
                "lastday",
                "`lastday` is not a day expression",
                Some(
                    "allowed: 1-31, `last`, `3rd fri` or `last fri`, `a-b`, `*/n`, `a-b/n` and lists of them",
                ),
            ),
            (
                Day,
                "last day",
                "last day",
                "`day` is not a weekday",
                Some("allowed: mon tue wed thu fri sat sun"),
            ),
            (
                Day,
                "6th fri",
                "6th fri",
                "`6th fri` is not a day expression",
                Some(
                    "allowed: 1-31, `last`, `3rd fri` or `last fri`, `a-b`, `*/n`, `a-b/n` and lists of them",
                ),
            ),
            (
                Day,
                "3rd",
                "3rd",
                "`3rd` is not a day expression",
                Some(
                    "allowed: 1-31, `last`, `3rd fri` or `last fri`, `a-b`, `*/n`, `a-b/n` and lists of them",
                ),
            ),
            (Day, "3rd frii", "3rd frii", "`frii` is not a weekday", Some("did you mean `fri`?")),
            (
                Day,
                "3rd foo",
                "3rd foo",
                "`foo` is not a weekday",
                Some("allowed: mon tue wed thu fri sat sun"),
            ),
            (
                Day,
                "3rd fri extra",
                "3rd fri extra",
                "`3rd fri extra` is not a day expression",
                Some(
                    "allowed: 1-31, `last`, `3rd fri` or `last fri`, `a-b`, `*/n`, `a-b/n` and lists of them",
                ),
            ),
            (
                Day,
                "fri",
                "fri",
                "`fri` is not a day expression",
                Some(
                    "allowed: 1-31, `last`, `3rd fri` or `last fri`, `a-b`, `*/n`, `a-b/n` and lists of them",
                ),
            ),
            (
                Day,
                "L",
                "L",
                "`L` is not a day expression",
                Some(
                    "allowed: 1-31, `last`, `3rd fri` or `last fri`, `a-b`, `*/n`, `a-b/n` and lists of them",
                ),
            ),
            (
                Day,
                "*/31",
                "*/31",
                "a step of 31 is wider than the range of `*/31`",
                Some("from 1 to 31 a step is at most 30"),
            ),
            (Week, "0", "0", "week 0 is out of range 1-53", Some("allowed: 1-53")),
            (Week, "54", "54", "week 54 is out of range 1-53", Some("allowed: 1-53")),
            (
                Week,
                "mon",
                "mon",
                "`mon` is not a week expression",
                Some("allowed: 1-53, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                DayOfWeek,
                "7",
                "7",
                "day_of_week 7 is out of range 0-6",
                Some("0 is Monday here, so Sunday is 6: better write `sun`"),
            ),
            (
                DayOfWeek,
                "8",
                "8",
                "day_of_week 8 is out of range 0-6",
                Some("allowed: mon-sun, or 0-6 (0 is Monday)"),
            ),
            (
                DayOfWeek,
                "monnday",
                "monnday",
                "`monnday` is not a day_of_week",
                Some("did you mean `mon`?"),
            ),
            (DayOfWeek, "mno", "mno", "`mno` is not a day_of_week", Some("did you mean `mon`?")),
            (
                DayOfWeek,
                "fri-mon",
                "fri-mon",
                "the range `fri-mon` runs backwards",
                Some("a range in the table form does not wrap: write `fri-sun,mon`"),
            ),
            (
                DayOfWeek,
                "sun-mon",
                "sun-mon",
                "the range `sun-mon` runs backwards",
                Some("a range in the table form does not wrap: write `sun,mon`"),
            ),
            (
                DayOfWeek,
                "mon-fri/2",
                "mon-fri/2",
                "`mon-fri/2` is not a day_of_week expression",
                Some("names cannot have a step: list them, as in `mon,wed,fri`"),
            ),
            (
                DayOfWeek,
                "mon/2",
                "mon/2",
                "`mon/2` is not a day_of_week expression",
                Some("names cannot have a step: list them, as in `mon,wed,fri`"),
            ),
            (
                DayOfWeek,
                "3rd fri",
                "3rd fri",
                "`3rd fri` is not a day_of_week expression",
                Some("`3rd fri` belongs in `day`: `day = \"3rd fri\"`"),
            ),
            (
                DayOfWeek,
                "fri#3",
                "fri#3",
                "`fri#3` is not a day_of_week expression",
                Some("`3rd fri` belongs in `day`: `day = \"3rd fri\"`"),
            ),
            (
                DayOfWeek,
                "mon-",
                "mon-",
                "`mon-` is not a day_of_week expression",
                Some(
                    "allowed: mon-sun, or 0-6 (0 is Monday), `a-b`, `*/n`, `a-b/n` and lists of them",
                ),
            ),
            (
                DayOfWeek,
                "*/7",
                "*/7",
                "a step of 7 is wider than the range of `*/7`",
                Some("from 0 to 6 a step is at most 6"),
            ),
            (Hour, "24", "24", "hour 24 is out of range 0-23", Some("midnight is hour 0")),
            (Hour, "25", "25", "hour 25 is out of range 0-23", Some("allowed: 0-23")),
            (
                Hour,
                "-1",
                "-1",
                "`-1` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "22-2",
                "22-2",
                "the range `22-2` runs backwards",
                Some("a range in the table form does not wrap: write `22-23,0-2`"),
            ),
            (
                Hour,
                "*/24",
                "*/24",
                "a step of 24 is wider than the range of `*/24`",
                Some("from 0 to 23 a step is at most 23"),
            ),
            (
                Hour,
                "1-3/3",
                "1-3/3",
                "a step of 3 is wider than the range of `1-3/3`",
                Some("from 1 to 3 a step is at most 2"),
            ),
            (
                Hour,
                "23/1",
                "23/1",
                "a step of 1 is wider than the range of `23/1`",
                Some("leave out the step"),
            ),
            (
                Hour,
                "5/0",
                "5/0",
                "a step of 0 in the hour field",
                Some("a step must be at least 1"),
            ),
            (
                Hour,
                "*/0",
                "*/0",
                "a step of 0 in the hour field",
                Some("a step must be at least 1"),
            ),
            (
                Hour,
                "mon",
                "mon",
                "`mon` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "*/",
                "*/",
                "`*/` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "*/x",
                "*/x",
                "`*/x` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "*5",
                "*5",
                "`*5` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "**",
                "**",
                "`**` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "1-2-3",
                "1-2-3",
                "`1-2-3` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "1/2/3",
                "1/2/3",
                "`1/2/3` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "1-",
                "1-",
                "`1-` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "1.5",
                "1.5",
                "`1.5` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "5 6",
                "5 6",
                "`5 6` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Hour,
                "?",
                "?",
                "`?` is not an hour expression",
                Some("allowed: 0-23, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (Minute, "60", "60", "minute 60 is out of range 0-59", Some("allowed: 0-59")),
            (
                Minute,
                "99999999999999999999",
                "99999999999999999999",
                "`99999999999999999999`: out of range 0-59",
                Some("allowed: 0-59"),
            ),
            (
                Minute,
                "*/60",
                "*/60",
                "a step of 60 is wider than the range of `*/60`",
                Some("from 0 to 59 a step is at most 59"),
            ),
            (Minute, "", "", "an empty expression in the minute field", Some("allowed: 0-59")),
            (Minute, "   ", "", "an empty expression in the minute field", Some("allowed: 0-59")),
            (Minute, "1,", "", "an empty expression in the minute field", Some("allowed: 0-59")),
            (Minute, ",1", "", "an empty expression in the minute field", Some("allowed: 0-59")),
            (
                Minute,
                "H",
                "H",
                "`H` is not a minute expression",
                Some("allowed: 0-59, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (
                Minute,
                "é",
                "é",
                "`é` is not a minute expression",
                Some("allowed: 0-59, `a-b`, `*/n`, `a-b/n` and lists of them"),
            ),
            (Second, "60", "60", "second 60 is out of range 0-59", Some("allowed: 0-59")),
            (
                Second,
                "10-5",
                "10-5",
                "the range `10-5` runs backwards",
                Some("a range in the table form does not wrap: write `10-59,0-5`"),
            ),
        ],
    );
}

#[test]
fn warnings() {
    check(
        Severity::Warning,
        &[
            (
                DayOfWeek,
                "0",
                "0",
                "day_of_week `0` counts from Monday = 0, so it means mon",
                Some("write `day_of_week = \"mon\"`; in a crontab, 0 is Sunday"),
            ),
            (
                DayOfWeek,
                "5",
                "5",
                "day_of_week `5` counts from Monday = 0, so it means sat",
                Some("write `day_of_week = \"sat\"`; in a crontab, 0 is Sunday"),
            ),
            (
                DayOfWeek,
                "0-4",
                "0-4",
                "day_of_week `0-4` counts from Monday = 0, so it means mon-fri",
                Some("write `day_of_week = \"mon-fri\"`; in a crontab, 0 is Sunday"),
            ),
            (
                DayOfWeek,
                "3-3",
                "3-3",
                "day_of_week `3-3` counts from Monday = 0, so it means thu",
                Some("write `day_of_week = \"thu\"`; in a crontab, 0 is Sunday"),
            ),
            (
                DayOfWeek,
                "0-6/2",
                "0-6/2",
                "day_of_week `0-6/2` counts from Monday = 0, so it means mon,wed,fri,sun",
                Some("write `day_of_week = \"mon,wed,fri,sun\"`; in a crontab, 0 is Sunday"),
            ),
            (
                DayOfWeek,
                "1/2",
                "1/2",
                "day_of_week `1/2` counts from Monday = 0, so it means tue,thu,sat",
                Some("write `day_of_week = \"tue,thu,sat\"`; in a crontab, 0 is Sunday"),
            ),
            (
                DayOfWeek,
                "*/2",
                "*/2",
                "a step of 2 does not divide the 7 values of day_of_week evenly",
                Some("after 6 comes 0"),
            ),
            (
                Month,
                "*/5",
                "*/5",
                "a step of 5 does not divide the 12 values of month evenly",
                Some("after 11 comes 1"),
            ),
            (
                Day,
                "*/2",
                "*/2",
                "a step of 2 starts again at day 1 of each month",
                Some("to run every few days, use `interval` or list the days"),
            ),
            (
                Day,
                "1-31/2",
                "1-31/2",
                "a step of 2 starts again at day 1 of each month",
                Some("to run every few days, use `interval` or list the days"),
            ),
            (
                Week,
                "*/2",
                "*/2",
                "a step of 2 starts again at week 1 of each year",
                Some("to run every few weeks, use `interval = { weeks = … }`"),
            ),
            (
                Hour,
                "*/5",
                "*/5",
                "a step of 5 does not divide the 24 values of hour evenly",
                Some("from 20 to 0 is only 4; for a fixed interval use `interval = { hours = 5 }`"),
            ),
            (
                Minute,
                "*/7",
                "*/7",
                "a step of 7 does not divide the 60 values of minute evenly",
                Some(
                    "from 56 to 0 is only 4; for a fixed interval use `interval = { minutes = 7 }`",
                ),
            ),
            (
                Minute,
                "0/7",
                "0/7",
                "a step of 7 does not divide the 60 values of minute evenly",
                Some(
                    "from 56 to 0 is only 4; for a fixed interval use `interval = { minutes = 7 }`",
                ),
            ),
            (
                Second,
                "*/45",
                "*/45",
                "a step of 45 does not divide the 60 values of second evenly",
                Some(
                    "from 45 to 0 is only 15; for a fixed interval use `interval = { seconds = 45 }`",
                ),
            ),
            (
                Minute,
                "0-59/7",
                "0-59/7",
                "a step of 7 does not divide the 60 values of minute evenly",
                Some(
                    "from 56 to 0 is only 4; for a fixed interval use `interval = { minutes = 7 }`",
                ),
            ),
        ],
    );
}

/// The span is the item, wherever it stands in its list.
#[test]
fn every_bad_item_is_reported() {
    let mut flaws = Vec::new();
    let text = "61, 5 ,xx,,  7-3 ";
    assert!(!Builder::default().set(Minute, text, &mut flaws));
    let spans: Vec<_> = flaws.iter().map(|flaw| flaw.span.clone()).collect();
    assert_eq!(spans, [0..2, 7..9, 10..10, 13..16]);
}

#[test]
fn what_is_usual_is_not_warned_about() {
    let rows = [
        (Minute, "*/15"),
        (Minute, "5/17"),
        (Minute, "7-59/13"),
        (Hour, "*/6"),
        (Month, "*/3"),
        (DayOfWeek, "mon-fri"),
        (DayOfWeek, "*"),
        (Year, "*/7"),
        (Day, "5/9"),
        (Day, "3rd fri"),
    ];
    for (field, text) in rows {
        let mut flaws = Vec::new();
        assert!(Builder::default().set(field, text, &mut flaws));
        assert_eq!(flaws, [], "{field:?} {text}");
    }
}
