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
//! processes are children of the spawner thread that made them. One `wait4` that is limited to
//! the calling thread's own children (`__WNOTHREAD`) so reaps adopted processes, cannot steal the
//! exit status of a main process (nor of one that is just being made), and says `ECHILD` when
//! there is nobody left. Only when there is somebody, `/proc` is read.
//!
//! Whose an adopted process is, is told by the [`mark`](super::mark) it has inherited, else by its
//! group or session, else by `SCHEDRS_RUN` and its companions in its environment, else, when only
//! one run could be meant, by that.

use std::collections::HashMap;
use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, kill_process_group, pidfd_open,
    pidfd_send_signal, wait,
};

use super::mark::Marks;
use crate::event::RunId;

/// `__WNOTHREAD`: only children of the calling thread.
const OF_THIS_THREAD: WaitOptions = WaitOptions::from_bits_retain(0x2000_0000);

/// What a process shows of where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// It carries the mark of this scheduler.
    pub is_ours: bool,
    /// The run that its mark names.
    pub marked: Option<RunId>,
    /// Its process group.
    pub group: u32,
    /// Its session.
    pub session: u32,
    /// `SCHEDRS_RUN` in its environment.
    pub run: Option<RunId>,
    /// `SCHEDRS_JOB` in its environment.
    pub job: String,
    /// `SCHEDRS_DUE` in its environment.
    pub due: String,
}

/// The processes that the scheduler was handed by the kernel, and whose they are.
#[derive(Debug)]
pub struct Adopted {
    known: HashMap<u32, Option<RunId>>,
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
        let before = adopted().unwrap_or_default();
        let strangers = getpid().is_init() || !before.is_empty();
        let known = before.into_iter().map(|pid| (pid, None)).collect();
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
        let (Ok(all), Some(marks)) = (adopted(), self.marks) else { return false };
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
    /// one run that a process of unknown origin can belong to, if there is but one.
    pub fn of(
        &mut self,
        run: RunId,
        whose: impl Fn(&Origin) -> Option<RunId>,
        only: Option<RunId>,
    ) -> io::Result<Vec<u32>> {
        if !self.reap() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for pid in adopted()? {
            let owner = match self.known.get(&pid) {
                Some(owner) => *owner,
                None => {
                    let origin = origin(pid, self.marks);
                    let guess = if self.strangers && !origin.is_ours { None } else { only };
                    let owner = whose(&origin).or(guess);
                    log::debug!("process {pid} was adopted, of run {owner:?} by {origin:?}");
                    self.known.insert(pid, owner);
                    owner
                }
            };
            if owner == Some(run) {
                found.push(pid);
            }
        }
        Ok(found)
    }
}

/// When a process was started, in the kernel's ticks since the machine was; none if there is none.
pub fn start_of(pid: u32) -> Option<u64> {
    Stat::read(pid).map(|stat| stat.start)
}

/// Whether a process has ended and only waits to be noticed, or is not there at all.
pub fn is_zombie(pid: u32) -> bool {
    Stat::read(pid).is_none_or(|stat| matches!(stat.state, 'Z' | 'X'))
}

/// Every living process of the machine that carries a mark of ours, by its run; of several of one
/// run, the one that leads its group.
pub fn all_marked(marks: Marks) -> HashMap<RunId, u32> {
    let mut found: HashMap<RunId, u32> = HashMap::new();
    for (pid, run) in marked(marks) {
        let leads = Stat::read(pid).is_some_and(|stat| stat.group == pid);
        if leads || !found.contains_key(&run) {
            found.insert(run, pid);
        }
    }
    found
}

/// Every living process of a run, wherever it hangs.
pub fn marked_as(marks: Marks, run: RunId) -> Vec<u32> {
    marked(marks).filter(|(_, of)| *of == run).map(|(pid, _)| pid).collect()
}

fn marked(marks: Marks) -> impl Iterator<Item = (u32, RunId)> {
    let all = fs::read_dir("/proc").into_iter().flatten();
    let pids = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(move |pid| Some((pid, marks.read(pid)??))).filter(|(pid, _)| !is_zombie(*pid))
}

/// The children of the first thread.
fn adopted() -> io::Result<Vec<u32>> {
    let pid = getpid();
    children_of_thread(pid.as_raw_nonzero().get() as u32, &pid.to_string())
}

fn children_of_thread(pid: u32, thread: &str) -> io::Result<Vec<u32>> {
    let list = fs::read_to_string(format!("/proc/{pid}/task/{thread}/children"))?;
    Ok(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let names = threads.filter_map(|thread| thread.ok()?.file_name().into_string().ok());
    names.filter_map(|thread| children_of_thread(pid, &thread).ok()).flatten().collect()
}

fn origin(pid: u32, marks: Option<Marks>) -> Origin {
    let mut origin = Origin::default();
    if let Some(marked) = marks.and_then(|marks| marks.read(pid)) {
        (origin.is_ours, origin.marked) = (true, marked);
    }
    if let Some(stat) = Stat::read(pid) {
        (origin.group, origin.session) = (stat.group, stat.session);
    }
    let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    for entry in environ.split(|byte| *byte == 0) {
        let Some((name, value)) = std::str::from_utf8(entry).ok().and_then(|e| e.split_once('='))
        else {
            continue;
        };
        match name {
            "SCHEDRS_RUN" => origin.run = value.parse().ok().map(RunId),
            "SCHEDRS_JOB" => origin.job = value.to_owned(),
            "SCHEDRS_DUE" => origin.due = value.to_owned(),
            _ => {}
        }
    }
    origin
}

/// What is needed of `/proc/PID/stat`.
struct Stat {
    state: char,
    start: u64,
    parent: u32,
    group: u32,
    session: u32,
}

impl Stat {
    fn read(pid: u32) -> Option<Stat> {
        let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let stat = String::from_utf8_lossy(&stat);
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

/// Asks every process of a tree to end: SIGTERM, and SIGCONT for those that are stopped and could
/// not act on it. `leader` is the main process, whether it is alive or a zombie not yet reaped, so
/// that its number stands for no other group; `adopted` are what is known to belong to it beside.
pub fn terminate(leader: u32, adopted: &[u32]) {
    signal_group(leader, Signal::TERM);
    signal_group(leader, Signal::CONT);
    let mut parents: Vec<u32> = adopted.iter().copied().chain([leader]).collect();
    for pid in adopted {
        signal_unless_in_group(*pid, None, leader);
    }
    while let Some(parent) = parents.pop() {
        for child in children(parent) {
            signal_unless_in_group(child, Some(parent), leader);
            parents.push(child);
        }
    }
}

/// Kills the group of a main process, and those adopted ones. What they leave behind is handed to
/// the scheduler, which kills it in its turn. Answers how many of `adopted` may not be killed.
pub fn kill(leader: u32, adopted: &[u32]) -> usize {
    signal_group(leader, Signal::KILL);
    // Adopted processes are children of this thread, which alone reaps them: their numbers cannot
    // have come to stand for others.
    let forbidden = |pid: &&u32| {
        let pid = Pid::from_raw(**pid as i32);
        pid.is_some_and(|pid| kill_process(pid, Signal::KILL) == Err(Errno::PERM))
    };
    adopted.iter().filter(forbidden).count()
}

fn signal_group(leader: u32, signal: Signal) {
    if let Some(group) = Pid::from_raw(leader as i32) {
        // Everyone in it may have ended; the sweep will see.
        let _ = kill_process_group(group, signal);
    }
}

/// Signals a process found by walking the tree. It may have ended since, and its number may stand
/// for another: so a handle is taken first, and then looked at whether it is still who it was.
fn signal_unless_in_group(pid: u32, parent: Option<u32>, group: u32) {
    let Some(raw) = Pid::from_raw(pid as i32) else { return };
    let handle = pidfd_open(raw, PidfdFlags::empty());
    let Some(stat) = Stat::read(pid) else { return };
    if stat.group == group || parent.is_some_and(|parent| stat.parent != parent) {
        return;
    }
    for signal in [Signal::TERM, Signal::CONT] {
        // It may have gone, or belong to another user; the sweep will see.
        let _ = match &handle {
            Ok(handle) => pidfd_send_signal(handle, signal),
            Err(_) => kill_process(raw, signal),
        };
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
}
