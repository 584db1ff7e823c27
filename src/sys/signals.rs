//! Signals: a known state at the start of the program, and then counts that the loop looks at after
//! each wake-up.
//!
//! A program inherits from whoever starts it which signals are blocked and which are ignored. What
//! `schedrs` does at a signal must not depend on that, so `crate::cli` calls [`begin`] before
//! anything else. SIGHUP and SIGUSR1, which ask a scheduler for something and would end one that has
//! no handlers yet, are blocked until [`Signals::install`] has them. A program that has a scheduler
//! in it (`crate::run::background`) keeps its signals as they are.
//!
//! SIGCHLD, which each end of a run brings, is blocked in every thread, and let through in the loop's
//! while that waits ([`Signals::let_children_through`]): those that come while it is busy are one, and
//! no other thread is interrupted.
//!
//! A handler may do next to nothing; these set a number and wake the loop. Programs that the
//! scheduler starts have every signal at its default again, and none blocked (`crate::run::child`).

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::Relaxed};

use signal_hook::consts::{
    SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
    SIGXCPU, SIGXFSZ,
};
use signal_hook::{SigId, low_level};

use super::waker::Waker;

/// SIGHUP was ignored when this program began: somebody has used `nohup`.
static HANGUP_IGNORED: AtomicBool = AtomicBool::new(false);

/// Brings signals to a known state. To be called first of all, while there is no other thread.
///
/// Nothing is ignored but what is said here. SIGHUP, SIGINT and SIGQUIT stay ignored where they
/// are: that is how `nohup` and a shell's `&` keep a command from a terminal that is not its own.
/// A scheduler handles the first two all the same.
pub fn begin() {
    for signal in 1..=libc::SIGRTMAX() {
        let is_ignored = is_ignored(signal);
        match signal {
            SIGHUP => HANGUP_IGNORED.store(is_ignored, Relaxed),
            SIGINT | SIGQUIT => {}
            // A pipe that nobody reads and a file that may not grow are errors to be handled, not
            // the end.
            SIGPIPE | SIGXFSZ => set(signal, libc::SIG_IGN),
            _ if is_ignored => set(signal, libc::SIG_DFL),
            _ => {}
        }
    }
    if rustix::process::getpid().is_init() {
        // In a container: the kernel keeps signals from process 1 that it does not handle.
        for signal in [SIGINT, SIGTERM] {
            set(signal, leave as *const () as libc::sighandler_t);
        }
    }
    set_mask(&[SIGHUP, SIGUSR1, SIGCHLD]);
}

/// Lets every signal through, for whoever handles none.
pub fn unblock() {
    set_mask(&[]);
}

/// Whether a terminal that goes away is no reason to end: this was started with `nohup`.
pub fn hangup_is_ignored() -> bool {
    HANGUP_IGNORED.load(Relaxed)
}

/// What the default would do.
extern "C" fn leave(signal: c_int) {
    // SAFETY: allowed in a handler. Whatever has begun is left as after a crash.
    unsafe { libc::_exit(128 + signal) }
}

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action it only writes the old one, and only where there is such a
    // signal, which the C library denies of those that it keeps for itself.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn set(signal: c_int, action: libc::sighandler_t) {
    // SAFETY: an action of the kernel, or `leave`, which may be one. It fails for signals that
    // cannot be changed, which is as it should be.
    unsafe { libc::signal(signal, action) };
}

/// Blocks these in this thread and no others.
fn set_mask(signals: &[c_int]) {
    // SAFETY: the set is one; it does not fail for signals that exist.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set_of(signals), ptr::null_mut()) };
}

fn set_of(signals: &[c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is made before it is used; none of these fails for signals that exist.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

/// The handlers, removed when dropped.
#[derive(Debug)]
pub struct Signals {
    seen: Arc<Seen>,
    handlers: Vec<SigId>,
    /// The signals of this process are ours to block.
    are_ours: bool,
}

/// What has come since it was last looked at.
#[derive(Debug, Default)]
struct Seen {
    stops: AtomicU32,
    last_stop: AtomicI32,
    reload: AtomicBool,
    status: AtomicBool,
    child: AtomicBool,
    /// The loop looks.
    begun: AtomicBool,
}

/// Signals that have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// How many SIGINT and SIGTERM.
    pub stops: u32,
    /// Which of them was the last, 0 when there was none yet.
    pub last_stop: i32,
    /// SIGHUP.
    pub reload: bool,
    /// SIGUSR1.
    pub status: bool,
    /// SIGCHLD.
    pub child: bool,
}

impl Signals {
    /// Installs the handlers, and lets every signal through but SIGCHLD.
    pub fn install(waker: &Arc<Waker>) -> io::Result<Signals> {
        set_mask(&[SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGCHLD]);
        for signal in [SIGINT, SIGTERM] {
            // A handler that is there would be called as well, and so be the end.
            set(signal, libc::SIG_DFL);
        }
        // A terminal in whose background this runs does not stop it, and neither does a limit that
        // is for jobs; SIGUSR2 means nothing to it.
        for signal in [SIGTTIN, SIGTTOU, SIGUSR2, SIGXCPU] {
            set(signal, libc::SIG_IGN);
        }
        let mut signals = Signals { seen: Arc::default(), handlers: Vec::new(), are_ours: true };
        for signal in [SIGINT, SIGTERM] {
            signals.on(signal, waker, move |seen| {
                let waiting = seen.stops.fetch_add(1, Relaxed);
                seen.last_stop.store(signal, Relaxed);
                // Nobody looks: what is before the loop hangs, or the loop does.
                if waiting >= if seen.begun.load(Relaxed) { 2 } else { 1 } {
                    leave(signal);
                }
            })?;
        }
        signals.on(SIGHUP, waker, |seen| seen.reload.store(true, Relaxed))?;
        signals.on(SIGUSR1, waker, |seen| seen.status.store(true, Relaxed))?;
        signals.on(SIGCHLD, waker, |seen| seen.child.store(true, Relaxed))?;
        signals.let_children_through(false);
        Ok(signals)
    }

    /// Installs only the handler of SIGCHLD, for a scheduler in a program that has its own.
    pub fn install_embedded(waker: &Arc<Waker>) -> io::Result<Signals> {
        let mut signals = Signals { seen: Arc::default(), handlers: Vec::new(), are_ours: false };
        signals.on(SIGCHLD, waker, |seen| seen.child.store(true, Relaxed))?;
        Ok(signals)
    }

    /// Whether this thread, the loop's, takes SIGCHLD.
    pub fn let_children_through(&self, through: bool) {
        if self.are_ours {
            set_mask(if through { &[] } else { &[SIGCHLD] });
        }
    }

    /// Takes a SIGCHLD that has come since they are not let through. It comes with the end of a child, of
    /// which the loop hears by other ways as well, and would wake it once more.
    pub fn take_child(&self) -> bool {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the set and the time are read; nobody wants to know who has sent it.
        let taken =
            || unsafe { libc::sigtimedwait(&set_of(&[SIGCHLD]), ptr::null_mut(), &at_once) };
        self.are_ours && taken() == SIGCHLD
    }

    fn on(
        &mut self,
        signal: i32,
        waker: &Arc<Waker>,
        note: impl Fn(&Seen) + Send + Sync + 'static,
    ) -> io::Result<()> {
        let (seen, waker) = (Arc::clone(&self.seen), Arc::clone(waker));
        let handler = move || {
            note(&seen);
            waker.wake();
        };
        // SAFETY: the handler only sets atomic variables and calls write(2) and _exit(2).
        self.handlers.push(unsafe { low_level::register(signal, handler) }?);
        Ok(())
    }

    /// The loop begins: until then a second signal ends the program whatever it is doing, from then
    /// on a third does if none of them has been taken.
    pub fn loop_begins(&self) {
        self.seen.begun.store(true, Relaxed);
    }

    /// Whether somebody wants something by a signal that was not taken yet.
    pub fn are_pending(&self) -> bool {
        let seen = &self.seen;
        seen.stops.load(Relaxed) > 0 || seen.reload.load(Relaxed) || seen.status.load(Relaxed)
    }

    /// Takes what has come since the last call.
    pub fn take(&self) -> Pending {
        Pending {
            stops: self.seen.stops.swap(0, Relaxed),
            last_stop: self.seen.last_stop.load(Relaxed),
            reload: self.seen.reload.swap(false, Relaxed),
            status: self.seen.status.swap(false, Relaxed),
            child: self.seen.child.swap(false, Relaxed),
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            low_level::unregister(handler);
        }
    }
}
