//! What survives a restart, as JSON: notifications that are to be sent, what was told of jobs, and what
//! has become of notifications. A field that is missing has a value that means nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::digest::Tally;
use super::{Kind, Notification};
use crate::core::event::RunId;
use crate::core::instant::{Instant, duration_micros};
use crate::core::outcome::Outcome;

/// A notification with the route it is for and the host that is to send it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Saved {
    /// The host.
    pub(super) host: Box<str>,
    /// The route.
    pub(super) route: Box<str>,
    /// What there is to tell.
    pub(super) notification: Notification,
}

/// How it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Written {
    host: String,
    route: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    of_host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    begun_on: Option<String>,
    job: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    due: i64,
    last_due: i64,
    count: u64,
    at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usual: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    printed: Option<(u64, u64)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Box<Tally>>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcomes>,
    streak: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

/// An outcome as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Outcomes {
    word: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Outcomes {
    pub(super) fn of(outcome: &Outcome) -> Outcomes {
        Outcomes {
            word: outcome.word().to_owned(),
            number: outcome.exit().or(outcome.signal()),
            late: outcome.late().map(|late| duration_micros(late).max(0) as u64),
            reason: outcome.reason().map(str::to_owned),
        }
    }

    pub(super) fn outcome(self) -> Option<Outcome> {
        let late = self.late.map(Duration::from_micros);
        Outcome::read(&self.word, self.number, late, self.reason.as_deref())
    }
}

impl Saved {
    /// As it is written down.
    pub(super) fn to_json(&self) -> String {
        // Strings and numbers can always be written.
        serde_json::to_string(&Written::of(&self.host, &self.route, &self.notification))
            .unwrap_or_default()
    }

    /// The same, back again; `None`: this version does not understand it.
    pub(super) fn of_json(id: &str, text: &str) -> Option<Saved> {
        serde_json::from_str::<Written>(text).ok()?.saved(id)
    }
}

impl Written {
    /// A notification for a route, to be sent by a host.
    pub(super) fn of(host: &str, route: &str, notification: &Notification) -> Written {
        let Notification {
            id: _,
            kind,
            host: of_host,
            begun_on,
            job,
            name,
            run,
            due,
            last_due,
            count,
            at,
            started,
            duration,
            usual,
            printed,
            digest,
            attempts,
            outcome,
            streak,
            since,
            output,
        } = notification;
        Written {
            host: host.to_owned(),
            route: route.to_owned(),
            kind: kind.word().to_owned(),
            of_host: of_host.as_deref().map(str::to_owned),
            begun_on: begun_on.as_deref().map(str::to_owned),
            job: job.to_string(),
            name: name.as_deref().map(str::to_owned),
            run: run.map(|run| run.0),
            due: due.micros(),
            last_due: last_due.micros(),
            count: *count,
            at: at.micros(),
            started: started.map(Instant::micros),
            duration: duration.map(|duration| duration_micros(duration).max(0) as u64),
            usual: usual.map(|usual| duration_micros(usual).max(0) as u64),
            printed: *printed,
            digest: digest.clone(),
            attempts: *attempts,
            outcome: outcome.as_ref().map(Outcomes::of),
            streak: *streak,
            since: since.map(Instant::micros),
            output: output.as_deref().map(str::to_owned),
        }
    }

    /// The same, back again, under its id; `None`: this version does not understand it.
    pub(super) fn saved(self, id: &str) -> Option<Saved> {
        let it = self;
        let notification = Notification {
            id: id.into(),
            kind: Kind::of(&it.kind)?,
            host: it.of_host.map(Into::into),
            begun_on: it.begun_on.map(Into::into),
            job: it.job.into(),
            name: it.name.map(Into::into),
            run: it.run.map(RunId),
            due: Instant::from_micros(it.due),
            last_due: Instant::from_micros(it.last_due),
            count: it.count,
            at: Instant::from_micros(it.at),
            started: it.started.map(Instant::from_micros),
            duration: it.duration.map(Duration::from_micros),
            usual: it.usual.map(Duration::from_micros),
            printed: it.printed,
            digest: it.digest,
            attempts: it.attempts,
            outcome: it.outcome.and_then(Outcomes::outcome),
            streak: it.streak,
            since: it.since.map(Instant::from_micros),
            output: it.output.map(Into::into),
        };
        Some(Saved { host: it.host.into(), route: it.route.into(), notification })
    }
}

/// A hash of 128 bits (FNV-1a), which is the same on every machine and in every version. The parts are
/// kept apart, so that `ab`, `c` is something else than `a`, `bc`.
pub(super) fn hash(parts: &[&[u8]]) -> u128 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = BASIS;
    let mut add = |byte: u8| hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    for part in parts {
        part.iter().copied().for_each(&mut add);
        (part.len() as u64).to_le_bytes().into_iter().for_each(&mut add);
    }
    hash
}

/// A name that goes wherever a notification goes: always the same for the same parts.
pub(super) fn id(parts: &[&[u8]]) -> Box<str> {
    format!("{:032x}", hash(parts)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(outcome: Option<Outcome>, kind: Kind) -> Notification {
        let at = Instant::from_micros;
        Notification {
            id: "msg_1".into(),
            kind,
            host: Some("web2".into()),
            begun_on: Some("web3".into()),
            job: "bäck\"up".into(),
            name: Some("Backup of\nall".into()),
            run: Some(RunId(u64::MAX)),
            due: at(1_700_000_000_000_001),
            last_due: at(1_700_000_000_000_002),
            count: 3,
            at: at(-1),
            started: Some(at(4)),
            duration: Some(Duration::from_micros(5)),
            usual: Some(Duration::from_micros(9)),
            printed: Some((0, u64::MAX)),
            digest: Some(Box::new(Tally { failed: 3, ..Tally::default() })),
            attempts: 6,
            outcome,
            streak: 7,
            since: Some(at(8)),
            output: Some("a\u{1b}b\0".into()),
        }
    }

    #[test]
    fn what_is_saved_comes_back() {
        let each = crate::core::outcome::each().into_iter().map(Some).chain([None]);
        for (outcome, kind) in each.zip(Kind::ALL.into_iter().cycle()) {
            let notification = sample(outcome, kind);
            let saved = Saved { host: "web1".into(), route: "ops".into(), notification };
            let text = saved.to_json();
            assert_eq!(Saved::of_json("msg_1", &text), Some(saved), "{text}");
        }
        for text in ["", "{}", "[]", "{\"kind\":\"unheard\"}", "{\"kind\":3}"] {
            assert_eq!(Saved::of_json("msg_1", text), None, "{text}");
        }
    }

    #[test]
    fn the_hash_is_that_of_everybody() {
        // FNV-1a of 128 bits has these values by its authors' table, before the lengths are added.
        let with = |text: &[u8]| hash(&[text]);
        assert_ne!(with(b"a"), with(b"b"));
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_eq!(hash(&[]), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(&*id(&[]), "6c62272e07bb014262b821756295c58d");
    }
}
