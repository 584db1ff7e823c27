//! Clients that watch what happens: `schedrs events`.
//!
//! What happens is in a [`Journal`]; here is how far a client is in it. A client that reads slowly is
//! told that there is a gap where it has missed something.

use std::sync::Arc;

use super::following::Source;
use crate::control::journal::Journal;
use crate::control::wire;
use crate::control::wire::event::EventView;

/// So many are told at once.
const MOST: usize = 256;

/// A client that watches, for as long as this exists.
#[derive(Debug)]
pub(super) struct Watching {
    journal: Arc<Journal>,
    /// Of what is about one job, only what is about this one.
    job: Option<Box<str>>,
    place: u64,
}

impl Watching {
    /// Begins after this number; without one, with what happens next.
    pub(super) fn begin(
        journal: &Arc<Journal>,
        job: Option<Box<str>>,
        since: Option<u64>,
    ) -> Watching {
        let present = journal.watch();
        Watching { journal: Arc::clone(journal), job, place: since.unwrap_or(present) }
    }
}

impl Source for Watching {
    fn take(&mut self) -> Option<Vec<String>> {
        let passage = self.journal.after(self.place, MOST);
        if passage.entries.is_empty() && !passage.has_gap {
            return None;
        }
        self.place = passage.place;
        let is_meant = |of: Option<&str>| match (of, self.job.as_deref()) {
            (Some(of), Some(wanted)) => of == wanted,
            // What is about all jobs is about each.
            (None, _) | (_, None) => true,
        };
        let gap = passage.has_gap.then(EventView::gap);
        let entries = passage.entries.iter().filter(|entry| is_meant(entry.what.job()));
        let views = gap.into_iter().chain(entries.map(EventView::new));
        Some(views.map(|view| wire::json(&view)).collect())
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.journal.unwatch();
    }
}
