//! `schedrs run` as a person sees it: on a terminal.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::Stdio;
use std::ptr;
use std::sync::mpsc::{Receiver, channel};

use crate::harness::{Bench, Running, WATCHDOG, is_alive, on_a_terminal, read_until};

/// A terminal, as far as it is needed here: lines, and "clear this one".
struct Terminal {
    output: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
}

impl Terminal {
    /// A scheduler on a terminal of so many columns.
    fn run(bench: &Bench, columns: u16, args: &[&str]) -> (Terminal, Running) {
        let (mut master, running) = Terminal::start(bench, columns, args);
        let (send, output) = channel();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = master.read(&mut chunk) {
                if send.send(chunk[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        (Terminal { output, bytes: Vec::new() }, running)
    }

    /// The same, and the other end of the terminal.
    fn start(bench: &Bench, columns: u16, args: &[&str]) -> (File, Running) {
        let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut master, mut slave) = (-1, -1);
        // SAFETY: the two numbers are written to, the size is read, the null pointers are allowed.
        let made =
            unsafe { libc::openpty(&mut master, &mut slave, ptr::null_mut(), ptr::null(), &size) };
        assert_eq!(made, 0);
        // SAFETY: both were opened just now, and nobody else has them.
        let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        // Else the scheduler would hold the other end of its own terminal.
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC).unwrap();
        let mut command = bench.command(args);
        command.env("TERM", "xterm").env_remove("NO_COLOR");
        if bench.path("clock").exists() {
            command.env("SCHEDRS_TEST_CLOCK", bench.path("clock"));
        }
        command.stdout(Stdio::from(slave.try_clone().unwrap())).stderr(Stdio::from(slave));
        let running = Running::start(&mut command);
        drop(command);
        (master, running)
    }

    /// Reads on until this was written.
    #[track_caller]
    fn see(&mut self, text: &str) {
        self.see_several(text, 1);
    }

    /// Reads on until this was written with so many different characters after it.
    #[track_caller]
    fn see_several(&mut self, text: &str, number: usize) {
        let count = |all: &str| {
            let follows = all.split(text).skip(1).map(|rest| rest.chars().next());
            follows.collect::<HashSet<_>>().len()
        };
        while count(&self.text()) < number {
            let Ok(chunk) = self.output.recv_timeout(WATCHDOG) else {
                panic!("no {text:?} in {:?}", self.text());
            };
            self.bytes.extend_from_slice(&chunk);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// What is to be seen when all has been written: its lines, with `hh:mm:ss` for times.
    fn lines(mut self) -> Vec<String> {
        while let Ok(chunk) = self.output.recv_timeout(WATCHDOG) {
            self.bytes.extend_from_slice(&chunk);
        }
        let text = self.text();
        let lines = text.split('\n').map(|line| {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let shown = line.rsplit("\r\x1b[K").next().unwrap_or_default();
            match shown.as_bytes() {
                [_, _, b':', _, _, b':', _, _, rest @ ..] => {
                    format!("hh:mm:ss{}", String::from_utf8_lossy(rest))
                }
                _ => shown.to_owned(),
            }
        });
        lines.collect()
    }
}

/// It is seen before its line ends: while the scheduler runs, by who follows it, and of a single run.
#[test]
fn a_progress_bar_moves() {
    // A second reader must not meet the writer that the first one has not seen close.
    let bar = "command = 'printf \"1%%\\r\\033[K2%%\\r\"; read go < gate; printf \"3%%\\r\"; read go < end'\n";
    let bench = Bench::new(&format!("[jobs.copy]\n{bar}date = 'now'\n"));
    bench.fifo("gate");
    bench.fifo("end");
    let (mut terminal, running) =
        Terminal::run(&bench, 80, &["--color", "never", "run", "jobs.toml"]);
    terminal.see("copy: 2%; 1 running (copy ");
    let (mut follower, following) = Terminal::run(&bench, 80, &["logs", "copy", "-F"]);
    follower.see("2%");
    bench.write_fifo("gate");
    terminal.see("copy: 3%; 1 running (copy ");
    follower.see("\r\x1b[K3%");
    bench.write_fifo("end");
    terminal.see("copy ✓ succeeded");
    running.signal("TERM");
    assert_eq!(running.wait().code, Some(0));
    let lines = terminal.lines();
    let bars: Vec<&String> = lines.iter().filter(|line| line.contains('%')).collect();
    assert_eq!(bars, ["         copy | 3%"], "{lines:#?}");
    assert_eq!(following.wait().code, Some(1));

    let bench = Bench::new(&format!("[jobs.copy]\n{bar}interval = '1h'\n"));
    bench.fifo("gate");
    bench.fifo("end");
    let (mut terminal, running) =
        Terminal::run(&bench, 80, &["run", "jobs.toml", "--once", "copy"]);
    terminal.see("1%\r\x1b[K2%\r");
    bench.write_fifo("gate");
    terminal.see("3%\r");
    bench.write_fifo("end");
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn a_person_sees_columns_and_what_runs() {
    let bench = Bench::new(
        r#"
        scheduler.timezone = "Europe/Berlin"
        executors.one = { max_workers = 1 }
        [jobs.backup]
        command = "echo copying; cat gate; echo oh no >&2; exit 3"
        date = "now"
        executor = "one"
        [jobs.mail]
        command = ["cat", "second-gate"]
        date = "now"
        executor = "one"
        [jobs.nowhere]
        command = ["/no/such/program"]
        date = "now"
        [jobs.beat]
        command = "true"
        date = "2999-01-01"
        "#,
    );
    bench.fifo("gate");
    bench.fifo("second-gate");
    let args = ["--color", "never", "run", "jobs.toml"];
    let (mut terminal, running) = Terminal::run(&bench, 100, &args);
    terminal.see("s), 1 waiting (mail for a slot), next beat at 1 Jan 2999");
    // It counts the seconds by itself.
    terminal.see_several("1 running (backup ", 2);
    bench.write_fifo("gate");
    terminal.see("1 running (mail ");
    running.signal("TERM");
    terminal.see("stopping: 1 running (mail ");
    bench.write_fifo("second-gate");
    assert_eq!(running.wait().code, Some(0));

    let lines = terminal.lines();
    let start = [
        format!("hh:mm:ss schedrs {}", env!("CARGO_PKG_VERSION")),
        "         file       jobs.toml, 4 jobs".to_owned(),
    ];
    assert_eq!(lines[..2], start);
    assert!(lines[2].starts_with("         zone       Europe/Berlin, "), "{lines:#?}");
    assert_eq!(lines[3], "         executors  default 20, one 1");
    assert_eq!(lines[4], "         next       backup now");
    let has = |wanted: &str| lines.iter().any(|line| line == wanted);
    let not_started = "hh:mm:ss nowhere ✗ not started: program /no/such/program does not exist #3";
    assert!(has(not_started), "{lines:#?}");
    assert!(has("         backup  | copying"), "{lines:#?}");
    assert!(has("         backup  ! oh no"), "{lines:#?}");
    assert!(has("         mail    | go"), "{lines:#?}");
    let outcome = |start: &str| lines.iter().any(|line| line.starts_with(start));
    assert!(outcome("hh:mm:ss backup  ✗ failed with exit code 3 after "), "{lines:#?}");
    assert!(outcome("hh:mm:ss mail    ✓ succeeded after "), "{lines:#?}");
    // Nothing is left of the line at the bottom, nor of starts, which it has shown.
    assert_eq!(lines.last().map(String::as_str), Some(""));
    let gone = |line: &String| !line.contains("running (") && !line.contains("started, pid");
    assert!(lines.iter().all(gone), "{lines:#?}");
}

/// After an hour without a scheduler each job has due times that nobody started.
#[test]
fn what_was_due_meanwhile_is_one_line() {
    let jobs = ["a", "b", "c"].map(|id| {
        format!(
            "[jobs.{id}1]\ncommand = ['true']\ninterval = '10m'\nmisfire_grace_time = '1s'\n\
             [jobs.{id}2]\ncommand = ['true']\ninterval = '10m'\nmisfire_grace_time = 'forever'\n"
        )
    });
    let bench = Bench::new(&jobs.concat());
    let mut running = bench.run();
    running.event("starting", "");
    assert_eq!(running.stop().code, Some(0));
    bench.write("clock", "3660");
    let args = ["--color", "never", "run", "jobs.toml"];
    let (mut terminal, running) = Terminal::run(&bench, 120, &args);
    terminal.see("c2 ✓ succeeded");
    // The same where the machine has slept.
    bench.write("clock", "7320");
    terminal.see("in that time");
    terminal.see_several("c2 ✓ succeeded", 1);
    running.stop();
    let text = terminal.text();
    let line = |start: &str| {
        let found = text.lines().find(|line| line.contains(start));
        found.unwrap_or_else(|| panic!("no {start} in {text}")).trim_end().to_owned()
    };
    for start in ["while it was down ", "in that time "] {
        let line = line(start);
        assert!(line.contains(": 18 missed, 15 coalesced; `schedrs history --since "), "{line}");
    }
    assert!(!text.contains("1 missed") && !text.contains(" due times from "), "{text}");
}

#[test]
fn success_is_quiet_and_failure_loud() {
    let bench = Bench::new(
        r#"
        jobs.good = { command = "true", date = "now" }
        jobs.bad = { command = "false", date = "now" }
        "#,
    );
    let (mut terminal, running) = Terminal::run(&bench, 100, &["run", "jobs.toml"]);
    terminal.see("\x1b[32m✓\x1b[0m \x1b[2msucceeded after ");
    terminal.see("\x1b[1;31m✗\x1b[0m \x1b[1;31mfailed with exit code 1 after ");
    running.stop();
}

#[test]
fn the_line_at_the_bottom_is_cut_to_the_terminal() {
    let bench = Bench::new("jobs.a-long-name = { command = 'cat gate', date = 'now' }");
    bench.fifo("gate");
    let args = ["--color", "never", "run", "jobs.toml"];
    let (mut terminal, running) = Terminal::run(&bench, 20, &args);
    terminal.see("1 running (a-long-…");
    bench.write_fifo("gate");
    terminal.see("idle, nothing more…");
    running.stop();
}

#[test]
fn there_is_no_such_line_where_it_would_be_in_the_way() {
    let bench = Bench::new("jobs.a = { command = 'printf \"no end\"', date = 'now' }");
    for args in [
        &["--color", "never", "run", "--raw", "jobs.toml"][..],
        &["--color", "never", "run", "--log-format", "json", "jobs.toml"],
    ] {
        let (mut terminal, running) = Terminal::run(&bench, 80, args);
        terminal.see("succeeded");
        running.stop();
        let text = terminal.lines().concat();
        assert!(!text.contains("idle, ") && !text.contains('\x1b'), "{args:?} {text:?}");
        // Who sees no line at the bottom is told of starts.
        assert!(text.contains("started"), "{args:?} {text:?}");
    }
}

/// Whoever closes the window of a program means to end it.
#[test]
fn it_ends_when_its_terminal_does() {
    let bench = Bench::new("[jobs.a]\ncommand = 'echo > started'\ndate = 'now'\n");
    bench.fifo("started");
    let (master, running) = Terminal::start(&bench, 80, &["run"]);
    bench.read_fifo("started");
    drop(master);
    running.signal("HUP");
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn a_second_ctrl_c_kills_at_once() {
    let bench = Bench::new(
        "[jobs.a]\ncommand = \"trap '' INT TERM; echo $$ > pid; echo up; while :; do sleep 600; done\"\n\
         date = 'now'\nkill_after = '1h'\n",
    );
    let mut command = bench.command(&["run", "jobs.toml"]);
    command.env("TERM", "xterm").env("NO_COLOR", "1");
    // The keys reach it as they do in a terminal: as a signal to all that is in the foreground.
    let (mut ours, _theirs, mut child) = on_a_terminal(command);
    read_until(&mut ours, "| up");
    ours.write_all(b"\x03").unwrap();
    read_until(&mut ours, "stopping");
    ours.write_all(b"\x03").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!is_alive(&std::fs::read_to_string(bench.path("pid")).unwrap()));
}
