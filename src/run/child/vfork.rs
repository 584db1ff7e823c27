//! The way to a process that shares the scheduler's memory until it executes its program, as the
//! C library's `posix_spawn` does, and in the same steps.
//!
//! It is done here because `posix_spawn` cannot set a resource limit in the child, and the
//! [`mark`](super::mark) of a run has to be there before the child can fork: set from outside,
//! after `posix_spawn` had returned, it was too late for one job in four that forked at once on a
//! busy machine.
//!
//! Between `clone` and `execve` the child runs in the memory of this process while the thread that
//! made it waits. It has a stack of its own, all signals are blocked so that no handler runs in
//! it, and it does nothing but system calls; that these write `errno` of the waiting thread is of
//! no matter to anybody.

use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::progress::{Shared, Stage};
use super::spawn::{Made, SpawnError, Step};
use super::{is_shortage, limit};

/// A stack for what the child does before its program has one. What it needs is a tenth of that.
const STACK: usize = 32 * 1024;

/// Signals are numbered from 1 to this.
pub(super) const SIGNALS: c_int = 64;

/// What the child is to do. All pointers are valid until it has.
pub(super) struct Orders<'a> {
    /// Where the child tells how far it has come.
    pub(super) progress: &'a Shared,
    /// Where descriptors 0, 1 and 2 come from; none of them is one of these.
    pub(super) streams: [c_int; 3],
    /// It shares the descriptors of this process until it has taken a copy of those up to its streams.
    pub(super) shares_files: bool,
    /// The kernel, or a filter of a container, does not let it take such a copy.
    pub(super) cannot_unshare: bool,
    pub(super) session: bool,
    pub(super) mark: Option<Rlimit>,
    /// What it may use at most, and the groups that it enters.
    pub(super) rlimits: &'a [(Resource, Rlimit)],
    pub(super) enter: &'a [c_int],
    /// It is not made outside of its control group.
    pub(super) must_enter: bool,
    pub(super) cwd: Option<*const c_char>,
    pub(super) file: *const c_char,
    pub(super) argv: *const *const c_char,
    pub(super) env: *const *const c_char,
    /// The signals that the child sets to what they do by default.
    pub(super) resets: &'static [c_int],
    /// What went wrong, written by the child; 0 while nothing has.
    pub(super) errno: c_int,
    /// At which step, as far as it can be told.
    pub(super) step: Step,
}

/// The kernel's `struct clone_args`, as far as it is needed here.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Linux 5.7.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Linux 5.5: the child handles no signal. Those that are ignored stay so.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;

/// This kernel, or a filter of a container, does not let it clear the handlers of signals.
static CANNOT_CLEAR: AtomicBool = AtomicBool::new(false);

/// `close_range`, which takes a copy of the first descriptors only, is from Linux 5.9.
static CANNOT_UNSHARE: AtomicBool = AtomicBool::new(false);

impl CloneArgs {
    fn new(group: Option<&OwnedFd>, flags: u64) -> CloneArgs {
        let into = if group.is_some() { CLONE_INTO_CGROUP } else { 0 };
        CloneArgs {
            flags: flags | into,
            cgroup: group.map_or(0, |group| group.as_raw_fd() as u64),
            exit_signal: libc::SIGCHLD as u64,
            ..CloneArgs::default()
        }
    }

    /// For a child that shares this memory, on a stack of its own.
    fn sharing(group: Option<&OwnedFd>, flags: u64, stack: &mut Vec<u128>) -> CloneArgs {
        let flags = flags | (libc::CLONE_VM | libc::CLONE_VFORK) as u64;
        CloneArgs {
            stack: stack.as_mut_ptr() as u64,
            stack_size: (stack.capacity() * size_of::<u128>()) as u64,
            ..CloneArgs::new(group, flags)
        }
    }
}

/// Every signal there is.
static ALL: [c_int; SIGNALS as usize] = {
    let (mut all, mut signal) = ([0; SIGNALS as usize], 0);
    while signal < SIGNALS {
        all[signal as usize] = signal + 1;
        signal += 1;
    }
    all
};

/// The signals that this process ignores: those that whoever started it told it to (`nohup`), and the
/// one of a broken pipe. That does not change once it runs.
fn ignored() -> &'static [c_int] {
    static IGNORED: OnceLock<Vec<c_int>> = OnceLock::new();
    IGNORED.get_or_init(|| ALL.into_iter().filter(|signal| is_ignored(*signal)).collect())
}

/// Makes the process, in a control group if there is one. Answers it when it has executed its
/// program, else the error number. `refused` is called where the group takes no process: it is made
/// without then.
///
/// # Safety
///
/// Every pointer of the orders is to a string, or an array of such that ends with null.
pub(super) unsafe fn spawn(
    mut orders: Orders<'_>,
    group: Option<&OwnedFd>,
    refused: impl Fn(i32),
) -> Result<Made, SpawnError> {
    orders.shares_files = !CANNOT_UNSHARE.load(Relaxed);
    // SAFETY: the same.
    let mut made = unsafe { make(&mut orders, group, &refused) };
    if made.is_err() && orders.cannot_unshare {
        CANNOT_UNSHARE.store(true, Relaxed);
        (orders.shares_files, orders.errno, orders.step) = (false, 0, Step::Spawn);
        // SAFETY: the same.
        made = unsafe { make(&mut orders, group, &refused) };
    }
    made
}

/// The same, in one way.
///
/// # Safety
///
/// The same.
unsafe fn make(
    orders: &mut Orders<'_>,
    group: Option<&OwnedFd>,
    refused: impl Fn(i32),
) -> Result<Made, SpawnError> {
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    // The id of the child is written before it runs: should it hang, this call does not return.
    let child = orders.progress.child.as_ptr();
    let files = if orders.shares_files { libc::CLONE_FILES } else { 0 };
    let mut args = CloneArgs::sharing(
        group,
        CLONE_CLEAR_SIGHAND | (libc::CLONE_PARENT_SETTID | libc::CLONE_PIDFD | files) as u64,
        &mut stack,
    );
    args.parent_tid = child as u64;
    let mut handle: c_int = -1;
    args.pidfd = &raw mut handle as u64;
    orders.resets = ignored();
    let before = set_signal_mask(u64::MAX);
    let attempt = |args: &CloneArgs, orders: *mut Orders<'_>| {
        if CANNOT_CLEAR.load(Relaxed) {
            return Err(libc::ENOSYS);
        }
        // SAFETY: `run` only makes system calls. This thread waits until it has executed a program or
        // has exited, so that the stack and the orders outlive it and nobody else touches them.
        unsafe { clone_onto(args, run, orders.cast()) }
    };
    let must_enter = orders.must_enter && group.is_some();
    let is_refusal =
        |made: &Result<i32, i32>| made.is_err_and(|errno| !is_shortage(errno) && !must_enter);
    let mut made = attempt(&args, ptr::from_mut(orders));
    if made == Err(libc::EMFILE) {
        // It can do without a handle.
        (args.flags, args.pidfd) = (args.flags & !(libc::CLONE_PIDFD as u64), 0);
        made = attempt(&args, ptr::from_mut(orders));
    }
    if let (Some(_), Err(errno), true) = (group, made, is_refusal(&made)) {
        refused(errno);
        (args.flags, args.cgroup) = (args.flags & !CLONE_INTO_CGROUP, 0);
        made = attempt(&args, ptr::from_mut(orders));
    }
    if is_refusal(&made) {
        // It is the kernel that cannot, or a filter that does not let it.
        CANNOT_CLEAR.store(true, Relaxed);
        (orders.resets, orders.shares_files) = (&ALL, false);
        made = plainly(&mut stack, orders);
    }
    set_signal_mask(before);
    let step = |errno| if must_enter && !is_shortage(errno) { Step::Limit } else { Step::Spawn };
    let pid = made.map_err(|errno| SpawnError { step: step(errno), errno })?;
    // SAFETY: the kernel has written the number of a descriptor that nobody else knows of, or nobody has.
    let handle = (handle >= 0).then(|| unsafe { OwnedFd::from_raw_fd(handle) });
    let orders = &raw const *orders;
    // SAFETY: a read of fields that the child may have written; it is done with them.
    let (errno, step) = unsafe {
        (
            ptr::read_volatile(&raw const (*orders).errno),
            ptr::read_volatile(&raw const (*orders).step),
        )
    };
    if errno != 0 {
        // SAFETY: a child of this process that nobody else knows of.
        while unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } == -1
            && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
        {}
        return Err(SpawnError { step, errno });
    }
    Ok(Made { pid: pid as u32, handle })
}

/// The same without `clone3`, which is from Linux 5.3.
fn plainly(stack: &mut Vec<u128>, orders: &mut Orders<'_>) -> Result<i32, i32> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
    let child = orders.progress.child.as_ptr();
    // SAFETY: one past the end of the allocation, which is aligned for any stack; and as for
    // `clone_onto` in `spawn`.
    match unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(run, top.cast(), flags, ptr::from_mut(orders).cast(), child)
    } {
        -1 => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN)),
        pid => Ok(pid),
    }
}

/// Whether a process that is made in a control group lives: one is made that does nothing.
pub(super) fn lives_in(group: &OwnedFd) -> Result<bool, i32> {
    let mut stack: Vec<u128> = Vec::with_capacity(STACK / size_of::<u128>());
    let args = CloneArgs::sharing(Some(group), 0, &mut stack);
    let before = set_signal_mask(u64::MAX);
    // SAFETY: `leave` makes one system call. This thread waits until the child has ended, so that the
    // stack outlives it.
    let made = unsafe { clone_onto(&args, leave, ptr::null_mut()) };
    set_signal_mask(before);
    let (pid, mut status) = (made?, 0);
    // SAFETY: a child of this process that nobody else knows of.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } == -1
        && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
    {}
    Ok(libc::WIFEXITED(status))
}

/// The child of that.
extern "C" fn leave(_: *mut c_void) -> c_int {
    // SAFETY: a system call on a value.
    unsafe { libc::_exit(0) }
}

/// Forks into a control group: 0 in the child, its id in the parent. The C library knows nothing of
/// it, so that the child may only make system calls, those that concern all threads of a process
/// not through the library, which would look for threads that are not there.
pub(super) fn fork_into(group: &OwnedFd) -> Result<i32, i32> {
    let args = CloneArgs::new(Some(group), 0);
    // SAFETY: a system call on what is alive; the child has a copy of everything.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match pid {
        -1 => Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN)),
        pid => Ok(pid as i32),
    }
}

/// `clone3`, after which the child calls `run` on a stack of its own and does not return. The C library
/// has no such call.
///
/// # Safety
///
/// `run` never returns, and may share what memory the flags say.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
unsafe fn clone_onto(
    args: &CloneArgs,
    run: extern "C" fn(*mut c_void) -> c_int,
    orders: *mut c_void,
) -> Result<i32, i32> {
    let pid: isize;
    // SAFETY: the parent goes on at the label with its own stack and registers as they were, but
    // for those that the kernel changes; the child has the stack of the arguments, empty, which is
    // aligned, and leaves this block only by the call.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => pid,
            in("rdi") ptr::from_ref(args),
            in("rsi") size_of::<CloneArgs>(),
            in("r12") run,
            in("r13") orders,
            lateout("rcx") _,
            lateout("r11") _,
        );
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            inlateout("x0") ptr::from_ref(args) as isize => pid,
            in("x1") size_of::<CloneArgs>(),
            in("x8") libc::SYS_clone3,
            in("x20") orders,
            in("x21") run,
        );
    }
    if pid < 0 { Err(-pid as i32) } else { Ok(pid as i32) }
}

/// Elsewhere nobody has written it yet.
///
/// # Safety
///
/// It does nothing.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn clone_onto(
    _: &CloneArgs,
    _: extern "C" fn(*mut c_void) -> c_int,
    _: *mut c_void,
) -> Result<i32, i32> {
    Err(libc::ENOSYS)
}

/// The child.
extern "C" fn run(orders: *mut c_void) -> c_int {
    let orders: *mut Orders<'_> = orders.cast();
    // SAFETY: `spawn` gave it and waits.
    unsafe {
        if (*orders).shares_files && !unshare_files(orders) {
            libc::_exit(127);
        }
        let step = become_program(&*orders);
        ptr::write_volatile(&raw mut (*orders).step, step);
        ptr::write_volatile(&raw mut (*orders).errno, *libc::__errno_location());
        // From here on its number may come to stand for another process.
        (*orders).progress.child.store(0, SeqCst);
        libc::_exit(127)
    }
}

/// Gives the child a table of descriptors of its own, of those up to its streams. The kernel would copy all
/// there are, which with many runs takes longer than the rest.
///
/// # Safety
///
/// As for [`run`].
unsafe fn unshare_files(orders: *mut Orders<'_>) -> bool {
    // SAFETY: a system call on values; the child alone writes the fields now.
    unsafe {
        let highest = (*orders).streams.into_iter().chain((*orders).enter.iter().copied()).max();
        let first = highest.unwrap_or(2).max(2) + 1;
        let flags = libc::CLOSE_RANGE_UNSHARE;
        if libc::syscall(libc::SYS_close_range, first, c_int::MAX, flags) == 0 {
            return true;
        }
        let errno = *libc::__errno_location();
        ptr::write_volatile(&raw mut (*orders).cannot_unshare, !is_shortage(errno));
        ptr::write_volatile(&raw mut (*orders).errno, errno);
        // From here on its number may come to stand for another process.
        (*orders).progress.child.store(0, SeqCst);
        false
    }
}

/// Returns only when something failed, with `errno` set. Answers what that was.
///
/// # Safety
///
/// As for [`spawn`].
unsafe fn become_program(orders: &Orders<'_>) -> Step {
    // SAFETY: system calls on values and on what the orders point to.
    unsafe {
        // What is done at a signal is the child's own affair, unlike its memory.
        for &signal in orders.resets {
            set_default(signal);
        }
        if (if orders.session { libc::setsid() } else { libc::setpgid(0, 0) }) == -1 {
            return Step::Spawn;
        }
        if let Some(mark) = orders.mark {
            // There are other ways to tell whose it is.
            let _ = setrlimit(Resource::Locks, mark);
        }
        if !limit::apply(orders.rlimits, orders.enter) {
            return Step::Limit;
        }
        for (target, stream) in orders.streams.into_iter().enumerate() {
            if libc::dup2(stream, target as c_int) == -1 {
                return Step::Spawn;
            }
        }
        if let Some(cwd) = orders.cwd {
            orders.progress.at(Stage::Directory);
            if libc::chdir(cwd) == -1 {
                return Step::Spawn;
            }
        }
        orders.progress.at(Stage::Execute);
        if orders.progress.is_given_up() {
            *libc::__errno_location() = libc::ECANCELED;
            return Step::Spawn;
        }
        set_signal_mask(0);
        libc::execve(orders.file, orders.argv, orders.env);
    }
    Step::Spawn
}

/// Not by the C library, which keeps two signals for itself and lets nobody block or reset them.
pub(super) fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0u64;
    // SAFETY: the kernel reads and writes eight bytes of each.
    unsafe {
        let (new, old) = (ptr::from_ref(&mask), ptr::from_mut(&mut before));
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, new, old, size_of::<u64>());
    }
    before
}

/// The same. It fails for the signals that cannot be changed, which is as it should be.
pub(super) fn set_default(signal: c_int) {
    // The kernel's `struct sigaction`, whatever the order of its fields, with `SIG_DFL`, no flags
    // and an empty mask: all of that is zero.
    let default = [0u64; 8];
    // SAFETY: the kernel reads no more than that.
    unsafe {
        let none = ptr::null_mut::<c_void>();
        libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, size_of::<u64>());
    }
}

/// Whether this process ignores it. Not by the C library, for the same reason.
fn is_ignored(signal: c_int) -> bool {
    // As above. On the machines that have `clone_onto` the handler comes first.
    let mut action = [0u64; 8];
    // SAFETY: the kernel writes no more than that.
    let known = unsafe {
        let none = ptr::null::<c_void>();
        libc::syscall(libc::SYS_rt_sigaction, signal, none, action.as_mut_ptr(), size_of::<u64>())
    };
    known == 0 && action[0] == libc::SIG_IGN as u64
}
