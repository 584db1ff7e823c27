//! The stores: one contract for all of them, what the embedded one does with a file that is not as
//! it should be, the thread that writes, and the private servers that shared stores are tested on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of tests for product code"
)]

mod contract;
#[cfg(feature = "sqlite")]
mod copy;
mod facts;
#[cfg(feature = "sqlite")]
mod faults;
mod keeper;
#[cfg(feature = "sqlite")]
mod killed;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(any(feature = "mongodb", feature = "mysql", feature = "postgres", feature = "redis"))]
mod outages;
#[cfg(feature = "postgres")]
mod postgres;
mod private;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "sqlite")]
mod same;
mod shared;

#[path = "../harness/mod.rs"]
mod harness;
#[path = "../harness/servers/mod.rs"]
mod servers;
