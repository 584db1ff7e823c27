//! A shell of another user, kept away from the terminal of whoever opens it (`schedrs shell` as root).
//!
//! Who has a terminal open can read what is typed there, also after the shell has ended, and can type
//! into it where the kernel allows that (TIOCSTI): root's own shell would execute it. So the shell
//! gets a session and, where it would have had our terminal, a new one, of its user. This process
//! stays between the two and copies, as sudo and ssh do, until the shell ends.
//!
//! Where standard output is no terminal, typing is not for the shell but for whatever shows that
//! output (`| less`), and the shell reads nothing.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, Uid, fchown, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group, waitpid,
};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::{flag, low_level};

use super::spawn::{self, Program, SpawnError, Streams};

/// What is copied at once.
const CHUNK: usize = 4096;

/// What a shell that has ended may still have printed; what others print after it is not waited for.
const MOST_LEFT: usize = 1 << 20;

/// Runs the program in a session of its own until it ends. Answers its exit code, 128 + N where
/// signal N ended it, or why it could not be started. To be called while there is no other thread.
pub(super) fn run(program: &Program<'_>, user: u32) -> io::Result<Result<u8, SpawnError>> {
    let ours = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let signals = Signals::install()?;
    let mut face = Face::find(ours);
    let (streams, slave) = match &mut face {
        Some(face) => face.streams(ours, user)?,
        None => {
            let [stdin, stdout, stderr] = ours.map(|fd| fd.try_clone_to_owned());
            (Streams { stdin: stdin?.into(), stdout: stdout?.into(), stderr: stderr?.into() }, None)
        }
    };
    let pid = match spawn::spawn_on(program, streams, slave.as_ref().map(AsFd::as_fd)) {
        Ok(pid) => Pid::from_raw(pid as i32).ok_or(Errno::SRCH)?,
        Err(error) => return Ok(Err(error)),
    };
    drop(slave);
    if let Some(face) = &mut face {
        face.set_raw();
    }
    Relay { pid, face, signals, typed: Vec::new() }.run().map(Ok)
}

/// Our terminal, and the new one behind it.
struct Face {
    /// Where it is.
    ours: File,
    /// How it was before.
    before: Termios,
    is_raw: bool,
    /// Whether what is typed there is the shell's.
    types: bool,
    /// Our end of the new one, while there is anybody at the other.
    new: Option<OwnedFd>,
}

impl Face {
    /// The terminal among our streams, if there is any.
    fn find(ours: [BorrowedFd<'_>; 3]) -> Option<Face> {
        let [stdin, stdout, stderr] = ours;
        let fd = [stdout, stderr, stdin].into_iter().find(|fd| isatty(fd))?;
        Some(Face {
            ours: File::from(fd.try_clone_to_owned().ok()?),
            before: tcgetattr(fd).ok()?,
            is_raw: false,
            types: isatty(stdin) && isatty(stdout),
            new: None,
        })
    }

    /// Makes the new terminal and puts it where our streams are the old one. Answers the shell's
    /// end of it as well.
    fn streams(
        &mut self,
        ours: [BorrowedFd<'_>; 3],
        user: u32,
    ) -> io::Result<(Streams, Option<OwnedFd>)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let new = openpt(flags)?;
        grantpt(&new)?;
        unlockpt(&new)?;
        let slave = ioctl_tiocgptpeer(&new, flags)?;
        // As login does, for `> /dev/tty` and `> /dev/stderr`.
        fchown(&slave, Some(Uid::from_raw(user)), None)?;
        fcntl_setfl(&new, fcntl_getfl(&new)? | OFlags::NONBLOCK)?;
        let mut modes = self.before.clone();
        if !self.types {
            // The old one ends lines as a terminal wants them, since it stays as it is.
            modes.output_modes.remove(OutputModes::OPOST);
        }
        tcsetattr(&slave, OptionalActions::Now, &modes)?;
        self.new = Some(new);
        self.resize();
        let [stdin, stdout, stderr] =
            ours.map(|fd| if isatty(fd) { slave.try_clone() } else { fd.try_clone_to_owned() });
        let is_none = !self.types && isatty(ours[0]);
        let stdin = if is_none { File::open("/dev/null")?.into() } else { stdin?.into() };
        Ok((Streams { stdin, stdout: stdout?.into(), stderr: stderr?.into() }, Some(slave)))
    }

    /// The new one is as large as the old one. Where the old one does not know, neither does it.
    fn resize(&self) {
        if let (Some(new), Ok(size)) = (&self.new, tcgetwinsize(&self.ours)) {
            let _ = tcsetwinsize(new, size);
        }
    }

    /// Each key is for the new one, Ctrl-C as well.
    fn set_raw(&mut self) {
        if self.types {
            let mut raw = self.before.clone();
            raw.make_raw();
            self.is_raw = tcsetattr(&self.ours, OptionalActions::Drain, &raw).is_ok();
        }
    }

    fn restore(&mut self) {
        if std::mem::take(&mut self.is_raw) {
            // It fails where the terminal is gone.
            let _ = tcsetattr(&self.ours, OptionalActions::Drain, &self.before);
        }
    }
}

impl Drop for Face {
    fn drop(&mut self) {
        self.restore();
    }
}

/// What has come since it was last looked at, and something that can be waited for.
struct Signals {
    wake: UnixStream,
    resized: Arc<AtomicBool>,
    /// The last signal that is to end us, which is the shell's to answer; 0 for none.
    end: Arc<AtomicUsize>,
}

impl Signals {
    fn install() -> io::Result<Signals> {
        let (wake, write) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let signals = Signals { wake, resized: Arc::default(), end: Arc::default() };
        flag::register(SIGWINCH, Arc::clone(&signals.resized))?;
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            flag::register_usize(signal, Arc::clone(&signals.end), signal as usize)?;
        }
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH, SIGCHLD] {
            low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(signals)
    }
}

struct Relay {
    pid: Pid,
    face: Option<Face>,
    signals: Signals,
    /// What was typed and is not taken yet.
    typed: Vec<u8>,
}

impl Relay {
    fn run(mut self) -> io::Result<u8> {
        loop {
            let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
            match waitpid(Some(self.pid), options) {
                Ok(Some((_, status))) if status.stopped() => self.stop_too(),
                Ok(Some((_, status))) => {
                    self.finish();
                    return Ok(code_of(status));
                }
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.pass_signals_on();
            self.wait_and_copy()?;
        }
    }

    fn pass_signals_on(&self) {
        if self.signals.resized.swap(false, Relaxed)
            && let Some(face) = &self.face
        {
            face.resize();
        }
        let signal = match self.signals.end.swap(0, Relaxed) as i32 {
            SIGHUP => Signal::HUP,
            SIGINT => Signal::INT,
            SIGQUIT => Signal::QUIT,
            SIGTERM => Signal::TERM,
            _ => return,
        };
        // It leads its session's first group; where that is gone, it is about to be waited for.
        let _ = kill_process_group(self.pid, signal);
    }

    /// `suspend` in the shell: whoever has started us gets the terminal back, until we go on.
    fn stop_too(&mut self) {
        if let Some(face) = &mut self.face {
            face.restore();
        }
        let _ = kill_process(getpid(), Signal::STOP);
        if let Some(face) = &mut self.face {
            face.set_raw();
        }
        let _ = kill_process_group(self.pid, Signal::CONT);
    }

    fn wait_and_copy(&mut self) -> io::Result<()> {
        let wake = PollFd::new(&self.signals.wake, PollFlags::IN);
        let Some((face, new)) = self.face.as_ref().and_then(|f| Some((&f.ours, f.new.as_ref()?)))
        else {
            wait(&mut [wake])?;
            empty(&self.signals.wake);
            return Ok(());
        };
        let types = self.face.as_ref().is_some_and(|face| face.types);
        let out = if self.typed.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let keys = if types && self.typed.is_empty() { PollFlags::IN } else { PollFlags::empty() };
        let mut all = [wake, PollFd::new(new, PollFlags::IN | out), PollFd::new(face, keys)];
        // A terminal that is gone says so whether it is asked or not.
        let count = if keys.is_empty() { 2 } else { 3 };
        wait(&mut all[..count])?;
        let [_, from_new, from_face] = all.map(|one| one.revents());
        empty(&self.signals.wake);

        let mut is_over = false;
        if !from_face.is_empty() {
            is_over |= !read_into(face, &mut self.typed);
        }
        if !self.typed.is_empty() {
            match rustix::io::write(new, &self.typed) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => is_over = true,
            }
        }
        if from_new.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            let mut printed = Vec::new();
            is_over |= !read_into(new, &mut printed) | !write_all(face, &printed);
        }
        if is_over && let Some(face) = &mut self.face {
            // Either of the terminals is gone. Whoever still has the new one is told by that.
            face.new = None;
        }
        Ok(())
    }

    /// The shell has ended: what it has printed is shown.
    fn finish(&mut self) {
        let Some(face) = &self.face else { return };
        let Some(new) = &face.new else { return };
        let mut total = 0;
        while total < MOST_LEFT {
            let mut printed = Vec::new();
            let more = read_into(new, &mut printed);
            if printed.is_empty() || !write_all(&face.ours, &printed) || !more {
                return;
            }
            total += printed.len();
        }
    }
}

fn wait(all: &mut [PollFd<'_>]) -> io::Result<()> {
    match poll(all, None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes what woke us.
fn empty(wake: &UnixStream) {
    let mut bytes = [0; 64];
    while matches!(rustix::io::read(wake, &mut bytes), Ok(1..)) {}
}

/// Reads what there is; whether there may be more.
fn read_into(from: impl AsFd, into: &mut Vec<u8>) -> bool {
    let mut chunk = [0; CHUNK];
    match rustix::io::read(from, &mut chunk) {
        Ok(0) => false,
        Ok(count) => {
            into.extend_from_slice(&chunk[..count]);
            true
        }
        Err(Errno::AGAIN | Errno::INTR) => true,
        // EIO: nobody has the other end, or the terminal is gone.
        Err(_) => false,
    }
}

/// Writes all of it; whether that went well.
fn write_all(to: &File, bytes: &[u8]) -> bool {
    use std::io::Write;

    let mut to = to;
    to.write_all(bytes).is_ok()
}

fn code_of(status: WaitStatus) -> u8 {
    let signal = || status.terminating_signal().map_or(1, |signal| 128 + signal);
    status.exit_status().unwrap_or_else(signal) as u8
}
