//! Where a URL leads, and what `~/.my.cnf` adds to it.
//!
//! `mysql://[USER[:PASSWORD]@]HOST[:PORT][,HOST…]/DATABASE`, or `mariadb://`. Of several hosts the first
//! that can be written is used. After a `?`: `socket`, `ssl-mode` (`disabled`, or anything else for a
//! server whose certificate is right), `ssl-ca` (a file), `password_file`. What is not said there is
//! taken from `[client]` in `~/.my.cnf`, as by every program of this engine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql::{Opts, OptsBuilder, SslOpts};

use crate::core::url::SharedUrl;
use crate::store::url::decoded;
use crate::store::{StoreError, Trouble};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(6);
/// What every connection is told first. Backslashes are used in texts, and a lock is not waited for
/// longer than a run can be.
const FIRST: &str = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
                     innodb_lock_wait_timeout = 2, lock_wait_timeout = 5, time_zone = '+00:00'";
/// Others' rows are seen as they are, and no gap between two rows is ever locked.
const LEVEL: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// How to connect.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) url: SharedUrl,
    given: Given,
    password: Option<String>,
}

/// What is wrong with a URL, whatever there is on this machine.
pub(in crate::store) fn check(url: &SharedUrl) -> Result<(), String> {
    Given::read(url.secret_text())?.check()
}

/// What a URL and a file say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Given {
    hosts: Vec<(String, u16)>,
    database: Option<String>,
    user: Option<String>,
    password: Option<String>,
    password_file: Option<PathBuf>,
    socket: Option<String>,
    tls: Option<bool>,
    ca: Option<PathBuf>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Settings").field(&self.url).finish()
    }
}

impl Settings {
    /// Of a URL. It says which database is used; what else it leaves open is looked up.
    pub(super) fn of(url: &SharedUrl) -> Result<Settings, StoreError> {
        let wrong = |what: String| StoreError::new(Trouble::Other, format!("{url} {what}"));
        let mut given = Given::read(url.secret_text()).map_err(wrong)?;
        if let Some(home) = std::env::var_os("HOME") {
            let file = Path::new(&home).join(".my.cnf");
            if let Ok(text) = std::fs::read_to_string(&file) {
                given.add(&text);
            }
        }
        given.check().map_err(wrong)?;
        // The client says that a file is missing, and not which.
        if let Some(Err(error)) = given.ca.as_ref().map(std::fs::File::open)
            && let Some(ca) = &given.ca
        {
            return Err(wrong(format!("needs its ssl-ca {}: {error}", ca.display())));
        }
        let password = match &given.password_file {
            None => given.password.clone(),
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    let message = format!("{} cannot be read: {error}", file.display());
                    url.error(Trouble::Denied, &message)
                })?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        };
        Ok(Settings { url: url.clone(), given, password })
    }

    pub(super) fn database(&self) -> &str {
        self.given.database.as_deref().unwrap_or_default()
    }

    /// How to reach each host, in the order in which they are to be tried.
    pub(super) fn hosts(&self) -> Vec<(String, Opts)> {
        let given = &self.given;
        if let Some(socket) = &given.socket {
            let options = self.options().socket(Some(socket.clone())).prefer_socket(true);
            return vec![(socket.clone(), options.into())];
        }
        let local = [("localhost".to_owned(), 3306)];
        let hosts = if given.hosts.is_empty() { &local[..] } else { &given.hosts };
        let host = |(host, port): &(String, u16)| {
            let options = self.options().ip_or_hostname(Some(host.clone())).tcp_port(*port);
            (format!("{host}:{port}"), options.prefer_socket(false).into())
        };
        hosts.iter().map(host).collect()
    }

    fn options(&self) -> OptsBuilder {
        let given = &self.given;
        let tls = given.tls.unwrap_or(given.ca.is_some());
        let mut ssl = SslOpts::default();
        if let Some(ca) = &given.ca {
            ssl = ssl.with_root_cert_path(Some(ca.clone()));
        }
        OptsBuilder::new()
            .user(given.user.clone())
            .pass(self.password.clone())
            .db_name(given.database.clone())
            .ssl_opts(tls.then_some(ssl))
            .tcp_connect_timeout(Some(CONNECT))
            .read_timeout(Some(ANSWER))
            .write_timeout(Some(ANSWER))
            .tcp_user_timeout_ms(Some(ANSWER.as_millis() as u32))
            .stmt_cache_size(0)
            .init(vec![FIRST, LEVEL])
    }
}

impl Given {
    fn read(text: &str) -> Result<Given, String> {
        let (_, rest) = text.split_once("://").ok_or("is no URL")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decoded(password))),
            None => (login, None),
        };
        let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
        let filled = |text: &str| Some(decoded(text)).filter(|text| !text.is_empty());
        let mut given =
            Given { user: filled(user), password, database: filled(database), ..Given::default() };
        for host in hosts.split(',').filter(|host| !host.is_empty()) {
            given.hosts.push(host_and_port(host)?);
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            given.set(key, decoded(value))?;
        }
        Ok(given)
    }

    fn check(&self) -> Result<(), String> {
        match self.database {
            Some(_) => Ok(()),
            None => Err("names no database: mysql://HOST/DATABASE".to_owned()),
        }
    }

    fn set(&mut self, key: &str, value: String) -> Result<(), String> {
        match &*key.replace('_', "-").to_ascii_lowercase() {
            "socket" => self.socket = Some(value),
            "ssl-ca" | "ca" => self.ca = Some(value.into()),
            "ssl-mode" | "sslmode" | "tls" => self.tls = Some(is_tls(&value)?),
            "password" => self.password = Some(value),
            "password-file" => self.password_file = Some(value.into()),
            _ => return Err(format!("has the unknown parameter {key:?}")),
        }
        Ok(())
    }

    /// Adds what `[client]` of a file of options says, where nothing is said yet.
    fn add(&mut self, text: &str) {
        let mut ours = false;
        let (mut host, mut port) = (None, 3306);
        for line in text.lines().map(str::trim) {
            if let Some(group) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                ours = ["client", "client-mariadb", "client-server"].contains(&group.trim());
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| ours) else { continue };
            let value = value.trim();
            let quoted =
                value.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\'']));
            let value = quoted.unwrap_or(value).to_owned();
            match &*key.trim().replace('_', "-") {
                "user" => self.user = self.user.take().or(Some(value)),
                "password" => self.password = self.password.take().or(Some(value)),
                "database" => self.database = self.database.take().or(Some(value)),
                "host" => host = Some(value),
                "port" => port = value.parse().unwrap_or(3306),
                "socket" if self.hosts.is_empty() => {
                    self.socket = self.socket.take().or(Some(value));
                }
                "ssl-ca" => self.ca = self.ca.take().or(Some(value.into())),
                _ => {}
            }
        }
        if let Some(host) = host.filter(|_| self.hosts.is_empty()) {
            self.hosts.push((host, port));
        }
    }
}

/// Whether a word of `ssl-mode` wants TLS, which is then always checked.
fn is_tls(word: &str) -> Result<bool, String> {
    match &*word.replace('_', "-").to_ascii_lowercase() {
        "disabled" | "disable" | "false" => Ok(false),
        "required" | "require" | "verify-ca" | "verify-identity" | "verify-full" | "true" => {
            Ok(true)
        }
        _ => Err(format!("has the ssl-mode {word:?}: use disabled or required")),
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let Some(port) = port else { return Ok((decoded(host), 3306)) };
    let number = port.parse().map_err(|_| format!("has the port {port:?}, which is none"))?;
    Ok((decoded(host), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let read = |text: &str| Given::read(text).unwrap();
        let full = read("mysql://ann:s%40c:ret@db1,db2:3307/jobs?ssl-mode=REQUIRED&ssl-ca=/ca.pem");
        assert_eq!(full.hosts, [("db1".to_owned(), 3306), ("db2".to_owned(), 3307)]);
        assert_eq!(
            (full.user.as_deref(), full.password.as_deref()),
            (Some("ann"), Some("s@c:ret"))
        );
        assert_eq!((full.database.as_deref(), full.tls), (Some("jobs"), Some(true)));
        let local = read("mariadb:///jobs?socket=/run/mysqld.sock");
        assert_eq!((local.hosts.len(), local.socket.as_deref()), (0, Some("/run/mysqld.sock")));
        for text in ["mysql://db:x/jobs", "mysql://db/jobs?sslmode=perhaps", "mysql://db/jobs?x=1"]
        {
            assert!(Given::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_adds_what_the_url_leaves_open() {
        let text =
            "[mysqld]\nuser = root\n[client]\nuser=bob\npassword = \"s;x\"\nhost=h\nport=7\n";
        let mut open = Given::read("mysql:///jobs").unwrap();
        open.add(text);
        assert_eq!((open.user.as_deref(), open.password.as_deref()), (Some("bob"), Some("s;x")));
        assert_eq!(open.hosts, [("h".to_owned(), 7)]);
        let mut given = Given::read("mysql://ann:own@db/jobs").unwrap();
        given.add(text);
        assert_eq!((given.user.as_deref(), given.password.as_deref()), (Some("ann"), Some("own")));
        assert_eq!(given.hosts, [("db".to_owned(), 3306)]);
    }
}
