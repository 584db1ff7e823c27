//! Where a store is: what was asked for, and what is there.
//!
//! Somebody who asks for a place gets that one or an error. The default is only offered: if it
//! cannot be written, schedrs says so and keeps nothing. That another scheduler uses it, or that
//! a newer one has written it, or that others can write to it (`super::trust`), is an error for
//! both, because going on would hide it. A disk without space is neither: the store is used when
//! there is some (`super::waiting`).

use std::fmt;
use std::path::{Path, PathBuf};

use super::memory::Memory;
pub use super::refuse::Refuse;
#[cfg(feature = "sqlite")]
use super::trust;
use super::url::{Engine, SharedUrl};
use super::{Fact, Limits, Reader, Restored, Store, StoreError, Trouble};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::job::JobSet;

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// Nowhere: it ends with the process.
    Memory,
    /// In this file, because somebody says so.
    Sqlite(PathBuf),
    /// In this file, because nobody says anything.
    Default(PathBuf),
    /// On a server, where several schedulers may use it.
    Shared(SharedUrl),
}

/// A store that was opened for writing.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Box<dyn Store>,
    /// Where it is, which may be another place than the one that was asked for.
    pub location: Location,
    /// What there is to say about it: each a sentence without a full stop.
    pub warnings: Vec<String>,
}

/// A memory that serves one scheduler. So the program need not have what sharing one takes.
#[derive(Debug)]
struct Alone(Memory);

impl Store for Alone {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        self.0.restore()
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        Store::commit(&mut self.0, facts)
    }

    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError> {
        Store::tidy(&mut self.0, keep, now)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        self.0.reader()
    }
}

impl Location {
    /// What `--store` or `[store] url` says; relative paths start at `directory`.
    pub fn parse(url: &str, directory: &Path) -> Result<Location, StoreError> {
        if url == "memory" {
            return Ok(Location::Memory);
        }
        if let Some(url) = SharedUrl::parse(url) {
            return Ok(Location::Shared(url));
        }
        match url.strip_prefix("sqlite:") {
            Some(file) if !file.is_empty() => Ok(Location::Sqlite(directory.join(file))),
            _ => {
                let message = format!(
                    "\"{url}\" is not a store; expected \"memory\", a file such as \
                     \"sqlite:schedrs.db\", or a server such as \"postgres://localhost/schedrs\""
                );
                Err(StoreError::new(Trouble::Other, message))
            }
        }
    }

    /// The same without links.
    pub fn followed(self) -> Location {
        let follow = |path: PathBuf| std::fs::canonicalize(&path).unwrap_or(path);
        match self {
            Location::Memory => Location::Memory,
            Location::Sqlite(path) => Location::Sqlite(follow(path)),
            Location::Default(path) => Location::Default(follow(path)),
            Location::Shared(url) => Location::Shared(url),
        }
    }

    /// Its file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Location::Memory | Location::Shared(_) => None,
            Location::Sqlite(path) | Location::Default(path) => Some(path),
        }
    }
}

impl fmt::Display for Location {
    /// As `[store] url` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Memory => f.write_str("memory"),
            Location::Sqlite(path) | Location::Default(path) => {
                write!(f, "sqlite:{}", path.display())
            }
            Location::Shared(url) => url.fmt(f),
        }
    }
}

/// The process that writes to a database at this moment, if one does and it can be told.
#[cfg(feature = "sqlite")]
pub fn writer_of(database: &Path) -> Option<u32> {
    super::lock::writer_of(database)
}

/// Nobody writes to a database that this schedrs was built without.
#[cfg(not(feature = "sqlite"))]
pub fn writer_of(_: &Path) -> Option<u32> {
    None
}

/// Opens a store for writing, or makes it. Root refuses one that others can write to.
pub fn open(location: &Location) -> Result<Opened, StoreError> {
    open_unless(location, Refuse::AsRoot)
}

/// The same, with a rule of its own for a store that others can write to.
pub fn open_unless(location: &Location, refuse: Refuse) -> Result<Opened, StoreError> {
    let (path, default) = match location {
        Location::Memory => {
            let store = Box::new(Alone(Memory::new()));
            return Ok(Opened { store, location: Location::Memory, warnings: Vec::new() });
        }
        Location::Sqlite(path) => (path, false),
        Location::Default(path) => (path, true),
        Location::Shared(url) => {
            let (store, warnings) = open_shared(url)?;
            return Ok(Opened { store, location: location.clone(), warnings });
        }
    };
    match open_file(path, default, refuse) {
        Ok((store, warnings)) => Ok(Opened { store, location: location.clone(), warnings }),
        Err(error)
            if default
                && !matches!(
                    error.kind,
                    Trouble::InUse(_) | Trouble::Newer(_) | Trouble::Untrusted
                ) =>
        {
            let warning = format!(
                "the store {error}; nothing is kept after this run (choose another place with \
                 --store, or `--store memory` if that is what you want)"
            );
            let store = Box::new(Alone(Memory::new()));
            Ok(Opened { store, location: Location::Memory, warnings: vec![warning] })
        }
        Err(error) => Err(error),
    }
}

/// Why a scheduler with these jobs would refuse a store for who else can write to it.
#[cfg(feature = "sqlite")]
pub(crate) fn refusal(file: &Path, set: &JobSet) -> Option<StoreError> {
    trust::for_writing(file, Refuse::of(set)).err()
}

/// Without SQLite no file is a store.
#[cfg(not(feature = "sqlite"))]
pub(crate) fn refusal(_: &Path, _: &JobSet) -> Option<StoreError> {
    None
}

/// Opens it again after it was found damaged or gone. No other takes its place.
pub fn reopen(location: &Location, refuse: Refuse) -> Result<Box<dyn Store>, StoreError> {
    match location {
        Location::Memory => Ok(Box::new(Alone(Memory::new()))),
        Location::Sqlite(path) => open_file(path, false, refuse).map(|(store, _)| store),
        Location::Default(path) => open_file(path, true, refuse).map(|(store, _)| store),
        Location::Shared(url) => open_shared(url).map(|(store, _)| store),
    }
}

/// Opens a store for reading, beside a scheduler or without one.
pub fn reader(location: &Location) -> Result<Box<dyn Reader>, StoreError> {
    match location {
        Location::Memory => {
            let message = "\"memory\" can be read only by its scheduler";
            Err(StoreError::new(Trouble::Missing, message))
        }
        Location::Sqlite(path) | Location::Default(path) => read_file(path),
        Location::Shared(url) => read_shared(url),
    }
}

/// What is wrong with the URL of a server, in the words of its engine, if that is built in; nothing is
/// looked for on this machine or elsewhere.
pub fn check(url: &SharedUrl) -> Result<(), StoreError> {
    let checked = match url.engine() {
        #[cfg(feature = "postgres")]
        Engine::Postgres => super::postgres::check(url),
        #[cfg(feature = "mysql")]
        Engine::Mysql => super::mysql::check(url),
        #[cfg(feature = "redis")]
        Engine::Redis => super::redis::check(url),
        #[cfg(feature = "mongodb")]
        Engine::Mongodb => super::mongodb::check(url),
        #[allow(unreachable_patterns, reason = "which are built in is not known here")]
        Engine::Postgres | Engine::Mysql | Engine::Redis | Engine::Mongodb => Ok(()),
    };
    checked.map_err(|what: String| url.error(Trouble::Other, &what))
}

/// Connects to a server: each engine that is built in has its line here. Answers what there is to
/// say about it, too.
fn open_shared(url: &SharedUrl) -> Result<(Box<dyn Store>, Vec<String>), StoreError> {
    match url.engine() {
        #[cfg(feature = "postgres")]
        Engine::Postgres => Ok((Box::new(super::postgres::Postgres::open(url)?), Vec::new())),
        #[cfg(feature = "mysql")]
        Engine::Mysql => Ok((Box::new(super::mysql::Mysql::open(url)?), Vec::new())),
        #[cfg(feature = "redis")]
        Engine::Redis => {
            let (store, warnings) = super::redis::Redis::open(url)?;
            Ok((Box::new(store), warnings))
        }
        #[cfg(feature = "mongodb")]
        Engine::Mongodb => Ok((Box::new(super::mongodb::Mongodb::open(url)?), Vec::new())),
        #[allow(unreachable_patterns, reason = "which are built in is not known here")]
        Engine::Postgres | Engine::Mysql | Engine::Redis | Engine::Mongodb => Err(url.not_built()),
    }
}

/// The same for reading.
fn read_shared(url: &SharedUrl) -> Result<Box<dyn Reader>, StoreError> {
    match url.engine() {
        #[cfg(feature = "postgres")]
        Engine::Postgres => Ok(Box::new(super::postgres::reader(url)?)),
        #[cfg(feature = "mysql")]
        Engine::Mysql => super::mysql::reader(url),
        #[cfg(feature = "mongodb")]
        Engine::Mongodb => super::mongodb::reader(url),
        _ => open_shared(url).and_then(|(store, _)| store.reader()),
    }
}

#[cfg(feature = "sqlite")]
fn open_file(
    path: &Path,
    default: bool,
    refuse: Refuse,
) -> Result<(Box<dyn Store>, Vec<String>), StoreError> {
    use super::sqlite::{self, Sqlite};
    use super::waiting::Waiting;

    let doubt = trust::for_writing(path, refuse)?;
    let said = |warnings: Vec<String>| {
        let all = doubt.iter().chain(&warnings);
        all.map(|text| format!("the store {text}")).collect::<Vec<String>>()
    };
    // Another directory that is not there is more likely misspelt than wanted.
    if default {
        sqlite::files::make_directory(path)?;
    }
    match Sqlite::open(path, default) {
        Ok((store, warnings)) => {
            trust::for_writing(path, refuse)?;
            Ok((Box::new(store), said(warnings)))
        }
        Err(error) if error.kind == Trouble::Full => {
            let store = Waiting::new(path, default)?;
            let warning = format!("{error}; it will be used once there is space");
            Ok((Box::new(store), said(vec![warning])))
        }
        Err(error) => Err(error),
    }
}

#[cfg(feature = "sqlite")]
fn read_file(path: &Path) -> Result<Box<dyn Reader>, StoreError> {
    trust::for_reading(path)?;
    let reader = super::sqlite::SqliteReader::open(path)?;
    trust::for_reading(path)?;
    Ok(Box::new(reader))
}

#[cfg(not(feature = "sqlite"))]
fn open_file(path: &Path, _: bool, _: Refuse) -> Result<(Box<dyn Store>, Vec<String>), StoreError> {
    Err(not_built(path))
}

#[cfg(not(feature = "sqlite"))]
fn read_file(path: &Path) -> Result<Box<dyn Reader>, StoreError> {
    Err(not_built(path))
}

#[cfg(not(feature = "sqlite"))]
fn not_built(path: &Path) -> StoreError {
    let message = format!("{} needs a schedrs built with sqlite", path.display());
    StoreError::new(Trouble::Other, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parse = |url| Location::parse(url, Path::new("/etc/jobs"));
        assert_eq!(parse("memory"), Ok(Location::Memory));
        assert_eq!(parse("sqlite:x.db"), Ok(Location::Sqlite("/etc/jobs/x.db".into())));
        assert_eq!(parse("sqlite:/var/x.db"), Ok(Location::Sqlite("/var/x.db".into())));
        let wrong = |url| check(&SharedUrl::parse(url).unwrap()).err().map(|error| error.message);
        for url in
            ["postgres://db/jobs?sslmode=require", "mysql://db/jobs?ssl-ca=/no.pem", "redis://db"]
        {
            assert_eq!(wrong(url), None);
        }
        let rows: &[(&str, &str)] = &[
            #[cfg(feature = "postgres")]
            ("postgres://db/jobs?sslmoed=require", "unknown option `sslmoed`"),
            #[cfg(feature = "mysql")]
            ("mysql://ann:s3cret@db", "names no database"),
            #[cfg(feature = "redis")]
            ("redis://db:x", "port"),
            #[cfg(feature = "mongodb")]
            ("mongodb+srv://db", "SRV"),
        ];
        for (url, why) in rows {
            let said = wrong(url).unwrap_or_default();
            assert!(said.contains(why) && !said.contains("s3cret"), "{url}: {said}");
        }
        for url in ["", "sqlite:", "sqlite", "Memory", "http://x", "x.db"] {
            assert!(parse(url).is_err(), "{url}");
        }
        let shared = parse("mysql://ann:s3cret@db/jobs").unwrap();
        assert_eq!((shared.to_string(), shared.path()), ("mysql://ann:***@db/jobs".into(), None));
    }

    #[test]
    #[cfg(feature = "sqlite")]
    fn a_place_that_cannot_be() {
        // A file where a directory would have to be: not even root can write there.
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().join("below/x.db");
        let opened = open(&Location::Default(path.clone())).unwrap();
        assert_eq!(opened.location, Location::Memory);
        assert_eq!(opened.warnings.len(), 1);
        assert!(opened.warnings[0].contains("nothing is kept"), "{:?}", opened.warnings);
        assert!(open(&Location::Sqlite(path.clone())).is_err());
        assert_eq!(reader(&Location::Sqlite(path)).unwrap_err().kind, Trouble::Missing);
    }

    #[test]
    #[cfg(feature = "sqlite")]
    fn the_default_is_made_with_its_directory() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/x.db");
        assert_eq!(open(&Location::Sqlite(path.clone())).unwrap_err().kind, Trouble::Missing);
        let opened = open(&Location::Default(path.clone())).unwrap();
        assert_eq!(opened.warnings, [""; 0]);
        assert_eq!(opened.location.to_string(), format!("sqlite:{}", path.display()));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        // Its user is at fault, not the place.
        assert!(matches!(open(&Location::Default(path)).unwrap_err().kind, Trouble::InUse(_)));
    }
}
