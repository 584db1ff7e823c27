//! `schedrs history`: what became of due times.
//!
//! `glance` is the line of marks for each job (`--jobs`), `check` the audit (`--audit`).

mod check;
mod glance;

use std::collections::HashMap;
use std::io::{BufWriter, Write};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::history_source::{History, HistoryArgs, moment, told};
use crate::cli::table::{Table, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::core::instant::Instant;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::format;
use crate::history::object::RunObject;
use crate::problem::clean;
use crate::store::{Query, RunRecord};

/// How many records are shown unless told.
const SHOWN: usize = 25;

/// Show what became of due times
///
/// One row a record, the newest last: runs, and due times that were skipped, missed or coalesced.
/// Due times that share a fate are one record, which says how many there are.
///
/// Times are an RFC 3339 time, a date with or without a time, a time of day (the last one that has
/// passed), `today`, `yesterday`, or `-2h` for two hours ago.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Marks:
  ✓ succeeded   ✗ failed, killed, timed out or not started   ! missed   - skipped
  · coalesced   ? lost   … not over

Exit codes:
  0  done; with --audit: every due time has exactly one outcome
  1  it could not be done; with --audit: some have none, or more than one
  2  wrong usage")]
pub(crate) struct Args {
    /// Only this job
    job: Option<String>,

    /// So many records, the newest; 0: all [default: 25, or all with --since or --until; with
    /// --jobs, so many of each job, 100 unless told]
    #[arg(short = 'n', value_name = "N", conflicts_with = "audit")]
    count: Option<usize>,

    /// Only what went wrong: failed, killed, timed out, not started, missed, lost
    #[arg(long, conflicts_with_all = ["jobs", "audit"])]
    failed: bool,

    /// Only due times from here on
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,

    /// Only due times up to here
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// A line of marks for each job, the newest last, and how many of its runs succeeded
    #[arg(long, conflicts_with = "audit")]
    jobs: bool,

    /// Check that every due time has exactly one outcome, by asking the schedules again
    #[arg(long)]
    audit: bool,

    #[command(flatten)]
    place: HistoryArgs,

    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table for people, fitted to the terminal
    Table,
    /// One JSON object a line, times in RFC 3339
    Json,
}

/// What is asked about, read.
struct Asked<'a> {
    args: &'a Args,
    job: Option<&'a str>,
    since: Option<Instant>,
    until: Option<Instant>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut history = History::open(&args.place, context)?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    let code = show(args, &mut history, &mut out).map_err(told)?;
    out.flush()?;
    Ok(code)
}

pub(super) fn show(
    args: &Args,
    history: &mut History,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    if let Some(job) = &args.job {
        history.must_know(job)?;
    }
    let zone = args.job.as_ref().map_or_else(|| history.zone.clone(), |job| history.zone_of(job));
    let time = |text: &Option<String>, flag: &str| -> anyhow::Result<Option<Instant>> {
        let Some(text) = text else { return Ok(None) };
        let found =
            moment(text, &zone, history.now).with_context(|| format!("{flag} {}", clean(text)))?;
        Ok(Some(found.from))
    };
    let (since, until) = (time(&args.since, "--since")?, time(&args.until, "--until")?);
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        bail!("--until is before --since");
    }
    let asked = Asked { args, job: args.job.as_deref(), since, until };
    match (args.audit, args.jobs) {
        (true, _) => check::run(&asked, history, out),
        (_, true) => glance::run(&asked, history, out),
        _ => records(&asked, history, out),
    }
}

impl Asked<'_> {
    fn query(&self, limit: usize) -> Query {
        Query {
            job: self.job.map(Into::into),
            failed: self.args.failed,
            since: self.since,
            until: self.until,
            limit,
            ..Query::default()
        }
    }
}

fn records(
    asked: &Asked<'_>,
    history: &mut History,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let in_a_span = asked.since.is_some() || asked.until.is_some();
    let limit = asked.args.count.unwrap_or(if in_a_span { 0 } else { SHOWN });
    // One more than is shown, to know whether there is more.
    let ask_for = if limit == 0 { 0 } else { limit.saturating_add(1) };
    let mut records = history.reader().records(&asked.query(ask_for))?;
    let has_more = limit > 0 && records.len() > limit;
    if has_more {
        records.truncate(limit);
    }
    records.reverse();
    let mut zones = Zones::new(history);
    match asked.args.output {
        Output::Json => {
            for record in &records {
                let object = RunObject::of_record(record, zones.of(&record.job));
                writeln!(out, "{}", crate::problem::json(&object)?)?;
            }
        }
        Output::Table if records.is_empty() => {
            anstream::eprintln!("schedrs: {}", nothing(asked));
        }
        Output::Table => {
            table(asked, &records, &mut zones).write(out, terminal_width())?;
            out.flush()?;
            if has_more && asked.args.count.is_none() {
                anstream::eprintln!("schedrs: there are older ones: -n 100, or -n 0 for all");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(asked: &Asked<'_>) -> String {
    let what = if asked.args.failed { "nothing has gone wrong" } else { "no records" };
    let of = asked.job.map(|job| format!(" of {}", clean(job))).unwrap_or_default();
    if asked.since.is_some() || asked.until.is_some() {
        format!("{what}{of} in that time")
    } else {
        format!("{what}{of}")
    }
}

fn table(asked: &Asked<'_>, records: &[RunRecord], zones: &mut Zones) -> Table {
    let heading = vec!["DUE", "JOB", "OUTCOME", "LAG", "TOOK", "RUN", "REMARKS"];
    let mut table = Table::new(heading, 6).with_numbers(3..6).with_colour(2, paint);
    for record in records {
        let zone = zones.of(&record.job);
        let lag = record.started.filter(|_| record.by.is_none());
        let took = record.duration.filter(|_| record.started.is_some());
        table.row(vec![
            format::due(record.due, zone),
            match asked.job {
                Some(_) => String::new(),
                None => clean(&record.job).into_owned(),
            },
            format::cell(record),
            lag.map(|at| words::elapsed(at.since(record.due))).unwrap_or_default(),
            took.map(words::elapsed).unwrap_or_default(),
            record.run.map(|run| run.to_string()).unwrap_or_default(),
            format::remark(record, zone),
        ]);
    }
    table
}

/// The colour of an outcome is that of its mark.
fn paint(text: &str) -> &'static str {
    text.chars().next().map_or("", crate::core::outcome::colour)
}

/// The zones of jobs, found once.
struct Zones {
    of_jobs: HashMap<Box<str>, Zone>,
    other: Zone,
}

impl Zones {
    fn new(history: &History) -> Zones {
        let jobs = history.set.iter().flat_map(|set| &set.jobs);
        let own = jobs.filter(|job| job.zone != history.zone);
        Zones {
            of_jobs: own.map(|job| (job.id.clone(), job.zone.clone())).collect(),
            other: history.zone.clone(),
        }
    }

    fn of(&self, job: &str) -> &Zone {
        self.of_jobs.get(job).unwrap_or(&self.other)
    }
}

#[cfg(test)]
mod tests;
