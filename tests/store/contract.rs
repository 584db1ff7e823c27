//! What every store does. A store that is to follow gets a [`Bed`] and a line at the end.

use schedrs::event::{JobRecord, RunId};
use schedrs::instant::Instant;
use schedrs::outcome::{MissReason, Outcome, SkipReason};
use schedrs::store::memory::Memory;
use schedrs::store::{Fact, Latest, Limits, OpenRun, Query, Restored, RunRecord, Store};

use crate::facts::*;

/// A place where a store is.
pub(crate) trait Bed {
    /// Opens the store that is there. Handles from before are gone by then.
    fn open(&self) -> Box<dyn Store>;

    /// Another handle beside one that is open, if this kind of store has such.
    fn beside(&self) -> Option<Box<dyn Store>> {
        None
    }
}

fn fresh(bed: &dyn Bed) -> Box<dyn Store> {
    let mut store = bed.open();
    store.restore().unwrap();
    store
}

fn commit(store: &mut dyn Store, facts: &[Fact]) -> Vec<u64> {
    store.commit(facts).unwrap().into_iter().map(|run| run.0).collect()
}

pub(crate) fn find(store: &dyn Store, query: &Query) -> Vec<RunRecord> {
    store.reader().unwrap().records(query).unwrap()
}

fn all(store: &dyn Store) -> Vec<RunRecord> {
    find(store, &Query::default())
}

fn the_job(store: &dyn Store, id: &str) -> Option<JobRecord> {
    store.reader().unwrap().job(id).unwrap()
}

/// The runs that a query finds.
fn runs(store: &dyn Store, query: &Query) -> Vec<u64> {
    find(store, query).into_iter().filter_map(|record| record.run).map(|run| run.0).collect()
}

pub(crate) fn tidy(store: &mut dyn Store, keep: Limits, now: Instant) {
    for _ in 0..10_000 {
        if !store.tidy(keep, now).unwrap() {
            return;
        }
    }
    panic!("tidying up does not end");
}

fn an_empty_one_knows_nothing(bed: &dyn Bed) {
    let mut store = bed.open();
    assert_eq!(store.restore().unwrap(), Restored { next_run: 1, ..Restored::default() });
    assert_eq!(seen_of(&*store), Seen::default());
    assert_eq!(commit(&mut *store, &[]), [0; 0]);
    let reader = &mut *store.reader().unwrap();
    assert_eq!(reader.attempts(RunId(1)).unwrap(), []);
    assert_eq!(reader.output(RunId(1)).unwrap(), None);
    assert_eq!(reader.job("a").unwrap(), None);
    let query = Query { job: Some("a".into()), failed: true, ..Query::default() };
    assert_eq!(reader.records(&query).unwrap(), []);
}

fn every_fact_comes_back(bed: &dyn Bed) {
    let mut full = job("full", 0);
    full.pause = Some(pause(5));
    full.resumed = true;
    full.added = Some("command = \"~/bin/true\"\n".into());
    full.overrides = Some("timeout = \"1s\"\n".into());
    let mut bare = job("bare ✓ \0", 0);
    bare.decided = Instant::MIN;
    bare.anchor = Instant::MAX;
    let mut store = fresh(bed);
    let facts = [
        Fact::Began(session(7, 1)),
        Fact::Job(full.clone().into()),
        Fact::Job(bare.clone().into()),
        Fact::AllPaused(Some(pause(3))),
        Fact::Change(change(Some("full"), 4)),
        Fact::Change(change(None, 5)),
        admitted(4, "full", 10),
        starting(4, 1),
        started(4, 1, 11),
        attempt_ended(4, 1, Outcome::Failed(3), 13),
        asked(6, "full", 20, "bob"),
        starting(6, 1),
        started(6, 1, 21),
        admitted(7, "full", 30),
        fate("full", 40, 60, 3, Outcome::Skipped(SkipReason::Overlap)),
    ];
    assert_eq!(commit(&mut *store, &facts), [0; 0]);
    let before = seen_of(&*store);
    drop(store);
    let mut store = bed.open();
    full.decided = at(60);
    let open = |run, due, attempt| OpenRun {
        run: RunId(run),
        job: "full".into(),
        due: at(due),
        by: None,
        attempt,
        process: None,
        started: None,
        last: None,
        last_ended: None,
    };
    let retrying = OpenRun {
        process: Some(process(41)),
        started: Some(at(11)),
        last: Some(Outcome::Failed(3)),
        last_ended: Some(at(13)),
        ..open(4, 10, 1)
    };
    let running = OpenRun {
        by: Some("bob".into()),
        process: Some(process(61)),
        started: Some(at(21)),
        ..open(6, 20, 1)
    };
    let mut last_session = session(7, 1);
    last_session.seen = at(61);
    let expected = Restored {
        jobs: vec![bare, full],
        all_paused: Some(pause(3)),
        open: vec![retrying, running, open(7, 30, 0)],
        next_run: 8,
        last_session: Some(last_session),
    };
    assert_eq!(restored(&mut *store), expected);
    assert_eq!(seen_of(&*store), before);
    // And what ends comes back as ended.
    let facts = [
        ended(4, "full", Outcome::Killed(9), 70),
        ended(6, "full", Outcome::Lost("gone".into()), 71),
        ended(7, "full", Outcome::Skipped(SkipReason::Stopping), 72),
        Fact::AllPaused(None),
        Fact::Stopped { at: at(80) },
    ];
    commit(&mut *store, &facts);
    drop(store);
    let mut store = bed.open();
    let restored = restored(&mut *store);
    assert_eq!((restored.open, restored.all_paused), (vec![], None));
    let session = restored.last_session.unwrap();
    assert_eq!((session.stopped, session.seen), (Some(at(80)), at(80)));
}

fn of_two_claims_one_wins(bed: &dyn Bed) {
    let mut store = fresh(bed);
    assert_eq!(commit(&mut *store, &[admitted(1, "a", 10), admitted(2, "a", 20)]), [0; 0]);
    // Another run for the same due time; one for another job; one that has a fate.
    let facts = [
        fate("a", 30, 30, 1, Outcome::Coalesced),
        admitted(3, "a", 10),
        admitted(4, "b", 10),
        admitted(5, "a", 30),
        asked(6, "a", 20, "bob"),
    ];
    assert_eq!(commit(&mut *store, &facts), [3, 5, 6]);
    // What else there is about those that lost is ignored.
    let before = seen_of(&*store);
    let facts = [
        starting(3, 1),
        started(3, 1, 11),
        attempt_ended(3, 1, Outcome::Failed(1), 12),
        ended(3, "a", Outcome::Succeeded, 13),
        Fact::Output { run: RunId(3), tail: (*b"no").into(), total: 2 },
    ];
    commit(&mut *store, &facts);
    assert_eq!(seen_of(&*store), before);
    assert_eq!(runs(&*store, &Query::default()), [4, 2, 1]);
}

fn of_many_at_once_one_wins(bed: &dyn Bed) {
    let Some(_) = bed.beside() else { return };
    let handles: Vec<Box<dyn Store>> = (0..8).filter_map(|_| bed.beside()).collect();
    let lost: Vec<Vec<RunId>> = std::thread::scope(|scope| {
        let claim = |(place, mut store): (usize, Box<dyn Store>)| {
            scope.spawn(move || {
                let due = |due| admitted(place as u64 * 1000 + due, "a", due as i64);
                (0..100).flat_map(|number| store.commit(&[due(number)]).unwrap()).collect()
            })
        };
        let threads: Vec<_> = handles.into_iter().enumerate().map(claim).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(lost.iter().map(Vec::len).sum::<usize>(), 700);
    let store = bed.open();
    let won = all(&*store);
    assert_eq!(won.len(), 100);
    for record in won {
        let lost = lost.iter().flatten().any(|run| Some(*run) == record.run);
        assert!(!lost, "{record:?} has won and lost");
    }
}

/// A commit whose success is not known is done again, perhaps with more.
fn facts_may_come_twice(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let facts = [
        vec![
            Fact::Began(session(1, 0)),
            Fact::Job(job("a", 0).into()),
            Fact::Change(change(Some("a"), 1)),
            fate("a", 3, 5, 3, Outcome::Missed(MissReason::Late(secs(90)))),
        ],
        whole(1, "a", 10, Outcome::Succeeded),
        vec![
            admitted(2, "a", 20),
            starting(2, 1),
            started(2, 1, 21),
            attempt_ended(2, 1, Outcome::TimedOut, 22),
            starting(2, 2),
            started(2, 2, 24),
        ],
    ]
    .concat();
    assert_eq!(commit(&mut *store, &facts), [0; 0]);
    let once = seen_of(&*store);
    assert_eq!(commit(&mut *store, &facts), [0; 0]);
    assert_eq!(seen_of(&*store), once);
    assert_eq!(once.records.len(), 3);
}

/// Facts of one commit come to the same as one after the other, however they are written.
fn it_does_not_matter_what_is_committed_together(bed: &dyn Bed) {
    let retried = vec![
        admitted(2, "a", 20),
        starting(2, 1),
        started(2, 1, 21),
        attempt_ended(2, 1, Outcome::Failed(1), 22),
        starting(2, 2),
        started(2, 2, 24),
        ended(2, "a", Outcome::Killed(9), 25),
    ];
    let crossed = vec![
        admitted(3, "a", 30),
        admitted(4, "b", 30),
        starting(3, 1),
        starting(4, 1),
        started(3, 1, 31),
        started(4, 1, 31),
        ended(3, "a", Outcome::Succeeded, 32),
        ended(4, "b", Outcome::Failed(2), 33),
    ];
    let never = vec![admitted(5, "b", 40), ended(5, "b", Outcome::TimedOut, 41)];
    let facts = [whole(1, "a", 10, Outcome::Succeeded), retried, crossed, never].concat();
    let mut store = fresh(bed);
    commit(&mut *store, &facts);
    let together = seen_of(&*store);
    drop(store);
    let mut store = fresh(bed);
    for fact in facts {
        commit(&mut *store, &[fact]);
    }
    assert_eq!(seen_of(&*store), together);
    assert_eq!(together.records.len(), 5);
}

/// Of facts about the same thing the last one holds.
fn the_last_word_holds(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let mut second = job("a", 7);
    second.trigger = "cron 0 3 * * *".into();
    let facts = [
        Fact::Job(job("a", 5).into()),
        Fact::Job(second.clone().into()),
        Fact::Gone { job: "b".into() },
        Fact::Job(job("b", 1).into()),
        Fact::Job(job("c", 1).into()),
        Fact::Gone { job: "c".into() },
        Fact::AllPaused(Some(pause(1))),
        Fact::AllPaused(Some(pause(2))),
    ];
    commit(&mut *store, &facts);
    let restored = restored(&mut *store);
    assert_eq!(restored.jobs, [second, job("b", 1)]);
    assert_eq!(restored.all_paused, Some(pause(2)));
}

/// A start waits for what is said of a run that begins, so a store may have a short way for that. Whoever
/// looks finds it like any other run.
fn a_run_that_has_just_begun_is_found_like_any_other(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let mut begins = vec![Fact::Began(session(7, 1)), Fact::Job(job("a", 5).into())];
    begins.extend([admitted(1, "a", 10), starting(1, 1), ended(1, "a", Outcome::Succeeded, 12)]);
    commit(&mut *store, &begins);
    let [second, third] =
        [[admitted(2, "a", 20), starting(2, 1)], [asked(3, "a", 30, "bob"), starting(3, 1)]];
    for facts in [&second, &third, &second] {
        assert_eq!(commit(&mut *store, facts), [0; 0]);
    }
    let query = |query: Query| runs(&*store, &query);
    let plain = Query::default;
    assert_eq!(query(plain()), [3, 2, 1]);
    assert_eq!(query(Query { job: Some("a".into()), ..plain() }), [3, 2, 1]);
    assert_eq!(query(Query { job: Some("b".into()), ..plain() }), [0; 0]);
    assert_eq!(query(Query { run: Some(RunId(2)), ..plain() }), [2]);
    assert_eq!(query(Query { since: Some(at(15)), until: Some(at(25)), ..plain() }), [2]);
    assert_eq!(query(Query { limit: 2, ..plain() }), [3, 2]);
    assert_eq!(query(Query { failed: true, ..plain() }), [0; 0]);
    let before = Some(all(&*store)[0].seq);
    assert_eq!(query(Query { before, ..plain() }), [2, 1]);
    let begun = &find(&*store, &Query { run: Some(RunId(2)), ..plain() })[0];
    assert_eq!((&begun.outcome, begun.attempts, begun.process), (&None, 1, None));
    let attempts = store.reader().unwrap().attempts(RunId(2)).unwrap();
    assert_eq!(attempts.iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(), [1]);
    // What somebody asked for decides nothing.
    assert_eq!(the_job(&*store, "a").unwrap().decided, at(20));
    // Others have a claim to it, and it to others.
    assert_eq!(commit(&mut *store, &[admitted(4, "a", 20), starting(4, 1)]), [4]);
    assert_eq!(commit(&mut *store, &[admitted(5, "a", 10), starting(5, 1)]), [5]);
    commit(&mut *store, &[admitted(6, "a", 60), starting(6, 1)]);
    let before = seen_of(&*store);
    drop(store);
    let mut store = bed.open();
    let restored = restored(&mut *store);
    let open = restored.open.iter().map(|open| (open.run.0, open.attempt)).collect::<Vec<_>>();
    assert_eq!(open, [(2, 1), (3, 1), (6, 1)]);
    assert_eq!((restored.next_run, restored.jobs[0].decided), (7, at(60)));
    assert_eq!(seen_of(&*store), before);
    // And it ends like any other.
    commit(&mut *store, &[started(6, 1, 61), ended(6, "a", Outcome::Failed(1), 62)]);
    assert_eq!(runs(&*store, &Query { failed: true, ..plain() }), [6]);
}

fn a_fate_stays(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let facts = [
        fate("a", 10, 10, 1, Outcome::Coalesced),
        fate("a", 10, 30, 3, Outcome::Skipped(SkipReason::Paused)),
    ];
    commit(&mut *store, &facts);
    let found = all(&*store);
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].outcome, found[0].last_due), (&Some(Outcome::Coalesced), at(10)));
}

fn what_is_decided_grows(bed: &dyn Bed) {
    let mut store = fresh(bed);
    commit(&mut *store, &[Fact::Job(job("a", 5).into()), Fact::Job(job("b", 5).into())]);
    let steps = [
        (admitted(1, "a", 10), 10),
        (admitted(2, "a", 8), 10),
        (fate("a", 11, 40, 4, Outcome::Coalesced), 40),
        // A lost claim decides as well: the due time has a fate.
        (admitted(3, "a", 40), 40),
        (asked(4, "a", 99, "bob"), 40),
        (Fact::Job(job("a", 20).into()), 20),
    ];
    for (fact, decided) in steps {
        commit(&mut *store, std::slice::from_ref(&fact));
        assert_eq!(the_job(&*store, "a").unwrap().decided, at(decided), "{fact:?}");
        assert_eq!(the_job(&*store, "b").unwrap().decided, at(5));
    }
}

fn a_run_can_be_taken_back(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let facts = [
        Fact::Job(job("a", 5).into()),
        admitted(1, "a", 10),
        asked(2, "a", 12, "bob"),
        admitted(3, "a", 20),
        starting(3, 1),
    ];
    commit(&mut *store, &facts);
    let withdraw = |run| Fact::Withdrawn { run: RunId(run) };
    // The third has begun, perhaps; the fourth never was.
    commit(&mut *store, &[withdraw(2), withdraw(3), withdraw(4)]);
    assert_eq!(runs(&*store, &Query::default()), [3, 1]);
    assert_eq!(the_job(&*store, "a").unwrap().decided, at(20));
    commit(&mut *store, &[withdraw(1)]);
    assert_eq!(runs(&*store, &Query::default()), [3]);
    let decided = the_job(&*store, "a").unwrap().decided;
    assert!(decided >= at(9) && decided < at(10), "{decided}");
    assert_eq!(commit(&mut *store, &[admitted(5, "a", 10)]), [0; 0]);
    commit(&mut *store, &[withdraw(5)]);
    // Nobody else gets its number.
    assert_eq!(store.restore().unwrap().next_run, 6);
}

/// A machine without a process to spare: whoever restarts then has something to decide.
fn what_was_postponed_has_not_begun(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let postponed = |run, attempt| Fact::Postponed { run: RunId(run), attempt };
    let facts = [
        admitted(1, "a", 10),
        starting(1, 1),
        postponed(1, 1),
        admitted(2, "a", 20),
        starting(2, 1),
        started(2, 1, 21),
        attempt_ended(2, 1, Outcome::Failed(3), 22),
        starting(2, 2),
        postponed(2, 2),
        admitted(3, "a", 30),
        starting(3, 1),
        postponed(3, 1),
        starting(3, 1),
    ];
    commit(&mut *store, &facts);
    let open = store.restore().unwrap().open;
    let seen: Vec<_> = open.iter().map(|run| (run.run.0, run.attempt, run.last.clone())).collect();
    assert_eq!(seen, [(1, 0, None), (2, 1, Some(Outcome::Failed(3))), (3, 1, None)]);
    commit(&mut *store, &[Fact::Withdrawn { run: RunId(1) }]);
    assert_eq!(runs(&*store, &Query::default()), [3, 2]);
}

fn a_number_that_comes_again(bed: &dyn Bed) {
    let mut store = fresh(bed);
    commit(&mut *store, &whole(1, "a", 10, Outcome::Succeeded));
    commit(&mut *store, &[admitted(2, "a", 20)]);
    assert_eq!(commit(&mut *store, &[admitted(1, "b", 30), admitted(2, "b", 40)]), [0; 0]);
    let found = all(&*store);
    assert_eq!(found.len(), 4);
    let of = |due| found.iter().find(|record| record.due == at(due)).unwrap();
    assert_eq!((of(10).run, &of(10).outcome), (None, &Some(Outcome::Succeeded)));
    assert!(matches!((of(20).run, &of(20).outcome), (None, Some(Outcome::Lost(_)))));
    assert_eq!((of(30).run, of(40).run), (Some(RunId(1)), Some(RunId(2))));
    assert_eq!(store.reader().unwrap().output(RunId(1)).unwrap(), None);
}

fn a_job_that_is_gone_leaves_its_past(bed: &dyn Bed) {
    let mut store = fresh(bed);
    commit(&mut *store, &[Fact::Job(job("a", 5).into())]);
    commit(&mut *store, &whole(1, "a", 10, Outcome::Succeeded));
    commit(&mut *store, &[Fact::Gone { job: "a".into() }]);
    assert_eq!(the_job(&*store, "a"), None);
    assert_eq!(store.restore().unwrap().jobs, []);
    assert_eq!(runs(&*store, &Query { job: Some("a".into()), ..Query::default() }), [1]);
    // It may come again, and its claims still hold.
    commit(&mut *store, &[Fact::Job(job("a", 6).into())]);
    assert_eq!(commit(&mut *store, &[admitted(2, "a", 10)]), [2]);
}

fn attempts_in_their_order(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let mut end = ended(1, "a", Outcome::Killed(15), 30);
    if let Fact::Ended { attempts, duration, .. } = &mut end {
        (*attempts, *duration) = (3, secs(19));
    }
    let facts = [
        admitted(1, "a", 10),
        starting(1, 1),
        started(1, 1, 11),
        attempt_ended(1, 1, Outcome::Failed(3), 12),
        starting(1, 2),
        attempt_ended(1, 2, Outcome::NotStarted("no room".into()), 15),
        starting(1, 3),
        started(1, 3, 20),
        end,
    ];
    let of = |store: &dyn Store| {
        let found = store.reader().unwrap().attempts(RunId(1)).unwrap();
        let parts = |attempt: &schedrs::store::AttemptRecord| {
            (attempt.attempt, attempt.process, attempt.started, attempt.ended)
        };
        let outcomes: Vec<Option<Outcome>> = found.iter().map(|it| it.outcome.clone()).collect();
        (found.iter().map(parts).collect::<Vec<_>>(), outcomes)
    };
    let first = (1, Some(process(11)), Some(at(11)), Some(at(12)));
    let second = (2, None, None, Some(at(15)));
    let third = (3, Some(process(13)), Some(at(20)), Some(at(30)));
    let failed = Some(Outcome::Failed(3));
    commit(&mut *store, &facts[..1]);
    assert_eq!(of(&*store), (vec![], vec![]));
    commit(&mut *store, &facts[1..4]);
    assert_eq!(of(&*store), (vec![first], vec![failed.clone()]));
    commit(&mut *store, &facts[4..5]);
    assert_eq!(of(&*store), (vec![first, (2, None, None, None)], vec![failed.clone(), None]));
    commit(&mut *store, &facts[5..]);
    let not_started = Some(Outcome::NotStarted("no room".into()));
    let outcomes = vec![failed, not_started, Some(Outcome::Killed(15))];
    assert_eq!(of(&*store), (vec![first, second, third], outcomes));
    // The run began with its first attempt.
    assert_eq!(all(&*store)[0].started, Some(at(11)));
}

fn output_is_kept_as_it_came(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let tail: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let output = |total| Fact::Output { run: RunId(1), tail: tail.clone().into(), total };
    commit(&mut *store, &[admitted(1, "a", 10), output(1), output(u64::MAX / 4)]);
    let found = store.reader().unwrap().output(RunId(1)).unwrap();
    assert_eq!(found, Some((tail.clone(), u64::MAX / 4)));
    // The most that the attempts of a run leave: `keep_output = "256KiB"` of sixteen.
    let most: Vec<u8> = tail.iter().copied().cycle().take(16 * 256 * 1024 + 10_000).collect();
    let output = Fact::Output { run: RunId(1), tail: most.clone().into(), total: 5 << 20 };
    commit(&mut *store, &[output]);
    let found = store.reader().unwrap().output(RunId(1)).unwrap();
    assert!(found == Some((most, 5 << 20)), "the store has something else");
}

fn what_was_used_and_printed(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let output =
        |run, text: &[u8], total| Fact::Output { run: RunId(run), tail: text.into(), total };
    let of = |store: &dyn Store, run| {
        let found = find(store, &Query { run: Some(RunId(run)), ..Query::default() });
        (found[0].usage, found[0].printed)
    };
    // Together with the claim, after it, and again.
    commit(&mut *store, &whole(1, "a", 10, Outcome::Succeeded));
    commit(&mut *store, &[admitted(2, "a", 20), starting(2, 1), started(2, 1, 21)]);
    assert_eq!(of(&*store, 2), (None, None));
    commit(&mut *store, &[ended(2, "a", Outcome::Failed(1), 23)]);
    assert_eq!(of(&*store, 2), (Some(used(2)), None));
    // Nothing was printed, of which nothing is kept.
    commit(&mut *store, &[output(2, b"", 0)]);
    for _ in 0..2 {
        assert_eq!(of(&*store, 1), (Some(used(1)), Some(5000)));
        assert_eq!(of(&*store, 2), (Some(used(2)), Some(0)));
        assert_eq!(store.reader().unwrap().output(RunId(2)).unwrap(), None);
        commit(&mut *store, &whole(1, "a", 10, Outcome::Succeeded));
    }
    // A second attempt that prints nothing adds nothing.
    commit(&mut *store, &[admitted(3, "a", 30), output(3, b"some", 4), output(3, b"some", 4)]);
    let mut end = ended(3, "a", Outcome::Succeeded, 33);
    if let Fact::Ended { usage, .. } = &mut end {
        *usage = None;
    }
    commit(&mut *store, &[end]);
    assert_eq!(of(&*store, 3), (None, Some(4)));
    // Of what did not become a run nothing is known.
    commit(&mut *store, &[fate("a", 40, 40, 1, Outcome::Skipped(SkipReason::Overlap))]);
    let newest = find(&*store, &Query { limit: 1, ..Query::default() });
    assert_eq!((newest[0].usage, newest[0].printed), (None, None));
    // A run whose claim is lost has used nothing here.
    let lost = [admitted(9, "a", 10), ended(9, "a", Outcome::Succeeded, 12), output(9, b"no", 2)];
    assert_eq!(commit(&mut *store, &lost), [9]);
    assert_eq!(of(&*store, 1), (Some(used(1)), Some(5000)));
}

fn queries(bed: &dyn Bed) {
    let mut store = fresh(bed);
    commit(&mut *store, &whole(1, "a", 10, Outcome::Succeeded));
    commit(&mut *store, &whole(2, "b", 10, Outcome::Failed(1)));
    commit(&mut *store, &whole(3, "a", 20, Outcome::Killed(9)));
    let late = Outcome::Missed(MissReason::Late(secs(90)));
    commit(&mut *store, &[fate("a", 30, 50, 3, late)]);
    commit(&mut *store, &whole(5, "b", 60, Outcome::Succeeded));
    commit(&mut *store, &[admitted(6, "a", 70)]);
    let dues = |query: &Query| -> Vec<i64> {
        let found = find(&*store, query);
        found.iter().map(|record| record.due.secs() - at(0).secs()).collect()
    };
    let q = Query::default;
    let a = || Some("a".into());
    let rows = [
        (q(), vec![70, 60, 30, 20, 10, 10]),
        (Query { job: a(), ..q() }, vec![70, 30, 20, 10]),
        (Query { job: Some("none".into()), ..q() }, vec![]),
        (Query { run: Some(RunId(5)), ..q() }, vec![60]),
        (Query { run: Some(RunId(5)), job: a(), ..q() }, vec![]),
        (Query { run: Some(RunId(50)), ..q() }, vec![]),
        (Query { failed: true, ..q() }, vec![30, 20, 10]),
        (Query { failed: true, job: a(), ..q() }, vec![30, 20]),
        (Query { failed: true, limit: 1, ..q() }, vec![30]),
        // Both ends count, and a record of several counts if one of them may be meant.
        (Query { since: Some(at(20)), until: Some(at(60)), ..q() }, vec![60, 30, 20]),
        (Query { since: Some(at(40)), until: Some(at(45)), ..q() }, vec![30]),
        (Query { since: Some(at(51)), ..q() }, vec![70, 60]),
        (Query { until: Some(at(30)), ..q() }, vec![30, 20, 10, 10]),
        (Query { until: Some(at(29)), job: a(), ..q() }, vec![20, 10]),
        (Query { since: Some(at(45)), job: a(), ..q() }, vec![70, 30]),
        (Query { since: Some(at(15)), failed: true, ..q() }, vec![30, 20]),
        (Query { since: Some(at(71)), ..q() }, vec![]),
        (Query { limit: 2, ..q() }, vec![70, 60]),
    ];
    for (query, expected) in rows {
        assert_eq!(dues(&query), expected, "{query:?}");
    }
    // A page at a time is all of it.
    for limit in 1..5 {
        let mut pages = Vec::new();
        let mut before = None;
        loop {
            let page = find(&*store, &Query { limit, before, ..q() });
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit);
            before = Some(last.seq);
            pages.extend(page);
        }
        assert_eq!(pages, all(&*store), "{limit} a page");
    }
}

/// Of each job the last run that has ended, when one last succeeded, and what was no run since.
fn how_jobs_have_fared(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let overlap = Outcome::Skipped(SkipReason::Overlap);
    let late = Outcome::Missed(MissReason::Late(secs(90)));
    let skipped = |job: &str, due: i64| fate(job, due, due, 1, overlap.clone());
    commit(&mut *store, &[skipped("new", 5), fate("new", 6, 8, 3, late.clone())]);
    commit(&mut *store, &whole(1, "bad", 10, Outcome::Succeeded));
    commit(&mut *store, &[skipped("bad", 11)]);
    commit(&mut *store, &whole(2, "bad", 20, Outcome::Failed(3)));
    commit(&mut *store, &[skipped("bad", 30), skipped("bad", 31)]);
    commit(&mut *store, &[fate("bad", 40, 50, 5, late.clone())]);
    commit(&mut *store, &[fate("bad", 51, 53, 2, Outcome::Coalesced)]);
    commit(&mut *store, &[skipped("well", 5)]);
    commit(&mut *store, &whole(3, "well", 60, Outcome::Succeeded));
    // A run that was taken from the queue never ran; one that goes on has not ended.
    let over = ended(4, "well", overlap.clone(), 72);
    commit(&mut *store, &[admitted(4, "well", 70), over, admitted(5, "well", 80)]);
    commit(&mut *store, &[admitted(6, "open", 10)]);
    let told = |latest: &Latest| {
        let secs = |it: Instant| it.secs() - at(0).secs();
        let run = latest.run.as_ref().and_then(|run| run.run).map(|run| run.0);
        let (job, succeeded) = (latest.job.to_string(), latest.succeeded.map(secs));
        (job, run, succeeded, latest.skipped, latest.missed)
    };
    let mut reader = store.reader().unwrap();
    let all: Vec<_> = reader.latest(None).unwrap().iter().map(told).collect();
    let rows = [
        ("bad".to_owned(), Some(2), Some(13), 2, 5),
        ("new".to_owned(), None, None, 1, 3),
        ("well".to_owned(), Some(3), Some(63), 1, 0),
    ];
    assert_eq!(all, rows);
    for row in &rows {
        let one: Vec<_> = reader.latest(Some(&row.0)).unwrap().iter().map(told).collect();
        assert_eq!(one, std::slice::from_ref(row));
    }
    for none in ["open", "none", "o'n\\e"] {
        assert_eq!(reader.latest(Some(none)).unwrap(), []);
    }
    // However much is skipped after them, the last run and the last that succeeded are kept.
    commit(&mut *store, &[Fact::Job(job("bad", 0).into())]);
    let many: Vec<Fact> = (100..130).map(|due| skipped("bad", due)).collect();
    commit(&mut *store, &many);
    tidy(&mut *store, Limits { runs: 5, days: 30 }, at(1000));
    let bad = store.reader().unwrap().latest(Some("bad")).unwrap();
    assert_eq!(told(&bad[0]), ("bad".to_owned(), Some(2), Some(13), 5, 0));
    tidy(&mut *store, Limits { runs: 5, days: 30 }, at(40 * 86_400));
    let bad = store.reader().unwrap().latest(Some("bad")).unwrap();
    assert_eq!(told(&bad[0]), ("bad".to_owned(), Some(2), Some(13), 1, 0));
}

fn changes_of_a_job_and_of_all(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let given = [change(Some("a"), 3), change(Some("b"), 1), change(None, 2), change(None, 4)];
    commit(&mut *store, &given.clone().map(Fact::Change));
    let mut reader = store.reader().unwrap();
    let mut changes = |job, from, until| {
        let found = reader.changes(job, at(from), at(until)).unwrap();
        found.iter().map(|change| change.at.secs() - at(0).secs()).collect::<Vec<_>>()
    };
    assert_eq!(changes(None, 0, 9), [1, 2, 3, 4]);
    assert_eq!(changes(Some("a"), 0, 9), [2, 3, 4]);
    assert_eq!(changes(Some("b"), 0, 3), [1, 2]);
    assert_eq!(changes(Some("c"), 3, 3), [0; 0]);
}

/// Of a list each key has one value: the last that was written.
fn entries_of_lists(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let find = |store: &dyn Store, list: &str| {
        let found = store.reader().unwrap().entries(list).unwrap();
        found.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(find(&*store, "told"), none);
    let facts = [
        entry("told", "b", Some("1")),
        entry("told", "a", Some("1")),
        entry("told", "b", Some("2")),
        entry("told", "new", Some("x")),
        entry("told", "new", None),
        entry("told", "gone", None),
        entry("told", "back", None),
        entry("told", "back", Some("y")),
        entry("Told", "a", Some("another list")),
        entry("tol", "da", Some("and another")),
        entry("told2", "", Some("")),
    ];
    commit(&mut *store, &facts);
    assert_eq!(find(&*store, "told"), ["a=1", "b=2", "back=y"]);
    let lists = |store: &dyn Store| store.reader().unwrap().lists().unwrap();
    assert_eq!(lists(&*store), ["Told", "tol", "told", "told2"].map(Box::from));
    // Once more, as after a commit of which nobody knows what has become.
    commit(&mut *store, &facts);
    commit(&mut *store, &[entry("told", "a", Some("3")), entry("told", "back", None)]);
    commit(&mut *store, &[entry("tol", "da", None), entry("none", "a", None)]);
    drop(store);
    let mut store = bed.open();
    store.restore().unwrap();
    assert_eq!(find(&*store, "told"), ["a=3", "b=2"]);
    assert_eq!(find(&*store, "Told"), ["a=another list"]);
    assert_eq!(find(&*store, "told2"), ["="]);
    assert_eq!(find(&*store, "tol"), none);
    assert_eq!(lists(&*store), ["Told", "told", "told2"].map(Box::from));
    // They stay, however old, until somebody takes them away.
    tidy(&mut *store, Limits { runs: 1, days: 1 }, at(400 * 86_400));
    assert_eq!(find(&*store, "told"), ["a=3", "b=2"]);
}

/// Keys are bytes, in their order, and values are texts of any characters.
fn entries_are_told_apart_by_their_bytes(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let long = "ü".repeat(256);
    let longer = format!("{}x", &long[..510]);
    let keys = "a,A,b,B,a , a,a\0,a\0b,a\u{1},\u{1a},\u{1a}0,,ä,Ä,a\u{308},ß,ss,é,日本,\u{ffff},\u{10ffff}";
    let mut keys: Vec<&str> = keys.split(',').chain(["~record", "'\\", "%_", "$1"]).collect();
    keys.extend([&*long, &*longer]);
    let unit = "\0'\\~✓ü";
    let most = unit.repeat(65_536 / unit.len());
    let value = |key: &str| if key == "日本" { most.clone() } else { format!("of {key}") };
    let facts: Vec<Fact> = keys.iter().map(|key| entry("x", key, Some(&value(key)))).collect();
    commit(&mut *store, &facts);
    keys.sort_unstable();
    let found = store.reader().unwrap().entries("x").unwrap();
    assert_eq!(found.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), keys);
    assert!(found.iter().all(|(key, text)| **text == *value(key)), "a value is another");
    // Each is taken away alone.
    while let Some(key) = keys.pop() {
        commit(&mut *store, &[entry("x", key, None)]);
        let found = store.reader().unwrap().entries("x").unwrap();
        assert_eq!(found.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), keys);
    }
}

/// An entry comes with what it is written with, and a claim that is lost does not touch it.
fn entries_are_part_of_a_commit(bed: &dyn Bed) {
    let mut store = fresh(bed);
    commit(&mut *store, &[admitted(1, "a", 10)]);
    let facts = [
        entry("x", "first", Some("1")),
        admitted(2, "a", 10),
        ended(1, "a", Outcome::Succeeded, 12),
        entry("x", "last", Some("2")),
        Fact::Withdrawn { run: RunId(2) },
    ];
    assert_eq!(commit(&mut *store, &facts), [2]);
    let found = store.reader().unwrap().entries("x").unwrap();
    assert_eq!(found.iter().map(|(key, _)| &**key).collect::<Vec<_>>(), ["first", "last"]);
    assert_eq!(all(&*store)[0].outcome, Some(Outcome::Succeeded));
}

fn sessions_one_after_the_other(bed: &dyn Bed) {
    let mut store = fresh(bed);
    commit(&mut *store, &[Fact::Began(session(1, 0)), admitted(1, "a", 30)]);
    commit(&mut *store, &[Fact::Began(session(2, 40))]);
    commit(&mut *store, &[starting(1, 1)]);
    commit(&mut *store, &[started(1, 1, 50), starting(1, 1)]);
    let found = store.reader().unwrap().sessions().unwrap();
    let times: Vec<_> = found.iter().map(|it| (it.began, it.seen, it.stopped)).collect();
    assert_eq!(times, [(at(0), at(30), None), (at(40), at(50), None)]);
}

fn the_past_is_bounded(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let day = 86_400;
    commit(&mut *store, &[Fact::Began(session(1, 0)), Fact::Job(job("a", 0).into())]);
    commit(&mut *store, &[Fact::Job(job("yearly", 0).into()), Fact::Job(job("gone", 0).into())]);
    commit(&mut *store, &[admitted(1, "a", 1), starting(1, 1)]);
    commit(&mut *store, &whole(2, "yearly", 2, Outcome::Succeeded));
    commit(&mut *store, &whole(3, "gone", 3, Outcome::Succeeded));
    commit(&mut *store, &[Fact::Change(change(None, 4))]);
    for run in 10..500 {
        commit(&mut *store, &whole(run, "a", run as i64, Outcome::Succeeded));
    }
    commit(&mut *store, &[fate("a", 600, 700, 11, Outcome::Coalesced)]);
    commit(&mut *store, &[Fact::Gone { job: "gone".into() }]);
    let keep = Limits { runs: 20, days: 30 };
    tidy(&mut *store, keep, at(1000));
    let of_a = Query { job: Some("a".into()), ..Query::default() };
    // What is open stays, however old, and the newest twenty.
    let mut expected: Vec<u64> = (481..500).rev().collect();
    expected.push(1);
    assert_eq!(runs(&*store, &of_a), expected);
    let reader = &mut *store.reader().unwrap();
    assert_eq!(reader.output(RunId(480)).unwrap(), None);
    assert_eq!(reader.attempts(RunId(480)).unwrap(), []);
    assert!(reader.output(RunId(481)).unwrap().is_some());
    assert_eq!(all(&*store).len(), 23);
    // By age: of each job that is there the last one stays, and its last run.
    tidy(&mut *store, keep, at(31 * day));
    let left: Vec<_> = all(&*store).iter().map(|it| (it.job.clone(), it.run)).collect();
    let run = |run| Some(RunId(run));
    let rows = [("a", None), ("a", run(499)), ("yearly", run(2)), ("a", run(1))];
    let expected = rows.map(|(job, run)| (Box::from(job), run));
    assert_eq!(left, expected);
    assert_eq!(seen_of(&*store).changes, []);
    assert_eq!(seen_of(&*store).sessions.len(), 1);
    // No number comes twice, although nothing has it any more.
    assert_eq!(store.restore().unwrap().next_run, 500);
    drop(store);
    assert_eq!(bed.open().restore().unwrap().next_run, 500);
}

/// However long a holiday is, the runs before it stay: due times that are excluded are counted by
/// themselves, and no more of them are kept than of the others.
fn excluded_due_times_displace_no_run(bed: &dyn Bed) {
    let mut store = fresh(bed);
    commit(&mut *store, &[Fact::Job(job("a", 0).into())]);
    let excluded =
        |due| fate("a", due, due, 1, Outcome::Skipped(SkipReason::excluded("holidays: New Year")));
    let of_runs = |store: &dyn Store| runs(store, &Query::default());
    let count = |store: &dyn Store| {
        let of = |record: &RunRecord| record.outcome.as_ref().is_some_and(Outcome::is_excluded);
        all(store).iter().filter(|record| of(record)).count()
    };
    let keep = Limits { runs: 20, days: 30 };
    for run in 1..=30 {
        commit(&mut *store, &whole(run, "a", run as i64, Outcome::Succeeded));
    }
    let newest: Vec<u64> = (11..=30).rev().collect();
    // One at a time, as they come: each is one too many by then.
    for due in 100..=600 {
        commit(&mut *store, &[excluded(due)]);
        if due % 50 == 0 || due > 590 {
            tidy(&mut *store, keep, at(1000));
            let kept = (due as usize - 99).min(20);
            assert_eq!((of_runs(&*store), count(&*store)), (newest.clone(), kept), "{due}");
        }
    }
    // And the holiday keeps no run longer.
    for run in 31..=45 {
        commit(&mut *store, &whole(run, "a", 700 + run as i64, Outcome::Succeeded));
        commit(
            &mut *store,
            &[fate("a", 800 + run as i64, 800 + run as i64, 1, Outcome::Coalesced)],
        );
    }
    tidy(&mut *store, keep, at(1000));
    let newest: Vec<u64> = (36..=45).rev().collect();
    assert_eq!((of_runs(&*store), count(&*store)), (newest, 20));
    tidy(&mut *store, keep, at(40 * 86_400));
    assert_eq!((of_runs(&*store), count(&*store)), (vec![45], 0));
    drop(store);
    // What is kept apart is known after a restart too, and where the limits are others.
    let mut store = fresh(bed);
    for due in 900..930 {
        commit(&mut *store, &[excluded(due)]);
    }
    drop(store);
    let mut store = fresh(bed);
    let keep = Limits { runs: 3, days: 30 };
    tidy(&mut *store, keep, at(1000));
    assert_eq!(count(&*store), 3);
    // Also what had begun as a run.
    let outcome = || Outcome::Skipped(SkipReason::excluded("holidays: New Year"));
    for run in 50..60 {
        commit(&mut *store, &whole(run, "b", run as i64, outcome()));
        commit(&mut *store, &whole(run + 10, "b", 1 + run as i64 * 10, Outcome::Succeeded));
    }
    tidy(&mut *store, keep, at(1000));
    assert_eq!((of_runs(&*store).len(), count(&*store)), (1 + 2 * 3, 2 * 3));
}

/// What was written while the clock was ahead stays until its time, and keeps nothing else.
fn records_from_ahead_keep_none_behind_them(bed: &dyn Bed) {
    let day = 86_400;
    let mut store = fresh(bed);
    for name in ["busy", "idle"] {
        for due in 0..3 {
            let run = due * 2 + u64::from(name == "idle") + 1;
            // The second is from far ahead.
            let due = due as i64 * 10 + if due == 1 { 900 * day } else { 0 };
            commit(&mut *store, &whole(run, name, due, Outcome::Succeeded));
        }
    }
    let keep = Limits { runs: 20, days: 30 };
    tidy(&mut *store, keep, at(40 * day));
    assert_eq!(runs(&*store, &Query::default()), [4, 3]);
    tidy(&mut *store, keep, at(960 * day));
    assert_eq!(runs(&*store, &Query::default()), [0; 0]);
}

/// Limits may be others after a restart, and then hold for jobs that have nothing new.
fn new_limits_hold_for_all(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let mut run = 0;
    for name in 0..50 {
        for due in 0..10 {
            run += 1;
            commit(&mut *store, &whole(run, &format!("job{name}"), due, Outcome::Succeeded));
        }
    }
    tidy(&mut *store, Limits { runs: 10, days: 30 }, at(0));
    assert_eq!(all(&*store).len(), 500);
    drop(store);
    let mut store = fresh(bed);
    tidy(&mut *store, Limits { runs: 3, days: 30 }, at(0));
    assert_eq!(all(&*store).len(), 150);
}

fn a_reader_sees_what_comes(bed: &dyn Bed) {
    let mut store = fresh(bed);
    let mut reader = store.reader().unwrap();
    for run in 1..5 {
        commit(&mut *store, &[admitted(run, "a", run as i64)]);
        assert_eq!(reader.records(&Query::default()).unwrap().len(), run as usize);
    }
}

/// In memory: all handles are of the same store, as long as the bed is there.
pub(crate) struct InMemory(pub(crate) Memory);

impl Bed for InMemory {
    fn open(&self) -> Box<dyn Store> {
        Box::new(self.0.clone())
    }

    fn beside(&self) -> Option<Box<dyn Store>> {
        Some(self.open())
    }
}

/// In a file.
#[cfg(feature = "sqlite")]
pub(crate) struct InFile(pub(crate) tempfile::TempDir);

#[cfg(feature = "sqlite")]
impl InFile {
    pub(crate) fn new() -> InFile {
        InFile(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("x.db")
    }
}

#[cfg(feature = "sqlite")]
impl Bed for InFile {
    fn open(&self) -> Box<dyn Store> {
        let (store, warnings) = schedrs::store::sqlite::Sqlite::open(&self.path(), false).unwrap();
        assert_eq!(warnings, [""; 0]);
        Box::new(store)
    }
}

/// In a schema of its own on the server of this test program.
#[cfg(feature = "postgres")]
pub(crate) struct InPostgres(schedrs::store::url::SharedUrl);

#[cfg(feature = "postgres")]
impl InPostgres {
    /// `None`: this machine has no server.
    pub(crate) fn new() -> Option<InPostgres> {
        let server = crate::servers::Server::shared(crate::servers::Engine::Postgres)?;
        schedrs::store::url::SharedUrl::parse(&server.fresh()).map(InPostgres)
    }
}

#[cfg(feature = "postgres")]
impl Bed for InPostgres {
    fn open(&self) -> Box<dyn Store> {
        Box::new(schedrs::store::postgres::Postgres::open(&self.0).unwrap())
    }

    fn beside(&self) -> Option<Box<dyn Store>> {
        Some(self.open())
    }
}

/// A place of its own on the server of this test program.
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "redis"))]
pub(crate) struct OnServer(schedrs::store::location::Location);

#[cfg(any(feature = "mongodb", feature = "mysql", feature = "redis"))]
impl OnServer {
    /// `None`: this machine has no such server, which is said.
    pub(crate) fn new(engine: crate::servers::Engine) -> Option<OnServer> {
        let url = crate::servers::Server::shared(engine)?.fresh();
        let location = schedrs::store::location::Location::parse(&url, std::path::Path::new("/"));
        Some(OnServer(location.unwrap()))
    }
}

#[cfg(any(feature = "mongodb", feature = "mysql", feature = "redis"))]
impl Bed for OnServer {
    fn open(&self) -> Box<dyn Store> {
        schedrs::store::location::open(&self.0).unwrap().store
    }

    fn beside(&self) -> Option<Box<dyn Store>> {
        Some(self.open())
    }
}

macro_rules! contract {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() {
                super::$name(&super::InMemory(super::Memory::new()));
            })*
        }

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[test] fn $name() {
                super::$name(&super::InFile::new());
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[test] fn $name() {
                let Some(bed) = super::InPostgres::new() else { return };
                super::$name(&bed);
            })*
        }

        #[cfg(feature = "mysql")]
        mod mysql {
            $(#[test] fn $name() {
                let bed = super::OnServer::new(crate::servers::Engine::Mariadb);
                bed.iter().for_each(|bed| super::$name(bed));
            })*
        }

        #[cfg(feature = "redis")]
        mod redis {
            $(#[test] fn $name() {
                let bed = super::OnServer::new(crate::servers::Engine::Redis);
                bed.iter().for_each(|bed| super::$name(bed));
            })*
        }

        #[cfg(feature = "mongodb")]
        mod mongodb {
            $(#[test] fn $name() {
                let bed = super::OnServer::new(crate::servers::Engine::Mongodb);
                bed.iter().for_each(|bed| super::$name(bed));
            })*
        }
    };
}

contract! {
    an_empty_one_knows_nothing
    every_fact_comes_back
    of_two_claims_one_wins
    of_many_at_once_one_wins
    facts_may_come_twice
    it_does_not_matter_what_is_committed_together
    the_last_word_holds
    a_run_that_has_just_begun_is_found_like_any_other
    a_fate_stays
    what_is_decided_grows
    a_run_can_be_taken_back
    what_was_postponed_has_not_begun
    a_number_that_comes_again
    a_job_that_is_gone_leaves_its_past
    attempts_in_their_order
    output_is_kept_as_it_came
    what_was_used_and_printed
    queries
    how_jobs_have_fared
    changes_of_a_job_and_of_all
    entries_of_lists
    entries_are_told_apart_by_their_bytes
    entries_are_part_of_a_commit
    sessions_one_after_the_other
    the_past_is_bounded
    records_from_ahead_keep_none_behind_them
    excluded_due_times_displace_no_run
    new_limits_hold_for_all
    a_reader_sees_what_comes
}
