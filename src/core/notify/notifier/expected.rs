//! Jobs of which a success is expected (`expect`), and until when.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::core::instant::Instant;
use crate::core::job::Job;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Expected {
    by_job: HashMap<Box<str>, (Instant, Arc<Job>)>,
    deadlines: BTreeSet<(Instant, Box<str>)>,
}

impl Expected {
    /// A success of the job is expected until then, whatever was expected before.
    pub(super) fn set(&mut self, job: &Arc<Job>, deadline: Instant) {
        self.forget(&job.id);
        self.by_job.insert(job.id.clone(), (deadline, Arc::clone(job)));
        self.deadlines.insert((deadline, job.id.clone()));
    }

    /// Nothing is expected of the job any more.
    pub(super) fn forget(&mut self, job: &str) {
        if let Some((deadline, _)) = self.by_job.remove(job) {
            self.deadlines.remove(&(deadline, job.into()));
        }
    }

    /// When the first of them is overdue.
    pub(super) fn next(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// One that is overdue, and since when: it is not expected any more.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<(Instant, Arc<Job>)> {
        self.next().filter(|deadline| *deadline <= now)?;
        let (deadline, job) = self.deadlines.pop_first()?;
        let (_, job) = self.by_job.remove(&job)?;
        Some((deadline, job))
    }
}
