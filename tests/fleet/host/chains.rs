//! What a host has to do with jobs that are due after others, as the keeper's thread does it.

use std::collections::BTreeSet;

use schedrs::event::{ChainLists, Ended, Event, HomeChange, RunId};
use schedrs::fleet::protocol::Fleet;
use schedrs::instant::Mono;
use schedrs::scheduler::after::homes::{ENDS, end_for, run_of_end};
use schedrs::store::Fact;

use super::super::store::Call;
use super::Host;

impl Host {
    /// Whether what is claimed may begin. Where jobs are due after others, what was decided before a host
    /// leaves is done: nobody else knows of it.
    pub(super) fn may_begin(&self, now: Mono) -> bool {
        let is_trusted = self.fleet.trusted_until().is_some_and(|until| now < until);
        self.fleet.may_claim(now) || (is_trusted && !follows(&self.fleet).is_empty())
    }

    /// Asks what the jobs wait for that are at home here.
    pub(super) fn wants_chains(&mut self, t: i64) -> Option<Call> {
        let trusts = self.fleet.trusted_until().is_some_and(|until| self.clock.now(t).mono < until);
        if !trusts || !std::mem::take(&mut self.chains_due) {
            return None;
        }
        let home = self.fleet.by_id();
        let mut home = home.values().filter(|(job, is_home)| *is_home && !job.parents.is_empty());
        home.next()?;
        // All of them, as the parents of a parent are asked for too.
        Some(Call::Chains(self.fleet.list().into_iter().map(|(id, _)| id).collect()))
    }

    /// What the jobs at home here wait for.
    pub(super) fn chains(&mut self, t: i64, mut lists: ChainLists) {
        let jobs = self.fleet.by_id();
        let home = jobs.values().filter(|(job, is_home)| *is_home && !job.parents.is_empty());
        let lost = home.filter_map(|(job, _)| {
            let until = self.fleet.forgotten_until(job)?;
            Some((job.id.clone(), until, "forgotten".into()))
        });
        lists.lost = lost.filter(|_| !self.careless.tombstones).collect();
        let change = HomeChange { chains: Some(lists), ..HomeChange::default() };
        self.tell_scheduler(t, Event::Homes(Box::new(change)));
    }

    /// A parent is lost with its host: the facts that say so to the homes of those after it.
    pub(super) fn lost_parent(&self, ended: &Ended) -> Vec<Fact> {
        let children = self.fleet.jobs().1.iter().filter(|job| job.parents.contains(&ended.job));
        children.map(|child| entry(&child.id, ended)).collect()
    }
}

fn entry(child: &str, ended: &Ended) -> Fact {
    let (key, value) = end_for(child, ended);
    Fact::Entry { list: ENDS.into(), key, value: Some(value) }
}

/// The jobs after which others are due.
pub(super) fn parents(fleet: &Fleet) -> BTreeSet<Box<str>> {
    fleet.jobs().1.iter().flat_map(|job| job.parents.iter().cloned()).collect()
}

/// The jobs that are due after others.
pub(super) fn follows(fleet: &Fleet) -> BTreeSet<Box<str>> {
    let jobs = fleet.jobs().1.iter().filter(|job| !job.parents.is_empty());
    jobs.map(|job| job.id.clone()).collect()
}

/// What a host that was taken for dead leaves of a fact to the homes of such jobs: the end of a run that
/// had begun.
pub(super) fn is_left(fact: &Fact, begun: &BTreeSet<RunId>) -> bool {
    match fact {
        Fact::Entry { list, value: Some(value), .. } if **list == *ENDS => {
            run_of_end(value).is_some_and(|run| begun.contains(&run))
        }
        _ => false,
    }
}
