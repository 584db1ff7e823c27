//! From a message to its receiver: what each service wants to be told in which form, and the
//! program that hands it over.
//!
//! `crate::core::notify` has the words and decides what is told when. Here, from the inside out:
//!
//! * `secret` reads the URLs, tokens and passwords of a route, each time they are needed;
//! * `line` is the value of a header, which cannot hold the end of a line;
//! * `context` is what a form needs to know beside the message;
//! * `text` says it in English;
//! * `wire` is what the scheduler and its helper say to each other: [`wire::Work`] and
//!   [`wire::Receipt`];
//! * `form` makes work of a message, with one file for each service; it is pure;
//! * `monitor` makes work of what a monitor is told, in the same way;
//! * `deliver` is the helper, `schedrs deliver`: it looks up names, speaks TLS and SMTP, and has no
//!   rights.
//!
//! ```text
//! Route, Message ──▶ form::work ──▶ Work ──▶ deliver ──▶ Receipt
//!         secret ──────▲
//! ```

mod context;
pub mod deliver;
pub mod form;
pub mod line;
pub mod monitor;
pub mod secret;
pub(crate) mod text;
pub mod wire;

#[doc(no_inline)]
pub use crate::core::notify::*;
pub use context::Context;
