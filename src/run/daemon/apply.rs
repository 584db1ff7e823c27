//! A jobfile takes effect, at the beginning and whenever it was read again: what is known of its jobs
//! outside of the scheduler follows, and so do those that were added at run time.

use super::effects::Effects;
use super::requests::{Composed, Jobs};
use super::{logger, report};
use crate::core::event::{Change, ChangeKind, Health};
use crate::core::instant::Instant;
use crate::core::job::JobSet;
use crate::core::zone::Zone;

/// What there is about the jobs in effect, beside the scheduler.
pub(super) struct Surroundings<'a> {
    pub(super) effects: &'a mut Effects,
    pub(super) jobs: Option<&'a mut Jobs>,
    pub(super) health: &'a mut Health,
    /// The zones of the jobs, with their rules as they were when last read.
    pub(super) zones: &'a mut Vec<Zone>,
}

/// Has them follow a jobfile. Answers the jobs, and which added ones have given way to jobs of the
/// jobfile: the scheduler and the store are to know neither of these any more.
pub(super) fn apply(
    composed: Composed,
    around: Surroundings<'_>,
    now: Instant,
) -> (JobSet, Vec<Change>) {
    let Composed { set, builder, bases, displaced, problems } = composed;
    let Surroundings { effects, jobs, health, zones } = around;
    logger::set_jobs(&set, &effects.output());
    for (id, problem) in &problems {
        log::error!(
            job = &**id;
            "its changes made at run time are no longer valid: {problem}"
        );
    }
    if let Some(jobs) = jobs {
        jobs.builder = builder;
        jobs.bases = bases;
    }
    health.loaded = now;
    health.timezone = set.settings.zone.name().into();
    health.settings = set.settings.clone();
    health.executors = set.executors.as_slice().into();
    effects.prepare(&set);
    let after = report::zones(&set);
    report::zone_changes(zones, &after);
    *zones = after;
    (set, displaced.into_iter().map(|id| displacement(id, now)).collect())
}

/// The jobfile has a job of that id now.
fn displacement(id: Box<str>, at: Instant) -> Change {
    log::warn!(job = &*id; "was added at run time, but is now in the jobfile too; the jobfile wins");
    Change {
        at,
        job: Some(id),
        what: ChangeKind::Removed,
        by: "schedrs".into(),
        detail: Some("the jobfile has a job with this id".into()),
    }
}
