//! One process: from a job to its command line, environment, identity and streams, and, where it
//! cannot be started, to a reason that a person understands.
//!
//! `crate::run::executor` calls [`World::start`] on its spawner threads; `crate::run::daemon` waits for what
//! it started and ends its process tree ([`tree`], [`signal`]). The parts: `shell` knows when a
//! string command needs no shell, `search` where a program may be, `environment` (with `inherited`)
//! and `identity` what their names say, `files` reads what the former needs, with the `rights` of
//! the job's user, [`secrets`] are what of it must not be seen, `spawn` makes the process.

pub mod cgroup;
pub(crate) mod env_file;
mod environment;
mod examine;
pub(crate) mod files;
mod home;
mod identity;
mod inherited;
pub mod mark;
pub mod progress;
mod rights;
mod search;
pub mod secrets;
mod shell;
pub mod signal;
mod spawn;
mod terminal;
pub mod tree;
mod vfork;

use std::borrow::Cow;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use rustix::fs::{Access, Gid, MemfdFlags, Uid};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::core::event::Start;
use crate::core::job::{Command, Job, Options, Output};
use crate::sys::accounts::Account;
use cgroup::{Group, Groups};
use environment::{Base, Environment};
use identity::Identity;
use mark::Marks;
use progress::{Progress, Stage};
use search::{find_program, not_on_path, path_of, places_of, seen_from_here};
use secrets::Secrets;
use spawn::{Changes, Program, SpawnError, Step, Streams};

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
}

/// A process that was started.
#[derive(Debug)]
pub struct Child {
    /// Its control group, if it has one of its own.
    pub group: Option<Group>,
    /// Its process id, which is also the id of its process group.
    pub pid: u32,
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
        World::new(getrlimit(Resource::Nofile), None, None)
    }

    /// The same, with the environment of a scheduler that runs elsewhere.
    pub(crate) fn with_environment(variables: impl Iterator<Item = (Vec<u8>, Vec<u8>)>) -> World {
        World { base: Base::of(variables), ..World::of_one() }
    }

    /// As this process finds it. `file_limit`, `marks` and `groups` are what children get.
    pub fn new(file_limit: Rlimit, marks: Option<Marks>, groups: Option<Groups>) -> World {
        World {
            base: Base::of_this_process(),
            sh_is_known: shell::sh_is_known(),
            has_terminal: File::open("/dev/tty").is_ok(),
            file_limit,
            marks,
            groups,
        }
    }

    /// Starts the process of an attempt. `due` is its due time as the job is told it.
    /// It may hang; `progress` tells where.
    pub fn start(&self, start: &Start, due: &str, progress: &Progress) -> Result<Child, Failure> {
        progress.at(Stage::User);
        let (changes, account) = changes(&start.job.options)?;
        let at_home = home::at_home(start, account.as_ref(), self.base.home())?;
        let start = at_home.as_ref().unwrap_or(start);
        let job = &*start.job;
        let options = &*job.options;
        progress.at(Stage::Environment);
        let reader = changes.as_ref().and_then(|changes| changes.identity.clone());
        let env = self.environment(start, due, account.as_ref(), reader.as_ref())?;
        let (mut streams, mut pipes) = streams(options, reader.as_ref())?;

        progress.at(Stage::Program);
        let (argv, skips_shell) = self.command_line(job, &env, reader.is_some());
        let mut program = self.program(&argv, options, &env, changes)?;
        program.mark = self.marks.map(|marks| marks.of(start.run));
        if progress.is_given_up() {
            return Err(Failure::lasting("given up"));
        }
        let mut group = None;
        if let Some((taken, directory)) = self.groups.as_ref().and_then(Groups::take) {
            (group, program.group) = (Some(taken), Some(directory));
        }

        let mut outcome = spawn::spawn(&program, streams, progress);
        if skips_shell && outcome.as_ref().is_err_and(|error| !is_shortage(error.errno)) {
            // What the shell says of it, and the code it exits with, are what was asked for.
            let (mark, directory) = (program.mark, program.group.take());
            program = self.program(&shell_line(options, job), options, &env, program.changes)?;
            (program.mark, program.group) = (mark, directory);
            (streams, pipes) = self::streams(options, reader.as_ref())?;
            outcome = spawn::spawn(&program, streams, progress);
        }
        if let (Some(groups), errno @ 1..) = (&self.groups, program.refused.load(Relaxed)) {
            groups.give_up(errno);
            group = None;
        }
        let pid = outcome.map_err(|error| {
            progress.at(Stage::Explain);
            explain(error, &program, options)
        })?;
        if let Some(group) = &mut group {
            group.is_used();
        }
        self.restore_file_limit(pid);
        if let Some(pipes) = &mut pipes {
            pipes.secrets = env.secrets.clone();
        }
        Ok(Child { pid, group, pipes })
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
        let told = [
            ("SCHEDRS_JOB", &*start.job.id),
            ("SCHEDRS_RUN", &run),
            ("SCHEDRS_DUE", due),
            ("SCHEDRS_ATTEMPT", &attempt),
        ];
        self.base.compose(&start.job.options, account, rights, told).map_err(Failure::lasting)
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
        job: &'a Job,
        env: &Environment<'_>,
        as_other: bool,
    ) -> (Vec<Cow<'a, str>>, bool) {
        let text = match &job.command {
            Command::Argv(argv) => {
                return (argv.iter().map(|word| Cow::Borrowed(&**word)).collect(), false);
            }
            Command::Shell(text) => text,
        };
        let options = &*job.options;
        let may_skip = self.sh_is_known
            && matches!(&*options.shell, [only] if &**only == "/bin/sh")
            && env.leaves_shells_alone();
        let words = if may_skip { shell::plain_words(text) } else { None };
        match words {
            Some(words) if as_other || find_program(words[0], options, env).is_ok() => {
                (words.into_iter().map(Cow::Borrowed).collect(), true)
            }
            _ => (shell_line(options, job), false),
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
                    group: None,
                    refused: AtomicI32::new(0),
                })
            }
            (None, _) => Err(Failure::lasting("the command contains a NUL byte")),
            (_, Err(_)) => Err(Failure::lasting("cwd contains a NUL byte")),
        }
    }
}

fn shell_line<'a>(options: &Options, job: &'a Job) -> Vec<Cow<'a, str>> {
    let shell = options.shell.iter().map(|word| Cow::Owned(word.to_string()));
    let text = match &job.command {
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

/// The three streams of a child, and the other ends of those that lead to the scheduler. `user` is
/// who the child is to be, where that is somebody else.
fn streams(
    options: &Options,
    user: Option<&Identity>,
) -> Result<(Streams, Option<Pipes>), Failure> {
    let opening = |error: io::Error| {
        Failure::of_machine("cannot open its standard streams", error.raw_os_error().unwrap_or(0))
    };
    let stdin = match &options.stdin {
        None => OwnedFd::from(File::open("/dev/null").map_err(opening)?),
        Some(text) => stdin_of(text).map_err(opening)?,
    };
    match options.output {
        Output::Discard => {
            let null = File::options().write(true).open("/dev/null").map_err(opening)?;
            let stderr = OwnedFd::from(null.try_clone().map_err(opening)?);
            Ok((Streams { stdin, stdout: null.into(), stderr }, None))
        }
        Output::Pass | Output::File => {
            let pipe = || {
                rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| opening(errno.into()))
            };
            let (out_read, stdout) = pipe()?;
            let (err_read, stderr) = pipe()?;
            if let Some(Identity { uid: Some(uid), gid, .. }) = user {
                let (uid, gid) = (Some(Uid::from_raw(*uid)), Some(Gid::from_raw(*gid)));
                for pipe in [&stdout, &stderr] {
                    // For `> /dev/stderr`, which opens the pipe anew. Whoever may not give it away
                    // may not become that user either.
                    let _ = rustix::fs::fchown(pipe, uid, gid);
                }
            }
            let pipes = Pipes { stdout: out_read, stderr: err_read, secrets: Secrets::default() };
            Ok((Streams { stdin, stdout, stderr }, Some(pipes)))
        }
    }
}

/// A text as something to read from: a file in memory, so that nobody has to feed a pipe.
fn stdin_of(text: &str) -> io::Result<OwnedFd> {
    // Where `vm.memfd_noexec` is 2, there are only such that can never be executed; before Linux
    // 6.3 there are none of these.
    let memory = |flags| rustix::fs::memfd_create("stdin", MemfdFlags::CLOEXEC | flags);
    let memory = match memory(MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memory(MemfdFlags::empty()),
        made => made,
    };
    let mut file = File::from(memory?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

/// The reason for a failed start. Looking at the files again is only done now, when something is
/// known to be wrong.
fn explain(error: SpawnError, program: &Program<'_>, options: &Options) -> Failure {
    let SpawnError { step, errno } = error;
    if is_shortage(errno) && matches!(step, Step::Spawn | Step::Execute) {
        return Failure::of_machine("cannot create a process", errno);
    }
    let user = options.user.as_deref().unwrap_or_default();
    let not_root = if errno == libc::EPERM { ": the scheduler is not root" } else { "" };
    let reason = match step {
        Step::Nice => format!("nice cannot be set{}: {}", not_root, describe(&os_error(errno))),
        Step::Keyring => {
            // Too many of them: those of runs that end are given back.
            let reason = format!("cannot create a session keyring: {}", describe(&os_error(errno)));
            return Failure { transient: true, ..Failure::lasting(reason) };
        }
        Step::Groups | Step::Group => {
            format!("cannot set its groups{not_root}: {}", describe(&os_error(errno)))
        }
        Step::User if errno == libc::EAGAIN => {
            return Failure::of_machine("cannot set its user", errno);
        }
        Step::User => {
            format!("cannot switch to user `{user}`{not_root}: {}", describe(&os_error(errno)))
        }
        Step::Regain => "root could be regained after changing user".to_owned(),
        Step::Spawn | Step::Directory | Step::Execute => {
            let look = || explain_files(errno, step, program, options);
            // As the job's user, who can lead the way to whatever root can see, and may see what
            // root may not. Unless we have become that user.
            let identity = program.changes.as_ref().and_then(|changes| changes.identity.as_ref());
            let seen = match identity.filter(|_| rustix::process::geteuid().is_root()) {
                Some(identity) => rights::borrow(identity, look),
                None => Ok(look()),
            };
            return seen.unwrap_or_else(|_| Failure::lasting(describe(&os_error(errno))));
        }
    };
    Failure::lasting(reason)
}

fn explain_files(errno: i32, step: Step, program: &Program<'_>, options: &Options) -> Failure {
    if let Some(cwd) = &options.cwd
        && let Some(wrong) = wrong_with(cwd, errno, step)
    {
        return Failure::lasting(format!("cwd {cwd} cannot be entered: {wrong}"));
    }
    // Of several that were tried, the first that is there is the one that was meant.
    let mut tried = std::iter::once(&program.file).chain(&program.elsewhere);
    let there = tried.find(|file| seen_from_here(file.to_bytes(), options).is_file());
    // A directory that the user may not enter says EACCES of whatever is asked for.
    let nowhere = matches!(errno, libc::ENOENT | libc::EACCES);
    if there.is_none() && nowhere && !program.elsewhere.is_empty() {
        let name = program.argv.first().map(|name| name.to_string_lossy());
        return not_on_path(&name.unwrap_or_default());
    }
    let file = there.unwrap_or(&program.file).to_bytes();
    let seen_from_here = seen_from_here(file, options);
    let shown = Path::new(std::ffi::OsStr::from_bytes(file)).display();
    match errno {
        libc::ENOENT if seen_from_here.exists() => {
            let reason = match interpreter_of(&seen_from_here) {
                Some(interpreter) => {
                    format!("the #! line of {shown} names {interpreter}, which does not exist")
                }
                None => format!("{shown} needs a loader or library that does not exist"),
            };
            Failure::lasting(reason)
        }
        libc::ENOENT => Failure {
            reason: format!("program {shown} does not exist"),
            transient: false,
            code: 127,
        },
        libc::ENOEXEC => Failure::lasting(format!(
            "exec format error: has {shown} a #! line? is it for this CPU?"
        )),
        libc::EACCES if seen_from_here.is_dir() => {
            Failure::lasting(format!("{shown} is a directory"))
        }
        libc::EACCES => {
            let interpreter = interpreter_of(&seen_from_here)
                .filter(|_| rustix::fs::access(&seen_from_here, Access::EXEC_OK).is_ok());
            Failure::lasting(match interpreter {
                Some(interpreter) => {
                    format!("permission denied: {shown}, or {interpreter} in its #! line")
                }
                None => format!("permission denied: {shown} is not executable"),
            })
        }
        libc::E2BIG => Failure::lasting("the command line and environment are too long (E2BIG)"),
        libc::ETXTBSY => {
            Failure { transient: true, ..Failure::lasting(format!("{shown} is being written to")) }
        }
        _ => Failure::lasting(format!("{shown}: {}", describe(&os_error(errno)))),
    }
}

/// Why a working directory cannot be entered, if that is what went wrong.
fn wrong_with(cwd: &str, errno: i32, step: Step) -> Option<String> {
    match fs::metadata(cwd) {
        Err(error) => Some(describe(&error)),
        Ok(meta) if !meta.is_dir() => Some("it is not a directory".to_owned()),
        Ok(_) if step == Step::Directory => Some(describe(&os_error(errno))),
        Ok(_) => None,
    }
}

/// What the `#!` line of a file names, where it has one.
fn interpreter_of(file: &Path) -> Option<String> {
    let head = files::head(file, None)?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let word =
        line.trim_ascii().split(|byte| byte.is_ascii_whitespace() && *byte != b'\r').next()?;
    Some(format!("{:?}", String::from_utf8_lossy(word)))
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
