//! What jobs print, and what the scheduler logs: one thread that serves every pipe.
//!
//! The loop hands it the reading ends of a child's output ([`Handle::attach`]) and tells it when a
//! run has ended ([`Handle::ended`]), and the logger gives it finished lines
//! ([`Handle::log_line`]), so that neither the loop nor a spawner ever waits for whoever reads
//! what the scheduler prints. Messages are handled in order: all that a run has printed comes
//! before the line that says it ended.
//!
//! Here is the way to that thread; `server` is what it does. `mask` takes a job's secrets out, `lines`
//! cuts streams into lines, `sink` writes them to stdout and stderr without waiting; `writer` is a
//! thread that writes them to `files`, one `file` per job; `loss` is what all do when they cannot;
//! `tail` keeps their end and passes them on to whoever follows; `status` is the line at the
//! bottom of a terminal.

mod file;
mod files;
mod lines;
mod loss;
mod mask;
mod server;
mod sink;
mod status;
mod tail;
mod writer;

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::control::follow::{Follow, FollowId, FollowSink};
use crate::core::event::RunId;
use crate::core::job::Job;
use crate::run::child::Pipes;
use crate::sys::mailbox::Mailbox;
use crate::sys::waker::Waker;
pub(crate) use file::path_of;
pub use lines::colour_of;
pub(crate) use lines::{Lines, Prefix, Style, make_harmless};
pub use mask::{Mask, Masks};
use server::Server;
pub(crate) use status::{ERASE, waiting_words};
pub use status::{Live, column_of, shown_id};
pub use tail::{TailSink, WithTail, WithTotal};

/// How the output of jobs is shown.
#[derive(Clone)]
pub struct Settings {
    /// Write what jobs print as it is, with nothing in front of its lines.
    pub raw: bool,
    /// There is one run only: nothing of it waits for the end of its line.
    pub at_once: bool,
    /// Give each job a colour where the output is a terminal.
    pub colour: bool,
    /// The log on stderr is for programs.
    pub json_log: bool,
    /// Where the files of `output = "file"` are.
    pub directory: PathBuf,
    /// Takes the end of what each run has printed.
    pub tails: Option<TailSink>,
    /// How many bytes of each attempt that is, unless a job says.
    pub keep: u32,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("raw", &self.raw).finish_non_exhaustive()
    }
}

/// Log lines beyond this many bytes that the thread has not got round to are dropped.
const MAX_LOG_BACKLOG: usize = 1 << 20;

const NO_COLUMNS: usize = usize::MAX;

/// The running thread.
#[derive(Debug)]
pub struct Output {
    handle: Handle,
    /// Says nothing, but ends with the thread.
    ended: Receiver<()>,
}

/// How long the thread may take for the end beyond the time it gives itself: a disk may hang.
const AT_LAST: Duration = Duration::from_secs(1);

/// The way to the thread; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    inbox: Mailbox<Message>,
    /// Bytes of log lines that are in it.
    log_backlog: AtomicUsize,
    /// How many there was no room for, since that was last told.
    log_lines_dropped: AtomicU64,
    /// The width of the ids in front of lines on a terminal; [`NO_COLUMNS`] unless the log has
    /// columns too.
    column: AtomicUsize,
    /// How many have begun to follow a job.
    follows: AtomicU64,
}

enum Message {
    Attach(RunId, u32, Arc<Job>, Pipes),
    Follow(FollowId, Option<Box<str>>, bool, FollowSink),
    Unfollow(FollowId),
    Ended(RunId),
    Tail(RunId, WithTail),
    Over(RunId, Option<WithTotal>),
    Live(Live),
    Reopen,
    LogLine(Vec<u8>),
    LogLinesDropped,
    Settle(Sender<()>),
    Finish,
}

thread_local! {
    /// What this thread sends it tells of later: see [`Handle::hold`].
    static HOLDS: Cell<bool> = const { Cell::new(false) };
}

impl Output {
    /// Starts the thread, on this process's own stdout and stderr.
    pub fn start(settings: Settings) -> io::Result<Output> {
        let handle = Handle(Arc::new(Shared {
            inbox: Mailbox::new(Arc::new(Waker::new()?)),
            log_backlog: AtomicUsize::new(0),
            log_lines_dropped: AtomicU64::new(0),
            column: AtomicUsize::new(NO_COLUMNS),
            follows: AtomicU64::new(0),
        }));
        let mut server = Server::new(Arc::clone(&handle.0), settings)?;
        let (end, ended) = channel();
        let work = move || {
            server.run();
            drop(end);
        };
        let thread = std::thread::Builder::new().name("output".to_owned());
        thread.stack_size(256 * 1024).spawn(work)?;
        Ok(Output { handle, ended })
    }

    /// A way to the thread.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Writes what there is, for at most two seconds, and ends the thread; one that hangs in
    /// writing to a disk is left behind.
    pub fn finish(self) {
        self.handle.send(Message::Finish);
        self.handle.let_go();
        // It has nothing to answer.
        let _ = self.ended.recv_timeout(server::LAST_WORDS + AT_LAST);
    }
}

impl Follow for Handle {
    fn follow(&self, job: Option<Box<str>>, past: bool, sink: FollowSink) -> FollowId {
        let id = FollowId(self.0.follows.fetch_add(1, Ordering::Relaxed));
        self.send(Message::Follow(id, job, past, sink));
        id
    }

    fn unfollow(&self, id: FollowId) {
        self.send(Message::Unfollow(id));
    }
}

impl Handle {
    /// Hands over the pipes of an attempt of a run.
    pub fn attach(&self, run: RunId, attempt: u32, job: Arc<Job>, pipes: Pipes) {
        self.send(Message::Attach(run, attempt, job, pipes));
    }

    /// Says that a run will have no other attempt. Who wants to know is told how much it has printed, once all of
    /// that has been read.
    pub fn over(&self, run: RunId, then: Option<WithTotal>) {
        self.send(Message::Over(run, then));
    }

    /// Shows somebody the end of what the last attempt of a run has printed, once all of that has been read.
    pub fn tail(&self, run: RunId, then: WithTail) {
        self.send(Message::Tail(run, then));
    }

    /// Says that an attempt has ended: what its pipes hold is read, then they are closed, whoever may
    /// still have the other ends.
    pub fn ended(&self, run: RunId) {
        self.send(Message::Ended(run));
    }

    /// Says what there is to see at the bottom of the terminal.
    pub fn show(&self, live: Live) {
        self.send(Message::Live(live));
    }

    /// Says how wide the ids in front of lines on a terminal are.
    pub fn set_column(&self, column: usize) {
        self.0.column.store(column, Ordering::Relaxed);
    }

    /// Opens the files of `output = "file"` anew.
    pub fn reopen(&self) {
        self.send(Message::Reopen);
    }

    /// Waits until what was sent before is done, so that the end of what runs have printed is on its
    /// way to the store; not for long, as whoever reads may have stopped.
    pub fn settle(&self) {
        let (done, settled) = channel();
        self.send(Message::Settle(done));
        self.0.inbox.tell();
        // One that does not answer in time is not waited for.
        let _ = settled.recv_timeout(AT_LAST);
    }

    /// Writes a line of the scheduler's own log to stderr.
    pub fn log_line(&self, line: &[u8]) {
        let shared = &self.0;
        let before = shared.log_backlog.fetch_add(line.len(), Ordering::Relaxed);
        if before + line.len() <= MAX_LOG_BACKLOG {
            self.send(Message::LogLine(line.to_vec()));
            return;
        }
        shared.log_backlog.fetch_sub(line.len(), Ordering::Relaxed);
        if shared.log_lines_dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            self.send(Message::LogLinesDropped);
        }
    }

    /// From here on the output's thread is not woken for each thing that this thread sends, but for all of
    /// them together by [`Handle::let_go`].
    pub fn hold(&self) {
        HOLDS.set(true);
    }

    /// What was held is on its way.
    pub fn let_go(&self) {
        HOLDS.set(false);
        self.0.inbox.tell();
    }

    fn send(&self, message: Message) {
        if HOLDS.get() {
            self.0.inbox.leave(message);
        } else {
            self.0.inbox.send(message);
        }
    }
}
