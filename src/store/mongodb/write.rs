//! Facts become changes of documents: a few commands for each stage, whatever it holds.
//!
//! Each may be done twice: a commit that failed may have happened, in part or all of it, and is done
//! again with the same facts. A run whose claim is lost has no document, so that whatever else is said
//! of it finds nothing to change.

use std::collections::{HashMap, HashSet};

use mongodb::bson::{Bson, Document, doc};

use super::encode::{self, Row, text_of};
use super::link::{LARGE, Link};
use super::members::Members;
use crate::core::event::{Change, RunId};
use crate::core::fleet::{Lost, SPARE_RUNS, SessionId};
use crate::core::instant::{Instant, duration_micros};
use crate::core::outcome::Outcome;
use crate::store::shared::EARLY;
use crate::store::sql::{self, Attempt, Batch, Life, RowKind, Run, Stage};
use crate::store::{AttemptRecord, Process, StoreError, Trouble};

/// So often claims are tried again that ran into something that was about to go.
const ROUNDS: usize = 8;

/// Who writes, and what it was given for that.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    /// `None`: a store of one scheduler.
    pub(super) session: Option<SessionId>,
    /// Who is there, as it was when the commit began.
    pub(super) members: &'a Members,
    /// The beat of the session that makes its claims count.
    pub(super) needs: u64,
    /// The number that the next record has.
    pub(super) seq: u64,
    /// The number that the next life has.
    pub(super) life: u64,
}

/// What has come of it.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) lost: Vec<(RunId, Lost)>,
    /// The runs that are new.
    pub(super) claimed: Vec<RunId>,
}

/// The number above all of these runs, those left out that nobody has given out.
pub(super) fn next_run(runs: impl Iterator<Item = RunId>) -> Option<i64> {
    runs.filter(|run| run.0 < SPARE_RUNS).max().map(|run| run.0 as i64 + 1)
}

/// The key of a record: what is claimed.
pub(super) fn key(job: &str, due: Instant, host: Option<&str>) -> String {
    let text = |text| sql::escaped(text);
    format!("{}\0{}\0{}", text(job), due.micros(), text(host.unwrap_or_default()))
}

/// A new record, with what is needed to put it in.
struct New<'b, 'a> {
    row: &'b sql::Row<'a>,
    key: String,
    document: Document,
    claim: Option<Claim<'b, 'a>>,
}

#[derive(Clone, Copy)]
struct Claim<'b, 'a> {
    run: RunId,
    slot: Option<u16>,
    said: &'b Run<'a>,
}

/// One change of the document of a run.
fn of_run(run: RunId, update: Document) -> Document {
    doc! { "q": { "run": run.0 as i64 }, "u": update }
}

/// What is said of a run, as fields of its document, and those that go.
fn said(run: &Run<'_>) -> (Document, Document) {
    let (mut set, mut unset) = (Document::new(), Document::new());
    if let Some(attempts) = run.attempts {
        set.insert("attempts", i64::from(attempts));
    }
    match run.current {
        Some(Some((process, at))) => {
            set.insert("process", encode::process_doc(process));
            set.insert("begun", at.micros());
        }
        Some(None) => unset = doc! { "process": "", "begun": "" },
        None => {}
    }
    if let Some((outcome, duration)) = run.ended {
        over(outcome, &mut set, &mut unset);
        set.insert("duration", duration_micros(duration));
    }
    if let Some(usage) = run.usage {
        set.insert("usage", encode::usage_doc(usage));
    }
    if let Some(printed) = run.printed {
        set.insert("printed", i64::try_from(printed).unwrap_or(i64::MAX));
    }
    (set, unset)
}

/// A run is over: it holds no slot any more.
fn over(outcome: &Outcome, set: &mut Document, unset: &mut Document) {
    set.insert("outcome", encode::outcome_doc(outcome));
    set.insert("failed", i32::from(outcome.went_wrong()));
    set.insert("excluded", i32::from(outcome.is_excluded()));
    unset.insert("slot", "");
    unset.insert("open", "");
}

fn update_of(set: Document, unset: Document) -> Document {
    let mut update = Document::new();
    for (name, fields) in [("$set", set), ("$unset", unset)] {
        if !fields.is_empty() {
            update.insert(name, fields);
        }
    }
    update
}

fn run_updates(run: &Run<'_>, to: &mut Vec<Document>) {
    let (set, unset) = said(run);
    let update = update_of(set, unset);
    if !update.is_empty() {
        to.push(of_run(run.run, update));
    }
    if let Some(started) = run.started {
        let query = doc! { "run": run.run.0 as i64, "started": null };
        to.push(doc! { "q": query, "u": { "$set": { "started": started.micros() } } });
    }
}

fn attempt_update(
    attempt: &Attempt<'_>,
    process: Option<Process>,
    begun: Option<Instant>,
) -> Document {
    let tried = doc! {
        "ended": attempt.ended.micros(), "outcome": encode::outcome_doc(attempt.outcome),
        "process": process.map(encode::process_doc), "begun": begun.map(Instant::micros),
    };
    of_run(attempt.run, doc! { "$set": { format!("tries.t{}", attempt.attempt): tried } })
}

/// Attempts about whose beginning nothing is said: it is in the record, as long as that is of the
/// attempt.
fn attempts_ended(link: &mut Link, ended: &[Attempt<'_>]) -> Result<Vec<Document>, StoreError> {
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let runs: Vec<i64> = ended.iter().map(|attempt| attempt.run.0 as i64).collect();
    let mut rows = HashMap::new();
    for document in link.find("record", doc! { "run": { "$in": runs } }, without_output())? {
        let row = link.taken(encode::row(&document))?;
        rows.insert(row.record.run, row);
    }
    let update = |attempt: &Attempt<'_>| {
        let row = rows.get(&Some(attempt.run))?;
        if row.record.attempts == attempt.attempt {
            return Some(attempt_update(attempt, row.record.process, row.begun));
        }
        // Said once more: what was known then is not forgotten.
        let same = |known: &AttemptRecord| {
            (known.attempt, known.ended) == (attempt.attempt, Some(attempt.ended))
        };
        let known = row.attempts.iter().any(same);
        (!known).then(|| attempt_update(attempt, None, None))
    };
    Ok(ended.iter().filter_map(update).collect())
}

impl Writer<'_> {
    /// All of it, in its order.
    pub(super) fn all(
        &mut self,
        link: &mut Link,
        batch: &Batch<'_>,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        // Before what they may be about: whoever dies in between is rather told of twice than never.
        entries(link, batch)?;
        for stage in &batch.stages {
            self.stage(link, stage, written)?;
        }
        for life in &batch.lives {
            self.life(link, life)?;
        }
        if !batch.changes.is_empty() {
            let changes = batch.changes.iter().map(|change: &&Change| encode::change_doc(change));
            link.insert("change", changes.collect())?;
        }
        Ok(())
    }

    fn stage(
        &mut self,
        link: &mut Link,
        stage: &Stage<'_>,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        if !stage.withdrawn.is_empty() {
            return withdraw(link, &stage.withdrawn);
        }
        let mut updates = attempts_ended(link, &stage.ended)?;
        stage.runs.iter().filter(|run| !run.claimed).for_each(|run| run_updates(run, &mut updates));
        let claims = !stage.rows.is_empty();
        if claims && !updates.is_empty() {
            // Ends free slots, which may be claimed here.
            link.update("record", &std::mem::take(&mut updates))?;
        }
        if claims {
            updates.extend(self.rows(link, stage, written)?);
        }
        updates.extend(stage.attempts.iter().map(|attempt| {
            let (process, begun) = attempt.begun.unzip();
            attempt_update(attempt, process, begun)
        }));
        let mut size = 0;
        for (run, tail, total) in &stage.outputs {
            size += tail.len();
            if size > LARGE {
                link.update("record", &std::mem::take(&mut updates))?;
                size = tail.len();
            }
            let output = encode::output_doc(tail, *total);
            updates.push(of_run(*run, doc! { "$set": { "output": output } }));
        }
        link.update("record", &updates)?;
        self.jobs(link, stage)
    }

    /// Claims and fates. Answers what else is to be said of runs that were claimed before.
    fn rows(
        &mut self,
        link: &mut Link,
        stage: &Stage<'_>,
        written: &mut Written,
    ) -> Result<Vec<Document>, StoreError> {
        let mut left: Vec<New<'_, '_>> = Vec::new();
        let mut early = Vec::new();
        for row in &stage.rows {
            let new = self.document(row, stage);
            let ahead = row.due.micros().saturating_sub(self.members.now.micros());
            match new.claim.filter(|_| self.session.is_some() && ahead > EARLY) {
                Some(claim) => early.push((claim, new.key, ahead as u64)),
                None => left.push(new),
            }
        }
        let mut again = Vec::new();
        self.refuse_early(link, early, &mut again, written)?;
        for _ in 0..ROUNDS {
            let documents = left.iter().map(|new| new.document.clone()).collect();
            let there: HashSet<usize> = link.insert("record", documents)?.into_iter().collect();
            let mut failed = Vec::new();
            for (place, new) in left.into_iter().enumerate() {
                match (there.contains(&place), new.claim) {
                    (true, _) => failed.push(new),
                    (false, Some(claim)) => written.claimed.push(claim.run),
                    (false, None) => {}
                }
            }
            left = self.explain(link, failed, &mut again, written)?;
            if left.is_empty() {
                return Ok(again);
            }
        }
        Err(link.error(Trouble::Conflict, "keeps conflicting with other claims"))
    }

    /// What is too early is won by whoever has it already.
    fn refuse_early(
        &self,
        link: &mut Link,
        early: Vec<(Claim<'_, '_>, String, u64)>,
        again: &mut Vec<Document>,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        if early.is_empty() {
            return Ok(());
        }
        let keys = early.iter().map(|(_, key, _)| key.clone()).collect();
        let owners = self.owners(link, keys)?;
        for (claim, key, ahead) in early {
            match owners.get(&key) {
                Some(owner) if owner.record.run == Some(claim.run) => {
                    run_updates(claim.said, again);
                }
                Some(owner) => written.lost.push((claim.run, taken(owner))),
                None => {
                    let by = std::time::Duration::from_micros(ahead);
                    written.lost.push((claim.run, Lost::Early { by }));
                }
            }
        }
        Ok(())
    }

    fn document<'b, 'a>(&mut self, row: &'b sql::Row<'a>, stage: &'b Stage<'a>) -> New<'b, 'a> {
        let host = match row.what {
            RowKind::Claim { host, .. } | RowKind::Fate { host, .. } => host,
        };
        let key = key(row.job, row.due, host);
        let where_ = self.members.host(self.session);
        let mut document = doc! {
            "_id": &key, "seq": self.seq as i64, "job": text_of(row.job), "due": row.due.micros(),
            "last_due": row.last_due.micros(),
            "count": i64::try_from(row.count).unwrap_or(i64::MAX), "at": row.at.micros(),
            "attempts": 0_i64, "excluded": 0, "for": text_of(host.unwrap_or_default()),
            "host": where_.map_or(Bson::Null, |host| text_of(&host)),
            "session": self.session.map(|id| id.to_string()), "needs": self.needs as i64,
        };
        self.seq += 1;
        let claim = match row.what {
            RowKind::Fate { outcome, .. } => {
                over(outcome, &mut document, &mut Document::new());
                if self.session.is_some() && self.members.has_ranges() {
                    document.insert("pending", 1);
                }
                None
            }
            RowKind::Claim { run, by, slot, place, .. } => {
                document.insert("run", run.0 as i64);
                document.insert("by", by.map_or(Bson::Null, text_of));
                let said = &stage.runs[place];
                open_fields(said, slot, &mut document);
                Some(Claim { run, slot, said })
            }
        };
        New { row, key, document, claim }
    }

    /// The records with these keys.
    fn owners(
        &self,
        link: &mut Link,
        keys: Vec<String>,
    ) -> Result<HashMap<String, Row>, StoreError> {
        let found = link.find("record", doc! { "_id": { "$in": keys } }, without_output())?;
        let mut owners = HashMap::new();
        for document in found {
            let key = document.get_str("_id").unwrap_or_default().to_owned();
            owners.insert(key, link.taken(encode::row(&document))?);
        }
        Ok(owners)
    }

    /// Why records could not be put in. Answers those that are to be tried again, because what was in
    /// their way is gone.
    fn explain<'b, 'a>(
        &self,
        link: &mut Link,
        failed: Vec<New<'b, 'a>>,
        again: &mut Vec<Document>,
        written: &mut Written,
    ) -> Result<Vec<New<'b, 'a>>, StoreError> {
        if failed.is_empty() {
            return Ok(failed);
        }
        let owners = self.owners(link, failed.iter().map(|new| new.key.clone()).collect())?;
        let mut left: Vec<New<'b, 'a>> = Vec::new();
        for new in failed {
            // Whoever came first may have it yet.
            if left.iter().any(|first| first.key == new.key) {
                left.push(new);
                continue;
            }
            match (owners.get(&new.key), new.claim) {
                (Some(owner), _) if self.members.is_void(owner) => {
                    void(link, owner)?;
                    left.push(new);
                }
                (Some(owner), Some(claim)) if owner.record.run == Some(claim.run) => {
                    run_updates(claim.said, again);
                }
                (Some(owner), Some(claim)) => {
                    written.lost.push((claim.run, taken(owner)));
                    // Of one scheduler, what follows is about the run that has this number.
                    if self.session.is_none() {
                        run_updates(claim.said, again);
                    }
                }
                (Some(_), None) => {}
                (None, Some(claim)) => match self.in_the_way(link, &new, claim)? {
                    Some(lost) => written.lost.push((claim.run, lost)),
                    None => left.push(new),
                },
                (None, None) => left.push(new),
            }
        }
        Ok(left)
    }

    /// Whatever has the slot or the number of a claim. `None`: nothing any more.
    fn in_the_way(
        &self,
        link: &mut Link,
        new: &New<'_, '_>,
        claim: Claim<'_, '_>,
    ) -> Result<Option<Lost>, StoreError> {
        disown(link, claim.run)?;
        let Some(slot) = claim.slot else { return Ok(None) };
        let own = new.document.get("for").cloned().unwrap_or(Bson::Null);
        let filter = doc! { "job": text_of(new.row.job), "slot": i32::from(slot), "for": own };
        let Some(found) = link.find("record", filter, without_output())?.pop() else {
            return Ok(None);
        };
        let holder = link.taken(encode::row(&found))?;
        if self.members.is_void(&holder) {
            return void(link, &holder).map(|()| None);
        }
        Ok(Some(Lost::Busy { session: holder.session }))
    }

    fn jobs(&self, link: &mut Link, stage: &Stage<'_>) -> Result<(), StoreError> {
        let (mut updates, mut gone) = (Vec::new(), Vec::new());
        for (name, change) in &stage.jobs {
            let query = doc! { "_id": text_of(name) };
            match (change.set, change.decided) {
                (Some(record), _) => {
                    // Of several schedulers one may claim in vain, which decides nothing; whoever
                    // takes the job up looks at its records.
                    let decided = match self.session {
                        Some(_) => record.decided,
                        None => change.decided_of(record),
                    };
                    let job = encode::job_doc(record, decided);
                    updates.push(doc! { "q": query, "u": job, "upsert": true });
                }
                _ if change.gone => gone.push(text_of(name)),
                (None, Some(at)) if self.session.is_none() => {
                    updates.push(doc! { "q": query, "u": { "$max": { "decided": at.micros() } } });
                }
                _ => {}
            }
        }
        if !gone.is_empty() {
            link.delete("job", doc! { "_id": { "$in": gone } })?;
        }
        link.update("job", &updates)
    }

    fn life(&mut self, link: &mut Link, life: &Life<'_>) -> Result<(), StoreError> {
        let session = self.session.map_or(String::new(), |id| id.to_string());
        match life {
            Life::Began(life) => {
                let document = encode::life_doc(life, self.life as i64, &session);
                self.life += 1;
                link.insert("life", vec![document]).map(drop)
            }
            Life::Stopped(at) => {
                let at = at.micros();
                change_last_life(link, &session, doc! { "seen": at, "stopped": at })
            }
        }
    }
}

/// Entries of lists. Those that are to be there come first, as others may be looking.
fn entries(link: &mut Link, batch: &Batch<'_>) -> Result<(), StoreError> {
    let (mut updates, mut size) = (Vec::new(), 0);
    for (list, key, value) in batch.put() {
        size += value.len();
        if size > LARGE {
            link.update("entry", &std::mem::take(&mut updates))?;
            size = value.len();
        }
        let (id, entry) = (encode::entry_id(list, key), encode::entry_doc(list, key, value));
        updates.push(doc! { "q": { "_id": id }, "u": entry, "upsert": true });
    }
    link.update("entry", &updates)?;
    let gone = batch.taken_away().into_iter().map(|(list, key)| encode::entry_id(list, key));
    let gone: Vec<String> = gone.collect();
    if !gone.is_empty() {
        link.delete("entry", doc! { "_id": { "$in": gone } })?;
    }
    Ok(())
}

/// What is said of a run that is claimed, in its new document.
fn open_fields(said_: &Run<'_>, slot: Option<u16>, document: &mut Document) {
    let (set, _) = said(said_);
    document.extend(set);
    if let Some(started) = said_.started {
        document.insert("started", started.micros());
    }
    if said_.ended.is_none() {
        document.insert("open", 1);
        if let Some(slot) = slot {
            document.insert("slot", i32::from(slot));
        }
    }
}

/// Changes the last life that a session has begun.
pub(super) fn change_last_life(
    link: &mut Link,
    session: &str,
    set: Document,
) -> Result<(), StoreError> {
    let last = doc! { "sort": { "place": -1 }, "limit": 1, "projection": { "_id": 1 } };
    let Some(found) = link.find("life", doc! { "session": session }, last)?.pop() else {
        return Ok(());
    };
    let key = found.get("_id").cloned().unwrap_or(Bson::Null);
    link.update("life", &[doc! { "q": { "_id": key }, "u": { "$set": set } }])
}

/// What is printed is only read by who asks for it.
pub(super) fn without_output() -> Document {
    doc! { "projection": { "output": 0 } }
}

fn taken(owner: &Row) -> Lost {
    let run = owner.record.run.unwrap_or(RunId(0));
    Lost::Taken { session: owner.session, run }
}

/// Takes away what has never counted: see [`Members::is_void`].
pub(super) fn void(link: &mut Link, row: &Row) -> Result<(), StoreError> {
    let mut filter = doc! { "session": row.session.to_string(), "needs": row.needs as i64 };
    match row.record.run {
        Some(run) => filter.extend(doc! { "run": run.0 as i64, "open": 1 }),
        None => filter.extend(doc! { "seq": row.record.seq as i64, "pending": 1 }),
    }
    link.delete("record", filter).map(drop)
}

/// The number of a run is to be another's, for it comes from a scheduler that knew nothing of this
/// store, or a store that has forgotten. The run that has it keeps its record and loses its number.
fn disown(link: &mut Link, run: RunId) -> Result<(), StoreError> {
    let number = doc! { "run": run.0 as i64 };
    let Some(found) = link.find("record", number.clone(), without_output())?.pop() else {
        return Ok(());
    };
    let row = link.taken(encode::row(&found))?;
    let (mut set, mut unset) = (Document::new(), doc! { "run": "", "tries": "", "output": "" });
    if row.record.outcome.is_none() {
        over(&Outcome::Lost("its number was used again".to_owned()), &mut set, &mut unset);
    }
    link.update("record", &[doc! { "q": number, "u": update_of(set, unset) }])
}

/// Takes runs back of which no attempt has begun.
pub(super) fn withdraw(link: &mut Link, runs: &[RunId]) -> Result<(), StoreError> {
    let numbers: Vec<i64> = runs.iter().map(|run| run.0 as i64).collect();
    let filter = doc! { "run": { "$in": numbers }, "open": 1, "attempts": 0 };
    let found = link.find("record", filter.clone(), without_output())?;
    if found.is_empty() {
        return Ok(());
    }
    link.delete("record", filter)?;
    let mut updates = Vec::new();
    for document in &found {
        let row = link.taken(encode::row(document))?;
        if row.record.by.is_none() {
            let before = row.record.due.micros().saturating_sub(1);
            let query = doc! { "_id": text_of(&row.record.job) };
            updates.push(doc! { "q": query, "u": { "$min": { "decided": before } } });
        }
    }
    link.update("job", &updates)
}
