//! How a scheduler is, in numbers: what a verdict about its health (`crate::core::health`) and what
//! watches it need.

use std::sync::Arc;
use std::time::Duration;

use super::{Health, Totals};
use crate::core::instant::Instant;

/// How a scheduler is.
#[derive(Clone, Debug, PartialEq)]
pub struct Vitals {
    /// How it is, in words.
    pub health: Health,
    /// What is not as it should be, each with the part that it is about.
    pub troubles: Vec<(Part, String)>,
    /// How many jobs it has.
    pub jobs: usize,
    /// Runs with a process.
    pub running: usize,
    /// Runs that wait.
    pub waiting: usize,
    /// The next due time and its job.
    pub next: Option<(Instant, Box<str>)>,
    /// Its executors.
    pub pools: Vec<PoolVitals>,
    /// How long ago it should have woken for what was due, when it was asked this.
    pub overslept: Duration,
    /// How long ago, at its last look, something was due that it has not seen to.
    pub behind: Duration,
    /// Facts that are not in the store yet.
    pub pending_facts: u64,
    /// How long the first of them has waited.
    pub pending_for: Duration,
    /// The ways to tell people.
    pub routes: Vec<RouteVitals>,
    /// What is told to services that watch jobs.
    pub pings: PingVitals,
    /// What it has done.
    pub totals: Totals,
}

/// A way to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteVitals {
    /// Its name.
    pub name: Box<str>,
    /// How many notifications have ended how, each with the word for it.
    pub ends: Vec<(&'static str, u64)>,
    /// How many wait.
    pub waiting: usize,
    /// When the oldest of them was decided.
    pub oldest: Option<Instant>,
}

/// What is told to services that watch jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PingVitals {
    /// How many pings have ended how, each with the word for it.
    pub ends: Vec<(&'static str, u64)>,
    /// How many wait.
    pub waiting: usize,
    /// When the oldest of them was decided.
    pub oldest: Option<Instant>,
}

/// An executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolVitals {
    /// Its name.
    pub name: Arc<str>,
    /// How many runs it may have at a time.
    pub workers: u32,
    /// Who waits does so for `max_starts_per_second`, not for a worker.
    pub is_spaced: bool,
    /// How many it has.
    pub running: u32,
    /// How many wait for one to end.
    pub waiting: u32,
    /// How long the first of them has waited.
    pub longest: Duration,
}

/// A part of a scheduler that may be in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What it keeps.
    Store,
    /// What it was told.
    Jobfile,
    /// What tells it that the jobfile was edited.
    Watch,
    /// Where it is asked.
    Control,
    /// Starts that hang.
    Starts,
    /// Processes that do not end.
    Processes,
    /// Routes that deliver nothing.
    Notify,
    /// Services that watch jobs and cannot be told.
    Pings,
}
