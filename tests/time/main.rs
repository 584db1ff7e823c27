//! When jobs are due: cron expressions, intervals and zones, beside other engines, laws and oracles.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop, and is its own documentation"
)]

mod calendar;
mod combined;
#[path = "../common/mod.rs"]
mod common;
mod differential;
mod dst;
#[path = "../harness/mod.rs"]
mod harness;
mod laws;
mod oracle;
mod vectors;
mod words;
mod zones;
