//! A schedule given on the command line, with the same errors as in a jobfile.

use std::sync::Arc;

use crate::cli::{Context, report};
use crate::core::job::{Command, Job, Options};
use crate::core::span::{self, NoSpan};
use crate::core::trigger::cron::crontab::{self, Crontab};
use crate::core::trigger::flaw::Severity;
use crate::core::trigger::{CronTrigger, DateTrigger, Trigger};
use crate::core::zone::Zone;
use crate::jobfile;
use crate::jobfile::keys::Key;
use crate::problem::{Place, Problem, Problems, Source, Sources, Span};
use crate::sys::clock;

/// The id that `H` is hashed from where there is no job.
const ID: &str = "-";

/// A job with any schedule that a jobfile can have: what stands after `cron =`, as text or as a
/// table, or after `interval =`, or the entry with its key. `None` when it has errors, which have been reported.
pub(super) fn schedule(
    expr: &str,
    id: Option<&str>,
    zone: &Zone,
    context: &Context,
) -> anyhow::Result<Option<Arc<Job>>> {
    let key = match expr.trim_start() {
        entry if begins_with_trigger(entry) => entry.to_owned(),
        table if table.strip_prefix('{').is_some_and(begins_with_trigger) => {
            format!("any = [{expr}]")
        }
        table if table.starts_with('{') && is_interval(table) => format!("interval = {expr}"),
        table if table.starts_with('{') => format!("cron = {expr}"),
        text if is_duration(text) => format!("interval = \"{text}\""),
        _ => return Ok(job(expr, id, zone, "expression")?.map(Arc::new)),
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

/// Whether a text is the entry of a jobfile that says when a job is due: `any = [ … ]`, `cron = "…"`.
fn begins_with_trigger(text: &str) -> bool {
    let Some((key, value)) = text.split_once('=') else { return false };
    let is_trigger = Key::of(key.trim()).is_some_and(Key::is_trigger);
    is_trigger && !value.trim().is_empty()
}

/// Whether a table counts something, as that of an interval does.
fn is_interval(table: &str) -> bool {
    let words = table.split(|c: char| !c.is_ascii_alphanumeric());
    let units = ["years", "months", "weeks", "days", "hours", "minutes", "seconds"];
    words.into_iter().any(|word| units.contains(&word))
}

/// Whether this can only be meant as a duration, right or wrong.
pub(super) fn is_duration(text: &str) -> bool {
    !matches!(span::parse(text), Err(NoSpan::Form(_)))
}

/// Whether an expression that can be read depends on the id of its job.
pub(super) fn is_hashed(expr: &str) -> bool {
    // It would be a wonder if all of these had the same.
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut schedules = ids.iter().map(|id| crontab::parse(expr, id, &mut Vec::new()));
    let first = schedules.next();
    schedules.any(|other| Some(other) != first)
}

/// A job that is due when the cron expression `expr` says; `None` when it has errors, which have
/// been reported on stderr under `name`. Warnings are reported too. `H` is that of the job `id`.
pub(super) fn job(
    expr: &str,
    id: Option<&str>,
    zone: &Zone,
    name: &str,
) -> anyhow::Result<Option<Job>> {
    let mut flaws = Vec::new();
    let parsed = crontab::parse(expr, id.unwrap_or(ID), &mut flaws);
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
        report(&problems, &sources)?;
    }
    let trigger = match parsed {
        None => return Ok(None),
        Some(Crontab::Reboot) => Trigger::Date(DateTrigger::Reboot),
        Some(Crontab::Schedule(schedule)) => {
            Trigger::Cron(Arc::new(CronTrigger::new([schedule], zone.clone(), None, None)))
        }
    };
    Ok(Some(of_trigger(trigger, zone)))
}

/// A job that has nothing but a trigger.
pub(super) fn of_trigger(trigger: Trigger, zone: &Zone) -> Job {
    Job {
        id: ID.into(),
        name: None,
        command: Command::Shell("".into()),
        trigger,
        zone: zone.clone(),
        executor: 0,
        options: Arc::new(Options::default()),
    }
}
