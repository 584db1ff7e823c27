//! Records of several due times, which were missed or coalesced together.
//!
//! The key of a record keeps its first due time from being decided twice; the others have none. So whoever
//! writes looks afterwards what else there is: of two that write, at least the second sees the first. What
//! was not claimed is pending until its writer has looked, and a claim counts once it is confirmed, which
//! comes after the look as well. A record of several due times gives way to whatever it finds. A claim, or a
//! record of one due time, takes away one of several that is pending, which tells its writer, and gives way to
//! one that is not.
//!
//! Claims and records of one due time are compared only while there may be such, of which the one document
//! about all sessions tells ([`Members::has_ranges`]).

use std::collections::HashSet;
use std::rc::Rc;

use mongodb::bson::{Document, doc};

use super::Mongodb;
use super::encode::{self, Row, text_of};
use super::link::Link;
use super::members::Members;
use super::write::{Written, key, void, without_output};
use crate::core::event::RunId;
use crate::core::fleet::{Lost, SessionId};
use crate::core::sort;
use crate::store::sql::{self, Batch, RowKind};
use crate::store::{StoreError, Trouble};

/// So many records are asked for in one question.
const AT_ONCE: usize = 200;
/// So often one is looked at again that was about to change.
const ROUNDS: usize = 8;

/// A record that may be in another's way.
struct Mine<'b, 'a> {
    row: &'b sql::Row<'a>,
    host: &'a str,
    key: String,
}

impl<'b, 'a> Mine<'b, 'a> {
    fn of(row: &'b sql::Row<'a>) -> Option<Mine<'b, 'a>> {
        let host = match row.what {
            RowKind::Claim { by: Some(_), .. } => return None,
            RowKind::Claim { host, .. } | RowKind::Fate { host, .. } => host,
        };
        let key = key(row.job, row.due, host);
        Some(Mine { row, host: host.unwrap_or_default(), key })
    }

    /// Other records of its due times.
    fn others(&self) -> Document {
        doc! {
            "job": text_of(self.row.job), "for": text_of(self.host),
            "due": { "$lte": self.row.last_due.micros() },
            "last_due": { "$gte": self.row.due.micros() }, "_id": { "$ne": &self.key },
        }
    }

    fn meets(&self, other: &Other) -> bool {
        let record = &other.row.record;
        // What somebody asks for has a due time of its own.
        record.by.is_none()
            && *record.job == *self.row.job
            && *other.host == *self.host
            && other.key != self.key
            && record.due <= self.row.last_due
            && self.row.due <= record.last_due
    }
}

/// What another has written, or the same writer earlier.
struct Other {
    row: Row,
    key: String,
    host: Box<str>,
}

impl Other {
    fn read(link: &Link, document: &Document) -> Result<Other, StoreError> {
        let read = || Ok((encode::row(document)?, encode::text(document, "for")?));
        let (row, host) = link.taken(read())?;
        let key = document.get_str("_id").unwrap_or_default().to_owned();
        Ok(Other { row, key, host })
    }

    /// Takes it away while it is pending. Answers whether it was.
    fn take_away(&self, link: &mut Link) -> Result<bool, StoreError> {
        let session = self.row.session.to_string();
        let pending = doc! { "_id": &self.key, "session": session, "pending": 1 };
        Ok(link.delete("record", pending)? > 0)
    }
}

/// What comes of a record that meets others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Met {
    Nothing,
    /// It gives way, to a record of that session.
    Lost(SessionId),
    /// What it met was about to change.
    Unclear,
}

/// What is in the way of each of these.
fn look(
    link: &mut Link,
    mine: &[Mine<'_, '_>],
    more: &Document,
) -> Result<Vec<Vec<Rc<Other>>>, StoreError> {
    let mut met = Vec::new();
    for mine in mine.chunks(AT_ONCE) {
        let others: Vec<Document> = mine.iter().map(Mine::others).collect();
        let mut filter = doc! { "$or": others };
        filter.extend(more.clone());
        let found = link.find("record", filter, without_output())?;
        let found = found.iter().map(|document| Ok(Rc::new(Other::read(link, document)?)));
        let found: Vec<Rc<Other>> = found.collect::<Result<_, StoreError>>()?;
        let of =
            |mine: &Mine<'_, '_>| found.iter().filter(|other| mine.meets(other)).cloned().collect();
        met.extend(mine.iter().map(of));
    }
    Ok(met)
}

impl Mongodb {
    /// Looks what else there is of the due times of the records that a session has put in as pending.
    pub(super) fn settle(
        &mut self,
        me: SessionId,
        members: &Members,
        batch: &Batch<'_>,
    ) -> Result<(), StoreError> {
        let fates = batch.rows().filter(|row| matches!(row.what, RowKind::Fate { .. }));
        let mut mine: Vec<Mine<'_, '_>> = fates.filter_map(Mine::of).collect();
        for _ in 0..ROUNDS {
            if mine.is_empty() {
                return Ok(());
            }
            let met = look(&mut self.link, &mine, &doc! {})?;
            let (mut won, mut lost, mut left) = (Vec::new(), Vec::new(), Vec::new());
            for (one, others) in mine.into_iter().zip(met) {
                match self.meets(me, members, &one, &others)? {
                    Met::Nothing => won.push(one.key),
                    Met::Lost(_) => lost.push(one.key),
                    Met::Unclear => left.push(one),
                }
            }
            let own = |query: Document| {
                let mut own = doc! { "session": me.to_string(), "pending": 1 };
                own.extend(query);
                own
            };
            if !lost.is_empty() {
                self.link.delete("record", own(doc! { "_id": { "$in": lost } }))?;
            }
            let settled = doc! { "$unset": { "pending": "" } };
            let settled = |key: String| doc! { "q": own(doc! { "_id": key }), "u": &settled };
            let settled: Vec<Document> = won.into_iter().map(settled).collect();
            self.link.update("record", &settled)?;
            mine = left;
        }
        Err(self.link.error(Trouble::Conflict, "keeps conflicting with other records"))
    }

    fn meets(
        &mut self,
        me: SessionId,
        members: &Members,
        mine: &Mine<'_, '_>,
        others: &[Rc<Other>],
    ) -> Result<Met, StoreError> {
        for other in others {
            // Of two that are pending one gives way: the longer, or the one of the later session.
            let rank = |is_range: bool, session| (is_range, session);
            let (own, its) = (
                rank(mine.row.is_range(), me),
                rank(other.row.record.count > 1, other.row.session),
            );
            if members.is_void(&other.row) {
                void(&mut self.link, &other.row)?;
            } else if !other.row.is_pending || its <= own {
                return Ok(Met::Lost(other.row.session));
            } else if !other.take_away(&mut self.link)? {
                // It has been settled, or is gone.
                return Ok(Met::Unclear);
            }
        }
        Ok(Met::Nothing)
    }

    /// Looks whether there are records of several due times that have those which a session has claimed, or,
    /// if they are not `settled`, those of its other records.
    pub(super) fn look_within(
        &mut self,
        me: SessionId,
        (members, settled): (&Members, bool),
        batch: &Batch<'_>,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        let is_lost: HashSet<RunId> = written.lost.iter().map(|(run, _)| *run).collect();
        let counts = |mine: &Mine<'_, '_>| match mine.row.what {
            RowKind::Claim { run, .. } => !is_lost.contains(&run),
            RowKind::Fate { .. } => !settled && !mine.row.is_range(),
        };
        let mut mine: Vec<Mine<'_, '_>> =
            batch.rows().filter_map(Mine::of).filter(counts).collect();
        let mut lost = Vec::new();
        for _ in 0..ROUNDS {
            if mine.is_empty() {
                return self.give_way(me, lost, written);
            }
            let met = look(&mut self.link, &mine, &doc! { "count": { "$gt": 1 } })?;
            let mut left = Vec::new();
            for (one, others) in mine.into_iter().zip(met) {
                match self.meets(me, members, &one, &others)? {
                    Met::Nothing => {}
                    Met::Lost(to) => lost.push((one, to)),
                    Met::Unclear => left.push(one),
                }
            }
            mine = left;
        }
        Err(self.link.error(Trouble::Conflict, "keeps conflicting with other records"))
    }

    /// Takes records away whose due times others have.
    fn give_way(
        &mut self,
        me: SessionId,
        lost: Vec<(Mine<'_, '_>, SessionId)>,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        for (mine, session) in lost {
            if let RowKind::Claim { run, .. } = mine.row.what {
                written.lost.push((run, Lost::Taken { session, run: RunId(0) }));
                written.claimed.retain(|claimed| *claimed != run);
            }
            keys.push(mine.key);
        }
        if keys.is_empty() {
            return Ok(());
        }
        sort::all(&mut keys);
        let own = doc! { "_id": { "$in": keys }, "session": me.to_string() };
        self.link.delete("record", own).map(drop)
    }
}
