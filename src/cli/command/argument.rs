//! Arguments that several subcommands have: times, zones and jobs, as they are typed.

use std::sync::Arc;

use anyhow::{anyhow, bail};

use crate::cli::Context;
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::nearest::{self, nearest};
use crate::core::zone::{Zone, tz_variable};
use crate::jobfile::when;
use crate::problem::{self, Problem, Problems, Source, Sources, clean};

/// A time: `now`, an RFC 3339 time, a date with or without a time on the clocks of `zone`, or
/// `+2h30m` after `base`.
pub(super) fn instant(
    text: &str,
    zone: &Zone,
    now: Instant,
    base: Instant,
) -> anyhow::Result<Instant> {
    if text == "now" {
        return Ok(now);
    }
    if let Some(ahead) = text.strip_prefix('+') {
        return Ok(base.plus(humantime::parse_duration(ahead)?));
    }
    match when::parse_moment(text) {
        Ok(moment) => Ok(moment.instant(zone)),
        Err((_, message)) => Err(anyhow!(message)),
    }
}

/// A zone by its name.
pub(super) fn zone(name: &str, context: &Context) -> anyhow::Result<Zone> {
    let unknown = match context.zones.find(name) {
        Ok(zone) => return Ok(zone),
        Err(unknown) => unknown.say(name),
    };
    Err(match nearest::zone(name, &context.zones) {
        Some(near) => anyhow!("{unknown}; did you mean `{near}`?"),
        None => anyhow!("{unknown}; names are such as Europe/Berlin"),
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
        problem::print(&mut anstream::stderr().lock(), &problems, &sources)?;
    }
    Ok(machine.zone)
}

/// `Europe/Berlin, from /etc/localtime`: the machine's zone, and where it was found; `None` for one
/// that was asked for.
pub(super) fn of_machine(zone: &Zone) -> Option<String> {
    Some(format!("{}, {}", clean(zone.name()), clean(zone.origin()?)))
}

/// The place of a job in the jobfile, by its id.
pub(super) fn job(jobs: &[Arc<Job>], id: &str) -> anyhow::Result<usize> {
    if let Some(index) = jobs.iter().position(|job| *job.id == *id) {
        return Ok(index);
    }
    match nearest(id, jobs.iter().map(|job| &*job.id)) {
        Some(near) => bail!("no job `{id}` in the jobfile; did you mean `{near}`?"),
        None => bail!("no job `{id}` in the jobfile"),
    }
}
