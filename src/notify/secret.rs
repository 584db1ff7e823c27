//! The URLs, tokens and passwords of a route: from where they are said to be, to their text.
//!
//! They are read each time that something is sent, so that one that was replaced is used at once and
//! none is kept. Nothing here shows one: not a debugger's dump, not an error.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::core::notify::{Secret, Service};
use crate::sys::trust::{self, Owners};

/// A larger file is a mistake.
const LARGEST: u64 = 64 << 10;

/// A secret that was read. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Resolved(Box<str>);

impl Resolved {
    /// What it is: for whoever sends it, and nobody else.
    pub fn secret_text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where secrets are read from.
pub trait Access {
    /// The content of a file. The error finishes "the file PATH ...".
    fn file(&self, path: &Path) -> Result<Vec<u8>, String>;
    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The files and the environment of this process.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Access for Machine {
    fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
        let cannot = |error: io::Error| format!("cannot be read: {error}");
        // A FIFO is not waited for.
        let mut options = OpenOptions::new();
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
        let file: File = options.read(true).custom_flags(flags).open(path).map_err(cannot)?;
        if !file.metadata().map_err(cannot)?.is_file() {
            return Err("is no regular file".to_owned());
        }
        // Whoever can replace it decides where root's messages go.
        let is_root = rustix::process::geteuid().is_root();
        let doubt = trust::doubt(&file, path, Owners::of_this_process(None));
        if let Some(doubt) = doubt.filter(|doubt| is_root && doubt.grave) {
            return Err(format!("{} (help: {})", doubt.what, doubt.help));
        }
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("is larger than {} KiB", LARGEST >> 10));
        }
        Ok(bytes)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// Reads a secret. The error says what is wrong with it, not what it is.
pub fn resolve(secret: &Secret, access: &dyn Access) -> Result<Resolved, String> {
    let (text, what) = match secret {
        Secret::Text(text) => (text.to_string(), "it".to_owned()),
        Secret::File(path) => (file(Path::new(&**path), access)?, format!("the file {path}")),
        Secret::Env(name) => {
            let value = access.variable(name);
            (
                value.ok_or_else(|| format!("the variable {name} is not set"))?,
                format!("the variable {name}"),
            )
        }
        Secret::Credential(name) => {
            let directory = access.variable("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                format!("systemd has given no credentials: set LoadCredential={name}:FILE")
            })?;
            if name.contains('/') || matches!(&**name, "" | "." | "..") {
                return Err(format!("{name} is no name of a credential"));
            }
            (file(&Path::new(&directory).join(&**name), access)?, format!("the credential {name}"))
        }
    };
    let text = text.trim_end();
    if text.is_empty() {
        return Err(format!("{what} is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{what} has more than one line, or control characters"));
    }
    Ok(Resolved(text.into()))
}

fn file(path: &Path, access: &dyn Access) -> Result<String, String> {
    let bytes = access.file(path).map_err(|why| format!("the file {} {why}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("the file {} is no UTF-8", path.display()))
}

/// The secrets of a route, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secrets {
    /// Where it leads.
    pub url: Option<Resolved>,
    /// A token, a key or a password.
    pub key: Option<Resolved>,
}

impl Secrets {
    /// Reads those that a service has. The error says which of them cannot be had, and why.
    pub fn of(service: &Service, access: &dyn Access) -> Result<Secrets, String> {
        let read = |key: &str, secret: Option<&Secret>| {
            let read = secret.map(|secret| resolve(secret, access)).transpose();
            read.map_err(|why| format!("{key}: {why}"))
        };
        let (url, name, key) = match service {
            Service::Webhook { url, secret } => (Some(url), "secret", secret.as_ref()),
            Service::Slack { url } | Service::Discord { url } => (Some(url), "", None),
            Service::Ntfy { url, token } => (Some(url), "token", token.as_ref()),
            Service::Gotify { url, token } => (Some(url), "token", Some(token)),
            Service::Telegram { token, url, .. } => (url.as_ref(), "token", Some(token)),
            Service::PagerDuty { key, url } => (url.as_ref(), "key", Some(key)),
            Service::Mail { smtp, .. } => {
                (None, "password", smtp.as_ref().and_then(|smtp| smtp.password.as_ref()))
            }
            Service::Command(_) => (None, "", None),
        };
        Ok(Secrets { url: read("url", url)?, key: read(name, key)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few files and variables.
    struct Fake;

    impl Access for Fake {
        fn file(&self, path: &Path) -> Result<Vec<u8>, String> {
            match path.to_str() {
                Some("/etc/url") => Ok(b"https://example.org/s3cret\r\n\n".to_vec()),
                Some("/run/cred/slack") => Ok(b"from systemd".to_vec()),
                Some("/etc/two") => Ok(b"s3cret\ns3cret".to_vec()),
                Some("/etc/none") => Ok(b" \n".to_vec()),
                Some("/etc/latin") => Ok(b"s3cret\xe4".to_vec()),
                _ => Err("cannot be read: it is not there".to_owned()),
            }
        }

        fn variable(&self, name: &str) -> Option<String> {
            match name {
                "TOKEN" => Some("s3cret ".to_owned()),
                "EMPTY" => Some(String::new()),
                "CREDENTIALS_DIRECTORY" => Some("/run/cred".to_owned()),
                _ => None,
            }
        }
    }

    #[test]
    fn where_secrets_are() {
        let rows = [
            (Secret::Text("plain".into()), Ok("plain")),
            (Secret::File("/etc/url".into()), Ok("https://example.org/s3cret")),
            (Secret::Env("TOKEN".into()), Ok("s3cret")),
            (Secret::Credential("slack".into()), Ok("from systemd")),
            (
                Secret::File("/etc/away".into()),
                Err("the file /etc/away cannot be read: it is not there"),
            ),
            (Secret::File("/etc/none".into()), Err("the file /etc/none is empty")),
            (Secret::File("/etc/latin".into()), Err("the file /etc/latin is no UTF-8")),
            (
                Secret::File("/etc/two".into()),
                Err("the file /etc/two has more than one line, or control characters"),
            ),
            (Secret::Env("EMPTY".into()), Err("the variable EMPTY is empty")),
            (Secret::Env("AWAY".into()), Err("the variable AWAY is not set")),
            (Secret::Credential("../url".into()), Err("../url is no name of a credential")),
        ];
        for (secret, expected) in rows {
            let read = resolve(&secret, &Fake);
            let read = read.as_ref().map(Resolved::secret_text).map_err(String::as_str);
            assert_eq!(read, expected, "{secret:?}");
        }
    }

    #[test]
    fn none_is_shown() {
        let service = Service::Gotify {
            url: Secret::File("/etc/url".into()),
            token: Secret::Env("TOKEN".into()),
        };
        let secrets = Secrets::of(&service, &Fake).unwrap();
        let shown = format!("{secrets:?} {}", secrets.key.as_ref().unwrap());
        assert_eq!(shown, "Secrets { url: Some(***), key: Some(***) } ***");
        let service = Service::Slack { url: Secret::File("/etc/two".into()) };
        let error = Secrets::of(&service, &Fake).unwrap_err();
        assert!(error.starts_with("url: ") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn files_of_this_machine() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(Machine.file(&path).unwrap(), b"s3cret\n");
        std::fs::write(&path, "s".repeat(70_000)).unwrap();
        assert_eq!(Machine.file(&path).unwrap_err(), "is larger than 64 KiB");
        assert_eq!(Machine.file(directory.path()).unwrap_err(), "is no regular file");
        let error = Machine.file(&directory.path().join("away")).unwrap_err();
        assert!(error.starts_with("cannot be read: No such file"), "{error}");
    }
}
