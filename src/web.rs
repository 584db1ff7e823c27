//! `schedrs web`: a page that shows what a schedrs does, in a process of its own.
//!
//! Whatever happens to it, jobs go on: it reads the store and asks over the control socket, as the
//! subcommands do. How it gets to know something is the business of its [`Source`], which
//! `crate::cli::command::web` implements with what the subcommands use.
//!
//! `serve` has the sockets and their bounds, `server` what all requests share, `access` says who may ask,
//! `route` what is asked for, and
//! `page` writes it as HTML; `api` is what programs ask for. `live` tells browsers that something has changed. What may take long runs
//! in a few threads (`serve`), never where the sockets are served.

mod access;
mod ansi;
mod api;
mod asset;
mod body;
mod live;
mod page;
mod query;
mod route;
mod serve;
mod server;
mod source;

pub(crate) use access::{Access, random};
pub(crate) use api::Question;
pub(crate) use serve::{Bound, serve};
pub(crate) use server::Server;
pub(crate) use source::{
    Act, Dues, Frame, Heard, JobPage, Messages, OptionRow, Overview, Row, RunPage, Source,
    TimePage, Trouble, Upcoming, Verb, Why,
};
