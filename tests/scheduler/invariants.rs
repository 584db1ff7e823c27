//! What must hold whatever happens: random jobs under random events, compared with due times
//! found by looking at each second.
//!
//! * no due time without an outcome, none with two, also where jobs are paused for a while and where
//!   the scheduler is killed and another goes on with what it has had remembered;
//! * never more processes than slots, nor than `max_instances`;
//! * no due time fires twice, or early, wherever the clock goes;
//! * what is excluded is nothing else, and nothing else is excluded;
//! * what is missed was late, and what was not late is not missed;
//! * what was admitted gets its turn;
//! * what counts from the end of the last run is due once that long after it, never beside a run, and
//!   always again;
//! * what has conditions begins only when they were found to hold, for that very due time, also where they
//!   are answered in any order, wrongly, or never;
//! * what is due after another job has one fate for each due time of that;
//! * the end comes when nothing runs, once;
//! * the scheduler never asks to be woken at a time that has passed;
//! * the same events give the same actions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use schedrs::condition::{self, Conditions};
use schedrs::event::{
    Action, Admitted, Ended, Event, Exit, JobRecord, Operation, Pause, Process, Record, Remember,
    Response, RunId, Start,
};
use schedrs::instant::{Instant, Mono, Now};
use schedrs::job::{
    Coalesce, Command, Exclusion, Executor, Grace, Job, JobSet, Keep, Options, Overlap, Settings,
};
use schedrs::outcome::{MissReason, Outcome, SkipReason};
use schedrs::scheduler::after::{ENDED, JOINS, SavedChains};
use schedrs::scheduler::{SavedState, Scheduler, Survivor};
use schedrs::trigger::after::On;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::jitter::jitter;
use schedrs::trigger::{
    AfterTrigger, CronTrigger, DateTrigger, FromEndTrigger, IntervalTrigger, Trigger,
};
use schedrs::zone::Zone;

/// When every scenario starts, in seconds: 2026-01-01T12:00:00Z, a whole hour.
const START: i64 = 1_767_268_800;

/// What is said where a look is at fault.
const FAULT: &str = "the check is at fault";

fn second(offset: i64) -> Instant {
    Instant::from_secs(START + offset)
}

// --- What is generated ------------------------------------------------------------------------

/// A trigger whose due times are easily said, in seconds after the start.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Every(i64),
    Grid {
        every: i64,
        start: i64,
        end: Option<i64>,
    },
    Once(i64),
    Now,
    /// So many seconds after each run has ended.
    FromEnd(i64),
    /// After the first job, if that has succeeded.
    After,
    /// A cron schedule that is due whenever the number of seconds is a multiple.
    Cron(i64),
}

impl When {
    fn trigger(self) -> Trigger {
        let span = |secs| Duration::from_secs(secs as u64);
        match self {
            When::Every(secs) => Trigger::Interval(IntervalTrigger::new(span(secs), None, None)),
            When::Grid { every, start, end } => {
                let (start, end) = (second(start), end.map(second));
                Trigger::Interval(IntervalTrigger::new(span(every), Some(start), end))
            }
            When::Once(offset) => Trigger::Date(DateTrigger::At(second(offset))),
            When::Now => Trigger::Date(DateTrigger::Now),
            When::After => {
                let parents: [Box<str>; 1] = ["j0".into()];
                Trigger::After(Arc::new(AfterTrigger::new(parents, On::Succeeded, None)))
            }
            When::FromEnd(secs) => Trigger::FromEnd(FromEndTrigger::new(span(secs), None, None)),
            When::Cron(step) => {
                let expr = match step {
                    1..60 => format!("*/{step} * * * * *"),
                    _ => format!("*/{} * * * *", step / 60),
                };
                let schedule = match crontab::parse(&expr, "", &mut Vec::new()) {
                    Some(Crontab::Schedule(schedule)) => schedule,
                    other => unreachable!("{expr}: {other:?}"),
                };
                Trigger::Cron(Arc::new(CronTrigger::new([schedule], Zone::utc(), None, None)))
            }
        }
    }

    /// Whether a job that is there from the start is due at a second from then on.
    fn is_due(self, second: i64) -> bool {
        match self {
            When::Every(every) => second > 0 && second % every == 0,
            When::Grid { every, start, end } => {
                second >= start && (second - start) % every == 0 && end.is_none_or(|e| second <= e)
            }
            When::Once(at) => second == at,
            When::Now => second == 0,
            // Nobody knows without the runs.
            When::FromEnd(_) | When::After => false,
            When::Cron(step) => second % step == 0,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Plan {
    when: When,
    executor: u16,
    options: Options,
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Op {
    /// Milliseconds pass, and the scheduler is woken.
    Pass(u64),
    /// Time passes until the scheduler wants to be woken.
    ToWakeup,
    /// The wall clock is set by so many seconds; whether anyone says so.
    SetClock(i64, bool),
    /// An attempt that was asked for is answered.
    Answer(usize, Answer),
    /// A look at conditions is answered: one that was asked for, or one that was not.
    Look(usize, Look),
    NonsenseLook(u64, u32),
    /// A process ends.
    End(usize, Exit),
    /// Something is told about a run that may not even exist.
    Nonsense(u64, Answer),
    Reload(usize, Change),
    Status,
    /// A job, or all of them, are paused: for so many seconds, or until they are resumed.
    Pause(Option<usize>, Option<i64>),
    Resume(Option<usize>),
    /// The runs of a job are stopped.
    StopJob(usize),
    /// The scheduler is killed, and another goes on.
    Crash,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Started,
    NotStarted,
    Short,
    Ended,
    Hangs,
}

#[derive(Clone, Copy, Debug)]
enum Look {
    Holds,
    DoesNotHold,
    Fault,
    /// The answer is lost.
    Never,
}

#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Reverse,
    Remove,
    Add(Box<Plan>),
    /// Everything but trigger and jitter.
    Options(Box<Plan>),
    Trigger(When),
    Pause,
    Workers(u32, u32),
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        3 => (3i64..100).prop_map(When::Every),
        2 => (3i64..100, -200i64..200, proptest::option::of(0i64..2000))
            .prop_map(|(every, start, end)| When::Grid { every, start, end }),
        1 => (-5i64..500).prop_map(When::Once),
        1 => Just(When::Now),
        2 => (3i64..100).prop_map(When::FromEnd),
        2 => Just(When::After),
        2 => prop_oneof![Just(10i64), Just(30), Just(60), Just(120), Just(600)]
            .prop_map(When::Cron),
    ]
}

fn span(max: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![2 => Just(0), 3 => 0..max].prop_map(Duration::from_secs)
}

/// Every scenario begins at noon.
fn excluded() -> impl Strategy<Value = Exclusion> {
    let windows = ["12:01..12:02", "12:00..12:05", "12:04..12:20", "thu 12:10..thu 12:11"];
    let some = || proptest::sample::subsequence(windows.to_vec(), 0..3);
    prop_oneof![
        3 => Just(Exclusion::default()),
        1 => (some(), some())
            .prop_map(|(except, only)| Exclusion::of_windows(&except, &only).unwrap()),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let times = (
        when(),
        prop_oneof![3 => Just(Duration::ZERO).boxed(), 2 => span(60).boxed()],
        prop_oneof![
            3 => span(200).prop_map(Grace::Limited),
            1 => Just(Grace::Forever),
        ],
        prop_oneof![Just(Coalesce::Latest), Just(Coalesce::Earliest), Just(Coalesce::All)],
        (any::<(bool, u8)>(), excluded(), proptest::option::weighted(0.3, span(60))),
    );
    let runs = (
        prop_oneof![Just(Overlap::Skip), Just(Overlap::Queue), Just(Overlap::Replace)],
        1u32..4,
        proptest::option::of(span(60)),
        proptest::option::of(span(60)),
        span(20),
        0u32..3,
        span(40),
        0u16..2,
    );
    (times, runs).prop_map(|(times, runs)| {
        let (when, jitter, misfire_grace_time, coalesce, rest) = times;
        let ((run_on_start, pause), excluded, waits) = rest;
        let (overlap, max_instances, max_wait, timeout, kill_after, retries, delay, executor) =
            runs;
        let options = Options {
            excluded,
            only_if: waits
                .map(|_| Arc::new(Conditions { load_below: Some(1.0), ..Conditions::default() })),
            wait_for: waits.unwrap_or_default(),
            jitter,
            misfire_grace_time,
            coalesce,
            run_on_start,
            paused: pause < 16,
            overlap,
            max_instances,
            max_wait,
            timeout,
            kill_after,
            retries,
            retry_delay: delay,
            ..Options::default()
        };
        Plan { when, executor, options }
    })
}

fn exit() -> impl Strategy<Value = Exit> {
    prop_oneof![Just(Exit::Code(0)), Just(Exit::Code(1)), Just(Exit::Signal(9))]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        6 => Just(Answer::Started),
        1 => Just(Answer::NotStarted),
        1 => Just(Answer::Short),
        2 => Just(Answer::Hangs),
        1 => Just(Answer::Ended),
    ]
}

fn look() -> impl Strategy<Value = Look> {
    prop_oneof![
        6 => Just(Look::Holds),
        4 => Just(Look::DoesNotHold),
        1 => Just(Look::Fault),
        1 => Just(Look::Never),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let change = prop_oneof![
        Just(Change::Nothing),
        Just(Change::Reverse),
        Just(Change::Remove),
        plan().prop_map(|plan| Change::Add(Box::new(plan))),
        plan().prop_map(|plan| Change::Options(Box::new(plan))),
        when().prop_map(Change::Trigger),
        Just(Change::Pause),
        (1u32..4, 1u32..4).prop_map(|(a, b)| Change::Workers(a, b)),
    ];
    prop_oneof![
        6 => (0u64..40_000).prop_map(Op::Pass),
        12 => Just(Op::ToWakeup),
        1 => (-400i64..400, any::<bool>()).prop_map(|(by, told)| Op::SetClock(by, told)),
        10 => (any::<usize>(), answer()).prop_map(|(index, answer)| Op::Answer(index, answer)),
        10 => (any::<usize>(), look()).prop_map(|(index, look)| Op::Look(index, look)),
        1 => (0u64..30, 0u32..4).prop_map(|(run, number)| Op::NonsenseLook(run, number)),
        8 => (any::<usize>(), exit()).prop_map(|(index, exit)| Op::End(index, exit)),
        1 => (0u64..30, answer()).prop_map(|(run, answer)| Op::Nonsense(run, answer)),
        1 => (any::<usize>(), change).prop_map(|(index, change)| Op::Reload(index, change)),
        1 => Just(Op::Status),
        1 => (proptest::option::of(any::<usize>()), proptest::option::of(1i64..400))
            .prop_map(|(index, until)| Op::Pause(index, until)),
        2 => proptest::option::of(any::<usize>()).prop_map(Op::Resume),
        1 => any::<usize>().prop_map(Op::StopJob),
        1 => Just(Op::Crash),
    ]
}

#[derive(Clone, Debug)]
struct Scenario {
    jobs: Vec<Plan>,
    workers: [u32; 2],
    ops: Vec<Op>,
    /// Whether the second signal comes before the processes have ended.
    impatient: bool,
    /// Whether there is time for everything that was admitted before the stop.
    calm: bool,
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let jobs = proptest::collection::vec(plan(), 1..5);
    let ops = proptest::collection::vec(op(), 0..120);
    (jobs, [1u32..4, 1u32..4], ops, any::<bool>(), any::<bool>()).prop_map(
        |(jobs, workers, ops, impatient, calm)| Scenario { jobs, workers, ops, impatient, calm },
    )
}

// --- The world --------------------------------------------------------------------------------

/// An attempt that the scheduler has asked for and whose end it has not been told.
#[derive(Debug)]
struct Attempt {
    run: RunId,
    job: String,
    executor: u16,
    alive: bool,
    /// The machine was too short of something to start it: it keeps its slot.
    postponed: bool,
    /// Its start hangs.
    hangs: bool,
    /// The scheduler has given up its start.
    given_up: bool,
}

/// What is known of a job over its whole life.
#[derive(Debug)]
struct Biography {
    when: When,
    /// Loaded from the start, always with the same trigger, never paused: every one of its due
    /// times must be decided.
    complete: bool,
    /// Its trigger became a date: a person wants it to run then, though it may have before.
    redated: bool,
    /// It has always counted from the end of its last run, by so many seconds.
    from_end: Option<i64>,
    /// It has been there from the start, with the same trigger.
    steady: bool,
    /// When the last of its runs has ended.
    ended: Option<Instant>,
    /// The most instances it was ever allowed.
    max_instances: u32,
    records: Vec<Record>,
    fired: BTreeMap<Instant, RunId>,
}

/// A store, as far as a scheduler that goes on needs one.
#[derive(Debug, Default)]
struct Book {
    jobs: BTreeMap<Box<str>, JobRecord>,
    all_paused: Option<Pause>,
    /// Runs that are not over, with the number of their last attempt.
    open: BTreeMap<RunId, (Admitted, u32)>,
    /// The lists that the scheduler keeps.
    entries: BTreeMap<(&'static str, Box<str>), Box<str>>,
    /// Those of an earlier scheduler that never began.
    undecided: BTreeSet<RunId>,
    next_run: u64,
}

impl Book {
    /// A run that never began is forgotten when its due time is decided again, and not before.
    fn withdraw(&mut self, job: &str, due: Instant, last_due: Instant) {
        self.open.retain(|_, (admitted, attempt)| {
            !self.undecided.contains(&admitted.run)
                || *attempt > 0
                || *admitted.job.id != *job
                || !(due..=last_due).contains(&admitted.due)
        });
    }

    fn note(&mut self, action: &Action) {
        let (job, last_due) = match action {
            Action::Remember(Remember::Admitted(admitted)) => {
                self.next_run = admitted.run.0 + 1;
                self.withdraw(&admitted.job.id, admitted.due, admitted.due);
                self.open.insert(admitted.run, (admitted.clone(), 0));
                (&admitted.job.id, admitted.due)
            }
            Action::Remember(Remember::Job(record)) => {
                self.jobs.insert(record.id.clone(), (**record).clone());
                return;
            }
            Action::Remember(Remember::Gone(id)) => {
                self.jobs.remove(id);
                return;
            }
            Action::Remember(Remember::AllPaused(pause)) => {
                self.all_paused = pause.clone();
                return;
            }
            Action::Remember(Remember::Entry { list, key, value }) => {
                match value {
                    Some(value) => self.entries.insert((list, key.clone()), value.clone()),
                    None => self.entries.remove(&(list, key.clone())),
                };
                return;
            }
            Action::Start(start) => {
                self.open.get_mut(&start.run).unwrap().1 = start.attempt;
                return;
            }
            Action::Record(record) => {
                if let Some(run) = record.run {
                    self.open.remove(&run).expect("the run was not remembered");
                    return;
                }
                self.withdraw(&record.job.id, record.due, record.last_due);
                (&record.job.id, record.last_due)
            }
            _ => return,
        };
        if let Some(record) = self.jobs.get_mut(job) {
            record.decided = record.decided.max(last_due);
        }
    }
}

struct World {
    scheduler: Scheduler,
    book: Book,
    now: Now,
    jobs: Vec<(String, Plan)>,
    workers: [u32; 2],
    /// The latest the wall clock has been at a step that may fire.
    furthest: Instant,
    attempts: Vec<Attempt>,
    /// Looks at conditions that were asked for and not answered.
    looks: Vec<(RunId, u32)>,
    /// Looks whose answer never comes.
    unanswered: Vec<(RunId, u32)>,
    /// Runs whose conditions were found to hold.
    held: BTreeSet<RunId>,
    /// Attempts of runs by number: a further one begins after the one before has ended.
    attempt_of: BTreeMap<RunId, u32>,
    recorded: BTreeSet<RunId>,
    lives: BTreeMap<String, Biography>,
    stopping: bool,
    over: bool,
    all: Vec<Action>,
}

fn set(jobs: &[(String, Plan)], workers: [u32; 2]) -> JobSet {
    let job = |(id, plan): &(String, Plan)| {
        Arc::new(Job {
            id: id.as_str().into(),
            name: None,
            command: Command::Shell("true".into()),
            trigger: plan.when.trigger(),
            zone: Zone::utc(),
            executor: plan.executor,
            options: Arc::new(plan.options.clone()),
        })
    };
    let executor = |name: &str, max_workers| Executor::new(name, max_workers);
    JobSet {
        settings: Settings {
            zone: Zone::utc(),
            stop_grace: Duration::from_secs(20),
            reload_auto: false,
            store_url: None,
            keep: Keep::default(),
            fleet: Default::default(),
            elsewhere: [].into(),
            routes: [].into(),
            calendars: [].into(),
            heartbeat: None,
            web: Default::default(),
        },
        executors: vec![executor("default", workers[0]), executor("other", workers[1])],
        jobs: jobs.iter().map(job).collect(),
    }
}

impl World {
    fn new(scenario: &Scenario) -> World {
        let named = scenario.jobs.iter().enumerate();
        let jobs: Vec<_> = named.map(|(index, plan)| (format!("j{index}"), plan.clone())).collect();
        let now = Now { wall: second(0), mono: Mono::from_micros(5_000_000) };
        let mut world = World {
            scheduler: Scheduler::restored(
                now,
                set(&jobs, scenario.workers),
                SavedState::default(),
            ),
            book: Book::default(),
            now,
            jobs: Vec::new(),
            workers: scenario.workers,
            furthest: Instant::MIN,
            attempts: Vec::new(),
            looks: Vec::new(),
            unanswered: Vec::new(),
            held: BTreeSet::new(),
            attempt_of: BTreeMap::new(),
            recorded: BTreeSet::new(),
            lives: BTreeMap::new(),
            stopping: false,
            over: false,
            all: Vec::new(),
        };
        for (id, plan) in &jobs {
            world.register(id, plan, true);
        }
        world.jobs = jobs;
        world.step(Event::Woke);
        world
    }

    fn register(&mut self, id: &str, plan: &Plan, from_start: bool) {
        let life = Biography {
            when: plan.when,
            complete: from_start
                && !plan.options.paused
                && !matches!(plan.when, When::FromEnd(_) | When::After),
            from_end: match plan.when {
                When::FromEnd(secs) if !plan.options.run_on_start => Some(secs),
                _ => None,
            },
            steady: from_start,
            ended: None,
            redated: false,
            max_instances: plan.options.max_instances,
            records: Vec::new(),
            fired: BTreeMap::new(),
        };
        self.lives.insert(id.to_owned(), life);
    }

    fn pass(&mut self, span: Duration) {
        self.now = Now { wall: self.now.wall.plus(span), mono: self.now.mono.plus(span) };
    }

    fn step(&mut self, event: Event) {
        assert!(!self.over);
        self.stopping |= matches!(event, Event::Stop);
        if !self.stopping {
            self.furthest = self.furthest.max(self.now.wall);
        }
        let mut actions = Vec::new();
        self.scheduler.step(self.now, event, &mut actions);
        for action in &actions {
            self.book.note(action);
            self.check(action);
        }
        self.all.append(&mut actions);
        let wakeup = self.scheduler.next_wakeup();
        assert!(wakeup.wall.is_none_or(|wall| wall > self.now.wall), "{wakeup:?}");
        assert!(wakeup.mono.is_none_or(|mono| mono > self.now.mono), "{wakeup:?}");
    }

    fn attempt(&mut self, run: RunId) -> Option<&mut Attempt> {
        self.attempts.iter_mut().find(|attempt| attempt.run == run)
    }

    fn check(&mut self, action: &Action) {
        assert!(!self.over, "{action:?} after the end");
        match action {
            Action::Start(start) => self.check_start(start),
            Action::Terminate(run) | Action::Kill(run) => {
                let attempt = self.attempt(*run).expect("it has an attempt");
                let gives_up = matches!(action, Action::Kill(_)) && attempt.hangs;
                assert!(attempt.alive || gives_up && !attempt.given_up, "{action:?}: no process");
                attempt.given_up = !attempt.alive;
            }
            Action::Record(record) => self.check_record(record),
            Action::Check(check) => {
                assert!(!self.stopping, "a look while stopping");
                assert!(check.job.options.only_if.is_some(), "{check:?}");
                assert!(!self.recorded.contains(&check.run), "a look after the record");
                self.looks.push((check.run, check.number));
            }
            Action::Notice(_) | Action::Remember(_) | Action::Answer { .. } => {}
            Action::Exit => {
                assert!(self.stopping && self.attempts.is_empty());
                self.over = true;
            }
        }
    }

    fn check_start(&mut self, start: &Start) {
        assert!(!self.stopping, "a start while stopping");
        assert!(!self.recorded.contains(&start.run), "a start after the record");
        let before = self.attempt_of.insert(start.run, start.attempt).unwrap_or(0);
        if let Some(attempt) = self.attempt(start.run) {
            assert!(attempt.postponed && before == start.attempt, "two attempts at once");
            (attempt.postponed, attempt.hangs) = (false, false);
            return;
        }
        assert_eq!(start.attempt, before + 1);
        let holds = start.job.options.only_if.is_none() || self.held.contains(&start.run);
        assert!(holds || start.attempt > 1, "{start:?}: nobody knows whether its conditions hold");
        let (job, executor) = (start.job.id.to_string(), start.job.executor);
        let (run, alive, postponed) = (start.run, false, false);
        let (hangs, given_up) = (false, false);
        self.attempts.push(Attempt { run, job, executor, alive, postponed, hangs, given_up });

        let id = &*start.job.id;
        let in_pool = self.attempts.iter().filter(|attempt| attempt.executor == executor).count();
        assert!(in_pool <= self.workers[usize::from(executor)] as usize, "too few slots");
        self.check_from_end(start);
        let of_job = self.attempts.iter().filter(|attempt| attempt.job == id).count();
        let first_redated = self.lives.get("j0").is_some_and(|life| life.redated);
        let life = self.lives.get_mut(id).unwrap();
        assert!(of_job <= life.max_instances as usize, "too many instances");
        if let Some(run) = life.fired.insert(start.due, start.run)
            && run != start.run
        {
            // So has what is due after one that is; and that an extra run at an earlier start has had the
            // due time of a run before, a store knows.
            let may = first_redated || start.job.options.run_on_start || !life.steady;
            let redated = life.redated || matches!(start.job.trigger, Trigger::After(_)) && may;
            assert!(redated, "{id} fired twice for {}", start.due);
        }
        let fire = start.due.plus(jitter(id, start.due, start.job.options.jitter));
        assert!(fire <= self.furthest, "{id} fired early");
    }

    /// What counts from the end of the last run is alone, and that long after it.
    fn check_from_end(&self, start: &Start) {
        let life = &self.lives[&*start.job.id];
        let Some(wait) = life.from_end.filter(|_| start.attempt == 1) else { return };
        let of_job = self.attempts.iter().filter(|attempt| *attempt.job == *start.job.id).count();
        assert_eq!(of_job, 1, "beside another");
        if let Some(ended) = life.ended {
            let earliest = ended.plus(Duration::from_secs(wait as u64));
            assert!(start.due >= earliest, "due {} after an end at {ended}", start.due);
        }
    }

    /// What counts from the end of the last run always goes on.
    fn check_goes_on(&mut self) {
        for (id, plan) in self.jobs.clone() {
            if plan.options.paused || !matches!(plan.when, When::FromEnd(_)) {
                continue;
            }
            self.ask(Operation::Show { job: id.as_str().into() });
            let shown = self.all.iter().rev().find_map(|action| match action {
                Action::Answer { answer: Response::Job { job, .. }, .. } => Some(&job.view),
                _ => None,
            });
            let view = shown.expect("an answer");
            let goes_on = view.next.is_some() || view.running + view.waiting > 0;
            assert!(goes_on, "{view:?}");
            assert_eq!(view.next.is_none(), view.awaits.is_some(), "{view:?}");
        }
    }

    fn check_record(&mut self, record: &Record) {
        if let Some(run) = record.run {
            assert!(self.recorded.insert(run), "{run} recorded twice");
            self.attempts.retain(|attempt| attempt.run != run || !attempt.postponed);
            assert!(self.attempt(run).is_none(), "{run} recorded while it runs");
            assert_eq!(record.attempts, self.attempt_of.get(&run).copied().unwrap_or(0));
            assert_eq!(record.count, 1);
            let never_began = match &record.outcome {
                Outcome::Skipped(_) | Outcome::Missed(_) => true,
                Outcome::NotStarted(reason) => reason == FAULT,
                _ => false,
            };
            assert_eq!(record.attempts == 0, never_began, "{record:?}");
        } else {
            assert_eq!((record.attempts, record.started), (0, None));
        }
        assert!(record.due <= record.last_due);
        if !self.lives[&*record.job.id].redated {
            assert_eq!(record.count == 1, record.due == record.last_due, "{record:?}");
        }

        let options = &record.job.options;
        // What has waited for its conditions when the scheduler was killed is not late by that.
        let waited = match record.outcome {
            Outcome::Coalesced | Outcome::Skipped(_) => options.wait_for,
            _ => Duration::ZERO,
        };
        let late = |due: Instant| {
            let fire = due.plus(jitter(&record.job.id, due, options.jitter));
            self.now.wall.since(fire)
        };
        let too_late = |due| match options.misfire_grace_time {
            Grace::Limited(grace) => late(due) > grace.saturating_add(waited),
            Grace::Forever => false,
        };
        let is_excluded = |due: Instant| record.job.excluded(due).is_some();
        match (&record.outcome, record.run) {
            (Outcome::Skipped(SkipReason::Excluded(by)), None) => {
                assert!(is_excluded(record.due) && is_excluded(record.last_due), "{record:?}");
                assert_eq!(record.job.excluded(record.due).as_deref(), Some(by.text()));
            }
            // One that is not reached because of a pause may be excluded, too.
            (
                Outcome::Missed(_) | Outcome::Coalesced | Outcome::Skipped(SkipReason::Overlap),
                None,
            ) => {
                assert!(!is_excluded(record.due) && !is_excluded(record.last_due), "{record:?}");
            }
            _ => {}
        }
        let is_chain = matches!(record.job.trigger, Trigger::After(_));
        match (&record.outcome, record.run) {
            (Outcome::Skipped(SkipReason::Excluded(_)), None) => {}
            // These count from when the parent has ended.
            (Outcome::Missed(MissReason::Late(_)), None) if is_chain => {}
            (Outcome::Coalesced | Outcome::Skipped(_), None) if is_chain => {}
            (Outcome::Missed(MissReason::Late(by)), None) => {
                assert!(too_late(record.due) && too_late(record.last_due), "{record:?}");
                assert_eq!(*by, late(record.due));
            }
            (Outcome::Missed(MissReason::Waited(by)), Some(_)) => {
                assert!(Some(*by) >= options.max_wait, "{record:?}");
            }
            (Outcome::Coalesced | Outcome::Skipped(SkipReason::Overlap), None) => {
                assert!(!too_late(record.due) && !too_late(record.last_due), "{record:?}");
            }
            (Outcome::Skipped(SkipReason::Removed | SkipReason::Paused), None) => {}
            (Outcome::Skipped(_), Some(_)) => {}
            (Outcome::NotStarted(reason), Some(_)) if reason == FAULT => {}
            (outcome, run) => assert!(run.is_some() && record.attempts > 0, "{outcome:?}"),
        }
        let life = self.lives.get_mut(&*record.job.id).unwrap();
        if record.run.is_some() && record.attempts > 0 {
            life.ended = Some(self.now.wall);
        }
        life.records.push(record.clone());
    }

    fn end(&mut self, index: usize, exit: Exit) {
        let alive: Vec<RunId> =
            self.attempts.iter().filter(|attempt| attempt.alive).map(|a| a.run).collect();
        if let Some(&run) = alive.get(index % alive.len().max(1)) {
            self.attempts.retain(|attempt| attempt.run != run);
            self.step(Event::Ended { run, exit, usage: None, at: None });
        }
    }

    fn look(&mut self, index: usize, look: Look) {
        if self.looks.is_empty() {
            return;
        }
        let (run, number) = self.looks.remove(index % self.looks.len());
        let answer = match look {
            Look::Holds => condition::Answer::Hold,
            Look::DoesNotHold => condition::Answer::DoNotHold("no".into()),
            Look::Fault => condition::Answer::Fault(FAULT.into()),
            Look::Never => {
                self.unanswered.push((run, number));
                return;
            }
        };
        if answer == condition::Answer::Hold {
            self.held.insert(run);
        }
        self.step(Event::Checked { run, number, answer });
    }

    fn answer(&mut self, run: RunId, answer: Answer) {
        let reason = "no".to_owned();
        let asked = self.attempt(run).is_some_and(|attempt| !attempt.alive && !attempt.postponed);
        let event = match answer {
            Answer::Started => {
                let process = Process { pid: 1, start: 0 };
                Event::Started { run, process, at: self.now, taken: self.now.mono }
            }
            Answer::NotStarted => Event::NotStarted { run, reason, transient: false },
            Answer::Short => Event::NotStarted { run, reason, transient: true },
            Answer::Hangs => Event::StartHangs { run, taken: self.now.mono },
            Answer::Ended => Event::Ended { run, exit: Exit::Code(0), usage: None, at: None },
        };
        let given_up = self.attempt(run).is_some_and(|attempt| attempt.given_up);
        if asked {
            match answer {
                Answer::Started => self.attempt(run).unwrap().alive = true,
                Answer::Short if !given_up => self.attempt(run).unwrap().postponed = true,
                Answer::Hangs => self.attempt(run).unwrap().hangs = true,
                Answer::Short | Answer::NotStarted | Answer::Ended => {
                    self.attempts.retain(|attempt| attempt.run != run)
                }
            }
        }
        self.step(event);
    }

    fn reload(&mut self, index: usize, change: &Change) {
        let index = index % self.jobs.len().max(1);
        let some = self.jobs.get_mut(index);
        match (change, some) {
            (Change::Nothing, _) => {}
            (Change::Reverse, _) => self.jobs.reverse(),
            (Change::Workers(a, b), _) => self.workers = [*a, *b],
            (Change::Add(plan), _) => {
                let id = format!("j{}", self.lives.len());
                self.register(&id, plan, false);
                self.jobs.push((id, (**plan).clone()));
            }
            (_, None) => {}
            (Change::Remove, Some(_)) => {
                let (id, _) = self.jobs.remove(index);
                let life = self.lives.get_mut(&id).unwrap();
                (life.complete, life.steady) = (false, false);
            }
            (Change::Options(other), Some((id, plan))) => {
                let Options { jitter, paused, run_on_start, .. } = plan.options;
                plan.options = Options { jitter, paused, run_on_start, ..other.options.clone() };
                plan.executor = other.executor;
                let life = self.lives.get_mut(id).unwrap();
                life.max_instances = life.max_instances.max(plan.options.max_instances);
            }
            (Change::Trigger(when), Some((id, plan))) => {
                let life = self.lives.get_mut(id).unwrap();
                if plan.when != *when {
                    (life.complete, life.steady) = (false, false);
                    life.from_end = None;
                    life.redated |= matches!(when, When::Once(_) | When::Now);
                }
                plan.when = *when;
            }
            (Change::Pause, Some((id, plan))) => {
                let life = self.lives.get_mut(id).unwrap();
                (life.complete, life.steady) = (false, false);
                plan.options.paused = !plan.options.paused;
            }
        }
        // The new limits count from within this very step.
        let set = set(&self.jobs, self.workers);
        self.step(Event::Reload(Box::new(set)));
    }

    fn perform(&mut self, op: &Op) {
        match op {
            Op::Pass(millis) => {
                self.pass(Duration::from_millis(*millis));
                self.step(Event::Woke);
            }
            Op::ToWakeup => {
                let wakeup = self.scheduler.next_wakeup();
                let wall = wakeup.wall.map(|wall| wall.since(self.now.wall));
                let mono = wakeup.mono.map(|mono| mono.since(self.now.mono));
                let span = wall.into_iter().chain(mono).min().unwrap_or(Duration::from_secs(5));
                // One look at each fire of a year in one scenario would take too long.
                self.pass(span.min(Duration::from_secs(900)));
                self.step(Event::Woke);
            }
            Op::SetClock(by, told) => {
                let to = self.now.wall.micros() + by * 1_000_000;
                self.now.wall = Instant::from_micros(to);
                self.step(if *told { Event::ClockSet } else { Event::Woke });
            }
            Op::Answer(index, answer) => {
                let asked: Vec<RunId> = self
                    .attempts
                    .iter()
                    .filter(|a| !a.alive && !a.postponed)
                    .map(|a| a.run)
                    .collect();
                if let Some(&run) = asked.get(index % asked.len().max(1)) {
                    self.answer(run, *answer);
                }
            }
            Op::Look(index, look) => self.look(*index, *look),
            Op::NonsenseLook(run, number) => {
                let (run, number) = (RunId(*run), *number);
                // What nobody has answered yet would be an answer.
                let mut awaited = self.looks.iter().chain(&self.unanswered);
                if awaited.all(|it| *it != (run, number)) {
                    let answer = condition::Answer::Hold;
                    self.step(Event::Checked { run, number, answer });
                }
            }
            Op::End(index, exit) => self.end(*index, *exit),
            Op::Nonsense(run, answer) => {
                let run = RunId(*run);
                if self.attempt(run).is_none() {
                    self.answer(run, *answer);
                }
            }
            Op::Reload(index, change) => self.reload(*index, change),
            Op::Status => self.step(Event::ReportStatus),
            Op::Pause(index, until) => {
                let job = index.and_then(|index| self.pick(index));
                let until = until.map(|secs| self.now.wall.plus(Duration::from_secs(secs as u64)));
                for (id, plan) in &self.jobs {
                    // What waits for its jitter to pass is skipped, too, before it would fire.
                    let life = self.lives.get_mut(id).unwrap();
                    life.complete &= plan.options.jitter.is_zero();
                }
                self.ask(Operation::Pause { job, until, reason: None });
            }
            Op::Resume(index) => {
                let job = index.and_then(|index| self.pick(index));
                if let Some(id) = &job
                    && self.jobs.iter().any(|(job, plan)| **job == **id && plan.options.paused)
                {
                    return;
                }
                self.ask(Operation::Resume { job });
            }
            Op::StopJob(index) => {
                if let Some(job) = self.pick(*index) {
                    self.ask(Operation::StopJob { job });
                }
            }
            Op::Crash => self.crash(),
        }
    }

    fn pick(&self, index: usize) -> Option<Box<str>> {
        let (id, _) = self.jobs.get(index % self.jobs.len().max(1))?;
        Some(id.as_str().into())
    }

    fn ask(&mut self, operation: Operation) {
        self.step(Event::Operation { ticket: 1, by: "ann".into(), operation: Box::new(operation) });
        let answered = self.all.iter().rev().find(|a| matches!(a, Action::Answer { .. }));
        assert!(answered.is_some());
    }

    /// The scheduler is gone, and what it has had remembered is all that the next one knows.
    /// Processes go on; attempts that no host answered come to nothing.
    fn crash(&mut self) {
        let jittered = self.jobs.iter().any(|(_, plan)| !plan.options.jitter.is_zero());
        // Who waits for its jitter is told by the fates that are missing, which are not in the
        // book. And a clock that was set back makes due times come again, whose claims are lost.
        if jittered || self.now.wall < self.furthest {
            return;
        }
        // No two starts at one moment: what is due "now" would be due twice.
        self.pass(Duration::from_millis(1));
        let mut saved = SavedState {
            jobs: self.book.jobs.values().cloned().collect(),
            all_paused: self.book.all_paused.clone(),
            next_run: self.book.next_run,
            ..SavedState::default()
        };
        let of = |list| {
            let entries = self.book.entries.iter().filter(move |((of, _), _)| *of == list);
            entries.map(|((_, key), value)| (key.clone(), value.clone()))
        };
        saved.chains = SavedChains::read(of(ENDED), of(JOINS));
        self.attempts.retain(|attempt| attempt.alive);
        self.looks.clear();
        self.unanswered.clear();
        let open = std::mem::take(&mut self.book.open);
        for (run, (admitted, attempt)) in open {
            let job = admitted.job.id.clone();
            let (due, alive) = (admitted.due, self.attempt(run).is_some());
            if attempt == 0 {
                saved.undecided.push((job, due));
                self.book.undecided.insert(run);
                self.book.open.insert(run, (admitted, attempt));
            } else if alive {
                let started = self.now.wall;
                saved.survivors.push(Survivor { run, job, due, attempt, started });
                self.book.open.insert(run, (admitted, attempt));
            } else {
                // Its fate is known: lost, or that of its last attempt.
                self.recorded.insert(run);
                let record = Record {
                    job: admitted.job,
                    due,
                    last_due: due,
                    count: 1,
                    run: Some(run),
                    outcome: Outcome::Lost(String::new()),
                    started: None,
                    duration: Duration::ZERO,
                    attempts: attempt,
                    usage: None,
                };
                saved.chains.ended.push(Ended {
                    job: record.job.id.clone(),
                    due,
                    last_due: due,
                    count: 1,
                    outcome: record.outcome.clone(),
                    at: self.now.wall,
                    run: record.run,
                });
                self.lives.get_mut(&*record.job.id).unwrap().records.push(record);
            }
        }
        for (id, plan) in &self.jobs {
            // A start is what those are about, and this is one more.
            let life = self.lives.get_mut(id).unwrap();
            life.complete &= !plan.options.run_on_start && plan.when != When::Now;
        }
        let gone: Vec<Box<str>> = saved.survivors.iter().map(|one| one.job.clone()).collect();
        for id in gone {
            // A run goes on in the executor its job has now, which may be another.
            let executor = self.jobs.iter().find(|(job, _)| **job == *id);
            let executor = executor.map_or(0, |(_, plan)| plan.executor);
            for attempt in self.attempts.iter_mut().filter(|attempt| *attempt.job == *id) {
                attempt.executor = executor;
            }
        }
        self.scheduler = Scheduler::restored(self.now, set(&self.jobs, self.workers), saved);
        self.step(Event::Woke);
    }

    /// With the wall clock a day back nothing more is due: whatever has been admitted must run to
    /// its end by itself.
    fn calm_down(&mut self) {
        self.now.wall = self.now.wall.minus(Duration::from_secs(86_400));
        self.step(Event::ClockSet);
        for _ in 0..100_000 {
            let status = self.scheduler.status();
            assert_eq!(status.jobs, self.jobs.len());
            if (status.running, status.waiting) == (0, 0) {
                assert!(self.attempts.is_empty());
                return;
            }
            if let Some(attempt) = self.attempts.iter().find(|attempt| !attempt.postponed) {
                if attempt.alive {
                    self.end(0, Exit::Code(0))
                } else {
                    self.answer(attempt.run, Answer::Started)
                }
                continue;
            }
            let wakeup = self.scheduler.next_wakeup().mono.expect("waiting for nothing");
            self.pass(wakeup.since(self.now.mono));
            self.step(Event::Woke);
        }
        panic!("it does not calm down");
    }

    /// Stops, and goes on until the end.
    fn finish(&mut self, impatient: bool) {
        self.step(Event::Stop);
        if impatient && !self.over {
            self.step(Event::Stop);
        }
        for _ in 0..1000 {
            if self.over {
                return;
            }
            match self.attempts.first() {
                Some(attempt) if !attempt.alive => {
                    let run = attempt.run;
                    // Too late for another try: it must not be asked for.
                    let short = run.0.is_multiple_of(3);
                    self.answer(run, if short { Answer::Short } else { Answer::Started });
                }
                Some(_) => self.end(0, Exit::Code(1)),
                None => panic!("nothing runs and it does not end"),
            }
        }
        panic!("it does not end");
    }

    /// Each due time of the first job has one fate with each job that is due after it. A job that is
    /// loaded but paused has none, and neither has one that comes and goes.
    fn check_chains(&self, scenario: &Scenario) {
        let Some(parent) = self.lives.get("j0").filter(|life| life.steady) else { return };
        if parent.redated || matches!(parent.when, When::After) {
            return;
        }
        for (index, plan) in scenario.jobs.iter().enumerate().skip(1) {
            let life = &self.lives[&format!("j{index}")];
            let is_chain = life.when == When::After && life.steady && !plan.options.paused;
            if !is_chain || plan.options.run_on_start {
                continue;
            }
            for record in &parent.records {
                let of = |own: &&Record| own.due == record.due;
                let own: Vec<&Record> = life.records.iter().filter(of).collect();
                // What had not begun is decided by whoever runs next.
                let is_open = self.book.open.values().any(|(admitted, _)| {
                    *admitted.job.id == *format!("j{index}") && admitted.due == record.due
                });
                let waits = !self.book.entries.is_empty() || is_open;
                assert!(own.len() == 1 || own.is_empty() && waits, "{record:?}: {own:?}");
                assert!(own.iter().all(|own| own.count == record.count), "{record:?}: {own:?}");
            }
        }
    }

    /// Compares what was recorded with what a look at each second finds.
    fn check_fates(&self, scenario: &Scenario) {
        for (index, plan) in scenario.jobs.iter().enumerate() {
            let id = format!("j{index}");
            let life = &self.lives[&id];
            if life.from_end.is_some() {
                let dues: BTreeSet<Instant> = life.records.iter().map(|one| one.due).collect();
                assert_eq!(dues.len(), life.records.len(), "{id}: two fates: {:?}", life.records);
            }
            if !life.complete {
                continue;
            }
            let until = self.furthest.secs() - START;
            let due = |at: i64| life.when.is_due(at) || at == 0 && plan.options.run_on_start;
            // What is excluded need not wait for its jitter. A reload may have brought that.
            let is_excluded = !plan.options.excluded.is_empty()
                || life.records.iter().any(|record| record.outcome.is_excluded());
            let is_early = !plan.options.jitter.is_zero() && is_excluded;
            let fired = |due: Instant| {
                is_early || due.plus(jitter(&id, due, plan.options.jitter)) <= self.furthest
            };
            let expected: BTreeSet<Instant> =
                (0..=until).filter(|&at| due(at)).map(second).filter(|&due| fired(due)).collect();

            let (mut decided, mut counted) = (BTreeSet::new(), 0);
            for record in &life.records {
                assert!(expected.contains(&record.due), "{record:?}: not due by {}", self.furthest);
                assert!(
                    expected.contains(&record.last_due),
                    "{record:?}: not due by {}",
                    self.furthest
                );
                if record.count == 1 {
                    assert!(decided.insert(record.due), "{record:?}: decided before");
                } else if plan.options.jitter.is_zero() {
                    // Without jitter, due times with one fate are neighbours.
                    let range: Vec<_> = expected.range(record.due..=record.last_due).collect();
                    assert_eq!(range.len() as u64, record.count, "{record:?}");
                    for due in range {
                        assert!(decided.insert(*due), "{record:?}: {due} decided before");
                    }
                } else {
                    counted += record.count;
                }
            }
            if is_early {
                continue;
            }
            assert_eq!(
                decided.len() as u64 + counted,
                expected.len() as u64,
                "{id}: {:?} without an outcome, if no more than counted",
                expected.difference(&decided).collect::<Vec<_>>()
            );
        }
    }
}

fn live(scenario: &Scenario) -> World {
    let mut world = World::new(scenario);
    for op in &scenario.ops {
        world.perform(op);
    }
    // What was due in a pause is decided when the clock has passed it again.
    if world.now.wall < world.furthest {
        world.now.wall = world.furthest;
        world.step(Event::ClockSet);
    }
    world.perform(&Op::Resume(None));
    for index in 0..world.jobs.len() {
        world.perform(&Op::Resume(Some(index)));
    }
    world.check_goes_on();
    if scenario.calm {
        world.calm_down();
    }
    world.finish(scenario.impatient);
    world
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn every_due_time_has_one_fate_whatever_happens(scenario in scenario()) {
        let world = live(&scenario);
        world.check_fates(&scenario);
        world.check_chains(&scenario);
        prop_assert_eq!(&world.all, &live(&scenario).all);
    }
}
