//! `history --audit`: whether every due time has exactly one outcome.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Asked, Output};
use crate::cli::ExitCode;
use crate::cli::command::history_source::History;
use crate::cli::table::{Table, terminal_width};
use crate::core::event::{Change, ChangeKind, JobRecord};
use crate::core::instant::Instant;
use crate::core::job::Job;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::audit::{Audit, Question, Wrong, audit};
use crate::history::format;
use crate::problem::clean;
use crate::store::{Limits, Query};

/// The schedules are asked for this many due times at most: for one job, and for all together.
const OF_A_JOB: u64 = 2_000_000;
const OF_ALL: u64 = 20_000_000;

/// So many records of a job are read at most.
const RECORDS: usize = 200_000;

/// What came of one job.
enum Found {
    /// It was audited.
    Audit(Audit),
    /// It cannot be, for this reason.
    Not(String),
}

/// A job as JSON.
#[derive(Serialize)]
struct Object<'a> {
    job: &'a str,
    from: Option<String>,
    until: Option<String>,
    due_times: u64,
    ran: u64,
    not_started: u64,
    skipped: u64,
    missed: u64,
    coalesced: u64,
    lost: u64,
    open: u64,
    waiting: u64,
    beside: u64,
    unaccounted: u64,
    twice: u64,
    cut: bool,
    not_audited: Option<&'a str>,
    examples: Vec<Example>,
}

#[derive(Serialize)]
struct Example {
    wrong: &'static str,
    first: String,
    last: String,
    count: u64,
}

pub(super) fn run(
    asked: &Asked<'_>,
    history: &mut History,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let jobs: Vec<(Box<str>, Option<Arc<Job>>)> = jobs(asked, history)?;
    let mut budget = OF_ALL;
    let mut all = Vec::with_capacity(jobs.len());
    for (id, job) in jobs {
        let found = one(asked, history, &id, job.as_deref(), budget)?;
        if let Found::Audit(audit) = &found {
            budget = budget.saturating_sub(audit.due_times);
        }
        all.push((id, found));
    }
    match asked.args.output {
        Output::Json => json(&all, history, out)?,
        Output::Table => text(&all, history, out)?,
    }
    let adds_up = all.iter().all(|(_, found)| match found {
        Found::Audit(audit) => audit.adds_up(),
        Found::Not(_) => true,
    });
    Ok(if adds_up { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A job, and its definition if there still is one.
type Known = (Box<str>, Option<Arc<Job>>);

/// The jobs to audit: of the jobfile in its order, then those that were added at run time.
fn jobs(asked: &Asked<'_>, history: &mut History) -> anyhow::Result<Vec<Known>> {
    if let Some(id) = asked.job {
        return Ok(vec![(id.into(), history.job(id).cloned())]);
    }
    history.all_known()?;
    let jobs = history.set.iter().flat_map(|set| &set.jobs);
    Ok(jobs.map(|job| (job.id.clone(), Some(Arc::clone(job)))).collect())
}

fn one(
    asked: &Asked<'_>,
    history: &mut History,
    id: &str,
    job: Option<&Job>,
    budget: u64,
) -> anyhow::Result<Found> {
    let Some(known) = history.known(id)? else {
        return Ok(Found::Not("schedrs has never run it with this store".to_owned()));
    };
    let Some(job) = job else {
        return Ok(Found::Not("it is not in the jobfile".to_owned()));
    };
    if *job.trigger.fingerprint() != *known.trigger {
        return Ok(Found::Not(
            "its schedule is another in the jobfile, which schedrs has not read again".to_owned(),
        ));
    }
    let since = accounted_since(history, &known)?;
    let until = asked.until.unwrap_or(Instant::MAX).min(known.decided);
    let mut from = asked.since.unwrap_or(Instant::MIN).max(since);
    let id: Box<str> = id.into();
    let query = Query {
        job: Some(id.clone()),
        since: Some(from),
        until: Some(until),
        limit: RECORDS,
        ..Query::default()
    };
    let records = history.reader().records(&query)?;
    let is_all = records.len() < RECORDS;
    if !is_all {
        from = records.iter().map(|record| record.due).min().unwrap_or(from);
    }
    let before = from.minus(Duration::from_micros(1));
    let older = Query { job: Some(id), until: Some(before), limit: 1, ..Query::default() };
    let has_older = is_all && !history.reader().records(&older)?.is_empty();
    // What was decided in the last moment may not be written yet.
    let seen = history.reader().sessions()?.last().map(|last| last.stopped.unwrap_or(last.seen));
    let seen = seen.unwrap_or(history.now).minus(Duration::from_secs(1));
    let all_paused = history.reader().all_paused()?;
    let days = history
        .set
        .as_ref()
        .and_then(|set| set.settings.keep.days)
        .unwrap_or(Limits::default().days);
    let kept = Duration::from_secs(u64::from(days) * 86_400);
    let question = Question {
        job,
        known: &known,
        from,
        until,
        has_older,
        paused_since: known.pause.iter().chain(&all_paused).map(|pause| pause.at).min(),
        kept_from: history.now.minus(kept),
        seen,
        limit: OF_A_JOB.min(budget),
    };
    Ok(Found::Audit(audit(&question, &records)))
}

/// Since when the due times of a job are recorded: since it has its trigger, but a job that was
/// loaded with `paused = true` has none before somebody resumes it.
fn accounted_since(history: &mut History, known: &JobRecord) -> anyhow::Result<Instant> {
    if !known.resumed {
        return Ok(known.since);
    }
    let now = history.now;
    let changes = history.reader().changes(Some(&known.id), known.since, now)?;
    let own = |change: &&Change| change.job.as_deref() == Some(&*known.id);
    let mut was_paused = false;
    let mut since = known.since;
    for change in changes.iter().filter(own) {
        match change.what {
            ChangeKind::Paused => was_paused = true,
            ChangeKind::Resumed if !std::mem::take(&mut was_paused) => since = change.at,
            _ => {}
        }
    }
    Ok(since)
}

fn text(all: &[(Box<str>, Found)], history: &History, out: &mut dyn Write) -> anyhow::Result<()> {
    let heading = vec![
        "JOB",
        "FROM",
        "TO",
        "DUE TIMES",
        "RAN",
        "NOT STARTED",
        "SKIPPED",
        "MISSED",
        "COALESCED",
        "LOST",
        "OPEN",
        "WAITING",
        "UNACCOUNTED",
        "TWICE",
    ];
    let mut table = Table::new(heading, 0).with_numbers(3..14);
    let number = |count: u64| if count == 0 { String::new() } else { count.to_string() };
    for (id, found) in all {
        let Found::Audit(audit) = found else { continue };
        let zone = history.zone_of(id);
        let (from, to) = match audit.span {
            Some((from, to)) => (
                words::day_and_time(from.truncated(), &zone),
                words::day_and_time(to.truncated(), &zone),
            ),
            None => Default::default(),
        };
        let fates = &audit.fates;
        let mut row = vec![clean(id).into_owned(), from, to, audit.due_times.to_string()];
        row.extend(
            [
                fates.ran,
                fates.not_started,
                fates.skipped,
                fates.missed,
                fates.coalesced,
                fates.lost,
                fates.open,
                audit.waiting,
                audit.unaccounted,
                audit.twice,
            ]
            .map(number),
        );
        table.row(row);
    }
    if all.iter().any(|(_, found)| matches!(found, Found::Audit(_))) {
        table.write(out, terminal_width())?;
    }
    for (id, found) in all {
        if let Found::Audit(audit) = found {
            examples(id, audit, &history.zone_of(id), out)?;
        }
    }
    out.flush()?;
    for (id, found) in all {
        if let Found::Not(why) = found {
            anstream::eprintln!("schedrs: {} was not audited: {}", clean(id), clean(why));
        }
    }
    anstream::eprintln!("schedrs: {}", summary(all));
    Ok(())
}

fn examples(id: &str, audit: &Audit, zone: &Zone, out: &mut dyn Write) -> anyhow::Result<()> {
    let id = clean(id);
    for example in &audit.examples {
        let (wrong, first) = (example.wrong, format::due(example.first, zone));
        let last = format::clock(example.last, example.first, zone);
        let what = match (wrong, example.count, example.first == example.last) {
            (Wrong::Unaccounted, 1, _) => format!("due {first}: no outcome"),
            (Wrong::Unaccounted, count, _) => {
                format!("{count} due times from {first} to {last}: no outcome")
            }
            (Wrong::Twice, 1, true) => format!("due {first}: two outcomes"),
            (Wrong::Twice, count, true) => format!("due {first}: {} outcomes", count + 1),
            (Wrong::Twice, count, false) => {
                format!("due from {first} to {last}: {count} outcomes more than due times")
            }
        };
        writeln!(out, "{id}: {what}")?;
    }
    let kept: u64 = audit.examples.iter().map(|example| example.count).sum();
    if kept < audit.unaccounted + audit.twice {
        writeln!(out, "{id}: ... and {} more", audit.unaccounted + audit.twice - kept)?;
    }
    Ok(())
}

/// The whole of it in a sentence.
fn summary(all: &[(Box<str>, Found)]) -> String {
    let audits = all.iter().filter_map(|(_, found)| match found {
        Found::Audit(audit) => Some(audit),
        Found::Not(_) => None,
    });
    let (mut jobs, mut due_times, mut unaccounted, mut twice, mut cut) = (0, 0u64, 0, 0, 0);
    let mut open = 0;
    for audit in audits {
        jobs += 1;
        due_times += audit.due_times;
        unaccounted += audit.unaccounted;
        twice += audit.twice;
        open += audit.fates.open + audit.waiting;
        cut += u64::from(audit.is_cut);
    }
    let counted = |count: u64, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    let of = format!("{} of {}", counted(due_times, "due time"), counted(jobs, "job"));
    let found = match (unaccounted, twice) {
        (0, 0) if open == 0 => "each has exactly one outcome".to_owned(),
        (0, 0) => format!("each has exactly one outcome, but for {open} that are not over"),
        (none, 0) => format!("{none} have no outcome"),
        (0, twice) => format!("{} too many", counted(twice, "outcome")),
        (none, twice) => {
            format!("{none} have no outcome, and there are {} too many", counted(twice, "outcome"))
        }
    };
    let cut = match cut {
        0 => String::new(),
        jobs => format!(
            "; of {} only the first part was looked at: --since and --until choose another",
            counted(jobs, "job")
        ),
    };
    format!("{of}: {found}{cut}")
}

fn json(all: &[(Box<str>, Found)], history: &History, out: &mut dyn Write) -> anyhow::Result<()> {
    let nothing = Audit::default();
    for (id, found) in all {
        let zone = history.zone_of(id);
        let time = |at: Instant| words::rfc3339(at, &zone);
        let (audit, why) = match found {
            Found::Audit(audit) => (audit, None),
            Found::Not(why) => (&nothing, Some(&**why)),
        };
        let fates = &audit.fates;
        let object = Object {
            job: id,
            from: audit.span.map(|span| time(span.0)),
            until: audit.span.map(|span| time(span.1)),
            due_times: audit.due_times,
            ran: fates.ran,
            not_started: fates.not_started,
            skipped: fates.skipped,
            missed: fates.missed,
            coalesced: fates.coalesced,
            lost: fates.lost,
            open: fates.open,
            waiting: audit.waiting,
            beside: audit.beside,
            unaccounted: audit.unaccounted,
            twice: audit.twice,
            cut: audit.is_cut,
            not_audited: why,
            examples: audit
                .examples
                .iter()
                .map(|example| Example {
                    wrong: match example.wrong {
                        Wrong::Unaccounted => "unaccounted",
                        Wrong::Twice => "twice",
                    },
                    first: time(example.first),
                    last: time(example.last),
                    count: example.count,
                })
                .collect(),
        };
        writeln!(out, "{}", crate::problem::json(&object)?)?;
    }
    Ok(())
}
