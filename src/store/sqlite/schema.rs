//! The tables, their version, and how an older one becomes the present one.
//!
//! `application_id` says that a database is ours, `user_version` which schema it has. A change to
//! the schema is a new entry in [`MIGRATIONS`]; entries that were released never change. What is
//! in the tables is told in `doc/store.md`.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::trouble;
use crate::store::{StoreError, Trouble};

/// "schd".
pub(super) const APPLICATION_ID: u32 = 0x7363_6864;

/// What makes of each version the next one; the first makes version 1 of nothing.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5];

/// Every name of a job is here once, and everything else about it is optional: `present` says
/// whether there is something to remember of it beside its records.
///
/// The order of the columns of `record` is that of their use: what is filtered by comes first.
const VERSION_1: &str = r#"
CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    present INTEGER NOT NULL DEFAULT 0,
    records INTEGER NOT NULL DEFAULT 0,
    decided INTEGER,
    anchor INTEGER,
    "trigger" TEXT,
    since INTEGER,
    resumed INTEGER,
    paused_at INTEGER,
    paused_until INTEGER,
    paused_by TEXT,
    paused_reason TEXT,
    added TEXT,
    overrides TEXT
);
CREATE TABLE record (
    seq INTEGER PRIMARY KEY,
    job INTEGER NOT NULL,
    due INTEGER NOT NULL,
    last_due INTEGER NOT NULL,
    failed INTEGER NOT NULL DEFAULT 0,
    at INTEGER NOT NULL,
    count INTEGER NOT NULL,
    run INTEGER,
    outcome TEXT,
    number INTEGER,
    reason TEXT,
    started INTEGER,
    duration INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    pid INTEGER,
    pid_start INTEGER,
    begun INTEGER,
    "by" TEXT
);
CREATE UNIQUE INDEX record_claim ON record (job, due);
CREATE UNIQUE INDEX record_run ON record (run) WHERE run IS NOT NULL;
CREATE INDEX record_job ON record (job);
CREATE INDEX record_due ON record (due);
CREATE INDEX record_several ON record (last_due) WHERE count > 1;
CREATE INDEX record_open ON record (seq) WHERE outcome IS NULL;
CREATE INDEX record_failed ON record (seq) WHERE failed = 1;
CREATE INDEX record_job_failed ON record (job) WHERE failed = 1;
CREATE TABLE attempt (
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    number INTEGER,
    reason TEXT,
    begun INTEGER,
    ended INTEGER NOT NULL,
    pid INTEGER,
    pid_start INTEGER,
    PRIMARY KEY (run, attempt)
) WITHOUT ROWID;
CREATE TABLE output (
    run INTEGER PRIMARY KEY,
    total INTEGER NOT NULL,
    tail BLOB NOT NULL
);
CREATE TABLE change (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    job TEXT,
    what TEXT NOT NULL,
    "by" TEXT NOT NULL,
    detail TEXT
);
CREATE INDEX change_at ON change (at);
CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    pid_start INTEGER NOT NULL,
    boot TEXT NOT NULL,
    began INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    stopped INTEGER,
    jobfile TEXT NOT NULL,
    mark INTEGER NOT NULL
);
CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    next_run INTEGER NOT NULL,
    paused_at INTEGER,
    paused_until INTEGER,
    paused_by TEXT,
    paused_reason TEXT
);
INSERT INTO state (id, next_run) VALUES (1, 1);
"#;

/// The version that is the first to have lists.
pub(super) const HAS_ENTRIES: u32 = 2;

/// Entries of lists, each list in the order of the bytes of its names.
const VERSION_2: &str = "
CREATE TABLE entry (
    list TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (list, name)
);
";

/// The version that is the first to have what runs use and print.
pub(super) const HAS_USAGE: u32 = 3;

/// What a run has used, and how many bytes it has printed.
const VERSION_3: &str = "
ALTER TABLE record ADD COLUMN cpu INTEGER;
ALTER TABLE record ADD COLUMN max_rss INTEGER;
ALTER TABLE record ADD COLUMN disk_read INTEGER;
ALTER TABLE record ADD COLUMN disk_written INTEGER;
ALTER TABLE record ADD COLUMN printed INTEGER;
";

/// Due times that were excluded: the terms of `encode::EXCLUDED`.
const VERSION_4: &str = "
CREATE INDEX record_excluded ON record (job)
    WHERE outcome = 'skipped' AND substr(reason, 1, 8) = 'excluded';
";

/// The version that is the first to have runs that are about to start.
pub(super) const HAS_STARTING: u32 = 5;

/// Runs that are about to start, and have no record yet.
const VERSION_5: &str = r#"
CREATE TABLE starting (
    place INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    job INTEGER NOT NULL,
    due INTEGER NOT NULL,
    at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    "by" TEXT
);
"#;

/// Which version of the schema a database has; 0: it is empty. An error: it is somebody else's, or
/// newer than `known`.
pub(super) fn version(conn: &Connection, path: &Path, known: u32) -> Result<u32, StoreError> {
    let ask = |sql: &str| {
        let answer = conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        answer.map_err(|error| trouble::from_sqlite(path, &error))
    };
    let application = ask("PRAGMA application_id")? as u32;
    let version = ask("PRAGMA user_version")? as u32;
    let tables = ask("SELECT count(*) FROM sqlite_schema")?;
    match application {
        APPLICATION_ID if version > known => {
            let message = format!(
                "{} was written by a newer schedrs (its schema is {version}, this one knows up to \
                 {known}); use that one, or another store",
                path.display(),
            );
            Err(StoreError::new(Trouble::Newer(version), message))
        }
        APPLICATION_ID if version > 0 => Ok(version),
        0 | APPLICATION_ID if version == 0 && tables == 0 => Ok(0),
        _ => {
            let message =
                format!("{} is another program's database; use another file", path.display());
            Err(StoreError::new(Trouble::Other, message))
        }
    }
}

/// Brings a database to the newest version, all or nothing.
pub(super) fn migrate(
    conn: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), StoreError> {
    let newest = migrations.len() as u32;
    let failed = |error| trouble::from_sqlite(path, &error);
    // With the right to write, so that a database that may not be written is found out here.
    let right = TransactionBehavior::Immediate;
    let within = conn.transaction_with_behavior(right).map_err(failed)?;
    let has = version(&within, path, newest)?;
    for sql in migrations.iter().skip(has as usize) {
        within.execute_batch(sql).map_err(failed)?;
    }
    if has < newest {
        within.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        within.pragma_update(None, "user_version", newest).map_err(failed)?;
    }
    within.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(conn: &Connection, sql: &str) -> i64 {
        conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_older_schema_goes_forward_and_keeps_what_it_has() {
        let path = Path::new("x.db");
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, path, MIGRATIONS).unwrap();
        conn.execute("INSERT INTO job (name) VALUES ('old')", []).unwrap();
        let next = [MIGRATIONS, &["ALTER TABLE job ADD COLUMN host TEXT DEFAULT 'here'"]].concat();
        migrate(&mut conn, path, &next).unwrap();
        let newest = MIGRATIONS.len() as u32 + 1;
        assert_eq!(version(&conn, path, newest).unwrap(), newest);
        assert_eq!(has(&conn, "SELECT count(*) FROM job WHERE host = 'here'"), 1);
        migrate(&mut conn, path, &next).unwrap();
        let newer = migrate(&mut conn, path, MIGRATIONS).unwrap_err();
        assert_eq!(newer.kind, Trouble::Newer(newest));
    }

    /// From each version that there was, with something in it.
    #[test]
    fn every_version_becomes_the_newest() {
        let path = Path::new("x.db");
        let tables = |conn: &Connection| {
            let mut tables = conn.prepare("SELECT sql FROM sqlite_schema ORDER BY name").unwrap();
            let all = tables.query_map([], |row| row.get::<_, Option<String>>(0)).unwrap();
            all.collect::<Result<Vec<_>, _>>().unwrap()
        };
        let mut fresh = Connection::open_in_memory().unwrap();
        migrate(&mut fresh, path, MIGRATIONS).unwrap();
        for old in 1..MIGRATIONS.len() {
            let mut conn = Connection::open_in_memory().unwrap();
            migrate(&mut conn, path, &MIGRATIONS[..old]).unwrap();
            conn.execute("INSERT INTO job (name) VALUES ('old')", []).unwrap();
            migrate(&mut conn, path, MIGRATIONS).unwrap();
            assert_eq!(has(&conn, "SELECT count(*) FROM job WHERE name = 'old'"), 1, "{old}");
            assert_eq!(tables(&conn), tables(&fresh), "{old}");
        }
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let path = Path::new("x.db");
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, path, MIGRATIONS).unwrap();
        let bad = [MIGRATIONS, &["ALTER TABLE job ADD COLUMN host TEXT", "ALTER TABLE none ADD x"]]
            .concat();
        assert!(migrate(&mut conn, path, &bad).is_err());
        assert_eq!(version(&conn, path, 9).unwrap(), MIGRATIONS.len() as u32);
        assert_eq!(
            has(&conn, "SELECT count(*) FROM pragma_table_info('job') WHERE name='host'"),
            0
        );
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let path = Path::new("x.db");
        for sql in
            ["CREATE TABLE bread (id)", "PRAGMA application_id = 7", "PRAGMA user_version = 3"]
        {
            let mut conn = Connection::open_in_memory().unwrap();
            conn.execute_batch(sql).unwrap();
            let error = migrate(&mut conn, path, MIGRATIONS).unwrap_err();
            assert_eq!(error.kind, Trouble::Other, "{sql}");
            assert_eq!(has(&conn, "SELECT count(*) FROM sqlite_schema WHERE name = 'job'"), 0);
        }
    }
}
