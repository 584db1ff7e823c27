//! Jobs that are due when runs of others have ended: doc/runs.md, "After other jobs".
//!
//! The due time of such a job is that of its parents. What becomes of a due time of a parent is an
//! [`Action::Record`], wherever that is decided; at the end of each step those that came in it are looked
//! through ([`Scheduler::follow`]), and what follows from them is decided in the same step, so that it is
//! remembered together with them. What has to wait is remembered in two lists of entries: parents that
//! have ended for a due time while others, or a jitter, are waited for ([`JOINS`]), and ends that nobody
//! could follow any more, because the scheduler stopped or was not there ([`ENDED`]).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::core::event::{Action, Ended, Paused, Record, Remember};
use crate::core::instant::{Instant, duration_micros};
use crate::core::job::Job;
use crate::core::outcome::{MissReason, Outcome, SkipReason};
use crate::core::trigger::after::On;
use crate::core::trigger::{AfterTrigger, DateTrigger, Trigger};
use crate::core::words;

use super::jobs::{NEVER, TICK, Wait};
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
    let outcome = &ended.outcome;
    let number = outcome.exit().or(outcome.signal());
    let value = json!({
        "last_due": ended.last_due.micros(),
        "count": ended.count,
        "outcome": outcome.word(),
        "number": number,
        "late": outcome.late().map(duration_micros),
        "reason": outcome.reason(),
        "at": ended.at.micros(),
    });
    (key(ended.due, &ended.job), value.to_string().into())
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
    Some(Ended { job, due, last_due: time("last_due")?, count, outcome, at: time("at")? })
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
        Ended { job: record.job.id.clone(), due, last_due, count, outcome, at }
    }
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
        _ => fire_time(job, due),
    }
}

impl Scheduler {
    /// Takes over what an earlier scheduler has left.
    pub(super) fn take_over_chains(&mut self, saved: SavedChains) {
        self.chains.stale = true;
        self.chains.past = saved.ended;
        for ((due, id), join) in saved.joins {
            if let Some(slot) = self.find_job(&id)
                && let Trigger::After(after) = &self.jobs[slot as usize].job.trigger
            {
                if join.parents.len() >= after.parents().len() && !join.is_skipped {
                    let job = &self.jobs[slot as usize].job;
                    let fire = join.at.unwrap_or(self.started).max(due).plus(job.delay(due));
                    self.delayed.entry(slot).or_default().push(Wait { fire, due });
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
                        self.forget_join(&ended.job, ended.due, step);
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
        if !self.life.is_accepting() {
            let (key, value) = entry_of(ended);
            self.note(ENDED, key, Some(value), step);
            return;
        }
        for child in children.clone() {
            if let Some(slot) = self.find_job(&child) {
                self.parent_is_over(slot, ended, step);
            }
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
        let state = &mut self.jobs[slot as usize];
        let job = Arc::clone(&state.job);
        let late = step.now.wall.since(at);
        let outcome = if paused {
            Some(Outcome::Skipped(SkipReason::Paused))
        } else if let Some(by) = job.excluded(due) {
            Some(Outcome::Skipped(SkipReason::excluded(&by)))
        } else if !job.options.misfire_grace_time.allows(late) {
            Some(Outcome::Missed(MissReason::Late(late)))
        } else {
            None
        };
        state.decided = state.decided.max(due);
        let delay = job.delay(due);
        if let Some(outcome) = outcome {
            step.out.push(Action::Record(Record::without_run(job, due, outcome)));
        } else if delay.is_zero() {
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
            && let Some(parent) = self.find_job(&ended.job)
        {
            let timetable = self.jobs[parent as usize].timetable();
            let mut due = timetable.after(ended.due);
            while due <= ended.last_due && due != NEVER && dues.len() < MOST_OF_RANGE {
                dues.push(due);
                due = timetable.after(due);
            }
        }
        let mut skipped: Vec<Instant> = Vec::new();
        for due in dues {
            let others = after.parents().iter().filter(|parent| **parent != ended.job);
            if { others }.all(|parent| self.is_due_at(parent, due, 0)) {
                self.join_one(slot, after, (due, ended), why, &mut skipped, step);
            }
        }
        if let (Some(first), Some(last), Some(why)) = (skipped.first(), skipped.last(), why) {
            self.skip_child(slot, (*first, *last, skipped.len() as u64), why, step);
        }
    }

    fn join_one(
        &mut self,
        slot: u32,
        after: &AfterTrigger,
        (due, ended): (Instant, &Ended),
        why: Option<&str>,
        skipped: &mut Vec<Instant>,
        step: &mut Step<'_>,
    ) {
        let id = self.jobs[slot as usize].job.id.clone();
        let mut join = self.chains.joins.get(&(due, id.clone())).cloned().unwrap_or_default();
        if join.parents.contains(&ended.job) {
            return;
        }
        join.parents.push(ended.job.clone());
        join.at = join.at.max(Some(ended.at));
        if why.is_some() && !join.is_skipped {
            join.is_skipped = true;
            skipped.push(due);
        }
        if join.parents.len() < after.parents().len() {
            self.remember_join(due, &id, join, step);
            return;
        }
        self.forget_join(&id, due, step);
        if !join.is_skipped {
            self.child_is_due(slot, due, join.at.unwrap_or(step.now.wall), step);
        }
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
        self.note(JOINS, key(due, job), Some(value.to_string().into()), step);
        self.chains.joins.insert((due, job.into()), join);
        if self.chains.joins.len() > MOST_JOINS
            && let Some(((due, job), _)) = self.chains.joins.pop_first()
        {
            self.note(JOINS, key(due, &job), None, step);
        }
    }

    fn forget_join(&mut self, job: &str, due: Instant, step: &mut Step<'_>) {
        if !self.chains.joins.is_empty() && self.chains.joins.remove(&(due, job.into())).is_some() {
            self.note(JOINS, key(due, job), None, step);
        }
    }

    fn note(
        &self,
        list: &'static str,
        key: Box<str>,
        value: Option<Box<str>>,
        step: &mut Step<'_>,
    ) {
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
        if !state.instances.is_empty() {
            return Some("is running".to_owned());
        }
        if let Trigger::After(after) = &state.job.trigger {
            return Some(format!("is due {}", self.awaits_parents(after, depth + 1)));
        }
        let next = Some(state.next).filter(|next| *next != NEVER)?;
        Some(format!("is due {}", words::day_and_time(next.truncated(), &state.job.zone)))
    }

    /// Which of the parents of a job is not there, or whether it would be due after itself.
    pub(super) fn cannot_follow(&self, job: &Job) -> Option<CannotFollow> {
        let Trigger::After(after) = &job.trigger else { return None };
        let missing = after
            .parents()
            .iter()
            .find(|parent| **parent != job.id && self.find_job(parent).is_none());
        if let Some(missing) = missing {
            return Some(CannotFollow::NoJob(missing.clone()));
        }
        if self.is_in_fleet() && after.parents().len() > 1 {
            return Some(CannotFollow::SeveralHosts);
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
    /// There is no such job.
    NoJob(Box<str>),
    /// It would be due after itself.
    Itself,
    /// It waits for several, and others share the store.
    SeveralHosts,
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
