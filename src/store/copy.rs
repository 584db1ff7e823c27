//! Moves what one store knows to another, whichever engines they are of.
//!
//! A copy is what the first store was told, told again: each record becomes the facts that make it
//! (`retell`), in the order in which the records came. So any store can be written that takes facts,
//! and a copy that was interrupted is done again: what the other has must be how this one begins, and
//! the rest follows. At the end both are read and compared (`look`), which is what the counts say.
//!
//! Not over runs are not copied, but refused: their processes belong to a host that watches them.

mod look;
mod retell;

use std::collections::{HashMap, HashSet};
use std::fmt;

use self::look::Look;
use super::shared::Shared;
use super::{Entries, Fact, OpenRun, RunRecord, Store, StoreError};
use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::fleet::{Member, SPARE_RUNS, SessionId};
use crate::core::record::Session;
use crate::sys::machine;

/// So many records are read at a time.
const PAGE: usize = 500;

/// Of so many runs that is read which may be long: what they have printed.
const WHOLE: usize = 32;

/// So many facts are written at a time, or a few more.
const FACTS: usize = 1000;

/// What is copied, and how it is told how far that is.
pub struct Options<'a> {
    /// Where a due time has a record on each host: those of this one.
    pub host: Option<&'a str>,
    /// Called with how many steps are done, of how many.
    pub progress: &'a mut dyn FnMut(u64, u64),
}

/// How much there is of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that something is remembered of.
    pub jobs: u64,
    /// Those of them that were added at run time.
    pub added: u64,
    /// Those that were changed at run time.
    pub changed: u64,
    /// Those that are paused, and one more if all are.
    pub paused: u64,
    /// Records: of runs, and of due times that did not become one.
    pub records: u64,
    /// Runs.
    pub runs: u64,
    /// Their attempts.
    pub attempts: u64,
    /// Runs that have printed something.
    pub outputs: u64,
    /// What people have changed.
    pub changes: u64,
    /// Lives of schedulers.
    pub lives: u64,
    /// Entries of lists.
    pub entries: u64,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// What the one store has.
    pub read: Counts,
    /// What the other has now.
    pub written: Counts,
    /// So many records an earlier copy had written.
    pub before: u64,
    /// So many records have lost the name of their host, which the other store has no place for.
    pub hosts: u64,
}

/// Why there is no copy, or not all of it.
#[derive(Clone, Debug, PartialEq)]
pub enum CopyError {
    /// The one that is read fails.
    From(StoreError),
    /// The one that is written fails.
    To(StoreError),
    /// Runs are not over.
    Open(Vec<OpenRun>),
    /// A job has run on each of these hosts, and the other store has one record for each due time.
    EachHost {
        /// The job.
        job: Box<str>,
        /// The hosts.
        hosts: Vec<Box<str>>,
    },
    /// The other holds what did not come from here: what that is.
    Foreign(String),
    /// What was written is not what was read: where.
    Differs(String),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyError::From(error) => write!(f, "the store {error}"),
            CopyError::To(error) => {
                write!(f, "the store {error}; run the same command again to continue")
            }
            CopyError::Open(runs) => {
                let first = runs.first();
                let (run, job) = first.map_or((0, ""), |open| (open.run.0, &*open.job));
                let more = match runs.len() {
                    0 | 1 => String::new(),
                    all => format!(" (and {} more)", all - 1),
                };
                write!(
                    f,
                    "run {run} of {job}{more} is not over as far as the store knows; let schedrs \
                     run with it once, which finds out, and stop it again"
                )
            }
            CopyError::EachHost { job, hosts } => write!(
                f,
                "{job} has run on each of {}, and a file has room for one record of a due time; \
                 `--host NAME` copies those of one host",
                hosts.join(", ")
            ),
            CopyError::Foreign(what) => write!(
                f,
                "the store to copy to is not empty: it has {what}, which did not come from the \
                 first; name an empty one"
            ),
            CopyError::Differs(what) => write!(f, "the copy differs: {what}"),
        }
    }
}

impl std::error::Error for CopyError {}

impl Counts {
    /// What there is, each with its name.
    pub fn rows(&self) -> [(&'static str, u64); 11] {
        [
            ("jobs", self.jobs),
            ("added at run time", self.added),
            ("changed at run time", self.changed),
            ("pauses", self.paused),
            ("records", self.records),
            ("runs", self.runs),
            ("attempts", self.attempts),
            ("outputs", self.outputs),
            ("changes", self.changes),
            ("scheduler sessions", self.lives),
            ("list entries", self.entries),
        ]
    }
}

/// What a store knows beside its records.
struct Rest {
    jobs: Vec<JobRecord>,
    all_paused: Option<Pause>,
    changes: Vec<Change>,
    lives: Vec<Session>,
    lists: Vec<List>,
}

/// A list: its name, and its entries with their keys, both in their order.
type List = (Box<str>, Entries);

/// The store that is written, and in whose name.
struct Target<'a> {
    store: &'a mut dyn Store,
    /// A session for each host, where the store knows of hosts.
    sessions: HashMap<Box<str>, SessionId>,
    keeps_hosts: bool,
    facts: Vec<Fact>,
    host: Option<Box<str>>,
}

/// Copies all that `from` knows to `to`, which is empty, or has what an earlier call has written.
/// Nobody else may write either of them meanwhile.
///
/// # Errors
///
/// See [`CopyError`]. What was written stays, and the next call goes on from there.
pub fn copy(
    from: &mut dyn Store,
    to: &mut dyn Store,
    options: Options<'_>,
) -> Result<Copied, CopyError> {
    let restored = from.restore().map_err(CopyError::From)?;
    if !restored.open.is_empty() {
        return Err(CopyError::Open(restored.open));
    }
    to.restore().map_err(CopyError::To)?;
    let mut source = Look::at(from, CopyError::From)?;
    let keeps_hosts = to.shared().is_some();
    let known = source.survey(options.host, keeps_hosts)?;
    let mut looked = Look::at(to, CopyError::To)?;
    let before = looked.survey(None, true)?.records;
    let (rest, other) = (source.rest()?, looked.rest()?);
    rest.must_have(&other)?;
    looked.must_be_the_beginning(&mut source, known.records, before, keeps_hosts)?;
    let steps = (known.records - before) + known.records;
    let mut done = 0;
    let mut target = Target::new(to, keeps_hosts);
    let written = target.all(&mut source, before, &rest, restored.next_run, &mut || {
        done += 1;
        (options.progress)(done, steps);
    });
    let left = target.leave();
    written?;
    left?;
    let mut looked = Look::at(to, CopyError::To)?;
    let (read, written) = looked.compare(&mut source, keeps_hosts, &mut || {
        done += 1;
        (options.progress)(done, steps);
    })?;
    let other = looked.rest()?;
    rest.must_equal(&other)?;
    let hosts = if keeps_hosts { 0 } else { known.hosts };
    Ok(Copied { read: rest.counted(read), written: other.counted(written), before, hosts })
}

impl<'a> Target<'a> {
    fn new(store: &'a mut dyn Store, keeps_hosts: bool) -> Target<'a> {
        Target { store, sessions: HashMap::new(), keeps_hosts, facts: Vec::new(), host: None }
    }

    /// Writes what is not there yet.
    fn all(
        &mut self,
        source: &mut Look,
        before: u64,
        rest: &Rest,
        next_run: u64,
        step: &mut dyn FnMut(),
    ) -> Result<(), CopyError> {
        let (mut there, mut highest, mut next_run) = (before, 0, next_run);
        let unused = RunId(next_run);
        let each_host: HashSet<Box<str>> = source.each_host().map(Box::from).collect();
        source.oldest_first(|whole, later| {
            let number = whole.record.run.map(|run| run.0).filter(|number| *number < SPARE_RUNS);
            highest = highest.max(number.unwrap_or(0));
            if later.is_none() && retell::has_lost_its_number(&whole.record) {
                next_run = unused.0 + 1;
            }
            if there > 0 {
                there -= 1;
                return Ok(());
            }
            let host = whole.record.host.clone().filter(|_| self.keeps_hosts);
            self.of(host)?;
            let claim =
                if each_host.contains(&whole.record.job) { self.host.clone() } else { None };
            retell::record(whole, claim, later.unwrap_or(unused), &mut self.facts);
            step();
            if self.facts.len() >= FACTS { self.flush() } else { Ok(()) }
        })?;
        self.of(None)?;
        self.facts.push(Fact::AllPaused(rest.all_paused.clone()));
        for job in &rest.jobs {
            self.push(Fact::Job(Box::new(job.clone())))?;
        }
        for change in &rest.changes {
            self.push(Fact::Change(change.clone()))?;
        }
        for (list, entries) in &rest.lists {
            for (key, value) in entries {
                let (list, key, value) = (list.clone(), key.clone(), Some(value.clone()));
                self.push(Fact::Entry { list, key, value })?;
            }
        }
        self.flush()?;
        if (highest + 2..SPARE_RUNS).contains(&next_run) {
            self.facts.extend(retell::used_up(next_run));
            self.flush()?;
        }
        for lives in rest.lives.chunks(FACTS) {
            retell::lives(lives, &mut self.facts);
            self.flush()?;
        }
        Ok(())
    }

    fn push(&mut self, fact: Fact) -> Result<(), CopyError> {
        self.facts.push(fact);
        if self.facts.len() >= FACTS { self.flush() } else { Ok(()) }
    }

    /// What comes from here on happened on this host.
    fn of(&mut self, host: Option<Box<str>>) -> Result<(), CopyError> {
        if host != self.host {
            self.flush()?;
            self.host = host;
        }
        Ok(())
    }

    /// One transaction.
    fn flush(&mut self) -> Result<(), CopyError> {
        if self.facts.is_empty() {
            return Ok(());
        }
        let facts = std::mem::take(&mut self.facts);
        let lost = match self.host.clone() {
            Some(host) => {
                let me = self.session(host)?;
                self.shared()?
                    .commit(me, 0, &facts)
                    .map_err(CopyError::To)?
                    .lost
                    .first()
                    .map(|it| it.0)
            }
            None => self.store.commit(&facts).map_err(CopyError::To)?.first().copied(),
        };
        match lost {
            Some(run) => Err(CopyError::Differs(format!("the due time of run {run} was taken"))),
            None => Ok(()),
        }
    }

    fn shared(&mut self) -> Result<&mut dyn Shared, CopyError> {
        let none = || CopyError::Differs("the store has no hosts".to_owned());
        self.store.shared().ok_or_else(none)
    }

    /// A store has the name of a host from the session that writes.
    fn session(&mut self, host: Box<str>) -> Result<SessionId, CopyError> {
        if let Some(id) = self.sessions.get(&host) {
            return Ok(*id);
        }
        let id = SessionId(machine::random());
        let version = env!("CARGO_PKG_VERSION").into();
        let member = Member { version, ..Member::new(id, &host) };
        self.shared()?.join(&member, &[]).map_err(CopyError::To)?;
        self.sessions.insert(host, id);
        Ok(id)
    }

    /// The sessions end, whatever has come of it.
    fn leave(mut self) -> Result<(), CopyError> {
        let sessions = std::mem::take(&mut self.sessions);
        for id in sessions.into_values() {
            self.shared()?.leave(id, true).map_err(CopyError::To)?;
        }
        Ok(())
    }
}

impl Rest {
    /// The other has nothing that is not here.
    fn must_have(&self, other: &Rest) -> Result<(), CopyError> {
        let foreign = |what: String| Err(CopyError::Foreign(what));
        if let Some(job) = other.jobs.iter().find(|job| !self.jobs.contains(job)) {
            return foreign(format!("the job {}", job.id));
        }
        if other.all_paused.is_some() && other.all_paused != self.all_paused {
            return foreign("a pause of all jobs".to_owned());
        }
        let named = |life: &Session| (life.process.pid, life.process.start, life.began);
        let lives: HashMap<_, _> =
            self.lives.iter().map(|life| (named(life), &life.boot)).collect();
        let is_here = |life: &&Session| lives.get(&named(life)) == Some(&&life.boot);
        if other.lives.iter().any(|life| !is_here(&life)) {
            return foreign("been used by a scheduler".to_owned());
        }
        let mut changes: HashMap<i64, Vec<&Change>> = HashMap::new();
        for change in &self.changes {
            changes.entry(change.at.micros()).or_default().push(change);
        }
        let is_here = |change: &Change| {
            changes.get(&change.at.micros()).is_some_and(|there| there.contains(&change))
        };
        if let Some(change) = other.changes.iter().find(|change| !is_here(change)) {
            return foreign(format!("a change by {}", change.by));
        }
        let entries: HashSet<_> = self.entries().collect();
        match other.entries().find(|entry| !entries.contains(entry)) {
            Some((list, ..)) => foreign(format!("an entry of the list {list}")),
            None => Ok(()),
        }
    }

    /// All entries of all lists, each with its list, its key and its value.
    fn entries(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.lists.iter().flat_map(|(list, entries)| {
            entries.iter().map(move |(key, value)| (&**list, &**key, &**value))
        })
    }

    fn must_equal(&self, other: &Rest) -> Result<(), CopyError> {
        let differs = |what: &str| Err(CopyError::Differs(what.to_owned()));
        if let Some((job, _)) = self.jobs.iter().zip(&other.jobs).find(|(one, two)| one != two) {
            return differs(&format!("what is remembered of {}", job.id));
        }
        match (
            self.jobs.len() == other.jobs.len(),
            self.all_paused == other.all_paused,
            self.changes == other.changes,
            self.lives == other.lives,
            self.lists == other.lists,
        ) {
            (true, true, true, true, true) => Ok(()),
            (false, ..) => differs("the number of jobs"),
            (_, false, ..) => differs("whether all jobs are paused"),
            (_, _, false, ..) => differs("the changes"),
            (.., false, _) => differs("the scheduler sessions"),
            (.., false) => differs("the list entries"),
        }
    }

    /// With the counts of records, all counts.
    fn counted(&self, records: Counts) -> Counts {
        let count = |wanted: fn(&JobRecord) -> bool| {
            self.jobs.iter().filter(|job| wanted(job)).count() as u64
        };
        Counts {
            jobs: self.jobs.len() as u64,
            added: count(|job| job.added.is_some()),
            changed: count(|job| job.overrides.is_some()),
            paused: count(|job| job.pause.is_some()) + u64::from(self.all_paused.is_some()),
            changes: self.changes.len() as u64,
            lives: self.lives.len() as u64,
            entries: self.entries().count() as u64,
            ..records
        }
    }
}

/// What names a record for people.
fn name(record: &RunRecord) -> String {
    match record.run {
        Some(run) => format!("run {run} of {}", record.job),
        None => format!("a record of {}", record.job),
    }
}
