//! Random schedules that know by themselves when they match.
//!
//! Each is made of structured expressions; the text is written from them, and so are the plain
//! tables `matches` looks into. Nothing here reads a text or uses the engine's calendar, so that
//! an error there cannot hide here.

use chrono::{Datelike, Days, NaiveDate};

use super::rng::Rng;

/// A random schedule: its text and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) text: Text,
    pub(crate) seconds: [bool; 60],
    pub(crate) minutes: [bool; 60],
    pub(crate) hours: [bool; 24],
    pub(crate) days: [bool; 32],
    pub(crate) months: [bool; 13],
    /// Monday first.
    pub(crate) weekdays: [bool; 7],
    /// What the day of month says beside numbers.
    pub(crate) day_rules: Vec<Rule>,
    /// What the day of week says beside numbers.
    pub(crate) weekday_rules: Vec<Rule>,
    /// A day may match by either of the day fields.
    pub(crate) either: bool,
    pub(crate) weeks: Option<[bool; 54]>,
    /// Sorted.
    pub(crate) years: Option<Vec<i32>>,
    /// Second, minute or hour hold a `*`, a range or a step.
    pub(crate) recurring: bool,
}

/// How it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Crontab(String),
    /// Keys and expressions.
    Fields(Vec<(&'static str, String)>),
}

/// A day of the month that is not a number. Weekdays are counted from Monday = 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// So many days before the last.
    BeforeLast(u32),
    LastWorkday,
    NearestWorkday(u32),
    /// The workday nearest to so many days before the last.
    NearestBeforeLast(u32),
    Nth(u32, u32),
    LastOf(u32),
}

impl Rule {
    fn matches(self, date: NaiveDate) -> bool {
        let weekday = date.weekday().num_days_from_monday();
        let workday = weekday < 5;
        let in_month = |date: NaiveDate, other: NaiveDate| other.month() == date.month();
        match self {
            Rule::BeforeLast(days) => {
                let last = date + Days::new(days.into());
                in_month(date, last) && !in_month(date, last + Days::new(1))
            }
            Rule::LastWorkday => {
                let later = (1..3).map(|ahead| date + Days::new(ahead));
                workday
                    && !in_month(date, date + Days::new(3))
                    && later
                        .filter(|later| in_month(date, *later))
                        .all(|later| later.weekday().num_days_from_monday() >= 5)
            }
            Rule::NearestWorkday(day) => {
                let Some(target) = date.with_day(day) else { return false };
                nearest_workday(target) == Some(date)
            }
            Rule::NearestBeforeLast(days) => {
                let mut all = (1..=31).filter_map(|day| date.with_day(day));
                let target = all.find(|date| Rule::BeforeLast(days).matches(*date));
                target.is_some_and(|target| nearest_workday(target) == Some(date))
            }
            Rule::Nth(nth, of) => weekday == of && (date.day() - 1) / 7 + 1 == nth,
            Rule::LastOf(of) => weekday == of && !in_month(date, date + Days::new(7)),
        }
    }
}

/// The workday of the month that is least far from a day.
fn nearest_workday(target: NaiveDate) -> Option<NaiveDate> {
    let workdays = (1..=31)
        .filter_map(|day| target.with_day(day))
        .filter(|date| date.weekday().num_days_from_monday() < 5);
    workdays.min_by_key(|date| (*date - target).num_days().abs())
}

impl Spec {
    pub(crate) fn matches_day(&self, date: NaiveDate) -> bool {
        let rules = |rules: &[Rule]| rules.iter().any(|rule| rule.matches(date));
        let by_day = self.days[date.day() as usize] || rules(&self.day_rules);
        let by_weekday = self.weekdays[date.weekday().num_days_from_monday() as usize]
            || rules(&self.weekday_rules);
        (if self.either { by_day || by_weekday } else { by_day && by_weekday })
            && self.months[date.month() as usize]
            && self.weeks.is_none_or(|weeks| weeks[date.iso_week().week() as usize])
            && self.years.as_ref().is_none_or(|years| years.binary_search(&date.year()).is_ok())
    }

    pub(crate) fn every_hour(&self) -> bool {
        self.hours.iter().all(|hour| *hour)
    }
}

/// A wall time that many of the random values should lie near, so that the schedules have
/// something to do there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Focus {
    pub(crate) date: NaiveDate,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
}

/// What a field may hold.
struct Axis {
    min: u32,
    max: u32,
    /// How many values there are before they repeat.
    size: u32,
    /// The names of its values, from `min` on.
    names: &'static [&'static str],
    focus: Option<u32>,
}

const MONTHS: [&str; 12] =
    ["jan", "Feb", "MAR", "apr", "May", "jun", "jul", "Aug", "sep", "oct", "nov", "DEC"];
const FROM_SUNDAY: [&str; 7] = ["sun", "MON", "tue", "wed", "Thu", "fri", "sat"];
const FROM_MONDAY: [&str; 7] = ["MON", "tue", "wed", "Thu", "fri", "sat", "sun"];

/// One field as it comes to be.
#[derive(Default)]
struct Made {
    text: String,
    values: Vec<u32>,
    open: bool,
    rules: Vec<Rule>,
}

impl Made {
    fn set<const N: usize>(&self) -> [bool; N] {
        let mut set = [false; N];
        for value in &self.values {
            set[*value as usize] = true;
        }
        set
    }
}

impl Axis {
    fn value(&self, rng: &mut Rng) -> u32 {
        match self.focus {
            Some(focus) if rng.chance(70) => {
                (focus + rng.number(0..=2)).saturating_sub(1).clamp(self.min, self.max)
            }
            _ => rng.number(self.min..=self.max),
        }
    }

    fn write(&self, value: u32, rng: &mut Rng) -> String {
        match self.names.get((value - self.min) as usize) {
            Some(name) if rng.chance(60) => (*name).to_owned(),
            _ => value.to_string(),
        }
    }

    /// The values from `first` to `last`, one in `step`, going round where the end comes first.
    fn walk(&self, first: u32, last: u32, step: u32) -> Vec<u32> {
        let count = if first <= last { last - first } else { last + self.size - first };
        (0..=count)
            .step_by(step as usize)
            .map(|ahead| match first + ahead {
                value if first <= last => value,
                value => (value - self.min) % self.size + self.min,
            })
            .collect()
    }
}

/// An expression of crontab(5), added to a field.
fn crontab_item(axis: &Axis, rng: &mut Rng, made: &mut Made) {
    let (first, last) = (axis.value(rng), axis.value(rng));
    let step = if rng.chance(70) {
        rng.number(1..=axis.size.div_ceil(2))
    } else {
        rng.number(1..=axis.size + 3)
    };
    let kind = rng.number(0..=99);
    let (text, values) = match kind {
        0..50 => (axis.write(first, rng), vec![first]),
        50..58 => ("*".to_owned(), axis.walk(axis.min, axis.max, 1)),
        58..66 => (format!("*/{step}"), axis.walk(axis.min, axis.max, step)),
        66..84 => (
            format!("{}-{}", axis.write(first, rng), axis.write(last, rng)),
            axis.walk(first, last, 1),
        ),
        84..94 => (
            format!("{}-{}/{step}", axis.write(first, rng), axis.write(last, rng)),
            axis.walk(first, last, step),
        ),
        _ => {
            // The week ends with Saturday here, and not with another Sunday.
            let last =
                if (axis.max, axis.size) == (7, 7) { axis.max.min(first.max(6)) } else { axis.max };
            (format!("{}/{step}", axis.write(first, rng)), axis.walk(first, last, step))
        }
    };
    made.open |= kind >= 50;
    made.text.push_str(&text);
    made.values.extend(values);
}

fn crontab_field(
    axis: &Axis,
    star: u32,
    rng: &mut Rng,
    special: impl Fn(&mut Rng, &mut Made),
) -> Made {
    let mut made = Made::default();
    if rng.chance(star) {
        made.text.push(if rng.chance(95) { '*' } else { '?' });
        made.values = axis.walk(axis.min, axis.max, 1);
        made.open = true;
        return made;
    }
    let items = if rng.chance(70) { 1 } else { rng.number(2..=4) };
    for item in 0..items {
        if item > 0 {
            made.text.push(',');
        }
        let before = made.text.len();
        if rng.chance(20) {
            special(rng, &mut made);
        }
        if made.text.len() == before {
            crontab_item(axis, rng, &mut made);
        }
    }
    made
}

/// A random schedule in the string form; `seconds` says whether it may have six fields.
pub(crate) fn crontab(rng: &mut Rng, focus: Option<Focus>, seconds: bool) -> Spec {
    let at = |of: fn(Focus) -> u32| focus.map(of);
    let sixty = |focus| Axis { min: 0, max: 59, size: 60, names: &[], focus };
    let none = |_: &mut Rng, _: &mut Made| {};
    let second = (seconds && rng.chance(25)).then(|| {
        // Mostly few seconds: a schedule that is due in each of them is slow to list.
        let axis = sixty(None);
        let mut made = crontab_field(&axis, 3, rng, none);
        if made.values.len() > 6 && rng.chance(80) {
            made = Made { text: "0,30".into(), values: vec![0, 30], ..Made::default() };
        }
        made
    });
    let minute = crontab_field(&sixty(at(|focus| focus.minute)), 10, rng, none);
    let hour = Axis { min: 0, max: 23, size: 24, names: &[], focus: at(|focus| focus.hour) };
    let hour = crontab_field(&hour, 20, rng, none);
    let day = Axis { min: 1, max: 31, size: 31, names: &[], focus: at(|focus| focus.date.day()) };
    let day = crontab_field(&day, 55, rng, |rng, made| {
        let day = rng.number(1..=31);
        let (text, rule) = match rng.number(0..=4) {
            0 => ("L".to_owned(), Rule::BeforeLast(0)),
            4 => (format!("L-{}W", day - 1), Rule::NearestBeforeLast(day - 1)),
            1 => (format!("L-{}", day - 1), Rule::BeforeLast(day - 1)),
            2 => ("LW".to_owned(), Rule::LastWorkday),
            _ => (format!("{day}W"), Rule::NearestWorkday(day)),
        };
        made.text.push_str(&text);
        made.rules.push(rule);
    });
    let months = at(|focus| focus.date.month());
    let month = Axis { min: 1, max: 12, size: 12, names: &MONTHS, focus: months };
    let month = crontab_field(&month, 70, rng, none);
    let weekdays = at(|focus| focus.date.weekday().num_days_from_sunday());
    let weekday = Axis { min: 0, max: 7, size: 7, names: &FROM_SUNDAY, focus: weekdays };
    let weekday = crontab_field(&weekday, 55, rng, |rng, made| {
        let (day, nth) = (rng.number(0..=7), rng.number(1..=5));
        let name =
            if rng.chance(50) { FROM_SUNDAY[day as usize % 7].to_owned() } else { day.to_string() };
        let from_monday = (day + 6) % 7;
        let (text, rule) = if rng.chance(50) {
            (format!("{name}#{nth}"), Rule::Nth(nth, from_monday))
        } else {
            (format!("{name}{}", rng.pick(&["L", "#L", "#-1"])), Rule::LastOf(from_monday))
        };
        made.text.push_str(&text);
        made.rules.push(rule);
    });
    // Mostly one that is asked about, or every other year.
    let year = (seconds && rng.chance(8)).then(|| {
        let first = focus.map_or(rng.number(1990..=2060), |focus| focus.date.year().max(1) as u32);
        let (step, length) = (rng.number(1..=4), rng.number(0..=30));
        let axis = Axis { min: 1, max: 9999, size: 9999, names: &[], focus: None };
        let (text, last) = match rng.number(0..=2) {
            0 => {
                let last = (first + length).min(9999);
                (format!("{first}-{last}/{step}"), last)
            }
            1 => (format!("{first}/{step}"), 9999),
            _ => (format!("*/{}", step + 1), 9999),
        };
        let step = if text.starts_with('*') { step + 1 } else { step };
        let first = if text.starts_with('*') { 1970 } else { first };
        Made { text, values: axis.walk(first, last, step), ..Made::default() }
    });
    let zero = Made { text: "0".into(), values: vec![0], ..Made::default() };
    let second = second.or(year.is_some().then_some(zero));
    let mut text = String::new();
    let mut recurring = false;
    for (field, timed) in [
        (second.as_ref(), true),
        (Some(&minute), true),
        (Some(&hour), true),
        (Some(&day), false),
        (Some(&month), false),
        (Some(&weekday), false),
        (year.as_ref(), false),
    ] {
        let Some(field) = field else { continue };
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&field.text);
        recurring |= timed && field.open;
    }
    let free = |field: &Made| field.text.starts_with(['*', '?']);
    let mut from_monday = [false; 7];
    for value in &weekday.values {
        from_monday[(*value as usize + 6) % 7] = true;
    }
    Spec {
        text: Text::Crontab(text),
        seconds: second
            .map_or_else(|| std::array::from_fn(|second| second == 0), |second| second.set()),
        minutes: minute.set(),
        hours: hour.set(),
        days: day.set(),
        months: month.set(),
        weekdays: from_monday,
        either: !free(&day) && !free(&weekday),
        day_rules: day.rules,
        weekday_rules: weekday.rules,
        weeks: None,
        years: year.map(|year| year.values.iter().map(|year| *year as i32).collect()),
        recurring,
    }
}

/// An expression of APScheduler's, added to a field.
fn fields_item(axis: &Axis, rng: &mut Rng, made: &mut Made) {
    let (a, b) = (axis.value(rng), axis.value(rng));
    let (first, last) = (a.min(b), a.max(b));
    let name = |value: u32| axis.names.get((value - axis.min) as usize).copied();
    // A step is at most as wide as what it steps over, and narrow ones are more fun.
    let step = |width: u32, rng: &mut Rng| {
        if rng.chance(70) { rng.number(1..=width.div_ceil(2)) } else { rng.number(1..=width) }
    };
    let kind = rng.number(0..=99);
    let (text, values, open) = match kind {
        58..66 => {
            let step = step(axis.max - axis.min, rng);
            (format!("*/{step}"), axis.walk(axis.min, axis.max, step), true)
        }
        66..84 => match (name(first), name(last)) {
            (Some(from), Some(to)) if rng.chance(60) => {
                (format!("{from}-{to}"), axis.walk(first, last, 1), true)
            }
            _ => (format!("{first}-{last}"), axis.walk(first, last, 1), true),
        },
        84..94 if first < last => {
            let step = step(last - first, rng);
            (format!("{first}-{last}/{step}"), axis.walk(first, last, step), true)
        }
        94..100 if first < axis.max => {
            let step = step(axis.max - first, rng);
            (format!("{first}/{step}"), axis.walk(first, axis.max, step), true)
        }
        50..58 => ("*".to_owned(), axis.walk(axis.min, axis.max, 1), true),
        _ => (axis.write(first, rng), vec![first], false),
    };
    made.open |= open;
    made.text.push_str(&text);
    made.values.extend(values);
}

fn fields_field(axis: &Axis, rng: &mut Rng, special: impl Fn(&mut Rng, &mut Made)) -> Made {
    let mut made = Made::default();
    let items = if rng.chance(70) { 1 } else { rng.number(2..=3) };
    for item in 0..items {
        if item > 0 {
            made.text.push_str(if rng.chance(80) { "," } else { ", " });
        }
        let before = made.text.len();
        if rng.chance(30) {
            special(rng, &mut made);
        }
        if made.text.len() == before {
            fields_item(axis, rng, &mut made);
        }
    }
    made
}

/// A random schedule in the table form; `seconds` says whether `second` may be given.
pub(crate) fn fields(rng: &mut Rng, focus: Option<Focus>, seconds: bool) -> Spec {
    let at = |of: fn(Focus) -> u32| focus.map(of);
    let plain = |min, max, focus| Axis { min, max, size: max - min + 1, names: &[], focus };
    let none = |_: &mut Rng, _: &mut Made| {};
    let mut given = |percent: u32, axis: Axis| rng.chance(percent).then_some(axis);
    let years = at(|focus| focus.date.year() as u32);
    let year = given(12, plain(1970, 9999, years));
    let months = at(|focus| focus.date.month());
    let month = given(25, Axis { names: &MONTHS, ..plain(1, 12, months) });
    let day = given(40, plain(1, 31, at(|focus| focus.date.day())));
    let week = given(12, plain(1, 53, at(|focus| focus.date.iso_week().week())));
    let weekdays = at(|focus| focus.date.weekday().num_days_from_monday());
    let weekday = given(25, Axis { names: &FROM_MONDAY, ..plain(0, 6, weekdays) });
    let hour = given(70, plain(0, 23, at(|focus| focus.hour)));
    let minute = given(60, plain(0, 59, at(|focus| focus.minute)));
    let second = (seconds).then(|| given(12, plain(0, 59, None))).flatten();

    let year = year.map(|axis| match focus {
        // A random year is almost never one that is asked about.
        Some(_) if rng.chance(60) => {
            let mut made = Made { text: "1970-9999".into(), open: true, ..Made::default() };
            made.values = axis.walk(1970, 9999, 1);
            made
        }
        _ => fields_field(&axis, rng, none),
    });
    let month = month.map(|axis| fields_field(&axis, rng, none));
    let day = day.map(|axis| {
        fields_field(&axis, rng, |rng, made| {
            let (weekday, nth) = (rng.number(0..=6), rng.number(1..=5));
            let name = FROM_MONDAY[weekday as usize];
            let (text, rule) = match rng.number(0..=3) {
                0 => (rng.pick(&["last", "LAST"]).to_owned(), Rule::BeforeLast(0)),
                1 => (format!("last {name}"), Rule::LastOf(weekday)),
                _ => {
                    let which = ["1st", "2nd", "3rd", "4th", "5th"][nth as usize - 1];
                    (format!("{which} {name}"), Rule::Nth(nth, weekday))
                }
            };
            made.text.push_str(&text);
            made.rules.push(rule);
        })
    });
    let week = week.map(|axis| fields_field(&axis, rng, none));
    let weekday = weekday.map(|axis| fields_field(&axis, rng, none));
    let hour = hour.map(|axis| fields_field(&axis, rng, none));
    let mut minute = minute.map(|axis| fields_field(&axis, rng, none));
    let second = second.map(|axis| {
        let mut made = fields_field(&axis, rng, none);
        if made.values.len() > 6 && rng.chance(80) {
            made = Made { text: "0,30".into(), values: vec![0, 30], ..Made::default() };
        }
        made
    });
    let all_days = year.is_none()
        && month.is_none()
        && day.is_none()
        && week.is_none()
        && weekday.is_none()
        && hour.is_none();
    if all_days && minute.is_none() {
        minute = Some(Made { text: "5".into(), values: vec![5], ..Made::default() });
    }

    // The rule for what is left out: below the least significant given field the minimum, else
    // `*`; `week` and `day_of_week` always `*`.
    let order =
        [&year, &month, &day, &week, &weekday, &hour, &minute, &second].map(Option::is_some);
    let last_given = order.iter().rposition(|given| *given).unwrap_or(0);
    let mut recurring = false;
    let mut time = |field: &Option<Made>, place: usize, size: usize| -> Vec<bool> {
        match field {
            Some(made) => {
                recurring |= made.open;
                (0..size).map(|value| made.values.contains(&(value as u32))).collect()
            }
            None if place > last_given => (0..size).map(|value| value == 0).collect(),
            None => {
                recurring = true;
                vec![true; size]
            }
        }
    };
    let hours = time(&hour, 5, 24);
    let minutes = time(&minute, 6, 60);
    let seconds = time(&second, 7, 60);
    let days = match &day {
        Some(made) => made.set(),
        None if last_given < 2 => std::array::from_fn(|day| day == 1),
        None => [true; 32],
    };
    let months = match &month {
        Some(made) => made.set(),
        None if last_given < 1 => std::array::from_fn(|month| month == 1),
        None => [true; 13],
    };
    let mut text = Vec::new();
    for (key, field) in [
        ("year", &year),
        ("month", &month),
        ("day", &day),
        ("week", &week),
        ("day_of_week", &weekday),
        ("hour", &hour),
        ("minute", &minute),
        ("second", &second),
    ] {
        if let Some(field) = field {
            text.push((key, field.text.clone()));
        }
    }
    // The order of a table means nothing.
    if rng.chance(30) {
        text.reverse();
    }
    Spec {
        text: Text::Fields(text),
        seconds: std::array::from_fn(|second| seconds[second]),
        minutes: std::array::from_fn(|minute| minutes[minute]),
        hours: std::array::from_fn(|hour| hours[hour]),
        days,
        months,
        weekdays: weekday.as_ref().map_or([true; 7], Made::set),
        day_rules: day.map(|day| day.rules).unwrap_or_default(),
        weekday_rules: Vec::new(),
        either: false,
        weeks: week.map(|week| week.set()),
        // All the years there are to name are every year, before 1970 as well.
        years: year.and_then(|year| {
            let mut years: Vec<i32> = year.values.iter().map(|year| *year as i32).collect();
            years.sort_unstable();
            years.dedup();
            // All the years there are to name are every year, before 1970 as well.
            (years.len() < 8030).then_some(years)
        }),
        recurring,
    }
}

/// The engine's reading of a spec's text.
pub(crate) fn schedule(text: &Text) -> schedrs::trigger::cron::Schedule {
    use schedrs::trigger::cron::crontab::{self, Crontab};
    use schedrs::trigger::cron::fields::{Builder, Field};
    use schedrs::trigger::flaw::Severity;

    let mut flaws = Vec::new();
    match text {
        Text::Crontab(expr) => match crontab::parse(expr, "job", &mut flaws) {
            Some(Crontab::Schedule(schedule)) => schedule,
            _ => panic!("{expr}: {flaws:?}"),
        },
        Text::Fields(fields) => {
            let mut builder = Builder::default();
            for (key, text) in fields {
                let field = Field::ALL.into_iter().find(|field| field.key() == *key);
                builder.set(field.expect("a field"), text, &mut flaws);
            }
            let error = flaws.iter().any(|flaw| flaw.severity == Severity::Error);
            assert!(!error, "{fields:?}: {flaws:?}");
            builder.build()
        }
    }
}
