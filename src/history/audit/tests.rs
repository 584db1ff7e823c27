//! Rows: a job that is due every ten seconds, and records as `FIRST..LASTxCOUNT`.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::core::job::{Command, Options};
use crate::core::outcome::{MissReason, SkipReason};
use crate::core::trigger::IntervalTrigger;
use crate::core::zone::Zone;

fn at(secs: i64) -> Instant {
    Instant::from_secs(secs)
}

/// Due at 10, 20, 30, ...
fn job(jitter: u64) -> Job {
    Job {
        id: "j".into(),
        name: None,
        command: Command::Argv(Box::new(["true".into()])),
        trigger: Trigger::Interval(IntervalTrigger::new(Duration::from_secs(10), None, None)),
        zone: Zone::utc(),
        executor: 0,
        options: Arc::new(Options { jitter: Duration::from_secs(jitter), ..Options::default() }),
    }
}

fn known(decided: i64) -> JobRecord {
    JobRecord {
        id: "j".into(),
        anchor: at(0),
        decided: at(decided),
        trigger: "".into(),
        since: at(0),
        pause: None,
        resumed: false,
        added: None,
        overrides: None,
    }
}

fn record(first: i64, last: i64, count: u64) -> RunRecord {
    RunRecord {
        seq: 0,
        run: None,
        job: "j".into(),
        due: at(first),
        last_due: at(last),
        count,
        outcome: Some(match count {
            1 => Outcome::Succeeded,
            _ => Outcome::Missed(MissReason::Late(Duration::from_secs(90))),
        }),
        at: at(last),
        started: None,
        duration: None,
        attempts: 0,
        process: None,
        by: None,
        host: None,
        usage: None,
        printed: None,
    }
}

/// `10 20 30..60x4`: records, of one due time each unless it says how many.
fn records(text: &str) -> Vec<RunRecord> {
    text.split_whitespace()
        .map(|word| match word.split_once("..") {
            None => record(word.parse().unwrap(), word.parse().unwrap(), 1),
            Some((first, rest)) => {
                let (last, count) = rest.split_once('x').unwrap();
                record(first.parse().unwrap(), last.parse().unwrap(), count.parse().unwrap())
            }
        })
        .collect()
}

fn ask<'a>(job: &'a Job, known: &'a JobRecord, from: i64, until: i64) -> Question<'a> {
    Question {
        job,
        known,
        from: at(from),
        until: at(until),
        has_older: true,
        kept_from: at(0),
        paused_since: None,
        seen: at(100_000),
        limit: 1000,
    }
}

/// `due times / unaccounted / twice / beside`, and the examples.
fn shown(found: &Audit) -> String {
    let examples: Vec<String> = found
        .examples
        .iter()
        .map(|example| {
            let word = match example.wrong {
                Wrong::Unaccounted => "no",
                Wrong::Twice => "twice",
            };
            let (first, last) = (example.first.secs(), example.last.secs());
            format!(" {word} {first}..{last}x{}", example.count)
        })
        .collect();
    let Audit { due_times, unaccounted, twice, beside, .. } = found;
    format!("{due_times}/{unaccounted}/{twice}/{beside}{}", examples.concat())
}

#[test]
fn rows() {
    let job = job(0);
    for (text, decided, from, until, expected) in [
        ("10 20 30", 30, 0, 999, "3/0/0/0"),
        ("30 10 20", 30, 0, 999, "3/0/0/0"),
        // Not decided yet, and beyond the window.
        ("10 20", 20, 0, 999, "2/0/0/0"),
        ("10 20 30", 30, 15, 25, "1/0/0/0"),
        ("10 20 30", 30, 20, 20, "1/0/0/0"),
        ("", 0, 0, 999, "0/0/0/0"),
        ("", 9, 0, 999, "0/0/0/0"),
        // Missing ones in a row are one example.
        ("10 50", 50, 0, 999, "5/3/0/0 no 20..40x3"),
        ("10 30 50", 60, 0, 999, "6/3/0/0 no 20..20x1 no 40..40x1 no 60..60x1"),
        ("", 30, 0, 999, "3/3/0/0 no 10..30x3"),
        // Ranges, as many as they say.
        ("10 20..40x3 50", 50, 0, 999, "5/0/0/0"),
        ("10 20..40x2 50", 50, 0, 999, "5/1/0/0 no 40..40x1"),
        ("10 20..40x4 50", 50, 0, 999, "5/0/1/0 twice 20..40x1"),
        ("10 20..40x3 30 50", 50, 0, 999, "5/0/1/0 twice 20..40x1"),
        ("10 20..40x2 30 50", 50, 0, 999, "5/0/0/0"),
        ("20..40x3", 50, 0, 999, "5/2/0/0 no 10..10x1 no 50..50x1"),
        // Two ranges over each other, as jitter makes them: each finds its place.
        ("10..40x2 20..30x2", 40, 0, 999, "4/0/0/0"),
        ("10..60x3 20..50x3", 60, 0, 999, "6/0/0/0"),
        ("10..60x4 20..50x3", 60, 0, 999, "6/0/1/0 twice 10..60x1"),
        // A range is looked at as a whole.
        ("10..50x5", 50, 30, 999, "5/0/0/0"),
        ("10 20..50x4 60", 60, 0, 30, "5/0/0/0"),
        ("10..30x3 30..50x2 60", 60, 50, 999, "6/0/0/0"),
        // Twice.
        ("10 20 20 30", 30, 0, 999, "3/0/1/0 twice 20..20x1"),
        // The extra due time of a start, alone and as the first of several.
        ("5 10 20", 20, 0, 999, "2/0/0/1"),
        ("5..30x4 40", 40, 0, 999, "4/0/0/1"),
        ("5..30x3 40", 40, 0, 999, "4/1/0/1 no 30..30x1"),
        // What is no due time of the trigger.
        ("10 17 20 30", 30, 0, 999, "3/0/0/1"),
        ("10 20 27", 30, 0, 999, "3/1/0/1 no 30..30x1"),
    ] {
        let known = known(decided);
        let found = audit(&ask(&job, &known, from, until), &records(text));
        assert_eq!(shown(&found), expected, "{text:?} {decided} {from} {until}");
        assert_eq!(found.adds_up(), expected.contains("/0/0/"), "{text:?}");
    }
}

#[test]
fn what_may_have_been_forgotten_is_left_out() {
    let (job, known) = (job(0), known(60));
    let mut question = ask(&job, &known, 0, 999);
    question.has_older = false;
    assert_eq!(shown(&audit(&question, &records("40 50 60"))), "3/0/0/0");
    assert_eq!(shown(&audit(&question, &records("40 60"))), "3/1/0/0 no 50..50x1");
    // Without any record only age tells.
    question.kept_from = at(45);
    assert_eq!(shown(&audit(&question, &[])), "2/2/0/0 no 50..60x2");
    question.kept_from = at(61);
    assert_eq!(shown(&audit(&question, &[])), "0/0/0/0");
}

#[test]
fn what_was_before_the_present_trigger_is_left_out() {
    let job = job(0);
    let known = JobRecord { since: at(35), anchor: at(30), ..known(60) };
    let found = audit(&ask(&job, &known, 0, 999), &records("7 14 21 28 40..60x3"));
    assert_eq!(shown(&found), "3/0/0/0");
    // One that reaches back says too much, which cannot be told from being wrong.
    let found = audit(&ask(&job, &known, 0, 999), &records("7..60x8"));
    assert_eq!(shown(&found), "3/0/0/0");
}

#[test]
fn runs_by_hand_are_no_due_times() {
    let (job, known) = (job(0), known(20));
    let mut by_hand = records("20");
    by_hand[0].by = Some("alice".into());
    by_hand.extend(records("10"));
    assert_eq!(shown(&audit(&ask(&job, &known, 0, 999), &by_hand)), "2/1/0/0 no 20..20x1");
}

#[test]
fn each_kind_is_counted() {
    let (job, known) = (job(0), known(90));
    let outcomes = [
        Some(Outcome::Succeeded),
        Some(Outcome::Failed(1)),
        Some(Outcome::NotStarted("x".into())),
        Some(Outcome::Skipped(SkipReason::Overlap)),
        Some(Outcome::Coalesced),
        Some(Outcome::Lost("x".into())),
        None,
    ];
    let mut all = records("80..90x2");
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let due = 10 * (number as i64 + 1);
        all.push(RunRecord { outcome, ..record(due, due, 1) });
    }
    let found = audit(&ask(&job, &known, 0, 999), &all);
    assert!(found.adds_up());
    let expected =
        Fates { ran: 2, not_started: 1, skipped: 1, missed: 2, coalesced: 1, lost: 1, open: 1 };
    assert_eq!((found.fates, found.span), (expected, Some((at(10), at(90)))));
}

#[test]
fn jitter_is_waited_for() {
    let (job, known) = (job(60), known(100));
    let question = Question { seen: at(100), ..ask(&job, &known, 0, 999) };
    let fires = |due: i64| at(due).plus(job.delay(at(due)));
    let late = (1..=10).filter(|n| fires(10 * n) > at(100)).count() as u64;
    assert!(late > 0 && late < 10, "{late}");
    let found = audit(&question, &[]);
    assert_eq!((found.waiting, found.unaccounted), (late, 10 - late));
}

#[test]
fn what_is_due_in_a_pause_is_recorded_when_it_ends() {
    let (job, known) = (job(0), known(50));
    let question = Question { paused_since: Some(at(20)), ..ask(&job, &known, 0, 999) };
    let found = audit(&question, &records("10"));
    assert_eq!((found.waiting, found.unaccounted), (3, 1));
}

#[test]
fn it_is_bounded() {
    let (job, known) = (job(0), known(10_000_000));
    let mut question = ask(&job, &known, 0, 10_000_000);
    question.limit = 100;
    let found = audit(&question, &records("10..10000000x1000000"));
    assert!(found.is_cut && found.adds_up());
    assert_eq!((found.due_times, found.fates.missed), (100, 100));
    assert_eq!(found.span, Some((at(10), at(1000))));
}

proptest! {
    /// Fates laid out over the due times by somebody else add up, whatever their order, and each
    /// one that is taken away or doubled is found.
    #[test]
    fn it_finds_what_is_wrong(
        pieces in proptest::collection::vec((1u64..6, any::<bool>()), 1..40),
        order in any::<u64>(),
        harm in any::<proptest::sample::Index>(),
        kind in 0u8..3,
    ) {
        let mut all = Vec::new();
        let mut due = 10;
        for (count, single) in pieces {
            let count = if single { 1 } else { count };
            let last = due + 10 * (count as i64 - 1);
            all.push(record(due, last, count));
            due = last + 10;
        }
        let end = due - 10;
        let total = all.iter().map(|record| record.count).sum::<u64>();
        let length = all.len();
        let swap = (order % length as u64) as usize;
        all.rotate_left(swap);

        let (job, known) = (job(0), known(end));
        let question = Question { limit: u64::MAX, ..ask(&job, &known, 0, end) };
        let harm = harm.index(length);
        let harmed = all[harm].count;
        let expected = match kind {
            0 => (0, 0),
            1 => {
                all.remove(harm);
                (harmed, 0)
            }
            _ => {
                all.push(all[harm].clone());
                (0, harmed)
            }
        };
        let found = audit(&question, &all);
        prop_assert_eq!(found.due_times, total);
        prop_assert_eq!((found.unaccounted, found.twice), expected);
        let fates = found.fates.total();
        prop_assert_eq!(fates + found.waiting + found.unaccounted, total + found.twice);
    }

    /// Whatever is recorded: the numbers are consistent, and it ends.
    #[test]
    fn its_numbers_are_consistent(
        raw in proptest::collection::vec((0i64..40, 0i64..12, 0u64..20), 0..30),
        from in 0i64..400, length in 0i64..400, limit in 0u64..60, has_older in any::<bool>(),
    ) {
        let all: Vec<RunRecord> = raw
            .iter()
            .map(|(first, more, count)| record(first * 5, (first + more) * 5, *count))
            .collect();
        let (job, known) = (job(0), known(390));
        let question = Question { limit, has_older, ..ask(&job, &known, from, from + length) };
        let found = audit(&question, &all);
        prop_assert!(found.due_times <= limit);
        prop_assert_eq!(
            found.fates.total() + found.waiting + found.unaccounted,
            found.due_times + found.twice
        );
        let kept: u64 = found.examples.iter().map(|example| example.count).sum();
        prop_assert!(kept <= found.unaccounted + found.twice);
        prop_assert!(found.examples.is_empty() == found.adds_up());
    }
}
