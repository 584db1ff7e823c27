//! The subcommands, one file each. Every `run` here reads its arguments, does its work with the
//! library and answers with an exit code; what a person asked for goes to stdout, what the program
//! has to say about it to stderr.

mod asked;
pub(crate) mod explain;
mod expression;
pub(crate) mod import;
pub(crate) mod next;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod validate;
