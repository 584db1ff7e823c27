//! What would bite a job when it is started here, for `crate::run::doctor`.
//!
//! The steps are those of a real start, up to a program that only looks: as the job's user, in its
//! directory, with its environment. Nothing of the job itself is run.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::PipeFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, kill_process_group, pidfd_open, waitpid,
};

use super::environment::{DEFAULT_PATH, Environment};
use super::limit::{self, Bounds};
use super::progress::Progress;
use super::search::{find_program, not_on_path, path_of, places_of, seen_from_here};
use super::spawn::{self, Program, Step, Streams};
use super::{Failure, World, changes, explain, identity, os_error, shell};
use crate::core::event::Start;
use crate::core::instant::Mono;
use crate::core::job::{Command, Job, Options};
use crate::run::doctor::Finding;
use crate::run::doctor::login;
use crate::sys::accounts;
use crate::sys::clock;
use crate::sys::trust::quoted;

/// What looking takes at most; a login shell may do much at its start, or ask something.
const PATIENCE: Duration = Duration::from_secs(5);

/// No environment and no message of a shell is larger.
const MAX_ANSWER: usize = 1 << 20;

/// Looks at a file as the job sees it.
const LOOK: &str = r#"[ -e "$0" ] || exit 2; [ -f "$0" ] || exit 3; [ -x "$0" ] || exit 4"#;

/// Says the number of the first file that the job can execute.
const FIND: &str =
    r#"i=0; for f; do if [ -f "$f" ] && [ -x "$f" ]; then echo $i; exit; fi; i=$((i+1)); done"#;

/// What a program that only looks has said.
struct Answer {
    code: Option<i32>,
    out: Vec<u8>,
}

/// Whether its limits can be applied by a scheduler that is started as this process was.
fn limits(options: &Options) -> Option<Finding> {
    const ABOUT: &str = "limits";
    const HELP: &str = "for those of memory, cpu and tasks run schedrs as root, or as a service with \
                        Delegate=yes; with `required = false` a run is started without";
    let limits = options.limits.as_deref()?;
    Some(match limit::check(limits) {
        Ok(()) => Finding::ok(ABOUT, "can be applied"),
        Err(why) if limits.required => Finding::problem(ABOUT, why, HELP),
        Err(why) => Finding::warning(ABOUT, why, HELP),
    })
}

/// The commands that a job has beside its own, each with its key.
fn beside(options: &Options) -> impl Iterator<Item = (&'static str, &Command)> {
    let conditions = options.only_if.as_deref().and_then(|it| it.command.as_ref());
    let hooks = options.hooks.iter().map(|(kind, hook)| (kind.option(), &hook.command));
    conditions.map(|command| ("only_if", command)).into_iter().chain(hooks)
}

impl World {
    /// What would bite when this attempt is started here. `due` is its due time in words.
    pub(crate) fn examine(&self, start: &Start, due: &str) -> Vec<Finding> {
        let (identity, account) = match changes(&start.job.options) {
            Ok((changes, account)) => (changes.and_then(|changes| changes.identity), account),
            Err(failure) => {
                let help = "use a user and a group that exist on this machine (`getent passwd`)";
                return vec![Finding::problem("user", failure.reason, help)];
            }
        };
        let at_home = match super::home::at_home(start, account.as_ref(), self.base.home()) {
            Ok(at_home) => at_home,
            Err(failure) => {
                let help = "write the whole path, or set HOME in `env`";
                return vec![Finding::problem("home", failure.reason, help)];
            }
        };
        let start = at_home.as_ref().unwrap_or(start);
        let options = &*start.job.options;
        let env = match self.environment(start, due, account.as_ref(), identity.as_ref()) {
            Ok(env) => env,
            Err(failure) => {
                let help = "`env_file` and secrets are read for each run, as the job's user";
                return vec![Finding::problem("environment", failure.reason, help)];
            }
        };
        let mut found = files(options);
        found.extend(limits(options));
        if let Err(finding) = self.enter(&start.job, &env) {
            found.push(finding);
            return found;
        }
        if let Some(account) = &account {
            let name = account.name.to_string_lossy();
            found.push(Finding::ok("user", format!("runs as {name} (uid {})", account.uid)));
        }
        if let Some(cwd) = &options.cwd {
            found.push(Finding::ok("cwd", format!("{cwd} is accessible")));
        }
        self.examine_command(&start.job.command, options, &env, &mut found);
        for (name, command) in beside(options) {
            let mut of_it = Vec::new();
            self.examine_command(command, options, &env, &mut of_it);
            for finding in &mut of_it {
                finding.text = format!("{name}: {}", finding.text);
            }
            found.extend(of_it);
        }
        found.extend(open_path(&env));
        found
    }

    /// Whether a process can be made as whom and where the job wants it, with as much to say to it.
    fn enter(&self, job: &Job, env: &Environment<'_>) -> Result<(), Finding> {
        let options = &*job.options;
        let (mut argv, _) = self.command_line(&job.command, options, env, options.user.is_some());
        // Whatever it is told, it does nothing.
        if let Some(first) = argv.first_mut() {
            *first = "/bin/true".into();
        }
        let program = self
            .program(&argv, options, env, changes(options).map_or(None, |c| c.0))
            .map_err(|failure| Finding::problem("command", failure.reason, "see the jobfile"))?;
        let Err(error) = ask(&program) else { return Ok(()) };
        if error.errno == libc::E2BIG {
            return Err(too_long(&program));
        }
        let reason = explain(error, &program, options).reason;
        Err(match error.step {
            Step::Limit => Finding::problem("limits", reason, "see `limits` of the job"),
            Step::Nice => Finding::problem("nice", reason, "only root may lower it"),
            Step::Keyring => Finding::problem("user", reason, "try again"),
            Step::Groups | Step::Group | Step::User | Step::Regain => Finding::problem(
                "user",
                reason,
                "run schedrs as root, or run it as that user and leave out `user` and `group`",
            ),
            Step::Spawn | Step::Directory | Step::Execute => Finding::problem(
                "cwd",
                reason,
                "create the directory, give the job's user access, or change `cwd`",
            ),
        })
    }

    fn examine_command(
        &self,
        command: &Command,
        options: &Options,
        env: &Environment<'_>,
        found: &mut Vec<Finding>,
    ) {
        let (argv, _) = self.command_line(command, options, env, is_somebody_else(options));
        let Some(name) = argv.first() else { return };
        let first = match command {
            Command::Argv(argv) => argv.first().map_or("", |word| word),
            Command::Shell(text) => text.split_whitespace().next().unwrap_or(""),
        };
        // Who knows what the words are that Python gets.
        let is_program = matches!(command, Command::Argv(_)) || is_like_sh(options);
        let is_relative = is_program && first.contains('/') && !first.starts_with('/');
        if options.cwd.is_none() && is_relative && shell::plain_words(first).is_some() {
            found.push(Finding::warning(
                "cwd",
                format!("{first} is looked up relative to where the scheduler was started"),
                "set `cwd` (relative to the jobfile), or write the full path",
            ));
            return;
        }
        match self.program_of(name, options, env) {
            Ok(text) => found.push(Finding::ok("program", text)),
            Err((text, help)) => {
                found.push(Finding::problem("program", text, help));
                return;
            }
        }
        if let Command::Shell(text) = command {
            found.extend(self.syntax(text, options, env));
            // Of what is not a plain word, who knows what it will be.
            if is_program && first != &**name && shell::plain_words(first).is_some() {
                found.push(match self.program_of(first, options, env) {
                    Ok(text) => Finding::ok("program", text),
                    Err((text, help)) => Finding::warning("program", text, help),
                });
            }
        }
    }

    /// Where a program is, if the job can execute it; else what is wrong and what to do.
    fn program_of(
        &self,
        name: &str,
        options: &Options,
        env: &Environment<'_>,
    ) -> Result<String, (String, String)> {
        let file = self.find(name, options, env).map_err(|failure| {
            let path = String::from_utf8_lossy(env.get("PATH").unwrap_or_default()).into_owned();
            let elsewhere = DEFAULT_PATH.split(':').map(|dir| format!("{dir}/{name}"));
            let help = match elsewhere.into_iter().find(|file| Path::new(file).is_file()) {
                Some(file) => format!("it is {file}: write that, or set PATH in `env`"),
                None => format!("install it, or write its full path; PATH is {path}"),
            };
            (failure.reason, help)
        })?;
        let shown = String::from_utf8_lossy(file.to_bytes()).into_owned();
        let who = match options.user.as_deref() {
            Some(user) => format!(" by {user}"),
            None => String::new(),
        };
        match self.look(&file, options, env) {
            Ok(0) => {}
            Ok(2) => {
                let help = "relative paths start at `cwd`, or where the scheduler was started";
                return Err((
                    format!("{shown} does not exist, or cannot be seen{who}"),
                    help.into(),
                ));
            }
            Ok(3) => return Err((format!("{shown} is not a file"), "name a program".into())),
            Ok(_) => {
                let help = format!("chmod +x {}", quoted(Path::new(&shown)));
                return Err((format!("{shown} cannot be executed{who}"), help));
            }
            Err(failure) => return Err((failure.reason, "try again".to_owned())),
        }
        let identity = changes(options).ok().and_then(|(changes, _)| changes?.identity);
        match interpreter(&seen_from_here(shown.as_bytes(), options), identity.as_ref()) {
            Some(interpreter) => self.interpreter(&shown, &interpreter, options, env),
            None => Ok(shown),
        }
    }

    /// Whether what the `#!` line of a program names can be executed.
    fn interpreter(
        &self,
        program: &str,
        line: &[String],
        options: &Options,
        env: &Environment<'_>,
    ) -> Result<String, (String, String)> {
        let Some(interpreter) = line.first() else { return Ok(program.to_owned()) };
        let help = "install it, or correct the first line of the file".to_owned();
        let path = CString::new(interpreter.as_bytes()).unwrap_or_default();
        if line.iter().any(|word| word.ends_with('\r')) {
            let text = format!("{program} has Windows line endings, which break its #! line");
            return Err((text, format!("sed -i 's/\\r$//' {}", quoted(Path::new(program)))));
        }
        if !matches!(self.look(&path, options, env), Ok(0)) {
            let text =
                format!("the #! line of {program} names {interpreter}, which does not exist");
            return Err((text, help));
        }
        // `#!/usr/bin/env python3` looks on PATH again.
        if interpreter.ends_with("/env")
            && let Some(word) = line.iter().skip(1).find(|word| !word.starts_with('-'))
            && !word.contains('=')
            && self.find(word, options, env).is_err()
        {
            let text = format!("the #! line of {program} names {word}, which is not on PATH");
            return Err((text, help));
        }
        Ok(program.to_owned())
    }

    /// The file that a program's name stands for, for whoever the job runs as.
    fn find(
        &self,
        name: &str,
        options: &Options,
        env: &Environment<'_>,
    ) -> Result<CString, Failure> {
        if name.contains('/') || !is_somebody_else(options) {
            return find_program(name, options, env);
        }
        let (changes, _) = changes(options)?;
        let places = places_of(name, env).map(path_of).collect::<Result<Vec<_>, _>>()?;
        let argv = ["/bin/sh", "-c", FIND, "sh"].map(Into::into);
        let mut program = self.program(&argv, options, env, changes)?;
        program.argv.extend(places.iter().cloned());
        let answer = ask(&program).map_err(|error| explain(error, &program, options))?;
        let which = String::from_utf8_lossy(&answer.out).trim().parse::<usize>().ok();
        match which.and_then(|which| places.into_iter().nth(which)) {
            Some(place) => Ok(place),
            // Why not is for `find_program` to say, unless it could have been root's.
            None => {
                Err(find_program(name, options, env).err().unwrap_or_else(|| not_on_path(name)))
            }
        }
    }

    fn look(
        &self,
        file: &CString,
        options: &Options,
        env: &Environment<'_>,
    ) -> Result<i32, Failure> {
        let (changes, _) = changes(options)?;
        let argv = ["/bin/sh", "-c", LOOK].map(Into::into);
        let mut program = self.program(&argv, options, env, changes)?;
        program.argv.push(file.clone());
        let answer = ask(&program).map_err(|error| explain(error, &program, options))?;
        Ok(answer.code.unwrap_or(-1))
    }

    /// What the job's shell says of a command that it only reads.
    fn syntax(&self, text: &str, options: &Options, env: &Environment<'_>) -> Option<Finding> {
        if !is_like_sh(options) {
            return None;
        }
        let (changes, _) = changes(options).ok()?;
        // The shell's own name and line number are those of our question.
        let argv =
            ["/bin/sh", "-c", r#"exec "$@" 2>&1"#, "sh", &options.shell[0], "-n", "-c", text];
        let program = self.program(&argv.map(Into::into), options, env, changes).ok()?;
        let answer = ask(&program).ok()?;
        if answer.code == Some(0) {
            return None;
        }
        if answer.code.is_none() {
            let text = format!("{} did not check its syntax", options.shell[0]);
            let help = "`-n -c` did not finish in time, or was killed";
            return Some(Finding::warning("command", text, help));
        }
        let said = String::from_utf8_lossy(&answer.out).into_owned();
        let said = said.lines().next().unwrap_or("a syntax error").to_owned();
        let help = "`schedrs validate --explain` shows the command the shell gets";
        Some(Finding::problem("command", said, help))
    }

    /// What a job would miss that its user's login shell has.
    pub(crate) fn compare_with_login(&self, start: &Start, due: &str) -> Vec<Finding> {
        let options = &*start.job.options;
        // That has been said.
        let Ok((changes, account)) = changes(options) else { return Vec::new() };
        let identity = changes.and_then(|changes| changes.identity);
        let env = self.environment(start, due, account.as_ref(), identity.as_ref());
        let Ok(env) = env else { return Vec::new() };
        let own = || accounts::account_of(rustix::process::geteuid().as_raw());
        let Some(account) = account.or_else(own) else { return Vec::new() };
        let user = account.name.to_string_lossy().into_owned();
        let shell = account.shell.to_string_lossy().into_owned();
        let not_compared = |why: &str| {
            vec![Finding::ok(
                "environment",
                format!("not compared with {user}'s login shell: {why}"),
            )]
        };
        let name = shell.rsplit('/').next().unwrap_or_default();
        if matches!(name, "" | "nologin" | "false" | "sync") {
            return not_compared("it does not exist");
        }
        let Some(login) = self.login(&account, &shell, options) else {
            return not_compared("it does not answer");
        };
        let here = env.variables().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        login::compare(&here, &login.into_iter().collect(), &user)
    }

    /// The environment of a login shell.
    fn login(
        &self,
        account: &accounts::Account,
        shell: &str,
        options: &Options,
    ) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        // Whatever the shell says before, at its start, is not it.
        const MARK: &[u8] = b"SCHEDRS-ENVIRONMENT\n";
        const SCRIPT: &str = "echo SCHEDRS-ENVIRONMENT; exec env -0";
        let text = |text: &OsStr| CString::new(text.as_bytes()).ok();
        let entry = |name: &str, value: &OsStr| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
        };
        let env: Option<Vec<CString>> = [
            ("HOME", account.home.as_os_str()),
            ("USER", &account.name),
            ("LOGNAME", &account.name),
            ("SHELL", &account.shell),
            ("PATH", OsStr::new(DEFAULT_PATH)),
        ]
        .into_iter()
        .map(|(name, value)| entry(name, value))
        .collect();
        let env = env?;
        let name = shell.rsplit('/').next()?;
        let program = Program {
            file: text(&account.shell)?,
            elsewhere: Vec::new(),
            // The dash is what tells a shell that it is a login shell.
            argv: [format!("-{name}"), "-c".to_owned(), SCRIPT.to_owned()]
                .into_iter()
                .map(|word| CString::new(word).ok())
                .collect::<Option<_>>()?,
            env: env.iter().map(CString::as_c_str).collect(),
            cwd: text(&account.home).filter(|_| Path::new(&account.home).is_dir()),
            changes: changes(options).ok()?.0,
            session: true,
            mark: None,
            bounds: Bounds::default(),
            group: None,
            must_enter: false,
            refused: std::sync::atomic::AtomicI32::new(0),
        };
        let answer = ask(&program).ok()?;
        let at = answer.out.windows(MARK.len()).rposition(|window| window == MARK)?;
        Some(login::variables(&answer.out[at + MARK.len()..]))
    }
}

/// Whether the job's process is another user than we are.
fn is_somebody_else(options: &Options) -> bool {
    changes(options).is_ok_and(|(changes, _)| changes.is_some_and(|all| all.identity.is_some()))
}

/// What is to be said of a program that the kernel does not take because it is told too much: what
/// there is most of.
fn too_long(program: &Program<'_>) -> Finding {
    let kib = |bytes: usize| bytes.div_ceil(1024);
    let command: usize = program.argv.iter().map(|word| word.count_bytes() + 1).sum();
    let env: usize = program.env.iter().map(|entry| entry.count_bytes() + 1).sum();
    let text = format!(
        "the command line ({} KiB) and the environment ({} KiB) exceed the kernel's limit",
        kib(command),
        kib(env)
    );
    let help = "no word and no variable may be longer than 128 KiB, and all of them together than a \
                quarter of the stack (`ulimit -s`)";
    if command > env {
        Finding::problem("command", text, format!("use a file or `stdin`: {help}"))
    } else {
        Finding::problem("environment", text, format!("leave variables out: {help}"))
    }
}

/// Whether the first program of a job's shell is one that takes commands as sh does.
fn is_like_sh(options: &Options) -> bool {
    const LIKE_SH: [&str; 7] = ["sh", "dash", "bash", "ksh", "zsh", "mksh", "ash"];
    let name = options.shell.first().and_then(|shell| shell.rsplit('/').next());
    name.is_some_and(|name| LIKE_SH.contains(&name))
}

/// The files that the environment is read from, which were just read.
fn files(options: &Options) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(file) = &options.env_file {
        found.push(Finding::ok("env_file", format!("{file} can be read")));
    }
    for (name, path) in &options.secrets {
        let open = fs::metadata(&**path).is_ok_and(|meta| meta.mode() & 0o004 != 0);
        found.push(if open {
            Finding::warning(
                "secret",
                format!("{path} ({name}) can be read by everyone"),
                format!("chmod o-r {}", quoted(Path::new(&**path))),
            )
        } else {
            Finding::ok("secret", format!("{path} ({name}) can be read"))
        });
    }
    found
}

/// The directories of PATH in which everyone can put a program.
fn open_path(env: &Environment<'_>) -> Option<Finding> {
    let path = String::from_utf8_lossy(env.get("PATH")?).into_owned();
    let open = |dir: &&str| fs::metadata(dir).is_ok_and(|meta| meta.mode() & 0o002 != 0);
    let dir = path.split(':').find(open)?;
    let help = "remove it from PATH: anyone can put programs there";
    Some(Finding::warning("PATH", format!("everyone can write to {dir}"), help))
}

/// The words of a file's `#!` line.
fn interpreter(file: &Path, rights: Option<&identity::Identity>) -> Option<Vec<String>> {
    let head = super::files::head(file, rights)?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    Some(line.split([' ', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

/// Runs a program that only looks, and answers what it says on standard output.
fn ask(program: &Program<'_>) -> Result<Answer, spawn::SpawnError> {
    let failed = |error: io::Error| spawn::SpawnError {
        step: Step::Spawn,
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    };
    let null = File::options().read(true).write(true).open("/dev/null").map_err(failed)?;
    let (read, stdout) =
        rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()))?;
    let stdin = null.try_clone().map_err(failed)?.into();
    let streams = Streams { stdin, stdout: stdout.into(), stderr: null.into() };
    let progress = Progress::new().map_err(failed)?;
    let pid = spawn::spawn(program, streams, &progress)?.pid;
    let deadline = clock::mono().plus(PATIENCE);
    let out = read_until(&read, deadline);
    let pid = Pid::from_raw(pid as i32).ok_or_else(|| failed(os_error(libc::ESRCH)))?;
    // It has said all it has to say, or is not going to. That it has closed the pipe is not its end.
    let in_time = out.is_some() && ends_by(pid, deadline);
    if !in_time {
        let _ = kill_process_group(pid, Signal::KILL);
        // It may have left that group.
        let _ = kill_process(pid, Signal::KILL);
    }
    let status = waitpid(Some(pid), WaitOptions::empty()).ok().flatten();
    let code = status.and_then(|(_, status)| status.exit_status());
    Ok(Answer { code: code.filter(|_| in_time), out: out.unwrap_or_default() })
}

/// Whether a child of ours has ended by then.
fn ends_by(pid: Pid, deadline: Mono) -> bool {
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    loop {
        let Ok(wait) = Timespec::try_from(deadline.since(clock::mono())) else { return false };
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&wait)) {
            Err(rustix::io::Errno::INTR) => {}
            ended => return ended == Ok(1),
        }
    }
}

/// All that a pipe has to say until then; `None` when it was not closed in time.
fn read_until(pipe: &OwnedFd, deadline: Mono) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let now = clock::mono();
        if now >= deadline || out.len() > MAX_ANSWER {
            return None;
        }
        let wait = Timespec::try_from(deadline.since(now)).ok()?;
        match poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return None,
        }
        match rustix::io::read(pipe, &mut chunk) {
            Ok(0) => return Some(out),
            Ok(count) => out.extend_from_slice(&chunk[..count]),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
