//! Jobs that are due after others, where several hosts share the store: doc/fleet.md, "After another job".
//!
//! The host on which a parent has ended decides at once where it can (`super`). What it cannot decide, it
//! writes down with the end, once for each job that is due after the parent ([`ENDS`]). The home of that
//! job reads these with each beat (`crate::store::keeper`), and their removal is in the store in one
//! commit with what follows from them: whichever host dies, an end is in the list or followed. Should two
//! hosts take themselves for the home, both decide, and the claim of the due time lets one of them win.

use super::{
    AfterTrigger, Arc, Ended, Instant, JOINS, Join, Scheduler, Step, Trigger, Wait, holds_all, key,
    read_ended, read_join, read_key, value_of,
};
use crate::core::event::{Action, ChainLists, JobRecord, Record, RunId};
use crate::core::fleet::RunOn;
use crate::core::instant::Mono;
use crate::core::outcome::Outcome;
use crate::core::scheduler::jobs::Away;
use crate::core::trigger::cron::hash;
use std::time::Duration;

/// The list of entries for ends of parents that the home of a job is to follow.
pub const ENDS: &str = "ends";

/// The lists that the home of such jobs reads.
pub const OF_CHAINS: [&str; 2] = [ENDS, JOINS];

/// An end for a job that nobody knows is forgotten after so long.
const STRANGE: Duration = Duration::from_secs(86_400);

/// What is removed is so within this time, or has come again.
const REMOVED_WITHIN: Duration = Duration::from_secs(60);

/// The clock of a host that ended a parent may have been ahead by so much.
const AHEAD: Duration = Duration::from_secs(10);

/// So many removals are remembered until the store no longer shows what was removed.
const MOST_REMOVED: usize = 100_000;

/// The entry for the end of a parent of the job `child`: its key and its value.
pub fn end_for(child: &str, ended: &Ended) -> (Box<str>, Box<str>) {
    let mut value = value_of(ended);
    if let Some(value) = value.as_object_mut() {
        value.insert("parent".to_owned(), (&*ended.job).into());
    }
    // Two ids in a row could be read in two ways.
    let parent = hash::text(&ended.job);
    let key = key(ended.due, &format!("{parent:016x} {child}"));
    (key, value.to_string().into())
}

/// The job for which an end is, and the end.
fn read_end(key: &str, value: &str) -> Option<(Box<str>, Ended)> {
    let child = read_key(key)?.1.split_once(' ')?.1.into();
    let parent = serde_json::from_str::<serde_json::Value>(value).ok()?;
    let parent = parent.get("parent")?.as_str()?.into();
    Some((child, Ended { job: parent, ..read_ended(key, value)? }))
}

/// The run whose end an entry is, if it is one's.
pub fn run_of_end(value: &str) -> Option<RunId> {
    let value = serde_json::from_str::<serde_json::Value>(value).ok()?;
    value.get("run")?.as_u64().map(RunId)
}

impl Scheduler {
    /// Whether what follows from the end of a parent for a job is decided on this host.
    pub(super) fn follows_here(&self, slot: u32, parent: &str) -> bool {
        let state = &self.jobs[slot as usize];
        if !self.is_in_fleet() || state.job.options.run_on == RunOn::All {
            // With the latter each host has due times of its own.
            return true;
        }
        let Trigger::After(after) = &state.job.trigger else { return true };
        let parent = self.find_job(parent).map(|slot| &self.jobs[slot as usize].job.options.run_on);
        let alone = after.parents().len() == 1 && parent == Some(&state.job.options.run_on);
        // A job waits for its jitter where the next home finds it.
        let waits = !state.job.options.longest_delay().is_zero();
        alone && (!waits || state.away == Away::No) && self.life.is_accepting()
    }

    /// Leaves the end of a parent for the home of a job.
    pub(super) fn leave_to_home(&mut self, child: &str, ended: &Ended, step: &mut Step<'_>) {
        let (key, value) = end_for(child, ended);
        self.note(ENDS, key, Some(value), step);
    }

    /// The same although it is followed here: should the others have taken this host for dead before that
    /// is written, the end of the run still counts, and nothing that was decided here does. Answers what is
    /// to be removed with the decision.
    pub(super) fn leave_in_passing(
        &mut self,
        slot: u32,
        ended: &Ended,
        step: &mut Step<'_>,
    ) -> Option<Box<str>> {
        let job = &self.jobs[slot as usize].job;
        if !self.is_in_fleet() || job.options.run_on == RunOn::All || ended.run.is_none() {
            return None;
        }
        let (key, value) = end_for(&job.id, ended);
        self.note(ENDS, key.clone(), Some(value), step);
        Some(key)
    }

    /// What the store has of jobs that are due after others.
    pub(in crate::core::scheduler) fn read_chains(
        &mut self,
        lists: &ChainLists,
        step: &mut Step<'_>,
    ) {
        if !self.life.is_accepting() {
            return;
        }
        self.forget_removed(lists, step.now.mono);
        self.chains.lost =
            lists.lost.iter().cloned().map(|(job, until, why)| (job, (until, why))).collect();
        lists.records.iter().for_each(|record| self.learn_anchor(record));
        for (key, value) in &lists.joins {
            if let Some((due, job)) = read_key(key)
                && let Some(join) = read_join(value)
                && !self.chains.removed.contains_key(&(JOINS, key.clone()))
                && let Some((slot, after)) = self.waits_at_home(&job)
            {
                self.merge(slot, &after, due, join, step);
            }
        }
        for (key, value) in &lists.ends {
            if !self.chains.removed.contains_key(&(ENDS, key.clone())) {
                self.follow_end(key, value, step);
            }
        }
    }

    /// What is removed here and no longer in the store is removed. What is in it for long has come again,
    /// from somebody who has told a store what it had forgotten.
    fn forget_removed(&mut self, lists: &ChainLists, now: Mono) {
        if self.chains.removed.len() > MOST_REMOVED {
            self.chains.removed.clear();
        }
        let mut shown = std::collections::HashSet::new();
        shown.extend(lists.ends.iter().map(|(key, _)| (ENDS, &**key)));
        shown.extend(lists.joins.iter().map(|(key, _)| (JOINS, &**key)));
        self.chains.removed.retain(|(list, key), at| {
            shown.contains(&(*list, &**key)) && now.since(*at) < REMOVED_WITHIN
        });
    }

    /// A job that is at home here and due after others; one that runs on every host waits on each by
    /// itself.
    fn waits_at_home(&self, job: &str) -> Option<(u32, Arc<AfterTrigger>)> {
        let slot = self.find_job(job)?;
        let state = &self.jobs[slot as usize];
        let Trigger::After(after) = &state.job.trigger else { return None };
        let is_here = state.away == Away::No && state.job.options.run_on != RunOn::All;
        is_here.then(|| (slot, Arc::clone(after)))
    }

    /// A due time that waits, as the store has it: that may be by an earlier home.
    fn merge(
        &mut self,
        slot: u32,
        after: &AfterTrigger,
        due: Instant,
        found: Join,
        step: &mut Step<'_>,
    ) {
        let place = (due, self.jobs[slot as usize].job.id.clone());
        let found_at = found.at;
        let Some(known) = self.chains.joins.get(&place) else {
            let waits = holds_all(&found, after) && !found.is_skipped;
            let lost = found.at.and_then(|at| self.may_have_begun(&place.1, at));
            self.chains.joins.insert(place, found);
            match lost.filter(|_| waits) {
                Some(lost) => self.give_fate(slot, due, lost, step),
                None if waits => self.await_jitter(slot, due, found_at),
                None => {}
            }
            return;
        };
        let mut merged = known.clone();
        let more = found.parents.into_iter().filter(|parent| !known.parents.contains(parent));
        merged.parents.extend(more);
        merged.is_skipped |= found.is_skipped;
        merged.at = merged.at.max(found.at);
        if merged == *known {
            return;
        }
        if !holds_all(&merged, after) {
            self.chains.joins.insert(place, merged);
            return;
        }
        self.forget_join(&place.1, due, step);
        if !merged.is_skipped {
            self.child_is_due(slot, due, merged.at.unwrap_or(step.now.wall), step);
        }
    }

    /// A due time becomes no run.
    fn give_fate(&mut self, slot: u32, due: Instant, outcome: Outcome, step: &mut Step<'_>) {
        let state = &mut self.jobs[slot as usize];
        state.decided = state.decided.max(due);
        let record = Record::without_run(Arc::clone(&state.job), due, outcome);
        step.out.push(Action::Record(record));
    }

    /// All parents have ended, and the due time waits for its jitter.
    pub(super) fn await_jitter(&mut self, slot: u32, due: Instant, at: Option<Instant>) {
        let job = &self.jobs[slot as usize].job;
        let fire = at.unwrap_or(self.started).max(due).plus(job.delay(due));
        self.delayed.entry(slot).or_default().push(Wait { fire, due });
        self.reschedule(slot);
    }

    fn follow_end(&mut self, key: &str, value: &str, step: &mut Step<'_>) {
        let Some((child, ended)) = read_end(key, value) else {
            // Nobody can read it.
            self.note(ENDS, key.into(), None, step);
            return;
        };
        let Some(slot) = self.find_job(&child) else {
            // Another host may have it.
            if step.now.wall.since(ended.at) > STRANGE {
                self.note(ENDS, key.into(), None, step);
            }
            return;
        };
        if self.jobs[slot as usize].away != Away::No {
            return;
        }
        self.note(ENDS, key.into(), None, step);
        let Trigger::After(after) = &self.jobs[slot as usize].job.trigger else { return };
        if after.parents().contains(&ended.job) {
            self.parent_is_over(slot, &ended, step);
        }
    }

    /// Why a due time is lost whose last parent has ended at a time: a host that is dead may have begun it.
    pub(super) fn may_have_begun(&self, job: &str, at: Instant) -> Option<Outcome> {
        let (until, why) = self.chains.lost.get(job)?;
        (at.minus(AHEAD) <= *until).then(|| Outcome::Lost(why.as_ref().to_owned()))
    }

    /// Where the due times of a job that is at home elsewhere count from.
    fn learn_anchor(&mut self, record: &JobRecord) {
        if let Some(slot) = self.find_job(&record.id) {
            let state = &mut self.jobs[slot as usize];
            if state.away != Away::No && *state.job.trigger.fingerprint() == *record.trigger {
                state.anchor = record.anchor;
            }
        }
    }

    /// A job goes to another home, which finds in the store what waits here.
    pub(in crate::core::scheduler) fn leave_joins(&mut self, job: &str) {
        if !self.chains.joins.is_empty() {
            self.chains.joins.retain(|(_, child), _| **child != *job);
        }
    }

    /// Nothing that was decided here counts any more.
    pub(in crate::core::scheduler) fn forget_chains(&mut self) {
        self.chains.joins.clear();
        self.chains.removed.clear();
        self.chains.lost.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_read_as_it_was_written() {
        let at = Instant::from_secs;
        for (child, parent) in [("report", "load"), ("a b", "c d"), ("", " "), ("x", "x")] {
            let ended = Ended {
                job: parent.into(),
                due: at(-5),
                last_due: at(7),
                count: 3,
                outcome: Outcome::Failed(3),
                at: at(9),
                run: (child != "x").then_some(RunId(u64::MAX >> 1)),
            };
            let (key, value) = end_for(child, &ended);
            assert_eq!(run_of_end(&value), ended.run);
            assert_eq!(read_end(&key, &value), Some((child.into(), ended)), "{key}");
        }
        for key in ["", "7", "7 x", "x 0123456789abcdef load"] {
            assert_eq!(read_end(key, "{}"), None, "{key}");
        }
    }

    /// Two parents of one job, and two jobs of one parent, have entries of their own.
    #[test]
    fn ends_have_keys_of_their_own() {
        let ended = |job: &str| Ended {
            job: job.into(),
            due: Instant::from_secs(1),
            last_due: Instant::from_secs(1),
            count: 1,
            outcome: Outcome::Succeeded,
            at: Instant::from_secs(2),
            run: None,
        };
        let keys = [("r", "a"), ("r", "b"), ("s", "a"), ("s", "s")];
        let keys = keys.map(|(child, parent)| end_for(child, &ended(parent)).0);
        let all: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(all.len(), keys.len(), "{keys:?}");
        assert!(keys.iter().all(|key| key.len() < 512));
    }
}
