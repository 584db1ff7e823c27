//! What APScheduler 3.11's `export_jobs` writes.
//!
//! The JSON holds each job's options as they are and its trigger half as JSON, half as pickles in
//! base64; those are read as data (`super::pickle`). A function cannot be carried, only called: the
//! command asks a new Python for it. Every export says when each job was to run next, which our
//! trigger has to agree with.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::pickle::{self, Pickled};
use super::{Draft, DraftJob, Oracle, Value, duration, id, oracle};
use crate::core::instant::Instant;
use crate::core::names::SHORT_WEEKDAYS;
use crate::core::zone::{Database, Local};
use crate::problem::{Place, Span};

mod call;
mod combined;
mod moment;

use moment::{Clocks, Moment, moment, timedelta};

/// The size of APScheduler's own thread pool.
const MAX_WORKERS: u32 = 10;

/// The longest id that a jobfile takes, in bytes.
const MAX_ID: usize = 255;

const POSITIONS: [&str; 6] = ["1st", "2nd", "3rd", "4th", "5th", "last"];

/// Reads an export into a draft.
pub fn read(draft: &mut Draft<'_>, name: &str, text: &str) {
    let file = draft.source(name, text);
    let nowhere = Span::default();
    let json: Json = match serde_json::from_str(&call::strict(text)) {
        Ok(json) => json,
        Err(error) => {
            draft.lost(file, nowhere, format!("not converted: not JSON: {error}"), None);
            return;
        }
    };
    let Some(jobs) = json.get("jobs").and_then(Json::as_array) else {
        let message = "not converted: not an export by `export_jobs`";
        let help = "run in the program that has the jobs: scheduler.export_jobs(\"jobs.json\")";
        draft.lost(file, nowhere, message, Some(help.to_owned()));
        return;
    };
    if json.get("version").and_then(Json::as_i64) != Some(1) {
        draft.lost(file, nowhere, "not version 1 of the export, but read as if it were", None);
    }
    let mut called = None;
    for (index, job) in jobs.iter().enumerate() {
        let id = job.get("id").and_then(Json::as_str).unwrap_or_default();
        let at = text.find(&format!("\"{id}\"")).filter(|_| !id.is_empty());
        let span = at.map_or(nowhere, |at| Span::new(at, at + id.len() + 2));
        let heading = (index == 0).then(|| format!("# from {name}"));
        called = called.or(self::job(draft, file, span, heading, job).then_some(span));
    }
    if let Some(span) = called {
        let message = "functions are called in a Python of their own, which has to find their \
                       modules and shares nothing with the program";
        let help = "set `cwd`, `env = { PYTHONPATH = \"...\" }` or the path of your `python3` in \
                    the commands, or write other commands";
        draft.noted(file, span, message, Some(help.to_owned()));
    }
}

/// Adds a job. Answers whether a function is called.
fn job(draft: &mut Draft<'_>, file: u32, span: Span, heading: Option<String>, json: &Json) -> bool {
    let mut job = DraftJob { place: Some(Place { file, span: Some(span) }), ..DraftJob::default() };
    job.comments.extend(heading);
    name(draft, &mut job, file, span, json);
    let part = match trigger(json.get("trigger").unwrap_or(&Json::Null), draft.zones) {
        Ok(part) => part,
        Err(why) => {
            let id = text(json, "id");
            draft.lost(file, span, format!("not converted: the trigger of `{id}`: {why}"), None);
            return false;
        }
    };
    let calls = command(draft, &mut job, file, span, json);
    options(draft, &mut job, file, span, json);
    let next = json.get("next_run_time").and_then(unpickled);
    let next = next.and_then(|value| moment(&value)?.at(draft.zones));
    let zones = [part.timezone.as_deref()].into_iter().chain(part.zones_within());
    for zone in zones.flatten() {
        if let Err(unknown) = draft.zones.find(zone) {
            draft.lost(file, span, format!("not converted: {}", unknown.say(zone)), None);
            return calls;
        }
    }
    if let Some(next) = next
        && set_by_hand(&part, next, draft.zones)
    {
        let message = "its `next_run_time` is no due time of its trigger: it was set by hand, and \
                       that run is not converted";
        draft.noted(file, span, message, None);
    }
    job.oracle = oracle_of(&part, next);
    part.give(&mut job);
    draft.jobs.push(job);
    calls
}

/// Calls the function, if its arguments can be read. Answers whether it does.
fn command(draft: &mut Draft<'_>, job: &mut DraftJob, file: u32, span: Span, json: &Json) -> bool {
    if let Some(python) = call::call(json) {
        job.set("command", Value::Texts(vec!["python3".into(), "-c".into(), python]));
        return true;
    }
    let function = text(json, "func");
    job.comments.push(format!("# fill in: what {function} does"));
    job.set("command", Value::Texts(vec!["false".to_owned()]));
    let message =
        format!("fill in the command: `{function}` has arguments that only Python can read");
    draft.lost(file, span, message, None);
    false
}

fn text<'j>(json: &'j Json, key: &str) -> &'j str {
    json.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// The id of a job, and its name where that says more.
fn name(draft: &mut Draft<'_>, job: &mut DraftJob, file: u32, span: Span, json: &Json) {
    let (id, name) = (text(json, "id"), text(json, "name"));
    let called = text(json, "func").rsplit([':', '.']).next().unwrap_or_default();
    // The ids that APScheduler makes up are 32 hexadecimal digits.
    let made_up = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if made_up || id.is_empty() {
        job.id = id::slug(called);
    } else if id.len() > MAX_ID || id.chars().any(char::is_control) {
        job.id = id::slug(id);
        let message = format!(
            "the id is written as `{}`: it may have {MAX_ID} bytes and no control characters",
            job.id
        );
        draft.noted(file, span, message, None);
    } else {
        job.id = id.to_owned();
    }
    if !name.is_empty() && name != called && name != id {
        job.text("name", name);
    }
}

/// What has a key of its own on both sides.
fn options(draft: &mut Draft<'_>, job: &mut DraftJob, file: u32, span: Span, json: &Json) {
    match json.get("misfire_grace_time") {
        Some(Json::Null) => job.text("misfire_grace_time", "forever"),
        Some(Json::Number(secs)) => {
            if let Some(secs) = secs.as_u64() {
                job.text("misfire_grace_time", duration(secs));
            }
        }
        _ => {}
    }
    if json.get("coalesce") == Some(&Json::Bool(false)) {
        job.text("coalesce", "all");
    }
    if let Some(count) = json.get("max_instances").and_then(Json::as_i64).filter(|n| *n != 1) {
        job.set("max_instances", Value::Integer(count));
    }
    let executor = text(json, "executor");
    if !executor.is_empty() && executor != "default" {
        job.text("executor", executor);
        let message =
            format!("the size of the executor `{executor}` is not exported: 10 is assumed");
        if draft.executors.insert(executor.to_owned(), MAX_WORKERS).is_none() {
            draft.noted(file, span, message, None);
        }
    }
    if json.get("next_run_time") == Some(&Json::Null) {
        job.set("paused", Value::Boolean(true));
    }
}

/// Whether the next run of a job is at none of its trigger's due times, as far as that can be told.
fn set_by_hand(part: &Part, next: Instant, zones: &Database) -> bool {
    let (Some(quartz), None, Some(name)) = (&part.quartz, part.jitter, &part.timezone) else {
        return false;
    };
    let Some(zone) = zones.get(name) else { return false };
    let wall = zone.wall_of(next);
    let plain = matches!(zone.resolve(wall), Local::Unambiguous(_));
    let due = oracle::walls(quartz, wall - 1).ok();
    let due = due.and_then(|mut walls| walls.next());
    plain && (due != Some(wall) || next.subsec_micros() != 0)
}

/// What a job's due times are held to.
fn oracle_of(part: &Part, next: Option<Instant>) -> Oracle {
    match (&part.quartz, next) {
        (Some(quartz), _) => Oracle::Quartz(quartz.clone()),
        (None, Some(next)) if part.jitter.is_none() => Oracle::Next(next.micros()),
        (None, Some(_)) => Oracle::None("its next run was shifted by jitter"),
        (None, None) => Oracle::None("the export does not include its next run"),
    }
}

/// A trigger that one job can have.
struct Part {
    key: &'static str,
    value: Value,
    timezone: Option<String>,
    start: Option<String>,
    end: Option<String>,
    /// It has times that are read in its zone.
    bounded: bool,
    jitter: Option<u64>,
    quartz: Option<Vec<String>>,
}

impl Part {
    /// Whether it is of any matter on whose clocks it is read.
    fn has_zone(&self) -> bool {
        self.timezone.is_some() && (self.key != "interval" || self.bounded)
    }

    /// The zones of the triggers within it.
    fn zones_within(&self) -> Vec<Option<&str>> {
        fn of(value: &Value) -> Vec<Option<&str>> {
            match value {
                Value::List(tables) => tables.iter().flat_map(of).collect(),
                Value::Table(entries) => {
                    let zone = entries.iter().filter_map(|(key, value)| match value {
                        Value::Text(zone) if *key == "timezone" => Some(Some(&**zone)),
                        _ => None,
                    });
                    let within = entries.iter().filter(|(key, _)| matches!(*key, "any" | "all"));
                    zone.chain(within.flat_map(|(_, value)| of(value))).collect()
                }
                _ => Vec::new(),
            }
        }
        of(&self.value)
    }

    /// It as one of several of a job that goes by `timezone`.
    fn table(self, timezone: Option<&str>) -> Value {
        let has_zone = self.has_zone();
        let mut table = vec![(self.key, self.value)];
        if let Some(zone) = self.timezone.filter(|zone| has_zone && timezone != Some(zone)) {
            table.push(("timezone", Value::Text(zone)));
        }
        for (key, bound) in [("start_date", self.start), ("end_date", self.end)] {
            table.extend(bound.map(|bound| (key, Value::Raw(bound))));
        }
        Value::Table(table)
    }

    /// Gives a job its keys, behind the command.
    fn give(self, job: &mut DraftJob) {
        let after_command = job.keys.iter().position(|(key, _)| *key == "command");
        let mut at = after_command.map_or(0, |at| at + 1);
        let mut insert = |key: &'static str, value: Value| {
            job.keys.insert(at, (key, value));
            at += 1;
        };
        let has_zone = self.has_zone();
        insert(self.key, self.value);
        if let Some(zone) = self.timezone.filter(|_| has_zone) {
            insert("timezone", Value::Text(zone));
        }
        for (key, bound) in [("start_date", self.start), ("end_date", self.end)] {
            if let Some(bound) = bound {
                insert(key, Value::Raw(bound));
            }
        }
        if let Some(jitter) = self.jitter {
            insert("jitter", Value::Text(duration(jitter)));
        }
    }
}

/// The class of an object of the export, and its state. Triggers within triggers are pairs.
fn class_and_state(json: &Json) -> Option<(&str, &Json)> {
    if let Some([Json::String(class), state]) = json.as_array().map(Vec::as_slice) {
        return Some((class, state));
    }
    let class = json.get("__apscheduler_class__")?.as_str()?;
    Some((class, json.get("__apscheduler_state__")?))
}

fn trigger(json: &Json, zones: &Database) -> Result<Part, String> {
    let Some((class, state)) = class_and_state(json) else {
        return Err("it has a class that only its own program can read".to_owned());
    };
    match class.rsplit(':').next().unwrap_or(class) {
        "CronTrigger" => cron(state, zones),
        "IntervalTrigger" => interval(state, zones),
        "DateTrigger" => {
            let moment = state.get("run_date").and_then(unpickled).and_then(|v| moment(&v));
            let moment = moment.ok_or("its date cannot be read")?;
            let timezone = match &moment.zone {
                Some(Clocks::Named(name)) => Some(name.clone()),
                _ => None,
            };
            let value = Value::Raw(moment.text(timezone.as_deref(), zones)?);
            let key = "date";
            Ok(Part {
                key,
                value,
                timezone,
                start: None,
                end: None,
                bounded: true,
                jitter: None,
                quartz: None,
            })
        }
        "OrTrigger" => combined::combined("any", state, zones),
        "AndTrigger" => combined::combined("all", state, zones),
        "CalendarIntervalTrigger" => combined::calendar(state),
        class => Err(format!("`{class}` has no counterpart")),
    }
}

fn interval(state: &Json, zones: &Database) -> Result<Part, String> {
    let span = state.get("interval").and_then(unpickled);
    let micros = span.as_deref().and_then(timedelta).filter(|micros| *micros > 0);
    let micros = micros.ok_or("its interval cannot be read")?;
    let value = match micros % 1_000_000 {
        0 => duration(micros as u64 / 1_000_000),
        _ => format!("{micros}us"),
    };
    let bounds = Bounds::of(state, zones)?;
    Ok(Part {
        key: "interval",
        value: Value::Text(value),
        bounded: bounds.start.is_some() || bounds.end.is_some(),
        timezone: bounds.timezone,
        start: bounds.start,
        end: bounds.end,
        jitter: jitter(state),
        quartz: None,
    })
}

fn cron(state: &Json, zones: &Database) -> Result<Part, String> {
    let fields = state.get("fields").and_then(Json::as_array).ok_or("its fields are missing")?;
    let mut texts: Vec<(&'static str, Field)> = Vec::new();
    for json in fields {
        let field = unpickled(json).ok_or("its fields cannot be read")?;
        let (name, field) = Field::of(&field).ok_or("its fields cannot be read")?;
        texts.push((name, field));
    }
    let bounds = Bounds::of(state, zones)?;
    let timezone =
        bounds.timezone.ok_or("its time zone is an offset that is not in whole hours")?;
    let unbounded = bounds.start.is_none() && bounds.end.is_none();
    let quartz = quartz(&texts).filter(|_| unbounded).map(|quartz| vec![quartz]);
    // A `*` may go where something less significant stays; week and weekday may always.
    let last = texts.iter().rposition(|(_, field)| !field.default && field.text != "*");
    let mut table: Vec<(&'static str, Value)> = texts
        .iter()
        .enumerate()
        .filter(|(index, (name, field))| {
            let free =
                matches!(*name, "week" | "day_of_week") || last.is_some_and(|at| *index < at);
            !(field.default || field.text == "*" && free)
        })
        .map(|(_, (name, field))| {
            let value = field.text.parse().map_or(Value::Text(field.text.clone()), Value::Integer);
            (*name, value)
        })
        .collect();
    if table.is_empty() {
        // Without any field all of them are `*`: that is every second.
        table.push(("second", Value::Text("*".to_owned())));
    }
    Ok(Part {
        key: "cron",
        value: Value::Table(table),
        timezone: Some(timezone),
        start: bounds.start,
        end: bounds.end,
        bounded: true,
        jitter: jitter(state),
        quartz,
    })
}

/// A field of a cron trigger.
struct Field {
    text: String,
    /// It was not given.
    default: bool,
    /// Every number it names, where numbers are all it has.
    plain: bool,
}

const FIELDS: [&str; 8] =
    ["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"];

impl Field {
    fn of(pickled: &Pickled) -> Option<(&'static str, Field)> {
        let Some(Pickled::Text(name)) = pickled.get("name") else { return None };
        let name = *FIELDS.iter().find(|field| **field == *name)?;
        let default = pickled.get("is_default")?.integer()? != 0;
        let Some(Pickled::List(expressions)) = pickled.get("expressions") else { return None };
        let mut plain = true;
        let mut texts = Vec::new();
        for expression in expressions {
            let class = expression.name()?.rsplit('.').next()?;
            let number = |key: &str| expression.get(key).and_then(Pickled::integer);
            let step = number("step");
            texts.push(match class {
                "AllExpression" => step.map_or("*".to_owned(), |step| format!("*/{step}")),
                "WeekdayPositionExpression" => {
                    plain = false;
                    let position = POSITIONS.get(usize::try_from(number("option_num")?).ok()?)?;
                    let weekday = SHORT_WEEKDAYS.get(usize::try_from(number("weekday")?).ok()?)?;
                    format!("{position} {weekday}")
                }
                "LastDayOfMonthExpression" => {
                    plain = false;
                    "last".to_owned()
                }
                _ if class.ends_with("RangeExpression") => {
                    let first = number("first")?;
                    let last = number("last").or((step.is_none()).then_some(first));
                    range(name, first, last, step)?
                }
                _ => return None,
            });
        }
        Some((name, Field { text: texts.join(","), default, plain }))
    }
}

/// A range; weekdays by name, because 0 is Monday there.
fn range(name: &str, first: i64, last: Option<i64>, step: Option<i64>) -> Option<String> {
    if name == "day_of_week" {
        let day = |number: i64| SHORT_WEEKDAYS.get(usize::try_from(number).ok()?).copied();
        let last = last.unwrap_or(6);
        return match step {
            None if first == last => Some(day(first)?.to_owned()),
            None => Some(format!("{}-{}", day(first)?, day(last)?)),
            Some(step) => {
                let days = (first..=last).step_by(usize::try_from(step).ok().filter(|s| *s > 0)?);
                let days: Option<Vec<&str>> = days.map(day).collect();
                Some(days?.join(","))
            }
        };
    }
    let step = step.map(|step| format!("/{step}")).unwrap_or_default();
    Some(match last {
        Some(last) if last == first => first.to_string(),
        Some(last) => format!("{first}-{last}{step}"),
        None => format!("{first}{step}"),
    })
}

/// The fields for the oracle, where it has the words for them.
fn quartz(fields: &[(&str, Field)]) -> Option<String> {
    let text = |name: &str| {
        let (_, field) = fields.iter().find(|(field, _)| *field == name)?;
        field.plain.then_some(field.text.as_str())
    };
    if text("week")? != "*" {
        return None;
    }
    let fields: Option<Vec<String>> =
        ["second", "minute", "hour", "day", "month", "day_of_week", "year"]
            .into_iter()
            .map(|name| match name {
                "day_of_week" => weekdays(text(name)?),
                name => text(name).map(str::to_owned),
            })
            .collect();
    Some(fields?.join(" "))
}

/// Weekdays one by one and by name: a week begins on Sunday there and on Monday here, so neither
/// `*/2` nor `mon-sun` would be the same.
fn weekdays(text: &str) -> Option<String> {
    let number = |name: &str| SHORT_WEEKDAYS.iter().position(|day| *day == name);
    let mut days = Vec::new();
    for item in text.split(',') {
        let named = match (item.strip_prefix("*/"), item.split_once('-')) {
            (Some(step), _) => {
                let step: usize = step.parse().ok().filter(|step| *step > 0)?;
                SHORT_WEEKDAYS.iter().step_by(step).copied().collect()
            }
            (None, Some((first, last))) => {
                SHORT_WEEKDAYS.get(number(first)?..=number(last)?)?.to_vec()
            }
            (None, None) => vec![item],
        };
        days.extend(named);
    }
    Some(days.join(","))
}

/// The zone and the window of a trigger.
struct Bounds {
    timezone: Option<String>,
    start: Option<String>,
    end: Option<String>,
}

impl Bounds {
    fn zone(state: &Json) -> Result<Option<String>, String> {
        let zone = state.get("timezone").and_then(unpickled);
        let zone = zone.as_deref().and_then(Clocks::of).ok_or("its time zone cannot be read")?;
        Ok(zone.name())
    }

    fn of(state: &Json, zones: &Database) -> Result<Bounds, String> {
        let timezone = Bounds::zone(state)?;
        let bound = |key: &str| match state.get(key) {
            None | Some(Json::Null) => Ok(None),
            Some(json) => {
                let moment = unpickled(json).and_then(|value| moment(&value));
                let moment: Moment = moment.ok_or(format!("its {key} cannot be read"))?;
                moment.text(timezone.as_deref(), zones).map(Some)
            }
        };
        Ok(Bounds { start: bound("start_date")?, end: bound("end_date")?, timezone })
    }
}

fn jitter(state: &Json) -> Option<u64> {
    state.get("jitter").and_then(Json::as_u64).filter(|secs| *secs > 0)
}

fn unpickled(json: &Json) -> Option<Rc<Pickled>> {
    let text = json.get("__apscheduler_pickle__")?.as_str()?;
    pickle::read(&STANDARD.decode(text).ok()?)
}

#[cfg(test)]
mod tests;
