//! `--fleet`: a jobfile beside what runs on the hosts that share its store. What differs is found in
//! `crate::core::fleet::deploy`.

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use serde::Serialize;

use crate::cli::Context;
use crate::cli::command::history_source::told;
use crate::cli::command::request;
use crate::core::fleet::Member;
use crate::core::fleet::deploy::{self, Finding, Planned, Running};
use crate::core::fleet::home::HomeJob;
use crate::core::job::JobSet;
use crate::core::sort;
use crate::core::words;
use crate::jobfile::{Builder, Loaded};
use crate::problem::{clean, json};
use crate::run::daemon;
use crate::store::HAS_SHARED;
use crate::store::location::{self, Location};
use crate::store::shared;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Info,
    Warning,
    Error,
}

/// What is to be said, as it is shown.
struct Line {
    severity: Severity,
    kind: &'static str,
    job: Option<Box<str>>,
    hosts: Vec<Box<str>>,
    message: String,
}

/// The same as a line of JSON.
#[derive(Serialize)]
struct Object<'a> {
    fleet: &'static str,
    severity: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    hosts: &'a [Box<str>],
    message: &'a str,
}

/// A comparison.
pub(super) struct Compared {
    lines: Vec<Line>,
    store: String,
    hosts: Vec<Box<str>>,
    same: usize,
}

/// Compares a jobfile that has no errors with what runs. `url`: which store, if it is not the one that
/// the file names.
pub(super) fn compare(
    file: &Path,
    loaded: &Loaded,
    url: Option<&str>,
    context: &Context,
) -> anyhow::Result<Option<Compared>> {
    let Some(set) = &loaded.set else { return Ok(None) };
    let location = store_of(file, set, url)?;
    if !HAS_SHARED {
        return match &location {
            Location::Shared(url) => Err(told(url.not_built())),
            _ => Err(not_shared(&location)),
        };
    }
    // Opening it for writing would make what is not there.
    let known = location::reader(&location).and_then(|mut reader| reader.jobs()).map_err(told)?;
    let mut store = location::open(&location).map_err(told)?.store;
    let Some(shared) = store.shared() else { return Err(not_shared(&location)) };
    let view = shared::look(shared).map_err(told)?;
    let mut hosts: Vec<Box<str>> =
        deploy::alive(&view.members).map(|member| member.host.clone()).collect();
    sort::all(&mut hosts);
    if hosts.is_empty() {
        bail!("no host is using the store {location}");
    }
    let hashes: HashSet<u64> = view.members.iter().map(|member| member.jobfile_hash).collect();
    let hashes: Vec<u64> = hashes.into_iter().collect();
    let files: HashMap<u64, _> = shared.files(&hashes).map_err(told)?.into_iter().collect();
    let overrides = known.iter().filter_map(|job| Some((&*job.id, job.overrides.as_deref()?)));
    let effective = in_effect(set, loaded.builder.as_ref(), &overrides.collect());
    // A file is compared with files; where a job may run and when it is due is as it will be.
    let (hash, jobs) = daemon::jobs_of_file(set);
    let planned = jobs.into_iter().zip(&effective.jobs).map(|(home, job)| Planned {
        job: HomeJob { run_on: job.options.run_on.clone(), ..home },
        trigger: job.trigger.fingerprint(),
    });
    let planned: Vec<Planned> = planned.collect();
    let triggers = known.into_iter().map(|job| (job.id, job.trigger)).collect();
    let running = Running { members: &view.members, files: &files, triggers: &triggers };
    let found = deploy::compare(&planned, &running);
    let of_jobs = |it: &&Finding| matches!(it, Finding::New(_) | Finding::Changed(..));
    let same = planned.len() - found.iter().filter(of_jobs).count();
    let mut lines: Vec<Line> = found.into_iter().map(|it| line(it, &effective)).collect();
    let has = |member: &&Member| member.jobfile_hash == hash;
    let mut there: Vec<Box<str>> =
        deploy::alive(&view.members).filter(has).map(|it| it.host.clone()).collect();
    sort::all(&mut there);
    if !there.is_empty() && there.len() < hosts.len() {
        let message = format!("already loaded by {}", names(&there));
        lines.push(Line {
            severity: Severity::Info,
            kind: "loaded",
            job: None,
            hosts: there,
            message,
        });
    }
    lines.extend(versions(&view.members, context));
    Ok(Some(Compared { lines, store: location.to_string(), hosts, same }))
}

fn not_shared(location: &Location) -> anyhow::Error {
    anyhow!("the store {location} cannot be shared by hosts")
}

/// The store that hosts share.
fn store_of(file: &Path, set: &JobSet, url: Option<&str>) -> anyhow::Result<Location> {
    let directory = file.parent().unwrap_or(Path::new(""));
    let location = match (url, &set.settings.store_url) {
        (Some(url), _) => Location::parse(url, Path::new("")).map_err(told)?,
        (None, Some(url)) => Location::parse(url, directory).map_err(told)?,
        (None, None) => Location::Memory,
    };
    let Location::Shared(_) = location else {
        bail!(
            "--fleet needs the URL of a store that hosts share, such as postgres://localhost/schedrs: \
             neither it nor `[store] url` has one"
        );
    };
    Ok(location)
}

/// The jobs as they would be in effect: what was changed at run time stands over the file.
fn in_effect(set: &JobSet, builder: Option<&Builder>, overrides: &HashMap<&str, &str>) -> JobSet {
    let mut set = set.clone();
    for job in &mut set.jobs {
        if let (Some(text), Some(builder)) = (overrides.get(&*job.id), builder)
            && let Ok(changed) = builder.overlay(job, text)
        {
            *job = Arc::new(changed);
        }
    }
    set
}

/// This program writes jobs down as its own version does.
fn versions(members: &[Member], context: &Context) -> Vec<Line> {
    let (version, tzdata) =
        (env!("CARGO_PKG_VERSION"), context.zones.version().unwrap_or("unknown"));
    let other = |of: fn(&Member) -> &str, here: &str| {
        let other = |member: &&Member| of(member) != here;
        let hosts = deploy::alive(members).filter(other).map(|member| member.host.clone());
        hosts.collect::<Vec<Box<str>>>()
    };
    let line = |what: &str, here: &str, hosts: Vec<Box<str>>| {
        let message = format!("this is {what} {here}, and {} has another", names(&hosts));
        Line { severity: Severity::Warning, kind: "other_here", job: None, hosts, message }
    };
    let mut lines = Vec::new();
    let hosts = other(|member| &member.version, version);
    if !hosts.is_empty() {
        lines.push(line("schedrs", version, hosts));
    }
    let hosts = other(|member| &member.tzdata, tzdata);
    if !hosts.is_empty() {
        lines.push(line("time zone data", tzdata, hosts));
    }
    lines
}

fn names(names: &[Box<str>]) -> String {
    names.join(", ")
}

fn line(finding: Finding, set: &JobSet) -> Line {
    use Severity::{Error, Info, Warning};
    let schedule = |id: &str| {
        let job = set.jobs.iter().find(|job| *job.id == *id);
        job.map(|job| words::trigger(&job.trigger, &job.zone)).unwrap_or_default()
    };
    let (severity, kind, job, hosts, message) = match finding {
        Finding::New(job) => {
            let message = format!("is new: {}", schedule(&job));
            (Info, "new", Some(job), Vec::new(), message)
        }
        Finding::Changed(job, other) => {
            let message = match other {
                Some(true) => format!("has a new schedule: {}", schedule(&job)),
                Some(false) => "has changed, but not its schedule".to_owned(),
                None => "has changed".to_owned(),
            };
            (Info, "changed", Some(job), Vec::new(), message)
        }
        Finding::Gone(job, hosts) => {
            let message = format!(
                "is not in the file: it keeps running on {} until the file is loaded there",
                names(&hosts)
            );
            (Info, "gone", Some(job), hosts, message)
        }
        Finding::NoHost(job, labels) => {
            let message = format!("no host has all of its labels: {}", names(&labels));
            (Error, "no_host", Some(job), Vec::new(), message)
        }
        Finding::Idle(host, labels) => {
            let labels = if labels.is_empty() { "no labels".into() } else { names(&labels) };
            let message = format!("{host} ({labels}) cannot run any of the jobs");
            (Warning, "idle", None, vec![host], message)
        }
        Finding::Differ(what, groups) => {
            let group = |(value, hosts): &(Box<str>, Vec<Box<str>>)| match what {
                "jobfiles" => names(hosts),
                _ => format!("{value} ({})", names(hosts)),
            };
            let groups_text: Vec<String> = groups.iter().map(group).collect();
            let message = format!("hosts have different {what}: {}", groups_text.join(" | "));
            let hosts = groups.into_iter().flat_map(|(_, hosts)| hosts).collect();
            (Warning, "differ", None, hosts, message)
        }
    };
    Line { severity, kind, job, hosts, message }
}

impl Compared {
    /// Takes warnings for errors.
    pub(super) fn make_strict(&mut self) {
        for line in &mut self.lines {
            if line.severity == Severity::Warning {
                line.severity = Severity::Error;
            }
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.severity != Severity::Error)
    }

    pub(super) fn text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for line in &self.lines {
            let word = match line.severity {
                Severity::Info => "",
                Severity::Warning => "warning: ",
                Severity::Error => "error: ",
            };
            let job = line.job.as_ref().map(|job| format!("{}: ", clean(job))).unwrap_or_default();
            writeln!(out, "{word}{job}{}", clean(&line.message))?;
        }
        Ok(())
    }

    /// One line: who was compared with.
    pub(super) fn summary(&self) -> String {
        let hosts = clean(&names(&self.hosts)).into_owned();
        let jobs = if self.same == 1 { "1 job" } else { &format!("{} jobs", self.same) };
        let verb = if self.same == 1 { "is" } else { "are" };
        // The line above it counts what is wrong with the file, this one what is wrong beside the hosts.
        let count = |severity, word| {
            let lines = self.lines.iter().filter(|line| line.severity == severity).count();
            (lines > 0).then(|| request::count(lines as u64, word))
        };
        let wrong = [count(Severity::Error, "error"), count(Severity::Warning, "warning")];
        let wrong: Vec<String> = wrong.into_iter().flatten().collect();
        let wrong =
            if wrong.is_empty() { String::new() } else { format!("; {}", wrong.join(", ")) };
        format!("{}: {hosts}; {jobs} {verb} there as in the file{wrong}", clean(&self.store))
    }

    pub(super) fn json(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for line in &self.lines {
            let object = Object {
                fleet: line.kind,
                severity: match line.severity {
                    Severity::Info => "info",
                    Severity::Warning => "warning",
                    Severity::Error => "error",
                },
                job: line.job.as_deref(),
                hosts: &line.hosts,
                message: &line.message,
            };
            writeln!(out, "{}", json(&object)?)?;
        }
        Ok(())
    }
}
