//! What several subcommands are asked about, as typed on the command line: times, zones, jobs.

use std::sync::Arc;

use anyhow::{anyhow, bail};

use crate::cli::Context;
use crate::instant::Instant;
use crate::job::Job;
use crate::jobfile::when;
use crate::problem::nearest::nearest;
use crate::zone::Zone;

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
    context.zones.get(name).ok_or_else(|| {
        let names = context.zones.names();
        match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => anyhow!("unknown time zone `{name}`; did you mean `{near}`?"),
            None => anyhow!("unknown time zone `{name}`; names are such as Europe/Berlin"),
        }
    })
}

/// The zone of this machine.
pub(super) fn local_zone(context: &Context) -> Zone {
    context.zones.local(std::env::var("TZ").ok().as_deref())
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
