//! Records and notices as log lines. Never a command line or an environment: they hold secrets.

use std::time::Duration;

use log::Level;

use super::{logger, overview};
use crate::event::{MissReason, Notice, Outcome, Record, SkipReason};
use crate::instant::Instant;
use crate::job::{Job, JobSet};
use crate::words;
use crate::zone::Zone;

/// Logs what became of a due time.
pub(super) fn record(record: &Record) {
    let job = &*record.job;
    let took = words::elapsed(record.duration);
    let (level, text) = match &record.outcome {
        Outcome::Succeeded => (Level::Info, format!("succeeded after {took}")),
        Outcome::Failed(code) => {
            (Level::Warn, format!("failed with exit code {code} after {took}"))
        }
        Outcome::Killed(signal) => {
            (Level::Warn, format!("ended by {} after {took}", signal_name(*signal)))
        }
        Outcome::TimedOut if record.started.is_none() => {
            (Level::Warn, "timed out before it had begun: its start hung".to_owned())
        }
        Outcome::TimedOut => (Level::Warn, format!("timed out after {took}")),
        Outcome::NotStarted(reason) => (Level::Error, format!("not started: {reason}")),
        Outcome::Skipped(SkipReason::Overlap) if record.run.is_some() => {
            (Level::Warn, "skipped: a newer due time took its place".to_owned())
        }
        Outcome::Skipped(reason) => (Level::Warn, format!("skipped: {}", skip_words(*reason))),
        Outcome::Missed(MissReason::Late(by)) => {
            let grace = "misfire_grace_time allows";
            (Level::Warn, format!("missed: {} late, more than {grace}", words::span(*by)))
        }
        Outcome::Missed(MissReason::Waited(by)) => {
            (Level::Warn, format!("missed: waited {} for a slot", words::span(*by)))
        }
        Outcome::Coalesced => (Level::Info, "coalesced with another due time".to_owned()),
        Outcome::Lost(reason) => (Level::Warn, format!("lost: {reason}")),
    };
    let mut text = text;
    if record.attempts > 1 {
        text += &format!(", attempt {}", record.attempts);
    }
    // A run that began late says so where its outcome is, as its beginning may have gone unsaid.
    let behind = record.started.map_or(Duration::ZERO, |at| at.since(record.due));
    if behind >= job.options.longest_delay().saturating_add(Duration::from_secs(1)) {
        text += &format!(", began {} late", words::span(behind));
    }
    match record.run {
        None if record.count > 1 => {
            let (first, last) = (time(record.due, job), time(record.last_due, job));
            text = format!("{} due times from {first} to {last} {text}", record.count);
        }
        None => text = format!("due {} {text}", time(record.due, job)),
        Some(_) => {}
    }
    let reason = reason(&record.outcome);
    let exit = match record.outcome {
        Outcome::Failed(code) => Some(code),
        _ => None,
    };
    let signal = match record.outcome {
        Outcome::Killed(signal) => Some(signal),
        _ => None,
    };
    let started = record.started.map(|at| words::rfc3339(at, &job.zone));
    let lag = record.started.map(|at| millis(at.since(record.due)));
    let duration = record.started.map(|_| millis(record.duration));
    let several = record.count > 1;
    log::log!(
        level,
        event = record.outcome.word(),
        job = &*job.id,
        run = record.run.map(|run| run.0),
        due = &*words::rfc3339(record.due, &job.zone),
        last_due = several.then(|| words::rfc3339(record.last_due, &job.zone)).as_deref(),
        count = several.then_some(record.count),
        started = started.as_deref(),
        lag_ms = lag,
        attempt = (record.attempts > 0).then_some(record.attempts),
        exit = exit,
        signal = signal,
        duration_ms = duration,
        reason = reason.as_deref();
        "{text}"
    );
}

/// Why it came to an outcome, in a word or in words.
pub(super) fn reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::NotStarted(reason) | Outcome::Lost(reason) => Some(reason.clone()),
        Outcome::Skipped(reason) => Some(reason.word().to_owned()),
        Outcome::Missed(MissReason::Late(_)) => Some("late".to_owned()),
        Outcome::Missed(MissReason::Waited(_)) => Some("waited".to_owned()),
        _ => None,
    }
}

fn skip_words(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Overlap => "as many runs as max_instances allows are active",
        SkipReason::Paused => "the job is paused",
        SkipReason::Excluded => "the time is excluded",
        SkipReason::Stopping => "the scheduler is stopping",
        SkipReason::Removed => "a reload took the job away",
        SkipReason::Stopped => "somebody has stopped it before it began",
    }
}

/// Logs what is not an outcome.
pub(super) fn notice(notice: &Notice) {
    match notice {
        // The start line says more.
        Notice::Starting { .. } => {}
        Notice::Started { run, attempt, pid, job, due, lag } => {
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            let late = match lag {
                lag if *lag >= Duration::from_secs(1) => {
                    format!(", {} after it was due", words::span(*lag))
                }
                _ => String::new(),
            };
            log::log!(
                logger::level_of_starts(),
                event = "started",
                job = &*job.id,
                run = run.0,
                due = &*words::rfc3339(*due, &job.zone),
                lag_ms = millis(*lag),
                attempt = *attempt,
                pid = *pid;
                "started, pid {pid}{again}{late}"
            );
        }
        Notice::Retrying { run, job, outcome, attempt, delay } => log::warn!(
            event = "retrying",
            job = &*job.id,
            run = run.0,
            attempt = *attempt,
            delay_ms = millis(*delay),
            reason = &*outcome.to_string();
            "{}; attempt {attempt} in {}", outcome_words(outcome), words::span(*delay)
        ),
        Notice::Postponed { run, job, reason, delay, .. } => log::warn!(
            event = "postponed",
            job = &*job.id,
            run = run.0,
            delay_ms = millis(*delay),
            reason = &**reason;
            "not started: {reason}; tried again in {}", words::span(*delay)
        ),
        Notice::TimingOut { run, job } => log::warn!(
            event = "timing_out",
            job = &*job.id,
            run = run.0;
            "takes longer than its timeout, being ended"
        ),
        Notice::ClockJumped { by_micros } => {
            let by = words::span(Duration::from_micros(by_micros.unsigned_abs()));
            let way = if *by_micros < 0 { "back" } else { "forward" };
            log::warn!(
                event = "clock_jumped",
                by_ms = by_micros / 1000;
                "the clock was set {way} by {by}, or the machine slept"
            );
        }
        Notice::Reloaded { added, changed, removed, unchanged } => log::info!(
            event = "reloaded",
            added = *added,
            changed = *changed,
            removed = *removed,
            unchanged = *unchanged;
            "{}", reloaded_words(*added, *changed, *removed, *unchanged)
        ),
        Notice::Stopping { running: 0 } => {
            log::info!(event = "stopping", running = 0; "stopping");
        }
        Notice::Stopping { running } => log::info!(
            event = "stopping",
            running = *running;
            "stopping; {} active. A second signal ends what runs at once",
            match running {
                1 => "1 run is".to_owned(),
                _ => format!("{running} runs are"),
            }
        ),
        Notice::Status(status) => overview::log_status(status),
        Notice::Ignored { run, event } => {
            log::debug!(run = run.0; "{event} was said of a run that cannot have {event}");
        }
    }
}

fn reloaded_words(added: usize, changed: usize, removed: usize, unchanged: usize) -> String {
    let jobs = overview::counted(added + changed + unchanged, "job");
    let parts = [(added, "new"), (changed, "changed"), (removed, "gone")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect();
    match parts.is_empty() {
        true => format!("reloaded: {jobs}, nothing has changed"),
        false => format!("reloaded: {jobs}: {}", parts.join(", ")),
    }
}

/// The zones of a jobfile, each once.
pub(super) fn zones(set: &JobSet) -> Vec<Zone> {
    let mut zones = vec![set.settings.zone.clone()];
    let mut last = None;
    for job in &set.jobs {
        // Nearly always that of the job before.
        if last != Some(&job.zone) && !zones.contains(&job.zone) {
            zones.push(job.zone.clone());
        }
        last = Some(&job.zone);
    }
    zones
}

/// Logs which zones have other rules than before: somebody has updated the time-zone database.
pub(super) fn zone_changes(before: &[Zone], after: &[Zone]) {
    let has_changed =
        |zone: &&Zone| before.iter().any(|old| old.name() == zone.name() && old != *zone);
    let names: Vec<&str> = after.iter().filter(has_changed).map(Zone::name).collect();
    if !names.is_empty() {
        let names = names.join(", ");
        log::warn!(
            event = "zones_changed",
            zones = &*names;
            "the time-zone database has other rules for {names} than before; their jobs follow them"
        );
    }
}

pub(super) fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(code) => format!("failed with exit code {code}"),
        Outcome::Killed(signal) => format!("ended by {}", signal_name(*signal)),
        Outcome::TimedOut => "timed out".to_owned(),
        Outcome::NotStarted(reason) => format!("not started: {reason}"),
        Outcome::Lost(reason) => format!("lost: {reason}"),
        other => other.to_string(),
    }
}

fn signal_name(signal: i32) -> String {
    match signal_hook::low_level::signal_name(signal) {
        Some(name) => name.to_owned(),
        None => format!("signal {signal}"),
    }
}

fn time(at: Instant, job: &Job) -> String {
    words::day_and_time(at, &job.zone)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
