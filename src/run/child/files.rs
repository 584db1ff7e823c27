//! The files that root opens for somebody else: those that a job's environment is read from, at each
//! start (`env_file` and secrets), and the first line of a program that could not be executed.
//!
//! The job's user may own directories on the way to them, and links there. So they are opened as that
//! user (`super::rights`). A secret that only root can read is still to be had: root hands it over
//! if every directory and every link on the way is root's, so that it is certainly the file that the
//! jobfile names. The alternative, opening everything as root without following any link
//! (`RESOLVE_NO_SYMLINKS`), would refuse the links that people have for good reasons (a release, a
//! mounted secret), follow a hard link to a file that its maker cannot read, and say nothing about
//! whom an access control list lets in.
//!
//! In one place the kernel does not ask who it is: `/proc/self` is this process, and a thread of it
//! may see all of that, whatever rights to files it has. The job's user would be shown where the
//! scheduler's memory is mapped, and through `/proc/self/cwd` or an open descriptor they would come
//! to files in directories that are closed to them. So nothing in `/proc` is read for them, and none
//! of its links to what a process has open is followed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;

use super::identity::{self, Identity};
use super::{changes, describe, rights};
use crate::core::job::Options;
use crate::sys::trust::{Doubt, Owners, doubt, way};

/// For whom a file is opened.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader<'a> {
    /// The user that the job runs as, where that is said. A file of that user's own is fine, because
    /// it can do no more than make that user do what they could have done themselves.
    pub(super) user: Option<u32>,
    /// Who is to be asked whether they may read it, where that is not this process.
    pub(super) rights: Option<&'a Identity>,
}

/// A file that is open.
#[derive(Debug)]
struct Opened {
    file: File,
    /// What speaks against it, and is no reason to refuse it.
    doubt: Option<Doubt>,
}

/// Why a file is not read.
#[derive(Debug)]
enum Refused {
    /// It cannot be.
    Io(io::Error),
    /// Others can change it.
    Doubt(Doubt),
    /// It is not for the job's user, and root does not vouch for it.
    NotForUser(Doubt),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Io(error)
    }
}

impl Refused {
    /// A fragment that continues with what the file is and its path, and what would be right.
    fn words(self) -> (String, Option<String>) {
        match self {
            Refused::Io(error) => (format!("cannot be read: {}", describe(&error)), None),
            Refused::Doubt(doubt) => (doubt.what, Some(doubt.help)),
            Refused::NotForUser(doubt) => (
                format!(
                    "cannot be read by the job's user, and root does not read it for them: it {}",
                    doubt.what
                ),
                Some(format!("let that user read it, or {}", doubt.help)),
            ),
        }
    }
}

/// Reads a file of at most `limit` bytes, if only those who may can write to it. `what` names it
/// in the error, a fragment that finishes "not started: ...".
pub(super) fn read(
    path: &Path,
    limit: u64,
    what: &str,
    reader: Reader<'_>,
) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let failed = |refused: Refused| match refused.words() {
        (why, Some(help)) => format!("{what} {shown} {why} (help: {help})"),
        (why, None) => format!("{what} {shown} {why}"),
    };
    let file = open(path, reader).map_err(failed)?.file;
    let mut text = Vec::new();
    file.take(limit + 1).read_to_end(&mut text).map_err(|error| failed(error.into()))?;
    if text.len() as u64 > limit {
        return Err(format!("{what} {shown} {}", larger_than(limit)));
    }
    Ok(text)
}

/// A fragment that continues with the path of a file that is.
pub(crate) fn larger_than(limit: u64) -> String {
    match limit >> 20 {
        0 => format!("is larger than {} KiB", limit >> 10),
        mebibytes => format!("is larger than {mebibytes} MiB"),
    }
}

/// What is to be said in time about a file that the environment of a job with these options is read
/// from: whether that job will not start for it, what continues its name, and what would be right.
/// `check` says what is wrong with what is in it.
pub(crate) fn forecast(
    path: &Path,
    options: &Options,
    check: impl Fn(&File) -> Option<(String, &'static str)>,
) -> Option<(bool, String, Option<String>)> {
    let found = changes(options).ok();
    let (changes, account) = found.unwrap_or_default();
    // Only root can tell what another user may read.
    let identity = changes.and_then(|changes| changes.identity).filter(|_| is_root());
    // A job whose user cannot be had is somebody's all the same.
    let named = || options.user.as_deref().and_then(identity::uid_of);
    let user = account.map(|account| account.uid).or_else(named);
    match open(path, Reader { user, rights: identity.as_ref() }) {
        Ok(Opened { file, doubt }) => match check(&file) {
            Some((why, help)) => Some((true, why, Some(help.to_owned()))),
            None => doubt.map(|doubt| (false, doubt.what, Some(doubt.help))),
        },
        // That it is not there is for the job to say, when it is due: it may be there by then.
        Err(Refused::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
        // Whoever checks a jobfile may not be who runs it.
        Err(Refused::Io(_)) if !is_root() => None,
        Err(refused) => {
            let (why, help) = refused.words();
            Some((true, why, help))
        }
    }
}

/// The first bytes of a file, as somebody else sees it.
pub(super) fn head(path: &Path, rights: Option<&Identity>) -> Option<Vec<u8>> {
    let look = || {
        let mut head = Vec::new();
        open_regular(path, rights.is_some()).ok()?.take(256).read_to_end(&mut head).ok()?;
        Some(head)
    };
    match rights {
        Some(identity) => rights::borrow(identity, look).ok()?,
        None => look(),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn open(path: &Path, reader: Reader<'_>) -> Result<Opened, Refused> {
    let owners = Owners::of_this_process(reader.user);
    let judged = reader.user.is_some() || is_root();
    let judge = |file| judge(file, path, owners, judged);
    let Some(identity) = reader.rights else { return judge(open_regular(path, false)?) };
    let opened = rights::borrow(identity, || judge(open_regular(path, true)?));
    match opened? {
        Err(Refused::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            hand_over(path, owners, error)
        }
        opened => opened,
    }
}

/// Looks at who can write to an open file.
fn judge(file: File, path: &Path, owners: Owners, refuse: bool) -> Result<Opened, Refused> {
    match doubt(&file, path, owners) {
        Some(doubt) if refuse && doubt.grave => Err(Refused::Doubt(doubt)),
        doubt => Ok(Opened { file, doubt }),
    }
}

/// Opens a file that the job's user may not read, if nobody but root can have put it there. `denied`
/// is what they were told.
fn hand_over(path: &Path, owners: Owners, denied: io::Error) -> Result<Opened, Refused> {
    let way = way::follow(path, Owners::of_this_process(None), true);
    // Nothing is opened before it is known what it is: to open a device can be to use it.
    let end = match (way.end, way.doubt) {
        (_, Some(doubt)) if doubt.grave => return Err(Refused::NotForUser(doubt)),
        // That a mount is read-only keeps nobody from having made a link there before.
        (Ok(end), Some(doubt)) if way.has_links || end.st_nlink > 1 => {
            return Err(Refused::NotForUser(doubt));
        }
        (end, _) => end?,
    };
    if FileType::from_raw_mode(end.st_mode) != FileType::RegularFile {
        return Err(not_regular().into());
    }
    let opened = judge(open_regular(path, false)?, path, owners, true)?;
    let meta = opened.file.metadata()?;
    if (meta.dev(), meta.ino()) == (end.st_dev, end.st_ino) {
        Ok(opened)
    } else {
        Err(denied.into())
    }
}

/// Opens a file without waiting for whoever is at the other end of a FIFO; `for_others`, one that
/// may be shown to somebody else, with whose rights this thread looks.
fn open_regular(path: &Path, for_others: bool) -> io::Result<File> {
    let file = if for_others { open_outside_proc(path)? } else { open_plainly(path)? };
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

fn open_plainly(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn open_outside_proc(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Ok(file) => file.into(),
        // Older than Linux 5.6, or a filter that does not know it.
        Err(Errno::NOSYS | Errno::PERM) => open_plainly(path)?,
        Err(Errno::LOOP) => {
            return Err(io::Error::other("it leads to too many links, or to one that is in /proc"));
        }
        Err(error) => return Err(error.into()),
    };
    if way::is_in_proc(&file)? {
        Err(io::Error::other("it is in /proc, which is not the same for every process"))
    } else {
        Ok(file)
    }
}

fn not_regular() -> io::Error {
    io::Error::other("it is not a regular file")
}
