//! The subcommands, one file each. Every `run` here reads its arguments, does its work with the
//! library and answers with an exit code; what a person asked for goes to stdout, what the program
//! has to say about it to stderr.

pub(crate) mod add;
mod argument;
pub(crate) mod at;
pub(crate) mod complete;
pub(crate) mod completions;
pub(crate) mod deliver;
pub(crate) mod doctor;
mod each;
pub(crate) mod edit;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod export;
mod expression;
pub(crate) mod fleet;
mod grid;
pub(crate) mod health;
pub(crate) mod history;
mod history_source;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod modify;
mod named;
pub(crate) mod next;
pub(crate) mod notify;
mod options;
pub(crate) mod pause;
mod paused;
pub(crate) mod reload;
pub(crate) mod remove;
mod request;
pub(crate) mod reschedule;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod schema;
mod screen;
mod selection;
pub(crate) mod shell;
pub(crate) mod show;
pub(crate) mod shutdown;
pub(crate) mod simulate;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod store;
mod time;
pub(crate) mod top;
pub(crate) mod validate;
#[cfg(test)]
mod vocabulary;
#[cfg(feature = "web")]
pub(crate) mod web;
pub(crate) mod why;

pub(super) use options::hint as option_hint;
