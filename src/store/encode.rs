//! Outcomes as columns: a stable word, a number and a text, the same for every store of rows.

use std::time::Duration;

use crate::event::{MissReason, Outcome, SkipReason};
use crate::instant::duration_micros;

/// An outcome as a word, a number (exit code, signal, or microseconds) and a text.
pub(super) type Columns<'a> = (&'static str, Option<i64>, Option<&'a str>);

const SKIPS: [SkipReason; 6] = [
    SkipReason::Overlap,
    SkipReason::Paused,
    SkipReason::Excluded,
    SkipReason::Stopping,
    SkipReason::Removed,
    SkipReason::Stopped,
];

/// Takes an outcome apart.
pub(super) fn columns(outcome: &Outcome) -> Columns<'_> {
    let (number, text) = match outcome {
        Outcome::Succeeded | Outcome::TimedOut | Outcome::Coalesced => (None, None),
        Outcome::Failed(code) => (Some(i64::from(*code)), None),
        Outcome::Killed(signal) => (Some(i64::from(*signal)), None),
        Outcome::NotStarted(reason) | Outcome::Lost(reason) => (None, Some(&**reason)),
        Outcome::Skipped(reason) => (None, Some(reason.word())),
        Outcome::Missed(MissReason::Late(by)) => (Some(duration_micros(*by)), Some("late")),
        Outcome::Missed(MissReason::Waited(by)) => (Some(duration_micros(*by)), Some("waited")),
    };
    (outcome.word(), number, text)
}

/// Puts one together again. What an unknown word means is unknown: what became of it is lost.
pub(super) fn outcome(word: &str, number: Option<i64>, text: Option<&str>) -> Outcome {
    let code = || i32::try_from(number.unwrap_or(0)).unwrap_or(0);
    let span = || Duration::from_micros(u64::try_from(number.unwrap_or(0)).unwrap_or(0));
    let reason = || text.unwrap_or_default().to_owned();
    match (word, text) {
        ("succeeded", _) => Outcome::Succeeded,
        ("failed", _) => Outcome::Failed(code()),
        ("killed", _) => Outcome::Killed(code()),
        ("timed_out", _) => Outcome::TimedOut,
        ("not_started", _) => Outcome::NotStarted(reason()),
        ("missed", Some("waited")) => Outcome::Missed(MissReason::Waited(span())),
        ("missed", _) => Outcome::Missed(MissReason::Late(span())),
        ("coalesced", _) => Outcome::Coalesced,
        ("lost", _) => Outcome::Lost(reason()),
        ("skipped", text) => match SKIPS.into_iter().find(|skip| Some(skip.word()) == text) {
            Some(reason) => Outcome::Skipped(reason),
            None => Outcome::Lost("why it was skipped is unknown".to_owned()),
        },
        (word, _) => Outcome::Lost(format!("its outcome in the store is unknown: {word}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_comes_back() {
        let mut all = vec![
            Outcome::Succeeded,
            Outcome::Failed(-3),
            Outcome::Failed(255),
            Outcome::Killed(9),
            Outcome::TimedOut,
            Outcome::NotStarted("no such file".into()),
            Outcome::Missed(MissReason::Late(Duration::from_micros(1))),
            Outcome::Missed(MissReason::Waited(Duration::from_secs(90))),
            Outcome::Coalesced,
            Outcome::Lost(String::new()),
        ];
        all.extend(SKIPS.map(Outcome::Skipped));
        for given in all {
            let (word, number, text) = columns(&given);
            assert_eq!(outcome(word, number, text), given);
        }
    }

    #[test]
    fn what_is_unknown_is_lost() {
        for (word, text) in [("vanished", None), ("skipped", Some("rain")), ("skipped", None)] {
            assert_eq!(outcome(word, None, text).word(), "lost", "{word} {text:?}");
        }
    }
}
