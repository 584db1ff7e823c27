//! `schedrs start`: a run now, whatever the trigger says.

use std::io::Write;

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::each::{self, Chosen, Jobs};
use super::request::{self, Connection, Output};
use crate::cli::{Context, ExitCode};
use crate::control::client::{Client, Error};
use crate::core::outcome::Outcome;
use crate::history::object::RunObject;
use crate::problem::clean;

/// Start jobs now
///
/// Each run is like any other: it waits for a slot, has the job's timeout and retries, and appears
/// in the history. The job's schedule does not change.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes: 0 started, and with --wait succeeded; 1 not started; 2 wrong usage. With --wait, the \
job's own exit code; 128 + N if signal N killed it, 124 if it timed out, 126 if it could not be \
started, 127 if its program was not found. For several jobs, the first one that is not 0.

Interrupting --wait does not stop the run; `schedrs stop JOB` does.")]
pub(crate) struct Args {
    #[command(flatten)]
    jobs: Jobs,

    /// Wait for the run to end
    #[arg(long)]
    wait: bool,

    /// Start even if `max_instances` runs are active or the job is paused
    #[arg(long)]
    force: bool,

    /// Start it on this host of the fleet [default: the job's home]
    #[arg(long, value_name = "HOST")]
    on: Option<String>,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let Some(Chosen { client, jobs }) = args.jobs.choose("start", &args.connection, context)?
    else {
        return Ok(ExitCode::FAILURE);
    };
    if !args.wait {
        return begin(args, client, &jobs);
    }
    let count = jobs.len();
    let (runs, codes) = (vec![None; count], vec![0; count]);
    let mut waiting = Waiting { args, client, jobs, runs, codes, left: 0 };
    for nth in 0..count {
        waiting.start(nth)?;
    }
    // It takes as long as it takes.
    waiting.client.set_patience(None).map_err(request::told)?;
    while waiting.left > 0 {
        waiting.hear()?;
    }
    let first = waiting.codes.into_iter().find(|code| *code != 0);
    Ok(first.unwrap_or_default().into())
}

/// Jobs whose runs are waited for, all on one connection: the server has not one for each job. The
/// place of a job is the `id` of its request.
struct Waiting<'a> {
    args: &'a Args,
    client: Client,
    jobs: Vec<String>,
    /// The run of each that was begun, and ` on` its host.
    runs: Vec<Option<(u64, String)>>,
    /// The exit code of each.
    codes: Vec<u8>,
    /// How many are not over.
    left: usize,
}

impl Waiting<'_> {
    /// Starts a job.
    fn start(&mut self, nth: usize) -> anyhow::Result<()> {
        let mut request = self.args.request(&self.jobs[nth]);
        request["id"] = nth.into();
        self.client.send(&request).map_err(request::told)?;
        // Others may end before that is answered.
        while self.hear()? != nth {}
        Ok(())
    }

    /// Takes an answer, and says to which of them.
    fn hear(&mut self) -> anyhow::Result<usize> {
        let (id, answer) = self.client.receive_any().map_err(request::told)?;
        let answer = answer.map_err(|fault| request::told(Error::Refused(fault)));
        let nth = id.and_then(|id| usize::try_from(id.as_u64()?).ok());
        let Some((nth, job)) = nth.and_then(|nth| Some((nth, self.jobs.get(nth)?))) else {
            answer?;
            bail!("the scheduler answers what was not asked");
        };
        let begun = self.runs[nth].take();
        self.left -= usize::from(begun.is_some());
        match (answer, begun) {
            (Err(error), _) if self.jobs.len() == 1 => return Err(error),
            (Err(error), _) => {
                each::failed(job, &error);
                self.codes[nth] = 1;
            }
            (Ok(body), None) => {
                self.args.say_begun(&body, job)?;
                self.runs[nth] = Some((request::number(&body, "run"), request::on_host(&body)));
                self.left += 1;
            }
            (Ok(body), Some((run, host))) => {
                let view: RunObject = request::read(body.clone())?;
                self.args.connection.show(&body, |_| {
                    let job = clean(job);
                    format!("{} run {run} of {job}{host}: {}", view.mark(), clean(&view.phrase()))
                })?;
                self.codes[nth] = code(&view);
            }
        }
        Ok(nth)
    }
}

/// Starts them, and is done.
fn begin(args: &Args, mut client: Client, jobs: &[String]) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for job in jobs {
        match client.ask(&args.request(job)).map_err(request::told) {
            Ok(begun) => each::tell(job, begun, &args.connection, |job, begun| {
                format!("run {} of {job} {}", request::number(begun, "run"), how(begun))
            })?,
            Err(error) if jobs.len() == 1 => return Err(error),
            Err(error) => code = each::failed(job, &error),
        }
    }
    Ok(code)
}

/// What a run does that was begun.
pub(super) fn how(begun: &Map<String, Value>) -> &'static str {
    match begun.get("waits") {
        Some(Value::Bool(true)) => "is waiting for a slot",
        _ => "has started",
    }
}

impl Args {
    fn request(&self, job: &str) -> Value {
        let mut request =
            json!({ "do": "start", "job": job, "force": self.force, "wait": self.wait });
        if let Some(host) = &self.on {
            request["on"] = host.as_str().into();
        }
        request
    }

    /// With `--wait`, to people only.
    fn say_begun(&self, begun: &Map<String, Value>, job: &str) -> std::io::Result<()> {
        if self.connection.output != Output::Text {
            return Ok(());
        }
        let (run, job) = (request::number(begun, "run"), clean(job));
        let (host, how) = (request::on_host(begun), how(begun));
        writeln!(anstream::stderr(), "run {run} of {job}{host} {how}; waiting for its end")
    }
}

/// Whether that is why nothing was started.
fn is_no_program(reason: &str) -> bool {
    reason.starts_with("program ")
        && (reason.ends_with("not found on PATH") || reason.ends_with("does not exist"))
}

/// The exit code of a run, as a shell would give it.
fn code(run: &RunObject) -> u8 {
    match run.outcome() {
        Some(Outcome::Succeeded) => 0,
        Some(Outcome::Failed(code)) => u8::try_from(code).unwrap_or(1),
        Some(Outcome::Killed(signal) | Outcome::OverLimit(signal, _)) => {
            u8::try_from(128 + signal).unwrap_or(1)
        }
        Some(Outcome::TimedOut) => 124,
        Some(Outcome::NotStarted(reason)) if is_no_program(&reason) => 127,
        Some(Outcome::NotStarted(_)) => 126,
        Some(Outcome::Skipped(_) | Outcome::Missed(_) | Outcome::Coalesced | Outcome::Lost(_))
        | None => 1,
    }
}
