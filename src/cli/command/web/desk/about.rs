//! All about one job, and all about one run.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::{Desk, RECORDS, UPCOMING, failed, row};
use crate::cli::command::history_source::Ground;
use crate::cli::command::validate::explain;
use crate::cli::command::{argument, grid, request, why};
use crate::control::wire::view::{JobDetails, JobLine};
use crate::core::event::RunId;
use crate::core::habit;
use crate::core::instant::Instant;
use crate::core::job::{Job, Options, Output};
use crate::core::preview::{self, Window, preview};
use crate::core::printed::Printed;
use crate::history::object::RunObject;
use crate::history::why::Asked;
use crate::jobfile::keys::Key;
use crate::store::{Query, StoreError};
use crate::web::{JobPage, OptionRow, RunPage, Source, Trouble, Upcoming, Why};

impl Desk {
    /// See [`Source::job`].
    pub(super) fn job_page(&self, id: &str) -> Result<JobPage, Trouble> {
        let all = self.overview(Duration::from_secs(1))?;
        let known = all.rows.iter().find(|row| row.line.id == id).cloned();
        let details = match &known {
            Some(_) if all.status.is_some() => self.details(id),
            _ => None,
        };
        let past = self.look(|history| {
            if known.is_none() {
                history.must_know(id)?;
            }
            let newest = Query { job: Some(id.into()), limit: RECORDS, ..Query::default() };
            let records = history.reader().records(&newest)?;
            let has_hosts = history.has_hosts(&records)?;
            let remembered = history.known(id)?;
            let job = history.job(id).cloned();
            let verdict = why::verdict(history, id, Asked::Latest, &self.place.typed())?;
            Ok((records, has_hosts, remembered, job, verdict, history.zone_of(id)))
        });
        let (records, has_hosts, remembered, job, verdict, zone) = match past {
            Ok((records, has_hosts, remembered, job, verdict, zone)) => {
                (records, has_hosts, remembered, job, Some(verdict), zone)
            }
            // A store in memory cannot be read: what the scheduler says is all there is.
            Err(_) if known.is_some() => {
                (Vec::new(), false, None, None, None, all.frame.zone.clone())
            }
            Err(error) if error.is::<StoreError>() => return Err(failed(error)),
            Err(error) => return Err(Trouble::Unknown(error.to_string())),
        };
        let row = known.unwrap_or_else(|| {
            let timezone = zone.name().to_owned();
            let last = records
                .iter()
                .find(|record| record.outcome.as_ref().is_some_and(|outcome| outcome.is_of_run()));
            let last = last.map(|record| RunObject::of_record(record, &zone));
            let (id, state) = (id.to_owned(), "not in the jobfile".to_owned());
            row(JobLine { id, state, timezone, last, ..JobLine::default() }, zone)
        });
        let anchor = details.as_ref().and_then(|details| request::instant(&details.anchor));
        let anchor = anchor.or(remembered.map(|known| known.anchor));
        let upcoming = job.as_ref().map(|job| upcoming(job, anchor, all.frame.now));
        let why = verdict.map(|verdict| Why {
            text: verdict.text,
            due: verdict.due,
            evidence: verdict.evidence,
        });
        Ok(JobPage {
            command: command(details.as_ref(), job.as_deref()),
            upcoming: upcoming.unwrap_or_default(),
            options: options(&self.ground(), id),
            row,
            details,
            records,
            has_hosts,
            why,
        })
    }

    /// See [`Source::run`].
    pub(super) fn run_page(&self, number: u64) -> Result<RunPage, Trouble> {
        let run = RunId(number);
        let found = self.look(|history| {
            let query = Query { run: Some(run), limit: 1, ..Query::default() };
            let Some(record) = history.reader().records(&query)?.pop() else { return Ok(None) };
            let attempts = history.reader().attempts(run)?;
            let kept = history.reader().output(run)?;
            let printed = kept.map(|(bytes, total)| (Printed::decode(&bytes, total), Some(total)));
            let has_hosts = history.has_hosts(std::slice::from_ref(&record))?;
            let before = Some(record.seq);
            let job = Some(record.job.clone());
            let query = Query { job, before, limit: 2 * habit::RUNS, ..Query::default() };
            let before = history.reader().records(&query)?;
            let (slow, unusual) = why::habits_of(history, &record, &before);
            let slow = slow.into_iter().map(|text| ("slow", text));
            let unusual = slow.chain(unusual.sentences()).collect();
            let job = history.job(&record.job);
            let is_discarded = job.is_some_and(|job| job.options.output == Output::Discard);
            let zone = history.zone_of(&record.job);
            let is_live = false;
            Ok(Some(RunPage {
                record,
                zone,
                attempts,
                printed,
                unusual,
                has_hosts,
                is_discarded,
                is_live,
            }))
        });
        let Some(mut page) = found.map_err(failed)? else {
            let text = format!("No run {number} is kept: old ones are forgotten ([store] keep).");
            return Err(Trouble::Unknown(text));
        };
        if page.record.outcome.is_none() && self.is_active(number) {
            page.is_live = true;
            let printed = self.printed_so_far(&page.record.job, run);
            page.printed = printed.map(|printed| (printed, None)).or(page.printed);
        }
        Ok(page)
    }
}

/// What a job is, with where that stands; nothing where the jobfile does not have it.
fn options(ground: &Ground, id: &str) -> Vec<OptionRow> {
    let (Some(set), Some((origins, sources))) = (&ground.set, &ground.stands) else {
        return Vec::new();
    };
    let found = set.jobs.iter().zip(&origins.jobs).find(|(job, _)| *job.id == *id);
    let Some((job, keys)) = found else { return Vec::new() };
    let shown = explain::options(set, job, keys, origins, sources).into_iter().map(|option| {
        let value = match option.key {
            Key::Env => names(&job.options),
            Key::Stdin if job.options.stdin.is_some() => "***".to_owned(),
            _ => option.value,
        };
        OptionRow { key: option.key.name(), value, origin: option.origin }
    });
    shown.collect()
}

/// The names of the variables of a job: their values are nobody's business.
fn names(options: &Options) -> String {
    let all = options.env.keys().chain(options.secrets.keys()).chain(options.joined.keys());
    let all: std::collections::BTreeSet<&str> = all.map(|name| &**name).collect();
    match all.is_empty() {
        true => "{}".to_owned(),
        false => {
            let all: Vec<String> = all.into_iter().map(|name| format!("{name} = ***")).collect();
            format!("{{ {} }}", all.join(", "))
        }
    }
}

/// The next due times of a job.
fn upcoming(job: &Arc<Job>, anchor: Option<Instant>, now: Instant) -> Vec<Upcoming> {
    let job = match anchor {
        Some(anchor) if grid::is_open(job) => {
            Job { trigger: job.trigger.anchored(anchor), ..Job::clone(job) }
        }
        _ => Job::clone(job),
    };
    let window = Window { from: now, until: None, count: UPCOMING };
    let jobs = [&job];
    let upcoming = |row: preview::Row| {
        let (at, is_excluded) = (row.due?, row.excluded.is_some());
        Some(Upcoming { at, is_excluded, remark: row.remark })
    };
    preview(&jobs, window).filter_map(upcoming).collect()
}

/// What a job runs, as one would type it.
fn command(details: Option<&JobDetails>, job: Option<&Job>) -> String {
    use crate::core::job::Command;
    let words = |words: &mut dyn Iterator<Item = &str>| -> String {
        words.map(argument::quoted).collect::<Vec<_>>().join(" ")
    };
    match (details.and_then(|details| details.command.as_ref()), job.map(|job| &job.command)) {
        (Some(Value::String(line)), _) => line.clone(),
        (Some(Value::Array(all)), _) => words(&mut all.iter().filter_map(Value::as_str)),
        (_, Some(Command::Shell(line))) => line.to_string(),
        (_, Some(Command::Argv(all))) => words(&mut all.iter().map(|word| &**word)),
        _ => String::new(),
    }
}
