//! The machine, in thin wrappers: its clocks, its signals, its users, whom its files belong
//! to, where files go, the memory of the C library. Who asks is `crate::jobfile`, `crate::store`
//! and `crate::run`.

pub(crate) mod accounts;
pub mod clock;
pub(crate) mod epoll;
pub(crate) mod heap;
pub(crate) mod machine;
pub(crate) mod mailbox;
pub mod paths;
pub mod signals;
pub(crate) mod trust;
pub(crate) mod waker;
