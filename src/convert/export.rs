//! Moving out: jobs as a crontab, as systemd units or as CronJobs of Kubernetes, where they can be said
//! there.
//!
//! Pure, like `crate::convert::import`, of which this is the way back. What a job cannot be without
//! and the other side does not know is a job that is left out, with the reason in plain words; what
//! it can be without is said too. The tests read what is written with the importers, and compare
//! due times.

pub mod to_crontab;
pub mod to_kubernetes;
pub mod to_systemd;

use std::time::Duration;

use crate::core::job::{Executor, Job, JobSet, Options, Settings, below_home};
use crate::jobfile::keys::Key;
use crate::jobfile::write;

/// Jobs in the words of another scheduler.
#[derive(Debug, Default)]
pub struct Exported {
    pub text: String,
    /// What could not be said in it.
    pub problems: Vec<Unsaid>,
}

/// Something that could not be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsaid {
    /// Whose it is: a job's id, or what else of the jobfile.
    pub of: String,
    /// What, in words.
    pub message: String,
    /// It is left out as a whole.
    pub left_out: bool,
}

impl Exported {
    fn note(&mut self, job: &Job, message: impl Into<String>) {
        self.say(&job.id, message, false);
    }

    fn left_out(&mut self, job: &Job, message: impl Into<String>) {
        self.say(&job.id, message, true);
    }

    fn say(&mut self, of: &str, message: impl Into<String>, left_out: bool) {
        self.problems.push(Unsaid { of: of.to_owned(), message: message.into(), left_out });
    }

    /// Whether every job is in it.
    pub fn is_whole(&self) -> bool {
        self.problems.iter().all(|unsaid| !unsaid.left_out)
    }
}

/// Another scheduler. Of each key of a jobfile it is written down that it has a counterpart there, or said
/// that it has none: a key that nobody has thought of is said.
struct Side {
    /// What it is called where it has something or not.
    name: &'static str,
    /// The keys of a job that are carried over, or of which it is said with others why not.
    keys: &'static [Key],
    /// Those of tables that are no job.
    settings: &'static [(&'static str, &'static str)],
}

/// The keys that every side has something to say about, beside when a job is due: what is run, and where it
/// takes its place.
const OF_EACH: &[Key] = &[
    Key::Command,
    Key::Executor,
    Key::Name,
    Key::Shell,
    Key::Paused,
    Key::Cwd,
    Key::Env,
    Key::User,
    Key::Timeout,
    Key::KillAfter,
    Key::Stdin,
    Key::Output,
];

impl Side {
    /// The keys of a job that it does not have.
    fn lacks(&self, job: &Job, set: &JobSet) -> Vec<&'static str> {
        let keys = write::said(job, &set.executors).into_iter();
        let keys = keys.filter(|key| {
            !Key::TIMES.contains(key) && !OF_EACH.contains(key) && !self.keys.contains(key)
        });
        keys.map(Key::name).collect()
    }

    /// Says what is lost of the jobfile besides its jobs.
    fn note_rest(&self, set: &JobSet, exported: &mut Exported) {
        for job in set.settings.elsewhere.iter() {
            exported.say(&job.id, "it is for other hosts: export it there (`only_on`)", true);
        }
        for (at, executor) in set.executors.iter().enumerate() {
            let is_used = set.jobs.iter().any(|job| usize::from(job.executor) == at);
            let is_plain =
                at == 0 && *executor == Executor::new("default", Executor::DEFAULT_WORKERS);
            if is_used && !is_plain {
                let starts = executor.max_starts_per_second.map(|_| ", max_starts_per_second");
                let message = format!(
                    "{} has no max_workers{}: what is due together starts together",
                    self.name,
                    starts.unwrap_or_default()
                );
                exported.say(&format!("executor {}", executor.name), message, false);
            }
        }
        let lost = self.lost_settings(&set.settings);
        if !lost.is_empty() {
            let message = format!("{} has no {}", self.name, lost.join(", "));
            exported.say("the jobfile", message, false);
        }
    }

    /// What is set in `[scheduler]` and its like and has no counterpart.
    fn lost_settings(&self, settings: &Settings) -> Vec<String> {
        let mut lost = Vec::new();
        for (table, keys) in write::json_head(settings, &[]) {
            // Of these it is said with the jobs that name them.
            if matches!(&*table, "executors" | "calendars") {
                continue;
            }
            for (key, _) in keys.as_object().into_iter().flatten() {
                let said = self.settings.contains(&(&*table, &**key));
                let is_default = match (&*table, &**key) {
                    // The zone is written with each job.
                    ("scheduler", "timezone") => true,
                    ("scheduler", "stop_grace") => settings.stop_grace == Settings::STOP_GRACE,
                    _ => false,
                };
                if !said && !is_default {
                    lost.push(format!("{table}.{key}"));
                }
            }
        }
        lost
    }
}

/// Those of its hooks.
fn hooks(options: &Options) -> impl Iterator<Item = &'static str> {
    options.hooks.keys().map(|hook| hook.option())
}

/// Seconds, rounded up, so that no limit becomes none.
fn whole_secs(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// A path of a job. One below a home is whole where the job's own variables say which that is.
fn with_own_home(path: &str, options: &Options) -> String {
    match (below_home(path), options.env.get("HOME")) {
        (Some(below), Some(home)) => format!("{home}{below}"),
        _ => path.to_owned(),
    }
}

/// A word as the shell has to be given it.
fn shell_quoted(word: &str) -> String {
    crate::convert::import::shell_quoted(word)
}

#[cfg(test)]
mod tests;
