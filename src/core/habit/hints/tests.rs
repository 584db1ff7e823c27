use proptest::prelude::*;

use super::super::unusual;
use super::*;

fn run(secs: u64, printed: u64) -> Success {
    Success { took: Duration::from_secs(secs), printed: Some(printed) }
}

fn at(secs: u64) -> Mono {
    Mono::from_micros(1_000_000 * (1000 + secs))
}

/// How many of these runs of a job are looked at, if each that is finds those before it.
fn looks(hints: &mut Hints, job: &str, before: &mut Vec<Success>, runs: &[Success]) -> Vec<usize> {
    let mut looks = Vec::new();
    for (nth, run) in runs.iter().enumerate() {
        if hints.wants(job, *run, at(before.len() as u64)) {
            hints.learn(job, before);
            looks.push(nth);
        }
        before.insert(0, *run);
    }
    looks
}

#[test]
fn few_runs_are_looked_at() {
    let (mut hints, mut before) = (Hints::default(), Vec::new());
    // The first, the first that has ten before it, and then one of 26.
    let usual = [run(100, 1000); 101];
    assert_eq!(looks(&mut hints, "a", &mut before, &usual), [0, 10, 36, 62, 88]);
    // What may be out of the ordinary is, each time.
    let odd = [run(100, 0), run(5, 1000), run(100, 1000), run(100, 150), run(15, 1000)];
    assert_eq!(looks(&mut hints, "a", &mut before, &odd), [0, 1, 3, 4]);
    // What has changed is usual before long.
    let quiet = [run(100, 0); 100];
    let found = looks(&mut hints, "a", &mut before, &quiet);
    assert!(found.len() < 25, "{found:?}");
}

#[test]
fn a_job_that_is_short_and_silent_is_left_alone() {
    let (mut hints, mut before) = (Hints::default(), Vec::new());
    assert_eq!(looks(&mut hints, "a", &mut before, &[run(0, 0); 300]).len(), 13);
}

#[test]
fn the_store_is_not_asked_all_the_time() {
    let mut hints = Hints::default();
    let mut wants = |job: usize, secs| hints.wants(&job.to_string(), run(1, 1), at(secs));
    let asked = (0..5000).filter(|job| wants(*job, 0)).count();
    assert_eq!(asked, 1000);
    assert!(!wants(9000, 9) && wants(9000, 10) && !wants(9000, 10));
}

#[test]
fn only_jobs_that_have_run_of_late_are_known() {
    let mut hints = Hints::default();
    for job in 0..100_000 {
        hints.learn(&job.to_string(), &[]);
        // One that runs again and again stays.
        assert!(job == 0 || hints.hint("0").is_some());
        assert!(hints.young.len() + hints.old.len() <= 2 * JOBS);
    }
}

proptest! {
    /// Whatever a job does, as long as the store may be asked: no run that is out of the ordinary is overlooked,
    /// if what is usual has not changed since the job was last looked at.
    #[test]
    fn nothing_is_overlooked(
        before in proptest::collection::vec((0u64..200, 0u64..2000), 10..60),
        this in (0u64..200, 0u64..2000),
    ) {
        let before: Vec<Success> = before.into_iter().map(|(secs, bytes)| run(secs, bytes)).collect();
        let this = run(this.0, this.1);
        let mut hints = Hints::default();
        hints.learn("a", &before);
        let found = unusual::of(this, None, &before);
        prop_assert!(found.is_none() || hints.wants("a", this, at(0)));
    }
}
