//! What the store knows of the past, for the socket. It is read on the server's thread, beside the
//! one that writes: a question that takes long delays other clients, and never a job.

use std::collections::HashMap;

use crate::core::event::{Code, Fault};
use crate::core::zone::Zone;
use crate::history::object::RunObject;
use crate::store::{Query, Reader, RunRecord, StoreError};

/// A way to the store, if there is one.
#[derive(Debug)]
pub(super) struct History {
    reader: Option<Box<dyn Reader>>,
    /// The last records of all jobs, for as long as somebody goes through a list.
    lasts: HashMap<Box<str>, RunRecord>,
}

impl History {
    pub(super) fn new(reader: Option<Box<dyn Reader>>) -> History {
        History { reader, lasts: HashMap::new() }
    }

    /// Lets go of the store: who writes it is to be the last that has it open, since only then SQLite
    /// puts its log away.
    pub(super) fn close(&mut self) {
        self.reader = None;
        self.lasts.clear();
    }

    /// Reads something.
    pub(super) fn read<T>(
        &mut self,
        read: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Result<T, Fault> {
        let Some(reader) = &mut self.reader else {
            let fault = Fault::new(Code::NoStore, "this schedrs has no store, so it knows no past");
            return Err(fault.help("give it one: `[store] url` in the jobfile"));
        };
        read(&mut **reader)
            .map_err(|error| Fault::new(Code::Store, format!("the store cannot be read: {error}")))
    }

    /// Reads the last records of all jobs. Where they cannot be read, there are none: a list is
    /// worth having without.
    pub(super) fn read_lasts(&mut self) {
        let records = self.read(|reader| reader.last_of_each()).unwrap_or_default();
        self.lasts = records.into_iter().map(|record| (record.job.clone(), record)).collect();
    }

    pub(super) fn forget_lasts(&mut self) {
        self.lasts = HashMap::new();
    }

    /// The last record of a job, of those that were read.
    pub(super) fn last(&self, job: &str, zone: &Zone) -> Option<RunObject> {
        self.lasts.get(job).map(|record| RunObject::of_record(record, zone))
    }

    /// The last record of a job that is over.
    pub(super) fn last_of(&mut self, job: &str, zone: &Zone) -> Option<RunObject> {
        // Runs that are not over may stand before it, more than `max_instances` hardly ever.
        let query = Query { job: Some(job.into()), limit: 20, ..Query::default() };
        let records = self.read(|reader| reader.records(&query)).ok()?;
        let over = records.iter().find(|record| record.outcome.is_some())?;
        Some(RunObject::of_record(over, zone))
    }
}
