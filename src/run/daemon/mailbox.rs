//! The loop's queue of messages: other threads leave them and wake it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Waker;
use super::effects::Message;

/// Where other threads leave what the loop should know; nothing once the loop has ended.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox(Arc<Letters>);

#[derive(Debug)]
struct Letters {
    /// None once the loop has ended.
    messages: Mutex<Option<Vec<Message>>>,
    waker: Arc<Waker>,
}

impl Mailbox {
    pub(super) fn new(waker: Arc<Waker>) -> Mailbox {
        Mailbox(Arc::new(Letters { messages: Mutex::new(Some(Vec::new())), waker }))
    }

    fn messages(&self) -> MutexGuard<'_, Option<Vec<Message>>> {
        self.0.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send(&self, message: Message) {
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

    pub(super) fn take(&self) -> Vec<Message> {
        self.messages().as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(super) fn close(&self) {
        *self.messages() = None;
    }
}
