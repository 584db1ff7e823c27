//! The tables, their version, and how an older one becomes the present one.
//!
//! They are made at first use, under a lock of their own, so that several hosts may start at once. A
//! change to them is a new entry in [`MIGRATIONS`], and only adds: while hosts are updated one by one,
//! both versions use the tables. `oldest` in the table of the store is the oldest version that may.

use mysql::{Conn, Error};

use super::cells;
use super::link::{query, trouble};
use super::literal;
use super::settings::Settings;
use crate::store::{StoreError, Trouble};

/// What makes of each version the next one; the first makes version 1 of nothing. Each statement may
/// be done twice, for a statement that changes a table ends the transaction that it is in.
const MIGRATIONS: &[&[&str]] = &[VERSION_1, VERSION_2, VERSION_3];

/// Texts are bytes, so that all of them come back, and names are compared as they are. InnoDB has no
/// index of some rows only: what is over has no `slot` and is not `open`, and such rows do not collide.
const VERSION_1: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS ~store (one TINYINT PRIMARY KEY, version INT NOT NULL, \
     oldest INT NOT NULL, generation BIGINT NOT NULL DEFAULT 0, changes BIGINT NOT NULL DEFAULT 0, \
     recorded VARBINARY(255) NOT NULL DEFAULT '', next_run BIGINT NOT NULL DEFAULT 1, \
     paused_at BIGINT, paused_until BIGINT, paused_by BLOB, paused_reason BLOB)",
    "CREATE TABLE IF NOT EXISTS ~member (id BIGINT PRIMARY KEY, host BLOB NOT NULL, \
     labels BLOB NOT NULL, machine BLOB NOT NULL, boot BLOB NOT NULL, mark BIGINT NOT NULL, \
     pid BIGINT NOT NULL, pid_start BIGINT NOT NULL, version BLOB NOT NULL, tzdata BLOB NOT NULL, \
     jobfile BLOB NOT NULL, jobfile_hash BIGINT NOT NULL, loaded BIGINT NOT NULL, \
     joined BIGINT NOT NULL, seen BIGINT NOT NULL, ahead BIGINT NOT NULL, beat BIGINT NOT NULL, \
     generation BIGINT NOT NULL, leaving TINYINT NOT NULL, gone_at BIGINT, gone_by BIGINT, \
     jobs_at_home BIGINT NOT NULL, running BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ~file (hash BIGINT PRIMARY KEY, jobs LONGBLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ~job (name VARBINARY(2048) PRIMARY KEY, decided BIGINT NOT NULL, \
     anchor BIGINT NOT NULL, `trigger` MEDIUMBLOB NOT NULL, since BIGINT NOT NULL, \
     resumed TINYINT NOT NULL, paused_at BIGINT, paused_until BIGINT, paused_by BLOB, \
     paused_reason BLOB, added MEDIUMBLOB, overrides MEDIUMBLOB)",
    "CREATE TABLE IF NOT EXISTS ~record (seq BIGINT AUTO_INCREMENT PRIMARY KEY, \
     job VARBINARY(2048) NOT NULL, due BIGINT NOT NULL, claim VARBINARY(512) NOT NULL, \
     last_due BIGINT NOT NULL, count BIGINT NOT NULL, at BIGINT NOT NULL, run BIGINT, \
     session BIGINT, slot INT, open TINYINT, failed TINYINT NOT NULL, said TINYINT NOT NULL, \
     outcome VARBINARY(32), number BIGINT, reason MEDIUMBLOB, started BIGINT, begun BIGINT, \
     duration BIGINT, attempts BIGINT NOT NULL, pid BIGINT, pid_start BIGINT, `by` BLOB, host BLOB, \
     UNIQUE KEY claimed (job, due, claim), UNIQUE KEY room (job, slot, claim), \
     UNIQUE KEY run (run), KEY of_job (job, seq), KEY open (open, session), KEY failed (failed, seq))",
    "CREATE TABLE IF NOT EXISTS ~attempt (run BIGINT NOT NULL, attempt BIGINT NOT NULL, \
     outcome VARBINARY(32) NOT NULL, number BIGINT, reason MEDIUMBLOB, begun BIGINT, \
     ended BIGINT NOT NULL, pid BIGINT, pid_start BIGINT, PRIMARY KEY (run, attempt))",
    "CREATE TABLE IF NOT EXISTS ~output (run BIGINT PRIMARY KEY, total BIGINT NOT NULL, \
     tail LONGBLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ~change (id BIGINT AUTO_INCREMENT PRIMARY KEY, at BIGINT NOT NULL, \
     job VARBINARY(2048), what VARBINARY(32) NOT NULL, `by` BLOB NOT NULL, detail MEDIUMBLOB, \
     KEY at (at))",
    "CREATE TABLE IF NOT EXISTS ~life (id BIGINT AUTO_INCREMENT PRIMARY KEY, session BIGINT, \
     pid BIGINT NOT NULL, pid_start BIGINT NOT NULL, boot BLOB NOT NULL, began BIGINT NOT NULL, \
     seen BIGINT NOT NULL, stopped BIGINT, jobfile BLOB NOT NULL, mark BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ~ask (id BIGINT PRIMARY KEY, receiver BIGINT NOT NULL, \
     sender BIGINT NOT NULL, `by` BLOB NOT NULL, at BIGINT NOT NULL, request MEDIUMBLOB NOT NULL, \
     answer MEDIUMBLOB)",
    "INSERT INTO ~store (one, version, oldest) VALUES (1, 1, 1) ON DUPLICATE KEY UPDATE one = one",
];

/// The version that is the first to have lists.
pub(super) const HAS_ENTRIES: i64 = 2;

/// Entries of lists. An older schedrs has no need of them.
const VERSION_2: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS ~entry (list VARBINARY(64) NOT NULL, name VARBINARY(512) NOT NULL, \
     value MEDIUMBLOB NOT NULL, PRIMARY KEY (list, name))",
];

/// The version that is the first to have what runs use and print.
pub(super) const HAS_USAGE: i64 = 3;

/// What a run has used, and how many bytes it has printed. An older schedrs says nothing of that. It is
/// one statement, so that either all columns are there or none.
const VERSION_3: &[&str] =
    &["ALTER TABLE ~record ADD COLUMN cpu BIGINT, ADD COLUMN max_rss BIGINT, \
     ADD COLUMN disk_read BIGINT, ADD COLUMN disk_written BIGINT, ADD COLUMN printed BIGINT"];

/// The server's error where a column to be added is there.
const HAS_COLUMN: u16 = 1060;

/// The name of a table stands behind `~`.
pub(super) fn named(sql: &str) -> String {
    sql.replace('~', "schedrs_")
}

/// Makes sure that the tables are there and that this program understands them. Without `make`
/// nothing is made. Answers the version of the tables.
pub(super) fn ensure(settings: &Settings, conn: &mut Conn, make: bool) -> Result<i64, StoreError> {
    let failed = |error: Error| trouble(settings, &error);
    let newest = MIGRATIONS.len() as i64;
    let (mut version, mut oldest) = versions(settings, conn)?;
    if version < newest && make {
        let lock = literal::text(&format!("schedrs {}", settings.database()));
        // A name of a lock has 64 characters at most.
        let lock = format!("SHA2({lock}, 224)");
        query(conn, &format!("SELECT GET_LOCK({lock}, 5)")).map_err(failed)?;
        // Somebody else may have been at it meanwhile.
        (version, oldest) = versions(settings, conn)?;
        for migration in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
            for statement in *migration {
                let engine = if statement.starts_with("CREATE TABLE") {
                    " ENGINE=InnoDB ROW_FORMAT=DYNAMIC"
                } else {
                    ""
                };
                match query(conn, &format!("{}{engine}", named(statement))) {
                    // It was done before, and it was not written down.
                    Err(Error::MySqlError(error)) if error.code == HAS_COLUMN => {}
                    done => drop(done.map_err(failed)?),
                }
            }
            version += 1;
            let sql = format!("UPDATE ~store SET version = {version}");
            query(conn, &named(&sql)).map_err(failed)?;
        }
        query(conn, &format!("SELECT RELEASE_LOCK({lock})")).map_err(failed)?;
    }
    if oldest > newest {
        let message = format!(
            "was written by a newer schedrs (its schema is {version}, this one knows up to {newest}); \
             use that one, or another database"
        );
        let found = u32::try_from(version).unwrap_or(0);
        return Err(settings.url.error(Trouble::Newer(found), &message));
    }
    if version == 0 {
        let message = "has no schedrs tables; `schedrs run` creates them";
        return Err(settings.url.error(Trouble::Missing, message));
    }
    Ok(version)
}

/// The version of the tables, and the oldest that may use them; 0: there are none.
fn versions(settings: &Settings, conn: &mut Conn) -> Result<(i64, i64), StoreError> {
    let answers = match query(conn, &named("SELECT version, oldest FROM ~store")) {
        Err(Error::MySqlError(error)) if error.code == 1146 => return Ok((0, 0)),
        answers => answers.map_err(|error| trouble(settings, &error))?,
    };
    let found = cells::all(&settings.url, answers.first(), |row| {
        Ok((cells::number(row, 0)?, cells::number(row, 1)?))
    })?;
    Ok(found.first().copied().unwrap_or((0, 0)))
}
