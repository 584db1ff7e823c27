//! `schedrs history`: what became of due times.
//!
//! `glance` is the line of marks for each job (`--jobs`), `check` the audit (`--audit`).

mod check;
mod glance;

use std::io::{BufWriter, Write};

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::history_source::{History, HistoryArgs, Zones, told};
use super::{named, request, time};
use crate::cli::table::{Table, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::core::instant::Instant;
use crate::core::usage::Usage;
use crate::core::words;
use crate::history::format;
use crate::history::object::RunObject;
use crate::problem::clean;
use crate::store::{Query, RunRecord};

/// How many records are shown unless told.
const SHOWN: usize = 25;

/// Show past runs, and due times that were skipped or missed
///
/// One row per record, the newest last: runs, and due times that were skipped, missed or coalesced.
/// Consecutive due times with the same outcome share a record, with a count.
///
/// Times can be `17:30` (the most recent one), `today`, `yesterday 09:00`, `mon`, `2h ago`,
/// `2026-12-01` or `2026-12-01 09:00`. See TIMES in schedrs(1).
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "\
Marks:
  ✓  succeeded
  ✗  failed, killed, timed out or not started
  !  missed
  -  skipped
  ·  coalesced
  ?  lost
  …  still running or waiting

Exit codes:
  0  done; with --audit: every due time has exactly one outcome
  1  failed; with --audit: a due time has no outcome, or more than one
  2  wrong usage")]
pub(crate) struct Args {
    /// Only these jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB")]
    of: Vec<String>,

    /// Show the newest N records, or all if 0 [default: 25; all with --since or --until; 100 per
    /// job with --jobs]
    #[arg(short = 'n', value_name = "N", conflicts_with = "audit")]
    count: Option<usize>,

    /// Only failures: failed, killed, timed out, not started, missed, lost
    #[arg(long, conflicts_with_all = ["jobs", "audit"])]
    failed: bool,

    /// Only due times since this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,

    /// Only due times until this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// One line of marks per job, the newest last, and how many runs succeeded
    #[arg(long, conflicts_with = "audit")]
    jobs: bool,

    /// Recompute the schedules and check that every due time has exactly one outcome
    #[arg(long)]
    audit: bool,

    #[command(flatten)]
    place: HistoryArgs,

    /// Show what each run has used, in place of its lag and remarks
    ///
    /// Processor time, the most memory one of its processes had, what it has read from disks and
    /// written to them, and how much it has printed.
    #[arg(long, conflicts_with_all = ["jobs", "audit"])]
    usage: bool,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table, fitted to the terminal
    Table,
    /// One JSON object per line, times in RFC 3339
    Json,
}

impl Args {
    /// What was meant: a file may stand in the place of the job.
    fn meant(&self, context: &Context) -> anyhow::Result<Args> {
        let option = self.place.jobfile.as_deref();
        let named = named::jobs(&self.of, option, context)?;
        let place = HistoryArgs { jobfile: named.jobfile, ..self.place.clone() };
        Ok(Args { of: named.jobs, place, ..self.clone() })
    }
}

/// What is asked about, read.
struct Asked<'a> {
    args: &'a Args,
    /// Of all, if there are none.
    jobs: Vec<String>,
    since: Option<Instant>,
    until: Option<Instant>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let args = &args.meant(context)?;
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
    let jobs = history.choose(&args.of)?;
    let zone = match &jobs[..] {
        [job] => history.zone_of(job),
        _ => history.zone.clone(),
    };
    let time = |text: &Option<String>, flag: &str| -> anyhow::Result<Option<Instant>> {
        let Some(text) = text else { return Ok(None) };
        let found = time::back(text, &zone, history.now)
            .with_context(|| format!("{flag} {}", clean(text)))?;
        Ok(Some(found.from))
    };
    let (since, until) = (time(&args.since, "--since")?, time(&args.until, "--until")?);
    if since.zip(until).is_some_and(|(since, until)| until < since) {
        bail!("--until is before --since");
    }
    let asked = Asked { args, jobs, since, until };
    match (args.audit, args.jobs) {
        (true, _) => check::run(&asked, history, out),
        (_, true) => glance::run(&asked, history, out),
        _ => records(&asked, history, out),
    }
}

impl Asked<'_> {
    fn query(&self, limit: usize) -> Query {
        Query {
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
    let mut records = history.records(&asked.jobs, &asked.query(ask_for))?;
    let has_more = limit > 0 && records.len() > limit;
    if has_more {
        records.truncate(limit);
    }
    records.reverse();
    let has_hosts = history.has_hosts(&records)?;
    let zones = Zones::new(history);
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
            let table = match asked.args.usage {
                true => usage(asked, &records, has_hosts, &zones),
                false => table(asked, &records, has_hosts, &zones),
            };
            table.write(out, terminal_width())?;
            out.flush()?;
            if has_more && asked.args.count.is_none() {
                anstream::eprintln!(
                    "schedrs: there are older records: use -n 100, or -n 0 for all"
                );
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn nothing(asked: &Asked<'_>) -> String {
    let what = if asked.args.failed { "no failures" } else { "no records" };
    let of = request::of(&asked.jobs);
    if asked.since.is_some() || asked.until.is_some() {
        format!("{what}{of} in that time")
    } else {
        format!("{what}{of}")
    }
}

fn table(asked: &Asked<'_>, records: &[RunRecord], has_hosts: bool, zones: &Zones) -> Table {
    let heading = vec!["DUE", "JOB", "OUTCOME", "LAG", "TOOK", "RUN", "HOST", "REMARKS"];
    let mut table =
        Table::new(heading, 7).with_numbers(3..6).with_times(&[0]).with_colour(2, paint);
    for record in records {
        let zone = zones.of(&record.job);
        let lag = record.started.filter(|_| record.by.is_none());
        let took = record.duration.filter(|_| record.started.is_some());
        table.row(vec![
            format::due(record.due, zone),
            match &asked.jobs[..] {
                [_] => String::new(),
                _ => clean(&record.job).into_owned(),
            },
            format::cell(record),
            lag.map(|at| words::elapsed(at.since(record.due))).unwrap_or_default(),
            took.map(words::elapsed).unwrap_or_default(),
            record.run.map(|run| run.to_string()).unwrap_or_default(),
            record.host.as_deref().filter(|_| has_hosts).unwrap_or_default().to_owned(),
            format::remark(record, zone),
        ]);
    }
    table
}

/// What the runs have used.
fn usage(asked: &Asked<'_>, records: &[RunRecord], has_hosts: bool, zones: &Zones) -> Table {
    let heading = vec![
        "DUE", "JOB", "OUTCOME", "TOOK", "CPU", "MEMORY", "READ", "WRITTEN", "PRINTED", "RUN",
        "HOST",
    ];
    let mut table =
        Table::new(heading, 1).with_numbers(3..10).with_times(&[0]).with_colour(2, paint);
    for record in records {
        let took = record.duration.filter(|_| record.started.is_some());
        let used = |of: fn(&Usage) -> Option<u64>| {
            record.usage.as_ref().and_then(of).map(words::bytes_in_short).unwrap_or_default()
        };
        table.row(vec![
            format::due(record.due, zones.of(&record.job)),
            match &asked.jobs[..] {
                [_] => String::new(),
                _ => clean(&record.job).into_owned(),
            },
            format::cell(record),
            took.map(words::elapsed).unwrap_or_default(),
            record.usage.map(|usage| words::elapsed(usage.cpu)).unwrap_or_default(),
            used(|usage| usage.max_rss),
            used(|usage| Some(usage.read)),
            used(|usage| Some(usage.written)),
            record.printed.map(words::bytes_in_short).unwrap_or_default(),
            record.run.map(|run| run.to_string()).unwrap_or_default(),
            record.host.as_deref().filter(|_| has_hosts).unwrap_or_default().to_owned(),
        ]);
    }
    table
}

/// The colour of an outcome is that of its mark.
fn paint(text: &str) -> &'static str {
    text.chars().next().map_or("", crate::core::outcome::colour)
}

#[cfg(test)]
mod tests;
