//! Processes that are made on the store's own thread.
//!
//! When it has written that a run begins, this thread is awake, and a spawner would have to be woken, on a
//! processor that sleeps: that takes longer than to make the process. So where few begin at once, the
//! first of them is made here. Making one may hang. Meanwhile the worker lies where another thread can
//! take it ([`Shared::stand_in`]): whoever comes back and does not find it has nothing more to do.

use std::io;
use std::mem;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;

use super::Shared;
use super::worker::Worker;
use crate::core::event::Start;

/// Where more begin at once, the spawners do it all.
pub(super) const FEW: usize = 2;

/// Makes processes on the store's thread.
pub trait StartHere: Send {
    /// Makes the process of a start. Gives it back where that is better done by somebody else.
    fn start(&mut self, start: Start) -> Option<Start>;

    /// Whoever is to hear of what was started is told now, if nothing else has told.
    fn tell(&self);

    /// Nothing more will be started here. Returns when nothing is left that needs this thread.
    fn leave(self: Box<Self>);
}

/// Makes what starts processes on a thread. `None`: all starts go to the spawners.
pub type Starters = Box<dyn Fn() -> Option<Box<dyn StartHere>> + Send + Sync>;

impl Shared {
    /// Where the worker lies while its thread makes a process.
    fn aside(&self) -> MutexGuard<'_, Option<Box<Worker>>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// If the thread makes a process just now, another goes on with its work. Answers whether that is so.
    pub(super) fn stand_in(self: &Arc<Self>) -> io::Result<bool> {
        if self.aside().is_none() {
            return Ok(false);
        }
        let shared = Arc::clone(self);
        // Without the thread the worker stays where it is.
        let take = move || {
            let worker = shared.aside().take();
            if let Some(worker) = worker {
                worker.run();
            }
        };
        thread::Builder::new().name("store".to_owned()).spawn(take).map(|_| true)
    }
}

impl Worker {
    /// Makes a process, on this thread. Answers the worker, unless another thread has gone on with it.
    pub(super) fn make(mut self: Box<Self>, start: Start) -> Option<Box<Worker>> {
        let shared = Arc::clone(&self.shared);
        let starter = mem::take(&mut self.starter).or_else(|| (shared.starters.as_ref()?)());
        let Some(mut starter) = starter else {
            shared.submit(start);
            return Some(self);
        };
        *shared.aside() = Some(self);
        if let Some(start) = starter.start(start) {
            shared.submit(start);
        }
        let back = shared.aside().take();
        match back {
            Some(mut worker) => {
                worker.starter = Some(starter);
                Some(worker)
            }
            None => {
                starter.tell();
                starter.leave();
                None
            }
        }
    }
}
