//! The files of a database: making it, finding it in its place, and moving it aside.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::schema::APPLICATION_ID;
use super::trouble;
use crate::store::{StoreError, Trouble};

/// What belongs to a database beside its file.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// What SQLite would take for a database's, replace and remove, and how such a file begins.
const LOGS: [(&str, &[&[u8]]); 3] = [
    ("-wal", &[&[0x37, 0x7f, 0x06, 0x82], &[0x37, 0x7f, 0x06, 0x83]]),
    // Made with holes, and written later.
    ("-shm", &[&3_007_000_u32.to_ne_bytes(), &[0; 4]]),
    ("-journal", &[&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7], &[0; 8]]),
];

/// No page of a database is shorter.
const SMALLEST: u64 = 512;

/// A path with something behind it.
fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// The one name of a database, whatever it was called: links and dots do not make another of it,
/// which would have another lock.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if let Ok(found) = fs::canonicalize(&path) {
        return found;
    }
    match (path.parent().map(fs::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path,
    }
}

/// Makes the directory of a database, for its owner alone.
pub(crate) fn make_directory(of: &Path) -> Result<(), StoreError> {
    let Some(directory) = of.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
        return Ok(());
    };
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| trouble::from_io(directory, "made", &error))
}

/// How a database is found before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It was not there: it is made, empty, for its owner alone.
    Made,
    /// It was there and is empty, as is its log, or so short that it can be no database: whatever
    /// was in it is gone. SQLite takes it for a new one.
    Stub,
    /// There is something in it.
    Filled,
}

/// Sees to it that there is a file. SQLite would make it readable for others.
pub(super) fn find_or_make(path: &Path) -> Result<Found, StoreError> {
    let logged = || length(&with(path, "-wal")) > 0;
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let message = format!("{} is not a regular file; use another", path.display());
            Err(StoreError::new(Trouble::Other, message))
        }
        Ok(found) if found.len() >= SMALLEST || logged() => Ok(Found::Filled),
        Ok(_) => Ok(Found::Stub),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A log without its database belongs to one that is no more.
            for suffix in BESIDE {
                let _ = fs::remove_file(with(path, suffix));
            }
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            made.map(|_| Found::Made).map_err(|error| trouble::from_io(path, "made", &error))
        }
        Err(error) => Err(trouble::from_io(path, "found", &error)),
    }
}

/// Refuses a database whose name would make another one's or a person's files its own: SQLite takes
/// what is called `X-wal` for the log of `X`, writes over it and removes it.
pub(super) fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    for (suffix, beginnings) in LOGS {
        let beside = with(path, suffix);
        let Ok(file) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&beside)
        else {
            continue;
        };
        let mut start = Vec::new();
        // What cannot be read is no log that could be used either.
        let read = file.take(8).read_to_end(&mut start);
        let is_log = beginnings.iter().any(|beginning| start.starts_with(beginning));
        if read.is_err() || (!start.is_empty() && !is_log) {
            let message = format!(
                "{} cannot be used: {} would be read as part of it, but is not; use another \
                 file",
                path.display(),
                beside.display()
            );
            return Err(StoreError::new(Trouble::Other, message));
        }
    }
    Ok(())
}

pub(super) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// Whether the header of a file says that it is one of ours. Only for a file that SQLite does not
/// have open: closing it would take its locks away.
pub(super) fn has_our_mark(path: &Path) -> bool {
    let mut header = [0; 72];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[68..] == APPLICATION_ID.to_be_bytes()
}

/// Moves a database that is open nowhere in this process aside, with what belongs to it. Answers
/// its new name.
pub(super) fn move_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let free = (1_u32..).map(|number| with(path, &format!(".corrupt-{number}")));
    let taken = |path: &PathBuf| path.symlink_metadata().is_ok();
    let Some(aside) = free.into_iter().find(|path| !taken(path)) else {
        return Err(StoreError::new(Trouble::Other, format!("{} stays", path.display())));
    };
    // The log first: a new database that found it would be damaged by it.
    for suffix in BESIDE {
        match fs::rename(with(path, suffix), with(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(trouble::from_io(path, "moved aside", &error));
            }
            _ => {}
        }
    }
    match fs::rename(path, &aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(trouble::from_io(path, "moved aside", &error))
        }
        _ => Ok(aside),
    }
}
