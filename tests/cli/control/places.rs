//! Where the socket is, whose it is, and who may use it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;

use schedrs::control::client::{Client, Error, Place};
use schedrs::control::server::Server;

use super::fake::{Bench, code};
use crate::harness;

fn start(path: &Path) -> std::io::Result<Server> {
    Server::start(path, |_| {}, None)
}

/// A socket on which nobody listens any more.
fn left_behind(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    // A process that another test has just made holds it until it executes its program.
    harness::until("nobody holds it", || UnixStream::connect(path).is_err());
}

#[track_caller]
fn pings(path: &Path) {
    let mut client = Client::connect(&Place::Socket(path.into())).unwrap();
    let body = client.ask(&json!({ "do": "ping" })).unwrap();
    assert_eq!(body["pid"], json!(std::process::id()));
}

#[test]
fn only_its_user_may_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/for/it/s.sock");
    let server = start(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    pings(&path);
    server.stop();
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
}

/// Nothing that is asked while it ends goes without an answer, and the end is what was asked for.
#[test]
fn one_that_ends_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    let calls = Mutex::new(Vec::new());
    let server = Server::start(&path, move |call| calls.lock().unwrap().push(call), None).unwrap();
    let mut client = Client::connect(&Place::Socket(path)).unwrap();
    let code = |answer| match answer {
        Err(Error::Refused(fault)) => fault.code.to_string(),
        other => panic!("{other:?}"),
    };
    let status = json!({ "do": "status" });
    client.send(&status).unwrap();
    client.ask(&json!({ "do": "ping" })).unwrap();
    server.close();
    assert_eq!(code(client.receive()), "stopping");
    assert_eq!(code(client.ask(&status)), "stopping");
    client.ask(&json!({ "do": "shutdown" })).unwrap();
    for _ in 0..3 {
        client.send(&status).unwrap();
    }
    server.stop();
    for _ in 0..3 {
        assert_eq!(code(client.receive()), "stopping");
    }
    assert!(matches!(client.receive(), Err(Error::Broken(_))));
}

#[test]
fn one_that_answers_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    let first = start(&path).unwrap();
    let error = start(&path).unwrap_err();
    let pid = format!("pid {}", std::process::id());
    assert!(error.to_string().contains(&pid), "{error}");
    pings(&path);
    first.stop();
    start(&path).unwrap().stop();
}

#[test]
fn one_that_does_not_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    left_behind(&path);
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let server = start(&path).unwrap();
    pings(&path);
    // Somebody has put another in its place: that one is not removed.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    server.stop();
    assert!(path.exists());
    drop(other);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    fs::write(&path, "precious").unwrap();
    let error = start(&path).unwrap_err();
    assert!(error.to_string().contains("not a socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Of many that start at once over a dead socket exactly one gets it, whoever wins.
#[test]
fn one_of_many_wins() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        left_behind(&path);
        let barrier = std::sync::Barrier::new(2);
        let won: Vec<Option<Server>> = std::thread::scope(|scope| {
            let both: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        start(&path).ok()
                    })
                })
                .collect();
            both.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(won.iter().flatten().count(), 1);
        pings(&path);
    }
}

#[test]
fn a_path_may_be_longer_than_an_address() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a".repeat(120)).join("b".repeat(120)).join("jobs-12345678.sock");
    let server = start(&path).unwrap();
    pings(&path);
    let error = start(&path).unwrap_err();
    assert!(error.to_string().contains("pid"), "{error}");
    server.stop();
    assert!(!path.exists());
    let error = start(&dir.path().join("c".repeat(150))).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn a_client_says_where_it_has_looked() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = Place::Socket(dir.path().join("s.sock"));
    let error = Client::connect(&nothing).unwrap_err();
    assert!(matches!(error, Error::NotRunning { .. }));
    assert!(error.to_string().contains("s.sock (nothing there)"), "{error}");
    let dead = dir.path().join("dead.sock");
    left_behind(&dead);
    let error = Client::connect(&Place::Socket(dead)).unwrap_err();
    assert!(error.to_string().contains("nobody is listening"), "{error}");
}

/// One that hangs and has no room for more connections is not waited for longer than one likes.
#[test]
fn nobody_waits_at_a_full_house() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sock");
    let (family, kind) = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM);
    let full = rustix::net::socket(family, kind, None).unwrap();
    rustix::net::bind(&full, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&full, 0).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let place = Place::Socket(path.clone());
    let error = Client::connect_within(&place, Duration::from_millis(1)).unwrap_err();
    assert!(matches!(error, Error::Silent { pid: None, .. }), "{error:?}");
    let mut health = harness::schedrs(&["health", "--timeout", "1ms", "--socket"]);
    let done = health.arg(&path).output().unwrap();
    let line = String::from_utf8_lossy(&done.stdout);
    assert_eq!(line, "fail: schedrs does not answer: no reply within 1ms\n");
    assert_eq!(done.status.code(), Some(2));
}

/// Another user is refused even where the file's mode lets it in. Only root can be another user.
#[test]
fn another_user_is_refused() {
    if !harness::has_root() {
        return;
    }
    let bench = Bench::new();
    fs::set_permissions(bench.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = bench.path();
    let script = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX)\n\
        s.connect(sys.argv[1])\n\
        print(s.makefile().readline())\n";
    let ask = || {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "54321", "--clear-groups", "python3", "-c", script]);
        command.arg(&path).stdin(Stdio::null()).output()
    };
    let Ok(refused) = ask() else { return };
    if String::from_utf8_lossy(&refused.stderr).contains("python3") {
        return;
    }
    assert!(refused.stdout.is_empty(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("PermissionError"), "{refused:?}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let refused = ask().unwrap();
    let line = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(code(&serde_json::from_str(&line).unwrap()), "not_allowed", "{refused:?}");
}

/// A client that hangs up at once has still asked.
#[test]
fn a_request_holds_without_its_client() {
    let bench = Bench::new();
    let mut wire = bench.connect();
    wire.send(b"{\"do\":\"pause\",\"job\":\"beat\"}\n{\"do\":\"pause\",\"job\":\"backup\"}");
    drop(wire);
    bench.center.until(|calls| calls.len() == 2);
    let reply = bench.ask(json!({ "do": "list" }));
    let jobs = reply["jobs"].as_array().unwrap();
    assert!(jobs.iter().all(|job| job["state"] == "paused"), "{reply}");
}

#[test]
fn half_a_connection_is_enough() {
    let bench = Bench::new();
    let stream = UnixStream::connect(bench.path()).unwrap();
    std::io::Write::write_all(&mut &stream, b"{\"do\":\"ping\"}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let lines: Vec<String> = BufReader::new(stream).lines().map(Result::unwrap).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("\"ok\":true"));
}
