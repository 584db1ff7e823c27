//! The files of a jobfile as they were when they were read, so that it can be told that somebody has
//! edited them since.
//!
//! A file is looked at again by its inode, length and times; where these are others, by what is in
//! it, so that one that was only touched, or written anew with the same text, is as before.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustc_hash::FxHasher;

use crate::core::sort;
use crate::sys::file_id::FileId;

/// As many links are followed to where a file is.
const LINKS: usize = 40;

/// Which file it is, how long, and when it was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: FileId,
    size: u64,
    written: Option<SystemTime>,
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Stamp {
        Stamp { file: FileId::of(meta), size: meta.len(), written: meta.modified().ok() }
    }

    fn at(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().filter(Metadata::is_file).as_ref().map(Stamp::of)
    }
}

/// A file, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    /// `None`: it could not be read.
    stamp: Option<Stamp>,
    text: u64,
}

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnDisk {
    files: Vec<Seen>,
    /// Those of its calendars, which change by themselves.
    calendars: Vec<Seen>,
    /// Patterns of `include`, and the files that they matched.
    patterns: Vec<(String, Vec<PathBuf>)>,
}

impl OnDisk {
    /// Remembers a file that was read, or could not be.
    pub(super) fn saw(&mut self, path: &Path, read: Option<(Stamp, &str)>) {
        self.files.push(Seen::of(path, read));
    }

    /// The same for the file of a calendar.
    pub(super) fn saw_calendar(&mut self, path: &Path, read: Option<(Stamp, &str)>) {
        self.calendars.push(Seen::of(path, read));
    }

    /// Whether there are files of calendars.
    pub fn has_calendars(&self) -> bool {
        !self.calendars.is_empty()
    }

    /// Whether one of these is another by now. Reads the disk.
    pub fn is_calendar_changed(&self) -> bool {
        self.calendars.iter().any(|file| file.unless_changed().is_none())
    }

    /// The directories in which something happens when one of these becomes another.
    pub fn calendar_directories(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        self.calendars.iter().for_each(|file| add_way(&mut found, &file.path));
        found
    }

    /// What it is without these.
    pub fn without_calendars(&self) -> OnDisk {
        OnDisk { calendars: Vec::new(), ..self.clone() }
    }

    /// Remembers what a pattern matched.
    pub(super) fn matched(&mut self, pattern: String, files: Vec<PathBuf>) {
        self.patterns.push((pattern, files));
    }

    /// Whether something else is there by now. Reads the disk.
    pub fn is_changed(&self) -> bool {
        self.unless_changed().is_none()
    }

    /// The same as it looks by now, unless something else is there: a file that was only touched is
    /// not read again the next time. Reads the disk.
    pub fn unless_changed(&self) -> Option<OnDisk> {
        let files = self.files.iter().map(Seen::unless_changed).collect::<Option<Vec<Seen>>>()?;
        let calendars = self.calendars.iter().map(Seen::unless_changed);
        let calendars = calendars.collect::<Option<Vec<Seen>>>()?;
        let is_same = |(pattern, files): &(String, Vec<PathBuf>)| matching(pattern) == *files;
        let patterns = self.patterns.iter().all(is_same).then(|| self.patterns.clone())?;
        Some(OnDisk { files, calendars, patterns })
    }

    /// The directories in which something happens when one of the files becomes another: those of
    /// the paths, those of the links on the way and of what they lead to, the last that exists on the
    /// way to a file that does not, and those that patterns look into.
    pub fn directories(&self) -> BTreeSet<PathBuf> {
        let mut found = self.calendar_directories();
        for (pattern, matched) in &self.patterns {
            matched.iter().for_each(|file| add_way(&mut found, file));
            // The last part is that of the files.
            for part in Path::new(pattern).ancestors().skip(1) {
                let text = part.to_string_lossy();
                let is_plain = !text.contains(['*', '?', '[']);
                // The way to anything that may come to be in it.
                if is_plain {
                    add_way(&mut found, &part.join("*"));
                    break;
                }
                let directories = matching(&text).into_iter().filter(|one| one.is_dir());
                directories.for_each(|one| add_way(&mut found, &one.join("*")));
            }
        }
        self.files.iter().for_each(|file| add_way(&mut found, &file.path));
        found
    }
}

/// Adds the directories on the way to a file in which something happens when the path comes to lead
/// elsewhere.
fn add_way(found: &mut BTreeSet<PathBuf>, path: &Path) {
    let parts = |path: &Path| -> Vec<PathBuf> {
        path.components().rev().map(|part| PathBuf::from(part.as_os_str())).collect()
    };
    let (mut here, mut rest, mut links) = (PathBuf::new(), parts(path), 0);
    while let Some(part) = rest.pop() {
        // No link is on the way here any more.
        if part.as_os_str() == ".." && here.file_name().is_some() {
            here.pop();
            continue;
        }
        let next = here.join(part);
        match fs::symlink_metadata(&next) {
            Ok(meta) if meta.is_symlink() && links < LINKS => {
                found.insert(directory(&here));
                links += 1;
                rest.extend(fs::read_link(&next).iter().flat_map(|target| parts(target)));
            }
            Ok(_) if !rest.is_empty() => here = next,
            // It is the file, or what would have to come first.
            _ => {
                found.insert(directory(&here));
                return;
            }
        }
    }
}

impl Seen {
    fn of(path: &Path, read: Option<(Stamp, &str)>) -> Seen {
        let (stamp, text) = read.unzip();
        let text = text.map_or(0, |text| hash(text.as_bytes()));
        Seen { path: path.to_path_buf(), stamp, text }
    }

    /// The same with its stamp of now, unless it is another by now.
    fn unless_changed(&self) -> Option<Seen> {
        let stamp = Stamp::at(&self.path);
        let is_same = match (stamp, self.stamp) {
            _ if stamp == self.stamp => true,
            (Some(now), Some(then)) if now.size == then.size => text_of(&self.path) == self.text,
            _ => false,
        };
        is_same.then(|| Seen { stamp, ..self.clone() })
    }
}

/// A path with no directory is in the one where schedrs was started.
fn directory(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_path_buf() }
}

fn text_of(path: &Path) -> u64 {
    fs::read(path).map_or(0, |bytes| hash(&bytes))
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    hasher.write_u8(1);
    hasher.finish()
}

/// The files that match a pattern now, in sorted order; what cannot be read is left out.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let paths = glob::glob_with(pattern, PATTERNS).into_iter().flatten();
    let mut found: Vec<PathBuf> = paths.flatten().collect();
    sort::all(&mut found);
    found
}

/// How patterns of `include` are read.
pub(super) const PATTERNS: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    // Editors leave hidden files behind that are no jobfiles.
    require_literal_leading_dot: true,
};

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::core::instant::Instant;
    use crate::core::zone::Database;

    fn load(path: &Path) -> OnDisk {
        let zones = Database::bundled();
        crate::jobfile::load_path(path, &zones, Instant::from_secs(1_800_000_000)).on_disk
    }

    const JOB: &str = "[jobs.a]\ncommand = 'true'\ninterval = '1h'\n";

    #[test]
    fn what_was_edited_is_changed_and_what_was_touched_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (main, more) = (dir.path().join("jobs.toml"), dir.path().join("d"));
        fs::create_dir(&more).unwrap();
        fs::write(&main, format!("include = ['d/*.toml', 'x.toml']\n{JOB}")).unwrap();
        fs::write(dir.path().join("x.toml"), "").unwrap();
        let again = |path: &Path, text: &str| {
            let new = dir.path().join("new");
            fs::write(&new, text).unwrap();
            fs::rename(new, path).unwrap();
        };
        let seen = load(&main);
        assert!(!seen.is_changed());
        // Written anew with the same text, as some editors do.
        again(&main, &fs::read_to_string(&main).unwrap());
        assert!(!seen.is_changed());
        // Of the same length.
        again(&main, &fs::read_to_string(&main).unwrap().replace("1h", "2h"));
        assert!(seen.is_changed());
        // A file that is included comes, is another and goes.
        let before = load(&main);
        fs::write(more.join("b.toml"), JOB.replace("jobs.a", "jobs.b")).unwrap();
        assert!(before.is_changed());
        let seen = load(&main);
        again(&more.join("b.toml"), "");
        assert!(seen.is_changed());
        fs::remove_file(more.join("b.toml")).unwrap();
        assert!(seen.is_changed());
        assert!(!before.is_changed(), "all is as it was");
        fs::remove_file(dir.path().join("x.toml")).unwrap();
        let without = load(&main);
        assert!(before.is_changed() && !without.is_changed());
        fs::write(dir.path().join("x.toml"), "").unwrap();
        assert!(without.is_changed());
    }

    #[test]
    fn what_was_only_touched_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("jobs.toml");
        fs::write(&main, JOB).unwrap();
        let seen = load(&main);
        fs::File::options()
            .write(true)
            .open(&main)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        let again = seen.unless_changed().unwrap();
        assert_ne!(again, seen);
        assert_eq!(again.unless_changed(), Some(again));
        fs::write(&main, JOB.replace("1h", "2h")).unwrap();
        assert_eq!(seen.unless_changed(), None);
    }

    /// What the jobfile is or includes, and where something happens when that becomes another.
    #[test]
    fn where_something_happens() {
        let make = |at: &dyn Fn(&str) -> PathBuf| {
            for name in ["real/v1", "conf/a", "conf/b", "conf/.hidden"] {
                fs::create_dir_all(at(name)).unwrap();
            }
            symlink("real/v1", at("link")).unwrap();
            symlink("../link/target.toml", at("conf/linked.toml")).unwrap();
            symlink("nowhere/x.toml", at("dangling.toml")).unwrap();
            symlink("loop", at("loop")).unwrap();
            for name in ["plain.toml", "real/v1/target.toml", "conf/a/jobs.toml"] {
                fs::write(at(name), "").unwrap();
            }
        };
        let rows: &[(&str, &[&str])] = &[
            ("plain.toml", &[""]),
            ("missing.toml", &[""]),
            ("not/there/yet.toml", &[""]),
            ("conf/not/yet.toml", &["conf"]),
            // Another directory may take the place of the one that the link leads to.
            ("link/target.toml", &["", "real/v1"]),
            ("conf/linked.toml", &["", "conf", "real/v1"]),
            ("dangling.toml", &[""]),
            ("loop", &[""]),
            ("conf/*.toml", &["", "conf", "real/v1"]),
            ("nothing/*.toml", &[""]),
            // Directories that come are seen in the one above them, files in those that are there.
            ("conf/*/jobs.toml", &["conf", "conf/a", "conf/b"]),
            ("con?/a/*.toml", &["", "conf", "conf/a"]),
            ("link/*.toml", &["", "real/v1"]),
        ];
        for (path, expected) in rows {
            let dir = tempfile::tempdir().unwrap();
            let root = fs::canonicalize(dir.path()).unwrap();
            let at = |name: &str| if name.is_empty() { root.clone() } else { root.join(name) };
            make(&at);
            let mut on_disk = OnDisk::default();
            let pattern = at(path).to_str().unwrap().to_owned();
            match path.contains(['*', '?']) {
                true => on_disk.matched(pattern.clone(), matching(&pattern)),
                false => on_disk.saw(&at(path), None),
            }
            let expected: BTreeSet<PathBuf> = expected.iter().map(|name| at(name)).collect();
            assert_eq!(on_disk.directories(), expected, "{path}");
        }
    }

    /// As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is turned.
    #[test]
    fn a_config_map_that_is_swapped() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, text) in [("..1", JOB.to_owned()), ("..2", JOB.replace("1h", "2h"))] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("jobs.toml"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/jobs.toml", at("jobs.toml")).unwrap();
        let seen = load(&at("jobs.toml"));
        assert!(!seen.is_changed());
        assert!(seen.directories().contains(dir.path()), "{:?}", seen.directories());
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(seen.is_changed());
        assert!(!load(&at("jobs.toml")).is_changed());
    }
}
