//! Jobfiles: what is wrong with them, what is written, and what other schedulers' files become.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop, and is its own documentation"
)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../harness/mod.rs"]
mod harness;
mod import;
mod schema;
mod validate;
mod write;
