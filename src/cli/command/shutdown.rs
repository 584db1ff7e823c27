//! `schedrs shutdown`: the end of a running schedrs.

use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::{Map, Value, json};

use super::named::AsArgument;
use super::request::{self, Connection};
use crate::cli::{Context, ExitCode};
use crate::control::client::{Client, Error};
use crate::core::event::Code;
use crate::core::words;
use crate::problem::clean;
use crate::store::location;
use crate::sys::clock;

/// How often it is looked whether a scheduler that waits for runs to end is still there.
const LOOK: Duration = Duration::from_secs(5);

/// How long the last things may take, once its runs have ended: writing what is to be kept.
const LAST_THINGS: Duration = Duration::from_secs(30);

/// How long a process may take to be gone after all of that. One that has a scheduler inside stays.
const GONE: Duration = Duration::from_secs(1);

/// How often the lock of a store is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// Stop the scheduler
///
/// Like SIGTERM: nothing new starts, and active runs get `stop_grace` to end before they are
/// stopped.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Kill active runs at once, without `stop_grace`
    #[arg(long)]
    now: bool,

    /// Wait until it has stopped and another one can start
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    connection: AsArgument<Connection>,
}

pub(crate) fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitCode> {
    let connection = args.connection.place();
    let mut client = connection.connect()?;
    let ending = if args.wait { Some(Ending::of(&mut client)?) } else { None };
    let request = json!({ "do": "shutdown", "now": args.now });
    let body = match client.ask(&request) {
        Err(error) if has_ended(&error) => Map::new(),
        answer => answer.map_err(request::told)?,
    };
    if let Some(ending) = &ending {
        ending.wait_for_runs(&mut client, &connection)?;
        ending.wait_for_store()?;
    }
    connection.show(&body, |_| {
        if args.wait { "schedrs has stopped".to_owned() } else { "schedrs is stopping".to_owned() }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What has to be let go of before the next scheduler can begin.
struct Ending {
    pid: Option<i32>,
    process: Option<OwnedFd>,
    store: Option<PathBuf>,
}

impl Ending {
    fn of(client: &mut Client) -> anyhow::Result<Ending> {
        let status = match client.ask(&json!({ "do": "status" })) {
            Err(error) if has_ended(&error) => Map::new(),
            answer => answer.map_err(request::told)?,
        };
        let pid = client.pid();
        let process = pid.and_then(Pid::from_raw);
        let process = process.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        let store = status.get("store").and_then(Value::as_str);
        let store = store.and_then(|store| store.strip_prefix("sqlite:")).map(Path::new);
        // As the scheduler sees it, which may have been started elsewhere.
        let directory = || fs::read_link(format!("/proc/{}/cwd", pid?)).ok();
        let store = store.and_then(|path| {
            if path.is_absolute() {
                Some(path.to_path_buf())
            } else {
                Some(directory()?.join(path))
            }
        });
        Ok(Ending { pid, process, store })
    }

    /// Waits until it closes the connection, which it does when all runs have ended and the store
    /// has what is to be kept. That takes as long as `stop_grace` allows, so that it is said what
    /// is waited for, and one that does not answer any more is not waited for.
    fn wait_for_runs(&self, client: &mut Client, connection: &Connection) -> anyhow::Result<()> {
        client.set_patience(Some(LOOK)).map_err(request::told)?;
        let mut told = false;
        let mut answered = clock::mono();
        loop {
            match client.receive() {
                Err(Error::Silent { .. }) => {}
                _ => return Ok(()),
            }
            match connection.request(&json!({ "do": "status" })) {
                Ok(status) => {
                    answered = clock::mono();
                    if !std::mem::replace(&mut told, true) {
                        let runs = active(&status);
                        writeln!(anstream::stderr(), "schedrs: waiting for {runs} to end")?;
                    }
                }
                // Its socket is gone once its runs have ended.
                Err(_) if clock::mono().since(answered) < LAST_THINGS => {}
                Err(_) => bail!("{} is not stopping and no longer answers", self.name()),
            }
        }
    }

    /// Waits until nobody holds its store, so that the next scheduler can begin.
    fn wait_for_store(&self) -> anyhow::Result<()> {
        let began = clock::mono();
        while !self.has_ended(PAUSE)? {
            let Some(store) = self.store.as_deref().filter(|_| self.pid.is_some()) else { break };
            let writer = location::writer_of(store).and_then(|pid| i32::try_from(pid).ok());
            if writer != self.pid {
                break;
            }
            let waited = clock::mono().since(began);
            if waited >= LAST_THINGS {
                let (name, store) = (self.name(), store.display().to_string());
                let (store, waited) = (clean(&store), words::span(waited));
                bail!(
                    "{name} has ended its runs, but still holds its store {store} after {waited}"
                );
            }
        }
        if self.process.is_some() {
            // Where its store is not known, its end is what can be waited for.
            self.has_ended(if self.store.is_some() { GONE } else { LOOK })?;
        }
        Ok(())
    }

    /// Waits for the end of the process, for so long. Answers whether that has come.
    fn has_ended(&self, patience: Duration) -> io::Result<bool> {
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        let mut process: Vec<PollFd<'_>> =
            self.process.iter().map(|process| PollFd::new(process, PollFlags::IN)).collect();
        match poll(&mut process, Some(&patience)) {
            Ok(ended) => Ok(ended > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn name(&self) -> String {
        self.pid.map_or_else(|| "schedrs".to_owned(), |pid| format!("schedrs (pid {pid})"))
    }
}

/// Whether it has ended before it could answer: somebody else has stopped it, too.
fn has_ended(error: &Error) -> bool {
    match error {
        Error::Broken(_) => true,
        Error::Refused(fault) => fault.code == Code::Stopping,
        Error::NotRunning { .. } | Error::Silent { .. } => false,
    }
}

/// The runs that are not over, by their number.
fn active(status: &Map<String, Value>) -> String {
    let runs = status.get("active").and_then(Value::as_array).map_or(0, Vec::len);
    request::count(runs as u64, "run")
}
