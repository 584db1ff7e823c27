//! schedrs: a job scheduler for commands.
//!
//! Three rings that only know inward:
//!
//! * **text** ([`cli`], [`jobfile`], [`problem`], [`import`],
//!   [`moving`]): what a person typed, with the place of every
//!   word, and what is wrong with it;
//! * **decisions** ([`instant`], [`civil`], [`zone`], [`trigger`], [`job`], [`event`],
//!   [`outcome`], [`scheduler`]): pure. `now` is an argument; there is no clock, no I/O, no thread
//!   and no randomness, so a year of a jobfile runs in a second under [`sim`];
//! * **hands** ([`daemon`], [`executor`], [`child`], [`clock`]): processes, signals and clocks.
//!
//! To compute due times in a program of your own, start at [`trigger::Trigger`].

pub mod background;
pub mod child;
pub mod civil;
pub mod cli;
pub mod clock;
mod command;
mod complete;
pub mod control;
pub mod daemon;
mod doctor;
pub mod event;
pub mod executor;
pub mod import;
pub mod instant;
pub mod job;
pub mod jobfile;
mod machine;
#[cfg(test)]
mod manual;
mod memory;
pub mod moving;
pub mod outcome;
pub mod output;
pub mod past;
pub mod paths;
pub mod preview;
pub mod problem;
pub mod scheduler;
pub mod signals;
pub mod sim;
pub mod store;
mod table;
pub mod trigger;
mod trust;
pub mod words;
pub mod zone;
