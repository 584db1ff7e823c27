//! The end of the service: who has asked something hears of it.

use serde_json::Value;

use super::exchange::Exchange;
use super::{Accepting, LAST_WORDS, Service};
use crate::control::{Request, wire};
use crate::sys::clock;

impl Service {
    /// Takes nothing more from here on: whatever is asked is told so.
    pub(super) fn stop(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        if self.accepting == Accepting::Yes {
            // Whoever has connected already is told, too.
            self.accept();
        }
        if self.accepting == Accepting::Yes {
            self.epoll.remove(&self.listener);
        }
        self.accepting = Accepting::No;
        self.listener.remove();
        self.history.close();
        for connection in self.connections.values_mut() {
            connection.tell();
            let waiting = connection.pending.drain().map(|(_, exchange)| exchange.id);
            let mut ids: Vec<Option<Value>> = waiting.collect();
            ids.extend(connection.following.take().map(|following| following.id.clone()));
            for id in ids {
                connection.say(&wire::fault_line(id.as_ref(), &Exchange::lost()));
            }
        }
    }

    /// Answers what has been asked until now, and no more.
    pub(super) fn end(&mut self) {
        let now = clock::mono();
        self.ending = Some(now.plus(LAST_WORDS));
        let tokens: Vec<u64> = self.connections.keys().copied().collect();
        for token in tokens {
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.read();
            }
            self.begin_requests(token, now);
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.close();
            }
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.ending.is_some_and(|last| self.connections.is_empty() || clock::mono() >= last)
    }

    /// What is asked when there is no loop any more that could do it. Whoever wants the end has it.
    pub(super) fn say_of_end(&mut self, token: u64, id: Option<&Value>, request: &Request) {
        let line = match request {
            Request::Shutdown { .. } => wire::good_line(id, "{}"),
            _ => wire::fault_line(id, &Exchange::lost()),
        };
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.say(&line);
        }
    }
}
