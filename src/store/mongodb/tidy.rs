//! Forgetting, a little at a time: what `super::super::sqlite` forgets, by the same rules.
//!
//! Of each job with new records the oldest go until it is within its limits; others are found by
//! their age. What is not over stays, and so do the last record of a job that is there, its last run
//! that has ended and the last that succeeded.

use std::collections::{BTreeSet, HashMap};

use mongodb::bson::{Bson, Document, doc};

use super::encode::{self, text_of};
use super::link::Link;
use super::members::{Members, field};
use super::read::{Newest, newest};
use super::write::change_last_life;
use super::{Mongodb, schema};
use crate::core::instant::Instant;
use crate::core::sort;
use crate::store::shared::{ASKS_KEPT, CLAIMS_KEPT, REMEMBERED};
use crate::store::{Limits, MOST_CHANGES, MOST_SESSIONS, StoreError};

/// So many records are looked at in one go.
const SLICE: usize = 500;
/// Of so many jobs with too many records the oldest go in one go.
const JOBS: usize = 20;
/// So many sessions that are gone are kept where each beat reads them.
const MOST_GONE: usize = 200;
const DAY: i64 = 86_400_000_000;

/// How far it has come.
#[derive(Debug, Default)]
pub(super) struct Tidying {
    /// Several schedulers use the store.
    pub(super) shared: bool,
    /// Jobs with new records since they were last tidied.
    pub(super) touched: BTreeSet<Box<str>>,
    /// Records up to this one are not looked at for their age any more.
    aged: i64,
    keep: Option<Limits>,
}

impl Tidying {
    /// One slice. Answers whether there is more to do.
    pub(super) fn slice(
        &mut self,
        link: &mut Link,
        keep: Limits,
        now: Instant,
    ) -> Result<bool, StoreError> {
        let oldest = now.micros().saturating_sub(i64::from(keep.days).saturating_mul(DAY));
        if self.keep.replace(keep) != Some(keep) {
            self.aged = 0;
            self.survey(link, keep)?;
        }
        let young = if self.shared { now.micros().saturating_sub(CLAIMS_KEPT) } else { i64::MAX };
        self.by_count(link, keep, young)?;
        let older = self.by_age(link, oldest, now.micros())?;
        Ok(older || !self.touched.is_empty())
    }

    /// The jobs that are beyond their limits.
    fn survey(&mut self, link: &mut Link, keep: Limits) -> Result<(), StoreError> {
        for (job, _) in counts(link, doc! {}, keep)? {
            self.touched.insert(job);
        }
        Ok(())
    }

    /// What some jobs have too much of.
    fn by_count(&mut self, link: &mut Link, keep: Limits, young: i64) -> Result<(), StoreError> {
        let names: Vec<Box<str>> = self.touched.iter().take(SLICE).cloned().collect();
        if names.is_empty() {
            return Ok(());
        }
        let all: Vec<Bson> = names.iter().map(|name| text_of(name)).collect();
        let beyond = counts(link, doc! { "job": { "$in": all } }, keep)?;
        let left: Vec<&Box<str>> = beyond.keys().skip(JOBS).collect();
        let mut done: Vec<Box<str>> =
            names.iter().filter(|name| !left.contains(name)).cloned().collect();
        for (job, _) in beyond.iter().take(JOBS) {
            for filter in kinds(job) {
                let sorted = doc! {
                    "sort": { "seq": -1 }, "skip": i64::from(keep.runs), "limit": SLICE as i64,
                    "projection": { "seq": 1, "at": 1, "job": 1, "open": 1 },
                };
                let found = link.find("record", filter, sorted)?;
                let full = found.len() >= SLICE;
                let old: Vec<Old> =
                    link.taken(found.iter().map(Old::of).collect::<Result<_, _>>())?;
                let old = old.into_iter().filter(|old| old.at <= young).collect();
                if forget(link, old)? > 0 && full {
                    done.retain(|name| name != job);
                }
            }
        }
        self.touched.retain(|name| !done.contains(name));
        Ok(())
    }

    /// The oldest of all. Answers whether there may be more.
    fn by_age(&mut self, link: &mut Link, oldest: i64, now: i64) -> Result<bool, StoreError> {
        let sorted = doc! {
            "sort": { "seq": 1 }, "limit": SLICE as i64,
            "projection": { "seq": 1, "at": 1, "job": 1, "open": 1 },
        };
        let found = link.find("record", doc! { "seq": { "$gt": self.aged } }, sorted)?;
        let found: Vec<Old> = link.taken(found.iter().map(Old::of).collect::<Result<_, _>>())?;
        let whole = found.len() >= SLICE;
        let (mut beyond, mut young) = (false, false);
        let (mut old, mut aged) = (Vec::new(), self.aged);
        for record in found {
            if record.at > now {
                // A clock was ahead when it was written. It stays until its time, and what is behind
                // it does not.
                beyond = true;
                continue;
            }
            if record.at >= oldest {
                young = true;
                break;
            }
            if !beyond {
                aged = record.seq;
            }
            old.push(record);
        }
        let gone = forget(link, old)?;
        self.aged = aged;
        // What is looked at again each time is no headway.
        Ok(whole && !young && (gone > 0 || !beyond))
    }
}

/// The records of a job: those of excluded due times, which have a limit of their own, and the others. Older
/// ones do not say which they are.
fn kinds(job: &str) -> [Document; 2] {
    let of = |excluded: Bson| doc! { "job": text_of(job), "excluded": excluded };
    [of(Bson::Int32(1)), of(Bson::Document(doc! { "$in": [0, Bson::Null] }))]
}

/// A record that may be too old.
struct Old {
    seq: i64,
    at: i64,
    job: Box<str>,
    over: bool,
}

impl Old {
    fn of(document: &Document) -> encode::Read<Old> {
        Ok(Old {
            seq: encode::number(document, "seq")?,
            at: encode::number(document, "at")?,
            job: encode::text(document, "job")?,
            over: !encode::flag(document, "open"),
        })
    }
}

/// How many records jobs have, of those that have more than they are to have.
fn counts(
    link: &mut Link,
    filter: Document,
    keep: Limits,
) -> Result<std::collections::BTreeMap<Box<str>, u64>, StoreError> {
    let groups = link.aggregate(
        "record",
        vec![
            doc! { "$match": filter },
            doc! { "$group": { "_id": "$job", "n": { "$sum": 1 } } },
            doc! { "$match": { "n": { "$gt": i64::from(keep.runs) } } },
        ],
    )?;
    let group = |group: &Document| Ok((encode::text(group, "_id")?, encode::count(group, "n")?));
    link.taken(groups.iter().map(group).collect())
}

/// Takes away those that are over, but for the last ones of a job that is there. Answers how many.
fn forget(link: &mut Link, old: Vec<Old>) -> Result<u64, StoreError> {
    let old: Vec<Old> = old.into_iter().filter(|old| old.over).collect();
    if old.is_empty() {
        return Ok(0);
    }
    let names: BTreeSet<&str> = old.iter().map(|old| &*old.job).collect();
    let names: Vec<Bson> = names.into_iter().map(text_of).collect();
    let only = doc! { "projection": { "_id": 1 } };
    let there = link.find("job", doc! { "_id": { "$in": names } }, only)?;
    let there: Vec<Bson> = there.iter().filter_map(|job| job.get("_id").cloned()).collect();
    let last = match there.is_empty() {
        true => HashMap::new(),
        false => newest(link, doc! { "job": { "$in": there } })?,
    };
    let goes = |old: &&Old| {
        let stays = |newest: &Newest| {
            newest.any == old.seq || [newest.run, newest.success].contains(&Some(old.seq))
        };
        !last.get(&old.job).is_some_and(stays)
    };
    let seqs: Vec<i64> = old.iter().filter(goes).map(|old| old.seq).collect();
    if seqs.is_empty() {
        return Ok(0);
    }
    link.delete("record", doc! { "seq": { "$in": seqs }, "open": null })
}

impl Mongodb {
    /// Changes, lives, requests and sessions that are gone.
    pub(super) fn aside(&mut self, keep: Limits, now: Instant) -> Result<(), StoreError> {
        let oldest = now.micros().saturating_sub(i64::from(keep.days).saturating_mul(DAY));
        let link = &mut self.link;
        link.delete("change", doc! { "at": { "$lt": oldest } })?;
        beyond(link, "change", "at", i64::from(MOST_CHANGES))?;
        let asks = now.micros().saturating_sub(ASKS_KEPT);
        link.delete("ask", doc! { "at": { "$lt": asks } })?;
        let newest = doc! { "sort": { "place": -1 }, "limit": 1 };
        if let Some(life) = link.find("life", doc! {}, newest)?.first() {
            let before = doc! { "$lt": life.get("place").cloned().unwrap_or(Bson::Null) };
            let old = doc! { "$lt": oldest };
            link.delete("life", doc! { "place": before.clone(), "stopped": old.clone() })?;
            let unknown = doc! { "place": before, "stopped": null, "seen": old };
            link.delete("life", unknown)?;
        }
        beyond(link, "life", "place", i64::from(MOST_SESSIONS))?;
        link.delete("past", doc! { "at": { "$lt": oldest } })?;
        self.archive()
    }

    /// Sessions that are gone for long are kept elsewhere, for the day on which one of them wakes up.
    fn archive(&mut self) -> Result<(), StoreError> {
        let find = doc! { "_id": schema::FLEET };
        let found = self.link.find("fleet", find.clone(), doc! { "limit": 1 })?;
        let Some(found) = found.first() else { return Ok(()) };
        let members = self.link.taken(Members::read(found))?;
        let before = members.now.micros().saturating_sub(REMEMBERED);
        let gone = members.all.iter().filter_map(|(id, known)| {
            let gone = known.member.gone.filter(|_| !known.is_unswept)?;
            Some((gone.at.micros(), *id, known.at))
        });
        let mut gone: Vec<(i64, _, _)> = gone.collect();
        sort::all(&mut gone);
        let many = gone.len().saturating_sub(MOST_GONE);
        for (place, (at, id, seen)) in gone.into_iter().enumerate() {
            if at >= before && place >= many {
                break;
            }
            let key = id.to_string();
            if let Some(seen) = seen {
                change_last_life(&mut self.link, &key, doc! { "seen": seen.micros() })?;
            }
            self.link.insert("past", vec![doc! { "_id": key, "at": at }])?;
            let away = doc! { "$unset": { field(id, "").trim_end_matches('.'): "" } };
            self.link.update("fleet", &[doc! { "q": find.clone(), "u": away }])?;
        }
        Ok(())
    }
}

/// Takes away what is beyond so many, in the order of a field.
fn beyond(link: &mut Link, collection: &str, key: &str, most: i64) -> Result<(), StoreError> {
    let after = doc! {
        "sort": { key: -1 }, "skip": most, "limit": 1, "projection": { key: 1 },
    };
    if let Some(last) = link.find(collection, doc! {}, after)?.first() {
        let last = last.get(key).cloned().unwrap_or(Bson::Null);
        link.delete(collection, doc! { key: { "$lte": last } })?;
    }
    Ok(())
}
