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
    /// What its jobs are made of, if they are wanted.
    snapshot: Option<Arc<Snapshot>>,
}

impl Metrics {
    /// Begins with a job.
    pub(super) fn new(from: u32, snapshot: Option<Arc<Snapshot>>) -> Metrics {
        let past_unknown = snapshot.as_ref().is_some_and(|snapshot| snapshot.is_past_unknown());
        let page = Page { past_unknown, ..Page::default() };
        Metrics { from, page, snapshot }
    }

    /// What its jobs are made of, for the part that follows.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// What to ask the loop first.
    pub(super) fn begin(&self) -> Next {
        match self.from {
            0 => Next::Request(Request::Health),
            _ => self.ask(),
        }
    }

    fn ask(&self) -> Next {
        Next::Request(Request::List { from: self.from, limit: PAGE })
    }

    /// Takes what the scheduler says of itself.
    pub(super) fn take(&mut self, vitals: &Vitals) -> Next {
        self.page.scheduler = Some(Scheduler {
            cpu_seconds: clock::of_process().as_secs_f64(),
            resident_bytes: process::resident_bytes(),
            open_fds: process::open_fds(),
            ..Scheduler::new(vitals)
        });
        self.ask()
    }

    /// Takes some of the jobs.
    pub(super) fn add(&mut self, list: JobPage, history: &mut History) -> Next {
        let now = clock::wall();
        for mut view in list.jobs {
            if let Some(snapshot) = &self.snapshot {
                snapshot.complete(&mut view, now);
                let past = match snapshot.latest(&view.job.id) {
                    Some(latest) => history.past(latest, view.counts.sum()),
                    None => JobPast::default(),
                };
                self.page.jobs.push(of_job(&view, past));
            }
            let states = &mut self.page.states;
            match (&view.paused, view.next, view.running + view.waiting) {
                (Paused::No, None, 0) => states.finished += 1,
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
        let mut text = wire::json(&self.page);
        if let Some(more) = list.more {
            text.pop();
            text += &format!(",\"more\":{more}}}");
        } else {
            self.snapshot = None;
        }
        Next::End(Ok(text))
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
