//! Requests to a running scheduler: [`Event::Operation`](super::Event::Operation). What it
//! answers is in `response`.

use std::sync::Arc;

use super::{ChangeKind, JobRecord, RunId};
#[cfg(doc)]
use super::{JobPage, Response};
use crate::core::instant::Instant;
use crate::core::job::Job;

/// What may be asked of a running scheduler, from the control socket or by the program that it is
/// embedded in.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Jobs, from a place in the list on, so many at most. Answer: [`Response::Jobs`].
    List {
        /// The place to begin at: 0, or [`JobPage::more`] of an earlier answer.
        from: u32,
        /// The limit: how many at most.
        limit: u32,
    },
    /// A job as another host that shares the store has made it. Answer: [`Response::Done`].
    Learn {
        /// The job.
        job: Arc<Job>,
        /// What the store has of it.
        record: Box<JobRecord>,
        /// It is taken over with that, so that what is known here does not count.
        taken: bool,
    },
    /// A job that was added at run time is not there any more, as another host has said. Answer:
    /// [`Response::Done`].
    Forget {
        /// The job.
        job: Box<str>,
    },
    /// One job, with its active runs. Answer: [`Response::Job`].
    Show {
        /// The job.
        job: Box<str>,
    },
    /// A run now, whatever the trigger says. Answer: [`Response::Started`], and with `wait` a
    /// [`Response::Ended`] as well.
    Start {
        /// The job.
        job: Box<str>,
        /// Even if `max_instances` runs are active, or the job is paused.
        force: bool,
        /// Say when it has ended, too.
        wait: bool,
    },
    /// End all active runs of a job, those that wait included. Answer: [`Response::Stopped`].
    StopJob {
        /// The job.
        job: Box<str>,
    },
    /// End one run. Answer: [`Response::Stopped`].
    StopRun {
        /// The run.
        run: RunId,
    },
    /// Pause a job, or all of them. Answer: [`Response::Done`].
    Pause {
        /// The job; `None`: all.
        job: Option<Box<str>>,
        /// Until when; `None`: until it is resumed.
        until: Option<Instant>,
        /// Why.
        reason: Option<Box<str>>,
    },
    /// The contrary. All: those that were paused together; jobs paused on their own stay so. Answer:
    /// [`Response::Resumed`] for a job, [`Response::Done`] for all.
    Resume {
        /// The job; `None`: all.
        job: Option<Box<str>>,
    },
    /// A job that is in no file. Answer: [`Response::Job`].
    Add {
        /// The job.
        job: Arc<Job>,
        /// Its keys as TOML, to be remembered.
        text: Box<str>,
        /// If there is an added job of this id, put this one in its place.
        replace: bool,
    },
    /// Remove a job that was added. Its active runs are told to end only if they have not begun.
    /// Answer: [`Response::Done`].
    Remove {
        /// The job.
        job: Box<str>,
        /// Why, for the record.
        detail: Option<Box<str>>,
    },
    /// Another definition of a job, made of its own and these overrides. Answer: [`Response::Job`].
    Change {
        /// The whole definition as it is to be.
        job: Arc<Job>,
        /// What stands over the job's own definition, as TOML; `None`: nothing any more.
        overrides: Option<Box<str>>,
        /// Which kind of change it is, for the record.
        what: ChangeKind,
        /// In what way, for the record.
        detail: Option<Box<str>>,
    },
}
