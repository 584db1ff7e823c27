//! What the store has of the due times of jobs at home here, read beside the one connection that writes.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Driver, text};
use crate::core::event::JobRecord;
use crate::core::fleet::RunOn;
use crate::core::fleet::home::HomeJob;
use crate::core::instant::Instant;
use crate::store::shared::CLAIMS_KEPT;
use crate::store::{Fact, Query, Reader, RunRecord, StoreError, Trouble};
use crate::sys::clock;

/// Of a job without a delay that has decided nothing for so long, nothing waits. So far before the last due
/// time that is decided there may be some that are not: of a host whose clock was ahead, or that has died
/// before it could record anew what the store had refused.
const RECENT: Duration = Duration::from_secs(60);

/// Due times with a fate, each from a first to a last one, and from when on those are all.
pub(super) type Past = (Instant, Vec<(Instant, Instant)>);

/// A job, since when its past is wanted, and whether each host has due times of its own of it.
pub(super) type Wanted = (Box<str>, Instant, bool);

/// What was found of jobs.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) past: HashMap<Box<str>, Past>,
    /// What of it has become no run, as it was told to the store.
    said: Vec<Fact>,
}

impl Driver {
    /// What is decided of these jobs of late, each from when on: there may be due times among that
    /// which wait, because of a delay or of a clock that was ahead. Of a job that runs on each host
    /// its record is made to say what this one has decided.
    pub(super) fn past(
        &mut self,
        records: &mut [JobRecord],
        home: &HashMap<Box<str>, HomeJob>,
    ) -> Result<HashMap<Box<str>, Past>, StoreError> {
        let now = self.fleet.store_now(clock::boot());
        let kept = Duration::from_micros(CLAIMS_KEPT as u64) - RECENT;
        let is_each = |job: &HomeJob| job.run_on == RunOn::All;
        let mut wanted = Vec::new();
        for record in records {
            let Some(job) = home.get(&record.id) else { continue };
            if is_each(job) {
                record.decided = self.own_decided(&record.id, now)?;
            }
            let delay = if job.delay.is_zero() { RECENT } else { kept };
            if record.decided >= now.minus(delay) {
                let since = record.decided.minus(job.delay.saturating_add(RECENT));
                wanted.push((record.id.clone(), since.max(now.minus(kept)), is_each(job)));
            }
        }
        self.fates(wanted)
    }

    /// The due times of jobs, each since when, that have a record; of a job that runs on each host
    /// those of this one.
    pub(super) fn fates(
        &mut self,
        wanted: Vec<Wanted>,
    ) -> Result<HashMap<Box<str>, Past>, StoreError> {
        let found = self.look_for(wanted)?;
        // A store that forgets it is told again, also where whoever has decided it is dead by then.
        self.remember(found.said, clock::boot().mono);
        Ok(found.past)
    }

    /// The same, to have a look only.
    pub(super) fn look_for(&mut self, wanted: Vec<Wanted>) -> Result<Found, StoreError> {
        let host = self.fleet.me().host.clone();
        self.read_store(|reader| find(reader, &host, wanted))
    }

    /// Up to when this host has decided a job that runs on each; if it never has, up to now.
    fn own_decided(&mut self, job: &str, now: Instant) -> Result<Instant, StoreError> {
        let (job, host) = (Some(job.into()), Some(self.fleet.me().host.clone()));
        let query = Query { job, host, limit: 1, ..Query::default() };
        let found = self.read_store(|reader| reader.records(&query))?;
        Ok(found.first().map_or(now, |last| last.last_due))
    }

    /// Reads, on a connection that is kept for the next time.
    pub(super) fn read_store<T>(
        &mut self,
        what: impl FnOnce(&mut dyn Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (kept, store) = (&mut self.reader, &self.store);
        let none = || StoreError::new(Trouble::Other, "is not open");
        let read = catch_unwind(AssertUnwindSafe(|| match kept {
            Some(reader) => what(&mut **reader),
            None => {
                let reader = store.as_ref().ok_or_else(none)?.reader()?;
                what(&mut **kept.insert(reader))
            }
        }));
        let failed = |panic: Box<dyn Any + Send>| {
            Err(StoreError::new(Trouble::Other, format!("panicked: {}", text(&*panic))))
        };
        let read = read.unwrap_or_else(failed);
        if read.is_err() {
            // Another is made next time.
            let reader = self.reader.take();
            let _ = catch_unwind(AssertUnwindSafe(|| drop(reader)));
        }
        read
    }
}

/// What a store has of jobs. `host`: which one this is.
fn find(reader: &mut dyn Reader, host: &str, wanted: Vec<Wanted>) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let (each, of_all): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(.., each)| *each);
    let jobs: Vec<(Box<str>, Instant)> =
        of_all.into_iter().map(|(job, since, _)| (job, since)).collect();
    found.past.extend(jobs.iter().map(|(job, since)| (job.clone(), (*since, Vec::new()))));
    let records = if jobs.is_empty() { Vec::new() } else { reader.past(&jobs)? };
    for record in records {
        if let Some((since, fates)) = found.past.get_mut(&record.job)
            && record.last_due >= *since
        {
            fates.push((record.due, record.last_due));
            found.said.extend(fate_of(record, None));
        }
    }
    let host = Some(Box::from(host));
    for (job, since, _) in each {
        let (of, since) = (Some(job.clone()), Some(since));
        let query = Query { job: of, host: host.clone(), since, ..Query::default() };
        let records = reader.records(&query)?;
        let fates = records.iter().map(|record| (record.due, record.last_due)).collect();
        found.past.insert(job, (since.unwrap_or(Instant::MIN), fates));
        found.said.extend(records.into_iter().filter_map(|record| fate_of(record, host.clone())));
    }
    Ok(found)
}

/// What a record says of due times that have become no run.
fn fate_of(found: RunRecord, host: Option<Box<str>>) -> Option<Fact> {
    let RunRecord { run: None, job, due, last_due, count, outcome, at, .. } = found else {
        return None;
    };
    Some(Fact::Fate { job, due, last_due, count, outcome: outcome?, at, host })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::core::fleet::{Member, SessionId};
    use crate::core::outcome::{Outcome, SkipReason};
    use crate::store::ONE_BY_ONE;
    use crate::store::memory::Memory;
    use crate::store::shared::Shared;

    fn at(secs: i64) -> Instant {
        Instant::from_secs(secs)
    }

    /// Three due times of a job that were skipped together.
    fn fate(job: &str, first: i64, host: Option<&str>) -> Fact {
        Fact::Fate {
            job: job.into(),
            due: at(first),
            last_due: at(first + 2),
            count: 3,
            outcome: Outcome::Skipped(SkipReason::Paused),
            at: at(first + 2),
            host: host.map(Box::from),
        }
    }

    fn tell(store: &mut Memory, host: &str, facts: &[Fact]) {
        let session = SessionId(facts.len() as u64);
        store.join(&Member::new(session, host), &[]).unwrap();
        Shared::commit(store, session, 0, facts).unwrap();
    }

    /// Whether few are asked for or many, what is found is of these, as it was written.
    #[test]
    fn only_what_is_asked_for_is_found() {
        for count in [1, ONE_BY_ONE, ONE_BY_ONE + 1] {
            let ids: Vec<String> = (0..count).map(|number| format!("job-{number}")).collect();
            let mut store = Memory::default();
            let mut facts = vec![fate("stranger", 200, None)];
            facts.extend(ids.iter().map(|id| fate(id, 100, None)));
            let kept: Vec<Fact> = ids.iter().map(|id| fate(id, 200, None)).collect();
            let own = fate("on-each", 200, Some("web1"));
            facts.extend(kept.iter().chain([&own]).cloned());
            tell(&mut store, "web1", &facts);
            tell(&mut store, "web2", &[fate("on-each", 201, Some("web2"))]);
            let mut wanted: Vec<Wanted> =
                ids.iter().map(|id| (id.as_str().into(), at(202), false)).collect();
            // This one is what makes the store be asked for older ones.
            wanted.push(("silent".into(), at(50), false));
            wanted.push(("on-each".into(), at(202), true));
            let names = |wanted: &[Wanted]| -> BTreeSet<Box<str>> {
                wanted.iter().map(|(job, ..)| job.clone()).collect()
            };
            let expected = names(&wanted);
            let found = find(&mut store, "web1", wanted).unwrap();
            let jobs: BTreeSet<Box<str>> = found.past.keys().cloned().collect();
            assert_eq!(jobs, expected, "{count}");
            for (job, (since, fates)) in &found.past {
                match &**job {
                    "silent" => assert_eq!((*since, fates.len()), (at(50), 0)),
                    _ => assert_eq!((*since, &fates[..]), (at(202), &[(at(200), at(202))][..])),
                }
            }
            assert_eq!(found.said.len(), count + 1, "{count}");
            assert!(kept.iter().chain([&own]).all(|fact| found.said.contains(fact)), "{count}");
        }
    }
}
