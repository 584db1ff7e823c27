//! What people and programs ask, by a connection of its own that is made with the first question.

use std::collections::HashMap;

use redis::{Cmd, Pipeline, Value, cmd};

use super::encode::{self, Row};
use super::link::Link;
use super::reply::{self, Odd};
use crate::core::event::{Change, JobRecord, Pause, RunId};
use crate::core::fleet::Member;
use crate::core::instant::Instant;
use crate::store::shared::{OpenElsewhere, TakenUp};
use crate::store::{
    AttemptRecord, Details, Entries, Latest, Query, Reader, RunRecord, Session, StoreError,
};

/// So many records are read in one go.
const PAGE: usize = 500;

/// What there is to know of jobs.
pub(super) fn taken_up(answer: Value) -> Result<TakenUp, Odd> {
    let [paused, jobs, open] = reply::list_of(answer)?;
    let jobs = reply::list(jobs)?.into_iter().map(job);
    let mut runs = Vec::new();
    for value in reply::list(open)? {
        runs.extend(open_elsewhere(row(value)?));
    }
    let all_paused = encode::all_paused(reply::bytes(&paused)?)?;
    Ok(TakenUp { jobs: jobs.collect::<Result<_, _>>()?, open: runs, all_paused })
}

/// A run that is not over, and where it is.
fn open_elsewhere(row: Row) -> Option<OpenElsewhere> {
    let run = row.open()?;
    let host = row.record.host.unwrap_or_default();
    Some(OpenElsewhere { session: row.session, host, slot: row.slot, run })
}

fn job(value: Value) -> Result<JobRecord, Odd> {
    let [id, decided, rest] = reply::list_of(value)?;
    encode::job(reply::text(&id)?, reply::text(&decided)?, reply::bytes(&rest)?)
}

fn row(value: Value) -> Result<Row, Odd> {
    let [seq, fields] = reply::list_of(value)?;
    encode::row(reply::number(&seq)?, fields)
}

/// How many due times of a job had which outcome.
type Counts = Vec<(Box<str>, Box<str>, u64)>;

/// Runs, and what came after them.
fn latest(answer: Value) -> Result<(Vec<RunRecord>, Counts), Odd> {
    let [runs, since] = reply::list_of(answer)?;
    let runs = reply::list(runs)?.into_iter().map(|value| Ok(row(value)?.record));
    let count = |value| {
        let [job, word, count] = reply::list_of(value)?;
        Ok((reply::text(&job)?.into(), reply::text(&word)?.into(), reply::number(&count)?))
    };
    let since = reply::list(since)?.into_iter().map(count);
    Ok((runs.collect::<Result<_, _>>()?, since.collect::<Result<_, _>>()?))
}

/// The schedulers that share the store, in the order of their ids.
pub(super) fn members(answer: Value) -> Result<Vec<Member>, Odd> {
    let member = |value| {
        let [id, fields] = reply::list_of(value)?;
        encode::member(reply::text(&id)?, fields)
    };
    let mut found: Vec<Member> =
        reply::list(answer)?.into_iter().map(member).collect::<Result<_, _>>()?;
    found.sort_unstable_by_key(|member| member.id);
    Ok(found)
}

/// The end of what a run has printed, and how much it was.
fn output(answer: Value) -> Result<Option<(Vec<u8>, u64)>, Odd> {
    if answer == Value::Nil {
        return Ok(None);
    }
    let all = reply::bytes(&answer)?;
    let end = all.iter().position(|byte| *byte == b';').ok_or(Odd)?;
    let total = std::str::from_utf8(&all[..end]).ok().and_then(|total| total.parse().ok());
    Ok(Some((all[end + 1..].to_vec(), total.ok_or(Odd)?)))
}

/// Reads a store.
#[derive(Debug)]
pub(super) struct RedisReader {
    link: Link,
}

impl RedisReader {
    pub(super) fn new(link: Link) -> RedisReader {
        RedisReader { link }
    }

    fn key(&self, name: &str) -> String {
        self.link.key(name)
    }

    /// The records of these numbers, those left out that are gone meanwhile.
    fn rows(&mut self, seqs: &[u64]) -> Result<Vec<Row>, StoreError> {
        if seqs.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = Pipeline::with_capacity(seqs.len());
        for seq in seqs {
            pipe.cmd("HGETALL").arg(self.key(&format!("r:{seq}")));
        }
        let answers = self.link.pipe(&pipe)?;
        let rows =
            seqs.iter().zip(answers).filter(|(_, fields)| *fields != Value::Array(Vec::new()));
        self.link.taken(rows.map(|(seq, fields)| encode::row(*seq, fields)).collect())
    }

    fn row_of(&mut self, run: RunId) -> Result<Option<Row>, StoreError> {
        let mut find = cmd("HGET");
        find.arg(self.key("run")).arg(run.0);
        let seq = self.link.ask(&find, |answer| match answer {
            Value::Nil => Ok(None),
            seq => reply::number(&seq).map(Some),
        })?;
        let Some(seq) = seq else { return Ok(None) };
        Ok(self.rows(&[seq])?.pop())
    }

    /// One page of an index, the newest first.
    fn page(&mut self, index: &str, before: Option<u64>) -> Result<Vec<u64>, StoreError> {
        let from = before.map_or("+inf".to_owned(), |before| format!("({before}"));
        let mut page = cmd("ZREVRANGEBYSCORE");
        page.arg(self.key(index)).arg(from).arg("-inf").arg("LIMIT").arg(0).arg(PAGE);
        self.link.ask(&page, |answer| reply::list(answer)?.iter().map(reply::number).collect())
    }

    /// The numbers of a job's records with (last) due times from then on.
    fn seqs_since(&self, since: Instant, claims: Value, ranges: Value) -> Result<Vec<u64>, Odd> {
        let since = encode::stamp(since);
        let claims = reply::pairs(claims)?;
        let seq = |seq: &[u8]| std::str::from_utf8(seq).ok()?.parse().ok();
        let is_due = |(field, _): &&(String, Vec<u8>)| field.get(..since.len()) >= Some(&*since);
        let due = claims.iter().filter(is_due).map(|(_, value)| seq(value).ok_or(Odd));
        let mut found = due.collect::<Result<Vec<u64>, Odd>>()?;
        // Those that begin before that and end after it are found by how far they reach.
        let begun: HashMap<&str, &[u8]> =
            claims.iter().map(|(field, value)| (&**field, &**value)).collect();
        for range in reply::list(ranges)? {
            let range = reply::text(&range)?;
            let (host, dues) = range.rsplit_once('\0').ok_or(Odd)?;
            let (last, due) = dues.split_at_checked(since.len()).ok_or(Odd)?;
            if due < &*since
                && last >= &*since
                && let Some(value) = begun.get(&*format!("{due}{host}"))
            {
                found.push(seq(value).ok_or(Odd)?);
            }
        }
        Ok(found)
    }

    fn all(&mut self, question: &Cmd) -> Result<Vec<Value>, StoreError> {
        self.link.ask(question, reply::list)
    }

    fn hash(&mut self, name: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut question = cmd("HGETALL");
        question.arg(self.key(name));
        self.link.ask(&question, reply::pairs)
    }
}

impl Reader for RedisReader {
    fn records(&mut self, query: &Query) -> Result<Vec<RunRecord>, StoreError> {
        if let Some(run) = query.run {
            let found = self.row_of(run)?.map(|row| row.record);
            return Ok(found.filter(|record| query.wants(record)).into_iter().collect());
        }
        let index = match (&query.job, query.failed) {
            (Some(job), _) => format!("of:{job}"),
            (None, true) => "failed".to_owned(),
            (None, false) => "all".to_owned(),
        };
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        let (mut found, mut before) = (Vec::new(), query.before);
        loop {
            let page = self.page(&index, before)?;
            let Some(last) = page.last() else { return Ok(found) };
            before = Some(*last);
            let records = self.rows(&page)?.into_iter().map(|row| row.record);
            found.extend(records.filter(|record| query.wants(record)));
            if found.len() >= limit || page.len() < PAGE {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// By what is claimed: the records themselves are in the order in which they were written.
    fn past(&mut self, jobs: &[(Box<str>, Instant)]) -> Result<Vec<RunRecord>, StoreError> {
        let mut seqs = Vec::new();
        for some in jobs.chunks(PAGE) {
            let mut reach = cmd("HMGET");
            reach.arg(self.key("reach"));
            for (job, _) in some {
                reach.arg(&**job);
            }
            let reach = self.all(&reach)?;
            let wanted = some.iter().zip(reach).filter(|((_, since), reach)| {
                reply::text(reach).map_or(true, |reach| reach >= &*encode::stamp(*since))
            });
            let wanted: Vec<&(Box<str>, Instant)> = wanted.map(|(job, _)| job).collect();
            if wanted.is_empty() {
                continue;
            }
            let mut pipe = Pipeline::with_capacity(2 * wanted.len());
            for (job, _) in &wanted {
                pipe.cmd("HGETALL").arg(self.key(&format!("claim:{job}")));
                pipe.cmd("ZRANGE").arg(self.key(&format!("range:{job}"))).arg(0).arg(-1);
            }
            let mut answers = self.link.pipe(&pipe)?.into_iter();
            for (_, since) in wanted {
                let (claims, ranges) = (answers.next(), answers.next());
                let found = claims.zip(ranges).ok_or(Odd);
                let found =
                    found.and_then(|(claims, ranges)| self.seqs_since(*since, claims, ranges));
                seqs.extend(self.link.taken(found)?);
            }
        }
        let mut found = Vec::with_capacity(seqs.len());
        for some in seqs.chunks(PAGE) {
            found.extend(self.rows(some)?.into_iter().map(|row| row.record));
        }
        Ok(found)
    }

    fn latest(&mut self, job: Option<&str>) -> Result<Vec<Latest>, StoreError> {
        let jobs = match job {
            Some(job) => vec![Value::BulkString(job.into())],
            None => {
                let mut question = cmd("SMEMBERS");
                question.arg(self.key("jobs"));
                self.all(&question)?
            }
        };
        let (mut runs, mut since) = (Vec::new(), Vec::new());
        for some in jobs.chunks(PAGE) {
            let mut question = self.link.operation("latest");
            for job in some {
                question.arg(self.link.taken(reply::bytes(job))?);
            }
            let (found, counts) = self.link.ask(&question, latest)?;
            runs.extend(found);
            since.extend(counts);
        }
        Ok(Latest::gather(runs, since))
    }

    fn attempts(&mut self, run: RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let Some(row) = self.row_of(run)? else { return Ok(Vec::new()) };
        let mut found = row.attempts;
        found.extend(row.record.last_attempt(row.begun, found.last()));
        Ok(found)
    }

    fn output(&mut self, run: RunId) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
        let Some(row) = self.row_of(run)? else { return Ok(None) };
        let mut question = cmd("GET");
        question.arg(self.key(&format!("out:{}", row.record.seq)));
        self.link.ask(&question, output)
    }

    fn details(&mut self, runs: &[RunId]) -> Result<HashMap<RunId, Details>, StoreError> {
        let mut found = HashMap::with_capacity(runs.len());
        for some in runs.chunks(PAGE) {
            let mut find = cmd("HMGET");
            find.arg(self.key("run"));
            for run in some {
                find.arg(run.0);
            }
            let seqs: Vec<u64> = self.link.ask(&find, |answer| {
                let there = reply::list(answer)?.into_iter().filter(|seq| *seq != Value::Nil);
                there.map(|seq| reply::number(&seq)).collect()
            })?;
            let rows = self.rows(&seqs)?;
            let mut pipe = Pipeline::with_capacity(rows.len());
            for row in &rows {
                pipe.cmd("GET").arg(self.key(&format!("out:{}", row.record.seq)));
            }
            let answers = if rows.is_empty() { Vec::new() } else { self.link.pipe(&pipe)? };
            for (Row { record, mut attempts, begun, .. }, answer) in rows.into_iter().zip(answers) {
                let Some(run) = record.run else { continue };
                attempts.extend(record.last_attempt(begun, attempts.last()));
                let output = self.link.taken(output(answer))?;
                found.insert(run, Details { attempts, output });
            }
        }
        Ok(found)
    }

    fn job(&mut self, id: &str) -> Result<Option<JobRecord>, StoreError> {
        let mut pipe = Pipeline::new();
        pipe.cmd("HGET").arg(self.key("decided")).arg(id);
        pipe.cmd("HGET").arg(self.key("job")).arg(id);
        let answers = self.link.pipe(&pipe)?;
        let [decided, rest] = &answers[..] else { return self.link.taken(Err(Odd)) };
        if *rest == Value::Nil {
            return Ok(None);
        }
        let decided =
            if *decided == Value::Nil { "" } else { self.link.taken(reply::text(decided))? };
        let job = reply::bytes(rest).and_then(|rest| encode::job(id, decided, rest));
        self.link.taken(job.map(Some))
    }

    fn jobs(&mut self) -> Result<Vec<JobRecord>, StoreError> {
        let decided = self.hash("decided")?;
        let decided: std::collections::HashMap<_, _> = decided.into_iter().collect();
        let rest = self.hash("job")?;
        let job = |(id, rest): &(String, Vec<u8>)| {
            let decided = decided.get(id).map_or(&[][..], Vec::as_slice);
            encode::job(id, std::str::from_utf8(decided).map_err(|_| Odd)?, rest)
        };
        let jobs: Result<Vec<JobRecord>, Odd> = rest.iter().map(job).collect();
        let mut jobs = self.link.taken(jobs)?;
        jobs.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(jobs)
    }

    fn all_paused(&mut self) -> Result<Option<Pause>, StoreError> {
        let mut question = cmd("HGET");
        question.arg(self.key("fleet")).arg("paused");
        self.link.ask(&question, |answer| match answer {
            Value::Nil => Ok(None),
            pause => encode::all_paused(reply::bytes(&pause)?),
        })
    }

    fn changes(
        &mut self,
        job: Option<&str>,
        from: Instant,
        until: Instant,
    ) -> Result<Vec<Change>, StoreError> {
        let mut question = cmd("ZRANGEBYLEX");
        let after = Instant::from_micros(until.micros().saturating_add(1));
        // What follows a time begins with `[`, so that this is behind all of that time.
        let end = if after > until { format!("({}", encode::stamp(after)) } else { "+".to_owned() };
        question.arg(self.key("change")).arg(format!("[{}", encode::stamp(from))).arg(end);
        let found = self.link.ask(&question, |answer| {
            let texts = reply::list(answer)?;
            let change = |value: &Value| encode::change(reply::text(value)?);
            texts.iter().map(change).collect::<Result<Vec<Change>, _>>()
        })?;
        let about = |change: &Change| match (job, &change.job) {
            (Some(job), Some(changed)) => *job == **changed,
            _ => true,
        };
        Ok(found.into_iter().filter(about).collect())
    }

    fn entries(&mut self, list: &str) -> Result<Entries, StoreError> {
        let found = self.hash(&format!("list:{list}"))?;
        let entry = |(key, value): (String, Vec<u8>)| {
            let value = String::from_utf8(value).map_err(|_| Odd)?;
            Ok((key.into_boxed_str(), value.into_boxed_str()))
        };
        let entries: Result<Vec<_>, Odd> = found.into_iter().map(entry).collect();
        let mut entries = self.link.taken(entries)?;
        entries.sort_unstable();
        Ok(entries)
    }

    fn lists(&mut self) -> Result<Vec<Box<str>>, StoreError> {
        let mut question = cmd("SMEMBERS");
        question.arg(self.key("lists"));
        self.link.ask(&question, |answer| {
            let lists = reply::list(answer)?;
            let lists = lists.iter().map(|list| reply::text(list).map(Box::from));
            let mut lists = lists.collect::<Result<Vec<Box<str>>, _>>()?;
            lists.sort_unstable();
            Ok(lists)
        })
    }

    fn sessions(&mut self) -> Result<Vec<Session>, StoreError> {
        let mut question = cmd("ZRANGE");
        question.arg(self.key("lives")).arg(0).arg(-1);
        let mut pipe = Pipeline::new();
        for life in self.all(&question)? {
            let life = self.link.taken(reply::text(&life))?;
            pipe.cmd("HGETALL").arg(self.key(&format!("life:{life}")));
        }
        if pipe.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.link.pipe(&pipe)?;
        let found = found.into_iter().filter(|fields| *fields != Value::Array(Vec::new()));
        self.link.taken(found.map(encode::session).collect())
    }

    fn open_runs(&mut self, job: Option<&str>) -> Result<Vec<OpenElsewhere>, StoreError> {
        let mut question = cmd("ZRANGE");
        question.arg(self.key("open")).arg(0).arg(-1);
        let seqs = self.link.ask(&question, |answer| {
            reply::list(answer)?.iter().map(reply::number).collect::<Result<Vec<u64>, Odd>>()
        })?;
        let mut found = Vec::new();
        for some in seqs.chunks(PAGE) {
            let rows = self.rows(some)?.into_iter();
            let wanted = rows.filter(|row| job.is_none_or(|job| *row.record.job == *job));
            found.extend(wanted.filter_map(open_elsewhere));
        }
        Ok(found)
    }

    fn members(&mut self) -> Result<Vec<Member>, StoreError> {
        let question = self.link.operation("members");
        self.link.ask(&question, members)
    }
}
