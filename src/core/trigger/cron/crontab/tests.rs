//! Rows of data for the string form: what each expression means, and every message. When the
//! schedules are due is tested in `tests/`.

use super::super::schedule::bits;
use super::*;
use crate::core::trigger::flaw::Severity;

fn read(expr: &str, id: &str) -> Schedule {
    let mut flaws = Vec::new();
    match parse(expr, id, &mut flaws) {
        Some(Crontab::Schedule(schedule)) => schedule,
        other => panic!("{expr}: {other:?} {flaws:?}"),
    }
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
fn says(kind: Kind, schedule: &Schedule) -> String {
    let more = schedule.more().cloned().unwrap_or_default();
    let mut words = match kind {
        Second => numbers(schedule.seconds()),
        Minute => numbers(schedule.minutes()),
        Hour => numbers(schedule.hours().into()),
        Day => numbers(schedule.days().into()),
        Month => numbers(schedule.months().into()),
        Weekday => {
            let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
            bits(schedule.weekdays().into()).map(|day| names[day as usize].to_owned()).collect()
        }
        Year => more.years.iter().map(|y| format!("{}-{}/{}", y.first, y.last, y.step)).collect(),
    };
    match kind {
        Day => {
            words.extend(bits(more.nearest).map(|day| match day {
                0 => "LW".to_owned(),
                day => format!("{day}W"),
            }));
            words.extend(bits(more.nearest_from_end).map(|before| format!("L-{before}W")));
            words.extend(bits(more.from_end).map(|before| format!("L-{before}")));
            assert_eq!(more.nth, [0; 7]);
        }
        Weekday => {
            for (day, name) in ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].iter().enumerate()
            {
                words.extend(bits(more.weekday_nth[day].into()).map(|nth| match nth {
                    5 => format!("{name}L"),
                    nth => format!("{name}#{}", nth + 1),
                }));
            }
        }
        _ => {}
    }
    words.join(" ")
}

/// One field among stars.
fn alone(kind: Kind, text: &str) -> String {
    let mut fields = ["0", "*", "*", "*", "*", "*", "*"];
    fields[kind as usize] = text;
    fields[..if kind == Year { 7 } else { 6 }].join(" ")
}

#[test]
fn every_expression_means_what_it_should() {
    let rows = [
        (Minute, "*", "0-59"),
        (Minute, "?", "0-59"),
        (Minute, "0", "0"),
        (Minute, "59", "59"),
        (Minute, "007", "7"),
        (Minute, "5,1,3", "1 3 5"),
        (Minute, "1,1,1", "1"),
        (Minute, "10-13", "10-13"),
        (Minute, "10-10", "10"),
        (Minute, "10-13,12-15", "10-15"),
        (Minute, "*/15", "0 15 30 45"),
        (Minute, "?/15", "0 15 30 45"),
        (Minute, "*/1", "0-59"),
        (Minute, "*/59", "0 59"),
        (Minute, "*/60", "0"),
        (Minute, "*/99999999999", "0"),
        (Minute, "10-30/10", "10 20 30"),
        (Minute, "10-29/10", "10 20"),
        (Minute, "10-12/99", "10"),
        (Minute, "50/5", "50 55"),
        (Minute, "5/20", "5 25 45"),
        (Minute, "59/1", "59"),
        (Minute, "*,5", "0-59"),
        (Minute, "0-4,30,*/20", "0-4 20 30 40"),
        // Ranges that wrap, with and without a step, which counts on across the end.
        (Minute, "58-1", "0 1 58 59"),
        (Minute, "55-5/5", "0 5 55"),
        (Minute, "50-10/7", "4 50 57"),
        (Minute, "1-0", "0-59"),
        (Second, "*/20", "0 20 40"),
        (Second, "58-1", "0 1 58 59"),
        (Hour, "22-2", "0-2 22 23"),
        (Hour, "22-2/2", "0 2 22"),
        (Hour, "21-3/4", "1 21"),
        (Hour, "23", "23"),
        (Hour, "12-11", "0-23"),
        (Day, "31", "31"),
        (Day, "30-2", "1 2 30 31"),
        (Day, "28-4/3", "3 28 31"),
        (Day, "*/10", "1 11 21 31"),
        (Day, "2/10", "2 12 22"),
        (Day, "L", "L-0"),
        (Day, "l", "L-0"),
        (Day, "L-0", "L-0"),
        (Day, "L-3", "L-3"),
        (Day, "L-30", "L-30"),
        (Day, "LW", "LW"),
        (Day, "lw", "LW"),
        (Day, "15W", "15W"),
        (Day, "1w,31W", "1W 31W"),
        (Day, "1,L,L-2,15W,LW", "1 LW 15W L-0 L-2"),
        (Month, "1-3", "1-3"),
        (Month, "JAN,Feb,mar", "1-3"),
        (Month, "jan-mar", "1-3"),
        (Month, "nov-feb", "1 2 11 12"),
        (Month, "11-feb/2", "1 11"),
        (Month, "jun/3", "6 9 12"),
        (Month, "dec", "12"),
        (Month, "*/5", "1 6 11"),
        (Weekday, "0", "sun"),
        (Weekday, "7", "sun"),
        (Weekday, "0,7", "sun"),
        (Weekday, "1", "mon"),
        (Weekday, "SUN,Mon,tuE", "mon tue sun"),
        (Weekday, "mon-fri", "mon tue wed thu fri"),
        (Weekday, "1-5", "mon tue wed thu fri"),
        (Weekday, "0-7", "mon tue wed thu fri sat sun"),
        (Weekday, "5-7", "fri sat sun"),
        (Weekday, "1-7/2", "mon wed fri sun"),
        (Weekday, "fri-mon", "mon fri sat sun"),
        (Weekday, "5-1", "mon fri sat sun"),
        (Weekday, "fri-sun", "fri sat sun"),
        (Weekday, "sun-tue", "mon tue sun"),
        (Weekday, "7-2", "mon tue sun"),
        (Weekday, "sun-sun", "sun"),
        (Weekday, "thu-tue/2", "mon thu sat"),
        (Weekday, "*/2", "tue thu sat sun"),
        (Weekday, "*/7", "sun"),
        // The week ends with Saturday, as where this form comes from.
        (Weekday, "mon/2", "mon wed fri"),
        (Weekday, "mon/3", "mon thu"),
        (Weekday, "1/1", "mon tue wed thu fri sat"),
        (Weekday, "0/3", "wed sat sun"),
        (Weekday, "7/3", "sun"),
        (Weekday, "6/5", "sat"),
        (Weekday, "1-7/3", "mon thu sun"),
        (Weekday, "monday,tues,Wednesday", "mon tue wed"),
        (Weekday, "thurs,THUR,weds,wednes", "wed thu"),
        (Weekday, "Friday-monday", "mon fri sat sun"),
        (Weekday, "monday-friday/2", "mon wed fri"),
        (Weekday, "fridayL,satl", "friL satL"),
        (Weekday, "fri#L,SUNDAY#l", "friL sunL"),
        (Weekday, "fri#-1", "friL"),
        (Weekday, "mon-wed#1", "mon#1 tue#1 wed#1"),
        (Weekday, "sat-mon#2", "mon#2 sat#2 sun#2"),
        (Weekday, "5-7#L", "friL satL sunL"),
        (Weekday, "mon-friL", "monL tueL wedL thuL friL"),
        (Month, "January-June/2", "1 3 5"),
        (Month, "SEPT,february,oct", "2 9 10"),
        (Month, "november-feb", "1 2 11 12"),
        (Day, "L-3W", "L-3W"),
        (Day, "l-0w,L-1", "L-0W L-1"),
        (Year, "*", ""),
        (Year, "?", ""),
        (Year, "*/1", ""),
        (Year, "2027,*", ""),
        (Year, "2027", "2027-2027/1"),
        (Year, "2027,2029,2027", "2027-2027/1 2029-2029/1"),
        (Year, "2027-2030", "2027-2030/1"),
        (Year, "2027-2030/2", "2027-2030/2"),
        (Year, "2027-2030/9", "2027-2027/1"),
        (Year, "2024/4", "2024-9999/4"),
        (Year, "*/2", "1970-9999/2"),
        (Year, "1,9999", "1-1/1 9999-9999/1"),
        (Weekday, "?", "mon tue wed thu fri sat sun"),
        (Weekday, "5L", "friL"),
        (Weekday, "friL", "friL"),
        (Weekday, "FRIl", "friL"),
        (Weekday, "0L", "sunL"),
        (Weekday, "7L", "sunL"),
        (Weekday, "fri#3", "fri#3"),
        (Weekday, "5#3", "fri#3"),
        (Weekday, "7#1,0#5", "sun#1 sun#5"),
        (Weekday, "mon,fri#1,fri#5,satL", "mon fri#1 fri#5 satL"),
    ];
    for (kind, text, wanted) in rows {
        assert_eq!(says(kind, &read(&alone(kind, text), "job")), wanted, "{kind:?} {text}");
    }
}

#[test]
fn a_year_behind_five_fields_is_read_where_it_makes_no_other_sense() {
    // What is read, as seven fields; none where nothing is said.
    let rows = [
        ("30 1 * * * 2018", Some("0 30 1 * * * 2018")),
        ("0 0 L 1 * 2011", Some("0 0 0 L 1 * 2011")),
        ("* * 13 * Fri *", Some("0 * * 13 * Fri *")),
        ("0 9 13 3 * 2016-2020/2", Some("0 0 9 13 3 * 2016-2020/2")),
        ("0 0 1 1 * *", None),
        ("0 0 1 1 * 5", None),
    ];
    for (text, seven) in rows {
        let mut flaws = Vec::new();
        let parsed = parse(text, "job", &mut flaws);
        let expected = seven.unwrap_or(text);
        assert_eq!(parsed, Some(Crontab::Schedule(read(expected, "job"))), "{text}");
        let helps: Vec<&str> = flaws.iter().filter_map(|flaw| flaw.help.as_deref()).collect();
        let help = seven.map(|seven| format!("with a year, write all seven: `{seven}`"));
        assert_eq!(helps, help.iter().map(|help| &**help).collect::<Vec<_>>(), "{text}");
        assert!(flaws.iter().all(|flaw| flaw.severity == Severity::Warning), "{text}");
    }
    for text in ["0 0 0 1 13 *", "0 0 1 1 13 2027", "61 0 1 1 * 2027", "0 0 1 * * 27"] {
        assert_eq!(parse(text, "job", &mut Vec::new()), None, "{text}");
    }
}

/// No other cron has a `?` there.
#[test]
fn a_month_of_any_is_asked_about() {
    for (text, help) in [
        ("0 12 * * ? *", Some("if the last field is a year, write all seven: `0 0 12 * * ? *`")),
        ("0 12 1 * ? 2027", Some("with a year, write all seven: `0 0 12 1 * ? 2027`")),
        ("? ? ? ? ?", None),
        ("0 0 12 * * ?", None),
    ] {
        let mut flaws = Vec::new();
        assert!(parse(text, "job", &mut flaws).is_some(), "{text}");
        assert_eq!(flaws.first().and_then(|flaw| flaw.help.as_deref()), help, "{text}");
    }
}

#[test]
fn five_fields_or_six_with_seconds_first() {
    let five = read("1 2 3 4 5", "job");
    let all = [Second, Minute, Hour, Day, Month, Weekday].map(|kind| says(kind, &five));
    assert_eq!(all, ["0", "1", "2", "3", "4", "fri"]);
    let six = read("1 2 3 4 5 6", "job");
    let all = [Second, Minute, Hour, Day, Month, Weekday].map(|kind| says(kind, &six));
    assert_eq!(all, ["1", "2", "3", "4", "5", "sat"]);
    for spaced in ["  1 2 3 4 5", "1\t2  3 \t4 5\n", "\r\n1 2 3 4 5 "] {
        assert_eq!(read(spaced, "job"), five, "{spaced:?}");
    }
}

#[test]
fn macros() {
    let rows = [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        ("@HOURLY", "0 * * * *"),
        (" @Daily\t", "0 0 * * *"),
    ];
    for (text, fields) in rows {
        assert_eq!(read(text, "job"), read(fields, "job"), "{text}");
    }
    for text in ["@reboot", "@Reboot", "  @REBOOT "] {
        let mut flaws = Vec::new();
        assert_eq!(parse(text, "job", &mut flaws), Some(Crontab::Reboot), "{text}");
        assert_eq!(flaws, []);
    }
}

/// Which schedules run on both passes of a fold, and in which ones either day field may match.
#[test]
fn recurring_and_either() {
    // Expression, recurring, either.
    let rows = [
        ("30 2 * * *", false, false),
        ("0,30 2,14 * * *", false, false),
        ("30 2 1-7 */2 mon-fri", false, true),
        ("* 2 * * *", true, false),
        ("30 * * * *", true, false),
        ("? 2 * * *", true, false),
        ("*/30 2 * * *", true, false),
        ("0-30/30 2 * * *", true, false),
        ("0-0 2 * * *", true, false),
        ("30/30 2 * * *", true, false),
        ("30 2-3 * * *", true, false),
        ("0,30-31 2 * * *", true, false),
        ("30 30 2 * * *", false, false),
        ("* 30 2 * * *", true, false),
        ("0-1 30 2 * * *", true, false),
        ("H H * * *", false, false),
        ("H(0-29) 2 * * *", false, false),
        ("H/15 2 * * *", true, false),
        // crontab(5): a field that begins with a star is not restricted.
        ("0 0 13 * fri", false, true),
        ("0 0 13 * *", false, false),
        ("0 0 * * fri", false, false),
        ("0 0 */2 * fri", false, false),
        ("0 0 13 * */2", false, false),
        ("0 0 *,13 * fri", false, false),
        ("0 0 13,* * fri", false, true),
        ("0 0 ? * fri", false, false),
        ("0 0 13 * ?", false, false),
        ("0 0 1-31 * fri", false, true),
        ("0 0 L * fri", false, true),
        ("0 0 13 * fri#2", false, true),
        ("0 0 H * fri", false, true),
    ];
    for (expr, recurring, either) in rows {
        let schedule = read(expr, "job");
        assert_eq!((schedule.is_recurring(), schedule.is_either()), (recurring, either), "{expr}");
    }
}

/// `H` is promised to be the same for ever: whoever changes one of these moves people's jobs.
#[test]
fn hashed_values_never_change() {
    // Job, kind, expression, value.
    let rows = [
        ("backup", Second, "H", "35"),
        ("backup", Minute, "H", "6"),
        ("backup", Hour, "H", "7"),
        ("backup", Day, "H", "9"),
        ("backup", Month, "H", "2"),
        ("backup", Weekday, "H", "mon"),
        ("backup", Minute, "h", "6"),
        ("rotate-logs", Minute, "H", "57"),
        ("rotate-logs", Hour, "H", "15"),
        ("rotate-logs", Weekday, "H", "thu"),
        ("", Minute, "H", "11"),
        ("ünïcödé", Minute, "H", "50"),
        ("backup", Minute, "H/15", "6 21 36 51"),
        ("backup", Minute, "H/7", "0 7 14 21 28 35 42 49 56"),
        ("backup", Minute, "H/1", "0-59"),
        ("backup", Minute, "H/60", "6"),
        ("backup", Minute, "H/999", "6"),
        ("backup", Minute, "H(0-29)", "6"),
        ("backup", Minute, "H(30-59)", "36"),
        ("backup", Minute, "H(7-7)", "7"),
        ("backup", Minute, "H(0-29)/10", "6 16 26"),
        ("backup", Minute, "H,H(30-59)", "6 36"),
        ("backup", Hour, "H(22-23)", "23"),
        ("backup", Day, "H(1-7)", "2"),
        ("backup", Month, "H(jan-jun)", "2"),
        ("backup", Weekday, "H(mon-fri)", "fri"),
    ];
    for (id, kind, text, wanted) in rows {
        assert_eq!(says(kind, &read(&alone(kind, text), id)), wanted, "{id} {kind:?} {text}");
    }
}

/// Spread over the whole range, and none outside it.
#[test]
fn hashed_values_are_spread() {
    let mut minutes = [0; 60];
    let mut days = [0; 32];
    for job in 0..6000 {
        let schedule = read("H 0 H * *", &format!("job-{job}"));
        minutes[schedule.minutes().trailing_zeros() as usize] += 1;
        days[schedule.days().trailing_zeros() as usize] += 1;
    }
    assert!(minutes.iter().all(|count| (60..150).contains(count)), "{minutes:?}");
    assert!(days[1..=28].iter().all(|count| (150..290).contains(count)), "{days:?}");
    assert_eq!((days[0], &days[29..]), (0, &[0, 0, 0][..]));
}

/// A row of what is wrong with an expression: the text its span is, the message and the help.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>);

fn check(severity: Severity, rows: &[Row]) {
    let mut wrong = String::new();
    for (expr, at, message, help) in rows {
        let mut flaws = Vec::new();
        let parsed = parse(expr, "job", &mut flaws);
        assert_eq!(parsed.is_some(), severity == Severity::Warning, "{expr}: {flaws:?}");
        let got: Vec<_> = flaws
            .iter()
            .map(|flaw| (&expr[flaw.span.clone()], &*flaw.message, flaw.help.as_deref()))
            .collect();
        assert!(flaws.iter().all(|flaw| flaw.severity == severity), "{expr}: {flaws:?}");
        if got != [(*at, *message, *help)] {
            for (at, message, help) in got {
                wrong += &format!("({expr:?}, {at:?}, {message:?}, {help:?}),\n");
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
                "",
                "",
                "the cron expression is empty",
                Some(
                    "five fields: minute hour day-of-month month day-of-week, such as `0 3 * * *`",
                ),
            ),
            (
                "   ",
                "   ",
                "the cron expression is empty",
                Some(
                    "five fields: minute hour day-of-month month day-of-week, such as `0 3 * * *`",
                ),
            ),
            (
                "20 15 * *",
                "20 15 * *",
                "4 fields where a cron expression has 5, 6 with the second first, or 7 with second and year",
                Some(
                    "did you mean `20 15 * * *`? The order is: minute hour day-of-month month day-of-week",
                ),
            ),
            (
                "*",
                "*",
                "1 field where a cron expression has 5, 6 with the second first, or 7 with second and year",
                Some("the order is: minute hour day-of-month month day-of-week"),
            ),
            (
                "* * * * * * * * *",
                "* * * * * * * * *",
                "9 fields where a cron expression has 5, 6 with the second first, or 7 with second and year",
                Some("the order is: [second] minute hour day-of-month month day-of-week [year]"),
            ),
            (
                "TZ=UTC 0 0 * * *",
                "TZ=UTC",
                "a time zone is not part of the expression",
                Some("set the job's `timezone = \"UTC\"`"),
            ),
            (
                "CRON_TZ=Europe/Berlin 0 0 * * *",
                "CRON_TZ=Europe/Berlin",
                "a time zone is not part of the expression",
                Some("set the job's `timezone = \"Europe/Berlin\"`"),
            ),
            (
                "TZ=America/New_York 0 0 * * * ?",
                "TZ=America/New_York",
                "a time zone is not part of the expression",
                Some("set the job's `timezone = \"America/New_York\"`"),
            ),
            (
                "0 18 * * fri-sun UTC",
                "UTC",
                "a time zone is not part of the expression",
                Some("set the job's `timezone = \"UTC\"`"),
            ),
            (
                "0 0 18 * * * Africa/Asmera",
                "Africa/Asmera",
                "a time zone is not part of the expression",
                Some("set the job's `timezone = \"Africa/Asmera\"`"),
            ),
            (
                "@weekdays",
                "@weekdays",
                "unknown macro `@weekdays`",
                Some("write `0 0 * * mon-fri`"),
            ),
            ("@5Minutes", "@5Minutes", "unknown macro `@5Minutes`", Some("write `*/5 * * * *`")),
            (
                "@every 1h30m",
                "@every 1h30m",
                "unknown macro `@every 1h30m`",
                Some("to run at a fixed interval, use `interval = \"1h30m\"` instead of `cron`"),
            ),
            (
                "/10 * * * *",
                "/10",
                "unexpected `/` in the minute field `/10`",
                Some("did you mean `*/10`?"),
            ),
            ("0 0 * * L5", "L5", "`L` is not a day of week", Some("did you mean `5L`?")),
            ("0 0 * * L3-5", "L3-5", "`L` is not a day of week", Some("did you mean `3-5L`?")),
            ("0 0 * * lFRI", "lFRI", "`lFRI` is not a day of week", Some("did you mean `FRIL`?")),
            (
                "0 0 29-L * *",
                "29-L",
                "unexpected `L` in the day of month field `29-L`",
                Some("did you mean `29-31`?"),
            ),
            (
                "35 * 1-l/8 * *",
                "1-l/8",
                "unexpected `l` in the day of month field `1-l/8`",
                Some("did you mean `1-31/8`?"),
            ),
            (
                "0 0 3L * ?",
                "3L",
                "unexpected `L` in the day of month field `3L`",
                Some(
                    "`L-3` is three days before the last day of the month; `3L` belongs in the day-of-week field",
                ),
            ),
            (
                "0 0 LW-2 * ?",
                "LW-2",
                "unexpected `-` in the day of month field `LW-2`",
                Some("`L-2W` is the weekday nearest to that day"),
            ),
            (
                "0 0 -1 * *",
                "-1",
                "unexpected `-` in the day of month field `-1`",
                Some("did you mean `L`, the last day of the month?"),
            ),
            (
                "0 0 -4 * *",
                "-4",
                "unexpected `-` in the day of month field `-4`",
                Some("did you mean `L-3`?"),
            ),
            (
                "0 0 last * *",
                "last",
                "unexpected `l` in the day of month field `last`",
                Some("did you mean `L`?"),
            ),
            (
                "R 3 * * *",
                "R",
                "unexpected `R` in the minute field `R`",
                Some("for a value that differs from job to job, use `H` or `H(0-29)`"),
            ),
            (
                "0 3 * * R",
                "R",
                "`R` is not a day of week",
                Some("for a value that differs from job to job, use `H`"),
            ),
            (
                "0 9,,19 * * *",
                "9,,19",
                "an empty item in the hour field `9,,19`",
                Some("did you mean `9,19`?"),
            ),
            (
                ",8 * * * *",
                ",8",
                "an empty item in the minute field `,8`",
                Some("did you mean `8`?"),
            ),
            (
                ", * * * *",
                ",",
                "an empty item in the minute field `,`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "0 3 * * mon&tue",
                "mon&tue",
                "unexpected `&` in the day of week field `mon&tue`",
                Some("did you mean `mon,tue`?"),
            ),
            (
                "0 3 1-7 * 2&",
                "2&",
                "unexpected `&` in the day of week field `2&`",
                Some(
                    "for days that match both fields, use the table form: `cron = { day = \"1-7\", day_of_week = \"mon\", hour = 9 }`",
                ),
            ),
            (
                "0 12 1 * +5",
                "+5",
                "unexpected `+` in the day of week field `+5`",
                Some(
                    "for days that match both fields, use the table form: `cron = { day = \"1-7\", day_of_week = \"mon\", hour = 9 }`",
                ),
            ),
            (
                "0 8 * * 1%2",
                "1%2",
                "unexpected `%` in the day of week field `1%2`",
                Some("for every other week, use `interval = { weeks = 2 }` with a `start_date`"),
            ),
            (
                "0 9|10 * * *",
                "9|10",
                "unexpected `|` in the hour field `9|10`",
                Some(
                    "the items of a list are separated by commas; several schedules are an array: `cron = [\"0 9 * * *\", \"30 17 * * *\"]`",
                ),
            ),
            (
                "0 0 * * fri#-2",
                "fri#-2",
                "`fri#-2`: `#` takes a number from 1 to 5, or L",
                Some("`fri#3` is the third Friday of the month, `fri#L` the last"),
            ),
            ("0 0 0 1 1 * 0", "0", "year 0 is out of range 1-9999", None),
            ("0 0 0 1 1 * 10000", "10000", "year 10000 is out of range 1-9999", None),
            (
                "0 0 0 1 1 * L",
                "L",
                "unexpected `L` in the year field `L`",
                Some("allowed: 1-9999, `a-b`, `a-b/n`, `*`"),
            ),
            (
                "0 0 0 1 1 * 2030-2027",
                "2030-2027",
                "the range of years `2030-2027` runs backwards",
                Some("the earlier year comes first"),
            ),
            (
                "0 0 0 1 1 * */0",
                "*/0",
                "a step of 0 in the year field",
                Some("a step must be at least 1, as in `*/5`"),
            ),
            ("@dayly", "@dayly", "unknown macro `@dayly`", Some("did you mean `@daily`?")),
            (
                "@every 5m",
                "@every 5m",
                "unknown macro `@every 5m`",
                Some("to run at a fixed interval, use `interval = \"5m\"` instead of `cron`"),
            ),
            (
                "@nonsense",
                "@nonsense",
                "unknown macro `@nonsense`",
                Some(
                    "macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and @reboot",
                ),
            ),
            (
                "@",
                "@",
                "unknown macro `@`",
                Some(
                    "macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and @reboot",
                ),
            ),
            ("60 * * * *", "60", "minute 60 is out of range 0-59", Some("minutes go from 0 to 59")),
            ("* 24 * * *", "24", "hour 24 is out of range 0-23", Some("midnight is hour 0")),
            ("* 25 * * *", "25", "hour 25 is out of range 0-23", None),
            ("* * 0 * *", "0", "day of month 0 is out of range 1-31", None),
            ("* * 32 * *", "32", "day of month 32 is out of range 1-31", None),
            ("* * * 0 *", "0", "month 0 is out of range 1-12 or jan-dec", None),
            ("* * * 13 *", "13", "month 13 is out of range 1-12 or jan-dec", None),
            (
                "* * * * 8",
                "8",
                "day of week 8 is out of range 0-7 (0 and 7 are Sunday) or sun-sat",
                None,
            ),
            (
                "60 * * * * *",
                "60",
                "second 60 is out of range 0-59",
                Some("seconds go from 0 to 59"),
            ),
            (
                "99999999999999999999 * * * *",
                "99999999999999999999",
                "`99999999999999999999`: out of range 0-59",
                None,
            ),
            ("* * * janury *", "janury", "`janury` is not a month", Some("did you mean `jan`?")),
            ("* * * sepp *", "sepp", "`sepp` is not a month", Some("did you mean `sep`?")),
            ("* * * xyz *", "xyz", "`xyz` is not a month", Some("allowed: 1-12 or jan-dec")),
            ("* * * jann *", "jann", "`jann` is not a month", Some("did you mean `jan`?")),
            (
                "* * * * monnday",
                "monnday",
                "`monnday` is not a day of week",
                Some("did you mean `mon`?"),
            ),
            ("* * * * mno", "mno", "`mno` is not a day of week", Some("did you mean `mon`?")),
            (
                "* * * * xx",
                "xx",
                "`xx` is not a day of week",
                Some("allowed: 0-7 (0 and 7 are Sunday) or sun-sat"),
            ),
            (
                "* * * * L",
                "L",
                "`L` is not a day of week",
                Some("`5L` or `friL` is the last Friday of the month; Saturday is `sat`"),
            ),
            (
                "* * * * mon-xyz",
                "mon-xyz",
                "`xyz` is not a day of week",
                Some("allowed: 0-7 (0 and 7 are Sunday) or sun-sat"),
            ),
            (
                "*/0 * * * *",
                "*/0",
                "a step of 0 in the minute field",
                Some("a step must be at least 1, as in `*/5`"),
            ),
            (
                "* * */0 * *",
                "*/0",
                "a step of 0 in the day of month field",
                Some("a step must be at least 1, as in `*/5`"),
            ),
            (
                "* * * * */0",
                "*/0",
                "a step of 0 in the day of week field",
                Some("a step must be at least 1, as in `*/5`"),
            ),
            (
                "*/ * * * *",
                "*/",
                "the minute field `*/` ends too early",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "*/x * * * *",
                "*/x",
                "unexpected `x` in the minute field `*/x`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "1- * * * *",
                "1-",
                "the minute field `1-` ends too early",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "-1 * * * *",
                "-1",
                "unexpected `-` in the minute field `-1`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "1, * * * *",
                "1,",
                "an empty item in the minute field `1,`",
                Some("did you mean `1`?"),
            ),
            (
                ",1 * * * *",
                ",1",
                "an empty item in the minute field `,1`",
                Some("did you mean `1`?"),
            ),
            (
                "1,,2 * * * *",
                "1,,2",
                "an empty item in the minute field `1,,2`",
                Some("did you mean `1,2`?"),
            ),
            (
                "1-2-3 * * * *",
                "1-2-3",
                "unexpected `-` in the minute field `1-2-3`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "1/2/3 * * * *",
                "1/2/3",
                "unexpected `/` in the minute field `1/2/3`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "** * * * *",
                "**",
                "unexpected `*` in the minute field `**`",
                Some("did you mean `*`?"),
            ),
            (
                "*5 * * * *",
                "*5",
                "unexpected `5` in the minute field `*5`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "5* * * * *",
                "5*",
                "unexpected `*` in the minute field `5*`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "mon * * * *",
                "mon",
                "unexpected `m` in the minute field `mon`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "1.5 * * * *",
                "1.5",
                "unexpected `.` in the minute field `1.5`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "0~30 * * * *",
                "0~30",
                "unexpected `~` in the minute field `0~30`",
                Some("for a value that differs from job to job, use `H` or `H(0-29)`"),
            ),
            (
                "1-60 * * * *",
                "1-60",
                "minute 60 is out of range 0-59",
                Some("minutes go from 0 to 59"),
            ),
            (
                "* * * * fri#0",
                "fri#0",
                "`fri#0`: `#` takes a number from 1 to 5, or L",
                Some("`fri#3` is the third Friday of the month, `fri#L` the last"),
            ),
            (
                "* * * * fri#6",
                "fri#6",
                "`fri#6`: `#` takes a number from 1 to 5, or L",
                Some("`fri#3` is the third Friday of the month, `fri#L` the last"),
            ),
            (
                "* * * * fri#",
                "fri#",
                "`fri#`: `#` takes a number from 1 to 5, or L",
                Some("`fri#3` is the third Friday of the month, `fri#L` the last"),
            ),
            (
                "* * * * #3",
                "#3",
                "unexpected `#` in the day of week field `#3`",
                Some("`fri#3` is the third Friday of the month"),
            ),
            (
                "* * fri#3 * *",
                "fri#3",
                "unexpected `f` in the day of month field `fri#3`",
                Some("`fri#3` belongs in the day-of-week field"),
            ),
            (
                "* * 5#3 * *",
                "5#3",
                "unexpected `#` in the day of month field `5#3`",
                Some("`fri#3` belongs in the day-of-week field"),
            ),
            (
                "L * * * *",
                "L",
                "unexpected `L` in the minute field `L`",
                Some("`L` belongs in the day-of-month field, `5L` in day-of-week"),
            ),
            (
                "* 5L * * *",
                "5L",
                "unexpected `L` in the hour field `5L`",
                Some("`L` belongs in the day-of-month field, `5L` in day-of-week"),
            ),
            (
                "* * L-31 * *",
                "L-31",
                "`L-31`: `L-` takes a number from 0 to 30",
                Some("`L-3` is three days before the last day of the month"),
            ),
            (
                "* * L- * *",
                "L-",
                "`L-`: `L-` takes a number from 0 to 30",
                Some("`L-3` is three days before the last day of the month"),
            ),
            (
                "* * LX * *",
                "LX",
                "unexpected `X` in the day of month field `LX`",
                Some("allowed: 1-31, `a-b`, `*/n` and lists of them"),
            ),
            ("* * 32W * *", "32W", "day of month 32 is out of range 1-31", None),
            (
                "* * W * *",
                "W",
                "unexpected `W` in the day of month field `W`",
                Some(
                    "`15W` is the weekday nearest to that day, `LW` the last weekday; weekdays are `mon-fri` in \
                     the day-of-week field",
                ),
            ),
            (
                "* 15W * * *",
                "15W",
                "unexpected `W` in the hour field `15W`",
                Some("`15W` belongs in the day-of-month field"),
            ),
            (
                "* * 15W-20 * *",
                "15W-20",
                "unexpected `-` in the day of month field `15W-20`",
                Some("allowed: 1-31, `a-b`, `*/n` and lists of them"),
            ),
            ("* * * * friX", "friX", "`friX` is not a day of week", Some("did you mean `fri`?")),
            (
                "* * * * fri#3x",
                "fri#3x",
                "unexpected `x` in the day of week field `fri#3x`",
                Some("`fri#3` is the third Friday of the month"),
            ),
            (
                "* * * * friL-2",
                "friL-2",
                "unexpected `-` in the day of week field `friL-2`",
                Some(
                    "allowed: 0-7 (0 and 7 are Sunday) or sun-sat, `a-b`, `*/n` and lists of them",
                ),
            ),
            (
                "H( * * * *",
                "H(",
                "the minute field `H(` ends too early",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "H() * * * *",
                "H()",
                "unexpected `)` in the minute field `H()`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "H(0) * * * *",
                "H(0)",
                "unexpected `)` in the minute field `H(0)`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "H(0-29 * * * *",
                "H(0-29",
                "the minute field `H(0-29` ends too early",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            ("H(29-0) * * * *", "H(29-0)", "`H(29-0)`: this range runs backwards", None),
            (
                "H(0-60) * * * *",
                "H(0-60)",
                "minute 60 is out of range 0-59",
                Some("minutes go from 0 to 59"),
            ),
            (
                "H(0-29)x * * * *",
                "H(0-29)x",
                "unexpected `x` in the minute field `H(0-29)x`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "H/0 * * * *",
                "H/0",
                "a step of 0 in the minute field",
                Some("a step must be at least 1, as in `*/5`"),
            ),
            (
                "Hx * * * *",
                "Hx",
                "unexpected `x` in the minute field `Hx`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "H(a-b) * * * *",
                "H(a-b)",
                "unexpected `a` in the minute field `H(a-b)`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "é * * * *",
                "é",
                "unexpected `é` in the minute field `é`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "1é * * * *",
                "1é",
                "unexpected `é` in the minute field `1é`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "* * * é *",
                "é",
                "unexpected `é` in the month field `é`",
                Some("allowed: 1-12 or jan-dec, `a-b`, `*/n` and lists of them"),
            ),
            (
                "5-3? * * * *",
                "5-3?",
                "unexpected `?` in the minute field `5-3?`",
                Some("allowed: 0-59, `a-b`, `*/n` and lists of them"),
            ),
            (
                "@daily x",
                "@daily x",
                "unknown macro `@daily x`",
                Some("did you mean `@daily`? A macro stands alone"),
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
                "*/7 * * * *",
                "*/7",
                "a step of 7 does not divide the 60 minutes evenly",
                Some("from 56 to 0 is only 4m; for a fixed interval use `interval = \"7m\"`"),
            ),
            (
                "*/45 * * * *",
                "*/45",
                "a step of 45 does not divide the 60 minutes evenly",
                Some("from 45 to 0 is only 15m; for a fixed interval use `interval = \"45m\"`"),
            ),
            (
                "*/60 * * * *",
                "*/60",
                "a step of 60 is longer than the minute field",
                Some("it matches only 0; write that, or use a smaller step"),
            ),
            (
                "*/100 * * * *",
                "*/100",
                "a step of 100 is longer than the minute field",
                Some("it matches only 0; write that, or use a smaller step"),
            ),
            (
                "* */5 * * *",
                "*/5",
                "a step of 5 does not divide the 24 hours evenly",
                Some("from 20 to 0 is only 4h; for a fixed interval use `interval = \"5h\"`"),
            ),
            (
                "* */24 * * *",
                "*/24",
                "a step of 24 is longer than the hour field",
                Some("it matches only 0; write that, or use a smaller step"),
            ),
            (
                "* * */2 * *",
                "*/2",
                "a step of 2 starts again at day 1 of each month",
                Some("to run every few days, use `interval` or list the days"),
            ),
            (
                "* * */31 * *",
                "*/31",
                "a step of 31 is longer than the day of month field",
                Some("it matches only 1; write that, or use a smaller step"),
            ),
            (
                "* * * */5 *",
                "*/5",
                "a step of 5 does not divide the 12 months evenly",
                Some("after month 11 comes month 1"),
            ),
            (
                "* * * * */2",
                "*/2",
                "a step of 2 does not divide the 7 days of the week",
                Some("list the days by name: `mon,wed,fri`"),
            ),
            (
                "* * * * */7",
                "*/7",
                "a step of 7 is longer than the day of week field",
                Some("it matches only 0; write that, or use a smaller step"),
            ),
            (
                "*/7 * * * * *",
                "*/7",
                "a step of 7 does not divide the 60 seconds evenly",
                Some("from 56 to 0 is only 4s; for a fixed interval use `interval = \"7s\"`"),
            ),
            (
                "0-59/7 * * * *",
                "0-59/7",
                "a step of 7 does not divide the 60 minutes evenly",
                Some("from 56 to 0 is only 4m; for a fixed interval use `interval = \"7m\"`"),
            ),
            (
                "* 0/7 * * *",
                "0/7",
                "a step of 7 does not divide the 24 hours evenly",
                Some("from 21 to 0 is only 3h; for a fixed interval use `interval = \"7h\"`"),
            ),
            (
                "* * 1/2 * *",
                "1/2",
                "a step of 2 starts again at day 1 of each month",
                Some("to run every few days, use `interval` or list the days"),
            ),
            (
                "* * * * 0-6/2",
                "0-6/2",
                "a step of 2 does not divide the 7 days of the week",
                Some("list the days by name: `mon,wed,fri`"),
            ),
            (
                "* * * * 0-7/2",
                "0-7/2",
                "a step of 2 does not divide the 7 days of the week",
                Some("list the days by name: `mon,wed,fri`"),
            ),
            (
                "*/7,*/9 * * * *",
                "*/7,*/9",
                "a step of 9 does not divide the 60 minutes evenly",
                Some("from 54 to 0 is only 6m; for a fixed interval use `interval = \"9m\"`"),
            ),
        ],
    );
}

#[test]
fn every_bad_field_is_reported() {
    let mut flaws = Vec::new();
    let expr = "60 24 32 13 8";
    assert_eq!(parse(expr, "job", &mut flaws), None);
    let spans: Vec<_> = flaws.iter().map(|flaw| &expr[flaw.span.clone()]).collect();
    assert_eq!(spans, ["60", "24", "32", "13", "8"]);
    // The span is the field, and where it stands does not depend on how it is spaced.
    let mut flaws = Vec::new();
    let expr = "\t 0  25\t* * 9 ";
    assert_eq!(parse(expr, "job", &mut flaws), None);
    let spans: Vec<_> = flaws.iter().map(|flaw| flaw.span.clone()).collect();
    assert_eq!(spans, [5..7, 12..13]);
}

/// Nothing that makes sense to warn about.
#[test]
fn what_is_usual_is_not_warned_about() {
    for expr in [
        "* * * * *",
        "*/5 * * * *",
        "*/30 */2 * * *",
        "0 0-23/2 1 1-12/3 1-5",
        "7-59/13 * * * *",
        "0 9-17/3 * * *",
        "5/17 * * * *",
        "H/7 H/5 * * *",
        "0 0 * */4 *",
        "*/10 * * * * *",
    ] {
        let mut flaws = Vec::new();
        assert!(parse(expr, "job", &mut flaws).is_some());
        assert_eq!(flaws, [], "{expr}");
    }
}

#[test]
fn each_refusal_names_what_is_written_here() {
    let rows = [
        ("daily", "did you mean `@daily`?"),
        ("Reboot", "did you mean `@reboot`?"),
        ("noon", "write `0 12 * * *`"),
        ("9:30", "at that time of each day: `30 9 * * *`"),
        ("every 5 minutes", "at a fixed interval: `interval = \"5 minutes\"` instead of `cron`"),
        ("every day at 3", "the order is: minute hour day-of-month month day-of-week"),
        (
            "Mon..Fri 09:00",
            "minute hour day-of-month month day-of-week, such as `0 9 * * mon-fri`; `schedrs import systemd` converts timers",
        ),
        (
            "*-*-* 03:00:00",
            "minute hour day-of-month month day-of-week, such as `0 9 * * mon-fri`; `schedrs import systemd` converts timers",
        ),
        ("0 9:30 * * *", "minute and hour are two fields: `30 9 * * *`"),
        ("0 3 * * mon..fri", "did you mean `mon-fri`?"),
        ("0 3 * * mon:fri", "did you mean `mon-fri`?"),
        ("5..10 3 * * *", "did you mean `5-10`?"),
        ("**/5 * * * *", "did you mean `*/5`?"),
        ("* / 5 * * * *", "a step has no spaces in it: `*/5`"),
        ("/5 * * * *", "did you mean `*/5`?"),
        (
            "0 3 * * * /usr/bin/backup",
            "what is run is not part of the expression: `command = \"...\"`",
        ),
        ("0 3 * * * # nightly", "a comment is not part of the expression: put it behind the value"),
        ("\"0 3 * * *\"", "write the expression without quotes of its own"),
        (
            "0 3 * * !mon",
            "what is left out goes into the job's `except`, such as `except = [\"sat..sun\"]`",
        ),
        ("0 3 5C * *", "a calendar is named in the job's `only` or `except`"),
        ("0 3 WL * *", "did you mean `LW`?"),
        ("0 3 W15 * *", "did you mean `15W`?"),
        (
            "0 3 1-15W * *",
            "`15W` is the weekday nearest to that day, `LW` the last weekday; weekdays are `mon-fri` in the day-of-week field",
        ),
        ("0 3 * * 5W", "`15W` belongs in the day-of-month field"),
        ("0 3 1st * *", "the first Monday of the month is `mon#1` in the day-of-week field"),
        ("0 3 first * *", "the first Monday of the month is `mon#1` in the day-of-week field"),
        ("0 3 2nd-mon * *", "the first Monday of the month is `mon#1` in the day-of-week field"),
        ("0 3 * * weekdays", "did you mean `mon-fri`?"),
        ("0 3 * * weekend", "did you mean `sat,sun`?"),
        ("@weekend", "write `0 0 * * sat,sun`"),
        ("@workday", "write `0 0 * * mon-fri`"),
        ("@5min", "to run at a fixed interval, use `interval = \"5min\"` instead of `cron`"),
        ("@monthly UTC", "did you mean `@monthly`? A macro stands alone"),
        ("@at 2027-01-01", "to run once, use `date = 2027-01-01T09:00:00` instead of `cron`"),
        ("0 0 1 1 * 30", "the second is the first field: `30 0 0 1 1 *`"),
        ("15 10 * * 1 30 2027", "the second is the first field: `30 15 10 * * 1 2027`"),
        ("0, 30 * * * *", "a list has no spaces in it: `0,30 * * * *`"),
        ("0 0 * * Mon, Wed", "a list has no spaces in it: `0 0 * * Mon,Wed`"),
        ("0 0 1 ,15 * *", "a list has no spaces in it: `0 0 1,15 * *`"),
        ("cron(0 12 * * ? *)", "write `0 0 12 * * ? *`; Sunday is 0 here, not 1"),
        ("rate(5 minutes)", "at a fixed interval: `interval = \"5 minutes\"` instead of `cron`"),
        ("5m", "at a fixed interval: `interval = \"5m\"` instead of `cron`"),
        ("PT1H30M", "at a fixed interval: `interval = \"1h30m\"` instead of `cron`"),
        (
            "R/2027-01-01T00:00:00Z/P1DT12H",
            "at a fixed interval: `interval = \"1d12h\"` instead of `cron`",
        ),
        ("P1M", "the order is: minute hour day-of-month month day-of-week"),
        ("@300", "to run at a fixed interval, use `interval = \"300s\"` instead of `cron`"),
        ("@every 90", "to run at a fixed interval, use `interval = \"90s\"` instead of `cron`"),
        ("@biannually", "write `0 0 1 1,7 *`"),
        (
            "@fortnightly",
            "for every other week, use `interval = { weeks = 2 }` with a `start_date`",
        ),
        ("@manually", "a job that is only started by hand has a schedule, and `paused = true`"),
        (
            "0 0 13 * &fri",
            "for days that match both fields, use the table form: `cron = { day = \"1-7\", day_of_week = \"mon\", hour = 9 }`",
        ),
        ("0 9 * * mon@1", "did you mean `mon#1`?"),
        ("0 0 24 * * ?", "midnight is hour 0"),
        (
            "@workweek",
            "macros are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly and @reboot",
        ),
    ];
    for (expr, expected) in rows {
        let mut flaws = Vec::new();
        assert!(parse(expr, "j", &mut flaws).is_none(), "{expr}");
        let found = flaws.first().and_then(|flaw| flaw.help.as_deref());
        assert_eq!(found, Some(expected), "{expr}");
    }
}
