//! How a process tree is signalled: the main process, its group, and all that is below it.
//!
//! The main process comes first, by its handle, because it may have left its group; a tree that hides
//! from one of the three ways is reached by another. No process gets the same signal twice: a
//! second TERM is "at once" to many programs, this one among them. Who belongs to a tree is told by
//! `super::tree`.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpgid, kill_process, kill_process_group, pidfd_open,
    test_kill_process,
};

use super::tree::{Stat, children};
use crate::store::Process;

/// A tree that forks as fast as it is walked through is left for the next look.
const MOST_BELOW: usize = 100_000;

/// `PIDFD_SIGNAL_PROCESS_GROUP`.
const TO_GROUP: u32 = 1 << 2;

/// The main process of a run.
#[derive(Clone, Copy, Debug)]
pub struct Main<'a> {
    /// Its id, which is also that of the group it was made the leader of.
    pub pid: u32,
    /// Its handle, if there is one.
    pub handle: Option<&'a OwnedFd>,
    /// It is our child, alive or not yet waited for: its number stands for no other process and no
    /// other group.
    pub is_child: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signalled {
    /// Everyone who was found, but for the main process.
    pub reached: Vec<Process>,
    /// Who may not be signalled: they belong to another user.
    pub forbidden: Vec<u32>,
}

/// Asks every process of a tree to end: SIGTERM, and SIGCONT for those that are stopped and could
/// not act on it. `others` are what is known to belong to it beside who is below the main process.
pub fn terminate(main: Option<Main<'_>>, others: &[Process]) -> Signalled {
    Work::new(main, &[Signal::TERM, Signal::CONT]).all(others)
}

/// Kills a tree. What it leaves behind is handed to the scheduler, which kills it in its turn.
pub fn kill(main: Option<Main<'_>>, others: &[Process]) -> Signalled {
    Work::new(main, &[Signal::KILL]).all(others)
}

struct Work<'a> {
    main: Option<Main<'a>>,
    signals: &'a [Signal],
    seen: HashSet<u32>,
    done: Signalled,
}

impl<'a> Work<'a> {
    fn new(main: Option<Main<'a>>, signals: &'a [Signal]) -> Work<'a> {
        let seen = main.iter().map(|main| main.pid).collect();
        Work { main, signals, seen, done: Signalled::default() }
    }

    fn all(mut self, others: &[Process]) -> Signalled {
        if let Some(main) = self.main {
            if main.signal(self.signals) == Err(Errno::PERM) {
                self.done.forbidden.push(main.pid);
            }
            main.signal_group(self.signals);
        }
        let mut parents: Vec<u32> = self.main.iter().map(|main| main.pid).collect();
        for &process in others {
            // Where it cannot be seen when it was started, its number is all there is; that of an
            // adopted process is its own until this thread has waited for it.
            self.one(process.pid, |stat| process.start == 0 || stat.start == process.start);
            parents.push(process.pid);
        }
        while let Some(parent) = parents.pop() {
            for child in children(parent) {
                if self.seen.len() > MOST_BELOW {
                    return self.done;
                }
                if self.one(child, |stat| stat.parent == parent) {
                    parents.push(child);
                }
            }
        }
        self.done
    }

    /// Signals a process, unless it has been, if it is who it should be. It may have ended since it
    /// was found, and its number may stand for another: so a handle is taken first, and then it is
    /// looked at. Answers whether it was it, and seen for the first time.
    fn one(&mut self, pid: u32, is_it: impl Fn(&Stat) -> bool) -> bool {
        if !self.seen.insert(pid) {
            return false;
        }
        let Some(raw) = Pid::from_raw(pid as i32) else { return false };
        let handle = pidfd_open(raw, PidfdFlags::empty()).ok();
        let Ok(Some(stat)) = Stat::look(pid) else { return false };
        if !is_it(&stat) {
            return false;
        }
        let asked_with_group = self.main.is_some_and(|main| main.pid == stat.group);
        let sent = match (&handle, asked_with_group) {
            (Some(handle), true) => send(handle, 0, 0),
            (Some(handle), false) => send_all(handle, self.signals),
            // No descriptor is free; it has been looked at just now.
            (None, true) => test_kill_process(raw),
            (None, false) => self.signals.iter().try_for_each(|signal| kill_process(raw, *signal)),
        };
        if sent == Err(Errno::PERM) {
            self.done.forbidden.push(pid);
        }
        self.done.reached.push(Process { pid, start: stat.start });
        true
    }
}

impl Main<'_> {
    /// Whether it is where it was put: what is sent to the group reaches it then.
    fn is_in_group(&self) -> bool {
        let pid = Pid::from_raw(self.pid as i32);
        pid.is_some_and(|pid| getpgid(Some(pid)) == Ok(pid))
    }

    fn signal(&self, signals: &[Signal]) -> Result<(), Errno> {
        let Some(pid) = Pid::from_raw(self.pid as i32) else { return Ok(()) };
        let probes_only = self.is_in_group() && !signals.contains(&Signal::KILL);
        match (self.handle, probes_only) {
            (Some(handle), true) => send(handle, 0, 0),
            (Some(handle), false) => send_all(handle, signals),
            (None, _) if !self.is_child => Ok(()),
            (None, true) => test_kill_process(pid),
            (None, false) => signals.iter().try_for_each(|signal| kill_process(pid, *signal)),
        }
    }

    /// Signals whoever is in its group. Everyone may have ended; the sweep will see.
    fn signal_group(&self, signals: &[Signal]) {
        let Some(pid) = Pid::from_raw(self.pid as i32) else { return };
        for &signal in signals {
            if self.is_child {
                let _ = kill_process_group(pid, signal);
            } else if let Some(handle) = self.handle {
                let sent = send(handle, signal.as_raw(), TO_GROUP);
                // Before Linux 6.9 there are only numbers, and its own is that while it is alive.
                if sent == Err(Errno::INVAL) && send(handle, 0, 0) != Err(Errno::SRCH) {
                    let _ = kill_process_group(pid, signal);
                }
            }
        }
    }
}

fn send_all(handle: &OwnedFd, signals: &[Signal]) -> Result<(), Errno> {
    signals.iter().try_for_each(|signal| send(handle, signal.as_raw(), 0))
}

/// `pidfd_send_signal` with all that it can do: 0 is no signal, and only tells whether one may.
fn send(handle: &OwnedFd, number: i32, flags: u32) -> Result<(), Errno> {
    let none = ptr::null::<libc::siginfo_t>();
    // SAFETY: a system call on values.
    let code = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, handle.as_raw_fd(), number, none, flags)
    };
    match code {
        -1 => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)),
        _ => Ok(()),
    }
}
