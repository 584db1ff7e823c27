//! The thread itself: reads every pipe, and writes as fast as somebody reads.
//!
//! Nothing here waits but `epoll`: for a message, for output of a job, and for room where nobody
//! has read for a while. While a sink is full its pipes are not read, so that a job that floods is
//! slowed down and nothing grows.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::file::LogFile;
use super::mask::{Mask, Masks};
use super::sink::{self, Flushed, Sink};
use super::status::Bottom;
use super::tail::Tails;
use super::{Lines, Message, NO_COLUMNS, Prefix, Settings, Shared, Style};
use crate::child::Pipes;
use crate::clock;
use crate::event::RunId;
use crate::instant::Mono;
use crate::job::{self, Job};

/// How long the end of the program may be held up by output nobody reads.
const LAST_WORDS: Duration = Duration::from_secs(2);

const STDOUT: usize = 0;
const STDERR: usize = 1;

/// One stream of a run.
#[derive(Debug)]
struct Stream {
    pipe: OwnedFd,
    run: RunId,
    is_stderr: bool,
    to: Target,
    mask: Option<Mask>,
    lines: Lines,
    style: Style,
    /// The run has ended: the pipe is closed once it is empty.
    ended: bool,
}

#[derive(Clone, Debug)]
enum Target {
    Sink(usize),
    File(Box<str>),
}

impl Target {
    /// The set of pipes that lead there.
    fn set(&self) -> usize {
        match self {
            Target::Sink(sink) => *sink,
            Target::File(_) => FILES,
        }
    }
}

/// What the thread owns.
pub(super) struct Server {
    shared: Arc<Shared>,
    settings: Settings,
    /// The wake-up, the sinks that wait for a reader, and the sets of `pipes`.
    epoll: OwnedFd,
    /// The pipes that lead to each sink, and those that lead to files. A set is taken out of
    /// `epoll` while its sink is full, which takes one call however many pipes there are.
    pipes: [OwnedFd; 3],
    listening: [bool; 3],
    sinks: Vec<Sink>,
    sink_waits: [bool; 2],
    files: HashMap<Box<str>, LogFile>,
    streams: Vec<Option<Stream>>,
    free: Vec<usize>,
    of_run: HashMap<RunId, Vec<usize>>,
    /// Streams of ended runs that could not be emptied because their sink was full.
    ending: VecDeque<usize>,
    chunk: Box<[u8]>,
    scratch: Vec<u8>,
    masked: Vec<u8>,
    masks: Masks,
    finishing: Option<Mono>,
    bottom: Bottom,
    tails: Tails,
}

const TOKEN_WAKE: u64 = 0;
const TOKEN_SINK: u64 = 1;
const TOKEN_PIPES: u64 = 3;
/// The set of pipes that lead to files.
const FILES: usize = 2;

impl Server {
    pub(super) fn new(shared: Arc<Shared>, settings: Settings) -> io::Result<Server> {
        let new_set = || epoll::create(epoll::CreateFlags::CLOEXEC);
        let epoll = new_set()?;
        let pipes = [new_set()?, new_set()?, new_set()?];
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let mut sinks = vec![Sink::new(stdout.as_fd())?];
        // Two streams to one terminal share a buffer, or a line could be torn by another.
        if !sink::same(stdout.as_fd(), stderr.as_fd()) {
            sinks.push(Sink::new(stderr.as_fd())?);
        }
        add(&epoll, &shared.wake, TOKEN_WAKE, epoll::EventFlags::IN)?;
        for (index, set) in pipes.iter().enumerate() {
            add(&epoll, set, TOKEN_PIPES + index as u64, epoll::EventFlags::IN)?;
        }
        let tails = Tails::new(settings.tails.clone());
        Ok(Server {
            shared,
            tails,
            settings,
            epoll,
            pipes,
            listening: [true; 3],
            sinks,
            sink_waits: [false; 2],
            files: HashMap::new(),
            streams: Vec::new(),
            free: Vec::new(),
            of_run: HashMap::new(),
            ending: VecDeque::new(),
            chunk: vec![0; 64 * 1024].into(),
            scratch: Vec::new(),
            masked: Vec::new(),
            masks: Masks::default(),
            finishing: None,
            bottom: Bottom::default(),
        })
    }

    pub(super) fn run(&mut self) {
        let mut events = Vec::with_capacity(64);
        loop {
            let timeout = self.timeout();
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => {
                    log::error!("the output of jobs cannot be waited for: {errno}");
                    return;
                }
            }
            for event in &events {
                match event.data.u64() {
                    TOKEN_WAKE => self.read_inbox(),
                    token if token >= TOKEN_PIPES => {
                        self.read_pipes((token - TOKEN_PIPES) as usize)
                    }
                    _ => {}
                }
            }
            self.redraw();
            self.write_sinks();
            if self.finishing.is_some() && self.is_finished() {
                return;
            }
        }
    }

    /// Which sink a stream of the scheduler is.
    fn sink(&self, wanted: usize) -> usize {
        wanted.min(self.sinks.len() - 1)
    }

    /// When something is to be done without being woken: only while somebody does not read, or
    /// sees on a terminal how long something has been running.
    fn timeout(&self) -> Option<Timespec> {
        let patience = self.sinks.iter().filter_map(Sink::deadline);
        let next = patience.chain(self.finishing).chain(self.bottom.deadline()).min()?;
        let wait = next.since(clock::mono()) + Duration::from_millis(1);
        Timespec::try_from(wait).ok()
    }

    fn read_inbox(&mut self) {
        let mut count = [0; 8];
        // Empty when another wake-up was faster.
        let _ = rustix::io::read(&self.shared.wake, &mut count);
        let inbox = {
            let mut inbox = self.shared.inbox.lock().unwrap_or_else(PoisonError::into_inner);
            mem::take(&mut *inbox)
        };
        for message in inbox.messages {
            match message {
                Message::Attach(run, job, pipes) => self.attach(run, &job, pipes),
                Message::Follow(id, job, sink) => self.tails.follow(id, job, sink),
                Message::Unfollow(id) => self.tails.unfollow(id),
                Message::Ended(run) => self.end_run(run),
                Message::Live(live) => self.bottom.set(live, clock::mono()),
                Message::LogLine(line) => self.append(self.sink(STDERR), &line),
                Message::Finish => self.finish(),
            }
        }
        if inbox.log_lines_dropped > 0 {
            let note = format!("schedrs: {} log lines dropped\n", inbox.log_lines_dropped);
            self.append(self.sink(STDERR), note.as_bytes());
        }
    }

    fn append(&mut self, sink: usize, line: &[u8]) {
        let sink = &mut self.sinks[sink];
        match sink.buffer() {
            // Only the log gets here while there is no room, and its backlog is bounded.
            Some(buffer) => buffer.extend_from_slice(line),
            None => sink.drop_bytes(line.len()),
        }
    }

    fn attach(&mut self, run: RunId, job: &Arc<Job>, pipes: Pipes) {
        self.tails.begin(run, job);
        let (out, err) = match job.options.output {
            job::Output::File => {
                if !self.files.contains_key(&job.id) {
                    match LogFile::open(&self.settings.directory, &job.id) {
                        Ok(file) => {
                            self.files.insert(job.id.clone(), file);
                        }
                        Err(error) => log::error!(
                            job = &*job.id;
                            "its log cannot be opened in {}: {error}",
                            self.settings.directory.display()
                        ),
                    }
                }
                (Target::File(job.id.clone()), Target::File(job.id.clone()))
            }
            _ => (Target::Sink(self.sink(STDOUT)), Target::Sink(self.sink(STDERR))),
        };
        for (pipe, to, is_stderr) in [(pipes.stdout, out, false), (pipes.stderr, err, true)] {
            let style = self.style(job, &to, is_stderr);
            let mask = self.masks.of(&pipes.secrets);
            if let Err(errno) = self.listen(run, pipe, to, is_stderr, style, mask) {
                log::error!(job = &*job.id; "its output cannot be read: {errno}");
            }
        }
    }

    fn listen(
        &mut self,
        run: RunId,
        pipe: OwnedFd,
        to: Target,
        is_stderr: bool,
        style: Style,
        mask: Option<Mask>,
    ) -> Result<(), Errno> {
        rustix::fs::fcntl_setfl(&pipe, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let slot = self.free.pop().unwrap_or(self.streams.len());
        let set = to.set();
        if slot == self.streams.len() {
            self.streams.push(None);
        }
        if let Err(errno) = add(&self.pipes[set], &pipe, slot as u64, epoll::EventFlags::IN) {
            self.free.push(slot);
            return Err(errno);
        }
        if let Target::File(job) = &to
            && let Some(file) = self.files.get_mut(job)
        {
            file.users += 1;
        }
        let lines = Lines::default();
        let ended = false;
        self.streams[slot] = Some(Stream { pipe, run, is_stderr, to, mask, lines, style, ended });
        self.of_run.entry(run).or_default().push(slot);
        Ok(())
    }

    fn style(&self, job: &Job, to: &Target, is_stderr: bool) -> Style {
        let is_terminal = matches!(to, Target::Sink(sink) if self.sinks[*sink].is_terminal);
        let prefix = match to {
            Target::Sink(_) if !self.settings.raw => {
                let column = self.shared.column.load(Ordering::Relaxed);
                let column = (is_terminal && column != NO_COLUMNS).then_some(column);
                let colour = is_terminal && self.settings.colour;
                Some(Prefix::new(&job.id, is_stderr, colour, column))
            }
            _ => None,
        };
        Style { prefix, for_terminal: is_terminal && !self.settings.raw }
    }

    /// Reads once from every pipe of a set that has something.
    fn read_pipes(&mut self, set: usize) {
        let mut ready = Vec::with_capacity(64);
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        if epoll::wait(&self.pipes[set], spare_capacity(&mut ready), Some(&no_wait)).is_err() {
            return;
        }
        for event in &ready {
            if !self.has_room(set) {
                return;
            }
            self.read_stream(event.data.u64() as usize);
        }
    }

    fn has_room(&self, set: usize) -> bool {
        self.sinks.get(set).is_none_or(|sink| set == FILES || sink.has_room())
    }

    /// Reads a chunk of a stream. Answers whether there may be more at once.
    fn read_stream(&mut self, slot: usize) -> bool {
        let Some(stream) = self.streams.get_mut(slot).and_then(Option::as_mut) else {
            return false;
        };
        let count = match rustix::io::read(&stream.pipe, &mut self.chunk[..]) {
            Ok(count) => count,
            Err(Errno::INTR) => return true,
            Err(Errno::AGAIN) if !stream.ended => return false,
            Err(_) => 0,
        };
        let chunk = match &mut stream.mask {
            None => &self.chunk[..count],
            Some(mask) => {
                self.masked.clear();
                match count {
                    0 => mask.finish(&mut self.masked),
                    _ => mask.feed(&self.chunk[..count], &mut self.masked),
                }
                &self.masked[..]
            }
        };
        self.tails.feed(stream.run, stream.is_stderr, chunk);
        let deliver = |stream: &mut Stream, out: &mut Vec<u8>| {
            stream.lines.feed(chunk, &stream.style, out);
            if count == 0 {
                stream.lines.finish(&stream.style, out);
            }
            stream.lines.shrink();
        };
        match &stream.to {
            Target::Sink(index) => {
                let sink = &mut self.sinks[*index];
                match sink.buffer() {
                    Some(buffer) => deliver(stream, buffer),
                    None => {
                        stream.lines = Lines::default();
                        sink.drop_bytes(count);
                    }
                }
            }
            Target::File(job) => {
                if let Some(file) = self.files.get_mut(job) {
                    let id = job.clone();
                    deliver(stream, &mut self.scratch);
                    if let Err(error) = file.write(&self.scratch) {
                        log::error!(job = &*id; "its log cannot be written: {error}");
                    }
                    self.scratch.clear();
                }
            }
        }
        if count == 0 {
            self.close(slot);
        }
        count > 0
    }

    fn close(&mut self, slot: usize) {
        let Some(stream) = self.streams[slot].take() else { return };
        // Closing it would do, were it not that a child that is just being made holds a copy for
        // as long as that takes, and the set would say of it all the while that it has ended.
        let _ = epoll::delete(&self.pipes[stream.to.set()], &stream.pipe);
        self.free.push(slot);
        if let Some(slots) = self.of_run.get_mut(&stream.run) {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.of_run.remove(&stream.run);
                if stream.ended {
                    self.tails.end(stream.run);
                }
            }
        }
        if let Target::File(job) = &stream.to
            && let Some(file) = self.files.get_mut(job)
        {
            file.users -= 1;
            if file.users == 0 {
                self.files.remove(job);
            }
        }
    }

    fn end_run(&mut self, run: RunId) {
        for slot in self.of_run.get(&run).cloned().unwrap_or_default() {
            if let Some(stream) = &mut self.streams[slot] {
                stream.ended = true;
            }
            self.empty(slot);
        }
        // Its pipes may have been closed before it ended.
        if !self.of_run.contains_key(&run) {
            self.tails.end(run);
        }
    }

    /// Reads all that a pipe of an ended run holds, as far as there is room for it.
    fn empty(&mut self, slot: usize) {
        loop {
            let Some(Some(stream)) = self.streams.get(slot) else { return };
            let set = stream.to.set();
            if !self.has_room(set) {
                self.flush(set);
            }
            if !self.has_room(set) {
                self.ending.push_back(slot);
                return;
            }
            if !self.read_stream(slot) {
                return;
            }
        }
    }

    /// Brings the line at the bottom of the terminal up to date.
    fn redraw(&mut self) {
        let index = self.sink(STDERR);
        let sink = &mut self.sinks[index];
        let colour = self.settings.colour;
        if let Some(line) = self.bottom.line_in_time(clock::mono(), || sink.width(), colour) {
            sink.set_status(&line);
        }
    }

    fn write_sinks(&mut self) {
        let stderr = self.sink(STDERR);
        self.sinks[stderr].draw_status();
        for index in 0..self.sinks.len() {
            self.flush(index);
        }
        for _ in 0..self.ending.len() {
            if let Some(slot) = self.ending.pop_front() {
                self.empty(slot);
            }
        }
        for index in 0..self.sinks.len() {
            let waits = self.sinks[index].is_waiting();
            if waits != self.sink_waits[index] {
                let sink = &self.sinks[index];
                let token = TOKEN_SINK + index as u64;
                // A file cannot be waited for, and never has to be.
                let _ = match waits {
                    true => add(&self.epoll, sink, token, epoll::EventFlags::OUT),
                    false => epoll::delete(&self.epoll, sink),
                };
                self.sink_waits[index] = waits;
            }
            let listen = self.sinks[index].has_room();
            if listen != self.listening[index] {
                let token = TOKEN_PIPES + index as u64;
                let set = &self.pipes[index];
                let _ = match listen {
                    true => add(&self.epoll, set, token, epoll::EventFlags::IN),
                    false => epoll::delete(&self.epoll, set),
                };
                self.listening[index] = listen;
            }
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(sink) = self.sinks.get_mut(index) else { return };
        match sink.flush(clock::mono) {
            Flushed::All => {}
            Flushed::Waiting => sink.lose_patience(clock::mono()),
            Flushed::Gone(errno) => {
                let name = if index == STDOUT { "stdout" } else { "stderr" };
                let error = io::Error::from_raw_os_error(errno);
                log::warn!("{name} is closed ({error}): what jobs print there is dropped");
            }
        }
    }

    fn finish(&mut self) {
        let stderr = self.sink(STDERR);
        self.bottom = Bottom::default();
        self.sinks[stderr].set_status(b"");
        let runs: Vec<RunId> = self.of_run.keys().copied().collect();
        for run in runs {
            self.end_run(run);
        }
        self.finishing = Some(clock::mono().plus(LAST_WORDS));
    }

    fn is_finished(&self) -> bool {
        let all_written = self.ending.is_empty() && !self.sinks.iter().any(Sink::is_waiting);
        all_written || self.finishing.is_some_and(|deadline| clock::mono() >= deadline)
    }
}

fn add(
    set: &OwnedFd,
    source: impl AsFd,
    token: u64,
    flags: epoll::EventFlags,
) -> Result<(), Errno> {
    epoll::add(set, source, epoll::EventData::new_u64(token), flags)
}
