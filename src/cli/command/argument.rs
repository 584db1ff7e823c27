//! Arguments that several subcommands have: times, zones and jobs, as they are typed.

use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, bail};

use super::selection::Selection;
use crate::cli::{Context, report};
use crate::core::job::{Elsewhere, Job, Settings};
use crate::core::nearest::{self, nearest};
use crate::core::zone::{Zone, tz_variable};
use crate::problem::{Problem, Problems, Source, Sources, clean};

/// A zone by its name.
pub(super) fn zone(name: &str, context: &Context) -> anyhow::Result<Zone> {
    let unknown = match context.zones.find(name) {
        Ok(zone) => return Ok(zone),
        Err(unknown) => unknown.say(name),
    };
    Err(match nearest::zone_help(name, &context.zones) {
        Some(help) => anyhow!("{unknown}; {help}"),
        None => anyhow!("{unknown}; use a name such as Europe/Berlin"),
    })
}

/// The zone of this machine.
pub(super) fn local_zone(context: &Context) -> Zone {
    context.zones.local(tz_variable().as_deref())
}

/// The same, for a command that goes by nothing else: what is odd about it is said on stderr.
pub(super) fn local_zone_checked(context: &Context) -> std::io::Result<Zone> {
    let machine = context.zones.machine(tz_variable().as_deref());
    if let Some(doubt) = machine.doubt {
        let mut problems = Problems::default();
        problems.push(Problem::of_machine_zone(doubt, &context.zones));
        let mut sources = Sources::default();
        sources.push(Source::new("time zone", ""));
        report(&problems, &sources)?;
    }
    Ok(machine.zone)
}

/// `Europe/Berlin, from /etc/localtime`: the machine's zone, and where it was found; `None` for one
/// that was asked for.
pub(super) fn of_machine(zone: &Zone) -> Option<String> {
    Some(format!("{}, {}", clean(zone.name()), clean(zone.origin()?)))
}

/// A word as one would type it in a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// ` -f other.toml`: an option with a path that was given, as one would type it behind a command.
pub(super) fn option(name: &str, path: Option<&Path>) -> String {
    let quoted = |path: &Path| quoted(&clean(&path.to_string_lossy()));
    path.map(|path| format!(" {name} {}", quoted(path))).unwrap_or_default()
}

/// Says of a job that it is for other hosts, where somebody names it.
pub(super) fn refuse_elsewhere(settings: &Settings, words: &[String]) -> anyhow::Result<()> {
    let named = |job: &&Elsewhere| words.iter().any(|word| **word == *job.id);
    let Some(job) = settings.elsewhere.iter().find(named) else { return Ok(()) };
    let hosts: Vec<String> = job.only_on.iter().map(|host| format!("{host:?}")).collect();
    bail!("job `{}` is not for this host: only_on = [{}]", clean(&job.id), hosts.join(", "))
}

/// The places of jobs in the jobfile, by ids, patterns and tags.
pub(super) fn jobs(jobs: &[Arc<Job>], words: &[String]) -> anyhow::Result<Vec<usize>> {
    let known: Vec<_> = jobs.iter().map(|job| (&*job.id, &*job.options.tags)).collect();
    Selection::new(words)?.choose(&known, " in the jobfile")
}

/// The place of a job in the jobfile, by its id.
pub(super) fn job(jobs: &[Arc<Job>], id: &str) -> anyhow::Result<usize> {
    if let Some(index) = jobs.iter().position(|job| *job.id == *id) {
        return Ok(index);
    }
    let near = nearest(id, jobs.iter().map(|job| &*job.id));
    let id = clean(id);
    match near {
        Some(near) => bail!("no job `{id}` in the jobfile; did you mean `{}`?", clean(near)),
        None => bail!("no job `{id}` in the jobfile"),
    }
}
