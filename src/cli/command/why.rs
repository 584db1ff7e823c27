//! `schedrs why`: one answer, and what it rests on.

mod evidence;
mod read;

use std::io::{BufWriter, Write};

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::history_source::{History, HistoryArgs, told};
use super::{argument, named, request, time};
use crate::cli::table::{paragraph, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::core::instant::Instant;
use crate::core::outcome;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::format;
use crate::history::object::RunObject;
use crate::history::why::{Asked, Subject, Verdict, answer};
use crate::problem::clean;
pub(super) use evidence::habits_of;
use evidence::{awaits_of, failed_hooks_of, told_of};
use read::Read;

/// Explain why a job ran, failed, was skipped or did not run
///
/// Without --at, explains the latest due time. Times can be `17:30` (the most recent one),
/// `yesterday 09:00`, `2h ago`, `+2h` (in the future) or `2026-12-01 09:00`. See TIMES in
/// schedrs(1). `03:00` means any due time in that minute; if there are several, the first that did
/// not succeed is explained.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// The jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,

    /// The due time to explain [default: the latest]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,

    #[command(flatten)]
    place: HistoryArgs,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A sentence, and the evidence for it
    Text,
    /// One JSON object: job, asked, verdict (a word), text, due, next, evidence, record
    Json,
}

/// An answer as JSON.
#[derive(Serialize)]
struct Object<'a> {
    job: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<String>,
    verdict: &'static str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<&'a str>,
    evidence: Vec<Evidence<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<RunObject>,
}

#[derive(Serialize)]
struct Evidence<'a> {
    about: &'static str,
    text: &'a str,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let named = named::jobs(&args.jobs, args.place.jobfile.as_deref(), context)?;
    if named.jobs.is_empty() {
        anyhow::bail!("no job is named, only a jobfile");
    }
    let place = HistoryArgs { jobfile: named.jobfile, ..args.place.clone() };
    let args = Args { jobs: named.jobs, place, ..args.clone() };
    let mut history = History::open(&args.place, context)?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    show(&args, &mut history, &mut out).map_err(told)?;
    out.flush()?;
    if args.output == Output::Text
        && let Some(edited) = request::edited_since(args.place.jobfile.as_deref(), context)
    {
        crate::cli::say(&format!("schedrs: the jobfile has {edited}"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(args: &Args, history: &mut History, out: &mut dyn Write) -> anyhow::Result<()> {
    for (place, id) in history.choose(&args.jobs)?.iter().enumerate() {
        if place > 0 && args.output == Output::Text {
            writeln!(out)?;
        }
        one(args, id, history, out)?;
    }
    Ok(())
}

fn one(args: &Args, id: &str, history: &mut History, out: &mut dyn Write) -> anyhow::Result<()> {
    let zone = history.zone_of(id);
    let asked = match &args.at {
        None => Asked::Latest,
        Some(text) => {
            let typed = time::back(text, &zone, history.now)
                .with_context(|| format!("--at {}", clean(text)))?;
            Asked::Within(typed.from, typed.until)
        }
    };
    let typed = argument::option("-f", args.place.jobfile.as_deref());
    let verdict = verdict(history, id, asked, &typed)?;
    match args.output {
        Output::Text => text(out, id, asked, &verdict, &zone, history.now),
        Output::Json => json(out, id, asked, &verdict, &zone),
    }
}

/// Why something is as it is. `typed`: what was typed to name the jobfile.
pub(super) fn verdict(
    history: &mut History,
    id: &str,
    asked: Asked,
    typed: &str,
) -> anyhow::Result<Verdict> {
    let (zone, now) = (history.zone_of(id), history.now);
    let mut read = Read::first(history.reader(), id, asked)?;
    // What became of it says where to look further.
    let subject = match read.case(history, id, asked, (&zone, typed)).subject() {
        Subject::Record(record, _) => Some(record.clone()),
        Subject::Due(_) | Subject::Nothing(_) => None,
    };
    read.has_hosts = history.has_hosts(&read.records)?;
    if let Some(expect) = history.job(id).and_then(|job| job.options.expect) {
        read.changes = history.reader().changes(Some(id), now.minus(expect), now)?;
    }
    if let Some(record) = subject {
        read.awaits = awaits_of(history, &record)?;
        let delay = history.job(id).map(|job| job.options.retry_delay_after(record.attempts));
        read.around(history.reader(), id, &record, (now, delay.unwrap_or_default()))?;
    }
    let mut verdict = answer(&read.case(history, id, asked, (&zone, typed)));
    if let Some(record) = &verdict.record {
        let is_latest = read.records.iter().all(|other| other.seq <= record.seq);
        let (slow, unusual) = habits_of(history, record, &read.records);
        verdict.evidence.extend(slow.map(|text| ("slow", text)));
        verdict.evidence.extend(unusual.sentences());
        verdict.unusual = unusual;
        verdict.evidence.extend(failed_hooks_of(history, id, record)?);
        verdict.evidence.extend(told_of(history, id, record, is_latest, &zone)?);
    }
    Ok(verdict)
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
        (Some(due), _) => format!(", due {}", format::due(due, zone)),
        (None, Asked::Within(from, _)) => format!(", {}", format::due(from, zone)),
        (None, Asked::Latest) => String::new(),
    };
    let mark = verdict.record.as_ref().map(|record| outcome::mark(record.outcome.as_ref()));
    let (mark, indent) = match mark {
        Some(mark) => (format!("\x1b[{}m{mark}\x1b[0m ", outcome::colour(mark)), 2),
        None => (String::new(), 0),
    };
    let columns = terminal_width();
    let first = format!("{mark}{bold}{id}{bold:#}");
    let text = format!("{when}: {}", verdict.text);
    paragraph(out, (&first, indent + id.width()), 2, &text, columns)?;
    let next = match verdict.next {
        Some(next) => {
            let ahead = words::span(next.since(now));
            format!("{}, in {ahead}", format::due(next, zone))
        }
        None => verdict.next_after.as_deref().unwrap_or("none").to_owned(),
    };
    // Where nothing else says on whose clocks times are.
    let has_offset = verdict.next.is_some() || !when.is_empty();
    let clocks = format!("{}, {}", clean(zone.name()), words::offset(now, zone));
    let clocks = (!has_offset).then_some(("clocks", &*clocks));
    let width = verdict
        .evidence
        .iter()
        .map(|(about, _)| about.len())
        .max()
        .unwrap_or(0)
        .max(if has_offset { 4 } else { 6 });
    let evidence = verdict.evidence.iter().map(|(about, text)| (*about, &**text));
    for (about, text) in evidence.chain([("next", &*next)]).chain(clocks) {
        let (first, head) = (format!("  {dim}{about:width$}{dim:#}  "), width + 4);
        paragraph(out, (&first, head), head, text, columns)?;
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
    writeln!(out, "{}", crate::problem::json(&object(id, asked, verdict, zone))?)?;
    Ok(())
}

/// The same for programs that ask over HTTP.
#[cfg(feature = "web")]
pub(super) fn value(
    id: &str,
    asked: Asked,
    verdict: &Verdict,
    zone: &Zone,
) -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::to_value(object(id, asked, verdict, zone))?)
}

fn object<'a>(id: &'a str, asked: Asked, verdict: &'a Verdict, zone: &Zone) -> Object<'a> {
    let time = |at: Instant| words::rfc3339(at, zone);
    Object {
        job: id,
        asked: match asked {
            Asked::Latest => None,
            Asked::Within(from, _) => Some(time(from)),
        },
        verdict: verdict.word,
        text: &verdict.text,
        due: verdict.due.map(time),
        next: verdict.next.map(time),
        next_after: verdict.next_after.as_deref(),
        evidence: verdict.evidence.iter().map(|(about, text)| Evidence { about, text }).collect(),
        record: verdict
            .record
            .as_ref()
            .map(|record| RunObject::of_record(record, zone).with_unusual(verdict.unusual)),
    }
}

#[cfg(test)]
mod states;

#[cfg(test)]
mod tests;
