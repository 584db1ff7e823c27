//! Other schedulers' files: what they become here (`import`), and jobs written for others
//! (`export`).

pub mod export;
pub mod import;
mod kubernetes;
