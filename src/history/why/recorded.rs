//! The answer for a due time that has a record.

use std::time::Duration;

use super::{Case, Verdict, unrecorded};
use crate::core::event::{Change, ChangeKind};
use crate::core::instant::Instant;
use crate::core::job::{Grace, Overlap};
use crate::core::outcome::{MissReason, Outcome, SkipReason};
use crate::core::record::{AttemptRecord, RunRecord};
use crate::core::sort;
use crate::core::words;
use crate::history::down::{Down, down_at};
use crate::history::{end_of, format};
use crate::problem::clean;

/// What is decided in one step of the scheduler is recorded within this.
const ONE_STEP: Duration = Duration::from_millis(100);

/// Says what became of a due time, and why.
pub(super) fn verdict(case: &Case<'_>, record: &RunRecord, due: Instant) -> Verdict {
    let mut verdict = match &record.outcome {
        None => not_over(case, record),
        Some(outcome) => match outcome {
            Outcome::Succeeded
            | Outcome::Failed(_)
            | Outcome::Killed(_)
            | Outcome::OverLimit(..)
            | Outcome::TimedOut
            | Outcome::NotStarted(_) => ran(case, record, outcome),
            Outcome::Skipped(reason) => skipped(case, record, due, reason),
            Outcome::Missed(reason) => missed(case, record, due, *reason),
            Outcome::Coalesced => coalesced(case, record, due),
            Outcome::Lost(reason) => lost(case, record, reason),
        },
    };
    if record.count > 1 {
        let range = format::range(record, case.zone);
        verdict.also("with it", format!("{range} share this outcome"));
    }
    verdict.due = Some(due);
    verdict.record = Some(record.clone());
    verdict
}

fn ran(case: &Case<'_>, record: &RunRecord, outcome: &Outcome) -> Verdict {
    let killer = match outcome {
        Outcome::Killed(_) => who_killed(case, record),
        _ => None,
    };
    let how = match outcome {
        Outcome::TimedOut if record.started.is_some() => {
            let timeout = case.job.and_then(|job| job.options.timeout);
            let timeout = timeout.map(|after| format!(" of {}", words::span(after)));
            format!("was stopped by its timeout{}", timeout.unwrap_or_default())
        }
        _ => clean(&outcome.sentence(format::reached(record))).into_owned(),
    };
    let by = killer.as_ref().map(|killer| format!(": {killer}")).unwrap_or_default();
    let mut verdict = Verdict::new(outcome.word(), format!("{} {how}{by}", the_run(record)));
    details(case, record, &mut verdict);
    if killer.is_none()
        && let Some(retry) = superseded(case, record, outcome)
    {
        verdict.also("retry", retry);
    }
    // One that ends well when it is told to was cut short all the same.
    if !matches!(outcome, Outcome::Killed(_))
        && let (Some(began), Some(end)) = (record.started, end_of(record))
        && let Some(change) = change_near(case, ChangeKind::Stopped, began, end)
    {
        let at = case.clock(change.at, record.due);
        verdict.also("told to end", format!("by {} at {at}", clean(&change.by)));
    }
    if matches!(outcome, Outcome::Killed(_)) && killer.is_none() {
        verdict
            .also("by whom", "unknown: somebody outside schedrs, or the kernel (out of memory?)");
    }
    verdict
}

fn not_over(case: &Case<'_>, record: &RunRecord) -> Verdict {
    let run = the_run(record);
    if !case.is_running {
        let seen = case.sessions.last().map(|session| session.stopped.unwrap_or(session.seen));
        let seen = seen.map(|seen| format!(", at {}", case.clock(seen, case.now)));
        let seen = seen.unwrap_or_default();
        let did = if record.started.is_some() { "was running" } else { "had not started" };
        let mut verdict = Verdict::new(
            "not_running",
            format!("{run} {did} when schedrs was last seen{seen}, and schedrs is not running now"),
        );
        verdict.also("then", "its outcome will be known when schedrs runs again");
        details(case, record, &mut verdict);
        return verdict;
    }
    let (word, text) = going(case, record, case.attempts);
    let mut verdict = Verdict::new(word, text);
    details(case, record, &mut verdict);
    verdict
}

/// What a run does that is not over, as a word and a sentence.
pub(super) fn going(
    case: &Case<'_>,
    record: &RunRecord,
    attempts: &[AttemptRecord],
) -> (&'static str, String) {
    let run = the_run(record);
    let over =
        attempts.last().filter(|last| last.attempt >= record.attempts && last.ended.is_some());
    match record.started {
        Some(_) if let Some(last) = over => (
            "waiting",
            format!(
                "{run} is waiting for a retry: attempt {} {} at {}",
                last.attempt,
                format::attempt(last),
                case.clock(last.ended.unwrap_or(case.now), case.now)
            ),
        ),
        Some(started) => {
            let since = case.clock(started, case.now);
            let so_far = words::span(case.now.since(started));
            ("running", format!("{run} has been running since {since}, for {so_far}"))
        }
        None if record.attempts > 0 => {
            let since = case.clock(record.at, case.now);
            ("running", format!("{run} has been starting since {since}"))
        }
        None if let Some(awaits) = case.awaits.filter(|_| record.outcome.is_none()) => {
            let since = case.clock(awaits.since, case.now);
            let until = case.clock(awaits.until, case.now);
            let reading = clean(&awaits.reading);
            (
                "waiting",
                format!(
                    "{run} has been waiting for its conditions since {since}, until {until} at most: {reading}"
                ),
            )
        }
        None => {
            let since = case.clock(record.at, case.now);
            ("waiting", format!("{run} has been waiting since {since}, {}", what_for(case)))
        }
    }
}

/// What a run waits for before it begins.
fn what_for(case: &Case<'_>) -> String {
    let slot = match case.executor {
        Some(executor) => format!(
            "for a slot of the executor {} (max_workers = {}{})",
            executor.name,
            executor.max_workers,
            executor
                .max_starts_per_second
                .map(|most| format!(", max_starts_per_second = {most}"))
                .unwrap_or_default()
        ),
        None => "for a slot of its executor".to_owned(),
    };
    let slot = match case.job.is_some_and(|job| job.options.only_if.is_some()) {
        true => format!("for its conditions, or {slot}"),
        false => slot,
    };
    match case.job.map(|job| job.options.overlap) {
        Some(Overlap::Queue | Overlap::Replace) => format!("{slot}, or for another run of the job"),
        Some(Overlap::Skip) | None => slot,
    }
}

/// A due time at which a condition did not hold: the reading is in the sentence.
fn conditioned(case: &Case<'_>, mut verdict: Verdict) -> Verdict {
    let Some(job) = case.job else { return verdict };
    if let Some(conditions) = &job.options.only_if {
        verdict.also("only_if", clean(&conditions.words().join(", ")));
    }
    match job.options.wait_for {
        wait if wait.is_zero() => verdict.also("rule", "wait_for = \"0s\": it is skipped at once"),
        wait => verdict.also("rule", format!("wait_for = \"{}\"", words::span(wait))),
    }
    verdict
}

fn skipped(case: &Case<'_>, record: &RunRecord, due: Instant, reason: &SkipReason) -> Verdict {
    let plainly = || {
        let text = Outcome::Skipped(reason.clone()).phrase(format::reached(record));
        Verdict::new("skipped", clean(&text))
    };
    match reason {
        SkipReason::Overlap => overlapped(case, record, due),
        SkipReason::Paused => paused(case, record, due).unwrap_or_else(plainly),
        SkipReason::Removed | SkipReason::Parent(_) => plainly(),
        SkipReason::Condition(_) => conditioned(case, plainly()),
        SkipReason::Excluded(_) => excluded(case, due, plainly()),
        SkipReason::Stopping => {
            let mut verdict = plainly();
            let stopped = |session: &&crate::core::record::Session| {
                session.began <= record.at && session.stopped.is_some_and(|at| at >= record.at)
            };
            if let Some(session) = case.sessions.iter().find(stopped)
                && let Some(at) = session.stopped
            {
                verdict.also("stopped", format!("schedrs stopped at {}", case.clock(at, due)));
            }
            verdict
        }
        SkipReason::Stopped => match change_near(case, ChangeKind::Stopped, record.at, record.at) {
            Some(change) => Verdict::new(
                "skipped",
                format!("skipped: {} stopped it before it started", clean(&change.by)),
            ),
            None => plainly(),
        },
    }
}

/// `except` or `only` excludes the time.
fn excluded(case: &Case<'_>, due: Instant, mut verdict: Verdict) -> Verdict {
    let Some(job) = case.job else { return verdict };
    match job.excluded(due) {
        Some(_) => unrecorded::rules(job, &mut verdict),
        None => verdict.also("rule", "`except` and `only` do not exclude it any more"),
    }
    verdict
}

/// `max_instances` runs were active.
fn overlapped(case: &Case<'_>, record: &RunRecord, due: Instant) -> Verdict {
    let mut going: Vec<&RunRecord> = case
        .records
        .iter()
        .filter(|other| other.run.is_some() && other.seq != record.seq && was_active(other, record))
        .collect();
    sort::by_key(&mut going, |other| other.seq);
    if let Some(verdict) = displaced(case, record, due) {
        return verdict;
    }
    let names: Vec<String> =
        going.iter().filter_map(|other| Some(other.run?.to_string())).collect();
    let text = match &names[..] {
        [] => Outcome::Skipped(SkipReason::Overlap).phrase(format::reached(record)),
        [one] => format!("skipped: run {one} was still going"),
        several => format!("skipped: runs {} were still going", words::list(several)),
    };
    let mut verdict = Verdict::new("skipped", text);
    for other in going {
        let Some(run) = other.run else { continue };
        let outcome = match other.outcome {
            Some(_) => format!(", {}", format::sentence(other)),
            None => String::new(),
        };
        verdict.also(
            "blocked by",
            format!(
                "run {run}, due {}: {}{outcome}",
                case.clock(other.due, due),
                format::ran(other, due, case.zone)
            ),
        );
    }
    if let Some(job) = case.job {
        let overlap = job.options.overlap.word();
        let most = job.options.max_instances;
        verdict.also("rule", format!("max_instances = {most}, overlap = \"{overlap}\""));
    }
    verdict
}

/// A run that waited, and had to go for a newer due time.
fn displaced(case: &Case<'_>, record: &RunRecord, due: Instant) -> Option<Verdict> {
    let run = record.run?;
    let end = record.at.plus(record.duration?);
    let mut verdict = Verdict::new(
        "skipped",
        format!("skipped: run {run} was still waiting when replaced by a newer due time"),
    );
    let newer = case.records.iter().filter(|other| {
        let step = end.minus(ONE_STEP)..=end.plus(ONE_STEP);
        other.run.is_some() && other.due > record.due && step.contains(&other.at)
    });
    if let Some(newer) = newer.min_by_key(|newer| newer.due)
        && let Some(newer_run) = newer.run
    {
        verdict.also("newer", format!("run {newer_run}, due {}", case.clock(newer.due, due)));
    }
    verdict.also("waited", what_for(case));
    Some(verdict)
}

/// Whether a run was active when it was decided to skip another. What was decided in the same step
/// counts.
fn was_active(run: &RunRecord, skipped: &RunRecord) -> bool {
    let until = match (&run.outcome, end_of(run)) {
        (None, _) => Instant::MAX,
        (Some(_), Some(end)) => end,
        // It never began: when it ended is not known.
        (Some(_), None) => return false,
    };
    run.at <= skipped.at.plus(ONE_STEP) && until.plus(ONE_STEP) >= skipped.at
}

/// By whom the job was paused, if that is known.
fn paused(case: &Case<'_>, record: &RunRecord, due: Instant) -> Option<Verdict> {
    let about = |change: &&Change| change.job.as_deref().is_none_or(|job| job == case.id);
    let mut changes = case.changes.iter().filter(about);
    let began =
        changes.clone().rev().find(|change| change.what == ChangeKind::Paused && change.at <= due);
    let ended = changes.find(|change| {
        change.what == ChangeKind::Resumed
            && change.at >= due
            && change.at <= record.at.plus(ONE_STEP)
    });
    let began = began?;
    let what = if began.job.is_some() { "paused" } else { "all jobs were paused" };
    let since = case.clock(began.at, due);
    let until = match ended {
        Some(ended) => case.clock(ended.at, due),
        None => case.clock(record.at, due),
    };
    let reason = began.detail.as_ref().map(|why| format!(": {}", clean(why)));
    let mut verdict = Verdict::new(
        "skipped",
        format!(
            "skipped: {what} by {} from {since} to {until}{}",
            clean(&began.by),
            reason.unwrap_or_default()
        ),
    );
    match ended {
        Some(ended) => {
            verdict.also("resumed", format!("by {} at {until}", clean(&ended.by)));
        }
        None => verdict.also("resumed", format!("by itself at {until}")),
    }
    Some(verdict)
}

fn missed(case: &Case<'_>, record: &RunRecord, due: Instant, reason: MissReason) -> Verdict {
    let late = match reason {
        MissReason::Late(late) => late,
        MissReason::NoStore(_) => {
            let text = "missed: the shared store did not answer in time";
            return Verdict::new("missed", text.to_owned());
        }
        MissReason::Waited(waited) => return waited_too_long(case, waited),
    };
    let mut verdict = match down_at(case.sessions, case.is_running, due) {
        Some(down) => was_down(case, record, due, &down),
        None => Verdict::new(
            "missed",
            format!(
                "missed: schedrs was up, but got to it only at {}: the machine slept, was too \
                 busy, or had its clock set",
                case.clock(record.at, due)
            ),
        ),
    };
    // Of several the first is the latest, and this may be another one.
    let late = match record.count {
        1 => late,
        _ => late.saturating_sub(due.since(record.due)),
    };
    let grace = case.job.map(|job| job.options.misfire_grace_time);
    verdict.also(
        "late by",
        match grace {
            Some(Grace::Limited(grace)) => {
                let grace = words::span(grace);
                format!("{}, more than misfire_grace_time = \"{grace}\"", words::span(late))
            }
            _ => words::span(late),
        },
    );
    verdict
}

/// It waited for a slot longer than it may.
fn waited_too_long(case: &Case<'_>, waited: Duration) -> Verdict {
    let executor = case.executor.map(|executor| format!(" of {}", executor.name));
    let mut verdict = Verdict::new(
        "missed",
        format!(
            "missed: it waited {} for a slot{}, longer than max_wait allows",
            words::span(waited),
            executor.unwrap_or_default()
        ),
    );
    if let Some(wait) = case.job.and_then(|job| job.options.max_wait) {
        verdict.also("rule", format!("max_wait = \"{}\"", words::span(wait)));
    }
    verdict
}

/// Nothing ran that could have started it.
fn was_down(case: &Case<'_>, record: &RunRecord, due: Instant, down: &Down<'_>) -> Verdict {
    let until = case.clock(down.until().unwrap_or(record.at), due);
    let text = match down.before {
        Some((_, from)) => {
            let from = case.clock(from, due);
            format!("missed: schedrs was down from {from} to {until}")
        }
        None => format!("missed: schedrs was down until {until}"),
    };
    let mut verdict = Verdict::new("missed", text);
    if let Some((session, from)) = down.before {
        let (pid, from) = (session.process.pid, case.clock(from, due));
        verdict.also(
            "down",
            if down.was_stopped() {
                format!("it was stopped at {from} (pid {pid})")
            } else {
                format!(
                    "it was last seen at {from} (pid {pid}) and not stopped: it was killed, or \
                     the machine went down"
                )
            },
        );
    }
    verdict
}

fn coalesced(case: &Case<'_>, record: &RunRecord, due: Instant) -> Verdict {
    let runs = case.records.iter().filter(|other| {
        let step = other.at.since(record.at).max(record.at.since(other.at));
        other.run.is_some() && other.by.is_none() && step <= ONE_STEP
    });
    // The last of them, or the first: whichever was chosen is not within what was coalesced.
    let stands = runs.max_by_key(|other| (other.due > record.last_due, other.due));
    let mut verdict = match stands {
        Some(run) => {
            let number = run.run.map(|run| format!(", run {run}")).unwrap_or_default();
            let mut verdict = Verdict::new(
                "coalesced",
                format!(
                    "coalesced: covered by the due time {}{number}, which {}",
                    case.clock(run.due, due),
                    format::sentence(run)
                ),
            );
            verdict.also("instead", format!("it {}", format::ran(run, due, case.zone)));
            verdict
        }
        None => Verdict::new("coalesced", "coalesced: covered by another due time of the job"),
    };
    let at = case.clock(record.at, due);
    verdict.also("together", format!("they were decided together, at {at}"));
    if let Some(down) = down_at(case.sessions, case.is_running, due)
        && let Some((_, from)) = down.before
    {
        let until = down.until().unwrap_or(record.at);
        let (from, until) = (case.clock(from, due), case.clock(until, due));
        verdict.also("down", format!("schedrs was down from {from} to {until}"));
    }
    verdict
}

fn lost(case: &Case<'_>, record: &RunRecord, reason: &str) -> Verdict {
    let text = format!("{} was lost: {}", the_run(record), clean(reason));
    let mut verdict = Verdict::new("lost", text);
    details(case, record, &mut verdict);
    let moment = record.started.unwrap_or(record.at);
    let life = case.sessions.iter().rev().find(|session| session.began <= moment);
    if let Some(life) = life.filter(|life| life.stopped.is_none()) {
        verdict.also(
            "schedrs",
            format!(
                "pid {} was last seen at {} and not stopped: it was killed, or the machine went \
                 down",
                life.process.pid,
                case.clock(life.seen, record.due)
            ),
        );
    }
    verdict
}

/// `run 14`, or `run 14, started by alice,` where no trigger asked for it.
fn the_run(record: &RunRecord) -> String {
    let run = match record.run {
        Some(run) => format!("run {run}"),
        None => "it".to_owned(),
    };
    match &record.by {
        Some(by) => format!("{run}, started by {},", clean(by)),
        None => run,
    }
}

/// What there is to say of a run: when it began and ended, what it waited for, its attempts.
fn details(case: &Case<'_>, record: &RunRecord, verdict: &mut Verdict) {
    let near = record.due;
    if let Some(started) = record.started {
        let mut text = case.clock(started, near);
        if let Some(end) = end_of(record) {
            text += &format!(" to {}", case.clock(end, near));
        }
        if record.by.is_none() {
            let lag = words::elapsed(started.since(record.due));
            text += &format!(", started {lag} after it was due");
        }
        if let Some(process) = record.process {
            text += &format!(", pid {}", process.pid);
        }
        verdict.also("ran", text);
    }
    let waited = record.started.map_or(Duration::ZERO, |started| started.since(record.at));
    if waited >= Duration::from_secs(1) {
        let waited = words::span(waited);
        verdict.also("waited", format!("{waited} before it started, {}", what_for(case)));
    }
    for attempt in case.attempts.iter().filter(|_| record.attempts > 1) {
        let times = match (attempt.started, attempt.ended) {
            (Some(from), Some(to)) => {
                format!(" {} to {}", case.clock(from, near), case.clock(to, near))
            }
            (Some(from), None) => format!(" since {}", case.clock(from, near)),
            _ => String::new(),
        };
        let how = format::attempt(attempt);
        verdict.also("attempt", format!("{}{times}: {how}", attempt.attempt));
    }
    if record.attempts > 1 && case.attempts.is_empty() {
        verdict.also("attempts", record.attempts.to_string());
    }
}

/// That another attempt was to follow, and that a newer due time replaced it.
fn superseded(case: &Case<'_>, record: &RunRecord, outcome: &Outcome) -> Option<String> {
    let options = &case.job?.options;
    if outcome.is_success() || record.attempts > options.retries {
        return None;
    }
    let end = end_of(record).unwrap_or(record.at);
    let by = end.plus(options.retry_delay_after(record.attempts)).plus(ONE_STEP);
    let newer = case
        .records
        .iter()
        .filter(|other| other.due > record.due && (end.minus(ONE_STEP)..=by).contains(&other.at));
    let newer = newer.min_by_key(|other| (other.at, other.seq))?;
    if change_near(case, ChangeKind::Stopped, end, newer.at).is_some() {
        return None;
    }
    let run = newer.run.map(|run| format!(" (run {run})")).unwrap_or_default();
    let due = case.clock(newer.due, record.due);
    let next = record.attempts + 1;
    Some(format!(
        "attempt {next} was to follow; the due time {due}{run} came first and superseded it"
    ))
}

/// Why a run got a signal, as far as schedrs had to do with it.
fn who_killed(case: &Case<'_>, record: &RunRecord) -> Option<String> {
    let (began, end) = (record.started?, end_of(record)?);
    if let Some(change) = change_near(case, ChangeKind::Stopped, began, end) {
        let at = case.clock(change.at, record.due);
        return Some(format!("stopped by {} at {at}", clean(&change.by)));
    }
    if let Some(job) = case.job.filter(|job| job.options.overlap == Overlap::Replace) {
        // It ends when it is told to, or is killed a while later.
        let told = end.minus(job.options.kill_after).minus(ONE_STEP);
        let next = case.records.iter().filter(|other| {
            let told = told.max(began)..=end.plus(ONE_STEP);
            other.run.is_some() && other.due > record.due && told.contains(&other.at)
        });
        if let Some(next) = next.max_by_key(|next| next.at)
            && let Some(run) = next.run
        {
            let due = case.clock(next.due, record.due);
            return Some(format!("replaced by run {run}, due {due} (overlap = \"replace\")"));
        }
    }
    // The session that the run ended in, if it was being stopped then.
    let session = case.sessions.iter().rev().find(|session| session.began <= end)?;
    let went_on = session.stopped.is_none_or(|at| at.plus(ONE_STEP) >= end);
    let stopping = case.changes.iter().rev().filter(|_| went_on).find(|change| {
        change.job.is_none()
            && change.what == ChangeKind::Stopping
            && (session.began..=end.plus(ONE_STEP)).contains(&change.at)
    })?;
    Some(format!("schedrs had been stopping since {}", case.clock(stopping.at, record.due)))
}

/// The last change of a kind to this job in a span of time.
fn change_near<'a>(
    case: &Case<'a>,
    what: ChangeKind,
    from: Instant,
    until: Instant,
) -> Option<&'a Change> {
    let until = until.plus(ONE_STEP);
    case.changes.iter().rev().find(|change| {
        change.job.as_deref() == Some(case.id)
            && change.what == what
            && (from.minus(ONE_STEP)..=until).contains(&change.at)
    })
}
