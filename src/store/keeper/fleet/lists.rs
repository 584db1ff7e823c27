//! Lists that the loop wants to know of: because jobs have come, or because a host is dead.

use super::Driver;
use crate::core::fleet::SessionId;
use crate::store::Reader;
use crate::store::StoreError;
use crate::store::keeper::{OthersEvent, ReadFor, ReadLists};

impl Driver {
    /// This session has found another one dead, and no other session has. What it has left is for this one, unless
    /// its host is there again.
    pub(super) fn found_dead(&mut self, whom: SessionId) {
        let Some(dead) = self.fleet.member(whom) else { return };
        let is_there = self
            .fleet
            .members()
            .any(|member| member.host == dead.host && member.id != whom && member.gone.is_none());
        if !is_there {
            self.tell_of(OthersEvent::Dead(dead.host.clone()));
        }
    }

    /// Reads what is to be read. What cannot be read now is tried again.
    pub(super) fn read_lists(&mut self) {
        for (what, lists) in std::mem::take(&mut self.to_read) {
            match self.read(|reader| find(reader, what.clone(), lists)) {
                Ok(read) => self.tell_of(OthersEvent::Read(Box::new(read))),
                Err(_) => self.to_read.push((what, lists)),
            }
        }
    }
}

fn find(
    reader: &mut dyn Reader,
    what: ReadFor,
    names: &[&'static str],
) -> Result<ReadLists, StoreError> {
    let mut lists = Vec::new();
    for name in names {
        lists.push((*name, reader.entries(name)?));
    }
    let latest = match &what {
        ReadFor::Jobs(jobs) if jobs.len() == 1 => reader.latest(jobs.first().map(|job| &**job))?,
        ReadFor::Jobs(_) => reader.latest(None)?,
        ReadFor::Host(_) => Vec::new(),
    };
    Ok(ReadLists { what, lists, latest })
}
