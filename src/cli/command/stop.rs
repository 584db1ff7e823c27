//! `schedrs stop`: ends runs.

use serde_json::{Map, Value, json};

use super::request::{self, Connection};
use crate::cli::{Context, ExitCode};
use crate::control::client::Error;
use crate::core::event::Code;

/// End the active runs of a job, or one run
///
/// Each is asked to end (SIGTERM to its whole tree), and killed after `kill_after`. Runs that wait
/// do not begin. The job stays scheduled: see `schedrs pause`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs stop backup
  schedrs stop '#14'     the run of that number; 14 does as well if no job is called so")]
pub(crate) struct Args {
    /// The job, or the number of a run
    #[arg(value_name = "JOB|RUN")]
    what: String,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = args.connection.connect()?;
    let job = json!({ "do": "stop", "job": args.what });
    let run = |digits: &str| {
        let run = digits.parse::<u64>().ok()?;
        Some(json!({ "do": "stop", "run": run }))
    };
    let stopped = match args.what.strip_prefix('#').and_then(run) {
        Some(run) => client.ask(&run),
        None => match (client.ask(&job), run(&args.what)) {
            (Err(Error::Refused(fault)), Some(run)) if fault.code == Code::NoSuchJob => {
                client.ask(&run)
            }
            (answer, _) => answer,
        },
    };
    let body = stopped.map_err(request::told)?;
    args.connection.show(&body, |body| words(body, &args.what))?;
    Ok(ExitCode::SUCCESS)
}

fn words(body: &Map<String, Value>, what: &str) -> String {
    let runs: Vec<String> = match body.get("stopped") {
        Some(Value::Array(runs)) => runs.iter().map(Value::to_string).collect(),
        _ => Vec::new(),
    };
    match &runs[..] {
        [] => format!("{} has no active run", crate::problem::clean(what)),
        [run] => format!("run {run} was told to end"),
        runs => format!("runs {} were told to end", crate::core::words::list(runs)),
    }
}
