//! What the scheduler decides, as transcripts: a scenario in virtual time, and every line of what
//! was to be done. All of it begins on 2026-01-01 at 12:00:00 UTC.
//!
//! `start a#3/2` is the second attempt of run 3 of job a; a line with an outcome names the due
//! time it is for, and for several of them the first, the last and how many.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop"
)]

mod admission;
mod after;
mod attempts;
mod audit;
mod clock;
mod conditions;
mod due;
mod everywhere;
mod from_end;
mod held;
mod invariants;
mod operations;
mod reload;
mod scenario;
mod simulation;
mod slots;
mod status;
mod stop;
