//! Other schedulers' files: what they become here (`import`), and jobs written for others
//! (`export`).

#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod export;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod import;
mod kubernetes;
