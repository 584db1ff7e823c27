//! Facts and sessions as documents, and back.
//!
//! Times are microseconds, as everywhere; what the server's clock says is a date. Texts are without
//! NUL, which stands between the parts of keys.

use std::time::Duration;

use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};

use crate::core::event::{Change, ChangeKind, JobRecord, Pause, RunId};
use crate::core::fleet::{Gone, Member, SessionId};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::sort;
use crate::core::usage::Usage;
use crate::store::shared::Asked;
use crate::store::sql::{escaped, unescaped};
use crate::store::{AttemptRecord, OpenRun, Process, RunRecord, Session, encode};

/// A document that schedrs has not written.
#[derive(Debug)]
pub(super) struct Odd;

/// What is taken from one.
pub(super) type Read<T> = Result<T, Odd>;

/// A text as it is kept.
pub(super) fn text_of(text: &str) -> Bson {
    Bson::String(escaped(text).into_owned())
}

fn text_or_null(text: Option<&str>) -> Bson {
    text.map_or(Bson::Null, text_of)
}

fn micros_or_null(at: Option<Instant>) -> Bson {
    at.map_or(Bson::Null, |at| Bson::Int64(at.micros()))
}

/// A whole number, whichever way a server keeps it.
pub(super) fn number(document: &Document, key: &str) -> Read<i64> {
    match document.get(key) {
        Some(Bson::Int32(number)) => Ok(i64::from(*number)),
        Some(Bson::Int64(number)) => Ok(*number),
        Some(Bson::Double(number)) if number.fract() == 0.0 => Ok(*number as i64),
        _ => Err(Odd),
    }
}

fn is_there(document: &Document, key: &str) -> bool {
    document.get(key).is_some_and(|value| *value != Bson::Null)
}

pub(super) fn number_or_none(document: &Document, key: &str) -> Read<Option<i64>> {
    if is_there(document, key) { number(document, key).map(Some) } else { Ok(None) }
}

/// One that is counted up: none is 0.
pub(super) fn count(document: &Document, key: &str) -> Read<u64> {
    Ok(number_or_none(document, key)?.unwrap_or(0) as u64)
}

fn small(document: &Document, key: &str) -> Read<u32> {
    u32::try_from(count(document, key)?).map_err(|_| Odd)
}

pub(super) fn flag(document: &Document, key: &str) -> bool {
    document.get_bool(key).unwrap_or(false) || number(document, key).is_ok_and(|it| it != 0)
}

pub(super) fn text(document: &Document, key: &str) -> Read<Box<str>> {
    document.get_str(key).map(|text| unescaped(text).into()).map_err(|_| Odd)
}

pub(super) fn text_or_none(document: &Document, key: &str) -> Read<Option<Box<str>>> {
    if is_there(document, key) { text(document, key).map(Some) } else { Ok(None) }
}

pub(super) fn instant(document: &Document, key: &str) -> Read<Instant> {
    number(document, key).map(Instant::from_micros)
}

pub(super) fn instant_or_none(document: &Document, key: &str) -> Read<Option<Instant>> {
    Ok(number_or_none(document, key)?.map(Instant::from_micros))
}

/// What the server's clock has said: a date when it said it, a number when it was told again.
pub(super) fn date(document: &Document, key: &str) -> Read<Instant> {
    match document.get_datetime(key) {
        Ok(date) => Ok(Instant::from_micros(date.timestamp_millis().saturating_mul(1000))),
        Err(_) => instant(document, key),
    }
}

pub(super) fn inner<'a>(document: &'a Document, key: &str) -> Read<Option<&'a Document>> {
    match document.get(key) {
        None | Some(Bson::Null) => Ok(None),
        Some(Bson::Document(inner)) => Ok(Some(inner)),
        Some(_) => Err(Odd),
    }
}

pub(super) fn session_of(document: &Document, key: &str) -> SessionId {
    document.get_str(key).ok().and_then(|id| id.parse().ok()).unwrap_or(SessionId(0))
}

pub(super) fn outcome_doc(outcome: &Outcome) -> Document {
    let (word, number, text) = encode::columns(outcome);
    doc! { "word": word, "number": number, "text": text_or_null(text) }
}

fn outcome(document: &Document) -> Read<Outcome> {
    let (word, text) = (text(document, "word")?, text_or_none(document, "text")?);
    Ok(encode::outcome(&word, number_or_none(document, "number")?, text.as_deref()))
}

fn outcome_or_none(document: &Document) -> Read<Option<Outcome>> {
    inner(document, "outcome")?.map(outcome).transpose()
}

pub(super) fn process_doc(process: Process) -> Document {
    doc! { "pid": i64::from(process.pid), "start": process.start as i64 }
}

fn process(document: &Document) -> Read<Process> {
    Ok(Process { pid: small(document, "pid")?, start: count(document, "start")? })
}

fn process_or_none(document: &Document) -> Read<Option<Process>> {
    inner(document, "process")?.map(process).transpose()
}

pub(super) fn pause_doc(pause: Option<&Pause>) -> Bson {
    pause.map_or(Bson::Null, |pause| {
        Bson::Document(doc! {
            "at": pause.at.micros(), "until": micros_or_null(pause.until),
            "by": text_of(&pause.by), "reason": text_or_null(pause.reason.as_deref()),
        })
    })
}

/// The pause in a document, of a job or of all.
pub(super) fn pause(document: &Document, key: &str) -> Read<Option<Pause>> {
    let Some(pause) = inner(document, key)? else { return Ok(None) };
    let (at, until) = (instant(pause, "at")?, instant_or_none(pause, "until")?);
    let (by, reason) = (text(pause, "by")?, text_or_none(pause, "reason")?);
    Ok(Some(Pause { at, until, by, reason }))
}

pub(super) fn job_doc(job: &JobRecord, decided: Instant) -> Document {
    doc! {
        "_id": text_of(&job.id), "decided": decided.micros(), "anchor": job.anchor.micros(),
        "trigger": text_of(&job.trigger), "since": job.since.micros(), "resumed": job.resumed,
        "pause": pause_doc(job.pause.as_ref()), "added": text_or_null(job.added.as_deref()),
        "overrides": text_or_null(job.overrides.as_deref()),
    }
}

pub(super) fn job(document: &Document) -> Read<JobRecord> {
    Ok(JobRecord {
        id: text(document, "_id")?,
        anchor: instant(document, "anchor")?,
        decided: instant(document, "decided")?,
        trigger: text(document, "trigger")?,
        since: instant(document, "since")?,
        pause: pause(document, "pause")?,
        resumed: flag(document, "resumed"),
        added: text_or_none(document, "added")?,
        overrides: text_or_none(document, "overrides")?,
    })
}

/// A change. Its key is all of it, so that it is written once.
pub(super) fn change_doc(change: &Change) -> Document {
    let Change { at, job, what, by, detail } = change;
    let key = serde_json::json!([job, what.word(), by, detail]);
    doc! {
        "_id": format!("{} {key}", at.micros()), "at": at.micros(),
        "job": text_or_null(job.as_deref()), "what": what.word(), "by": text_of(by),
        "detail": text_or_null(detail.as_deref()),
    }
}

pub(super) fn change(document: &Document) -> Read<Change> {
    Ok(Change {
        at: instant(document, "at")?,
        job: text_or_none(document, "job")?,
        what: ChangeKind::from(&*text(document, "what")?),
        by: text(document, "by")?,
        detail: text_or_none(document, "detail")?,
    })
}

/// What identifies an entry: those of a list are one behind the other.
pub(super) fn entry_id(list: &str, key: &str) -> String {
    format!("{}\0{}", escaped(list), escaped(key))
}

/// What finds the entries of a list: no text that is kept has a NUL in it.
pub(super) fn entries_of(list: &str) -> Document {
    let list = escaped(list);
    doc! { "_id": { "$gte": format!("{list}\0"), "$lt": format!("{list}\u{1}") } }
}

/// An entry, with the name of its list.
pub(super) fn entry_doc(list: &str, key: &str, value: &str) -> Document {
    doc! {
        "_id": entry_id(list, key), "list": text_of(list), "key": text_of(key),
        "value": text_of(value),
    }
}

/// The key and the value of an entry.
pub(super) fn entry(document: &Document) -> Read<(Box<str>, Box<str>)> {
    Ok((text(document, "key")?, text(document, "value")?))
}

/// The life of a scheduler, the `place`th of all.
pub(super) fn life_doc(life: &Session, place: i64, session: &str) -> Document {
    let Session { process, boot, began, .. } = life;
    let key = format!("{} {} {} {}", process.pid, process.start, began.micros(), escaped(boot));
    doc! {
        "_id": key, "place": place, "session": session, "process": process_doc(*process),
        "boot": text_of(boot), "began": began.micros(), "seen": life.seen.micros(),
        "stopped": micros_or_null(life.stopped), "jobfile": text_of(&life.jobfile),
        "mark": i64::from(life.mark),
    }
}

pub(super) fn life(document: &Document) -> Read<Session> {
    Ok(Session {
        process: process_or_none(document)?.ok_or(Odd)?,
        boot: text(document, "boot")?,
        began: instant(document, "began")?,
        seen: instant(document, "seen")?,
        stopped: instant_or_none(document, "stopped")?,
        jobfile: text(document, "jobfile")?,
        mark: small(document, "mark")?,
    })
}

pub(super) fn asked_doc(asked: &Asked) -> Document {
    doc! {
        "_id": asked.id.to_string(), "to": asked.to.to_string(), "from": asked.from.to_string(),
        "by": text_of(&asked.by), "at": asked.at.micros(), "request": text_of(&asked.request),
        "answer": text_or_null(asked.answer.as_deref()),
    }
}

pub(super) fn asked(document: &Document) -> Read<Asked> {
    Ok(Asked {
        id: text(document, "_id")?.parse().map_err(|_| Odd)?,
        to: session_of(document, "to"),
        from: session_of(document, "from"),
        by: text(document, "by")?,
        at: instant(document, "at")?,
        request: text(document, "request")?,
        answer: text_or_none(document, "answer")?,
    })
}

/// What is said of a session; what the store adds to it is beside that.
pub(super) fn told(me: &Member) -> Document {
    let labels: Vec<Bson> = me.labels.iter().map(|label| text_of(label)).collect();
    doc! {
        "host": text_of(&me.host), "labels": labels, "machine": text_of(&me.machine),
        "boot": text_of(&me.boot), "mark": i64::from(me.mark), "process": process_doc(me.process),
        "version": text_of(&me.version), "tzdata": text_of(&me.tzdata),
        "jobfile": text_of(&me.jobfile), "hash": me.jobfile_hash as i64, "offset": me.offset,
        "generation": me.generation as i64, "home": i64::from(me.jobs_at_home),
        "running": i64::from(me.running),
    }
}

/// A session, of its id and its document.
pub(super) fn member(id: SessionId, document: &Document) -> Read<Member> {
    let told = inner(document, "told")?.ok_or(Odd)?;
    let label = |label: &Bson| label.as_str().map(|text| unescaped(text).into()).ok_or(Odd);
    let labels = told.get_array("labels").map_err(|_| Odd)?;
    let gone = match inner(document, "gone")? {
        Some(gone) => Some(Gone { at: date(document, "gone_at")?, by: session_of(gone, "by") }),
        None => None,
    };
    Ok(Member {
        id,
        host: text(told, "host")?,
        labels: labels.iter().map(label).collect::<Read<_>>()?,
        machine: text(told, "machine")?,
        boot: text(told, "boot")?,
        mark: small(told, "mark")?,
        process: process_or_none(told)?.ok_or(Odd)?,
        version: text(told, "version")?,
        tzdata: text(told, "tzdata")?,
        jobfile: text(told, "jobfile")?,
        jobfile_hash: count(told, "hash")?,
        loaded: date(document, "loaded")?,
        joined: date(document, "joined")?,
        seen: date(document, "seen")?,
        offset: number(told, "offset")?,
        beat: count(document, "beat")?,
        generation: count(told, "generation")?,
        leaving: flag(document, "leaving"),
        gone,
        jobs_at_home: small(told, "home")?,
        running: small(told, "running")?,
    })
}

pub(super) fn output_doc(tail: &[u8], total: u64) -> Document {
    let tail = Binary { subtype: BinarySubtype::Generic, bytes: tail.to_vec() };
    doc! { "tail": tail, "total": i64::try_from(total).unwrap_or(i64::MAX) }
}

/// The output in a record.
pub(super) fn output(document: &Document) -> Read<Option<(Vec<u8>, u64)>> {
    let Some(output) = inner(document, "output")? else { return Ok(None) };
    let tail = output.get_binary_generic("tail").map_err(|_| Odd)?;
    Ok(Some((tail.clone(), count(output, "total")?)))
}

/// What a run has used, and the names of that in their order.
const USAGE: [&str; 4] = ["cpu", "max_rss", "read", "written"];

pub(super) fn usage_doc(usage: Usage) -> Document {
    let values = encode::usage_columns(Some(usage));
    let pairs = USAGE.into_iter().zip(values);
    pairs.map(|(name, value)| (name.to_owned(), value.map_or(Bson::Null, Bson::Int64))).collect()
}

fn usage(document: &Document) -> Read<Option<Usage>> {
    let Some(usage) = inner(document, "usage")? else { return Ok(None) };
    let mut columns = [None; 4];
    for (column, name) in columns.iter_mut().zip(USAGE) {
        *column = number_or_none(usage, name)?;
    }
    Ok(encode::usage(columns))
}

/// A record with what is not shown of it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) record: RunRecord,
    pub(super) session: SessionId,
    pub(super) slot: Option<u16>,
    /// The beat of its session that confirms it.
    pub(super) needs: u64,
    /// It is no claim, and its session has not looked yet what else there is of its due times.
    pub(super) is_pending: bool,
    /// Attempts that have ended and were followed by another.
    pub(super) attempts: Vec<AttemptRecord>,
    /// When the process of the last attempt was made.
    pub(super) begun: Option<Instant>,
}

pub(super) fn row(document: &Document) -> Read<Row> {
    let run = number_or_none(document, "run")?.map(|run| RunId(run as u64));
    let duration = number_or_none(document, "duration")?;
    let record = RunRecord {
        seq: count(document, "seq")?,
        run,
        job: text(document, "job")?,
        due: instant(document, "due")?,
        last_due: instant(document, "last_due")?,
        count: count(document, "count")?,
        outcome: outcome_or_none(document)?,
        at: instant(document, "at")?,
        started: instant_or_none(document, "started")?,
        duration: duration.map(|micros| Duration::from_micros(micros as u64)),
        attempts: small(document, "attempts")?,
        process: process_or_none(document)?,
        by: text_or_none(document, "by")?,
        host: text_or_none(document, "host")?,
        usage: usage(document)?,
        printed: number_or_none(document, "printed")?.map(|bytes| bytes as u64),
    };
    let mut attempts = Vec::new();
    for (name, tried) in inner(document, "tries")?.into_iter().flatten() {
        let tried = tried.as_document().ok_or(Odd)?;
        if is_there(tried, "ended") {
            let attempt = name.trim_start_matches('t').parse().map_err(|_| Odd)?;
            attempts.push(AttemptRecord {
                attempt,
                process: process_or_none(tried)?,
                started: instant_or_none(tried, "begun")?,
                ended: instant_or_none(tried, "ended")?,
                outcome: outcome_or_none(tried)?,
            });
        }
    }
    sort::by_key(&mut attempts, |attempt| attempt.attempt);
    let slot = number_or_none(document, "slot")?.and_then(|slot| u16::try_from(slot).ok());
    Ok(Row {
        record,
        session: session_of(document, "session"),
        slot,
        needs: count(document, "needs")?,
        is_pending: flag(document, "pending"),
        attempts,
        begun: instant_or_none(document, "begun")?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_back() {
        let mut all = crate::core::outcome::each();
        all.push(Outcome::Lost("a\0b".into()));
        for given in all {
            assert_eq!(outcome(&outcome_doc(&given)).unwrap(), given);
        }
    }

    #[test]
    fn a_session_comes_back() {
        let mut document = doc! {
            "told": {}, "beat": 1, "joined": 0, "seen": mongodb::bson::DateTime::from_millis(5),
            "loaded": i64::MIN,
        };
        let id = SessionId(u64::MAX);
        let labels = ["eu \0 ✓".into()].into();
        let mark = u32::MAX;
        let given = Member { labels, mark, jobfile_hash: u64::MAX, ..Member::new(id, "web1") };
        document.insert("told", told(&given));
        let found = member(id, &document).unwrap();
        let Member { loaded, joined, seen, beat, .. } = found;
        assert_eq!(found, Member { loaded, joined, seen, beat, ..given });
        assert_eq!(beat, 1);
    }
}
