//! The numbers of a scheduler and of its jobs, gathered from the loop a page at a time, and from the
//! store. `crate::control::metrics` is what is made of them.

use std::sync::Arc;

use super::exchange::{LARGE, Next, PAGE};
use super::history::{History, JobPast, Snapshot};
use crate::control::metrics::{Job, Page, Scheduler, seconds};
use crate::control::{Request, wire};
use crate::core::event::{JobPage, JobView, Paused, Vitals};
use crate::sys::{clock, process};

/// What has been gathered.
#[derive(Debug)]
pub(super) struct Metrics {
    from: u32,
    page: Page,
    /// Jobs are wanted.
    jobs: bool,
    /// What they are made of.
    snapshot: Option<Arc<Snapshot>>,
}

impl Metrics {
    /// Begins with a job. `kept`: what the part before it was made of.
    pub(super) fn new(from: u32, jobs: bool, kept: Option<Arc<Snapshot>>) -> Metrics {
        Metrics { from, page: Page::default(), jobs, snapshot: kept.filter(|_| jobs && from > 0) }
    }

    /// What its jobs are made of, for the part that follows.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// What to ask the loop first.
    pub(super) fn begin(&self) -> Next {
        if self.from == 0 || self.jobs && self.snapshot.is_none() {
            return Next::Request(Request::Health);
        }
        self.ask()
    }

    fn ask(&self) -> Next {
        Next::Request(Request::List { from: self.from, limit: PAGE })
    }

    /// Takes what the scheduler says of itself.
    pub(super) fn take(&mut self, vitals: &Vitals, history: &mut History) -> Next {
        if self.jobs {
            self.snapshot = Some(history.past_of_all(vitals, clock::mono()));
        }
        if self.from == 0 {
            self.page.scheduler = Some(Scheduler {
                cpu_seconds: clock::of_process().as_secs_f64(),
                resident_bytes: process::resident_bytes(),
                open_fds: process::open_fds(),
                ..Scheduler::new(vitals)
            });
        }
        self.ask()
    }

    /// Takes some of the jobs.
    pub(super) fn add(&mut self, list: JobPage, history: &mut History) -> Next {
        let now = clock::wall();
        self.page.past_unknown |= self.snapshot.as_ref().is_some_and(|it| it.is_past_unknown());
        for mut view in list.jobs {
            if let Some(snapshot) = &self.snapshot {
                // What others have running they tell themselves.
                let running = view.running;
                snapshot.complete(&mut view, now);
                let past = history.past(snapshot, &view);
                self.page.jobs.push(Job { running, ..of_job(&view, past) });
            }
            let states = &mut self.page.states;
            match (&view.paused, view.next, view.running + view.waiting) {
                (Paused::No, None, 0) if view.awaits.is_none() => states.finished += 1,
                (Paused::No, ..) => states.active += 1,
                _ => states.paused += 1,
            }
        }
        if let Some(more) = list.more {
            self.from = more;
            // A job is about so long in JSON.
            if self.page.jobs.len() * 250 < LARGE {
                return self.ask();
            }
        }
        if list.more.is_none() {
            self.snapshot = None;
        }
        self.page.more = list.more;
        Next::End(Ok(wire::json(&self.page)))
    }
}

fn of_job(view: &JobView, past: JobPast) -> Job {
    Job {
        id: view.job.id.to_string(),
        succeeded: view.counts.succeeded,
        failed: view.counts.failed,
        missed: view.counts.missed,
        skipped: view.counts.skipped,
        last_success: past.success.map_or(0.0, seconds),
        last_run: past.ended.map_or(0.0, seconds),
        last_duration: past.duration.as_secs_f64(),
        next_due: view.next.map_or(0.0, seconds),
        running: view.running,
        failures: past.failures,
    }
}
