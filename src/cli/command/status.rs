//! `schedrs status`: how a running schedrs is.

use std::io::{BufWriter, Write};
use std::time::Duration;

use serde_json::json;

use super::named::AsArgument;
use super::request::{self, Connection, Output, Times};
use super::show::active_run;
use crate::cli::table::{paragraph, terminal_width};
use crate::cli::{Context, ExitCode};
use crate::control::wire::view::{FleetView, StatusView};
use crate::core::outcome::Doing;
use crate::core::words;
use crate::core::zone::Zone;
use crate::history::object::RunObject;
use crate::problem::clean;

/// Show health, problems, active runs and what is due next
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes: 0 healthy; 1 degraded, or no scheduler is running; 2 wrong usage.")]
pub(crate) struct Args {
    #[command(flatten)]
    connection: AsArgument<Connection>,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let connection = args.connection.place();
    let body = connection.request(&json!({ "do": "status" }))?;
    let status: StatusView = request::read(body.clone())?;
    let mut out = BufWriter::new(anstream::stdout().lock());
    match connection.output {
        Output::Json => writeln!(out, "{}", crate::problem::json(&body)?)?,
        Output::Text => {
            let around = (terminal_width(), &*connection.typed());
            text(&status, &mut out, context, around)?;
        }
    }
    out.flush()?;
    Ok(if status.reasons.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Names are so wide, with what stands in front of them.
const NAMES: usize = 11;

fn text(
    status: &StatusView,
    out: &mut dyn Write,
    context: &Context,
    (width, typed): (Option<usize>, &str),
) -> anyhow::Result<()> {
    let times = Times::new(context);
    let zone = times.zone(&status.timezone);
    let colour = match status.reasons.is_empty() {
        true => anstyle::AnsiColor::Green,
        false => anstyle::AnsiColor::Red,
    };
    let style = anstyle::Style::new().bold().fg_color(Some(colour.into()));
    let health = clean(&status.health);
    let (version, jobfile) = (clean(&status.version), clean(&status.jobfile));
    let what = format!("schedrs {version} with pid {} runs {jobfile}", status.pid);
    let first = format!("{style}{health}{style:#}  ");
    let head = health.len() + 2;
    paragraph(out, (&first, head), head, &what, width)?;
    for reason in &status.reasons {
        paragraph(out, ("  ! ", 4), 4, &clean(reason), width)?;
    }
    if status.stopping {
        writeln!(out, "  stopping")?;
    }
    for (name, text) in facts(status, &times, &zone, typed) {
        let first = format!("  {name:<8} ");
        paragraph(out, (&first, NAMES), NAMES, &text, width)?;
    }
    Ok(())
}

/// What there is to say: names and texts.
fn facts(
    status: &StatusView,
    times: &Times<'_>,
    zone: &Zone,
    typed: &str,
) -> Vec<(&'static str, String)> {
    let since = |time: &str| format!("{} ({})", times.moment(time, zone), times.distance(time));
    let mut facts = vec![("since", since(&status.started)), ("loaded", since(&status.loaded))];
    if let Some(since) = &status.changed_since {
        facts.push(("jobfile", request::edited(since, times, zone, typed)));
    }
    facts.push(("store", clean(&status.store).into_owned()));
    facts.push(("zone", clean(&status.timezone).into_owned()));
    let (jobs, running, waiting) = (status.jobs, status.running, status.waiting);
    let others = status.active_elsewhere.as_deref().unwrap_or_default();
    let others = on_others(others).map_or(String::new(), |others| format!("; {others}"));
    facts.push(("jobs", format!("{jobs}, {running} running, {waiting} waiting{others}")));
    let wrong = [
        ("failed", status.failed, &status.failed_jobs, "--failed"),
        ("overdue", status.overdue, &status.overdue_jobs, "--state overdue"),
    ];
    for (name, count, first, flag) in wrong {
        if let (Some(count), Some(first)) = (count, first) {
            facts.push((name, some_of(count, first, &format!("{typed} {flag}"))));
        }
    }
    if let (Some(count), Some(first)) = (status.no_host, &status.no_host_jobs) {
        let jobs = some_of(count, first, typed);
        let their = if count == 1 { "its" } else { "their" };
        facts.push(("no host", format!("{jobs}; no host has all of {their} labels")));
    }
    if !status.elsewhere.is_empty() {
        facts.push(("others", request::not_here(&status.elsewhere)));
    }
    let fleet = status.fleet.iter().flat_map(in_fleet);
    facts.extend(fleet.map(|(name, text)| (name, clean(&text).into_owned())));
    if let Some(paused) = &status.paused {
        facts.push(("paused", format!("all jobs{}", request::pause(paused, times, zone))));
    }
    if let (Some(next), Some(job)) = (&status.next, &status.next_job) {
        facts.push(("next", format!("{} at {}", clean(job), since(next))));
    }
    let others = status.active_elsewhere.iter().flatten();
    let active = status.active.iter().chain(others);
    let active = active.map(|run| format!("{}: {}", clean(&run.job), active_run(run, times, zone)));
    facts.extend(active.map(|text| ("active", text)));
    facts
}

/// What the other hosts do: `on other hosts 2 running, 1 waiting`.
fn on_others(active: &[RunObject]) -> Option<String> {
    let is_running = |run: &&RunObject| run.doing.as_deref() == Some(Doing::Running.word());
    let running = active.iter().filter(is_running).count();
    let waiting = active.len() - running;
    (!active.is_empty()).then(|| format!("on other hosts {running} running, {waiting} waiting"))
}

/// How many jobs there are of a kind, and the first of them.
fn some_of(count: usize, first: &[String], flags: &str) -> String {
    let names: Vec<String> = first.iter().map(|job| clean(job).into_owned()).collect();
    let all = match count > names.len() {
        true => format!(" …: `schedrs list{flags}`"),
        false => String::new(),
    };
    format!("{}: {}{all}", request::count(count as u64, "job"), names.join(", "))
}

/// How it stands among the hosts that share its store: names and texts.
fn in_fleet(fleet: &FleetView) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let hosts: Vec<String> = fleet
        .hosts
        .iter()
        .map(|host| match fleet.leaving.contains(host) {
            true => format!("{host} (stops)"),
            false => host.clone(),
        })
        .collect();
    let jobs = request::count(fleet.jobs.into(), "job");
    lines.push(("host", format!("{}, home of {jobs}", fleet.host)));
    lines.push((
        "fleet",
        match hosts.len() {
            0 => "not joined yet".to_owned(),
            1 => "alone".to_owned(),
            _ => hosts.join(", "),
        },
    ));
    lines.push((
        "trust",
        match (fleet.trusted_ms, fleet.waits_for_others) {
            (_, true) => {
                "nothing starts until all hosts have sent the store what they know".to_owned()
            }
            (Some(millis), _) => {
                let span = words::span(Duration::from_secs(millis / 1000));
                format!("starts jobs for {span} without hearing from the store")
            }
            (None, _) => "nothing starts until the store answers".to_owned(),
        },
    ));
    if fleet.generation > 0 {
        let number = fleet.generation;
        lines.push(("store", format!("in generation {number}: it has lost data before")));
    }
    if fleet.held > 0 {
        let starts = request::count(fleet.held as u64, "start");
        lines.push(("held", format!("{starts}, until the store has recorded them")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_stands_in_a_fleet() {
        let view = FleetView {
            host: "web1".into(),
            hosts: vec!["web1".into(), "web2".into()],
            leaving: vec!["web2".into()],
            jobs: 1,
            generation: 2,
            trusted_ms: Some(8_200),
            waits_for_others: false,
            held: 3,
        };
        let said = |view: &FleetView| {
            let lines = in_fleet(view);
            lines
                .iter()
                .map(|(name, text)| format!("{name}: {text}"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(
            said(&view),
            "host: web1, home of 1 job\n\
             fleet: web1, web2 (stops)\n\
             trust: starts jobs for 8s without hearing from the store\n\
             store: in generation 2: it has lost data before\n\
             held: 3 starts, until the store has recorded them"
        );
        let silent = FleetView { host: "web1".into(), ..FleetView::default() };
        assert_eq!(
            said(&silent),
            "host: web1, home of 0 jobs\n\
             fleet: not joined yet\n\
             trust: nothing starts until the store answers"
        );
    }
}
