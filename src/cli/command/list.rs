//! `schedrs list`: the jobs of a running schedrs, and how they stand.

use std::io::{self, BufWriter, IsTerminal, Write};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use super::request::{self, Connection, Output, Times};
use crate::cli::table::{Table, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::control::client::Client;
use crate::control::wire::view::JobLine;
use crate::problem::clean;

mod watch;

/// Show the jobs of a running schedrs, and how they stand
///
/// One row a job, in the order of the jobfile, then those that were added at run time. Times are on
/// the clocks of the job's zone, which is named where it is not this machine's.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
States: running, waiting (for a slot, for another run, or to be tried again), paused, scheduled, \
finished (its trigger names no due time any more).

Examples:
  schedrs list
  schedrs list 'backup-*' --state paused
  schedrs list --watch
  schedrs list --output json | jq -r 'select(.last.outcome == \"failed\") | .id'")]
pub(crate) struct Args {
    /// Only jobs whose id is like this: `*` and `?` stand for anything; may be given several times
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,

    /// Only jobs in this state; may be given several times
    #[arg(long = "state", value_name = "STATE", value_enum)]
    states: Vec<State>,

    /// At most so many
    #[arg(short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,

    /// Show it anew each second, until ^C
    #[arg(long, conflicts_with = "output")]
    watch: bool,

    #[command(flatten)]
    connection: Connection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum State {
    Running,
    Waiting,
    Paused,
    Scheduled,
    Finished,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Waiting => "waiting",
            State::Paused => "paused",
            State::Scheduled => "scheduled",
            State::Finished => "finished",
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let chosen = Chosen::new(args)?;
    if args.watch {
        if !io::stdout().is_terminal() {
            bail!("--watch needs a terminal, and standard output is not one");
        }
        return watch::run(&args.connection, &chosen, context);
    }
    let mut client = args.connection.connect()?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    let jobs = jobs(&mut client, &chosen)?;
    if jobs.is_empty() && !args.patterns.is_empty() && chosen.states.is_empty() {
        let named: Vec<String> =
            args.patterns.iter().map(|id| format!("`{}`", clean(id))).collect();
        anyhow::bail!("no job {}; `schedrs list` shows all", named.join(" or "));
    }
    match args.connection.output {
        Output::Json => {
            for (_, job) in &jobs {
                writeln!(out, "{}", crate::problem::json(job)?)?;
            }
        }
        Output::Text => {
            table(&jobs, context).write(&mut out, terminal_width())?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Which jobs are wanted.
#[derive(Debug)]
struct Chosen {
    patterns: Vec<glob::Pattern>,
    states: Vec<&'static str>,
    count: usize,
}

impl Chosen {
    fn new(args: &Args) -> anyhow::Result<Chosen> {
        let patterns = args.patterns.iter().map(|text| {
            glob::Pattern::new(text).with_context(|| format!("`{text}` is no pattern"))
        });
        Ok(Chosen {
            patterns: patterns.collect::<anyhow::Result<_>>()?,
            states: args.states.iter().map(|state| state.word()).collect(),
            count: args.count.map_or(usize::MAX, |count| count as usize),
        })
    }

    fn has(&self, job: &JobLine) -> bool {
        (self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(&job.id)))
            && (self.states.is_empty() || self.states.contains(&&*job.state))
    }

    /// Whether the first jobs of all are wanted.
    fn is_all(&self) -> bool {
        self.patterns.is_empty() && self.states.is_empty()
    }
}

/// The jobs that are wanted, as types and as they came.
fn jobs(client: &mut Client, chosen: &Chosen) -> anyhow::Result<Vec<(JobLine, Value)>> {
    let mut request = json!({ "do": "list" });
    if chosen.is_all() && chosen.count < usize::MAX {
        request["limit"] = chosen.count.into();
    }
    let mut found = Vec::new();
    loop {
        let mut body = client.ask(&request).map_err(request::told)?;
        let more = body.remove("more");
        if let Some(Value::Array(jobs)) = body.remove("jobs") {
            for value in jobs {
                let job: JobLine = match &value {
                    Value::Object(map) => request::read(map.clone())?,
                    _ => continue,
                };
                if chosen.has(&job) {
                    found.push((job, value));
                    if found.len() >= chosen.count {
                        return Ok(found);
                    }
                }
            }
        }
        match more {
            Some(more) => request["from"] = more,
            None => return Ok(found),
        }
    }
}

pub(super) fn table(jobs: &[(JobLine, Value)], context: &Context) -> Table {
    let times = Times::new(context);
    let local = super::argument::local_zone(context);
    let heading = vec!["JOB", "STATE", "LAST", "NEXT", "ZONE", "SCHEDULE", "REMARKS"];
    let mut table = Table::new(heading, 5);
    let mut zones = std::collections::HashMap::new();
    for (job, _) in jobs {
        let zone = zones.entry(job.timezone.as_str()).or_insert_with(|| times.zone(&job.timezone));
        let state = match job.running {
            2.. => format!("running ({})", job.running),
            _ => clean(&job.state).into_owned(),
        };
        let last = job.last.as_ref().map(|last| {
            let at = last.started.as_ref().unwrap_or(&last.due);
            format!("{} {}", last.mark(), times.soon(at, zone))
        });
        let next = job.next.as_ref().map(|next| times.soon(next, zone));
        let zone_name = if zone.name() == local.name() {
            String::new()
        } else {
            clean(&job.timezone).into_owned()
        };
        table.row(vec![
            clean(&job.id).into_owned(),
            state,
            last.unwrap_or_else(|| "-".to_owned()),
            next.unwrap_or_else(|| "-".to_owned()),
            zone_name,
            clean(&job.schedule).into_owned(),
            remarks(job, &times, zone),
        ]);
    }
    table
}

/// What else there is to say of a job.
fn remarks(job: &JobLine, times: &Times<'_>, zone: &crate::core::zone::Zone) -> String {
    let mut remarks = Vec::new();
    if let Some(paused) = &job.paused {
        remarks.push(format!("paused{}", request::paused(paused, times, zone)));
    }
    if let Some(last) = job.last.as_ref().filter(|last| last.outcome != "succeeded") {
        remarks.push(clean(&last.phrase()).into_owned());
    }
    if job.waiting > 0 && job.running > 0 {
        remarks.push(format!("{} waiting", job.waiting));
    }
    if job.added {
        remarks.push("added".to_owned());
    }
    if job.overridden {
        remarks.push("changed".to_owned());
    }
    remarks.join("; ")
}
