//! One scheduler to a store: a lock file beside it.
//!
//! The lock is a POSIX record lock. The kernel lets go of it when the process ends, however it
//! ends, and no child ever has it, not even between its fork and its exec, so that after `kill -9`
//! the next scheduler starts at once. Such a lock says nothing to the process that holds it, and
//! is lost when that process closes *any* descriptor of the file; so what this process holds is
//! known here, and a file that it holds is never opened a second time.
//!
//! The file stays when the lock is gone: taking it away would race with whoever comes next. It
//! holds the id of the last process that had it, for people, and a word that says that what it lies
//! beside has been a store, for a day on which that is too damaged to say so itself. A `.lock` that
//! holds anything else is somebody else's, such as a package manager's, and is left alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sys::file_id::FileId;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, fcntl_getlk, getpid};

/// The lock files that this process holds.
static HELD: Mutex<Vec<FileId>> = Mutex::new(Vec::new());

/// What the second line of a lock says when it lies beside a store.
const STORE: &str = "store";

/// No lock of ours is longer.
const LONGEST: u64 = 64;

/// The right to write a store, for as long as it lives.
#[derive(Debug)]
pub(super) struct WriterLock {
    path: PathBuf,
    /// Closed in `drop`, while nobody else looks.
    file: Option<File>,
    key: FileId,
    /// It was not there before.
    made: bool,
    /// It lies beside what has been opened as a store.
    beside_store: bool,
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NoLock {
    /// This process has it. 0: it cannot be told, being in another container.
    Held(u32),
    /// There is a file in its place that is no lock: what it is instead.
    Foreign(&'static str),
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

fn held() -> MutexGuard<'static, Vec<FileId>> {
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
        if let Ok(found) = fs::symlink_metadata(&path)
            && held.contains(&FileId::of(&found))
        {
            return Err(NoLock::Held(own_pid()));
        }
        let (file, made) = open(&path)?;
        let found = file.metadata()?;
        let Some(text) = text_of(&file, &found)? else {
            return Err(NoLock::Foreign("no lock of schedrs"));
        };
        match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(NoLock::Held(holder(&file))),
            Err(error) => return Err(NoLock::Io(error.into())),
        }
        let beside_store = text.lines().nth(1) == Some(STORE);
        let key = FileId::of(&found);
        held.push(key);
        let lock = WriterLock { path, file: Some(file), key, made, beside_store };
        lock.write();
        Ok(lock)
    }

    /// Whether it lies beside what has been opened as a store, now or before.
    pub(super) fn is_beside_store(&self) -> bool {
        self.beside_store
    }

    /// Says from here on that it does.
    pub(super) fn mark_store(&mut self) {
        if !self.beside_store {
            self.beside_store = true;
            self.write();
        }
    }

    /// Removes the file if this has made it: it lies beside something that is no store.
    pub(super) fn discard(self) {
        if self.made {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// What it says is for people, and for a store that is damaged; a disk that is full is no reason
    /// not to have the lock. It is never shorter than what it is to say.
    fn write(&self) {
        let Some(file) = &self.file else { return };
        let mark = if self.beside_store { format!("{STORE}\n") } else { String::new() };
        let text = format!("{}\n{mark}", own_pid());
        let _ =
            file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64));
    }
}

/// Opens the file of a lock, or makes it. Links are not followed: who can put one there could have
/// any file of ours overwritten.
fn open(path: &Path) -> Result<(File, bool), NoLock> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let opened = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match options.clone().create_new(true).open(path) {
                // Somebody else was as fast.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.open(path),
                made => return Ok((made?, true)),
            }
        }
        opened => opened,
    };
    match opened {
        Ok(file) => Ok((file, false)),
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            Err(NoLock::Foreign("a symbolic link"))
        }
        // A directory; a socket or a FIFO that nobody reads.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EISDIR | libc::ENXIO)) => {
            Err(NoLock::Foreign("not a regular file"))
        }
        Err(error) => Err(NoLock::Io(error)),
    }
}

/// What a lock says; `None` if it is none: nothing but a number, and perhaps the word, is ours.
fn text_of(file: &File, found: &fs::Metadata) -> io::Result<Option<String>> {
    if !found.is_file() || found.len() > LONGEST {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).unwrap_or_else(|_| "?".to_owned());
    let (pid, mark) = text.split_once('\n').unwrap_or((&text, ""));
    // Whoever has it may be writing it at this moment.
    let is_mark = STORE.starts_with(mark.trim_end_matches('\n'));
    let is_pid = pid.len() <= 10 && pid.bytes().all(|byte| byte.is_ascii_digit());
    Ok((is_pid && is_mark).then_some(text))
}

/// The process that has the lock of a database, as another one sees it.
pub(super) fn writer_of(database: &Path) -> Option<u32> {
    // Closing a file that this process holds the lock of would let go of it.
    let held = held();
    let path = lock_path(database);
    let found = fs::symlink_metadata(&path).ok()?;
    if held.contains(&FileId::of(&found)) {
        return Some(own_pid());
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(&path).ok()?;
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
fn holder(file: &File) -> u32 {
    let wanted = Flock::from(FlockType::WriteLock);
    if let Ok(Some(lock)) = fcntl_getlk(file, &wanted)
        && let Some(pid) = lock.pid
    {
        return pid.as_raw_nonzero().get().unsigned_abs();
    }
    let mut bytes = [0; LONGEST as usize];
    let read = file.read_at(&mut bytes, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..read]);
    text.lines().next().and_then(|pid| pid.trim().parse().ok()).unwrap_or(0)
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
    fn it_remembers_that_it_lies_beside_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let mut lock = WriterLock::take(&path).unwrap();
        assert!(!lock.is_beside_store());
        lock.mark_store();
        drop(lock);
        let lock = WriterLock::take(&path).unwrap();
        assert!(lock.is_beside_store());
        // It was there already, and stays.
        lock.discard();
        let text = fs::read_to_string(dir.path().join("x.db.lock")).unwrap();
        assert_eq!(text, format!("{}\nstore\n", own_pid()));
        let other = dir.path().join("y.db");
        WriterLock::take(&other).unwrap().discard();
        assert!(!lock_path(&other).exists());
    }

    /// `poetry.lock` is not the lock of a store that somebody calls `poetry`.
    #[test]
    fn what_is_no_lock_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("poetry");
        let lock = lock_path(&path);
        let foreign = |what| match WriterLock::take(&path) {
            Err(NoLock::Foreign(why)) => assert_eq!(why, what),
            other => panic!("{other:?}"),
        };
        for text in ["[[package]]\n", "12 monkeys", "12\nstores\n", &"1".repeat(65)] {
            fs::write(&lock, text).unwrap();
            foreign("no lock of schedrs");
            assert_eq!(fs::read_to_string(&lock).unwrap(), text);
        }
        fs::remove_file(&lock).unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &lock).unwrap();
        foreign("a symbolic link");
        assert_eq!(writer_of(&path), None);
        assert_eq!(fs::read(&target).unwrap(), b"");
        fs::remove_file(&lock).unwrap();
        fs::create_dir(&lock).unwrap();
        foreign("not a regular file");
        // What an earlier version has left.
        fs::remove_dir(&lock).unwrap();
        fs::write(&lock, "4711\n").unwrap();
        assert!(!WriterLock::take(&path).unwrap().is_beside_store());
    }

    #[test]
    fn a_directory_that_is_not_there() {
        let error = WriterLock::take(Path::new("/no/such/x.db")).unwrap_err();
        assert!(matches!(error, NoLock::Io(error) if error.kind() == io::ErrorKind::NotFound));
    }
}
