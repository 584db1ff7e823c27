//! The three streams of a process to be.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Gid, MemfdFlags, Uid};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;

use super::identity::Identity;
use super::secrets::Secrets;
use super::spawn::Streams;
use super::{Failure, Pipes};

/// One of them.
#[derive(Debug)]
pub(super) enum Stream {
    Own(OwnedFd),
    /// What is kept open for every process that reads or prints nothing.
    Null(&'static OwnedFd),
}

impl Stream {
    /// `/dev/null`, to be read or to be written.
    fn null(writes: bool) -> io::Result<Stream> {
        static NULL: [OnceLock<OwnedFd>; 2] = [const { OnceLock::new() }; 2];
        let kept = &NULL[usize::from(writes)];
        if let Some(null) = kept.get() {
            return Ok(Stream::Null(null));
        }
        let opened = File::options().read(!writes).write(writes).open("/dev/null")?;
        Ok(Stream::Null(kept.get_or_init(|| opened.into())))
    }

    pub(super) fn into_owned(self) -> io::Result<OwnedFd> {
        match self {
            Stream::Own(own) => Ok(own),
            Stream::Null(null) => null.try_clone(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Own(own) => own.as_fd(),
            Stream::Null(null) => null.as_fd(),
        }
    }
}

impl<T: Into<OwnedFd>> From<T> for Stream {
    fn from(own: T) -> Stream {
        Stream::Own(own.into())
    }
}

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
        None => Stream::null(false),
        Some(bytes) => stdin_of(bytes).map(Stream::Own),
    };
    let stdin = stdin.map_err(opening)?;
    if !is_heard {
        let null = || Stream::null(true).map_err(opening);
        return Ok((Streams { stdin, stdout: null()?, stderr: null()? }, None));
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
    Ok((Streams { stdin, stdout: stdout.into(), stderr: stderr.into() }, Some(pipes)))
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
