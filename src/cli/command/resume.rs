//! `schedrs resume`: the end of a pause.

use serde_json::json;

use super::argument;
use super::request::{self, Connection, Times};
use crate::cli::{Context, ExitCode};
use crate::control::client::Client;
use crate::control::wire::view::{JobDetails, PausedView};
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
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(job) = &args.job else {
        return args.connection.request_and_show(&json!({ "do": "resume", "all": true }), |_| {
            "all jobs are resumed, but for those that were paused on their own".to_owned()
        });
    };
    let mut client = args.connection.connect()?;
    let before = pause_of(&mut client, job)?;
    let request = json!({ "do": "resume", "job": job });
    let answer = client.ask(&request).map_err(request::told)?;
    let after = pause_of(&mut client, job)?;
    let job = clean(job);
    args.connection.show(&answer, |_| match (before, after) {
        (None, _) => format!("{job} was not paused"),
        (Some(_), None) => format!("{job} is resumed"),
        (Some(_), Some(pause)) => {
            let times = Times::new(context);
            let how = request::paused(&pause, &times, &argument::local_zone(context));
            format!("{job} is still paused{how}; `schedrs resume --all` ends that")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Whether and why a job is paused.
fn pause_of(client: &mut Client, job: &str) -> anyhow::Result<Option<PausedView>> {
    let shown = client.ask(&json!({ "do": "show", "job": job })).map_err(request::told)?;
    Ok(request::read::<JobDetails>(shown)?.job.paused)
}
