//! A connection to Redis: made when it is needed, and thrown away after any error.
//!
//! `redis://[USER][:PASSWORD]@HOST[:PORT][/DATABASE]`, the same with `rediss://` for TLS,
//! `redis+sentinel://HOST,HOST/MASTER[/DATABASE]` (port 26379), and `redis:///PATH/OF/SOCKET`. After a
//! `?`: `name` (of the fleet: many can share a database), `db`, `ca` (a file of certificates),
//! `password_file`, `sentinel_password`.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use redis::{
    Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, ServerErrorKind, TlsCertificates, Value, cmd,
};

use super::reply::{self, Odd};
use crate::core::url::SharedUrl;
use crate::store::url::{decoded, handshake};
use crate::store::{StoreError, Trouble};

/// The script that does everything.
const SCRIPT: &str = include_str!("store.lua");
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(3);
/// The keys and their contents have this form.
const SCHEMA: u32 = 1;

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    hosts: Vec<(String, u16)>,
    socket: Option<PathBuf>,
    /// Whom the sentinels are to be asked for.
    master: Option<String>,
    tls: bool,
    ca: Option<PathBuf>,
    user: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    sentinel_password: Option<String>,
    database: i64,
    name: String,
}

impl Target {
    /// Reads a URL. An error is what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Target, String> {
        let (scheme, rest) = text.split_once("://").ok_or("is no URL")?;
        let scheme = scheme.to_ascii_lowercase();
        let sentinel = scheme.ends_with("+sentinel");
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = rest.rsplit_once('@').map_or(("", rest), |(login, rest)| (login, rest));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let filled = |text: &str| Some(decoded(text)).filter(|text| !text.is_empty());
        let mut target = Target {
            hosts: Vec::new(),
            socket: None,
            master: None,
            tls: scheme.starts_with("rediss"),
            ca: None,
            user: filled(user),
            password: filled(password),
            password_file: None,
            sentinel_password: None,
            database: 0,
            name: "default".to_owned(),
        };
        let mut database = path;
        if sentinel {
            let (master, rest) = path.split_once('/').unwrap_or((path, ""));
            target.master = filled(master);
            database = rest;
            if target.master.is_none() {
                return Err("has no name of a master: redis+sentinel://HOST,HOST/MASTER".into());
            }
        } else if hosts.is_empty() && !path.is_empty() {
            target.socket = Some(PathBuf::from(format!("/{}", decoded(path))));
            database = "";
        }
        for host in hosts.split(',').filter(|host| !host.is_empty()) {
            target.hosts.push(host_and_port(host, if sentinel { 26379 } else { 6379 })?);
        }
        if target.hosts.is_empty() && target.socket.is_none() {
            target.hosts.push(("localhost".to_owned(), 6379));
        }
        if target.hosts.len() > 1 && !sentinel {
            return Err("has several hosts: only sentinels can be several".into());
        }
        target.set_database(database)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            target.set(pair)?;
        }
        Ok(target)
    }

    fn set_database(&mut self, text: &str) -> Result<(), String> {
        if !text.is_empty() {
            let number = text.parse().ok().filter(|number| *number >= 0);
            self.database =
                number.ok_or(format!("has the database {text:?}, which is not a number"))?;
        }
        Ok(())
    }

    fn set(&mut self, pair: &str) -> Result<(), String> {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value);
        match key {
            "name" if value.is_empty() || value.contains(['{', '}']) => {
                return Err(format!("has the name {value:?}: use letters and digits"));
            }
            "name" => self.name = value,
            "db" => self.set_database(&value)?,
            "ca" => self.ca = Some(value.into()),
            "password" => self.password = Some(value),
            "password_file" => self.password_file = Some(value.into()),
            "sentinel_password" => self.sentinel_password = Some(value),
            _ => return Err(format!("has the unknown parameter {key:?}")),
        }
        Ok(())
    }

    fn addr(&self, (host, port): (&str, u16)) -> ConnectionAddr {
        if self.tls {
            let (host, insecure) = (host.to_owned(), false);
            ConnectionAddr::TcpTls { host, port, insecure, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.to_owned(), port)
        }
    }

    /// The password, wherever it is.
    fn password(&self) -> Result<Option<String>, StoreError> {
        let Some(file) = &self.password_file else { return Ok(self.password.clone()) };
        read_file(file).map(|text| Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

fn host_and_port(text: &str, port: u16) -> Result<(String, u16), String> {
    let (host, given) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let Some(given) = given else { return Ok((decoded(host), port)) };
    let port = given.parse().map_err(|_| format!("has the invalid port {given:?}"))?;
    Ok((decoded(host), port))
}

fn read_file(path: &Path) -> Result<String, StoreError> {
    std::fs::read_to_string(path).map_err(|error| {
        let message = format!("{} cannot be read: {error}", path.display());
        StoreError::new(Trouble::Denied, message)
    })
}

/// A connection, or where to make one.
pub(super) struct Link {
    pub(super) url: SharedUrl,
    target: Target,
    key: String,
    hash: String,
    conn: Option<redis::Connection>,
    /// What there is to say about the server, once it has been asked.
    warnings: Vec<String>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Link").field(&self.url).finish()
    }
}

/// What is wrong with a URL, whatever there is on this machine.
pub(in crate::store) fn check(url: &SharedUrl) -> Result<(), String> {
    Target::read(url.secret_text()).map(drop)
}

impl Link {
    /// Without connecting.
    pub(super) fn new(url: &SharedUrl) -> Result<Link, StoreError> {
        let target = Target::read(url.secret_text())
            .map_err(|what| StoreError::new(Trouble::Other, format!("{url} {what}")))?;
        let key = format!("schedrs:{{{}}}:fleet", target.name);
        let hash = redis::Script::new(SCRIPT).get_hash().to_owned();
        let (conn, warnings) = (None, Vec::new());
        Ok(Link { url: url.clone(), target, key, hash, conn, warnings })
    }

    /// Another one to the same place.
    pub(super) fn again(&self) -> Result<Link, StoreError> {
        Link::new(&self.url)
    }

    /// What there is to say about the server.
    pub(super) fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// A key, by what follows what all have in common.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.key.trim_end_matches("fleet"))
    }

    /// An operation of the script; its arguments are to follow.
    pub(super) fn operation(&self, name: &str) -> Cmd {
        let mut operation = cmd("EVALSHA");
        operation.arg(&self.hash).arg(1).arg(&self.key).arg(name);
        operation
    }

    /// Asks, and takes the answer apart.
    pub(super) fn ask<T>(
        &mut self,
        question: &Cmd,
        take: impl FnOnce(Value) -> Result<T, Odd>,
    ) -> Result<T, StoreError> {
        let answer = self.answer(question)?;
        self.taken(take(answer))
    }

    /// What was taken from an answer, or an error that tells of the store.
    pub(super) fn taken<T>(&self, taken: Result<T, Odd>) -> Result<T, StoreError> {
        taken.map_err(|Odd| {
            self.url
                .error(Trouble::Corrupt, "holds data that is not from schedrs; use another name")
        })
    }

    fn answer(&mut self, question: &Cmd) -> Result<Value, StoreError> {
        // Whatever goes wrong, this connection is not used again.
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect()?,
        };
        let answer = match question.query::<Value>(&mut conn) {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let load = cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query::<Value>(&mut conn);
                load.and_then(|_| question.query::<Value>(&mut conn))
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| self.trouble(&error))?;
        self.conn = Some(conn);
        Ok(answer)
    }

    /// Several questions at once.
    pub(super) fn pipe(&mut self, pipe: &redis::Pipeline) -> Result<Vec<Value>, StoreError> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connect()?,
        };
        let answers = pipe.query(&mut conn).map_err(|error| self.trouble(&error))?;
        self.conn = Some(conn);
        Ok(answers)
    }

    /// Makes a connection, and sees whether it leads to a server that can hold a store.
    fn connect(&mut self) -> Result<redis::Connection, StoreError> {
        let mut conn = match (&self.target.socket, &self.target.master) {
            (Some(path), _) => self.open(ConnectionAddr::Unix(path.clone()))?,
            (None, Some(master)) => {
                let (host, port) = self.master(master)?;
                self.open(self.target.addr((&host, port)))?
            }
            (None, None) => {
                let (host, port) = self.target.hosts.first().cloned().unwrap_or_default();
                self.open(self.target.addr((&host, port)))?
            }
        };
        self.check(&mut conn)?;
        let known = cmd("HGET").arg(&self.key).arg("schema").to_owned();
        let mut schema = known.query::<Value>(&mut conn).map_err(|error| self.trouble(&error))?;
        // Where it is written already a server that takes nothing any more can be read.
        if schema == Value::Nil {
            let open =
                cmd("EVAL").arg(SCRIPT).arg(1).arg(&self.key).arg("open").arg(SCHEMA).to_owned();
            schema = open.query::<Value>(&mut conn).map_err(|error| self.trouble(&error))?;
        }
        match reply::number::<u32>(&schema) {
            Ok(found) if found > SCHEMA => {
                let message = format!(
                    "was written by a newer schedrs (its schema is {found}, this one knows up to \
                     {SCHEMA}); use that one, or another name"
                );
                Err(self.url.error(Trouble::Newer(found), &message))
            }
            Ok(_) => Ok(conn),
            Err(Odd) => Err(self.url.error(Trouble::Corrupt, "holds other data; use another name")),
        }
    }

    /// Where the master is, by the first sentinel that answers.
    fn master(&self, name: &str) -> Result<(String, u16), StoreError> {
        let mut last = None;
        for (host, port) in &self.target.hosts {
            let mut settings = RedisConnectionInfo::default();
            if let Some(password) = &self.target.sentinel_password {
                settings = settings.set_password(password);
            }
            let asked =
                self.open_as(self.target.addr((host, *port)), settings).and_then(|mut conn| {
                    let question =
                        cmd("SENTINEL").arg("get-master-addr-by-name").arg(name).to_owned();
                    question
                        .query::<Option<(String, u16)>>(&mut conn)
                        .map_err(|error| self.trouble(&error))
                });
            match asked {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {
                    let message = format!("{host} does not watch a master {name:?}");
                    last = Some(self.url.error(Trouble::Missing, &message));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| self.url.error(Trouble::Missing, "has no sentinels")))
    }

    fn open(&self, addr: ConnectionAddr) -> Result<redis::Connection, StoreError> {
        let mut settings = RedisConnectionInfo::default().set_db(self.target.database);
        if let Some(password) = self.target.password()? {
            settings = settings.set_password(password);
        }
        if let Some(user) = &self.target.user {
            settings = settings.set_username(user);
        }
        self.open_as(addr, settings)
    }

    fn open_as(
        &self,
        addr: ConnectionAddr,
        settings: RedisConnectionInfo,
    ) -> Result<redis::Connection, StoreError> {
        let trouble = |error: RedisError| self.trouble(&error);
        let settings = settings.set_lib_name("schedrs", env!("CARGO_PKG_VERSION"));
        let info: ConnectionInfo = addr.into_connection_info().map_err(trouble)?;
        let info = info.set_redis_settings(settings);
        let client = if self.target.tls {
            choose_provider();
            let root_cert = match &self.target.ca {
                Some(file) => Some(read_file(file)?.into_bytes()),
                None => None,
            };
            let certificates = TlsCertificates { client_tls: None, root_cert };
            redis::Client::build_with_tls(info, certificates)
        } else {
            redis::Client::open(info)
        };
        let conn = client.and_then(|client| client.get_connection_with_timeout(CONNECT));
        let conn = conn.map_err(trouble)?;
        conn.set_read_timeout(Some(ANSWER)).map_err(trouble)?;
        conn.set_write_timeout(Some(ANSWER)).map_err(trouble)?;
        Ok(conn)
    }

    /// Whether a server keeps what it is given, and is the one to give it to.
    fn check(&mut self, conn: &mut redis::Connection) -> Result<(), StoreError> {
        let info: String = cmd("INFO").query(conn).map_err(|error| self.trouble(&error))?;
        let of = |key: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.unwrap_or_default().trim()
        };
        if of("role") == "slave" {
            let message = "is a replica: use the master, or its sentinels";
            return Err(self.url.error(Trouble::ReadOnly, message));
        }
        let policy = of("maxmemory_policy");
        if policy.starts_with("allkeys-") {
            let message = format!(
                "drops keys when it is full (maxmemory-policy {policy}); it must be noeviction"
            );
            return Err(self.url.error(Trouble::Other, &message));
        }
        self.warnings.clear();
        if of("aof_enabled") == "0" && of("connected_slaves") == "0" {
            let message =
                "loses everything when it restarts: turn appendonly on, or give it a replica";
            self.warnings.push(format!("the store {}: {message}", self.url));
        }
        Ok(())
    }

    /// What an error means.
    fn trouble(&self, error: &RedisError) -> StoreError {
        let text = error.to_string();
        let code = error.code().unwrap_or_default();
        let detail = error.detail().unwrap_or(&text);
        let with = |kind, what: &str| self.url.error(kind, what);
        match (error.kind(), code) {
            (ErrorKind::AuthenticationFailed, _) | (_, "WRONGPASS" | "NOAUTH") => {
                with(Trouble::Denied, "rejects this name and password")
            }
            (_, "NOPERM") => {
                with(Trouble::Denied, &format!("denies this user something it needs: {detail}"))
            }
            (_, "READONLY") => with(Trouble::Unreachable, "is no longer the master"),
            (_, "OOM") => with(Trouble::Full, "is out of memory"),
            (_, "MISCONF") => with(Trouble::Full, &format!("cannot write to its disk: {detail}")),
            (_, "NOREPLICAS") => with(Trouble::Unreachable, "has too few replicas"),
            (_, "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN") => {
                with(Trouble::Unreachable, &format!("is not ready: {detail}"))
            }
            (ErrorKind::Io, _) if error.is_timeout() => {
                with(Trouble::Unreachable, "does not answer in time")
            }
            (ErrorKind::Io, _) => {
                let text = handshake(&text, "ca").unwrap_or(text);
                with(Trouble::Unreachable, &format!("cannot be reached: {text}"))
            }
            _ if text.contains("DB index is out of range") => {
                let message = format!("has no database {}", self.target.database);
                with(Trouble::Missing, &message)
            }
            _ => with(Trouble::Other, &text),
        }
    }
}

/// Chooses who does the arithmetic of TLS, once for the process.
fn choose_provider() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        // An error means that somebody has chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let read = |text: &str| Target::read(text).unwrap();
        let plain = read("redis://db");
        assert_eq!((plain.hosts, plain.database), (vec![("db".into(), 6379)], 0));
        let full = read("rediss://ann:s%40cret@[::1]:7000/3?name=night&ca=/etc/ca.pem");
        assert_eq!(full.hosts, [("::1".to_owned(), 7000)]);
        assert_eq!((full.user.as_deref(), full.password.as_deref()), (Some("ann"), Some("s@cret")));
        assert_eq!((full.database, full.tls, &*full.name), (3, true, "night"));
        assert_eq!(full.ca, Some("/etc/ca.pem".into()));
        let watched = read("redis+sentinel://:pw@s1,s2:7/main/2?sentinel_password=x");
        assert_eq!(watched.hosts, [("s1".to_owned(), 26379), ("s2".to_owned(), 7)]);
        assert_eq!((watched.master.as_deref(), watched.database), (Some("main"), 2));
        assert_eq!((watched.user, watched.password.as_deref()), (None, Some("pw")));
        let socket = read("redis:///run/redis.sock?db=4");
        assert_eq!((socket.socket, socket.database), (Some("/run/redis.sock".into()), 4));
        for (text, why) in [
            ("redis://db/x", "not a number"),
            ("redis://db/-1", "not a number"),
            ("redis://db:x", "port"),
            ("redis://a,b", "several hosts"),
            ("redis+sentinel://a", "name of a master"),
            ("redis://db?nam=x", "unknown parameter \"nam\""),
            ("redis://db?name={x}", "letters and digits"),
        ] {
            assert!(Target::read(text).unwrap_err().contains(why), "{text}");
        }
    }
}
