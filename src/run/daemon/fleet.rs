//! This scheduler among others that share its store: who it is, which jobs it has, and what earlier
//! schedulers of this host have left.
//!
//! The protocol is `crate::core::fleet`, the thread that follows it `crate::store::keeper`.

use std::collections::HashSet;
use std::fmt::Write;

use super::Storage;
use super::recovery;
use crate::core::event::HomeChange;
use crate::core::fleet::home::HomeJob;
use crate::core::fleet::protocol::{Fleet, Timing};
use crate::core::fleet::{Member, RunOn, SessionId};
use crate::core::instant::Instant;
use crate::core::job::{FleetSettings, Job, JobSet};
use crate::core::scheduler::Scheduler;
use crate::core::trigger::cron::hash;
use crate::jobfile::write::{self, Secrets};
use crate::run::child::tree;
use crate::store::keeper::FleetOrder;
use crate::store::{Reader, Restored, Session, StoreError};
use crate::sys::machine;

/// With fewer numbers for runs than this it is time for more.
const FEW_NUMBERS: u64 = 512;

/// What the loop knows of the fleet.
#[derive(Debug)]
pub(super) struct Here {
    /// What people call this host.
    pub(super) host: Box<str>,
    numbers_asked: bool,
}

impl Here {
    pub(super) fn new(settings: &FleetSettings) -> Here {
        Here { host: label(settings), numbers_asked: true }
    }

    /// What to ask for because there are few numbers for runs.
    pub(super) fn wants(&mut self, scheduler: &Scheduler) -> Option<FleetOrder> {
        if self.numbers_asked || scheduler.numbers_left() >= FEW_NUMBERS {
            return None;
        }
        self.numbers_asked = true;
        Some(FleetOrder::Numbers)
    }

    /// Jobs come: what is decided of one that runs on every host says nothing of this one.
    pub(super) fn receive(&mut self, change: &mut HomeChange, scheduler: &Scheduler, now: Instant) {
        self.numbers_asked &= change.numbers.is_none();
        for taken in &mut change.taken {
            let job = scheduler.job(&taken.id);
            if let Some(record) = &mut taken.record
                && job.is_some_and(|job| job.options.run_on == RunOn::All)
            {
                record.decided = now;
            }
        }
    }
}

/// What people call this host.
fn label(settings: &FleetSettings) -> Box<str> {
    settings.name.clone().unwrap_or_else(machine::host).into()
}

/// What a store that is shared knows of this host.
pub(super) fn restore(
    storage: &mut Storage,
    reader: Option<&mut dyn Reader>,
) -> Result<Restored, StoreError> {
    storage.store.restore()?;
    let members = reader.map_or(Ok(Vec::new()), |reader| reader.members())?;
    let Some(shared) = storage.store.shared() else { return Ok(Restored::default()) };
    let (machine, boot) = (machine::id(), machine::boot_id());
    let is_ours = |member: &&Member| {
        *member.machine == *machine && *member.boot == *boot && !tree::is_alive(member.process)
    };
    let ours: Vec<&Member> =
        members.iter().filter(|member| member.gone.is_none()).filter(is_ours).collect();
    for member in &ours {
        // Nobody has to wait for its silence.
        shared.leave(member.id, true)?;
    }
    let known = shared.take_up(&[])?;
    let ids: HashSet<SessionId> = ours.iter().map(|member| member.id).collect();
    let open = known.open.into_iter().filter(|open| ids.contains(&open.session));
    let last = ours.iter().max_by_key(|member| member.seen);
    Ok(Restored {
        jobs: known.jobs,
        all_paused: known.all_paused,
        open: open.map(|open| open.run).collect(),
        next_run: 1,
        last_session: last.map(|member| Session {
            process: member.process,
            boot: member.boot.clone(),
            began: member.joined,
            seen: member.seen,
            stopped: None,
            jobfile: member.jobfile.clone(),
            mark: member.mark,
        }),
    })
}

/// This scheduler, before it has joined the others.
pub(super) fn member(settings: &FleetSettings, mark: u32) -> Member {
    Member {
        id: SessionId(machine::random()),
        host: label(settings),
        labels: settings.labels.as_slice().into(),
        machine: machine::id().into(),
        boot: machine::boot_id().into(),
        mark,
        process: recovery::own_process(),
        version: env!("CARGO_PKG_VERSION").into(),
        tzdata: "".into(),
        jobfile: "".into(),
        jobfile_hash: 0,
        loaded: Instant::MIN,
        joined: Instant::MIN,
        seen: Instant::MIN,
        offset: 0,
        beat: 0,
        generation: 0,
        leaving: false,
        gone: None,
        jobs_at_home: 0,
        running: 0,
    }
}

/// The protocol, as this scheduler follows it.
pub(super) fn protocol(settings: &FleetSettings, member: Member) -> Fleet {
    Fleet::new(Timing { lease: settings.lease }, member)
}

/// The jobs in effect, as the others are to know of them.
pub(super) fn jobs(set: &JobSet, added: &HashSet<Box<str>>, jobfile: &str) -> FleetOrder {
    let jobs: Vec<HomeJob> = set.jobs.iter().map(|job| home_job(job, set, added)).collect();
    let of_file = jobs.iter().filter(|job| !job.added);
    // In any order: two hosts may include the same files in another one.
    let hash = of_file.fold(0, |sum: u64, job| {
        sum.wrapping_add(hash::mix(hash::text(&job.id) ^ hash::mix(job.fingerprint)))
    });
    FleetOrder::Jobs { jobfile: jobfile.into(), hash, jobs }
}

fn home_job(job: &Job, set: &JobSet, added: &HashSet<Box<str>>) -> HomeJob {
    let mut text = String::new();
    write::job(&mut text, job, &set.executors, Secrets::Written);
    // A trigger says the same here in every version.
    let _ = write!(text, "{} {}", job.trigger.fingerprint(), job.zone.name());
    HomeJob {
        id: job.id.clone(),
        fingerprint: hash::text(&text),
        run_on: job.options.run_on.clone(),
        added: added.contains(&job.id),
    }
}
