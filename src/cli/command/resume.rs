//! `schedrs resume`: the end of a pause.

use serde_json::{Map, Value, json};

use super::argument;
use super::each::{self, Chosen, JobsOrAll};
use super::request::{self, Connection, Times};
use crate::cli::{Context, ExitCode};
use crate::control::client::Client;
use crate::control::wire::view::{JobDetails, PausedView};

/// Resume jobs, or all jobs
///
/// Due times skipped during the pause are not made up for. --all undoes `schedrs pause --all`; jobs
/// paused one by one stay paused.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs resume backup
  schedrs resume 'backup-*' tag:eu")]
pub(crate) struct Args {
    #[command(flatten)]
    jobs: JobsOrAll,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let connection = &args.connection;
    if args.jobs.all {
        return connection.request_and_show(&json!({ "do": "resume", "all": true }), |_| {
            "all jobs are resumed, except those paused one by one".to_owned()
        });
    }
    let Some(Chosen { mut client, jobs, .. }) =
        args.jobs.named().choose("resume", connection, context)?
    else {
        return Ok(ExitCode::FAILURE);
    };
    let mut code = ExitCode::SUCCESS;
    for job in &jobs {
        match resume(job, &mut client) {
            Ok((answer, before, after)) => each::tell(job, answer, connection, |job, _| {
                let after = after.as_ref().map(|pause| {
                    let times = Times::new(context);
                    request::paused(pause, &times, &argument::local_zone(context))
                });
                told(job, before, after, &connection.typed())
            })?,
            Err(error) if jobs.len() == 1 => return Err(error),
            Err(error) => code = each::failed(job, &error),
        }
    }
    Ok(code)
}

/// What has become of a job: whether it was paused, and how it still is.
fn told(job: &str, was: bool, still: Option<String>, typed: &str) -> String {
    match (was, still) {
        (false, _) => format!("{job} was not paused"),
        (true, None) => format!("{job} is resumed"),
        (true, Some(how)) => {
            format!("{job} is still paused{how}; `schedrs resume --all{typed}` ends that")
        }
    }
}

type Answer = Map<String, Value>;

/// Resumes a job: the answer, whether it was paused, and the pause that it is still in.
fn resume(job: &str, client: &mut Client) -> anyhow::Result<(Answer, bool, Option<PausedView>)> {
    let before = pause_of(client, job)?.is_some();
    let answer = client.ask(&json!({ "do": "resume", "job": job })).map_err(request::told)?;
    Ok((answer, before, pause_of(client, job)?))
}

/// Whether and why a job is paused.
fn pause_of(client: &mut Client, job: &str) -> anyhow::Result<Option<PausedView>> {
    let shown = client.ask(&json!({ "do": "show", "job": job })).map_err(request::told)?;
    Ok(request::read::<JobDetails>(shown)?.job.paused)
}
