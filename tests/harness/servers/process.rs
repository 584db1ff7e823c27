//! The processes of a private server: started until they say that they are ready, ended with the
//! test however that ends.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::{LIMIT, Recipe};

/// What ends the server when the test program is gone, whatever has become of that: then its
/// standard input ends. Lines in it name the process to end; an empty one, that there is none.
const GUARD: &str = r#"
    while read -r line; do pid=$line; done
    [ -z "$pid" ] || kill -KILL "$pid" $(cat /proc/"$pid"/task/*/children)
    ! mountpoint -q "$1" || umount -l "$1"
    rm -rf "$1"
"#;

/// So long a server has between TERM and KILL.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    guard: Child,
    guarded: ChildStdin,
    log: Arc<Mutex<String>>,
    /// Whether the child has been waited for.
    over: bool,
}

impl Process {
    /// Starts it and waits until it is ready. `Err`: it has ended instead, and said this.
    pub(super) fn start(recipe: &Recipe, dir: &Path) -> Result<Process, String> {
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "sh"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let guarded = guard.stdin.take().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let child = spawn(recipe);
        let mut process = Process { child, guard, guarded, log, over: false };
        process.wait_until_ready(recipe.ready)?;
        Ok(process)
    }

    /// Starts it again. It has ended before.
    pub(super) fn again(&mut self, recipe: &Recipe) -> Result<(), String> {
        assert!(self.over, "it still runs");
        self.child = spawn(recipe);
        self.over = false;
        self.wait_until_ready(recipe.ready)
    }

    fn wait_until_ready(&mut self, ready: &'static str) -> Result<(), String> {
        self.tell_guard(&self.child.id().to_string());
        let (send, receive) = channel();
        follow(self.child.stdout.take().unwrap(), ready, Arc::clone(&self.log), send.clone());
        follow(self.child.stderr.take().unwrap(), ready, Arc::clone(&self.log), send);
        match receive.recv_timeout(LIMIT) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.kill();
                Err(format!("{error}: {}", self.log()))
            }
        }
    }

    fn tell_guard(&self, line: &str) {
        writeln!(&self.guarded, "{line}").unwrap();
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(super) fn kill(&mut self) {
        if self.over {
            return;
        }
        // Its children notice soon that it is gone, but must not answer anybody until they do.
        self.stop();
        let children = children(self.pid());
        self.child.kill().unwrap();
        for child in &children {
            signal(*child, Signal::KILL);
        }
        self.wait(&children);
    }

    pub(super) fn end(&mut self) {
        if self.over {
            return;
        }
        let children = children(self.pid());
        // PostgreSQL's "fast shutdown"; an ordinary one for the others.
        signal(self.pid(), Signal::INT);
        signal(self.pid(), Signal::TERM);
        // As an init system does: a Python program may lose a signal that comes at a bad moment.
        if !has_ended(self.pid(), PATIENCE) {
            eprintln!("process {} does not end, and is killed:\n{}", self.pid(), self.log());
            self.kill();
            return;
        }
        self.wait(&children);
    }

    fn wait(&mut self, children: &[u32]) {
        children.iter().copied().for_each(wait_for);
        wait_for(self.pid());
        self.child.wait().unwrap();
        self.tell_guard("");
        self.over = true;
    }

    pub(super) fn stop(&self) {
        signal(self.pid(), Signal::STOP);
        for child in children(self.pid()) {
            signal(child, Signal::STOP);
        }
    }

    pub(super) fn cont(&self) {
        for child in children(self.pid()) {
            signal(child, Signal::CONT);
        }
        signal(self.pid(), Signal::CONT);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // The directory goes with its owner.
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

fn spawn(recipe: &Recipe) -> Child {
    let mut command = Command::new(&recipe.program);
    command.args(&recipe.arguments).current_dir("/").env("LC_ALL", "C").env("TZ", "UTC");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    if let Some((user, group)) = recipe.user {
        command.uid(user).gid(group);
    }
    command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Keeps what is printed, and tells when the line has come.
fn follow(
    stream: impl Read + Send + 'static,
    ready: &'static str,
    log: Arc<Mutex<String>>,
    send: Sender<()>,
) {
    std::thread::spawn(move || {
        let mut send = Some(send);
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            *log.lock().unwrap() += &text;
            if text.contains(ready)
                && let Some(send) = send.take()
            {
                let _ = send.send(());
            }
            line.clear();
        }
    });
}

/// The children of a process. A server of several threads has none.
fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn signal(pid: u32, signal: Signal) {
    // It may be gone.
    let _ = kill_process(pid_of(pid), signal);
}

fn wait_for(pid: u32) {
    assert!(has_ended(pid, LIMIT), "process {pid} does not end");
}

/// Waits until a process has ended, whosever child it is, or the time is over.
fn has_ended(pid: u32, limit: Duration) -> bool {
    let Ok(process) = pidfd_open(pid_of(pid), PidfdFlags::empty()) else { return true };
    let limit = Timespec::try_from(limit).unwrap();
    let mut waits = [PollFd::new(&process, PollFlags::IN)];
    // Whoever has ended meanwhile wakes it up, too.
    retry_on_intr(|| poll(&mut waits, Some(&limit))).unwrap() == 1
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid as i32).unwrap()
}
