//! Processes that cannot be ended: each is reported once, is a reason in `status`, and keeps no run
//! and no scheduler for ever.
//!
//! There are three kinds. A process that belongs to another user may not be signalled; its run is
//! *abandoned* when it should have been killed. A process that hangs in the kernel ends when that
//! lets it, and its run waits. And where `/proc` cannot be read, what a run has left behind cannot
//! be looked for.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::WaitIdOptions;

use super::exit::{has_ended, wait};
use super::{Effects, State};
use crate::core::event::{Event, RunId};
use crate::core::instant::Mono;
use crate::core::sort;
use crate::run::child::tree;
use crate::store::Process;
use crate::sys::clock;

/// What has not ended so long after it was killed is worth a line in the log.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Active runs with processes that were killed and do not end, in a sentence.
    stuck: BTreeMap<RunId, String>,
    /// Processes that may not be signalled, by the run that they are of, or were of.
    forbidden: BTreeMap<RunId, Vec<Forbidden>>,
    /// Runs that were killed, and when to look whether they have ended.
    killed: VecDeque<(Mono, RunId)>,
    /// Why what runs leave behind cannot be looked for.
    blind: Option<String>,
}

/// A process that may not be signalled.
#[derive(Debug)]
struct Forbidden {
    process: Process,
    sentence: String,
    main: Main,
}

/// Whether it is the main process of a run that was abandoned.
#[derive(Debug)]
enum Main {
    No,
    /// It is our child, so it has to be waited for; its end is told by the handle, if there is one.
    Child(Option<OwnedFd>),
    /// It is not.
    Foreign(Option<OwnedFd>),
}

impl Trouble {
    /// A run is over. Who of it may not be signalled goes on being told of.
    pub(super) fn over(&mut self, id: RunId) {
        self.stuck.remove(&id);
    }

    pub(super) fn is_blind(&self) -> bool {
        self.blind.is_some()
    }

    pub(super) fn can_look(&mut self) {
        self.blind = None;
    }

    pub(super) fn cannot_look(&mut self, error: &io::Error) {
        self.blind = Some(format!("cannot look for processes left behind by runs: {error}"));
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.killed.front().map(|(at, _)| *at)
    }

    /// Forgets who has ended, but for those that somebody has to wait for.
    fn forget_ended(&mut self) {
        self.forbidden.retain(|_, all| {
            all.retain(|one| !matches!(one.main, Main::No) || tree::is_alive(one.process));
            !all.is_empty()
        });
    }
}

impl Effects {
    /// What is not as it should be, each in a sentence.
    pub(in crate::run::daemon) fn reasons(&self) -> Vec<String> {
        let forbidden = self.trouble.forbidden.values().flatten();
        let alive = forbidden.filter(|one| tree::is_alive(one.process));
        let alive = alive.map(|one| one.sentence.clone());
        let stuck = self.trouble.stuck.values().cloned();
        stuck.chain(alive).chain(self.trouble.blind.clone()).collect()
    }

    /// Some of a run's processes belong to somebody else. That is told once of each run.
    pub(super) fn may_not_signal(&mut self, id: RunId, forbidden: &[u32]) {
        let Some(&pid) = forbidden.first() else { return };
        let Some(run) = self.runs.get(&id) else { return };
        if self.trouble.forbidden.contains_key(&id) {
            return;
        }
        self.trouble.forget_ended();
        let (job, user) = (&*run.job.id, tree::user_of(pid));
        let more = match forbidden.len() {
            1 => String::new(),
            all => format!(" (and {} more)", all - 1),
        };
        log::warn!(
            event = "may_not_be_signalled",
            job = job,
            run = id.0,
            pid = pid,
            user = &*user;
            "cannot stop process {pid}{more}: it runs as {user}, and schedrs may not signal it"
        );
        let told = forbidden.iter().map(|&pid| {
            let user = tree::user_of(pid);
            let sentence = format!("cannot stop process {pid} of job {job}: it runs as {user}");
            let process = Process { pid, start: tree::start_of(pid).unwrap_or(0) };
            Forbidden { process, sentence, main: Main::No }
        });
        let told = told.collect();
        self.trouble.forbidden.insert(id, told);
    }

    /// Gives up a run whose main process may not be killed.
    pub(super) fn abandon(&mut self, id: RunId, events: &mut VecDeque<Event>) {
        let Some(run) = self.runs.get(&id) else { return };
        let State::Alive { pid, .. } = run.state else { return };
        let is_foreign = run.is_foreign;
        if !is_foreign && wait(pid, WaitIdOptions::NOWAIT).is_some() {
            // It has ended meanwhile, as will be heard.
            return;
        }
        self.attach(id);
        let Some(run) = self.runs.remove(&id) else { return };
        let handle = match run.state {
            State::Alive { handle, .. } => handle,
            State::Starting | State::Sweeping(_) => None,
        };
        if handle.is_none() {
            self.without_handle -= 1;
        }
        self.trouble.over(id);
        self.output.ended(id);
        self.last_attempt = 1;
        let user = tree::user_of(pid);
        let sentence = format!("gave up on process {pid} of job {}: it runs as {user}", run.job.id);
        let process = run.process.unwrap_or(Process { pid, start: 0 });
        let main = if is_foreign { Main::Foreign(handle) } else { Main::Child(handle) };
        let known = self.trouble.forbidden.entry(id).or_default();
        known.retain(|one| one.process.pid != pid);
        known.push(Forbidden { process, sentence, main });
        let reason = format!("process {pid} runs as {user}, and schedrs may not signal it");
        events.push_back(Event::Abandoned { run: id, reason });
    }

    /// The main process of a run that was abandoned has ended, or may have.
    pub(super) fn abandoned_ready(&mut self, id: RunId) {
        let Some(known) = self.trouble.forbidden.get_mut(&id) else { return };
        let (epoll, by_pid) = (&self.epoll, &mut self.by_pid);
        known.retain(|one| {
            let pid = one.process.pid;
            let (handle, ended) = match &one.main {
                Main::No => return true,
                Main::Child(handle) => (handle, wait(pid, WaitIdOptions::empty()).is_some()),
                Main::Foreign(handle) => (handle, handle.as_ref().is_none_or(has_ended)),
            };
            if ended {
                by_pid.remove(&pid);
                if let Some(handle) = handle {
                    epoll.remove(handle);
                }
                log::info!(
                    event = "abandoned_ended",
                    run = id.0,
                    pid = pid;
                    "process {pid}, which could not be stopped, has exited"
                );
            } else {
                Effects::watch_on(epoll, handle.as_ref(), id);
            }
            !ended
        });
        if known.is_empty() {
            self.trouble.forbidden.remove(&id);
        }
    }

    /// SIGCHLD: those of them that have no handle may have ended.
    pub(super) fn abandoned_ended(&mut self) {
        let without = |one: &Forbidden| matches!(one.main, Main::Child(None));
        let all = self.trouble.forbidden.iter();
        let ids: Vec<RunId> =
            all.filter(|(_, all)| all.iter().any(without)).map(|(id, _)| *id).collect();
        for id in ids {
            self.abandoned_ready(id);
        }
    }

    /// A run was killed: it is looked whether that has helped.
    pub(super) fn killed(&mut self, id: RunId) {
        self.trouble.killed.push_back((clock::mono().plus(PATIENCE), id));
    }

    /// Looks after the runs that were killed long enough ago.
    pub(super) fn doubt_in_time(&mut self, now: Mono) {
        while let Some(&(at, id)) = self.trouble.killed.front()
            && at <= now
        {
            self.trouble.killed.pop_front();
            if let Some(run) = self.runs.get(&id)
                && let State::Alive { pid, .. } = run.state
            {
                let start = run.process.map_or(0, |process| process.start);
                self.does_not_end(id, &[Process { pid, start }]);
            }
        }
    }

    /// The scheduler ends: who goes on without it?
    pub(in crate::run::daemon) fn say_who_is_left(&mut self) {
        self.limiter.close();
        if let Some(groups) = &self.groups {
            groups.close();
        }
        let forbidden = self.trouble.forbidden.values().flatten();
        let mut goes_on: Vec<u32> = forbidden
            .filter(|one| tree::is_alive(one.process))
            .map(|one| one.process.pid)
            .collect();
        match self.adopted.left() {
            Ok(left) => {
                goes_on.extend(left);
                sort::all(&mut goes_on);
                goes_on.dedup();
                if goes_on.is_empty() {
                    return;
                }
                let pids: Vec<String> = goes_on.iter().take(20).map(u32::to_string).collect();
                let more = if goes_on.len() > 20 { ", ..." } else { "" };
                log::warn!(
                    event = "left_running",
                    processes = goes_on.len();
                    "jobs left {} running that could not be stopped: {}{more}",
                    processes(goes_on.len()), pids.join(", ")
                );
            }
            Err(error) => log::warn!(
                event = "left_running";
                "jobs may have left processes running that could not be stopped: {error}"
            ),
        }
    }

    /// Says once of a run that it was killed and goes on.
    pub(super) fn does_not_end(&mut self, id: RunId, left: &[Process]) {
        let Some(run) = self.runs.get(&id) else { return };
        if self.trouble.stuck.contains_key(&id) {
            return;
        }
        let pids: Vec<String> =
            left.iter().take(5).map(|process| process.pid.to_string()).collect();
        let more = if left.len() > 5 { ", ..." } else { "" };
        let which = format!("{}{more}", pids.join(", "));
        let job = &*run.job.id;
        log::warn!(
            event = "not_ending",
            job = job,
            run = id.0;
            "killed, but still there: process {which}; its slot stays taken until it exits"
        );
        let sentence = format!("job {job} was killed but does not exit: process {which}");
        self.trouble.stuck.insert(id, sentence);
    }
}

/// `1 process`.
fn processes(number: usize) -> String {
    match number {
        1 => "1 process".to_owned(),
        _ => format!("{number} processes"),
    }
}
