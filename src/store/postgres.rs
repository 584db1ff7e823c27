//! A store on a PostgreSQL server, for one scheduler or several.
//!
//! The tables are those of the embedded store and those of a fleet (`schema`). A commit is one
//! transaction, sent in one piece: a round trip however many facts there are (`write`, from what
//! `super::sql` makes of them). A claim is won by whoever inserts its row; that of a session that is
//! gone is refused by the first statement (`fleet`). The connection (`link`) has a limit for
//! everything, and none is used again after an error. doc/fleet.md says what is promised.

mod fleet;
mod link;
mod read;
mod schema;
mod settings;
mod tidy;
mod trouble;
mod write;

use std::collections::HashSet;
use std::sync::Arc;

use tokio_postgres::Row;

use self::link::{Link, Statement};
use self::settings::Settings;
pub(super) use self::settings::check;
use self::tidy::Tidying;
use self::write::Writer;
use super::shared::Shared;
use super::sql::{self, Batch};
use super::{Fact, Limits, Reader, Restored, Store, StoreError};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::url::SharedUrl;

pub use self::read::PostgresReader;

/// The store.
#[derive(Debug)]
pub struct Postgres {
    settings: Arc<Settings>,
    link: Link,
    tidying: Tidying,
    /// The tables were looked at.
    ready: bool,
    /// Which server answered when that was last asked, on this connection.
    identity: Option<(u64, Box<str>)>,
    /// Several schedulers use it, so that claims are kept for longer than records have to be.
    shared: bool,
}

impl Postgres {
    /// Connects, and makes the tables where there are none.
    ///
    /// # Errors
    ///
    /// The URL is wrong, the server cannot be reached or refuses, or a newer schedrs has been there.
    pub fn open(url: &SharedUrl) -> Result<Postgres, StoreError> {
        let settings = Arc::new(Settings::of(url)?);
        let mut store = Postgres {
            link: Link::new(Arc::clone(&settings))?,
            settings,
            tidying: Tidying::default(),
            ready: false,
            identity: None,
            shared: false,
        };
        store.link()?;
        Ok(store)
    }

    /// The connection, to a server that has the tables.
    fn link(&mut self) -> Result<&mut Link, StoreError> {
        if !self.ready {
            schema::ensure(&mut self.link, true)?;
            self.ready = true;
        }
        Ok(&mut self.link)
    }

    fn sql<'a>(&self, sql: &str) -> Statement<'a> {
        Statement::new(&self.settings, sql)
    }

    /// Jobs with new records.
    fn touch(&mut self, batch: &Batch<'_>) {
        for row in batch.stages.iter().flat_map(|stage| &stage.rows) {
            if !self.tidying.touched.contains(row.job) {
                self.tidying.touched.insert(row.job.into());
            }
        }
    }
}

/// Connects for reading, beside a scheduler or without one. If no server of the URL may be written, a
/// standby is read.
///
/// # Errors
///
/// As [`Postgres::open`]; nothing is made.
pub fn reader(url: &SharedUrl) -> Result<PostgresReader, StoreError> {
    let settings = Settings { only_reads: true, ..Settings::of(url)? };
    let mut reader = PostgresReader::new(Arc::new(settings), false)?;
    reader.check()?;
    Ok(reader)
}

impl Store for Postgres {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        read::restored(self.link()?)
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        if facts.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::of(facts);
        let settings = Arc::clone(&self.settings);
        let writer = Writer { settings: &settings, session: None, early: None, careful: true };
        let mut statements = Vec::new();
        let claims = writer.all(&batch, &mut statements);
        let answers = self.link()?.transaction(&statements)?;
        self.touch(&batch);
        Ok(lost(&batch, &claims, &answers).into_iter().map(|(run, _)| run).collect())
    }

    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError> {
        self.link()?;
        self.tidying.slice(&mut self.link, keep, now, self.shared)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(PostgresReader::new(Arc::clone(&self.settings), self.ready)?))
    }

    fn shared(&mut self) -> Option<&mut dyn Shared> {
        Some(self)
    }
}

/// The claims that are not won, nor were before.
fn lost<'b, 'a>(
    batch: &'b Batch<'a>,
    claims: &[usize],
    answers: &[Vec<Row>],
) -> Vec<(RunId, &'b sql::Row<'a>)> {
    let mut lost = Vec::new();
    let stages = batch.stages.iter().filter(|stage| stage.claims().next().is_some());
    for (stage, place) in stages.zip(claims) {
        let rows = answers.get(*place).map_or(&[][..], |rows| rows);
        let won: HashSet<i64> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
        lost.extend(stage.claims().filter(|(run, _)| !won.contains(&write::number(*run))));
    }
    lost
}
