//! Whether and how a process has ended, asked without waiting, and what is left of its run then.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::sweep::Sweep;
use super::{Effects, Message, Order, Run, State};
use crate::core::event::{Event, Exit, RunId};
use crate::core::instant::Mono;
use crate::core::usage::Usage;
use crate::run::daemon::{TOKEN_RUN, TOKEN_WAKE};
use crate::run::executor::Report;
use crate::sys::epoll::{Epoll, EventFlags, Ready};
use crate::sys::{clock, process};

/// A process ends once: it is not told of its end again before that is seen to.
const ONCE: EventFlags = EventFlags::IN.union(EventFlags::ONESHOT);

impl Effects {
    /// Waits for the end of a process once: what has told of its end does not tell of it again.
    pub(super) fn watch(&self, handle: &OwnedFd, id: RunId) -> Result<(), Errno> {
        self.epoll.add(handle, id.0 + TOKEN_RUN, ONCE)
    }

    /// Waits once more for what was not the end of a process.
    pub(super) fn watch_on(epoll: &Epoll, handle: Option<&OwnedFd>, id: RunId) {
        if let Some(handle) = handle {
            // It is in the set, and nothing has to be made for it: this does not fail.
            let _ = epoll.modify(handle, id.0 + TOKEN_RUN, ONCE);
        }
    }

    /// What the scheduler has to hear is put off for a moment. Processes that exist by now are watched all
    /// the same, and who has ended leaves: it is known how long that has taken, and its files and its
    /// control group are there for others. Answers whether there is something that is not to be put off.
    pub(in crate::run::daemon) fn reap_ended(
        &mut self,
        ready: &mut Ready,
        events: &mut VecDeque<Event>,
    ) -> bool {
        for message in self.mailbox.take() {
            match message {
                Message::Report(report @ Report::Started { .. }) => self.reported(report, events),
                other => self.deferred.push(other),
            }
        }
        let mut is_wanted = self.deferred.iter().any(|message| !message.may_be_deferred());
        loop {
            if self.epoll.wait(ready, Some(Duration::ZERO)).is_err() {
                return true;
            }
            let now = clock::mono();
            for (token, _) in ready.iter() {
                match token.checked_sub(TOKEN_RUN) {
                    Some(run) => self.child_ready(RunId(run), now, events),
                    // What others have sent, was taken.
                    None => is_wanted |= token != TOKEN_WAKE,
                }
            }
            if !ready.is_full() {
                return is_wanted;
            }
        }
    }

    /// Whether there are messages that were put off.
    pub(in crate::run::daemon) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// The main process of a run has ended, or may have. It was seen then.
    pub(in crate::run::daemon) fn child_ready(
        &mut self,
        id: RunId,
        at: Mono,
        events: &mut VecDeque<Event>,
    ) {
        let Some(Run { state: State::Alive { pid, handle }, is_foreign, .. }) = self.runs.get(&id)
        else {
            return self.abandoned_ready(id);
        };
        let (pid, is_foreign) = (*pid, *is_foreign);
        let exit = if is_foreign {
            handle.as_ref().filter(|handle| has_ended(handle)).map(|_| Exit::Unknown)
        } else {
            wait(pid, WaitIdOptions::NOWAIT)
        };
        let Some(exit) = exit else { return Effects::watch_on(&self.epoll, handle.as_ref(), id) };
        let handle = self.unwatch(id);
        if is_foreign {
            // Its number is free for others now.
            self.by_pid.remove(&pid);
        }
        let is_empty = self.is_group_empty(id);
        if !is_foreign && is_empty && !self.adopted.reap() {
            self.ended(id, pid, exit, Some(at), events);
            return;
        }
        let Some(run) = self.runs.get_mut(&id) else { return };
        let now = clock::mono();
        let kill_at = match run.order {
            Order::Kill => now,
            _ => now.plus(run.job.options.kill_after),
        };
        // The number of a child is kept; another's group can only be reached by its handle.
        let handle = handle.filter(|_| is_foreign);
        run.state = State::Sweeping(Sweep::new(pid, handle, exit, kill_at, now));
        self.sweeping += 1;
        self.sweep(id, now, events);
    }

    /// The handle of a main process that need not be watched any more.
    fn unwatch(&mut self, id: RunId) -> Option<OwnedFd> {
        let State::Alive { handle, .. } = &mut self.runs.get_mut(&id)?.state else { return None };
        match handle.take() {
            Some(handle) => {
                self.epoll.remove(&handle);
                Some(handle)
            }
            None => {
                self.without_handle -= 1;
                None
            }
        }
    }

    /// Nothing is left of a run, since then if that was not just now.
    pub(super) fn ended(
        &mut self,
        id: RunId,
        pid: u32,
        exit: Exit,
        at: Option<Mono>,
        events: &mut VecDeque<Event>,
    ) {
        let mut usage = None;
        if exit != Exit::Unknown {
            // Only now its number may be given to another.
            usage = reap(pid).map(|used| self.without_own(used));
            self.executor.child_ended();
            self.by_pid.remove(&pid);
        }
        let exit = self.over_memory(id, exit);
        // It may have been swift enough to end before the scheduler has heard that it started.
        self.attach(id);
        self.runs.remove(&id);
        self.trouble.over(id);
        self.output.ended(id);
        self.last_attempt = match exit {
            Exit::Code(code) => u8::try_from(code).unwrap_or(1),
            Exit::Signal(signal) => 128 | u8::try_from(signal).unwrap_or(0),
            Exit::OverMemory(_) => 128 | 9,
            Exit::Unknown => 1,
        };
        events.push_back(Event::Ended { run: id, exit, usage, at });
    }

    /// An end that the kernel may have brought about because a run went over its limit of memory: a
    /// signal, or what a shell makes of one of its children that had it.
    fn over_memory(&self, id: RunId, exit: Exit) -> Exit {
        const KILL: i32 = 9;
        let may_be = matches!(exit, Exit::Signal(KILL)) || exit == Exit::Code(128 | KILL);
        let run = self.runs.get(&id).filter(|run| may_be && run.order != Order::Kill);
        match run.and_then(|run| run.confined.over_memory()) {
            Some(peak) => Exit::OverMemory(peak),
            None => exit,
        }
    }

    /// The memory of a process begins with what the scheduler had when it made it: the kernel takes the
    /// memory that a process had before it executed its program for its own. What is no more than that
    /// says nothing.
    fn without_own(&mut self, usage: Usage) -> Usage {
        let Some(max_rss) = usage.max_rss else { return usage };
        if max_rss > self.own_peak && !self.own_peak_is_fresh {
            // It may have grown since. Once in a pass of the loop will do: whose end is seen in it was made
            // before.
            self.own_peak = process::peak_bytes().unwrap_or(max_rss).max(self.own_peak);
            self.own_peak_is_fresh = true;
        }
        Usage { max_rss: Some(max_rss).filter(|bytes| *bytes > self.own_peak), ..usage }
    }

    /// SIGCHLD: an adopted process may have ended, or a main process that has no handle.
    pub(in crate::run::daemon) fn children_ended(&mut self, events: &mut VecDeque<Event>) {
        self.adopted.reap();
        self.abandoned_ended();
        if self.without_handle > 0 {
            let unwatched = |(id, run): (&RunId, &Run)| {
                matches!(run.state, State::Alive { handle: None, .. }).then_some(*id)
            };
            let unwatched: Vec<RunId> = self.runs.iter().filter_map(unwatched).collect();
            let now = clock::mono();
            for id in unwatched {
                self.child_ready(id, now, events);
            }
        }
        if self.sweeping > 0 {
            let now = clock::mono();
            self.sweep_those(now, |_| true, events);
        }
    }
}

/// How the process with this id has ended, if it has.
pub(super) fn wait(pid: u32, options: WaitIdOptions) -> Option<Exit> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | options;
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Ok(status) => return status.map(|status| exit(&status)),
            Err(Errno::INTR) => {}
            // Somebody else has waited for it, which nobody does; but a slot must not be lost.
            Err(_) => return Some(Exit::Code(255)),
        }
    }
}

/// Lets go of a child that has ended. Answers what it has used, and what its descendants have that it
/// has waited for.
fn reap(pid: u32) -> Option<Usage> {
    let pid = libc::pid_t::try_from(pid).ok()?;
    loop {
        // SAFETY: all fields of it are numbers.
        let mut used: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes the one structure; nobody wants the status, which is known.
        match unsafe { libc::wait4(pid, ptr::null_mut(), libc::WNOHANG, &raw mut used) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            found if found == pid => return Some(usage(&used)),
            _ => return None,
        }
    }
}

/// The C library has these numbers in several types.
fn number(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(0)
}

/// The kernel counts memory in KiB, and what goes to and comes from disks in blocks of 512 bytes
/// (getrusage(2)).
fn usage(used: &libc::rusage) -> Usage {
    let time = |time: libc::timeval| {
        let micros = number(time.tv_sec).saturating_mul(1_000_000);
        Duration::from_micros(micros.saturating_add(number(time.tv_usec)))
    };
    Usage {
        cpu: time(used.ru_utime).saturating_add(time(used.ru_stime)),
        max_rss: Some(number(used.ru_maxrss).saturating_mul(1024)),
        read: number(used.ru_inblock).saturating_mul(512),
        written: number(used.ru_oublock).saturating_mul(512),
    }
}

/// Whether the process of a handle has ended; for one that is not our child.
pub(super) fn has_ended(handle: &OwnedFd) -> bool {
    let mut handles = [PollFd::new(handle, PollFlags::IN)];
    let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut handles, Some(&no_wait)), Ok(1..))
}

fn exit(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(255),
    }
}
