//! What says when, as it is written: schedules, points in time and durations, each so that it is
//! read again as the same.

use std::time::Duration;

use serde_json::Value;

use super::Typed;
use crate::core::instant::Instant;
use crate::core::sort;
use crate::core::trigger::after::On;
use crate::core::trigger::calendar_interval::{CalendarStep, DayOfMonth};
use crate::core::trigger::combined::How;
use crate::core::trigger::cron::Schedule;
use crate::core::trigger::cron::crontab::{self, Crontab};
use crate::core::trigger::cron::fields::{Builder, Field};
use crate::core::trigger::{
    AfterTrigger, CombinedTrigger, CronTrigger, DateTrigger, FromEndTrigger, Trigger,
};
use crate::core::words::{self, Normal};
use crate::core::zone::Zone;
use crate::jobfile::keys::Key;

/// There is no 30 February: it is never due, as whatever stood there before.
const NEVER: &str = "0 0 30 2 *";

/// Why a schedule is not what it was.
const LOST: &str = "a schedule that is never due, whose text is not known";

/// A cron trigger's schedules, and what of them is lost.
pub(super) fn schedules(cron: &CronTrigger) -> (Typed, Option<&'static str>) {
    if let [schedule] = cron.schedules() {
        return match normal(schedule, words::normal) {
            Some(Normal::Expression(text)) => (Typed::Json(text.into()), None),
            Some(Normal::Fields(fields)) => (Typed::Fields(fields), None),
            None => (Typed::Json(NEVER.into()), Some(LOST)),
        };
    }
    let mut lost = None;
    let texts = cron.schedules().iter().map(|schedule| {
        let expression =
            |schedule: &_, months| words::expression(schedule, months).map(Normal::Expression);
        match normal(schedule, expression) {
            Some(Normal::Expression(text)) => Value::from(text),
            _ => {
                lost = Some(LOST);
                NEVER.into()
            }
        }
    });
    let texts: Value = texts.collect();
    (Typed::Json(texts), lost)
}

/// Writes a schedule by `write`, which takes the months that it is to have.
fn normal(schedule: &Schedule, write: impl Fn(&Schedule, u16) -> Option<Normal>) -> Option<Normal> {
    if schedule.months() != 0 {
        return write(schedule, schedule.months());
    }
    // It was seen to be impossible. Not all that was written of its days may be known any more.
    let asked = schedule.more()?.impossible_months;
    write(schedule, asked).filter(|text| read(text).as_ref() == Some(schedule))
}

fn read(normal: &Normal) -> Option<Schedule> {
    let mut flaws = Vec::new();
    match normal {
        Normal::Expression(text) => match crontab::parse(text, "", &mut flaws)? {
            Crontab::Schedule(schedule) => Some(schedule),
            Crontab::Reboot => None,
        },
        Normal::Fields(fields) => {
            let mut builder = Builder::default();
            for (key, text) in fields {
                let field = Field::ALL.into_iter().find(|field| field.key() == *key)?;
                builder.set(field, text, &mut flaws).then_some(())?;
            }
            Some(builder.build())
        }
    }
}

/// A calendar interval, as the table that is read as one: it has a month, a year or a time of day.
pub(super) fn calendar(step: CalendarStep) -> Vec<(&'static str, Value)> {
    let mut pairs = Vec::new();
    let mut put = |key: &'static str, number: u32| pairs.push((key, number.into()));
    let (years, months) = (step.months / 12, step.months % 12);
    let whole_weeks = step.days.is_multiple_of(7);
    let (weeks, days) = if whole_weeks { (step.days / 7, 0) } else { (0, step.days) };
    for (key, count) in [("years", years), ("months", months), ("weeks", weeks), ("days", days)] {
        if count > 0 {
            put(key, count);
        }
    }
    if let Some(DayOfMonth::Day(day)) = step.day {
        put("day", day);
    }
    match step.time {
        Some(secs) => {
            put("hour", secs / 3600);
            put("minute", secs / 60 % 60);
            if !secs.is_multiple_of(60) {
                put("second", secs % 60);
            }
        }
        // Without a time of day only a month or a year tells it from elapsed time.
        None if step.months == 0 => put("months", 0),
        None => {}
    }
    if step.day == Some(DayOfMonth::Last) {
        let time = pairs.iter().position(|(key, _)| *key == "hour").unwrap_or(pairs.len());
        pairs.insert(time, ("day", "last".into()));
    }
    pairs
}

/// The jobs after which one is due.
pub(super) fn after(after: &AfterTrigger) -> Typed {
    let parents = |one: bool| match after.parents() {
        [parent] if one => Value::from(&**parent),
        parents => parents.iter().map(|parent| Value::from(&**parent)).collect(),
    };
    if after.on() == On::default() && after.within().is_none() {
        return Typed::Json(parents(true));
    }
    let mut pairs = vec![("all", parents(false))];
    if after.on() != On::default() {
        pairs.push(("on", after.on().word().into()));
    }
    pairs.extend(after.within().map(|within| ("within", duration(within).into())));
    Typed::Pairs(pairs)
}

/// An interval from the end of the last run: in whole seconds, which is all that its table can say.
pub(super) fn from_end(from_end: &FromEndTrigger) -> Vec<(&'static str, Value)> {
    let wait = from_end.wait();
    let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let parts = [
        ("days", secs / 86_400),
        ("hours", secs / 3600 % 24),
        ("minutes", secs / 60 % 60),
        ("seconds", secs % 60),
    ];
    let parts = parts.into_iter().filter(|(_, count)| *count > 0);
    let parts = parts.map(|(unit, count)| (unit, Value::from(count)));
    parts.chain([("from", "end".into())]).collect()
}

/// Triggers within a trigger, and what of them is lost.
pub(super) fn combined(combined: &CombinedTrigger, zone: &Zone) -> (Key, Value, Vec<String>) {
    let mut lost = Vec::new();
    let parts = combined.parts().iter().map(|part| inner(part, zone, &mut lost));
    let parts: Value = parts.collect();
    let key = match combined.how() {
        How::Any => Key::Any,
        How::All => Key::All,
    };
    (key, parts, lost)
}

/// A trigger within another one, as a table.
fn inner(trigger: &Trigger, zone: &Zone, lost: &mut Vec<String>) -> Value {
    let mut table = serde_json::Map::new();
    let mut put = |key: Key, value: Value| drop(table.insert(key.name().to_owned(), value));
    let own = match trigger {
        Trigger::Date(DateTrigger::At(at)) => {
            put(Key::Date, moment(*at, zone).into());
            None
        }
        // None of them can stand there.
        Trigger::Date(DateTrigger::Now | DateTrigger::Reboot) => {
            put(Key::Date, "now".into());
            None
        }
        Trigger::After(after) => {
            put(Key::After, self::after(after).json());
            None
        }
        Trigger::FromEnd(from_end) => {
            put(Key::Interval, Typed::Pairs(self::from_end(from_end)).json());
            None
        }
        Trigger::Interval(interval) => {
            put(Key::Interval, duration(interval.every()).into());
            None
        }
        Trigger::Calendar(calendar) => {
            put(Key::Interval, Typed::Pairs(self::calendar(calendar.step())).json());
            Some(calendar.zone())
        }
        Trigger::Cron(cron) => {
            let (typed, why) = schedules(cron);
            lost.extend(why.map(str::to_owned));
            put(Key::Cron, typed.json());
            Some(cron.zone())
        }
        Trigger::Combined(combined) => {
            let (key, parts, why) = self::combined(combined, zone);
            lost.extend(why);
            put(key, parts);
            None
        }
    };
    if let Some(own) = own.filter(|own| *own != zone && own.has_name()) {
        put(Key::Timezone, own.name().into());
    }
    let bounds = [(Key::StartDate, trigger.start_date()), (Key::EndDate, trigger.end_date())];
    for (key, at) in bounds {
        if let Some(at) = at {
            put(key, moment(at, own.unwrap_or(zone)).into());
        }
    }
    Value::Object(table)
}

/// Fields of the table form as JSON.
pub(super) fn json(fields: &[(&'static str, String)]) -> Value {
    let fields = fields.iter().map(|(key, text)| ((*key).to_owned(), text.as_str().into()));
    Value::Object(sort::collect(fields))
}

/// The same as TOML, in the order of the calendar.
pub(super) fn toml(fields: &[(&'static str, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(key, text)| format!("{key} = {}", super::string(text))).collect();
    format!("{{ {} }}", fields.join(", "))
}

/// A point in time: on the clocks of a zone, if they had an offset of whole minutes then.
pub(super) fn moment(at: Instant, zone: &Zone) -> String {
    let (year, _, _) = crate::core::civil::from_days(zone.wall_of(at).div_euclid(86_400));
    let fits = zone.offset_at(at) % 60 == 0 && (1..=9999).contains(&year);
    if fits { words::rfc3339(at, zone) } else { words::rfc3339(at, &Zone::utc()) }
}

/// A duration to the nanosecond, as people write it: `365d`, not the months and hours that
/// `humantime` makes of it.
pub(super) fn duration(span: Duration) -> String {
    let (secs, nanos) = (span.as_secs(), span.subsec_nanos());
    let parts = [
        (secs / 86_400, "d"),
        (secs / 3600 % 24, "h"),
        (secs / 60 % 60, "m"),
        (secs % 60, "s"),
        (u64::from(nanos / 1_000_000), "ms"),
        (u64::from(nanos / 1000 % 1000), "us"),
        (u64::from(nanos % 1000), "ns"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::zone::Database;
    use crate::jobfile::when::parse_moment;

    #[test]
    fn durations_are_read_again() {
        let rows = [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(5400), "1h 30m"),
            (Duration::from_secs(365 * 86_400), "365d"),
            (Duration::from_nanos(1_500_000_001), "1s 500ms 1ns"),
            (Duration::from_micros(20), "20us"),
            (Duration::MAX, "213503982334601d 7h 15s 999ms 999us 999ns"),
        ];
        for (span, text) in rows {
            assert_eq!(duration(span), text);
            assert_eq!(humantime::parse_duration(text), Ok(span));
        }
    }

    #[test]
    fn moments_are_read_again() {
        let moments = [
            Instant::MIN,
            Instant::LAST,
            Instant::MAX,
            Instant::from_secs(-2_000_000_000),
            Instant::from_micros(1_800_000_000_000_001),
            // Both passes of a fold.
            Instant::from_secs(1_792_888_200),
            Instant::from_secs(1_792_891_800),
        ];
        for zone in ["UTC", "Europe/Amsterdam", "Pacific/Kiritimati", "America/St_Johns"] {
            let zone = Database::bundled().get(zone).unwrap();
            for at in moments {
                let text = moment(at, &zone);
                assert_eq!(parse_moment(&text).unwrap().instant(&zone), at, "{text}");
            }
        }
    }
}
