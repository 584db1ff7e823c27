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

use std::sync::Arc;

use self::link::{Link, Statement};
use self::settings::Settings;
use self::tidy::Tidying;
use self::write::Writer;
use super::shared::Shared;
use super::sql::{Batch, RowKind};
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

/// Connects for reading, beside a scheduler or without one.
///
/// # Errors
///
/// As [`Postgres::open`]; nothing is made.
pub fn reader(url: &SharedUrl) -> Result<PostgresReader, StoreError> {
    let mut reader = PostgresReader::new(Arc::new(Settings::of(url)?), false)?;
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
        let writer = Writer { settings: &settings, session: None, early: None };
        let mut statements = Vec::new();
        let claims = writer.all(&batch, &mut statements);
        let answers = self.link()?.transaction(&statements)?;
        self.touch(&batch);
        let undecided = undecided(&batch, &claims, &answers);
        if undecided.is_empty() {
            return Ok(Vec::new());
        }
        let owners = writer.owners(&undecided);
        let rows = self.link()?.ask(&owners)?;
        let owner = |row: &tokio_postgres::Row| {
            Ok((row.try_get::<_, i64>(0)?, row.try_get::<_, Option<i64>>(2)?))
        };
        let owners = read::all(&settings, &rows, owner)?;
        let won = |run: &RunId| owners.contains(&(write::number(*run), Some(write::number(*run))));
        Ok(undecided.into_iter().map(|(run, _)| run).filter(|run| !won(run)).collect())
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

/// The claims that have put no row in: they are lost, or were won before.
fn undecided<'b, 'a>(
    batch: &'b Batch<'a>,
    claims: &[usize],
    answers: &[Vec<tokio_postgres::Row>],
) -> Vec<(RunId, &'b super::sql::Row<'a>)> {
    let rows = claims.iter().filter_map(|place| answers.get(*place)).flatten();
    let won: std::collections::HashSet<i64> =
        rows.filter_map(|row| row.try_get::<_, i64>(0).ok()).collect();
    let mut left: Vec<_> =
        batch.claims().filter(|(run, _)| !won.contains(&write::number(*run))).collect();
    left.dedup_by(|(_, a), (_, b)| same(a, b));
    left
}

fn same(a: &super::sql::Row<'_>, b: &super::sql::Row<'_>) -> bool {
    match (&a.what, &b.what) {
        (RowKind::Claim { run, .. }, RowKind::Claim { run: other, .. }) => {
            run == other && (a.job, a.due) == (b.job, b.due)
        }
        _ => false,
    }
}
