use std::ops::{Deref, DerefMut};
use std::sync::mpsc;

use super::*;
use crate::core::fleet::SessionId;
use crate::core::fleet::protocol::Timing;
use crate::core::job::{Command, Job, Options};
use crate::core::outcome::Outcome;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::zone::Zone;
use crate::store::Query;
use crate::store::keeper::queue::Waiters;
use crate::store::memory::Memory;

const DUE: Instant = Instant::from_secs(10);

fn claim(run: u64, job: &str) -> Fact {
    let (run, job) = (RunId(run), job.into());
    Fact::Admitted { run, job, due: DUE, at: DUE, by: None, host: None, slot: None }
}

fn start(run: u64, job: &str) -> Start {
    let job = Job {
        id: job.into(),
        name: None,
        command: Command::Shell("true".into()),
        trigger: Trigger::Date(DateTrigger::At(DUE)),
        zone: Zone::utc(),
        executor: 0,
        options: Arc::new(Options::default()),
    };
    Start { run: RunId(run), attempt: 1, due: DUE, waited: Duration::ZERO, job: Arc::new(job) }
}

/// The thread's work with a store in memory, a step at a time.
struct Scene {
    driver: Driver,
    hold: Arc<Hold>,
    memory: Memory,
    told: mpsc::Receiver<String>,
}

impl Deref for Scene {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.driver
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Driver {
        &mut self.driver
    }
}

impl Scene {
    fn new(me: Member, lease: Duration) -> Scene {
        let (tell, told) = mpsc::channel();
        let (memory, hold) = (Memory::new(), Arc::new(Hold::new(Box::new(|_| {}))));
        let reopen: Reopen = Box::new(|| Err(StoreError::new(Trouble::Other, "is not to be")));
        let fleet = Fleet::new(Timing { lease }, me);
        let tell = Box::new(move |event| tell.send(format!("{event:?}")).unwrap());
        let store = Box::new(memory.clone());
        let driver = Driver::new(Arc::clone(&hold), store, reopen, Limits::default(), fleet, tell);
        Scene { driver, hold, memory, told }
    }

    /// Writes this. Answers the starts that go on.
    fn pass(&mut self, facts: Vec<Fact>, starts: Vec<Start>) -> Vec<u64> {
        self.hold.push(facts, Waiters { starts, answers: Vec::new() });
        self.driver.write();
        std::mem::take(&mut self.driver.won).iter().map(|start| start.run.0).collect()
    }

    fn told(&self) -> Vec<String> {
        self.told.try_iter().collect()
    }

    /// The runs that the store has, the last first, and how they have ended.
    fn records(&self) -> Vec<(u64, Option<Outcome>)> {
        let records = self.memory.reader().unwrap().records(&Query::default()).unwrap();
        records.into_iter().map(|it| (it.run.map_or(0, |run| run.0), it.outcome)).collect()
    }
}

/// Runs that wait for a slot begin when one is free, by facts of a later pass than their claims'. The
/// scheduler may not have heard by then that it has lost one.
#[test]
fn a_claim_that_is_lost_keeps_a_later_start_from_going_on() {
    let (me, other) = (SessionId(1), SessionId(2));
    let mut driver = Scene::new(Member::new(me, "web1"), LOOK);
    driver.memory.join(&Member::new(me, "web1"), &[]).unwrap();
    driver.memory.join(&Member::new(other, "web2"), &[]).unwrap();
    Shared::commit(&mut driver.memory, other, 0, &[claim(7, "b")]).unwrap();

    let claims = vec![claim(1, "a"), claim(2, "b"), claim(3, "c")];
    assert_eq!(driver.pass(claims, vec![start(1, "a")]), [1]);
    assert_eq!(driver.told(), ["ClaimLost(RunId(2))"]);
    let begins = [2, 3].map(|run| Fact::Starting { run: RunId(run), attempt: 1 });
    let starts = vec![start(2, "b"), start(3, "c")];
    assert_eq!(driver.pass(begins.to_vec(), starts), [3]);
    // Again: one that has not heard of it in another way would wait for ever.
    assert_eq!(driver.told(), ["ClaimLost(RunId(2))"]);
}

/// A commit reaches a store that has forgotten the one before. It is refused, and made again once the
/// store has been told what it has forgotten.
#[test]
fn a_store_that_has_forgotten_is_told_first() {
    let mut driver = Scene::new(Member::new(SessionId(1), "web1"), Duration::from_secs(15));
    driver.tell(Input::Loaded { jobfile: "jobs.toml".into(), hash: 0, jobs: Vec::new() });
    driver.do_all();
    driver.pass(vec![claim(1, "a")], Vec::new());
    let before = driver.memory.copy();
    let (job, outcome, duration) = ("a".into(), Outcome::Succeeded, Duration::ZERO);
    let over =
        Fact::Ended { run: RunId(1), job, outcome, duration, attempts: 1, at: DUE, usage: None };
    driver.pass(vec![over], Vec::new());
    driver.memory.go_back(&before);
    driver.pass(vec![claim(2, "b")], Vec::new());
    assert_eq!(driver.facts, [claim(2, "b")]);
    assert_eq!(driver.records(), [(1, None)]);
    driver.do_all();
    driver.pass(Vec::new(), Vec::new());
    assert_eq!(driver.records(), [(2, None), (1, Some(Outcome::Succeeded))]);
    let told = driver.told();
    let lost = "the store lost acknowledged writes (an acknowledged heartbeat is missing)";
    assert!(told.iter().any(|event| event.contains(lost)), "{told:?}");
}
