//! A mark that tells of any process which run it comes from, whatever it has done to itself.
//!
//! A process may leave its group and session (`setsid`), clear its environment and outlive its
//! parent; then nothing that it shows says whose it is. What it cannot help inheriting are its
//! resource limits, and one of them has meant nothing since Linux 2.4: the number of file locks
//! (`RLIMIT_LOCKS`, `ulimit -x`). Its soft limit is the mark: some bits for this scheduler, so that
//! one that is a job of another is told from it, and the number of the run. The hard limit stays
//! as it is. The kernel passes it on through fork, exec, a change of user and all else; anybody
//! may read it in `/proc/PID/limits`.
//!
//! It costs one system call a start, made by the child before it executes its program. The
//! scheduler itself has its mark without a run. Nobody stops a process from setting the limit
//! once more; for that there are the other ways to tell, in `super::tree`.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getpid, getrlimit, setrlimit};

use super::tree::is_shortage;
use crate::core::event::RunId;
use crate::sys::clock;

/// How many bits are the number of the run.
const RUN_BITS: u32 = 40;
/// The number of a run that has this bit is that of a hook (`crate::run::hook`). No store comes to so
/// many runs.
const HOOK: u64 = 1 << (RUN_BITS - 1);
/// How many are the scheduler's. Together they stay below what the kernel takes for "unlimited".
const SCHEDULER_BITS: u32 = 22;

/// What stands in the mark of a hook's processes in the place of a run, by its number.
pub fn of_hook(number: u64) -> RunId {
    RunId(HOOK | number & (HOOK - 1))
}

/// Whether that is what it is.
pub(super) fn is_of_hook(run: RunId) -> bool {
    run.0 & HOOK != 0
}

/// The marks of this scheduler.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    scheduler: u64,
    hard: Option<u64>,
}

impl Marks {
    /// Marks this process. `None` where that is not possible: somebody has set the limit. `again` is
    /// the [`Marks::number`] of an earlier scheduler whose processes are to be known.
    pub fn new(again: Option<u32>) -> Option<Marks> {
        let marks = Marks::for_children(again);
        setrlimit(Resource::Locks, marks.limit(0)).ok()?;
        Some(marks)
    }

    /// The same, without marking this process: it is not ours alone.
    pub fn for_children(again: Option<u32>) -> Marks {
        let hard = getrlimit(Resource::Locks).maximum;
        let most = (1 << SCHEDULER_BITS) - 1;
        if let Some(number) = again.map(u64::from).filter(|number| (1..=most).contains(number)) {
            return Marks { scheduler: number, hard };
        }
        let now = clock::now();
        let pid = u64::from(getpid().as_raw_nonzero().get() as u32);
        // Two schedulers of one machine differ in one of these. The factor is that of Fibonacci
        // hashing: the upper bits of the product depend on all bits of the sum.
        let own = (now.wall.micros() as u64) ^ (pid << 40) ^ now.mono.micros().rotate_left(20);
        let scheduler = own.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - SCHEDULER_BITS);
        Marks { scheduler: scheduler | 1, hard }
    }

    /// What tells this scheduler's processes from those of others.
    pub fn number(&self) -> u32 {
        self.scheduler as u32
    }

    /// The limit that marks the processes of a run.
    pub(super) fn of(&self, run: RunId) -> Rlimit {
        self.limit(run.0 & ((1 << RUN_BITS) - 1))
    }

    fn limit(&self, run: u64) -> Rlimit {
        Rlimit { current: Some(self.scheduler << RUN_BITS | run), maximum: self.hard }
    }

    /// What the mark of a process says: nothing, or that it comes from this scheduler and, as far
    /// as it says so, from which run.
    pub(super) fn read(&self, pid: u32) -> Option<Option<RunId>> {
        self.look(pid).ok()?
    }

    /// The same; an error where that cannot be looked at now.
    pub(super) fn look(&self, pid: u32) -> io::Result<Option<Option<RunId>>> {
        match fs::read_to_string(format!("/proc/{pid}/limits")) {
            Ok(limits) => Ok(self.parse(&limits)),
            Err(error) if is_shortage(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn parse(&self, limits: &str) -> Option<Option<RunId>> {
        let locks = limits.lines().find_map(|line| line.strip_prefix("Max file locks"))?;
        let soft: u64 = locks.split_ascii_whitespace().next()?.parse().ok()?;
        let run = soft & ((1 << RUN_BITS) - 1);
        (soft >> RUN_BITS == self.scheduler).then_some((run != 0).then_some(RunId(run)))
    }
}
