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
use crate::core::trigger::{AfterTrigger, DateTrigger, Trigger};
use crate::core::words;

/// The remark about a job that is paused without an end.
pub const PAUSED: &str = "paused";

/// The remark about a due time that is excluded.
pub const EXCLUDED: &str = "excluded";

/// One line of a preview.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Index of the job in the slice that was given.
    pub job: usize,
    /// When it is due; `None` when it is not, and `remark` says why.
    pub due: Option<Instant>,
    /// It does not run then: what excludes it, the name of a calendar or a window.
    pub excluded: Option<String>,
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
/// Those that `except` and `only` exclude are among them, unless one of each job is asked for: that is the
/// next that runs.
///
/// Nothing is held but one due time a job, so that a preview of a million due times may be
/// written while it is computed.
pub fn preview<'a>(jobs: &'a [&'a Job], window: Window) -> impl Iterator<Item = Row> + 'a {
    let just_before = window.from.just_before();
    let mut triggers = Vec::with_capacity(jobs.len());
    let mut pending = BinaryHeap::with_capacity(jobs.len());
    let mut idle = Vec::new();
    let in_window = move |due: &Instant| window.until.is_none_or(|until| *due <= until);
    let next_of = move |job: &Job, trigger: &Trigger, after| match window.count {
        1 => job.next_kept(trigger, after),
        _ => trigger.next_after(after),
    };
    for (index, job) in jobs.iter().enumerate() {
        let trigger = job.trigger.anchored(window.from);
        let next = next_of(job, &trigger, just_before);
        match next.filter(in_window) {
            Some(due) if !job.options.paused && window.count > 0 => {
                pending.push(Reverse((due, index, 1)));
            }
            _ => idle.push(Row {
                job: index,
                due: None,
                excluded: None,
                remark: why_not(job, &trigger, next, window),
            }),
        }
        triggers.push(trigger);
    }
    let mut idle = idle.into_iter();
    std::iter::from_fn(move || {
        let Some(Reverse((due, index, nth))) = pending.pop() else { return idle.next() };
        if nth < window.count
            && let Some(next) = next_of(jobs[index], &triggers[index], due).filter(in_window)
        {
            pending.push(Reverse((next, index, nth + 1)));
        }
        let (job, trigger) = (jobs[index], &triggers[index]);
        let excluded = job.excluded(due);
        let remark = match &excluded {
            Some(by) => Some(format!("{EXCLUDED} ({by})")),
            None => {
                let left_out =
                    (window.count == 1).then(|| trigger.next_after(just_before)).flatten();
                remark(job, trigger, due, left_out.filter(|first| *first < due), nth == 1)
            }
        };
        Some(Row { job: index, due: Some(due), excluded, remark })
    })
}

/// Why a job has no due time to show.
fn why_not(job: &Job, trigger: &Trigger, next: Option<Instant>, window: Window) -> Option<String> {
    if job.options.paused {
        return Some(PAUSED.to_owned());
    }
    if let Trigger::After(_) = trigger {
        return Some(words::trigger(trigger, &job.zone));
    }
    if next.is_some() {
        let until = window.until?;
        return Some(format!("not until {}", words::day_and_time(until, &job.zone)));
    }
    if let Some(due) = trigger.next_after(window.from.just_before())
        && let Some(by) = job.excluded(due)
    {
        // The next is counted from when this one is skipped.
        let never = if matches!(trigger, Trigger::FromEnd(_)) { "" } else { "never: " };
        return Some(format!("{never}{EXCLUDED} ({by})"));
    }
    if let Trigger::FromEnd(from_end) = trigger
        && let Some(remark) = words::after_run(from_end, window.from)
    {
        // Its last due time has passed, and the next is not known yet.
        return Some(remark.into());
    }
    let ended = match trigger {
        Trigger::Date(DateTrigger::At(at)) => Some(*at),
        _ if trigger.never(window.from) => return Some("never".to_owned()),
        _ => trigger.end_date(),
    };
    Some(match ended {
        Some(ended) => format!("ended {}", words::day(ended, &job.zone)),
        None => "no more due times".to_owned(),
    })
}

/// When a job is due that is due after others, by what these say from `from` on: `after load, which is due
/// 1 Dec 2026 03:00`. `None`: it is no such job. `find` knows jobs by their ids.
pub fn chain<'a>(
    job: &Job,
    from: Instant,
    find: &impl Fn(&str) -> Option<&'a Job>,
) -> Option<String> {
    let Trigger::After(after) = &job.trigger else { return None };
    Some(links(after, from, find, DEEPEST))
}

/// More jobs of a chain are not said.
const DEEPEST: u32 = 10;

fn links<'a>(
    after: &AfterTrigger,
    from: Instant,
    find: &impl Fn(&str) -> Option<&'a Job>,
    depth: u32,
) -> String {
    let due = |parent: &str| {
        let job = find(parent)?;
        let next = job.trigger.anchored(from).next_after(from.just_before());
        Some((next, job))
    };
    let said = match after.parents() {
        [parent] => match due(parent) {
            Some((_, job)) if job.options.paused => Some("is paused".to_owned()),
            Some((Some(next), job)) => {
                Some(format!("is due {}", words::day_and_time(next.truncated(), &job.zone)))
            }
            Some((None, job)) => match &job.trigger {
                Trigger::After(after) if depth > 0 => {
                    Some(format!("is due {}", links(after, from, find, depth - 1)))
                }
                _ => None,
            },
            None => None,
        },
        // Their due times have to be the same: if the next are, that is it.
        parents => {
            let mut dues = parents.iter().map(|parent| due(parent).and_then(|(next, _)| next));
            let first = dues.next().flatten().filter(|first| dues.all(|due| due == Some(*first)));
            let zone = parents.first().and_then(|parent| find(parent)).map(|job| &job.zone);
            first.zip(zone).map(|(due, zone)| {
                format!("are due {}", words::day_and_time(due.truncated(), zone))
            })
        }
    };
    let said = said.map(|said| format!(", which {said}")).unwrap_or_default();
    format!("after {}{said}", after.names())
}

/// `left_out`: the first due time before it, which is excluded.
fn remark(
    job: &Job,
    trigger: &Trigger,
    due: Instant,
    left_out: Option<Instant>,
    first: bool,
) -> Option<String> {
    let mut remarks = Vec::new();
    if let Some(left_out) = left_out
        && let Some(by) = job.excluded(left_out)
    {
        remarks.push(format!("not {}: {by}", words::day_and_time(left_out, &job.zone)));
    }
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
