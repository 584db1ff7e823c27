//! systemd's calendar expressions, as `OnCalendar=` has them: `Mon..Fri *-*-* 09:00`.
//!
//! There all parts have to match, so what is restricted by day and by weekday becomes the table
//! form, and everything else a crontab's fields. See systemd.time(7).

use super::{Oracle, Value};
use crate::core::names::WEEKDAYS;
use crate::core::nearest::nearest;
use crate::core::sort;

/// A calendar expression as a trigger of a jobfile.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Converted {
    pub(super) key: &'static str,
    pub(super) value: Value,
    pub(super) timezone: Option<String>,
    pub(super) oracle: Oracle,
}

/// Words for whole expressions.
const SHORTHANDS: &[(&str, &str)] = &[
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("weekly", "Mon *-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
    ("semi-annually", "*-01,07-01 00:00:00"),
    ("biannually", "*-01,07-01 00:00:00"),
    ("bi-annually", "*-01,07-01 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
    ("anually", "*-01-01 00:00:00"),
];

/// One item of a component: `a`, `a..b`, `a/n`, `a..b/n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    first: u32,
    last: Option<u32>,
    step: Option<u32>,
}

/// A component: `*` is none.
type Items = Vec<Item>;

/// Reads an expression. The error says why it has no counterpart.
pub(super) fn convert(text: &str) -> Result<Converted, String> {
    let calendar = parse(text)?;
    calendar.converted()
}

#[derive(Clone, Debug, Default)]
struct Calendar {
    /// Monday first.
    weekdays: Option<[bool; 7]>,
    years: Items,
    months: Items,
    days: Items,
    /// `~`: the days count back from the last, which is 1.
    from_end: bool,
    hours: Items,
    minutes: Items,
    seconds: Items,
    /// Microseconds past the second.
    micros: u32,
    timezone: Option<String>,
    /// `@…`: seconds since 1970.
    timestamp: Option<i64>,
}

fn parse(text: &str) -> Result<Calendar, String> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    let mut calendar = Calendar::default();
    if let [word] | [word, "UTC"] = words[..]
        && let Some(secs) = word.strip_prefix('@')
    {
        let secs = secs.parse().map_err(|_| format!("`{word}` is no time since 1970"))?;
        calendar.timestamp = Some(secs);
        return Ok(calendar);
    }
    // A zone is the last word, and no other word looks like one.
    if let [_, .., last] = words[..]
        && last.starts_with(|c: char| c.is_ascii_alphabetic())
        && weekdays(last).is_none()
    {
        calendar.timezone = Some(last.to_owned());
        words.pop();
    }
    let shorthand = match words[..] {
        [word] => SHORTHANDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)),
        _ => None,
    };
    if let Some((_, expression)) = shorthand {
        words = expression.split(' ').collect();
    }
    let mut words = words.into_iter().peekable();
    if let Some(days) = words.peek().and_then(|word| weekdays(word)) {
        words.next();
        calendar.weekdays = Some(days);
    }
    if let Some(date) = words.next_if(|word| word.contains(['-', '~'])) {
        calendar.date(date)?;
    }
    match words.next() {
        Some(time) => calendar.time(time)?,
        None if calendar.weekdays.is_none() && text.trim().is_empty() => {
            return Err("it is empty".to_owned());
        }
        None => calendar.time("00:00:00")?,
    }
    match words.next() {
        None => Ok(calendar),
        Some(word) => Err(format!("`{word}` is not understood")),
    }
}

const NO_FRACTION: &str = "a fraction of a second has no counterpart in a schedule that repeats";

/// The digits behind the point of a second, to the nearest microsecond.
fn micros(digits: &str) -> Option<u32> {
    let is_good = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let micros: u32 = format!("{digits:0<7.7}").parse().ok().filter(|_| is_good)?;
    Some((micros + 5) / 10).filter(|micros| *micros < 1_000_000)
}

/// `Mon,Wed..Fri`; `None` for what is no list of weekdays.
fn weekdays(word: &str) -> Option<[bool; 7]> {
    let day = |name: &str| {
        let name = name.to_ascii_lowercase();
        let known = |day: &str| day == name || day[..3] == name;
        WEEKDAYS.iter().position(|day| known(day))
    };
    let mut days = [false; 7];
    // systemd lets a comma pass behind the last of them.
    for item in word.strip_suffix(',').unwrap_or(word).split(',') {
        let (first, last) = match item.split_once("..").or_else(|| item.split_once('-')) {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(item)?, day(item)?),
        };
        if first > last {
            return None;
        }
        days[first..=last].fill(true);
    }
    Some(days)
}

impl Calendar {
    fn date(&mut self, word: &str) -> Result<(), String> {
        let (front, day) = match word.split_once('~') {
            Some((front, day)) => {
                self.from_end = true;
                (front, day)
            }
            None => word.rsplit_once('-').unwrap_or(("", word)),
        };
        let (year, month) = front.rsplit_once('-').unwrap_or(("*", front));
        self.years = items(year, 1970, 2199, Towards::Last)?;
        self.months = items(month, 1, 12, Towards::Last)?;
        // Of all days, nobody can tell from which end they are counted.
        self.from_end &= day != "*";
        self.days = if self.from_end {
            // Every month has so many.
            items(day, 1, 28, Towards::First)?
        } else {
            items(day, 1, 31, Towards::Last)?
        };
        Ok(())
    }

    fn time(&mut self, word: &str) -> Result<(), String> {
        let parts: Vec<&str> = word.split(':').collect();
        let (hour, minute, second) = match parts[..] {
            [hour, minute] => (hour, minute, "0"),
            [hour, minute, second] => (hour, minute, second),
            _ => {
                let known = SHORTHANDS.iter().map(|(name, _)| *name);
                let near = nearest(&word.to_ascii_lowercase(), known);
                let near = near.map(|near| format!(", did you mean `{near}`?"));
                return Err(format!("`{word}` is not understood{}", near.unwrap_or_default()));
            }
        };
        let second = match second.split_once('.') {
            Some((second, fraction)) if !fraction.contains('.') => {
                self.micros = micros(fraction).ok_or_else(|| NO_FRACTION.to_owned())?;
                second
            }
            _ => second,
        };
        self.hours = items(hour, 0, 23, Towards::Last)?;
        self.minutes = items(minute, 0, 59, Towards::Last)?;
        self.seconds = items(second, 0, 59, Towards::Last)?;
        Ok(())
    }

    fn converted(self) -> Result<Converted, String> {
        if let Some(secs) = self.timestamp {
            let at = chrono::DateTime::from_timestamp(secs, 0)
                .ok_or_else(|| "the time is beyond all calendars".to_owned())?;
            let value = Value::Raw(at.format("%Y-%m-%dT%H:%M:%SZ").to_string());
            let oracle = Oracle::None("a date has one due time");
            return Ok(Converted { key: "date", value, timezone: None, oracle });
        }
        if let Some(date) = self.single() {
            let oracle = Oracle::None("a date has one due time");
            let timezone = self.timezone;
            return Ok(Converted { key: "date", value: Value::Raw(date), timezone, oracle });
        }
        if self.micros != 0 {
            return Err(NO_FRACTION.to_owned());
        }
        let oracle = self.oracle();
        let value = self.cron()?;
        Ok(Converted { key: "cron", value, timezone: self.timezone, oracle })
    }

    /// The one moment that it names, if it does.
    fn single(&self) -> Option<String> {
        let one = |items: &Items| match items[..] {
            [Item { first, last: None, step: None }] => Some(first),
            _ => None,
        };
        if self.weekdays.is_some() || self.from_end {
            return None;
        }
        let (year, month, day) = (one(&self.years)?, one(&self.months)?, one(&self.days)?);
        chrono::NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
        let (hour, minute, second) = (one(&self.hours)?, one(&self.minutes)?, one(&self.seconds)?);
        let fraction = match self.micros {
            0 => String::new(),
            micros => format!(".{micros:06}").trim_end_matches('0').to_owned(),
        };
        Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}"))
    }

    fn cron(&self) -> Result<Value, String> {
        let second = field(&self.seconds, 0, 59);
        let minute = field(&self.minutes, 0, 59);
        let hour = field(&self.hours, 0, 23);
        let month = field(&self.months, 1, 12);
        let weekday = self.weekdays.filter(|days| days.contains(&false));
        let weekday = weekday.map_or("*".to_owned(), |days| named(&days));
        let any_day = self.days.is_empty();
        if self.years.is_empty() && (any_day || weekday == "*") {
            let day = if self.from_end {
                last_days(&self.days)
                    .iter()
                    .map(|day| if *day == 1 { "L".to_owned() } else { format!("L-{}", day - 1) })
                    .collect::<Vec<String>>()
                    .join(",")
            } else {
                field(&self.days, 1, 31)
            };
            let second = if second == "0" { String::new() } else { format!("{second} ") };
            return Ok(Value::Text(format!("{second}{minute} {hour} {day} {month} {weekday}")));
        }
        let mut table = Vec::new();
        let mut put = |key: &'static str, text: String| {
            table.push((key, text.parse().map_or(Value::Text(text), Value::Integer)));
        };
        if !self.years.is_empty() {
            put("year", field(&self.years, 1970, 9999));
        }
        if month != "*" {
            put("month", month);
        }
        match self.day_with(&weekday)? {
            (day, true) => put("day", day),
            (day, false) => {
                if day != "*" {
                    put("day", day);
                }
                if weekday != "*" {
                    put("day_of_week", weekday);
                }
            }
        }
        put("hour", hour);
        put("minute", minute);
        if second != "0" {
            put("second", second);
        }
        Ok(Value::Table(table))
    }

    /// The `day` of the table form, and whether it says the weekday as well.
    fn day_with(&self, weekday: &str) -> Result<(String, bool), String> {
        let one_weekday = weekday != "*" && !weekday.contains([',', '-']);
        let week = match self.days[..] {
            [Item { first, last: Some(last), step: None | Some(1) }] if last == first + 6 => {
                (first % 7 == 1).then_some(first / 7)
            }
            _ => None,
        };
        if self.from_end {
            let days = last_days(&self.days);
            return match days[..] {
                [1, .., 7] if days.len() == 7 && one_weekday => {
                    Ok((format!("last {weekday}"), true))
                }
                [1] => Ok(("last".to_owned(), false)),
                _ => Err("days counted from the end of the month, together with a year or a \
                          weekday, have no counterpart"
                    .to_owned()),
            };
        }
        if one_weekday && let Some(week) = week.filter(|week| *week < 4) {
            let nth = ["1st", "2nd", "3rd", "4th"][week as usize];
            return Ok((format!("{nth} {weekday}"), true));
        }
        Ok((field(&self.days, 1, 31), false))
    }

    /// The same for the oracle, whose parts all have to match as well.
    fn oracle(&self) -> Oracle {
        if self.from_end {
            return Oracle::None(
                "the independent engine does not support the last days of a month",
            );
        }
        let weekdays = self.weekdays.unwrap_or([true; 7]);
        let weekdays: Vec<String> = (0..7)
            .filter(|day| weekdays[*day])
            .map(|day| ((day + 1) % 7 + 1).to_string())
            .collect();
        let quartz = format!(
            "{} {} {} {} {} {} {}",
            listed(&self.seconds, 0, 59),
            listed(&self.minutes, 0, 59),
            listed(&self.hours, 0, 23),
            listed(&self.days, 1, 31),
            listed(&self.months, 1, 12),
            weekdays.join(","),
            listed(&self.years, 1970, 2100),
        );
        Oracle::Quartz(vec![quartz])
    }
}

/// Where a repetition without an end leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Towards {
    /// Up to the largest number.
    Last,
    /// Days that are counted from the end of the month, down to the last one, which is 1.
    First,
}

/// A component; `*` is no item at all.
fn items(text: &str, min: u32, max: u32, towards: Towards) -> Result<Items, String> {
    if text == "*" {
        return Ok(Vec::new());
    }
    let wrong = || format!("`{text}` is not understood");
    let number = |text: &str| -> Result<u32, String> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = match text.parse::<u32>().map_err(|_| wrong())? {
            // Two digits are the years around 2000.
            year @ 0..70 if min == 1970 => year + 2000,
            year @ 70..100 if min == 1970 => year + 1900,
            number => number,
        };
        if digits && (min..=max).contains(&number) { Ok(number) } else { Err(wrong()) }
    };
    text.split(',')
        .map(|item| {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => {
                    let step = step.parse::<u32>().ok().filter(|step| *step > 0);
                    (range, Some(step.ok_or_else(wrong)?))
                }
                None => (item, None),
            };
            let (first, last) = match range.split_once("..") {
                Some((first, last)) => (number(first)?, Some(number(last)?)),
                None => (number(range)?, None),
            };
            let room = match towards {
                Towards::Last => max - first,
                Towards::First => first - min,
            };
            match last {
                Some(last) if last < first => Err(wrong()),
                // A repetition that never repeats is an error there.
                None if room < step.unwrap_or_default() => Err(wrong()),
                _ => Ok(Item { first, last, step }),
            }
        })
        .collect()
}

/// A component as a field of a crontab.
fn field(items: &Items, min: u32, max: u32) -> String {
    if items.is_empty() {
        return "*".to_owned();
    }
    let texts: Vec<String> = items
        .iter()
        .map(|item| match (item.last, item.step) {
            (None, None) => item.first.to_string(),
            (Some(last), None | Some(1)) => format!("{}-{last}", item.first),
            (None, Some(1)) if item.first == min => "*".to_owned(),
            (None, Some(step)) if step > max - item.first => item.first.to_string(),
            (None, Some(step)) if item.first == min => format!("*/{step}"),
            (None, Some(step)) => format!("{}-{max}/{step}", item.first),
            (Some(last), Some(step)) if step > last - item.first => item.first.to_string(),
            (Some(last), Some(step)) => format!("{}-{last}/{step}", item.first),
        })
        .collect();
    texts.join(",")
}

/// A component as every number in it, worked out here and not by a step.
fn listed(items: &Items, min: u32, max: u32) -> String {
    if items.is_empty() {
        return "*".to_owned();
    }
    let within = |number: u32| {
        items.iter().any(|item| match (item.last, item.step) {
            (None, None) => number == item.first,
            (last, step) => {
                number >= item.first
                    && number <= last.unwrap_or(max)
                    && (number - item.first).is_multiple_of(step.unwrap_or(1))
            }
        })
    };
    let numbers: Vec<String> =
        (min..=max).filter(|number| within(*number)).map(|number| number.to_string()).collect();
    numbers.join(",")
}

/// Days counted from the end (1 is the last), in order. A repetition without an end goes on to the
/// last day.
fn last_days(items: &Items) -> Vec<u32> {
    let mut days: Vec<u32> = items
        .iter()
        .flat_map(|item| {
            let step = item.step.unwrap_or(1) as usize;
            match (item.last, item.step) {
                (None, None) => vec![item.first],
                (None, Some(_)) => (1..=item.first).rev().step_by(step).collect(),
                (Some(last), _) => (item.first..=last).rev().step_by(step).collect(),
            }
        })
        .collect();
    sort::all(&mut days);
    days.dedup();
    days
}

/// `mon,wed-fri`.
fn named(days: &[bool; 7]) -> String {
    let mut texts = Vec::new();
    let mut day = 0;
    while day < 7 {
        if !days[day] {
            day += 1;
            continue;
        }
        let first = day;
        while day < 7 && days[day] {
            day += 1;
        }
        let name = |day: usize| &WEEKDAYS[day][..3];
        texts.push(match day - first {
            1 => name(first).to_owned(),
            2 => format!("{},{}", name(first), name(first + 1)),
            _ => format!("{}-{}", name(first), name(day - 1)),
        });
    }
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &Value) -> String {
        match value {
            Value::Text(text) | Value::Raw(text) => text.clone(),
            Value::Table(entries) => entries
                .iter()
                .map(|(key, value)| format!("{key}={}", shown(value)))
                .collect::<Vec<String>>()
                .join(" "),
            Value::Integer(number) => number.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn expressions_become_triggers() {
        let rows = [
            ("daily", "0 0 * * *"),
            ("Weekly", "0 0 * * mon"),
            ("quarterly", "0 0 1 1,4,7,10 *"),
            ("minutely", "* * * * *"),
            ("Mon..Fri *-*-* 09:00", "0 9 * * mon-fri"),
            ("Sat,Sun 4:05", "5 4 * * sat,sun"),
            ("*:0/15", "*/15 * * * *"),
            ("*:5/15", "5-59/15 * * * *"),
            ("*:*:0/10", "*/10 * * * * *"),
            ("*-*-* 07..23:30", "30 7-23 * * *"),
            ("*-*-* 00,12:00:00", "0 0,12 * * *"),
            ("8..18/2:30:15", "15 30 8-18/2 * * *"),
            ("*-*~01 06:00", "0 6 L * *"),
            ("*-02~03 00:00", "0 0 L-2 2 *"),
            ("*-*~3/1", "0 0 L,L-1,L-2 * *"),
            ("*-*~28", "0 0 L-27 * *"),
            ("*-*~28/27", "0 0 L,L-27 * *"),
            ("Sun *-*-1..7 1:00:00", "day=1st sun hour=1 minute=0"),
            ("Mon *-05~07/1 12:00", "month=5 day=last mon hour=12 minute=0"),
            ("Fri *-*-13", "day=13 day_of_week=fri hour=0 minute=0"),
            ("2027-*-01 03:00", "year=2027 day=1 hour=3 minute=0"),
            ("2027..2030/2-01-01", "year=2027-2030/2 month=1 day=1 hour=0 minute=0"),
            ("2027-03-04 05:06:07", "2027-03-04T05:06:07"),
            ("27-3-4", "2027-03-04T00:00:00"),
            ("93..00-*-*", "year=1993-2000 hour=0 minute=0"),
            ("2016-03-27 03:17:00.420000001", "2016-03-27T03:17:00.42"),
            ("2016-03-27 03:17:59.0000005", "2016-03-27T03:17:59.000001"),
            ("@1493187147 UTC", "2017-04-26T06:12:27Z"),
            ("*-*~*", "0 0 * * *"),
            ("Fri *-02~* 3:00", "0 3 * 2 fri"),
            ("Wednesday,", "0 0 * * wed"),
            ("@1900000000", "2030-03-17T17:46:40Z"),
            ("Mon..Sun 3:00", "0 3 * * *"),
        ];
        for (text, expected) in rows {
            let converted = convert(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(shown(&converted.value), expected, "{text}");
        }
        assert_eq!(convert("daily UTC").unwrap().timezone.as_deref(), Some("UTC"));
        let converted = convert("Mon 03:00 Europe/Berlin").unwrap();
        assert_eq!(converted.timezone.as_deref(), Some("Europe/Berlin"));
    }

    #[test]
    fn says_what_has_no_counterpart() {
        for text in [
            "",
            "9",
            "9:",
            "Fri..Mon",
            "*-*-* 25:00",
            "*-13-01",
            "22..2:00",
            "12:00:00.5",
            "2016-03-27 03:17:00.",
            "2016-03-27 03:17:59.9999999",
            "@1493187147 Europe/Berlin",
            "Mon,,Tue",
            "00..93-*-*",
            "Mon,Tue *-*~2",
            "dialy",
            "*-*-* 3:00 4:00",
            "*:0/0",
            "*:0/60",
            "*:59/1",
            "*-12/2-1",
            "23/1:0",
            "*-*-31/1",
            "*-*~3/3",
            "*-*~29",
            "*-02~29",
            "*-*~28..29",
            "*-*~3,31",
            "2199/1-1-1",
            "@x",
            "*-*-32",
        ] {
            assert!(convert(text).is_err(), "{text}: {:?}", convert(text));
        }
    }
}
