//! `schedrs add`: a job that is in no file.

use serde_json::{Value, json};

use super::options::{ADD, Flags, When};
use super::request::{self, Connection, Times};
use crate::cli::{Context, ExitCode};
use crate::control::wire::view::JobLine;
use crate::jobfile::keys::Key;
use crate::problem::clean;

/// Add a job to a running schedrs
///
/// It is kept in the store: a restart and a reload leave it as it is. `[defaults]` of the jobfile
/// hold for it as for any job. A job that is due once is gone when it has run.
///
/// A command of one word is a line for the shell, one of several is run as it stands. Unless --cwd
/// or --user is given it runs in the directory that this is typed in.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs add --id cancel-42 --in 30m -- ./cancel_order 42
  schedrs add --id report --cron '0 6 * * mon' --timeout 20m --retries 2 -- ./report.sh --weekly
  schedrs add --id beat --every 30s --replace -- 'curl -fsS http://127.0.0.1/beat > /dev/null'")]
pub(crate) struct Args {
    /// Its id, which must be new
    #[arg(long, value_name = "ID")]
    id: String,

    #[command(flatten)]
    when: When,

    /// If there is an added job of this id, put this one in its place
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    flags: Flags<ADD>,

    #[command(flatten)]
    connection: Connection,

    /// What to run, after `--`
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if !args.when.is_given() {
        anyhow::bail!("nothing says when: add one of --in, --at, --every and --cron");
    }
    let command: Value = match &args.command[..] {
        [line] => line.as_str().into(),
        words => words.into(),
    };
    let mut request =
        json!({ "do": "add", "job": args.id, "command": command, "replace": args.replace });
    args.when.put(&mut request);
    args.flags.put(&mut request)?;
    // As with at(1): a relative path means what it means here. Another user may have no way here.
    if !args.flags.has(Key::Cwd)
        && !args.flags.has(Key::User)
        && let Ok(here) = std::env::current_dir()
        && let Some(here) = here.to_str()
    {
        request["cwd"] = here.into();
    }
    args.connection.request_and_show(&request, |body| {
        format!("{} is added{}", clean(&args.id), next(body, context))
    })
}

/// When the job of an answer is due, after what has become of it.
pub(super) fn next(body: &serde_json::Map<String, Value>, context: &Context) -> String {
    let job = match body.get("job") {
        Some(Value::Object(job)) => request::read::<JobLine>(job.clone()).ok(),
        _ => None,
    };
    let Some(job) = job else { return String::new() };
    let times = Times::new(context);
    match (&job.next, &job.paused) {
        (Some(next), _) => {
            let zone = times.zone(&job.timezone);
            format!(
                ": {}, next {} ({})",
                clean(&job.schedule),
                times.soon(next, &zone),
                times.distance(next)
            )
        }
        (None, Some(_)) => format!(": {}, paused", clean(&job.schedule)),
        (None, None) => format!(": {}, never due", clean(&job.schedule)),
    }
}
