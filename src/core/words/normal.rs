//! A cron schedule written the shortest usual way, from what it means.
//!
//! Reading the result again gives the same schedule (`tests/time/words.rs` holds it to that): the
//! string form where crontab(5) and its extensions can say it, the table form otherwise.

use super::cron::runs;
use crate::core::names::{SHORT_MONTHS, SHORT_WEEKDAYS};
use crate::core::trigger::cron::Schedule;
use crate::core::trigger::cron::schedule::{
    ALL_DAYS, ALL_MONTHS, ALL_WEEKDAYS, ALL_WEEKS, FIRST_YEAR, More, NTH_LAST, bits,
};

/// A schedule as an expression: `*/5 9-17 * * mon-fri`, or as a table,
/// `{ day = "3rd fri", hour = "0-3" }`. `None` for a schedule that was seen to be impossible, of
/// which not everything is kept.
pub fn normalised(schedule: &Schedule) -> Option<String> {
    if schedule.months() == 0 {
        return None;
    }
    Some(match normal(schedule, schedule.months())? {
        Normal::Expression(text) => text,
        Normal::Fields(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, text)| format!("{key} = \"{text}\"")).collect();
            format!("{{ {} }}", fields.join(", "))
        }
    })
}

/// A schedule in one of the two ways to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Normal {
    /// The string form.
    Expression(String),
    /// The fields of the table form, in the order of the calendar.
    Fields(Vec<(&'static str, String)>),
}

/// A schedule the shortest usual way, as if it had these months.
pub(crate) fn normal(schedule: &Schedule, months: u16) -> Option<Normal> {
    let default = More::default();
    let more = schedule.more().unwrap_or(&default);
    if needs_table(schedule, more) || restricts_both(schedule) || !more.years.is_empty() {
        table(schedule, more, months)
            .map(Normal::Fields)
            .or_else(|| expression(schedule, months).map(Normal::Expression))
    } else {
        Some(Normal::Expression(string(schedule, more, months)))
    }
}

/// A schedule in the string form, which is all that may stand in a list; `None` if only a table can
/// say it.
pub(crate) fn expression(schedule: &Schedule, months: u16) -> Option<String> {
    let default = More::default();
    let more = schedule.more().unwrap_or(&default);
    (!needs_table(schedule, more)).then(|| string(schedule, more, months))
}

/// Whether only the table form has a field for what it says.
fn needs_table(schedule: &Schedule, more: &More) -> bool {
    more.weeks != ALL_WEEKS
        || more.nth != [0; 7]
        || restricts_both(schedule)
            && starred_days(schedule.days()).is_none()
            && starred_weekdays(schedule.weekdays()).is_none()
}

/// Whether a day has to match by both of its fields. The string form can say so only by beginning
/// one of them with a star.
fn restricts_both(schedule: &Schedule) -> bool {
    let any = schedule.days() == ALL_DAYS || schedule.weekdays() == ALL_WEEKDAYS;
    !schedule.is_either() && !any
}

fn string(schedule: &Schedule, more: &More, months: u16) -> String {
    let any_day = schedule.days() == ALL_DAYS && !schedule.is_either();
    let any_weekday = schedule.weekdays() == ALL_WEEKDAYS && !schedule.is_either();
    let (mut star_day, mut star_weekday) = (None, None);
    if restricts_both(schedule) {
        star_day = starred_days(schedule.days());
        star_weekday = starred_weekdays(schedule.weekdays()).filter(|_| star_day.is_none());
    }
    let time = Times::of(schedule);
    let years = years(more);
    let mut fields = Vec::new();
    // Where there is a year, there is a second too: of six fields, the first is the second.
    if schedule.seconds() != 1 || time.seconds != "0" || years.is_some() {
        fields.push(time.seconds);
    }
    fields.push(time.minutes);
    fields.push(time.hours);
    fields.push(match (any_day, star_day) {
        (true, _) => "*".to_owned(),
        (_, Some(starred)) => [starred, days(0, more)].join(",").trim_end_matches(',').to_owned(),
        (_, None) => days(schedule.days(), more),
    });
    fields.push(self::months(months));
    fields.push(match (any_weekday, star_weekday) {
        (true, _) => "*".to_owned(),
        (_, Some(starred)) => {
            [starred, weekdays(0, more)].join(",").trim_end_matches(',').to_owned()
        }
        (_, None) => weekdays(schedule.weekdays(), more),
    });
    fields.extend(years);
    fields.join(" ")
}

/// The years, if not all of them.
fn years(more: &More) -> Option<String> {
    let years = more.years.iter().map(|years| match (years.first == years.last, years.step) {
        (true, _) => years.first.to_string(),
        (false, 1) => format!("{}-{}", years.first, years.last),
        (false, step) => format!("{}-{}/{step}", years.first, years.last),
    });
    let years: Vec<String> = years.collect();
    (!years.is_empty()).then(|| years.join(","))
}

/// Days of the month that begin with `*/n`, if they can.
fn starred_days(set: u32) -> Option<String> {
    let every = |step: usize| (1..=31).step_by(step).fold(0, |set, day| set | 1 << day);
    let (step, rest) =
        (2..=31).map(|step| (step, every(step))).find(|(_, days)| set & days == *days)?;
    let rest = drawn_together((set & !rest).into(), 1, 32);
    Some(format!("*/{step},{rest}").trim_end_matches(',').to_owned())
}

/// The same for days of the week, which are counted from sunday on here.
fn starred_weekdays(set: u8) -> Option<String> {
    let every = |step: usize| (0..7).step_by(step).fold(0, |set, day| set | 1 << ((day + 6) % 7));
    let (step, rest) =
        (2..=7).map(|step| (step, every(step))).find(|(_, days)| set & days == *days)?;
    let rest = named((set & !rest).into(), &SHORT_WEEKDAYS);
    Some(format!("*/{step},{rest}").trim_end_matches(',').to_owned())
}

/// Second, minute and hour.
struct Times {
    seconds: String,
    minutes: String,
    hours: String,
}

impl Times {
    /// A schedule that is recurring is written with ranges and steps, a clock-like one with
    /// plain values and lists, because that is what tells the two apart when it is read again.
    fn of(schedule: &Schedule) -> Times {
        let sets =
            [(schedule.seconds(), 60), (schedule.minutes(), 60), (schedule.hours().into(), 24)];
        if !schedule.is_recurring() {
            let [seconds, minutes, hours] = sets.map(|(set, size)| plain(set, size));
            return Times { seconds, minutes, hours };
        }
        let [seconds, minutes, mut hours] = sets.map(|(set, size)| drawn_together(set, 0, size));
        if [&seconds, &minutes, &hours].iter().all(|text| !text.contains(['*', '-', '/'])) {
            // Written plainly it would be read as clock-like: make it a range.
            let values: Vec<u32> = bits(schedule.hours()).collect();
            hours = match values[..] {
                [first, last] => format!("{first}-{last}/{}", last - first),
                _ => format!("{hours}-{}", hours.rsplit(',').next().unwrap_or_default()),
            };
        }
        Times { seconds, minutes, hours }
    }
}

fn plain(set: u64, size: u32) -> String {
    let values: Vec<String> =
        (0..size).filter(|value| set >> value & 1 != 0).map(|value| value.to_string()).collect();
    values.join(",")
}

/// `*`, `*/n`, `a-b`, `a-b/n`, and lists of them. Values are `min..size`.
fn drawn_together(set: u64, min: u32, size: u32) -> String {
    let values: Vec<u32> = (min..size).filter(|value| set >> value & 1 != 0).collect();
    if values.len() as u32 == size - min {
        return "*".to_owned();
    }
    if let [first, second, .., last] = values[..]
        && second - first > 1
        && values.windows(2).all(|pair| pair[1] - pair[0] == second - first)
    {
        let step = second - first;
        return if first == min && last + step >= size {
            format!("*/{step}")
        } else {
            format!("{first}-{last}/{step}")
        };
    }
    if let [0, second] = values[..]
        && min == 0
        && second * 2 == size
    {
        return format!("*/{second}");
    }
    let texts: Vec<String> = runs(set, size)
        .into_iter()
        .map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        )
        .collect();
    texts.join(",")
}

fn named(set: u64, names: &[&str]) -> String {
    let name = |index: u32| names[index as usize];
    let texts: Vec<String> = runs(set, names.len() as u32)
        .into_iter()
        .map(|(first, last)| {
            if first == last {
                name(first).to_owned()
            } else {
                format!("{}-{}", name(first), name(last))
            }
        })
        .collect();
    texts.join(",")
}

fn months(months: u16) -> String {
    match months {
        ALL_MONTHS => "*".to_owned(),
        months => named(u64::from(months) >> 1, &SHORT_MONTHS),
    }
}

/// The day-of-month field of the string form.
fn days(days: u32, more: &More) -> String {
    let mut texts = Vec::new();
    match days {
        0 => {}
        // Not `*`, which would count as unrestricted.
        ALL_DAYS => texts.push("1-31".to_owned()),
        days => {
            let text = drawn_together(days.into(), 1, 32);
            texts.push(text.replace("*/", "1-31/"));
        }
    }
    texts.extend(bits(more.nearest).map(|day| match day {
        0 => "LW".to_owned(),
        day => format!("{day}W"),
    }));
    texts.extend(bits(more.nearest_from_end).map(|before| format!("L-{before}W")));
    texts.extend(bits(more.from_end).map(|before| match before {
        0 => "L".to_owned(),
        before => format!("L-{before}"),
    }));
    texts.join(",")
}

/// The day-of-week field of the string form.
fn weekdays(weekdays: u8, more: &More) -> String {
    let mut texts = Vec::new();
    if weekdays != 0 {
        texts.push(named(weekdays.into(), &SHORT_WEEKDAYS));
    }
    for (weekday, which) in more.weekday_nth.iter().enumerate() {
        texts.extend(bits(u32::from(*which)).map(|nth| match 1 << nth {
            NTH_LAST => format!("{}L", SHORT_WEEKDAYS[weekday]),
            _ => format!("{}#{}", SHORT_WEEKDAYS[weekday], nth + 1),
        }));
    }
    texts.join(",")
}

/// The table form; `None` for what only the string form can say.
fn table(schedule: &Schedule, more: &More, months: u16) -> Option<Vec<(&'static str, String)>> {
    let beyond = more.nearest | more.nearest_from_end != 0 || more.from_end > 1;
    // There all fields have to match, and years begin in 1970.
    let early = more.years.iter().any(|years| years.first < FIRST_YEAR);
    if beyond || schedule.is_either() || early || more.weekday_nth != [0; 7] {
        return None;
    }
    let mut fields = Vec::new();
    let mut field = |key: &'static str, text: String| fields.push((key, text));
    if let Some(years) = years(more) {
        field("year", years);
    }
    // Said even where it is `*`: a field left out might become its minimum.
    field("month", self::months(months));
    let mut days = Vec::new();
    match schedule.days() {
        0 => {}
        set => days.push(drawn_together(set.into(), 1, 32)),
    }
    const POSITIONS: [&str; 6] = ["1st", "2nd", "3rd", "4th", "5th", "last"];
    for (weekday, which) in more.nth.iter().enumerate() {
        days.extend(
            bits(u32::from(*which))
                .map(|nth| format!("{} {}", POSITIONS[nth as usize], SHORT_WEEKDAYS[weekday])),
        );
    }
    if more.from_end == 1 {
        days.push("last".to_owned());
    }
    field("day", days.join(","));
    if more.weeks != ALL_WEEKS {
        field("week", drawn_together(more.weeks, 1, 54));
    }
    if schedule.weekdays() != ALL_WEEKDAYS {
        field("day_of_week", named(schedule.weekdays().into(), &SHORT_WEEKDAYS));
    }
    let times = Times::of(schedule);
    field("hour", times.hours);
    field("minute", times.minutes);
    if times.seconds != "0" {
        field("second", times.seconds);
    }
    Some(fields)
}
