//! `history --audit`: whether every due time has exactly one outcome.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use super::{Asked, Output};
use crate::cli::ExitCode;
use crate::cli::command::history_source::History;
use crate::cli::table::{Table, terminal_width};
use crate::core::event::{Change, ChangeKind, JobRecord};
use crate::core::instant::Instant;
use crate::core::job::{Job, RunOn};
use crate::core::sort;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::audit::{Audit, Question, Wrong, audit};
use crate::history::format;
use crate::problem::clean;
use crate::store::{Limits, Query, RunRecord};

/// The schedules are asked for this many due times at most: for one job, and for all together.
const OF_A_JOB: u64 = 2_000_000;
const OF_ALL: u64 = 20_000_000;

/// So many records of a job are read at most.
const RECORDS: usize = 200_000;

/// A job, or a job on one host.
struct Line {
    job: Box<str>,
    /// Where its due times were decided, if that needs a word.
    host: String,
    found: Found,
}

/// What came of it.
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
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
        for line in one(asked, history, &id, job.as_deref(), budget)? {
            if let Found::Audit(audit) = &line.found {
                budget = budget.saturating_sub(audit.due_times);
            }
            all.push(line);
        }
    }
    match asked.args.output {
        Output::Json => json(&all, history, out)?,
        Output::Table => text(&all, history, out)?,
    }
    let adds_up = all.iter().all(|line| match &line.found {
        Found::Audit(audit) => audit.adds_up(),
        Found::Not(_) => true,
    });
    Ok(if adds_up { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A job, and its definition if there still is one.
type Known = (Box<str>, Option<Arc<Job>>);

/// The jobs to audit: of the jobfile in its order, then those that were added at run time.
fn jobs(asked: &Asked<'_>, history: &mut History) -> anyhow::Result<Vec<Known>> {
    if !asked.jobs.is_empty() {
        let known = |id: &String| (id.as_str().into(), history.job(id).cloned());
        return Ok(asked.jobs.iter().map(known).collect());
    }
    history.all_known()?;
    if history.set.is_none() {
        bail!(
            "an audit compares the history with a jobfile, and there is none here; name it with -f"
        );
    }
    let jobs = history.set.iter().flat_map(|set| &set.jobs);
    Ok(jobs.map(|job| (job.id.clone(), Some(Arc::clone(job)))).collect())
}

fn one(
    asked: &Asked<'_>,
    history: &mut History,
    id: &str,
    job: Option<&Job>,
    budget: u64,
) -> anyhow::Result<Vec<Line>> {
    let not = |why: &str| {
        Ok(vec![Line { job: id.into(), host: String::new(), found: Found::Not(why.to_owned()) }])
    };
    let Some(known) = history.known(id)? else {
        return not("schedrs has never run it with this store");
    };
    let Some(job) = job else {
        return not("not in the jobfile");
    };
    if *job.trigger.fingerprint() != *known.trigger {
        return not("its schedule in the jobfile was changed but not reloaded");
    }
    let since = accounted_since(history, &known)?;
    let until = asked.until.unwrap_or(Instant::MAX).min(known.decided);
    let mut from = asked.since.unwrap_or(Instant::MIN).max(since);
    let of_job = Query { job: Some(id.into()), ..Query::default() };
    let query = Query { since: Some(from), until: Some(until), limit: RECORDS, ..of_job.clone() };
    let records = history.reader().records(&query)?;
    let is_all = records.len() < RECORDS;
    if !is_all {
        from = records.iter().map(|record| record.due).min().unwrap_or(from);
    }
    let before = from.minus(Duration::from_micros(1));
    let older = Query { until: Some(before), limit: 1, ..of_job };
    let has_older = is_all && !history.reader().records(&older)?.is_empty();
    // What was decided in the last moment may not be written yet.
    let lives = history.reader().sessions()?;
    let seen = lives.iter().map(|life| life.stopped.unwrap_or(life.seen)).max();
    let seen = seen.unwrap_or(history.now).minus(Duration::from_secs(1));
    let all_paused = history.reader().all_paused()?;
    let days = history.set.as_ref().and_then(|set| set.settings.keep.days);
    let days = days.unwrap_or(Limits::default().days);
    let kept = Duration::from_secs(u64::from(days) * 86_400);
    // What was due in a pause is recorded when that has ended, if somebody was there.
    let pauses = known.pause.iter().chain(&all_paused).filter(|pause| pause.lasts(seen));
    let question = Question {
        job,
        known: &known,
        from,
        until,
        has_older,
        paused_since: pauses.map(|pause| pause.at).min(),
        kept_from: history.now.minus(kept),
        seen,
        limit: OF_A_JOB.min(budget),
    };
    let has_hosts = history.has_hosts(&records)?;
    Ok(lines(&question, &records, has_hosts))
}

/// The lines of a job: one, but for a job that runs on every host, which has one for each.
fn lines(question: &Question<'_>, records: &[RunRecord], has_hosts: bool) -> Vec<Line> {
    let id = &question.job.id;
    let line = |host, audit| Line { job: id.clone(), host, found: Found::Audit(audit) };
    let hosts = hosts(records);
    if question.job.options.run_on == RunOn::All && !hosts.is_empty() {
        let each = hosts.into_iter();
        return each
            .map(|host| line(host.to_string(), on_one_host(question, records, &host)))
            .collect();
    }
    let hosts = if has_hosts { hosts.join(", ") } else { String::new() };
    vec![line(hosts, audit(question, records))]
}

/// The hosts of records, each once.
fn hosts(records: &[RunRecord]) -> Vec<Box<str>> {
    let hosts: BTreeSet<&Box<str>> =
        sort::collect(records.iter().filter_map(|one| one.host.as_ref()));
    hosts.into_iter().cloned().collect()
}

/// The audit of a job that runs on every host, for one of them. What was due while that was down is
/// not caught up there, and when it was is not known: so nothing counts as unaccounted.
fn on_one_host(question: &Question<'_>, records: &[RunRecord], host: &str) -> Audit {
    let own = records.iter().filter(|record| record.host.as_deref() == Some(host));
    let own: Vec<RunRecord> = own.cloned().collect();
    let last = own.iter().map(|record| record.last_due).max();
    let until = question.until.min(last.unwrap_or(question.until));
    let mut audit = audit(&Question { until, has_older: false, ..*question }, &own);
    audit.due_times -= audit.unaccounted;
    audit.unaccounted = 0;
    audit.examples.retain(|example| example.wrong != Wrong::Unaccounted);
    audit
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

fn text(all: &[Line], history: &History, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut table = Table::new(HEADING.to_vec(), 0).with_numbers(4..15).with_times(&[2, 3]);
    for Line { job, host, found } in all {
        if let Found::Audit(audit) = found {
            table.row(row(job, host, audit, &history.zone_of(job)));
        }
    }
    if all.iter().any(|line| matches!(line.found, Found::Audit(_))) {
        table.write(out, terminal_width())?;
    }
    for Line { job, host, found } in all {
        if let Found::Audit(audit) = found {
            let on = match history.job(job).map(|job| &job.options.run_on) {
                Some(RunOn::All) if !host.is_empty() => format!(" on {}", clean(host)),
                _ => String::new(),
            };
            examples(&format!("{}{on}", clean(job)), audit, &history.zone_of(job), out)?;
        }
    }
    out.flush()?;
    for Line { job, found, .. } in all {
        if let Found::Not(why) = found {
            anstream::eprintln!("schedrs: {} was not audited: {}", clean(job), clean(why));
        }
    }
    anstream::eprintln!("schedrs: {}", summary(all));
    Ok(())
}

/// The columns of the table.
const HEADING: [&str; 15] = [
    "JOB",
    "HOST",
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

fn row(id: &str, host: &str, audit: &Audit, zone: &Zone) -> Vec<String> {
    let time = |at: Instant| format::due(at, zone);
    let (from, to) = audit.span.map(|(from, to)| (time(from), time(to))).unwrap_or_default();
    let fates = &audit.fates;
    let counts = [
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
    ];
    let number = |count: u64| if count == 0 { String::new() } else { count.to_string() };
    let mut row =
        vec![clean(id).into_owned(), host.to_owned(), from, to, audit.due_times.to_string()];
    row.extend(counts.map(number));
    row
}

fn examples(id: &str, audit: &Audit, zone: &Zone, out: &mut dyn Write) -> anyhow::Result<()> {
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
                format!("due from {first} to {last}: {count} more outcomes than due times")
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
fn summary(all: &[Line]) -> String {
    let audits = all.iter().filter_map(|line| match &line.found {
        Found::Audit(audit) => Some((&line.job, audit)),
        Found::Not(_) => None,
    });
    let mut job_before = None;
    let (mut jobs, mut due_times, mut unaccounted, mut twice, mut cut) = (0, 0u64, 0, 0, 0);
    let mut open = 0;
    for (job, audit) in audits {
        jobs += u64::from(job_before.replace(job) != Some(job));
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
        (0, 0) => format!("each has exactly one outcome, except {open} that are still active"),
        (none, 0) => format!("{none} have no outcome"),
        (0, twice) => format!("{} too many", counted(twice, "outcome")),
        (none, twice) => {
            format!("{none} have no outcome, and {} too many", counted(twice, "outcome"))
        }
    };
    let cut = match cut {
        0 => String::new(),
        jobs => format!(
            "; for {}, only the first part was checked: choose another with --since and --until",
            counted(jobs, "job")
        ),
    };
    format!("{of}: {found}{cut}")
}

fn json(all: &[Line], history: &History, out: &mut dyn Write) -> anyhow::Result<()> {
    let nothing = Audit::default();
    for Line { job, host, found } in all {
        let zone = history.zone_of(job);
        let time = |at: Instant| words::rfc3339(at, &zone);
        let (audit, why) = match found {
            Found::Audit(audit) => (audit, None),
            Found::Not(why) => (&nothing, Some(&**why)),
        };
        let fates = &audit.fates;
        let object = Object {
            job,
            host,
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
