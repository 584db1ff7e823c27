//! Asking a running scheduler: what clients of the control socket, and programs that embed the
//! scheduler, may want of its loop.
//!
//! A [`Request`] goes to the loop in `crate::run::daemon` with a [`Call`]. The loop reads what is
//! text in it, puts the rest to `crate::core::scheduler` and passes the [`Response`] to
//! [`Call::reply`]. The loop never waits for whoever has asked.
//!
//! `server` is the socket and its thread, `wire` what is said over it (`doc/control.md`), and
//! `client` the other end, which the subcommands use; `metrics` are numbers for who watches many,
//! `journal` the last things that happened. `jobfile_lock` keeps a second scheduler from the same
//! jobfile, and finds the one that has it.

pub mod client;
mod definition;
pub mod follow;
pub(crate) mod jobfile_lock;
pub mod journal;
pub(crate) mod metrics;
mod request;
pub mod server;
mod socket;
pub mod wire;

use std::fmt;
use std::sync::Arc;

use crate::core::event::{Code, Fault, Response};
use crate::core::notify::outbox::NotFound;
pub use request::{Format, Notify, Request, Target};

/// The way to the loop.
pub type Line = Arc<dyn Fn(Call) + Send + Sync>;

/// Takes a response.
pub type Reply = Arc<dyn Fn(Response) + Send + Sync>;

/// Something that is asked of the loop.
pub struct Call {
    /// Who asks: the name of a user, for the record.
    pub by: Box<str>,
    /// What is wanted.
    pub request: Request,
    /// Takes the response, on the loop's thread: it must not block. It is called once, or twice for
    /// a [`Request::Start`] with `wait`.
    pub reply: Reply,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("by", &self.by).field("request", &self.request).finish()
    }
}

/// There is no notification whose id begins so, or more than one.
pub(crate) fn no_notification(id: &str, why: NotFound) -> Fault {
    let (text, help) = match why {
        NotFound::Unknown => (
            format!("no notification `{id}` is known"),
            "`schedrs notify` shows the ids; at least four characters of one are needed",
        ),
        NotFound::Several => (
            format!("several notifications have an id that begins with `{id}`"),
            "write more of it",
        ),
    };
    Fault::new(Code::NoSuchNotification, text).help(help)
}
