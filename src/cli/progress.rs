//! How far something is, for a person who waits: only on a terminal, and only after a while.

use std::io::IsTerminal;
use std::time::Duration;

use crate::core::instant::Mono;
use crate::sys::clock;

const FIRST: Duration = Duration::from_millis(700);
const EVERY: Duration = Duration::from_millis(100);

/// How far it is.
#[derive(Debug)]
pub(crate) struct Progress {
    what: &'static str,
    shown: bool,
    next: Option<Mono>,
}

impl Progress {
    /// Of something that a person calls so: `simulated 7 %`.
    pub(crate) fn new(what: &'static str) -> Progress {
        let next = std::io::stderr().is_terminal().then(|| clock::mono().plus(FIRST));
        Progress { what, shown: false, next }
    }

    /// So many steps are done, of all.
    pub(crate) fn show(&mut self, done: u64, all: u64) {
        let Some(next) = self.next else { return };
        let now = clock::mono();
        if now >= next {
            eprint!("\r{} {} %", self.what, done * 100 / all.max(1));
            self.shown = true;
            self.next = Some(now.plus(EVERY));
        }
    }

    /// It is over.
    pub(crate) fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
