//! `schedrs run` under a service manager, or whoever else starts it: what it is told, the unit in
//! `examples/`, and signals from the first moment on.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::{io, mem, ptr};

use crate::harness::{Bench, Running, WATCHDOG, has_root, missing, skipped};

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(bench: &Bench) -> Manager {
        let socket = UnixDatagram::bind(bench.path("notify")).unwrap();
        socket.set_read_timeout(Some(WATCHDOG)).unwrap();
        Manager { socket, heard: Vec::new() }
    }

    /// Starts a scheduler that is told of it, with these variables too.
    fn start(&self, bench: &Bench, variables: &[(&str, &str)]) -> Running {
        let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
        command.env("NOTIFY_SOCKET", bench.path("notify")).envs(variables.iter().copied());
        Running::start(&mut command)
    }

    /// Reads on until it is told this.
    #[track_caller]
    fn hear(&mut self, wanted: &str) -> String {
        loop {
            let mut datagram = [0; 4096];
            let Ok(length) = self.socket.recv(&mut datagram) else {
                panic!("{wanted} was not said, but {:#?}", self.heard);
            };
            let text = String::from_utf8(datagram[..length].to_vec()).unwrap();
            self.heard.push(text.clone());
            if text.starts_with(wanted) {
                return text;
            }
        }
    }

    /// What has been said and not been heard yet.
    fn rest(mut self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut datagram = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut datagram) {
            self.heard.push(String::from_utf8(datagram[..length].to_vec()).unwrap());
        }
        self.heard
    }
}

#[test]
fn a_service_manager_is_told_how_things_stand() {
    let bench = Bench::new(
        r#"
        jobs.long = { command = "cat gate", date = "now" }
        jobs.later = { command = "true", date = "2999-01-01" }
        "#,
    );
    bench.fifo("gate");
    let mut manager = Manager::new(&bench);
    let mut running = manager.start(&bench, &[]);
    manager.hear("READY=1");
    let status = manager.hear("STATUS=1 running");
    assert_eq!(status, "STATUS=1 running, 0 waiting, next later at 1 Jan 2999");

    running.signal("HUP");
    let reloading = manager.hear("RELOADING=1\nMONOTONIC_USEC=");
    let (_, micros) = reloading.rsplit_once('=').unwrap();
    assert!(micros.parse::<u64>().unwrap() > 0);
    manager.hear("READY=1");
    running.event("reloaded", "");

    running.signal("TERM");
    manager.hear("STOPPING=1");
    bench.write_fifo("gate");
    assert_eq!(running.wait().code, Some(0));
    let heard = manager.rest();
    assert!(!heard.iter().any(|text| text.contains("WATCHDOG")), "{heard:#?}");
}

#[test]
fn the_watchdog_is_kept_quiet() {
    let bench = Bench::new("jobs.a = { command = 'true', interval = '1h' }");
    let mut manager = Manager::new(&bench);
    let running = manager.start(&bench, &[("WATCHDOG_USEC", "20000")]);
    for _ in 0..3 {
        manager.hear("WATCHDOG=1");
    }
    running.stop();

    // That of another process is not ours.
    let variables = [("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")];
    let bench = Bench::new("jobs.a = { command = 'true', interval = '1h' }");
    let mut manager = Manager::new(&bench);
    let mut running = manager.start(&bench, &variables);
    manager.hear("READY=1");
    running.event("starting", "");
    running.stop();
    let heard = manager.rest();
    assert!(!heard.iter().any(|text| text.contains("WATCHDOG")), "{heard:#?}");
}

#[test]
fn log_files_are_where_the_service_manager_says() {
    let bench = Bench::new("jobs.a = { command = 'echo kept', date = 'now', output = 'file' }");
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    let dirs = format!("{}:/nonexistent", bench.path("logs").display());
    let mut running = Running::start(command.env("LOGS_DIRECTORY", dirs));
    running.event("succeeded", "a");
    running.stop();
    let kept = fs::read_to_string(bench.logs("logs").join("a.log")).unwrap();
    assert!(kept.ends_with(" <==\nkept\n"), "{kept}");
}

#[test]
fn the_unit_lets_jobs_have_devices_and_no_job_set_the_clock() {
    let unit = format!("{}/examples/schedrs.service", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(unit).unwrap();
    // Each of these denies devices, the first before systemd 253.
    for key in ["ProtectClock=", "PrivateDevices=", "DeviceAllow=", "DevicePolicy="] {
        assert!(!text.lines().any(|line| line.starts_with(key)), "{key}");
    }
    let clock = "CapabilityBoundingSet=~CAP_SYS_TIME CAP_WAKE_ALARM";
    assert!(text.lines().any(|line| line == clock));
}

#[test]
fn the_units_are_ones_that_systemd_takes() {
    for name in ["schedrs.service", "schedrs-user.service", "schedrs-web.service"] {
        let unit = format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(unit).unwrap();
        let here = text.replace("/usr/bin/schedrs", env!("CARGO_BIN_EXE_schedrs"));
        assert_ne!(here, text, "{name} names the program");
        let bench = Bench::new("");
        bench.write(name, &here);
        let path = bench.path(name);
        let mut verify = Command::new("systemd-analyze");
        match verify.args(["verify", "--man=no"]).arg(path).output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                // It reads the machine's other units too, which are none of our business.
                let ours: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
                assert_eq!(ours, [""; 0]);
            }
            Err(error) => skipped(&format!("systemd-analyze: {error}")),
        }
    }
}

/// Has the program begin with these signals blocked, and each of them waiting to be delivered.
fn blocked(command: &mut Command, signals: &'static [i32]) {
    let block = move || {
        // SAFETY: the set is emptied before it is used, and all of these are system calls.
        unsafe {
            let mut set = mem::zeroed();
            libc::sigemptyset(&mut set);
            for signal in signals {
                libc::sigaddset(&mut set, *signal);
            }
            match libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut()) {
                0 => {}
                _ => return Err(io::Error::last_os_error()),
            }
            for signal in signals {
                libc::raise(*signal);
            }
        }
        Ok(())
    };
    // SAFETY: it only makes system calls.
    unsafe { command.pre_exec(block) };
}

#[test]
fn blocked_signals_are_let_through() {
    let bench = Bench::new("jobs.a = { command = 'true', date = 2199-01-01 }");
    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    blocked(&mut command, &[libc::SIGHUP, libc::SIGUSR1]);
    let mut running = Running::start(&mut command);
    // Both have been waiting since before it began.
    running.event("status", "");
    running.event("reloaded", "");
    assert_eq!(running.stop().code, Some(0));

    let mut command = bench.command(&["run", "--log-format", "json", "jobs.toml"]);
    blocked(&mut command, &[libc::SIGTERM]);
    let running = Running::start(&mut command);
    // There is nothing to be stopped yet: SIGTERM does what it does to any program.
    assert_eq!(running.wait().code, None);
}

#[test]
fn a_signal_before_the_jobfile_is_read_is_kept() {
    let bench = Bench::new("");
    let mut command = bench.command(&["run", "--log-format", "json", "-"]);
    let (reader, mut writer) = io::pipe().unwrap();
    command.stdin(reader);
    let mut running = Running::start(&mut command);
    drop(command);
    // More than a pipe holds, so that it has begun to read when this is written.
    let comments = format!("# {}\n", "x".repeat(1000)).repeat(300);
    writer.write_all(comments.as_bytes()).unwrap();
    running.signal("HUP");
    running.signal("USR1");
    writer.write_all(b"jobs.a = { command = 'true', date = 2199-01-01 }\n").unwrap();
    drop(writer);
    running.event("reload_failed", "");
    running.event("status", "");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn what_is_ignored_where_it_is_started_is_so_no_longer() {
    let bench = Bench::new("jobs.a = { command = 'exit 3', date = 'now' }");
    let script = "trap '' TERM USR1 CHLD INT; exec \"$@\"";
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell(script, &args));
    // Where SIGCHLD is ignored, nobody can wait for a child.
    assert_eq!(running.event("failed", "a")["exit"], 3);
    running.signal("USR1");
    running.event("status", "");
    assert_eq!(running.stop().code, Some(0));
}

/// `nohup` promises that a terminal that goes away is no end.
#[test]
fn what_nohup_promises_holds() {
    let bench = Bench::new("jobs.a = { command = 'true', date = 2199-01-01 }");
    let script = "trap '' HUP; exec \"$@\"";
    let args = ["run", "--log-format", "json", "jobs.toml"];
    let mut running = Running::start(&mut bench.shell(script, &args));
    running.event("starting", "");
    running.signal("HUP");
    running.event("reloaded", "");
    assert_eq!(running.stop().code, Some(0));
}

#[test]
fn signals_that_mean_nothing_to_it_do_nothing() {
    let bench = Bench::new("jobs.a = { command = 'true', date = 2199-01-01 }");
    let mut running = bench.run();
    running.event("starting", "");
    for signal in ["USR2", "XCPU", "TTIN", "TTOU"] {
        running.signal(signal);
    }
    running.signal("USR1");
    running.event("status", "");
    assert_eq!(running.stop().code, Some(0));
}

/// `ulimit -f` is for what jobs write, and nothing that the scheduler dies of (SIGXFSZ).
#[test]
fn a_limit_of_file_sizes_does_not_end_it() {
    let bench = Bench::new(
        r#"
        jobs.chatty = { command = "head -c 300000 /dev/zero | tr '\\0' z", date = "now" }
        jobs.other = { command = "true", interval = "1s" }
        jobs.limited = { command = "ulimit -f; grep SigIgn /proc/self/status", output = "file", date = "now" }
        "#,
    );
    let args = ["run", "--log-format", "json", "--store", "memory", "jobs.toml"];
    let mut command = bench.shell("ulimit -f 100; exec \"$@\" > printed", &args);
    let mut running = Running::start(&mut command);
    running.event("succeeded", "chatty");
    running.event("succeeded", "other");
    running.event("succeeded", "other");
    assert_eq!(running.stop().code, Some(0));
    let printed = fs::metadata(bench.path("printed")).unwrap().len();
    assert!(printed <= 100 * 1024, "{printed}");
    let log = fs::read_to_string(bench.logs("state/logs").join("limited.log")).unwrap();
    // The job has the limit, and the default action for whoever passes it.
    assert!(log.contains("100") || log.contains("200"), "{log}");
    assert!(log.contains("0000000000000000"), "{log}");
}

/// In a container it is process 1, which the kernel spares signals that it does not handle.
#[test]
fn as_process_1_it_ends_before_it_has_begun() {
    if !has_root() {
        return;
    }
    let bench = Bench::new("");
    let mut command = Command::new("unshare");
    let schedrs = env!("CARGO_BIN_EXE_schedrs");
    command.args(["--pid", "--fork", "--kill-child", schedrs, "run", "-"]);
    command.current_dir(bench.dir.path()).stdin(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        missing("unshare");
        return;
    };
    let mut jobfile = child.stdin.take().unwrap();
    let comments = format!("# {}\n", "x".repeat(1000)).repeat(300);
    if jobfile.write_all(comments.as_bytes()).is_err() {
        skipped("a namespace of processes");
        return;
    }
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let first = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let first = rustix::process::Pid::from_raw(first).unwrap();
    rustix::process::kill_process(first, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGTERM));
    drop(jobfile);
}
