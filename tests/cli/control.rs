//! The control socket, with a real scheduler behind it in the place of the loop, but no processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop"
)]

mod bounds;
mod commands;
mod fake;
mod follow;
mod places;
mod verbs;
mod wire;
