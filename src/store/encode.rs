//! Outcomes as columns: a stable word, a number and a text, the same for every store of rows.

use std::time::Duration;

use crate::core::instant::duration_micros;
use crate::core::outcome::Outcome;
use crate::core::usage::Usage;

/// An outcome as a word, a number (exit code, signal, or microseconds) and a text.
pub(super) type Columns<'a> = (&'static str, Option<i64>, Option<&'a str>);

/// The words of due times that did not come to run.
#[cfg(any(feature = "mongodb", test))]
pub(super) const NOT_RUN_WORDS: [&str; 3] = ["skipped", "missed", "coalesced"];
/// The same, for SQL.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub(super) const NOT_RUN: &str = "('skipped', 'missed', 'coalesced')";
/// Whether a record is of a run that has ended, in SQL.
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub(super) const ENDED_RUN: &str = "outcome NOT IN ('skipped', 'missed', 'coalesced')";

/// Whether a record is of a due time that was excluded, in SQL: these do not count among the others that
/// are kept (`[store] keep`).
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub(super) const EXCLUDED: &str = "(outcome = 'skipped' AND substr(reason, 1, 8) = 'excluded')";

/// Takes an outcome apart.
pub(super) fn columns(outcome: &Outcome) -> Columns<'_> {
    let code = outcome.exit().or(outcome.signal()).map(i64::from);
    let number = code.or(outcome.late().map(duration_micros));
    (outcome.word(), number, outcome.reason())
}

/// Puts one together again. What an unknown word means is unknown: what became of it is lost.
pub(super) fn outcome(word: &str, number: Option<i64>, text: Option<&str>) -> Outcome {
    let code = number.and_then(|number| i32::try_from(number).ok());
    let span = number.and_then(|number| u64::try_from(number).ok()).map(Duration::from_micros);
    Outcome::read(word, code, span, text).unwrap_or_else(|| {
        Outcome::Lost(match word {
            "skipped" => "why it was skipped is unknown".to_owned(),
            word => format!("its outcome in the store is unknown: {word}"),
        })
    })
}

/// What a run has used as values of columns: microseconds, and three numbers of bytes. All of nothing are `None`.
pub(super) fn usage_columns(usage: Option<Usage>) -> [Option<i64>; 4] {
    let Some(Usage { cpu, max_rss, read, written }) = usage else { return [None; 4] };
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    [Some(duration_micros(cpu)), max_rss.map(bytes), Some(bytes(read)), Some(bytes(written))]
}

/// Puts it together again; without processor time there is none.
pub(super) fn usage(columns: [Option<i64>; 4]) -> Option<Usage> {
    let cpu = Duration::from_micros(u64::try_from(columns[0]?).unwrap_or(0));
    let bytes = |column: usize| columns[column].and_then(|bytes| u64::try_from(bytes).ok());
    let [read, written] = [2, 3].map(|column| bytes(column).unwrap_or(0));
    Some(Usage { cpu, max_rss: bytes(1), read, written })
}

/// The jobs of a file as JSON, where nothing looks into them.
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "redis"))]
pub(super) fn jobs_json(jobs: &[(Box<str>, u64)]) -> String {
    serde_json::json!(jobs).to_string()
}

/// The same, back again; `None`: it is none.
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "redis"))]
pub(super) fn jobs(text: &[u8]) -> Option<Vec<(Box<str>, u64)>> {
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::outcome::MissReason;

    #[test]
    fn every_outcome_comes_back() {
        let mut all = crate::core::outcome::each();
        all.extend([Outcome::Failed(-3), Outcome::Failed(255), Outcome::Lost(String::new())]);
        all.push(Outcome::Missed(MissReason::Late(Duration::from_micros(1))));
        for given in all {
            let (word, number, text) = columns(&given);
            assert_eq!(outcome(word, number, text), given);
        }
    }

    #[test]
    fn what_was_used_comes_back() {
        let cpu = Duration::from_micros(7);
        let given = Usage { cpu, max_rss: Some(4096), read: 0, written: 512 };
        for given in [None, Some(given), Some(Usage { max_rss: None, ..given })] {
            assert_eq!(usage(usage_columns(given)), given);
        }
        let most = Usage { max_rss: Some(u64::MAX), ..given };
        assert_eq!(usage_columns(Some(most))[1], Some(i64::MAX));
    }

    /// What a new outcome has to be added to, if no run ends so.
    #[test]
    fn what_did_not_come_to_run_is_the_same_everywhere() {
        let each = crate::core::outcome::each();
        let words: std::collections::BTreeSet<&str> =
            each.iter().filter(|outcome| !outcome.is_of_run()).map(Outcome::word).collect();
        assert_eq!(words, NOT_RUN_WORDS.into_iter().collect());
        let quoted = format!("('{}')", NOT_RUN_WORDS.join("', '"));
        #[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
        assert_eq!((NOT_RUN, ENDED_RUN), (&*quoted, &*format!("outcome NOT IN {quoted}")));
        #[cfg(any(feature = "mysql", feature = "postgres"))]
        assert_eq!(crate::store::sql::LAST.matches(&quoted).count(), 2);
        let table = format!("not_run = {{ {} = true }}", NOT_RUN_WORDS.join(" = true, "));
        assert!(include_str!("redis/store.lua").contains(&table), "{table}");
    }

    #[test]
    fn what_is_unknown_is_lost() {
        for (word, text) in [("vanished", None), ("skipped", Some("rain")), ("skipped", None)] {
            assert_eq!(outcome(word, None, text).word(), "lost", "{word} {text:?}");
        }
    }
}
