//! A store on a MySQL or MariaDB server, for one scheduler or several.
//!
//! The tables are those of the embedded store and those of a fleet (`schema`). A commit is one
//! transaction, sent as one text: a round trip however many facts there are (`write`, from what
//! `super::sql` makes of them). A claim is won by whoever inserts its row; that of a session that is
//! gone is refused by the first statement (`fleet`). The connection (`link`) has a limit for
//! everything; what two hosts did at the same time is done again. doc/fleet.md says what is promised.

mod cells;
mod fleet;
mod link;
mod literal;
mod read;
mod schema;
mod settings;
mod tidy;
mod write;

use std::sync::Arc;

use self::link::{Answers, Failed, Link};
use self::read::MysqlReader;
use self::settings::Settings;
pub(super) use self::settings::check;
use self::tidy::Tidying;
use self::write::Writer;
use super::shared::Shared;
use super::sql::Batch;
use super::{Fact, Limits, Reader, Restored, Store, StoreError, Trouble};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::url::SharedUrl;

/// The store.
#[derive(Debug)]
pub struct Mysql {
    link: Link,
    tidying: Tidying,
}

impl Mysql {
    /// Connects, and makes the tables where there are none.
    ///
    /// # Errors
    ///
    /// The URL is wrong, the server cannot be reached or refuses, or a newer schedrs has been there.
    pub fn open(url: &SharedUrl) -> Result<Mysql, StoreError> {
        let mut link = Link::new(Arc::new(Settings::of(url)?), true);
        link.ask(&["SELECT 1".to_owned()])?;
        Ok(Mysql { link, tidying: Tidying::default() })
    }

    /// Writes a commit, and does so carefully if the quick way does not do.
    fn write(&mut self, batch: &Batch<'_>, writer: impl Fn() -> Writer) -> Result<Answers, Failed> {
        match self.link.fenced(&writer().all(batch)) {
            Err(Failed::Fenced) => self.link.fenced(&writer().careful().all(batch)),
            done => done,
        }
    }
}

/// A way to read, beside a scheduler or without one.
///
/// # Errors
///
/// As [`Mysql::open`]; nothing is made.
pub fn reader(url: &SharedUrl) -> Result<Box<dyn Reader>, StoreError> {
    Ok(Box::new(MysqlReader::new(Arc::new(Settings::of(url)?))))
}

impl Store for Mysql {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        read::restored(&mut self.link)
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        if facts.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::of(facts);
        let answers = self.write(&batch, Writer::new).map_err(|failed| match failed {
            Failed::Fenced => self.link.settings.url.error(Trouble::Other, "answers too much"),
            Failed::Store(error) => error,
        })?;
        self.tidying.touch(&batch);
        let lost = write::lost(&self.link.settings.url, &batch, &answers)?;
        Ok(lost.into_iter().map(|(run, _)| run).collect())
    }

    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError> {
        self.tidying.slice(&mut self.link, keep, now)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(MysqlReader::new(Arc::clone(&self.link.settings))))
    }

    fn shared(&mut self) -> Option<&mut dyn Shared> {
        Some(self)
    }
}
