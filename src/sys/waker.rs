//! How threads and signal handlers wake a loop that waits in the kernel.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// A counter that the loop waits on.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    pub(crate) fn new() -> io::Result<Waker> {
        Ok(Waker(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes the loop. Safe in a signal handler: it is one system call.
    pub fn wake(&self) {
        // It can only fail when the loop has been woken 2^64 times and not looked.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Forgets that the loop was woken; to be called before looking for what it was woken for.
    pub(crate) fn clear(&self) {
        let mut count = [0; 8];
        // Empty if another wake-up was faster.
        let _ = rustix::io::read(&self.0, &mut count);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
