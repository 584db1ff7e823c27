//! How SQLite goes about what readers ask: a store may hold millions of records, and nothing reads all
//! of them to find a few.

use rusqlite::Connection;

use super::{query, read, schema, tidy};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::store::Query;

/// Tables that grow with every run.
const LONG: [&str; 6] = ["record", "r", "attempt", "output", "change", "entry"];

/// Indexes of few records.
const FEW: [&str; 4] = ["record_open", "record_failed", "record_job_failed", "record_several"];

/// The steps of a statement, as SQLite tells them.
fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // A plan does not depend on the values.
    let steps = statement.raw_query().mapped(|row| row.get(3)).collect::<Result<_, _>>();
    steps.unwrap()
}

/// Whether a step goes through a whole table that may be long.
fn reads_all(step: &str) -> bool {
    let mut words = step.split(' ');
    words.next() == Some("SCAN")
        && words.next().is_some_and(|table| LONG.contains(&table))
        && !words.any(|word| FEW.contains(&word))
}

/// Every combination of what may be asked for.
fn queries() -> impl Iterator<Item = (Option<i64>, Query)> {
    (0..64_u32).map(|bits| {
        let has = |bit: u32| bits & (1 << bit) != 0;
        let query = Query {
            run: has(0).then_some(RunId(7)),
            failed: has(1),
            since: has(2).then_some(Instant::MIN),
            until: has(3).then_some(Instant::MIN),
            before: has(4).then_some(9),
            ..Query::default()
        };
        (has(5).then_some(3), query)
    })
}

#[test]
fn no_question_reads_all_records() {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn, "x.db".as_ref(), schema::MIGRATIONS).unwrap();
    let mut asked: Vec<String> = [read::ATTEMPT, read::ATTEMPTS, read::NEXT_RUN, read::OUTPUT]
        .map(String::from)
        .into_iter()
        .chain([read::CHANGES.to_owned(), read::open_statement(), tidy::IS_LAST.clone()])
        .chain(tidy::KINDS.iter().chain([&*tidy::COUNT_EXCLUDED]).cloned())
        .chain([read::ENTRIES.to_owned()])
        .chain([format!("{} WHERE run = ?1", read::RECORD), query::newest_due(true).to_owned()])
        .chain([false, true].into_iter().flat_map(read::latest_statements))
        .collect();
    for (job, query) in queries() {
        asked.extend(query::span(job, &query).map(|asked| asked.text));
        asked.push(query::wanted(job, &query, Some(&[1, 2])).text);
        // Without any of these it is all records that are asked for, from the newest on.
        if job.is_some() || query.run.is_some() || query.failed {
            asked.push(query::wanted(job, &query, None).text);
        }
    }
    for sql in asked {
        let steps = plan(&conn, &sql);
        assert!(
            !steps.is_empty() && !steps.iter().any(|step| reads_all(step)),
            "{sql}\n{steps:#?}"
        );
    }
}

/// One job is found by its name, not by looking at all.
#[test]
fn a_job_is_found_by_its_name() {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn, "x.db".as_ref(), schema::MIGRATIONS).unwrap();
    let [runs, since] = read::latest_statements(true);
    for sql in [runs, since, format!("{} AND name = ?1", read::JOB)] {
        let steps = plan(&conn, &sql);
        assert!(!steps.iter().any(|step| step.starts_with("SCAN job")), "{sql}\n{steps:#?}");
    }
}

/// What goes through the newest records first does so in their order, and stops when it has enough.
#[test]
fn the_newest_come_first_without_sorting() {
    let mut conn = Connection::open_in_memory().unwrap();
    schema::migrate(&mut conn, "x.db".as_ref(), schema::MIGRATIONS).unwrap();
    let wanted = queries().map(|(job, query)| query::wanted(job, &query, None).text);
    let newest = [true, false].map(|one| query::newest_due(one).to_owned());
    for sql in wanted.chain(newest).chain([read::ENTRIES.to_owned()]) {
        let steps = plan(&conn, &sql);
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{sql}\n{steps:#?}");
    }
}
