//! Minutes with more starts than slots, and a jitter that spreads them, seen by simulating again.
//!
//! That is done once, however many jitters there are to choose from: which is the best is counted before, as
//! a simulation of many runs takes its time.

use std::io::{BufWriter, Write};
use std::time::Duration;

use serde::Serialize;

use super::{Question, simulated};
use crate::cli::ExitCode;
use crate::cli::table::{Table, paragraph, terminal_width};
use crate::core::instant::Instant;
use crate::core::job::JobSet;
use crate::core::words;
use crate::problem::clean;
use crate::sim::crowd::{Crowd, Crowds, JITTERS};
use crate::sim::survey::Places;

/// No more minutes than this are shown to a person.
const SHOWN: usize = 10;

/// So many of its jobs are named in a line.
const NAMED: usize = 4;

/// So long before and after the worst minute a jitter is tried, before it is simulated for the whole span.
const TRIED: Duration = Duration::from_secs(15 * 86_400);

/// A minute of the day, for programs.
#[derive(Serialize)]
struct Minute<'a> {
    executor: &'a str,
    max_workers: u32,
    clock: String,
    days: u32,
    worst: String,
    starts: u32,
    jobs: Vec<&'a str>,
}

/// What would help, for programs.
#[derive(Serialize)]
struct Suggestion<'a> {
    executor: &'a str,
    jobs: Vec<&'a str>,
    jitter: String,
    /// The most starts of a minute: as it is, and with the jitter.
    peak: u32,
    peak_with: u32,
}

#[derive(Serialize)]
struct Answer<'a> {
    crowded: Vec<Minute<'a>>,
    suggestions: Vec<Suggestion<'a>>,
}

pub(super) fn write(question: &Question, set: &JobSet, json: bool) -> anyhow::Result<ExitCode> {
    let crowds = crowds(question, set.clone());
    let slots: Vec<u32> = question.executors.iter().map(|executor| executor.max_workers).collect();
    let clock = |at: Instant| question.zone.wall_of(at).rem_euclid(86_400);
    let over = crowds.over(&slots, clock);
    // Whose starts these are is looked up for those that are shown.
    let shown = if json { over.len() } else { over.len().min(SHOWN) };
    let minutes: Vec<Minute<'_>> =
        over[..shown].iter().map(|crowd| minute(crowd, question)).collect();
    let mut suggestions = Vec::new();
    for executor in 0..slots.len() as u16 {
        // The worst of each executor comes first.
        if let Some(crowd) = over.iter().find(|crowd| crowd.executor == executor) {
            suggestions.extend(suggestion(crowd, &crowds, question, set));
        }
    }
    let answer = Answer { crowded: minutes, suggestions };
    let mut out = BufWriter::new(anstream::stdout().lock());
    if json {
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
    } else if answer.crowded.is_empty() {
        writeln!(out, "In no minute a start waits because more are due than there are slots.")?;
    } else {
        text(&answer, over.len() - shown, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn crowds(question: &Question, set: JobSet) -> Crowds {
    let mut crowds = Crowds::default();
    let places = Places::new(&question.jobs);
    simulated(question, set, question.attempts(&places), &mut crowds);
    crowds
}

fn minute<'a>(crowd: &Crowd, question: &'a Question) -> Minute<'a> {
    let executor = &question.executors[usize::from(crowd.executor)];
    let wall = question.zone.wall_of(crowd.worst).rem_euclid(86_400);
    let jobs = crowd.jobs(&question.jobs, question.from);
    Minute {
        executor: &executor.name,
        max_workers: executor.max_workers,
        clock: format!("{:02}:{:02}", wall / 3600, wall % 3600 / 60),
        days: crowd.days,
        worst: words::rfc3339(crowd.worst, &question.zone),
        starts: crowd.starts,
        jobs: jobs.iter().map(|place| &*question.jobs[*place].id).collect(),
    }
}

/// The shortest jitter that halves the peak of the executor; without one, that which helps most, if it does by
/// a tenth.
fn suggestion<'a>(
    crowd: &Crowd,
    crowds_now: &Crowds,
    question: &'a Question,
    set: &JobSet,
) -> Option<Suggestion<'a>> {
    let Question { jobs, from, until, .. } = question;
    let near = ((*from).max(crowd.worst.minus(TRIED)), (*until).min(crowd.worst.plus(TRIED)));
    let mut best: Option<(u32, Duration)> = None;
    for jitter in JITTERS {
        let (spread, places) = crowd.spread(jobs, *from, jitter);
        if places.is_empty() {
            break;
        }
        let peak = crowds_now.peak_with(crowd.executor, (jobs, &spread, &places), (*from, near));
        if best.is_none_or(|best| peak < best.0) {
            best = Some((peak, jitter));
        }
        if peak * 2 <= crowd.starts {
            break;
        }
    }
    let helps = |peak: u32| u64::from(peak) * 10 <= u64::from(crowd.starts) * 9;
    let (_, jitter) = best.filter(|best| helps(best.0))?;
    let (jobs, places) = crowd.spread(jobs, *from, jitter);
    let peak_with = crowds(question, JobSet { jobs, ..set.clone() }).peak(crowd.executor);
    helps(peak_with).then_some(())?;
    Some(Suggestion {
        executor: &question.executors[usize::from(crowd.executor)].name,
        jobs: places.iter().map(|place| &*question.jobs[*place].id).collect(),
        jitter: words::span(jitter),
        peak: crowd.starts,
        peak_with,
    })
}

/// The first of them.
fn names(jobs: &[&str]) -> String {
    let first: Vec<&str> = jobs.iter().take(NAMED).copied().collect();
    match jobs.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

fn text(answer: &Answer<'_>, more: usize, out: &mut dyn Write) -> anyhow::Result<()> {
    let heading = vec!["MINUTE", "DAYS", "STARTS", "SLOTS", "EXECUTOR", "JOBS"];
    let mut table = Table::new(heading, 5).with_numbers(1..4);
    for minute in &answer.crowded {
        table.row(vec![
            minute.clock.clone(),
            minute.days.to_string(),
            minute.starts.to_string(),
            minute.max_workers.to_string(),
            minute.executor.to_owned(),
            names(&minute.jobs),
        ]);
    }
    table.write(out, terminal_width())?;
    if more > 0 {
        writeln!(out, "and {more} more minutes; `--output json` has all")?;
    }
    for suggestion in &answer.suggestions {
        let Suggestion { executor, jobs, jitter, peak, peak_with } = suggestion;
        writeln!(out)?;
        let helps = if peak_with * 2 <= *peak { "" } else { ", which is not half" };
        let what = format!(
            "With `jitter = \"{jitter}\"` on these {} jobs, executor {executor} would have at most \
             {peak_with} starts a minute instead of {peak}{helps} (simulated). Or write `H` for the \
             minute of their cron schedules.",
            jobs.len()
        );
        paragraph(out, ("", 0), 0, &what, terminal_width())?;
        let ids: Vec<_> = jobs.iter().map(|id| clean(id).into_owned()).collect();
        paragraph(out, ("  ", 2), 2, &ids.join(", "), terminal_width())?;
    }
    if answer.suggestions.is_empty() {
        let what = "No jitter would help by much: most of these starts are of jobs that have one already, or that \
             are due too often for one. More `max_workers` would.";
        writeln!(out)?;
        paragraph(out, ("", 0), 0, what, terminal_width())?;
    }
    Ok(())
}
