//! The thread itself: reads every pipe, and writes as fast as somebody reads.
//!
//! Nothing here waits but `epoll`: for a message, for output of a job, and for room where nobody
//! has read for a while. While a sink is full its pipes are not read, so that a job that floods is
//! slowed down and nothing grows. Pipes take turns, and a round reads only so much, so that none
//! that floods starves another or a message. When a run has ended, as much is read of its pipes as
//! they held then: somebody else may go on writing to them for ever.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::loss;
use super::mask::{Mask, Masks};
use super::sink::{self, Flushed, PATIENCE, Sink};
use super::status::Bottom;
use super::tail::Tails;
use super::writer::Writer;
use super::{Lines, MAX_LOG_BACKLOG, Message, NO_COLUMNS, Prefix, Settings, Shared, Style};
use crate::core::event::RunId;
use crate::core::instant::Mono;
use crate::core::job::{self, Job};
use crate::core::words;
use crate::run::child::Pipes;
use crate::sys::clock;
use crate::sys::epoll::{Epoll, EventFlags, Ready};

/// How long the end of the program may be held up by output nobody reads.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// How much is read in one round from the pipes that lead to one place, and from those of ended
/// runs: a pipe holds 64 KiB, unless somebody makes it larger, up to 1 MiB and root without limit.
const ROUND: usize = 1 << 20;

const STDOUT: usize = 0;
const STDERR: usize = 1;

/// One stream of a run.
#[derive(Debug)]
struct Stream {
    pipe: OwnedFd,
    run: RunId,
    job: Arc<Job>,
    is_stderr: bool,
    to: Target,
    mask: Option<Mask>,
    lines: Lines,
    style: Style,
    /// It is in the set of pipes that lead to its place.
    is_listened_to: bool,
    ended: Option<Ended>,
}

/// The run of a stream has ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    /// How much of what its pipe held then is still to be read.
    left: usize,
    /// If there is no room for that until then, it is dropped.
    until: Mono,
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
    epoll: Epoll,
    /// The pipes that lead to each sink, and those that lead to files. A set is taken out of
    /// `epoll` while its sink is full, which takes one call however many pipes there are.
    pipes: [Epoll; 3],
    listening: [bool; 3],
    sinks: Vec<Sink>,
    sink_waits: [bool; 2],
    files: Writer,
    /// Pipes that had something when that was last asked, and have not had their turn.
    turns: [VecDeque<usize>; 3],
    streams: Vec<Option<Stream>>,
    /// Those that have just come. Where many start at once some have ended by the time one hears of
    /// them, and need not be listened to.
    fresh: Vec<usize>,
    free: Vec<usize>,
    of_run: HashMap<RunId, Vec<usize>>,
    /// Streams of ended runs that could not be emptied at once.
    ending: VecDeque<usize>,
    /// There is more of these, and room for it.
    more: bool,
    chunk: Box<[u8]>,
    masked: Vec<u8>,
    masks: Masks,
    finishing: Option<Mono>,
    bottom: Bottom,
    /// The stream whose progress bar was the last to move.
    bar: Option<usize>,
    tails: Tails,
}

const TOKEN_WAKE: u64 = 0;
const TOKEN_SINK: u64 = 1;
const TOKEN_PIPES: u64 = 3;
/// The set of pipes that lead to files.
const FILES: usize = 2;

impl Server {
    pub(super) fn new(shared: Arc<Shared>, settings: Settings) -> io::Result<Server> {
        let epoll = Epoll::new()?;
        let pipes = [Epoll::new()?, Epoll::new()?, Epoll::new()?];
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let json = settings.json_log;
        // Two streams to one terminal share a buffer, or a line could be torn by another.
        let mut sinks = vec![Sink::new(stderr.as_fd(), json)?];
        if !sink::same(stdout.as_fd(), stderr.as_fd()) {
            sinks.insert(STDOUT, Sink::new(stdout.as_fd(), false)?);
        }
        epoll.add(&**shared.inbox.waker(), TOKEN_WAKE, EventFlags::IN)?;
        for (index, set) in pipes.iter().enumerate() {
            epoll.add(set, TOKEN_PIPES + index as u64, EventFlags::IN)?;
        }
        let tails = Tails::new(settings.tails.clone(), settings.keep);
        let waker = Arc::clone(shared.inbox.waker());
        let files = Writer::new(settings.directory.clone(), move || waker.wake());
        Ok(Server {
            shared,
            tails,
            settings,
            epoll,
            pipes,
            listening: [true; 3],
            sinks,
            sink_waits: [false; 2],
            files,
            turns: Default::default(),
            streams: Vec::new(),
            fresh: Vec::new(),
            free: Vec::new(),
            of_run: HashMap::new(),
            ending: VecDeque::new(),
            more: false,
            chunk: vec![0; 64 * 1024].into(),
            masked: Vec::new(),
            masks: Masks::default(),
            finishing: None,
            bottom: Bottom::default(),
            bar: None,
        })
    }

    pub(super) fn run(&mut self) {
        let mut ready = Ready::with_capacity(64);
        loop {
            let timeout = self.timeout();
            if let Err(errno) = self.epoll.wait(&mut ready, timeout) {
                log::error!("cannot wait for job output: {errno}");
                return;
            }
            for (token, _) in ready.iter() {
                match token {
                    TOKEN_WAKE => self.read_inbox(),
                    token if token >= TOKEN_PIPES => {
                        self.read_pipes((token - TOKEN_PIPES) as usize)
                    }
                    _ => {}
                }
            }
            self.redraw();
            self.files.look(clock::mono());
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
    fn timeout(&self) -> Option<Duration> {
        if self.more {
            return Some(Duration::ZERO);
        }
        let patience = self.sinks.iter().filter_map(Sink::deadline).chain(self.files.deadline());
        let ended = |slot: &usize| Some(self.streams.get(*slot)?.as_ref()?.ended?.until);
        let patience = patience.chain(self.ending.iter().filter_map(ended).min());
        let next = patience.chain(self.finishing).chain(self.bottom.deadline()).min()?;
        Some(next.since(clock::mono()) + Duration::from_millis(1))
    }

    fn read_inbox(&mut self) {
        self.shared.inbox.waker().clear();
        for message in self.shared.inbox.take() {
            match message {
                Message::Attach(run, attempt, job, pipes) => self.attach(run, attempt, &job, pipes),
                Message::Follow(id, job, past, sink) => self.tails.follow(id, job, past, sink),
                Message::Unfollow(id) => self.tails.unfollow(id),
                Message::Ended(run) => self.end_run(run),
                Message::Tail(run, then) => self.tails.show(run, then),
                Message::Over(run, then) => self.tails.over(run, then),
                Message::Live(live) => self.bottom.set(live, clock::mono()),
                Message::Reopen => self.files.reopen(),
                Message::LogLine(line) => {
                    self.shared.log_backlog.fetch_sub(line.len(), Ordering::Relaxed);
                    self.append(self.sink(STDERR), &line);
                }
                Message::LogLinesDropped => {
                    let number = self.shared.log_lines_dropped.swap(0, Ordering::Relaxed);
                    let lost = format!("{number} log lines dropped");
                    self.append(self.sink(STDERR), &loss::note(&lost, self.settings.json_log));
                }
                // Whoever has asked may have lost patience.
                Message::Settle(done) => drop(done.send(())),
                Message::Finish => self.finish(),
            }
        }
        for slot in mem::take(&mut self.fresh) {
            self.listen(slot);
        }
    }

    fn append(&mut self, sink: usize, line: &[u8]) {
        let sink = &mut self.sinks[sink];
        // Only the log gets here while there is no room.
        let is_much = sink.waiting() > MAX_LOG_BACKLOG;
        match sink.buffer().filter(|_| !is_much) {
            Some(buffer) => buffer.extend_from_slice(line),
            None => sink.drop_bytes(line.len()),
        }
    }

    fn attach(&mut self, run: RunId, attempt: u32, job: &Arc<Job>, pipes: Pipes) {
        self.tails.begin(run, attempt, job);
        let (out, err) = match job.options.output {
            job::Output::File => (Target::File(job.id.clone()), Target::File(job.id.clone())),
            _ => (Target::Sink(self.sink(STDOUT)), Target::Sink(self.sink(STDERR))),
        };
        for (pipe, to, is_stderr) in [(pipes.stdout, out, false), (pipes.stderr, err, true)] {
            let style = self.style(run, job, &to, is_stderr);
            let mask = self.masks.of(&pipes.secrets);
            let (job, lines, is_listened_to) = (Arc::clone(job), Lines::default(), false);
            let ended = None;
            let stream =
                Stream { pipe, run, job, is_stderr, to, mask, lines, style, is_listened_to, ended };
            self.keep(stream);
        }
        if job.options.output == job::Output::File {
            let at = words::rfc3339(clock::wall().truncated(), &job.zone);
            let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            self.files.write(&job.id, format!("==> run {run}{again}, {at} <==\n").into_bytes());
        }
    }

    /// Takes a stream. It is to be listened to once all that has come with it is known.
    fn keep(&mut self, stream: Stream) {
        let (run, slot) = (stream.run, self.free.pop().unwrap_or(self.streams.len()));
        if slot == self.streams.len() {
            self.streams.push(None);
        }
        if let Target::File(job) = &stream.to
            && let Err(error) = self.files.open(job)
        {
            log::error!(job = &**job; "cannot write its log file, so its output is lost: {error}");
        }
        self.streams[slot] = Some(stream);
        self.of_run.entry(run).or_default().push(slot);
        self.fresh.push(slot);
    }

    /// Listens to a stream, if it is still there.
    fn listen(&mut self, slot: usize) {
        let Some(Some(stream)) = self.streams.get_mut(slot) else { return };
        if stream.is_listened_to {
            return;
        }
        let set = &self.pipes[stream.to.set()];
        let added = rustix::fs::fcntl_setfl(&stream.pipe, OFlags::RDONLY | OFlags::NONBLOCK)
            .and_then(|()| set.add(&stream.pipe, slot as u64, EventFlags::IN));
        match added {
            Ok(()) => stream.is_listened_to = true,
            Err(errno) => {
                log::error!(job = &*stream.job.id; "cannot read its output: {errno}");
                self.close(slot);
            }
        }
    }

    fn style(&self, run: RunId, job: &Job, to: &Target, is_stderr: bool) -> Style {
        // What the log is written to holds JSON and nothing else.
        let is_log = matches!(to, Target::Sink(sink) if *sink == self.sink(STDERR));
        if is_log && self.settings.json_log && !self.settings.raw {
            return Style::json(&job.id, run, is_stderr);
        }
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
        let for_terminal = is_terminal && !self.settings.raw;
        let at_once = self.settings.at_once && matches!(to, Target::Sink(_));
        Style { prefix, for_terminal, json: None, at_once }
    }

    /// Reads once from every pipe of a set that has something, as long as there is room and the
    /// round lasts. Those that have not had their turn then are the first in the next round.
    fn read_pipes(&mut self, set: usize) {
        let mut turn = mem::take(&mut self.turns[set]);
        if turn.is_empty() {
            let mut ready = Ready::with_capacity(64);
            if self.pipes[set].wait(&mut ready, Some(Duration::ZERO)).is_err() {
                return;
            }
            turn.extend(ready.iter().map(|(token, _)| token as usize));
        }
        let mut read = 0;
        while read < ROUND
            && self.has_room(set)
            && let Some(slot) = turn.pop_front()
        {
            read += self.read_stream(slot);
        }
        self.turns[set] = turn;
    }

    fn has_room(&self, set: usize) -> bool {
        self.sinks.get(set).filter(|_| set != FILES).map_or(self.files.has_room(), Sink::has_room)
    }

    /// Reads a chunk of a stream. Answers how much that was; nothing if it has no more for now.
    fn read_stream(&mut self, slot: usize) -> usize {
        let Some(stream) = self.streams.get_mut(slot).and_then(Option::as_mut) else { return 0 };
        let wanted = stream.ended.map_or(self.chunk.len(), |end| end.left.min(self.chunk.len()));
        let chunk = &mut self.chunk[..wanted];
        // What is wanted of a pipe that has been emptied is nothing, which is its end.
        let count = match rustix::io::retry_on_intr(|| rustix::io::read(&stream.pipe, &mut *chunk))
        {
            Ok(count) => count,
            Err(Errno::AGAIN) if stream.ended.is_none() => return 0,
            Err(_) => 0,
        };
        if let Some(ended) = &mut stream.ended {
            ended.left -= count;
        }
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
        self.tails.feed(stream.run, stream.is_stderr, chunk, clock::wall());
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
                    Some(buffer) => {
                        deliver(stream, buffer);
                        let is_bar = sink.is_terminal && stream.lines.is_bar();
                        if is_bar || self.bar == Some(slot) {
                            self.bar = is_bar.then_some(slot);
                            self.bottom.bar_moved();
                        }
                    }
                    None => {
                        stream.lines = Lines::default();
                        sink.drop_bytes(count);
                    }
                }
            }
            Target::File(job) => {
                let (job, mut lines) = (job.clone(), Vec::new());
                deliver(stream, &mut lines);
                self.files.write(&job, lines);
                self.files.look(clock::mono());
            }
        }
        if count == 0 {
            self.close(slot);
        }
        count
    }

    fn close(&mut self, slot: usize) {
        let Some(stream) = self.streams[slot].take() else { return };
        self.bar.take_if(|bar| *bar == slot);
        if stream.is_listened_to {
            self.pipes[stream.to.set()].remove(&stream.pipe);
        }
        self.free.push(slot);
        if let Some(slots) = self.of_run.get_mut(&stream.run) {
            slots.retain(|other| *other != slot);
            if slots.is_empty() {
                self.of_run.remove(&stream.run);
                if stream.ended.is_some() {
                    self.tails.end(stream.run);
                }
            }
        }
        if let Target::File(job) = &stream.to {
            self.files.close(job);
        }
    }

    fn end_run(&mut self, run: RunId) {
        let until = clock::mono().plus(PATIENCE);
        let mut budget = ROUND;
        for slot in self.of_run.get(&run).cloned().unwrap_or_default() {
            if let Some(stream) = &mut self.streams[slot] {
                let left = rustix::io::ioctl_fionread(&stream.pipe).unwrap_or(0);
                stream.ended = Some(Ended { left: left as usize, until });
            }
            self.empty(slot, &mut budget);
        }
        // Its pipes may have been closed before it ended.
        if !self.of_run.contains_key(&run) {
            self.tails.end(run);
        }
    }

    /// Reads all that a pipe of an ended run held, as far as there is room for it.
    fn empty(&mut self, slot: usize, budget: &mut usize) {
        loop {
            let Some(Some(stream)) = self.streams.get(slot) else { return };
            let set = stream.to.set();
            if !self.has_room(set) {
                self.flush(set);
            }
            if *budget == 0 || !self.has_room(set) {
                self.more |= *budget == 0;
                self.ending.push_back(slot);
                return;
            }
            match self.read_stream(slot) {
                0 => return,
                count => *budget = budget.saturating_sub(count),
            }
        }
    }

    /// Goes on with the pipes of ended runs; what has waited too long for room is dropped.
    fn empty_ended(&mut self) {
        self.more = false;
        let mut budget = ROUND;
        for _ in 0..self.ending.len() {
            let Some(slot) = self.ending.pop_front() else { break };
            self.empty(slot, &mut budget);
            if self.ending.back() == Some(&slot) && budget > 0 {
                self.drop_in_time(slot);
            }
        }
    }

    /// Gives up a stream for which there has been no room for so long.
    fn drop_in_time(&mut self, slot: usize) {
        let Some(Some(stream)) = self.streams.get(slot) else { return };
        let Some(ended) = stream.ended.filter(|ended| clock::mono() >= ended.until) else { return };
        match &stream.to {
            Target::Sink(index) => self.sinks[*index].drop_bytes(ended.left),
            Target::File(_) => self.files.drop_bytes(ended.left),
        }
        self.ending.pop_back();
        self.close(slot);
    }

    /// Brings the line at the bottom of the terminal up to date.
    fn redraw(&mut self) {
        let index = self.sink(STDERR);
        let sink = &mut self.sinks[index];
        let colour = self.settings.colour;
        let bar = || {
            let stream = self.streams.get(self.bar?)?.as_ref()?;
            Some((stream.job.id.clone(), stream.lines.bar()?))
        };
        let width = || sink.width();
        if let Some(line) = self.bottom.line_in_time(clock::mono(), bar, width, colour) {
            sink.set_status(&line);
        }
    }

    fn write_sinks(&mut self) {
        let stderr = self.sink(STDERR);
        self.sinks[stderr].draw_status();
        for index in 0..self.sinks.len() {
            self.flush(index);
        }
        if !self.ending.is_empty() {
            self.empty_ended();
        }
        for index in 0..self.sinks.len() {
            let waits = self.sinks[index].is_waiting();
            if waits != self.sink_waits[index] {
                let sink = &self.sinks[index];
                let token = TOKEN_SINK + index as u64;
                if waits {
                    // A file cannot be waited for, and never has to be.
                    let _ = self.epoll.add(sink, token, EventFlags::OUT);
                } else {
                    self.epoll.remove(sink);
                }
                self.sink_waits[index] = waits;
            }
            self.listen_to(index, self.sinks[index].has_room());
        }
        self.listen_to(FILES, self.files.has_room());
    }

    /// Listens to a set of pipes, or does not.
    fn listen_to(&mut self, set: usize, listen: bool) {
        if listen != self.listening[set] {
            let token = TOKEN_PIPES + set as u64;
            let pipes = &self.pipes[set];
            if listen {
                let _ = self.epoll.add(pipes, token, EventFlags::IN);
            } else {
                self.epoll.remove(pipes);
            }
            self.listening[set] = listen;
        }
    }

    fn flush(&mut self, index: usize) {
        let is_log = index == self.sink(STDERR);
        let name = if index == STDOUT && !is_log { "stdout" } else { "stderr" };
        let Some(sink) = self.sinks.get_mut(index) else { return self.files.look(clock::mono()) };
        let flushed = sink.flush(clock::mono);
        let unread = flushed == Flushed::Waiting && sink.lose_patience(clock::mono());
        match flushed {
            Flushed::Gone(errno) => {
                let reason = loss::reason(errno);
                log::warn!("{name} is closed ({reason}); job output to it is dropped");
            }
            // Of its own fate the log tells by the line that stands where something is missing.
            _ if is_log => {}
            Flushed::Waiting if unread => log::warn!(
                event = "output_lost";
                "nobody is reading {name}; job output to it is dropped until somebody does"
            ),
            Flushed::Failing(errno) => log::error!(
                event = "output_lost";
                "cannot write to {name}; job output to it is lost until that works again: {}",
                loss::reason(errno)
            ),
            Flushed::Recovered(after, lost) => log::warn!(
                event = "output_recovered";
                "writing to {name} works again after {}; {}",
                words::span(after), loss::lost(lost)
            ),
            Flushed::All | Flushed::Waiting => {}
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
        for sink in &mut self.sinks {
            sink.hurry(clock::mono());
        }
        self.flush(STDOUT);
        if let Some(bytes) = self.sinks[STDOUT].lost().filter(|_| stderr != STDOUT) {
            log::warn!(event = "output_lost"; "cannot write to stdout; {}", loss::lost(bytes));
        }
        self.files.finish();
        self.finishing = Some(clock::mono().plus(LAST_WORDS));
    }

    fn is_finished(&self) -> bool {
        let waits = !self.ending.is_empty() || self.sinks.iter().any(Sink::is_waiting);
        // The files may have had a last word for the log, which is in the inbox by then.
        let all_written = !waits && self.files.is_done() && self.shared.inbox.is_empty();
        all_written || self.finishing.is_some_and(|deadline| clock::mono() >= deadline)
    }
}
