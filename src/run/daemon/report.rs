//! Records and notices as log lines. Never a command line or an environment: they hold secrets.

use std::time::Duration;

use log::Level;

use super::{logger, overview};
use crate::core::event::{Notice, Record, RunId};
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet};
use crate::core::outcome::{Outcome, Reached, SkipReason};
use crate::core::streak;
use crate::core::trigger::Trigger;
use crate::core::words;
use crate::core::zone::Zone;
use crate::problem::clean;

/// How loud and in which words it is said what became of a due time.
fn told(record: &Record) -> (Level, String) {
    let job = &*record.job;
    let level = match &record.outcome {
        Outcome::Succeeded | Outcome::Coalesced => Level::Info,
        Outcome::Skipped(SkipReason::Excluded(_) | SkipReason::Condition(_)) => Level::Info,
        // What became of the parent was said of that. That it took too long was not.
        Outcome::Skipped(SkipReason::Parent(why)) if !why.text().contains(" took longer than ") => {
            Level::Info
        }
        Outcome::NotStarted(_) => Level::Error,
        Outcome::Failed(_) | Outcome::Killed(_) | Outcome::OverLimit(..) | Outcome::TimedOut => {
            Level::Warn
        }
        Outcome::Skipped(_) | Outcome::Missed(_) | Outcome::Lost(_) => Level::Warn,
    };
    let mut text = record.outcome.phrase(match (record.run, record.started) {
        (_, Some(_)) => Reached::Process(Some(record.duration)),
        (Some(_), None) => Reached::Run,
        (None, None) => Reached::Due,
    });
    if record.attempts > 1 {
        text += &format!(", attempt {}", record.attempts);
    }
    // A run that began late says so where its outcome is, as its beginning may have gone unsaid.
    if let Some(behind) = behind(record) {
        text += &format!(", started {} late", words::span(behind));
    }
    match record.run {
        None if record.outcome == Outcome::Skipped(SkipReason::Overlap) && record.count == 1 => {
            let most = job.options.max_instances;
            let due = time(record.due, job);
            text = format!("due {due} skipped: already running (max_instances = {most})");
        }
        None if record.count > 1 => {
            let (first, last) = (time(record.due, job), time(record.last_due, job));
            text = format!("{} due times from {first} to {last} {text}", record.count);
        }
        None => text = format!("due {} {text}", time(record.due, job)),
        Some(_) => {}
    }
    (level, text)
}

/// Logs what became of a due time.
pub(super) fn record(record: &Record) {
    let job = &*record.job;
    let (level, text) = told(record);
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
        exit = record.outcome.exit(),
        signal = record.outcome.signal(),
        duration_ms = duration,
        reason = record.outcome.reason();
        "{text}"
    );
}

/// The nearest whole second of a span that has some.
fn to_the_second(span: Duration) -> Duration {
    match span.as_secs() {
        0 => span,
        secs => Duration::from_secs(secs + u64::from(span.subsec_millis() >= 500)),
    }
}

/// How late a run began, if that says anything: not that it waited for the jobs before it or, as long as it
/// may, for its conditions.
fn behind(record: &Record) -> Option<Duration> {
    let options = &record.job.options;
    let may_wait = options.only_if.as_ref().map_or(Duration::ZERO, |_| options.wait_for);
    let started = record.started.filter(|_| !matches!(record.job.trigger, Trigger::After(_)))?;
    let allowed = options.longest_delay().saturating_add(may_wait);
    let behind = started.since(record.due);
    (behind >= allowed.saturating_add(Duration::from_secs(1))).then_some(behind)
}

/// Logs what is not an outcome.
pub(super) fn notice(notice: &Notice) {
    match notice {
        // The start line says more.
        Notice::Starting { .. } => {}
        Notice::Started { run, attempt, process, job, due, lag, held } => {
            started(*run, *attempt, process.pid, job, *due, (*lag, *held));
        }
        Notice::Retrying { run, job, outcome, attempt, delay, .. } => log::warn!(
            event = "retrying",
            job = &*job.id,
            run = run.0,
            attempt = *attempt,
            delay_ms = millis(*delay),
            reason = &*outcome.to_string();
            "{}; attempt {attempt} in {}", outcome.phrase(Reached::Process(None)), words::span(*delay)
        ),
        Notice::Postponed { run, job, reason, delay, .. } => log::warn!(
            event = "postponed",
            job = &*job.id,
            run = run.0,
            delay_ms = millis(*delay),
            reason = &**reason;
            "not started: {reason}; retrying in {}", words::span(*delay)
        ),
        Notice::AwaitsConditions { run, job, reading, wait, .. } => log::info!(
            event = "waiting",
            job = &*job.id,
            run = run.0,
            wait_ms = millis(*wait),
            reason = &**reading;
            // It is told a moment after the wait has begun.
            "waiting up to {} for only_if: {reading}", words::span(to_the_second(*wait))
        ),
        Notice::PausedByFailures { job, runs } => log::warn!(
            event = "paused",
            job = &*job.id,
            count = runs;
            "paused: {}; `schedrs resume {}` ends that",
            streak::phrase(*runs), job.id
        ),
        Notice::TimingOut { run, job } => log::warn!(
            event = "timing_out",
            job = &*job.id,
            run = run.0;
            "timeout reached; stopping it"
        ),
        // What waited here has done nothing that two hosts may not do.
        Notice::Disowned { has_process: false, .. } => {}
        Notice::Disowned { run, job, has_process: true } => log::warn!(
            event = "disowned",
            job = &*job.id,
            run = run.0;
            "the other hosts considered this host dead and may run it again; stopping it here"
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
        Notice::Stopping { running, jobs, grace } => log::info!(
            event = "stopping",
            running = *running;
            "{}", stopping(*running, jobs, *grace, logger::is_for_terminal())
        ),
        Notice::Status(status) => overview::log_status(status),
        Notice::Ignored { run, event } => {
            log::debug!(run = run.0; "ignored {event} for a run that cannot have it");
        }
    }
}

/// `stopping: waiting up to 30s for 1 run (hangs); press Ctrl-C again to kill it`.
fn stopping(running: usize, jobs: &[Box<str>], grace: Duration, is_typed: bool) -> String {
    if running == 0 {
        return "stopping".to_owned();
    }
    let named: Vec<_> = jobs.iter().map(|job| clean(job)).collect();
    let runs = format!("{} ({})", overview::counted(running, "run"), named.join(", "));
    let them = if running == 1 { "it" } else { "them" };
    let again = match is_typed {
        true => format!("press Ctrl-C again to kill {them}"),
        false => format!("a second signal kills {them}"),
    };
    format!("stopping: waiting up to {} for {runs}; {again}", words::span(grace))
}

fn started(
    run: RunId,
    attempt: u32,
    pid: u32,
    job: &Job,
    due: Instant,
    (lag, held): (Duration, Duration),
) {
    let again = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
    let is_late = lag.saturating_sub(held) >= Duration::from_secs(1);
    let late = is_late.then(|| format!(", {} after it was due", words::span(lag)));
    log::log!(
        logger::level_of_starts(),
        event = "started",
        job = &*job.id,
        run = run.0,
        due = &*words::rfc3339(due, &job.zone),
        lag_ms = millis(lag),
        attempt = attempt,
        pid = pid;
        "started, pid {pid}{again}{}", late.unwrap_or_default()
    );
}

fn reloaded_words(added: usize, changed: usize, removed: usize, unchanged: usize) -> String {
    let jobs = overview::counted(added + changed + unchanged, "job");
    let parts = [(added, "new"), (changed, "changed"), (removed, "removed")];
    let parts = overview::counts(&parts.map(|(number, word)| (number as u64, word)));
    match parts.is_empty() {
        true => format!("reloaded: {jobs}, no changes"),
        false => format!("reloaded: {jobs}: {parts}"),
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

/// Logs which zones have other rules than before: somebody has updated the time zone database.
pub(super) fn zone_changes(before: &[Zone], after: &[Zone]) {
    let has_changed =
        |zone: &&Zone| before.iter().any(|old| old.name() == zone.name() && old != *zone);
    let names: Vec<&str> = after.iter().filter(has_changed).map(Zone::name).collect();
    if !names.is_empty() {
        let names = names.join(", ");
        log::warn!(
            event = "zones_changed",
            zones = &*names;
            "the time zone rules for {names} have changed; jobs now follow the new rules"
        );
    }
}

fn time(at: Instant, job: &Job) -> String {
    words::day_and_time(at, &job.zone)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::event::RunId;
    use crate::core::outcome;
    use crate::core::zone::Database;
    use crate::history::object::RunObject;

    #[test]
    fn who_stops_it_reads_what_is_waited_for() {
        let grace = Duration::from_secs(30);
        let jobs: Vec<Box<str>> = vec!["hangs".into(), "beat".into()];
        let rows = [
            (0, 0, true, "stopping"),
            (
                1,
                1,
                true,
                "stopping: waiting up to 30s for 1 run (hangs); press Ctrl-C again to kill it",
            ),
            (
                3,
                2,
                false,
                "stopping: waiting up to 30s for 3 runs (hangs, beat); a second signal kills them",
            ),
        ];
        for (running, named, is_typed, text) in rows {
            assert_eq!(stopping(running, &jobs[..named], grace, is_typed), text);
        }
    }

    /// The log says of an outcome what a client is told of it, and what failed is no mere remark.
    #[test]
    fn an_outcome_reads_as_it_does_elsewhere() {
        let text = "[scheduler]\ntimezone = 'UTC'\n[jobs.j]\ncommand = 'true'\ncron = '* * * * *'";
        let due = Instant::from_secs(1_795_500_000);
        let set = crate::jobfile::load_text("t", text, &Database::bundled(), due).set.unwrap();
        for outcome in outcome::each() {
            for (run, started) in
                [(None, None), (Some(RunId(7)), None), (Some(RunId(7)), Some(due))]
            {
                let record = Record {
                    job: Arc::clone(&set.jobs[0]),
                    due,
                    last_due: due,
                    count: 1,
                    run,
                    outcome: outcome.clone(),
                    started,
                    duration: Duration::from_secs(12),
                    attempts: 1,
                    usage: None,
                };
                let (level, text) = told(&record);
                // The log knows the job, and so the number.
                let text = text.replace("max_instances = 1", "max_instances reached");
                assert!(text.ends_with(&RunObject::of_decided(&record).phrase()), "{text}");
                let is_as_it_should = match &outcome {
                    Outcome::Skipped(reason) => {
                        matches!(
                            reason,
                            SkipReason::Excluded(_)
                                | SkipReason::Parent(_)
                                | SkipReason::Condition(_)
                        )
                    }
                    other => matches!(other, Outcome::Succeeded | Outcome::Coalesced),
                };
                assert_eq!(level > Level::Warn, is_as_it_should, "{outcome}");
                let late = SkipReason::parent("load took longer than 6h");
                let late = Record { outcome: Outcome::Skipped(late), ..record };
                assert_eq!(told(&late).0, Level::Warn);
            }
        }
    }
}
