//! Runs are found, whatever comes and goes.

use super::*;

fn run(id: u64, job: &Arc<Job>) -> Run {
    Run {
        id: RunId(id),
        entered: RunId(id),
        job: Arc::clone(job),
        due: NEVER,
        admitted: NO_DEADLINE,
        asked: NO_DEADLINE,
        held: Duration::ZERO,
        started: None,
        ended: NO_DEADLINE,
        deadline: NO_DEADLINE,
        last: None,
        attempt: 0,
        shortages: 0,
        job_slot: None,
        pool: 0,
        place: None,
        phase: Phase::Queued,
        once_started: OnceStarted::Run,
        hangs: false,
        out_of_touch: None,
        timed_out: false,
        is_last: false,
        usage: None,
        is_checked: true,
        looking: None,
    }
}

/// Short runs that come and go past long ones.
#[test]
fn runs_are_found_however_long_they_last() {
    let mut runs = Runs::new();
    let job = Arc::clone(&runs.nobody);
    let mut live: Vec<(u64, u32)> = Vec::new();
    let mut chance = 7_u64;
    for id in 1..20_000 {
        live.push((id, runs.insert(run(id, &job))));
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // One in 97 lasts; the others make room so that a few dozen are left.
        let most = if id % 5000 < 100 { 60 } else { 20 };
        while live.len() > most {
            let leaver = live.len() - 1 - (chance >> 33) as usize % 10;
            let leaver = if live[leaver].0.is_multiple_of(97) { 0 } else { leaver };
            let (id, slot) = live.remove(leaver);
            assert_eq!(runs.find(RunId(id)), Some(slot));
            runs.remove(slot);
            assert_eq!(runs.find(RunId(id)), None);
        }
        if id % 1000 == 500 {
            let (old, slot) = live[0];
            runs.rename(slot, RunId(old + 1_000_000));
            live[0].0 += 1_000_000;
            assert_eq!(runs.find(RunId(old)), None);
        }
        for &(id, slot) in &live {
            assert_eq!(runs.find(RunId(id)), Some(slot));
        }
        assert_eq!(runs.len(), live.len());
        assert_eq!(runs.iter().count(), live.len());
    }
}

/// A handle means the run that was in the slot, and not the next one there.
#[test]
fn a_handle_is_of_one_run() {
    let mut runs = Runs::new();
    let job = Arc::clone(&runs.nobody);
    let slot = runs.insert(run(1, &job));
    let first = runs.handle(slot);
    runs.rename(slot, RunId(2));
    assert!(runs.is_live(first), "it stands for another due time, and is the same run");
    runs.remove(slot);
    assert!(!runs.is_live(first));
    assert_eq!(runs.insert(run(3, &job)), slot, "the slot is used again");
    assert!(!runs.is_live(first));
    assert!(runs.is_live(runs.handle(slot)));
}

/// What a signal of a limit has ended, and what a shell makes of that.
#[test]
fn a_limit_is_named_also_through_a_shell() {
    let limits = Limits {
        cpu_time: Some(Duration::from_secs(1)),
        file_size: Some(1000),
        ..Limits::default()
    };
    let over = |signal, text: &str| Outcome::OverLimit(signal, text.to_owned());
    let rows = [
        (true, Exit::Signal(24), over(24, "over its limit of 1s of processor time")),
        (true, Exit::Code(128 + 24), over(24, "over its limit of 1s of processor time")),
        (true, Exit::Code(128 + 25), over(25, "over its limit of 1000 for a file")),
        (true, Exit::Code(128 + 9), Outcome::Failed(137)),
        (true, Exit::Code(1), Outcome::Failed(1)),
        (false, Exit::Code(128 + 24), Outcome::Failed(152)),
        (false, Exit::Signal(24), Outcome::Killed(24)),
    ];
    for (limited, exit, expected) in rows {
        let runs = Runs::new();
        let limits = limited.then(|| Arc::new(limits.clone()));
        let options = Options { limits, ..Options::clone(&runs.nobody.options) };
        let job = Arc::new(Job { options: Arc::new(options), ..Job::clone(&runs.nobody) });
        assert_eq!(run(1, &job).judge(exit), expected, "{exit:?} {limited}");
    }
}
