//! A store that there is no space for yet: a full disk is trouble that passes, and no reason not to
//! start.
//!
//! Until there is space every commit fails, so that the keeper keeps what it would have written
//! and retries. What the store knows is read without writing, if there is a store already.

use std::path::{Path, PathBuf};

use super::sqlite::{Sqlite, SqliteReader};
use super::{Fact, Limits, Reader, Restored, Store, StoreError, Trouble};
use crate::core::event::RunId;
use crate::core::instant::Instant;

/// The store.
#[derive(Debug)]
pub(super) struct Waiting {
    path: PathBuf,
    ours: bool,
    /// What the scheduler was told.
    told: Restored,
    store: Option<Sqlite>,
}

impl Waiting {
    /// A store at a path that could not be opened for want of space.
    pub(super) fn new(path: &Path, ours: bool) -> Result<Waiting, StoreError> {
        let told = match SqliteReader::open(path).and_then(|mut reader| reader.restored()) {
            Ok(told) => told,
            Err(error) if error.kind == Trouble::Missing => {
                Restored { next_run: 1, ..Restored::default() }
            }
            Err(error) => return Err(error),
        };
        Ok(Waiting { path: path.to_path_buf(), ours, told, store: None })
    }

    fn opened(&mut self) -> Result<&mut Sqlite, StoreError> {
        let store = match self.store.take() {
            Some(store) => store,
            None => self.open()?,
        };
        Ok(self.store.insert(store))
    }

    fn open(&self) -> Result<Sqlite, StoreError> {
        let (mut store, _) = Sqlite::open(&self.path, self.ours)?;
        // Its log can be read only now, and may hold what the scheduler should have known.
        if store.restore()? == self.told {
            return Ok(store);
        }
        let path = self.path.display();
        let message = format!(
            "{path} has more data than could be read while the disk was full; restart schedrs to use \
             it"
        );
        Err(StoreError::new(Trouble::Other, message))
    }
}

impl Store for Waiting {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        match &mut self.store {
            Some(store) => store.restore(),
            None => Ok(self.told.clone()),
        }
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        self.opened()?.commit(facts)
    }

    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError> {
        self.store.as_mut().map_or(Ok(false), |store| store.tidy(keep, now))
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(SqliteReader::later(&self.path)))
    }
}
