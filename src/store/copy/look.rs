//! What a store has, a page at a time: counted, in its order, and beside another.

use std::collections::{HashMap, HashSet, VecDeque, hash_map::DefaultHasher};
use std::hash::{Hash, Hasher};
use std::vec::IntoIter;

use super::{CopyError, Counts, PAGE, Rest, WHOLE, name};
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::record::{AttemptRecord, RunRecord};
use crate::core::sort;
use crate::store::{Details, Query, Reader, Store, StoreError};

/// Whose error it is.
type Blame = fn(StoreError) -> CopyError;

/// A store that is looked at.
pub(super) struct Look {
    reader: Box<dyn Reader>,
    blame: Blame,
    /// Jobs with a record on each host for a due time, each with these hosts.
    each_host: HashMap<Box<str>, HashSet<Box<str>>>,
    /// Of those the records on this host are wanted.
    host: Option<Box<str>>,
    /// The newest run, and the number of its record.
    newest: Option<(RunId, u64)>,
    /// Where each page begins, the newest first.
    pages: Vec<Option<u64>>,
}

/// A record and what belongs to it.
pub(super) struct Whole {
    pub(super) record: RunRecord,
    pub(super) attempts: Vec<AttemptRecord>,
    pub(super) output: Option<(Vec<u8>, u64)>,
}

/// How much there is that is wanted.
pub(super) struct Survey {
    pub(super) records: u64,
    /// So many of the records name a host.
    pub(super) hosts: u64,
}

/// The wanted records of a store, newest first.
struct Newest<'a> {
    look: &'a mut Look,
    before: Option<u64>,
    page: IntoIter<RunRecord>,
    is_over: bool,
    ahead: Ahead,
}

/// What belongs to runs, read of some at a time: all of a page may be more than there is memory.
#[derive(Default)]
struct Ahead {
    /// Those that come, in the order in which they are wanted, if they are.
    runs: VecDeque<RunId>,
    details: HashMap<RunId, Details>,
}

impl Ahead {
    fn of<'a>(records: impl Iterator<Item = &'a RunRecord>) -> Ahead {
        Ahead { runs: records.filter_map(|record| record.run).collect(), details: HashMap::new() }
    }

    /// A record with what belongs to it.
    fn whole(&mut self, look: &mut Look, record: RunRecord) -> Result<Whole, CopyError> {
        let Some(run) = record.run else { return Ok(Whole::of(record, Details::default())) };
        if !self.details.contains_key(&run) {
            // Those before it were not wanted.
            while self.runs.front().is_some_and(|next| *next != run) {
                self.runs.pop_front();
            }
            let some: Vec<RunId> = self.runs.drain(..self.runs.len().min(WHOLE)).collect();
            self.details = look.reader.details(&some).map_err(look.blame)?;
            for run in some {
                self.details.entry(run).or_default();
            }
        }
        Ok(Whole::of(record, self.details.remove(&run).unwrap_or_default()))
    }
}

impl Look {
    pub(super) fn at(store: &dyn Store, blame: Blame) -> Result<Look, CopyError> {
        let reader = store.reader().map_err(blame)?;
        let (each_host, pages) = (HashMap::new(), Vec::new());
        Ok(Look { reader, blame, each_host, host: None, newest: None, pages })
    }

    fn page(&mut self, before: Option<u64>) -> Result<Vec<RunRecord>, CopyError> {
        let query = Query { before, limit: PAGE, ..Query::default() };
        self.reader.records(&query).map_err(self.blame)
    }

    fn wants(&self, record: &RunRecord) -> bool {
        self.host.is_none() || !self.each_host.contains_key(&record.job) || record.host == self.host
    }

    /// Looks through all records once. `keeps_hosts`: the store to copy to has a place for records of
    /// several hosts.
    pub(super) fn survey(
        &mut self,
        host: Option<&str>,
        keeps_hosts: bool,
    ) -> Result<Survey, CopyError> {
        // A job and a due time by a number, for there may be millions.
        let mut seen: HashSet<u64> = HashSet::new();
        let mut counts: HashMap<(Box<str>, Option<Box<str>>), u64> = HashMap::new();
        let mut before = None;
        loop {
            let page = self.page(before)?;
            let Some(last) = page.last() else { break };
            self.pages.push(before);
            before = Some(last.seq);
            for record in page {
                let mut hasher = DefaultHasher::new();
                (&record.job, record.due.micros()).hash(&mut hasher);
                if let (None, Some(run)) = (self.newest, record.run) {
                    self.newest = Some((run, record.seq));
                }
                if record.host.is_some() && !seen.insert(hasher.finish()) {
                    self.each_host.entry(record.job.clone()).or_default();
                }
                *counts.entry((record.job, record.host)).or_default() += 1;
            }
        }
        for (job, on) in counts.keys() {
            if let (Some(hosts), Some(on)) = (self.each_host.get_mut(job), on) {
                hosts.insert(on.clone());
            }
        }
        self.host = host.map(Box::from);
        if let (false, None, Some((job, hosts))) = (keeps_hosts, host, self.each_host.iter().next())
        {
            let (job, mut hosts) = (job.clone(), hosts.iter().cloned().collect::<Vec<_>>());
            sort::all(&mut hosts);
            return Err(CopyError::EachHost { job, hosts });
        }
        let mut survey = Survey { records: 0, hosts: 0 };
        for ((job, on), count) in counts {
            if self.host.is_none() || !self.each_host.contains_key(&job) || on == self.host {
                survey.records += count;
                survey.hosts += if on.is_some() { count } else { 0 };
            }
        }
        Ok(survey)
    }

    /// Jobs of which each host has a record for a due time.
    pub(super) fn each_host(&self) -> impl Iterator<Item = &str> {
        self.each_host.keys().map(|job| &**job)
    }

    /// A run that came after a record.
    fn later(&self, record: &RunRecord) -> Option<RunId> {
        self.newest.filter(|(_, seq)| *seq > record.seq).map(|(run, _)| run)
    }

    /// All records that are wanted, in the order in which they came, each with a run that came later,
    /// after a [`Look::survey`].
    pub(super) fn oldest_first(
        &mut self,
        mut each: impl FnMut(Whole, Option<RunId>) -> Result<(), CopyError>,
    ) -> Result<(), CopyError> {
        for before in self.pages.clone().into_iter().rev() {
            let mut page = self.page(before)?;
            page.retain(|record| self.wants(record));
            let mut ahead = Ahead::of(page.iter().rev());
            for record in page.into_iter().rev() {
                let later = self.later(&record);
                each(ahead.whole(self, record)?, later)?;
            }
        }
        Ok(())
    }

    fn newest_first(&mut self) -> Newest<'_> {
        let page = Vec::new().into_iter();
        Newest { look: self, before: None, page, is_over: false, ahead: Ahead::default() }
    }

    /// So many records are here, and they are the first of the other's.
    pub(super) fn must_be_the_beginning(
        &mut self,
        of: &mut Look,
        all: u64,
        here: u64,
        hosts: bool,
    ) -> Result<(), CopyError> {
        let (mut theirs, mut ours) = (of.newest_first(), self.newest_first());
        for _ in here..all {
            theirs.next()?;
        }
        while let Some(record) = ours.next()? {
            let foreign = CopyError::Foreign(name(&record));
            let Some(their) = theirs.next()? else { return Err(foreign) };
            let (one, two) = (theirs.whole(their)?, ours.whole(record)?);
            if !one.is_like(&two, hosts) {
                return Err(foreign);
            }
        }
        Ok(())
    }

    /// Holds all records that are wanted of another store against those that are here. Answers how
    /// much there is in each.
    pub(super) fn compare(
        &mut self,
        with: &mut Look,
        hosts: bool,
        step: &mut dyn FnMut(),
    ) -> Result<(Counts, Counts), CopyError> {
        let (mut theirs, mut ours) = (with.newest_first(), self.newest_first());
        let (mut read, mut written) = (Counts::default(), Counts::default());
        loop {
            let (their, our) = match (theirs.next()?, ours.next()?) {
                (None, None) => return Ok((read, written)),
                (Some(their), Some(our)) => (their, our),
                (Some(only), None) => {
                    return Err(CopyError::Differs(format!("{} is missing", name(&only))));
                }
                (None, Some(only)) => {
                    return Err(CopyError::Differs(format!("{} is new", name(&only))));
                }
            };
            let (one, two) = (theirs.whole(their)?, ours.whole(our)?);
            if !one.is_like(&two, hosts) {
                return Err(CopyError::Differs(name(&one.record)));
            }
            one.count(&mut read);
            two.count(&mut written);
            step();
        }
    }

    /// What there is beside the records.
    pub(super) fn rest(&mut self) -> Result<Rest, CopyError> {
        let (reader, blame) = (&mut self.reader, self.blame);
        let mut jobs = reader.jobs().map_err(blame)?;
        sort::by(&mut jobs, |one, two| one.id.cmp(&two.id));
        let lists = reader.lists().map_err(blame)?.into_iter();
        let lists = lists.map(|list| {
            let entries = reader.entries(&list).map_err(blame)?;
            Ok((list, entries))
        });
        Ok(Rest {
            lists: lists.collect::<Result<_, CopyError>>()?,
            jobs,
            all_paused: reader.all_paused().map_err(blame)?,
            changes: reader.changes(None, Instant::MIN, Instant::MAX).map_err(blame)?,
            lives: reader.sessions().map_err(blame)?,
        })
    }
}

impl Newest<'_> {
    fn next(&mut self) -> Result<Option<RunRecord>, CopyError> {
        loop {
            match self.page.next() {
                Some(record) if self.look.wants(&record) => return Ok(Some(record)),
                Some(_) => {}
                None if self.is_over => return Ok(None),
                None => {
                    let page = self.look.page(self.before)?;
                    self.is_over = page.is_empty();
                    self.before = page.last().map(|last| last.seq).or(self.before);
                    self.ahead = Ahead::of(page.iter());
                    self.page = page.into_iter();
                }
            }
        }
    }

    /// A record of this page, with what belongs to it.
    fn whole(&mut self, record: RunRecord) -> Result<Whole, CopyError> {
        self.ahead.whole(self.look, record)
    }
}

impl Whole {
    fn of(record: RunRecord, details: Details) -> Whole {
        Whole { record, attempts: details.attempts, output: details.output }
    }

    /// Whether they are the same but for their number in the store, their host if that has no place
    /// there, a duration that nobody knows, which is none, and how much was printed, which is in what is
    /// kept of that.
    fn is_like(&self, other: &Whole, hosts: bool) -> bool {
        let (one, two) = (&self.record, &other.record);
        let host = if hosts { one.host.clone() } else { two.host.clone() };
        let is_alike = one.duration.unwrap_or_default() == two.duration.unwrap_or_default();
        let duration = if is_alike { two.duration } else { one.duration };
        let of_output = |whole: &Whole| whole.output.as_ref().map(|(_, total)| *total);
        let printed = match one.printed.or(of_output(self)) == two.printed.or(of_output(other)) {
            true => two.printed,
            false => one.printed,
        };
        RunRecord { seq: two.seq, host, duration, printed, ..one.clone() } == *two
            && self.attempts == other.attempts
            && self.output == other.output
    }

    fn count(&self, counts: &mut Counts) {
        counts.records += 1;
        counts.runs += u64::from(self.record.run.is_some());
        counts.attempts += self.attempts.len() as u64;
        counts.outputs += u64::from(self.output.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::outcome::Outcome;
    use crate::store::Fact;
    use crate::store::memory::Memory;

    /// A thousand runs and a few: of each third one nothing was printed.
    fn store() -> Memory {
        let mut store = Memory::default();
        let at = |number: u64| Instant::from_secs(i64::try_from(number).unwrap());
        for number in 0..PAGE as u64 * 2 + 7 {
            let (run, job, due) = (RunId(number), Box::from("a"), at(number));
            let mut facts = vec![
                Fact::Admitted { run, job, due, at: due, by: None, host: None, slot: None },
                Fact::Ended {
                    run,
                    job: "a".into(),
                    outcome: Outcome::Succeeded,
                    duration: Default::default(),
                    attempts: 0,
                    at: due,
                    usage: None,
                },
            ];
            if !number.is_multiple_of(3) {
                let tail = number.to_string().into_bytes().into();
                facts.push(Fact::Output { run, tail, total: number });
            }
            store.commit(&facts).unwrap();
        }
        store
    }

    fn is_whole(whole: &Whole) -> bool {
        let run = whole.record.run.unwrap();
        let printed = whole.output.as_ref().map(|(tail, _)| tail.clone());
        printed == (!run.0.is_multiple_of(3)).then(|| run.to_string().into_bytes())
    }

    #[test]
    fn what_runs_have_printed_is_read_of_few_at_a_time() {
        let store = store();
        let mut look = Look::at(&store, CopyError::From).unwrap();
        let all = look.survey(None, true).unwrap().records;
        let mut oldest = 0;
        let each = |whole: Whole, _| {
            assert!(is_whole(&whole) && whole.record.run == Some(RunId(oldest)));
            oldest += 1;
            Ok(())
        };
        look.oldest_first(each).unwrap();
        assert_eq!(oldest, all);
        // All of them; and some, of which others are left out.
        for wanted in [1, 5, 40, 700] {
            let (mut newest, mut left) = (look.newest_first(), all);
            while let Some(record) = newest.next().unwrap() {
                left -= 1;
                assert_eq!(record.run, Some(RunId(left)));
                if left.is_multiple_of(wanted) {
                    assert!(is_whole(&newest.whole(record).unwrap()), "{left}");
                }
                assert!(newest.ahead.details.len() < WHOLE);
            }
            assert_eq!(left, 0);
        }
    }
}
