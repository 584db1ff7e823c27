//! A schedule given on the command line, with the same errors as in a jobfile.

use std::sync::Arc;

use crate::cli::Context;
use crate::core::job::{Command, Job, Options};
use crate::core::trigger::cron::crontab::{self, Crontab};
use crate::core::trigger::flaw::Severity;
use crate::core::trigger::{CronTrigger, DateTrigger, Trigger};
use crate::core::zone::Zone;
use crate::jobfile;
use crate::problem::{self, Place, Problem, Problems, Source, Sources, Span};
use crate::sys::clock;

/// The id that `H` is hashed from where there is no job.
const ID: &str = "-";

/// A job with any schedule that a jobfile can have: what stands after `cron =`, as text or as a
/// table, or after `interval =`. `None` when it has errors, which have been reported.
pub(super) fn schedule(
    expr: &str,
    zone: &Zone,
    context: &Context,
) -> anyhow::Result<Option<Arc<Job>>> {
    let key = match expr.trim_start() {
        table if table.starts_with('{') => format!("cron = {expr}"),
        text if humantime::parse_duration(text).is_ok() => format!("interval = \"{text}\""),
        _ => return Ok(job(expr, zone, "expression")?.map(Arc::new)),
    };
    // Its name is that of the machine's zone too, which may be none that a jobfile knows.
    let tz = Some(zone.name().to_owned());
    let text = format!("{key}\ncommand = \"true\"\n");
    // The schedule stands in the first line, so that a caret under it is under what was typed.
    let text = format!("jobs.{ID}.{}", text.replace('\n', &format!("\njobs.{ID}.")));
    let text = text.trim_end_matches(&format!("jobs.{ID}."));
    let loaded = jobfile::load_text_in(tz, "expression", text, &context.zones, clock::wall());
    if !loaded.problems.is_empty() {
        loaded.report()?;
    }
    Ok(loaded.set.and_then(|set| set.jobs.into_iter().next()))
}

/// A job that is due when the cron expression `expr` says; `None` when it has errors, which have
/// been reported on stderr under `name`. Warnings are reported too.
pub(super) fn job(expr: &str, zone: &Zone, name: &str) -> anyhow::Result<Option<Job>> {
    let mut flaws = Vec::new();
    let parsed = crontab::parse(expr, ID, &mut flaws);
    if !flaws.is_empty() {
        let mut sources = Sources::default();
        let file = sources.push(Source::new(name, expr));
        let mut problems = Problems::default();
        for flaw in flaws {
            let place = Place { file, span: Some(Span::new(flaw.span.start, flaw.span.end)) };
            let problem = match flaw.severity {
                Severity::Error => Problem::error(place, flaw.message),
                Severity::Warning => Problem::warning(place, flaw.message),
            };
            problems.push(Problem { help: flaw.help, ..problem });
        }
        problem::print(&mut anstream::stderr().lock(), &problems, &sources)?;
    }
    let trigger = match parsed {
        None => return Ok(None),
        Some(Crontab::Reboot) => Trigger::Date(DateTrigger::Reboot),
        Some(Crontab::Schedule(schedule)) => {
            Trigger::Cron(Arc::new(CronTrigger::new([schedule], zone.clone(), None, None)))
        }
    };
    Ok(Some(Job {
        id: ID.into(),
        name: None,
        command: Command::Shell("".into()),
        trigger,
        zone: zone.clone(),
        executor: 0,
        options: Arc::new(Options::default()),
    }))
}
