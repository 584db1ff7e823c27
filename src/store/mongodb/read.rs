//! What people and programs ask, by a client of its own that is made with the first question.

use std::collections::{BTreeSet, HashMap};

use mongodb::bson::{Bson, Document, doc};

use super::encode::{self, Row, text_of};
use super::link::Link;
use super::members::Members;
use super::schema;
use super::write::without_output;
use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::fleet::{Member, SPARE_RUNS};
use crate::core::instant::Instant;
use crate::core::sort;
use crate::core::url::SharedUrl;
use crate::store::encode::NOT_RUN_WORDS;
use crate::store::shared::OpenElsewhere;
use crate::store::{
    AttemptRecord, Details, Entries, Latest, OpenRun, Query, Reader, RunRecord, Session,
    StoreError, Trouble,
};

/// So many records are asked for by their numbers in one go.
const MANY: usize = 1000;

/// Jobs, sorted by id.
pub(super) fn jobs(link: &mut Link, filter: Document) -> Result<Vec<JobRecord>, StoreError> {
    let found = link.find("job", filter, doc! {})?;
    let mut jobs =
        link.taken(found.iter().map(encode::job).collect::<Result<Vec<JobRecord>, _>>())?;
    sort::by(&mut jobs, |a, b| a.id.cmp(&b.id));
    Ok(jobs)
}

/// Whether all jobs are paused.
pub(super) fn all_paused(link: &mut Link) -> Result<Option<Pause>, StoreError> {
    let found = link.find("fleet", doc! { "_id": schema::FLEET }, doc! { "limit": 1 })?;
    link.taken(found.first().map_or(Ok(None), |fleet| encode::pause(fleet, "paused")))
}

/// The highest `seq` among the records of a job that are over.
#[derive(Debug, Default)]
pub(super) struct Newest {
    pub(super) any: i64,
    /// Of a run.
    pub(super) run: Option<i64>,
    /// Of one that succeeded.
    pub(super) success: Option<i64>,
}

/// That of each job.
pub(super) fn newest(
    link: &mut Link,
    of: Document,
) -> Result<HashMap<Box<str>, Newest>, StoreError> {
    let mut wanted = of;
    wanted.insert("open", Bson::Null);
    let not_run = doc! { "$in": ["$outcome.word", NOT_RUN_WORDS.to_vec()] };
    let success = doc! { "$eq": ["$outcome.word", "succeeded"] };
    let by = doc! {
        "_id": "$job",
        "any": { "$max": "$seq" },
        // There is no number where this does not hold of any record.
        "run": { "$max": { "$cond": [not_run, null, "$seq"] } },
        "success": { "$max": { "$cond": [success, "$seq", null] } },
    };
    let groups =
        link.aggregate("record", vec![doc! { "$match": wanted }, doc! { "$group": by }])?;
    let newest = |group: &Document| {
        Ok((
            encode::text(group, "_id")?,
            Newest {
                any: encode::number(group, "any")?,
                run: encode::number_or_none(group, "run")?,
                success: encode::number_or_none(group, "success")?,
            },
        ))
    };
    link.taken(groups.iter().map(newest).collect())
}

/// A job, a word of no run, and how many due times have come to that.
type NotRun = (Box<str>, Box<str>, u64);

/// What has come to no run of these jobs, each since a `seq`.
fn not_run_since(link: &mut Link, jobs: &[(Bson, i64)]) -> Result<Vec<NotRun>, StoreError> {
    let of = |(job, after): &(Bson, i64)| doc! { "job": job.clone(), "seq": { "$gt": *after } };
    let wanted = doc! {
        "$or": jobs.iter().map(of).collect::<Vec<Document>>(),
        "outcome.word": { "$in": NOT_RUN_WORDS.to_vec() },
    };
    let mut by = doc! { "_id": "$job" };
    for word in NOT_RUN_WORDS {
        let is = doc! { "$eq": ["$outcome.word", word] };
        by.insert(word, doc! { "$sum": { "$cond": [is, "$count", 0] } });
    }
    let groups =
        link.aggregate("record", vec![doc! { "$match": wanted }, doc! { "$group": by }])?;
    let mut found = Vec::new();
    for group in &groups {
        let job = link.taken(encode::text(group, "_id"))?;
        for word in NOT_RUN_WORDS {
            let count = link.taken(encode::count(group, word))?;
            found.push((job.clone(), word.into(), count));
        }
    }
    Ok(found)
}

/// A run that is not over, and where it is.
pub(super) fn open_elsewhere(row: Row) -> Option<OpenElsewhere> {
    let run = row.open()?;
    let host = row.record.host.unwrap_or_default();
    Some(OpenElsewhere { session: row.session, host, slot: row.slot, run })
}

/// The runs that are not over, the oldest first.
pub(super) fn open(link: &mut Link) -> Result<Vec<OpenRun>, StoreError> {
    let mut sorted = without_output();
    sorted.insert("sort", doc! { "seq": 1 });
    let found = link.find("record", doc! { "open": 1 }, sorted)?;
    let rows = link.taken(found.iter().map(encode::row).collect::<Result<Vec<Row>, _>>())?;
    Ok(rows.iter().filter_map(Row::open).collect())
}

/// The number above all runs that have a record.
pub(super) fn next_run(link: &mut Link) -> Result<u64, StoreError> {
    let given = doc! { "run": { "$gte": 0, "$lt": SPARE_RUNS as i64 } };
    let highest = doc! { "sort": { "run": -1 }, "limit": 1, "projection": { "run": 1 } };
    let found = link.find("record", given, highest)?;
    let run = link.taken(found.first().map(|found| encode::count(found, "run")).transpose())?;
    Ok(run.map_or(1, |run| run + 1))
}

/// The last life of a scheduler.
pub(super) fn last_life(link: &mut Link) -> Result<Option<Session>, StoreError> {
    let found = link.find("life", doc! {}, doc! { "sort": { "place": -1 }, "limit": 1 })?;
    link.taken(found.first().map(encode::life).transpose())
}

/// Reads a store.
#[derive(Debug)]
pub(super) struct MongodbReader {
    link: Link,
    /// It was seen that there is something to read.
    checked: bool,
}

/// For reading, beside a scheduler or without one.
pub(super) fn reader(url: &SharedUrl) -> Result<MongodbReader, StoreError> {
    let mut reader = MongodbReader { link: Link::new(url)?, checked: false };
    reader.check()?;
    Ok(reader)
}

/// The same place as another link's.
pub(super) fn beside(link: &Link, checked: bool) -> Result<MongodbReader, StoreError> {
    Ok(MongodbReader { link: link.again()?, checked })
}

impl MongodbReader {
    fn check(&mut self) -> Result<(), StoreError> {
        if !self.checked {
            schema::ensure(&mut self.link, false)?;
            self.checked = true;
        }
        Ok(())
    }

    fn find(
        &mut self,
        collection: &str,
        filter: Document,
        more: Document,
    ) -> Result<Vec<Document>, StoreError> {
        self.check()?;
        match self.link.find(collection, filter.clone(), more.clone()) {
            // A connection that nobody has used for a while may be none any more.
            Err(error) if error.kind == Trouble::Unreachable => {
                self.link.find(collection, filter, more)
            }
            found => found,
        }
    }

    fn rows(&mut self, filter: Document, more: Document) -> Result<Vec<Row>, StoreError> {
        let mut options = without_output();
        options.extend(more);
        let found = self.find("record", filter, options)?;
        self.link.taken(found.iter().map(encode::row).collect())
    }

    fn of_run(&mut self, run: RunId) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(doc! { "run": run.0 as i64 }, doc! { "limit": 1 })?.pop())
    }

    fn fleet(&mut self) -> Result<Option<Members>, StoreError> {
        let found = self.find("fleet", doc! { "_id": schema::FLEET }, doc! { "limit": 1 })?;
        self.link.taken(found.first().map(Members::read).transpose())
    }
}

/// The records that a query wants.
fn wanted(query: &Query) -> Document {
    let mut filter = Document::new();
    if let Some(job) = &query.job {
        filter.insert("job", text_of(job));
    }
    if let Some(host) = &query.host {
        filter.insert("host", text_of(host));
    }
    if let Some(run) = query.run {
        filter.insert("run", run.0 as i64);
    }
    if query.failed {
        filter.insert("failed", 1);
    }
    if let Some(since) = query.since {
        filter.insert("last_due", doc! { "$gte": since.micros() });
    }
    if let Some(until) = query.until {
        filter.insert("due", doc! { "$lte": until.micros() });
    }
    if let Some(before) = query.before {
        filter.insert("seq", doc! { "$lt": i64::try_from(before).unwrap_or(i64::MAX) });
    }
    filter
}

impl Reader for MongodbReader {
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError> {
        let mut more = doc! { "sort": { "seq": -1 } };
        if query.limit > 0 {
            more.insert("limit", query.limit as i64);
        }
        Ok(self.rows(wanted(query), more)?.into_iter().map(|row| row.record).collect())
    }

    fn latest(&mut self, job: Option<&str>) -> Result<Vec<Latest>, StoreError> {
        self.check()?;
        let of = job.map_or_else(Document::new, |job| doc! { "job": text_of(job) });
        let newest = newest(&mut self.link, of)?;
        let seqs: BTreeSet<i64> =
            newest.values().flat_map(|newest| [newest.run, newest.success]).flatten().collect();
        let seqs: Vec<Bson> = seqs.into_iter().map(Bson::from).collect();
        let mut runs = Vec::new();
        for some in seqs.chunks(MANY) {
            let rows = self.rows(doc! { "seq": { "$in": some.to_vec() } }, doc! {})?;
            runs.extend(rows.into_iter().map(|row| row.record));
        }
        let later = newest.iter().filter(|(_, newest)| newest.any > newest.run.unwrap_or(0));
        let after: Vec<(Bson, i64)> =
            later.map(|(job, newest)| (text_of(job), newest.run.unwrap_or(0))).collect();
        let mut since = Vec::new();
        for some in after.chunks(MANY / 10) {
            since.extend(not_run_since(&mut self.link, some)?);
        }
        Ok(Latest::gather(runs, since))
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let Some(row) = self.of_run(run)? else { return Ok(Vec::new()) };
        let mut found = row.attempts;
        found.extend(row.record.last_attempt(row.begun, found.last()));
        Ok(found)
    }

    fn output(&mut self, run: RunId) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        let only = doc! { "limit": 1, "projection": { "output": 1 } };
        let found = self.find("record", doc! { "run": run.0 as i64 }, only)?;
        self.link.taken(found.first().map_or(Ok(None), encode::output))
    }

    fn details(&mut self, runs: &[RunId]) -> Result<HashMap<RunId, Details>, StoreError> {
        let mut found = HashMap::with_capacity(runs.len());
        for some in runs.chunks(MANY) {
            let numbers: Vec<i64> = some.iter().map(|run| run.0 as i64).collect();
            let filter = doc! { "run": { "$in": numbers } };
            for document in self.find("record", filter, Document::new())? {
                let (row, output) = (encode::row(&document), encode::output(&document));
                let Row { record, mut attempts, begun, .. } = self.link.taken(row)?;
                let Some(run) = record.run else { continue };
                attempts.extend(record.last_attempt(begun, attempts.last()));
                found.insert(run, Details { attempts, output: self.link.taken(output)? });
            }
        }
        Ok(found)
    }

    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.check()?;
        Ok(jobs(&mut self.link, doc! { "_id": text_of(id) })?.pop())
    }

    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError> {
        self.check()?;
        jobs(&mut self.link, doc! {})
    }

    fn all_paused(&mut self) -> Result<Option<Pause>, StoreError> {
        self.check()?;
        all_paused(&mut self.link)
    }

    fn changes(
        &mut self,
        job: Option<&str>,
        from: Instant,
        until: Instant,
    ) -> Result<Vec<Change>, StoreError> {
        let mut filter = doc! { "at": { "$gte": from.micros(), "$lte": until.micros() } };
        if let Some(job) = job {
            filter.insert("job", doc! { "$in": [null, text_of(job)] });
        }
        let found = self.find("change", filter, doc! { "sort": { "at": 1, "_id": 1 } })?;
        self.link.taken(found.iter().map(encode::change).collect())
    }

    fn entries(&mut self, list: &str) -> Result<Entries, StoreError> {
        let found = self.find("entry", encode::entries_of(list), doc! {})?;
        let entries: encode::Read<Vec<_>> = found.iter().map(encode::entry).collect();
        let mut entries = self.link.taken(entries)?;
        sort::by(&mut entries, |a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    fn lists(&mut self) -> Result<Vec<Box<str>>, StoreError> {
        self.check()?;
        let group = doc! { "$group": { "_id": "$list" } };
        let found = self.link.aggregate("entry", vec![group])?;
        let lists: encode::Read<Vec<_>> =
            found.iter().map(|list| encode::text(list, "_id")).collect();
        let mut lists = self.link.taken(lists)?;
        sort::all(&mut lists);
        Ok(lists)
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        let members = self.fleet()?;
        let found = self.find("life", doc! {}, doc! { "sort": { "place": 1 } })?;
        let life = |document: &Document| {
            let mut life = encode::life(document)?;
            let session = encode::session_of(document, "session");
            let known = members.as_ref().and_then(|members| members.all.get(&session));
            if let Some(at) = known.and_then(|known| known.at).filter(|_| life.stopped.is_none()) {
                life.seen = life.seen.max(at);
            }
            Ok(life)
        };
        self.link.taken(found.iter().map(life).collect())
    }

    fn open_runs(&mut self, job: Option<&str>) -> Result<Vec<OpenElsewhere>, StoreError> {
        let mut filter = doc! { "open": 1 };
        if let Some(job) = job {
            filter.insert("job", text_of(job));
        }
        let rows = self.rows(filter, doc! { "sort": { "seq": 1 } })?;
        let members = self.fleet()?;
        let is_void = |row: &Row| members.as_ref().is_some_and(|members| members.is_void(row));
        Ok(rows.into_iter().filter(|row| !is_void(row)).filter_map(open_elsewhere).collect())
    }

    fn members(&mut self) -> Result<Vec<Member>, StoreError> {
        let mut found = self.fleet()?.map_or(Vec::new(), |members| members.recent(None));
        sort::by_key(&mut found, |member| (member.joined, member.id));
        Ok(found)
    }
}
