//! The queue of messages to the server's thread: a box that is locked for a moment, and a counter that
//! wakes it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use crate::core::event::Response;

/// What the thread is told from outside.
#[derive(Debug)]
pub(super) struct Inbox {
    messages: Mutex<Vec<Message>>,
    wake: OwnedFd,
}

#[derive(Debug)]
pub(super) enum Message {
    /// The loop has answered.
    Response(Key, Which, Response),
    /// The loop has let go of a question: no other answer will come.
    Released(Key, Which),
    /// There is something to tell one who follows.
    Followed,
    /// The socket is to be at its place.
    Rebind,
    /// Nothing more is to be taken, and the socket is to be gone. The sender is dropped when that is
    /// so and the store is not read any more.
    Stop(Option<Sender<()>>),
    /// The scheduler has ended, and lets go of its clients.
    End,
}

/// Names a request: its connection, and its number.
pub(super) type Key = (u64, u64);

/// Which answer to a question it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    First,
    Second,
}

impl Inbox {
    pub(super) fn new() -> Result<Inbox, Errno> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Inbox { messages: Mutex::default(), wake })
    }

    /// Takes all messages.
    pub(super) fn take(&self) -> Vec<Message> {
        let mut count = [0; 8];
        // Empty when another wake-up was faster.
        let _ = rustix::io::read(&self.wake, &mut count);
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn post(&self, message: Message) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = messages.is_empty();
        messages.push(message);
        drop(messages);
        if was_empty {
            // It can only fail when the thread has been woken 2^64 times and not looked.
            let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
        }
    }
}

/// A question that the loop has. It tells when it is dropped, which is how a loop that has ended,
/// or has forgotten it, is noticed.
pub(super) struct Ticket {
    inbox: Arc<Inbox>,
    key: Key,
    /// A response was given.
    begun: AtomicBool,
    /// The last response was given.
    answered: AtomicBool,
    /// A second answer may follow.
    twice: bool,
}

impl Ticket {
    /// One for a question that has one response, or `twice` two.
    pub(super) fn new(inbox: Arc<Inbox>, key: Key, twice: bool) -> Ticket {
        let (begun, answered) = (AtomicBool::new(false), AtomicBool::new(false));
        Ticket { inbox, key, begun, answered, twice }
    }

    pub(super) fn answer(&self, response: Response) {
        let goes_on = self.twice && matches!(response, Response::Started { .. });
        self.answered.store(!goes_on, Ordering::Relaxed);
        self.inbox.post(Message::Response(self.key, self.which(), response));
    }

    fn which(&self) -> Which {
        match self.begun.swap(true, Ordering::Relaxed) {
            false => Which::First,
            true => Which::Second,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered.load(Ordering::Relaxed) {
            self.inbox.post(Message::Released(self.key, self.which()));
        }
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
