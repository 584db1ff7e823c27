//! The jobfile: the TOML as typed, with the place of every word, turned into jobs as meant.
//!
//! [`load_path`] reads a file and those it includes and gives back a [`JobSet`] together with
//! every problem found on the way, in one pass. The TOML is read a table at a time and forgotten
//! as soon as a job is made of it, so that a file of a million jobs takes little more memory than
//! its jobs do:
//!
//! `read` (bytes, bounded) → `chunk` (cut at headers; `statement` knows where they are) → `parse` (by
//! the `toml` crate; `mend` and `blame` go on without what is wrong, and say what that is) → `tree`
//! (values with their places) → `sections`, `notify`, and for the jobs `build`, with `options`,
//! `command`, `secret`, `ping`, `when` and `warn`; `load` runs all that over a file and its `include`s. `value` gets at typed values,
//! `keys` knows the names, `json_schema` tells them to editors, `locate` finds the file that is
//! meant when none is named. `builder` makes jobs at run time by the same rules, and `write` is the
//! way back, from jobs to a jobfile. `on_disk` tells when the files are edited.

mod after;
mod blame;
mod build;
mod builder;
mod calendars;
mod chains;
mod chunk;
mod combined;
mod command;
mod conditions;
mod elsewhere;
mod foreign;
mod include;
pub(crate) mod inline;
mod interval;
pub(crate) mod json_schema;
pub(crate) mod keys;
mod limits;
mod load;
pub(crate) mod locate;
mod mend;
mod no_shell;
mod notify;
mod on_disk;
mod options;
mod parse;
mod percent;
mod ping;
mod read;
mod secret;
mod sections;
mod statement;
#[cfg(test)]
mod tests;
mod transport;
mod tree;
mod value;
mod warn;
mod web;
pub(crate) mod when;
pub mod write;

use std::path::Path;
use std::sync::Arc;

pub use builder::{Builder, masked};
use load::{Input, Loader};
pub use on_disk::OnDisk;

use crate::core::instant::Instant;
use crate::core::job::{JobSet, Options};
use crate::core::zone::Database;
use crate::problem::{self, Place, Problems, Sources};
use crate::sys::file_id::FileId;
use crate::sys::machine;
use crate::sys::terminal;
use crate::sys::trust::Doubt;

/// What a load gave.
#[derive(Debug)]
pub struct Loaded {
    /// The jobs; `None` when there was an error, because half of a jobfile is not what its author
    /// meant.
    pub set: Option<JobSet>,
    /// Everything that was wrong or odd, sorted. There may be warnings beside a set.
    pub problems: Problems,
    /// The files that were read, for showing problems. They hold the whole text: drop them when
    /// the problems have been shown.
    pub sources: Sources,
    /// What makes further jobs by the same rules, if there is a set.
    pub builder: Option<Builder>,
    pub(crate) origins: Option<Origins>,
    /// Which file the jobfile itself is, if it is one.
    pub(crate) read: Option<FileId>,
    /// The files as they were, to tell when they are edited.
    pub on_disk: OnDisk,
    /// What is to be thought of the files: `crate::run::trust`.
    pub(crate) files: FileFindings,
}

/// What a load found out about its files.
#[derive(Debug, Default)]
pub(crate) struct FileFindings {
    /// Those of the files that were read, by their numbers, that somebody else can change.
    pub(crate) doubtful: Vec<(u32, Doubt)>,
    /// Where jobs name files for their environments.
    pub(crate) named: Named,
}

/// Where options name files, and those options.
pub(crate) type Named = Vec<(Place, Arc<Options>)>;

impl Loaded {
    /// Writes the problems as text to standard error.
    pub fn report(&self) -> std::io::Result<()> {
        let width = terminal::columns(std::io::stderr());
        problem::print(&mut anstream::stderr().lock(), &self.problems, &self.sources, width)
    }
}

/// Where the values of a set come from.
#[derive(Debug)]
pub(crate) struct Origins {
    /// The keys of each job, in the order of [`JobSet::jobs`].
    pub(crate) jobs: Vec<Vec<(keys::Key, Place)>>,
    /// The keys of `[defaults]`.
    pub(crate) defaults: Vec<(keys::Key, Place)>,
    /// `[scheduler] timezone`.
    pub(crate) scheduler_timezone: Option<Place>,
}

/// Loads the jobfile at `path`, or from standard input when that is `-`, with the files it
/// includes. `now` is only used for warnings (a date in the past, a daylight-saving change ahead);
/// `TZ` is asked for the zone of jobs that name none.
pub fn load_path(path: &Path, zones: &Database, now: Instant) -> Loaded {
    load(path, zones, now, false)
}

/// The same, with a record of where each value comes from.
pub(crate) fn load_path_with_origins(path: &Path, zones: &Database, now: Instant) -> Loaded {
    load(path, zones, now, true)
}

fn load(path: &Path, zones: &Database, now: Instant, origins: bool) -> Loaded {
    let input = if path.as_os_str() == "-" { Input::Stdin } else { Input::Path(path) };
    Loader {
        zones,
        now,
        tz: crate::core::zone::tz_variable(),
        machine: machine::number(),
        host: Some(machine::host()),
        origins,
    }
    .load(input)
}

/// Loads a jobfile from a text. `name` stands for the file's name in problems; what it includes
/// is relative to the current directory; jobs that name no zone are in UTC.
pub fn load_text(name: &str, text: &str, zones: &Database, now: Instant) -> Loaded {
    load_text_in(Some("UTC".to_owned()), name, text, zones, now)
}

/// The same, with the value of `TZ` that says which zone jobs are in that name none.
pub(crate) fn load_text_in(
    tz: Option<String>,
    name: &str,
    text: &str,
    zones: &Database,
    now: Instant,
) -> Loaded {
    Loader { zones, now, tz, machine: 0, host: None, origins: false }
        .load(Input::Text { name, text })
}
