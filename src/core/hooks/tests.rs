use std::collections::BTreeMap;

use super::*;
use crate::core::event::Process;
use crate::core::job::{Command, Options};
use crate::core::outcome::{MissReason, SkipReason};
use crate::core::streak::Streaks;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::zone::Database;

/// 2026-01-15T08:00:00Z
const DUE: Instant = Instant::from_secs(1_768_464_000);

/// A job in Stockholm with these hooks, each of which says its own name.
fn job(hooks: &[HookKind]) -> Arc<Job> {
    let command = |kind: &HookKind| (*kind, JobHook::of(Command::Shell(kind.option().into())));
    job_with(hooks.iter().map(command).collect())
}

fn job_with(hooks: BTreeMap<HookKind, JobHook>) -> Arc<Job> {
    Arc::new(Job {
        id: "backup".into(),
        name: None,
        command: Command::Shell("true".into()),
        trigger: Trigger::Date(DateTrigger::Now),
        zone: Database::bundled().get("Europe/Stockholm").unwrap(),
        executor: 0,
        options: Arc::new(Options { hooks, retries: 2, ..Options::default() }),
    })
}

fn record(job: &Arc<Job>, outcome: Outcome) -> Record {
    let has_begun = outcome.is_of_run() && !matches!(outcome, Outcome::NotStarted(_));
    Record {
        job: Arc::clone(job),
        due: DUE,
        last_due: DUE,
        count: 1,
        run: outcome.is_of_run().then_some(RunId(7)),
        outcome,
        started: has_begun.then(|| DUE.plus(Duration::from_millis(1500))),
        duration: Duration::from_millis(61_900),
        attempts: 3,
        usage: None,
    }
}

/// The hooks that are called, the failure of a job being the first.
fn called(action: &Action, now: Instant) -> Vec<Call> {
    hear(action, now, Streaks::default().hear(now, action).0, |_| None)
}

/// What is called, one after the other: `on_failure 2`.
fn heard(job: &Arc<Job>, outcomes: &[Outcome]) -> String {
    let (mut called, mut streaks) = (Vec::new(), Streaks::default());
    for outcome in outcomes {
        let action = Action::Record(record(job, outcome.clone()));
        let (streak, _) = streaks.hear(DUE, &action);
        for call in hear(&action, DUE, streak, |_| None) {
            let streak = call.facts.streak.map(|streak| format!(" {streak}"));
            called.push(call.kind.option().to_owned() + &streak.unwrap_or_default());
        }
    }
    called.join(", ")
}

#[test]
fn each_fate_has_its_hooks() {
    use Outcome::*;
    let missed = || Missed(MissReason::Late(Duration::from_secs(90)));
    let skipped = || Skipped(SkipReason::Overlap);
    // (what comes of one due time after the other, what is called)
    let rows: [(&[Outcome], &str); 8] = [
        (&[Succeeded, Succeeded], "on_success, on_success"),
        (&[Failed(3), Succeeded], "on_failure 1, on_success, on_recovered 1"),
        (
            &[Failed(3), Killed(9), TimedOut, NotStarted("no".into()), Lost("?".into())],
            "on_failure 1, on_failure 2, on_failure 3, on_failure 4, on_failure 5",
        ),
        (
            &[Failed(1), Failed(1), Succeeded, Succeeded],
            "on_failure 1, on_failure 2, on_success, on_recovered 2, on_success",
        ),
        (&[missed(), skipped()], "on_missed, on_skipped"),
        // These are no runs: they end no row of failures, and are none.
        (
            &[Failed(1), missed(), skipped(), Coalesced, Succeeded],
            "on_failure 1, on_missed, on_skipped, on_success, on_recovered 1",
        ),
        (&[missed(), Succeeded], "on_missed, on_success"),
        (&[Coalesced], ""),
    ];
    for (outcomes, called) in rows {
        assert_eq!(heard(&job(&HookKind::ALL), outcomes), called);
        assert_eq!(heard(&job(&[]), outcomes), "");
    }
}

/// With `once`, for the first failure in a row.
#[test]
fn once_in_a_row() {
    let (failed, lost) = (Outcome::Failed(1), Outcome::Lost("".into()));
    let outcomes =
        [&failed, &failed, &Outcome::Succeeded, &Outcome::TimedOut, &lost].map(Clone::clone);
    let hooks = |once| {
        let hook = JobHook { once, ..JobHook::of(Command::Shell("page".into())) };
        job_with([(HookKind::Failure, hook)].into())
    };
    assert_eq!(heard(&hooks(true), &outcomes), "on_failure 1, on_failure 1");
    let each = "on_failure 1, on_failure 2, on_failure 1, on_failure 2";
    assert_eq!(heard(&hooks(false), &outcomes), each);
}

/// The definition that a job has now counts, and not the one that its run was admitted with.
#[test]
fn hooks_are_those_of_now() {
    let (before, now) = (job(&[HookKind::Success]), job(&[HookKind::Success, HookKind::Start]));
    let action = Action::Record(record(&before, Outcome::Succeeded));
    for (current, expected) in [(None, &before), (Some(Arc::clone(&now)), &now)] {
        let calls = hear(&action, DUE, Streak::default(), |_| current.clone());
        assert!(Arc::ptr_eq(&calls[0].job, expected));
        assert_eq!(calls[0].hook(), Some(&JobHook::of(Command::Shell("on_success".into()))));
    }
    let none = job(&[]);
    assert!(hear(&action, DUE, Streak::default(), |_| Some(Arc::clone(&none))).is_empty());
}

/// What a hook finds in its environment, a line for each variable.
fn told(calls: &[Call]) -> Vec<String> {
    let [call] = calls else { panic!("{calls:?}") };
    let name = |name: &str| name.trim_start_matches("SCHEDRS_").to_lowercase();
    call.variables("web1").into_iter().map(|(of, value)| format!("{} {value}", name(of))).collect()
}

const ALWAYS: [&str; 2] = ["job backup", "host web1"];

#[test]
fn what_a_run_is_told_by() {
    let due = "due 2026-01-15T09:00:00+01:00";
    let ran = [
        "attempt 3",
        "attempts 3",
        "started 2026-01-15T09:00:01.500+01:00",
        "ended 2026-01-15T09:01:03.400+01:00",
        "duration 61",
    ];
    let failed = |outcome: &[&'static str]| -> Vec<&'static str> {
        [&ALWAYS[..], &["run 7", due], outcome, &ran, &["streak 1"]].concat()
    };
    let (from, to) = ("from 2026-01-15T09:00:00+01:00", "to 2026-01-15T09:00:00+01:00");
    let rows: [(HookKind, Outcome, Vec<&str>); 7] = [
        (
            HookKind::Success,
            Outcome::Succeeded,
            [&ALWAYS[..], &["run 7", due, "outcome succeeded"], &ran].concat(),
        ),
        (HookKind::Failure, Outcome::Failed(3), failed(&["outcome failed", "exit 3"])),
        (HookKind::Failure, Outcome::Killed(9), failed(&["outcome killed", "signal 9"])),
        (HookKind::Failure, Outcome::TimedOut, failed(&["outcome timed_out"])),
        (
            HookKind::Failure,
            Outcome::NotStarted("program x does not exist".into()),
            [
                &ALWAYS[..],
                &["run 7", due, "outcome not_started", "reason program x does not exist"],
                &ran[..2],
                &["streak 1"],
            ]
            .concat(),
        ),
        (
            HookKind::Skipped,
            Outcome::Skipped(SkipReason::Overlap),
            [&ALWAYS[..], &[due, "outcome skipped", "reason overlap"], &["count 1", from, to]]
                .concat(),
        ),
        (
            HookKind::Missed,
            Outcome::Missed(MissReason::Late(Duration::from_secs(90))),
            [&ALWAYS[..], &[due, "outcome missed", "reason late"], &["count 1", from, to]].concat(),
        ),
    ];
    for (kind, outcome, expected) in rows {
        let job = job(&[kind]);
        let mut record = record(&job, outcome);
        if !record.outcome.is_of_run() {
            record.attempts = 0;
        }
        let calls = called(&Action::Record(record), DUE);
        assert_eq!(calls[0].kind, kind);
        assert_eq!(told(&calls), expected, "{kind:?}");
    }
}

#[test]
fn many_due_times_are_one_call() {
    let job = job(&[HookKind::Missed]);
    let outcome = Outcome::Missed(MissReason::Late(Duration::from_secs(90)));
    let last_due = DUE.plus(Duration::from_secs(7200));
    let record = Record { count: 3, last_due, attempts: 0, ..record(&job, outcome) };
    let calls = called(&Action::Record(record), DUE);
    let told = told(&calls);
    let expected = ["count 3", "from 2026-01-15T09:00:00+01:00", "to 2026-01-15T11:00:00+01:00"];
    assert_eq!(told[told.len() - 3..], expected);
    assert!(!calls[0].has_output());
}

#[test]
fn what_an_attempt_is_told_by() {
    let job = job(&[HookKind::Start, HookKind::Retry]);
    let started = |attempt| {
        Action::Notice(Notice::Started {
            run: RunId(7),
            attempt,
            process: Process { pid: 1, start: 0 },
            job: Arc::clone(&job),
            due: DUE,
            lag: Duration::from_secs(1),
            held: Duration::ZERO,
        })
    };
    let expected = [
        &ALWAYS[..],
        &["run 7", "due 2026-01-15T09:00:00+01:00", "attempt 1", "attempts 3"],
        &["started 2026-01-15T09:00:01+01:00"],
    ];
    let calls = called(&started(1), DUE);
    assert_eq!(told(&calls), expected.concat());
    assert!(!calls[0].has_output());
    assert!(called(&started(2), DUE).is_empty());
    let retrying = |started| {
        Action::Notice(Notice::Retrying {
            run: RunId(7),
            job: Arc::clone(&job),
            due: DUE,
            started,
            outcome: Outcome::Failed(4),
            attempt: 2,
            delay: Duration::from_secs(10),
        })
    };
    let now = DUE.plus(Duration::from_secs(5));
    let calls = called(&retrying(Some(DUE)), now);
    let expected = [
        &ALWAYS[..],
        &["run 7", "due 2026-01-15T09:00:00+01:00", "outcome failed", "exit 4"],
        &["attempt 1", "attempts 3", "started 2026-01-15T09:00:00+01:00"],
        &["ended 2026-01-15T09:00:05+01:00", "duration 5"],
    ];
    assert_eq!(told(&calls), expected.concat());
    assert!(calls[0].has_output());
    let calls = called(&retrying(None), now);
    assert!(told(&calls).iter().all(|line| !line.starts_with("ended")), "{calls:?}");
}

#[test]
fn placeholders_and_what_stands_for_them() {
    let rows = [
        ("{job}", Some("SCHEDRS_JOB")),
        ("{ outcome }", Some("SCHEDRS_OUTCOME")),
        ("{SCHEDRS_EXIT}", Some("SCHEDRS_EXIT")),
        ("{}", None),
        ("{name}", None),
        ("job", None),
        ("a{job}", None),
    ];
    for (placeholder, variable) in rows {
        assert_eq!(variable_of(placeholder).as_deref(), variable, "{placeholder}");
    }
    // Every variable that there is has one.
    let job = job(&[HookKind::Failure]);
    let calls = called(&Action::Record(record(&job, Outcome::Failed(1))), DUE);
    for (name, _) in calls[0].variables("web1") {
        let placeholder = format!("{{{}}}", name.trim_start_matches("SCHEDRS_").to_lowercase());
        assert_eq!(variable_of(&placeholder).as_deref(), Some(name));
    }
}

#[test]
fn which_hooks_have_failed() {
    let failed = |run: Option<u64>, how: &str| {
        let it = FailedHook { run, due: DUE.micros(), how: how.to_owned() };
        serde_json::to_string(&it).unwrap()
    };
    let entries = [
        (failed_key("backup", HookKind::Failure), failed(Some(7), "exited with 1: no")),
        (failed_key("backup", HookKind::Start), failed(Some(6), "exited with 2")),
        (failed_key("backup", HookKind::Missed), failed(None, "timed out")),
        (failed_key("other", HookKind::Failure), failed(Some(7), "exited with 3")),
        (failed_key("a\nb", HookKind::Failure), "?".to_owned()),
    ];
    let found = |job: &str, run: Option<u64>| {
        let all = entries.iter().map(|(key, text)| (&**key, &**text));
        failed_of((job, run.map(RunId), DUE), all)
    };
    assert_eq!(found("backup", Some(7)), ["on_failure exited with 1: no"]);
    assert_eq!(found("backup", None), ["on_missed timed out"]);
    assert_eq!(found("other", Some(7)), ["on_failure exited with 3"]);
    assert!(found("backup", Some(8)).is_empty() && found("a\nb", Some(7)).is_empty());
    assert_eq!(job_of_key(&entries[4].0), "a\nb");
}
