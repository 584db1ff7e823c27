//! `schedrs next`: when jobs are due, soonest first.

use std::cmp::Ordering;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde::Serialize;

use super::{argument, expression};
use crate::cli::table::{Table, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::preview::{Row, Window, preview};
use crate::core::words;
use crate::core::zone::Zone;
use crate::jobfile::{self, locate};
use crate::sys::clock;

/// Show when jobs are due
///
/// Without -n, one row a job with its next due time, soonest first; with -n N, the next N due
/// times of each job, merged into one timeline. It previews as if the scheduler started at --from:
/// intervals without start_date count from there.
///
/// Times are an RFC 3339 time, a date with or without a time (on the clocks of the zone shown),
/// `now`, or `+2h30m` from now.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The jobfile [default: $SCHEDRS_JOBFILE, ./jobs.toml, $XDG_CONFIG_HOME/schedrs/jobs.toml,
    /// /etc/schedrs/jobs.toml]
    #[arg(value_name = "FILE", conflicts_with = "cron")]
    file: Option<PathBuf>,

    /// Only this job; may be given several times
    #[arg(long = "job", value_name = "ID")]
    jobs: Vec<String>,

    /// How many due times of each job to show
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,

    /// The first time to show; one that is due then is listed
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,

    /// The last time to show
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// Show times in UTC
    #[arg(long, conflicts_with = "timezone")]
    utc: bool,

    /// Show times in this zone; with --cron, the zone of the schedule
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,

    /// Preview this cron expression instead of a jobfile
    #[arg(long, value_name = "EXPR")]
    cron: Option<String>,

    /// How to write it
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table for people, fitted to the terminal
    Table,
    /// One JSON object a line: job, due (RFC 3339, or null), timezone, schedule, remark
    Json,
    /// Comma-separated values with a heading (RFC 4180)
    Csv,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let now = clock::wall();
    let named = args.timezone.as_deref().map(|name| argument::zone(name, context)).transpose()?;
    let (jobs, shown_zone, home): (Vec<Arc<Job>>, Option<Zone>, Zone) = match &args.cron {
        Some(expr) => {
            let zone = match named {
                Some(zone) => zone,
                None => argument::local_zone_checked(context)?,
            };
            let Some(job) = expression::job(expr, &zone, "--cron")? else {
                return Ok(ExitCode::FAILURE);
            };
            (vec![Arc::new(job)], None, zone)
        }
        None => {
            let path = locate::jobfile(args.file.as_deref())?;
            let loaded = jobfile::load_path(&path, &context.zones, now);
            let Some(set) = loaded.set else {
                loaded.report()?;
                return Ok(ExitCode::FAILURE);
            };
            let home = named.clone().unwrap_or(set.settings.zone);
            (set.jobs, named, home)
        }
    };
    let shown_zone = if args.utc { Some(Zone::utc()) } else { shown_zone };
    let time_zone = shown_zone.as_ref().unwrap_or(&home);
    let time = |text: &Option<String>, flag: &str| -> anyhow::Result<Option<Instant>> {
        let Some(text) = text else { return Ok(None) };
        argument::instant(text, time_zone, now, now)
            .map(Some)
            .with_context(|| format!("{flag} {text}"))
    };
    // What is typed is exact; "now" is not worth a fraction of a second in each row.
    let from = time(&args.from, "--from")?.unwrap_or(now.truncated());
    let until = time(&args.until, "--until")?;
    if until.is_some_and(|until| until < from) {
        bail!("--until is before --from");
    }
    let window = Window { from, until, count: args.count.unwrap_or(1) as usize };
    let jobs = select(&jobs, &args.jobs)?;
    let rows = preview(&jobs, window);
    let mut out = BufWriter::new(anstream::stdout().lock());
    let shown = Shown { jobs: &jobs, zone: shown_zone.as_ref(), now: now.truncated() };
    match args.output {
        Output::Table => {
            shown.table(rows, &mut out)?;
            out.flush()?;
            shown.origin()?;
        }
        Output::Json => shown.json(rows, &mut out)?,
        Output::Csv => shown.csv(rows, &mut out)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The jobs that were asked for, in the order of the file.
fn select<'a>(jobs: &'a [Arc<Job>], wanted: &[String]) -> anyhow::Result<Vec<&'a Job>> {
    for id in wanted {
        argument::job(jobs, id)?;
    }
    let chosen = |job: &&Job| wanted.is_empty() || wanted.iter().any(|id| **id == *job.id);
    Ok(jobs.iter().map(|job| &**job).filter(chosen).collect())
}

/// A line of JSON.
#[derive(Serialize)]
struct Object<'a> {
    job: &'a str,
    due: Option<String>,
    timezone: &'a str,
    schedule: String,
    remark: Option<String>,
}

/// What the rows are about.
struct Shown<'a> {
    jobs: &'a [&'a Job],
    /// The zone of all times; `None`: each job's own.
    zone: Option<&'a Zone>,
    /// Now, in whole seconds, like nearly every due time.
    now: Instant,
}

impl<'a> Shown<'a> {
    fn zone_of(&self, job: &'a Job) -> &'a Zone {
        self.zone.unwrap_or(&job.zone)
    }

    fn table(&self, rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut table = Table::new(vec!["JOB", "DUE", "ZONE", "IN", "SCHEDULE", "REMARKS"], 4);
        for row in rows {
            let job = self.jobs[row.job];
            let zone = self.zone_of(job);
            let (due, name, distance) = match row.due {
                Some(due) => {
                    (words::table_time(due, zone), zone.name().to_owned(), self.distance(due))
                }
                None => ("-".to_owned(), String::new(), String::new()),
            };
            table.row(vec![
                job.id.to_string(),
                due,
                name,
                distance,
                words::trigger(&job.trigger, &job.zone),
                row.remark.unwrap_or_default(),
            ]);
        }
        table.write(out, terminal_width())?;
        Ok(())
    }

    /// On stderr, where the machine's zone was found, if any of the jobs goes by it.
    fn origin(&self) -> std::io::Result<()> {
        let zones = self.jobs.iter().map(|job| self.zone_of(job));
        match zones.filter_map(argument::of_machine).next() {
            Some(zone) => writeln!(anstream::stderr(), "zone: {zone}"),
            None => Ok(()),
        }
    }

    /// How far a due time is from now.
    fn distance(&self, due: Instant) -> String {
        match due.cmp(&self.now) {
            Ordering::Less => format!("{} ago", words::span(self.now.since(due))),
            Ordering::Equal => "now".to_owned(),
            Ordering::Greater => words::span(due.since(self.now)),
        }
    }

    fn json(&self, rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> anyhow::Result<()> {
        for row in rows {
            let job = self.jobs[row.job];
            let zone = self.zone_of(job);
            let object = Object {
                job: &job.id,
                due: row.due.map(|due| words::rfc3339(due, zone)),
                timezone: zone.name(),
                schedule: words::trigger(&job.trigger, &job.zone),
                remark: row.remark,
            };
            writeln!(out, "{}", crate::problem::json(&object)?)?;
        }
        Ok(())
    }

    fn csv(&self, rows: impl Iterator<Item = Row>, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(out, "job,due,timezone,schedule,remark")?;
        for row in rows {
            let job = self.jobs[row.job];
            let zone = self.zone_of(job);
            let due = row.due.map(|due| words::rfc3339(due, zone)).unwrap_or_default();
            let schedule = words::trigger(&job.trigger, &job.zone);
            let remark = row.remark.unwrap_or_default();
            let fields = [&*job.id, &due, zone.name(), &schedule, &remark].map(csv_field);
            writeln!(out, "{}", fields.join(","))?;
        }
        Ok(())
    }
}

/// A CSV field, in quotes where it has to be.
fn csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
