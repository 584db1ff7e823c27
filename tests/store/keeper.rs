//! The thread that writes, with a store that does as it is told: each of its commits waits for a
//! verdict from the test. What the keeper does in answer is waited for, never timed.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use schedrs::event::{RunId, Start};
use schedrs::instant::Instant;
use schedrs::job::{Command, Job, Options};
use schedrs::outcome::Outcome;
use schedrs::store::keeper::{Keeper, StartHere, Starters, StoreEvent};
use schedrs::store::memory::Memory;
use schedrs::store::{Fact, Limits, Query, Reader, Restored, Store, StoreError, Trouble};
use schedrs::trigger::{DateTrigger, Trigger};
use schedrs::zone::Zone;

use crate::facts::*;

/// Longer than anything may take that happens at all.
const WATCHDOG: Duration = Duration::from_secs(60);

/// What a commit comes to.
#[derive(Clone, Debug)]
enum Verdict {
    Good,
    Lost(u64),
    Bad(Trouble),
    Panic,
}

#[derive(Debug)]
struct Fake {
    /// Says which facts are to be committed, then waits for the verdict.
    asked: Sender<Vec<Fact>>,
    verdicts: Arc<Mutex<Receiver<Verdict>>>,
    tidied: Sender<()>,
}

impl Store for Fake {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        Ok(Restored::default())
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        self.asked.send(facts.to_vec()).unwrap();
        match self.verdicts.lock().unwrap_or_else(|it| it.into_inner()).recv() {
            Ok(Verdict::Good) | Err(_) => Ok(Vec::new()),
            Ok(Verdict::Lost(run)) => Ok(vec![RunId(run)]),
            Ok(Verdict::Bad(kind)) => Err(StoreError::new(kind, "is as the test wants it")),
            Ok(Verdict::Panic) => panic!("as the test wants it"),
        }
    }

    fn tidy(&mut self, _: Limits, _: Instant) -> Result<bool, StoreError> {
        let _ = self.tidied.send(());
        Ok(false)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Err(StoreError::new(Trouble::Other, "has none"))
    }
}

/// A keeper and all that can be seen of it.
struct Scene {
    keeper: Option<Keeper>,
    verdicts: Sender<Verdict>,
    asked: Receiver<Vec<Fact>>,
    submitted: Receiver<u64>,
    event: Receiver<StoreEvent>,
    reopened: Receiver<()>,
    tidied: Receiver<()>,
}

impl Scene {
    fn new() -> Scene {
        Scene::with(true, None)
    }

    /// `anew`: whether a store that was lost can be opened again.
    fn with(anew: bool, starters: Option<Starters>) -> Scene {
        let (verdicts, take) = mpsc::channel();
        let (ask, asked) = mpsc::channel();
        let (submit, submitted) = mpsc::channel();
        let (say, event) = mpsc::channel();
        let (open, reopened) = mpsc::channel();
        let (tidy, tidied) = mpsc::channel();
        let verdict = Arc::new(Mutex::new(take));
        let fake = move || Fake {
            asked: ask.clone(),
            verdicts: Arc::clone(&verdict),
            tidied: tidy.clone(),
        };
        let first = Box::new(fake());
        let reopen = Box::new(move || {
            let _ = open.send(());
            if anew {
                Ok(Box::new(fake()) as Box<dyn Store>)
            } else {
                Err(StoreError::new(Trouble::ReadOnly, "cannot be made"))
            }
        });
        let submit = move |start: Start| submit.send(start.run.0).unwrap_or_default();
        let say = move |what| say.send(what).unwrap_or_default();
        let limits = Limits::default();
        let keeper = Keeper::start(first, reopen, limits, submit, starters, say).unwrap();
        Scene { keeper: Some(keeper), verdicts, asked, submitted, event, reopened, tidied }
    }

    /// With processes made on the store's thread. What happens to them is told, and each takes until it may
    /// go on.
    fn here() -> (Scene, Receiver<Made>, Sender<()>) {
        let (tell, told) = mpsc::channel();
        let (go_on, may) = mpsc::channel();
        let may = Arc::new(Mutex::new(may));
        let starter = move || Starter { tell: tell.clone(), may_go_on: Arc::clone(&may) };
        let scene = Scene::with(true, Some(Box::new(move || Some(Box::new(starter())))));
        (scene, told, go_on)
    }

    fn keeper(&self) -> &Keeper {
        self.keeper.as_ref().unwrap()
    }

    /// A step that admits and starts a run.
    fn run(&self, run: u64) {
        self.keeper().commit(vec![admitted(run, "a", run as i64)], vec![start(run)], Vec::new());
    }

    fn verdict(&self, verdict: Verdict) {
        self.verdicts.send(verdict).unwrap();
    }

    /// The runs that the next commit admits, which waits for its verdict then.
    fn asked(&self) -> Vec<u64> {
        runs(&self.asked.recv_timeout(WATCHDOG).unwrap())
    }

    fn submitted(&self) -> u64 {
        self.submitted.recv_timeout(WATCHDOG).unwrap()
    }

    fn event(&self) -> StoreEvent {
        self.event.recv_timeout(WATCHDOG).unwrap()
    }

    /// Ends it: what is written is as good as any verdict left, and nothing may come after.
    fn end(mut self) -> (u64, Vec<u64>, Vec<StoreEvent>) {
        let (verdicts, _) = mpsc::channel();
        drop(std::mem::replace(&mut self.verdicts, verdicts));
        let left = self.keeper.take().unwrap().finish(WATCHDOG);
        (left, self.submitted.try_iter().collect(), self.event.try_iter().collect())
    }
}

/// What makes processes on the store's thread.
struct Starter {
    tell: Sender<Made>,
    may_go_on: Arc<Mutex<Receiver<()>>>,
}

#[derive(Debug, PartialEq)]
enum Made {
    Begun(u64),
    Told,
    Left,
}

/// This run is not for the store's thread.
const FOR_A_SPAWNER: u64 = 99;

impl StartHere for Starter {
    fn start(&mut self, start: Start) -> Option<Start> {
        if start.run.0 == FOR_A_SPAWNER {
            return Some(start);
        }
        self.tell.send(Made::Begun(start.run.0)).unwrap();
        let _ = self.may_go_on.lock().unwrap().recv();
        None
    }

    fn tell(&self) {
        self.tell.send(Made::Told).unwrap_or_default();
    }

    fn leave(self: Box<Self>) {
        self.tell.send(Made::Left).unwrap();
    }
}

fn runs(facts: &[Fact]) -> Vec<u64> {
    let run = |fact: &Fact| match fact {
        Fact::Admitted { run, .. } => Some(run.0),
        _ => None,
    };
    facts.iter().filter_map(run).collect()
}

fn start(run: u64) -> Start {
    let job = Job {
        id: "a".into(),
        name: None,
        command: Command::Shell("true".into()),
        trigger: Trigger::Date(DateTrigger::At(at(0))),
        zone: Zone::utc(),
        executor: 0,
        options: Arc::new(Options::default()),
    };
    Start {
        run: RunId(run),
        attempt: 1,
        due: at(run as i64),
        waited: Duration::ZERO,
        job: Arc::new(job),
    }
}

#[test]
fn nothing_starts_before_its_facts_are_written() {
    let scene = Scene::new();
    scene.run(1);
    assert_eq!(scene.asked(), [1]);
    assert!(scene.keeper().waiting().is_some());
    // Those that come meanwhile are written together, in their order.
    for run in 2..5 {
        scene.run(run);
    }
    assert!(scene.submitted.try_recv().is_err());
    scene.verdict(Verdict::Good);
    assert_eq!(scene.submitted(), 1);
    assert_eq!(scene.asked(), [2, 3, 4]);
    assert!(scene.submitted.try_recv().is_err());
    scene.verdict(Verdict::Good);
    assert_eq!([scene.submitted(), scene.submitted(), scene.submitted()], [2, 3, 4]);
    assert_eq!(scene.keeper().waiting(), None);
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn a_start_without_facts_does_not_wait_for_the_store() {
    let scene = Scene::new();
    scene.keeper().commit(vec![], vec![start(1)], Vec::new());
    assert_eq!(scene.submitted(), 1);
    scene.keeper().commit(vec![], vec![], Vec::new());
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn the_first_of_few_is_made_on_the_thread_that_has_written_it() {
    let (scene, made, go_on) = Scene::here();
    let next = || made.recv_timeout(WATCHDOG).unwrap();
    scene.run(1);
    scene.asked();
    assert!(made.try_recv().is_err());
    scene.verdict(Verdict::Good);
    assert_eq!(next(), Made::Begun(1));
    go_on.send(()).unwrap();
    // Nothing else has happened: who waits for it is told.
    assert_eq!(next(), Made::Told);
    for run in [FOR_A_SPAWNER, 3] {
        scene.run(run);
        scene.asked();
        scene.verdict(Verdict::Good);
        if run != FOR_A_SPAWNER {
            let begun = made.iter().find(|event| *event != Made::Told).unwrap();
            assert_eq!(begun, Made::Begun(run));
            go_on.send(()).unwrap();
        }
    }
    assert_eq!(scene.submitted(), FOR_A_SPAWNER);
    // Many are for the spawners.
    let facts = (4..7).map(|run| admitted(run, "a", run as i64)).collect();
    scene.keeper().commit(facts, (4..7).map(start).collect(), Vec::new());
    scene.asked();
    scene.verdict(Verdict::Good);
    assert_eq!([scene.submitted(), scene.submitted(), scene.submitted()], [4, 5, 6]);
    assert_eq!(scene.end(), (0, vec![], vec![]));
    assert!(made.try_iter().all(|event| event == Made::Told));
}

/// Whatever else there is to write: who waits for a process that was made hears of it.
#[test]
fn what_comes_meanwhile_keeps_nobody_from_hearing_of_a_process() {
    let (scene, made, go_on) = Scene::here();
    let next = || made.recv_timeout(WATCHDOG).unwrap();
    scene.run(1);
    scene.asked();
    scene.verdict(Verdict::Good);
    assert_eq!(next(), Made::Begun(1));
    scene.keeper().commit(vec![admitted(5, "b", 5)], Vec::new(), Vec::new());
    go_on.send(()).unwrap();
    assert_eq!(next(), Made::Told);
    assert_eq!(scene.asked(), [5]);
    scene.verdict(Verdict::Good);
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

/// A start that hangs on the store's thread is not to keep anything from being written.
#[test]
fn another_thread_stands_in_for_one_that_makes_a_process() {
    let (mut scene, made, go_on) = Scene::here();
    let next = || made.iter().find(|event| *event != Made::Told).unwrap();
    scene.keeper.as_mut().unwrap().stand_in();
    scene.run(1);
    scene.asked();
    // It writes, so nobody stands in for it.
    scene.keeper.as_mut().unwrap().stand_in();
    scene.verdict(Verdict::Good);
    assert_eq!(next(), Made::Begun(1));
    scene.run(2);
    scene.keeper.as_mut().unwrap().stand_in();
    assert_eq!(scene.asked(), [2]);
    scene.verdict(Verdict::Good);
    assert_eq!(next(), Made::Begun(2));
    go_on.send(()).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(next(), Made::Left);
    scene.run(3);
    assert_eq!(scene.asked(), [3]);
    scene.verdict(Verdict::Good);
    assert_eq!(next(), Made::Begun(3));
    // It may hang for ever: the end does not wait for it, nor for what stands in.
    scene.run(4);
    scene.keeper.as_mut().unwrap().stand_in();
    assert_eq!(scene.asked(), [4]);
    scene.verdict(Verdict::Good);
    assert_eq!(next(), Made::Begun(4));
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn an_answer_waits_for_what_it_is_about_and_no_longer_than_a_start() {
    let scene = Scene::new();
    let (told, answers) = mpsc::channel();
    let commit = |run: u64| {
        let told = told.clone();
        let answer = Box::new(move || told.send(run).unwrap());
        scene.keeper().commit(vec![admitted(run, "a", run as i64)], vec![], vec![answer]);
    };
    commit(1);
    scene.asked();
    assert!(scene.keeper().waiting().is_some());
    assert!(answers.try_recv().is_err());
    scene.verdict(Verdict::Good);
    assert_eq!(answers.recv_timeout(WATCHDOG), Ok(1));
    // A store that hangs.
    commit(2);
    scene.asked();
    commit(3);
    // One that is about nothing does not overtake them.
    let last = told.clone();
    scene.keeper().commit(vec![], vec![], vec![Box::new(move || last.send(0).unwrap())]);
    assert!(answers.try_recv().is_err());
    scene.keeper().hurry();
    assert_eq!(answers.try_iter().collect::<Vec<u64>>(), [2, 3, 0]);
    assert_eq!(scene.keeper().waiting(), None);
    // One that fails.
    commit(4);
    scene.verdict(Verdict::Bad(Trouble::Full));
    assert_eq!(answers.recv_timeout(WATCHDOG), Ok(4));
    assert!(matches!(scene.event(), StoreEvent::Degraded(_)));
    commit(5);
    assert_eq!(answers.try_recv(), Ok(5));
    scene.asked();
    scene.verdict(Verdict::Good);
    assert!(matches!(scene.event(), StoreEvent::Recovered { dropped: 0, .. }));
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn who_has_lost_the_claim_does_not_start() {
    let scene = Scene::new();
    scene.keeper().commit(
        vec![admitted(1, "a", 1), admitted(2, "b", 1)],
        vec![start(2)],
        Vec::new(),
    );
    scene.asked();
    scene.verdict(Verdict::Lost(2));
    assert_eq!(scene.event(), StoreEvent::ClaimLost(RunId(2)));
    // Nor when its start comes later than that was known.
    scene.keeper().commit(vec![starting(2, 1)], vec![start(2), start(3)], Vec::new());
    scene.asked();
    scene.verdict(Verdict::Good);
    assert_eq!(scene.submitted(), 3);
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn a_store_that_fails_stops_nothing() {
    let scene = Scene::new();
    scene.run(1);
    scene.asked();
    scene.run(2);
    scene.verdict(Verdict::Bad(Trouble::Full));
    assert_eq!([scene.submitted(), scene.submitted()], [1, 2]);
    assert_eq!(scene.event(), StoreEvent::Degraded("is as the test wants it".into()));
    // From now on nothing waits, and everything is kept.
    scene.run(3);
    assert_eq!(scene.submitted(), 3);
    assert_eq!(scene.keeper().waiting(), None);
    // It is tried again with what has failed, and what has come since; and said once.
    assert_eq!(scene.asked(), [1, 2, 3]);
    scene.verdict(Verdict::Bad(Trouble::Full));
    assert_eq!(scene.asked(), [1, 2, 3]);
    scene.verdict(Verdict::Good);
    assert!(matches!(scene.event(), StoreEvent::Recovered { dropped: 0, .. }));
    scene.run(4);
    assert_eq!(scene.asked(), [4]);
    assert!(scene.submitted.try_recv().is_err());
    scene.verdict(Verdict::Good);
    assert_eq!(scene.submitted(), 4);
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn what_is_kept_is_bounded() {
    let scene = Scene::new();
    scene.run(1);
    scene.asked();
    scene.verdict(Verdict::Bad(Trouble::Full));
    scene.event();
    let tail = vec![b'x'; 1 << 20];
    for run in 2..40 {
        let output = Fact::Output { run: RunId(run), tail: tail.clone().into(), total: 0 };
        scene.keeper().commit(
            vec![admitted(run, "a", run as i64), output],
            vec![start(run)],
            Vec::new(),
        );
    }
    // What is tried again is the oldest of what is left, and the fact that had failed.
    let first = scene.asked();
    assert_eq!(first[0], 1);
    scene.verdict(Verdict::Good);
    let StoreEvent::Recovered { dropped, .. } = scene.event() else { panic!("not recovered") };
    assert!((40..80).contains(&dropped), "{dropped}");
    let mut submitted: Vec<u64> = scene.submitted.try_iter().collect();
    submitted.sort_unstable();
    assert_eq!(submitted, (1..40).collect::<Vec<_>>());
    scene.end();
}

/// A jobfile of any size is told to a store that works: its jobs are facts that come at once.
#[test]
fn what_a_store_that_works_has_not_got_round_to_is_not_too_much() {
    const JOBS: usize = 150_000;
    let scene = Scene::new();
    scene.run(1);
    assert_eq!(scene.asked(), [1]);
    let jobs = (0..JOBS).map(|at| Fact::Job(job(&format!("job-{at}"), 0).into()));
    scene.keeper().commit(jobs.collect(), Vec::new(), Vec::new());
    scene.run(2);
    scene.verdict(Verdict::Good);
    assert_eq!(scene.submitted(), 1);
    let asked = scene.asked.recv_timeout(WATCHDOG).unwrap();
    assert_eq!(asked.len(), JOBS);
    scene.verdict(Verdict::Good);
    assert_eq!(scene.asked(), [2]);
    scene.verdict(Verdict::Good);
    assert_eq!(scene.submitted(), 2);
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

/// Tidying up waits for a moment in which nothing is written, but not for ever: where a job is due again
/// and again there is none.
#[test]
fn a_store_that_is_written_to_all_the_time_is_tidied_up() {
    let scene = Scene::new();
    let many = (0..1000).map(|at| Fact::Job(job(&format!("job-{at}"), 0).into()));
    scene.keeper().commit(many.collect(), Vec::new(), Vec::new());
    scene.asked();
    scene.verdict(Verdict::Good);
    let again = Duration::from_millis(50);
    let tidied = (1..1000).any(|run| {
        scene.run(run);
        assert_eq!(scene.asked(), [run]);
        scene.verdict(Verdict::Good);
        assert_eq!(scene.submitted(), run);
        scene.tidied.recv_timeout(again).is_ok()
    });
    assert!(tidied);
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn a_disk_that_hangs_is_not_waited_for() {
    let scene = Scene::new();
    scene.run(1);
    scene.asked();
    scene.run(2);
    scene.keeper().hurry();
    assert_eq!([scene.submitted(), scene.submitted()], [1, 2]);
    assert_eq!(scene.keeper().waiting(), None);
    // Twice is once, and what comes later waits anew.
    scene.keeper().hurry();
    scene.run(3);
    assert!(scene.keeper().waiting().is_some());
    // A run that has been started is not taken back, nor started again.
    scene.verdict(Verdict::Lost(1));
    assert_eq!(scene.asked(), [2, 3]);
    assert!(scene.submitted.try_recv().is_err());
    scene.verdict(Verdict::Good);
    assert_eq!(scene.submitted(), 3);
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn a_store_that_is_lost_is_made_anew() {
    for trouble in [Trouble::Corrupt, Trouble::Missing] {
        let scene = Scene::new();
        scene.run(1);
        scene.asked();
        scene.verdict(Verdict::Bad(trouble));
        assert_eq!(scene.event(), StoreEvent::Fresh("is as the test wants it".into()));
        assert_eq!(scene.asked(), [1]);
        assert!(scene.submitted.try_recv().is_err(), "it is not written yet");
        scene.verdict(Verdict::Good);
        assert_eq!(scene.submitted(), 1);
        assert_eq!(scene.reopened.try_iter().count(), 1);
        assert_eq!(scene.end(), (0, vec![], vec![]));
    }
}

/// One that is lost as often as it is made is trouble like any other.
#[test]
fn a_store_that_is_lost_again_and_again() {
    let scene = Scene::new();
    scene.run(1);
    scene.asked();
    scene.verdict(Verdict::Bad(Trouble::Corrupt));
    assert!(matches!(scene.event(), StoreEvent::Fresh(_)));
    scene.asked();
    scene.verdict(Verdict::Bad(Trouble::Corrupt));
    assert!(matches!(scene.event(), StoreEvent::Degraded(_)));
    assert_eq!(scene.submitted(), 1);
    assert!(matches!(scene.event(), StoreEvent::Fresh(_)));
    scene.asked();
    scene.verdict(Verdict::Good);
    assert!(matches!(scene.event(), StoreEvent::Recovered { .. }));
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn a_store_that_is_lost_and_cannot_be_made() {
    let scene = Scene::with(false, None);
    scene.run(1);
    scene.asked();
    scene.verdict(Verdict::Bad(Trouble::Missing));
    assert!(matches!(scene.event(), StoreEvent::Degraded(_)));
    assert_eq!(scene.submitted(), 1);
    scene.run(2);
    assert_eq!(scene.submitted(), 2);
    let (left, _, event) = scene.end();
    assert_eq!((left, event), (2, vec![]));
}

#[test]
fn a_panic_in_the_store_is_trouble_like_any_other() {
    let scene = Scene::new();
    scene.run(1);
    scene.asked();
    scene.verdict(Verdict::Panic);
    let StoreEvent::Degraded(message) = scene.event() else { panic!("not degraded") };
    assert!(message.contains("as the test wants it"), "{message}");
    assert_eq!(scene.submitted(), 1);
    // Nobody knows in which state it is: it is opened again.
    assert_eq!(scene.asked(), [1]);
    assert_eq!(scene.reopened.try_iter().count(), 1);
    scene.verdict(Verdict::Good);
    assert!(matches!(scene.event(), StoreEvent::Recovered { .. }));
    assert_eq!(scene.end(), (0, vec![], vec![]));
}

#[test]
fn the_end_waits_for_what_is_queued() {
    let scene = Scene::new();
    for run in 1..100 {
        scene.run(run);
        scene.keeper().note(starting(run, 1));
    }
    let (left, submitted, _) = scene.end();
    assert_eq!(left, 0);
    assert_eq!(submitted, (1..100).collect::<Vec<_>>());
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let mut scene = Scene::new();
    scene.run(1);
    scene.asked();
    scene.run(2);
    let left = scene.keeper.take().unwrap().finish(Duration::from_millis(1));
    assert_eq!(left, 2);
}

#[test]
fn the_end_of_a_store_that_fails() {
    let mut scene = Scene::new();
    scene.run(1);
    scene.asked();
    scene.verdict(Verdict::Bad(Trouble::Full));
    scene.event();
    scene.run(2);
    // One more try, at once, and no other.
    scene.verdict(Verdict::Bad(Trouble::Full));
    assert_eq!(scene.keeper.take().unwrap().finish(WATCHDOG), 2);
    assert_eq!(scene.asked(), [1, 2]);
    assert!(scene.asked.try_recv().is_err());
}

/// Facts from many threads beside steps: all are written, each start is made once.
#[test]
fn many_threads() {
    let memory = Memory::new();
    let (submit, submitted) = mpsc::channel();
    let keeper = Keeper::start(
        Box::new(memory.clone()),
        Box::new(|| Err(StoreError::new(Trouble::Other, "is not to be lost"))),
        Limits { runs: 10_000, days: 10_000 },
        move |start| submit.send(start.run.0).unwrap(),
        None,
        |event| panic!("there is nothing to say: {event:?}"),
    )
    .unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_i64 {
            let notes = keeper.notes();
            scope.spawn(move || {
                let skipped = Outcome::Coalesced;
                (0..250).for_each(|due| {
                    notes.note(fate("b", thread * 1000 + due, 0, 1, skipped.clone()));
                });
            });
        }
        for run in 1..1001 {
            keeper.commit(vec![admitted(run, "a", run as i64)], vec![start(run)], Vec::new());
            if run % 7 == 0 {
                keeper.hurry();
            }
        }
    });
    assert_eq!(keeper.finish(WATCHDOG), 0);
    let mut submitted: Vec<u64> = submitted.try_iter().collect();
    submitted.sort_unstable();
    assert_eq!(submitted, (1..1001).collect::<Vec<_>>());
    let records = memory.reader().unwrap().records(&Query::default()).unwrap();
    assert_eq!(records.len(), 2000);
}
