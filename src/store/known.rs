//! Which store is a jobfile's where nobody says it, and what else there is that may be meant.
//!
//! It is named after the jobfile's path as it was given (`crate::sys::paths`). Where there is none of
//! that name, there may be one of another spelling of the path, or the file may have been moved:
//! whoever moves a jobfile does not mean to lose its past, its pauses and the jobs that were added.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::location::{self, Location};
use crate::core::sort;
use crate::problem::clean;
use crate::sys::file_id::FileId;
use crate::sys::paths;

/// So many stores are looked into.
const MOST: usize = 64;

/// So many are told of.
const MOST_TOLD: usize = 3;

/// The store of a jobfile for which nobody says anything, and what there is to say about that, each
/// a sentence without a full stop.
#[derive(Debug)]
pub struct Chosen {
    /// The store.
    pub location: Location,
    /// What there is to say.
    pub remarks: Vec<String>,
}

/// Chooses the store of a jobfile for a scheduler. If it has one under another spelling of its path,
/// that gets this name as well.
pub fn choose(jobfile: &Path) -> Chosen {
    if !cfg!(feature = "sqlite") {
        return Chosen { location: Location::Memory, remarks: Vec::new() };
    }
    let own = paths::default_store(jobfile);
    let chosen = |path, remarks| Chosen { location: Location::Default(path), remarks };
    if own.exists() {
        return chosen(own, Vec::new());
    }
    if let Some(other) = paths::default_stores(jobfile).into_iter().find(|path| path.exists()) {
        let (linked, remark) = adopt(&own, &other, jobfile);
        return chosen(if linked { own } else { other }, vec![remark]);
    }
    let known = known(own.parent().unwrap_or(Path::new("")));
    if let Some(Known { store, jobfile: Some(other) }) = known.iter().find(|one| one.is_of(jobfile))
    {
        let remark = format!(
            "{} is the same file as {}, and continues with its store, {}",
            shown(jobfile),
            shown(other),
            shown(store)
        );
        return chosen(store.clone(), vec![remark]);
    }
    let remarks = known.iter().filter_map(|one| one.moved_to(jobfile)).take(MOST_TOLD).collect();
    chosen(own, remarks)
}

/// Gives a store this name as well. Its file stays where it is, with its log and its lock, so that
/// nothing can go wrong half-way, and an earlier version finds it, too.
fn adopt(own: &Path, other: &Path, jobfile: &Path) -> (bool, String) {
    // A link to a store that is no more.
    if own.is_symlink() {
        let _ = fs::remove_file(own);
    }
    let linked = match other.file_name() {
        Some(name) => symlink(name, own).is_ok(),
        None => false,
    };
    let name = if linked { format!(", and now also {}", shown(own)) } else { String::new() };
    let remark = format!(
        "the store of {} is {}, named after another spelling of its path{name}",
        shown(jobfile),
        shown(other)
    );
    (linked, remark)
}

/// Asks whoever runs a jobfile, under whatever name, for its store (`crate::control::jobfile_lock`).
pub(crate) type Running = fn(&Path) -> Option<PathBuf>;

/// Where a reader looks for the store of a jobfile for which nobody says anything, best first.
pub(crate) fn candidates(jobfile: &Path, running: Running) -> Vec<PathBuf> {
    let mut found = paths::store_candidates(jobfile);
    if found.iter().any(|path| path.exists()) {
        return found;
    }
    found.extend(running(jobfile));
    let known = known(&paths::state_directory());
    found.extend(known.into_iter().filter(|one| one.is_of(jobfile)).map(|one| one.store));
    found
}

/// The same for one that is to be at `path`.
pub(crate) fn also_of_running(path: PathBuf, jobfile: &Path, running: Running) -> Vec<PathBuf> {
    std::iter::once(path).chain(running(jobfile)).collect()
}

/// What there is to say to somebody who looks for the store of a jobfile that has none: each a
/// sentence without a full stop.
pub(crate) fn moved(jobfile: &Path) -> Vec<String> {
    let known = known(&paths::state_directory());
    known.iter().filter_map(|one| one.moved_to(jobfile)).take(MOST_TOLD).collect()
}

/// A store in the state directory.
#[derive(Debug)]
struct Known {
    store: PathBuf,
    /// What has been run with it the last time, if it says so: an absolute path.
    jobfile: Option<PathBuf>,
}

/// The stores in a directory, those first that were used last.
fn known(directory: &Path) -> Vec<Known> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut stores: Vec<_> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "db"))
        .take(MOST)
        .map(|path| (fs::metadata(&path).and_then(|found| found.modified()).ok(), path))
        .collect();
    sort::all(&mut stores);
    let look = |(_, store): (_, PathBuf)| {
        let reader = location::reader(&Location::Sqlite(store.clone()));
        let sessions = reader.and_then(|mut reader| reader.sessions()).unwrap_or_default();
        let jobfile = sessions.last().map(|session| PathBuf::from(&*session.jobfile));
        Known { store, jobfile: jobfile.filter(|path| path.is_absolute()) }
    };
    stores.into_iter().rev().map(look).collect()
}

impl Known {
    /// Whether it is the store of a file that now has another name as well.
    fn is_of(&self, jobfile: &Path) -> bool {
        let own = self.jobfile.as_deref().and_then(FileId::at);
        own.is_some() && own == FileId::at(jobfile)
    }

    /// What to say if the jobfile may be this store's, which was moved.
    fn moved_to(&self, jobfile: &Path) -> Option<String> {
        let given = paths::as_given(jobfile);
        let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let what = match &self.jobfile {
            Some(old) => {
                let is_like =
                    old.file_name() == given.file_name() || old.parent() == given.parent();
                if !is_like || old.symlink_metadata().is_ok() {
                    return None;
                }
                format!("{}, which no longer exists", shown(old))
            }
            // An earlier version has kept the name only.
            None => {
                let name = stem(&self.store)?;
                let (name, _) = name.rsplit_once('-')?;
                if Some(name) != stem(&given).as_deref() {
                    return None;
                }
                "a jobfile with the same name".to_owned()
            }
        };
        let store = crate::sys::trust::quoted(&self.store);
        Some(format!(
            "{} was never run here, but {what} has a store: if this is that file, moved, continue \
             its history with `--store sqlite:{store}`",
            shown(jobfile)
        ))
    }
}

fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy()).into_owned()
}
