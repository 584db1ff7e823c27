//! The beginning: from a plan to a scheduler that goes on where an earlier one has ended, with its
//! effects, its records and its control socket.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Context;

use super::apply::{self, Surroundings};
use super::effects::{Effects, Message};
use super::fleet;
use super::records::Records;
use super::recovery::{self, Recovered};
use super::requests::{self, Composed, Jobs};
use super::{Jobfile, Plan, Reopen, Storage, Waker};
use crate::control::Line;
use crate::control::follow::Follow;
use crate::control::server::Server;
use crate::core::event::{Change, Health, RunId};
use crate::core::fleet::protocol::Fleet;
use crate::core::instant::Instant;
use crate::core::outcome::Reached;
use crate::core::scheduler::{Scheduler, Texts};
use crate::core::zone::Zone;
use crate::run::child::mark::Marks;
use crate::store::keeper::Keeper;
use crate::store::{Fact, Process, Reader, Restored, Session};
use crate::sys::clock;
use crate::sys::epoll::Epoll;
use crate::sys::heap;
use crate::sys::mailbox::Mailbox;

/// What the loop consists of.
pub(super) struct Parts {
    pub(super) scheduler: Scheduler,
    pub(super) effects: Effects,
    pub(super) jobs: Option<Jobs>,
    pub(super) server: Option<Server>,
    /// What is not as it should be.
    pub(super) alarms: HashMap<&'static str, String>,
    /// What there is beside if others share the store.
    pub(super) fleet: Option<fleet::Here>,
}

/// Makes them.
pub(super) fn start(
    plan: &mut Plan,
    epoll: Epoll,
    waker: Arc<Waker>,
    health: &mut Health,
    zones: &mut Vec<Zone>,
) -> anyhow::Result<Parts> {
    let mailbox = Mailbox::new(waker);
    let mut alarms = HashMap::new();
    let mut storage = plan.storage.take();
    let shared = storage.as_ref().is_some_and(|storage| storage.shared);
    let (mut reader, restored) = read(storage.as_mut(), &mut alarms)?;
    let again = recovery::mark_of(restored.last_session.as_ref());
    let marks = if plan.embedded { Some(Marks::for_children(again)) } else { Marks::new(again) };
    let mut effects = Effects::new(plan, epoll, mailbox.clone(), marks)
        .context("failed to prepare for running jobs")?;
    let jobfile = plan.take_jobfile();
    let now = clock::now();
    let mut jobs = storage.as_ref().map(|_| Jobs::new(jobfile.builder.clone()));
    let (added, overrides) = texts(&restored);
    let composed = if added.is_empty() && overrides.is_empty() {
        Composed::of(jobfile)
    } else {
        let Jobfile { set, builder } = jobfile;
        requests::compose(set, &builder, &added, &overrides, |_| None, now.wall)
    };
    let around = Surroundings { effects: &mut effects, jobs: jobs.as_mut(), health, zones };
    let (set, displaced) = apply::apply(composed, around, now.wall);
    let Some(storage) = storage else {
        let scheduler = Scheduler::new(now, set);
        return Ok(Parts { scheduler, effects, jobs, server: None, alarms, fleet: None });
    };

    let known = restored.jobs.len();
    let mut restored = restored;
    let mut facts = give_way(displaced, &mut restored);
    let session = session(plan, marks, now.wall);
    // In a fleet the store itself says what is undecided.
    let looks = reader.as_mut().filter(|_| !shared);
    let looks = looks.map(|reader| &mut **reader as &mut dyn Reader);
    let recovered = recovery::recover(restored, &set, marks, looks, now);
    log_recovered(&recovered);
    let Recovered { saved, facts: recovered_facts, .. } = recovered;
    let (withdrawals, survivors) = (recovered.withdrawals, recovered.survivors);

    let here = shared.then(|| fleet::Here::new(&set.settings.fleet));
    let host = here.as_ref().map(|here| here.host.clone());
    let joins = shared.then(|| fleet::member(&set.settings.fleet, session.mark));
    let me = joins.as_ref().map(|member| member.id);
    let protocol = joins.map(|member| fleet::protocol(&set.settings.fleet, member));
    let mut records = Records::new(keep(plan, storage, protocol, &effects, &mailbox)?, host);
    if shared {
        let ids = added.iter().map(|(id, _)| id.clone()).collect();
        records.order(fleet::jobs(&set, &ids, &session.jobfile));
        withdrawals.iter().for_each(|(_, _, run)| records.add(Fact::Withdrawn { run: *run }));
    } else {
        records.add(Fact::Began(session));
        for (job, due, run) in withdrawals {
            records.will_withdraw(job, due, run);
        }
    }
    facts.extend(recovered_facts);
    facts.into_iter().for_each(|fact| records.add(fact));
    let scheduler = match me {
        Some(me) => Scheduler::in_fleet(now, set, saved, me),
        None => Scheduler::restored(now, set, saved),
    };
    for (run, process, handle) in survivors {
        take_back(&mut effects, &scheduler, run, process, handle);
    }
    records.flush();
    effects.keep_records(records);

    let line: Line = {
        let mailbox = mailbox.clone();
        Arc::new(move |call| mailbox.send(Message::Call(call)))
    };
    let server = serve(plan, Arc::clone(&line), reader, &mut alarms);
    if let Some(ready) = plan.ready.take() {
        ready(line);
    }
    heap::give_back_those(known);
    Ok(Parts { scheduler, effects, jobs, server, alarms, fleet: here })
}

/// What reads the store, and what it remembers.
fn read(
    storage: Option<&mut Storage>,
    alarms: &mut HashMap<&'static str, String>,
) -> anyhow::Result<(Option<Box<dyn Reader>>, Restored)> {
    let Some(storage) = storage else { return Ok((None, Restored::default())) };
    let mut reader = match storage.store.reader() {
        Ok(reader) => Some(reader),
        Err(error) => {
            alarms.insert("reader", format!("the store cannot be read: {error}"));
            None
        }
    };
    let restored = if storage.shared {
        let reader = reader.as_mut().map(|reader| &mut **reader as &mut dyn Reader);
        fleet::restore(storage, reader)
    } else {
        storage.store.restore()
    };
    Ok((reader, restored.context("failed to read the store")?))
}

/// Jobs that were added and give way to one of the jobfile: what there is to remember of that.
fn give_way(displaced: Vec<Change>, restored: &mut Restored) -> Vec<Fact> {
    let mut facts = Vec::new();
    for change in displaced {
        if let Some(id) = &change.job {
            restored.jobs.retain(|record| record.id != *id);
            facts.push(Fact::Gone { job: id.clone() });
        }
        facts.push(Fact::Change(change));
    }
    facts
}

/// What the store knows this scheduler by.
fn session(plan: &Plan, marks: Option<Marks>, now: Instant) -> Session {
    Session {
        process: recovery::own_process(),
        boot: recovery::boot_id(),
        began: now,
        seen: now,
        stopped: None,
        jobfile: match &plan.origin {
            Some(path) => path.to_string_lossy().into(),
            None => plan.source.as_str().into(),
        },
        mark: marks.map_or(0, |marks| marks.number()),
    }
}

/// The control socket, if there is to be one and it can be made.
fn serve(
    plan: &Plan,
    line: Line,
    reader: Option<Box<dyn Reader>>,
    alarms: &mut HashMap<&'static str, String>,
) -> Option<Server> {
    let path = plan.socket.as_ref()?;
    let output: Arc<dyn Follow> = Arc::new(plan.output.clone());
    match Server::start_with_output(path, move |call| line(call), reader, Some(output)) {
        Ok(server) => Some(server),
        Err(error) => {
            let text = format!("no control socket at {}: {error}", path.display());
            log::warn!(event = "no_control"; "{text}");
            alarms.insert("control", text);
            None
        }
    }
}

/// The thread that writes to the store.
fn keep(
    plan: &Plan,
    storage: Storage,
    fleet: Option<Fleet>,
    effects: &Effects,
    mailbox: &Mailbox<Message>,
) -> anyhow::Result<Keeper> {
    let Storage { store, reopen: Reopen(reopen), limits, .. } = storage;
    let submitter = effects.submitter();
    let says = mailbox.clone();
    let submit = move |start| submitter.submit(start);
    let tell = move |event| says.send(Message::Store(event));
    let keeper = match fleet {
        Some(fleet) => Keeper::start_shared(store, reopen, limits, fleet, submit, tell),
        None => Keeper::start(store, reopen, limits, submit, tell),
    };
    let keeper = keeper.context("failed to start the store's thread")?;
    // There is but one, and this is the first time.
    let _ = plan.notes.set(keeper.notes());
    Ok(keeper)
}

/// Definitions and overrides that were kept.
fn texts(restored: &Restored) -> (Texts, Texts) {
    let texts = |text: fn(&crate::core::event::JobRecord) -> Option<&Box<str>>| -> Texts {
        let jobs = restored.jobs.iter();
        jobs.filter_map(|job| Some((job.id.clone(), text(job)?.clone()))).collect()
    };
    (texts(|job| job.added.as_ref()), texts(|job| job.overrides.as_ref()))
}

fn take_back(
    effects: &mut Effects,
    scheduler: &Scheduler,
    run: RunId,
    process: Process,
    handle: OwnedFd,
) {
    let active = scheduler.status().active.into_iter().find(|active| active.run == run);
    let Some(active) = active else { return };
    log::warn!(
        event = "taken_back",
        job = &*active.job.id,
        run = run.0,
        pid = process.pid;
        "its process, pid {}, has outlived an earlier scheduler and goes on under watch", process.pid
    );
    effects.take_back(run, active.job, active.due, process, handle);
}

fn log_recovered(recovered: &Recovered) {
    for (run, job, outcome) in &recovered.over {
        let text = outcome.phrase(Reached::Process(None));
        log::warn!(
            event = outcome.word(),
            job = &**job,
            run = run.0,
            reason = outcome.reason().unwrap_or_default();
            "{text}"
        );
    }
}
