//! What all jobs stand on: the clock, zone data, directories, limits, and whether a scheduler runs.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::control::client::{Client, Error, Place};
use crate::core::job::{JobSet, Output};
use crate::core::url::SharedUrl;
use crate::core::zone::{Database, Source, tz_variable};
use crate::problem::Problem;
use crate::store::location;
use crate::sys::paths;
use crate::sys::trust::quoted;

/// A scheduler that hangs is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// With less room than this a store or a log will not live long.
const LITTLE_ROOM: u64 = 64 << 20;

/// Descriptors that a scheduler needs beside those of its runs, with room to spare.
const OWN_FILES: u64 = 64;
/// Descriptors of a run: a handle and two pipes.
const FILES_OF_A_RUN: u64 = 3;

/// Whether the kernel's clock is kept right by somebody.
pub(crate) fn clock() -> Finding {
    const ABOUT: &str = "clock";
    let mut state = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zero is a valid value, which asks and changes nothing.
    let (answer, state) = unsafe { (libc::adjtimex(state.as_mut_ptr()), state.assume_init()) };
    if answer < 0 {
        let error = io::Error::last_os_error();
        return Finding::warning(
            ABOUT,
            format!("cannot ask whether it is synchronised: {error}"),
            "due times follow the clock: make sure that something keeps it right",
        );
    }
    if answer == libc::TIME_ERROR || state.status & libc::STA_UNSYNC != 0 {
        return Finding::warning(
            ABOUT,
            "not synchronised, says the kernel",
            "due times are wall-clock times: run systemd-timesyncd, chrony or ntpd; in a virtual \
             machine the host may keep the clock without telling",
        );
    }
    Finding::ok(ABOUT, "synchronised")
}

/// Whether the zone data is current.
pub(crate) fn zones(database: &Database) -> Finding {
    const ABOUT: &str = "zone data";
    let bundled = Database::bundled_version();
    let Some(directory) = database.system_dir() else {
        return Finding::ok(ABOUT, format!("{bundled}, bundled; the system has none"));
    };
    let directory = directory.display();
    match (database.system_version(), database.source()) {
        (Some(system), Source::System) => {
            Finding::ok(ABOUT, format!("{system}, of the system ({directory})"))
        }
        (Some(system), Source::Bundled) => Finding::warning(
            ABOUT,
            format!(
                "the system's is {system}, older than the bundled {bundled}, which schedrs uses; \
                 other programs, `date` in a job too, go by the older"
            ),
            "update the tzdata package",
        ),
        (None, Source::System) => Finding::warning(
            ABOUT,
            format!("the one in {directory} is used; it does not state its version"),
            format!("`schedrs --version` tells more; the bundled one is {bundled}"),
        ),
        (None, Source::Bundled) => {
            Finding::ok(ABOUT, format!("{bundled}, bundled; that in {directory} has no version"))
        }
    }
}

/// What the zone of the machine is, and where it was found.
pub(crate) fn zone(database: &Database) -> Finding {
    const ABOUT: &str = "zone";
    let machine = database.machine(tz_variable().as_deref());
    match machine.doubt {
        None => {
            let origin = machine.zone.origin().unwrap_or_default();
            Finding::ok(ABOUT, format!("{}, {origin}", machine.zone))
        }
        Some(doubt) => {
            let Problem { message, help, .. } = Problem::of_machine_zone(doubt, database);
            Finding::warning(ABOUT, message, help.unwrap_or_default())
        }
    }
}

/// The directories that a scheduler writes to.
pub(crate) fn directories(set: Option<&JobSet>, jobfile: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    let url = set.and_then(|set| set.settings.store_url.as_deref());
    match url {
        Some("memory") => {
            found.push(Finding::ok("store", "in memory: nothing survives a restart"));
        }
        // It is looked at by itself.
        Some(url) if SharedUrl::parse(url).is_some() => {}
        Some(url) => {
            let file = Path::new(url.strip_prefix("sqlite:").unwrap_or(url));
            let file = jobfile.parent().unwrap_or(Path::new("")).join(file);
            found.push(directory("store", file.parent().unwrap_or(Path::new(""))));
            found.extend(set.and_then(|set| refused_store(&file, set)));
        }
        None => {
            found.push(directory("store", &paths::state_directory()));
            found.extend(set.and_then(|set| refused_store(&paths::default_store(jobfile), set)));
        }
    }
    let to_files = |set: &JobSet| set.jobs.iter().any(|job| job.options.output == Output::File);
    if set.is_some_and(to_files) {
        let logs = paths::logs_of(jobfile);
        found.push(directory("logs", &paths::logs_directory()));
        if let Err(error) = crate::sys::trust::may_write_at(&logs.join("job.log")) {
            let text = format!("cannot use {}: {error}", quoted(&logs));
            found.push(Finding::problem("logs", text, "set LOGS_DIRECTORY"));
        }
    }
    let socket = paths::socket(jobfile);
    let of_socket = socket.parent().unwrap_or(Path::new(""));
    if of_socket != paths::state_directory() {
        found.push(directory("socket", of_socket));
    }
    found
}

fn refused_store(file: &Path, set: &JobSet) -> Option<Finding> {
    let error = location::refusal(file, set)?;
    Some(Finding::problem("store", error.message, "`schedrs run` refuses it"))
}

/// Whether a directory can be written to, or made; and whether too many can, or it is full.
fn directory(about: &'static str, path: &Path) -> Finding {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let name = quoted(path);
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = path.ancestors().skip(1).find(|above| above.exists());
            let above = above.unwrap_or(Path::new("."));
            return match access(above, Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) => Finding::ok(about, format!("{name} will be created when needed")),
                Err(_) => Finding::problem(
                    about,
                    format!("{name} does not exist, and {} is not writable", quoted(above)),
                    format!("as root: install -d -o {} {name}", whoami()),
                ),
            };
        }
        Err(error) => {
            let help = format!("as root: install -d -o {} {name}", whoami());
            return Finding::problem(about, format!("cannot check {name}: {error}"), help);
        }
    };
    if !meta.is_dir() {
        return Finding::problem(about, format!("{name} is not a directory"), "move it away");
    }
    if access(path, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let help = format!("as root: chown {} {name}", whoami());
        return Finding::problem(about, format!("{name} is not writable"), help);
    }
    if meta.mode() & 0o1002 == 0o002 {
        let text = format!("everyone can write to {name} and forge what is kept there");
        return Finding::problem(about, text, format!("chmod o-w {name}"));
    }
    if let Ok(space) = rustix::fs::statvfs(path) {
        let room = space.f_bavail.saturating_mul(space.f_frsize);
        if room < LITTLE_ROOM {
            let text = format!("only {} MiB free for {name}", room >> 20);
            return Finding::warning(
                about,
                text,
                "free some space: records that cannot be written are lost",
            );
        }
        if space.f_files > 0 && space.f_favail < 100 {
            let text = format!("only {} more files can be created in {name}", space.f_favail);
            return Finding::warning(
                about,
                text,
                "free some space: records that cannot be written are lost",
            );
        }
    }
    Finding::ok(about, format!("{name} is writable"))
}

fn whoami() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether there are enough descriptors for all slots.
pub(crate) fn limits(set: &JobSet) -> Finding {
    const ABOUT: &str = "open files";
    let slots: u64 = set.executors.iter().map(|pool| u64::from(pool.max_workers)).sum();
    // No more runs than this can ever be active.
    let instances = set.jobs.iter().map(|job| u64::from(job.options.max_instances)).sum();
    let runs = slots.min(instances);
    let needed = OWN_FILES + runs * FILES_OF_A_RUN;
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < needed => Finding::warning(
            ABOUT,
            format!("{runs} runs at once need {needed}, and the hard limit is {limit}"),
            format!("raise it (`ulimit -Hn {needed}`, `LimitNOFILE=`), or lower max_workers"),
        ),
        Some(limit) => Finding::ok(ABOUT, format!("{limit} allowed, {needed} needed at most")),
        None => Finding::ok(ABOUT, format!("no limit, {needed} needed at most")),
    }
}

/// A scheduler that runs a jobfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scheduler {
    /// `None` where it is in another namespace.
    pid: Option<i32>,
}

impl Scheduler {
    /// The one that runs this jobfile, if any does.
    pub(crate) fn of(jobfile: &Path) -> Option<Scheduler> {
        match Client::connect_within(&Place::Jobfile(jobfile.to_path_buf()), PATIENCE) {
            Ok(client) => Some(Scheduler { pid: client.pid() }),
            // It is there, and hangs.
            Err(Error::Silent { pid, .. }) => Some(Scheduler { pid }),
            Err(_) => None,
        }
    }

    /// Whether there is one.
    pub(crate) fn finding(this: Option<Scheduler>) -> Finding {
        match this {
            Some(Scheduler { pid: Some(pid) }) => {
                Finding::ok("scheduler", format!("running this jobfile as process {pid}"))
            }
            Some(Scheduler { pid: None }) => {
                Finding::ok("scheduler", "running this jobfile in another container")
            }
            None => Finding::ok("scheduler", "not running this jobfile now"),
        }
    }

    /// Its environment, if it may be read.
    pub(crate) fn environment(self) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let text = fs::read(format!("/proc/{}/environ", self.pid?)).ok()?;
        Some(super::login::variables(&text))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::run::doctor::Verdict;

    #[test]
    fn directories_that_can_and_cannot_be_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let found = |path: &Path| directory("store", path);
        assert_eq!(found(dir.path()).verdict, Verdict::Ok);
        let made = found(&dir.path().join("a/b"));
        assert!(made.verdict == Verdict::Ok && made.text.contains("will be created"), "{made:?}");
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(found(&dir.path().join("file")).text.contains("is not a directory"));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let open = found(dir.path());
        assert!(open.verdict == Verdict::Problem && open.text.starts_with("everyone"), "{open:?}");
        // As /tmp: nobody can replace what is somebody else's.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(found(dir.path()).verdict, Verdict::Ok);
    }

    #[test]
    fn the_clock_can_be_asked() {
        assert_ne!(clock().verdict, Verdict::Problem);
    }
}
