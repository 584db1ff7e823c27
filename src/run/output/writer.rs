//! The thread that writes the files of `output = "file"`: a disk that hangs holds up nobody else.
//!
//! What is to be written waits in a bounded queue. While that is full the pipes of these jobs are
//! not read, as with a reader of stdout that does not read; when nothing has been written for a
//! while, what they print is dropped and counted.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::files::Files;
use super::loss;
use super::sink::PATIENCE;
use crate::core::instant::Mono;
use crate::sys::clock;

/// How much waits to be written.
const CAPACITY: usize = 1 << 20;

/// The way to the thread, which is started when there is first something for it.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The thread's own, until it is started.
    files: Option<Files>,
    /// While there is no room: since when nothing has been written, and what had been by then.
    stalled: Option<(Mono, u64)>,
    /// How much was dropped since the disk no longer answers, if it does not.
    dropping: Option<(Mono, u64)>,
}

struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
    /// Wakes who has to know that there is room again, or nothing left.
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    orders: VecDeque<Order>,
    bytes: usize,
    /// How many orders have been done.
    done: u64,
    /// One is being done.
    busy: bool,
    /// Somebody wants to know of the next that is done.
    watched: bool,
    closed: bool,
}

enum Order {
    Open(Box<str>),
    Write(Box<str>, Vec<u8>),
    Close(Box<str>),
    Reopen,
    Finish,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// For the files in a directory. `wake` is called on the thread.
    pub(super) fn new(directory: PathBuf, wake: impl Fn() + Send + Sync + 'static) -> Writer {
        let shared = Shared { queue: Mutex::default(), more: Condvar::new(), wake: Box::new(wake) };
        let files = Some(Files::new(directory));
        Writer { shared: Arc::new(shared), files, stalled: None, dropping: None }
    }

    /// One more stream leads to the file of a job. The error is that there can be no thread.
    pub(super) fn open(&mut self, job: &str) -> io::Result<()> {
        if let Some(files) = self.files.take() {
            let shared = Arc::clone(&self.shared);
            let work = std::thread::Builder::new().name("files".to_owned());
            let directory = files.directory().to_owned();
            if let Err(error) = work.stack_size(256 * 1024).spawn(move || run(&shared, files)) {
                self.files = Some(Files::new(directory));
                return Err(error);
            }
        }
        self.order(Order::Open(job.into()));
        Ok(())
    }

    /// One less.
    pub(super) fn close(&mut self, job: &str) {
        self.order(Order::Close(job.into()));
    }

    /// Opens all files anew.
    pub(super) fn reopen(&mut self) {
        if self.files.is_none() {
            self.order(Order::Reopen);
        }
    }

    /// Has what fails tried once more, and what was lost told.
    pub(super) fn finish(&mut self) {
        if self.files.is_none() {
            self.order(Order::Finish);
        }
    }

    /// Appends whole lines to the file of a job.
    pub(super) fn write(&mut self, job: &str, lines: Vec<u8>) {
        match &mut self.dropping {
            Some((_, lost)) => *lost += lines.len() as u64,
            None if lines.is_empty() => {}
            None => self.order(Order::Write(job.into(), lines)),
        }
    }

    /// Counts what is not even read.
    pub(super) fn drop_bytes(&mut self, count: usize) {
        if let Some((_, lost)) = &mut self.dropping {
            *lost += count as u64;
        }
    }

    fn order(&self, order: Order) {
        let mut queue = self.shared.queue();
        if let Order::Write(_, lines) = &order {
            queue.bytes += lines.len();
        }
        queue.orders.push_back(order);
        drop(queue);
        self.shared.more.notify_one();
    }

    /// Whether more is taken; also when it is only dropped.
    pub(super) fn has_room(&self) -> bool {
        self.stalled.is_none() || self.dropping.is_some()
    }

    /// Looks how things stand.
    pub(super) fn look(&mut self, now: Mono) {
        let mut queue = self.shared.queue();
        if queue.bytes < CAPACITY {
            drop(queue);
            self.stalled = None;
            if let Some((since, lost)) = self.dropping.take() {
                let after = crate::core::words::span(now.since(since));
                log::warn!(
                    event = "output_recovered";
                    "writing job log files works again after {after}; {}",
                    loss::lost(lost)
                );
            }
            return;
        }
        queue.watched = true;
        match &self.stalled {
            Some((since, done)) if *done == queue.done => {
                if self.dropping.is_none() && now >= since.plus(PATIENCE) {
                    self.dropping = Some((now, 0));
                    log::error!(
                        event = "output_lost";
                        "the disk with the job log files does not respond; output to them is lost until it \
                         does"
                    );
                }
            }
            _ => self.stalled = Some((now, queue.done)),
        }
    }

    /// When patience ends.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let (since, _) = self.stalled.filter(|_| self.dropping.is_none())?;
        Some(since.plus(PATIENCE))
    }

    /// Whether all is written. If not, it is said when it is.
    pub(super) fn is_done(&self) -> bool {
        let mut queue = self.shared.queue();
        queue.watched = true;
        queue.orders.is_empty() && !queue.busy
    }
}

impl Drop for Writer {
    /// Lets the thread end, without waiting for it: its disk may hang.
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.more.notify_one();
    }
}

fn run(shared: &Shared, mut files: Files) {
    while let Some(order) = next(shared, files.deadline()) {
        let now = clock::mono();
        let size = match &order {
            Some(Order::Write(_, lines)) => lines.len(),
            _ => 0,
        };
        match &order {
            Some(Order::Open(job)) => files.open(job, now),
            Some(Order::Write(job, lines)) => files.write(job, lines, now),
            Some(Order::Close(job)) => files.close(job),
            Some(Order::Reopen) => files.reopen(now),
            Some(Order::Finish) => files.finish(now),
            None => {}
        }
        files.retry(now);
        let mut queue = shared.queue();
        queue.busy = false;
        queue.bytes -= size;
        queue.done += 1;
        if queue.watched && (queue.bytes < CAPACITY / 2 || queue.orders.is_empty()) {
            queue.watched = false;
            drop(queue);
            (shared.wake)();
        }
    }
}

/// The next order, `Some(None)` when something is to be retried first, `None` when there will
/// be no other.
fn next(shared: &Shared, deadline: Option<Mono>) -> Option<Option<Order>> {
    let mut queue = shared.queue();
    loop {
        if let Some(order) = queue.orders.pop_front() {
            queue.busy = true;
            return Some(Some(order));
        }
        if queue.closed {
            return None;
        }
        let wait = deadline.map(|at| at.since(clock::mono()));
        if wait == Some(Duration::ZERO) {
            return Some(None);
        }
        queue = match wait {
            Some(wait) => {
                let woken = shared.more.wait_timeout(queue, wait);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => shared.more.wait(queue).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// The thread is not there, as if it hung in its first write.
    #[test]
    fn a_disk_that_hangs_holds_up_jobs_for_a_while_and_nobody_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(dir.path().to_owned(), || {});
        let at = |seconds: u64| Mono::from_micros(seconds * 1_000_000);
        writer.look(at(0));
        assert!(writer.has_room() && writer.deadline().is_none());
        writer.write("a", vec![b'x'; CAPACITY]);
        writer.look(at(1));
        assert!(!writer.has_room());
        assert_eq!(writer.deadline(), Some(at(6)));
        // As long as something is written now and then, there is patience.
        writer.shared.queue().done += 1;
        writer.look(at(5));
        writer.look(at(9));
        assert!(!writer.has_room());
        writer.look(at(10));
        assert!(writer.has_room() && writer.deadline().is_none());
        writer.write("a", vec![b'x'; 1000]);
        assert_eq!(writer.shared.queue().bytes, CAPACITY);
        assert_eq!(writer.dropping, Some((at(10), 1000)));
        writer.shared.queue().bytes = 0;
        writer.look(at(11));
        assert!(writer.has_room() && writer.dropping.is_none());
    }

    #[test]
    fn it_says_when_all_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (send, woken) = channel();
        let wake = move || send.send(()).unwrap_or_default();
        let mut writer = Writer::new(dir.path().to_owned(), wake);
        writer.open("a").unwrap();
        for _ in 0..100 {
            writer.write("a", b"a line\n".to_vec());
        }
        while !writer.is_done() {
            woken.recv().unwrap();
        }
        let text = std::fs::read_to_string(dir.path().join("a.log")).unwrap();
        assert_eq!(text, "a line\n".repeat(100));
    }
}
