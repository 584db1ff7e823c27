//! A thread that has other work and makes a process now and then.
//!
//! It is that of the store (`crate::store::keeper`): when it has written that a run begins, it is awake,
//! and to wake a spawner for one process takes longer than to make it. Starts that wait for a spawner go
//! first, and those that are known to ask others before there is a process (the user database, files of
//! their environment) are left to the spawners. A start that hangs here is seen and given up like any
//! other; the owner of the thread sees to it that somebody else does its work meanwhile.

use std::io;
use std::sync::{Arc, PoisonError};

use super::thread::Spawner;
use super::{Hear, Report, Seat, Shared};
use crate::core::event::Start;
use crate::core::job::Options;
use crate::run::child::progress::Progress;
use crate::run::child::tree;

/// See the [module](self).
pub struct Guest {
    shared: Arc<Shared>,
    progress: Arc<Progress>,
    spawner: Spawner,
}

impl Guest {
    pub(super) fn new(shared: Arc<Shared>) -> io::Result<Guest> {
        let progress = Arc::new(Progress::new()?);
        let spawner = Spawner::new(Arc::clone(&shared), Arc::clone(&progress));
        Ok(Guest { shared, progress, spawner })
    }

    /// Makes the process of a start, on this thread, and reports what has come of it: soon, if there is
    /// one. Gives the start back where it is one for a spawner.
    pub fn start(&self, start: Start) -> Option<Start> {
        if !asks_nobody(&start.job.options) {
            return Some(start);
        }
        let taken = {
            let mut state = self.shared.lock();
            if state.closed || !state.starts.is_empty() {
                return Some(start);
            }
            state.seats.push(self.seat(false));
            self.spawner.take(&mut state, start)
        };
        let report = self.spawner.make(taken);
        self.rise();
        let hear = if matches!(report, Report::Started { .. }) { Hear::Soon } else { Hear::Now };
        (self.shared.report)(report, hear);
        None
    }

    /// Waits until every process that this thread has made has ended: one that loses its parent is taken
    /// for something that a job has left behind.
    pub fn stay(&self) {
        let mut state = self.shared.lock();
        state.seats.push(self.seat(true));
        while !state.closed && tree::has_children() {
            state = self.shared.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        self.rise();
    }

    fn seat(&self, leaves: bool) -> Seat {
        Seat { progress: Arc::clone(&self.progress), held: None, leaves, is_guest: true }
    }

    /// Gives the seat back.
    fn rise(&self) {
        let mut state = self.shared.lock();
        if let Some(seat) = self.spawner.seat(&state) {
            state.seats.swap_remove(seat);
        }
        drop(state);
        self.shared.ended.notify_all();
    }
}

/// Whether nothing but the program itself is looked for before there is a process.
fn asks_nobody(options: &Options) -> bool {
    let Options { user, group, env_file, secrets, .. } = options;
    user.is_none() && group.is_none() && env_file.is_none() && secrets.is_empty()
}
