//! How other threads tell one that waits in the kernel something: they leave a message and wake it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::waker::Waker;

/// Where other threads leave messages for one; cheap to clone. Each waits for the other only as long
/// as a list is moved.
pub(crate) struct Mailbox<M>(Arc<Letters<M>>);

struct Letters<M> {
    /// None once nobody reads them any more.
    messages: Mutex<Option<Pile<M>>>,
    waker: Arc<Waker>,
}

struct Pile<M> {
    messages: Vec<M>,
    /// The reader was woken for them.
    is_known: bool,
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Mailbox<M> {
        Mailbox(Arc::clone(&self.0))
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl<M> Mailbox<M> {
    /// One whose reader is woken by that.
    pub(crate) fn new(waker: Arc<Waker>) -> Mailbox<M> {
        let pile = Pile { messages: Vec::new(), is_known: false };
        Mailbox(Arc::new(Letters { messages: Mutex::new(Some(pile)), waker }))
    }

    fn messages(&self) -> MutexGuard<'_, Option<Pile<M>>> {
        self.0.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send(&self, message: M) {
        self.leave(message);
        self.tell();
    }

    /// Leaves a message that the reader is told of later, with others: see [`Mailbox::tell`].
    pub(crate) fn leave(&self, message: M) {
        // What nobody will read is dropped, and whoever waits for an answer learns of it by that.
        if let Some(pile) = &mut *self.messages() {
            pile.messages.push(message);
        }
    }

    /// Wakes the reader if there is something that it does not know of.
    pub(crate) fn tell(&self) {
        let mut messages = self.messages();
        let Some(pile) = &mut *messages else { return };
        let wakes = !pile.messages.is_empty() && !pile.is_known;
        pile.is_known |= wakes;
        drop(messages);
        if wakes {
            self.0.waker.wake();
        }
    }

    /// Takes all messages, in the order in which they came. Whoever was woken calls
    /// [`Waker::clear`] before.
    pub(crate) fn take(&self) -> Vec<M> {
        let take = |pile: &mut Pile<M>| {
            pile.is_known = false;
            std::mem::take(&mut pile.messages)
        };
        self.messages().as_mut().map(take).unwrap_or_default()
    }

    /// Nobody reads them from here on.
    pub(crate) fn close(&self) {
        let messages = self.messages().take();
        // Who waits for an answer learns of it now, and may have something to say.
        drop(messages);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages().as_ref().is_none_or(|pile| pile.messages.is_empty())
    }

    /// What wakes the reader.
    pub(crate) fn waker(&self) -> &Arc<Waker> {
        &self.0.waker
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// Whether the reader was woken.
    fn is_woken(waker: &Waker) -> bool {
        let mut count = [0; 8];
        rustix::io::read(waker, &mut count).is_ok()
    }

    #[test]
    fn the_reader_is_told_once_of_what_it_does_not_know() {
        let mailbox = Mailbox::new(Arc::new(Waker::new().unwrap()));
        let woken = || is_woken(mailbox.waker());
        mailbox.tell();
        mailbox.leave(1);
        assert!(!woken());
        mailbox.tell();
        assert!(woken());
        mailbox.send(2);
        mailbox.tell();
        assert!(!woken());
        assert_eq!(mailbox.take(), [1, 2]);
        // What another leaves keeps nobody from being woken.
        mailbox.leave(3);
        mailbox.send(4);
        assert!(woken());
        assert_eq!(mailbox.take(), [3, 4]);
    }

    #[test]
    fn what_nobody_reads_is_dropped() {
        let mailbox = Mailbox::new(Arc::new(Waker::new().unwrap()));
        let (sender, receiver) = channel::<()>();
        mailbox.send(sender.clone());
        assert_eq!(mailbox.take().len(), 1);
        mailbox.send(sender.clone());
        assert!(!mailbox.is_empty());
        mailbox.close();
        mailbox.send(sender);
        assert!(mailbox.is_empty());
        receiver.recv().unwrap_err();
    }
}
