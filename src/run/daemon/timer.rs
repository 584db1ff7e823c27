//! The wall clock as something to wait for: a timer that fires at a time, and as soon as the clock
//! is set.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::core::instant::{Instant, Now};
use crate::sys::clock;
use crate::sys::epoll::{Epoll, EventFlags};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Timer {
    timer: OwnedFd,
    /// What it is set to, as far as is known.
    armed: Option<Instant>,
    /// The clock was set, and that was heard of while the timer was set.
    was_set: bool,
    /// What tests set the clock with.
    #[cfg(debug_assertions)]
    test: Option<clock::test::File>,
}

/// A time that no scheduler sees: the timer has to be set to something to notice that the clock
/// is.
const NEVER: i64 = 1 << 40;

impl Timer {
    /// A timer that makes `epoll` answer `token`.
    pub(super) fn new(epoll: &Epoll, token: u64) -> io::Result<Timer> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        // From here on the kernel tells when the clock is set: also between the first look at the
        // clock, which comes after this, and the first time that something is waited for.
        set(&timer, NEVER * 1_000_000)?;
        epoll.add(&timer, token, EventFlags::IN)?;
        #[cfg(debug_assertions)]
        let test = clock::test::File::open()?;
        #[cfg(debug_assertions)]
        if let Some(file) = &test {
            epoll.add(file, token, EventFlags::IN)?;
        }
        Ok(Timer {
            timer,
            armed: Some(Instant::MAX),
            was_set: false,
            #[cfg(debug_assertions)]
            test,
        })
    }

    /// Fires at `at`, and whenever the clock is set. Where the timer has fired and our clock does
    /// not agree that it is time, answers how long to wait instead.
    pub(super) fn arm(&mut self, at: Option<Instant>, now: Now) -> io::Result<Option<Duration>> {
        // What is due already needs no timer.
        if at.is_some_and(|at| at <= now.wall) {
            return Ok(Some(Duration::ZERO));
        }
        let wanted = at.unwrap_or(Instant::MAX);
        if self.armed == Some(wanted) {
            return Ok(None);
        }
        let micros = at.map_or(NEVER * 1_000_000, |at| clock::kernel_micros(at).max(1));
        match set(&self.timer, micros) {
            Ok(()) => self.armed = Some(wanted),
            // The clock was set after the timer was read, perhaps after the last step has read the
            // clock. This answer is all the notice that there is.
            Err(Errno::CANCELED) => {
                self.armed = Some(wanted);
                self.was_set = true;
                return Ok(Some(Duration::ZERO));
            }
            Err(errno) => return Err(errno.into()),
        }
        Ok(None)
    }

    /// Whether setting the timer told that the clock was set; once.
    pub(super) fn take_was_set(&mut self) -> bool {
        std::mem::take(&mut self.was_set)
    }

    /// Takes note that the timer has fired. Answers whether that is because the clock was set.
    pub(super) fn fired(&mut self) -> bool {
        let mut count = [0; 8];
        let read = rustix::io::read(&self.timer, &mut count);
        self.armed = None;
        #[cfg(debug_assertions)]
        if self.test.as_mut().is_some_and(clock::test::File::take) {
            return true;
        }
        read == Err(Errno::CANCELED)
    }
}

/// Sets a timer to a time of the kernel's clock, and to tell when that is set. `CANCELED`: it is set,
/// and the clock was set since the timer was last read or set.
fn set(timer: &OwnedFd, micros: i64) -> Result<(), Errno> {
    let spec = Itimerspec {
        it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: Timespec {
            tv_sec: micros.div_euclid(1_000_000),
            tv_nsec: micros.rem_euclid(1_000_000) * 1000,
        },
    };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(timer, flags, &spec).map(drop)
}
