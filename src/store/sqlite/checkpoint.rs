//! Putting the log (the write-ahead log of SQLite) into the database, on a thread of its own.
//!
//! That is the only time anything is synced to the disk, and so the only thing that may take long.
//! The writer asks for it when the log has grown; a thread is made for it and is gone afterwards,
//! so that an idle scheduler has none. The first transaction after all of the log has been put away
//! begins it anew, which is another sync: this thread makes that transaction, too. It keeps the
//! writer waiting for that, so under load it does so rarely, and else when nothing is written.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, OpenFlags, Result};

/// So many pages of log are put away in no time.
const LITTLE: i64 = 32;

/// Does it, one at a time.
#[derive(Debug)]
pub(super) struct Checkpointer {
    path: PathBuf,
    turn: Arc<Turn>,
    thread: Option<JoinHandle<()>>,
}

/// Whose turn it is to write. SQLite has a lock for that, too, but it waits for it by looking again
/// and again.
#[derive(Debug, Default)]
pub(super) struct Turn(Mutex<()>);

impl Turn {
    pub(super) fn take(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checkpointer {
    pub(super) fn new(path: &Path) -> Checkpointer {
        Checkpointer { path: path.to_path_buf(), turn: Arc::default(), thread: None }
    }

    /// To be held while something is written.
    pub(super) fn turn(&self) -> &Arc<Turn> {
        &self.turn
    }

    /// Begins, unless it is at it. `anew`: the log is to begin anew even if the writer has to wait.
    pub(super) fn ask(&mut self, anew: bool) {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.wait();
        let (path, turn) = (self.path.clone(), Arc::clone(&self.turn));
        let thread = thread::Builder::new().name("checkpoint".to_owned());
        // What does not work now will be asked for again, and at last the writer does it itself.
        self.thread = thread
            .spawn(move || {
                let _ = checkpoint(&path, &turn, anew);
            })
            .ok();
    }

    /// Waits until it is at an end, if it is at it.
    pub(super) fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wait();
    }
}

/// All of the log that no reader needs any more. Answers how many pages of it are left.
fn passive(conn: &Connection) -> Result<i64> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (log, done): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(log - done)
    })
}

fn checkpoint(path: &Path, turn: &Turn, anew: bool) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    // The bulk of it while the writer goes on, and then what has come meanwhile, until that is
    // little. If a reader needs the log, it grows until the next time.
    let mut left = passive(&conn)?;
    for _ in 0..3 {
        if left > LITTLE {
            left = passive(&conn)?;
        }
    }
    if left > 0 && !anew {
        return Ok(());
    }
    let _turn = turn.take();
    if passive(&conn)? == 0 {
        conn.execute("UPDATE state SET next_run = next_run WHERE id = 1", [])?;
    }
    Ok(())
}
