//! Why a due time ended as it did, or why there was none: what `schedrs why` answers.
//!
//! [`Case`] is all there is to know, [`Case::subject`] what is asked about, and [`answer`] the
//! answer: one sentence, and what it rests on. `recorded` is for due times that have a record,
//! `unrecorded` for everything else, `now` adds how the job is at present where the answer is about
//! something else, and `hosts` says where, if several share the store.

mod hosts;
mod now;
mod recorded;
mod unrecorded;

use crate::core::event::{Awaits, Change, ChangeKind, JobRecord, Pause, Unusual};
use crate::core::fleet::{Member, deploy, home};
use crate::core::instant::Instant;
use crate::core::job::{Executor, Job, RunOn};
use crate::core::record::{AttemptRecord, Latest, RunRecord, Session};
use crate::core::sort;
use crate::core::trigger::Trigger;
use crate::core::words;
use crate::core::zone::Zone;
use crate::problem::clean;

use super::{due_from, last_due};

/// What is asked, and all there is to know about it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The job's id.
    pub id: &'a str,
    /// Its definition; `None`: it is in no jobfile any more.
    pub job: Option<&'a Job>,
    pub executor: Option<&'a Executor>,
    /// What the store remembers of it.
    pub known: Option<&'a JobRecord>,
    /// All jobs are paused.
    pub all_paused: Option<&'a Pause>,
    /// What is asked about.
    pub asked: Asked,
    pub now: Instant,
    /// The zone of the times in the answer.
    pub zone: &'a Zone,
    /// Records of the job from around the time that is asked about.
    pub records: &'a [RunRecord],
    /// The due time of the oldest record of the job that is kept.
    pub oldest: Option<Instant>,
    /// How the job has fared of late.
    pub latest: Option<&'a Latest>,
    /// The attempts of the run that is asked about.
    pub attempts: &'a [AttemptRecord],
    /// What the run that is asked about waits for, if that is a condition.
    pub awaits: Option<&'a Awaits>,
    /// Lives of schedulers with the store, oldest first.
    pub sessions: &'a [Session],
    /// The last of them goes on, or some host does.
    pub is_running: bool,
    /// The schedulers that share the store, those that were gone in the last hour included.
    pub members: &'a [Member],
    /// It takes a word to say on which host something was.
    pub has_hosts: bool,
    /// What was changed, oldest first.
    pub changes: &'a [Change],
    /// What was typed to name the jobfile, with a space before it: for commands to be typed next.
    pub typed: &'a str,
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The latest due time.
    Latest,
    /// A due time in this span, both ends included: a minute, a second, a day, as it was typed.
    Within(Instant, Instant),
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Subject<'a> {
    /// A due time that has a record.
    Record(&'a RunRecord, Instant),
    /// A due time without one.
    Due(Instant),
    /// There is no due time then; the instant is the one that was asked about, if one was.
    Nothing(Option<Instant>),
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// In a word: that of an outcome, or `running`, `waiting`, `pending`, `paused`, `not_due`,
    /// `never_due`, `no_host`, `not_loaded`, `not_running`, `forgotten`, `unknown`, `unaccounted`.
    pub word: &'static str,
    /// The due time it is about.
    pub due: Option<Instant>,
    /// A sentence without the job, the due time and a full stop.
    pub text: String,
    /// What it rests on: each a word and a sentence.
    pub evidence: Vec<(&'static str, String)>,
    /// The next due time from now, if it is known.
    pub next: Option<Instant>,
    /// What the next due time waits for, in words, where it is not known before.
    pub next_after: Option<Box<str>>,
    /// The record it is about.
    pub record: Option<RunRecord>,
    /// In what way the run of that is out of the ordinary.
    pub unusual: Unusual,
}

impl Verdict {
    fn new(word: &'static str, text: impl Into<String>) -> Verdict {
        Verdict { word, text: text.into(), ..Verdict::default() }
    }

    fn also(&mut self, label: &'static str, text: impl Into<String>) {
        self.evidence.push((label, text.into()));
    }
}

impl<'a> Case<'a> {
    /// What the question is about.
    pub fn subject(&self) -> Subject<'a> {
        match self.asked {
            Asked::Latest => self.latest(),
            Asked::Within(from, until) => self.within(from, until),
        }
    }

    /// The latest due time, by the records or by the trigger; if there is none yet, the first.
    fn latest(&self) -> Subject<'a> {
        let record = self.records.iter().max_by_key(|record| (record.last_due, record.seq));
        let named = self.trigger().and_then(|trigger| {
            let floor = self.known.map_or(self.now, |known| known.since);
            last_due(&trigger, floor, self.now)
        });
        match (record, named) {
            (Some(record), named) if named.is_none_or(|named| named <= record.last_due) => {
                Subject::Record(record, record.last_due)
            }
            (_, Some(named)) => Subject::Due(named),
            (_, None) => Subject::Nothing(None),
        }
    }

    /// Of several due times in the span, the first that did not go well is most likely the one
    /// that is meant, else the last.
    fn within(&self, from: Instant, until: Instant) -> Subject<'a> {
        let inside = self.inside();
        let trigger = self.trigger();
        let named = trigger.as_ref().and_then(|trigger| due_from(trigger, from));
        let named = named.filter(|due| *due <= until && self.is_by_this_trigger(*due));
        let went_wrong = |record: &&&RunRecord| {
            record.outcome.as_ref().is_some_and(|outcome| !outcome.is_success())
        };
        let record = inside.iter().find(went_wrong).or(inside.last()).copied();
        match (record, named) {
            (Some(record), _) => {
                let first = named.filter(|due| (record.due..=record.last_due).contains(due));
                Subject::Record(record, first.unwrap_or(record.due.max(from)).min(record.last_due))
            }
            (None, Some(due)) => Subject::Due(due),
            (None, None) => Subject::Nothing(Some(from)),
        }
    }

    /// The records in the span that is asked about.
    fn inside(&self) -> Vec<&'a RunRecord> {
        let Asked::Within(from, until) = self.asked else { return Vec::new() };
        let touches = |record: &&RunRecord| record.due <= until && record.last_due >= from;
        let mut inside: Vec<&RunRecord> = self.records.iter().filter(touches).collect();
        sort::by_key(&mut inside, |record| (record.due, record.seq));
        inside
    }

    /// The trigger, anchored.
    fn trigger(&self) -> Option<crate::core::trigger::Trigger> {
        let anchor = self.known.map_or(self.now, |known| known.anchor);
        Some(self.job?.trigger.anchored(anchor))
    }

    /// Whether the job had its present trigger at that time.
    fn is_by_this_trigger(&self, due: Instant) -> bool {
        self.known.is_none_or(|known| due >= known.since)
    }

    /// The next due time from now on.
    fn next(&self) -> Option<Instant> {
        if self.is_not_loaded() || self.is_paused_by_file() || self.no_host().is_some() {
            return None;
        }
        let until = self.pause().map(|pause| pause.until);
        let from = match until {
            Some(None) => return None,
            Some(Some(until)) => until.max(self.now),
            None => self.now,
        };
        self.job?.next_kept(&self.trigger()?, from)
    }

    /// Whether its definition says that it is paused, and nobody has said otherwise.
    fn is_paused_by_file(&self) -> bool {
        self.job.is_some_and(|job| job.options.paused)
            && !self.known.is_some_and(|known| known.resumed || known.pause.is_some())
    }

    /// Whether nothing but a pause without an end keeps it from being due.
    fn is_paused_for_good(&self) -> bool {
        let has_end = self.pause().is_some_and(|pause| pause.until.is_some());
        let is_paused = self.is_paused_by_file() || (self.pause().is_some() && !has_end);
        let trigger = || self.trigger().filter(|_| is_paused && !self.is_not_loaded());
        let job = self.job.filter(|_| is_paused);
        job.zip(trigger()).is_some_and(|(job, trigger)| match trigger {
            Trigger::FromEnd(_) | Trigger::After(_) => true,
            trigger => job.next_kept(&trigger, self.now).is_some(),
        })
    }

    /// Whether it is in the jobfile, but not among the jobs of the scheduler that runs. In a store that is
    /// shared nothing is known either of a job that no host may run.
    fn is_not_loaded(&self) -> bool {
        self.job.is_some() && self.known.is_none() && self.is_running && self.no_host().is_none()
    }

    /// That none of the hosts that are there may run it, if so.
    fn no_host(&self) -> Option<String> {
        let run_on = &self.job?.options.run_on;
        let mut alive = deploy::alive(self.members).peekable();
        alive.peek()?;
        let RunOn::Labels(labels) = run_on else { return None };
        let fits = |member: &Member| home::fits(run_on, &member.labels);
        (!alive.any(fits)).then(|| {
            let labels: Vec<String> =
                labels.iter().map(|label| clean(label).into_owned()).collect();
            format!("no host has all of its labels: {}", labels.join(", "))
        })
    }

    /// The pause that holds now.
    fn pause(&self) -> Option<&'a Pause> {
        let lasts = |pause: &&Pause| pause.lasts(self.now);
        let own = self.known.and_then(|known| known.pause.as_ref());
        own.filter(lasts).or(self.all_paused.filter(lasts))
    }

    /// A time of day, with its day if that is not the day of `near`.
    fn clock(&self, at: Instant, near: Instant) -> String {
        super::format::clock(at, near, self.zone)
    }
}

/// Answers a question.
pub fn answer(case: &Case<'_>) -> Verdict {
    let subject = case.subject();
    let mut verdict = match subject {
        Subject::Record(record, due) => recorded::verdict(case, record, due),
        Subject::Due(due) => unrecorded::due(case, due),
        Subject::Nothing(asked) => unrecorded::nothing(case, asked),
    };
    now::add(case, subject, &mut verdict);
    match subject {
        Subject::Record(record, _) => hosts::of_record(case, record, &mut verdict),
        Subject::Due(_) | Subject::Nothing(_) => hosts::of_none(case, &mut verdict),
    }
    match case.inside().len() {
        0 | 1 => {}
        2 => verdict.also("beside", "there is another record at that time"),
        more => {
            verdict.also("beside", format!("there are {} other records at that time", more - 1))
        }
    }
    if let Some(job) = case.job {
        verdict.also("schedule", words::trigger(&job.trigger, case.zone));
        let is_other = |known: &&JobRecord| {
            !known.trigger.is_empty() && *known.trigger != *job.trigger.fingerprint()
        };
        if case.known.filter(is_other).is_some() {
            verdict.also(
                "but",
                "this is its schedule in the jobfile, which schedrs has not reloaded yet",
            );
        }
    } else {
        verdict.also("job", in_no_file(case));
    }
    verdict.next = case.next();
    if case.is_paused_for_good() {
        verdict.next_after = Some("none while it is paused".into());
        return verdict;
    }
    if let (Some(Trigger::FromEnd(trigger)), None) =
        (case.job.map(|job| &job.trigger), verdict.next)
        && case.pause().is_none()
        && !case.is_not_loaded()
        && case.records.iter().any(|record| record.outcome.is_none())
    {
        verdict.next_after = words::after_run(trigger, case.now);
    }
    if let Some(trigger @ Trigger::After(_)) = case.job.map(|job| &job.trigger)
        && case.pause().is_none()
        && !case.is_not_loaded()
    {
        verdict.next_after = Some(words::trigger(trigger, case.zone).into());
    }
    verdict
}

/// Where a job is that is not in the jobfile.
fn in_no_file(case: &Case<'_>) -> String {
    let change = |what: ChangeKind| {
        let of = |change: &&Change| change.job.as_deref() == Some(case.id) && change.what == what;
        case.changes.iter().rev().find(of)
    };
    let said = |change: &Change| {
        format!("by {} at {}", clean(&change.by), case.clock(change.at, case.now))
    };
    match (change(ChangeKind::Added), change(ChangeKind::Removed)) {
        (Some(added), Some(gone)) if gone.at >= added.at => {
            format!("it was added {} and removed {}", said(added), said(gone))
        }
        (Some(added), _) => format!("it was added {}, and is finished", said(added)),
        // Some scheduler has it, and it is not one with this jobfile.
        (None, _) if case.known.is_some() && !case.members.is_empty() => {
            let newest = case.records.iter().max_by_key(|record| record.seq);
            let on = newest.and_then(|record| record.host.as_deref());
            let on = on.map(|host| format!(": {}", clean(host))).unwrap_or_default();
            format!(
                "it is not in this jobfile, but in that of another host that shares the store{on}"
            )
        }
        (None, _) => "it is no longer in the jobfile".to_owned(),
    }
}

#[cfg(test)]
mod tests;
