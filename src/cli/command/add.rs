//! `schedrs add`: a job that is in no file.

use serde_json::{Value, json};

use super::options::{ADD, Flags, NO_WHEN, When};
use super::request::{self, Connection, Times};
use crate::cli::{Context, ExitCode};
use crate::control::wire::view::JobLine;
use crate::jobfile::keys::Key;
use crate::problem::clean;

/// Add a job to the running scheduler
///
/// The job is kept in the store and survives restarts and reloads. The jobfile's `[defaults]` apply
/// to it. A one-off job disappears once it has run.
///
/// A command given as one word is passed to the shell; several words are run as they are. Without
/// --cwd or --user, the job runs in your current directory.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs add --id cancel-42 --in 30m -- ./cancel_order 42
  schedrs add --id report --cron '0 6 * * mon' --timeout 20m --retries 2 -- ./report.sh --weekly
  schedrs add --id mail-report --after report -- ./mail-report
  schedrs add --id beat --every 30s --replace -- 'curl -fsS http://127.0.0.1/beat > /dev/null'")]
pub(crate) struct Args {
    /// The id of the new job
    #[arg(long, value_name = "ID")]
    id: String,

    #[command(flatten)]
    when: When,

    /// Replace an added job with the same id
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    flags: Flags<ADD>,

    #[command(flatten)]
    connection: Connection,

    /// The command to run, after `--`
    #[arg(value_name = "COMMAND", required = true, last = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if !args.when.is_given() {
        anyhow::bail!(NO_WHEN);
    }
    let job = Job { id: &args.id, command: &args.command, flags: &args.flags };
    let mut request = job.request()?;
    request["replace"] = args.replace.into();
    args.when.put(&mut request, context)?;
    args.connection.request_and_show(&request, |body| {
        format!("{} is added{}", clean(&args.id), next(body, context))
    })
}

/// A job that is to be added, without when it is due.
pub(super) struct Job<'a> {
    pub(super) id: &'a str,
    pub(super) command: &'a [String],
    pub(super) flags: &'a Flags<ADD>,
}

impl Job<'_> {
    pub(super) fn request(&self) -> anyhow::Result<Value> {
        let command: Value = match self.command {
            [line] => line.as_str().into(),
            words => words.into(),
        };
        let mut request = json!({ "do": "add", "job": self.id, "command": command });
        self.flags.put(&mut request)?;
        // As with at(1): a relative path means what it means here. Another user may have no way here.
        if !self.flags.has(Key::Cwd)
            && !self.flags.has(Key::User)
            && let Ok(here) = std::env::current_dir()
            && let Some(here) = here.to_str()
        {
            request["cwd"] = here.into();
        }
        Ok(request)
    }
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
            let distance = times.distance(next);
            // It was to come when another host said so.
            let distance = if distance.ends_with("ago") { "now" } else { &*distance };
            format!(": {}, next {} ({distance})", clean(&job.schedule), times.moment(next, &zone))
        }
        (None, None) if let Some(after) = &job.next_after => {
            format!(": {}, next {}", clean(&job.schedule), clean(after))
        }
        (None, Some(_)) => format!(": {}, paused", clean(&job.schedule)),
        (None, None) => format!(": {}, never due", clean(&job.schedule)),
    }
}
