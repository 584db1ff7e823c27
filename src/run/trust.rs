//! Whether what was loaded may be run: who can write to the jobfile, to what it includes, to the
//! files that its jobs read their environments from, and to the directories of all of them.
//!
//! The rule for one file is `crate::sys::trust`; here is how grave it is. What root runs, and what
//! a job runs as another user, only root and the reader may have written: such a jobfile is
//! refused. Otherwise it is a warning. A job's own files are looked at again at each start
//! (`crate::run::child`), so here they only deserve a warning in time.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::child::env_file;
use super::child::files::{forecast, larger_than};
use super::child::secrets::{MAX_SECRET, too_short};
use crate::core::job::{JobSet, Options};
use crate::jobfile::Loaded;
use crate::problem::{Place, Problem};

/// Adds what speaks against the files that were read: errors, which take the jobs away, where they
/// are about to be run (`enforce`) as root or as other users, otherwise warnings.
pub(crate) fn check(loaded: &mut Loaded, enforce: bool) {
    let found = problems(loaded, enforce);
    if found.is_empty() {
        return;
    }
    for problem in found {
        loaded.problems.push(problem);
    }
    loaded.problems.sort();
    if loaded.problems.errors() > 0 {
        loaded.set = None;
    }
}

/// What speaks against the files.
pub(crate) fn problems(loaded: &Loaded, enforce: bool) -> Vec<Problem> {
    let Some(set) = &loaded.set else { return Vec::new() };
    let privileged = runs_as_others(set);
    let mut found = Vec::new();
    let mut told = HashSet::new();
    for (file, doubt) in &loaded.files.doubtful {
        // A directory with many files in it is worth one word.
        if !told.insert((&doubt.what, &doubt.help)) {
            continue;
        }
        let place = Place { file: *file, span: None };
        found.push(match privileged {
            Some(why) if enforce && doubt.grave => {
                Problem::error(place, format!("this file {}, and {why}", doubt.what))
                    .help(format!("{}; to run it anyway, use `--trust`", doubt.help))
            }
            _ => Problem::warning(place, format!("this file {}", doubt.what))
                .help(doubt.help.clone()),
        });
    }
    let mut seen = HashSet::new();
    for (place, options) in &loaded.files.named {
        for (what, path) in environment_files(options) {
            if seen.insert((path, options.user.as_deref())) {
                found.extend(environment_file(*place, options, what, path));
            }
        }
    }
    found
}

/// Why what a jobfile says is more than its reader could do anyway.
fn runs_as_others(set: &JobSet) -> Option<&'static str> {
    if rustix::process::geteuid().is_root() {
        Some("its jobs are run by root")
    } else if set.jobs.iter().any(|job| job.options.user.is_some()) {
        Some("it has jobs with `user`")
    } else {
        None
    }
}

/// The files that an environment is read from, and what they are.
fn environment_files(options: &Options) -> impl Iterator<Item = (&'static str, &str)> {
    let secrets = options.secrets.values().map(|path| ("secret", &**path));
    options.env_file.as_deref().map(|path| ("env_file", path)).into_iter().chain(secrets)
}

fn environment_file(place: Place, options: &Options, what: &str, path: &str) -> Option<Problem> {
    let check = |file: &File| match what {
        "secret" => unfit_secret(file),
        _ => flawed_env_file(file),
    };
    let (refused, why, help) = forecast(Path::new(path), options, check)?;
    let message = if refused {
        format!("this job will not start: {what} {path} {why}")
    } else {
        format!("{what} {path} {why}")
    };
    let problem = Problem::warning(place, message);
    Some(match help {
        Some(help) => problem.help(help),
        None => problem,
    })
}

/// What helps where a file is too large to be read at every start.
const SMALLER: &str = "is this the right file? Use a smaller one";

/// What in an `env_file` keeps the job from starting.
fn flawed_env_file(file: &File) -> Option<(String, &'static str)> {
    let mut text = Vec::new();
    file.take(env_file::MAX + 1).read_to_end(&mut text).ok()?;
    if text.len() as u64 > env_file::MAX {
        return Some((larger_than(env_file::MAX), SMALLER));
    }
    let flaw = env_file::parse(&text).err()?;
    let help = "write lines as NAME=value, and close each quote on the same line";
    Some((format!("cannot be used, {}", flaw.text()), help))
}

/// What is wrong with a secret that is too short, or too large. None is read for the latter.
fn unfit_secret(file: &File) -> Option<(String, &'static str)> {
    const READ: u64 = 4096;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > READ {
        return (meta.len() > MAX_SECRET).then(|| (larger_than(MAX_SECRET), SMALLER));
    }
    let mut value = Vec::new();
    file.take(READ).read_to_end(&mut value).ok()?;
    too_short(&value)
}
