//! Running jobs: the loop that sleeps until something is due, and what carries out its decisions.
//!
//! `daemon` owns the scheduler (`crate::core::scheduler`) and performs what it decides: `executor`
//! starts processes, `child` knows how, `output` reads what they print, `hook` runs short commands
//! beside them, `condition` looks whether a job may begin, and `trust` says whether what was loaded may be run at all. `background` is the same
//! loop inside another program.

pub mod background;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod child;
pub(crate) mod condition;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod daemon;
pub(crate) mod doctor;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod executor;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod hook;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod output;
pub(crate) mod trust;
