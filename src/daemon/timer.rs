//! The wall clock as something to wait for: a timer that fires at a time, and as soon as the clock
//! is set.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::clock;
use crate::instant::{Instant, Now};

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Timer {
    timer: OwnedFd,
    /// What it is set to, as far as is known.
    armed: Option<Instant>,
    /// What tests set the clock with.
    #[cfg(debug_assertions)]
    test: Option<clock::test::File>,
}

/// A time that no scheduler sees: the timer has to be set to something to notice that the clock
/// is.
const NEVER: i64 = 1 << 40;

impl Timer {
    /// A timer that makes `epoll` answer `token`.
    pub(super) fn new(epoll: impl AsFd, token: u64) -> io::Result<Timer> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
        let data = epoll::EventData::new_u64(token);
        epoll::add(&epoll, &timer, data, epoll::EventFlags::IN)?;
        #[cfg(debug_assertions)]
        let test = clock::test::File::open()?;
        #[cfg(debug_assertions)]
        if let Some(file) = &test {
            epoll::add(&epoll, file, data, epoll::EventFlags::IN)?;
        }
        Ok(Timer {
            timer,
            armed: None,
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
        let spec = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: micros.div_euclid(1_000_000),
                tv_nsec: micros.rem_euclid(1_000_000) * 1000,
            },
        };
        let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
        match timerfd_settime(&self.timer, flags, &spec) {
            // The clock was set since the timer was last: it is armed all the same, and the step
            // before this one has read the clock.
            Ok(_) | Err(Errno::CANCELED) => {}
            Err(errno) => return Err(errno.into()),
        }
        self.armed = Some(wanted);
        Ok(None)
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
