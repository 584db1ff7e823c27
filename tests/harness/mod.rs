//! Runs the real binary on a jobfile. Everything is waited for by reading, never by time; a
//! watchdog turns what never comes into a failure.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "it is a module of several test programs")]

mod skip;

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::ptr::{null, null_mut};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use skip::{has_root, missing, skipped};

/// Longer than anything here takes, shorter than a person's patience.
pub const WATCHDOG: Duration = Duration::from_secs(120);

/// How long a test waits at least before it looks again.
const MOMENT: Duration = Duration::from_millis(5);

/// What schedrs goes by that whoever tests may have set.
const VARIABLES: &[&str] = &[
    "CLICOLOR_FORCE",
    "LOGS_DIRECTORY",
    "NO_COLOR",
    // The control socket is beside the store then.
    "RUNTIME_DIRECTORY",
    "RUST_LOG",
    "SCHEDRS_JOBFILE",
    "SCHEDRS_LOG",
    "SCHEDRS_SOCKET",
    "TZ",
    "TZDIR",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];

/// `schedrs ARGS`, ready to be started, with nothing to read.
pub fn schedrs(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_schedrs"));
    command.args(args);
    isolate(&mut command);
    command
}

fn isolate(command: &mut Command) {
    for name in VARIABLES {
        command.env_remove(name);
    }
    // What has been started, and what has been answered, is in the store.
    command.env("SCHEDRS_TEST_PATIENCE", "5");
    command.stdin(Stdio::null());
}

/// A directory with a jobfile.
pub struct Bench {
    pub dir: TempDir,
}

/// Leaves the processor to what a test looks at again and again, for a moment.
pub fn give_way() {
    give_way_for(MOMENT);
}

fn give_way_for(span: Duration) {
    let (_keep, never) = channel::<()>();
    let _ = never.recv_timeout(span);
}

impl Bench {
    pub fn new(jobs: &str) -> Bench {
        let bench = Bench { dir: tempfile::tempdir().unwrap() };
        bench.write("jobs.toml", jobs);
        bench
    }

    /// So many jobs, all due at once.
    pub fn of_many(count: usize, command: &str, head: &str) -> Bench {
        let mut jobs = head.to_owned();
        for number in 0..count {
            jobs += &format!("\njobs.j{number} = {{ command = {command}, date = 'now' }}");
        }
        Bench::new(&jobs)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory of log files that belongs to the jobfile, in the one for all of them.
    pub fn logs(&self, directory: &str) -> PathBuf {
        self.path(directory).join(schedrs::paths::instance(&self.path("jobs.toml")))
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        // Whatever the umask is: a file that others can write to is not run by root.
        self.set_mode(name, 0o644);
    }

    pub fn set_mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// An executable file.
    pub fn program(&self, name: &str, text: &str) {
        self.write(name, text);
        self.set_mode(name, 0o755);
    }

    pub fn fifo(&self, name: &str) {
        let done = Command::new("mkfifo").arg(self.path(name)).status().unwrap();
        assert!(done.success());
    }

    /// Waits until somebody writes to a fifo and closes it.
    pub fn read_fifo(&self, name: &str) -> String {
        let (send, receive) = channel();
        let path = self.path(name);
        std::thread::spawn(move || send.send(fs::read_to_string(path).unwrap()));
        receive.recv_timeout(WATCHDOG).expect("nobody writes to the fifo")
    }

    /// Waits until somebody reads from a fifo, and lets them go on.
    pub fn write_fifo(&self, name: &str) {
        let (send, receive) = channel();
        let path = self.path(name);
        std::thread::spawn(move || {
            fs::write(path, "go\n").unwrap();
            send.send(())
        });
        receive.recv_timeout(WATCHDOG).expect("nobody reads from the fifo");
    }

    /// Lets so many who wait for a fifo go on, with nothing to read.
    pub fn write_fifo_often(&self, name: &str, times: usize) {
        for _ in 0..times {
            let path = self.path(name);
            // Opens when somebody reads; those who come later wait for the next.
            drop(fs::File::options().write(true).open(path).unwrap());
        }
    }

    /// Waits until a file that is written to holds what is looked for.
    pub fn read_until(&self, path: &Path, found: impl Fn(&str) -> bool + Send + 'static) {
        let (send, receive) = channel();
        let path = path.to_owned();
        std::thread::spawn(move || {
            while !found(&fs::read_to_string(&path).unwrap()) {
                give_way();
            }
            send.send(())
        });
        receive.recv_timeout(WATCHDOG).expect("what is looked for is never written");
    }

    /// `schedrs ARGS` in the directory, ready to be started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = schedrs(args);
        self.prepare(&mut command);
        command
    }

    /// `sh -c SCRIPT` in the directory, in which `"$@"` stands for `schedrs ARGS`.
    pub fn shell(&self, script: &str, args: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_schedrs")]).args(args);
        isolate(&mut command);
        self.prepare(&mut command);
        command
    }

    fn prepare(&self, command: &mut Command) {
        command
            .current_dir(self.dir.path())
            .env("TZ", "UTC")
            .env("STATE_DIRECTORY", self.path("state"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    /// `schedrs run --log-format json`, running.
    pub fn run(&self) -> Running {
        Running::start(&mut self.command(&["run", "--log-format", "json", "jobs.toml"]))
    }

    /// The same, once it listens: it does so before it says that it is starting.
    #[track_caller]
    pub fn listening(&self) -> Running {
        let mut running = self.run();
        running.event("starting", "");
        running
    }

    /// What a command prints on both streams, and its exit code.
    pub fn ask(&self, args: &[&str]) -> (String, String, Option<i32>) {
        let done = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(done.stdout), text(done.stderr), done.status.code())
    }

    /// What a command prints that goes well and has nothing to complain of.
    #[track_caller]
    pub fn out(&self, args: &[&str]) -> String {
        let (out, err, code) = self.ask(args);
        assert_eq!((err.as_str(), code), ("", Some(0)), "{args:?}: {out}");
        out
    }

    /// Runs one job with `--once`.
    pub fn once(&self, job: &str) -> Done {
        Running::start(&mut self.command(&["run", "--once", job])).wait()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// A scheduler that runs.
pub struct Running {
    child: Child,
    lines: Receiver<(Stream, String)>,
    pub done: Done,
    /// How many lines of each stream have been read on from: the two come in no order.
    read: [usize; 2],
}

/// What a scheduler has written, and how it ended.
#[derive(Debug, Default)]
pub struct Done {
    pub out: Vec<String>,
    pub err: Vec<String>,
    pub code: Option<i32>,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.spawn().unwrap();
        let (send, lines) = channel();
        if let Some(out) = child.stdout.take() {
            forward(out, Stream::Out, send.clone());
        }
        if let Some(err) = child.stderr.take() {
            forward(err, Stream::Err, send);
        }
        Running { child, lines, done: Done::default(), read: [0; 2] }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let signal = match name {
            "CONT" => Signal::CONT,
            "HUP" => Signal::HUP,
            "INT" => Signal::INT,
            "STOP" => Signal::STOP,
            "TERM" => Signal::TERM,
            "TTIN" => Signal::TTIN,
            "TTOU" => Signal::TTOU,
            "USR1" => Signal::USR1,
            "USR2" => Signal::USR2,
            "XCPU" => Signal::XCPU,
            other => panic!("{other}"),
        };
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// kill -9.
    pub fn kill(&self) {
        kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
    }

    /// Reads on in a stream until a line holds all of these texts, and answers it.
    #[track_caller]
    pub fn line(&mut self, stream: Stream, texts: &[&str]) -> String {
        let deadline = Deadline::new();
        loop {
            let read = &mut self.read[stream as usize];
            let lines = match stream {
                Stream::Out => &self.done.out,
                Stream::Err => &self.done.err,
            };
            while let Some(line) = lines.get(*read) {
                *read += 1;
                if texts.iter().all(|text| line.contains(text)) {
                    return line.clone();
                }
            }
            match self.lines.recv_timeout(deadline.left()) {
                Ok((from, line)) => self.keep(from, line),
                Err(error) => panic!("{error} while waiting for {texts:?} in {:#?}", self.done),
            }
        }
    }

    /// Begins anew with what has been read.
    pub fn read_again(&mut self) {
        self.read = [0; 2];
    }

    /// Reads on until a job's event is logged, and answers its line.
    #[track_caller]
    pub fn event(&mut self, event: &str, job: &str) -> serde_json::Value {
        let event = format!("\"event\":\"{event}\"");
        let job = if job.is_empty() { String::new() } else { format!("\"job\":\"{job}\"") };
        let line = self.line(Stream::Err, &[&event, &job]);
        serde_json::from_str(&line).unwrap()
    }

    fn keep(&mut self, stream: Stream, line: String) {
        match stream {
            Stream::Out => self.done.out.push(line),
            Stream::Err => self.done.err.push(line),
        }
    }

    /// Asks it to stop and waits for its end.
    #[track_caller]
    pub fn stop(self) -> Done {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Done {
        let deadline = Deadline::new();
        loop {
            match self.lines.recv_timeout(deadline.left()) {
                Ok((stream, line)) => self.keep(stream, line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(error) => {
                    let status = format!("/proc/{}/status", self.child.id());
                    let status = std::fs::read_to_string(status).unwrap_or_default();
                    let signals = status.lines().filter(|line| {
                        ["State", "ShdPnd", "SigBlk", "SigCgt"]
                            .iter()
                            .any(|it| line.starts_with(it))
                    });
                    let signals: Vec<&str> = signals.collect();
                    panic!("{error} while waiting for the end: {:#?}\n{signals:?}", self.done)
                }
            }
        }
        let status = wait(&mut self.child);
        self.done.code = status.code();
        std::mem::take(&mut self.done)
    }
}

/// Waits until something is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    found(|| if is_so() { Ok(()) } else { Err(what) })
}

/// Looks again and again until there is something; `look` says what it has seen instead. A look that
/// costs much is taken less often, so that what is looked at has most of the processor.
#[track_caller]
pub fn found<T, E: std::fmt::Display>(mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Deadline::new();
    loop {
        let begun = schedrs::clock::mono();
        let seen = match look() {
            Ok(found) => return found,
            Err(seen) => seen,
        };
        assert!(!deadline.left().is_zero(), "{seen}");
        let cost = schedrs::clock::mono().since(begun);
        give_way_for((3 * cost).max(MOMENT));
    }
}

/// One `WATCHDOG` for all the lines that are read on the way: a program that goes on printing what
/// nobody waits for is to fail a test, and not to hang it.
struct Deadline(schedrs::instant::Mono);

impl Deadline {
    fn new() -> Deadline {
        Deadline(schedrs::clock::mono().plus(WATCHDOG))
    }

    fn left(&self) -> Duration {
        self.0.since(schedrs::clock::mono())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test has failed; nothing of it may stay.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Its streams have ended, so it is about to.
fn wait(child: &mut Child) -> ExitStatus {
    child.wait().unwrap()
}

fn forward(stream: impl Read + Send + 'static, which: Stream, to: Sender<(Stream, String)>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            if to.send((which, text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}

impl Done {
    /// How many log lines there are of an event.
    pub fn count(&self, event: &str) -> usize {
        let event = format!("\"event\":\"{event}\"");
        self.err.iter().filter(|line| line.contains(&event)).count()
    }

    /// What became of each due time of a job: the outcome, the first and the last due time it is
    /// about, and how many these are.
    pub fn fates(&self, job: &str) -> Vec<(String, String, String, u64)> {
        let lines = self.err.iter().filter(|line| line.starts_with('{'));
        let events = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let outcomes = ["succeeded", "failed", "missed", "skipped", "coalesced", "not_started"];
        let of_job = events.filter(|event| {
            event["job"] == job && outcomes.contains(&event["event"].as_str().unwrap_or(""))
        });
        let fate = |event: serde_json::Value| {
            let text = |key: &str| event[key].as_str().map(str::to_owned);
            let due = text("due").unwrap();
            let last = text("last_due").unwrap_or_else(|| due.clone());
            (text("event").unwrap(), due, last, event["count"].as_u64().unwrap_or(1))
        };
        of_job.map(fate).collect()
    }
}

/// Whether a process exists and is no zombie.
pub fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| {
        let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start().chars().next());
        state != Some(Some('Z'))
    })
}

/// A value of `/proc/PID/status`, such as `VmHWM`.
pub fn status_of(pid: u32, key: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(&format!("{key}:")));
    line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap()
}

/// A number in kilobytes of `/proc/PID/status`.
pub fn kilobytes_of(pid: u32, key: &str) -> u64 {
    status_of(pid, key).trim_end_matches(" kB").trim().parse().unwrap()
}

/// The most memory of its own that a process has had, in kilobytes: without the pages of the program and
/// its libraries, of which the kernel maps as many around each as it likes.
pub fn own_peak_of(pid: u32) -> u64 {
    let of_files = kilobytes_of(pid, "RssFile");
    kilobytes_of(pid, "VmHWM").saturating_sub(of_files)
}

/// Holds whoever opens or executes files, as a file system does that does not answer: until it is
/// dropped, or they are killed.
pub struct Hang(#[expect(dead_code, reason = "it only has to stay open")] OwnedFd);

impl Hang {
    /// `None` where that is not allowed, which is said. `exec`: holds those that execute a file, and
    /// not those that read it.
    pub fn of(files: &[PathBuf], exec: bool) -> Option<Hang> {
        // SAFETY: numbers only.
        let group = unsafe {
            libc::fanotify_init(libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC, libc::O_RDONLY as u32)
        };
        if group == -1 {
            skipped("fanotify");
            return None;
        }
        // SAFETY: it was opened just now, and nobody else has it.
        let group = unsafe { OwnedFd::from_raw_fd(group) };
        let events = if exec { libc::FAN_OPEN_EXEC_PERM } else { libc::FAN_OPEN_PERM };
        for file in files {
            let path = CString::new(file.as_os_str().as_bytes()).unwrap();
            let (mark, dir) = (libc::FAN_MARK_ADD, libc::AT_FDCWD);
            // SAFETY: the path is a C string.
            let done =
                unsafe { libc::fanotify_mark(group.as_raw_fd(), mark, events, dir, path.as_ptr()) };
            if done == -1 {
                skipped("fanotify");
                return None;
            }
        }
        Some(Hang(group))
    }
}

/// Whether this is root, which some tests need.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A process whose terminal is a new one: our end of that, its end, and the process.
pub fn on_a_terminal(command: Command) -> (File, File, Child) {
    on_a_terminal_of(77, command)
}

/// The same, on one of so many columns.
pub fn on_a_terminal_of(columns: u16, mut command: Command) -> (File, File, Child) {
    let size = libc::winsize { ws_row: 33, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: the two numbers are written to, the size is read, the null pointers are allowed.
    let made = unsafe { libc::openpty(&mut ours, &mut theirs, null_mut(), null(), &size) };
    assert_eq!(made, 0);
    // SAFETY: both were opened just now, and nobody else has them.
    let (ours, theirs) = unsafe { (File::from_raw_fd(ours), File::from_raw_fd(theirs)) };
    for file in [&ours, &theirs] {
        rustix::io::fcntl_setfd(file, rustix::io::FdFlags::CLOEXEC).unwrap();
    }
    let stream = || Stdio::from(theirs.try_clone().unwrap());
    command.stdin(stream()).stdout(stream()).stderr(stream());
    // SAFETY: it only makes system calls.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        });
    }
    let child = command.spawn().unwrap();
    (ours, theirs, child)
}

/// Reads on at a terminal until this is shown, and answers all that was read.
#[track_caller]
pub fn read_until(terminal: &mut File, text: &str) -> String {
    // Whole, since a read may end within a character.
    let mut bytes = Vec::new();
    // What is shown may change all the time without ever becoming this.
    let deadline = Deadline::new();
    loop {
        let seen = String::from_utf8_lossy(&bytes);
        if seen.contains(text) {
            return seen.into_owned();
        }
        let limit = Timespec::try_from(deadline.left()).unwrap();
        let mut waits = [PollFd::new(&*terminal, PollFlags::IN)];
        assert_eq!(
            retry_on_intr(|| poll(&mut waits, Some(&limit))).unwrap(),
            1,
            "no {text:?} in {seen:?}"
        );
        let mut chunk = [0; 4096];
        let count = terminal.read(&mut chunk).unwrap_or_else(|error| panic!("{error}: {seen:?}"));
        bytes.extend_from_slice(&chunk[..count]);
    }
}
