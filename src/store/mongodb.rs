//! A store on MongoDB (5.0 and later), for one scheduler or several.
//!
//! A commit is a handful of commands and no transaction, so that it needs no replica set: what that
//! takes is in `fleet`. Records are documents whose key is the claim, with all that hangs on them;
//! sessions and counters are one document (`members`), which is changed in one go. Facts become
//! changes in `write`, `ranges` compares records of several due times with others, documents are read in
//! `encode`, `link` is the way to the server, `schema` what must be there. Whatever is written is acknowledged by most servers: doc/fleet.md says what that
//! promises, and that it was not tried on a real replica set here.

mod encode;
mod fleet;
mod link;
mod members;
mod ranges;
mod read;
mod schema;
mod settings;
mod tidy;
mod trouble;
mod write;

use mongodb::bson::doc;

use self::link::Link;
pub(super) use self::settings::check;
use self::tidy::Tidying;
use super::shared::Shared;
use super::{Fact, Limits, Reader, Restored, Store, StoreError};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::url::SharedUrl;

/// The store.
#[derive(Debug)]
pub struct Mongodb {
    link: Link,
    tidying: Tidying,
    /// The collections were looked at.
    is_ready: bool,
}

impl Mongodb {
    /// Opens the store that is there, or makes it.
    ///
    /// # Errors
    ///
    /// The URL is wrong, the server cannot be reached or refuses, or a newer schedrs has been there.
    pub fn open(url: &SharedUrl) -> Result<Mongodb, StoreError> {
        let link = Link::new(url)?;
        let mut store = Mongodb { link, tidying: Tidying::default(), is_ready: false };
        store.ready()?;
        Ok(store)
    }

    fn ready(&mut self) -> Result<(), StoreError> {
        if !self.is_ready {
            schema::ensure(&mut self.link, true)?;
            self.is_ready = true;
        }
        Ok(())
    }

    /// Remembers which jobs have new records.
    fn touch(&mut self, facts: &[Fact]) {
        for fact in facts {
            if let Fact::Admitted { job, .. } | Fact::Fate { job, .. } = fact
                && !self.tidying.touched.contains(job)
            {
                self.tidying.touched.insert(job.clone());
            }
        }
    }
}

/// Connects for reading, beside a scheduler or without one.
///
/// # Errors
///
/// As [`Mongodb::open`]; nothing is made.
pub fn reader(url: &SharedUrl) -> Result<Box<dyn Reader>, StoreError> {
    Ok(Box::new(read::reader(url)?))
}

impl Store for Mongodb {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        let members = self.members(doc! {})?;
        let link = &mut self.link;
        let next_run = read::next_run(link)?.max(members.next_run);
        Ok(Restored {
            jobs: read::jobs(link, doc! {})?,
            all_paused: read::all_paused(link)?,
            open: read::open(link)?,
            next_run,
            last_session: read::last_life(link)?,
        })
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        if facts.is_empty() {
            return Ok(Vec::new());
        }
        self.commit_alone(facts)
    }

    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError> {
        self.ready()?;
        let more = self.tidying.slice(&mut self.link, keep, now)?;
        if !more {
            self.aside(keep, now)?;
        }
        Ok(more)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(read::beside(&self.link, self.is_ready)?))
    }

    fn shared(&mut self) -> Option<&mut dyn Shared> {
        Some(self)
    }
}
