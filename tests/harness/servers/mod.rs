//! Private servers for the tests: PostgreSQL, MariaDB, Redis and a stand-in for MongoDB, started
//! from the machine's binaries in a temporary directory and ended with the test.
//!
//! Each engine has a file that knows its programs and options; `process` is what they share. `proxy`
//! stands between a client and a server and gets in the way; with `network` the kernel does. Where a binary is missing the
//! test is skipped, which is said; with `SCHEDRS_TEST_SERVERS=all` that is a failure.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "it is a module of several test programs")]

mod mariadb;
mod mongodb;
pub mod network;
pub mod pooler;
mod postgres;
mod process;
pub mod proxy;
mod redis;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{missing, skipped};
use process::Process;

/// Longer than a server takes to start on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// What kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Mariadb,
    Redis,
    Mongodb,
}

/// What is to be started.
#[derive(Clone, Debug)]
pub struct Setup {
    engine: Engine,
    /// Whether what it has acknowledged survives a crash of the machine. Without, it is faster.
    durable: bool,
    /// More of its own options, after those of the harness.
    options: Vec<String>,
    /// The port of the server that it is a replica of.
    follows: Option<u16>,
    /// The port of the server that it is a sentinel of.
    watches: Option<u16>,
    /// Its data are on a disk of so many MiB.
    disk: Option<u32>,
}

/// A server that runs, or did.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    recipe: Recipe,
    /// `None`: it was started by others (`$SCHEDRS_TEST_MONGODB`).
    process: Option<Process>,
    url: String,
    /// Gone before its directory is.
    disk: Option<Disk>,
    dir: TempDir,
}

/// How a server is started, again and again.
#[derive(Debug)]
struct Recipe {
    program: PathBuf,
    arguments: Vec<String>,
    /// What is in the line that it prints when it is ready.
    ready: &'static str,
    /// User and group, if it must not be root.
    user: Option<(u32, u32)>,
    port: u16,
    /// The port for TLS, where that is another one.
    tls_port: u16,
}

impl Setup {
    pub fn of(engine: Engine) -> Setup {
        let (follows, watches, disk) = (None, None, None);
        Setup { engine, durable: false, options: Vec::new(), follows, watches, disk }
    }

    pub fn durable(mut self) -> Setup {
        self.durable = true;
        self
    }

    /// One more argument of the server's command line.
    pub fn option(mut self, option: &str) -> Setup {
        self.options.push(option.to_owned());
        self
    }

    /// On a disk of its own, of so many MiB. That takes root, and the right to mount.
    pub fn on_disk(mut self, mib: u32) -> Setup {
        self.disk = Some(mib);
        self
    }

    /// A replica of another server of this kind, which must run.
    pub fn follows(mut self, primary: &Server) -> Setup {
        self.follows = Some(primary.recipe.port);
        self
    }

    /// The same, through a [`proxy`] on that port.
    pub fn follows_at(mut self, port: u16) -> Setup {
        self.follows = Some(port);
        self
    }

    /// A sentinel that watches a Redis by the name `main`, and promotes its replica by itself when it
    /// has been silent for a second.
    pub fn watches(mut self, primary: &Server) -> Setup {
        self.watches = Some(primary.recipe.port);
        self
    }

    /// Starts it. `None`: this machine has no such server, which is said.
    pub fn start(self) -> Option<Server> {
        if let (Engine::Mongodb, Ok(url)) = (self.engine, std::env::var("SCHEDRS_TEST_MONGODB")) {
            return Some(self.of_others(url));
        }
        // The port was free a moment ago. Somebody else may have taken it since.
        let mut said = String::new();
        for _ in 0..3 {
            let dir = directory();
            let disk = match self.disk {
                Some(mib) => Some(Disk::mount(dir.path(), mib)?),
                None => None,
            };
            let recipe = match self.engine {
                Engine::Postgres => postgres::recipe(&self, dir.path()),
                Engine::Mariadb => mariadb::recipe(&self, dir.path()),
                Engine::Redis => redis::recipe(&self, dir.path()),
                Engine::Mongodb => mongodb::recipe(&self, dir.path()),
            };
            let Some(recipe) = recipe else { return self.missing() };
            match Process::start(&recipe, dir.path()) {
                Ok(process) => {
                    let url = self.engine.url(recipe.port);
                    let process = Some(process);
                    let server = Server { setup: self, recipe, process, url, disk, dir };
                    server.prepare();
                    return Some(server);
                }
                Err(error) => said = error,
            }
        }
        panic!("{:?} does not start:\n{said}", self.engine)
    }

    fn of_others(self, url: String) -> Server {
        let recipe = Recipe {
            program: PathBuf::new(),
            arguments: Vec::new(),
            ready: "",
            user: None,
            port: 0,
            tls_port: 0,
        };
        Server { setup: self, recipe, process: None, url, disk: None, dir: directory() }
    }

    fn missing(&self) -> Option<Server> {
        missing(self.engine.name());
        None
    }
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Engine::Postgres => "PostgreSQL",
            Engine::Mariadb => "MariaDB",
            Engine::Redis => "Redis",
            Engine::Mongodb => "MongoDB (or nx-27017, or $SCHEDRS_TEST_MONGODB)",
        }
    }

    fn url(self, port: u16) -> String {
        match self {
            Engine::Postgres => format!("postgres://schedrs@127.0.0.1:{port}/postgres"),
            Engine::Mariadb => format!("mysql://schedrs:secret@127.0.0.1:{port}/schedrs"),
            Engine::Redis => format!("redis://127.0.0.1:{port}/0"),
            Engine::Mongodb => format!("mongodb://127.0.0.1:{port}/schedrs"),
        }
    }
}

impl Server {
    pub fn postgres() -> Option<Server> {
        Setup::of(Engine::Postgres).start()
    }

    pub fn mariadb() -> Option<Server> {
        Setup::of(Engine::Mariadb).start()
    }

    pub fn redis() -> Option<Server> {
        Setup::of(Engine::Redis).start()
    }

    pub fn mongodb() -> Option<Server> {
        Setup::of(Engine::Mongodb).start()
    }

    /// The one of the test program, for all tests that do it no harm. `None`: the machine has none.
    pub fn shared(engine: Engine) -> Option<&'static Server> {
        static SERVERS: [OnceLock<Option<Server>>; 4] = [const { OnceLock::new() }; 4];
        let place = &SERVERS[engine as usize];
        let server = place.get_or_init(|| Setup::of(engine).start());
        if server.is_none() {
            // Each test says it.
            missing(engine.name());
        }
        server.as_ref()
    }

    /// What needs the running server.
    fn prepare(&self) {
        if self.setup.engine == Engine::Postgres && self.setup.follows.is_none() {
            self.cli("CREATE ROLE locked LOGIN PASSWORD 'secret'; CREATE ROLE nobody LOGIN");
        }
    }

    pub fn engine(&self) -> Engine {
        self.setup.engine
    }

    /// Where it is, by TCP. PostgreSQL: its user `schedrs` needs no password, `locked` has the
    /// password `secret`. MariaDB: its user `schedrs` has the password `secret`. A `nobody` (the
    /// same) has no rights.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same through a [`proxy`], or on another port.
    pub fn url_at(&self, port: u16) -> String {
        self.setup.engine.url(port)
    }

    /// A place in it that nobody else uses: a schema (PostgreSQL), a database of its own.
    pub fn fresh(&self) -> String {
        self.fresh_of(&self.url)
    }

    /// The same place through another port.
    pub fn fresh_at(&self, port: u16) -> String {
        self.fresh_of(&self.url_at(port))
    }

    fn fresh_of(&self, url: &str) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let (base, _) = url.rsplit_once('/').unwrap();
        match self.setup.engine {
            Engine::Postgres => format!("{url}?schema=test{number}"),
            Engine::Mariadb => {
                self.cli(&format!("CREATE DATABASE test{number}"));
                format!("{base}/test{number}")
            }
            Engine::Redis => format!("{base}/{number}"),
            // Others may have left something in theirs.
            Engine::Mongodb => {
                let and = if url.contains('?') { '&' } else { '?' };
                format!("{url}{and}name=test{number}_{}", std::process::id())
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.recipe.port))
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.recipe.port
    }

    /// The port on which it speaks TLS, for the name `localhost` only.
    pub fn tls_port(&self) -> u16 {
        self.recipe.tls_port
    }

    /// The stand-in for MongoDB speaks no TLS: this stands before it and does, for the name
    /// `localhost` only.
    pub fn behind_tls(&self) -> Option<Server> {
        let dir = directory();
        let recipe = mongodb::tls_recipe(self.recipe.port)?;
        let process = Process::start(&recipe, dir.path()).unwrap();
        let url = self.url_at(recipe.port);
        let (setup, process) = (self.setup.clone(), Some(process));
        Some(Server { setup, recipe, process, url, disk: None, dir })
    }

    /// The directory of its Unix socket, and of its data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::pid)
    }

    /// What its own client answers: SQL, or words of a Redis command.
    #[track_caller]
    pub fn cli(&self, text: &str) -> String {
        let (recipe, dir) = (&self.recipe, self.dir.path());
        match self.setup.engine {
            Engine::Postgres => postgres::cli(recipe, dir, text),
            Engine::Mariadb => mariadb::cli(dir, text),
            Engine::Redis => redis::cli(recipe, text),
            Engine::Mongodb => mongodb::cli(recipe, text),
        }
    }

    /// kill -9, of all of its processes. They are gone when it answers.
    pub fn kill(&mut self) {
        self.process.as_mut().expect("a server of others is not killed").kill();
    }

    /// Asks it to end as it should, and waits for that.
    pub fn end(&mut self) {
        self.process.as_mut().expect("a server of others is not ended").end();
    }

    /// Stops all of its processes where they are: connections stay, nothing is answered.
    pub fn stop(&self) {
        self.process.as_ref().expect("a server of others is not stopped").stop();
    }

    /// Lets it go on.
    pub fn cont(&self) {
        self.process.as_ref().expect("a server of others is not stopped").cont();
    }

    /// Starts it again on its data and its port; kills it before if it still runs.
    #[track_caller]
    pub fn restart(&mut self) {
        let process = self.process.as_mut().expect("a server of others is not started");
        process.kill();
        if let Err(error) = process.again(&self.recipe) {
            panic!("{:?} does not start again:\n{error}", self.setup.engine);
        }
    }

    /// What it has printed.
    pub fn log(&self) -> String {
        self.process.as_ref().map_or(String::new(), Process::log)
    }
}

/// The certificates of the tests: the authority's, the server's (for `localhost`), its key.
pub fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

/// A file system in memory.
#[derive(Debug)]
struct Disk(PathBuf);

impl Disk {
    /// `None`: nobody may, which is said.
    fn mount(at: &Path, mib: u32) -> Option<Disk> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m,mode=755"), "none"]).arg(at);
        if !mount.output().is_ok_and(|done| done.status.success()) {
            skipped("root, and the right to mount");
            return None;
        }
        Some(Disk(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A directory that servers can reach which are not root.
fn directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("schedrs-").tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// A port of this machine that is free now, and none that the kernel gives to clients.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(7919);
    for _ in 0..1000 {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + (number % 12_000) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free")
}

/// Finds a program in `$PATH`, or in directories that are not in it.
fn find(name: &str, beside: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let sbin = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let all = beside.iter().cloned().chain(std::env::split_paths(&path)).chain(sbin);
    all.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Runs a program that has something to say, and answers it.
#[track_caller]
fn output_of(command: &mut Command) -> String {
    try_output_of(command).unwrap_or_else(|error| panic!("{error}"))
}

/// The same. `Err`: how it failed, and all that it said.
fn try_output_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let talk = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {talk}{text}", output.status));
    }
    Ok(text.trim_end().to_owned())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
