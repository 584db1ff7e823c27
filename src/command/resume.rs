//! `schedrs resume`: the end of a pause.

use serde_json::json;

use super::asked;
use super::asking::{self, Asking, Times};
use crate::cli::{Context, ExitCode};
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
    asking: Asking,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let request = match &args.job {
        Some(job) => json!({ "do": "resume", "job": job }),
        None => json!({ "do": "resume", "all": true }),
    };
    let mut client = args.asking.connect()?;
    let mut pause_of = |job: &str| -> anyhow::Result<Option<PausedView>> {
        let shown = client.ask(&json!({ "do": "show", "job": job })).map_err(asking::told)?;
        Ok(asking::read::<JobDetails>(shown)?.job.paused)
    };
    let Some(job) = &args.job else {
        return args.asking.ask_and_say(&request, |_| {
            "all jobs are resumed, but for those that were paused on their own".to_owned()
        });
    };
    let before = pause_of(job)?;
    let answer = args.asking.ask(&request)?;
    let after = pause_of(job)?;
    let job = clean(job);
    args.asking.say(&answer, |_| match (before, after) {
        (None, _) => format!("{job} was not paused"),
        (Some(_), None) => format!("{job} is resumed"),
        (Some(_), Some(pause)) => {
            let times = Times::new(context);
            let how = asking::paused(&pause, &times, &asked::local_zone(context));
            format!("{job} is still paused{how}; `schedrs resume --all` ends that")
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
