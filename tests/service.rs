//! `schedrs run` under a service manager: what it is told, and the unit in `examples/`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for product code"
)]

mod harness;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use harness::{Bench, Running, WATCHDOG};

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
    assert_eq!(fs::read_to_string(bench.path("logs/a.log")).unwrap(), "kept\n");
}

#[test]
fn the_units_are_ones_that_systemd_takes() {
    for name in ["schedrs.service", "schedrs-user.service"] {
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
            Err(error) => eprintln!("not checked, systemd-analyze cannot be run: {error}"),
        }
    }
}
