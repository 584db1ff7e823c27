//! What SQLite and the system say, as the kinds of trouble that a store has, with the file's name.

use std::io;
use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::store::{StoreError, Trouble};

/// Names the file in what SQLite says.
pub(super) fn from_sqlite(path: &Path, error: &Error) -> StoreError {
    let kind = kind(error);
    let path = path.display();
    StoreError::new(
        kind,
        match kind {
            Trouble::Locked => format!("{path} is locked by another program"),
            Trouble::Full => format!("cannot write {path}: no space left on the device"),
            Trouble::ReadOnly => format!("{path} is read-only"),
            Trouble::Corrupt if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
                format!("{path} is damaged, or not a store at all ({error})")
            }
            Trouble::Corrupt => format!("{path} is damaged ({error})"),
            Trouble::Missing => format!("{path} was deleted or replaced while it was in use"),
            _ => format!("{path} failed: {error}"),
        },
    )
}

fn kind(error: &Error) -> Trouble {
    match error {
        Error::SqliteFailure(failure, _) => match (failure.code, failure.extended_code) {
            (_, ffi::SQLITE_READONLY_DBMOVED) => Trouble::Missing,
            (_, ffi::SQLITE_IOERR_SHORT_READ | ffi::SQLITE_IOERR_CORRUPTFS) => Trouble::Corrupt,
            // Only the index of the log is made of a given size, and only space can be short.
            (_, ffi::SQLITE_IOERR_SHMSIZE) => Trouble::Full,
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Trouble::Locked,
            (ErrorCode::DiskFull, _) => Trouble::Full,
            (ErrorCode::ReadOnly | ErrorCode::PermissionDenied, _) => Trouble::ReadOnly,
            // What may be violated is asked for with "or ignore": the rest cannot be.
            (
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ConstraintViolation,
                _,
            ) => Trouble::Corrupt,
            _ => Trouble::Other,
        },
        // A value of a kind that no schedrs writes.
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..)
        | Error::InvalidColumnType(..)
        | Error::QueryReturnedNoRows => Trouble::Corrupt,
        _ => Trouble::Other,
    }
}

/// Names the file in what the system says.
pub(super) fn from_io(path: &Path, doing: &str, error: &io::Error) -> StoreError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Trouble::Missing,
        _ => Trouble::Other,
    };
    StoreError::new(kind, format!("{} cannot be {doing}: {error}", path.display()))
}
