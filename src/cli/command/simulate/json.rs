//! What a simulation came to, for programs: one JSON object on one line.

use std::io::Write;
use std::num::NonZero;

use serde::Serialize;

use super::{Answer, Question};
use crate::core::instant::Instant;
use crate::core::words;
use crate::sim::survey::{Hour, Wait};

#[derive(Serialize)]
struct Whole<'a> {
    from: String,
    until: String,
    timezone: &'a str,
    default: Default,
    outages: Vec<Outage>,
    jobs: Vec<Job<'a>>,
    executors: Vec<Executor<'a>>,
    hours: Vec<Starts>,
    running: usize,
    waiting: usize,
}

#[derive(Serialize)]
struct Default {
    duration_ms: u128,
    exit: u8,
}

#[derive(Serialize)]
struct Outage {
    from: String,
    until: String,
}

#[derive(Serialize)]
struct Job<'a> {
    job: &'a str,
    executor: &'a str,
    paused: bool,
    duration_ms: u128,
    exit: u8,
    due: u64,
    succeeded: u64,
    failed: u64,
    killed: u64,
    timed_out: u64,
    not_started: u64,
    skipped: u64,
    excluded: u64,
    missed_late: u64,
    missed_waited: u64,
    coalesced: u64,
    running: u64,
    attempts: u64,
    waited: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_wait: Option<Longest<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused_at: Option<String>,
}

#[derive(Serialize)]
struct Executor<'a> {
    executor: &'a str,
    max_workers: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_starts_per_second: Option<NonZero<u32>>,
    peak: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_at: Option<String>,
    starts: u64,
    waited: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_wait: Option<Longest<'a>>,
}

#[derive(Serialize)]
struct Longest<'a> {
    ms: u128,
    job: &'a str,
    due: String,
}

#[derive(Serialize)]
struct Starts {
    hour: String,
    starts: u64,
}

pub(super) fn write(
    question: &Question,
    answer: &Answer,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let zone = &question.zone;
    let time = |at| words::rfc3339(at, zone);
    let executors = question.executors.iter().zip(&answer.executors).enumerate();
    let executors = executors.map(|(index, (executor, facts))| Executor {
        executor: &executor.name,
        max_workers: executor.max_workers,
        max_starts_per_second: executor.max_starts_per_second,
        peak: answer.report.peaks.get(index).copied().unwrap_or(0),
        peak_at: answer.report.peaked.get(index).copied().flatten().map(time),
        starts: facts.starts,
        waited: facts.waited,
        longest_wait: facts.longest_wait.map(|wait| longest(question, wait)),
    });
    // The beginning of the hour on the clocks of the zone.
    let begins = |hour: &Hour| {
        let since = zone.wall_of(hour.first) - hour.wall * 3600;
        Instant::from_secs(hour.first.secs() - since)
    };
    let hours = answer.survey.hours().iter();
    let outages = question.outages.iter();
    let whole = Whole {
        from: time(question.from),
        until: time(question.until),
        timezone: zone.name(),
        default: Default {
            duration_ms: question.default.lasts.as_millis(),
            exit: question.default.exits,
        },
        outages: outages
            .map(|&(from, until)| Outage { from: time(from), until: time(until) })
            .collect(),
        jobs: jobs(question, answer),
        executors: executors.collect(),
        hours: hours.map(|hour| Starts { hour: time(begins(hour)), starts: hour.starts }).collect(),
        running: answer.running,
        waiting: answer.waiting,
    };
    writeln!(out, "{}", crate::problem::json(&whole)?)?;
    Ok(())
}

fn longest(question: &Question, (wait, place): (Wait, usize)) -> Longest<'_> {
    Longest {
        ms: wait.span.as_millis(),
        job: &question.jobs[place].id,
        due: words::rfc3339(wait.due, &question.zone),
    }
}

/// What became of the due times of each job.
fn jobs<'q>(question: &'q Question, answer: &Answer) -> Vec<Job<'q>> {
    let jobs = question.jobs.iter().zip(&question.behaviours).zip(answer.survey.jobs());
    let jobs = jobs.enumerate().map(|(place, ((job, behaviour), facts))| Job {
        job: &job.id,
        executor: question
            .executors
            .get(usize::from(job.executor))
            .map_or("default", |executor| &executor.name),
        paused: job.options.paused,
        duration_ms: behaviour.lasts.as_millis(),
        exit: behaviour.exits,
        due: facts.due(),
        succeeded: facts.succeeded,
        failed: facts.failed,
        killed: facts.killed,
        timed_out: facts.timed_out,
        not_started: facts.not_started,
        skipped: facts.skipped,
        excluded: facts.excluded,
        missed_late: facts.missed,
        missed_waited: facts.gave_up,
        coalesced: facts.coalesced,
        running: facts.open,
        attempts: facts.attempts,
        waited: facts.waited,
        longest_wait: facts.longest_wait.map(|wait| longest(question, (wait, place))),
        paused_at: facts.paused.map(|(at, _)| words::rfc3339(at, &question.zone)),
    });
    jobs.collect()
}
