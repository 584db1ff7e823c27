//! What programs ask for below `/api/v1/`, answered in the JSON that `list`, `next`, `history` and `why` have.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::stored::set_in_effect;
use super::{Desk, failed};
use crate::cli::command::history_source::{History, Zones};
use crate::cli::command::list::Chosen;
use crate::cli::command::selection::Selection;
use crate::cli::command::{next, time, why};
use crate::control::wire::view::JobLine;
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::preview::Window;
use crate::core::zone::Zone;
use crate::history::object::RunObject;
use crate::history::why::Asked;
use crate::problem::clean;
use crate::store::{Query, StoreError};
use crate::web::{Question, Source, Trouble};

/// How old a list may be.
const FRESH: Duration = Duration::from_secs(1);

impl Desk {
    /// See [`Source::api`].
    pub(super) fn answer(&self, question: &Question) -> Result<Value, Trouble> {
        if let Question::List { from, limit, .. } = question {
            return self.list(question, *from, *limit);
        }
        let jobfile = self.ground().jobfile.clone();
        let found = self.look(|history| match question {
            Question::Next { job, count, limit } => {
                let Some(set) = set_in_effect(history, jobfile.as_deref())? else {
                    anyhow::bail!("there is no jobfile that could be read, only a store");
                };
                let jobs: Vec<&Job> = match job {
                    None => set.jobs.iter().map(|job| &**job).collect(),
                    Some(job) => chosen(&set.jobs, job)?,
                };
                let from = history.now.truncated();
                let window = Window { from, until: None, count: *count };
                let due = next::objects(&jobs, &set.jobs, window, *limit)?;
                Ok(Ok(json!({ "due": due })))
            }
            Question::History { .. } => records(history, question),
            Question::Why { job, at } => {
                let zone = history.zone_of(job);
                history.must_know(job)?;
                let asked = match at {
                    None => Asked::Latest,
                    Some(at) => match time::back(at, &zone, history.now) {
                        Ok(typed) => Asked::Within(typed.from, typed.until),
                        Err(error) => return Ok(Err(wrong("at", &error))),
                    },
                };
                let verdict = why::verdict(history, job, asked, &self.place.typed())?;
                Ok(Ok(why::value(job, asked, &verdict, &zone)?))
            }
            // It was answered before.
            Question::List { .. } => Ok(Ok(Value::Null)),
        });
        found.map_err(|error| match error.is::<StoreError>() {
            true => failed(error),
            false => Trouble::Unknown(error.to_string()),
        })?
    }

    fn list(&self, question: &Question, from: usize, limit: usize) -> Result<Value, Trouble> {
        let Question::List { job, executor, state, failed: only_failed, .. } = question else {
            return Ok(Value::Null);
        };
        let all = self.overview(FRESH)?;
        let words: Vec<String> = job.iter().cloned().collect();
        let chosen = Chosen::like(&words).map_err(|error| Trouble::Wrong(error.to_string()))?;
        let is_meant = |line: &JobLine| {
            chosen.has(line)
                && executor.as_ref().is_none_or(|executor| line.executor == *executor)
                && state.as_ref().is_none_or(|state| line.state == *state)
                && (!only_failed || line.has_failed() || line.overdue_since.is_some())
        };
        let found: Vec<_> =
            all.rows.iter().map(|row| &row.line).filter(|line| is_meant(line)).collect();
        let lines = found.iter().skip(from).take(limit);
        let lines: Result<Vec<Value>, _> = lines.map(serde_json::to_value).collect();
        let lines = lines.map_err(failed)?;
        let until = from.saturating_add(lines.len());
        let mut answer = json!({ "jobs": lines, "total": found.len() });
        if until < found.len() {
            answer["more"] = until.into();
        }
        if all.hosts > 0 {
            answer["hosts"] = all.hosts.into();
        }
        // How they stand is what the store knows.
        if let Some(trouble) = &all.frame.trouble {
            answer["trouble"] = clean(trouble).into();
        }
        Ok(answer)
    }
}

/// The jobs that are meant, in their order.
fn chosen<'a>(jobs: &'a [Arc<Job>], word: &str) -> anyhow::Result<Vec<&'a Job>> {
    let selection = Selection::new(&[word.to_owned()])?;
    let known: Vec<(&str, &[Box<str>])> =
        jobs.iter().map(|job| (&*job.id, &*job.options.tags)).collect();
    selection.must_all_stand(&known, "")?;
    let is_meant = |job: &&Arc<Job>| selection.has(&job.id, &job.options.tags);
    Ok(jobs.iter().filter(is_meant).map(|job| &**job).collect())
}

/// A time that is none.
fn wrong(name: &str, error: &anyhow::Error) -> Trouble {
    Trouble::Wrong(format!("`{name}`: {error}"))
}

/// Records, the newest first.
fn records(history: &mut History, question: &Question) -> anyhow::Result<Result<Value, Trouble>> {
    let Question::History { job, failed, since, until, before, limit } = question else {
        return Ok(Ok(Value::Null));
    };
    let words: Vec<String> = job.iter().cloned().collect();
    let jobs = history.choose(&words)?;
    let zone: Zone = match &jobs[..] {
        [job] => history.zone_of(job),
        _ => history.zone.clone(),
    };
    let now = history.now;
    let time = |name: &str, text: &Option<String>| -> Result<Option<Instant>, Trouble> {
        let Some(text) = text else { return Ok(None) };
        let found = time::back(text, &zone, now).map_err(|error| wrong(name, &error))?;
        Ok(Some(found.from))
    };
    let (since, until) = match (time("since", since), time("until", until)) {
        (Ok(since), Ok(until)) => (since, until),
        (Err(trouble), _) | (_, Err(trouble)) => return Ok(Err(trouble)),
    };
    let (failed, before) = (*failed, *before);
    let query = Query { failed, since, until, before, limit: *limit, ..Query::default() };
    let found = history.records(&jobs, &query)?;
    let zones = Zones::new(history);
    let object = |record| RunObject::of_record(record, zones.of(&record.job));
    let objects: Vec<RunObject> = found.iter().map(object).collect();
    let mut answer = json!({ "records": objects });
    if let Some(last) = found.last().filter(|_| found.len() >= *limit) {
        answer["before"] = last.seq.into();
    }
    Ok(Ok(answer))
}
