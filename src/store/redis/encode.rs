//! Facts and sessions as arguments of the script, and back from what it answers.
//!
//! `store.lua` says what each argument is. What the script need not look into is JSON.

use std::time::Duration;

use redis::{Cmd, Value as Reply};
use serde_json::{Value, json};

use super::reply::{self, Odd};
use crate::core::event::{Change, ChangeKind, JobRecord, Pause, RunId};
use crate::core::fleet::{Gone, Member, SessionId};
use crate::core::instant::{Instant, duration_micros};
use crate::core::outcome::Outcome;
use crate::core::sort;
use crate::core::usage::Usage;
use crate::store::{AttemptRecord, Fact, OpenRun, Process, RunRecord, Session, encode};

/// From here times are counted, so that none is negative.
const ORIGIN: u64 = 1 << 63;

/// A time as the script compares it.
pub(super) fn stamp(at: Instant) -> String {
    format!("{:020}", (at.micros() as u64).wrapping_add(ORIGIN))
}

/// A time that may be before all others.
pub(super) fn stamp_of(micros: i64) -> String {
    format!("{:020}", (micros as u64).wrapping_add(ORIGIN))
}

pub(super) fn instant(text: &str) -> Result<Instant, Odd> {
    let number: u64 = text.parse().map_err(|_| Odd)?;
    Ok(Instant::from_micros(number.wrapping_sub(ORIGIN) as i64))
}

fn instant_or_none(text: &str) -> Result<Option<Instant>, Odd> {
    if text.is_empty() { Ok(None) } else { instant(text).map(Some) }
}

/// A text that may be empty, or none.
fn some(text: Option<&str>) -> String {
    text.map_or(String::new(), |text| format!("={text}"))
}

fn some_text(text: &str) -> Option<Box<str>> {
    text.strip_prefix('=').map(Box::from)
}

fn outcome_text(outcome: &Outcome) -> String {
    let (word, number, text) = encode::columns(outcome);
    let number = number.map_or(String::new(), |number| number.to_string());
    format!("{word},{number},{}", some(text))
}

fn outcome(text: &str) -> Result<Outcome, Odd> {
    let mut parts = text.splitn(3, ',');
    let (Some(word), Some(number), Some(reason)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(Odd);
    };
    Ok(encode::outcome(word, number.parse().ok(), some_text(reason).as_deref()))
}

fn process_text(process: Process) -> String {
    format!("{} {}", process.pid, process.start)
}

fn process(text: &str) -> Result<Option<Process>, Odd> {
    let Some((pid, start)) = text.split_once(' ') else { return Ok(None) };
    let (pid, start) = (pid.parse().map_err(|_| Odd)?, start.parse().map_err(|_| Odd)?);
    Ok(Some(Process { pid, start }))
}

fn pause_json(pause: Option<&Pause>) -> Value {
    let until = |pause: &Pause| pause.until.map(Instant::micros);
    pause.map_or(Value::Null, |pause| {
        json!([pause.at.micros(), until(pause), pause.by, pause.reason])
    })
}

fn micros(value: &Value) -> Result<Instant, Odd> {
    value.as_i64().map(Instant::from_micros).ok_or(Odd)
}

fn boxed(value: &Value) -> Option<Box<str>> {
    value.as_str().map(Box::from)
}

fn needed(value: &Value) -> Result<Box<str>, Odd> {
    boxed(value).ok_or(Odd)
}

fn pause(value: &Value) -> Result<Option<Pause>, Odd> {
    if value.is_null() {
        return Ok(None);
    }
    let until = value[1].as_i64().map(Instant::from_micros);
    let (at, by, reason) = (micros(&value[0])?, needed(&value[2])?, boxed(&value[3]));
    Ok(Some(Pause { at, until, by, reason }))
}

fn parsed(text: &[u8]) -> Result<Value, Odd> {
    serde_json::from_slice(text).map_err(|_| Odd)
}

/// Whether all jobs are paused.
pub(super) fn all_paused(text: &[u8]) -> Result<Option<Pause>, Odd> {
    if text.is_empty() { Ok(None) } else { pause(&parsed(text)?) }
}

fn job_json(job: &JobRecord) -> String {
    let pause = pause_json(job.pause.as_ref());
    let (anchor, since) = (job.anchor.micros(), job.since.micros());
    json!([anchor, job.trigger, since, job.resumed, pause, job.added, job.overrides]).to_string()
}

/// A job, of its id, what is decided, and the rest.
pub(super) fn job(id: &str, decided: &str, rest: &[u8]) -> Result<JobRecord, Odd> {
    let rest = parsed(rest)?;
    Ok(JobRecord {
        id: id.into(),
        anchor: micros(&rest[0])?,
        decided: instant_or_none(decided)?.unwrap_or(Instant::MIN),
        trigger: needed(&rest[1])?,
        since: micros(&rest[2])?,
        pause: pause(&rest[4])?,
        resumed: rest[3].as_bool().ok_or(Odd)?,
        added: boxed(&rest[5]),
        overrides: boxed(&rest[6]),
    })
}

fn change_text(change: &Change) -> String {
    let Change { at, job, what, by, detail } = change;
    format!("{}{}", stamp(*at), json!([job, what.word(), by, detail]))
}

/// A change; what it says of a job decides whether it is wanted.
pub(super) fn change(text: &str) -> Result<Change, Odd> {
    let (at, rest) = text.split_at_checked(20).ok_or(Odd)?;
    let rest = parsed(rest.as_bytes())?;
    let what = ChangeKind::from(rest[1].as_str().ok_or(Odd)?);
    let (job, by, detail) = (boxed(&rest[0]), needed(&rest[2])?, boxed(&rest[3]));
    Ok(Change { at: instant(at)?, job, what, by, detail })
}

/// The life of a scheduler: its name, and all of it.
fn session_text(session: &Session) -> (String, String) {
    let Session { process, boot, began, jobfile, mark, .. } = session;
    let (began, start) = (began.micros(), process.start);
    let name = format!("{} {start} {boot} {began}", process.pid);
    (name, json!([process.pid, start, boot, began, jobfile, mark]).to_string())
}

/// A life, of the fields of its hash.
pub(super) fn session(reply: Reply) -> Result<Session, Odd> {
    let (mut all, mut seen, mut stopped) = (Value::Null, None, None);
    for (name, value) in reply::pairs(reply)? {
        let text = std::str::from_utf8(&value).map_err(|_| Odd)?;
        match &*name {
            "all" => all = parsed(&value)?,
            "seen" => seen = instant_or_none(text)?,
            "stopped" => stopped = instant_or_none(text)?,
            _ => {}
        }
    }
    let number = |place: usize| all[place].as_u64().ok_or(Odd);
    let small = |place| u32::try_from(number(place)?).map_err(|_| Odd);
    let began = micros(&all[3])?;
    Ok(Session {
        process: Process { pid: small(0)?, start: number(1)? },
        boot: needed(&all[2])?,
        began,
        seen: seen.unwrap_or(began),
        stopped,
        jobfile: needed(&all[4])?,
        mark: small(5)?,
    })
}

/// Facts as arguments, each with a letter in front.
pub(super) fn facts(to: &mut Cmd, facts: &[Fact]) {
    for fact in facts {
        one(to, fact);
    }
}

fn one(to: &mut Cmd, fact: &Fact) {
    match fact {
        Fact::Began(session) => {
            let (name, all) = session_text(session);
            let stopped = session.stopped.map_or(String::new(), stamp);
            to.arg("B").arg(name).arg(all).arg(stamp(session.seen)).arg(stopped);
        }
        Fact::Stopped { at } => drop(to.arg("S").arg(stamp(*at))),
        Fact::Job(job) => {
            to.arg("J").arg(&*job.id).arg(stamp(job.decided)).arg(job_json(job));
        }
        Fact::Gone { job } => drop(to.arg("G").arg(&**job)),
        Fact::AllPaused(pause) => {
            let pause = pause.as_ref().map(|pause| pause_json(Some(pause)).to_string());
            to.arg("P").arg(pause.unwrap_or_default());
        }
        Fact::Admitted { run, job, due, at, by, host, slot } => {
            let slot = slot.map_or(String::new(), |slot| slot.to_string());
            to.arg("A").arg(run.0).arg(&**job).arg(stamp(*due)).arg(stamp(*at));
            to.arg(some(by.as_deref())).arg(host.as_deref().unwrap_or_default()).arg(slot);
        }
        Fact::Starting { run, attempt } => drop(to.arg("T").arg(run.0).arg(*attempt)),
        Fact::Postponed { run, attempt } => {
            to.arg("Q").arg(run.0).arg(attempt.saturating_sub(1));
        }
        Fact::Started { run, attempt, process, at } => {
            to.arg("R").arg(run.0).arg(*attempt).arg(process_text(*process)).arg(stamp(*at));
        }
        Fact::AttemptEnded { run, attempt, outcome, at } => {
            to.arg("F").arg(run.0).arg(*attempt).arg(outcome_text(outcome)).arg(stamp(*at));
        }
        Fact::Ended { run, outcome, duration, attempts, usage, .. } => {
            to.arg("E").arg(run.0).arg(outcome_text(outcome)).arg(u8::from(outcome.went_wrong()));
            to.arg(duration_micros(*duration)).arg(*attempts);
            to.arg(usage_text(*usage));
        }
        Fact::Fate { job, due, last_due, count, outcome, at, host } => {
            to.arg("X").arg(&**job).arg(stamp(*due)).arg(stamp(*last_due)).arg(*count);
            to.arg(outcome_text(outcome)).arg(u8::from(outcome.went_wrong())).arg(stamp(*at));
            to.arg(host.as_deref().unwrap_or_default());
        }
        Fact::Withdrawn { run } => drop(to.arg("W").arg(run.0)),
        Fact::Output { run, tail, total } => drop(to.arg("O").arg(run.0).arg(*total).arg(&**tail)),
        Fact::Change(change) => drop(to.arg("C").arg(change_text(change))),
        Fact::Entry { list, key, value } => {
            to.arg("N").arg(&**list).arg(&**key).arg(some(value.as_deref()));
        }
    }
}

/// What a run has used: four numbers, of which some may be missing.
fn usage_text(usage: Option<Usage>) -> String {
    if usage.is_none() {
        return String::new();
    }
    let number = |number: Option<i64>| number.map_or(String::new(), |number| number.to_string());
    encode::usage_columns(usage).map(number).join(",")
}

fn usage(text: &str) -> Result<Option<Usage>, Odd> {
    let mut columns = [None; 4];
    for (column, number) in columns.iter_mut().zip(text.split(',')) {
        if !number.is_empty() {
            *column = Some(number.parse().map_err(|_| Odd)?);
        }
    }
    Ok(encode::usage(columns))
}

/// A record with what is not shown of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) record: RunRecord,
    pub(super) session: SessionId,
    pub(super) slot: Option<u16>,
    pub(super) attempts: Vec<AttemptRecord>,
    /// When the process of the last attempt was made.
    pub(super) begun: Option<Instant>,
}

/// A record, of its number and the fields of its hash.
pub(super) fn row(seq: u64, reply: Reply) -> Result<Row, Odd> {
    let (due, count, at) = (Instant::MIN, 1, Instant::MIN);
    let record = RunRecord {
        seq,
        run: None,
        job: "".into(),
        due,
        last_due: due,
        count,
        outcome: None,
        at,
        started: None,
        duration: None,
        attempts: 0,
        process: None,
        by: None,
        host: None,
        usage: None,
        printed: None,
    };
    let (session, attempts) = (SessionId(0), Vec::new());
    let mut row = Row { record, session, slot: None, attempts, begun: None };
    let mut last_due = None;
    for (name, value) in reply::pairs(reply)? {
        let text = std::str::from_utf8(&value).map_err(|_| Odd)?;
        let number = || text.parse::<u64>().map_err(|_| Odd);
        let record = &mut row.record;
        match &*name {
            "j" => record.job = text.into(),
            "d" => record.due = instant(text)?,
            "l" => last_due = Some(instant(text)?),
            "c" => record.count = number()?,
            "a" => record.at = instant(text)?,
            "r" => record.run = Some(RunId(number()?)),
            "o" => record.outcome = Some(outcome(text)?),
            "f" => record.started = instant_or_none(text)?,
            "u" => record.duration = Some(Duration::from_micros(number()?)),
            "n" => record.attempts = u32::try_from(number()?).map_err(|_| Odd)?,
            "p" => record.process = process(text)?,
            "b" => row.begun = instant_or_none(text)?,
            "m" => record.usage = usage(text)?,
            "w" => record.printed = Some(number()?),
            "y" => record.by = some_text(text),
            "h" => record.host = (!text.is_empty()).then(|| text.into()),
            "s" => row.session = text.parse().unwrap_or(SessionId(0)),
            "x" => row.slot = text.parse().ok(),
            name => {
                if let Some(attempt) = name.strip_prefix('#') {
                    row.attempts.push(attempt_record(attempt, text)?);
                }
            }
        }
    }
    row.record.last_due = last_due.unwrap_or(row.record.due);
    sort::by_key(&mut row.attempts, |attempt| attempt.attempt);
    Ok(row)
}

fn attempt_record(number: &str, text: &str) -> Result<AttemptRecord, Odd> {
    let parts: Vec<&str> = text.splitn(4, ';').collect();
    let [ended, begun, made, how] = parts[..] else { return Err(Odd) };
    Ok(AttemptRecord {
        attempt: number.parse().map_err(|_| Odd)?,
        process: process(made)?,
        started: instant_or_none(begun)?,
        ended: instant_or_none(ended)?,
        outcome: Some(outcome(how)?),
    })
}

impl Row {
    /// The run, if it is one and not over.
    pub(super) fn open(&self) -> Option<OpenRun> {
        let record = &self.record;
        let run = record.run.filter(|_| record.outcome.is_none())?;
        let last = self.attempts.iter().find(|last| last.attempt == record.attempts);
        Some(OpenRun {
            run,
            job: record.job.clone(),
            due: record.due,
            by: record.by.clone(),
            attempt: record.attempts,
            process: record.process,
            started: record.started,
            last: last.and_then(|last| last.outcome.clone()),
            last_ended: last.and_then(|last| last.ended),
        })
    }
}

/// What is written of a session at any time, as names and values.
pub(super) fn member_fields(to: &mut Cmd, member: &Member) {
    let Member { host, labels, machine, boot, mark, process, version, tzdata, jobfile, .. } =
        member;
    let labels: Vec<&str> = labels.iter().map(|label| &**label).collect();
    let all =
        json!([host, labels, boot, mark, process.pid, process.start, version, tzdata, jobfile]);
    to.arg("all").arg(all.to_string()).arg("host").arg(&**host).arg("machine").arg(&**machine);
    to.arg("hash").arg(member.jobfile_hash).arg("offset").arg(member.offset);
    to.arg("generation").arg(member.generation).arg("leaving").arg(u8::from(member.leaving));
    to.arg("home").arg(member.jobs_at_home).arg("running").arg(member.running);
}

/// All of it, as somebody has known it.
pub(super) fn whole_member(to: &mut Cmd, member: &Member) {
    member_fields(to, member);
    to.arg("beat").arg(member.beat).arg("joined").arg(stamp(member.joined));
    to.arg("seen").arg(stamp(member.seen)).arg("loaded").arg(stamp(member.loaded));
    if let Some(gone) = member.gone {
        to.arg("gone").arg(stamp(gone.at)).arg("gone_by").arg(gone.by.to_string());
    }
}

/// A session, of its id and the fields of its hash.
pub(super) fn member(id: &str, reply: Reply) -> Result<Member, Odd> {
    let fields = reply::pairs(reply)?;
    let of = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map_or(Ok(""), |(_, value)| std::str::from_utf8(value).map_err(|_| Odd))
    };
    let all = parsed(of("all")?.as_bytes())?;
    let long = |place: usize| all[place].as_u64().ok_or(Odd);
    let small = |place| u32::try_from(long(place)?).map_err(|_| Odd);
    let count = |name| of(name)?.parse::<u64>().map_err(|_| Odd);
    let few = |name| of(name)?.parse::<u32>().map_err(|_| Odd);
    let labels = all[1].as_array().ok_or(Odd)?;
    let gone_by = of("gone_by")?.parse().unwrap_or(SessionId(0));
    Ok(Member {
        id: id.parse().map_err(|_| Odd)?,
        host: needed(&all[0])?,
        labels: labels.iter().map(needed).collect::<Result<_, _>>()?,
        machine: of("machine")?.into(),
        boot: needed(&all[2])?,
        mark: small(3)?,
        process: Process { pid: small(4)?, start: long(5)? },
        version: needed(&all[6])?,
        tzdata: needed(&all[7])?,
        jobfile: needed(&all[8])?,
        jobfile_hash: count("hash")?,
        loaded: instant(of("loaded")?)?,
        joined: instant(of("joined")?)?,
        seen: instant(of("seen")?)?,
        offset: of("offset")?.parse().map_err(|_| Odd)?,
        beat: count("beat")?,
        generation: count("generation")?,
        leaving: of("leaving")? == "1",
        gone: instant_or_none(of("gone")?)?.map(|at| Gone { at, by: gone_by }),
        jobs_at_home: few("home")?,
        running: few("running")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_order() {
        let all = [
            Instant::MIN,
            Instant::from_micros(-1),
            Instant::from_micros(0),
            Instant::from_micros(1),
            Instant::MAX,
        ];
        for pair in all.windows(2) {
            assert!(stamp(pair[0]) < stamp(pair[1]), "{pair:?}");
        }
        for at in all {
            assert_eq!((stamp(at).len(), instant(&stamp(at)).unwrap()), (20, at));
        }
    }

    #[test]
    fn outcomes_come_back() {
        for given in crate::core::outcome::each() {
            assert_eq!(outcome(&outcome_text(&given)).unwrap(), given);
        }
        let odd = Outcome::Lost("a,b;c\0".into());
        assert_eq!(outcome(&outcome_text(&odd)).unwrap(), odd);
    }
}
