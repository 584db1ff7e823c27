//! Telling people what became of their jobs: when, whom, and what.
//!
//! The design is that of `doc/notifications.md`. A job names routes (`notify`), a [`Route`] says what
//! it wants to hear of and where it leads. `state` decides what there is to tell of a job on a route: a
//! failure once, a recovery only if the failure was told. `outbox` gathers [`Notification`]s into
//! [`Message`]s and says when each is to be tried. `notifier` is both together, as the scheduler's loop
//! and the simulation use them; `saved` is what of it survives a restart, `log` what has become of
//! notifications, `digest` what a route hears of together, and `explain` says who was told of a run. `crate::notify` gives a message the form
//! that its receiver expects and hands it over. `ping` is what a service that watches a job is told of
//! each run, and `pings` when. What may stand where a route leads is in `url` and
//! `address`.

pub mod address;
pub mod digest;
pub mod explain;
pub mod log;
pub mod notifier;
pub mod outbox;
pub mod ping;
pub mod pings;
mod saved;
mod state;
pub mod url;

use std::time::Duration;

use crate::core::event::RunId;
use crate::core::instant::{Instant, Mono};
pub use crate::core::monitor::{Monitor, MonitorKind, PingOn};
use crate::core::outcome::Outcome;
pub use crate::core::route::{Habit, Kind, Route, Secret, Service, Smtp, Transport};

/// When something wants to be called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakeup {
    /// By the clock that is never set.
    pub mono: Option<Mono>,
    /// By the wall clock.
    pub wall: Option<Instant>,
}

/// One thing to tell of one job (or of none: [`Kind::Test`], [`Kind::Digest`]) on one route.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// What names it wherever it goes, the same at each try: letters, digits, `-` and `_`.
    pub id: Box<str>,
    /// What it says.
    pub kind: Kind,
    /// Where it happened, if that is another host than the one that tells it.
    pub host: Option<Box<str>>,
    /// Where it was told how this began, if that is another host than the one where it happened.
    pub begun_on: Option<Box<str>>,
    /// The job.
    pub job: Box<str>,
    /// What people call the job, if that is something else.
    pub name: Option<Box<str>>,
    /// The run it is about.
    pub run: Option<RunId>,
    /// The due time, or the first of several.
    pub due: Instant,
    /// The last of them.
    pub last_due: Instant,
    /// How many.
    pub count: u64,
    /// When it was decided.
    pub at: Instant,
    /// When the run began.
    pub started: Option<Instant>,
    /// How long the run took.
    pub duration: Option<Duration>,
    /// How long runs of the job usually take, where that matters.
    pub usual: Option<Duration>,
    /// How many bytes the run has printed, and how many are usual, where that matters.
    pub printed: Option<(u64, u64)>,
    /// What has become of all jobs of the route, with [`Kind::Digest`].
    pub digest: Option<Box<digest::Tally>>,
    /// How many attempts it had.
    pub attempts: u32,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// How many runs have failed in a row: with [`Kind::Recovered`], before this one.
    pub streak: u32,
    /// Since when the job has failed.
    pub since: Option<Instant>,
    /// The end of what the run has printed, its secrets masked.
    pub output: Option<Box<str>>,
}

impl Notification {
    /// One that says no more than what kind it is, for which due time, and when that was decided.
    pub fn new(id: Box<str>, kind: Kind, due: Instant, at: Instant) -> Notification {
        Notification {
            id,
            kind,
            host: None,
            begun_on: None,
            job: "".into(),
            name: None,
            run: None,
            due,
            last_due: due,
            count: 1,
            at,
            started: None,
            duration: None,
            usual: None,
            printed: None,
            digest: None,
            attempts: 0,
            outcome: None,
            streak: 0,
            since: None,
            output: None,
        }
    }
}

/// What is sent at once on a route: one notification, or several that were gathered.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// What names it wherever it goes, the same at each try: letters, digits, `-` and `_`.
    pub id: Box<str>,
    /// The route.
    pub route: Box<str>,
    /// When its first notification was decided.
    pub at: Instant,
    /// What it tells, at least one.
    pub notifications: Vec<Notification>,
    /// How many more there were than it has room for.
    pub more: u64,
}
