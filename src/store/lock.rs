//! One scheduler to a store: a lock file beside it.
//!
//! The lock is a POSIX record lock. The kernel lets go of it when the process ends, however it
//! ends, and no child ever has it, not even between its fork and its exec, so that after `kill -9`
//! the next scheduler starts at once. Such a lock says nothing to the process that holds it, and
//! is lost when that process closes *any* descriptor of the file; so what this process holds is
//! known here, and a file that it holds is never opened a second time.
//!
//! The file stays when the lock is gone: taking it away would race with whoever comes next. It
//! holds the id of the last process that had it, for people.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk, getpid};

/// What this process holds: device and inode.
static HELD: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

/// The right to write a store, for as long as it lives.
#[derive(Debug)]
pub(super) struct WriterLock {
    /// Closed in `drop`, while nobody else looks.
    file: Option<File>,
    key: (u64, u64),
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NoLock {
    /// This process has it. 0: it cannot be told, being in another container.
    Held(u32),
    /// The file cannot be made, opened or locked.
    Io(io::Error),
}

impl From<io::Error> for NoLock {
    fn from(error: io::Error) -> NoLock {
        NoLock::Io(error)
    }
}

/// The lock file of a database.
pub(super) fn lock_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

fn held() -> MutexGuard<'static, Vec<(u64, u64)>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn own_pid() -> u32 {
    getpid().as_raw_nonzero().get().unsigned_abs()
}

impl WriterLock {
    /// Takes the lock of a database, or says who has it.
    pub(super) fn take(database: &Path) -> Result<WriterLock, NoLock> {
        let path = lock_path(database);
        let mut held = held();
        if let Ok(found) = fs::metadata(&path)
            && held.contains(&(found.dev(), found.ino()))
        {
            return Err(NoLock::Held(own_pid()));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path)?;
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(NoLock::Held(holder(&mut file))),
            Err(error) => return Err(NoLock::Io(error.into())),
        }
        let found = file.metadata()?;
        // What it holds is for people; a disk that is full is no reason not to have the lock.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", own_pid()));
        let key = (found.dev(), found.ino());
        held.push(key);
        Ok(WriterLock { file: Some(file), key })
    }
}

/// The process that has the lock of a database, as another one sees it.
pub(super) fn writer_of(database: &Path) -> Option<u32> {
    // Closing a file that this process holds the lock of would let go of it.
    let held = held();
    let path = lock_path(database);
    let found = fs::metadata(&path).ok()?;
    if held.contains(&(found.dev(), found.ino())) {
        return Some(own_pid());
    }
    let file = File::open(&path).ok()?;
    let lock = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
    lock.pid.map(|pid| pid.as_raw_nonzero().get().unsigned_abs())
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        let mut held = held();
        self.file = None;
        held.retain(|key| *key != self.key);
    }
}

/// Who has the lock: what the kernel says, and what the file does where that process is in another
/// container.
fn holder(file: &mut File) -> u32 {
    let wanted = Flock::from(FlockType::WriteLock);
    if let Ok(Some(lock)) = fcntl_getlk(&*file, &wanted)
        && let Some(pid) = lock.pid
    {
        return pid.as_raw_nonzero().get().unsigned_abs();
    }
    let mut text = String::new();
    let _ = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
    text.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let first = WriterLock::take(&path).unwrap();
        let text = || fs::read_to_string(dir.path().join("x.db.lock")).unwrap();
        assert!(matches!(WriterLock::take(&path), Err(NoLock::Held(pid)) if pid == own_pid()));
        drop(first);
        let second = WriterLock::take(&path).unwrap();
        drop(second);
        assert_eq!(text(), format!("{}\n", own_pid()));
    }

    #[test]
    fn a_directory_that_is_not_there() {
        let error = WriterLock::take(Path::new("/no/such/x.db")).unwrap_err();
        assert!(matches!(error, NoLock::Io(error) if error.kind() == io::ErrorKind::NotFound));
    }
}
