//! `[web]`: where the page of `schedrs web` is, and who may look at it.

use std::net::{IpAddr, SocketAddr};

use super::route::Secret;

/// What `[web]` says. The page (`crate::web`) has the rules for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebSettings {
    /// Where it listens; `None`: where [`Listen::default`] says.
    pub listen: Option<Listen>,
    /// What whoever looks has to know. Without it each start makes up one of its own.
    pub token: Option<Secret>,
    /// The header in which a proxy says who has logged in there.
    pub user_header: Option<Box<str>>,
    /// The proxies that are believed, beside whoever may use the Unix socket.
    pub trust: Box<[IpAddr]>,
    /// The names by which browsers may call it, beside `localhost`.
    pub hosts: Box<[Box<str>]>,
    /// Whether jobs can be started, stopped, paused and resumed there.
    pub actions: bool,
    /// Whether `/metrics`, `/health` and `/ready` are for everybody who can connect.
    pub metrics_open: bool,
}

/// Where the page listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At a socket in the file system: who may use that may look.
    Unix(Box<str>),
    /// At an address and a port.
    Tcp(SocketAddr),
}

impl Default for Listen {
    fn default() -> Listen {
        Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080)))
    }
}

impl Listen {
    /// Reads `unix:/path` or `127.0.0.1:8080`. The error finishes "this ...".
    pub fn parse(text: &str) -> Result<Listen, &'static str> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Listen::Unix(path.into())),
                false => Err("needs a whole path: unix:/run/schedrs/web.sock"),
            };
        }
        match text.parse() {
            Ok(address) => Ok(Listen::Tcp(address)),
            Err(_) => Err("is neither an address with a port nor `unix:` and a path"),
        }
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Listen::Unix(path) => write!(f, "unix:{path}"),
            Listen::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_listen() {
        for text in ["unix:/run/web.sock", "127.0.0.1:8080", "[::1]:80", "0.0.0.0:1"] {
            assert_eq!(Listen::parse(text).map(|listen| listen.to_string()), Ok(text.to_owned()));
        }
        for text in ["unix:web.sock", "localhost:8080", "127.0.0.1", "8080", ""] {
            assert!(Listen::parse(text).is_err(), "{text}");
        }
    }
}
