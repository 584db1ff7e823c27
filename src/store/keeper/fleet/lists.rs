//! Lists that the loop wants to know of: because jobs have come, or because a host is gone and has left something.

use super::Driver;
use crate::core::fleet::SessionId;
use crate::core::fleet::heir::{Turn, turn};
use crate::store::Reader;
use crate::store::StoreError;
use crate::store::keeper::{GoneHosts, OthersEvent, ReadFor, ReadLists};
use crate::sys::clock;

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
            self.tell_of(OthersEvent::Gone(GoneHosts::Dead(dead.host.clone())));
        }
    }

    /// A host is gone, or this one is new: what hosts have left that do not come back is looked for a lease later.
    pub(super) fn will_look_for_left(&mut self) {
        let at = clock::boot().mono.plus(self.fleet.timing().lease);
        self.look_for_left.get_or_insert(at);
    }

    /// Looks for it, if it is time and this session's turn.
    pub(super) fn look_for_left(&mut self) {
        let is_time = self.look_for_left.is_some_and(|at| at <= clock::boot().mono);
        let Some(now) = self.store_now.filter(|_| is_time) else { return };
        self.look_for_left = None;
        let (me, lease) = (self.fleet.me().id, self.fleet.timing().lease);
        let Turn { there, again } = turn(self.fleet.everybody(), me, now, lease);
        if let Some(there) = there {
            self.tell_of(OthersEvent::Gone(GoneHosts::AllBut(there)));
        }
        if again {
            self.will_look_for_left();
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
        ReadFor::Left(_) => Vec::new(),
    };
    Ok(ReadLists { what, lists, latest })
}
