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

use crate::core::job::{Coalesce, Grace, Job, Options, Overlap, below_home};

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
    /// The job's id.
    pub job: String,
    /// What, in words.
    pub message: String,
    /// The job itself is left out.
    pub left_out: bool,
}

impl Exported {
    fn note(&mut self, job: &Job, message: impl Into<String>) {
        self.say(job, message, false);
    }

    fn left_out(&mut self, job: &Job, message: impl Into<String>) {
        self.say(job, message, true);
    }

    fn say(&mut self, job: &Job, message: impl Into<String>, left_out: bool) {
        let job = job.id.to_string();
        self.problems.push(Unsaid { job, message: message.into(), left_out });
    }

    /// Whether every job is in it.
    pub fn is_whole(&self) -> bool {
        self.problems.iter().all(|unsaid| !unsaid.left_out)
    }
}

/// The options of a job that neither side knows, by their keys, where they are not the default.
fn unknown_there(options: &Options) -> Vec<&'static str> {
    let default = Options::default();
    let is_set = [
        ("except", !options.excluded.except.is_empty()),
        ("only", !options.excluded.only.is_empty()),
        ("max_wait", options.max_wait.is_some()),
        ("expect", options.expect.is_some()),
        ("warn_after", options.warn_after.is_some()),
        ("pause_after", options.pause_after.is_some()),
        ("coalesce", options.coalesce != Coalesce::Latest),
        ("max_instances", options.max_instances > 1),
        ("overlap", options.overlap != Overlap::Skip),
        ("retries", options.retries > 0),
        ("clear_env", options.clear_env),
        ("run_on", options.run_on != default.run_on),
        ("on_lost", options.on_lost != default.on_lost),
        (
            "misfire_grace_time",
            matches!(options.misfire_grace_time, Grace::Limited(_))
                && options.misfire_grace_time != default.misfire_grace_time,
        ),
    ];
    is_set.into_iter().filter(|(_, set)| *set).map(|(key, _)| key).collect()
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
