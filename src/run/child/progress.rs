//! How far a start has come, for whoever wonders why it does not come further.
//!
//! A start may hang: in the user database, in a directory or a program on a file system that does
//! not answer. The thread that makes the process, and the child until it has executed its program,
//! note here what they are about to do; the loop reads it, and can give up the start: then the
//! child is killed, and whoever comes back from where they hung goes no further.
//!
//! It is in memory that a forked child shares as well.

use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

use rustix::process::{Pid, Signal, kill_process};

use crate::core::job::{Command, Options};

/// What a start is about to do, and may hang in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing that could hang.
    Begin,
    /// Ask who its user and its groups are.
    User,
    /// Read the files that its environment comes from.
    Environment,
    /// Look for its program.
    Program,
    /// Enter its directory.
    Directory,
    /// Execute its program.
    Execute,
    /// Find out why it could not be started.
    Explain,
}

const STAGES: [Stage; 7] = [
    Stage::Begin,
    Stage::User,
    Stage::Environment,
    Stage::Program,
    Stage::Directory,
    Stage::Execute,
    Stage::Explain,
];

/// No more files than this are named.
const FILES: usize = 3;

/// Nobody starts anything.
const IDLE: u32 = 0;
/// A start is in progress.
const BUSY: u32 = 1;
/// It is not waited for any more.
const GIVEN_UP: u32 = 2;

/// What is shared.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Shared {
    state: AtomicU32,
    stage: AtomicU32,
    /// The child that has not yet executed its program; 0 while there is none.
    pub(super) child: AtomicI32,
}

/// The progress of one thread's starts.
#[derive(Debug)]
pub struct Progress(NonNull<Shared>);

// SAFETY: there is nothing in it but atomics, and it is mapped until it is dropped.
unsafe impl Send for Progress {}
// SAFETY: the same.
unsafe impl Sync for Progress {}

impl Progress {
    /// Of a thread that has not started anything yet.
    pub fn new() -> io::Result<Progress> {
        let (size, access) = (size_of::<Shared>(), libc::PROT_READ | libc::PROT_WRITE);
        let kind = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, wherever the kernel likes; it is filled with zeroes, which are
        // valid atomics, and aligned to a page.
        let page = unsafe { libc::mmap(ptr::null_mut(), size, access, kind, -1, 0) };
        match NonNull::new(page.cast()) {
            Some(shared) if page != libc::MAP_FAILED => Ok(Progress(shared)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        // SAFETY: mapped until this is dropped.
        unsafe { self.0.as_ref() }
    }

    /// A start begins.
    pub fn begin(&self) {
        let shared = self.shared();
        shared.child.store(0, SeqCst);
        shared.at(Stage::Begin);
        shared.state.store(BUSY, SeqCst);
    }

    /// It is over. Answers whether somebody still waits for it.
    pub fn end(&self) -> bool {
        self.shared().state.swap(IDLE, SeqCst) == BUSY
    }

    /// A start is about to do this.
    pub(super) fn at(&self, stage: Stage) {
        self.shared().at(stage);
    }

    /// Whether nobody waits for the start any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.shared().is_given_up()
    }

    /// Waits no longer for the start that is in progress: its child, if there is one, is killed.
    /// Answers false when there is none in progress that had not been given up already.
    pub fn give_up(&self) -> bool {
        let shared = self.shared();
        if shared.state.compare_exchange(BUSY, GIVEN_UP, SeqCst, SeqCst).is_err() {
            return false;
        }
        self.kill();
        true
    }

    /// Kills the child that has not yet executed its program.
    fn kill(&self) {
        if let Some(child) = self.child().and_then(|child| Pid::from_raw(child as i32)) {
            // It has a group of its own at best, and has started nothing.
            let _ = kill_process(child, Signal::KILL);
        }
    }

    /// The child that has not yet executed its program.
    pub fn child(&self) -> Option<u32> {
        u32::try_from(self.shared().child.load(SeqCst)).ok().filter(|child| *child != 0)
    }

    /// What the start of a command waits for, as a fragment that finishes "waits for ...".
    pub fn waits_for(&self, command: &Command, options: &Options) -> String {
        let stage = self.shared().stage.load(SeqCst) as usize;
        match STAGES.get(stage).copied().unwrap_or(Stage::Begin) {
            Stage::Begin => "the system".to_owned(),
            Stage::User => match (&options.user, &options.group) {
                (Some(user), _) => format!("the user database (user {user})"),
                (None, Some(group)) => format!("the user database (group {group})"),
                (None, None) => "the user database".to_owned(),
            },
            Stage::Environment => {
                let files = options.env_file.iter().map(|file| format!("env_file {file}"));
                let secrets = options.secrets.values().map(|file| format!("secret {file}"));
                files.chain(secrets).take(FILES).collect::<Vec<_>>().join(" or ")
            }
            Stage::Program => "a directory of its PATH".to_owned(),
            Stage::Directory => format!("cwd {}", options.cwd.as_deref().unwrap_or(".")),
            Stage::Execute => match command {
                Command::Argv(argv) => {
                    format!("exec of {}", argv.first().map_or("", |program| program))
                }
                Command::Shell(_) => "exec of its program".to_owned(),
            },
            Stage::Explain => "its program, cwd or #! line".to_owned(),
        }
    }
}

impl Shared {
    pub(super) fn at(&self, stage: Stage) {
        self.stage.store(stage as u32, SeqCst);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.state.load(SeqCst) == GIVEN_UP
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // SAFETY: what `new` has mapped; nobody else has a reference to it.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Shared>()) };
    }
}
