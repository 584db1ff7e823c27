//! The facts that make a record, a life, or a number that is used up.

use crate::core::event::{Process, RunId};
use crate::core::instant::Instant;
use crate::core::record::{AttemptRecord, RunRecord, Session};
use crate::store::Fact;

use super::look::Whole;

/// A run that no store has: what is said of it changes nothing but when its scheduler was last seen.
const NOBODY: RunId = RunId(i64::MAX as u64);

/// Tells of a record as it once came to be. `claim`: the host, where each has one of its own.
/// `later`: a run that is told of after this one.
pub(super) fn record(whole: Whole, claim: Option<Box<str>>, later: RunId, to: &mut Vec<Fact>) {
    let Whole { record, attempts, output } = whole;
    let (job, due, at) = (record.job.clone(), record.due, record.at);
    // It loses its number again when the other is told of.
    let Some(run) = record.run.or(has_lost_its_number(&record).then_some(later)) else {
        let Some(outcome) = record.outcome else { return };
        let (last_due, count) = (record.last_due, record.count);
        to.push(Fact::Fate { job, due, last_due, count, outcome, at, host: claim });
        return;
    };
    let by = record.by.clone();
    to.push(Fact::Admitted { run, job: job.clone(), due, at, by, host: claim, slot: None });
    if let Some(at) = record.started {
        // The first start is what counts, also if its attempt is not known any more.
        to.push(Fact::Started { run, attempt: 1, process: Process { pid: 0, start: 0 }, at });
        to.push(Fact::Starting { run, attempt: 1 });
    }
    let process = tries(run, &record, &attempts, to);
    if process != record.process || attempts.is_empty() && record.attempts > 0 {
        let attempt = record.attempts.max(1);
        to.push(Fact::Starting { run, attempt });
        let at = record.started.unwrap_or(at);
        to.extend(record.process.map(|process| Fact::Started { run, attempt, process, at }));
    }
    // One that was open when it lost its number is lost by that.
    let is_told = record.run.is_some() || record.duration.is_some();
    if let Some(outcome) = record.outcome.filter(|_| is_told) {
        let duration = record.duration.unwrap_or_default();
        let attempts = record.attempts;
        let usage = record.usage;
        to.push(Fact::Ended { run, job, outcome, duration, attempts, at, usage });
    }
    let kept = output.as_ref().map(|(_, total)| *total);
    if let Some((tail, total)) = output {
        to.push(Fact::Output { run, tail: tail.into(), total });
    }
    // How much it was is known of some of which nothing is kept.
    if let Some(total) = record.printed.filter(|total| Some(*total) != kept) {
        to.push(Fact::Output { run, tail: Box::default(), total });
    }
}

/// Whether it was a run whose number was given to another.
pub(super) fn has_lost_its_number(record: &RunRecord) -> bool {
    let began = record.attempts > 0 || record.started.is_some() || record.process.is_some();
    let left_something = record.usage.is_some() || record.printed.is_some();
    record.run.is_none() && (began || left_something || record.by.is_some())
}

/// Tells of the attempts of a run. Answers the process that the last one has left in its record.
fn tries(
    run: RunId,
    record: &RunRecord,
    attempts: &[AttemptRecord],
    to: &mut Vec<Fact>,
) -> Option<Process> {
    let mut current = None;
    let begun = attempts.last().filter(|last| last.attempt == record.attempts);
    let begun = begun.and_then(|last| last.started);
    for (place, attempt) in attempts.iter().enumerate() {
        to.push(Fact::Starting { run, attempt: attempt.attempt });
        current = attempt.process;
        if let (Some(process), Some(at)) = (attempt.process, attempt.started) {
            to.push(Fact::Started { run, attempt: attempt.attempt, process, at });
        }
        // The last one is in its record, unless it was to be followed by another that never began.
        let known = place.checked_sub(1).and_then(|place| attempts.get(place));
        let is_implied = place + 1 == attempts.len()
            && record.last_attempt(begun, known).as_ref() == Some(attempt);
        if let (false, Some(outcome), Some(at)) = (is_implied, &attempt.outcome, attempt.ended) {
            let (attempt, outcome) = (attempt.attempt, outcome.clone());
            to.push(Fact::AttemptEnded { run, attempt, outcome, at });
        }
    }
    current
}

/// A run that is taken back leaves its number, and all below it, used up.
pub(super) fn used_up(next_run: u64) -> [Fact; 3] {
    let job: Box<str> = "schedrs store copy".into();
    let (run, due) = (RunId(next_run - 1), Instant::from_micros(0));
    let by = Some("schedrs".into());
    let claim = Fact::Admitted { run, job: job.clone(), due, at: due, by, host: None, slot: None };
    [claim, Fact::Withdrawn { run }, Fact::Gone { job }]
}

/// Lives, one after the other; the last one was last seen when it was.
pub(super) fn lives(lives: &[Session], to: &mut Vec<Fact>) {
    to.extend(lives.iter().cloned().map(Fact::Began));
    if let Some(last) = lives.last() {
        let process = Process { pid: 0, start: 0 };
        to.push(Fact::Started { run: NOBODY, attempt: 1, process, at: last.seen });
    }
}
