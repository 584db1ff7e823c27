//! The `limits` of a job, applied to the process of a run.
//!
//! Those of each process (`RLIMIT_*`) the child sets for itself before it executes its program. Those
//! of the run as a whole (memory, swap, processors, tasks) are those of a control group that only this
//! run has. With version 2 the process is made in it: it is a [`Group`] like that of any other run,
//! below a directory of its own, for which the controllers have to be delegated. Where the machine has
//! a controller in version 1 there is a directory in the hierarchy of that controller, and the child
//! enters it by itself, which takes some milliseconds; only runs with limits pay that.
//!
//! All of it is made when a run first needs it. What cannot be applied is the reason why a run is not
//! started, unless its job does without (`required = false`).

use std::fs::{self, OpenOptions};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Access, access};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::cgroup::{self, Group, Home};
use super::describe;
use crate::core::limits::Limits;
use crate::core::size;

/// A processor is shared out anew so often, in microseconds.
const PERIOD: u64 = 100_000;

/// Between the signal that says that the processor time is used up (SIGXCPU) and the end, in seconds.
const LAST_SECONDS: u64 = 5;

/// `CAP_SYS_RESOURCE`: who has it may raise limits.
const MAY_RAISE: u32 = 24;

/// What shares out one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controller {
    Memory,
    Cpu,
    Tasks,
}

impl Controller {
    const ALL: [Controller; 3] = [Controller::Memory, Controller::Cpu, Controller::Tasks];

    /// The kernel's name for it.
    fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Tasks => "pids",
        }
    }

    /// The key of `limits` that needs it.
    fn key(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Tasks => "tasks",
        }
    }

    fn is_needed(self, limits: &Limits) -> bool {
        match self {
            Controller::Memory => limits.memory.is_some(),
            Controller::Cpu => limits.cpu.is_some(),
            Controller::Tasks => limits.tasks.is_some(),
        }
    }
}

/// Applies limits; there is one for all runs.
#[derive(Clone, Debug, Default)]
pub struct Limiter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Where the groups of runs are, for each controller that was needed.
    homes: Mutex<Homes>,
    has_warned: AtomicBool,
}

#[derive(Debug, Default)]
struct Homes {
    /// One for all controllers of version 2, and where this process has gone to make room for it.
    new: Option<(Arc<Home>, Option<Home>)>,
    /// One for each of version 1.
    old: [Option<Arc<Home>>; 3],
}

/// What is to be done for a process that is about to be made.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// What the child sets for itself.
    pub(super) rlimits: Vec<(Resource, Rlimit)>,
    /// Where the child writes itself into.
    pub(super) enter: Vec<OwnedFd>,
    /// The group to make it in, in place of a common one.
    pub(super) group: Option<(Group, Arc<OwnedFd>)>,
    /// What is left to look at when it has ended.
    pub(super) confined: Confined,
}

/// The control groups that hold a run to its limits.
#[derive(Debug, Default)]
pub struct Confined {
    /// The one that counts its memory, and whether that is of version 2.
    memory: Option<(PathBuf, bool)>,
    /// Directories of version 1, each with whoever removes what is left in the end.
    old: Vec<(PathBuf, Arc<Home>)>,
}

impl Limiter {
    /// What it takes to hold a process to these limits. The error says which cannot be.
    pub(super) fn bounds(&self, limits: &Limits) -> Result<Bounds, String> {
        let mut bounds = Bounds::default();
        let mut done = || -> Result<(), String> {
            bounds.rlimits = rlimits(limits)?;
            match limits.is_of_group() {
                true => self.confine(limits, &mut bounds),
                false => Ok(()),
            }
        };
        match done() {
            Ok(()) => Ok(bounds),
            Err(why) if limits.required => Err(why),
            Err(why) => {
                if !self.0.has_warned.swap(true, Relaxed) {
                    log::warn!(
                        event = "no_limits",
                        reason = &*why;
                        "runs with `limits` are started without: {why}"
                    );
                }
                Ok(Bounds::default())
            }
        }
    }

    /// Nothing more is started: the directories are removed, whoever still holds on to this. What is
    /// left running keeps its group, which the next scheduler removes.
    pub fn close(&self) {
        let homes = mem::take(&mut *self.0.homes.lock().unwrap_or_else(PoisonError::into_inner));
        let new = homes.new.iter().map(|(home, _)| home);
        for home in new.chain(homes.old.iter().flatten()) {
            cgroup::remove_with_all(&home.path);
        }
        if let Some((_, Some(leaf))) = &homes.new {
            go_back(leaf);
        }
    }

    /// Makes the groups of a run.
    fn confine(&self, limits: &Limits, bounds: &mut Bounds) -> Result<(), String> {
        let mut homes = self.0.homes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Option<PathBuf> = None;
        for controller in Controller::ALL {
            if !controller.is_needed(limits) {
                continue;
            }
            let cannot =
                |why: String| format!("limits.{} cannot be applied: {why}", controller.key());
            let failed = |error: io::Error| cannot(describe(&error));
            match cgroup::own_old_group(controller.name()).map_err(failed)? {
                Some(own) => {
                    let home = match &mut homes.old[controller as usize] {
                        Some(home) => Arc::clone(home),
                        none => {
                            let home = Arc::new(Home::below(&own).map_err(failed)?);
                            Arc::clone(none.insert(home))
                        }
                    };
                    let path = home.make().map_err(failed)?;
                    bounds.confined.old.push((path.clone(), home));
                    write_old(controller, limits, &path).map_err(cannot)?;
                    let entry = path.join("cgroup.procs");
                    let entry = OpenOptions::new().write(true).open(entry).map_err(failed)?;
                    bounds.enter.push(entry.into());
                    if controller == Controller::Memory {
                        bounds.confined.memory = Some((path, false));
                    }
                }
                None => {
                    let home = match &homes.new {
                        Some((home, _)) => Arc::clone(home),
                        None => {
                            let (home, leaf) = new_home(limits).map_err(cannot)?;
                            let home = Arc::new(home);
                            homes.new = Some((Arc::clone(&home), leaf));
                            home
                        }
                    };
                    let path = match &new {
                        Some(path) => path.clone(),
                        None => {
                            let path = home.make().map_err(failed)?;
                            let group = Group::of_limits(path.clone(), home);
                            let directory = cgroup::for_kernel(&path).map_err(failed)?;
                            bounds.group = Some((group, Arc::new(directory.into())));
                            new.insert(path).clone()
                        }
                    };
                    write_new(controller, limits, &path).map_err(cannot)?;
                    if controller == Controller::Memory {
                        bounds.confined.memory = Some((path, true));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether these limits could be applied to a run, as far as that can be told without making a group. The
/// error says why not.
pub fn check(limits: &Limits) -> Result<(), String> {
    rlimits(limits)?;
    for controller in Controller::ALL.into_iter().filter(|it| it.is_needed(limits)) {
        let cannot = |why: String| format!("limits.{} cannot be applied: {why}", controller.key());
        let old = cgroup::own_old_group(controller.name());
        let own = match old.map_err(|error| cannot(describe(&error)))? {
            Some(own) => own,
            None => delegated(limits).map_err(cannot)?.0,
        };
        access(&own, Access::WRITE_OK)
            .map_err(|errno| cannot(format!("{}: {}", own.display(), describe(&errno.into()))))?;
    }
    Ok(())
}

/// Removes what schedulers that are gone have left in the hierarchies of version 1.
pub fn remove_left_over() {
    for controller in Controller::ALL {
        if let Ok(Some(own)) = cgroup::own_old_group(controller.name()) {
            cgroup::remove_dead(&own, Path::new(""));
        }
    }
}

/// The directory for groups of version 2 with these controllers, and where this process has gone if it was
/// in the way: there may be no process in a group that shares something out to those below it.
fn new_home(limits: &Limits) -> Result<(Home, Option<Home>), String> {
    let (own, all) = delegated(limits)?;
    let shared_out = read(&own, "cgroup.subtree_control")?;
    let mut leaf = None;
    if all.iter().any(|it| !has(&shared_out, *it)) {
        // The root of all groups may have processes.
        if own.join("cgroup.type").exists() {
            leaf = make_room(&own, &read(&own, "cgroup.procs")?)?;
        }
        share_out(&own, &all)?;
    }
    let home = Home::below(&own).map_err(|error| format!("{}: {error}", own.display()))?;
    share_out(&home.path, &all)?;
    Ok((home, leaf))
}

/// This process's own group of version 2, and the controllers that it may share out: those that are
/// needed, and all others that there are, because another job may need them.
fn delegated(limits: &Limits) -> Result<(PathBuf, Vec<Controller>), String> {
    let own = cgroup::own_group()?;
    let available = read(&own, "cgroup.controllers")?;
    let mut needed = Controller::ALL.into_iter().filter(|it| it.is_needed(limits));
    if let Some(missing) = needed.find(|it| !has(&available, *it)) {
        return Err(format!(
            "the controller `{}` is not delegated to {} (systemd: Delegate=yes)",
            missing.name(),
            own.display()
        ));
    }
    let all = Controller::ALL.into_iter().filter(|it| has(&available, *it)).collect();
    Ok((own, all))
}

fn read(group: &Path, file: &str) -> Result<String, String> {
    let file = group.join(file);
    fs::read_to_string(&file).map_err(|error| format!("{}: {}", file.display(), describe(&error)))
}

fn has(list: &str, controller: Controller) -> bool {
    list.split_whitespace().any(|name| name == controller.name())
}

/// Moves this process out of its own group into one below it, if it is the only one there.
fn make_room(own: &Path, processes: &str) -> Result<Option<Home>, String> {
    let me = std::process::id().to_string();
    if let Some(other) = processes.lines().find(|pid| *pid != me) {
        return Err(format!(
            "another process ({other}) is in the control group of schedrs, {}: run schedrs as a \
             service with Delegate=yes",
            own.display()
        ));
    }
    if processes.is_empty() {
        return Ok(None);
    }
    let failed = |error: io::Error| format!("{}: {}", own.display(), describe(&error));
    let leaf = Home::below(own).map_err(failed)?;
    fs::write(leaf.path.join("cgroup.procs"), me).map_err(failed)?;
    Ok(Some(leaf))
}

/// Moves this process back to where it was: as long as a group shares something out, nobody can enter it, who
/// starts the next scheduler there neither. A run that is still there keeps things as they are.
fn go_back(leaf: &Home) {
    let Some(own) = leaf.path.parent() else { return };
    let names = Controller::ALL.map(|it| format!("-{}", it.name()));
    if fs::write(own.join("cgroup.subtree_control"), names.join(" ")).is_ok()
        && fs::write(own.join("cgroup.procs"), std::process::id().to_string()).is_ok()
    {
        cgroup::remove_with_all(&leaf.path);
    }
}

/// Has controllers count for the groups below this one.
fn share_out(group: &Path, controllers: &[Controller]) -> Result<(), String> {
    let file = group.join("cgroup.subtree_control");
    let names: Vec<String> = controllers.iter().map(|it| format!("+{}", it.name())).collect();
    fs::write(&file, names.join(" "))
        .map_err(|error| format!("{}: {}", file.display(), describe(&error)))
}

/// The limits of a controller, in the files of version 2.
fn write_new(controller: Controller, limits: &Limits, group: &Path) -> Result<(), String> {
    let mut files: Vec<(&str, String)> = Vec::new();
    match controller {
        Controller::Memory => {
            files.extend(limits.memory.map(|most| ("memory.max", most.to_string())));
            files.extend(limits.swap.map(|most| ("memory.swap.max", most.to_string())));
            // Half a run is no run.
            files.push(("memory.oom.group", "1".to_owned()));
        }
        Controller::Cpu => {
            files.extend(limits.cpu.map(|cpu| ("cpu.max", format!("{} {PERIOD}", quota(cpu)))))
        }
        Controller::Tasks => files.extend(limits.tasks.map(|most| ("pids.max", most.to_string()))),
    }
    write_all(&files, group)
}

/// The same in those of version 1, where the limit of swap is one of memory and swap together.
fn write_old(controller: Controller, limits: &Limits, group: &Path) -> Result<(), String> {
    let mut files: Vec<(&str, String)> = Vec::new();
    match controller {
        Controller::Memory => {
            let memory = limits.memory.unwrap_or(u64::MAX);
            files.push(("memory.limit_in_bytes", memory.to_string()));
            files.extend(limits.swap.map(|swap| {
                ("memory.memsw.limit_in_bytes", memory.saturating_add(swap).to_string())
            }));
        }
        Controller::Cpu => {
            files.push(("cpu.cfs_period_us", PERIOD.to_string()));
            files.extend(limits.cpu.map(|cpu| ("cpu.cfs_quota_us", quota(cpu).to_string())));
        }
        Controller::Tasks => files.extend(limits.tasks.map(|most| ("pids.max", most.to_string()))),
    }
    write_all(&files, group)
}

/// So many microseconds of each period, of thousandths of a processor.
fn quota(cpu: u32) -> u64 {
    u64::from(cpu) * PERIOD / 1000
}

fn write_all(files: &[(&str, String)], group: &Path) -> Result<(), String> {
    for (file, value) in files {
        match OpenOptions::new().write(true).open(group.join(file)) {
            // Where there is no swap, there is none to limit.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    && file.contains("sw")
                    && !has_swap() => {}
            opened => opened
                .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()))
                .map_err(|error| format!("{file} = {value}: {}", describe(&error)))?,
        }
    }
    Ok(())
}

fn has_swap() -> bool {
    // The first line is a heading.
    fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1)
}

/// The limits of each process. The error names one that this scheduler may not set.
fn rlimits(limits: &Limits) -> Result<Vec<(Resource, Rlimit)>, String> {
    let plain = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    let cpu_time = limits.cpu_time.map(|most| Rlimit {
        current: Some(most.as_secs()),
        maximum: Some(most.as_secs().saturating_add(LAST_SECONDS)),
    });
    let all = [
        ("open_files", Resource::Nofile, limits.open_files.map(plain)),
        ("core", Resource::Core, limits.core.map(plain)),
        ("file_size", Resource::Fsize, limits.file_size.map(plain)),
        ("processes", Resource::Nproc, limits.processes.map(plain)),
        ("cpu_time", Resource::Cpu, cpu_time),
    ];
    let mut found = Vec::new();
    for (key, resource, limit) in all {
        let Some(limit) = limit else { continue };
        let wanted = limit.maximum.unwrap_or(u64::MAX);
        let most = most_of(resource);
        if most.is_some_and(|most| wanted > most) {
            let most = most.unwrap_or(0);
            let most = match key {
                "core" | "file_size" => size::written(most),
                _ => most.to_string(),
            };
            return Err(format!(
                "limits.{key} cannot be applied: it is above the limit that schedrs itself has, {most}"
            ));
        }
        found.push((resource, limit));
    }
    Ok(found)
}

/// The most that this process may set for another; `None`: anything.
fn most_of(resource: Resource) -> Option<u64> {
    let may_raise = || {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
        let effective = u64::from_str_radix(effective.trim(), 16).ok()?;
        Some(effective & (1 << MAY_RAISE) != 0)
    };
    // Beyond this nobody may have files open.
    let highest = || fs::read_to_string("/proc/sys/fs/nr_open").ok()?.trim().parse().ok();
    match (getrlimit(resource).maximum, resource) {
        (Some(_), Resource::Nofile) if may_raise().unwrap_or(false) => highest(),
        (Some(most), _) if !may_raise().unwrap_or(false) => Some(most),
        _ => None,
    }
}

/// In the child: sets limits and enters groups. `false`: it could not, and `errno` says why. It only makes
/// system calls.
pub(super) fn apply(rlimits: &[(Resource, Rlimit)], enter: &[RawFd]) -> bool {
    let entered = enter.iter().all(|group| {
        // SAFETY: a write of one byte, which names the writer, to a descriptor that is open.
        unsafe { libc::write(*group, b"0".as_ptr().cast(), 1) == 1 }
    });
    entered
        && rlimits.iter().all(|(resource, limit)| match setrlimit(*resource, *limit) {
            Ok(()) => true,
            Err(errno) => {
                // SAFETY: a write to this thread's own `errno`.
                unsafe { *libc::__errno_location() = errno.raw_os_error() };
                false
            }
        })
}

impl Bounds {
    /// The descriptors for [`apply`].
    pub(super) fn entries(&self) -> Vec<RawFd> {
        self.enter.iter().map(AsRawFd::as_raw_fd).collect()
    }
}

impl Confined {
    /// Whether the kernel has killed something of the run because there was no memory left within its
    /// limit; then the most that it had, if that is known.
    pub fn over_memory(&self) -> Option<Option<u64>> {
        let (group, is_new) = self.memory.as_ref()?;
        let (events, peak) = match is_new {
            true => ("memory.events", "memory.peak"),
            false => ("memory.oom_control", "memory.max_usage_in_bytes"),
        };
        let events = fs::read_to_string(group.join(events)).ok()?;
        let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
        let has_killed = kills.trim().parse::<u64>().is_ok_and(|kills| kills > 0);
        let peak = || fs::read_to_string(group.join(peak)).ok()?.trim().parse().ok();
        has_killed.then(peak)
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        for (path, _) in &self.old {
            cgroup::remove_with_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::Duration;

    use super::*;

    fn some() -> Limits {
        Limits {
            memory: Some(64 << 20),
            swap: Some(0),
            cpu: Some(1500),
            tasks: Some(20),
            ..Limits::default()
        }
    }

    fn written(
        of: fn(Controller, &Limits, &Path) -> Result<(), String>,
        files: &[&str],
    ) -> Vec<String> {
        let group = tempfile::tempdir().unwrap();
        for file in files {
            File::create(group.path().join(file)).unwrap();
        }
        for controller in Controller::ALL {
            of(controller, &some(), group.path()).unwrap();
        }
        let read = |file: &&str| fs::read_to_string(group.path().join(file)).unwrap();
        files.iter().map(read).collect()
    }

    #[test]
    fn what_is_written_to_both_versions() {
        let files = ["memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max"];
        assert_eq!(written(write_new, &files), ["67108864", "0", "1", "150000 100000", "20"]);
        let files = [
            "memory.limit_in_bytes",
            "memory.memsw.limit_in_bytes",
            "cpu.cfs_period_us",
            "cpu.cfs_quota_us",
            "pids.max",
        ];
        assert_eq!(written(write_old, &files), ["67108864", "67108864", "100000", "150000", "20"]);
    }

    #[test]
    fn a_kill_is_told_by_both_versions() {
        let rows = [
            (true, "memory.events", "memory.peak", "oom 2\noom_kill 1\noom_group_kill 1\n", true),
            (true, "memory.events", "memory.peak", "oom 2\noom_kill 0\n", false),
            (
                false,
                "memory.oom_control",
                "memory.max_usage_in_bytes",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
                true,
            ),
        ];
        for (is_new, events, peak, text, killed) in rows {
            let group = tempfile::tempdir().unwrap();
            let memory = Some((group.path().to_owned(), is_new));
            let confined = Confined { memory, old: Vec::new() };
            assert_eq!(confined.over_memory(), None);
            fs::write(group.path().join(events), text).unwrap();
            assert_eq!(confined.over_memory(), killed.then_some(None), "{text}");
            fs::write(group.path().join(peak), "67108864\n").unwrap();
            assert_eq!(confined.over_memory(), killed.then_some(Some(64 << 20)), "{text}");
        }
        assert_eq!(Confined::default().over_memory(), None);
    }

    #[test]
    fn limits_of_a_process() {
        let limits =
            Limits { core: Some(0), cpu_time: Some(Duration::from_secs(60)), ..Limits::default() };
        let found = rlimits(&limits).unwrap();
        let of = |at: usize| (found[at].1.current, found[at].1.maximum);
        assert_eq!((of(0), of(1)), ((Some(0), Some(0)), (Some(60), Some(65))));
        // More than anybody may have open.
        let limits = Limits { open_files: Some(1 << 40), ..Limits::default() };
        let why = rlimits(&limits).unwrap_err();
        assert!(why.starts_with("limits.open_files cannot be applied: it is above"), "{why}");
        let limiter = Limiter::default();
        assert_eq!(limiter.bounds(&limits).err(), Some(why));
        let without = limiter.bounds(&Limits { required: false, ..limits }).unwrap();
        assert!(without.rlimits.is_empty() && without.group.is_none());
    }
}
