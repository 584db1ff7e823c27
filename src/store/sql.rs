//! Facts as rows, for stores that write many rows with one statement.
//!
//! A pass of the scheduler brings hundreds of facts, most of them about the same few runs. Told to a
//! server one by one each would be a statement. Here a list of facts becomes [`Stage`]s: what it
//! comes to for each row. Within a stage the order does not matter, so that a stage is a handful of
//! statements whatever it holds; nearly always one stage is all. The engines (`super::postgres` and
//! its brothers) put stages into their dialect.

#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) mod rows;

#[cfg(any(feature = "mongodb", feature = "postgres"))]
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::{Fact, Process, Session};
use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::instant::Instant;
use crate::core::outcome::Outcome;
use crate::core::usage::Usage;

/// Whether a record is the last of a job that is there, its last run that has ended or the last that
/// succeeded: these stay, however old they are.
#[cfg(any(feature = "mysql", feature = "postgres"))]
pub(super) const LAST: &str = "(EXISTS (SELECT 1 FROM ~job j WHERE j.name = r.job) AND (NOT EXISTS \
     (SELECT 1 FROM ~record n WHERE n.job = r.job AND n.seq > r.seq AND n.outcome IS NOT NULL) OR \
     (r.outcome NOT IN ('skipped', 'missed', 'coalesced') AND NOT EXISTS (SELECT 1 FROM ~record n \
     WHERE n.job = r.job AND n.seq > r.seq AND n.outcome NOT IN ('skipped', 'missed', 'coalesced'))) \
     OR (r.outcome = 'succeeded' AND NOT EXISTS (SELECT 1 FROM ~record n WHERE n.job = r.job AND \
     n.seq > r.seq AND n.outcome = 'succeeded'))))";

/// What a list of facts comes to.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    /// One after the other.
    pub(super) stages: Vec<Stage<'a>>,
    /// Lives of schedulers that begin and end, in their order. They touch nothing else.
    pub(super) lives: Vec<Life<'a>>,
    /// Whether all jobs are paused, if that is said.
    pub(super) all_paused: Option<Option<&'a Pause>>,
    /// What people have changed, each once.
    pub(super) changes: Vec<&'a Change>,
    /// Entries of lists, each with the last that is said of it, in the order of lists and keys: so two
    /// hosts that write the same ones wait for each other in one direction only.
    pub(super) entries: BTreeMap<(&'a str, &'a str), Option<&'a str>>,
    /// The last moment that any of the facts tells of.
    pub(super) at: Option<Instant>,
}

/// The life of a scheduler.
#[derive(Debug)]
pub(super) enum Life<'a> {
    Began(&'a Session),
    Stopped(Instant),
}

/// Facts whose order does not matter. To be written in the order of these fields; runs that are
/// [`Run::claimed`] are written together with the claims.
#[derive(Debug, Default)]
pub(super) struct Stage<'a> {
    /// Runs to be taken back, if nothing of them has begun. Then there is nothing else here.
    pub(super) withdrawn: Vec<RunId>,
    /// Attempts that have ended, about whose beginning nothing is said here: it is in the record.
    pub(super) ended: Vec<Attempt<'a>>,
    /// Runs and what is said of them, each once.
    pub(super) runs: Vec<Run<'a>>,
    /// Claims and fates, in their order.
    pub(super) rows: Vec<Row<'a>>,
    /// Attempts that have ended, with how they began.
    pub(super) attempts: Vec<Attempt<'a>>,
    /// The last output of each run: its end, and how much it was in all.
    pub(super) outputs: Vec<(RunId, &'a [u8], u64)>,
    /// Jobs, in the order of their names.
    pub(super) jobs: BTreeMap<&'a str, JobChange<'a>>,
    /// The place of a run among `runs`.
    places: HashMap<RunId, usize>,
    /// Runs with outputs or attempts here: they must be there before.
    spoken_of: HashSet<RunId>,
    /// The slots that are claimed here, and those of them whose runs have ended here. A store that has
    /// the claim already, and not the end, may not see the slot free before this stage is written.
    slots: HashMap<RunId, Slot<'a>>,
    freed: HashSet<Slot<'a>>,
}

/// The slot of a job, on a host where each has its own.
type Slot<'a> = (&'a str, u16, Option<&'a str>);

/// A new record, unless its due time has one.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) job: &'a str,
    pub(super) due: Instant,
    pub(super) last_due: Instant,
    pub(super) count: u64,
    pub(super) at: Instant,
    pub(super) what: RowKind<'a>,
}

impl Row<'_> {
    /// Whether it is of several due times.
    #[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgres"))]
    pub(super) fn is_range(&self) -> bool {
        self.due < self.last_due
    }
}

/// What a record is of.
#[derive(Debug)]
pub(super) enum RowKind<'a> {
    /// A claim. What else is said of the run is in its place among [`Stage::runs`].
    Claim {
        run: RunId,
        by: Option<&'a str>,
        host: Option<&'a str>,
        slot: Option<u16>,
        place: usize,
    },
    /// A fate.
    Fate { outcome: &'a Outcome, host: Option<&'a str> },
}

/// What is said of a run. What is `None` stays as it is.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) run: RunId,
    /// Its claim is among the rows of the same stage.
    pub(super) claimed: bool,
    pub(super) attempts: Option<u32>,
    /// The process of the current attempt, and when it was made; `Some(None)`: there is none.
    pub(super) current: Option<Option<(Process, Instant)>>,
    /// When an attempt was started: to be kept if there is no earlier one.
    pub(super) started: Option<Instant>,
    /// How it ended, and how long it took.
    pub(super) ended: Option<(&'a Outcome, Duration)>,
    /// What it has used, if it has ended and that is known.
    pub(super) usage: Option<Usage>,
    /// How many bytes it has printed.
    pub(super) printed: Option<u64>,
}

/// The end of an attempt.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) run: RunId,
    pub(super) attempt: u32,
    pub(super) outcome: &'a Outcome,
    pub(super) ended: Instant,
    pub(super) begun: Option<(Process, Instant)>,
}

/// What comes to be remembered of a job.
#[derive(Debug, Default)]
pub(super) struct JobChange<'a> {
    /// Nothing, until something is set.
    pub(super) gone: bool,
    /// This, in place of what was.
    pub(super) set: Option<&'a JobRecord>,
    /// Its due times are decided up to this one at least.
    pub(super) decided: Option<Instant>,
}

impl<'a> Batch<'a> {
    pub(super) fn of(facts: &'a [Fact]) -> Batch<'a> {
        let mut batch = Batch { at: facts.iter().rev().find_map(Fact::at), ..Batch::default() };
        let mut changes = HashSet::new();
        for fact in facts {
            match fact {
                Fact::Began(session) => batch.lives.push(Life::Began(session)),
                Fact::Stopped { at } => batch.lives.push(Life::Stopped(*at)),
                Fact::AllPaused(pause) => batch.all_paused = Some(pause.as_ref()),
                Fact::Change(change) => {
                    let Change { at, job, what, by, detail } = change;
                    if changes.insert((at.micros(), job, what.word(), by, detail)) {
                        batch.changes.push(change);
                    }
                }
                Fact::Entry { list, key, value } => {
                    batch.entries.insert((list, key), value.as_deref());
                }
                fact => {
                    let fits = batch.stages.last().is_some_and(|stage| stage.takes(fact));
                    if !fits {
                        batch.stages.push(Stage::default());
                    }
                    if let Some(stage) = batch.stages.last_mut() {
                        stage.take(fact);
                    }
                }
            }
        }
        batch
    }

    /// The records that it puts in.
    #[cfg(any(feature = "mysql", feature = "postgres"))]
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row<'a>> {
        self.stages.iter().flat_map(|stage| &stage.rows)
    }

    /// Whether other sessions may have to know of something here.
    pub(super) fn is_news(&self) -> bool {
        let job = |change: &JobChange<'_>| change.gone || change.set.is_some();
        self.all_paused.is_some()
            || !self.changes.is_empty()
            || self.stages.iter().any(|stage| stage.jobs.values().any(job))
    }

    /// The entries that are to be there, each with its list, its key and its value.
    pub(super) fn put(&self) -> Vec<(&'a str, &'a str, &'a str)> {
        let entries = self.entries.iter();
        entries.filter_map(|((list, key), value)| Some((*list, *key, (*value)?))).collect()
    }

    /// Those that are not to be there, each by its list and its key.
    pub(super) fn taken_away(&self) -> Vec<(&'a str, &'a str)> {
        let gone = self.entries.iter().filter(|(_, value)| value.is_none());
        gone.map(|(entry, _)| *entry).collect()
    }
}

impl<'a> Stage<'a> {
    /// Whether a fact can be taken without minding the order.
    fn takes(&self, fact: &Fact) -> bool {
        if let Fact::Withdrawn { .. } = fact {
            // Whether it happens depends on what the store has.
            let Stage { runs, rows, ended, jobs, outputs, .. } = self;
            let nothing = runs.is_empty() && rows.is_empty() && ended.is_empty();
            return nothing && jobs.is_empty() && outputs.is_empty();
        }
        if !self.withdrawn.is_empty() {
            return false;
        }
        match fact {
            // What was said before was said of nobody, or of another with the same number.
            Fact::Admitted { run, job, slot, host, .. } => {
                let freed = |slot| self.freed.contains(&(&**job, slot, host.as_deref()));
                !self.places.contains_key(run)
                    && !self.spoken_of.contains(run)
                    && !slot.is_some_and(freed)
            }
            Fact::AttemptEnded { run, .. } => self.of(*run).is_none_or(|run| {
                let untouched = run.attempts.is_none() && run.current.is_none() && !run.claimed;
                untouched || run.attempts.is_some() && run.current.is_some()
            }),
            _ => true,
        }
    }

    /// The claims in it, in their order.
    pub(super) fn claims(&self) -> impl Iterator<Item = (RunId, &Row<'a>)> {
        self.rows.iter().filter_map(|row| match row.what {
            RowKind::Claim { run, .. } => Some((run, row)),
            RowKind::Fate { .. } => None,
        })
    }

    fn of(&self, run: RunId) -> Option<&Run<'a>> {
        self.runs.get(*self.places.get(&run)?)
    }

    fn run(&mut self, run: RunId) -> &mut Run<'a> {
        let place = *self.places.entry(run).or_insert(self.runs.len());
        if place == self.runs.len() {
            self.runs.push(Run {
                run,
                claimed: false,
                attempts: None,
                current: None,
                started: None,
                ended: None,
                usage: None,
                printed: None,
            });
        }
        &mut self.runs[place]
    }

    fn take(&mut self, fact: &'a Fact) {
        match fact {
            Fact::Job(record) => {
                let change = JobChange { gone: false, set: Some(record), decided: None };
                self.jobs.insert(&record.id, change);
            }
            Fact::Gone { job } => {
                self.jobs.insert(job, JobChange { gone: true, ..JobChange::default() });
            }
            Fact::Admitted { .. } => self.admitted(fact),
            Fact::Starting { run, attempt } => {
                let run = self.run(*run);
                (run.attempts, run.current) = (Some(*attempt), Some(None));
            }
            Fact::Postponed { run, attempt } => {
                self.run(*run).attempts = Some(attempt.saturating_sub(1));
            }
            Fact::Started { run, attempt, process, at } => {
                let run = self.run(*run);
                (run.attempts, run.current) = (Some(*attempt), Some(Some((*process, *at))));
                run.started.get_or_insert(*at);
            }
            Fact::AttemptEnded { run, attempt, outcome, at } => {
                self.attempt_ended(*run, *attempt, outcome, *at);
            }
            Fact::Ended { run, outcome, duration, attempts, usage, .. } => {
                self.freed.extend(self.slots.get(run));
                let run = self.run(*run);
                (run.attempts, run.ended) = (Some(*attempts), Some((outcome, *duration)));
                run.usage = *usage;
            }
            Fact::Fate { job, due, last_due, count, outcome, at, host } => {
                self.decided(job, *last_due);
                let what = RowKind::Fate { outcome, host: host.as_deref() };
                let (due, last_due, count, at) = (*due, *last_due, *count, *at);
                self.rows.push(Row { job, due, last_due, count, at, what });
            }
            Fact::Withdrawn { run } => self.withdrawn.push(*run),
            Fact::Output { run, tail, total } => {
                let is_new = self.spoken_of.insert(*run);
                self.run(*run).printed = Some(*total);
                if !tail.is_empty() {
                    if !is_new {
                        self.outputs.retain(|(other, ..)| other != run);
                    }
                    self.outputs.push((*run, tail, *total));
                }
            }
            // They are not of any stage.
            Fact::Began(_)
            | Fact::Stopped { .. }
            | Fact::AllPaused(_)
            | Fact::Change(_)
            | Fact::Entry { .. } => {}
        }
    }

    fn admitted(&mut self, fact: &'a Fact) {
        let Fact::Admitted { run, job, due, at, by, host, slot } = fact else { return };
        if by.is_none() {
            self.decided(job, *due);
        }
        if let Some(slot) = slot {
            self.slots.insert(*run, (job, *slot, host.as_deref()));
        }
        let place = self.runs.len();
        self.run(*run).claimed = true;
        let (by, host) = (by.as_deref(), host.as_deref());
        let what = RowKind::Claim { run: *run, by, host, slot: *slot, place };
        self.rows.push(Row { job, due: *due, last_due: *due, count: 1, at: *at, what });
    }

    fn attempt_ended(&mut self, run: RunId, attempt: u32, outcome: &'a Outcome, ended: Instant) {
        self.spoken_of.insert(run);
        let said = self.of(run).filter(|run| run.attempts.is_some());
        let begun = said.map(|run| {
            let current = run.current.flatten();
            current.filter(|_| run.attempts == Some(attempt))
        });
        let attempts = match begun {
            Some(_) => &mut self.attempts,
            None => &mut self.ended,
        };
        attempts.retain(|other| (other.run, other.attempt) != (run, attempt));
        attempts.push(Attempt { run, attempt, outcome, ended, begun: begun.flatten() });
    }

    fn decided(&mut self, job: &'a str, due: Instant) {
        let change = self.jobs.entry(job).or_default();
        change.decided = change.decided.max(Some(due));
    }
}

impl JobChange<'_> {
    /// Up to where the due times of what is set are decided.
    pub(super) fn decided_of(&self, record: &JobRecord) -> Instant {
        self.decided.map_or(record.decided, |decided| decided.max(record.decided))
    }
}

#[cfg(any(feature = "mongodb", feature = "postgres"))]
/// A text without NUL, which some servers refuse: `\u{1a}` begins a pair that means it, or itself.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains(['\0', '\u{1a}']) {
        Cow::Owned(text.replace('\u{1a}', "\u{1a}1").replace('\0', "\u{1a}0"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(any(feature = "mongodb", feature = "postgres"))]
/// What [`escaped`] was given.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if text.contains('\u{1a}') {
        Cow::Owned(text.replace("\u{1a}0", "\0").replace("\u{1a}1", "\u{1a}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests;
