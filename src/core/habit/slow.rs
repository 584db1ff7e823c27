//! Runs that take longer than they should: than `warn_after` says, or where a job has none, than it usually
//! takes.
//!
//! Pure: a [`Watch`] is shown each [`Action`] of the scheduler, and says when it wants to be called. What a
//! job usually takes is not kept here: nobody is slow within a minute, and who is still running then is
//! asked for ([`Found::Unknown`]), with the last runs of its job as the answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{RUNS, Success, median};
use crate::core::event::{Action, Notice, RunId};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::job::Job;
use crate::core::sort;
use crate::core::words;

/// So much longer than usual a run has to take at least.
const FLOOR: Duration = Duration::from_secs(60);

/// What a job usually takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usual {
    /// Half of its runs take no longer.
    pub(crate) median: Duration,
    /// What takes longer is slow: three medians, half more than 95 of 100 runs take, and a minute more than
    /// the median, whichever is most. One rule alone cries too often.
    pub(crate) limit: Duration,
}

impl Usual {
    /// Of these runs, the newest first, if they are enough to tell.
    pub(crate) fn of(before: &[Success]) -> Option<Usual> {
        let mut sorted: Vec<Duration> = before.iter().take(RUNS).map(|run| run.took).collect();
        sort::all(&mut sorted);
        let median = median(&sorted)?;
        // The least that 95 of 100 do not exceed.
        let p95 = sorted[(sorted.len() * 95).div_ceil(100) - 1];
        let limit = (median.saturating_mul(3))
            .max(p95.saturating_mul(3) / 2)
            .max(median.saturating_add(FLOOR));
        Some(Usual { median, limit })
    }
}

/// Why a run is slow that has taken so long, if it is: `longer than \`warn_after\` (45m)`. `before`: the runs
/// before it that have succeeded, the newest first.
pub(crate) fn why(
    took: Duration,
    warn_after: Option<Duration>,
    before: &[Success],
) -> Option<String> {
    match warn_after {
        Some(limit) => {
            (took > limit).then(|| format!("longer than `warn_after` ({})", words::span(limit)))
        }
        None => Usual::of(before)
            .filter(|usual| took > usual.limit)
            .map(|usual| format!("usually it takes {}", words::elapsed(usual.median))),
    }
}

/// A run that takes longer than it should.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SlowRun {
    /// The run.
    pub(crate) run: RunId,
    /// Its job.
    pub(crate) job: Arc<Job>,
    /// Its due time.
    pub(crate) due: Instant,
    /// When its first attempt was started.
    pub(crate) started: Instant,
    /// It takes longer than this.
    pub(crate) limit: Duration,
    /// What its job usually takes; `None`: `warn_after` says how long it may take.
    pub(crate) usual: Option<Duration>,
}

/// What is found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// A run takes longer than it should, once for each.
    Slow(SlowRun),
    /// What this job usually takes is to be told: [`Watch::learn`].
    Unknown(Box<str>),
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Watch {
    runs: HashMap<RunId, Watched>,
    deadlines: BTreeSet<(Mono, RunId)>,
}

#[derive(Debug)]
struct Watched {
    job: Arc<Job>,
    due: Instant,
    started: (Instant, Mono),
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is slow after this, or its job is to be asked for.
    Waits(Option<(Duration, Option<Duration>)>),
    /// Its job was asked for.
    Asked,
    /// It is slow, or never will be.
    Over(Option<(Duration, Option<Duration>)>),
}

impl Watch {
    /// What has been decided, or has happened.
    pub(crate) fn hear(&mut self, now: Now, action: &Action) {
        match action {
            Action::Notice(Notice::Started { run, attempt: 1, job, due, .. }) => {
                self.begin(*run, job, *due, (now.wall, now.mono));
            }
            Action::Notice(Notice::Disowned { run, .. }) => self.end(*run),
            Action::Record(record) => record.run.into_iter().for_each(|run| self.end(run)),
            _ => {}
        }
    }

    /// A run has begun at that time, perhaps under an earlier scheduler.
    pub(crate) fn begin(
        &mut self,
        run: RunId,
        job: &Arc<Job>,
        due: Instant,
        started: (Instant, Mono),
    ) {
        let warn_after = job.options.warn_after;
        let stage = Stage::Waits(warn_after.map(|limit| (limit, None)));
        self.deadlines.insert((started.1.plus(warn_after.unwrap_or(FLOOR)), run));
        self.runs.insert(run, Watched { job: Arc::clone(job), due, started, stage });
    }

    fn end(&mut self, run: RunId) {
        if let Some(watched) = self.runs.remove(&run)
            && let Some(deadline) = watched.deadline()
        {
            self.deadlines.remove(&(deadline, run));
        }
    }

    /// When it wants to be called.
    pub(crate) fn next_wakeup(&self) -> Option<Mono> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// What is found by that time.
    pub(crate) fn wake(&mut self, now: Mono) -> Vec<Found> {
        let mut found = Vec::new();
        while let Some((deadline, run)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.deadlines.pop_first();
            let Some(watched) = self.runs.get_mut(&run) else { continue };
            match watched.stage {
                Stage::Waits(Some(limit)) => {
                    watched.stage = Stage::Over(Some(limit));
                    found.extend(watched.slow(run).map(Found::Slow));
                }
                _ => {
                    watched.stage = Stage::Asked;
                    found.push(Found::Unknown(watched.job.id.clone()));
                }
            }
        }
        found
    }

    /// These are the last runs of a job that have succeeded, the newest first.
    pub(crate) fn learn(&mut self, job: &str, before: &[Success]) {
        let usual = Usual::of(before);
        for (run, watched) in &mut self.runs {
            if watched.stage != Stage::Asked || *watched.job.id != *job {
                continue;
            }
            watched.stage = match usual {
                Some(usual) => Stage::Waits(Some((usual.limit, Some(usual.median)))),
                None => Stage::Over(None),
            };
            self.deadlines.extend(watched.deadline().map(|deadline| (deadline, *run)));
        }
    }

    /// The run of a job that is slow, the oldest if there are several.
    pub(crate) fn slow(&self, job: &str) -> Option<SlowRun> {
        let of_job = self.runs.iter().filter(|(_, watched)| *watched.job.id == *job);
        of_job.filter_map(|(run, watched)| watched.slow(*run)).min_by_key(|slow| slow.started)
    }

    /// Whether any run is.
    pub(crate) fn has_slow(&self) -> bool {
        self.runs.values().any(|watched| matches!(watched.stage, Stage::Over(Some(_))))
    }
}

impl Watched {
    /// When there is something to find.
    fn deadline(&self) -> Option<Mono> {
        match self.stage {
            Stage::Waits(limit) => {
                Some(self.started.1.plus(limit.map_or(FLOOR, |(limit, _)| limit)))
            }
            Stage::Asked | Stage::Over(_) => None,
        }
    }

    /// How slow it is, if it is.
    fn slow(&self, run: RunId) -> Option<SlowRun> {
        let Stage::Over(Some((limit, usual))) = self.stage else { return None };
        let (job, due, started) = (Arc::clone(&self.job), self.due, self.started.0);
        Some(SlowRun { run, job, due, started, limit, usual })
    }
}

#[cfg(test)]
mod tests;
