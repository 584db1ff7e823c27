use std::sync::mpsc;

use super::*;
use crate::core::fleet::SessionId;
use crate::core::fleet::protocol::Timing;
use crate::core::job::{Command, Job, Options};
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::zone::Zone;
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
    Start { run: RunId(run), attempt: 1, due: DUE, job: Arc::new(job) }
}

/// Runs that wait for a slot begin when one is free, by facts of a later pass than their claims'. The
/// scheduler may not have heard by then that it has lost one.
#[test]
fn a_claim_that_is_lost_keeps_a_later_start_from_going_on() {
    let (me, other) = (SessionId(1), SessionId(2));
    let mut store = Memory::new();
    store.join(&Member::new(me, "web1"), &[]).unwrap();
    store.join(&Member::new(other, "web2"), &[]).unwrap();
    Shared::commit(&mut store, other, &[claim(7, "b")]).unwrap();

    let (tell, told) = mpsc::channel();
    let hold = Arc::new(Hold::new(Box::new(|_| {})));
    let reopen: Reopen = Box::new(|| Err(StoreError::new(Trouble::Other, "is not to be")));
    let fleet = Fleet::new(Timing { lease: LOOK }, Member::new(me, "web1"));
    let tell = Box::new(move |event| tell.send(format!("{event:?}")).unwrap());
    let store = Box::new(store);
    let mut driver = Driver::new(Arc::clone(&hold), store, reopen, Limits::default(), fleet, tell);

    let pass = |driver: &mut Driver, facts: Vec<Fact>, starts: Vec<Start>| {
        hold.push(facts, Waiters { starts, answers: Vec::new() });
        driver.write();
        std::mem::take(&mut driver.won).iter().map(|start| start.run.0).collect::<Vec<_>>()
    };
    let claims = vec![claim(1, "a"), claim(2, "b"), claim(3, "c")];
    assert_eq!(pass(&mut driver, claims, vec![start(1, "a")]), [1]);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["ClaimLost(RunId(2))"]);
    let begins = [2, 3].map(|run| Fact::Starting { run: RunId(run), attempt: 1 });
    let starts = vec![start(2, "b"), start(3, "c")];
    assert_eq!(pass(&mut driver, begins.to_vec(), starts), [3]);
    // Again: one that has not heard of it in another way would wait for ever.
    assert_eq!(told.try_iter().collect::<Vec<_>>(), ["ClaimLost(RunId(2))"]);
}
