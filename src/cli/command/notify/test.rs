//! `schedrs notify --test ROUTE`: the real way from a notification to its receiver, with nothing that
//! has happened. No scheduler has to run; who types it has to be allowed to read the route's secrets.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;

use super::HistoryArgs;
use crate::cli::{Context, ExitCode};
use crate::core::instant::Instant;
use crate::core::nearest::nearest;
use crate::core::notify::{Kind, Message, Notification, Route};
use crate::core::zone::Zone;
use crate::jobfile::{self, locate};
use crate::notify::secret::{Machine, Secrets};
use crate::notify::wire::{Fate, Verdict, Work};
use crate::notify::{Context as FormContext, form};
use crate::sys::{clock, machine};

/// What has come of it, for programs.
#[derive(Serialize)]
struct Line<'a> {
    route: &'a str,
    to: String,
    result: Fate,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    answer: &'a str,
    ms: u64,
}

pub(super) fn run(
    name: &str,
    place: &HistoryArgs,
    json: bool,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let now = clock::wall();
    let path = locate::jobfile(place.jobfile.as_deref())?;
    let loaded = jobfile::load_path(&path, &context.zones, now);
    let Some(set) = loaded.set else {
        bail!("{} has errors: `schedrs validate` shows them", path.display());
    };
    let routes = &set.settings.routes;
    let Some(route) = routes.iter().find(|route| &*route.name == name) else {
        let near = nearest(name, routes.iter().map(|route| &*route.name));
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        bail!("no route `{name}` in {}{near}", path.display());
    };
    let host = set.settings.fleet.name.clone().unwrap_or_else(machine::host);
    let work =
        work(route, &host, &set.settings.zone, now).map_err(|why| anyhow!("{name}: {why}"))?;
    let [work] = &*work else { bail!("{name}: there is nothing to send") };
    let verdict = deliver(work)?;
    show(name, work, &verdict, json)
}

fn work(route: &Route, host: &str, zone: &Zone, now: Instant) -> Result<Vec<Work>, String> {
    let secrets = Secrets::of(&route.to, &Machine)?;
    let zone = |_: &str| zone.clone();
    let context = FormContext { host, now, zone: &zone, secrets: &secrets };
    form::work(route, &message(route, now), &context)
}

/// A message that says nothing has happened. Each has a name of its own: nobody is to take the second
/// test for a copy of the first.
fn message(route: &Route, now: Instant) -> Message {
    let id: Box<str> = format!("msg_test{}", now.micros()).into();
    let notification = Notification {
        id: id.clone(),
        kind: Kind::Test,
        job: "test".into(),
        name: None,
        run: None,
        due: now,
        last_due: now,
        count: 1,
        at: now,
        started: None,
        duration: None,
        attempts: 0,
        outcome: None,
        streak: 0,
        since: None,
        output: None,
    };
    let (route, notifications) = (route.name.clone(), vec![notification]);
    Message { id, route, at: now, notifications, more: 0 }
}

/// By the helper that the scheduler uses.
fn deliver(work: &Work) -> anyhow::Result<Verdict> {
    let mut helper = Command::new("/proc/self/exe")
        .arg("deliver")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the helper")?;
    if let Some(mut stdin) = helper.stdin.take() {
        // It says itself why it has not read this.
        let _ = stdin.write_all(work.to_line().as_bytes());
    }
    let done = helper.wait_with_output().context("cannot wait for the helper")?;
    let said = String::from_utf8_lossy(&done.stdout);
    let verdict = said.lines().find_map(Verdict::of_line);
    verdict.ok_or_else(|| anyhow!("the helper has ended with {} and said nothing", done.status))
}

fn show(name: &str, work: &Work, verdict: &Verdict, json: bool) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    let Verdict { result, status, answer, ms, .. } = verdict;
    if json {
        let (route, result, status, ms) = (name, *result, *status, *ms);
        let line = Line { route, to: work.place(), result, status, answer, ms };
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
    } else {
        let how = match result {
            Fate::Sent => "sent",
            Fate::Refused => "refused, and would not be tried again",
            Fate::Again => "not delivered, and would be tried again",
        };
        let status = status.map_or(String::new(), |status| format!("{status} "));
        writeln!(out, "{name}: {how}")?;
        writeln!(out, "to      {}", work.place())?;
        writeln!(out, "answer  {status}{answer}")?;
        writeln!(out, "took    {ms} ms")?;
    }
    Ok(if *result == Fate::Sent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
