//! What every store does that several schedulers share. An engine that is to follow gets a line at
//! the end, as in `contract`.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use schedrs::event::RunId;
use schedrs::fleet::{Lost, Member, SPARE_RUNS, SessionId, Standing, View};
use schedrs::instant::Instant;
use schedrs::outcome::{MissReason, Outcome, SkipReason};
use schedrs::store::shared::{Asked, Committed, EARLY, RUN_NUMBERS, Shared};
use schedrs::store::{Entries, Fact, Limits, Query, RunRecord, Store, Trouble};

use crate::contract::{Bed, find, tidy};
use crate::facts::*;

/// Two handles, with a session each.
struct Pair {
    a: Box<dyn Store>,
    b: Box<dyn Store>,
}

const A: SessionId = SessionId(0xa);
/// All bits of an id count.
const B: SessionId = SessionId(u64::MAX);

fn member(id: SessionId, host: &str) -> Member {
    Member {
        labels: ["disk".into(), "eu ✓".into()].into(),
        machine: host.into(),
        boot: "b007".into(),
        mark: u32::MAX,
        process: process(4711),
        version: "0.1.0".into(),
        tzdata: "2026a".into(),
        jobfile: "/etc/schedrs/jobs.toml".into(),
        jobfile_hash: u64::MAX - 1,
        offset: -17,
        jobs_at_home: 3,
        running: 1,
        ..Member::new(id, host)
    }
}

fn shared(store: &mut dyn Store) -> &mut dyn Shared {
    store.shared().expect("a store that can be shared")
}

impl Pair {
    /// Both have joined.
    fn new(bed: &dyn Bed) -> Pair {
        let mut pair = Pair { a: bed.open(), b: bed.beside().expect("another handle") };
        pair.a.restore().unwrap();
        pair.b.restore().unwrap();
        pair.a().join(&member(A, "web1"), &jobs()).unwrap();
        pair.b().join(&member(B, "web2"), &jobs()).unwrap();
        pair
    }

    fn a(&mut self) -> &mut dyn Shared {
        shared(&mut *self.a)
    }

    fn b(&mut self) -> &mut dyn Shared {
        shared(&mut *self.b)
    }

    fn records(&self) -> Vec<RunRecord> {
        self.a.reader().unwrap().records(&Query::default()).unwrap()
    }

    fn outcome(&self, run: u64) -> Option<Outcome> {
        let query = Query { run: Some(RunId(run)), ..Query::default() };
        let found = self.a.reader().unwrap().records(&query).unwrap();
        assert_eq!(found.len(), 1, "run {run}");
        found[0].outcome.clone()
    }

    fn view(&mut self) -> View {
        self.a().beat(&member(A, "web1")).unwrap()
    }

    /// A beat of the first session, which has had so many acknowledged.
    fn beat_as(&mut self, acked: u64) -> View {
        let me = Member { beat: acked, generation: 7, ..member(A, "web1") };
        self.a().beat(&me).unwrap()
    }

    fn beat_of(&mut self, id: SessionId) -> u64 {
        let view = self.view();
        view.members.iter().find(|member| member.id == id).expect("is known").beat
    }
}

fn jobs() -> Vec<(Box<str>, u64)> {
    vec![("a".into(), u64::MAX), ("b \0 ✓".into(), 0)]
}

/// A claim of the only slot.
fn claim(run: u64, job: &str, due: i64) -> Fact {
    in_slot(run, job, due, Some(0), None)
}

fn in_slot(run: u64, job: &str, due: i64, slot: Option<u16>, host: Option<&str>) -> Fact {
    let (due, host) = (at(due), host.map(Box::from));
    Fact::Admitted { run: RunId(run), job: job.into(), due, at: due, by: None, host, slot }
}

fn begun(run: u64, job: &str, due: i64) -> Vec<Fact> {
    vec![claim(run, job, due), starting(run, 1)]
}

fn lost(committed: &Committed) -> Vec<(u64, Lost)> {
    committed.lost.iter().map(|(run, lost)| (run.0, *lost)).collect()
}

fn a_session_is_as_it_was_written(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let view = pair.view();
    assert_eq!(view.me, Standing::Alive { beat: 2 });
    let found = view.members.iter().find(|member| member.id == B).unwrap();
    assert!(found.joined > at(0) && found.joined <= view.now, "{found:?}");
    assert_eq!((found.seen, found.loaded), (found.joined, found.joined));
    let (joined, seen, loaded) = (found.joined, found.seen, found.loaded);
    assert_eq!(*found, Member { joined, seen, loaded, beat: 1, ..member(B, "web2") });
    assert_eq!(view.members.len(), 2);
    // What a beat says of it is written, and only that.
    let me = Member { offset: 5, running: 9, jobs_at_home: 8, generation: 7, ..member(B, "web2") };
    let before = pair.view().changes;
    let view = pair.b().beat(&me).unwrap();
    let found = view.members.iter().find(|member| member.id == B).unwrap();
    assert_eq!((found.offset, found.running, found.jobs_at_home), (5, 9, 8));
    assert_eq!((found.generation, found.beat, found.joined), (7, 2, joined));
    assert_eq!(view.changes, before, "a beat is no change");
    let members = pair.a.reader().unwrap().members().unwrap();
    assert_eq!(members.len(), 2);
    assert_eq!(pair.a().files(&[1, u64::MAX - 1]).unwrap(), [(u64::MAX - 1, jobs())]);
}

fn a_restart_is_no_new_load(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let first = pair.view().members[0].loaded;
    let again = member(SessionId(7), "web1");
    let view = pair.b().join(&again, &jobs()).unwrap();
    let loaded =
        |view: &View, id| view.members.iter().find(|m| m.id == SessionId(id)).unwrap().loaded;
    assert_eq!(loaded(&view, 7), first, "two sessions of one host have the file since the first");
    let other = Member { jobfile_hash: 5, ..again };
    let view = pair.b().join(&other, &[("c".into(), 1)]).unwrap();
    assert!(loaded(&view, 7) > first);
    let mut files = pair.a().files(&[5, u64::MAX - 1]).unwrap();
    files.sort();
    assert_eq!(files, [(5, vec![("c".into(), 1)]), (u64::MAX - 1, jobs())]);
}

fn of_two_sessions_one_wins(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let done = pair.a().commit(A, 0, &begun(1, "a", 10)).unwrap();
    assert_eq!((lost(&done), done.beat), (vec![], 2));
    // The other is told who has it, and what it says of its run changes nothing.
    let mut facts = begun(301, "a", 10);
    facts.push(ended(301, "a", Outcome::Failed(1), 12));
    facts.extend(begun(302, "b", 10));
    let done = pair.b().commit(B, 0, &facts).unwrap();
    assert_eq!(lost(&done), [(301, Lost::Taken { session: A, run: RunId(1) })]);
    assert_eq!(pair.records().len(), 2);
    assert_eq!(pair.outcome(1), None);
    // Whoever has it may say so again.
    assert_eq!(lost(&pair.a().commit(A, 0, &begun(1, "a", 10)).unwrap()), []);
    // A fate is one as well.
    let late = Outcome::Missed(MissReason::Late(secs(9)));
    pair.a().commit(A, 0, &[fate("a", 20, 20, 1, late)]).unwrap();
    let done = pair.b().commit(B, 0, &begun(303, "a", 20)).unwrap();
    assert_eq!(lost(&done), [(303, Lost::Taken { session: A, run: RunId(0) })]);
}

/// While two take a job for theirs each may decide what the other has: no due time has two records.
fn records_do_not_overlap(bed: &dyn Bed) {
    let on = |host: Option<&str>, fact: Fact| match (fact, host) {
        (Fact::Fate { job, due, last_due, count, outcome, at, .. }, Some(host)) => {
            let host = Some(host.into());
            Fact::Fate { job, due, last_due, count, outcome, at, host }
        }
        (fact, _) => fact,
    };
    let late = || Outcome::Missed(MissReason::Late(secs(9)));
    let missed = |due, last| fate("a", due, last, 1 + (last - due) as u64 / 10, late());
    let by_hand = |run, due| match in_slot(run, "a", due, None, None) {
        Fact::Admitted { run, job, due, at, host, slot, .. } => {
            Fact::Admitted { run, job, due, at, by: Some("bob".into()), host, slot }
        }
        fact => fact,
    };
    let free = |run, due| in_slot(run, "a", due, None, None);
    let ended = |run| {
        let duration = Duration::from_secs(1);
        let (outcome, at) = (Outcome::Succeeded, at(99));
        let job = "a".into();
        Fact::Ended { run: RunId(run), job, outcome, duration, attempts: 1, at, usage: None }
    };
    let mut pair = Pair::new(bed);
    let known =
        [Fact::Job(job("a", 0).into()), missed(20, 40), by_hand(1, 65), free(2, 80), ended(2)];
    assert_eq!(lost(&pair.a().commit(A, 0, &known).unwrap()), []);
    let taken = Lost::Taken { session: A, run: RunId(0) };
    let rows: [(Fact, Option<Lost>, bool); 15] = [
        // What is told, why it is lost, whether there is one record more.
        (free(10, 20), Some(taken), false),
        (free(11, 30), Some(taken), false),
        (free(12, 40), Some(taken), false),
        (by_hand(13, 35), None, true),
        (missed(30, 30), None, false),
        (missed(40, 40), None, false),
        (missed(10, 20), None, false),
        (missed(30, 50), None, false),
        (missed(10, 50), None, false),
        (missed(70, 90), None, false),
        (missed(80, 100), None, false),
        // As on a host for itself, and where there is room.
        (on(Some("web2"), missed(10, 50)), None, true),
        (free(14, 10), None, true),
        (missed(50, 70), None, true),
        (free(15, 90), None, true),
    ];
    for (place, (fact, why, is_new)) in rows.into_iter().enumerate() {
        let before = pair.records().len();
        let done = pair.b().commit(B, 0, std::slice::from_ref(&fact)).unwrap();
        let why: Vec<Lost> = why.into_iter().collect();
        let found: Vec<Lost> = done.lost.iter().map(|(_, lost)| *lost).collect();
        let new = pair.records().len() - before;
        assert_eq!((found, new), (why, usize::from(is_new)), "row {place}: {fact:?}");
        // What is told twice is the same.
        assert_eq!(lost(&pair.b().commit(B, 0, &[fact]).unwrap()), lost(&done), "row {place}");
        assert_eq!(pair.records().len(), before + new, "row {place}");
    }
    // A record that is tidied away is in nobody's way.
    tidy(&mut *pair.a, Limits { runs: 1, days: 1 }, at(1_000_000));
    assert_eq!(lost(&pair.b().commit(B, 0, &[free(16, 30)]).unwrap()), []);
}

/// Three that consider a job theirs: two have missed due times, the third claims one of these.
fn records_of_the_same_moment_do_not_overlap(bed: &dyn Bed) {
    const ROUNDS: i64 = 20;
    let mut first = bed.open();
    first.restore().unwrap();
    let stores: Vec<Box<dyn Store>> =
        (0..3).map(|_| bed.beside().expect("another handle")).collect();
    let barrier = &Barrier::new(stores.len());
    let write = |(number, mut store): (u64, Box<dyn Store>)| {
        // The one that claims is neither the first nor the last of them.
        let me = member(SessionId([1, 3, 2][number as usize]), &format!("web{number}"));
        store.restore().unwrap();
        shared(&mut *store).join(&me, &jobs()).unwrap();
        let mut won = Vec::new();
        for round in 0..ROUNDS {
            let due = |offset: i64| round * 100 + offset;
            let late = || Outcome::Missed(MissReason::Late(secs(9)));
            let run = 1000 + round as u64;
            let fact = match number {
                0 => fate("a", due(20), due(40), 3, late()),
                1 => fate("a", due(30), due(50), 3, late()),
                _ => in_slot(run, "a", due(40), None, None),
            };
            barrier.wait();
            let done = shared(&mut *store).commit(me.id, 0, &[fact]).unwrap();
            if done.lost.is_empty() {
                won.push(RunId(run));
            }
        }
        won
    };
    let won = thread::scope(|scope| {
        let all: Vec<_> = (0..).zip(stores).map(|each| scope.spawn(|| write(each))).collect();
        all.into_iter().map(|one| one.join().unwrap()).last().unwrap()
    });
    let query = Query { limit: 1000, ..Query::default() };
    let records = first.reader().unwrap().records(&query).unwrap();
    for round in 0..ROUNDS {
        let within =
            |record: &&RunRecord| (at(round * 100)..at(round * 100 + 100)).contains(&record.due);
        let mut of: Vec<&RunRecord> = records.iter().filter(within).collect();
        of.sort_by_key(|record| record.due);
        assert!(!of.is_empty(), "round {round}: nobody");
        let apart = of.windows(2).all(|two| two[0].last_due < two[1].due);
        assert!(apart, "round {round}: {of:#?}");
        let run = RunId(1000 + round as u64);
        let is_there = of.iter().any(|record| record.run == Some(run));
        assert_eq!(is_there, won.contains(&run), "round {round}: {of:#?}");
    }
}

fn a_busy_slot_refuses(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    pair.a().commit(A, 0, &begun(1, "a", 10)).unwrap();
    let done = pair.b().commit(B, 0, &begun(301, "a", 20)).unwrap();
    assert_eq!(lost(&done), [(301, Lost::Busy { session: A })]);
    // Its due time is not decided by that. Another slot, or none, is free.
    let facts = [in_slot(302, "a", 20, Some(1), None), in_slot(303, "a", 30, None, None)];
    assert_eq!(lost(&pair.b().commit(B, 0, &facts).unwrap()), []);
    // An end frees it, for what follows in the same commit as well.
    let mut facts = vec![ended(1, "a", Outcome::Succeeded, 40)];
    facts.extend(begun(2, "a", 40));
    assert_eq!(lost(&pair.a().commit(A, 0, &facts).unwrap()), []);
    let done = pair.b().commit(B, 0, &begun(304, "a", 50)).unwrap();
    assert_eq!(lost(&done), [(304, Lost::Busy { session: A })]);
    // And so does being taken back.
    pair.a().commit(A, 0, &[ended(2, "a", Outcome::Succeeded, 60), claim(3, "a", 60)]).unwrap();
    pair.a().commit(A, 0, &[Fact::Withdrawn { run: RunId(3) }]).unwrap();
    assert_eq!(lost(&pair.b().commit(B, 0, &begun(305, "a", 60)).unwrap()), []);
}

/// What was acknowledged is told again to a store that has a part of it.
fn an_end_that_was_forgotten_frees_its_slot(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    pair.a().commit(A, 0, &begun(1, "a", 10)).unwrap();
    let mut facts = begun(1, "a", 10);
    facts.push(started(1, 1, 11));
    facts.push(ended(1, "a", Outcome::Succeeded, 12));
    facts.extend(begun(2, "a", 20));
    facts.push(ended(2, "a", Outcome::Succeeded, 22));
    facts.extend(begun(3, "a", 30));
    assert_eq!(lost(&pair.a().commit(A, 0, &facts).unwrap()), []);
    assert_eq!(pair.outcome(1), Some(Outcome::Succeeded));
    assert_eq!(pair.outcome(2), Some(Outcome::Succeeded));
    assert_eq!(pair.outcome(3), None);
    let done = pair.b().commit(B, 0, &begun(301, "a", 40)).unwrap();
    assert_eq!(lost(&done), [(301, Lost::Busy { session: A })]);
}

fn each_host_has_its_own(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let own = |run, host| in_slot(run, "a", 10, Some(0), Some(host));
    assert_eq!(lost(&pair.a().commit(A, 0, &[own(1, "web1")]).unwrap()), []);
    assert_eq!(lost(&pair.b().commit(B, 0, &[own(301, "web2")]).unwrap()), []);
    let done = pair.b().commit(B, 0, &[own(302, "web1")]).unwrap();
    assert_eq!(lost(&done), [(302, Lost::Taken { session: A, run: RunId(1) })]);
    let hosts: Vec<_> = pair.records().into_iter().map(|record| record.host).collect();
    assert_eq!(hosts, [Some("web2".into()), Some("web1".into())]);
    let query = Query { host: Some("web2".into()), ..Query::default() };
    let found = pair.a.reader().unwrap().records(&query).unwrap();
    assert_eq!(found.iter().map(|record| record.run).collect::<Vec<_>>(), [Some(RunId(301))]);
}

fn what_is_early_is_refused(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let now = pair.view().now;
    let in_micros = |micros: i64| {
        let due = Instant::from_micros(now.micros() + EARLY + micros);
        let (run, job) = (RunId(micros as u64), "a".into());
        Fact::Admitted { run, job, due, at: due, by: None, host: None, slot: None }
    };
    let done = pair.a().commit(A, 0, &[in_micros(3_600_000_000)]).unwrap();
    let [(3_600_000_000, Lost::Early { by })] = lost(&done)[..] else { panic!("{done:?}") };
    assert!(by > Duration::from_secs(3590) && by <= Duration::from_secs(3602), "{by:?}");
    assert_eq!(pair.records(), []);
}

fn a_fenced_commit_changes_nothing(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let unknown = pair.a().commit(SessionId(9), 0, &begun(1, "a", 10)).unwrap_err();
    assert_eq!(unknown.kind, Trouble::Fenced);
    let beat = pair.beat_of(B);
    assert_eq!(pair.a().reap(A, B, beat), Ok(true));
    let put = entry("x", "k", Some("v"));
    let facts = [claim(301, "a", 10), Fact::Job(job("a", 0).into()), put.clone()];
    assert_eq!(pair.b().commit(B, 0, &facts).unwrap_err().kind, Trouble::Fenced);
    assert_eq!(pair.b().commit(B, 0, &[put]).unwrap_err().kind, Trouble::Fenced);
    assert_eq!(pair.records(), []);
    assert_eq!(pair.a.reader().unwrap().lists(), Ok(vec![]));
    assert_eq!(pair.a.reader().unwrap().job("a"), Ok(None));
    let view = pair.b().beat(&member(B, "web2")).unwrap();
    assert_eq!(view.me, Standing::Gone);
    let found = view.members.iter().find(|member| member.id == B).unwrap();
    assert_eq!((found.beat, found.gone.unwrap().by), (beat, A), "it stays as it was");
    // Also if it joins again by the same id.
    assert_eq!(pair.b().join(&member(B, "web2"), &jobs()).unwrap().me, Standing::Gone);
}

/// All write the same lists, and read what the others have written.
fn entries_are_everybodys(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let changes = pair.view().changes;
    let facts = [entry("x", "a", Some("1")), entry("x", "b", Some("1")), entry("y", "a", None)];
    pair.a().commit(A, 0, &facts).unwrap();
    pair.b().commit(B, 0, &[entry("x", "a", Some("2")), entry("x", "b", None)]).unwrap();
    for store in [&pair.a, &pair.b] {
        let found = store.reader().unwrap().entries("x").unwrap();
        assert_eq!(found, [("a".into(), "2".into())]);
    }
    assert_eq!(pair.view().changes, changes, "nobody has to look at jobs for that");
    // What is early or taken is lost; what was said with it is not.
    let facts = [claim(1, "a", 10), entry("x", "c", Some("3"))];
    pair.a().commit(A, 0, &facts).unwrap();
    let done = pair.b().commit(B, 0, &[claim(301, "a", 10), entry("x", "d", Some("4"))]).unwrap();
    assert_eq!(lost(&done).len(), 1);
    assert_eq!(pair.b.reader().unwrap().entries("x").unwrap().len(), 3);
}

/// Hosts that write the same entries in different orders do not get stuck in each other's way.
fn four_write_the_same_entries(bed: &dyn Bed) {
    const ROUNDS: u64 = 20;
    let mut stores: Vec<Box<dyn Store>> = vec![bed.open()];
    stores.extend((1..4).map(|_| bed.beside().expect("another handle")));
    let barrier = &Barrier::new(stores.len());
    let write = |(number, mut store): (u64, Box<dyn Store>)| {
        let me = member(SessionId(number + 1), &format!("web{number}"));
        store.restore().unwrap();
        shared(&mut *store).join(&me, &jobs()).unwrap();
        let own = |round: u64| format!("{number}.{round}");
        for round in 0..ROUNDS {
            let mut keys: Vec<String> = (0..10).map(|key| format!("k{key}")).collect();
            if (number + round) % 2 == 0 {
                keys.reverse();
            }
            let value = own(round);
            let mut facts = vec![entry("out", &value, Some("x"))];
            facts.extend(keys.iter().map(|key| entry("told", key, Some(&value))));
            // What it has written before, and what is not there.
            facts.push(entry("out", &own(round.wrapping_sub(1)), None));
            barrier.wait();
            shared(&mut *store).commit(me.id, 0, &facts).unwrap();
        }
    };
    thread::scope(|scope| {
        (0..).zip(stores).for_each(|each| drop(scope.spawn(|| write(each))));
    });
    let mut reader = bed.beside().expect("another handle").reader().unwrap();
    let last: Vec<String> = (0..4).map(|number| format!("{number}.{}", ROUNDS - 1)).collect();
    let keys = |entries: Entries| entries.into_iter().map(|(key, _)| key.into_string());
    assert_eq!(keys(reader.entries("out").unwrap()).collect::<Vec<_>>(), last);
    let told = reader.entries("told").unwrap();
    assert_eq!(told.len(), 10);
    assert!(told.iter().all(|(_, value)| last.iter().any(|last| **last == **value)), "{told:?}");
}

/// A session knows of a beat that the store has forgotten, and of a session.
fn a_store_that_has_forgotten_a_beat_takes_nothing(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let beat = pair.a().commit(A, 0, &begun(1, "a", 10)).unwrap().beat;
    let mut facts = begun(2, "b", 10);
    facts.extend([ended(1, "a", Outcome::Succeeded, 12), Fact::Job(job("a", 0).into())]);
    facts.extend([Fact::AllPaused(Some(pause(3))), entry("x", "k", Some("v"))]);
    for acked in [beat + 1, beat + 2, u64::MAX >> 1] {
        let changes = pair.beat_as(acked).changes;
        let error = pair.a().commit(A, acked, &facts).unwrap_err();
        assert_eq!(error.kind, Trouble::WentBack, "{error}");
        let error = pair.a().adopt(A, acked, &[(RunId(1), A)]).unwrap_err();
        assert_eq!(error.kind, Trouble::WentBack, "{error}");
        let view = pair.beat_as(acked);
        assert_eq!((view.me, view.changes), (Standing::Alive { beat }, changes));
        let one = pair.a().commit(A, acked, &[entry("x", "k", Some("v"))]).unwrap_err();
        assert_eq!(one.kind, Trouble::WentBack);
        let again = Member { beat: acked, jobfile_hash: 5, generation: 7, ..member(A, "web1") };
        let view = pair.a().join(&again, &jobs()).unwrap();
        assert_eq!(view.me, Standing::Alive { beat });
        let found = view.members.iter().find(|member| member.id == A).unwrap();
        assert_eq!((found.beat, found.generation), (beat, 0), "nothing of it is written");
        assert_eq!(found.jobfile_hash, u64::MAX - 1);
    }
    let unknown = pair.a().commit(SessionId(9), 1, &facts).unwrap_err();
    assert_eq!(unknown.kind, Trouble::WentBack, "it is forgotten");
    let unknown = pair.a().adopt(SessionId(9), 1, &[]).unwrap_err();
    assert_eq!(unknown.kind, Trouble::WentBack);
    assert_eq!((pair.records().len(), pair.outcome(1)), (1, None));
    assert_eq!(pair.a.reader().unwrap().job("a"), Ok(None));
    assert_eq!(pair.a().take_up(&[]).unwrap().all_paused, None);
    assert_eq!(pair.a.reader().unwrap().lists(), Ok(vec![]));
    // What a store has that is not behind counts, also where it is ahead: that answer did not arrive.
    assert_eq!(pair.a().commit(A, beat, &facts).unwrap().beat, beat + 1);
    let beat = pair.a().adopt(A, beat, &[]).unwrap().beat;
    assert_eq!(pair.beat_as(beat).me, Standing::Alive { beat: beat + 1 });
    let view = pair.a().join(&Member { beat, ..member(A, "web1") }, &jobs()).unwrap();
    assert_eq!(view.me, Standing::Alive { beat: beat + 2 }, "another file is a beat as well");
    // Who is gone is told that, whatever is forgotten.
    assert_eq!(pair.b().reap(B, A, beat + 2), Ok(true));
    assert_eq!(pair.a().commit(A, beat + 9, &facts).unwrap_err().kind, Trouble::Fenced);
    assert_eq!(pair.beat_as(beat + 9).me, Standing::Gone);
}

fn a_commit_tells_that_something_has_changed(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let known = pair.view().changes;
    let quiet = pair.a().commit(A, 0, &begun(1, "a", 10)).unwrap();
    assert_eq!(quiet.changes, known);
    pair.b().join(&member(SessionId(33), "web3"), &jobs()).unwrap();
    let news = pair.a().commit(A, 0, &begun(2, "a", 20)).unwrap();
    assert_ne!(news.changes, known);
    assert_eq!(news.changes, pair.view().changes);
}

fn a_beat_is_faster_than_a_reap(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let beat = pair.beat_of(B);
    pair.b().commit(B, 0, &begun(301, "a", 10)).unwrap();
    let changes = pair.view().changes;
    assert_eq!(pair.a().reap(A, B, beat), Ok(false));
    assert_eq!(pair.outcome(301), None);
    assert_eq!(pair.view().changes, changes);
    let beat = pair.beat_of(B);
    assert_eq!(pair.a().reap(A, B, beat), Ok(true));
    assert_eq!(pair.a().reap(A, B, beat), Ok(false), "only once");
    assert!(pair.view().changes > changes);
    assert_eq!(pair.a().reap(A, SessionId(9), 0), Ok(false));
}

/// What a session that is gone has left stays as it is, for whoever has the jobs.
fn what_the_dead_have_left_stays(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let mut facts = begun(301, "a", 10);
    facts.push(started(301, 1, 11));
    facts.push(in_slot(302, "a", 20, None, None));
    facts.extend(begun(303, "b", 10));
    facts.push(ended(303, "b", Outcome::Succeeded, 15));
    pair.b().commit(B, 0, &facts).unwrap();
    let beat = pair.beat_of(B);
    assert_eq!(pair.a().reap(A, B, beat), Ok(true));
    assert_eq!((pair.outcome(301), pair.outcome(302)), (None, None));
    assert_eq!(pair.outcome(303), Some(Outcome::Succeeded));
    let open = pair.a().take_up(&["a".into()]).unwrap().open;
    let open: Vec<_> = open.iter().map(|open| (open.session, open.run.attempt)).collect();
    assert_eq!(open, [(B, 1), (B, 0)]);
    // Who has the job at home takes the one back, and decides its due time; the other is lost.
    let withdrawn = Fact::Withdrawn { run: RunId(302) };
    let silent = Outcome::Lost("host web2 was silent for 17 s".into());
    let facts = [withdrawn, ended(301, "a", silent.clone(), 30)];
    pair.a().commit(A, 0, &facts).unwrap();
    assert_eq!(pair.outcome(301), Some(silent));
    assert_eq!(lost(&pair.a().commit(A, 0, &begun(2, "a", 20)).unwrap()), []);
    // Who has been taken for dead comes back, and tells what has become of its run.
    let me = member(SessionId(0xb2), "web2");
    pair.b().join(&me, &jobs()).unwrap();
    let facts = [ended(301, "a", Outcome::Succeeded, 99)];
    pair.b().commit(me.id, 0, &facts).unwrap();
    assert_eq!(pair.outcome(301), Some(Outcome::Succeeded));
    let done = pair.b().commit(me.id, 0, &begun(304, "a", 30)).unwrap();
    assert_eq!(lost(&done), [(304, Lost::Busy { session: A })], "the slot is still that of run 2");
}

/// Runs go on with another session: that of a host that was taken for dead, or one that begins them
/// again.
fn runs_are_adopted(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let mut facts = begun(301, "a", 10);
    facts.extend(begun(302, "b", 10));
    facts.extend(begun(303, "c", 10));
    facts.push(ended(303, "c", Outcome::Succeeded, 15));
    pair.b().commit(B, 0, &facts).unwrap();
    let beat = pair.beat_of(B);
    assert_eq!(pair.a().reap(A, B, beat), Ok(true));
    // One that is open keeps its slot. What has ended, what is another's, and what nobody has is left.
    let asked = [301, 303, 304].map(|run| (RunId(run), B));
    let first = pair.a().adopt(A, 0, &asked).unwrap();
    assert_eq!(first.runs, [RunId(301)]);
    let second = pair.a().adopt(A, 0, &asked).unwrap();
    assert_eq!(second.runs, [RunId(301)], "it may be asked again");
    assert!(second.beat > first.beat);
    assert_eq!(pair.a().adopt(A, 0, &[(RunId(302), SessionId(7))]).unwrap().runs, []);
    let none = pair.a().adopt(A, 0, &[]).unwrap();
    assert_eq!((none.runs, none.beat), (vec![], pair.beat_of(A) - 1));
    let open = pair.a().take_up(&["a".into()]).unwrap().open;
    assert_eq!((open.len(), open[0].session, &*open[0].host), (1, A, "web1"));
    assert_eq!((open[0].slot, open[0].run.attempt), (Some(0), 1));
    // One that was called lost is open again, without its slot, which is another's by now.
    let silent = Outcome::Lost("host web2 was silent for 17 s".into());
    pair.a().commit(A, 0, &[ended(302, "b", silent, 30)]).unwrap();
    assert_eq!(lost(&pair.a().commit(A, 0, &begun(2, "b", 20)).unwrap()), []);
    let me = member(SessionId(0xb2), "web2");
    assert_eq!(pair.b().adopt(me.id, 0, &[(RunId(302), B)]).unwrap_err().kind, Trouble::Fenced);
    pair.b().join(&me, &jobs()).unwrap();
    let done = pair.b().adopt(me.id, 0, &[(RunId(302), B), (RunId(301), B)]).unwrap();
    assert_eq!(done.runs, [RunId(302)]);
    assert_eq!(pair.outcome(302), None);
    let open = pair.a().take_up(&["b".into()]).unwrap().open;
    let mut open: Vec<_> =
        open.iter().map(|open| (open.run.run.0, open.session, open.slot)).collect();
    open.sort_by_key(|open| open.0);
    assert_eq!(open, [(2, A, Some(0)), (302, me.id, None)]);
    pair.b().commit(me.id, 0, &[ended(302, "b", Outcome::Failed(3), 40)]).unwrap();
    assert_eq!(pair.outcome(302), Some(Outcome::Failed(3)));
    let failed = Query { failed: true, ..Query::default() };
    assert_eq!(pair.a.reader().unwrap().records(&failed).unwrap().len(), 1);
    assert_eq!(lost(&pair.b().commit(me.id, 0, &begun(305, "b", 50)).unwrap()).len(), 1);
}

/// A claim that comes late, after its session has given it up, can be taken back.
fn a_stray_claim_is_taken_back(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    pair.a().commit(A, 0, &begun(1, "a", 10)).unwrap();
    let back = [Fact::Postponed { run: RunId(1), attempt: 1 }, Fact::Withdrawn { run: RunId(1) }];
    let mut facts = back.to_vec();
    facts.extend(begun(2, "a", 10));
    assert_eq!(lost(&pair.a().commit(A, 0, &facts).unwrap()), []);
    let runs: Vec<_> = pair.records().iter().map(|record| record.run).collect();
    assert_eq!(runs, [Some(RunId(2))]);
}

fn who_leaves_is_known_to(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let changes = pair.view().changes;
    pair.b().commit(B, 0, &begun(301, "a", 10)).unwrap();
    pair.b().leave(B, false).unwrap();
    let view = pair.view();
    let of = |view: &View| view.members.iter().find(|member| member.id == B).cloned().unwrap();
    assert!(of(&view).leaving && of(&view).gone.is_none());
    assert!(view.changes > changes);
    // It goes on to write what its runs do.
    pair.b().commit(B, 0, &[ended(301, "a", Outcome::Succeeded, 12)]).unwrap();
    pair.b().leave(B, true).unwrap();
    assert_eq!(of(&pair.view()).gone.unwrap().by, B);
    assert_eq!(pair.b().commit(B, 0, &[]).unwrap_err().kind, Trouble::Fenced);
}

fn a_job_is_taken_up_with_its_runs(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let mut facts = vec![
        Fact::Job(job("a", 0).into()),
        Fact::Job(job("b", 5).into()),
        Fact::AllPaused(Some(pause(3))),
    ];
    facts.extend(begun(1, "a", 10));
    facts.push(started(1, 1, 11));
    facts.extend(whole(2, "b", 20, Outcome::Succeeded));
    let before = pair.view().changes;
    pair.a().commit(A, 0, &facts).unwrap();
    assert!(pair.view().changes > before, "a job is new");
    pair.b().commit(B, 0, &[in_slot(301, "b", 30, Some(7), None)]).unwrap();
    let taken = pair.b().take_up(&["b".into()]).unwrap();
    assert_eq!(taken.all_paused, Some(pause(3)));
    assert_eq!(taken.jobs.len(), 1);
    assert_eq!((&*taken.jobs[0].id, taken.jobs[0].decided), ("b", at(30)));
    assert_eq!(taken.open.len(), 1);
    assert_eq!((taken.open[0].run.run, taken.open[0].slot), (RunId(301), Some(7)));
    let mut taken = pair.b().take_up(&[]).unwrap();
    taken.open.sort_by_key(|open| open.run.run);
    assert_eq!((taken.jobs.len(), taken.open.len()), (2, 2));
    let open = &taken.open[0];
    assert_eq!((open.session, &*open.host, open.slot), (A, "web1", Some(0)));
    assert_eq!((open.run.attempt, open.run.started), (1, Some(at(11))));
    // Whoever only reads finds the same runs.
    let mut reader = pair.b.reader().unwrap();
    let mut found = reader.open_runs(None).unwrap();
    found.sort_by_key(|open| open.run.run);
    assert_eq!(found, taken.open);
    assert_eq!(reader.open_runs(Some("b")).unwrap(), taken.open[1..]);
    assert_eq!(reader.open_runs(Some("o'n\\e")).unwrap(), []);
    // Somebody who asks for a run does not decide what its trigger names.
    pair.a().commit(A, 0, &[asked(3, "a", 900, "ann")]).unwrap();
    let taken = pair.b().take_up(&["a".into()]).unwrap();
    assert_eq!(taken.jobs[0].decided, at(10));
}

/// What was told in vain decides nothing, and what is taken back nothing beside itself.
fn decided_is_what_has_a_record(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let late = || Outcome::Missed(MissReason::Late(secs(9)));
    let missed = |due, last| fate("a", due, last, 1 + (last - due) as u64 / 10, late());
    let decided = |pair: &mut Pair| pair.b().take_up(&["a".into()]).unwrap().jobs[0].decided;
    let known = [Fact::Job(job("a", 0).into()), missed(20, 40)];
    pair.a().commit(A, 0, &known).unwrap();
    pair.b().commit(B, 0, &[missed(30, 90)]).unwrap();
    assert_eq!(decided(&mut pair), at(40), "a record that was refused");
    pair.b().commit(B, 0, &[claim(301, "a", 40)]).unwrap();
    assert_eq!(decided(&mut pair), at(40), "a claim that was lost");
    let skipped = fate("a", 60, 60, 1, Outcome::Skipped(SkipReason::Overlap));
    pair.a().commit(A, 0, &[claim(1, "a", 50), skipped]).unwrap();
    pair.a().commit(A, 0, &[Fact::Withdrawn { run: RunId(1) }]).unwrap();
    assert_eq!(decided(&mut pair), at(60), "what was taken back is not the last");
    let before = pair.records().len();
    pair.b().commit(B, 0, &[missed(50, 70)]).unwrap();
    assert_eq!(pair.records().len(), before, "over what has a record");
    pair.a().commit(A, 0, &[claim(2, "a", 70)]).unwrap();
    pair.a().commit(A, 0, &[Fact::Withdrawn { run: RunId(2) }]).unwrap();
    assert_eq!(decided(&mut pair), at(60), "what was taken back is the last");
}

/// Of one job and of many what there is since then, each since when it is asked for.
fn the_past_of_jobs(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let late = || Outcome::Missed(MissReason::Late(secs(9)));
    let names: Vec<String> = (0..60).map(|job| format!("j{job}")).collect();
    let mut facts = Vec::new();
    for (run, name) in names.iter().enumerate() {
        facts.push(Fact::Job(job(name, 0).into()));
        facts.push(fate(name, 10, 30, 3, late()));
        facts.push(fate(name, 40, 40, 1, late()));
        facts.extend(whole(1 + run as u64, name, 50, Outcome::Succeeded));
    }
    pair.a().commit(A, 0, &facts).unwrap();
    for count in [1, 2, names.len()] {
        let wanted: Vec<(Box<str>, Instant)> = names[..count]
            .iter()
            .zip([at(30), at(41), at(51)].iter().cycle())
            .map(|(name, since)| (name.as_str().into(), *since))
            .collect();
        let found = pair.b.reader().unwrap().past(&wanted).unwrap();
        for (job, since) in &wanted {
            let of = found.iter().filter(|it| it.job == *job && it.last_due >= *since);
            let mut dues: Vec<Instant> = of.map(|record| record.due).collect();
            dues.sort_unstable();
            let all = [(at(10), at(30)), (at(40), at(40)), (at(50), at(50))];
            let expected = all.iter().filter(|(_, last)| last >= since).map(|(due, _)| *due);
            assert_eq!(dues, expected.collect::<Vec<_>>(), "{job} of {count}");
        }
    }
    assert_eq!(pair.b.reader().unwrap().past(&[("nobody".into(), at(0))]).unwrap(), []);
}

fn numbers_are_nobody_elses(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let first = pair.a().run_numbers().unwrap();
    let second = pair.b().run_numbers().unwrap();
    assert_eq!((first.start >= 1, first.end - first.start), (true, RUN_NUMBERS));
    assert!(second.start >= first.end, "{first:?} {second:?}");
}

/// A store that has forgotten may have given a number out twice. The run that had it first keeps its record.
fn a_number_that_was_used_before(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    assert_eq!(lost(&pair.a().commit(A, 0, &begun(5, "a", 10)).unwrap()), []);
    let new = whole(5, "b", 20, Outcome::Succeeded);
    for _ in 0..2 {
        assert_eq!(lost(&pair.b().commit(B, 0, &new).unwrap()), []);
        let mut found: Vec<_> = pair
            .records()
            .into_iter()
            .map(|it| (it.job, it.run.map(|run| run.0), it.outcome, it.attempts))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let (old, new) = (&found[0], &found[1]);
        assert_eq!((&*old.0, old.1), ("a", None), "{found:?}");
        assert!(matches!(old.2, Some(Outcome::Lost(_))), "{found:?}");
        assert_eq!((&*new.0, new.1, &new.2), ("b", Some(5), &Some(Outcome::Succeeded)));
        assert_eq!((found.len(), new.3), (2, 1));
    }
}

/// A scheduler that has used up its numbers takes large ones. They are nobody's first.
fn numbers_stay_small(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let spare = SPARE_RUNS + 5;
    pair.a().commit(A, 0, &[admitted(7, "a", 1), admitted(spare, "a", 2)]).unwrap();
    let before = pair.a().run_numbers().unwrap();
    assert!((1..1000).contains(&before.start), "{before:?}");
    pair.a().commit(A, 0, &[Fact::Withdrawn { run: RunId(spare) }]).unwrap();
    let after = pair.b().run_numbers().unwrap();
    assert!((before.end..1000).contains(&after.start), "{after:?}");
}

/// However few records are to be kept, the claims of the last minutes are.
fn a_claim_is_kept_for_a_while(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let keep = Limits { runs: 2, days: 30 };
    let run = |run: u64, due: i64| whole(run, "a", due, Outcome::Succeeded);
    let facts: Vec<Fact> = (1..=6).flat_map(|number| run(number, number as i64)).collect();
    pair.a().commit(A, 0, &facts).unwrap();
    let claims = |pair: &Pair| find(&*pair.a, &Query::default()).len();
    tidy(&mut *pair.a, keep, at(600));
    assert_eq!(claims(&pair), 6);
    pair.a().commit(A, 0, &run(7, 1200)).unwrap();
    tidy(&mut *pair.a, keep, at(1201));
    assert_eq!(claims(&pair), 2);
}

fn requests_have_answers(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let asked = |id: u64, to, from| Asked {
        id,
        to,
        from,
        by: "ann".into(),
        at: at(5),
        request: "{\"op\":\"stop\"}\0".into(),
        answer: None,
    };
    let changes = pair.view().changes;
    pair.a().ask(&asked(u64::MAX, B, A)).unwrap();
    pair.a().ask(&asked(u64::MAX, A, A)).unwrap();
    pair.b().ask(&asked(4, A, B)).unwrap();
    assert!(pair.view().changes > changes);
    assert_eq!(pair.b().asks(B).unwrap(), [asked(u64::MAX, B, A)]);
    pair.b().answer(u64::MAX, "{}").unwrap();
    pair.b().answer(u64::MAX, "{\"no\":1}").unwrap();
    assert_eq!(pair.b().asks(B).unwrap(), []);
    let answered = Asked { answer: Some("{}".into()), ..asked(u64::MAX, B, A) };
    assert_eq!(pair.a().asks(A).unwrap().len(), 2);
    assert!(pair.a().asks(A).unwrap().contains(&answered));
    // They stay for as long as somebody may wait for them.
    let keep = Limits { runs: 100, days: 30 };
    tidy(&mut *pair.a, keep, at(600));
    assert_eq!(pair.a().asks(A).unwrap().len(), 2);
    // One of a host whose clock is ahead keeps none behind it.
    let ahead = Asked { at: at(9000), ..asked(5, A, B) };
    let behind = Asked { at: at(3602), ..asked(6, A, B) };
    for asked in [&ahead, &asked(7, A, B), &behind, &asked(8, A, B)] {
        pair.b().ask(asked).unwrap();
    }
    tidy(&mut *pair.a, keep, at(3606));
    let mut found: Vec<u64> = pair.a().asks(A).unwrap().iter().map(|asked| asked.id).collect();
    found.sort_unstable();
    // One that came after a younger one may stay until that goes.
    assert!([&[5, 6][..], &[5, 6, 8]].contains(&&found[..]), "{found:?}");
    tidy(&mut *pair.a, keep, at(9000 + 3601));
    assert_eq!(pair.a().asks(A).unwrap(), []);
}

fn a_store_that_has_forgotten(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let before = pair.view().generation;
    let stranger = member(SessionId(9), "web9");
    let view = pair.a().beat(&stranger).unwrap();
    assert_eq!((view.me, view.members.len()), (Standing::Unknown, 2), "nothing is changed");
    let view = pair.a().new_generation(&stranger, before, before + 4).unwrap();
    assert_eq!(view.generation, before + 5);
    assert!(matches!(view.me, Standing::Alive { .. }));
    assert_eq!(view.members.len(), 3);
    // Who comes second changes nothing.
    let view = pair.b().new_generation(&member(B, "web2"), before, 0).unwrap();
    assert_eq!(view.generation, before + 5);
    let known = Member { beat: 12, ..member(SessionId(8), "web8") };
    let changed = Member { host: "other".into(), ..member(B, "web2") };
    let file = (77, vec![("z".into(), 1)]);
    pair.a().put_back(&[known, changed], &vec![file.clone()]).unwrap();
    let view = pair.view();
    let find = |id| view.members.iter().find(|member| member.id == id).unwrap();
    assert_eq!((find(SessionId(8)).beat, &*find(B).host), (12, "web2"));
    assert_eq!(pair.b().files(&[77]).unwrap(), [file]);
}

fn long_names(bed: &dyn Bed) {
    let mut pair = Pair::new(bed);
    let long = "ü\0".repeat(341);
    let longer = format!("{long}x");
    let mut facts = begun(1, &long, 10);
    facts.extend(begun(2, &longer, 10));
    facts.extend(begun(3, "A", 10));
    facts.extend(begun(4, "a ", 10));
    facts.extend(begun(5, "a", 10));
    facts.push(Fact::Job(job(&long, 0).into()));
    assert_eq!(lost(&pair.a().commit(A, 0, &facts).unwrap()), []);
    let done = pair.b().commit(B, 0, &begun(301, &longer, 10)).unwrap();
    assert_eq!(lost(&done), [(301, Lost::Taken { session: A, run: RunId(2) })]);
    let taken = pair.b().take_up(&[long.as_str().into()]).unwrap();
    assert_eq!((taken.jobs.len(), taken.open.len()), (1, 1));
    assert_eq!(*taken.open[0].run.job, *long);
}

/// Each due time is won by exactly one of eight, also where they claim many at once in different
/// orders.
fn of_eight_one_wins(bed: &dyn Bed) {
    const HANDLES: u64 = 8;
    const ROUNDS: i64 = 20;
    let mut stores: Vec<Box<dyn Store>> = vec![bed.open()];
    stores.extend((1..HANDLES).map(|_| bed.beside().expect("another handle")));
    let barrier = &Barrier::new(stores.len());
    let race = |(number, mut store): (u64, Box<dyn Store>)| {
        let me = member(SessionId(number + 1), &format!("web{number}"));
        store.restore().unwrap();
        shared(&mut *store).join(&me, &jobs()).unwrap();
        let mut won = Vec::new();
        for round in 0..ROUNDS {
            let runs: Vec<u64> =
                (0..10).map(|n| (number << 32) + round as u64 * 10 + n + 1).collect();
            let mut facts: Vec<Fact> = Vec::new();
            for (n, run) in runs.iter().enumerate() {
                let n = if number % 2 == 0 { n } else { 9 - n };
                facts.push(in_slot(*run, &format!("j{n}"), round * 10, None, None));
                facts.push(starting(*run, 1));
            }
            barrier.wait();
            let done = shared(&mut *store).commit(me.id, 0, &facts).unwrap();
            let lost: Vec<u64> = done.lost.iter().map(|(run, _)| run.0).collect();
            won.extend(runs.into_iter().filter(|run| !lost.contains(run)));
        }
        won
    };
    let won: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..).zip(stores).map(|each| scope.spawn(|| race(each))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(won.len(), (ROUNDS * 10) as usize);
    let store = bed.beside().expect("another handle");
    let mut found: Vec<u64> = store
        .reader()
        .unwrap()
        .records(&Query::default())
        .unwrap()
        .iter()
        .map(|record| record.run.unwrap().0)
        .collect();
    let mut won = won;
    won.sort_unstable();
    found.sort_unstable();
    assert_eq!(won, found);
}

macro_rules! shared_contract {
    ($($name:ident)*) => {
        mod memory {
            $(#[test] fn $name() {
                super::$name(&crate::contract::InMemory(schedrs::store::memory::Memory::new()));
            })*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[test] fn $name() {
                let Some(bed) = crate::contract::InPostgres::new() else { return };
                super::$name(&bed);
            })*
        }

        #[cfg(feature = "mysql")]
        mod mysql {
            $(#[test] fn $name() {
                let bed = crate::contract::OnServer::new(crate::servers::Engine::Mariadb);
                bed.iter().for_each(|bed| super::$name(bed));
            })*
        }

        #[cfg(feature = "redis")]
        mod redis {
            $(#[test] fn $name() {
                let bed = crate::contract::OnServer::new(crate::servers::Engine::Redis);
                bed.iter().for_each(|bed| super::$name(bed));
            })*
        }

        #[cfg(feature = "mongodb")]
        mod mongodb {
            $(#[test] fn $name() {
                let bed = crate::contract::OnServer::new(crate::servers::Engine::Mongodb);
                bed.iter().for_each(|bed| super::$name(bed));
            })*
        }
    };
}

shared_contract! {
    a_session_is_as_it_was_written
    a_restart_is_no_new_load
    of_two_sessions_one_wins
    a_busy_slot_refuses
    records_do_not_overlap
    records_of_the_same_moment_do_not_overlap
    an_end_that_was_forgotten_frees_its_slot
    each_host_has_its_own
    what_is_early_is_refused
    a_fenced_commit_changes_nothing
    entries_are_everybodys
    four_write_the_same_entries
    a_store_that_has_forgotten_a_beat_takes_nothing
    a_commit_tells_that_something_has_changed
    a_beat_is_faster_than_a_reap
    what_the_dead_have_left_stays
    runs_are_adopted
    a_stray_claim_is_taken_back
    who_leaves_is_known_to
    a_job_is_taken_up_with_its_runs
    decided_is_what_has_a_record
    the_past_of_jobs
    numbers_are_nobody_elses
    a_number_that_was_used_before
    numbers_stay_small
    a_claim_is_kept_for_a_while
    requests_have_answers
    a_store_that_has_forgotten
    long_names
    of_eight_one_wins
}
