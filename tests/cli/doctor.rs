//! `schedrs doctor` about a store on a server: what the server is set to, who shares it, and what
//! refuses.

use crate::harness::{Bench, Running, Stream};
use crate::servers::{Engine, Server, Setup};

const JOBS: &str = "[jobs.a]\ncommand = 'true'\ncron = '0 3 * * *'\n";

/// What it says, and its exit code.
fn doctor(bench: &Bench) -> (String, i32) {
    let done = Running::start(&mut bench.command(&["doctor"])).wait();
    (done.out.join("\n"), done.code.unwrap())
}

/// Says these of a server, once a host runs with it.
#[track_caller]
fn said(server: &Server, words: &[&str]) {
    let url = server.fresh();
    let bench = Bench::new(&format!("[store]\nurl = '{url}'\n[fleet]\nname = 'web1'\n{JOBS}"));
    if matches!(server.engine(), Engine::Postgres | Engine::Mariadb) {
        let (text, code) = doctor(&bench);
        assert!(code == 0 && text.contains("warning  store: reachable, but empty: "), "{text}");
    }
    let mut running = Running::start(&mut bench.command(&["run", "jobs.toml"]));
    running.line(Stream::Err, &["next"]);
    let (text, code) = doctor(&bench);
    running.stop();
    let all =
        ["answers within ", "ok       clock: within 0.5s", "ok       retention: keeps 100 runs"];
    for words in all.iter().chain(words).chain(&["ok       hosts: web1 alone"]) {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("schedrs:secret"), "{text}");
}

#[test]
fn a_server_that_forgets_nothing() {
    if let Some(server) = Setup::of(Engine::Postgres).durable().start() {
        let good = "durability: fsync on, full_page_writes on, synchronous_commit on, asynchronous \
                    standbys 0, tables that may not be written 0";
        said(&server, &[good]);
    }
}

#[test]
fn servers_that_forget() {
    if let Some(server) = Server::shared(Engine::Postgres) {
        said(
            server,
            &["fsync is off: a crash", "help: set fsync = on", "synchronous_commit is off"],
        );
    }
    #[cfg(feature = "mysql")]
    if let Some(server) = Server::shared(Engine::Mariadb) {
        said(server, &["innodb_flush_log_at_trx_commit "]);
    }
    #[cfg(feature = "redis")]
    if let Some(server) = Server::shared(Engine::Redis) {
        said(server, &["aof_enabled is 0: a restart loses", "help: set appendonly yes"]);
    }
}

#[test]
fn what_refuses() {
    let Some(server) = Server::shared(Engine::Postgres) else { return };
    let url = server.url().replace("schedrs@", "locked:wrong@");
    let nowhere = url.replace(&server.port().to_string(), "1");
    for (url, words) in [
        (url.as_str(), "= help: check user, password and rights"),
        (nowhere.as_str(), "= help: without the store no host starts anything"),
        ("postgres://[", "= help: `schedrs run` will fail the same way"),
    ] {
        let bench = Bench::new(&format!("[store]\nurl = '{url}'\n{JOBS}"));
        let (text, code) = doctor(&bench);
        assert!(text.contains("problem  store: ") || text.contains("problem  postgres"), "{text}");
        assert!(text.contains(words) && !text.contains(":wrong"), "{url}: {text}");
        assert_eq!(code, 1, "{text}");
    }
}
