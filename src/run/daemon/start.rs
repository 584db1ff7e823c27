//! The beginning: from a plan to a scheduler that goes on where an earlier one has ended, with its
//! effects, its records and its control socket.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Context;

use super::apply::{self, Surroundings};
use super::catching_up::CatchingUp;
use super::effects::{Effects, Message};
use super::fleet;
use super::hooks::JobHooks;
use super::messages::Messages;
use super::records::Records;
use super::recovery::{self, Over, Recovered};
use super::requests::{self, Composed, Jobs};
use super::vitals::{Alarm, Alarms};
use super::{Jobfile, Plan, Reopen, Storage, Waker};
use crate::control::Line;
use crate::control::server::{Past, Present, Server};
use crate::core::event::{Change, Health, Record, RunId, Start};
use crate::core::fleet::SessionId;
use crate::core::fleet::protocol::Fleet;
use crate::core::habit::slow::Watch;
use crate::core::instant::{Instant, Now};
use crate::core::job::JobSet;
use crate::core::outcome::Reached;
use crate::core::scheduler::{Scheduler, Texts};
use crate::core::streak::{FAILING, Streaks};
use crate::core::zone::Zone;
use crate::run::child::mark::Marks;
use crate::run::executor::Guest;
use crate::store::keeper::{FleetOrder, Keeper, Notes, StartHere, Starters};
use crate::store::{Fact, HAS_SHARED, Process, Reader, Restored, SHARING, Session, Sharing};
use crate::sys::clock;
use crate::sys::epoll::Epoll;
use crate::sys::heap;
use crate::sys::machine;
use crate::sys::mailbox::Mailbox;

/// What the loop consists of.
pub(super) struct Parts {
    pub(super) scheduler: Scheduler,
    pub(super) effects: Effects,
    pub(super) jobs: Option<Jobs>,
    pub(super) server: Option<Server>,
    /// What is not as it should be.
    pub(super) alarms: Alarms,
    /// What there is beside if others share the store.
    pub(super) fleet: Option<fleet::Here>,
    /// The hooks of jobs; none in a dry run.
    pub(super) hooks: Option<JobHooks>,
    /// How many runs of each job have failed in a row.
    pub(super) streaks: Streaks,
    /// Runs that may take longer than they should.
    pub(super) slow: Watch,
    /// Runs of an earlier scheduler that are over.
    pub(super) lost: Vec<Record>,
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
    let mut alarms = Alarms::new();
    let mut storage = plan.storage.take();
    let shared = HAS_SHARED && storage.as_ref().is_some_and(|storage| storage.shared);
    let (mut reader, restored, sessions) = read(storage.as_mut(), &mut alarms)?;
    let again = recovery::mark_of(restored.last_session.as_ref());
    let marks = if plan.embedded { Some(Marks::for_children(again)) } else { Marks::new(again) };
    let mut effects = Effects::new(plan, epoll, mailbox.clone(), marks)
        .context("cannot prepare for running jobs")?;
    let jobfile = plan.take_jobfile();
    let now = clock::now();
    let tzdata = jobfile.builder.tzdata().unwrap_or("unknown").to_owned();
    let mut jobs = storage.as_ref().map(|_| Jobs::new(jobfile.builder.clone()));
    let (added, overrides) = texts(&restored);
    let composed = composed(jobfile, &added, &overrides, now.wall);
    let around = Surroundings { effects: &mut effects, jobs: jobs.as_mut(), health, zones };
    let (set, displaced) = apply::apply(composed, around, now.wall);
    let Some(storage) = storage else {
        return Ok(without_store(plan, set, effects, jobs, alarms, now));
    };

    let messages = messages(plan, &storage, &set, &restored, reader.as_deref_mut(), &effects, now);
    let (known, mut restored) = (restored.jobs.len(), restored);
    // In a fleet others were there, and jobs come later.
    if !shared {
        let last = restored.last_session.as_ref();
        let down_since = last.map(|last| last.stopped.unwrap_or(last.seen));
        effects.catch_up(CatchingUp::after_down(down_since, now.wall));
    }
    let mut facts = give_way(displaced, &mut restored);
    let hooks = (!plan.dry_run).then(|| JobHooks::new(&set));
    let streaks = streaks(reader.as_deref_mut(), &set, shared);
    if let Some(reader) = &mut reader {
        effects.know_failed_hooks(&mut **reader);
        effects.habits_mut().restore(&mut **reader);
    }
    let session = session(plan, marks, now.wall);
    let mut recovered = recover(restored, &set, marks, reader.as_deref_mut(), shared, now);

    let settings = &set.settings.fleet;
    let sharing = SHARING.filter(|_| shared);
    let mut here = sharing.map(|sharing| fleet::Here::new(sharing, settings));
    let joins = sharing.map(|_| fleet::member(settings, session.mark, &tzdata));
    let me = joins.as_ref().map(|member| member.id);
    let protocol = sharing.zip(joins.map(|member| fleet::protocol(settings, member)));
    let keeper = keep(plan, storage, protocol, &effects, &mailbox)?;
    let notes = keeper.notes();
    here.iter_mut().for_each(|here| here.set_notes(keeper.notes()));
    let mut records = Records::new(keeper, here.as_ref().map(|here| here.host.clone()));
    let fleet_jobs = shared.then(|| {
        let ids = added.iter().map(|(id, _)| id.clone()).collect();
        fleet::jobs(&set, jobs.as_ref(), &ids, &session.jobfile)
    });
    facts.append(&mut recovered.facts);
    let withdrawals = std::mem::take(&mut recovered.withdrawals);
    let lost = lost_runs(&recovered, &set);
    first_facts(&mut records, session, fleet_jobs, withdrawals, facts);
    records.order(FleetOrder::Adopt(recovered.survivors_of(&sessions)));
    let scheduler = match me {
        Some(me) => Scheduler::in_fleet(now, set, recovered.saved, me),
        None => Scheduler::restored(now, set, recovered.saved),
    };
    let mut slow = Watch::default();
    for (run, process, handle) in recovered.survivors {
        take_back(&mut effects, &mut slow, &scheduler, run, process, handle);
    }
    records.flush();
    effects.keep_records(records);
    if let Some((messages, facts)) = messages {
        effects.keep_messages(messages, facts);
    }

    let server = listen(plan, mailbox, reader, notes, &mut alarms);
    heap::give_back_those(known);
    Ok(Parts { scheduler, effects, jobs, server, alarms, fleet: here, hooks, streaks, slow, lost })
}

/// The same where nothing is remembered, and nobody can ask.
fn without_store(
    plan: &Plan,
    set: JobSet,
    effects: Effects,
    jobs: Option<Jobs>,
    alarms: Alarms,
    now: Now,
) -> Parts {
    let hooks = (!plan.dry_run).then(|| JobHooks::new(&set));
    Parts {
        scheduler: Scheduler::new(now, set),
        effects,
        jobs,
        server: None,
        alarms,
        fleet: None,
        hooks,
        streaks: Streaks::default(),
        slow: Watch::default(),
        lost: Vec::new(),
    }
}

/// How many runs of each job have failed in a row.
fn streaks(reader: Option<&mut (dyn Reader + 'static)>, set: &JobSet, shared: bool) -> Streaks {
    let host = machine::host_of(&set.settings.fleet);
    let mut streaks = Streaks::new(Some(&*host).filter(|_| shared));
    match reader.map(|reader| reader.entries(FAILING)) {
        Some(Ok(entries)) => streaks.restore(entries, &set.runs_on_all()),
        Some(Err(error)) => {
            log::warn!(event = "store"; "cannot tell which jobs have failed last: the store {error}");
        }
        None => {}
    }
    streaks
}

/// Who tells people, and what there is to write about it at once. An embedded scheduler has no helper
/// that could deliver anything, and whoever only tries something sees what comes of it.
fn messages(
    plan: &Plan,
    storage: &Storage,
    set: &JobSet,
    restored: &Restored,
    reader: Option<&mut (dyn Reader + 'static)>,
    effects: &Effects,
    now: Now,
) -> Option<(Messages, Vec<Fact>)> {
    let has_routes = !set.settings.routes.is_empty();
    let has_pings =
        set.settings.heartbeat.is_some() || set.jobs.iter().any(|job| job.options.ping.is_some());
    if plan.embedded && (has_routes || has_pings) {
        log::warn!(event = "notify"; "an embedded scheduler sends no notifications and no pings");
    }
    if plan.embedded || plan.dry_run || plan.once {
        return None;
    }
    let host = machine::host_of(&set.settings.fleet);
    let (hooks, mailbox) = (effects.hooks().clone(), effects.mailbox());
    let store = (&*storage.name, HAS_SHARED && storage.shared);
    let mut messages = Messages::new(set, &host, store, hooks, mailbox, now.mono);
    let mut facts = Vec::new();
    if let Some(reader) = reader {
        facts = messages.restore(reader, set, now);
        messages.expect_all(set, restored, reader, now.wall);
    }
    messages.begin(now);
    Some((messages, facts))
}

/// What reads a store, what that remembers, and the sessions of the runs in it.
type Known = (Option<Box<dyn Reader>>, Restored, HashMap<RunId, SessionId>);

/// What reads the store, what it remembers, and the sessions of the runs in that if it is shared.
fn read(storage: Option<&mut Storage>, alarms: &mut Alarms) -> anyhow::Result<Known> {
    let Some(storage) = storage else {
        return Ok((None, Restored::default(), HashMap::new()));
    };
    let mut reader = match storage.store.reader() {
        Ok(reader) => Some(reader),
        Err(error) => {
            alarms.insert(Alarm::Reader, format!("cannot read the store: {error}"));
            None
        }
    };
    let restored = if HAS_SHARED && storage.shared {
        let reader = reader.as_mut().map(|reader| &mut **reader as &mut dyn Reader);
        fleet::restore(storage, reader)
    } else {
        storage.store.restore().map(|restored| (restored, HashMap::new()))
    };
    let (restored, sessions) = restored.context("cannot read the store")?;
    Ok((reader, restored, sessions))
}

/// What the store is told first: of the session, or, in a fleet, of the jobs; and of what an earlier
/// scheduler has left.
fn first_facts(
    records: &mut Records,
    session: Session,
    fleet_jobs: Option<FleetOrder>,
    withdrawals: Vec<(Box<str>, Instant, RunId)>,
    facts: Vec<Fact>,
) {
    match fleet_jobs {
        // What has not begun is decided by whoever has the job at home.
        Some(jobs) => records.order(jobs),
        None => {
            records.add(Fact::Began(session));
            for (job, due, run) in withdrawals {
                records.will_withdraw(job, due, run);
            }
        }
    }
    facts.into_iter().for_each(|fact| records.add(fact));
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

/// What has become of what an earlier scheduler had running, and what is left of it.
fn recover(
    restored: Restored,
    set: &JobSet,
    marks: Option<Marks>,
    reader: Option<&mut (dyn Reader + 'static)>,
    shared: bool,
    now: Now,
) -> Recovered {
    // In a fleet the store itself says what is undecided.
    let looks = reader.filter(|_| !shared).map(|reader| reader as &mut dyn Reader);
    let mut recovered = recovery::recover(restored, set, marks, looks, now);
    if shared {
        recovered.leave_what_runs_again(set);
    }
    log_recovered(&recovered);
    recovered
}

/// From here on one can ask: over the control socket, and from within this process.
fn listen(
    plan: &mut Plan,
    mailbox: Mailbox<Message>,
    reader: Option<Box<dyn Reader>>,
    notes: Notes,
    alarms: &mut Alarms,
) -> Option<Server> {
    let line: Line = Arc::new(move |call| mailbox.send(Message::Call(call)));
    let server = serve(plan, Arc::clone(&line), reader, notes, alarms);
    if let Some(ready) = plan.ready.take() {
        ready(line);
    }
    server
}

/// The control socket, if there is to be one and it can be made.
fn serve(
    plan: &Plan,
    line: Line,
    reader: Option<Box<dyn Reader>>,
    notes: Notes,
    alarms: &mut Alarms,
) -> Option<Server> {
    let path = plan.socket.as_ref()?;
    let present = Present {
        output: Some(Arc::new(plan.output.clone())),
        events: Some(Arc::clone(&plan.journal)),
    };
    let edited = Arc::clone(&plan.edited);
    let past = Past {
        reader,
        whereabouts: Some(Box::new(move || notes.whereabouts())),
        edited: Some(Box::new(move || edited.changed_since())),
    };
    match Server::start_with_present(path, move |call| line(call), past, present) {
        Ok(server) => Some(server),
        Err(error) => {
            let text = format!("no control socket at {}: {error}", path.display());
            log::warn!(event = "no_control"; "{text}");
            alarms.insert(Alarm::Control, text);
            None
        }
    }
}

/// The thread that writes to the store.
fn keep(
    plan: &Plan,
    storage: Storage,
    fleet: Option<(Sharing, Fleet)>,
    effects: &Effects,
    mailbox: &Mailbox<Message>,
) -> anyhow::Result<Keeper> {
    let Storage { store, reopen: Reopen(reopen), limits, .. } = storage;
    let submitter = effects.submitter();
    let says = mailbox.clone();
    let submit = move |start| submitter.submit(start);
    let tell = move |event| says.send(Message::Store(event));
    let keeper = match fleet {
        Some((sharing, fleet)) => {
            Keeper::start_shared(sharing, store, reopen, limits, fleet, submit, tell)
        }
        None => Keeper::start(store, reopen, limits, submit, Some(starters(effects)), tell),
    };
    let keeper = keeper.context("cannot start the store's thread")?;
    // There is but one, and this is the first time.
    let _ = plan.notes.set(keeper.notes());
    Ok(keeper)
}

/// Makes processes on the store's thread, and leaves what comes of them in the loop's mailbox.
struct OnStoreThread {
    guest: Guest,
    mailbox: Mailbox<Message>,
}

impl StartHere for OnStoreThread {
    fn start(&mut self, start: Start) -> Option<Start> {
        self.guest.start(start)
    }

    fn tell(&self) {
        self.mailbox.tell();
    }

    fn leave(self: Box<Self>) {
        self.guest.stay();
    }
}

fn starters(effects: &Effects) -> Starters {
    let (submitter, mailbox) = (effects.submitter(), effects.mailbox());
    Box::new(move || {
        let (guest, mailbox) = (submitter.guest().ok()?, mailbox.clone());
        Some(Box::new(OnStoreThread { guest, mailbox }))
    })
}

/// The jobfile with what was added and changed at run time.
fn composed(jobfile: Jobfile, added: &Texts, overrides: &Texts, now: Instant) -> Composed {
    if added.is_empty() && overrides.is_empty() {
        return Composed::of(jobfile);
    }
    let Jobfile { set, builder, .. } = jobfile;
    requests::compose(set, &builder, added, overrides, |_| None, now)
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
    slow: &mut Watch,
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
        "process {} of the previous scheduler is still running; watching it again", process.pid
    );
    if let Some(started) = active.started {
        slow.begin(run, &active.job, active.due, started);
    }
    effects.take_back(active, process, handle);
}

/// The runs that are over, as far as their jobs are still there.
fn lost_runs(recovered: &Recovered, set: &JobSet) -> Vec<Record> {
    if recovered.over.is_empty() {
        return Vec::new();
    }
    let jobs: HashMap<&str, _> = set.jobs.iter().map(|job| (&*job.id, job)).collect();
    let record = |over: &Over| {
        let job = Arc::clone(jobs.get(&*over.job)?);
        Some(Record {
            job,
            due: over.due,
            last_due: over.due,
            count: 1,
            run: Some(over.run),
            outcome: over.outcome.clone(),
            started: over.started,
            duration: over.duration,
            attempts: over.attempts,
            usage: None,
        })
    };
    recovered.over.iter().filter_map(record).collect()
}

fn log_recovered(recovered: &Recovered) {
    for Over { run, job, outcome, .. } in &recovered.over {
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
