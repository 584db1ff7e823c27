//! Why a process could not be started, in words that a person understands.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Access;

use super::search::{not_on_path, seen_from_here};
use super::spawn::{Program, SpawnError, Step};
use super::{Failure, describe, files, is_shortage, os_error, rights};
use crate::core::job::Options;

/// The reason for a failed start. Looking at the files again is only done now, when something is
/// known to be wrong.
pub(super) fn explain(error: SpawnError, program: &Program<'_>, options: &Options) -> Failure {
    let SpawnError { step, errno } = error;
    if is_shortage(errno) && matches!(step, Step::Spawn | Step::Execute) {
        return Failure::of_machine("cannot create a process", errno);
    }
    let user = options.user.as_deref().unwrap_or_default();
    let not_root = if errno == libc::EPERM { ": the scheduler is not root" } else { "" };
    let reason = match step {
        Step::Limit => format!("its limits cannot be applied: {}", describe(&os_error(errno))),
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
    let shown = Path::new(OsStr::from_bytes(file)).display();
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
