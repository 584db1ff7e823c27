//! Runs that an earlier scheduler has left open: taken back under watch where their process
//! still lives, `lost` where it does not, decided anew where nothing of them had begun.
//!
//! A run is never started a second time because of a crash: the store had it before its process
//! existed. Who a process is, is told by its id together with the time of its start, on the same
//! boot of the machine.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

use crate::core::event::{Ended, RunId};
use crate::core::fleet::SessionId;
use crate::core::instant::{Instant, Now};
use crate::core::job::{JobSet, OnLost};
use crate::core::outcome::Outcome;
use crate::core::scheduler::after::{ENDED, JOINS, SavedChains, entry_of};
use crate::core::scheduler::conditions::{AWAITS, awaits_key};
use crate::core::scheduler::{SavedState, Survivor};
use crate::core::trigger::Trigger;
use crate::run::child::mark::Marks;
use crate::run::child::tree;
use crate::store::{Fact, OpenRun, Process, Query, Reader, Restored, Session};

/// More due times of one job than this are not looked for behind their jitter.
const MOST_DELAYED: usize = 10_000;

/// What was made of what the store knew.
#[derive(Debug)]
pub(super) struct Recovered {
    /// For the scheduler.
    pub(super) saved: SavedState,
    /// For the store: what has become of the runs that are not taken back.
    pub(super) facts: Vec<Fact>,
    /// For the store, too: runs that never began, to be withdrawn when their due time is decided.
    pub(super) withdrawals: Vec<(Box<str>, Instant, RunId)>,
    /// For the effects: the processes that live.
    pub(super) survivors: Vec<(RunId, Process, OwnedFd)>,
    /// For the log and the hooks: each run that is over.
    pub(super) over: Vec<Over>,
}

/// A run that is over.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) run: RunId,
    pub(super) job: Box<str>,
    pub(super) due: Instant,
    /// How it ended.
    pub(super) outcome: Outcome,
    pub(super) started: Option<Instant>,
    pub(super) duration: Duration,
    pub(super) attempts: u32,
}

pub(super) fn own_process() -> Process {
    let pid = getpid().as_raw_nonzero().get() as u32;
    Process { pid, start: tree::start_of(pid).unwrap_or(0) }
}

/// Which boot of the machine this is.
pub(super) fn boot_id() -> Box<str> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().into()
}

/// The number in the mark of the last scheduler with this store, so that what it has started is
/// still known; none after a boot, when there is nothing left of that.
pub(super) fn mark_of(last: Option<&Session>) -> Option<u32> {
    last.filter(|last| last.boot == boot_id() && last.mark != 0).map(|last| last.mark)
}

/// Looks after what was left open. `reader` tells which due times have a fate.
pub(super) fn recover(
    restored: Restored,
    set: &JobSet,
    marks: Option<Marks>,
    reader: Option<&mut dyn Reader>,
    now: Now,
) -> Recovered {
    let last = restored.last_session;
    let same_boot = last.as_ref().is_some_and(|last| last.boot == boot_id());
    let mut recovered = Recovered {
        saved: SavedState {
            jobs: restored.jobs,
            all_paused: restored.all_paused,
            next_run: restored.next_run,
            ..SavedState::default()
        },
        facts: Vec::new(),
        withdrawals: Vec::new(),
        survivors: Vec::new(),
        over: Vec::new(),
    };
    let mut unheard_of = UnheardOf { marks: marks.filter(|_| same_boot), found: None };
    for open in restored.open {
        recovered.look_after(open, &mut unheard_of, same_boot, now.wall);
    }
    if let Some(reader) = reader {
        recovered.find_chains(reader);
        recovered.find_delayed(set, reader, now.wall);
    }
    recovered.end_parents(set, now.wall);
    recovered.forget_awaits();
    recovered
}

/// Processes of which the store has not heard: the scheduler ended between making one and saying so.
/// They are looked for when somebody first asks.
struct UnheardOf {
    marks: Option<Marks>,
    found: Option<HashMap<RunId, Process>>,
}

impl UnheardOf {
    fn process_of(&mut self, run: RunId) -> Option<Process> {
        let marks = self.marks?;
        let found = self.found.get_or_insert_with(|| {
            tree::all_marked(marks).unwrap_or_else(|error| {
                log::warn!("cannot look for processes of the previous scheduler: /proc: {error}");
                HashMap::new()
            })
        });
        found.get(&run).copied()
    }
}

impl Recovered {
    /// Looks after a run that was left open.
    fn look_after(
        &mut self,
        open: OpenRun,
        unheard_of: &mut UnheardOf,
        same_boot: bool,
        now: Instant,
    ) {
        if open.attempt == 0 {
            self.withdrawals.push((open.job.clone(), open.due, open.run));
            self.saved.undecided.push((open.job, open.due));
            return;
        }
        if let Some(outcome) = open.last.clone() {
            // It was waiting for a retry.
            self.end(&open, outcome, now);
            return;
        }
        let process = open.process.or_else(|| unheard_of.process_of(open.run));
        let alive =
            process.filter(|_| same_boot).and_then(|process| Some((process, handle(process)?)));
        let Some((process, handle)) = alive else {
            let reason = match (process, same_boot) {
                (_, false) => "the machine restarted during the run",
                (Some(_), true) => {
                    "the scheduler died during the run, and the process has exited since"
                }
                (None, true) => "the scheduler died while starting it",
            };
            return self.end(&open, Outcome::Lost(reason.to_owned()), now);
        };
        if open.process.is_none() {
            let (run, attempt) = (open.run, open.attempt);
            self.facts.push(Fact::Started { run, attempt, process, at: now });
        }
        self.survivors.push((open.run, process, handle));
        self.saved.survivors.push(Survivor {
            run: open.run,
            job: open.job,
            due: open.due,
            attempt: open.attempt,
            started: open.started.unwrap_or(now),
        });
    }

    /// The runs that are taken back, each with its job and the session that has had it.
    pub(super) fn survivors_of(
        &self,
        sessions: &HashMap<RunId, SessionId>,
    ) -> Vec<(RunId, Box<str>, SessionId)> {
        let runs = self.saved.survivors.iter();
        let of = |it: &Survivor| Some((it.run, it.job.clone(), *sessions.get(&it.run)?));
        runs.filter_map(of).collect()
    }

    /// What others may begin again is not called lost here: whoever has its job at home sees to it.
    pub(super) fn leave_what_runs_again(&mut self, set: &JobSet) {
        let again = set.jobs.iter().filter(|job| job.options.on_lost == OnLost::RunAgain);
        let again: HashSet<&str> = again.map(|job| &*job.id).collect();
        self.facts.retain(
            |fact| !matches!(fact, Fact::Ended { job, outcome: Outcome::Lost(_), .. } if again.contains(&**job)),
        );
        self.over.retain(|over| {
            !(matches!(over.outcome, Outcome::Lost(_)) && again.contains(&*over.job))
        });
    }

    fn end(&mut self, open: &OpenRun, outcome: Outcome, now: Instant) {
        let until = open.last_ended.unwrap_or(now);
        let duration = open.started.map_or(Duration::ZERO, |started| until.since(started));
        self.facts.push(Fact::Ended {
            run: open.run,
            job: open.job.clone(),
            outcome: outcome.clone(),
            duration,
            attempts: open.attempt,
            at: now,
            usage: None,
        });
        self.over.push(Over {
            run: open.run,
            job: open.job.clone(),
            due: open.due,
            outcome,
            started: open.started,
            duration,
            attempts: open.attempt,
        });
    }

    /// What follows from runs of other jobs and was not decided.
    fn find_chains(&mut self, reader: &mut dyn Reader) {
        let entries = |reader: &mut dyn Reader, list| match reader.entries(list) {
            Ok(entries) => entries,
            Err(error) => {
                log::warn!(event = "store"; "cannot tell which jobs wait for others: the store {error}");
                Vec::new()
            }
        };
        let (ended, joins) = (entries(reader, ENDED), entries(reader, JOINS));
        self.saved.chains = SavedChains::read(ended, joins);
    }

    /// What they were waiting for is looked at anew.
    fn forget_awaits(&mut self) {
        let keys = self.withdrawals.iter().map(|(_, _, run)| awaits_key(*run));
        let gone = keys.map(|key| Fact::Entry { list: AWAITS.into(), key, value: None });
        self.facts.extend(gone);
    }

    /// The runs that are over here are the end of what other jobs are due after: the scheduler decides
    /// what follows. Should it die before that, the next one still knows.
    fn end_parents(&mut self, set: &JobSet, now: Instant) {
        let after = set.jobs.iter().filter_map(|job| match &job.trigger {
            Trigger::After(after) => Some(after),
            _ => None,
        });
        let parents: HashSet<&str> =
            after.flat_map(|after| after.parents()).map(|parent| &**parent).collect();
        for over in self.over.iter().filter(|over| parents.contains(&*over.job)) {
            let (job, outcome) = (over.job.clone(), over.outcome.clone());
            let (due, last_due) = (over.due, over.due);
            let run = Some(over.run);
            let ended = Ended { job, due, last_due, count: 1, outcome, at: now, run };
            let (key, value) = entry_of(&ended);
            self.facts.push(Fact::Entry { list: ENDED.into(), key, value: Some(value) });
            self.saved.chains.ended.push(ended);
        }
    }

    /// Due times that had been reached and were waiting for their jitter to pass while later ones
    /// fired: they lie before the last one that is decided, and have no fate.
    fn find_delayed(&mut self, set: &JobSet, reader: &mut dyn Reader, now: Instant) {
        let jittered = set.jobs.iter().filter(|job| !job.options.longest_delay().is_zero());
        let jittered: HashMap<&str, _> = jittered.map(|job| (&*job.id, job)).collect();
        if jittered.is_empty() {
            return;
        }
        for record in &self.saved.jobs {
            let Some(job) = jittered.get(&*record.id) else { continue };
            if *job.trigger.fingerprint() != *record.trigger || record.pause.is_some() {
                continue;
            }
            let decided = record.decided.min(now);
            let from = decided.minus(job.options.longest_delay()).max(record.since);
            let trigger = job.trigger.anchored(record.anchor);
            let mut due = trigger.next_after(from);
            let mut candidates = Vec::new();
            while let Some(at) = due.filter(|&at| at <= decided)
                && candidates.len() < MOST_DELAYED
            {
                // One that had fired long since has its fate, or would be too late for one.
                if at.plus(job.delay(at)) > from {
                    candidates.push(at);
                }
                due = trigger.next_after(at);
            }
            let query =
                Query { job: Some(record.id.clone()), since: Some(from), ..Query::default() };
            let Ok(records) = reader.records(&query) else { continue };
            let single: HashSet<Instant> = records.iter().map(|found| found.due).collect();
            let in_range =
                |at: Instant| records.iter().any(|found| found.due <= at && at <= found.last_due);
            candidates.retain(|&at| !single.contains(&at) && !in_range(at));
            let id = &record.id;
            self.saved.undecided.extend(candidates.into_iter().map(|at| (id.clone(), at)));
        }
    }
}

/// A handle of a process, if it is alive and still the one that is meant.
fn handle(process: Process) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(process.pid).ok()?)?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // Looked at after the handle was taken: from here on the number cannot come to stand for
    // another process without the handle telling.
    tree::is_alive(process).then_some(handle)
}
