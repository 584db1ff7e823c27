//! `schedrs top`, which is `schedrs list --watch`, too: jobs on a screen of their own, and keys that do
//! something about them.
//!
//! `state` is what keys do and what is to be seen, and knows neither terminal nor clock; `keys` reads
//! the keyboard. Here the scheduler is asked, each second and when something was done.

mod keys;
mod state;

use std::io::{self, Write};
use std::os::fd::AsFd;

use serde_json::{Value, json};

use self::keys::Keyboard;
use self::state::{Sight, State, Verb, Want};
use super::list::{self, Chosen, Found};
use super::named;
use super::request::{self, Address, Times};
use super::screen::{self, Screen, Wake, Wakes};
use super::{show, start};
use crate::cli::{Context, ExitCode, has_colour};
use crate::control::client::Client;
use crate::control::wire::view::{JobDetails, JobLine};
use crate::core::words;
use crate::history::object::RunObject;
use crate::problem::clean;
use crate::run::output::make_harmless;
use crate::sys::clock;

/// So many of the last runs stand on the page of a job.
const RUNS: u64 = 10;

/// And so many lines of what the last one has printed.
const LINES: usize = 200;

/// Watch jobs full-screen, and start or pause them
///
/// One row per job, as `schedrs list` shows it, refreshed every second. The arrow and page keys
/// choose a job; Enter shows its schedule, next times, last runs and output. `r` starts it, `p`
/// pauses or resumes it; both ask first. `s` sorts by jobfile, failure, next due time, name or
/// duration, `f` shows only jobs whose last run failed, `q` quits.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only these jobs: ids, patterns such as 'backup-*', or tags such as tag:eu
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,

    #[command(flatten)]
    address: Address,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<ExitCode> {
    let named = named::jobs(&args.jobs, args.address.jobfile(), context)?;
    let chosen = Chosen::like(&named.jobs)?;
    let typed = args.address.typed(named.jobfile.as_deref());
    watch(&|| args.address.connect_to(named.jobfile.as_ref()), &typed, &chosen, context)
}

/// Shows the jobs until somebody has enough.
pub(super) fn watch(
    connect: &dyn Fn() -> anyhow::Result<Client>,
    typed: &str,
    chosen: &Chosen,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    screen::needs_terminal("this")?;
    // Whoever mistypes the name of a file or of a job is to see that, and no empty screen.
    let client = Some(connect()?);
    let mut source = Source { connect, typed, chosen, client };
    if let Some(mistyped) = source.jobs()?.mistyped {
        return Err(mistyped);
    }
    let wakes = Wakes::new()?;
    if screen::is_dumb() {
        return plain(&mut source, &wakes, context);
    }
    let screen = Screen::enter()?;
    let keyboard = Keyboard::open();
    let mut state = State::default();
    let mut seen = Seen::default();
    seen.look(&mut source, &state, context);
    loop {
        seen.draw(&mut state, context)?;
        let keys = keyboard.as_ref().map(|_| rustix::stdio::stdin());
        match wakes.wait(keys.as_ref().map(AsFd::as_fd)) {
            Wake::End => break,
            Wake::Resized => {}
            Wake::Time => seen.look(&mut source, &state, context),
            Wake::Keys => {
                let Some(Ok(pressed)) = keyboard.as_ref().map(Keyboard::read) else { break };
                let mut wants = Vec::new();
                for key in pressed {
                    wants.push(state.key(key, &seen.jobs, screen::size()));
                }
                if wants.contains(&Want::Quit) {
                    break;
                }
                for want in wants {
                    if let Want::Do(verb, id) = &want {
                        state.say(source.act(*verb, id));
                    }
                    if want != Want::Nothing {
                        seen.look(&mut source, &state, context);
                    }
                }
            }
        }
    }
    drop(keyboard);
    drop(screen);
    Ok(ExitCode::SUCCESS)
}

/// For a terminal that cannot do more than write: the table whenever it is another one.
fn plain(source: &mut Source<'_>, wakes: &Wakes, context: &Context) -> anyhow::Result<ExitCode> {
    let mut last = Vec::new();
    loop {
        let found = source.jobs()?;
        let mut text = Vec::new();
        let mut plain = anstream::StripStream::new(&mut text);
        let lines: Vec<&JobLine> = found.jobs.iter().map(|(job, _)| job).collect();
        list::table(&lines, found.hosts, context).write(&mut plain, Some(screen::size().0))?;
        if text != last {
            let zone = super::argument::local_zone(context);
            let mut out = io::stdout().lock();
            writeln!(out, "{}", words::table_time(clock::wall().truncated(), &zone))?;
            out.write_all(&text)?;
            out.flush()?;
            last = text;
        }
        if wakes.wait(None) == Wake::End {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// The scheduler.
struct Source<'a> {
    connect: &'a dyn Fn() -> anyhow::Result<Client>,
    /// What was typed to find it.
    typed: &'a str,
    chosen: &'a Chosen,
    client: Option<Client>,
}

impl Source<'_> {
    /// Asks it something. Where it is gone it is asked again until it is back.
    fn ask<T>(&mut self, ask: impl FnOnce(&mut Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => (self.connect)()?,
        };
        let answer = ask(&mut client);
        // After an error nobody knows what the next answer would belong to.
        self.client = Some(client).filter(|_| answer.is_ok());
        answer
    }

    fn jobs(&mut self) -> anyhow::Result<Found> {
        let chosen = self.chosen;
        self.ask(|client| list::jobs(client, chosen))
    }

    /// Has something done, and says what came of it.
    fn act(&mut self, verb: Verb, id: &str) -> String {
        let request = json!({ "do": verb.word(), "job": id });
        let answer = self.ask(|client| client.ask(&request).map_err(request::told));
        let shown = clean(id);
        match (answer, verb) {
            (Err(error), _) => error.to_string().lines().collect::<Vec<_>>().join(" "),
            (Ok(body), Verb::Start) => {
                let run = request::number(&body, "run");
                format!("run {run} of {shown} {}", start::how(&body))
            }
            (Ok(_), Verb::Pause) => format!("{shown} is paused"),
            (Ok(_), Verb::Resume) => format!("{shown} is resumed"),
        }
    }
}

/// What was seen last.
#[derive(Default)]
struct Seen {
    jobs: Vec<JobLine>,
    hosts: u64,
    page: Vec<String>,
    /// That the jobfile was edited, if it was; or that not all is known.
    edited: Option<String>,
    /// Why it could not be seen now.
    trouble: Option<String>,
}

impl Seen {
    fn look(&mut self, source: &mut Source<'_>, state: &State, context: &Context) {
        self.trouble =
            self.try_to_look(source, state, context).err().map(|error| error.to_string());
    }

    fn try_to_look(
        &mut self,
        source: &mut Source<'_>,
        state: &State,
        context: &Context,
    ) -> anyhow::Result<()> {
        let found = source.jobs()?;
        let typed = source.typed;
        self.edited = match found.is_past_unknown {
            true => Some(list::PAST_UNKNOWN.to_owned()),
            false => found.edited(context, typed),
        };
        self.jobs = found.jobs.into_iter().map(|(job, _)| job).collect();
        self.hosts = found.hosts;
        self.page = match state.open() {
            Some(id) => source.ask(|client| page(client, id, context, typed))?,
            None => Vec::new(),
        };
        Ok(())
    }

    fn draw(&self, state: &mut State, context: &Context) -> anyhow::Result<()> {
        let size = screen::size();
        let visible = state.visible(&self.jobs);
        let mut text = Vec::new();
        list::table(&visible, self.hosts, context).write(&mut text, Some(size.0))?;
        let table: Vec<String> = String::from_utf8_lossy(&text)
            .lines()
            .map(|line| screen::cropped(line, size.0))
            .collect();
        let page: Vec<String> =
            self.page.iter().map(|line| screen::cropped(line, size.0)).collect();
        let heading = self.heading(context);
        let sight = Sight { heading: &heading, table: &table, page: &page };
        let mut lines = state.lines(sight, &self.jobs, size);
        if !has_colour(&io::stdout()) {
            // Which row the next key is about is to be seen all the same.
            for line in &mut lines {
                let is_reversed = line.starts_with("\x1b[7m");
                *line = anstream::adapter::strip_str(line).to_string();
                if is_reversed {
                    *line = format!("\x1b[7m{line}\x1b[0m");
                }
            }
        }
        screen::draw(&lines)?;
        Ok(())
    }

    /// `Sun 2026-11-29 07:03:00  300 jobs, 2 running, 1 failed`.
    fn heading(&self, context: &Context) -> String {
        let zone = super::argument::local_zone(context);
        let time = words::table_time(clock::wall().truncated(), &zone);
        if let Some(trouble) = &self.trouble {
            return format!("{time}  {}", trouble.lines().collect::<Vec<_>>().join(" "));
        }
        let running: u32 = self.jobs.iter().map(|job| job.running).sum();
        let failed = self.jobs.iter().filter(|job| job.has_failed()).count();
        let count = request::count(self.jobs.len() as u64, "job");
        let edited = self.edited.as_ref().map(|edited| format!("; {edited}")).unwrap_or_default();
        format!("{time}  {count}, {running} running, {failed} failed{edited}")
    }
}

/// All there is to say of a job.
fn page(
    client: &mut Client,
    id: &str,
    context: &Context,
    typed: &str,
) -> anyhow::Result<Vec<String>> {
    let mut ask = |request: Value| client.ask(&request).map_err(request::told);
    let details: JobDetails = request::read(ask(json!({ "do": "show", "job": id }))?)?;
    let mut text = Vec::new();
    show::details(&details, &mut text, context, typed)?;
    let times = Times::new(context);
    let zone = times.zone(&details.job.timezone);
    let mut past = ask(json!({ "do": "history", "job": id, "limit": RUNS }))?;
    let records: Vec<RunObject> = match past.remove("records") {
        Some(records) => serde_json::from_value(records)?,
        None => Vec::new(),
    };
    writeln!(text)?;
    for (index, record) in records.iter().enumerate() {
        let name = if index == 0 { "runs" } else { "" };
        let at = times.moment(record.started.as_ref().unwrap_or(&record.due), &zone);
        let run = record.run.map(|run| format!(", run {run}")).unwrap_or_default();
        let what = clean(&record.phrase()).into_owned();
        writeln!(text, "  {name:<12}{} {at} {what}{run}", record.mark())?;
    }
    let last = records.iter().find_map(|record| record.run.filter(|_| record.started.is_some()));
    if let Some(run) = last {
        let output = ask(json!({ "do": "output", "run": run }))?;
        let printed = output.get("text").and_then(Value::as_str).unwrap_or_default();
        writeln!(text, "\n  {:<12}of run {run}", "output")?;
        let lines: Vec<&str> = printed.lines().collect();
        for line in &lines[lines.len().saturating_sub(LINES)..] {
            text.extend_from_slice(b"    ");
            make_harmless(line.as_bytes(), &mut text);
            text.push(b'\n');
        }
    }
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}
