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

use super::lines::MAX_PIECE;
use super::loss::{self, RETRY};
use super::status::ERASE;
use crate::core::instant::Mono;
use crate::sys::terminal;

/// How much waits for a reader.
const CAPACITY: usize = 256 * 1024;

/// How long a reader may read nothing before output is dropped.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// As much as a pipe or terminal that has room at all takes without waiting, on the kinds of sink
/// that cannot be told not to wait.
const SAFE_WRITE: usize = 4096;

/// A line that is half written is finished when it can be, if no more than this is left of it.
pub(super) const MAX_REST: usize = 2 * MAX_PIECE;

/// A stream of the scheduler. Tests put something else in the place of the file.
#[derive(Debug)]
pub(super) struct Sink<F = File> {
    file: F,
    how: How,
    buffer: Vec<u8>,
    /// How much of `buffer` is written.
    written: usize,
    /// When the reader stopped reading.
    stalled: Option<Mono>,
    state: State,
    /// Bytes that were dropped since the last time that was said, and why.
    dropped: u64,
    why: Why,
    /// Something is written of a line, and its end is not.
    torn: bool,
    /// The lines that say so are for programs, as is the log that is written here.
    json: bool,
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
    /// It cannot be written; what is printed is dropped until it can.
    Failing {
        since: Mono,
        retry: Mono,
    },
    /// The reader is gone.
    Closed,
}

/// Why bytes were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Unread,
    Error(i32),
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
    /// From now on what is printed is lost, because it cannot be written.
    Failing(i32),
    /// It can be written again, after so long; so much was lost.
    Recovered(Duration, u64),
}

impl Sink {
    pub(super) fn new(stream: BorrowedFd<'_>, json: bool) -> io::Result<Sink> {
        let is_terminal = stream.is_terminal();
        let kind = FileType::from_raw_mode(rustix::fs::fstat(stream)?.st_mode);
        let reopened = if kind == FileType::Fifo || is_terminal { reopen(stream) } else { None };
        let (fd, how) = match (kind, reopened) {
            (_, Some(fd)) => (fd, How::NonBlocking),
            (FileType::RegularFile, None) => (stream.try_clone_to_owned()?, How::File),
            (_, None) => (stream.try_clone_to_owned()?, How::Careful),
        };
        Ok(Sink::on(File::from(fd), how, is_terminal, json))
    }
}

impl<F: Write + AsFd> Sink<F> {
    fn on(file: F, how: How, is_terminal: bool, json: bool) -> Sink<F> {
        Sink {
            file,
            how,
            buffer: Vec::new(),
            written: 0,
            stalled: None,
            state: State::Open,
            dropped: 0,
            why: Why::Unread,
            torn: false,
            json,
            is_terminal,
            status: Vec::new(),
            drawn: false,
        }
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
        terminal::columns(&self.file)
    }

    /// Counts bytes that were not appended because nobody wants them.
    pub(super) fn drop_bytes(&mut self, count: usize) {
        self.dropped += count as u64;
    }

    /// Whether more may be appended.
    pub(super) fn has_room(&self) -> bool {
        self.waiting() < CAPACITY
    }

    /// How many bytes wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// Whether something waits to be written.
    pub(super) fn is_waiting(&self) -> bool {
        // A terminal that is gone says for ever that something is the matter with it: whoever
        // waited for it would be woken for ever.
        match self.state {
            State::Open => self.written < self.buffer.len(),
            State::Dropping => true,
            // It cannot be waited for, but is retried.
            State::Failing { .. } | State::Closed => false,
        }
    }

    /// When patience ends, if the reader does not read, and when to retry what has failed.
    pub(super) fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Open => self.stalled.map(|since| since.plus(PATIENCE)),
            State::Failing { retry, .. } => Some(retry),
            State::Dropping | State::Closed => None,
        }
    }

    /// Writes what can be written without waiting.
    pub(super) fn flush(&mut self, now: impl Fn() -> Mono) -> Flushed {
        match self.state {
            State::Closed => return Flushed::All,
            State::Failing { since, retry } => {
                let at = now();
                return if at < retry { Flushed::All } else { self.try_again(since, at) };
            }
            State::Dropping if self.has_reader() => {
                self.state = State::Open;
                self.stalled = None;
            }
            State::Dropping | State::Open => {}
        }
        if self.state == State::Open && self.dropped > 0 && self.has_room() {
            self.append_note();
        }
        match self.write_out() {
            Ok(()) => {
                self.forget();
                Flushed::All
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.stalled = self.stalled.or_else(|| Some(now()));
                self.make_space();
                Flushed::Waiting
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(0);
                self.drawn = false;
                if loss::is_final(errno, self.is_terminal) {
                    self.state = State::Closed;
                    self.forget();
                    return Flushed::Gone(errno);
                }
                let since = now();
                self.why = Why::Error(errno);
                self.drop_waiting();
                self.state = State::Failing { since, retry: since.plus(RETRY) };
                Flushed::Failing(errno)
            }
        }
    }

    /// How much is lost by now, while it cannot be written.
    pub(super) fn lost(&self) -> Option<u64> {
        matches!(self.state, State::Failing { .. }).then_some(self.dropped)
    }

    /// Has what has failed retried at once.
    pub(super) fn hurry(&mut self, now: Mono) {
        if let State::Failing { retry, .. } = &mut self.state {
            *retry = now;
        }
    }

    /// Finishes the line that is half written, and says what is missing behind it.
    fn try_again(&mut self, since: Mono, now: Mono) -> Flushed {
        let (before, lost) = (self.buffer.len(), self.dropped);
        self.append_note();
        if self.write_out().is_ok() {
            self.forget();
            (self.state, self.why) = (State::Open, Why::Unread);
            return Flushed::Recovered(now.since(since), lost);
        }
        if self.written <= before {
            // Nothing is written of the note, and more will be missing by then.
            self.buffer.truncate(before);
            self.dropped = lost;
        }
        self.make_space();
        self.state = State::Failing { since, retry: now.plus(RETRY) };
        Flushed::All
    }

    /// Says how much was dropped, on a line of its own.
    fn append_note(&mut self) {
        let lost = std::mem::take(&mut self.dropped);
        if lost == 0 {
            return;
        }
        let last = self.buffer[self.written..].last();
        let torn = last.map_or(self.torn, |last| *last != b'\n');
        if !self.status.is_empty() {
            self.buffer.extend_from_slice(ERASE);
        } else if torn {
            self.buffer.push(b'\n');
        }
        let text = match self.why {
            Why::Unread => format!("{lost} bytes of output dropped, nobody read them"),
            Why::Error(errno) => format!("{lost} bytes of output lost: {}", loss::reason(errno)),
        };
        self.buffer.extend_from_slice(&loss::note(&text, self.json));
    }

    fn write_out(&mut self) -> io::Result<()> {
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
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.written += count;
                    self.torn = self.buffer[self.written - 1] != b'\n';
                    self.stalled = None;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Gives up waiting if patience has ended. Answers whether it has just now.
    pub(super) fn lose_patience(&mut self, now: Mono) -> bool {
        let over = self.state == State::Open && self.deadline().is_some_and(|end| now >= end);
        if over {
            self.why = Why::Unread;
            self.drop_waiting();
            self.state = State::Dropping;
            self.drawn = false;
        }
        over
    }

    /// Drops what waits, but for the rest of a line that is half written.
    fn drop_waiting(&mut self) {
        let rest = &self.buffer[self.written..];
        let end = rest.iter().take(MAX_REST).position(|byte| *byte == b'\n');
        let keep = end.filter(|_| self.torn).map_or(0, |end| end + 1);
        self.dropped += (rest.len() - keep) as u64;
        self.buffer.truncate(self.written + keep);
        self.make_space();
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

impl<F: AsFd> AsFd for Sink<F> {
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
        let mut sink = Sink::new(writer.as_fd(), false).unwrap();
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

    /// Has room for so many bytes, and fails beyond that.
    struct Disk {
        text: Vec<u8>,
        room: usize,
        errno: i32,
        null: File,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room - self.text.len());
            if count == 0 {
                return Err(io::Error::from_raw_os_error(self.errno));
            }
            self.text.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl AsFd for Disk {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.null.as_fd()
        }
    }

    fn disk(room: usize, errno: i32, json: bool) -> Sink<Disk> {
        let null = File::open("/dev/null").unwrap();
        Sink::on(Disk { text: Vec::new(), room, errno, null }, How::File, false, json)
    }

    fn print(sink: &mut Sink<Disk>, text: &str) {
        match sink.buffer() {
            Some(buffer) => buffer.extend_from_slice(text.as_bytes()),
            None => sink.drop_bytes(text.len()),
        }
    }

    const SECOND: u64 = 1_000_000;

    #[test]
    fn no_line_is_torn_by_a_full_disk_and_the_loss_is_counted() {
        for errno in [libc::ENOSPC, libc::EDQUOT, libc::EIO, libc::EFBIG] {
            let mut sink = disk(12, errno, false);
            let at = Mono::from_micros;
            print(&mut sink, "a | one\na | two\na | three\n");
            assert_eq!(sink.flush(|| at(0)), Flushed::Failing(errno));
            assert!(sink.has_room() && !sink.is_waiting());
            print(&mut sink, "a | four\n");
            // It is retried once a second, not with each line.
            assert_eq!(sink.deadline(), Some(at(SECOND)));
            assert_eq!(sink.flush(|| at(SECOND - 1)), Flushed::All);
            assert_eq!(sink.flush(|| at(SECOND)), Flushed::All);
            // Room for the rest of the line and a part of what is said of the loss.
            sink.file.room = 24;
            assert_eq!(sink.flush(|| at(2 * SECOND)), Flushed::All);
            print(&mut sink, "a | five\n");
            sink.file.room = 1000;
            assert_eq!(sink.flush(|| at(3 * SECOND)), Flushed::Recovered(3 * RETRY, 9));
            print(&mut sink, "a | six\n");
            assert_eq!(sink.flush(|| at(3 * SECOND)), Flushed::All);
            let why = loss::reason(errno);
            let expected = format!(
                "a | one\na | two\nschedrs: 19 bytes of output lost: {why}\n\
                 schedrs: 9 bytes of output lost: {why}\na | six\n"
            );
            assert_eq!(String::from_utf8_lossy(&sink.file.text), expected);
        }
    }

    #[test]
    fn a_line_that_has_no_end_is_ended() {
        let mut sink = disk(4, libc::ENOSPC, true);
        print(&mut sink, &"x".repeat(MAX_REST + 100));
        assert_eq!(sink.flush(|| Mono::from_micros(0)), Flushed::Failing(libc::ENOSPC));
        sink.file.room = 1000;
        let recovered = sink.flush(|| Mono::from_micros(SECOND));
        assert_eq!(recovered, Flushed::Recovered(RETRY, MAX_REST as u64 + 96));
        let text = String::from_utf8(sink.file.text).unwrap();
        let (line, note) = text.split_once('\n').unwrap();
        let note: serde_json::Value = serde_json::from_str(note).unwrap();
        assert_eq!((line, &note["event"]), ("xxxx", &"output_lost".into()));
    }

    #[test]
    fn what_is_gone_is_gone() {
        let mut sink = disk(0, libc::EPIPE, false);
        print(&mut sink, "a | one\n");
        assert_eq!(sink.flush(|| Mono::from_micros(0)), Flushed::Gone(libc::EPIPE));
        assert!(sink.buffer().is_none() && sink.deadline().is_none());
    }
}
