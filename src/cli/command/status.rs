//! `schedrs status`: how a running schedrs is.

use std::io::{BufWriter, Write};

use serde_json::json;

use super::request::{self, Connection, Output, Times};
use super::show::active_run;
use crate::cli::{Context, ExitCode};
use crate::control::wire::view::StatusView;
use crate::problem::clean;

/// Show how a running schedrs is
///
/// Its health with what is not as it should be, what runs and waits, and what is next.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes: 0 all is well; 1 it is degraded, or none runs; 2 the command line is wrong.")]
pub(crate) struct Args {
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let body = args.connection.request(&json!({ "do": "status" }))?;
    let status: StatusView = request::read(body.clone())?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    match args.connection.output {
        Output::Json => writeln!(out, "{}", crate::problem::json(&body)?)?,
        Output::Text => text(&status, &mut out, context)?,
    }
    out.flush()?;
    Ok(if status.reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(status: &StatusView, out: &mut dyn Write, context: &Context) -> anyhow::Result<()> {
    let times = Times::new(context);
    let zone = times.zone(&status.timezone);
    let colour =
        |colour: anstyle::AnsiColor| anstyle::Style::new().bold().fg_color(Some(colour.into()));
    let style = if status.reasons.is_empty() {
        colour(anstyle::AnsiColor::Green)
    } else {
        colour(anstyle::AnsiColor::Red)
    };
    writeln!(
        out,
        "{style}{}{style:#}  schedrs {} with pid {} runs {}",
        clean(&status.health),
        clean(&status.version),
        status.pid,
        clean(&status.jobfile)
    )?;
    for reason in &status.reasons {
        writeln!(out, "  ! {}", clean(reason))?;
    }
    if status.stopping {
        writeln!(out, "  it is stopping")?;
    }
    let since = |time: &str| format!("{} ({})", times.soon(time, &zone), times.distance(time));
    writeln!(out, "  since    {}", since(&status.started))?;
    writeln!(out, "  loaded   {}", since(&status.loaded))?;
    writeln!(out, "  store    {}", clean(&status.store))?;
    writeln!(out, "  zone     {}", clean(&status.timezone))?;
    writeln!(
        out,
        "  jobs     {}, {} running, {} waiting",
        status.jobs, status.running, status.waiting
    )?;
    if let Some(paused) = &status.paused {
        writeln!(out, "  paused   all jobs{}", request::pause(paused, &times, &zone))?;
    }
    if let (Some(next), Some(job)) = (&status.next, &status.next_job) {
        writeln!(out, "  next     {} at {}", clean(job), since(next))?;
    }
    for active in &status.active {
        writeln!(out, "  active   {}: {}", clean(&active.job), active_run(active, &times, &zone))?;
    }
    Ok(())
}
