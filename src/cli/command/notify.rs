//! `schedrs notify`: what is to be told and what was, and whether a route works.

pub(super) mod pings;
pub(super) mod test;

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::history_source::{History, HistoryArgs, told};
use super::named::AsArgument;
use super::request;
use crate::cli::table::{Table, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::core::instant::Instant;
use crate::core::notify::explain;
use crate::core::notify::log::Told;
use crate::core::notify::notifier::{self, OUTBOX, TOLD, TRYING};
use crate::core::notify::ping::Row;
use crate::core::sort;
use crate::core::words;
use crate::core::zone::Zone;

/// Show which notifications and pings wait and what became of the last ones; try a route, send one again
///
/// One row per notification and route, and for the last start and the last end that each job's `ping` was
/// told: those that wait first, then the last ones that were sent, refused or given up, the newest first.
/// --again and --drop ask the running scheduler, and are for notifications.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    place: AsArgument<HistoryArgs>,

    /// Send a test message on this route now, or to the `ping` of this job, and print what is answered
    #[arg(long, value_name = "ROUTE", conflicts_with_all = ["limit", "store"])]
    test: Option<String>,

    /// Send a notification once more: its ID, or the first characters of it
    #[arg(long, value_name = "ID", conflicts_with_all = ["limit", "store", "test"])]
    again: Option<String>,

    /// Drop what waits on this route, or the one notification with this ID
    #[arg(long, value_name = "ROUTE|ID", conflicts_with_all = ["limit", "store", "test", "again"])]
    drop: Option<String>,

    /// Ask the scheduler on this socket [default: $SCHEDRS_SOCKET, or the jobfile's]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,

    /// How many of the last ones to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

/// So much of an id is shown: two of a thousand hardly ever begin alike.
const SHOWN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table, fitted to the terminal
    Table,
    /// One JSON object per line, times in RFC 3339
    Json,
}

/// What is known of a notification on a route, for programs.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    route: &'a str,
    kind: &'a str,
    job: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u64>,
    due: String,
    last_due: String,
    count: u64,
    /// `waiting`, or how it ended.
    state: &'a str,
    /// Until when it waits, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<String>,
    decided: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    answer: &'a str,
    /// How often its route has failed in a row, and when it is tried again, if it waits for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_tries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_try: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    went_to: Option<&'a str>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(route) = &args.test {
        return test::run(route, &args.place.place(), args.output == Output::Json, context);
    }
    if let Some(id) = &args.again {
        let request = json!({ "do": "notify", "again": id });
        return ask(&request, args, |body| format!("sent again to {}", route_of(body)));
    }
    if let Some(what) = &args.drop {
        let request = json!({ "do": "notify", "drop": what });
        return ask(&request, args, |body| {
            let route = route_of(body);
            match request::number(body, "notifications") {
                0 => format!("nothing waits on {route}"),
                count => format!("dropped {} to {route}", request::count(count, "notification")),
            }
        });
    }
    let mut history = History::open(&args.place.place(), context)?;
    let all = everything(&mut history, args.limit)?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    match args.output {
        Output::Json => {
            for one in &all {
                writeln!(out, "{}", one.json(&history)?)?;
            }
        }
        Output::Table if all.is_empty() => {
            crate::cli::say("schedrs: nobody has been told anything yet")
        }
        Output::Table => table(&all, &history).write(&mut out, terminal_width())?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Has the running scheduler do something, and says what it has done.
fn ask(
    request: &Value,
    args: &Args,
    words: impl FnOnce(&Map<String, Value>) -> String,
) -> anyhow::Result<ExitCode> {
    let mut client = request::connect(args.place.place().jobfile.as_ref(), args.socket.as_ref())?;
    let body = client.ask(request).map_err(request::told)?;
    let mut out = anstream::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", Value::Object(body))?,
        Output::Table => writeln!(out, "{}", words(&body))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn route_of(body: &Map<String, Value>) -> &str {
    body.get("route").and_then(Value::as_str).unwrap_or_default()
}

/// A notification on a route, or a ping.
enum Known {
    Told(Box<Told>),
    Ping(Row),
}

impl Known {
    fn waits(&self) -> bool {
        match self {
            Known::Told(told) => told.end == notifier::WAITING,
            Known::Ping(row) => pings::waits(row),
        }
    }

    /// When it was decided if it waits, or else when it has ended.
    fn when(&self) -> i64 {
        match self {
            Known::Told(told) if self.waits() => told.decided,
            Known::Told(told) => told.at,
            Known::Ping(row) => pings::when(row).micros(),
        }
    }

    fn json(&self, history: &History) -> serde_json::Result<String> {
        match self {
            Known::Told(told) => {
                let (held, zone) = (held(told, history), history.zone_of(&told.job));
                serde_json::to_string(&line(told, held, &zone))
            }
            Known::Ping(row) => {
                serde_json::to_string(&pings::line(row, &history.zone_of(&row.ping.job)))
            }
        }
    }

    fn cells(&self, history: &History) -> Vec<String> {
        match self {
            Known::Told(told) => cells(told, history),
            Known::Ping(row) => pings::cells(row, &history.zone_of(&row.ping.job)),
        }
    }
}

/// Notifications and pings: what waits, the oldest first, and then what has ended, the newest first.
fn everything(history: &mut History, limit: usize) -> anyhow::Result<Vec<Known>> {
    let told = known(history, limit)?.into_iter().map(|told| Known::Told(Box::new(told)));
    let pings = pings::known(history)?.into_iter().map(Known::Ping);
    let (mut all, mut ended): (Vec<Known>, Vec<Known>) = told.chain(pings).partition(Known::waits);
    sort::by(&mut all, |one, other| one.when().cmp(&other.when()));
    sort::by(&mut ended, |one, other| other.when().cmp(&one.when()));
    ended.truncate(limit);
    all.extend(ended);
    Ok(all)
}

/// What waits, the oldest first, and then what has ended, the newest first.
pub(super) fn known(history: &mut History, limit: usize) -> anyhow::Result<Vec<Told>> {
    let reader = history.reader();
    let waiting = reader.entries(OUTBOX).map_err(told)?;
    let trying = reader.entries(TRYING).map_err(told)?;
    let mut all = notifier::waiting(&waiting, &trying);
    sort::by(&mut all, |one, other| one.decided.cmp(&other.decided));
    let ended = reader.entries(TOLD).map_err(told)?;
    let ended = ended.iter().rev().filter_map(|(_, text)| serde_json::from_str(text).ok());
    all.extend(ended.take(limit));
    Ok(all)
}

fn at(micros: i64, zone: &Zone) -> String {
    words::rfc3339(Instant::from_micros(micros), zone)
}

fn line<'a>(told: &'a Told, held: Option<(Instant, &str)>, zone: &Zone) -> Line<'a> {
    Line {
        id: &told.id,
        route: &told.route,
        kind: &told.kind,
        job: &told.job,
        run: told.run,
        due: at(told.due, zone),
        last_due: at(told.last_due, zone),
        count: told.count,
        state: &told.end,
        held_until: held.map(|(until, _)| words::rfc3339(until, zone)),
        decided: at(told.decided, zone),
        ended: (told.end != notifier::WAITING).then(|| at(told.at, zone)),
        answer: &told.answer,
        failed_tries: told.trying.as_ref().map(|trying| trying.failed),
        next_try: told.trying.as_ref().map(|trying| at(trying.next, zone)),
        went_to: told.went_to.as_deref(),
    }
}

/// Until when it is held, and why, if it waits and that is known.
fn held(told: &Told, history: &History) -> Option<(Instant, &'static str)> {
    let mut routes = history.set.iter().flat_map(|set| set.settings.routes.iter());
    let route = routes.find(|route| *route.name == *told.route)?;
    explain::held(route, history.now).filter(|_| told.end == notifier::WAITING)
}

fn table(all: &[Known], history: &History) -> Table {
    let heading = vec!["ID", "WHEN", "ROUTE", "WHAT", "JOB", "STATE", "ANSWER"];
    let mut table = Table::new(heading, 6).with_times(&[1]);
    for one in all {
        table.row(one.cells(history));
    }
    table
}

fn cells(told: &Told, history: &History) -> Vec<String> {
    let zone = &history.zone_of(&told.job);
    let when = if told.end == notifier::WAITING { told.decided } else { told.at };
    let what = match told.count {
        0 | 1 => told.kind.replace('_', " "),
        count => format!("{} ({count})", told.kind.replace('_', " ")),
    };
    let held = held(told, history);
    let answer = match &told.went_to {
        _ if let Some((until, why)) = held => {
            format!("until {} ({why})", words::table_time(until, zone))
        }
        Some(route) => format!("{}; went to {route}", told.answer),
        None => match &told.trying {
            Some(trying) => {
                let next = words::table_time(Instant::from_micros(trying.next).truncated(), zone);
                format!("{}; again at {next}", told.answer)
            }
            None => told.answer.clone(),
        },
    };
    vec![
        told.id.chars().take(SHOWN).collect(),
        words::table_time(Instant::from_micros(when).truncated(), zone),
        told.route.clone(),
        what,
        told.job.clone(),
        if held.is_some() { "held".to_owned() } else { told.end.replace('_', " ") },
        answer,
    ]
}
