//! What the server's thread is told, and the ticket that each question has with the loop.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use crate::core::event::{Response, RunId};
use crate::core::habit::Success;
use crate::sys::mailbox::Mailbox;

/// What the thread is told from outside.
pub(super) type Inbox = Mailbox<Message>;

/// Takes runs, the newest first, on the server's thread: it must not block.
pub(crate) struct Successes(pub(crate) Box<dyn FnOnce(Vec<Success>) + Send>);

impl fmt::Debug for Successes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Successes")
    }
}

#[derive(Debug)]
pub(super) enum Message {
    /// The loop has answered.
    Response(Key, Which, Response),
    /// The loop has let go of a question: no other answer will come.
    Released(Key, Which),
    /// There is something to tell one who follows.
    Followed,
    /// The loop wants to know the last runs of this job that have succeeded, before that one.
    Successes(Box<str>, Option<RunId>, Successes),
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

/// A question that the loop has. It tells when it is dropped, which is how a loop that has ended,
/// or has forgotten it, is noticed.
pub(super) struct Ticket {
    inbox: Inbox,
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
    pub(super) fn new(inbox: Inbox, key: Key, twice: bool) -> Ticket {
        let (begun, answered) = (AtomicBool::new(false), AtomicBool::new(false));
        Ticket { inbox, key, begun, answered, twice }
    }

    pub(super) fn answer(&self, response: Response) {
        let goes_on = match response {
            Response::Started { .. } => self.twice,
            Response::Elsewhere { goes_on, .. } => goes_on,
            _ => false,
        };
        self.answered.store(!goes_on, Ordering::Relaxed);
        self.inbox.send(Message::Response(self.key, self.which(), response));
    }

    fn which(&self) -> Which {
        let begun = self.begun.swap(true, Ordering::Relaxed);
        if begun { Which::Second } else { Which::First }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.answered.load(Ordering::Relaxed) {
            self.inbox.send(Message::Released(self.key, self.which()));
        }
    }
}
