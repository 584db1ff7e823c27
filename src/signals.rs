//! Signals, as counts that the loop looks at after each wake-up.
//!
//! A handler may do next to nothing; these set a number and wake the loop. Programs that the
//! scheduler starts have every signal at its default again (`crate::child`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::Relaxed};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::{SigId, low_level};

use crate::daemon::Waker;

/// The handlers, removed when dropped.
#[derive(Debug)]
pub struct Signals {
    seen: Arc<Seen>,
    handlers: Vec<SigId>,
}

/// What has come since it was last looked at.
#[derive(Debug, Default)]
struct Seen {
    stops: AtomicU32,
    last_stop: AtomicI32,
    reload: AtomicBool,
    status: AtomicBool,
    child: AtomicBool,
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
    /// Installs the handlers.
    pub fn install(waker: &Arc<Waker>) -> io::Result<Signals> {
        let mut signals = Signals { seen: Arc::default(), handlers: Vec::new() };
        for signal in [SIGINT, SIGTERM] {
            signals.on(signal, waker, move |seen| {
                seen.stops.fetch_add(1, Relaxed);
                seen.last_stop.store(signal, Relaxed);
            })?;
        }
        signals.on(SIGHUP, waker, |seen| seen.reload.store(true, Relaxed))?;
        signals.on(SIGUSR1, waker, |seen| seen.status.store(true, Relaxed))?;
        signals.on(SIGCHLD, waker, |seen| seen.child.store(true, Relaxed))?;
        Ok(signals)
    }

    /// Installs only the handler of SIGCHLD, for a scheduler in a program that has its own.
    pub fn install_embedded(waker: &Arc<Waker>) -> io::Result<Signals> {
        let mut signals = Signals { seen: Arc::default(), handlers: Vec::new() };
        signals.on(SIGCHLD, waker, |seen| seen.child.store(true, Relaxed))?;
        Ok(signals)
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
        // SAFETY: the handler only sets atomic variables and calls write(2).
        self.handlers.push(unsafe { low_level::register(signal, handler) }?);
        Ok(())
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
