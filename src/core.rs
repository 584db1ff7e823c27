//! What schedrs decides, and nothing else: `now` is an argument, and there is no clock, no I/O, no
//! thread and no randomness, so that a year of a jobfile runs in a second (`crate::sim`).
//!
//! Nothing here knows anything outside. The one exception to "no I/O" is `zone`, which reads the
//! machine's time zone data when a zone is first asked for.

pub(crate) mod calendar;
pub mod civil;
pub(crate) mod command;
pub mod condition;
pub mod event;
pub(crate) mod expect;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod fleet;
pub(crate) mod habit;
pub(crate) mod health;
pub(crate) mod hooks;
pub mod instant;
pub mod job;
pub mod limits;
pub(crate) mod monitor;
pub(crate) mod names;
pub(crate) mod nearest;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub(crate) mod notify;
pub mod outcome;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod preview;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod printed;
pub(crate) mod record;
pub(crate) mod route;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod scheduler;
pub(crate) mod size;
pub(crate) mod sort;
pub(crate) mod span;
pub(crate) mod streak;
pub mod trigger;
pub(crate) mod url;
pub mod usage;
pub(crate) mod web;
pub(crate) mod window;
pub mod words;
pub mod zone;
