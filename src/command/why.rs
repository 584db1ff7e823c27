//! `schedrs why`: one answer, and what it rests on.

use std::io::{BufWriter, Write};

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use super::past::{self, Past, Place, moment};
use crate::cli::{Context, ExitCode};
use crate::event::{JobRecord, Pause};
use crate::instant::Instant;
use crate::past::explain::{Asked, Case, Subject, Verdict, explain};
use crate::past::object::RecordObject;
use crate::past::{end_of, say};
use crate::problem::clean;
use crate::store::{AttemptRecord, Query, Reader, RunRecord, Session};
use crate::words;
use crate::zone::Zone;

/// So many records around the time that is asked about are looked at.
const AROUND: usize = 1000;

/// So many from before it: enough to find those that were in its way.
const BEFORE: usize = 64;

/// Say why a due time ended as it did, or why there was none
///
/// Without --at it is about the latest due time. A time is an RFC 3339 time, a date with or
/// without a time, a time of day (the last one that has passed), `-2h` for two hours ago, or
/// `+2h` for one to come. `03:00` means any due time in that minute; of several it is about the
/// first that did not go well.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The job
    job: String,

    /// The due time that is asked about [default: the latest]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,

    #[command(flatten)]
    place: Place,

    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A sentence for people, and what it rests on
    Text,
    /// One JSON object: job, asked, verdict (a word), text, due, next, evidence, record
    Json,
}

/// An answer as JSON.
#[derive(Serialize)]
struct Object<'a> {
    job: &'a str,
    asked: Option<String>,
    verdict: &'static str,
    text: &'a str,
    due: Option<String>,
    next: Option<String>,
    evidence: Vec<Evidence<'a>>,
    record: Option<RecordObject>,
}

#[derive(Serialize)]
struct Evidence<'a> {
    about: &'static str,
    text: &'a str,
}

/// What was read to answer.
struct Read {
    known: Option<JobRecord>,
    all_paused: Option<Pause>,
    records: Vec<RunRecord>,
    oldest: Option<Instant>,
    attempts: Vec<AttemptRecord>,
    sessions: Vec<Session>,
    changes: Vec<crate::event::Change>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut past = Past::open(&args.place, context)?;
    let id = &*args.job;
    past.must_know(id)?;
    let zone = past.zone_of(id);
    let asked = match &args.at {
        None => Asked::Latest,
        Some(text) => {
            let typed =
                moment(text, &zone, past.now).with_context(|| format!("--at {}", clean(text)))?;
            Asked::Within(typed.from, typed.until)
        }
    };
    let now = past.now;
    let mut read = Read::first(past.reader(), id, asked)?;
    // What became of it says where to look further.
    let subject = match read.case(&past, id, asked, &zone).subject() {
        Subject::Record(record, _) => Some(record.clone()),
        Subject::Due(_) | Subject::Nothing(_) => None,
    };
    if let Some(record) = subject {
        read.around(past.reader(), id, &record, now)?;
    }
    let verdict = explain(&read.case(&past, id, asked, &zone));
    let mut out = BufWriter::new(anstream::stdout().lock());
    match args.output {
        Output::Text => text(&mut out, id, asked, &verdict, &zone, now)?,
        Output::Json => json(&mut out, id, asked, &verdict, &zone)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

impl Read {
    /// What there is about the time that is asked about.
    fn first(reader: &mut dyn Reader, id: &str, asked: Asked) -> anyhow::Result<Read> {
        let of_job = Query { job: Some(id.into()), ..Query::default() };
        let records = match asked {
            Asked::Latest => reader.records(&Query { limit: BEFORE, ..of_job.clone() })?,
            Asked::Within(from, until) => {
                let at = Query { since: Some(from), until: Some(until), ..of_job.clone() };
                let mut records = reader.records(&Query { limit: AROUND, ..at })?;
                let before = Query { until: Some(from), limit: BEFORE, ..of_job.clone() };
                add(&mut records, reader.records(&before)?);
                records
            }
        };
        let oldest = oldest(reader, &of_job, asked)?;
        Ok(Read {
            known: reader.job(id)?,
            all_paused: reader.all_paused()?,
            oldest: oldest.or_else(|| records.iter().map(|record| record.due).min()),
            records,
            attempts: Vec::new(),
            sessions: reader.sessions()?,
            changes: Vec::new(),
        })
    }

    /// What may have to do with a record: what was going on, and what was done meanwhile.
    fn around(
        &mut self,
        reader: &mut dyn Reader,
        id: &str,
        record: &RunRecord,
        now: Instant,
    ) -> anyhow::Result<()> {
        let end = end_of(record).unwrap_or(now).max(record.at);
        let of_job = Query { job: Some(id.into()), ..Query::default() };
        let during =
            Query { since: Some(record.due), until: Some(end), limit: AROUND, ..of_job.clone() };
        let before = Query { until: Some(record.due), limit: BEFORE, ..of_job };
        add(&mut self.records, reader.records(&during)?);
        add(&mut self.records, reader.records(&before)?);
        if let Some(run) = record.run.filter(|_| record.attempts > 1) {
            self.attempts = reader.attempts(run)?;
        }
        // A pause may have begun long before.
        self.changes = reader.changes(Some(id), Instant::MIN, now.max(end))?;
        Ok(())
    }

    fn case<'a>(&'a self, past: &'a Past, id: &'a str, asked: Asked, zone: &'a Zone) -> Case<'a> {
        let job = past.job(id).map(|job| &**job);
        let executors = past.set.as_ref().map(|set| &set.executors);
        Case {
            id,
            job,
            executor: job.and_then(|job| executors?.get(usize::from(job.executor))),
            known: self.known.as_ref(),
            all_paused: self.all_paused.as_ref(),
            asked,
            now: past.now,
            zone,
            records: &self.records,
            oldest: self.oldest,
            attempts: &self.attempts,
            sessions: &self.sessions,
            is_running: self.sessions.last().is_some_and(past::goes_on),
            changes: &self.changes,
        }
    }
}

/// Adds records that are not there yet.
fn add(records: &mut Vec<RunRecord>, more: Vec<RunRecord>) {
    records.extend(more);
    records.sort_by_key(|record| record.seq);
    records.dedup_by_key(|record| record.seq);
}

/// Some due time from before the one that is asked about of which there is a record, if there is
/// one: then that one is not too old to have one.
fn oldest(
    reader: &mut dyn Reader,
    of_job: &Query,
    asked: Asked,
) -> anyhow::Result<Option<Instant>> {
    let until = match asked {
        Asked::Latest => None,
        Asked::Within(from, _) => Some(from),
    };
    let before = reader.records(&Query { until, limit: 1, ..of_job.clone() })?;
    if let Some(record) = before.first() {
        return Ok(Some(record.due));
    }
    // All are younger: the oldest of them, without reading a million.
    let younger = reader.records(&Query { limit: AROUND, ..of_job.clone() })?;
    Ok(younger.iter().map(|record| record.due).min())
}

fn text(
    out: &mut dyn Write,
    id: &str,
    asked: Asked,
    verdict: &Verdict,
    zone: &Zone,
    now: Instant,
) -> anyhow::Result<()> {
    let (bold, dim) = (anstyle::Style::new().bold(), anstyle::Style::new().dimmed());
    let id = clean(id);
    let when = match (verdict.due, asked) {
        (Some(due), _) => format!(", due {}", words::table_time(due, zone)),
        (None, Asked::Within(from, _)) => format!(", {}", words::table_time(from, zone)),
        (None, Asked::Latest) => String::new(),
    };
    let mark = verdict.record.as_ref().map(|record| say::mark(record.outcome.as_ref()));
    let mark = match mark {
        Some(mark) => format!("\x1b[{}m{mark}\x1b[0m ", say::colour(mark)),
        None => String::new(),
    };
    writeln!(out, "{mark}{bold}{id}{bold:#}{when}: {}", verdict.text)?;
    let next = match verdict.next {
        Some(next) => {
            let ahead = words::span(next.since(now));
            format!("{}, in {ahead}", words::table_time(next, zone))
        }
        None => "none".to_owned(),
    };
    let width = verdict.evidence.iter().map(|(about, _)| about.len()).max().unwrap_or(0).max(4);
    let evidence = verdict.evidence.iter().map(|(about, text)| (*about, &**text));
    for (about, text) in evidence.chain([("next", &*next)]) {
        writeln!(out, "  {dim}{about:width$}{dim:#}  {text}")?;
    }
    Ok(())
}

fn json(
    out: &mut dyn Write,
    id: &str,
    asked: Asked,
    verdict: &Verdict,
    zone: &Zone,
) -> anyhow::Result<()> {
    let time = |at: Instant| words::rfc3339(at, zone);
    let object = Object {
        job: id,
        asked: match asked {
            Asked::Latest => None,
            Asked::Within(from, _) => Some(time(from)),
        },
        verdict: verdict.word,
        text: &verdict.text,
        due: verdict.due.map(time),
        next: verdict.next.map(time),
        evidence: verdict.evidence.iter().map(|(about, text)| Evidence { about, text }).collect(),
        record: verdict.record.as_ref().map(|record| RecordObject::new(record, zone)),
    };
    writeln!(out, "{}", serde_json::to_string(&object)?)?;
    Ok(())
}
