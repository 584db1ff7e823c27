//! How other threads tell one that waits in the kernel something: they leave a message and wake it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::waker::Waker;

/// Where other threads leave messages for one; cheap to clone. Each waits for the other only as long
/// as a list is moved.
pub(crate) struct Mailbox<M>(Arc<Letters<M>>);

struct Letters<M> {
    /// None once nobody reads them any more.
    messages: Mutex<Option<Vec<M>>>,
    waker: Arc<Waker>,
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
        Mailbox(Arc::new(Letters { messages: Mutex::new(Some(Vec::new())), waker }))
    }

    fn messages(&self) -> MutexGuard<'_, Option<Vec<M>>> {
        self.0.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn send(&self, message: M) {
        let mut messages = self.messages();
        // What nobody will read is dropped, and whoever waits for an answer learns of it by that.
        let Some(list) = &mut *messages else { return };
        let first = list.is_empty();
        list.push(message);
        drop(messages);
        if first {
            self.0.waker.wake();
        }
    }

    /// Takes all messages, in the order in which they came. Whoever was woken calls
    /// [`Waker::clear`] before.
    pub(crate) fn take(&self) -> Vec<M> {
        self.messages().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Nobody reads them from here on.
    pub(crate) fn close(&self) {
        let messages = self.messages().take();
        // Who waits for an answer learns of it now, and may have something to say.
        drop(messages);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages().as_ref().is_none_or(Vec::is_empty)
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
