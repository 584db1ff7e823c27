//! The digest of a route: instead of each notification one message at a time of day, with what has become of
//! its jobs since the last one.
//!
//! Pure, and bounded: a [`Tally`] counts, and knows a few jobs by name. It is written once however much is
//! counted together ([`Digests::flush`]). Which jobs fail when it is sent says whoever counts failures
//! (`crate::core::streak`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Route;
use super::notifier::{DIGESTS, Effect};
use super::state;
use crate::core::event::Record;
use crate::core::instant::{Instant, duration_micros};
use crate::core::outcome::Outcome;
use crate::core::streak::Streak;

/// So many jobs are named; others are only counted.
const NAMED: usize = 50;
/// So many of the slowest runs are.
const SLOWEST: usize = 5;

/// The jobs of a route of this name that fail, by name: each with its failures in a row.
pub(crate) type Failing<'a> = dyn Fn(&str) -> Vec<(Box<str>, Streak)> + 'a;

/// What has become of the jobs of a route since some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Since when, in microseconds since 1970, as all times here.
    pub since: i64,
    /// How many runs have succeeded.
    pub succeeded: u64,
    /// How many have failed, after their retries.
    pub failed: u64,
    /// How many due times were missed.
    pub missed: u64,
    /// How many were skipped.
    pub skipped: u64,
    /// The jobs that fail when it is sent: how many runs in a row, and since when.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failing: BTreeMap<String, (u32, i64)>,
    /// How many more there are.
    pub more_failing: u64,
    /// Jobs with due times that were missed: how many.
    pub missed_by: BTreeMap<String, u64>,
    /// The runs that took longest, the longest first: the job, the run, and how long.
    pub slowest: Vec<(String, u64, i64)>,
    /// Hosts that are gone and had counted a part of it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub hosts: BTreeSet<String>,
}

impl Tally {
    /// One that begins then.
    pub(super) fn new(since: Instant) -> Tally {
        Tally { since: since.micros(), ..Tally::default() }
    }

    /// Something has become of a job.
    pub(super) fn count(&mut self, record: &Record) {
        let job = &*record.job.id;
        match &record.outcome {
            Outcome::Succeeded => self.succeeded += 1,
            Outcome::Missed(_) => {
                self.missed(job, record.count);
            }
            Outcome::Skipped(_) => self.skipped = self.skipped.saturating_add(record.count),
            // Another due time stands for it.
            Outcome::Coalesced => {}
            Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::OverLimit(..)
            | Outcome::TimedOut
            | Outcome::NotStarted(_)
            | Outcome::Lost(_) => self.failed += 1,
        }
        if let Some(run) = record.run.filter(|_| record.started.is_some()) {
            self.took(job, run.0, duration_micros(record.duration));
        }
    }

    fn took(&mut self, job: &str, run: u64, took: i64) {
        let place = self.slowest.partition_point(|(_, _, other)| *other >= took);
        if place < SLOWEST {
            self.slowest.insert(place, (job.to_owned(), run, took));
            self.slowest.truncate(SLOWEST);
        }
    }

    fn missed(&mut self, job: &str, count: u64) {
        self.missed = self.missed.saturating_add(count);
        let has_room = self.missed_by.len() < NAMED || self.missed_by.contains_key(job);
        if has_room {
            let missed = self.missed_by.entry(job.to_owned()).or_default();
            *missed = missed.saturating_add(count);
        }
    }

    /// What a host had counted that is gone is a part of this one.
    fn add(&mut self, host: &str, other: Tally) {
        self.since = self.since.min(other.since);
        self.succeeded = self.succeeded.saturating_add(other.succeeded);
        self.failed = self.failed.saturating_add(other.failed);
        self.skipped = self.skipped.saturating_add(other.skipped);
        let missed = self.missed.saturating_add(other.missed);
        other.missed_by.iter().for_each(|(job, count)| self.missed(job, *count));
        // Those of jobs that there was no room for have no name.
        self.missed = missed;
        other.slowest.iter().for_each(|(job, run, took)| self.took(job, *run, *took));
        let room = NAMED.saturating_sub(self.hosts.len());
        self.hosts.extend([host.to_owned()].into_iter().chain(other.hosts).take(room));
    }

    /// What is told, and what is counted from then on.
    fn end(&mut self, now: Instant, failing: Vec<(Box<str>, Streak)>) -> Tally {
        let ended = std::mem::replace(self, Tally::new(now));
        let more_failing = failing.len().saturating_sub(NAMED) as u64;
        let failing = failing.into_iter().take(NAMED).map(|(job, streak)| {
            let since = streak.since().map_or(ended.since, Instant::micros);
            (job.into(), (streak.runs, since))
        });
        Tally { failing: failing.collect(), more_failing, ..ended }
    }

    /// How many jobs fail.
    pub fn failing_jobs(&self) -> u64 {
        (self.failing.len() as u64).saturating_add(self.more_failing)
    }

    /// How many runs there were.
    pub fn runs(&self) -> u64 {
        self.succeeded.saturating_add(self.failed)
    }

    /// The runs that took longest.
    pub fn slowest(&self) -> impl Iterator<Item = (&str, u64, Duration)> {
        let each = self.slowest.iter();
        each.map(|(job, run, took)| (&**job, *run, Duration::from_micros(took.unsigned_abs())))
    }
}

/// What the digests of the routes will say.
#[derive(Debug, Default)]
pub(super) struct Digests {
    host: Box<str>,
    /// By route.
    tallies: BTreeMap<Box<str>, Tally>,
    /// Those that are not yet written as they are.
    changed: BTreeSet<Box<str>>,
}

impl Digests {
    /// Those of this host.
    pub(super) fn new(host: &str) -> Digests {
        Digests { host: host.into(), ..Digests::default() }
    }

    /// An entry of [`DIGESTS`] that an earlier scheduler has left. That of another host is left to it.
    pub(super) fn restore(&mut self, key: &str, value: &str) {
        let Some((route, host)) = state::of_key(key) else { return };
        if let Ok(tally) = serde_json::from_str(value)
            && host == &*self.host
        {
            self.tallies.insert(route.into(), tally);
        }
    }

    /// What other hosts had counted that are gone, as far as the route is known here.
    pub(super) fn inherit(
        &mut self,
        is_gone: &dyn Fn(&str) -> bool,
        entries: impl IntoIterator<Item = (Box<str>, Box<str>)>,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (key, value) in entries {
            let Some((route, host)) = state::of_key(&key) else { continue };
            let Some(tally) = self.tallies.get_mut(route).filter(|_| is_gone(host)) else {
                continue;
            };
            if let Ok(other) = serde_json::from_str(&value) {
                tally.add(host, other);
                self.changed.insert(route.into());
                effects.push(Effect::Write(DIGESTS, key, None));
            }
        }
        // Both at once: it is counted once, whatever dies in between.
        effects.extend(self.flush());
        effects
    }

    /// What was counted until now is told by somebody else.
    pub(super) fn begin_again(&mut self, now: Instant) {
        self.tallies.values_mut().for_each(|tally| *tally = Tally::new(now));
        self.remember();
    }

    /// These are the routes: those that have a digest begin to count, unless they do so already.
    pub(super) fn follow(&mut self, routes: &BTreeMap<Box<str>, Route>, now: Instant) {
        let has_digest = |name: &str| routes.get(name).is_some_and(|it| it.digest.is_some());
        let gone = self.tallies.keys().filter(|name| !has_digest(name));
        self.changed.extend(gone.cloned());
        self.tallies.retain(|name, _| has_digest(name));
        for name in routes.keys().filter(|name| has_digest(name)) {
            if !self.tallies.contains_key(name) {
                self.tallies.insert(name.clone(), Tally::new(now));
                self.changed.insert(name.clone());
            }
        }
    }

    /// Something has become of a job.
    pub(super) fn count(&mut self, record: &Record) {
        for name in &record.job.options.notify {
            if let Some(tally) = self.tallies.get_mut(name) {
                tally.count(record);
                self.changed.insert(name.clone());
            }
        }
    }

    /// When the first of them is due.
    pub(super) fn next(&self, routes: &BTreeMap<Box<str>, Route>) -> Option<Instant> {
        self.tallies.iter().filter_map(|(name, tally)| due_at(routes.get(name)?, tally)).min()
    }

    /// Those that are due, each with its route.
    pub(super) fn take_due(
        &mut self,
        routes: &BTreeMap<Box<str>, Route>,
        now: Instant,
        failing: &Failing<'_>,
    ) -> Vec<(Box<str>, Tally)> {
        let mut due = Vec::new();
        for (name, tally) in &mut self.tallies {
            let at = routes.get(name).and_then(|route| due_at(route, tally));
            if at.is_some_and(|at| at <= now) {
                due.push((name.clone(), tally.end(now, failing(name))));
                self.changed.insert(name.clone());
            }
        }
        due
    }

    /// What is to be written, so that all that was counted until now is.
    pub(super) fn flush(&mut self) -> Vec<Effect> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let write = |name: Box<str>| {
            let tally = self.tallies.get(&name);
            // Strings and numbers can always be written.
            let text = tally.map(|tally| serde_json::to_string(tally).unwrap_or_default().into());
            Effect::Write(DIGESTS, state::key(&name, &self.host), text)
        };
        changed.map(write).collect()
    }

    /// Whoever has written them has lost them.
    pub(super) fn remember(&mut self) {
        self.changed.extend(self.tallies.keys().cloned());
    }
}

/// When the digest of a route is due.
fn due_at(route: &Route, tally: &Tally) -> Option<Instant> {
    let since = Instant::from_micros(tally.since);
    Some(route.digest.as_ref()?.next_after(since, &route.zone))
}
