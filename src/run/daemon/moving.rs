//! What is told of jobs that move between hosts, and what a host that is gone has left to be sent.
//!
//! In a fleet what was told of a job, and how often it has failed in a row, is in the store. A host that gets a
//! job reads that; one that gives it away forgets it. Notifications and pings wait for the host that has
//! decided them. If it dies, whoever has found it dead sends them, under the ids that they have; if it was stopped
//! and is away for a lease, the host whose turn it is. What it has counted for digests goes the same way.

use std::collections::{HashMap, HashSet};

use super::Loop;
use crate::core::event::HomeChange;
use crate::core::job::RunOn;
use crate::core::notify::notifier::{DIGESTS, OUTBOX, STATES};
use crate::core::notify::pings::PINGS;
use crate::core::streak::FAILING;
use crate::store::Latest;
use crate::store::keeper::{FleetOrder, GoneHosts, ReadFor, ReadLists};
use crate::sys::clock;

/// What there is to know of jobs that come here.
const OF_JOBS: &[&str] = &[STATES, FAILING];
/// What a host that is gone has left.
const LEFT: &[&str] = &[OUTBOX, PINGS, DIGESTS];

impl Loop<'_> {
    /// Jobs come here, or go: what was known of them is not true any more.
    pub(super) fn read_of_homes(&mut self, change: &HomeChange) {
        if change.fenced {
            self.effects.was_taken_for_dead(clock::now());
        }
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

    /// Hosts are gone, and what they have left is for this one.
    pub(super) fn read_what_is_left(&mut self, gone: GoneHosts) {
        self.effects.fleet_order(FleetOrder::Read(ReadFor::Left(gone), LEFT));
    }

    /// What was to be read is here.
    pub(super) fn lists_read(&mut self, read: ReadLists) {
        let now = clock::now();
        match read.what {
            ReadFor::Jobs(jobs) => {
                let (scheduler, come) = (&*self.scheduler, jobs.iter().map(|id| &**id));
                let come: HashSet<&str> = come.collect();
                let is_here = |job: &str| come.contains(job) && scheduler.is_home(job);
                let runs_on_all = |id: &str| {
                    scheduler.job(id).is_some_and(|job| job.options.run_on == RunOn::All)
                };
                for (list, entries) in read.lists {
                    if list == FAILING {
                        self.streaks.restore_unknown(entries, &runs_on_all, &is_here);
                    } else {
                        self.effects.restore_states(entries, &runs_on_all, &is_here);
                    }
                }
                self.expect(&read.latest, &jobs);
            }
            ReadFor::Left(gone) => {
                let scheduler = &*self.scheduler;
                let (jobs, lists) = (|id: &str| scheduler.job(id).cloned(), read.lists);
                let left = self.effects.inherit(&|host| gone.has(host), lists, jobs, now);
                for (host, count) in left {
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
