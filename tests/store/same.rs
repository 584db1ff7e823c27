//! Two stores that are told the same know the same: random facts for both, and a restart.

use std::collections::HashMap;

use proptest::prelude::*;
use schedrs::event::RunId;
use schedrs::instant::Instant;
use schedrs::outcome::{MissReason, Outcome, SkipReason};
use schedrs::store::memory::Memory;
use schedrs::store::{Fact, Limits, Query, Store};

use crate::contract::{Bed, InFile};
use crate::facts::*;

const JOBS: [&str; 3] = ["a", "b", "c"];

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Succeeded),
        (0..300).prop_map(Outcome::Failed),
        Just(Outcome::Killed(15)),
        Just(Outcome::TimedOut),
        "[a-z]{0,3}".prop_map(Outcome::NotStarted),
        Just(Outcome::Skipped(SkipReason::Removed)),
        "[a-z. -]{0,9}".prop_map(|text| Outcome::Skipped(SkipReason::excluded(&text))),
        (0..90_u64).prop_map(|by| Outcome::Missed(MissReason::Waited(secs(by)))),
        Just(Outcome::Lost("x".into())),
    ]
}

/// A fact, but for the moment when it became so.
pub(crate) fn fact() -> impl Strategy<Value = Fact> {
    let name = prop::sample::select(&JOBS[..]);
    let run = 1..12_u64;
    let attempt = 1..4_u32;
    prop_oneof![
        2 => (name.clone(), 0..40_i64).prop_map(|(id, decided)| Fact::Job(job(id, decided).into())),
        1 => name.clone().prop_map(|id| Fact::Gone { job: id.into() }),
        1 => prop::option::of(0..9_i64).prop_map(|at| Fact::AllPaused(at.map(pause))),
        6 => (run.clone(), name.clone(), 0..40_i64).prop_map(|(run, id, due)| admitted(run, id, due)),
        1 => (run.clone(), name.clone(), 0..40_i64)
            .prop_map(|(run, id, due)| asked(run, id, due, "bob")),
        4 => (run.clone(), attempt.clone()).prop_map(|(run, attempt)| starting(run, attempt)),
        4 => (run.clone(), attempt.clone()).prop_map(|(run, attempt)| started(run, attempt, 0)),
        3 => (run.clone(), attempt, outcome())
            .prop_map(|(run, attempt, outcome)| attempt_ended(run, attempt, outcome, 0)),
        4 => (run.clone(), outcome()).prop_map(|(run, outcome)| ended(run, "a", outcome, 0)),
        2 => (name.clone(), 0..40_i64, 0..9_i64, outcome()).prop_map(|(id, due, more, outcome)| {
            fate(id, due, due + more, more as u64 + 1, outcome)
        }),
        1 => run.clone().prop_map(|run| Fact::Withdrawn { run: RunId(run) }),
        2 => (run, prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(run, tail)| {
            Fact::Output { run: RunId(run), total: tail.len() as u64, tail: tail.into() }
        }),
        1 => (prop::option::of(name), 0..9_i64).prop_map(|(id, at)| Fact::Change(change(id, at))),
        1 => (1..4_u32, 0..3_i64).prop_map(|(pid, began)| Fact::Began(session(pid, began))),
        1 => Just(Fact::Stopped { at: at(0) }),
        3 => ("[xX]", "[kKé\0~]{0,2}", prop::option::of("[v'\\\\\0~]{0,2}"))
            .prop_map(|(list, key, value)| entry(&list, &key, value.as_deref())),
    ]
}

/// Time goes on: facts come in the order in which they became so.
pub(crate) fn dated(mut facts: Vec<Fact>) -> Vec<Fact> {
    for (place, fact) in facts.iter_mut().enumerate() {
        let now = at(100 * place as i64);
        match fact {
            Fact::Admitted { at, .. }
            | Fact::Started { at, .. }
            | Fact::AttemptEnded { at, .. }
            | Fact::Ended { at, .. }
            | Fact::Fate { at, .. }
            | Fact::Stopped { at } => *at = now,
            Fact::Change(change) => change.at = now,
            _ => {}
        }
    }
    facts
}

/// Without claims whose number is another run's: no scheduler does that, and whom the facts that follow
/// mean is not to be told. `used` has the claims of earlier commits. (After a store went back a number
/// may be used again: the contract has rows for that.)
fn numbered_once(facts: &[Fact], used: &mut HashMap<RunId, (Box<str>, Instant)>) -> Vec<Fact> {
    let mut claimed: HashMap<RunId, Option<(&str, Instant)>> = HashMap::new();
    let mut possible = Vec::new();
    for fact in facts {
        let is_possible = match fact {
            Fact::Admitted { run, job, due, .. } => {
                let own = (&**job, *due);
                let before = used.get(run).is_none_or(|(job, due)| (&**job, *due) == own);
                before && *claimed.entry(*run).or_insert(Some(own)) == Some(own)
            }
            Fact::Starting { run, .. }
            | Fact::Started { run, .. }
            | Fact::AttemptEnded { run, .. }
            | Fact::Ended { run, .. }
            | Fact::Withdrawn { run }
            | Fact::Output { run, .. } => {
                claimed.entry(*run).or_insert(None);
                true
            }
            _ => true,
        };
        if is_possible {
            possible.push(fact.clone());
        }
    }
    for fact in &possible {
        if let Fact::Admitted { run, job, due, .. } = fact {
            used.entry(*run).or_insert_with(|| (job.clone(), *due));
        }
    }
    possible
}

/// Tells both the same, and looks at both.
fn compare(
    bed: &dyn Bed,
    facts: &[Fact],
    step: usize,
    keep: u32,
    again: bool,
) -> Result<(), TestCaseError> {
    let mut file = bed.open();
    let mut memory: Box<dyn Store> = Box::new(Memory::new());
    prop_assert_eq!(restored(&mut *file), restored(&mut *memory));
    let mut used = HashMap::new();
    for facts in facts.chunks(step) {
        let facts = numbered_once(facts, &mut used);
        let lost = file.commit(&facts).unwrap();
        prop_assert_eq!(&lost, &memory.commit(&facts).unwrap());
    }
    prop_assert_eq!(seen_of(&*file), seen_of(&*memory));
    if again {
        drop(file);
        file = bed.open();
    }
    prop_assert_eq!(restored(&mut *file), restored(&mut *memory));
    let mut readers = [file.reader().unwrap(), memory.reader().unwrap()];
    for (job, failed, since) in [(None, true, 0), (Some("a"), false, 9), (Some("b"), true, 20)] {
        let query = Query {
            job: job.map(Box::from),
            failed,
            since: Some(at(since)),
            until: Some(at(since + 10)),
            ..Query::default()
        };
        let found = readers.each_mut().map(|reader| {
            let found = reader.records(&query).unwrap();
            found.iter().map(|it| (it.job.clone(), it.due, it.run)).collect::<Vec<_>>()
        });
        prop_assert_eq!(&found[0], &found[1]);
    }
    let limits = Limits { runs: keep, days: 1 };
    let now = at(86_400 + 1000);
    while file.tidy(limits, now).unwrap() {}
    while memory.tidy(limits, now).unwrap() {}
    prop_assert_eq!(seen_of(&*file), seen_of(&*memory));
    prop_assert_eq!(restored(&mut *file), restored(&mut *memory));
    Ok(())
}

/// So many, or `PROPTEST_CASES` by hand.
fn cases(cases: u32) -> ProptestConfig {
    let by_hand = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig::default();
    let cases = if by_hand { default.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..default }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn memory_and_file_know_the_same(
        facts in prop::collection::vec(fact(), 0..60).prop_map(dated),
        step in 1..9_usize,
        keep in 1..9_u32,
        again in any::<bool>(),
    ) {
        compare(&InFile::new(), &facts, step, keep, again)?;
    }
}

#[cfg(feature = "postgres")]
proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn memory_and_postgres_know_the_same(
        facts in prop::collection::vec(fact(), 0..60).prop_map(dated),
        step in 1..30_usize,
        keep in 1..9_u32,
        again in any::<bool>(),
    ) {
        let Some(bed) = crate::contract::InPostgres::new() else { return Ok(()) };
        compare(&bed, &facts, step, keep, again)?;
    }
}

/// Which way is taken depends on how many there are; what is found does not.
#[test]
fn many_records_by_every_way() {
    let bed = InFile::new();
    let mut file = bed.open();
    let mut memory = Memory::new();
    let mut facts = Vec::new();
    for number in 0..9000_i64 {
        // Not quite in the order of their due times, and some of several.
        let due = (number * 10) ^ 0x70;
        let job = JOBS[usize::from(number % 8 == 0)];
        let outcome = if number % 50 == 0 { Outcome::TimedOut } else { Outcome::Coalesced };
        facts.push(fate(job, due, due + number % 3, 1 + (number % 3) as u64, outcome));
    }
    file.commit(&facts).unwrap();
    memory.commit(&facts).unwrap();
    let mut readers = [file.reader().unwrap(), memory.reader().unwrap()];
    for job in [None, Some("a"), Some("b"), Some("c")] {
        for (since, until) in [(None, Some(60_000)), (Some(1), Some(89_000)), (Some(100), None)] {
            for (limit, before) in [(20, None), (0, None), (7000, None), (50, Some(3000))] {
                for failed in [false, true] {
                    let query = Query {
                        job: job.map(Box::from),
                        failed,
                        since: since.map(at),
                        until: until.map(at),
                        before,
                        limit,
                        ..Query::default()
                    };
                    let [file, memory] =
                        readers.each_mut().map(|reader| reader.records(&query).unwrap());
                    assert!(file == memory, "{query:?}: {} and {}", file.len(), memory.len());
                }
            }
        }
    }
}

#[cfg(feature = "redis")]
proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn memory_and_redis_know_the_same(
        facts in prop::collection::vec(fact(), 0..60).prop_map(dated),
        step in 1..30_usize,
        keep in 1..9_u32,
        again in any::<bool>(),
    ) {
        let engine = crate::servers::Engine::Redis;
        let Some(bed) = crate::contract::OnServer::new(engine) else { return Ok(()) };
        compare(&bed, &facts, step, keep, again)?;
    }
}

#[cfg(feature = "mysql")]
proptest! {
    #![proptest_config(cases(20))]

    #[test]
    fn memory_and_mysql_know_the_same(
        facts in prop::collection::vec(fact(), 0..60).prop_map(dated),
        step in 1..30_usize,
        keep in 1..9_u32,
        again in any::<bool>(),
    ) {
        let engine = crate::servers::Engine::Mariadb;
        let Some(bed) = crate::contract::OnServer::new(engine) else { return Ok(()) };
        compare(&bed, &facts, step, keep, again)?;
    }
}

#[cfg(feature = "mongodb")]
proptest! {
    #![proptest_config(cases(20))]

    #[test]
    fn memory_and_mongodb_know_the_same(
        facts in prop::collection::vec(fact(), 0..60).prop_map(dated),
        step in 1..30_usize,
        keep in 1..9_u32,
        again in any::<bool>(),
    ) {
        let engine = crate::servers::Engine::Mongodb;
        let Some(bed) = crate::contract::OnServer::new(engine) else { return Ok(()) };
        compare(&bed, &facts, step, keep, again)?;
    }
}
