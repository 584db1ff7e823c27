//! The three streams of a process to be.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{Gid, MemfdFlags, Uid};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::identity::Identity;
use super::secrets::Secrets;
use super::spawn::Streams;
use super::{Failure, Pipes};

/// Makes them: it reads `stdin`, and unless nobody is to hear it, what it prints leads to the
/// scheduler, by the other ends that are answered. `user` is who the process is to be, where that is
/// somebody else.
pub(super) fn streams(
    stdin: Option<&[u8]>,
    is_heard: bool,
    user: Option<&Identity>,
) -> Result<(Streams, Option<Pipes>), Failure> {
    let opening = |error: io::Error| {
        Failure::of_machine("cannot open its standard streams", error.raw_os_error().unwrap_or(0))
    };
    let stdin = match stdin {
        None => OwnedFd::from(File::open("/dev/null").map_err(opening)?),
        Some(bytes) => stdin_of(bytes).map_err(opening)?,
    };
    if !is_heard {
        let null = File::options().write(true).open("/dev/null").map_err(opening)?;
        let stderr = OwnedFd::from(null.try_clone().map_err(opening)?);
        return Ok((Streams { stdin, stdout: null.into(), stderr }, None));
    }
    let pipe =
        || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|errno| opening(errno.into()));
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

/// Something to read from: a file in memory, so that nobody has to feed a pipe.
fn stdin_of(bytes: &[u8]) -> io::Result<OwnedFd> {
    // Where `vm.memfd_noexec` is 2, there are only such that can never be executed; before Linux
    // 6.3 there are none of these.
    let memory = |flags| rustix::fs::memfd_create("stdin", MemfdFlags::CLOEXEC | flags);
    let memory = match memory(MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memory(MemfdFlags::empty()),
        made => made,
    };
    let mut file = File::from(memory?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}
