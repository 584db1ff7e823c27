//! Which store is meant, and how it is opened.
//!
//! A location that somebody asked for (`[store] url`, `--store`) has to work; the default one gives
//! way to memory where it cannot be written, with a warning. A store that is in use, or that a
//! newer schedrs has written, is an error wherever it is.

use std::fmt;
use std::path::{Path, PathBuf};

use super::memory::MemoryStore;
use super::{Store, StoreError, Trouble};

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// None that outlives the process.
    Memory,
    /// This file, because somebody asked for it.
    Sqlite(PathBuf),
    /// This file, because nobody said anything.
    Default(PathBuf),
}

/// An open store.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Box<dyn Store>,
    /// Which it is, for people: `memory` or `sqlite:PATH`.
    pub name: String,
    /// What there is to say about it.
    pub warnings: Vec<String>,
}

impl Location {
    /// The location of a URL: `memory` or `sqlite:PATH`, where a relative path is relative to
    /// `dir`.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn from_url(url: &str, dir: &Path) -> Result<Location, StoreError> {
        if url == "memory" {
            return Ok(Location::Memory);
        }
        match url.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            Some(path) => Ok(Location::Sqlite(dir.join(path))),
            None => {
                let message =
                    format!("\"{url}\" is no store, expected \"memory\" or \"sqlite:FILE\"");
                Err(StoreError { kind: Trouble::Other, message })
            }
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Memory => f.write_str("memory"),
            Location::Sqlite(path) | Location::Default(path) => {
                write!(f, "sqlite:{}", path.display())
            }
        }
    }
}

/// Opens the store of a location for writing.
///
/// # Errors
///
/// Somebody else uses it, a newer schedrs has written it, or it was asked for and cannot be
/// written.
pub fn open(location: &Location) -> Result<Opened, StoreError> {
    let memory = |warnings| Opened {
        store: Box::new(MemoryStore::new()),
        name: "memory".to_owned(),
        warnings,
    };
    let (path, asked) = match location {
        Location::Memory => return Ok(memory(Vec::new())),
        Location::Sqlite(path) => (path, true),
        Location::Default(path) => (path, false),
    };
    match file(path) {
        Ok((store, warnings)) => Ok(Opened { store, name: location.to_string(), warnings }),
        Err(error) if asked || matches!(error.kind, Trouble::InUse(_) | Trouble::Newer(_)) => {
            Err(error)
        }
        Err(error) => Ok(memory(vec![format!(
            "{error}; nothing is kept from this start to the next (\"memory\")"
        )])),
    }
}

#[cfg(feature = "sqlite")]
fn file(path: &Path) -> Result<(Box<dyn Store>, Vec<String>), StoreError> {
    Err(StoreError::new(Trouble::Other, format!("{} soon", path.display())))
}

#[cfg(not(feature = "sqlite"))]
fn file(path: &Path) -> Result<(Box<dyn Store>, Vec<String>), StoreError> {
    let message =
        format!("{} cannot be opened: this schedrs was built without SQLite", path.display());
    Err(StoreError { kind: Trouble::Other, message })
}
