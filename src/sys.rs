//! The machine, in thin wrappers: its clocks, its signals, its users, whom its files belong to,
//! where files go, the memory of the C library, what this process takes. Who asks is
//! `crate::jobfile`, `crate::store` and `crate::run`.

pub(crate) mod accounts;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod clock;
pub(crate) mod confine;
pub(crate) mod epoll;
pub(crate) mod file_id;
pub(crate) mod heap;
pub(crate) mod machine;
pub(crate) mod mailbox;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod paths;
pub(crate) mod process;
pub(crate) mod program;
#[allow(missing_docs, reason = "no part of the library: src/lib.rs")]
pub mod signals;
pub(crate) mod terminal;
pub(crate) mod trust;
pub(crate) mod waker;
