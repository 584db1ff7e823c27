//! `schedrs modify`: other options for a job.

use anyhow::bail;
use serde_json::json;

use super::add::next;
use super::options::{Flags, MODIFY};
use super::request::Connection;
use crate::cli::{Context, ExitCode};
use crate::problem::clean;

/// Change options of a job of a running schedrs
///
/// They stand over those of the jobfile, and are kept over restarts and reloads until --reset. Runs
/// that are active go on as they were. The trigger is changed by `schedrs reschedule`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs modify report --max-instances 6 --timeout 1h
  schedrs modify report --reset")]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,

    /// Undo all that was modified and rescheduled
    #[arg(long)]
    reset: bool,

    #[command(flatten)]
    flags: Flags<MODIFY>,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let job = clean(&args.job);
    if args.reset {
        if !args.flags.is_empty() {
            bail!("--reset undoes all that was changed: give it alone");
        }
        let request = json!({ "do": "reset", "job": args.job });
        return args.connection.request_and_show(&request, |body| {
            format!("{job} is as its definition says{}", next(body, context))
        });
    }
    if args.flags.is_empty() {
        bail!("nothing is to be modified: name an option, such as --timeout 5m, or --reset");
    }
    let mut request = json!({ "do": "modify", "job": args.job });
    args.flags.put(&mut request)?;
    args.connection
        .request_and_show(&request, |body| format!("{job} is modified{}", next(body, context)))
}
