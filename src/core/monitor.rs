//! `ping`: a service outside that watches over a job and alarms when it hears nothing of it, as it is
//! meant. What it is told when is decided by `crate::core::notify::pings`.

use std::collections::BTreeSet;
use std::ops::Range;

use super::route::{Secret, Transport};

/// A service that watches, by the form in which it wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MonitorKind {
    /// healthchecks.io, or one's own.
    Healthchecks,
    /// Sentry Crons.
    Sentry,
    /// Cronitor.
    Cronitor,
    /// Uptime Kuma, a monitor of the type "Push".
    Kuma,
    /// Whatever takes a request for a sign of life.
    Url,
}

impl MonitorKind {
    /// Every one.
    pub const ALL: [MonitorKind; 5] = [
        MonitorKind::Healthchecks,
        MonitorKind::Sentry,
        MonitorKind::Cronitor,
        MonitorKind::Kuma,
        MonitorKind::Url,
    ];

    /// The key that names it in a `ping`.
    pub fn word(self) -> &'static str {
        match self {
            MonitorKind::Healthchecks => "healthchecks",
            MonitorKind::Sentry => "sentry",
            MonitorKind::Cronitor => "cronitor",
            MonitorKind::Kuma => "kuma",
            MonitorKind::Url => "url",
        }
    }

    /// Whether it has an ear for that at all.
    pub fn hears(self, moment: PingOn) -> bool {
        self != MonitorKind::Kuma || moment != PingOn::Start
    }
}

/// When a plain URL is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PingOn {
    /// A run has started.
    Start,
    /// A run has succeeded.
    Success,
    /// A run has failed for good.
    Failure,
}

impl PingOn {
    /// Every one.
    pub const ALL: [PingOn; 3] = [PingOn::Start, PingOn::Success, PingOn::Failure];

    /// The word for it in `on`.
    pub fn word(self) -> &'static str {
        match self {
            PingOn::Start => "start",
            PingOn::Success => "success",
            PingOn::Failure => "failure",
        }
    }
}

/// `ping`: who is told of each run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// In which form; `None`: as the host of the URL says.
    pub kind: Option<MonitorKind>,
    /// Its URL, which is a secret: whoever knows it can say that all is well. [`PLACEHOLDERS`] in it are
    /// filled in.
    pub url: Secret,
    /// With [`MonitorKind::Url`], when it is asked for.
    pub on: BTreeSet<PingOn>,
    /// How it gets there.
    pub transport: Transport,
}

impl Monitor {
    /// When a plain URL is asked for that does not say.
    pub const ON: [PingOn; 1] = [PingOn::Success];

    /// One that says nothing but its URL.
    pub fn of(kind: Option<MonitorKind>, url: Secret) -> Monitor {
        Monitor { kind, url, on: BTreeSet::from(Monitor::ON), transport: Transport::default() }
    }

    /// The files that it names.
    pub fn paths(&self) -> impl Iterator<Item = &Box<str>> {
        let url = if let Secret::File(path) = &self.url { Some(path) } else { None };
        url.into_iter().chain(&self.transport.ca_file)
    }

    /// The same, to be changed.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut Box<str>> {
        let url = if let Secret::File(path) = &mut self.url { Some(path) } else { None };
        url.into_iter().chain(&mut self.transport.ca_file)
    }

    /// Whether it may want to hear of that, as far as is known without its URL.
    pub fn may_want(&self, moment: PingOn) -> bool {
        match self.kind {
            None => true,
            Some(MonitorKind::Url) => self.on.contains(&moment),
            Some(kind) => kind.hears(moment),
        }
    }
}

/// What may stand in braces in the path of its URL.
pub(crate) const PLACEHOLDERS: [&str; 3] = ["job", "slug", "host"];

/// The text in braces that a URL has, and where it is with them. A brace in a URL itself is `%7B`.
pub(crate) fn in_braces(url: &str) -> Vec<(Range<usize>, &str)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(open) = url[from..].find('{').map(|at| from + at) {
        let Some(close) = url[open..].find('}').map(|at| open + at) else {
            found.push((open..url.len(), &url[open + 1..]));
            break;
        };
        found.push((open..close + 1, &url[open + 1..close]));
        from = close + 1;
    }
    found
}

/// A text with what is in braces filled in. The error is what nothing is known to fill in for.
pub(crate) fn filled(url: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, &str> {
    let (mut text, mut from) = (String::with_capacity(url.len()), 0);
    for (range, name) in in_braces(url) {
        text.push_str(&url[from..range.start]);
        text.push_str(&value(name).ok_or(name)?);
        from = range.end;
    }
    text.push_str(&url[from..]);
    Ok(text)
}

/// A name as services want it in a URL: small letters, digits, `-` and `_`.
pub(crate) fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            'a'..='z' | '0'..='9' | '_' => slug.push(c),
            'A'..='Z' => slug.push(c.to_ascii_lowercase()),
            _ if slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_braces() {
        let rows: [(&str, &[&str]); 6] = [
            ("https://a/b", &[]),
            ("https://a/{job}?x={host}", &["job", "host"]),
            ("https://a/{}{{job}", &["", "{job"]),
            ("https://a/{job", &["job"]),
            ("https://a/}{", &[""]),
            ("https://a/{é}", &["é"]),
        ];
        for (text, expected) in rows {
            let found = in_braces(text);
            let names: Vec<&str> = found.iter().map(|(_, name)| *name).collect();
            assert_eq!(names, expected, "{text}");
            assert!(found.iter().all(|(range, _)| text[range.clone()].starts_with('{')));
        }
        let value = |name: &str| (name == "job").then(|| "x".to_owned());
        assert_eq!(filled("/{job}/a{job}", value).as_deref(), Ok("/x/ax"));
        assert_eq!(filled("/{job}/{hots}", value), Err("hots"));
    }

    #[test]
    fn slugs() {
        let rows = [
            ("backup", "backup"),
            ("Nightly Backup (EU)", "nightly-backup-eu"),
            ("a_b.c", "a_b-c"),
            ("-ä-", ""),
        ];
        for (name, expected) in rows {
            assert_eq!(slug(name), expected);
        }
    }
}
