//! `schedrs events`: what happens, as it happens, from the scheduler that does it.

use std::io::Write;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use super::logs::follow;
use super::request::{self, Connection, Output};
use super::{argument, each, named, time};
use crate::cli::{Context, ExitCode, has_colour};
use crate::control::client::{Client, Error};
use crate::control::wire::event::EventView;
use crate::core::outcome;
use crate::core::words;
use crate::problem::clean;
use crate::sys::clock;

/// Show what happens, as it happens
///
/// One line for each start, each retry, each outcome, each change by somebody and each reload, until
/// Ctrl-C. A scheduler keeps its last 4,096 events for --since; what was before is in `schedrs
/// history`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  schedrs events
  schedrs events 'backup-*' --since 1h --output json")]
pub(crate) struct Args {
    /// Only events of these jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,

    /// First what has happened since this time, or after the event with this `seq`
    #[arg(long, value_name = "TIME|SEQ", allow_hyphen_values = true)]
    since: Option<String>,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let named = named::jobs(&args.jobs, args.connection.jobfile(), context)?;
    let since = args.since.as_deref().map(|text| place(text, context)).transpose()?;
    let mut client = args.connection.connect_to(named.jobfile.as_ref())?;
    // Whether there is a job schedrs says when it is asked for that one.
    let jobs = match &named.jobs[..] {
        [] | [_] => each::resolve(named.jobs, &mut client)?,
        several => each::resolve_checked(several, &mut client)?,
    };
    let job = if let [job] = &jobs[..] { Some(job) } else { None };
    let mut request = json!({ "do": "events" });
    for (key, value) in [("job", job.map(|job| json!(job))), ("since", since)] {
        if let Some(value) = value {
            request[key] = value;
        }
    }
    client.ask(&request).map_err(request::told)?;
    let shown = Shown { jobs: &jobs, output: args.connection.output, context };
    loop {
        follow::wait(&client)?;
        let event = next(&mut client)?;
        if !shown.shows(&event) {
            continue;
        }
        if event.event == "gap" && shown.output == Output::Text {
            crate::cli::say("schedrs: earlier events are not kept; see `schedrs history`");
            continue;
        }
        let mut out = anstream::stdout().lock();
        writeln!(out, "{}", shown.line(&event)?)?;
        out.flush()?;
    }
}

/// What was meant by `--since`: a number, or a time.
fn place(text: &str, context: &Context) -> anyhow::Result<Value> {
    // No time of a person has so many digits.
    if text.len() >= 12
        && let Ok(number) = text.parse::<u64>()
    {
        return Ok(json!(number));
    }
    let zone = argument::local_zone(context);
    let found = time::back(text, &zone, clock::wall())
        .with_context(|| format!("--since {}", clean(text)))?;
    Ok(json!(words::rfc3339(found.from, &zone)))
}

/// Waits for the next event.
fn next(client: &mut Client) -> anyhow::Result<EventView> {
    match client.receive() {
        Ok(event) => request::read(event),
        Err(error) => {
            let why = match error {
                Error::Broken(why) => anyhow!("{}", clean(&why)),
                error => request::told(error),
            };
            bail!("lost the connection to schedrs: {why}")
        }
    }
}

/// What is shown, and how.
struct Shown<'a> {
    /// Only these, if there are any.
    jobs: &'a [String],
    output: Output,
    context: &'a Context,
}

impl Shown<'_> {
    /// What is about all jobs concerns each.
    fn shows(&self, event: &EventView) -> bool {
        let is_meant = |job: &String| self.jobs.is_empty() || self.jobs.contains(job);
        event.job.as_ref().is_none_or(is_meant)
    }

    fn line(&self, event: &EventView) -> anyhow::Result<String> {
        if self.output == Output::Json {
            return Ok(crate::problem::json(event)?);
        }
        let phrase = event.phrase();
        let phrase = clean(&phrase);
        let mark = event.record.as_ref().map_or(' ', |record| record.mark());
        let colour = if has_colour(&std::io::stdout()) { outcome::colour(mark) } else { "" };
        let mark = match colour {
            "" => mark.to_string(),
            colour => format!("\x1b[{colour}m{mark}\x1b[0m"),
        };
        Ok(format!("{}  {mark} {phrase}", self.time(event)))
    }

    /// When, to the second, on the clocks of the job: `2026-11-25 20:46:00 +01:00`.
    fn time(&self, event: &EventView) -> String {
        let text = event.time.as_deref().unwrap_or_default();
        let Some(at) = request::instant(text) else { return text.to_owned() };
        let local = self.context.local.then(|| argument::local_zone(self.context));
        let text = local.map_or_else(|| text.to_owned(), |zone| words::rfc3339(at, &zone));
        let offset =
            if text.ends_with('Z') { "+00:00" } else { text.get(text.len() - 6..).unwrap_or("") };
        match text.get(..19) {
            Some(seconds) => format!("{} {offset}", seconds.replacen('T', " ", 1)),
            None => text,
        }
    }
}
