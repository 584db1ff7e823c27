//! What a thread waits for: a set of descriptors, each with a number that says which one it was.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

pub(crate) use rustix::event::epoll::EventFlags;

/// A set of descriptors. One set can be in another.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

/// Which of them have something, as of the last [`Epoll::wait`]. It keeps its memory.
pub(crate) struct Ready(Vec<epoll::Event>);

impl Epoll {
    pub(crate) fn new() -> Result<Epoll, Errno> {
        epoll::create(epoll::CreateFlags::CLOEXEC).map(Epoll)
    }

    /// Waits for `flags` of a descriptor from here on, as `token`.
    pub(crate) fn add(
        &self,
        source: impl AsFd,
        token: u64,
        flags: EventFlags,
    ) -> Result<(), Errno> {
        epoll::add(&self.0, source, epoll::EventData::new_u64(token), flags)
    }

    /// Waits for other flags of one that is in the set.
    pub(crate) fn modify(
        &self,
        source: impl AsFd,
        token: u64,
        flags: EventFlags,
    ) -> Result<(), Errno> {
        epoll::modify(&self.0, source, epoll::EventData::new_u64(token), flags)
    }

    /// Waits for a descriptor no more. Closing it is not enough: a child that is just being made
    /// holds a copy, and the set would go on telling of it.
    pub(crate) fn remove(&self, source: impl AsFd) {
        // It fails for one that is not in the set, and then there is nothing to do.
        let _ = epoll::delete(&self.0, source);
    }

    /// Waits until one of them has something, for `timeout` at most; `None` is for ever.
    pub(crate) fn wait(&self, ready: &mut Ready, timeout: Option<Duration>) -> Result<(), Errno> {
        let mut timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        loop {
            ready.0.clear();
            match epoll::wait(&self.0, spare_capacity(&mut ready.0), timeout.as_ref()) {
                Ok(_) => return Ok(()),
                // A signal; also after SIGSTOP and SIGCONT. What has happened meanwhile is seen at
                // once, and what the caller waits for by the clock may be due.
                Err(Errno::INTR) => timeout = Some(Timespec { tv_sec: 0, tv_nsec: 0 }),
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Ready {
    /// Room for so many at a time; the others come next time.
    pub(crate) fn with_capacity(most: usize) -> Ready {
        Ready(Vec::with_capacity(most))
    }

    /// Whether there may be more than it has room for.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() == self.0.capacity()
    }

    /// The token of each, and what it has.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, EventFlags)> {
        self.0.iter().map(|event| (event.data.u64(), event.flags))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::waker::Waker;

    #[test]
    fn tells_which_one_it_was_until_it_is_removed() {
        let (epoll, mut ready) = (Epoll::new().unwrap(), Ready::with_capacity(4));
        let [one, other] = [Waker::new().unwrap(), Waker::new().unwrap()];
        epoll.add(&one, 1, EventFlags::IN).unwrap();
        epoll.add(&other, 2, EventFlags::IN).unwrap();
        let tokens = |ready: &mut Ready| {
            epoll.wait(ready, Some(Duration::ZERO)).unwrap();
            ready.iter().map(|(token, _)| token).collect::<Vec<_>>()
        };
        assert_eq!(tokens(&mut ready), [0; 0]);
        other.wake();
        assert_eq!(tokens(&mut ready), [2]);
        one.wake();
        other.clear();
        assert_eq!(tokens(&mut ready), [1]);
        epoll.remove(&one);
        epoll.remove(&one);
        assert_eq!(tokens(&mut ready), [0; 0]);
    }
}
