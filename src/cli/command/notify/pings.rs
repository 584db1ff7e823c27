//! Pings among what `schedrs notify` shows, and whether one works.

use anyhow::{anyhow, bail};
use serde::Serialize;

use super::super::history_source::{History, told};
use super::at;
use crate::core::instant::Instant;
use crate::core::job::{Job, JobSet};
use crate::core::notify::notifier::WAITING;
use crate::core::notify::ping::{Phase, Row};
use crate::core::notify::pings::PINGS;
use crate::core::notify::{Monitor, MonitorKind};
use crate::core::words;
use crate::core::zone::Zone;
use crate::notify::monitor::{self, About};
use crate::notify::secret::{Machine, resolve};
use crate::notify::wire::Work;
use crate::sys::machine;

/// What is known of a ping, for programs.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    /// `start`, `end` or `heartbeat`.
    ping: &'a str,
    rid: &'a str,
    host: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    job: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    due: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    /// `waiting`, or how it ended.
    state: &'a str,
    decided: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    answer: &'a str,
}

/// The last pings of each job.
pub(in crate::cli::command) fn known(history: &mut History) -> anyhow::Result<Vec<Row>> {
    let entries = history.reader().entries(PINGS).map_err(told)?;
    Ok(entries.iter().filter_map(|(_, text)| Row::of_json(text)).collect())
}

pub(super) fn waits(row: &Row) -> bool {
    &*row.state == WAITING
}

/// When it was decided if it waits, or else when it has ended.
pub(super) fn when(row: &Row) -> Instant {
    row.ended.filter(|_| !waits(row)).unwrap_or(row.ping.at)
}

fn outcome(row: &Row) -> Option<&'static str> {
    row.ping.outcome.as_ref().map(|outcome| outcome.word())
}

pub(super) fn line<'a>(row: &'a Row, zone: &Zone) -> Line<'a> {
    let ping = &row.ping;
    Line {
        ping: ping.phase.word(),
        rid: &ping.rid,
        host: &row.host,
        job: &ping.job,
        run: ping.run.map(|run| run.0),
        due: at(ping.due.micros(), zone),
        outcome: outcome(row),
        state: &row.state,
        decided: at(ping.at.micros(), zone),
        ended: row.ended.map(|ended| at(ended.micros(), zone)),
        answer: &row.answer,
    }
}

pub(super) fn cells(row: &Row, zone: &Zone) -> Vec<String> {
    let what = match row.ping.phase {
        Phase::End => outcome(row).unwrap_or("end").replace('_', " "),
        phase => phase.word().to_owned(),
    };
    vec![
        // It cannot be sent again.
        String::new(),
        words::table_time(when(row).truncated(), zone),
        "(ping)".to_owned(),
        what,
        row.ping.job.to_string(),
        row.state.replace('_', " "),
        row.answer.to_string(),
    ]
}

/// What the monitor of a job was told of a run, each in a sentence.
pub(in crate::cli::command) fn of_run(
    rows: &[Row],
    job: &str,
    run: u64,
    zone: &Zone,
) -> Vec<String> {
    let of_run = |row: &&Row| *row.ping.job == *job && row.ping.run.is_some_and(|it| it.0 == run);
    let sentence = |row: &Row| {
        let what = row.ping.phase.word();
        if waits(row) {
            return format!("`{what}` waits to be sent");
        }
        let when = words::table_time(when(row).truncated(), zone);
        let answer =
            if row.answer.is_empty() { String::new() } else { format!(": {}", row.answer) };
        format!("`{what}`, {} {when}{answer}", row.state.replace('_', " "))
    };
    let mut found: Vec<&Row> = rows.iter().filter(of_run).collect();
    crate::core::sort::by_key(&mut found, |row| row.ping.phase);
    found.into_iter().map(sentence).collect()
}

/// A ping that says nothing, if its monitor has an ear for one.
pub(super) fn test(job: &Job, monitor: &Monitor, set: &JobSet) -> anyhow::Result<Work> {
    let cannot = |why: String| anyhow!("{}: {why}", job.id);
    let url = resolve(&monitor.url, &Machine).map_err(|why| cannot(format!("ping: {why}")))?;
    let host = machine::host_of(&set.settings.fleet);
    let about = About { monitor, url: &url, job: Some(job), every: None, host: &host, limit: None };
    let (kind, work) = monitor::test(&about).map_err(cannot)?;
    let service = match kind {
        MonitorKind::Healthchecks => "healthchecks",
        MonitorKind::Sentry => "Sentry",
        MonitorKind::Cronitor => "Cronitor",
        MonitorKind::Kuma => "Uptime Kuma",
        MonitorKind::Url => "a plain URL",
    };
    match work {
        Some(work) => Ok(work),
        None => bail!(
            "{}: {service} has no word for a test: it would be told that all is well, so nothing was \
             sent; `schedrs doctor --network` looks at the way there",
            job.id
        ),
    }
}
