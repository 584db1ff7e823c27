//! A cron expression given on the command line, with the same errors as in a jobfile.

use std::sync::Arc;

use crate::job::{Command, Job, Options};
use crate::problem::{self, Place, Problem, Problems, Source, Sources, Span};
use crate::trigger::cron::crontab::{self, Crontab};
use crate::trigger::flaw::Severity;
use crate::trigger::{CronTrigger, DateTrigger, Trigger};
use crate::zone::Zone;

/// The id that `H` is hashed from where there is no job.
const ID: &str = "-";

/// A job that is due when `expr` says; `None` when it has errors, which have been reported on
/// stderr under `name`. Warnings are reported too.
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
        command: Command::Shell("".into()),
        trigger,
        zone: zone.clone(),
        executor: 0,
        options: Arc::new(Options::default()),
    }))
}
