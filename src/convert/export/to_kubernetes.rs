//! Jobs as CronJobs of Kubernetes: one YAML document for each, and more where a job has schedules
//! that are not one there.
//!
//! Each run is a container of one image, which has to hold what the commands need. What a job says
//! of its processes (`nice`, `umask`, `stdin`) is therefore not converted into the command: who knows
//! which shell and programs the image has. `when` says when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use super::{Exported, Side, shell_quoted, whole_secs};
use crate::convert::kubernetes::{DESCRIPTION, ID, escaped};
use crate::core::instant::Instant;
use crate::core::job::{Command, Grace, Job, JobSet, Keep, Options, Output, Overlap, below_home};
use crate::core::sort;
use crate::jobfile::keys::Key;

mod when;
mod yaml;

use when::When;
use yaml::Yaml;

/// No name of a CronJob is longer, because eleven characters are added to those of its runs.
const LONGEST: usize = 52;

/// Kubernetes may pass over a run whose deadline is shorter, in seconds.
const SHORTEST_DEADLINE: u64 = 10;

/// The largest number that all of its fields take.
const MOST: u64 = i32::MAX as u64;

/// A CronJob, whose container starts with an environment of its own.
const SIDE: Side = Side {
    name: "Kubernetes",
    keys: &[
        Key::MisfireGraceTime,
        Key::MaxInstances,
        Key::Overlap,
        Key::Retries,
        Key::RetryDelay,
        Key::RetryBackoff,
        Key::RetryMaxDelay,
        Key::ClearEnv,
        Key::Group,
    ],
    settings: &[("store", "keep")],
};

/// The jobs of a set as CronJobs, whose runs are containers of `image`. The changes of clocks of the
/// year after `now` are compared.
pub fn kubernetes(set: &JobSet, image: &str, now: Instant) -> Exported {
    let mut exported = Exported::default();
    let mut out = Yaml::default();
    out.comment(&format!(
        "for `kubectl apply -f -`: each run is a container of {image}, which has to hold the \
         programs, the directories and the environment that the jobs need"
    ));
    out.comment(
        "a run that `Forbid` holds back starts when the last one has ended, if that is within \
         `startingDeadlineSeconds`",
    );
    let mut names = Names::of(set);
    for job in &set.jobs {
        let whens = match job.options.stdin {
            Some(_) => {
                exported.left_out(job, "a container has no standard input to give it");
                None
            }
            None => when::when(job, now, &mut exported),
        };
        let Some(whens) = whens else {
            let why = exported.problems.last().map_or("", |unsaid| unsaid.message.as_str());
            out.text.push('\n');
            out.comment(&format!("left out: {}: {why}", job.id));
            continue;
        };
        unsaid(job, set, &mut exported);
        let name = names.of_job(&job.id);
        for (at, when) in whens.iter().enumerate() {
            let own = if at == 0 { name.clone() } else { names.free(&name) };
            let cron_job = CronJob { job, own: &own, name: &name, image, keep: set.settings.keep };
            cron_job.write(when, &mut out);
        }
    }
    SIDE.note_rest(set, &mut exported);
    if set.settings.keep.output.is_some() {
        exported.say("the jobfile", "Kubernetes has no store.keep.output", false);
    }
    exported.text = out.text;
    exported
}

/// The names that are taken.
struct Names {
    of_ids: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Names {
    /// Ids that can be names keep theirs, whatever else is in the file.
    fn of(set: &JobSet) -> Names {
        let is_name = |job: &&std::sync::Arc<Job>| dns_label(&job.id) == *job.id;
        let ids = set.jobs.iter().filter(is_name).map(|job| job.id.to_string());
        let of_ids: BTreeMap<String, String> = sort::collect(ids.map(|id| (id.clone(), id)));
        let taken = sort::collect(of_ids.keys().cloned());
        Names { of_ids, taken }
    }

    fn of_job(&mut self, id: &str) -> String {
        if let Some(name) = self.of_ids.get(id) {
            return name.clone();
        }
        let name = dns_label(id);
        if self.taken.insert(name.clone()) { name } else { self.free(&name) }
    }

    /// A name with a number behind it that nothing has.
    fn free(&mut self, name: &str) -> String {
        let mut number = 2u32;
        loop {
            let end = format!("-{number}");
            let short = &name[..name.len().min(LONGEST - end.len())];
            let candidate = format!("{}{end}", short.trim_end_matches('-'));
            if self.taken.insert(candidate.clone()) {
                return candidate;
            }
            number += 1;
        }
    }
}

/// An id as a DNS label: small letters, digits and dashes.
fn dns_label(id: &str) -> String {
    let mut name = String::new();
    for c in id.chars() {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            'A'..='Z' => name.push(c.to_ascii_lowercase()),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(LONGEST);
    let name = name.trim_end_matches('-');
    if name.is_empty() { "job".to_owned() } else { name.to_owned() }
}

/// A number that Kubernetes takes.
fn number(value: u64) -> String {
    value.min(MOST).to_string()
}

fn seconds(span: Duration) -> String {
    number(whole_secs(span))
}

/// `user` and `group` as Kubernetes has them: a number. Root is known everywhere.
fn number_of(name: Option<&str>) -> Option<u32> {
    match name? {
        "root" => Some(0),
        name => name.parse().ok(),
    }
}

/// A CronJob that is being written.
struct CronJob<'a> {
    job: &'a Job,
    /// Its own name.
    own: &'a str,
    /// The name that all the CronJobs of the job share.
    name: &'a str,
    image: &'a str,
    keep: Keep,
}

impl CronJob<'_> {
    fn write(&self, when: &When, out: &mut Yaml) {
        let options = &*self.job.options;
        out.text.push('\n');
        self.how_to_make_the_secret(out);
        out.text.push_str("---\n");
        out.line(0, "apiVersion: batch/v1");
        out.line(0, "kind: CronJob");
        out.line(0, "metadata:");
        out.string(1, "name", self.own);
        out.line(1, "labels:");
        out.string(2, "app.kubernetes.io/name", self.name);
        let renamed = self.own != &*self.job.id;
        if renamed || self.job.name.is_some() {
            out.line(1, "annotations:");
        }
        if renamed {
            out.string(2, ID, &self.job.id);
        }
        if let Some(name) = &self.job.name {
            out.string(2, DESCRIPTION, name);
        }
        out.line(0, "spec:");
        out.string(1, "schedule", &when.schedule);
        out.string(1, "timeZone", &when.zone);
        out.line(1, &format!("concurrencyPolicy: {}", concurrency(options)));
        if let Grace::Limited(grace) = options.misfire_grace_time {
            let secs = number(whole_secs(grace).max(SHORTEST_DEADLINE));
            out.line(1, &format!("startingDeadlineSeconds: {secs}"));
        }
        if options.paused {
            out.line(1, "suspend: true");
        }
        if let Some(runs) = self.keep.runs {
            let runs = number(runs.into());
            out.line(1, &format!("successfulJobsHistoryLimit: {runs}"));
            out.line(1, &format!("failedJobsHistoryLimit: {runs}"));
        }
        out.line(1, "jobTemplate:");
        out.line(2, "spec:");
        self.job_spec(out);
    }

    /// What the runs of it are.
    fn job_spec(&self, out: &mut Yaml) {
        let options = &*self.job.options;
        out.line(3, &format!("backoffLimit: {}", number(options.retries.into())));
        let deadline = options
            .timeout
            .map(|span| format!("activeDeadlineSeconds: {}", number(whole_secs(span).max(1))));
        // The one of a run counts all of its attempts.
        if let Some(deadline) = deadline.as_ref().filter(|_| options.retries == 0) {
            out.line(3, deadline);
        }
        if let Some(days) = self.keep.days {
            let secs = number(u64::from(days) * 86_400);
            out.line(3, &format!("ttlSecondsAfterFinished: {secs}"));
        }
        out.line(3, "template:");
        out.line(4, "metadata:");
        out.line(5, "labels:");
        out.string(6, "app.kubernetes.io/name", self.name);
        out.line(4, "spec:");
        out.line(5, "restartPolicy: Never");
        if let Some(deadline) = deadline.filter(|_| options.retries > 0) {
            out.line(5, &deadline);
        }
        let grace = seconds(options.kill_after);
        out.line(5, &format!("terminationGracePeriodSeconds: {grace}"));
        let user = number_of(options.user.as_deref());
        let group = number_of(options.group.as_deref());
        if user.is_some() || group.is_some() {
            out.line(5, "securityContext:");
        }
        for (key, id) in [("runAsUser", user), ("runAsGroup", group)] {
            if let Some(id) = id {
                out.line(6, &format!("{key}: {id}"));
            }
        }
        out.line(5, "containers:");
        out.line(5, "- name: job");
        out.string(6, "image", self.image);
        out.line(6, "command:");
        for word in words(self.job) {
            out.item(6, &escaped(&word));
        }
        if let Some(cwd) = options.cwd.as_ref().filter(|cwd| below_home(cwd).is_none()) {
            out.string(6, "workingDir", cwd);
        }
        self.env(out);
    }

    fn env(&self, out: &mut Yaml) {
        let options = &*self.job.options;
        let can_be = |name: &&str| is_variable(name);
        if options.env.keys().chain(options.secrets.keys()).any(|name| is_variable(name)) {
            out.line(6, "env:");
        }
        for (name, value) in options.env.iter().filter(|(name, _)| can_be(&&***name)) {
            out.string(6, "- name", name);
            out.string(7, "value", &escaped(value));
        }
        for name in options.secrets.keys().filter(|name| can_be(&&***name)) {
            out.string(6, "- name", name);
            out.line(7, "valueFrom:");
            out.line(8, "secretKeyRef:");
            out.string(9, "name", &self.secret());
            out.string(9, "key", name);
        }
    }

    /// The Secret that holds its secrets.
    fn secret(&self) -> String {
        format!("{}-secrets", self.name)
    }

    fn how_to_make_the_secret(&self, out: &mut Yaml) {
        if self.own != self.name || self.job.options.secrets.is_empty() {
            return;
        }
        let mut line = format!("kubectl create secret generic {}", self.secret());
        for (name, path) in &self.job.options.secrets {
            // Writing to a string never fails.
            let _ = write!(line, " --from-literal={name}=\"$(cat {})\"", shell_quoted(path));
        }
        out.comment(&line);
    }
}

/// The command as a list of words.
fn words(job: &Job) -> Vec<String> {
    match &job.command {
        Command::Argv(words) => words.iter().map(ToString::to_string).collect(),
        Command::Shell(text) => {
            let shell = job.options.shell.iter().map(ToString::to_string);
            shell.chain(["-c".to_owned(), text.to_string()]).collect()
        }
    }
}

/// Whether Kubernetes takes such a name of a variable, and of a key of a Secret.
fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

/// `concurrencyPolicy`.
fn concurrency(options: &Options) -> &'static str {
    match options.overlap {
        _ if options.max_instances > 1 => "Allow",
        Overlap::Replace => "Replace",
        Overlap::Skip | Overlap::Queue => "Forbid",
    }
}

/// Says what the CronJob does not say, or says otherwise.
fn unsaid(job: &Job, set: &JobSet, exported: &mut Exported) {
    let options = &*job.options;
    let is_set = [
        ("env that appends", !options.joined.is_empty()),
        ("cwd below a home", options.cwd.as_deref().is_some_and(|cwd| below_home(cwd).is_some())),
        ("output", options.output != Output::Pass),
    ];
    let is_set = is_set.iter().filter(|(_, set)| *set).map(|(key, _)| *key);
    let is_set: Vec<&str> = SIDE.lacks(job, set).into_iter().chain(is_set).collect();
    if !is_set.is_empty() {
        exported.note(job, format!("Kubernetes has no {}", is_set.join(", ")));
    }
    if options.max_instances > 1 {
        exported.note(job, "Kubernetes ignores `max_instances` and runs any number at once");
    } else if options.overlap == Overlap::Queue {
        let message = "a due time that waits for the last run is dropped after \
                       `startingDeadlineSeconds`";
        exported.note(job, message);
    }
    if matches!(options.misfire_grace_time, Grace::Limited(grace) if whole_secs(grace) < SHORTEST_DEADLINE)
    {
        let message = "its `misfire_grace_time` becomes 10 s: Kubernetes may skip runs with less";
        exported.note(job, message);
    }
    if delays(options) != delays(&Options { retries: options.retries, ..kubernetes_delays() }) {
        let message = "Kubernetes waits 10 s before the first retry, then twice as long each time, \
                       6 minutes at most";
        exported.note(job, message);
    }
    unsaid_of_its_process(job, exported);
}

/// The same of whom it runs as, its environment and its words.
fn unsaid_of_its_process(job: &Job, exported: &mut Exported) {
    let options = &*job.options;
    for (key, name) in [("user", &options.user), ("group", &options.group)] {
        if let Some(name) = name.as_deref().filter(|name| number_of(Some(name)).is_none()) {
            let message =
                format!("`{key} = \"{name}\"` is left to the image: Kubernetes needs a number");
            exported.note(job, message);
        }
    }
    for name in options.env.keys().chain(options.secrets.keys()).filter(|n| !is_variable(n)) {
        exported.note(job, format!("Kubernetes does not allow a variable named `{name}`"));
    }
    if !options.secrets.is_empty() {
        let message = "its secrets must be put into a Secret: see the comment above the CronJob";
        exported.note(job, message);
    }
    let values = options.env.values().map(ToString::to_string);
    if words(job).into_iter().chain(values).any(|text| text.contains("SCHEDRS_")) {
        let message =
            "its command reads a schedrs variable, `SCHEDRS_…`, which Kubernetes does not set";
        exported.note(job, message);
    }
}

/// How Kubernetes waits before it tries again.
fn kubernetes_delays() -> Options {
    Options {
        retry_delay: Duration::from_secs(10),
        retry_backoff: 2.0,
        retry_max_delay: Duration::from_secs(360),
        ..Options::default()
    }
}

/// The delays before the further attempts. After so many they are as long as they ever get.
fn delays(options: &Options) -> Vec<Duration> {
    const TOLD: u32 = 64;
    let mut delay = options.retry_delay.as_secs_f64();
    let most = options.retry_max_delay.as_secs_f64();
    (0..options.retries.min(TOLD))
        .map(|_| {
            let this = delay.min(most);
            delay = (delay * options.retry_backoff).min(most);
            Duration::from_secs_f64(this)
        })
        .collect()
}

#[cfg(test)]
mod tests;
