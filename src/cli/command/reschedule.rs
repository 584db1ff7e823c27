//! `schedrs reschedule`: another trigger for a job.

use anyhow::bail;
use serde_json::json;

use super::add::next;
use super::options::{Flags, RESCHEDULE, When};
use super::request::Connection;
use crate::cli::{Context, ExitCode};
use crate::problem::clean;

/// Change when a job of a running schedrs is due
///
/// The new trigger stands in the place of the jobfile's, and is kept over restarts and reloads
/// until --reset.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs reschedule report --cron '30 5 * * mon-fri'
  schedrs reschedule report --reset")]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,

    #[command(flatten)]
    when: When,

    /// Undo all that was modified and rescheduled
    #[arg(long)]
    reset: bool,

    #[command(flatten)]
    flags: Flags<RESCHEDULE>,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let job = clean(&args.job);
    if args.reset {
        if args.when.is_given() || !args.flags.is_empty() {
            bail!("--reset undoes all that was changed: give it alone");
        }
        let request = json!({ "do": "reset", "job": args.job });
        return args.connection.request_and_show(&request, |body| {
            format!("{job} is as its definition says{}", next(body, context))
        });
    }
    if !args.when.is_given() {
        bail!("nothing says when: add one of --in, --at, --every and --cron, or --reset");
    }
    let mut request = json!({ "do": "reschedule", "job": args.job });
    args.when.put(&mut request);
    args.flags.put(&mut request)?;
    args.connection
        .request_and_show(&request, |body| format!("{job} is rescheduled{}", next(body, context)))
}
