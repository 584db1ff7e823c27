//! From a program, its arguments and its environment to a process.
//!
//! There are two ways. The first (`vfork`) shares the scheduler's memory with the child until the
//! child has executed its program, and so costs the same however large the scheduler is. It is what
//! `posix_spawn` does, which can neither mark a child (`mark`) nor, through the standard library,
//! begin a session or reset the signals that the scheduler itself was started with as ignored
//! (`nohup`, `&` in a script). A job that asks for a user, an umask or a niceness gets the second
//! way, a fork through the standard library, which takes several times as long.
//!
//! A child leads a process group of its own. Where the scheduler has a terminal it leads a session
//! as well: a job that asks for a password on `/dev/tty` would otherwise be stopped by that
//! terminal, for ever and without a word. Elsewhere sessions are left alone, because Linux gives
//! each the same share of a busy processor (autogroups): measured with 1,000 children at once on
//! two busy processors, beginning a session made their starts three times slower.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Resource, Rlimit, WaitOptions, setrlimit, waitpid};

use super::identity::Identity;
use super::limit::{self, Bounds};
use super::low;
use super::progress::{Progress, Shared, Stage};
use super::streams::Stream;
use super::vfork::{self, Orders};

/// Everything about a process to be.
#[derive(Debug)]
pub(super) struct Program<'a> {
    /// The file to execute: a path.
    pub(super) file: CString,
    /// Where else on PATH it may be, in turn, where only the child can tell whether it may execute
    /// a file: because it will be somebody else by then.
    pub(super) elsewhere: Vec<CString>,
    /// The arguments, the name it is called by first.
    pub(super) argv: Vec<CString>,
    /// The whole environment, as `NAME=value`.
    pub(super) env: Vec<&'a CStr>,
    /// The directory to execute it in.
    pub(super) cwd: Option<CString>,
    /// What only the second way can do; `None` for the first.
    pub(super) changes: Option<Changes>,
    /// Whether it leads a session, not only a process group.
    pub(super) session: bool,
    /// What marks it and all that comes from it: see [`mark`](super::mark).
    pub(super) mark: Option<Rlimit>,
    /// What it may use at most, and the groups of version 1 that it enters: see [`limit`](super::limit).
    pub(super) bounds: Bounds,
    /// The directory of the control group to make it in: see [`cgroup`](super::cgroup).
    pub(super) group: Option<Arc<OwnedFd>>,
    /// It is not made outside of it.
    pub(super) must_enter: bool,
    /// Why that takes no process; 0 while it does.
    pub(super) refused: AtomicI32,
}

/// What a process is to change about itself before it executes its program.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) identity: Option<Identity>,
    pub(super) umask: Option<u32>,
    pub(super) nice: Option<i32>,
}

/// The descriptors 0, 1 and 2 of a process to be.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) stdin: Stream,
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
}

/// A process that was made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) pid: u32,
    /// What becomes readable when it ends, where it comes with the process.
    pub(super) handle: Option<OwnedFd>,
}

/// The step at which a process could not be made, and the error it met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpawnError {
    pub(super) step: Step,
    pub(super) errno: i32,
}

/// The steps of a start that can fail each in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Making the process, entering its directory or executing the program: the first way does
    /// not say which of them it was.
    Spawn,
    Limit,
    Nice,
    Keyring,
    Groups,
    Group,
    User,
    /// The identity was changed, but the process could have changed it back.
    Regain,
    Directory,
    Execute,
}

impl Step {
    const ALL: [Step; 10] = [
        Step::Spawn,
        Step::Limit,
        Step::Nice,
        Step::Keyring,
        Step::Groups,
        Step::Group,
        Step::User,
        Step::Regain,
        Step::Directory,
        Step::Execute,
    ];
}

/// Starts the process, leader of a group of its own, with the three streams and
/// no other descriptor, no signal blocked and none ignored. Answers its process id.
///
/// It may hang for as long as the file system does that the directory or the file is on; `progress`
/// tells where.
pub(super) fn spawn(
    program: &Program<'_>,
    streams: Streams,
    progress: &Progress,
) -> Result<Made, SpawnError> {
    let argv = pointers(program.argv.iter().map(CString::as_c_str));
    let env = pointers(program.env.iter().copied());
    match &program.changes {
        None => vfork(program, &argv, &env, &streams, progress.shared()),
        Some(changes) => {
            let place = if program.session { Place::OwnSession } else { Place::OwnGroup };
            fork(program, changes, argv, env, streams, place, progress.shared())
                .map(|pid| Made { pid, handle: None })
        }
    }
}

/// Starts it as the leader of a session whose terminal is this one, or that has none.
pub(super) fn spawn_on(
    program: &Program<'_>,
    streams: Streams,
    terminal: Option<BorrowedFd<'_>>,
) -> Result<u32, SpawnError> {
    let argv = pointers(program.argv.iter().map(CString::as_c_str));
    let env = pointers(program.env.iter().copied());
    let none = Changes::default();
    let changes = program.changes.as_ref().unwrap_or(&none);
    let terminal = terminal.map(|fd| fd.as_raw_fd());
    let place = terminal.map_or(Place::OwnSession, Place::OwnTerminal);
    fork(program, changes, argv, env, streams, place, ptr::null())
}

/// A null-terminated array for the C library. Valid as long as the strings are.
fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*const c_char> {
    strings.map(CStr::as_ptr).chain([ptr::null()]).collect()
}

/// The first way.
fn vfork(
    program: &Program<'_>,
    argv: &[*const c_char],
    env: &[*const c_char],
    streams: &Streams,
    progress: &Shared,
) -> Result<Made, SpawnError> {
    let enter = program.bounds.entries();
    let orders = |streams| Orders {
        progress,
        streams,
        shares_files: false,
        cannot_unshare: false,
        session: program.session,
        mark: program.mark,
        rlimits: &program.bounds.rlimits,
        enter: &enter,
        must_enter: program.must_enter,
        cwd: program.cwd.as_deref().map(CStr::as_ptr),
        file: program.file.as_ptr(),
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        resets: &[],
        errno: 0,
        step: Step::Spawn,
    };
    let refused = |errno| program.refused.store(errno, Relaxed);
    // SAFETY: the pointers are to strings that `program` owns or borrows, and both arrays end with
    // a null pointer.
    let spawn =
        |streams| unsafe { vfork::spawn(orders(streams), program.group.as_deref(), refused) };
    low::with_low([&streams.stdin, &streams.stdout, &streams.stderr].map(AsFd::as_fd), spawn)
}

/// What the forked child needs, all of it made before the fork: between fork and exec it may not
/// allocate.
struct Prepared {
    /// The files to try, in this order.
    files: Vec<*const c_char>,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    cwd: Option<*const c_char>,
    identity: Option<(Option<u32>, u32, Vec<u32>)>,
    umask: Option<u32>,
    nice: Option<i32>,
    place: Place,
    mark: Option<Rlimit>,
    rlimits: Vec<(Resource, Rlimit)>,
    enter: Vec<c_int>,
    /// Where to tell how far the child has come; null where nobody wants to know.
    progress: *const Shared,
}

/// Whose group and session a process is in.
#[derive(Clone, Copy, Debug)]
enum Place {
    OwnSession,
    OwnGroup,
    /// A session with this terminal.
    OwnTerminal(c_int),
    /// It stays where it is: it has the terminal.
    Same,
}

// SAFETY: the pointers are to strings that outlive the call of `fork` below, within which the only
// other user, the child, has them in its own memory.
unsafe impl Send for Prepared {}
// SAFETY: nothing is ever written through them.
unsafe impl Sync for Prepared {}

fn fork(
    program: &Program<'_>,
    changes: &Changes,
    argv: Vec<*const c_char>,
    env: Vec<*const c_char>,
    streams: Streams,
    place: Place,
    progress: *const Shared,
) -> Result<u32, SpawnError> {
    let prepared = Prepared { progress, ..Prepared::new(program, changes, argv, env, place) };
    if let Some(group) = &program.group {
        match fork_into(group, &prepared, &streams) {
            Err(ForkError::Refused(errno)) if program.must_enter => {
                return Err(SpawnError { step: Step::Limit, errno });
            }
            Err(ForkError::Refused(errno)) => program.refused.store(errno, Relaxed),
            Err(ForkError::Spawn(error)) => return Err(error),
            Ok(pid) => return Ok(pid),
        }
    }
    // The child executes its program by itself, at the end of `become_program`; the name given
    // here is never looked at.
    let mut command = Command::new("/");
    let owned =
        |stream: Stream| stream.into_owned().map(Stdio::from).map_err(|error| decode(&error));
    command
        .stdin(owned(streams.stdin)?)
        .stdout(owned(streams.stdout)?)
        .stderr(owned(streams.stderr)?);
    // SAFETY: `become_program` only makes system calls.
    unsafe { command.pre_exec(move || Err(prepared.become_program())) };
    match command.spawn() {
        // The loop waits for it by its id; dropping the handle does nothing.
        Ok(child) => Ok(child.id()),
        Err(error) => Err(decode(&error)),
    }
}

enum ForkError {
    /// The control group takes no process.
    Refused(i32),
    Spawn(SpawnError),
}

/// The second way into a control group, in the steps of the standard library, which cannot do it:
/// the child says over a pipe why it has failed, and closes it by executing its program.
fn fork_into(group: &OwnedFd, prepared: &Prepared, streams: &Streams) -> Result<u32, ForkError> {
    let failed = |errno| ForkError::Spawn(SpawnError { step: Step::Spawn, errno });
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)
        .map_err(|errno| failed(errno.raw_os_error()))?;
    let streams = [&streams.stdin, &streams.stdout, &streams.stderr];
    let streams = streams.map(|stream| stream.as_fd().as_raw_fd());
    let before = vfork::set_signal_mask(u64::MAX);
    let forked = vfork::fork_into(group);
    if forked == Ok(0) {
        // SAFETY: only system calls.
        unsafe {
            let error = match streams.into_iter().zip(0..).try_for_each(|(stream, target)| {
                if libc::dup2(stream, target) == -1 { Err(encode(Step::Spawn)) } else { Ok(()) }
            }) {
                Ok(()) => prepared.become_program(),
                Err(error) => error,
            };
            let code = error.raw_os_error().unwrap_or(libc::EIO).to_ne_bytes();
            libc::write(write.as_raw_fd(), code.as_ptr().cast(), code.len());
            libc::_exit(127);
        }
    }
    vfork::set_signal_mask(before);
    drop(write);
    let pid = match forked {
        Ok(pid) => pid as u32,
        Err(errno) if super::is_shortage(errno) => return Err(failed(errno)),
        Err(errno) => return Err(ForkError::Refused(errno)),
    };
    let mut code = [0; 4];
    match File::from(read).read_exact(&mut code) {
        // Nothing was said.
        Err(_) => Ok(pid),
        Ok(()) => {
            // It is our child, and nobody else knows of it.
            let id = Pid::from_raw(pid as i32);
            while matches!(waitpid(id, WaitOptions::empty()), Err(Errno::INTR)) {}
            let error = io::Error::from_raw_os_error(i32::from_ne_bytes(code));
            Err(ForkError::Spawn(decode(&error)))
        }
    }
}

/// Makes this process the program, in its own streams and on its own terminal. To be called while
/// there is no other thread. Returns only when something failed.
pub(super) fn become_program(program: &Program<'_>) -> SpawnError {
    let argv = pointers(program.argv.iter().map(CString::as_c_str));
    let env = pointers(program.env.iter().copied());
    let none = Changes::default();
    let changes = program.changes.as_ref().unwrap_or(&none);
    decode(&Prepared::new(program, changes, argv, env, Place::Same).become_program())
}

impl Prepared {
    fn new(
        program: &Program<'_>,
        changes: &Changes,
        argv: Vec<*const c_char>,
        env: Vec<*const c_char>,
        place: Place,
    ) -> Prepared {
        let identity = changes.identity.as_ref();
        let files = std::iter::once(&program.file).chain(&program.elsewhere);
        Prepared {
            files: files.map(|file| file.as_ptr()).collect(),
            argv,
            env,
            cwd: program.cwd.as_deref().map(CStr::as_ptr),
            identity: identity.map(|id| (id.uid, id.gid, id.groups.clone())),
            umask: changes.umask,
            nice: changes.nice,
            place,
            mark: program.mark,
            rlimits: program.bounds.rlimits.clone(),
            enter: program.bounds.entries(),
            progress: ptr::null(),
        }
    }

    /// In the child: everything up to and including exec. Returns only when something failed.
    fn become_program(&self) -> io::Error {
        if let Some(progress) = self.progress() {
            progress.child.store(std::process::id() as i32, SeqCst);
        }
        let error = match self.try_become_program() {
            Ok(()) => encode(Step::Execute),
            Err(step) => encode(step),
        };
        if let Some(progress) = self.progress() {
            // From here on its number may come to stand for another process.
            progress.child.store(0, SeqCst);
        }
        error
    }

    fn progress(&self) -> Option<&Shared> {
        // SAFETY: it is null, or shared memory that outlives the call of `fork`.
        unsafe { self.progress.as_ref() }
    }

    /// The child is about to do this; an error if nobody waits for it any more.
    fn at(&self, stage: Stage, step: Step) -> Result<(), Step> {
        let Some(progress) = self.progress() else { return Ok(()) };
        progress.at(stage);
        if progress.is_given_up() {
            // SAFETY: a write to this thread's own `errno`.
            unsafe { *libc::__errno_location() = libc::ECANCELED };
            return Err(step);
        }
        Ok(())
    }

    fn try_become_program(&self) -> Result<(), Step> {
        let done = |code: c_int, step| if code == -1 { Err(step) } else { Ok(()) };
        // SAFETY: all of these are plain system calls on values, or on pointers to objects made
        // before the fork that nobody changes; none of them allocates.
        unsafe {
            let placed = match self.place {
                Place::OwnSession => libc::setsid(),
                Place::OwnTerminal(terminal) => match libc::setsid() {
                    -1 => -1,
                    _ => libc::ioctl(terminal, libc::TIOCSCTTY, 0),
                },
                Place::OwnGroup => libc::setpgid(0, 0),
                Place::Same => 0,
            };
            done(placed, Step::Spawn)?;
            vfork::set_signal_mask(0);
            for signal in 1..=vfork::SIGNALS {
                vfork::set_default(signal);
            }
            if let Some(mark) = self.mark {
                // There are other ways to tell whose it is.
                let _ = setrlimit(Resource::Locks, mark);
            }
            if !limit::apply(&self.rlimits, &self.enter) {
                return Err(Step::Limit);
            }
            if let Some(umask) = self.umask {
                libc::umask(umask as libc::mode_t);
            }
            if let Some(nice) = self.nice {
                done(libc::setpriority(libc::PRIO_PROCESS, 0, nice), Step::Nice)?;
            }
            if let Some((uid, gid, groups)) = &self.identity {
                if uid.is_some_and(|uid| uid != libc::geteuid()) {
                    leave_session_keyring()?;
                }
                done(own::setgroups(groups), Step::Groups)?;
                done(own::setresgid(*gid), Step::Group)?;
                if let Some(uid) = *uid {
                    done(own::setresuid(uid), Step::User)?;
                    let (mut real, mut effective, mut saved) = (0, 0, 0);
                    done(libc::getresuid(&mut real, &mut effective, &mut saved), Step::User)?;
                    if uid != 0 {
                        drop_capabilities();
                    }
                    let kept = |id, set: unsafe fn(u32) -> c_int| id != 0 && set(0) == 0;
                    let gone = !kept(uid, own::setuid) && !kept(*gid, own::setgid);
                    if !gone || [real, effective, saved] != [uid; 3] {
                        *libc::__errno_location() = libc::EPERM;
                        return Err(Step::Regain);
                    }
                }
            }
            // As the job's user, who may not be allowed in, or may be where root is not (NFS).
            if let Some(cwd) = self.cwd {
                self.at(Stage::Directory, Step::Directory)?;
                done(libc::chdir(cwd), Step::Directory)?;
            }
            self.at(Stage::Execute, Step::Execute)?;
            self.execute();
        }
        Ok(())
    }

    /// Executes the first of the files that can be, as the C library's execvp does; but that hands
    /// a file it does not know to a shell. Returns only when none can, with `errno` set.
    ///
    /// # Safety
    ///
    /// Every pointer is to a string, or an array of such that ends with null.
    unsafe fn execute(&self) {
        let mut denied = false;
        for file in &self.files {
            // SAFETY: a system call on what the caller vouches for; `errno` is this thread's own.
            let errno = unsafe {
                libc::execve(*file, self.argv.as_ptr(), self.env.as_ptr());
                *libc::__errno_location()
            };
            match errno {
                libc::EACCES => denied = true,
                libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT => {}
                // A place that cannot be there. Shells go on as well.
                libc::ENAMETOOLONG | libc::ELOOP => {}
                _ => return,
            }
        }
        if denied {
            // SAFETY: the same.
            unsafe { *libc::__errno_location() = libc::EACCES };
        }
    }
}

/// Takes a session keyring of its own, empty, in place of the scheduler's: whoever has that may read
/// the keys in it, whatever user they are. While still root, whose quota is the one that cannot be
/// used up by a job. Where there are no keyrings (ENOSYS), and where a filter of a container forbids
/// the call, nobody can read any.
fn leave_session_keyring() -> Result<(), Step> {
    // SAFETY: a null pointer asks for a keyring without a name.
    let joined = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, ptr::null::<c_char>())
    };
    // SAFETY: a read of this thread's own `errno`.
    match unsafe { *libc::__errno_location() } {
        libc::ENOSYS | libc::EPERM | libc::EACCES => Ok(()),
        _ if joined >= 0 => Ok(()),
        _ => Err(Step::Keyring),
    }
}

/// A change of identity, of this thread alone: in the child there is no other, but the C library,
/// which would have all of them change, may believe that there is (see [`vfork::fork_into`]).
#[cfg(target_pointer_width = "64")]
mod own {
    use super::c_int;

    pub(super) unsafe fn setgroups(groups: &[u32]) -> c_int {
        // SAFETY: the array has that length.
        unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) as c_int }
    }

    pub(super) unsafe fn setresgid(gid: u32) -> c_int {
        // SAFETY: a system call on values, as are those below.
        unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) as c_int }
    }

    pub(super) unsafe fn setresuid(uid: u32) -> c_int {
        // SAFETY: the same.
        unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) as c_int }
    }

    pub(super) unsafe fn setuid(uid: u32) -> c_int {
        // SAFETY: the same.
        unsafe { libc::syscall(libc::SYS_setuid, uid) as c_int }
    }

    pub(super) unsafe fn setgid(gid: u32) -> c_int {
        // SAFETY: the same.
        unsafe { libc::syscall(libc::SYS_setgid, gid) as c_int }
    }
}

/// On these the numbers of the calls differ, and there are no control groups.
#[cfg(not(target_pointer_width = "64"))]
mod own {
    use super::c_int;

    pub(super) unsafe fn setgroups(groups: &[u32]) -> c_int {
        // SAFETY: the array has that length.
        unsafe { libc::setgroups(groups.len(), groups.as_ptr()) }
    }

    pub(super) unsafe fn setresgid(gid: u32) -> c_int {
        // SAFETY: a call on values, as are those below.
        unsafe { libc::setresgid(gid, gid, gid) }
    }

    pub(super) unsafe fn setresuid(uid: u32) -> c_int {
        // SAFETY: the same.
        unsafe { libc::setresuid(uid, uid, uid) }
    }

    pub(super) unsafe fn setuid(uid: u32) -> c_int {
        // SAFETY: the same.
        unsafe { libc::setuid(uid) }
    }

    pub(super) unsafe fn setgid(gid: u32) -> c_int {
        // SAFETY: the same.
        unsafe { libc::setgid(gid) }
    }
}

/// Gives up every capability, inheritable and ambient ones as well. Leaving user 0 does that for
/// the others, unless the scheduler was started with `securebits` that keep them.
fn drop_capabilities() {
    // `_LINUX_CAPABILITY_VERSION_3`, which has two sets of three words.
    let header: [u32; 2] = [0x2008_0522, 0];
    let none = [0u32; 6];
    // SAFETY: both arrays have the size and the layout that the kernel reads for this version, and
    // it only reads them. It cannot fail: who has a capability may give it up.
    unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
}

/// The step and `errno` in the one number that the standard library carries from the child.
fn encode(step: Step) -> io::Error {
    let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
    io::Error::from_raw_os_error(((step as i32) << 16) | errno)
}

fn decode(error: &io::Error) -> SpawnError {
    let code = error.raw_os_error().unwrap_or(libc::EIO);
    let step = Step::ALL.get((code >> 16) as usize).copied().unwrap_or(Step::Spawn);
    SpawnError { step, errno: code & 0xffff }
}
