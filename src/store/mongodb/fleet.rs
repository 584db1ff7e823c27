//! The store as several schedulers share it: sessions, their beats, and what they leave behind.
//!
//! There are no transactions here. A claim is put in first, with the beat that is to confirm it, and
//! counts once its session has made that beat. Whoever calls a session dead compares the beat; so of
//! its claims either the beat came before the mark, and whoever marked it finds them, or it never
//! comes, and they are void: whoever meets one takes it away, and so does whoever has set the mark, or
//! anybody who sees that it was not done.

use std::ops::Range;

use mongodb::bson::{Bson, Document, doc};

use super::encode::{self, text_of};
use super::members::{Members, field};
use super::write::{self, Writer, Written, without_output};
use super::{Mongodb, read, schema};
use crate::core::event::RunId;
use crate::core::fleet::{Member, SessionId, View};
use crate::store::encode as rows;
use crate::store::shared::{
    Adopted, Asked, Committed, Files, RUN_NUMBERS, Shared, TakenUp, refusal,
};
use crate::store::sql::{Batch, Row};
use crate::store::{Fact, StoreError, Trouble};

/// A session that is not gone, and of which so many beats are not forgotten.
fn alive(id: SessionId, acked: u64) -> Document {
    doc! { field(id, "beat"): { "$gte": acked.max(1) as i64 }, field(id, "gone"): null }
}

fn absent(id: SessionId) -> Document {
    doc! { format!("members.s{id}"): null }
}

/// `changes` moves.
fn news() -> Document {
    doc! { "$inc": { "changes": 1 } }
}

impl Mongodb {
    /// Changes the one document about all of it, if it fits the filter. Each time it is told the
    /// server's time.
    pub(super) fn fleet(
        &mut self,
        filter: Document,
        mut update: Document,
    ) -> Result<Option<Members>, StoreError> {
        self.ready()?;
        let mut query = doc! { "_id": schema::FLEET };
        query.extend(filter);
        match update.get_mut("$currentDate").and_then(|dates| dates.as_document_mut()) {
            Some(dates) => drop(dates.insert("now", true)),
            None => drop(update.insert("$currentDate", doc! { "now": true })),
        }
        let found = self.link.change_one("fleet", query, update)?;
        found.map(|found| self.link.taken(Members::read(&found))).transpose()
    }

    /// The same without a filter: it is there.
    pub(super) fn members(&mut self, update: Document) -> Result<Members, StoreError> {
        if let Some(members) = self.fleet(Document::new(), update.clone())? {
            return Ok(members);
        }
        // Somebody has thrown all of it away.
        self.is_ready = false;
        let gone = |store: &Mongodb| store.link.error(Trouble::Corrupt, "is thrown away meanwhile");
        self.fleet(Document::new(), update)?.ok_or_else(|| gone(self))
    }

    fn view(&mut self, me: SessionId, members: Members) -> Result<View, StoreError> {
        self.sweep_all(&members)?;
        let past = !members.all.contains_key(&me) && self.is_past(me)?;
        Ok(members.view(me, past))
    }

    /// Whether it was a session, longer ago than [`Members`] has it.
    fn is_past(&mut self, id: SessionId) -> Result<bool, StoreError> {
        let found = self.link.find("past", doc! { "_id": id.to_string() }, doc! { "limit": 1 })?;
        Ok(!found.is_empty())
    }

    /// Writes a session as `join` does.
    fn put(&mut self, me: &Member) -> Result<Members, StoreError> {
        let members = self.members(doc! {})?;
        let same =
            |other: &Member| other.machine == me.machine && other.jobfile_hash == me.jobfile_hash;
        // When a host has loaded a file: a restart with the same one is no new load.
        let own = members.all.get(&me.id).map(|known| &known.member);
        let recent = members.recent(None);
        let others = recent.iter().filter(|other| other.id != me.id && same(other));
        let loaded = own.filter(|own| own.jobfile_hash == me.jobfile_hash);
        let loaded = loaded.map(|own| own.loaded).or(others.map(|other| other.loaded).max());
        let of = |name: &str| field(me.id, name);
        let mut set = doc! { of("told"): encode::told(me), of("leaving"): me.leaving };
        let mut dates = doc! { of("seen"): true };
        match loaded {
            Some(at) => drop(set.insert(of("loaded"), at.micros())),
            None => drop(dates.insert(of("loaded"), true)),
        }
        let mut inc = doc! { "changes": 1 };
        let filter = match own {
            Some(_) => {
                inc.insert(of("beat"), 1_i64);
                alive(me.id, me.beat)
            }
            None => {
                set.insert(of("beat"), 1_i64);
                dates.insert(of("joined"), true);
                absent(me.id)
            }
        };
        let update = doc! { "$set": set, "$currentDate": dates, "$inc": inc };
        match self.fleet(filter, update)? {
            Some(members) => Ok(members),
            None => self.members(doc! {}),
        }
    }

    fn put_file(&mut self, hash: u64, jobs: &[(Box<str>, u64)]) -> Result<(), StoreError> {
        let jobs = rows::jobs_json(jobs);
        let document = doc! { "_id": hash.to_string(), "jobs": text_of(&jobs) };
        self.link.insert("file", vec![document]).map(drop)
    }

    /// What is left of sessions that are dead.
    fn sweep_all(&mut self, members: &Members) -> Result<(), StoreError> {
        for (id, known) in &members.all {
            if known.is_unswept {
                self.sweep(*id, known.member.beat)?;
            }
        }
        Ok(())
    }

    /// Takes away what a session has not confirmed that was called dead at this beat: nothing of it has
    /// begun, whatever was written with the claim.
    fn sweep(&mut self, whom: SessionId, beat: u64) -> Result<(), StoreError> {
        let void = doc! { "session": whom.to_string(), "open": 1, "needs": { "$gt": beat as i64 } };
        self.link.delete("record", void)?;
        let pending = doc! { "session": whom.to_string(), "pending": 1 };
        self.link.delete("record", pending)?;
        let done = doc! { "$set": { field(whom, "gone.swept"): true } };
        self.fleet(doc! { field(whom, "beat"): { "$gt": 0 } }, done).map(drop)
    }

    /// A commit of a session whose claims are put in and wait to be confirmed.
    fn confirm(
        &mut self,
        me: SessionId,
        batch: &Batch<'_>,
        needs: u64,
        written: &Written,
    ) -> Result<Members, StoreError> {
        let acked = needs.saturating_sub(1);
        let mut inc = doc! { field(me, "beat"): 1 };
        if batch.is_news() {
            inc.insert("changes", 1);
        }
        let mut update = doc! { "$inc": inc, "$currentDate": { field(me, "seen"): true } };
        if let Some(pause) = batch.all_paused {
            update.insert("$set", doc! { "paused": encode::pause_doc(pause) });
        }
        if let Some(members) = self.fleet(alive(me, acked), update)? {
            return Ok(members);
        }
        // Nothing has begun yet, and nothing will.
        let runs: Vec<i64> = written.claimed.iter().map(|run| run.0 as i64).collect();
        let own = doc! { "run": { "$in": runs }, "needs": needs as i64, "open": 1 };
        self.link.delete("record", own)?;
        Err(self.refused(me, acked))
    }

    /// Why nothing was taken of a session.
    fn refused(&mut self, me: SessionId, acked: u64) -> StoreError {
        let gone = self.members(doc! {}).and_then(|members| match members.all.get(&me) {
            Some(known) => Ok(Some(known.member.gone.is_some())),
            None => Ok(self.is_past(me)?.then_some(true)),
        });
        match gone {
            Ok(gone) => refusal(me, acked, gone),
            Err(error) => error,
        }
    }
}

impl Shared for Mongodb {
    fn join(&mut self, me: &Member, jobs: &[(Box<str>, u64)]) -> Result<View, StoreError> {
        self.tidying.shared = true;
        self.ready()?;
        self.put_file(me.jobfile_hash, jobs)?;
        if self.is_past(me.id)? {
            let members = self.members(doc! {})?;
            return self.view(me.id, members);
        }
        let members = self.put(me)?;
        self.view(me.id, members)
    }

    fn beat(&mut self, me: &Member) -> Result<View, StoreError> {
        let of = |name: &str| field(me.id, name);
        let update = doc! {
            "$set": { of("told"): encode::told(me), of("leaving"): me.leaving },
            "$inc": { of("beat"): 1 }, "$currentDate": { of("seen"): true },
        };
        let members = match self.fleet(alive(me.id, me.beat), update)? {
            Some(members) => members,
            None => self.members(doc! {})?,
        };
        self.view(me.id, members)
    }

    fn commit(
        &mut self,
        me: SessionId,
        acked: u64,
        facts: &[Fact],
    ) -> Result<Committed, StoreError> {
        let batch = Batch::of(facts);
        let has_ranges = batch.rows().any(Row::is_range);
        let in_two = rows_of(&batch) > 0 || batch.is_news();
        let mut update = self.counters(&batch);
        let runs = batch.stages.iter().flat_map(|stage| stage.claims().map(|(run, _)| run));
        if let Some(next) = write::next_run(runs) {
            update.insert("$max", doc! { "next_run": next });
        }
        if !in_two {
            let inc = update.entry("$inc".to_owned()).or_insert(Bson::Document(doc! {}));
            if let Some(inc) = inc.as_document_mut() {
                inc.insert(field(me, "beat"), 1);
            }
            update.insert("$currentDate", doc! { field(me, "seen"): true });
        } else if has_ranges {
            // Before they are there: whoever does not see it has put in what these are compared with.
            update.insert("$currentDate", doc! { "ranged": true });
        }
        if let Some(at) = batch.at {
            update.insert("$set", doc! { field(me, "at"): at.micros() });
        }
        let Some(members) = self.fleet(alive(me, acked), update)? else {
            return Err(self.refused(me, acked));
        };
        let beat = |members: &Members| members.all.get(&me).map_or(0, |own| own.member.beat);
        let needs = beat(&members) + u64::from(in_two);
        let mut written = Written::default();
        let seq = first_of(members.seq, rows_of(&batch));
        let life = first_of(members.lives, batch.lives.len());
        let mut writer = Writer { session: Some(me), members: &members, needs, seq, life };
        writer.all(&mut self.link, &batch, &mut written)?;
        let settled = members.has_ranges();
        if settled {
            self.settle(me, &members, &batch)?;
            self.look_within(me, (&members, true), &batch, &mut written)?;
        }
        self.touch(facts);
        let members = match in_two {
            true => {
                let confirmed = self.confirm(me, &batch, needs, &written)?;
                if confirmed.has_new_ranges(&members) {
                    self.look_within(me, (&confirmed, settled), &batch, &mut written)?;
                }
                confirmed
            }
            false => members,
        };
        let (beat, now, changes) = (beat(&members), members.now, members.changes);
        Ok(Committed { lost: written.lost, beat, now, changes })
    }

    fn reap(&mut self, by: SessionId, whom: SessionId, beat: u64) -> Result<bool, StoreError> {
        let silent = doc! { field(whom, "beat"): beat as i64, field(whom, "gone"): null };
        let gone = doc! { "by": by.to_string(), "swept": false };
        let update = doc! {
            "$set": { field(whom, "gone"): gone }, "$inc": { "changes": 1 },
            "$currentDate": { field(whom, "gone_at"): true },
        };
        if beat == 0 || self.fleet(silent, update)?.is_none() {
            return Ok(false);
        }
        self.sweep(whom, beat)?;
        Ok(true)
    }

    fn adopt(
        &mut self,
        me: SessionId,
        acked: u64,
        runs: &[(RunId, SessionId)],
    ) -> Result<Adopted, StoreError> {
        let beat = || doc! { "$inc": { field(me, "beat"): 1 } };
        let count = |members: &Members| members.all.get(&me).map_or(0, |own| own.member.beat);
        let Some(members) = self.fleet(alive(me, acked), beat())? else {
            return Err(self.refused(me, acked));
        };
        let host = members.host(Some(me)).map_or(Bson::Null, |host| text_of(&host));
        let mut updates = Vec::new();
        for (run, of) in runs {
            let theirs = |more: Document| {
                let mut query = doc! { "run": run.0 as i64, "session": of.to_string() };
                query.extend(more);
                query
            };
            // It is not to be taken for one that was never confirmed.
            let mine = doc! { "session": me.to_string(), "host": &host, "needs": 0_i64 };
            let mut open = mine.clone();
            open.extend(doc! { "open": 1, "failed": 0 });
            let again = doc! { "$set": open, "$unset": { "outcome": "", "duration": "" } };
            updates.push(doc! { "q": theirs(doc! { "outcome.word": "lost" }), "u": again });
            updates.push(doc! { "q": theirs(doc! { "open": 1 }), "u": { "$set": mine } });
        }
        self.link.update("record", &updates)?;
        // Whoever has been called dead meanwhile has adopted nothing that counts.
        let acked = count(&members);
        let Some(members) = self.fleet(alive(me, acked), beat())? else {
            return Err(self.refused(me, acked));
        };
        let numbers: Vec<i64> = runs.iter().map(|(run, _)| run.0 as i64).collect();
        let mine = doc! { "run": { "$in": numbers }, "session": me.to_string(), "open": 1 };
        let found = self.link.find("record", mine, without_output())?;
        let runs: Result<Vec<RunId>, encode::Odd> = found
            .iter()
            .map(|document| Ok(RunId(encode::number(document, "run")? as u64)))
            .collect();
        Ok(Adopted { runs: self.link.taken(runs)?, beat: count(&members) })
    }

    fn leave(&mut self, me: SessionId, ended: bool) -> Result<(), StoreError> {
        let update = doc! {
            "$set": { field(me, "leaving"): true }, "$inc": { "changes": 1 },
        };
        self.fleet(doc! { field(me, "beat"): { "$gt": 0 } }, update)?;
        if ended {
            let gone = doc! { "by": me.to_string(), "swept": true };
            let update = doc! {
                "$set": { field(me, "gone"): gone },
                "$currentDate": { field(me, "gone_at"): true },
            };
            self.fleet(alive(me, 0), update)?;
        }
        Ok(())
    }

    fn take_up(&mut self, jobs: &[Box<str>]) -> Result<TakenUp, StoreError> {
        let members = self.members(doc! {})?;
        self.sweep_all(&members)?;
        self.known(&members, jobs)
    }

    fn files(&mut self, hashes: &[u64]) -> Result<Files, StoreError> {
        self.ready()?;
        let keys: Vec<String> = hashes.iter().map(u64::to_string).collect();
        let found = self.link.find("file", doc! { "_id": { "$in": keys } }, doc! {})?;
        let file = |document: &Document| {
            let hash = encode::text(document, "_id")?.parse().map_err(|_| encode::Odd)?;
            let jobs = encode::text(document, "jobs")?;
            Ok((hash, rows::jobs(jobs.as_bytes()).ok_or(encode::Odd)?))
        };
        let files = found.iter().map(file).collect();
        self.link.taken(files)
    }

    fn run_numbers(&mut self) -> Result<Range<u64>, StoreError> {
        let members = self.members(doc! { "$inc": { "next_run": RUN_NUMBERS as i64 } })?;
        Ok(members.next_run.saturating_sub(RUN_NUMBERS)..members.next_run)
    }

    fn ask(&mut self, asked: &Asked) -> Result<(), StoreError> {
        self.ready()?;
        if self.link.insert("ask", vec![encode::asked_doc(asked)])?.is_empty() {
            self.members(news())?;
        }
        Ok(())
    }

    fn asks(&mut self, session: SessionId) -> Result<Vec<Asked>, StoreError> {
        self.ready()?;
        let id = session.to_string();
        let concerns = doc! { "$or": [{ "to": &id }, { "from": &id }] };
        let sorted = doc! { "sort": { "at": 1, "_id": 1 } };
        let found = self.link.find("ask", concerns, sorted)?;
        let found = self.link.taken(found.iter().map(encode::asked).collect::<Result<_, _>>())?;
        let mine = |asked: &Asked| match asked.answer {
            None => asked.to == session,
            Some(_) => asked.from == session,
        };
        Ok(Vec::into_iter(found).filter(mine).collect())
    }

    fn answer(&mut self, id: u64, answer: &str) -> Result<(), StoreError> {
        self.ready()?;
        let filter = doc! { "_id": id.to_string(), "answer": null };
        let update = doc! { "$set": { "answer": text_of(answer) } };
        if self.link.change_one("ask", filter, update)?.is_some() {
            self.members(news())?;
        }
        Ok(())
    }

    fn new_generation(&mut self, me: &Member, seen: u64, above: u64) -> Result<View, StoreError> {
        let next = seen.max(above).saturating_add(1) as i64;
        let update = doc! { "$set": { "generation": next }, "$inc": { "changes": 1 } };
        self.fleet(doc! { "generation": seen as i64 }, update)?;
        let members = self.members(doc! {})?;
        let is_there = members.all.contains_key(&me.id);
        let members = if is_there { members } else { self.put(me)? };
        self.view(me.id, members)
    }

    fn put_back(&mut self, members: &[Member], files: &Files) -> Result<(), StoreError> {
        self.ready()?;
        for (hash, jobs) in files {
            self.put_file(*hash, jobs)?;
        }
        for member in members {
            let of = |name: &str| field(member.id, name);
            let mut set = doc! {
                of("told"): encode::told(member), of("leaving"): member.leaving,
                of("beat"): member.beat as i64, of("joined"): member.joined.micros(),
                of("seen"): member.seen.micros(),
                of("loaded"): member.loaded.micros(),
            };
            if let Some(gone) = member.gone {
                let how = doc! { "by": gone.by.to_string(), "swept": true };
                set.insert(of("gone"), how);
                set.insert(of("gone_at"), gone.at.micros());
            }
            self.fleet(absent(member.id), doc! { "$set": set })?;
        }
        self.members(news()).map(drop)
    }
}

/// The first of so many numbers, of which this is the last that was given out.
fn first_of(last: u64, count: usize) -> u64 {
    (last + 1).saturating_sub(count as u64)
}

fn rows_of(batch: &Batch<'_>) -> usize {
    batch.stages.iter().map(|stage| stage.rows.len()).sum()
}

impl Mongodb {
    /// What the counters are raised by for the records and lives of a commit.
    pub(super) fn counters(&self, batch: &Batch<'_>) -> Document {
        let mut update = Document::new();
        let (rows, lives) = (rows_of(batch) as i64, batch.lives.len() as i64);
        if rows > 0 || lives > 0 {
            update.insert("$inc", doc! { "seq": rows, "lives": lives });
        }
        update
    }

    /// A commit of one scheduler.
    pub(super) fn commit_alone(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        let batch = Batch::of(facts);
        let mut update = self.counters(&batch);
        if let Some(pause) = batch.all_paused {
            update.insert("$set", doc! { "paused": encode::pause_doc(pause) });
        }
        let members = self.members(update)?;
        let mut written = Written::default();
        let seq = first_of(members.seq, rows_of(&batch));
        let life = first_of(members.lives, batch.lives.len());
        let mut writer = Writer { session: None, members: &members, needs: 0, seq, life };
        writer.all(&mut self.link, &batch, &mut written)?;
        if let Some(next) = write::next_run(written.claimed.iter().copied()) {
            self.members(doc! { "$max": { "next_run": next } })?;
        }
        if let Some(at) = batch.at {
            write::change_last_life(&mut self.link, "", doc! { "seen": at.micros() })?;
        }
        self.touch(facts);
        Ok(written.lost.into_iter().map(|(run, _)| run).collect())
    }

    /// What there is to know of jobs; of all if none is named.
    pub(super) fn known(
        &mut self,
        members: &Members,
        jobs: &[Box<str>],
    ) -> Result<TakenUp, StoreError> {
        let names: Vec<Bson> = jobs.iter().map(|job| text_of(job)).collect();
        let of = |key: &str| match jobs {
            [] => doc! {},
            _ => doc! { key: { "$in": names.clone() } },
        };
        let mut known = read::jobs(&mut self.link, of("_id"))?;
        let mut named = of("job");
        named.insert("by", Bson::Null);
        // What may give way decides nothing yet, nor what may never be confirmed.
        named.insert("pending", Bson::Null);
        let sessions = members.unconfirmed();
        if !sessions.is_empty() {
            let mut filter = of("job");
            filter.insert("$or", sessions);
            let found = self.link.find("record", filter, doc! { "projection": { "_id": 1 } })?;
            let keys: Vec<Bson> = found.iter().filter_map(|it| it.get("_id").cloned()).collect();
            if !keys.is_empty() {
                named.insert("_id", doc! { "$nin": keys });
            }
        }
        let last = doc! { "_id": "$job", "last": { "$max": "$last_due" } };
        let pipeline = vec![doc! { "$match": named }, doc! { "$group": last }];
        for document in self.link.aggregate("record", pipeline)? {
            let last = encode::text(&document, "_id")
                .and_then(|job| Ok((job, encode::instant(&document, "last")?)));
            let (job, last) = self.link.taken(last)?;
            if let Ok(place) = known.binary_search_by(|known| known.id.cmp(&job)) {
                known[place].decided = known[place].decided.max(last);
            }
        }
        let mut open_filter = of("job");
        open_filter.insert("open", 1);
        let mut sorted = without_output();
        sorted.insert("sort", doc! { "seq": 1 });
        let mut open = Vec::new();
        for document in self.link.find("record", open_filter, sorted)? {
            let row = self.link.taken(encode::row(&document))?;
            if members.is_void(&row) {
                write::void(&mut self.link, &row)?;
            } else {
                open.extend(read::open_elsewhere(row));
            }
        }
        Ok(TakenUp { jobs: known, open, all_paused: read::all_paused(&mut self.link)? })
    }
}
