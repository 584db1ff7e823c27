//! What `schedrs next` shows: the due times of a set of jobs, merged, with a word on each that is
//! out of the ordinary.
//!
//! Pure, like the triggers it asks. Without state it previews as if the scheduler started at
//! `from`: intervals without `start_date` count from there, and `date = "now"` is due there.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::trigger::{DateTrigger, Trigger};
use crate::core::words;

/// The remark about a job that is paused without an end.
pub const PAUSED: &str = "paused";

/// One line of a preview.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Index of the job in the slice that was given.
    pub job: usize,
    /// When it is due; `None` when it is not, and `remark` says why.
    pub due: Option<Instant>,
    /// What is out of the ordinary.
    pub remark: Option<String>,
}

/// What to show.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first instant; a due time equal to it is shown.
    pub from: Instant,
    /// The last instant, included.
    pub until: Option<Instant>,
    /// How many due times of each job, at most.
    pub count: usize,
}

/// The due times of `jobs` in order of time, then of jobs; those of a job that has none come last.
///
/// Nothing is held but one due time a job, so that a preview of a million due times may be
/// written while it is computed.
pub fn preview<'a>(jobs: &'a [&'a Job], window: Window) -> impl Iterator<Item = Row> + 'a {
    let just_before = window.from.just_before();
    let mut triggers = Vec::with_capacity(jobs.len());
    let mut pending = BinaryHeap::with_capacity(jobs.len());
    let mut idle = Vec::new();
    let in_window = move |due: &Instant| window.until.is_none_or(|until| *due <= until);
    for (index, job) in jobs.iter().enumerate() {
        let trigger = job.trigger.anchored(window.from);
        let next = trigger.next_after(just_before);
        match next.filter(in_window) {
            Some(due) if !job.options.paused && window.count > 0 => {
                pending.push(Reverse((due, index, 1)));
            }
            _ => idle.push(Row {
                job: index,
                due: None,
                remark: why_not(job, &trigger, next, window),
            }),
        }
        triggers.push(trigger);
    }
    let mut idle = idle.into_iter();
    std::iter::from_fn(move || {
        let Some(Reverse((due, index, nth))) = pending.pop() else { return idle.next() };
        if nth < window.count
            && let Some(next) = triggers[index].next_after(due).filter(in_window)
        {
            pending.push(Reverse((next, index, nth + 1)));
        }
        Some(Row {
            job: index,
            due: Some(due),
            remark: remark(jobs[index], &triggers[index], due, nth == 1),
        })
    })
}

/// Why a job has no due time to show.
fn why_not(job: &Job, trigger: &Trigger, next: Option<Instant>, window: Window) -> Option<String> {
    if job.options.paused {
        return Some(PAUSED.to_owned());
    }
    if next.is_some() {
        let until = window.until?;
        return Some(format!("not until {}", words::day_and_time(until, &job.zone)));
    }
    let ended = match trigger {
        Trigger::Date(DateTrigger::At(at)) => Some(*at),
        _ if trigger.next_after(Instant::MIN).is_none() => return Some("never".to_owned()),
        _ => trigger.end_date(),
    };
    Some(match ended {
        Some(ended) => format!("ended {}", words::day(ended, &job.zone)),
        None => "no more due times".to_owned(),
    })
}

fn remark(job: &Job, trigger: &Trigger, due: Instant, first: bool) -> Option<String> {
    let mut remarks = Vec::new();
    if let Some(effect) = trigger.dst_effect_at(due) {
        remarks.push(words::dst_effect(&effect, &job.zone));
    }
    if !job.options.spread.most.is_zero() {
        let shift = words::span(job.options.spread.of(&job.id));
        remarks.push(format!("starts {shift} later: spread"));
    }
    if job.options.jitter > Duration::ZERO {
        remarks.push(format!("jitter up to {}", words::span(job.options.jitter)));
    }
    if first && job.options.run_on_start {
        remarks.push("also runs at start".to_owned());
    }
    (!remarks.is_empty()).then(|| remarks.join("; "))
}
