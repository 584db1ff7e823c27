//! What `status` says of all jobs together: how many have failed, how many are overdue, and which.
//! The loop tells of the jobs a page at a time, the store how they have fared (`super::history`).

use std::sync::Arc;

use super::exchange::{Next, PAGE, end};
use super::history::{History, Snapshot};
use crate::control::Request;
use crate::control::wire::view::StatusView;
use crate::core::event::{JobPage, Paused};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::sort;
use crate::history::object::RunObject;
use crate::sys::clock;

/// So many are named.
const NAMED: usize = 3;

/// How the scheduler is, as far as is known.
#[derive(Debug)]
pub(super) struct Overall {
    pub(super) view: StatusView,
    /// How the jobs have fared.
    snapshot: Arc<Snapshot>,
    failed: Named,
    overdue: Named,
    no_host: Named,
    /// The active runs of other hosts.
    others: Vec<RunObject>,
}

/// How many there are, and the first of them.
#[derive(Debug, Default)]
struct Named {
    count: usize,
    first: Vec<(i64, String)>,
}

impl Named {
    /// Adds one; those with the lowest place are named.
    fn add(&mut self, place: i64, job: &str) {
        self.count += 1;
        let at = self.first.partition_point(|(other, _)| *other <= place);
        if at < NAMED {
            self.first.insert(at, (place, job.to_owned()));
            self.first.truncate(NAMED);
        }
    }

    fn names(&self) -> Vec<String> {
        self.first.iter().map(|(_, job)| job.clone()).collect()
    }
}

impl Overall {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Overall {
        Overall {
            view: StatusView::default(),
            snapshot,
            failed: Named::default(),
            overdue: Named::default(),
            no_host: Named::default(),
            others: Vec::new(),
        }
    }

    pub(super) fn ask(&self, from: u32) -> Next {
        Next::Request(Request::List { from, limit: PAGE })
    }

    pub(super) fn add(&mut self, mut page: JobPage, history: &mut History) -> Next {
        let now = clock::wall();
        for view in &mut page.jobs {
            self.snapshot.complete(view, now);
            if view.paused == Paused::No && self.snapshot.has_no_host(&view.job.id) {
                self.no_host.add(0, &view.job.id);
            }
            let others = self.snapshot.others(&view.job.id).iter();
            let others = others.map(|run| RunObject::of_active_elsewhere(run, &view.job.zone));
            self.others.extend(others);
            let latest = self.snapshot.latest(&view.job.id);
            let run = latest.and_then(|latest| latest.run.as_ref());
            if let Some(run) = run
                && run.outcome.as_ref().is_some_and(Outcome::went_wrong)
            {
                let ended = run.ended().unwrap_or(run.at);
                self.failed.add(ended.micros().saturating_neg(), &view.job.id);
            }
            if let Some(since) = history.overdue(view, latest, now) {
                self.overdue.add(Instant::micros(since), &view.job.id);
            }
        }
        if let Some(more) = page.more {
            return self.ask(more);
        }
        let view = &mut self.view;
        (view.failed, view.overdue) = (Some(self.failed.count), Some(self.overdue.count));
        let names = |named: &Named| Some(named.names()).filter(|names| !names.is_empty());
        sort::by_key(&mut self.others, |run| run.run);
        let others = std::mem::take(&mut self.others);
        view.active_elsewhere = self.snapshot.hosts().map(|_| others);
        view.failed_jobs = names(&self.failed);
        view.overdue_jobs = names(&self.overdue);
        view.no_host = Some(self.no_host.count).filter(|count| *count > 0);
        view.no_host_jobs = names(&self.no_host);
        view.changed_since = history.changed_since().map(|_| view.loaded.clone());
        end(&self.view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_are_named() {
        let mut named = Named::default();
        for (place, job) in [(5, "e"), (1, "a"), (3, "c"), (2, "b"), (4, "d"), (1, "a2")] {
            named.add(place, job);
        }
        assert_eq!((named.count, named.names().join(" ")), (6, "a a2 b".to_owned()));
    }
}
