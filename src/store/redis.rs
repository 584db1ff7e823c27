//! A store on Redis (6.2 and later) or Valkey, which several schedulers can share.
//!
//! Redis runs a script alone, so that a script is a transaction: `redis/store.lua` is all that is ever
//! written. Facts and sessions become its arguments in `encode`, `link` is the connection, `read` what
//! people ask, `shared` the store of a fleet. What Redis does not write to its disk, or not yet, is
//! lost with its machine, and a failover may lose the last moments: doc/fleet.md.

mod encode;
mod link;
mod read;
mod reply;
mod shared;

use std::collections::BTreeSet;

use redis::cmd;

use self::link::Link;
pub(super) use self::link::check;
use self::read::RedisReader;
use crate::core::event::RunId;
use crate::core::instant::Instant;
use crate::core::url::SharedUrl;
use crate::store::shared::{ASKS_KEPT, CLAIMS_KEPT};
use crate::store::{
    Fact, Limits, MOST_CHANGES, MOST_SESSIONS, Reader, Restored, Store, StoreError,
};

/// So many records are looked at in one go.
const SLICE: usize = 200;
/// So many jobs are looked at in one go.
const JOBS: usize = 50;
/// Sessions that are gone are kept so long, in microseconds: 30 days.
const SESSIONS: i64 = 30 * DAY;
const DAY: i64 = 86_400_000_000;

/// The store.
#[derive(Debug)]
pub struct Redis {
    link: Link,
    tidying: Tidying,
}

/// How far tidying up has come.
#[derive(Debug, Default)]
struct Tidying {
    /// Several schedulers use the store.
    shared: bool,
    /// Jobs that may have more records than they are to have.
    touched: BTreeSet<Box<str>>,
    /// Where the survey of all jobs is; `None`: at its end.
    survey: Option<u64>,
    /// Records up to this one are not looked at for their age any more.
    aged: u64,
    keep: Option<Limits>,
}

impl Redis {
    /// Opens the store that is there, or makes it. Answers what there is to say about it, too.
    pub fn open(url: &SharedUrl) -> Result<(Redis, Vec<String>), StoreError> {
        let mut link = Link::new(url)?;
        link.ask(&cmd("PING"), |_| Ok(()))?;
        let warnings = link.warnings();
        Ok((Redis { link, tidying: Tidying::default() }, warnings))
    }

    /// Remembers which jobs have new records.
    fn touch(&mut self, facts: &[Fact]) {
        for fact in facts {
            if let Fact::Admitted { job, .. } | Fact::Fate { job, .. } = fact
                && !self.tidying.touched.contains(job)
            {
                self.tidying.touched.insert(job.clone());
            }
        }
    }

    /// Some more jobs that may be beyond their limits, as those of other hosts are.
    fn survey(&mut self) -> Result<(), StoreError> {
        let Some(cursor) = self.tidying.survey else { return Ok(()) };
        let mut scan = cmd("SSCAN");
        scan.arg(self.link.key("jobs")).arg(cursor).arg("COUNT").arg(JOBS);
        let (cursor, jobs) = self.link.ask(&scan, |answer| {
            let [cursor, jobs] = reply::list_of(answer)?;
            let jobs: Vec<_> = reply::list(jobs)?;
            let jobs = jobs.iter().map(|job| reply::text(job).map(Box::from));
            Ok((reply::number(&cursor)?, jobs.collect::<Result<Vec<Box<str>>, _>>()?))
        })?;
        self.tidying.touched.extend(jobs);
        self.tidying.survey = Some(cursor).filter(|cursor| *cursor != 0);
        Ok(())
    }

    /// Records of some of the jobs beyond their limits.
    fn of_jobs(&mut self, keep: Limits, oldest: i64, now: Instant) -> Result<(), StoreError> {
        let jobs: Vec<Box<str>> = self.tidying.touched.iter().take(JOBS).cloned().collect();
        if jobs.is_empty() {
            return Ok(());
        }
        let mut beyond = self.link.operation("beyond");
        beyond.arg(keep.runs).arg(encode::stamp_of(oldest)).arg(encode::stamp(now)).arg(SLICE);
        let shared = self.tidying.shared;
        let young = if shared { now.micros().saturating_sub(CLAIMS_KEPT) } else { i64::MAX };
        beyond.arg(encode::stamp_of(young));
        for job in &jobs {
            beyond.arg(&**job);
        }
        let more = self.link.ask(&beyond, |answer| {
            let more = reply::list(answer)?;
            more.iter()
                .map(|job| reply::text(job).map(Box::from))
                .collect::<Result<Vec<Box<str>>, _>>()
        })?;
        for job in jobs.iter().filter(|job| !more.contains(job)) {
            self.tidying.touched.remove(job);
        }
        Ok(())
    }

    /// The oldest of all. Answers whether there may be more.
    fn by_age(&mut self, oldest: i64, now: Instant) -> Result<bool, StoreError> {
        let mut old = self.link.operation("old");
        old.arg(self.tidying.aged).arg(encode::stamp_of(oldest)).arg(encode::stamp(now)).arg(SLICE);
        let (aged, more) = self.link.ask(&old, |answer| {
            let [aged, more] = reply::list_of(answer)?;
            Ok((reply::number(&aged)?, reply::number::<u8>(&more)? > 0))
        })?;
        self.tidying.aged = aged;
        Ok(more)
    }

    /// Changes, lives, sessions and requests.
    fn aside(&mut self, oldest: i64, now: Instant) -> Result<(), StoreError> {
        let sessions = now.micros().saturating_sub(SESSIONS);
        let mut aside = self.link.operation("aside");
        aside
            .arg(encode::stamp_of(oldest))
            .arg(encode::stamp_of(sessions))
            .arg(MOST_CHANGES)
            .arg(MOST_SESSIONS)
            .arg(now.micros().saturating_sub(ASKS_KEPT))
            .arg(now.micros());
        self.link.ask(&aside, |_| Ok(()))
    }
}

impl Store for Redis {
    fn restore(&mut self) -> Result<Restored, StoreError> {
        let restore = self.link.operation("restore");
        let known = self.link.ask(&restore, read::taken_up)?;
        let begin = self.link.operation("begin");
        let (next_run, last_session) = self.link.ask(&begin, |answer| {
            let [next_run, life] = reply::list_of(answer)?;
            let is_there = life != redis::Value::Array(Vec::new());
            let life = if is_there { Some(encode::session(life)?) } else { None };
            Ok((reply::number(&next_run)?, life))
        })?;
        Ok(Restored {
            jobs: known.jobs,
            all_paused: known.all_paused,
            open: known.open.into_iter().map(|open| open.run).collect(),
            next_run,
            last_session,
        })
    }

    fn commit(&mut self, facts: &[Fact]) -> Result<Vec<RunId>, StoreError> {
        let mut write = self.link.operation("write");
        write.arg(last_moment(facts));
        encode::facts(&mut write, facts);
        self.touch(facts);
        self.link.ask(&write, |answer| {
            let lost = reply::list(answer)?.into_iter().map(|lost| {
                let lost = reply::list(lost)?;
                reply::number(lost.first().ok_or(reply::Odd)?).map(RunId)
            });
            lost.collect()
        })
    }

    fn tidy(&mut self, keep: Limits, now: Instant) -> Result<bool, StoreError> {
        if self.tidying.keep.replace(keep) != Some(keep) {
            (self.tidying.survey, self.tidying.aged) = (Some(0), 0);
        }
        let oldest = now.micros().saturating_sub(i64::from(keep.days).saturating_mul(DAY));
        self.survey()?;
        self.of_jobs(keep, oldest, now)?;
        let more = self.by_age(oldest, now)?;
        let more = more || !self.tidying.touched.is_empty() || self.tidying.survey.is_some();
        if !more {
            self.aside(oldest, now)?;
        }
        Ok(more)
    }

    fn reader(&self) -> Result<Box<dyn Reader>, StoreError> {
        Ok(Box::new(RedisReader::new(self.link.again()?)))
    }

    fn shared(&mut self) -> Option<&mut dyn super::shared::Shared> {
        Some(self)
    }
}

/// The last moment that one of the facts tells of; empty: none does.
fn last_moment(facts: &[Fact]) -> String {
    facts.iter().rev().find_map(Fact::at).map_or(String::new(), encode::stamp)
}
