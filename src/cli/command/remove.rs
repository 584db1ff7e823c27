//! `schedrs remove`: the end of a job that was added at run time.

use serde_json::json;

use super::request::Connection;
use crate::cli::{Context, ExitCode};
use crate::problem::clean;

/// Remove a job that was added at run time
///
/// What runs goes on to its end. A job of the jobfile is removed by editing the file.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB")]
    job: String,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let request = json!({ "do": "remove", "job": args.job });
    args.connection.request_and_show(&request, |_| format!("{} is removed", clean(&args.job)))
}
