//! `schedrs show`: everything about one job of a running schedrs.

use std::io::{BufWriter, Write};

use serde_json::{Value, json};

use super::argument;
use super::each;
use super::request::{self, Connection, Output, Times};
use crate::cli::table::terminal_width;
use crate::cli::{Context, ExitCode};
use crate::control::wire::view::JobDetails;
use crate::core::words;
use crate::core::words::fit;
use crate::history::object::RunObject;
use crate::jobfile::write;
use crate::problem::clean;

/// Show everything about jobs
///
/// The definition, changes made at run time, active runs and next due times. The values of `env`
/// are not shown.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,

    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let each::Chosen { mut client, jobs, .. } =
        each::choose(&args.jobs, &args.connection, context)?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    for (place, job) in jobs.iter().enumerate() {
        let body = client.ask(&json!({ "do": "show", "job": job })).map_err(request::told)?;
        match args.connection.output {
            Output::Json => writeln!(out, "{}", crate::problem::json(&body)?)?,
            Output::Text => {
                if place > 0 {
                    writeln!(out)?;
                }
                details(&request::read(body)?, &mut out, context, &args.connection.typed())?;
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// How wide the names at the left are.
const NAMES: usize = 12;

pub(super) fn details(
    details: &JobDetails,
    out: &mut dyn Write,
    context: &Context,
    typed: &str,
) -> anyhow::Result<()> {
    let times = Times::new(context);
    let job = &details.job;
    let zone = times.zone(&job.timezone);
    let bold = anstyle::Style::new().bold();
    let name = job.name.as_ref().map(|name| format!(": {}", clean(name))).unwrap_or_default();
    writeln!(out, "{bold}{}{bold:#}{name}", clean(&job.id))?;
    let mut line = |name: &str, text: &str| -> anyhow::Result<()> {
        for (index, text) in text.lines().enumerate() {
            let name = if index == 0 { name } else { "" };
            let text = clean(text);
            let text = match terminal_width() {
                Some(width) => fit(&text, width.saturating_sub(NAMES + 2)),
                None => text.into_owned(),
            };
            writeln!(out, "  {name:<NAMES$}{text}")?;
        }
        Ok(())
    };
    line("schedule", &format!("{} ({})", job.schedule, job.timezone))?;
    line("state", &state(job, &times, &zone))?;
    if let Some(since) = &details.changed_since {
        line("jobfile", &request::edited(since, &times, &zone, typed))?;
    }
    if let Some(host) = &job.host {
        line("home", if host == "all" { "every host" } else { host })?;
    }
    let since = super::list::not_run(job);
    if let Some(last) = &job.last {
        let run = last.run.map(|run| format!(", run {run}")).unwrap_or_default();
        let outcome = clean(&last.phrase()).into_owned();
        let due = times.moment(&last.due, &zone);
        let since = since.map(|since| format!("; {since}")).unwrap_or_default();
        line("last", &format!("{} {outcome}, due {due}{run}{since}", last.mark()))?;
    } else if let Some(since) = since {
        line("last", &format!("no run yet; {since}"))?;
    }
    if let Some(usage) = job.last.as_ref().and_then(RunObject::usage) {
        line("used", &usage.phrase())?;
    }
    if let Some(since) = &job.overdue_since {
        line("overdue", &format!("since {}", times.moment(since, &zone)))?;
    }
    if let Some(since) = &job.slow_since {
        let usually = super::list::usually(job);
        line("slow", &format!("since {}{usually}", times.moment(since, &zone)))?;
    }
    for (word, what, usually) in job.unusual().remarks() {
        line(word, &format!("the last run {what} ({usually})"))?;
    }
    line("command", &command(details.command.as_ref()))?;
    line("executor", &details.executor)?;
    if let Some(Value::Object(options)) = &details.options {
        for (index, (key, value)) in options.iter().enumerate() {
            let value = write::toml(value);
            line(if index == 0 { "options" } else { "" }, &format!("{key} = {value}"))?;
        }
    }
    if let Some(overrides) = &details.overrides {
        line("changed", overrides.trim_end())?;
    }
    if job.added {
        line("added", "at run time; it is in no jobfile")?;
    }
    for (index, active) in details.active.iter().enumerate() {
        line(if index == 0 { "active" } else { "" }, &active_run(active, &times, &zone))?;
    }
    if let (Some(after), true) = (&job.next_after, details.upcoming.is_empty()) {
        line("next", after)?;
    }
    for (index, due) in details.upcoming.iter().enumerate() {
        let shown = match request::instant(due) {
            Some(at) => words::table_time(at.truncated(), &zone),
            None => due.clone(),
        };
        let text = format!("{shown}, {}", times.distance(due));
        line(if index == 0 { "next" } else { "" }, &text)?;
    }
    Ok(())
}

fn state(
    job: &crate::control::wire::view::JobLine,
    times: &Times<'_>,
    zone: &crate::core::zone::Zone,
) -> String {
    let mut state = job.state.clone();
    if job.running > 1 {
        state += &format!(" ({})", job.running);
    }
    match job.waiting {
        0 => {}
        1 if job.state == "waiting" => {}
        many if job.state == "waiting" => state += &format!(" ({many})"),
        many => state += &format!(", {many} waiting"),
    }
    if let Some(paused) = &job.paused {
        let why = request::paused(paused, times, zone);
        match &*job.state {
            "paused" => state += &why,
            _ => state += &format!(", paused{why}"),
        }
    }
    state
}

/// A run that has not ended: `run 14 is running since 02:30:00, attempt 2`.
pub(super) fn active_run(
    active: &RunObject,
    times: &Times<'_>,
    zone: &crate::core::zone::Zone,
) -> String {
    let doing = active.doing();
    let what = clean(&doing);
    let since = match &active.started {
        Some(started) => format!(", since {}", times.moment(started, zone)),
        None => format!(", due {}", times.moment(&active.due, zone)),
    };
    let attempt = match active.attempts {
        0 | 1 => String::new(),
        attempt => format!(", attempt {attempt}"),
    };
    let run = active.run.map(|run| format!("run {run} ")).unwrap_or_default();
    let host = active.host.as_deref().map(|host| format!(" on {}", clean(host)));
    format!("{run}is {what}{}{since}{attempt}", host.unwrap_or_default())
}

/// A command as one would type it.
fn command(command: Option<&Value>) -> String {
    match command {
        Some(Value::String(line)) => line.clone(),
        Some(Value::Array(words)) => {
            let words: Vec<String> =
                words.iter().filter_map(Value::as_str).map(argument::quoted).collect();
            words.join(" ")
        }
        _ => String::new(),
    }
}
