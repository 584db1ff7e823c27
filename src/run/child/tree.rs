//! Process trees: whose a process is, and how every process of a run is found and ended.
//!
//! A run's main process leads a group and a session of its own, but what it starts may leave both
//! (`setsid`), and may outlive it. The scheduler therefore is a *subreaper*: the kernel hands it
//! every process below it whose parent has ended. These are the *adopted* processes. When a main
//! process has ended, whatever is left of its tree hangs below adopted ones, so the tree is gone
//! when no adopted process is of that run.
//!
//! Knowing that there is none must cost next to nothing, because nearly always there is none.
//! Adopted processes become children of the first thread, which is the scheduler's loop; main
//! processes are children of the thread that made them. One `wait4` that is limited to
//! the calling thread's own children (`__WNOTHREAD`) so reaps adopted processes, cannot steal the
//! exit status of a main process (nor of one that is just being made), and says `ECHILD` when
//! there is nobody left. Only when there is somebody, `/proc` is read.
//!
//! A process is told from all others by its id and the time of its start. It is signalled by a
//! handle (pidfd) that was opened first and compared with both then, so that none is hit whose
//! number was used again. How a tree is signalled is in `super::signal`.
//!
//! Whose an adopted process is, is told by the [`mark`](super::mark) it has inherited, else by its
//! group or session, else by `SCHEDRS_RUN` and its companions in its environment, else, when only
//! one run could be meant, by that.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use rustix::io::Errno;
use rustix::process::{
    Pid, WaitId, WaitIdOptions, WaitOptions, getpid, test_kill_process, wait, waitid,
};

use super::cgroup;
use super::mark::{self, Marks};
use crate::core::event::RunId;
use crate::store::Process;
use crate::sys::clock;

/// `__WNOTHREAD`: only children of the calling thread.
const OF_THIS_THREAD: WaitOptions = WaitOptions::from_bits_retain(0x2000_0000);

/// Whether the calling thread has children, ended ones that nobody has waited for included.
pub fn has_children() -> bool {
    let options = WaitIdOptions::EXITED
        | WaitIdOptions::NOHANG
        | WaitIdOptions::NOWAIT
        | WaitIdOptions::from_bits_retain(OF_THIS_THREAD.bits());
    // ECHILD; no other error is possible.
    waitid(WaitId::All, options).is_ok()
}

/// What a process shows of where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// It carries the mark of this scheduler.
    pub is_ours: bool,
    /// The run that its mark names.
    pub marked: Option<RunId>,
    /// Its process group.
    pub group: u32,
    pub session: u32,
    /// The path of its control group.
    pub cgroup: Option<String>,
    /// `SCHEDRS_RUN` in its environment.
    pub run: Option<RunId>,
    /// `SCHEDRS_JOB` in its environment.
    pub job: String,
    /// `SCHEDRS_DUE` in its environment.
    pub due: String,
    /// It comes from a hook, whatever else it shows: that has the same in its environment as the run
    /// that it is about.
    pub is_of_hook: bool,
}

/// The processes that the scheduler was handed by the kernel, and whose they are.
#[derive(Debug)]
pub struct Adopted {
    /// When each was started, and the run that it is of.
    known: HashMap<u32, (u64, Option<RunId>)>,
    /// There may be adopted processes that have nothing to do with any run.
    strangers: bool,
    marks: Option<Marks>,
    /// This process is not ours alone: what is not marked as a run's is none of our business, and
    /// the thread is not the first one.
    shared: bool,
}

impl Adopted {
    /// Makes this process a subreaper. To be called once, on the first thread of the process.
    pub fn new(marks: Option<Marks>) -> io::Result<Adopted> {
        if rustix::thread::gettid() != getpid() {
            return Err(io::Error::other("the scheduler must run on the first thread"));
        }
        rustix::process::set_child_subreaper(Some(getpid()))?;
        // Children from before this program was executed (`helper & exec schedrs ...`).
        let before = adopted();
        let strangers = getpid().is_init() || !matches!(&before, Ok(before) if before.is_empty());
        let before = before.unwrap_or_default().into_iter();
        let known = before.map(|pid| (pid, (start_of(pid).unwrap_or(0), None))).collect();
        Ok(Adopted { known, strangers, marks, shared: false })
    }

    /// The same for a scheduler that is embedded in another program, on any thread of it.
    pub fn in_shared_process(marks: Marks) -> io::Result<Adopted> {
        rustix::process::set_child_subreaper(Some(getpid()))?;
        let known = HashMap::new();
        Ok(Adopted { known, strangers: true, marks: Some(marks), shared: true })
    }

    /// Reaps adopted processes that have ended. Answers whether any is alive.
    pub fn reap(&mut self) -> bool {
        if self.shared {
            return self.reap_marked();
        }
        loop {
            match wait(WaitOptions::NOHANG | OF_THIS_THREAD) {
                Ok(Some((pid, _))) => {
                    self.known.remove(&(pid.as_raw_nonzero().get() as u32));
                }
                Ok(None) => return true,
                Err(Errno::INTR) => {}
                // ECHILD; no other error is possible.
                Err(_) => return false,
            }
        }
    }

    /// The same where only processes with the mark of a run may be reaped.
    fn reap_marked(&mut self) -> bool {
        let Some(marks) = self.marks else { return false };
        // Who cannot look has not seen that nobody is there.
        let Ok(all) = adopted() else { return true };
        self.known.retain(|pid, _| all.contains(pid));
        let mut alive = false;
        for pid in all {
            if !matches!(marks.read(pid), Some(Some(_))) {
                continue;
            }
            let id = Pid::from_raw(pid as i32);
            match id.map(|id| rustix::process::waitpid(Some(id), WaitOptions::NOHANG)) {
                Some(Ok(Some(_))) => {
                    self.known.remove(&pid);
                }
                _ => alive = true,
            }
        }
        alive
    }

    /// The living adopted processes of a run. `whose` knows the run of an origin; `only` is the
    /// one run that a process of unknown origin can belong to, if there is but one. An error says
    /// nothing about what there is.
    pub fn of(
        &mut self,
        run: RunId,
        whose: impl Fn(&Origin) -> Option<RunId>,
        only: Option<RunId>,
    ) -> io::Result<Vec<Process>> {
        if !self.reap() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for pid in adopted()? {
            let Some(stat) = Stat::look(pid)? else { continue };
            let start = stat.start;
            let owner = match self.known.get(&pid) {
                Some((known, owner)) if *known == start => *owner,
                _ => {
                    let origin = origin(pid, &stat, self.marks)?;
                    let may_be_other = self.strangers && !origin.is_ours || origin.is_of_hook;
                    let guess = if may_be_other { None } else { only };
                    let owner = whose(&origin).or(guess);
                    self.tell(pid, owner, &origin);
                    self.known.insert(pid, (start, owner));
                    owner
                }
            };
            if owner == Some(run) {
                found.push(Process { pid, start });
            }
        }
        Ok(found)
    }

    /// The adopted processes that are alive, but for those that were there before the first run.
    pub fn left(&mut self) -> io::Result<Vec<u32>> {
        if !self.reap() {
            return Ok(Vec::new());
        }
        let marked = |pid: u32| self.marks.is_some_and(|marks| marks.read(pid).flatten().is_some());
        let is_stranger = |pid: u32| match self.known.get(&pid) {
            Some((_, owner)) => self.strangers && owner.is_none() && !marked(pid),
            None => self.strangers && !marked(pid),
        };
        Ok(adopted()?.into_iter().filter(|pid| !is_stranger(*pid)).collect())
    }

    /// Says once of a process that some run has left behind that nobody knows which.
    fn tell(&self, pid: u32, owner: Option<RunId>, origin: &Origin) {
        log::debug!("process {pid} was adopted, of run {owner:?} by {origin:?}");
        if owner.is_none() && !self.strangers && !origin.is_of_hook {
            log::warn!(
                event = "left_alone",
                pid = pid;
                "a job has left process {pid} ({}) behind, and which of those that run cannot be \
                 told: it goes on",
                name_of(pid)
            );
        }
    }
}

/// When a process was started, in the kernel's ticks since the machine was; none if there is none.
pub fn start_of(pid: u32) -> Option<u64> {
    Stat::read(pid).map(|stat| stat.start)
}

/// The same of a child that was made after the tick `before`, which was its first since then.
///
/// Reading it takes as long as a tenth of a start: looking a process up in `/proc` makes entries for it
/// there, which its end has to remove. So it is only read where a tick has begun meanwhile (they last ten
/// milliseconds), and once for the first child, to see that this kernel counts as the clock does.
pub fn start_of_child(pid: u32, before: Option<u64>) -> Option<u64> {
    const UNKNOWN: u8 = 0;
    const SAME: u8 = 1;
    const OTHER: u8 = 2;
    static CLOCK: AtomicU8 = AtomicU8::new(UNKNOWN);
    let now = clock::boot_ticks();
    let Some((before, now)) = before.zip(now) else { return start_of(pid) };
    if before == now && CLOCK.load(Relaxed) == SAME {
        return Some(now);
    }
    let start = start_of(pid)?;
    if CLOCK.load(Relaxed) == UNKNOWN {
        let is_same = (before..=now).contains(&start);
        CLOCK.store(if is_same { SAME } else { OTHER }, Relaxed);
    }
    Some(start)
}

/// Whether a process has ended and only waits to be noticed, or is not there at all.
pub fn is_zombie(pid: u32) -> bool {
    Stat::read(pid).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'))
}

/// Whether a process is there, as that and no other, and has not ended.
pub fn is_alive(process: Process) -> bool {
    Stat::read(process.pid)
        .is_some_and(|stat| stat.start == process.start && !matches!(stat.state, 'Z' | 'X'))
}

/// Waits for a process that has ended, if it is our child: one that was made with `CLONE_PARENT` is,
/// of the thread that made its parent, and nobody else waits for it.
pub fn reap_stray(process: Process) {
    let own = getpid().as_raw_nonzero().get() as u32;
    let is_ours = Stat::read(process.pid)
        .is_some_and(|stat| stat.parent == own && stat.start == process.start && stat.state == 'Z');
    if is_ours && let Some(pid) = Pid::from_raw(process.pid as i32) {
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

/// The name or number of the user that a process runs as, for people.
pub fn user_of(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let uid = uids.and_then(|uids| uids.split_ascii_whitespace().nth(1)?.parse::<u32>().ok());
    match uid {
        Some(0) => "root".to_owned(),
        Some(uid) => format!("uid {uid}"),
        None => "another user".to_owned(),
    }
}

fn name_of(pid: u32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name = String::from_utf8_lossy(&name);
    name.trim_end().chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Every living process of the machine that carries a mark of ours, by its run; of several of one
/// run, the one that leads its group.
pub fn all_marked(marks: Marks) -> io::Result<HashMap<RunId, Process>> {
    let mut found: HashMap<RunId, Process> = HashMap::new();
    for (process, run) in marked(marks)? {
        let leads = Stat::read(process.pid).is_some_and(|stat| stat.group == process.pid);
        if leads || !found.contains_key(&run) {
            found.insert(run, process);
        }
    }
    Ok(found)
}

/// Every living process of a run, wherever it hangs.
pub fn marked_as(marks: Marks, run: RunId) -> io::Result<Vec<Process>> {
    let of_run = |(process, of): (Process, RunId)| (of == run).then_some(process);
    Ok(marked(marks)?.filter_map(of_run).collect())
}

fn marked(marks: Marks) -> io::Result<impl Iterator<Item = (Process, RunId)>> {
    let all = fs::read_dir("/proc")?;
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter_map(move |pid| {
        let start = start_of(pid)?;
        let run = marks.read(pid)??;
        let process = Process { pid, start };
        // Looked at again: the mark is that of the process with this start.
        is_alive(process).then_some((process, run))
    }))
}

/// The living processes of a hook that its main process, a child of the calling thread, is not the
/// parent of any more. They are told by their mark; without one, by its group and session.
pub fn left_by_hook(marks: Option<Marks>, hook: RunId, main: u32) -> io::Result<Vec<Process>> {
    let (pid, thread) = (getpid(), rustix::thread::gettid());
    let own = pid.as_raw_nonzero().get() as u32;
    // One that was made with `CLONE_PARENT` is our child as well.
    let strays = children_of_thread(own, &thread.to_string())?;
    let strays = strays.into_iter().filter(|pid| *pid != main).map(|pid| (pid, true));
    let mut found = Vec::new();
    for (pid, is_stray) in adopted()?.into_iter().map(|pid| (pid, false)).chain(strays) {
        let Some(stat) = Stat::look(pid)?.filter(|stat| !matches!(stat.state, 'Z' | 'X')) else {
            continue;
        };
        let is_its = match marks.and_then(|marks| marks.read(pid)) {
            _ if is_stray => true,
            Some(Some(run)) => run == hook,
            _ => [stat.group, stat.session].contains(&main),
        };
        if is_its {
            found.push(Process { pid, start: stat.start });
        }
    }
    Ok(found)
}

/// Waits for the children of the calling thread that have ended. Answers whether there are others.
pub fn reap_own() -> bool {
    loop {
        match wait(WaitOptions::NOHANG | OF_THIS_THREAD) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return true,
            // ECHILD; no other error is possible.
            Err(_) => return false,
        }
    }
}

/// The children of the first thread.
fn adopted() -> io::Result<Vec<u32>> {
    let pid = getpid();
    children_of_thread(pid.as_raw_nonzero().get() as u32, &pid.to_string())
}

fn children_of_thread(pid: u32, thread: &str) -> io::Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{thread}/children");
    let list = fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
    Ok(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

pub(super) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let names = threads.filter_map(|thread| thread.ok()?.file_name().into_string().ok());
    names.filter_map(|thread| children_of_thread(pid, &thread).ok()).flatten().collect()
}

/// Where a process comes from. It is an error where that cannot be looked at, and may be later.
fn origin(pid: u32, stat: &Stat, marks: Option<Marks>) -> io::Result<Origin> {
    let mut origin = Origin { group: stat.group, session: stat.session, ..Origin::default() };
    if let Some(marked) = marks.map(|marks| marks.look(pid)).transpose()?.flatten() {
        (origin.is_ours, origin.marked) = (true, marked);
        origin.is_of_hook = marked.is_some_and(mark::is_of_hook);
    }
    origin.cgroup = cgroup::path_of(pid);
    let environ = match fs::read(format!("/proc/{pid}/environ")) {
        Ok(environ) => environ,
        Err(error) if is_shortage(&error) => return Err(error),
        // It has changed user, or it has ended.
        Err(_) => Vec::new(),
    };
    for entry in environ.split(|byte| *byte == 0) {
        let Some((name, value)) = std::str::from_utf8(entry).ok().and_then(|e| e.split_once('='))
        else {
            continue;
        };
        match name {
            "SCHEDRS_RUN" => origin.run = value.parse().ok().map(RunId),
            "SCHEDRS_JOB" => origin.job = value.to_owned(),
            "SCHEDRS_DUE" => origin.due = value.to_owned(),
            "SCHEDRS_HOOK" => origin.is_of_hook = true,
            _ => {}
        }
    }
    Ok(origin)
}

/// Whether an error is about the one who looks and not about what there is to see.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    matches!(errno, libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN | libc::EIO)
}

/// What is needed of `/proc/PID/stat`.
pub(super) struct Stat {
    state: char,
    pub(super) start: u64,
    pub(super) parent: u32,
    pub(super) group: u32,
    session: u32,
}

impl Stat {
    /// Whatever the reason is for which it cannot be read: `None`.
    fn read(pid: u32) -> Option<Stat> {
        Stat::parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `None` where there is no such process. One that is hidden (`hidepid`) is one of which nothing
    /// is known, not even when it was started.
    pub(super) fn look(pid: u32) -> io::Result<Option<Stat>> {
        match fs::read(format!("/proc/{pid}/stat")) {
            Ok(stat) => Ok(Stat::parse(&stat)),
            Err(error) if is_shortage(&error) => Err(error),
            Err(_) => {
                let id = Pid::from_raw(pid as i32);
                let is_there = id.is_some_and(|id| test_kill_process(id) != Err(Errno::SRCH));
                let parent = getpid().as_raw_nonzero().get() as u32;
                let hidden = Stat { state: '?', start: 0, parent, group: 0, session: 0 };
                Ok(is_there.then_some(hidden))
            }
        }
    }

    fn parse(stat: &[u8]) -> Option<Stat> {
        let stat = String::from_utf8_lossy(stat);
        // The name, in parentheses, may hold anything, closing parentheses and spaces as well.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let mut next = || fields.next()?.parse().ok();
        let (parent, group, session) = (next()?, next()?, next()?);
        // The 22nd of all, of which state is the third.
        let start = fields.nth(15)?.parse().ok()?;
        Some(Stat { state, start, parent, group, session })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_a_child_of_its_parent() {
        let own = std::process::id();
        let stat = Stat::read(own).unwrap();
        assert_eq!(stat.parent, std::os::unix::process::parent_id());
        assert!(children(stat.parent).contains(&own));
    }
    /// The first is looked up, the others are not where they may not have to be.
    #[test]
    fn a_child_has_the_start_that_the_kernel_says() {
        for _ in 0..50 {
            let before = clock::boot_ticks();
            let mut child = std::process::Command::new("true").spawn().unwrap();
            let start = start_of_child(child.id(), before);
            assert_eq!(start, start_of(child.id()));
            assert!(start.is_some_and(|start| before.is_some_and(|before| before <= start)));
            child.wait().unwrap();
        }
    }
}
