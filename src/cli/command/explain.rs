//! `schedrs explain`: a cron expression in English, normalised, with its next due times.

use std::io::{BufWriter, Write};

use anyhow::anyhow;

use super::argument;
use super::expression;
use crate::cli::{Context, ExitCode};
use crate::core::preview::{Window, preview};
use crate::core::trigger::Trigger;
use crate::core::words;
use crate::sys::clock;

/// How many due times are shown.
const SHOWN: usize = 5;

/// Explain a schedule in English, with its normal form and next five due times
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A schedule as in a jobfile, after `cron =` or `interval =`: '*/5 9-17 * * 1-5' (or its
    /// fields as separate arguments), '{ day = "3rd fri", hour = 9 }', '2h 30m'; or a whole entry:
    /// 'any = [{ cron = "0 3 * * *" }, { interval = "5h" }]'
    #[arg(value_name = "EXPR", required = true, num_args = 1..)]
    expr: Vec<String>,

    /// The time zone of the schedule [default: the system's]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,

    /// The id that `H` is computed from
    #[arg(long, value_name = "JOB")]
    id: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let expr = args.expr.join(" ");
    let zone = match &args.timezone {
        Some(name) => argument::zone(name, context)?,
        None => argument::local_zone_checked(context)?,
    };
    let Some(job) = expression::schedule(&expr, args.id.as_deref(), &zone, context)? else {
        return Ok(ExitCode::FAILURE);
    };
    let now = clock::wall();
    let mut out = BufWriter::new(anstream::stdout().lock());
    let (dim, reset) = (anstyle::Style::new().dimmed(), anstyle::Reset);
    writeln!(out, "{}", words::trigger(&job.trigger, &zone))?;
    if let Trigger::Cron(cron) = &job.trigger {
        let schedule = cron.schedules().first().ok_or_else(|| anyhow!("an empty schedule"))?;
        if let Some(normal) = words::normalised(schedule) {
            writeln!(out, "{dim}normalised:{reset} {normal}")?;
        }
    }
    if let Some(zone) = argument::of_machine(&zone) {
        writeln!(out, "{dim}zone:{reset} {zone}")?;
    }
    writeln!(out)?;
    let jobs = [&*job];
    let window = Window { from: now.truncated(), until: None, count: SHOWN };
    for row in preview(&jobs, window) {
        let when = match row.due {
            Some(due) => format!("{} {zone}", words::table_time(due, &zone)),
            None => "-".to_owned(),
        };
        let remark = row.remark.map(|remark| format!("  {remark}")).unwrap_or_default();
        writeln!(out, "  {when}{remark}")?;
    }
    out.flush()?;
    if args.id.is_none() && expression::is_hashed(&expr) {
        anstream::eprintln!(
            "schedrs: the value of `H` depends on the job's id; set it with --id JOB"
        );
    }
    Ok(ExitCode::SUCCESS)
}
