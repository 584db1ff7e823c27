//! How things stand: said once at the start, then at the bottom of a terminal and to a service
//! manager whenever it changes, and on request.
//!
//! Where nobody looks on, nothing is computed and nobody is woken. Where somebody does, a change
//! is shown a moment later, so that a thousand of them in that moment are one, and a run that is
//! over at once does not flicker.

use std::time::Duration;

use super::{Plan, logger, notify};
use crate::core::event::{Active, Status};
use crate::core::instant::{Instant, Mono, Now};
use crate::core::scheduler::Scheduler;
use crate::core::sort;
use crate::core::words;
use crate::problem::clean;
use crate::run::output::{self, Live};
use crate::sys::clock;

/// From a change to the moment it is shown on a terminal.
const MOMENT: Duration = Duration::from_millis(100);

/// The same for the service manager, whose answer to a question it is.
const LONG_MOMENT: Duration = Duration::from_secs(1);

/// More jobs than this are not named on the line.
const NAMED: usize = 8;

/// More runs than this are not listed on request.
const LISTED: usize = 50;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Overview {
    screen: Option<output::Handle>,
    manager: bool,
    /// What the service manager was told last.
    told: String,
    /// Since when something is not shown.
    touched: Option<Mono>,
    source: String,
    jobs: usize,
    executors: Vec<String>,
}

impl Overview {
    pub(super) fn new(plan: &Plan) -> Overview {
        let executors = plan.jobfile.set.executors.iter();
        Overview {
            screen: plan.live.then(|| plan.output.clone()),
            manager: notify::is_wanted(),
            told: String::new(),
            touched: None,
            source: plan.source.clone(),
            jobs: plan.jobfile.set.jobs.len(),
            executors: executors
                .map(|pool| format!("{} {}", pool.name, pool.max_workers))
                .collect(),
        }
    }

    /// What is said once, when the loop begins.
    pub(super) fn start_line(&self, scheduler: &Scheduler) {
        let zone = logger::zone();
        let next = scheduler.status().next;
        let now = clock::wall();
        let next_words = match &next {
            Some((at, job)) if *at <= now => format!("{job} now"),
            Some((at, job)) => {
                let ahead = Duration::from_secs(at.since(now.truncated()).as_secs());
                format!("{job} at {}, in {}", words::soon(*at, now, &zone), words::span(ahead))
            }
            // Which jobs are at home here is not known yet.
            None if scheduler.is_in_fleet() => {
                "known once this host has joined the fleet".to_owned()
            }
            None => "nothing is ever due".to_owned(),
        };
        let jobs = counted(self.jobs, "job");
        // Names may hold line ends, and this text has lines.
        let executors = self.executors.join(", ");
        let origin = zone.origin().map(|origin| format!(" ({origin})")).unwrap_or_default();
        let place = format!("{zone}{origin}");
        let [source, executors, next_words, place] =
            [&self.source, &executors, &next_words, &place].map(|text| clean(text));
        let version = env!("CARGO_PKG_VERSION");
        let text = if logger::is_for_terminal() {
            // Below each other, in the column behind the time.
            format!(
                "schedrs {version}\n\
                 file       {source}, {jobs}\n\
                 zone       {place}, {}\n\
                 executors  {executors}\n\
                 next       {next_words}",
                words::table_time(now.truncated(), &zone)
            )
        } else {
            format!(
                "schedrs {version}: {source}, {jobs}, {place}, executors: {executors}; next: {next_words}"
            )
        };
        log::info!(
            event = "starting",
            jobs = self.jobs,
            zone = zone.name(),
            next = next.map(|(at, _)| words::rfc3339(at, &zone)).as_deref();
            "{text}"
        );
    }

    /// Something has changed.
    pub(super) fn touch(&mut self, now: Mono) {
        if self.screen.is_some() || self.manager {
            self.touched.get_or_insert(now);
        }
    }

    /// When it is to be shown.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let moment = if self.screen.is_some() { MOMENT } else { LONG_MOMENT };
        self.touched.map(|since| since.plus(moment))
    }

    /// Shows it if it is time.
    pub(super) fn show_in_time(&mut self, now: Now, scheduler: &Scheduler) {
        if self.deadline().is_some_and(|deadline| now.mono >= deadline) {
            self.show(now, scheduler);
        }
    }

    fn show(&mut self, now: Now, scheduler: &Scheduler) {
        self.touched = None;
        if self.screen.is_none() && !self.manager {
            return;
        }
        let status = scheduler.status();
        let stopping = scheduler.is_stopping();
        if self.manager {
            let text = sentence(&status, now.wall, stopping);
            if text != self.told {
                notify::notify(&format!("STATUS={text}"));
                self.told = text;
            }
        }
        if let Some(screen) = &self.screen {
            let mut running: Vec<(Box<str>, Mono)> = status
                .active
                .iter()
                .filter(|active| active.doing.is_running())
                .filter_map(|active| Some((active.job.id.clone(), active.started?.1)))
                .collect();
            sort::by_key(&mut running, |(_, since)| *since);
            running.truncate(NAMED);
            screen.show(Live {
                running,
                count: status.running,
                waiting: status.waiting,
                waits: waits(&status),
                next: next_words(&status, now.wall),
                stopping,
            });
        }
    }
}

/// `2 running, 1 waiting (report for a slot), next heartbeat at 12:00:10`.
fn sentence(status: &Status, now: Instant, stopping: bool) -> String {
    let (running, waiting) = (status.running, status.waiting);
    let waiting = output::waiting_words(waiting, &waits(status));
    if stopping {
        format!("stopping: {running} running, {waiting}")
    } else {
        format!("{running} running, {waiting}, {}", next_words(status, now))
    }
}

/// Who waits, and for what.
fn waits(status: &Status) -> Vec<(Box<str>, &'static str)> {
    let waiting = status.active.iter().filter(|active| !active.doing.is_running());
    let waits = waiting.take(NAMED).map(|active| (active.job.id.clone(), active.doing.waits()));
    waits.collect()
}

fn next_words(status: &Status, now: Instant) -> String {
    match &status.next {
        Some((at, job)) => {
            let job = clean(job);
            format!("next {job} at {}", words::soon(*at, now, &logger::zone()))
        }
        None => "nothing more is due".to_owned(),
    }
}

/// Answers SIGUSR1.
pub(super) fn log_status(status: &Status) {
    let now = clock::now();
    let zone = logger::zone();
    let next = status.next.as_ref();
    log::info!(
        event = "status",
        jobs = status.jobs,
        running = status.running,
        waiting = status.waiting,
        next_job = next.map(|(_, job)| &**job),
        next = next.map(|(at, _)| words::rfc3339(*at, &zone)).as_deref();
        "{}: {}", counted(status.jobs, "job"), sentence(status, now.wall, false)
    );
    for active in status.active.iter().take(LISTED) {
        log_active(active, now);
    }
    if let Some(more) = status.active.len().checked_sub(LISTED).filter(|more| *more > 0) {
        log::info!("and {} more", counted(more, "run"));
    }
}

fn log_active(active: &Active, now: Now) {
    let zone = &active.job.zone;
    let mut text = active.doing.phrase().to_owned();
    if let Some(awaits) = &active.awaits {
        text += &format!(" ({})", awaits.reading);
    }
    if let Some((at, since)) = active.started {
        let shown = words::soon(at, now.wall, &logger::zone());
        text += &format!(", started at {shown}, {} ago", words::elapsed(now.mono.since(since)));
    }
    if active.attempt > 1 {
        text += &format!(", attempt {}", active.attempt);
    }
    log::info!(
        event = "active",
        job = &*active.job.id,
        run = active.run.0,
        due = &*words::rfc3339(active.due, zone),
        started = active.started.map(|(at, _)| words::rfc3339(at, zone)).as_deref(),
        attempt = (active.attempt > 0).then_some(active.attempt),
        duration_ms = active.started.map(|(_, since)| now.mono.since(since).as_millis() as u64),
        reason = active.doing.phrase();
        "{text}"
    );
}

/// `3 missed, 9 coalesced`: those of which there are any.
pub(super) fn counts(parts: &[(u64, &str)]) -> String {
    let some = parts.iter().filter(|(number, _)| *number > 0);
    let some: Vec<String> = some.map(|(number, word)| format!("{number} {word}")).collect();
    some.join(", ")
}

/// `1 job`, `2 jobs`.
pub(super) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
