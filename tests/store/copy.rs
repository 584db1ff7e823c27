//! A store that is copied: the other knows the same, whichever engines they are of.

use proptest::prelude::*;
use schedrs::event::RunId;
use schedrs::fleet::{Member, SessionId};
use schedrs::outcome::{MissReason, Outcome, SkipReason};
use schedrs::store::copy::{Copied, CopyError, Options, copy};
use schedrs::store::memory::Memory;
use schedrs::store::shared::Shared;
use schedrs::store::{Fact, Limits, Query, Reader, Restored, Store, StoreError, Trouble};

use crate::contract::{Bed, InFile};
use crate::facts::*;

fn copied(from: &mut dyn Store, to: &mut dyn Store) -> Result<Copied, CopyError> {
    copy(from, to, Options { host: None, progress: &mut |_, _| {} })
}

/// A past with something of everything.
fn past() -> Vec<Fact> {
    let mut paused = job("paused", 70);
    paused.pause = Some(pause(5));
    paused.overrides = Some("timeout = \"1s\"\n".into());
    let mut added = job("added ✓ \0", 80);
    added.added = Some("command = \"true\"\n".into());
    let mut facts = vec![
        Fact::Began(session(7, 1)),
        Fact::Job(job("b", 0).into()),
        Fact::Job(job("gone", 0).into()),
        Fact::Job(paused.into()),
        Fact::Job(added.into()),
    ];
    facts.extend(whole(3, "b", 10, Outcome::Succeeded));
    facts.extend(whole(4, "gone", 10, Outcome::NotStarted("no ✗ \0 such".into())));
    // Not in the order of their names.
    facts.extend(whole(5, "b", 20, Outcome::Failed(3)));
    facts.extend(whole(6, "added ✓ \0", 20, Outcome::TimedOut));
    facts.extend([
        asked(8, "b", 31, "ann"),
        starting(8, 1),
        started(8, 1, 32),
        attempt_ended(8, 1, Outcome::Failed(1), 33),
        starting(8, 2),
        started(8, 2, 35),
        Fact::Ended {
            run: RunId(8),
            job: "b".into(),
            outcome: Outcome::Killed(9),
            duration: secs(5),
            attempts: 2,
            at: at(37),
            usage: None,
        },
        Fact::Output { run: RunId(8), tail: Box::default(), total: 0 },
        fate("b", 40, 60, 3, Outcome::Skipped(SkipReason::Overlap)),
        fate("paused", 40, 40, 1, Outcome::Missed(MissReason::Late(secs(7)))),
        // A number that was used and is no run's any more.
        admitted(11, "b", 70),
        Fact::Withdrawn { run: RunId(11) },
        Fact::Gone { job: "gone".into() },
        Fact::AllPaused(Some(pause(9))),
        Fact::Change(change(Some("b"), 4)),
        Fact::Change(change(None, 5)),
        Fact::Stopped { at: at(90) },
        entry("told", "b", Some("failing")),
        entry("told", "added ✓ \0", Some("")),
        entry("out", "1", Some("~ \0 '")),
    ]);
    facts.push(Fact::Began(session(8, 100)));
    facts.push(Fact::Change(change(None, 120)));
    facts
}

fn file_with(bed: &InFile, facts: &[Fact]) -> Box<dyn Store> {
    let mut store = bed.open();
    store.restore().unwrap();
    store.commit(facts).unwrap();
    drop(store);
    bed.open()
}

/// From a file to another store and back: all three know the same.
fn there_and_back(bed: &dyn Bed) {
    let (first, last) = (InFile::new(), InFile::new());
    let mut from = file_with(&first, &past());
    let mut to = bed.open();
    let there = copied(&mut *from, &mut *to).unwrap();
    assert_eq!(there.read, there.written);
    let rows = [3, 1, 1, 2, 7, 5, 6, 4, 3, 2, 3];
    assert_eq!(there.read.rows().map(|(_, count)| count), rows);
    assert_eq!(seen_of(&*to), seen_of(&*from));
    drop(to);
    let mut to = bed.open();
    let mut back = last.open();
    let there = copied(&mut *to, &mut *back).unwrap();
    assert_eq!((there.read, there.hosts), (there.written, 0));
    assert_eq!(seen_of(&*back), seen_of(&*from));
    drop((from, back, to));
    let known = [first, last].map(|bed| restored(&mut *bed.open()));
    assert_eq!(known[0], known[1]);
    assert_eq!(known[0].next_run, 12);
    // What comes next has a number above.
    if let Some(shared) = bed.open().shared() {
        assert!(shared.run_numbers().unwrap().start >= 12);
    }
}

#[test]
fn to_memory_and_back() {
    there_and_back(&crate::contract::InMemory(Memory::new()));
}

#[test]
fn to_a_file_and_back() {
    there_and_back(&InFile::new());
}

#[cfg(feature = "postgres")]
#[test]
fn to_postgres_and_back() {
    crate::contract::InPostgres::new().iter().for_each(|bed| there_and_back(bed));
}

#[cfg(feature = "mysql")]
#[test]
fn to_mysql_and_back() {
    let bed = crate::contract::OnServer::new(crate::servers::Engine::Mariadb);
    bed.iter().for_each(|bed| there_and_back(bed));
}

#[cfg(feature = "redis")]
#[test]
fn to_redis_and_back() {
    let bed = crate::contract::OnServer::new(crate::servers::Engine::Redis);
    bed.iter().for_each(|bed| there_and_back(bed));
}

#[cfg(feature = "mongodb")]
#[test]
fn to_mongodb_and_back() {
    let bed = crate::contract::OnServer::new(crate::servers::Engine::Mongodb);
    bed.iter().for_each(|bed| there_and_back(bed));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever a store was told, also what makes no sense.
    #[test]
    fn whatever_it_is(facts in prop::collection::vec(crate::same::fact(), 0..60)) {
        let mut from: Box<dyn Store> = Box::new(Memory::new());
        from.commit(&crate::same::dated(facts)).unwrap();
        let open: Vec<Fact> = restored(&mut *from).open.into_iter().map(|open| Fact::Ended {
            run: open.run,
            job: open.job,
            outcome: Outcome::Lost("x".into()),
            duration: secs(1),
            attempts: open.attempt,
            at: at(9000),
            usage: None,
        }).collect();
        from.commit(&open).unwrap();
        let bed = InFile::new();
        let mut to = bed.open();
        let there = copied(&mut *from, &mut *to).unwrap();
        prop_assert_eq!(there.read, there.written);
        prop_assert_eq!(seen_of(&*to), seen_of(&*from));
    }
}

/// A store that fails after so many commits.
#[derive(Debug)]
struct Failing(Memory, usize);

impl Store for Failing {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.0.restore()
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        match self.1.checked_sub(1) {
            Some(left) => self.1 = left,
            None => return Err(StoreError::new(Trouble::Unreachable, "is away")),
        }
        Store::commit(&mut self.0, facts)
    }

    fn tidy(&mut self, _: Limits, _: schedrs::instant::Instant) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.0.reader()
    }
}

/// What was interrupted is done again: the rest follows.
#[test]
fn it_goes_on_where_it_has_stopped() {
    let mut from = Memory::new();
    let mut facts = vec![Fact::Job(job("a", 0).into()), Fact::Job(job("b", 0).into())];
    for run in 1..=2000 {
        let name = if run % 3 == 0 { "a" } else { "b" };
        facts.extend(whole(run, name, run as i64, Outcome::Succeeded));
    }
    facts.push(Fact::Change(change(None, 5)));
    facts.push(Fact::Began(session(8, 100)));
    facts.extend((0..1500).map(|key| entry("told", &key.to_string(), Some("x"))));
    Store::commit(&mut from, &facts).unwrap();
    let mut to = Failing(Memory::new(), 0);
    let mut last = 0;
    for commits in 0..40 {
        to.1 = commits;
        match copied(&mut from, &mut to) {
            Ok(done) => {
                assert!(done.before > 0, "{done:?}");
                assert_eq!((done.read, done.read.records), (done.written, 2000));
                break;
            }
            Err(error) => {
                assert!(error.to_string().contains("run the same command again"), "{error}")
            }
        }
        let there = to.reader().unwrap().records(&Query::default()).unwrap().len();
        assert!(there >= last, "{there}");
        last = there;
    }
    assert_eq!(seen_of(&to), seen_of(&from));
    // Once more: nothing is new, and all is told of.
    to.1 = 100;
    let mut steps = Vec::new();
    let mut progress = |done, of| steps.push((done, of));
    let again = copy(&mut from, &mut to, Options { host: None, progress: &mut progress }).unwrap();
    assert_eq!((again.before, again.written.records), (2000, 2000));
    assert_eq!((steps.len(), steps.last()), (2000, Some(&(2000, 2000))));
    assert_eq!(seen_of(&to), seen_of(&from));
}

#[test]
fn what_is_refused() {
    let run = || whole(1, "a", 10, Outcome::Succeeded);
    let rows: [(&str, Vec<Fact>, Vec<Fact>, &str); 8] = [
        ("a run that is not over", vec![admitted(4, "a", 10)], vec![], "run 4 of a is not over"),
        ("another run", run(), whole(1, "a", 11, Outcome::Succeeded), "run 1 of a"),
        ("another end", run(), whole(1, "a", 10, Outcome::TimedOut), "run 1 of a"),
        ("a job", run(), vec![Fact::Job(job("b", 0).into())], "the job b"),
        ("a pause", run(), vec![Fact::AllPaused(Some(pause(3)))], "a pause of all jobs"),
        ("a change", run(), vec![Fact::Change(change(None, 5))], "a change by ann"),
        ("an entry", run(), vec![entry("told", "a", Some("x"))], "an entry of the list told"),
        ("a life", run(), vec![Fact::Began(session(8, 100))], "been used by a scheduler"),
    ];
    for (what, from, to, words) in rows {
        let [mut one, mut two] = [&from, &to].map(|facts| {
            let mut store = Memory::new();
            Store::commit(&mut store, facts).unwrap();
            store
        });
        let before = seen_of(&two);
        let error = copied(&mut one, &mut two).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{what}: {error}");
        assert_eq!(seen_of(&two), before, "{what}");
    }
}

/// A fleet of two, one job of which runs on each host.
fn fleet() -> Memory {
    let mut store = Memory::new();
    for (number, host) in [(1, "web1"), (2, "web2")] {
        let me = SessionId(number);
        store.join(&Member::new(me, host), &[]).unwrap();
        let mut facts = whole(number, "one", number as i64, Outcome::Succeeded);
        facts.extend(whole(number + 10, "all", 5, Outcome::Failed(number as i32)));
        if let Fact::Admitted { host: claim, .. } = &mut facts[5] {
            *claim = Some(host.into());
        }
        Shared::commit(&mut store, me, 0, &facts).unwrap();
        store.leave(me, true).unwrap();
    }
    store
}

#[test]
fn hosts_go_along_where_there_is_a_place_for_them() {
    let mut from = fleet();
    let mut to = Memory::new();
    let there = copied(&mut from, &mut to).unwrap();
    assert_eq!((there.read.records, there.hosts), (4, 0));
    assert_eq!(seen_of(&to), seen_of(&from));
    let mut members = to.reader().unwrap().members().unwrap();
    members.sort_by(|a, b| a.host.cmp(&b.host));
    let left = members.iter().map(|it| (&*it.host, it.gone.is_some_and(|gone| gone.by == it.id)));
    assert_eq!(left.collect::<Vec<_>>(), [("web1", true), ("web2", true)]);
    // A file has one record for a due time.
    let file = InFile::new();
    let mut to = file.open();
    let error = copied(&mut from, &mut *to).unwrap_err().to_string();
    assert!(error.starts_with("all has run on each of web1, web2, and"), "{error}");
    let options = Options { host: Some("web2"), progress: &mut |_, _| {} };
    let there = copy(&mut from, &mut *to, options).unwrap();
    assert_eq!((there.read, there.written.records, there.hosts), (there.written, 3, 3));
    let found = to.reader().unwrap().records(&Query::default()).unwrap();
    let found: Vec<u64> = found.iter().filter_map(|record| record.run).map(|run| run.0).collect();
    assert_eq!(found, [12, 2, 1]);
}
