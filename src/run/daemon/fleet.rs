//! This scheduler among others that share its store: who it is, which jobs it has, and what earlier
//! schedulers of this host have left.
//!
//! The protocol is `crate::core::fleet`, the thread that follows it `crate::store::keeper`.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::Storage;
use super::asking::Asking;
use super::recovery;
use super::requests::Jobs;
use crate::core::event::{Event, FleetHealth, HomeChange, RunId, Silence};
use crate::core::fleet::home::HomeJob;
use crate::core::fleet::protocol::{Fleet, Timing};
use crate::core::fleet::whereabouts::Whereabouts;
use crate::core::fleet::{Member, SessionId};
use crate::core::instant::Mono;
use crate::core::job::{Executor, FleetSettings, Job, JobSet};
use crate::core::scheduler::Scheduler;
use crate::core::sort;
use crate::core::trigger::Trigger;
use crate::core::trigger::cron::hash;
use crate::jobfile::write::{self, Secrets};
use crate::run::child::tree;
use crate::store::keeper::{FleetOrder, Notes};
use crate::store::shared::OpenElsewhere;
use crate::store::{Reader, Restored, Session, Sharing, StoreError};
use crate::sys::{clock, machine};

/// With fewer numbers for runs than this it is time for more.
const FEW_NUMBERS: u64 = 512;

/// What the loop knows of the fleet.
#[derive(Debug)]
pub(super) struct Here {
    /// Nobody is among others where no store can be shared.
    _sharing: Sharing,
    /// What people call this host.
    pub(super) host: Box<str>,
    numbers_asked: bool,
    /// The way to the thread that knows the others.
    notes: Option<Notes>,
    /// What was asked of them.
    pub(super) asking: Asking,
    /// What others may begin again was told to end; and whether it was killed.
    told_to_end: Option<bool>,
    /// How long it has between the two.
    patience: Duration,
    /// What the scheduler was told of how far the store has answered.
    silence: Silence,
}

impl Here {
    pub(super) fn new(sharing: Sharing, settings: &FleetSettings) -> Here {
        let (host, asking) = (machine::host_of(settings).into(), Asking::default());
        // It is over by the time at which the others act.
        let patience = Timing { lease: settings.lease }.patience();
        let _sharing = sharing;
        Here {
            _sharing,
            host,
            numbers_asked: true,
            notes: None,
            asking,
            told_to_end: None,
            patience,
            silence: Silence::None,
        }
    }

    /// There is a thread that knows the others.
    pub(super) fn set_notes(&mut self, notes: Notes) {
        self.notes = Some(notes);
    }

    /// The way to it.
    pub(super) fn notes(&self) -> Option<Notes> {
        self.notes.clone()
    }

    /// How this host stands among the others.
    pub(super) fn health(&self, now: Mono) -> FleetHealth {
        let known = self.whereabouts();
        let hosts = || known.iter().flat_map(|known| &known.hosts);
        let standing = self.notes.as_ref().and_then(Notes::standing).unwrap_or_default();
        let trusted = standing.trusted_until.filter(|until| *until > now);
        let leaving = hosts().filter(|host| host.is_leaving);
        let mut names: Vec<Box<str>> = hosts().map(|host| host.name.clone()).collect();
        sort::all(&mut names);
        FleetHealth {
            host: self.host.clone(),
            hosts: names,
            leaving: leaving.map(|host| host.name.clone()).collect(),
            jobs_at_home: standing.jobs_at_home,
            generation: standing.generation,
            trusted: trusted.map(|until| until.since(now)),
            waits_for_others: standing.waits_for_others,
            held: standing.held,
        }
    }

    /// Whether nobody waits for the store any more, because it does not answer.
    pub(super) fn is_store_silent(&self) -> bool {
        self.notes.as_ref().is_some_and(Notes::is_silent)
    }

    /// Who is there and where jobs are at home.
    pub(super) fn whereabouts(&self) -> Option<Arc<Whereabouts>> {
        self.notes.as_ref()?.whereabouts()
    }

    /// What to ask for because there are few numbers for runs.
    pub(super) fn wants(&mut self, scheduler: &Scheduler) -> Option<FleetOrder> {
        if self.numbers_asked || scheduler.numbers_left() >= FEW_NUMBERS {
            return None;
        }
        self.numbers_asked = true;
        Some(FleetOrder::Numbers)
    }

    /// Jobs come, and with them numbers for their runs.
    pub(super) fn receive(&mut self, change: &HomeChange) {
        self.numbers_asked &= change.numbers.is_none();
    }

    /// What the scheduler is to be told of how far the store has answered, if that is new.
    pub(super) fn silence(&mut self, silence: Silence) -> Option<Event> {
        let before = std::mem::replace(&mut self.silence, silence);
        (before != silence).then_some(Event::Silence(silence))
    }

    /// What the scheduler is to be told of the others, who may take it for dead from `until` on, if
    /// there is something that they may begin again.
    pub(super) fn out_of_touch(&mut self, until: Mono) -> Option<Event> {
        let now = clock::boot().mono;
        if now < until {
            self.told_to_end = None;
            return None;
        }
        let kill = now >= until.plus(self.patience);
        let is_news = self.told_to_end.is_none_or(|killed| kill && !killed);
        is_news.then(|| {
            self.told_to_end = Some(kill);
            Event::OutOfTouch { kill }
        })
    }

    /// When to look at that again.
    pub(super) fn deadline(&self, until: Mono) -> Option<Mono> {
        let at = match self.told_to_end {
            None => until,
            Some(false) => until.plus(self.patience),
            Some(true) => return None,
        };
        Some(clock::mono().plus(at.since(clock::boot().mono)))
    }
}

/// What a store that is shared knows of this host, and the sessions of the runs in it.
pub(super) fn restore(
    storage: &mut Storage,
    reader: Option<&mut dyn Reader>,
) -> Result<(Restored, HashMap<RunId, SessionId>), StoreError> {
    storage.store.restore()?;
    let members = reader.map_or(Ok(Vec::new()), |reader| reader.members())?;
    let Some(shared) = storage.store.shared() else { return Ok(Default::default()) };
    let (machine, boot) = (machine::id(), machine::boot_id());
    let is_ours = |member: &&Member| {
        *member.machine == *machine && *member.boot == *boot && !tree::is_alive(member.process)
    };
    // Those as well that the others have taken for dead: their processes may be alive.
    let ours: Vec<&Member> = members.iter().filter(is_ours).collect();
    for member in ours.iter().filter(|member| member.gone.is_none()) {
        // Nobody has to wait for its silence.
        shared.leave(member.id, true)?;
    }
    let known = shared.take_up(&[])?;
    let ids: HashSet<SessionId> = ours.iter().map(|member| member.id).collect();
    let open: Vec<OpenElsewhere> = known
        .open
        .into_iter()
        // What has not begun is decided by whoever has the job at home.
        .filter(|open| ids.contains(&open.session) && open.run.attempt > 0)
        .collect();
    let sessions = open.iter().map(|open| (open.run.run, open.session)).collect();
    let last = ours.iter().max_by_key(|member| member.seen);
    let restored = Restored {
        jobs: known.jobs,
        all_paused: known.all_paused,
        open: open.into_iter().map(|open| open.run).collect(),
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
    };
    Ok((restored, sessions))
}

/// This scheduler, before it has joined the others.
pub(super) fn member(settings: &FleetSettings, mark: u32, tzdata: &str) -> Member {
    Member {
        labels: settings.labels.as_slice().into(),
        machine: machine::id().into(),
        boot: machine::boot_id().into(),
        mark,
        process: recovery::own_process(),
        version: env!("CARGO_PKG_VERSION").into(),
        tzdata: tzdata.into(),
        ..Member::new(SessionId(machine::random()), &machine::host_of(settings))
    }
}

/// The protocol, as this scheduler follows it.
pub(super) fn protocol(settings: &FleetSettings, member: Member) -> Fleet {
    Fleet::new(Timing { lease: settings.lease }, member)
}

/// The jobs in effect, as the others are to know of them.
/// What was changed of them at run time, as `known` says, is in no file.
pub(super) fn jobs(
    set: &JobSet,
    known: Option<&Jobs>,
    added: &HashSet<Box<str>>,
    jobfile: &str,
) -> FleetOrder {
    let (hash, jobs) = with_hash(set, known, added);
    FleetOrder::Jobs { jobfile: jobfile.into(), hash, jobs }
}

/// The jobs of a jobfile and the hash of that, as a host would write them down that loads it.
pub(crate) fn jobs_of_file(set: &JobSet) -> (u64, Vec<HomeJob>) {
    with_hash(set, None, &HashSet::new())
}

fn with_hash(set: &JobSet, known: Option<&Jobs>, added: &HashSet<Box<str>>) -> (u64, Vec<HomeJob>) {
    let jobs = set.jobs.iter().map(|job| {
        let base = known.and_then(|known| known.bases.get(&job.id)).unwrap_or(job);
        home_job(job, base, &set.executors, added.contains(&job.id))
    });
    let jobs: Vec<HomeJob> = jobs.collect();
    let of_file = jobs.iter().filter(|job| !job.added);
    // In any order: two hosts may include the same files in another one.
    let hash = of_file.fold(0, |sum: u64, job| {
        sum.wrapping_add(hash::mix(hash::text(&job.id) ^ hash::mix(job.fingerprint)))
    });
    (hash, jobs)
}

/// A job as the others are to know of it; `base` is what is below what was changed at run time.
pub(super) fn home_job(job: &Job, base: &Job, executors: &[Executor], added: bool) -> HomeJob {
    let mut text = String::new();
    write::job(&mut text, base, executors, Secrets::Written);
    // A trigger says the same here in every version.
    let _ = write!(text, "{} {}", base.trigger.fingerprint(), base.zone.name());
    HomeJob {
        id: job.id.clone(),
        fingerprint: hash::text(&text),
        run_on: job.options.run_on.clone(),
        added,
        delay: job.options.longest_delay(),
        again: job.options.most_attempts(),
        parents: match &job.trigger {
            Trigger::After(after) => after.parents().into(),
            _ => [].into(),
        },
    }
}
