//! A control group for each run, where one can be had: what no process can leave by itself.
//!
//! Below its own control group (version 2) the scheduler makes a directory, and in that one for
//! each run. A process is made in it (`CLONE_INTO_CGROUP`), all that it starts is in it, and one write
//! to `cgroup.kill` ends them all, whatever they have done to themselves and whoever they run as.
//! Runs with limits have groups of their own kind (`limit`).
//!
//! It needs a kernel of 5.14 or later and the right to make directories there: root's, or that of a
//! group that was delegated (`Delegate=yes` in a systemd unit). Without that, and where `/sys` is
//! read-only as in most containers, the ways of `super::tree` are what there is; they are used as
//! well where there are control groups, for processes that were moved elsewhere. Version 1 is not
//! used: a process can only be moved into its groups, and moving waits for every processor of the
//! machine, 12 ms on an idle one of two. Being made in a group costs 15 µs.
//!
//! Directories are made ahead and used again once nothing is left in them, but for those that were
//! killed: Linux from 6.14 on compares how often that was done to the new process's group with how often
//! it was done to its parent's, and kills the process at once where these differ. A lock on the
//! scheduler's own directory says that it is alive; what a crash leaves is removed by the next
//! scheduler in the same place.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Access, FlockOperation, access, flock, fstat};
use rustix::process::{Resource, getrlimit};

use super::{tree, vfork};
use crate::store::Process;
use crate::sys::clock;

/// What the directories of schedulers are called, before the process id and what makes them unique.
const PREFIX: &str = "schedrs-";

/// For so many runs at once directories are made ahead, and kept for further ones.
const MOST_FREE: usize = 1024;
/// So many are made before the first job is due; what is beyond that, beside it.
const AT_ONCE: usize = 32;
/// A job may make groups below its own (containers do); deeper than this nobody looks.
const DEPTH: u32 = 8;

/// The control groups of a scheduler.
#[derive(Clone, Debug)]
pub struct Groups(Arc<Home>);

#[derive(Debug)]
pub(super) struct Home {
    pub(super) path: PathBuf,
    /// Its lock is held for as long as the scheduler lives.
    _lock: File,
    pool: Mutex<Pool>,
    /// So many may have their files open.
    most_open: usize,
    /// Processes could not be made in them after all.
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct Pool {
    free: Vec<Place>,
    made: u32,
    /// How many have their files open.
    open: usize,
}

/// The directory of a group.
#[derive(Debug, Default)]
struct Place {
    path: PathBuf,
    /// While it is used again and again its files stay open: finding them by name takes longer than
    /// reading them.
    files: Option<Files>,
}

#[derive(Debug)]
struct Files {
    /// The directory, for the kernel.
    directory: Arc<OwnedFd>,
    /// `cgroup.events`.
    events: File,
}

impl Place {
    fn new(path: PathBuf) -> Place {
        Place { path, files: None }
    }

    fn open(&mut self) -> io::Result<()> {
        let directory = Arc::new(for_kernel(&self.path)?.into());
        let events = File::open(self.path.join("cgroup.events"))?;
        self.files = Some(Files { directory, events });
        Ok(())
    }

    /// What its `cgroup.events` says.
    fn events(&self, text: &mut [u8]) -> io::Result<usize> {
        match &self.files {
            Some(files) => files.events.read_at(text, 0),
            None => File::open(self.path.join("cgroup.events"))?.read(text),
        }
    }

    /// Whether there is no group below it: a directory has two links and one for each directory in it.
    fn is_alone(&self) -> bool {
        match &self.files {
            Some(files) => fstat(&files.directory).is_ok_and(|stat| stat.st_nlink == 2),
            None => fs::metadata(&self.path).is_ok_and(|meta| meta.nlink() == 2),
        }
    }
}

/// The control group of one run.
pub struct Group {
    place: Place,
    /// Who gets it back; `None`: it is that of an earlier scheduler.
    home: Option<Arc<Home>>,
    /// There is nothing in it, and nothing about it was changed.
    is_clean: bool,
    /// It is not for another run, whose limits would be others.
    has_limits: bool,
    /// What was in it was killed, and so would be what is made in it.
    was_killed: AtomicBool,
}

impl Groups {
    /// Makes the directories for them, for so many runs at once. The error says why there can be none.
    pub fn new(runs: usize) -> Result<Groups, String> {
        if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
            return Err("it is not known how on this processor".to_owned());
        }
        let own = own_group()?;
        let cannot = |what: &str, error: &dyn fmt::Display| format!("{what}: {error}");
        access(own.join("cgroup.procs"), Access::WRITE_OK)
            .map_err(|error| cannot(&format!("{} is not ours", own.display()), &error))?;
        let mut home = Home::new(&own).map_err(|error| {
            cannot(&format!("no group can be made in {}", own.display()), &error)
        })?;
        let runs = runs.min(MOST_FREE);
        home.most_open = room_for(runs);
        let home = Arc::new(home);
        // From here on it is removed when it is not needed any more.
        if !home.path.join("cgroup.kill").exists() {
            return Err("the kernel is older than 5.14".to_owned());
        }
        let kind = fs::read_to_string(home.path.join("cgroup.type")).unwrap_or_default();
        if kind.trim() != "domain" {
            return Err(format!("{} takes no processes ({})", own.display(), kind.trim()));
        }
        home.try_one()?;
        remove_dead(&own, &home.path);
        home.make_ahead(runs.min(AT_ONCE));
        if let Some(more @ 1..) = runs.checked_sub(AT_ONCE) {
            let home = Arc::clone(&home);
            let make = move || home.make_ahead(more);
            // Without the thread they are made when they are needed.
            let _ = std::thread::Builder::new().name("cgroups".to_owned()).spawn(make);
        }
        Ok(Groups(home))
    }

    /// A group for a run, and its directory for the kernel, if they can be had.
    pub fn take(&self) -> Option<(Group, Arc<OwnedFd>)> {
        if self.0.failed.load(Relaxed) {
            return None;
        }
        let (free, may_open) = {
            let mut pool = self.0.pool();
            let free = pool.free.pop();
            let opens = free.as_ref().is_none_or(|place| place.files.is_none());
            let may_open = opens && pool.open < self.0.most_open;
            pool.open += usize::from(may_open);
            (free, may_open)
        };
        let place = match free.map_or_else(|| self.0.make().map(Place::new), Ok) {
            Ok(place) => place,
            Err(error) => {
                self.0.pool().open -= usize::from(may_open);
                log::debug!("no control group can be made: {error}");
                return None;
            }
        };
        let mut group = Group::new(place, Some(Arc::clone(&self.0)));
        if may_open && group.place.open().is_err() {
            self.0.pool().open -= 1;
        }
        let directory = match &group.place.files {
            Some(files) => Ok(Arc::clone(&files.directory)),
            None => for_kernel(&group.place.path).map(|directory| Arc::new(directory.into())),
        };
        // One that cannot be opened is not kept for the next.
        group.is_clean = directory.is_ok();
        Some((group, directory.ok()?))
    }

    /// Nothing more is started: they are removed, whoever still holds on to this. What is left
    /// running keeps its group, which the next scheduler removes.
    pub fn close(&self) {
        self.0.failed.store(true, Relaxed);
        self.0.pool().free.clear();
        remove(&self.0.path, DEPTH);
    }

    /// Processes cannot be made in them: nobody retries.
    pub fn give_up(&self, errno: i32) {
        if !self.0.failed.swap(true, Relaxed) {
            let error = io::Error::from_raw_os_error(errno);
            log::warn!(
                event = "no_cgroup",
                reason = &*error.to_string();
                "runs get no control group of their own, {} takes no process: {error}",
                self.0.path.display()
            );
        }
    }
}

impl Home {
    fn new(own: &Path) -> io::Result<Home> {
        let (path, lock) = make_home(own)?;
        let (pool, failed) = (Mutex::default(), AtomicBool::new(false));
        Ok(Home { path, _lock: lock, pool, most_open: 0, failed })
    }

    /// A directory for groups in this one, in which those of dead schedulers are removed.
    pub(super) fn below(own: &Path) -> io::Result<Home> {
        let home = Home::new(own)?;
        remove_dead(own, &home.path);
        Ok(home)
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a process in a group of its own, to see whether it lives there.
    fn try_one(&self) -> Result<(), String> {
        let path = self.make().map_err(|error| format!("no group can be made: {error}"))?;
        let directory = for_kernel(&path).map_err(|error| error.to_string())?;
        let lives = vfork::lives_in(&directory.into());
        let _ = fs::remove_dir(&path);
        match lives {
            Ok(true) => Ok(()),
            Ok(false) => Err("the kernel kills what is made in one (Linux 6.14 and later, where \
                              the scheduler's own group was killed before)"
                .to_owned()),
            Err(errno) => Err(format!(
                "{} takes no process: {}",
                self.path.display(),
                io::Error::from_raw_os_error(errno)
            )),
        }
    }

    fn make_ahead(&self, count: usize) {
        for _ in 0..count {
            let Ok(path) = self.make() else { return };
            self.pool().free.push(Place::new(path));
        }
    }

    /// Makes a group.
    pub(super) fn make(&self) -> io::Result<PathBuf> {
        let number = {
            let mut pool = self.pool();
            pool.made += 1;
            pool.made
        };
        let path = self.path.join(number.to_string());
        fs::create_dir(&path)?;
        Ok(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        remove(&self.path, DEPTH);
    }
}

impl Group {
    fn new(place: Place, home: Option<Arc<Home>>) -> Group {
        let is_clean = home.is_some();
        Group { place, home, is_clean, has_limits: false, was_killed: AtomicBool::new(false) }
    }

    /// One that has limits, and is therefore not for another run.
    pub(super) fn of_limits(path: PathBuf, home: Arc<Home>) -> Group {
        let mut group = Group::new(Place::new(path), Some(home));
        (group.is_clean, group.has_limits) = (false, true);
        group
    }

    /// That of a process of an earlier scheduler, if it is in one.
    pub fn of(pid: u32) -> Option<Group> {
        let (mount, root) = mounted().ok()?;
        let path = path_of(pid)?;
        let below = Path::new(&path).strip_prefix(&root).ok()?;
        let mut names = below.iter();
        let is_home = |name: &&OsStr| name.to_string_lossy().starts_with(PREFIX);
        // The innermost: a scheduler may be a job of another one.
        let depth = names.by_ref().collect::<Vec<_>>().iter().rposition(is_home)?;
        let path = mount.join(below.iter().take(depth + 2).collect::<PathBuf>());
        let is_group = below.iter().count() > depth + 1;
        is_group.then(|| Group::new(Place::new(path), None))
    }

    /// A process was made in it.
    pub(super) fn is_used(&mut self) {
        self.is_clean = false;
    }

    /// Whether no process is left in it.
    pub fn is_empty(&mut self) -> io::Result<bool> {
        let mut events = [0; 64];
        // At the end of each run: so it is not asked first how long the file is.
        let length = self.place.events(&mut events)?;
        let events = events[..length].split(|byte| *byte == b'\n');
        let says = |line: &[u8]| events.clone().any(|found| found == line);
        let is_empty = says(b"populated 0");
        self.is_clean = is_empty && says(b"frozen 0") && self.place.is_alone();
        Ok(is_empty)
    }

    /// Everything in it and below it is killed by the kernel, also who forks at this moment.
    pub fn kill(&self) -> io::Result<()> {
        self.was_killed.store(true, Relaxed);
        OpenOptions::new().write(true).open(self.place.path.join("cgroup.kill"))?.write_all(b"1")
    }

    /// The living processes in it.
    pub fn processes(&self) -> io::Result<Vec<Process>> {
        let mut pids = Vec::new();
        collect(&self.place.path, DEPTH, &mut pids)?;
        let is_in = |process: &Process| path_of(process.pid).is_some_and(|path| self.holds(&path));
        let known = pids.into_iter().filter_map(|pid| {
            let start = tree::start_of(pid)?;
            Some(Process { pid, start })
        });
        // Looked at after its start: it is the process with that start which is in the group.
        Ok(known.filter(is_in).collect())
    }

    /// Whether a process with this path in its `/proc/PID/cgroup` is in it, or below it.
    pub fn holds(&self, path: &str) -> bool {
        // Where the path begins depends on the namespace; the last two parts name it.
        let own: Vec<_> = self.place.path.iter().rev().take(2).collect();
        let parts: Vec<&OsStr> = Path::new(path).iter().collect();
        own.len() == 2 && parts.windows(2).any(|pair| pair[0] == own[1] && pair[1] == own[0])
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let mut place = std::mem::take(&mut self.place);
        match &self.home {
            Some(home) => {
                let is_for_next = self.is_clean && !self.has_limits && !*self.was_killed.get_mut();
                let mut pool = home.pool();
                if is_for_next && pool.free.len() < MOST_FREE {
                    pool.free.push(place);
                    return;
                }
                pool.open -= usize::from(place.files.take().is_some());
                drop(pool);
                remove(&place.path, DEPTH);
            }
            None => {
                remove(&place.path, DEPTH);
                // The last one takes the directory of its scheduler with it.
                let _ = place.path.parent().map(fs::remove_dir);
            }
        }
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({})", self.place.path.display())
    }
}

/// How many groups may have their files open, two each, where so many runs are to have three of their
/// own and one more while they begin.
fn room_for(runs: usize) -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    (limit.saturating_sub(64 + 4 * runs) / 2).min(MOST_FREE)
}

/// The directory of a group, for the kernel to make a process in it.
pub(super) fn for_kernel(path: &Path) -> io::Result<File> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// The group's path in a `/proc/PID/cgroup`.
fn group_of(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// The path of a process's group.
pub(super) fn path_of(pid: u32) -> Option<String> {
    group_of(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// Where groups of version 2 are mounted, and which of them is at that place.
fn mounted() -> Result<(PathBuf, PathBuf), String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("/proc/self/mountinfo: {error}"))?;
    let parse = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let (root, place) = (fields.nth(3)?, fields.next()?);
        (kind.split(' ').next() == Some("cgroup2")).then(|| (place.into(), root.into()))
    };
    mounts.lines().find_map(parse).ok_or_else(|| "no cgroup2 is mounted".to_owned())
}

/// The directory of this process's own group.
pub(super) fn own_group() -> Result<PathBuf, String> {
    let (mount, root) = mounted()?;
    let cgroup = fs::read_to_string("/proc/self/cgroup")
        .map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    let path = group_of(&cgroup).ok_or("this process is in no cgroup of version 2")?;
    match Path::new(&path).strip_prefix(&root) {
        Ok(below) if !path.contains("/..") => Ok(mount.join(below)),
        _ => Err(format!("its own cgroup {path} is not below {}", mount.display())),
    }
}

/// The directory of this process's own group in the hierarchy that a controller has in version 1; `None`:
/// it has none.
pub(super) fn own_old_group(controller: &str) -> io::Result<Option<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    Ok(old_group(&mounts, &groups, controller))
}

fn old_group(mounts: &str, groups: &str, controller: &str) -> Option<PathBuf> {
    let names = |list: &str| list.split(',').any(|name| name == controller);
    let (root, place) = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let (mut mount, mut kind) = (mount.split(' '), kind.split(' '));
        let (root, place) = (mount.nth(3)?, mount.next()?);
        (kind.next() == Some("cgroup") && names(kind.nth(1)?)).then_some((root, place))
    })?;
    let path = groups.lines().find_map(|line| {
        let (list, path) = line.split_once(':')?.1.split_once(':')?;
        names(list).then_some(path)
    })?;
    // In a container the mount may begin above what is said of the process.
    let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
    Some(Path::new(place).join(below))
}

/// Makes a directory that no other scheduler has, and locks it.
fn make_home(own: &Path) -> io::Result<(PathBuf, File)> {
    let pid = std::process::id();
    let mut unique = clock::mono().micros();
    for _ in 0..100 {
        let path = own.join(format!("{PREFIX}{pid}-{unique:x}"));
        unique = unique.wrapping_add(1);
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(error),
        }
        let lock = match open_directory(&path) {
            Ok(lock) => lock,
            Err(error) => {
                let _ = fs::remove_dir(&path);
                return Err(error);
            }
        };
        // Another one that has just come may have taken it for that of a dead scheduler.
        let locked = flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && path.exists() {
            return Ok((path, lock));
        }
    }
    Err(io::Error::other("every name is taken"))
}

fn open_directory(path: &Path) -> io::Result<File> {
    let flags = libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Removes what schedulers have left that are gone, as far as nothing runs in it.
pub(super) fn remove_dead(own: &Path, except: &Path) {
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        let path = entry.path();
        if path == except || !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(directory) = open_directory(&path) else { continue };
        if flock(directory.as_fd(), FlockOperation::NonBlockingLockExclusive).is_ok() {
            remove(&path, DEPTH);
        }
    }
}

/// Removes a group and those below it, as far as nothing runs in them.
pub(super) fn remove_with_all(path: &Path) {
    remove(path, DEPTH);
}

fn remove(path: &Path, depth: u32) {
    if fs::remove_dir(path).is_ok() || depth == 0 {
        return;
    }
    for directory in directories(path) {
        remove(&directory, depth - 1);
    }
    let _ = fs::remove_dir(path);
}

fn directories(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.filter(is_directory).map(|entry| entry.path())
}

/// The processes of a group and of those below it.
fn collect(path: &Path, depth: u32, pids: &mut Vec<u32>) -> io::Result<()> {
    let list = fs::read_to_string(path.join("cgroup.procs"))?;
    // Those that cannot be seen from this namespace of processes are 0.
    pids.extend(list.lines().filter_map(|pid| pid.parse::<u32>().ok()).filter(|pid| *pid != 0));
    if depth > 0 && fs::metadata(path)?.nlink() > 2 {
        for directory in directories(path) {
            match collect(&directory, depth - 1, pids) {
                Err(error) if tree::is_shortage(&error) => return Err(error),
                // It has been removed meanwhile, or its processes are listed above it.
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_holds_what_is_below_it_and_nothing_beside_it() {
        let path = "/sys/fs/cgroup/system.slice/schedrs-7-1/1".into();
        let group = Group::new(Place::new(path), None);
        for path in
            ["/system.slice/schedrs-7-1/1", "/../schedrs-7-1/1", "/schedrs-7-1/1/schedrs-9-1/2"]
        {
            assert!(group.holds(path), "{path}");
        }
        for path in
            ["/schedrs-7-1/14", "/schedrs-7-1", "/schedrs-7-12/1", "/", "", "/1/schedrs-7-1"]
        {
            assert!(!group.holds(path), "{path}");
        }
        // Its directory is not there, which hurts nobody.
        assert!(group.processes().is_err() && group.kill().is_err());
    }

    #[test]
    fn the_group_of_a_controller_of_version_1() {
        let mounts = "30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                      31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 24 0:28 /docker/x /sys/fs/cgroup/memory ro shared:9 - cgroup cgroup rw,memory\n";
        let groups = "4:memory:/docker/x/a\n3:cpu,cpuacct:/user\n0::/\n";
        for (controller, expected) in [
            ("cpu", Some("/sys/fs/cgroup/cpu,cpuacct/user")),
            ("memory", Some("/sys/fs/cgroup/memory/a")),
            ("pids", None),
        ] {
            let found = old_group(mounts, groups, controller);
            assert_eq!(found, expected.map(PathBuf::from), "{controller}");
        }
    }

    #[test]
    fn groups_are_used_again_and_removed_at_the_end() {
        let groups = match Groups::new(2) {
            Ok(groups) => groups,
            Err(why) => return eprintln!("not tested: no control groups here: {why}"),
        };
        let (mut first, directory) = groups.take().unwrap();
        let (second, _) = groups.take().unwrap();
        assert_ne!(first.place.path, second.place.path);
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(first.place.path.join("cgroup.procs"), child.id().to_string()).unwrap();
        first.is_used();
        assert!(!first.is_empty().unwrap());
        let pids: Vec<u32> = first.processes().unwrap().iter().map(|process| process.pid).collect();
        assert_eq!(pids, [child.id()]);
        assert_eq!(Group::of(child.id()).unwrap().place.path, first.place.path);
        // A job's own groups are not for the next run.
        fs::create_dir(first.place.path.join("below")).unwrap();
        first.kill().unwrap();
        child.wait().unwrap();
        assert!(first.is_empty().unwrap() && !first.is_clean);
        let (path, home) = (first.place.path.clone(), groups.0.path.clone());
        drop((first, directory));
        assert!(!path.exists());
        let kept = second.place.path.clone();
        drop(second);
        let is_free = |path: &Path| groups.0.pool().free.iter().any(|place| place.path == path);
        assert!(is_free(&kept));
        // Its files are open still, those of the first are not.
        assert_eq!(groups.0.pool().open, 1);
        // One that was killed is not, although nothing is left in it.
        let (mut killed, directory) = groups.take().unwrap();
        assert_eq!(killed.place.path, kept);
        killed.kill().unwrap();
        assert!(killed.is_empty().unwrap() && killed.is_clean);
        drop((killed, directory));
        assert!(!kept.exists() && !is_free(&kept));
        assert_eq!(groups.0.pool().open, 0);
        let (again, directory) = groups.take().unwrap();
        assert_eq!(vfork::lives_in(&directory), Ok(true));
        let kept = again.place.path.clone();
        drop((again, directory));
        // What a dead scheduler has left is removed, what a living one has is not.
        let own = home.parent().unwrap();
        let (dead, lock) = make_home(own).unwrap();
        fs::create_dir(dead.join("1")).unwrap();
        remove_dead(own, &home);
        assert!(dead.exists() && kept.exists());
        drop(lock);
        remove_dead(own, &home);
        assert!(!dead.exists() && kept.exists());
        drop(groups);
        assert!(!home.exists());
    }
}
