//! `schedrs reschedule`: another trigger for a job.

use anyhow::bail;
use serde_json::json;

use super::add::next;
use super::each::Jobs;
use super::options::{Flags, NO_WHEN, RESCHEDULE, When};
use super::request::Connection;
use crate::cli::{Context, ExitCode};

/// Change when jobs are due
///
/// The new trigger overrides the jobfile's and survives restarts and reloads, until --reset.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs reschedule report --cron '30 5 * * mon-fri'
  schedrs reschedule report --every '{ months = 1, day = \"last\", hour = 18 }'
  schedrs reschedule report --reset")]
pub(crate) struct Args {
    #[command(flatten)]
    jobs: Jobs,

    #[command(flatten)]
    when: When,

    /// Undo all changes by modify and reschedule
    #[arg(long)]
    reset: bool,

    #[command(flatten)]
    flags: Flags<RESCHEDULE>,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if args.reset {
        if args.when.is_given() || !args.flags.is_empty() {
            bail!("--reset undoes all changes: use it alone");
        }
        let request = |job: &str| json!({ "do": "reset", "job": job });
        return args.jobs.each("reset", &args.connection, context, request, |job, body| {
            format!("{job} is back to its definition{}", next(body, context))
        });
    }
    if !args.when.is_given() {
        bail!("{NO_WHEN}, or --reset");
    }
    let mut request = json!({ "do": "reschedule" });
    args.when.put(&mut request, context)?;
    args.flags.put(&mut request)?;
    let request = |job: &str| {
        let mut request = request.clone();
        request["job"] = job.into();
        request
    };
    args.jobs.each("reschedule", &args.connection, context, request, |job, body| {
        format!("{job} is rescheduled{}", next(body, context))
    })
}
