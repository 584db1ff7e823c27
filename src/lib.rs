//! schedrs: a job scheduler for commands.
//!
//! The program is [`cli`]. A program of your own finds here, from the inside out:
//!
//! * due times: [`trigger::Trigger`] answers one question, `next_after`, for dates, intervals and
//!   cron expressions, in any [`zone::Zone`];
//! * jobs: [`jobfile::load_text`] and [`jobfile`] read them, with every problem and its place;
//! * running them: [`background::BackgroundScheduler`] is `schedrs run` on a thread of your program,
//!   which tells it what happens ([`background::Happening`]);
//! * keeping what happened: [`store::Store`] is the trait that a store implements;
//! * pretending: [`sim`] runs the same scheduler in virtual time.

pub mod cli;
pub mod control;
mod convert;
pub(crate) mod core;
pub mod history;
pub mod jobfile;
pub mod problem;
mod run;
pub mod sim;
pub mod store;
mod sys;

pub use self::convert::{export, import};
pub use self::core::{
    civil, event, fleet, instant, job, outcome, preview, scheduler, trigger, words, zone,
};
pub use self::run::{background, child, daemon, executor, output};
pub use self::sys::{clock, paths, signals};
