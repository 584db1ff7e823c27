//! Triggers that are more than one line of a crontab: those of the calendar, and several as one.

use serde_json::Value as Json;

use super::moment::date;
use super::{Bounds, Part, jitter, trigger, unpickled};
use crate::convert::import::Value;
use crate::core::zone::Database;

/// `OrTrigger` and `AndTrigger`: one job with all of them.
pub(super) fn combined(key: &'static str, state: &Json, zones: &Database) -> Result<Part, String> {
    let inner = state.get("triggers").and_then(Json::as_array).ok_or("its triggers are missing")?;
    let mut parts: Vec<Part> =
        inner.iter().map(|inner| trigger(inner, zones)).collect::<Result<_, _>>()?;
    if parts.is_empty() {
        return Err("there are no triggers in it".to_owned());
    }
    // It is added to the times that the triggers within have, with theirs.
    let within = parts.iter().filter_map(|part| part.jitter).max();
    let jitter = [within, jitter(state)].into_iter().flatten().reduce(u64::saturating_add);
    let zoned = |part: &&mut Part| part.has_zone();
    let mut named = parts.iter_mut().filter(zoned).map(|part| part.timezone.clone());
    let first = named.next().flatten();
    let timezone = first.filter(|first| named.all(|other| other.as_ref() == Some(first)));
    let quartz: Option<Vec<Vec<String>>> = parts.iter().map(|part| part.quartz.clone()).collect();
    let is_union = key == "any" && timezone.is_some();
    let quartz = quartz.filter(|_| is_union).map(|quartz| quartz.concat());
    let tables = parts.into_iter().map(|part| part.table(timezone.as_deref())).collect();
    Ok(Part {
        key,
        value: Value::List(tables),
        timezone,
        start: None,
        end: None,
        bounded: true,
        jitter,
        quartz,
    })
}

/// `CalendarIntervalTrigger`.
pub(super) fn calendar(state: &Json) -> Result<Part, String> {
    let numbers = |key: &str| -> Option<Vec<i64>> {
        state.get(key)?.as_array()?.iter().map(Json::as_i64).collect()
    };
    let (Some(counts), Some(time)) = (numbers("interval"), numbers("time")) else {
        return Err("its interval cannot be read".to_owned());
    };
    let (&[years, months, weeks, days], &[hour, minute, second]) = (&counts[..], &time[..]) else {
        return Err("its interval cannot be read".to_owned());
    };
    let bound = |key: &str| match state.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(json) => {
            let date = unpickled(json).and_then(|value| date(&value));
            date.map(Some).ok_or(format!("its {key} cannot be read"))
        }
    };
    let (start, end) = (bound("start_date")?, bound("end_date")?);
    let mut table = vec![("years", years), ("months", months), ("weeks", weeks), ("days", days)];
    table.retain(|(_, count)| *count != 0);
    if let Some(start) = start
        && (years, months) != (0, 0)
        && (weeks, days) == (0, 0)
    {
        table.push(("day", chrono::Datelike::day(&start).into()));
    }
    table.extend([("hour", hour), ("minute", minute)]);
    table.extend((second != 0).then_some(("second", second)));
    let table = table.into_iter().map(|(key, number)| (key, Value::Integer(number)));
    Ok(Part {
        key: "interval",
        value: Value::Table(table.collect()),
        timezone: Bounds::zone(state)?,
        start: start.map(|start| start.to_string()),
        // There the whole of that day counts.
        end: end.map(|end| format!("{end}T23:59:59")),
        bounded: true,
        jitter: jitter(state),
        quartz: None,
    })
}
