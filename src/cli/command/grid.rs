//! Since when intervals are counted that say nothing of it: since the job was first scheduled. The store
//! knows when that was, or the schedrs that runs the jobfile.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::history_source::Remembered;
use super::request::{self, PATIENCE};
use crate::control::client::{Client, Place};
use crate::core::event::JobRecord;
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet};

/// About more jobs none is asked.
const MOST: usize = 100;

/// Counts intervals from where they begin, and answers whether that is known of all.
pub(super) fn anchor(set: &mut JobSet, jobfile: &Path, remembered: Option<&Remembered>) -> bool {
    if !set.jobs.iter().any(|job| is_open(job)) {
        return true;
    }
    if let Some(remembered) = remembered {
        let known: HashMap<&str, &JobRecord> =
            remembered.jobs.iter().map(|job| (&*job.id, job)).collect();
        for job in set.jobs.iter_mut().filter(|job| is_open(job)) {
            // Of another schedule it says nothing.
            let known = known.get(&*job.id);
            if let Some(known) = known.filter(|known| *known.trigger == *job.trigger.fingerprint())
            {
                begin(job, known.anchor);
            }
        }
    } else if let Ok(mut client) =
        Client::connect_within(&Place::Jobfile(jobfile.to_path_buf()), PATIENCE)
    {
        for job in set.jobs.iter_mut().filter(|job| is_open(job)).take(MOST) {
            let Ok(shown) = client.ask(&json!({ "do": "show", "job": &*job.id })) else { break };
            let at = shown.get("anchor").and_then(|at| request::instant(at.as_str()?));
            if let Some(at) = at {
                begin(job, at);
            }
        }
    }
    !set.jobs.iter().any(|job| is_open(job))
}

/// Whether it is an interval that does not say where it begins.
pub(super) fn is_open(job: &Job) -> bool {
    job.trigger.is_open() && job.trigger.anchored(Instant::MIN).next_after(Instant::MIN).is_some()
}

fn begin(job: &mut Arc<Job>, at: Instant) {
    if is_open(job) {
        let trigger = job.trigger.anchored(at);
        *job = Arc::new(Job { trigger, ..Job::clone(job) });
    }
}
