//! `schedrs stop`: ends runs.

use serde_json::{Map, Value, json};

use super::each::{self, Chosen, Jobs};
use super::request::{self, Connection};
use crate::cli::{Context, ExitCode};
use crate::control::client::{Client, Error};
use crate::core::event::Code;

/// Stop the active runs of jobs, or one run
///
/// Sends SIGTERM to each run's whole process tree, and SIGKILL after `kill_after`. Waiting runs are
/// cancelled. The job stays scheduled; to stop that, see `schedrs pause`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs stop backup
  schedrs stop 'backup-*' tag:eu
  schedrs stop --run 14  run 14; '#14' and plain 14 work too, 14 unless a job has that id")]
pub(crate) struct Args {
    /// The jobs: ids, patterns such as 'backup-*', or tags such as tag:eu; or a run's number
    #[arg(value_name = "JOB|RUN", required_unless_present = "runs")]
    what: Vec<String>,

    /// The run with this number; repeat for more
    #[arg(long = "run", value_name = "RUN", value_parser = run_number)]
    runs: Vec<u64>,

    /// Do not ask, even for more than ten jobs
    #[arg(short, long)]
    yes: bool,

    #[command(flatten)]
    connection: Connection,
}

/// A run's number as people write it: `14` or `#14`.
fn run_number(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix('#').unwrap_or(text).parse();
    number.map_err(|_| "expected the number of a run, such as 14".to_owned())
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let is_run = |word: &String| word.strip_prefix('#').is_some_and(|it| it.parse::<u64>().is_ok());
    let (numbers, words): (Vec<String>, Vec<String>) = args.what.iter().cloned().partition(is_run);
    let jobs = Jobs::of(words, args.yes);
    let chosen = if jobs.jobs.is_empty() {
        let mut client = args.connection.connect()?;
        request::be_patient(&mut client)?;
        Some(Chosen { client, jobs: Vec::new() })
    } else {
        jobs.choose("stop", &args.connection, context)?
    };
    let Some(Chosen { mut client, jobs }) = chosen else { return Ok(ExitCode::FAILURE) };
    let numbers = numbers.iter().filter_map(|text| run_number(text).ok());
    let runs =
        args.runs.iter().copied().chain(numbers).map(|run| (format!("run {run}"), Some(run)));
    let all: Vec<(String, Option<u64>)> =
        runs.chain(jobs.into_iter().map(|job| (job, None))).collect();
    let mut code = ExitCode::SUCCESS;
    for (what, run) in &all {
        let stopped = match run {
            Some(run) => client.ask(&json!({ "do": "stop", "run": run })),
            None => stop(what, &mut client),
        };
        match stopped.map_err(request::told) {
            Ok(body) => {
                args.connection.show_with_warnings(&body, |body| words_of(body, what, all.len()))?
            }
            Err(error) if all.len() == 1 => return Err(error),
            Err(error) => code = each::failed(what, &error),
        }
    }
    Ok(code)
}

/// Stops the runs of a job, or a run that is called by its bare number.
fn stop(what: &str, client: &mut Client) -> Result<Map<String, Value>, Error> {
    match (client.ask(&json!({ "do": "stop", "job": what })), what.parse::<u64>()) {
        (Err(Error::Refused(fault)), Ok(run)) if fault.code == Code::NoSuchJob => {
            client.ask(&json!({ "do": "stop", "run": run }))
        }
        (answer, _) => answer,
    }
}

/// What was told to end; of one of several with what it was asked for by.
fn words_of(body: &Map<String, Value>, what: &str, of: usize) -> String {
    let told = words(body, what);
    match of {
        1 => told,
        _ if told.starts_with("run") && !what.starts_with("run ") => {
            format!("{}: {told}", crate::problem::clean(what))
        }
        _ => told,
    }
}

fn words(body: &Map<String, Value>, what: &str) -> String {
    let runs: Vec<String> = match body.get("stopped") {
        Some(Value::Array(runs)) => runs.iter().map(Value::to_string).collect(),
        _ => Vec::new(),
    };
    match &runs[..] {
        [] => format!("{} has no active runs", crate::problem::clean(what)),
        [run] => format!("run {run} is stopping"),
        runs => format!("runs {} are stopping", crate::core::words::list(runs)),
    }
}
