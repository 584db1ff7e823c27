//! What the store has of jobs that are due after others (`crate::core::scheduler::after::homes`): read with
//! each beat for those that are at home here, and written where a parent is lost with its host.

use std::collections::{HashMap, HashSet};

use super::Driver;
use super::runs::FORGOTTEN;
use crate::core::event::{ChainLists, Ended, HomeChange};
use crate::core::fleet::RunOn;
use crate::core::fleet::home::HomeJob;
use crate::core::scheduler::after::JOINS;
use crate::core::scheduler::after::homes::{ENDS, end_for};
use crate::core::sort;
use crate::store::Fact;
use crate::store::keeper::OthersEvent;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// The store has been in touch since it was read, or there is something in it.
    pub(super) due: bool,
    /// Nothing was there the last time.
    was_empty: bool,
}

/// Whether a fact is the end of a parent, for the home of another job.
pub(super) fn is_end(fact: &Fact) -> bool {
    matches!(fact, Fact::Entry { list, value: Some(_), .. } if **list == *ENDS)
}

impl Driver {
    /// Reads what the jobs wait for that are at home here and due after others.
    pub(super) fn read_chains(&mut self) {
        if !std::mem::take(&mut self.chains.due) {
            return;
        }
        let home = self.fleet.by_id();
        let waits = |job: &HomeJob| !job.parents.is_empty() && job.run_on != RunOn::All;
        let waiting = home.values().filter(|(job, is_home)| *is_home && waits(job));
        let waiting: Vec<HomeJob> = waiting.map(|(job, _)| (*job).clone()).collect();
        if waiting.is_empty() {
            return;
        }
        let parents = away_before(&waiting, &home);
        // What waits comes with the next beat where it cannot be read now.
        let read = self.read(|reader| Ok((reader.entries(ENDS)?, reader.entries(JOINS)?)));
        let Ok((ends, joins)) = read else { return };
        let is_empty = ends.is_empty() && joins.is_empty();
        if std::mem::replace(&mut self.chains.was_empty, is_empty) && is_empty {
            return;
        }
        let lost = waiting.into_iter().filter_map(|job| {
            let until = self.fleet.forgotten_until(&job)?;
            Some((job.id, until, FORGOTTEN.into()))
        });
        let mut lists = ChainLists { ends, joins, records: Vec::new(), lost: lost.collect() };
        if !lists.ends.is_empty() && !parents.is_empty() {
            // Where the due times of a parent count from, its home knows.
            let known = self.ask(|store| store.take_up(&parents));
            let Some(known) = self.unless_failed(known) else { return };
            lists.records = known.jobs;
        }
        let change = HomeChange { chains: Some(lists), ..HomeChange::default() };
        self.tell_of(OthersEvent::Homes(Box::new(change)));
    }

    /// A parent is lost with its host: that is written down for the homes of those that are due after it,
    /// in the same commit.
    pub(super) fn leave_to_homes(&mut self, ended: &Ended) {
        let (_, jobs) = self.fleet.jobs();
        let children = jobs.iter().filter(|job| job.parents.contains(&ended.job));
        let entry = |child: &str| {
            let (key, value) = end_for(child, ended);
            Fact::Entry { list: ENDS.into(), key, value: Some(value) }
        };
        let entries: Vec<Fact> = children.map(|child| entry(&child.id)).collect();
        self.facts.extend(entries);
    }
}

/// The jobs that are at home elsewhere and before these, however far.
fn away_before(jobs: &[HomeJob], all: &HashMap<&str, (&HomeJob, bool)>) -> Vec<Box<str>> {
    let several = jobs.iter().filter(|job| job.parents.len() > 1);
    let mut next: Vec<&Box<str>> = several.flat_map(|job| &job.parents).collect();
    let (mut seen, mut away) = (HashSet::new(), Vec::new());
    while let Some(id) = next.pop() {
        if !seen.insert(id) {
            continue;
        }
        let known = all.get(&**id);
        if known.is_none_or(|(_, is_home)| !is_home) {
            away.push(id.clone());
        }
        next.extend(known.iter().flat_map(|(job, _)| &job.parents));
    }
    sort::all(&mut away);
    away
}
