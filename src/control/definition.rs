//! Jobs as a jobfile would have them, for `show` and `export`.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::core::job::{Executor, Job, Settings};
use crate::jobfile::write::{self, Secrets};

/// What `show` says elsewhere.
const SAID: [&str; 6] = ["name", "command", "cron", "interval", "date", "timezone"];

/// The options of a job that differ from the defaults, without the values of variables.
pub(super) fn options(job: &Job) -> Option<Value> {
    let mut options = write::json(job, &[], Secrets::Masked);
    options.retain(|key, _| !SAID.contains(&key.as_str()));
    (!options.is_empty()).then_some(Value::Object(options))
}

/// Appends what stands in front of the jobs in a jobfile.
pub(super) fn head(out: &mut String, settings: &Settings, executors: &[Executor]) {
    write::head(out, settings, executors);
}

/// The same as an object.
pub(super) fn json_head(settings: &Settings, executors: &[Executor]) -> Map<String, Value> {
    write::json_head(settings, executors)
}

/// Appends a job as a table.
pub(super) fn toml(out: &mut String, job: &Job, executors: &[Executor]) {
    out.push('\n');
    // What cannot be said is said to be so in a comment.
    let _ = write::job(out, &rooted(job), executors, Secrets::Written);
}

/// A job as an object.
pub(super) fn json(job: &Job, executors: &[Executor]) -> Value {
    Value::Object(write::json(&rooted(job), executors, Secrets::Written))
}

/// An export may be put into another directory.
fn rooted(job: &Job) -> Cow<'_, Job> {
    // It fails where that directory was removed, and then there is nothing to be relative to.
    std::env::current_dir().map_or(Cow::Borrowed(job), |base| write::rooted(job, &base))
}
