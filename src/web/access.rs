//! Who may ask. Pure but for the random numbers: what time it is comes as an argument.
//!
//! On a socket in the file system, whoever may use the file may look. On TCP each request carries
//! the token, as a tool does, or a cookie that a browser got for it; on loopback, too, because any
//! user of the machine, and any page in a browser on it, can reach that. A proxy that is trusted may
//! say who has logged in there instead.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header;
use sha2::{Digest, Sha256};

use crate::core::instant::Mono;
use crate::core::web::{Listen, WebSettings};

/// How long a link to log in is good for, once.
pub(super) const LINK: Duration = Duration::from_secs(300);
/// How long a browser stays logged in.
pub(super) const SESSION: Duration = Duration::from_secs(12 * 3600);
/// So many browsers are at most.
const SESSIONS: usize = 256;
/// So many wrong tokens an address may try within a minute.
const WRONG: u32 = 5;
/// So many addresses are counted at most.
const COUNTED: usize = 1024;

/// Something whose text is known to few, by its hash: two hashes are compared, so that how long that
/// takes says nothing about either.
type Hash = [u8; 32];

/// Who may ask.
pub(crate) struct Access {
    is_tcp: bool,
    token: Hash,
    link: Mutex<Option<(Hash, Mono)>>,
    sessions: Mutex<HashMap<Hash, Mono>>,
    wrong: Mutex<HashMap<IpAddr, (Mono, u32)>>,
    settings: WebSettings,
    cookie: String,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A process of this user, at the socket.
    Unix(Box<str>),
    /// An address, and the one of ours that it has reached.
    Tcp { remote: SocketAddr, local: SocketAddr },
}

/// Who asks, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    /// For the record.
    pub(super) name: Box<str>,
    /// It is a browser that was let in by a cookie, so that other pages may have made it ask.
    pub(super) by_cookie: bool,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// They have to log in.
    Unknown,
    /// They have tried too often.
    TooOften,
}

impl Access {
    /// `token`: what was configured, or made up.
    pub(crate) fn new(settings: WebSettings, listen: &Listen, token: &str) -> Access {
        let port = match listen {
            Listen::Tcp(address) => format!("schedrs_{}", address.port()),
            Listen::Unix(_) => "schedrs".to_owned(),
        };
        Access {
            is_tcp: matches!(listen, Listen::Tcp(_)),
            token: hash(token),
            link: Mutex::default(),
            sessions: Mutex::default(),
            wrong: Mutex::default(),
            settings,
            // Browsers do not tell ports apart.
            cookie: port,
        }
    }

    /// Whether there is anything to log in to.
    pub(super) fn has_login(&self) -> bool {
        self.is_tcp && self.settings.user_header.is_none()
    }

    pub(super) fn has_actions(&self) -> bool {
        self.settings.actions
    }

    pub(super) fn has_open_metrics(&self) -> bool {
        self.settings.metrics_open
    }

    /// What makes a link to log in, once.
    pub(crate) fn new_link(&self, now: Mono) -> std::io::Result<String> {
        let code = random()?;
        *lock(&self.link) = Some((hash(&code), now.plus(LINK)));
        Ok(code)
    }

    /// Who asks.
    pub(super) fn who(&self, peer: &Peer, headers: &HeaderMap, now: Mono) -> Result<Who, Refused> {
        let known = |name: &str| Who { name: name.into(), by_cookie: false };
        if let Some(header) = &self.settings.user_header {
            let user = only(headers, header).filter(|user| is_name(user));
            if let Some(user) = user.filter(|_| self.trusts(peer)) {
                return Ok(known(user));
            }
        }
        match peer {
            // With a header that is asked for, the file's mode lets the proxy in, and nobody else.
            Peer::Unix(user) if self.settings.user_header.is_none() => return Ok(known(user)),
            Peer::Unix(_) => return Err(Refused::Unknown),
            Peer::Tcp { .. } => {}
        }
        if let Some(token) = bearer(headers) {
            self.try_token(peer, token, now)?;
            return Ok(known("web"));
        }
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
        let mut own = pairs.filter(|(name, _)| name.trim() == self.cookie);
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, until| *until > now);
        match own.any(|(_, value)| sessions.contains_key(&hash(value.trim()))) {
            true => Ok(Who { name: "web".into(), by_cookie: true }),
            false => Err(Refused::Unknown),
        }
    }

    /// Takes a token that somebody has typed or a tool has sent.
    pub(super) fn try_token(&self, peer: &Peer, token: &str, now: Mono) -> Result<(), Refused> {
        let address = match peer {
            Peer::Tcp { remote, .. } => remote.ip(),
            Peer::Unix(_) => return Err(Refused::Unknown),
        };
        let mut wrong = lock(&self.wrong);
        wrong.retain(|_, (until, _)| *until > now);
        let is_full = wrong.len() >= COUNTED && !wrong.contains_key(&address);
        if is_full || wrong.get(&address).is_some_and(|(_, count)| *count >= WRONG) {
            return Err(Refused::TooOften);
        }
        if is_same(&hash(token), &self.token) {
            return Ok(());
        }
        let minute = now.plus(Duration::from_secs(60));
        wrong.entry(address).or_insert((minute, 0)).1 += 1;
        Err(Refused::Unknown)
    }

    /// Takes the code of a link: it is good for one time.
    pub(super) fn try_link(&self, code: &str, now: Mono) -> bool {
        let mut link = lock(&self.link);
        let is_good =
            link.as_ref().is_some_and(|(known, until)| *until > now && is_same(&hash(code), known));
        if is_good {
            *link = None;
        }
        is_good
    }

    /// Lets a browser in from here on: the cookie that says so.
    pub(super) fn let_in(&self, now: Mono) -> std::io::Result<String> {
        let value = random()?;
        let mut sessions = lock(&self.sessions);
        if sessions.len() >= SESSIONS
            && let Some(oldest) = sessions.iter().min_by_key(|(_, until)| **until)
        {
            let oldest = *oldest.0;
            sessions.remove(&oldest);
        }
        sessions.insert(hash(&value), now.plus(SESSION));
        let (name, age) = (&self.cookie, SESSION.as_secs());
        Ok(format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={age}"))
    }

    fn trusts(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Unix(_) => true,
            Peer::Tcp { remote, .. } => self.settings.trust.contains(&remote.ip().to_canonical()),
        }
    }

    /// Whether a request may call us by this name: otherwise it may come from a page whose name leads
    /// here only now (DNS rebinding).
    pub(super) fn is_called(&self, host: &str, peer: &Peer) -> bool {
        let Some(name) = name_of(host) else { return false };
        if let Ok(address) = name.parse::<IpAddr>() {
            return match peer {
                Peer::Tcp { local, .. } => {
                    address == local.ip().to_canonical()
                        || (address.is_loopback() && local.ip().to_canonical().is_loopback())
                }
                Peer::Unix(_) => address.is_loopback(),
            };
        }
        name == "localhost" || self.settings.hosts.iter().any(|known| **known == name)
    }
}

/// Whether the page of somebody else has made a browser ask. A link there may lead here, and no more.
pub(super) fn is_foreign(headers: &HeaderMap, host: &str, is_read: bool) -> bool {
    if let Some(site) = only(headers, "sec-fetch-site") {
        let is_link = is_read
            && only(headers, "sec-fetch-mode") == Some("navigate")
            && only(headers, "sec-fetch-dest") == Some("document");
        return !matches!(site, "same-origin" | "none") && !is_link;
    }
    match only(headers, "origin") {
        Some(origin) => {
            let own = origin.split_once("://").map(|(_, host)| host);
            !own.is_some_and(|own| own.eq_ignore_ascii_case(host))
        }
        None => headers.contains_key("origin") || headers.contains_key("sec-fetch-site"),
    }
}

/// Whether a browser has said where a request comes from.
pub(super) fn says_origin(headers: &HeaderMap) -> bool {
    headers.contains_key("sec-fetch-site") || headers.contains_key("origin")
}

/// The one value of a header; `None`: it has none, or several.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(first)
}

/// The name in `Host`, without its port.
fn name_of(host: &str) -> Option<String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, rest) = rest.split_once(']')?;
            match rest {
                "" => (name, None),
                rest => (name, Some(rest.strip_prefix(':')?)),
            }
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (port.is_none_or(is_port) && !name.is_empty())
        .then(|| name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, "authorization")?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether something can stand in the record as the name of a user.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && !name.chars().any(crate::problem::is_hidden)
}

fn hash(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

fn is_same(one: &Hash, other: &Hash) -> bool {
    one.iter().zip(other).fold(0, |found, (a, b)| found | (a ^ b)) == 0
}

/// 256 bits that nobody can guess.
pub(crate) fn random() -> std::io::Result<String> {
    let mut bytes = [0u8; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a thread that has ended has left is still as it should be.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = hyper::header::HeaderName::from_static(name);
            map.append(name, value.parse().unwrap());
        }
        map
    }

    fn tcp(remote: &str, local: &str) -> Peer {
        Peer::Tcp { remote: remote.parse().unwrap(), local: local.parse().unwrap() }
    }

    fn access(settings: WebSettings) -> Access {
        Access::new(settings, &Listen::default(), "right")
    }

    fn here() -> Peer {
        tcp("127.0.0.1:40000", "127.0.0.1:8080")
    }

    #[test]
    fn names_by_which_it_is_called() {
        let hosts = Box::new(["cron.example.org".into()]) as Box<[Box<str>]>;
        let access = access(WebSettings { hosts, ..WebSettings::default() });
        let lan = tcp("10.0.0.9:1", "10.0.0.5:8080");
        let rows = [
            ("127.0.0.1:8080", true, false, true),
            ("127.0.0.1", true, false, true),
            ("[::1]:8080", true, false, true),
            ("10.0.0.5:8080", false, true, false),
            ("localhost:9", true, true, true),
            ("LOCALHOST.", true, true, true),
            ("cron.example.org", true, true, true),
            ("Cron.Example.org:443", true, true, true),
            ("127.0.0.1.evil.com", false, false, false),
            ("evil.com", false, false, false),
            ("localhost.evil.com", false, false, false),
            ("cron.example.org.evil.com", false, false, false),
            ("cron.example.org@evil.com", false, false, false),
            ("localhost:8080:1", false, false, false),
            ("localhost:x", false, false, false),
            ("[::1]x", false, false, false),
            ("[::1", false, false, false),
            ("", false, false, false),
            (":8080", false, false, false),
        ];
        for (host, on_loopback, on_lan, on_unix) in rows {
            let unix = Peer::Unix("anna".into());
            let found = [&here(), &lan, &unix].map(|peer| access.is_called(host, peer));
            assert_eq!(found, [on_loopback, on_lan, on_unix], "{host}");
        }
    }

    #[test]
    fn pages_of_others() {
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        let frame = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ];
        type Pairs<'a> = &'a [(&'static str, &'a str)];
        let rows: [(Pairs<'_>, bool, bool); 11] = [
            (&[], false, false),
            (&[("sec-fetch-site", "same-origin")], false, false),
            (&[("sec-fetch-site", "none")], false, false),
            (&[("sec-fetch-site", "same-site")], true, true),
            (&[("sec-fetch-site", "cross-site")], true, true),
            (&link, false, true),
            (&frame, true, true),
            (&[("origin", "http://localhost:8080")], false, false),
            (&[("origin", "http://localhost:8081")], true, true),
            (&[("origin", "null")], true, true),
            (&[("origin", "http://localhost:8080"), ("origin", "http://evil")], true, true),
        ];
        for (pairs, reads, writes) in rows {
            let headers = headers(pairs);
            let found =
                [true, false].map(|is_read| is_foreign(&headers, "localhost:8080", is_read));
            assert_eq!(found, [reads, writes], "{pairs:?}");
        }
    }

    #[test]
    fn tokens_and_cookies() {
        let (access, now) = (access(WebSettings::default()), Mono::from_micros(1_000_000_000));
        let ask = |pairs: &[(&'static str, &str)]| access.who(&here(), &headers(pairs), now);
        assert_eq!(ask(&[]), Err(Refused::Unknown));
        assert!(ask(&[("authorization", "Bearer right")]).is_ok_and(|who| !who.by_cookie));
        assert_eq!(ask(&[("authorization", "Basic right")]), Err(Refused::Unknown));
        let cookie = access.let_in(now).unwrap();
        let cookie = cookie.split(';').next().unwrap();
        assert!(ask(&[("cookie", &format!("a=b; {cookie}"))]).is_ok_and(|who| who.by_cookie));
        assert_eq!(ask(&[("cookie", &format!("{cookie}0"))]), Err(Refused::Unknown));
        let later = now.plus(SESSION);
        let old = access.who(&here(), &headers(&[("cookie", cookie)]), later);
        assert_eq!(old, Err(Refused::Unknown));
    }

    #[test]
    fn a_link_is_good_once_and_for_a_while() {
        let (access, now) = (access(WebSettings::default()), Mono::from_micros(1_000_000_000));
        assert!(!access.try_link("", now));
        let code = access.new_link(now).unwrap();
        assert!(!access.try_link("other", now));
        assert!(access.try_link(&code, now));
        assert!(!access.try_link(&code, now));
        let code = access.new_link(now).unwrap();
        assert!(!access.try_link(&code, now.plus(LINK)));
    }

    #[test]
    fn wrong_tokens_are_few() {
        let (access, now) = (access(WebSettings::default()), Mono::from_micros(1_000_000_000));
        for _ in 0..WRONG {
            assert_eq!(access.try_token(&here(), "wrong", now), Err(Refused::Unknown));
        }
        assert_eq!(access.try_token(&here(), "right", now), Err(Refused::TooOften));
        let other = tcp("127.0.0.2:1", "127.0.0.1:8080");
        assert_eq!(access.try_token(&other, "right", now), Ok(()));
        let later = now.plus(Duration::from_secs(60));
        assert_eq!(access.try_token(&here(), "right", later), Ok(()));
    }

    #[test]
    fn a_proxy_says_who_it_is() {
        let settings = WebSettings {
            user_header: Some("remote-user".into()),
            trust: Box::new(["10.0.0.5".parse().unwrap()]),
            ..WebSettings::default()
        };
        let (access, now) = (access(settings), Mono::from_micros(1_000_000_000));
        let anna = headers(&[("remote-user", "anna")]);
        let two = headers(&[("remote-user", "anna"), ("remote-user", "root")]);
        let proxy = tcp("10.0.0.5:1", "10.0.0.1:8080");
        let mapped = tcp("[::ffff:10.0.0.5]:1", "[::ffff:10.0.0.1]:8080");
        let unix = Peer::Unix("www-data".into());
        for peer in [&proxy, &mapped, &unix] {
            assert_eq!(access.who(peer, &anna, now).map(|who| who.name), Ok("anna".into()));
            for headers in [&two, &HeaderMap::new(), &headers(&[("remote-user", "")])] {
                assert_eq!(access.who(peer, headers, now), Err(Refused::Unknown));
            }
        }
        assert_eq!(access.who(&here(), &anna, now), Err(Refused::Unknown));
    }
}
