//! `schedrs start`: a run now, whatever the trigger says.

use std::io::Write;

use serde_json::{Value, json};

use super::request::{self, Connection, Output};
use crate::cli::{Context, ExitCode};
use crate::core::outcome::Outcome;
use crate::history::object::RunObject;
use crate::problem::clean;

/// Start a job now
///
/// It is a run like any other: it waits for a slot, has its timeout and its retries, and is in the
/// history. Its trigger goes on as if nothing had happened.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes: 0 it was started, and with --wait it has succeeded; 1 it was not; 2 the command line is
wrong. With --wait that of the job: its own; 128 + N if signal N ended it, 124 if it timed out, 126
if it could not be started, 127 if its program was not found.

Interrupting --wait only ends the waiting, `schedrs stop` ends the run.")]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,

    /// Wait until it has ended
    #[arg(long)]
    wait: bool,

    /// Even if `max_instances` runs are active, or the job is paused
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let mut client = args.connection.connect()?;
    let request = json!({ "do": "start", "job": args.job, "force": args.force, "wait": args.wait });
    let begun = client.ask(&request).map_err(request::told)?;
    let run = request::number(&begun, "run");
    let waits = begun.get("waits") == Some(&Value::Bool(true));
    let job = clean(&args.job);
    if !args.wait {
        args.connection.show(&begun, |_| {
            if waits {
                format!("run {run} of {job} waits for a slot")
            } else {
                format!("run {run} of {job} has started")
            }
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.connection.output == Output::Text {
        let what = if waits { "waits for a slot" } else { "has started" };
        let mut err = anstream::stderr().lock();
        writeln!(err, "run {run} of {job} {what}; waiting for its end")?;
    }
    // It takes as long as it takes.
    client.set_patience(None).map_err(request::told)?;
    let ended = client.receive().map_err(request::told)?;
    let view: RunObject = request::read(ended.clone())?;
    args.connection.show(&ended, |_| {
        format!("{} run {run} of {job}: {}", view.mark(), clean(&view.phrase()))
    })?;
    Ok(ExitCode::from(code(&view)))
}

/// Whether that is why nothing was started.
fn is_no_program(reason: &str) -> bool {
    reason.starts_with("program ")
        && (reason.ends_with("not found on PATH") || reason.ends_with("does not exist"))
}

/// The exit code of a run, as a shell would give it.
fn code(run: &RunObject) -> u8 {
    match run.outcome() {
        Some(Outcome::Succeeded) => 0,
        Some(Outcome::Failed(code)) => u8::try_from(code).unwrap_or(1),
        Some(Outcome::Killed(signal)) => u8::try_from(128 + signal).unwrap_or(1),
        Some(Outcome::TimedOut) => 124,
        Some(Outcome::NotStarted(reason)) if is_no_program(&reason) => 127,
        Some(Outcome::NotStarted(_)) => 126,
        Some(Outcome::Skipped(_) | Outcome::Missed(_) | Outcome::Coalesced | Outcome::Lost(_))
        | None => 1,
    }
}
