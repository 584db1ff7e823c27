//! `schedrs modify`: other options for a job.

use anyhow::bail;
use serde_json::json;

use super::add::next;
use super::each::Jobs;
use super::options::{Flags, MODIFY};
use super::request::Connection;
use crate::cli::{Context, ExitCode};

/// Change options of jobs
///
/// The changes override the jobfile and survive restarts and reloads, until --reset. Active runs
/// keep their old options. To change when the job is due, use `schedrs reschedule`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs modify report --max-instances 6 --timeout 1h
  schedrs modify 'report-*' tag:eu --reset")]
pub(crate) struct Args {
    #[command(flatten)]
    jobs: Jobs,

    /// Undo all changes by modify and reschedule
    #[arg(long)]
    reset: bool,

    #[command(flatten)]
    flags: Flags<MODIFY>,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if args.reset {
        if !args.flags.is_empty() {
            bail!("--reset undoes all changes: use it alone");
        }
        let request = |job: &str| json!({ "do": "reset", "job": job });
        return args.jobs.each("reset", &args.connection, context, request, |job, body| {
            format!("{job} is back to its definition{}", next(body, context))
        });
    }
    if args.flags.is_empty() {
        bail!("nothing to modify: give an option such as --timeout 5m, or --reset");
    }
    let mut request = json!({ "do": "modify" });
    args.flags.put(&mut request)?;
    let request = |job: &str| {
        let mut request = request.clone();
        request["job"] = job.into();
        request
    };
    args.jobs.each("modify", &args.connection, context, request, |job, body| {
        format!("{job} is modified{}", next(body, context))
    })
}
