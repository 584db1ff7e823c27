//! The program as people and other programs use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop, and is its own documentation"
)]

mod background;
mod calendars;
mod completions;
mod conditions;
mod control;
mod deliver;
#[cfg(feature = "postgres")]
mod deploy;
#[cfg(feature = "postgres")]
mod doctor;
mod edited;
mod events;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod failover;
mod first_hour;
#[cfg(feature = "postgres")]
mod fleet;
#[cfg(feature = "postgres")]
mod fleet_example;
mod follow;
#[path = "../harness/mod.rs"]
mod harness;
mod history;
mod hooks;
mod live;
mod log;
mod metrics;
mod named;
mod next;
mod notify;
mod order_timeout;
mod packaging;
mod ping;
mod reach;
mod receivers;
mod run;
mod screen;
mod security;
mod service;
mod simulate;
#[cfg(feature = "sqlite")]
mod store;
mod top;
mod triggers;
#[cfg(feature = "web")]
mod web;
mod widths;
mod wrong;

#[cfg(feature = "postgres")]
#[path = "../harness/servers/mod.rs"]
mod servers;
