use super::*;

fn at(secs: i64) -> Instant {
    Instant::from_secs(secs)
}

fn admitted(run: u64, job: &str, due: i64) -> Fact {
    let (host, slot, by) = (None, None, None);
    Fact::Admitted { run: RunId(run), job: job.into(), due: at(due), at: at(due), by, host, slot }
}

fn starting(run: u64, attempt: u32) -> Fact {
    Fact::Starting { run: RunId(run), attempt }
}

fn started(run: u64, attempt: u32) -> Fact {
    let process = Process { pid: 7, start: 8 };
    Fact::Started { run: RunId(run), attempt, process, at: at(3) }
}

fn attempt_ended(run: u64, attempt: u32) -> Fact {
    Fact::AttemptEnded { run: RunId(run), attempt, outcome: Outcome::TimedOut, at: at(4) }
}

fn withdrawn(run: u64) -> Fact {
    Fact::Withdrawn { run: RunId(run) }
}

/// How many facts each stage took, as far as that can be told by their runs.
fn stages(facts: &[Fact]) -> Vec<(usize, usize, usize)> {
    let batch = Batch::of(facts);
    let of = |stage: &Stage<'_>| (stage.rows.len(), stage.runs.len(), stage.withdrawn.len());
    batch.stages.iter().map(of).collect()
}

#[test]
fn a_pass_is_one_stage() {
    let mut facts = Vec::new();
    for run in 1..100 {
        facts.extend([admitted(run, "a", run as i64), starting(run, 1), started(run, 1)]);
    }
    assert_eq!(stages(&facts), [(99, 99, 0)]);
}

#[test]
fn where_the_order_matters_another_stage_begins() {
    // What is said of a number before its claim was said of another run.
    assert_eq!(stages(&[starting(1, 1), admitted(1, "a", 1)]), [(0, 1, 0), (1, 1, 0)]);
    assert_eq!(stages(&[admitted(1, "a", 1), admitted(1, "a", 2)]), [(1, 1, 0), (1, 1, 0)]);
    let facts = [admitted(1, "a", 1), withdrawn(1), withdrawn(2), admitted(3, "a", 1)];
    assert_eq!(stages(&facts), [(1, 1, 0), (0, 0, 2), (1, 1, 0)]);
    // The store knows how it began, if it is the claim of before.
    assert_eq!(stages(&[admitted(1, "a", 1), attempt_ended(1, 1)]).len(), 2);
    assert_eq!(stages(&[admitted(1, "a", 1), started(1, 1), attempt_ended(1, 1)]).len(), 1);
    assert_eq!(stages(&[attempt_ended(1, 1), starting(1, 2), attempt_ended(1, 2)]).len(), 1);
}

#[test]
fn attempts_know_how_they_began() {
    let facts = [attempt_ended(1, 1), started(1, 2), attempt_ended(1, 2), attempt_ended(1, 1)];
    let batch = Batch::of(&facts);
    let [stage] = &batch.stages[..] else { panic!("{batch:?}") };
    assert_eq!(stage.ended.len(), 1);
    let begun: Vec<_> = stage.attempts.iter().map(|it| (it.attempt, it.begun.is_some())).collect();
    assert_eq!(begun, [(2, true), (1, false)]);
}

#[test]
#[cfg(feature = "postgres")]
fn texts_come_back() {
    for text in ["", "plain ✓", "\0", "\u{1a}", "\u{1a}0", "a\0\u{1a}1\u{1a}\0", "\u{1a}\u{1a}0"]
    {
        let there = escaped(text);
        assert!(!there.contains('\0'));
        assert_eq!(unescaped(&there), text, "{there:?}");
    }
}
