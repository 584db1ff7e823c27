//! `schedrs resume`: the end of a pause.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::argument;
use super::each::{self, Chosen, JobsOrAll};
use super::request::{self, Connection, Times};
use crate::cli::{Context, ExitCode};
use crate::control::wire::view::PausedView;

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
        let asked = client.ask(&json!({ "do": "resume", "job": job }));
        match asked.map_err(request::told).and_then(|answer| Ok((read(&answer)?, answer))) {
            Ok((resumed, answer)) => each::tell(job, answer, connection, |job, _| {
                let still = resumed.paused.as_ref().map(|pause| {
                    let times = Times::new(context);
                    request::paused(pause, &times, &argument::local_zone(context))
                });
                told(job, resumed.was_paused, still, &connection.typed())
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

/// What whoever has done it says: another host may not have told this one yet.
#[derive(Deserialize)]
struct Resumed {
    was_paused: bool,
    paused: Option<PausedView>,
}

fn read(answer: &Map<String, Value>) -> anyhow::Result<Resumed> {
    request::read(answer.clone())
}
