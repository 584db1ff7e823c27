//! What a simulation came to, for people.

use std::io::{self, Write};

use super::heat::{self, Look};
use super::{Answer, Behaviour, Question};
use crate::cli::table::{Table, terminal_width};
use crate::core::job::Job;
use crate::core::words;
use crate::sim::survey::JobFacts;

/// A list longer than this ends with how many more there are.
const MOST: usize = 5;

pub(super) fn write(question: &Question, answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let Question { zone, .. } = question;
    assumptions(question, out)?;
    writeln!(out)?;
    jobs(question, answer, out)?;
    writeln!(out)?;
    executors(question, answer, out)?;
    if let Some(words) = the_end(answer) {
        writeln!(out, "\n{words}")?;
    }
    writeln!(out, "\nStarts per hour, {}", zone.name())?;
    let colour = crate::cli::has_colour(&io::stdout());
    heat::write(&answer.map, Look { colour, width: terminal_width() }, out)
}

/// What was simulated, and what it takes for granted.
fn assumptions(question: &Question, out: &mut dyn Write) -> io::Result<()> {
    let Question { zone, from, until, default, .. } = question;
    writeln!(
        out,
        "{}: {}, from {} until {}",
        question.source,
        count(question.jobs.len(), "job"),
        words::table_time(*from, zone),
        words::table_time(*until, zone)
    )?;
    writeln!(
        out,
        "each attempt takes {} and exits with {}, unless set by --duration and --exit",
        words::span(default.lasts),
        default.exits
    )?;
    let others: Vec<String> = question
        .jobs
        .iter()
        .zip(&question.behaviours)
        .filter_map(|(job, behaviour)| otherwise(job, *behaviour, *default))
        .collect();
    if !others.is_empty() {
        let more = match others.len().saturating_sub(MOST) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        writeln!(out, "{}{more}", others[..others.len().min(MOST)].join("; "))?;
    }
    if question.jobs.iter().any(|job| job.options.only_if.is_some()) {
        writeln!(out, "conditions (only_if) are taken as met")?;
    }
    for &(start, end) in &question.outages {
        writeln!(
            out,
            "off from {} until {} ({})",
            words::table_time(start, zone),
            words::table_time(end, zone),
            words::span(end.since(start))
        )?;
    }
    Ok(())
}

/// `backup lasts 5m and exits with 1`.
fn otherwise(job: &Job, behaviour: Behaviour, default: Behaviour) -> Option<String> {
    let lasts = format!("lasts {}", words::span(behaviour.lasts));
    let exits = format!("exits with {}", behaviour.exits);
    let what = match (behaviour.lasts != default.lasts, behaviour.exits != default.exits) {
        (false, false) => return None,
        (true, false) => lasts,
        (false, true) => exits,
        (true, true) => format!("{lasts} and {exits}"),
    };
    Some(format!("{} {what}", crate::problem::clean(&job.id)))
}

fn jobs(question: &Question, answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let heading = vec![
        "JOB",
        "DUE",
        "RAN",
        "FAILED",
        "KILLED",
        "TIMED OUT",
        "NOT STARTED",
        "SKIPPED",
        "EXCLUDED",
        "MISSED",
        "GAVE UP",
        "COALESCED",
        "RUNNING",
        "ATTEMPTS",
        "WAITED",
        "LONGEST",
        "REMARKS",
    ];
    let mut table = Table::new(heading, 0).with_numbers(1..16);
    let mut total = JobFacts::default();
    let retried = answer.survey.jobs().iter().any(|job| job.attempts > job.ran() + job.open);
    for (job, facts) in question.jobs.iter().zip(answer.survey.jobs()) {
        let remark = match (facts.due(), facts.paused) {
            _ if job.options.paused => "paused".to_owned(),
            (_, Some((at, runs))) => {
                let at = words::table_time(at.truncated(), &question.zone);
                format!("paused at {at}: {runs} runs in a row had failed")
            }
            (0, None) => "not due".to_owned(),
            _ => String::new(),
        };
        table.row(row(&job.id, facts, retried, &remark));
        total.add(facts);
    }
    if question.jobs.len() > 1 {
        table.row(row("all", &total, retried, ""));
    }
    table.write(out, terminal_width())
}

fn row(id: &str, facts: &JobFacts, retried: bool, remark: &str) -> Vec<String> {
    // What did not happen is not worth a digit, nor a column if it happened to no job.
    let some = |number: u64| if number > 0 { number.to_string() } else { String::new() };
    vec![
        id.to_owned(),
        facts.due().to_string(),
        facts.ran().to_string(),
        some(facts.failed),
        some(facts.killed),
        some(facts.timed_out),
        some(facts.not_started),
        some(facts.skipped),
        some(facts.excluded),
        some(facts.missed),
        some(facts.gave_up),
        some(facts.coalesced),
        some(facts.open),
        if retried { some(facts.attempts) } else { String::new() },
        some(facts.waited),
        facts.longest_wait.map(|wait| words::span(wait.span)).unwrap_or_default(),
        remark.to_owned(),
    ]
}

fn executors(question: &Question, answer: &Answer, out: &mut dyn Write) -> io::Result<()> {
    let zone = &question.zone;
    let heading = vec!["EXECUTOR", "SLOTS", "PEAK", "STARTS", "WAITED", "LONGEST", "PEAK AT"];
    let mut table = Table::new(heading, 0).with_numbers(1..6);
    let mut waits = Vec::new();
    for (index, (executor, facts)) in question.executors.iter().zip(&answer.executors).enumerate() {
        let peak = answer.report.peaks.get(index).copied().unwrap_or(0);
        let peaked = answer.report.peaked.get(index).copied().flatten();
        if let Some((wait, place)) = facts.longest_wait {
            // In a column this would be wider than most terminals.
            waits.push(format!(
                "{}: {} waited {}, due {}",
                executor.name,
                question.jobs[place].id,
                words::span(wait.span),
                words::table_time(wait.due, zone)
            ));
        }
        table.row(vec![
            executor.name.to_string(),
            executor.max_workers.to_string(),
            peak.to_string(),
            facts.starts.to_string(),
            if facts.waited > 0 { facts.waited.to_string() } else { String::new() },
            facts.longest_wait.map(|(wait, _)| words::span(wait.span)).unwrap_or_default(),
            peaked.map(|at| words::table_time(at.truncated(), zone)).unwrap_or_default(),
        ]);
    }
    table.write(out, terminal_width())?;
    waits.iter().try_for_each(|wait| writeln!(out, "{wait}"))
}

/// What is not over when the simulation is.
fn the_end(answer: &Answer) -> Option<String> {
    let mut parts = Vec::new();
    if answer.running > 0 {
        parts.push(format!("{} still running", count(answer.running, "run")));
    }
    if answer.waiting > 0 {
        parts.push(format!("{} still waiting", count(answer.waiting, "run")));
    }
    (!parts.is_empty()).then(|| format!("at the end: {}", words::list(&parts)))
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
