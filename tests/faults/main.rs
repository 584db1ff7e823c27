//! What goes wrong around the program: crashes, full disks, clocks that are set, trees that do not
//! end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a test may stop, and is its own documentation"
)]

mod bounds;
mod clock;
#[path = "../common/mod.rs"]
mod common;
mod crash;
#[path = "../harness/mod.rs"]
mod harness;
mod kernels;
mod limits;
mod load;
mod output;
mod starts;
mod store;
mod told;
mod trees;
