//! `schedrs notify --test ROUTE`, and of a job that has a `ping`: the real way from a notification to its receiver, with nothing that
//! has happened. No scheduler has to run; who types it has to be allowed to read the route's secrets.

use std::io::Write;
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context as _, anyhow, bail};
use serde::Serialize;

use super::{HistoryArgs, pings};
use crate::cli::{Context, ExitCode};
use crate::core::instant::Instant;
use crate::core::nearest::nearest;
use crate::core::notify::{Kind, Message, Notification, Route};
use crate::core::zone::Zone;
use crate::jobfile::{self, locate};
use crate::notify::secret::{Machine, Secrets};
use crate::notify::wire::{self, DeliveryResult, Receipt, Work};
use crate::notify::{Context as FormContext, form};
use crate::problem::clean;
use crate::sys::{clock, machine};

/// What has come of it, for programs.
#[derive(Serialize)]
struct Line<'a> {
    route: &'a str,
    to: String,
    result: DeliveryResult,
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
        let watched = set.jobs.iter().find(|job| &*job.id == name);
        if let Some(job) = watched {
            let Some(monitor) = &job.options.ping else { bail!("{name} has no `ping`") };
            let work = pings::test(job, monitor, &set)?;
            let receipt = deliver(&work)?;
            return show(name, &work, &receipt, json);
        }
        let near = nearest(name, routes.iter().map(|route| &*route.name));
        let near = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        bail!("no route `{name}` in {}{near}", path.display());
    };
    let host = machine::host_of(&set.settings.fleet);
    let work =
        work(route, &host, &set.settings.zone, now).map_err(|why| anyhow!("{name}: {why}"))?;
    let [work] = &*work else { bail!("{name}: there is nothing to send") };
    let receipt = deliver(work)?;
    show(name, work, &receipt, json)
}

/// What would be sent on a route so that nobody is told that anything has happened.
pub(in crate::cli::command) fn work(
    route: &Route,
    host: &str,
    zone: &Zone,
    now: Instant,
) -> Result<Vec<Work>, String> {
    let secrets = Secrets::of(&route.to, &Machine)?;
    let zone = |_: &str| zone.clone();
    let context = FormContext { host, now, zone: &zone, secrets: &secrets };
    form::work(route, &message(route, now), &context)
}

/// A message that says nothing has happened. Each has a name of its own: nobody is to take the second
/// test for a copy of the first.
fn message(route: &Route, now: Instant) -> Message {
    let id: Box<str> = format!("test{}", now.micros()).into();
    let blank = Notification::new(id.clone(), Kind::Test, now, now);
    let notification = Notification { job: "test".into(), ..blank };
    let (route, notifications) = (route.name.clone(), vec![notification]);
    Message { id, route, at: now, notifications, more: 0 }
}

/// By what the scheduler uses: a program of this machine, or the helper.
fn deliver(work: &Work) -> anyhow::Result<Receipt> {
    match work.program() {
        Some(program) => local(work, &program),
        None => {
            let (receipts, status) = help(std::slice::from_ref(work))?;
            let receipt = receipts.into_iter().next();
            receipt.ok_or_else(|| anyhow!("the helper has ended with {status} and said nothing"))
        }
    }
}

/// What a helper says of work that is for it, and how it has ended.
pub(in crate::cli::command) fn help(work: &[Work]) -> anyhow::Result<(Vec<Receipt>, ExitStatus)> {
    let lines: String = work.iter().map(Work::to_line).collect();
    let said = execute(&["/proc/self/exe".into(), "deliver".into()], &[], &lines)?;
    let receipts = String::from_utf8_lossy(&said.stdout);
    Ok((receipts.lines().filter_map(Receipt::of_line).collect(), said.status))
}

fn local(work: &Work, program: &wire::Command) -> anyhow::Result<Receipt> {
    let began = clock::mono();
    let env: Vec<(&str, &str)> =
        program.env.iter().map(|(name, value)| (&**name, value.as_str())).collect();
    let done = execute(&program.argv, &env, &program.stdin)?;
    let said = String::from_utf8_lossy(&done.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let code = done.status.code();
    Ok(Receipt {
        id: work.id.clone(),
        result: code.map_or(DeliveryResult::Again, |code| wire::of_exit(&work.task, code)),
        status: None,
        retry_after: None,
        body_limit: None,
        answer: match (code, last) {
            (Some(0), _) => String::new(),
            (Some(code), "") => format!("exit {code}"),
            (Some(code), last) => format!("exit {code}: {}", clean(last)),
            (None, _) => done.status.to_string(),
        },
        ms: u64::try_from(clock::mono().since(began).as_millis()).unwrap_or(u64::MAX),
    })
}

fn execute(argv: &[Box<str>], env: &[(&str, &str)], stdin: &str) -> anyhow::Result<Output> {
    let [program, arguments @ ..] = argv else { bail!("there is no program") };
    let mut child = Command::new(&**program)
        .args(arguments.iter().map(|argument| &**argument))
        .envs(env.iter().copied())
        .env("PATH", wire::search_path(std::env::var_os("PATH")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", clean(program)))?;
    if let Some(mut pipe) = child.stdin.take() {
        // One that has not read all of it says itself why not.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    child.wait_with_output().context("cannot wait for its end")
}

fn show(name: &str, work: &Work, receipt: &Receipt, json: bool) -> anyhow::Result<ExitCode> {
    let mut out = anstream::stdout().lock();
    let Receipt { result, status, answer, ms, .. } = receipt;
    if json {
        let (route, result, status, ms) = (name, *result, *status, *ms);
        let line = Line { route, to: work.place(), result, status, answer, ms };
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
    } else {
        let how = match result {
            DeliveryResult::Sent => "sent",
            DeliveryResult::Refused => "refused, and would not be tried again",
            DeliveryResult::Again => "not delivered, and would be tried again",
        };
        let status = status.map_or(String::new(), |status| format!("{status} "));
        writeln!(out, "{name}: {how}")?;
        writeln!(out, "to      {}", work.place())?;
        if !(status.is_empty() && answer.is_empty()) {
            writeln!(out, "answer  {status}{answer}")?;
        }
        writeln!(out, "took    {ms} ms")?;
    }
    Ok(if *result == DeliveryResult::Sent { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
