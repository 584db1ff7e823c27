//! What is asked of a running scheduler, and what it answers.

use schedrs::event::{
    Change, ChangeKind, JobRecord, Operation, Paused, Process, Remember, Response,
};
use schedrs::scheduler::{SavedState, Survivor};

use crate::scenario::*;

/// A scheduler that remembers, asked by hand.
pub(crate) struct Operator {
    pub(crate) scheduler: Scheduler,
    now: Now,
    pub(crate) actions: Vec<Action>,
}

/// Attempts that were started, outcomes, and answers of the step, a line each.
fn lines(actions: &[Action]) -> Vec<String> {
    let line = |action: &Action| match action {
        Action::Start(start) => Some(format!("start {}#{}", start.job.id, start.run)),
        Action::Terminate(run) => Some(format!("term #{run}")),
        Action::Record(record) => Some(line_of(record)),
        Action::Remember(Remember::Gone(id)) => Some(format!("gone {id}")),
        Action::Answer { answer: Response::Refused(refusal), .. } => {
            Some(format!("refused {}: {}", refusal.code, refusal.message))
        }
        Action::Answer { answer: Response::Started { run, waits }, .. } => {
            Some(format!("started #{run}{}", if *waits { ", waits" } else { "" }))
        }
        Action::Answer { answer: Response::Stopped(runs), .. } => Some(format!("stopped {runs:?}")),
        Action::Answer { answer: Response::Ended(record), .. } => {
            Some(format!("told {}", line_of(record)))
        }
        Action::Answer { answer: Response::Done | Response::Resumed { was: true, .. }, .. } => {
            Some("done".to_owned())
        }
        _ => None,
    };
    actions.iter().filter_map(line).collect()
}

impl Operator {
    pub(crate) fn new(jobs: Vec<Job>) -> Operator {
        Operator::with(jobs, SavedState::default())
    }

    pub(crate) fn with(jobs: Vec<Job>, saved: SavedState) -> Operator {
        let now = Now { wall: NOON, mono: Mono::from_micros(3_600_000_000) };
        let scheduler = Scheduler::restored(now, set(jobs), saved);
        let mut operator = Operator { scheduler, now, actions: Vec::new() };
        operator.scheduler.step(now, Event::Woke, &mut operator.actions);
        operator
    }

    pub(crate) fn step(&mut self, event: Event) -> Vec<String> {
        self.actions.clear();
        self.scheduler.step(self.now, event, &mut self.actions);
        lines(&self.actions)
    }

    pub(crate) fn ask(&mut self, operation: Operation) -> Vec<String> {
        self.step(Event::Operation { ticket: 7, by: "ann".into(), operation: Box::new(operation) })
    }

    /// At a time of day, what happens by itself.
    pub(crate) fn at(&mut self, time: &str) -> Vec<String> {
        let wall = at(time);
        let ahead = wall.since(self.now.wall);
        self.now = Now { wall, mono: self.now.mono.plus(ahead) };
        self.step(Event::Woke)
    }

    pub(crate) fn started(&mut self, run: u64) {
        let at = self.now;
        let process = Process { pid: 100 + run as u32, start: 0 };
        self.step(Event::Started { run: RunId(run), process, at, taken: at.mono });
    }

    pub(crate) fn ended(&mut self, run: u64) -> Vec<String> {
        self.step(Event::Ended { run: RunId(run), exit: Exit::Code(0), usage: None, at: None })
    }

    pub(crate) fn view(&mut self, id: &str) -> schedrs::event::JobView {
        self.ask(Operation::Show { job: id.into() });
        match self.actions.last() {
            Some(Action::Answer { answer: Response::Job { job: detail, .. }, .. }) => {
                detail.view.clone()
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn remembered(&self) -> Vec<&JobRecord> {
        let job = |action| match action {
            &Action::Remember(Remember::Job(ref record)) => Some(&**record),
            _ => None,
        };
        self.actions.iter().filter_map(job).collect()
    }
}

pub(crate) fn start(job: &str) -> Operation {
    Operation::Start { job: job.into(), force: false, wait: false }
}

pub(crate) fn pause(job: Option<&str>, until: Option<&str>) -> Operation {
    Operation::Pause {
        job: job.map(Into::into),
        until: until.map(at),
        reason: Some("moving".into()),
    }
}

pub(crate) fn resume(job: Option<&str>) -> Operation {
    Operation::Resume { job: job.map(Into::into) }
}

fn add(job: Job, replace: bool) -> Operation {
    Operation::Add { job: job.into(), text: "a text".into(), replace }
}

#[test]
fn a_run_now_respects_max_instances() {
    let mut operator = Operator::new(vec![job("a", every(3600), |_| {})]);
    assert_eq!(operator.ask(start("a")), ["start a#1", "started #1"]);
    operator.started(1);
    let refused = operator.ask(start("a"));
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("refused max_instances: `a` is already running: run 1"));
    let operation = Operation::Start { job: "a".into(), force: true, wait: true };
    assert_eq!(operator.ask(operation), ["start a#2", "started #2"]);
    operator.started(2);
    let told = operator.ended(2);
    assert_eq!(told, ["told a#2 succeeded, due 12:00:00", "a#2 succeeded, due 12:00:00"]);
    assert_eq!(operator.ended(1), ["a#1 succeeded, due 12:00:00"]);
    // A run by hand is none of the trigger's business.
    assert_eq!(operator.at("13:00"), ["start a#3"]);
}

#[test]
fn what_is_not_there_is_refused() {
    let mut operator = Operator::new(vec![job("a", every(3600), |_| {})]);
    for operation in [
        start("b"),
        pause(Some("b"), None),
        resume(Some("b")),
        Operation::Show { job: "b".into() },
        Operation::Remove { job: "b".into(), detail: None },
        Operation::StopJob { job: "b".into() },
    ] {
        let refused = ["refused no_such_job: no job `b`; did you mean `a`?"];
        assert_eq!(operator.ask(operation.clone()), refused, "{operation:?}");
    }
    let stop = Operation::StopRun { run: RunId(9) };
    assert_eq!(operator.ask(stop), ["refused no_such_run: no run 9 is active"]);
    assert!(
        operator.ask(Operation::Remove { job: "a".into(), detail: None })[0]
            .starts_with("refused in_file")
    );
    assert!(operator.ask(pause(Some("a"), Some("11:00")))[0].starts_with("refused past"));
}

#[test]
fn stopping_a_job_ends_what_runs_and_what_waits() {
    let queue = |options: &mut Options| options.overlap = Overlap::Queue;
    let mut operator = Operator::new(vec![job("a", every(60), queue)]);
    assert_eq!(operator.at("12:01"), ["start a#1"]);
    operator.started(1);
    assert_eq!(operator.at("12:02"), [""; 0]);
    let stopped = operator.ask(Operation::StopJob { job: "a".into() });
    assert_eq!(
        stopped,
        ["term #1", "a#2 skipped(stopped), due 12:02:00", "stopped [RunId(1), RunId(2)]"]
    );
    let ended = operator.step(Event::Ended {
        run: RunId(1),
        exit: Exit::Signal(15),
        usage: None,
        at: None,
    });
    assert_eq!(ended, ["a#1 killed(15), due 12:01:00"]);
}

#[test]
fn what_is_due_in_a_pause_is_skipped() {
    let mut operator =
        Operator::new(vec![job("a", every(60), |_| {}), job("b", every(600), |_| {})]);
    assert_eq!(operator.ask(pause(Some("a"), None)), ["done"]);
    assert!(matches!(operator.view("a").paused, Paused::Job(pause) if &*pause.by == "ann"));
    assert_eq!(operator.view("a").next, None);
    assert_eq!(operator.at("12:03"), [""; 0]);
    let refused = &operator.ask(start("a"))[0];
    assert!(refused.starts_with("refused paused: `a` is paused by ann"), "{refused}");
    let resumed = operator.ask(resume(Some("a")));
    // What is due at the very moment runs.
    assert_eq!(
        resumed,
        ["a skipped(paused), due 12:01:00..12:02:00 (2 of them)", "done", "start a#1"]
    );
    assert_eq!(operator.view("a").next, Some(at("12:04")));
}

#[test]
fn failures_in_a_row_pause_a_job() {
    let strict = |options: &mut Options| options.pause_after = std::num::NonZero::new(3);
    let mut operator =
        Operator::new(vec![job("a", every(60), strict), job("b", every(600), |_| {})]);
    let mut failed = |job: &str, runs| {
        operator.step(Event::FailedInARow { job: job.into(), runs });
        (operator.view(job).paused, operator.view(job).next)
    };
    assert_eq!(failed("a", 2), (Paused::No, Some(at("12:01"))));
    // One that does not say so is not paused, and of one that is not there nobody is told.
    assert_eq!(failed("b", 1000).0, Paused::No);
    let (paused, next) = failed("a", 3);
    let Paused::Job(pause) = paused else { panic!("{paused:?}") };
    assert_eq!((&*pause.by, pause.until, next), ("schedrs", None, None));
    assert_eq!(pause.reason.as_deref(), Some("3 runs in a row have failed"));
    // A run that was going on beside it changes nothing, and is no second pause.
    assert_eq!(failed("a", 4).0, Paused::Job(pause));
    assert_eq!(operator.step(Event::FailedInARow { job: "c".into(), runs: 9 }), [""; 0]);
    operator.ask(resume(Some("a")));
    assert_eq!(operator.view("a").paused, Paused::No);
    // It still fails.
    operator.step(Event::FailedInARow { job: "a".into(), runs: 5 });
    assert!(matches!(operator.view("a").paused, Paused::Job(_)));
}

#[test]
fn a_pause_ends_by_itself() {
    let mut operator = Operator::new(vec![job("a", every(60), |_| {})]);
    operator.ask(pause(Some("a"), Some("12:02:30")));
    assert_eq!(operator.scheduler.next_wakeup().wall, Some(at("12:02:30")));
    let ended = operator.at("12:02:30");
    assert_eq!(ended, ["a skipped(paused), due 12:01:00..12:02:00 (2 of them)"]);
    assert_eq!(operator.scheduler.next_wakeup().wall, Some(at("12:03")));
    assert_eq!(operator.at("12:03"), ["start a#1"]);
}

#[test]
fn all_jobs_are_paused_together() {
    let jobs = vec![job("a", every(60), |_| {}), job("b", every(60), |_| {})];
    let mut operator = Operator::new(jobs);
    operator.ask(pause(Some("b"), None));
    operator.ask(pause(None, Some("12:05")));
    assert_eq!(operator.scheduler.next_wakeup().wall, Some(at("12:05")));
    assert_eq!(operator.at("12:01:30"), [""; 0]);
    assert_eq!(operator.ask(add(job("c", once("12:03"), |_| {}), false)), [""; 0]);
    let resumed = operator.ask(resume(None));
    assert_eq!(resumed, ["a skipped(paused), due 12:01:00", "done"]);
    // The one that was paused on its own stays so, and the added one is still to come.
    assert_eq!(operator.at("12:02"), ["start a#1"]);
    assert_eq!(operator.at("12:03").last().map(String::as_str), Some("start c#2"));
    let resumed = operator.ask(resume(Some("b")));
    assert_eq!(resumed[0], "b skipped(paused), due 12:01:00..12:02:00 (2 of them)");
}

#[test]
fn a_job_that_its_file_pauses_can_be_resumed() {
    let paused = |options: &mut Options| options.paused = true;
    let mut operator = Operator::new(vec![job("a", every(60), paused)]);
    assert_eq!(operator.view("a").paused, Paused::ByFile);
    operator.at("12:05:30");
    // It has no due times, so none was skipped.
    assert_eq!(operator.ask(resume(Some("a"))), ["done"]);
    assert!(operator.remembered()[0].resumed);
    assert_eq!(operator.at("12:06"), ["start a#1"]);
    let same = set(vec![job("a", every(60), paused)]);
    operator.step(Event::Reload(Box::new(same)));
    assert_eq!(operator.view("a").next, Some(at("12:07")));
}

#[test]
fn an_added_job_goes_when_it_is_done() {
    let mut operator = Operator::new(vec![job("a", every(3600), |_| {})]);
    operator.ask(add(job("cancel-42", once("12:30"), |_| {}), false));
    assert_eq!(operator.remembered()[0].added.as_deref(), Some("a text"));
    assert_eq!(operator.scheduler.status().jobs, 2);
    let again = operator.ask(add(job("cancel-42", once("12:40"), |_| {}), false));
    assert!(again[0].starts_with("refused exists"), "{again:?}");
    operator.ask(add(job("cancel-42", once("12:40"), |_| {}), true));
    assert_eq!(operator.at("12:30"), [""; 0]);
    assert_eq!(operator.at("12:40"), ["start cancel-42#1"]);
    operator.started(1);
    assert_eq!(operator.scheduler.status().jobs, 2);
    assert_eq!(operator.ended(1), ["cancel-42#1 succeeded, due 12:40:00", "gone cancel-42"]);
    assert_eq!(operator.scheduler.status().jobs, 1);
    let again = operator.ask(add(job("cancel-42", once("12:10"), |_| {}), false));
    assert!(again[0].starts_with("refused never"), "{again:?}");
    // Its place is used again, and the others are where they were.
    operator.ask(add(job("b", every(60), |_| {}), false));
    assert_eq!(operator.view("a").next, Some(at("13:00")));
    assert_eq!(operator.at("12:41").last().unwrap(), "start b#2");
}

#[test]
fn a_removed_job_is_gone() {
    let queue = |options: &mut Options| options.overlap = Overlap::Queue;
    let mut operator = Operator::new(vec![]);
    operator.ask(add(job("a", every(60), queue), false));
    operator.at("12:01");
    operator.started(1);
    operator.at("12:02");
    let removed = operator.ask(Operation::Remove { job: "a".into(), detail: None });
    assert_eq!(removed, ["a#2 skipped(removed), due 12:02:00", "gone a", "done"]);
    assert_eq!(operator.scheduler.next_wakeup().wall, None);
    // What runs goes on.
    assert_eq!(operator.ended(1), ["a#1 succeeded, due 12:01:00"]);
    operator.ask(add(job("a", every(60), |_| {}), false));
    assert_eq!(operator.at("12:03"), ["start a#3"]);
}

/// Else an added job would be gone: nothing is left to be done of it.
#[test]
fn a_job_is_not_rescheduled_to_never() {
    let mut operator = Operator::new(vec![]);
    operator.ask(add(job("a", every(60), |_| {}), false));
    let past = Trigger::Date(DateTrigger::At(at("11:00")));
    let overrides = Some("date = 2001-01-01".into());
    let never = job("a", past, |_| {}).into();
    let operation =
        Operation::Change { job: never, overrides, what: ChangeKind::Rescheduled, detail: None };
    assert_eq!(
        operator.ask(operation),
        ["refused never: `a` would never run: its date is in the past"]
    );
    assert!(!operator.view("a").overridden);
    assert_eq!(operator.at("12:01"), ["start a#1"]);
}

#[test]
fn another_definition_is_remembered() {
    let mut operator = Operator::new(vec![job("a", every(60), |_| {})]);
    let wide = job("a", every(60), |options| options.max_instances = 2);
    let overrides = Some("max_instances = 2".into());
    let operation =
        Operation::Change { job: wide.into(), overrides, what: ChangeKind::Modified, detail: None };
    operator.ask(operation);
    assert_eq!(operator.remembered()[0].overrides.as_deref(), Some("max_instances = 2"));
    assert!(operator.view("a").overridden);
    assert_eq!(operator.at("12:01"), ["start a#1"]);
    assert_eq!(operator.at("12:02"), ["start a#2"]);
    let seldom = job("a", every(3600), |_| {}).into();
    let operation =
        Operation::Change { job: seldom, overrides: None, what: ChangeKind::Reset, detail: None };
    operator.ask(operation);
    assert!(!operator.view("a").overridden);
    assert_eq!(operator.view("a").next, Some(at("13:02")));
    let changes: Vec<&Change> = operator
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Remember(Remember::Change(change)) => Some(change),
            _ => None,
        })
        .collect();
    assert!(changes.is_empty(), "only questions since");
}

#[test]
fn a_lost_claim_leaves_nothing_behind() {
    let queue = |options: &mut Options| options.overlap = Overlap::Queue;
    let mut operator = Operator::new(vec![job("a", every(60), queue)]);
    operator.at("12:01");
    operator.at("12:02");
    assert_eq!(operator.step(Event::ClaimLost(RunId(1))), ["start a#2"]);
    operator.started(2);
    // Too late to be taken back.
    assert_eq!(operator.step(Event::ClaimLost(RunId(2))), [""; 0]);
    assert_eq!(operator.ended(2), ["a#2 succeeded, due 12:02:00"]);
}

fn record(id: &str, trigger: &Trigger, anchor: &str, decided: &str) -> JobRecord {
    JobRecord {
        id: id.into(),
        anchor: at(anchor),
        decided: at(decided),
        trigger: trigger.fingerprint().into(),
        since: at(anchor),
        pause: None,
        resumed: false,
        added: None,
        overrides: None,
    }
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let forever = |options: &mut Options| options.misfire_grace_time = Grace::Forever;
    type Row<'a> = (Job, (&'a str, &'a str), &'a [&'a str], &'a str);
    let rows: &[Row<'_>] = &[
        // An interval keeps its grid, and what was missed is counted.
        (
            job("a", every(600), |_| {}),
            ("08:03", "10:53"),
            &["a missed(late by 3420s), due 11:03:00..11:53:00 (6 of them)"],
            "12:03",
        ),
        (
            job("a", every(600), forever),
            ("08:03", "11:33"),
            &["start a#5", "a coalesced, due 11:43:00"],
            "12:03",
        ),
        // A date that fell into the gap, too late and in time.
        (
            job("a", once("11:30"), |_| {}),
            ("08:00", "08:00"),
            &["a missed(late by 1800s), due 11:30:00"],
            "",
        ),
        (job("a", once("11:59:30"), |_| {}), ("08:00", "08:00"), &["start a#5"], ""),
        // One that is done stays done.
        (job("a", once("11:59:30"), |_| {}), ("08:00", "11:59:30"), &[], ""),
        // A clock that was years ahead does not silence a job.
        (job("a", every(600), |_| {}), ("08:03", "5d 08:03"), &[], "12:03"),
    ];
    for (job, (anchor, decided), expected, next) in rows {
        let jobs = vec![record("a", &job.trigger, anchor, decided)];
        let saved = SavedState { jobs, next_run: 5, ..SavedState::default() };
        let mut operator = Operator::with(vec![job.clone()], saved);
        let mut found = lines(&operator.actions);
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(found, expected, "{job:?}");
        let next = (!next.is_empty()).then(|| at(next));
        assert_eq!(operator.view("a").next, next, "{job:?}");
    }
}

#[test]
fn a_trigger_that_changed_meanwhile_begins_anew() {
    let before = every(60);
    let jobs = vec![record("a", &before, "08:00", "08:00"), record("b", &before, "08:00", "08:00")];
    let saved = SavedState { jobs, ..SavedState::default() };
    let mut operator = Operator::with(vec![job("a", every(600), |_| {})], saved);
    assert_eq!(lines(&operator.actions), ["gone b"]);
    assert_eq!(operator.remembered()[0].anchor, NOON);
    assert_eq!(operator.view("a").next, Some(at("12:10")));
}

#[test]
fn what_is_known_already_is_not_told_again() {
    let trigger = every(600);
    let jobs = vec![record("a", &trigger, "08:00", "11:50")];
    let operator = Operator::with(
        vec![job("a", trigger, |_| {})],
        SavedState { jobs, ..SavedState::default() },
    );
    assert!(operator.remembered().is_empty());
}

#[test]
fn survivors_count_and_are_watched() {
    let limited = |options: &mut Options| options.timeout = Some(secs(1200));
    let trigger = every(600);
    let survivor = |run, job: &str| Survivor {
        run: RunId(run),
        job: job.into(),
        due: at("11:50"),
        attempt: 1,
        started: at("11:50"),
    };
    let saved = SavedState {
        jobs: vec![record("a", &trigger, "08:00", "11:50")],
        survivors: vec![survivor(3, "a"), survivor(4, "gone")],
        next_run: 5,
        ..SavedState::default()
    };
    let mut operator = Operator::with(vec![job("a", trigger, limited)], saved);
    // The due time at noon finds it running.
    assert_eq!(lines(&operator.actions), ["a skipped(overlap), due 12:00:00"]);
    assert_eq!(operator.view("a").running, 1);
    assert_eq!(operator.at("12:09:59"), [""; 0]);
    assert_eq!(operator.at("12:10")[0], "term #3", "its timeout began when it did");
    let ended =
        operator.step(Event::Ended { run: RunId(3), exit: Exit::Unknown, usage: None, at: None });
    assert!(ended[0].starts_with("a#3 timed_out"), "{ended:?}");
    let ended =
        operator.step(Event::Ended { run: RunId(4), exit: Exit::Unknown, usage: None, at: None });
    assert!(ended[0].starts_with("gone#4 lost(it outlived"), "{ended:?}");
}

#[test]
fn what_had_not_begun_is_decided_again() {
    let trigger = every(600);
    let saved = SavedState {
        jobs: vec![record("a", &trigger, "08:00", "11:50")],
        undecided: vec![("a".into(), at("11:59:50")), ("b".into(), at("11:59:50"))],
        next_run: 5,
        ..SavedState::default()
    };
    let operator = Operator::with(vec![job("a", trigger, |_| {})], saved);
    // Together with what is due at noon.
    assert_eq!(lines(&operator.actions), ["a coalesced, due 11:59:50", "start a#5"]);
}

#[test]
fn a_pause_outlives_a_restart() {
    let trigger = every(600);
    let mut known = record("a", &trigger, "08:00", "10:05");
    known.pause = Some(schedrs::event::Pause {
        at: at("10:05"),
        until: None,
        by: "ann".into(),
        reason: None,
    });
    let saved = SavedState { jobs: vec![known], ..SavedState::default() };
    let mut operator = Operator::with(vec![job("a", trigger, |_| {})], saved);
    assert_eq!(lines(&operator.actions), [""; 0]);
    let resumed = operator.ask(resume(Some("a")));
    assert_eq!(resumed[0], "a skipped(paused), due 10:10:00..11:50:00 (11 of them)");
}

#[test]
fn the_list_comes_in_pages() {
    let mut seen = Vec::new();
    let jobs = (0..25).map(|n| job(&format!("j{n:02}"), every(60), |_| {})).collect();
    let mut operator = Operator::new(jobs);
    let mut from = Some(0);
    while let Some(at) = from {
        operator.ask(Operation::List { from: at, limit: 10 });
        let Some(Action::Answer { answer: Response::Jobs(page), .. }) = operator.actions.last()
        else {
            panic!("no answer");
        };
        assert_eq!(page.total, 25);
        assert!(page.jobs.len() <= 10);
        seen.extend(page.jobs.iter().map(|view| view.job.id.to_string()));
        from = page.more;
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted());
}
