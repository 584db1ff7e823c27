use proptest::prelude::*;

use super::*;
use crate::core::event::{Process, Record};
use crate::core::job::{Command, Options};
use crate::core::outcome::Outcome;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::zone::Zone;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn success(took: u64) -> Success {
    Success { took: secs(took), printed: None }
}

fn now(at: u64) -> Now {
    Now { wall: Instant::from_secs(at as i64), mono: Mono::from_micros((1000 + at) * 1_000_000) }
}

fn job(warn_after: Option<u64>) -> Arc<Job> {
    Arc::new(Job {
        id: "backup".into(),
        name: None,
        command: Command::Shell("true".into()),
        trigger: Trigger::Date(DateTrigger::Now),
        zone: Zone::utc(),
        executor: 0,
        options: Arc::new(Options { warn_after: warn_after.map(secs), ..Options::default() }),
    })
}

fn started(job: &Arc<Job>, run: u64, attempt: u32) -> Action {
    let (job, due) = (Arc::clone(job), Instant::from_secs(0));
    let (run, process) = (RunId(run), Process { pid: 1, start: 0 });
    Action::Notice(Notice::Started { run, attempt, process, job, due, lag: secs(0), held: secs(0) })
}

fn ended(job: &Arc<Job>, run: u64) -> Action {
    let due = Instant::from_secs(0);
    Action::Record(Record {
        job: Arc::clone(job),
        due,
        last_due: due,
        count: 1,
        run: Some(RunId(run)),
        outcome: Outcome::Succeeded,
        started: Some(due),
        duration: secs(1),
        attempts: 1,
        usage: None,
    })
}

/// What is found, in a word and two numbers.
fn said(found: Vec<Found>) -> Vec<(&'static str, u64, u64)> {
    let each = found.into_iter().map(|found| match found {
        Found::Slow(slow) => {
            ("slow", slow.run.0, slow.usual.map_or(slow.limit, |usual| usual).as_secs())
        }
        Found::Unknown(job) => ("unknown", job.len() as u64, 0),
    });
    each.collect()
}

#[test]
fn what_is_usual() {
    let all =
        |durations: &[u64]| -> Vec<Success> { durations.iter().map(|it| success(*it)).collect() };
    // (durations, the median, the limit, in seconds)
    let rows = [
        (vec![100; 9], None),
        (vec![100; 10], Some((100, 300))),
        // A minute more at least.
        (vec![1; 50], Some((1, 61))),
        (vec![0; 50], Some((0, 60))),
        // One that was long is not usual; one in ten is.
        ([vec![10; 49], vec![1000]].concat(), Some((10, 70))),
        ([vec![10; 45], vec![1000; 5]].concat(), Some((10, 1500))),
        // The newest count.
        ([vec![10; 50], vec![1000; 50]].concat(), Some((10, 70))),
        ((1..=20).collect(), Some((10, 70))),
    ];
    for (durations, expected) in rows {
        let found = Usual::of(&all(&durations));
        let found = found.map(|usual| (usual.median.as_secs(), usual.limit.as_secs()));
        assert_eq!(found, expected, "{durations:?}");
    }
}

#[test]
fn a_run_that_may_not_take_so_long() {
    let (mut watch, job) = (Watch::default(), job(Some(45)));
    assert_eq!(watch.next_wakeup(), None);
    watch.hear(now(0), &started(&job, 7, 1));
    assert_eq!(watch.next_wakeup(), Some(now(45).mono));
    assert!(watch.wake(now(44).mono).is_empty() && watch.slow("backup").is_none());
    // A second attempt belongs to the same run.
    watch.hear(now(44), &started(&job, 7, 2));
    assert_eq!(said(watch.wake(now(45).mono)), [("slow", 7, 45)]);
    // Once.
    assert_eq!((watch.next_wakeup(), watch.wake(now(999).mono)), (None, Vec::new()));
    assert!(watch.slow("backup").is_some() && watch.has_slow() && watch.slow("other").is_none());
    watch.hear(now(50), &ended(&job, 7));
    assert!(watch.slow("backup").is_none() && !watch.has_slow());
    // Those that are quick are not heard of.
    watch.hear(now(60), &started(&job, 8, 1));
    watch.hear(now(70), &ended(&job, 8));
    assert_eq!((watch.next_wakeup(), watch.wake(now(999).mono)), (None, Vec::new()));
}

#[test]
fn a_run_that_takes_longer_than_usual() {
    let (mut watch, job) = (Watch::default(), job(None));
    watch.hear(now(0), &started(&job, 7, 1));
    assert_eq!(said(watch.wake(now(60).mono)), [("unknown", 6, 0)]);
    assert_eq!(watch.next_wakeup(), None);
    watch.learn("other", &[success(1); 50]);
    watch.learn("backup", &[success(100); 50]);
    assert_eq!(watch.next_wakeup(), Some(now(300).mono));
    assert_eq!(said(watch.wake(now(300).mono)), [("slow", 7, 100)]);
    // It has been going on under an earlier scheduler, and was slow already.
    watch.begin(RunId(9), &job, Instant::from_secs(0), (now(0).wall, now(0).mono));
    assert_eq!(said(watch.wake(now(400).mono)), [("unknown", 6, 0)]);
    watch.learn("backup", &[success(100); 50]);
    assert_eq!(said(watch.wake(now(400).mono)), [("slow", 9, 100)]);
    // Of a job that has hardly run nothing is said.
    watch.hear(now(500), &started(&job, 10, 1));
    watch.wake(now(560).mono);
    watch.learn("backup", &[success(1); 9]);
    assert_eq!((watch.next_wakeup(), watch.wake(now(9999).mono)), (None, Vec::new()));
}

proptest! {
    /// Whatever happens: each run is found once at most, never before its time, and nothing stays of one
    /// that is over.
    #[test]
    fn once_and_not_too_early(
        steps in proptest::collection::vec((0u8..5, 0u64..4, 0u64..100), 0..80),
    ) {
        let jobs = [job(Some(90)), job(None)];
        let mut watch = Watch::default();
        let (mut at, mut begun, mut found) = (0, HashMap::new(), HashMap::new());
        for (step, run, pause) in steps {
            at += pause;
            let job = &jobs[run as usize % 2];
            match step {
                0 | 1 => {
                    // A number is not used again.
                    if let std::collections::hash_map::Entry::Vacant(free) = begun.entry(run) {
                        free.insert(at);
                        watch.hear(now(at), &started(job, run, 1));
                    }
                }
                2 => {
                    watch.hear(now(at), &ended(job, run));
                    if begun.contains_key(&run) {
                        begun.insert(run, u64::MAX);
                    }
                }
                3 => watch.learn("backup", &[success(50); 50]),
                _ => {
                    for it in watch.wake(now(at).mono) {
                        let Found::Slow(slow) = it else { continue };
                        let since = begun[&slow.run.0];
                        prop_assert!(since != u64::MAX, "{} is over", slow.run);
                        prop_assert!(at >= since + slow.limit.as_secs());
                        prop_assert!(found.insert(slow.run, at).is_none());
                    }
                    prop_assert!(watch.next_wakeup().is_none_or(|next| next > now(at).mono));
                }
            }
        }
        for run in 0..4 {
            watch.hear(now(at), &ended(&jobs[0], run));
        }
        prop_assert!(watch.runs.is_empty() && watch.deadlines.is_empty());
    }
}
