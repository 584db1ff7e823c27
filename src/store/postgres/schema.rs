//! The tables, their version, and how an older one becomes the present one.
//!
//! They are made at first use, under a lock of their own, so that several hosts may start at once.
//! A change to them is a new entry in [`MIGRATIONS`], and only adds: while hosts are updated one by
//! one, both versions use the tables. `oldest` in `store` is the oldest version that may.

use super::link::{Link, Statement};
use crate::store::{StoreError, Trouble};

/// What makes of each version the next one; the first makes version 1 of nothing.
pub(super) const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2, VERSION_3];

/// The version that is the first to have lists.
pub(super) const HAS_ENTRIES: i32 = 2;

/// Names of jobs are in the order of their bytes. Numbers of microseconds and runs are `bigint`.
/// Half of a page of what is updated all the time is left free, so that no index has to be touched.
const VERSION_1: &str = r#"
CREATE TABLE ~store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL,
    oldest integer NOT NULL,
    generation bigint NOT NULL DEFAULT 0,
    recorded text NOT NULL DEFAULT '',
    changes bigint NOT NULL DEFAULT 0,
    next_run bigint NOT NULL DEFAULT 1,
    paused_at bigint,
    paused_until bigint,
    paused_by text,
    paused_reason text
);
CREATE TABLE ~member (
    id bigint PRIMARY KEY,
    host text NOT NULL,
    labels text[] NOT NULL,
    machine text NOT NULL,
    boot text NOT NULL,
    mark bigint NOT NULL,
    pid bigint NOT NULL,
    pid_start bigint NOT NULL,
    version text NOT NULL,
    tzdata text NOT NULL,
    jobfile text NOT NULL,
    jobfile_hash bigint NOT NULL,
    loaded bigint NOT NULL,
    joined bigint NOT NULL,
    seen bigint NOT NULL,
    ahead bigint NOT NULL,
    beat bigint NOT NULL,
    generation bigint NOT NULL,
    leaving boolean NOT NULL,
    gone_at bigint,
    gone_by bigint,
    jobs_at_home bigint NOT NULL,
    running bigint NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE ~file (
    hash bigint NOT NULL,
    job text COLLATE "C" NOT NULL,
    fingerprint bigint NOT NULL,
    PRIMARY KEY (hash, job)
);
CREATE TABLE ~job (
    name text COLLATE "C" PRIMARY KEY,
    decided bigint NOT NULL,
    anchor bigint NOT NULL,
    "trigger" text NOT NULL,
    since bigint NOT NULL,
    resumed boolean NOT NULL,
    paused_at bigint,
    paused_until bigint,
    paused_by text,
    paused_reason text,
    added text,
    overrides text
) WITH (fillfactor = 50);
CREATE SEQUENCE ~record_seq CACHE 1;
CREATE TABLE ~record (
    seq bigint PRIMARY KEY,
    due bigint NOT NULL,
    last_due bigint NOT NULL,
    count bigint NOT NULL,
    at bigint NOT NULL,
    run bigint,
    session bigint,
    started bigint,
    begun bigint,
    duration bigint,
    pid bigint,
    pid_start bigint,
    number bigint,
    attempts bigint NOT NULL,
    slot integer,
    failed boolean NOT NULL,
    job text COLLATE "C" NOT NULL,
    claim text COLLATE "C" NOT NULL,
    outcome text,
    reason text,
    "by" text,
    host text
);
CREATE UNIQUE INDEX record_claim ON ~record (job, due, claim);
CREATE UNIQUE INDEX record_slot ON ~record (job, slot, claim) WHERE outcome IS NULL AND slot IS NOT NULL;
CREATE UNIQUE INDEX record_run ON ~record (run);
CREATE INDEX record_job ON ~record (job, seq);
CREATE INDEX record_open ON ~record (session) WHERE outcome IS NULL;
CREATE INDEX record_failed ON ~record (seq) WHERE failed;
CREATE INDEX record_due ON ~record USING brin (due, last_due) WITH (pages_per_range = 32);
CREATE TABLE ~attempt (
    run bigint NOT NULL,
    attempt bigint NOT NULL,
    outcome text NOT NULL,
    number bigint,
    reason text,
    begun bigint,
    ended bigint NOT NULL,
    pid bigint,
    pid_start bigint,
    PRIMARY KEY (run, attempt)
);
CREATE TABLE ~output (
    run bigint PRIMARY KEY,
    total bigint NOT NULL,
    tail bytea NOT NULL
);
CREATE TABLE ~change (
    id bigserial PRIMARY KEY,
    at bigint NOT NULL,
    job text COLLATE "C",
    what text NOT NULL,
    "by" text NOT NULL,
    detail text
);
CREATE INDEX change_at ON ~change (at);
CREATE TABLE ~life (
    id bigserial PRIMARY KEY,
    session bigint,
    pid bigint NOT NULL,
    pid_start bigint NOT NULL,
    boot text NOT NULL,
    began bigint NOT NULL,
    seen bigint NOT NULL,
    stopped bigint,
    jobfile text NOT NULL,
    mark bigint NOT NULL
);
CREATE TABLE ~ask (
    id bigint PRIMARY KEY,
    receiver bigint NOT NULL,
    sender bigint NOT NULL,
    "by" text NOT NULL,
    at bigint NOT NULL,
    request text NOT NULL,
    answer text
);
INSERT INTO ~store (version, oldest) VALUES (0, 1);
"#;

/// Entries of lists. An older schedrs has no need of them.
const VERSION_2: &str = r#"
CREATE TABLE ~entry (
    list text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (list, name)
);
"#;

/// The version that is the first to have what runs use and print.
pub(super) const HAS_USAGE: i32 = 3;

/// What a run has used, and how many bytes it has printed. An older schedrs says nothing of that.
const VERSION_3: &str = r#"
ALTER TABLE ~record ADD COLUMN cpu bigint, ADD COLUMN max_rss bigint, ADD COLUMN disk_read bigint,
    ADD COLUMN disk_written bigint, ADD COLUMN printed bigint;
"#;

/// Makes sure that the tables are there and that this program understands them. Without `make`
/// nothing is made. Answers the version of the tables.
pub(super) fn ensure(link: &mut Link, make: bool) -> Result<i32, StoreError> {
    let newest = MIGRATIONS.len() as i32;
    let (mut version, oldest) = version(link)?;
    if version < newest && make {
        migrate(link, MIGRATIONS, version)?;
        version = newest;
    }
    if oldest > newest {
        let message = format!(
            "its tables are from a newer schedrs (schema {version}; this one knows up to {newest}); \
             update this host"
        );
        let found = u32::try_from(version).unwrap_or(0);
        return Err(link.settings.url.error(Trouble::Newer(found), &message));
    }
    if version == 0 {
        let message = format!(
            "there is no schema \"{}\" with schedrs tables; `schedrs run` creates them",
            link.settings.schema
        );
        return Err(link.settings.url.error(Trouble::Missing, &message));
    }
    Ok(version)
}

/// The version of the tables, and the oldest that may use them; 0: there are none.
fn version(link: &mut Link) -> Result<(i32, i32), StoreError> {
    let sql = "SELECT to_regclass($1) IS NOT NULL";
    let name = format!("\"{}\".store", link.settings.schema);
    let there = Statement::new(&link.settings, sql).text(name);
    let there = link.ask(&there)?.first().is_some_and(|row| row.get(0));
    if !there {
        return Ok((0, 0));
    }
    let rows = match link.ask(&Statement::new(&link.settings, "SELECT version, oldest FROM ~store"))
    {
        // It has no such columns.
        Err(error) if error.kind == Trouble::Other => Vec::new(),
        rows => rows?,
    };
    let numbers = rows.first().and_then(|row| Some((row.try_get(0).ok()?, row.try_get(1).ok()?)));
    numbers.ok_or_else(|| {
        let message = "its table \"store\" is not from schedrs; use another schema";
        link.settings.url.error(Trouble::Other, message)
    })
}

/// Makes what is missing, all or nothing.
pub(super) fn migrate(link: &mut Link, migrations: &[&str], has: i32) -> Result<(), StoreError> {
    let schema = &link.settings.schema;
    // Somebody else may be at it: the lock is held until the end of the transaction, and what has
    // been made by then is left alone.
    let mut sql = format!(
        "BEGIN; SET LOCAL statement_timeout = 5000; \
         SELECT pg_advisory_xact_lock(hashtextextended('schedrs ' || {}, 0));",
        literal(schema)
    );
    if has == 0 {
        let owner = format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\";");
        // Whoever may not make a schema may have been given one.
        sql += &format!(
            "DO $do$ BEGIN IF to_regnamespace({}) IS NULL THEN {owner} END IF; END $do$;",
            literal(&format!("\"{schema}\""))
        );
    }
    for (number, migration) in (1..).zip(migrations).skip(has.max(0) as usize) {
        let migration = migration.replace('~', &format!("\"{schema}\"."));
        let known = match number {
            1 => format!("to_regclass({})", literal(&format!("\"{schema}\".store"))),
            _ => format!("(SELECT 1 FROM \"{schema}\".store WHERE version >= {number})"),
        };
        sql += &format!(
            "DO $do$ BEGIN IF {known} IS NULL THEN {migration} \
             UPDATE \"{schema}\".store SET version = {number}; END IF; END $do$;"
        );
    }
    sql += "COMMIT";
    link.script(&sql)
}

/// A text as SQL has it.
fn literal(text: &str) -> String {
    // Without E'' a backslash is itself, whatever the server was told long ago.
    format!("'{}'", text.replace('\'', "''"))
}
