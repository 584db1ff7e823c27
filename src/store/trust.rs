//! Whether a store may be believed: who else can write to its files, or to a directory on the way
//! to them.
//!
//! A store holds commands (jobs that were added or changed at run time), so the rule is that of a
//! jobfile (`crate::sys::trust`). It is asked before anything is made, locked or opened, and by names
//! alone: closing a file of a database lets go of the locks that this process has on it. What it
//! refuses is never touched. Where others can make files beside it (`/tmp`), it is asked once more
//! when it is open, since SQLite opens the parts of a database by name.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, lstat};

use super::refuse::Refuse;
use super::{StoreError, Trouble};
use crate::sys::trust::way::follow;
use crate::sys::trust::{Doubt, Owners, stat_doubt};

/// What SQLite takes for a part of a database: it goes by what is in it, even where it makes none
/// itself (`-journal`), and opens it through links and without asking what it is.
const PARTS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// What we put beside it ourselves (`super::lock`).
const LOCK: &str = ".lock";

/// Judges a store that is about to be written. Answers a warning, which finishes "the store ...".
pub(super) fn for_writing(path: &Path, refuse: Refuse) -> Result<Option<String>, StoreError> {
    refuse_what_is_no_file(path)?;
    let Some((file, doubt)) = doubt(path) else { return Ok(None) };
    let (shown, is_root) = (file.display(), is_root());
    if !doubt.grave || refuse == Refuse::Never || refuse == Refuse::AsRoot && !is_root {
        return Ok(Some(format!("{shown} {} ({})", doubt.what, doubt.help)));
    }
    let who = if is_root { "by root" } else { "with `user`" };
    Err(untrusted(format!(
        "{shown} {}, and jobs that it holds are run {who}; {}, or use another store; to use it all \
         the same: `--trust`",
        doubt.what, doubt.help
    )))
}

/// Judges a store that is about to be read: what root is told of it, root may act on.
pub(super) fn for_reading(path: &Path) -> Result<(), StoreError> {
    refuse_what_is_no_file(path)?;
    let Some((file, doubt)) = doubt(path).filter(|(_, doubt)| doubt.grave && is_root()) else {
        return Ok(());
    };
    Err(untrusted(format!(
        "{} {}, so root does not go by it; {}, or ask as the user whose store it is: `sudo -u USER \
         schedrs ...`",
        file.display(),
        doubt.what,
        doubt.help
    )))
}

/// Whoever may make files beside a store must not lead it elsewhere, nor make it wait.
fn refuse_what_is_no_file(path: &Path) -> Result<(), StoreError> {
    for part in PARTS.map(|suffix| beside(path, suffix)) {
        let what = match lstat(&part).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Err(_) | Ok(FileType::RegularFile) => continue,
            Ok(FileType::Symlink) => "is a symbolic link",
            Ok(_) => "is not a regular file",
        };
        return Err(untrusted(format!(
            "{} would be read as part of the store, but {what}; remove it, or use another store",
            part.display()
        )));
    }
    Ok(())
}

/// A file beside a database, which may be called by the name of a link to it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut name = real.into_os_string();
    name.push(suffix);
    name.into()
}

fn untrusted(message: String) -> StoreError {
    StoreError::new(Trouble::Untrusted, message)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What speaks against a store, and the file that it is about: what is grave, if anything is.
fn doubt(path: &Path) -> Option<(PathBuf, Doubt)> {
    let owners = Owners::of_this_process(None);
    let way = follow(path, owners, false);
    let mut found: Vec<(PathBuf, Doubt)> = Vec::new();
    let mut look = |path: &Path, stat: &Stat| {
        let doubt = stat_doubt(stat, path, owners);
        found.extend(doubt.map(|doubt| (path.to_path_buf(), doubt)));
    };
    if let Ok(stat) = &way.end {
        // A directory or a device is no store: nobody should change its mode to make it one.
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        look(path, stat);
    }
    for beside in PARTS.into_iter().chain([LOCK]).map(|suffix| beside(path, suffix)) {
        // No lock is opened through a link, and no part of it is a link.
        if let Ok(stat) = lstat(&beside)
            && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        {
            look(&beside, &stat);
        }
    }
    found.extend(way.doubt.map(|doubt| (path.to_path_buf(), doubt)));
    let grave = found.iter().position(|(_, doubt)| doubt.grave);
    found.into_iter().nth(grave.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn every_file_and_every_directory_counts() {
        let rows = [
            ("x.db", 0o600, None),
            ("x.db", 0o644, None),
            ("x.db", 0o660, Some("x.db can be written to by its group")),
            ("x.db-wal", 0o666, Some("x.db-wal can be written to by everyone")),
            ("x.db-shm", 0o606, Some("x.db-shm can be written to by everyone")),
            ("x.db-journal", 0o620, Some("x.db-journal can be written to by its group")),
            ("x.db.lock", 0o660, Some("x.db.lock can be written to by its group")),
            ("", 0o770, Some("x.db can be replaced by others: the directory ")),
        ];
        for (name, mode, said) in rows {
            let dir = tempfile::tempdir().unwrap();
            let path = fs::canonicalize(dir.path()).unwrap().join("x.db");
            for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
                let file = format!("{}{suffix}", path.display());
                fs::write(&file, "").unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            }
            let changed = dir.path().join(name);
            fs::set_permissions(changed, fs::Permissions::from_mode(mode)).unwrap();
            let Some(said) = said else {
                assert_eq!(for_writing(&path, Refuse::Always), Ok(None), "{name} {mode:o}");
                continue;
            };
            let error = for_writing(&path, Refuse::Always).unwrap_err();
            assert_eq!(error.kind, Trouble::Untrusted);
            assert!(error.message.contains(said), "{error}");
            let warning = for_writing(&path, Refuse::Never).unwrap().unwrap();
            assert!(warning.contains(said), "{warning}");
            assert_eq!(for_writing(&path, Refuse::AsRoot).is_err(), is_root());
            assert_eq!(for_reading(&path).is_err(), is_root());
        }
    }

    #[test]
    fn a_part_that_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(dir.path()).unwrap().join("x.db");
        fs::write(&path, "").unwrap();
        let target = dir.path().join("target");
        fs::write(&target, "").unwrap();
        for part in PARTS.map(|suffix| beside(&path, suffix)) {
            let refused = |said: &str| {
                for error in [for_writing(&path, Refuse::Never).err(), for_reading(&path).err()] {
                    let error = error.unwrap();
                    assert_eq!(error.kind, Trouble::Untrusted);
                    assert!(error.message.contains(&part.display().to_string()), "{error}");
                    assert!(error.message.contains(said), "{error}");
                }
            };
            std::os::unix::fs::symlink(&target, &part).unwrap();
            refused("is a symbolic link");
            fs::remove_file(&part).unwrap();
            fs::create_dir(&part).unwrap();
            refused("is not a regular file");
            fs::remove_dir(&part).unwrap();
            assert_eq!(for_writing(&path, Refuse::Always), Ok(None));
        }
    }

    #[test]
    fn a_refused_store_is_left_where_it_is() {
        use crate::store::location::{self, Location};

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        // Damaged, and with the lock of a store beside it: it would be moved aside.
        fs::write(&path, vec![b'x'; 4096]).unwrap();
        fs::write(dir.path().join("x.db.lock"), "1\nstore\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        for location in [Location::Sqlite(path.clone()), Location::Default(path.clone())] {
            let opened = location::open_unless(&location, Refuse::Always);
            assert_eq!(opened.unwrap_err().kind, Trouble::Untrusted);
            let opened = location::reopen(&location, Refuse::Always);
            assert_eq!(opened.unwrap_err().kind, Trouble::Untrusted);
        }
        assert_eq!(fs::read(&path).unwrap(), vec![b'x'; 4096]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is made");
        assert!(location::open_unless(&Location::Sqlite(path), Refuse::Never).is_ok());
    }
}
