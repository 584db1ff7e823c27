//! Whether a file may say what is run: who, beside the reader and root, can change it.
//!
//! `crate::jobfile` asks it of jobfiles, `crate::run::child` of the files that a job's environment is
//! read from, `crate::store` of a store, which holds commands too. It is asked of the open file, so
//! that nothing can be swapped in between, and of all directories that led to it (`way`): whoever
//! can write to one of them chooses among the files that would pass for themselves.
//!
//! In a container these are not always the answers of the machine. Behind a read-only mount nobody
//! in here can write, whatever the mode says; and in a user namespace an owner without a number of
//! its own, which may well be the machine's root, is shown as "nobody". Both are doubts that only
//! deserve a warning.

pub(crate) mod way;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

#[cfg(feature = "sqlite")]
use rustix::fs::{Stat, statvfs};
use rustix::fs::{StatVfsMountFlags, fstatvfs};
use way::Ways;

/// Why a file cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// A fragment that continues "this file ...".
    pub(crate) what: String,
    /// What would be right.
    pub(crate) help: String,
    /// It is a reason to refuse the file, if what it says is run as somebody else.
    pub(crate) grave: bool,
}

/// The user ids that may own a file: the reader's own, root's and perhaps one more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owners {
    reader: u32,
    other: Option<u32>,
}

impl Owners {
    /// This process and root; `other` is the user whom nobody needs to be protected from, because
    /// what the file says is run as that user.
    pub(crate) fn of_this_process(other: Option<u32>) -> Owners {
        Owners { reader: rustix::process::geteuid().as_raw(), other }
    }

    fn include(self, uid: u32) -> bool {
        uid == 0 || uid == self.reader || Some(uid) == self.other
    }

    /// Whether it is known who a user id is: not one that stands for many.
    fn knows(self, uid: u32) -> bool {
        self.include(uid) || !is_nobody(uid)
    }
}

/// What speaks against an open file, which was found at `path`, and against the way to it.
pub(crate) fn doubt(file: &File, path: &Path, owners: Owners) -> Option<Doubt> {
    doubt_of_many(file, path, &mut Ways::new(owners))
}

/// The same, for one of many files.
pub(crate) fn doubt_of_many(file: &File, path: &Path, ways: &mut Ways) -> Option<Doubt> {
    let own = own_doubt(file, path, ways.owners());
    if own.as_ref().is_some_and(|doubt| doubt.grave) {
        return own;
    }
    let way = ways.doubt(path);
    match (own, way) {
        (Some(own), Some(way)) => Some(if way.grave { way } else { own }),
        (own, way) => own.or(way),
    }
}

/// What speaks against an open file itself.
fn own_doubt(file: &File, path: &Path, owners: Owners) -> Option<Doubt> {
    let meta = file.metadata().ok()?;
    let Suspicion { what, repair } = suspicion(meta.uid(), meta.mode(), owners)?;
    let mut help = format!("{repair} {}", quoted(path));
    if owners.reader == 0 && !owners.include(meta.uid()) {
        help.push_str(", or, in a container, mount it read-only");
    }
    let read_only = fstatvfs(file).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
    Some(Doubt { what, help, grave: owners.knows(meta.uid()) && !read_only })
}

/// What speaks against a file that is not to be opened, and that no person can read.
#[cfg(feature = "sqlite")]
pub(crate) fn stat_doubt(stat: &Stat, path: &Path, owners: Owners) -> Option<Doubt> {
    let Suspicion { what, repair } = suspicion(stat.st_uid, stat.st_mode, owners)?;
    let help = format!("after checking what is in it, {repair} {}", quoted(path));
    let read_only = statvfs(path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
    Some(Doubt { what, help, grave: owners.knows(stat.st_uid) && !read_only })
}

/// Whether this process may write at a path what it is told to: root only where nobody else can
/// choose what is there. The error finishes "it cannot be opened: ...".
pub(crate) fn may_write_at(path: &Path) -> io::Result<()> {
    let owners = Owners::of_this_process(None);
    if owners.reader != 0 {
        return Ok(());
    }
    match way::follow(path, owners, false).doubt.filter(|doubt| doubt.grave) {
        Some(doubt) => Err(io::Error::other(format!("it {} (help: {})", doubt.what, doubt.help))),
        None => Ok(()),
    }
}

/// Opens a file for appending, or makes it, for its owner alone. It is a regular file of that very
/// name: not what a link leads to, nor a FIFO that somebody would have to read.
pub(crate) fn append_to(path: &Path) -> io::Result<File> {
    let not_regular = || io::Error::other("it is not a regular file");
    let opened = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("it is a symbolic link"),
        Some(libc::ENXIO | libc::EISDIR) => not_regular(),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

#[derive(Debug, PartialEq, Eq)]
struct Suspicion {
    what: String,
    repair: String,
}

/// The rule itself.
fn suspicion(uid: u32, mode: u32, owners: Owners) -> Option<Suspicion> {
    if let Some((who, change)) = writers(mode) {
        let what = format!("can be written to by {who}");
        return Some(Suspicion { what, repair: format!("chmod {change}") });
    }
    if owners.include(uid) {
        return None;
    }
    let repair = match owners.reader {
        0 => "chown root".to_owned(),
        reader => format!("chown {reader}"),
    };
    Some(Suspicion { what: format!("belongs to another user (uid {uid})"), repair })
}

/// Who beside the owner may write, by the mode, and what `chmod` takes that away.
fn writers(mode: u32) -> Option<(&'static str, &'static str)> {
    match (mode & 0o020 != 0, mode & 0o002 != 0) {
        (false, false) => None,
        (true, false) => Some(("its group", "g-w")),
        (false, true) => Some(("everyone", "o-w")),
        (true, true) => Some(("everyone", "go-w")),
    }
}

/// Whether this is the number that stands for owners without one, as in a user namespace.
fn is_nobody(uid: u32) -> bool {
    let nobody = fs::read_to_string("/proc/sys/kernel/overflowuid");
    let nobody = nobody.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(65_534);
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    uid == nobody && !maps(&map, uid)
}

/// Whether a user namespace's map has a user of this number.
fn maps(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>().unwrap_or(0));
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        let first = first.unwrap_or(0);
        (first..first + count.unwrap_or(0)).contains(&u64::from(uid))
    })
}

/// A path as a shell takes it.
pub(crate) fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    let is_flag = path.starts_with('-');
    if !is_flag && path.chars().all(plain) {
        return path.into_owned();
    }
    format!("{}'{}'", if is_flag { "-- " } else { "" }, path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_own_and_write() {
        let root = Owners { reader: 0, other: None };
        let user = Owners { reader: 1000, other: None };
        let job = Owners { reader: 0, other: Some(33) };
        // (owner, mode, who reads it, what is wrong, how to repair it)
        let rows = [
            (0, 0o100_644, root, None),
            (0, 0o100_600, user, None),
            (1000, 0o100_600, user, None),
            (33, 0o100_640, job, None),
            (0, 0o100_664, root, Some(("can be written to by its group", "chmod g-w"))),
            (0, 0o100_646, user, Some(("can be written to by everyone", "chmod o-w"))),
            (33, 0o100_666, job, Some(("can be written to by everyone", "chmod go-w"))),
            (1000, 0o100_644, root, Some(("belongs to another user (uid 1000)", "chown root"))),
            (33, 0o100_644, user, Some(("belongs to another user (uid 33)", "chown 1000"))),
        ];
        for (uid, mode, owners, wrong) in rows {
            let wrong =
                wrong.map(|(what, repair)| Suspicion { what: what.into(), repair: repair.into() });
            assert_eq!(suspicion(uid, mode, owners), wrong, "{uid} {mode:o} {owners:?}");
        }
    }

    #[test]
    fn only_a_file_of_that_name_is_appended_to() {
        use std::io::Write;
        use std::os::unix::fs::symlink;

        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        append_to(&at("file")).unwrap().write_all(b"x").unwrap();
        append_to(&at("file")).unwrap().write_all(b"y").unwrap();
        assert_eq!(fs::read(at("file")).unwrap(), b"xy");
        assert_eq!(fs::metadata(at("file")).unwrap().mode() & 0o777, 0o600);
        symlink("file", at("link")).unwrap();
        symlink("none", at("dangling")).unwrap();
        fs::create_dir(at("directory")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        assert!(made.success());
        for (name, said) in [
            ("link", "it is a symbolic link"),
            ("dangling", "it is a symbolic link"),
            ("directory", "it is not a regular file"),
            ("fifo", "it is not a regular file"),
        ] {
            assert_eq!(append_to(&at(name)).unwrap_err().to_string(), said, "{name}");
        }
        // Even if somebody reads it.
        let open = || rustix::fs::open(at("fifo"), rustix::fs::OFlags::RDWR, 0.into());
        let _reader = open().unwrap();
        assert_eq!(append_to(&at("fifo")).unwrap_err().to_string(), "it is not a regular file");
        assert!(!at("none").exists());
    }

    #[test]
    fn maps_of_user_namespaces() {
        let all = "         0          0 4294967295\n";
        let rootless = "         0       1000          1\n         1     100000      65536\n";
        let one = "0 1000 1\n";
        let rows = [(all, true), (rootless, true), (one, false), ("", false), ("x", false)];
        for (map, mapped) in rows {
            assert_eq!(maps(map, 65_534), mapped, "{map:?}");
        }
    }

    #[test]
    fn paths_can_be_pasted() {
        let rows = [("jobs.toml", "jobs.toml"), ("a b", "'a b'"), ("it's", r"'it'\''s'")];
        for (path, shown) in rows {
            assert_eq!(quoted(Path::new(path)), shown);
        }
        assert_eq!(quoted(Path::new("-rf")), "-- '-rf'");
    }
}
