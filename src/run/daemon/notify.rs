//! What a service manager is told (`sd_notify(3)`): one datagram of `NAME=value` lines.
//!
//! `READY`, `RELOADING` and `STOPPING` are said where that happens; `STATUS` by `overview`; and
//! here is the watchdog, which the loop itself keeps quiet, so that a loop that hangs is noticed.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::core::instant::Mono;

/// Whether there is a service manager that wants to be told things.
pub(super) fn is_wanted() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty())
}

/// Tells the service manager something, if there is one that wants to know.
pub(super) fn notify(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else { return };
    let send = || -> io::Result<()> {
        let address = match path.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.as_bytes(), &address).map(drop)
    };
    if let Err(error) = send() {
        log::debug!("the service manager cannot be told {state:?}: {error}");
    }
}

/// The service manager's watchdog: it restarts a scheduler of which it hears nothing for a while.
#[derive(Debug)]
pub(super) struct Watchdog {
    every: Duration,
    next: Mono,
}

impl Watchdog {
    /// There is one if the environment says so, and means this process.
    pub(super) fn from_environment(now: Mono) -> Option<Watchdog> {
        let number = |name| env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = match env::var_os("WATCHDOG_PID") {
            Some(_) => number("WATCHDOG_PID") == Some(std::process::id().into()),
            None => true,
        };
        let micros = number("WATCHDOG_USEC").filter(|micros| *micros > 1 && is_ours)?;
        // As sd_watchdog_enabled(3) advises.
        Some(Watchdog { every: Duration::from_micros(micros / 2), next: now })
    }

    /// When it is to be told again that all is well.
    pub(super) fn deadline(&self) -> Mono {
        self.next
    }

    /// Tells it if it is time.
    pub(super) fn tend(&mut self, now: Mono) {
        if now >= self.next {
            self.next = now.plus(self.every);
            notify("WATCHDOG=1");
        }
    }
}
