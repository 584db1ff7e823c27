//! One connection: its bytes in both directions, and how much of everything it may have.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::exchange::Exchange;
use super::following::Following;
use super::history::Snapshot;
use crate::control::wire::{self, MAX_LINE};
use crate::core::instant::Mono;
use crate::sys::epoll::EventFlags;

/// So many requests of a connection are answered at the same time.
const MAX_PENDING: usize = 8;

/// So many bytes of responses are kept for a client that does not read. It is not read from either
/// as long as there are more than [`ENOUGH_UNREAD`].
const MAX_UNREAD: usize = 16 << 20;
const ENOUGH_UNREAD: usize = 1 << 20;

/// A client that does not read for so long is not there, unless it follows: a person may have
/// stopped the terminal.
const PATIENCE: Duration = Duration::from_secs(30);

/// So many requests a second, and as many at once after a pause.
const RATE: u64 = 1000;

/// Read at once.
const CHUNK: usize = 64 * 1024;

/// A line, or that there will be none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    /// Who is at the other end.
    pub(super) by: Box<str>,
    input: Vec<u8>,
    /// So much of `input` has been looked at and holds no end of a line.
    seen: usize,
    output: Vec<u8>,
    written: usize,
    /// Since when nothing could be written.
    stuck: Option<Mono>,
    /// The requests that are being answered.
    pub(super) pending: HashMap<u64, Exchange>,
    /// What its last list was made of, if it has not been told all of that.
    pub(super) kept: Option<Arc<Snapshot>>,
    /// What it is told as it happens.
    pub(super) following: Option<Following>,
    /// How many requests it may still make, in thousandths.
    allowance: u64,
    counted: Mono,
    /// Nothing more will come.
    ended: bool,
    /// The other end is closed for good: nobody will read.
    gone: bool,
    /// It is closed once all is written.
    closing: bool,
    /// What epoll was told to wait for; `None`: it is not there any more.
    pub(super) interest: Option<EventFlags>,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, by: Box<str>, now: Mono) -> Connection {
        Connection {
            socket,
            by,
            input: Vec::new(),
            seen: 0,
            output: Vec::new(),
            written: 0,
            stuck: None,
            pending: HashMap::new(),
            kept: None,
            following: None,
            allowance: RATE * 1000,
            counted: now,
            ended: false,
            gone: false,
            closing: false,
            interest: Some(EventFlags::IN),
        }
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// The other end is closed, or broken.
    pub(super) fn hang_up(&mut self) {
        self.gone = true;
        self.output.clear();
        self.written = 0;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Reads what there is, up to a bound. Answers whether there was anything.
    pub(super) fn read(&mut self) -> bool {
        if self.ended || self.closing {
            return false;
        }
        let before = self.input.len();
        self.input.resize(before + CHUNK, 0);
        let read = recv(&self.socket, &mut self.input[before..], RecvFlags::empty());
        let count = match read {
            Ok((count, _)) => count,
            Err(Errno::AGAIN | Errno::INTR) => {
                self.input.truncate(before);
                return false;
            }
            Err(_) => 0,
        };
        self.input.truncate(before + count);
        self.ended |= count == 0;
        count > 0
    }

    /// Whether another request may be begun now.
    pub(super) fn may_begin(&mut self, now: Mono) -> bool {
        let earned = now.since(self.counted).as_micros() as u64 * RATE / 1000;
        if earned > 0 {
            self.allowance = self.allowance.saturating_add(earned).min(RATE * 1000);
            self.counted = now;
        }
        let unread = self.output.len() - self.written;
        // There are not more that wait for a run than there are runs.
        let pending = self.pending.values().filter(|exchange| !exchange.waits_for_run).count();
        if self.closing || pending >= MAX_PENDING || unread > ENOUGH_UNREAD {
            return false;
        }
        // A large response stands alone, so that there is room for it.
        !self.pending.values().any(Exchange::is_large) && self.allowance >= 1000
    }

    /// The next line, if there is one. What stands behind the last end of a line counts as one
    /// when nothing more will come.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        let end = memchr::memchr(b'\n', &self.input[self.seen..]).map(|at| self.seen + at);
        let Some(end) = end else {
            self.seen = self.input.len();
            if self.seen > MAX_LINE {
                return self.too_long();
            }
            if self.ended && !self.input.is_empty() {
                self.seen = 0;
                self.allowance = self.allowance.saturating_sub(1000);
                return Some(Line::Whole(std::mem::take(&mut self.input)));
            }
            return None;
        };
        if end > MAX_LINE {
            return self.too_long();
        }
        let mut line: Vec<u8> = self.input.drain(..=end).collect();
        line.pop();
        self.seen = 0;
        if self.input.is_empty() {
            self.input.shrink_to(CHUNK);
        }
        self.allowance = self.allowance.saturating_sub(1000);
        Some(Line::Whole(line))
    }

    fn too_long(&mut self) -> Option<Line> {
        self.input = Vec::new();
        self.seen = 0;
        Some(Line::TooLong)
    }

    /// Whether a whole line, or a last one, lies here.
    fn has_line(&self) -> bool {
        let rest = &self.input[self.seen..];
        memchr::memchr(b'\n', rest).is_some() || (self.ended && !self.input.is_empty())
    }

    /// Has a line written. Where there is no room for it, the connection is over.
    pub(super) fn say(&mut self, line: &[u8]) {
        if self.gone {
            return;
        }
        if self.output.len() - self.written + line.len() > MAX_UNREAD {
            self.hang_up();
            return;
        }
        self.output.extend_from_slice(line);
    }

    /// Tells one who follows what has happened, if most of what it was told before has been read.
    pub(super) fn tell(&mut self) {
        if self.output.len() - self.written > ENOUGH_UNREAD || self.closing {
            return;
        }
        let Some(mut following) = self.following.take() else { return };
        while self.output.len() - self.written <= ENOUGH_UNREAD
            && let Some(bodies) = following.source.take()
        {
            for body in bodies {
                self.say(&wire::good_line(following.id.as_ref(), &body));
            }
        }
        self.following = Some(following);
    }

    /// Takes nothing more, and is over once all is written.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.input = Vec::new();
        self.seen = 0;
        self.pending.clear();
        self.kept = None;
        self.following = None;
    }

    /// Writes as much as the other end takes.
    pub(super) fn flush(&mut self, now: Mono) {
        while self.written < self.output.len() && !self.gone {
            match send(&self.socket, &self.output[self.written..], SendFlags::NOSIGNAL) {
                Ok(count) => {
                    self.written += count;
                    self.stuck = None;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.stuck = self.stuck.or(Some(now));
                    break;
                }
                Err(_) => self.hang_up(),
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.output.shrink_to(CHUNK);
            self.written = 0;
            self.stuck = None;
        } else if self.written > ENOUGH_UNREAD {
            self.output.drain(..self.written);
            self.written = 0;
        }
    }

    /// What is to be waited for.
    pub(super) fn wants(&self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, !self.ended && !self.closing && !self.has_line());
        flags.set(EventFlags::OUT, self.written < self.output.len());
        flags
    }

    /// When something is to be done without anything having happened: a client that does not read
    /// has had its time, or one that asks too fast may ask again.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let impatient = self.patience_ends();
        let slow = (self.allowance < 1000 && self.has_line())
            .then(|| self.counted.plus(Duration::from_millis(1)));
        [impatient, slow].into_iter().flatten().min()
    }

    /// When a client that does not read is given up.
    fn patience_ends(&self) -> Option<Mono> {
        let since = self.stuck.filter(|_| self.following.is_none() || self.closing);
        since.map(|since| since.plus(PATIENCE))
    }

    fn waits_for_nothing(&self) -> bool {
        self.pending.is_empty() && self.following.is_none()
    }

    /// Whether nothing more is to be done with it.
    pub(super) fn is_over(&self, now: Mono) -> bool {
        if self.patience_ends().is_some_and(|end| now >= end) {
            return true;
        }
        let all_written = self.written == self.output.len();
        let all_done =
            self.ended && self.input.is_empty() && (self.waits_for_nothing() || self.gone);
        all_written && (self.closing || all_done)
    }
}
