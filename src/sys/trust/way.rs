//! The way to a file: every directory and every link that its path leads through, from `/` on.
//!
//! Whoever can write to one of these directories decides which file the path names, however well the
//! file itself is guarded. The way is walked a step at a time on open descriptors, and links are
//! followed by hand, because the directories on the way to a link's target count as well. It can be
//! walked after the file was opened: somebody who could have exchanged the file in between has to
//! stand on the way, and cannot make the directory that they stand in root's.
//!
//! In a directory with the sticky bit (`/tmp`) everyone can make files, but only those of their own:
//! there the owner of the next step is what counts. A file with a second name is none of them: it
//! can be anybody's link to it, where the machine allows such (`fs.protected_hardlinks = 0`).

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, StatVfsMountFlags, fstat, fstatfs, fstatvfs,
    openat, readlinkat, statat,
};

use super::{Doubt, Owners, is_nobody, quoted, writers};

/// As the kernel does, so that links that lead in a circle end.
const MAX_LINKS: u32 = 40;

/// `PROC_SUPER_MAGIC`.
const PROC: i64 = 0x9fa0;

const STICKY: u32 = 0o1000;

/// What was found on the way.
#[derive(Debug)]
pub(crate) struct Way {
    /// What speaks against it: the first thing that is grave, else the first.
    pub(crate) doubt: Option<Doubt>,
    /// The file at its end; an error where it cannot be walked to the end. What was seen until then
    /// is in `doubt` all the same.
    pub(crate) end: io::Result<Stat>,
    /// A link was followed.
    pub(crate) has_links: bool,
}

/// Walks to what a path names. With `strict`, a sticky directory is a place that others can fill:
/// a file of root's can have been moved there from a directory of theirs.
pub(crate) fn follow(path: &Path, owners: Owners, strict: bool) -> Way {
    let path = match std::path::absolute(path) {
        Ok(path) => path,
        Err(error) => return Way { doubt: None, end: Err(error), has_links: false },
    };
    let mut walker = match Walker::at_root(owners, strict) {
        Ok(walker) => walker,
        Err(error) => return Way { doubt: None, end: Err(error), has_links: false },
    };
    let end = walker.walk(path.as_os_str());
    Way { doubt: walker.doubt, end, has_links: walker.links > 0 }
}

/// Walks to many files, most of which are in the same directory as the one before.
#[derive(Debug)]
pub(crate) struct Ways {
    owners: Owners,
    /// The directory of the last file, as it was named, and who walked to it.
    last: Option<(PathBuf, Walker)>,
}

impl Ways {
    pub(crate) fn new(owners: Owners) -> Ways {
        Ways { owners, last: None }
    }

    pub(crate) fn owners(&self) -> Owners {
        self.owners
    }

    /// What speaks against the way to a file.
    pub(crate) fn doubt(&mut self, path: &Path) -> Option<Doubt> {
        let in_it = |(directory, walker): &(PathBuf, Walker)| {
            let name = path.file_name()?;
            let same = path.parent() == Some(directory) && !walker.shared;
            let found = statat(&walker.here, name, AtFlags::SYMLINK_NOFOLLOW).ok();
            let is_file =
                |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            Some(walker.doubt.clone()).filter(|_| same && found.as_ref().is_some_and(is_file))
        };
        if let Some(doubt) = self.last.as_ref().and_then(in_it) {
            return doubt;
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        let walk = || {
            let mut walker = Walker::at_root(self.owners, false)?;
            walker.walk(std::path::absolute(parent.join("."))?.as_os_str())?;
            io::Result::Ok(walker)
        };
        self.last = walk().ok().map(|walker| (parent.to_path_buf(), walker));
        match self.last.as_ref().and_then(in_it) {
            Some(doubt) => doubt,
            None => follow(path, self.owners, false).doubt,
        }
    }
}

#[derive(Debug)]
struct Walker {
    owners: Owners,
    strict: bool,
    /// The directory that has been reached, and the path to it, free of links.
    here: OwnedFd,
    path: PathBuf,
    /// Everyone may make files in it, each their own.
    shared: bool,
    /// `/` belongs to somebody who has no number here, and so does all that is the machine's own.
    root_is_nobody: bool,
    links: u32,
    doubt: Option<Doubt>,
}

impl Walker {
    fn at_root(owners: Owners, strict: bool) -> io::Result<Walker> {
        let here = open(CWD, OsStr::new("/"))?;
        let stat = fstat(&here)?;
        let root_is_nobody = !owners.include(stat.st_uid) && is_nobody(stat.st_uid);
        let path = PathBuf::from("/");
        let mut walker = Walker {
            owners,
            strict,
            here,
            path,
            shared: false,
            root_is_nobody,
            links: 0,
            doubt: None,
        };
        walker.judge_directory(&stat);
        Ok(walker)
    }

    /// Goes on from here, step by step.
    fn walk(&mut self, path: &OsStr) -> io::Result<Stat> {
        let mut ahead = steps(path);
        let mut last = fstat(&self.here)?;
        while let Some(step) = ahead.pop_front() {
            // A directory with a `/` behind it, or `.`, is that directory.
            if step == "." {
                continue;
            }
            let found = statat(&self.here, step.as_os_str(), AtFlags::SYMLINK_NOFOLLOW)?;
            last = found;
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Symlink => {
                    self.judge_entry(&step, &found);
                    if ahead.is_empty() && self.is_descriptor()? {
                        return Ok(statat(&self.here, step.as_os_str(), AtFlags::empty())?);
                    }
                    self.turn(&step, &mut ahead)?;
                    last = fstat(&self.here)?;
                }
                FileType::Directory => {
                    if step != ".." {
                        self.judge_entry(&step, &found);
                    }
                    self.enter(&step)?;
                }
                _ if !ahead.is_empty() => return Err(io::ErrorKind::NotADirectory.into()),
                _ => self.judge_entry(&step, &found),
            }
        }
        Ok(last)
    }

    fn enter(&mut self, step: &OsStr) -> io::Result<()> {
        self.here = open(&self.here, step)?;
        if step == ".." {
            self.path.pop();
        } else {
            self.path.push(step);
        }
        let stat = fstat(&self.here)?;
        self.judge_directory(&stat);
        Ok(())
    }

    /// Goes where a link leads.
    fn turn(&mut self, step: &OsStr, ahead: &mut VecDeque<OsString>) -> io::Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(io::Error::from_raw_os_error(libc::ELOOP));
        }
        let target = OsString::from_vec(readlinkat(&self.here, step, Vec::new())?.into_bytes());
        for step in steps(&target).into_iter().rev() {
            ahead.push_front(step);
        }
        if target.as_bytes().first() == Some(&b'/') {
            self.here = open(CWD, OsStr::new("/"))?;
            self.path = PathBuf::from("/");
            self.judge_directory(&fstat(&self.here)?);
        }
        Ok(())
    }

    /// Whether a link in this directory is none, but an open file of this process: whoever gave it
    /// vouches for it.
    fn is_descriptor(&self) -> io::Result<bool> {
        is_in_proc(&self.here)
    }

    fn judge_directory(&mut self, stat: &Stat) {
        let writable = writers(stat.st_mode);
        self.shared = writable.is_some() && stat.st_mode & STICKY != 0;
        let name = self.path.display();
        if let Some((who, change)) = writable.filter(|_| !self.shared) {
            let what = format!("the directory {name} can be written to by {who}");
            self.add(what, &format!("chmod {change} {}", quoted(&self.path)), stat.st_uid);
        } else if !self.is_known(stat.st_uid) {
            let what =
                format!("the directory {name} belongs to another user (uid {})", stat.st_uid);
            self.add(what, "", stat.st_uid);
        }
    }

    /// A name in a directory in which everyone may make their own.
    fn judge_entry(&mut self, step: &OsStr, stat: &Stat) {
        if !self.shared {
            return;
        }
        let path = self.path.join(step);
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let (here, name) = (self.path.display(), path.display());
        if !self.owners.include(stat.st_uid) {
            let what = format!(
                "{here} is open to everyone, and {name} there belongs to another user (uid {})",
                stat.st_uid
            );
            self.add(what, "", stat.st_uid);
        } else if !is_directory && (self.strict || stat.st_nlink > 1) {
            let what = if self.strict {
                format!("everyone can put files into {here}")
            } else {
                format!("{here} is open to everyone, and {name} there has another name elsewhere")
            };
            self.add(what, "", stat.st_uid);
        }
    }

    fn is_known(&self, uid: u32) -> bool {
        self.owners.include(uid) || self.root_is_nobody && is_nobody(uid)
    }

    fn add(&mut self, what: String, repair: &str, owner: u32) {
        if self.doubt.as_ref().is_some_and(|doubt| doubt.grave) {
            return;
        }
        let read_only =
            fstatvfs(&self.here).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
        let grave = self.owners.knows(owner) && !read_only;
        if self.doubt.is_some() && !grave {
            return;
        }
        let elsewhere = match self.owners.reader {
            0 => "move the file to a directory that only root can write to, such as /etc/schedrs",
            _ => "move the file to a directory that only you can write to",
        };
        let help = match repair {
            "" => elsewhere.to_owned(),
            repair => format!("{repair}, or {elsewhere}"),
        };
        let what = format!("can be replaced by others: {what}");
        self.doubt = Some(Doubt { what, help, grave });
    }
}

/// Whether an open file or directory is the kernel's word on processes.
pub(crate) fn is_in_proc(file: impl std::os::fd::AsFd) -> io::Result<bool> {
    Ok(fstatfs(file)?.f_type as i64 == PROC)
}

/// The names in a path, one after the other.
fn steps(path: &OsStr) -> VecDeque<OsString> {
    let names = path.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    names.map(|name| OsStr::from_bytes(name).to_owned()).collect()
}

fn open(from: impl std::os::fd::AsFd, step: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(from, step, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// Directories `a/b`, of which `a/b/file` is the file that is meant.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let at = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(at.join("a/b")).unwrap();
        fs::write(at.join("a/b/file"), "").unwrap();
        for made in ["a", "a/b"] {
            set_mode(&at.join(made), 0o755);
        }
        (dir, at)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn doubt(path: &Path, strict: bool) -> Option<String> {
        Some(follow(path, Owners::of_this_process(None), strict).doubt?.what)
    }

    #[test]
    fn every_directory_counts() {
        // (directory, its mode, what is said of it)
        let rows = [
            ("a/b", 0o755, None),
            ("a/b", 0o775, Some("a/b can be written to by its group")),
            ("a/b", 0o757, Some("a/b can be written to by everyone")),
            ("a", 0o2775, Some("a can be written to by its group")),
            ("a", 0o777, Some("a can be written to by everyone")),
            // Everyone may make files there, but not take ours away.
            ("a", 0o1777, None),
            ("a/b", 0o1777, None),
        ];
        for (directory, mode, said) in rows {
            let (_dir, at) = place();
            set_mode(&at.join(directory), mode);
            let found = doubt(&at.join("a/b/file"), false);
            let said = said.map(|said| {
                format!("can be replaced by others: the directory {}/{said}", at.display())
            });
            assert_eq!(found, said, "{directory} {mode:o}");
            // What is not there yet would be there.
            assert_eq!(doubt(&at.join("a/b/new"), false), said, "{directory} {mode:o}");
        }
    }

    #[test]
    fn the_way_to_a_links_target_counts() {
        let links = [
            ("link", "a/b/file", "link"),
            ("link", "a/b", "link/file"),
            ("a/link", "../other", "a/link/../a/b/file"),
            ("link", "second/../a", "link/b/file"),
        ];
        for (name, target, path) in links {
            let (_dir, at) = place();
            for made in ["other", "second"] {
                fs::create_dir(at.join(made)).unwrap();
                set_mode(&at.join(made), 0o755);
            }
            let target = if target.starts_with("..") { target.into() } else { at.join(target) };
            symlink(target, at.join(name)).unwrap();
            assert_eq!(doubt(&at.join(path), false), None, "{path}");
            set_mode(&at.join("a"), 0o777);
            assert!(doubt(&at.join(path), false).unwrap().contains("/a can be"), "{path}");
        }
    }

    #[test]
    fn a_link_that_leads_through_others_hands() {
        let (_dir, at) = place();
        fs::create_dir(at.join("open")).unwrap();
        symlink("../a/b/file", at.join("open/link")).unwrap();
        set_mode(&at.join("open"), 0o777);
        assert!(doubt(&at.join("open/link"), false).unwrap().contains("/open can be"));
        // Only on the way, and left again.
        assert!(doubt(&at.join("open/../a/b/file"), false).unwrap().contains("/open can be"));
    }

    #[test]
    fn another_name_in_a_directory_that_is_open_to_everyone() {
        let (_dir, at) = place();
        set_mode(&at.join("a"), 0o1777);
        fs::hard_link(at.join("a/b/file"), at.join("a/file")).unwrap();
        let found = doubt(&at.join("a/file"), false).unwrap();
        assert!(found.ends_with("a/file there has another name elsewhere"), "{found}");
        fs::remove_file(at.join("a/b/file")).unwrap();
        assert_eq!(doubt(&at.join("a/file"), false), None);
        let strict = doubt(&at.join("a/file"), true).unwrap();
        assert!(strict.contains("everyone can put files into"), "{strict}");
    }

    #[test]
    fn a_way_that_does_not_end() {
        let (_dir, at) = place();
        symlink("b", at.join("a/loop")).unwrap();
        fs::remove_dir_all(at.join("a/b")).unwrap();
        symlink("loop", at.join("a/b")).unwrap();
        let way = follow(&at.join("a/loop/x"), Owners::of_this_process(None), false);
        assert_eq!(way.end.unwrap_err().raw_os_error(), Some(libc::ELOOP));
        for path in ["a/none/x", "../none", "a/b/file/x"] {
            let (_dir, at) = place();
            assert!(follow(&at.join(path), Owners::of_this_process(None), false).end.is_err());
        }
    }

    #[test]
    fn what_is_at_the_end() {
        use std::os::unix::fs::MetadataExt;
        let (_dir, at) = place();
        symlink("b/file", at.join("a/link")).unwrap();
        let inode = fs::metadata(at.join("a/b/file")).unwrap().ino();
        for path in ["a/b/file", "a/link", "a/./b/../link"] {
            let way = follow(&at.join(path), Owners::of_this_process(None), false);
            assert_eq!(way.end.unwrap().st_ino, inode, "{path}");
        }
        let mut ways = Ways::new(Owners::of_this_process(None));
        set_mode(&at.join("a"), 0o777);
        for path in ["a/b/file", "a/b/file", "a/link"] {
            assert!(ways.doubt(&at.join(path)).is_some(), "{path}");
        }
        set_mode(&at.join("a"), 0o755);
        assert!(ways.doubt(&at.join("a/link")).is_none());
    }
}
