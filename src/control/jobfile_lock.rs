//! One scheduler to a jobfile, whatever the file is called: a lock that the whole machine sees.
//!
//! The store's lock (`crate::store`) keeps two schedulers from one store, and a store has its name
//! from the jobfile's path (`crate::sys::paths`). Two names of one file, or two users with a state
//! directory each, would so be two stores and two schedulers that run every job twice. So who runs
//! a jobfile also locks what cannot be spelled in two ways: the inode that was read, and the
//! entries of directories that led to it, because an editor puts another inode into the same entry.
//!
//! A lock is a socket that listens at an abstract address (unix(7)). It needs no directory that
//! everybody may write to and no right to the jobfile, leaves nothing behind, and the kernel says
//! which process and which user have it; another program that locks the jobfile for a reason of its
//! own is not in the way. Whoever connects is told in one line where that scheduler can be reached.
//! Only root, the jobfile's owner and whoever asks are believed: anybody can take an address, and
//! that must stop nobody else's jobs.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{self, AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::socket;
use crate::problem::clean;
use crate::sys::epoll::{Epoll, EventFlags, Ready};
use crate::sys::file_id::FileId;
use crate::sys::paths;
use crate::sys::waker::Waker;

/// How long one that has a lock is given to say where it can be reached.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long nobody is answered when there are no descriptors left.
const BREATHER: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// How often it is retried when an address is taken and nobody listens there: it was given up,
/// or taken, a moment ago.
const TRIES: usize = 1000;

/// Connections that wait to be answered, and how many are answered in a row.
const BACKLOG: i32 = 64;

/// No such line is longer: it has three paths in it.
const LONGEST: u64 = 64 << 10;

/// Where a scheduler can be reached that has locked a jobfile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The jobfile, as it was given to it.
    pub(crate) jobfile: PathBuf,
    /// Its control socket.
    pub(crate) socket: Option<PathBuf>,
    /// The file that its store is in.
    pub(crate) store: Option<PathBuf>,
}

/// Who has a lock.
#[derive(Debug)]
pub(crate) struct Holder {
    /// `None`: it is in another container.
    pub(crate) pid: Option<u32>,
    pub(crate) uid: u32,
    /// The connection to it, until it was asked more.
    socket: Option<OwnedFd>,
    /// `None`: it does not say, or was not asked.
    pub(crate) told: Option<Told>,
}

/// A jobfile that somebody else runs.
#[derive(Debug)]
pub(crate) struct Taken {
    jobfile: PathBuf,
    holder: Holder,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &Path| clean(&path.to_string_lossy()).into_owned();
        write!(f, "{} is already being run by schedrs ", shown(&self.jobfile))?;
        match self.holder.pid {
            Some(pid) => write!(f, "with pid {pid}")?,
            None => f.write_str("in another container")?,
        }
        if let Some(told) = &self.holder.told {
            write!(f, ", as {}", shown(&told.jobfile))?;
        }
        f.write_str("; stop that one, or use a different store with --store")
    }
}

impl std::error::Error for Taken {}

/// The locks of this process on its jobfile; cheap to clone. They last until all are dropped, or
/// one is released.
#[derive(Clone, Debug)]
pub(crate) struct JobfileLock(Arc<Owner>);

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Waits at all that is held, and at `wake`, which says that there is nothing to wait for any
    /// more.
    epoll: Epoll,
    wake: Waker,
}

#[derive(Debug, Default)]
struct State {
    held: Vec<Held>,
    told: Told,
    released: bool,
}

#[derive(Clone, Debug)]
struct Held {
    name: String,
    socket: Arc<OwnedFd>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds these and no others from here on. One that cannot be waited at does its work and does
    /// not answer.
    fn hold(&self, held: Vec<Held>) {
        let mut state = self.state();
        if state.released {
            return;
        }
        for one in &held {
            let token = one.socket.as_raw_fd() as u64;
            let _ = self.epoll.add(&*one.socket, token, EventFlags::IN);
        }
        state.held = held;
    }
}

impl JobfileLock {
    /// Locks a jobfile that was read, `read` being what it was; `None` if there is no way to.
    /// Answers what there is to say about it, too, each a sentence without a full stop.
    pub(crate) fn take(
        jobfile: &Path,
        read: FileId,
    ) -> Result<(Option<JobfileLock>, Vec<String>), Taken> {
        let input = || fs::read_link("/proc/self/fd/0").ok();
        let path = if jobfile.as_os_str() == "-" { input() } else { None };
        let path = path.unwrap_or_else(|| paths::as_given(jobfile));
        let told = Told { jobfile: path, ..Told::default() };
        let (held, mut warnings) = lock(jobfile, read, &[])?;
        let state = Mutex::new(State { held: Vec::new(), told, released: false });
        let start = || -> io::Result<Owner> {
            let (wake, epoll) = (Waker::new()?, Epoll::new()?);
            epoll.add(&wake, u64::MAX, EventFlags::IN)?;
            let shared = Arc::new(Shared { state, epoll, wake });
            shared.hold(held);
            let serves = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name("lock".to_owned());
            let thread = thread.stack_size(64 * 1024).spawn(move || serve(&serves))?;
            Ok(Owner { shared, thread: Mutex::new(Some(thread)) })
        };
        match start() {
            Ok(owner) => Ok((Some(JobfileLock(Arc::new(owner))), warnings)),
            Err(error) => {
                warnings.push(unsure(jobfile, &error));
                Ok((None, warnings))
            }
        }
    }

    /// Goes over to what the jobfile is now, after it was read again. If that is somebody else's,
    /// the locks are as they were.
    pub(crate) fn renew(&self, jobfile: &Path, read: FileId) -> Result<Vec<String>, Taken> {
        let shared = &self.0.shared;
        let before = shared.state().held.clone();
        let (held, warnings) = lock(jobfile, read, &before)?;
        shared.hold(held);
        Ok(warnings)
    }

    /// Says where the scheduler can be reached.
    pub(crate) fn tell(&self, socket: Option<&Path>, store: Option<&Path>) {
        let mut state = self.0.shared.state();
        state.told.socket = socket.map(paths::as_given);
        state.told.store = store.map(paths::as_given);
    }

    /// Gives them up.
    pub(crate) fn release(&self) {
        self.0.release();
    }
}

impl Owner {
    fn release(&self) {
        let mut state = self.shared.state();
        state.released = true;
        state.held.clear();
        drop(state);
        self.shared.wake.wake();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.release();
    }
}

/// Takes all locks on a jobfile, but for those that are held already. The result has all of them.
fn lock(jobfile: &Path, read: FileId, before: &[Held]) -> Result<(Vec<Held>, Vec<String>), Taken> {
    let owner = owner_of(jobfile, read);
    let (mut held, mut warnings) = (Vec::new(), Vec::new());
    for name in names(jobfile, read) {
        if let Some(known) = before.iter().find(|held| held.name == name) {
            held.push(known.clone());
            continue;
        }
        match bind(&name) {
            Ok(Bound::Ours(socket)) => held.push(Held { name, socket: Arc::new(socket) }),
            Ok(Bound::Theirs(holder)) if is_believed(&holder, owner) => {
                return Err(Taken { jobfile: jobfile.to_path_buf(), holder: holder.asked() });
            }
            Ok(Bound::Theirs(holder)) => warnings.push(unsure(jobfile, &holder)),
            Err(error) => warnings.push(unsure(jobfile, &error)),
        }
    }
    warnings.dedup();
    Ok((held, warnings))
}

fn unsure(jobfile: &Path, why: &dyn fmt::Display) -> String {
    let jobfile = clean(&jobfile.to_string_lossy()).into_owned();
    format!("cannot tell whether another scheduler runs {jobfile}: {why}")
}

impl fmt::Display for Holder {
    /// Why its lock does not count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uid = self.uid;
        match self.pid {
            Some(pid) if !self.lives() => {
                write!(
                    f,
                    "what the schedrs with pid {pid}, which is gone, has started keeps its lock"
                )
            }
            Some(pid) => write!(f, "uid {uid} (pid {pid}), who does not own it, locks it"),
            None => write!(f, "uid {uid}, who does not own it, locks it"),
        }
    }
}

/// The user whose file it is, if it still is what was read.
fn owner_of(jobfile: &Path, read: FileId) -> Option<u32> {
    let found = fs::metadata(jobfile).ok()?;
    (FileId::of(&found) == read).then_some(found.uid())
}

/// Whether who has a lock may have it: it lives, and is root, the owner of the file, or as we are.
fn is_believed(holder: &Holder, owner: Option<u32>) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let may = holder.uid == 0 || holder.uid == own || Some(holder.uid) == owner;
    may && holder.lives()
}

/// What is locked of a jobfile: the inode that was read, and the entries of directories under which
/// it was found. A link that leads elsewhere later stays the entry that it is, and so does all that is
/// named through it.
fn names(jobfile: &Path, read: FileId) -> Vec<String> {
    let mut names = vec![format!("schedrs/jobfile/{}", read.word())];
    let given = Some(paths::as_given(jobfile)).filter(|path| path.exists());
    for path in [given, fs::canonicalize(jobfile).ok()].into_iter().flatten() {
        let above = path.ancestors().filter(|part| *part == path || part.is_symlink());
        for parent in above.filter_map(Path::parent) {
            let (Some(found), Ok(rest)) = (FileId::at(parent), path.strip_prefix(parent)) else {
                continue;
            };
            // A name may be longer than an address.
            let hash = paths::hash(rest.as_os_str().as_bytes());
            let entry = format!("schedrs/entry/{}/{hash:016x}", found.word());
            if !names.contains(&entry) {
                names.push(entry);
            }
        }
    }
    names
}

/// What became of an address.
enum Bound {
    Ours(OwnedFd),
    Theirs(Holder),
}

fn bind(name: &str) -> io::Result<Bound> {
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
    for _ in 0..TRIES {
        let socket = new_socket(SocketFlags::NONBLOCK)?;
        match net::bind(&socket, &address) {
            Ok(()) => {
                net::listen(&socket, BACKLOG)?;
                return Ok(Bound::Ours(socket));
            }
            Err(Errno::ADDRINUSE) => {}
            Err(error) => return Err(error.into()),
        }
        match ask(&address) {
            Ok(holder) => return Ok(Bound::Theirs(holder)),
            Err(Errno::CONNREFUSED) => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("another program has taken its address and does not answer"))
}

fn new_socket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | SocketFlags::CLOEXEC;
    net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Asks who listens at an address.
fn ask(address: &SocketAddrUnix) -> Result<Holder, Errno> {
    let socket = new_socket(SocketFlags::empty())?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
    net::connect(&socket, address)?;
    let (pid, uid) = socket::peer(&socket).ok_or(Errno::CONNREFUSED)?;
    let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0);
    Ok(Holder { pid, uid, socket: Some(socket), told: None })
}

impl Holder {
    /// With what it says of itself.
    fn asked(mut self) -> Holder {
        if let Some(socket) = self.socket.take() {
            let mut line = Vec::new();
            // A read that waits too long ends it.
            let _ = UnixStream::from(socket).take(LONGEST).read_to_end(&mut line);
            self.told = serde_json::from_slice(&line).ok();
        }
        self
    }

    /// Whether its process is there. The program that a scheduler was about to start has its sockets
    /// for a moment, and keeps them for as long as it cannot be started, also when the scheduler is
    /// no more.
    fn lives(&self) -> bool {
        let pid = self.pid.and_then(|pid| Pid::from_raw(pid.cast_signed()));
        pid.is_none_or(|pid| test_kill_process(pid) != Err(Errno::SRCH))
    }
}

/// The store of whoever runs a jobfile, under whatever name, as they say.
pub(crate) fn store_of(jobfile: &Path) -> Option<PathBuf> {
    holder_of(jobfile)?.told?.store
}

/// Who runs a jobfile, under whatever name, if it is somebody whom one may believe.
pub(crate) fn holder_of(jobfile: &Path) -> Option<Holder> {
    let found = fs::metadata(jobfile).ok()?;
    let ask = |name: String| {
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).ok()?;
        ask(&address).ok().filter(|holder| is_believed(holder, Some(found.uid())))
    };
    names(jobfile, FileId::of(&found)).into_iter().find_map(ask).map(Holder::asked)
}

/// Tells everybody who connects where the scheduler can be reached, until it is released. The
/// sockets are only touched while the state is locked, so that one that is given up is closed then.
fn serve(shared: &Shared) {
    let mut ready = Ready::with_capacity(8);
    while shared.epoll.wait(&mut ready, None).is_ok() {
        let state = shared.state();
        if state.released {
            return;
        }
        let told = serde_json::to_vec(&state.told).unwrap_or_default();
        let connected =
            |held: &&Held| ready.iter().any(|(token, _)| token == held.socket.as_raw_fd() as u64);
        let mut short = false;
        for held in state.held.iter().filter(connected) {
            short |= answer(&held.socket, &told);
        }
        drop(state);
        if short {
            let _ = poll(&mut [PollFd::new(&shared.wake, PollFlags::IN)], Some(&BREATHER));
        }
    }
}

/// Answers those who have connected. Whether there is something that is better waited for.
fn answer(listener: &OwnedFd, told: &[u8]) -> bool {
    for _ in 0..BACKLOG {
        match net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            // There is room for a line in a new socket, and nobody is waited for.
            Ok(socket) => drop(net::send(&socket, told, SendFlags::NOSIGNAL)),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(Errno::AGAIN) => return false,
            Err(_) => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn identity(path: &Path) -> FileId {
        FileId::at(path).unwrap()
    }

    fn take(path: &Path) -> Result<JobfileLock, Taken> {
        JobfileLock::take(path, identity(path)).map(|(lock, warnings)| {
            assert_eq!(warnings, [""; 0]);
            lock.unwrap()
        })
    }

    /// A directory with two links to it, a file in it and two more names of that.
    fn bed() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("rel/1")).unwrap();
        fs::create_dir_all(base.join("rel/2")).unwrap();
        symlink("rel/1", base.join("current")).unwrap();
        fs::write(base.join("rel/1/jobs.toml"), "").unwrap();
        fs::write(base.join("rel/2/jobs.toml"), "").unwrap();
        symlink("jobs.toml", base.join("rel/1/link.toml")).unwrap();
        fs::hard_link(base.join("rel/1/jobs.toml"), base.join("hard.toml")).unwrap();
        (dir, base)
    }

    #[test]
    fn one_to_a_file_whatever_it_is_called() {
        let (_dir, base) = bed();
        let lock = take(&base.join("current/jobs.toml")).unwrap();
        let (socket, store) = (base.join("x.sock"), base.join("x.db"));
        lock.tell(Some(&socket), Some(&store));
        for name in ["current/jobs.toml", "rel/1/jobs.toml", "current/link.toml", "hard.toml"] {
            let taken = take(&base.join(name)).unwrap_err().to_string();
            let pid = format!("with pid {}, as ", std::process::id());
            assert!(taken.contains(&pid), "{name}: {taken}");
            assert!(taken.contains("/current/jobs.toml; "), "{name}: {taken}");
            let told = holder_of(&base.join(name)).unwrap().told.unwrap();
            assert_eq!((told.socket, told.store), (Some(socket.clone()), Some(store.clone())));
        }
        take(&base.join("rel/2/jobs.toml")).unwrap();
        let other = lock.clone();
        drop(lock);
        take(&base.join("hard.toml")).unwrap_err();
        other.release();
        take(&base.join("hard.toml")).unwrap();
        assert!(holder_of(&base.join("hard.toml")).is_none());
    }

    /// An editor puts another file in the place of the jobfile, and it is read again only later.
    #[test]
    fn a_file_that_is_replaced() {
        let (_dir, base) = bed();
        let [jobs, link] = ["rel/1/jobs.toml", "rel/1/link.toml"].map(|name| base.join(name));
        let lock = take(&link).unwrap();
        fs::write(base.join("new"), "").unwrap();
        fs::rename(base.join("new"), &jobs).unwrap();
        take(&jobs).unwrap_err();
        assert_eq!(lock.renew(&link, identity(&link)).unwrap(), [""; 0]);
        // The old one is a file of its own now.
        let hard = take(&base.join("hard.toml")).unwrap();
        for name in [&jobs, &link] {
            take(name).unwrap_err();
        }
        // And if it comes back, it is the other's.
        fs::rename(base.join("hard.toml"), &jobs).unwrap();
        assert!(lock.renew(&link, identity(&link)).unwrap_err().to_string().contains("hard.toml"));
        drop(hard);
        lock.renew(&link, identity(&link)).unwrap();
        assert!(holder_of(&jobs).is_some());
    }

    /// Anybody can take an address, and the jobs of nobody else wait for that.
    #[test]
    fn a_lock_of_somebody_else_does_not_count() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not checked: it needs another user");
            return;
        }
        let (_dir, base) = bed();
        let jobs = base.join("rel/1/jobs.toml");
        let names = names(&jobs, identity(&jobs));
        let squat = std::thread::spawn(move || {
            // SAFETY: it takes numbers, and concerns this thread alone.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 54_399, 54_399, 54_399) }, 0);
            names.iter().map(|name| bind(name).unwrap()).collect::<Vec<_>>()
        });
        let squatted = squat.join().unwrap();
        let (lock, warnings) = JobfileLock::take(&jobs, identity(&jobs)).unwrap();
        assert!(warnings[0].contains("uid 54399 (pid "), "{warnings:?}");
        assert!(holder_of(&jobs).is_none());
        drop(lock);
        // Whose file it is may run it.
        std::os::unix::fs::chown(&jobs, Some(54_399), None).unwrap();
        take(&jobs).unwrap_err();
        drop(squatted);
        take(&jobs).unwrap();
    }

    /// As a deployment does it.
    #[test]
    fn a_directory_that_is_swapped() {
        let (_dir, base) = bed();
        let current = base.join("current/jobs.toml");
        let lock = take(&current).unwrap();
        fs::remove_file(base.join("current")).unwrap();
        symlink("rel/2", base.join("current")).unwrap();
        // Before it is read again, too, and whatever leads to the link.
        symlink(&base, base.join("rel/base")).unwrap();
        for name in ["current/jobs.toml", "rel/base/current/jobs.toml"] {
            take(&base.join(name)).unwrap_err();
        }
        lock.renew(&current, identity(&current)).unwrap();
        take(&base.join("rel/2/jobs.toml")).unwrap_err();
        // The old release is free.
        take(&base.join("hard.toml")).unwrap();
    }
}
