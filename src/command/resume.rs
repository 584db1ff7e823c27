//! `schedrs resume`: the end of a pause.

use serde_json::json;

use super::asking::Asking;
use crate::cli::{Context, ExitCode};
use crate::problem::clean;

/// Resume a job, or all of them
///
/// What was due meanwhile is not made up for. --all ends what `schedrs pause --all` began: jobs
/// that were paused on their own stay so.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The job
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    job: Option<String>,

    /// All jobs that were paused together
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    asking: Asking,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let request = match &args.job {
        Some(job) => json!({ "do": "resume", "job": job }),
        None => json!({ "do": "resume", "all": true }),
    };
    args.asking.ask_and_say(&request, |_| match &args.job {
        Some(job) => format!("{} is resumed", clean(job)),
        None => "all jobs are resumed, but for those that were paused on their own".to_owned(),
    })
}
