//! Jobs that are due when runs of others have ended: doc/runs.md, "After other jobs".
//!
//! The due time of such a job is that of its parents. What becomes of a due time of a parent is an
//! [`Action::Record`], wherever that is decided; at the end of each step those that came in it are looked
//! through ([`Scheduler::follow`]), and what follows from them is decided in the same step, so that it is
//! remembered together with them. What has to wait is remembered in two lists of entries: parents that
//! have ended for a due time while others, or a jitter, are waited for ([`JOINS`]), and ends that nobody
//! could follow any more, because the scheduler stopped or was not there ([`ENDED`]). What several hosts
//! have to do with it is in `homes`.

pub mod homes;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::event::{Action, Ended, Paused, Record, Remember, RunId};
use crate::core::fleet::RunOn;
use crate::core::instant::{Instant, Mono, duration_micros};
use crate::core::job::Job;
use crate::core::outcome::{MissReason, Outcome, SkipReason};
use crate::core::trigger::after::On;
use crate::core::trigger::{AfterTrigger, DateTrigger, Trigger};
use crate::core::words;

use super::jobs::{NEVER, TICK, Wait};
use super::run::Phase;
use super::timetable::fire_time;
use super::{Scheduler, Step};

/// The list of entries for due times for which some parents have ended.
pub const JOINS: &str = "joins";

/// The list of entries for ends of parents that are to be followed by the next scheduler.
pub const ENDED: &str = "ended";

/// So many due times wait for parents; beyond that the first are given up.
const MOST_JOINS: usize = 10_000;

/// So many due times of a parent that were decided together are looked at one by one.
const MOST_OF_RANGE: usize = 1000;

/// So deep chains are looked into.
const DEEPEST: u32 = 100;

/// What there is about jobs that are due after others.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// Jobs have come or gone since `followers` was made.
    pub(super) stale: bool,
    /// The jobs that are due after a job.
    followers: HashMap<Box<str>, Vec<Box<str>>>,
    /// By due time and job.
    joins: BTreeMap<(Instant, Box<str>), Join>,
    /// Ends from before this scheduler.
    past: Vec<Ended>,
    /// Entries that are removed here, and may not be yet in a store that others share; and when that was.
    removed: HashMap<(&'static str, Box<str>), Mono>,
    /// Jobs whose due times may have begun on a host that is dead, where the store has forgotten that: those
    /// whose parents had ended by then.
    lost: HashMap<Box<str>, (Instant, Box<str>)>,
}

impl Chains {
    /// Nothing is known yet.
    pub(super) fn new() -> Chains {
        Chains { stale: true, ..Chains::default() }
    }
}

/// A due time of a job for which parents have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// Those of which the fate is known.
    parents: Vec<Box<str>>,
    /// It is skipped because of one of them.
    is_skipped: bool,
    /// When the last of them ended.
    at: Option<Instant>,
}

/// What an earlier scheduler has left of chains.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SavedChains {
    /// Ends of parents that are to be followed.
    pub ended: Vec<Ended>,
    /// Due times that wait, by due time and job.
    pub joins: Vec<((Instant, Box<str>), Join)>,
}

impl SavedChains {
    /// What the entries of both lists say. What cannot be read is left out.
    pub fn read(
        ended: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        joins: impl IntoIterator<Item = (Box<str>, Box<str>)>,
    ) -> SavedChains {
        let ended = ended.into_iter().filter_map(|(key, value)| read_ended(&key, &value));
        let joins = joins.into_iter().filter_map(|(key, value)| {
            let (due, job) = read_key(&key)?;
            Some(((due, job), read_join(&value)?))
        });
        SavedChains { ended: ended.collect(), joins: joins.collect() }
    }
}

/// The key of an entry for a due time of a job.
fn key(due: Instant, job: &str) -> Box<str> {
    format!("{} {job}", due.micros()).into()
}

fn read_key(key: &str) -> Option<(Instant, Box<str>)> {
    let (due, job) = key.split_once(' ')?;
    Some((Instant::from_micros(due.parse().ok()?), job.into()))
}

/// The entry of an end that is to be followed: its key and its value.
pub fn entry_of(ended: &Ended) -> (Box<str>, Box<str>) {
    (key(ended.due, &ended.job), value_of(ended).to_string().into())
}

fn value_of(ended: &Ended) -> Value {
    let outcome = &ended.outcome;
    let number = outcome.exit().or(outcome.signal());
    json!({
        "last_due": ended.last_due.micros(),
        "count": ended.count,
        "outcome": outcome.word(),
        "number": number,
        "late": outcome.late().map(duration_micros),
        "reason": outcome.reason(),
        "at": ended.at.micros(),
        "run": ended.run.map(|run| run.0),
    })
}

fn read_ended(key: &str, value: &str) -> Option<Ended> {
    let (due, job) = read_key(key)?;
    let value: Value = serde_json::from_str(value).ok()?;
    let time = |name: &str| Some(Instant::from_micros(value.get(name)?.as_i64()?));
    let number = value.get("number").and_then(Value::as_i64);
    let late = value.get("late").and_then(Value::as_u64).map(std::time::Duration::from_micros);
    let outcome = Outcome::read(
        value.get("outcome")?.as_str()?,
        number.and_then(|number| i32::try_from(number).ok()),
        late,
        value.get("reason").and_then(Value::as_str),
    )?;
    let count = value.get("count")?.as_u64()?;
    let run = value.get("run").and_then(Value::as_u64).map(RunId);
    Some(Ended { job, due, last_due: time("last_due")?, count, outcome, at: time("at")?, run })
}

fn read_join(value: &str) -> Option<Join> {
    let value: Value = serde_json::from_str(value).ok()?;
    let parents = value.get("parents")?.as_array()?.iter();
    Some(Join {
        parents: parents.filter_map(Value::as_str).map(Into::into).collect(),
        is_skipped: value.get("skipped")?.as_bool()?,
        at: value.get("at").and_then(Value::as_i64).map(Instant::from_micros),
    })
}

impl Ended {
    fn of(record: &Record, at: Instant) -> Ended {
        let Record { due, last_due, count, .. } = *record;
        let outcome = record.outcome.clone();
        Ended { job: record.job.id.clone(), due, last_due, count, outcome, at, run: record.run }
    }
}

/// Whether all parents of a due time have ended.
fn holds_all(join: &Join, after: &AfterTrigger) -> bool {
    join.parents.len() >= after.parents().len()
}

/// Whether a run has ended as it has to.
fn holds(on: On, outcome: &Outcome) -> bool {
    match on {
        On::Succeeded => outcome.is_success(),
        On::Failed => outcome.is_failed_run(),
        On::Finished => outcome.is_of_run(),
    }
}

/// What became of a parent, after its name: `was missed`.
fn said(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded => "succeeded",
        Outcome::Failed(_) => "failed",
        Outcome::Killed(_) => "was killed",
        Outcome::OverLimit(..) => "was over a limit",
        Outcome::TimedOut => "timed out",
        Outcome::NotStarted(_) => "could not be started",
        Outcome::Skipped(_) => "was skipped",
        Outcome::Missed(_) => "was missed",
        Outcome::Coalesced => "was coalesced",
        Outcome::Lost(_) => "was lost",
    }
}

/// When a due time that was decided before fires now that it is to be decided again.
pub(super) fn fires_again(job: &Job, due: Instant, now: Instant) -> Instant {
    match job.trigger {
        // Its parents have ended: it has been on time.
        Trigger::After(_) => now,
        _ => {
            // It may have waited for its conditions all the time.
            let fire = fire_time(job, due);
            fire.max(now.min(fire.plus(job.options.wait_for)))
        }
    }
}

impl Scheduler {
    /// Takes over what an earlier scheduler has left.
    pub(super) fn take_over_chains(&mut self, saved: SavedChains) {
        self.chains.stale = true;
        self.chains.past = saved.ended;
        if self.is_in_fleet() {
            // Whoever has the job at home reads what waits.
            return;
        }
        for ((due, id), join) in saved.joins {
            if let Some(slot) = self.find_job(&id)
                && let Trigger::After(after) = &self.jobs[slot as usize].job.trigger
            {
                if holds_all(&join, after) && !join.is_skipped {
                    self.await_jitter(slot, due, join.at);
                }
                self.chains.joins.insert((due, id), join);
            }
        }
    }

    /// Decides what follows from everything that was decided in this step, from the action `from` on.
    pub(super) fn follow(&mut self, from: usize, step: &mut Step<'_>) {
        if self.chains.stale {
            self.find_followers(step);
        }
        if !self.chains.past.is_empty() && self.life.is_accepting() {
            for ended in std::mem::take(&mut self.chains.past) {
                let (key, _) = entry_of(&ended);
                self.note(ENDED, key, None, step);
                self.is_over(&ended, step);
            }
        }
        if self.chains.followers.is_empty() && self.chains.joins.is_empty() {
            return;
        }
        let mut at = from;
        while let Some(action) = step.out.get(at) {
            at += 1;
            match action {
                Action::Record(record) => {
                    let ended = Ended::of(record, step.now.wall);
                    if record.run.is_none() && record.count == 1 {
                        self.forget_wait(&ended.job, ended.due, step);
                    }
                    self.is_over(&ended, step);
                }
                Action::Remember(Remember::Admitted(admitted)) if !self.chains.joins.is_empty() => {
                    let (job, due) = (Arc::clone(&admitted.job), admitted.due);
                    self.forget_join(&job.id, due, step);
                }
                _ => {}
            }
        }
    }

    /// A due time of a job has its fate.
    pub(super) fn is_over(&mut self, ended: &Ended, step: &mut Step<'_>) {
        let Some(children) = self.chains.followers.get(&ended.job) else { return };
        let mut is_for_later = false;
        for child in children.clone() {
            let Some(slot) = self.find_job(&child) else { continue };
            if !self.follows_here(slot, &ended.job) {
                self.leave_to_home(&child, ended, step);
            } else if self.life.is_accepting() {
                let left = self.leave_in_passing(slot, ended, step);
                self.parent_is_over(slot, ended, step);
                if let Some(key) = left {
                    self.note(homes::ENDS, key, None, step);
                }
            } else {
                is_for_later = true;
            }
        }
        if is_for_later {
            let (key, value) = entry_of(ended);
            self.note(ENDED, key, Some(value), step);
        }
    }

    fn parent_is_over(&mut self, slot: u32, ended: &Ended, step: &mut Step<'_>) {
        let Trigger::After(after) = &self.jobs[slot as usize].job.trigger else { return };
        let after = Arc::clone(after);
        if self.paused(slot) == Paused::ByFile {
            // It has no due times.
            return;
        }
        if self.jobs[slot as usize].job.options.run_on_start && ended.due == self.started {
            // The extra run at the start has that due time: the two are one.
            return;
        }
        let took = ended.at.since(ended.last_due);
        let why = if !holds(after.on(), &ended.outcome) {
            Some(format!("{} {}", ended.job, said(&ended.outcome)))
        } else {
            let within = after.within().filter(|within| took > *within);
            within.map(|within| format!("{} took longer than {}", ended.job, words::span(within)))
        };
        if after.parents().len() > 1 {
            self.join(slot, &after, ended, why.as_deref(), step);
            return;
        }
        match why {
            Some(why) => {
                self.skip_child(slot, (ended.due, ended.last_due, ended.count), &why, step)
            }
            None => self.child_is_due(slot, ended.due, ended.at, step),
        }
    }

    /// A due time, or several in a row, to which nothing comes because of a parent.
    fn skip_child(
        &mut self,
        slot: u32,
        (due, last_due, count): (Instant, Instant, u64),
        why: &str,
        step: &mut Step<'_>,
    ) {
        let state = &mut self.jobs[slot as usize];
        state.decided = state.decided.max(last_due);
        let outcome = Outcome::Skipped(SkipReason::parent(why));
        let record = Record::without_run(Arc::clone(&state.job), due, outcome);
        step.out.push(Action::Record(Record { last_due, count, ..record }));
    }

    /// All parents have ended as they should, the last of them at `at`.
    fn child_is_due(&mut self, slot: u32, due: Instant, at: Instant, step: &mut Step<'_>) {
        let paused = self.paused(slot) != Paused::No;
        let job = Arc::clone(&self.jobs[slot as usize].job);
        let late = step.now.wall.since(at);
        let lost = self.may_have_begun(&job.id, at);
        let outcome = if lost.is_some() {
            lost
        } else if paused {
            Some(Outcome::Skipped(SkipReason::Paused))
        } else if let Some(by) = job.excluded(due) {
            Some(Outcome::Skipped(SkipReason::excluded(&by)))
        } else if !job.options.misfire_grace_time.allows(late) {
            Some(Outcome::Missed(MissReason::Late(late)))
        } else {
            None
        };
        let state = &mut self.jobs[slot as usize];
        state.decided = state.decided.max(due);
        let delay = job.delay(due);
        if let Some(outcome) = outcome {
            step.out.push(Action::Record(Record::without_run(job, due, outcome)));
        } else if delay.is_zero() && !self.is_held_up(slot) {
            if !self.admit(slot, due, step) {
                let outcome = Outcome::Skipped(SkipReason::Overlap);
                step.out.push(Action::Record(Record::without_run(job, due, outcome)));
            }
        } else {
            let Trigger::After(after) = &job.trigger else { return };
            let join = Join { parents: after.parents().into(), is_skipped: false, at: Some(at) };
            self.remember_join(due, &job.id, join, step);
            self.delayed.entry(slot).or_default().push(Wait { fire: at.max(due).plus(delay), due });
            self.reschedule(slot);
        }
    }

    /// One of several parents has ended.
    fn join(
        &mut self,
        slot: u32,
        after: &AfterTrigger,
        ended: &Ended,
        why: Option<&str>,
        step: &mut Step<'_>,
    ) {
        // Several of them were decided together: which, the trigger of the parent says.
        let mut dues = vec![ended.due];
        if ended.count > 1
            && let Some(first) = self.first_of_chain(&ended.job)
        {
            let timetable = self.jobs[first as usize].timetable();
            let mut due = timetable.after(ended.due);
            let mut looked_at = 0;
            while due <= ended.last_due && due != NEVER && looked_at < MOST_OF_RANGE {
                looked_at += 1;
                if self.is_due_at(&ended.job, due, 0) {
                    dues.push(due);
                }
                due = timetable.after(due);
            }
        }
        // The first of those that are skipped in a row, the last, and how many.
        let mut skipped: Option<(Instant, Instant, u64)> = None;
        for due in dues {
            let others = after.parents().iter().filter(|parent| **parent != ended.job);
            if !{ others }.all(|parent| self.is_due_at(parent, due, 0)) {
                continue;
            }
            let is_skipped = self.join_one(slot, after, (due, ended), why.is_some(), step);
            skipped = match (skipped, is_skipped) {
                (Some((first, _, count)), true) => Some((first, due, count + 1)),
                (None, true) => Some((due, due, 1)),
                (before, false) => {
                    // Another parent has decided this one.
                    self.skip_together(slot, before, why, step);
                    None
                }
            };
        }
        self.skip_together(slot, skipped, why, step);
    }

    /// A job that is due by itself, at no fewer times than this one, which comes after it.
    fn first_of_chain(&self, id: &str) -> Option<u32> {
        let mut slot = self.find_job(id)?;
        for _ in 0..DEEPEST {
            let Trigger::After(after) = &self.jobs[slot as usize].job.trigger else {
                return Some(slot);
            };
            slot = self.find_job(after.parents().first()?)?;
        }
        None
    }

    fn skip_together(
        &mut self,
        slot: u32,
        skipped: Option<(Instant, Instant, u64)>,
        why: Option<&str>,
        step: &mut Step<'_>,
    ) {
        if let (Some(skipped), Some(why)) = (skipped, why) {
            self.skip_child(slot, skipped, why, step);
        }
    }

    /// Answers whether the due time is to be skipped because of this end.
    fn join_one(
        &mut self,
        slot: u32,
        after: &AfterTrigger,
        (due, ended): (Instant, &Ended),
        skips: bool,
        step: &mut Step<'_>,
    ) -> bool {
        let id = self.jobs[slot as usize].job.id.clone();
        let mut join = self.chains.joins.get(&(due, id.clone())).cloned().unwrap_or_default();
        if join.parents.contains(&ended.job) {
            return false;
        }
        join.parents.push(ended.job.clone());
        join.at = join.at.max(Some(ended.at));
        let is_first = skips && !join.is_skipped;
        join.is_skipped |= skips;
        if !holds_all(&join, after) {
            self.remember_join(due, &id, join, step);
            return is_first;
        }
        self.forget_join(&id, due, step);
        if !join.is_skipped {
            self.child_is_due(slot, due, join.at.unwrap_or(step.now.wall), step);
        }
        is_first
    }

    /// Whether a job is due at a time. Of the extra runs at the start of the scheduler nobody knows.
    fn is_due_at(&self, id: &str, due: Instant, depth: u32) -> bool {
        let Some(slot) = self.find_job(id) else { return false };
        let state = &self.jobs[slot as usize];
        if depth > DEEPEST || self.paused(slot) == Paused::ByFile {
            return false;
        }
        match &state.job.trigger {
            Trigger::After(after) => {
                after.parents().iter().all(|parent| self.is_due_at(parent, due, depth + 1))
            }
            Trigger::Date(DateTrigger::Now | DateTrigger::Reboot) => state.anchor == due,
            _ => state.timetable().after(due.minus(TICK)) == due,
        }
    }

    fn remember_join(&mut self, due: Instant, job: &str, join: Join, step: &mut Step<'_>) {
        let value = json!({
            "parents": join.parents.iter().map(|parent| &**parent).collect::<Vec<&str>>(),
            "skipped": join.is_skipped,
            "at": join.at.map(Instant::micros),
        });
        let each = self.find_job(job).map(|slot| &self.jobs[slot as usize].job.options.run_on);
        if !self.is_in_fleet() || each != Some(&RunOn::All) {
            self.note(JOINS, key(due, job), Some(value.to_string().into()), step);
        }
        self.chains.joins.insert((due, job.into()), join);
        if self.chains.joins.len() > MOST_JOINS
            && let Some(((due, job), _)) = self.chains.joins.pop_first()
        {
            self.note(JOINS, key(due, &job), None, step);
        }
    }

    /// A due time that waited has its fate. Where one of its parents was the reason, the others are still
    /// waited for: they change nothing.
    fn forget_wait(&mut self, job: &str, due: Instant, step: &mut Step<'_>) {
        let join = self.chains.joins.get(&(due, job.into()));
        if join.is_some_and(|join| !join.is_skipped) {
            self.forget_join(job, due, step);
        }
    }

    fn forget_join(&mut self, job: &str, due: Instant, step: &mut Step<'_>) {
        if !self.chains.joins.is_empty() && self.chains.joins.remove(&(due, job.into())).is_some() {
            self.note(JOINS, key(due, job), None, step);
        }
    }

    fn note(
        &mut self,
        list: &'static str,
        key: Box<str>,
        value: Option<Box<str>>,
        step: &mut Step<'_>,
    ) {
        if self.is_in_fleet() {
            match &value {
                None => self.chains.removed.insert((list, key.clone()), step.now.mono),
                Some(_) => self.chains.removed.remove(&(list, key.clone())),
            };
        }
        if self.remembers {
            step.out.push(Action::Remember(Remember::Entry { list, key, value }));
        }
    }

    /// Which jobs are due after which. A circle, which every other check refuses, starts nothing.
    fn find_followers(&mut self, step: &mut Step<'_>) {
        self.chains.stale = false;
        self.chains.followers.clear();
        let mut of: HashMap<Box<str>, Arc<AfterTrigger>> = HashMap::new();
        for state in self.jobs.iter().filter(|state| !state.gone) {
            if let Trigger::After(after) = &state.job.trigger {
                of.insert(state.job.id.clone(), Arc::clone(after));
            }
        }
        for state in self.jobs.iter().filter(|state| !state.gone) {
            let Trigger::After(after) = &state.job.trigger else { continue };
            if is_in_circle(&state.job.id, |id| of.get(id).map(|after| after.parents())) {
                continue;
            }
            for parent in after.parents() {
                let followers = self.chains.followers.entry(parent.clone()).or_default();
                followers.push(state.job.id.clone());
            }
        }
        let gone = self.chains.joins.keys().filter(|(_, job)| !of.contains_key(job));
        let gone: Vec<(Instant, Box<str>)> = gone.cloned().collect();
        for (due, job) in gone {
            self.forget_join(&job, due, step);
        }
    }

    /// What a job waits for that is due after others: `after load, which is running`.
    pub(super) fn awaits_parents(&self, after: &AfterTrigger, depth: u32) -> String {
        let said = match after.parents() {
            [parent] if depth < 10 => self.parent_in_words(parent, depth),
            _ => None,
        };
        let said = said.map(|said| format!(", which {said}")).unwrap_or_default();
        format!("after {}{said}", after.names())
    }

    fn parent_in_words(&self, parent: &str, depth: u32) -> Option<String> {
        let Some(slot) = self.find_job(parent) else {
            return Some("is no job any more".to_owned());
        };
        let state = &self.jobs[slot as usize];
        if self.paused(slot) != Paused::No {
            return Some("is paused".to_owned());
        }
        let checks = |run: &u32| self.runs[*run].phase == Phase::Checking;
        if self.is_undecided(slot) || self.has_held(slot) {
            return Some("is due once the store answers".to_owned());
        }
        if !state.instances.is_empty() {
            let all_check = state.instances.iter().all(checks);
            return Some(
                if all_check { "is waiting for its conditions" } else { "is running" }.into(),
            );
        }
        if let Trigger::After(after) = &state.job.trigger {
            return Some(format!("is due {}", self.awaits_parents(after, depth + 1)));
        }
        let next = Some(state.next).filter(|next| *next != NEVER)?;
        Some(format!("is due {}", words::day_and_time(next.truncated(), &state.job.zone)))
    }

    /// Whether a job runs on each host of the fleet and one that it is due after, or that is due after it,
    /// does not; or the other way round.
    fn on_other_hosts(&self, job: &Job) -> Option<CannotFollow> {
        if !self.is_in_fleet() {
            return None;
        }
        let parents_of = |job: &Job| -> Arc<[Box<str>]> {
            match &job.trigger {
                Trigger::After(after) => after.parents().into(),
                _ => [].into(),
            }
        };
        let (own, on_each) = (parents_of(job), job.options.run_on == RunOn::All);
        let other = self.jobs.iter().filter(|state| !state.gone).map(|state| &*state.job);
        let mut other = other
            .filter(|other| other.id != job.id && (other.options.run_on == RunOn::All) != on_each);
        let other =
            other.find(|other| own.contains(&other.id) || parents_of(other).contains(&job.id))?;
        let (each, once) = if on_each { (job, other) } else { (other, job) };
        Some(CannotFollow::OtherHosts { each: each.id.clone(), once: once.id.clone() })
    }

    /// Which of the parents of a job is not there, or whether it would be due after itself.
    pub(super) fn cannot_follow(&self, job: &Job) -> Option<CannotFollow> {
        if let Some(hosts) = self.on_other_hosts(job) {
            return Some(hosts);
        }
        let Trigger::After(after) = &job.trigger else { return None };
        let missing = after
            .parents()
            .iter()
            .find(|parent| **parent != job.id && self.find_job(parent).is_none());
        if let Some(missing) = missing {
            return Some(CannotFollow::NoJob(missing.clone()));
        }
        if self.is_in_fleet() && job.options.run_on == RunOn::All && after.parents().len() > 1 {
            return Some(CannotFollow::EachHost);
        }
        let parents = |id: &str| -> Option<&[Box<str>]> {
            if *id == *job.id {
                return Some(after.parents());
            }
            match &self.jobs[self.find_job(id)? as usize].job.trigger {
                Trigger::After(after) => Some(after.parents()),
                _ => None,
            }
        };
        is_in_circle(&job.id, parents).then_some(CannotFollow::Itself)
    }
}

/// Why a job cannot be due after others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CannotFollow {
    /// One of them runs on each host, which has due times of its own of it, and the other on one.
    OtherHosts { each: Box<str>, once: Box<str> },
    /// There is no such job.
    NoJob(Box<str>),
    /// It would be due after itself.
    Itself,
    /// It waits for several, and runs on each host.
    EachHost,
}

/// Whether a job comes after itself.
fn is_in_circle<'a>(id: &'a str, parents: impl Fn(&str) -> Option<&'a [Box<str>]>) -> bool {
    let mut seen: HashSet<&str> = HashSet::new();
    let mut next: Vec<&str> = vec![id];
    while let Some(job) = next.pop() {
        for parent in parents(job).unwrap_or_default() {
            if **parent == *id {
                return true;
            }
            if seen.insert(parent) {
                next.push(parent);
            }
        }
    }
    false
}
