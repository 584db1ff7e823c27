//! Where output goes: the scheduler's own stdout and stderr, written to without ever waiting.
//!
//! What cannot be written at once waits in a bounded buffer. While that is full the pipes that
//! lead to it are not read, so that a job that prints faster than anybody reads is slowed down as
//! it would be in a terminal. When nobody reads anything for a while, output is dropped and
//! counted: a stopped terminal must not, by way of jobs that never end, stop the schedule.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};

use crate::instant::Mono;

/// How much waits for a reader.
const CAPACITY: usize = 256 * 1024;

/// How long a reader may read nothing before output is dropped.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// As much as a pipe or terminal that has room at all takes without waiting, on the kinds of sink
/// that cannot be told not to wait.
const SAFE_WRITE: usize = 4096;

/// To the beginning of the line, and clear it.
const ERASE: &[u8] = b"\r\x1b[K";

/// A stream of the scheduler.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    how: How,
    buffer: Vec<u8>,
    /// How much of `buffer` is written.
    written: usize,
    /// When the reader stopped reading.
    stalled: Option<Mono>,
    state: State,
    /// Bytes that were dropped since the last time that was said.
    dropped: u64,
    pub(super) is_terminal: bool,
    /// What is to stand below everything else; nothing where there is no such line.
    status: Vec<u8>,
    /// It stands there, or will when the buffer is written.
    drawn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// A file: never waits.
    File,
    /// A pipe or terminal opened anew, so that not waiting is a property of this opening only.
    /// The one the scheduler was started with is shared with others, who did not ask for it.
    NonBlocking,
    /// Anything else: asked first whether it has room, and given little at a time.
    Careful,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The reader does not read; what is printed is dropped until it does.
    Dropping,
    /// The reader is gone.
    Closed,
}

/// What became of an attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing waits.
    All,
    /// Something waits for the reader.
    Waiting,
    /// Nothing waits, because the reader has gone just now.
    Gone(i32),
}

impl Sink {
    pub(super) fn new(stream: BorrowedFd<'_>) -> io::Result<Sink> {
        let is_terminal = stream.is_terminal();
        let kind = FileType::from_raw_mode(rustix::fs::fstat(stream)?.st_mode);
        let reopened = if kind == FileType::Fifo || is_terminal { reopen(stream) } else { None };
        let (fd, how) = match (kind, reopened) {
            (_, Some(fd)) => (fd, How::NonBlocking),
            (FileType::RegularFile, None) => (stream.try_clone_to_owned()?, How::File),
            (_, None) => (stream.try_clone_to_owned()?, How::Careful),
        };
        Ok(Sink {
            file: File::from(fd),
            how,
            buffer: Vec::new(),
            written: 0,
            stalled: None,
            state: State::Open,
            dropped: 0,
            is_terminal,
            status: Vec::new(),
            drawn: false,
        })
    }

    /// Where whole lines are to be appended, `None` while nobody wants them.
    pub(super) fn buffer(&mut self) -> Option<&mut Vec<u8>> {
        if self.state != State::Open {
            return None;
        }
        self.erase();
        Some(&mut self.buffer)
    }

    /// Changes the line below everything else.
    pub(super) fn set_status(&mut self, status: &[u8]) {
        if self.status != status {
            self.status = status.to_vec();
            self.erase();
        }
    }

    /// Puts that line there again if something has taken its place.
    pub(super) fn draw_status(&mut self) {
        // While nobody reads, it would be old news by the time it is read.
        let wanted = self.state == State::Open && self.stalled.is_none();
        if wanted && !self.drawn && !self.status.is_empty() {
            self.buffer.extend_from_slice(&self.status);
            self.drawn = true;
        }
    }

    fn erase(&mut self) {
        if self.drawn && self.state != State::Closed {
            self.buffer.extend_from_slice(ERASE);
            self.drawn = false;
        }
    }

    /// The columns of the terminal.
    pub(super) fn width(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(&self.file).ok()?;
        (size.ws_col > 0).then_some(usize::from(size.ws_col))
    }

    /// Counts bytes that were not appended because nobody wants them.
    pub(super) fn drop_bytes(&mut self, count: usize) {
        self.dropped += count as u64;
    }

    /// Whether more may be appended.
    pub(super) fn has_room(&self) -> bool {
        self.buffer.len() - self.written < CAPACITY
    }

    /// Whether something waits to be written.
    pub(super) fn is_waiting(&self) -> bool {
        // A terminal that is gone says for ever that something is the matter with it: whoever
        // waited for it would be woken for ever.
        match self.state {
            State::Open => self.written < self.buffer.len(),
            State::Dropping => true,
            State::Closed => false,
        }
    }

    /// When patience ends, if the reader does not read.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let waiting = self.state == State::Open;
        self.stalled.filter(|_| waiting).map(|since| since.plus(PATIENCE))
    }

    /// Writes what can be written without waiting.
    pub(super) fn flush(&mut self, now: impl Fn() -> Mono) -> Flushed {
        if self.state == State::Closed {
            return Flushed::All;
        }
        if self.state == State::Dropping && self.has_reader() {
            self.state = State::Open;
            self.stalled = None;
            let note =
                format!("schedrs: {} bytes of output dropped, nobody read them\n", self.dropped);
            self.dropped = 0;
            if !self.status.is_empty() {
                self.buffer.extend_from_slice(ERASE);
            }
            self.buffer.extend_from_slice(note.as_bytes());
        }
        while self.written < self.buffer.len() {
            let rest = &self.buffer[self.written..];
            let result = match self.how {
                How::File | How::NonBlocking => self.file.write(rest),
                How::Careful if self.has_reader() => {
                    self.file.write(&rest[..rest.len().min(SAFE_WRITE)])
                }
                How::Careful => Err(io::ErrorKind::WouldBlock.into()),
            };
            match result {
                Ok(count) => {
                    self.written += count;
                    self.stalled = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled = self.stalled.or_else(|| Some(now()));
                    self.make_space();
                    return Flushed::Waiting;
                }
                // A full disk may have room again; a closed pipe has no reader for ever.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    self.dropped += self.buffer.len() as u64;
                    self.forget();
                }
                Err(error) => {
                    self.state = State::Closed;
                    self.drawn = false;
                    self.forget();
                    return Flushed::Gone(error.raw_os_error().unwrap_or(0));
                }
            }
        }
        self.forget();
        Flushed::All
    }

    /// Gives up waiting if patience has ended.
    pub(super) fn lose_patience(&mut self, now: Mono) {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            // A line half written is finished first, once the reader reads again.
            let rest = &self.buffer[self.written..];
            let keep = rest.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            self.dropped += (rest.len() - keep) as u64;
            self.buffer.truncate(self.written + keep);
            self.make_space();
            self.state = State::Dropping;
            self.drawn = false;
        }
    }

    fn has_reader(&self) -> bool {
        let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut fds, Some(&no_wait)), Ok(1..))
    }

    /// Moves what waits to the front of the buffer.
    fn make_space(&mut self) {
        self.buffer.drain(..self.written);
        self.written = 0;
    }

    fn forget(&mut self) {
        self.buffer.clear();
        self.written = 0;
        // A burst's memory is given back.
        if self.buffer.capacity() > 2 * CAPACITY {
            self.buffer = Vec::new();
        }
    }
}

impl AsFd for Sink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The same pipe or terminal, opened once more for writing without waiting.
fn reopen(stream: BorrowedFd<'_>) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// Whether two streams are one and the same file, pipe or terminal.
pub(super) fn same(a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> bool {
    match (rustix::fs::fstat(a), rustix::fs::fstat(b)) {
        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_reader_that_is_gone_is_not_waited_for() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let mut sink = Sink::new(writer.as_fd()).unwrap();
        drop(writer);
        let now = || Mono::from_micros(0);
        sink.set_status(b"1 running");
        sink.draw_status();
        assert_eq!(sink.flush(now), Flushed::All);
        // The line at the bottom stands there, and then nobody is left to see it changed.
        drop(reader);
        sink.set_status(b"2 running");
        sink.draw_status();
        assert!(matches!(sink.flush(now), Flushed::Gone(_)));
        sink.set_status(b"3 running");
        sink.draw_status();
        assert_eq!(sink.flush(now), Flushed::All);
        assert!(!sink.is_waiting());
        assert!(sink.buffer().is_none());
    }
}
