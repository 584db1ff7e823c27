//! Where a job is at home: the one session that decides its due times.
//!
//! Everybody who sees the same sessions computes the same homes, so nobody has to be told, and a
//! session that joins or dies moves no more jobs than it must (rendezvous hashing). Two sessions
//! that do not see the same for a moment may both think that a job is theirs: the claim of each due
//! time is for that (`crate::store`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{RunOn, SessionId};
use crate::core::instant::Instant;
use crate::core::sort;
use crate::core::trigger::cron::hash;

/// A job as far as its home is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeJob {
    pub id: Box<str>,
    /// A number that differs where its definition does, in any version of schedrs.
    pub fingerprint: u64,
    /// Where it may run.
    pub run_on: RunOn,
    /// It was added at run time: it is in the store, so every session has it.
    pub added: bool,
    /// A due time may wait for so long after it was reached, for its spread and its jitter.
    pub delay: Duration,
    /// A run whose host is dead gets another attempt, unless it has had so many (`on_lost`).
    pub again: Option<u32>,
    /// The jobs whose ends it waits for (`after`).
    pub parents: Box<[Box<str>]>,
}

/// The jobs of a jobfile, with the fingerprint of each.
pub type FileJobs = Arc<HashMap<Box<str>, u64>>;

/// A session that may be the home of jobs.
#[derive(Clone, Debug)]
pub struct Seat<'a> {
    pub id: SessionId,
    pub labels: &'a [Box<str>],
    /// The hash of its jobfile.
    pub file: u64,
    /// When it loaded that.
    pub loaded: Instant,
}

/// Where jobs are at home among some sessions.
#[derive(Debug)]
pub struct Placement<'a> {
    seats: Vec<Seat<'a>>,
    /// The files of those sessions, the most recently loaded first, and what is in them.
    files: Vec<(u64, Option<&'a FileJobs>)>,
}

/// Where one job is at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Nowhere: no session has it as the newest file has it, or the right labels.
    Nowhere,
    At(SessionId),
    /// At every session that has it (`run_on = "all"`).
    Each,
}

impl<'a> Placement<'a> {
    /// Of these sessions, with what is in their files. A file that is not in `files` counts as
    /// empty.
    pub fn new(seats: Vec<Seat<'a>>, files: &'a HashMap<u64, FileJobs>) -> Placement<'a> {
        let mut newest: HashMap<u64, Instant> = HashMap::new();
        for seat in &seats {
            let loaded = newest.entry(seat.file).or_insert(seat.loaded);
            *loaded = seat.loaded.max(*loaded);
        }
        let mut ranked: Vec<(Instant, u64)> =
            newest.into_iter().map(|(file, loaded)| (loaded, file)).collect();
        // Two files of the same microsecond: any order will do that is the same for everybody.
        sort::by(&mut ranked, |a, b| b.cmp(a));
        let files = ranked.into_iter().map(|(_, file)| (file, files.get(&file))).collect();
        Placement { seats, files }
    }

    /// The home of a job, as a session sees it that has the job so defined.
    pub fn home(&self, job: &HomeJob) -> Home {
        let has = |file: u64| {
            let jobs = self.files.iter().find(|known| known.0 == file).and_then(|known| known.1);
            job.added || jobs.and_then(|jobs| jobs.get(&job.id)) == Some(&job.fingerprint)
        };
        let one_file = self.files.len() == 1 && has(self.files[0].0);
        if !one_file && !job.added && self.newest(&job.id) != Some(job.fingerprint) {
            return Home::Nowhere;
        }
        let text = hash::text(&job.id);
        let may = |seat: &&Seat<'_>| (one_file || has(seat.file)) && fits(&job.run_on, seat.labels);
        let mut seats = self.seats.iter().filter(may);
        if job.run_on == RunOn::All {
            return if seats.next().is_some() { Home::Each } else { Home::Nowhere };
        }
        let best = seats.max_by_key(|seat| (score(text, seat.id), seat.id));
        best.map_or(Home::Nowhere, |seat| Home::At(seat.id))
    }

    /// Whether a job is at home with a session.
    pub fn is_home(&self, job: &HomeJob, session: SessionId) -> bool {
        match self.home(job) {
            Home::Nowhere => false,
            Home::At(home) => home == session,
            Home::Each => self.seats.iter().any(|seat| {
                seat.id == session
                    && (job.added || self.fingerprint(seat.file, &job.id) == Some(job.fingerprint))
            }),
        }
    }

    /// The fingerprint of a job in the most recently loaded file that has it.
    fn newest(&self, id: &str) -> Option<u64> {
        self.files.iter().find_map(|(_, jobs)| jobs.and_then(|jobs| jobs.get(id)).copied())
    }

    fn fingerprint(&self, file: u64, id: &str) -> Option<u64> {
        let jobs = self.files.iter().find(|known| known.0 == file)?.1?;
        jobs.get(id).copied()
    }
}

/// Whether a job may run on a host with these labels.
pub fn fits(run_on: &RunOn, labels: &[Box<str>]) -> bool {
    match run_on {
        RunOn::One | RunOn::All => true,
        RunOn::Labels(wanted) => wanted.iter().all(|label| labels.contains(label)),
    }
}

/// How much a session wants a job; the one that wants it most has it. The same in every version of
/// schedrs: hosts of two versions have to agree.
fn score(job: u64, session: SessionId) -> u64 {
    hash::mix(job ^ hash::mix(session.0))
}

#[cfg(test)]
mod tests;
