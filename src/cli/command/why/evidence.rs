//! What goes with an answer besides what the records say: what a run waits for, how it compares with others,
//! its hooks, and who was told.

use std::sync::Arc;

use crate::cli::command::history_source::History;
use crate::cli::command::notify;
use crate::core::event::{Awaits, Unusual};
use crate::core::fleet::own;
use crate::core::habit::{self, slow, unusual};
use crate::core::hooks::{FAILED_HOOKS, failed_of};
use crate::core::job::RunOn;
use crate::core::notify::Route;
use crate::core::notify::explain::{About, explain};
use crate::core::notify::notifier::{STATES, state_key};
use crate::core::outcome::Outcome;
use crate::core::scheduler::conditions::{AWAITS, awaits_key, read_awaits};
use crate::core::sort;
use crate::core::streak::{FAILING, Streak};
use crate::core::words;
use crate::core::zone::Zone;
use crate::store::RunRecord;

/// The condition that a run waits for.
pub(super) fn awaits_of(
    history: &mut History,
    record: &RunRecord,
) -> anyhow::Result<Option<Awaits>> {
    let Some(run) = record.run.filter(|_| record.outcome.is_none() && record.attempts == 0) else {
        return Ok(None);
    };
    let (entries, key) = (history.reader().entries(AWAITS)?, awaits_key(run));
    let own = entries.iter().find(|(name, _)| *name == key);
    Ok(own.and_then(|(_, text)| read_awaits(text)))
}

/// Whether a run takes, or took, longer than it should, and in what way it is out of the ordinary. `records`:
/// among them those before it.
pub(in crate::cli::command) fn habits_of(
    history: &History,
    record: &RunRecord,
    records: &[RunRecord],
) -> (Option<String>, Unusual) {
    let is_over = record.outcome.is_some();
    let took = record.duration.filter(|_| is_over);
    let so_far = || Some(history.now.since(record.started?)).filter(|_| !is_over);
    let Some(took) = took.or_else(so_far) else { return (None, Unusual::default()) };
    let warn_after = history.job(&record.job).and_then(|job| job.options.warn_after);
    // What came after it was not known.
    let is_before = |other: &&RunRecord| other.job == record.job && other.seq < record.seq;
    let mut before: Vec<&RunRecord> = records.iter().filter(is_before).collect();
    sort::by(&mut before, |one, other| other.seq.cmp(&one.seq));
    let before = habit::successes(before);
    let word = if is_over { "took" } else { "runs for" };
    let slow = slow::why(took, warn_after, &before)
        .map(|why| format!("it {word} {}: {why}", words::elapsed(took)));
    let has_succeeded = record.outcome.as_ref().is_some_and(Outcome::is_success);
    let this = habit::Success { took, printed: record.printed };
    let unusual = has_succeeded.then(|| unusual::of(this, warn_after, &before));
    (slow, unusual.unwrap_or_default())
}

/// Which of its hooks have failed.
pub(super) fn failed_hooks_of(
    history: &mut History,
    id: &str,
    record: &RunRecord,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let entries = history.reader().entries(FAILED_HOOKS)?;
    let all = entries.iter().map(|(key, text)| (&**key, &**text));
    let failed = failed_of((id, record.run, record.due), all);
    Ok(failed.into_iter().map(|sentence| ("hook", sentence)).collect())
}

/// Who was told of it.
pub(super) fn told_of(
    history: &mut History,
    id: &str,
    record: &RunRecord,
    is_latest: bool,
    zone: &Zone,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut said = pinged(history, id, record, zone)?;
    let named = history.job(id).map(|job| job.options.notify.clone()).unwrap_or_default();
    let all = history.set.as_ref().map(|set| Arc::clone(&set.settings.routes));
    let routes = all.iter().flat_map(|routes| routes.iter());
    let routes: Vec<&Route> = routes.filter(|route| named.contains(&route.name)).collect();
    if routes.is_empty() {
        return Ok(said);
    }
    let told = notify::known(history, usize::MAX)?;
    let states = history.reader().entries(STATES)?;
    let failing = history.reader().entries(FAILING)?;
    let runs_on_all = history.job(id).is_some_and(|job| job.options.run_on == RunOn::All);
    let host = record.host.as_deref().filter(|_| runs_on_all);
    let key = host.map_or_else(|| id.into(), |host| own::key(id, host));
    let failed = failing.iter().find(|(name, _)| *name == key);
    let failed = failed.and_then(|(_, text)| Some(Streak::of_json(text)?.runs));
    for route in routes {
        let key = state_key(&route.name, id, host);
        let state = states.iter().find(|(name, _)| *name == key).map(|(_, text)| &**text);
        let (run, due) = (record.run, record.due);
        let (outcome, now) = (record.outcome.as_ref(), history.now);
        let about = About { job: id, run, due, outcome, is_latest, now };
        let lines = explain(route, about, &told, state, failed, zone);
        said.extend(lines.into_iter().map(|line| ("told", format!("{}: {line}", route.name))));
    }
    Ok(said)
}

/// What was told to the service that watches over the job, as far as that is still known.
fn pinged(
    history: &mut History,
    id: &str,
    record: &RunRecord,
    zone: &Zone,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let has_ping = history.job(id).is_some_and(|job| job.options.ping.is_some());
    let Some(run) = record.run.filter(|_| has_ping) else { return Ok(Vec::new()) };
    let rows = notify::pings::known(history)?;
    let lines = notify::pings::of_run(&rows, id, run.0, zone);
    Ok(lines.into_iter().map(|line| ("told", format!("ping: {line}"))).collect())
}
