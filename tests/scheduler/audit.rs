//! The audit of the past against the scheduler that made it: random jobs live through random
//! events, a list keeps what a store would, and at every moment each due time has exactly one
//! outcome; if one record is taken away or doubled, the audit says so.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test may stop")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use schedrs::event::{Action, Event, Exit, JobRecord, Operation, Process, Remember, RunId};
use schedrs::history::audit::{Audit, Question, audit};
use schedrs::instant::{Instant, Mono, Now};
use schedrs::job::{
    Coalesce, Command, Executor, Grace, Job, JobSet, Keep, Options, Overlap, Settings,
};
use schedrs::outcome::Outcome;
use schedrs::scheduler::{SavedState, Scheduler};
use schedrs::store::RunRecord;
use schedrs::trigger::cron::crontab::{self, Crontab};
use schedrs::trigger::{CronTrigger, DateTrigger, FromEndTrigger, IntervalTrigger, Trigger};
use schedrs::zone::Zone;

/// 2026-01-01T12:00:00Z.
const START: Instant = Instant::from_secs(1_767_268_800);

#[derive(Clone, Copy, Debug)]
enum When {
    Every(u64),
    FromEnd(u64),
    Cron(u64),
    Once(u64),
    Now,
}

#[derive(Clone, Debug)]
enum Op {
    /// So many seconds pass before anybody looks.
    Pass(u64),
    ToWakeup,
    /// The oldest start is answered, and its process ends.
    Ran(i32),
    /// The oldest start is answered, and goes on.
    Runs,
    /// The oldest process ends.
    Ends,
    NotStarted,
    Pause(Option<usize>, Option<u64>),
    Resume(Option<usize>),
    StartByHand(usize),
    Stop(usize),
    Retrigger(usize, When),
    /// The scheduler is killed, and another goes on after so many seconds.
    Crash(u64),
}

fn trigger(when: When) -> Trigger {
    match when {
        When::Every(secs) => {
            Trigger::Interval(IntervalTrigger::new(Duration::from_secs(secs), None, None))
        }
        When::FromEnd(secs) => {
            Trigger::FromEnd(FromEndTrigger::new(Duration::from_secs(secs), None, None))
        }
        When::Cron(step) => {
            let text = format!("*/{step} * * * * *");
            let Some(Crontab::Schedule(schedule)) = crontab::parse(&text, "", &mut Vec::new())
            else {
                panic!("{text}");
            };
            Trigger::Cron(Arc::new(CronTrigger::new([schedule], Zone::utc(), None, None)))
        }
        When::Once(secs) => Trigger::Date(DateTrigger::At(START.plus(Duration::from_secs(secs)))),
        When::Now => Trigger::Date(DateTrigger::Now),
    }
}

fn trigger_at_start() -> Trigger {
    trigger(When::Now)
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        3 => (3u64..100).prop_map(When::Every),
        2 => (3u64..100).prop_map(When::FromEnd),
        2 => (2u64..30).prop_map(When::Cron),
        1 => (0u64..2000).prop_map(When::Once),
        1 => Just(When::Now),
    ]
}

fn job() -> impl Strategy<Value = (When, Options)> {
    let grace = prop_oneof![
        3 => (0u64..200).prop_map(|secs| Grace::Limited(Duration::from_secs(secs))),
        1 => Just(Grace::Forever),
    ];
    let coalesce =
        prop_oneof![Just(Coalesce::Latest), Just(Coalesce::Earliest), Just(Coalesce::All)];
    let overlap = prop_oneof![Just(Overlap::Skip), Just(Overlap::Queue), Just(Overlap::Replace)];
    let jitter = prop_oneof![2 => Just(0u64), 1 => 1u64..60];
    let retries = prop_oneof![2 => Just(0u32), 1 => 1u32..3];
    (when(), grace, coalesce, overlap, 1u32..4, jitter, retries, any::<bool>()).prop_map(
        |(when, grace, coalesce, overlap, max_instances, jitter, retries, run_on_start)| {
            let options = Options {
                misfire_grace_time: grace,
                coalesce,
                overlap,
                max_instances,
                jitter: Duration::from_secs(jitter),
                retries,
                run_on_start,
                ..Options::default()
            };
            (when, options)
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let which = || proptest::option::of(any::<usize>());
    prop_oneof![
        4 => (0u64..400).prop_map(Op::Pass),
        10 => Just(Op::ToWakeup),
        6 => (0i32..2).prop_map(Op::Ran),
        3 => Just(Op::Runs),
        3 => Just(Op::Ends),
        1 => Just(Op::NotStarted),
        1 => (which(), proptest::option::of(1u64..400)).prop_map(|(job, until)| Op::Pause(job, until)),
        2 => which().prop_map(Op::Resume),
        1 => any::<usize>().prop_map(Op::StartByHand),
        1 => any::<usize>().prop_map(Op::Stop),
        1 => (any::<usize>(), when()).prop_map(|(job, when)| Op::Retrigger(job, when)),
        1 => (0u64..400).prop_map(Op::Crash),
    ]
}

/// What a store would keep.
#[derive(Default)]
struct Book {
    jobs: BTreeMap<Box<str>, JobRecord>,
    records: Vec<RunRecord>,
    all_paused: Option<schedrs::event::Pause>,
    /// Runs of an earlier scheduler that never began: forgotten when they are decided again.
    undecided: BTreeSet<RunId>,
    next_run: u64,
}

impl Book {
    fn withdraw(&mut self, job: &str, first: Instant, last: Instant) {
        let undecided = &self.undecided;
        self.records.retain(|record| {
            let is_undecided = record.run.is_some_and(|run| undecided.contains(&run));
            !is_undecided || *record.job != *job || !(first..=last).contains(&record.due)
        });
    }

    fn add(&mut self, record: RunRecord) {
        if let Some(job) = self.jobs.get_mut(&record.job)
            && record.by.is_none()
        {
            job.decided = job.decided.max(record.last_due);
        }
        self.records.push(RunRecord { seq: self.records.len() as u64 + 1, ..record });
    }

    fn note(&mut self, action: &Action, now: Instant) {
        match action {
            Action::Remember(Remember::Job(job)) => {
                self.jobs.insert(job.id.clone(), (**job).clone());
            }
            Action::Remember(Remember::AllPaused(pause)) => self.all_paused.clone_from(pause),
            Action::Remember(Remember::Admitted(admitted)) => {
                self.next_run = admitted.run.0 + 1;
                let (job, due) = (&admitted.job.id, admitted.due);
                self.withdraw(job, due, due);
                self.add(RunRecord {
                    run: Some(admitted.run),
                    outcome: None,
                    at: admitted.at,
                    by: admitted.by.clone(),
                    ..record(job, due, due, 1)
                });
            }
            Action::Record(known) => match known.run {
                Some(run) => {
                    let open = self.records.iter_mut().find(|record| record.run == Some(run));
                    open.unwrap().outcome = Some(known.outcome.clone());
                }
                None => {
                    let job = &known.job.id;
                    self.withdraw(job, known.due, known.last_due);
                    self.add(RunRecord {
                        outcome: Some(known.outcome.clone()),
                        at: now,
                        ..record(job, known.due, known.last_due, known.count)
                    });
                }
            },
            Action::Start(start) => {
                let open = self.records.iter_mut().find(|record| record.run == Some(start.run));
                open.unwrap().attempts = start.attempt;
            }
            _ => {}
        }
    }
}

fn record(job: &str, due: Instant, last_due: Instant, count: u64) -> RunRecord {
    RunRecord {
        seq: 0,
        run: None,
        job: job.into(),
        due,
        last_due,
        count,
        outcome: None,
        at: due,
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

struct World {
    scheduler: Scheduler,
    jobs: Vec<Arc<Job>>,
    now: Now,
    /// When the scheduler has last looked.
    seen: Instant,
    book: Book,
    starts: VecDeque<RunId>,
    running: VecDeque<RunId>,
}

fn set(jobs: &[Arc<Job>]) -> JobSet {
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
        executors: vec![Executor::new("default", 2)],
        jobs: jobs.to_vec(),
    }
}

impl World {
    fn new(jobs: &[(When, Options)]) -> World {
        let jobs: Vec<Arc<Job>> = jobs
            .iter()
            .enumerate()
            .map(|(number, (when, options))| {
                Arc::new(Job {
                    id: format!("j{number}").into(),
                    name: None,
                    command: Command::Argv(Box::new(["true".into()])),
                    trigger: trigger(*when),
                    zone: Zone::utc(),
                    executor: 0,
                    options: Arc::new(options.clone()),
                })
            })
            .collect();
        let now = Now { wall: START, mono: Mono::from_micros(1_000_000) };
        let mut world = World {
            scheduler: Scheduler::restored(now, set(&jobs), SavedState::default()),
            jobs,
            now,
            seen: now.wall,
            book: Book::default(),
            starts: VecDeque::new(),
            running: VecDeque::new(),
        };
        world.step(Event::Woke);
        world
    }

    fn pass(&mut self, span: Duration) {
        self.now = Now { wall: self.now.wall.plus(span), mono: self.now.mono.plus(span) };
    }

    fn step(&mut self, event: Event) {
        self.seen = self.now.wall;
        let mut actions = Vec::new();
        self.scheduler.step(self.now, event, &mut actions);
        for action in &actions {
            self.book.note(action, self.now.wall);
        }
        for action in actions {
            match action {
                Action::Start(start) => self.starts.push_back(start.run),
                Action::Terminate(run) | Action::Kill(run) => self.end(run, Exit::Signal(15)),
                _ => {}
            }
        }
    }

    fn end(&mut self, run: RunId, exit: Exit) {
        if self.running.contains(&run) {
            self.running.retain(|other| *other != run);
            self.step(Event::Ended { run, exit, usage: None, at: None });
        }
    }

    fn start(&mut self) -> Option<RunId> {
        let run = self.starts.pop_front()?;
        self.running.push_back(run);
        let process = Process { pid: 1, start: 0 };
        self.step(Event::Started { run, process, at: self.now, taken: self.now.mono });
        Some(run)
    }

    fn ask(&mut self, operation: Operation) {
        self.step(Event::Operation { ticket: 1, by: "ann".into(), operation: Box::new(operation) });
    }

    fn id(&self, index: usize) -> Box<str> {
        self.jobs[index % self.jobs.len()].id.clone()
    }

    fn perform(&mut self, op: &Op) {
        // A moment later: nothing happens twice at one.
        self.pass(Duration::from_millis(1));
        match op {
            Op::Pass(secs) => {
                self.pass(Duration::from_secs(*secs));
                self.step(Event::Woke);
            }
            Op::ToWakeup => {
                let wakeup = self.scheduler.next_wakeup();
                let wall = wakeup.wall.map(|wall| wall.since(self.now.wall));
                let mono = wakeup.mono.map(|mono| mono.since(self.now.mono));
                let span = wall.into_iter().chain(mono).min().unwrap_or(Duration::from_secs(5));
                self.pass(span.min(Duration::from_secs(900)));
                self.step(Event::Woke);
            }
            Op::Ran(code) => {
                if let Some(run) = self.start() {
                    self.pass(Duration::from_millis(10));
                    self.end(run, Exit::Code(*code));
                }
            }
            Op::Runs => drop(self.start()),
            Op::Ends => {
                if let Some(&run) = self.running.front() {
                    self.end(run, Exit::Code(0));
                }
            }
            Op::NotStarted => {
                if let Some(run) = self.starts.pop_front() {
                    let reason = "no program".to_owned();
                    self.step(Event::NotStarted { run, reason, transient: false });
                }
            }
            Op::Pause(index, until) => {
                let job = index.map(|index| self.id(index));
                let until = until.map(|secs| self.now.wall.plus(Duration::from_secs(secs)));
                self.ask(Operation::Pause { job, until, reason: None });
            }
            Op::Resume(index) => {
                let job = index.map(|index| self.id(index));
                self.ask(Operation::Resume { job });
            }
            Op::StartByHand(index) => {
                let job = self.id(*index);
                self.ask(Operation::Start { job, force: true, wait: false });
            }
            Op::Stop(index) => {
                let job = self.id(*index);
                self.ask(Operation::StopJob { job });
            }
            Op::Retrigger(index, when) => {
                let index = index % self.jobs.len();
                let job = Job { trigger: trigger(*when), ..(*self.jobs[index]).clone() };
                self.jobs[index] = Arc::new(job);
                self.step(Event::Reload(Box::new(set(&self.jobs))));
            }
            Op::Crash(secs) => self.crash(*secs),
        }
    }

    fn has_jitter(&self) -> bool {
        self.jobs.iter().any(|job| !job.options.jitter.is_zero())
    }

    /// Processes are gone as well, and what had begun is lost.
    fn crash(&mut self, secs: u64) {
        // Who waits for its jitter is nowhere remembered.
        if self.has_jitter() {
            return;
        }
        // Off every grid: that a start is due by the trigger as well is for the store to see.
        self.pass(Duration::from_secs(secs) + Duration::from_micros(137));
        let mut saved = SavedState {
            jobs: self.book.jobs.values().cloned().collect(),
            all_paused: self.book.all_paused.clone(),
            next_run: self.book.next_run,
            ..SavedState::default()
        };
        for record in self.book.records.iter_mut().filter(|record| record.outcome.is_none()) {
            match (record.attempts, &record.by) {
                (0, None) => {
                    saved.undecided.push((record.job.clone(), record.due));
                    self.book.undecided.extend(record.run);
                }
                _ => record.outcome = Some(Outcome::Lost(String::new())),
            }
        }
        self.starts.clear();
        self.running.clear();
        self.scheduler = Scheduler::restored(self.now, set(&self.jobs), saved);
        self.step(Event::Woke);
    }

    fn audit(&self, job: &Job, records: &[RunRecord]) -> Audit {
        let known = &self.book.jobs[&job.id];
        let question = Question {
            job,
            known,
            from: Instant::MIN,
            until: Instant::MAX,
            // Nothing is ever forgotten here.
            has_older: true,
            kept_from: Instant::MIN,
            paused_since: known
                .pause
                .iter()
                .chain(&self.book.all_paused)
                .map(|pause| pause.at)
                .min(),
            seen: self.seen,
            limit: 1_000_000,
        };
        audit(&question, records)
    }

    fn records(&self, job: &Job) -> Vec<RunRecord> {
        self.book.records.iter().filter(|record| record.job == job.id).cloned().collect()
    }

    fn adds_up(&self) -> Result<(), TestCaseError> {
        for job in &self.jobs {
            let records = self.records(job);
            let found = self.audit(job, &records);
            prop_assert!(found.adds_up(), "{found:#?} {:#?}", records);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn what_a_scheduler_leaves_adds_up(
        jobs in proptest::collection::vec(job(), 1..4),
        ops in proptest::collection::vec(op(), 0..80),
        harm in any::<proptest::sample::Index>(),
    ) {
        let mut world = World::new(&jobs);
        world.adds_up()?;
        for op in &ops {
            world.perform(op);
            world.adds_up()?;
        }
        // It is no use that it adds up if it always does.
        for job in &world.jobs {
            let records = world.records(job);
            let known = &world.book.jobs[&job.id];
            let trigger = job.trigger.anchored(known.anchor);
            let is_due = |at: Instant| {
                trigger.next_after(at.minus(Duration::from_micros(1))) == Some(at)
            };
            let of_trigger: Vec<usize> = (0..records.len())
                .filter(|&index| {
                    let record = &records[index];
                    record.by.is_none() && record.due >= known.since && is_due(record.due)
                })
                .collect();
            if of_trigger.is_empty() || job.trigger == trigger_at_start() {
                continue;
            }
            let index = of_trigger[harm.index(of_trigger.len())];
            let before = world.audit(job, &records);
            let mut fewer = records.clone();
            let taken = fewer.remove(index);
            let found = world.audit(job, &fewer);
            let missing = found.unaccounted + found.waiting - before.waiting;
            prop_assert_eq!((missing, found.twice), (taken.count, 0), "{:#?}", taken);
            let mut more = records;
            more.push(taken.clone());
            let found = world.audit(job, &more);
            prop_assert_eq!((found.unaccounted, found.twice), (0, taken.count), "{:#?}", taken);
        }
    }
}
