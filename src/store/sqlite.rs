//! The embedded store: one SQLite file beside nothing else that has to run.
//!
//! One process writes it (`super::lock`), any may read it meanwhile (`read`). It is in WAL mode
//! with `synchronous = NORMAL`: a commit is a write to the log and waits for no disk; what does
//! is done on another thread (`checkpoint`). After a crash of schedrs nothing that was committed is
//! missing; after one of the machine perhaps the last moments, but the file is whole.
//!
//! A file that turns out to be damaged is moved aside, at once, so that opening the store again
//! begins a new one. `doc/store.md` says what is in the file.

mod checkpoint;
pub(super) mod files;
#[cfg(test)]
mod plans;
mod query;
mod read;
mod schema;
mod starting;
mod tidy;
mod trouble;
mod write;

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result};

use self::checkpoint::Checkpointer;
use self::files::Found;
use self::schema::MIGRATIONS;
use self::tidy::Tidying;
use self::write::{Known, Writer};
use super::lock::{NoLock, WriterLock};
use super::{Fact, Limits, Reader, Restored, Store, StoreError, Trouble};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::sys::file_id::FileId;

pub use self::read::SqliteReader;

/// How long the writer waits for others: next to nothing, for runs wait with it.
const PATIENCE: Duration = Duration::from_millis(50);
/// After so many pages the log is put into the database, on another thread.
const CHECKPOINT: u32 = 1000;
/// After so many (16 MiB) it is to begin anew even if that keeps the writer waiting.
const LONG: u32 = 4096;
/// After so many (32 MiB) the writer does it itself.
const TOO_LONG: u32 = 8192;
/// To what a log is cut that has been as long as that, in bytes.
const LOG_KEPT: i64 = 16 << 20;
/// Statements that are kept prepared: all that the writer has.
const STATEMENTS: usize = 64;

thread_local! {
    /// How many pages the log has, as SQLite told after the last commit on this thread.
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// The embedded store.
#[derive(Debug)]
pub struct Sqlite {
    path: PathBuf,
    /// `None` after the file was found damaged, deleted or replaced.
    open: Option<Open>,
    /// Read when it was opened, which shows most damage; given away once.
    restored: Option<Restored>,
    /// Let go of after everything else.
    _lock: WriterLock,
}

#[derive(Debug)]
struct Open {
    /// Before the connection: its thread has one of its own, and the last to close tidies up.
    checkpointer: Checkpointer,
    conn: Connection,
    known: Known,
    tidying: Tidying,
    identity: Option<FileId>,
    /// The file never was shorter than so many bytes.
    length: u64,
    /// So many pages of log had been written when a checkpoint was last asked for.
    asked: u32,
}

impl Sqlite {
    /// Opens a store for writing, or makes it. A damaged one is moved aside if it is a store for
    /// sure: `ours` says that it can be nothing else. Answers what there is to say about it, too.
    pub fn open(path: &Path, ours: bool) -> Result<(Sqlite, Vec<String>), StoreError> {
        let path = files::resolve(path);
        let mut lock = WriterLock::take(&path).map_err(|error| no_lock(&path, error))?;
        let ours = ours || lock.is_beside_store();
        let mut warnings = Vec::new();
        match Sqlite::open_locked(&path, ours, &mut warnings) {
            Ok((open, restored)) => {
                lock.mark_store();
                let (open, restored) = (Some(open), Some(restored));
                Ok((Sqlite { path, open, restored, _lock: lock }, warnings))
            }
            Err(error) => {
                lock.discard();
                Err(error)
            }
        }
    }

    fn open_locked(
        path: &Path,
        ours: bool,
        warnings: &mut Vec<String>,
    ) -> Result<(Open, Restored), StoreError> {
        if !ours {
            files::refuse_foreign(path)?;
        }
        if files::find_or_make(path)? == Found::Stub {
            match (ours, files::length(path)) {
                (true, 0) => warnings.push(format!("{} was emptied", path.display())),
                (true, _) => {
                    let what = format!("{} was truncated", path.display());
                    warnings.push(begin_anew(path, &what)?);
                }
                (false, 0) => {}
                (false, _) => {
                    let message = format!("{} is not a database; use another file", path.display());
                    return Err(StoreError::new(Trouble::Corrupt, message));
                }
            }
        }
        match Open::new(path) {
            Err(error) if error.kind == Trouble::Corrupt => {
                if !ours && !files::has_our_mark(path) {
                    let message = format!("{}; use another file, or move it away", error.message);
                    return Err(StoreError::new(Trouble::Corrupt, message));
                }
                warnings.push(begin_anew(path, &error.message)?);
                Open::new(path)
            }
            opened => opened,
        }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does something with the connection, and what is to be done if that shows damage.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Open) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(open) = &mut self.open else {
            let message = format!("{} is to be opened again", self.path.display());
            return Err(StoreError::new(Trouble::Missing, message));
        };
        match work(open) {
            Err(error) if error.kind == Trouble::Corrupt => Err(self.give_up(error)),
            Err(error) if error.kind == Trouble::Missing => {
                self.open = None;
                Err(error)
            }
            done => done,
        }
    }

    /// Moves the file aside. Nothing of it may be open then: SQLite would take its locks and, at
    /// the end, the log away from the one that comes in its place.
    fn give_up(&mut self, error: StoreError) -> StoreError {
        self.open = None;
        match files::move_aside(&self.path) {
            Ok(aside) => {
                let message = format!("{}: it was moved to {}", error.message, aside.display());
                StoreError::new(Trouble::Corrupt, message)
            }
            Err(other) => {
                let message = format!("{}, and {}", error.message, other.message);
                StoreError::new(Trouble::Corrupt, message)
            }
        }
    }
}

/// Moves what is there aside and makes a new file. Answers what there is to say about it.
fn begin_anew(path: &Path, what: &str) -> Result<String, StoreError> {
    let aside = files::move_aside(path)?;
    files::find_or_make(path)?;
    Ok(format!("{what}: it was moved to {}, and a new one was created", aside.display()))
}

fn no_lock(path: &Path, error: NoLock) -> StoreError {
    match error {
        NoLock::Io(error) if error.kind() == ErrorKind::NotFound => {
            let path = path.display();
            let message =
                format!("cannot create {path}: its directory does not exist; create it first");
            StoreError::new(Trouble::Missing, message)
        }
        NoLock::Foreign(what) => {
            let (path, lock) = (path.display(), super::lock::lock_path(path));
            let lock = lock.display();
            let message = format!(
                "{path} cannot be locked: {lock}, where its lock belongs, is {what}; use another \
                 file"
            );
            StoreError::new(Trouble::Other, message)
        }
        NoLock::Io(error) => trouble::from_io(path, "locked", &error),
        NoLock::Held(pid) => {
            let who = match pid {
                0 => "another scheduler".to_owned(),
                pid => format!("another scheduler (pid {pid})"),
            };
            let path = path.display();
            let message = format!("{path} is in use by {who}; stop it, or use another store");
            StoreError::new(Trouble::InUse(pid), message)
        }
    }
}

impl Open {
    fn new(path: &Path) -> Result<(Open, Restored), StoreError> {
        let failed = |error| trouble::from_sqlite(path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(path, flags).map_err(failed)?;
        conn.busy_timeout(PATIENCE).map_err(failed)?;
        // Before anything is set, which would already change a database that is not ours.
        schema::version(&conn, path, MIGRATIONS.len() as u32)?;
        set_up(&conn).map_err(failed)?;
        schema::migrate(&mut conn, path, MIGRATIONS)?;
        let mut open = Open {
            checkpointer: Checkpointer::new(path),
            conn,
            known: Known::default(),
            tidying: Tidying::default(),
            identity: FileId::at(path),
            length: files::length(path),
            asked: 0,
        };
        open.settle().map_err(failed)?;
        let restored = read::restored(&open.conn).map_err(failed)?;
        Ok((open, restored))
    }

    /// Does something in one transaction.
    fn within<T>(
        &mut self,
        work: impl FnOnce(&Connection, &mut Known, &mut Tidying) -> Result<T>,
    ) -> Result<T> {
        let Open { conn, known, tidying, checkpointer, .. } = self;
        let _turn = checkpointer.turn().take();
        let run = |sql: &str| conn.prepare_cached(sql)?.execute([]);
        run("BEGIN IMMEDIATE")?;
        let done = work(conn, known, tidying).and_then(|done| run("COMMIT").map(|_| done));
        if done.is_err() {
            known.forget();
            if !conn.is_autocommit() {
                let _ = run("ROLLBACK");
            }
        }
        done
    }

    /// Makes records of what has only begun.
    fn settle(&mut self) -> Result<()> {
        self.within(|conn, known, _| Writer { conn, known, lost: Vec::new() }.settle())
    }

    /// Sees to the log after a commit.
    fn checkpoint(&mut self) {
        let pages = PAGES.get();
        if pages < self.asked {
            self.asked = 0;
        }
        if pages < self.asked.saturating_add(CHECKPOINT) {
            return;
        }
        self.asked = pages;
        self.checkpointer.ask(pages > LONG);
        if pages > TOO_LONG {
            // Something keeps the other thread from it: a reader that stays, or a slow disk.
            let _ = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }

    /// Whether what is open is still what others will find.
    fn in_place(&mut self, path: &Path) -> Result<(), StoreError> {
        if FileId::at(path) != self.identity {
            let message = format!("{} was deleted or replaced while it was in use", path.display());
            return Err(StoreError::new(Trouble::Missing, message));
        }
        // It becomes shorter when pages are given back, by us or by somebody's VACUUM. Else somebody
        // has cut it off, and SQLite would see that only where it happens to read.
        let length = files::length(path);
        if length < self.length && !self.tidying.shrunk {
            let failed = |error| trouble::from_sqlite(path, &error);
            let check = "PRAGMA quick_check(1)";
            let found = self.conn.query_row(check, [], |row| row.get::<_, String>(0));
            if found.map_err(failed)? != "ok" {
                let message = format!("{} is damaged (truncated)", path.display());
                return Err(StoreError::new(Trouble::Corrupt, message));
            }
            // What was cut off is in the log still, and goes where it was.
            self.checkpointer.ask(true);
        }
        self.length = length;
        Ok(())
    }
}

fn set_up(conn: &Connection) -> Result<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // A statement that could use an index of some rows only is planned anew for each value otherwise,
    // which takes longer than writing a record.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Only of use before the first table is made.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "journal_size_limit", LOG_KEPT)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.wal_hook(Some(|_, pages| {
        PAGES.set(pages.unsigned_abs());
        Ok(())
    }));
    Ok(())
}

impl Store for Sqlite {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        if let Some(restored) = self.restored.take() {
            return Ok(restored);
        }
        let path = self.path.clone();
        self.with(|open| {
            let restored = open.settle().and_then(|()| read::restored(&open.conn));
            restored.map_err(|error| trouble::from_sqlite(&path, &error))
        })
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        self.restored = None;
        let path = self.path.clone();
        self.with(|open| {
            let lost = open.within(|conn, known, _| {
                let mut writer = Writer { conn, known, lost: Vec::new() };
                writer.all(facts).map(|()| writer.lost)
            });
            let lost = lost.map_err(|error| trouble::from_sqlite(&path, &error))?;
            open.checkpoint();
            Ok(lost)
        })
    }

    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError> {
        let path = self.path.clone();
        self.with(|open| {
            open.in_place(&path)?;
            let more = open.within(|conn, known, tidying| {
                Writer { conn, known, lost: Vec::new() }.settle()?;
                tidying.slice(conn, known, keep, now)
            });
            let more = more.map_err(|error| trouble::from_sqlite(&path, &error))?;
            open.checkpoint();
            Ok(more)
        })
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(SqliteReader::open(&self.path)?))
    }
}
