//! Which jobs of a jobfile are paused now: the store remembers it, or the schedrs that runs the jobfile
//! says so.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::history_source::Remembered;
use super::request::{self, PATIENCE};
use crate::control::client::{Client, Place};
use crate::control::wire::view::{JobLine, PausedView};
use crate::core::event::{JobRecord, Pause, Paused};
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet, Options};

/// Jobs that are paused, and how.
pub(super) type PausedJobs = HashMap<Box<str>, PausedView>;

/// Finds the jobs that are paused. Those that are so without an end are, from here on, as if their
/// definitions said so, and those that somebody has resumed are not, whatever theirs say.
pub(super) fn find(
    set: &mut JobSet,
    jobfile: &Path,
    remembered: Option<&Remembered>,
    now: Instant,
) -> PausedJobs {
    let states = match remembered {
        Some(remembered) => of_store(set, remembered, now),
        None => of_running(jobfile),
    };
    let mut found = PausedJobs::new();
    for job in &mut set.jobs {
        let Some(state) = states.get(&job.id) else { continue };
        let has_end = state.as_ref().is_some_and(|paused| paused.until.is_some());
        let is_paused = state.is_some() && !has_end;
        if is_paused != job.options.paused {
            let options = Arc::new(Options { paused: is_paused, ..(*job.options).clone() });
            *job = Arc::new(Job { options, ..Job::clone(job) });
        }
        if let Some(paused) = state {
            found.insert(job.id.clone(), paused.clone());
        }
    }
    found
}

/// Whether each of them is paused.
type States = HashMap<Box<str>, Option<PausedView>>;

fn of_store(set: &JobSet, remembered: &Remembered, now: Instant) -> States {
    let known: HashMap<&str, &JobRecord> =
        remembered.jobs.iter().map(|job| (&*job.id, job)).collect();
    let holds = |pause: &&Pause| pause.lasts(now);
    let all = remembered.all_paused.as_ref().filter(holds);
    let state = |job: &Arc<Job>| {
        let known = known.get(&*job.id);
        let own = known.and_then(|known| known.pause.as_ref()).filter(holds);
        let by_file = job.options.paused && !known.is_some_and(|known| known.resumed);
        let paused = match (own, all) {
            (Some(pause), _) => Paused::Job(pause.clone()),
            (None, _) if by_file => Paused::ByFile,
            (None, Some(pause)) => Paused::All(pause.clone()),
            (None, None) => Paused::No,
        };
        (job.id.clone(), PausedView::new(&paused, &job.zone))
    };
    set.jobs.iter().map(state).collect()
}

/// Whatever goes wrong, less is known then.
fn of_running(jobfile: &Path) -> States {
    let mut states = States::new();
    let place = Place::Jobfile(jobfile.to_path_buf());
    let Ok(mut client) = Client::connect_within(&place, PATIENCE) else { return states };
    let _ = client.ask_all(&json!({ "do": "list" }), |mut part| {
        let jobs = part.get_mut("jobs").and_then(Value::as_array_mut);
        for job in jobs.into_iter().flatten() {
            if let Ok(job) = serde_json::from_value::<JobLine>(job.take()) {
                states.insert(job.id.into(), job.paused);
            }
        }
    });
    states
}

/// When a pause ends.
pub(super) fn end(paused: &PausedView) -> Option<Instant> {
    request::instant(paused.until.as_deref()?)
}
