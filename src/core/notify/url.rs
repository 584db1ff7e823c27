//! The URL of a receiver, taken apart: what is connected to, and what of it may be shown.
//!
//! In the URL of a chat's webhook the path is the password, so that nothing shows more of one than
//! its scheme and host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a URL begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http://`
    Http,
    /// `https://`
    Https,
    /// `smtp://`
    Smtp,
    /// `smtps://`
    Smtps,
}

/// The URL of a receiver. Shown as its scheme and host.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    /// What stands before the `@`.
    user: Option<Box<str>>,
    /// In small letters; an IPv6 address without its brackets.
    host: Box<str>,
    port: Option<u16>,
    /// The path and the query; it begins with a `/`.
    rest: Box<str>,
}

/// Longer ones are a mistake.
const LONGEST: usize = 4096;

impl Scheme {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Smtp => "smtp",
            Scheme::Smtps => "smtps",
        }
    }
}

impl Url {
    /// A URL of a web server. The error is the end of a sentence, and holds nothing of the text.
    pub fn http(text: &str) -> Result<Url, &'static str> {
        let schemes = [("https://", Scheme::Https), ("http://", Scheme::Http)];
        Url::parse(text, &schemes).ok_or("is no URL such as https://example.org/path")?
    }

    /// A URL of a mail server.
    pub fn smtp(text: &str) -> Result<Url, &'static str> {
        let schemes = [("smtps://", Scheme::Smtps), ("smtp://", Scheme::Smtp)];
        let url = Url::parse(text, &schemes)
            .ok_or("is no URL such as smtps://user@mail.example.org")??;
        if url.user.as_deref().is_some_and(|user| user.contains(':')) {
            return Err("holds a password: put that into `password`");
        }
        Ok(url)
    }

    /// `None`: it begins with none of those.
    fn parse(text: &str, schemes: &[(&str, Scheme)]) -> Option<Result<Url, &'static str>> {
        let begins = |scheme: &str| {
            text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        let (begin, scheme) = schemes.iter().find(|(begin, _)| begins(begin))?;
        Some(Url::of_parts(*scheme, &text[begin.len()..]))
    }

    fn of_parts(scheme: Scheme, text: &str) -> Result<Url, &'static str> {
        if text.len() > LONGEST {
            return Err("is too long for a URL");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err("has characters that no URL has: write them as %XX");
        }
        let text = text.split('#').next().unwrap_or_default();
        let end = text.find(['/', '?']).unwrap_or(text.len());
        let (authority, rest) = text.split_at(end);
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, authority),
        };
        let (host, port) = match place.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((host, port))) if host.parse::<Ipv6Addr>().is_ok() => (host, port),
            Some(_) => return Err("has no address of IPv6 between its brackets"),
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match port.strip_prefix(':') {
            Some("") => None,
            Some(port) => Some(port.parse().map_err(|_| "has a port that is none")?),
            None if port.is_empty() => None,
            None => return Err("has no `:` between its host and its port"),
        };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte);
        if host.is_empty() || host.len() > 253 || !host.bytes().all(named) {
            return Err("has no host such as example.org");
        }
        let rest = if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") };
        let host = host.to_ascii_lowercase().into();
        Ok(Url { scheme, user: user.map(Into::into), host, port, rest: rest.into() })
    }

    /// How it begins.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Its host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port, if it says one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// What stands before the `@` of it, with `%XX` made into what that stands for.
    pub fn user(&self) -> Option<String> {
        self.user.as_deref().map(decoded)
    }

    /// Its path, and its query if it has one.
    pub fn rest(&self) -> &str {
        &self.rest
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, query) = self.rest.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    /// The same with something behind its path, which must need no `%XX`. A query is dropped.
    #[must_use]
    pub fn join(&self, end: &str) -> Url {
        let path = self.rest.split('?').next().unwrap_or_default();
        let rest = format!("{}{end}", path.trim_end_matches('/')).into();
        Url { rest, ..self.clone() }
    }

    /// The same with another path and query.
    #[must_use]
    pub fn with_rest(&self, rest: &str) -> Url {
        Url { rest: rest.into(), ..self.clone() }
    }

    /// The URL without the last part of its path, and that part; `None`: its path has none.
    pub fn split_last(&self) -> Option<(Url, &str)> {
        let path = self.rest.split('?').next().unwrap_or_default();
        let (start, last) = path.trim_end_matches('/').rsplit_once('/')?;
        let rest = format!("{start}/").into();
        (!last.is_empty()).then(|| (Url { rest, ..self.clone() }, last))
    }

    /// All of it but the user: for whoever connects to it.
    pub fn secret_text(&self) -> String {
        format!("{}{}", self.origin(), self.rest)
    }

    /// What is connected to: `https://example.org:8443`.
    pub fn origin(&self) -> String {
        let scheme = self.scheme.word();
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        if self.host.contains(':') {
            format!("{scheme}://[{}]{port}", self.host)
        } else {
            format!("{scheme}://{}{port}", self.host)
        }
    }

    /// Whether its host is of this machine or of a private network; `None`: it is a name that is to
    /// be looked up first.
    pub fn is_private(&self) -> Option<bool> {
        if self.is_loopback() {
            return Some(true);
        }
        Some(is_private(self.host.parse().ok()?))
    }

    /// Whether its host is this machine, by its name or number.
    pub fn is_loopback(&self) -> bool {
        let named = *self.host == *"localhost" || self.host.ends_with(".localhost");
        named || self.host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    }

    /// The texts in it that are not to be shown.
    pub fn secrets(&self) -> Vec<String> {
        let path = (self.rest.len() > 1).then(|| self.rest.to_string());
        let user = self.user().into_iter().flat_map(|user| {
            let password = user.split_once(':').map(|(_, password)| password.to_owned());
            [password, self.user.as_deref().map(str::to_owned)]
        });
        let parts = self.rest.split(['/', '?', '&', '=']).filter(|part| part.len() >= 8);
        path.into_iter().chain(user.flatten()).chain(parts.map(str::to_owned)).collect()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())?;
        f.write_str(if self.rest.len() > 1 { "/…" } else { "" })
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Whether an address is one of this machine or of a private network. What is only valid on one
/// cable (169.254.0.0/16) does not count: in clouds it is where machines ask for their passwords.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

/// 100.64.0.0/10, which no router of the internet passes on (RFC 6598).
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && (64..128).contains(&second)
}

/// A text with each `%XX` made into what it stands for; what that makes no text of stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let digits = rest.get(at + 1..at + 3).filter(|two| !two.starts_with('+'));
        let number = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(number.unwrap_or(b'%'));
        rest = &rest[at + if number.is_some() { 3 } else { 1 }..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_shown_than_scheme_and_host() {
        let rows = [
            ("https://hooks.slack.com/services/T0/B0/XX", "https://hooks.slack.com/…"),
            ("HTTPS://Example.org", "https://example.org"),
            ("https://example.org/", "https://example.org"),
            ("https://ann:s3cret@example.org:8443?token=x", "https://example.org:8443/…"),
            ("http://[::1]:80/x#y", "http://[::1]:80/…"),
        ];
        for (text, shown) in rows {
            let url = Url::http(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("Url({shown})"));
        }
    }

    #[test]
    fn what_is_taken_apart() {
        let url =
            Url::http("https://ann:p%40ss@Example.org:8443/a/b?c=d&starttls=never#x").unwrap();
        assert_eq!((url.host(), url.port()), ("example.org", Some(8443)));
        assert_eq!(url.user().as_deref(), Some("ann:p@ss"));
        assert_eq!(url.secret_text(), "https://example.org:8443/a/b?c=d&starttls=never");
        assert_eq!(url.parameter("starttls"), Some("never"));
        assert_eq!(url.parameter("tls"), None);
        assert_eq!(url.join("/message").secret_text(), "https://example.org:8443/a/b/message");
        let (start, last) = url.split_last().unwrap();
        assert_eq!((&*start.secret_text(), last), ("https://example.org:8443/a/", "b"));
        assert_eq!(Url::http("https://example.org/").unwrap().split_last(), None);

        let url = Url::smtp("smtps://ops@example.org@mail.example.org").unwrap();
        assert_eq!(
            (url.user().as_deref(), url.host()),
            (Some("ops@example.org"), "mail.example.org")
        );
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "example.org",
            "ftp://example.org",
            "https://",
            "https:///x",
            "https://:80",
            "https://a b/",
            "https://a/\r\nHost: b",
            "https://a\\b/",
            "https://ä.org",
            "https://a:x/",
            "https://a:65536/",
            "https://[::1/",
            "https://[a]/",
            "https://[::1]80/",
        ] {
            assert!(Url::http(text).is_err(), "{text}");
        }
        assert!(Url::smtp("smtp://ann:s3cret@example.org").is_err());
        assert!(Url::smtp("https://example.org").is_err());
    }

    #[test]
    fn private_places() {
        let rows = [
            ("http://localhost/", Some(true), true),
            ("http://a.localhost/", Some(true), true),
            ("http://127.0.0.9/", Some(true), true),
            ("http://[::1]/", Some(true), true),
            ("http://[::ffff:127.0.0.1]/", Some(true), true),
            ("http://10.1.2.3/", Some(true), false),
            ("http://172.31.0.1/", Some(true), false),
            ("http://192.168.0.1/", Some(true), false),
            ("http://100.100.0.1/", Some(true), false),
            ("http://[fd00::1]/", Some(true), false),
            ("http://[::ffff:10.0.0.1]/", Some(true), false),
            ("http://172.32.0.1/", Some(false), false),
            ("http://169.254.169.254/", Some(false), false),
            ("http://[fe80::1]/", Some(false), false),
            ("http://8.8.8.8/", Some(false), false),
            ("http://gotify/", None, false),
            ("http://localhost.example.org/", None, false),
            ("http://127.0.0.1.example.org/", None, false),
        ];
        for (text, private, loopback) in rows {
            let url = Url::http(text).unwrap();
            assert_eq!((url.is_private(), url.is_loopback()), (private, loopback), "{text}");
        }
    }

    #[test]
    fn the_secrets_of_a_url() {
        let url = Url::http("https://ann:s3cret@example.org/services/T0/B0/abcdefgh?key=12345678");
        let secrets = url.unwrap().secrets();
        for expected in [
            "/services/T0/B0/abcdefgh?key=12345678",
            "s3cret",
            "ann:s3cret",
            "abcdefgh",
            "12345678",
        ] {
            assert!(secrets.iter().any(|secret| secret == expected), "{expected}: {secrets:?}");
        }
    }
}
