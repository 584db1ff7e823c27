//! Several schedulers with one store: no due time twice, none without a fate, whatever dies.
//!
//! `sim` drives real schedulers and the real protocol over a virtual store, with faults by seeds, and
//! `mutations` shows what goes wrong without each of the protocol's parts. `model` looks at every order
//! of events of two hosts. `SCHEDRS_FLEET_HISTORIES=N`
//! runs more of them, `SCHEDRS_FLEET_SEED=N` others, and `SCHEDRS_FLEET_TRACE=1` prints each call.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop"
)]

#[path = "../common/rng.rs"]
mod rng;

mod host;
mod laws;
mod model;
mod mutations;
mod sim;
mod store;
