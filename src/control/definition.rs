//! Jobs as a jobfile would have them, for `show` and `export`.

use serde_json::{Map, Value, json};

use crate::job::{Command, Executor, Job, Settings};
use crate::words;

/// The options of a job that differ from the defaults.
pub(super) fn options(job: &Job, executor: &str) -> Option<Value> {
    let _ = (job, executor);
    None
}

/// Appends what stands in front of the jobs in a jobfile.
pub(super) fn head(out: &mut String, settings: &Settings, executors: &[Executor]) {
    let _ = executors;
    *out += &format!("[scheduler]\ntimezone = {:?}\n", settings.zone.name());
}

/// The same as an object.
pub(super) fn json_head(settings: &Settings, executors: &[Executor]) -> Map<String, Value> {
    let _ = executors;
    Map::from_iter([("scheduler".to_owned(), json!({ "timezone": settings.zone.name() }))])
}

/// Appends a job as a table.
pub(super) fn toml(out: &mut String, job: &Job, executors: &[Executor]) {
    let _ = executors;
    let schedule = words::trigger(&job.trigger, &job.zone);
    *out += &format!("\n# {schedule}\n[jobs.{:?}]\ncommand = {}\n", job.id, command(job));
}

/// A job as an object.
pub(super) fn json(job: &Job, executors: &[Executor]) -> Value {
    let _ = executors;
    json!({ "command": command(job) })
}

fn command(job: &Job) -> Value {
    match &job.command {
        Command::Shell(line) => Value::from(&**line),
        Command::Argv(words) => words.iter().map(|word| Value::from(&**word)).collect(),
    }
}
