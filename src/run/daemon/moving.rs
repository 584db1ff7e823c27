//! What is told of jobs that move between hosts, and what a host that is gone has left to be sent.
//!
//! In a fleet what was told of a job, and how often it has failed in a row, is in the store. A host that gets a
//! job reads that; one that gives it away forgets it. Notifications and pings wait for the host that has
//! decided them; if it dies, whoever has found it dead sends them, under the ids that they have.

use std::collections::{HashMap, HashSet};

use super::Loop;
use crate::core::event::HomeChange;
use crate::core::notify::notifier::{OUTBOX, STATES};
use crate::core::notify::pings::PINGS;
use crate::core::streak::FAILING;
use crate::store::Latest;
use crate::store::keeper::{FleetOrder, ReadFor, ReadLists};
use crate::sys::clock;

/// What there is to know of jobs that come here.
const OF_JOBS: &[&str] = &[STATES, FAILING];
/// What a host that is gone has left.
const LEFT: &[&str] = &[OUTBOX, PINGS];

impl Loop<'_> {
    /// Jobs come here, or go: what was known of them is not true any more.
    pub(super) fn read_of_homes(&mut self, change: &HomeChange) {
        let taken = || change.taken.iter().map(|taken| taken.id.clone());
        for job in change.given.iter().cloned().chain(taken()) {
            self.streaks.leave(&job);
            self.effects.leave_to_others(&job);
        }
        if !change.taken.is_empty() {
            let (what, lists) = (ReadFor::Jobs(taken().collect()), OF_JOBS);
            self.effects.fleet_order(FleetOrder::Read(what, lists));
        }
    }

    /// This host has found another one dead.
    pub(super) fn read_what_is_left(&mut self, host: Box<str>) {
        self.effects.fleet_order(FleetOrder::Read(ReadFor::Host(host), LEFT));
    }

    /// What was to be read is here.
    pub(super) fn lists_read(&mut self, read: ReadLists) {
        let now = clock::now();
        match read.what {
            ReadFor::Jobs(jobs) => {
                let (scheduler, come) = (&*self.scheduler, jobs.iter().map(|id| &**id));
                let come: HashSet<&str> = come.collect();
                let is_here = |job: &str| come.contains(job) && scheduler.is_home(job);
                for (list, entries) in read.lists {
                    if list == FAILING {
                        let of_them = entries.into_iter().filter(|(job, _)| is_here(job));
                        self.streaks.restore_unknown(of_them);
                    } else {
                        self.effects.restore_states(entries, &is_here);
                    }
                }
                self.expect(&read.latest, &jobs);
            }
            ReadFor::Host(host) => {
                let scheduler = &*self.scheduler;
                let (jobs, lists) = (|id: &str| scheduler.job(id).cloned(), read.lists);
                let count = self.effects.inherit(&host, lists, jobs, now);
                if count > 0 {
                    let what = if count == 1 { "notification" } else { "notifications" };
                    log::info!(
                        event = "notify_inherited", host = &*host, count = count;
                        "{count} {what} and pings that {host} has not sent are sent from here"
                    );
                }
            }
        }
    }

    /// Successes of jobs that have come here are expected.
    fn expect(&mut self, latest: &[Latest], jobs: &[Box<str>]) {
        let latest: HashMap<&str, &Latest> = latest.iter().map(|it| (&*it.job, it)).collect();
        for id in jobs {
            let Some(job) = self.scheduler.active_job(id).cloned() else { continue };
            let Some(anchor) = self.scheduler.anchor(id) else { continue };
            let succeeded = latest.get(&**id).and_then(|latest| latest.succeeded);
            self.effects.expect_success(&job, succeeded.map_or(anchor, |at| at.max(anchor)));
        }
    }
}
