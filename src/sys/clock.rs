//! The only reader of clocks.
//!
//! A debug build lets tests set its wall clock: see `clock::test`. A release build has none of it.
#![allow(clippy::disallowed_methods, reason = "this is the file the rule points to")]

use std::time::{Duration, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::core::instant::{Instant, Mono, Now, duration_micros};

/// Both clocks.
pub fn now() -> Now {
    Now { wall: wall(), mono: mono() }
}

/// The wall clock.
pub fn wall() -> Instant {
    // Through std and so through libc, which tests of clock jumps put another clock behind.
    let micros = match std::time::SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => duration_micros(since),
        Err(before) => -duration_micros(before.duration()),
    };
    Instant::from_micros(micros.saturating_add(ahead()))
}

/// An instant of [`wall`] on the clock of the kernel, as microseconds since 1970.
pub fn kernel_micros(at: Instant) -> i64 {
    at.micros().saturating_sub(ahead())
}

/// By how many microseconds a test has set the wall clock ahead of the kernel's.
#[cfg(debug_assertions)]
fn ahead() -> i64 {
    test::AHEAD.load(std::sync::atomic::Ordering::Relaxed)
}

/// See the other one.
#[cfg(not(debug_assertions))]
fn ahead() -> i64 {
    0
}

/// Both clocks, the monotonic one as it goes on while the machine sleeps: other machines do not sleep
/// with it.
pub(crate) fn boot() -> Now {
    let time = clock_gettime(ClockId::Boottime);
    let span = Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32);
    Now { wall: wall(), mono: Mono::from_micros(duration_micros(span) as u64) }
}

/// In which of the kernel's ticks since the machine was started we are, as `/proc/PID/stat` counts them
/// (proc_pid_stat(5), field 22). None where they are no whole number of nanoseconds.
pub(crate) fn boot_ticks() -> Option<u64> {
    const SECOND: u64 = 1_000_000_000;
    // SAFETY: it answers a constant.
    let per_second = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).ok()?;
    let nanos = SECOND.checked_div(per_second).filter(|nanos| nanos * per_second == SECOND)?;
    let time = clock_gettime(ClockId::Boottime);
    let (seconds, rest) = (time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u64);
    Some(seconds.saturating_mul(per_second) + rest / nanos)
}

/// The monotonic clock.
pub fn mono() -> Mono {
    let time = clock_gettime(ClockId::Monotonic);
    let span = Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32);
    Mono::from_micros(duration_micros(span) as u64)
}

/// The processor time that this process has taken.
pub(crate) fn of_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.max(0) as u32)
}

/// A wall clock that can be set without setting that of the machine.
///
/// `libfaketime` moves what a program reads from the C library's clock, but neither the kernel's
/// timers nor their notice that the clock was set, which are what the loop waits for. So a debug
/// build takes an environment variable, `SCHEDRS_TEST_CLOCK`: the path of a file that holds by how
/// many seconds the clock is ahead. Whoever writes the file sets the clock: the loop hears of it as
/// it hears of the kernel's, by a descriptor it waits on, and reads the clock anew.
#[cfg(debug_assertions)]
pub mod test {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicI64, Ordering};

    use rustix::fs::inotify;

    pub(super) static AHEAD: AtomicI64 = AtomicI64::new(0);

    #[derive(Debug)]
    pub struct File {
        path: PathBuf,
        written: OwnedFd,
    }

    impl File {
        /// The file that the environment names, if it does.
        pub fn open() -> io::Result<Option<File>> {
            let Some(path) = std::env::var_os("SCHEDRS_TEST_CLOCK") else { return Ok(None) };
            let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
            let written = inotify::init(flags)?;
            inotify::add_watch(&written, &path, inotify::WatchFlags::CLOSE_WRITE)?;
            let mut file = File { path: path.into(), written };
            file.read();
            Ok(Some(file))
        }

        /// Sets the clock if the file was written. Answers whether it was.
        pub fn take(&mut self) -> bool {
            let written = rustix::io::read(&self.written, &mut [0; 1024]).is_ok();
            if written {
                self.read();
            }
            written
        }

        fn read(&mut self) {
            let text = std::fs::read_to_string(&self.path).unwrap_or_default();
            let secs: i64 = text.trim().parse().unwrap_or(0);
            AHEAD.store(secs * 1_000_000, Ordering::Relaxed);
        }
    }

    impl AsFd for File {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.written.as_fd()
        }
    }
}
