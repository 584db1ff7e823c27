//! Sockets with a place in the file system: how they are made, found and removed, whatever the
//! length of their path and whoever else tries at the same moment.

use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::sys::file_id::FileId;
use rustix::fs::{Mode, OFlags, RenameFlags, fchmod, renameat_with};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// The kernel has room for so many bytes of a path.
const LONGEST: usize = 107;

/// Connections that have not been accepted yet.
const BACKLOG: i32 = 64;

/// How long one that listens in our place may take to be asked who it is.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often it is retried when somebody else is as fast.
const TRIES: usize = 16;

/// How many sockets this process has made: for names that nobody else uses.
static MADE: AtomicU32 = AtomicU32::new(0);

/// A socket that listens, at its place.
#[derive(Debug)]
pub(super) struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// What is at the path later may be somebody else's.
    identity: FileId,
}

impl Listener {
    /// Makes a socket at a path. One of a scheduler that is no more is replaced, and one that
    /// answers is an error that says whose it is.
    ///
    /// It listens before it gets its name, so that whoever finds one there that does not answer
    /// knows that it never will.
    pub(super) fn bind(path: &Path) -> io::Result<Listener> {
        let Some(name) = path.file_name() else {
            return Err(io::Error::other(format!("{} is not a file name", path.display())));
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !directory.exists() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
            })?;
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let own = |what: &str| {
            let mut own = OsString::from(".");
            own.push(name);
            own.push(format!(".{}-{number}{what}", std::process::id()));
            directory.join(own)
        };
        let (fresh, aside) = (own("n"), own("o"));
        let socket = new_socket()?;
        // The kernel gives the file the mode that the socket has, so it is never open to others.
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        // From a process of the same number that was killed at the wrong moment.
        let _ = fs::remove_file(&fresh);
        at(&fresh, |address| net::bind(&socket, address))?;
        let done = net::listen(&socket, BACKLOG)
            .map_err(io::Error::from)
            .and_then(|()| settle(&fresh, path, &aside));
        let identity = match done.and_then(|()| identity(path)) {
            Ok(identity) => identity,
            Err(error) => {
                let _ = fs::remove_file(&fresh);
                return Err(error);
            }
        };
        Ok(Listener { socket, path: path.to_path_buf(), identity })
    }

    /// The next connection, if there is one.
    pub(super) fn accept(&self) -> Result<OwnedFd, Errno> {
        net::accept_with(&self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
    }

    /// Makes another in its place if it is there no more.
    pub(super) fn again(&self) -> io::Result<Option<Listener>> {
        if identity(&self.path).is_ok_and(|there| there == self.identity) {
            Ok(None)
        } else {
            Listener::bind(&self.path).map(Some)
        }
    }

    /// Removes it, unless another has taken its place.
    pub(super) fn remove(&self) {
        if identity(&self.path).is_ok_and(|there| there == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Moves a socket to its place.
fn settle(fresh: &Path, path: &Path, aside: &Path) -> io::Result<()> {
    for _ in 0..TRIES {
        match rename(fresh, path) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !alive(path)? {
            // Perhaps somebody else has replaced it just now; then that one goes back.
            let _ = fs::remove_file(aside);
            match rename(path, aside) {
                Ok(()) if alive(aside)? => {
                    let _ = rename(aside, path);
                }
                Ok(()) => {
                    let _ = fs::remove_file(aside);
                }
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
            continue;
        }
        let whose = match connect(path, Some(PATIENCE)).ok().and_then(|socket| peer(&socket)) {
            Some((pid, _)) => format!("another scheduler (pid {pid}) is listening there"),
            None => "another scheduler is listening there".to_owned(),
        };
        return Err(io::Error::new(io::ErrorKind::AddrInUse, whose));
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "other programs keep creating sockets there"))
}

/// Renames a file, but not over another.
fn rename(from: &Path, to: &Path) -> Result<(), Errno> {
    let here = rustix::fs::CWD;
    match renameat_with(here, from, here, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot do that; a second name does the same there.
        Err(Errno::INVAL | Errno::NOSYS) => {
            rustix::fs::link(from, to)?;
            rustix::fs::unlink(from)
        }
        done => done,
    }
}

/// Whether somebody answers at a path. Something there that is no socket is an error, because it
/// is not ours to remove.
fn alive(path: &Path) -> io::Result<bool> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::other("there is something there that is not a socket"));
    }
    let socket = new_socket()?;
    match at(path, |address| net::connect(&socket, address)) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            // So many are waiting to be accepted that there is no room for one more.
            io::ErrorKind::WouldBlock => Ok(true),
            _ => Err(error),
        },
    }
}

fn identity(path: &Path) -> io::Result<FileId> {
    fs::symlink_metadata(path).map(|there| FileId::of(&there))
}

fn new_socket() -> Result<OwnedFd, Errno> {
    new_socket_with(SocketFlags::NONBLOCK)
}

fn new_socket_with(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | SocketFlags::CLOEXEC;
    net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Connects to the socket at a path, and waits if many others do: for so long, or for ever. When that
/// is over the error is that it would block. What is sent is given as long.
pub(super) fn connect(path: &Path, patience: Option<Duration>) -> io::Result<OwnedFd> {
    let socket = new_socket_with(SocketFlags::empty())?;
    set_socket_timeout(&socket, Timeout::Send, patience)?;
    at(path, |address| net::connect(&socket, address))?;
    Ok(socket)
}

/// Does something with the address of a path, which may be longer than an address has room for.
fn at(path: &Path, act: impl FnOnce(&SocketAddrUnix) -> Result<(), Errno>) -> io::Result<()> {
    if path.as_os_str().len() <= LONGEST {
        return Ok(act(&SocketAddrUnix::new(path)?)?);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::NAMETOOLONG.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::empty())?;
    let mut short = format!("/proc/self/fd/{}/", opened.as_raw_fd()).into_bytes();
    short.extend_from_slice(name.as_bytes());
    if short.len() > LONGEST {
        let longest = LONGEST - "/proc/self/fd/1234/".len();
        let text = format!("the socket's path is longer than {longest} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(act(&SocketAddrUnix::new(short)?)?)
}

/// The process and the user at the other end. The process is 0 if it is in another namespace.
///
/// (rustix has it too, but with a process id that must not be 0.)
pub(super) fn peer(socket: impl AsFd) -> Option<(i32, u32)> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the pointers are to live objects, the first one of the size stated in the second.
    let code = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut size,
        )
    };
    (code == 0).then_some((credentials.pid, credentials.uid))
}
