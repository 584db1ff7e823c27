//! `schedrs remove`: the end of a job that was added at run time.

use serde_json::json;

use super::each::Jobs;
use super::request::Connection;
use crate::cli::{Context, ExitCode};

/// Remove jobs that were added at run time
///
/// Active runs continue. To remove a job of the jobfile, edit the file.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    jobs: Jobs,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let request = |job: &str| json!({ "do": "remove", "job": job });
    let told = |job: &str, _: &_| format!("{job} is removed");
    args.jobs.each("remove", &args.connection, context, request, told)
}
