//! How the jobs stand as far as the store knows, where there is no scheduler to be asked; and the two days
//! around now.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{AHEAD, DAY, Desk, PAST};
use crate::cli::command::history_source::{History, Remembered};
use crate::cli::command::{grid, paused};
use crate::control::wire::view::JobLine;
use crate::core::event::{JobCounts, JobRecord, JobView, Paused};
use crate::core::expect::{last_resumed, overdue_since};
use crate::core::fleet::hosts;
use crate::core::habit::unusual::{self, UNUSUAL};
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet};
use crate::core::preview::{Window, preview};
use crate::core::trigger::Trigger;
use crate::core::words;
use crate::history::object::RunObject;
use crate::store::{Latest, Query};
use crate::web::{Dues, Overview, TimePage};

impl Desk {
    /// How everything stands, as far as the store knows it.
    pub(super) fn remember(&self, trouble: String) -> anyhow::Result<Overview> {
        let frame = self.frame(Some(trouble), None);
        let jobfile = self.ground().jobfile.clone();
        let (lines, hosts) = self.look(|history| {
            let hosts = hosts(&history.reader().members()?).len() as u64;
            Ok((lines(history, jobfile.as_deref())?, hosts))
        })?;
        Ok(Overview { rows: self.rows(lines), hosts, status: None, warnings: Vec::new(), frame })
    }
}

/// The last day and the next.
pub(super) fn two_days(history: &mut History, jobfile: Option<&Path>) -> anyhow::Result<TimePage> {
    let now = history.now;
    let since = now.minus(DAY);
    let query = Query { since: Some(since), limit: PAST, ..Query::default() };
    let past = history.reader().records(&query)?;
    let is_cut = past.len() >= PAST;
    let since = past.last().filter(|_| is_cut).map_or(since, |oldest| oldest.due);
    let set = set_in_effect(history, jobfile)?;
    let dues = set.map(|set| dues(&set, now)).unwrap_or_default();
    Ok(TimePage { now, past, since, dues })
}

/// The jobs as they are in effect, with where intervals begin.
pub(super) fn set_in_effect(
    history: &mut History,
    jobfile: Option<&Path>,
) -> anyhow::Result<Option<JobSet>> {
    let remembered = remembered(history)?;
    let Some(mut set) = history.set.clone() else { return Ok(None) };
    let jobfile = jobfile.unwrap_or(Path::new(""));
    grid::anchor(&mut set, jobfile, Some(&remembered));
    paused::find(&mut set, jobfile, Some(&remembered), history.now);
    Ok(Some(set))
}

fn remembered(history: &mut History) -> anyhow::Result<Remembered> {
    let jobs = history.all_known()?;
    let reader = history.reader();
    Ok(Remembered { jobs, all_paused: reader.all_paused()?, members: reader.members()? })
}

/// How the jobs stand, as far as the store knows.
fn lines(history: &mut History, jobfile: Option<&Path>) -> anyhow::Result<Vec<JobLine>> {
    let remembered = remembered(history)?;
    let latest = history.reader().latest(None)?;
    let unusual = unusual::of_entries(history.reader().entries(UNUSUAL)?);
    let latest: HashMap<&str, &Latest> = latest.iter().map(|one| (&*one.job, one)).collect();
    let Some(mut set) = history.set.clone() else {
        let line = |one: &&Latest| JobLine {
            id: one.job.to_string(),
            state: "unknown".to_owned(),
            timezone: history.zone.name().to_owned(),
            last: one.run.as_ref().map(|run| RunObject::of_record(run, &history.zone)),
            ..JobLine::default()
        };
        let mut lines: Vec<JobLine> = latest.values().map(line).collect();
        crate::core::sort::by(&mut lines, |a, b| a.id.cmp(&b.id));
        return Ok(lines);
    };
    let jobfile = jobfile.unwrap_or(Path::new(""));
    let now = history.now;
    grid::anchor(&mut set, jobfile, Some(&remembered));
    let pauses = paused::find(&mut set, jobfile, Some(&remembered), now);
    let known: HashMap<&str, &JobRecord> =
        remembered.jobs.iter().map(|job| (&*job.id, job)).collect();
    let jobs: Vec<&Job> = set.jobs.iter().map(|job| &**job).collect();
    let mut next = vec![None; jobs.len()];
    for row in preview(&jobs, Window { from: now, until: None, count: 1 }) {
        next[row.job] = row.due;
    }
    let executors: Vec<Arc<str>> = set.executors.iter().map(|it| Arc::clone(&it.name)).collect();
    let mut lines = Vec::with_capacity(jobs.len());
    for (job, next) in set.jobs.iter().zip(next) {
        let latest = latest.get(&*job.id).copied();
        let of_ends = matches!(job.trigger, Trigger::FromEnd(_) | Trigger::After(_));
        let anchor = known.get(&*job.id).map(|known| match of_ends {
            true => known.since,
            false => known.anchor,
        });
        let paused = pauses.get(&job.id);
        let overdue = match (job.options.expect, anchor, paused, next) {
            (Some(expect), Some(anchor), None, next) if next.is_some() || of_ends => {
                overdue(history, job, (expect, anchor), latest)?
            }
            _ => None,
        };
        let awaits = next.is_none() && paused.is_none() && of_ends;
        let view = JobView {
            job: Arc::clone(job),
            executor: executors.get(usize::from(job.executor)).cloned().unwrap_or_default(),
            added: false,
            overridden: false,
            paused: if paused.is_some() { Paused::ByFile } else { Paused::No },
            next,
            awaits: awaits.then(|| words::trigger(&job.trigger, &job.zone).into()),
            running: 0,
            waiting: 0,
            anchor: known.get(&*job.id).map_or(now, |known| known.anchor),
            known_since: anchor.unwrap_or(now),
            counts: JobCounts::default(),
            failures: 0,
            slow: None,
        };
        let line = JobLine::new(&view, latest, overdue);
        let line = line.with_unusual(unusual.get(&*job.id).copied());
        lines.push(JobLine { paused: paused.cloned(), ..line });
    }
    Ok(lines)
}

/// Since when a success of a job is overdue.
fn overdue(
    history: &mut History,
    job: &Job,
    (expect, anchor): (Duration, Instant),
    latest: Option<&Latest>,
) -> anyhow::Result<Option<Instant>> {
    let now = history.now;
    let succeeded = latest.and_then(|latest| latest.succeeded);
    if overdue_since(expect, anchor, succeeded, None, now).is_none() {
        return Ok(None);
    }
    let changes = history.reader().changes(Some(&job.id), now.minus(expect), now)?;
    let newest = Query { job: Some(job.id.clone()), limit: 20, ..Query::default() };
    let records = history.reader().records(&newest)?;
    Ok(overdue_since(expect, anchor, succeeded, last_resumed(&changes, &records), now))
}

/// When jobs are due in the next day.
fn dues(set: &JobSet, now: Instant) -> Dues {
    let jobs: Vec<&Job> = set.jobs.iter().map(|job| &**job).collect();
    let until = now.plus(DAY);
    let window = Window { from: now, until: Some(until), count: usize::MAX };
    let rows = preview(&jobs, window).filter(|row| row.excluded.is_none());
    let rows = rows.map_while(|row| Some((row.due?, row.job)));
    let at: Vec<(Instant, usize)> = rows.take(AHEAD).collect();
    let until = at.last().filter(|_| at.len() >= AHEAD).map(|(due, _)| *due);
    Dues { jobs: jobs.iter().map(|job| job.id.clone()).collect(), at, until }
}
