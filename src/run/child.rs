//! One process: from a job to its command line, environment, identity and streams, and, where it
//! cannot be started, to a reason that a person understands.
//!
//! `crate::run::executor` calls [`World::start`] on its spawner threads; `crate::run::daemon` waits for what
//! it started and ends its process tree ([`tree`], [`signal`]). `crate::run::hook` makes processes that
//! are no attempts ([`World::make`]). The parts: `shell` knows when a string command needs no shell,
//! `search` where a program may be, `environment` (with `inherited`) and `identity` what their names
//! say, `files` reads what the former needs, with the `rights` of the job's user, [`secrets`] are what
//! of it must not be seen, `streams` what it reads and prints, `limit` what it may use, `spawn` makes
//! the process, and `explain` says why it cannot be made.

pub mod cgroup;
pub(crate) mod env_file;
mod environment;
mod examine;
mod explain;
pub(crate) mod files;
mod home;
mod identity;
mod inherited;
pub mod limit;
mod low;
pub mod mark;
pub mod progress;
mod rights;
mod search;
pub mod secrets;
mod shell;
pub mod signal;
mod spawn;
mod streams;
mod terminal;
pub mod tree;
mod vfork;

use std::borrow::Cow;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::core::event::{RunId, Start};
use crate::core::job::{Command, Options, Output};
use crate::sys::accounts::Account;
use cgroup::{Group, Groups};
pub use environment::Told;
use environment::{Base, Environment};
use explain::explain;
use identity::Identity;
use limit::{Bounds, Confined, Limiter};
use mark::Marks;
use progress::{Progress, Stage};
use search::{find_program, not_on_path, path_of, places_of};
use secrets::Secrets;
use spawn::{Changes, Made, Program};
use streams::streams;

/// What every start needs to know of the scheduler's own process.
#[derive(Debug)]
pub struct World {
    base: Base,
    /// `/bin/sh` is a shell that may be skipped: see `shell`.
    sh_is_known: bool,
    /// The scheduler has a terminal, which its jobs are to be kept from.
    has_terminal: bool,
    /// The limit of open files that the scheduler was started with, which its own may exceed.
    file_limit: Rlimit,
    marks: Option<Marks>,
    groups: Option<Groups>,
    limiter: Limiter,
}

/// What a process is to be made of.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What is to be executed.
    pub command: &'a Command,
    /// How: those of a job that have to do with its process.
    pub options: &'a Options,
    /// What is said to it in its environment, over all else.
    pub told: &'a [Told<'a>],
    /// What it can read; `None`: nothing.
    pub stdin: Option<&'a [u8]>,
    /// Whether somebody wants its output.
    pub is_heard: bool,
    /// Whether the limits of the job are for it.
    pub has_limits: bool,
    /// What marks it and all that comes from it.
    pub run: RunId,
}

/// A process that was started.
#[derive(Debug)]
pub struct Child {
    /// Its control group, if it has one of its own.
    pub group: Option<Group>,
    /// Its process id, which is also the id of its process group.
    pub pid: u32,
    /// What becomes readable when it ends, where it came with the process.
    pub handle: Option<OwnedFd>,
    /// What holds it to its limits.
    pub confined: Confined,
    /// Where its output can be read, unless nobody wants it.
    pub pipes: Option<Pipes>,
}

/// The reading ends of a child's output.
#[derive(Debug)]
pub struct Pipes {
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
    /// What is not to be seen in either.
    pub secrets: Secrets,
}

/// Why a process could not be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A fragment that finishes "not started: ...".
    pub reason: String,
    /// The machine was short of something; the same start may succeed later.
    pub transient: bool,
    /// The exit code a shell would give: 127 for a program that is not there, else 126.
    pub code: u8,
}

impl Failure {
    fn lasting(reason: impl Into<String>) -> Failure {
        Failure { reason: reason.into(), transient: false, code: 126 }
    }

    /// Of an error that is not about the job but about what the machine can give.
    fn of_machine(doing: &str, errno: i32) -> Failure {
        let reason = match errno {
            libc::EAGAIN => format!("{doing}: the process limit is reached (EAGAIN)"),
            libc::ENOMEM => format!("{doing}: out of memory (ENOMEM)"),
            libc::EMFILE => format!(
                "{doing}: the scheduler's limit of open files is reached (EMFILE; ulimit -n)"
            ),
            libc::ENFILE => {
                format!("{doing}: the system's limit of open files is reached (ENFILE)")
            }
            _ => format!("{doing}: {}", describe(&os_error(errno))),
        };
        Failure { reason, transient: is_shortage(errno), code: 126 }
    }
}

/// Keeps descriptors that this process was started with (`schedrs run 3<file`) from the programs
/// that it starts or becomes.
pub fn keep_descriptors() {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return };
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|number: &i32| *number > 2) {
        // SAFETY: it changes a flag of a number, and nothing but exec looks at that flag; where the
        // number is no descriptor, it fails.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

fn is_shortage(errno: i32) -> bool {
    matches!(errno, libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE)
}

impl World {
    /// As this process finds it, for one program that it becomes itself.
    pub fn of_one() -> World {
        keep_descriptors();
        World::new(getrlimit(Resource::Nofile), None, None, Limiter::default())
    }

    /// The same, with the environment of a scheduler that runs elsewhere.
    pub(crate) fn with_environment(variables: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> World {
        World { base: Base::of(variables), ..World::of_one() }
    }

    /// As this process finds it. `file_limit`, `marks`, `groups` and `limiter` are what children
    /// get.
    pub fn new(
        file_limit: Rlimit,
        marks: Option<Marks>,
        groups: Option<Groups>,
        limiter: Limiter,
    ) -> World {
        World {
            base: Base::of_this_process(),
            sh_is_known: shell::sh_is_known(),
            has_terminal: File::open("/dev/tty").is_ok(),
            file_limit,
            marks,
            groups,
            limiter,
        }
    }

    /// Starts the process of an attempt. `due` is its due time as the job is told it.
    /// It may hang; `progress` tells where.
    pub fn start(&self, start: &Start, due: &str, progress: &Progress) -> Result<Child, Failure> {
        let (job, options) = (&*start.job, &*start.job.options);
        let (run, attempt) = (start.run.to_string(), start.attempt.to_string());
        let wanted = Wanted {
            command: &job.command,
            options,
            told: &told(start, due, &run, &attempt),
            stdin: options.stdin.as_deref().map(str::as_bytes),
            is_heard: options.output != Output::Discard,
            has_limits: true,
            run: start.run,
        };
        self.make(&wanted, progress)
    }

    /// Makes a process. It may hang; `progress` tells where.
    pub fn make(&self, wanted: &Wanted<'_>, progress: &Progress) -> Result<Child, Failure> {
        progress.at(Stage::User);
        let (changes, account) = changes(wanted.options)?;
        let at_home = home::options_at_home(wanted.options, account.as_ref(), self.base.home())?;
        let options = at_home.as_ref().unwrap_or(wanted.options);
        progress.at(Stage::Environment);
        let reader = changes.as_ref().and_then(|changes| changes.identity.clone());
        let env = self.base.compose(options, account.as_ref(), reader.as_ref(), wanted.told);
        let env = env.map_err(Failure::lasting)?;
        let streams = || streams(wanted.stdin, wanted.is_heard, reader.as_ref());
        let (mut ends, mut pipes) = streams()?;

        progress.at(Stage::Program);
        let command = wanted.command;
        let (argv, skips_shell) = self.command_line(command, options, &env, reader.is_some());
        let mut program = self.program(&argv, options, &env, changes)?;
        program.mark = self.marks.map(|marks| marks.of(wanted.run));
        if progress.is_given_up() {
            return Err(Failure::lasting("given up"));
        }
        let limits = options.limits.as_deref().filter(|_| wanted.has_limits);
        let (mut group, mut confined) = (None, Confined::default());
        if let Some(limits) = limits {
            let mut bounds = self.limiter.bounds(limits).map_err(Failure::lasting)?;
            confined = mem::take(&mut bounds.confined);
            if let Some((taken, directory)) = bounds.group.take() {
                (group, program.group) = (Some(taken), Some(directory));
            }
            program.bounds = bounds;
        }
        let has_own = group.is_some();
        program.must_enter = has_own;
        if !has_own && let Some((taken, directory)) = self.groups.as_ref().and_then(Groups::take) {
            (group, program.group) = (Some(taken), Some(directory));
        }

        let mut outcome = spawn::spawn(&program, ends, progress);
        if skips_shell && outcome.as_ref().is_err_and(|error| !is_shortage(error.errno)) {
            // What the shell says of it, and the code it exits with, are what was asked for.
            let (mark, directory) = (program.mark, program.group.take());
            let bounds = mem::take(&mut program.bounds);
            program =
                self.program(&shell_line(options, command), options, &env, program.changes)?;
            (program.mark, program.group, program.bounds) = (mark, directory, bounds);
            program.must_enter = has_own;
            (ends, pipes) = streams()?;
            outcome = spawn::spawn(&program, ends, progress);
        }
        if let (Some(groups), errno @ 1.., false) =
            (&self.groups, program.refused.load(Relaxed), has_own)
        {
            groups.give_up(errno);
            group = None;
        }
        let Made { pid, handle } = outcome.map_err(|error| {
            progress.at(Stage::Explain);
            explain(error, &program, options)
        })?;
        if let Some(group) = &mut group {
            group.is_used();
        }
        if limits.is_none_or(|limits| limits.open_files.is_none()) {
            self.restore_file_limit(pid);
        }
        if let Some(pipes) = &mut pipes {
            pipes.secrets = env.secrets.clone();
        }
        Ok(Child { pid, handle, group, confined, pipes })
    }

    /// What its processes are marked with.
    pub fn marks(&self) -> Option<Marks> {
        self.marks
    }

    /// The environment of an attempt.
    fn environment(
        &self,
        start: &Start,
        due: &str,
        account: Option<&Account>,
        rights: Option<&Identity>,
    ) -> Result<Environment<'_>, Failure> {
        let (run, attempt) = (start.run.to_string(), start.attempt.to_string());
        let told = told(start, due, &run, &attempt);
        self.base.compose(&start.job.options, account, rights, &told).map_err(Failure::lasting)
    }

    /// Makes this process the job's shell, in all that an attempt would have but its streams: with
    /// the command, or for a person. Where that is somebody else, it is a process of its own that
    /// never has our terminal (`terminal`), and its exit code is answered. To be called while there
    /// is no other thread.
    pub fn become_shell(
        &self,
        start: &Start,
        due: &str,
        command: Option<&str>,
    ) -> Result<u8, Failure> {
        let (changes, account) = changes(&start.job.options)?;
        let at_home = home::at_home(start, account.as_ref(), self.base.home())?;
        let start = at_home.as_ref().unwrap_or(start);
        let options = &*start.job.options;
        let rights = changes.as_ref().and_then(|changes| changes.identity.as_ref());
        let env = self.environment(start, due, account.as_ref(), rights)?;
        // What such arguments are for, `-eu` or `-c`, is no good to a person.
        let words = if command.is_some() { &options.shell[..] } else { &options.shell[..1] };
        let words = words.iter().map(|word| &**word);
        let words = words.chain(command.into_iter().flat_map(|text| ["-c", text]));
        let argv: Vec<Cow<'_, str>> = words.map(Cow::Borrowed).collect();
        let other = changes.as_ref().and_then(|changes| changes.identity.as_ref()?.uid);
        let program = self.program(&argv, options, &env, changes)?;
        let Some(user) = other.filter(|uid| *uid != rustix::process::geteuid().as_raw()) else {
            return Err(explain(spawn::become_program(&program), &program, options));
        };
        match terminal::run(&program, user) {
            Ok(done) => done.map_err(|error| explain(error, &program, options)),
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(0);
                Err(Failure::of_machine("cannot create a terminal", errno))
            }
        }
    }

    /// Gives a child the limit of open files that the scheduler was started with: some programs
    /// walk through all that they might have. It may have begun to run by now, so a program that
    /// looks in its very first microseconds can see the scheduler's own, which is higher.
    fn restore_file_limit(&self, pid: u32) {
        if getrlimit(Resource::Nofile) != self.file_limit {
            let pid = Pid::from_raw(pid as i32);
            // It has ended already, or belongs to another user by now.
            let _ = prlimit(pid, Resource::Nofile, self.file_limit);
        }
    }

    /// What is to be executed, and whether that is without the shell that was asked for.
    /// `as_other`: it is for the child to find out whether there is such a program.
    fn command_line<'a>(
        &self,
        command: &'a Command,
        options: &Options,
        env: &Environment<'_>,
        as_other: bool,
    ) -> (Vec<Cow<'a, str>>, bool) {
        let text = match command {
            Command::Argv(argv) => {
                return (argv.iter().map(|word| Cow::Borrowed(&**word)).collect(), false);
            }
            Command::Shell(text) => text,
        };
        let may_skip = self.sh_is_known
            && matches!(&*options.shell, [only] if &**only == "/bin/sh")
            && env.leaves_shells_alone();
        let words = if may_skip { shell::plain_words(text) } else { None };
        match words {
            Some(words) if as_other || find_program(words[0], options, env).is_ok() => {
                (words.into_iter().map(Cow::Borrowed).collect(), true)
            }
            _ => (shell_line(options, command), false),
        }
    }

    fn program<'a>(
        &self,
        argv: &[Cow<'_, str>],
        options: &Options,
        env: &'a Environment<'_>,
        changes: Option<Changes>,
    ) -> Result<Program<'a>, Failure> {
        let Some(name) = argv.first() else { return Err(Failure::lasting("the command is empty")) };
        let as_other = changes.as_ref().is_some_and(|changes| changes.identity.is_some());
        let places = if as_other {
            places_of(name, env).map(path_of).collect::<Result<Vec<_>, _>>()?
        } else {
            vec![find_program(name, options, env)?]
        };
        let mut places = places.into_iter();
        let Some(file) = places.next() else { return Err(not_on_path(name)) };
        let elsewhere = places.collect();
        let argv: Option<Vec<CString>> =
            argv.iter().map(|word| CString::new(word.as_bytes()).ok()).collect();
        let cwd = options.cwd.as_deref().map(CString::new).transpose();
        match (argv, cwd) {
            (Some(argv), Ok(cwd)) => {
                let (env, session) = (env.list(), self.has_terminal);
                Ok(Program {
                    file,
                    elsewhere,
                    argv,
                    env,
                    cwd,
                    changes,
                    session,
                    mark: None,
                    bounds: Bounds::default(),
                    group: None,
                    must_enter: false,
                    refused: AtomicI32::new(0),
                })
            }
            (None, _) => Err(Failure::lasting("the command contains a NUL byte")),
            (_, Err(_)) => Err(Failure::lasting("cwd contains a NUL byte")),
        }
    }
}

/// What the scheduler says of an attempt to its process.
fn told<'a>(start: &'a Start, due: &'a str, run: &'a str, attempt: &'a str) -> [Told<'a>; 4] {
    [
        ("SCHEDRS_JOB", &*start.job.id),
        ("SCHEDRS_RUN", run),
        ("SCHEDRS_DUE", due),
        ("SCHEDRS_ATTEMPT", attempt),
    ]
    .map(|(name, value)| (OsStr::new(name), OsStr::new(value)))
}

fn shell_line<'a>(options: &Options, command: &'a Command) -> Vec<Cow<'a, str>> {
    let shell = options.shell.iter().map(|word| Cow::Owned(word.to_string()));
    let text = match command {
        Command::Shell(text) => Cow::Borrowed(&**text),
        Command::Argv(argv) => Cow::Owned(argv.join(" ")),
    };
    shell.chain([Cow::Borrowed("-c"), text]).collect()
}

/// What the child must change about itself, `None` when that is nothing, and the account of the
/// user it is to run as.
fn changes(options: &Options) -> Result<(Option<Changes>, Option<Account>), Failure> {
    let (user, group) = (options.user.as_deref(), options.group.as_deref());
    let (mut identity, mut account) = (None, None);
    if user.is_some() || group.is_some() {
        let (found, found_account) = identity::resolve(user, group)?;
        account = found_account;
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        // Who is not root may still say whom they already are.
        let already = !uid.is_root()
            && found.uid.is_none_or(|wanted| wanted == uid.as_raw())
            && found.gid == gid.as_raw();
        if !already {
            identity = Some(found);
        }
    }
    if identity.is_none() && options.umask.is_none() && options.nice.is_none() {
        return Ok((None, account));
    }
    Ok((Some(Changes { identity, umask: options.umask, nice: options.nice }), account))
}

fn os_error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// An error of the system in words, lower case as in the middle of a sentence.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
