//! What a [`Monitor`] is told: that a run has begun, that it is over, or that the scheduler is there.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::saved::{self, Outcomes};
use super::url::Url;
use crate::core::event::RunId;
use crate::core::instant::{Instant, duration_micros};
use crate::core::monitor::{Monitor, MonitorKind, PingOn};
use crate::core::outcome::Outcome;

/// Which of the two rows of a job it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// A run has begun.
    Start,
    /// A run is over.
    End,
    /// The scheduler itself is there.
    Beat,
}

impl Phase {
    /// Every one.
    pub const ALL: [Phase; 3] = [Phase::Start, Phase::End, Phase::Beat];

    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Start => "start",
            Phase::End => "end",
            Phase::Beat => "heartbeat",
        }
    }

    fn of(word: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.word() == word)
    }
}

/// What a monitor is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Ping {
    /// The job; empty with [`Phase::Beat`].
    pub job: Box<str>,
    /// What it says.
    pub phase: Phase,
    /// The run.
    pub run: Option<RunId>,
    /// What names the run for the monitor, a UUID: the same for its start and its end, and each time
    /// that it is sent.
    pub rid: Box<str>,
    /// The due time of the run.
    pub due: Instant,
    /// When it was decided.
    pub at: Instant,
    /// How the run has ended.
    pub outcome: Option<Outcome>,
    /// How long it took, if it had begun.
    pub duration: Option<Duration>,
    /// How many attempts it had.
    pub attempts: u32,
    /// The end of what it has printed, its secrets masked.
    pub output: Option<Box<str>>,
}

impl Ping {
    /// What it is for a plain URL.
    pub fn moment(&self) -> PingOn {
        match (self.phase, &self.outcome) {
            (Phase::Start, _) => PingOn::Start,
            (Phase::End, Some(outcome)) if !outcome.is_success() => PingOn::Failure,
            (Phase::End | Phase::Beat, _) => PingOn::Success,
        }
    }
}

/// What names a run wherever its pings go: a UUID (version 8) that is always the same for it. `seed`
/// tells the store from others.
pub fn rid(seed: &str, run: RunId) -> Box<str> {
    uuid(saved::hash(&[b"run", seed.as_bytes(), &run.0.to_le_bytes()]))
}

/// The same for the scheduler at a time.
pub fn beat_id(seed: &str, at: Instant) -> Box<str> {
    uuid(saved::hash(&[b"beat", seed.as_bytes(), &at.micros().to_le_bytes()]))
}

fn uuid(hash: u128) -> Box<str> {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    let bits = hash & !VERSION & !VARIANT | 8 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("{a}-{b}-{c}-{d}-{e}").into()
}

/// In which form a monitor of that URL is told, as its host or its path says.
pub fn kind_of(url: &Url) -> MonitorKind {
    let (host, path) = (url.host(), url.rest().split('?').next().unwrap_or_default());
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_of = |domain: &str| {
        host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    match *parts {
        _ if is_of("hc-ping.com") => MonitorKind::Healthchecks,
        _ if is_of("cronitor.link") => MonitorKind::Cronitor,
        ["api", _, "cron", ..] => MonitorKind::Sentry,
        [.., "api", "push", _] => MonitorKind::Kuma,
        _ => MonitorKind::Url,
    }
}

/// In which form a monitor is told that is at that URL.
pub fn kind(monitor: &Monitor, url: &Url) -> MonitorKind {
    monitor.kind.unwrap_or_else(|| kind_of(url))
}

/// A ping as it is written down, and what has become of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The host that sends it.
    pub host: Box<str>,
    /// What there is to tell.
    pub ping: Ping,
    /// [`WAITING`](super::notifier::WAITING), or how it ended.
    pub state: Box<str>,
    /// What was answered.
    pub answer: Box<str>,
    /// When.
    pub ended: Option<Instant>,
}

/// How it is written.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Written {
    host: String,
    job: String,
    phase: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    rid: String,
    due: i64,
    at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcomes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    answer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<i64>,
}

impl Row {
    /// Its name where it is written down: a later one of the same job, phase and host takes its place.
    pub fn key(job: &str, phase: Phase, host: &str) -> Box<str> {
        format!("{job}\n{}\n{host}", phase.word()).into()
    }

    /// As it is written down.
    pub fn to_json(&self) -> String {
        let Ping { job, phase, run, rid, due, at, outcome, duration, attempts, output } =
            &self.ping;
        let written = Written {
            host: self.host.to_string(),
            job: job.to_string(),
            phase: phase.word().to_owned(),
            run: run.map(|run| run.0),
            rid: rid.to_string(),
            due: due.micros(),
            at: at.micros(),
            outcome: outcome.as_ref().map(Outcomes::of),
            duration: duration.map(|duration| duration_micros(duration).max(0) as u64),
            attempts: *attempts,
            output: output.as_deref().map(str::to_owned),
            state: self.state.to_string(),
            answer: self.answer.to_string(),
            ended: self.ended.map(Instant::micros),
        };
        // Strings and numbers can always be written.
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// The same, back again; `None`: this version does not understand it.
    pub fn of_json(text: &str) -> Option<Row> {
        let it: Written = serde_json::from_str(text).ok()?;
        let ping = Ping {
            job: it.job.into(),
            phase: Phase::of(&it.phase)?,
            run: it.run.map(RunId),
            rid: it.rid.into(),
            due: Instant::from_micros(it.due),
            at: Instant::from_micros(it.at),
            outcome: it.outcome.and_then(Outcomes::outcome),
            duration: it.duration.map(Duration::from_micros),
            attempts: it.attempts,
            output: it.output.map(Into::into),
        };
        let (state, answer) = (it.state.into(), it.answer.into());
        let ended = it.ended.map(Instant::from_micros);
        Some(Row { host: it.host.into(), ping, state, answer, ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::route::Secret;

    #[test]
    fn kinds_by_their_urls() {
        use MonitorKind::{Cronitor, Healthchecks, Kuma, Sentry};
        let rows = [
            ("https://hc-ping.com/eb095278-f28d-448d-87fb-7b75c171a6aa", Healthchecks),
            ("https://hc-ping.com/key/{job}?create=1", Healthchecks),
            ("https://evil-hc-ping.com/x", MonitorKind::Url),
            ("https://o1.ingest.us.sentry.io/api/4505/cron/backup/abc/", Sentry),
            ("https://sentry.example.org/api/2/cron/backup/abc/", Sentry),
            ("https://cronitor.link/p/key/backup", Cronitor),
            ("https://status.example.org/api/push/abc?status=up&msg=OK&ping=", Kuma),
            ("https://example.org/kuma/api/push/abc", Kuma),
            ("https://nosnch.in/c2354d53d2", MonitorKind::Url),
            ("https://example.org/", MonitorKind::Url),
        ];
        for (url, expected) in rows {
            assert_eq!(kind_of(&Url::http(url).unwrap()), expected, "{url}");
        }
        // Who says it is believed.
        let url = Url::http("https://hc-ping.com/x").unwrap();
        let monitor = Monitor::of(Some(MonitorKind::Url), Secret::Text("x".into()));
        assert_eq!(kind(&monitor, &url), MonitorKind::Url);
    }

    #[test]
    fn a_run_has_one_name() {
        let id = rid("web1\nsqlite:x.db", RunId(7));
        assert_eq!(id, rid("web1\nsqlite:x.db", RunId(7)));
        assert_ne!(id, rid("web1\nsqlite:x.db", RunId(8)));
        assert_ne!(id, rid("web2\nsqlite:x.db", RunId(7)));
        assert_ne!(id, beat_id("web1\nsqlite:x.db", Instant::from_micros(7)));
        // RFC 9562, 5.8: lower case, 8-4-4-4-12, version 8, variant 10.
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert_eq!(&id[14..15], "8");
        assert!(["8", "9", "a", "b"].contains(&&id[19..20]), "{id}");
        assert!(id.bytes().all(|byte| b"0123456789abcdef-".contains(&byte)));
    }

    #[test]
    fn a_row_comes_back() {
        let outcomes = crate::core::outcome::each().into_iter().map(Some).chain([None]);
        for (outcome, phase) in outcomes.zip(Phase::ALL.into_iter().cycle()) {
            let ping = Ping {
                job: "bäck\"up".into(),
                phase,
                run: Some(RunId(u64::MAX)),
                rid: rid("", RunId(1)),
                due: Instant::from_micros(-1),
                at: Instant::from_micros(2),
                outcome,
                duration: Some(Duration::from_micros(3)),
                attempts: 4,
                output: Some("a\u{1b}\0".into()),
            };
            let (state, answer) = ("sent".into(), "200 OK".into());
            let ended = Some(Instant::from_micros(5));
            let row = Row { host: "web1".into(), ping, state, answer, ended };
            let text = row.to_json();
            assert_eq!(Row::of_json(&text), Some(row), "{text}");
        }
        for text in ["", "{}", "[]", "{\"phase\":\"other\"}"] {
            assert_eq!(Row::of_json(text), None, "{text}");
        }
    }
}
