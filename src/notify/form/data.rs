//! A notification as JSON, for programs: in the words that `history --output json` has for the same
//! things, so that nothing has two names.

use serde::Serialize;

use super::super::context::Context;
use super::super::text;
use crate::core::instant::Instant;
use crate::core::notify::digest::Tally;
use crate::core::notify::{Kind, Notification};
use crate::core::outcome::Outcome;
use crate::core::words;

/// A reason may quote what a program has said.
const LONGEST_REASON: usize = 500;

/// See the [module](self). A key that does not apply is left out.
#[derive(Debug, Serialize)]
pub(super) struct Data<'a> {
    kind: &'static str,
    /// What a person would be told.
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    late_ms: Option<u64>,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usual_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    printed_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usual_printed_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// How many runs have failed in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    streak: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    /// How many more there were than are told.
    #[serde(skip_serializing_if = "is_zero")]
    more: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> Data<'a> {
    /// What is known of it.
    pub(super) fn of(notification: &'a Notification, more: u64, context: &Context<'a>) -> Data<'a> {
        let zone = (context.zone)(&notification.job);
        let time = |at: Instant| words::rfc3339(at, &zone);
        // A test is of no job.
        let real = notification.kind.is_of_job().then_some(notification);
        let outcome = notification.outcome.as_ref();
        let (started, duration) = (notification.started, notification.duration);
        let millis =
            |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        // What is slow goes on.
        let ended = started.zip(duration).filter(|_| notification.kind != Kind::Slow);
        let reason = outcome.and_then(Outcome::reason);
        let output = notification.output.as_deref();
        let output = output.map(|output| text::tail(output, usize::MAX, text::MOST_OUTPUT));
        Data {
            kind: notification.kind.word(),
            text: text::headline(notification, context),
            job: real.map(|it| &*it.job),
            name: notification.name.as_deref().map(|name| text::cut(name, LONGEST_REASON)),
            host: notification.host.as_deref().unwrap_or(context.host),
            run: notification.run.map(|run| run.0),
            due: real.map(|it| time(it.due)),
            last_due: real.map(|it| time(it.last_due)),
            count: real.map(|it| it.count),
            outcome: outcome.map(Outcome::word),
            exit: outcome.and_then(Outcome::exit),
            signal: outcome.and_then(Outcome::signal),
            reason: reason.map(|reason| text::cut(reason, LONGEST_REASON)),
            late_ms: outcome.and_then(Outcome::late).map(millis),
            at: time(notification.at),
            started: started.map(time),
            ended: ended.map(|(started, took)| time(started.plus(took))),
            duration_ms: started.and(duration).map(millis),
            usual_ms: notification.usual.map(millis),
            printed_bytes: notification.printed.map(|(printed, _)| printed),
            usual_printed_bytes: notification.printed.map(|(_, usual)| usual),
            digest: notification.digest.as_deref().map(|tally| Digest::of(tally, &time)),
            attempts: notification.run.map(|_| notification.attempts),
            streak: Some(notification.streak).filter(|streak| *streak > 0),
            since: notification.since.map(time),
            output: output.filter(|output| !output.is_empty()),
            more,
        }
    }
}

/// What has become of all jobs of a route.
#[derive(Debug, Serialize)]
struct Digest {
    since: String,
    succeeded: u64,
    failed: u64,
    missed: u64,
    skipped: u64,
    failing: Vec<String>,
    slowest: Vec<Slowest>,
    /// Hosts that are gone and had counted a part of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts_gone: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Slowest {
    job: String,
    run: u64,
    duration_ms: u64,
}

impl Digest {
    fn of(tally: &Tally, time: &dyn Fn(Instant) -> String) -> Digest {
        let slowest = tally.slowest().map(|(job, run, took)| Slowest {
            job: job.to_owned(),
            run,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
        Digest {
            since: time(Instant::from_micros(tally.since)),
            succeeded: tally.succeeded,
            failed: tally.failed,
            missed: tally.missed,
            skipped: tally.skipped,
            failing: tally.failing.keys().cloned().collect(),
            slowest: slowest.collect(),
            hosts_gone: tally.hosts.iter().cloned().collect(),
        }
    }
}

/// The type of an event, for those who name them with a dot.
pub(super) fn event(kind: Kind) -> &'static str {
    match kind {
        Kind::Failed => "run.failed",
        Kind::StillFailing => "run.still_failing",
        Kind::Missed => "run.missed",
        Kind::Overdue => "job.overdue",
        Kind::Flapping => "job.flapping",
        Kind::Steady => "job.steady",
        Kind::Recovered => "run.recovered",
        Kind::Slow => "run.slow",
        Kind::Quiet => "run.quiet",
        Kind::Fast => "run.fast",
        Kind::Retrying => "run.retrying",
        Kind::Skipped => "run.skipped",
        Kind::Succeeded => "run.succeeded",
        Kind::Digest => "schedrs.digest",
        Kind::Test => "test",
    }
}
