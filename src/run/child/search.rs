//! From a program's name to the file that is executed.
//!
//! Who may execute what is for the kernel to say. Where the child is the same user as the scheduler,
//! asking ahead ([`find_program`]) saves attempts; where it is somebody else, only the child can tell,
//! and is given every place to try ([`places_of`], `super::spawn`).

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::Failure;
use super::environment::Environment;
use crate::core::job::Options;

/// The name of a file as system calls take it.
pub(super) fn path_of(bytes: Vec<u8>) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| Failure::lasting("the command contains a NUL byte"))
}

/// The files that a program's name may stand for, in the order in which they are tried, at least
/// one. A name with a slash is a path already, relative to the directory the child will be in; any
/// other is searched on the child's PATH.
pub(super) fn places_of<'a>(
    name: &'a str,
    env: &'a Environment<'_>,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    let path = if name.contains('/') {
        None
    } else {
        Some(env.get("PATH").unwrap_or(b"/bin:/usr/bin").split(|byte| *byte == b':'))
    };
    let is_path = path.is_none().then(|| name.as_bytes().to_vec());
    is_path.into_iter().chain(path.into_iter().flatten().map(move |dir| {
        // An empty entry is the directory the child will be in, as a relative one is below it.
        let dir = if dir.is_empty() { &b"."[..] } else { dir };
        [dir, b"/", name.as_bytes()].concat()
    }))
}

/// A path of the child's as it is seen from here.
pub(super) fn seen_from_here(file: &[u8], options: &Options) -> PathBuf {
    let file = Path::new(OsStr::from_bytes(file));
    match &options.cwd {
        Some(cwd) => Path::new(&**cwd).join(file),
        None => file.to_path_buf(),
    }
}

/// What there is to say where none of the places has it.
pub(super) fn not_on_path(name: &str) -> Failure {
    let reason = format!("program `{name}` not found on PATH");
    Failure { reason, transient: false, code: 127 }
}

/// The file that a program's name stands for, for a child that is the same user as we are.
pub(super) fn find_program(
    name: &str,
    options: &Options,
    env: &Environment<'_>,
) -> Result<CString, Failure> {
    if name.contains('/') {
        return path_of(name.as_bytes().to_vec());
    }
    let mut not_executable = None;
    for candidate in places_of(name, env) {
        let seen_from_here = seen_from_here(&candidate, options);
        // One call says of nearly every directory that the program is not there.
        match rustix::fs::access(&seen_from_here, Access::EXEC_OK) {
            Ok(()) if seen_from_here.is_file() => return path_of(candidate),
            Err(rustix::io::Errno::ACCESS) if seen_from_here.is_file() => {
                not_executable = not_executable.or(Some(seen_from_here));
            }
            _ => {}
        }
    }
    match not_executable {
        Some(file) => Err(Failure::lasting(format!(
            "permission denied: {} is not executable",
            file.display()
        ))),
        None => Err(not_on_path(name)),
    }
}
