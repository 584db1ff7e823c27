//! `schedrs fleet`: the hosts that share a store.

use std::io::{BufWriter, Write};

use anyhow::bail;
use clap::ValueEnum;
use serde::Serialize;

use super::history_source::{Ground, History, HistoryArgs, told};
use super::named::AsArgument;
use super::screen;
use crate::cli::table::{Table, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::core::fleet::{Member, hosts};
use crate::core::instant::Instant;
use crate::core::sort;
use crate::core::words;
use crate::core::zone::Zone;
use crate::store::HAS_SHARED;
use crate::sys::clock;

/// A clock that is off by more than this is worth a word.
const OFF: i64 = 500_000;

/// Show the hosts that share the store
///
/// One row per host: when it joined, its last heartbeat, how far its clock is ahead of the store's,
/// how many jobs have their home there and how many runs are active.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    place: AsArgument<HistoryArgs>,

    /// Output format
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: Output,

    /// Refresh every second until Ctrl-C
    #[arg(long, conflicts_with = "output")]
    watch: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A table, fitted to the terminal
    Table,
    /// One JSON object per line, times in RFC 3339
    Json,
}

/// A host, for programs.
#[derive(Serialize)]
struct Line<'a> {
    session: String,
    host: &'a str,
    state: &'static str,
    labels: &'a [Box<str>],
    version: &'a str,
    pid: u32,
    jobfile: &'a str,
    jobfile_hash: String,
    joined: String,
    loaded: String,
    seen: String,
    beat: u64,
    /// In microseconds; ahead of the store's is positive.
    clock_offset: i64,
    jobs: u32,
    running: u32,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let ground = Ground::lay(&args.place.place(), context)?;
    if !HAS_SHARED || !ground.is_shared() {
        bail!(
            "this store is for one host; hosts share one with `[store] url = \"postgres://…\"`, mysql, redis \
             or mongodb"
        );
    }
    let mut history = ground.history(ground.reader()?, clock::wall());
    if args.watch {
        screen::needs_terminal("--watch")?;
        let (zone, now) = (history.zone.clone(), clock::wall);
        return screen::watch(context, |columns| {
            let members = members(&mut history)?;
            let mut text = Vec::new();
            let members = hosts(&members);
            table(&members, &zone, now()).write(&mut text, Some(columns))?;
            drift(&members, &mut text)?;
            let alive = members.iter().filter(|member| member.gone.is_none()).count();
            Ok((format!("{alive} of {} hosts are up", members.len()), text))
        });
    }
    let members = members(&mut history)?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    match args.output {
        Output::Json => {
            for member in &members {
                writeln!(out, "{}", serde_json::to_string(&line(member, &history.zone))?)?;
            }
        }
        Output::Table => {
            let members = hosts(&members);
            table(&members, &history.zone, history.now).write(&mut out, terminal_width())?;
            drift(&members, &mut out)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn members(history: &mut History) -> anyhow::Result<Vec<Member>> {
    let members = history.reader().members().map_err(told)?;
    if members.is_empty() {
        bail!("no host has used this store so far");
    }
    Ok(members)
}

fn line<'a>(member: &'a Member, zone: &Zone) -> Line<'a> {
    Line {
        session: member.id.to_string(),
        host: &member.host,
        state: member.state(),
        labels: &member.labels,
        version: &member.version,
        pid: member.process.pid,
        jobfile: &member.jobfile,
        jobfile_hash: format!("{:016x}", member.jobfile_hash),
        joined: words::rfc3339(member.joined, zone),
        loaded: words::rfc3339(member.loaded, zone),
        seen: words::rfc3339(member.seen, zone),
        beat: member.beat,
        clock_offset: member.offset,
        jobs: member.jobs_at_home,
        running: member.running,
    }
}

fn table(members: &[&Member], zone: &Zone, now: Instant) -> Table {
    let heading =
        vec!["HOST", "STATE", "SINCE", "BEAT", "CLOCK", "JOBS", "RUNS", "VERSION", "LABELS"];
    let mut table = Table::new(heading, 8).with_numbers(5..7);
    for member in members {
        let is_alive = member.gone.is_none();
        let age = std::time::Duration::from_secs(now.since(member.seen).as_secs());
        let clock = match member.offset {
            off if off.abs() < OFF => String::new(),
            off => {
                let secs = off.unsigned_abs() as f64 / 1e6;
                format!("{secs:.1}s {}", if off > 0 { "ahead" } else { "behind" })
            }
        };
        table.row(vec![
            member.host.to_string(),
            member.state().to_owned(),
            words::rfc3339(Instant::from_secs(member.joined.micros().div_euclid(1_000_000)), zone),
            format!("{} ago", words::span(age)),
            clock,
            if is_alive { member.jobs_at_home.to_string() } else { String::new() },
            if is_alive { member.running.to_string() } else { String::new() },
            member.version.to_string(),
            member.labels.join(", "),
        ]);
    }
    table
}

/// Something that hosts may differ in, and what it is called.
type Kind = (fn(&Member) -> String, &'static str);

/// What differs between the hosts and should not for long.
fn drift(members: &[&Member], out: &mut dyn Write) -> anyhow::Result<()> {
    let alive: Vec<&Member> =
        members.iter().copied().filter(|member| member.is_comparable()).collect();
    let differ = |what: fn(&Member) -> String| {
        let mut all: Vec<String> = alive.iter().map(|member| what(member)).collect();
        sort::all(&mut all);
        all.dedup();
        all.len() > 1
    };
    let kinds: [Kind; 3] = [
        (|member| member.jobfile_hash.to_string(), "jobfiles"),
        (|member| member.version.to_string(), "versions of schedrs"),
        (|member| member.tzdata.to_string(), "versions of time zone data"),
    ];
    for (what, name) in kinds {
        if differ(what) {
            writeln!(out, "hosts have different {name}")?;
        }
    }
    Ok(())
}
