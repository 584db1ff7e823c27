//! `schedrs why`: one answer, and what it rests on.

use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::history_source::{self, History, HistoryArgs, told};
use super::{argument, named, notify, request, time};
use crate::cli::table::{paragraph, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::core::event::{Awaits, JobRecord, Pause, Unusual};
use crate::core::fleet::{Member, own};
use crate::core::habit::{self, slow, unusual};
use crate::core::hooks::{FAILED_HOOKS, failed_of};
use crate::core::instant::Instant;
use crate::core::job::RunOn;
use crate::core::notify::Route;
use crate::core::notify::explain::{About, explain};
use crate::core::notify::notifier::{STATES, state_key};
use crate::core::outcome::{self, Outcome};
use crate::core::scheduler::conditions::{AWAITS, awaits_key, read_awaits};
use crate::core::sort;
use crate::core::streak::{FAILING, Streak};
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::object::RunObject;
use crate::history::why::{Asked, Case, Subject, Verdict, answer};
use crate::history::{end_of, format};
use crate::problem::clean;
use crate::store::{AttemptRecord, Latest, Query, Reader, RunRecord, Session};

/// So many records around the time that is asked about are looked at.
const AROUND: usize = 1000;

/// So many from before it: enough to find those that were in its way. And so many of the newest, to
/// tell how the job is now.
const BEFORE: usize = 64;

/// A host that has not beaten for so long does not run, though nobody was there to say so.
const SILENT: Duration = Duration::from_secs(120);

/// Explain why a job ran, failed, was skipped or did not run
///
/// Without --at, explains the latest due time. Times can be `17:30` (the most recent one),
/// `yesterday 09:00`, `2h ago`, `+2h` (in the future) or `2026-12-01 09:00`. See TIMES in
/// schedrs(1). `03:00` means any due time in that minute; if there are several, the first that did
/// not succeed is explained.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// The jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<String>,

    /// The due time to explain [default: the latest]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<String>,

    #[command(flatten)]
    place: HistoryArgs,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A sentence, and the evidence for it
    Text,
    /// One JSON object: job, asked, verdict (a word), text, due, next, evidence, record
    Json,
}

/// An answer as JSON.
#[derive(Serialize)]
struct Object<'a> {
    job: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<String>,
    verdict: &'static str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<&'a str>,
    evidence: Vec<Evidence<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<RunObject>,
}

#[derive(Serialize)]
struct Evidence<'a> {
    about: &'static str,
    text: &'a str,
}

/// What was read to answer.
struct Read {
    known: Option<JobRecord>,
    all_paused: Option<Pause>,
    records: Vec<RunRecord>,
    oldest: Option<Instant>,
    latest: Option<Latest>,
    attempts: Vec<AttemptRecord>,
    awaits: Option<Awaits>,
    sessions: Vec<Session>,
    members: Vec<Member>,
    has_hosts: bool,
    changes: Vec<crate::core::event::Change>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let named = named::jobs(&args.jobs, args.place.jobfile.as_deref(), context)?;
    if named.jobs.is_empty() {
        anyhow::bail!("no job is named, only a jobfile");
    }
    let place = HistoryArgs { jobfile: named.jobfile, ..args.place.clone() };
    let args = Args { jobs: named.jobs, place, ..args.clone() };
    let mut history = History::open(&args.place, context)?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    show(&args, &mut history, &mut out).map_err(told)?;
    out.flush()?;
    if args.output == Output::Text
        && let Some(edited) = request::edited_since(args.place.jobfile.as_deref(), context)
    {
        crate::cli::say(&format!("schedrs: the jobfile has {edited}"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(args: &Args, history: &mut History, out: &mut dyn Write) -> anyhow::Result<()> {
    for (place, id) in history.choose(&args.jobs)?.iter().enumerate() {
        if place > 0 && args.output == Output::Text {
            writeln!(out)?;
        }
        one(args, id, history, out)?;
    }
    Ok(())
}

fn one(args: &Args, id: &str, history: &mut History, out: &mut dyn Write) -> anyhow::Result<()> {
    let zone = history.zone_of(id);
    let asked = match &args.at {
        None => Asked::Latest,
        Some(text) => {
            let typed = time::back(text, &zone, history.now)
                .with_context(|| format!("--at {}", clean(text)))?;
            Asked::Within(typed.from, typed.until)
        }
    };
    let typed = argument::option("-f", args.place.jobfile.as_deref());
    let verdict = verdict(history, id, asked, &typed)?;
    match args.output {
        Output::Text => text(out, id, asked, &verdict, &zone, history.now),
        Output::Json => json(out, id, asked, &verdict, &zone),
    }
}

/// Why something is as it is. `typed`: what was typed to name the jobfile.
pub(super) fn verdict(
    history: &mut History,
    id: &str,
    asked: Asked,
    typed: &str,
) -> anyhow::Result<Verdict> {
    let (zone, now) = (history.zone_of(id), history.now);
    let mut read = Read::first(history.reader(), id, asked)?;
    // What became of it says where to look further.
    let subject = match read.case(history, id, asked, (&zone, typed)).subject() {
        Subject::Record(record, _) => Some(record.clone()),
        Subject::Due(_) | Subject::Nothing(_) => None,
    };
    read.has_hosts = history.has_hosts(&read.records)?;
    if let Some(expect) = history.job(id).and_then(|job| job.options.expect) {
        read.changes = history.reader().changes(Some(id), now.minus(expect), now)?;
    }
    if let Some(record) = subject {
        read.awaits = awaits_of(history, &record)?;
        let delay = history.job(id).map(|job| job.options.retry_delay_after(record.attempts));
        read.around(history.reader(), id, &record, (now, delay.unwrap_or_default()))?;
    }
    let mut verdict = answer(&read.case(history, id, asked, (&zone, typed)));
    if let Some(record) = &verdict.record {
        let is_latest = read.records.iter().all(|other| other.seq <= record.seq);
        let (slow, unusual) = habits_of(history, record, &read.records);
        verdict.evidence.extend(slow.map(|text| ("slow", text)));
        verdict.evidence.extend(unusual.sentences());
        verdict.unusual = unusual;
        verdict.evidence.extend(failed_hooks_of(history, id, record)?);
        verdict.evidence.extend(told_of(history, id, record, is_latest, &zone)?);
    }
    Ok(verdict)
}

/// The condition that a run waits for.
fn awaits_of(history: &mut History, record: &RunRecord) -> anyhow::Result<Option<Awaits>> {
    let Some(run) = record.run.filter(|_| record.outcome.is_none() && record.attempts == 0) else {
        return Ok(None);
    };
    let (entries, key) = (history.reader().entries(AWAITS)?, awaits_key(run));
    let own = entries.iter().find(|(name, _)| *name == key);
    Ok(own.and_then(|(_, text)| read_awaits(text)))
}

/// Whether a run takes, or took, longer than it should, and in what way it is out of the ordinary. `records`:
/// among them those before it.
pub(super) fn habits_of(
    history: &History,
    record: &RunRecord,
    records: &[RunRecord],
) -> (Option<String>, Unusual) {
    let is_over = record.outcome.is_some();
    let took = record.duration.filter(|_| is_over);
    let so_far = || Some(history.now.since(record.started?)).filter(|_| !is_over);
    let Some(took) = took.or_else(so_far) else { return (None, Unusual::default()) };
    let warn_after = history.job(&record.job).and_then(|job| job.options.warn_after);
    // What came after it was not known.
    let is_before = |other: &&RunRecord| other.job == record.job && other.seq < record.seq;
    let mut before: Vec<&RunRecord> = records.iter().filter(is_before).collect();
    sort::by(&mut before, |one, other| other.seq.cmp(&one.seq));
    let before = habit::successes(before);
    let word = if is_over { "took" } else { "runs for" };
    let slow = slow::why(took, warn_after, &before)
        .map(|why| format!("it {word} {}: {why}", words::elapsed(took)));
    let has_succeeded = record.outcome.as_ref().is_some_and(Outcome::is_success);
    let this = habit::Success { took, printed: record.printed };
    let unusual = has_succeeded.then(|| unusual::of(this, warn_after, &before));
    (slow, unusual.unwrap_or_default())
}

/// Which of its hooks have failed.
fn failed_hooks_of(
    history: &mut History,
    id: &str,
    record: &RunRecord,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let entries = history.reader().entries(FAILED_HOOKS)?;
    let all = entries.iter().map(|(key, text)| (&**key, &**text));
    let failed = failed_of((id, record.run, record.due), all);
    Ok(failed.into_iter().map(|sentence| ("hook", sentence)).collect())
}

/// Who was told of it.
fn told_of(
    history: &mut History,
    id: &str,
    record: &RunRecord,
    is_latest: bool,
    zone: &Zone,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut said = pinged(history, id, record, zone)?;
    let named = history.job(id).map(|job| job.options.notify.clone()).unwrap_or_default();
    let all = history.set.as_ref().map(|set| Arc::clone(&set.settings.routes));
    let routes = all.iter().flat_map(|routes| routes.iter());
    let routes: Vec<&Route> = routes.filter(|route| named.contains(&route.name)).collect();
    if routes.is_empty() {
        return Ok(said);
    }
    let told = notify::known(history, usize::MAX)?;
    let states = history.reader().entries(STATES)?;
    let failing = history.reader().entries(FAILING)?;
    let runs_on_all = history.job(id).is_some_and(|job| job.options.run_on == RunOn::All);
    let host = record.host.as_deref().filter(|_| runs_on_all);
    let key = host.map_or_else(|| id.into(), |host| own::key(id, host));
    let failed = failing.iter().find(|(name, _)| *name == key);
    let failed = failed.and_then(|(_, text)| Some(Streak::of_json(text)?.runs));
    for route in routes {
        let key = state_key(&route.name, id, host);
        let state = states.iter().find(|(name, _)| *name == key).map(|(_, text)| &**text);
        let (run, due) = (record.run, record.due);
        let (outcome, now) = (record.outcome.as_ref(), history.now);
        let about = About { job: id, run, due, outcome, is_latest, now };
        let lines = explain(route, about, &told, state, failed, zone);
        said.extend(lines.into_iter().map(|line| ("told", format!("{}: {line}", route.name))));
    }
    Ok(said)
}

/// What was told to the service that watches over the job, as far as that is still known.
fn pinged(
    history: &mut History,
    id: &str,
    record: &RunRecord,
    zone: &Zone,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let has_ping = history.job(id).is_some_and(|job| job.options.ping.is_some());
    let Some(run) = record.run.filter(|_| has_ping) else { return Ok(Vec::new()) };
    let rows = notify::pings::known(history)?;
    let lines = notify::pings::of_run(&rows, id, run.0, zone);
    Ok(lines.into_iter().map(|line| ("told", format!("ping: {line}"))).collect())
}

impl Read {
    /// What there is about the time that is asked about.
    fn first(reader: &mut dyn Reader, id: &str, asked: Asked) -> anyhow::Result<Read> {
        let of_job = Query { job: Some(id.into()), ..Query::default() };
        let mut records = reader.records(&Query { limit: BEFORE, ..of_job.clone() })?;
        if let Asked::Within(from, until) = asked {
            let at = Query { since: Some(from), until: Some(until), ..of_job.clone() };
            add(&mut records, reader.records(&Query { limit: AROUND, ..at })?);
            let before = Query { until: Some(from), limit: BEFORE, ..of_job.clone() };
            add(&mut records, reader.records(&before)?);
        }
        let oldest = oldest(reader, &of_job, asked)?;
        Ok(Read {
            known: reader.job(id)?,
            all_paused: reader.all_paused()?,
            oldest: oldest.or_else(|| records.iter().map(|record| record.due).min()),
            records,
            latest: reader.latest(Some(id))?.pop(),
            attempts: Vec::new(),
            awaits: None,
            sessions: reader.sessions()?,
            members: reader.members()?,
            has_hosts: false,
            changes: Vec::new(),
        })
    }

    /// What may have to do with a record: what was going on, and what was done meanwhile.
    fn around(
        &mut self,
        reader: &mut dyn Reader,
        id: &str,
        record: &RunRecord,
        (now, retry_delay): (Instant, Duration),
    ) -> anyhow::Result<()> {
        let end = match &record.outcome {
            // Who has the job since is of interest.
            Some(Outcome::Lost(_)) => now,
            // A due time may have come before the next attempt.
            Some(outcome) if outcome.is_of_run() && !outcome.is_success() => {
                end_of(record).unwrap_or(record.at).plus(retry_delay)
            }
            _ => end_of(record).unwrap_or(now).max(record.at),
        };
        let of_job = Query { job: Some(id.into()), ..Query::default() };
        let during =
            Query { since: Some(record.due), until: Some(end), limit: AROUND, ..of_job.clone() };
        let before = Query { until: Some(record.due), limit: BEFORE, ..of_job };
        add(&mut self.records, reader.records(&during)?);
        add(&mut self.records, reader.records(&before)?);
        let several = record.attempts > 1 || record.outcome.is_none();
        if let Some(run) = record.run.filter(|_| several) {
            self.attempts = reader.attempts(run)?;
        }
        // A pause may have begun long before.
        self.changes = reader.changes(Some(id), Instant::MIN, now.max(end))?;
        Ok(())
    }

    fn case<'a>(
        &'a self,
        history: &'a History,
        id: &'a str,
        asked: Asked,
        (zone, typed): (&'a Zone, &'a str),
    ) -> Case<'a> {
        let job = history.job(id).map(|job| &**job);
        let executors = history.set.as_ref().map(|set| &set.executors);
        Case {
            id,
            job,
            executor: job.and_then(|job| executors?.get(usize::from(job.executor))),
            known: self.known.as_ref(),
            all_paused: self.all_paused.as_ref(),
            asked,
            now: history.now,
            zone,
            records: &self.records,
            oldest: self.oldest,
            latest: self.latest.as_ref(),
            attempts: &self.attempts,
            awaits: self.awaits.as_ref(),
            sessions: &self.sessions,
            is_running: self.sessions.last().is_some_and(history_source::goes_on)
                || self.members.iter().any(|member| is_there(member, history.now)),
            members: &self.members,
            has_hosts: self.has_hosts,
            changes: &self.changes,
            typed,
        }
    }
}

/// Whether a host of a fleet is there, as far as the store can tell.
fn is_there(member: &Member, now: Instant) -> bool {
    member.gone.is_none() && now.since(member.seen) <= SILENT
}

/// Adds records that are not there yet.
fn add(records: &mut Vec<RunRecord>, more: Vec<RunRecord>) {
    records.extend(more);
    sort::by_key(records, |record| record.seq);
    records.dedup_by_key(|record| record.seq);
}

/// Some due time from before the one that is asked about of which there is a record, if there is
/// one: then that one is not too old to have one.
fn oldest(
    reader: &mut dyn Reader,
    of_job: &Query,
    asked: Asked,
) -> anyhow::Result<Option<Instant>> {
    let until = match asked {
        Asked::Latest => None,
        Asked::Within(from, _) => Some(from),
    };
    let before = reader.records(&Query { until, limit: 1, ..of_job.clone() })?;
    if let Some(record) = before.first() {
        return Ok(Some(record.due));
    }
    // All are younger: the oldest of them, without reading a million.
    let younger = reader.records(&Query { limit: AROUND, ..of_job.clone() })?;
    Ok(younger.iter().map(|record| record.due).min())
}

fn text(
    out: &mut dyn Write,
    id: &str,
    asked: Asked,
    verdict: &Verdict,
    zone: &Zone,
    now: Instant,
) -> anyhow::Result<()> {
    let (bold, dim) = (anstyle::Style::new().bold(), anstyle::Style::new().dimmed());
    let id = clean(id);
    let when = match (verdict.due, asked) {
        (Some(due), _) => format!(", due {}", format::due(due, zone)),
        (None, Asked::Within(from, _)) => format!(", {}", format::due(from, zone)),
        (None, Asked::Latest) => String::new(),
    };
    let mark = verdict.record.as_ref().map(|record| outcome::mark(record.outcome.as_ref()));
    let (mark, indent) = match mark {
        Some(mark) => (format!("\x1b[{}m{mark}\x1b[0m ", outcome::colour(mark)), 2),
        None => (String::new(), 0),
    };
    let columns = terminal_width();
    let first = format!("{mark}{bold}{id}{bold:#}");
    let text = format!("{when}: {}", verdict.text);
    paragraph(out, (&first, indent + id.width()), 2, &text, columns)?;
    let next = match verdict.next {
        Some(next) => {
            let ahead = words::span(next.since(now));
            format!("{}, in {ahead}", format::due(next, zone))
        }
        None => verdict.next_after.as_deref().unwrap_or("none").to_owned(),
    };
    // Where nothing else says on whose clocks times are.
    let has_offset = verdict.next.is_some() || !when.is_empty();
    let clocks = format!("{}, {}", clean(zone.name()), words::offset(now, zone));
    let clocks = (!has_offset).then_some(("clocks", &*clocks));
    let width = verdict
        .evidence
        .iter()
        .map(|(about, _)| about.len())
        .max()
        .unwrap_or(0)
        .max(if has_offset { 4 } else { 6 });
    let evidence = verdict.evidence.iter().map(|(about, text)| (*about, &**text));
    for (about, text) in evidence.chain([("next", &*next)]).chain(clocks) {
        let (first, head) = (format!("  {dim}{about:width$}{dim:#}  "), width + 4);
        paragraph(out, (&first, head), head, text, columns)?;
    }
    Ok(())
}

fn json(
    out: &mut dyn Write,
    id: &str,
    asked: Asked,
    verdict: &Verdict,
    zone: &Zone,
) -> anyhow::Result<()> {
    writeln!(out, "{}", crate::problem::json(&object(id, asked, verdict, zone))?)?;
    Ok(())
}

/// The same for programs that ask over HTTP.
#[cfg(feature = "web")]
pub(super) fn value(
    id: &str,
    asked: Asked,
    verdict: &Verdict,
    zone: &Zone,
) -> anyhow::Result<serde_json::Value> {
    Ok(serde_json::to_value(object(id, asked, verdict, zone))?)
}

fn object<'a>(id: &'a str, asked: Asked, verdict: &'a Verdict, zone: &Zone) -> Object<'a> {
    let time = |at: Instant| words::rfc3339(at, zone);
    Object {
        job: id,
        asked: match asked {
            Asked::Latest => None,
            Asked::Within(from, _) => Some(time(from)),
        },
        verdict: verdict.word,
        text: &verdict.text,
        due: verdict.due.map(time),
        next: verdict.next.map(time),
        next_after: verdict.next_after.as_deref(),
        evidence: verdict.evidence.iter().map(|(about, text)| Evidence { about, text }).collect(),
        record: verdict
            .record
            .as_ref()
            .map(|record| RunObject::of_record(record, zone).with_unusual(verdict.unusual)),
    }
}

#[cfg(test)]
mod states;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::command::history_source::{args, scene};

    fn shown(line: &[&str]) -> String {
        let mut out = Vec::new();
        show(&args(line), &mut scene::history(scene::store()), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// What a person sees, without its colours.
    fn text(line: &[&str]) -> String {
        anstream::adapter::strip_str(&shown(line)).to_string()
    }

    #[test]
    fn one_answer_and_what_it_rests_on() {
        for (line, expected) in [
            (
                &["backup", "--at", "06:00"][..],
                "\
- backup, due Tue 2026-11-24 06:00:00 +01:00: skipped: run 19 was still going
  blocked by  run 19, due 03:00:00: ran 03:00:00 to 06:04:20, succeeded
  rule        max_instances = 1, overlap = \"skip\"
  schedule    every 3 hours
  next        Tue 2026-11-24 15:00:00 +01:00, in 2h
",
            ),
            (
                &["backup", "--at", "09:00"],
                "\
✗ backup, due Tue 2026-11-24 09:00:00 +01:00: run 23 was killed by SIGTERM after 1m 15s: stopped by \
                 alice at 09:01:15
  ran       09:00:00 to 09:01:15, started 1ms after it was due, pid 4711
  attempt   1 09:00:00 to 09:00:10: failed with exit code 1
  attempt   2 09:00:20 to 09:01:15: was killed by SIGTERM
  schedule  every 3 hours
  next      Tue 2026-11-24 15:00:00 +01:00, in 2h
",
            ),
            (
                &["poll", "--at", "02:30"],
                "\
! poll, due Tue 2026-11-24 02:30:00 +01:00: missed: schedrs was down from 02:10:03 to 02:55:00
  down      it was last seen at 02:10:03 (pid 312) and not stopped: it was killed, or the machine \
                 went down
  late by   25m, more than misfire_grace_time = \"1m\"
  with it   43 due times 02:11:00 to 02:53:00 share this outcome
  schedule  every minute, from 24 Nov 2026 02:00, until 24 Nov 2026 03:00
  next      none
",
            ),
            (
                &["backup", "--at", "05:00"],
                "\
backup, Tue 2026-11-24 05:00:00 +01:00: not due: the nearest due times are 03:00:00 and 06:00:00
  before    the one at 03:00:00 succeeded
  schedule  every 3 hours
  next      Tue 2026-11-24 15:00:00 +01:00, in 2h
",
            ),
            (
                &["new"],
                "\
new, due Wed 2026-11-25 13:00:00 +01:00: not due yet: its first due time is in 1d
  but       schedrs is not running; it was stopped at 12:59:58
  schedule  every day
  next      Wed 2026-11-25 13:00:00 +01:00, in 1d
",
            ),
        ] {
            assert_eq!(text(line), expected, "{line:?}");
        }
    }

    #[test]
    fn the_first_lines_of_others() {
        for (line, expected) in [
            (
                &["backup"][..],
                "✓ backup, due Tue 2026-11-24 12:34:56 +01:00: run 24, started by alice, succeeded \
                 after 2s",
            ),
            (
                &["backup", "--at", "00:00"],
                "? backup, due Tue 2026-11-24 00:00:00 +01:00: run 1 was lost: schedrs was killed",
            ),
            (
                &["backup", "--at", "12:00"],
                "- backup, due Tue 2026-11-24 12:00:00 +01:00: skipped: paused by root from 11:55:00 \
                 to 12:10:00: disk swap",
            ),
            (
                &["backup", "--at", "2026-11-24T18:00"],
                "backup, due Tue 2026-11-24 18:00:00 +01:00: not due yet: in 5h",
            ),
            (
                &["poll", "--at", "02:54"],
                "· poll, due Tue 2026-11-24 02:54:00 +01:00: coalesced: covered by the due time 02:55:00, run 13, which succeeded",
            ),
            (
                &["poll", "--at", "yesterday"],
                "poll, Mon 2026-11-23 00:00:00 +01:00: no record of that time is kept; it has had its current schedule since 24 Nov 00:00:00",
            ),
            (
                &["report", "--at", "06:30"],
                "✗ report, due Tue 2026-11-24 06:30:00 +01:00: run 20 was stopped by its timeout",
            ),
            (
                &["report", "--at", "07:30"],
                "✗ report, due Tue 2026-11-24 07:30:00 +01:00: run 21 could not be started: program \
                 report not found",
            ),
            (
                &["report"],
                "… report, due Tue 2026-11-24 08:30:00 +01:00: run 22 was running when schedrs was last seen, at 12:59:58, and schedrs is not running now",
            ),
        ] {
            assert_eq!(text(line).lines().next(), Some(expected), "{line:?}");
        }
    }

    /// The definition that counts is the one in effect.
    #[test]
    fn a_job_that_was_added_and_one_that_was_rescheduled() {
        let mut store = scene::store();
        let added = JobRecord {
            id: "cancel-42".into(),
            added: Some("command = 'true'\ndate = 2026-11-24T14:00:00".into()),
            trigger: "".into(),
            ..store.jobs[0].clone()
        };
        store.jobs.push(added);
        store.jobs[0].overrides = Some("cron = '15 */3 * * *'".into());
        store.jobs[0].trigger = "".into();
        let mut history = scene::history(store);
        let mut said = |line: &[&str]| {
            let mut out = Vec::new();
            show(&args(line), &mut history, &mut out).unwrap();
            anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
        };
        let text = said(&["cancel-42"]);
        let due = "cancel-42, due Tue 2026-11-24 14:00:00 +01:00: not due yet: its first due time";
        assert!(text.starts_with(due), "{text}");
        assert!(text.contains("schedule  once, 24 Nov 2026 14:00"), "{text}");
        let text = said(&["backup", "--at", "2026-11-24T15:00"]);
        assert!(text.contains("nearest due times are 12:15:00 and 15:15:00"), "{text}");
        assert!(text.contains("schedule  every 3 hours from 00:15"), "{text}");
    }

    #[test]
    fn as_json() {
        let text = shown(&["backup", "--at", "09:00", "--output", "json"]);
        assert_eq!(text.lines().count(), 1);
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (key, expected) in [
            ("/job", "backup"),
            ("/verdict", "killed"),
            ("/asked", "2026-11-24T09:00:00+01:00"),
            ("/due", "2026-11-24T09:00:00+01:00"),
            ("/next", "2026-11-24T15:00:00+01:00"),
            ("/evidence/0/about", "ran"),
            ("/record/outcome", "killed"),
        ] {
            assert_eq!(object.pointer(key).unwrap(), expected, "{key}");
        }
    }

    #[test]
    fn an_unknown_job_is_an_error() {
        let mut history = scene::history(scene::store());
        let error = show(&args(&["bakcup"]), &mut history, &mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "no job `bakcup`; did you mean `backup`?");
        let error = show(&args(&["poll", "--at", "x"]), &mut history, &mut Vec::new()).unwrap_err();
        assert!(format!("{error:#}").starts_with("--at x: expected"), "{error:#}");
    }
}
