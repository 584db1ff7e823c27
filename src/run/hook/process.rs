//! One hook: its process, what that prints, and the end of its tree.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions, kill_process,
    kill_process_group, pidfd_open, waitid, waitpid,
};

use super::{Hook, HookDone, HookResult, KILL_AFTER_STOP};
use crate::core::event::RunId;
use crate::core::instant::Mono;
use crate::core::sort;
use crate::run::child::cgroup::Group;
use crate::run::child::mark::Marks;
use crate::run::child::progress::Progress;
use crate::run::child::signal::{self, Main};
use crate::run::child::{Child, Failure, Wanted, World, tree};
use crate::run::output::{Mask, Masks};
use crate::store::Process;
use crate::sys::clock;
use crate::sys::waker::Waker;

/// What has not ended so long after it was killed is left alone.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it is waited between tries where the machine is short of something.
const SHORTAGE: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(2)];

/// A hook may print so much in [`TURN`]; one that floods is slowed down.
const MOST_PRINTED: usize = 1 << 20;
const TURN: Duration = Duration::from_millis(10);

/// So much is read at once.
const CHUNK: usize = 16 * 1024;

/// How soon the first look is at what a hook has left behind; each further one waits twice as long.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(100);

/// Without a handle that tells of its end, a process is looked at so often.
const WITHOUT_HANDLE: Duration = Duration::from_millis(20);

/// For so long a hook waits at most for the starts of jobs that are to go before it, and looks so often.
const WAY: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(2);

/// A hook that has a process.
pub(super) struct Started {
    id: RunId,
    pid: u32,
    marks: Option<Marks>,
    group: Option<Group>,
    streams: [Stream; 2],
}

/// Lets others go first, for a moment.
pub(super) fn give_way(is_behind: &dyn Fn() -> bool, stop: &Waker) {
    let until = clock::mono().plus(WAY);
    while is_behind() && clock::mono() < until && !is_awake(stop, LOOK) {}
}

/// Makes the process of a hook. The error is a fragment that finishes "could not be started: ...".
pub(super) fn start(
    hook: &Hook,
    id: RunId,
    world: &World,
    progress: &Progress,
    stop: &Waker,
) -> Result<Started, String> {
    let name = (OsStr::new("SCHEDRS_HOOK"), OsStr::new(&*hook.name));
    let told = hook.env.iter().map(|(name, value)| (&**name, &**value));
    let told: Vec<_> = told.chain([name]).collect();
    let wanted = Wanted {
        command: &hook.command,
        options: &hook.options,
        told: &told,
        stdin: (!hook.stdin.is_empty()).then_some(&hook.stdin),
        is_heard: true,
        has_limits: false,
        run: id,
    };
    let mut pauses = SHORTAGE.into_iter();
    loop {
        match (world.make(&wanted, progress), pauses.next()) {
            (Ok(child), _) => return Ok(Started::new(child, id, world.marks(), hook.keep)),
            (Err(Failure { transient: true, .. }), Some(pause)) if !is_awake(stop, pause) => {}
            (Err(failure), _) => return Err(failure.reason),
        }
    }
}

impl Started {
    fn new(child: Child, id: RunId, marks: Option<Marks>, keep: usize) -> Started {
        let Child { pid, group, pipes, .. } = child;
        let (mut stdout, mut stderr) = (Stream::of(keep), Stream::of(keep));
        if let Some(pipes) = pipes {
            let mut masks = Masks::default();
            stdout.listen(pipes.stdout, masks.of(&pipes.secrets));
            stderr.listen(pipes.stderr, masks.of(&pipes.secrets));
        }
        Started { id, pid, marks, group, streams: [stdout, stderr] }
    }

    /// It has come too late.
    pub(super) fn end_at_once(self) {
        if let Some(pid) = Pid::from_raw(self.pid as i32) {
            // It is our child and has not been waited for, so its number is still its own.
            let _ = kill_process(pid, Signal::KILL);
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = self.group.as_ref().map(Group::kill);
            while let Err(Errno::INTR) = waitpid(Some(pid), WaitOptions::empty()) {}
        }
    }

    /// Follows it to its end, and ends what is left of it then.
    pub(super) fn follow(mut self, hook: &Hook, since: Mono, stop: &Waker) -> HookDone {
        let mut course = Course {
            stop: Some(stop),
            next: since.plus(hook.timeout),
            kill_after: hook.kill_after,
            asked: None,
            is_killed: false,
            turn: Turn::default(),
        };
        let exit = self.until_it_ends(&mut course);
        for stream in &mut self.streams {
            stream.finish();
        }
        let left_behind = match exit {
            Some(_) => self.sweep(&mut course),
            None => {
                log::warn!(
                    event = "hook_not_ending",
                    pid = self.pid;
                    "hook {} was killed, but is still there: process {}", hook.label, self.pid
                );
                0
            }
        };
        // Only now its number may be given to another.
        tree::reap_own();
        let result = course.asked.or(exit).unwrap_or(HookResult::TimedOut);
        let [stdout, stderr] = self.streams.map(Stream::end);
        HookDone { result, stdout, stderr, took: clock::mono().since(since), left_behind }
    }

    /// Reads what it prints until its main process has ended, and sees to it that it does. `None`: it
    /// was killed and goes on.
    fn until_it_ends(&mut self, course: &mut Course<'_>) -> Option<HookResult> {
        let pid = Pid::from_raw(self.pid as i32);
        let handle = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let main = Main { pid: self.pid, handle: handle.as_ref(), is_child: true };
        loop {
            if let Some(exit) = has_ended(self.pid) {
                return Some(exit);
            }
            let now = clock::mono();
            if now < course.next {
                course.wait(course.next.since(now), handle.as_ref(), &mut self.streams);
                if course.stop.is_none() && course.asked.is_none() {
                    course.next = clock::mono();
                }
            } else if course.asked.is_none() {
                course.ask(now);
                signal::terminate(Some(main), &self.look().unwrap_or_default());
            } else if !course.is_killed {
                (course.is_killed, course.next) = (true, now.plus(course.patience()));
                self.kill(main);
            } else {
                return None;
            }
        }
    }

    /// The living processes of it that are known, but for those below the main one.
    fn look(&self) -> io::Result<Vec<Process>> {
        let mut found = tree::left_by_hook(self.marks, self.id, self.pid)?;
        if let Some(group) = &self.group {
            found.extend(group.processes()?.into_iter().filter(|one| one.pid != self.pid));
            sort::by_key(&mut found, |process| process.pid);
            found.dedup();
        }
        Ok(found)
    }

    fn kill(&self, main: Main<'_>) {
        signal::kill(Some(main), &self.look().unwrap_or_default());
        let _ = self.group.as_ref().map(Group::kill);
    }

    /// Ends what it has left behind: its main process has ended, and nobody has waited for that yet.
    /// Answers how many there were.
    fn sweep(&mut self, course: &mut Course<'_>) -> usize {
        let main = Main { pid: self.pid, handle: None, is_child: true };
        let begin = clock::mono();
        let mut kill_at = if course.is_killed { begin } else { begin.plus(course.kill_after) };
        let (mut found, mut pause) = (None, FIRST_LOOK);
        loop {
            let left = self.look();
            // It is looked as well whether its control group is fit for another.
            let is_empty = self.group.as_mut().is_none_or(|group| group.is_empty().unwrap_or(true));
            let now = clock::mono();
            match &left {
                Ok(left) if left.is_empty() && is_empty => break,
                Ok(left) if now < kill_at && found.is_none() => {
                    signal::terminate(Some(main), left);
                }
                Ok(_) if now < kill_at => {}
                Ok(_) | Err(_) => self.kill(main),
            }
            if left.is_err() || now >= kill_at.plus(course.patience()) {
                break;
            }
            found.get_or_insert(left.map_or(0, |left| left.len()));
            if course.nap(pause) {
                kill_at = kill_at.min(clock::mono().plus(KILL_AFTER_STOP));
            }
            pause = LAST_LOOK.min(pause * 2);
        }
        found.unwrap_or(0)
    }
}

/// How far it has come with ending a hook, and what tells that there is something to do.
struct Course<'a> {
    /// Tells that the scheduler stops; `None` once it has.
    stop: Option<&'a Waker>,
    /// When the next step is to be taken.
    next: Mono,
    /// From TERM to KILL.
    kill_after: Duration,
    /// It was asked to end, because of that.
    asked: Option<HookResult>,
    is_killed: bool,
    turn: Turn,
}

/// How much was read of late.
#[derive(Default)]
struct Turn {
    until: Mono,
    read: usize,
}

/// What may have something.
#[derive(Clone, Copy)]
enum Source {
    Stop,
    Handle,
    Stream(usize),
}

impl Course<'_> {
    /// The time is over, or the scheduler stops.
    fn ask(&mut self, now: Mono) {
        let stops = self.stop.is_none();
        if stops {
            self.kill_after = self.kill_after.min(KILL_AFTER_STOP);
        }
        self.asked = Some(if stops { HookResult::Stopped } else { HookResult::TimedOut });
        self.next = now.plus(self.kill_after);
    }

    /// How long what was killed may take to end.
    fn patience(&self) -> Duration {
        if self.stop.is_none() { KILL_AFTER_STOP } else { PATIENCE }
    }

    /// Waits for so long, and no longer if the scheduler begins to stop. Answers whether it does.
    fn nap(&mut self, pause: Duration) -> bool {
        let begins = match self.stop {
            Some(stop) => is_awake(stop, pause),
            None => {
                ready(Vec::new(), pause);
                false
            }
        };
        if begins {
            self.stop = None;
        }
        begins
    }

    /// Waits until something has happened, or for so long, and reads what was printed.
    fn wait(&mut self, mut at_most: Duration, handle: Option<&OwnedFd>, streams: &mut [Stream]) {
        let now = clock::mono();
        if now >= self.turn.until {
            self.turn = Turn { until: now.plus(TURN), read: 0 };
        }
        let may_read = self.turn.read < MOST_PRINTED;
        if !may_read {
            at_most = at_most.min(self.turn.until.since(now));
        }
        if handle.is_none() {
            at_most = at_most.min(WITHOUT_HANDLE);
        }
        let pipes = streams.iter().enumerate().filter(|_| may_read);
        let pipes = pipes.filter_map(|(index, stream)| Some((index, stream.pipe.as_ref()?)));
        let mut sources: Vec<(Source, PollFd<'_>)> =
            pipes.map(|(index, pipe)| (Source::Stream(index), readable(pipe))).collect();
        sources.extend(self.stop.map(|stop| (Source::Stop, readable(stop))));
        sources.extend(handle.map(|handle| (Source::Handle, readable(handle))));
        for source in ready(sources, at_most) {
            match source {
                Source::Stop => self.stop = None,
                Source::Stream(index) => self.turn.read += streams[index].read(usize::MAX),
                Source::Handle => {}
            }
        }
    }
}

/// One of the two streams of a hook.
struct Stream {
    /// `None` once it was closed.
    pipe: Option<OwnedFd>,
    mask: Option<Mask>,
    /// The end of what came from it, or a little more.
    tail: Vec<u8>,
    keep: usize,
}

impl Stream {
    /// One of which so many bytes are kept.
    fn of(keep: usize) -> Stream {
        Stream { pipe: None, mask: None, tail: Vec::new(), keep }
    }

    fn listen(&mut self, pipe: OwnedFd, mask: Option<Mask>) {
        // One that could block is not read.
        let is_fit = rustix::fs::fcntl_setfl(&pipe, OFlags::RDONLY | OFlags::NONBLOCK).is_ok();
        (self.pipe, self.mask) = (Some(pipe).filter(|_| is_fit), mask);
    }

    /// Reads once, no more than that. Answers how much that was.
    fn read(&mut self, most: usize) -> usize {
        let Some(pipe) = &self.pipe else { return 0 };
        let mut chunk = [0; CHUNK];
        let wanted = most.min(CHUNK);
        match rustix::io::read(pipe, &mut chunk[..wanted]) {
            Ok(count @ 1..) => {
                match &mut self.mask {
                    None => add(&mut self.tail, &chunk[..count], self.keep),
                    Some(mask) => {
                        let mut masked = Vec::new();
                        mask.feed(&chunk[..count], &mut masked);
                        add(&mut self.tail, &masked, self.keep);
                    }
                }
                count
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Ok(0) | Err(_) => {
                self.pipe = None;
                0
            }
        }
    }

    /// Reads what the pipe holds; whoever else has its other end may go on writing for ever.
    fn finish(&mut self) {
        let held = self.pipe.as_ref().and_then(|pipe| rustix::io::ioctl_fionread(pipe).ok());
        let mut left = usize::try_from(held.unwrap_or(0)).unwrap_or(0);
        while left > 0 {
            match self.read(left) {
                0 => break,
                count => left -= count,
            }
        }
        self.pipe = None;
        if let Some(mut mask) = self.mask.take() {
            let mut masked = Vec::new();
            mask.finish(&mut masked);
            add(&mut self.tail, &masked, self.keep);
        }
    }

    /// The end of what was printed.
    fn end(mut self) -> Vec<u8> {
        let more = self.tail.len().saturating_sub(self.keep);
        self.tail.drain(..more);
        self.tail
    }
}

/// Adds to the end of what was printed, and forgets what is before it, but not each time.
fn add(tail: &mut Vec<u8>, bytes: &[u8], keep: usize) {
    let bytes = &bytes[bytes.len().saturating_sub(keep)..];
    if tail.len() + bytes.len() > 2 * keep.max(CHUNK) {
        tail.drain(..(tail.len() + bytes.len()).saturating_sub(keep).min(tail.len()));
    }
    tail.extend_from_slice(bytes);
}

fn readable(source: &impl AsFd) -> PollFd<'_> {
    PollFd::new(source, PollFlags::IN)
}

/// Those that have something, after so long at most.
fn ready(sources: Vec<(Source, PollFd<'_>)>, at_most: Duration) -> Vec<Source> {
    let (names, mut fds): (Vec<Source>, Vec<PollFd<'_>>) = sources.into_iter().unzip();
    let wait = Timespec::try_from(at_most).ok();
    // A signal: nothing has anything, as far as is known.
    if !matches!(poll(&mut fds, wait.as_ref()), Ok(1..)) {
        return Vec::new();
    }
    let ready = names.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
    ready.map(|(name, _)| name).collect()
}

/// Waits for so long, unless the scheduler stops. Answers whether it does.
fn is_awake(stop: &Waker, at_most: Duration) -> bool {
    !ready(vec![(Source::Stop, readable(stop))], at_most).is_empty()
}

/// How a child has ended, if it has. It is waited for later.
fn has_ended(pid: u32) -> Option<HookResult> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        match waitid(WaitId::Pid(pid), options) {
            Ok(status) => return status.map(|status| result(&status)),
            Err(Errno::INTR) => {}
            // Somebody else has waited for it, which nobody does; but nobody is to wait for ever.
            Err(_) => return Some(HookResult::Exited(255)),
        }
    }
}

fn result(status: &WaitIdStatus) -> HookResult {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => HookResult::Exited(code),
        (None, Some(signal)) => HookResult::Killed(signal),
        (None, None) => HookResult::Exited(255),
    }
}
