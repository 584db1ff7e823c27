//! The files that a job's environment is read from, at each start: `env_file` and secrets.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::describe;
use crate::trust::{Owners, doubt};

/// Reads a file of at most `limit` bytes, if only those who may can write to it. `what` names it
/// in the error, a fragment that finishes "not started: ...".
///
/// `user`: the user that the job runs as, where that is said. A file of that user's own is fine,
/// because it can do no more than make that user do what they could have done themselves.
pub(super) fn read(
    path: &Path,
    limit: u64,
    what: &str,
    user: Option<u32>,
) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let cannot_read =
        |error: io::Error| format!("{what} {shown} cannot be read: {}", describe(&error));
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path)
        .map_err(cannot_read)?;
    if !file.metadata().map_err(cannot_read)?.is_file() {
        return Err(cannot_read(io::Error::other("it is not a regular file")));
    }
    if (user.is_some() || rustix::process::geteuid().is_root())
        && let Some(doubt) = doubt(&file, path, Owners::of_this_process(user))
        && doubt.grave
    {
        return Err(format!("{what} {shown} {} (help: {})", doubt.what, doubt.help));
    }
    let mut text = Vec::new();
    file.take(limit + 1).read_to_end(&mut text).map_err(cannot_read)?;
    if text.len() as u64 > limit {
        let limit = match limit >> 20 {
            0 => format!("{} KiB", limit >> 10),
            mebibytes => format!("{mebibytes} MiB"),
        };
        return Err(format!("{what} {shown} is larger than {limit}"));
    }
    Ok(text)
}
