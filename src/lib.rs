//! A job scheduler for commands on Linux: dates, intervals and cron expressions, right across
//! daylight-saving changes.
//!
//! `schedrs` is a program; this is what it is made of. No part of it reads a clock that you do not
//! ask to: the moment is an argument.
//!
//! # When is it due?
//!
//! A [`Trigger`](trigger::Trigger) answers one question, `next_after`, for a date, an interval or a
//! cron expression, in any [`Zone`](zone::Zone).
//!
//! ```
//! use schedrs::instant::Instant;
//! use schedrs::trigger::cron::crontab::{self, Crontab};
//! use schedrs::trigger::{CronTrigger, Trigger};
//! use schedrs::zone::Database;
//!
//! let zones = Database::bundled();
//! let stockholm = zones.get("Europe/Stockholm").ok_or("no such zone")?;
//! let mut flaws = Vec::new();
//! let Some(Crontab::Schedule(schedule)) = crontab::parse("30 2 * * *", "backup", &mut flaws) else {
//!     return Err(format!("{flaws:?}"));
//! };
//! let nightly = Trigger::Cron(CronTrigger::new([schedule], stockholm, None, None).into());
//! // 2026-01-01T00:00:00Z, which is 01:00 there: half past two is an hour and a half away.
//! let new_year = Instant::from_secs(1_767_225_600);
//! assert_eq!(nightly.next_after(new_year), Some(Instant::from_secs(1_767_225_600 + 5400)));
//! # Ok::<(), String>(())
//! ```
//!
//! # What does a jobfile say?
//!
//! [`jobfile::load_text`] and [`jobfile::load_path`] give the jobs, and every problem with its place.
//!
//! ```
//! use schedrs::instant::Instant;
//! use schedrs::jobfile;
//! use schedrs::zone::Database;
//!
//! let text = "jobs.report = { command = 'report', cron = '0 6 * * mon' }";
//! let loaded = jobfile::load_text("jobs.toml", text, &Database::bundled(), Instant::from_secs(0));
//! assert_eq!(loaded.problems.errors(), 0);
//! let set = loaded.set.ok_or("it cannot be run")?;
//! assert_eq!(&*set.jobs[0].id, "report");
//! # Ok::<(), &str>(())
//! ```
//!
//! # Run jobs in a program of your own
//!
//! A [`BackgroundScheduler`](background::BackgroundScheduler) is `schedrs run` on a thread of your
//! program, and tells it what happens ([`Happening`](background::Happening)).
//!
//! ```
//! use schedrs::background::{BackgroundScheduler, Config, Error};
//!
//! let scheduler = BackgroundScheduler::start(Config::default())?;
//! scheduler.add_job("hello", "command = ['true']\ninterval = '1h'", false)?;
//! let record = scheduler.run_job("hello")?;
//! assert!(record.outcome.is_success());
//! scheduler.shutdown(true);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Keep what happened
//!
//! A [`Store`](store::Store) takes [`Fact`](store::Fact)s and gives them back;
//! [`Memory`](store::memory::Memory) is the shortest one to read before you write yours,
//! and `tests/store` is the contract that each of them passes.
//!
//! ```
//! use schedrs::store::Store;
//! use schedrs::store::memory::Memory;
//!
//! let mut store = Memory::default();
//! let before = store.restore()?;
//! let lost = store.commit(&[])?;
//! assert!(lost.is_empty());
//! assert!(store.reader()?.jobs()?.is_empty());
//! # Ok::<(), schedrs::store::StoreError>(())
//! ```
//!
//! # Try it without waiting
//!
//! [`sim`] runs the same scheduler in virtual time, on jobs that start nothing.
//!
//! ```
//! use std::time::Duration;
//!
//! use schedrs::event::Action;
//! use schedrs::instant::{Instant, Now};
//! use schedrs::jobfile;
//! use schedrs::sim::{Attempt, simulate};
//! use schedrs::zone::Database;
//!
//! let (from, until) = (Instant::from_secs(0), Instant::from_secs(86_400));
//! let text = "jobs.poll = { command = 'poll', cron = '30 * * * *', timezone = 'UTC' }";
//! let loaded = jobfile::load_text("jobs.toml", text, &Database::bundled(), from);
//! let set = loaded.set.ok_or("it cannot be run")?;
//! let a_minute = |_: &_| Attempt::succeeds_after(Duration::from_secs(60));
//! let report = simulate(set, from, until, a_minute, &mut |_: Now, _: &Action| {});
//! assert_eq!(report.succeeded, 24);
//! # Ok::<(), &str>(())
//! ```

#[cfg(not(target_os = "linux"))]
compile_error!(
    "schedrs runs on Linux only: it is built on the kernel's pidfd, timerfd, epoll and cgroups"
);

mod convert;
pub(crate) mod core;
mod run;
mod sys;
#[cfg(feature = "web")]
mod web;

pub mod jobfile;
pub mod problem;
pub mod sim;
pub mod store;

pub use self::core::{
    civil, condition, event, instant, job, limits, outcome, trigger, usage, words, zone,
};
pub use self::run::background;

// What the program, the tests and the benches need beyond that: no part of the library, and free to
// change.
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod control;
#[doc(hidden)]
pub mod history;
#[doc(hidden)]
pub mod notify;
#[doc(hidden)]
pub use self::convert::{export, import};
#[doc(hidden)]
pub use self::core::{fleet, preview, printed, scheduler};
#[doc(hidden)]
pub use self::run::{child, daemon, executor, hook, output};
#[doc(hidden)]
pub use self::sys::{clock, paths, signals};
