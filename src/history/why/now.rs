//! How the job is at present, as `schedrs list` shows it, where the answer is about something else: a
//! run that failed yesterday does not tell that the job has been paused since.

use std::time::Duration;

use super::{Asked, Case, Subject, Verdict, recorded, unrecorded};
use crate::core::expect::{last_resumed, overdue_since};
use crate::core::instant::Instant;
use crate::core::record::RunRecord;
use crate::core::sort;
use crate::core::trigger::Trigger;
use crate::core::words;
use crate::problem::clean;

/// So many runs that are not over are named.
const MOST: usize = 3;

/// Adds what there is to say.
pub(super) fn add(case: &Case<'_>, subject: Subject<'_>, verdict: &mut Verdict) {
    let own = match subject {
        Subject::Record(record, _) => Some(record.seq),
        Subject::Due(_) | Subject::Nothing(_) => None,
    };
    if case.is_running {
        let is_other = |record: &&RunRecord| record.outcome.is_none() && Some(record.seq) != own;
        let mut others: Vec<&RunRecord> = case.records.iter().filter(is_other).collect();
        sort::by_key(&mut others, |record| record.seq);
        for record in others.iter().rev().take(MOST) {
            verdict.also("now", recorded::going(case, record, &[]).1);
        }
    }
    if case.is_not_loaded() {
        if verdict.word != "not_loaded" {
            verdict.also("now", unrecorded::not_loaded_text(case));
        }
        return;
    }
    if let Some(text) = case.no_host() {
        if verdict.word != "no_host" {
            verdict.also("now", text);
        }
        return;
    }
    if verdict.word == "paused" {
        return;
    }
    let id = clean(case.id);
    if case.is_paused_by_file() {
        verdict.also(
            "now",
            format!("paused: its definition says so; `schedrs resume {id}{}`", case.typed),
        );
    } else if let Some(pause) = case.pause() {
        let (words, resume) = unrecorded::pause_words(case, pause, case.now);
        verdict.also("now", format!("{words}; `{resume}`"));
    } else if let Some(overdue) = overdue(case) {
        verdict.also("now", overdue);
    } else if is_finished(case) && !matches!(verdict.word, "never_due" | "not_due") {
        verdict.also("now", "finished: its schedule has no due time left");
    }
}

/// That it has not succeeded for longer than `expect`, if it has not and is to come.
fn overdue(case: &Case<'_>) -> Option<String> {
    let (expect, known) = (case.job?.options.expect?, case.known?);
    if !is_of_ends(&case.job?.trigger) {
        case.job?.next_kept(&case.trigger()?, case.now)?;
        return overdue_of(case, expect, known.anchor);
    }
    overdue_of(case, expect, known.since)
}

fn overdue_of(case: &Case<'_>, expect: Duration, known: Instant) -> Option<String> {
    let succeeded = case.latest.and_then(|latest| latest.succeeded);
    let resumed = last_resumed(case.changes, case.records);
    let since = overdue_since(expect, known, succeeded, resumed, case.now)?;
    let rule = words::span(expect);
    let last = match succeeded {
        Some(at) => format!("its last success was at {}", case.clock(at, case.now)),
        None => "it has never succeeded".to_owned(),
    };
    let since = case.clock(since, case.now);
    Some(format!("overdue since {since} (expect = \"{rule}\"): {last}"))
}

/// Whether its due times come of the ends of runs, so that a trigger may know of none.
fn is_of_ends(trigger: &Trigger) -> bool {
    matches!(trigger, Trigger::FromEnd(_) | Trigger::After(_))
}

/// Whether nothing is to come, where the question is about the present.
fn is_finished(case: &Case<'_>) -> bool {
    case.asked == Asked::Latest
        && case.job.is_some_and(|job| !is_of_ends(&job.trigger))
        && case.trigger().is_some_and(|trigger| trigger.next_after(case.now).is_none())
}
