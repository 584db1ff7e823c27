//! What a URL of a PostgreSQL says, in the form that `psql` and libpq take, and where the password
//! comes from.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::core::url::SharedUrl;
use crate::store::{StoreError, Trouble};

/// How long to wait for a connection to one host.
pub(super) const CONNECT: Duration = Duration::from_secs(3);
/// Where Debian's server has its socket, and libpq looks for it.
const SOCKETS: &str = "/var/run/postgresql";

/// How to reach a store.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) url: SharedUrl,
    /// One for each host, to be tried in this order.
    pub(super) hosts: Vec<Config>,
    pub(super) tls: MakeRustlsConnect,
    /// The schema that the tables are in, as it is.
    pub(super) schema: String,
    /// It is only read, for people: a standby will do where no server may be written.
    pub(super) only_reads: bool,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("url", &self.url).field("schema", &self.schema).finish()
    }
}

/// Parameters of the URL that the client knows nothing of.
#[derive(Debug, Default)]
struct Own {
    schema: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<PathBuf>,
    passfile: Option<PathBuf>,
}

impl Settings {
    /// Reads a URL. What is wrong with it is an error of the store.
    pub(super) fn of(url: &SharedUrl) -> Result<Settings, StoreError> {
        let wrong = |message: String| url.error(Trouble::Other, &message);
        let (own, mut config, schema) = taken_apart(url).map_err(wrong)?;
        complete(&mut config, own.passfile.as_deref());
        let hosts = each_host(&config, own.sslmode.is_some());
        let tls = own.tls().map_err(wrong)?;
        Ok(Settings { url: url.clone(), hosts, tls, schema, only_reads: false })
    }
}

/// What a URL says, whatever there is on this machine: what is ours, what the client is told, and the
/// schema. An error is a sentence without a full stop.
pub(in crate::store) fn check(url: &SharedUrl) -> Result<(), String> {
    taken_apart(url).map(drop)
}

fn taken_apart(url: &SharedUrl) -> Result<(Own, Config, String), String> {
    let (own, rest) = split(url.secret_text())?;
    let config: Result<Config, tokio_postgres::Error> = rest.parse();
    let mut config = config.map_err(|error| super::trouble::words(&error))?;
    config.ssl_mode(own.mode()?);
    let schema = own.schema.clone().unwrap_or_else(|| "schedrs".to_owned());
    if schema.is_empty() || schema.len() > 63 || schema.contains(['\0', '"']) {
        return Err(format!("\"{schema}\" is no name of a schema"));
    }
    Ok((own, config, schema))
}

/// Takes what is ours out of a URL.
fn split(url: &str) -> Result<(Own, String), String> {
    let (scheme, rest) = url.split_once("://").ok_or("it has no ://")?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut own = Own::default();
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "schema" => own.schema = Some(decoded(value)?),
            "sslmode" => own.sslmode = Some(decoded(value)?),
            "sslrootcert" => own.sslrootcert = Some(decoded(value)?.into()),
            "passfile" => own.passfile = Some(decoded(value)?.into()),
            "hostaddr" => return Err("hostaddr is not supported; write the address as host".into()),
            _ => others.push(pair),
        }
    }
    let mark = if others.is_empty() { "" } else { "?" };
    let scheme = scheme.to_ascii_lowercase();
    Ok((own, format!("{scheme}://{place}{mark}{}", others.join("&"))))
}

/// A text without `%xx`.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("\"{text}\" has a % without two digits after it"))?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).map_err(|_| format!("\"{text}\" is no UTF-8"))
}

impl Own {
    fn mode(&self) -> Result<SslMode, String> {
        match self.sslmode.as_deref() {
            Some("disable") => Ok(SslMode::Disable),
            None | Some("prefer") => Ok(SslMode::Prefer),
            Some("require" | "verify-ca" | "verify-full") => Ok(SslMode::Require),
            Some(other) => Err(format!(
                "sslmode={other}: expected disable, prefer, require or verify-full (a certificate \
                 is always checked, with its name)"
            )),
        }
    }

    /// TLS by rustls, with the authorities of browsers or those of a file.
    fn tls(&self) -> Result<MakeRustlsConnect, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = &self.sslrootcert {
            let cannot = |error: &dyn std::fmt::Display| {
                format!("sslrootcert {} cannot be read: {error}", file.display())
            };
            roots = RootCertStore::empty();
            for found in CertificateDer::pem_file_iter(file).map_err(|error| cannot(&error))? {
                let certificate = found.map_err(|error| cannot(&error))?;
                roots.add(certificate).map_err(|error| cannot(&error))?;
            }
            if roots.is_empty() {
                return Err(format!("sslrootcert {} has no certificate in it", file.display()));
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }
}

/// What the URL leaves out, from where libpq takes it.
fn complete(config: &mut Config, passfile: Option<&Path>) {
    if config.get_hosts().is_empty() {
        match env::var("PGHOST") {
            Ok(host) if !host.is_empty() => config.host(host),
            _ if Path::new(SOCKETS).is_dir() => config.host(SOCKETS),
            _ => config.host("localhost"),
        };
    }
    if config.get_user().is_none() {
        let uid = rustix::process::geteuid().as_raw();
        let user = env::var("PGUSER").ok().filter(|user| !user.is_empty());
        let user = user.or_else(|| crate::sys::accounts::user_name(uid));
        config.user(user.unwrap_or_else(|| "postgres".to_owned()));
    }
    if config.get_dbname().is_none() {
        let name = env::var("PGDATABASE").ok().filter(|name| !name.is_empty());
        let name = name.or_else(|| config.get_user().map(str::to_owned));
        config.dbname(name.unwrap_or_default());
    }
    if config.get_password().is_none() {
        if let Ok(password) = env::var("PGPASSWORD") {
            config.password(password);
        } else if let Some(password) = from_file(config, passfile) {
            config.password(password);
        }
    }
    if config.get_application_name().is_none() {
        config.application_name("schedrs");
    }
    if config.get_target_session_attrs() == TargetSessionAttrs::Any {
        // A standby is of no use to whoever writes.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(6));
    }
    config.connect_timeout(CONNECT);
}

/// The password from `~/.pgpass` or the file in its place.
fn from_file(config: &Config, passfile: Option<&Path>) -> Option<String> {
    let named =
        passfile.map(Path::to_owned).or_else(|| env::var_os("PGPASSFILE").map(PathBuf::from));
    let file = match named {
        Some(file) => file,
        None => PathBuf::from(env::var_os("HOME")?).join(".pgpass"),
    };
    let found = fs::metadata(&file).ok()?;
    if found.is_file() && found.permissions().mode() & 0o077 != 0 {
        log::warn!("{} is left alone: others may read it (chmod 0600)", file.display());
        return None;
    }
    let text = fs::read_to_string(&file).ok()?;
    let port = config.get_ports().first().copied().unwrap_or(5432).to_string();
    let host = match config.get_hosts().first()? {
        Host::Tcp(host) => host.clone(),
        Host::Unix(_) => "localhost".to_owned(),
    };
    let wanted = [&*host, &*port, config.get_dbname()?, config.get_user()?];
    text.lines().find_map(|line| password_of(line, wanted))
}

/// The password in a line of such a file, if the line is for this.
fn password_of(line: &str, wanted: [&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        let field = fields.last_mut()?;
        match char {
            '\\' => field.extend(chars.next()),
            ':' => fields.push(String::new()),
            char => field.push(char),
        }
    }
    let fits = |(field, wanted): (&String, &str)| field == "*" || field == wanted;
    let all = fields.len() == 5 && fields.iter().zip(wanted).all(fits);
    all.then(|| fields.swap_remove(4))
}

/// The same settings for each host alone. `said`: whether there is to be TLS is in the URL; else there
/// is none on the way to this machine itself, where many servers have a certificate of nobody.
fn each_host(config: &Config, said: bool) -> Vec<Config> {
    let ports = config.get_ports();
    let of = |(place, host): (usize, &Host)| {
        let mut one = Config::new();
        let port = ports.get(place).or(ports.first()).copied().unwrap_or(5432);
        one.port(port);
        match host {
            Host::Tcp(host) if !said && is_here(host) => one.host(host).ssl_mode(SslMode::Disable),
            Host::Tcp(host) => one.host(host).ssl_mode(config.get_ssl_mode()),
            // No server speaks TLS on its socket.
            Host::Unix(path) => one.host_path(path).ssl_mode(SslMode::Disable),
        };
        one.user(config.get_user().unwrap_or_default());
        one.dbname(config.get_dbname().unwrap_or_default());
        if let Some(password) = config.get_password() {
            one.password(password);
        }
        if let Some(options) = config.get_options() {
            one.options(options);
        }
        one.application_name(config.get_application_name().unwrap_or_default());
        one.ssl_negotiation(config.get_ssl_negotiation());
        one.channel_binding(config.get_channel_binding());
        one.target_session_attrs(config.get_target_session_attrs());
        one.connect_timeout(CONNECT);
        if let Some(limit) = config.get_tcp_user_timeout() {
            one.tcp_user_timeout(*limit);
        }
        one
    };
    config.get_hosts().iter().enumerate().map(of).collect()
}

/// Whether it is this machine.
fn is_here(host: &str) -> bool {
    let address: Result<std::net::IpAddr, _> = host.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// A host as people write it.
pub(super) fn name_of(host: &Config) -> String {
    let port = host.get_ports().first().copied().unwrap_or(5432);
    match host.get_hosts().first() {
        Some(Host::Tcp(name)) => format!("{name}:{port}"),
        Some(Host::Unix(path)) => format!("{} (port {port})", path.display()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Settings, String> {
        Settings::of(&SharedUrl::parse(url).unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn urls() {
        let url = "postgres://ann:pw@a,b:5433/jobs?schema=my%20jobs&target_session_attrs=any";
        let settings = of(url).unwrap();
        assert_eq!(settings.schema, "my jobs");
        let hosts: Vec<String> = settings.hosts.iter().map(name_of).collect();
        assert_eq!(hosts, ["a:5432", "b:5433"]);
        for host in &settings.hosts {
            assert_eq!(host.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
            assert_eq!((host.get_user(), host.get_dbname()), (Some("ann"), Some("jobs")));
            assert_eq!(host.get_password(), Some(&b"pw"[..]));
        }
        let modes = [
            ("postgres://localhost,db/x", [SslMode::Disable, SslMode::Prefer]),
            ("postgres://127.0.0.1,db/x?sslmode=prefer", [SslMode::Prefer, SslMode::Prefer]),
            ("postgres://[::1],db/x?sslmode=verify-full", [SslMode::Require, SslMode::Require]),
        ];
        for (url, expected) in modes {
            let found: Vec<SslMode> =
                of(url).unwrap().hosts.iter().map(Config::get_ssl_mode).collect();
            assert_eq!(found, expected, "{url}");
        }
        let socket = of("postgresql://ann@%2Frun%2Fpg:7/jobs?sslmode=require").unwrap();
        assert_eq!(name_of(&socket.hosts[0]), "/run/pg (port 7)");
        assert_eq!(socket.hosts[0].get_ssl_mode(), SslMode::Disable);
        assert!(!format!("{settings:?}").contains("pw"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        let rows = [
            ("sslmode=allow", "expected disable, prefer, require or verify-full"),
            ("sslrootcert=/none.pem", "/none.pem cannot be read"),
            ("schema=", "no name of a schema"),
            ("schema=%zz", "without two digits"),
            ("colour=red", "colour"),
            ("hostaddr=1.2.3.4", "hostaddr"),
        ];
        for (query, expected) in rows {
            let error = of(&format!("postgres://ann:s3cret@h/jobs?{query}")).unwrap_err();
            assert!(error.contains(expected), "{query}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn lines_of_a_password_file() {
        let wanted = ["db", "5432", "jobs", "ann"];
        let rows = [
            ("db:5432:jobs:ann:pw", Some("pw")),
            ("*:*:*:*:p\\:w\\\\", Some("p:w\\")),
            ("db:5432:jobs:bob:pw", None),
            ("# db:5432:jobs:ann:pw", None),
            ("db:5432:jobs:ann", None),
            ("", None),
        ];
        for (line, expected) in rows {
            assert_eq!(password_of(line, wanted).as_deref(), expected, "{line}");
        }
    }
}
